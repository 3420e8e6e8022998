"""A payment as connectors carry it, an intermediary that says what a test wants, and spoiled messages."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
from conformance import ConnectorPromises, fails, text
from hypothesis import strategies as st

from lienthong.connectors import http, registry, roles
from lienthong.core import money

NOW = datetime(2026, 1, 15, 2, 30, tzinfo=UTC)
PAID_AT = datetime(2026, 1, 15, 2, 34, 12, tzinfo=UTC)
REFERENCE = "DVC26011500000001"
Fault = Callable[[httpx.Request], httpx.Response | None]


def order(**changed: Any) -> money.PaymentOrder:
    """The payment of the contract page."""
    given: dict[str, Any] = {
        "reference": REFERENCE,
        "amount_vnd": 150000,
        "dossier_code": "H56.14-260115-0001",
        "procedure_code": "1.001193",
        "procedure_name": "Đăng ký khai sinh",
        "description": "THANH TOÁN HỒ SƠ H56.14-260115-0001",
        "payer": {
            "name": "NGUYỄN VĂN AN",
            "citizen_id": "001099000001",
            "address": "12 Lê Lợi",
            "province": "Thanh Hóa",
            "address_of_device": "203.0.113.10",
        },
        "beneficiary": {"unit_code": "000.00.14.H56", "unit_name": "Sở Tư pháp", "bank_code": "VCB"},
        "lines": [{"kind": "charge", "code": "LP01", "name": "Lệ phí hộ tịch", "amount_vnd": 150000}],
        "return_url": "https://lgsp.example.vn/payment/return",
        "created_at": NOW,
        "expires_at": datetime(2026, 1, 15, 2, 45, tzinfo=UTC),
    }
    return money.PaymentOrder.model_validate({**given, **changed})


def refund_order(**changed: Any) -> money.RefundOrder:
    """The whole of that payment given back."""
    given: dict[str, Any] = {
        "request_number": "RF26011500000001",
        "reference": REFERENCE,
        "amount_vnd": 150000,
        "is_whole": True,
        "reason": "Hoàn tiền | trả hai lần",
        "paid_at": PAID_AT,
        "created_at": PAID_AT,
        "created_by": "ketoan01",
    }
    return money.RefundOrder.model_validate({**given, **changed})


class Intermediary(httpx.AsyncBaseTransport):
    """Answers as `own` says, or as a test says; keeps what arrived."""

    def __init__(self, own: Callable[[httpx.Request], httpx.Response]) -> None:
        self.own = own
        self.requests: list[httpx.Request] = []
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.fault: Fault | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        self.sent.append((request.url.path, {}))
        answer = self.fault(request) if self.fault else None
        answer = answer if answer is not None else self.own(request)
        await answer.aread()
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def services(self) -> list[str]:
        """The paths called so far."""
        return [path for path, _ in self.sent]

    def last(self) -> Any:
        """The body of the last call."""
        return json.loads(self.requests[-1].content)


@dataclass
class Stage:
    """A connector before an intermediary, with everything that left it."""

    contract: str
    settings: dict[str, Any]
    own: Callable[[httpx.Request], httpx.Response]
    exchanges: list[http.Exchange] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.wire = Intermediary(self.own)
        self.connector: Any = self.open()

    def open(self, transport: httpx.AsyncBaseTransport | None = None, **changed: Any) -> Any:
        return registry.open_connector(
            self.contract,
            {"base_url": "https://pay.example.vn", **self.settings, **changed},
            agency_code="000.00.00.H56",
            on_exchange=self.exchanges.append,
            clock=lambda: NOW,
            transport=transport or self.wire,
        )

    def answer_all(self, answer: Callable[[], httpx.Response]) -> None:
        """Answer every call but the one for a token in the intermediary's place."""
        self.wire.fault = lambda request: None if request.url.path.endswith("token") else answer()


def callback(fields: Any, *, name: str = "result", **changed: Any) -> money.CallbackRequest:
    """A message that arrives as JSON."""
    body = fields if isinstance(fields, bytes) else orjson.dumps(fields)
    given: dict[str, Any] = {
        "name": name, "method": "POST", "query": "", "headers": {"content-type": "application/json"}, "body": body,
    }  # fmt: skip
    return money.CallbackRequest(**{**given, **changed})


def spoiled(fields: dict[str, Any], *, signed: tuple[str, ...], checksum: str) -> Iterator[dict[str, Any]]:
    """A signed message with one thing changed: each signed value, their order, the signature's spelling."""
    for name in signed:
        value = fields[name]
        more = value + 1 if isinstance(value, int) else f"{value}0"
        yield {**fields, name: more}
        yield {**fields, name: f" {value}"}
        yield {**fields, name: f"{value}\x00"}
        yield {**fields, name: [value]}
        yield {**fields, name: True}
    for first, second in itertools.pairwise(signed):
        if str(fields[first]) != str(fields[second]):
            yield {**fields, first: fields[second], second: fields[first]}
    good = fields[checksum]
    for wrong in (
        good.upper(),
        f"{good} ",
        f"{good}\n",
        good[:-1],
        "",
        None,
        0,
        [good],
        "é" * 64,
        "0" * len(good),
    ):
        yield {**fields, checksum: wrong}
    yield {name: value for name, value in fields.items() if name != checksum}


def broken_bodies(fields: dict[str, Any]) -> Iterator[bytes]:
    """The same message in forms that nobody should read."""
    body = orjson.dumps(fields)
    first = next(iter(fields))
    yield b"{" + orjson.dumps(first) + b":1," + body[1:]
    yield body[:-1] + b"," + orjson.dumps(first) + b":" + orjson.dumps(fields[first]) + b"}"
    yield body.decode().encode("utf-16")
    yield b"\xef\xbb\xbf" + body
    yield body + b"\x00"
    yield body[:-1]
    yield b"[" + body + b"]"
    yield body + b" " * 70_000
    yield b"[" * 60_000
    yield b'{"a":' * 10_000
    yield b"9" * 5000
    yield body[:-1] + b',"x":"\\ud800"}'
    yield body[:-1] + b',"x":NaN}'
    yield b"\xff\xfe"
    yield b""
    yield b"null"


ANYTHING = st.one_of(
    st.binary(max_size=300),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63)
        | st.floats(allow_nan=False)
        | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=12,
    ).map(lambda it: json.dumps(it).encode()),
)
"""Bodies that may arrive from anywhere."""


class IntermediaryPromises(ConnectorPromises):
    """What holds for every connector to an intermediary that can be asked."""

    async def ask(self, stage: Any) -> Any:
        return await stage.connector.query(order())


def plays(connector: Any) -> set[str]:
    """The roles of payment that a connector plays."""
    known = (roles.PaymentProvider, roles.AskingPaymentProvider)
    return {it.__name__ for it in known if isinstance(connector, it)}


__all__ = ["IntermediaryPromises", "fails", "text"]
