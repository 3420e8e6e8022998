"""The hot store divided by day on PostgreSQL: made ahead, dropped whole, nothing refused, nothing lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import builders
import pytest
import pytest_asyncio
import record
import sqlalchemy as sa
from alembic import command

from lienthong.bus import hub as hubs
from lienthong.core import access_record, bulk, clock, migrations, partitions, storage, tables
from lienthong.monitoring import asking, retention, search

TODAY = record.NOW.date()
_t = tables.exchanges


@pytest_asyncio.fixture
async def empty_url(postgres_url: Callable[[str], str]) -> AsyncIterator[str]:
    """An empty database of its own on the tests' server."""
    name = f"days_{uuid4().hex[:12]}"
    server = await asyncpg.connect(postgres_url("postgres"))
    await server.execute(f"create database {name}")
    yield postgres_url(name)
    await server.execute(f"drop database {name} with (force)")
    await server.close()


@pytest_asyncio.fixture
async def hub(tmp_path: Path, empty_url: str) -> AsyncIterator[hubs.Hub]:
    async with builders.running_hub(tmp_path / "home", database_url=empty_url) as opened:
        yield opened


async def days_of(hub: hubs.Hub) -> dict[str, int]:
    """Say how many rows each partition holds."""
    async with hub.storage.reading() as conn:
        asked = "select inhrelid::regclass::text from pg_inherits where inhparent = 'exchanges'::regclass"
        names = [name for (name,) in await conn.exec_driver_sql(asked)]
        return {name: (await conn.exec_driver_sql(f"select count(*) from {name}")).scalar() for name in names}  # type: ignore[misc]


async def everything(hub: hubs.Hub) -> list[dict[str, Any]]:
    reader = search.Reader("an", "thử")
    asked = asking.Question(since=record.NOW - timedelta(days=30))
    page = await search.page(record.sources(hub), asked, reader=reader, now=record.NOW, limit=search.MOST)
    return page.items


async def test_the_days_to_come_are_made_ahead_once(hub: hubs.Hub) -> None:
    made = await partitions.make_ahead(hub.storage, now=record.NOW)
    assert made == [partitions.name_of(TODAY + timedelta(days=ahead)) for ahead in range(8)]
    assert await partitions.make_ahead(hub.storage, now=record.NOW) == []
    assert len(await partitions.make_ahead(hub.storage, now=record.NOW + timedelta(days=1))) == 1


async def test_two_processes_make_the_days_at_once(hub: hubs.Hub) -> None:
    both = await asyncio.gather(*(partitions.make_ahead(hub.storage, now=record.NOW) for _ in range(2)))
    assert sorted(len(made) for made in both) == [0, 8]


async def test_rows_go_to_their_day_and_what_has_none_is_kept_all_the_same(hub: hubs.Hub) -> None:
    await partitions.make_ahead(hub.storage, now=record.NOW - timedelta(days=1), days=0)
    await record.put(hub, record.of_days(hub.settings.home, days=3, a_day=100))
    held = await days_of(hub)
    assert (held[partitions.name_of(TODAY - timedelta(days=1))], sum(held.values())) == (100, 300)
    assert held[partitions.DEFAULT] == 200


async def test_a_day_with_rows_in_the_default_partition_keeps_them_there(hub: hubs.Hub) -> None:
    await record.put(hub, record.of_days(hub.settings.home, days=1, a_day=100))
    made = await partitions.make_ahead(hub.storage, now=record.NOW)
    assert made == [partitions.name_of(TODAY + timedelta(days=ahead)) for ahead in range(1, 8)]


async def test_a_day_that_went_into_files_is_dropped_whole_and_still_found(hub: hubs.Hub) -> None:
    await partitions.make_ahead(hub.storage, now=record.NOW - timedelta(days=4), days=4)
    await record.put(hub, record.of_days(hub.settings.home, days=4, a_day=100))
    before = await everything(hub)
    await retention.roll_closed_days(record.sources(hub), hot_days=2, now=record.NOW)
    held = await days_of(hub)
    assert [name for name in held if name != partitions.DEFAULT] == [
        partitions.name_of(TODAY - timedelta(days=1)),
        partitions.name_of(TODAY),
    ]
    assert len(before) == 400
    assert await everything(hub) == before


async def test_a_day_to_which_rows_come_meanwhile_is_not_dropped(hub: hubs.Hub) -> None:
    day = TODAY - timedelta(days=1)
    await partitions.make_ahead(hub.storage, now=record.NOW - timedelta(days=1), days=0)
    await record.put(hub, record.of_days(hub.settings.home, days=1, a_day=100))
    held = (await days_of(hub))[partitions.name_of(day)]
    assert not await partitions.drop_day(hub.storage, day, rows=held - 1)
    assert await partitions.drop_day(hub.storage, day, rows=held)
    assert partitions.name_of(day) not in await days_of(hub)


async def test_a_day_that_is_being_read_is_not_waited_for_for_ever(
    hub: hubs.Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "_LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr(partitions, "_LOCK_PAUSE_S", 0.0)
    await partitions.make_ahead(hub.storage, now=record.NOW, days=0)
    async with hub.storage.reading() as reading:
        await reading.execute(sa.select(_t).limit(1))
        assert not await partitions.drop_day(hub.storage, TODAY, rows=0)
    assert await partitions.drop_day(hub.storage, TODAY, rows=0)


async def test_a_user_who_does_not_own_the_table_may_start_all_the_same(hub: hubs.Hub) -> None:
    role = f"guest_{uuid4().hex[:8]}"
    async with hub.storage.transaction() as tx:
        await tx.exec_driver_sql(f"create role {role} login password 'x'")
        await tx.exec_driver_sql(f"grant all on all tables in schema public to {role}")
        await tx.exec_driver_sql(f"grant all on schema public to {role}")
    url = sa.make_url(hub.storage.url).set(username=role, password="x")
    guest = storage.Storage(url.render_as_string(hide_password=False))
    assert await partitions.make_ahead(guest, now=record.NOW) == []
    await guest.close()
    async with hub.storage.transaction() as tx:
        await tx.exec_driver_sql(f"drop owned by {role}")
        await tx.exec_driver_sql(f"drop role {role}")


async def test_a_past_day_without_rows_is_removed(hub: hubs.Hub) -> None:
    await partitions.make_ahead(hub.storage, now=record.NOW, days=2)
    await partitions.make_ahead(hub.storage, now=record.NOW + timedelta(days=2), days=0)
    assert sorted(await days_of(hub)) == sorted([partitions.DEFAULT, partitions.name_of(date(2026, 11, 22))])


async def test_a_record_that_comes_twice_stands_once(hub: hubs.Hub) -> None:
    records = record.of_days(hub.settings.home, days=1, a_day=100)
    await partitions.make_ahead(hub.storage, now=record.NOW)
    await record.put(hub, records)
    await record.put(hub, records)
    assert sum((await days_of(hub)).values()) == 100


async def test_an_operators_rows_are_carried_over_and_go_when_their_time_comes(
    tmp_path: Path, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = storage.Storage(empty_url)
    async with store.engine.connect() as conn:
        await conn.run_sync(lambda sync: command.upgrade(migrations.config(sync), "0001"))
        await conn.commit()
    monkeypatch.setattr(record, "NOW", clock.now())
    leaves = [access_record.to_bytes(one) for one in record.of_days(tmp_path, days=3, a_day=50)]
    ahead = access_record.from_bytes(leaves[-1])._replace(at=clock.now() + timedelta(days=400), number=999)
    rows = [access_record.to_row(leaf) for leaf in [*leaves, access_record.to_bytes(ahead)]]
    async with store.transaction() as tx:
        await bulk.insert(store, tx, _t, rows)
    await migrations.upgrade(store)
    async with store.reading() as conn:
        kept = (await conn.execute(sa.select(_t).order_by(_t.c.number_in_node))).mappings().all()
        strays = list(await conn.exec_driver_sql(f"select number_in_node from {partitions.DEFAULT}"))
    assert [access_record.from_row(row) for row in kept] == [*leaves, access_record.to_bytes(ahead)]
    assert strays == [(999,)]
    made = await partitions.make_ahead(store, now=clock.now())
    assert made[0] == partitions.name_of(clock.now().date() + timedelta(days=1))
    async with store.transaction() as tx:
        await tx.execute(_t.delete().where(_t.c.number_in_node < 999))
    await partitions.make_ahead(store, now=clock.now() + timedelta(days=1))
    async with store.reading() as conn:
        is_there = (await conn.exec_driver_sql(f"select to_regclass('{partitions.BEFORE}') is not null")).scalar()
    assert not is_there
    await store.close()
