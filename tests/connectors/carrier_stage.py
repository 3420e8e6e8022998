"""A carrier of parcels to try connectors against; what it answers, each test file says from the contract page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson

from lienthong.connectors import http, registry
from lienthong.core import money

NOW = datetime(2026, 1, 15, 2, 30, tzinfo=UTC)
OFFICE = money.PostalAddress(
    name="Trung tâm HCC", phone="0237000000", address="28 Đại lộ Lê Lợi", province_code="38", commune_code="14758"
)
AN = money.PostalAddress(
    name="Nguyễn Văn An",
    phone="0900000000",
    address="12 Lê Lợi",
    province_code="79",
    old_province_code="79",
    old_district_code="764",
)

# Numbers that an operator would have from the carrier; ours holds only those of the contract page.
NUMBERS = Path(__file__).with_name("vnpost_numbers.csv")

Answer = Callable[[httpx.Request], httpx.Response | None]


def order(**changed: Any) -> money.ParcelOrder:
    """A result that goes from the unit of Thanh Hóa to a citizen in Gò Vấp."""
    values = {
        "number": "P26011500000001",
        "dossier_code": "H56.14-260115-0001",
        "direction": "deliver_result",
        "sender": OFFICE,
        "receiver": AN,
        "waybill": "EH000000001VN",
        "description": "Kết quả hồ sơ",
        **changed,
    }
    return money.ParcelOrder.model_validate(values)


class Carrier(httpx.AsyncBaseTransport):
    """Answers as `own` says, or as a test says; keeps what arrived."""

    def __init__(self, own: Answer) -> None:
        self.own = own
        self.requests: list[httpx.Request] = []
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.fault: Answer | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        self.sent.append((request.url.path, body_of(request)))
        answer = self.fault(request) if self.fault else None
        if answer is None:
            answer = self.own(request)
        assert answer is not None, request.url.path
        await answer.aread()
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def services(self) -> list[str]:
        """The last parts of the paths called so far."""
        return [path.rpartition("/")[2] for path, _ in self.sent]


def body_of(request: httpx.Request) -> dict[str, Any]:
    """Read what was posted, where it is a JSON object."""
    found = orjson.loads(request.content) if request.content.startswith(b"{") else {}
    assert isinstance(found, dict)
    return found


@dataclass
class Stage:
    """A connector before a carrier, with everything that left it."""

    contract: str
    settings: dict[str, Any]
    own: Answer
    token_path: str = "token"
    exchanges: list[http.Exchange] = field(default_factory=list)
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.wire = Carrier(self.own)
        self.connector: Any = self.open()

    def open(self, transport: httpx.AsyncBaseTransport | None = None, **changed: Any) -> Any:
        return registry.open_connector(
            self.contract,
            {"base_url": "https://post.example.vn/api", "places_file": str(NUMBERS), **self.settings, **changed},
            agency_code="000.00.00.H56",
            on_exchange=self.exchanges.append,
            clock=lambda: self.now,
            transport=transport or self.wire,
        )

    def answer_all(self, answer: Callable[[], httpx.Response]) -> None:
        """Answer every call but the one for a token in the carrier's place."""
        self.wire.fault = lambda request: None if request.url.path.endswith(self.token_path) else answer()

    def answer(self, path: str, answer: Callable[[], httpx.Response]) -> None:
        """Answer calls to one path in the carrier's place."""
        self.wire.fault = lambda request: answer() if path in request.url.path else None
