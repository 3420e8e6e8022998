"""The watch over refunds: an intermediary that took one is asked until it is done or refused; then a person."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from lienthong.bus.flows import payment_records, payment_refund, refund_rows
from lienthong.bus.hub import Hub
from lienthong.connectors import roles
from lienthong.core import errors, storage, tables

_r = tables.payment_refunds
_LONGEST_WAIT = timedelta(hours=6)
_AT_ONCE = 200


async def run(hub: Hub) -> int:
    """Ask about every accepted refund that is due; gives how many were asked about."""
    now, asked = hub.now(), 0
    wanted = (
        sa.select(_r)
        .where(_r.c.state == "accepted", sa.or_(_r.c.query_at.is_(None), _r.c.query_at <= now))
        .order_by(_r.c.requested_at)
        .limit(_AT_ONCE)
    )
    async with hub.storage.reading() as conn:
        rows = await storage.every(conn, wanted)
    for row in rows:
        asked += await look(hub, row)
    return asked


async def resend(hub: Hub, *, before: datetime) -> int:
    """Send what is ready and certainly never arrived; gives how many."""
    wanted = sa.select(_r.c.id).where(
        _r.c.state == "ready", sa.func.coalesce(_r.c.sent_at, _r.c.requested_at) < before
    )
    async with hub.storage.reading() as conn:
        rows = await storage.every(conn, wanted)
    for row in rows:
        await payment_refund.send(hub, row["id"])
    return len(rows)


async def look(hub: Hub, row: Mapping[str, Any]) -> bool:
    """Ask about one refund, unless another process is about to; says whether the intermediary was asked."""
    if not await _take(hub, row):
        return False
    async with hub.storage.transaction() as tx:
        held, refund = await refund_rows.both(hub, tx, row["id"])
    intermediary, asked = hub.systems.get(held.payment["provider"]), False
    if isinstance(intermediary, roles.RefundAsked) and refund["state"] == "accepted":
        asked = True
        try:
            news = await intermediary.query_refund(payment_refund.order_of(hub, held, refund))
        except errors.HubError:
            asked = False
        else:
            await payment_refund.heard(hub, row["id"], news)
    await _leave_to_person(hub, row["id"])
    return asked


async def _take(hub: Hub, row: Mapping[str, Any]) -> bool:
    first = timedelta(minutes=hub.settings.payments.silent_minutes)
    again = hub.now() + min(first * 2 ** min(row["queries"], 10), _LONGEST_WAIT)
    async with hub.storage.transaction() as tx:
        taken = await tx.execute(
            _r.update()
            .where(_r.c.id == row["id"], _r.c.queries == row["queries"], _r.c.state == "accepted")
            .values(query_at=again, queries=row["queries"] + 1)
        )
    return bool(taken.rowcount)


async def _leave_to_person(hub: Hub, refund_id: str) -> None:
    """Put on the list, once, what the intermediary took and never ended; it goes on being asked about."""
    async with hub.storage.transaction() as tx:
        held, refund = await refund_rows.both(hub, tx, refund_id)
        since = refund["sent_at"] or refund["requested_at"]
        over_at = since + timedelta(hours=hub.settings.payments.refund_wait_hours)
        if refund["state"] != "accepted" or hub.now() < over_at:
            return
        facts = {"refund_id": refund_id, "provider_code": refund["provider_code"], "queries": refund["queries"]}
        await payment_records.ask(
            hub,
            tx,
            held.payment,
            "refund_silent",
            fact=refund_id,
            facts=facts,
            amount_vnd=refund["amount_vnd"],
        )
