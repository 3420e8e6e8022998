"""Retention under a clock that was set years ahead: what it would drop does not come back when the clock does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import builders
import pytest
import record

from lienthong.bus.hub import Hub
from lienthong.core import settings
from lienthong.monitoring import retention

KEPT = settings.Archive(calls_days=5, personal_days=5, outgoing_days=5)


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    async with builders.running_hub(tmp_path / "home", now=lambda: record.NOW) as opened:
        await record.put(opened, record.of_days(opened.settings.home, days=4, a_day=30))
        yield opened


async def night(hub: Hub, now: datetime) -> list[str]:
    home = hub.settings.home
    _, dropped = await retention.keep_house(record.sources(hub), KEPT, home=home, now=now, actor="test")
    return dropped


async def test_a_clock_set_ten_years_ahead_dropped_the_whole_record_in_one_night(hub: Hub) -> None:
    assert await night(hub, record.NOW + timedelta(days=3_650)) == []
    assert sum(part.rows for part in record.sources(hub).archive.parts()) == 120


async def test_what_is_too_old_goes_where_the_record_went_on(hub: Hub) -> None:
    assert len(await night(hub, record.NOW + timedelta(days=30))) > 0
