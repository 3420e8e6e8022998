"""Statements as people really hand them in: marks, semicolons, hidden sheets, slips in a date, and size."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import openpyxl
import payment_town
import pytest
import sqlalchemy as sa
from payment_town import FEE, NOW, Town
from statement_files import BANK_HEAD, HEAD, as_csv, found, line, number_of, paid, take, transfer

from lienthong.bus.flows import reconciliation_files
from lienthong.core import errors
from lienthong.mappings import statement_shapes

AT = NOW + timedelta(minutes=5)
TITLES = ("Mã tham chiếu", "Số giao dịch", "Số tiền", "Thời điểm", "Loại", "Trạng thái", "Phí giao dịch")
BIG = 1_234_567


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with payment_town.opened(tmp_path, database_url) as opened:
        yield opened


def read(raw: bytes, shape: str = "neutral") -> list[reconciliation_files.Line]:
    return reconciliation_files.read(raw, statement_shapes.named(shape))


def refused(raw: bytes, shape: str = "neutral") -> tuple[str, list[str]]:
    """Give what a person is told of a file that is not taken: the sentence, and the cells that it names."""
    with pytest.raises(errors.InvalidRequest) as caught:
        read(raw, shape)
    return caught.value.detail("vi"), [problem.field for problem in caught.value.problems]


def by_hand(*lines: str, between: str = ";", head: Sequence[str] = TITLES) -> str:
    return "\r\n".join((between.join(head), *lines)) + "\r\n"


AS_TYPED = "LT260115090000AAAAAA;N1;1.234.567;15/01/2026 09:05:00;Thanh toán;Thành công;1.100"


def workbook(make: Callable[[openpyxl.Workbook], None]) -> bytes:
    """A statement of one line in a workbook, and whatever else is made of it."""
    book = openpyxl.Workbook()
    for row in (HEAD, line("LT260115090000AAAAAA", "N1", BIG, at=AT)):
        book.worksheets[0].append(list(row))
    make(book)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


# ---------------------------------------------------------------------------------------------------- as typed


@pytest.mark.parametrize(
    "raw",
    [
        by_hand(AS_TYPED).encode(),
        by_hand(AS_TYPED).encode("utf-8-sig"),
        ("sep=;\r\n" + by_hand(AS_TYPED)).encode("utf-8-sig"),
        by_hand(AS_TYPED.replace(";", "\t"), between="\t").encode("utf-16"),
        ("\r\n;;;;;;\r\nSao kê tháng 1, năm 2026\r\n\r\n" + by_hand(AS_TYPED)).encode(),
        by_hand(AS_TYPED.replace("1.234.567", "1.234.567,00 VNĐ")).encode(),
        by_hand(AS_TYPED.replace("1.234.567", "1,234,567.00 VND").replace(";", '";"').join('""')).encode(),
        by_hand(AS_TYPED.replace("09:05:00", "09:05")).encode(),
    ],
    ids=["semicolons", "mark", "sep", "utf-16", "lines above", "decimals", "quotes", "no seconds"],
)
def test_what_spreadsheets_and_people_make_of_a_statement_is_read(raw: bytes) -> None:
    [told] = read(raw)
    assert (told.amount_vnd, told.fee_vnd, told.occurred_at) == (BIG, 1_100, AT)
    assert (told.kind, told.state, told.our_reference) == ("payment", "paid", "LT260115090000AAAAAA")


@pytest.mark.parametrize("shape", ["neutral", "vnpay", "momo", "dvcqg_payment"])
def test_a_day_without_an_hour_was_refused(shape: str) -> None:
    known = statement_shapes.named(shape)
    head = [known.columns[column][-1] for column in known.needed]
    told = {"our_reference": "LT1", "amount": "1.234.567", "occurred_at": "15/01/2026", "state": "Thành công"}
    if shape == "vnpay":
        head[known.needed.index("amount")] = "Số tiền"
    [read_line] = read(by_hand(";".join(told[column] for column in known.needed), head=head).encode(), shape)
    assert (read_line.amount_vnd, f"{read_line.occurred_at:%d/%m/%Y}") == (BIG, "15/01/2026")


@pytest.mark.parametrize(
    ("changed", "cell"),
    [
        (("1.234.567", "1.234,567"), "3:amount"),
        (("1.234.567", "-1.234.567"), "3:amount"),
        (("1.234.567", "(1.234.567)"), "3:amount"),
        (("1.234.567", "1 234 567,5"), "3:amount"),
        (("1.234.567", "#REF!"), "3:amount"),
        (("1.234.567", ""), "3:amount"),
        (("15/01/2026", "01/15/2026"), "3:occurred_at"),
        (("15/01/2026", "29/02/2026"), "3:occurred_at"),
        (("15/01/2026", "15/01/26"), "3:occurred_at"),
        (("15/01/2026", "15/01/1026"), "3:occurred_at"),
        (("Thành công", "OK"), "3:state"),
    ],
)
def test_one_cell_that_cannot_be_read_refuses_the_file_and_is_named(changed: tuple[str, str], cell: str) -> None:
    raw = by_hand(AS_TYPED, AS_TYPED.replace(*changed)).encode()
    assert refused(raw)[1] == [cell]


@pytest.mark.parametrize("raw", [b"", b"\xef\xbb\xbf", b"\r\n\r\n", b";;;;\r\n;;;;\r\n"])
def test_an_empty_file_is_refused_in_words(raw: bytes) -> None:
    assert "tiêu đề" in refused(raw)[0]


# ---------------------------------------------------------------------------------------------------- workbooks


def test_the_first_sheet_was_read_though_it_was_hidden() -> None:
    def old_beside_new(book: openpyxl.Workbook) -> None:
        hidden = book.create_sheet("cũ", 0)
        for row in (HEAD, line("LT260115090000BBBBBB", "N-old", at=AT)):
            hidden.append(list(row))
        hidden.sheet_state = "veryHidden"

    assert [told.provider_reference for told in read(workbook(old_beside_new))] == ["N1"]


def test_the_second_of_two_sheets_was_passed_over_in_silence() -> None:
    def another_day(book: openpyxl.Workbook) -> None:
        for row in (HEAD, line("LT260115090000BBBBBB", "N2", at=AT)):
            book.create_sheet("16").append(list(row))

    assert "nhiều trang" in refused(workbook(another_day))[0]
    [told] = read(workbook(lambda book: book.create_sheet("Sheet2")))
    assert told.provider_reference == "N1"


def test_a_formula_refuses_the_file_and_its_row_is_named() -> None:
    def formula(book: openpyxl.Workbook) -> None:
        book.worksheets[0].append(
            ["LT260115090000BBBBBB", "N2", "=SUM(C2:C2)", AT.isoformat(), "payment", "paid", 0]
        )

    assert refused(workbook(formula))[1] == ["3:*"]


def test_cells_merged_over_two_rows_refuse_the_file_and_the_row_is_named() -> None:
    def merged(book: openpyxl.Workbook) -> None:
        sheet = book.worksheets[0]
        sheet.append(list(line("LT260115090000BBBBBB", "N2", at=AT)))
        sheet.merge_cells("C2:C3")

    assert refused(workbook(merged))[1] == ["3:amount"]


def test_a_line_of_the_bank_without_an_amount_was_passed_over_in_silence() -> None:
    empty = ("15/01/2026 09:05:00", "FT2", "0011223344", "", "", "LT260115090000AAAAAABBBBB")
    raw = as_csv([transfer("x", "FT1", at=AT), empty], BANK_HEAD)
    assert refused(raw, "bank")[1] == ["3:credit"]


# ---------------------------------------------------------------------------------------------------- days


async def days_refused(town: Town, *lines: Any, **days: Any) -> list[str]:
    with pytest.raises(errors.InvalidRequest) as caught:
        await take(town, as_csv(lines), **days)
    return [problem.field for problem in caught.value.problems]


async def test_lines_of_other_days_are_named(town: Town) -> None:
    lines = [line("x", f"N{days}", at=NOW + timedelta(days=days)) for days in (0, -1, 1)]
    assert await days_refused(town, *lines) == ["3:occurred_at", "4:occurred_at"]


async def test_a_slip_in_one_date_made_everything_since_then_missing(town: Town) -> None:
    await paid(town)
    lines = [
        line("x", "N1", state="failed", at=NOW),
        line("y", "N2", state="failed", at=NOW - timedelta(days=365)),
    ]
    assert await days_refused(town, *lines, since=None, until=None) == ["3:occurred_at"]
    assert await found(town) == []


async def test_a_line_of_a_day_to_come_is_refused(town: Town) -> None:
    lines = [line("x", "N1", at=NOW), line("y", "N2", at=NOW + timedelta(days=20))]
    assert await days_refused(town, *lines, since=None, until=None) == ["3:occurred_at"]


# ------------------------------------------------------------------------------------------------- counted right


async def test_the_same_row_twice_in_a_file_is_a_difference_and_no_more_money(town: Town) -> None:
    view = await paid(town)
    row = line(view.reference, number_of(view), at=AT)
    await take(town, as_csv([row, row]))
    assert await found(town) == [("twice_with_them", FEE, FEE)]
    assert (await town.state(view), await town.questions()) == ("paid", [])


async def test_a_payment_of_another_intermediary_is_a_reference_that_this_one_does_not_have(town: Town) -> None:
    view = await paid(town, provider="momo")
    done = await take(town, as_csv([line(view.reference, number_of(view), at=AT)]))
    assert (done.state, await found(town)) == ("done", [("unknown_reference", None, FEE)])
    (row,) = [it for it in await town.rows(payment_town.tables.payments) if it["id"] == view.id]
    assert (row["state"], row["confirmed_at"]) == ("paid", None)


async def test_each_payment_that_a_statement_confirms_was_a_statement_to_the_database(town: Town) -> None:
    # A large city's month held the one writer of SQLite for a minute: callbacks were answered with a failure.
    views = [await paid(town, f"o{number}") for number in range(30)]
    lines = [line(view.reference, number_of(view), at=AT) for view in views]
    lines += [line(f"LT260115090000{number:06d}", f"X{number}", at=AT) for number in range(30)]
    asked: list[str] = []

    def note(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        asked.append(statement)

    engine = town.hub.storage._writer.sync_engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        await take(town, as_csv(lines))
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
    assert len(await found(town)) == 30
    assert len(asked) < 30
