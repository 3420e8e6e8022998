"""A payment connector before answers that a test makes up, and the payments that it is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from lienthong.connectors import registry
from lienthong.core import money

NOW = datetime(2026, 1, 15, 2, 30, tzinfo=UTC)
REFERENCE = "H5614260115000101"
RETURN_URL = "https://lgsp.example.vn/payment/return"


class Stage:
    """Remembers what a connector sent; `answers` says what comes back."""

    def __init__(self, contract: str, **settings: Any) -> None:
        self.contract, self.settings = contract, settings
        self.now = NOW
        self.sent: list[httpx.Request] = []
        self.exchanges: list[Any] = []
        self.answers: Callable[[httpx.Request], httpx.Response] = lambda request: httpx.Response(500)
        self.connector: Any = self.open()

    def open(self, **changed: Any) -> Any:
        """Open the connector with some settings changed."""

        def carry(request: httpx.Request) -> httpx.Response:
            self.sent.append(request)
            return self.answers(request)

        return registry.open_connector(
            self.contract,
            {**self.settings, **changed},
            agency_code="000.00.00.H56",
            on_exchange=self.exchanges.append,
            clock=lambda: self.now,
            transport=httpx.MockTransport(carry),
        )

    def body(self) -> dict[str, Any]:
        """Give the body of the last call."""
        found: dict[str, Any] = json.loads(self.sent[-1].content)
        return found


def order(**changed: Any) -> money.PaymentOrder:
    """The payment of the vectors: 150,000 đồng for an invented dossier."""
    given = {
        "reference": REFERENCE,
        "amount_vnd": 150_000,
        "dossier_code": "H56.14-260115-0001",
        "description": "Thanh toán hồ sơ H56.14-260115-0001",
        "payer": money.Payer(name="Nguyễn Văn An", address_of_device="203.0.113.10"),
        "return_url": RETURN_URL,
        "callback_url": "https://lgsp.example.vn/momo/ipn",
        "created_at": NOW,
        "expires_at": NOW + timedelta(minutes=15),
        **changed,
    }
    return money.PaymentOrder.model_validate(given)


def refund(**changed: Any) -> money.RefundOrder:
    """The whole of that payment, to be given back."""
    given = {
        "request_number": "REQ20260115110000001",
        "reference": REFERENCE,
        "provider_reference": "14012345",
        "amount_vnd": 150_000,
        "is_whole": True,
        "reason": "Hoàn tiền hồ sơ H56.14-260115-0001",
        "paid_at": NOW + timedelta(minutes=4),
        "started_at": NOW,
        "created_at": NOW + timedelta(minutes=90),
        "created_by": "ketoan01",
        "address_of_device": "203.0.113.10",
        **changed,
    }
    return money.RefundOrder.model_validate(given)


def got(query: str, *, name: str = "ipn", method: str = "GET", body: bytes = b"") -> money.CallbackRequest:
    """A message that somebody sent."""
    return money.CallbackRequest(name=name, method=method, query=query, headers={}, body=body)
