"""The spool's folder among several who begin at once, and records that had to wait in memory."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lienthong.core import access_record, spool

AT = datetime(2026, 3, 2, 1, tzinfo=UTC)
CALL = access_record.Record(AT, "r-1", "dossiers.put", "/v1/dossiers/{code}", "ok", 1.0, status=200)


def test_processes_of_one_number_that_begin_together_get_one_name_for_the_folder(
    tmp_path: Path,
) -> None:
    nodes: list[str] = []

    def begin(root: Path) -> None:
        # Containers that share a folder: each of them has the process number 1.
        book = spool.Spool(root, "gateway")
        nodes.append(book.node.partition(".")[2])
        book.close()

    for attempt in range(40):
        beginners = [threading.Thread(target=begin, args=(tmp_path / str(attempt),)) for _ in range(6)]
        for beginner in beginners:
            beginner.start()
        for beginner in beginners:
            beginner.join()
    assert len(nodes) == 240
    assert len({*nodes}) == 40


def test_what_is_held_waited_for_the_next_request_though_there_was_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool, "RETRY_S", 0.05)
    book = spool.Spool(tmp_path, "gateway")
    with monkeypatch.context() as disk:
        disk.setattr(spool.os, "write", full)
        assert [book.hold(CALL) for _ in range(3)] == [True] * 3
        time.sleep(0.2)
        assert book.held == 3
    ends_s = time.monotonic() + 10
    while book.held and time.monotonic() < ends_s:
        time.sleep(0.01)
    assert (book.held, book.written) == (0, 3)
    book.close()
