"""Misuse that somebody at the desks noticed: reported in one step, an alert for the security officer."""

from __future__ import annotations

import builders
import desk
import pytest

from lienthong.core import tables
from lienthong.monitoring import notices

SAW = "Khoá này được dùng ở máy của một công ty khác từ sáng nay."


async def test_misuse_of_a_key_is_reported_from_its_page_and_the_officer_can_hold_the_key(
    stage: desk.Stage,
) -> None:
    key = (await builders.issue_key(stage.hub)).record.id
    async with stage.signed_in("lan", "operator") as lan:
        await lan.open(f"/keys/{key}")
        assert "Báo dùng sai mục đích" in lan.page
        sent = await lan.send("/alerts/report", about="key", subject=key, text=SAW, to=f"/keys/{key}")
        assert sent.headers["location"] == f"/keys/{key}"
        await lan.open(f"/keys/{key}")
        assert "Đã báo cán bộ an toàn thông tin" in lan.page
        assert (await lan.open("/alerts")).status_code == 403
    (alert,) = await stage.rows(tables.alerts)
    assert (alert["rule"], alert["key_id"], alert["severity"]) == ("reported", key, "high")
    async with stage.signed_in("an", "security_officer") as an:
        await an.open(f"/alerts/{alert['id']}")
        assert SAW in an.page
        assert "lan" in an.page
        sent = await an.send(f"/alerts/{alert['id']}/respond", kind="suspend", span="1h", reason="đã xác minh")
        assert sent.status_code == 303
    told = [
        (row["actor"], row["object"])
        for row in await stage.rows(tables.admin_acts)
        if row["act"] == "alerts.report"
    ]
    assert told == [("lan", alert["id"])]


async def test_every_report_is_a_matter_of_its_own(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "administrator") as lan:
        for _ in range(2):
            stage.time.pass_by(seconds=1)
            assert (await lan.send("/alerts/report", text=SAW)).status_code == 303
    assert len(await stage.rows(tables.alerts)) == len(await stage.rows(tables.alert_notes)) == 2


async def test_what_was_reported_leaves_the_hub_in_no_notice(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "operator") as lan:
        await lan.send("/alerts/report", text=SAW)
    (alert,) = await stage.rows(tables.alerts)
    notice = notices.of_alert(alert, key="", desk="")
    assert "công ty" not in notice.text
    assert "lan" not in notice.text


@pytest.mark.parametrize("text", ["", "lạ lắm", "Người có số 001099000001 bị tra nhiều lần"])
async def test_a_report_without_words_or_with_a_persons_number_is_refused(stage: desk.Stage, text: str) -> None:
    async with stage.signed_in("lan", "operator") as lan:
        assert (await lan.send("/alerts/report", text=text)).status_code == 400
    assert await stage.rows(tables.alerts) == []


async def test_what_is_not_there_is_not_reported_and_an_auditor_changes_nothing(stage: desk.Stage) -> None:
    async with stage.signed_in("lan", "operator") as lan, stage.signed_in("kiem", "auditor") as kiem:
        for about in ("key", "official", "dossier", "x"):
            answer = await lan.send("/alerts/report", about=about, subject="nobody", text=SAW)
            assert answer.status_code == 404, about
        await kiem.open("/own")
        assert "/alerts/report" not in kiem.page
        assert (await kiem.send("/alerts/report", text=SAW)).status_code == 403


async def test_where_reports_are_switched_off_somebody_is_told_so(stage: desk.Stage) -> None:
    async with stage.signed_in("an", "security_officer") as an:
        rule = {"mode": "off", "least_score": "0", "reason": "chưa dùng"}
        assert (await an.send("/rules/reported", **rule)).status_code == 303
        answer = await an.send("/alerts/report", text=SAW)
    assert answer.status_code == 409
    assert "hãy báo trực tiếp" in answer.text
