"""The state of each system that messages go to: active, paused by a person, suspended because it keeps failing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.core import storage, tables

ACTIVE, PAUSED, SUSPENDED = "active", "paused", "suspended"
_t = tables.targets


@dataclass(frozen=True, slots=True)
class Target:
    """One target as it stands: at `probe_at` a suspended one is probed, and a paused one goes on by itself."""

    name: str
    state: str = ACTIVE
    reason: str = ""
    failures_in_row: int = 0
    probe_at: datetime | None = None
    last_success_at: datetime | None = None


async def get(store: storage.Storage, name: str) -> Target:
    """Read one target; one that was never written is active."""
    async with store.reading() as conn:
        row = await storage.first(conn, sa.select(_t).where(_t.c.name == name))
    if row is None:
        return Target(name)
    return Target(**{key: row[key] for key in Target.__dataclass_fields__})


async def listed(store: storage.Storage) -> Sequence[Target]:
    """List every target that has a state of its own."""
    async with store.reading() as conn:
        rows = await storage.every(conn, sa.select(_t).order_by(_t.c.name))
    return [Target(**{key: row[key] for key in Target.__dataclass_fields__}) for row in rows]


async def put(
    tx: AsyncConnection, store: storage.Storage, target: Target, *, now: datetime, only_from: str = ""
) -> bool:
    """Write the state of a target; with `only_from`, only where it still has that state.

    A person may have paused it meanwhile; returns whether it was written.
    """
    values = {key: getattr(target, key) for key in Target.__dataclass_fields__} | {"changed_at": now}
    insert = store.insert(_t).values(**values)
    changed = {key: value for key, value in values.items() if key != "name"}
    where = (_t.c.state == only_from) if only_from else None
    done = await tx.execute(
        insert.on_conflict_do_update(index_elements=[_t.c.name], set_=changed, where=where).returning(_t.c.name)
    )
    return done.first() is not None
