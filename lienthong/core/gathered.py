"""One statement for many writes: on PostgreSQL a transaction spends its time on the way there and back.

Writes whose outcome nobody asks about are kept until the next question, or the end, and go as one statement with
data-modifying parts (`with … as (update …)`). All of it is in the caller's transaction, as it would be one by one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")


class Gathering:
    """A connection as the work knows it, whose plain writes wait for each other."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Write through this connection."""
        self._connection = connection
        self._held: list[sa.Insert | sa.Update] = []

    async def execute(self, statement: sa.Executable, parameters: Any = None) -> Any:
        """Keep a plain write, giving nothing back; send what is kept before anything else, in its order."""
        write = _plain(statement, parameters)
        if write is None:
            await self.send()
            return await self._connection.execute(statement, parameters)
        if isinstance(write, sa.Update) and any(one.table is write.table for one in self._held):
            # Parts of one statement do not see each other: a row must not be changed in two of them.
            await self.send()
        self._held.append(write)
        return None

    async def send(self) -> None:
        """Send what is kept."""
        held, self._held = self._held, []
        if held:
            parts = [one.cte(f"write_{number}") for number, one in enumerate(held[:-1])]
            await self._connection.execute(held[-1].add_cte(*parts))


async def done(work: Callable[[AsyncConnection], Awaitable[T]], connection: AsyncConnection) -> T:
    """Do some work in the transaction of a connection, its writes gathered."""
    gathering = Gathering(connection)
    found = await work(cast("AsyncConnection", gathering))
    await gathering.send()
    return found


def _plain(statement: sa.Executable, parameters: Any) -> sa.Insert | sa.Update | None:
    """Give a write that tells nothing back, with its one row of values in it; None for anything else."""
    if not isinstance(statement, sa.Insert | sa.Update) or statement.returning_column_descriptions:
        return None
    if parameters is None:
        return statement
    rows: Sequence[Mapping[str, Any]] = parameters if isinstance(parameters, list) else [parameters]
    return statement.values(**rows[0]) if len(rows) == 1 else None
