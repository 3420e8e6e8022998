"""Who used which key from where: first, last and how often, gathered in memory and written every few seconds.

Off the road of a request: a process that is killed forgets at most the counts of the last `SAVE_EVERY_S`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.core import errors, storage, tables

_log = logging.getLogger("lienthong.keys")
_t = tables.key_uses
SAVE_EVERY_S = 5.0
# Addresses remembered of one generation of a key in one process; whatever comes beyond is counted together.
MOST_ADDRESSES = 256
OTHERS = "others"
_BATCH = 500


@dataclass(slots=True)
class _Use:
    first_at: datetime
    last_at: datetime
    used: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Use:
    """From one address: when first and last, how often served, how often refused."""

    generation: int
    address: str
    first_at: datetime
    last_at: datetime
    used: int
    refused: int

    def as_json(self) -> dict[str, Any]:
        """Give one line of a key's uses."""
        return {
            "generation": self.generation,
            "address": self.address,
            "first_at": self.first_at.isoformat(),
            "last_at": self.last_at.isoformat(),
            "used": self.used,
            "refused": self.refused,
        }


class Uses:
    """Counts the uses of keys in this process; several processes add up in the database."""

    def __init__(self, store: storage.Storage) -> None:
        self._store = store
        self._waiting: dict[tuple[str, int, str], _Use] = {}
        self._addresses: dict[tuple[str, int], set[str]] = {}
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def note(self, key_id: str, generation: int, *, address: str, now: datetime, served: bool) -> None:
        """Count one request that came with a key that exists; waits for nothing."""
        known = self._addresses.setdefault((key_id, generation), set())
        if address not in known:
            if len(known) >= MOST_ADDRESSES:
                address = OTHERS
            else:
                known.add(address)
        place = (key_id, generation, address)
        use = self._waiting.get(place)
        if use is None:
            use = self._waiting[place] = _Use(now, now)
        use.last_at = now
        if served:
            use.used += 1
        else:
            use.refused += 1

    def start(self) -> None:
        """Begin to write every few seconds."""
        self._task = asyncio.get_running_loop().create_task(self._save_always(), name="key uses")

    async def stop(self) -> None:
        """Write the last counts; where the database is away they are lost, and it is said."""
        self._stopping.set()
        if self._task is not None:
            await self._task
        await self._try_to_save()

    async def save(self) -> None:
        """Add what was counted since the last time. Keeps it where the database does not answer."""
        while self._waiting:
            taken = {place: self._waiting.pop(place) for place in sorted(self._waiting)[:_BATCH]}
            try:
                # The default binds this turn's value; the checker cannot infer a lambda that has one.
                await self._store.write(lambda tx, taken=taken: self._write(tx, taken))  # type: ignore[misc]
            except BaseException:
                self._give_back(taken)
                raise

    async def _write(self, tx: AsyncConnection, taken: dict[tuple[str, int, str], _Use]) -> None:
        insert = self._store.insert(_t)
        new = insert.excluded
        adds = insert.on_conflict_do_update(
            index_elements=["key_id", "generation", "address"],
            set_={
                "used": _t.c.used + new.used,
                "refused": _t.c.refused + new.refused,
                "first_at": sa.case((new.first_at < _t.c.first_at, new.first_at), else_=_t.c.first_at),
                "last_at": sa.case((new.last_at > _t.c.last_at, new.last_at), else_=_t.c.last_at),
            },
        )
        rows = [
            {
                "key_id": key_id,
                "generation": generation,
                "address": address[:64],
                "first_at": use.first_at,
                "last_at": use.last_at,
                "used": use.used,
                "refused": use.refused,
            }
            for (key_id, generation, address), use in taken.items()
        ]
        await tx.execute(adds, rows)

    def _give_back(self, taken: dict[tuple[str, int, str], _Use]) -> None:
        for place, use in taken.items():
            later = self._waiting.get(place)
            if later is not None:
                use.last_at = later.last_at
                use.used, use.refused = use.used + later.used, use.refused + later.refused
            self._waiting[place] = use

    async def _try_to_save(self) -> None:
        try:
            await self.save()
        except errors.StorageUnavailable:
            _log.warning(
                "uses of keys cannot be written; they wait in memory", extra={"waiting": len(self._waiting)}
            )

    async def _save_always(self) -> None:
        # Ended by a sign, not by cancelling: a count that was written must also be known as written.
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), SAVE_EVERY_S)
            await self._try_to_save()


async def of_key(store: storage.Storage, key_id: str) -> list[Use]:
    """Give from where a key was used, the latest first."""
    async with store.reading() as conn:
        asked = sa.select(_t).where(_t.c.key_id == key_id).order_by(_t.c.last_at.desc())
        rows = await conn.execute(asked)
        return [Use(row.generation, row.address, row.first_at, row.last_at, row.used, row.refused) for row in rows]


async def totals(store: storage.Storage, *, key_id: str | None = None) -> dict[str, Use]:
    """Give for every key used so far (or one) its first and last use and its counts, from everywhere."""
    grouped = sa.select(
        _t.c.key_id,
        sa.func.max(_t.c.generation),
        sa.func.min(_t.c.first_at),
        sa.func.max(_t.c.last_at),
        sa.func.sum(_t.c.used),
        sa.func.sum(_t.c.refused),
    ).group_by(_t.c.key_id)
    if key_id is not None:
        grouped = grouped.where(_t.c.key_id == key_id)
    async with store.reading() as conn:
        rows = await conn.execute(grouped)
        return {
            key_id: Use(generation, "", first, last, int(used), int(refused))
            for key_id, generation, first, last, used, refused in rows
        }
