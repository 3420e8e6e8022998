"""Leases: one owner at a time, and nobody for ever."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from lienthong.bus import leases
from lienthong.core import storage

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


async def take(store: storage.Storage, owner: str, *, after_s: float = 0, name: str = "drive:a") -> bool:
    return await leases.take(store, name, owner=owner, now=NOW + timedelta(seconds=after_s), for_s=30)


async def holder(store: storage.Storage, *, after_s: float = 0) -> str | None:
    return await leases.holder(store, "drive:a", now=NOW + timedelta(seconds=after_s))


async def test_one_owner_holds_it_and_the_next_is_told_no(store: storage.Storage) -> None:
    assert await take(store, "one")
    assert not await take(store, "two")
    assert await holder(store) == "one"


async def test_leases_of_different_names_do_not_meet(store: storage.Storage) -> None:
    assert await take(store, "one")
    assert await take(store, "two", name="drive:b")


async def test_its_owner_may_renew_it(store: storage.Storage) -> None:
    assert await take(store, "one")
    assert await take(store, "one", after_s=20)
    assert not await take(store, "two", after_s=40)
    assert await holder(store, after_s=40) == "one"


async def test_it_runs_out_when_its_owner_dies(store: storage.Storage) -> None:
    assert await take(store, "one")
    assert await holder(store, after_s=30) is None
    assert await take(store, "two", after_s=30)
    assert not await take(store, "one", after_s=31)


async def test_given_back_it_is_free_at_once(store: storage.Storage) -> None:
    assert await take(store, "one")
    await leases.release(store, "drive:a", owner="one")
    assert await holder(store) is None
    assert await take(store, "two")


async def test_one_who_comes_late_cannot_give_back_what_is_no_longer_his(store: storage.Storage) -> None:
    assert await take(store, "one")
    assert await take(store, "two", after_s=60)
    await leases.release(store, "drive:a", owner="one")
    assert await holder(store, after_s=61) == "two"


async def test_of_many_who_ask_at_once_one_gets_it(store: storage.Storage) -> None:
    others = [storage.Storage(store.url) for _ in range(3)]
    askers = [store, *others] * 3
    got = await asyncio.gather(*(take(each, f"owner-{number}") for number, each in enumerate(askers)))
    assert got.count(True) == 1
    assert await holder(store) == f"owner-{got.index(True)}"
    for each in others:
        await each.close()
