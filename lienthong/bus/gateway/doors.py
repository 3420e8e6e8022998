"""Doors: each turns what arrives into a request for an operation, and what comes of it into its own form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import orjson
from pydantic import BaseModel

from lienthong.api_keys import lookup, tokens
from lienthong.bus import operations
from lienthong.bus.gateway import answers, bodies, compat, entrance, rest, routes, visit
from lienthong.bus.hub import Hub
from lienthong.core import crypto, errors


class Request(Protocol):
    """One request at a door, as far as the front needs to know it; called in this order."""

    operation: operations.Operation

    async def identify(self) -> tuple[lookup.Known, tokens.Token | None]:
        """Find the key. Raises KeyRejected."""
        ...

    async def take_in(self, receive: bodies.Receive) -> bytes:
        """Give the body as it came."""
        ...

    async def signer(self) -> crypto.Certificate | None:
        """Give the certificate with which the message itself is signed. Raises ProofRejected."""
        ...

    def read(self) -> operations.Asked:
        """Read what is asked. Raises InvalidRequest."""
        ...

    def fingerprint(self) -> bytes:
        """Give bytes that are the same where the same request is sent again, and only there."""
        ...

    def answer(self, result: BaseModel) -> answers.Answer:
        """Write what came of it."""
        ...


class Door(Protocol):
    """One way in."""

    async def meet(self, coming: visit.Visit, receive: bodies.Receive) -> Request | answers.Answer:
        """Find out which operation is asked for; what asks for none has its answer at once. Raises HubError."""
        ...

    def problem(self, coming: visit.Visit, exc: errors.HubError) -> answers.Answer:
        """Write a refusal."""
        ...

    async def stop(self) -> None:
        """Give back what is held."""
        ...


class Rest:
    """JSON over HTTP; also the compatibility door, whose requests are translated first."""

    def __init__(self, hub: Hub, table: routes.Routes, doorkeeper: entrance.Entrance) -> None:
        self.hub = hub
        self.entrance = doorkeeper
        self._routes = table

    async def meet(self, coming: visit.Visit, receive: bodies.Receive) -> Request | answers.Answer:
        """See Door. Raises NotFound or MethodNotAllowed."""
        coming.route, methods, parts = self._routes.find(coming.path)
        if coming.method == "OPTIONS":
            coming.operation = "options"
            return answers.nothing(routes.allowed(methods))
        operation = methods.get("GET" if coming.method == "HEAD" else coming.method)
        if operation is None:
            raise errors.MethodNotAllowed(allow=routes.allowed(methods))
        coming.note_dossier(operation.name, parts)
        return _RestRequest(self, coming, operation, parts)

    def problem(self, coming: visit.Visit, exc: errors.HubError) -> answers.Answer:
        """See Door."""
        return answers.problem(exc, language=coming.language, request_id=coming.request_id)

    async def stop(self) -> None:
        """Nothing is held."""


class _RestRequest:
    __slots__ = ("_asked", "_coming", "_door", "_parts", "_raw", "operation")

    def __init__(
        self,
        door: Rest,
        coming: visit.Visit,
        operation: operations.Operation,
        parts: Mapping[str, str],
    ) -> None:
        self.operation = operation
        self._door = door
        self._coming = coming
        self._parts = parts
        self._raw = b""

    async def identify(self) -> tuple[lookup.Known, tokens.Token | None]:
        return await self._door.entrance.identify(self._coming, takes_both=self._coming.door == compat.DOOR)

    async def take_in(self, receive: bodies.Receive) -> bytes:
        limits = self._door.hub.settings.gateway
        if self.operation.body is not None:
            self._raw = await bodies.read(receive, self._coming.headers, limits)
        elif self._coming.door == compat.DOOR and self.operation.name == "tokens.issue":
            self._raw = await compat.read_form(receive, self._coming.headers, limits)
        return self._raw

    async def signer(self) -> crypto.Certificate | None:
        return None

    def read(self) -> operations.Asked:
        path = rest.read_path(self.operation, self._parts)
        query = rest.read_query(self.operation, self._coming.query)
        deepest = self._door.hub.settings.gateway.depth_limit
        body = rest.read_body(self.operation, self._raw, path, depth_limit=deepest)
        self._asked = operations.Asked(path, query, body)
        return self._asked

    def fingerprint(self) -> bytes:
        return orjson.dumps([self.operation.name, dict(self._asked.path)]) + b"\n" + self._raw

    def answer(self, result: BaseModel) -> answers.Answer:
        return rest.answer(self.operation, result)
