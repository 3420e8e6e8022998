"""Carries HTTP/1.1 requests over kept connections, cheaply, and speaks httpx's language.

httpx's own transport costs milliseconds of CPU a call; this is httptools on an `asyncio.Protocol`.
"""

from __future__ import annotations

import asyncio
import collections
import math
import re
import ssl
from collections.abc import Iterable
from typing import NamedTuple, NewType

import httpx

from lienthong.connectors import connection as connections
from lienthong.connectors.connection import Answer, AnswerMalformed, AnswerTooLarge, Timeouts, TlsFailed, was_sent

__all__ = [
    "Answer",
    "AnswerMalformed",
    "AnswerTooLarge",
    "HeaderLines",
    "Origin",
    "PooledTransport",
    "Timeouts",
    "TlsFailed",
    "header_lines",
    "tls_context",
    "was_sent",
]

HeaderLines = NewType("HeaderLines", bytes)

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_TARGET = re.compile(rb"[\x21-\x7e]+")
_ALWAYS_WITH_LENGTH = frozenset({b"POST", b"PUT", b"PATCH"})
_SAFE = frozenset({b"GET", b"HEAD"})
_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Where connections go: requests to one origin share its connections."""

    scheme: str
    host: str
    port: int


def header_lines(headers: Iterable[tuple[bytes, bytes]]) -> HeaderLines:
    """Write headers as they go on the wire, refusing names and values that could smuggle in another line.

    Raises httpx.LocalProtocolError, without the value in its text.
    """
    lines = []
    for name, value in headers:
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value) or name.lower() in connections.FRAMING:
            raise connections.unsent(
                httpx.LocalProtocolError("a header has a name or a value that may not be sent")
            )
        lines.append(b"%b: %b\r\n" % (name, value))
    return HeaderLines(b"".join(lines))


def tls_context(*, ca_file: str | None = None, certificate: tuple[str, str] | None = None) -> ssl.SSLContext:
    """Make a verifying TLS context.

    `ca_file` replaces the system's authorities; `certificate` is the client's own, as files (chain, key).
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context


class _Pool:
    """The connections to one origin: at most `limit`, the freshest first, waiters served in their order."""

    def __init__(
        self,
        origin: Origin,
        *,
        loop: asyncio.AbstractEventLoop,
        limit: int,
        tls: ssl.SSLContext | None,
        idle_s: float,
    ) -> None:
        self._origin, self._loop, self._tls = origin, loop, tls
        self._limit, self._idle_s = limit, idle_s
        self._open = 0
        self._closed = False
        self._idle: list[connections.Connection] = []
        self._busy: set[connections.Connection] = set()
        # A waiter is given a clean connection, or None: the place to open one of its own.
        self._waiters: collections.deque[asyncio.Future[connections.Connection | None]] = collections.deque()

    async def acquire(self, timeouts: Timeouts, total_at: float) -> connections.Connection:
        """Give a connection that can carry a request now, waiting or opening one where needed."""
        connection = self._freshest()
        if connection is None:
            if self._open < self._limit:
                self._open += 1
            else:
                connection = await self._wait(timeouts, total_at)
        if connection is not None and not connection.is_usable():
            connection.abort()
            connection = None
        if connection is None:
            connection = await self._connect(timeouts, total_at)
        self._busy.add(connection)
        return connection

    def release(self, connection: connections.Connection) -> None:
        """Take a connection back after an exchange, to keep it or to give its place away."""
        self._busy.discard(connection)
        if connection.is_clean() and not self._closed:
            self._give(connection)
        else:
            connection.abort()
            self._give(None)

    def forget(self, connection: connections.Connection) -> None:
        """Strike off a resting connection that has been closed."""
        if connection in self._idle:
            self._idle.remove(connection)
            self._open -= 1

    def drop_idle(self) -> None:
        """Close every resting connection: where one proved stale the others are, too."""
        while self._idle:
            self._idle.pop().abort()
            self._open -= 1

    def close(self) -> None:
        """Close every connection; requests under way fail."""
        self._closed = True
        self.drop_idle()
        for connection in list(self._busy):
            connection.fail(httpx.ReadError("the transport was closed"))
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(connections.unsent(httpx.ConnectError("the transport was closed")))

    def _freshest(self) -> connections.Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable():
                return connection
            connection.abort()
            self._open -= 1
        return None

    def _give(self, connection: connections.Connection | None) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        if connection is None:
            self._open -= 1
        else:
            self._idle.append(connection)
            connection.rest(self._idle_s)

    async def _wait(self, timeouts: Timeouts, total_at: float) -> connections.Connection | None:
        waiter: asyncio.Future[connections.Connection | None] = self._loop.create_future()
        self._waiters.append(waiter)
        try:
            async with self._until(timeouts.pool_s, total_at):
                return await waiter
        except (TimeoutError, asyncio.CancelledError) as error:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._give(waiter.result())
            if isinstance(error, TimeoutError):
                raise connections.unsent(
                    httpx.PoolTimeout("no connection became free in the time allowed")
                ) from error
            raise

    async def _connect(self, timeouts: Timeouts, total_at: float) -> connections.Connection:
        scheme, host, port = self._origin
        name = host if scheme == "https" else None
        tls = self._tls if name else None
        try:
            async with self._until(timeouts.connect_s, total_at):
                _, connection = await self._loop.create_connection(
                    lambda: connections.Connection(self._loop, forget=self.forget),
                    host,
                    port,
                    ssl=tls,
                    server_hostname=name,
                )
                return connection
        except BaseException as error:
            self._give(None)
            failure = connections.connect_failure(error)
            if failure is None:
                raise
            raise failure from error

    def _until(self, step_s: float | None, total_at: float) -> asyncio.Timeout:
        at = total_at if step_s is None else min(self._loop.time() + step_s, total_at)
        return asyncio.timeout_at(None if at == math.inf else at)


class PooledTransport(httpx.AsyncBaseTransport):
    """An HTTP/1.1 client with kept connections, for one event loop.

    Answers are read whole, and never beyond a limit. A request that may have been read is not sent again,
    except an idempotent one whose kept connection turned out to be dead. Every failure is one of httpx's
    exceptions; `was_sent` tells whether it came before the request left. Redirects, cookies, proxies and
    content encodings are left to a face.
    """

    def __init__(
        self,
        *,
        max_connections: int = 100,
        keep_idle_s: float = 4.0,
        max_answer_bytes: int = 16 * 1024 * 1024,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Keep `max_connections` an origin, idle ones for less than the 5 s after which servers close."""
        self._max_connections = max_connections
        self._keep_idle_s = keep_idle_s
        self._max_answer_bytes = max_answer_bytes
        self._tls = tls
        self._pools: dict[Origin, _Pool] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def exchange(
        self,
        origin: Origin,
        method: bytes,
        target: bytes,
        *,
        headers: HeaderLines,
        body: bytes = b"",
        timeouts: Timeouts,
        max_answer_bytes: int,
        idempotent: bool,
    ) -> Answer:
        """Carry one request without building httpx's objects; `headers` bring Host, but no length."""
        request = _request(method, target, headers=headers, body=body)
        pool = self._pools.get(origin) or self._add_pool(origin)
        if self._closed:
            raise connections.unsent(httpx.ConnectError("the transport was closed"))
        if self._loop is not asyncio.get_running_loop():
            raise RuntimeError("this transport belongs to another event loop")
        total_at = math.inf if timeouts.total_s is None else self._loop.time() + timeouts.total_s
        for may_resend in (idempotent, False):
            connection = await pool.acquire(timeouts, total_at)
            try:
                return await connection.carry(
                    request,
                    head_only=method == b"HEAD",
                    max_bytes=max_answer_bytes,
                    timeouts=timeouts,
                    total_at=total_at,
                )
            except (httpx.RemoteProtocolError, httpx.NetworkError) as error:
                if not (may_resend and getattr(error, "stale", False)):
                    raise
                pool.drop_idle()
            finally:
                pool.release(connection)
        raise AssertionError("the second try either answers or raises")

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry a request of httpx; its extension `timeout` may hold a `total`, beside `max_answer_bytes`."""
        scheme, host = request.url.scheme, request.url.raw_host.decode("ascii")
        if scheme not in _PORTS:
            raise connections.unsent(httpx.UnsupportedProtocol("only http and https are spoken here"))
        method = request.method.encode("ascii", "replace")
        answer = await self.exchange(
            Origin(scheme, host, request.url.port or _PORTS[scheme]),
            method,
            request.url.raw_path,
            headers=header_lines(
                pair for pair in request.headers.raw if pair[0].lower() not in connections.FRAMING
            ),
            body=await request.aread(),
            timeouts=Timeouts.from_extension(request.extensions.get("timeout", {})),
            max_answer_bytes=request.extensions.get("max_answer_bytes", self._max_answer_bytes),
            idempotent=method in _SAFE,
        )
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=httpx.ByteStream(answer.body),
            extensions={"http_version": b"HTTP/1.1"},
        )

    async def aclose(self) -> None:
        """Close every connection; requests under way fail."""
        self._closed = True
        for pool in self._pools.values():
            pool.close()
        await asyncio.sleep(0)

    def _add_pool(self, origin: Origin) -> _Pool:
        self._loop = self._loop or asyncio.get_running_loop()
        if origin.scheme == "https" and self._tls is None:
            self._tls = tls_context()
        limit, idle_s = self._max_connections, self._keep_idle_s
        return self._pools.setdefault(
            origin, _Pool(origin, loop=self._loop, limit=limit, tls=self._tls, idle_s=idle_s)
        )


def _request(method: bytes, target: bytes, *, headers: HeaderLines, body: bytes) -> bytes:
    if not _TOKEN.fullmatch(method) or not _TARGET.fullmatch(target):
        raise connections.unsent(
            httpx.LocalProtocolError("the method or the path has characters that may not be sent")
        )
    if not body and method not in _ALWAYS_WITH_LENGTH:
        return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, headers)
    head = b"%b %b HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n" % (method, target, headers, len(body))
    return head + body
