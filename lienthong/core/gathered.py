"""One work for many who wait: one transaction, one question about all of them, and their writes by their kind.

A transaction on PostgreSQL spends its time on the way there and back, one on SQLite in waiting for the disk. A
group in which anything fails is undone, and each of it is taken alone, so that what is wrong with one costs the
others nothing but time.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeGuard, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import visitors

from lienthong.core import errors, groups

Item = TypeVar("Item")
Told = TypeVar("Told")

Work = Callable[[AsyncConnection, Sequence[Item]], Awaitable[Sequence[Told | None]]]
# Bounds how long the first of a group waits for the last, and how long one transaction holds its rows.
MOST_TOGETHER = 32
_log = logging.getLogger("lienthong.storage")


class Desk:
    """Takes what one work is to be done for, and has it done for all that waits together."""

    def __init__(
        self,
        work: Work[Any, Any],
        transaction: Callable[[], AbstractAsyncContextManager[AsyncConnection]],
        *,
        in_one_message: bool,
    ) -> None:
        """Have `work` done in a transaction of this kind; see Gathering."""
        self._work, self._transaction, self._in_one_message = work, transaction, in_one_message
        self._queue = groups.Queue[Any](self._settle, turn=asyncio.Lock(), most=MOST_TOGETHER)

    async def take(self, item: Any) -> Any:
        """Have the work done for one more; None where it must be taken alone. Raises StorageUnavailable."""
        return await self._queue.served(item)

    async def close(self) -> None:
        """Do what waits."""
        await self._queue.close()

    async def _settle(self, group: groups.Group[Any]) -> None:
        # In a task of its own, whose failure is a fact here, whatever it is.
        (doing,), _ = await asyncio.wait([asyncio.create_task(self._done([item for item, _ in group]))])
        failure = doing.exception()
        if failure is not None:
            _log.warning("a group of %d was undone: %s", len(group), _named(failure))
        for number, (_, future) in enumerate(group):
            if future.done():
                continue
            if isinstance(failure, errors.StorageUnavailable):
                groups.fail(future, failure)
            else:
                future.set_result(doing.result()[number] if failure is None else None)

    async def _done(self, items: Sequence[Any]) -> Sequence[Any]:
        async with self._transaction() as tx:
            gathering = Gathering(tx, in_one_message=self._in_one_message)
            try:
                told = await self._work(cast("AsyncConnection", gathering), items)
            except errors.HubError as error:
                # It is about one of them, also where it is a sealed value that does not open.
                raise _Undone(error.code) from error
            await gathering.send()
        return told


class _Undone(Exception):
    """The work refused; not that the database could not be reached."""


def _named(failure: BaseException) -> str:
    """Say what went wrong without the values that it went wrong with."""
    return str(failure) if isinstance(failure, _Undone | errors.HubError) else type(failure).__name__


Shape = tuple[sa.Insert | sa.Update, tuple[str, ...]]
"""A statement with the names of its parameters: what many writes have in common."""


class Gathering:
    """A connection as the work knows it, whose plain writes are kept until the next question, or the end.

    Then they go by their statements, which should be made once, their values given beside them. No row may be
    written by two in between. `in_one_message`: all of them as one statement with data-modifying parts, which do
    not see each other; PostgreSQL only.
    """

    def __init__(self, connection: AsyncConnection, *, in_one_message: bool) -> None:
        """Write through this connection."""
        self._connection, self._in_one_message = connection, in_one_message
        self._held: dict[Shape, list[dict[str, Any]]] = {}

    async def execute(self, statement: sa.Executable, parameters: Any = None) -> Any:
        """Keep a write of one row, giving nothing back; send what is kept before anything else."""
        if not _is_plain(statement) or not isinstance(parameters, dict):
            await self.send()
            return await self._connection.execute(statement, parameters)
        self._held.setdefault((statement, tuple(sorted(parameters))), []).append(parameters)
        return None

    async def send(self) -> None:
        """Send what is kept."""
        held, self._held = self._held, {}
        if not self._in_one_message:
            for (statement, _), rows in held.items():
                await self._connection.execute(statement, rows)
        elif held:
            lists = {
                _parameter(number, name): [row[name] for row in rows]
                for number, ((_, names), rows) in enumerate(held.items())
                for name in names
            }
            await self._connection.execute(_as_one(tuple(held)), lists)


def _is_plain(statement: sa.Executable) -> TypeGuard[sa.Insert | sa.Update]:
    """Whether a statement writes and tells nothing back."""
    return isinstance(statement, sa.Insert | sa.Update) and not statement.returning_column_descriptions


@functools.lru_cache(maxsize=256)
def _as_one(shapes: tuple[Shape, ...]) -> sa.Executable:
    """Make one statement of several, each for any number of rows: its parameters are lists."""
    *parts, last = (_for_lists(number, *shape) for number, shape in enumerate(shapes))
    return last.add_cte(*(part.cte(f"write_{number}") for number, part in enumerate(parts)))


def _for_lists(number: int, statement: sa.Insert | sa.Update, names: tuple[str, ...]) -> sa.Insert | sa.Update:
    """Let a statement for one row take its parameters from the rows of so many lists."""
    columns = cast("sa.Table", statement.table).c
    binds = {one.key: one for one in visitors.iterate(statement) if isinstance(one, sa.BindParameter)}
    types = {name: _kind((columns if name in columns else binds)[name].type) for name in names}
    lists = (sa.bindparam(_parameter(number, name), type_=postgresql.ARRAY(kind)) for name, kind in types.items())
    named = (sa.column(name, kind) for name, kind in types.items())
    rows = sa.func.unnest(*lists).table_valued(*named).render_derived(name=f"rows_{number}")
    if isinstance(statement, sa.Insert):
        return statement.from_select(names, sa.select(rows))
    at = cast("sa.Update", visitors.replacement_traverse(statement, {}, functools.partial(_row_of, rows)))
    return at.values({name: rows.c[name] for name in names if name in columns})


def _kind(kind: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    # A text that is too long must be refused by its column; a cast to its length would cut it.
    return sa.Text() if isinstance(kind, sa.String) else kind


def _row_of(rows: sa.TableValuedAlias, one: Any, **_: Any) -> Any:
    return rows.c[one.key] if isinstance(one, sa.BindParameter) and one.key in rows.c else None


def _parameter(number: int, name: str) -> str:
    return f"{name}_{number}"
