"""Provinces of both eras, and readers of the commune lists that an operator imports. No storage here."""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypeVar

from lienthong.core import errors

CODES = Path(__file__).parent / "codes"
TWO_LEVELS_SINCE = date(2025, 7, 1)
"""The day on which 63 provinces became 34 and the district level ended."""

_COMMUNE_CODE = re.compile(r"^\d{5}$")
_MAX_ROWS = 50_000

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Province:
    """A province (tỉnh, thành phố) in one era. The same code may stand for another area in the other era."""

    code: str
    name: str
    valid_from: date | None
    valid_to: date | None
    successor: str
    merged_from: tuple[str, ...]
    agency_code: str

    def is_valid(self, on: date) -> bool:
        """Whether the province existed in this form on a day."""
        return (self.valid_from or date.min) <= on <= (self.valid_to or date.max)


@dataclass(frozen=True, slots=True)
class Commune:
    """A commune-level unit (xã, phường, đặc khu)."""

    code: str
    name: str
    kind: str
    province_code: str


@dataclass(frozen=True, slots=True)
class CommuneChange:
    """What became of an old commune; `partly` where it was divided among several new ones."""

    old_code: str
    old_name: str
    old_district: str
    old_province_code: str
    partly: bool
    new_codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row of an imported list that cannot be taken, with the line it stands on."""

    line: int
    vi: str
    en: str


@functools.cache
def provinces() -> tuple[Province, ...]:
    """Give every province of both eras."""
    with (CODES / "provinces.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            Province(
                code=row["code"],
                name=row["name"],
                valid_from=date.fromisoformat(row["valid_from"]) if row["valid_from"] else None,
                valid_to=date.fromisoformat(row["valid_to"]) if row["valid_to"] else None,
                successor=row["successor"],
                merged_from=tuple(row["merged_from"].split()),
                agency_code=row["agency_code"],
            )
            for row in csv.DictReader(file)
        )


def province(code: str, *, on: date) -> Province | None:
    """Find the province that a code stood for on a day; a code of the other era is not found."""
    return next((found for found in provinces() if found.code == code and found.is_valid(on)), None)


def successor(old_code: str) -> Province | None:
    """Find the province of today that took in an old one, by the old one's code."""
    old = province(old_code, on=date(2025, 6, 30))
    return province(old.successor, on=TWO_LEVELS_SINCE) if old else None


def read_communes(path: Path) -> Iterator[Commune | BadRow]:
    """Read a list of communes from CSV, row by row; a bad row is given as such and the reading goes on.

    Columns `code, name, kind, province`, or `code, name, type, province_code`. Raises InvalidRequest where the
    columns are not there or the file is no CSV text.
    """
    seen: set[str] = set()
    columns = ({"code", "name", "province"}, {"code", "name", "province_code"})

    def one(row: Mapping[str, str]) -> Commune:
        code, name = row["code"], row["name"]
        above = row.get("province") or row.get("province_code", "")
        _hold(_COMMUNE_CODE.match(code), "mã xã phải gồm 5 chữ số", "the code must have 5 digits")
        _hold(code not in seen, "mã xã lặp lại", "the code stands twice")
        _hold(name, "thiếu tên", "the name is missing")
        current = province(above, on=TWO_LEVELS_SINCE)
        _hold(current, "mã tỉnh không có trong 34 tỉnh", "there is no such province since July 2025")
        seen.add(code)
        return Commune(code, name, row.get("kind") or row.get("type", ""), above)

    return _rows(path, columns=columns, one=one)


def read_commune_changes(path: Path) -> Iterator[CommuneChange | BadRow]:
    """Read what became of the old communes from CSV; several new codes are parted by blanks.

    Columns `old, new, partly`, or those of the list `old_ward_code, …, new_ward_codes`. Raises InvalidRequest as
    `read_communes` does.
    """
    columns = ({"old", "new"}, {"old_ward_code", "new_ward_codes"})
    seen: set[str] = set()

    def one(row: Mapping[str, str]) -> CommuneChange:
        old = row.get("old") or row.get("old_ward_code", "")
        new = tuple((row.get("new") or row.get("new_ward_codes", "")).split())
        _hold(_COMMUNE_CODE.match(old), "mã xã cũ phải gồm 5 chữ số", "the old code must have 5 digits")
        _hold(old not in seen, "mã xã cũ lặp lại", "the old code stands twice")
        _hold(new and all(_COMMUNE_CODE.match(code) for code in new), "mã xã mới phải gồm 5 chữ số",
              "each new code must have 5 digits")  # fmt: skip
        seen.add(old)
        return CommuneChange(
            old_code=old,
            old_name=row.get("old_name") or row.get("old_ward_name", ""),
            old_district=row.get("old_district_name", ""),
            old_province_code=row.get("old_province") or row.get("old_province_code", ""),
            partly=row.get("partly", "") in ("1", "true", "True") or len(new) > 1,
            new_codes=new,
        )

    return _rows(path, columns=columns, one=one)


def convert(old_code: str, changes: Mapping[str, CommuneChange]) -> tuple[str, ...]:
    """Give the new communes that an old one may be: none where it is unknown, several where it was divided."""
    change = changes.get(old_code)
    return change.new_codes if change else ()


class _BadRowError(ValueError):
    """A row cannot be taken; both sentences."""

    def __init__(self, vi: str, en: str) -> None:
        super().__init__(en)
        self.vi = vi
        self.en = en


def _hold(holds: object, vi: str, en: str) -> None:
    if not holds:
        raise _BadRowError(vi, en)


def _rows(
    path: Path, *, columns: tuple[set[str], ...], one: Callable[[Mapping[str, str]], Row]
) -> Iterator[Row | BadRow]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            head = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, delimiter=";" if head.count(";") > head.count(",") else ",")
            _refuse_columns(set(reader.fieldnames or ()), columns)
            for row in reader:
                yield _one_row(reader.line_num, row, one)
                if reader.line_num > _MAX_ROWS:
                    yield BadRow(reader.line_num, "danh sách quá dài, bỏ phần sau", "too long; the rest is left")
                    return
        except (UnicodeDecodeError, csv.Error) as error:
            raise errors.InvalidRequest(
                "The file is not CSV text in UTF-8.", detail_vi="Tệp không phải CSV mã hoá UTF-8."
            ) from error


def _one_row(line: int, row: Mapping[str, object], one: Callable[[Mapping[str, str]], Row]) -> Row | BadRow:
    if None in row:
        return BadRow(line, "thừa cột", "too many columns")
    try:
        return one({name: str(value or "").strip() for name, value in row.items()})
    except _BadRowError as bad:
        return BadRow(line, bad.vi, bad.en)


def _refuse_columns(given: set[str], columns: tuple[set[str], ...]) -> None:
    if not any(wanted <= given for wanted in columns):
        wanted = ", ".join(sorted(columns[0]))
        raise errors.InvalidRequest(
            f"The file must have the columns {wanted}.", detail_vi=f"Tệp phải có các cột {wanted}."
        )
