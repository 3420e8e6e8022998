"""One call to an imitated system, from its first byte to the last: choose the mood, carry out, keep, answer."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from lienthong.sandbox import adapter, faults, portal, wire
from lienthong.sandbox.adapter import Adapter, Call
from lienthong.sandbox.ledger import Ledger
from lienthong.sandbox.moods import Weather
from lienthong.sandbox.portal import Portal
from lienthong.sandbox.registers import Registers
from lienthong.sandbox.wire import Receive, Reply, Scope, Send

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")

_KEPT_HEADERS = frozenset(
    {b"dstcode", b"user-agent", b"content-type", b"charset", b"accept", b"x-request-id", b"traceparent"}
)
_SECRETS = ("session", "password")
_KEPT_ANSWER_BYTES = 4_000
_KEPT_ANSWER_TEXT = 500
_KEPT_TEXT = 2_000


class Exchange:
    """The door to all imitated systems: a raw ASGI application, because benches drive it hard."""

    def __init__(
        self,
        *,
        adapter: Adapter,
        portal: Portal,
        registers: Registers,
        ledger: Ledger,
        weather: Weather,
        latency_s: float = 0.0,
    ) -> None:
        """Serve every system; `latency_s` is added to every call."""
        self._registers = registers
        self._adapter = adapter
        self._portal = portal
        self._ledger = ledger
        self._weather = weather
        self.latency_s = latency_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call under the name of an imitated system."""
        is_register = scope["path"][1:].partition("/")[0] in self._registers.by_name
        if scope["method"] != "POST" and not is_register:
            await wire.send_reply(
                Reply(b'{"message":"POST only"}', 405, headers=((b"allow", b"POST"),)), receive=receive, send=send
            )
            return
        try:
            raw = await wire.read_body(receive)
        except wire.BodyTooLarge:
            await wire.send_reply(Reply(b'{"message":"body too large"}', 413), receive=receive, send=send)
            return
        reply = await (self._registers.answer(scope, raw) if is_register else self._answer(scope, raw))
        try:
            await self._ledger.settle()
        except sqlite3.Error:
            # Not on disk: an answer would promise what a restart may not keep.
            reply = Reply(cut=wire.DROP)
        if reply.wait_s:
            await asyncio.sleep(reply.wait_s)
        await wire.send_reply(reply, receive=receive, send=send)

    async def _answer(self, scope: Scope, raw: bytes) -> Reply:
        path, body = scope["path"], _parsed(raw)
        system = path[1:].partition("/")[0]
        service = adapter.service_of(path, body) if system == adapter.SYSTEM else portal.service_of(path)
        chosen = self._weather.choose(system, service)
        delay_s = self.latency_s + (faults.delay_s(chosen) if chosen else 0.0)
        if delay_s:
            await asyncio.sleep(delay_s)
        # From here to the end nothing is awaited: what a call writes is settled by that call alone.
        now = datetime.now(VIETNAM).isoformat(timespec="milliseconds")
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in _KEPT_HEADERS
        }
        call = Call(service, body, headers, chosen, time.monotonic(), now)
        reply = faults.before(chosen, system=system) or self._carry_out(system, path, call)
        reply = faults.after(chosen, reply)
        self._keep(system, call, raw=raw, reply=reply)
        return reply

    def _carry_out(self, system: str, path: str, call: Call) -> Reply:
        if system == portal.SYSTEM:
            return self._portal.handle(call)
        if path.endswith(("/mapi/login", "/mapi/g")):
            return self._adapter.handle(call)
        return Reply(b'{"error_code":404,"message":"not found"}', 404, outcome="refused")

    def _keep(self, system: str, call: Call, *, raw: bytes, reply: Reply) -> None:
        dossiers = reply.dossiers or _dossiers_of(call.body)
        row: dict[str, Any] = {
            "n": 0,
            "system": system,
            "service": call.service,
            "at": call.at,
            "outcome": reply.outcome,
            "effect": reply.had_effect,
            "dossiers": dossiers,
            "moods": list(call.chosen),
            "headers": call.headers,
            "body": _shown_body(call.body, raw),
            "answer": _shown_answer(reply),
        }
        self._ledger.add(row, dossiers=dossiers)


_UNREADABLE = object()


def _dossiers_of(body: Any) -> tuple[str, ...]:
    """Name the dossiers that a call speaks of, also where it was refused or never reached the system."""
    items = body.get("data") if isinstance(body, dict) else None
    codes = [item.get("MaHoSo") for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return tuple(dict.fromkeys(code for code in codes[:100] if isinstance(code, str) and 0 < len(code) <= 100))


def _parsed(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _UNREADABLE


def _shown_body(body: Any, raw: bytes) -> Any:
    """Write a body as it may be shown: JSON with its secrets masked, or the beginning of what is none."""
    if isinstance(body, dict):
        masked = {key: "***" for key in _SECRETS if key in body}
        shown = {**body, **masked} if masked else body
    else:
        shown = body
    if shown is not _UNREADABLE:
        try:
            # Four levels deeper than it is: what is kept here must still fit inside a row, a list and an answer.
            return orjson.Fragment(orjson.dumps([[[[shown]]]])[4:-4])
        except orjson.JSONEncodeError:
            return {"unreadable": "nested too deeply", "bytes": len(raw)}
    return {"unreadable": raw[:_KEPT_TEXT].decode(errors="replace"), "bytes": len(raw)}


def _shown_answer(reply: Reply) -> dict[str, Any]:
    answer: dict[str, Any] = {"status": reply.status, "bytes": len(reply.body)}
    if reply.cut or reply.wait_s:
        answer["connection"] = f"late by {reply.wait_s:g} s" if reply.wait_s else reply.cut
    shown = reply.shown if reply.shown is not None else reply.body
    if len(shown) > _KEPT_ANSWER_BYTES:
        answer["text"] = shown[:_KEPT_ANSWER_TEXT].decode(errors="replace") + "…"
    elif reply.content_type == wire.JSON and shown[:1] == b"{" and shown[-1:] == b"}":
        answer["json"] = orjson.Fragment(shown)
    elif shown:
        answer["text"] = shown.decode(errors="replace")
    return answer
