"""The population database through an LGSP: recipe LGSP-1 to the byte, its token, its three variants."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from conformance import SECRET
from population_stage import AN, ERRAND, QUESTION, YES, ResidentPromises, Stage, collection, envelope

from lienthong.connectors.population_lgsp import auth
from lienthong.core import errors, people

ACCOUNT = {
    "access_key": "AK123",
    "secret_key": SECRET,
    "app_name": "LGSP-DEMO",
    "key_name": "keyName",
    "key_pass": "keyPass",
    "user_name_service": "dt-demo",
    "verify_path": "/verify",
    "look_up_path": "/look-up",
}


def new_stage(variant: str) -> Stage:
    return Stage("population_lgsp", {**ACCOUNT, "variant": variant})


@pytest.fixture
def stage() -> Stage:
    return new_stage("soap")


@pytest.fixture
def lower() -> Stage:
    return new_stage("dong_thap")


@pytest.fixture
def facade() -> Stage:
    return new_stage("thanh_hoa")


class TestSoap(ResidentPromises):
    @pytest.fixture
    def stage(self) -> Stage:
        return new_stage("soap")


class TestLowerCamel(ResidentPromises):
    @pytest.fixture
    def stage(self) -> Stage:
        return new_stage("dong_thap")

    async def test_no_personal_data_reaches_the_journal_an_address_or_an_error(self, stage: Stage) -> None:
        stage.answer_all(lambda: httpx.Response(200, json={"error_code": 7, "message": "Sai 001099000001 AN"}))
        with pytest.raises(errors.RemoteRefused) as raised:
            await self.ask(stage)
        assert "001099000001" not in str(raised.value) + repr(vars(raised.value)) + repr(stage.exchanges)


class TestFacade(TestLowerCamel):
    @pytest.fixture
    def stage(self) -> Stage:
        return new_stage("thanh_hoa")


def body_of(stage: Stage) -> Any:
    return json.loads(stage.wire.requests[-1].content)


# ------------------------------------------------------------------------------------------------------ recipe


def test_the_platform_header_is_the_vector_to_the_byte() -> None:
    made = auth.platform_token(
        access_key="AK123",
        secret_key="SK456",
        app_name="LGSP-DEMO",
        partner_code="000.00.00.H56",
        for_code="000.00.00.H56",
    )
    assert made == (
        "eyJBY2Nlc3NLZXkiOiJBSzEyMyIsIlNlY3JldEtleSI6IlNLNDU2IiwiQXBwTmFtZSI6IkxHU1AtREVNTyIsIlBhcnRuZXJDb2RlIjoi"
        "MDAwLjAwLjAwLkg1NiIsIlBhcnRuZXJDb2RlQ3VzIjoiMDAwLjAwLjAwLkg1NiJ9"
    )


async def test_a_call_carries_platform_token_and_official(stage: Stage) -> None:
    await stage.connector.look_up(QUESTION, errand=ERRAND)
    token, call = stage.wire.requests
    assert token.url.path.endswith("/getToken")
    assert json.loads(base64.b64decode(token.headers["lgspaccesstoken"])) == {
        "AccessKey": "AK123", "SecretKey": SECRET, "AppName": "LGSP-DEMO",
        "PartnerCode": "000.00.00.H56", "PartnerCodeCus": "000.00.00.H56",
    }  # fmt: skip
    assert call.headers["Authorization"] == "Bearer token-1"
    assert call.headers["lgspaccesstoken"] == token.headers["lgspaccesstoken"]
    assert base64.b64decode(call.headers["AuthHash"]) == b"keyName:keyPass"


async def test_many_calls_share_one_token(stage: Stage) -> None:
    await asyncio.gather(*(stage.connector.look_up(QUESTION, errand=ERRAND) for _ in range(20)))
    assert stage.wire.tokens == 1


async def test_a_token_is_got_anew_a_minute_before_it_expires(stage: Stage) -> None:
    await stage.connector.look_up(QUESTION, errand=ERRAND)
    stage.now += timedelta(seconds=3539)
    await stage.connector.look_up(QUESTION, errand=ERRAND)
    assert stage.wire.tokens == 1
    stage.now += timedelta(seconds=2)
    await stage.connector.look_up(QUESTION, errand=ERRAND)
    assert stage.wire.tokens == 2


@pytest.mark.parametrize("variant", ["soap", "dong_thap", "thanh_hoa"])
async def test_a_refused_token_is_renewed_once(variant: str) -> None:
    stage = new_stage(variant)
    old = "Bearer token-1"
    stage.wire.fault = lambda it: httpx.Response(401) if it.headers.get("Authorization") == old else None
    assert await stage.connector.look_up(QUESTION, errand=ERRAND) is not None
    assert stage.wire.tokens == 2
    stage.wire.fault = lambda it: httpx.Response(401) if "Authorization" in it.headers else None
    before = len(stage.wire.requests)
    with pytest.raises(errors.RemoteForbids):
        await stage.connector.look_up(QUESTION, errand=ERRAND)
    assert len(stage.wire.requests) - before == 3


async def test_a_platform_that_gives_no_token_is_told_apart(stage: Stage) -> None:
    for answer, error in (
        (httpx.Response(401), errors.RemoteForbids),
        (httpx.Response(200, json={"error": "x"}), errors.RemoteForbids),
        (httpx.Response(200, text="{"), errors.RemoteUnavailable),
    ):
        stage.wire.fault = lambda it, answer=answer: answer
        with pytest.raises(error):
            await stage.connector.look_up(QUESTION, errand=ERRAND)


# ----------------------------------------------------------------------------------------------------- variants


async def test_lower_camel_names_go_out_as_seen(lower: Stage) -> None:
    await lower.connector.look_up(QUESTION, errand=ERRAND)
    assert lower.wire.requests[-1].url.path.endswith("/look-up")
    assert body_of(lower) == {
        "maYeuCau": "H56-20260115093000-000001", "maDVC": "G15-TP110", "maCanBo": "CB000123",
        "soDinhDanh": "001099000001", "soCMND": "", "hoVaTen": "NGUYỄN VĂN AN", "ngayThangNam": "19990115",
        "nam": "", "userNameService": "dt-demo",
    }  # fmt: skip


async def test_lower_camel_answers_are_read(lower: Stage) -> None:
    citizen = {
        "soDinhDanh": "001099000001",
        "hoVaTen": {"ho": "NGUYỄN", "chuDem": "VĂN", "ten": "AN"},
        "ngayThangNamSinh": {"nam": "1999", "ngayThangNam": None},
        "thuongTru": {"maTinhThanh": "38", "maPhuongXa": "14758"},
    }
    lower.answer_all(lambda: httpx.Response(200, json={"congDan": [citizen]}))
    found = await lower.connector.look_up(QUESTION, errand=ERRAND)
    assert (found.full_name, found.birth) == ("NGUYỄN VĂN AN", people.Birth(year=1999))
    assert found.permanent_residence.commune_code == "14758"
    for nobody in ([], None, [{}]):
        lower.answer_all(lambda nobody=nobody: httpx.Response(200, json={"congDan": nobody}))
        assert await lower.connector.look_up(QUESTION, errand=ERRAND) is None
    lower.answer_all(lambda: httpx.Response(200, json={"congDan": [citizen, citizen]}))
    with pytest.raises(errors.RemoteGarbled):
        await lower.connector.look_up(QUESTION, errand=ERRAND)


async def test_the_facade_is_asked_with_all_its_fields(facade: Stage) -> None:
    await facade.connector.look_up(QUESTION, errand=ERRAND)
    assert body_of(facade) == {
        "HoVaTen": "NGUYỄN VĂN AN", "SoDinhDanh": "001099000001", "SoCMND": "", "NgayThangNam": "19990115",
        "Nam": "", "MaTichHop": "037", "MaDVC": "G15-TP110", "MaCanBo": "CB000123",
        "MaYeuCau": "H56-20260115093000-000001",
    }  # fmt: skip


def said(message: Any, code: Any = 0) -> httpx.Response:
    return httpx.Response(200, json={"error_code": code, "message": message})


async def test_the_facades_xml_text_is_read_with_and_without_an_envelope(facade: Stage) -> None:
    for text in (
        envelope(collection(AN)),
        collection(AN),
        '<?xml version="1.0" encoding="UTF-8"?>' + collection(AN),
    ):
        facade.answer_all(lambda text=text: said(text, "0"))
        assert (await facade.connector.look_up(QUESTION, errand=ERRAND)).full_name == "NGUYỄN VĂN AN"
    facade.answer_all(lambda: said(YES))
    assert await facade.connector.verify(QUESTION, errand=ERRAND) is True
    facade.answer_all(lambda: said(collection()))
    assert await facade.connector.look_up(QUESTION, errand=ERRAND) is None


@pytest.mark.parametrize(
    "message", ["", None, "không tìm thấy", "<a", '<!DOCTYPE a [<!ENTITY b "c">]>' + collection(AN), {"a": 1}]
)
async def test_anything_else_in_the_facades_text_is_garbled(facade: Stage, message: Any) -> None:
    facade.answer_all(lambda: said(message))
    with pytest.raises(errors.RemoteGarbled):
        await facade.connector.look_up(QUESTION, errand=ERRAND)


async def test_a_check_gets_a_token_and_asks_about_nobody(stage: Stage) -> None:
    assert all(it.ok for it in await stage.connector.check())
    assert {it.url.path.rpartition("/")[2] for it in stage.wire.requests} == {"getToken"}
