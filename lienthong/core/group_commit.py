"""Group commit for SQLite: whoever waits to write a little is served in one transaction, one wait for the disk.

The work of each is the same coroutine that PostgreSQL runs in a transaction of its own. Here it is driven to its
end in the thread of the writing connection: its statements answer at once, so that it never really waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.core import errors, groups

Work = Callable[[AsyncConnection], Awaitable[Any]]
# Bounds how long the first of a group waits for the last.
MOST_TOGETHER = 64
# What is wrong with the values of one statement, and leaves all before it as it was.
_OF_ONE = (IntegrityError, DataError, InterfaceError, ProgrammingError)


class Desk:
    """Takes work and writes what waits together. `turn` is held while it writes: one writer at a time."""

    def __init__(
        self, engine: sa.Engine, turn: asyncio.Lock, named: Callable[[], AbstractAsyncContextManager[None]]
    ) -> None:
        self._engine, self._named = engine, named
        self._queue = groups.Queue[Work](self._settle, turn=turn, most=MOST_TOGETHER)
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sa.Connection | None = None

    async def write(self, work: Work) -> Any:
        """Have `work` done; comes back when it is on the disk. Raises what it raised, or StorageUnavailable.

        Who stops waiting before its group begins has nothing written; later, it is written all the same.
        """
        return await self._queue.served(work)

    async def close(self) -> None:
        """Write what waits, and give the connection back."""
        await self._queue.close()
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, self._let_go)
            thread.shutdown(wait=False)

    async def _settle(self, group: groups.Group[Work]) -> None:
        works = [work for work, _ in group]
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="group-commit")
        writing = asyncio.get_running_loop().run_in_executor(self._thread, self._write, works)
        try:
            await _to_its_end(writing)
        finally:
            failure = writing.exception()
            try:
                if failure is not None:
                    async with self._named():
                        raise failure
            except (errors.StorageUnavailable, DBAPIError) as exc:
                failure = exc
            for number, (_, future) in enumerate(group):
                if future.done():
                    continue
                if failure is None:
                    writing.result()[number].tell(future)
                else:
                    groups.fail(future, failure)

    # ------------------------------------------------------------------------------------------- in its thread

    def _write(self, works: Sequence[Work]) -> list[_Told]:
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            self._connection.exec_driver_sql("BEGIN IMMEDIATE")
            if len(works) == 1:
                told = [_done(self._connection, works[0])]
            else:
                told = [_one(self._connection, work) for work in works]
            is_undone = len(works) == 1 and told[0].raised is not None
            self._connection.exec_driver_sql("ROLLBACK" if is_undone else "COMMIT")
        except BaseException:
            # Whatever state the connection is in: closing it undoes what was not committed.
            self._let_go()
            raise
        return told

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()


class _Told:
    """What came of one's work; around the work, it takes up what is raised, for whoever waits for this work."""

    __slots__ = ("raised", "value")

    def __init__(self) -> None:
        self.value: Any = None
        self.raised: BaseException | None = None

    def __enter__(self) -> _Told:
        return self

    def __exit__(self, kind: object, raised: BaseException | None, traceback: object) -> bool:
        cause = raised.__cause__ if isinstance(raised, errors.StorageUnavailable) else raised
        if isinstance(cause, DBAPIError) and not isinstance(cause, _OF_ONE):
            # SQLite may have undone the whole transaction: nothing more may be written as if it stood.
            return False
        self.raised = raised
        return isinstance(raised, Exception)

    def tell(self, future: asyncio.Future[Any]) -> None:
        """Pass it on."""
        if self.raised is None:
            future.set_result(self.value)
        else:
            future.set_exception(self.raised)


class _Direct:
    """A connection as the work knows it, whose statements are answered on the spot."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    async def execute(self, statement: sa.Executable, parameters: Any = None) -> Any:
        return self._connection.execute(statement, parameters)

    async def exec_driver_sql(self, statement: str, parameters: Any = None) -> Any:
        return self._connection.exec_driver_sql(statement, parameters)


def _one(connection: sa.Connection, work: Work) -> _Told:
    """Do one's work; what it raises undoes its own part only, except where the database itself fails."""
    connection.exec_driver_sql("SAVEPOINT one")
    told = _done(connection, work)
    if told.raised is not None:
        connection.exec_driver_sql("ROLLBACK TO one")
    connection.exec_driver_sql("RELEASE one")
    return told


def _done(connection: sa.Connection, work: Work) -> _Told:
    with _Told() as told:
        told.value = _driven(cast("Coroutine[Any, Any, Any]", work(cast("AsyncConnection", _Direct(connection)))))
    return told


def _driven(work: Coroutine[Any, Any, Any]) -> Any:
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    work.close()
    raise TypeError("work that shares a transaction waits for nothing but its database")


async def _to_its_end(writing: asyncio.Future[Any]) -> None:
    """Wait for the thread even where we are cancelled: the turn must not pass on while it writes."""
    cancelled = None
    while not writing.done():
        try:
            await asyncio.wait({writing})
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        raise cancelled
