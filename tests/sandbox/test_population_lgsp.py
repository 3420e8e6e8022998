"""The population database behind a provincial LGSP: a token first, then one of three forms of the question."""

from __future__ import annotations

import base64

import pytest

from lienthong.sandbox import population_lgsp

TOKEN, ASK = "/population_lgsp/getToken", "/population_lgsp/tracuu"
ACCESS = population_lgsp.Account().header()
AUTH_HASH = base64.b64encode(b"demo-key:demo-pass").decode()


@pytest.fixture
async def headers(caller) -> dict[str, str]:
    answer = await caller.client.post(
        TOKEN, data={"grant_type": "client_credentials"}, headers={"lgspaccesstoken": ACCESS}
    )
    assert answer.json()["token_type"] == "Bearer"
    return {
        "lgspaccesstoken": ACCESS,
        "authhash": AUTH_HASH,
        "authorization": f"Bearer {answer.json()['access_token']}",
    }


def facade(**changes: str) -> dict[str, str]:
    wanted = {"MaYeuCau": "H56-1", "MaDVC": "G15-TP110", "MaTichHop": "037", "MaCanBo": "CB000123",
              "SoDinhDanh": "001099000001", "HoVaTen": "NGUYỄN VĂN AN", "NgayThangNam": "19990115"}  # fmt: skip
    return wanted | changes


def lower(**changes: str) -> dict[str, str]:
    wanted = {
        "maYeuCau": "H56-2", "maDVC": "G15-TP110", "maCanBo": "CB000123", "soDinhDanh": "001099000001",
        "soCMND": "", "hoVaTen": "NGUYỄN VĂN AN", "ngayThangNam": "19990115", "userNameService": "x",
    }  # fmt: skip
    return wanted | changes


def test_the_access_token_is_the_one_of_the_contract():
    assert ACCESS == (
        "eyJBY2Nlc3NLZXkiOiJBSzEyMyIsIlNlY3JldEtleSI6IlNLNDU2IiwiQXBwTmFtZSI6IkxHU1AtREVNTyIsIlBhcnRuZXJDb2RlIjoi"
        "MDAwLjAwLjAwLkg1NiIsIlBhcnRuZXJDb2RlQ3VzIjoiMDAwLjAwLjAwLkg1NiJ9"
    )


async def test_soap_is_answered_with_soap(caller, population, headers):
    body = population.envelope("TraCuuThongTinCongDan", population.fields())
    answer = await caller.client.post(ASK, content=body, headers={**headers, "content-type": "text/xml"})
    assert "<ns1:Ten>NGUYỄN VĂN AN</ns1:Ten>" in answer.text


async def test_the_facade_answers_with_xml_inside_a_message(caller, headers):
    answer = (await caller.client.post(ASK, json=facade(), headers=headers)).json()
    assert answer["error_code"] == 0
    assert "<ns1:Ten>NGUYỄN VĂN AN</ns1:Ten>" in answer["message"]
    said = (await caller.client.post(ASK, json=facade(MaYeuCau="2", MaTichHop="033"), headers=headers)).json()
    assert "<TonTai>true</TonTai>" in said["message"]


async def test_the_facade_knows_a_year_and_an_old_number(caller, headers):
    old = facade(SoDinhDanh="", SoCMND="000000004", HoVaTen="PHẠM THỊ DIỆP", NgayThangNam="19610420")
    assert "000000004" in (await caller.client.post(ASK, json=old, headers=headers)).json()["message"]
    year = facade(SoDinhDanh="001099000003", HoVaTen="LÊ VĂN CƯỜNG", NgayThangNam="", Nam="1950", MaYeuCau="3")
    assert "001099000003" in (await caller.client.post(ASK, json=year, headers=headers)).json()["message"]


async def test_lower_camel_json_is_answered_with_lower_camel_json(caller, headers):
    (found,) = (await caller.client.post(ASK, json=lower(), headers=headers)).json()["congDan"]
    assert found["hoVaTen"] == {"ho": "", "chuDem": "", "ten": "NGUYỄN VĂN AN"}
    assert found["thuongTru"]["maPhuongXa"] == "14758"
    nobody = await caller.client.post(ASK, json=lower(maYeuCau="9", hoVaTen="AI ĐÓ"), headers=headers)
    assert nobody.json() == {"congDan": []}
    said = await caller.client.post("/population_lgsp/xacThuc", json=lower(maYeuCau="10"), headers=headers)
    assert said.json() == {"tonTai": True}


@pytest.mark.parametrize(("changes", "status"), [
    ({"lgspaccesstoken": "x"}, 401), ({"authorization": "Bearer x"}, 401), ({"authhash": "x"}, 403),
    ({"lgspaccesstoken": base64.b64encode(b'{"AccessKey": "AK123"}').decode()}, 401),
])  # fmt: skip
async def test_a_wrong_header_is_refused(caller, headers, changes: dict[str, str], status: int):
    answer = await caller.client.post(ASK, json=facade(), headers={**headers, **changes})
    assert (answer.status_code, answer.json()["error_code"]) == (status, status)


@pytest.mark.parametrize(("body", "code"), [
    (facade(MaCanBo="CB9"), 403), (facade(Khac="x"), 400), (facade(MaDVC="x"), 500), ([], 400),
    ({"maYeuCau": 1}, 400), (lower(ngayThangNam="1999"), 500),
])  # fmt: skip
async def test_a_wrong_question_is_refused_with_a_code(caller, headers, body: object, code: int):
    answer = await caller.client.post(ASK, json=body, headers=headers)
    assert answer.json()["error_code"] == code


async def test_a_token_ends(caller, headers):
    await caller.mood("expired_token", count=1, services="look_up")
    assert (await caller.client.post(ASK, json=facade(), headers=headers)).status_code == 401
    assert (await caller.client.post(ASK, json=facade(), headers=headers)).status_code == 401


async def test_no_token_without_the_right_grant(caller):
    answer = await caller.client.post(TOKEN, data={"grant_type": "password"}, headers={"lgspaccesstoken": ACCESS})
    assert answer.json()["error"] == "unsupported_grant_type"


async def test_both_ways_in_share_one_quota_and_one_ledger_without_numbers(caller, population, headers):
    await caller.client.put("/_sandbox/quota", json={"per_day": 1})
    assert (await population.look_up()).status_code == 200
    assert (await caller.client.post(ASK, json=facade(), headers=headers)).status_code == 429
    assert "001099000001" not in (await caller.client.get("/_sandbox/received")).text
