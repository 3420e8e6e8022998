"""The hot store divided by day on PostgreSQL: days are made ahead, and a day that is over goes as a whole.

Nothing here concerns SQLite. A row whose day has no partition lands in the default one: nothing is ever refused.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.core import clock, storage

_log = logging.getLogger("lienthong.partitions")
TABLE = "exchanges"
DEFAULT, BEFORE = f"{TABLE}_default", f"{TABLE}_before"
DAYS_AHEAD = 7
# Who changes partitions holds it; any number, but always the same one.
_ADVISORY_LOCK = 0x11E2740A
_LOCK_TIMEOUT, _LOCK_TRIES, _LOCK_PAUSE_S = "2s", 5, 1.0
_LOCK_NOT_AVAILABLE, _NOT_THE_OWNER = "55P03", "42501"
_ZONE = "Asia/Ho_Chi_Minh"
_ENDS = re.compile(r" TO \('([^']+)'\)")


class Partition(NamedTuple):
    """A partition other than the default one, and the first moment after it."""

    name: str
    ends_at: datetime


async def make_ahead(store: storage.Storage, *, now: datetime, days: int = DAYS_AHEAD) -> list[str]:
    """Make the partitions of today and of the days after it, and drop past ones that are empty; safe to repeat.

    Gives the names of those made. A day that already has rows in the default partition keeps them there. Raises
    StorageUnavailable where the database is away.
    """
    if store.is_sqlite:
        return []
    today = now.astimezone(clock.VIETNAM).date()
    made: list[str] = []
    known: list[Partition] = []

    async def make(tx: AsyncConnection) -> None:
        known[:], made[:] = await _partitions(tx), []
        for day in (today + timedelta(days=ahead) for ahead in range(days + 1)):
            if await _is_free(tx, day, known):
                await _attach(tx, day)
                made.append(name_of(day))

    if not await _changed(store, make):
        _log.warning(
            "days of the record were not made ahead (table in use, or not ours); the default one takes them"
        )
    for each in known:
        if each.ends_at <= _begins(today):
            await _drop(store, each.name, rows=0)
    return made


async def drop_day(store: storage.Storage, day: date, *, rows: int) -> bool:
    """Drop the partition of a day that holds this many rows, no more and no fewer; says whether it is gone.

    False where the day has no partition of its own, where rows came meanwhile, or where queries would not let go.
    """
    return not store.is_sqlite and await _drop(store, name_of(day), rows=rows)


def name_of(day: date) -> str:
    """Name the partition of a day."""
    return f"{TABLE}_{day:%Y%m%d}"


def _begins(day: date) -> datetime:
    return datetime.combine(day, time(), clock.VIETNAM)


async def _changed(store: storage.Storage, work: Callable[[AsyncConnection], Awaitable[None]]) -> bool:
    """Change partitions in one transaction, one process at a time; False where it may or can not just now."""
    for attempt in range(_LOCK_TRIES):
        if attempt:
            await asyncio.sleep(_LOCK_PAUSE_S)
        try:
            async with store.transaction() as tx:
                await tx.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
                # Whoever waits for a lock makes all others wait behind it: rather give up soon, and come again.
                await tx.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
                await tx.exec_driver_sql("SET LOCAL timezone = 'UTC'")
                await work(tx)
            return True
        except DBAPIError as exc:
            state = getattr(exc.orig, "sqlstate", None)
            if state == _NOT_THE_OWNER:
                return False
            if state != _LOCK_NOT_AVAILABLE:
                raise
    return False


async def _partitions(tx: AsyncConnection) -> list[Partition]:
    asked = (
        "SELECT c.relname::text, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i "
        f"JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = '{TABLE}'::regclass ORDER BY 1"
    )
    rows: list[Any] = list(await tx.exec_driver_sql(asked))
    found = [(name, _ENDS.search(bound)) for name, bound in rows]
    return [Partition(name, datetime.fromisoformat(ends[1])) for name, ends in found if ends]


async def _is_free(tx: AsyncConnection, day: date, known: Sequence[Partition]) -> bool:
    """Whether a day may have a partition: nothing covers it, and none of its rows is in the default partition."""
    begins = _begins(day)
    if any(each.name == name_of(day) or (each.name == BEFORE and each.ends_at > begins) for each in known):
        return False
    asked = sa.text(f"SELECT 1 FROM {DEFAULT} WHERE at >= :begins AND at < :ends LIMIT 1")
    given = {"begins": begins, "ends": _begins(day + timedelta(days=1))}
    return (await tx.execute(asked, given)).first() is None


async def _attach(tx: AsyncConnection, day: date) -> None:
    # Made apart and then attached: others go on reading and writing, which making it in place would not allow.
    name, begins, ends = name_of(day), _begins(day), _begins(day + timedelta(days=1))
    await tx.exec_driver_sql(f"CREATE TABLE {name} (LIKE {TABLE} INCLUDING DEFAULTS INCLUDING INDEXES)")
    await tx.exec_driver_sql(
        f"ALTER TABLE {TABLE} ATTACH PARTITION {name} "
        f"FOR VALUES FROM ('{begins.isoformat()}') TO ('{ends.isoformat()}')"
    )


async def _drop(store: storage.Storage, name: str, *, rows: int) -> bool:
    gone = False

    async def drop(tx: AsyncConnection) -> None:
        nonlocal gone
        gone = False
        if name not in {each.name for each in await _partitions(tx)}:
            return
        # From here on nobody writes into it: what is counted is what goes.
        await tx.exec_driver_sql(f"LOCK TABLE ONLY {TABLE} IN ACCESS EXCLUSIVE MODE")
        held = (await tx.exec_driver_sql(f"SELECT count(*) FROM {name}")).scalar()
        if held == rows:
            await tx.exec_driver_sql(f"ALTER TABLE {TABLE} DETACH PARTITION {name}")
            await tx.exec_driver_sql(f"DROP TABLE {name}")
            gone = True

    return await _changed(store, drop) and gone


# ---------------------------------------------------------------------- from one table to many


def divide(connection: sa.Connection) -> None:
    """Turn the one table into a divided one, on PostgreSQL; its rows stay where they are, as its first partition.

    Uniqueness must then name the time too. A record never changes its time, so one that comes twice is still
    refused; two records of one number would stand in different days, and neither hides the other from the seals.
    """
    run = connection.exec_driver_sql
    indexes = run(
        "SELECT i.indexname::text, i.indexdef FROM pg_indexes i "
        f"WHERE i.tablename = '{TABLE}' AND i.schemaname = current_schema() AND NOT EXISTS "
        "(SELECT 1 FROM pg_constraint c WHERE c.conindid = (quote_ident(i.indexname))::regclass) ORDER BY 1"
    ).all()
    comment = run(f"SELECT obj_description('{TABLE}'::regclass)").scalar()
    run(f"ALTER TABLE {TABLE} RENAME TO {BEFORE}")
    run(f"ALTER TABLE {BEFORE} DROP CONSTRAINT pk_{TABLE}, DROP CONSTRAINT uq_{TABLE}_node_number_in_node")
    run(f"CREATE TABLE {TABLE} (LIKE {BEFORE} INCLUDING DEFAULTS INCLUDING COMMENTS) PARTITION BY RANGE (at)")
    run(
        f"ALTER TABLE {TABLE} ADD CONSTRAINT uq_{TABLE}_number_at UNIQUE (number, at), "
        f"ADD CONSTRAINT uq_{TABLE}_node_number_in_node UNIQUE (node, number_in_node, at)"
    )
    for name, definition in indexes:
        run(f"ALTER INDEX {name} RENAME TO {name}_before")
        run(definition)
    run(f"CREATE TABLE {DEFAULT} PARTITION OF {TABLE} DEFAULT")
    run(f"ALTER SEQUENCE {TABLE}_number_seq OWNED BY {TABLE}.number")
    said = str(comment or "").replace("'", "''")
    run(f"COMMENT ON TABLE {TABLE} IS '{said}'")
    _keep_before(connection)


def _keep_before(connection: sa.Connection) -> None:
    """Attach what the one table held, up to the end of today; a row of a day to come goes to the default one."""
    run = connection.exec_driver_sql
    if run(f"SELECT 1 FROM {BEFORE} LIMIT 1").first() is None:
        run(f"DROP TABLE {BEFORE}")
        return
    ends = run(f"SELECT (date_trunc('day', now(), '{_ZONE}') + interval '1 day')::text").scalar()
    run(
        f"WITH later AS (DELETE FROM {BEFORE} WHERE at >= '{ends}' RETURNING *) "
        f"INSERT INTO {TABLE} SELECT * FROM later"
    )
    run(f"ALTER TABLE {TABLE} ATTACH PARTITION {BEFORE} FOR VALUES FROM (MINVALUE) TO ('{ends}')")
