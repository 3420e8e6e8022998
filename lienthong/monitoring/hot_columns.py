"""The rows of the last days once more, by columns: counted there, and only the newest in the table.

Each file holds the rows of a range of numbers, with what is counted of them and nothing else. They are copies:
never evidence, and made again at any time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import visitors

from lienthong.core import errors, storage, tables
from lienthong.monitoring import day_columns, day_files, whole_files

_t = tables.exchanges
NAMES = (
    *("number", "at_us", "direction", "key_id", "organisation", "official", "address", "system", "operation"),
    *("outcome", "status", "door", "rule", "dossier_code", "took_ms", "bytes_in", "bytes_out", "subject"),
)
_SCHEMA = pa.schema([day_columns.SCHEMA.field(name) for name in NAMES])
# Fewer rows than LEAST are as soon counted in the table; a file below FULL is written again with the next rows.
LEAST, FULL, MOST = 20_000, 100_000, 50_000
_LOCK_WAIT = "SET LOCAL lock_timeout = '250ms'"


@dataclass(frozen=True, slots=True)
class Segment:
    """One file: the rows whose number is above `after` and at most `upto`, of the days up to `last`."""

    path: Path
    after: int
    upto: int
    last: date


@dataclass(frozen=True, slots=True)
class Chain:
    """Segments without a gap. They speak for the rows from `since` on: days before it have gone into day files."""

    files: tuple[Path, ...]
    after: int
    upto: int
    since: datetime | None

    @property
    def condition(self) -> tuple[str, dict[str, Any]]:
        """Say in DuckDB's words which rows of the files count."""
        if self.since is None:
            return "true", {}
        return "at_us >= $hot_since", {"hot_since": day_columns.microseconds(self.since)}

    def beside(
        self, store: storage.Storage, where: Sequence[sa.ColumnElement[bool]], since: datetime | None
    ) -> Iterator[sa.Select[Any]]:
        """Select in the table what the files do not speak for; `since` is where the question begins."""
        # By number and by nothing else: SQLite would rather walk through an index of all that the files hold.
        plain = [_unindexed(each) for each in where] if store.is_sqlite else where
        for newer in (_t.c.number > self.upto, _t.c.number <= self.after):
            yield sa.select().where(newer, *plain)
        if self.since is not None and (since is None or since < self.since):
            # The plus keeps it the other way round here: there are few rows of those days, if any.
            within = sa.literal_column("+number", sa.Integer()).between(self.after + 1, self.upto)
            yield sa.select().where(within, _t.c.at < self.since, *where)


def _unindexed(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Write a plus before each column, so that SQLite has no index for the condition."""

    def plain(element: Any, **_options: Any) -> Any:
        is_ours = isinstance(element, sa.Column) and element.table is _t
        return sa.literal_column(f"+{_t.name}.{element.name}", element.type) if is_ours else None

    found: sa.ColumnElement[bool] = visitors.replacement_traverse(condition, {}, plain)
    return found


def chain(folder: Path, parts: Sequence[day_files.Part]) -> Chain | None:
    """Find the files that there are, for an archive that has these parts; nothing where there are none."""
    found = _linked(segments(folder))
    if not found:
        return None
    newest = max((part.day for part in parts), default=None)
    since = None if newest is None else day_files.bounds(newest)[1]
    return Chain(tuple(one.path for one in found), found[0].after, found[-1].upto, since)


def segments(folder: Path) -> list[Segment]:
    """List all files, also those that a longer one has replaced."""
    found = []
    for path in folder.glob("hot/*.parquet"):
        after, upto, last = path.stem.split(".")
        found.append(Segment(path, int(after), int(upto), date.fromisoformat(last)))
    return sorted(found, key=lambda one: (one.after, -one.upto))


def _linked(found: Sequence[Segment]) -> list[Segment]:
    linked: list[Segment] = []
    for one in found:  # of those that begin alike, the longest comes first
        if not linked or one.after == linked[-1].upto:
            linked.append(one)
    return linked


async def extend(
    store: storage.Storage, archive: day_files.Archive, *, least: int = LEAST, most: int = MOST
) -> int:
    """Copy the rows that have come since, where there are enough; gives how many. Safe to repeat."""
    linked = await asyncio.to_thread(lambda: _linked(segments(archive.folder)))
    after = linked[-1].upto if linked else 0
    async with store.reading() as conn:
        newest = (await conn.execute(sa.select(sa.func.max(_t.c.number)))).scalar() or 0
    if newest < after:
        # An older database was put back, or every row went into files: the numbers to come may be given again.
        await asyncio.to_thread(_forget, archive.folder)
    if newest - after < least:
        return 0
    upto = newest if store.is_sqlite else await _settled(store)
    if upto is None or upto - after < least:
        return 0
    try:
        with archive.writing("hot.lock"):
            rows = await _rows(store, after, upto, most)
            # Looked at again under the lock: another process may have been quicker.
            if not rows or linked != await asyncio.to_thread(lambda: _linked(segments(archive.folder))):
                return 0
            await asyncio.to_thread(_write, archive.folder, linked, after, rows)
            await asyncio.to_thread(_tidy, archive)
    except errors.Conflict:
        return 0
    except pa.ArrowException:
        # The last file is damaged: away with it, its rows are copied again.
        linked[-1].path.unlink(missing_ok=True)
        return 0
    return len(rows)


async def _settled(store: storage.Storage) -> int | None:
    """Give the number up to which no row can come any more on PostgreSQL; nothing where that takes too long.

    There a row with a lower number may be in a transaction that is not finished yet: for a moment all of them are
    waited for. SQLite has one writer, and its numbers come in the order of the commits.
    """
    try:
        async with store.transaction() as tx:
            await tx.exec_driver_sql(_LOCK_WAIT)
            await tx.exec_driver_sql(f"LOCK TABLE {_t.name} IN SHARE MODE")
            return (await tx.execute(sa.select(sa.func.max(_t.c.number)))).scalar() or 0
    except (DBAPIError, errors.StorageUnavailable):
        return None


async def _rows(store: storage.Storage, after: int, upto: int, most: int) -> Sequence[sa.Row[Any]]:
    columns = [span(store, "at_us") if name == "at_us" else _t.c[name] for name in NAMES]
    asked = sa.select(*columns).where(_t.c.number > after, _t.c.number <= upto)
    async with store.reading() as conn:
        return (await conn.execute(asked.order_by(_t.c.number).limit(most))).all()


def span(store: storage.Storage, label: str, text: str = "{at}") -> sa.ColumnElement[int]:
    """Give a row's time, or what a text makes of it, in microseconds since 1970, as the day files have it."""
    at = "at" if store.is_sqlite else "cast(extract(epoch from at) * 1000000 as bigint)"
    return sa.literal_column(text.format(at=at)).label(label)


def _write(folder: Path, linked: Sequence[Segment], after: int, rows: Sequence[sa.Row[Any]]) -> None:
    columns: dict[str, Sequence[Any]] = dict(zip(NAMES, zip(*rows, strict=True), strict=True))
    columns["subject"] = [None if digest is None else bytes.fromhex(digest) for digest in columns["subject"]]
    table = pa.table([pa.array(columns[name], _SCHEMA.field(name).type) for name in NAMES], schema=_SCHEMA)
    upto, last = columns["number"][-1], day_files.day_of(day_columns.moment(max(columns["at_us"])))
    if linked and pq.read_metadata(linked[-1].path).num_rows < FULL:
        before = linked[-1]
        table = pa.concat_tables([pq.read_table(before.path, use_threads=False), table])
        after, last = before.after, max(last, before.last)
    place = folder / "hot" / f"{after}.{upto}.{last.isoformat()}.parquet"
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = place.with_suffix(".new")
    pq.write_table(table, new, compression="lz4", row_group_size=FULL, use_dictionary=day_columns.DICTIONARY)
    whole_files.put(new, place)


def _forget(folder: Path) -> None:
    for one in segments(folder):
        one.path.unlink(missing_ok=True)


def _tidy(archive: day_files.Archive) -> None:
    """Remove what nobody reads any more; the file that was last replaced stays, somebody may be reading it now."""
    newest = max((part.day for part in archive.parts()), default=date.min)
    found = segments(archive.folder)
    linked = _linked(found)
    begun = linked[-1].after
    for one in found:
        is_replaced = one not in linked and one.after < begun
        # A day longer than its rows are in the table: a question that began before they went may read it.
        if is_replaced or (newest - one.last).days > 1:
            one.path.unlink(missing_ok=True)
    for path in archive.folder.glob("hot/*.new"):
        path.unlink(missing_ok=True)
