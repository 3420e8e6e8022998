"""Connectors against the imitated intermediaries: two readings of the contract page that must agree."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from lienthong.connectors import registry, roles
from lienthong.core import clock, errors, money
from lienthong.sandbox import app as sandbox_app

SECTIONS: dict[str, dict[str, Any]] = {
    "vnpay": {"tmn_code": "LGSPDEMO", "hash_secret": "LGSPTESTSECRET0123456789ABCDEFGH"},
    "momo": {"partner_code": "LGSPDEMO", "access_key": "AKDEMO", "secret_key": "MOMOSECRET"},
    "dvcqg_payment": {"partner_code": "LGSPDEMO", "secret_key": "PP_TEST_SECRET_2026", "init_path": "/api"},
    "keypay": {
        "client_id": "LGSPDEMO", "request_key": "KPKEY1", "callback_key": "KPKEY2", "create_path": "/create",
        "query_path": "/query", "refund_path": "/refund",
    },
    "paygov": {
        "partner_code": "PAYGOV-DEMO", "access_key": "PGACCESS", "secret_key": "PGSECRET", "service_code": "DVC",
        "pay_path": "/pay", "receipt_path": "/receipt", "callback_check": "lgsp", "lgsp_token_path": "/token",
        "lgsp_access_key": "AK123", "lgsp_secret_key": "SK456", "lgsp_app_name": "LGSP-DEMO",
    },
    "vietqr": {"bank_bin": "970415", "account": "1234567890", "reference_key": "k" * 32},
    "my_vnpost": {
        "username": "demo-vnpost", "password": "demo-vnpost-password", "track_path": "/orders/{id}",
        "places_file": str(Path(__file__).with_name("vnpost_districts.csv")),
    },
    "ems": {
        "merchant_token": "demo-ems-token",
        "places_file": str(Path(__file__).with_name("vnpost_districts.csv")),
    },
    "vnpost_hcc": {
        "customer_key": "demoCustomerKey", "secret_key": "demoCustomerSecret", "customer_code": "H56HCC01",
        "place_numbers": "postal",
        "places_file": str(Path(__file__).with_name("vnpost_districts.csv")),
    },
}  # fmt: skip
REFERENCE = "H5614260115000101"


class Town:
    """A sandbox, one connector to it, and the callbacks that came."""

    def __init__(self, contract: str, **changed: Any) -> None:
        self.contract, self.came = contract, list[money.CallbackRequest]()
        at = f"http://hub/callbacks/{contract}/ipn"
        calls_back = contract not in ("vnpost_hcc", "my_vnpost", "vietqr")
        self.sandbox = sandbox_app.create_app(
            sandbox_app.Settings(
                callbacks={contract: at} if calls_back else {},
                callback_transport=httpx.MockTransport(self._take),
                callback_retry_s=0.0,
            )
        )
        transport = httpx.ASGITransport(app=self.sandbox)
        self.browser = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")
        self.connector: Any = registry.open_connector(
            contract,
            {"enabled": True, "base_url": f"http://127.0.0.1/{contract}", **SECTIONS[contract], **changed},
            agency_code="000.00.00.H56",
            on_exchange=None,
            clock=clock.now,
            transport=httpx.ASGITransport(app=self.sandbox),
        )

    async def believe(self, message: money.CallbackRequest) -> Any:
        """Read a callback as the flow would: whoever has to ask about it asks."""
        if isinstance(self.connector, roles.ParcelCaller):
            return self.connector.read_event(message)
        if isinstance(self.connector, roles.AskingPaymentProvider):
            return await self.connector.ask_callback(message)
        return self.connector.read_callback(message)

    async def _take(self, request: httpx.Request) -> httpx.Response:
        message = money.CallbackRequest(
            name=request.url.path.rpartition("/")[2],
            method=request.method,
            query=request.url.query.decode(),
            headers=dict(request.headers),
            body=request.content,
        )
        self.came.append(message)
        try:
            await self.believe(message)
        except errors.ProofRejected:
            reply = self.connector.reply(message, "forged")
        except errors.HubError:
            reply = self.connector.reply(message, "failed")
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
async def town(contract: str, **changed: Any) -> AsyncIterator[Town]:
    one = Town(contract, **changed)
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
            name="Nguyễn Văn An", citizen_id="001099000001", address="12 Lê Lợi", province="Thanh Hóa",
            address_of_device="203.0.113.10"
        ),
        "beneficiary": money.Beneficiary(
            unit_code="H56.14", unit_name="Sở Tư pháp", bank_code="VCB", account="0001", holder="So Tu phap"
        ),
        "lines": (money.OwedLine(kind="charge", code="LP01", name="Lệ phí", amount_vnd=150_000),),
        "return_url": "http://127.0.0.1:8081/payment/return", "callback_url": "http://hub/callbacks/momo/ipn",
        "created_at": now, "expires_at": now + timedelta(minutes=15),
    }  # fmt: skip
    return money.PaymentOrder.model_validate(given | changed)


ASKED = ("vnpay", "momo", "dvcqg_payment")
PAYERS = ("vnpay", "momo", "dvcqg_payment", "keypay", "paygov")


@pytest.mark.parametrize("contract", PAYERS)
async def test_a_payment_is_started_paid_and_believed(contract: str):
    async with town(contract) as one:
        asked = order()
        started = await one.connector.start(asked)
        page = await one.browser.get(started.pay_url)
        assert "150.000 đ" in page.text
        if contract in ASKED:
            assert (await one.connector.query(asked)).state == "pending"
        await one.choose(started.pay_url, "pay")
        [message] = one.came
        said = [await one.believe(message)]
        said += [await one.connector.query(asked)] if contract in ASKED else []
        for news in said:
            assert (news.state, news.amount_vnd, news.reference) == ("paid", 150_000, REFERENCE)
        held = await one.payment()
        assert [row["taken"] for row in held["callbacks"]] == [True]


@pytest.mark.parametrize("contract", [one for one in PAYERS if one not in ("keypay", "paygov")])
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
            await one.believe(one.came[0])
        await one.mood("good")
        await one.mood("callback_wrong_amount")
        await one.browser.post(f"/_sandbox/payments/{contract}/{REFERENCE}?choice=send")
        await one.sandbox.held.payments.courier.wait()
        believed = await one.believe(one.came[-1])
        # KeyPay is asked, so that what its callback says does not count.
        assert believed.amount_vnd == (150_000 if contract == "keypay" else 149_000)


async def test_keypay_that_fails_leaves_a_code_that_nobody_has_published():
    async with town("keypay") as one:
        started = await one.connector.start(order())
        await one.choose(started.pay_url, "fail")
        with pytest.raises(errors.UnmappedCode):
            await one.believe(one.came[0])


async def test_paygov_may_be_believed_by_its_recipe_too():
    recipe = ("@secret_key", "@access_key", "orderId", "requestCode", "amount", "transactionCode", "errorCode")
    chosen = {"callback_check": "recipe", "callback_recipe": recipe, "callback_separator": "|"}
    async with town("paygov", **chosen) as one:
        started = await one.connector.start(order())
        await one.choose(started.pay_url, "pay")
        assert (await one.believe(one.came[0])).state == "paid"
        await one.mood("callback_forged")
        await one.browser.post(f"/_sandbox/payments/paygov/{REFERENCE}?choice=send")
        await one.sandbox.held.payments.courier.wait()
        with pytest.raises(errors.ProofRejected):
            await one.believe(one.came[-1])


async def test_the_other_form_of_paygov_is_taken_too():
    chosen = {"variant": "plain", "beneficiary_code": "000.00.14.H56", "account_pay": "0001"}
    async with town("paygov", **chosen) as one:
        assert (await one.connector.start(order())).pay_url


async def test_paygov_prints_a_receipt_of_what_was_paid():
    async with town("paygov") as one:
        started = await one.connector.start(order())
        await one.choose(started.pay_url, "pay")
        news = await one.believe(one.came[0])
        known = {"provider_reference": news.provider_reference, "paid_at": clock.now()}
        assert (await one.connector.receipt(order().model_copy(update=known))).url.endswith(".pdf")
        with pytest.raises(errors.RemoteRefused):
            await one.connector.receipt(order().model_copy(update=known | {"provider_reference": "TXN1"}))


async def test_a_bank_reads_our_code_and_its_statement_tells_of_the_transfer():
    async with town("vietqr") as one:
        started = await one.connector.start(order(beneficiary=money.Beneficiary()))
        scan = "http://127.0.0.1/vietqr/scan"
        page = await one.browser.get(scan, params={"code": started.qr_text})
        assert "150.000 đ" in page.text
        assert started.provider_reference in page.text
        for choice in ("pay", "twice", "other_amount", "no_memo"):
            await one.browser.get(scan, params={"code": started.qr_text, "choice": choice})
        told = (await one.browser.get("/_sandbox/statement?system=vietqr")).text.splitlines()[1:]
        amounts = [(line.split(",")[0], int(line.split(",")[2])) for line in told]
        memo = started.provider_reference
        assert amounts == [(memo, 150_000)] * 3 + [(memo, 149_000), ("", 150_000)]
        lines = (await one.browser.get("/_sandbox/bank/statement")).text.splitlines()
        assert memo.upper() in lines[1]


@pytest.mark.parametrize("contract", ["vnpay", "momo", "keypay"])
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
            if number == "RF0000000001" and isinstance(one.connector, roles.RefundAsked):
                assert (await one.connector.query_refund(refund)).state == (
                    "done" if contract == "momo" else "pending"  # which VNPAY says until the bank has sent it
                )
        assert states[0] in ("accepted", "done")
        # KeyPay has no word of its own for what was given back already.
        assert states[1] in ("already", "pending", "refused")


async def test_the_platform_gives_a_receipt_either_way():
    async with town("dvcqg_payment") as one:
        asked = order()
        await one.choose((await one.connector.start(asked)).pay_url, "pay")
        paid = asked.model_copy(update={"paid_at": clock.now()})
        assert (await one.connector.receipt(paid)).content.startswith(b"%PDF")
        await one.mood("receipt_as_address")
        assert (await one.connector.receipt(paid)).url.endswith(f"/bills/{REFERENCE}.pdf")


def somebody(phone: str) -> money.PostalAddress:
    return money.PostalAddress(
        name="Nguyễn Văn An", phone=phone, address="12 Lê Lợi", province_code="01", old_province_code="01",
        old_district_code="001", commune_code="00004",
    )  # fmt: skip


def parcel_order(**changed: Any) -> money.ParcelOrder:
    given = {
        "number": "H56.14-260115-0001", "dossier_code": "H56.14-260115-0001", "direction": "deliver_result",
        "sender": somebody("0900000001"), "receiver": somebody("0900000002"), "waybill": "EH000000001VN",
    }  # fmt: skip
    return money.ParcelOrder.model_validate(given | changed)


async def test_a_parcel_is_booked_followed_and_cancelled():
    parcel = parcel_order()
    async with town("vnpost_hcc") as one:
        assert await one.connector.price(parcel) > 0
        assert (await one.connector.book(parcel)).duplicate is False
        page = await one.connector.follow(cursor="")
        assert [event.number for event in page.events] == ["H56.14-260115-0001"]
        again = await one.connector.follow(cursor=page.cursor)
        assert (again.events, again.is_last) == ((), True)
        await one.connector.cancel(parcel, carrier_reference="")


async def test_a_feed_with_a_row_that_cannot_be_read_tells_the_rest():
    async with town("vnpost_hcc") as one:
        await one.connector.book(parcel_order())
        await one.browser.post("/_sandbox/parcels/H56.14-260115-0001?code=4")
        await one.mood("feed_unread")
        page = await one.connector.follow(cursor="")
        assert len(page.unread) == 1
        assert [event.state for event in page.events] == ["unknown", "delivered"]
        await one.mood("good")
        assert (await one.connector.follow(cursor=page.cursor)).events == ()


async def test_my_vnpost_takes_an_order_tells_how_it_stands_and_cancels_it():
    async with town("my_vnpost") as one:
        assert await one.connector.price(parcel_order()) == 22_000
        booked = await one.connector.book(parcel_order(cod_vnd=30_000))
        assert (booked.waybill, booked.price_vnd, booked.duplicate) == ("EB000000001VN", 22_000, False)
        with pytest.raises(errors.OutcomeUnknown):
            await one.connector.book(parcel_order())
        number = booked.carrier_reference
        await one.browser.post("/_sandbox/parcels/H56.14-260115-0001?code=91&system=my_vnpost")
        assert [event.state for event in (await one.connector.track(number)).events] == [
            "accepted",
            "delivery_failed",
        ]
        with pytest.raises(errors.RemoteRefused):
            await one.connector.cancel(parcel_order(), carrier_reference=number)
        other = parcel_order(number="H56.14-260115-0002")
        await one.connector.cancel(other, carrier_reference=(await one.connector.book(other)).carrier_reference)


async def test_ems_takes_an_order_and_calls_with_its_events():
    async with town("ems") as one:
        assert await one.connector.price(parcel_order()) == 24_000
        booked = await one.connector.book(parcel_order(cod_vnd=30_000))
        again = await one.connector.book(parcel_order(cod_vnd=30_000))
        assert (booked.duplicate, again.duplicate, again.waybill) == (False, True, booked.waybill)
        await one.mood("callback_twice")
        for code in (4, 77):
            await one.browser.post(f"/_sandbox/parcels/H56.14-260115-0001?code={code}&system=ems")
        await one.sandbox.held.payments.courier.wait()
        events = [await one.believe(message) for message in one.came]
        states = [event.state for event in sorted(events, key=lambda event: event.carrier_code)]
        assert states == ["created", *["in_transit"] * 2, *["unknown"] * 2]
        assert len({event.event_id for event in events}) == 3
        told = (await one.browser.get("/_sandbox/parcels?system=ems")).json()["items"][0]["callbacks"]
        assert [row["taken"] for row in told] == [True] * 5
        tracked = (await one.connector.track(booked.waybill)).events
        assert {event.event_id for event in tracked} == {event.event_id for event in events}


async def test_a_forged_call_of_ems_comes_to_another_path():
    async with town("ems") as one:
        await one.connector.book(parcel_order())
        await one.mood("callback_forged")
        await one.browser.post("/_sandbox/parcels/H56.14-260115-0001?code=4&system=ems")
        await one.sandbox.held.payments.courier.wait()
        assert [message.name for message in one.came] == ["ipn", "somebody-who-guesses"]
