"""Every intermediary that can be imitated, from the start to the money: hub, connector and sandbox together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import builders
import doors
import httpx
import payment_town
import pytest
from payment_town import CODE, FEE

from lienthong.bus import hub as hubs
from lienthong.bus.flows import dossier_status, payment_watch
from lienthong.core import settings
from lienthong.sandbox import app as sandbox_app

BASE = "http://127.0.0.1"
ACCOUNTS: dict[str, dict[str, Any]] = {
    "vnpay": {
        "tmn_code": "LGSPDEMO", "hash_secret": "LGSPTESTSECRET0123456789ABCDEFGH",
        "return_url": "http://127.0.0.1:8081/xong",
    },
    "momo": {"partner_code": "LGSPDEMO", "access_key": "AKDEMO", "secret_key": "MOMOSECRET"},
    "dvcqg_payment": {
        "partner_code": "LGSPDEMO", "secret_key": "PP_TEST_SECRET_2026", "init_path": "/api",
        "unit_code": "H38.15", "unit_name": "Sở Tư pháp", "account": "0001",
        "account_bank": "VCB", "account_holder": "So Tu phap",
        "callback_addresses": "192.0.2.0/24",
    },
    "keypay": {
        "client_id": "LGSPDEMO", "request_key": "KPKEY1", "callback_key": "KPKEY2", "create_path": "/create",
        "query_path": "/query",
    },
    "paygov": {
        "partner_code": "PAYGOV-DEMO", "access_key": "PGACCESS", "secret_key": "PGSECRET", "service_code": "DVC",
        "pay_path": "/pay", "receipt_path": "/receipt", "callback_check": "lgsp", "lgsp_token_path": "/token",
        "lgsp_access_key": "AK123", "lgsp_secret_key": "SK456", "lgsp_app_name": "LGSP-DEMO",
    },
}  # fmt: skip
CALLED_AT = {"vnpay": "ipn", "momo": "ipn", "dvcqg_payment": "dpnhankqthanhtoanhs", "keypay": "result",
             "paygov": "result"}  # fmt: skip
LOOK_UP = "/callbacks/dvcqg_payment/dptracuuthanhtoanhs"
# KeyPay's receipt wants whose account it is, and whoever pays gives it.
BENEFICIARY = {"unit_code": "H38.15", "unit_name": "Sở Tư pháp", "bank_code": "VCB", "account": "0001",
               "holder": "So Tu phap"}  # fmt: skip
PAYER = {"name": "Nguyễn Văn Mẫu", "citizen_id": "001099000001", "address": "1 Phố Thử", "province": "Tỉnh Thử",
         "address_of_device": "203.0.113.10"}  # fmt: skip


@dataclass
class Street:
    """A hub, one real connector, the sandbox behind it, and what the sandbox called."""

    contract: str
    hub: hubs.Hub
    sandbox: sandbox_app.Sandbox
    browser: httpx.AsyncClient
    door: httpx.AsyncClient
    called: list[str] = field(default_factory=list)

    async def begin(self, **changed: Any) -> dict[str, Any]:
        body = {"dossier_code": CODE, "payer": PAYER, "provider": self.contract, "beneficiary": BENEFICIARY}
        answer = await self.door.post("/v1/payments", json={**body, **changed})
        assert answer.status_code == 201, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def choose(self, url: str, choice: str) -> None:
        answer = await self.browser.get(url, params=dict(httpx.URL(url).params) | {"choice": choice})
        assert answer.status_code in (200, 302), answer.text
        await self.sandbox.held.payments.courier.wait()

    async def mood(self, name: str) -> None:
        await self.browser.put("/_sandbox/mood", json={"name": name, "system": self.contract})

    async def seen(self, told: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = (await self.door.get(f"/v1/payments/{told['id']}")).json()
        return found

    async def book(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.browser.get(f"/_sandbox/book?system={self.contract}")).json()
        return found[self.contract]

    async def look_up(self, dossier: str) -> dict[str, Any]:
        answer = await self.browser.post("/_sandbox/bill-lookup", params={"dossier": dossier})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@asynccontextmanager
async def street(
    home: Path, contract: str, *, database_url: str = "", now: list[Any] | None = None, **changed: Any
) -> AsyncIterator[Street]:
    """Open all of them; the sandbox's callbacks go through the hub's own door."""
    held: list[Street] = []

    async def at_the_door(request: httpx.Request) -> httpx.Response:
        held[0].called.append(request.url.path)
        answer = await held[0].door.request(
            request.method, request.url.raw_path.decode(), content=request.content,
            headers={name: value for name, value in request.headers.items() if name.startswith("content-type")},
        )  # fmt: skip
        return httpx.Response(answer.status_code, content=answer.content)

    sandbox = sandbox_app.create_app(
        sandbox_app.Settings(
            callbacks={contract: f"http://hub/callbacks/{contract}/{CALLED_AT[contract]}"},
            callback_transport=httpx.MockTransport(at_the_door),
            callback_retry_s=0.0,
        )
    )
    section = {"enabled": True, "base_url": f"{BASE}/{contract}", **ACCOUNTS[contract], **changed}
    if contract == "vnpay":
        section |= {
            "pay_url": f"{BASE}/vnpay/paymentv2/vpcpay.html",
            "api_url": f"{BASE}/vnpay/merchant_webapi/api/transaction",
        }
    chosen: dict[str, Any] = {
        "systems": {**builders.NOBODY, contract: section},
        "agency": settings.Agency(code=payment_town.AGENCY),
        "proof": {"public_url": "http://hub"},
        "payments": {"return_url": "http://127.0.0.1:8081/xong"},
    }
    if now is not None:
        chosen["now"] = lambda: now[0]
    asgi, wires = httpx.ASGITransport(app=sandbox), {contract: httpx.ASGITransport(app=sandbox)}
    async with builders.running_hub(home, database_url=database_url, transports=wires, **chosen) as hub:
        dossier = payment_town.dossier()
        await builders.seed_procedure(hub, code=dossier.procedure_code)
        issued = await builders.issue_key(hub)
        async with (
            doors.client(hub, key=issued.key) as door,
            httpx.AsyncClient(transport=asgi, base_url=BASE) as browser,
        ):
            await dossier_status.put(hub, dossier, caller=payment_town.caller(), request_id="r")
            one = Street(contract, hub, sandbox, browser, door)
            held.append(one)
            yield one
            await sandbox.held.payments.courier.close()


@pytest.mark.parametrize("contract", sorted(ACCOUNTS))
async def test_a_payment_is_started_paid_on_the_page_and_settled(
    tmp_path: Path, database_url: str, contract: str
) -> None:
    async with street(tmp_path, contract, database_url=database_url) as one:
        told = await one.begin()
        await one.choose(told["pay_url"], "pay")
        assert one.called == [f"/callbacks/{contract}/{CALLED_AT[contract]}"]
        seen = await one.seen(told)
        assert (seen["state"], seen["amount_vnd"]) == ("paid", FEE)
        assert await one.book() == {"paid": {"count": 1, "amount_vnd": FEE}}
        (sent,) = (await one.browser.get("/_sandbox/payments")).json()["items"]
        assert [row["taken"] for row in sent["callbacks"]] == [True]
        statement = (await one.browser.get(f"/_sandbox/statement?system={contract}")).text.splitlines()
        assert statement[1].startswith(f"{told['reference']},{seen['provider_reference']},{FEE},")


@pytest.mark.parametrize("contract", sorted(ACCOUNTS))
async def test_a_forged_word_moves_nothing_and_a_doubled_one_counts_once(tmp_path: Path, contract: str) -> None:
    async with street(tmp_path, contract) as one:
        told = await one.begin()
        await one.mood("callback_forged")
        await one.choose(told["pay_url"], "pay")
        assert (await one.seen(told))["state"] == "pending"
        await one.mood("good")
        await one.mood("callback_twice")
        await one.browser.post(f"/_sandbox/payments/{contract}/{told['reference']}?choice=send")
        await one.sandbox.held.payments.courier.wait()
        assert (await one.seen(told))["state"] == "paid"


# VNPAY's page looks at the clock, which this story moves; PayGov has no call that asks.
@pytest.mark.parametrize("contract", ["dvcqg_payment", "keypay", "momo"])
async def test_a_word_that_never_came_is_asked_for(tmp_path: Path, contract: str) -> None:
    moments = [payment_town.NOW]
    async with street(tmp_path, contract, now=moments) as one:
        told = await one.begin()
        await one.mood("callback_lost")
        await one.choose(told["pay_url"], "pay")
        moments[0] += payment_town.timedelta(minutes=16)
        await payment_watch.run(one.hub)
        seen = await one.seen(told)
        assert (seen["state"], seen["settled_by"]) == ("paid", "query")


async def test_the_platform_refused_a_payment_that_named_neither_procedure_nor_lines(tmp_path: Path) -> None:
    async with street(tmp_path, "dvcqg_payment") as one:
        told = await one.begin(obligation="khac", amount_vnd=20_000)
        asked = one.sandbox.held.payments.book.items()[0].asked["ThongTinBienLai"]
        assert asked["TenTTHC"]
        assert [line["SoTien"] for line in asked["PhiLePhi"]] == ["20000"]
        assert told["amount_vnd"] == 20_000


async def test_momo_is_told_where_the_hub_listens(tmp_path: Path) -> None:
    async with street(tmp_path, "momo") as one:
        await one.begin()
        assert one.sandbox.held.payments.book.items()[0].asked["ipnUrl"] == "http://hub/callbacks/momo/ipn"


# ---------------------------------------------------------------------------------------------- bill lookup


async def test_the_portal_asks_what_a_dossier_owes_and_its_result_is_believed(
    tmp_path: Path, database_url: str
) -> None:
    async with street(tmp_path, "dvcqg_payment", database_url=database_url) as one:
        told = await one.look_up(CODE)
        assert (told["answer"]["error_code"], told["problem"]) == (1, "")
        bill = told["answer"]["message"]
        assert [line["SoTien"] for line in bill["PhiLePhi"]] == [str(FEE)]
        assert (await one.look_up(CODE))["answer"]["message"]["transaction_id"] == bill["transaction_id"]
        assert (await one.look_up("000.00.00.H38-000000-0000"))["answer"] == {"error_code": -1, "message": []}
        started = await one.begin()
        assert started["reference"] != bill["transaction_id"]
        await one.choose(started["pay_url"], "pay")
        assert (await one.look_up(CODE))["answer"] == {"error_code": 0, "message": []}
        rows = await doors.journal(one.hub)
        assert [row.rule for row in rows if row.route.startswith("/callbacks/")] == [
            "recorded", "recorded", "unknown_reference", "recorded", "already"
        ]  # fmt: skip


async def test_what_is_paid_by_a_bill_that_was_looked_up_is_settled(tmp_path: Path) -> None:
    async with street(tmp_path, "dvcqg_payment") as one:
        answer = await one.browser.post("/_sandbox/bill-lookup", params={"dossier": CODE, "pay": "true"})
        await one.sandbox.held.payments.courier.wait()
        assert answer.json()["paid"]["amount_vnd"] == FEE
        assert (await one.look_up(CODE))["answer"] == {"error_code": 0, "message": []}
        assert await one.book() == {"paid": {"count": 1, "amount_vnd": FEE}}


async def test_many_questions_at_once_make_one_attempt(tmp_path: Path, database_url: str) -> None:
    async with street(tmp_path, "dvcqg_payment", database_url=database_url) as one:
        answers = await asyncio.gather(*(one.look_up(CODE) for _ in range(20)))
        assert len({told["answer"]["message"]["transaction_id"] for told in answers}) == 1


async def test_without_a_list_of_addresses_nobody_is_told_what_a_dossier_owes(tmp_path: Path) -> None:
    async with street(tmp_path, "dvcqg_payment", callback_addresses="") as one:
        assert (await one.look_up(CODE))["answer"] == {"error_code": -1, "message": []}


async def test_an_address_that_is_not_on_the_list_is_told_nothing(tmp_path: Path) -> None:
    async with street(tmp_path, "dvcqg_payment", callback_addresses="198.51.100.1") as one:
        assert (await one.look_up(CODE))["answer"] == {"error_code": -1, "message": []}


@pytest.mark.parametrize("body", [b"", b"{", b'{"MaHoSo":7.5}', b'{"MaHoSo":""}', b"[]", b"\xff" * 9])
async def test_a_question_that_names_no_dossier_is_answered_too(tmp_path: Path, body: bytes) -> None:
    async with street(tmp_path, "dvcqg_payment") as one:
        answer = await one.door.post(LOOK_UP, content=body)
        assert (answer.status_code, answer.json()) == (200, {"error_code": -1, "message": []})
