"""Generation C answers and refuses as the contract page says."""

from __future__ import annotations

import pytest


async def _crawl(caller, *, limit: int, **filters) -> list[dict]:
    found, cursor = [], ""
    while True:
        data = (await caller.list(limit=limit, lastId=cursor, **filters)).json()["data"]
        found += data["items"]
        if len(data["items"]) < limit:
            return found
        cursor = data["lastId"]


async def test_success_is_201_in_the_portals_envelope(caller):
    answer = await caller.list(limit=2, lastId="")
    assert answer.status_code == 201
    assert (answer.json()["code"], answer.json()["message"]) == ("OK", "OK")
    assert answer.json()["data"]["lastId"] == answer.json()["data"]["items"][-1]["id"]


async def test_the_cursor_leads_through_the_whole_list_once(caller):
    total = (await caller.list(limit=1)).json()["data"]["total"]
    ids = [item["id"] for item in await _crawl(caller, limit=50)]
    assert len(ids) == len(set(ids)) == total


async def test_a_page_beyond_the_end_is_empty(caller):
    last = (await _crawl(caller, limit=200))[-1]["id"]
    data = (await caller.list(limit=20, lastId=last)).json()["data"]
    assert (data["items"], data["lastId"]) == ([], "")


async def test_a_list_item_has_the_keys_of_the_contract(caller):
    item = (await caller.list(limit=1)).json()["data"]["items"][0]
    assert set(item) == {
        "id", "name", "code", "codeNotation", "categories", "categoryIds", "departments", "departmentPromulgate",
        "departmentPromulgateId", "formalityTargetType", "state", "type",
    }  # fmt: skip
    assert item["id"][14] == "7"


async def test_the_filters_narrow_the_list_and_its_total(caller):
    whole = await _crawl(caller, limit=200)
    category = next(item["categoryIds"][0] for item in whole if item["code"] == "1.001193")
    for filters in ({"q": "KHAI SINH"}, {"q": "khai sinh"}, {"categoryId": category}, {"departmentCode": "G15"},
                    {"level": "COMMUNE"}):  # fmt: skip
        found = await _crawl(caller, limit=10, **filters)
        assert "1.001193" in {item["code"] for item in found}
        assert 0 < len(found) < len(whole)


@pytest.mark.parametrize("body", [{"limit": 0}, {"limit": 201}, {"limit": "20"}, {"level": "HUYEN"}, {"q": 7},
                                  {"lastId": "019d2b00-0000-7000-8000-000000000000"}])  # fmt: skip
async def test_a_request_out_of_bounds_is_a_400(caller, body):
    answer = await caller.list(**body)
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")


async def test_a_detail_is_found_by_its_id_and_an_unknown_one_is_a_404(caller):
    item = (await caller.list(limit=1, q="1.001193")).json()["data"]["items"][0]
    detail = (await caller.detail(item["id"])).json()["data"]
    assert (detail["id"], detail["code"], detail["departmentPromulgateCode"]) == (item["id"], "1.001193", "G15")
    missing = await caller.detail("019d2b00-0000-7000-8000-000000000000")
    assert (missing.status_code, missing.json()["data"]) == (404, None)


async def test_a_short_user_agent_gets_an_html_page(caller):
    caller.client.headers["user-agent"] = "curl/8.0"
    answer = await caller.list(limit=1)
    assert answer.status_code == 200
    assert "<html" in answer.text


async def test_there_are_34_provinces_by_cursor(caller):
    first = (await caller.provinces(limit=30, lastId="")).json()["data"]
    rest = (await caller.provinces(limit=30, lastId=first["lastId"])).json()["data"]
    assert (first["count"], len(first["rows"]), len(rest["rows"])) == (34, 30, 4)
    assert {"15": "Tỉnh Lào Cai", "24": "Tỉnh Bắc Ninh"}.items() <= {
        row["code"]: row["name"] for row in first["rows"]
    }.items()
