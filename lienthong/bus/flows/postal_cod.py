"""Cash on delivery: an attempt to pay that the carrier's own word makes true, by the one way that all money goes.

A carrier that merely calls the hub proves nothing of money: it is asked, or its feed read, before that counts.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import keys
from lienthong.bus.flows import (
    payment_obligation,
    payment_records,
    payment_settlement,
    payment_views,
    postal_records,
    postal_views,
)
from lienthong.bus.hub import Hub
from lienthong.core import clock, errors, money, records, storage, tables

_p = tables.payments
How = Literal["feed", "query", "callback", "hub"]


async def begin(
    hub: Hub,
    tx: AsyncConnection,
    request: postal_views.ParcelRequest,
    dossier: tuple[payment_records.Row, records.Dossier],
    *,
    carrier: str,
    caller: keys.Caller,
    request_id: str,
) -> str:
    """Write the attempt that the cash will settle; gives its id.

    Raises Conflict where nothing is owed or another attempt can still be paid, InvalidRequest for another amount.
    """
    obligation = await _obligation(hub, tx, request, dossier, caller=caller)
    await _must_be_alone(hub, tx, obligation)
    now, number = hub.now(), clock.new_id()
    order = money.PaymentOrder(
        reference=payment_records.new_number("CD", now),
        amount_vnd=request.cod_vnd,
        dossier_code=request.dossier_code,
        procedure_code=dossier[0]["procedure_code"],
        description=f"Thu hộ khi phát kết quả hồ sơ {request.dossier_code}",
        payer=money.Payer(
            name=request.receiver.name, phone=request.receiver.phone, address=request.receiver.address
        ),
        created_at=now,
        expires_at=now,
    )
    await tx.execute(
        _p.insert().values(
            id=number,
            reference=order.reference,
            obligation_id=obligation["id"],
            dossier_code=order.dossier_code,
            provider=carrier,
            state="pending",
            amount_vnd=order.amount_vnd,
            key_id=caller.key_id,
            request_id=request_id,
            record=payment_records.seal_order(hub, order),
            created_at=now,
            expires_at=now,
            # The watch over parcels looks after it, not the one over payments: it is silent until the delivery.
            alerted_at=now,
        )
    )
    return number


async def _obligation(
    hub: Hub,
    tx: AsyncConnection,
    request: postal_views.ParcelRequest,
    dossier: tuple[payment_records.Row, records.Dossier],
    *,
    caller: keys.Caller,
) -> payment_records.Row:
    """Find what is owed, as any other way to pay does; the amount is named only where the dossier names none."""
    asked = payment_views.PaymentRequest(
        dossier_code=request.dossier_code,
        payer=money.Payer(name=request.receiver.name),
        obligation=request.obligation,
        amount_vnd=None if any(fee.amount_vnd for fee in dossier[1].fees) else request.cod_vnd,
    )
    found, rule = await payment_obligation.find(hub, tx, asked, dossier, caller=caller)
    if found["state"] == "free":
        raise payment_obligation.nothing_to_pay(rule)
    if found["amount_vnd"] != request.cod_vnd:
        owed = found["amount_vnd"]
        problem = errors.FieldProblem(
            "cod_vnd",
            f"Số tiền thu hộ phải bằng khoản hồ sơ còn nợ: {owed} đồng.",
            f"What is collected must be what the dossier owes: {owed} đồng.",
        )
        raise errors.InvalidRequest(problems=(problem,))
    return found


async def _must_be_alone(hub: Hub, tx: AsyncConnection, obligation: payment_records.Row) -> None:
    now = hub.now()
    wanted = sa.select(_p.c.provider).where(
        _p.c.obligation_id == obligation["id"], _p.c.state.in_(("created", "pending")), _p.c.expires_at > now
    )
    if await storage.first(tx, wanted) is not None:
        raise errors.Conflict(
            "an attempt to pay this online can still be paid; wait until it has ended",
            detail_vi="Khoản này đang có lần thanh toán trực tuyến còn hiệu lực; hãy đợi lần đó kết thúc.",
            reason="being_paid_online",
        )
    if await is_at_the_door(tx, obligation["id"]):
        raise under_way()


async def is_at_the_door(tx: AsyncConnection, obligation_id: str) -> bool:
    """Whether a parcel is under way that collects the money of an obligation."""
    parcels = tables.parcels
    wanted = (
        sa.select(parcels.c.id)
        .join(_p, _p.c.id == parcels.c.payment_id)
        .where(_p.c.obligation_id == obligation_id, _p.c.state.in_(("pending", "needs_person")))
        .limit(1)
    )
    return await storage.first(tx, wanted) is not None


def under_way() -> errors.Conflict:
    """Say that the postman collects this already."""
    return errors.Conflict(
        "a parcel is under way that collects this at the door; cancel it first to have it paid another way",
        detail_vi="Khoản này đang được bưu chính thu hộ khi phát; muốn nộp cách khác hãy huỷ bưu gửi đó trước.",
        reason="being_collected",
    )


# ------------------------------------------------------------------------------------------- what is said


async def said(
    hub: Hub, tx: AsyncConnection, parcel: postal_records.Row, event: money.ParcelEvent, *, how: How
) -> None:
    """Let a carrier's word of cash count: another amount, a second time, too late are for a person."""
    amount = event.cod_collected_vnd
    if amount is None or how not in ("feed", "query"):
        return
    if parcel["payment_id"] is None:
        if amount:
            facts = {"said_amount_vnd": amount, "carrier_code": event.carrier_code[:60]}
            await postal_records.ask(hub, tx, parcel, "cod_unexpected", fact=f"{amount}", facts=facts)
        return
    await _settle(hub, tx, parcel, state="paid", amount_vnd=amount, event=event)


async def ended(hub: Hub, tx: AsyncConnection, parcel: postal_records.Row) -> None:
    """End the attempt of a parcel that was not delivered; money that is reported all the same is for a person."""
    if parcel["payment_id"] is not None:
        await _settle(hub, tx, parcel, state="failed", amount_vnd=None, event=None)


async def _settle(
    hub: Hub,
    tx: AsyncConnection,
    parcel: postal_records.Row,
    *,
    state: Literal["paid", "failed"],
    amount_vnd: int | None,
    event: money.ParcelEvent | None,
) -> None:
    payment = await storage.first(tx, sa.select(_p.c.reference).where(_p.c.id == parcel["payment_id"]))
    if payment is None:
        raise errors.InternalFault(reason="a parcel without its payment")
    news = money.PaymentNews(
        reference=payment["reference"],
        amount_vnd=amount_vnd,
        state=state,
        # The parcel's own number: the same money told by several events is one and the same.
        provider_reference=parcel["number"],
        provider_code=event.carrier_code if event else "",
        paid_at=event.occurred_at if event else None,
    )
    await payment_settlement.settle_in(hub, tx, parcel["carrier"], news, how="carrier")


async def overdue(hub: Hub, *, before: datetime) -> int:
    """Ask a person about parcels that were delivered long ago without a word of their cash; gives how many."""
    parcels = tables.parcels
    wanted = (
        sa.select(_p)
        .join(parcels, parcels.c.payment_id == _p.c.id)
        .where(parcels.c.state == "delivered", parcels.c.closed_at < before, _p.c.state == "pending")
        .limit(500)
    )
    asked = 0
    async with hub.storage.transaction() as tx:
        for row in await storage.every(tx, wanted):
            facts = {"state": row["state"]}
            asked += await payment_records.ask(hub, tx, row, "cod_silent", fact="delivered", facts=facts)
    return asked
