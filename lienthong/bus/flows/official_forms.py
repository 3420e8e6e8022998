"""The registration form of officials as a file: a spreadsheet (XLSX) or CSV, read strictly, and written.

Columns as in the form of CV 761/VPCP-KSTT (HG 10.1); a heading is known without diacritics and capitals.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import zip_longest
from typing import Any

from lienthong.api_keys import official_entries, officials
from lienthong.bus.flows import folding, table_files
from lienthong.core import errors

_LIMITS = table_files.Limits("biểu mẫu", "The form")
MOST_BYTES = _LIMITS.bytes
MOST_ROWS = _LIMITS.rows
# With blank ones: spreadsheets keep rows that somebody once coloured.
MOST_LINES = _LIMITS.lines
MOST_COLUMNS = _LIMITS.columns
LONGEST_CELL = _LIMITS.cell
_HEADING_WITHIN = _LIMITS.heading_within
_FORMULA = table_files.FORMULA

COLUMNS = {
    "code": "Mã cán bộ",
    "full_name": "Họ và tên",
    "account": "Tài khoản",
    "phone": "Số điện thoại",
    "email": "Thư điện tử",
    "unit_code": "Mã đơn vị",
    "unit_name": "Tên đơn vị",
    "position": "Chức vụ",
    "procedures": "Thủ tục",
    "valid_from": "Có hiệu lực từ",
    "valid_until": "Có hiệu lực đến",
}
DAYS = ("valid_from", "valid_until")
OPTIONAL = ("email", "unit_name", "position")
_ALSO = {
    "code": ("macanbo",),
    "full_name": ("ho ten", "ho ten can bo", "ho va ten can bo"),
    "account": ("ten tai khoan", "ten dang nhap", "taikhoan"),
    "phone": ("dien thoai", "so dien thoai di dong", "sodienthoai"),
    "email": ("email", "e mail", "thu dien tu cong vu", "hop thu"),
    "unit_code": ("madonvi", "ma dinh danh don vi", "ma dinh danh"),
    "unit_name": ("don vi", "co quan don vi", "don vi cong tac"),
    "position": ("chuc danh", "chuc vu chuc danh"),
    "procedures": ("ma thu tuc", "thu tuc hanh chinh", "ma thu tuc hanh chinh", "cac thu tuc"),
    "valid_from": ("hieu luc tu", "tu ngay", "ngay co hieu luc"),
    "valid_until": ("den", "hieu luc den", "den ngay", "ngay het hieu luc"),
}
_PASSED_OVER = frozenset({"stt", "so thu tu", "tt", "ghi chu"})
_NAMES = {
    folded: name
    for name, heading in COLUMNS.items()
    for folded in (folding.fold(heading), folding.fold(name), *_ALSO[name])
}


@dataclass(frozen=True, slots=True)
class BadCell:
    """What is wrong where: the row as a spreadsheet counts it, the column's heading, never what is in the cell."""

    row: int
    column: str
    vi: str
    en: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a form: texts and days by the name of the column, and the cells that cannot be read."""

    number: int
    cells: dict[str, str | date]
    bad: tuple[BadCell, ...] = ()


def read(raw: bytes, *, encoding: str = "utf-8") -> list[Row]:
    """Read a form. Raises InvalidRequest where it is none; what is wrong with a row stands in the row.

    A spreadsheet is known by its first bytes. CSV is UTF-8, with or without its mark, or UTF-16 with its mark; an
    old Vietnamese one (windows-1258) only where that is said, because no file tells by itself.
    """
    return _rows(table_files.cells(raw, _LIMITS, encoding=encoding, heading=COLUMNS["code"]))


def unreadable(vi: str, en: str) -> errors.InvalidRequest:
    """Give the error for a file that is no form."""
    return table_files.unreadable(_LIMITS, vi, en)


# ------------------------------------------------------------------------------------------------ reading


def _rows(table: Iterable[Sequence[Any]]) -> list[Row]:
    names: list[str | None] | None = None
    found: list[Row] = []
    for number, cells in enumerate(table, 1):
        if len(found) > MOST_ROWS or number > MOST_LINES:
            raise unreadable(f"hơn {MOST_ROWS:,} dòng", f"it has more than {MOST_ROWS:,} rows")
        if names is None:
            names = _heading(cells)
            if names is None and number >= _HEADING_WITHIN:
                break
        elif any(_is_filled(cell) for cell in cells):
            found.append(_row(number, names, cells))
    if names is None:
        raise unreadable(
            "không thấy dòng tiêu đề có “Mã cán bộ” và “Họ và tên” trong 20 dòng đầu; mẫu: lienthong officials "
            "form",
            "no row of headings with “Mã cán bộ” and “Họ và tên” in the first 20; a template: lienthong officials "
            "form",
        )
    return found


def _heading(cells: Sequence[Any]) -> list[str | None] | None:
    """Read the headings; nothing where this row has none. Raises InvalidRequest where they are not the form's."""
    folded = [folding.fold(cell) if isinstance(cell, str) else "" for cell in cells]
    names = ["" if one in _PASSED_OVER else _NAMES.get(one) for one in folded]
    if not {"code", "full_name"} <= set(names):
        return None
    strange = [place for place, one in enumerate(folded, 1) if one and one not in _NAMES.keys() | _PASSED_OVER]
    known = [name for name in names if name]
    missing = [heading for name, heading in COLUMNS.items() if name not in (*known, *OPTIONAL)]
    twice = [COLUMNS[name] for name in COLUMNS if known.count(name) > 1]
    if strange or missing or twice:
        raise unreadable(
            "; ".join(
                [f"cột thứ {place} không có trong mẫu" for place in strange]
                + [f"thiếu cột {one}" for one in missing]
                + [f"cột {one} có hai lần" for one in twice]
            ),
            "; ".join(
                [f"column {place} is not in the form" for place in strange]
                + [f"no column {one}" for one in missing]
                + [f"the column {one} is there twice" for one in twice]
            ),
        )
    return names


def _row(number: int, names: Sequence[str | None], cells: Sequence[Any]) -> Row:
    taken: dict[str, str | date] = dict.fromkeys(COLUMNS, "")
    bad = []
    outside = [cell for cell, name in zip_longest(cells, names) if name is None]
    if any(_is_filled(cell) for cell in outside):
        bad.append(BadCell(number, "–", "Có ô nằm ngoài các cột của mẫu.", "A cell lies beyond the columns."))
    for name, cell in zip(names, cells, strict=False):
        if not name:
            continue
        why = _unfit(name, cell)
        if why is not None:
            bad.append(BadCell(number, COLUMNS[name], *why))
        else:
            taken[name] = _taken(cell)
    return Row(number, taken, tuple(bad))


def _unfit(name: str, cell: Any) -> tuple[str, str] | None:
    if cell is table_files.FORMULA_CELL:
        return "Ô có công thức; hãy dán giá trị.", "The cell holds a formula; paste its value."
    if name in DAYS and not isinstance(cell, str | date | None):
        return "Ô phải là ngày, ví dụ 15/01/2026.", "The cell must be a day, 15/01/2026 for example."
    if name not in DAYS and not isinstance(cell, str | None):
        return (
            "Ô phải ở dạng văn bản (Text): số và ngày làm mất các số 0 của mã.",
            "The cell must be text: numbers and dates lose the zeros of a code.",
        )
    if isinstance(cell, str) and len(cell) > LONGEST_CELL:
        return f"Ô dài hơn {LONGEST_CELL:,} ký tự.", f"The cell has more than {LONGEST_CELL:,} characters."
    return None


def _taken(cell: Any) -> str | date:
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    text = official_entries.line(cell or "")
    return text[1:] if text[:1] == "'" and text[1:2] in _FORMULA else text


def _is_filled(cell: Any) -> bool:
    return bool(cell.strip()) if isinstance(cell, str) else cell is not None


# ------------------------------------------------------------------------------------------------ writing


def cells_of(official: officials.Official) -> dict[str, str]:
    """Give an official as a row of the form."""
    entry = official_entries.of(official)
    days = {
        "valid_from": f"{official_entries.begins_on(entry.valid_from):%d/%m/%Y}",
        "valid_until": f"{official_entries.last_day(entry.valid_until):%d/%m/%Y}",
    }
    return {**entry.values(), "procedures": ", ".join(entry.procedures), **days}


def as_csv(rows: Iterable[dict[str, str]]) -> bytes:
    """Write the form as CSV that a spreadsheet opens rightly: UTF-8 with its mark."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS.values())
    writer.writerows([_safe(row[name]) for name in COLUMNS] for row in rows)
    return b"\xef\xbb\xbf" + out.getvalue().encode("utf-8")


def as_workbook(rows: Iterable[dict[str, str]]) -> bytes:
    """Write the form as a workbook, every cell a text."""
    import openpyxl
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.title = "Cán bộ"
    sheet.append(list(COLUMNS.values()))
    for cell in sheet[1]:
        cell.font = Font(bold=True)
    for row in rows:
        sheet.append([_safe(row[name]) for name in COLUMNS])
    for place, heading in enumerate(COLUMNS.values(), 1):
        letter = get_column_letter(place)
        sheet.column_dimensions[letter].width = max(16, len(heading) + 4)
        for cells in sheet[f"{letter}1:{letter}{max(sheet.max_row, 200)}"]:
            # As text from the beginning: a number would lose the zeros at the front of a code.
            cells[0].number_format = "@"
    sheet.freeze_panes = "A2"
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _safe(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
