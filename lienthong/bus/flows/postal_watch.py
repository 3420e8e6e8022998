"""The watch over parcels: one worker a carrier reads its feed, looks for lost answers, alerts of what is late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from lienthong.bus import events, leases
from lienthong.bus.flows import (
    payment_records,
    postal_booking,
    postal_cod,
    postal_effect,
    postal_events,
    postal_pool,
    postal_records,
)
from lienthong.bus.hub import Hub
from lienthong.connectors import roles
from lienthong.core import errors, money, storage, tables

_p, _c = tables.parcels, tables.tracking_cursors
# Longer than any one call may take, so that nobody else reads the same feed while a slow page comes.
_LEASE_S = 300.0
_AT_ONCE = 500
_FAILURES_TO_ALERT = 3
_UNREAD = "unread_events"


@dataclass(slots=True)
class Report:
    """What one round of the watch did."""

    pages: int = 0
    events: int = 0
    repeated: int = 0
    unread: int = 0
    foreign: int = 0
    asked: int = 0
    returned: int = 0
    late: int = 0
    lost: int = 0
    failed: int = 0


async def run(hub: Hub, *, carrier: str = "") -> Report:
    """Do one round, of all carriers or of one. Safe to repeat, and in two processes at once."""
    report = Report()
    for name in hub.settings.post.carriers:
        if name in hub.systems and name == (carrier or name):
            await _look_after(hub, name, report)
    report.returned, waiting = await postal_effect.tell_dossiers(hub)
    report.failed += waiting
    await _alert(hub, report)
    return report


async def _look_after(hub: Hub, name: str, report: Report) -> None:
    """Look after the parcels of one carrier, unless another process does."""
    lease = f"post.{name}"
    if not await leases.take(hub.storage, lease, owner=hub.owner, now=hub.now(), for_s=_LEASE_S):
        return
    try:
        carrier = postal_records.carrier(hub, name)
        if not await _read_feed(hub, carrier, report):
            await _track(hub, carrier, report)
        await _retry(hub, name, report)
        if name in hub.settings.post.pooled:
            await postal_pool.warn(hub, name)
    finally:
        await leases.release(hub.storage, lease, owner=hub.owner)


# --------------------------------------------------------------------------------------------------- the feed


async def _read_feed(hub: Hub, carrier: roles.PostalCarrier, report: Report) -> bool:
    """Read the feed page by page; False where the carrier has none."""
    for _ in range(hub.settings.post.pages):
        cursor = await _cursor(hub, carrier.name)
        try:
            page = await carrier.follow(cursor=cursor)
        except errors.NotOffered:
            return False
        except errors.HubError as error:
            report.failed += 1
            await _note_failure(hub, carrier.name, error)
            return True
        report.pages += 1
        if not await _store(hub, carrier.name, cursor, page, report) or page.is_last:
            break
        now = hub.now()
        if not await leases.take(hub.storage, f"post.{carrier.name}", owner=hub.owner, now=now, for_s=_LEASE_S):
            break
    await _no_single_tracking(hub, carrier.name)
    return True


async def _cursor(hub: Hub, name: str) -> str:
    async with hub.storage.reading() as conn:
        found = await storage.first(conn, sa.select(_c.c.cursor).where(_c.c.carrier == name))
    return str(found["cursor"]) if found else ""


async def _store(hub: Hub, name: str, cursor: str, page: money.TrackingPage, report: Report) -> bool:
    """Store a page and move the cursor, together or not at all; False where somebody else has moved it."""
    counts = await hub.storage.write(lambda tx: _stored(hub, tx, name, cursor, page))
    if counts is None:
        return False
    report.events += counts.get("recorded", 0)
    report.repeated += counts.get("already", 0)
    report.foreign += counts.get("unknown_reference", 0)
    report.unread += len(page.unread)
    return True


async def _stored(hub: Hub, tx: Any, name: str, cursor: str, page: money.TrackingPage) -> dict[str, int] | None:
    now = hub.now()
    await tx.execute(hub.storage.insert(_c).values(carrier=name).on_conflict_do_nothing())
    row = await storage.first(tx, payment_records.held(hub, sa.select(_c).where(_c.c.carrier == name)))
    if row is None or row["cursor"] != cursor:
        return None
    counts: dict[str, int] = {}
    # Parcels are held in one order, so that a callback about one of them never waits crosswise.
    for event in sorted(page.events, key=lambda it: (it.number, it.waybill)):
        outcome, _ = await postal_events.take(hub, tx, name, event, how="feed")
        counts[outcome] = counts.get(outcome, 0) + 1
    if page.unread:
        ids = [payment_records.plain(number, 100) for number in page.unread[:50]]
        facts = {"ids": ids, "rows": len(page.unread)}
        await events.put(tx, "parcels.unread_events", name, facts, now=now)
    moved = {"cursor": page.cursor[:100], "moved_at": now} if page.cursor != cursor else {}
    await tx.execute(_c.update().where(_c.c.carrier == name).values(failures=0, last_code="", **moved))
    return counts


async def _note_failure(hub: Hub, name: str, error: errors.HubError) -> None:
    """Count the rounds in which a feed could not be read; an alert when it has become a habit."""
    async with hub.storage.transaction() as tx:
        made = hub.storage.insert(_c).values(carrier=name, failures=1, last_code=error.code[:60])
        counted = await tx.execute(
            made.on_conflict_do_update(
                index_elements=[_c.c.carrier],
                set_={"failures": _c.c.failures + 1, "last_code": error.code[:60]},
            ).returning(_c.c.failures)
        )
        if counted.scalar_one() == _FAILURES_TO_ALERT:
            facts = {"code": error.code, "rounds": _FAILURES_TO_ALERT}
            await events.put(tx, "parcels.feed_unreadable", name, facts, now=hub.now())


async def _no_single_tracking(hub: Hub, name: str) -> None:
    """Stop looking at parcels one by one where the feed tells of all."""
    async with hub.storage.transaction() as tx:
        await tx.execute(
            _p.update()
            .where(_p.c.carrier == name, _p.c.state != "booking", _p.c.next_at <= hub.now())
            .values(next_at=None)
        )


# ------------------------------------------------------------------------------------------- parcel by parcel


async def _due(hub: Hub, name: str, *, is_booking: bool) -> list[dict[str, Any]]:
    has_state = _p.c.state == "booking" if is_booking else _p.c.state != "booking"
    wanted = sa.select(_p).where(_p.c.carrier == name, _p.c.next_at <= hub.now(), has_state)
    async with hub.storage.reading() as conn:
        return await storage.every(conn, wanted.order_by(_p.c.next_at).limit(_AT_ONCE))


async def _track(hub: Hub, carrier: roles.PostalCarrier, report: Report) -> None:
    """Ask for the way of every parcel that is due."""
    for row in await _due(hub, carrier.name, is_booking=False):
        await _change(hub, row, next_at=hub.now() + postal_booking.TRACK_EVERY if not row["closed_at"] else None)
        try:
            found = await carrier.track(row["carrier_reference"] or row["waybill"])
        except errors.NotOffered:
            await _change(hub, row, next_at=None)
            continue
        except errors.HubError as error:
            report.failed += 1
            again = hub.now() + timedelta(minutes=hub.settings.post.retry_minutes)
            await _change(hub, row, next_at=again, last_code=error.code[:60])
            continue
        report.asked += 1
        for event in found.events:
            outcome, _ = await _taken(hub, carrier.name, event, row)
            report.events += outcome == "recorded"
            report.repeated += outcome == "already"
        if found.unread:
            report.unread += len(found.unread)
            await _note_unread(hub, row, found.unread)


async def _note_unread(hub: Hub, row: Mapping[str, Any], unread: Sequence[str]) -> None:
    """Alert of rows in a parcel's way that cannot be read, once: the same ones are told with every answer."""
    if row["last_code"] == _UNREAD:
        return
    facts = {"parcel": row["number"], "ids": list(unread[:50]), "rows": len(unread)}
    async with hub.storage.transaction() as tx:
        await postal_records.change(tx, row["id"], last_code=_UNREAD)
        await events.put(tx, "parcels.unread_events", row["carrier"], facts, now=hub.now())


async def _taken(
    hub: Hub, name: str, event: money.ParcelEvent, row: Mapping[str, Any]
) -> tuple[postal_events.Outcome, str | None]:
    return await hub.storage.write(
        lambda tx: postal_events.take(hub, tx, name, event, how="query", parcel_id=row["id"])
    )


async def _change(hub: Hub, row: Mapping[str, Any], **values: Any) -> None:
    async with hub.storage.transaction() as tx:
        await postal_records.change(tx, row["id"], **values)


async def _retry(hub: Hub, name: str, report: Report) -> None:
    """Look for the orders whose answer was lost, and send those anew that the carrier has not."""
    for row in await _due(hub, name, is_booking=True):
        await postal_booking.send(hub, row["id"])
        report.asked += 1


# -------------------------------------------------------------------------------------------------- alerts


async def _alert(hub: Hub, report: Report) -> None:
    """Write down, once each, what nothing was heard of for too long."""
    chosen, now = hub.settings.post, hub.now()
    since = sa.func.coalesce(_p.c.heard_at, _p.c.booked_at)
    silent = sa.select(_p).where(_p.c.closed_at.is_(None), _p.c.booked_at.is_not(None))
    late = silent.where(since < now - timedelta(days=chosen.late_days), _p.c.late_at.is_(None))
    lost = silent.where(since < now - timedelta(days=chosen.lost_days), _p.c.lost_at.is_(None))
    report.late = await _note(hub, late, "late")
    report.lost = await _note(hub, lost, "lost")
    await postal_cod.overdue(hub, before=now - timedelta(days=chosen.cod_days))


async def _note(hub: Hub, wanted: sa.Select[Any], word: str) -> int:
    now = hub.now()
    async with hub.storage.transaction() as tx:
        rows = await storage.every(tx, payment_records.held(hub, wanted.limit(_AT_ONCE)))
        for row in rows:
            heard = row["heard_at"] or row["booked_at"]
            facts = {"state": row["state"], "heard_at": heard.isoformat()}
            await postal_records.change(tx, row["id"], **{f"{word}_at": now})
            await postal_records.announce(tx, f"parcels.{word}", row, facts, now=now)
    return len(rows)
