"""Planned maintenance of outside systems: what is ahead, and pausing a target while its window lasts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.bus import targets
from lienthong.bus.flows import target_switch
from lienthong.bus.hub import Hub
from lienthong.core import clock, errors, journal, storage, tables

LONGEST = timedelta(days=31)
BY_ITSELF = "hub"
_w = tables.maintenance_windows


@dataclass(frozen=True, slots=True)
class Window:
    """One stretch of planned maintenance; `begun_at` once the hub has acted on it."""

    id: str
    system: str
    begins_at: datetime
    ends_at: datetime
    reason: str
    planned_by: str
    begun_at: datetime | None = None

    def is_on(self, now: datetime) -> bool:
        """Whether it lasts at this moment."""
        return self.begins_at <= now < self.ends_at

    def holds(self, state: str, until: datetime | None) -> bool:
        """Whether a target in this `state` `until` then is paused for this window, and for nothing else."""
        return self.begun_at is not None and state == targets.PAUSED and until == self.ends_at


async def plan(hub: Hub, system: str, begins_at: datetime, ends_at: datetime, *, by: str, reason: str) -> Window:
    """Plan a window for a system; messages to a target wait while it lasts. Raises NotFound, InvalidRequest."""
    _must_be_sound(begins_at, ends_at, now=hub.now())
    await _must_be_known(hub, system)
    made = Window(clock.new_id(), system, begins_at, ends_at, reason.strip()[:500], by)
    async with hub.storage.transaction() as tx:
        await tx.execute(
            _w.insert().values(
                id=made.id,
                system=system,
                begins_at=begins_at,
                ends_at=ends_at,
                reason=made.reason,
                planned_at=hub.now(),
                planned_by=by[:100],
            )
        )
        await _note(tx, "maintenance.plan", made, by=by, reason=reason, now=hub.now())
    return made


async def cancel(hub: Hub, window_id: str, *, by: str, reason: str) -> Window:
    """Call a window off; a target that is paused for it goes on, unless another window lasts. Raises NotFound."""
    now = hub.now()
    async with hub.storage.transaction() as tx:
        row = await storage.first(tx, _ahead(now).where(_w.c.id == window_id).with_for_update())
        if row is None:
            raise errors.NotFound(
                "there is no such window ahead", detail_vi="Không có lịch bảo trì này, hoặc đã qua."
            )
        found = _of_row(row)
        await tx.execute(_w.update().where(_w.c.id == window_id).values(cancelled_at=now, cancelled_by=by[:100]))
        held = await _target(tx, found.system)
        if held and found.holds(held.state, held.probe_at):
            other = await _longest_on(tx, found.system, now=now)
            if other is None:
                await target_switch.write(tx, hub, held, targets.ACTIVE, by=by, reason=reason)
            else:
                await target_switch.write(
                    tx, hub, held, targets.PAUSED, by=by, reason=other.reason, until=other.ends_at
                )
        await _note(tx, "maintenance.cancel", found, by=by, reason=reason, now=now)
    hub.announce(found.system)
    return found


async def ahead(store: storage.Storage, *, now: datetime, system: str = "") -> list[Window]:
    """List the windows that last or are to come, of all systems or one, the earliest first."""
    wanted = _ahead(now).order_by(_w.c.begins_at, _w.c.id).limit(500)
    wanted = wanted.where(_w.c.system == system) if system else wanted
    async with store.reading() as conn:
        return [_of_row(row) for row in await storage.every(conn, wanted)]


async def begin_due(hub: Hub) -> int:
    """Pause the targets whose window has come, each window once; gives how many windows began.

    A person's own pause stays as it is, unless it would end earlier than the window.
    """
    now, begun = hub.now(), 0
    due = [it for it in await ahead(hub.storage, now=now) if it.is_on(now) and it.begun_at is None]
    for window in due:
        async with hub.storage.transaction() as tx:
            mine = _w.update().where(_w.c.id == window.id, _w.c.begun_at.is_(None), _w.c.cancelled_at.is_(None))
            if not (await tx.execute(mine.values(begun_at=now))).rowcount:
                continue
            begun += 1
            held = await _target(tx, window.system)
            if held is None and window.system not in hub.settings.dossiers.targets:
                continue  # only asked, never sent to: its window is there to be seen
            held = held or targets.Target(window.system)
            is_longer = held.state == targets.PAUSED and (not held.probe_at or held.probe_at >= window.ends_at)
            if not is_longer:
                await target_switch.write(
                    tx, hub, held, targets.PAUSED, by=BY_ITSELF, reason=window.reason, until=window.ends_at
                )
    return begun


async def _longest_on(tx: AsyncConnection, system: str, *, now: datetime) -> Window | None:
    """Find, of the windows that the hub has acted on and that last now, the one that ends last."""
    lasting = _ahead(now).where(_w.c.system == system, _w.c.begun_at.is_not(None))
    row = await storage.first(tx, lasting.order_by(_w.c.ends_at.desc()).limit(1))
    return None if row is None else _of_row(row)


def _ahead(now: datetime) -> sa.Select[tuple[object, ...]]:
    return sa.select(_w).where(_w.c.ends_at > now, _w.c.cancelled_at.is_(None))


def _of_row(row: dict[str, object]) -> Window:
    return Window(**{name: row[name] for name in Window.__dataclass_fields__})  # type: ignore[arg-type]


async def _target(tx: AsyncConnection, name: str) -> targets.Target | None:
    row = await storage.first(tx, sa.select(tables.targets).where(tables.targets.c.name == name))
    return (
        None if row is None else targets.Target(**{key: row[key] for key in targets.Target.__dataclass_fields__})
    )


async def _must_be_known(hub: Hub, system: str) -> None:
    known = {*hub.systems, *hub.settings.dossiers.targets}
    known |= {it.name for it in await targets.listed(hub.storage)}
    if system not in known:
        raise errors.NotFound(
            f"no such system; known: {', '.join(sorted(known))}",
            detail_vi=f"Không có hệ thống này; các hệ thống: {', '.join(sorted(known))}.",
        )


def _must_be_sound(begins_at: datetime, ends_at: datetime, *, now: datetime) -> None:
    if ends_at <= max(begins_at, now):
        vi, en = "Lúc kết thúc phải sau lúc bắt đầu và sau lúc này.", "It must end after its begin, and ahead."
    elif ends_at - begins_at > LONGEST:
        vi, en = "Một lần bảo trì dài nhất 31 ngày.", "A window lasts 31 days at most."
    else:
        return
    raise errors.InvalidRequest(problems=(errors.FieldProblem("ends_at", vi, en),))


async def _note(tx: AsyncConnection, act: str, window: Window, *, by: str, reason: str, now: datetime) -> None:
    told = {"begins_at": window.begins_at.isoformat(), "ends_at": window.ends_at.isoformat()}
    await journal.write_act(tx, act, window.system, actor=by, now=now, reason=reason, after=told)
