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


def rows() -> list[dict[str, str]]:
    with (places.CODES / "vnpost_places.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_provinces_of_the_contract_page_have_its_numbers() -> None:
    found = {row["code"]: (row["postal"], row["internal"]) for row in rows() if row["level"] == "old_province"}
    assert len(found) == 63
    assert {code: found[code] for code in PAGE} == PAGE


def test_the_order_of_the_contract_page_has_its_numbers() -> None:
    found = internal(province_code="38", commune_code="14758")
    assert (found.province, found.district, found.province_name) == ("44", "4410", "Tỉnh Thanh Hóa")


def test_a_merged_province_is_told_apart_by_commune_or_old_district(tmp_path: Path) -> None:
    rows = ("old_province,10,91", "old_province,15,92", "district,080,9101", "district,132,9201")
    known = own(tmp_path, "\n".join(("level,code,number", *rows, "")))

    def province(**codes: str) -> str:
        return known.of(address(province_code="15", **codes), role="sender").province

    assert province(commune_code="02647") == province(old_district_code="080", old_province_code="10") == "91"
    assert province(old_district_code="132") == "92"


def test_the_other_numbering_is_that_of_postal_codes() -> None:
    found = post_places.Places("demo", numbering="postal").of(
        address(province_code="38", commune_code="14758"), role="sender"
    )
    assert (found.province, found.district) == ("40", "4010")


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
        ({"province_code": "15", "old_province_code": "38", "commune_code": "02647"}, "province_code"),
    ],
)
def test_a_place_without_a_number_or_against_itself_is_named(codes: dict[str, str], field: str) -> None:
    with pytest.raises(errors.UnmappedCode) as raised:
        internal(**codes)
    assert raised.value.facts["field"] == f"sender.{field}"
    assert "PLACES_FILE" in raised.value.detail("vi")


def test_every_commune_of_both_lists_lies_in_a_district_of_its_own_province(shared_data: Path) -> None:
    with (shared_data / "codes" / "wards-2025.csv").open(encoding="utf-8") as file:
        communes = [(row["code"], row["province_code"]) for row in csv.DictReader(file)]
    unnumbered, postal = 0, post_places.Places("demo", numbering="postal")
    for commune, province in communes:
        try:
            postal.of(address(province_code=province, commune_code=commune), role="sender")
        except errors.UnmappedCode:
            unnumbered += 1
    assert len(communes) == 3321
    assert unnumbered == 5, "communes of districts that have no postal code in the list"
    with (shared_data / "codes" / "wards-old-to-new-2025.csv").open(encoding="utf-8") as file:
        old = [(row["old_ward_code"], row["old_province_code"]) for row in csv.DictReader(file)]
    table = post_places._table()
    found = {code: (table.district_of(code), province) for code, province in old}
    odd = {code for code, (district, province) in found.items() if not district or district.province != province}
    assert odd == {"27691", "30781"}, (
        "the list itself puts these two into a province that their district is not in"
    )


def own(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "places.csv"
    path.write_text(text, encoding="utf-8")
    return post_places.Places("demo", numbering="internal", file=str(path))


def test_an_operators_rows_add_and_override(tmp_path: Path) -> None:
    mine = own(tmp_path, "level,code,number\nprovince,15,88\ndistrict,080,8801\ncommune,02647,88011\n")
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
