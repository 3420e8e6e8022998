"""The rows of refunds: held with their attempt, read, changed; and what a person did about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.bus.flows import payment_records
from lienthong.bus.hub import Hub
from lienthong.core import errors, storage, tables

_r, _acts = tables.payment_refunds, tables.admin_acts


async def hold(hub: Hub, tx: AsyncConnection, payment_id: str) -> payment_records.Held:
    """Hold the attempt whose money is asked back, until the transaction ends. Raises NotFound."""
    found = await payment_records.hold(hub, tx, payment_id)
    if found is None:
        raise errors.NotFound("no such payment", detail_vi="Không có lần thanh toán này.")
    return found


async def both(hub: Hub, tx: AsyncConnection, refund_id: str) -> tuple[payment_records.Held, dict[str, Any]]:
    """Hold an attempt and read one of its refunds. Raises NotFound."""
    about = await storage.first(tx, sa.select(_r.c.payment_id).where(_r.c.id == refund_id))
    if about is None:
        raise errors.NotFound("no such refund", detail_vi="Không có yêu cầu hoàn tiền này.")
    held = await hold(hub, tx, about["payment_id"])
    refund = await storage.first(tx, sa.select(_r).where(_r.c.id == refund_id))
    if refund is None:
        raise errors.InternalFault(reason="a refund that was there is gone")
    return held, refund


async def row(hub: Hub, refund_id: str) -> dict[str, Any]:
    """Read a refund that was just written."""
    async with hub.storage.reading() as conn:
        found = await storage.first(conn, sa.select(_r).where(_r.c.id == refund_id))
    if found is None:
        raise errors.InternalFault(reason="a refund that was written is not there")
    return found


async def amount_in(tx: AsyncConnection, held: payment_records.Held, states: tuple[str, ...]) -> int:
    """Add up, in đồng, the refunds of an attempt that are in one of these states."""
    wanted = sa.select(sa.func.coalesce(sa.func.sum(_r.c.amount_vnd), 0)).where(
        _r.c.payment_id == held.payment["id"], _r.c.state.in_(states)
    )
    return int((await tx.execute(wanted)).scalar_one())


async def change(tx: AsyncConnection, refund_id: str, **values: Any) -> None:
    """Set columns of a refund."""
    await tx.execute(_r.update().where(_r.c.id == refund_id).values(**values))


async def note(
    hub: Hub, tx: AsyncConnection, act: str, row: Mapping[str, Any], *, by: str, reason: str, after: str
) -> None:
    """Write what a person did into the record of acts."""
    before = {"state": row.get("state") or row.get("kind"), "amount_vnd": row["amount_vnd"]}
    await tx.execute(
        _acts.insert().values(
            at=hub.now(),
            actor=by,
            act=act,
            object=row["id"],
            reason=reason,
            before=before,
            after={"state": after},
        )
    )
