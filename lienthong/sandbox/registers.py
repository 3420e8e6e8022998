"""The door to the imitated registers: like `exchange.py`, but for any method, any content, and personal data."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from lienthong.sandbox import faults, imitation, xroad
from lienthong.sandbox.imitation import Imitation, Request
from lienthong.sandbox.ledger import Ledger
from lienthong.sandbox.moods import Weather
from lienthong.sandbox.wire import Reply, Scope

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")

_KEPT_HEADERS = ("content-type", "soapaction", "user-agent", "x-request-id", "traceparent", "accept")
_KEPT_TEXT = 200


class Registers:
    """Every imitated register, by the name that its addresses begin with."""

    def __init__(
        self, *, by_name: Mapping[str, Imitation], ledger: Ledger, weather: Weather, latency_s: float = 0.0
    ) -> None:
        """Serve these; `latency_s` is added to every call."""
        self.by_name = dict(by_name)
        self._ledger = ledger
        self._weather = weather
        self._latency_s = latency_s

    async def answer(self, scope: Scope, body: bytes) -> Reply:
        """Answer one call and keep what may be kept of it."""
        request = imitation.request_of(scope, body)
        register = self.by_name[request.system]
        await register.prepare()
        road = xroad.enter(request, roots=register.roots)
        request.service = register.service_of(request)[:60]
        request.chosen = self._weather.choose(request.system, request.service)
        delay_s = self._latency_s + (faults.delay_s(request.chosen) if request.chosen else 0.0)
        if delay_s:
            await asyncio.sleep(delay_s)
        # From here to the end nothing is awaited: what a call writes is settled by that call alone.
        request.now = time.time()
        request.at = datetime.fromtimestamp(request.now, VIETNAM).isoformat(timespec="milliseconds")
        reply = faults.before(request.chosen, system=request.system) or self._carry_out(register, request, road)
        reply = faults.after(request.chosen, reply)
        self._keep(request, reply)
        return reply

    def _carry_out(self, register: Imitation, request: Request, road: xroad.Road | None) -> Reply:
        if road is None:
            return register.handle(request)
        return road.refused() or road.sealed(register.handle(request), request)

    def _keep(self, request: Request, reply: Reply) -> None:
        dossier = imitation.masked(request.headers.get("x-road-issue", "")[:100])
        dossiers = (dossier,) if dossier else ()
        row: dict[str, Any] = {
            "n": 0,
            "system": request.system,
            "service": request.service,
            "at": request.at,
            "outcome": reply.outcome,
            "effect": reply.had_effect,
            "dossiers": dossiers,
            "moods": list(request.chosen),
            "headers": _shown_headers(request),
            "body": {"method": request.method, "bytes": len(request.body), **_shown(request.about)},
            "answer": _shown_answer(reply),
        }
        self._ledger.add(row, dossiers=dossiers)

    def forget(self) -> None:
        """Forget what every register received."""
        for register in self.by_name.values():
            register.forget()


def _shown_headers(request: Request) -> dict[str, str]:
    kept = {name: value for name, value in request.headers.items() if name.startswith("x-road-")}
    kept |= {name: request.headers[name] for name in _KEPT_HEADERS if name in request.headers}
    return {name: imitation.masked(value[:_KEPT_TEXT]) for name, value in kept.items()}


def _shown(about: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = orjson.loads(imitation.masked(orjson.dumps(about, default=str).decode()))
    return shown


def _shown_answer(reply: Reply) -> dict[str, Any]:
    """Write an answer as it may be shown: nothing of its text, unless the register says what."""
    answer: dict[str, Any] = {"status": reply.status, "bytes": len(reply.body)}
    if reply.cut or reply.wait_s:
        answer["connection"] = f"late by {reply.wait_s:g} s" if reply.wait_s else reply.cut
    if reply.shown:
        answer["text"] = imitation.masked(reply.shown.decode(errors="replace"))
    return answer
