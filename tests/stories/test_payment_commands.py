"""Payments at the desk: what an operator types, two people for money that goes back, refunds to their end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import openpyxl
import payment_town
import pytest
import statement_files
from payment_town import FEE, Town
from typer.testing import CliRunner, Result

from lienthong.bus.flows import payment_refund, payment_views, payment_watch
from lienthong.console.cli import main
from lienthong.core import clock, errors, money, tables


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with payment_town.opened(tmp_path, database_url, two_people_above_vnd=100_000) as opened:
        yield opened


async def ask_back(town: Town, *, by: str = "ketoan01", amount: int | None = None) -> payment_views.RefundView:
    view = await statement_files.paid(town)
    reason = "Rút hồ sơ"
    return await payment_refund.request_at_desk(town.hub, view.id, amount_vnd=amount, reason=reason, by=by)


# ------------------------------------------------------------------------------------------------ two people


async def test_a_person_of_the_hub_asks_and_another_approves(town: Town) -> None:
    refund = await ask_back(town)
    assert (refund.state, town.bank.refunds) == ("waiting", [])
    for same in ("ketoan01", " KETOAN01 "):
        with pytest.raises(errors.NotGranted):
            await payment_refund.approve(town.hub, refund.id, by=same)
    assert (await payment_refund.approve(town.hub, refund.id, by="lanhdao02")).state == "done"
    acts = [row["act"] for row in await town.rows(tables.admin_acts)]
    assert acts == ["payments.refund_request", "payments.refund_approve"]
    (row,) = await town.rows(tables.payment_refunds)
    assert (row["requested_through"], row["requested_key_id"]) == ("desk", None)


async def test_what_sector_software_says_of_who_asked_is_kept_as_just_that(town: Town) -> None:
    view = await statement_files.paid(town)
    wanted = payment_views.RefundRequest(reason="Rút hồ sơ", requested_by="lanhdao02")
    caller = payment_town.caller()
    refund = await payment_refund.request(town.hub, view.id, wanted, caller=caller)
    (row,) = await town.rows(tables.payment_refunds)
    assert (row["requested_through"], row["requested_key_id"]) == ("api", caller.key_id)
    with pytest.raises(errors.NotGranted):
        await payment_refund.approve(town.hub, refund.id, by="lanhdao02")
    assert (await payment_refund.approve(town.hub, refund.id, by="ketoan01")).state == "done"


@pytest.mark.parametrize("amount", [FEE + 1, 10**15])
async def test_more_than_came_in_is_refused_in_words(town: Town, amount: int) -> None:
    with pytest.raises((errors.Conflict, errors.InvalidRequest)) as refused:
        await ask_back(town, amount=amount)
    assert refused.value.detail("vi") != refused.value.detail("en")


# ------------------------------------------------------------------------------------------ refunds followed


def answering(town: Town, answer: Any) -> list[money.RefundOrder]:
    """Let the intermediary be asked about refunds; gives what it was asked."""
    asked: list[money.RefundOrder] = []

    async def query_refund(order: money.RefundOrder) -> money.RefundNews:
        asked.append(order)
        if isinstance(answer, errors.HubError):
            raise answer
        return answer

    town.bank.query_refund = query_refund  # type: ignore[attr-defined]
    return asked


async def accepted(town: Town) -> payment_views.RefundView:
    town.bank.gives_back = money.RefundNews(state="accepted", provider_reference="R7")
    refund = await ask_back(town, amount=50_000)
    assert refund.state == "accepted"
    return refund


@pytest.mark.parametrize(("said", "state"), [("done", "done"), ("refused", "refused")])
async def test_an_accepted_refund_is_asked_about_until_its_end(town: Town, said: Any, state: str) -> None:
    refund = await accepted(town)
    asked = answering(town, money.RefundNews(state="pending"))
    for _ in range(3):
        town.wait(hours=2)
        await payment_watch.run(town.hub)
    assert {order.request_number for order in asked} == {refund.request_number}
    assert [row["state"] for row in await town.rows(tables.payment_refunds)] == ["accepted"]
    assert (len(town.bank.refunds), await town.questions()) == (1, [])
    answering(town, money.RefundNews(state=said))
    town.wait(hours=6)
    assert (await payment_watch.run(town.hub)).refunds_asked == 1
    (row,) = await town.rows(tables.payment_refunds)
    (payment,) = await town.rows(tables.payments)
    assert (row["state"], row["query_at"], payment["state"]) == (state, None, "paid")
    assert payment["refunded_vnd"] == (50_000 if state == "done" else 0)


@pytest.mark.parametrize(
    "answer", [None, money.RefundNews(state="pending"), errors.RemoteUnavailable(system="vnpay")]
)
async def test_an_accepted_refund_without_an_end_is_left_to_a_person_once(town: Town, answer: Any) -> None:
    refund = await accepted(town)
    if answer is not None:
        answering(town, answer)
    for _ in range(16):
        town.wait(hours=6)
        await payment_watch.run(town.hub)
    assert await town.questions() == ["refund_silent"]
    why = "Sao kê cho thấy đã hoàn"
    await payment_refund.resolve(town.hub, refund.id, outcome="done", by="ketoan01", reason=why)
    assert [row["state"] for row in await town.rows(tables.payment_refunds)] == ["done"]


async def test_two_watches_at_once_ask_once(town: Town) -> None:
    await accepted(town)
    asked = answering(town, money.RefundNews(state="pending"))
    town.wait(hours=2)
    await asyncio.gather(*(payment_watch.run(town.hub) for _ in range(5)))
    assert len(asked) == 1


# ------------------------------------------------------------------------------------------------- the desk


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """A hub in which something was paid, and the command line pointed at it; `as_`: who types."""

    async def prepared() -> None:
        async with payment_town.opened(tmp_path / "home") as town:
            town.clock[0] = clock.now()
            await statement_files.paid(town)
            late = await town.start(obligation="khac", amount_vnd=FEE)
            await town.hear(late, state="failed", provider_reference="N1")
            await town.hear(late, provider_reference="N2")

    asyncio.run(prepared())
    monkeypatch.setenv("LIENTHONG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LIENTHONG_PAYMENTS__TWO_PEOPLE_ABOVE_VND", "100000")
    monkeypatch.chdir(tmp_path)

    def run(*words: str, as_: str = "ketoan01") -> Result:
        monkeypatch.setenv("LOGNAME", as_)
        return CliRunner().invoke(main.app, list(words))

    return run


def read(done: Result) -> Any:
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_an_operator_lists_shows_and_asks(desk: Callable[..., Result]) -> None:
    rows = read(desk("payments", "list", "--json"))
    assert {row["state"] for row in rows} == {"paid", "needs_person"}
    assert "record" not in rows[0]
    assert "Nguyễn Văn Mẫu" not in desk("payments", "list").output
    (paid,) = read(desk("payments", "list", "--state", "paid", "--json"))
    found = read(desk("payments", "show", paid["reference"], "--json"))
    assert (found["payment"]["id"], found["obligation"]["state"]) == (paid["id"], "paid")
    assert [row["verdict"] for row in found["messages"]] == ["recorded"]
    shown = desk("payments", "show", paid["id"])
    assert (shown.exit_code, "Nguyễn" in shown.output) == (0, False)
    asked = desk("payments", "query", paid["id"])
    assert (asked.exit_code, "Lỗi" in asked.stderr) == (1, True)
    assert desk("payments", "show", "nothing").exit_code == 1
    assert read(desk("payments", "watch", "--json"))["asked"] == 0


def test_a_question_is_decided_with_a_reason(desk: Callable[..., Result]) -> None:
    (question,) = read(desk("payments", "questions", "--json"))
    assert question["kind"] == "paid_late"
    assert desk("payments", "decide", question["id"], "--reason", "x").exit_code == 2
    assert desk("payments", "decide", question["id"], "--accept", "--reason", " ").exit_code == 2
    assert desk("payments", "decide", question["id"], "--accept", "--reason", "Đã đối chiếu").exit_code == 0
    assert read(desk("payments", "questions", "--json")) == []
    assert {row["state"] for row in read(desk("payments", "list", "--json"))} == {"paid"}
    again = desk("payments", "decide", question["id"], "--noted", "--reason", "lần nữa")
    assert (again.exit_code, "đã được giải quyết" in again.stderr) == (1, True)


def test_money_goes_back_by_two_people_and_by_hand_where_nobody_can_be_asked(desk: Callable[..., Result]) -> None:
    (paid,) = read(desk("payments", "list", "--state", "paid", "--json"))
    refund = read(desk("payments", "refund", "request", paid["id"], "--reason", "Rút hồ sơ", "--json"))
    assert refund["state"] == "waiting"
    same = desk("payments", "refund", "approve", refund["id"])
    assert (same.exit_code, "không được tự duyệt" in same.stderr) == (1, True)
    said = ("payments", "refund", "approve", refund["id"], "--reason", "Đúng tờ trình", "--json")
    done = read(desk(*said, as_="lanhdao02"))
    assert done["state"] == "with_person"
    (open_one,) = read(desk("payments", "refund", "list", "--json"))
    assert (open_one["requested_by"], open_one["approved_by"]) == ("ketoan01", "lanhdao02")
    words = ("payments", "refund", "resolve", refund["id"], "--done", "--reason", "Đã chuyển khoản", "--json")
    assert read(desk(*words))["state"] == "done"
    assert read(desk("payments", "refund", "list", "--json")) == []


def test_what_a_second_person_declines_stays_paid(desk: Callable[..., Result]) -> None:
    (paid,) = read(desk("payments", "list", "--state", "paid", "--json"))
    refund = read(desk("payments", "refund", "request", paid["reference"], "--reason", "Rút hồ sơ", "--json"))
    words = ("payments", "refund", "decline", refund["id"], "--reason", "Đã trả kết quả", "--json")
    assert read(desk(*words, as_="lanhdao02"))["state"] == "declined"
    assert len(read(desk("payments", "list", "--state", "paid", "--json"))) == 1


def test_books_are_reconciled_from_the_command_line(desk: Callable[..., Result], tmp_path: Path) -> None:
    (paid,) = read(desk("payments", "list", "--state", "paid", "--json"))
    now = clock.now()
    lines = [statement_files.line(paid["reference"], "N9", FEE - 1, at=now)]
    file = tmp_path / "sao-ke.csv"
    file.write_bytes(statement_files.as_csv(lines))
    day = f"{now.astimezone(clock.VIETNAM):%Y-%m-%d}"
    words = ("reconcile", "import", str(file), "--provider", "vnpay", "--shape", "neutral", "--json")
    first = read(desk(*words))
    assert (first["state"], read(desk(*words))["repeated"]) == ("done", True)
    rows = read(desk("reconcile", "list", "--json"))
    assert "amount_differs" in {row["kind"] for row in rows}
    assert len(read(desk("reconcile", "show", first["id"], "--json"))["differences"]) == len(rows)
    assert read(desk("reconcile", "list", "--runs", "--json"))[0]["made_by"] == "ketoan01"
    assert desk("reconcile", "close", rows[0]["id"], "--reason", "Đã đối chiếu").exit_code == 0
    assert len(read(desk("reconcile", "list", "--json"))) == len(rows) - 1
    for name in ("doi-soat.html", "doi-soat.xlsx"):
        made = desk("reconcile", "report", "--from", "2026-01-01", "--to", day, "--out", str(tmp_path / name))
        assert made.exit_code == 0, made.output
    assert "Đối soát" in (tmp_path / "doi-soat.html").read_text(encoding="utf-8").replace("đối", "Đối")
    assert "Tổng hợp" in openpyxl.load_workbook(tmp_path / "doi-soat.xlsx").sheetnames
    assert desk("reconcile", "run").exit_code == 0
    assert desk("reconcile", "import", str(file), "--provider", "nobody").exit_code == 1
    assert desk("reconcile", "approve", first["id"]).exit_code == 1
