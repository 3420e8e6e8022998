"""What is normal for each key in the database: read at the start, written each few minutes, shown to people."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from lienthong.core import errors, storage, tables
from lienthong.monitoring import baselines, detection, watched_keys

HUB = "hub"
_t = tables.baselines


async def load(store: storage.Storage, watching: detection.Detection) -> int:
    """Give detection what was learned; of another version nothing is taken. Gives how many there were."""
    async with store.reading() as conn:
        rows = await storage.every(conn, sa.select(_t).where(_t.c.version == baselines.VERSION))
    for row in rows:
        name = row["entity"]
        key = watching.hub if name == HUB else watched_keys.WatchedKey(name.removeprefix("key="))
        key.restore(row["body"])
        if name != HUB:
            watching.keys[key.name] = key
    return len(rows)


async def save(store: storage.Storage, watching: detection.Detection, now: datetime) -> None:
    """Write the baselines of all keys that were heard of since they were last written."""
    rows = [
        {
            "entity": f"key={key.name}"[:300] if key.name else HUB,
            "version": baselines.VERSION,
            "revision": key.bounds.calls,
            "learned_until": now,
            "body": key.kept(),
        }
        for key in (watching.hub, *watching.keys.values())
        if key.changed()
    ]
    async with store.transaction() as tx:
        for row in rows:
            added = store.insert(_t).values(**row)
            values = {name: value for name, value in row.items() if name != "entity"}
            await tx.execute(added.on_conflict_do_update(index_elements=[_t.c.entity], set_=values))


async def clear(store: storage.Storage) -> None:
    """Forget all of it."""
    async with store.transaction() as tx:
        await tx.execute(_t.delete())


async def show(store: storage.Storage, key_id: str) -> dict[str, Any]:
    """Give what is normal for a key, as it was last written. Raises NotFound."""
    async with store.reading() as conn:
        row = await storage.first(conn, sa.select(_t).where(_t.c.entity == f"key={key_id}"))
    if row is None:
        raise errors.NotFound(
            "nothing is known yet of what is normal for this key",
            detail_vi="Chưa có mức bình thường nào được ghi cho khoá này.",
        )
    return row
