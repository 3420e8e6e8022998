"""The post's numbers for our places: both numberings, both eras, and nothing guessed where none is known."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from lienthong.core import errors, money
from lienthong.mappings import places, post_places

# contracts §8.1: the first digits of postal codes and VNPost's own number, by the province's statistics code.
PAGE = {
    "01": ("10", "10"), "22": ("01", "20"), "26": ("15", "28"), "27": ("16", "22"), "33": ("17", "16"),
    "35": ("18", "40"), "02": ("20", "31"), "04": ("21", "27"), "08": ("22", "30"), "06": ("23", "26"),
    "19": ("24", "25"), "20": ("25", "24"), "24": ("26", "23"),
}  # fmt: skip


def address(**codes: str) -> money.PostalAddress:
    return money.PostalAddress(name="A", phone="1", address="x", **codes)


def internal(**codes: str) -> post_places.Place:
    return post_places.Places("demo", numbering="internal").of(address(**codes), role="sender")


def test_the_provinces_of_the_contract_page_have_its_numbers() -> None:
    with (places.CODES / "vnpost_places.csv").open(encoding="utf-8") as file:
        found = {row["old_province"]: (row["postal"], row["internal"]) for row in csv.DictReader(file)}
    assert found == {**PAGE, "38": ("", "44")}


def test_the_order_of_the_contract_page_has_its_numbers(tmp_path: Path) -> None:
    known = own(tmp_path, "level,code,number\ncommune_district,14758,4410\n")
    found = known.of(address(province_code="38", commune_code="14758"), role="sender")
    assert (found.province, found.district, found.province_name) == ("44", "4410", "Tỉnh Thanh Hóa")


def test_a_merged_province_is_told_apart_by_the_old_one(tmp_path: Path) -> None:
    rows = ("old_province,10,91", "old_province,15,92", "district,080,9101", "district,132,9201")
    known = own(tmp_path, "\n".join(("level,code,number", *rows, "")))

    def province(old: str, district: str) -> str:
        asked = address(province_code="15", old_province_code=old, old_district_code=district)
        return known.of(asked, role="sender").province

    assert (province("10", "080"), province("15", "132")) == ("91", "92")


def test_the_other_numbering_is_that_of_postal_codes(tmp_path: Path) -> None:
    mine = tmp_path / "places.csv"
    mine.write_text("level,code,number\ndistrict,001,1001\n", encoding="utf-8")
    known = post_places.Places("demo", numbering="postal", file=str(mine))
    found = known.of(address(province_code="01", old_district_code="001"), role="sender")
    assert (found.province, found.district) == ("10", "1001")


@pytest.mark.parametrize(
    ("codes", "field"),
    [
        ({"province_code": "15"}, "province_code"),
        ({"province_code": "99", "commune_code": "14758"}, "province_code"),
        ({"province_code": "38"}, "old_district_code"),
        ({"province_code": "38", "commune_code": "02647"}, "old_district_code"),
        ({"province_code": "38", "commune_code": "99999"}, "old_district_code"),
        ({"province_code": "38", "commune_code": "x"}, "old_district_code"),
        ({"province_code": "04", "old_district_code": "049"}, "old_district_code"),
        ({"province_code": "79", "old_province_code": "79"}, "old_province_code"),
        ({"province_code": "15", "old_province_code": "38", "commune_code": "02647"}, "province_code"),
    ],
)
def test_a_place_without_a_number_or_against_itself_is_named(codes: dict[str, str], field: str) -> None:
    with pytest.raises(errors.UnmappedCode) as raised:
        internal(**codes)
    assert raised.value.facts["field"] == f"sender.{field}"
    assert "PLACES_FILE" in raised.value.detail("vi")


def own(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "places.csv"
    path.write_text(text, encoding="utf-8")
    return post_places.Places("demo", numbering="internal", file=str(path))


def test_an_operators_rows_add_and_override(tmp_path: Path) -> None:
    mine = own(tmp_path, "level,code,number\nprovince,15,88\ncommune_district,02647,8801\ncommune,02647,88011\n")
    found = mine.of(address(province_code="15", commune_code="02647"), role="sender")
    assert (found.province, found.district, found.ward) == ("88", "8801", "88011")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a,b\n",
        *(f"level,code,number\n{row}\n" for row in ("ward,1,2", "province,x,2", "district,1,", "district,1")),
    ],
)
def test_a_wrong_file_stops_the_start(tmp_path: Path, text: str) -> None:
    with pytest.raises(errors.Misconfigured):
        own(tmp_path, text)


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(errors.Misconfigured):
        post_places.Places("demo", numbering="internal", file=str(tmp_path / "none.csv"))
