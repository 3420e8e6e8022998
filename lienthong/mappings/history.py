"""Which mapping files and code lists were in force when: looked at at each start, kept when one changed."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from lienthong.core import storage, tables
from lienthong.mappings import engine

MOST = 50
_FOLDERS = ((Path(engine.SYSTEMS), "*.yml"), (Path(engine.SYSTEMS).parent / "codes", "*.csv"))
# Processes that start together must not each keep the same change.
_LOCK = 4_761_010
_v = tables.mapping_versions


@dataclass(frozen=True, slots=True)
class Version:
    """One file as it was from a moment on."""

    name: str
    digest: str
    content: str
    since: datetime


async def keep(store: storage.Storage, *, now: datetime) -> list[str]:
    """Keep every file that is not as it was at the last start; gives their names, none at the very first."""
    found = await asyncio.to_thread(_files)
    async with store.transaction() as tx:
        if not store.is_sqlite:
            await tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        newest = sa.select(sa.func.max(_v.c.number)).group_by(_v.c.name)
        rows = await storage.every(tx, sa.select(_v.c.name, _v.c.digest).where(_v.c.number.in_(newest)))
        held = {row["name"]: row["digest"] for row in rows}
        changed = [
            {"name": name, "digest": digest, "content": zlib.compress(raw, 9), "since": now}
            for name, (digest, raw) in found.items()
            if held.get(name) != digest
        ]
        if changed:
            await tx.execute(_v.insert(), changed)
    return [str(row["name"]) for row in changed] if held else []


async def of(store: storage.Storage, name: str) -> list[Version]:
    """List the versions of one file, such as `dvcqg_adapter.yml`, the newest first."""
    columns = [_v.c[field] for field in Version.__dataclass_fields__]
    wanted = sa.select(*columns).where(_v.c.name == name).order_by(_v.c.number.desc()).limit(MOST)
    async with store.reading() as conn:
        rows = await storage.every(conn, wanted)
    return [Version(**{**row, "content": zlib.decompress(row["content"]).decode()}) for row in rows]


async def since(store: storage.Storage) -> dict[str, datetime]:
    """Say of every file since when it is as it is."""
    newest = sa.select(sa.func.max(_v.c.number)).group_by(_v.c.name)
    async with store.reading() as conn:
        rows = await storage.every(conn, sa.select(_v.c.name, _v.c.since).where(_v.c.number.in_(newest)))
    return {row["name"]: row["since"] for row in rows}


def _files() -> dict[str, tuple[str, bytes]]:
    found = {}
    for folder, pattern in _FOLDERS:
        for path in sorted(folder.glob(pattern)):
            raw = path.read_bytes()
            found[path.name] = (hashlib.sha256(raw).hexdigest(), raw)
    return found
