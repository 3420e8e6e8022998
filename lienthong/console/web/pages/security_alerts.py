"""The alert inbox, and one alert in three steps: the alert, the timeline of its key or official, the records."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from starlette.responses import Response

from lienthong.api_keys import responses
from lienthong.console.accounts import register
from lienthong.console.web import alert_subjects, charts, forms, security_reading
from lienthong.console.web.listing import Column, Listing
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.core import errors, numerals
from lienthong.monitoring import alert_rules, alerts, notify, responding
from lienthong.monitoring.detectors import findings

routes = Routes()
SPANS = {
    "30m": timedelta(minutes=30),
    "1h": timedelta(hours=1),
    "4h": timedelta(hours=4),
    "1d": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
_COLUMNS = (
    Column("severity", "alerts.severity", "chip", area="severity"),
    Column("sentence", "alerts.sentence", link="href"),
    Column("about", "alerts.about", link="about_href"),
    Column("since", "alerts.since", "ago"),
    Column("count", "alerts.count", "number"),
    Column("state", "alerts.state", "chip", area="alerts"),
    Column("assignee", "alerts.assignee"),
    Column("next", "alerts.next"),
)

_CLOSED_COLUMNS = (
    *_COLUMNS[:4],
    Column("closed_as", "alerts.verdict", "words", area="verdict"),
    Column("closed_reason", "alerts.why"),
    Column("closed_by", "alerts.closed_by"),
    Column("closed_at", "alerts.closed_when", "ago"),
)


@routes.page("alerts")
async def show(visit: Visit) -> Response:
    """List what waits for an officer, the newest first."""
    found = await security_reading.inbox(visit.hub, visit.query)
    names = await security_reading.key_names(visit.hub, (row["key_id"] for row in found.rows))
    rows = [line(visit, row, names) for row in found.rows]
    columns = _CLOSED_COLUMNS if visit.query.get("state") == alerts.CLOSED else _COLUMNS
    listing = Listing("alerts", columns, rows, visit.path, visit.query, cursor=found.cursor)
    people = await _officers(visit)
    titles = [(name, title(visit, name)) for name in findings.RULES]
    return visit.listed(
        listing, "security/alerts.html", people=people, titles=titles, states=security_reading.STATES
    )


def title(visit: Visit, rule: str) -> str:
    """Name a rule in the person's language."""
    known = findings.RULES.get(rule)
    return rule if known is None else known.vi if visit.words.language == "vi" else known.en


def sentence(visit: Visit, alert: Mapping[str, Any]) -> str:
    """Say what was found in the person's language."""
    return str(alert["sentence_vi" if visit.words.language == "vi" else "sentence_en"])


def line(visit: Visit, alert: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Make the row of an alert in a list."""
    about, about_href = alert_subjects.about(visit, alert, names)
    return {
        **alert,
        "sentence": sentence(visit, alert),
        "about": about,
        "about_href": about_href,
        "next": visit.words(f"alerts.next_{alert['state']}") if alert["state"] != alerts.CLOSED else "",
        "rule_title": title(visit, alert["rule"]),
        "rule_href": visit.link("rules.one", None, rule=alert["rule"]),
        "href": visit.link("alerts.one", None, id=alert["id"]),
    }


async def _officers(visit: Visit) -> list[str]:
    accounts = await register.listed(visit.hub.storage)
    return [it.name for it in accounts if register.Role.SECURITY_OFFICER in it.roles and it.is_active]


@routes.page("alerts.one")
async def one(visit: Visit) -> Response:
    """Show one alert: seen against normal, the same before, its group, what was done, and what can be done."""
    hub = visit.hub
    alert = await alerts.show(hub.storage, visit.param("id"))
    points, before, group, key, people, sent = await asyncio.gather(
        security_reading.usual(hub, alert, visit.words),
        security_reading.same_before(hub, alert),
        security_reading.group(hub, alert),
        security_reading.key(hub, alert["key_id"]),
        _officers(visit),
        notify.sent(hub.storage, hub.settings.alerts, alert["id"]),
    )
    names = await security_reading.key_names(hub, (row["key_id"] for row in (alert, *group)))
    return visit.page(
        "security/alert.html",
        alert=line(visit, alert, names),
        chart=_chart(visit, points),
        figures=_figures(visit, alert),
        before=[line(visit, row, names) for row in before],
        group=[line(visit, row, names) for row in group],
        key=key,
        can_hold=key is not None and key.state(visit.now) not in ("revoked", "expired"),
        in_force=[row for row in alert["responses"] if row["undone_at"] is None and row["until"] > visit.now],
        people=people,
        sent=sent,
        spans=list(SPANS),
        usual_curb=responses.USUAL_CURB,
        records=records_of(visit, alert),
    )


def records_of(visit: Visit, alert: Mapping[str, Any]) -> str:
    """Give the address of the records that an alert is about; nothing where it names nobody."""
    told = alert["records"]
    query = {name: told[name] for name in ("key_id", "official", "address") if told.get(name)}
    if not query:  # then it would be everything that anybody did in that time
        return ""
    operation = told.get("operation") or ""
    if operation.startswith("subject:"):  # a citizen's digest, which no address holds
        query["personal"] = "yes"
    elif operation:
        query["operation"] = operation
    return visit.link("records", {"from": told["since"], "to": told["until"], **query, "alert": alert["id"]})


def _chart(visit: Visit, points: list[charts.Banded] | list[charts.Bar]) -> Any:
    words = visit.words
    banded = [point for point in points if isinstance(point, charts.Banded)]
    if banded:
        is_known = any(point.high is not None for point in banded)
        heads = (words("alerts.hour"), words("alerts.seen"), words("alerts.from"), words("alerts.at_most"))
        return charts.banded(
            banded,
            title=words("alerts.chart_banded" if is_known else "alerts.chart_unknown"),
            heads=heads,
            unit=words("alerts.unit"),
            legend=(words("alerts.legend_seen"), words("alerts.legend_normal"), words("alerts.legend_outside")),
            figure=visit.figure,
        )
    bars = [point for point in points if isinstance(point, charts.Bar)]
    if not any(bar.value for bar in bars):
        return None
    heads_2 = (words("alerts.hour"), words("alerts.calls"))
    return charts.histogram(bars, title=words("alerts.chart_alone"), heads=heads_2, figure=visit.figure)


def _figures(visit: Visit, alert: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Put what was seen beside what is normal, by name; each name once."""
    seen, normal = alert["seen"], alert["normal"]
    names = [*seen, *(name for name in normal if name not in seen)]
    return [
        (
            visit.words.of("findings", name),
            _figure(visit, name, seen.get(name)),
            _figure(visit, name, normal.get(name)),
        )
        for name in names
    ]


def _figure(visit: Visit, name: str, value: Any) -> Any:
    """Write a figure of a finding: shares in percent, other fractions with their decimals."""
    if isinstance(value, float):
        is_share = name.endswith("share")
        value, form = (100 * value, ".3g") if is_share else (value, ",.0f" if abs(value) >= 1000 else ".4g")
        text = numerals.vi(value, form) if visit.words.language == "vi" else format(value, form)
        return f"{text}%" if is_share else text
    return forms.number(value, visit.words) if isinstance(value, int) else value


@routes.page("alerts.timeline")
async def timeline(visit: Visit) -> Response:
    """Show what happened to the alert's key or official over a month, the newest first."""
    alert = await alerts.show(visit.hub.storage, visit.param("id"))
    found = await security_reading.timeline(visit.hub, alert)
    ids = [alert["key_id"], *(row["key_id"] for row in found["alerts"])]
    names = await security_reading.key_names(visit.hub, ids)
    items = [*_of_alerts(visit, found["alerts"], alert["id"]), *_of_responses(visit, found["responses"])]
    items += [
        {
            "at": row["at"],
            "title": f"{_begun(visit.words.of('acts', row['act']))} · {row['actor']}",
            "detail": row["reason"],
            "state": "",
            "href": "",
        }
        for row in found["acts"]
    ]
    items += [
        {
            "at": row["first_at"],
            "title": visit.words("alerts.new_address", address=row["address"]),
            "detail": visit.words("alerts.address_used", used=row["used"], refused=row["refused"]),
            "state": "",
            "href": visit.link("records", {"key_id": row["key_id"], "address": row["address"], "range": "30d"}),
        }
        for row in found["uses"]
    ]
    items.sort(key=lambda item: item["at"], reverse=True)
    return visit.page(
        "security/timeline.html",
        alert=line(visit, alert, names),
        items=items,
        records=records_of(visit, alert),
    )


def _begun(text: str) -> str:
    """Begin a line with a capital; the rest stays, as it may hold names."""
    return text[:1].upper() + text[1:]


def _of_alerts(visit: Visit, rows: list[dict[str, Any]], shown: str) -> list[dict[str, Any]]:
    """Make the lines of alerts; the one that a person came from is marked."""
    items = []
    for row in rows:
        state = visit.words(f"alerts.{row['state']}")
        standing = f"{_begun(visit.words('alerts.this_one'))}, {state}" if row["id"] == shown else ""
        href = visit.link("alerts.one", None, id=row["id"])
        told = f"{title(visit, row['rule'])}: {sentence(visit, row)}"
        items.append(
            {"at": row["found_at"], "title": told, "detail": standing, "state": row["severity"], "href": href}
        )
        if row["closed_at"]:
            verdict = visit.words("alerts.was_closed", verdict=visit.words.of("verdict", row["closed_as"]))
            verdict = f"{verdict} · {title(visit, row['rule'])}"
            detail = f"{row['closed_by']}: {row['closed_reason']}"
            items.append({"at": row["closed_at"], "title": verdict, "detail": detail, "state": "", "href": href})
    return items


def _of_responses(visit: Visit, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    items = []
    for row in rows:
        kind = visit.words.of("response", row["kind"]).capitalize()
        until = f"{visit.words('alerts.until')} {forms.moment(row['until'], visit.words)}"
        detail = f"{row['begun_by']}: {row['reason']} ({until})"
        items.append({"at": row["begun_at"], "title": kind, "detail": detail, "state": "", "href": ""})
        if row["undone_at"]:
            told = visit.words("alerts.was_undone", kind=kind.lower())
            detail = f"{row['undone_by']}: {row['undone_reason']}"
            items.append({"at": row["undone_at"], "title": told, "detail": detail, "state": "", "href": ""})
    return items


# --------------------------------------------------------------------------------------------------------- acts


def until_of(visit: Visit) -> datetime:
    """Read for how long something holds. Raises InvalidRequest for what is not one of the choices."""
    span = SPANS.get(visit.text("span"))
    if span is None:
        problem = errors.FieldProblem("span", "Hãy chọn thời hạn.", "Choose for how long.")
        raise errors.InvalidRequest(problems=(problem,))
    return visit.now + span


@routes.act("alerts.take")
async def take(visit: Visit) -> Response:
    """Take an alert up, or give it to somebody."""
    name = visit.text("assignee") or visit.who.name
    if name not in {*await _officers(visit), visit.who.name}:
        problem = errors.FieldProblem(
            "assignee", "Người này không phải cán bộ an toàn.", "This is no security officer."
        )
        raise errors.InvalidRequest(problems=(problem,))
    alert = visit.param("id")
    await alerts.acknowledge(visit.hub.storage, alert, actor=visit.who.name, now=visit.now, assignee=name)
    return visit.go("alerts.one", id=alert, said="alerts.taken")


@routes.act("alerts.note")
async def note(visit: Visit) -> Response:
    """Write beside an alert."""
    alert = visit.param("id")
    await alerts.note(visit.hub.storage, alert, visit.text("text"), actor=visit.who.name, now=visit.now)
    return visit.go("alerts.one", id=alert, said="alerts.noted")


@routes.act("alerts.close")
async def close(visit: Visit) -> Response:
    """Close an alert with a verdict, which teaches what is normal."""
    alert = visit.param("id")
    await alerts.close(
        visit.hub.storage,
        alert,
        visit.text("as"),
        reason=visit.text("reason"),
        actor=visit.who.name,
        now=visit.now,
    )
    return visit.go("alerts.one", id=alert, said="alerts.closed_now")


@routes.act("alerts.respond")
async def respond(visit: Visit) -> Response:
    """Throttle the alert's key, demand proof of it, or suspend it; until an end."""
    alert, kind = visit.param("id"), visit.text("kind")
    await responding.respond(
        visit.hub.storage,
        alert,
        kind,
        reason=visit.text("reason"),
        until=until_of(visit),
        actor=visit.who.name,
        now=visit.now,
        limit=visit.text("limit") or responses.USUAL_CURB,
    )
    return visit.go("alerts.one", id=alert, said=f"alerts.done_{kind}", undo="alerts.undo")


@routes.act("alerts.undo")
async def undo(visit: Visit) -> Response:
    """Undo one response, or everything that was done from an alert."""
    alert = visit.param("id")
    name = visit.text("response") or alert
    if name != alert and name not in {row["id"] for row in await responses.of_alert(visit.hub.storage, alert)}:
        raise errors.NotFound("there is no such response", detail_vi="Không có biện pháp này.")
    reason = visit.text("reason")
    await responding.undo(visit.hub.storage, name, reason=reason, actor=visit.who.name, now=visit.now)
    return visit.go("alerts.one", id=alert, said="alerts.undone")


@routes.act("alerts.silence")
async def silence(visit: Visit) -> Response:
    """Let the alert's rule open nothing about the same one until an end."""
    alert = await alerts.show(visit.hub.storage, visit.param("id"))
    await alert_rules.silence(
        visit.hub.storage,
        rule=alert["rule"],
        entity=alert["entity"] if visit.text("what") != "rule" else None,
        until=until_of(visit),
        reason=visit.text("reason"),
        actor=visit.who.name,
        now=visit.now,
    )
    return visit.go("alerts.one", id=alert["id"], said="alerts.silenced")
