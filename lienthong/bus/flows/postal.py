"""The post: have a dossier collected or a result delivered, follow it, cancel it (house.md section 5)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import keys
from lienthong.bus import events
from lienthong.bus.flows import (
    dossier_rows,
    payment_records,
    postal_booking,
    postal_cod,
    postal_events,
    postal_pool,
    postal_records,
    postal_states,
    postal_views,
)
from lienthong.bus.hub import Hub
from lienthong.core import clock, errors, journal, money, records, storage, tables

_p, _d, _c = tables.parcels, tables.dossiers, tables.tracking_cursors


# ---------------------------------------------------------------------------------------------------- book


async def book(
    hub: Hub, request: postal_views.ParcelRequest, *, caller: keys.Caller, request_id: str
) -> postal_views.ParcelView:
    """Have something carried. One parcel at a time is under way for a dossier in a direction.

    The same request again is answered with the same parcel, another one is a Conflict. Where the carrier did not
    answer, the parcel is in state `booking`, and the hub looks for it before it sends anything again.
    """
    _must_make_sense(request)
    chosen = _choose(hub, request.carrier)
    postal_records.carrier(hub, chosen)
    digest = hub.vault.digest(request.model_dump_json().encode(), purpose="parcel")

    async def write(tx: AsyncConnection) -> tuple[Mapping[str, Any], bool]:
        dossier = await _dossier(hub, tx, request, caller=caller)
        standing = await _under_way(tx, request)
        if standing is not None:
            _must_be_same(standing, digest)
            return standing, True
        await _must_be_told_apart(tx, request, chosen)
        made = await _created(hub, tx, request, dossier, chosen, digest, caller=caller, request_id=request_id)
        return made, False

    try:
        row, is_repeated = await hub.storage.write(write)
    except errors.Conflict as conflict:
        if conflict.facts.get("reason") == postal_pool.EMPTY:
            await _tell_empty(hub, chosen)
        raise
    if not is_repeated:
        await postal_booking.send(hub, row["id"], is_first=True)
        row = await postal_records.owned(hub, row["id"], caller=caller)
    return await postal_records.view(hub, row, repeated=is_repeated)


def _must_make_sense(request: postal_views.ParcelRequest) -> None:
    if request.cod_vnd and request.direction != "deliver_result":
        problem = errors.FieldProblem(
            "cod_vnd",
            "Chỉ thu hộ khi phát kết quả cho người dân (deliver_result).",
            "Cash is collected only where a result is delivered (deliver_result).",
        )
        raise errors.InvalidRequest(problems=(problem,))


def _choose(hub: Hub, wanted: str) -> str:
    allowed = [name for name in hub.settings.post.carriers if name in hub.systems]
    if not wanted and allowed:
        return allowed[0]
    if wanted in allowed:
        return wanted
    if not wanted:
        raise errors.NotOffered(system="post")
    names = ", ".join(allowed) or "-"
    problem = errors.FieldProblem(
        "carrier",
        f"Trục không gửi qua đơn vị bưu chính này; hiện có: {names}.",
        f"The hub does not send through this carrier; there are: {names}.",
    )
    raise errors.InvalidRequest(problems=(problem,))


async def _dossier(
    hub: Hub, tx: AsyncConnection, request: postal_views.ParcelRequest, *, caller: keys.Caller
) -> tuple[Mapping[str, Any], records.Dossier]:
    """Read and hold the dossier: of fifty requests at once the second sees what the first has written."""
    wanted = sa.select(_d).where(_d.c.code == request.dossier_code)
    row = await storage.first(tx, payment_records.held(hub, wanted))
    if row is None:
        problem = errors.FieldProblem(
            "dossier_code",
            "Không có hồ sơ với mã này; hãy khai hồ sơ bằng PUT /v1/dossiers/{code} trước.",
            "There is no dossier with this code; declare it with PUT /v1/dossiers/{code} first.",
        )
        raise errors.InvalidRequest(problems=(problem,))
    dossier_rows.must_own(row, caller)
    if request.direction == "deliver_result" and row["status"] == records.Status.RETURNED.value:
        raise errors.Conflict(
            "the result of this dossier was handed over already",
            detail_vi="Kết quả của hồ sơ này đã được trả.",
            reason="returned",
        )
    return row, dossier_rows.record(hub, row)


async def _under_way(tx: AsyncConnection, request: postal_views.ParcelRequest) -> Mapping[str, Any] | None:
    wanted = sa.select(_p).where(
        _p.c.dossier_code == request.dossier_code,
        _p.c.direction == request.direction,
        _p.c.closed_at.is_(None),
    )
    return await storage.first(tx, wanted)


def _must_be_same(row: Mapping[str, Any], digest: str) -> None:
    if row["digest"] != digest:
        raise errors.Conflict(
            "another parcel of this dossier is under way in this direction; cancel it before booking a new one",
            detail_vi="Hồ sơ đang có một bưu gửi khác theo chiều này; hãy huỷ bưu gửi đó trước khi đặt mới.",
            reason="under_way",
            parcel_id=row["id"],
        )


async def _must_be_told_apart(tx: AsyncConnection, request: postal_views.ParcelRequest, carrier: str) -> None:
    """Refuse a second order under a number that the carrier has already: it would only say that it has it."""
    wanted = sa.select(_p.c.id).where(
        _p.c.carrier == carrier,
        _p.c.carrier_reference == request.dossier_code,
        _p.c.state.not_in(("cancelled", "refused")),
    )
    if await storage.first(tx, wanted) is not None:
        raise errors.Conflict(
            "this carrier numbers orders by the dossier's code and has one with it; "
            "with ORDER_NUMBER=parcel in its section every parcel has a number of its own",
            detail_vi="Đơn vị bưu chính này đánh số đơn theo mã hồ sơ và đã có một đơn mang mã này; đặt "
            "ORDER_NUMBER=parcel trong mục cấu hình của đơn vị đó để mỗi bưu gửi có số riêng.",
            reason="number_taken",
        )


async def _created(
    hub: Hub,
    tx: AsyncConnection,
    request: postal_views.ParcelRequest,
    dossier: tuple[Mapping[str, Any], records.Dossier],
    carrier: str,
    digest: str,
    *,
    caller: keys.Caller,
    request_id: str,
) -> Mapping[str, Any]:
    now, number, parcel_id = hub.now(), payment_records.new_number("BG", hub.now()), clock.new_id()
    payment_id, waybill = None, ""
    if request.cod_vnd:
        payment_id = await postal_cod.begin(
            hub, tx, request, dossier, carrier=carrier, caller=caller, request_id=request_id
        )
    if carrier in hub.settings.post.pooled:
        waybill = await postal_pool.take(
            hub, tx, carrier, dossier=request.dossier_code, direction=request.direction, parcel=parcel_id
        )
    order = _order(request, dossier, number=number, waybill=waybill)
    values = {
        "id": parcel_id,
        "number": number,
        "dossier_code": request.dossier_code,
        "direction": request.direction,
        "carrier": carrier,
        "state": "booking",
        "waybill": waybill,
        "cod_vnd": request.cod_vnd,
        "payment_id": payment_id,
        "key_id": caller.key_id,
        "request_id": request_id,
        "record": postal_records.seal(hub, order),
        "digest": digest,
        "tries": 1,
        "look_from": await _cursor(tx, carrier),
        # Also where this process dies now: then it is looked for before anything is sent again.
        "next_at": now + timedelta(minutes=hub.settings.post.retry_minutes),
        "created_at": now,
    }
    await tx.execute(_p.insert().values(**values))
    return values


def _order(
    request: postal_views.ParcelRequest,
    dossier: tuple[Mapping[str, Any], records.Dossier],
    *,
    number: str,
    waybill: str,
) -> money.ParcelOrder:
    row, record = dossier
    what = "Kết quả hồ sơ" if request.direction == "deliver_result" else "Hồ sơ"
    return money.ParcelOrder(
        number=number,
        dossier_code=request.dossier_code,
        direction=request.direction,
        sender=request.sender.for_post(),
        receiver=request.receiver.for_post(),
        waybill=waybill,
        cod_vnd=request.cod_vnd,
        weight_g=request.weight_g,
        description=request.description or f"{what} {request.dossier_code}",
        procedure_code=row["procedure_code"],
        citizen_id=record.applicant.citizen_id or "",
        received_at=row["received_at"],
    )


async def _cursor(tx: AsyncConnection, carrier: str) -> str:
    found = await storage.first(tx, sa.select(_c.c.cursor).where(_c.c.carrier == carrier))
    return str(found["cursor"]) if found else ""


async def _tell_empty(hub: Hub, carrier: str) -> None:
    async with hub.storage.transaction() as tx:
        await events.put(tx, "waybills.empty", carrier, {"free": 0}, now=hub.now())


# ----------------------------------------------------------------------------------------- follow and cancel


async def get(hub: Hub, parcel_id: str, *, caller: keys.Caller) -> postal_views.ParcelView:
    """Say where a parcel is."""
    return await postal_records.view(hub, await postal_records.owned(hub, parcel_id, caller=caller))


async def cancel(hub: Hub, parcel_id: str, *, caller: keys.Caller) -> postal_views.ParcelView:
    """Cancel a parcel that the carrier has not collected yet. A second time gives the same answer.

    Raises Conflict where it is too late or not confirmed yet, and what the carrier refuses with.
    """
    row = await postal_records.owned(hub, parcel_id, caller=caller)
    await _cancel(hub, row)
    return await get(hub, parcel_id, caller=caller)


async def cancel_by_hand(hub: Hub, parcel_id: str, *, by: str, reason: str) -> postal_views.ParcelView:
    """Cancel a parcel as an operator, with a reason."""
    row = await postal_records.read(hub, parcel_id)
    await _cancel(hub, row)
    async with hub.storage.transaction() as tx:
        before, after = {"state": row["state"]}, {"state": "cancelled"}
        await journal.write_act(
            tx,
            "parcels.cancel",
            row["id"],
            actor=by,
            now=hub.now(),
            reason=reason,
            before=before,
            after=after,
        )
    return await postal_records.view(hub, await postal_records.read(hub, row["id"]))


async def _cancel(hub: Hub, row: Mapping[str, Any]) -> None:
    if row["state"] == "cancelled":
        return
    if not postal_states.is_cancellable(row["state"]):
        raise _too_late(row)
    carrier = postal_records.carrier(hub, row["carrier"])
    await carrier.cancel(postal_records.order(hub, row), carrier_reference=row["carrier_reference"])
    # An event among the others: what the carrier tells afterwards is weighed against it.
    event = money.ParcelEvent(
        number=row["carrier_reference"] or row["number"],
        waybill=row["waybill"],
        event_id=f"hub.cancelled.{row['id']}",
        occurred_at=hub.now(),
        state="cancelled",
        carrier_code="",
        carrier_message="Trục đã huỷ với bưu chính",
    )
    await hub.storage.write(
        lambda tx: postal_events.take(hub, tx, row["carrier"], event, how="hub", parcel_id=row["id"])
    )


def _too_late(row: Mapping[str, Any]) -> errors.Conflict:
    state = row["state"]
    said_vi = postal_views.STATE_VI[state].lower()
    if state == "booking":
        return errors.Conflict(
            "the carrier has not confirmed the booking yet; try again in a few minutes",
            detail_vi="Bưu chính chưa xác nhận đơn; hãy thử huỷ lại sau ít phút.",
            reason="booking",
            retry_after_s=300,
        )
    return errors.Conflict(
        f"the parcel is {state}; it can only be cancelled before the carrier has collected it",
        detail_vi=f"Bưu gửi {said_vi}; chỉ huỷ được trước khi bưu chính thu gom.",
        reason=state,
    )
