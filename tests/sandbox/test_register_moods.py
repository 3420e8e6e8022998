"""Bad days of the registers, and whatever arrives: they answer, and the ledger stays readable and clean."""

from __future__ import annotations

import re

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lienthong.sandbox import moods, residents

REGISTERS = moods.SYSTEMS[2:]
PATHS = (
    "", "/", "/token", "/dancu", "/kho", "/oauth2/token", "/oauth2/authorize", "/oauth2/userinfo", "/oidc/logout",
    "/dmdc/Category/madantoc", "/apiCSDLDKDN/1.0/danhSachHoSo", "/r1", "/r1/a/b/c/d", "//", "/%2e%2e/x",
)  # fmt: skip
MANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
HEADERS = st.dictionaries(
    st.sampled_from(
        ["authorization", "timestamp", "x-road-client", "lgspaccesstoken", "soapaction", "content-type",
         "authhash", "apikey", "x-road-issue"]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=30),
    max_size=4,
)  # fmt: skip


@pytest.mark.parametrize("system", REGISTERS)
@pytest.mark.parametrize(("mood", "status"), [("maintenance", 503), ("quota", 429), ("forbidden", 403),
                                              ("garbage_html", 200), ("garbage_json", 200), ("empty_body", 200),
                                              ("x_road_error", 500)])  # fmt: skip
async def test_a_bad_day_comes_before_anything_else_and_is_counted(caller, system: str, mood: str, status: int):
    await caller.mood(mood, system=system)
    answer = await caller.client.post(f"/{system}/x", content=b"")
    assert answer.status_code == status
    assert (await caller.look("received", system=system, outcome="fault"))["total"] == 1


@pytest.mark.parametrize("system", REGISTERS)
async def test_a_question_that_never_went_out_is_not_counted(caller, system: str):
    assert (await caller.look("received", system=system))["total"] == 0


async def test_an_answer_may_be_lost_after_the_question_was_counted(population):
    await population.caller.mood("lost_answer", services="look_up", count=1)
    with pytest.raises(ConnectionError):
        await population.look_up()
    counts = (await population.caller.look("counts"))["systems"]["population_c06"]
    assert counts == {"look_up": {"read": 1}}


async def test_a_cut_answer_and_a_late_one_keep_their_kind(served):
    one = served.caller()
    await one.client.put("/_sandbox/mood", json={"name": "truncated", "system": "dvcqg_store", "count": 1})
    with pytest.raises(httpx.RemoteProtocolError):
        await one.client.post("/dvcqg_store/x", json={}, timeout=60)
    await one.client.put(
        "/_sandbox/mood", json={"name": "lost_answer", "system": "ngsp", "hang_s": 0.1, "count": 1}
    )
    answer = await one.client.get("/ngsp/x")
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/xml; charset=UTF-8")


async def test_a_mood_of_one_register_is_no_mood_of_another(caller):
    await caller.mood("hostile_xml", system="population_c06")
    answer = await caller.mood("hostile_xml", system="nowhere")
    assert answer.status_code == 422
    known = (await caller.look("mood"))["known"]
    assert known["gateway_fault"]["systems"] == ["ngsp"]


@MANY
@given(
    system=st.sampled_from(REGISTERS),
    path=st.sampled_from(PATHS) | st.text(max_size=10).map(lambda text: f"/{text}"),
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD"]),
    body=st.binary(max_size=200),
    headers=HEADERS,
)
async def test_no_request_makes_a_register_fail(caller, system, path: str, method: str, body: bytes, headers):
    try:
        request = caller.client.build_request(
            method,
            f"/{system}{path}",
            content=body,
            headers=[(k, v.encode("latin-1")) for k, v in headers.items()],
        )
    except (httpx.InvalidURL, ValueError):
        return
    answer = await caller.client.send(request)
    assert answer.status_code < 600
    assert (await caller.client.get("/_sandbox/received")).status_code == 200


FIELDS = ("MaYeuCau", "MaDVC", "MaTichHop", "MaCanBo", "SoDinhDanh", "HoVaTen", "NgayThangNam", "Nam", "MaDonVi",
          "Khac")  # fmt: skip
XML_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20).map(
    lambda text: text.replace("&", "&amp;").replace("<", "&lt;")
)


@MANY
@given(changes=st.dictionaries(st.sampled_from(FIELDS), XML_TEXT, max_size=3))
async def test_no_value_makes_the_population_database_fail(population, changes: dict[str, str]):
    answer = await population.look_up(**changes)
    assert answer.status_code in (200, 403, 500)
    assert b"env:Envelope" in answer.content


async def test_after_all_that_no_number_of_a_person_stands_in_the_ledger(caller, population):
    for one in residents.known():
        await population.look_up(SoDinhDanh=one.numbers[0], HoVaTen="AI ĐÓ")
        await caller.client.post(f"/population_c06/{one.numbers[0]}", content=one.numbers[0])
        await caller.client.get(f"/ngsp/{one.numbers[0]}", headers={"x-road-userid": f"VN{one.numbers[0]}"})
    text = (await caller.client.get("/_sandbox/received", params={"limit": 1000})).text
    held = {number for one in residents.known() for number in one.numbers}
    assert not [number for number in held if re.search(number, text)]
