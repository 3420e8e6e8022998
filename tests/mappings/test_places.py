"""Provinces of both eras, imported communes, and the small code lists beside them."""

from __future__ import annotations

import csv
import os
from datetime import date
from pathlib import Path

import pytest

from lienthong.core import errors, records
from lienthong.mappings import engine, places

OLD, NEW = date(2025, 6, 30), date(2025, 7, 1)
SHARED_DATA = Path(os.environ.get("LIENTHONG_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data")
needs_data = pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the real data is not here")


def test_there_were_63_provinces_and_there_are_34() -> None:
    assert sum(it.is_valid(OLD) for it in places.provinces()) == 63
    assert sum(it.is_valid(NEW) for it in places.provinces()) == 34


def test_a_code_means_another_province_before_and_after_the_merger() -> None:
    before, after = places.province("15", on=OLD), places.province("15", on=NEW)
    assert before is not None
    assert after is not None
    assert (before.name, after.name) == ("Tỉnh Yên Bái", "Tỉnh Lào Cai")


@pytest.mark.parametrize(("old", "new"), [("10", "15"), ("27", "24"), ("64", "52"), ("72", "80"), ("82", "82")])
def test_an_old_province_leads_to_the_one_that_took_it_in(old: str, new: str) -> None:
    found = places.successor(old)
    assert found is not None
    assert found.code == new
    assert old in found.merged_from
    assert places.province("10", on=NEW) is None


def test_every_old_province_went_into_exactly_one_new_one() -> None:
    merged = [code for it in places.provinces() if it.is_valid(NEW) for code in it.merged_from]
    assert sorted(merged) == sorted(it.code for it in places.provinces() if it.is_valid(OLD))


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "list.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_bad_row_is_reported_with_its_line_and_the_others_are_taken(tmp_path: Path) -> None:
    rows = "00004,Ba Đình,phường,01\n4,Ngọc Hà,phường,01\n00008,,xã,01\n00025,A,xã,99\n"
    path = written(tmp_path, f"code,name,kind,province\n{rows}")
    found = list(places.read_communes(path))
    assert found[0] == places.Commune("00004", "Ba Đình", "phường", "01")
    assert [it.line for it in found[1:] if isinstance(it, places.BadRow)] == [3, 4, 5]


def test_a_spreadsheet_export_with_semicolons_and_a_mark_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeffcode;name;kind;province\n00004;Ba Đình;phường;01\n")
    assert len([it for it in places.read_communes(path) if isinstance(it, places.Commune)]) == 1


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "code,name\n00004,x\n"])
def test_a_file_without_the_columns_is_refused_as_a_whole(tmp_path: Path, text: str) -> None:
    with pytest.raises(errors.InvalidRequest):
        list(places.read_communes(written(tmp_path, text)))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(b"code,name,province\n\xff\xfe\x00\n")
    with pytest.raises(errors.InvalidRequest):
        list(places.read_communes(path))


def test_a_divided_commune_gives_all_its_candidates(tmp_path: Path) -> None:
    path = written(tmp_path, "old,new,partly\n00007,00008 00025,1\n00001,00097,0\n00002,x,0\n")
    found = list(places.read_commune_changes(path))
    changes = {it.old_code: it for it in found if isinstance(it, places.CommuneChange)}
    assert places.convert("00007", changes) == ("00008", "00025")
    assert places.convert("00001", changes) == ("00097",)
    assert places.convert("99999", changes) == ()
    assert [it.line for it in found if isinstance(it, places.BadRow)] == [4]


@needs_data
def test_the_real_lists_are_read_whole() -> None:
    communes = list(places.read_communes(SHARED_DATA / "codes" / "wards-2025.csv"))
    changes = list(places.read_commune_changes(SHARED_DATA / "codes" / "wards-old-to-new-2025.csv"))
    assert (len(communes), len(changes)) == (3321, 10033)
    assert not any(isinstance(it, places.BadRow) for it in [*communes, *changes])
    assert sum(isinstance(it, places.CommuneChange) and len(it.new_codes) > 1 for it in changes) == 441


def listed(name: str) -> list[dict[str, str]]:
    with (places.CODES / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_list_of_statuses_says_what_the_mapping_file_and_the_records_say() -> None:
    codes = engine.load("dvcqg_adapter").spec.codes["status"].values
    assert {it["code"]: it["word"] for it in listed("statuses.csv")} == codes
    assert {it["word"]: it["name_vi"] for it in listed("statuses.csv")} == records.STATUS_VI


def test_agency_codes_are_unique_and_each_says_what_it_rests_on() -> None:
    rows = listed("agencies.csv")
    assert len({it["code"] for it in rows}) == len(rows) == 85
    assert {it["evidence"] for it in rows} == {"portal-2026", "public-code", "general-knowledge"}


def test_provinces_point_to_agency_codes_that_exist() -> None:
    known = {it["code"] for it in listed("agencies.csv")}
    assert {it.agency_code for it in places.provinces() if it.agency_code} <= known
