"""What lists of the desks show without being asked, what their filters say of it, and the words in their rows."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import builders
import desk
import pytest_asyncio

from lienthong.api_keys import official_acts, official_entries
from lienthong.core import tables
from lienthong.monitoring import alerts
from lienthong.monitoring.detectors import findings, probing


@pytest_asyncio.fixture
async def stage(tmp_path: Path) -> AsyncIterator[desk.Stage]:
    async with desk.opened(tmp_path) as opened:
        yield opened


def chosen(page: str, name: str) -> str:
    """Say what a select stands on: the option that is marked, or the first."""
    select = re.search(rf'<select name="{name}".*?</select>', page, re.DOTALL)
    assert select
    options = re.findall(r'<option value="([^"]*)"( selected)?>([^<]*)', select[0])
    return next((told for _, is_marked, told in options if is_marked), options[0][2])


async def test_the_inbox_said_all_and_showed_only_what_was_not_closed(stage: desk.Stage) -> None:
    at = stage.time.now.timestamp()
    for number, key in enumerate(("key-1", "key-2")):
        found = probing.refused(findings.Who(key=key), at + number, seen=40, requests=50, share=0.003)
        assert found
        made = await alerts.open_or_update(stage.hub.storage, found)
    await alerts.close(stage.hub.storage, made, "normal", reason="thử", actor="lan", now=stage.time.now)
    async with stage.signed_in("lan", "security_officer") as lan:
        await lan.open("/alerts")
        assert chosen(lan.page, "state") == "chưa đóng"
        assert made not in lan.page
        await lan.open("/alerts?state=all")
        assert chosen(lan.page, "state") == "Tất cả"
        assert made in lan.page


async def test_an_alert_in_the_inbox_says_what_to_do_with_it(stage: desk.Stage) -> None:
    found = probing.refused(
        findings.Who(key="key-1"), stage.time.now.timestamp(), seen=40, requests=50, share=0.003
    )
    assert found
    made = await alerts.open_or_update(stage.hub.storage, found)
    async with stage.signed_in("lan", "security_officer") as lan:
        await lan.open("/alerts")
        assert ">nhận hoặc giao<" in lan.page
        await alerts.acknowledge(stage.hub.storage, made, actor="lan", now=stage.time.now)
        await lan.open("/alerts")
        assert ">kết luận<" in lan.page


async def test_the_officials_said_all_and_showed_only_who_is_registered(stage: desk.Stage) -> None:
    act = official_acts.Act("quan", stage.time.now, "CV 761")
    days = {"valid_from": stage.time.now, "valid_until": stage.time.now + timedelta(days=300)}
    told = {"full_name": "Nguyễn Thị Mẫu", "unit_code": "000.00.15.H38", "unit_name": "Sở Tư pháp"}
    for code in ("CB000001", "CB000002"):
        given = {**told, **days, "code": code, "account": code.lower(), "phone": "0900000001"}
        entry = official_entries.entry({**given, "email": "", "position": "", "procedures": ("*",)})
        await official_acts.register(stage.hub.storage, stage.hub.vault, entry, act=act)
    await official_acts.revoke(stage.hub.storage, stage.hub.vault, "CB000002", act=act)
    async with stage.signed_in("lan", "security_officer") as lan:
        for address in ("/officials", "/officials?state="):
            await lan.open(address)
            assert chosen(lan.page, "state") == "đã đăng ký"
            assert "CB000002" not in lan.page
        await lan.open("/officials?state=all")
        assert chosen(lan.page, "state") == "Tất cả"
        assert "CB000002" in lan.page


async def test_a_key_that_waits_for_approval_was_found_as_an_active_one(stage: desk.Stage) -> None:
    await builders.issue_key(stage.hub, organisation="Sở Du lịch", two_people=True, actor="quan")
    async with stage.signed_in("lan", "key_manager", "security_officer") as lan:
        answer = await lan.send("/search", q="du lịch")
        await lan.open(answer.headers["location"])
        assert "chờ duyệt" in lan.page
        await lan.open("/key-risks")
        assert "chờ duyệt" in lan.page
        assert "đặt danh sách địa chỉ" in lan.page


async def test_a_citizens_number_typed_into_a_filter_stays_neither_in_the_address_nor_in_the_trail(
    stage: desk.Stage,
) -> None:
    async with stage.signed_in("lan", "security_officer") as lan:
        for typed in ("001099000001", "001 099 000 001", "123456789"):
            answer = await lan.client.get("/records", params={"dossier_code": typed, "refused": "yes"})
            assert (answer.status_code, answer.headers["location"]) == (303, "/records?refused=yes")
        await lan.open("/records?refused=yes")
        assert "<p>Số định danh không được nằm trong địa chỉ" in lan.page
        await lan.open("/records?dossier_code=H38.15-260803-0001")
        assert "<p>Số định danh không được nằm trong địa chỉ" not in lan.page
    trail = await stage.rows(tables.admin_acts)
    assert trail
    assert "99000001" not in str(trail)


async def test_a_target_that_nobody_enabled_was_said_to_be_active(tmp_path: Path) -> None:
    time = desk.Time()
    async with (
        builders.running_hub(tmp_path / "home", now=time) as hub,
        desk.stage(hub, time).signed_in("lan", "operator") as lan,
    ):
        await lan.open("/")
        assert "Chưa bật hệ thống nào" in lan.page
        for place in ("/targets", "/targets/dvcqg_adapter"):
            await lan.open(place)
            assert "chưa bật" in lan.page
            assert "hoạt động" not in lan.page
        await lan.open("/sync")
        assert "nút ở trên" not in lan.page
