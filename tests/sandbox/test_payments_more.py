"""KeyPay, PayGov and the bank: written from the contract page, tried with messages that are made by hand here."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lienthong.sandbox import keypay, paygov, payment_book, vietqr
from lienthong.sandbox.courier import Courier

MANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
RECEIPT = {
    "MaDichVu": "2", "MaDVC": "1.001193.01", "TenDVC": "Đăng ký khai sinh", "MaTTHC": "1.001193",
    "TenTTHC": "Đăng ký khai sinh", "MaDonVi": "H56.14", "TenDonVi": "Sở Tư pháp", "MaHoSo": "H56.14-260115-0001",
    "TKThuHuong": "0001", "MaNHThuHuong": "VCB", "TenTKThuHuong": "So Tu phap",
    "PhiLePhi": [{"LoaiPhiLePhi": "2", "MaPhiLePhi": "LP01", "TenPhiLePhi": "Lệ phí", "SoTien": "150000"}],
    "NoiDungThanhToan": "Lệ phí", "HoTenNguoiNop": "NGUYEN VAN AN", "SoCMNDNguoiNop": "001099000001",
    "DiaChiNguoiNop": "12 Lê Lợi", "DSKhoanNop": [{"NoiDung": "Lệ phí", "SoTien": "150000"}],
}  # fmt: skip
# The code of vector 12.7.
CODE = (
    "00020101021238540010A00000072701240006970415011012345678900208QRIBFTTA530370454061500005802VN"
    "62210817H56142601150001016304ADDE"
)
WAY = base64.b64encode(
    json.dumps({"AccessKey": "AK123", "SecretKey": "SK456"}, separators=(",", ":")).encode()
).decode()


class Hub:
    """Stands where the hub would be: takes everything, in each sender's own words."""

    def __init__(self) -> None:
        self.calls: list[httpx.Request] = []
        self.answers: dict[str, Any] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request)
        name = request.url.path.split("/")[2]
        words = {"keypay": {"return_code": 0, "return_msg": "OK"}, "paygov": {"error_code": "SUCCESSFUL"}}
        return httpx.Response(200, json=self.answers.get(request.url.path, words.get(name)))

    def told(self, n: int = -1) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.calls[n].content)
        return found


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def shop(caller_with, hub: Hub):
    to = {name: f"http://127.0.0.1:9/callbacks/{name}/result" for name in ("keypay", "paygov")}
    to["dvcqg_payment"] = "http://127.0.0.1:9/callbacks/dvcqg_payment/dpnhankqthanhtoanhs"
    return caller_with(callbacks=to, callback_transport=httpx.MockTransport(hub), callback_retry_s=0.0)


async def delivered(shop) -> None:
    await shop.client._transport.app.held.payments.courier.wait()


# ------------------------------------------------------------------------------------------------------- KeyPay


def key_sign(text: str, key: str = "KPKEY1") -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def create(**changes: Any) -> dict[str, Any]:
    body = {
        "client_id": "LGSPDEMO", "transaction_id": "1001_ab12cd34ef56", "trans_amount": "150000", "command": "PAY",
        "version": "3.0", "description": "Le phi", "locale": "vn", "country_code": "vi", "currency_code": "VND",
        "environment": 1, "bill_info": RECEIPT, "return_url": "http://127.0.0.1:8081/xong", "addition_fee": "0",
        **changes,
    }  # fmt: skip
    names = ("addition_fee", "client_id", "command", "trans_amount", "transaction_id", "version")
    return body | {"check_sum": key_sign("|".join(str(body[name]) for name in names))}


def test_keypay_signs_as_the_vectors_do():
    pay = keypay.Keypay(payment_book.Book(), Courier())
    assert pay.signed(create()) == "d2e99721de17895e7b832820e1f568691683e936ab3340a58a59b113ca215c71"
    asked = {"client_id": "LGSPDEMO", "command": "PAY", "transaction_id": "1001_ab12cd34ef56"}
    names = ("client_id", "command", "transaction_id")
    assert pay.signed(asked, names) == "83c8e19edaca024753c0a2eac63a2f6080f36dfcc843651a93f3e53f4e19a8f9"


async def test_keypay_takes_an_order_and_tells_its_result_by_key_2(shop, hub: Hub):
    made = (await shop.client.post("/keypay/create", json=create())).json()
    assert (made["error"], made["data"]["transaction_code"]) == ("0", "KP14000001")
    page = await shop.client.get(made["data"]["url_pay"])
    assert "150.000 đ" in page.text
    answer = await shop.client.get(made["data"]["url_pay"] + "&choice=pay")
    assert answer.headers["location"] == "http://127.0.0.1:8081/xong"
    await delivered(shop)
    told = hub.told()
    assert (told["status"], told["trans_amount"]) == ("0", "150000")
    assert told["check_sum"] == key_sign("0|LGSPDEMO|PAY|150000|1001_ab12cd34ef56|3.0", "KPKEY2")
    [held] = (await shop.look("payments"))["items"]
    assert [row["taken"] for row in held["callbacks"]] == [True]


@pytest.mark.parametrize("changes", [
    {"version": "2.0"}, {"trans_amount": "0150000"}, {"trans_amount": 1.5}, {"transaction_id": "a b"},
    {"client_id": "X"}, {"locale": "en"}, {"environment": 3}, {"bill_info": {}}, {"bill_info": None},
    {"strange": 1}, {"addition_fee": "-1"}, {"command": "A|B"}, {"return_url": ""},
])  # fmt: skip
async def test_keypay_refuses_what_the_page_forbids(shop, changes: dict[str, Any]):
    made = (await shop.client.post("/keypay/create", json=create(**changes))).json()
    assert (made["error"], made["data"]) == ("1", None)
    assert (await shop.look("payments"))["items"] == []


async def test_keypay_refuses_a_changed_order_and_the_same_order_twice(shop):
    changed = create() | {"trans_amount": "150001"}
    assert (await shop.client.post("/keypay/create", json=changed)).json()["error"] == "1"
    answers = [(await shop.client.post("/keypay/create", json=create())).json()["error"] for _ in range(2)]
    assert answers == ["0", "1"]


async def test_keypay_gives_back_no_more_than_was_paid(shop):
    await shop.client.post("/keypay/create", json=create())

    async def refund(amount: int) -> str:
        body = {"amount": amount, "client_id": "LGSPDEMO", "command": "REFUND", "reason": "Hoan",
                "transaction_id": "1001_ab12cd34ef56"}  # fmt: skip
        signed = body | {"check_sum": key_sign("|".join(str(value) for value in body.values()))}
        return (await shop.client.post("/keypay/refund", json=signed)).json()["error"]

    assert await refund(1) == "1"
    await shop.client.post("/_sandbox/payments/keypay/1001_ab12cd34ef56")
    assert [await refund(100_000), await refund(50_001), await refund(50_000)] == ["0", "1", "0"]
    sums = (await shop.look("book", system="keypay"))["keypay"]
    assert sums["refunded"] == {"count": 2, "amount_vnd": 150_000}
    rows = (await shop.client.get("/_sandbox/statement?system=keypay")).text.splitlines()[1:]
    assert [row.split(",")[4] for row in rows] == ["payment", "refund", "refund"]


# ------------------------------------------------------------------------------------------------------- PayGov


def pay(**changes: Any) -> dict[str, Any]:
    body = {
        "partnerCode": "PAYGOV-DEMO", "returnUrl": "http://127.0.0.1:8081/xong",
        "orderId": "000.00.14.H56-H56.14-260115-0001-01", "amount": "150000", "orderInfo": "Thanh toan ho so",
        "requestCode": "REQ202601150001", "ipAddress": "203.0.113.10", "accessKey": "PGACCESS",
        "serviceCode": "DVC", **changes,
    }  # fmt: skip
    names = ("partnerCode", "orderId", "requestCode", "amount")
    text = "PGSECRET" + "PGACCESS" + "".join(str(body[name]) for name in names)
    return body | {"checksum": hashlib.sha256(text.encode()).hexdigest()}


async def at_paygov(shop) -> dict[str, str]:
    known = {"lgspaccesstoken": WAY}
    form = {"grant_type": "client_credentials"}
    token = (await shop.client.post("/paygov/token", data=form, headers=known)).json()["access_token"]
    return known | {"authorization": f"Bearer {token}"}


def test_paygov_signs_as_the_vectors_do():
    assert pay()["checksum"] == "4f285bf3b0a300bc99b0618b2eaa86315a4b9212312bc88a2dbaaf0edb611123"
    receipt = {
        "partnerCode": "PAYGOV-DEMO", "payerId": "001099000001", "payerName": "NGUYEN VAN AN",
        "payerAddress": "12 Le Loi", "payerDistrict": "", "payerProvince": "Thanh Hoa",
        "docCode": "H56.14-260115-0001", "procedureName": "Dang ky khai sinh", "decisionDate": "15-01-2026",
        "paids": "WyJUWE4wMDAxIl0=",
        "otherInfo": "eyJiZW5lZmljaWFyeVVuaXRDb2RlIjoiMDAwLjAwLjE0Lkg1NiIsImJlbmVmaWNpYXJ5VW5pdE5hbWUiOiJTbyBUdSBw"
        "aGFwIn0=",
    }  # fmt: skip
    names = ("secretKey", "partnerCode", "accessKey", "payerId", "payerName", "payerAddress", "payerDistrict",
             "payerProvince", "docCode", "procedureName", "paids", "otherInfo", "decisionDate")  # fmt: skip
    signed = paygov.Paygov(payment_book.Book(), Courier()).signed(receipt, names)
    assert signed == "58ecff83c11114f4c5220d150cf92a000b5dc71cfc4485c93cedbbb2b6dc8138"


async def test_paygov_takes_an_order_and_vouches_for_its_own_result_only(shop, hub: Hub):
    headers = await at_paygov(shop)
    made = (await shop.client.post("/paygov/pay", json=pay(), headers=headers)).json()
    back = await shop.client.get(made["data"]["url"] + "&choice=pay")
    assert back.headers["location"].startswith("http://127.0.0.1:8081/xong?amount=150000&")
    await delivered(shop)
    told = hub.told()
    assert (told["errorCode"], told["requestCode"], told["transactionCode"]) == (
        "00", "REQ202601150001", "TXN14000001"
    )  # fmt: skip
    path = "/paygov/api/v1/PayGov/CheckSumUrlReturn"
    assert (await shop.client.post(path, json=told, headers=headers)).json()["error_code"] == "SUCCESSFUL"
    wrong = told | {"amount": "150001"}
    assert (await shop.client.post(path, json=wrong, headers=headers)).json()["error_code"] == "SIGNATURE_WRONG"


@pytest.mark.parametrize("changes", [
    {"amount": 150000}, {"amount": "1.5"}, {"orderInfo": "Hồ sơ"}, {"orderId": "H56"}, {"partnerCode": "X"},
    {"accessKey": "X"}, {"strange": "1"}, {"requestCode": ""}, {"ipAddress": None},
])  # fmt: skip
async def test_paygov_refuses_what_the_page_forbids(shop, changes: dict[str, Any]):
    headers = await at_paygov(shop)
    made = (await shop.client.post("/paygov/pay", json=pay(**changes), headers=headers)).json()
    assert (made["error_code"], made["data"]) == ("FAILED", None)


async def test_paygov_wants_the_platform_in_between(shop):
    headers = await at_paygov(shop)
    for wrong in ({"lgspaccesstoken": "x"}, {"authorization": "Bearer x"}, {"lgspaccesstoken": ""}):
        assert (await shop.client.post("/paygov/pay", json=pay(), headers=headers | wrong)).status_code == 401


# --------------------------------------------------------------------------------------------------------- bank


def test_the_bank_reads_the_vector_and_the_published_example():
    assert vietqr.read(CODE) == vietqr.Code("970415", "1234567890", "QRIBFTTA", 150_000, "H5614260115000101")
    assert vietqr.checksum(CODE[:-4]) == "ADDE"


@pytest.mark.parametrize("wrong", [
    "", "6304", CODE[:-1] + "F", CODE.lower(), CODE[:-4], CODE.replace("5303704", "5303840"), CODE + "0", "é" * 40,
    "99" + CODE, CODE.replace("150000", "1500,0"),
])  # fmt: skip
async def test_the_bank_pays_no_code_that_is_spoiled(shop, wrong: str):
    answer = await shop.client.get("/vietqr/scan", params={"code": wrong, "choice": "pay"})
    assert answer.status_code == 400
    assert (await shop.client.post("/_sandbox/bank/pay", json={"code": wrong})).status_code == 422
    assert (await shop.look("payments"))["items"] == []


async def test_a_person_pays_a_code_by_clicking_and_only_the_statement_tells(shop, hub: Hub):
    page = await shop.client.get("/vietqr/scan", params={"code": CODE})
    assert "1234567890" in page.text
    link = next(part for part in page.text.split('"') if part.endswith("choice=twice")).replace("&amp;", "&")
    assert (await shop.client.get(f"/vietqr/scan{link}")).status_code == 200
    assert hub.calls == []
    lines = (await shop.client.get("/_sandbox/bank/statement")).text.splitlines()
    assert lines[0] == "Ngày giao dịch,Số bút toán,Số tài khoản,Ghi nợ,Ghi có,Nội dung"
    assert [line.split(",")[4] for line in lines[1:]] == ["150000", "150000"]
    assert (await shop.client.get("/_sandbox/bank/statement?day=2020-01-01")).text.count("\n") == 1
    assert (await shop.client.get("/_sandbox/bank/statement?day=x")).status_code == 422


async def test_a_transfer_may_be_of_another_amount_or_without_its_memo(shop):
    for choice in ("other_amount", "no_memo"):
        await shop.client.post("/_sandbox/bank/pay", json={"code": CODE, "choice": choice})
    rows = (await shop.client.get("/_sandbox/statement?system=vietqr")).text.splitlines()[1:]
    assert [tuple(row.split(",")[:3:2]) for row in rows] == [("H5614260115000101", "149000"), ("", "150000")]


# -------------------------------------------------------------------------------------------------- bill lookup


async def test_the_portal_says_what_it_cannot_use_of_an_answer(shop, hub: Hub):
    path = "/callbacks/dvcqg_payment/dptracuuthanhtoanhs"
    bill = {"transaction_id": "LT1", "client_id": "LGSPDEMO", "MaTraCuuTT": "D120260115093000", **RECEIPT}
    for answer, problem in (
        ({"error_code": 1, "message": bill}, ""),
        ({"error_code": 0, "message": []}, ""),
        ({"error_code": -1, "message": []}, ""),
        ({"error_code": 0, "message": "x"}, "message: []"),
        ({"error_code": 1, "message": bill | {"MaTraCuuTT": "D1"}}, "MaTraCuuTT"),
        ({"error_code": 1, "message": {}}, "transaction_id, client_id, MaTraCuuTT"),
        ({"error_code": 1, "message": []}, "error_code, message"),
        ({}, "error_code, message"),
        (7, "error_code, message"),
    ):
        hub.answers[path] = answer
        told = (await shop.client.post("/_sandbox/bill-lookup?dossier=D1&pay=true")).json()
        assert told["problem"] == problem
    assert hub.told(0) == {"MaHoSo": "D1"}
    assert (await shop.look("book", system="dvcqg_payment"))["dvcqg_payment"]["paid"]["amount_vnd"] == 150_000


async def test_without_an_address_the_portal_cannot_ask(caller_with):
    alone = caller_with()
    assert (await alone.client.post("/_sandbox/bill-lookup?dossier=D1")).status_code == 409


# --------------------------------------------------------------------------------------------------------- fuzz

ODD = st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.lists(st.integers(), max_size=2)
PATHS = ("/keypay/create", "/keypay/query", "/keypay/refund", "/paygov/pay", "/paygov/receipt", "/paygov/token",
         "/paygov/api/v1/PayGov/CheckSumUrlReturn", "/vietqr/scan", "/_sandbox/bank/pay")  # fmt: skip


@MANY
@given(
    path=st.sampled_from(PATHS),
    changes=st.dictionaries(st.sampled_from([*create(), *pay(), "paids", "code", "choice"]), ODD, max_size=4),
    right=st.sampled_from([{}, create(), pay(), {"code": CODE}]),
)
async def test_no_message_makes_an_imitation_fail(shop, path: str, changes: dict[str, Any], right: dict[str, Any]):
    headers = await at_paygov(shop)
    answer = await shop.client.post(path, json=right | changes, headers=headers)
    assert answer.status_code in (200, 400, 404, 422)


@MANY
@given(code=st.text(max_size=80) | st.just(CODE), choice=st.text(max_size=8), tail=st.text(max_size=8))
async def test_no_code_makes_the_bank_fail(shop, code: str, choice: str, tail: str):
    for text in (code, code + tail, (body := f"{tail}{code[:-4]}") + (vietqr.checksum(body))):
        answer = await shop.client.get("/vietqr/scan", params={"code": text, "choice": choice})
        assert answer.status_code in (200, 400)
    await asyncio.sleep(0)
