"""MoMo: the vectors of the page, what is forged, what its codes mean, refunds."""

from __future__ import annotations

import json
import urllib.parse
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from payment_stage import NOW, REFERENCE, Stage, got, order, refund

from lienthong.connectors.momo import auth, wire
from lienthong.core import errors, money

SECRET = "MOMOSECRET"
ACCOUNT = {
    "base_url": "https://momo.example.vn",
    "partner_code": "LGSPDEMO",
    "access_key": "AKDEMO",
    "secret_key": SECRET,
}
INFO = "Thanh toan ho so H56.14-260115-0001"
IPN: dict[str, Any] = {
    "partnerCode": "LGSPDEMO",
    "orderId": REFERENCE,
    "requestId": "7f1c2c1e-0001",
    "amount": 150000,
    "orderInfo": INFO,
    "orderType": "momo_wallet",
    "transId": 4088878653,
    "resultCode": 0,
    "message": "Successful.",
    "payType": "qr",
    "responseTime": 1768444452000,
    "extraData": "",
    "signature": "38a6a575d8bda382cdd8c8aaaf3eacee7e58d927e1fc2e9aab27c132c89e7cd9",
}


@pytest.fixture
def stage() -> Stage:
    return Stage("momo", **ACCOUNT)


READER = Stage("momo", **ACCOUNT).connector


def signed(**changed: Any) -> dict[str, Any]:
    """An IPN signed anew after some changes."""
    fields = {**IPN, **changed}
    text = auth.signed_text(wire.RECIPES["callback"], {**fields, "accessKey": "AKDEMO"})
    return {**fields, "signature": auth.sign(text, SECRET)}


def posted(body: Any, *, name: str = "ipn", method: str = "POST") -> money.CallbackRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    return got("", name=name, method=method, body=raw)


def read(body: Any) -> money.PaymentNews:
    news: money.PaymentNews = READER.read_callback(posted(body))
    return news


def is_forged(body: Any) -> bool:
    try:
        read(body)
    except errors.ProofRejected:
        return True
    return False


# ----------------------------------------------------------------------------------------------------- vectors


@pytest.mark.parametrize(
    ("recipe", "fields", "signature"),
    [
        (
            "create",
            {
                "amount": 150000,
                "extraData": "",
                "ipnUrl": "https://lgsp.example.vn/momo/ipn",
                "orderId": REFERENCE,
                "orderInfo": INFO,
                "redirectUrl": "https://lgsp.example.vn/momo/return",
                "requestId": "7f1c2c1e-0001",
                "requestType": "captureWallet",
            },
            "100ab3fefb918dc31b3db734faad3721477f9eda4c915816317645dd94dedb14",
        ),
        ("callback", IPN, IPN["signature"]),
        (
            "query",
            {"orderId": REFERENCE, "requestId": "7f1c2c1e-0002"},
            "e4de79d796f79e80ef9d440fe08e1fa425a7880153011cdfd337129b0052fd30",
        ),
        (
            "refund",
            {
                "amount": 150000,
                "description": "Hoan tien",
                "orderId": "RF5614260115000101",
                "requestId": "7f1c2c1e-0003",
                "transId": 4088878653,
            },
            "3f572cf033305b178503fae15b33d31794dfe855b5db5c1bf11e94cd7762f3de",
        ),
    ],
)
def test_the_signatures_are_those_of_the_vectors(recipe: str, fields: dict[str, Any], signature: str) -> None:
    known = {"accessKey": "AKDEMO", "partnerCode": "LGSPDEMO", **fields}
    assert auth.sign(auth.signed_text(wire.RECIPES[recipe], known), SECRET) == signature


def test_the_callback_of_the_vector_is_a_payment() -> None:
    assert read(IPN) == money.PaymentNews(
        reference=REFERENCE,
        amount_vnd=150_000,
        partner="LGSPDEMO",
        state="paid",
        provider_reference="4088878653",
        provider_code="0",
        provider_message="Successful.",
        bank="qr",
        paid_at=NOW + timedelta(minutes=4, seconds=12),
    )


# ------------------------------------------------------------------------------------------------------ forged


@pytest.mark.parametrize(
    "body",
    [
        {**IPN, "amount": 150001},
        {**IPN, "orderId": IPN["requestId"], "requestId": REFERENCE},
        {**IPN, "signature": IPN["signature"].upper()},
        {**IPN, "signature": ""},
        {**IPN, "signature": 7},
        {**IPN, "amount": "150000"},
        {**IPN, "amount": 150000.0},
        {**IPN, "amount": True},
        {**IPN, "amount": None},
        {**IPN, "resultCode": "0"},
        {**IPN, "orderId": 1},
        {**IPN, "orderInfo": [INFO]},
        {**IPN, "message": "Success\u0000ful."},
        {key: value for key, value in IPN.items() if key != "extraData"},
        signed(partnerCode="OTHERONE"),
        [IPN],
        b"",
        b"{",
        b"null",
        b"\xff\xfe{}",
        json.dumps(IPN).encode("utf-16"),
        json.dumps(IPN).encode()[:-1] + b',"amount":150000}',
        json.dumps({**IPN, "message": "\ud800"}).encode(),
        b"[" * 50_000,
        b'{"amount":' + b"9" * 20_000 + b"}",
        b'{"x":"' + b"y" * 200_000 + b'"}',
    ],
    ids=map(str, range(26)),
)
def test_what_the_intermediary_did_not_sign_is_forged(body: Any) -> None:
    assert is_forged(body)


def test_a_blank_after_the_secret_is_another_secret_and_none_believes_nothing() -> None:
    for secret in (SECRET + " ", ""):
        reader = Stage("momo", **{**ACCOUNT, "secret_key": secret}).connector
        with pytest.raises(errors.ProofRejected):
            reader.read_callback(posted(IPN))


def test_parts_of_a_signed_message_cannot_change_places() -> None:
    """One signature fits two readings where a value holds the next field's name; neither is believed."""
    twisted = signed(message="Failed.&orderId=A", orderId="B")
    other = {**twisted, "message": "Failed.", "orderId": "A&orderId=B"}
    names = wire.RECIPES["callback"]
    assert auth.signed_text(names, twisted) == auth.signed_text(names, other)
    assert is_forged(twisted)
    assert is_forged(other)


def test_fields_that_are_not_signed_are_not_believed() -> None:
    assert read({**IPN, "bank": "X", "userFee": 9, "paidAt": 1}) == read(IPN)


def test_our_own_request_sent_back_is_forged() -> None:
    body = wire.signed_body(
        "create", {"partner": "LGSPDEMO", "order": REFERENCE, "amount": 1}, access_key="AKDEMO", secret=SECRET
    )
    assert is_forged(body)


def test_what_a_browser_brings_is_shown_and_never_a_callback() -> None:
    query = urllib.parse.urlencode(IPN)
    assert READER.read_return(got(query, name="return")).state == "paid"
    for request in (got(query), got(query, name="return"), posted(IPN, name="return"), posted(IPN, method="GET")):
        with pytest.raises(errors.ProofRejected):
            READER.read_callback(request)
    with pytest.raises(errors.ProofRejected):
        READER.read_return(got(query.replace("150000", "150001"), name="return"))


RAW = json.dumps(IPN).encode()


@given(place=st.integers(0, len(RAW) - 1), byte=st.integers(0, 255))
def test_any_changed_byte_is_forged_unless_it_says_the_very_same(place: int, byte: int) -> None:
    changed = RAW[:place] + bytes((byte,)) + RAW[place + 1 :]
    if not is_forged(changed):
        assert json.loads(changed) == IPN


@given(name=st.sampled_from(sorted(set(IPN) - {"signature"})), value=st.text(max_size=20) | st.integers())
def test_any_changed_field_is_forged(name: str, value: Any) -> None:
    assert is_forged({**IPN, name: value}) or value == IPN[name]


@given(body=st.binary(max_size=300) | st.text(alphabet='{}[]":,0e-+\\u tnl', max_size=100).map(str.encode))
def test_any_rubbish_is_forged_and_nothing_else(body: bytes) -> None:
    assert is_forged(body)


# ----------------------------------------------------------------------------------------------------- meaning


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (0, "paid"),
        (9000, "paid"),
        (1000, "pending"),
        (7000, "pending"),
        (7002, "pending"),
        (1005, "expired"),
        (1006, "failed"),
        (4100, "failed"),
        (99, "needs_person"),
        (12345, "needs_person"),
        (-1, "needs_person"),
    ],
)
def test_only_success_is_paid_and_what_is_new_needs_a_person(code: int, state: str) -> None:
    assert read(signed(resultCode=code)).state == state


@pytest.mark.parametrize("changed", [{"amount": 0}, {"responseTime": 10**17}], ids=["nothing", "no time"])
def test_a_signed_message_that_makes_no_sense_is_unreadable(changed: dict[str, Any]) -> None:
    with pytest.raises(errors.RemoteGarbled):
        read(signed(**changed))


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ("recorded", 204),
        ("already", 204),
        ("unknown_reference", 204),
        ("amount_differs", 204),
        ("forged", 400),
        ("unreadable", 400),
        ("address_refused", 403),
        ("failed", 503),
    ],
)
def test_the_reply_is_a_status_alone(stage: Stage, outcome: Any, status: int) -> None:
    assert stage.connector.reply(posted(IPN), outcome) == money.CallbackReply(status=status, body=b"")


# ------------------------------------------------------------------------------------------------------- calls


def answers(status: int = 200, **body: Any) -> Any:
    """Answer a question with its own numbers and this body."""

    def answer(request: httpx.Request) -> httpx.Response:
        sent = json.loads(request.content)
        echo = {name: sent[name] for name in ("partnerCode", "orderId", "requestId")}
        return httpx.Response(status, json={**echo, **body})

    return answer


async def test_a_payment_is_asked_for_and_the_payer_sent_there(stage: Stage) -> None:
    stage.answers = answers(resultCode=0, payUrl="https://momo.example.vn/pay/1", qrCodeUrl="momo://x")
    started = await stage.connector.start(order())
    assert (started.pay_url, started.qr_text) == ("https://momo.example.vn/pay/1", "momo://x")
    sent = stage.body()
    assert (sent["amount"], sent["orderInfo"], sent["accessKey"]) == (150_000, INFO, "AKDEMO")
    text = auth.signed_text(wire.RECIPES["create"], sent)
    assert sent["signature"] == auth.sign(text, SECRET)
    assert SECRET not in str(sent)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"callback_url": "https://lgsp.example.vn/ipn?x=1"}, "callback_url"),
        ({"callback_url": ""}, "callback_url"),
        ({"return_url": "javascript:alert(1)"}, "return_url"),
    ],
)
async def test_what_would_be_refused_is_named_before(stage: Stage, changed: dict[str, Any], field: str) -> None:
    with pytest.raises(errors.InvalidRequest) as raised:
        await stage.connector.start(order(**changed))
    assert [it.field for it in raised.value.problems] == [field]
    assert not stage.sent


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (200, 10, errors.RemoteUnavailable),
        (200, 13, errors.RemoteForbids),
        (400, 21, errors.RemoteRefused),
        (200, 41, errors.RemoteRefused),
        (200, 43, errors.RemoteBusy),
        (422, 7000, errors.OutcomeUnknown),
        (200, 31337, errors.UnmappedCode),
        (403, 13, errors.RemoteForbids),
        (500, 0, errors.OutcomeUnknown),
    ],
)
async def test_a_payment_that_is_not_begun_has_a_name(
    stage: Stage, status: int, code: int, error: type[Exception]
) -> None:
    stage.answers = answers(status, resultCode=code, message="no")
    with pytest.raises(error):
        await stage.connector.start(order())


@pytest.mark.parametrize(
    "body",
    [
        {"resultCode": 0},
        {"resultCode": 0, "payUrl": "javascript:alert(1)"},
        {"resultCode": 0, "payUrl": "https://x.vn/a b"},
        {"resultCode": 0, "payUrl": "https://x.vn/", "orderId": "OTHER"},
        {"resultCode": "0", "payUrl": "https://x.vn/"},
        {},
    ],
)
async def test_a_beginning_that_cannot_be_read_may_have_happened(stage: Stage, body: dict[str, Any]) -> None:
    stage.answers = answers(**body)
    with pytest.raises(errors.OutcomeUnknown):
        await stage.connector.start(order())


async def test_a_query_says_how_it_stands(stage: Stage) -> None:
    stage.answers = answers(resultCode=0, amount=150000, transId=4088878653, message="Successful.")
    news = await stage.connector.query(order())
    assert (news.state, news.amount_vnd, news.provider_reference) == ("paid", 150_000, "4088878653")
    stage.answers = answers(resultCode=1000, amount=0)
    assert (await stage.connector.query(order())).state == "pending"
    stage.answers = answers(400, resultCode=42)
    assert (await stage.connector.query(order())).state == "pending"
    stage.now = NOW + timedelta(hours=1)
    assert (await stage.connector.query(order())).state == "expired"
    numbers = [json.loads(request.content)["requestId"] for request in stage.sent]
    assert len(set(numbers)) == len(numbers)
    assert all(len(number) <= 50 for number in numbers)


@pytest.mark.parametrize(
    "body",
    [
        {"resultCode": 0, "amount": 150000, "requestId": "of-another-question"},
        {"resultCode": 0, "amount": 150000, "orderId": "H5614260115000102"},
        {"resultCode": 0, "amount": 150000, "partnerCode": None},
        {"resultCode": 0},
        {"resultCode": 0, "amount": True},
        {"resultCode": True, "amount": 150000},
    ],
)
async def test_an_answer_that_proves_nothing_is_garbled(stage: Stage, body: dict[str, Any]) -> None:
    stage.answers = answers(**body)
    with pytest.raises(errors.RemoteGarbled):
        await stage.connector.query(order())


@pytest.mark.parametrize(
    ("code", "state"),
    [(0, "done"), (1081, "already"), (41, "already"), (1080, "refused"), (1088, "refused"), (7002, "pending")],
)
async def test_a_refund_has_a_state(stage: Stage, code: int, state: str) -> None:
    stage.answers = answers(resultCode=code, transId=5000000001)
    news = await stage.connector.refund(refund(provider_reference="4088878653"))
    assert (news.state, news.provider_reference) == (state, "5000000001")
    sent = stage.body()
    assert (sent["orderId"], sent["transId"]) == ("REQ20260115110000001", 4088878653)
    text = auth.signed_text(wire.RECIPES["refund"], {**sent, "accessKey": "AKDEMO"})
    assert sent["signature"] == auth.sign(text, SECRET)


async def test_a_refund_that_is_not_taken_or_not_answered_has_a_name(stage: Stage) -> None:
    for answer, error in (
        (answers(resultCode=99), errors.OutcomeUnknown),
        (answers(resultCode=13), errors.RemoteForbids),
        (lambda request: httpx.Response(200, text="<html>"), errors.OutcomeUnknown),
    ):
        stage.answers = answer
        with pytest.raises(error):
            await stage.connector.refund(refund(provider_reference="4088878653"))
    for number in ("", "x1", "9" * 40):
        with pytest.raises(errors.InvalidRequest):
            await stage.connector.refund(refund(provider_reference=number))


def line(**changed: Any) -> dict[str, Any]:
    """What MoMo says of the refund of the stage."""
    known = {"orderId": "REQ20260115110000001", "amount": 150_000, "resultCode": 0, "transId": 5000000001}
    return {**known, **changed}


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        ([line()], "done"),
        ([line(resultCode=1080)], "refused"),
        ([line(resultCode=7002)], "pending"),
        ([line(resultCode=99)], "pending"),
        ([line(), line(orderId="ANOTHER", resultCode=1080)], "done"),
        ([line(), line(resultCode=1080)], "pending"),
        ([line(amount=149_000)], "pending"),
        ([line(orderId="ANOTHER")], "pending"),
        ([line(resultCode="0")], "pending"),
        (["0", None], "pending"),
        ([], "pending"),
        (None, "pending"),
    ],
)
async def test_only_the_line_of_a_refund_and_its_amount_says_how_it_stands(
    stage: Stage, lines: Any, state: str
) -> None:
    stage.answers = answers(resultCode=0, refundTrans=lines)
    news = await stage.connector.query_refund(refund(provider_reference="4088878653"))
    assert news.state == state
    sent = stage.body()
    assert (stage.sent[-1].url.path, sent["orderId"]) == ("/v2/gateway/api/refund/query", "REQ20260115110000001")
    assert len(sent["requestId"]) <= 50
    text = auth.signed_text(wire.RECIPES["refund_query"], {**sent, "accessKey": "AKDEMO"})
    assert sent["signature"] == auth.sign(text, SECRET)


async def test_a_refund_that_momo_does_not_know_stays_open(stage: Stage) -> None:
    stage.answers = answers(resultCode=42)
    assert (await stage.connector.query_refund(refund())).state == "pending"
    stage.answers = answers(resultCode=13)
    with pytest.raises(errors.RemoteForbids):
        await stage.connector.query_refund(refund())


async def test_a_check_asks_about_a_payment_that_never_was(stage: Stage) -> None:
    stage.answers = answers(resultCode=42)
    assert all(it.ok for it in await stage.connector.check())
    stage.answers = answers(resultCode=13)
    assert [it.ok for it in await stage.connector.check()] == [True, False]
    with pytest.raises(errors.NotOffered):
        await stage.connector.receipt(order())


async def test_no_secret_and_no_number_reaches_an_error_or_the_journal(stage: Stage) -> None:
    stage.answers = answers(resultCode=20, message="Sai số 001099000001")
    with pytest.raises(errors.RemoteRefused) as raised:
        await stage.connector.query(order())
    shown = str(raised.value) + repr(stage.exchanges) + repr(stage.connector._settings)
    assert not [word for word in (SECRET, "AKDEMO", "001099000001", REFERENCE) if word in shown]
