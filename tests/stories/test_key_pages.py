"""Keys at the desk: issued and shown once, handed over, approved by another, limited, rotated, stopped."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import builders
import desk
import pytest_asyncio
import sqlalchemy as sa

from lienthong.api_keys import keys, uses
from lienthong.bus import hub as hubs
from lienthong.console.web import key_use
from lienthong.core import clock, storage, tables

ORDER = {
    "organisation": "Sở Tư pháp",
    "system": "Phần mềm hộ tịch",
    "custodian": "Trần Thị Ví Dụ",
    "decision_number": "12/QĐ-STTTT",
    "limits": "600/minute\n50000/day",
    "addresses": "203.0.113.0/24",
    "hours": "mon-fri 07:00-18:00",
    "expires": "365d",
    "grants": ["procedures.*", "dossiers.put"],
}


@pytest_asyncio.fixture
async def stage(tmp_path: Path, database_url: str) -> AsyncIterator[desk.Stage]:
    async with opened(tmp_path / "home", database_url) as found:
        yield found


def opened(home: Path, database_url: str, **sections: Any) -> Any:
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def go() -> AsyncIterator[desk.Stage]:
        time = desk.Time()
        async with builders.running_hub(
            home, database_url=database_url, now=time, systems=builders.NOBODY, **sections
        ) as hub:
            yield desk.stage(hub, time)

    return go()


async def acts(hub: hubs.Hub) -> list[tuple[str, str, str]]:
    table = tables.admin_acts
    asked = sa.select(table).where(table.c.act.startswith("keys.")).order_by(table.c.number)
    async with hub.storage.reading() as conn:
        return [(row["act"], row["actor"], row["outcome"]) for row in await storage.every(conn, asked)]


async def call(hub: hubs.Hub, key_id: str, at: Any, times: int, outcome: str = "ok") -> None:
    row = {"direction": "in", "system": "hub", "operation": "dossiers.put", "method": "PUT", "route": "/v1"}
    row |= {"outcome": outcome, "took_ms": 1.0, "bytes_in": 1, "bytes_out": 1, "key_id": key_id, "at": at}
    async with hub.storage.transaction() as tx:
        await tx.execute(tables.exchanges.insert(), [{**row, "request_id": clock.new_id()} for _ in range(times)])


async def test_a_key_is_shown_once_works_and_is_handed_over_on_paper(stage: desk.Stage) -> None:
    async with stage.signed_in("minh", "key_manager") as minh:
        await minh.open("/keys/new")
        answer = await minh.send("/keys", **ORDER)
        found = re.search(r'id="secret">(lt_test_[^<]+)<', answer.text)
        assert found
        record, _ = await keys.find(
            stage.hub.storage, stage.hub.vault.digest(found[1].encode(), purpose="api_key")
        ) or (None, None)
        assert record is not None
        assert (record.grants, record.addresses) == (("dossiers.put", "procedures.*"), ("203.0.113.0/24",))
        assert record.state(stage.time.now) == "active"
        assert answer.headers["cache-control"] == "no-store"
        minh.page = answer.text
        sheet = await minh.send(f"/keys/{record.id}/sheet", key=found[1])
        assert "attachment" in sheet.headers["content-disposition"]
        assert found[1] in sheet.text
        await minh.open(f"/keys/{record.id}")
        assert found[1] not in minh.page
        assert "12/QĐ-STTTT" in minh.page
        plain = await minh.send(f"/keys/{record.id}/sheet")
        assert "không chứa khoá" in plain.text
        other = await builders.issue_key(stage.hub)
        wrong = await minh.send(f"/keys/{record.id}/sheet", key=other.key)
        assert wrong.status_code == 400
    assert (await acts(stage.hub))[0] == ("keys.issue", "minh", "done")


async def test_an_order_with_faults_comes_back_as_it_was_filled_in(stage: desk.Stage) -> None:
    async with stage.signed_in("minh", "key_manager") as minh:
        await minh.open("/keys/new")
        answer = await minh.send("/keys", **{**ORDER, "limits": "nhiều", "custodian": ""})
        assert answer.status_code == 400
        assert "Không hiểu hạn mức" in answer.text
        assert "Thiếu người giữ khoá" in answer.text
        assert 'value="12/QĐ-STTTT"' in answer.text
        assert re.search(r'value="dossiers.put" checked', answer.text)
    assert await keys.list_keys(stage.hub.storage) == []


async def test_where_two_people_are_asked_for_one_is_not_enough(tmp_path: Path, database_url: str) -> None:
    async with opened(tmp_path / "home", database_url, keys={"two_people": True}) as stage:
        async with stage.signed_in("minh", "key_manager") as minh:
            await minh.open("/keys/new")
            await minh.send("/keys", **ORDER)
            record = (await keys.list_keys(stage.hub.storage))[0]
            await minh.open(f"/keys/{record.id}")
            assert f"/keys/{record.id}/approve" not in minh.page
            assert (await minh.send(f"/keys/{record.id}/approve", reason="tự duyệt")).status_code == 403
        async with stage.signed_in("thu", "key_manager") as thu:
            await thu.open(f"/keys/{record.id}")
            await thu.send(f"/keys/{record.id}/approve", reason="đúng văn bản")
            assert (await keys.show(stage.hub.storage, record.id)).state(stage.time.now) == "active"
            await thu.open(f"/keys/{record.id}/grants")
            await thu.send(f"/keys/{record.id}/grants", grants=["procedures.*", "dossiers.*"], reason="mở rộng")
            await thu.open(f"/keys/{record.id}")
            assert "đề nghị đổi quyền" in thu.page
        async with stage.visitor() as minh:
            await minh.sign_in("minh")
            await minh.open(f"/keys/{record.id}")
            assert "Duyệt quyền" in minh.page
            await minh.send(f"/keys/{record.id}/approve", reason="đồng ý")
    assert (await keys.show(stage.hub.storage, record.id)).grants == ("dossiers.*", "procedures.*")


async def test_a_key_is_rotated_with_its_overlap_drawn(stage: desk.Stage) -> None:
    issued = await builders.issue_key(stage.hub)
    async with stage.signed_in("minh", "key_manager") as minh:
        stage.time.pass_by(days=1)
        await minh.sign_in("minh")
        await minh.open(f"/keys/{issued.record.id}")
        answer = await minh.send(f"/keys/{issued.record.id}/rotate", overlap="7d", reason="định kỳ")
        assert "đời 2" in answer.text
        assert 'id="secret"' in answer.text
        await minh.open(f"/keys/{issued.record.id}")
        assert 'class="chart lives"' in minh.page
    found = await keys.generations(stage.hub.storage, issued.record.id)
    assert found[1].ends_at == stage.time.now + timedelta(days=7)


async def test_suspending_is_undone_in_one_step_and_revoking_is_for_good(stage: desk.Stage) -> None:
    issued = await builders.issue_key(stage.hub)
    path = f"/keys/{issued.record.id}"
    async with stage.signed_in("an", "security_officer") as officer:
        await officer.open(path)
        assert f"{path}/revoke" not in officer.page
        answer = await officer.send(f"{path}/suspend", reason="nghi bị lộ")
        await officer.open(answer.headers["location"])
        assert "Hoàn tác" in officer.page
        assert "nghi bị lộ" in officer.page
        await officer.send(f"{path}/resume", reason="báo nhầm")
        assert (await officer.send(f"{path}/revoke", reason="x" * 5)).status_code == 403
    async with stage.signed_in("minh", "key_manager") as minh:
        await minh.open(path)
        await minh.send(f"{path}/revoke", reason="thôi dùng")
        await minh.open(path)
        assert "thôi dùng" in minh.page
        assert f"{path}/suspend" not in minh.page
    done = [(act, outcome) for act, _, outcome in await acts(stage.hub)]
    assert done == [
        ("keys.issue", "done"),
        ("keys.suspend", "done"),
        ("keys.resume", "done"),
        ("keys.revoke", "Client.NotGranted"),
        ("keys.revoke", "done"),
    ]


async def test_an_act_without_a_reason_is_refused(stage: desk.Stage) -> None:
    issued = await builders.issue_key(stage.hub)
    async with stage.signed_in("minh", "key_manager") as minh:
        await minh.open(f"/keys/{issued.record.id}")
        for act in ("suspend", "revoke", "rotate", "limit"):
            answer = await minh.send(f"/keys/{issued.record.id}/{act}", reason="", limits="1/minute", overlap="7d")
            assert answer.status_code == 400, act
    assert (await keys.show(stage.hub.storage, issued.record.id)).limits == ("100000/minute",)


async def test_limits_addresses_and_hours_are_changed_in_one_form(stage: desk.Stage) -> None:
    issued = await builders.issue_key(stage.hub, addresses=("192.0.2.0/24",))
    async with stage.signed_in("minh", "key_manager") as minh:
        await minh.open(f"/keys/{issued.record.id}")
        await minh.send(
            f"/keys/{issued.record.id}/limit",
            limits="100/minute, 8 in flight",
            addresses="",
            hours="mon-fri 07:00-18:00; sat 08:00-12:00",
            reason="theo đề nghị",
        )
    found = await keys.show(stage.hub.storage, issued.record.id)
    assert found.limits == ("100/minute", "8 in flight")
    assert found.addresses == ()
    assert found.hours == ("mon-fri 07:00-18:00", "sat 08:00-12:00")


async def test_the_page_shows_live_use_beside_a_maximum_that_fits(stage: desk.Stage) -> None:
    issued = await builders.issue_key(stage.hub, limits=("6000/minute", "100000/day", "8 in flight"))
    key_id, now = issued.record.id, stage.time.now
    for days in range(10):
        await call(stage.hub, key_id, now - timedelta(days=days, minutes=5), 40 if days else 20)
    await call(stage.hub, key_id, now - timedelta(seconds=20), 3)
    found = await key_use.of_key(stage.hub, issued.record)
    told = {str(it.limit): (it.used, it.suggested) for it in found.limits}
    assert told == {"6000/minute": (3, 60), "100000/day": (23, 60), "8 in flight": (None, None)}
    assert found.cells[-2][9] == 40
    async with stage.signed_in("lan", "operator") as lan:
        await lan.open(f"/keys/{key_id}")
        assert f'data-load="/keys/{key_id}/use"' in lan.page
        await lan.open(f"/keys/{key_id}/use")
        assert "đang đặt gấp" in lan.page
        assert 'class="chart heat"' in lan.page
        await call(stage.hub, key_id, now - timedelta(seconds=10), 9, "Client.LimitExceeded")
        found = await key_use.of_key(stage.hub, issued.record)
        assert [(it.used, it.suggested) for it in found.limits] == [(3, None), (23, None), (None, None)]
        await lan.open(f"/keys/{key_id}/use")
        assert "9 lượt bị chặn vì hạn mức" in lan.page


async def test_a_young_key_gets_no_suggestion(stage: desk.Stage) -> None:
    issued = await builders.issue_key(stage.hub)
    await call(stage.hub, issued.record.id, stage.time.now, 5)
    found = await key_use.of_key(stage.hub, issued.record)
    assert [it.suggested for it in found.limits] == [None]


async def test_the_list_finds_without_marks_and_by_what_needs_a_look(stage: desk.Stage) -> None:
    soon = await builders.issue_key(stage.hub, days=10, organisation="Sở Xây dựng")
    later = await builders.issue_key(stage.hub, days=300, addresses=("192.0.2.7",))
    counted = uses.Uses(stage.hub.storage)
    counted.note(soon.record.id, 1, address="192.0.2.9", now=stage.time.now, served=True)
    await counted.save()
    async with stage.signed_in("kiem", "auditor") as auditor:
        await auditor.open("/keys?q=so+xay+dung")
        assert soon.record.prefix in auditor.page
        assert later.record.prefix not in auditor.page
        await auditor.open("/keys?due=soon")
        assert later.record.prefix not in auditor.page
        await auditor.open("/keys?due=anywhere")
        assert soon.record.prefix in auditor.page
        assert later.record.prefix not in auditor.page
        await auditor.open(f"/keys/{soon.record.id}")
        assert "192.0.2.9" in auditor.page
        for act in ("suspend", "rotate", "grants", "limit", "revoke", "sheet"):
            assert f"/keys/{soon.record.id}/{act}" not in auditor.page


async def test_grants_are_seen_from_the_operation(stage: desk.Stage) -> None:
    issued = await builders.issue_key(stage.hub, grants=("dossiers.*", "fields:residents.basic"))
    gone = await builders.issue_key(stage.hub, grants=("dossiers.put",))
    await keys.revoke(stage.hub.storage, gone.record.id, reason="thôi", actor="test", now=stage.time.now)
    async with stage.signed_in("lan", "operator") as lan:
        await lan.open("/operations/dossiers.put")
        assert issued.record.prefix in lan.page
        assert "dossiers.*" in lan.page
        assert gone.record.prefix not in lan.page
        await lan.open("/operations/fields:residents.basic")
        assert issued.record.prefix in lan.page
        assert "Nhóm trường: họ tên" in lan.page
        await lan.open("/operations")
        assert "residents.look_up" in lan.page
        assert (await lan.open("/operations/nothing.at_all")).status_code == 404


async def test_the_right_to_other_agencies_dossiers_was_said_to_open_no_personal_data(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "operator") as lan:
        await lan.open("/operations/dossiers.any_organisation")
        assert "<dt>Dữ liệu cá nhân</dt><dd>có</dd>" in lan.page
        await lan.open("/operations/procedures.list")
        assert "<dt>Dữ liệu cá nhân</dt><dd>không</dd>" in lan.page
