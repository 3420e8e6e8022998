"""When the disk refuses to keep what was written: nothing is claimed that is not so, and nothing is lost."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lienthong.core import access_record, errors, spool, spool_reading

CALL = access_record.Record(datetime(2026, 3, 2, 1, tzinfo=UTC), "r-1", "dossiers.put", "/v1", "ok", 1.0)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[spool.Spool]:
    opened = spool.Spool(tmp_path / "spool", "gateway", segment_bytes=2_000)
    yield opened
    opened.close()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> LosingDisk:
    return LosingDisk(monkeypatch)


class LosingDisk:
    """Refuses a wait, and has then let go of what was written, as kernels do; the next wait succeeds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_losing = False
        self._kept: dict[int, int] = {}
        self._wait = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self._fdatasync)

    def _fdatasync(self, handle: int) -> None:
        found = os.fstat(handle)
        if not self.is_losing:
            self._wait(handle)
            self._kept[found.st_ino] = found.st_size
            return
        path = f"/proc/self/fd/{handle}"
        if not os.readlink(path).endswith(".new"):
            os.truncate(path, self._kept.get(found.st_ino, 0))
        raise OSError(5, "Input/output error")


def everything(folder: Path) -> list[int]:
    reader = spool_reading.Reader(folder)
    found: list[int] = []
    while entries := reader.read(1_000):
        found += [number for number, _ in entries]
    return found


def wait_until_well(book: spool.Spool) -> None:
    ends = time.monotonic() + 20
    while not book.may_serve(personal=True):
        assert time.monotonic() < ends
        time.sleep(0.02)


async def test_what_a_refusing_disk_lost_is_written_again(book: spool.Spool, disk: LosingDisk) -> None:
    for _ in range(5):
        await book.durable(book.append(CALL))
    disk.is_losing = True
    with pytest.raises(errors.StorageUnavailable):
        await book.durable(book.append(CALL))
    assert not book.may_serve(personal=True)
    assert book.take(CALL), "held in memory"
    disk.is_losing = False
    wait_until_well(book)
    assert book.append(CALL) == 8
    await book.durable(8)
    assert everything(book.folder) == list(range(1, 9))


async def test_records_over_several_segments_are_written_again(book: spool.Spool, disk: LosingDisk) -> None:
    await book.durable(book.append(CALL))
    disk.is_losing = True
    for _ in range(60):
        book.take(CALL)
    with pytest.raises(errors.StorageUnavailable):
        while True:
            await book.durable(book.append(CALL))
    disk.is_losing = False
    wait_until_well(book)
    last = book.append(CALL)
    await book.durable(last)
    assert last > 61
    assert everything(book.folder) == list(range(1, last + 1))


async def test_a_follower_in_the_midst_reads_each_record_once(book: spool.Spool, disk: LosingDisk) -> None:
    for _ in range(4):
        await book.durable(book.append(CALL))
    reader = spool_reading.Reader(book.folder)
    read = [number for number, _ in reader.read()]
    disk.is_losing = True
    with pytest.raises(errors.StorageUnavailable):
        await book.durable(book.append(CALL))
    disk.is_losing = False
    wait_until_well(book)
    await book.durable(book.append(CALL))
    assert read + [number for number, _ in reader.read()] == [1, 2, 3, 4, 5, 6]


def test_a_follower_gets_nothing_that_the_disk_may_still_lose(book: spool.Spool, disk: LosingDisk) -> None:
    book.append(CALL)
    disk.is_losing = True
    with pytest.raises(OSError, match="Input/output"):
        spool_reading.Reader(book.folder).read()
    disk.is_losing = False


def test_a_repair_that_was_killed_half_way_is_ended_at_the_start(tmp_path: Path) -> None:
    first = spool.Spool(tmp_path, "gateway", segment_bytes=600)
    for _ in range(12):
        first.append(CALL)
    entries = [
        spool_reading.entry(number, access_record.encode(CALL, node=first.node, number=number))
        for number in range(5, 13)
    ]
    first.close()
    (first.folder / f"{5:020d}.again").write_bytes(b"".join(entries))
    again = spool.Spool(tmp_path, "gateway")
    assert again.append(CALL) == 13
    again.close()
    assert everything(again.folder) == list(range(1, 14))
    assert not list(first.folder.glob("*.again"))


async def test_a_closed_spool_keeps_nobody_waiting(tmp_path: Path) -> None:
    book = spool.Spool(tmp_path, "gateway")
    book.close()
    with pytest.raises(errors.StorageUnavailable):
        await book.durable(1)


def test_a_place_that_cannot_be_used_is_given_back(tmp_path: Path) -> None:
    book = spool.Spool(tmp_path, "gateway")
    book.close()
    (book.folder / spool_reading.segment_name(7)).mkdir()
    for _ in range(2):
        with pytest.raises(errors.StorageUnavailable):
            spool.Spool(tmp_path, "gateway")
    (book.folder / spool_reading.segment_name(7)).rmdir()
    again = spool.Spool(tmp_path, "gateway")
    assert again.node == book.node
    again.close()


def test_half_a_record_that_could_not_be_cut_off_is_cut_off_later(
    book: spool.Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, cut = os.write, os.ftruncate
    book.append(CALL)
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:10]))
    monkeypatch.setattr(os, "ftruncate", _refuse)
    with pytest.raises(errors.StorageUnavailable):
        book.append(CALL)
    monkeypatch.setattr(os, "write", write)
    with pytest.raises(errors.StorageUnavailable):
        book.append(CALL)
    monkeypatch.setattr(os, "ftruncate", cut)
    assert book.append(CALL) == 2
    assert everything(book.folder) == [1, 2]


def _refuse(_handle: int, _size: int) -> None:
    raise OSError(5, "Input/output error")
