"""The database: one writer at a time on SQLite, ordinary transactions on PostgreSQL, one face for both."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, InvalidRequestError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool

from lienthong.core import errors, gathered, group_commit, sqlite_driver

T = TypeVar("T")
Item = TypeVar("Item")

BUSY_TIMEOUT_S = 15.0
CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 20.0
# The server is starting, recovering, ending, out of room or gone: whoever comes later may be served.
_AWAY = ("08", "53", "57P")
_RETRY_SQLSTATES = {"40001", "40P01"}  # serialisation failure, deadlock: the transaction may simply be repeated


class Storage:
    """Where everything is kept. Opened once in a process, closed at its end."""

    def __init__(self, url: str, *, command_timeout_s: float | None = COMMAND_TIMEOUT_S) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite")
        self._write_lock = asyncio.Lock()
        self._desks: dict[gathered.Work[Any, Any], gathered.Desk] = {}
        if self.is_sqlite:
            _make_private(url)
            self._writer = _sqlite_engine(url, size=1)
            self._reader = _sqlite_engine(url, size=8)
            self._desk = group_commit.Desk(_plain_engine(url), self._write_lock, named_failures)
        else:
            self._writer = self._reader = create_async_engine(
                _async_url(url),
                # All are kept: one beyond would be made and thrown away for each use, with what it had prepared.
                pool_size=16,
                max_overflow=0,
                pool_timeout=10,
                hide_parameters=True,
                # A server that hangs must not hold a caller: better an honest 503.
                connect_args={"timeout": CONNECT_TIMEOUT_S, "command_timeout": command_timeout_s},
            )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Open one transaction for writing: all of it is kept, or nothing.

        On SQLite the write lock is taken at once, so that two writers never meet half-way. Raises
        StorageUnavailable where the database does not answer.
        """
        if not self.is_sqlite:
            async with named_failures(), self._writer.begin() as tx:
                yield tx
            return
        async with self._write_lock, named_failures(), self._connected() as tx:
            await tx.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield tx
            except BaseException:
                await _to_its_end(_roll_back(tx))
                raise
            await _to_its_end(tx.exec_driver_sql("COMMIT"))

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        """Take the writing connection. A cancellation waits until it is made: half made, it would hold a lock."""
        tx = self._writer.connect()
        try:
            await _to_its_end(tx.start())
            yield tx
        finally:
            if tx.sync_connection is not None:
                await _to_its_end(tx.close())

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Open a connection for reading only."""
        async with named_failures(), self._reader.connect() as conn:
            yield conn

    async def write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run `work` in a transaction, repeating it where the database asks for that (deadlock)."""
        for attempt in range(4):
            try:
                async with self.transaction() as tx:
                    return await work(tx)
            except DBAPIError as exc:
                if getattr(exc.orig, "sqlstate", None) not in _RETRY_SQLSTATES or attempt == 3:
                    raise
        raise errors.StorageUnavailable()

    async def together(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run `work` in a transaction that it may share with others who wait to write at the same moment.

        It comes back when its own is committed. What `work` raises undoes its own part; where the database fails,
        all who share hear StorageUnavailable. `work` waits for nothing but statements of its connection. On
        PostgreSQL each has a transaction of its own, repeated where the database asks for that: writers do not
        wait for each other there, and the server itself lets commits that meet share one wait for the disk.
        """
        if self.is_sqlite:
            found: T = await self._desk.write(work)
            return found
        return await self.write(work)

    async def gathered(self, work: gathered.Work[Item, T], item: Item) -> T | None:
        """Do `work` for `item`, and in the same transaction for all others that wait for it. None: take it alone.

        That is what `work` says of an item with None, and what is said of each where anything failed: then
        nothing of the group is written. It comes back when the group is committed; raises StorageUnavailable.
        `work`, a function of a module, must wait for nobody's lock, write no row with two statements, and ask
        nothing of a write.
        """
        if work not in self._desks:
            self._desks[work] = gathered.Desk(work, self.transaction, in_one_message=not self.is_sqlite)
        found: T | None = await self._desks[work].take(item)
        return found

    def insert(self, table: sa.Table) -> Any:
        """Give an INSERT that knows `on_conflict_do_…` in the words of this database."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    async def close(self) -> None:
        """Give back all connections."""
        for desk in self._desks.values():
            await desk.close()
        if self.is_sqlite:
            await self._desk.close()
        await self._writer.dispose()
        if self._reader is not self._writer:
            await self._reader.dispose()

    @property
    def engine(self) -> AsyncEngine:
        """The engine that writes, for migrations."""
        return self._writer


async def first(
    conn: AsyncConnection, statement: sa.Executable, values: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
    """Run a statement and give its first row by column names, or nothing."""
    row = (await conn.execute(statement, values)).first()
    return None if row is None else _by_name(row)


async def every(
    conn: AsyncConnection, statement: sa.Executable, values: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Run a statement and give all its rows by column names."""
    return [_by_name(row) for row in await conn.execute(statement, values)]


def _by_name(row: sa.Row[Any]) -> dict[str, Any]:
    # Plain texts for keys: the library's own kind of text is refused by JSON writers.
    return {str(name): value for name, value in row._mapping.items()}


async def _to_its_end(ending: Coroutine[Any, Any, Any]) -> None:
    """End a transaction before a cancellation goes on: a late COMMIT would meet the next writer's transaction."""
    task, cancelled = asyncio.ensure_future(ending), None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        raise cancelled


async def _roll_back(tx: AsyncConnection) -> None:
    """Undo a transaction; where the connection was cut in mid-statement, close it, which undoes it too."""
    try:
        await tx.exec_driver_sql("ROLLBACK")
    except (DBAPIError, InvalidRequestError):
        await tx.invalidate()


def _async_url(url: str) -> str:
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+asyncpg://" + url.removeprefix(prefix)
    return url


def sqlite_url(path: Path) -> str:
    """Give the URL of an embedded database file."""
    return f"sqlite+aiosqlite:///{path}"


def _make_private(url: str) -> None:
    """Create the database file so that only its owner can read it; what SQLite puts beside it follows."""
    path = Path(url.partition(":///")[2])
    if path.name and path.parent.is_dir():
        path.touch(mode=0o600)


def _sqlite_engine(url: str, *, size: int) -> AsyncEngine:
    engine = create_async_engine(
        url if "+aiosqlite" in url else url.replace("sqlite:", "sqlite+aiosqlite:", 1),
        poolclass=AsyncAdaptedQueuePool,
        pool_size=size,
        # None beyond the pool: each would be a thread and a connection that is closed after one reading.
        max_overflow=0,
        pool_timeout=60,
        # What failed is told with its statement; what it was given may be a person's name.
        hide_parameters=True,
        isolation_level="AUTOCOMMIT",
        module=sqlite_driver.driver(),
        # Readers are never in a transaction. The writer's connection is: where its COMMIT failed, this undoes it.
        skip_autocommit_rollback=size > 1,
        pool_reset_on_return=None if size > 1 else "rollback",
        connect_args={"timeout": BUSY_TIMEOUT_S},
    )

    _prepare_connections(engine.sync_engine)
    return engine


def _plain_engine(url: str) -> sa.Engine:
    """Make the engine that is used from one thread of its own."""
    return _prepare_connections(
        sa.create_engine(
            url.replace("+aiosqlite", ""),
            poolclass=NullPool,
            hide_parameters=True,
            isolation_level="AUTOCOMMIT",
            connect_args={"timeout": BUSY_TIMEOUT_S},
        )
    )


def _prepare_connections(engine: sa.Engine) -> sa.Engine:
    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        _use_wal(cursor)
        for pragma in (
            # FULL: a promise must survive the power going, not only the process.
            "synchronous=FULL",
            "foreign_keys=ON",
            "cache_size=-8000",
            "temp_store=MEMORY",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine


def _use_wal(cursor: Any) -> None:
    """Turn the write-ahead log on; while another process does so, SQLite refuses at once instead of waiting."""
    ends = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.05)


@asynccontextmanager
async def named_failures() -> AsyncIterator[None]:
    """Turn the driver's "cannot reach the database" into our own word for it; leave the rest as it is."""
    try:
        yield
    except IntegrityError:
        raise
    except (OperationalError, InterfaceError, TimeoutError, sa.exc.TimeoutError, OSError) as exc:
        raise errors.StorageUnavailable(reason=type(exc).__name__) from exc
    except DBAPIError as exc:
        if exc.connection_invalidated or str(getattr(exc.orig, "sqlstate", "")).startswith(_AWAY):
            raise errors.StorageUnavailable(reason=type(exc.orig).__name__) from exc
        raise
