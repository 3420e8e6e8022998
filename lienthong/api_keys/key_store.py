"""Keys and their generations in the database: found by digest in one step, listed, shown, written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import key_text
from lienthong.api_keys.key_records import Generation, KeyRecord
from lienthong.core import crypto, errors, storage, tables

_keys, _generations = tables.api_keys, tables.key_generations
_LISTS = ("grants", "limits", "addresses", "hours")
_OF_A_KEY = tuple(part.name for part in fields(KeyRecord))
_OF_A_GENERATION = tuple(part.name for part in fields(Generation))
_JOINED = sa.select(
    _keys, *(_generations.c[name].label(f"generation_{name}") for name in _OF_A_GENERATION)
).join_from(_keys, _generations, _generations.c.key_id == _keys.c.id)


async def find(store: storage.Storage, digest: str) -> tuple[KeyRecord, Generation] | None:
    """Look a key up by the digest of what was presented; revoked, expired and ended ones are found too."""
    async with store.reading() as conn:
        row = (await conn.execute(_JOINED.where(_generations.c.digest == digest))).one_or_none()
    if row is None or not crypto.is_same(row.generation_digest, digest):
        return None
    facts = row._mapping
    return _record(facts), Generation(**{name: facts[f"generation_{name}"] for name in _OF_A_GENERATION})


async def list_keys(store: storage.Storage) -> list[KeyRecord]:
    """Give every key ever issued, newest first."""
    async with store.reading() as conn:
        rows = await conn.execute(sa.select(_keys).order_by(_keys.c.issued_at.desc(), _keys.c.id))
        return [_record(row._mapping) for row in rows]


async def show(store: storage.Storage, name: str) -> KeyRecord:
    """Give one key by its id, or by the shown prefix of any of its generations. Raises NotFound."""
    name = shown(name)
    by_prefix = sa.select(_generations.c.key_id).where(_generations.c.prefix == name)
    async with store.reading() as conn:
        asked = sa.select(_keys).where(sa.or_(_keys.c.id == name, _keys.c.id.in_(by_prefix)))
        rows = (await conn.execute(asked)).all()
    if len(rows) != 1:
        raise _unknown(several=len(rows) > 1)
    return _record(rows[0]._mapping)


async def generations(store: storage.Storage, key_id: str) -> list[Generation]:
    """Give every generation of a key, the newest first."""
    async with store.reading() as conn:
        asked = sa.select(_generations).where(_generations.c.key_id == key_id)
        rows = await conn.execute(asked.order_by(_generations.c.number.desc()))
        return [Generation(**dict(row._mapping)) for row in rows]


async def read_for_change(tx: AsyncConnection, key_id: str) -> KeyRecord:
    """Read a key that is about to be changed, so that nobody else changes it in between."""
    row = (await tx.execute(sa.select(_keys).where(_keys.c.id == key_id).with_for_update())).one()
    return _record(row._mapping)


async def add(tx: AsyncConnection, record: KeyRecord) -> None:
    """Write a new key."""
    row = {name: getattr(record, name) for name in _OF_A_KEY}
    await tx.execute(_keys.insert(), {**row, **{name: list(row[name]) for name in _LISTS}})


async def add_generation(tx: AsyncConnection, generation: Generation) -> None:
    """Write a new generation of a key."""
    await tx.execute(_generations.insert(), {name: getattr(generation, name) for name in _OF_A_GENERATION})


async def change(tx: AsyncConnection, key_id: str, values: Mapping[str, Any]) -> KeyRecord:
    """Change some facts of a key and give it as it is then."""
    if values:
        plain = {name: list(value) if name in _LISTS else value for name, value in values.items()}
        await tx.execute(_keys.update().where(_keys.c.id == key_id).values(**plain))
    return await read_for_change(tx, key_id)


def shown(name: str) -> str:
    """Cut a whole key, pasted where its id belongs, down to the part that may be written."""
    name = name.strip().rstrip("…")
    return key_text.prefix(name) if name.startswith("lt_") else name


def _record(facts: Mapping[Any, Any]) -> KeyRecord:
    row = {name: facts[name] for name in _OF_A_KEY}
    return KeyRecord(**{**row, **{name: tuple(row[name]) for name in _LISTS}})


def _unknown(*, several: bool) -> errors.NotFound:
    if several:
        return errors.NotFound(
            "Several keys begin like this; name the key by its id, see `lienthong keys list --json`.",
            detail_vi="Có nhiều khoá cùng phần đầu này; hãy nêu mã khoá, xem `lienthong keys list --json`.",
        )
    return errors.NotFound(
        "No key has this id or prefix; `lienthong keys list` shows them all.",
        detail_vi="Không có khoá nào mang mã hoặc phần đầu này; xem `lienthong keys list`.",
    )
