"""Our book against theirs: every way to differ has a name, only a verified word moves money; on both databases."""

from __future__ import annotations

import asyncio
import dataclasses
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import openpyxl
import payment_town
import pytest
import statement_files
from payment_town import FEE, NOW, Town
from statement_files import TODAY, as_csv, as_xlsx, found, line, number_of, paid, take, transfer

from lienthong.bus.flows import (
    payment_refund,
    payment_watch,
    reconciliation,
    reconciliation_daily,
    reconciliation_files,
    reconciliation_sums,
)
from lienthong.connectors.vietqr import connector as vietqr
from lienthong.console import reconciliation_report
from lienthong.core import errors, money, tables
from lienthong.mappings import statement_shapes
from lienthong.sandbox import payment_book, statements

AT = NOW + timedelta(minutes=5)


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with payment_town.opened(tmp_path, database_url) as opened:
        yield with_transfers(opened)


def with_transfers(opened: Town) -> Town:
    """Let the town be paid by bank transfer too: the real connector, which nobody calls and nobody answers for."""
    chosen = vietqr.Settings(enabled=True, bank_bin="970436", account="0011223344", reference_key="k" * 40)
    transfers = vietqr.Connector(chosen, None)  # type: ignore[arg-type]
    opened.hub = dataclasses.replace(opened.hub, systems={**opened.hub.systems, "vietqr": transfers})
    return opened


async def refunded(town: Town, name: str, amount: int) -> tuple[Any, str]:
    view = await paid(town, name)
    done = await payment_refund.request_at_desk(
        town.hub, view.id, amount_vnd=amount, reason="Rút hồ sơ", by="ketoan01"
    )
    return view, done.request_number


# ------------------------------------------------------------------------------------------------ agreeing


@pytest.mark.parametrize("write", [as_csv, as_xlsx])
async def test_books_that_agree_have_no_difference_and_confirm_each_other(town: Town, write: Any) -> None:
    view, other = await paid(town), await paid(town, "khac")
    raw = write([line(one.reference, number_of(one), at=AT) for one in (view, other)])
    done = await take(town, raw)
    assert (done.state, await found(town)) == ("done", [])
    assert {row["confirmed_by"] for row in await town.rows(tables.payments)} == {"statement"}


async def test_the_same_statement_twice_is_one(town: Town) -> None:
    raw = as_csv([line("LT260115000000AAAAAA", "N1")])
    first, second = await take(town, raw), await take(town, raw)
    assert (first.id, first.repeated, second.id, second.repeated) == (first.id, False, first.id, True)
    assert len(await town.rows(tables.reconciliations)) == 1
    assert await found(town) == [("unknown_reference", None, FEE)]


async def test_the_same_statement_ten_times_at_once_is_one(town: Town) -> None:
    view = await paid(town)
    raw = as_csv([line(view.reference, number_of(view), FEE + 1, at=AT)])
    done = await asyncio.gather(*(take(town, raw) for _ in range(10)))
    assert len({one.id for one in done}) == 1
    assert await found(town) == [("amount_differs", FEE, FEE + 1)]


async def test_a_difference_stands_once_whatever_file_tells_of_it(town: Town) -> None:
    first = line("LT260115000000AAAAAA", "N1")
    await take(town, as_csv([first]))
    await take(town, as_csv([first, line("LT260115000000BBBBBB", "N2", state="failed")]))
    assert await found(town) == [("unknown_reference", None, FEE)]


# ----------------------------------------------------------------------------------------------- differing


async def test_every_kind_of_difference_is_named(town: Town) -> None:
    views = {name: await paid(town, name) for name in ("amount", "state", "twice", "gone")}
    waiting = await town.start(obligation="waiting", amount_vnd=FEE)
    view, number = await refunded(town, "refund", 50_000)
    lines = [
        line(views["amount"].reference, number_of(views["amount"]), FEE - 10_000, at=AT),
        line(views["state"].reference, number_of(views["state"]), state="failed", at=AT),
        line(views["twice"].reference, number_of(views["twice"]), at=AT),
        line(views["twice"].reference, "N-another", at=AT),
        line(waiting.reference, "N-late", at=AT, fee=1_100),
        line("LT260115000000NOBODY", "N-nobody", 70_000, at=AT),
        line(view.reference, number_of(view), at=AT),
        line(number, "R1", 40_000, at=AT, kind="refund"),
        line(view.reference, "R9", 5_000, at=AT, kind="refund"),
    ]
    await take(town, as_csv(lines))
    assert await found(town) == [
        ("amount_differs", FEE, FEE - 10_000),
        ("fee_noted", None, 1_100),
        ("missing_with_them", FEE, None),
        ("missing_with_us", 0, FEE),
        ("refund_differs", None, 5_000),
        ("refund_differs", 50_000, 40_000),
        ("state_differs", FEE, FEE),
        ("twice_with_them", FEE, FEE),
        ("unknown_reference", None, 70_000),
    ]
    assert len(await town.events("reconciliation.differences")) == 1


async def test_a_report_of_an_intermediary_moves_no_money_but_lets_it_be_asked(town: Town) -> None:
    silent, heard = await town.start(), await town.start(obligation="khac", amount_vnd=FEE)
    raw = as_csv([line(one.reference, "N1" + one.reference[-3:], at=AT) for one in (silent, heard)])
    town.bank.says = None
    real = town.bank.query

    async def query(order: money.PaymentOrder) -> money.PaymentNews:
        known = order.reference == heard.reference
        return town.bank.news(order.reference, paid_at=AT) if known else await real(order)

    town.bank.query = query  # type: ignore[method-assign]
    await take(town, raw)
    assert (await town.state(silent), await town.state(heard)) == ("pending", "paid")
    assert await found(town) == [("missing_with_us", 0, FEE)]


async def test_what_they_write_into_the_next_day_is_not_missing(town: Town) -> None:
    town.clock[0] = NOW.replace(hour=23, minute=50)
    view = await town.start()
    await town.hear(view, paid_at=town.clock[0] + timedelta(minutes=5))
    assert (await take(town, as_csv([]))).state == "done"
    assert await found(town) == []
    tomorrow = TODAY + timedelta(days=1)
    await take(
        town, as_csv([line("x", "y", state="failed", at=NOW + timedelta(days=1))]), since=tomorrow, until=tomorrow
    )
    assert await found(town) == [("missing_with_them", FEE, None)]


async def test_a_refund_that_no_statement_tells_of(town: Town) -> None:
    view, _ = await refunded(town, "refund", 50_000)
    await take(town, as_csv([line(view.reference, number_of(view), at=AT)]))
    assert await found(town) == [("refund_differs", 50_000, None)]


async def test_a_difference_is_closed_by_a_person_with_a_reason_and_moves_nothing(town: Town) -> None:
    view = await town.start()
    await take(town, as_csv([line(view.reference, "N1", at=AT)]))
    (row,) = await reconciliation.differences(town.hub)
    await reconciliation.close(town.hub, row["id"], by="ketoan01", reason="Đã đối chiếu")
    assert (await found(town), await town.state(view)) == ([], "pending")
    (closed,) = await reconciliation.differences(town.hub, open_only=False)
    assert (closed["closed_by"], closed["reason"]) == ("ketoan01", "Đã đối chiếu")
    with pytest.raises(errors.Conflict):
        await reconciliation.close(town.hub, row["id"], by="ketoan02", reason="lần nữa")
    acts = {row["act"] for row in await town.rows(tables.admin_acts)}
    assert acts == {"reconcile.import", "reconcile.close"}


# --------------------------------------------------------------------------------------------- bank transfers


async def note_of(town: Town, view: Any) -> str:
    (row,) = [row for row in await town.rows(tables.payments) if row["id"] == view.id]
    return str(row["provider_reference"])


def bank(*lines: Any) -> bytes:
    return as_csv(lines, statement_files.BANK_HEAD)


async def of_bank(town: Town, raw: bytes, **changed: Any) -> reconciliation.Outcome:
    return await take(town, raw, provider="vietqr", shape="bank", **changed)


async def test_a_transfer_is_paid_when_a_person_imports_the_bank_s_statement(town: Town) -> None:
    view = await town.start(provider="vietqr")
    memo = f"MBVCB FT26015 {await note_of(town, view)} CHUYEN KHOAN NHANH"
    done = await of_bank(town, bank(transfer(memo, "FT1", at=AT), transfer("TIEN DIEN", "FT2", debit=9_000)))
    assert (await town.state(view), dict(done.counts)["settled_recorded"]) == ("paid", 1)
    (row,) = await town.rows(tables.payments)
    assert (row["settled_by"], row["paid_reference"], row["paid_at"]) == ("statement", "FT1", AT)
    assert await found(town) == []
    assert (await town.dossier()).online_payment == "other_gateway"
    await of_bank(town, bank(transfer(memo, "FT1", at=AT), transfer("KHAC", "FT3", debit=1)))
    (obligation,) = await town.rows(tables.obligations)
    assert (obligation["state"], await town.questions(), await found(town)) == ("paid", [], [])


async def test_a_memo_that_a_bank_broke_into_lines_is_read(town: Town) -> None:
    view = await town.start(provider="vietqr")
    note = await note_of(town, view)
    await of_bank(town, bank(transfer(f"ck {note[:9].lower()} {note[9:]} ok", "FT1", at=AT)))
    assert await town.state(view) == "paid"


@pytest.mark.parametrize("change", ["tail", "reference", "none", "two"])
async def test_a_memo_that_does_not_carry_the_whole_note_pays_nothing(town: Town, change: str) -> None:
    view = await town.start(provider="vietqr")
    note = await note_of(town, view)
    memo = {
        "tail": note[:20] + "AAAAA",
        "reference": note[:20],
        "none": "nop le phi ho so",
        "two": f"{note} LT260115090000ABCDEFGHIJK",
    }[change]
    await of_bank(town, bank(transfer(memo, "FT1", at=AT)))
    assert (await town.state(view), await found(town)) == ("pending", [("unknown_reference", None, FEE)])


async def test_a_transfer_of_another_amount_is_for_a_person(town: Town) -> None:
    view = await town.start(provider="vietqr")
    await of_bank(town, bank(transfer(await note_of(town, view), "FT1", FEE - 1_000, at=AT)))
    assert (await town.state(view), await town.questions()) == ("needs_person", ["amount_differs"])
    assert await found(town) == [("amount_differs", FEE, FEE - 1_000)]


async def test_a_code_paid_twice_counts_once_and_asks(town: Town) -> None:
    view = await town.start(provider="vietqr")
    note = await note_of(town, view)
    await of_bank(town, bank(transfer(note, "FT1", at=AT), transfer(note, "FT2", at=AT)))
    assert (await town.state(view), await town.questions()) == ("paid", ["paid_twice"])
    assert await found(town) == [("twice_with_them", FEE, FEE)]


async def test_a_transfer_waits_days_for_its_statement_and_only_then_runs_out(town: Town) -> None:
    view = await town.start(provider="vietqr")
    for _ in range(12):
        town.wait(hours=6)
        await payment_watch.run(town.hub)
    assert (await town.state(view), await town.questions()) == ("pending", [])
    for _ in range(4):
        town.wait(hours=6)
        await payment_watch.run(town.hub)
    assert await town.state(view) == "expired"
    await of_bank(town, bank(transfer(await note_of(town, view), "FT1", at=AT)))
    assert (await town.state(view), await town.questions()) == ("needs_person", ["paid_late"])


async def test_two_people_where_the_settings_ask_for_two(database_url: str, tmp_path: Path) -> None:
    async with payment_town.opened(tmp_path, database_url, statement_two_people=True) as opened:
        town = with_transfers(opened)
        view = await town.start(provider="vietqr")
        done = await of_bank(town, bank(transfer(await note_of(town, view), "FT1", at=AT)))
        assert (done.state, await town.state(view)) == ("waiting", "pending")
        with pytest.raises(errors.NotGranted):
            await reconciliation.approve(town.hub, done.id, by=" KeToan01")
        assert (await reconciliation.approve(town.hub, done.id, by="lanhdao02")).state == "done"
        assert await town.state(view) == "paid"
        with pytest.raises(errors.Conflict):
            await reconciliation.approve(town.hub, done.id, by="lanhdao02")


# ---------------------------------------------------------------------------------------------------- daily


async def test_what_only_a_callback_told_of_is_asked_about_the_next_day(town: Town) -> None:
    views = [await paid(town, name) for name in ("mot", "hai")]
    town.bank.says = None
    assert (await reconciliation_daily.run(town.hub)).asked == 0
    town.wait(days=1)

    async def query(order: money.PaymentOrder) -> money.PaymentNews:
        same = order.reference == views[0].reference
        return town.bank.news(order.reference, state="paid" if same else "failed")

    town.bank.query = query  # type: ignore[method-assign]
    report = await reconciliation_daily.run(town.hub)
    assert (report.asked, report.confirmed, report.differences) == (2, 1, 1)
    assert await found(town) == [("state_differs", FEE, FEE)]
    assert await town.questions() == ["ended_after_paid"]
    again = await reconciliation_daily.run(town.hub)
    assert (again.asked, again.differences) == (1, 0)


async def test_an_intermediary_that_is_away_is_asked_again_the_day_after(town: Town) -> None:
    await paid(town)
    town.wait(days=1)
    town.bank.says = errors.RemoteUnavailable(system="vnpay")
    assert (await reconciliation_daily.run(town.hub)).silent == 1
    town.wait(days=1)
    town.bank.says = town.bank.news(town.bank.orders[0].reference)
    assert (await reconciliation_daily.run(town.hub)).confirmed == 1


async def test_the_folder_s_statements_are_taken_once_and_settle_nothing_without_a_person(
    database_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "sao-ke"
    async with payment_town.opened(tmp_path / "home", database_url, statements_folder=str(folder)) as opened:
        town = with_transfers(opened)
        view = await town.start(provider="vietqr")
        raw = bank(transfer(await note_of(town, view), "FT1", at=AT))
        (folder / "vietqr").mkdir(parents=True)
        (folder / "vietqr" / "0115.csv").write_bytes(raw)
        (folder / "vietqr" / "hong.csv").write_bytes(b"\xff\xfe\xff khong phai")
        (folder / "vietqr" / "link.csv").symlink_to(tmp_path / "home")
        report = await reconciliation_daily.run(town.hub)
        assert (report.files, report.waiting, report.refused) == (1, 1, ["hong.csv"])
        assert await town.state(view) == "pending"
        again = await reconciliation_daily.run(town.hub)
        assert (again.files, again.waiting) == (0, 0)
        assert len(await town.events("reconcile.refused")) == 1
        assert (await of_bank(town, raw)).state == "done"
        assert await town.state(view) == "paid"


async def test_what_was_taken_in_when_the_process_died_is_finished_by_the_next_run(town: Town) -> None:
    view = await town.start(provider="vietqr")
    done = await of_bank(town, bank(transfer("khong ro", "FT0", at=AT)))
    async with town.hub.storage.transaction() as tx:
        await tx.execute(tables.reconciliations.update().values(state="open"))
    assert (await reconciliation_daily.run(town.hub)).resumed == 1
    assert (await reconciliation.one(town.hub, done.id))["state"] == "done"
    assert (await town.state(view), await found(town)) == ("pending", [("unknown_reference", None, FEE)])


# ------------------------------------------------------------------------------------------- hostile files


NEUTRAL = statement_shapes.named("neutral")
HOSTILE = {
    "not a table": b"\x00\x01\x02 nothing",
    "another encoding": "Mã tham chiếu;Số tiền".encode("cp1258", "replace") + b"\x8d\x90\n",
    "an open quote": b'our_reference,amount_vnd,occurred_at,state\n"x,1,2,3\n' + b"x" * 10,
    "a bomb": statement_files.bomb(),
    "a torn workbook": as_xlsx([line("x", "y")])[:-200],
    "too large": b"our_reference,amount_vnd\n" + b"x" * (reconciliation_files.LIMITS.bytes + 1),
    "no such state": as_csv([line("x", "y", state="maybe")]),
    "no such kind": as_csv([line("x", "y", kind="gift")]),
    "a formula": as_xlsx([("x", "y", "=1+1", AT.isoformat(), "payment", "paid", 0)]),
    "less than nothing": as_csv([line("x", "y", -5)]),
    "half a dong": as_csv([("x", "y", "1.5", AT.isoformat(), "payment", "paid", 0)]),
    "no time": as_csv([("x", "y", 5, "hôm qua", "payment", "paid", 0)]),
    "a column twice": as_csv([], (*statement_files.HEAD, "amount_vnd")),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_words(name: str) -> None:
    with pytest.raises(errors.InvalidRequest) as refused:
        reconciliation_files.read(HOSTILE[name], NEUTRAL)
    assert refused.value.detail("vi")
    assert "maybe" not in str(refused.value)


@pytest.mark.parametrize("name", sorted(set(statement_shapes.names()) - {"neutral", "bank"}))
def test_each_shape_reads_a_file_with_its_own_headings(name: str) -> None:
    shape = statement_shapes.named(name)
    state = next(code for code, meant in shape.states.items() if meant == "paid")
    cells = {"our_reference": "LT1", "provider_reference": "N1", "occurred_at": f"{AT:%d/%m/%Y %H:%M:%S}"}
    cells |= {"amount": str(FEE * (100 if shape.columns["amount"][0] in shape.hundredths else 1)), "state": state}
    head = [shape.columns[column][0] for column in cells]  # type: ignore[index]
    (read,) = reconciliation_files.read(as_csv([list(cells.values())], head), shape)
    assert (read.kind, read.state, read.amount_vnd, read.occurred_at) == ("payment", "paid", FEE, AT)


async def test_a_line_outside_the_days_of_its_statement_is_refused(town: Town) -> None:
    with pytest.raises(errors.InvalidRequest):
        await take(town, as_csv([line("x", "y", at=NOW + timedelta(days=3))]))
    with pytest.raises(errors.InvalidRequest):
        await take(town, as_csv([]), since=None, until=None)


# --------------------------------------------------------------------------------------------------- report


async def test_the_report_adds_up_to_the_dong(town: Town) -> None:
    await paid(town)
    await paid(town, "khac", provider="momo")
    view, _ = await refunded(town, "refund", 50_000)
    await take(town, as_csv([line(view.reference, number_of(view), at=AT, fee=700)]))
    found = await reconciliation_sums.run(town.hub, since=TODAY, until=TODAY)
    lines = {one.provider: (one.received_vnd, one.refunded_vnd, one.net_vnd) for one in found.lines if one.agency}
    assert lines == {"vnpay": (2 * FEE, 50_000, 2 * FEE - 50_000), "momo": (FEE, 0, FEE)}
    assert (found.total.net_vnd, found.fees_vnd) == (3 * FEE - 50_000, {"vnpay": 700})
    assert found.total.open_differences == len(await reconciliation.differences(town.hub)) == 3
    agencies = {one.agency for one in found.lines if one.payments}
    assert agencies == {payment_town.dossier().agency}


async def test_page_and_workbook_hold_the_figures_and_no_formula(town: Town, tmp_path: Path) -> None:
    await paid(town)
    await take(town, as_csv([line("=HYPERLINK(1)", "+1+1", at=AT), line("<b>x</b>", "@x", at=AT)]))
    for row in await reconciliation.differences(town.hub, kind="missing_with_them"):
        await reconciliation.close(town.hub, row["id"], by="ketoan01", reason="=cmd|' /C calc'!A0")
    found = await reconciliation_sums.run(town.hub, since=TODAY, until=TODAY)
    page = reconciliation_report.page(found, agency="<i>Tỉnh thử</i>", made_at=NOW)
    book = openpyxl.load_workbook(io.BytesIO(reconciliation_report.workbook(found, agency="=1+1", made_at=NOW)))
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert not [cell for cell in cells if cell.data_type == "f"]
    assert {"'=1+1", "'=HYPERLINK(1)", "'+1+1", "'@x", "'=cmd|' /C calc'!A0"} <= {cell.value for cell in cells}
    assert {FEE} <= {cell.value for cell in cells if cell.data_type == "n"}
    assert "<b>x" not in page
    assert "<i>" not in page
    assert "150.000" in page
    assert "Nguyễn Văn Mẫu" not in page


# ------------------------------------------------------------------------------------- the sandbox's statements


def test_what_the_imitations_write_is_read_to_the_dong() -> None:
    book = payment_book.Book()
    for number, state in enumerate(("paid", "failed", "suspect")):
        held = book.add("momo", f"LT26011509000{number}AAAAAA", amount_vnd=FEE, asked={}, now=NOW.timestamp())
        held.settle(state, "0", now=NOW.timestamp())
        if state == "paid":
            held.refunds.append(payment_book.Refund("R5", "RF1", 50_000, NOW.timestamp()))
    read = reconciliation_files.read(statements.statement(book, system="momo").encode(), NEUTRAL)
    assert [(one.kind, one.state, one.amount_vnd) for one in read] == [
        ("payment", "paid", FEE),
        ("refund", "refunded", 50_000),
        ("payment", "failed", FEE),
        ("payment", "suspect", FEE),
    ]
    assert {one.occurred_at for one in read} == {NOW}


async def test_the_imitated_bank_s_statement_settles_a_transfer(town: Town) -> None:
    view = await town.start(provider="vietqr")
    book = payment_book.Book()
    asked = {"memo": await note_of(town, view), "account": "0011223344"}
    book.add("vietqr", "FT260150001", amount_vnd=FEE, asked=asked, now=NOW.timestamp()).settle(
        "paid", "", now=AT.timestamp()
    )
    await of_bank(town, statements.bank_statement(book).encode())
    assert (await town.state(view), await found(town)) == ("paid", [])
