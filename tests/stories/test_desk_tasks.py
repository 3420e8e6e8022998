"""Tasks at the desks that no other story walks: accounts, keys confirmed, money asked about and concluded."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import builders
import desk
import payment_town
import pytest
import sqlalchemy as sa
from statement_files import as_csv, line, take

import lienthong
from lienthong.api_keys import keys
from lienthong.bus.flows import payment_watch
from lienthong.console.web import app, words
from lienthong.core import errors, money, storage, tables

HUB = Path(lienthong.__file__).parent
FIRST = "mat-khau-lan-dau-1"


@pytest.fixture
async def stage(tmp_path: Path, database_url: str) -> AsyncIterator[desk.Stage]:
    time = desk.Time()
    chosen = {"identity_provider": "dvcqg_sso"}
    async with builders.running_hub(
        tmp_path / "home", database_url=database_url, now=time, systems=builders.NOBODY, console=chosen
    ) as hub:
        yield desk.stage(hub, time)


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[payment_town.Town]:
    chosen = {"two_people_above_vnd": 10_000_000, "statement_two_people": True}
    async with payment_town.opened(tmp_path, database_url, **chosen) as opened:
        yield opened


def at_the_desk(town: payment_town.Town) -> desk.Stage:
    return desk.Stage(town.hub, desk.Time(town.hub.now()), app.create_app(town.hub))


async def acts(stage: desk.Stage, act: str) -> list[tuple[str, str]]:
    table = tables.admin_acts
    async with stage.hub.storage.reading() as conn:
        found: list[dict[str, Any]] = await storage.every(conn, sa.select(table).where(table.c.act == act))
    return [(row["actor"], row["reason"]) for row in found if row["outcome"] == "done" and row["actor"] != "test"]


def test_nine_acts_stood_in_the_trail_as_codes() -> None:
    begins = r"(?:write_act\(\s*\w+,|\bAct\(|note\(\s*(?:hub, )?tx,|read_by\(\s*[\w.]+,)"
    written = re.compile(begins + r"""\s*"([a-z_]+\.[a-z_.]+)\"""")
    found = {act for path in HUB.rglob("*.py") for act in written.findall(path.read_text(encoding="utf-8"))}
    assert len(found) > 50
    assert {act for act in found if f"acts.{act.replace('.', '_')}" not in words.every()} == set()


# ------------------------------------------------------------------------------------------------- accounts


async def test_who_forgot_the_password_gets_a_first_one_and_changes_it(stage: desk.Stage) -> None:
    async with stage.signed_in("minh", "operator") as minh, stage.signed_in("quan", "administrator") as quan:
        await quan.open("/accounts")
        await quan.open("/accounts/minh")
        path = f"/accounts/{minh_id(quan.page)}/password"
        assert (await quan.send(path, password=FIRST, reason="")).status_code == 400
        assert (await quan.send(path, password=FIRST, reason="quên mật khẩu")).status_code == 303
        await minh.open("/")
        assert "Đăng nhập" in minh.page
        await minh.sign_in("minh", FIRST)
        assert "Mật khẩu do người khác đặt" in minh.page
    assert await acts(stage, "accounts.password") == [("quan", "quên mật khẩu")]


def minh_id(page: str) -> str:
    return page.split('action="/accounts/')[1].split("/")[0]


async def test_a_password_is_changed_once_it_is_older_than_the_province_allows(
    tmp_path: Path, database_url: str
) -> None:
    time, chosen = desk.Time(), {"password_days": 90}
    async with builders.running_hub(
        tmp_path / "old", database_url=database_url, now=time, systems=builders.NOBODY, console=chosen
    ) as hub:
        place = desk.stage(hub, time)
        await place.add("lan", "operator")
        async with place.visitor() as lan:
            await lan.sign_in("lan")
            assert "Tổng quan" in lan.page
            time.pass_by(days=91)
            await lan.sign_in("lan")
            assert "Mật khẩu đã dùng quá 90 ngày" in lan.page
            assert "quá 90 ngày" in (await lan.open("/messages")).text
            same = await lan.send("/own/password", old=desk.PASSWORD, new=desk.PASSWORD, again=desk.PASSWORD)
            assert same.status_code == 400
            await lan.send("/own/password", old=desk.PASSWORD, new=FIRST, again=FIRST)
            assert "Tổng quan" in (await lan.open("/")).text


async def test_an_account_is_shut_and_opened_again_in_one_step(stage: desk.Stage) -> None:
    async with stage.signed_in("minh", "operator") as minh, stage.signed_in("quan", "administrator") as quan:
        await quan.open("/accounts/minh")
        path = f"/accounts/{minh_id(quan.page)}"
        answer = await quan.send(f"{path}/disable", reason="nghỉ thai sản")
        await quan.open(answer.headers["location"])
        assert f'action="{path}/enable"' in quan.page
        assert (await minh.sign_in("minh")).status_code == 400
        assert (await quan.send(f"{path}/enable", reason="đi làm lại")).status_code == 303
        assert (await minh.sign_in("minh")).status_code == 303
    assert await acts(stage, "accounts.enable") == [("quan", "đi làm lại")]


async def test_an_officer_puts_somebody_out_and_may_do_nothing_else_to_the_account(stage: desk.Stage) -> None:
    async with stage.signed_in("minh", "operator") as minh, stage.signed_in("an", "security_officer") as an:
        await an.open("/accounts/minh")
        path = f"/accounts/{minh_id(an.page)}"
        assert f'action="{path}/sessions/end"' in an.page
        assert f'action="{path}/disable"' not in an.page
        assert (await an.send(f"{path}/sessions/end", reason="máy bị mất")).status_code == 303
        await minh.open("/")
        assert "Đăng nhập" in minh.page
    assert ("an", "máy bị mất") in await acts(stage, "sessions.revoke")


async def test_an_identity_is_registered_and_belongs_to_one_account(stage: desk.Stage) -> None:
    other = await stage.add("other", "operator")
    async with stage.signed_in("minh", "operator"), stage.signed_in("quan", "administrator") as quan:
        await quan.open("/accounts/minh")
        path = f"/accounts/{minh_id(quan.page)}/link"
        assert (await quan.send(path, key="dvcqg-0001", reason="CV 12")).status_code == 303
        taken = await quan.send(f"/accounts/{other.id}/link", key="dvcqg-0001", reason="CV 13")
        assert taken.status_code == 409
        assert (await quan.send(path, key="", reason="đổi số")).status_code == 303
        assert (await quan.send(f"/accounts/{other.id}/link", key="dvcqg-0001", reason="CV 13")).status_code == 303


async def test_a_kept_search_is_dropped_by_who_kept_it(stage: desk.Stage) -> None:
    async with stage.signed_in("an", "security_officer") as an:
        await an.open("/records")
        await an.send("/views", place="records", name="chỉ lượt được", query="outcome=ok", to="/records")
        await an.open("/records")
        assert "chỉ lượt được" in an.page
        view = an.page.split('name="view" value="')[1].split('"')[0]
        assert (await an.send("/views/drop", view=view, to="/records")).headers["location"] == "/records"
        await an.open("/records")
        assert "chỉ lượt được" not in an.page
        assert (await an.send("/views", place="nowhere", name="x", query="")).status_code == 404


async def test_a_key_that_nobody_confirmed_is_confirmed_at_its_page(stage: desk.Stage) -> None:
    issued = await builders.issue_key(stage.hub)
    async with stage.signed_in("khoa", "key_manager") as khoa:
        await khoa.open(f"/keys/{issued.record.id}")
        assert "/confirm" in khoa.page
        answer = await khoa.send(f"/keys/{issued.record.id}/confirm", reason="đơn vị vẫn dùng")
        assert answer.status_code == 303
    record = await keys.show(stage.hub.storage, issued.record.id)
    assert record.confirmed_by == "khoa"


# ---------------------------------------------------------------------------------------------------- money


async def test_why_an_intermediary_was_asked_was_written_nowhere(town: payment_town.Town) -> None:
    view = await town.start()
    town.bank.says = town.bank.news(view.reference)
    place = at_the_desk(town)
    async with place.signed_in("lan", "operator") as lan:
        await lan.open(f"/payments/{view.id}")
        assert (await lan.send(f"/payments/{view.id}/ask", reason="")).status_code == 400
        assert (await lan.send(f"/payments/{view.id}/ask", reason="dân đã trả tiền")).status_code == 303
    assert await town.state(view) == "paid"
    assert await acts(place, "payments.ask") == [("lan", "dân đã trả tiền")]


async def test_a_refund_that_nobody_knows_of_is_concluded_by_a_person(town: payment_town.Town) -> None:
    view = await town.start()
    await town.hear(view)
    town.bank.gives_back = errors.OutcomeUnknown(system="vnpay")
    place = at_the_desk(town)
    async with place.signed_in("lan", "operator") as lan:
        await lan.send(f"/payments/{view.id}/refunds", amount="50.000", reason="rút hồ sơ")
        town.wait(hours=1)
        await payment_watch.run(town.hub)
        await lan.sign_in("lan")
        (refund,) = await town.rows(tables.payment_refunds)
        await lan.open(f"/payments/{view.id}")
        path = f"/refunds/{refund['id']}/resolve"
        assert f'action="{path}"' in lan.page
        assert (await lan.send(path, outcome="done", reason="")).status_code == 400
        assert (await lan.send(path, outcome="done", reason="VNPAY xác nhận đã hoàn")).status_code == 303
        assert (await lan.send(path, outcome="refused", reason="đổi ý")).status_code == 409
    assert [row["state"] for row in await town.rows(tables.payment_refunds)] == ["done"]
    town.bank.gives_back = money.RefundNews(state="done")
    assert len(town.bank.refunds) == 1


async def test_a_statement_waits_for_a_second_person(town: payment_town.Town) -> None:
    view = await town.start()
    await town.hear(view)
    done = await take(town, as_csv([line("LT260115000000BBBBBB", "N9")]), provider="vietqr", by="lan")
    place = at_the_desk(town)
    assert done.state == "waiting"
    async with place.signed_in("lan", "operator") as lan, place.signed_in("minh", "operator") as minh:
        path = f"/reconciliation/{done.id}/approve"
        assert (await lan.send(path)).status_code == 403
        await minh.open(f"/reconciliation/{done.id}")
        assert f'action="{path}"' in minh.page
        assert (await minh.send(path)).status_code == 303
        assert (await minh.send(path)).status_code == 409
    assert [actor for actor, _ in await acts(place, "reconcile.approve")] == ["minh"]
