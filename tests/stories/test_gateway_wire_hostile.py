"""What a connection may try before and after its headers: without an end, without haste, and in other guises."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import builders
import pytest
from test_gateway_wire import Door, listening, serving

from lienthong.bus import hub
from lienthong.bus.gateway import wire

HOST = b"Host: hub\r\n"
NOTE = b'{"text": "ok"}'
ENDLESS = 40_000_000
# As Java's own client writes every request in clear, unless it is told otherwise.
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"


@pytest.fixture
async def door(sqlite_hub: hub.Hub) -> AsyncIterator[Door]:
    key = (await builders.issue_key(sqlite_hub)).key
    async with serving(sqlite_hub) as port:
        yield Door(sqlite_hub, port, key)


def post(door: Door, extra: bytes, body: bytes = NOTE) -> bytes:
    head = b"POST /v1/notes HTTP/1.1\r\n%sX-API-Key: %s\r\nContent-Type: application/json\r\n%s\r\n%s"
    return head % (HOST, door.key, extra, body)


async def told(door: Door, *parts: bytes) -> list[bytes]:
    """Send parts one after the other; gives the statuses that came back before the connection ended."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.05)
        found = await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
    return [part[:3] for part in found.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize(
    "begun",
    [
        b"GET /v1/notes HTTP/1.1\r\nX-Long: ",
        b"GET /v1/notes?",
        b"GET /v1/notes HTTP/1.1\r\n",
        b"POST /v1/notes HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Late: ",
    ],
    ids=["a header", "a first line", "headers", "a trailer"],
)
async def test_what_never_ends_was_kept_in_memory_as_long_as_it_came(door: Door, begun: bytes) -> None:
    more = b"X-A: a\r\n" * 2_048 if begun.endswith(b"\n") else b"a" * 16_384
    _, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(begun)
    sent = 0
    try:
        while sent < ENDLESS:
            writer.write(more)
            await writer.drain()
            sent += len(more)
    except ConnectionError:
        pass
    writer.close()
    assert sent < ENDLESS
    assert [row[0] for row in await door.record(1)] == [401 if b"chunked" in begun else 400]


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET /v1/no", b"GET /v1/notes HTTP/1.1\r\nHost: h"])
async def test_a_connection_that_never_finishes_its_headers_held_its_place_for_ever(
    door: Door, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(wire, "HEADERS_WITHIN_S", 1.0)
    assert await told(door, sent) == []
    begun = bool(sent.strip())
    assert [row[1] for row in await door.record(begun)] == ["Client.BodyCutOff"] * begun


async def test_after_an_answer_a_dripping_connection_held_its_place_for_ever(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "HEADERS_WITHIN_S", 1.0)
    asked = b"GET /v1/notes HTTP/1.1\r\n%sX-API-Key: %s\r\n\r\n" % (HOST, door.key)
    assert await told(door, asked, b"\r\n") == [b"200"]


async def test_a_slow_operation_is_not_cut_off_by_the_time_for_headers(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "HEADERS_WITHIN_S", 0.5)
    begun = post(door, b"Connection: close\r\nContent-Length: %d\r\n" % len(NOTE), b"")
    assert await told(door, begun, *[b""] * 14, NOTE) == [b"200"]


@pytest.mark.parametrize("is_split", [False, True])
async def test_an_offer_of_http_2_cost_a_request_its_body(door: Door, is_split: bool) -> None:
    length = b"Content-Length: %d\r\n" % len(NOTE)
    first = post(door, OFFER + length, b"")
    chunked = post(door, OFFER + b"Transfer-Encoding: chunked\r\n", b"e\r\n%s\r\n0\r\n\r\n" % NOTE)
    asked = b"GET /v1/notes HTTP/1.1\r\n%s%sX-API-Key: %s\r\n\r\n" % (HOST, OFFER, door.key)
    last = post(door, b"Connection: close\r\n" + length)
    parts = (first, NOTE, chunked, asked, last) if is_split else (first + NOTE + chunked + asked + last,)
    assert await told(door, *parts) == [b"200"] * 4


async def test_the_body_of_an_offer_is_not_taken_for_a_request_of_its_own(door: Door) -> None:
    hidden = b"GET /v1/notes HTTP/1.1\r\n%sX-API-Key: %s\r\n\r\n" % (HOST, door.key)
    first = post(door, OFFER + b"Content-Length: %d\r\n" % len(hidden), b"")
    end = post(door, b"Connection: close\r\nContent-Length: %d\r\n" % len(NOTE))
    assert await told(door, first, hidden, end) == [b"400", b"200"]


async def test_two_hosts_are_refused_as_http_demands(door: Door) -> None:
    asked = b"GET /v1/notes HTTP/1.1\r\nHost: other\r\n%sX-API-Key: %s\r\n\r\n" % (HOST, door.key)
    assert await told(door, asked) == [b"400"]
    assert [row[2] for row in await door.record(1)] == ["malformed"]


async def test_two_names_for_one_request_are_refused(door: Door) -> None:
    names = b"Connection: close\r\nIdempotency-Key: a\r\nIdempotency-Key: b\r\n"
    assert await told(door, post(door, names + b"Content-Length: %d\r\n" % len(NOTE))) == [b"400"]


async def _showing(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the names of the headers, once the body has come."""
    while (await receive()).get("more_body"):
        pass
    body = json.dumps([name.decode() for name, _ in scope["headers"]]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})


async def test_what_follows_a_body_was_taken_for_a_header() -> None:
    # A proxy takes Client-Cert out of the headers that it is sent, and knows nothing of trailers.
    sent = b"POST / HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nClient-Cert: :mine:\r\n\r\n"
    async with listening(_showing, lifespan="off") as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent % HOST)
        found = await asyncio.wait_for(reader.read(), 10)
        writer.close()
    assert b'["host", "transfer-encoding"]' in found
