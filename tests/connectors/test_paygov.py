"""PayGov: vectors 12.4 to the byte, both forms, and callbacks that count only where somebody vouches for them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlencode

import httpx
import orjson
import pytest
from conformance import SECRET, ConnectorPromises, fails, text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from intermediary_stage import (
    ANYTHING,
    PAID_AT,
    Stage,
    broken_bodies,
    callback,
    order,
    plays,
    refund_order,
    spoiled,
)

from lienthong.connectors.paygov import auth
from lienthong.core import errors, money

RECIPE = ("@secret_key", "@access_key", "requestCode", "orderId", "errorCode", "transactionCode", "amount")
RESULT = {
    "amount": "150000",
    "orderId": "000.00.14.H56-H56.14-260115-0001-01",
    "orderInfo": "Thanh toan ho so",
    "requestCode": "REQ202601150001",
    "transactionNo": "14012345",
    "payDate": "20260115093412",
    "paygate": "VNPAY",
    "errorCode": "00",
    "type": "1",
    "transactionCode": "TXN0001",
}
SIGNED = ("requestCode", "orderId", "errorCode", "transactionCode", "amount")


def signed(secret: str = "PGSECRET", access: str = "PGACCESS", **changed: Any) -> dict[str, Any]:
    fields = {**RESULT, **changed}
    joined = secret + access + "".join(str(fields[name]) for name in SIGNED)
    return {**fields, "checksum": hashlib.sha256(joined.encode()).hexdigest()}


def own(request: httpx.Request) -> httpx.Response:
    if request.url.path == "/token":
        return httpx.Response(200, json={"access_token": "t1", "expires_in": 3600})
    if request.url.path == "/receipt":
        return httpx.Response(200, json={"transactionReceipt": "https://paygov.example.vn/bl/1.pdf"})
    if request.url.path.endswith("/CheckSumUrlReturn"):
        genuine = json.loads(request.content).get("checksum") == signed()["checksum"]
        return httpx.Response(200, json={"error_code": "SUCCESSFUL" if genuine else "SIGNATURE_WRONG"})
    return httpx.Response(200, json={"data": {"url": "https://paygov.example.vn/pay?id=1"}})


def new_stage(**changed: Any) -> Stage:
    given = {
        "pay_path": "/pay",
        "receipt_path": "/receipt",
        "partner_code": "PAYGOV-DEMO",
        "access_key": "PGACCESS",
        "secret_key": "PGSECRET",
        "service_code": "SV01",
        "lgsp_token_path": "/token",
        "lgsp_access_key": "AK123",
        "lgsp_secret_key": "SK456",
        "lgsp_app_name": "LGSP-DEMO",
        "callback_check": "recipe",
        "callback_recipe": RECIPE,
    }
    return Stage("paygov", {**given, **changed}, own)


@pytest.fixture
def stage() -> Stage:
    return new_stage()


class TestPromises(ConnectorPromises):
    @pytest.fixture
    def stage(self) -> Stage:
        return new_stage(secret_key=SECRET)

    async def ask(self, stage: Stage) -> Any:
        return await stage.connector.receipt(order(provider_reference="TXN0001"))


def test_it_plays_its_roles(stage: Stage) -> None:
    assert plays(stage.connector) == {"PaymentProvider", "AskingPaymentProvider"}


# ------------------------------------------------------------------------------------------------------ vectors


async def test_a_payment_is_asked_for_as_the_vector_says(stage: Stage) -> None:
    started = await stage.connector.start(order(reference="REQ202601150001", description="Thanh toán hồ sơ"))
    assert started == money.PaymentStarted(pay_url="https://paygov.example.vn/pay?id=1")
    assert stage.wire.last() == {
        "partnerCode": "PAYGOV-DEMO",
        "returnUrl": "https://lgsp.example.vn/payment/return",
        "orderId": "000.00.14.H56-H56.14-260115-0001-01",
        "amount": "150000",
        "orderInfo": "Thanh toan ho so",
        "requestCode": "REQ202601150001",
        "ipAddress": "203.0.113.10",
        "accessKey": "PGACCESS",
        "serviceCode": "SV01",
        "checksum": "4f285bf3b0a300bc99b0618b2eaa86315a4b9212312bc88a2dbaaf0edb611123",
    }
    token, call = stage.wire.requests
    assert call.headers["authorization"] == "Bearer t1"
    assert json.loads(base64.b64decode(call.headers["lgspaccesstoken"]))["PartnerCode"] == "000.00.00.H56"
    assert token.headers["lgspaccesstoken"] == call.headers["lgspaccesstoken"]


async def test_the_other_form_has_an_account_and_no_checksum() -> None:
    stage = new_stage(variant="plain", account_pay="0011001932418", beneficiary_code="")
    await stage.connector.start(order())
    body = stage.wire.last()
    assert (body["beneficiaryCode"], body["accountPay"]) == ("000.00.14.H56", "0011001932418")
    assert not {"checksum", "accessKey", "serviceCode"} & set(body)


async def test_a_receipt_is_asked_for_as_the_vector_says(stage: Stage) -> None:
    asked = order(
        provider_reference="TXN0001", paid_at=PAID_AT,
        beneficiary={"unit_code": "000.00.14.H56", "unit_name": "Sở Tư pháp"},
    )  # fmt: skip
    assert await stage.connector.receipt(asked) == money.ReceiptFile(url="https://paygov.example.vn/bl/1.pdf")
    body = stage.wire.last()
    assert (body["paids"], body["payerAddress"], body["payerProvince"]) == (
        "WyJUWE4wMDAxIl0=",
        "12 Le Loi",
        "Thanh Hoa",
    )
    assert base64.b64decode(body["otherInfo"]) == (
        b'{"beneficiaryUnitCode":"000.00.14.H56","beneficiaryUnitName":"So Tu phap"}'
    )
    assert (body["decisionDate"], body["procedureName"]) == ("15-01-2026", "Dang ky khai sinh")
    assert body["checksum"] == "58ecff83c11114f4c5220d150cf92a000b5dc71cfc4485c93cedbbb2b6dc8138"


async def test_a_receipt_needs_the_number_of_the_payment(stage: Stage) -> None:
    with pytest.raises(errors.InvalidRequest):
        await stage.connector.receipt(order())
    with pytest.raises(errors.NotOffered):
        await new_stage(receipt_path="").connector.receipt(order(provider_reference="TXN0001"))


# ----------------------------------------------------------------------------------------- callbacks by a recipe


def test_a_callback_that_fits_the_recipe_is_read(stage: Stage) -> None:
    assert stage.connector.read_callback(callback(signed())) == money.PaymentNews(
        reference="REQ202601150001", amount_vnd=150000, partner="PAYGOV-DEMO", state="paid", bank="VNPAY",
        provider_reference="TXN0001", provider_code="00", paid_at=PAID_AT,
    )  # fmt: skip


def test_a_callback_may_come_as_a_form_or_in_the_address(stage: Stage) -> None:
    form = urlencode(signed())
    as_form = callback(form.encode(), headers={"content-type": "application/x-www-form-urlencoded; charset=UTF-8"})
    as_query = callback(b"", method="GET", query=form)
    for request in (as_form, as_query):
        assert stage.connector.read_callback(request).state == "paid"
    for odd in (f"{form}&amount=150000", f"{form}&x=%ff", f"{form}&y", form.replace("150000", "150001"), "%", ""):
        with pytest.raises(errors.ProofRejected):
            stage.connector.read_callback(callback(b"", method="GET", query=odd))


@pytest.mark.parametrize("wrong", [*spoiled(signed(), signed=SIGNED, checksum="checksum")])
def test_a_callback_with_anything_changed_is_forged(stage: Stage, wrong: dict[str, Any]) -> None:
    with pytest.raises(errors.ProofRejected):
        stage.connector.read_callback(callback(wrong))


@pytest.mark.parametrize("body", [*broken_bodies(signed())], ids=lambda it: repr(it[:20]))
def test_a_body_in_a_form_that_nobody_should_read_is_forged(stage: Stage, body: bytes) -> None:
    with pytest.raises(errors.ProofRejected):
        stage.connector.read_callback(callback(body))


@pytest.mark.parametrize(("code", "state"), [("00", "paid"), ("24", "needs_person"), ("99", "needs_person")])
def test_an_unknown_code_is_put_before_a_person(stage: Stage, code: str, state: str) -> None:
    news = stage.connector.read_callback(callback(signed(errorCode=code)))
    assert (news.state, news.provider_code) == (state, code)


def test_a_signed_callback_that_lacks_what_it_must_hold_is_garbled(stage: Stage) -> None:
    with pytest.raises(errors.RemoteGarbled):
        stage.connector.read_callback(callback(signed(errorCode="")))


def test_an_hmac_with_separators_is_a_recipe_too() -> None:
    parts = ("amount", "errorCode", "requestCode")
    stage = new_stage(
        callback_recipe="amount, errorCode, requestCode", callback_separator="|", callback_digest="hmac-sha256"
    )
    joined = "|".join(RESULT[name] for name in parts)
    checksum = hmac.new(b"PGSECRET", joined.encode(), "sha256").hexdigest()
    assert stage.connector.read_callback(callback({**RESULT, "checksum": checksum})).state == "paid"
    moved = {**RESULT, "errorCode": "00|REQ202601150001", "checksum": checksum}
    with pytest.raises(errors.ProofRejected):
        stage.connector.read_callback(callback(moved))


@pytest.mark.parametrize(
    "given",
    [
        {"callback_recipe": ()},
        {"callback_recipe": RECIPE[1:]},
        {"callback_recipe": tuple(it for it in RECIPE if it != "errorCode")},
        {"callback_recipe": tuple(it for it in RECIPE if it != "amount")},
        {"callback_recipe": (*RECIPE, "amount")},
        {"callback_digest": "hmac-sha512"},
        {"callback_digest": "md5"},
    ],
)
def test_a_recipe_that_does_not_prove_what_is_believed_stops_the_start(given: dict[str, Any]) -> None:
    with pytest.raises(errors.Misconfigured):
        new_stage(**given)


# --------------------------------------------------------------------------- callbacks that nobody can verify here


@pytest.mark.parametrize("check", ["none", "lgsp"])
def test_without_a_recipe_every_callback_is_forged(check: str) -> None:
    stage = new_stage(callback_check=check)
    with pytest.raises(errors.ProofRejected):
        stage.connector.read_callback(callback(signed()))


async def test_without_a_recipe_asking_helps_only_where_the_settings_say_whom() -> None:
    stage = new_stage(callback_check="none")
    with pytest.raises(errors.ProofRejected):
        await stage.connector.ask_callback(callback(signed()))
    assert not stage.wire.requests
    by_recipe = new_stage()
    assert (await by_recipe.connector.ask_callback(callback(signed()))).state == "paid"
    assert not by_recipe.wire.requests


async def test_the_platform_is_asked_about_the_very_message() -> None:
    stage = new_stage(callback_check="lgsp")
    assert (await stage.connector.ask_callback(callback(signed()))).state == "paid"
    assert stage.wire.requests[-1].url.path == "/api/v1/PayGov/CheckSumUrlReturn"
    assert stage.wire.last() == signed()
    with pytest.raises(errors.ProofRejected):
        await stage.connector.ask_callback(callback({**signed(), "checksum": "0" * 64}))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda: httpx.Response(200, json={"error_code": "successful"}), errors.ProofRejected),
        (lambda: httpx.Response(200, json={"error_code": True}), errors.ProofRejected),
        (lambda: httpx.Response(200, json={}), errors.ProofRejected),
        (text("true"), errors.RemoteGarbled),
        (text("<html>"), errors.RemoteUnavailable),
        (text("no", 500), errors.RemoteUnavailable),
        (fails(httpx.ReadTimeout("slow")), errors.RemoteUnavailable),
    ],
)
async def test_only_a_clear_yes_of_the_platform_counts(answer: Any, error: type[Exception]) -> None:
    stage = new_stage(callback_check="lgsp")
    stage.answer_all(answer)
    with pytest.raises(error):
        await stage.connector.ask_callback(callback(signed()))


async def test_what_is_no_callback_at_all_is_not_passed_on() -> None:
    stage = new_stage(callback_check="lgsp")
    nested = {**signed(), "x": {"y": 2**70}}
    for body in (*broken_bodies(signed()), orjson.dumps({"amount": "1"}), json.dumps(nested).encode()):
        with pytest.raises(errors.ProofRejected):
            await stage.connector.ask_callback(callback(body))
    assert not stage.wire.requests


@given(body=ANYTHING)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_arrives_is_forged_and_answered(stage: Stage, body: bytes) -> None:
    for request in (callback(body), callback(b"", method="GET", query=body.decode("latin-1"))):
        with pytest.raises(errors.ProofRejected):
            stage.connector.read_callback(request)
        assert json.loads(stage.connector.reply(request, "forged").body)["error_code"] == "SIGNATURE_WRONG"


@given(at=st.integers(0, 10_000), letter=st.integers(0, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_changed_byte_never_changes_state_amount_or_payment(stage: Stage, at: int, letter: int) -> None:
    good = orjson.dumps(signed())
    at %= len(good)
    try:
        news = stage.connector.read_callback(callback(good[:at] + bytes([letter]) + good[at + 1 :]))
    except errors.ProofRejected:
        return
    known = stage.connector.read_callback(callback(good))
    assert (news.state, news.amount_vnd, news.reference) == (known.state, known.amount_vnd, known.reference)


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        ("recorded", "SUCCESSFUL"),
        ("already", "SUCCESSFUL"),
        ("forged", "SIGNATURE_WRONG"),
        ("unknown_reference", "FAILED"),
        ("amount_differs", "FAILED"),
        ("address_refused", "FAILED"),
        ("unreadable", "FAILED"),
        ("failed", "FAILED"),
    ],
)
def test_every_outcome_is_answered_in_paygovs_words(stage: Stage, outcome: Any, word: str) -> None:
    reply = stage.connector.reply(callback(signed()), outcome)
    assert (reply.status, json.loads(reply.body)["error_code"]) == (200, word)


# -------------------------------------------------------------------------------------------------------- others


async def test_a_payment_that_is_refused_or_lost_says_so(stage: Stage) -> None:
    for answer, error in (
        (lambda: httpx.Response(200, json={"error_code": "FAILED", "error_message": "Sai"}), errors.RemoteRefused),
        (lambda: httpx.Response(200, json={"data": None}), errors.RemoteGarbled),
        (lambda: httpx.Response(200, json={"data": {"url": "ftp://x"}}), errors.RemoteGarbled),
        (text("[]"), errors.OutcomeUnknown),
        (fails(httpx.ReadTimeout("slow")), errors.OutcomeUnknown),
    ):
        stage.answer_all(answer)
        with pytest.raises(error):
            await stage.connector.start(order())


async def test_a_refused_token_is_got_anew_once(stage: Stage) -> None:
    await stage.connector.start(order())
    stage.answer_all(lambda: httpx.Response(401))
    before = len(stage.wire.requests)
    with pytest.raises(errors.RemoteForbids):
        await stage.connector.start(order())
    assert [it.url.path for it in stage.wire.requests[before:]] == ["/pay", "/token", "/pay"]


async def test_neither_questions_nor_refunds_are_offered(stage: Stage) -> None:
    for ask in (stage.connector.query(order()), stage.connector.refund(refund_order())):
        with pytest.raises(errors.NotOffered):
            await ask


async def test_a_check_says_when_callbacks_cannot_be_believed() -> None:
    checks = await new_stage(callback_check="none").connector.check()
    assert [it.name for it in checks if not it.ok] == ["callback"]
    assert all(it.ok for it in await new_stage().connector.check())


def test_the_recipe_for_payments_is_the_vector() -> None:
    values = (
        "PGSECRET",
        "PGACCESS",
        "PAYGOV-DEMO",
        "000.00.14.H56-H56.14-260115-0001-01",
        "REQ202601150001",
        "150000",
    )
    assert auth.checksum(values) == "4f285bf3b0a300bc99b0618b2eaa86315a4b9212312bc88a2dbaaf0edb611123"
    for wrong in ((*values[:-1], "150001"), values[::-1], ("PGSECRET ", *values[1:])):
        assert auth.checksum(wrong) != auth.checksum(values)
