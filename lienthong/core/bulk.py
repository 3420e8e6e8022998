"""Writing many rows at once as each database does it best: PostgreSQL in one statement, SQLite in a loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.core import storage, tables

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
Rows = Sequence[Mapping[str, Any]]


async def insert(
    store: storage.Storage, tx: AsyncConnection, table: sa.Table, rows: Rows, *, keep_old: bool = False
) -> None:
    """Insert rows that name the same columns; with `keep_old`, one whose key is there already is left out."""
    if not rows:
        return
    if store.is_sqlite:
        statement = store.insert(table)
        await tx.execute(statement.on_conflict_do_nothing() if keep_old else statement, list(rows))
        return
    names = tuple(rows[0])
    await tx.execute(_insert_text(table, names, keep_old), _columns(table, names, rows))


async def update(
    store: storage.Storage,
    tx: AsyncConnection,
    table: sa.Table,
    rows: Rows,
    *,
    key: str,
    only_where: Mapping[str, Any],
) -> None:
    """Change rows by `key`, each to its own values, where they still have the values of `only_where`."""
    if not rows:
        return
    names = tuple(rows[0])
    if store.is_sqlite:
        statement = table.update().where(
            table.c[key] == sa.bindparam(f"b_{key}"),
            *(table.c[name] == sa.bindparam(f"w_{name}") for name in only_where),
        )
        statement = statement.values({name: sa.bindparam(f"b_{name}") for name in names if name != key})
        held = {f"w_{name}": value for name, value in only_where.items()}
        await tx.execute(statement, [{**{f"b_{name}": row[name] for name in names}, **held} for row in rows])
        return
    values = _columns(table, names, rows) | {f"w_{name}": value for name, value in only_where.items()}
    await tx.execute(_update_text(table, names, key, tuple(only_where)), values)


def _columns(table: sa.Table, names: Sequence[str], rows: Rows) -> dict[str, list[Any]]:
    """Turn rows into one array for each column; a moment without a zone is refused as everywhere else."""
    arrays: dict[str, list[Any]] = {}
    for name in names:
        kind, values = table.c[name].type, [row[name] for row in rows]
        if isinstance(kind, tables.UtcTime):
            values = [kind.process_bind_param(value, _DIALECT) for value in values]
        arrays[f"b_{name}"] = values
    return arrays


def _source(table: sa.Table, names: Sequence[str]) -> str:
    """Name the arrays that hold one column each, with their types."""
    typed = (f"CAST(:b_{name} AS {table.c[name].type.compile(dialect=_DIALECT)}[])" for name in names)
    return f"unnest({', '.join(typed)}) AS given({', '.join(_quoted(names))})"


def _quoted(names: Sequence[str]) -> list[str]:
    return [f'"{name}"' for name in names]


@lru_cache(maxsize=64)
def _insert_text(table: sa.Table, names: tuple[str, ...], keep_old: bool) -> sa.TextClause:
    into = ", ".join(_quoted(names))
    ending = " ON CONFLICT DO NOTHING" if keep_old else ""
    return sa.text(f"INSERT INTO {table.name} ({into}) SELECT {into} FROM {_source(table, names)}{ending}")


@lru_cache(maxsize=64)
def _update_text(table: sa.Table, names: tuple[str, ...], key: str, only_where: tuple[str, ...]) -> sa.TextClause:
    changes = ", ".join(f'"{name}" = given."{name}"' for name in names if name != key)
    holds = "".join(f' AND {table.name}."{name}" = :w_{name}' for name in only_where)
    return sa.text(
        f"UPDATE {table.name} SET {changes} FROM {_source(table, names)} "
        f'WHERE {table.name}."{key}" = given."{key}"{holds}'
    )
