"""Processes of their own at one pool and one feed, one of them killed in the midst of it; on both databases."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import post_town
import pytest
from post_town import FEE, Town

from lienthong.bus.flows import postal_pool
from lienthong.core import tables

PROCESSES = 8
SCRIPT = Path(__file__).with_name("post_process.py")
POST = {"callback_secret": post_town.SECRET, "pooled": ("ems",), "low_numbers": 1}


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with post_town.opened(tmp_path, database_url, **POST) as opened:
        yield opened


async def process(town: Town, **asked: Any) -> tuple[int, Any]:
    """Let a process do something; gives how it ended, and what it told."""
    chosen = town.hub.settings
    given = {"home": str(chosen.home), "url": chosen.database.url, "post": POST, **asked}
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        str(SCRIPT),
        json.dumps(given),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    told, _ = await started.communicate()
    return started.returncode or 0, json.loads(told.splitlines()[-1]) if told else None


@pytest.mark.long
async def test_eight_processes_at_once_take_no_number_twice_and_one_for_each_dossier(
    town: Town,
) -> None:
    shared, own = [f"shared-{number}" for number in range(10)], 10
    numbers = [f"EM{number:09d}VN" for number in range(len(shared) + PROCESSES * own)]
    await postal_pool.put(town.hub, "ems", numbers, by="canbo01", reason="Dải mới")
    asked = [
        [*(f"{which}-{number}" for number in range(own)), *(shared if which % 2 else reversed(shared))]
        for which in range(PROCESSES)
    ]
    ended = await asyncio.gather(*(process(town, take=dossiers) for dossiers in asked))
    assert [code for code, _ in ended] == [0] * PROCESSES
    given: dict[str, set[str]] = {}
    for dossiers, (_, taken) in zip(asked, ended, strict=True):
        for dossier, number in zip(dossiers, taken, strict=True):
            given.setdefault(dossier, set()).add(number)
    assert {len(taken) for taken in given.values()} == {1}
    assert len(set.union(*given.values())) == len(given) == len(numbers)
    rows = await town.rows(tables.waybills)
    assert {row["number"]: row["dossier_code"] for row in rows} == {
        number: dossier for dossier, (number,) in given.items()
    }


@pytest.mark.long
@pytest.mark.parametrize("dies_before", ["UPDATE tracking_cursors", "INSERT INTO parcel_events", "UPDATE parcels"])
async def test_a_watch_that_is_killed_in_its_page_leaves_all_of_it_to_the_next(
    town: Town, dies_before: str
) -> None:
    await postal_pool.put(town.hub, "ems", ["EM000000001VN"], by="canbo01", reason="Dải mới")
    view = await town.book(cod_vnd=FEE)
    told = [
        town.event(view, "collected").model_dump(mode="json"),
        town.event(view, "delivered", cod_collected_vnd=FEE).model_dump(mode="json"),
    ]
    code, _ = await process(town, watch={"told": told, "dies_before": dies_before})
    assert code == -signal.SIGKILL
    assert (await town.rows(tables.parcel_events), (await town.see(view)).state) == ([], "booked")
    assert not [row for row in await town.rows(tables.tracking_cursors) if row["cursor"]]
    assert (await town.payment(view))["state"] == "pending"
    town.carrier.events = [town.event(view, "collected"), town.event(view, "delivered", cod_collected_vnd=FEE)]
    assert (await town.watch()).events == 0
    # The lease of the dead one runs out.
    town.wait(minutes=6)
    assert (await town.watch()).events == 2
    assert ((await town.see(view)).state, (await town.payment(view))["state"]) == ("delivered", "paid")
    assert len(await town.events("payments.paid")) == len(await town.events("parcels.delivered")) == 1


async def test_a_feed_that_goes_back_in_time_moves_nothing_back(town: Town) -> None:
    await postal_pool.put(town.hub, "ems", ["EM000000001VN"], by="canbo01", reason="Dải mới")
    view = await town.book(cod_vnd=FEE)
    await town.happens(view, "collected", "delivered", cod_collected_vnd=FEE)
    before = await town.see(view)
    (cursor,) = [row["cursor"] for row in await town.rows(tables.tracking_cursors) if row["carrier"] == "ems"]
    # Its events are gone, its counting begins anew, and it tells of the past under other numbers.
    town.carrier.events = [town.event(view, "accepted", event_id="again", occurred_at=before.created_at)]
    for _ in range(3):
        town.wait(minutes=6)
        await town.watch()
    after = await town.see(view)
    assert (after.state, (await town.dossier())["status"]) == ("delivered", "returned")
    assert [row["closed_at"] is not None for row in await town.rows(tables.parcels)] == [True]
    assert (await town.payment(view))["received_vnd"] == FEE
    assert (cursor, await town.questions()) == ("2", [])
