"""Reading dossiers: the whole, the timeline, one message, and what the public may know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from lienthong.api_keys import keys
from lienthong.bus import outbox
from lienthong.bus.flows import dossier_rows, dossier_views
from lienthong.bus.hub import Hub
from lienthong.core import errors, records, storage, tables
from lienthong.core.records import Status

_d, _c = tables.dossiers, tables.status_changes


async def get(hub: Hub, code: str, *, caller: keys.Caller) -> dossier_views.DossierView:
    """Give one dossier; to another organisation without its personal data."""
    async with hub.storage.reading() as conn:
        row = dossier_rows.found(await dossier_rows.row(conn, code))
    view = dossier_rows.view(hub, row)
    return view if dossier_rows.owns(row, caller) else dossier_rows.hidden(view)


async def timeline(hub: Hub, code: str, *, caller: keys.Caller) -> dossier_views.Timeline:
    """Give every change of a dossier with the three moments that prove where time went (TG 9.3, HG 19.7)."""
    messages = tables.messages
    async with hub.storage.reading() as conn:
        row = dossier_rows.found(await dossier_rows.row(conn, code))
        changes = await storage.every(conn, sa.select(_c).where(_c.c.dossier_code == code).order_by(_c.c.number))
        sent = await conn.execute(
            sa.select(messages.c.id, messages.c.target, messages.c.state, messages.c.settled_at).where(
                messages.c.lane == code
            )
        )
        deliveries = {item.id: item for item in sent}
    owns = dossier_rows.owns(row, caller)
    return dossier_views.Timeline(
        dossier_code=code,
        items=tuple(_item(hub, change, deliveries, owns=owns) for change in changes),
    )


def _item(
    hub: Hub, change: Mapping[str, Any], deliveries: Mapping[str, Any], *, owns: bool
) -> dossier_views.TimelineItem:
    opened = dossier_rows.opened_change(hub, change["record"])
    said = opened["change"]
    sent = [deliveries[number] for number in opened["messages"].values() if number in deliveries]
    return dossier_views.TimelineItem(
        number=change["number"],
        status=Status(change["status"]),
        status_vi=records.STATUS_VI[Status(change["status"])],
        occurred_at=change["occurred_at"],
        accepted_at=change["accepted_at"],
        handled_by=said["handled_by"] if owns else "",
        unit=said["unit"],
        note=said["note"] if owns else "",
        unusual=change["unusual"],
        deliveries=tuple(
            dossier_views.Delivered(
                target=item.target,
                message_id=item.id,
                state=item.state,
                delivered_at=item.settled_at if item.state == "delivered" else None,
            )
            for item in sent
        ),
    )


async def message(hub: Hub, message_id: str, *, caller: keys.Caller) -> dossier_views.MessageView:
    """Give the state of one message and every attempt."""
    async with hub.storage.reading() as conn:
        found = await storage.first(
            conn,
            sa.select(tables.messages, _d.c.organisation)
            .join_from(tables.messages, _d, tables.messages.c.lane == _d.c.code)
            .where(tables.messages.c.id == message_id),
        )
    if found is None or not dossier_rows.owns(found, caller):
        raise errors.NotFound("no such message", detail_vi="Không có thông điệp này.")
    tries = await outbox.tries(hub.storage, message_id)
    state = found["state"]
    return dossier_views.MessageView(
        message_id=message_id,
        target=found["target"],
        dossier_code=found["lane"],
        state=state,
        created_at=found["created_at"],
        delivered_at=found["settled_at"] if state == "delivered" else None,
        next_try_at=found["due_at"] if state == "pending" else None,
        waiting_behind=await outbox.waiting_behind(hub.storage, found) if state == "pending" else None,
        last_code=found["last_code"],
        attempts=tuple(
            dossier_views.AttemptView(**{name: item[name] for name in dossier_views.AttemptView.model_fields})
            for item in tries
        ),
    )


async def enquire(hub: Hub, code: str) -> dossier_views.EnquiryView:
    """Give what anybody who knows the dossier's code may know."""
    procedures = tables.procedures
    async with hub.storage.reading() as conn:
        row = dossier_rows.found(await dossier_rows.row(conn, code))
        name = (
            await conn.execute(sa.select(procedures.c.name).where(procedures.c.code == row["procedure_code"]))
        ).scalar()
    status = Status(row["status"])
    return dossier_views.EnquiryView(
        dossier_code=code,
        procedure_code=row["procedure_code"],
        procedure_name=name or "",
        status=status,
        status_vi=records.STATUS_VI[status],
        status_at=row["status_at"],
        agency=dossier_rows.record(hub, row).agency,
        received_at=row["received_at"],
        due_at=row["due_at"],
        finished_at=row["finished_at"],
        returned_at=row["returned_at"],
    )
