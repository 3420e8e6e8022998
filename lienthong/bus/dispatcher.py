"""The embedded size: delivery, timetable and housekeeping as tasks of the one process."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from lienthong.bus import delivery, jobs, timetable
from lienthong.bus.hub import Hub
from lienthong.core import errors

_log = logging.getLogger("lienthong.dispatcher")
TICK_S = 1.0


async def run(hub: Hub, stop: asyncio.Event) -> None:
    """Deliver to every target and keep the timetable, until `stop`; calls in flight are let to end."""
    wakes = {name: asyncio.Event() for name in hub.settings.dossiers.targets}

    def wake(target: str) -> None:
        if target in wakes:
            wakes[target].set()

    hub.on_message.append(wake)
    try:
        # A defect in one ends them all, so that none is left behind when whoever called begins again.
        async with asyncio.TaskGroup() as loops:
            for name, event in wakes.items():
                loops.create_task(_deliver(hub, name, stop, event), name=name)
            loops.create_task(_keep_timetable(hub, stop), name="timetable")
    finally:
        hub.on_message.remove(wake)


async def _deliver(hub: Hub, target: str, stop: asyncio.Event, wake: asyncio.Event) -> None:
    """Drive one target for ever; when the database is away or another process drives, wait and try again."""
    pause_s = hub.settings.outbox.poll_s
    while not stop.is_set():
        try:
            report = await delivery.drive(hub, target, handlers=jobs.HANDLERS, stop=stop, wake=wake)
            pause_s = 1.0 if report.refused_lease else hub.settings.outbox.poll_s
        except errors.HubError as exc:
            _log.error("delivery stopped and starts anew", extra={"target": target, "code": exc.code})
            pause_s = min(pause_s * 2, 10.0)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause_s)


async def _keep_timetable(hub: Hub, stop: asyncio.Event) -> None:
    running: set[asyncio.Task[None]] = set()
    while not stop.is_set():
        try:
            for job in await timetable.take_due(hub.storage, jobs.ours(hub.settings.timetable), now=hub.now()):
                task = asyncio.create_task(jobs.run(hub, job), name=f"job:{job}")
                running.add(task)
                task.add_done_callback(running.discard)
        except errors.StorageUnavailable:
            _log.error("the timetable cannot be read; trying again")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), TICK_S)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
