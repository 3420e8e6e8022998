"""A fee is paid through the true VNPAY connector, at the gateway's own doors; on both databases."""

from __future__ import annotations

import urllib.parse
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import builders
import doors
import httpx
import payment_town
import pytest
from payment_town import CODE, FEE

from lienthong.bus import hub as hubs
from lienthong.bus.flows import dossier_status, payment
from lienthong.connectors.vnpay import auth
from lienthong.core import money, settings

SECRET = "LGSPTESTSECRET0123456789ABCDEFGH"
ACCOUNT = {
    "tmn_code": "LGSPDEMO",
    "hash_secret": SECRET,
    "pay_url": "https://pay.example.vn/paymentv2/vpcpay.html",
    "api_url": "https://pay.example.vn/merchant_webapi/api/transaction",
    "return_url": "https://mot-cua.example.vn/thanh-toan",
    "enabled": True,
}


@dataclass
class Desk:
    """A hub with VNPAY, and a caller at its door."""

    hub: hubs.Hub
    door: httpx.AsyncClient

    async def begin(self) -> dict[str, str]:
        body = {"dossier_code": CODE, "payer": {"name": "Nguyễn Văn Mẫu"}}
        answer = await self.door.post("/v1/payments", json=body)
        assert answer.status_code == 201, answer.text
        told: dict[str, str] = answer.json()
        return told

    async def call_back(self, reference: str, *, secret: str = SECRET, **changed: str) -> str:
        fields = {
            "vnp_Amount": str(FEE * 100),
            "vnp_BankCode": "NCB",
            "vnp_PayDate": "20260115093412",
            "vnp_ResponseCode": "00",
            "vnp_TmnCode": "LGSPDEMO",
            "vnp_TransactionNo": "14012345",
            "vnp_TransactionStatus": "00",
            "vnp_TxnRef": reference,
            **changed,
        }
        text = auth.form(fields)
        request = money.CallbackRequest(
            name="ipn",
            method="GET",
            query=f"{text}&vnp_SecureHash={auth.sign(text, secret)}",
            headers={},
            body=b"",
        )
        return (await payment.callback(self.hub, "vnpay", request)).body.decode()


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    sections = {
        "systems": {**builders.NOBODY, "vnpay": ACCOUNT},
        "agency": settings.Agency(code=payment_town.AGENCY),
    }
    async with builders.running_hub(tmp_path, database_url=database_url, **sections) as hub:
        dossier = payment_town.dossier()
        await builders.seed_procedure(hub, code=dossier.procedure_code)
        issued = await builders.issue_key(hub)
        async with doors.client(hub, key=issued.key) as door:
            await dossier_status.put(hub, dossier, caller=payment_town.caller(), request_id="r")
            yield Desk(hub, door)


async def test_the_address_is_signed_and_the_callback_is_answered_in_vnpays_words(desk: Desk) -> None:
    told = await desk.begin()
    sent = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(told["pay_url"]).query))
    assert (sent["vnp_TxnRef"], sent["vnp_Amount"]) == (told["reference"], str(FEE * 100))
    reference = told["reference"]
    assert '"97"' in await desk.call_back(reference, secret="somebody else's secret")
    assert '"01"' in await desk.call_back("LT0000000000000NONE")
    assert '"00"' in await desk.call_back(reference)
    assert '"02"' in await desk.call_back(reference)
    seen = (await desk.door.get(f"/v1/payments/{told['id']}")).json()
    assert (seen["state"], seen["provider_reference"], seen["settled_by"]) == ("paid", "14012345", "callback")


async def test_another_amount_is_told_so(desk: Desk) -> None:
    told = await desk.begin()
    assert '"04"' in await desk.call_back(told["reference"], vnp_Amount="100")
    assert (await desk.door.get(f"/v1/payments/{told['id']}")).json()["state"] == "needs_person"


async def test_vnpay_issues_no_receipt_and_that_is_said(desk: Desk) -> None:
    told = await desk.begin()
    assert (await desk.door.get(f"/v1/payments/{told['id']}/receipt")).status_code == 404
    await desk.call_back(told["reference"])
    assert (await desk.door.get(f"/v1/payments/{told['id']}/receipt")).status_code == 501
