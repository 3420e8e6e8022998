"""What works beside the door lasts: a defect ends neither it nor its neighbours."""

from __future__ import annotations

import asyncio
from collections import Counter

from lienthong.console import beside


async def test_a_work_that_meets_a_defect_is_begun_again_and_counted():
    closing, fallen, lasts = asyncio.Event(), Counter[str](), asyncio.Event()

    async def falls_twice() -> None:
        if fallen["seals"] < 2:
            raise ZeroDivisionError
        lasts.set()
        await closing.wait()

    async with beside.lasting({"seals": falls_twice}, closing, fallen=fallen, first_pause_s=0.001):
        await lasts.wait()
    assert fallen == {"seals": 2}


async def test_a_defect_of_one_work_does_not_end_its_neighbour():
    closing, fallen, goes_on_after = asyncio.Event(), Counter[str](), asyncio.Event()

    async def falls() -> None:
        raise KeyError("x")

    async def goes_on() -> None:
        while not closing.is_set():
            await asyncio.sleep(0)
            if fallen["watcher"]:
                goes_on_after.set()

    async with beside.lasting({"watcher": falls, "ingest": goes_on}, closing, fallen=fallen):
        await goes_on_after.wait()
    assert fallen == {"watcher": 1}


async def test_a_work_that_has_nothing_to_do_is_over():
    closing, fallen, times = asyncio.Event(), Counter[str](), 0

    async def nothing() -> None:
        nonlocal times
        times += 1

    async with beside.lasting({"notices": nothing}, closing, fallen=fallen, first_pause_s=0.0):
        for _ in range(20):
            await asyncio.sleep(0)
    assert times == 1
    assert not fallen
