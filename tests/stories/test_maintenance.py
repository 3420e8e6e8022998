"""Maintenance of outside systems: planned at the desk or by command, begun and ended by the hub itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import builders
import desk
import pytest
import pytest_asyncio
import sqlalchemy as sa

from lienthong.bus import targets
from lienthong.bus.flows import maintenance, target_switch
from lienthong.core import errors, storage, tables

TARGET = "dvcqg_adapter"
HOUR = timedelta(hours=1)


@pytest_asyncio.fixture
async def stage(tmp_path: Path, database_url: str) -> AsyncIterator[desk.Stage]:
    time = desk.Time()
    dossiers = {"targets": [TARGET]}
    async with builders.running_hub(
        tmp_path / "home", database_url=database_url, now=time, systems=builders.NOBODY, dossiers=dossiers
    ) as hub:
        yield desk.stage(hub, time)


async def plan(stage: desk.Stage, begins: timedelta, ends: timedelta) -> maintenance.Window:
    now = stage.time.now
    return await maintenance.plan(stage.hub, TARGET, now + begins, now + ends, by="lan", reason="nâng cấp Cổng")


async def state(stage: desk.Stage) -> targets.Target:
    return await targets.get(stage.hub.storage, TARGET)


async def test_a_target_is_paused_while_its_window_lasts(stage: desk.Stage) -> None:
    window = await plan(stage, HOUR, 3 * HOUR)
    assert await maintenance.begin_due(stage.hub) == 0
    assert (await state(stage)).state == targets.ACTIVE
    stage.time.pass_by(hours=1)
    assert await maintenance.begin_due(stage.hub) == 1
    held = await state(stage)
    assert (held.state, held.probe_at, held.reason) == (targets.PAUSED, window.ends_at, "nâng cấp Cổng")


async def test_planned_maintenance_stood_among_what_needs_a_person(stage: desk.Stage) -> None:
    await plan(stage, timedelta(), HOUR)
    await maintenance.begin_due(stage.hub)
    async with stage.signed_in("lan", "operator") as lan:
        await lan.open("/")
        assert "bảo trì theo lịch" in lan.page
        assert "Cho chạy lại khi xong việc" not in lan.page
        assert "Không có việc nào chờ người xử lý" in lan.page
        await lan.open(f"/systems/{TARGET}")
        assert "Đang bảo trì, tạm dừng đến" in lan.page
        assert f'action="/targets/{TARGET}/resume"' in lan.page
        # Nobody let it go on when the window was over.
        stage.time.pass_by(hours=1)
        await lan.sign_in("lan")
        await lan.open("/")
        assert "Cho chạy lại khi xong việc" in lan.page


async def test_a_persons_pause_needs_a_person_also_during_maintenance(stage: desk.Stage) -> None:
    await target_switch.switch(stage.hub, await state(stage), targets.PAUSED, by="lan", reason="chờ văn bản")
    await plan(stage, timedelta(), HOUR)
    await maintenance.begin_due(stage.hub)
    async with stage.signed_in("lan", "operator") as lan:
        await lan.open("/")
        assert "bảo trì theo lịch" not in lan.page
        assert "Cho chạy lại khi xong việc" in lan.page


async def test_who_resumes_it_earlier_is_not_overruled(stage: desk.Stage) -> None:
    await plan(stage, timedelta(), HOUR)
    await maintenance.begin_due(stage.hub)
    await target_switch.switch(stage.hub, await state(stage), targets.ACTIVE, by="lan", reason="xong sớm")
    assert await maintenance.begin_due(stage.hub) == 0
    assert (await state(stage)).state == targets.ACTIVE


async def test_a_persons_longer_pause_stays(stage: desk.Stage) -> None:
    await target_switch.switch(stage.hub, await state(stage), targets.PAUSED, by="lan", reason="chờ văn bản")
    await plan(stage, timedelta(), HOUR)
    await maintenance.begin_due(stage.hub)
    held = await state(stage)
    assert (held.reason, held.probe_at) == ("chờ văn bản", None)


async def test_of_two_windows_that_overlap_the_other_still_holds_its_target(stage: desk.Stage) -> None:
    first = await plan(stage, timedelta(), 2 * HOUR)
    longer = await plan(stage, timedelta(), 3 * HOUR)
    await maintenance.begin_due(stage.hub)
    assert (await state(stage)).probe_at == longer.ends_at
    await maintenance.cancel(stage.hub, longer.id, by="lan", reason="hoãn")
    held = await state(stage)
    assert (held.state, held.probe_at) == (targets.PAUSED, first.ends_at)


async def test_a_window_that_is_called_off_lets_go_of_its_target(stage: desk.Stage) -> None:
    window = await plan(stage, timedelta(), HOUR)
    await maintenance.begin_due(stage.hub)
    await maintenance.cancel(stage.hub, window.id, by="lan", reason="hoãn")
    assert (await state(stage)).state == targets.ACTIVE
    assert await maintenance.ahead(stage.hub.storage, now=stage.time.now) == []
    with pytest.raises(errors.NotFound):
        await maintenance.cancel(stage.hub, window.id, by="lan", reason="hoãn")


async def test_a_window_that_cannot_be_is_refused_in_words(stage: desk.Stage) -> None:
    for begins, ends in ((HOUR, HOUR), (-2 * HOUR, -HOUR), (HOUR, timedelta(days=60))):
        with pytest.raises(errors.InvalidRequest):
            await plan(stage, begins, ends)
    now = stage.time.now
    with pytest.raises(errors.NotFound):
        await maintenance.plan(stage.hub, "nobody", now, now + HOUR, by="lan", reason="thử")


async def test_an_operator_plans_it_on_the_page_of_the_system_and_everybody_sees_it(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "operator") as lan:
        await lan.open(f"/systems/{TARGET}")
        assert "Không có lịch bảo trì nào" in lan.page
        begins, ends = stage.time.now + HOUR, stage.time.now + 2 * HOUR
        fields = {"begins_at": f"{begins:%Y-%m-%dT%H:%M}", "ends_at": f"{ends:%Y-%m-%dT%H:%M}"}
        refused = await lan.send(f"/systems/{TARGET}/maintenance", reason="nâng cấp", begins_at="x", ends_at="y")
        assert refused.status_code == 400
        sent = await lan.send(f"/systems/{TARGET}/maintenance", reason="nâng cấp", **fields)
        assert sent.status_code == 303
        await lan.open("/")
        assert f"từ {begins:%H:%M}" in lan.page or f"{begins:%d/%m/%Y}" in lan.page
        (window,) = await maintenance.ahead(stage.hub.storage, now=stage.time.now)
        await lan.open(f"/systems/{TARGET}")
        assert "nâng cấp" in lan.page
        sent = await lan.send(f"/systems/{TARGET}/maintenance/{window.id}/cancel", reason="hoãn")
        assert sent.status_code == 303
    async with stage.hub.storage.reading() as conn:
        rows = await storage.every(conn, sa.select(tables.admin_acts.c.act))
    assert {"maintenance.plan", "maintenance.cancel"} <= {row["act"] for row in rows}


async def test_the_page_of_a_system_shows_failures_settings_and_its_check(stage: desk.Stage) -> None:
    now, code = stage.time.now, "000.00.00.H38-260115-0001"
    call = {"at": now - timedelta(minutes=5), "direction": "out", "request_id": "r1", "system": TARGET}
    call |= {"operation": "put_status", "method": "POST", "route": "/x", "took_ms": 12.4, "dossier_code": code}
    async with stage.hub.storage.transaction() as tx:
        values = {**call, "outcome": "Server.Remote.Refused", "bytes_in": 1, "bytes_out": 1}
        await tx.execute(tables.exchanges.insert().values(**values))
    async with stage.signed_in("lan", "operator") as lan:
        await lan.open(f"/systems/{TARGET}")
        assert code in lan.page
        assert "1 lượt không thành" in lan.page
        assert "LIENTHONG_SYSTEMS__DVCQG_ADAPTER__BASE_URL" in lan.page.replace("<wbr>", "")
        assert builders.NOBODY[TARGET]["password"] not in lan.page.replace("nothing_", "")
        answer = await lan.open(f"/systems/{TARGET}/check")
        assert answer.status_code == 200
        assert "hỏng" in lan.page or "không" in lan.page
        assert (await lan.open("/systems/nobody")).status_code == 404
        assert (await lan.open("/systems/nobody/check")).status_code == 404
