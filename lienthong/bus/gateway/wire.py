"""uvicorn's HTTP protocol, so that what it would answer or drop by itself reaches the door, and so the record."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

# In the scope of a request: the parser could not read it, and the connection that it came over.
UNREADABLE = "lienthong.unreadable"
CONNECTION = "lienthong.connection"


class Protocol(HttpToolsProtocol):
    """Hands the application requests that cannot be read, and those whose headers never came to their end.

    uvicorn (0.54) answers the former itself and forgets the latter. A scope that holds UNREADABLE has nothing
    in it that may be believed.
    """

    _has_begun = False
    _is_over = False

    def on_message_begin(self) -> None:
        """Begin a request, as the server's parser calls it."""
        super().on_message_begin()
        self._has_begun = True
        # A name of our own in the scope: the server's type of it lists only its own.
        self.scope[CONNECTION] = self.transport  # type: ignore[literal-required]

    def on_headers_complete(self) -> None:
        """Pass the request on: its headers are whole."""
        super().on_headers_complete()
        self._has_begun = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note a request that was cut off in its headers."""
        super().connection_lost(exc)
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
