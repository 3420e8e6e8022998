"""Payments as the people of the hub see them: lists, one with all that is known, a question asked now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from lienthong.bus.flows import payment, payment_records
from lienthong.bus.hub import Hub
from lienthong.core import errors, storage, tables

_p, _o, _r = tables.payments, tables.obligations, tables.payment_refunds
_q, _m, _l = tables.payment_questions, tables.payment_messages, tables.statement_lines
# Everything but what is sealed: who pays is not shown here.
_SHOWN = [column for column in _p.c if column.name not in ("record", "started")]
_HEARD = [_m.c.id, _m.c.at, _m.c.name, _m.c.verdict, _m.c.reason]
Row = Mapping[str, Any]


async def listed(
    hub: Hub,
    *,
    state: str | None = None,
    provider: str | None = None,
    dossier: str | None = None,
    days: int = 30,
    limit: int = 50,
) -> Sequence[Row]:
    """List attempts, the newest first."""
    wanted = sa.select(*_SHOWN).where(_p.c.created_at > hub.now() - timedelta(days=days))
    chosen = {"state": state, "provider": provider, "dossier_code": dossier}
    for name, value in chosen.items():
        if value is not None:
            wanted = wanted.where(_p.c[name] == value)
    async with hub.storage.reading() as conn:
        return await storage.every(conn, wanted.order_by(_p.c.created_at.desc(), _p.c.id).limit(limit))


async def shown(hub: Hub, number: str) -> dict[str, Any]:
    """Give one attempt, by its number or its reference, with all that belongs to it. Raises NotFound."""
    async with hub.storage.reading() as conn:
        wanted = sa.select(*_SHOWN).where(sa.or_(_p.c.id == number, _p.c.reference == number))
        row = await storage.first(conn, wanted)
        if row is None:
            raise errors.NotFound("no such payment", detail_vi="Không có lần thanh toán này.")
        of_it = {"payment_id": row["id"]}
        parts = {
            "refunds": (sa.select(_r), _r.c.requested_at),
            "questions": (sa.select(_q), _q.c.asked_at),
            "messages": (sa.select(*_HEARD), _m.c.at),
            "statements": (sa.select(_l), _l.c.occurred_at),
        }
        found: dict[str, Any] = {"payment": row}
        found["obligation"] = await storage.first(conn, sa.select(_o).where(_o.c.id == row["obligation_id"]))
        for name, (asked, order) in parts.items():
            column = {"refunds": _r, "questions": _q, "messages": _m, "statements": _l}[name].c.payment_id
            found[name] = await storage.every(conn, asked.where(column == of_it["payment_id"]).order_by(order))
    return found


async def refunds(hub: Hub, *, open_only: bool = True, limit: int = 200) -> Sequence[Row]:
    """List refunds with what they are of, those without an end first asked."""
    both = sa.select(_r, _p.c.dossier_code, _p.c.provider).join(_p, _p.c.id == _r.c.payment_id)
    wanted = both.order_by(_r.c.requested_at, _r.c.id).limit(limit)
    if open_only:
        wanted = wanted.where(_r.c.state.not_in(("done", "refused", "declined")))
    async with hub.storage.reading() as conn:
        return await storage.every(conn, wanted)


async def ask(hub: Hub, number: str) -> dict[str, Any]:
    """Ask the intermediary now how an attempt stands, and let its word count; gives how it stands then.

    Raises what the intermediary fails with, NotOffered where it cannot be asked.
    """
    before = (await shown(hub, number))["payment"]
    async with hub.storage.reading() as conn:
        row = await storage.first(conn, sa.select(_p).where(_p.c.id == before["id"]))
    if row is None:
        raise errors.InternalFault(reason="a payment that was there is gone")
    intermediary = payment_records.provider(hub, row["provider"])
    failure = await payment.ask_about(hub, intermediary, payment_records.order(hub, row))
    if failure is not None:
        raise failure
    return dict((await shown(hub, number))["payment"])
