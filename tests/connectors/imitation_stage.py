"""A stage for connectors that speak HTTP as their page says: what a test answers stands for the other side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from lienthong.connectors import http, registry
from lienthong.core import people

NOW = datetime(2026, 1, 15, 2, 30, tzinfo=UTC)
ERRAND = people.Errand(number="H56-20260115093000-000001", dossier_code="H56.14-260115-0001", purpose="thử")
Answer = Callable[[httpx.Request], httpx.Response | None]


class Imitation(httpx.AsyncBaseTransport):
    """Answers as the page says (`own`), or as a test says (`fault`); keeps what arrived."""

    def __init__(self, own: Answer) -> None:
        self.own = own
        self.fault: Answer | None = None
        self.requests: list[httpx.Request] = []
        self.sent: list[tuple[str, dict[str, Any]]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        self.sent.append((request.url.path, {}))
        answer = (self.fault(request) if self.fault else None) or self.own(request)
        assert answer is not None
        await answer.aread()
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def services(self) -> list[str]:
        """The paths called so far."""
        return [path for path, _ in self.sent]


@dataclass
class Stage:
    """A connector before an imitation, with everything that left it. `spared` paths are never disturbed."""

    contract: str
    settings: dict[str, Any]
    own: Answer
    spared: tuple[str, ...] = ()
    exchanges: list[http.Exchange] = field(default_factory=list)
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.wire = Imitation(self.own)
        self.connector: Any = self.open()

    def open(self, transport: httpx.AsyncBaseTransport | None = None, **changed: Any) -> Any:
        return registry.open_connector(
            self.contract,
            {"base_url": "https://nguon.example.vn", **self.settings, **changed},
            agency_code="000.00.00.H56",
            on_exchange=self.exchanges.append,
            clock=lambda: self.now,
            transport=transport or self.wire,
        )

    def answer_all(self, answer: Callable[[], httpx.Response]) -> None:
        """Answer every call but the spared ones in the other side's place."""
        self.wire.fault = lambda request: None if request.url.path.endswith(self.spared) else answer()


def shown(stage: Stage, *errors: BaseException) -> str:
    """Everything that logs, the journal or a caller could see of what happened."""
    told = "".join(f"{it!s} {it!r} {vars(it)} {it.__cause__!r}" for it in errors)
    return repr(stage.exchanges) + told
