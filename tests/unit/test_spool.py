"""The spool: written before it returns, numbers without gaps, whatever happens to process, disk or clock."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lienthong.core import access_record, errors, ingest, spool, spool_reading, storage, tables

AT = datetime(2026, 3, 2, 1, tzinfo=UTC)
CALL = access_record.Record(AT, "r-1", "dossiers.put", "/v1/dossiers/{code}", "ok", 1.0, status=200)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[spool.Spool]:
    opened = spool.Spool(tmp_path / "spool", "gateway", segment_bytes=20_000)
    yield opened
    opened.close()


def everything(folder: Path) -> list[int]:
    reader = spool_reading.Reader(folder)
    found: list[int] = []
    while entries := reader.read(1_000):
        found += [number for number, _ in entries]
    return found


def test_records_are_numbered_one_after_the_other_over_all_segments(book: spool.Spool) -> None:
    assert [book.append(CALL) for _ in range(500)] == list(range(1, 501))
    assert len(spool_reading.segments(book.folder)) > 3
    assert everything(book.folder) == list(range(1, 501))


def test_what_is_read_is_what_was_written(book: spool.Spool) -> None:
    book.append(CALL._replace(official="canbo1"))
    ((number, data),) = spool_reading.Reader(book.folder).read()
    assert access_record.from_bytes(data) == CALL._replace(official="canbo1", node=book.node, number=number)


async def test_a_record_can_be_waited_for(book: spool.Spool) -> None:
    await book.durable(book.append(CALL))
    await book.durable(1)


def test_two_processes_have_two_nodes_and_a_freed_one_is_taken_again(tmp_path: Path, book: spool.Spool) -> None:
    second = spool.Spool(tmp_path / "spool", "gateway")
    second.append(CALL)
    assert second.node != book.node
    second.close()
    third = spool.Spool(tmp_path / "spool", "gateway")
    assert (third.node, third.append(CALL)) == (second.node, 2)
    third.close()


def test_a_clock_put_back_disturbs_no_number(book: spool.Spool) -> None:
    steps = (0, 1, -3_600, -3_599, 90_000, 0)
    assert [book.append(CALL._replace(at=AT + timedelta(seconds=step))) for step in steps] == [1, 2, 3, 4, 5, 6]
    assert everything(book.folder) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("keep", [1, 7, 8, 30])
def test_a_torn_end_is_cut_and_numbering_goes_on(tmp_path: Path, keep: int) -> None:
    first = spool.Spool(tmp_path, "gateway")
    for _ in range(3):
        first.append(CALL)
    first.close()
    _, path = spool_reading.segments(first.folder)[-1]
    entry = spool_reading.entry(4, b"x" * 100)
    path.write_bytes(path.read_bytes() + entry[:keep])
    again = spool.Spool(tmp_path, "gateway")
    assert again.append(CALL) == 4
    again.close()
    assert everything(again.folder) == [1, 2, 3, 4]
    assert next(again.folder.glob("*.torn")).read_bytes() == entry[:keep]


def test_a_number_that_was_read_is_never_used_again(tmp_path: Path) -> None:
    first = spool.Spool(tmp_path, "gateway")
    for _ in range(5):
        first.append(CALL)
    first.close()
    spool_reading.save_position(first.folder, "store", 5)
    _, path = spool_reading.segments(first.folder)[-1]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    again = spool.Spool(tmp_path, "gateway")
    assert again.append(CALL) == 6
    again.close()


def test_segments_go_when_all_followers_have_passed_them(book: spool.Spool) -> None:
    for _ in range(500):
        book.append(CALL)
    before = len(spool_reading.segments(book.folder))
    spool_reading.save_position(book.folder, "store", 500)
    spool_reading.save_position(book.folder, "siem", 100)
    assert spool_reading.trim(book.folder) == 0
    spool_reading.save_position(book.folder, "seal", 500)
    assert spool_reading.trim(book.folder) < before - 1
    spool_reading.save_position(book.folder, "siem", 500)
    spool_reading.trim(book.folder)
    assert len(spool_reading.segments(book.folder)) == 1


def test_a_follower_goes_on_after_a_damaged_segment(book: spool.Spool) -> None:
    for _ in range(300):
        book.append(CALL)
    first, path = spool_reading.segments(book.folder)[1]
    after = spool_reading.segments(book.folder)[2][0]
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)
    reader = spool_reading.Reader(book.folder)
    found = [number for number, _ in reader.read(1_000)]
    assert found == list(range(1, first))
    assert reader.skip_damage()
    assert [number for number, _ in reader.read(1_000)] == list(range(after, 301))


# ----------------------------------------------------------------------------------------- a full disk


class FullDisk:
    """Lets `os.write` fail as on a full disk, after having written a part."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_full = False
        write = os.write

        def limited(handle: int, data: bytes) -> int:
            if self.is_full:
                return write(handle, data[:10]) if handle > 2 else write(handle, data)
            return write(handle, data)

        monkeypatch.setattr(spool.os, "write", limited)


def test_a_full_disk_is_a_named_error_and_leaves_nothing_half_written(
    book: spool.Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(monkeypatch)
    book.append(CALL)
    disk.is_full = True
    with pytest.raises(errors.StorageUnavailable):
        book.append(CALL)
    assert not book.may_serve(personal=True)
    assert book.may_serve(personal=False)
    disk.is_full = False
    assert book.append(CALL) == 2
    assert book.may_serve(personal=True)
    assert everything(book.folder) == [1, 2]


def test_what_could_not_be_written_is_held_and_written_first(
    book: spool.Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(monkeypatch)
    disk.is_full = True
    assert [book.take(CALL._replace(request_id=f"held-{number}")) for number in range(3)] == [True] * 3
    assert book.held == 3
    disk.is_full = False
    book.take(CALL._replace(request_id="later"))
    read = [access_record.from_bytes(data).request_id for _, data in spool_reading.Reader(book.folder).read()]
    assert read == ["held-0", "held-1", "held-2", "later"]


def test_after_the_grace_nothing_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = spool.Spool(tmp_path, "gateway", grace_s=0.0)
    disk = FullDisk(monkeypatch)
    disk.is_full = True
    assert not book.take(CALL)
    assert book.held == 0
    assert book.hold(CALL)
    assert not book.may_serve(personal=False)
    disk.is_full = False
    assert book.may_serve(personal=True)
    book.close()


# ---------------------------------------------------------------------------------- into the hot store


async def test_the_hot_store_gets_each_record_once(tmp_path: Path, book: spool.Spool) -> None:
    store = storage.Storage(storage.sqlite_url(tmp_path / "hub.db"))
    async with store.engine.begin() as connection:
        await connection.run_sync(tables.metadata.create_all)
    written = [access_record.encode(CALL, node=book.node, number=book.append(CALL)) for _ in range(50)]
    assert await ingest.Ingest(tmp_path / "spool", store).step() == 50
    (book.folder / "store.position").unlink()
    assert await ingest.Ingest(tmp_path / "spool", store).step() == 50
    async with store.reading() as conn:
        rows = await storage.every(conn, tables.exchanges.select().order_by(tables.exchanges.c.number))
    assert [access_record.from_row(row) for row in rows] == written
    await store.close()


async def test_the_hot_store_keeps_every_field_as_it_was_written(tmp_path: Path, book: spool.Spool) -> None:
    store = storage.Storage(storage.sqlite_url(tmp_path / "hub.db"))
    async with store.engine.begin() as connection:
        await connection.run_sync(tables.metadata.create_all)
    full = CALL._replace(
        took_ms=0.007,
        organisation='Sở "Ví Dụ" \\ số 1 – 𝄞',
        official="null",
        rows=2**53,
        field_groups=("identity", "address"),
        subject="ab" * 32,
        upstream=(access_record.Attempt("vnpay", "ok", 3), access_record.Attempt("vnpay", 'x"\\é', 0)),
    )
    written = [access_record.encode(one, node=book.node, number=book.append(one)) for one in (full, CALL, full)]
    await ingest.Ingest(tmp_path / "spool", store).step()
    async with store.reading() as conn:
        rows = await storage.every(conn, tables.exchanges.select().order_by(tables.exchanges.c.number))
    assert [access_record.from_row(row) for row in rows] == written
    kept = [{name: value for name, value in row.items() if name not in ("number", "detail")} for row in rows]
    assert kept == [access_record.to_row(data) for data in written]
    await store.close()


@pytest.mark.parametrize("data", [b'{"at":1}', b"[1,2]", b'[9,"n",1' + b",0" * 27 + b"]"])
async def test_what_is_no_record_is_named_and_nothing_of_its_batch_is_taken(
    tmp_path: Path, book: spool.Spool, data: bytes
) -> None:
    store = storage.Storage(storage.sqlite_url(tmp_path / "hub.db"))
    async with store.engine.begin() as connection:
        await connection.run_sync(tables.metadata.create_all)
    number = book.append(CALL) + 1
    with spool_reading.segments(book.folder)[0][1].open("ab") as file:
        file.write(spool_reading.entry(number, data))
    with pytest.raises(errors.StorageUnavailable, match="not an access record"):
        await ingest.Ingest(tmp_path / "spool", store).step()
    async with store.reading() as conn:
        assert not await storage.every(conn, tables.exchanges.select())
    await store.close()


async def test_the_ingest_goes_on_after_the_disk_took_no_note(tmp_path: Path, book: spool.Spool) -> None:
    store = storage.Storage(storage.sqlite_url(tmp_path / "hub.db"))
    async with store.engine.begin() as connection:
        await connection.run_sync(tables.metadata.create_all)
    book.append(CALL)
    closing, in_the_way = asyncio.Event(), book.folder / "store.new"
    in_the_way.mkdir()
    running = asyncio.create_task(ingest.Ingest(tmp_path / "spool", store).run(closing))
    await asyncio.sleep(0.3)
    assert spool_reading.read_position(book.folder, "store") == 0
    in_the_way.rmdir()
    for _ in range(600):
        if spool_reading.read_position(book.folder, "store"):
            break
        await asyncio.sleep(0.1)
    assert spool_reading.read_position(book.folder, "store") == 1
    closing.set()
    await running
    async with store.reading() as conn:
        assert len(await storage.every(conn, tables.exchanges.select())) == 1
    await store.close()


# --------------------------------------------------------------------------------------------- kill -9

WRITER = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from lienthong.core import access_record, spool
call = access_record.Record(datetime.now(UTC), "r", "dossiers.put", "/v1/dossiers/{code}", "ok", 1.0)
book = spool.Spool(Path(sys.argv[1]), "gateway", segment_bytes=200_000)
while True:
    number = book.append(call)
    os.write(1, b"%d\\n" % number)
"""


@pytest.mark.long
def test_a_writer_killed_twenty_times_loses_nothing_that_was_taken(tmp_path: Path) -> None:
    highest = 0
    for _ in range(20):
        with (tmp_path / "told").open("wb") as told:
            writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "spool")], stdout=told)
            while (tmp_path / "told").stat().st_size < 20_000:
                time.sleep(0.01)
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        numbers = [int(line) for line in (tmp_path / "told").read_bytes().split(b"\n")[:-1]]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert highest < numbers[0] <= highest + 2, "one may have been written whose number nobody was told"
        highest = numbers[-1]
    (folder,) = spool_reading.nodes(tmp_path / "spool")
    kept = everything(folder)
    assert kept == list(range(1, len(kept) + 1))
    assert highest <= len(kept) <= highest + 1
