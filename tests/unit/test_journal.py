"""The book: nobody waits for it, and what was taken is written."""

from __future__ import annotations

import asyncio
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lienthong.core import errors, journal, settings, storage, tables

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


def exchange(request_id: str = "r", **facts: Any) -> journal.Exchange:
    what = {
        "at": NOW,
        "direction": "in",
        "system": "gateway",
        "operation": "procedures.list",
        "method": "GET",
        "route": "/v1/procedures",
        "outcome": "ok",
        "took_ms": 1.5,
    }
    return journal.Exchange(request_id=request_id, **{**what, **facts})


async def written(store: storage.Storage) -> list[str]:
    async with store.reading() as conn:
        rows = await storage.every(conn, sa.select(tables.exchanges).order_by(tables.exchanges.c.number))
    return [row["request_id"] for row in rows]


async def until_written(store: storage.Storage, count: int) -> list[str]:
    for _ in range(6_000):
        if len(found := await written(store)) >= count:
            break
        await asyncio.sleep(0.01)
    return found


async def break_storage(store: storage.Storage) -> None:
    await store.close()
    shutil.move(str(store.engine.url.database), f"{store.engine.url.database}.away")
    os.mkdir(str(store.engine.url.database))


async def mend_storage(store: storage.Storage) -> None:
    os.rmdir(str(store.engine.url.database))
    shutil.move(f"{store.engine.url.database}.away", str(store.engine.url.database))


async def test_rows_are_written_by_themselves_in_their_order(store: storage.Storage) -> None:
    book = journal.Journal(store)
    for number in range(5):
        book.write(exchange(str(number)))
    assert await until_written(store, 5) == ["0", "1", "2", "3", "4"]
    await book.flush()


async def test_a_row_says_all_that_it_was_given(store: storage.Storage) -> None:
    book = journal.Journal(store)
    book.write(exchange("r", status=202, key_id="k", dossier_code="H38-251120-0001", detail=b"sealed", bytes_in=7))
    await book.flush()
    async with store.reading() as conn:
        row: Any = await storage.first(conn, sa.select(tables.exchanges))
    assert (row["at"], row["status"], row["key_id"], row["bytes_in"]) == (NOW, 202, "k", 7)
    assert (row["dossier_code"], row["detail"], row["outcome"]) == ("H38-251120-0001", b"sealed", "ok")


async def test_many_rows_at_once_are_all_written(store: storage.Storage) -> None:
    book = journal.Journal(store)
    for number in range(journal.FLUSH_ROWS * 2 + 7):
        book.write(exchange(str(number)))
    await book.flush()
    assert len(await written(store)) == journal.FLUSH_ROWS * 2 + 7


async def test_the_end_of_the_process_writes_what_is_left(tmp_path: Path) -> None:
    from lienthong.bus import hub

    chosen = settings.Settings(home=tmp_path)
    async with hub.opened(chosen) as opened:
        async with opened.storage.engine.begin() as connection:
            await connection.run_sync(tables.metadata.create_all)
        opened.journal.write(exchange("last"))
    store = storage.Storage(chosen.database_url)
    assert await written(store) == ["last"]
    await store.close()


async def test_rows_wait_while_the_storage_is_away(store: storage.Storage) -> None:
    book = journal.Journal(store)
    await break_storage(store)
    book.write(exchange("a"))
    with pytest.raises(errors.StorageUnavailable):
        await book.flush()
    book.write(exchange("b"))
    await mend_storage(store)
    await book.flush()
    assert await written(store) == ["a", "b"]
    assert book.lost == 0


async def test_rows_that_waited_are_written_without_being_asked(store: storage.Storage) -> None:
    book = journal.Journal(store)
    await break_storage(store)
    book.write(exchange("a"))
    await asyncio.sleep(journal.FLUSH_S * 2)
    await mend_storage(store)
    assert await until_written(store, 1) == ["a"]
    await book.flush()


async def test_a_row_that_the_database_refuses_costs_only_itself(store: storage.Storage) -> None:
    book = journal.Journal(store)
    for row in (exchange("a"), exchange("b", outcome=None), exchange("c", at=datetime(2026, 1, 1)), exchange("d")):
        book.write(row)
    await book.flush()
    assert await written(store) == ["a", "d"]
    assert book.lost == 2


async def test_a_flush_that_is_cancelled_loses_no_row(store: storage.Storage) -> None:
    book = journal.Journal(store)
    book.write(exchange("a"))
    async with store.transaction():
        flushing = asyncio.create_task(book.flush())
        await asyncio.sleep(0.01)
        flushing.cancel()
        await asyncio.gather(flushing, return_exceptions=True)
    await book.flush()
    assert await written(store) == ["a"]


async def test_a_book_that_cannot_be_written_for_long_counts_what_it_loses(
    store: storage.Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MOST_WAITING", 3)
    book = journal.Journal(store)
    for number in range(5):
        book.write(exchange(str(number)))
    await book.flush()
    assert await written(store) == ["0", "1", "2"]
    assert book.lost == 2


async def test_an_act_is_written_with_the_transaction_that_does_it_or_not_at_all(store: storage.Storage) -> None:
    with pytest.raises(RuntimeError):
        async with store.transaction() as tx:
            await journal.write_act(tx, "target.pause", "dvcqg_adapter", actor="vi-du", now=NOW)
            raise RuntimeError
    async with store.transaction() as tx:
        await journal.write_act(tx, "target.pause", "dvcqg_portal", actor="vi-du", now=NOW, reason="x" * 900)
    async with store.reading() as conn:
        rows = await storage.every(conn, sa.select(tables.admin_acts))
    assert [(row["object"], len(row["reason"])) for row in rows] == [("dvcqg_portal", 500)]
