"""From the spool into the hot store and under the seal while calls come in, on both databases."""

from __future__ import annotations

import asyncio
import itertools
from datetime import datetime, timedelta
from pathlib import Path

import builders
import pytest
import sealed
import sqlalchemy as sa

from lienthong.core import access_record, clock, ingest, settings, spool, spool_reading, tables
from lienthong.monitoring import checkpoints, seals, verification


async def test_calls_are_ingested_and_sealed_while_they_come(tmp_path: Path, database_url: str) -> None:
    async with builders.running_hub(tmp_path / "home", database_url=database_url) as hub:
        home, closing = hub.settings.home, asyncio.Event()
        books = [spool.Spool(home / "spool", "gateway") for _ in range(2)]
        followers = [
            asyncio.create_task(ingest.Ingest(home / "spool", hub.storage).run(closing)),
            asyncio.create_task(seals.run(home, hub.storage, closing, chosen=hub.settings.seals)),
        ]
        for number in range(600):
            books[number % 2].append(sealed.record(number, clock.now()))
            if number % 50 == 0:
                await asyncio.sleep(0.01)
        await builders.issue_key(hub)
        closing.set()
        await asyncio.gather(*followers)
        report = await verification.verify(home, hub.storage)
        assert report.findings == []
        assert (report.checked["access.leaves"], report.checked["records"], report.checked["acts"]) == (
            600,
            600,
            1,
        )
        for book in books:
            assert spool_reading.read_position(book.folder, "store") == 300
            book.close()


@pytest.mark.parametrize("column", ["took_ms", "at", "purpose"])
async def test_an_altered_row_is_named_on_both_databases(tmp_path: Path, database_url: str, column: str) -> None:
    changes = {"took_ms": 99.5, "at": sealed.BEGUN, "purpose": "việc riêng"}
    async with builders.running_hub(tmp_path / "home", database_url=database_url) as hub:
        home = hub.settings.home
        book = spool.Spool(home / "spool", "gateway")
        for number in range(20):
            book.append(sealed.record(number, clock.now()))
        book.close()
        await ingest.Ingest(home / "spool", hub.storage).step()
        async with seals.opened(home, hub.storage) as sealer:
            assert sealer is not None
            await sealer.step(hub.now())
        wanted = tables.exchanges.c.number_in_node == 13
        async with hub.storage.transaction() as tx:
            await tx.execute(sa.update(tables.exchanges).where(wanted).values({column: changes[column]}))
        findings = (await verification.verify(home, hub.storage)).findings
        assert [one.en for one in findings] == ["The record was altered."]
        assert f"{book.node} no. 13" in findings[0].where


async def test_one_machine_leaves_the_nodes_of_another_to_it(tmp_path: Path, database_url: str) -> None:
    async with builders.running_hub(tmp_path / "one", database_url=database_url) as hub:
        for home in (tmp_path / "one", tmp_path / "two"):
            book = spool.Spool(home / "spool", "gateway")
            book.append(sealed.record(1, clock.now()))
            book.close()
            await ingest.Ingest(home / "spool", hub.storage).step()
            async with seals.opened(home, hub.storage) as sealer:
                assert sealer is not None
                await sealer.step(hub.now())
        for home in (tmp_path / "one", tmp_path / "two"):
            report = await verification.verify(home, hub.storage)
            assert (report.findings, report.checked["access.leaves"]) == ([], 1)
        async with hub.storage.reading() as conn:
            kept = (await conn.execute(sa.select(tables.exchanges))).mappings().all()
        assert len({access_record.place_of(access_record.from_row(row))[0] for row in kept}) == 2


@pytest.mark.parametrize("every_s", [1.0, 10.0, 50.0])
async def test_a_checkpoint_is_signed_every_minute_though_nothing_happens(tmp_path: Path, every_s: float) -> None:
    at = sealed.BEGUN
    async with builders.running_hub(tmp_path / "home") as hub:
        async with seals.opened(hub.settings.home, hub.storage, every_s=every_s) as sealer:
            assert sealer is not None
            stated: dict[str, list[datetime]] = {seals.ACCESS: [], seals.ADMIN: []}
            while at < sealed.BEGUN + timedelta(minutes=10):
                at += timedelta(seconds=every_s)
                for note in await sealer.step(at):
                    found = checkpoints.parse(checkpoints.parts(note)[0])
                    stated[found.origin.rpartition("/")[2]].append(found.at)
        assert (await verification.verify(hub.settings.home, hub.storage)).findings == []
    for moments in stated.values():
        assert moments[0] == sealed.BEGUN + timedelta(seconds=every_s), "an empty record is stated too"
        assert max(b - a for a, b in itertools.pairwise(moments)) <= timedelta(seconds=60)


async def test_a_clock_put_back_does_not_silence_the_seals(tmp_path: Path) -> None:
    async with (
        builders.running_hub(tmp_path / "home") as hub,
        seals.opened(hub.settings.home, hub.storage) as sealer,
    ):
        assert sealer is not None
        await sealer.step(sealed.BEGUN)
        back = sealed.BEGUN - timedelta(hours=1)
        assert len(await sealer.step(back)) == 2
        assert await sealer.step(back + timedelta(seconds=10)) == []


async def test_a_witness_that_hangs_does_not_hold_the_seals_up(tmp_path: Path) -> None:
    async with builders.running_hub(tmp_path / "home") as hub:
        chosen, closing = settings.Seals(every_s=0.05, witness_command="sleep 30"), asyncio.Event()
        moments = (sealed.BEGUN + timedelta(minutes=number) for number in itertools.count())
        home = hub.settings.home
        sealing = asyncio.create_task(
            seals.run(home, hub.storage, closing, chosen=chosen, now=lambda: next(moments))
        )
        path = home / "seals" / seals.ACCESS / "checkpoints.jsonl"
        for _ in range(600):
            await asyncio.sleep(0.05)
            if path.exists() and path.read_bytes().count(b"\n") >= 5:
                break
        closing.set()
        await sealing
        assert path.read_bytes().count(b"\n") >= 5
