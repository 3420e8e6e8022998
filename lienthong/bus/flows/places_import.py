"""Communes, and what became of the old ones, imported from files that the operator has; and looked up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.core import errors, tables
from lienthong.mappings import places

if TYPE_CHECKING:
    from lienthong.bus.hub import Hub

Row = TypeVar("Row")

_p = tables.places
_c = tables.place_changes
# A file of which more rows than this share are bad is another file than the operator meant.
MOST_BAD_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did; `bad` are the rows that were left out, each with its line and reason."""

    communes: int
    changes: int
    removed: int
    bad: tuple[places.BadRow, ...]


async def run(hub: Hub, *, communes: Path | None = None, changes: Path | None = None) -> Imported:
    """Replace the lists by what the files hold, in one transaction; the same files again change nothing.

    A bad row is left out and named. Raises InvalidRequest where a file is not there, has other columns, or is bad
    as a whole; then nothing is changed.
    """
    taken: list[places.Commune] = []
    moved: list[places.CommuneChange] = []
    bad: list[places.BadRow] = []
    if communes:
        taken, bad = _read(communes, places.read_communes)
    if changes:
        moved, more = _read(changes, places.read_commune_changes)
        bad = [*bad, *more]
    removed = 0
    async with hub.storage.transaction() as tx:
        if communes:
            removed += await _replace(tx, _p, [_commune_row(commune) for commune in taken])
        if changes:
            removed += await _replace(tx, _c, [row for change in moved for row in _change_rows(change)])
    return Imported(len(taken), len(moved), removed, tuple(bad))


async def find_commune(hub: Hub, code: str) -> places.Commune | None:
    """Find a commune of today by its code."""
    async with hub.storage.reading() as conn:
        row = (await conn.execute(sa.select(_p).where(_p.c.code == code))).mappings().first()
    return places.Commune(row["code"], row["name"], row["kind"], row["province_code"]) if row else None


async def successors(hub: Hub, old_code: str) -> tuple[places.Commune, ...]:
    """Give the communes that an old one went into: several where it was divided, none where it is not known."""
    wanted = (
        sa.select(_p).join(_c, _c.c.new_code == _p.c.code).where(_c.c.old_code == old_code).order_by(_p.c.code)
    )
    async with hub.storage.reading() as conn:
        found = (await conn.execute(wanted)).mappings().all()
    return tuple(places.Commune(row["code"], row["name"], row["kind"], row["province_code"]) for row in found)


def _read(
    path: Path, reader: Callable[[Path], Iterator[Row | places.BadRow]]
) -> tuple[list[Row], list[places.BadRow]]:
    try:
        rows = list(reader(path))
    except OSError as exc:
        raise errors.InvalidRequest(
            f"the file {path} cannot be read", detail_vi=f"Không đọc được tệp {path}."
        ) from exc
    bad = [row for row in rows if isinstance(row, places.BadRow)]
    good = [row for row in rows if not isinstance(row, places.BadRow)]
    if not good or len(bad) > len(rows) * MOST_BAD_SHARE:
        first = f", first line {bad[0].line}: {bad[0].en}" if bad else ""
        first_vi = f", dòng đầu tiên {bad[0].line}: {bad[0].vi}" if bad else ""
        raise errors.InvalidRequest(
            f"{path}: {len(bad)} of {len(rows)} rows are bad{first}; nothing was imported",
            detail_vi=f"{path}: {len(bad)} trên {len(rows)} dòng hỏng{first_vi}; chưa nhập dòng nào.",
        )
    return good, bad


def _commune_row(commune: places.Commune) -> dict[str, Any]:
    return {
        "code": commune.code,
        "name": commune.name[:200],
        "kind": commune.kind[:40],
        "province_code": commune.province_code,
        "valid_from": places.TWO_LEVELS_SINCE,
    }


def _change_rows(change: places.CommuneChange) -> list[dict[str, Any]]:
    return [
        {"old_code": change.old_code, "new_code": new, "old_name": change.old_name[:200], "divided": change.partly}
        for new in dict.fromkeys(change.new_codes)
    ]


async def _replace(tx: AsyncConnection, table: sa.Table, rows: list[dict[str, Any]]) -> int:
    """Make a table hold these rows and no others, writing only what differs; gives how many were taken out."""
    keys = [column.name for column in table.primary_key.columns]
    columns = [column.name for column in table.columns]
    wanted = {tuple(row[name] for name in keys): tuple(row[name] for name in columns) for row in rows}
    found = await tx.execute(sa.select(*(table.c[name] for name in columns)))
    held = {tuple(row[columns.index(name)] for name in keys): tuple(row) for row in found}
    stale = [key for key, row in held.items() if wanted.get(key) != row]
    if stale:
        this_row = sa.and_(*(table.c[name] == sa.bindparam(f"key_{name}") for name in keys))
        pairs = [{f"key_{name}": part for name, part in zip(keys, key, strict=True)} for key in stale]
        await tx.execute(table.delete().where(this_row), pairs)
    fresh = [dict(zip(columns, row, strict=True)) for key, row in wanted.items() if held.get(key) != row]
    if fresh:
        await tx.execute(table.insert(), fresh)
    return len(held.keys() - wanted.keys())
