"""Every public catalogue file is read, and nothing that a generation can carry is lost on the way."""

from __future__ import annotations

import functools
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from lienthong.sandbox import catalogue

FULL = "full-2026-07-18.jsonl.gz"
FILES = {
    FULL: 4538, "full-2026-06-10-six-agencies.jsonl.gz": 2127, "full-2025-12-31-defence.jsonl.gz": 161,
    "api-details-2026-07-18.jsonl.gz": 401, "api-details-sample.json": 6, "catalogue-2026-07-18.csv": 4556,
    "catalogue-2026-06-10-six-agencies.csv": 2127, "laythutuc-shape-composed.jsonl": 30,
}  # fmt: skip


def _rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        return [json.loads(line) for line in lines]


@functools.cache
def _loaded(path: Path) -> catalogue.Catalogue:
    return catalogue.of_file(path)


@pytest.fixture(scope="module")
def july(tthc: Path) -> tuple[catalogue.Catalogue, list[dict[str, Any]]]:
    return _loaded(tthc / FULL), _rows(tthc / FULL)


@pytest.mark.parametrize(("name", "count"), FILES.items())
def test_every_file_is_read_and_served_in_both_shapes(tthc: Path, name: str, count: int):
    loaded = _loaded(tthc / name)
    assert len(loaded.entries) == len(loaded.list_rows_a) == count
    for entry in loaded.entries[:: max(1, count // 100)]:
        assert json.loads(loaded.detail_a(entry))["MATTHC"] == entry.code
        detail = json.loads(loaded.detail_c(entry))
        assert (detail["code"], detail["id"]) == (entry.code, entry.id)


def test_answers_of_the_portal_are_served_unchanged(tthc: Path):
    loaded = _loaded(tthc / "api-details-2026-07-18.jsonl.gz")
    sources = _rows(tthc / "api-details-2026-07-18.jsonl.gz")
    assert all(json.loads(loaded.detail_c(e)) == s for e, s in zip(loaded.entries, sources, strict=True))


def test_packets_of_the_adapter_are_served_unchanged(tthc: Path):
    loaded = _loaded(tthc / "laythutuc-shape-composed.jsonl")
    sources = _rows(tthc / "laythutuc-shape-composed.jsonl")
    assert all(json.loads(loaded.detail_a(e)) == s for e, s in zip(loaded.entries, sources, strict=True))


def test_a_rendered_detail_has_every_key_of_the_portals_own(tthc: Path, july):
    own = set().union(*(row for row in json.loads((tthc / "api-details-sample.json").read_text())))
    assert own <= set(json.loads(july[0].detail_c(july[0].entries[0])))


def test_codes_are_served_as_they_are_dirt_included(july, tthc: Path):
    listed = [json.loads(row)["MATTHC"] for row in _loaded(tthc / "catalogue-2026-07-18.csv").list_rows_a]
    assert {" 1.014325", "1.0133611", "2.009182739"} & set(listed)
    dirty = [code for code in listed if not re.fullmatch(r"\d\.\d{6}", code)]
    assert dirty


def test_the_adapter_carries_what_the_july_records_say(july):
    loaded, sources = july
    agencies = {row["MADONVI"]: row["TENDONVI"] for row in map(json.loads, loaded.agency_rows_a)}
    for entry, source in list(zip(loaded.entries, sources, strict=True))[::9]:
        _agrees_with_a(json.loads(loaded.detail_a(entry)), source, agencies)


def _agrees_with_a(packet: dict[str, Any], source: dict[str, Any], agencies: dict[str, str]) -> None:
    plain = {
        "MATTHC": "code", "TENTTHC": "name", "QUYETDINH": "decision_no", "LOAITTHC": "kind",
        "YEUCAU": "requirements",
        "TUKHOA": "keywords", "MOTA": "description", "DIACHITIEPNHAN": "receiving_address",
        "MOTACOQUANTHUCHIEN": "executing_agency", "MOTACOQUANTHAMQUYEN": "competent_agency",
    }  # fmt: skip
    assert {key: packet[key] for key in plain} == {key: source[name] for key, name in plain.items()}
    assert agencies.get(packet["MACOQUANCONGBO"], "").casefold() == source["promulgating_agency"].casefold()
    assert "".join(x["TENLINHVUC"] for x in packet["LINHVUCTHUCHIEN"]) == source["field"]
    assert ", ".join(x["TENCAP"] for x in packet["CAPTHUCHIEN"]) == source["level"]
    assert "".join(s["TENTRINHTU"] for c in packet["TRINHTUTHUCHIEN"] for s in c["TRINHTU"]) == source["steps"]
    assert "".join(x["TENKETQUA"] for x in packet["KETQUATHUCHIEN"]) == source["results"]
    assert [x["TENDOITUONG"] for x in packet["DOITUONGTHUCHIEN"]] == source["subjects"]
    assert [(x["TENVANBAN"], x["SOVANBAN"]) for x in packet["CANCUPHAPLY"]] == [
        (x["title"], x["number"]) for x in source["legal_basis"]
    ]
    agencies_of = {
        "COQUANTHUCHIEN": "executing_agency",
        "COQUANCOTHAMQUYEN": "competent_agency",
        "COQUANDUOCUYQUYEN": "authorised_agency",
        "COQUANPHOIHOP": "coordinating_agency",
    }
    for key, name in agencies_of.items():
        assert "".join(x["TENDONVI"] for x in packet[key]) == source[name].strip()
    assert _papers_a(packet) == _papers(source)
    assert _ways_a(packet) == sorted(_ways(source), key=str)


def _papers(source: dict[str, Any]) -> list[tuple]:
    return [
        (case["case"], paper["name"], paper.get("original") or 0, paper.get("copy") or 0)
        for case in source["dossier_cases"]
        for paper in case["components"]
    ]


def _papers_a(packet: dict[str, Any]) -> list[tuple]:
    return [
        (case["TRUONGHOP"], paper["TENGIAYTO"], int(paper["SOBANCHINH"] or 0), int(paper["SOBANSAO"] or 0))
        for case in packet["THANHPHANHOSO"]
        for paper in case["GIAYTO"]
    ]


def _ways(source: dict[str, Any]) -> list[tuple]:
    return [
        (
            way["channel"],
            way.get("time_qty") or way["time_text"].removesuffix("OTHER").strip(),
            way.get("time_unit") or "OTHER",
            way.get("description", ""),
            tuple((fee["amount_vnd"], fee["note"]) for fee in way["fees"]),
        )
        for way in source["methods"]
    ]


def _ways_a(packet: dict[str, Any]) -> list[tuple]:
    channels = {"1": "DIRECT", "2": "ONLINE", "3": "POSTAL"}
    units = {"Ngày làm việc": "WORKING_DAY", "Giờ": "HOUR", "Tháng": "MONTH", "Năm": "YEAR", "Khác": "OTHER"}
    found = [
        (
            channels[way["KENH"]],
            time["THOIGIANGIAIQUYET"],
            units.get(time["DONVITINH"], time["DONVITINH"]),
            time["MOTA"],
            tuple((int(fee["SOTIEN"]) if fee["SOTIEN"] else None, fee["MOTA"]) for fee in time["PHILEPHI"]),
        )
        for way in packet["CACHTHUCTHUCHIEN"]
        for time in way["THOIGIAN"]
    ]
    return sorted(found, key=str)


def test_the_portal_carries_what_the_july_records_say(july):
    loaded, sources = july
    for entry, source in list(zip(loaded.entries, sources, strict=True))[::9]:
        _agrees_with_c(json.loads(loaded.detail_c(entry)), json.loads(entry.item), source)


def _agrees_with_c(detail: dict[str, Any], item: dict[str, Any], source: dict[str, Any]) -> None:
    plain = {
        "code": "code", "name": "name", "description": "description", "keywords": "keywords", "state": "state",
        "type": "type", "requirementsAndConditions": "requirements",
        "dossierReceivingAddresses": "receiving_address",
        "departmentPromulgateName": "promulgating_agency", "executingAgencies": "executing_agency",
        "delegatedAgencies": "competent_agency", "authorizedAgencies": "authorised_agency",
        "coordinatingAgencies": "coordinating_agency",
    }  # fmt: skip
    if not source["executing_agency"].strip():
        plain.pop("executingAgencies")
    assert {key: detail[key].strip() for key in plain} == {
        key: source[name].strip() for key, name in plain.items()
    }
    assert detail["procedureProposal"]["proposalNumber"] == source["decision_no"]
    kind = {"TTHC được luật giao quy định chi tiết": "ASSIGNED_REGULATION"}
    assert detail["formalityType"] == kind.get(source["kind"], source["kind"])
    level = {"Cấp Xã": "isWard", "Cấp Tỉnh": "isProvince", "Cấp Bộ/Trung ương": "isMinistry"}
    assert [key for key in level.values() if detail[key]] == ([level[source["level"]]] if source["level"] else [])
    assert [x["name"] for x in detail["categoriesDetails"]] == item["categories"] == [source["field"]]
    assert "".join(x["description"] for x in detail["executionSteps"]) == source["steps"]
    assert "".join(x["name"] for x in detail["resultsDetails"]) == source["results"]
    assert [x["name"] for x in detail["subjectTypesDetails"]] == item["formalityTargetType"] == source["subjects"]
    assert [(x["name"], x["code"]) for x in detail["legalBasisesDetails"]] == [
        (x["title"], x["number"]) for x in source["legal_basis"]
    ]
    assert _papers_c(detail) == _papers(source)
    assert _ways_c(detail) == _ways(source)


def _papers_c(detail: dict[str, Any]) -> list[tuple]:
    return [
        (case["name"], paper["name"], paper["originalQty"], paper["copyQty"])
        for case in detail["executionCases"]
        for paper in case["profileComponents"]
    ]


def _ways_c(detail: dict[str, Any]) -> list[tuple]:
    return [
        (
            way["submissionMethod"],
            "" if way["processingTime"] is None else str(way["processingTime"]),
            {"DAY": "ngày"}.get(way["processingTimeUnit"], way["processingTimeUnit"]),
            way["description"],
            tuple((fee["value"], fee["description"]) for fee in way["fees"]),
        )
        for way in detail["executionMethods"]
    ]


def test_an_answer_of_the_portal_keeps_its_codes_as_a_packet(tthc: Path):
    loaded = _loaded(tthc / "api-details-sample.json")
    for entry in loaded.entries:
        packet, source = json.loads(loaded.detail_a(entry)), json.loads(entry.raw())
        assert packet["MACOQUANCONGBO"] == source["departmentPromulgateCode"]
        assert packet["QUYETDINH"] == source["procedureProposal"]["proposalNumber"]
        assert [x["MAKETQUA"] for x in packet["KETQUATHUCHIEN"]] == [x["code"] for x in source["resultsDetails"]]
        papers = [paper["code"] for case in source["executionCases"] for paper in case["profileComponents"]]
        assert [g["MAGIAYTO"] for c in packet["THANHPHANHOSO"] for g in c["GIAYTO"]] == papers


def test_the_june_collection_keeps_names_decisions_and_steps(tthc: Path):
    name = "full-2026-06-10-six-agencies.jsonl.gz"
    loaded = _loaded(tthc / name)
    for entry, source in list(zip(loaded.entries, _rows(tthc / name), strict=True))[::40]:
        packet = json.loads(loaded.detail_a(entry))
        assert packet["TENTTHC"] == source["ten_thu_tuc"]
        assert packet["QUYETDINH"] == source["so_quyet_dinh"]
        assert packet["TRINHTUTHUCHIEN"][0]["TRINHTU"][0]["TENTRINHTU"] == source["trinh_tu_thuc_hien"]


def _record(**changes: Any) -> dict[str, Any]:
    return {"code": "1.000001", "name": "Cấp giấy thử", "methods": [], "field": "Hộ tịch",
            "promulgating_agency": "Bộ Tư pháp", **changes}  # fmt: skip


async def test_the_catalogue_can_be_swapped_while_running(caller, tmp_path: Path):
    answer = await caller.client.put("/_sandbox/catalogue", json={"records": [_record()]})
    assert answer.json() == {"name": "records", "count": 1}
    assert [row["MATTHC"] for row in (await caller.ask("LayDanhSachTTHC"))["result"]] == ["1.000001"]
    file = tmp_path / "three.jsonl"
    file.write_text("\n".join(json.dumps(_record(code=f"1.00000{n}")) for n in range(3)))
    await caller.client.put("/_sandbox/catalogue", json={"path": str(file)})
    assert await caller.look("catalogue") == {"name": "three.jsonl", "count": 3}


@pytest.mark.parametrize("wanted", [{}, {"path": "/khong/co"}, {"records": [{"x": 1}]}, {"records": [7]}, [], "x"])
async def test_a_catalogue_that_cannot_be_read_changes_nothing(caller, wanted):
    before = await caller.look("catalogue")
    assert (await caller.client.put("/_sandbox/catalogue", json=wanted)).status_code == 422
    assert await caller.look("catalogue") == before


async def test_only_what_changed_gets_a_new_id_and_a_later_time(caller):
    async def swap(*records: dict[str, Any]) -> dict[str, tuple[str, int]]:
        await caller.client.put("/_sandbox/catalogue", json={"records": records})
        items = (await caller.list(limit=10)).json()["data"]["items"]
        details = [(await caller.detail(item["id"])).json()["data"] for item in items]
        return {detail["code"]: (detail["id"], detail["updatedAt"]) for detail in details}

    before = await swap(_record(), _record(code="1.000002"))
    after = await swap(_record(), _record(code="1.000002", name="Cấp lại giấy thử"))
    assert after["1.000001"] == before["1.000001"]
    assert after["1.000002"][0] != before["1.000002"][0]
    assert after["1.000002"][1] >= before["1.000002"][1]


def test_the_extra_words_of_a_paper_are_carried_as_its_form():
    paper = {"name": "Đơn đề nghị", "original": 1, "copy": 0, "extra": "Mẫu số 01"}
    loaded = catalogue.of_records([_record(dossier_cases=[{"case": "", "components": [paper]}])])
    packet, detail = (json.loads(write(loaded.entries[0])) for write in (loaded.detail_a, loaded.detail_c))
    assert packet["THANHPHANHOSO"][0]["GIAYTO"][0]["TENMAUDON"] == "Mẫu số 01"
    assert detail["executionCases"][0]["profileComponents"][0]["attachments"][0]["fileName"] == "Mẫu số 01"


def test_the_same_unknown_name_has_the_same_invented_code():
    loaded = catalogue.of_records([_record(field="Lĩnh vực lạ"), _record(code="1.000002", field="lĩnh  vực LẠ")])
    codes = {entry.fields[0].code for entry in loaded.entries}
    assert len(codes) == 1
    assert codes.pop().startswith("X-")
