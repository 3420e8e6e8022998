"""One kept HTTP/1.1 connection: what it carries, how it fails, and what the other side may have read."""

from __future__ import annotations

import asyncio
import math
import select
import ssl
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar, cast

import httptools
import httpx

Failure = TypeVar("Failure", bound=httpx.TransportError)

FRAMING = frozenset({b"content-length", b"transfer-encoding"})
# A head, or the chunk framing around a body, may not grow beyond this (framing: plus 8 bytes a byte of body).
_MAX_FRAMING_BYTES = 65_536
_GRACE_S = 0.05
_BEFORE_SENDING = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)


class AnswerTooLarge(httpx.RemoteProtocolError):
    """The answer is longer than the caller is willing to read."""


class AnswerMalformed(httpx.RemoteProtocolError):
    """What came back is not HTTP; a peer that merely closed too early is a plain RemoteProtocolError."""


class TlsFailed(httpx.ConnectError):
    """The two sides could not agree on a protected connection; the request cannot have been read."""


class Answer(NamedTuple):
    """A whole answer as it came: header names as spelled, body not decoded."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Timeouts(NamedTuple):
    """How long each step may take; None waits for ever.

    `read_s` runs from the request to the first byte and again between bytes; `total_s` bounds it all.
    """

    connect_s: float | None = None
    read_s: float | None = None
    write_s: float | None = None
    pool_s: float | None = None
    total_s: float | None = None

    @classmethod
    def from_extension(cls, timeout: Mapping[str, float | None]) -> Timeouts:
        """Read httpx's `timeout` extension, with `total` beside its four."""
        return cls(*(timeout.get(step) for step in ("connect", "read", "write", "pool", "total")))


def was_sent(error: httpx.TransportError) -> bool:
    """Tell whether the other side may have begun to read the request before this failure.

    Failures of other transports carry no mark: of those, only kinds that precede sending count as not sent.
    """
    return bool(getattr(error, "sent", not isinstance(error, _BEFORE_SENDING)))


class Connection(asyncio.Protocol):
    """One connection: carries one request at a time, and knows whether it may carry another."""

    _done: bool
    _head_done: bool
    _wire: int
    _size: int
    _headers: list[tuple[bytes, bytes]]
    _chunks: list[bytes]
    _problem: httpx.TransportError | None

    def __init__(self, loop: asyncio.AbstractEventLoop, *, forget: Callable[[Connection], None]) -> None:
        """Belong to a loop; `forget` is told when the connection is lost while it rests."""
        self._loop, self._forget = loop, forget
        self._parser = httptools.HttpResponseParser(self)
        self._poll = select.poll()
        self._uses = 0
        self._lost = self._resting = self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = self._due = self._total_at = math.inf
        self._timeouts = Timeouts()
        self._expect(head_only=False, max_bytes=0)

    def is_usable(self) -> bool:
        """Tell whether the peer has neither closed the connection nor said anything unasked.

        The socket itself is asked, because a close that has arrived may not have reached the loop yet.
        """
        return not (self._lost or self._transport.is_closing() or self._poll.poll(0))

    def is_clean(self) -> bool:
        """Tell whether the exchange just ended leaves the connection fit for another."""
        return self._keep and not self._lost and not self._transport.get_write_buffer_size()

    async def carry(
        self, request: bytes, *, head_only: bool, max_bytes: int, timeouts: Timeouts, total_at: float
    ) -> Answer:
        """Send one request in one write and wait for the whole answer; any failure closes the connection."""
        self._expect(head_only=head_only, max_bytes=max_bytes)
        self._timeouts, self._total_at = timeouts, total_at
        self._resting = False
        waiter = self._waiter = self._loop.create_future()
        try:
            self._transport.write(request)
            self._postpone()
            self._arm()
            await waiter
        except BaseException:
            self.abort()
            raise
        finally:
            self._waiter = None
            self._uses += 1
        return Answer(self._status, self._headers, b"".join(self._chunks))

    def rest(self, keep_idle_s: float) -> None:
        """Wait for the next request, but not for ever."""
        self._resting = True
        self._due = self._loop.time() + keep_idle_s
        self._arm()

    def abort(self) -> None:
        """Close at once, dropping what was not yet written."""
        self._lost = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket, once it is connected and protected."""
        self._transport = cast(asyncio.Transport, transport)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """Read on; a whole answer, or one that cannot become one, ends the exchange."""
        if self._waiter is None or self._done:
            self.abort()  # Bytes that nobody asked for must not become the answer to the next request.
            return
        self._heard = True
        self._wire += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._keep = False
            self._problem = self._problem or AnswerMalformed(f"the answer is not HTTP/1.1: {error}")
        if self._done:
            self._finish()
        elif self._problem is not None:
            self.fail(self._problem)
        elif self._wire - self._size > _MAX_FRAMING_BYTES + 8 * self._size:
            self.fail(AnswerMalformed("the answer has too much head or chunk framing"))
        else:
            self._postpone()

    def pause_writing(self) -> None:
        """Count the time as writing: the peer does not take the request."""
        self._paused = True

    def resume_writing(self) -> None:
        """Count the time as reading again."""
        self._paused = False
        self._postpone()
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the exchange: well, if the answer was to be read to the close, else with what went wrong."""
        self._lost = True
        if self._resting:
            self._forget(self)
        if self._waiter is None or self._done:
            self.abort()
        elif exc is None and self._is_read_to_close():
            self._done = True
            self._finish()
        else:
            self.fail(self._loss(exc))

    # What the parser calls. A second message in the same bytes finds `_done` set, and costs the connection.

    def on_message_begin(self) -> None:
        """Notice a second message."""
        if self._done:
            self._keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep one header."""
        if self._head_done:
            return  # Trailers come after the head was judged and may not add to it.
        self._headers.append((name, value))
        if len(name) == 14 and name.lower() == b"content-length":
            self._announced = value

    def on_headers_complete(self) -> None:
        """Judge the head: passed over, the whole answer, too large, or a body to wait for."""
        if self._done:
            return
        self._status = self._parser.get_status_code()
        if self._status < 200:
            self._headers = []
            return
        self._head_done = True
        if self._head_only:
            self._done, self._keep = True, self._parser.should_keep_alive()
            self._parser_spent = True
        elif self._status not in (204, 304) and int(self._announced) > self._max_bytes:
            self._problem = AnswerTooLarge("the answer announces more bytes than may be read")

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body, up to the limit."""
        if self._done:
            self._keep = False
            return
        self._size += len(body)
        if self._size <= self._max_bytes:
            self._chunks.append(body)
        elif self._problem is None:
            self._problem = AnswerTooLarge("the answer has more bytes than may be read")

    def on_message_complete(self) -> None:
        """Note that the answer is whole."""
        if self._head_done and not self._done and self._problem is None:
            self._done, self._keep = True, self._parser.should_keep_alive()

    def _expect(self, *, head_only: bool, max_bytes: int) -> None:
        self._head_only, self._max_bytes = head_only, max_bytes
        self._done = self._keep = self._heard = self._head_done = self._graced = self._parser_spent = False
        self._status = self._size = self._wire = 0
        self._announced = b"0"
        self._headers = []
        self._chunks = []
        self._problem = None

    def _finish(self) -> None:
        if self._parser_spent:  # It still waits for the body that an answer to HEAD only announces.
            self._parser = httptools.HttpResponseParser(self)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def fail(self, error: httpx.TransportError) -> None:
        """End the exchange with this failure, and the connection with it."""
        if self._waiter is not None and not self._waiter.done():
            sent = not isinstance(error, TlsFailed)
            self._waiter.set_exception(_marked(error, sent=sent, stale=self._uses > 0 and not self._heard))
        self.abort()

    def _loss(self, exc: Exception | None) -> httpx.TransportError:
        if isinstance(exc, ssl.SSLError) and self._uses == 0 and not self._heard:
            # TLS 1.3 refuses a client certificate only now; nothing was read before that.
            return TlsFailed(_tls_reason(exc))
        if self._paused:
            return httpx.WriteError("the connection was lost while the request was being written")
        if exc is not None:
            return httpx.ReadError("the connection was lost before the whole answer had come")
        return httpx.RemoteProtocolError("the peer closed the connection before the whole answer had come")

    def _is_read_to_close(self) -> bool:
        return self._head_done and not any(name.lower() in FRAMING for name, _ in self._headers)

    # One lazy timer a connection: steps move `_due`, and a timer that wakes too early re-arms itself.

    def _postpone(self) -> None:
        step_s = self._timeouts.write_s if self._paused else self._timeouts.read_s
        self._due = self._total_at if step_s is None else min(self._loop.time() + step_s, self._total_at)

    def _arm(self) -> None:
        if self._timer is not None:
            if self._timer_at <= self._due:
                return
            self._timer.cancel()
            self._timer = None
        if self._due < math.inf and not self._lost:
            self._timer_at = self._due
            self._timer = self._loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._loop.time() < self._due - 0.001:
            self._arm()
        elif self._resting:
            self._forget(self)
            self.abort()
        elif self._waiter is not None and not self._done:
            self._expire()

    def _expire(self) -> None:
        if not self._graced and self._poll.poll(0):
            # Our loop was late, not the peer: what already lies in the socket is read before judging.
            self._graced = True
            self._due = self._loop.time() + _GRACE_S
            self._arm()
        elif self._paused:
            self.fail(httpx.WriteTimeout("the request could not be written in the time allowed"))
        elif self._heard:
            self.fail(httpx.ReadTimeout("the answer began but did not end in the time allowed"))
        else:
            self.fail(httpx.ReadTimeout("no answer came in the time allowed"))


def _marked(error: Failure, *, sent: bool, stale: bool = False) -> Failure:
    error.sent = sent  # type: ignore[attr-defined]
    error.stale = stale  # type: ignore[attr-defined]
    return error


def unsent(error: Failure) -> Failure:
    """Mark a failure as one that came before the request left."""
    return _marked(error, sent=False)


def connect_failure(error: BaseException) -> httpx.TransportError | None:
    """Name why no connection came about; None for what is not ours to name (a cancellation, a defect)."""
    if isinstance(error, TimeoutError):
        return unsent(httpx.ConnectTimeout("no connection could be made in the time allowed"))
    if isinstance(error, ssl.SSLError):
        return unsent(TlsFailed(_tls_reason(error)))
    if isinstance(error, OSError | UnicodeError):
        return unsent(httpx.ConnectError(f"no connection could be made: {type(error).__name__}"))
    return None


def _tls_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {error.verify_message}"
    return f"TLS failed: {error.reason or type(error).__name__}"
