"""How everything stands, for the overview: each system, today's flow, and what waits for a person."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from lienthong.bus import targets
from lienthong.bus.flows import maintenance, sync_runs
from lienthong.bus.hub import Hub
from lienthong.console.web import operator_outbox
from lienthong.core import clock, storage, tables
from lienthong.monitoring import asking, rollups

_m, _x = tables.messages, tables.exchanges
HOURS = 24
# The state of a target that is paused for its planned maintenance: nobody need do anything.
PLANNED = "planned"
_PROMISE = re.compile("; (?:sẽ được (?:gửi|thử) lại|it will be tried again)")
_REFUSED = ("Server.Remote.Refused", "Server.Remote.Forbids")


@dataclass(slots=True)
class System:
    """One outside system as it stands. `hours`: calls in each of the last 24; `failed`: those that failed."""

    name: str
    state: str = targets.ACTIVE
    reason: str = ""
    waiting: int = 0
    oldest_at: datetime | None = None
    dead: int = 0
    last_success_at: datetime | None = None
    refused: int = 0
    hours: list[int] = field(default_factory=lambda: [0] * HOURS)
    failed: list[int] = field(default_factory=lambda: [0] * HOURS)
    window: maintenance.Window | None = None
    is_target: bool = False
    probe_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Flow:
    """Messages of one day: promised, delivered, and waiting for more than an hour at that hour."""

    accepted: int
    delivered: int
    late: int


@dataclass(frozen=True, slots=True)
class Matter:
    """Something that only a person can settle: what, how often, since when, and the page where it is done.

    `word` is a key of words with the facts, one that is a sentence in both languages; `query` narrows the page's
    list; `command` does the same by hand.
    """

    word: str
    facts: dict[str, Any]
    since: datetime | None
    place: str
    query: dict[str, str]
    command: str


async def systems(hub: Hub) -> list[System]:
    """Describe every system that is enabled, or that messages wait for."""
    now = hub.now()
    known, counts, calls, windows = await asyncio.gather(
        targets.listed(hub.storage),
        operator_outbox.waiting(hub),
        _calls(hub, now=now),
        maintenance.ahead(hub.storage, now=now),
    )
    names = {*hub.systems, *(it.name for it in known), *(row["target"] for row in counts)}
    found = {name: System(name) for name in sorted(names)}
    for target in known:
        it = found[target.name]
        it.state = PLANNED if _is_planned(target, windows, now=now) else target.state
        it.reason, it.last_success_at = target.reason, target.last_success_at
        it.probe_at = target.probe_at
    for row in counts:
        _count(found[row["target"]], row)
    for name in hub.settings.dossiers.targets:
        if name in found:
            found[name].is_target = True
    for window in windows:
        if window.system in found and found[window.system].window is None:
            found[window.system].window = window
    await _add_calls(hub, found, calls, now=now)
    return list(found.values())


def _is_planned(target: targets.Target, windows: Sequence[maintenance.Window], *, now: datetime) -> bool:
    """Whether a target is paused for planned maintenance that lasts."""
    return any(
        window.system == target.name and window.is_on(now) and window.holds(target.state, target.probe_at)
        for window in windows
    )


def _count(it: System, row: dict[str, Any]) -> None:
    it.is_target = True
    if row["state"] in ("pending", "in_flight"):
        it.waiting += row["messages"]
        it.oldest_at = min(filter(None, (it.oldest_at, row["oldest_at"])))
    elif row["state"] == "dead":
        it.dead += row["messages"]


async def _calls(hub: Hub, *, now: datetime) -> list[dict[str, Any]]:
    """Count the hub's own calls by system, outcome and hour; whole hours come out of counts, not rows."""
    begun = _hour(now) - timedelta(hours=HOURS - 1)
    question = asking.Question(since=begun, direction="out")
    sources = asking.of(hub.storage, hub.settings.home)
    return await rollups.counted(sources, question, by=["system", "outcome", "hour"], sums=())


async def _add_calls(hub: Hub, found: dict[str, System], calls: list[dict[str, Any]], *, now: datetime) -> None:
    begun = _hour(now) - timedelta(hours=HOURS - 1)
    today = now.astimezone(clock.VIETNAM).replace(hour=0, minute=0, second=0, microsecond=0)
    last_ok: dict[str, datetime] = {}
    for row in calls:
        it = found.setdefault(row["system"], System(row["system"]))
        hour: datetime = row["hour"]
        at = (hour - begun) // timedelta(hours=1)
        if 0 <= at < HOURS:
            it.hours[at] += row["requests"]
            it.failed[at] += row["requests"] if row["outcome"] != "ok" else 0
        if row["outcome"].startswith(_REFUSED) and hour >= today:
            it.refused += row["requests"]
        if row["outcome"] == "ok":
            last_ok[it.name] = max(hour, last_ok.get(it.name, hour))
    for name, hour in last_ok.items():
        if found[name].last_success_at is None:
            found[name].last_success_at = await _last_ok(hub, name, hour)


async def _last_ok(hub: Hub, name: str, hour: datetime) -> datetime:
    """Find the last call in an hour that went well, stepping back through the index of times."""
    wanted = (
        sa.select(_x.c.at)
        .where(_x.c.at >= hour, _x.c.at < hour + timedelta(hours=1))
        .where(_x.c.direction == "out", _x.c.system == name, _x.c.outcome == "ok")
        .order_by(_x.c.at.desc())
        .limit(1)
    )
    async with hub.storage.reading() as conn:
        found: datetime | None = (await conn.execute(wanted)).scalar()
    return found or hour.astimezone(clock.VIETNAM)


def _hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0)


async def flow(hub: Hub, *, days_ago: int = 0) -> Flow:
    """Count the messages of today, or of the same hours of an earlier day."""
    now = hub.now() - timedelta(days=days_ago)
    begun = operator_outbox.midnight(now)
    wanted = sa.select(_m.c.state, sa.func.count().label("messages")).group_by(_m.c.state)
    late = sa.select(sa.func.count()).where(operator_outbox.late(now, is_past=days_ago > 0))
    async with hub.storage.reading() as conn:
        counted = await storage.every(conn, wanted.where(operator_outbox.made(begun, now)))
        waiting_long = int((await conn.execute(late)).scalar_one())
    by_state = {row["state"]: row["messages"] for row in counted}
    return Flow(sum(by_state.values()), by_state.get("delivered", 0), waiting_long)


# ------------------------------------------------------------------------------------- what waits for a person


async def matters(hub: Hub) -> list[Matter]:
    """List what only a person can settle, the oldest first."""
    finders = (_dead, _stopped, _questions, _refunds, _parcels, _differences, _held_runs, _ending_keys)
    found = await asyncio.gather(*(finder(hub) for finder in finders))
    every = [matter for matters in found for matter in matters]
    return sorted(every, key=lambda it: it.since or hub.now())


async def _dead(hub: Hub) -> list[Matter]:
    wanted = (
        sa.select(
            _m.c.target,
            _m.c.last_code,
            sa.func.count().label("count"),
            sa.func.min(_m.c.settled_at).label("since"),
        )
        .where(operator_outbox.UNFINISHED, _m.c.state == "dead")
        .group_by(_m.c.target, _m.c.last_code)
    )
    async with hub.storage.reading() as conn:
        rows = await storage.every(conn, wanted)
    return [
        Matter(
            "overview.dead",
            {"count": row["count"], "code": row["last_code"] or "?", "system": row["target"]},
            row["since"],
            "messages",
            {"state": "dead", "target": row["target"], "code": row["last_code"] or ""},
            f"lienthong messages list --state dead --target {row['target']}",
        )
        for row in rows
    ]


async def _stopped(hub: Hub) -> list[Matter]:
    """Name the targets that are stopped, but for those whose planned maintenance lasts."""
    table, now = tables.targets, hub.now()
    async with hub.storage.reading() as conn:
        rows = await storage.every(conn, sa.select(table).where(table.c.state != targets.ACTIVE))
    windows = await maintenance.ahead(hub.storage, now=now) if rows else []
    return [
        Matter(
            f"overview.{row['state']}",
            {"system": row["name"], "reason": row["reason"] or "–"},
            row["changed_at"],
            "targets",
            {},
            "lienthong targets list",
        )
        for row in rows
        if not _is_planned(targets.Target(row["name"], row["state"], probe_at=row["probe_at"]), windows, now=now)
    ]


async def _questions(hub: Hub) -> list[Matter]:
    table = tables.payment_questions
    wanted = (
        sa.select(table.c.kind, sa.func.count().label("count"), sa.func.min(table.c.asked_at).label("since"))
        .where(table.c.closed_at.is_(None))
        .group_by(table.c.kind)
    )
    async with hub.storage.reading() as conn:
        rows = await storage.every(conn, wanted)
    return [
        Matter(
            "overview.question",
            {"count": row["count"], "kind": row["kind"]},
            row["since"],
            "payments",
            {"open": "1", "kind": row["kind"]},
            "",
        )
        for row in rows
    ]


async def _refunds(hub: Hub) -> list[Matter]:
    table = tables.payment_refunds
    waits = table.c.state.in_(("waiting", "with_person"))
    return await _counted(hub, "overview.refund", table.c.requested_at, waits, "refunds")


async def _parcels(hub: Hub) -> list[Matter]:
    table = tables.parcel_questions
    return await _counted(hub, "overview.parcel", table.c.asked_at, table.c.closed_at.is_(None), "parcels")


async def _differences(hub: Hub) -> list[Matter]:
    table = tables.reconciliation_differences
    is_open = table.c.closed_at.is_(None)
    return await _counted(hub, "overview.difference", table.c.found_at, is_open, "reconciliation")


async def _counted(
    hub: Hub, word: str, since: sa.ColumnElement[Any], where: sa.ColumnElement[bool], place: str
) -> list[Matter]:
    """Name how many of a kind wait for a person, and since when."""
    wanted = sa.select(sa.func.count().label("count"), sa.func.min(since).label("since")).where(where)
    async with hub.storage.reading() as conn:
        row = (await storage.every(conn, wanted))[0]
    return [Matter(word, {"count": row["count"]}, row["since"], place, {}, "")] if row["count"] else []


async def _held_runs(hub: Hub) -> list[Matter]:
    """Name the newest run of each source where it was held or failed; a later good one settles it."""
    table = tables.sync_runs
    wanted = sa.select(table).order_by(table.c.started_at.desc()).limit(50)
    async with hub.storage.reading() as conn:
        rows = await storage.every(conn, wanted)
    newest: dict[str, dict[str, Any]] = defaultdict(dict)
    for row in rows:
        newest[row["source"]] = newest[row["source"]] or row
    return [
        Matter(
            f"overview.sync_{row['state']}",
            {"source": source, "reason": _cause(row)},
            row["started_at"],
            "sync",
            {},
            "lienthong sync procedures",
        )
        for source, row in newest.items()
        if row["state"] in ("held", "failed")
    ]


def _cause(run: Mapping[str, Any]) -> dict[str, str]:
    """Say why a run waits for a person, without the promise of its error: a run that failed is not tried again."""
    return {language: _PROMISE.sub("", text) for language, text in sync_runs.why(run).items()}


async def _ending_keys(hub: Hub) -> list[Matter]:
    table, now = tables.api_keys, hub.now()
    days = max(hub.settings.keys.remind_days, default=30)
    wanted = (
        sa.select(table.c.id, table.c.prefix, table.c.organisation, table.c.expires_at)
        .where(table.c.revoked_at.is_(None), table.c.expires_at > now)
        .where(table.c.expires_at < now + timedelta(days=days))
        .order_by(table.c.expires_at)
        .limit(20)
    )
    async with hub.storage.reading() as conn:
        rows = await storage.every(conn, wanted)
    return [
        Matter(
            "overview.ending_key",
            {
                "prefix": row["prefix"],
                "organisation": row["organisation"],
                "days": (row["expires_at"] - now).days,
            },
            None,
            "keys",
            {},
            f"lienthong keys rotate {row['id']}",
        )
        for row in rows
    ]
