"""The face through which connectors speak HTTP: limits, politeness, the journal hook, and our own errors.

Whatever goes wrong on the way leaves this module as one of `core.errors`, and as one `Exchange`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
import time
import urllib.parse
import zlib
from collections.abc import Callable, Container, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import httpx
import orjson

from lienthong.connectors import outcomes
from lienthong.connectors import transport as transports
from lienthong.core import errors

if TYPE_CHECKING:
    from lienthong.connectors import roads

OUTCOME_OK = "ok"
OUTCOME_RETURNED = "returned"
OUTCOME_INTERRUPTED = "interrupted"

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LOGIN_NEEDED = frozenset({401})
_ENCODINGS = frozenset({"gzip", "x-gzip", "deflate"})
_PATH_MARKS = "/?%:@!$&'()*+,;=~"
_GZIP_OR_ZLIB = 47
_PORTS = {"http": 80, "https": 443}


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """How hard one system may be called, how long it may take, and how much it may answer.

    `total_s` bounds a call, and before it the wait for its turn. `max_per_second` None means unpaced.
    """

    max_concurrent: int
    max_per_second: float | None
    connect_s: float
    read_s: float
    total_s: float
    max_answer_bytes: int


@dataclasses.dataclass(slots=True)
class Reply:
    """What a system answered; header names are in lower case, the body is free of content encodings.

    Printing it shows neither headers nor body, which may hold credentials and personal data.
    """

    status: int
    headers: Mapping[str, str] = dataclasses.field(repr=False)
    body: bytes = dataclasses.field(repr=False)
    took_ms: float
    system: str = ""

    def json(self) -> Any:
        """Read the body as JSON.

        Raises RemoteGarbled, whose reason says what came instead but quotes nothing of it.
        """
        return outcomes.read_json(self.body, system=self.system)


@dataclasses.dataclass(frozen=True, slots=True)
class Exchange:
    """One call across the border, for the journal.

    `path` is the template, without values and query. `outcome` is `ok` (2xx; the connector may still dislike
    the content), `returned` (another status that the connector had asked for), the code of the error raised,
    or `interrupted` where the caller stopped waiting. Times and bytes are of the call itself: waiting for its
    turn is not the other system's doing.
    """

    system: str
    operation: str
    method: str
    path: str
    status: int | None
    outcome: str
    started_at: datetime
    took_ms: float
    bytes_out: int
    bytes_in: int
    message_id: str | None
    error: str


class Options(TypedDict, total=False):
    """What a call may say beyond its path and operation.

    headers: beside the client's own, or in their place.
    path_values, query: what identifies a person or a dossier belongs here, because no journal sees them.
    idempotent: the call may reach the other side twice without harm; left out, it follows from the method.
    returns: statuses given back as a Reply though not 2xx; 401 unless said otherwise, so that auth may renew.
    road: the way of this call, where it is not the client's own.
    """

    headers: Mapping[str, str]
    path_values: Mapping[str, str]
    query: Mapping[str, str]
    idempotent: bool
    message_id: str | None
    returns: Container[int]
    road: roads.Road | None


@dataclasses.dataclass(slots=True, repr=False)
class _Call:
    """A call under way, and what is known of it so far."""

    method: str
    target: str
    content: bytes
    headers: dict[str, str]
    idempotent: bool
    returns: Container[int]
    started_at: datetime
    began: float
    road: roads.Road | None = None
    sent: bool = False
    status: int | None = None
    bytes_in: int = 0
    outcome: str = OUTCOME_INTERRUPTED
    error: str = ""

    def took_ms(self) -> float:
        return (time.perf_counter() - self.began) * 1000


class Client:
    """Calls one system: politely, within limits, naming every failure. It tries once.

    Any httpx transport will do below; it is closed with the client. `PooledTransport` is driven without
    httpx's request and response objects, which cost as much as the rest of the call.
    """

    def __init__(
        self,
        *,
        system: str,
        base_url: str,
        limits: Limits,
        user_agent: str,
        clock: Callable[[], datetime],
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        tls: ssl.SSLContext | None = None,
        on_exchange: Callable[[Exchange], None] | None = None,
        road: roads.Road | None = None,
    ) -> None:
        """Prepare for calls under `base_url`; `on_exchange` hears of each call once and must not raise."""
        self._system, self._limits, self._clock, self._on_exchange = system, limits, clock, on_exchange
        self._road = road
        self._url = _checked_url(base_url, system=system)
        self._root = self._url.raw_path.decode("ascii").rstrip("/")
        port = self._url.port or _PORTS[self._url.scheme]
        self._origin = transports.Origin(self._url.scheme, self._url.raw_host.decode("ascii"), port)
        self._transport = transport or transports.PooledTransport(max_connections=limits.max_concurrent, tls=tls)
        self._timeouts = transports.Timeouts(
            limits.connect_s, limits.read_s, limits.read_s, limits.total_s, limits.total_s
        )
        self._headers = {
            "host": self._url.netloc.decode("ascii"),
            "user-agent": user_agent,
            "accept": "application/json",
            "accept-encoding": "identity",
            **_lower(headers),
        }
        self._last_headers: dict[str, str] = {}
        self._last_lines = transports.header_lines(_raw(self._headers))
        self._places = asyncio.Semaphore(limits.max_concurrent)
        self._next_at = 0.0

    async def post_json(self, path: str, payload: Any, *, operation: str, **options: Unpack[Options]) -> Reply:
        """Post a JSON document; see `request`."""
        options["headers"] = {"content-type": "application/json", **_lower(options.get("headers"))}
        return await self.request("POST", path, operation=operation, content=orjson.dumps(payload), **options)

    async def get(self, path: str, *, operation: str, **options: Unpack[Options]) -> Reply:
        """Ask for something; see `request`."""
        return await self.request("GET", path, operation=operation, **options)

    async def request(
        self, method: str, path: str, *, operation: str, content: bytes = b"", **options: Unpack[Options]
    ) -> Reply:
        """Call once, and give the answer if its status is 2xx or among `returns`.

        `path` is a template (`/dossiers/{code}`) under the base URL. Raises the errors of `outcomes`,
        and RemoteBusy where this call's own turn does not come within `total_s`.
        """
        road = options.get("road", self._road)
        call = _Call(
            method=method,
            target=self._target(path, options),
            content=content,
            headers={**_lower(road.headers() if road else None), **_lower(options.get("headers"))},
            idempotent=options.get("idempotent", method in _SAFE),
            returns=options.get("returns", _LOGIN_NEEDED),
            started_at=self._clock(),
            began=time.perf_counter(),
            road=road,
        )
        try:
            return await self._take_turn(call)
        except errors.HubError as error:
            call.outcome, call.error = error.code, str(error)
            raise
        finally:
            if self._on_exchange is not None:
                self._on_exchange(
                    Exchange(
                        system=self._system,
                        operation=operation,
                        method=method,
                        path=path.partition("?")[0],
                        status=call.status,
                        outcome=call.outcome,
                        started_at=call.started_at,
                        took_ms=call.took_ms(),
                        bytes_out=len(content) if call.sent else 0,
                        bytes_in=call.bytes_in,
                        message_id=options.get("message_id"),
                        error=call.error,
                    )
                )

    def address(self, path: str, **options: Unpack[Options]) -> str:
        """Give the whole address that a call to `path` goes to, for signatures that are made over it."""
        return f"{self._url.scheme}://{self._headers['host']}{self._target(path, options)}"

    def _target(self, path: str, options: Options) -> str:
        road = options.get("road", self._road)
        return self._root + (road.prefix if road else "") + _target(path, options)

    async def close(self) -> None:
        """Close the connections; calls under way fail."""
        await self._transport.aclose()

    async def _take_turn(self, call: _Call) -> Reply:
        if self._places.locked():
            try:
                async with asyncio.timeout(self._limits.total_s):
                    await self._places.acquire()
            except TimeoutError:
                raise self._no_turn(self._limits.total_s) from None
        else:
            await self._places.acquire()
        try:
            await self._pace()
            call.sent, call.started_at, call.began = True, self._clock(), time.perf_counter()
            reply = await self._carry(call)
        finally:
            self._places.release()
        call.outcome = OUTCOME_OK if 200 <= reply.status < 300 else OUTCOME_RETURNED
        return reply

    async def _pace(self) -> None:
        if self._limits.max_per_second is None:
            return
        now = asyncio.get_running_loop().time()
        turn_at = max(self._next_at, now)
        if turn_at - now > self._limits.total_s:
            raise self._no_turn(turn_at - now)
        self._next_at = turn_at + 1 / self._limits.max_per_second
        if turn_at - now >= 0.001:
            await asyncio.sleep(turn_at - now)

    def _no_turn(self, wait_s: float) -> errors.RemoteBusy:
        return errors.RemoteBusy(
            "The hub's own limit for calls to this system is used up; nothing was sent.",
            detail_vi="Đã dùng hết giới hạn gọi mà trục tự đặt cho hệ thống này; chưa gửi gì đi.",
            system=self._system,
            retry_after_s=max(1.0, wait_s),
        )

    async def _carry(self, call: _Call) -> Reply:
        try:
            answer = await self._exchange(call)
        except httpx.TransportError as error:
            call.sent = transports.was_sent(error)
            raise outcomes.failure_of(error, system=self._system, idempotent=call.idempotent) from error
        call.status, call.bytes_in = answer.status, len(answer.body)
        headers = _readable(answer.headers)
        if call.status not in call.returns or "x-road-error" in headers:
            refusal = outcomes.refusal_of(
                call.status, headers, system=self._system, idempotent=call.idempotent, now=self._clock()
            )
            if refusal is not None:
                raise refusal
        body = answer.body
        if body and headers.get("content-encoding", "identity") != "identity":
            body = self._unpacked(body, encoding=headers["content-encoding"])
        reply = Reply(call.status, headers, body, call.took_ms(), self._system)
        if call.road is not None and 200 <= call.status < 300:
            sent = {**self._headers, **call.headers}
            call.road.check(call.method, call.target, sent=sent, content=call.content, reply=reply)
        return reply

    async def _exchange(self, call: _Call) -> transports.Answer:
        if not isinstance(self._transport, transports.PooledTransport):
            return await self._exchange_by_httpx(self._transport, call)
        if call.headers != self._last_headers:
            self._last_lines = transports.header_lines(_raw({**self._headers, **call.headers}))
            self._last_headers = call.headers
        return await self._transport.exchange(
            self._origin,
            call.method.encode("ascii", "replace"),
            call.target.encode("ascii", "replace"),
            headers=self._last_lines,
            body=call.content,
            timeouts=self._timeouts,
            max_answer_bytes=self._limits.max_answer_bytes,
            idempotent=call.idempotent,
        )

    async def _exchange_by_httpx(self, below: httpx.AsyncBaseTransport, call: _Call) -> transports.Answer:
        connect_s, read_s, write_s, pool_s, _ = self._timeouts
        steps = {"connect": connect_s, "read": read_s, "write": write_s, "pool": pool_s}
        request = httpx.Request(
            call.method,
            self._url.copy_with(raw_path=call.target.encode("ascii", "replace")),
            headers=_raw({**self._headers, **call.headers}),
            content=call.content,
            extensions={"timeout": steps},
        )
        try:
            async with asyncio.timeout(self._limits.total_s):
                response = await below.handle_async_request(request)
                body = await _read(response, max_bytes=self._limits.max_answer_bytes)
        except TimeoutError as error:
            raise httpx.ReadTimeout("the answer did not end in the time allowed") from error
        return transports.Answer(response.status_code, response.headers.raw, body)

    def _unpacked(self, body: bytes, *, encoding: str) -> bytes:
        most = self._limits.max_answer_bytes
        unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
        try:
            plain = unpacker.decompress(body, most + 1) if encoding in _ENCODINGS else b""
        except zlib.error:
            plain = b""
        if not unpacker.eof or len(plain) > most:
            raise outcomes.garbled("the packed body cannot be unpacked, or is too large", system=self._system)
        return plain


def _checked_url(base_url: str, *, system: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in _PORTS or not url.host or url.userinfo or url.query or url.fragment:
        raise errors.Misconfigured(
            "The address of a system must be http(s)://host[:port][/path], without credentials and query.",
            detail_vi="Địa chỉ hệ thống phải có dạng http(s)://máy[:cổng][/đường-dẫn], không kèm tài khoản.",
            system=system,
        )
    return url


def _target(path: str, options: Options) -> str:
    values = options.get("path_values", {})
    if any(value in ("", ".", "..") for value in values.values()):
        raise errors.InvalidRequest(
            "A code that is part of an address is empty or not a code.",
            detail_vi="Mã dùng trong địa chỉ bị trống hoặc không phải là mã.",
        )
    if values:
        path = path.format_map({name: urllib.parse.quote(value, safe="") for name, value in values.items()})
    path = urllib.parse.quote(path, safe=_PATH_MARKS)
    query = options.get("query")
    if query:
        path += ("&" if "?" in path else "?") + urllib.parse.urlencode(query)
    return path


def _lower(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()} if headers else {}


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _readable(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def _read(response: httpx.Response, *, max_bytes: int) -> bytes:
    body = bytearray()
    if not isinstance(response.stream, httpx.AsyncByteStream):
        raise TypeError("the transport below gave an answer that cannot be awaited")
    try:
        async for chunk in response.stream:
            body += chunk
            if len(body) > max_bytes:
                raise transports.AnswerTooLarge("the answer has more bytes than may be read")
    finally:
        await response.aclose()
    return bytes(body)
