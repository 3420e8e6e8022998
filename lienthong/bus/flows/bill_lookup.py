"""Bill lookup (tra cứu khoản phải nộp): an intermediary asks what a dossier owes, and is told in its own words.

Nothing proves who asks, so that the address is all there is: without a list of addresses nobody is told anything.
An answer names an attempt to pay; what the intermediary says of it later counts as any other callback does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import keys
from lienthong.bus.flows import (
    dossier_rows,
    payment,
    payment_obligation,
    payment_records,
    payment_views,
    postal_cod,
)
from lienthong.bus.hub import Hub
from lienthong.connectors import roles
from lienthong.core import errors, money, records, storage, tables

_o, _p = tables.obligations, tables.payments
Row = Mapping[str, Any]
# An attempt that ends sooner than this is not named to somebody who is about to pay.
_LEFT = timedelta(minutes=1)
# Stands where the number of a request would: these attempts were not begun by a caller.
_ORIGIN = "bill lookup"


async def callback(hub: Hub, contract: str, request: money.CallbackRequest) -> money.CallbackReply:
    """Take a message of an intermediary that also asks; what is no question goes to `payment.callback`."""
    teller = hub.systems.get(contract)
    is_question = isinstance(teller, roles.BillTeller) and request.name == teller.bill_lookup_name
    if not is_question or contract not in hub.settings.payments.providers:
        return await payment.callback(hub, contract, request)
    return await answer(hub, contract, request)


async def answer(hub: Hub, contract: str, request: money.CallbackRequest) -> money.CallbackReply:
    """Say what a dossier owes. Never raises for what is asked; raises StorageUnavailable."""
    teller: Any = hub.systems[contract]
    if not teller.tells_bills:
        return _told(teller, None, is_known=False, outcome="address_refused", hub=hub)
    try:
        code = teller.read_bill_lookup(request)
    except errors.InvalidRequest:
        return _told(teller, None, is_known=False, outcome="unreadable", hub=hub)
    order, is_known = await hub.storage.write(lambda tx: _owed(hub, tx, code, intermediary=teller))
    outcome: money.CallbackOutcome = "recorded" if order else "already" if is_known else "unknown_reference"
    return _told(teller, order, is_known=is_known, outcome=outcome, hub=hub)


def _told(
    teller: roles.BillTeller,
    order: money.PaymentOrder | None,
    *,
    is_known: bool,
    outcome: money.CallbackOutcome,
    hub: Hub,
) -> money.CallbackReply:
    reply = teller.bill_lookup_reply(order, is_known=is_known, now=hub.now())
    return dataclasses.replace(reply, outcome=outcome)


async def _owed(
    hub: Hub, tx: AsyncConnection, code: str, *, intermediary: roles.PaymentProvider
) -> tuple[money.PaymentOrder | None, bool]:
    """Find what a dossier owes and the attempt to pay it; None where nothing, False where there is no dossier."""
    row = await dossier_rows.row(tx, code)
    if row is None:
        return None, False
    dossier = (row, dossier_rows.record(hub, row))
    caller = _owner(row)
    request = await _request(hub, tx, dossier)
    obligation = await _obligation(hub, tx, request, dossier, caller=caller)
    if obligation is None or await postal_cod.is_at_the_door(tx, obligation["id"]):
        return None, True
    standing = await _standing(hub, tx, obligation, intermediary.name)
    if standing is not None:
        return payment_records.order(hub, standing), True
    asked = request.model_copy(update={"obligation": obligation["name"]})
    order = await payment.order_of(hub, tx, asked, dossier, obligation, intermediary=intermediary)
    number = await payment.created(
        hub, tx, order, obligation, intermediary.name, caller=caller, request_id=_ORIGIN
    )
    silent = timedelta(minutes=hub.settings.payments.silent_minutes)
    await payment_records.change(tx, number, state="pending", query_at=hub.now() + silent)
    return order, True


async def _obligation(
    hub: Hub,
    tx: AsyncConnection,
    request: payment_views.PaymentRequest,
    dossier: tuple[Row, records.Dossier],
    *,
    caller: keys.Caller,
) -> Row | None:
    """Find what has been owed longest, and hold it; where nothing was asked for yet, what the dossier declares."""
    wanted = sa.select(_o).where(_o.c.dossier_code == dossier[0]["code"]).order_by(_o.c.created_at, _o.c.id)
    rows = await storage.every(tx, payment_records.held(hub, wanted))
    if rows:
        return next((one for one in rows if one["state"] == "owed"), None)
    try:
        found, _ = await payment_obligation.find(hub, tx, request, dossier, caller=caller)
    except errors.Conflict:
        return None
    return found if found["state"] == "owed" else None


async def _request(
    hub: Hub, tx: AsyncConnection, dossier: tuple[Row, records.Dossier]
) -> payment_views.PaymentRequest:
    """Write the request that nobody made: who pays and to whom as in the last attempt, else the applicant."""
    row, record = dossier
    wanted = sa.select(_p).where(_p.c.dossier_code == row["code"]).order_by(_p.c.created_at.desc()).limit(1)
    last = await storage.first(tx, wanted)
    if last is not None:
        before = payment_records.order(hub, last)
        return payment_views.PaymentRequest(
            dossier_code=row["code"], payer=before.payer, beneficiary=before.beneficiary
        )
    applicant = record.applicant
    payer = money.Payer(name=applicant.name, citizen_id=applicant.citizen_id or "", phone=applicant.phone)
    return payment_views.PaymentRequest(dossier_code=row["code"], payer=payer)


async def _standing(hub: Hub, tx: AsyncConnection, obligation: Row, provider: str) -> Row | None:
    """Find an attempt that can still be paid, so that asking often makes no more of them."""
    wanted = (
        sa.select(_p)
        .where(
            _p.c.obligation_id == obligation["id"],
            _p.c.provider == provider,
            _p.c.amount_vnd == obligation["amount_vnd"],
            _p.c.state == "pending",
            _p.c.expires_at > hub.now() + _LEFT,
        )
        .order_by(_p.c.created_at.desc())
        .limit(1)
    )
    return await storage.first(tx, wanted)


def _owner(row: Row) -> keys.Caller:
    """Stand for the organisation of a dossier, whose obligation it is."""
    return keys.Caller(
        key_id=row["owner_key_id"],
        prefix="",
        organisation=row["organisation"],
        system="",
        grants=frozenset(),
        environment="",
    )
