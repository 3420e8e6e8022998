"""Writing many rows at once as each database does it best: PostgreSQL in one statement, SQLite in a loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import StatementError
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.core import storage, tables

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
_SQLITE = sqlite.dialect()
Rows = Sequence[Mapping[str, Any]]


async def insert(
    store: storage.Storage, tx: AsyncConnection, table: sa.Table, rows: Rows, *, keep_old: bool = False
) -> None:
    """Insert rows that name the same columns; with `keep_old`, one whose key is there already is left out."""
    if not rows:
        return
    names = tuple(rows[0])
    if store.is_sqlite:
        # Plain tuples straight to the driver: naming every value of every row costs more than SQLite itself.
        await tx.exec_driver_sql(_sqlite_insert_text(table, names, keep_old), _tuples(table, names, rows))
        return
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
            values = _converted(partial(kind.process_bind_param, dialect=_DIALECT), values)
        arrays[f"b_{name}"] = values
    return arrays


def _tuples(table: sa.Table, names: Sequence[str], rows: Rows) -> list[tuple[Any, ...]]:
    """Turn rows into what SQLite stores of them, in the order of the names."""
    columns: list[Sequence[Any]] = []
    for name in names:
        values = [row[name] for row in rows]
        convert = table.c[name].type.dialect_impl(_SQLITE).bind_processor(_SQLITE)
        columns.append(values if convert is None else _converted(convert, values))
    return list(zip(*columns, strict=True))


def _converted(convert: Callable[[Any], Any], values: Sequence[Any]) -> list[Any]:
    """Turn the values of a column into what the driver takes; one that cannot be stored is a StatementError."""
    try:
        return [convert(value) for value in values]
    except ValueError as exc:
        raise StatementError(str(exc), None, None, exc) from exc


def _source(table: sa.Table, names: Sequence[str]) -> str:
    """Name the arrays that hold one column each, with their types."""
    typed = (f"CAST(:b_{name} AS {table.c[name].type.compile(dialect=_DIALECT)}[])" for name in names)
    return f"unnest({', '.join(typed)}) AS given({', '.join(_quoted(names))})"


def _quoted(names: Sequence[str]) -> list[str]:
    return [f'"{name}"' for name in names]


@lru_cache(maxsize=64)
def _sqlite_insert_text(table: sa.Table, names: tuple[str, ...], keep_old: bool) -> str:
    into, places = ", ".join(_quoted(names)), ", ".join("?" for _ in names)
    ending = " ON CONFLICT DO NOTHING" if keep_old else ""
    return f"INSERT INTO {table.name} ({into}) VALUES ({places}){ending}"


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
