"""Whether anything about keys has changed: one small read for all keys of a process, instead of one for each.

Every change of a key, of its generations and of what it must prove is an act, written in the same transaction.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from lienthong.core import storage, tables

REMEMBERED_S = 0.5
# However unchanged the acts are, what was read this long ago is read again: a table may have been edited by hand.
REREAD_S = 10.0
# On PostgreSQL an act may become visible after acts with higher numbers, a long import of officials among them; so
# many of the newest are looked at, by their primary key.
_LOOK_BACK = 10_000
_a = tables.admin_acts
_NEWEST = sa.select(_a.c.number).order_by(_a.c.number.desc()).limit(_LOOK_BACK).subquery()
_MARK = sa.select(sa.func.count(), sa.func.max(_NEWEST.c.number), sa.func.sum(_NEWEST.c.number))
Mark = tuple[Any, ...]


class Changes:
    """Gives a mark that stays the same as long as nobody has done anything to the hub."""

    def __init__(self, store: storage.Storage, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._monotonic = monotonic
        self._mark: Mark = ()
        self._asked_at_s = float("-inf")
        self._reading = asyncio.Lock()

    async def mark(self) -> Mark:
        """Give the mark of at most half a second ago. Raises StorageUnavailable."""
        if self._is_fresh():
            return self._mark
        async with self._reading:
            if not self._is_fresh():
                # The age counts from before the read: an act during it is not remembered away.
                asked_at_s = self._monotonic()
                async with self._store.reading() as conn:
                    self._mark = tuple((await conn.execute(_MARK)).one())
                self._asked_at_s = asked_at_s
            return self._mark

    def _is_fresh(self) -> bool:
        return self._monotonic() - self._asked_at_s < REMEMBERED_S
