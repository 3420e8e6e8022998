"""One connection to Redis for a whole process: what is asked in one turn of the loop goes out in one write."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import hiredis

from lienthong.core import errors

Word = str | bytes | int | float
Heard = Callable[[Any], None]


class PipeLost(errors.HubError):
    """The connection to Redis is gone; whether what was asked was done is not known."""

    code = "Server.Hub.Redis"
    status = 503
    vi = "Mất kết nối với Redis."


class Pipe(asyncio.Protocol):
    """Asks Redis, and hands each answer to whoever asked, in order.

    Answers come as the reader gives them: bytes, numbers, lists, None, or a `hiredis.HiredisError` for what Redis
    refused; a PipeLost where the connection ended first. After `subscribe`, messages go to `on_message`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_message: Callable[[bytes], None] | None = None) -> None:
        self._loop = loop
        self._reader = hiredis.Reader()
        self._transport: asyncio.WriteTransport | None = None
        self._waiting: deque[tuple[Heard, float]] = deque()
        self._out: list[bytes] = []
        self._on_message = on_message
        self.asked = 0
        self.is_open = False

    # ------------------------------------------------------------------------------------- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.WriteTransport, transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        """Hand out the answers that have come."""
        self._reader.feed(data)
        try:
            answer = self._reader.gets()
            while answer is not False:
                self._hand_out(answer)
                answer = self._reader.gets()
        except hiredis.ProtocolError:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who still waits."""
        self.is_open = False
        self._out.clear()
        waiting, self._waiting = self._waiting, deque()
        for heard, _ in waiting:
            heard(PipeLost())

    # ----------------------------------------------------------------------------------------- our side

    def call(self, words: Sequence[Word], heard: Heard) -> None:
        """Ask; `heard` is called with the answer, at the latest when the connection ends."""
        if not self.is_open:
            heard(PipeLost())
            return
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(hiredis.pack_command(cast(Any, tuple(words))))
        self._waiting.append((heard, self._loop.time()))
        self.asked += 1

    async def ask(self, *words: Word, within_s: float) -> Any:
        """Ask and wait for the answer. Raises PipeLost, also where Redis refused or did not answer in time."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self.call(words, lambda answer: None if future.done() else future.set_result(answer))
        try:
            async with asyncio.timeout(within_s):
                answer = await future
        except TimeoutError:
            raise PipeLost() from None
        if isinstance(answer, Exception):
            raise PipeLost(str(answer)) from None
        return answer

    def waits_since_s(self) -> float:
        """How long the oldest question has been without an answer."""
        return self._loop.time() - self._waiting[0][1] if self._waiting else 0.0

    def close(self) -> None:
        """End the connection at once; whoever waits is told."""
        if self._transport is not None and self.is_open:
            self._transport.abort()
            self.connection_lost(None)

    def _flush(self) -> None:
        if self._transport is not None and self._out:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def _hand_out(self, answer: Any) -> None:
        if self._on_message is not None and isinstance(answer, list) and answer[0] == b"message":
            self._on_message(answer[2])
        elif self._waiting:
            self._waiting.popleft()[0](answer)


async def connect(url: str, *, within_s: float, on_message: Callable[[bytes], None] | None = None) -> Pipe:
    """Open a connection to `redis://[[user]:password@]host[:port][/number]`, or `rediss://` for TLS.

    Raises PipeLost.
    """
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    secure = ssl.create_default_context() if parts.scheme == "rediss" else None
    try:
        async with asyncio.timeout(within_s):
            _, pipe = await loop.create_connection(
                lambda: Pipe(loop, on_message), parts.hostname or "127.0.0.1", parts.port or 6379, ssl=secure
            )
    except (OSError, TimeoutError):
        raise PipeLost() from None
    try:
        if parts.password:
            who = [unquote(parts.username)] if parts.username else []
            await pipe.ask("AUTH", *who, unquote(parts.password), within_s=within_s)
        number = parts.path.strip("/")
        if number and number != "0":
            await pipe.ask("SELECT", number, within_s=within_s)
    except PipeLost:
        pipe.close()
        raise
    return pipe
