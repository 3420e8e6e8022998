"""NGSP: the gateway's tokens and faults, the business register with its windows, the shared catalogues."""

from __future__ import annotations

import asyncio
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from conformance import SECRET, ConnectorPromises, text
from imitation_stage import ERRAND, Stage

from lienthong.connectors import bearer
from lienthong.core import errors
from lienthong.sandbox import app as sandbox_app

ENTERPRISE = {
    "MainInformation": {
        "ENTERPRISE_ID": 900001, "ENTERPRISE_GDT_CODE": "0000000017", "IMP_BUSINESS_CODE": "BN00017",
        "ENTERPRISE_TYPE_ID": 3, "ENTERPRISE_TYPE_NAME": "Công ty TNHH", "NAME": "CÔNG TY THỬ NGHIỆM MỘT",
        "SHORT_NAME": "TN MOT", "NAME_F": "TEST ONE", "FOUNDING_DATE": "15/01/2019",
        "LAST_AMEND_DATE": "05/05/2026",
        "NUMBER_CHANGES": 2, "ENTERPRISE_STATUS": "Đang hoạt động", "LEGAL_NAMES": "NGUYỄN VĂN AN; TRẦN THỊ BÌNH",
        "CAPITAL_AMOUNT": 5000000000.125,
    },
    "HOAdress": {
        "CityID": "38", "CityName": "Tỉnh Thử", "DistrictID": "", "DistrictName": "", "WardID": "14758",
        "WardName": "Phường Thử", "StreetNumber": "Số 1", "AddressFullText": "Số 1, Phường Thử",
    },
    "BusinessActivity": [{"CODE": "4690", "NAME": "Bán buôn", "IS_MAIN": "Y"}],
    "Member": [{"MEMBER_NAME": "NGUYỄN VĂN AN", "AMOUNT": "3000000000", "RATIO_PERCENT": 60.5, "COUNTRY": "VN"}],
    "Representatives": [{"FULLNAME": "TRẦN THỊ BÌNH"}, {"FULLNAME": "LÊ VĂN CƯỜNG"}],
    "DataCount": 1, "Status": "1", "Message": "",
}  # fmt: skip
NONE = {"DataCount": 0, "Status": "0", "Message": "Không tìm thấy"}
GENDERS = [{"MA": "1", "TEN": "Nam"}, {"MA": "2", "TEN": None}]


class Platform:
    """The platform as the contract page has it."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.life_s: Any = 3600
        self.windows: list[tuple[str, str, int]] = []
        self.rows = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path, query = request.url.path, request.url.params
        if path.endswith("/token"):
            assert request.content == b"grant_type=client_credentials"
            self.tokens.append(f"token-{len(self.tokens) + 1}")
            return httpx.Response(200, json={"access_token": self.tokens[-1], "expires_in": self.life_s})
        if request.headers["authorization"] != f"Bearer {self.tokens[-1]}":
            return httpx.Response(401, text=fault(900901))
        if path.endswith("chiTietDoanhNghiep"):
            return httpx.Response(200, json=ENTERPRISE if query["msdn"] == "0000000017" else NONE)
        if path.endswith("danhSachHoSo"):
            offset, limit = int(query["offset"]), int(query["limit"])
            self.windows.append((query["from_date"], query["to_date"], offset))
            rows = [{"IN_JOURNAL_NO": str(place)} for place in range(self.rows)][offset : offset + limit]
            return httpx.Response(200, json={"Data": rows, "DataCount": self.rows, "Status": "1", "Message": ""})
        if request.method == "POST":
            return httpx.Response(200, json={"MSG": "Done", "Count": 1})
        return httpx.Response(200, json=GENDERS)


def fault(code: int) -> str:
    """What a WSO2 gateway says itself."""
    return (
        f'<ams:fault xmlns:ams="http://wso2.org/apimanager/security"><ams:code>{code}</ams:code>'
        "<ams:message>no</ams:message></ams:fault>"
    )


def new_stage(**settings: Any) -> Stage:
    given = {"consumer_key": "demoConsumerKey", "consumer_secret": SECRET, **settings}
    return Stage("ngsp", given, Platform(), spared=("/token",))


@pytest.fixture
def stage() -> Stage:
    return new_stage()


async def ask(stage: Stage, code: str = "0000000017") -> Any:
    return await stage.connector.find_enterprise(code, errand=ERRAND)


class TestPromises(ConnectorPromises):
    @pytest.fixture
    def stage(self) -> Any:
        return new_stage()

    async def ask(self, stage: Any) -> Any:
        return await ask(stage)


# -------------------------------------------------------------------------------------------------------- gateway


async def test_a_token_is_asked_for_as_the_vector_says() -> None:
    stage = new_stage(consumer_secret="demoConsumerSecret")
    await ask(stage)
    token = stage.wire.requests[0]
    assert token.headers["authorization"] == "Basic ZGVtb0NvbnN1bWVyS2V5OmRlbW9Db25zdW1lclNlY3JldA=="
    assert token.headers["content-type"] == "application/x-www-form-urlencoded"


async def test_a_token_serves_many_calls_until_a_minute_before_it_ends(stage: Stage) -> None:
    await asyncio.gather(*(ask(stage) for _ in range(5)))
    stage.now += timedelta(seconds=3539)
    await ask(stage)
    assert stage.own.tokens == ["token-1"]
    stage.now += timedelta(seconds=2)
    await ask(stage)
    assert stage.own.tokens == ["token-1", "token-2"]


async def test_a_refused_token_is_got_anew_once_however_many_calls_met_it(stage: Stage) -> None:
    await ask(stage)
    stage.own.tokens.append("ended elsewhere")
    await asyncio.gather(*(ask(stage) for _ in range(5)))
    assert len(stage.own.tokens) == 3


@pytest.mark.parametrize("outcome", ["another token", "the same token", "refused"])
async def test_however_many_calls_wait_for_a_token_it_is_asked_for_once(stage: Stage, outcome: str) -> None:
    asked: list[str] = []

    async def obtain() -> tuple[str, float]:
        asked.append(outcome)
        await asyncio.sleep(0)
        if outcome == "refused" and len(asked) > 1:
            raise errors.RemoteForbids(system="ngsp", remote_code="HTTP 401")
        return (f"token-{len(asked)}" if outcome == "another token" else "token-1"), 3600.0

    token = bearer.Token(obtain, lambda: stage.now)
    old = await token.current()
    found = await asyncio.gather(*(token.current(refused=old) for _ in range(50)), return_exceptions=True)
    assert len(asked) == 2
    assert len(set(map(str, found))) == 1


async def test_who_gives_up_while_getting_a_token_leaves_nobody_without(stage: Stage) -> None:
    asked: list[int] = []

    async def obtain() -> tuple[str, float]:
        asked.append(1)
        await asyncio.sleep(0.05 if len(asked) == 1 else 0)
        return "token", 3600.0

    token = bearer.Token(obtain, lambda: stage.now)
    calls = [asyncio.create_task(token.current()) for _ in range(3)]
    await asyncio.sleep(0.01)
    calls[0].cancel()
    assert await asyncio.gather(*calls[1:]) == ["token", "token"]
    assert len(asked) == 2


async def test_a_token_that_is_refused_again_is_a_matter_for_people(stage: Stage) -> None:
    stage.answer_all(text(fault(900901), 401))
    with pytest.raises(errors.RemoteForbids):
        await ask(stage)
    assert len(stage.own.tokens) == 2


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, 900908, errors.RemoteForbids),
        (404, 900906, errors.RemoteForbids),
        (200, 900906, errors.RemoteForbids),
        (429, 900800, errors.RemoteBusy),
        (503, 101503, errors.RemoteUnavailable),
    ],
)
async def test_what_the_gateway_says_itself_is_never_data(
    status: int, code: int, kind: type[errors.HubError], stage: Stage
) -> None:
    stage.answer_all(text(fault(code), status))
    with pytest.raises(kind):
        await ask(stage)


# ---------------------------------------------------------------------------------------------- business register


async def test_every_field_of_an_enterprise_is_read(stage: Stage) -> None:
    found = await ask(stage)
    assert (found.code, found.tax_code, found.other_code, found.source_id) == (
        "0000000017", "0000000017", "BN00017", "900001",
    )  # fmt: skip
    assert (found.founded_on, found.last_amended_on) == (date(2019, 1, 15), date(2026, 5, 5))
    assert found.capital_vnd == Decimal("5000000000.125")
    assert found.legal_representatives == ("NGUYỄN VĂN AN", "TRẦN THỊ BÌNH", "LÊ VĂN CƯỜNG")
    assert (found.address.province_code, found.address.commune_name) == ("38", "Phường Thử")
    assert [(it.code, it.is_main) for it in found.activities] == [("4690", True)]
    assert found.members[0].share_percent == Decimal("60.5")


@pytest.mark.parametrize("body", [NONE, {"Status": ""}, {"Status": 0}])
async def test_an_enterprise_that_is_not_there_is_nobody(body: Any, stage: Stage) -> None:
    stage.answer_all(lambda: httpx.Response(200, json=body))
    assert await ask(stage) is None


async def test_the_record_of_another_enterprise_is_refused(stage: Stage) -> None:
    stage.answer_all(lambda: httpx.Response(200, json=ENTERPRISE))
    with pytest.raises(errors.RemoteGarbled):
        await ask(stage, "0000000024")


async def test_a_day_that_cannot_be_read_costs_only_that_field(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    spoilt = {**ENTERPRISE, "MainInformation": {**ENTERPRISE["MainInformation"], "FOUNDING_DATE": "31/02/2019"}}
    stage.answer_all(lambda: httpx.Response(200, json=spoilt))
    assert (await ask(stage)).founded_on is None
    assert "NGUYỄN" not in caplog.text


async def test_a_period_is_asked_for_in_windows_of_five_days_and_pages(stage: Stage) -> None:
    stage.own.rows = 3
    stage.connector = stage.open(page_size=2)
    rows = await stage.connector.filings_between(date(2026, 1, 28), date(2026, 2, 7))
    assert stage.own.windows == [
        ("28/01/2026", "01/02/2026", 0), ("28/01/2026", "01/02/2026", 2),
        ("02/02/2026", "06/02/2026", 0), ("02/02/2026", "06/02/2026", 2),
        ("07/02/2026", "07/02/2026", 0), ("07/02/2026", "07/02/2026", 2),
    ]  # fmt: skip
    assert len(rows) == 9


async def test_fewer_filings_than_counted_are_no_list(stage: Stage) -> None:
    page = {"Data": [{"IN_JOURNAL_NO": "1"}], "DataCount": 7, "Status": "1"}
    stage.answer_all(lambda: httpx.Response(200, json=page))
    with pytest.raises(errors.RemoteGarbled):
        await stage.connector.filings_between(date(2026, 1, 1), date(2026, 1, 1))


async def test_pages_that_do_not_move_are_given_up(stage: Stage) -> None:
    page = {"Data": [{"IN_JOURNAL_NO": "1"}], "DataCount": 1, "Status": "1"}
    stage.answer_all(lambda: httpx.Response(200, json=page))
    with pytest.raises(errors.RemoteGarbled):
        await stage.open(page_size=1).filings_between(date(2026, 1, 1), date(2026, 1, 1))


# ---------------------------------------------------------------------------------------------- shared catalogues


async def test_the_rows_of_a_catalogue_come_as_text(stage: Stage) -> None:
    assert await stage.connector.catalogue_rows("magioitinh") == [
        {"MA": "1", "TEN": "Nam"}, {"MA": "2", "TEN": ""},
    ]  # fmt: skip
    assert stage.wire.requests[-1].url.path == "/dmdc/Category/magioitinh"


async def test_the_structure_of_a_catalogue_is_read(stage: Stage) -> None:
    column = {"PropertyCode": "MA", "PropertyName": "Mã", "PropertyType": "String"}
    stage.answer_all(lambda: httpx.Response(200, json=[column]))
    (found,) = await stage.connector.catalogue_columns("magioitinh")
    assert (found.code, found.name, found.type) == ("MA", "Mã", "String")


async def test_a_failure_that_comes_with_200_instead_of_rows_is_a_refusal(stage: Stage) -> None:
    stage.answer_all(lambda: httpx.Response(200, json={"MSG": "Category not found", "Count": 0}))
    with pytest.raises(errors.RemoteRefused) as raised:
        await stage.connector.catalogue_rows("khongco")
    assert raised.value.facts["remote_message"] == "Category not found"


@pytest.mark.parametrize("body", ['{"Count":0}', '[{"PropertyName":"Mã"}]', "[1]"])
async def test_a_structure_that_cannot_be_read_is_garbled(body: str, stage: Stage) -> None:
    stage.answer_all(text(body))
    with pytest.raises(errors.RemoteGarbled):
        await stage.connector.catalogue_columns("magioitinh")


async def test_a_refused_insertion_comes_with_200_and_is_a_refusal_that_names_the_duplicate(stage: Stage) -> None:
    assert await stage.connector.insert_rows("madantoc", [{"MA": "99"}]) == 1
    said = {"MSG": "Data not insert: Record 1: 99 is duplicate", "Count": 0}
    stage.answer_all(lambda: httpx.Response(200, json=said))
    with pytest.raises(errors.RemoteRefused) as raised:
        await stage.connector.insert_rows("madantoc", [{"MA": "99"}])
    assert raised.value.remote_code == "duplicate"


@pytest.mark.parametrize("body", ["{}", "<html>", '{"MSG":"Done","Count":0}'])
async def test_an_insertion_without_a_clear_answer_is_an_unknown_outcome(body: str, stage: Stage) -> None:
    stage.answer_all(text(body))
    with pytest.raises(errors.OutcomeUnknown):
        await stage.connector.insert_rows("madantoc", [{"MA": "99"}])


# -------------------------------------------------------------------------------------------- before the sandbox


@pytest.fixture
def before_sandbox() -> Stage:
    transport = httpx.ASGITransport(app=sandbox_app.create_app())
    stage = new_stage(consumer_secret="demoConsumerSecret", base_url="http://sandbox/ngsp")
    stage.connector = stage.open(transport)
    return stage


async def test_the_sandbox_s_enterprises_are_read(before_sandbox: Stage) -> None:
    found = await ask(before_sandbox)
    assert found.legal_representatives == ("NGUYỄN VĂN AN", "TRẦN THỊ BÌNH")
    assert (await ask(before_sandbox, "0000000055-001")).kind_name == "Chi nhánh"
    assert await ask(before_sandbox, "0000000099") is None


async def test_the_sandbox_s_filings_and_catalogues_are_read(before_sandbox: Stage) -> None:
    connector = before_sandbox.connector
    rows = await connector.filings_between(date(2026, 7, 1), date(2026, 7, 31))
    assert len(rows) == 62
    assert await connector.filings_today(time(8, 0), time(17, 0))
    assert (await connector.filing("2607000001"))["IN_JOURNAL_NO"] == "2607000001"
    assert await connector.filing("9") is None
    assert {"MA": "1", "TEN": "Nam"} in await connector.catalogue_rows("magioitinh")
    assert len(await connector.catalogue_columns("magioitinh")) == 2
    assert await connector.insert_rows("madantoc", [{"MA": "99", "TEN": "Thử"}]) == 1
    with pytest.raises(errors.RemoteRefused, match="duplicate"):
        await connector.insert_rows("madantoc", [{"MA": "99", "TEN": "Thử"}])
    with pytest.raises(errors.RemoteRefused):
        await connector.catalogue_rows("khongco")
