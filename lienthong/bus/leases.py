"""Leases: who may do a thing that only one may do at a time. They run out when their owner dies."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from lienthong.core import storage, tables

_t = tables.leases


async def take(store: storage.Storage, name: str, *, owner: str, now: datetime, for_s: float) -> bool:
    """Take or renew a lease; False where another owner holds it."""
    until = now + timedelta(seconds=for_s)
    insert = store.insert(_t).values(name=name, owner=owner, until=until)
    free_or_ours = sa.or_(_t.c.owner == owner, _t.c.until <= now)
    taken = insert.on_conflict_do_update(
        index_elements=[_t.c.name], set_={"owner": owner, "until": until}, where=free_or_ours
    ).returning(_t.c.owner)
    async with store.transaction() as tx:
        return (await tx.execute(taken)).first() is not None


async def release(store: storage.Storage, name: str, *, owner: str) -> None:
    """Give a lease back; nothing happens where it is no longer ours."""
    async with store.transaction() as tx:
        await tx.execute(_t.delete().where(_t.c.name == name, _t.c.owner == owner))


async def holder(store: storage.Storage, name: str, *, now: datetime) -> str | None:
    """Say who holds a lease at this moment."""
    async with store.reading() as conn:
        return (await conn.execute(sa.select(_t.c.owner).where(_t.c.name == name, _t.c.until > now))).scalar()
