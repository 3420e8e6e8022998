"""SQLite's asynchronous driver with one errand to its thread for each statement, where aiosqlite makes four.

A statement of SQLAlchemy over aiosqlite opens a cursor, executes, fetches and closes, and waits for the thread of
the connection each time; the waiting costs many times what SQLite does. Here all of it is done in one go.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import aiosqlite
from sqlalchemy.dialects.sqlite import aiosqlite as dialect


class _Cursor(dialect.AsyncAdapt_aiosqlite_cursor):
    """A cursor as SQLAlchemy wants one, that holds only what came back."""

    __slots__ = ("_facts",)

    def __init__(self, adapt_connection: Any) -> None:
        # Not the one above: it would go to the thread for a cursor that stands for nothing yet.
        self._adapt_connection = adapt_connection
        self._connection = adapt_connection._connection
        self._rows = deque()
        self._facts: tuple[Any, int, Any] = (None, -1, None)

    @property
    def description(self) -> Any:
        """What the columns of the last statement are called."""
        return self._facts[0]

    @property
    def rowcount(self) -> int:
        """How many rows the last statement touched."""
        return self._facts[1]

    @property
    def lastrowid(self) -> Any:
        """The number of the row that was inserted last."""
        return self._facts[2]

    def close(self) -> None:
        """Forget what came back."""
        self._rows.clear()

    async def _async_soft_close(self) -> None:
        """Nothing is open over there."""

    async def _execute_async(self, operation: Any, parameters: Any) -> Any:
        await self._at_once(_execute, operation, () if parameters is None else parameters)

    async def _executemany_async(self, operation: Any, seq_of_parameters: Any) -> Any:
        await self._at_once(_execute_many, operation, seq_of_parameters)

    async def _at_once(self, work: Callable[..., Any], operation: Any, parameters: Any) -> None:
        async with self._adapt_connection._execute_mutex:
            connection = self._connection
            rows, *facts = await connection._execute(work, connection._conn, operation, parameters)
        self._rows = deque(rows)
        self._facts = tuple(facts)


class _Connection(dialect.AsyncAdapt_aiosqlite_connection):
    __slots__ = ()

    _cursor_cls = _Cursor


class _Driver(dialect.AsyncAdapt_aiosqlite_dbapi):
    def connect(self, *arg: Any, **kw: Any) -> _Connection:
        return _Connection(self, super().connect(*arg, **kw)._connection)


def driver() -> Any:
    """Give the driver, for `create_async_engine(module=…)`."""
    return _Driver(aiosqlite, sqlite3)


_Told = tuple[Sequence[Any], Any, int, Any]


def _execute(connection: sqlite3.Connection, operation: str, parameters: Any) -> _Told:
    return _told(connection.execute(operation, parameters))


def _execute_many(connection: sqlite3.Connection, operation: str, parameters: Any) -> _Told:
    return _told(connection.executemany(operation, parameters))


def _told(cursor: sqlite3.Cursor) -> _Told:
    described = cursor.description
    rows = cursor.fetchall() if described else ()
    told = rows, described, cursor.rowcount, cursor.lastrowid
    cursor.close()
    return told
