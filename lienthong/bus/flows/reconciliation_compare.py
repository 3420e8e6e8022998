"""One statement compared with our book: settle where the statement's word counts, ask, then write what differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.bus import events
from lienthong.bus.flows import payment, payment_records, payment_settlement, reconciliation_states
from lienthong.bus.hub import Hub
from lienthong.connectors import roles
from lienthong.core import clock, errors, money, storage, tables

_l, _d = tables.statement_lines, tables.reconciliation_differences
_p, _r = tables.payments, tables.payment_refunds
# What is compared, and nothing else: a month of a large city would be a gigabyte.
_OURS = [
    _p.c[name]
    for name in (
        "id", "reference", "state", "amount_vnd", "received_vnd", "reversed", "settled_by", "paid_at",
        "paid_reference",
    )
]  # fmt: skip
_AT_ONCE = 500
# Two clocks: what we saw in the last minutes of a day they may have written into the next one.
_EDGE = timedelta(minutes=15)
_MOST_ASKED = 500
Row = Mapping[str, Any]


async def run(hub: Hub, made: Row) -> dict[str, int]:
    """Work through one statement; safe to repeat. Gives the counts."""
    async with hub.storage.reading() as conn:
        wanted = sa.select(_l).where(_l.c.reconciliation_id == made["id"]).order_by(_l.c.number)
        lines = await storage.every(conn, wanted)
    counts: Counter[str] = Counter()
    paid = [line for line in lines if line["kind"] == "payment" and line["state"] == "paid" and line["payment_id"]]
    if made["provider"] in hub.settings.payments.statement_providers:
        await _settle(hub, made["provider"], paid, counts)
    else:
        await _ask(hub, made["provider"], paid, counts)
    # Worked out before anything is held: a month of a large city would keep callbacks from being written.
    async with hub.storage.reading() as conn:
        found = await _differences(conn, made, lines)
        agreeing = await _agreeing(conn, paid)
    async with hub.storage.transaction() as tx:
        await confirm(hub, tx, agreeing, by="statement")
        counts["differences"] = await write(hub, tx, made["id"], made["provider"], found)
    counts["other"] = sum(line["kind"] == "other" for line in lines)
    return dict(counts)


# ------------------------------------------------------------------------------------------ settle and ask


async def _settle(hub: Hub, provider: str, lines: Sequence[Row], counts: Counter[str]) -> None:
    """Let the bank's own word count, through the one way for money to become true."""
    async with hub.storage.reading() as conn:
        attempts = await _attempts(conn, {line["payment_id"] for line in lines})
    for line in lines:
        news = money.PaymentNews(
            reference=attempts[line["payment_id"]]["reference"],
            amount_vnd=line["amount_vnd"],
            state="paid",
            provider_reference=line["provider_reference"],
            paid_at=line["occurred_at"],
        )
        outcome = await payment_settlement.settle(hub, provider, news, how="statement")
        counts[f"settled_{outcome}"] += 1


async def _ask(hub: Hub, provider: str, lines: Sequence[Row], counts: Counter[str]) -> None:
    """Ask about what they have and we do not: a report moves no money, the intermediary's signed word does."""
    intermediary = hub.systems.get(provider)
    if not isinstance(intermediary, roles.PaymentProvider):
        return
    async with hub.storage.reading() as conn:
        attempts = await _attempts(conn, {line["payment_id"] for line in lines})
        missing = [number for number, row in attempts.items() if not row["received_vnd"]][:_MOST_ASKED]
        rows = await storage.every(conn, sa.select(_p).where(_p.c.id.in_(missing)).order_by(_p.c.id))
    for row in rows:
        failure = await payment.ask_about(hub, intermediary, payment_records.order(hub, row))
        counts["asked" if failure is None else "silent"] += 1
        if isinstance(failure, errors.NotOffered):
            return


async def _attempts(conn: AsyncConnection, numbers: Iterable[str]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for part in _parts(numbers):
        for row in await storage.every(conn, sa.select(*_OURS).where(_p.c.id.in_(part))):
            found[row["id"]] = row
    return found


# ------------------------------------------------------------------------------------------------- compare


async def _differences(
    conn: AsyncConnection, made: Row, lines: Sequence[Row]
) -> list[reconciliation_states.Difference]:
    attempts = await _attempts(conn, {line["payment_id"] for line in lines if line["payment_id"]})
    refunds = await _refunds(conn, {line["refund_id"] for line in lines if line["refund_id"]})
    found: list[reconciliation_states.Difference | None] = []
    for line in lines:
        ours = attempts.get(line["payment_id"])
        if line["kind"] == "payment":
            found.append(reconciliation_states.of_payment_line(line, ours))
        elif line["kind"] == "refund":
            found.append(reconciliation_states.of_refund_line(line, refunds.get(line["refund_id"]), ours))
    found += reconciliation_states.twice(await _told_twice(conn, attempts), attempts)
    found += await _missing(conn, made)
    found.append(reconciliation_states.fee_noted(lines, reconciliation=made["id"]))
    return [one for one in found if one is not None]


async def _told_twice(conn: AsyncConnection, numbers: Iterable[str]) -> list[Row]:
    """Read all lines of the attempts that more than one line, of this or any other file, says were paid."""
    found: list[Row] = []
    for part in _parts(numbers):
        is_paid = (_l.c.payment_id.in_(part), _l.c.kind == "payment", _l.c.state == "paid")
        often = sa.select(_l.c.payment_id).where(*is_paid).group_by(_l.c.payment_id).having(sa.func.count() > 1)
        found += await storage.every(conn, sa.select(_l).where(*is_paid, _l.c.payment_id.in_(often)))
    return found


async def _refunds(conn: AsyncConnection, numbers: Iterable[str]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for part in _parts(numbers):
        for row in await storage.every(conn, sa.select(_r).where(_r.c.id.in_(part))):
            found[row["id"]] = row
    return found


async def _missing(conn: AsyncConnection, made: Row) -> list[reconciliation_states.Difference]:
    """Find what we have of the statement's days and no line of this or any other statement tells of."""
    since, until = begins(made["day_from"]) - _EDGE, begins(made["day_until"] + timedelta(days=1)) - _EDGE
    told = sa.select(_l.c.payment_id).where(
        _l.c.payment_id == _p.c.id, _l.c.kind == "payment", _l.c.state.in_(("paid", "reversed", "failed"))
    )
    payments = sa.select(*_OURS).where(
        _p.c.provider == made["provider"],
        _p.c.received_vnd > 0,
        _p.c.paid_at >= since,
        _p.c.paid_at < until,
        ~told.exists(),
    )
    of_refund = sa.select(_l.c.refund_id).where(_l.c.refund_id == _r.c.id)
    refunds = (
        sa.select(_r)
        .join_from(_r, _p, _r.c.payment_id == _p.c.id)
        .where(
            _p.c.provider == made["provider"],
            _r.c.state == "done",
            _r.c.finished_at >= since,
            _r.c.finished_at < until,
            ~of_refund.exists(),
        )
    )
    found = reconciliation_states.missing_with_them(await storage.every(conn, payments), listed=set())
    if made["shape"] == "bank":
        # What is given back leaves another account, or this one without a reference of ours.
        return found
    return found + reconciliation_states.refunds_missing(await storage.every(conn, refunds), listed=set())


async def _agreeing(conn: AsyncConnection, lines: Sequence[Row]) -> set[str]:
    """Name the attempts of which the statement says the same as another source did."""
    attempts = await _attempts(conn, {line["payment_id"] for line in lines})
    told = ((attempts[line["payment_id"]], line["amount_vnd"]) for line in lines)
    return {
        ours["id"]
        for ours, amount_vnd in told
        if ours["received_vnd"] == amount_vnd and ours["settled_by"] != "statement"
    }


async def confirm(hub: Hub, tx: AsyncConnection, numbers: Iterable[str], *, by: str) -> None:
    """Note that a second source says the same of these attempts."""
    for part in _parts(numbers):
        await tx.execute(
            _p.update()
            .where(_p.c.id.in_(part), _p.c.confirmed_at.is_(None))
            .values(confirmed_at=hub.now(), confirmed_by=by)
        )


async def write(
    hub: Hub,
    tx: AsyncConnection,
    reconciliation: str,
    provider: str,
    found: Sequence[reconciliation_states.Difference],
) -> int:
    """Write differences, each once whatever file it came from; gives how many are new."""
    new, shared = 0, {"reconciliation_id": reconciliation, "provider": provider, "found_at": hub.now()}
    for first in range(0, len(found), _AT_ONCE):
        rows = [{"id": clock.new_id(), **shared, **asdict(one)} for one in found[first : first + _AT_ONCE]]
        made = await tx.execute(hub.storage.insert(_d).values(rows).on_conflict_do_nothing().returning(_d.c.id))
        new += len(made.all())
    if new:
        facts = {"provider": provider, "differences": new}
        await events.put(tx, "reconciliation.differences", reconciliation, facts, now=hub.now())
    return new


def begins(day: date) -> datetime:
    """Give the moment at which a day begins in Vietnam."""
    return datetime.combine(day, time(), tzinfo=clock.VIETNAM)


def _parts(values: Iterable[str]) -> Iterable[list[str]]:
    every = sorted(values)
    for first in range(0, len(every), _AT_ONCE):
        yield every[first : first + _AT_ONCE]
