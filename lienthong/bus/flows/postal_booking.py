"""An order on its way to the carrier: sent, answered, looked for after a lost answer, never simply sent again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.bus.flows import payment_records, postal_cod, postal_events, postal_pool, postal_records
from lienthong.bus.hub import Hub
from lienthong.core import errors, journal, money, storage, tables

_p, _q = tables.parcels, tables.parcel_questions
_LONGEST_WAIT = timedelta(hours=3)
# How often the way of a single parcel is asked for, where the carrier has no feed.
TRACK_EVERY = timedelta(hours=2)
# After these a first try certainly left no order with the carrier.
_NOT_SENT = (
    errors.CallerError,
    errors.MappingError,
    errors.RemoteRefused,
    errors.RemoteForbids,
    errors.RemoteBusy,
    errors.RemoteUnavailable,
    errors.Misconfigured,
    errors.NotOffered,
)

Row = Mapping[str, Any]


async def send(hub: Hub, parcel_id: str, *, is_first: bool = False) -> None:
    """Send an order, or look for it and send it again. Raises what a first try was certainly refused with."""
    row = await postal_records.read(hub, parcel_id)
    if not is_first:
        taken = await _take(hub, row)
        if not taken:
            return
        row = {**row, "tries": row["tries"] + 1}
    order = postal_records.order(hub, row)
    try:
        carrier = postal_records.carrier(hub, row["carrier"])
        given = await carrier.book(order, look_first=not is_first, cursor=row["look_from"])
    except errors.HubError as error:
        await _failed(hub, row, error)
        if is_first and _is_sure(error, row):
            raise _in_words(error) from error
        return
    await hub.storage.write(lambda tx: _booked(hub, tx, row, given))


async def _take(hub: Hub, row: Row) -> bool:
    """Take the next try, which only one process may."""
    wait = timedelta(minutes=hub.settings.post.retry_minutes) * 2 ** min(row["tries"], 8)
    async with hub.storage.transaction() as tx:
        taken = await tx.execute(
            _p.update()
            .where(_p.c.id == row["id"], _p.c.state == "booking", _p.c.tries == row["tries"])
            .values(tries=row["tries"] + 1, next_at=hub.now() + min(wait, _LONGEST_WAIT))
        )
        return bool(taken.rowcount)


def _is_sure(error: errors.HubError, row: Row) -> bool:
    """Whether the carrier certainly has no order.

    A later try says so only by the carrier's own refusal: anything else may have gone wrong while looking.
    """
    if row["tries"] > 1:
        return isinstance(error, errors.RemoteRefused) and not error.remote_code.startswith("HTTP")
    return isinstance(error, _NOT_SENT) and not error.facts.get("outcome_uncertain")


def _in_words(error: errors.HubError) -> errors.HubError:
    """Name an address without a number of the carrier's as what it is for the caller: a field of the request."""
    if not isinstance(error, errors.UnmappedCode) or "field" not in error.facts:
        return error
    problem = errors.FieldProblem(str(error.facts["field"]), error.detail("vi"), error.detail("en"))
    return errors.InvalidRequest(problems=(problem,))


# ------------------------------------------------------------------------------------------------- answered


async def _booked(hub: Hub, tx: AsyncConnection, row: Row, given: money.ParcelBooked) -> None:
    held = await postal_records.hold(hub, tx, row["id"])
    now = hub.now()
    values: dict[str, Any] = {"price_vnd": given.price_vnd, "last_code": ""}
    reference = payment_records.plain(given.carrier_reference, 100)
    values["carrier_reference"] = reference or held["carrier_reference"]
    values["waybill"] = await _number_after(hub, tx, held, payment_records.plain(given.waybill, 40))
    if held["booked_at"] is None and held["closed_at"] is None:
        # Known by its answer now; the next look at it is the watch's.
        values |= {"booked_at": now, "next_at": now + TRACK_EVERY}
    await postal_records.change(tx, held["id"], **values)
    if held["state"] != "booking":
        return
    standing = await postal_events.standing_of(tx, {**held, **values})
    await postal_records.change(tx, held["id"], state=standing.state, state_at=standing.state_at)
    facts = {"state": standing.state, "existed": given.duplicate, "tries": row["tries"]}
    await postal_records.announce(tx, "parcels.booked", held, facts, now=now)


async def _number_after(hub: Hub, tx: AsyncConnection, held: Row, given: str) -> str:
    """Settle what became of the number out of the pool; gives the waybill that the parcel has."""
    ours = held["waybill"]
    if not ours or held["carrier"] not in hub.settings.post.pooled:
        return given or ours
    if given != ours and held["tries"] == 1 and held["state"] == "booking":
        # The one try was answered, and the answer binds another number or none: ours was not used.
        await postal_pool.give_back(tx, held["carrier"], ours, parcel=held["id"], hub=hub)
        return given
    await postal_pool.use(tx, held["carrier"], ours, hub=hub)
    return given or ours


async def _failed(hub: Hub, row: Row, error: errors.HubError) -> None:
    async with hub.storage.transaction() as tx:
        held = await postal_records.hold(hub, tx, row["id"])
        if held["state"] != "booking":
            return
        if _is_sure(error, row):
            await _refuse(hub, tx, held, code=error.code)
            return
        await postal_records.change(tx, held["id"], last_code=error.code[:60])
        if hub.now() - held["created_at"] >= timedelta(hours=hub.settings.post.unknown_hours):
            await postal_records.change(tx, held["id"], next_at=None)
            facts = {"tries": row["tries"], "code": error.code}
            await postal_records.ask(hub, tx, held, "booking_unknown", fact="booking", facts=facts)


async def _refuse(hub: Hub, tx: AsyncConnection, held: Row, *, code: str) -> None:
    now = hub.now()
    await postal_records.change(
        tx, held["id"], state="refused", closed_at=now, next_at=None, last_code=code[:60], waybill=""
    )
    if held["waybill"] and held["tries"] == 1:
        await postal_pool.give_back(tx, held["carrier"], held["waybill"], parcel=held["id"], hub=hub)
    elif held["waybill"]:
        # A try before may have arrived with it: it stays this dossier's.
        await postal_pool.use(tx, held["carrier"], held["waybill"], hub=hub)
    await postal_cod.ended(hub, tx, held)
    await postal_records.announce(tx, "parcels.refused", held, {"code": code}, now=now)


# ---------------------------------------------------------------------------------------------- by a person


async def decide(
    hub: Hub, question_id: str, *, decision: Literal["booked", "refused", "noted"], by: str, reason: str
) -> None:
    """Close a question with a reason; of a booking that nobody knows of, say whether the carrier has it.

    Raises NotFound, and Conflict where it is closed or the decision does not fit.
    """
    async with hub.storage.transaction() as tx:
        row = await storage.first(tx, sa.select(_q).where(_q.c.id == question_id))
        if row is None:
            raise errors.NotFound("no such question", detail_vi="Không có việc này trong danh sách.")
        held = await postal_records.hold(hub, tx, row["parcel_id"])
        closed = await tx.execute(
            _q.update()
            .where(_q.c.id == question_id, _q.c.closed_at.is_(None))
            .values(closed_at=hub.now(), closed_by=by, decision=decision, reason=reason)
        )
        if not closed.rowcount:
            raise errors.Conflict("this question is closed", detail_vi="Việc này đã được giải quyết.")
        if decision != "noted":
            await _decided(hub, tx, held, decision)
        await journal.write_act(
            tx,
            "parcels.decide",
            held["id"],
            actor=by,
            now=hub.now(),
            reason=reason,
            before={"state": held["state"], "question": row["kind"]},
            after={"decision": decision},
        )


async def _decided(hub: Hub, tx: AsyncConnection, held: Row, decision: str) -> None:
    if held["state"] != "booking":
        raise errors.Conflict(
            "the booking of this parcel is not in doubt; this can only be noted",
            detail_vi="Việc đặt bưu gửi này không còn chờ xác nhận; chỉ ghi nhận được.",
        )
    if decision == "booked":
        await _booked(hub, tx, held, money.ParcelBooked(duplicate=True))
        return
    await _refuse(hub, tx, {**held, "tries": max(held["tries"], 2)}, code="decided")
