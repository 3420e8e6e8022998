"""Work that shares a transaction: kept or said not to be, and what one does wrong costs the others nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.core import errors, group_commit, storage, tables
from lienthong.core.clock import now

LEASES = tables.leases


def putting(name: str, *, then: Exception | None = None):
    async def work(tx: AsyncConnection) -> str:
        await tx.execute(LEASES.insert().values(name=name, owner="o", until=now()))
        if then is not None:
            raise then
        return name

    return work


async def names(store: storage.Storage) -> list[str]:
    async with store.reading() as conn:
        return list((await conn.execute(sa.select(LEASES.c.name).order_by(LEASES.c.name))).scalars())


async def test_each_gets_what_its_own_work_gives(store: storage.Storage) -> None:
    wanted = [f"{number:03d}" for number in range(3 * group_commit.MOST_TOGETHER)]
    assert await asyncio.gather(*(store.together(putting(name)) for name in wanted)) == wanted
    assert await names(store) == wanted


async def test_what_waits_is_written_in_one_transaction(store: storage.Storage, tmp_path: Path) -> None:
    begun: list[str] = []
    sa.event.listen(
        store._desk._engine,
        "before_cursor_execute",
        lambda conn, cursor, statement, *_: begun.append(statement) if "BEGIN" in statement else None,
    )
    async with store.transaction():
        waiting = [asyncio.create_task(store.together(putting(str(number)))) for number in range(20)]
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    assert len(begun) == 1


async def test_it_is_in_the_database_when_it_comes_back(store: storage.Storage) -> None:
    async def one(name: str) -> list[str]:
        await store.together(putting(name))
        return await names(store)

    for name, seen in zip("abcdef", await asyncio.gather(*(one(name) for name in "abcdef")), strict=True):
        assert name in seen


async def test_one_that_fails_takes_back_its_own_part_only(store: storage.Storage) -> None:
    works = [putting("a"), putting("b", then=errors.NotGranted(reason="x")), putting("a"), putting("c")]
    told = await asyncio.gather(*(store.together(work) for work in works), return_exceptions=True)
    assert [type(one) for one in told] == [str, errors.NotGranted, IntegrityError, str]
    assert await names(store) == ["a", "c"]


async def test_a_work_that_waits_for_something_else_is_refused_and_undone(store: storage.Storage) -> None:
    async def work(tx: AsyncConnection) -> None:
        await putting("a")(tx)
        await asyncio.sleep(0)

    with pytest.raises(TypeError):
        await store.together(work)
    await store.together(putting("b"))
    assert await names(store) == ["b"]


async def test_one_who_stops_waiting_loses_nobody_elses_work(store: storage.Storage) -> None:
    async with store.transaction():
        waiting = [asyncio.create_task(store.together(putting(name))) for name in "abc"]
        await asyncio.sleep(0)
        waiting[1].cancel()
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert (told[0], told[2]) == ("a", "c")
    assert isinstance(told[1], asyncio.CancelledError)
    assert await names(store) == ["a", "c"]


@pytest.mark.parametrize("steps", range(0, 12, 2))
async def test_one_who_stops_at_any_moment_loses_nobody_elses_work(store: storage.Storage, steps: int) -> None:
    waiting = [asyncio.create_task(store.together(putting(name))) for name in "abc"]
    for _ in range(steps):
        await asyncio.sleep(0.0003)
    waiting[0].cancel()
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert told[1:] == ["b", "c"]
    assert set(await names(store)) >= {"b", "c"}


async def test_where_the_database_cannot_be_written_everyone_hears_it_and_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: storage.Storage
) -> None:
    path = str(store.engine.url.database)
    monkeypatch.setattr(storage, "BUSY_TIMEOUT_S", 0.05)
    hurried = storage.Storage(storage.sqlite_url(Path(path)))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    told = await asyncio.gather(*(hurried.together(putting(name)) for name in "abc"), return_exceptions=True)
    assert [type(one) for one in told] == [errors.StorageUnavailable] * 3
    other.execute("ROLLBACK")
    other.close()
    assert await names(store) == []
    assert await hurried.together(putting("d")) == "d"
    await hurried.close()


async def test_a_statement_that_the_database_cannot_do_ends_the_whole_group(store: storage.Storage) -> None:
    async def broken(tx: AsyncConnection) -> None:
        await tx.execute(sa.text("SELECT 1 FROM no_such_table"))

    async with store.transaction():
        works = (putting("a"), broken, putting("b"))
        waiting = [asyncio.create_task(store.together(work)) for work in works]
        await asyncio.sleep(0)
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in told] == [errors.StorageUnavailable] * 3
    assert await names(store) == []


async def test_together_and_alone_take_turns(store: storage.Storage) -> None:
    async def alone(name: str) -> None:
        async with store.transaction() as tx:
            await putting(name)(tx)
            await asyncio.sleep(0)

    await asyncio.gather(
        *(alone(f"a{n}") for n in range(10)), *(store.together(putting(f"b{n}")) for n in range(10))
    )
    assert len(await names(store)) == 20


async def test_a_value_that_cannot_be_stored_fails_its_own_work_only(store: storage.Storage) -> None:
    async def unbindable(tx: AsyncConnection) -> None:
        await putting("x")(tx)
        await tx.exec_driver_sql("INSERT INTO leases (name) VALUES (?)", (object(),))

    async with store.transaction():
        works = (putting("a"), unbindable, putting("b"))
        waiting = [asyncio.create_task(store.together(work)) for work in works]
        await asyncio.sleep(0)
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in told[::2]] == [str, str]
    assert isinstance(told[1], DBAPIError | errors.StorageUnavailable)
    assert await names(store) == ["a", "b"]


async def test_one_that_fails_alone_leaves_nothing_and_the_next_is_written(store: storage.Storage) -> None:
    with pytest.raises(errors.NotGranted):
        await store.together(putting("a", then=errors.NotGranted(reason="x")))
    with pytest.raises(IntegrityError):
        await store.together(twice)
    assert await store.together(putting("c")) == "c"
    assert await names(store) == ["c"]


async def twice(tx: AsyncConnection) -> None:
    for _ in range(2):
        await putting("b")(tx)


async def test_it_writes_again_after_it_was_closed(store: storage.Storage) -> None:
    await store.together(putting("a"))
    await store.close()
    assert await store.together(putting("b")) == "b"
    assert await names(store) == ["a", "b"]
