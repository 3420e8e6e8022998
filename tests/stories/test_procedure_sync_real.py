"""The procedure sync over real records, through both generations of the portal, into both databases."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import unicodedata
from datetime import timedelta

import builders
import imitation
import pytest
import sqlalchemy as sa
import town as towns

from lienthong.bus.flows import procedure_catalogue, procedure_sync, sync_report, sync_runs
from lienthong.core import clock, settings, storage, tables
from lienthong.mappings import oddities

SOURCES = ("dvcqg_adapter", "dvcqg_portal")
OUR_NAMES = {
    "name": "name",
    "field": "fields",
    "promulgating_agency": "publishing_agency",
    "decision_no": "decision.number",
}
WRITTEN = (
    tables.procedures,
    tables.procedure_versions,
    tables.events,
    tables.agencies,
    tables.administrative_fields,
)


@pytest.fixture(scope="module")
def portal(tmp_path_factory):
    with imitation.running(tmp_path_factory.mktemp("catalogues")) as found:
        yield found


@pytest.fixture(autouse=True)
def _good_day(portal):
    portal.be("good")


@pytest.fixture
async def hub(database_url, tmp_path, portal):
    sections = {"systems": portal.sections(), "sync": {"concurrency": 16}}
    async with builders.running_hub(tmp_path, database_url=database_url, **sections) as found:
        yield found


async def state(hub):
    """Everything that a run may write of procedures, as it stands."""
    async with hub.storage.reading() as conn:
        found = [(await conn.execute(sa.select(table))).all() for table in WRITTEN]
        items = await conn.execute(sa.select(sa.func.count()).select_from(tables.sync_items))
        return [sorted(map(repr, rows)) for rows in found], items.scalar_one()


def same_text(left: str, right: str) -> bool:
    return unicodedata.normalize("NFC", left).split() == unicodedata.normalize("NFC", right).split()


# Two long stories, and each generation and each database in each of them: not every pair twice.
@pytest.mark.parametrize(
    ("database_url", "source"), [("sqlite", SOURCES[0]), ("postgresql", SOURCES[1])], indirect=["database_url"]
)
async def test_the_whole_national_catalogue_comes_in_and_every_odd_record_is_named(
    hub, portal, shared_data, source
):
    path = shared_data / "tthc" / imitation.JULY
    published = imitation.read(path)
    portal.serve(path)
    report = await procedure_sync.run(hub, source=source)
    assert (report.counts.seen, report.counts.new, report.counts.failed) == (len(published), len(published), 0)
    told = await sync_report.report(hub, report.run_id)
    odd = {kind.kind: kind for kind in told.odd}
    assert {record.code for record in odd["code_pattern"].records} == {"1.0133611", "2.009182739"}
    nobody = {found["code"].strip() for found in published if not found["executing_agency"].strip()}
    assert nobody <= {record.code for record in odd["no_executing_agency"].records}
    assert all(kind.vi and kind.en and kind.kind in set(oddities.Kind) for kind in told.odd)
    assert all(kind.count == len(kind.records) for kind in told.odd)


def assert_tells(line, expected):
    """Every expected change with both its values, and nothing else."""
    told = {change.field: change for change in line.changes}
    if "publishing_agency" in expected:
        # The newer portal names the agency a second time, as the issuer of the decision.
        told.pop("decision.agency", None)
    assert set(told) == set(expected), line
    for field, row in expected.items():
        assert same_text(told[field].old, row["old"]), line
        assert same_text(told[field].new, row["new"]), line


@pytest.mark.parametrize(
    ("database_url", "source"), [("sqlite", SOURCES[1]), ("postgresql", SOURCES[0])], indirect=["database_url"]
)
async def test_five_weeks_are_told_exactly_as_they_were(hub, portal, shared_data, source):
    june, july = imitation.two_states(shared_data)
    changes = imitation.read_changes(shared_data)
    portal.serve(june)
    first = await procedure_sync.run(hub, source=source)
    assert (first.counts.new, first.counts.failed) == (len(june), 0)

    portal.serve(july)
    second = await procedure_sync.run(hub, source=source)
    told = await sync_report.report(hub, second.run_id)
    assert {line.code for line in told.new} == set(changes["added"])
    assert {line.code for line in told.withdrawn} == set(changes["withdrawn"])
    assert {line.code for line in told.changed} == set(changes["amended"])
    for line in told.changed:
        assert_tells(line, {OUR_NAMES[row["field"]]: row for row in changes["amended"][line.code]})

    before = await state(hub)
    third = await procedure_sync.run(hub, source=source)
    assert (third.counts.unchanged, third.held) == (len(july), False)
    assert await state(hub) == before


async def test_a_list_with_a_third_of_the_procedures_withdraws_none_and_says_so(hub, portal):
    portal.ask("/_sandbox/catalogue", "PUT", {"own": True})
    first = await procedure_sync.run(hub)
    portal.be("half_list", fraction=0.34, services="LayDanhSachTTHC")
    report = await procedure_sync.run(hub)
    assert f"lần được chấp nhận trước có {first.counts.seen}" in report.held
    assert report.counts.withdrawn == 0
    page = await procedure_catalogue.list_procedures(hub, procedure_catalogue.ProcedureQuery())
    assert page.total == first.counts.seen
    portal.be("good")
    assert (await procedure_sync.run(hub)).counts.unchanged == first.counts.seen


@pytest.mark.parametrize("source", SOURCES)
async def test_records_that_cannot_be_read_are_kept_aside(hub, portal, source):
    portal.ask("/_sandbox/catalogue", "PUT", {"own": True})
    portal.be("bad_record", codes="1.001193+2.000635", kind="name")
    report = await procedure_sync.run(hub, source=source)
    counts = report.counts
    assert counts.failed in (1, 2)
    assert counts.seen == counts.new + counts.failed
    told = await sync_report.report(hub, report.run_id)
    assert {line.code for line in told.failed} <= {"1.001193", "2.000635"}
    assert all(line.vi and line.en and line.error_code for line in told.failed)


async def test_a_night_of_bad_answers_still_brings_everything(hub, portal):
    portal.ask("/_sandbox/catalogue", "PUT", {"own": True})
    portal.ask(
        "/_sandbox/mood",
        "PUT",
        {
            "moods": [
                {"name": "outage", "probability": 0.1, "seed": 1},
                {"name": "garbage_html", "probability": 0.1, "seed": 2},
                {"name": "expired_session", "every": 40},
            ]
        },
    )
    for _ in range(4):
        report = await procedure_sync.run(hub)
        if not report.counts.failed:
            break
    assert report.counts.failed == 0
    page = await procedure_catalogue.list_procedures(hub, procedure_catalogue.ProcedureQuery())
    assert page.total == report.counts.seen


def command(environment, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "lienthong.console.cli.main", *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_sync_that_is_killed_in_the_middle_goes_on_where_it_was(database_url, tmp_path, portal, shared_data):
    portal.serve(imitation.read(shared_data / "tthc" / imitation.JULY)[:600])
    portal.be("slow", latency_ms=15)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LIENTHONG_")}
    environment |= {
        "LIENTHONG_HOME": str(tmp_path),
        "LIENTHONG_DATABASE__URL": database_url,
        "LIENTHONG_SYNC__BATCH": "50",
    }
    for name, value in portal.sections()["dvcqg_adapter"].items():
        environment[f"LIENTHONG_SYSTEMS__DVCQG_ADAPTER__{name.upper()}"] = str(value)
    builders.prepare(settings.Settings(home=tmp_path, database=settings.Database(url=database_url)))

    portal.ask("/_sandbox/reset", "POST")
    killed = command(environment, "sync", "procedures")
    towns.wait_until(lambda: details_asked(portal) >= 300, timeout_s=120, every_s=0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait(30)

    portal.ask("/_sandbox/reset", "POST")
    while (done := answer_or_busy(environment)) is None:
        asyncio.run(the_lease_runs_out(database_url))
    assert (done["seen"], done["new"], done["failed"]) == (600, 600, 0)
    assert details_asked(portal) <= 600 - 200


def details_asked(portal) -> int:
    served = portal.ask("/_sandbox/counts")["systems"].get("dvcqg_adapter", {})
    return sum(served.get("LayThuTuc", {}).values())


async def the_lease_runs_out(database_url):
    """Let the seconds go by for which the dead one still holds its lease."""
    store, leases = storage.Storage(database_url), tables.leases
    async with store.transaction() as tx:
        ended = clock.now() - timedelta(seconds=1)
        await tx.execute(sa.update(leases).where(leases.c.name == sync_runs.LEASE).values(until=ended))
    await store.close()


def answer_or_busy(environment):
    """Give what a sync printed, or nothing where the dead one's lease has not run out yet."""
    running = command(environment, "sync", "procedures", "--json")
    out, err = running.communicate(timeout=120)
    if running.returncode == 0:
        return json.loads(out)
    assert "đang có một lần đồng bộ" in err.lower() or "already running" in err, err
    return None
