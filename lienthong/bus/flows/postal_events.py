"""Events of parcels taken into the book: each once, put to its parcel, and whatever follows from all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.bus.flows import payment_records, postal_cod, postal_pool, postal_records, postal_states
from lienthong.bus.hub import Hub
from lienthong.core import clock, money, storage, tables

_p, _e = tables.parcels, tables.parcel_events
Outcome = Literal["recorded", "already", "unknown_reference"]
Row = Mapping[str, Any]
# Clocks differ, and some carriers tell only the day.
_BEFORE_BOOKING = timedelta(days=1)
_CLOCKS = timedelta(minutes=5)
# What the desk must hear of by its own name.
_ALERTS = {"returned": "parcels.returned_to_sender"}


async def take(
    hub: Hub,
    tx: AsyncConnection,
    carrier: str,
    event: money.ParcelEvent,
    *,
    how: postal_cod.How,
    parcel_id: str | None = None,
) -> tuple[Outcome, str | None]:
    """Take one event in the caller's transaction; gives what became of it, and which parcel it is about.

    The parcel is held meanwhile, so that its state follows from all that was told. An event of nobody's parcel
    is kept, too: the feed tells of every parcel of the customer.
    """
    event = _fitting(event)
    found = parcel_id or await _parcel_of(tx, carrier, event)
    parcel = await postal_records.hold(hub, tx, found) if found else None
    made = await tx.execute(
        hub.storage.insert(_e)
        .values(
            id=clock.new_id(),
            carrier=carrier,
            event_id=event.event_id,
            parcel_id=found,
            number=event.number,
            waybill=event.waybill,
            occurred_at=event.occurred_at,
            taken_at=hub.now(),
            how=how,
            state=event.state,
            carrier_code=event.carrier_code,
            record=postal_records.seal_event(hub, event),
        )
        .on_conflict_do_nothing()
        .returning(_e.c.id)
    )
    if made.first() is None:
        return "already", await _told_again(hub, tx, carrier, event, how=how)
    if parcel is None:
        return "unknown_reference", None
    await _apply(hub, tx, parcel, event, how=how)
    return "recorded", found


def _fitting(event: money.ParcelEvent) -> money.ParcelEvent:
    """Cut what a column cannot hold; a number that is too long is told apart by its digest."""
    lengths = {"number": 100, "waybill": 100, "carrier_code": 60}
    cut = {name: payment_records.plain(getattr(event, name), longest) for name, longest in lengths.items()}
    number = event.event_id
    if len(number) > 100 or payment_records.plain(number, 100) != number:
        number = hashlib.sha256(number.encode("utf-8", "replace")).hexdigest()
    return event.model_copy(update={**cut, "event_id": number})


async def _parcel_of(tx: AsyncConnection, carrier: str, event: money.ParcelEvent) -> str | None:
    """Find whose event it is: by the waybill, else by the number; of several the newest that was there by then."""
    wanted = sa.select(_p.c.id, _p.c.created_at, _p.c.waybill).where(_p.c.carrier == carrier)
    if event.waybill:
        rows = await storage.every(tx, wanted.where(_p.c.waybill == event.waybill))
        if found := _there_by_then(rows, event):
            return found
    if not event.number:
        return None
    unanswered = (_p.c.state == "booking") & (_p.c.dossier_code == event.number)
    named = (_p.c.carrier_reference == event.number) | (_p.c.number == event.number) | unanswered
    rows = await storage.every(tx, wanted.where(named))
    fitting = [row for row in rows if not event.waybill or row["waybill"] in ("", event.waybill)]
    return _there_by_then(fitting, event)


def _there_by_then(rows: Sequence[Row], event: money.ParcelEvent) -> str | None:
    newest_first = sorted(rows, key=lambda row: row["created_at"], reverse=True)
    for slack in (_CLOCKS, _BEFORE_BOOKING):
        for row in newest_first:
            if row["created_at"] - slack <= event.occurred_at:
                return str(row["id"])
    return None


async def _told_again(
    hub: Hub, tx: AsyncConnection, carrier: str, event: money.ParcelEvent, *, how: postal_cod.How
) -> str | None:
    """Let the money of an event count that a carrier told by itself before, now that it was asked and agrees."""
    wanted = sa.select(_e).where(_e.c.carrier == carrier, _e.c.event_id == event.event_id)
    row = await storage.first(tx, wanted)
    if row is None or row["parcel_id"] is None:
        return None
    if row["how"] == "callback" and how in ("feed", "query"):
        first = postal_records.event(hub, row)
        said = event.cod_collected_vnd if event.cod_collected_vnd is not None else first.cod_collected_vnd
        parcel = await postal_records.hold(hub, tx, row["parcel_id"])
        confirmed = event.model_copy(update={"cod_collected_vnd": said})
        await postal_cod.said(hub, tx, parcel, confirmed, how=how)
    return str(row["parcel_id"])


async def _apply(
    hub: Hub, tx: AsyncConnection, parcel: Row, event: money.ParcelEvent, *, how: postal_cod.How
) -> None:
    """Work out how the parcel stands by now, and do what follows from that: each thing once."""
    now = hub.now()
    standing = await standing_of(tx, parcel)
    values: dict[str, Any] = {
        "state": standing.state,
        "state_at": standing.state_at,
        "heard_at": now,
        "late_at": None,
        "lost_at": None,
        **_learnt(parcel, event, now=now),
    }
    if standing.is_closed and parcel["closed_at"] is None:
        values |= {"closed_at": now, "next_at": None}
    if how == "callback" and event.cod_collected_vnd is not None and parcel["payment_id"] is not None:
        # A call proves nothing of money: the carrier is asked, soon.
        values["next_at"] = now
    is_delivery = standing.state == "delivered" and parcel["direction"] == "deliver_result"
    if is_delivery and not parcel["effect"]:
        values["effect"] = "due"
    await postal_records.change(tx, parcel["id"], **values)
    if "waybill" in values:
        await postal_pool.use(tx, parcel["carrier"], values["waybill"], hub=hub)
    await _tell(hub, tx, parcel, standing, event)
    await postal_cod.said(hub, tx, parcel, event, how=how)
    if standing.state in ("returned", "cancelled") and parcel["state"] != standing.state:
        await postal_cod.ended(hub, tx, parcel)


def _learnt(parcel: Row, event: money.ParcelEvent, *, now: Any) -> dict[str, Any]:
    """Give what an event says of the order itself, where no answer of the carrier had said it before."""
    found: dict[str, Any] = {}
    if event.waybill and not parcel["waybill"]:
        found["waybill"] = event.waybill[:40]
    if parcel["state"] == "booking":
        found |= {"booked_at": now, "next_at": now}
        if event.number:
            found["carrier_reference"] = event.number
    return found


async def standing_of(tx: AsyncConnection, parcel: Row) -> postal_states.Standing:
    """Work out how a parcel stands, from the answer to its booking and all its events."""
    rows = await postal_records.told(tx, parcel["id"])
    if parcel["booked_at"] is not None:
        return postal_states.judge("booked", postal_records.heard(rows))
    is_refused = parcel["closed_at"] is not None
    return postal_states.judge("refused" if is_refused else "booking", postal_records.heard(rows))


async def _tell(
    hub: Hub, tx: AsyncConnection, parcel: Row, standing: postal_states.Standing, event: money.ParcelEvent
) -> None:
    facts = {"state": standing.state, "carrier_code": event.carrier_code, "event_id": event.event_id}
    if standing.state != parcel["state"]:
        happened = {**facts, "occurred_at": (standing.state_at or event.occurred_at).isoformat()}
        kind = _ALERTS.get(standing.state, f"parcels.{standing.state}")
        await postal_records.announce(tx, kind, parcel, happened, now=hub.now())
    for kind, fact in standing.contradictions:
        await postal_records.ask(hub, tx, parcel, kind, fact=fact, facts=facts)
