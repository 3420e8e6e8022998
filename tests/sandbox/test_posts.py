"""my.vnpost and EMS: orders, prices, tracking, and the calls of EMS with their bad days."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TRADE = {
    "SenderTel": "0900000001", "SenderFullname": "Một cửa", "SenderAddress": "1 Phố Thử", "SenderWardId": "",
    "SenderDistrictId": "1010", "SenderProvinceId": "10", "ReceiverTel": "0900000002",
    "ReceiverFullname": "Nguyễn Văn An", "ReceiverAddress": "2 Phố Thử", "ReceiverWardId": "",
    "ReceiverDistrictId": "7270", "ReceiverProvinceId": "70", "ReceiverAddressType": 1, "ServiceName": "EMS",
    "OrderCode": "P26011500000001", "PackageContent": "Kết quả", "WeightEvaluation": 100,
    "CodAmountEvaluation": 30_000, "PickupType": 1,
}  # fmt: skip
ORDER = {"order_code": "P26011500000001", "total_weight": 100, "money_collect": 30_000, "to_name": "An"}
TOKEN = {"merchant_token": "demo-ems-token"}


class Hub:
    """Takes what EMS tells, in the words that EMS wants; `deaf` for as many calls."""

    def __init__(self) -> None:
        self.calls: list[httpx.Request] = []
        self.deaf = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request)
        if self.deaf:
            self.deaf -= 1
            return httpx.Response(503)
        return httpx.Response(200, json={"code": "success", "transaction": request.headers["ems-transaction"]})

    def codes(self) -> list[int]:
        return [json.loads(request.content)["status_code"] for request in self.calls]


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def shop(caller_with, hub: Hub):
    to = {"ems": "http://127.0.0.1:9/callbacks/ems/secret"}
    return caller_with(callbacks=to, callback_transport=httpx.MockTransport(hub), callback_retry_s=0.0)


async def delivered(shop) -> None:
    await shop.client._transport.app.held.payments.courier.wait()


async def at_the_trade(shop) -> dict[str, str]:
    who = {"TenDangNhap": "demo-vnpost", "MatKhau": "demo-vnpost-password"}
    told = (await shop.client.post("/my_vnpost/MobileAuthentication/GetAccessToken", json=who)).json()
    return {"h-token": told["Token"]}


async def trade(shop, call: str, body: Any, headers: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = (
        await shop.client.post(f"/my_vnpost/CustomerConnect/{call}", json=body, headers=headers)
    ).json()
    return found


# ---------------------------------------------------------------------------------------------------- my.vnpost


async def test_an_order_has_its_numbers_and_is_taken_once(shop):
    headers = await at_the_trade(shop)
    first, again = (
        await trade(shop, "CreateOrder", TRADE, headers),
        await trade(shop, "CreateOrder", TRADE, headers),
    )
    assert (first["Id"], first["ItemCode"], first["OrderCode"]) == ("700001", "EB000000001VN", TRADE["OrderCode"])
    assert (again["IsSuccess"], again["ErrorMessage"]) == (False, "Mã đơn hàng đã tồn tại")
    await shop.client.post(f"/_sandbox/parcels/{TRADE['OrderCode']}?code=70")
    rows = (await shop.client.get("/my_vnpost/orders/700001", headers=headers)).json()
    assert [row["OrderStatusId"] for row in rows] == [20, 70]
    assert (await trade(shop, "CancelOrder", {"OrderId": "700001"}, headers))["IsSuccess"] is False


async def test_an_order_that_was_not_collected_is_cancelled_once(shop):
    headers = await at_the_trade(shop)
    await trade(shop, "CreateOrder", TRADE, headers)
    said = [(await trade(shop, "CancelOrder", {"OrderId": "700001"}, headers))["IsSuccess"] for _ in range(2)]
    assert said == [True, False]


@pytest.mark.parametrize("wrong", [
    {"SenderTel": ""}, {"ReceiverDistrictId": "Gò Vấp"}, {"WeightEvaluation": "100"}, {"CodAmountEvaluation": -1},
    {"OrderCode": None}, {"ServiceName": 7},
])  # fmt: skip
async def test_an_order_that_lacks_something_is_refused(shop, wrong: dict[str, Any]):
    headers = await at_the_trade(shop)
    assert (await trade(shop, "CreateOrder", TRADE | wrong, headers))["IsSuccess"] is False
    assert (await shop.look("parcels"))["items"] == []


async def test_nobody_is_served_without_a_token(shop):
    assert (await shop.client.post("/my_vnpost/CustomerConnect/CreateOrder", json=TRADE)).status_code == 401
    who = {"TenDangNhap": "demo-vnpost", "MatKhau": "x"}
    told = (await shop.client.post("/my_vnpost/MobileAuthentication/GetAccessToken", json=who)).json()
    assert (told["IsSuccess"], told["Token"]) == (False, None)


async def test_prices_and_places_can_be_asked_for(shop):
    headers = await at_the_trade(shop)
    rows = (await shop.client.get("/my_vnpost/TinhThanh/GetAll", headers=headers)).json()
    assert {"Id": "10", "Name": "Hà Nội"} in rows
    prices = await trade(shop, "TinhCuocTatCaDichVu", {"Weight": 1200}, headers)
    assert [row["MaDichVu"] for row in prices] == ["EMS", "BK"]  # type: ignore[index]


# ---------------------------------------------------------------------------------------------------------- EMS


async def order(shop, **changes: Any) -> dict[str, Any]:
    answer = await shop.client.post("/ems/api/v1/orders/create-v2", params=TOKEN, json=ORDER | changes)
    found: dict[str, Any] = answer.json()
    return found


async def happens(shop, code: int) -> None:
    await shop.client.post(f"/_sandbox/parcels/{ORDER['order_code']}?code={code}")
    await delivered(shop)


async def test_ems_tells_each_event_under_a_number_of_its_own(shop, hub: Hub):
    assert (await order(shop))["data"]["tracking_code"] == "EE000000001VN"
    assert (await order(shop))["error_code"] == "099"
    await happens(shop, 4)
    assert hub.codes() == [1, 4]
    assert len({request.headers["ems-transaction"] for request in hub.calls}) == 2
    told = json.loads(hub.calls[-1].content)
    assert (told["order_code"], told["money_collect"]) == (ORDER["order_code"], 30_000)


async def test_what_was_not_taken_is_told_again_under_the_same_number(shop, hub: Hub):
    await order(shop)
    await delivered(shop)
    hub.deaf = 2
    await happens(shop, 4)
    assert hub.codes() == [1, 4, 4, 4]
    assert len({request.headers["ems-transaction"] for request in hub.calls}) == 2


async def test_events_may_be_lost_doubled_out_of_order_and_forged(shop, hub: Hub):
    await order(shop)
    await delivered(shop)
    for mood, code in (("callback_lost", 2), ("callback_twice", 4), ("callback_reordered", 5), ("good", 6)):
        await shop.mood(mood, system="ems")
        await happens(shop, code)
        await shop.mood("good", system="ems")
    assert hub.codes() == [1, 4, 4, 6, 5]
    await shop.mood("callback_forged", system="ems")
    await happens(shop, 9)
    assert hub.calls[-1].url.path == "/callbacks/ems/somebody-who-guesses"


async def test_tracking_repeats_turns_round_and_holds_what_cannot_be_read(shop):
    await order(shop)
    await happens(shop, 4)

    async def rows() -> list[dict[str, Any]]:
        answer = await shop.client.get("/ems/api/v1/orders/tracking/EE000000001VN", params=TOKEN)
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    assert [row["status_code"] for row in await rows()] == [1, 4]
    for mood, codes in (("feed_repeated", [1, 4, 4]), ("feed_unordered", [4, 1]), ("feed_unread", [1, 4, 4])):
        await shop.mood(mood, system="ems")
        assert [row["status_code"] for row in await rows()] == codes
        await shop.mood("good", system="ems")
    unknown = await shop.client.get("/ems/api/v1/orders/tracking/EE9", params=TOKEN)
    assert unknown.json()["code"] == "error"


# --------------------------------------------------------------------------------------------------------- fuzz

ODD = st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.lists(st.integers(), max_size=2)
PATHS = (
    "/my_vnpost/CustomerConnect/CreateOrder", "/my_vnpost/CustomerConnect/CancelOrder",
    "/my_vnpost/CustomerConnect/TinhCuocTatCaDichVu", "/my_vnpost/MobileAuthentication/GetAccessToken",
    "/my_vnpost/QuanHuyen/GetAll", "/my_vnpost/orders/", "/my_vnpost/orders/1", "/ems/api/v1/orders/create-v2",
    "/ems/api/v1/get-order-fee", "/ems/api/v1/orders/tracking/", "/ems/x", "/my_vnpost/", "/ems/",
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(PATHS),
    method=st.sampled_from(["GET", "POST", "PUT"]),
    changes=st.dictionaries(
        st.sampled_from([*TRADE, *ORDER, "OrderId", "Weight", "TenDangNhap"]), ODD, max_size=4
    ),
    right=st.sampled_from([{}, TRADE, ORDER]),
)
async def test_no_message_makes_a_carrier_fail(
    shop, path: str, method: str, changes: dict[str, Any], right: dict[str, Any]
):
    headers = await at_the_trade(shop)
    answer = await shop.client.request(method, path, json=right | changes, headers=headers, params=TOKEN)
    assert answer.status_code in (200, 400, 401, 404)
    assert answer.json() is not None
    await delivered(shop)
