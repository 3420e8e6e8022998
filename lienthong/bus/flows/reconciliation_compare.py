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
    async with hub.storage.transaction() as tx:
        found = await _differences(tx, made, lines)
        await _confirm(hub, tx, paid)
        counts["differences"] = await write(hub, tx, made["id"], made["provider"], found)
    counts["other"] = sum(line["kind"] == "other" for line in lines)
    return dict(counts)


# ------------------------------------------------------------------------------------------ settle and ask


async def _settle(hub: Hub, provider: str, lines: Sequence[Row], counts: Counter[str]) -> None:
    """Let the bank's own word count, through the one way for money to become true."""
    attempts = await attempts_of(hub, {line["payment_id"] for line in lines})
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
    attempts = await attempts_of(hub, {line["payment_id"] for line in lines})
    missing = [row for row in attempts.values() if not row["received_vnd"]][:_MOST_ASKED]
    if not isinstance(intermediary, roles.PaymentProvider):
        return
    for row in missing:
        failure = await payment.ask_about(hub, intermediary, payment_records.order(hub, row))
        counts["asked" if failure is None else "silent"] += 1
        if isinstance(failure, errors.NotOffered):
            return


async def attempts_of(hub: Hub, numbers: Iterable[str]) -> dict[str, Row]:
    """Read attempts by their numbers."""
    async with hub.storage.reading() as conn:
        return await _attempts(conn, numbers)


async def _attempts(conn: AsyncConnection, numbers: Iterable[str]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for part in _parts(numbers):
        for row in await storage.every(conn, sa.select(_p).where(_p.c.id.in_(part))):
            found[row["id"]] = row
    return found


# ------------------------------------------------------------------------------------------------- compare


async def _differences(
    tx: AsyncConnection, made: Row, lines: Sequence[Row]
) -> list[reconciliation_states.Difference]:
    attempts = await _attempts(tx, {line["payment_id"] for line in lines if line["payment_id"]})
    refunds = await _refunds(tx, {line["refund_id"] for line in lines if line["refund_id"]})
    found: list[reconciliation_states.Difference | None] = []
    for line in lines:
        ours = attempts.get(line["payment_id"])
        if line["kind"] == "payment":
            found.append(reconciliation_states.of_payment_line(line, ours))
        elif line["kind"] == "refund":
            found.append(reconciliation_states.of_refund_line(line, refunds.get(line["refund_id"]), ours))
    found += reconciliation_states.twice(await _every_line(tx, attempts), attempts)
    found += await _missing(tx, made)
    found.append(reconciliation_states.fee_noted(lines, reconciliation=made["id"]))
    return [one for one in found if one is not None]


async def _every_line(tx: AsyncConnection, numbers: Iterable[str]) -> list[Row]:
    found: list[Row] = []
    for part in _parts(numbers):
        found += await storage.every(tx, sa.select(_l).where(_l.c.payment_id.in_(part)))
    return found


async def _refunds(tx: AsyncConnection, numbers: Iterable[str]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for part in _parts(numbers):
        for row in await storage.every(tx, sa.select(_r).where(_r.c.id.in_(part))):
            found[row["id"]] = row
    return found


async def _missing(tx: AsyncConnection, made: Row) -> list[reconciliation_states.Difference]:
    """Find what we have of the statement's days and no line of this or any other statement tells of."""
    since, until = begins(made["day_from"]) - _EDGE, begins(made["day_until"] + timedelta(days=1)) - _EDGE
    told = sa.select(_l.c.payment_id).where(
        _l.c.payment_id == _p.c.id, _l.c.kind == "payment", _l.c.state.in_(("paid", "reversed", "failed"))
    )
    payments = sa.select(_p).where(
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
    found = reconciliation_states.missing_with_them(await storage.every(tx, payments), listed=set())
    if made["shape"] == "bank":
        # What is given back leaves another account, or this one without a reference of ours.
        return found
    return found + reconciliation_states.refunds_missing(await storage.every(tx, refunds), listed=set())


async def _confirm(hub: Hub, tx: AsyncConnection, lines: Sequence[Row]) -> None:
    """Note on each attempt that the statement says the same."""
    attempts = await _attempts(tx, {line["payment_id"] for line in lines})
    for line in lines:
        ours = attempts[line["payment_id"]]
        if ours["received_vnd"] == line["amount_vnd"] and ours["settled_by"] != "statement":
            await confirm(hub, tx, ours["id"], by="statement")


async def confirm(hub: Hub, tx: AsyncConnection, payment_id: str, *, by: str) -> None:
    """Note that a second source says the same of an attempt."""
    await tx.execute(
        _p.update()
        .where(_p.c.id == payment_id, _p.c.confirmed_at.is_(None))
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
    new = 0
    for one in found:
        made = await tx.execute(
            hub.storage.insert(_d)
            .values(
                id=clock.new_id(),
                reconciliation_id=reconciliation,
                provider=provider,
                found_at=hub.now(),
                **asdict(one),
            )
            .on_conflict_do_nothing()
            .returning(_d.c.id)
        )
        new += made.first() is not None
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
