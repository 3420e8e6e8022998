"""The imitated intermediaries: a person pays, fails or leaves; callbacks come well and badly; the book agrees."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit
from zoneinfo import ZoneInfo

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lienthong.sandbox import dvcqg_payment, momo, payment_book, vnpay
from lienthong.sandbox.courier import Courier

VNPAY_SECRET, MOMO_SECRET, PLATFORM_SECRET = (
    "LGSPTESTSECRET0123456789ABCDEFGH",
    "MOMOSECRET",
    "PP_TEST_SECRET_2026",
)
BACK = "http://127.0.0.1:8081/payment/return"
TO = {
    "vnpay": "http://127.0.0.1:9/callbacks/vnpay/ipn",
    "dvcqg_payment": "http://127.0.0.1:9/callbacks/dvcqg_payment/result",
}


def stamp(hours: float = 0.0) -> str:
    return (datetime.now(ZoneInfo("Asia/Ho_Chi_Minh")) + timedelta(hours=hours)).strftime("%Y%m%d%H%M%S")


class Hub:
    """Stands where the hub would be: remembers what it was called with, answers as it is told to."""

    def __init__(self) -> None:
        self.calls: list[httpx.Request] = []
        self.status = 200

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request)
        if request.method == "POST" and "momo" in request.url.path:
            return httpx.Response(204 if self.status == 200 else self.status)
        if request.method == "POST":
            proof = json.loads(request.content)["MaXacThuc"]
            return httpx.Response(self.status, json={"MaLoi": "00", "MaXacThuc": proof})
        return httpx.Response(self.status, json={"RspCode": "00", "Message": "Confirm Success"})

    def ipn(self, n: int = -1) -> dict[str, str]:
        return dict(parse_qsl(self.calls[n].url.query.decode()))


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def shop(caller_with, hub: Hub):
    return caller_with(callbacks=TO, callback_transport=httpx.MockTransport(hub), callback_retry_s=0.0)


async def delivered(shop) -> None:
    app = shop.client._transport.app
    await app.held.payments.courier.wait()


# ------------------------------------------------------------------------------------------------------- VNPAY


def pay_query(**changes: str) -> dict[str, str]:
    fields = {
        "vnp_Version": "2.1.0", "vnp_Command": "pay", "vnp_TmnCode": "LGSPDEMO", "vnp_Amount": "15000000",
        "vnp_CreateDate": stamp(), "vnp_ExpireDate": stamp(0.25), "vnp_CurrCode": "VND",
        "vnp_IpAddr": "203.0.113.10", "vnp_Locale": "vn", "vnp_OrderInfo": "Thanh toan ho so H56.14-260115-0001",
        "vnp_OrderType": "other", "vnp_ReturnUrl": BACK, "vnp_TxnRef": "H5614260115000101", **changes,
    }  # fmt: skip
    text = urlencode(sorted(fields.items()))
    return fields | {"vnp_SecureHash": hmac.new(VNPAY_SECRET.encode(), text.encode(), hashlib.sha512).hexdigest()}


async def open_page(shop, query: dict[str, str]) -> httpx.Response:
    return await shop.client.get("/vnpay/paymentv2/vpcpay.html", params=query)


async def book(shop) -> dict[str, Any]:
    return await shop.look("payments")


def test_signatures_are_those_of_the_contract_page():
    text = (
        "RES0001|querydr|00|QueryDR Success|LGSPDEMO|H5614260115000101|15000000|NCB|20260115093412|14012345|01|00|"
        "Thanh toan ho so H56.14-260115-0001||"
    )
    assert vnpay.sign(text, VNPAY_SECRET).decode().startswith("f3ab97023942c80f800ca4a04ac7320c")
    fields = {
        "orderId": "H5614260115000101", "partnerCode": "LGSPDEMO", "requestId": "7f1c2c1e-0002",
    }  # fmt: skip
    held, courier = payment_book.Book(), Courier()
    signed = momo.Momo(held, courier).signed(fields, ("orderId", "partnerCode", "requestId"))
    assert signed == "e4de79d796f79e80ef9d440fe08e1fa425a7880153011cdfd337129b0052fd30"
    result = dict(
        zip(
            ("LoaiBanTin", "MaLoi", "MaDoiTac", "MaThamChieu", "SoTien", "MaTienTe", "MaGiaoDich", "MaNganHang",
             "ThoiGianGD", "ThongTinGiaoDich"),
            ("CONFIRM", "00", "LGSPDEMO", "DVC26011500000001", 150000, "VND", "PP0000000001", "VCB",
             "20260115093412", "THANH TOAN HO SO H56.14-260115-0001"),
            strict=True,
        )
    )  # fmt: skip
    proof = dvcqg_payment.DvcqgPayment(held, courier).signed(result, tuple(result))
    assert proof == "256667fdd3b3e2778cf992d744b5244e661b0c7ea06b8f8f6321c97f7caba561"


async def test_a_person_pays_by_clicking_and_the_ipn_arrives(shop, hub: Hub):
    query = pay_query()
    page = await open_page(shop, query)
    assert "150.000 đ" in page.text
    link = next(part for part in page.text.split('"') if part.endswith("choice=pay")).replace("&amp;", "&")
    answer = await shop.client.get(f"/vnpay/paymentv2/vpcpay.html{link}")
    assert answer.status_code == 302
    shown = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    await delivered(shop)
    ipn = hub.ipn()
    assert shown == ipn
    given = ipn.pop("vnp_SecureHash")
    text = urlencode(sorted(ipn.items()))
    assert hmac.new(VNPAY_SECRET.encode(), text.encode(), hashlib.sha512).hexdigest() == given
    assert (ipn["vnp_Amount"], ipn["vnp_ResponseCode"], ipn["vnp_TransactionStatus"]) == ("15000000", "00", "00")
    assert (await book(shop))["money"] == {"vnpay": {"paid": {"count": 1, "amount_vnd": 150000}}}


@pytest.mark.parametrize(("choice", "code", "state"), [("fail", "51", "failed"), ("cancel", "24", "failed"),
                                                       ("suspect", "07", "suspect")])  # fmt: skip
async def test_other_ends_have_their_own_codes(shop, hub: Hub, choice: str, code: str, state: str):
    await open_page(shop, pay_query() | {"choice": choice})
    await delivered(shop)
    assert hub.ipn()["vnp_ResponseCode"] == code
    [held] = (await book(shop))["items"]
    assert (held["state"], held["callbacks"][0]["taken"]) == (state, True)


async def test_who_leaves_the_page_says_nothing(shop, hub: Hub):
    await open_page(shop, pay_query() | {"choice": "abandon"})
    await delivered(shop)
    assert hub.calls == []
    assert (await book(shop))["items"][0]["state"] == "waiting"


async def test_a_page_that_is_too_late_fails_with_11(shop, hub: Hub):
    await open_page(shop, pay_query(vnp_ExpireDate=stamp(-1)) | {"choice": "pay"})
    await delivered(shop)
    assert hub.ipn()["vnp_ResponseCode"] == "11"


@pytest.mark.parametrize("changed", [{"vnp_Amount": "1550"}, {"vnp_OrderInfo": "Hồ sơ"}, {"vnp_X": "1"},
                                     {"vnp_TmnCode": "ANOTHER1"}, {"vnp_ReturnUrl": "x"}])  # fmt: skip
async def test_a_wrong_address_shows_no_page(shop, changed: dict[str, str]):
    assert (await open_page(shop, pay_query(**changed))).status_code == 400
    assert (await open_page(shop, pay_query() | changed)).status_code == 400


async def test_a_paid_number_is_not_paid_again(shop, hub: Hub):
    query = pay_query()
    for _ in range(2):
        answer = await open_page(shop, query | {"choice": "pay"})
    assert answer.status_code == 400
    await delivered(shop)
    assert len(hub.calls) == 1


async def ask(shop, command: str, query: dict[str, str], **changes: str) -> dict[str, str]:
    fields = {
        "vnp_RequestId": f"R{time.time_ns()}", "vnp_Version": "2.1.0", "vnp_Command": command,
        "vnp_TmnCode": "LGSPDEMO", "vnp_TransactionType": "02", "vnp_TxnRef": "H5614260115000101",
        "vnp_Amount": "15000000", "vnp_TransactionNo": "0", "vnp_TransactionDate": query["vnp_CreateDate"],
        "vnp_CreateBy": "ketoan01", "vnp_CreateDate": stamp(), "vnp_IpAddr": "203.0.113.10",
        "vnp_OrderInfo": "Truy van giao dich", **changes,
    }  # fmt: skip
    only = ("vnp_TransactionType", "vnp_Amount", "vnp_TransactionNo", "vnp_CreateBy")
    if command == "querydr":
        fields = {key: value for key, value in fields.items() if key not in only}
    text = "|".join(fields.values())
    fields["vnp_SecureHash"] = hmac.new(VNPAY_SECRET.encode(), text.encode(), hashlib.sha512).hexdigest()
    return (await shop.client.post("/vnpay/merchant_webapi/api/transaction", json=fields)).json()


async def test_a_query_tells_how_it_stands(shop):
    query = pay_query()
    assert (await ask(shop, "querydr", query))["vnp_ResponseCode"] == "91"
    await open_page(shop, query)
    assert (await ask(shop, "querydr", query))["vnp_TransactionStatus"] == "01"
    await open_page(shop, query | {"choice": "pay"})
    answer = await ask(shop, "querydr", query)
    assert (answer["vnp_TransactionStatus"], answer["vnp_Amount"]) == ("00", "15000000")
    once = {"vnp_RequestId": "SAME1"}
    codes = [(await ask(shop, "querydr", query, **once))["vnp_ResponseCode"] for _ in range(2)]
    assert codes == ["00", "94"]


async def test_money_is_given_back_once(shop):
    query = pay_query()
    await open_page(shop, query)
    assert (await ask(shop, "refund", query))["vnp_ResponseCode"] == "95"
    await open_page(shop, query | {"choice": "pay"})
    part = {"vnp_TransactionType": "03", "vnp_Amount": "5000000"}
    assert (await ask(shop, "refund", query, **part))["vnp_TransactionStatus"] == "05"
    assert (await ask(shop, "refund", query))["vnp_ResponseCode"] == "94"
    assert (await book(shop))["money"]["vnpay"]["refunded"] == {"count": 1, "amount_vnd": 50000}


# ------------------------------------------------------------------------------------------------------- moods


async def paid_under(shop, mood: str, **parameters: Any) -> None:
    await shop.mood(mood, system="vnpay", **parameters)
    await open_page(shop, pay_query() | {"choice": "pay"})
    await delivered(shop)


async def test_a_callback_may_come_several_times_or_never(shop, hub: Hub):
    await paid_under(shop, "callback_twice", times=5)
    assert len(hub.calls) == 5
    await shop.mood("callback_lost", system="vnpay")
    await shop.client.post("/_sandbox/payments/vnpay/H5614260115000101?choice=send")
    await delivered(shop)
    assert len(hub.calls) == 5


async def test_a_forged_callback_and_one_about_another_amount(shop, hub: Hub):
    await paid_under(shop, "callback_forged", count=1)
    ipn = hub.ipn()
    given, text = ipn.pop("vnp_SecureHash"), urlencode(sorted(ipn.items()))
    assert hmac.new(VNPAY_SECRET.encode(), text.encode(), hashlib.sha512).hexdigest() != given
    await shop.mood("callback_wrong_amount", system="vnpay", by_vnd=-1000)
    await shop.client.post("/_sandbox/payments/vnpay/H5614260115000101?choice=send")
    await delivered(shop)
    assert hub.ipn()["vnp_Amount"] == "14900000"


async def test_a_held_callback_comes_after_the_next_one(shop, hub: Hub):
    await shop.mood("callback_reordered", system="vnpay", count=1)
    for reference, choice in (("FIRST00001", "fail"), ("SECOND0002", "pay")):
        await open_page(shop, pay_query(vnp_TxnRef=reference) | {"choice": choice})
    await delivered(shop)
    assert [hub.ipn(n)["vnp_TxnRef"] for n in range(2)] == ["SECOND0002", "FIRST00001"]


async def test_a_callback_that_is_not_taken_comes_again_a_few_times(shop, hub: Hub):
    hub.status = 503
    await open_page(shop, pay_query() | {"choice": "pay"})
    await delivered(shop)
    assert len(hub.calls) == 3
    assert [row["taken"] for row in (await book(shop))["items"][0]["callbacks"]] == [False] * 3


async def test_callbacks_go_to_this_machine_only(shop, hub: Hub):
    for wanted in ({"vnpay": "http://vnpay.vn/x"}, {"nobody": BACK}, [], {"vnpay": 1}):
        assert (await shop.client.put("/_sandbox/callbacks", json=wanted)).status_code == 422
    answer = await shop.client.put("/_sandbox/callbacks", json={"vnpay": "http://localhost:1/x"})
    assert answer.json()["vnpay"] == "http://localhost:1/x"


async def test_a_reset_forgets_the_book(shop):
    await open_page(shop, pay_query())
    await shop.client.post("/_sandbox/reset")
    assert (await book(shop)) == {"money": {}, "items": []}


# -------------------------------------------------------------------------------------------------------- MoMo


def momo_signed(body: dict[str, Any], names: str) -> dict[str, Any]:
    text = "&".join(["accessKey=AKDEMO", *(f"{name}={body[name]}" for name in names.split())])
    return body | {"signature": hmac.new(MOMO_SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()}


def order(**changes: Any) -> dict[str, Any]:
    body = {
        "partnerCode": "LGSPDEMO", "accessKey": "AKDEMO", "requestId": f"r-{time.time_ns()}",
        "orderId": "H5614260115000101", "amount": 150000, "orderInfo": "Thanh toan", "redirectUrl": BACK,
        "ipnUrl": "http://127.0.0.1:9/callbacks/momo/ipn", "extraData": "", "requestType": "captureWallet",
        "lang": "vi", **changes,
    }  # fmt: skip
    names = "amount extraData ipnUrl orderId orderInfo partnerCode redirectUrl requestId requestType"
    return momo_signed(body, names)


async def momo_call(shop, call: str, body: dict[str, Any]) -> dict[str, Any]:
    return (await shop.client.post(f"/momo/v2/gateway/api/{call}", json=body)).json()


async def test_momo_from_order_to_refund(shop, hub: Hub):
    created = await momo_call(shop, "create", order())
    assert created["resultCode"] == 0
    page = await shop.client.get(created["payUrl"])
    assert "150.000 đ" in page.text
    answer = await shop.client.get(f"{created['payUrl']}&choice=pay")
    assert parse_qs(urlsplit(answer.headers["location"]).query)["resultCode"] == ["0"]
    await delivered(shop)
    ipn = json.loads(hub.calls[0].content)
    names = ("amount extraData message orderId orderInfo orderType partnerCode payType requestId responseTime "
             "resultCode transId")  # fmt: skip
    assert momo_signed(ipn, names)["signature"] == ipn["signature"]
    question = {"partnerCode": "LGSPDEMO", "requestId": "q-1", "orderId": "H5614260115000101"}
    asked = await momo_call(shop, "query", momo_signed(question, "orderId partnerCode requestId"))
    assert (asked["resultCode"], asked["transId"], asked["amount"]) == (0, ipn["transId"], 150000)
    codes = []
    for n in range(2):
        back = {"partnerCode": "LGSPDEMO", "orderId": f"RF{n}", "requestId": f"b-{n}", "amount": 150000,
                "transId": ipn["transId"], "description": "Hoan tien"}  # fmt: skip
        signed = momo_signed(back, "amount description orderId partnerCode requestId transId")
        codes.append((await momo_call(shop, "refund", signed))["resultCode"])
    assert codes == [0, 1081]


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"amount": "150000"}, 20), ({"orderId": "a b"}, 20), ({"ipnUrl": "http://127.0.0.1/x?y=1"}, 20),
     ({"partnerCode": "OTHER"}, 13), ({"amount": 1}, 22), ({"requestType": "x"}, 20)],
)  # fmt: skip
async def test_momo_refuses_what_is_wrong(shop, changes: dict[str, Any], code: int):
    assert (await momo_call(shop, "create", order(**changes)))["resultCode"] == code
    assert (await momo_call(shop, "create", order() | {"amount": 150001}))["resultCode"] == 13


# ---------------------------------------------------------------------------------------------------- platform

RECEIPT = {
    "MaDichVu": "2", "MaDVC": "1.001193.01", "TenDVC": "x", "MaTTHC": "1.001193", "TenTTHC": "x",
    "MaDonVi": "H56.14", "TenDonVi": "x", "MaHoSo": "H56.14-260115-0001", "TKThuHuong": "1", "MaNHThuHuong": "VCB",
    "TenTKThuHuong": "x",
    "PhiLePhi": [{"LoaiPhiLePhi": "2", "MaPhiLePhi": "1", "TenPhiLePhi": "x", "SoTien": "150000"}],
    "NoiDungThanhToan": "x", "HoTenNguoiNop": "NGUYEN VAN AN", "SoCMNDNguoiNop": "001099000001",
    "DiaChiNguoiNop": "x", "DSKhoanNop": [{"NoiDung": "x", "SoTien": "150000"}],
}  # fmt: skip


def proven(fields: dict[str, Any]) -> dict[str, Any]:
    text = "|".join([*fields.values(), PLATFORM_SECRET])
    return fields | {"MaXacThuc": hashlib.sha256(text.encode()).hexdigest()}


def init(**changes: Any) -> dict[str, Any]:
    fields = {
        "LoaiBanTin": "INIT", "PhienBan": "1.0.6", "MaDoiTac": "LGSPDEMO", "MaThamChieu": "DVC26011500000001",
        "SoTien": "150000", "LoaiHinhThanhToan": "PAY", "MaKenhThanhToan": "1", "MaThietBi": "1",
        "NgonNgu": "vi-VN", "MaTienTe": "VND", "MaNganHang": "PAYMENT",
        "ThongTinGiaoDich": "THANH TOAN HO SO H56.14-260115-0001", "ThoiGianGD": "20260115093000",
        "Ip": "203.0.113.10", **changes,
    }  # fmt: skip
    return proven(fields) | {"ThongTinBienLai": RECEIPT}


async def platform(shop, body: dict[str, Any]) -> dict[str, Any]:
    return (await shop.client.post("/dvcqg_payment/api", json=body)).json()


async def test_the_platform_from_init_to_receipt(shop, hub: Hub):
    begun = await platform(shop, init())
    assert begun["MaLoi"] == "00"
    question = proven({"LoaiBanTin": "QUERY", "PhienBan": "1.0.6", "MaDoiTac": "LGSPDEMO",
                       "MaThamChieu": "DVC26011500000001", "ThoiGianGD": "20260115093000"})  # fmt: skip
    assert (await platform(shop, question))["TrangThaiGD"] == "3"
    await shop.client.get(f"{begun['UrlThanhToan']}&choice=pay")
    await delivered(shop)
    assert json.loads(hub.calls[0].content)["SoTien"] == 150000
    assert (await book(shop))["items"][0]["callbacks"][0]["taken"] is True
    assert (await platform(shop, question))["TrangThaiGD"] == "1"
    asked = {key: value for key, value in question.items() if key != "MaXacThuc"} | {"LoaiBanTin": "GET_BILL"}
    bill = await shop.client.post("/dvcqg_payment/api", json=proven(asked))
    assert bill.content.startswith(b"%PDF")


async def test_the_platform_refuses_what_is_wrong_and_a_facade_wraps_it(shop):
    for body in (init(SoTien="1,5"), init(MaThamChieu="a" * 21), init(ThongTinGiaoDich="Hồ sơ"),
                 init() | {"SoTien": "150001"}, init() | {"ThongTinBienLai": {}},
                 init() | {"X": "1"}):  # fmt: skip
        assert (await platform(shop, body))["MaLoi"] == "99"
    wrapped = (await shop.client.post("/dvcqg_payment/facade", json=init())).json()
    assert wrapped["error_code"] == "0"
    assert json.loads(wrapped["message"])["MaLoi"] == "00"


# -------------------------------------------------------------------------------------------------------- post

PARCEL = {
    "CustomerCode": "H56HCC01", "OrderNumber": "H56.14-260115-0001", "CODAmount": 0, "SenderProvince": 44,
    "SenderDistrict": 4410, "SenderAddress": "x", "SenderName": "x", "SenderTel": "0900000001",
    "ReceiverName": "x",
    "ReceiverAddress": "x", "ReceiverTel": "0900000002", "ReceiverProvince": 44, "ReceiverDistrict": 4420,
}  # fmt: skip


async def at_the_post(shop) -> dict[str, str]:
    form, pair = {"grant_type": "client_credentials"}, ("demoCustomerKey", "demoCustomerSecret")
    token = (await shop.client.post("/vnpost_hcc/token", data=form, auth=pair)).json()["access_token"]
    return {"authorization": f"Bearer {token}"}


async def feed(shop, headers: dict[str, str], last: str = "0" * 24) -> list[dict[str, Any]]:
    answer = await shop.client.get(f"/vnpost_hcc/tracking?pagesize=50&lastId={last}", headers=headers)
    return answer.json()["_embedded"]["rh:doc"]


async def test_a_parcel_is_ordered_followed_and_ordered_twice(shop):
    headers = await at_the_post(shop)
    first = (await shop.client.post("/vnpost_hcc/postOrder", json=PARCEL, headers=headers)).json()
    again = (await shop.client.post("/vnpost_hcc/x?service=postOrder", json=PARCEL, headers=headers)).json()
    assert (first["Status"], again["Status"]) == ("100", "101")
    await shop.client.post("/_sandbox/parcels/H56.14-260115-0001?code=4")
    events = await feed(shop, headers)
    assert [one["StatusCode"] for one in events] == [1, 4]
    last = events[-1]["_id"]["$oid"]
    assert await feed(shop, headers, last) == []
    await shop.mood("feed_repeated", system="vnpost_hcc")
    assert [one["StatusCode"] for one in await feed(shop, headers, last)] == [4]
    cancelled = await shop.client.get(
        "/vnpost_hcc/cancelOrder?CustomerCode=H56HCC01&OrderNumber=H56.14-260115-0001", headers=headers
    )
    assert cancelled.json()["Status"] == "99"


async def test_the_post_refuses_what_is_wrong(shop):
    headers = await at_the_post(shop)
    for wrong in ({"CODAmount": "0"}, {"CustomerCode": "X"}, {"Strange": 1}, {"ReceiverTel": ""}):
        answer = await shop.client.post("/vnpost_hcc/postOrder", json=PARCEL | wrong, headers=headers)
        assert answer.json()["Status"] == "99"
    assert (await shop.client.post("/vnpost_hcc/postOrder", json=PARCEL)).status_code == 401
    price = {"weight": 100, "mainSrv": "HCC", "isreturn": 1, "sender": {"provCode": 44, "distCode": 4410},
             "receiver": {"provCode": 10, "distCode": 1010}}  # fmt: skip
    answer = await shop.client.post("/vnpost_hcc/price", json=price, headers=headers)
    assert answer.json() == {"content": {"price": 30500}}


# ------------------------------------------------------------------------------------------------------- fuzz

ODD = st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.lists(st.integers(), max_size=2)
PATHS = ("/vnpay/merchant_webapi/api/transaction", "/momo/v2/gateway/api/create", "/momo/v2/gateway/api/refund",
         "/dvcqg_payment/api", "/dvcqg_payment/facade", "/vnpost_hcc/postOrder", "/vnpost_hcc/postDocument",
         "/vnpost_hcc/price")  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(PATHS),
    changes=st.dictionaries(
        st.sampled_from([*PARCEL, *order(), *init(), "vnp_Command", "vnp_TxnRef", "weight", "sender", "transId"]),
        ODD,
        max_size=4,
    ),
    right=st.sampled_from([{}, PARCEL, order(), init(), {"vnp_Command": "refund"}]),
)
async def test_no_message_makes_an_imitation_fail(shop, path: str, changes: dict[str, Any], right: dict[str, Any]):
    headers = await at_the_post(shop)
    body = right | changes
    if path.endswith("/create") and all(type(body.get(key)) is type(value) for key, value in order().items()):
        body = order(**{key: body[key] for key in order() if key != "signature"})
    answer = await shop.client.post(path, json=body, headers=headers)
    assert answer.status_code in (200, 400, 404)
    assert answer.json()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.sampled_from(list(pay_query())), st.text(max_size=12), max_size=3))
async def test_no_address_makes_the_pay_page_fail(shop, changes: dict[str, str]):
    for query in (pay_query(**changes), pay_query() | changes | {"choice": "pay"}):
        assert (await open_page(shop, query)).status_code in (200, 302, 400)
    await delivered(shop)


async def test_a_command_that_is_a_list_is_refused_and_not_looked_up(shop):
    for odd in ([], {}, ["querydr"], None, 7):
        answer = await shop.client.post("/vnpay/merchant_webapi/api/transaction", json={"vnp_Command": odd})
        assert answer.status_code in (200, 400, 404)
