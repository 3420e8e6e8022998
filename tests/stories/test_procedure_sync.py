"""The procedure sync, told with a source that does in a test what a national database does on its worst days."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from catalogue_source import Clock, Source, opened, procedure, some, unavailable

from lienthong.bus.flows import procedure_catalogue, procedure_sync, sync_report
from lienthong.core import errors, records, tables


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def source():
    found = Source()
    found.publish(*some(30))
    return found


@pytest.fixture
async def hub(database_url, tmp_path, source, clock):
    async with opened(database_url, tmp_path, source, clock=clock) as found:
        yield found


async def rows(hub, table, *columns) -> list[Any]:
    async with hub.storage.reading() as conn:
        chosen = [table.c[name] for name in columns] or [table]
        found = await conn.execute(sa.select(*chosen))
        return [tuple(row) for row in found]


async def events(hub, kind: str) -> list[dict[str, Any]]:
    async with hub.storage.reading() as conn:
        found = await conn.execute(sa.select(tables.events.c.facts).where(tables.events.c.kind == kind))
        return list(found.scalars())


def adds_up(report) -> bool:
    counts = report.counts
    return counts.seen == counts.new + counts.changed + counts.unchanged + counts.failed


async def test_everything_that_is_published_comes_in(hub):
    report = await procedure_sync.run(hub)
    assert report.as_json() == {
        "run_id": report.run_id, "source": "dvcqg_adapter", "seen": 30, "new": 30, "changed": 0,
        "unchanged": 0, "withdrawn": 0, "failed": 0, "held": False, "took_s": report.as_json()["took_s"],
    }  # fmt: skip
    assert len(await rows(hub, tables.procedures)) == 30
    assert len(await events(hub, "procedures.added")) == 30


async def test_a_run_in_which_nothing_changed_writes_nothing_but_itself(hub, clock):
    await procedure_sync.run(hub)
    watched = (tables.procedures, tables.procedure_versions, tables.events, tables.sync_items, tables.agencies)
    before = [await rows(hub, table) for table in watched]
    clock.forward(days=1)
    report = await procedure_sync.run(hub)
    assert (report.counts.unchanged, report.counts.new, report.counts.changed) == (30, 0, 0)
    assert [await rows(hub, table) for table in watched] == before


async def test_what_changed_is_told_field_by_field_with_its_deadlines(hub, source):
    await procedure_sync.run(hub)
    source.publish(
        procedure(
            "1.000007",
            "Tên mới",
            decision={"number": "891/QĐ-BXD", "decided_on": "2026-07-01"},
            publishing_agency={"code": "G17", "name": "Bộ Xây dựng"},
            fields=[{"code": "G17-XD11", "name": "Hoạt động xây dựng"}],
        )
    )
    report = await procedure_sync.run(hub)
    assert (report.counts.changed, report.counts.unchanged) == (1, 29)
    (facts,) = await events(hub, "procedures.changed")
    assert {change["field"]: (change["old"], change["new"]) for change in facts["changes"]} == {
        "name": ("Thủ tục số 1.000007", "Tên mới"),
        "fields": ("Hộ tịch", "Hoạt động xây dựng"),
        "publishing_agency": ("Bộ Tư pháp", "Bộ Xây dựng"),
        "decision.number": ("163/QĐ-BTP", "891/QĐ-BXD"),
        "decision.decided_on": ("", "2026-07-01"),
    }
    assert (facts["set_up_by"], facts["opened_by"]) == ("2026-07-23", "2026-07-30")
    versions = await procedure_catalogue.list_versions(hub, "1.000007")
    assert [item.version for item in versions.items] == [2, 1]
    assert versions.items[0].set_up_by == date(2026, 7, 23)


async def test_a_code_that_differs_under_the_same_name_is_shown(hub, source):
    await procedure_sync.run(hub)
    source.publish(procedure("1.000007", publishing_agency={"code": "G99", "name": "Bộ Tư pháp"}))
    await procedure_sync.run(hub)
    (facts,) = await events(hub, "procedures.changed")
    assert [(item["old"], item["new"]) for item in facts["changes"]] == [("Bộ Tư pháp [G15]", "Bộ Tư pháp [G99]")]


async def test_new_numbers_over_there_are_no_change(hub, source):
    await procedure_sync.run(hub)
    source.publish(
        procedure("1.000007", source_id="77", fields=[{"code": "G15-TP07", "name": "Hộ tịch", "source_id": "5"}])
    )
    report = await procedure_sync.run(hub)
    assert report.counts.unchanged == 30


async def test_what_is_gone_from_the_list_is_withdrawn_and_kept(hub, source, clock):
    await procedure_sync.run(hub)
    del source.procedures["1.000007"]
    clock.forward(days=1)
    report = await procedure_sync.run(hub)
    assert (report.counts.withdrawn, report.counts.seen) == (1, 29)
    found = await procedure_catalogue.get_procedure(hub, "1.000007")
    assert (found.status, found.withdrawn_at, found.version) == ("withdrawn", clock.at, 1)
    assert [facts["code"] for facts in await events(hub, "procedures.withdrawn")] == ["1.000007"]


async def test_what_comes_back_is_a_new_version_that_says_so(hub, source):
    await procedure_sync.run(hub)
    gone = source.procedures.pop("1.000007")
    await procedure_sync.run(hub)
    source.publish(gone)
    report = await procedure_sync.run(hub)
    assert (report.counts.changed, report.counts.new, report.counts.unchanged) == (1, 0, 29)
    found = await procedure_catalogue.get_procedure(hub, "1.000007")
    assert (found.status, found.version, found.withdrawn_at) == ("active", 2, None)
    (facts,) = await events(hub, "procedures.returned")
    assert facts["changes"] == [{"field": "status", "label_vi": "Trạng thái", "old": "withdrawn", "new": "active"}]


async def test_a_third_of_the_list_withdraws_none_and_says_so(hub, source):
    await procedure_sync.run(hub)
    source.rows = [source.row(found) for found in list(source.procedures.values())[:10]]
    report = await procedure_sync.run(hub)
    assert "10 thủ tục" in report.held
    assert "only 10 procedures" in report.held_en
    assert (report.counts.withdrawn, source.asked["1.000001"]) == (0, 1)
    assert len(await events(hub, "procedures.sync_held")) == 1
    assert {status for (status,) in await rows(hub, tables.procedures, "status")} == {"active"}


async def test_an_operator_may_say_that_the_smaller_list_is_right(hub, source):
    await procedure_sync.run(hub)
    source.rows = [source.row(found) for found in list(source.procedures.values())[:10]]
    await procedure_sync.run(hub)
    report = await procedure_sync.run(hub, accept_smaller=True)
    assert (report.held, report.counts.withdrawn) == (False, 20)


async def test_an_empty_list_is_never_taken(hub, source):
    await procedure_sync.run(hub)
    source.rows = []
    report = await procedure_sync.run(hub, accept_smaller=True)
    assert report.held
    assert report.counts.withdrawn == 0


async def test_a_list_as_long_as_before_but_of_other_procedures_is_held(hub, source):
    await procedure_sync.run(hub)
    source.procedures = {found.code: found for found in some(30, start=15)}
    report = await procedure_sync.run(hub)
    assert "thiếu 14 trong 30" in report.held
    assert len(await rows(hub, tables.procedures)) == 30


async def test_a_list_that_repeats_itself_is_held(hub, source):
    source.rows = [source.row(found) for found in source.procedures.values()] * 2
    report = await procedure_sync.run(hub)
    assert "lặp 30 trên 60" in report.held


async def test_one_bad_record_never_stops_a_run(hub, source):
    source.failures["1.000003"] = [errors.RemoteGarbled("no name", detail_vi="thiếu tên")]
    source.failures["1.000005"] = [ValueError("what a defect of a mapping looks like")]
    report = await procedure_sync.run(hub)
    assert (report.counts.new, report.counts.failed, report.held) == (28, 2, False)
    assert adds_up(report)
    told = await sync_report.report(hub, report.run_id)
    assert [(line.code, line.vi) for line in told.failed] == [
        ("1.000003", "thiếu tên"),
        ("1.000005", "Bản ghi của thủ tục này không đọc được."),
    ]


async def test_a_failed_procedure_is_fetched_again_by_the_next_run_and_not_withdrawn(hub, source):
    await procedure_sync.run(hub)
    source.failures["1.000003"] = [errors.RemoteGarbled("no name")]
    report = await procedure_sync.run(hub)
    assert (report.counts.failed, report.counts.withdrawn) == (1, 0)
    del source.failures["1.000003"]
    assert (await procedure_sync.run(hub)).counts.unchanged == 30


async def test_trouble_that_passes_is_asked_again(hub, source):
    source.failures["1.000003"] = [unavailable() for _ in range(5)]
    source.recover.add("1.000003")
    report = await procedure_sync.run(hub)
    assert (report.counts.new, report.counts.failed) == (30, 0)


async def test_many_failures_keep_what_came_and_withdraw_nothing(hub, source):
    await procedure_sync.run(hub)
    del source.procedures["1.000030"]
    source.publish(procedure("1.000001", "Tên mới"))
    source.failures = {f"1.{number:06d}": [errors.RemoteGarbled("broken")] for number in range(2, 15)}
    report = await procedure_sync.run(hub)
    assert "13 trên 29" in report.held
    assert (report.counts.changed, report.counts.withdrawn) == (1, 0)


async def test_a_source_that_falls_silent_interrupts_the_run_and_the_next_goes_on(hub, source):
    source.publish(*some(200, start=31))
    source.failures = {f"1.{number:06d}": [unavailable()] for number in range(60, 231)}
    with pytest.raises(errors.RemoteUnavailable):
        await procedure_sync.run(hub, patience_s=0.0)
    settled = {code for (code,) in await rows(hub, tables.procedures, "code")}
    source.failures = {}
    source.asked.clear()
    report = await procedure_sync.run(hub)
    assert (report.resumed, report.counts.new, report.counts.seen) == (True, 230, 230)
    assert len(settled) >= 40
    assert not settled & set(source.asked)


async def test_a_list_that_cannot_be_read_fails_the_run_and_frees_the_lease(hub, source):
    source.list_failures = [unavailable() for _ in range(3)]
    with pytest.raises(errors.RemoteUnavailable):
        await procedure_sync.run(hub)
    assert [state for (state,) in await rows(hub, tables.sync_runs, "state")] == ["failed"]
    assert (await procedure_sync.run(hub)).counts.new == 30


async def test_an_account_that_is_refused_ends_the_run_before_it_is_locked(hub, source):
    source.failures = {code: [errors.RemoteForbids("wrong account")] for code in source.procedures}
    with pytest.raises(errors.RemoteForbids):
        await procedure_sync.run(hub)
    assert source.asked.total() <= 8


async def test_a_second_run_at_the_same_time_is_told_who_runs_and_since_when(hub, source):
    source.stop_after(5)
    first = asyncio.create_task(procedure_sync.run(hub))
    await source.stopped.wait()
    with pytest.raises(errors.Conflict) as caught:
        await procedure_sync.run(hub)
    assert hub.owner in caught.value.detail("vi")
    assert "09:00:00 20/07/2026" in caught.value.detail("vi")
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


@pytest.fixture
async def minute_later(database_url, tmp_path, source, clock):
    """Another process of the hub, which looks a minute later."""
    async with opened(database_url, tmp_path, source, clock=Clock(clock.at + timedelta(minutes=1))) as found:
        yield found


async def test_a_run_that_died_is_taken_up_when_its_lease_has_run_out(hub, minute_later, source):
    await procedure_sync.run(hub)
    source.publish(*some(30, start=31), procedure("1.000001", "Tên mới"))
    source.stop_after(45)
    frozen = asyncio.create_task(procedure_sync.run(hub))
    await source.stopped.wait()
    source.go_on()
    report = await procedure_sync.run(minute_later)
    counts = report.counts
    assert report.resumed
    assert (counts.seen, counts.new, counts.changed, counts.unchanged) == (60, 30, 1, 29)
    assert source.asked.total() <= 60 - 30
    assert len(await events(hub, "procedures.added")) == 60
    frozen.cancel()
    await asyncio.gather(frozen, return_exceptions=True)


async def test_a_run_that_was_taken_over_while_it_slept_writes_nothing_more(hub, minute_later, source):
    source.stop_after(15)
    asleep = asyncio.create_task(procedure_sync.run(hub))
    await source.stopped.wait()
    source.go_on()
    assert (await procedure_sync.run(minute_later)).counts.new == 30
    source.wake()
    with pytest.raises(errors.Conflict):
        await asleep
    assert len(await rows(hub, tables.procedure_versions)) == 30


async def test_what_left_the_list_while_a_run_was_interrupted_is_counted_once(hub, source, clock):
    await procedure_sync.run(hub)
    source.publish(procedure("1.000001", "Tên mới"))
    source.stop_after(25)
    task = asyncio.create_task(procedure_sync.run(hub))
    await source.stopped.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    source.go_on()
    del source.procedures["1.000001"], source.procedures["1.000002"]
    report = await procedure_sync.run(hub)
    assert report.resumed
    assert (report.counts.changed, report.counts.withdrawn, report.counts.unchanged) == (0, 2, 28)


async def test_only_the_details_that_a_source_says_are_new_are_fetched(database_url, tmp_path, clock):
    source = Source("dvcqg_portal", fingerprints=True)
    source.publish(*some(30))
    async with opened(database_url, tmp_path, source, clock=clock, source="dvcqg_portal") as hub:
        await procedure_sync.run(hub)
        source.asked.clear()
        source.publish(procedure("1.000009", "Tên mới"))
        report = await procedure_sync.run(hub)
        assert (dict(source.asked), report.counts.changed, report.counts.unchanged) == ({"1.000009": 1}, 1, 29)
        await procedure_sync.run(hub, full=True)
        assert source.asked.total() == 31


async def test_dirty_codes_are_trimmed_and_repeated_rows_named(hub, source):
    source.rows = [source.row(found) for found in source.procedures.values()]
    dirty = source.rows[4].model_copy(update={"code": " 1.000005", "name": "Bẩn"})
    source.rows[4:5] = [dirty, source.rows[4], source.rows[4]]
    source.rows[5 + 3] = source.rows[5 + 3].model_copy(update={"code": "1.000007 "})
    report = await procedure_sync.run(hub)
    assert (report.counts.seen, report.counts.new, report.counts.duplicates) == (30, 30, 2)
    told = await sync_report.report(hub, report.run_id)
    assert sorted(line.code for line in told.duplicates) == [" 1.000005", "1.000005"]
    (blanks,) = [kind for kind in told.odd if kind.kind == "blanks_trimmed"]
    assert [record.code for record in blanks.records] == ["1.000007"]


async def test_every_odd_record_is_named_also_when_it_has_not_changed(hub, source):
    source.oddities["1.000004"] = (records.Oddity(kind="no_executing_agency", field="executing_agencies"),)
    for _ in range(2):
        report = await procedure_sync.run(hub)
        told = await sync_report.report(hub, report.run_id)
        assert [(kind.kind, kind.count, kind.records[0].code) for kind in told.odd] == [
            ("no_executing_agency", 1, "1.000004")
        ]


async def test_the_detail_of_another_procedure_is_refused(hub, source):
    source.procedures["1.000004"] = procedure("1.000005")
    source.rows = [source.row(found) for found in some(30)]
    report = await procedure_sync.run(hub)
    assert (report.counts.failed, report.counts.new) == (1, 29)


async def test_a_dry_run_tells_what_would_be_and_writes_nothing(hub, source):
    await procedure_sync.run(hub)
    source.publish(procedure("1.000007", "Tên mới"), procedure("1.000099"))
    del source.procedures["1.000008"]
    watched = (tables.procedures, tables.procedure_versions, tables.events, tables.sync_items, tables.sync_runs)
    before = [await rows(hub, table) for table in watched]
    report = await procedure_sync.run(hub, dry_run=True)
    assert [await rows(hub, table) for table in watched] == before
    assert {item.code: item.outcome for item in report.items} == {
        "1.000007": "changed",
        "1.000099": "new",
        "1.000008": "withdrawn",
    }
    assert adds_up(report)


async def test_the_lists_of_agencies_and_fields_are_kept_and_only_changes_written(hub, source, clock):
    row = records.AgencyRow(code=" G15", name="Bộ Tư pháp")
    source.agencies = [row, records.AgencyRow(code="G15", name="Khác")]
    await procedure_sync.run(hub)
    first = clock.at
    clock.forward(days=1)
    source.agencies.append(records.AgencyRow(code="G17", name="Bộ Xây dựng", level="1"))
    await procedure_sync.run(hub)
    assert sorted(await rows(hub, tables.agencies)) == [
        ("G15", "Bộ Tư pháp", "", first),
        ("G17", "Bộ Xây dựng", "1", clock.at),
    ]
    assert len(await rows(hub, tables.administrative_fields)) == 1


async def test_texts_that_a_database_would_refuse_do_not_stop_a_run(hub, source):
    long_code = "9" * 300
    source.publish(procedure("1.000001", "Tên\x00 lạ", fields=[{"code": "F" * 90, "name": "Lĩnh\x00 vực"}]))
    source.rows = [source.row(found) for found in source.procedures.values()]
    source.rows.append(records.ListedProcedure(code=long_code, name="Mã quá dài", key="x"))
    source.failures[long_code] = [errors.RemoteGarbled("no such code")]
    report = await procedure_sync.run(hub)
    assert (report.counts.new, report.counts.failed) == (30, 1)


async def test_a_source_that_publishes_nothing_is_named(hub):
    with pytest.raises(errors.Misconfigured):
        await procedure_sync.run(hub, source="nowhere")


async def test_progress_is_told_up_to_the_end(hub):
    seen: list[procedure_sync.Progress] = []
    await procedure_sync.run(hub, progress=seen.append)
    assert (seen[0].phase, seen[-1].phase) == ("list", "close")
    assert (seen[-1].done, seen[-1].total, seen[-1].counts.new) == (30, 30, 30)
