"""The imitated NGSP: a WSO2 gateway, the business register, the shared catalogues."""

from __future__ import annotations

import base64

import pytest

from lienthong.sandbox import enterprises

BASIC = base64.b64encode(b"demoConsumerKey:demoConsumerSecret").decode()
REGISTER, LISTS = "/ngsp/apiCSDLDKDN/1.0", "/ngsp/dmdc"


@pytest.fixture
async def ask(caller):
    """Asks with a token in force."""
    data = {"grant_type": "client_credentials"}
    answer = await caller.client.post("/ngsp/token", data=data, headers={"authorization": f"Basic {BASIC}"})
    headers = {"authorization": f"Bearer {answer.json()['access_token']}"}

    async def get(path: str, **query: str):
        return await caller.client.get(path, params=query, headers=headers)

    get.headers, get.token = headers, answer.json()
    return get


async def test_the_basic_header_is_the_one_of_the_contract(ask):
    assert BASIC == "ZGVtb0NvbnN1bWVyS2V5OmRlbW9Db25zdW1lclNlY3JldA=="
    assert (ask.token["expires_in"], ask.token["token_type"]) == (3600, "Bearer")


async def test_how_long_a_token_lives_can_be_set(caller_with):
    one = caller_with(token_life_s=0.0)
    headers = {"authorization": f"Basic {BASIC}"}
    token = (
        await one.client.post("/ngsp/token", data={"grant_type": "client_credentials"}, headers=headers)
    ).json()
    bearer = {"authorization": f"Bearer {token['access_token']}"}
    assert token["expires_in"] == 0
    assert (await one.client.get(f"{LISTS}/Category/magioitinh", headers=bearer)).status_code == 401


async def test_an_enterprise_has_every_field(ask):
    found = (await ask(f"{REGISTER}/chiTietDoanhNghiep", msdn="0000000017")).json()
    main = found["MainInformation"]
    assert main["LEGAL_NAMES"] == "NGUYỄN VĂN AN;TRẦN THỊ BÌNH"
    assert main["FOUNDING_DATE"] == "15/01/2019"
    assert main["CAPITAL_AMOUNT"] == 5_000_000_000
    assert (len(found["Member"]), found["Status"], found["DataCount"]) == (2, "1", 1)
    assert [one["IS_MAIN"] for one in found["BusinessActivity"]] == ["Y", "N"]
    assert found["Representatives"][0]["FULLNAME"] == "NGUYỄN VĂN AN"


async def test_an_unknown_enterprise_has_status_nought(ask):
    found = (await ask(f"{REGISTER}/chiTietDoanhNghiep", msdn="0000000099")).json()
    assert (found["Status"], found["MainInformation"], found["DataCount"]) == ("0", None, 0)


@pytest.mark.parametrize(("first", "last", "status"), [
    ("27/07/2026", "31/07/2026", 200), ("26/07/2026", "31/07/2026", 400), ("31/07/2026", "30/07/2026", 400),
    ("2026-07-30", "31/07/2026", 400), ("", "", 400),
])  # fmt: skip
async def test_a_window_has_at_most_five_days(ask, first: str, last: str, status: int):
    answer = await ask(f"{REGISTER}/danhSachHoSo", from_date=first, to_date=last, offset="0", limit="100")
    assert answer.status_code == status
    assert answer.json()["DataCount"] == (10 if status == 200 else 0)


async def test_filings_are_paged_and_each_has_a_state(ask):
    window = {"from_date": "27/07/2026", "to_date": "31/07/2026", "limit": "4"}
    pages = [(await ask(f"{REGISTER}/danhSachHoSo", **window, offset=str(start))).json() for start in (0, 4, 8)]
    numbers = [row["IN_JOURNAL_NO"] for page in pages for row in page["Data"]]
    assert len(numbers) == len(set(numbers)) == 10
    assert (await ask(f"{REGISTER}/tinhTrangHoSo", in_journal_no=numbers[0])).json()["Status"] == "1"
    assert (await ask(f"{REGISTER}/tinhTrangHoSo", in_journal_no="x")).json()["Status"] == "0"
    today = await ask(f"{REGISTER}/danhSachHoSoTrongNgay", from_ts="00:00", to_ts="23:59", offset="0", limit="9")
    assert today.json()["DataCount"] == 2
    wrong = await ask(f"{REGISTER}/danhSachHoSoTrongNgay", from_ts="8h", to_ts="23:59")
    assert wrong.status_code == 400


async def test_shared_lists_have_a_structure_and_rows(ask):
    names = [one["PropertyCode"] for one in (await ask(f"{LISTS}/Metadata/qlvanbandieuhanhcap1")).json()]
    assert names[:2] == ["MaDinhDanhCap1", "TenDonVi"]
    assert {"MA": "01", "TEN": "A"} in (await ask(f"{LISTS}/Category/manhommau")).json()
    assert len((await ask(f"{LISTS}/Category/donvihanhchinhcap1")).json()) == 34
    assert (await ask(f"{LISTS}/Category/khongco")).status_code == 400
    assert all(name in enterprises.shared_lists() for name in ("dokhanvanban", "madantockhac"))


async def test_inserting_twice_fails_with_http_200(caller, ask):
    rows = [{"MA": "99", "TEN": "Thử"}]
    first = await caller.client.post(f"{LISTS}/Category/madantoc", json=rows, headers=ask.headers)
    assert first.json() == {"MSG": "Done", "Count": 1}
    second = await caller.client.post(f"{LISTS}/Category/madantoc", json=rows, headers=ask.headers)
    assert (second.status_code, second.json()["Count"]) == (200, 0)
    assert second.json()["MSG"].startswith("Data not insert: Record 1:")
    assert second.json()["MSG"].endswith("is duplicate")
    counts = (await caller.look("counts"))["systems"]["ngsp"]["Category.insert"]
    assert counts == {"accepted": 1, "duplicate": 1}


@pytest.mark.parametrize(("path", "headers", "status", "code"), [
    ("/ngsp/dmdc/Category/madantoc", {}, 401, "900902"),
    ("/ngsp/dmdc/Category/madantoc", {"authorization": "Bearer x"}, 401, "900901"),
    ("/ngsp/apiKhac/1.0/x", None, 404, "900906"),
])  # fmt: skip
async def test_the_gateway_itself_answers_in_xml(caller, ask, path: str, headers, status: int, code: str):
    answer = await caller.client.get(path, headers=ask.headers if headers is None else headers)
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (status, "application/xml")
    assert f"<ams:code>{code}</ams:code>" in answer.text


@pytest.mark.parametrize(("mood", "status", "code"), [("forbidden", 403, "900908"), ("quota", 429, "900800"),
                                                      ("gateway_fault", 404, "900906")])  # fmt: skip
async def test_bad_days_of_the_gateway(caller, ask, mood: str, status: int, code: str):
    await caller.mood(mood, system="ngsp", services="chiTietDoanhNghiep")
    answer = await ask(f"{REGISTER}/chiTietDoanhNghiep", msdn="0000000017")
    assert (answer.status_code, f"<ams:code>{code}</ams:code>" in answer.text) == (status, True)
    assert ("retry-after" in answer.headers) == (mood == "quota")


@pytest.mark.parametrize("header", ["", "Basic x", "Basic " + base64.b64encode(b"demoConsumerKey:no").decode()])
async def test_no_token_for_a_stranger(caller, header: str):
    data = {"grant_type": "client_credentials"}
    answer = await caller.client.post("/ngsp/token", data=data, headers={"authorization": header})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_a_token_may_end_early_and_another_is_given(caller, ask):
    await caller.mood("expired_token", count=1)
    assert (await ask(f"{LISTS}/Category/madantoc")).status_code == 401
    assert (await ask(f"{LISTS}/Category/madantoc")).status_code == 401


async def test_over_x_road_the_same_services_answer(caller, ask):
    path = "/ngsp/r1/VN/GOV/BKHDT/dkdn/apiCSDLDKDN/1.0/chiTietDoanhNghiep"
    headers = {**ask.headers, "x-road-client": "VN/GOV/000.00.00.H38/lgsp"}
    answer = await caller.client.get(path, params={"msdn": "0000000024"}, headers=headers)
    assert answer.json()["Status"] == "1"
    assert answer.headers["x-road-service"] == "VN/GOV/BKHDT/dkdn"
