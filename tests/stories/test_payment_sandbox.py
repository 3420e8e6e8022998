"""Connectors against the imitated intermediaries: two readings of the contract page that must agree."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from lienthong.connectors import registry
from lienthong.core import clock, errors, money
from lienthong.sandbox import app as sandbox_app

SECTIONS: dict[str, dict[str, Any]] = {
    "vnpay": {"tmn_code": "LGSPDEMO", "hash_secret": "LGSPTESTSECRET0123456789ABCDEFGH"},
    "momo": {"partner_code": "LGSPDEMO", "access_key": "AKDEMO", "secret_key": "MOMOSECRET"},
    "dvcqg_payment": {"partner_code": "LGSPDEMO", "secret_key": "PP_TEST_SECRET_2026", "init_path": "/api"},
    "vnpost_hcc": {
        "customer_key": "demoCustomerKey", "secret_key": "demoCustomerSecret", "customer_code": "H56HCC01",
        "place_numbers": "postal",
        "places_file": str(Path(__file__).with_name("vnpost_districts.csv")),
    },
}  # fmt: skip
REFERENCE = "H5614260115000101"


class Town:
    """A sandbox, one connector to it, and the callbacks that came."""

    def __init__(self, contract: str) -> None:
        self.contract, self.came = contract, list[money.CallbackRequest]()
        at = f"http://hub/callbacks/{contract}/ipn"
        self.sandbox = sandbox_app.create_app(
            sandbox_app.Settings(
                callbacks={contract: at} if contract != "vnpost_hcc" else {},
                callback_transport=httpx.MockTransport(self._take),
                callback_retry_s=0.0,
            )
        )
        transport = httpx.ASGITransport(app=self.sandbox)
        self.browser = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")
        self.connector: Any = registry.open_connector(
            contract,
            {"enabled": True, "base_url": f"http://127.0.0.1/{contract}", **SECTIONS[contract]},
            agency_code="000.00.00.H56",
            on_exchange=None,
            clock=clock.now,
            transport=httpx.ASGITransport(app=self.sandbox),
        )

    def _take(self, request: httpx.Request) -> httpx.Response:
        message = money.CallbackRequest(
            name=request.url.path.rpartition("/")[2],
            method=request.method,
            query=request.url.query.decode(),
            headers=dict(request.headers),
            body=request.content,
        )
        self.came.append(message)
        try:
            self.connector.read_callback(message)
        except errors.ProofRejected:
            reply = self.connector.reply(message, "forged")
        else:
            reply = self.connector.reply(message, "recorded")
        return httpx.Response(reply.status, content=reply.body)

    async def choose(self, url: str, choice: str) -> None:
        await self.browser.get(url, params=dict(httpx.URL(url).params) | {"choice": choice})
        await self.sandbox.held.payments.courier.wait()

    async def mood(self, name: str) -> None:
        await self.browser.put("/_sandbox/mood", json={"name": name, "system": self.contract})

    async def payment(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.browser.get("/_sandbox/payments")).json()["items"][0]
        return found


@asynccontextmanager
async def town(contract: str) -> AsyncIterator[Town]:
    one = Town(contract)
    yield one
    await one.connector.close()
    await one.browser.aclose()


def order(**changed: Any) -> money.PaymentOrder:
    now = clock.now()
    given = {
        "reference": REFERENCE, "amount_vnd": 150_000, "dossier_code": "H56.14-260115-0001",
        "procedure_code": "1.001193", "procedure_name": "Đăng ký khai sinh",
        "description": "Thanh toán hồ sơ H56.14-260115-0001",
        "payer": money.Payer(
            name="Nguyễn Văn An", citizen_id="001099000001", address="12 Lê Lợi", address_of_device="203.0.113.10"
        ),
        "beneficiary": money.Beneficiary(
            unit_code="H56.14", unit_name="Sở Tư pháp", bank_code="VCB", account="0001", holder="So Tu phap"
        ),
        "lines": (money.OwedLine(kind="charge", code="LP01", name="Lệ phí", amount_vnd=150_000),),
        "return_url": "http://127.0.0.1:8081/payment/return", "callback_url": "http://hub/callbacks/momo/ipn",
        "created_at": now, "expires_at": now + timedelta(minutes=15),
    }  # fmt: skip
    return money.PaymentOrder.model_validate(given | changed)


PAYERS = ("vnpay", "momo", "dvcqg_payment")


@pytest.mark.parametrize("contract", PAYERS)
async def test_a_payment_is_started_paid_and_believed(contract: str):
    async with town(contract) as one:
        asked = order()
        started = await one.connector.start(asked)
        page = await one.browser.get(started.pay_url)
        assert "150.000 đ" in page.text
        assert (await one.connector.query(asked)).state == "pending"
        await one.choose(started.pay_url, "pay")
        [message] = one.came
        for news in (one.connector.read_callback(message), await one.connector.query(asked)):
            assert (news.state, news.amount_vnd, news.reference) == ("paid", 150_000, REFERENCE)
        held = await one.payment()
        assert [row["taken"] for row in held["callbacks"]] == [True]


@pytest.mark.parametrize("contract", PAYERS)
async def test_a_payment_that_fails_is_told_as_failed(contract: str):
    async with town(contract) as one:
        started = await one.connector.start(order())
        await one.choose(started.pay_url, "fail")
        assert one.connector.read_callback(one.came[0]).state == "failed"


@pytest.mark.parametrize("contract", PAYERS)
async def test_a_forged_callback_is_not_believed_and_another_amount_is_seen(contract: str):
    async with town(contract) as one:
        started = await one.connector.start(order())
        await one.mood("callback_forged")
        await one.choose(started.pay_url, "pay")
        with pytest.raises(errors.ProofRejected):
            one.connector.read_callback(one.came[0])
        await one.mood("good")
        await one.mood("callback_wrong_amount")
        await one.browser.post(f"/_sandbox/payments/{contract}/{REFERENCE}?choice=send")
        await one.sandbox.held.payments.courier.wait()
        assert one.connector.read_callback(one.came[-1]).amount_vnd == 149_000


@pytest.mark.parametrize("contract", ["vnpay", "momo"])
async def test_money_is_given_back_and_not_twice(contract: str):
    async with town(contract) as one:
        asked = order()
        await one.choose((await one.connector.start(asked)).pay_url, "pay")
        news = await one.connector.query(asked)
        states = []
        for number in ("RF0000000001", "RF0000000002"):
            refund = money.RefundOrder(
                request_number=number, reference=REFERENCE, provider_reference=news.provider_reference,
                amount_vnd=150_000, is_whole=True, reason="Hoàn tiền", paid_at=clock.now(),
                started_at=asked.created_at, created_at=clock.now(), created_by="ketoan01",
            )  # fmt: skip
            states.append((await one.connector.refund(refund)).state)
        assert states[0] in ("accepted", "done")
        assert states[1] in ("already", "pending")


async def test_the_platform_gives_a_receipt_either_way():
    async with town("dvcqg_payment") as one:
        asked = order()
        await one.choose((await one.connector.start(asked)).pay_url, "pay")
        paid = asked.model_copy(update={"paid_at": clock.now()})
        assert (await one.connector.receipt(paid)).content.startswith(b"%PDF")
        await one.mood("receipt_as_address")
        assert (await one.connector.receipt(paid)).url.endswith(f"/bills/{REFERENCE}.pdf")


async def test_a_parcel_is_booked_followed_and_cancelled():
    def somebody(phone: str) -> money.PostalAddress:
        return money.PostalAddress(
            name="Nguyễn Văn An", phone=phone, address="12 Lê Lợi", province_code="01", old_province_code="01",
            old_district_code="001", commune_code="00004",
        )  # fmt: skip

    parcel = money.ParcelOrder(
        number="H56.14-260115-0001", dossier_code="H56.14-260115-0001", direction="deliver_result",
        sender=somebody("0900000001"), receiver=somebody("0900000002"), waybill="EH000000001VN",
    )  # fmt: skip
    async with town("vnpost_hcc") as one:
        assert await one.connector.price(parcel) > 0
        assert (await one.connector.book(parcel)).duplicate is False
        page = await one.connector.follow(cursor="")
        assert [event.number for event in page.events] == ["H56.14-260115-0001"]
        again = await one.connector.follow(cursor=page.cursor)
        assert (again.events, again.is_last) == ((), True)
        await one.connector.cancel(parcel, carrier_reference="")
