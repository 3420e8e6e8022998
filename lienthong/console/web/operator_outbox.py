"""The outbox as an operator looks at it: what is stuck by cause, rows, and what sending again would do."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from lienthong.bus.hub import Hub
from lienthong.console.web.visit import Visit
from lienthong.console.web.words import Words
from lienthong.core import clock, errors, storage, tables

_m = tables.messages
# Written out, so that the partial index of unfinished messages is used: delivered ones may be millions.
UNFINISHED = sa.text("messages.state in ('pending', 'in_flight', 'dead')")
STATES = ("pending", "in_flight", "dead", "delivered", "dropped")
_OPEN = STATES[:3]
# What waits for a system: messages whose turn has not come, and those under way.
WAITING = "waiting"
_WAITING = STATES[:2]
PAGE = 50
EXPORT = 10_000
# Above this the messages behind are not counted one by one.
COUNTED_BEHIND = 20_000
# Which messages of today are meant: all that were taken, or those that have waited for longer than `LATE`.
MADE = ("today", "late")
LATE = timedelta(hours=1)
_ID = re.compile(r"[0-9a-f-]{36}")
_SHOWN = [column for column in _m.c if column.name != "payload"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which stuck messages are meant: one by its id, or all of a target, a cause, a dossier."""

    id: str = ""
    target: str = ""
    code: str = ""
    lane: str = ""

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Chosen:
        """Read it from an address or a form. Raises InvalidRequest where nothing is named."""
        found = cls(**{name: given.get(name, "").strip()[:100] for name in ("id", "target", "code", "lane")})
        if found == cls() or (found.id and not _ID.fullmatch(found.id)):
            vi = "Hãy nêu thông điệp, nơi nhận, mã lỗi hoặc hồ sơ."
            en = "Name a message, a target, a cause or a dossier."
            raise errors.InvalidRequest(problems=(errors.FieldProblem("target", vi, en),))
        return found

    def filters(self) -> dict[str, Any]:
        """Give the same for `outbox.retry` and `outbox.drop`: dead messages only."""
        named = {"target": self.target, "code": self.code, "lane": self.lane}
        return {"state": "dead", "ids": [self.id] if self.id else (), **named}

    def told(self) -> dict[str, str]:
        """Give what was named, for an address or the trail."""
        named = {"id": self.id, "target": self.target, "code": self.code, "lane": self.lane}
        return {name: value for name, value in named.items() if value}

    def subject(self) -> str:
        """Give it in one line."""
        return self.id or " ".join(f"{name}={value}" for name, value in self.told().items())

    def where(self) -> sa.ColumnElement[bool]:
        """Give it as a condition over the messages."""
        named = (
            (_m.c.id, self.id),
            (_m.c.target, self.target),
            (_m.c.last_code, self.code),
            (_m.c.lane, self.lane),
        )
        wanted = [column == value for column, value in named if value]
        return sa.and_(UNFINISHED, _m.c.state == "dead", *wanted)


@dataclass(frozen=True, slots=True)
class Plan:
    """What sending again or giving up would touch, target by target; `behind` would be free to go after it."""

    parts: list[dict[str, Any]]
    count: int
    behind: int | None
    sample: list[dict[str, Any]]


async def groups(hub: Hub) -> list[dict[str, Any]]:
    """Group what is stuck by its cause and target, the largest first."""
    wanted = (
        sa.select(
            _m.c.target,
            _m.c.last_code,
            sa.func.count().label("count"),
            sa.func.min(_m.c.settled_at).label("since"),
            sa.func.max(_m.c.settled_at).label("latest"),
            sa.func.min(_m.c.id).label("example"),
        )
        .where(UNFINISHED, _m.c.state == "dead")
        .group_by(_m.c.target, _m.c.last_code)
        .order_by(sa.desc("count"), _m.c.target)
    )
    async with hub.storage.reading() as conn:
        return await storage.every(conn, wanted)


async def waiting(hub: Hub, target: str = "") -> list[dict[str, Any]]:
    """Count unfinished messages by target and state, with the oldest: over the index of them alone."""
    wanted = (
        sa.select(
            _m.c.target,
            _m.c.state,
            sa.func.count().label("messages"),
            sa.func.min(_m.c.waiting_since).label("oldest_at"),
        )
        .where(UNFINISHED, *([_m.c.target == target] if target else []))
        .group_by(_m.c.target, _m.c.state)
        .order_by(_m.c.target, _m.c.state)
    )
    async with hub.storage.reading() as conn:
        return await storage.every(conn, wanted)


def made(begun: datetime, ended: datetime) -> sa.ColumnElement[bool]:
    """Give the condition that a message was taken between two moments; its id says when (UUID version 7)."""
    return sa.and_(_m.c.id >= _id_at(begun), _m.c.id < _id_at(ended))


def late(now: datetime, *, is_past: bool = False) -> sa.ColumnElement[bool]:
    """Give the condition that a message was taken that day and had waited for longer than `LATE`.

    `is_past`: as it stood at a moment gone by, when what has come to its end since was waiting too.
    """
    waits: sa.ColumnElement[bool] = _m.c.state.in_(("pending", "in_flight"))
    if is_past:
        waits = sa.or_(waits, _m.c.settled_at >= now)
    return sa.and_(waits, made(midnight(now), now - LATE))


def midnight(now: datetime) -> datetime:
    """Say when the day began, by the clock here."""
    return now.astimezone(clock.VIETNAM).replace(hour=0, minute=0, second=0, microsecond=0)


def _id_at(moment: datetime) -> str:
    """Give the smallest id that is made at a moment."""
    text = int(moment.timestamp() * 1000).to_bytes(6, "big").hex()
    return f"{text[:8]}-{text[8:12]}-0000-0000-000000000000"


async def stopped(hub: Hub, names: Collection[str]) -> list[dict[str, Any]]:
    """Name those of some targets that nothing is sent to for now, with why."""
    table = tables.targets
    wanted = sa.select(table.c.name, table.c.state, table.c.reason)
    wanted = wanted.where(table.c.name.in_(names), table.c.state != "active").order_by(table.c.name)
    async with hub.storage.reading() as conn:
        return await storage.every(conn, wanted)


async def rows(
    hub: Hub, asked: Mapping[str, str], *, after: int = 0, limit: int = PAGE
) -> tuple[list[dict[str, Any]], str]:
    """List messages, the newest first, without their payload; and where the next page begins."""
    named = (("target", _m.c.target), ("code", _m.c.last_code), ("lane", _m.c.lane))
    state = asked.get("state", "")
    where: list[sa.ColumnElement[bool] | sa.TextClause] = [
        column == asked[name] for name, column in named if asked.get(name)
    ]
    if state:
        where.append(_m.c.state.in_(_WAITING if state == WAITING else (state,)))
    if asked.get("made") in MADE:
        now = hub.now()
        where.append(late(now) if asked["made"] == "late" else made(midnight(now), now))
    order: sa.ColumnElement[Any] = _m.c.seq.desc()
    if state in (WAITING, *_OPEN) or asked.get("code"):
        # A cause is that of an unfinished message, so that the few are asked and not the many.
        where.append(UNFINISHED)
        order = sa.desc(_m.c.seq + 0)
    if after:
        where.append(_m.c.seq < after)
    async with hub.storage.reading() as conn:
        found = await storage.every(conn, sa.select(*_SHOWN).where(*where).order_by(order).limit(limit + 1))
    return found[:limit], str(found[limit - 1]["seq"]) if len(found) > limit else ""


async def updates(hub: Hub, found: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Give the status that each of some messages carries, by its id; none for one that only declares a dossier.

    A change knows the message to the first of its targets; those to the others were made at the same moment.
    """
    table = tables.status_changes
    wanted = sa.select(table.c.dossier_code, table.c.accepted_at, table.c.message_id, table.c.status)
    wanted = wanted.where(table.c.dossier_code.in_({row["lane"] for row in found}))
    async with hub.storage.reading() as conn:
        changes = await storage.every(conn, wanted)
    named = {row["message_id"]: row["status"] for row in changes}
    moments = {(row["dossier_code"], row["accepted_at"]): row["status"] for row in changes}
    told = {row["id"]: named.get(row["id"]) or moments.get((row["lane"], row["created_at"])) for row in found}
    return {number: status for number, status in told.items() if status}


async def plan(hub: Hub, chosen: Chosen, act: str) -> Plan:
    """Work out what an act would touch, without touching it."""
    parts = (
        sa.select(
            _m.c.target,
            _m.c.operation,
            _m.c.last_code,
            sa.func.count().label("count"),
            sa.func.count(_m.c.lane.distinct()).label("dossiers"),
            sa.func.min(_m.c.settled_at).label("since"),
            tables.targets.c.state,
            tables.targets.c.reason,
        )
        .join_from(_m, tables.targets, tables.targets.c.name == _m.c.target, isouter=True)
        .where(chosen.where())
        .group_by(_m.c.target, _m.c.operation, _m.c.last_code, tables.targets.c.state, tables.targets.c.reason)
        .order_by(_m.c.target, _m.c.operation, _m.c.last_code)
    )
    later = _m.alias("later")
    behind = (
        sa.select(sa.func.count(later.c.seq.distinct()))
        .join_from(
            _m, later, (later.c.target == _m.c.target) & (later.c.lane == _m.c.lane) & (later.c.seq > _m.c.seq)
        )
        .where(
            chosen.where(), sa.text("later.state in ('pending', 'in_flight', 'dead')"), later.c.state == "pending"
        )
    )
    some = sa.select(*_SHOWN).where(chosen.where()).order_by(_m.c.seq).limit(10)
    async with hub.storage.reading() as conn:
        found = await storage.every(conn, parts)
        count = sum(row["count"] for row in found)
        held = (await conn.execute(behind)).scalar_one() if 0 < count <= COUNTED_BEHIND else None
        sample = await storage.every(conn, some)
    return Plan(found, count, held, sample)


def cause(code: str | None, words: Words) -> str:
    """Say an error code in a sentence of the reader's language; nothing for one that is not ours."""
    found = _by_code().get(code or "")
    if found is None:
        return ""
    told = found.vi if words.language == "vi" else (found.__doc__ or "").partition("\n")[0]
    # What follows is what the hub does by itself, and a stuck message is past that.
    return told.partition(";")[0].rstrip(".") + "."


def advice(code: str | None) -> str:
    """Name the word that says what helps against an error."""
    found = _by_code().get(code or "", errors.HubError)
    if found.retry:
        return "messages.help_retry"
    if issubclass(found, errors.MappingError):
        return "messages.help_mapping"
    if issubclass(found, errors.RemoteForbids):
        return "messages.help_forbids"
    if issubclass(found, (errors.RemoteError, errors.CallerError)):
        return "messages.help_refused"
    return "messages.help_hub"


def _by_code() -> dict[str, type[errors.HubError]]:
    found: dict[str, type[errors.HubError]] = {}
    left: list[type[errors.HubError]] = [errors.HubError]
    while left:
        each = left.pop()
        found.setdefault(each.code, each)
        left += each.__subclasses__()
    return found


def chosen_query(visit: Visit) -> dict[str, str]:
    """Give the filters of the list that name stuck messages, for the link to the plan."""
    asked = visit.query
    return {name: asked[name] for name in ("target", "code", "lane") if asked.get(name)}
