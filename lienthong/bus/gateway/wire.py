"""uvicorn's HTTP protocol, so that what it would answer or drop by itself reaches the door, and so the record."""

from __future__ import annotations

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

# In the scope of a request: the parser could not read it, and the connection that it came over.
UNREADABLE = "lienthong.unreadable"
CONNECTION = "lienthong.connection"
# The server bounds neither: so much may come beside bodies (first line, headers, trailers), and so late.
MOST_BESIDE_BODY = 65_536
HEADERS_WITHIN_S = 20.0


class Protocol(HttpToolsProtocol):
    """Hands the application requests that cannot be read, and those whose headers never came to their end.

    uvicorn (0.54) answers the former itself and forgets the latter. A scope that holds UNREADABLE has nothing
    in it that may be believed. What follows a body (trailers) is left out: the server would add it to the headers.
    """

    _has_begun = False
    _is_over = False
    _is_resuming = False
    _beside_body = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the server's own
        """Begin a connection."""
        super().connection_made(transport)
        self._set_deadline()

    def data_received(self, data: bytes) -> None:
        """Take in what came."""
        self._unset_keepalive_if_required()
        self._beside_body += len(data)
        try:
            while data:
                data = self._fed(data)
        except httptools.HttpParserError:
            self.send_400_response("")
            return
        if self._beside_body > MOST_BESIDE_BODY:
            self.send_400_response("")
        elif self._has_begun or self.cycle is None or self.cycle.response_complete:
            self._set_deadline()

    def on_message_begin(self) -> None:
        """Begin a request, as the server's parser calls it."""
        if self._is_resuming:
            return
        super().on_message_begin()
        self._has_begun = True
        # A name of our own in the scope: the server's type of it lists only its own.
        self.scope[CONNECTION] = self.transport  # type: ignore[literal-required]

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header of a request."""
        if self._has_begun:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Pass the request on: its headers are whole."""
        if self._is_resuming:
            return
        if sum(name == b"host" for name, _ in self.headers) > 1:
            raise httptools.HttpParserError("two hosts")  # RFC 9112 section 3.2
        super().on_headers_complete()
        self._has_begun = False
        self._beside_body = 0
        self._end_deadline()

    def on_body(self, body: bytes) -> None:
        """Take in a part of a body."""
        self._beside_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request; one that offers another protocol has not ended for its parser's saying so."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note a request that was cut off in its headers."""
        super().connection_lost(exc)
        self._end_deadline()
        if self._has_begun and not self._is_over:
            self._is_over = True
            self._pass_on(is_cut=True)

    def send_400_response(self, msg: str) -> None:
        """Let the application answer what cannot be read; called by the server for every further byte of it."""
        if self._is_over:
            return
        self._is_over = True
        cycle = self.cycle
        if self._has_begun or cycle is None or not cycle.more_body:
            self._pass_on(is_cut=False)
        elif cycle.response_complete:
            self.transport.close()  # the rest of what has its answer
        else:
            cycle.scope[UNREADABLE] = True  # type: ignore[literal-required]  # as above
            cycle.keep_alive, cycle.more_body = False, False
            cycle.message_event.set()

    def _fed(self, data: bytes) -> bytes:
        """Feed the parser; gives what it left.

        It stops behind the headers of a request that offers another protocol (Upgrade, as Java's client does), and
        leaves out the body. Offers may be passed over (RFC 9110 section 7.8): another parser goes on in its place.
        """
        try:
            self.parser.feed_data(data)
            return b""
        except httptools.HttpParserUpgrade as offer:
            framing = (b"content-length", b"transfer-encoding")
            lengths = b"".join(b"%s: %s\r\n" % line for line in self.headers if line[0] in framing)
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as the server's own
            self._is_resuming = True
            self.parser.feed_data(b"POST / HTTP/1.1\r\n%s\r\n" % lengths)
            self._is_resuming = False
            return data[offer.args[0] :]

    def _set_deadline(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEADERS_WITHIN_S, self.timeout_keep_alive_handler)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _pass_on(self, *, is_cut: bool) -> None:
        before, scope = self.cycle, self._scope()
        self.cycle = RequestResponseCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )
        self.cycle.more_body, self.cycle.disconnected = False, is_cut
        self.cycle.message_event.set()
        if is_cut or before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.pipeline.appendleft((self.cycle, self.app))

    def _scope(self) -> Any:
        return {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": self.root_path,
            "method": "",
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "headers": list(self.headers or ()) if self._has_begun else [],
            "state": self.app_state.copy(),
            UNREADABLE: True,
            CONNECTION: self.transport,
        }
