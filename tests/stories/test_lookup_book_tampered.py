"""The book of lookups against the sealed record: whatever is altered, removed or added is named."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import doors
import lookup_town
import pytest
import sqlalchemy as sa
from lookup_town import CODE, Town
from typer.testing import CliRunner

from lienthong.console.cli import main
from lienthong.core import clock, ingest, tables
from lienthong.monitoring import asking, day_files, log_check, lookup_check, retention, seals, verification

PURPOSE = "Đối chiếu người yêu cầu đăng ký khai sinh"
ASKED = {
    "/v1/residents/look-up": {
        "dossier_code": CODE,
        "purpose": PURPOSE,
        "citizen": {"citizen_id": lookup_town.NUMBER, "full_name": "Nguyễn Văn Mẫu", "birth": {"year": 1999}},
    },
    "/v1/enterprises/look-up": {"code": "0100000001", "purpose": "Đối chiếu doanh nghiệp nộp hồ sơ"},
}
ASKED["/v1/residents/verify"] = ASKED["/v1/residents/look-up"]
LATER = timedelta(minutes=10)


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    """A hub where five questions were asked, one of them in vain and one refused, and all is sealed."""
    grants = ("residents.*", "fields:residents.*", "enterprises.*", "fields:enterprises.basic")
    async with lookup_town.opened(
        tmp_path / "home", database_url=database_url, grants=grants, begun=clock.now()
    ) as opened:
        opened.hub.systems = {**opened.hub.systems, "ngsp": lookup_town.Businesses()}
        async with doors.client(opened.hub, key=opened.key) as caller:
            for path, body in (*ASKED.items(), ("/v1/enterprises/look-up", {**ASKED["/v1/enterprises/look-up"]})):
                told = await caller.post(path, json=body, headers={"X-Official-Assertion": opened.assertion()})
                assert told.status_code == 200, told.text
            nobody = {**ASKED["/v1/enterprises/look-up"], "code": "0100000002"}
            assert (await caller.post("/v1/enterprises/look-up", json=nobody)).json()["found"] is False
            refused = await caller.post("/v1/residents/look-up", json=ASKED["/v1/residents/look-up"])
            assert refused.status_code == 403
            assert (await caller.post("/v1/residents/look-up", json={})).status_code == 400
        await opened.hub.journal.flush()
        await ingest.Ingest(opened.hub.settings.home / "spool", opened.hub.storage).step()
        async with seals.opened(opened.hub.settings.home, opened.hub.storage) as sealer:
            await sealer.step(clock.now())
        yield opened


def sources(town: Town) -> asking.Sources:
    return asking.Sources(town.hub.storage, day_files.Archive(town.hub.settings.home / "record"))


async def checked(town: Town, *, since: datetime | None = None) -> log_check.Report:
    now = town.hub.now() + LATER
    report = log_check.Report()
    period = lookup_check.Period.settled(since or now - timedelta(days=1), now, now=now)
    await lookup_check.compare(sources(town), period, report)
    return report


async def change(town: Town, work: sa.Executable) -> None:
    async with town.hub.storage.transaction() as tx:
        await tx.execute(work)


async def one(town: Town, *, outcome: str = "ok", operation: str = "residents.look_up") -> dict[str, Any]:
    return next(
        row for row in await town.book() if row["operation"] == operation and row["outcome"].startswith(outcome)
    )


async def test_an_untouched_book_agrees_with_the_record(town: Town) -> None:
    report = await checked(town)
    assert (report.findings, report.notes) == ([], [])
    assert report.checked == {"lookups.book": 6, "lookups.record": 7}


ALTERED: list[tuple[str, Any]] = [
    ("operation", "residents.verify"),
    ("key_id", "another"),
    ("organisation", "Sở khác"),
    ("official_code", "CB999999"),
    ("dossier_code", "000.00.00.H38-260115-0009"),
    ("purpose", "Việc khác hẳn"),
    ("subject", "0" * 16),
    ("field_groups", ["residents.basic"]),
    ("outcome", "not_found"),
    ("rows", 0),
    ("system", "population_lgsp"),
    ("at", clock.now() - timedelta(hours=5)),
]


@pytest.mark.parametrize(("column", "value"), ALTERED, ids=[column for column, _ in ALTERED])
async def test_an_altered_row_is_named_with_what_was_altered(town: Town, column: str, value: Any) -> None:
    row = await one(town)
    await change(town, tables.lookups.update().where(tables.lookups.c.id == row["id"]).values({column: value}))
    report = await checked(town)
    [found] = report.findings
    assert f"lookup {row['id']}" in found.where
    assert found.en.endswith(f": {column}.")
    assert lookup_town.NUMBER not in str(report)


async def test_a_refusal_turned_into_another_is_named(town: Town) -> None:
    row = await one(town, outcome="Client.NotGranted")
    await change(
        town,
        tables.lookups.update().where(tables.lookups.c.id == row["id"]).values(outcome="Client.NotGranted:closed"),
    )
    [found] = (await checked(town)).findings
    assert row["id"] in found.where


@pytest.mark.parametrize("outcome", ["ok", "Client.NotGranted"])
async def test_a_removed_row_is_named_by_its_request(town: Town, outcome: str) -> None:
    row = await one(town, outcome=outcome)
    await change(town, tables.lookups.delete().where(tables.lookups.c.id == row["id"]))
    [found] = (await checked(town)).findings
    assert row["request_id"] in found.where
    assert "gone" in found.en


@pytest.mark.parametrize("same_request", [False, True])
async def test_an_added_row_is_named(town: Town, same_request: bool) -> None:
    row = {**await one(town), "id": clock.new_id(), "number": "H38-20260101000000-0000000001", "assertion": None}
    row["at"] += timedelta(seconds=1)
    if not same_request:
        row["request_id"] = clock.new_id()
    await change(town, tables.lookups.insert().values(**row))
    [found] = (await checked(town)).findings
    assert row["id"] in found.where
    assert "added" in found.en


async def test_a_record_that_is_removed_instead_leaves_the_book_s_row_alone(town: Town) -> None:
    row = await one(town)
    await change(town, tables.exchanges.delete().where(tables.exchanges.c.request_id == row["request_id"]))
    [found] = (await checked(town)).findings
    assert row["id"] in found.where
    sealed = await verification.verify(town.hub.settings.home, town.hub.storage)
    assert not sealed.holds


async def test_a_killed_process_leaves_a_note_and_no_alarm(town: Town) -> None:
    row = {**await one(town), "id": clock.new_id(), "number": "H38-20260101000000-0000000002", "assertion": None}
    row |= {"request_id": clock.new_id(), "outcome": "asked", "answered_at": None, "rows": None}
    await change(town, tables.lookups.insert().values(**row))
    report = await checked(town)
    assert report.holds
    assert row["id"] in report.notes[0]


async def test_closed_days_are_compared_in_their_files(town: Town) -> None:
    hub = town.hub
    later = hub.now() + timedelta(days=9)
    async with seals.opened(hub.settings.home, hub.storage) as sealer:
        await sealer.step(later)
    await retention.keep_house(
        sources(town), hub.settings.archive, home=hub.settings.home, now=later, actor="test"
    )
    assert sources(town).archive.parts()
    row = await one(town)
    assert (await checked(town)).findings == []
    await change(town, tables.lookups.update().where(tables.lookups.c.id == row["id"]).values(purpose="Việc khác"))
    assert row["id"] in (await checked(town)).findings[0].where


def run(*words: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(main.app, [*words, "--json"])
    return done.exit_code, json.loads(done.stdout)


async def test_the_command_ends_with_1_where_a_row_was_altered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    async with (
        lookup_town.opened(home, begun=clock.now() - LATER) as town,
        doors.client(town.hub, key=town.key) as caller,
    ):
        body = ASKED["/v1/residents/look-up"]
        await caller.post("/v1/residents/look-up", json=body, headers={"X-Official-Assertion": town.assertion()})
        await town.hub.journal.flush()
        await ingest.Ingest(home / "spool", town.hub.storage).step()
        async with seals.opened(home, town.hub.storage) as sealer:
            await sealer.step(clock.now())
        monkeypatch.setenv("LIENTHONG_HOME", str(home))
        monkeypatch.setenv("LIENTHONG_AGENCY__CODE", lookup_town.AGENCY)
        code, report = await asyncio.to_thread(run, "lookups", "verify")
        assert (code, report["holds"]) == (0, True), report
        await change(town, tables.lookups.update().values(purpose="Việc khác hẳn"))
        code, report = await asyncio.to_thread(run, "lookups", "verify", "--no-seals")
    assert code == 1
    assert "purpose" in report["findings"][0]["en"]
