"""Places as the post numbers them: its own numbers for ours, old and new divisions alike. No storage here.

The table holds the provinces whose numbers the contract page gives, and no others: districts and communes are in
the operator's file, which also overrides the table.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

from lienthong.core import errors, money
from lienthong.mappings import places

Numbering = Literal["internal", "postal"]
"""VNPost's own numbers (`44` for Thanh Hóa), or the first digits of postal codes (`40`): contracts §8.1."""

LEVELS = frozenset({"province", "old_province", "district", "commune", "commune_district"})
_COLUMNS = {"level", "code", "number"}


@dataclass(frozen=True, slots=True)
class Place:
    """A place by the carrier's numbers; `ward` is empty where it is not known. `province_name` is ours."""

    province: str
    district: str
    ward: str
    province_name: str


class Places:
    """Turns addresses into a carrier's numbers. Raises UnmappedCode naming the place that has none."""

    def __init__(self, contract: str, *, numbering: Numbering, file: str = "") -> None:
        """Read the operator's file, where one is named. Raises Misconfigured naming its line."""
        self._contract, self._numbering = contract, numbering
        self._own = dict(_own_rows(Path(file), contract=contract)) if file else {}

    def of(self, address: money.PostalAddress, *, role: str, ward_needed: bool = False) -> Place:
        """Give the numbers of an address; `role` (sender, receiver) is for the error."""
        province = self._province(address, role=role)
        number = self._own.get(("commune_district", address.commune_code), "")
        number = number or self._own.get(("district", address.old_district_code), "")
        if not number:
            self._missing(f"{role}.old_district_code", address.old_district_code or address.commune_code)
        ward = self._own.get(("commune", address.commune_code), "")
        if ward_needed and not ward:
            self._missing(f"{role}.commune_code", address.commune_code)
        return Place(province, number, ward, _name(address.province_code))

    def _province(self, address: money.PostalAddress, *, role: str) -> str:
        own = self._own.get(("province", address.province_code), "")
        if own:
            return own
        old = address.old_province_code or _only_part(address)
        today = places.successor(old) if old else None
        if today is None or today.code != address.province_code:
            self._missing(f"{role}.province_code", address.province_code)
        known = _provinces().get(old, {}).get(self._numbering, "")
        return self._own.get(("old_province", old), "") or known or self._missing(f"{role}.old_province_code", old)

    def _missing(self, field: str, code: str) -> NoReturn:
        raise errors.UnmappedCode(
            f"{self._contract} has no number for the place {code or '(none)'} ({field}); add it to PLACES_FILE",
            detail_vi=f"Chưa biết mã địa bàn của bưu chính cho mã {code or '(không có)'} ({field}); "
            "hãy bổ sung vào tệp PLACES_FILE.",
            contract=self._contract,
            field=field,
            value=code,
        )


def _only_part(address: money.PostalAddress) -> str:
    """Give the old province of a new one that was not merged; of a merged one it cannot be told."""
    today = places.province(address.province_code, on=places.TWO_LEVELS_SINCE)
    return today.merged_from[0] if today is not None and len(today.merged_from) == 1 else ""


def _name(code: str) -> str:
    today = places.province(code, on=places.TWO_LEVELS_SINCE)
    return today.name if today else ""


@functools.cache
def _provinces() -> Mapping[str, Mapping[str, str]]:
    with (places.CODES / "vnpost_places.csv").open(encoding="utf-8", newline="") as file:
        return {row["old_province"]: row for row in csv.DictReader(file)}


def _own_rows(path: Path, *, contract: str) -> Iterator[tuple[tuple[str, str], str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if not set(reader.fieldnames or ()) >= _COLUMNS:
                raise _wrong(path, contract, "its columns must be level, code, number", line=1)
            for row in reader:
                level, code, number = (str(row[name] or "").strip() for name in ("level", "code", "number"))
                if level not in LEVELS or not code.isdigit() or not number.isascii() or not number.isalnum():
                    raise _wrong(path, contract, "a row must be level, code, number", line=reader.line_num)
                yield (level, code), number
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _wrong(path, contract, "it cannot be read", line=0) from error


def _wrong(path: Path, contract: str, why: str, *, line: int) -> errors.Misconfigured:
    return errors.Misconfigured(
        f"PLACES_FILE {path.name}, line {line}: {why}",
        detail_vi=f"Tệp PLACES_FILE {path.name}, dòng {line}: cần các cột level, code, number.",
        contract=contract,
        line=line,
    )
