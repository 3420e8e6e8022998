"""Counts, lists and copies make an officer's answer quick, and never another one than the rows themselves give."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import builders
import pytest
import pytest_asyncio
import record

from lienthong.bus import hub as hubs
from lienthong.core import access_record, errors, settings, subjects, tables
from lienthong.monitoring import (
    asking,
    day_counts,
    day_files,
    hot_columns,
    housekeeping,
    places,
    retention,
    rollups,
    search,
)

LATE = record.NOW - timedelta(days=2, hours=3)
DOSSIER = "H38.12-261120-000360"
TOPS = ("key_id", "official", "operation", "address")


@pytest_asyncio.fixture
async def hub(tmp_path: Path, database_url: str) -> AsyncIterator[hubs.Hub]:
    async with builders.running_hub(
        tmp_path / "home", database_url=database_url, now=lambda: record.NOW
    ) as opened:
        yield opened


def scanned(records: list[access_record.Record], since: Any, until: Any, subject: str) -> dict[str, Any]:
    """Answer from the records themselves, one by one."""
    inside = [one for one in records if since <= one.at < until]
    day = collections.defaultdict[str | None, set[str | None]](set)
    for one in records:
        if day_files.day_of(one.at) == day_files.day_of(LATE) and one.subject:
            day[one.key_id].add(one.subject)
    shares = collections.Counter((day_files.day_of(one.at), one.operation) for one in inside)
    return {
        "by_key": dict(collections.Counter(one.key_id for one in inside)),
        "busiest": busiest([one for one in records if one.at >= since.replace(minute=0)]),
        "by_outcome": dict(collections.Counter((one.operation, one.outcome) for one in inside)),
        "shares": dict(shares),
        "subjects": {key: len(persons) for key, persons in day.items()},
        "refusals": [one.number for one in newest(inside) if one.key_id == "key-5" and one.outcome != "ok"],
        "person": [one.number for one in newest(inside) if one.subject == subject],
        "dossier": [one.number for one in newest(inside) if one.dossier_code == DOSSIER],
        "tops": tops(inside),
        "tops_of_one": tops([one for one in inside if one.official == "can-bo-1"]),
        "hours_of_one": dict(collections.Counter(hour(one) for one in inside if one.official == "can-bo-1")),
    }


def tops(records: list[access_record.Record]) -> dict[str, dict[str, int]]:
    told = {name: collections.Counter(getattr(one, name) for one in records) for name in TOPS}
    return {
        name: {value: count for value, count in counted.items() if value is not None}
        for name, counted in told.items()
    }


def hour(one: access_record.Record) -> Any:
    return one.at.replace(minute=0, second=0, microsecond=0)


def busiest(records: list[access_record.Record]) -> dict[str | None, rollups.Busiest]:
    hours = collections.Counter((one.key_id, hour(one)) for one in records)
    top = dict[str | None, int]()
    for (key_id, _), count in hours.items():
        top[key_id] = max(count, top.get(key_id, 0))
    return {key_id: rollups.Busiest(count, 0) for key_id, count in top.items()}


def newest(records: list[access_record.Record]) -> list[access_record.Record]:
    return sorted(records, key=lambda one: one.at, reverse=True)


async def asked(where: asking.Sources, since: Any, until: Any, subject: str) -> dict[str, Any]:
    """Put the same questions to the hub."""
    time = {"since": since, "until": until}
    of_one = asking.Question(official="can-bo-1", **time)
    counted = await rollups.counted(where, asking.Question(**time), by=["operation", "outcome"])
    by_key = await rollups.counted(where, asking.Question(**time), by=["key_id"], sums=())
    shares = await rollups.error_shares(where, **time)
    return {
        "by_key": {row["key_id"]: row["requests"] for row in by_key},
        "busiest": await rollups.busiest_hours(where, since=since),
        "by_outcome": {(row["operation"], row["outcome"]): row["requests"] for row in counted},
        "shares": {(share.day, share.operation): share.requests for share in shares},
        "subjects": await rollups.distinct_subjects(where, day_files.day_of(LATE)),
        "refusals": await numbers(where, asking.Question(key_id="key-5", is_refused=True, **time), limit=4),
        "person": await numbers(where, asking.Question(subjects=(subject,), **time), limit=3),
        "dossier": await numbers(where, asking.Question(dossier_code=DOSSIER, **time), limit=3),
        "tops": {
            name: dict(it) for name, it in (await rollups.tops(where, asking.Question(**time), TOPS)).items()
        },
        "tops_of_one": {name: dict(it) for name, it in (await rollups.tops(where, of_one, TOPS)).items()},
        "hours_of_one": {row["hour"]: row["requests"] for row in await rollups.histogram(where, of_one)},
    }


async def numbers(where: asking.Sources, question: asking.Question, *, limit: int) -> list[int]:
    """Turn all the pages."""
    found, cursor = list[int](), None
    while True:
        page = await search.found(where, question, limit=limit, cursor=cursor)
        found += [row["number_in_node"] for row in page.items]
        if (cursor := page.next_cursor) is None:
            return found


async def test_every_state_of_the_record_gives_what_a_scan_gives(hub: hubs.Hub) -> None:
    records = record.of_days(hub.settings.home, days=7, a_day=120)
    where, since, subject = record.sources(hub), record.NOW - timedelta(days=6), str(records[59].subject)
    ranges = [(since, record.NOW), (since.replace(minute=17), record.NOW - timedelta(minutes=23))]
    ranges += [(LATE, LATE + timedelta(minutes=40)), (LATE.replace(minute=10), LATE.replace(minute=50))]

    async def agrees() -> None:
        for begun, ended in ranges:
            # Shares are of whole hours at their beginning.
            expected = scanned(there, begun, ended, subject)
            expected["shares"] = scanned(there, begun.replace(minute=0), ended, subject)["shares"]
            assert await asked(where, begun, ended, subject) == expected

    there = [one for one in records if one.number and one.number % 11]
    await record.put(hub, there[:500])
    assert await hot_columns.extend(hub.storage, where.archive, least=1, most=200) == 200
    there, rest = there[:500], there[500:]
    await agrees()
    while await hot_columns.extend(hub.storage, where.archive, least=1, most=200):
        pass
    await record.put(hub, rest)
    there += rest
    await agrees()
    await retention.roll_closed_days(where, hot_days=3, now=record.NOW)
    await agrees()
    late = [one for one in records if one.number and one.number % 11 == 0]
    await record.put(hub, late)
    there += late
    await agrees()
    assert await hot_columns.extend(hub.storage, where.archive, least=1)
    await agrees()
    await retention.roll_closed_days(where, hot_days=1, now=record.NOW)
    await agrees()


async def test_copies_of_days_that_went_into_files_are_let_go(
    hub: hubs.Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, records = record.sources(hub), record.of_days(hub.settings.home, days=6, a_day=30)
    monkeypatch.setattr(hot_columns, "FULL", 1)
    for start in range(0, 150, 30):
        await record.put(hub, records[start : start + 30])
        await hot_columns.extend(hub.storage, where.archive, least=1)
    assert len(hot_columns.segments(where.archive.folder)) == 5
    await retention.roll_closed_days(where, hot_days=2, now=record.NOW)
    await record.put(hub, records[150:])
    await hot_columns.extend(hub.storage, where.archive, least=1)
    assert [one.last.day for one in hot_columns.segments(where.archive.folder)] == [17, 18, 19, 20]
    assert await counted_in_all(where) == 180


async def counted_in_all(where: asking.Sources) -> int:
    return sum(row["requests"] for row in await rollups.counted(where, asking.Question(), by=["key_id"]))


async def test_a_damaged_copy_changes_no_answer_and_is_made_again(hub: hubs.Hub) -> None:
    where = record.sources(hub)
    await record.put(hub, record.of_days(hub.settings.home, days=1, a_day=30))
    before = await rollups.distinct_subjects(where, record.NOW.date())
    await hot_columns.extend(hub.storage, where.archive, least=1, most=20)
    copy = hot_columns.segments(where.archive.folder)[0].path
    copy.write_bytes(copy.read_bytes()[:100])
    assert await counted_in_all(where) == 30
    assert await rollups.distinct_subjects(where, record.NOW.date()) == before
    assert await hot_columns.extend(hub.storage, where.archive, least=1) == 0
    assert await hot_columns.extend(hub.storage, where.archive, least=1) == 30
    assert await counted_in_all(where) == 30


async def test_copies_of_a_database_that_was_put_back_are_forgotten(hub: hubs.Hub) -> None:
    where = record.sources(hub)
    await record.put(hub, record.of_days(hub.settings.home, days=1, a_day=30))
    await hot_columns.extend(hub.storage, where.archive, least=1)
    async with hub.storage.transaction() as tx:
        await tx.execute(tables.exchanges.delete().where(tables.exchanges.c.number_in_node > 10))
    await hot_columns.extend(hub.storage, where.archive, least=1)
    assert await counted_in_all(where) == 10
    await hot_columns.extend(hub.storage, where.archive, least=1)
    assert await counted_in_all(where) == 10


async def test_rows_that_lie_in_copies_are_not_walked_through_in_the_table_again(hub: hubs.Hub) -> None:
    """What was written to keep SQLite from its index of times did not reach it: every count read all rows."""
    if not hub.storage.is_sqlite:
        pytest.skip("PostgreSQL knows how many rows there are")
    await record.put(hub, record.of_days(hub.settings.home, days=1))
    where = record.sources(hub)
    await hot_columns.extend(hub.storage, where.archive, least=1)
    view = await asking.look(where, asking.Question(since=record.NOW - timedelta(days=1), official="can-bo-1"))
    assert view.chain
    newer, older = list(view.chain.beside(hub.storage, view.hot, view.question.since))[:2]
    async with hub.storage.reading() as conn:
        for asked in (newer, older):
            told = asked.add_columns(tables.exchanges.c.operation).compile(
                dialect=conn.dialect, compile_kwargs={"literal_binds": True}
            )
            plan = [row[3] for row in await conn.exec_driver_sql(f"explain query plan {told}")]
            assert any("INTEGER PRIMARY KEY" in line for line in plan), plan


async def test_a_running_hub_copies_rows_once_there_are_enough(
    hub: hubs.Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    await record.put(hub, record.of_days(hub.settings.home, days=1, a_day=30))
    monkeypatch.setattr(hot_columns.extend, "__kwdefaults__", {"least": 30, "most": 30})
    closing = asyncio.Event()
    running = asyncio.create_task(housekeeping.run(hub, closing, look_s=0.02))
    for _ in range(3_000):
        if hot_columns.segments(hub.settings.home / "record"):
            break
        await asyncio.sleep(0.02)
    closing.set()
    await running
    chain = hot_columns.chain(hub.settings.home / "record", [])
    assert chain is not None
    assert chain.upto - chain.after >= 30


async def test_the_hours_of_many_days_lie_in_one_file_and_go_with_their_days(hub: hubs.Hub) -> None:
    await record.put(hub, record.of_days(hub.settings.home, days=18, a_day=24))
    where = record.sources(hub)
    await retention.roll_closed_days(where, hot_days=1, now=record.NOW)
    months = {day_counts.HOURS: "months", day_counts.KEY_HOURS: "key-months", day_counts.CALLERS: "caller-months"}
    for what, folder in months.items():
        files = where.archive.counts.hours(what, None, None).files
        assert [path.parent.name for path in files].count(folder) == 1
    since = record.NOW - timedelta(days=30)
    before = await rollups.error_shares(where, since=since, until=record.NOW)
    assert sum(share.requests for share in before) == 18 * 24 - 1
    kept = settings.Archive(counts_days=5, calls_days=5, personal_days=5)
    await retention.drop_old_days(where, kept, now=record.NOW, actor="test")
    after = await rollups.error_shares(where, since=since, until=record.NOW)
    assert after == [share for share in before if share.day >= date(2026, 11, 15)]


async def test_who_called_when_and_from_where_goes_when_the_rows_go(hub: hubs.Hub) -> None:
    await record.put(hub, record.of_days(hub.settings.home, days=11, a_day=24))
    where = record.sources(hub)
    await retention.roll_closed_days(where, hot_days=1, now=record.NOW)
    kept = settings.Archive(counts_days=400, calls_days=2, personal_days=6)
    await retention.drop_old_days(where, kept, now=record.NOW, actor="test")
    names = {part.name for part in where.archive.parts()}
    assert where.archive.counts.hours(day_counts.CALLERS, None, None).parts == names
    assert where.archive.counts.hours(day_counts.HOURS, None, None).parts > names
    assert {path.stem for path in where.archive.folder.glob("callers/*/*.parquet")} == names
    counted = await rollups.tops(where, asking.Question(), ["official"])
    left = await numbers(where, asking.Question(is_personal=True), limit=99)
    assert sum(number for _, number in counted["official"]) == len(left) > 40


async def test_a_search_opens_only_the_files_that_hold_what_is_named(hub: hubs.Hub) -> None:
    await record.put(hub, record.of_days(hub.settings.home, days=5, a_day=60))
    where = record.sources(hub)
    await retention.roll_closed_days(where, hot_days=1, now=record.NOW)
    of_one = asking.Question(dossier_code="H38.12-261120-000036")
    found = await numbers(where, of_one, limit=9)
    assert found == [36]
    assert len((await asking.look(where, of_one)).files) == 1
    assert len((await asking.look(where, replace(of_one, official="can-bo-9"))).files) == 0
    lists = [places.beside(where.archive.file(part)) for part in where.archive.parts()]
    told = [path.read_bytes() for path in lists]
    for path, whole in zip(lists, told, strict=True):
        path.write_bytes(b"LTPLACE1" + whole[8:])  # of before: nobody reads them
    assert len((await asking.look(where, of_one)).files) == len(lists)
    assert await numbers(where, of_one, limit=9) == found
    assert [places.is_of(where.archive.file(part)) for part in where.archive.parts()] == [True] * len(lists)
    await asyncio.to_thread(where.archive.tidy)
    assert [path.read_bytes() for path in lists] == told


async def test_files_of_before_keys_and_callers_were_counted_by_the_hour_give_the_same_answers(
    hub: hubs.Hub,
) -> None:
    await record.put(hub, record.of_days(hub.settings.home, days=4, a_day=120))
    where = record.sources(hub)
    await retention.roll_closed_days(where, hot_days=1, now=record.NOW)
    question = asking.Question(key_id="key-1", since=record.NOW - timedelta(days=3, minutes=20))
    before = await rollups.histogram(where, question)
    busy = await rollups.busiest_hours(where, since=record.NOW - timedelta(days=3))
    assert sum(row["requests"] for row in before) > 10
    of_one = replace(question, key_id=None, official="can-bo-1")
    tops = await rollups.tops(where, of_one, TOPS)
    for path in (*where.archive.folder.glob("key-hours/*/*"), *where.archive.folder.glob("callers/*/*")):
        path.unlink()
    for _ in range(2):
        after = await rollups.histogram(where, question)
        assert [(row["hour"], row["requests"]) for row in after] == [
            (row["hour"], row["requests"]) for row in before
        ]
        assert await rollups.busiest_hours(where, since=record.NOW - timedelta(days=3)) == busy
        assert await rollups.tops(where, of_one, TOPS) == tops
        await asyncio.to_thread(where.archive.tidy)  # counts what is wanting
    for what in (day_counts.KEY_HOURS, day_counts.CALLERS):
        assert len(where.archive.counts.hours(what, None, None).parts) == len(where.archive.parts())


async def test_a_list_that_is_gone_or_leads_astray_is_noticed(hub: hubs.Hub) -> None:
    await record.put(hub, record.of_days(hub.settings.home, days=2))
    where = record.sources(hub)
    await retention.roll_closed_days(where, hot_days=1, now=record.NOW)
    wanted = asking.Question(key_id="key-5", is_refused=True)
    found = await numbers(where, wanted, limit=50)
    part = where.archive.parts(kinds=["calls"])[0]
    listed = places.beside(where.archive.file(part))
    whole = listed.read_bytes()
    for altered in (whole[:-8], whole[:24], whole[:32], b""):
        listed.write_bytes(altered)
        assert await numbers(where, wanted, limit=50) == found
    listed.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(errors.StorageUnavailable, match="places"):
        list(where.archive.rows(part.day, access_record.from_row))
    listed.unlink()
    assert await numbers(where, wanted, limit=50) == found
    where.archive.tidy()
    assert listed.read_bytes() == whole


async def test_a_person_that_many_keys_asked_about_is_paged_by_time(hub: hubs.Hub) -> None:
    records = record.of_days(hub.settings.home, days=2, a_day=1_200)
    await record.put(hub, records)
    where = record.sources(hub)
    await retention.roll_closed_days(where, hot_days=1, now=record.NOW)
    for person in {one.subject for one in records[:60] if one.subject}:
        wanted = [one.number for one in newest(records) if one.subject == person]
        assert await numbers(where, asking.Question(subjects=(person,)), limit=1) == wanted


async def test_names_that_share_a_hash_are_told_apart(hub: hubs.Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    records = record.of_days(hub.settings.home, days=2)
    await record.put(hub, records)
    where, years = record.sources(hub), subjects.Subjects(hub.settings.home)
    person = asking.Question(subjects=(years.digest(record.CITIZEN, at=record.NOW),))
    refused = asking.Question(key_id="key-5", is_refused=True)
    asked = person, refused, asking.Question(dossier_code="H38.12-261120-000036")
    before = [await numbers(where, question, limit=9) for question in asked]
    monkeypatch.setattr(places, "_hash", lambda _name: 7)
    await retention.roll_closed_days(where, hot_days=1, now=record.NOW)
    assert [await numbers(where, question, limit=9) for question in asked] == before
    assert all(before)
