"""What an operator does about the catalogue at the desk: looks at what differs, accepts, keeps, takes back."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import desk
import pytest
import sqlalchemy as sa
from catalogue_source import Clock, Source, opened, procedure, some

from lienthong.bus import hub as hubs
from lienthong.bus.flows import procedure_sync, sync_undo
from lienthong.console.web import app
from lienthong.console.web.pages import operator_sync
from lienthong.core import errors, storage, tables


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source() -> Source:
    found = Source(fingerprints=True)
    found.publish(*some(30))
    return found


@pytest.fixture
async def hub(database_url: str, tmp_path: Path, source: Source, clock: Clock) -> AsyncIterator[hubs.Hub]:
    async with opened(database_url, tmp_path, source, clock=clock) as found:
        yield found


def stage(hub: hubs.Hub) -> desk.Stage:
    return desk.Stage(hub, desk.Time(hub.now()), app.create_app(hub))


async def held(hub: hubs.Hub, table: sa.Table) -> list[dict[str, Any]]:
    async with hub.storage.reading() as conn:
        return await storage.every(conn, sa.select(table))


async def catalogue(hub: hubs.Hub) -> dict[str, tuple[str, str]]:
    return {row["code"]: (row["name"], row["status"]) for row in await held(hub, tables.procedures)}


async def test_a_change_is_shown_with_old_and_new_beside_each_other(hub: hubs.Hub, source: Source) -> None:
    await procedure_sync.run(hub)
    source.publish(procedure("1.000007", "Tên mới"))
    report = await procedure_sync.run(hub)
    async with stage(hub).signed_in("lan", "operator") as lan:
        await lan.open("/sync")
        assert f"/sync/{report.run_id}" in lan.page
        await lan.open(f"/sync/{report.run_id}")
        assert "Thủ tục số 1.000007" in lan.page
        assert "Tên mới" in lan.page


async def test_a_held_list_is_accepted_and_what_is_gone_is_withdrawn(
    hub: hubs.Hub, source: Source, clock: Clock
) -> None:
    await procedure_sync.run(hub)
    source.procedures = dict(list(source.procedures.items())[:12])
    clock.forward(hours=1)
    report = await procedure_sync.run(hub)
    assert report.held
    async with stage(hub).signed_in("lan", "operator") as lan:
        await lan.open("/")
        assert "bị giữ" in lan.page
        await lan.open(f"/sync/{report.run_id}")
        assert f'action="/sync/{report.run_id}/accept"' in lan.page
        assert (await lan.send(f"/sync/{report.run_id}/accept")).status_code == 400
        clock.forward(minutes=1)
        assert (await lan.send(f"/sync/{report.run_id}/accept", reason="Bộ đã gộp thủ tục")).status_code == 303
        await operator_sync.settled()
    states = [status for _, status in (await catalogue(hub)).values()]
    assert (states.count("active"), states.count("withdrawn")) == (12, 18)
    acts = [row for row in await held(hub, tables.admin_acts) if row["act"] == "sync.accept"]
    assert [(row["actor"], row["reason"]) for row in acts] == [("lan", "Bộ đã gộp thủ tục")]


async def test_why_a_run_was_held_was_told_in_vietnamese_alone(
    hub: hubs.Hub, source: Source, clock: Clock
) -> None:
    await procedure_sync.run(hub)
    source.procedures = dict(list(source.procedures.items())[:12])
    clock.forward(hours=1)
    report = await procedure_sync.run(hub)
    async with stage(hub).signed_in("lan", "operator") as lan:
        for path in ("/", "/sync", f"/sync/{report.run_id}"):
            lan.client.cookies.set("desk_language", "vi")
            await lan.open(path)
            assert str(report.held) in html.unescape(lan.page), path
            lan.client.cookies.set("desk_language", "en")
            await lan.open(path)
            assert report.held_en in html.unescape(lan.page), path
            assert str(report.held) not in html.unescape(lan.page), path


async def test_why_a_run_failed_was_told_in_vietnamese_alone(hub: hubs.Hub, source: Source) -> None:
    source.list_failures = [errors.RemoteForbids(system="dvcqg_adapter")]
    with pytest.raises(errors.RemoteForbids) as caught:
        await procedure_sync.run(hub)
    async with stage(hub).signed_in("lan", "operator") as lan:
        for path in ("/", "/sync"):
            lan.client.cookies.set("desk_language", "en")
            await lan.open(path)
            assert caught.value.detail("en") in html.unescape(lan.page), path
            assert caught.value.detail("vi") not in html.unescape(lan.page), path


async def test_a_run_whose_lines_are_gone_said_that_it_changed_nothing(hub: hubs.Hub) -> None:
    report = await procedure_sync.run(hub)
    async with hub.storage.transaction() as tx:
        await tx.execute(tables.sync_items.delete())
    async with stage(hub).signed_in("lan", "operator") as lan:
        await lan.open(f"/sync/{report.run_id}")
        assert "Không còn chi tiết của lượt này" in lan.page
        assert "không thay đổi thủ tục nào" not in lan.page


async def test_a_failed_run_was_said_to_be_tried_again_by_itself(hub: hubs.Hub, source: Source) -> None:
    source.list_failures = [errors.RemoteUnavailable(system="dvcqg_adapter")] * 20
    with pytest.raises(errors.RemoteUnavailable):
        await procedure_sync.run(hub)
    async with stage(hub).signed_in("lan", "operator") as lan:
        await lan.open("/")
        assert "không kết nối được hoặc không trả lời" in lan.page
        assert not re.search("sẽ được (gửi|thử) lại", lan.page)


async def test_a_held_list_is_laid_aside_and_nothing_changes(hub: hubs.Hub, source: Source, clock: Clock) -> None:
    await procedure_sync.run(hub)
    before = await catalogue(hub)
    source.procedures = dict(list(source.procedures.items())[:3])
    clock.forward(hours=1)
    report = await procedure_sync.run(hub)
    async with stage(hub).signed_in("lan", "operator") as lan:
        await lan.send(f"/sync/{report.run_id}/keep", reason="nguồn lỗi")
        again = await lan.send(f"/sync/{report.run_id}/keep", reason="nguồn lỗi")
        assert again.status_code == 409
        await lan.open("/")
        assert f"{report.held}" not in lan.page
    assert await catalogue(hub) == before


async def test_a_run_is_taken_back_and_a_daily_run_leaves_it_so(
    hub: hubs.Hub, source: Source, clock: Clock
) -> None:
    await procedure_sync.run(hub)
    before = await catalogue(hub)
    source.publish(procedure("1.000007", "Tên sai"), procedure("9.000001", "Thủ tục nhầm"))
    gone = source.procedures.pop("1.000003")
    clock.forward(hours=1)
    report = await procedure_sync.run(hub)
    assert (report.counts.changed, report.counts.new, report.counts.withdrawn) == (1, 1, 1)
    async with stage(hub).signed_in("lan", "operator") as lan:
        await lan.open(f"/sync/{report.run_id}")
        assert f'action="/sync/{report.run_id}/undo"' in lan.page
        clock.forward(minutes=5)
        assert (await lan.send(f"/sync/{report.run_id}/undo", reason="nguồn công bố nhầm")).status_code == 303
        await lan.open(f"/sync/{report.run_id}")
        assert "đã hoàn lại" in lan.page
    now = await catalogue(hub)
    assert now.pop("9.000001") == ("Thủ tục nhầm", "withdrawn")
    assert now == before
    versions = [row["version"] for row in await held(hub, tables.procedure_versions) if row["code"] == "1.000007"]
    assert versions == [1, 2, 3]
    source.procedures["1.000003"] = gone
    del source.procedures["9.000001"]
    clock.forward(days=1)
    again = await procedure_sync.run(hub)
    assert (again.counts.changed, again.counts.withdrawn) == (0, 0)
    assert (await catalogue(hub))["1.000007"] == before["1.000007"]


async def test_what_had_been_withdrawn_is_withdrawn_again_when_its_return_is_taken_back(
    hub: hubs.Hub, source: Source, clock: Clock
) -> None:
    await procedure_sync.run(hub)
    gone = source.procedures.pop("1.000003")
    clock.forward(hours=1)
    await procedure_sync.run(hub)
    before = await catalogue(hub)
    source.publish(gone)
    clock.forward(hours=1)
    report = await procedure_sync.run(hub)
    assert (await catalogue(hub))["1.000003"][1] == "active"
    clock.forward(minutes=5)
    await sync_undo.undo(hub, report.run_id, by="lan", reason="nguồn công bố nhầm")
    assert await catalogue(hub) == before


async def test_only_the_last_run_can_be_taken_back(hub: hubs.Hub, source: Source, clock: Clock) -> None:
    first = await procedure_sync.run(hub)
    clock.forward(hours=1)
    source.publish(procedure("1.000007", "Tên mới"))
    await procedure_sync.run(hub)
    async with stage(hub).signed_in("lan", "operator") as lan:
        done = await lan.send(f"/sync/{first.run_id}/undo", reason="thử")
        assert done.status_code == 409
        await lan.open(f"/sync/{first.run_id}")
        assert "/undo" not in lan.page
    assert (await catalogue(hub))["1.000007"][0] == "Tên mới"


async def test_a_run_is_begun_at_the_desk_and_only_one_at_a_time(hub: hubs.Hub) -> None:
    async with stage(hub).signed_in("lan", "operator") as lan:
        assert (await lan.send("/sync/start", source="nobody", reason="chạy thử")).status_code == 404
        assert (await lan.send("/sync/start", reason="chạy thử")).status_code == 303
        await operator_sync.settled()
        await lan.open("/sync")
        assert "xong" in lan.page
    assert len(await catalogue(hub)) == 30
