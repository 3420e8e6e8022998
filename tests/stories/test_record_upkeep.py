"""Every night the record is tidied by the running hub, once, whoever else runs beside it."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import builders
import pytest
import record
import sqlalchemy as sa

from lienthong.bus.hub import Hub
from lienthong.core import clock, records, tables
from lienthong.monitoring import day_files, health, housekeeping

EVENING = datetime(2026, 11, 20, 22, 0, tzinfo=clock.VIETNAM)


class Night:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.at = EVENING

    def __call__(self) -> datetime:
        return self.at


async def said(hub: Hub) -> records.CheckResult:
    return await health.check_upkeep(hub)


async def until_said(hub: Hub, word: str) -> records.CheckResult:
    for _ in range(3_000):
        if word in (found := await said(hub)).vi:
            return found
        await asyncio.sleep(0.02)
    pytest.fail(f"{word} was never said: {found}")


async def test_closed_days_go_into_files_at_night_and_check_says_so(tmp_path: Path, database_url: str) -> None:
    night, closing = Night(), asyncio.Event()
    async with builders.running_hub(tmp_path / "home", database_url=database_url, now=night) as hub:
        await record.put(hub, record.of_days(hub.settings.home, days=4, a_day=30))
        # Two processes on one HOME: the timetable lets one of them begin.
        running = [asyncio.create_task(housekeeping.run(hub, closing, look_s=0.02)) for _ in range(2)]
        await until_said(hub, "chưa được dọn lần nào")
        assert not (hub.settings.home / "record").exists()
        night.at = EVENING + timedelta(hours=4, minutes=45)
        found = await until_said(hub, "21/11/2026 02:45")
        closing.set()
        await asyncio.gather(*running)
        assert found.ok
        assert "days=3 " in found.vi
        days = {part.day.isoformat() for part in day_files.Archive(hub.settings.home / "record").parts()}
        assert days == {"2026-11-16", "2026-11-17", "2026-11-18"}


async def test_check_is_not_content_with_a_night_that_failed_or_never_came(tmp_path: Path) -> None:
    night = Night()
    async with builders.running_hub(tmp_path / "home", now=night) as hub:
        runs = tables.timetable_runs
        async with hub.storage.transaction() as tx:
            await tx.execute(
                sa.insert(runs).values(
                    job=housekeeping.JOB, last_due_at=EVENING, last_outcome="Server.Hub.Storage: x"
                )
            )
        failed = await said(hub)
        assert (failed.ok, "Server.Hub.Storage" in failed.vi) == (False, True)
        async with hub.storage.transaction() as tx:
            await tx.execute(sa.update(runs).values(last_outcome="days=1 rows=1 dropped=0"))
        assert (await said(hub)).ok
        night.at = EVENING + timedelta(days=3)
        assert not (await said(hub)).ok


async def test_an_open_lgsp_door_stands_in_the_self_check(tmp_path: Path) -> None:
    async with builders.running_hub(tmp_path / "shut") as hub:
        assert "lgsp_door" not in {line.name for line in await health.check_everything(hub)}
    async with builders.running_hub(tmp_path / "open", proof={"lgsp_door": True}) as hub:
        told = {line.name: line for line in await health.check_everything(hub)}["lgsp_door"]
        assert told.facts["risk"]
        assert "AuthHash" in told.vi


async def test_a_target_that_is_not_connected_stands_in_the_self_check(tmp_path: Path) -> None:
    async with builders.running_hub(tmp_path / "home") as hub:
        told = {line.name: line for line in await health.check_everything(hub)}["dossier_targets"]
    assert (told.ok, "dvcqg_adapter" in told.vi, "dvcqg_adapter" in told.en) == (False, True, True)
