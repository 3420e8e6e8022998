"""Work beside the door that lasts as long as the process: what a defect ends is counted and begun again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

_log = logging.getLogger("lienthong.server")
Work = Callable[[], Awaitable[None]]
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0


@asynccontextmanager
async def lasting(
    works: Mapping[str, Work],
    closing: asyncio.Event,
    *,
    fallen: Counter[str],
    first_pause_s: float = FIRST_PAUSE_S,
) -> AsyncIterator[None]:
    """Carry out works beside each other until the block ends, which sets `closing` for them.

    `fallen` counts by name how often a work met a defect. A work that returns is over; one that raises is begun
    again, after a pause that grows while it keeps falling. None of them can end another, or the process.
    """
    kept = [
        asyncio.create_task(_keep(name, work, closing, fallen, first_pause_s), name=name)
        for name, work in works.items()
    ]
    try:
        yield
    finally:
        closing.set()
        await asyncio.gather(*kept)


async def _keep(name: str, work: Work, closing: asyncio.Event, fallen: Counter[str], first_pause_s: float) -> None:
    pause_s = first_pause_s
    while True:
        began_s = time.monotonic()
        try:
            await work()
            return
        except Exception:  # the run of a task: a door without its record, its seals or its dispatcher must not be
            fallen[name] += 1
            _log.exception("work beside the door met a defect and is begun again", extra={"part": name})
        if time.monotonic() - began_s > LONGEST_PAUSE_S:
            pause_s = first_pause_s
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(closing.wait(), pause_s)
        if closing.is_set():
            return
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
