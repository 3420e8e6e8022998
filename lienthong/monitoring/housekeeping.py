"""The upkeep of the record where HOME is: the newest rows by columns, and at night closed days into files."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from lienthong.bus import jobs, timetable
from lienthong.bus.hub import Hub
from lienthong.core import errors
from lienthong.monitoring import asking, day_files, hot_columns, retention

_log = logging.getLogger("lienthong.retention")
JOB = timetable.RECORD_UPKEEP
LOOK_S = 5.0


async def run(hub: Hub, closing: asyncio.Event, *, look_s: float = LOOK_S) -> None:
    """Keep house whenever the timetable says so, in one process of all, until closing.

    In between, rows that have come are copied by columns, some ten thousands at a time, for those who count them.
    What is under way at closing is left where it stands; the next run takes it up.
    """
    archive = day_files.Archive(hub.settings.home / "record")
    keeping: asyncio.Task[None] | None = None
    while not closing.is_set():
        # One at a time: a day that takes longer than the time between two runs is not begun twice.
        if (keeping is None or keeping.done()) and await _is_due(hub):
            keeping = asyncio.create_task(jobs.carry_out(hub, JOB, keep_house), name=f"job:{JOB}")
        await _copy_new_rows(hub, archive)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(closing.wait(), look_s)
    if keeping is not None:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def _copy_new_rows(hub: Hub, archive: day_files.Archive) -> None:
    try:
        await hot_columns.extend(hub.storage, archive)
    except (errors.StorageUnavailable, OSError) as exc:
        # Only speed is lost: what is not copied is counted in the table.
        _log.warning("new rows were not copied by columns", extra={"reason": type(exc).__name__})


async def keep_house(hub: Hub) -> str:
    """Do the night's work once; gives what was done, for `lienthong check`."""
    sources = asking.Sources(hub.storage, day_files.Archive(hub.settings.home / "record"))
    rolled, dropped = await retention.keep_house(
        sources, hub.settings.archive, home=hub.settings.home, now=hub.now(), actor=JOB
    )
    return f"days={len(rolled)} rows={sum(day.rows for day in rolled)} dropped={len(dropped)}"


async def _is_due(hub: Hub) -> bool:
    wanted = {JOB: hub.settings.timetable[JOB]}
    try:
        return bool(await timetable.take_due(hub.storage, wanted, now=hub.now()))
    except errors.StorageUnavailable:
        _log.error("the timetable cannot be read; trying again")
        return False
