"""VNPAY asked how a refund stands: only a signed answer about that very refund ends it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from payment_stage import REFERENCE, Stage, refund

from lienthong.connectors import roles
from lienthong.connectors.vnpay import auth, wire
from lienthong.core import errors

SECRET = "LGSPTESTSECRET0123456789ABCDEFGH"
ANSWER = {
    "vnp_ResponseId": "RES0001",
    "vnp_Command": "querydr",
    "vnp_ResponseCode": "00",
    "vnp_Message": "QueryDR Success",
    "vnp_TmnCode": "LGSPDEMO",
    "vnp_TxnRef": REFERENCE,
    "vnp_Amount": "15000000",
    "vnp_BankCode": "NCB",
    "vnp_PayDate": "20260115110412",
    "vnp_TransactionNo": "14019999",
    "vnp_TransactionType": "02",
    "vnp_TransactionStatus": "00",
    "vnp_OrderInfo": "Hoan tien ho so",
}


@pytest.fixture
def stage() -> Stage:
    return Stage(
        "vnpay",
        tmn_code="LGSPDEMO",
        hash_secret=SECRET,
        pay_url="https://pay.example.vn/paymentv2/vpcpay.html",
        api_url="https://pay.example.vn/merchant_webapi/api/transaction",
    )


def answered(*, signed: bool = True, **changed: str) -> Any:
    body = {**ANSWER, **changed}
    values = (body.get(wire.NAMES[word], "") for word in wire._SIGNED["querydr"][1])
    if signed:
        body["vnp_SecureHash"] = auth.sign_values(values, SECRET)
    return lambda request: httpx.Response(200, json=body)


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({}, "done"),
        ({"vnp_TransactionStatus": "05"}, "pending"),
        ({"vnp_TransactionStatus": "06"}, "pending"),
        ({"vnp_TransactionStatus": "09"}, "refused"),
        ({"vnp_TransactionType": "01"}, "pending"),
        ({"vnp_TransactionType": "03"}, "pending"),
        ({"vnp_Amount": "14999900"}, "pending"),
        ({"vnp_TransactionNo": "14010000"}, "pending"),
        ({"vnp_TxnRef": "H5614260115000102"}, "pending"),
    ],
)
async def test_only_an_answer_about_this_refund_ends_it(stage: Stage, changed: dict[str, str], state: str) -> None:
    stage.answers = answered(**changed)
    assert (await stage.connector.query_refund(refund(refund_reference="14019999"))).state == state
    sent = stage.body()
    assert (sent["vnp_Command"], sent["vnp_TxnRef"], sent["vnp_TransactionDate"]) == (
        "querydr",
        REFERENCE,
        "20260115093000",
    )


async def test_a_refund_without_a_number_is_known_by_its_amount_and_kind(stage: Stage) -> None:
    stage.answers = answered(vnp_TransactionType="03", vnp_Amount="100000")
    part = refund(is_whole=False, amount_vnd=1_000)
    assert (await stage.connector.query_refund(part)).state == "done"


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        (answered(signed=False), errors.RemoteGarbled),
        (answered(vnp_ResponseCode="94"), errors.RemoteBusy),
        (answered(vnp_ResponseCode="91"), errors.RemoteRefused),
        (lambda request: httpx.Response(200, json={**ANSWER, "vnp_SecureHash": "0" * 128}), errors.RemoteGarbled),
    ],
)
async def test_what_nobody_signed_ends_nothing(stage: Stage, answers: Any, error: type[Exception]) -> None:
    stage.answers = answers
    with pytest.raises(error):
        await stage.connector.query_refund(refund())


def test_the_watch_knows_that_vnpay_can_be_asked(stage: Stage) -> None:
    assert isinstance(stage.connector, roles.RefundAsked)
