"""What cannot be read, or never arrives whole, is refused and recorded like everything else: over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import builders
import doors
import pytest
import uvicorn

from lienthong.bus import hub
from lienthong.bus.gateway import app, tls
from lienthong.core import spool

GET = b"GET /v1/notes HTTP/1.1\r\nHost: hub\r\nX-API-Key: %s\r\n\r\n"
POST = (
    b"POST /v1/notes HTTP/1.1\r\nHost: hub\r\nX-API-Key: %s\r\nX-Request-Id: mine\r\n"
    b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)


class Door:
    """A gateway behind a real socket, and what it wrote into its record."""

    def __init__(self, opened: hub.Hub, port: int, key: str) -> None:
        self.hub, self.port, self.key = opened, port, key.encode()

    async def send(self, *parts: bytes, until_end: bool = True) -> bytes:
        """Send bytes as they are; gives whatever comes back until the gateway closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.05)
        found = await asyncio.wait_for(reader.read(), 60) if until_end else b""
        writer.close()
        await writer.wait_closed()
        return found

    async def record(self, count: int) -> list[Any]:
        """Read the record, once it has so many rows."""
        for _ in range(3_000):
            if len(rows := await doors.journal(self.hub)) >= count:
                break
            await asyncio.sleep(0.02)
        return [(row.status, row.outcome, row.rule, row.correlation) for row in rows]


@pytest.fixture
async def door(sqlite_hub: hub.Hub) -> AsyncIterator[Door]:
    key = (await builders.issue_key(sqlite_hub)).key
    async with serving(sqlite_hub) as port:
        yield Door(sqlite_hub, port, key)


@asynccontextmanager
async def serving(opened: hub.Hub) -> AsyncIterator[int]:
    """Serve the door at a port, which is given."""
    async with listening(app.create_app(opened, table=doors.Desk().table())) as port:
        yield port


@asynccontextmanager
async def listening(application: Any, *, lifespan: Literal["on", "off"] = "on") -> AsyncIterator[int]:
    """Serve an application as the hub's door is served, at a port, which is given."""
    server = uvicorn.Server(
        uvicorn.Config(application, port=0, http=tls.TlsProtocol, log_config=None, ws="none", lifespan=lifespan)
    )
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells it by a flag only
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await running


async def test_what_is_not_http_is_refused_with_a_number_that_the_record_knows(door: Door) -> None:
    answer = await door.send(b"\x16\x03\x01 hello\r\n\r\n", b"and more")
    rows = await doors.journal(door.hub)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert rows[0].request_id.encode() in answer
    assert b"HTTP/1.1" in answer.partition(b"\r\n\r\n")[2]
    assert await door.record(1) == [(400, "Client.InvalidRequest", "malformed", None)]


async def test_a_body_that_cannot_be_read_is_refused_and_never_taken_for_a_whole_one(door: Door) -> None:
    answer = await door.send(POST % door.key + b'f\r\n{"text": "ok" }\r\n', b"no length\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert await door.record(1) == [(400, "Client.InvalidRequest", "malformed", "mine")]


async def test_nonsense_after_a_request_is_answered_after_it(door: Door) -> None:
    answer = await door.send(GET % door.key + b"\x00\x01\x02\r\n\r\n")
    assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:3]] == [b"200", b"400"]
    assert [row[0] for row in await door.record(2)] == [200, 400]


async def test_nonsense_in_the_body_of_what_has_its_answer_is_not_answered_again(door: Door) -> None:
    answer = await door.send(POST % b"lt_test_wrong", b"no length\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert [row[0] for row in await door.record(1)] == [401]


@pytest.mark.parametrize("length", [3, 40, 70])
async def test_a_request_cut_off_in_its_headers_is_recorded(door: Door, length: int) -> None:
    await door.send((GET % door.key)[:length], until_end=False)
    assert await door.record(1) == [(400, "Client.BodyCutOff", "cut off", None)]


async def test_a_connection_without_a_request_is_none(door: Door) -> None:
    await door.send(b"", until_end=False)
    await door.send((GET % door.key).replace(b"Host", b"Connection: close\r\nHost"))
    assert [row[0] for row in await door.record(1)] == [200]


async def test_where_not_even_a_refusal_can_be_kept_nothing_is_answered(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool.os, "write", full)
    monkeypatch.setattr(spool, "MOST_HELD", 0)
    assert await door.send(GET % b"lt_test_wrong") == b""
    page = await door.send(b"GET /health/live HTTP/1.1\r\nHost: hub\r\n\r\n")
    assert page.partition(b"\r\n\r\n")[2] == b""
    monkeypatch.undo()
    await door.send(b"nonsense\r\n\r\n")
    assert [row[0] for row in await door.record(1)] == [400]
