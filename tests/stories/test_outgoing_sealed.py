"""The hub's own calls to other systems are in the same sealed book as the calls that come in."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import builders
import pytest
import sealed
import sqlalchemy as sa

from lienthong.bus.hub import Hub
from lienthong.core import journal, tables
from lienthong.monitoring import asking, day_files, exports, retention, seals, verification

_t = tables.exchanges


def call(at: datetime) -> journal.Exchange:
    return journal.Exchange(
        at=at,
        direction="out",
        request_id="r-1",
        system="dvcqg_adapter",
        operation="dossiers.push",
        method="POST",
        route="/mapi/g",
        outcome="ok",
        took_ms=12.25,
        status=200,
        dossier_code="H38.12-260302-000001",
    )


async def call_out(hub: Hub, at: datetime, *, times: int) -> None:
    for second in range(times):
        hub.journal.write(call(at + timedelta(seconds=second)))
    await hub.journal.flush()


async def seal(hub: Hub, at: datetime) -> None:
    async with seals.opened(hub.settings.home, hub.storage) as sealer:
        assert sealer is not None
        await sealer.step(at)


async def look(hub: Hub) -> list[tuple[str, str]]:
    days = verification.Days(day_files.Archive(hub.settings.home / "record"))
    report = await verification.verify(hub.settings.home, hub.storage, days=days)
    return [(one.where, one.en) for one in report.findings]


TAMPERINGS = {
    "edited": (sa.update(_t).where(_t.c.number_in_node == 7).values(outcome="Server.Remote.Refused"), "altered"),
    "removed": (sa.delete(_t).where(_t.c.number_in_node == 7), "removed"),
    "inserted": (
        sa.insert(_t).from_select(
            [column.name for column in _t.c if column.name != "number"],
            sa.select(
                *(
                    sa.literal(99).label("number_in_node") if column.name == "number_in_node" else column
                    for column in _t.c
                    if column.name != "number"
                )
            ).where(_t.c.number_in_node == 7),
        ),
        "neither sealed",
    ),
    "unnumbered": (
        sa.insert(_t).values(
            at=sealed.BEGUN + timedelta(minutes=1),
            direction="out",
            request_id="r",
            system="s",
            operation="o",
            method="GET",
            route="/",
            outcome="ok",
            took_ms=1.0,
            bytes_in=0,
            bytes_out=0,
        ),
        "without a number",
    ),
}


@pytest.mark.parametrize("name", sorted(TAMPERINGS))
async def test_an_outgoing_call_that_was_tampered_with_is_named(
    tmp_path: Path, database_url: str, name: str
) -> None:
    async with builders.running_hub(tmp_path / "home", database_url=database_url) as hub:
        await call_out(hub, sealed.BEGUN, times=10)
        await seal(hub, sealed.BEGUN + timedelta(hours=3))
        assert await look(hub) == []
        statement, said = TAMPERINGS[name]
        async with hub.storage.transaction() as tx:
            await tx.execute(statement)
        findings = await look(hub)
        assert findings
        assert all(said in what for _, what in findings), findings
        if name in ("edited", "removed"):
            assert [f"{hub.journal.node} no. 7" in where for where, _ in findings] == [True]


async def test_calls_of_the_last_seconds_are_no_alarm(tmp_path: Path) -> None:
    async with builders.running_hub(tmp_path / "home") as hub:
        await call_out(hub, sealed.BEGUN, times=3)
        await seal(hub, sealed.BEGUN + timedelta(minutes=1))
        await call_out(hub, sealed.BEGUN + timedelta(minutes=2), times=3)
        assert await look(hub) == []


async def test_outgoing_calls_stay_provable_in_day_files_and_exports(tmp_path: Path) -> None:
    async with builders.running_hub(tmp_path / "home") as hub:
        home = hub.settings.home
        await call_out(hub, sealed.BEGUN, times=10)
        await seal(hub, sealed.BEGUN + timedelta(minutes=1))
        sources = asking.Sources(hub.storage, day_files.Archive(home / "record"))
        later = sealed.BEGUN + timedelta(days=5)
        await seal(hub, later)
        rolled, _ = await retention.keep_house(sources, hub.settings.archive, home=home, now=later, actor="lịch")
        assert [day.rows for day in rolled] == [10]
        assert await look(hub) == []
        since, days = sealed.BEGUN - timedelta(hours=1), verification.Days(sources.archive)
        out = tmp_path / "out"
        await exports.export(home, hub.storage, out, since=since, until=later, days=days)
        report = exports.check(out)
        assert (report.findings, report.checked["access"]) == ([], 10)


async def test_a_day_with_calls_that_nobody_sealed_yet_waits_in_the_database(tmp_path: Path) -> None:
    async with builders.running_hub(tmp_path / "home") as hub:
        home = hub.settings.home
        await seal(hub, sealed.BEGUN)
        await call_out(hub, sealed.BEGUN + timedelta(minutes=1), times=4)
        sources = asking.Sources(hub.storage, day_files.Archive(home / "record"))
        later = sealed.BEGUN + timedelta(days=5)
        kept = hub.settings.archive
        assert (await retention.keep_house(sources, kept, home=home, now=later, actor="lịch"))[0] == []
        await seal(hub, later)
        rolled, _ = await retention.keep_house(sources, kept, home=home, now=later, actor="lịch")
        assert [day.rows for day in rolled] == [4]
