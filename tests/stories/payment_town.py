"""What stories of payments share: an intermediary that signs, a dossier that owes, a clock that can be moved."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import builders
import orjson
import sqlalchemy as sa

from lienthong.api_keys import keys
from lienthong.bus import hub as hubs
from lienthong.bus.flows import dossier_status, payment, payment_views
from lienthong.core import clock, errors, money, records, settings, settings_payments, storage, tables

CODE = "000.00.00.H38-260115-0001"
AGENCY = "000.00.00.H38"
FEE = 150_000
NOW = datetime(2026, 1, 15, 9, 0, tzinfo=clock.VIETNAM)
ORGANISATION = "Sở Tư pháp"
_KEY = b"a secret that only the intermediary and the hub know"


def caller(organisation: str = ORGANISATION) -> keys.Caller:
    return keys.Caller(
        key_id=f"key of {organisation}"[:36],
        prefix="lt_test_x",
        organisation=organisation,
        system="s",
        grants=frozenset({"dossiers.*", "payments.*"}),
        environment="test",
    )


@dataclass
class Intermediary:
    """Carries payments: signs what it says, answers when it likes, and counts what it was asked."""

    name: str = "vnpay"
    callback_name: str = "ipn"
    orders: list[money.PaymentOrder] = field(default_factory=list)
    refunds: list[money.RefundOrder] = field(default_factory=list)
    asked: int = 0
    receipts: int = 0
    # What it does next: an error to raise, or what it says.
    starts: errors.HubError | None = None
    says: money.PaymentNews | errors.HubError | None = None
    gives_back: money.RefundNews | errors.HubError = field(
        default_factory=lambda: money.RefundNews(state="done", provider_reference="R1")
    )
    prints: money.ReceiptFile | errors.HubError = field(
        default_factory=lambda: money.ReceiptFile(content=b"%PDF-1.4 receipt")
    )

    async def start(self, order: money.PaymentOrder) -> money.PaymentStarted:
        self.orders.append(order)
        if self.starts is not None:
            raise self.starts
        return money.PaymentStarted(pay_url=f"https://pay.example.vn/{order.reference}")

    def read_callback(self, request: money.CallbackRequest) -> money.PaymentNews:
        signature = hmac.new(_KEY, request.body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(request.headers.get("x-signature", "").encode(), signature.encode()):
            raise errors.ProofRejected(reason="wrong signature")
        try:
            return money.PaymentNews.model_validate_json(request.body)
        except ValueError:
            raise errors.RemoteGarbled(system=self.name, reason="no news") from None

    def reply(self, request: money.CallbackRequest, outcome: money.CallbackOutcome) -> money.CallbackReply:
        return money.CallbackReply(200, outcome.encode(), "text/plain")

    async def query(self, order: money.PaymentOrder) -> money.PaymentNews:
        self.asked += 1
        if isinstance(self.says, errors.HubError):
            raise self.says
        return self.says or self.news(order.reference, state="pending", amount_vnd=None)

    async def refund(self, order: money.RefundOrder) -> money.RefundNews:
        self.refunds.append(order)
        if isinstance(self.gives_back, errors.HubError):
            raise self.gives_back
        return self.gives_back

    async def receipt(self, order: money.PaymentOrder) -> money.ReceiptFile:
        self.receipts += 1
        if isinstance(self.prints, errors.HubError):
            raise self.prints
        return self.prints

    async def check(self) -> list[records.CheckResult]:
        return []

    async def close(self) -> None:
        return None

    def news(self, reference: str, **changed: Any) -> money.PaymentNews:
        given = {
            "reference": reference,
            "amount_vnd": FEE,
            "partner": "LGSP",
            "state": "paid",
            "provider_reference": f"N{reference[-6:]}",
            **changed,
        }
        return money.PaymentNews.model_validate(given)


def signed(news: money.PaymentNews, *, signature: str | None = None) -> money.CallbackRequest:
    """A callback as the intermediary sends it; `signature`: as somebody else does."""
    body = news.model_dump_json().encode()
    right = hmac.new(_KEY, body, hashlib.sha256).hexdigest()
    headers = {"content-type": "application/json", "x-signature": signature or right}
    return money.CallbackRequest(name="ipn", method="POST", query="", headers=headers, body=body)


@dataclass
class Town:
    """A hub, two intermediaries, and one dossier that owes a fee."""

    hub: hubs.Hub
    bank: Intermediary
    other: Intermediary
    clock: list[datetime]

    def wait(self, **passed: float) -> None:
        self.clock[0] += timedelta(**passed)

    async def start(self, **changed: Any) -> payment_views.PaymentView:
        given = {"dossier_code": CODE, "payer": {"name": "Nguyễn Văn Mẫu"}, **changed}
        request = payment_views.PaymentRequest.model_validate(given)
        return await payment.start(self.hub, request, caller=caller(), request_id="r")

    async def hear(self, view: payment_views.PaymentView, **changed: Any) -> str:
        """Let the intermediary of an attempt call back; gives what it was answered."""
        bank = self.bank if view.provider == self.bank.name else self.other
        reply = await payment.callback(self.hub, bank.name, signed(bank.news(view.reference, **changed)))
        return reply.body.decode()

    async def state(self, view: payment_views.PaymentView) -> str:
        return str((await payment.get(self.hub, view.id, caller=caller())).state)

    async def rows(self, table: sa.Table) -> list[dict[str, Any]]:
        async with self.hub.storage.reading() as conn:
            return await storage.every(conn, sa.select(table))

    async def questions(self) -> list[str]:
        return sorted(row["kind"] for row in await self.rows(tables.payment_questions))

    async def events(self, kind: str) -> list[dict[str, Any]]:
        return [row for row in await self.rows(tables.events) if row["kind"] == kind]

    async def dossier(self) -> records.Dossier:
        (row,) = await self.rows(tables.dossiers)
        opened = self.hub.vault.open(row["record"], purpose="dossier")
        return records.Dossier.model_validate(orjson.loads(opened))


def dossier(**changed: Any) -> records.Dossier:
    times = {"submitted_at": NOW - timedelta(hours=1), "due_at": NOW + timedelta(days=2), "received_at": NOW}
    fees = [{"name": "Lệ phí", "amount_vnd": FEE}]
    given = {"code": CODE, "fees": fees, **{name: at.isoformat() for name, at in times.items()}, **changed}
    return records.Dossier.model_validate(builders.dossier_body(**given))


@asynccontextmanager
async def opened(home: Path, database_url: str = "", **chosen: Any) -> AsyncIterator[Town]:
    """Open a town with one dossier declared."""
    moments = [NOW]
    sections: dict[str, Any] = {
        "agency": settings.Agency(code=AGENCY),
        "systems": builders.NOBODY,
        "payments": settings_payments.Payments(**chosen),
    }
    async with builders.running_hub(home, database_url=database_url, now=lambda: moments[0], **sections) as plain:
        bank, other = Intermediary(), Intermediary(name="momo")
        systems = {**plain.systems, bank.name: bank, other.name: other}
        hub = dataclasses.replace(plain, systems=systems)
        await builders.seed_procedure(hub, code=dossier().procedure_code)
        await dossier_status.put(hub, dossier(), caller=caller(), request_id="r")
        yield Town(hub, bank, other, moments)
