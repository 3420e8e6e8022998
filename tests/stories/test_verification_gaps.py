"""What verifying must not let pass: nothing to compare with, records out of place, numbers never sealed."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
import sealed

from lienthong.core import spool, spool_reading, storage
from lienthong.monitoring import log_check, seals, verification, witnesses


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> sealed.SealedHome:
    return await sealed.build(tmp_path, a_day=40)


async def found(made: sealed.SealedHome) -> list[str]:
    return [one.en for one in (await made.verify()).findings]


async def test_seals_that_are_gone_do_not_pass_for_a_young_hub(made: sealed.SealedHome) -> None:
    shutil.rmtree(made.home / "seals")
    for mark in (*made.home.glob("spool/*.sealed"), *made.home.glob("spool/*/*.position")):
        mark.unlink()
    assert await found(made) == ["The sealed logs are gone."]


async def test_a_record_hidden_in_another_days_file_is_named(made: sealed.SealedHome) -> None:
    first, second = (made.home / "days" / f"{day}.jsonl" for day in sealed.DAYS[:2])
    line, *rest = first.read_bytes().splitlines(keepends=True)
    first.write_bytes(b"".join(rest))
    second.write_bytes(second.read_bytes() + line)
    assert await found(made) == ["It stands in another day's file."]


async def test_a_row_that_stands_twice_in_the_hot_store_is_named(made: sealed.SealedHome) -> None:
    with sqlite3.connect(made.database) as database:
        database.execute("create table twice as select * from exchanges")
        database.execute("insert into twice select * from exchanges order by number desc limit 1")
        database.execute("update twice set number = number + 1 where rowid = (select max(rowid) from twice)")
        database.execute("drop table exchanges")
        database.execute("alter table twice rename to exchanges")
    assert await found(made) == ["The record stands twice."]


async def test_a_call_inserted_with_a_low_number_is_named(made: sealed.SealedHome) -> None:
    with sqlite3.connect(made.database) as database:
        names = [row[1] for row in database.execute("pragma table_info(exchanges)")]
        given = {"number": "1", "node": "null", "number_in_node": "null"}
        values = ", ".join(given.get(name, name) for name in names)
        database.execute(f"insert into exchanges select {values} from exchanges limit 1")
    assert await found(made) == ["A call without a number: it was inserted."]


async def test_numbers_that_were_lost_before_they_were_sealed_are_named(made: sealed.SealedHome) -> None:
    book = spool.Spool(made.home / "spool", "gateway", segment_bytes=1_000)
    for number in range(12):
        book.append(sealed.record(number, sealed.NOW + timedelta(seconds=number)))
    begins, path = spool_reading.segments(book.folder)[-3]
    ends = spool_reading.segments(book.folder)[-2][0] - 1
    path.unlink()
    book.close()
    store = storage.Storage(storage.sqlite_url(made.database))
    async with seals.opened(made.home, store) as sealer:
        assert sealer is not None
        for minute in (1, 2):
            await sealer.step(sealed.NOW + timedelta(minutes=minute))
    report = await verification.verify(made.home, store, days=sealed.DayLines(made.home))
    await store.close()
    assert f"{book.node} no. {begins} to {ends}" in [one.where for one in report.findings]


async def test_one_log_in_the_place_of_the_other_does_not_pass(made: sealed.SealedHome) -> None:
    shutil.rmtree(made.home / "seals" / "access")
    shutil.copytree(made.home / "seals" / "admin", made.home / "seals" / "access")
    report = await made.verify()
    assert "it is of another log" in report.findings[0].where


async def test_the_key_that_was_handed_out_decides(made: sealed.SealedHome) -> None:
    store = storage.Storage(storage.sqlite_url(made.database))
    report = await verification.verify(made.home, store, agency_key=bytes(32))
    await store.close()
    assert not report.holds


@pytest.fixture
def share(made: sealed.SealedHome, tmp_path: Path) -> Path:
    return tmp_path / "share"


async def shown(made: sealed.SealedHome, share: Path) -> Path:
    """Show the witness the newest checkpoint; gives where it keeps those of calls."""
    store = storage.Storage(storage.sqlite_url(made.database))
    async with seals.opened(made.home, store) as sealer:
        assert sealer is not None
        for log in (sealer.access, sealer.admin):
            await witnesses.show(witnesses.Witness(folder=share), log, log.checkpoint(now=sealed.NOW))
        place = witnesses.place_of(share, sealer.access.verifier.name)
    await store.close()
    return place


def compared(made: sealed.SealedHome, share: Path) -> list[str]:
    report = log_check.Report()
    verification.compare(made.home, share, report)
    return [one.en for one in report.findings]


async def test_a_witness_that_keeps_nothing_proves_nothing(made: sealed.SealedHome, share: Path) -> None:
    await shown(made, share)
    assert compared(made, share) == []
    shutil.rmtree(share)
    assert set(compared(made, share)) == {
        "The witness keeps nothing of this log: is it the right folder, and mounted?"
    }


async def test_a_witnesss_file_that_cannot_be_read_is_named(made: sealed.SealedHome, share: Path) -> None:
    place = await shown(made, share)
    (place / "0000000999.checkpoint").write_bytes(b"{")
    assert compared(made, share) == ["It cannot be read."]


async def test_a_log_begun_anew_under_the_same_name_is_found_by_its_witness(
    made: sealed.SealedHome, share: Path
) -> None:
    await shown(made, share)
    for name in ("access", "admin"):
        (made.home / "seals" / name / "checkpoints.jsonl").write_bytes(b"")
    assert len(compared(made, share)) == 2
