"""A table in a file that somebody else made: a spreadsheet (XLSX) or CSV, opened with distrust, row by row.

A bad file is refused in words before anything of it is believed; what its cells mean is the caller's.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from lienthong.bus.flows import folding
from lienthong.core import errors, xml_reading

ENCODINGS = ("utf-8", "windows-1258")
# What begins like a formula stays a text wherever the file is opened.
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")  # some take the wide ones too
FORMULA_CELL = object()
"""Stands where a spreadsheet holds a formula instead of a value."""
_BEFORE_XML = b"\xef\xbb\xbf\xff\xfe\0 \t\r\n"


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a file of one kind may be; beyond it the file is refused, never cut.

    `one_sheet`: a second sheet that is seen and holds anything is refused, too, not passed over.
    """

    what_vi: str
    what_en: str
    bytes: int = 5_000_000
    unpacked: int = 16_000_000
    tags: int = 600_000
    parts: int = 200
    rows: int = 5_000
    lines: int = 50_000
    columns: int = 40
    cell: int = 4_000
    heading_within: int = 20
    one_sheet: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One filled row: its number as a spreadsheet counts it, and its cells by our names."""

    number: int
    cells: dict[str, Any]


def unreadable(limits: Limits, vi: str, en: str) -> errors.InvalidRequest:
    """Give the error for a file that cannot be read."""
    return errors.InvalidRequest(
        f"{limits.what_en} cannot be read: {en}.", detail_vi=f"Không đọc được {limits.what_vi}: {vi}."
    )


def cells(raw: bytes, limits: Limits, *, encoding: str = "utf-8", heading: str = "") -> Iterator[list[Any]]:
    """Read a file to rows of cells. Raises InvalidRequest, also while it is read.

    A spreadsheet is known by its first bytes. CSV is UTF-8, with or without its mark, or UTF-16 with its mark; an
    old Vietnamese one (windows-1258) only where that is said. `heading`: a title by which the separator is found.
    """
    if len(raw) > limits.bytes:
        raise unreadable(
            limits, f"tệp lớn hơn {limits.bytes:,} byte", f"the file is larger than {limits.bytes:,} bytes"
        )
    if raw.startswith(b"PK"):
        return _sheet(raw, limits)
    return _csv(_text(raw, limits, encoding), limits, heading)


def rows(
    table: Iterable[Sequence[Any]],
    limits: Limits,
    *,
    named: Callable[[str], str],
    titles: Mapping[str, str],
    needed: Sequence[str],
) -> list[Row]:
    """Find the row of headings and read what stands below it, by our names of the columns.

    `named` gives ours for a folded heading, "" for one that is passed over: a file may hold more than is read.
    Raises InvalidRequest where a needed column is missing, or any is there twice.
    """
    columns: list[str] | None = None
    found: list[Row] = []
    for number, line in enumerate(table, 1):
        if len(found) >= limits.rows or number > limits.lines:
            raise unreadable(limits, f"hơn {limits.rows:,} dòng", f"it has more than {limits.rows:,} rows")
        if columns is None:
            columns = _heading(line, limits, named=named, titles=titles, needed=needed)
            if columns is None and number >= limits.heading_within:
                break
        elif any(_is_filled(cell) for cell in line):
            if any(isinstance(cell, str) and len(cell) > limits.cell for cell in line):
                raise unreadable(
                    limits, f"dòng {number} có ô quá dài", f"row {number} holds a cell that is too long"
                )
            taken = zip(columns, line, strict=False)
            found.append(Row(number, {name: taken_cell(cell) for name, cell in taken if name}))
    if columns is None:
        said = ", ".join(f"“{titles[name]}”" for name in needed)
        raise unreadable(
            limits,
            f"không thấy dòng tiêu đề có {said} trong {limits.heading_within} dòng đầu",
            f"no row of headings with {said} in the first {limits.heading_within}",
        )
    return found


def taken_cell(cell: Any) -> Any:
    """Take a cell as it is; a text without blanks around it and without the mark that keeps it a text."""
    if not isinstance(cell, str):
        return "" if cell is None else cell
    text = " ".join(cell.split())
    return text[1:] if text[:1] == "'" and text[1:2] in FORMULA else text


_WHOLE = re.compile(r"\d{1,15}|\d{1,3}(?:\.\d{3}){1,4}|\d{1,3}(?:,\d{3}){1,4}")


def whole_number(cell: Any) -> int | None:
    """Read a whole number, with or without marks between the thousands; None where it is none."""
    if isinstance(cell, bool):
        return None
    if isinstance(cell, int):
        return cell
    if isinstance(cell, float):
        return int(cell) if cell.is_integer() and abs(cell) < 10**15 else None
    if isinstance(cell, str) and cell.isascii() and _WHOLE.fullmatch(cell):
        return int(cell.replace(".", "").replace(",", ""))
    return None


def day(cell: Any) -> date | None:
    """Read a day: of a spreadsheet, `15/01/2026` or `2026-01-15`; None where it is none."""
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    for form in ("%d/%m/%Y", "%Y-%m-%d"):
        try:
            return datetime.strptime(str(cell), form).date()
        except ValueError:
            continue
    return None


def safe(value: Any) -> Any:
    """Keep a text that begins like a formula a text, in whatever program the file is opened."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _heading(
    line: Sequence[Any],
    limits: Limits,
    *,
    named: Callable[[str], str],
    titles: Mapping[str, str],
    needed: Sequence[str],
) -> list[str] | None:
    columns = [named(folding.fold(cell)) if isinstance(cell, str) else "" for cell in line]
    if not set(needed) <= set(columns):
        return None
    twice = [titles[name] for name in titles if columns.count(name) > 1]
    if twice:
        said = ", ".join(twice)
        raise unreadable(limits, f"cột {said} có hai lần", f"the column {said} is there twice")
    return columns


def _is_filled(cell: Any) -> bool:
    return bool(cell.strip()) if isinstance(cell, str) else cell is not None


# ------------------------------------------------------------------------------------------------------- CSV


def _text(raw: bytes, limits: Limits, encoding: str) -> str:
    if encoding not in ENCODINGS:
        raise unreadable(limits, "chỉ đọc utf-8 và windows-1258", "only utf-8 and windows-1258 are read")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif raw.startswith(b"\xef\xbb\xbf"):
        encoding = "utf-8-sig"
    try:
        text = raw.decode("cp1258" if encoding == "windows-1258" else encoding)
    except UnicodeDecodeError:
        raise unreadable(
            limits,
            "tệp không phải UTF-8; hãy lưu dạng “CSV UTF-8”, hoặc thêm --encoding windows-1258",
            "it is not UTF-8; save it as “CSV UTF-8”, or say --encoding windows-1258",
        ) from None
    if "\0" in text:
        raise unreadable(limits, "tệp có ký tự NUL", "it has the character NUL")
    return text


def _csv(text: str, limits: Limits, heading: str) -> Iterator[list[Any]]:
    wanted = folding.fold(heading)
    head = text[:20_000].splitlines()
    first = next((line for line in head if wanted and wanted in folding.fold(line)), head[0] if head else "")
    separator = max(";", ",", "\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        yield from reader
    except csv.Error:
        raise unreadable(
            limits,
            f"dòng {reader.line_num} không phải CSV (dấu nháy không khép, hay ô quá dài)",
            f"line {reader.line_num} is no CSV (a quote that is not closed, or a cell that is too long)",
        ) from None


# ------------------------------------------------------------------------------------------------------ XLSX


def _sheet(raw: bytes, limits: Limits) -> Iterator[list[Any]]:
    """Read the first sheet that is not hidden; formulas come as `FORMULA_CELL`."""
    _must_be_harmless(raw, limits)
    import openpyxl

    try:
        book = openpyxl.load_workbook(io.BytesIO(raw), read_only=True, keep_links=False, keep_vba=False)
        try:
            seen = [one for one in book.worksheets if one.sheet_state == "visible"]
            sheet, *others = seen or book.worksheets
            # What the file claims of its own size is not believed.
            for one in (sheet, *others):
                one.reset_dimensions()
            if limits.one_sheet and any(map(_holds_anything, others)):
                raise unreadable(
                    limits,
                    "bảng tính có nhiều trang có dữ liệu; hãy lưu mỗi trang thành một tệp",
                    "it has several sheets with something in them; save each as a file",
                )
            for row in sheet.iter_rows(max_col=limits.columns + 1):
                yield [FORMULA_CELL if cell.data_type == "f" else cell.value for cell in row]
        finally:
            book.close()
    except errors.HubError:
        raise
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OSError, zipfile.BadZipFile):
        raise _broken(limits) from None


def _holds_anything(sheet: Any) -> bool:
    return any(_is_filled(cell) for row in sheet.iter_rows(values_only=True) for cell in row)


def _must_be_harmless(raw: bytes, limits: Limits) -> None:
    """Look into the parcel before anybody opens it: size, number of parts, macros, and every part plain XML."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as parcel:
            parts = parcel.infolist()
            if len(parts) > limits.parts or sum(part.file_size for part in parts) > limits.unpacked:
                raise _too_large(limits)
            if any("vbaproject" in part.filename.lower() or part.flag_bits & 1 for part in parts):
                raise unreadable(
                    limits,
                    "bảng tính có macro hoặc mật khẩu; hãy lưu dạng .xlsx thường",
                    "it has macros or a password; save it as an ordinary .xlsx",
                )
            if any(part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for part in parts):
                raise _broken(limits)
            for part in parts:
                _must_be_plain_xml(_unpacked(parcel, part), limits)
    # NotImplementedError: a way of packing that the library does not know.
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, OSError, EOFError, ValueError, RuntimeError):
        raise _broken(limits) from None


def _must_be_plain_xml(inside: bytes, limits: Limits) -> None:
    # By what is in a part, not by its name: the parcel itself says which part is a sheet.
    if not inside.lstrip(_BEFORE_XML).startswith(b"<"):
        return
    if inside.count(b"<") > limits.tags:
        raise _too_large(limits)
    try:
        xml_reading.parse(inside, most_depth=32, most_bytes=limits.unpacked, most_attributes=limits.tags)
    except xml_reading.XmlRefused as refused:
        if refused.reason in ("too_large", "too_many_attributes"):
            raise _too_large(limits) from None
        raise


def _unpacked(parcel: zipfile.ZipFile, part: zipfile.ZipInfo) -> bytes:
    # The stated size is the sender's; what really comes out is cut off.
    with parcel.open(part) as opened:
        raw = opened.read(part.file_size + 1)
    if len(raw) > part.file_size:
        raise zipfile.BadZipFile("larger than it says")
    return raw


def _broken(limits: Limits) -> errors.InvalidRequest:
    return unreadable(limits, "tệp không phải là bảng tính .xlsx nguyên vẹn", "it is no whole .xlsx spreadsheet")


def _too_large(limits: Limits) -> errors.InvalidRequest:
    return unreadable(limits, "bảng tính quá lớn khi mở ra", "the spreadsheet is too large when unpacked")
