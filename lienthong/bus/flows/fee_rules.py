"""Rules of the province about fees: on which days a procedure costs nothing, or less, by which way of submitting.

At most one rule is in force for a procedure, a channel, an obligation and a day; a rule that is replaced is ended,
never changed, so that it can always be told why somebody paid what they paid.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.bus import events
from lienthong.bus.hub import Hub
from lienthong.core import clock, errors, journal, storage, tables

_f = tables.fee_rules
_LOCK = 7_305_118_842
# The obligation that a rule is about where it names none: the fees of the procedure, not a fine or a tax.
FEES = "fees"
Period = tuple[date, date | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """What is taken instead of the procedure's own fee; 0 is free. `valid_until` is the last day, None is open."""

    procedure_code: str
    channel: str
    obligation: str
    amount_vnd: int
    legal_basis: str
    valid_from: date
    valid_until: date | None = None
    note: str = ""

    @property
    def place(self) -> tuple[str, str, str]:
        """Say for what it holds: no two rules hold there on one day."""
        return self.procedure_code, self.channel, self.obligation

    def overlaps(self, other: Rule) -> bool:
        """Whether two rules for one place share a day."""
        return (
            self.place == other.place
            and (other.valid_until is None or self.valid_from <= other.valid_until)
            and (self.valid_until is None or other.valid_from <= self.valid_until)
        )


@dataclass(frozen=True, slots=True)
class Held:
    """A rule as it stands in the table."""

    id: str
    rule: Rule


def rest(old: Rule, new: Rule) -> list[Period]:
    """Give the days of an old rule that a new one leaves to it: before, after, both or none."""
    left: list[Period] = []
    if old.valid_from < new.valid_from:
        left.append((old.valid_from, new.valid_from - timedelta(days=1)))
    if new.valid_until is not None and (old.valid_until is None or old.valid_until > new.valid_until):
        left.append((new.valid_until + timedelta(days=1), old.valid_until))
    return left


def owed(declared_vnd: int, rule_vnd: int | None) -> int:
    """Say what is to be paid: a rule makes it less, never more."""
    return declared_vnd if rule_vnd is None else min(declared_vnd, rule_vnd)


# ---------------------------------------------------------------------------------------------------- asked


async def in_force(
    conn: AsyncConnection, *, procedure_code: str, channel: str, obligation: str, day: date
) -> dict[str, Any] | None:
    """Find the rule of a day."""
    wanted = (
        sa.select(_f)
        .where(
            _f.c.procedure_code == procedure_code,
            _f.c.channel == channel,
            _f.c.obligation == obligation,
            _f.c.ended_at.is_(None),
            _f.c.valid_from <= day,
            sa.or_(_f.c.valid_until.is_(None), _f.c.valid_until >= day),
        )
        .order_by(_f.c.valid_from.desc(), _f.c.id)
        .limit(1)
    )
    return await storage.first(conn, wanted)


async def listed(
    hub: Hub, *, procedure_code: str | None = None, day: date | None = None, with_ended: bool = False
) -> Sequence[Mapping[str, Any]]:
    """List rules, those of one procedure or of one day, with or without the history."""
    wanted = sa.select(_f).order_by(_f.c.procedure_code, _f.c.channel, _f.c.valid_from, _f.c.set_at)
    if procedure_code is not None:
        wanted = wanted.where(_f.c.procedure_code == procedure_code)
    if not with_ended:
        wanted = wanted.where(_f.c.ended_at.is_(None))
    if day is not None:
        wanted = wanted.where(_f.c.valid_from <= day, sa.or_(_f.c.valid_until.is_(None), _f.c.valid_until >= day))
    async with hub.storage.reading() as conn:
        return await storage.every(conn, wanted)


# -------------------------------------------------------------------------------------------------- changed


@asynccontextmanager
async def changing(hub: Hub) -> AsyncIterator[AsyncConnection]:
    """Open a transaction in which nobody else changes the rules: two importers must not overlap unseen."""
    async with hub.storage.transaction() as tx:
        if not hub.storage.is_sqlite:
            await tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        yield tx


async def in_places(tx: AsyncConnection, rules: Iterable[Rule]) -> list[Held]:
    """Read the rules in force for the procedures of these."""
    found: list[Held] = []
    codes = sorted({rule.procedure_code for rule in rules})
    for first in range(0, len(codes), 500):
        wanted = sa.select(_f).where(_f.c.ended_at.is_(None), _f.c.procedure_code.in_(codes[first : first + 500]))
        found += [held(row) for row in await storage.every(tx, wanted)]
    return found


def held(row: Mapping[str, Any]) -> Held:
    """Read a rule's row."""
    return Held(row["id"], Rule(**{name: row[name] for name in Rule.__dataclass_fields__}))


async def place(tx: AsyncConnection, new: Rule, *, by: str, reason: str, now: datetime) -> str:
    """Write a rule; those it overlaps are ended, and go on anew on the days that it leaves to them."""
    overlapping = [one for one in await in_places(tx, (new,)) if one.rule.overlaps(new)]
    for old in overlapping:
        await end(tx, old.id, by=by, reason=reason, now=now)
        for since, until in rest(old.rule, new):
            left = Rule(**{**_fields(old.rule), "valid_from": since, "valid_until": until})
            await _write(tx, left, by=by, reason=reason, now=now)
    return await _write(tx, new, by=by, reason=reason, now=now)


async def end(tx: AsyncConnection, number: str, *, by: str, reason: str, now: datetime) -> bool:
    """End a rule; it stays in the history. False where none of this number is in force."""
    ended = await tx.execute(
        _f.update()
        .where(_f.c.id == number, _f.c.ended_at.is_(None))
        .values(ended_at=now, ended_by=by[:100], ended_reason=reason[:500])
    )
    return bool(ended.rowcount)


async def withdraw(hub: Hub, number: str, *, by: str, reason: str) -> None:
    """End one rule as a person does. Raises NotFound where none of this number is in force."""
    now = hub.now()
    async with changing(hub) as tx:
        if not await end(tx, number, by=by, reason=reason, now=now):
            raise errors.NotFound(
                "no rule with this number is in force", detail_vi="Không có quy định đang hiệu lực với số này."
            )
        await events.put(tx, "fees.changed", number, {"ended": 1}, now=now)
        await journal.write_act(tx, "fees.end", number, actor=by, now=now, reason=reason)


def _fields(rule: Rule) -> dict[str, Any]:
    return {name: getattr(rule, name) for name in Rule.__dataclass_fields__}


async def _write(tx: AsyncConnection, rule: Rule, *, by: str, reason: str, now: datetime) -> str:
    number = clock.new_id()
    values = {**_fields(rule), "id": number, "set_at": now, "set_by": by[:100], "reason": reason[:500]}
    await tx.execute(_f.insert().values(**values))
    return number
