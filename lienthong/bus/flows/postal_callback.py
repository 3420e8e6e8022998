"""A carrier calls: its address holds a secret; the message is kept sealed, the event taken, an answer given."""

from __future__ import annotations

import dataclasses

from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.bus import events
from lienthong.bus.flows import callback_sealing, payment_records, postal_events
from lienthong.bus.hub import Hub
from lienthong.connectors import roles
from lienthong.core import clock, crypto, errors, money, tables

_m = tables.parcel_messages


async def callback(hub: Hub, contract: str, request: money.CallbackRequest) -> money.CallbackReply:
    """Take a message of a carrier. Raises NotFound where this contract does not call here.

    No carrier signs: whoever does not know the secret of the address is a forger, and changes nothing.
    """
    caller = hub.systems.get(contract)
    if contract not in hub.settings.post.carriers or not isinstance(caller, roles.ParcelCaller):
        raise errors.NotFound(
            "no carrier calls back here", detail_vi="Không có đơn vị bưu chính nào gọi về địa chỉ này."
        )
    event, outcome, reason = _read(hub, caller, request)
    try:
        outcome = await hub.storage.write(lambda tx: _take(hub, tx, contract, request, event, outcome, reason))
    except errors.HubError:
        # The carrier tells again whatever was not taken.
        outcome = "failed"
    return dataclasses.replace(caller.reply(request, outcome), outcome=outcome)


def _read(
    hub: Hub, caller: roles.ParcelCaller, request: money.CallbackRequest
) -> tuple[money.ParcelEvent | None, money.CallbackOutcome, str]:
    secret = hub.settings.post.callback_secret
    if secret is None:
        return None, "forged", "POST__CALLBACK_SECRET is not set"
    if not crypto.is_same(request.name, secret.get_secret_value()):
        return None, "forged", "wrong secret in the address"
    try:
        return caller.read_event(request), "recorded", ""
    except (errors.RemoteGarbled, errors.MappingError, errors.ProofRejected) as error:
        return None, "unreadable", str(error.facts.get("reason", error.code))[:200]


async def _take(
    hub: Hub,
    tx: AsyncConnection,
    contract: str,
    request: money.CallbackRequest,
    event: money.ParcelEvent | None,
    outcome: money.CallbackOutcome,
    reason: str,
) -> money.CallbackOutcome:
    parcel, number, now = None, clock.new_id(), hub.now()
    if event is not None:
        outcome, parcel = await postal_events.take(hub, tx, contract, event, how="callback")
    body, digest = callback_sealing.sealed(hub, request)
    await tx.execute(
        _m.insert().values(
            id=number,
            at=now,
            carrier=contract,
            address=payment_records.plain(request.address, 64),
            parcel_id=parcel,
            verdict=outcome,
            reason=reason,
            digest=digest,
            body=body,
        )
    )
    if outcome in ("forged", "unreadable", "unknown_reference"):
        await events.put(tx, f"callbacks.{outcome}", contract, {"reason": reason, "message": number}, now=now)
    return outcome
