"""Registrations of officials: what they are worth, what is wrong with one, and forms as files."""

from __future__ import annotations

import contextlib
import io
import unicodedata
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.api_keys import official_entries, officials
from lienthong.bus.flows import official_forms
from lienthong.core import clock, errors

NOW = datetime(2026, 1, 15, 9, 0, tzinfo=clock.VIETNAM)
GOOD = {
    "code": "CB000123",
    "account": "cb000123",
    "unit_code": "000.00.15.H38",
    "unit_name": "Sở Tư pháp",
    "procedures": ("G15-*", "1.000001"),
    "valid_from": NOW - timedelta(days=1),
    "valid_until": NOW + timedelta(days=100),
    "full_name": "Lê Thị Cán",
    "phone": "0900000009",
    "email": "can@vi-du.vn",
    "position": "Công chức",
}
CELLS = ["CB000123", "Lê Thị Cán", "cb000123", "0900000009", "", "000.00.15.H38", "Sở Tư pháp", "", "G15-*"]
CELLS = [*CELLS, "15/01/2026", "31/12/2026"]


def official(**changed: Any) -> officials.Official:
    life = {
        "registered_at": NOW,
        "registered_by": "test",
        "changed_at": NOW,
        "ended_by": None,
        "ended_reason": None,
    }
    held = {**GOOD, "id": "1", "ended_at": None, "replaced_by": None, "last_used_at": None, **life}
    return officials.Official(**{**held, **changed})


def wrong(**changed: Any) -> list[str]:
    return [
        found.field for found in official_entries.problems(official_entries.entry({**GOOD, **changed}), now=NOW)
    ]


def test_an_official_is_in_force_from_the_first_moment_until_the_last():
    one = official(valid_from=NOW, valid_until=NOW + timedelta(days=1))
    assert one.state(NOW - timedelta(microseconds=1)) == "not_yet"
    assert one.state(NOW) == "in_force"
    assert one.state(NOW + timedelta(days=1)) == "expired"
    assert official(ended_at=NOW).state(NOW) == "revoked"
    assert official(ended_at=NOW, replaced_by="2").state(NOW) == "replaced"


@pytest.mark.parametrize(
    ("said", "asked", "may"),
    [
        (("*",), "1.000001", True),
        (("*",), "", False),
        ((), "1.000001", False),
        (("1.000001",), "1.000001", True),
        (("1.000001",), "1.0000011", False),
        (("1.000001",), "1.00000", False),
        (("G15-*",), "G15-TP07", True),
        (("G15-*",), "G16-TP07", False),
        (("G15-*",), "g15-TP07", False),
        (("2.1", "G15-*"), "2.1", True),
    ],
)
def test_the_procedures_that_an_official_may_ask_for(said: tuple[str, ...], asked: str, may: bool):
    assert official(procedures=said).may_ask_for(asked) is may


def test_neither_print_nor_list_shows_how_to_reach_an_official():
    assert not {"0900000009", "can@vi-du.vn", "Lê Thị Cán"} & set(repr(official()).replace("'", " ").split())
    told = official().as_json(NOW)
    assert (told["phone"], told["email"]) == ("•••••••009", "c•••@vi-du.vn")
    assert "Lê Thị Cán" not in str(official().as_act())


def test_a_good_registration_has_nothing_wrong():
    assert wrong() == []
    assert wrong(email="", unit_name="", position="", procedures=("*",)) == []


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"code": ""}, "code"),
        ({"code": "C" * 21}, "code"),
        ({"code": "CB 1"}, "code"),
        ({"code": "Mã1"}, "code"),
        ({"code": "001099000001"}, "code"),
        ({"account": ""}, "account"),
        ({"account": "001099000001"}, "account"),
        ({"account": "cán.bộ"}, "account"),
        ({"account": "a\x00b"}, "account"),
        ({"unit_code": ""}, "unit_code"),
        ({"unit_code": "Sở Tư pháp"}, "unit_code"),
        ({"unit_name": "x" * 201}, "unit_name"),
        ({"full_name": ""}, "full_name"),
        ({"full_name": "Lê\x00Thị"}, "full_name"),
        ({"full_name": "Lê \ud800"}, "full_name"),
        ({"phone": ""}, "phone"),
        ({"phone": "900000009"}, "phone"),
        ({"phone": "gọi sau"}, "phone"),
        ({"email": "can.vi-du.vn"}, "email"),
        ({"email": "a@b.vn, c@d.vn"}, "email"),
        ({"procedures": ()}, "procedures"),
        ({"procedures": ("*", "1.1")}, "procedures"),
        ({"procedures": ("1*",)}, "procedures"),
        ({"procedures": ("G*5",)}, "procedures"),
        ({"procedures": tuple(f"1.{number:06}" for number in range(201))}, "procedures"),
        ({"valid_until": NOW - timedelta(days=1)}, "valid_until"),
        ({"valid_until": NOW}, "valid_until"),
        ({"valid_until": NOW + timedelta(days=731)}, "valid_until"),
    ],
)
def test_each_mistake_is_named_by_its_field(changed: dict[str, Any], field: str):
    assert wrong(**changed) == [field]


def test_a_sentence_repeats_nothing_that_was_typed():
    entry = official_entries.entry(
        {**GOOD, "code": "001099000001", "phone": "0987 bí mật", "full_name": "x" * 200}
    )
    said = str(official_entries.refused(official_entries.problems(entry, now=NOW)))
    assert "001099000001" not in said
    assert "0987" not in said


@pytest.mark.parametrize("text", ["0900000009", "+84 900 000 009", "0084900000009", "(090) 000.00-09"])
def test_a_telephone_number_is_the_same_however_it_is_written(text: str):
    assert official_entries.phone(text) == "0900000009"


def test_letters_are_composed_and_blanks_single():
    decomposed = official_entries.entry({**GOOD, "full_name": "  Lê\u00a0Thi\u0323  Ca\u0301n "})
    assert decomposed.full_name == "Lê Thị Cán"


@given(st.dates(date(2020, 1, 1), date(2035, 1, 1)))
def test_the_last_day_still_counts_and_is_read_back(said: date):
    assert official_entries.last_day(official_entries.ends(said)) == said
    assert official_entries.begins_on(official_entries.begins(said).astimezone(UTC)) == said
    assert official_entries.day(f"{said:%d/%m/%Y}") == official_entries.day(said.isoformat()) == said


# ------------------------------------------------------------------------------------------------------- forms


def csv_of(*rows: list[str], separator: str = ",", heading: list[str] | None = None) -> str:
    lines = [heading or list(official_forms.COLUMNS.values()), *rows]
    return "\r\n".join(separator.join(f'"{cell}"' for cell in line) for line in lines)


def sheet_of(*rows: list[Any], heading: list[str] | None = None) -> bytes:
    book = openpyxl.Workbook()
    for line in [heading or list(official_forms.COLUMNS.values()), *rows]:
        book.worksheets[0].append(line)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def refused(raw: bytes, **given: Any) -> str:
    with pytest.raises(errors.InvalidRequest) as caught:
        official_forms.read(raw, **given)
    assert caught.value.detail("vi") != caught.value.detail("en")
    return caught.value.detail("en")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_is_read_as_spreadsheets_write_it(encoding: str, separator: str):
    (row,) = official_forms.read(csv_of(CELLS, separator=separator).encode(encoding))
    assert (row.number, row.bad) == (2, ())
    assert row.cells["full_name"] == "Lê Thị Cán"


def in_parts(text: str) -> str:
    """Write each tone as a mark of its own, the way windows-1258 keeps them."""
    found = []
    for letter in text:
        marks = unicodedata.normalize("NFD", letter)
        tone = "".join(mark for mark in marks if mark in "\u0300\u0301\u0303\u0309\u0323")
        found.append(unicodedata.normalize("NFC", "".join(mark for mark in marks if mark not in tone)) + tone)
    return "".join(found)


def test_an_old_vietnamese_file_is_read_where_that_is_said():
    raw = in_parts(csv_of(CELLS)).encode("cp1258")
    assert "UTF-8" in refused(raw)
    (row,) = official_forms.read(raw, encoding="windows-1258")
    assert (row.cells["full_name"], row.cells["unit_name"]) == ("Lê Thị Cán", "Sở Tư pháp")


def test_headings_are_known_without_diacritics_below_a_title():
    heading = [*(name.upper() for name in official_forms.COLUMNS.values()), "Ghi chú"]
    heading[0], heading[4], heading[10] = "MA CAN BO (*)", "Email", "đến"
    rows = official_forms.read(sheet_of(["Phụ lục"], [], heading, [*CELLS, "mới"], [], CELLS, heading=["Mẫu"]))
    assert [row.number for row in rows] == [5, 7]
    assert all(not row.bad for row in rows)


def test_what_a_form_is_lacking_is_named():
    columns = list(official_forms.COLUMNS.values())
    assert "no column Số điện thoại" in refused(csv_of(heading=[*columns[:3], *columns[4:]]).encode())
    assert "column 12" in refused(csv_of(heading=[*columns, "Số định danh"]).encode())
    assert "twice" in refused(csv_of(heading=[*columns, "Họ tên"]).encode())
    assert "headings" in refused(b"a,b,c\r\n1,2,3\r\n")
    assert "headings" in refused(b"")
    assert "NUL" in refused(b"a\0b")
    assert "utf-8 and" in refused(b"a", encoding="latin-1")


def test_cells_that_lose_zeros_or_hold_formulas_are_named():
    cells = [
        123,
        "Lê Thị Cán",
        "cb",
        900000009,
        "",
        "=1+1",
        datetime(2026, 1, 1),
        "",
        1.5,
        date(2026, 1, 1),
        46000,
    ]
    (row,) = official_forms.read(sheet_of(cells))
    assert [cell.column for cell in row.bad] == [
        "Mã cán bộ",
        "Số điện thoại",
        "Mã đơn vị",
        "Tên đơn vị",
        "Thủ tục",
        "Có hiệu lực đến",
    ]
    assert "formula" in row.bad[2].en
    assert row.cells["valid_from"] == date(2026, 1, 1)


def test_a_cell_beyond_the_columns_is_not_passed_over():
    (row,) = official_forms.read(sheet_of([*CELLS, None, "giấu ở đây"]))
    assert [cell.column for cell in row.bad] == ["–"]


@pytest.mark.parametrize("write", [official_forms.as_csv, official_forms.as_workbook])
@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+84", "-1", "@SUM(A1)", "'thường", 'Lê "Cán", x;y'])
def test_a_text_that_looks_like_a_formula_stays_a_text_there_and_back(write: Callable[..., bytes], name: str):
    raw = write([official_forms.cells_of(official(full_name=name))])
    (row,) = official_forms.read(raw)
    assert row.cells["full_name"] == name
    assert not row.bad
    if raw.startswith(b"PK"):
        assert openpyxl.load_workbook(io.BytesIO(raw)).worksheets[0]["B2"].data_type == "s"
    else:
        assert f'"{name[:1]}' not in raw.decode() or name[0] not in "=+-@"
        assert f",{name[:1]}" not in raw.decode() or name[0] not in "=+-@"


def test_an_empty_form_has_its_headings_and_no_rows():
    assert official_forms.read(official_forms.as_workbook([])) == []
    assert official_forms.read(official_forms.as_csv([])) == []


def rebuilt(change: Callable[[str, bytes], bytes], *, extra: dict[str, bytes] | None = None) -> bytes:
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(sheet_of(CELLS))) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for part in old.namelist():
            new.writestr(part, change(part, old.read(part)))
        for name, raw in (extra or {}).items():
            new.writestr(name, raw)
    return out.getvalue()


@pytest.mark.parametrize("part", ["xl/worksheets/sheet1.xml", "xl/workbook.xml", "[Content_Types].xml"])
def test_a_spreadsheet_with_a_dtd_is_refused(part: str):
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    assert "whole .xlsx" in refused(
        rebuilt(lambda name, raw: bomb + raw.split(b"?>", 1)[-1] if name == part else raw)
    )


def test_a_spreadsheet_that_grows_has_macros_or_is_cut_off_is_refused():
    same: Callable[[str, bytes], bytes] = lambda _name, raw: raw  # noqa: E731
    assert "too large" in refused(rebuilt(same, extra={"xl/media/a.bin": bytes(17_000_000)}))
    many = b"<x>" + b"<c/>" * 700_000 + b"</x>"
    assert "too large" in refused(rebuilt(same, extra={"xl/worksheets/sheet9.png": many}))
    assert "too large" in refused(rebuilt(same, extra={f"xl/media/{n}.bin": b"x" for n in range(300)}))
    assert "macros" in refused(rebuilt(same, extra={"xl/vbaProject.bin": b"x"}))
    whole = sheet_of(CELLS)
    for cut in (4, 100, len(whole) // 2, len(whole) - 30):
        assert "whole .xlsx" in refused(whole[:cut])


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "ignore")))
def test_no_file_breaks_the_reader(raw: bytes):
    for given_bytes in (raw, b"PK\x03\x04" + raw, csv_of(CELLS).encode() + b"\r\n" + raw):
        try:
            rows = official_forms.read(given_bytes)
        except errors.InvalidRequest:
            continue
        assert all(row.number > 1 for row in rows)


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=4))
def test_no_change_of_a_spreadsheet_breaks_the_reader(place: int, put: bytes):
    whole = bytearray(WHOLE)
    place %= len(whole)
    whole[place : place + len(put)] = put
    with contextlib.suppress(errors.InvalidRequest):
        assert all(row.number > 1 for row in official_forms.read(bytes(whole)))


WHOLE = sheet_of(CELLS)


def test_a_form_has_an_end():
    assert "5,000 rows" in refused(csv_of(*([CELLS] * 5_030)).encode())
    assert "larger" in refused(b"x" * 5_000_001)
    assert len(official_forms.read(csv_of(*([CELLS] * 5), *([[""]] * 9_000), CELLS).encode())) == 6
    assert "5,000 rows" in refused(b"\r\n".join([csv_of(CELLS).encode(), b"\r\n" * 60_000]))
