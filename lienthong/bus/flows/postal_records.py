"""Rows of parcels: found, held, sealed, opened, shown; the questions for a person and the events about parcels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import keys
from lienthong.bus import events
from lienthong.bus.flows import dossier_rows, payment_records, postal_states, postal_views
from lienthong.bus.hub import Hub
from lienthong.connectors import roles
from lienthong.core import clock, errors, money, storage, tables

_p, _e, _q = tables.parcels, tables.parcel_events, tables.parcel_questions
_SEAL, _EVENT = "parcel", "parcel_event"

Row = Mapping[str, Any]


def carrier(hub: Hub, name: str) -> roles.PostalCarrier:
    """Give a carrier that is enabled and allowed. Raises NotOffered."""
    found = hub.systems.get(name)
    if name not in hub.settings.post.carriers or not isinstance(found, roles.PostalCarrier):
        raise errors.NotOffered(system=name)
    return found


# --------------------------------------------------------------------------------------------------- rows


async def read(hub: Hub, parcel_id: str) -> Row:
    """Read a parcel, by its id or by its number. Raises NotFound."""
    async with hub.storage.reading() as conn:
        row = await storage.first(conn, sa.select(_p).where((_p.c.id == parcel_id) | (_p.c.number == parcel_id)))
    if row is None:
        raise _not_found()
    return row


async def owned(hub: Hub, parcel_id: str, *, caller: keys.Caller) -> Row:
    """Read a parcel for a caller. Raises NotFound, also for somebody else's."""
    async with hub.storage.reading() as conn:
        row = await storage.first(conn, sa.select(_p).where(_p.c.id == parcel_id))
        dossier = await dossier_rows.row(conn, row["dossier_code"]) if row else None
    if row is None or dossier is None or not dossier_rows.owns(dossier, caller):
        raise _not_found()
    return row


def _not_found() -> errors.NotFound:
    return errors.NotFound(
        "no parcel with this number for a dossier of your organisation",
        detail_vi="Không có bưu gửi với số này cho hồ sơ của đơn vị bạn.",
    )


async def hold(hub: Hub, tx: AsyncConnection, parcel_id: str) -> Row:
    """Read a parcel and hold it to the end of the transaction."""
    found = await storage.first(tx, payment_records.held(hub, sa.select(_p).where(_p.c.id == parcel_id)))
    if found is None:
        raise errors.InternalFault(reason="a parcel that was there is gone")
    return found


async def change(tx: AsyncConnection, parcel_id: str, **values: Any) -> None:
    """Write columns of a parcel."""
    await tx.execute(_p.update().where(_p.c.id == parcel_id).values(**values))


async def told(conn: AsyncConnection, parcel_id: str) -> Sequence[Row]:
    """Give the events of a parcel, the oldest first."""
    wanted = sa.select(_e).where(_e.c.parcel_id == parcel_id).order_by(_e.c.occurred_at, _e.c.id)
    return await storage.every(conn, wanted)


def heard(rows: Sequence[Row]) -> Sequence[postal_states.Heard]:
    """Give of events what the state depends on."""
    return [postal_states.Heard(row["event_id"], row["occurred_at"], row["state"]) for row in rows]


def seal(hub: Hub, order: money.ParcelOrder) -> bytes:
    """Seal an order: it holds two addresses."""
    return hub.vault.seal(order.model_dump_json().encode(), purpose=_SEAL)


def order(hub: Hub, row: Row) -> money.ParcelOrder:
    """Open the order of a parcel."""
    return money.ParcelOrder.model_validate_json(hub.vault.open(row["record"], purpose=_SEAL))


def seal_event(hub: Hub, event: money.ParcelEvent) -> bytes:
    """Seal an event as the carrier told it: its sentence may name people, and its money is a proof."""
    return hub.vault.seal(event.model_dump_json().encode(), purpose=_EVENT)


def event(hub: Hub, row: Row) -> money.ParcelEvent:
    """Open an event."""
    return money.ParcelEvent.model_validate_json(hub.vault.open(row["record"], purpose=_EVENT))


async def view(hub: Hub, row: Row, *, repeated: bool = False) -> postal_views.ParcelView:
    """Show a parcel with its way so far."""
    async with hub.storage.reading() as conn:
        rows = await told(conn, row["id"])
    same = postal_views.ParcelView.model_fields.keys() & row.keys()
    return postal_views.ParcelView(
        **{name: row[name] for name in same},
        state_vi=postal_views.STATE_VI[row["state"]],
        is_late=row["late_at"] is not None,
        is_lost=row["lost_at"] is not None,
        events=tuple(_shown(event(hub, one), one) for one in rows),
        repeated=repeated,
    )


def _shown(opened: money.ParcelEvent, row: Row) -> postal_views.ParcelEventView:
    return postal_views.ParcelEventView(
        occurred_at=row["occurred_at"],
        state=row["state"],
        state_vi=postal_views.STATE_VI[row["state"]],
        carrier_code=row["carrier_code"],
        carrier_message=opened.carrier_message,
        place=opened.place,
    )


# ------------------------------------------------------------------------------------- events and questions


async def announce(
    tx: AsyncConnection, kind: str, parcel: Row, facts: Mapping[str, Any], *, now: datetime
) -> None:
    """Write an event about a parcel in the caller's transaction."""
    same = ("dossier_code", "direction", "carrier", "number")
    await events.put(tx, kind, parcel["id"], {**{name: parcel[name] for name in same}, **facts}, now=now)


async def ask(
    hub: Hub, tx: AsyncConnection, parcel: Row, kind: postal_states.Kind, *, fact: str, facts: Mapping[str, Any]
) -> bool:
    """Put a question on the list for a person; False where the very same stands there already."""
    made = await tx.execute(
        hub.storage.insert(_q)
        .values(
            id=clock.new_id(),
            parcel_id=parcel["id"],
            kind=kind,
            fact=fact[:200],
            facts=dict(facts),
            asked_at=hub.now(),
        )
        .on_conflict_do_nothing()
        .returning(_q.c.id)
    )
    if made.first() is None:
        return False
    await announce(tx, "parcels.needs_person", parcel, {"kind": kind, **facts}, now=hub.now())
    return True


async def questions(hub: Hub) -> Sequence[Row]:
    """List what waits for a person, the oldest first."""
    wanted = sa.select(_q).where(_q.c.closed_at.is_(None)).order_by(_q.c.asked_at, _q.c.id).limit(1000)
    async with hub.storage.reading() as conn:
        return await storage.every(conn, wanted)


async def listed(
    hub: Hub,
    *,
    state: str = "",
    carrier_name: str = "",
    dossier: str = "",
    is_open: bool = False,
    limit: int = 100,
) -> Sequence[Row]:
    """List parcels, the newest first."""
    wanted = sa.select(_p).order_by(_p.c.created_at.desc(), _p.c.id.desc()).limit(limit)
    for column, value in ((_p.c.state, state), (_p.c.carrier, carrier_name), (_p.c.dossier_code, dossier)):
        wanted = wanted.where(column == value) if value else wanted
    if is_open:
        wanted = wanted.where(_p.c.closed_at.is_(None))
    async with hub.storage.reading() as conn:
        return await storage.every(conn, wanted)


async def unknown_codes(hub: Hub) -> Sequence[Row]:
    """Count the status codes that the mapping files do not know, so that they can be put there."""
    wanted = (
        sa.select(
            _e.c.carrier,
            _e.c.carrier_code,
            sa.func.count().label("events"),
            sa.func.max(_e.c.occurred_at).label("last_at"),
        )
        .where(_e.c.state == "unknown")
        .group_by(_e.c.carrier, _e.c.carrier_code)
        .order_by(_e.c.carrier, _e.c.carrier_code)
    )
    async with hub.storage.reading() as conn:
        return await storage.every(conn, wanted)
