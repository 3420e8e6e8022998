"""One face for the database: all of a transaction or nothing, writers in turn, moments that keep their zone."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.core import clock, errors, storage, tables

NOW = datetime(2026, 11, 20, 3, 0, 0, 123456, tzinfo=UTC)
LEASES = tables.leases


async def put(tx: AsyncConnection, name: str, *, until: datetime = NOW) -> None:
    await tx.execute(LEASES.insert().values(name=name, owner="o", until=until))


async def names(store: storage.Storage) -> list[str]:
    async with store.reading() as conn:
        return [row["name"] for row in await storage.every(conn, sa.select(LEASES).order_by(LEASES.c.name))]


async def test_a_transaction_keeps_all_of_it(store: storage.Storage) -> None:
    async with store.transaction() as tx:
        await put(tx, "a")
        await put(tx, "b")
    assert await names(store) == ["a", "b"]


async def test_a_failure_takes_everything_back(store: storage.Storage) -> None:
    with pytest.raises(RuntimeError):
        async with store.transaction() as tx:
            await put(tx, "a")
            raise RuntimeError
    assert await names(store) == []


async def test_a_refused_row_takes_the_others_back_and_keeps_its_own_error(store: storage.Storage) -> None:
    with pytest.raises(IntegrityError):
        async with store.transaction() as tx:
            await put(tx, "a")
            await put(tx, "a")
    assert await names(store) == []


async def test_a_reader_sees_nothing_before_the_end(store: storage.Storage) -> None:
    async with store.transaction() as tx:
        await put(tx, "a")
        assert await names(store) == []
    assert await names(store) == ["a"]


async def test_writers_take_turns(store: storage.Storage) -> None:
    async def count_up() -> None:
        async with store.transaction() as tx:
            row = await storage.first(tx, sa.select(LEASES.c.owner).where(LEASES.c.name == "count"))
            await asyncio.sleep(0)
            await tx.execute(LEASES.update().values(owner=str(int(row["owner"] if row else 0) + 1)))

    async with store.transaction() as tx:
        await tx.execute(LEASES.insert().values(name="count", owner="0", until=NOW))
    await asyncio.gather(*(count_up() for _ in range(30)))
    async with store.reading() as conn:
        assert (await conn.execute(sa.select(LEASES.c.owner))).scalar() == "30"


@pytest.mark.parametrize("steps", range(0, 40, 3))
async def test_a_cancelled_transaction_leaves_nothing_half_done(store: storage.Storage, steps: int) -> None:
    async def write_both() -> None:
        async with store.transaction() as tx:
            await put(tx, "a")
            await put(tx, "b")

    task = asyncio.create_task(write_both())
    for _ in range(steps):
        await asyncio.sleep(0.0002)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with store.transaction() as tx:
        await put(tx, "c")
    assert await names(store) in (["c"], ["a", "b", "c"])


async def test_one_that_waits_for_its_turn_may_be_cancelled(store: storage.Storage) -> None:
    async def write() -> None:
        async with store.transaction() as tx:
            await put(tx, "waiting")

    async with store.transaction() as tx:
        task = asyncio.create_task(write())
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await put(tx, "a")
    assert await names(store) == ["a"]


async def test_only_its_owner_may_read_the_database(store: storage.Storage) -> None:
    files = list(Path(str(store.engine.url.database)).parent.glob("hub.db*"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


async def test_a_folder_that_is_not_there_is_storage_unavailable(tmp_path: Path) -> None:
    store = storage.Storage(storage.sqlite_url(tmp_path / "khong-co" / "hub.db"))
    for opening in (store.transaction(), store.reading()):
        with pytest.raises(errors.StorageUnavailable) as caught:
            async with opening:
                pass
        assert caught.value.retry
    await store.close()


async def test_another_process_that_writes_too_long_is_storage_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "BUSY_TIMEOUT_S", 0.05)
    store = storage.Storage(storage.sqlite_url(tmp_path / "hub.db"))
    other = sqlite3.connect(tmp_path / "hub.db", isolation_level=None)
    other.execute("PRAGMA journal_mode=WAL")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(errors.StorageUnavailable):
        async with store.transaction():
            pass
    other.execute("ROLLBACK")
    async with store.transaction() as tx:
        assert (await tx.execute(sa.select(1))).scalar() == 1
    other.close()
    await store.close()


class Deadlock(Exception):
    sqlstate = "40P01"


async def test_a_deadlock_is_repeated_and_another_error_is_not(store: storage.Storage) -> None:
    tries: list[str] = []

    async def work(tx: AsyncConnection) -> str:
        tries.append("x")
        await put(tx, "a")
        if len(tries) < 3:
            raise sa.exc.DBAPIError("…", None, Deadlock())
        return "done"

    assert await store.write(work) == "done"
    assert (len(tries), await names(store)) == (3, ["a"])
    with pytest.raises(IntegrityError):
        await store.write(lambda tx: put(tx, "a"))


async def test_a_deadlock_that_does_not_end_is_given_up(store: storage.Storage) -> None:
    async def work(tx: AsyncConnection) -> None:
        raise sa.exc.DBAPIError("…", None, Deadlock())

    with pytest.raises(sa.exc.DBAPIError):
        await store.write(work)


@given(
    moment=st.datetimes(
        min_value=datetime(1900, 1, 2),
        max_value=datetime(9998, 1, 1),
        timezones=st.sampled_from([UTC, clock.VIETNAM, timezone(timedelta(hours=-5))]),
        # An hour that Vietnam's clocks left out (1943, 1945) is no moment, and nothing can give it back.
        allow_imaginary=False,
    )
)
def test_a_moment_comes_back_from_sqlite_as_it_went_in(moment: datetime) -> None:
    dialect = sqlite.dialect()
    stored = tables.UtcTime().process_bind_param(moment, dialect)
    back = tables.UtcTime().process_result_value(stored, dialect)
    assert back == moment
    assert back.utcoffset() == moment.astimezone(clock.VIETNAM).utcoffset()


def test_postgresql_is_given_moments_of_its_own_kind() -> None:
    local = NOW.astimezone(clock.VIETNAM)
    stored = tables.UtcTime().process_bind_param(local, postgresql.dialect())
    assert (stored, stored.tzinfo) == (local, UTC)


async def test_moments_compare_and_sort_in_the_database(store: storage.Storage) -> None:
    async with store.transaction() as tx:
        for number in (3, 1, 2):
            await put(tx, str(number), until=NOW + timedelta(microseconds=number))
    later = sa.select(LEASES.c.name).where(LEASES.c.until > NOW + timedelta(microseconds=1))
    async with store.reading() as conn:
        found = await storage.every(conn, later.order_by(LEASES.c.until))
    assert found == [{"name": "2"}, {"name": "3"}]


async def test_a_moment_without_a_zone_is_refused(store: storage.Storage) -> None:
    with pytest.raises(StatementError, match="without a time zone"):
        async with store.transaction() as tx:
            await put(tx, "a", until=NOW.replace(tzinfo=None))


async def test_rows_come_by_plain_names(store: storage.Storage) -> None:
    async with store.transaction() as tx:
        await put(tx, "a")
        row: Any = await storage.first(tx, sa.select(LEASES))
        nothing = await storage.first(tx, sa.select(LEASES).where(LEASES.c.name == "b"))
    assert row == {"name": "a", "owner": "o", "until": NOW}
    assert {type(name) for name in row} == {str}
    assert nothing is None


@pytest.mark.parametrize("url", ["postgresql://hub@/hub", "postgres://hub@/hub", "postgresql+asyncpg://hub@/hub"])
async def test_every_spelling_of_a_postgresql_address_is_taken(url: str) -> None:
    store = storage.Storage(url)
    assert store.engine.url.drivername == "postgresql+asyncpg"
    await store.close()


@pytest.mark.parametrize("sqlstate", ["57P03", "57P01", "53300", "08006"])
async def test_a_server_that_is_only_starting_is_away_and_not_a_defect(sqlstate: str) -> None:
    class StartingError(Exception):
        pass

    problem = StartingError("the database system is starting up")
    problem.sqlstate = sqlstate  # type: ignore[attr-defined]
    with pytest.raises(errors.StorageUnavailable):
        async with storage.named_failures():
            raise sa.exc.DBAPIError("select 1", {}, problem)
