"""Work done for many at once: one transaction, writes by their kind, and nobody pays for another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import databases
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.core import clock, errors, gathered, storage, tables

_l, _e = tables.leases, tables.events
_PUT, _TAKE = _l.insert(), _l.update().where(_l.c.name == sa.bindparam("wanted"))
_EVENT = _e.insert()
NOW = clock.now()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield databases.sqlite(tmp_path / "hub.db")
        return
    postgres: databases.Postgres = request.getfixturevalue("postgres")
    with postgres.with_tables() as lent:
        yield lent


@pytest.fixture
async def store(url: str) -> AsyncIterator[storage.Storage]:
    opened = storage.Storage(url)
    yield opened
    await opened.close()


def gathering(store: storage.Storage, tx: AsyncConnection) -> gathered.Gathering:
    return gathered.Gathering(tx, in_one_message=not store.is_sqlite)


def lease(name: str, until: datetime = NOW) -> dict[str, object]:
    return {"name": name, "owner": "o", "until": until}


Put = tuple[str, AsyncConnection]


async def put(tx: AsyncConnection, names: Sequence[str]) -> list[Put | None]:
    """Write a lease for each name but `alone`; `bad` refuses, `nobody's` cannot be stored."""
    for name in names:
        if name == "bad":
            raise errors.NotGranted(reason="x")
        if name != "alone":
            await tx.execute(_PUT, {**lease(name), "owner": None if name == "nobody's" else "o"})
    return [None if name == "alone" else (name, tx) for name in names]


async def all_at_once(store: storage.Storage, *names: str) -> list[Put | None]:
    """Give names while another group is served, so that they are one group."""
    first = asyncio.create_task(store.gathered(put, "first"))
    await asyncio.sleep(0)
    others = [asyncio.create_task(store.gathered(put, name)) for name in names]
    await first
    return await asyncio.gather(*others)


async def names(store: storage.Storage) -> list[str]:
    async with store.reading() as conn:
        return list((await conn.execute(sa.select(_l.c.name).order_by(_l.c.name))).scalars())


async def test_what_waits_together_is_one_transaction(store: storage.Storage) -> None:
    told = await all_at_once(store, "a", "b", "c")
    assert [one and one[0] for one in told] == ["a", "b", "c"]
    assert len({one and one[1] for one in told}) == 1
    assert await names(store) == ["a", "b", "c", "first"]


async def test_one_that_the_work_leaves_out_hears_none_and_the_others_are_written(store: storage.Storage) -> None:
    told = await all_at_once(store, "a", "alone", "b")
    assert [one and one[0] for one in told] == ["a", None, "b"]
    assert await names(store) == ["a", "b", "first"]


@pytest.mark.parametrize("bad", ["bad", "nobody's", "first"])
async def test_where_one_goes_wrong_nothing_is_written_and_each_hears_none(
    store: storage.Storage, bad: str
) -> None:
    assert await all_at_once(store, "a", bad, "b") == [None, None, None]
    assert await names(store) == ["first"]


async def test_the_next_group_is_served_after_one_went_wrong(store: storage.Storage) -> None:
    assert await store.gathered(put, "bad") is None
    assert await store.gathered(put, "c") is not None
    assert await names(store) == ["c"]


async def test_who_stops_waiting_before_its_turn_is_left_out(store: storage.Storage) -> None:
    first = asyncio.create_task(store.gathered(put, "first"))
    await asyncio.sleep(0)
    second, third = (asyncio.create_task(store.gathered(put, name)) for name in "ab")
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(first, third)
    assert await names(store) == ["b", "first"]


async def test_where_the_database_is_away_everyone_hears_it(store: storage.Storage) -> None:
    away = storage.Storage("postgresql://nobody@127.0.0.1:9/none")
    told = await asyncio.gather(*(away.gathered(put, name) for name in "abc"), return_exceptions=True)
    assert [type(one) for one in told] == [errors.StorageUnavailable] * 3
    await away.close()


async def test_a_question_sees_what_was_written_before_it(store: storage.Storage) -> None:
    async with store.transaction() as tx:
        one = gathering(store, tx)
        await one.execute(_PUT, lease("a"))
        assert (await one.execute(sa.select(sa.func.count()).select_from(_l))).scalar_one() == 1


async def test_writes_go_by_their_kind_and_on_postgresql_in_one_message(store: storage.Storage) -> None:
    later = NOW.replace(year=NOW.year + 1)
    async with store.transaction() as tx:
        await tx.execute(_PUT, [lease(name) for name in "abc"])
    sent: list[str] = []
    sa.event.listen(store.engine.sync_engine, "before_cursor_execute", lambda *facts: sent.append(facts[2]))
    async with store.transaction() as tx:
        one = gathering(store, tx)
        await one.execute(_TAKE, {"wanted": "a", "owner": "p"})
        await one.execute(_TAKE, {"wanted": "b", "until": later})
        await one.execute(_TAKE, {"wanted": "c", "owner": "q"})
        for number in range(2):
            values = {"id": str(number), "kind": "k", "subject": "s", "occurred_at": NOW, "facts": {"n": [number]}}
            await one.execute(_EVENT, values)
        await one.send()
    writes = [one for one in sent if one.startswith(("INSERT", "UPDATE", "WITH"))]
    assert len(writes) == (3 if store.is_sqlite else 1)
    async with store.reading() as conn:
        found = {row["name"]: (row["owner"], row["until"]) for row in await storage.every(conn, sa.select(_l))}
        facts = (await conn.execute(sa.select(_e.c.facts).order_by(_e.c.id))).scalars().all()
    assert found == {"a": ("p", NOW), "b": ("o", later), "c": ("q", NOW)}
    assert facts == [{"n": [0]}, {"n": [1]}]


async def test_a_text_that_is_too_long_is_refused_not_cut(store: storage.Storage) -> None:
    if store.is_sqlite:
        pytest.skip("SQLite has no longest text")
    with pytest.raises(DBAPIError):
        async with store.transaction() as tx:
            one = gathering(store, tx)
            await one.execute(_PUT, lease("x" * 500))
            await one.send()
