"""The book: a row for every exchange across the border, in or out, refused or served.

Calls that the hub makes come here: gathered for some milliseconds, numbered and written together, then sealed
with the calls that came in by the spool. Nothing below `monitoring` knows that anybody reads it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from contextvars import ContextVar
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import StatementError
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.core import bulk, errors, storage, tables

_log = logging.getLogger("lienthong.journal")
# How the nodes begin that rows are numbered under: one for each process, and none of the spool's begins so.
NODE = "out-"
FLUSH_S = 0.05
FLUSH_ROWS = 500
MOST_WAITING = 50_000


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange across the border.

    `direction` is `in` for a request that reached the gateway and `out` for a call the hub made; `route` is a
    template, never the raw path; `outcome` is `ok` or the code of an error; `detail` is sealed by the writer.
    """

    at: datetime
    direction: str
    request_id: str
    system: str
    operation: str
    method: str
    route: str
    outcome: str
    took_ms: float
    status: int | None = None
    message_id: str | None = None
    key_id: str | None = None
    organisation: str | None = None
    address: str | None = None
    dossier_code: str | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    detail: bytes | None = None


# Not dataclasses.asdict, which copies every value: a busy hub writes thousands of rows a second.
_COLUMNS = tuple(field.name for field in fields(Exchange))


@dataclass(frozen=True, slots=True)
class About:
    """What an outgoing call is made for: the request that asked for it, its dossier and its official."""

    request_id: str
    dossier_code: str | None = None
    official: str | None = None


# Set around the work on one message; a call made inside knows by it what it is made for.
about: ContextVar[About | None] = ContextVar("about", default=None)


class Journal:
    """Takes exchanges without making the caller wait, and writes them in batches.

    Rows get a node and a number without gaps as those of the spool do, in the order in which they are committed.
    """

    def __init__(self, store: storage.Storage) -> None:
        self._store = store
        self.node = f"{NODE}{secrets.token_hex(8)}"
        self._number = 0
        self._waiting: list[Exchange] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        self.lost = 0

    def write(self, exchange: Exchange) -> None:
        """Take one exchange. Never blocks; the row is in the database within some tens of milliseconds."""
        if len(self._waiting) >= MOST_WAITING:
            self.lost += 1
            return
        self._waiting.append(exchange)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._flush_soon(), name="journal")
        elif len(self._waiting) >= FLUSH_ROWS:
            self._wake.set()

    async def flush(self) -> None:
        """Write everything taken so far; called before a process ends. Keeps the rows where it cannot."""
        async with self._writing:
            while self._waiting:
                await self._write_first(FLUSH_ROWS)

    async def _write_first(self, count: int) -> None:
        """Write the oldest rows and only then strike them off; one that the database refuses costs itself only."""
        rows = self._waiting[:count]
        values = [
            {**{name: getattr(row, name) for name in _COLUMNS}, "node": self.node, "number_in_node": number}
            for number, row in enumerate(rows, self._number + 1)
        ]
        try:
            # Together with whoever writes at this moment: one wait for the disk less.
            await self._store.together(lambda tx: self._insert(tx, values))
        except StatementError as exc:
            if len(rows) > 1:
                for _ in rows:
                    await self._write_first(1)
                return
            self.lost += 1
            facts = {"request_id": rows[0].request_id, "why": type(exc).__name__}
            _log.error("the database refuses a row of the journal; it is lost", extra=facts)
        self._number += len(rows)
        del self._waiting[: len(rows)]

    async def _insert(self, tx: AsyncConnection, values: bulk.Rows) -> None:
        # Where a commit was answered by silence, the rows may be there already.
        await bulk.insert(self._store, tx, tables.exchanges, values, keep_old=True)

    async def _flush_soon(self) -> None:
        pause_s = FLUSH_S
        while self._waiting:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause_s)
            self._wake.clear()
            try:
                await self.flush()
                pause_s = FLUSH_S
            except errors.StorageUnavailable:
                pause_s = min(pause_s * 2, 5.0)
                _log.warning("the journal cannot be written; rows wait", extra={"waiting": len(self._waiting)})


async def nodes(conn: AsyncConnection) -> list[str]:
    """Name the processes whose outgoing calls are in the hot store, stepping through the index."""
    column, found, last = tables.exchanges.c.node, list[str](), ""
    while (name := (await conn.execute(sa.select(sa.func.min(column)).where(column > last))).scalar()) is not None:
        # What begins so is told apart here: the database may sort hyphens by rules of its own.
        found += [name] if name.startswith(NODE) else []
        last = name
    return found


async def write_act(
    tx: AsyncConnection,
    act: str,
    subject: str,
    *,
    actor: str,
    now: datetime,
    reason: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    outcome: str = "done",
) -> None:
    """Write down what a person did to the hub, in the transaction that does it. Never holds a key or a name."""
    await tx.execute(
        tables.admin_acts.insert().values(
            at=now,
            actor=actor[:100],
            act=act,
            object=subject[:200],
            reason=reason[:500],
            before=before,
            after=after,
            outcome=outcome,
        )
    )
