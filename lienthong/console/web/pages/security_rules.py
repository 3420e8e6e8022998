"""The rules of detection as people set them, how often each fires, and the silences in force."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from starlette.responses import Response

from lienthong.api_keys import responses
from lienthong.console.web import alert_subjects, security_reading
from lienthong.console.web.listing import Column, Listing
from lienthong.console.web.pages import security_alerts
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.core import errors
from lienthong.monitoring import alert_rules, alerts

routes = Routes()
_LOOKED_BACK = timedelta(days=30)
_STEPS = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9)
_COLUMNS = (
    Column("title", "rules.rule", link="href", sorts=True),
    Column("severity", "alerts.severity", "chip", area="severity", sorts=True),
    Column("mode", "rules.mode", "chip", area="modes", sorts=True),
    Column("least_told", "rules.least_score", sorts=True),
    Column("response", "rules.response"),
    Column("open", "rules.open", "number", link="open_href", sorts=True),
    Column("closed", "rules.closed", "number", link="closed_href", sorts=True),
    Column("test", "rules.would_have", "number", link="test_href", sorts=True),
    Column("changed_at", "rules.changed", "ago", sorts=True),
)


@routes.page("rules")
async def show(visit: Visit) -> Response:
    """List the rules, how each is set, and how often it fired."""
    counted = await alerts.counts(visit.hub.storage)
    rows = [_row(visit, row, counted.get(row["rule"], {})) for row in await alert_rules.listed(visit.hub.storage)]
    listing = Listing("rules", _COLUMNS, rows, visit.path, visit.query, total=len(rows)).sorted()
    silences = await _silences(visit)
    names = {row["rule"]: row["title"] for row in rows}
    return visit.listed(listing, "security/rules.html", silences=silences, names=names)


async def _silences(visit: Visit) -> list[dict[str, Any]]:
    found = await security_reading.silences(visit.hub, visit.now)
    parts = [alert_subjects.parted(row["entity"] or "") for row in found]
    keys = await security_reading.key_names(visit.hub, (part.get("key_id") for part in parts))
    told = [alert_subjects.about(visit, part, keys) if part else ("", "") for part in parts]
    return [{**row, "about": text, "about_href": href} for row, (text, href) in zip(found, told, strict=True)]


def _row(visit: Visit, row: dict[str, Any], counted: dict[str, int]) -> dict[str, Any]:
    rule = row["rule"]
    told = ""
    if row["response"]:
        kind = visit.words.of("response", row["response"])
        told = visit.words("rules.by_itself", kind=kind, minutes=row["response_minutes"])
    return {
        **row,
        "title": row["title_vi" if visit.words.language == "vi" else "title_en"],
        "least_told": visit.figure(row["least_score"]) if row["least_score"] else visit.words("rules.any_score"),
        "response": told or visit.words("rules.nothing_by_itself"),
        "open": counted.get("open", 0) + counted.get("acknowledged", 0),
        "closed": counted.get("closed", 0),
        "test": counted.get("test", 0),
        "href": visit.link("rules.one", None, rule=rule),
        "open_href": visit.link("alerts", {"rule": rule}),
        "closed_href": visit.link("alerts", {"rule": rule, "state": "closed"}),
        "test_href": visit.link("alerts", {"rule": rule, "tests": "yes"}),
    }


@routes.page("rules.one")
async def one(visit: Visit) -> Response:
    """Show one rule: how it is set, and how often it would have fired at other thresholds."""
    rule = visit.param("rule")
    alert_rules.must_be_known(rule)
    found = next(row for row in await alert_rules.listed(visit.hub.storage) if row["rule"] == rule)
    counted = await alerts.counts(visit.hub.storage)
    scores = await security_reading.fired(visit.hub, rule, since=visit.now - _LOOKED_BACK)
    steps = [(step, sum(score >= step for score in scores)) for step in _STEPS]
    return visit.page(
        "security/rule.html",
        rule=_row(visit, found, counted.get(rule, {})),
        kind=found["response"] or "",
        steps=steps,
        days=_LOOKED_BACK.days,
        modes=alert_rules.MODES,
        kinds=responses.KINDS,
        usual_curb=responses.USUAL_CURB,
        spans=list(security_alerts.SPANS),
    )


@routes.act("rules.set")
async def change(visit: Visit) -> Response:
    """Set a rule: on, tested or off; from which score; and what it does by itself."""
    rule = visit.param("rule")
    kind = visit.text("response") or None
    wanted = alert_rules.Setting(
        rule,
        visit.text("mode"),
        _score(visit.text("least_score")),
        kind,
        (visit.text("limit") or None) if kind == responses.THROTTLE else None,
        _minutes(visit.text("minutes")) if kind else None,
    )
    reason = visit.text("reason")
    await alert_rules.change(visit.hub.storage, wanted, reason=reason, actor=visit.who.name, now=visit.now)
    return visit.go("rules.one", rule=rule, said="rules.set_now")


def _score(text: str) -> float:
    try:
        return float(text.replace(",", ".") or "0")
    except ValueError:
        return -1.0  # which the rule refuses by name


def _minutes(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0


@routes.act("silences.add")
async def silence(visit: Visit) -> Response:
    """Let a rule open no alert until an end."""
    rule = visit.text("rule")
    if not rule:
        problem = errors.FieldProblem("rule", "Hãy chọn quy tắc.", "Choose a rule.")
        raise errors.InvalidRequest(problems=(problem,))
    await alert_rules.silence(
        visit.hub.storage,
        rule=rule,
        entity=None,
        until=security_alerts.until_of(visit),
        reason=visit.text("reason"),
        actor=visit.who.name,
        now=visit.now,
    )
    return visit.go("rules", said="alerts.silenced")


@routes.act("silences.end")
async def end(visit: Visit) -> Response:
    """End a silence before its time."""
    await security_reading.end_silence(
        visit.hub, visit.param("id"), reason=visit.text("reason"), actor=visit.who.name, now=visit.now
    )
    return visit.go("rules", said="rules.silence_ended")
