"""What a period comes to, to the đồng: received, given back and open, by agency and intermediary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.bus.flows import reconciliation_compare
from lienthong.bus.hub import Hub
from lienthong.core import errors, storage, tables

_p, _o, _r = tables.payments, tables.obligations, tables.payment_refunds
_d, _l = tables.reconciliation_differences, tables.statement_lines
# An old obligation has no agency: whoever declared it stands for it.
_AGENCY = sa.case((_o.c.agency != "", _o.c.agency), else_=_o.c.organisation)
Key = tuple[str, str]


@dataclass(slots=True)
class Line:
    """One agency with one intermediary. `waiting`: came in and waits for a person, part of what was received."""

    agency: str
    provider: str
    payments: int = 0
    received_vnd: int = 0
    confirmed: int = 0
    waiting_vnd: int = 0
    refunds: int = 0
    refunded_vnd: int = 0
    open_differences: int = 0

    @property
    def net_vnd(self) -> int:
        """What is left."""
        return self.received_vnd - self.refunded_vnd

    def as_json(self) -> dict[str, Any]:
        """Give the line with what is left of it."""
        return {**asdict(self), "net_vnd": self.net_vnd}


@dataclass(slots=True)
class Sums:
    """A period: its lines, what the intermediaries kept, and every difference of its days."""

    since: date
    until: date
    lines: list[Line] = field(default_factory=list)
    fees_vnd: dict[str, int] = field(default_factory=dict)
    differences: Sequence[Mapping[str, Any]] = ()

    @property
    def total(self) -> Line:
        """Everything together."""
        found = Line("", "")
        for line in self.lines:
            for name in ("payments", "received_vnd", "confirmed", "waiting_vnd"):
                setattr(found, name, getattr(found, name) + getattr(line, name))
            for name in ("refunds", "refunded_vnd", "open_differences"):
                setattr(found, name, getattr(found, name) + getattr(line, name))
        return found

    def as_json(self) -> dict[str, Any]:
        """Give what `--json` prints."""
        return {
            "from": self.since,
            "to": self.until,
            "lines": [line.as_json() for line in self.lines],
            "total": self.total.as_json(),
            "fees_vnd": self.fees_vnd,
            "differences": [dict(row) for row in self.differences],
        }


async def run(hub: Hub, *, since: date, until: date) -> Sums:
    """Add up the days from `since` to `until`, in Vietnam. Raises InvalidRequest where they are no period."""
    if until < since:
        raise errors.InvalidRequest("the last day is before the first", detail_vi="Ngày cuối trước ngày đầu.")
    begins = reconciliation_compare.begins(since)
    ends = reconciliation_compare.begins(until + timedelta(days=1))
    lines: dict[Key, Line] = {}
    async with hub.storage.reading() as conn:
        await _received(conn, lines, begins, ends)
        await _refunded(conn, lines, begins, ends)
        found = await _differences(conn, since, until)
        fees = await _fees(conn, begins, ends)
    for row in found:
        if row["closed_at"] is None:
            _at(lines, row).open_differences += 1
    ordered = [lines[key] for key in sorted(lines)]
    return Sums(since, until, ordered, fees, found)


def _at(lines: dict[Key, Line], row: Mapping[str, Any]) -> Line:
    key = (row["agency"] or "", row["provider"])
    return lines.setdefault(key, Line(*key))


async def _received(conn: AsyncConnection, lines: dict[Key, Line], begins: datetime, ends: datetime) -> None:
    waits = sa.case((_p.c.state == "needs_person", _p.c.received_vnd), else_=0)
    wanted = (
        sa.select(
            _AGENCY.label("agency"),
            _p.c.provider,
            sa.func.count().label("payments"),
            sa.func.sum(_p.c.received_vnd).label("received_vnd"),
            sa.func.count(_p.c.confirmed_at).label("confirmed"),
            sa.func.sum(waits).label("waiting_vnd"),
        )
        .join_from(_p, _o, _p.c.obligation_id == _o.c.id)
        .where(_p.c.received_vnd > 0, _p.c.paid_at >= begins, _p.c.paid_at < ends)
        .group_by(_AGENCY, _p.c.provider)
    )
    for row in await storage.every(conn, wanted):
        line = _at(lines, row)
        line.payments, line.received_vnd = row["payments"], int(row["received_vnd"])
        line.confirmed, line.waiting_vnd = row["confirmed"], int(row["waiting_vnd"])


async def _refunded(conn: AsyncConnection, lines: dict[Key, Line], begins: datetime, ends: datetime) -> None:
    wanted = (
        sa.select(
            _AGENCY.label("agency"),
            _p.c.provider,
            sa.func.count().label("refunds"),
            sa.func.sum(_r.c.amount_vnd).label("refunded_vnd"),
        )
        .join_from(_r, _p, _r.c.payment_id == _p.c.id)
        .join(_o, _p.c.obligation_id == _o.c.id)
        .where(_r.c.state == "done", _r.c.finished_at >= begins, _r.c.finished_at < ends)
        .group_by(_AGENCY, _p.c.provider)
    )
    for row in await storage.every(conn, wanted):
        line = _at(lines, row)
        line.refunds, line.refunded_vnd = row["refunds"], int(row["refunded_vnd"])


async def _differences(conn: AsyncConnection, since: date, until: date) -> list[dict[str, Any]]:
    wanted = (
        sa.select(_d, _AGENCY.label("agency"))
        .select_from(_d.outerjoin(_p, _d.c.payment_id == _p.c.id).outerjoin(_o, _p.c.obligation_id == _o.c.id))
        .where(_d.c.day >= since, _d.c.day <= until)
        .order_by(_d.c.provider, _d.c.day, _d.c.id)
    )
    return await storage.every(conn, wanted)


async def _fees(conn: AsyncConnection, begins: datetime, ends: datetime) -> dict[str, int]:
    """Add up what each intermediary kept; a line that stands in two files counts once."""
    of = tables.reconciliations
    once = (
        sa.select(of.c.provider, _l.c.provider_reference, _l.c.kind, sa.func.max(_l.c.fee_vnd).label("fee_vnd"))
        .join_from(_l, of, _l.c.reconciliation_id == of.c.id)
        .where(_l.c.fee_vnd > 0, _l.c.occurred_at >= begins, _l.c.occurred_at < ends)
        .group_by(of.c.provider, _l.c.provider_reference, _l.c.kind)
        .subquery()
    )
    wanted = sa.select(once.c.provider, sa.func.sum(once.c.fee_vnd).label("fee_vnd")).group_by(once.c.provider)
    return {row["provider"]: int(row["fee_vnd"]) for row in await storage.every(conn, wanted)}
