"""The population database by SOAP: recipe C06-1 to the byte, its questions, every oddity of its answers."""

from __future__ import annotations

import base64
import unicodedata
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from conformance import SECRET, text
from lxml import etree
from population_stage import AN, ERRAND, NOW, QUESTION, YES, ResidentPromises, Stage, collection, envelope, soap

from lienthong.connectors import population
from lienthong.connectors.population_c06 import auth
from lienthong.core import errors, people

ACCOUNT = {"username": "UBND_DEMO", "secret_key": SECRET, "api_key": "demo-key", "xroad_client": "VN/GOV/H56/LGSP"}
BILLION_LAUGHS = '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]>'


@pytest.fixture
def stage() -> Stage:
    return Stage("population_c06", ACCOUNT)


class TestAsRegister(ResidentPromises):
    @pytest.fixture
    def stage(self) -> Stage:
        return Stage("population_c06", ACCOUNT)


def canonical(xml: str | bytes) -> list[tuple[str, str]]:
    root = etree.fromstring(xml.encode() if isinstance(xml, str) else xml)
    return [(it.tag, (it.text or "").strip()) for it in root.iter() if not it.tag.endswith("Header")]


FIXTURE = """<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:dan="http://dancuquocgia.bca">
  <soapenv:Header/>
  <soapenv:Body>
    <dan:TraCuuThongTinCongDan>
      <dan:MaYeuCau>H56-20260115093000-000001</dan:MaYeuCau>
      <dan:MaDVC>G15-TP110</dan:MaDVC>
      <dan:MaTichHop>037</dan:MaTichHop>
      <dan:MaCanBo>CB000123</dan:MaCanBo>
      <dan:MaDonVi>H56.14</dan:MaDonVi>
      <dan:TaiKhoan>cb000123</dan:TaiKhoan>
      <dan:SoDienThoai>0900000000</dan:SoDienThoai>
      <dan:SoDinhDanh>001099000001</dan:SoDinhDanh>
      <dan:HoVaTen>NGUYỄN VĂN AN</dan:HoVaTen>
      <dan:NgayThangNamSinh><dan:NgayThangNam>19990115</dan:NgayThangNam></dan:NgayThangNamSinh>
    </dan:TraCuuThongTinCongDan>
  </soapenv:Body>
</soapenv:Envelope>"""


# ------------------------------------------------------------------------------------------------------ recipe


async def test_the_headers_are_those_of_the_vector_to_the_byte(stage: Stage) -> None:
    signing = stage.open(secret_key="C06SECRET")
    await signing.look_up(QUESTION, errand=ERRAND)
    sent = stage.wire.requests[-1].headers
    assert sent["Timestamp"] == "1768444200000"
    assert sent["Authorization"] == (
        "Basic VUJORF9ERU1POjliNjNiOTcyMzZkYzM3ZTQ2MzBhN2EzOTI2MjliMzhhODQ4"
        "MTEwNTYwNmM5Y2U5MTE3MjA0MTM5MzJlMDNmYjc="
    )
    assert (sent["X-Road-Client"], sent["ApiKey"]) == ("VN/GOV/H56/LGSP", "demo-key")
    assert (sent["Content-Type"], sent["SOAPAction"]) == ("application/xml", '""')


def test_the_digest_is_that_of_the_vector_and_any_change_changes_it() -> None:
    vector = ("https://ndxp.example.vn/r1/VN/GOV/C06/dancu", "UBND_DEMO", "1768444200000", "C06SECRET")
    right = "9b63b97236dc37e4630a7a392629b38a8481105606c9ce911720413932e03fb7"
    assert auth.digest(*vector) == right
    for place in range(4):
        changed = list(vector)
        changed[place] += " "
        assert auth.digest(*changed) != right


async def test_seconds_and_another_signed_address_are_settings(stage: Stage) -> None:
    other = stage.open(timestamp_unit="s", signed_url="https://inside.example.vn/dancu")
    await other.look_up(QUESTION, errand=ERRAND)
    sent = stage.wire.requests[-1].headers
    assert sent["Timestamp"] == "1768444200"
    wanted = auth.digest("https://inside.example.vn/dancu", "UBND_DEMO", "1768444200", SECRET)
    assert base64.b64decode(sent["Authorization"].split()[1]).decode() == f"UBND_DEMO:{wanted}"


# ---------------------------------------------------------------------------------------------------- question


async def test_the_question_is_the_fixture_of_the_page_element_by_element(stage: Stage) -> None:
    await stage.connector.look_up(QUESTION, errand=ERRAND)
    assert canonical(stage.wire.requests[-1].content) == canonical(FIXTURE)


async def test_verifying_sends_its_own_code_and_not_the_officials_details(stage: Stage) -> None:
    await stage.connector.verify(QUESTION, errand=ERRAND)
    names = dict(canonical(stage.wire.requests[-1].content))
    q = "{http://dancuquocgia.bca}"
    assert names[f"{q}MaTichHop"] == "003"
    assert not {f"{q}MaDonVi", f"{q}TaiKhoan", f"{q}SoDienThoai"} & set(names)
    assert f"{q}XacThucThongTinCongDan" in names


async def test_names_of_elements_and_codes_are_settings(stage: Stage) -> None:
    other = stage.open(
        verify_element="XacThucThongTinCongDanRequest", service_code_element="MaDichVu", verify_code="033"
    )
    stage.answer_all(lambda: soap(YES))
    await other.verify(QUESTION, errand=ERRAND)
    names = dict(canonical(stage.wire.requests[-1].content))
    q = "{http://dancuquocgia.bca}"
    assert names[f"{q}MaDichVu"] == "G15-TP110"
    assert names[f"{q}MaTichHop"] == "033"
    assert f"{q}XacThucThongTinCongDanRequest" in names
    assert f"{q}MaDVC" not in names


async def test_a_year_alone_and_an_old_number_have_their_own_elements(stage: Stage) -> None:
    old = people.ResidentQuestion(old_id="172000001", full_name="Lê Thị Ba", birth=people.Birth(year=1948))
    stage.answer_all(lambda: soap(collection()))
    assert await stage.connector.look_up(old, errand=ERRAND) is None
    names = dict(canonical(stage.wire.requests[-1].content))
    q = "{http://dancuquocgia.bca}"
    assert (names[f"{q}SoCMND"], names[f"{q}Nam"]) == ("172000001", "1948")
    assert not {f"{q}SoDinhDanh", f"{q}NgayThangNam"} & set(names)


async def test_a_name_goes_out_in_capitals_and_composed_letters(stage: Stage) -> None:
    decomposed = unicodedata.normalize("NFD", "  Nguyễn  văn an ")
    await stage.connector.look_up(QUESTION.model_copy(update={"full_name": decomposed}), errand=ERRAND)
    assert "<ns0:HoVaTen>NGUYỄN VĂN AN</ns0:HoVaTen>" in stage.wire.requests[-1].content.decode()


async def test_an_incomplete_official_is_named_before_anything_is_sent(stage: Stage) -> None:
    with pytest.raises(errors.InvalidRequest) as raised:
        await stage.connector.look_up(QUESTION, errand=ERRAND.model_copy(update={"official_phone": ""}))
    assert [it.field for it in raised.value.problems] == ["official.phone"]
    assert not stage.wire.requests


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("HOÀNG THỊ HÒA", "HOÀNG THỊ HOÀ"),
        ("TRẦN THUÝ", "TRẦN THÚY"),
        ("LÊ THÚY KHỎE", "LÊ THUÝ KHOẺ"),
        ("NGUYỄN VĂN QUÝ", None),
        ("NGUYỄN TOÀN", None),
        ("NGUYỄN VĂN AN", None),
    ],
)
def test_tone_marks_have_another_place_only_in_open_syllables(name: str, other: str | None) -> None:
    assert population.other_placement(name) == other


async def test_a_second_question_with_the_other_tone_placement_is_asked_only_where_it_is_allowed(
    stage: Stage,
) -> None:
    hoa = QUESTION.model_copy(update={"full_name": "Trần Thị Hòa"})
    stage.answer_all(lambda: soap(collection()))
    assert await stage.connector.look_up(hoa, errand=ERRAND) is None
    assert len(stage.wire.requests) == 1
    eager = stage.open(other_tone_placement=True)
    assert await eager.look_up(hoa, errand=ERRAND) is None
    assert len(stage.wire.requests) == 3
    asked = [dict(canonical(it.content)) for it in stage.wire.requests[1:]]
    q = "{http://dancuquocgia.bca}"
    assert [it[f"{q}HoVaTen"] for it in asked] == ["TRẦN THỊ HÒA", "TRẦN THỊ HOÀ"]
    assert [it[f"{q}MaYeuCau"] for it in asked] == [ERRAND.number, f"{ERRAND.number}-2"]


# ------------------------------------------------------------------------------------------------------ answer


async def answered(stage: Stage, body: str, status: int = 200) -> Any:
    stage.answer_all(lambda: soap(body, status))
    return await stage.connector.look_up(QUESTION, errand=ERRAND)


async def test_the_fixture_of_the_page_is_read_whole(stage: Stage) -> None:
    found = await answered(stage, collection(AN))
    assert found.birth == people.Birth(day=date(1999, 1, 15), year=1999)
    assert (found.ethnicity, found.religion, found.marital_status) == ("01", "00", "never_married")
    home = found.permanent_residence
    assert (home.province_code, home.district_code, home.commune_code) == ("38", "", "14758")
    assert (home.detail, home.country) == ("Tổ 1", "VN")
    assert found.hometown is None


async def test_an_empty_collection_is_nobody(stage: Stage) -> None:
    assert await answered(stage, collection()) is None
    assert await answered(stage, collection(attributes='SoCongDan="0" GhiChu="" ThoiDiemDuLieu="" Id="x"')) is None
    assert await answered(stage, collection("<ns1:CongDan/>")) is None


async def test_several_citizens_are_an_error_and_none_is_picked(stage: Stage) -> None:
    for body in (collection(AN, AN), collection(AN, attributes='SoCongDan="2"')):
        with pytest.raises(errors.RemoteGarbled):
            await answered(stage, body)


async def test_the_record_of_somebody_else_is_not_given_out(stage: Stage) -> None:
    with pytest.raises(errors.RemoteGarbled):
        await answered(stage, collection(AN.replace("001099000001", "001099000009")))


async def test_three_parts_of_a_name_relatives_and_a_head_of_household_are_read(stage: Stage) -> None:
    whole = "<ns1:Ho/><ns1:ChuDem/><ns1:Ten>NGUYỄN VĂN AN</ns1:Ten>"
    parts = "<ns1:Ho>NGUYỄN</ns1:Ho><ns1:ChuDem>VĂN</ns1:ChuDem><ns1:Ten>AN</ns1:Ten>"
    head = (
        "<ns1:Cha><ns1:HoVaTen><ns1:Ten>NGUYỄN VĂN CẢ</ns1:Ten></ns1:HoVaTen></ns1:Cha>"
        "<ns1:Me/><ns1:ChuHo><ns1:QuanHe>CH01</ns1:QuanHe><ns1:HoVaTen>NGUYỄN VĂN CẢ</ns1:HoVaTen></ns1:ChuHo>"
    )
    changed = AN.replace(whole, parts).replace("</ns1:CongDan>", head + "</ns1:CongDan>")
    found = await answered(stage, collection(changed))
    assert found.full_name == "NGUYỄN VĂN AN"
    assert (found.father.full_name, found.mother) == ("NGUYỄN VĂN CẢ", None)
    assert (found.household_head.relation, found.household_head.full_name) == ("CH01", "NGUYỄN VĂN CẢ")


async def test_a_year_of_birth_alone_and_empty_codes_are_read(stage: Stage) -> None:
    changed = AN.replace("<ns1:NgayThangNam>19990115</ns1:NgayThangNam>", "<ns1:NgayThangNam/>")
    changed = changed.replace("<ns1:GioiTinh>1</ns1:GioiTinh>", "<ns1:GioiTinh/>")
    found = await answered(stage, collection(changed))
    assert found.birth == people.Birth(year=1999)
    assert found.gender == "unknown"


async def test_an_unknown_code_is_an_error_that_does_not_repeat_it(stage: Stage) -> None:
    with pytest.raises(errors.UnmappedCode) as raised:
        await answered(stage, collection(AN.replace("<ns1:GioiTinh>1<", "<ns1:GioiTinh>001099000001<")))
    assert "001099000001" not in str(raised.value) + repr(vars(raised.value))


async def test_a_new_element_is_left_out_and_its_name_told_to_the_log(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    changed = AN.replace("</ns1:CongDan>", "<ns1:Moi>001099000001</ns1:Moi></ns1:CongDan>")
    assert (await answered(stage, collection(changed))).full_name == "NGUYỄN VĂN AN"
    assert [getattr(it, "fields", "") for it in caplog.records] == ["Moi"]
    assert "001099000001" not in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        collection(AN).replace("http://www.mic.gov.vn/dancu/1.0", "http://elsewhere.example"),
        collection(AN).replace("ns1:", "").replace("xmlns:ns1", "x"),
        collection(AN.replace("<ns1:GioiTinh>", '<ns1:GioiTinh xmlns:ns1="urn:x">')),
        collection("<ns1:Khac/>"),
        YES,
        "",
        collection(AN.replace("<ns1:Nam>1999", "<ns1:Nam>1998")),
        collection(AN.replace("19990115", "1999-13-45")),
    ],
    ids=["namespace", "none", "inside", "other", "verify", "empty", "disagree", "no date"],
)
async def test_what_is_not_the_answer_of_the_page_is_garbled(stage: Stage, body: str) -> None:
    with pytest.raises(errors.RemoteGarbled):
        await answered(stage, body)


@pytest.mark.parametrize(
    ("word", "yes"), [("true", True), ("false", False), ("1", True), ("0", False), (" TRUE ", True)]
)
async def test_a_verifying_answer_is_yes_or_no(stage: Stage, word: str, yes: bool) -> None:
    stage.answer_all(lambda: soap(YES.replace("true", word)))
    assert await stage.connector.verify(QUESTION, errand=ERRAND) is yes


@pytest.mark.parametrize("body", [YES.replace("true", "maybe"), YES.replace("true", ""), collection(), "<x/>", ""])
async def test_any_other_verifying_answer_is_garbled(stage: Stage, body: str) -> None:
    stage.answer_all(lambda: soap(body))
    with pytest.raises(errors.RemoteGarbled):
        await stage.connector.verify(QUESTION, errand=ERRAND)


@pytest.mark.parametrize(
    "attack",
    [
        BILLION_LAUGHS + envelope(collection(AN)),
        '<!DOCTYPE a SYSTEM "file:///etc/passwd">' + envelope(collection(AN)),
        envelope("<a>" * 100_000 + "</a>" * 100_000),
        envelope(f'<a b="{"x" * 100_000}"/>'),
    ],
    ids=["entities", "external", "deep", "long attribute"],
)
async def test_hostile_xml_is_refused(stage: Stage, attack: str) -> None:
    stage.answer_all(lambda: httpx.Response(200, text=attack))
    with pytest.raises(errors.RemoteGarbled):
        await stage.connector.look_up(QUESTION, errand=ERRAND)


# ---------------------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize("status", [401, 403])
async def test_a_wrong_key_or_official_stops_at_once(stage: Stage, status: int) -> None:
    stage.answer_all(text("no", status))
    with pytest.raises(errors.RemoteForbids):
        await stage.connector.look_up(QUESTION, errand=ERRAND)
    assert len(stage.wire.requests) == 1


def fault(code: str) -> str:
    return (
        '<f:Fault xmlns:f="http://schemas.xmlsoap.org/soap/envelope/">'
        f"<faultcode>f:{code}</faultcode><faultstring>x</faultstring></f:Fault>"
    )


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("Client", errors.RemoteRefused),
        ("Client.Authentication", errors.RemoteForbids),
        ("Server", errors.RemoteUnavailable),
        ("QuaHanMuc", errors.RemoteRefused),
    ],
)
@pytest.mark.parametrize("status", [200, 500])
async def test_a_fault_is_told_apart_from_an_empty_answer(
    stage: Stage, status: int, code: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await answered(stage, fault(code), status)


async def test_a_lost_answer_is_not_asked_again_by_the_connector(stage: Stage) -> None:
    def lost() -> httpx.Response:
        raise httpx.ReadTimeout("lost")

    stage.answer_all(lost)
    with pytest.raises(errors.RemoteUnavailable):
        await stage.connector.look_up(QUESTION, errand=ERRAND)
    assert len(stage.wire.requests) == 1


async def test_a_check_asks_about_nobody(stage: Stage) -> None:
    assert all(it.ok for it in await stage.connector.check())
    assert [it.method for it in stage.wire.requests] == ["GET"]


# ------------------------------------------------------------------------------------------------------ policy


def test_all_but_two_operations_are_refused_and_named() -> None:
    refused = population.refused_operations()
    assert len(refused) == 23
    assert not set(refused) & set(population.SERVICES.values())
    for operation in (*refused, "AnythingElse"):
        with pytest.raises(errors.NotGranted) as raised:
            population.require_allowed(operation)
        assert (operation if operation in refused else "another operation") in raised.value.detail("vi")
    for operation in population.SERVICES.values():
        population.require_allowed(operation)
    with pytest.raises(errors.NotGranted):
        population.require_allowed("TraCuuThongTinCongDan", also_refused=("TraCuuThongTinCongDan",))


def test_the_time_of_a_call_is_the_clocks() -> None:
    assert auth.timestamp(NOW + timedelta(milliseconds=1), unit="ms") == "1768444200001"
