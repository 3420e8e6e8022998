"""What a drive had to leave behind is taken up by the next one, also in the same process; on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import builders
import pytest
from test_outbox import QUICK, TARGET, Elsewhere, drive, put, states

from lienthong.bus import hub as hubs
from lienthong.bus import outbox
from lienthong.core import clock


@pytest.fixture
async def hub(database_url: str, tmp_path: Path) -> AsyncIterator[hubs.Hub]:
    async with builders.running_hub(tmp_path, database_url=database_url, outbox=QUICK) as opened:
        yield opened


async def test_what_an_earlier_drive_of_this_process_could_not_settle_was_renewed_for_ever(hub: hubs.Hub) -> None:
    left = await put(hub, "a")
    # As where the database went away before the outcome was written: claimed by this process, in nobody's hands.
    await outbox.claim(hub.storage, TARGET, owner=hub.owner, limit=1, now=hub.now(), lease_s=1.0)
    elsewhere = Elsewhere()
    await drive(hub, elsewhere, idle_s=2.5)
    assert elsewhere.said == {"a": [left]}
    assert await states(hub) == {"delivered": 1}


async def test_a_clock_set_forward_does_not_send_a_second_time_what_is_under_way(hub: hubs.Hub) -> None:
    sent = await put(hub, "a")
    ahead = timedelta()
    moved = replace(hub, now=lambda: clock.now() + ahead)
    elsewhere = Elsewhere(takes_s=1.5)
    driving = asyncio.create_task(drive(moved, elsewhere))
    await asyncio.sleep(0.5)
    ahead = timedelta(hours=1)
    await driving
    assert elsewhere.said == {"a": [sent]}
