"""The registration form of officials as a file: a spreadsheet (XLSX) or CSV, read strictly, and written.

Columns as in the form of CV 761/VPCP-KSTT (HG 10.1); a heading is known without diacritics and capitals.
"""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import zip_longest
from typing import Any

from lienthong.api_keys import official_entries, officials
from lienthong.bus.flows import folding
from lienthong.core import errors, xml_reading

MOST_BYTES = 5_000_000
MOST_UNPACKED = 16_000_000
MOST_TAGS = 600_000
MOST_PARTS = 200
MOST_ROWS = 5_000
# With blank ones: spreadsheets keep rows that somebody once coloured.
MOST_LINES = 50_000
MOST_COLUMNS = 40
LONGEST_CELL = 4_000
_HEADING_WITHIN = 20
ENCODINGS = ("utf-8", "windows-1258")
# What begins like a formula stays a text wherever the file is opened.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

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
    if len(raw) > MOST_BYTES:
        raise unreadable(f"tệp lớn hơn {MOST_BYTES:,} byte", f"the file is larger than {MOST_BYTES:,} bytes")
    table = _sheet(raw) if raw.startswith(b"PK") else _csv(_text(raw, encoding))
    return _rows(table)


def unreadable(vi: str, en: str) -> errors.InvalidRequest:
    """Give the error for a file that is no form."""
    return errors.InvalidRequest(
        f"The form cannot be read: {en}.",
        detail_vi=f"Không đọc được biểu mẫu: {vi}.",
    )


# ------------------------------------------------------------------------------------------------ reading


def _text(raw: bytes, encoding: str) -> str:
    if encoding not in ENCODINGS:
        raise unreadable("chỉ đọc utf-8 và windows-1258", "only utf-8 and windows-1258 are read")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif raw.startswith(b"\xef\xbb\xbf"):
        encoding = "utf-8-sig"
    try:
        text = raw.decode("cp1258" if encoding == "windows-1258" else encoding)
    except UnicodeDecodeError:
        raise unreadable(
            "tệp không phải UTF-8; hãy lưu dạng “CSV UTF-8”, hoặc thêm --encoding windows-1258",
            "it is not UTF-8; save it as “CSV UTF-8”, or say --encoding windows-1258",
        ) from None
    if "\0" in text:
        raise unreadable("tệp có ký tự NUL", "it has the character NUL")
    return text


def _csv(text: str) -> Iterator[list[Any]]:
    first = next((line for line in text.splitlines() if folding.fold(COLUMNS["code"]) in folding.fold(line)), "")
    separator = max(";", ",", "\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        yield from reader
    except csv.Error:
        raise unreadable(
            f"dòng {reader.line_num} không phải CSV (dấu nháy không khép, hay ô quá dài)",
            f"line {reader.line_num} is no CSV (a quote that is not closed, or a cell that is too long)",
        ) from None


def _sheet(raw: bytes) -> Iterator[list[Any]]:
    """Read the first sheet; formulas come as `_Formula`."""
    _must_be_harmless(raw)
    import openpyxl

    try:
        book = openpyxl.load_workbook(io.BytesIO(raw), read_only=True, keep_links=False, keep_vba=False)
        try:
            sheet = book.worksheets[0]
            # What the file claims of its own size is not believed.
            sheet.reset_dimensions()
            for row in sheet.iter_rows(max_col=MOST_COLUMNS + 1):
                yield [_FORMULA_CELL if cell.data_type == "f" else cell.value for cell in row]
        finally:
            book.close()
    except errors.HubError:
        raise
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OSError, zipfile.BadZipFile):
        raise _broken() from None


_FORMULA_CELL = object()
_BEFORE_XML = b"\xef\xbb\xbf\xff\xfe\0 \t\r\n"


def _must_be_harmless(raw: bytes) -> None:
    """Look into the parcel before anybody opens it: size, number of parts, macros, and every part plain XML."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as parcel:
            parts = parcel.infolist()
            if len(parts) > MOST_PARTS or sum(part.file_size for part in parts) > MOST_UNPACKED:
                raise _too_large()
            if any("vbaproject" in part.filename.lower() or part.flag_bits & 1 for part in parts):
                raise unreadable(
                    "bảng tính có macro hoặc mật khẩu; hãy lưu dạng .xlsx thường",
                    "it has macros or a password; save it as an ordinary .xlsx",
                )
            if any(part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for part in parts):
                raise _broken()
            for part in parts:
                _must_be_plain_xml(_unpacked(parcel, part))
    # NotImplementedError: a way of packing that the library does not know.
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, OSError, EOFError, ValueError, RuntimeError):
        raise _broken() from None


def _must_be_plain_xml(inside: bytes) -> None:
    # By what is in a part, not by its name: the parcel itself says which part is a sheet.
    if not inside.lstrip(_BEFORE_XML).startswith(b"<"):
        return
    if inside.count(b"<") > MOST_TAGS:
        raise _too_large()
    xml_reading.parse(inside, most_depth=32)


def _unpacked(parcel: zipfile.ZipFile, part: zipfile.ZipInfo) -> bytes:
    # The stated size is the sender's; what really comes out is cut off.
    with parcel.open(part) as opened:
        raw = opened.read(part.file_size + 1)
    if len(raw) > part.file_size:
        raise zipfile.BadZipFile("larger than it says")
    return raw


def _broken() -> errors.InvalidRequest:
    return unreadable("tệp không phải là bảng tính .xlsx nguyên vẹn", "it is no whole .xlsx spreadsheet")


def _too_large() -> errors.InvalidRequest:
    return unreadable("bảng tính quá lớn khi mở ra", "the spreadsheet is too large when unpacked")


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
    if cell is _FORMULA_CELL:
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
