"""The timetable: a due moment is given to one caller, is caught up with once, and is read in Vietnam time."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from lienthong.bus import hub as hubs
from lienthong.bus import jobs, timetable
from lienthong.core import clock, errors, settings, storage, tables
from lienthong.monitoring import housekeeping

DAILY = {"procedure_sync": "15 1 * * *"}


def vietnam(day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=clock.VIETNAM)


async def test_a_new_job_waits_for_its_first_moment(store: storage.Storage) -> None:
    assert await timetable.take_due(store, DAILY, now=vietnam(20, 12)) == []
    assert await timetable.take_due(store, DAILY, now=vietnam(21, 1, 14)) == []
    assert await timetable.take_due(store, DAILY, now=vietnam(21, 1, 15)) == ["procedure_sync"]
    assert await timetable.take_due(store, DAILY, now=vietnam(21, 1, 16)) == []


async def test_the_next_day_it_is_due_again(store: storage.Storage) -> None:
    moments = [vietnam(20, 12) + timedelta(minutes=5 * number) for number in range(3 * 288)]
    started = [moment for moment in moments if await timetable.take_due(store, DAILY, now=moment)]
    assert started == [vietnam(day, 1, 15) for day in (21, 22, 23)]


async def test_among_several_callers_one_gets_it(store: storage.Storage, tmp_path: Path) -> None:
    others = [storage.Storage(store.url) for _ in range(3)]
    await timetable.take_due(store, DAILY, now=vietnam(20, 12))
    callers = [store, *others, store]
    found = await asyncio.gather(*(timetable.take_due(each, DAILY, now=vietnam(21, 2)) for each in callers))
    assert sorted(found) == [[], [], [], [], ["procedure_sync"]]
    for each in others:
        await each.close()


async def test_several_callers_may_meet_a_new_job_at_once(store: storage.Storage) -> None:
    found = await asyncio.gather(*(timetable.take_due(store, DAILY, now=vietnam(20)) for _ in range(5)))
    assert found == [[]] * 5


async def test_what_was_missed_is_made_up_for_once(store: storage.Storage) -> None:
    hourly = {"procedure_sync": "0 * * * *"}
    await timetable.take_due(store, hourly, now=vietnam(20, 12))
    assert await timetable.take_due(store, hourly, now=vietnam(20, 18, 30)) == ["procedure_sync"]
    assert await timetable.take_due(store, hourly, now=vietnam(20, 18, 31)) == []
    assert await timetable.take_due(store, hourly, now=vietnam(20, 19)) == ["procedure_sync"]


async def test_jobs_do_not_wait_for_a_clock_that_ran_ahead_and_was_put_right(store: storage.Storage) -> None:
    await timetable.take_due(store, DAILY, now=vietnam(20, 12))
    # A dead battery: the machine believed to be three days on, the job ran, and then the clock was put right.
    assert await timetable.take_due(store, DAILY, now=vietnam(23, 12)) == ["procedure_sync"]
    assert await timetable.take_due(store, DAILY, now=vietnam(20, 12, 5)) == []
    assert await timetable.take_due(store, DAILY, now=vietnam(21, 1, 15)) == ["procedure_sync"]
    assert await timetable.take_due(store, DAILY, now=vietnam(21, 1, 16)) == []


async def test_a_clock_put_back_by_seconds_starts_nothing_twice(store: storage.Storage) -> None:
    await timetable.take_due(store, DAILY, now=vietnam(20, 12))
    assert await timetable.take_due(store, DAILY, now=vietnam(21, 1, 15)) == ["procedure_sync"]
    before = vietnam(21, 1, 14) + timedelta(seconds=58)
    assert await timetable.take_due(store, DAILY, now=before) == []
    assert await timetable.take_due(store, DAILY, now=vietnam(21, 1, 15)) == []


async def test_what_was_missed_too_long_ago_waits_for_its_next_moment(store: storage.Storage) -> None:
    await timetable.take_due(store, DAILY, now=vietnam(20, 0))
    assert await timetable.take_due(store, DAILY, now=vietnam(25, 14)) == []
    assert await timetable.take_due(store, DAILY, now=vietnam(26, 1, 15)) == ["procedure_sync"]


async def test_an_empty_expression_is_never_due(store: storage.Storage) -> None:
    never = {"procedure_sync": ""}
    timetable.check(never, known=frozenset({"procedure_sync"}), now=vietnam(20))
    for day in (20, 21, 22):
        assert await timetable.take_due(store, never, now=vietnam(day)) == []


def test_expressions_are_read_in_vietnam_time() -> None:
    evening_in_utc = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)  # 01:00 of the 21st in Hanoi
    due_at = timetable.next_after("15 1 * * *", evening_in_utc)
    assert due_at == datetime(2026, 11, 20, 18, 15, tzinfo=UTC)
    assert due_at.utcoffset() == timedelta(hours=7)


@pytest.mark.parametrize("language", ["vi", "en"])
@pytest.mark.parametrize("expression", ["hằng ngày", "61 * * * *", "* * *", " ", "0 0 30 2 *"])
def test_a_wrong_expression_stops_the_start_naming_the_setting(expression: str, language: str) -> None:
    with pytest.raises(errors.Misconfigured) as caught:
        timetable.check({"procedure_sync": expression}, known=frozenset({"procedure_sync"}), now=vietnam(20))
    assert "LIENTHONG_TIMETABLE__PROCEDURE_SYNC" in caught.value.detail(language)


@pytest.mark.parametrize("language", ["vi", "en"])
def test_an_unknown_job_stops_the_start_naming_those_there_are(language: str) -> None:
    with pytest.raises(errors.Misconfigured) as caught:
        timetable.check({"dong_bo": "0 1 * * *"}, known=frozenset({"procedure_sync"}), now=vietnam(20))
    assert "LIENTHONG_TIMETABLE__DONG_BO" in caught.value.detail(language)
    assert "procedure_sync" in caught.value.detail(language)


def test_the_timetable_as_delivered_can_be_read() -> None:
    delivered = settings.Settings().timetable
    timetable.check(delivered, known=frozenset({*jobs.JOBS, housekeeping.JOB}), now=vietnam(20))


async def test_how_a_job_ended_is_noted(store: storage.Storage) -> None:
    await timetable.take_due(store, DAILY, now=vietnam(20))
    await timetable.note(store, "procedure_sync", "seen=133 " + "x" * 300)
    async with store.reading() as conn:
        outcome = (await conn.execute(sa.select(tables.timetable_runs.c.last_outcome))).scalar_one()
    assert outcome.startswith("seen=133")
    assert len(outcome) == 200


async def test_a_job_whose_end_could_not_be_noted_raised_after_all(sqlite_hub: hubs.Hub) -> None:
    gone = storage.Storage("postgresql://nobody@127.0.0.1:9/nothing")

    async def work(_: hubs.Hub) -> str:
        return "done"

    await jobs.carry_out(dataclasses.replace(sqlite_hub, storage=gone), "procedure_sync", work)
    await gone.close()
