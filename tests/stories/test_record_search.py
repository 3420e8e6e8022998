"""An officer asks the record; that days have gone into files changes no answer, and no reading goes unrecorded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import builders
import pytest
import pytest_asyncio
import record
import sqlalchemy as sa

from lienthong.bus import hub as hubs
from lienthong.console import who_report
from lienthong.core import access_record, errors, settings, storage, subjects, tables
from lienthong.monitoring import asking, day_files, retention, rollups, search

OFFICER = search.Reader("thanh-tra", "Đơn khiếu nại số 12")


@pytest_asyncio.fixture
async def hub(tmp_path: Path, database_url: str) -> AsyncIterator[hubs.Hub]:
    async with builders.running_hub(tmp_path / "home", database_url=database_url) as opened:
        yield opened


async def every_row(where: asking.Sources, question: asking.Question, *, limit: int) -> list[dict[str, Any]]:
    rows, cursor = [], None
    while True:
        page = await search.found(where, question, limit=limit, cursor=cursor)
        rows += page.items
        cursor = page.next_cursor
        if cursor is None:
            return rows


def stripped(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: round(value, 3) if name == "took_ms" else value for name, value in row.items()} for row in rows]


async def answers(where: asking.Sources) -> dict[str, Any]:
    """Ask everything that an officer may ask."""
    since, until = record.NOW - timedelta(days=4), record.NOW
    refusals = asking.Question(key_id="key-5", is_refused=True)
    return {
        "refusals": await every_row(where, refusals, limit=7),
        "official": await every_row(
            where, asking.Question(official="can-bo-1", since=since, until=until), limit=50
        ),
        "dossier": await every_row(where, asking.Question(dossier_code="H38.12-261120-000333"), limit=5),
        "by_key": stripped(await rollups.counted(where, asking.Question(since=since, until=until), by=["key_id"])),
        "hours": stripped(await rollups.histogram(where, asking.Question(key_id="key-1"))),
        "shares": await rollups.error_shares(where, since=since, until=until),
        "subjects": [await rollups.distinct_subjects(where, date(2026, 11, day)) for day in (17, 20)],
    }


async def test_days_in_files_answer_as_the_database_did(hub: hubs.Hub) -> None:
    await record.put(hub, record.of_days(hub.settings.home))
    where = record.sources(hub)
    before = await answers(where)
    rolled = await retention.roll_closed_days(where, hot_days=2, now=record.NOW)
    assert [one.day.day for one in rolled] == [15, 16, 17, 18]
    assert await answers(where) == before
    assert before["refusals"]
    assert before["subjects"][0]


@pytest.mark.parametrize("number", [14, 13], ids=["odd form", "own form"])
async def test_a_request_is_found_by_its_number_in_a_file(hub: hubs.Hub, number: int) -> None:
    records = record.of_days(hub.settings.home)
    await record.put(hub, records)
    where = record.sources(hub)
    await retention.roll_closed_days(where, hot_days=1, now=record.NOW)
    wanted = records[number - 1]
    page = await search.found(where, asking.Question(request_id=wanted.request_id), limit=5)
    assert [row["request_id"] for row in page.items] == [wanted.request_id]


async def test_the_files_give_back_the_exact_bytes(hub: hubs.Hub) -> None:
    leaves = await record.put(hub, record.of_days(hub.settings.home, days=3))
    where = record.sources(hub)
    await retention.roll_closed_days(where, hot_days=1, now=record.NOW)
    days = [date(2026, 11, day) for day in (17, 18, 19)]
    found = [leaf for day in days for leaf in where.archive.rows(day, access_record.from_row)]
    assert sorted(found) == sorted(leaves[: len(found)])
    assert len(found) > 900


async def test_rolling_twice_or_after_a_kill_moves_nothing_twice(
    hub: hubs.Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    await record.put(hub, record.of_days(hub.settings.home, days=2))
    where = record.sources(hub)
    before = await every_row(where, asking.Question(), limit=500)
    with monkeypatch.context() as killed:
        killed.setattr(day_files.Archive, "settle", _dies)
        with pytest.raises(KeyboardInterrupt):
            await retention.roll_closed_days(where, hot_days=1, now=record.NOW)
    assert await every_row(where, asking.Question(), limit=500) == before
    await retention.roll_closed_days(where, hot_days=1, now=record.NOW)
    assert await retention.roll_closed_days(where, hot_days=1, now=record.NOW) == []
    assert await every_row(where, asking.Question(), limit=500) == before


def _dies(*_: Any) -> None:
    raise KeyboardInterrupt


async def test_a_row_that_comes_late_gets_a_file_of_its_own(hub: hubs.Hub) -> None:
    records = record.of_days(hub.settings.home, days=2)
    await record.put(hub, records[1:])
    where = record.sources(hub)
    await retention.roll_closed_days(where, hot_days=1, now=record.NOW)
    await record.put(hub, records[:1])
    assert len(await every_row(where, asking.Question(), limit=500)) == len(records)
    await retention.roll_closed_days(where, hot_days=1, now=record.NOW)
    assert [part.number for part in where.archive.parts(kinds=["calls"])] == [1, 2, 1]
    assert len(await every_row(where, asking.Question(), limit=500)) == len(records)


async def test_a_damaged_draft_costs_no_row(hub: hubs.Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    await record.put(hub, record.of_days(hub.settings.home, days=2))
    where = record.sources(hub)

    def careless(row: Any) -> bytes:
        careless.calls += 1  # type: ignore[attr-defined]
        return b"x" if careless.calls == 100 else access_record.from_row(row)  # type: ignore[attr-defined]

    careless.calls = 0  # type: ignore[attr-defined]
    with pytest.raises(errors.StorageUnavailable, match="does not give back"):
        await retention.roll_closed_days(where, hot_days=1, now=record.NOW, leaf=careless)
    async with hub.storage.reading() as conn:
        left = (await conn.execute(sa.select(sa.func.count()).select_from(tables.exchanges))).scalar()
    assert left == 800
    assert len(await every_row(where, asking.Question(), limit=500)) == 800


async def test_old_files_are_dropped_by_kind_and_their_counts_stay(hub: hubs.Hub) -> None:
    await record.put(hub, record.of_days(hub.settings.home))
    where = record.sources(hub)
    await retention.roll_closed_days(where, hot_days=1, now=record.NOW)
    kept = settings.Archive(calls_days=2, personal_days=30)
    told: dict[tuple[str, str], int] = {}

    def retire(day: str, kind: str, leaves: Any) -> None:
        told[day, kind] = len(list(leaves))

    dropped = await retention.drop_old_days(where, kept, now=record.NOW, actor="test", retire=retire)
    assert dropped == ["2026-11-15.calls.1", "2026-11-16.calls.1", "2026-11-17.calls.1"]
    assert told["2026-11-16", "calls"] == 266
    assert {part.kind for part in where.archive.parts(until=date(2026, 11, 17))} == {"personal"}
    shares = await rollups.error_shares(where, since=record.NOW - timedelta(days=6), until=record.NOW)
    assert sum(share.requests for share in shares) >= 1_990


async def test_who_looked_at_a_person_is_one_question(hub: hubs.Hub) -> None:
    records = record.of_days(hub.settings.home)
    await record.put(hub, records)
    where = record.sources(hub)
    await retention.roll_closed_days(where, hot_days=2, now=record.NOW)
    years = subjects.Subjects(hub.settings.home)
    looks = await search.who(where, years, " 0010.9900 0001 ", reader=OFFICER, now=record.NOW)
    wanted = [one.number for one in records if one.subject == years.digest(record.CITIZEN, at=record.NOW)]
    assert [row["number_in_node"] for row in looks.rows] == wanted[::-1]
    assert sum(one["looks"] for one in looks.lookers) == len(wanted)
    printed = who_report.page(looks, reader=OFFICER, agency="Tỉnh Ví Dụ")
    assert "Đơn khiếu nại số 12" in printed
    assert record.CITIZEN not in printed


async def test_reading_is_recorded_and_the_number_is_not(hub: hubs.Hub) -> None:
    where, years = record.sources(hub), subjects.Subjects(hub.settings.home)
    await search.who(where, years, record.CITIZEN, reader=OFFICER, now=record.NOW)
    await search.page(where, asking.Question(key_id="key-1"), reader=OFFICER, now=record.NOW)
    async with hub.storage.reading() as conn:
        acts = await storage.every(conn, sa.select(tables.admin_acts).order_by(tables.admin_acts.c.number))
    assert [(act["act"], act["actor"], act["reason"]) for act in acts] == [
        ("journal.who", "thanh-tra", "Đơn khiếu nại số 12"),
        ("journal.search", "thanh-tra", "Đơn khiếu nại số 12"),
    ]
    assert record.CITIZEN not in str(acts)


async def test_a_person_is_not_looked_up_without_a_reason(hub: hubs.Hub) -> None:
    where, nobody = record.sources(hub), search.Reader("thanh-tra", " ")
    with pytest.raises(errors.InvalidRequest):
        await search.who(
            where, subjects.Subjects(hub.settings.home), record.CITIZEN, reader=nobody, now=record.NOW
        )
    with pytest.raises(errors.InvalidRequest):
        await search.page(where, asking.Question(subjects=("00" * 8,)), reader=nobody, now=record.NOW)


async def test_a_year_whose_key_is_destroyed_is_named_and_finds_nobody(hub: hubs.Hub) -> None:
    await record.put(hub, record.of_days(hub.settings.home, days=1))
    years = subjects.Subjects(hub.settings.home)
    years.forget(2026)
    looks = await search.who(record.sources(hub), years, record.CITIZEN, reader=OFFICER, now=record.NOW)
    assert (looks.rows, looks.blind_years) == ([], [2026])
    with pytest.raises(errors.Conflict):
        subjects.Subjects(hub.settings.home).digest(record.CITIZEN, at=record.NOW)


async def test_a_cursor_that_the_hub_did_not_give_is_refused(hub: hubs.Hub) -> None:
    for forged in ("x", "!!!", "MTIz"):
        with pytest.raises(errors.InvalidRequest):
            await search.found(record.sources(hub), asking.Question(), limit=5, cursor=forged)


async def test_only_one_process_writes_files(hub: hubs.Hub) -> None:
    where = record.sources(hub)
    with where.archive.writing(), pytest.raises(errors.Conflict):
        await asyncio.create_task(retention.roll_closed_days(where, hot_days=1, now=record.NOW))
