"""What an operator does at the desk: finds the failing hop of a dossier, frees what is stuck, stops a target."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import desk
import payment_town
import post_town
import pytest
import sqlalchemy as sa
from post_town import CODE, FEE, Town

from lienthong.bus import delivery, jobs, targets
from lienthong.console.web import app, operator_outbox
from lienthong.core import clock, tables

TARGET = "dvcqg_adapter"
REASON = "đã sửa bảng ánh xạ"


@dataclass
class Desk:
    """A town with its desk."""

    town: Town
    stage: desk.Stage

    async def change(self, table: sa.Table, **values: Any) -> None:
        async with self.town.hub.storage.transaction() as tx:
            await tx.execute(table.update().values(**values))

    async def stick(self, code: str = "Server.Hub.UnmappedCode") -> list[str]:
        """Let every message be stuck for a cause."""
        now = self.town.hub.now()
        await self.change(tables.messages, state="dead", last_code=code, settled_at=now, attempts=1)
        rows = await self.town.rows(tables.messages)
        tried = {"started_at": now, "took_ms": 12.0, "outcome": "dead", "code": code, "detail": "mã hoan_thanh"}
        async with self.town.hub.storage.transaction() as tx:
            for row in rows:
                values = {"message_id": row["id"], "number": 1, "steps_done": 0, **tried}
                await tx.execute(tables.attempts.insert().values(**values))
        return [str(row["id"]) for row in rows]

    async def states(self) -> set[str]:
        return {row["state"] for row in await self.town.rows(tables.messages)}

    async def acts(self, name: str) -> list[dict[str, Any]]:
        return [row for row in await self.town.rows(tables.admin_acts) if row["act"] == name]


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with post_town.opened(tmp_path, database_url) as town:
        stage = desk.Stage(town.hub, desk.Time(clock.now()), app.create_app(town.hub))
        yield Desk(town, stage)


def _id_at(moment: datetime, number: int) -> str:
    """Give an id as it is made at a moment."""
    text = f"{int(moment.timestamp() * 1000):012x}"
    return f"{text[:8]}-{text[8:]}-7000-8000-{number:012d}"


def words(page: str) -> str:
    """Give a page as it is read."""
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


# --------------------------------------------------------------------------------------------------- the dossier


async def test_one_line_of_time_holds_every_story_of_a_dossier(world: Desk) -> None:
    await world.stick()
    view = await world.town.book(cod_vnd=FEE)
    await world.town.happens(view, "collected", "delivered", cod_collected_vnd=FEE)
    async with world.stage.signed_in("lan", "operator") as lan:
        answer = await lan.open(f"/dossiers/{CODE}")
        assert answer.status_code == 200
        told = words(lan.page)
        for said in ("khai hồ sơ", "lần 1", "mã hoan_thanh", "Đặt EMS phát kết quả", "Hẹn trả kết quả", "đã thu"):
            assert said in told, said
        await lan.open(f"/dossiers/{CODE}?story=post")
        assert "mã hoan_thanh" not in lan.page
        assert "báo hành trình" in lan.page


async def test_who_looked_for_a_dossier_that_is_not_there_was_told_to_declare_it_by_put(world: Desk) -> None:
    async with world.stage.signed_in("lan", "operator") as lan:
        assert (await lan.open("/dossiers/H38.15-260115-9999")).status_code == 404
        assert "Không có hồ sơ với mã này." in words(lan.page)
        assert "PUT" not in lan.page


async def test_dossiers_were_listed_by_the_codes_of_their_procedures_alone(world: Desk) -> None:
    async with world.stage.signed_in("lan", "operator") as lan:
        await lan.open("/dossiers")
        assert "Đăng ký khai sinh" in words(lan.page)
        assert "1.001193" in (await lan.client.get("/dossiers?export=csv")).text


async def test_personal_data_of_a_dossier_is_masked_until_a_reason_is_given(world: Desk) -> None:
    name, number = "Nguyễn Văn An", "001099000001"
    record = (await world.town.dossier())["record"]
    name, number = record.applicant.name, record.applicant.citizen_id
    async with world.stage.signed_in("lan", "operator") as lan:
        await lan.open(f"/dossiers/{CODE}")
        assert name not in lan.page
        assert number not in lan.page
        answer = await lan.send("/reveal", source="dossier.applicant", subject=CODE, reason="gọi cho người nộp")
        assert name in answer.text
    assert [row["reason"] for row in await world.acts("read.dossier.applicant")] == ["gọi cho người nộp"]


async def test_why_a_dossier_is_late_is_one_sentence_with_its_proof(world: Desk) -> None:
    ids = await world.stick()
    async with world.stage.signed_in("lan", "operator") as lan:
        await lan.open(f"/dossiers/{CODE}")
        assert "Cập nhật gửi Cổng DVCQG (nhận hồ sơ) trễ vì kẹt" in words(lan.page)
        assert f'href="/messages/{ids[0]}"' in lan.page
        await lan.open(f"/messages/{ids[0]}")
        assert "mã hoan_thanh" in lan.page


async def test_a_dossier_that_waits_for_a_paused_target_says_so(world: Desk) -> None:
    world.town.wait(hours=3)
    async with world.stage.signed_in("lan", "operator") as lan:
        await lan.send(f"/targets/{TARGET}/pause", reason="bảo trì đường truyền")
        await lan.open(f"/dossiers/{CODE}")
        assert "tạm dừng" in words(lan.page)
        assert "bảo trì đường truyền" in words(lan.page)


async def test_a_dossier_that_is_not_late_has_no_such_sentence(world: Desk) -> None:
    async with world.stage.signed_in("lan", "operator") as lan:
        await lan.open(f"/dossiers/{CODE}")
        assert 'class="risks"' not in lan.page


async def test_a_dossier_that_nobody_reports_on_is_told_as_silent(world: Desk) -> None:
    await world.town.declare("H38.15-260115-0009")
    await world.change(tables.messages, state="delivered")
    world.town.wait(days=9)
    async with world.stage.signed_in("lan", "operator") as lan:
        await lan.open("/dossiers/H38.15-260115-0009")
        assert "không có việc nào chờ ở trục" in words(lan.page)


# ------------------------------------------------------------------------------------------- what is stuck


async def test_what_is_stuck_is_grouped_by_cause_and_opens_to_rows_and_attempts(world: Desk) -> None:
    ids = await world.stick()
    async with world.stage.signed_in("lan", "operator") as lan:
        await lan.open("/messages")
        assert "Có mã chưa được khai trong bảng ánh xạ" in lan.page
        assert "bổ sung mã vào bảng ánh xạ" in lan.page
        await lan.open(f"/messages?state=dead&target={TARGET}&code=Server.Hub.UnmappedCode")
        assert all(f"/messages/{each}" in lan.page for each in ids)
        assert "đã xử lý xong" in words(lan.page)
        exported = await lan.open("/messages?state=dead&export=csv")
        assert CODE in exported.text


async def test_rows_of_messages_had_no_room_for_the_words_of_a_cause_beside_its_code(world: Desk) -> None:
    await world.stick()
    async with world.stage.signed_in("lan", "operator") as lan:
        await lan.open("/messages?state=dead")
        assert (
            '<option value="Server.Hub.UnmappedCode">Có mã chưa được khai trong bảng ánh xạ</option>' in lan.page
        )
        assert "<code>Server.Hub.UnmappedCode</code>" not in lan.page
        assert "Server.Hub.UnmappedCode" in (await lan.open("/messages?state=dead&export=csv")).text


async def test_a_dry_run_says_what_would_go_where_and_changes_nothing(world: Desk) -> None:
    ids = await world.stick()
    async with world.stage.signed_in("lan", "operator") as lan:
        await lan.send(f"/targets/{TARGET}/pause", reason="bảo trì")
        await lan.open(f"/messages/plan?act=retry&target={TARGET}&code=Server.Hub.UnmappedCode")
        told = words(lan.page)
        assert f"gửi lại {len(ids)} thông điệp" in told
        assert "xếp hàng, gửi khi nơi nhận hoạt động lại (tạm dừng: bảo trì)" in told
        assert f"Gửi lại {len(ids)} thông điệp" in told.partition("Vài thông điệp")[0].rpartition("Lý do")[0]
        assert f'href="/messages?state=dead&amp;target={TARGET}' in lan.page
    assert await world.states() == {"dead"}


async def test_a_dry_run_of_several_causes_offered_all_alike(world: Desk) -> None:
    await world.town.declare("H38.15-260115-0009")
    await world.town.finish("H38.15-260115-0009")
    first, *_ = await world.stick()
    async with world.town.hub.storage.transaction() as tx:
        changed = tables.messages.update().where(tables.messages.c.id == first)
        await tx.execute(changed.values(last_code="Server.Remote.Refused"))
    async with world.stage.signed_in("lan", "operator") as lan:
        await lan.open(f"/messages/plan?act=retry&target={TARGET}")
        told = words(lan.page)
        assert "bổ sung mã vào bảng ánh xạ" in told
        assert "Sửa hồ sơ ở phần mềm nguồn" in told


async def test_a_list_of_all_that_is_stuck_did_not_say_how_to_free_a_group(world: Desk) -> None:
    await world.stick()
    async with world.stage.signed_in("lan", "operator") as lan:
        await lan.open("/messages?state=dead")
        assert "Chọn nơi nhận, nguyên nhân hoặc hồ sơ" in lan.page
        await lan.open(f"/messages?state=dead&target={TARGET}")
        assert "Chọn nơi nhận, nguyên nhân hoặc hồ sơ" not in lan.page


async def test_what_waits_says_that_its_turn_has_come_and_why_its_target_is_stopped(world: Desk) -> None:
    async with world.stage.signed_in("lan", "operator") as lan:
        await lan.send(f"/targets/{TARGET}/pause", reason="bảo trì")
        for address in ("/messages", "/messages?state=pending"):
            await lan.open(address)
            assert "đang dừng nên chưa gửi: bảo trì" in words(lan.page)
            assert f'href="/targets/{TARGET}"' in lan.page
        assert "đã đến lượt" in lan.page
        assert "Gửi tiếp" in lan.page


async def test_a_whole_group_is_sent_again_for_a_reason(world: Desk) -> None:
    ids = await world.stick()
    group = {"target": TARGET, "code": "Server.Hub.UnmappedCode"}
    async with world.stage.signed_in("lan", "operator") as lan:
        assert (await lan.send("/messages/retry", **group)).status_code == 400
        assert (await lan.send("/messages/retry", reason=REASON)).status_code == 400
        assert await world.states() == {"dead"}
        assert (await lan.send("/messages/retry", reason=REASON, **group)).status_code == 303
        assert await world.states() == {"pending"}
        again = await lan.send("/messages/retry", reason=REASON, **group)
        assert again.status_code == 409
    (act,) = await world.acts("messages.retry")
    assert (act["actor"], act["reason"], act["after"]["messages"]) == ("lan", REASON, len(ids))


async def test_one_message_is_given_up_and_the_others_stay(world: Desk) -> None:
    first, *others = await world.stick()
    async with world.stage.signed_in("lan", "operator") as lan:
        await lan.open(f"/messages/{first}")
        assert (await lan.send("/messages/drop", id=first, reason="hồ sơ thử")).status_code == 303
    found = {row["id"]: row["state"] for row in await world.town.rows(tables.messages)}
    assert found == {first: "dropped", **dict.fromkeys(others, "dead")}


async def test_what_is_not_stuck_is_never_given_up(world: Desk) -> None:
    async with world.stage.signed_in("lan", "operator") as lan:
        answer = await lan.send("/messages/drop", target=TARGET, reason="thử bỏ")
        assert answer.status_code == 409
    assert await world.states() == {"pending"}


async def test_the_list_goes_on_to_its_next_page(world: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lienthong.console.web.operator_outbox.PAGE", 1)
    await world.town.declare("H38.15-260115-0009")
    await world.town.finish("H38.15-260115-0009")
    await world.stick()
    async with world.stage.signed_in("lan", "operator") as lan:
        await lan.open("/messages?state=dead")
        newest = re.findall(r'href="/messages/([0-9a-f-]{36})"', lan.page)
        (following,) = re.findall(r'href="([^"]*)" rel="next"', lan.page)
        await lan.open(following.replace("&amp;", "&"))
        older = re.findall(r'href="/messages/([0-9a-f-]{36})"', lan.page)
    assert len(newest) == len(older) == 1
    assert newest > older


# ------------------------------------------------------------------------------------------------- targets


async def test_a_pause_with_an_end_ends_by_itself(world: Desk) -> None:
    hub = world.town.hub
    until = (hub.now() + timedelta(hours=2)).astimezone(clock.VIETNAM)
    async with world.stage.signed_in("lan", "operator") as lan:
        done = await lan.send(f"/targets/{TARGET}/pause", reason="bảo trì", until=f"{until:%Y-%m-%dT%H:%M}")
        assert done.status_code == 303
        await lan.open("/targets")
        assert "bảo trì" in lan.page
    await drive(world)
    assert (await targets.get(hub.storage, TARGET)).state == targets.PAUSED
    world.town.wait(hours=3)
    await drive(world)
    assert (await targets.get(hub.storage, TARGET)).state != targets.PAUSED
    assert [row["kind"] for row in await world.town.events("targets.active")] == ["targets.active"]


async def drive(world: Desk) -> None:
    """Let the worker look at the target; the next hour's messages find nobody at the address."""
    await world.change(tables.messages, state="delivered")
    await delivery.drive(
        world.town.hub, TARGET, handlers=jobs.HANDLERS, stop=asyncio.Event(), wake=asyncio.Event(), idle_s=0.2
    )


async def test_a_pause_without_a_sensible_end_is_refused(world: Desk) -> None:
    async with world.stage.signed_in("lan", "operator") as lan:
        for until in ("2020-01-01T00:00", "hôm qua"):
            done = await lan.send(f"/targets/{TARGET}/pause", reason="bảo trì", until=until)
            assert done.status_code == 400
        assert (await lan.send("/targets/nobody/pause", reason="bảo trì")).status_code == 404
    assert (await targets.get(world.town.hub.storage, TARGET)).state == targets.ACTIVE


async def test_a_pause_is_taken_back_in_one_step(world: Desk) -> None:
    async with world.stage.signed_in("lan", "operator") as lan:
        await lan.send(f"/targets/{TARGET}/pause", reason="nhầm")
        await lan.open(f"/targets/{TARGET}")
        assert f'action="/targets/{TARGET}/resume"' in lan.page
        await lan.send(f"/targets/{TARGET}/resume", reason="hoàn tác")
    assert (await targets.get(world.town.hub.storage, TARGET)).state == targets.ACTIVE
    assert len(await world.acts("targets.paused")) == len(await world.acts("targets.active")) == 1


async def test_an_auditor_sees_the_pages_without_their_buttons(world: Desk) -> None:
    (first, *_) = await world.stick()
    async with world.stage.signed_in("kiem", "auditor") as auditor:
        for path in ("/messages", f"/messages/{first}", "/targets", f"/targets/{TARGET}", f"/dossiers/{CODE}"):
            assert (await auditor.open(path)).status_code == 200, path
            assert "/retry" not in auditor.page
            assert "/pause" not in auditor.page


async def test_every_page_is_there_when_there_is_nothing(world: Desk) -> None:
    for table in (tables.status_changes, tables.messages, tables.dossiers):
        async with world.town.hub.storage.transaction() as tx:
            await tx.execute(table.delete())
    async with world.stage.signed_in("lan", "operator") as lan:
        for path in ("/", "/dossiers", "/messages", "/messages?state=dead", "/targets"):
            assert (await lan.open(path)).status_code == 200, path
        assert (await lan.open("/dossiers/no-such-0001")).status_code == 404
        assert (await lan.open(f"/messages/{clock.new_id()}")).status_code == 404


def test_payment_town_and_post_town_speak_of_one_dossier() -> None:
    assert payment_town.CODE == CODE


async def test_the_days_figures_were_no_links_to_their_messages(world: Desk) -> None:
    async with world.stage.signed_in("lan", "operator") as lan:
        await lan.open("/")
        counted = re.search(r'<dd><a href="(/messages\?made=today)">(\d+)</a>', lan.page)
        assert counted
        answer = await lan.open(f"{counted[1]}&export=csv")
        assert len(answer.text.splitlines()) == int(counted[2]) + 1 > 1
        await lan.open(counted[1])
        assert "/messages/plan" not in lan.page
        await lan.open("/messages?made=late")
        assert "Không có thông điệp nào khớp" in lan.page


async def test_what_waited_too_long_a_week_ago_is_counted_as_it_stood_then(world: Desk) -> None:
    noon = operator_outbox.midnight(world.town.hub.now()) - timedelta(days=7) + timedelta(hours=12)
    row = (await world.town.rows(tables.messages))[0]
    async with world.town.hub.storage.transaction() as tx:
        for made, settled in ((9, 13), (9, 11), (11.5, 13)):
            at, id_ = noon + timedelta(hours=settled - 12), _id_at(noon + timedelta(hours=made - 12), settled)
            values = {**row, "id": id_, "seq": row["seq"] + settled * 10 + int(made), "state": "delivered"}
            await tx.execute(tables.messages.insert().values({**values, "settled_at": at}))
        late = operator_outbox.late(noon, is_past=True)
        assert (await tx.execute(sa.select(sa.func.count()).where(late))).scalar_one() == 1


async def test_what_waits_was_counted_with_messages_that_its_link_left_out(world: Desk) -> None:
    await world.change(tables.messages, state="in_flight")
    async with world.stage.signed_in("lan", "operator") as lan:
        for place in ("/", "/targets", f"/targets/{TARGET}", f"/systems/{TARGET}"):
            await lan.open(place)
            counted = re.search(
                r'<a href="(/messages\?state=[a-z]+&amp;target=dvcqg_adapter)">(\d+)</a>', lan.page
            )
            assert counted, place
            answer = await lan.open(f"{html.unescape(counted[1])}&export=csv")
            assert len(answer.text.splitlines()) == int(counted[2]) + 1 > 1, place


async def test_an_overdue_dossier_stood_in_the_list_as_if_it_had_no_day(world: Desk) -> None:
    due = world.town.hub.now() - timedelta(days=28)
    await world.change(tables.dossiers, due_at=due, status="processing", finished_at=None, returned_at=None)
    async with world.stage.signed_in("lan", "operator") as lan:
        await lan.open("/dossiers")
        over = re.search(r"quá (\d+) giờ", words(lan.page))
        assert over
        await lan.open(f"/dossiers/{CODE}")
        assert f"Quá hạn {over[1]} giờ làm việc" in words(lan.page)
