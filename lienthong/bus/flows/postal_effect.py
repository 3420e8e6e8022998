"""What a delivered result does to its dossier: returned, by post, at the time of the event (contracts §8.4)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import keys
from lienthong.bus.flows import dossier_rows, dossier_status, payment_records, postal_records, postal_states
from lienthong.bus.hub import Hub
from lienthong.core import errors, records, storage, tables
from lienthong.core.records import Status

_p, _d = tables.parcels, tables.dossiers
_AT_ONCE = 500
_WHO = "Bưu chính"


async def tell_dossiers(hub: Hub) -> tuple[int, int]:
    """Report every delivery that its dossier does not know of yet; gives how many, and how many must wait.

    Safe to repeat. What fails by a fault of ours stays due, and holds nobody else back.
    """
    wanted = sa.select(_p).where(_p.c.effect == "due").order_by(_p.c.state_at).limit(_AT_ONCE)
    async with hub.storage.reading() as conn:
        rows = await storage.every(conn, wanted)
    told = failed = 0
    for row in rows:
        try:
            told += await _tell(hub, row)
        except errors.HubError:
            failed += 1
    return told, failed


async def _tell(hub: Hub, row: Mapping[str, Any]) -> bool:
    async with hub.storage.reading() as conn:
        delivery = postal_states.first_delivery(postal_records.heard(await postal_records.told(conn, row["id"])))
        dossier = dossier_rows.found(await dossier_rows.row(conn, row["dossier_code"]))
    if delivery is None:
        raise errors.InternalFault(reason="a delivered parcel without a delivery")
    if dossier["status"] == Status.RETURNED.value:
        # The desk has reported it by itself, or this process died right after it had.
        await _done(hub, row, "done")
        return False
    try:
        await hub.storage.write(lambda tx: _mark_postal(hub, tx, row["dossier_code"]))
        await dossier_status.report(
            hub,
            row["dossier_code"],
            _change(row, delivery),
            caller=_as_owner(row, dossier),
            request_id=row["request_id"],
        )
    except errors.CallerError as error:
        await _refused(hub, row, error)
        return False
    await _done(hub, row, "done")
    return True


def _change(row: Mapping[str, Any], delivery: postal_states.Heard) -> records.StatusChange:
    """Write the change of status; its number comes from the event, so that the same event is the same change."""
    event = hashlib.sha256(delivery.event_id.encode()).hexdigest()[:24]
    by = f", vận đơn {row['waybill']}" if row["waybill"] else ""
    return records.StatusChange(
        status=Status.RETURNED,
        occurred_at=delivery.occurred_at,
        handled_by=_WHO,
        note=f"Đã phát kết quả qua bưu chính (bưu gửi {row['number']}{by})",
        change_id=f"post.{row['number']}.{event}",
    )


def _as_owner(row: Mapping[str, Any], dossier: Mapping[str, Any]) -> keys.Caller:
    """Act for the organisation that booked the parcel of its own dossier."""
    return keys.Caller(
        key_id=row["key_id"],
        prefix="",
        organisation=dossier["organisation"],
        system="post",
        grants=frozenset(),
        environment="hub",
    )


async def _mark_postal(hub: Hub, tx: AsyncConnection, code: str) -> None:
    """Let the dossier say that its result went by post; the status push that follows carries it."""
    row = await storage.first(tx, payment_records.held(hub, sa.select(_d).where(_d.c.code == code)))
    if row is None:
        return
    marked = dossier_rows.record(hub, row).model_copy(update={"return_by": "postal"})
    await tx.execute(_d.update().where(_d.c.code == code).values(**dossier_rows.sealed(hub, marked)))


async def _done(hub: Hub, row: Mapping[str, Any], effect: str) -> None:
    async with hub.storage.transaction() as tx:
        await postal_records.change(tx, row["id"], effect=effect)


async def _refused(hub: Hub, row: Mapping[str, Any], error: errors.CallerError) -> None:
    """Leave to a person what a dossier does not take: a time that cannot be, a record that a target refuses."""
    facts = {"code": error.code, "fields": [problem.field for problem in error.problems]}
    async with hub.storage.transaction() as tx:
        await postal_records.change(tx, row["id"], effect="refused")
        await postal_records.ask(hub, tx, row, "dossier_refuses", fact="delivered", facts=facts)
