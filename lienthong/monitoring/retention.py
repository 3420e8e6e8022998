"""What becomes of the record with time: closed days go from the database into files, and old files are dropped."""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from lienthong.bus.flows import lookup_book
from lienthong.core import access_record, errors, ingest, journal, partitions, settings, spool_reading, tables
from lienthong.monitoring import asking, day_files, seals

_log = logging.getLogger("lienthong.retention")
_t = tables.exchanges
_PAGE = 5_000
_LONGEST_SILENCE = timedelta(days=45)
Leaf = Callable[[Mapping[str, Any]], bytes]
Retire = Callable[[str, str, Iterable[bytes]], object]


@dataclass(frozen=True, slots=True)
class Rolled:
    """What one day became."""

    day: date
    rows: int
    files: int


async def keep_house(
    sources: asking.Sources, kept: settings.Archive, *, home: Path, now: datetime, actor: str
) -> tuple[list[Rolled], list[str]]:
    """Do what is due each night: closed days into files, what is too old dropped with its seals told so.

    Nothing is dropped where the record ends long before `now`: a clock that was set years ahead would take all of
    it. On PostgreSQL the partitions of the days to come are made as well.
    """
    await partitions.make_ahead(sources.store, now=now)
    rolled = await roll_closed_days(sources, hot_days=kept.hot_days, now=now, spool=home / "spool")
    newest = max((part.day for part in await asyncio.to_thread(sources.archive.parts)), default=None)
    if newest is not None and day_files.day_of(now) - newest > _LONGEST_SILENCE:
        _log.error("nothing is dropped: is the clock right?", extra={"record_ends": newest.isoformat()})
        return rolled, []
    await lookup_book.forget(sources.store, before=now - timedelta(days=kept.personal_days))
    retire = functools.partial(seals.retire, home, now=now)
    return rolled, await drop_old_days(sources, kept, now=now, actor=actor, retire=retire)


async def roll_closed_days(
    sources: asking.Sources,
    *,
    hot_days: int,
    now: datetime,
    spool: Path | None = None,
    leaf: Leaf = access_record.from_row,
) -> list[Rolled]:
    """Move every day that has been closed for long enough from the database into files, the oldest first.

    Safe to repeat and to kill at any moment: rows leave the database only after their file gave back their exact
    bytes, and from the moment that a file is declared, searches read it in their place. A day waits as
    long as `spool` holds records of it that are not in the database yet.
    """
    with sources.archive.writing():
        await asyncio.to_thread(sources.archive.tidy)
        for part in await asyncio.to_thread(sources.archive.parts):
            if not part.is_settled:
                await _settle(sources, part)
        done = []
        waiting = None if spool is None else await asyncio.to_thread(waiting_since, spool)
        for day in await _days(sources, before=day_files.day_of(now) - timedelta(days=hot_days - 1)):
            if waiting is None or day < waiting:
                done.append(await _roll(sources, day, leaf))
        return done


async def _days(sources: asking.Sources, *, before: date) -> list[date]:
    """List the days that have rows in the database, up to the first that stays there."""
    days: list[date] = []
    start, end = datetime.min, day_files.bounds(before)[0]
    async with sources.store.reading() as conn:
        while True:
            later = [_t.c.at >= start] if days else []
            oldest = (await conn.execute(sa.select(sa.func.min(_t.c.at)).where(_t.c.at < end, *later))).scalar()
            if oldest is None:
                return days
            days.append(day_files.day_of(oldest))
            start = day_files.bounds(days[-1])[1]


async def _roll(sources: asking.Sources, day: date, leaf: Leaf) -> Rolled:
    drafts: dict[str, day_files.Draft] = {}
    async for rows in _rows(sources, day):
        by_kind: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            by_kind.setdefault(day_files.kind_of(row), []).append(row)
        for kind, its_rows in by_kind.items():
            if kind not in drafts:
                drafts[kind] = await asyncio.to_thread(day_files.Draft, sources.archive, day, kind, leaf)
            await asyncio.to_thread(drafts[kind].add, its_rows)
    parts = [await asyncio.to_thread(sources.archive.keep, draft, leaf) for draft in drafts.values()]
    await asyncio.to_thread(sources.archive.tidy)
    total = sum(part.rows for part in parts)
    is_dropped = await partitions.drop_day(sources.store, day, rows=total)
    for part in parts:
        await (asyncio.to_thread(sources.archive.settle, part) if is_dropped else _settle(sources, part))
    _log.info("a day of the record went into files", extra={"day": day.isoformat(), "rows": total})
    return Rolled(day, total, len(parts))


async def _rows(sources: asking.Sources, day: date) -> AsyncIterator[list[dict[str, Any]]]:
    """Read a day in the order of its numbers, some thousands at a time."""
    begun, ended = day_files.bounds(day)
    last = 0
    while True:
        asked = sa.select(_t).where(_t.c.at >= begun, _t.c.at < ended, _t.c.number > last)
        async with sources.store.reading() as conn:
            found = (await conn.execute(asked.order_by(_t.c.number).limit(_PAGE))).mappings().all()
        if not found:
            return
        last = found[-1]["number"]
        yield [dict(row) for row in found]


async def _settle(sources: asking.Sources, part: day_files.Part) -> None:
    """Remove from the database the very rows that a file holds, and write down that it is done."""
    numbers = await asyncio.to_thread(_numbers, sources.archive, part)
    for start in range(0, len(numbers), _PAGE):
        chosen = numbers[start : start + _PAGE]
        async with sources.store.transaction() as tx:
            await tx.execute(_t.delete().where(_t.c.number.in_(chosen)))
    await asyncio.to_thread(sources.archive.settle, part)


def _numbers(archive: day_files.Archive, part: day_files.Part) -> list[int]:
    found = archive.query("select number from {files} order by number", {}, [archive.file(part)])
    if len(found) != part.rows:
        raise errors.StorageUnavailable(
            f"the day file {part.name} holds {len(found)} rows in place of {part.rows}; nothing was removed",
            detail_vi=f"Tệp ngày {part.name} có {len(found)} dòng thay vì {part.rows}; chưa xoá gì.",
        )
    return [row["number"] for row in found]


async def drop_old_days(
    sources: asking.Sources,
    kept: settings.Archive,
    *,
    now: datetime,
    actor: str,
    retire: Retire = lambda _day, _kind, _leaves: 0,
) -> list[str]:
    """Drop the files that are older than their kind is kept, whole days only; written down in the trail.

    `retire` is given the exact bytes of the records of each day and kind before they go, so that the seals state
    what was dropped and the proofs of the rest hold.
    """
    with sources.archive.writing():
        old = await asyncio.to_thread(lambda: list(_old(sources.archive, kept, now)))
        for (day, kind), parts in itertools.groupby(old, key=lambda part: (part.day, part.kind)):
            leaves = _leaves(sources.archive, list(parts))
            await asyncio.to_thread(retire, day.isoformat(), kind, leaves)
        for part in old:
            facts = {"rows": part.rows, "leaves": part.leaves, "first": part.first, "last": part.last}
            async with sources.store.transaction() as tx:
                await journal.write_act(
                    tx, "journal.drop_day", part.name, actor=actor, now=now, reason="retention", before=facts
                )
            await asyncio.to_thread(sources.archive.drop, part)
        await asyncio.to_thread(_drop_counts, sources.archive, kept, now)
    return [part.name for part in old]


def _old(archive: day_files.Archive, kept: settings.Archive, now: datetime) -> Iterator[day_files.Part]:
    today = day_files.day_of(now)
    for kind, days in kinds(kept).items():
        for part in archive.parts(until=today - timedelta(days=days + 1), kinds=[kind]):
            if part.is_settled:
                yield part


def _leaves(archive: day_files.Archive, parts: Sequence[day_files.Part]) -> Iterator[bytes]:
    for part in parts:
        yield from (access_record.from_row(row) for row in archive.records(part))


def _drop_counts(archive: day_files.Archive, kept: settings.Archive, now: datetime) -> None:
    archive.counts.drop(until=day_files.day_of(now) - timedelta(days=kept.counts_days + 1))
    archive.counts.merge()


def waiting_since(spool: Path) -> date | None:
    """Say which day the oldest record is of that is not yet in the database, or there and not yet sealed."""
    days = [day_files.day_of(at) for at in [seals.reached(spool.parent)] if at is not None]
    for folder in spool_reading.nodes(spool):
        done = spool_reading.read_position(folder, ingest.FOLLOWER)
        waiting = spool_reading.Reader(folder, after=done).read(1)
        oldest = [access_record.moment(access_record.place_of(data)[2]) for _, data in waiting]
        days += [day_files.day_of(at) for at in oldest]
    return min(days, default=None)


def kinds(kept: settings.Archive) -> dict[str, int]:
    """Say for how many days each kind of row is kept."""
    return {
        day_files.PERSONAL: kept.personal_days,
        day_files.CALLS: kept.calls_days,
        day_files.OUTGOING: kept.outgoing_days,
    }
