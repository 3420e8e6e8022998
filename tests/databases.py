"""Databases with every table in them: made once in a process, then copied (SQLite) or emptied and lent again.

Making the tables anew takes a second on PostgreSQL, and stories want hundreds of databases.
"""

from __future__ import annotations

import asyncio
import functools
import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import clear_text
import sqlalchemy as sa
from alembic import command
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from lienthong.core import migrations, storage, tables

T = TypeVar("T")

# What a test may have changed that emptying does not undo: such a database is not lent again.
_SHAPE = """
    select concat(
        (select string_agg(concat(relname, relkind, relnatts), ',' order by relname) from pg_class
            where relnamespace = current_schema()::regnamespace),
        (select string_agg(conname, ',' order by conname) from pg_constraint
            where connamespace = current_schema()::regnamespace),
        (select count(*) from pg_trigger)
    )
"""
_EMPTY = """
    do $$ declare one record; begin
        perform pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid();
        set local session_replication_role = replica;
        for one in select oid::regclass as name from pg_class
            where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p')
            and not relispartition and relname <> 'alembic_version'
        loop execute format('delete from %s', one.name); end loop;
        perform setval(format('%I.%I', schemaname, sequencename)::regclass, 1, false) from pg_sequences
            where last_value is not null;
    end $$
"""


def compile_once() -> None:
    """Let all databases of this process share what SQLAlchemy makes of a statement: SQL, and how rows are read.

    Each engine has a cache of its own for it, whose keys name the engine's dialect. Every test opens new engines
    and would compile again what the test before it compiled: a quarter of its work.
    """
    shared = sa.util.LRUCache[Any, Any](10_000)
    for kind in (PGDialect_asyncpg, SQLiteDialect_aiosqlite, SQLiteDialect_pysqlite):
        # One version of each database is here, so two dialects of a kind write and read alike.
        kind.__eq__ = lambda self, other: type(self) is type(other)  # type: ignore[method-assign, assignment]
        kind.__hash__ = lambda self: hash(type(self))  # type: ignore[method-assign, assignment]

    @sa.event.listens_for(sa.Engine, "engine_connect")
    def _share(connection: sa.Connection) -> None:
        connection.engine._compiled_cache = shared


def sqlite(path: Path) -> str:
    """Put an SQLite database with all tables there, where none is yet; gives its URL."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(_sqlite_with_tables())
    return storage.sqlite_url(path)


@functools.cache
def _sqlite_with_tables() -> bytes:
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    with engine.begin() as connection:
        _make_tables(connection)
    raw = engine.raw_connection().driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw.serialize()


async def make_tables(store: storage.Storage) -> None:
    """Make all tables in an empty database."""
    async with store.engine.begin() as connection:
        await connection.run_sync(_make_tables)


def _make_tables(connection: sa.Connection) -> None:
    tables.metadata.create_all(connection)
    command.stamp(migrations.config(connection), "head")


class Postgres:
    """The databases of one server. Each is lent to one test at a time, with all tables and not a row."""

    def __init__(self, url: Callable[[str], str]) -> None:
        """Take the server whose databases have these URLs."""
        self.url = url
        # One loop for all, with the connections that tidy up: see `_tidied`.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._tidying: dict[str, asyncpg.Connection] = {}
        self._free: list[str] = []
        self._made = 0
        self._shape = ""

    @contextmanager
    def with_tables(self) -> Iterator[str]:
        """Lend a database with all tables."""
        name = self._free.pop() if self._free else self._make()
        yield self.url(name)
        if self._runner.run(self._tidied(name)):
            self._free.append(name)
        else:
            self._drop(name)

    def close(self) -> None:
        """Let go of the server."""
        for connection in self._tidying.values():
            self._runner.run(connection.close())
        self._runner.close()

    def _make(self) -> str:
        self._made += 1
        name = f"story_{self._made}"
        _run(self.url("postgres"), lambda server: server.execute(f"create database {name}"))
        asyncio.run(_opened_once(self.url(name)))
        self._shape = _run(self.url(name), lambda database: database.fetchval(_SHAPE))
        return name

    async def _tidied(self, name: str) -> bool:
        """Empty a database; says whether it may be lent again.

        By a connection that stays open: a new one would first read all there is to know about every table.
        """
        for _ in range(2):
            kept = self._tidying.get(name)
            if kept is None or kept.is_closed():
                kept = self._tidying[name] = await asyncpg.connect(self.url(name))
            try:
                return await self._emptied(kept)
            except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError):
                # A test may have ended every connection, or the server.
                self._tidying.pop(name).terminate()
        raise AssertionError(f"{name}: PostgreSQL ends every connection")

    async def _emptied(self, database: asyncpg.Connection) -> bool:
        await clear_text.look_into_postgres(database)
        await database.execute(_EMPTY)
        return bool(await database.fetchval(_SHAPE) == self._shape)

    def _drop(self, name: str) -> None:
        self._runner.run(self._tidying.pop(name).close())
        _run(self.url("postgres"), lambda server: server.execute(f"drop database {name} with (force)"))


async def _opened_once(url: str) -> None:
    store = storage.Storage(url)
    await make_tables(store)
    await store.close()


def _run(url: str, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    async def go() -> T:
        connection = await asyncpg.connect(url)
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(go())
