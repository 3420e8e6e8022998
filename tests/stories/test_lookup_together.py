"""Many lookups at once: each intention is in the book before its question goes out, whoever else is about."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import lookup_town
import pytest
import sqlalchemy as sa
from lookup_town import CODE, Register, Town

from lienthong.core import errors, people, storage, tables

_l = tables.lookups
UNKNOWN = "000.00.00.H38-260115-9999"


@dataclass
class Suspicious(Register):
    """A register that looks into the hub's book when it is asked."""

    store: storage.Storage | None = None
    unannounced: int = 0

    async def look_up(self, question: people.ResidentQuestion, *, errand: people.Errand) -> people.Resident | None:
        assert self.store is not None
        async with self.store.reading() as conn:
            found = await storage.first(conn, sa.select(_l.c.outcome).where(_l.c.number == errand.number))
        self.unannounced += found != {"outcome": "asked"}
        await asyncio.sleep(0)
        return await super().look_up(question, errand=errand)


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with lookup_town.opened(tmp_path / "home", database_url=database_url) as opened:
        register = Suspicious(store=opened.hub.storage)
        opened.hub.systems, opened.register = {**opened.hub.systems, register.name: register}, register
        yield opened


async def test_the_intention_of_each_is_in_the_book_before_its_question(town: Town) -> None:
    answers = await asyncio.gather(*(town.look_up() for _ in range(40)))
    assert all(answer.found for answer in answers)
    assert isinstance(town.register, Suspicious)
    assert (len(town.register.questions), town.register.unannounced) == (40, 0)
    rows = await town.book()
    assert [row["outcome"] for row in rows] == ["ok"] * 40
    assert all(row["answered_at"] is not None for row in rows)


async def test_one_that_is_refused_does_not_touch_the_others(town: Town) -> None:
    spent = town.asking()
    await town.look_up(spent)
    again = town.asking(assertion=spent.assertion)
    asked = (town.look_up(), town.look_up(again), town.look_up(dossier_code=UNKNOWN), town.look_up())
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one).__name__ for one in told] == ["LookUpAnswer", "ProofRejected", "NotGranted", "LookUpAnswer"]
    refusals = ["Client.NotGranted:dossier_unknown", "Client.ProofRejected:assertion_replayed"]
    assert sorted(row["outcome"] for row in await town.book()) == [*refusals, "ok", "ok", "ok"]


async def test_one_assertion_sent_twice_at_the_same_moment_asks_once(town: Town) -> None:
    spent = town.asking()
    told = await asyncio.gather(
        *(town.look_up(town.asking(assertion=spent.assertion)) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(one, errors.ProofRejected) for one in told) == 4
    assert len(town.register.questions) == 1


async def test_a_caller_who_hangs_up_does_not_lose_the_others_intentions(town: Town) -> None:
    waiting = [asyncio.create_task(town.look_up()) for _ in range(8)]
    while not town.register.questions:
        await asyncio.sleep(0)
        waiting[3].cancel()
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert sum(getattr(one, "found", False) for one in told) == 7
    assert isinstance(town.register, Suspicious)
    assert town.register.unannounced == 0
    assert [row["outcome"] for row in await town.book() if row["dossier_code"] == CODE].count("ok") >= 7


async def test_while_the_book_cannot_be_written_none_of_many_questions_goes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "BUSY_TIMEOUT_S", 0.05)
    async with lookup_town.opened(tmp_path / "home") as town:
        other = sqlite3.connect(tmp_path / "home" / "lienthong.db", isolation_level=None, timeout=15)
        other.execute("BEGIN IMMEDIATE")
        told = await asyncio.gather(*(town.look_up() for _ in range(12)), return_exceptions=True)
        other.execute("ROLLBACK")
        other.close()
        assert {type(one) for one in told} == {errors.StorageUnavailable}
        assert town.register.questions == []
        assert await town.book() == []
        assert (await town.look_up()).found
