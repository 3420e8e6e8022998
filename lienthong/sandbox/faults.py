"""What each mood does to an answer: in place of it (before any effect) or to it (after the effect)."""

from __future__ import annotations

import html
import random
from dataclasses import replace
from typing import Any

import orjson

from lienthong.sandbox import moods, wire
from lienthong.sandbox.wire import Reply
from lienthong.sandbox.xml_tree import element

Chosen = dict[str, dict[str, Any]]
Headers = tuple[tuple[bytes, bytes], ...]

FAULT = "fault"

_GATEWAY = "http://wso2.org/apimanager/security"
_GATEWAY_XML = b"application/xml; charset=UTF-8"


def page(title: str, text: str) -> bytes:
    """Write the kind of HTML page that stands in the way where JSON was expected."""
    head = f"<!DOCTYPE html><html lang='vi'><head><meta charset='utf-8'><title>{html.escape(title)}</title></head>"
    return f"{head}<body><h1>{html.escape(title)}</h1><p>{html.escape(text)}</p></body></html>".encode()


def delay_s(chosen: Chosen) -> float:
    """Say how long a slow answer takes to begin."""
    slow = chosen.get("slow")
    if slow is None:
        return 0.0
    return float(slow["latency_ms"] + random.uniform(0, slow["jitter_ms"])) / 1000


def before(chosen: Chosen, *, system: str) -> Reply | None:
    """Return the reply that stands in place of the system's own, where a mood prevents it."""
    if not chosen:
        return None
    if "lost_request" in chosen:
        return Reply(cut=wire.DROP, outcome=FAULT, status=0)
    return _unavailable(chosen, system) or _refused(chosen, system) or _garbled(chosen, with_effect=False)


def after(chosen: Chosen, reply: Reply) -> Reply:
    """Spoil the reply of a call that was carried out."""
    if not chosen or reply.outcome == FAULT:
        return reply
    spoilt = _garbled(chosen, with_effect=True, body=reply.body)
    if "lost_answer" in chosen:
        hang_s = float(chosen["lost_answer"]["hang_s"])
        # With a time to hang, the answer does come, after the caller has stopped waiting for it.
        spoilt = replace(reply, wait_s=hang_s) if hang_s else Reply(cut=wire.DROP, status=0)
    if spoilt is None:
        return reply
    spoilt.outcome, spoilt.had_effect, spoilt.dossiers = reply.outcome, reply.had_effect, reply.dossiers
    spoilt.shown = reply.shown
    return spoilt


def _retry_after(seconds: object) -> Headers:
    return ((b"retry-after", str(seconds).encode()),)


def gateway(status: int, code: int, message: str, *, headers: Headers = ()) -> Reply:
    """Write a fault of a WSO2 gateway itself: XML with a code 900xxx (contracts §6.2)."""
    inside = element("ams:code", text=code) + element("ams:message", text=message)
    body = f'<ams:fault xmlns:ams="{_GATEWAY}">{inside}{element("ams:description", text=message)}</ams:fault>'
    return Reply(body.encode(), status, _GATEWAY_XML, headers, outcome="refused", shown=message.encode())


def _unavailable(chosen: Chosen, system: str) -> Reply | None:
    if "outage" in chosen:
        kind = str(chosen["outage"]["kind"])
        if kind == "close":
            return Reply(cut=wire.DROP, outcome=FAULT, status=0)
        body = page(f"{kind} Bad Gateway" if kind == "502" else kind, "upstream")
        return Reply(body, int(kind), wire.HTML, outcome=FAULT)
    if "maintenance" in chosen:
        headers = _retry_after(chosen["maintenance"]["retry_after_s"])
        body = page("Hệ thống đang bảo trì", "Vui lòng quay lại sau.")
        return Reply(body, 503, wire.HTML, headers, outcome=FAULT)
    if "quota" in chosen:
        headers = _retry_after(chosen["quota"]["retry_after_s"])
        if system == moods.NGSP:
            return replace(gateway(429, 900800, "Message throttled out", headers=headers), outcome=FAULT)
        return Reply(b'{"error_code":429,"message":"over quota"}', 429, headers=headers, outcome=FAULT)
    if "forbidden" in chosen and system == moods.NGSP:
        return replace(gateway(403, 900908, "Resource forbidden: not subscribed"), outcome=FAULT)
    if "forbidden" in chosen:
        return Reply(b'{"error_code":403,"message":"IP_DISALLOWED"}', 403, outcome=FAULT)
    if "x_road_error" in chosen:
        return _x_road(chosen["x_road_error"])
    return None


def _x_road(mood: dict[str, Any]) -> Reply:
    """Write a fault of the exchange layer; one without the header comes from the application behind it."""
    kind = str(mood["type"])
    fault = {"type": kind, "message": "Service failed", "detail": "0f1e2d3c"}
    headers = ((b"x-road-error", kind.encode()),) if mood["header"] else ()
    status = 400 if kind.startswith("Client.") else 500
    return Reply(orjson.dumps(fault), status, headers=headers, outcome=FAULT)


def _refused(chosen: Chosen, system: str) -> Reply | None:
    refuse = chosen.get("refuse")
    if refuse is None:
        return None
    if system == moods.PORTAL:
        body = {"code": "BAD_REQUEST", "data": None, "message": refuse["message"]}
        return Reply(orjson.dumps(body), 400, outcome=FAULT)
    return Reply(orjson.dumps({"error_code": refuse["code"], "message": refuse["message"]}), outcome=FAULT)


def _garbled(chosen: Chosen, *, with_effect: bool, body: bytes = b'{"error_code":0,"message":""}') -> Reply | None:
    if _is_on(chosen, "garbage_html", with_effect):
        text = "The requested URL was rejected. Please consult with your administrator."
        return Reply(page("Request Rejected", text), 200, wire.HTML, outcome=FAULT)
    if _is_on(chosen, "garbage_json", with_effect):
        return Reply(body[: max(1, len(body) - 3)] + b",", outcome=FAULT)
    if _is_on(chosen, "empty_body", with_effect):
        return Reply(b"", outcome=FAULT)
    if _is_on(chosen, "truncated", with_effect):
        return Reply(body, cut=wire.TRUNCATE, outcome=FAULT)
    return None


def _is_on(chosen: Chosen, name: str, with_effect: bool) -> bool:
    return name in chosen and bool(chosen[name]["effect"]) is with_effect
