"""A gateway in process for the stories of the door: small operations of the tests' own, and a client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from lienthong.api_keys import limits
from lienthong.bus import hub, operations
from lienthong.bus.gateway import app, callbacks
from lienthong.core import errors, ingest, tables


class Note(BaseModel):
    """A body with one field."""

    model_config = ConfigDict(extra="forbid")
    text: str = Field(max_length=100_000, description="Nội dung")


class Noted(BaseModel):
    """What became of it."""

    number: int = Field(description="Số")


@dataclass
class Desk:
    """Counts what really ran; `go` lets the slow operation end."""

    runs: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)
    started: asyncio.Event = field(default_factory=asyncio.Event)

    async def note(self, hub: hub.Hub, call: operations.Call, asked: operations.Asked) -> BaseModel:
        if asked.body is not None and asked.body.text == "conflict":
            raise errors.Conflict()
        if asked.body is not None and asked.body.text == "defect":
            raise ValueError(f"not for the log: {1099000001:012d}")
        self.runs += 1
        return Noted(number=self.runs)

    async def slow(self, hub: hub.Hub, call: operations.Call, asked: operations.Asked) -> BaseModel:
        self.started.set()
        await self.go.wait()
        return await self.note(hub, call, asked)

    def table(self) -> tuple[operations.Operation, ...]:
        rows = (
            ("notes.put", "POST", "/v1/notes", self.note, Note),
            ("notes.slow", "POST", "/v1/slow", self.slow, Note),
            ("notes.get", "GET", "/v1/notes", self.note, None),
            ("dossiers.look", "GET", "/v1/dossiers/{code}", self.note, None),
        )
        return tuple(
            operations.Operation(name, method, path, "x", "x", Noted, run, personal=False, body=body)
            for name, method, path, run, body in rows
        )


@asynccontextmanager
async def client(
    opened: hub.Hub,
    *,
    limiter: limits.Limiter | None = None,
    desk: Desk | None = None,
    key: str | None = None,
    address: str = "192.0.2.7",
    flows: Sequence[tuple[type, callbacks.Flow]] | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    """Open the gateway as a server would, and a client in front of it."""
    extra: dict[str, Any] = {"table": desk.table()} if desk else {}
    extra |= {} if flows is None else {"flows": flows}
    door = app.create_app(opened, limiter, **extra)
    await door.open()
    headers = {"X-API-Key": key} if key else {}
    transport = httpx.ASGITransport(door, client=(address, 5000))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://hub", headers=headers) as caller:
            yield caller
    finally:
        await door.close()


async def journal(opened: hub.Hub) -> list[sa.Row[Any]]:
    """Read every row of the journal, oldest first."""
    await opened.journal.flush()
    await ingest.Ingest(opened.settings.home / "spool", opened.storage).step()
    async with opened.storage.reading() as conn:
        return list(await conn.execute(sa.select(tables.exchanges).order_by(tables.exchanges.c.number)))
