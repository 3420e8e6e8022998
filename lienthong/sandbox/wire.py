"""Raw ASGI: reading a call, sending a reply, and breaking a connection on purpose."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON = b"application/json; charset=utf-8"
HTML = b"text/html; charset=utf-8"
BODY_LIMIT = 16 * 1024 * 1024

KEEP, DROP, TRUNCATE = "", "drop", "truncate"


class ConnectionDropped(ConnectionError):
    """The sandbox closes the connection: raised only where there is no transport, that is in process."""


class BodyTooLarge(Exception):
    """A body over the limit."""


@dataclass(slots=True)
class Reply:
    """What a system answers, and what became of the call."""

    body: bytes = b""
    status: int = 200
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    outcome: str = "read"
    had_effect: bool = False
    dossiers: tuple[str, ...] = ()
    cut: str = KEEP
    wait_s: float = 0.0
    shown: bytes | None = None


async def read_body(receive: Receive) -> bytes:
    """Read a whole request body, up to the limit."""
    message = await receive()
    if not message.get("more_body"):
        return bytes(message.get("body", b""))
    parts, size = [message.get("body", b"")], len(message.get("body", b""))
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > BODY_LIMIT:
            raise BodyTooLarge
    return b"".join(parts)


async def send_reply(reply: Reply, *, receive: Receive, send: Send) -> None:
    """Send a reply, or break it the way the reply says."""
    if reply.cut == DROP:
        await _drop(receive, send)
        return
    length = len(reply.body) + (1000 if reply.cut == TRUNCATE else 0)
    headers = [(b"content-type", reply.content_type), (b"content-length", b"%d" % length), *reply.headers]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if reply.cut == TRUNCATE:
        half = reply.body[: len(reply.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        await _drop(receive, send, gently=True)
        return
    await send({"type": "http.response.body", "body": reply.body})


async def _drop(receive: Receive, send: Send, *, gently: bool = False) -> None:
    """Close the connection without finishing the answer.

    ASGI has no word for this. Under uvicorn `send` is a bound method of the cycle that owns the transport, as long
    as no middleware wraps it: the imitated systems are served in front of FastAPI for that reason. Waiting for the
    disconnect keeps uvicorn from sending an answer of its own. A gentle close first sends what was written.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionDropped("the imitated system closed the connection")
    if gently:
        transport.close()
    else:
        transport.abort()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            while (await receive())["type"] != "http.disconnect":
                pass
