"""What the security officer's pages read about alerts: the inbox, the same before, the group, what was usual."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from lienthong.api_keys import key_store
from lienthong.bus.hub import Hub
from lienthong.console.web import charts, forms
from lienthong.console.web.words import Words
from lienthong.core import access_record, clock, errors, journal, storage, tables
from lienthong.monitoring import alerts, asking, baseline_store, baselines, rollups
from lienthong.monitoring.detectors import places

_t, _r = tables.alerts, tables.responses
PAGE = 50
SHOWN = 20
BEFORE, AFTER = timedelta(hours=24), timedelta(hours=2)
WAITING = "waiting"
STATES = (WAITING, *alerts.STATES)
_HOUR_S = 3600
_AHEAD_S = 7 * 3600


@dataclass(frozen=True, slots=True)
class Inbox:
    """One page of alerts, the newest first, and where the next begins."""

    rows: list[dict[str, Any]]
    cursor: str


def sources(hub: Hub) -> asking.Sources:
    """Say where this hub's record lies."""
    return asking.of(hub.storage, hub.settings.home)


async def inbox(hub: Hub, query: Mapping[str, str], *, limit: int = PAGE) -> Inbox:
    """Read one page of the inbox as its filters ask; without a state what waits for somebody."""
    state, after = query.get("state", WAITING) or WAITING, query.get("after", "")
    where: list[sa.ColumnElement[bool]] = [_t.c.is_test.is_(query.get("tests") == "yes")]
    if state == WAITING:
        where.append(_t.c.state.in_((alerts.OPEN, alerts.ACKNOWLEDGED)))
    elif state in alerts.STATES:
        where.append(_t.c.state == state)
    where += [
        _t.c[name] == query[name]
        for name in ("rule", "severity", "assignee", "official", "key_id")
        if query.get(name)
    ]
    if group := query.get("group"):
        where.append(sa.or_(_t.c.grouped == group, _t.c.id == group))
    if after:
        at, _, last = after.partition("~")
        end = sa.tuple_(sa.literal(_moment(at), _t.c.found_at.type), last)
        where.append(sa.tuple_(_t.c.found_at, _t.c.id) < end)
    asked = sa.select(_t).where(*where).order_by(_t.c.found_at.desc(), _t.c.id.desc()).limit(limit + 1)
    async with hub.storage.reading() as conn:
        rows = await storage.every(conn, asked)
    more = rows[limit - 1] if len(rows) > limit else None
    return Inbox(rows[:limit], f"{more['found_at'].timestamp():.6f}~{more['id']}" if more else "")


def _moment(text: str) -> datetime:
    try:
        return access_record.moment(round(float(text) * 1e6))
    except (ValueError, OverflowError) as exc:
        raise errors.InvalidRequest(
            "the address of this page is damaged; open the list again",
            detail_vi="Địa chỉ trang bị hỏng; hãy mở lại danh sách.",
        ) from exc


async def key_names(hub: Hub, ids: Iterable[str | None]) -> dict[str, str]:
    """Name keys as people know them: the organisation, and how the key begins."""
    wanted = sorted({each for each in ids if each})
    if not wanted:
        return {}
    keys = tables.api_keys
    asked = sa.select(keys.c.id, keys.c.prefix, keys.c.organisation).where(keys.c.id.in_(wanted))
    async with hub.storage.reading() as conn:
        return {row["id"]: f"{row['organisation']} ({row['prefix']}…)" for row in await storage.every(conn, asked)}


async def key_id(hub: Hub, text: str) -> str:
    """Give the id of the key that a text names by its id or how it begins; the text itself where that is none."""
    keys, begin = tables.api_keys, text.partition("…")[0].strip()
    asked = sa.select(keys.c.id).where(sa.or_(keys.c.id == text, keys.c.prefix == begin)).limit(2)
    async with hub.storage.reading() as conn:
        found = [row["id"] for row in await storage.every(conn, asked)]
    return found[0] if len(found) == 1 else text


async def same_before(hub: Hub, alert: Mapping[str, Any]) -> list[dict[str, Any]]:
    """List the earlier alerts of the same rule about the same one, and how they were closed."""
    same = (_t.c.rule == alert["rule"], _t.c.entity == alert["entity"], _t.c.found_at < alert["found_at"])
    asked = sa.select(_t).where(*same).order_by(_t.c.found_at.desc()).limit(SHOWN)
    async with hub.storage.reading() as conn:
        return await storage.every(conn, asked)


async def group(hub: Hub, alert: Mapping[str, Any]) -> list[dict[str, Any]]:
    """List the other alerts that belong together with one."""
    first = alert["grouped"] or alert["id"]
    together = sa.or_(_t.c.grouped == first, _t.c.id == first)
    asked = sa.select(_t).where(together, _t.c.id != alert["id"]).order_by(_t.c.found_at.desc()).limit(SHOWN)
    async with hub.storage.reading() as conn:
        return await storage.every(conn, asked)


async def timeline(hub: Hub, alert: Mapping[str, Any], *, days: int = 30) -> dict[str, list[dict[str, Any]]]:
    """Read what happened to the alert's key or official: alerts, responses, acts, new addresses."""
    since = alert["found_at"] - timedelta(days=days)
    acts, uses = tables.admin_acts, tables.key_uses
    whose: list[sa.ColumnElement[bool]] = [_t.c.entity == alert["entity"]]
    whose += [_t.c[name] == alert[name] for name in ("key_id", "official") if alert[name]]
    subjects = [value for value in (alert["key_id"], alert["official"]) if value]
    async with hub.storage.reading() as conn:
        asked = sa.select(_t).where(sa.or_(*whose), _t.c.found_at >= since).order_by(_t.c.found_at.desc())
        found = {"alerts": await storage.every(conn, asked.limit(PAGE))}
        done = sa.select(_r).where(_r.c.key_id == (alert["key_id"] or "")).order_by(_r.c.begun_at.desc())
        found["responses"] = await storage.every(conn, done.limit(PAGE))
        told = sa.select(acts).where(acts.c.object.in_(subjects), acts.c.at >= since)
        told = told.where(sa.not_(acts.c.act.like("keys.respond%"))).order_by(acts.c.number.desc())
        found["acts"] = await storage.every(conn, told.limit(PAGE)) if subjects else []
        first = sa.select(uses).where(uses.c.key_id == (alert["key_id"] or ""), uses.c.first_at >= since)
        found["uses"] = await storage.every(conn, first.order_by(uses.c.first_at.desc()).limit(SHOWN))
    return found


async def key(hub: Hub, key_id: str | None) -> Any:
    """Give the alert's key, where there is one and it is still in the register."""
    if not key_id:
        return None
    try:
        return await key_store.show(hub.storage, key_id)
    except errors.NotFound:
        return None


def span(alert: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """Say which time to look at: from a day before it began, a week at most, until shortly after it was seen."""
    until = alert["last_seen_at"] + AFTER
    return max(alert["since"] - BEFORE, until - timedelta(days=7)), until


def question(alert: Mapping[str, Any]) -> asking.Question:
    """Ask the record for what the alert is about."""
    since, until = span(alert)
    named = {name: alert[name] for name in ("key_id", "official", "address") if alert[name]}
    return asking.Question(since=since, until=until, direction="in", **named)


async def usual(hub: Hub, alert: Mapping[str, Any], words: Words) -> list[charts.Banded] | list[charts.Bar]:
    """Give the calls of each hour around an alert: over what is normal where that is known, else alone."""
    if not any(alert[name] for name in ("key_id", "official", "address")):
        return []
    asked = question(alert)
    counted = {row["hour"].timestamp(): row["requests"] for row in await rollups.histogram(sources(hub), asked)}
    since, until = span(alert)
    first = int(since.timestamp()) // _HOUR_S
    hours = range(first, int(min(until, hub.now()).timestamp()) // _HOUR_S + 1)
    known = await _baseline(hub, alert)
    if known is not None:
        is_learned = places.has_learned(known.first_at, until.timestamp(), known.calls)
        days = baselines.Days(hub.calendar)
        return _over_normal(known, days, counted, hours, is_learned=is_learned, words=words)
    begun = alert["since"].timestamp() // _HOUR_S
    return [
        charts.Bar(_told(hour, words), counted.get(hour * _HOUR_S, 0), state="danger" if hour >= begun else "")
        for hour in hours
    ]


async def _baseline(hub: Hub, alert: Mapping[str, Any]) -> baselines.Baseline | None:
    if not alert["key_id"] or alert["official"] or alert["address"]:
        return None  # what is normal for a whole key is no measure for one official or one address of it
    try:
        row = await baseline_store.show(hub.storage, alert["key_id"])
    except errors.NotFound:
        return None
    known = baselines.from_json(row["body"]) if row["version"] == baselines.VERSION else None
    return known if known and known.cells else None


def _over_normal(
    known: baselines.Baseline,
    days: baselines.Days,
    counted: Mapping[float, int],
    hours: Sequence[int],
    *,
    is_learned: bool,
    words: Words,
) -> list[charts.Banded]:
    """Put calls over what is normal; an hour without any is normal nothing, but only once enough was learned."""
    points = []
    for hour in hours:
        day, hour_of_day = divmod(hour + _AHEAD_S // _HOUR_S, 24)
        group_of_day, weekday, _ = days.of(day)
        normal = known.normal("requests", group_of_day, weekday, hour_of_day)
        seen = counted.get(hour * _HOUR_S, 0)
        if not normal.days and not is_learned:
            points.append(charts.Banded(_told(hour, words), seen, None, None))
            continue
        high = baselines.upper(normal, floor=1.0) if normal.days else 0.0
        points.append(charts.Banded(_told(hour, words), seen, min(normal.low, high), round(high)))
    return points


def _told(hour: int, words: Words) -> str:
    return forms.hour(datetime.fromtimestamp(hour * _HOUR_S, clock.VIETNAM), words)


async def fired(hub: Hub, rule: str, *, since: datetime) -> list[float]:
    """Give the scores of what a rule found since a moment, opened or only tested."""
    asked = sa.select(_t.c.score).where(_t.c.rule == rule, _t.c.found_at >= since)
    async with hub.storage.reading() as conn:
        return [row["score"] for row in await storage.every(conn, asked.limit(10_000))]


async def silences(hub: Hub, now: datetime) -> list[dict[str, Any]]:
    """List the silences in force."""
    table = tables.alert_silences
    asked = sa.select(table).where(table.c.until > now, table.c.ended_at.is_(None)).order_by(table.c.until)
    async with hub.storage.reading() as conn:
        return await storage.every(conn, asked)


async def end_silence(hub: Hub, silence_id: str, *, reason: str, actor: str, now: datetime) -> None:
    """End a silence before its time. Raises NotFound, or InvalidRequest without a reason."""
    if not reason.strip():
        raise errors.InvalidRequest(problems=(errors.FieldProblem("reason", "Hãy nêu lý do.", "Give a reason."),))
    table = tables.alert_silences
    async with hub.storage.transaction() as tx:
        still = sa.and_(table.c.id == silence_id, table.c.ended_at.is_(None), table.c.until > now)
        done = await tx.execute(table.update().where(still).values(ended_at=now))
        if not done.rowcount:
            raise errors.NotFound("this silence has ended", detail_vi="Khoảng im lặng này đã kết thúc.")
        await journal.write_act(tx, "alerts.silence_end", silence_id, actor=actor, now=now, reason=reason)
