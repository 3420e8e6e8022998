"""A dossier is declared, its changes are reported, and the national portal hears of them; on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import builders
import httpx
import pytest
import sqlalchemy as sa

from lienthong.api_keys import keys
from lienthong.bus import delivery, jobs, outbox
from lienthong.bus import hub as hubs
from lienthong.bus.flows import dossier_reading, dossier_status, procedure_sync
from lienthong.core import errors, records, settings, storage, tables
from lienthong.sandbox import app as sandboxes

TARGET = "dvcqg_adapter"
CODE = "H38.15-260803-0001"
BEGUN = builders.BEGUN
AGENCY = "000.00.00.H38"


@dataclass
class World:
    """A hub whose national portal is the sandbox, in one process."""

    hub: hubs.Hub
    sandbox: sandboxes.Sandbox

    async def drive(self) -> delivery.Report:
        return await delivery.drive(
            self.hub, TARGET, handlers=jobs.HANDLERS, stop=asyncio.Event(), wake=asyncio.Event(), idle_s=0.2
        )

    def held(self, code: str = CODE) -> dict[str, Any]:
        found: dict[str, Any] = self.sandbox.held.ledger.dossiers[code].described()
        return found


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    app = sandboxes.create_app(sandboxes.Settings(catalogue=builders.few_procedures(tmp_path)))
    section = {
        "base_url": "http://sandbox/dvcqg_adapter",
        "username": "demo",
        "password": "demo-password",
        "agency_code": AGENCY,
        "dstcode": "x",
    }
    sections: dict[str, Any] = {
        "agency": settings.Agency(code=AGENCY),
        "systems": {TARGET: section},
        "outbox": settings.Outbox(poll_s=0.02, retry_first_s=0.02, retry_longest_s=0.1),
    }
    below = {TARGET: httpx.ASGITransport(app=app)}
    async with builders.running_hub(tmp_path, database_url=database_url, transports=below, **sections) as hub:
        await procedure_sync.run(hub)
        yield World(hub, app)


def caller(organisation: str = "Sở Tư pháp", *grants: str) -> keys.Caller:
    return keys.Caller(
        key_id=f"key of {organisation}",
        prefix="lt_test_x",
        organisation=organisation,
        system="s",
        grants=frozenset(grants or ("dossiers.*",)),
        environment="test",
    )


def dossier(**changed: Any) -> records.Dossier:
    return records.Dossier.model_validate({"code": CODE, **builders.dossier_body(**changed)})


def change(status: str, *, minutes: int = 0, **more: Any) -> records.StatusChange:
    return records.StatusChange.model_validate(
        {"status": status, "occurred_at": BEGUN + timedelta(minutes=minutes), "handled_by": "Cán bộ Thử", **more}
    )


async def declared(world: World, **changed: Any) -> None:
    await dossier_status.put(world.hub, dossier(**changed), caller=caller(), request_id="r")


async def report(world: World, status: str, **more: Any) -> Any:
    return await dossier_status.report(world.hub, CODE, change(status, **more), caller=caller(), request_id="r")


async def test_the_portal_holds_the_dossier_and_every_step_in_order(world: World) -> None:
    await declared(world)
    for n, status in enumerate(("received", "processing", "finished", "returned")):
        await report(world, status, minutes=n, note=status)
    await world.drive()
    held = world.held()
    assert held["status"] == "10"
    assert [step["NoiDungXuLy"] for step in held["steps"]] == ["received", "processing", "finished", "returned"]


async def test_the_same_change_twice_is_one_change_with_one_message(world: World) -> None:
    await declared(world)
    first = await report(world, "received", change_id="a1")
    again = await report(world, "received", change_id="a1")
    assert (again.message_id, again.messages, again.repeated) == (first.message_id, first.messages, True)
    await world.drive()
    assert len(world.held()["steps"]) == 1


async def test_without_a_number_the_same_content_is_the_same_change(world: World) -> None:
    await declared(world)
    assert not (await report(world, "received")).repeated
    assert (await report(world, "received")).repeated


async def test_the_same_number_with_other_content_is_refused(world: World) -> None:
    await declared(world)
    await report(world, "received", change_id="a1")
    with pytest.raises(errors.Conflict):
        await report(world, "processing", change_id="a1")


async def test_what_the_portal_would_refuse_is_refused_before_it_is_promised_naming_the_field(
    world: World,
) -> None:
    applicant = {"kind": "citizen", "name": "Nguyễn Văn Thử", "citizen_id": "000000000001"}
    await declared(world, applicant=applicant, due_at=None)
    with pytest.raises(errors.InvalidRequest) as refused:
        await report(world, "received")
    named = {problem.field for problem in refused.value.problems}
    assert {"applicant.phone", "due_at"} <= named
    assert await outbox.counts(world.hub.storage) == []


async def test_nothing_is_kept_of_a_change_that_was_refused(world: World) -> None:
    await declared(world, due_at=None)
    with pytest.raises(errors.InvalidRequest):
        await report(world, "received")
    view = await dossier_reading.get(world.hub, CODE, caller=caller())
    assert view.status is records.Status.SUBMITTED


async def test_a_procedure_that_does_not_exist_is_refused_by_name(world: World) -> None:
    with pytest.raises(errors.InvalidRequest) as refused:
        await declared(world, procedure_code="9.999999")
    assert refused.value.problems[0].field == "procedure_code"


async def test_a_late_change_is_passed_on_as_a_step_and_does_not_move_the_status_back(world: World) -> None:
    await declared(world)
    await report(world, "received", minutes=0, note="1")
    await report(world, "finished", minutes=60, note="2")
    late = await report(world, "processing", minutes=30, note="3")
    assert late.unusual.startswith("late")
    assert late.status is records.Status.FINISHED
    await world.drive()
    held = world.held()
    assert (held["status"], [step["NoiDungXuLy"] for step in held["steps"]]) == ("9", ["1", "2", "3"])


async def test_a_jump_is_taken_and_noted(world: World) -> None:
    await declared(world, received_at=BEGUN)
    await report(world, "returned", minutes=1)
    assert "unusual move" in (await report(world, "processing", minutes=2)).unusual


async def test_a_dossier_keeps_the_procedure_version_it_was_declared_under(world: World) -> None:
    await declared(world)
    procedures, versions = tables.procedures, tables.procedure_versions
    async with world.hub.storage.transaction() as tx:
        old = await storage.first(tx, sa.select(versions).where(versions.c.code == "1.001193"))
        assert old is not None
        await tx.execute(versions.insert().values({**old, "version": 2}))
        await tx.execute(
            procedures.update().where(procedures.c.code == "1.001193").values(version=2, name="Tên mới")
        )
    await report(world, "received")
    await world.drive()
    view = await dossier_reading.get(world.hub, CODE, caller=caller())
    assert view.procedure_version == 1
    item = world.sandbox.held.ledger.dossiers[CODE].item
    assert "Tên mới".encode() not in item


async def test_new_content_of_a_reported_dossier_goes_to_the_portal_without_a_step(world: World) -> None:
    await declared(world)
    await report(world, "received")
    await declared(world, summary="Trích yếu đã sửa")
    await world.drive()
    held = world.held()
    assert (held["pushes"], len(held["steps"])) == (2, 1)
    assert "Trích yếu đã sửa".encode() in world.sandbox.held.ledger.dossiers[CODE].item


async def test_the_same_content_again_promises_nothing(world: World) -> None:
    await declared(world)
    await report(world, "received")
    await declared(world)
    assert [row["messages"] for row in await outbox.counts(world.hub.storage)] == [1]


async def test_another_organisation_sees_the_dossier_without_the_person(world: World) -> None:
    await declared(world)
    await report(world, "received", note="việc riêng")
    view = await dossier_reading.get(world.hub, CODE, caller=caller("Sở Xây dựng"))
    assert view.personal_data_hidden
    assert "Nguyễn" not in view.model_dump_json()
    assert "000000000001" not in view.model_dump_json()
    line = await dossier_reading.timeline(world.hub, CODE, caller=caller("Sở Xây dựng"))
    assert "việc riêng" not in line.model_dump_json()


async def test_another_organisation_may_write_only_with_a_grant_for_it(world: World) -> None:
    await declared(world)
    other = caller("Sở Xây dựng")
    with pytest.raises(errors.NotGranted):
        await dossier_status.report(world.hub, CODE, change("received"), caller=other, request_id="r")
    other = caller("Sở Xây dựng", "dossiers.*", "dossiers.any_organisation")
    await dossier_status.report(world.hub, CODE, change("received"), caller=other, request_id="r")


async def test_the_timeline_proves_when_it_happened_when_we_took_it_and_when_the_portal_did(world: World) -> None:
    await declared(world)
    await report(world, "received")
    await world.drive()
    [item] = (await dossier_reading.timeline(world.hub, CODE, caller=caller())).items
    [sent] = item.deliveries
    assert sent.state == "delivered"
    assert sent.delivered_at is not None
    assert item.occurred_at < item.accepted_at <= sent.delivered_at


async def test_the_public_enquiry_holds_nothing_about_a_person(world: World) -> None:
    await declared(world)
    await report(world, "received")
    said = (await dossier_reading.enquire(world.hub, CODE)).model_dump_json()
    assert "Được tiếp nhận" in said
    for personal in ("Nguyễn", "000000000001", "0900000000", "Cán bộ Thử"):
        assert personal not in said


async def test_a_refused_message_says_so_to_its_sender_and_holds_back_its_dossier_alone(world: World) -> None:
    await declared(world)
    await declared(world, code="H38.15-260803-0002")
    world.sandbox.held.weather.replace([{"name": "refuse", "count": 1, "services": "DongBoHoSoMC"}])
    first = await report(world, "received")
    second = await report(world, "processing", minutes=5)
    await world.drive()
    refused = await dossier_reading.message(world.hub, first.message_id, caller=caller())
    behind = await dossier_reading.message(world.hub, second.message_id, caller=caller())
    assert (refused.state, refused.last_code) == ("dead", "Server.Remote.Refused")
    assert (behind.state, behind.waiting_behind) == ("pending", first.message_id)


async def test_nobody_elses_message_can_be_read(world: World) -> None:
    await declared(world)
    sent = await report(world, "received")
    with pytest.raises(errors.NotFound):
        await dossier_reading.message(world.hub, sent.message_id, caller=caller("Sở Xây dựng"))


async def test_a_supplement_request_counts_thirty_days_and_is_told_as_an_event(world: World) -> None:
    await declared(world)
    await report(world, "received")
    await report(world, "supplement_requested", minutes=10)
    view = await dossier_reading.get(world.hub, CODE, caller=caller())
    assert view.supplement_by == BEGUN + timedelta(minutes=10, days=30)
    async with world.hub.storage.reading() as conn:
        told = await storage.every(
            conn,
            sa.select(tables.events)
            .where(tables.events.c.kind == "dossiers.status_changed")
            .order_by(tables.events.c.number),
        )
    assert [row["facts"]["status"] for row in told] == ["received", "supplement_requested"]
    assert "supplement_by" in told[1]["facts"]


async def test_an_online_dossier_must_be_answered_within_one_working_day(world: World) -> None:
    await declared(world, submitted_at=datetime(2026, 8, 21, 16, 0, tzinfo=BEGUN.tzinfo), due_at=None)
    view = await dossier_reading.get(world.hub, CODE, caller=caller())
    assert view.answer_by is not None
    # Saturday 22 August 2026 is worked in place of Monday 31 August.
    assert view.answer_by.date().isoformat() == "2026-08-22"


async def test_what_is_kept_of_a_dossier_is_sealed(world: World) -> None:
    await declared(world)
    await report(world, "received", note="ghi chú riêng tư")
    async with world.hub.storage.reading() as conn:
        for table in (tables.dossiers, tables.status_changes, tables.messages, tables.events, tables.exchanges):
            for row in await storage.every(conn, sa.select(table)):
                stored = b" ".join(
                    bytes(value) if isinstance(value, (bytes, memoryview)) else str(value).encode()
                    for value in row.values()
                )
                assert "Nguyễn Văn Thử".encode() not in stored
                assert b"000000000001" not in stored
                assert "ghi chú riêng tư".encode() not in stored


async def test_sixteen_reports_at_once_for_one_dossier_are_numbered_without_gaps(world: World) -> None:
    await declared(world, received_at=BEGUN)
    done = await asyncio.gather(
        *(report(world, "processing", minutes=n, change_id=f"c{n}", note=f"{n:02d}") for n in range(16))
    )
    assert sorted(item.change_number for item in done) == list(range(1, 17))
    await world.drive()
    order = {item.change_number: f"{n:02d}" for n, item in enumerate(done)}
    assert [step["NoiDungXuLy"] for step in world.held()["steps"]] == [order[n] for n in range(1, 17)]


async def test_times_that_come_from_different_requests_must_agree_all_the_same(world: World) -> None:
    await declared(world, due_at=BEGUN + timedelta(hours=1))
    with pytest.raises(errors.InvalidRequest) as refused:
        await declared(world, submitted_at=BEGUN + timedelta(days=1), due_at=None)
    assert [problem.field for problem in refused.value.problems] == ["due_at"]
    with pytest.raises(errors.InvalidRequest):
        await report(world, "received", due_at=BEGUN - timedelta(days=3))


async def test_a_late_change_leaves_what_a_later_one_said_of_the_due_date_and_the_end(world: World) -> None:
    due = [BEGUN + timedelta(days=days) for days in (4, 8)]
    await declared(world)
    await report(world, "received")
    await report(world, "processing", minutes=30, due_at=due[1])
    await report(world, "finished", minutes=60)
    await report(world, "finished", minutes=20, due_at=due[0], note="đến muộn")
    await report(world, "processing", minutes=40, due_at=due[1] + timedelta(days=1), note="gia hạn đến muộn")
    view = await dossier_reading.get(world.hub, CODE, caller=caller())
    assert view.finished_at == BEGUN + timedelta(minutes=60)
    assert view.dossier.due_at == due[1] + timedelta(days=1)


async def test_a_submission_time_that_was_declared_wrong_can_be_put_right(world: World) -> None:
    wrong = BEGUN + timedelta(days=10)
    await declared(world, submitted_at=wrong, due_at=None)
    await declared(world)
    view = await dossier_reading.get(world.hub, CODE, caller=caller())
    assert view.status_at == dossier().submitted_at
    assert view.answer_by is not None
    assert view.answer_by < wrong
    assert (await report(world, "received")).status is records.Status.RECEIVED


async def test_two_declarations_of_one_dossier_at_once_make_one_dossier(world: World) -> None:
    views = await asyncio.gather(
        *(dossier_status.put(world.hub, dossier(), caller=caller(), request_id="r") for _ in range(8))
    )
    assert sum(view.created for view in views) == 1
