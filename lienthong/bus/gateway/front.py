"""The front door, a raw ASGI application: every request passes here, and leaves exactly one row in the journal."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from pydantic import ValidationError

from lienthong.api_keys import gate
from lienthong.bus import operations
from lienthong.bus.gateway import (
    addresses,
    answers,
    bodies,
    book,
    callbacks,
    compat,
    credentials,
    doors,
    entrance,
    figures,
    idempotency,
    routes,
    soap,
    visit,
    wire,
)
from lienthong.bus.hub import Hub
from lienthong.core import access_record, errors

_log = logging.getLogger("lienthong.gateway")

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[visit.Scope, bodies.Receive, Send], Awaitable[None]]

VISIT = "lienthong.visit"  # where the pages behind find the visit in their scope
_API = b"/v1/"
_SWEEP_EVERY_S = 3600.0
_SAFE: answers.Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"vary", b"Accept-Language"),
]
# Errors whose text is about our code, never about what was sent.
_PLAIN = (TypeError, AttributeError, NameError, ImportError, NotImplementedError, RecursionError)


class Front:
    """Takes every request of a process: operations are served here, pages by the application behind."""

    def __init__(
        self,
        hub: Hub,
        gatekeeper: gate.Gate,
        pages: App,
        *,
        counted: figures.Figures,
        table: Sequence[operations.Operation] = operations.OPERATIONS,
        flows: Sequence[tuple[type, callbacks.Flow]] = (),
    ) -> None:
        self.hub = hub
        self.gate = gatekeeper
        self._pages = pages
        self._figures = counted
        self._addresses = addresses.Addresses(hub.settings.gateway.trusted_proxies)
        self._book = book.Book(hub)
        self._entrance = entrance.Entrance(hub, gatekeeper, known={operation.name for operation in table})
        self._rest: doors.Door = doors.Rest(hub, routes.Routes(table), self._entrance)
        self._soap: doors.Door = soap.Soap(hub, gatekeeper, self._entrance, table)
        self._callbacks: doors.Door = callbacks.Callbacks(hub, self._book, flows)
        self._sweeper: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    async def __call__(self, scope: visit.Scope, receive: bodies.Receive, send: Send) -> None:
        """Serve one request, or start and stop with the server."""
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1000})

    async def open(self) -> None:
        """Get ready: read what was used of the limits before."""
        self._book.open()
        await self.gate.start(self.hub.now())
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep(), name="idempotency")

    async def close(self) -> None:
        """Keep what must be kept."""
        self._closing.set()
        if self._sweeper is not None:
            await self._sweeper
        await self._entrance.stop()
        await self._soap.stop()
        await self.gate.stop()
        await self.hub.journal.flush()
        self._book.close()

    # ------------------------------------------------------------------------------------------ one request

    async def _serve(self, scope: visit.Scope, receive: bodies.Receive, send: Send) -> None:
        client = scope.get("client")
        address = self._addresses.of(client[0] if client else "", scope["headers"])
        coming = visit.Visit(scope, address=address, at=self.hub.now())
        door = self._rest
        try:
            if wire.UNREADABLE in scope:
                await _must_be_readable(scope, receive)
            if coming.path.startswith(callbacks.PATH):
                coming.door, door = callbacks.DOOR, self._callbacks
            elif credentials.is_in_address(coming.path, coming.query):
                raise credentials.refuse_in_address()
            elif coming.path == soap.PATH:
                coming.door, door = soap.DOOR, self._soap
            elif self.hub.settings.proof.lgsp_door and compat.is_here(coming.path):
                coming.door = compat.DOOR
                coming.official = compat.enter(coming, scope)
            if door is self._rest and not coming.path.startswith(_API):
                await self._show(coming, scope, receive, send)
                return
            answer = await self._answer(coming, scope, receive, door)
        except errors.HubError as exc:
            coming.note_refusal(exc)
            answer = door.problem(coming, exc)
        except asyncio.CancelledError:
            coming.outcome = "cancelled"
            self._write(coming, None, 0)
            raise
        except Exception as exc:  # the call entry: nobody gets a traceback
            _log_defect(coming, exc)
            answer = door.problem(coming, errors.InternalFault())
            if coming.is_answered:
                coming.outcome = answer.outcome
                self._write(coming, answer.status, 0)
                return
        coming.outcome = answer.outcome
        recorded = await self._write_down(coming, answer, door)
        if recorded is None:
            await _hang_up(scope, receive)
        else:
            await _send(coming, recorded, send)

    async def _write_down(
        self, coming: visit.Visit, answer: answers.Answer, door: doors.Door
    ) -> answers.Answer | None:
        """Write the record before the answer; where that cannot be, the answer says so and nothing else.

        Nothing is answered where not even the refusal could be kept.
        """
        record = self._record(coming, answer.decided, len(answer.body))
        try:
            await self._book.write(record, personal=coming.is_personal and answer.decided < 400)
        except errors.StorageUnavailable as exc:
            refusal = door.problem(coming, exc)
            told = record._replace(status=refusal.decided, outcome=exc.code, bytes_out=len(refusal.body))
            return refusal if exc.facts.get("is_recorded") or self._book.note(told) else None
        return answer

    async def _answer(
        self, coming: visit.Visit, scope: visit.Scope, receive: bodies.Receive, door: doors.Door
    ) -> answers.Answer:
        request = await door.meet(coming, receive)
        if isinstance(request, answers.Answer):
            return request
        operation = request.operation
        coming.operation, coming.is_personal = operation.name, operation.personal
        self._book.must_be_writable(personal=operation.personal)
        known, token = await request.identify()
        admission = await self.gate.admit_known(
            known, operation.name, address=coming.address, now=coming.at, personal=operation.personal
        )
        try:
            return await self._admitted(coming, scope, receive, request, admission, token)
        finally:
            self.gate.leave(admission)

    async def _admitted(
        self,
        coming: visit.Visit,
        scope: visit.Scope,
        receive: bodies.Receive,
        request: doors.Request,
        admission: gate.Admission,
        token: Any,
    ) -> answers.Answer:
        caller = admission.caller
        coming.key_id, coming.organisation = caller.key_id, caller.organisation
        coming.generation = admission.generation
        coming.limit_headers = answers.limit_headers(admission.decision)
        raw = await request.take_in(receive)
        coming.bytes_in = len(raw)
        if wire.UNREADABLE in scope:
            raise _unreadable()
        client = scope.get("client")
        proven = await self._entrance.prove(
            coming,
            scope,
            caller=caller,
            operation=coming.operation,
            body=raw,
            token=token,
            is_from_proxy=self._addresses.trusts(client[0] if client else ""),
            signer=await request.signer(),
        )
        coming.proofs = proven.kinds
        coming.assertion = credentials.assertion_of(coming.headers, coming.every_header)
        asked = request.read()
        call = operations.Call(
            caller,
            coming.request_id,
            coming.at,
            coming.language,
            coming.address,
            proven,
            coming.assertion,
            coming.official,
        )
        try:
            return await self._run(coming, request, call, asked)
        finally:
            coming.note_told(call.told)

    async def _run(
        self,
        coming: visit.Visit,
        request: doors.Request,
        call: operations.Call,
        asked: operations.Asked,
    ) -> answers.Answer:
        operation = request.operation
        name = idempotency.read_name(coming.every_header) if operation.method == "POST" else None
        if name is None:
            return request.answer(await operation.run(self.hub, call, asked))
        digest = self.hub.vault.digest(request.fingerprint(), purpose="idempotency")
        claim = idempotency.Claim(call.caller.key_id, name, digest)
        before = await idempotency.claim(self.hub, claim, now=call.now)
        if before is not None:
            return before
        call = dataclasses.replace(call, repeat=claim.as_id(self.hub.vault))
        try:
            answer = request.answer(await operation.run(self.hub, call, asked))
        except errors.HubError:
            # Nothing was promised: the request may be put right and sent again under the same name.
            await idempotency.abandon(self.hub, claim)
            raise
        settle = idempotency.settle if operation.keeps_answer else idempotency.settle_unkept
        await settle(self.hub, claim, answer)
        return answer

    async def _show(self, coming: visit.Visit, scope: visit.Scope, receive: bodies.Receive, send: Send) -> None:
        """Let the pages answer; their answer gets our headers, and its row before its last byte."""
        status, size = 500, 0

        async def pass_on(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                coming.is_answered, status = True, message["status"]
                route = scope.get("route")
                if route is not None:
                    coming.route, coming.operation = route.path, route.name
                message["headers"] = _with_ours(coming, list(message.get("headers", ())))
            else:
                size += len(message.get("body", b""))
                if not message.get("more_body") and not self._write(coming, status, size):
                    await _hang_up(scope, receive)
                    return
            await send(message)

        scope[VISIT] = coming
        await self._pages(scope, receive, pass_on)

    # ---------------------------------------------------------------------------------- journal and answers

    def _write(self, coming: visit.Visit, status: int | None, bytes_out: int) -> bool:
        """Write the record of a page, or of a request that was cut off; says whether it is kept."""
        return coming.is_written or self._book.note(self._record(coming, status, bytes_out))

    def _record(self, coming: visit.Visit, status: int | None, bytes_out: int) -> access_record.Record:
        coming.is_written = True
        took_s = time.perf_counter() - coming.started_s
        self._figures.count(coming.operation, coming.outcome, took_s)
        return coming.record(status=status, took_s=took_s, bytes_out=bytes_out)

    # ------------------------------------------------------------------------------------------ start, stop

    async def _live(self, receive: bodies.Receive, send: Send) -> None:
        await receive()
        try:
            await self.open()
        except errors.HubError as exc:
            await send({"type": "lifespan.startup.failed", "message": str(exc)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _sweep(self) -> None:
        # Ended by a sign, not by cancelling: a transaction is never torn in the middle.
        while not self._closing.is_set():
            try:
                await idempotency.sweep(self.hub, now=self.hub.now())
            except errors.StorageUnavailable:
                _log.warning("old Idempotency-Keys cannot be swept; trying again later")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), _SWEEP_EVERY_S)


def _with_ours(coming: visit.Visit, headers: answers.Headers) -> answers.Headers:
    """Add what every answer says, where the answer does not say it itself."""
    said = {name.lower() for name, _ in headers}
    ours = [
        (b"x-request-id", coming.request_id.encode()),
        *coming.limit_headers,
        *_SAFE,
        (b"content-language", coming.language.encode()),
    ]
    if coming.correlation is not None:
        ours.append((b"x-correlation-id", coming.correlation.encode()))
    return headers + [pair for pair in ours if pair[0] not in said]


async def _must_be_readable(scope: visit.Scope, receive: bodies.Receive) -> None:
    """Refuse what the server's parser could not read. Raises BodyCutOff where the connection has ended."""
    if (await receive())["type"] == "http.disconnect":
        raise errors.BodyCutOff(
            "The connection ended before the whole request had arrived.",
            detail_vi="Kết nối bị ngắt trước khi nhận đủ yêu cầu.",
            reason="cut off",
        )
    raise _unreadable()


def _unreadable() -> errors.InvalidRequest:
    return errors.InvalidRequest(
        "This is not a request in HTTP/1.1 that can be read; check its first line, its headers and its lengths.",
        detail_vi="Không đọc được: yêu cầu không đúng HTTP/1.1; hãy kiểm tra dòng đầu, tiêu đề và độ dài.",
        reason="malformed",
    )


async def _hang_up(scope: visit.Scope, receive: bodies.Receive) -> None:
    """End the connection without an answer, and wait until it has ended."""
    connection = scope.get(wire.CONNECTION)
    if connection is not None:
        connection.abort()
        while (await receive())["type"] != "http.disconnect":
            pass


async def _send(coming: visit.Visit, answer: answers.Answer, send: Send) -> None:
    headers = _with_ours(coming, answer.headers)
    if answer.status != 204:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    if answer.status == 408:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    body = b"" if coming.method == "HEAD" else answer.body
    await send({"type": "http.response.body", "body": body})


def _log_defect(coming: visit.Visit, exc: BaseException) -> None:
    """Log where it happened. The text of an error may repeat what was sent, so most of it stays out."""
    chain: list[str] = []
    cause: BaseException | None = exc
    while cause is not None and len(chain) < 5:
        said = str(cause) if isinstance(cause, _PLAIN) else ""
        if isinstance(cause, ValidationError):
            found = cause.errors(include_input=False, include_context=False, include_url=False)
            said = f"{cause.title} {[(problem['loc'], problem['type']) for problem in found]}"
        frames = "".join(traceback.format_tb(cause.__traceback__))
        chain.append(f"{type(cause).__name__} {said}\n{frames}")
        cause = cause.__cause__ or cause.__context__
    _log.error(
        "a defect met a request",
        extra={"request_id": coming.request_id, "operation": coming.operation, "defect": "\n".join(chain)},
    )
