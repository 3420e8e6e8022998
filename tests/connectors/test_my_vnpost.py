"""my.vnpost: orders and prices as public clients show them, and the table of statuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from carrier_stage import AN, Stage, body_of, order
from conformance import SECRET, ConnectorPromises, fails, text

from lienthong.core import errors
from lienthong.mappings import engine

ACCOUNT = {"username": "hcc-thanh-hoa", "password": SECRET}
PRICES = [
    {"MaDichVu": "BK", "Success": True, "TongCuocBaoGomDVCT": 21000.0},
    {"MaDichVu": "EMS", "Success": True, "TongCuocBaoGomDVCT": 32000.0, "TongCuocSauVAT": 30000.0},
]
TAKEN = {
    "Id": "7a1d2c",
    "ItemCode": "EB000000001VN",
    "OrderCode": "P26011500000001",
    "TotalFreightIncludeVatEvaluation": 32000.0,
    "ReceiverFullname": "Nguyễn Văn An",
}


def office(request: httpx.Request) -> httpx.Response:
    service = request.url.path.rpartition("/")[2]
    if service == "GetAccessToken":
        is_right = body_of(request) == {"TenDangNhap": "hcc-thanh-hoa", "MatKhau": SECRET}
        token = {"IsSuccess": True, "Token": "t0k3n", "ErrorMessage": None}
        wrong = {"IsSuccess": False, "Token": None, "ErrorMessage": "Sai mật khẩu"}
        return httpx.Response(200, json=token if is_right else wrong)
    if request.headers.get("h-token") != "t0k3n":
        return httpx.Response(401, text="no")
    answers = {"TinhCuocTatCaDichVu": PRICES, "CreateOrder": TAKEN, "CancelOrder": {"IsSuccess": True}}
    return httpx.Response(200, json=answers[service])


def opened(**changed: Any) -> Stage:
    return Stage("my_vnpost", {**ACCOUNT, **changed}, office, token_path="GetAccessToken")


@pytest.fixture
def stage() -> Stage:
    return opened()


def says(body: Any) -> Callable[[], httpx.Response]:
    return lambda: httpx.Response(200, json=body)


class TestAsCarrier(ConnectorPromises):
    @pytest.fixture
    def stage(self) -> Stage:
        return opened()

    async def ask(self, stage: Any) -> Any:
        return await stage.connector.price(order())


async def test_an_order_carries_every_field_of_the_contract_page(stage: Stage) -> None:
    booked = await stage.connector.book(order(cod_vnd=30000, weight_g=250))
    path, sent = stage.wire.sent[-1]
    assert path == "/api/CustomerConnect/CreateOrder"
    assert sent == {
        "SenderTel": "0237000000",
        "SenderFullname": "Trung tâm HCC",
        "SenderAddress": "28 Đại lộ Lê Lợi",
        "SenderWardId": "",
        "SenderDistrictId": "4410",
        "SenderProvinceId": "44",
        "ReceiverTel": "0900000000",
        "ReceiverFullname": "Nguyễn Văn An",
        "ReceiverAddress": "12 Lê Lợi",
        "ReceiverWardId": "",
        "ReceiverDistrictId": "7270",
        "ReceiverProvinceId": "70",
        "ReceiverAddressType": 1,
        "ServiceName": "EMS",
        "OrderCode": "P26011500000001",
        "PackageContent": "Kết quả hồ sơ",
        "WeightEvaluation": 250,
        "WidthEvaluation": 0,
        "LengthEvaluation": 0,
        "HeightEvaluation": 0,
        "IsPackageViewable": False,
        "CustomerNote": "",
        "PickupType": 1,
        "CodAmountEvaluation": 30000,
        "IsReceiverPayFreight": False,
        "OrderAmountEvaluation": 0,
        "UseBaoPhat": False,
        "UseHoaDon": False,
        "UseNhanTinSmsNguoiNhanTruocPhat": False,
        "UseNhanTinSmsNguoiNhanSauPhat": False,
    }
    assert (booked.carrier_reference, booked.waybill, booked.price_vnd) == ("7a1d2c", "EB000000001VN", 32000)


async def test_a_ward_comes_from_the_operators_file_and_may_be_demanded(stage: Stage, tmp_path: Path) -> None:
    own = tmp_path / "places.csv"
    own.write_text(
        "level,code,number\nold_province,79,70\ndistrict,764,7270\ncommune_district,14758,4410\ncommune,26890,72710\ncommune,14758,44110\n",
        encoding="utf-8",
    )
    receiver = AN.model_copy(update={"commune_code": "26890"})
    await stage.open(places_file=str(own), wards=True).book(order(receiver=receiver))
    assert stage.wire.sent[-1][1]["ReceiverWardId"] == "72710"
    with pytest.raises(errors.UnmappedCode) as raised:
        await stage.open(places_file=str(own), wards=True).book(order())
    assert raised.value.facts["field"] == "receiver.commune_code"


async def test_the_price_is_that_of_the_service(stage: Stage) -> None:
    assert await stage.connector.price(order()) == 32000
    assert await stage.open(service_name="BK").price(order()) == 21000
    assert "Nguyễn" not in str(stage.wire.sent[-1])
    with pytest.raises(errors.RemoteRefused):
        await stage.open(service_name="X").price(order())


async def test_a_price_may_come_without_the_further_services(stage: Stage) -> None:
    stage.answer_all(says([{"MaDichVu": "EMS", "TongCuocSauVAT": 30000}]))
    assert await stage.connector.price(order()) == 30000


@pytest.mark.parametrize("body", [{"ErrorMessage": "Địa chỉ sai"}, {"Message": "Địa chỉ sai", "Id": None}])
async def test_a_refusal_is_said_in_vnposts_words(stage: Stage, body: Any) -> None:
    stage.answer_all(says(body))
    with pytest.raises(errors.RemoteRefused) as raised:
        await stage.connector.book(order())
    assert "Địa chỉ sai" in raised.value.detail("vi")


@pytest.mark.parametrize(
    "answer",
    [
        fails(httpx.ReadTimeout("slow")),
        text("oops", 500),
        text("bad gateway", 502),
        text("<html>"),
        text(""),
        text("[]"),
        text("{}"),
        text('{"Id":[1]}'),
        text('{"Message":"Mã đơn hàng đã tồn tại"}'),
    ],
)
async def test_an_order_without_a_readable_answer_is_unknown(stage: Stage, answer: Any) -> None:
    stage.answer_all(answer)
    with pytest.raises(errors.OutcomeUnknown):
        await stage.connector.book(order())
    assert stage.wire.services().count("CreateOrder") == 1


async def test_after_a_lost_answer_nobody_can_be_asked_so_nothing_is_sent(stage: Stage) -> None:
    with pytest.raises(errors.OutcomeUnknown):
        await stage.connector.book(order(), look_first=True)
    assert stage.wire.sent == []
    assert (await stage.open(resend_unknown=True).book(order(), look_first=True)).waybill


async def test_a_cancellation_names_vnposts_own_number(stage: Stage) -> None:
    await stage.connector.cancel(order(), carrier_reference="7a1d2c")
    assert stage.wire.sent[-1][1] == {"OrderId": "7a1d2c"}
    with pytest.raises(errors.RemoteRefused):
        await stage.connector.cancel(order(), carrier_reference="")
    stage.answer_all(says({"IsSuccess": False, "ErrorMessage": "Đơn đã thu gom"}))
    with pytest.raises(errors.RemoteRefused):
        await stage.connector.cancel(order(), carrier_reference="7a1d2c")


async def test_a_token_is_got_anew_once_and_a_wrong_password_stops(stage: Stage) -> None:
    await stage.connector.price(order())
    stage.answer("TinhCuoc", text("no", 401))
    with pytest.raises(errors.RemoteForbids):
        await stage.connector.price(order())
    assert stage.wire.services().count("GetAccessToken") == 2
    with pytest.raises(errors.RemoteForbids):
        await opened(password="other").connector.price(order())


async def test_there_is_no_feed_and_tracking_only_where_its_path_is_known(stage: Stage) -> None:
    for ask in (stage.connector.follow(cursor=""), stage.connector.track("EB000000001VN")):
        with pytest.raises(errors.NotOffered):
            await ask


async def test_a_parcel_is_followed_where_the_path_is_known(stage: Stage) -> None:
    known = {"OrderCode": "P26011500000001", "ItemCode": "EB000000001VN", "OrderStatusName": "Đã phát"}
    rows = [
        {**known, "OrderStatusId": 100, "LastUpdateTime": "2026-01-16T10:00:00", "ReceiverTel": "0900000000"},
        {**known, "OrderStatusId": 70, "LastUpdateTime": "2026-01-15T10:00:00"},
    ]
    stage.answer_all(says(rows))
    events = (await stage.open(track_path="/Order/Get/{id}").track("7a1d2c")).events
    assert stage.wire.requests[-1].url.path == "/api/Order/Get/7a1d2c"
    assert [it.state for it in events] == ["in_transit", "delivered"]
    assert len({it.event_id for it in events}) == 2


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (-1, "created"), ("", "created"), (20, "accepted"), (60, "cancelled"), (62, "cancelled"),
        (70, "in_transit"),
        (91, "delivery_failed"), (100, "delivered"), (110, "delivered"), (120, "delivered"),
        (161, "delivery_failed"), (170, "returned"), (0, "unknown"), (71, "unknown"), ("x", "unknown"),
    ],
)  # fmt: skip
def test_the_table_of_statuses_is_that_of_the_contract_page(code: Any, state: str) -> None:
    wire = {"OrderCode": "P1", "OrderStatusId": code, "OrderStatusName": "?", "LastUpdateTime": "20260116100000"}
    event = engine.load("my_vnpost").message("event").from_wire(wire)
    assert (event.state, event.carrier_code, event.carrier_message) == (state, str(code), "?")
