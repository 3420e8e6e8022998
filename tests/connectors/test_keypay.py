"""KeyPay: vectors 12.5 to the byte, key 2 for what it sends, a status that no checksum covers, old records."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import httpx
import orjson
import pytest
from conformance import SECRET, fails, text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from intermediary_stage import (
    ANYTHING,
    REFERENCE,
    IntermediaryPromises,
    Stage,
    broken_bodies,
    callback,
    order,
    plays,
    refund_order,
    spoiled,
)

from lienthong.connectors.keypay import auth
from lienthong.core import errors, money

RESULT = {
    "addition_fee": "0",
    "client_id": "LGSPDEMO",
    "command": "PAY",
    "trans_amount": 150000,
    "transaction_id": REFERENCE,
    "version": "3.0",
}
SIGNED = tuple(RESULT)
STATE = {"transaction_id": REFERENCE, "trans_amount": "150000", "status": "0", "transaction_code": "KP0001"}
OLD = {
    "command": "pay",
    "country_code": "+84",
    "currency_code": "704",
    "current_locale": "vn",
    "good_code": "H56.14-260115-0001",
    "merchant_code": "LGSPDEMO",
    "merchant_trans_id": "1001",
    "net_cost": "150000",
    "return_url": "https://lgsp.example.vn/kp",
    "service_code": "720",
    "ship_fee": "0",
    "tax": "0",
    "version": "1.0",
}


def signed(key: str = "KPKEY2", **changed: Any) -> dict[str, Any]:
    fields = {**RESULT, **changed}
    checksum = auth.checksum([str(fields[name]) for name in SIGNED], key=key)
    return {"status": "0", "transaction_code": "KP0001", **fields, "check_sum": checksum}


def own(request: httpx.Request) -> httpx.Response:
    if request.url.path == "/create":
        data = {
            "transaction_code": "KP0001",
            "url_pay": "https://keypay.example.vn/p/1",
            "qrcode_pay": "data:image/png;base64,AA",
        }
        return httpx.Response(200, json={"error": "0", "data": data})
    if request.url.path == "/refund":
        return httpx.Response(200, json={"error": "0", "data": {}})
    asked = json.loads(request.content)["transaction_id"]
    return httpx.Response(200, json={"error": 0, "data": {**STATE, "transaction_id": asked}})


def new_stage(**changed: Any) -> Stage:
    given = {
        "create_path": "/create",
        "query_path": "/query",
        "refund_path": "/refund",
        "client_id": "LGSPDEMO",
        "request_key": "KPKEY1",
        "callback_key": "KPKEY2",
        "old_secret": "KPSECURE",
    }
    return Stage("keypay", {**given, **changed}, own)


@pytest.fixture
def stage() -> Stage:
    return new_stage()


class TestPromises(IntermediaryPromises):
    @pytest.fixture
    def stage(self) -> Stage:
        return new_stage(request_key=SECRET)


def test_it_plays_its_roles(stage: Stage) -> None:
    assert plays(stage.connector) == {"PaymentProvider", "AskingPaymentProvider"}


# ------------------------------------------------------------------------------------------------------ vectors


def test_checksums_are_the_vectors_to_the_byte() -> None:
    pay = auth.checksum(["0", "LGSPDEMO", "PAY", "150000", "1001_ab12cd34ef56", "3.0"], key="KPKEY1")
    ask = auth.checksum(["LGSPDEMO", "PAY", "1001_ab12cd34ef56"], key="KPKEY1")
    assert pay == "d2e99721de17895e7b832820e1f568691683e936ab3340a58a59b113ca215c71"
    assert ask == "83c8e19edaca024753c0a2eac63a2f6080f36dfcc843651a93f3e53f4e19a8f9"


def test_records_of_version_1_are_verified_by_either_digest() -> None:
    md5, sha = (
        "1aa647acfb4d84238327dc3416790f12",
        "9139c600d5d91fb84f3a2d4fbabdc4ac0c6c577e0956aa44b81244811a9d9d97",
    )
    by_md5, by_sha = new_stage().connector, new_stage(old_digest="sha256").connector
    assert by_md5.is_old_record_true({**OLD, "secure_hash": md5, "empty": ""})
    assert by_sha.is_old_record_true({**OLD, "secure_hash": sha})
    for wrong in ({**OLD, "secure_hash": sha}, {**OLD, "net_cost": "150001", "secure_hash": md5}, OLD):
        assert not by_md5.is_old_record_true(wrong)
    assert not by_md5.is_old_record_true({**OLD, "secure_hash": md5.upper()})
    assert not new_stage(old_secret="").connector.is_old_record_true({**OLD, "secure_hash": md5})


def test_a_viettelpay_text_is_signed_by_hmac_sha1_in_base64() -> None:
    # RFC 2202, case 2, in base64.
    stage = new_stage(viettelpay_key="Jefe")
    assert stage.connector.sign_viettelpay("what do ya want for nothing?") == "7/zfauXrL6LSdBbV8YTfnCWafHk="


async def test_a_payment_is_asked_for_with_key_1(stage: Stage) -> None:
    started = await stage.connector.start(order())
    assert started == money.PaymentStarted(pay_url="https://keypay.example.vn/p/1", provider_reference="KP0001")
    body = stage.wire.last()
    bill = body.pop("bill_info")
    assert body == {
        "client_id": "LGSPDEMO", "transaction_id": REFERENCE, "trans_amount": "150000", "command": "PAY",
        "version": "3.0", "description": "THANH TOAN HO SO H56.14-260115-0001", "locale": "vn",
        "country_code": "vi", "currency_code": "VND", "environment": "1", "return_url": "https://lgsp.example.vn/payment/return",
        "addition_fee": "0",
        "check_sum": auth.checksum(["0", "LGSPDEMO", "PAY", "150000", REFERENCE, "3.0"], key="KPKEY1"),
    }  # fmt: skip
    assert (bill["MaHoSo"], bill["MaDVC"], bill["PhiLePhi"][0]["SoTien"]) == (
        "H56.14-260115-0001",
        "1.001193.01",
        "150000",
    )


async def test_a_refund_is_signed_over_names_in_their_order(stage: Stage) -> None:
    assert (await stage.connector.refund(refund_order())).state == "accepted"
    body = stage.wire.last()
    assert body["reason"] == "Hoan tien tra hai lan"
    values = ["150000", "LGSPDEMO", "REFUND", "Hoan tien tra hai lan", REFERENCE]
    assert body["check_sum"] == auth.checksum(values, key="KPKEY1")


# ---------------------------------------------------------------------------------------------------- callbacks


async def test_a_genuine_callback_only_makes_the_hub_ask(stage: Stage) -> None:
    request = callback(signed())
    news = stage.connector.read_callback(request)
    assert (news.state, news.reference, news.amount_vnd) == ("pending", REFERENCE, 150000)
    asked = await stage.connector.ask_callback(request)
    assert (asked.state, asked.provider_reference) == ("paid", "KP0001")
    assert stage.wire.services() == ["/query"]


def test_a_status_that_was_flipped_on_the_way_makes_no_payment_true(stage: Stage) -> None:
    failed = signed(status="-7")
    assert stage.connector.read_callback(callback({**failed, "status": "0"})).state == "pending"


async def test_a_forged_callback_asks_nobody(stage: Stage) -> None:
    with pytest.raises(errors.ProofRejected):
        await stage.connector.ask_callback(callback(signed("KPKEY1")))
    assert not stage.wire.requests


@pytest.mark.parametrize(
    ("code", "state"), [("0", "paid"), (0, "paid"), ("1", "needs_person"), ("-1", "needs_person")]
)
async def test_where_the_settings_believe_the_status_it_counts(code: Any, state: str) -> None:
    stage = new_stage(believe_callback_status=True)
    for news in (
        stage.connector.read_callback(callback(signed(status=code))),
        await stage.connector.ask_callback(callback(signed(status=code))),
    ):
        assert (news.state, news.provider_code, news.partner) == (state, str(code), "LGSPDEMO")
    assert not stage.wire.requests


def test_values_that_the_message_does_not_repeat_are_those_that_we_sent(stage: Stage) -> None:
    short = {name: value for name, value in signed().items() if name not in ("command", "version", "addition_fee")}
    assert stage.connector.read_callback(callback(short)).reference == REFERENCE


@pytest.mark.parametrize("wrong", [*spoiled(signed(), signed=SIGNED, checksum="check_sum")])
def test_a_callback_with_anything_changed_is_forged(stage: Stage, wrong: dict[str, Any]) -> None:
    with pytest.raises(errors.ProofRejected):
        stage.connector.read_callback(callback(wrong))


@pytest.mark.parametrize("body", [*broken_bodies(signed())], ids=lambda it: repr(it[:20]))
def test_a_body_in_a_form_that_nobody_should_read_is_forged(stage: Stage, body: bytes) -> None:
    with pytest.raises(errors.ProofRejected):
        stage.connector.read_callback(callback(body))


@pytest.mark.parametrize("key", ["KPKEY1", "KPKEY2 ", "", "kpkey2"])
def test_only_key_2_signs_what_keypay_sends(stage: Stage, key: str) -> None:
    with pytest.raises(errors.ProofRejected):
        stage.connector.read_callback(callback(signed(key)))


def test_without_a_key_not_even_a_message_signed_with_none_is_believed() -> None:
    with pytest.raises(errors.ProofRejected):
        new_stage(callback_key="").connector.read_callback(callback(signed("")))


def test_a_signed_message_for_another_or_of_another_kind_is_not_ours(stage: Stage) -> None:
    for changed in ({"client_id": "OTHER"}, {"command": "REFUND"}):
        with pytest.raises(errors.ProofRejected):
            stage.connector.read_callback(callback(signed(**changed)))


def test_a_callback_may_come_as_a_form(stage: Stage) -> None:
    form = urlencode(signed())
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert stage.connector.read_callback(callback(form.encode(), headers=headers)).reference == REFERENCE
    with pytest.raises(errors.ProofRejected):
        stage.connector.read_callback(callback(f"{form}&status=0".encode(), headers=headers))


def test_a_signed_callback_without_a_status_is_garbled(stage: Stage) -> None:
    for status in (None, "", [0]):
        with pytest.raises(errors.RemoteGarbled):
            stage.connector.read_callback(callback(signed(status=status)))


@given(body=ANYTHING)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_arrives_is_forged_and_answered(stage: Stage, body: bytes) -> None:
    request = callback(body)
    with pytest.raises(errors.ProofRejected):
        stage.connector.read_callback(request)
    assert json.loads(stage.connector.reply(request, "forged").body)["return_code"] == -1


@given(at=st.integers(0, 10_000), letter=st.integers(0, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_changed_byte_never_changes_amount_or_payment(stage: Stage, at: int, letter: int) -> None:
    good = orjson.dumps(signed())
    at %= len(good)
    try:
        news = stage.connector.read_callback(callback(good[:at] + bytes([letter]) + good[at + 1 :]))
    except (errors.ProofRejected, errors.RemoteGarbled):
        return
    assert (news.state, news.amount_vnd, news.reference) == ("pending", 150000, REFERENCE)


@pytest.mark.parametrize("outcome", money.CallbackOutcome.__args__)
def test_every_outcome_is_answered_in_keypays_words(stage: Stage, outcome: Any) -> None:
    reply = stage.connector.reply(callback(signed()), outcome)
    code = 0 if outcome in ("recorded", "already") else -1
    assert (reply.status, json.loads(reply.body)["return_code"]) == (200, code)


# ------------------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"status": "1"}, errors.UnmappedCode),
        ({"status": None}, errors.RemoteGarbled),
        ({"trans_amount": None}, errors.RemoteGarbled),
        ({"trans_amount": "150000.0"}, errors.RemoteGarbled),
        ({"transaction_id": "DVC26011500000002"}, errors.RemoteGarbled),
        ({"client_id": "OTHER"}, errors.RemoteGarbled),
        ({"transaction_code": ["KP"]}, errors.RemoteGarbled),
    ],
)
async def test_an_answer_that_does_not_hold_is_no_state(
    stage: Stage, changed: Any, error: type[Exception]
) -> None:
    stage.answer_all(lambda: httpx.Response(200, json={"error": "0", "data": {**STATE, **changed}}))
    with pytest.raises(error):
        await stage.connector.query(order())


async def test_an_error_they_name_is_a_refusal(stage: Stage) -> None:
    stage.answer_all(lambda: httpx.Response(200, json={"error": "12", "message": "Số 001099000001 sai"}))
    for ask in (stage.connector.query(order()), stage.connector.start(order())):
        with pytest.raises(errors.RemoteRefused) as raised:
            await ask
        assert (raised.value.remote_code, "001099000001" in str(raised.value)) == ("12", False)
    assert await stage.connector.refund(refund_order()) == money.RefundNews(state="refused", provider_code="12")


async def test_a_silence_after_a_change_leaves_the_outcome_open(stage: Stage) -> None:
    for answer in (fails(httpx.ReadTimeout("slow")), text("{"), text("[]")):
        stage.answer_all(answer)
        for ask in (stage.connector.start(order()), stage.connector.refund(refund_order())):
            with pytest.raises(errors.OutcomeUnknown):
                await ask


async def test_what_is_not_set_up_is_not_offered() -> None:
    bare = new_stage(query_path="", refund_path="").connector
    for ask in (bare.query(order()), bare.refund(refund_order()), bare.receipt(order())):
        with pytest.raises(errors.NotOffered):
            await ask


async def test_a_check_asks_about_no_real_payment(stage: Stage) -> None:
    stage.answer_all(lambda: httpx.Response(200, json={"error": "5"}))
    assert all(it.ok for it in await stage.connector.check())
    assert REFERENCE not in stage.wire.requests[-1].content.decode()
    stage.answer_all(text("", 404))
    assert not all(it.ok for it in await stage.connector.check())
