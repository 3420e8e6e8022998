"""The imitated population database checks what the real one checks, and knows people of every oddity."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from xml.etree import ElementTree

import httpx
import pytest

from lienthong.sandbox import population_c06, residents

NS = "{http://www.mic.gov.vn/dancu/1.0}"


def people_of(answer: httpx.Response) -> list[ElementTree.Element]:
    assert answer.status_code == 200, answer.text
    root = ElementTree.fromstring(answer.content)
    return root.findall(f".//{NS}CongDan")


def fault_of(answer: httpx.Response) -> str:
    return ElementTree.fromstring(answer.content).findtext(".//faultstring") or ""


async def ask_about(population, number: str, name: str, birth: str) -> list[ElementTree.Element]:
    which = "SoCMND" if len(number) == 9 else "SoDinhDanh"
    about = {"SoDinhDanh": "", "HoVaTen": "", "NgayThangNam": ""}
    about = {"HoVaTen": name, "NgayThangNam": "", "SoDinhDanh": ""}
    fields = population.fields(**about)
    fields |= {which: number, "HoVaTen": fields.pop("HoVaTen")}
    fields["NgayThangNam" if len(birth) == 8 else "Nam"] = birth
    return people_of(await population.post(population.envelope("TraCuuThongTinCongDan", fields)))


def test_the_digest_is_the_one_of_the_contract():
    url = "https://ndxp.example.vn/r1/VN/GOV/C06/dancu"
    found = population_c06.digest_of(url, "UBND_DEMO", "1768444200000", "C06SECRET")
    assert found == "9b63b97236dc37e4630a7a392629b38a8481105606c9ce911720413932e03fb7"


async def test_somebody_is_found_by_number_name_and_day_of_birth(population):
    (found,) = people_of(await population.look_up())
    assert found.findtext(f"{NS}SoDinhDanh") == "001099000001"
    assert found.findtext(f"{NS}HoVaTen/{NS}Ten") == "NGUYỄN VĂN AN"
    assert found.findtext(f"{NS}HoVaTen/{NS}Ho") == ""
    assert found.find(f"{NS}ThuongTru/{NS}MaQuanHuyen") is None
    assert found.findtext(f"{NS}ThuongTru/{NS}MaPhuongXa") == "14758"


@pytest.mark.parametrize("code", ["003", "033"])
@pytest.mark.parametrize(("name", "exists"), [("NGUYỄN VĂN AN", "true"), ("NGUYỄN VĂN ANH", "false")])
async def test_verifying_says_only_yes_or_no(population, code: str, name: str, exists: str):
    answer = await population.verify(MaTichHop=code, HoVaTen=name)
    assert f"<TonTai>{exists}</TonTai>" in answer.text
    assert "001099000001" not in answer.text


@pytest.mark.parametrize(("number", "name", "birth"), [
    ("001099000001", "NGUYỄN VĂN BA", "19990115"), ("001099000001", "NGUYỄN VĂN AN", "19990116"),
    ("001099000001", "nguyễn văn an", "19990115"), ("001099000008", "NGUYỄN THỊ HOÀ", "19770303"),
    ("001099000001", "NGUYỄN VĂN AN", "1999"), ("001099000077", "NGUYỄN VĂN AN", "19990115"),
    ("001099000001", "NGUYỄN VĂN AN", "19990115"),
])  # fmt: skip
async def test_whoever_does_not_agree_letter_by_letter_is_not_found(
    population, number: str, name: str, birth: str
):
    if (number, name, birth) == ("001099000001", "NGUYỄN VĂN AN", "19990115"):
        name = "NGUYÊ\u0303N VĂN AN"  # decomposed letters are other letters
    assert await ask_about(population, number, name, birth) == []


async def test_everybody_on_the_list_is_found_with_his_oddity(population):
    for one in residents.known():
        birth = one.row["ngay_sinh"] or one.row["nam_sinh"]
        if not birth:
            continue
        name = one.name.replace("&", "&amp;")
        found = await ask_about(population, one.numbers[0], name, birth)
        assert len(found) == (2 if one.numbers[0].endswith("099") else 1), one.row["ghi_chu"]


async def test_the_oddities_are_there(population):
    (year_only,) = await ask_about(population, "001099000003", "LÊ VĂN CƯỜNG", "1950")
    assert year_only.findtext(f"{NS}NgayThangNamSinh/{NS}NgayThangNam") == ""
    (old,) = await ask_about(population, "000000004", "PHẠM THỊ DIỆP", "19610420")
    assert (old.findtext(f"{NS}SoDinhDanh"), old.findtext(f"{NS}SoCMND")) == ("", "000000004")
    (empty,) = await ask_about(population, "001099000011", "TRẦN VĂN CẢNH", "19600101")
    assert list(empty.find(f"{NS}Cha")) == []
    (married,) = await ask_about(population, "001099000002", "TRẦN THỊ BÌNH", "19920308")
    assert married.findtext(f"{NS}ChuHo/{NS}QuanHe") == "CH01"
    assert married.findtext(f"{NS}QueQuan/{NS}MaQuanHuyen") == "380"


def test_thousands_can_be_invented_again_and_again():
    first = residents.invented(3000, seed=5)
    assert [one.row for one in first] == [one.row for one in residents.invented(3000, seed=5)]
    assert len({one.numbers for one in first}) == 3000
    assert all(one.numbers[0].startswith("000") for one in first)


@pytest.mark.parametrize(("changes", "status"), [
    ({"Timestamp": "1768444200000"}, 401), ({"Timestamp": "soon"}, 401), ({"Authorization": None}, 401),
    ({"Authorization": "Basic VUJORF9ERU1POmFiYw=="}, 401), ({"ApiKey": "other"}, 403), ({"ApiKey": None}, 403),
    ({"X-Road-Client": "VN/GOV/OTHER/lgsp"}, 403), ({"X-Road-Client": None}, 403),
    ({"Content-Type": "application/json"}, 415), ({"SOAPAction": None}, 500), ({"SOAPAction": '"urn:x"'}, 500),
])  # fmt: skip
async def test_a_wrong_header_is_refused(population, changes: dict[str, str | None], status: int):
    body = population.envelope("TraCuuThongTinCongDan", population.fields())
    assert (await population.post(body, **changes)).status_code == status
    assert (await population.post(body)).status_code == 200


async def test_the_clock_may_be_off_over_there(population):
    await population.caller.mood("skew", seconds=-900)
    answer = await population.look_up()
    assert (answer.status_code, fault_of(answer)[:9]) == (401, "Timestamp")


@pytest.mark.parametrize(("changes", "status", "word"), [
    ({"MaCanBo": "CB999999"}, 403, "MaCanBo"), ({"MaDonVi": "H38.16"}, 403, "MaDonVi"),
    ({"TaiKhoan": "cb000202"}, 403, "TaiKhoan"), ({"SoDienThoai": "0900000009"}, 403, "SoDienThoai"),
    ({"MaTichHop": "033"}, 500, "MaTichHop"), ({"MaDVC": "9.999999"}, 500, "MaDVC"),
    ({"MaDVC": "x"}, 500, "MaDVC"),
    ({"MaYeuCau": "x" * 41}, 500, "MaYeuCau"), ({"SoDinhDanh": "12345"}, 500, "SoDinhDanh"),
    ({"NgayThangNam": "1999-01-15"}, 500, "NgayThangNam"), ({"NgayThangNam": "19990230"}, 500, "NgayThangNam"),
    ({"MaDonVi": ""}, 500, "MaDonVi"), ({"HoVaTen": ""}, 500, "HoVaTen"),
])  # fmt: skip
async def test_a_wrong_question_is_refused_and_the_field_is_named(population, changes, status: int, word: str):
    answer = await population.look_up(**changes)
    assert (answer.status_code, word in fault_of(answer)) == (status, True)
    assert "001099000001" not in answer.text


@pytest.mark.parametrize("code", ["1.001193", "1.001193.01", "G15-TP110"])
async def test_a_procedure_of_the_catalogue_or_a_service_code_may_be_the_reason(population, code: str):
    assert people_of(await population.look_up(MaDVC=code))


async def test_the_order_of_the_fields_is_strict(population):
    fields = population.fields()
    fields["MaYeuCau"] = fields.pop("MaYeuCau")
    answer = await population.post(population.envelope("TraCuuThongTinCongDan", fields))
    assert "the order is MaYeuCau, MaDVC" in fault_of(answer)


async def test_other_operations_are_not_open_to_a_province(population):
    for name in ("CungCapDanhSachTheoDiaPhuong", "XacMinhTinhTrangHonNhan", "GetRequests"):
        answer = await population.post(population.envelope(name, population.fields()))
        assert "not open to a province" in fault_of(answer)


async def test_the_fields_of_the_other_operation_are_unknown(population):
    answer = await population.verify(MaDonVi="H38.15")
    assert "does not know" in fault_of(answer)


async def test_a_number_of_a_question_is_used_once(population):
    assert people_of(await population.look_up(MaYeuCau="H38-x"))
    assert "used before" in fault_of(await population.look_up(MaYeuCau="H38-x"))
    await population.client.post("/_sandbox/reset")
    assert people_of(await population.look_up(MaYeuCau="H38-x"))


async def test_the_quota_of_the_day_ends(population):
    await population.client.put("/_sandbox/quota", json={"per_day": 2})
    answers = [(await population.look_up()).status_code for _ in range(3)]
    assert answers == [200, 200, 429]
    assert list((await population.caller.look("quota"))["used"].values()) == [2]


async def test_an_official_can_be_registered_and_struck_off(population):
    mine = {"code": "CB777", "unit": "H38.20", "account": "cb777", "phone": "0900000777"}
    asked = {"MaCanBo": "CB777", "MaDonVi": "H38.20", "TaiKhoan": "cb777", "SoDienThoai": "0900000777"}
    assert (await population.look_up(**asked)).status_code == 403
    assert (await population.client.post("/_sandbox/officials", json=mine)).status_code == 201
    assert people_of(await population.look_up(**asked))
    await population.client.delete("/_sandbox/officials/CB777")
    assert (await population.look_up(**asked)).status_code == 403
    assert (await population.client.post("/_sandbox/officials", json={"code": "x"})).status_code == 422


@pytest.mark.parametrize("body", [
    b"", b"<", b"\xff\xfe\x00", b"<a/>", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', b"<a>" * 100_000,
    b'<?xml version="1.0" encoding="x-unknown"?><a/>', b'<?xml version="1.0" encoding="utf-7"?><a/>',
    b"<a xmlns:x='urn:x'>" + b"<x:b/>" * 10_000 + b"</a>",
])  # fmt: skip
async def test_what_is_no_question_gets_a_fault(population, body: bytes):
    answer = await population.post(body)
    assert answer.status_code == 500
    assert fault_of(answer)


async def test_over_x_road_the_answer_is_tied_to_its_request(population):
    population.path = "/population_c06/r1/VN/GOV/C06/dancu/tracuu"
    body = population.envelope("TraCuuThongTinCongDan", population.fields())
    answer = await population.post(body, **{"X-Road-Id": "id-1", "X-Road-Issue": "H38.15-260803-0001"})
    assert people_of(answer)
    assert answer.headers["x-road-id"] == "id-1"
    assert answer.headers["x-road-service"] == "VN/GOV/C06/dancu/tracuu"
    sent = [(name.decode().lower(), value.decode()) for name, value in answer.request.headers.raw]
    left_aside = ("host", "connection", "user-agent", "content-length")
    head = f"POST\r\n{population.path}\r\n"
    head += "".join(f"{name}:{value}\r\n" for name, value in sent if name not in left_aside)
    head += f"x-road-request-id:{answer.headers['x-road-request-id']}\r\n"
    both = hashlib.sha512(head.encode()).digest() + hashlib.sha512(body).digest()
    wanted = base64.b64encode(hashlib.sha512(both).digest()).decode()
    assert answer.headers["x-road-request-hash"] == wanted
    shown = await population.caller.look("received", dossier="H38.15-260803-0001")
    assert shown["total"] == 1


@pytest.mark.parametrize(("path", "client"), [("/population_c06/r1/VN/GOV", "VN/GOV/X/y"),
                                              ("/population_c06/r1/VN/GOV/C06/dancu", "VN/GOV"),
                                              ("/population_c06/r1/VN/GOV/C06/dancu", None)])  # fmt: skip
async def test_what_is_no_x_road_request_is_the_callers_fault(population, path: str, client: str | None):
    population.path = path
    answer = await population.post(b"<a/>", **{"X-Road-Client": client})
    assert (answer.status_code, answer.headers["x-road-error"]) == (400, "Client.BadRequest")
    assert answer.json()["type"] == "Client.BadRequest"


@pytest.mark.parametrize("kind", ["wrong", "missing", "service"])
async def test_the_tie_may_be_wrong(population, kind: str):
    population.path = "/population_c06/r1/VN/GOV/C06/dancu"
    good = (await population.look_up()).headers
    await population.caller.mood("wrong_hash", kind=kind)
    bad = (await population.look_up()).headers
    assert ("x-road-request-hash" in bad) == (kind != "missing")
    assert (good["x-road-service"] == bad["x-road-service"]) == (kind != "service")


@pytest.mark.parametrize(
    ("kind", "status"), [("Client.BadRequest", 400), ("Server.ServerProxy.NetworkError", 500)]
)
@pytest.mark.parametrize("header", [True, False])
async def test_an_x_road_fault_says_whose_it_is(population, kind: str, status: int, header: bool):
    await population.caller.mood("x_road_error", type=kind, header=header)
    answer = await population.look_up()
    assert (answer.status_code, answer.json()["type"]) == (status, kind)
    assert ("x-road-error" in answer.headers) == header


@pytest.mark.parametrize("kind", ["entity", "external", "dtd", "deep"])
async def test_an_answer_may_be_hostile(population, kind: str):
    await population.caller.mood("hostile_xml", kind=kind)
    text = (await population.look_up()).text
    assert ("<!DOCTYPE" in text) == (kind != "deep")
    assert ("&b;" in text) == (kind in ("entity", "external"))


async def test_an_answer_may_be_huge(population):
    await population.caller.mood("huge_answer", bytes=2_000_000, count=1)
    assert 1_900_000 < len((await population.look_up()).content) < 2_100_000
    assert len((await population.look_up()).content) < 3000


async def test_the_ledger_counts_questions_and_holds_no_name_and_no_number(population):
    await population.look_up()
    await population.verify()
    await population.post(b"<a>001099000001</a>")
    ledger = await population.client.get("/_sandbox/received", params={"system": "population_c06"})
    assert [row["service"] for row in ledger.json()["items"]] == ["look_up", "verify", "?"]
    assert ledger.json()["items"][0]["body"]["number"] == "…001"
    assert ledger.json()["items"][0]["body"]["MaCanBo"] == "CB000201"
    pages = ledger.text + (await population.client.get("/?call=1")).text
    for secret in ("001099000001", "NGUYỄN", "19990115", "C06SECRET", "demo-api-key"):
        assert secret not in pages


async def test_many_questions_wait_side_by_side(population):
    await population.caller.mood("slow", latency_ms=200)
    answers = await asyncio.gather(*(population.look_up() for _ in range(200)))
    assert {answer.status_code for answer in answers} == {200}
    assert (await population.caller.look("counts"))["systems"]["population_c06"]["look_up"] == {"read": 200}


async def test_x_roads_soap_form_gets_its_header_back_with_the_hash_of_the_envelope(population):
    header = (
        '<x:client xmlns:x="http://x-road.eu/xsd/xroad.xsd" xmlns:i="http://x-road.eu/xsd/identifiers"'
        ' i:objectType="SUBSYSTEM"><i:xRoadInstance>VN</i:xRoadInstance><i:memberClass>GOV</i:memberClass>'
        "<i:memberCode>000.00.00.H38</i:memberCode><i:subsystemCode>lgsp</i:subsystemCode></x:client>"
        '<x:id xmlns:x="http://x-road.eu/xsd/xroad.xsd">id-7</x:id>'
    )
    body = population.envelope("TraCuuThongTinCongDan", population.fields())
    body = body.replace(b"<soapenv:Header/>", f"<soapenv:Header>{header}</soapenv:Header>".encode())
    answer = await population.post(body, **{"X-Road-Client": None})
    assert people_of(answer)
    root, xroad = ElementTree.fromstring(answer.content), "{http://x-road.eu/xsd/xroad.xsd}"
    assert root.findtext(f".//{xroad}id") == "id-7"
    assert root.find(f".//{xroad}client").attrib == {"{http://x-road.eu/xsd/identifiers}objectType": "SUBSYSTEM"}
    wanted = base64.b64encode(hashlib.sha512(body).digest()).decode()
    assert root.findtext(f".//{xroad}requestHash") == wanted
