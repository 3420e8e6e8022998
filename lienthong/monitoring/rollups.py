"""Counting the record: by key, operation, outcome, hour and day, over the database and the day files together."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from lienthong.core import errors, storage, tables
from lienthong.monitoring import asking, day_columns, day_counts, day_files, hot_columns, places

_t = tables.exchanges
_SPANS_US = {"minute": 60_000_000, "quarter": 900_000_000, "hour": 3_600_000_000, "day": 86_400_000_000}
_AHEAD_US = 7 * 3_600_000_000
# What the counts beside the day files know; anything else is counted from the rows themselves.
_COUNTED = frozenset().union(*day_counts.COLUMNS.values())
GROUPS = (
    _COUNTED | _SPANS_US.keys() | {"organisation", "official", "address", "dossier_code", "door", "rule", "status"}
)
_SUMS = day_counts.SUMS[day_counts.HOURS]
_NO_HOURS = day_counts.Hours((), frozenset())


@dataclass(frozen=True, slots=True)
class _Groups:
    """What is counted by, and added up beside the requests.

    `apart`: by one column after the other in one walk through the files, and not by all of them together; a row
    then has one of the columns and nothing in the others.
    """

    by: Sequence[str]
    sums: Sequence[str] = ()
    apart: bool = False

    def of_rows(self) -> tuple[str, str]:
        """Say in DuckDB's words what to select of rows, and how to group it."""
        return self._selected("at_us", "count(*)")

    def of_counts(self) -> tuple[str, str]:
        """Say it of counts by the hour."""
        return self._selected("hour", "cast(sum(requests) as bigint)")

    def _selected(self, at: str, requests: str) -> tuple[str, str]:
        names = [f"{_span(at, name)} as {name}" if name in _SPANS_US else name for name in self.by]
        what = [f"{requests} as requests", *(f"cast(sum({name}) as double) as {name}" for name in self.sums)]
        sets = ", ".join(f"({name})" for name in self.by)
        return ", ".join([*names, *what]), f"grouping sets ({sets})" if self.apart else "all"


@dataclass(frozen=True, slots=True)
class Share:
    """How many of one day's calls of an operation did not end well."""

    day: date
    operation: str
    requests: int
    failed: int

    @property
    def share(self) -> float:
        """The failed part, from 0 to 1."""
        return self.failed / self.requests


@dataclass(frozen=True, slots=True)
class Busiest:
    """How many calls of one key its busiest hour had, and how often the key ran into a limit."""

    hour: int
    limited: int


async def counted(
    sources: asking.Sources, question: asking.Question, *, by: Sequence[str], sums: Sequence[str] = _SUMS
) -> list[dict[str, Any]]:
    """Count what a question finds, grouped by columns and perhaps a span (`_SPANS_US`); the largest first.

    Where the question asks nothing finer, the counts of whole hours are read in place of the rows; they are there
    also for days whose rows have been dropped. `sums` are added up beside `requests`; each is a column to read.
    """
    if unknown := set(by) - GROUPS:
        raise errors.InvalidRequest(
            f"the record is not counted by {', '.join(sorted(unknown))}",
            detail_vi=f"Sổ nhật ký không đếm theo {', '.join(sorted(unknown))}.",
        )
    found = await _totals(sources, question, by, sums)
    return sorted(found, key=lambda row: (-row["requests"], str([row[name] for name in by])))


async def _totals(
    sources: asking.Sources, question: asking.Question, by: Sequence[str], sums: Sequence[str] = ()
) -> list[dict[str, Any]]:
    found = await _found(sources, await asking.look(sources, question), _Groups(by, sums))
    return await asyncio.to_thread(_added, found, by, sums)


async def _found(sources: asking.Sources, view: asking.View, groups: _Groups) -> list[dict[str, Any]]:
    hot, cold = await asyncio.gather(_hot(sources, view, groups), asyncio.to_thread(_cold, sources, view, groups))
    return [*hot, *cold]


async def tops(
    sources: asking.Sources, question: asking.Question, of: Sequence[str]
) -> dict[str, list[tuple[str, int]]]:
    """Say for each of some columns what stands in it most often, the largest first, in one walk."""
    totals: dict[str, Counter[str]] = {name: Counter() for name in of}
    for row in await _found(sources, await asking.look(sources, question), _Groups(of, apart=True)):
        for name in of:
            if row[name] is not None:
                totals[name][row[name]] += row["requests"]
    return {name: sorted(counted.items(), key=lambda it: (-it[1], it[0])) for name, counted in totals.items()}


async def histogram(sources: asking.Sources, question: asking.Question) -> list[dict[str, Any]]:
    """Count what a question finds by the hour, the oldest first."""
    found = await counted(sources, question, by=["hour"], sums=())
    return sorted(found, key=lambda row: row["hour"])


async def busiest_hours(sources: asking.Sources, *, since: datetime) -> dict[str, Busiest]:
    """Say of each key how busy its busiest hour was since a moment, and how often it ran into a limit.

    What was refused for a limit is none of the hour's calls.
    """
    view = await asking.look(sources, asking.Question(since=day_columns.hour(since), direction="in"))
    by = _Groups(("key_id", "hour", "outcome"))
    hot = await _hot(sources, view, by)
    if all(part.name in view.counts[day_counts.KEY_HOURS].parts for part in view.parts):
        return await asyncio.to_thread(_busiest, sources, view, hot)
    # Files of before keys were counted by the hour: until the next night's work their rows are counted.
    cold = await asyncio.to_thread(_cold, sources, view, by)
    return _busiest(sources, replace(view, parts=(), counts={day_counts.KEY_HOURS: _NO_HOURS}), [*hot, *cold])


def _busiest(sources: asking.Sources, view: asking.View, hot: Sequence[Mapping[str, Any]]) -> dict[str, Busiest]:
    """Find the busiest hours; the thousands of hours in files are compared by DuckDB."""
    hours: Counter[tuple[str, int]] = Counter()
    limited: Counter[str] = Counter()
    for row in hot:
        limited[row["key_id"]] += row["requests"] * (row["outcome"] == places.LIMITED)
        hours[row["key_id"], row["hour"]] += row["requests"] * (row["outcome"] != places.LIMITED)
    # Rows that came after their day went into files share an hour with it.
    days = {part.day for part in view.parts}
    shared = sorted(hour for hour in {hour for _, hour in hours} if _day(hour) in days)
    if shared:
        for row in _served(sources, view, "key_id, hour, served", {"hours": shared}):
            hours[row["key_id"], row["hour"]] += row["served"]
    top: dict[str, int] = {}
    for row in _served(sources, view, "key_id, max(served) as served, sum(limited) as limited", {}):
        top[row["key_id"]] = int(row["served"])
        limited[row["key_id"]] += int(row["limited"])
    for (key_id, _), count in hours.items():
        top[key_id] = max(count, top.get(key_id, 0))
    return {key_id: Busiest(count, limited[key_id]) for key_id, count in top.items() if key_id is not None}


def _served(
    sources: asking.Sources, view: asking.View, what: str, values: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Ask the counts by key and hour, of all hours or of some: how many calls were served, how many limited."""
    some = " and hour in (select unnest($hours))" if "hours" in values else ""
    text = f"""
        select {what} from (
            select key_id, hour,
                coalesce(sum(requests) filter (outcome <> $limited), 0) as served,
                coalesce(sum(requests) filter (outcome = $limited), 0) as limited
            from {{files}} where {view.counts_text}{some} group by all
        ) group by all"""
    counts = view.counts[day_counts.KEY_HOURS]
    return sources.archive.query(text, {**view.values, **values, "limited": places.LIMITED}, counts.files)


def _day(hour_us: int) -> date:
    return day_files.day_of(day_columns.moment(hour_us))


async def distinct_subjects(sources: asking.Sources, day: date) -> dict[str, int]:
    """Say of how many persons each key asked on one day; exact, the most curious key first."""
    begun, ended = day_files.bounds(day)
    view = await asking.look(sources, asking.Question(since=begun, until=ended, is_personal=True))
    is_closed = len(view.parts) == 1 and not await _has_hot(sources, view)
    if is_closed:
        files = [sources.archive.counts.of(day_counts.BY_KEY, view.parts[0].name)]
        rows = await asyncio.to_thread(sources.archive.query, "select key_id, subjects from {files}", {}, files)
        totals = {row["key_id"]: row["subjects"] for row in rows}
    elif view.parts:
        totals = await _mixed_subjects(sources, view)
    else:
        totals = await _hot_subjects(sources, view)
    return dict(sorted(totals.items(), key=lambda pair: (-pair[1], str(pair[0]))))


async def _has_hot(sources: asking.Sources, view: asking.View) -> bool:
    async with sources.store.reading() as conn:
        return await storage.first(conn, sa.select(_t.c.number).where(*view.hot).limit(1)) is not None


async def _hot_subjects(sources: asking.Sources, view: asking.View) -> dict[str, int]:
    if view.chain is not None:
        with contextlib.suppress(errors.StorageUnavailable):  # a damaged copy: the table has its rows
            return await _mixed_subjects(sources, view)
    asked = sa.select(_t.c.key_id, sa.func.count(_t.c.subject.distinct()).label("subjects")).where(*view.hot)
    async with sources.store.reading() as conn:
        rows = await storage.every(conn, asked.group_by(_t.c.key_id))
    return {row["key_id"]: row["subjects"] for row in rows}


async def _mixed_subjects(sources: asking.Sources, view: asking.View) -> dict[str, int]:
    """Count a day that lies in several places: the same person may stand in each of them."""
    files, where, values, places = view.files, view.text, view.values, [sa.select().where(*view.hot)]
    if not view.parts and view.chain is not None:
        condition, more = view.chain.condition
        files, where, values = view.chain.files, f"{where} and {condition}", values | more
        places = [*view.chain.beside(sources.store, view.hot, view.question.since)]
    pairs: list[Any] = []
    async with sources.store.reading() as conn:
        for place in places:
            asked = place.add_columns(_t.c.key_id, _t.c.subject).distinct()
            pairs += (await conn.execute(asked)).all()
    text = f"""
        select key_id, count(distinct subject) as subjects from (
            select key_id, subject from {{files}} where {where}
            union all select unnest($keys::varchar[]), unnest($subjects::blob[])
        ) group by key_id"""
    values = values | {"keys": [key for key, _ in pairs]}
    values |= {"subjects": [bytes.fromhex(subject) for _, subject in pairs]}
    rows = await asyncio.to_thread(sources.archive.query, text, values, files)
    return {row["key_id"]: row["subjects"] for row in rows}


async def error_shares(sources: asking.Sources, *, since: datetime, until: datetime) -> list[Share]:
    """Say for each day and operation which part of the calls failed, the oldest day first."""
    question = asking.Question(since=day_columns.hour(since), until=until)
    found = await _totals(sources, question, ["day", "operation", "outcome"])
    totals: dict[tuple[date, str], tuple[int, int]] = {}
    for row in found:
        place = row["day"].date(), str(row["operation"])
        requests, failed = totals.get(place, (0, 0))
        is_failed = row["outcome"] != "ok"
        totals[place] = requests + row["requests"], failed + row["requests"] * is_failed
    return [Share(*place, *counts) for place, counts in sorted(totals.items())]


async def _hot(sources: asking.Sources, view: asking.View, groups: _Groups) -> list[dict[str, Any]]:
    names = [_hot_span(sources.store, name) if name in _SPANS_US else _t.c[name] for name in groups.by]
    what = [sa.func.count().label("requests"), *(sa.func.sum(_t.c[name]).label(name) for name in groups.sums)]
    chain, rows = view.chain, list[dict[str, Any]]()
    places: list[sa.Select[Any]] = [sa.select().where(*view.hot)]
    if chain is not None and view.question.columns() <= set(hot_columns.NAMES):
        with contextlib.suppress(errors.StorageUnavailable):  # a damaged copy: the table has its rows
            rows = await asyncio.to_thread(_copied, sources, view, chain, groups)
            places = [*chain.beside(sources.store, view.hot, view.question.since)]
    async with sources.store.reading() as conn:
        for place in places:
            asked = place.add_columns(*names, *what)
            rows += await storage.every(conn, asked.group_by(*(sa.text(str(n + 1)) for n in range(len(names)))))
    return [row for row in rows if row["requests"]]


def _copied(
    sources: asking.Sources, view: asking.View, chain: hot_columns.Chain, groups: _Groups
) -> list[dict[str, Any]]:
    where, values = chain.condition
    return _grouped(sources, groups.of_rows(), f"{view.text} and {where}", values | view.values, chain.files)


def _hot_span(store: storage.Storage, name: str) -> sa.ColumnElement[int]:
    """Give the beginning of a row's hour or day in microseconds since 1970, as the day files have it."""
    return hot_columns.span(store, name, _span("{at}", name))


def _span(at_us: str, name: str) -> str:
    """Say in SQL when the hour or the Vietnamese day began; Vietnam is seven hours ahead all the year."""
    return f"{at_us} - ({at_us} + {_AHEAD_US}) % {_SPANS_US[name]}"


def _cold(sources: asking.Sources, view: asking.View, groups: _Groups) -> list[dict[str, Any]]:
    known = (kind for kind in view.counts if set(groups.sums) <= set(day_counts.SUMS[kind]))
    kind = next((kind for kind in known if set(groups.by) <= day_counts.COLUMNS[kind]), None)
    if kind is None:
        return _grouped(sources, groups.of_rows(), view.text, view.values, view.files)
    found = []
    whole, edges = _whole_hours(view.question)
    if whole is not None:
        seen = view if whole == view.question else asking.look_now(sources, whole)
        counts = seen.counts[kind]
        found = _grouped(sources, groups.of_counts(), seen.counts_text, seen.values, counts.files)
        files = [sources.archive.file(part) for part in seen.parts if part.name not in counts.parts]
        found += _grouped(sources, groups.of_rows(), seen.text, seen.values, files)
    for edge in edges:
        seen = asking.look_now(sources, edge)
        found += _grouped(sources, groups.of_rows(), seen.text, seen.values, seen.files)
    return found


def _whole_hours(question: asking.Question) -> tuple[asking.Question | None, list[asking.Question]]:
    """Divide a question into one about whole hours, if there are any, and those about less than an hour."""
    since, until = question.since, question.until
    begun = None if since is None else day_columns.hour(since - timedelta(microseconds=1)) + timedelta(hours=1)
    ended = None if until is None else day_columns.hour(until)
    if begun is not None and ended is not None and begun > ended:
        return None, [question]
    edges = [
        *([replace(question, until=begun)] if begun != since else []),
        *([replace(question, since=ended)] if ended != until else []),
    ]
    return replace(question, since=begun, until=ended), edges


def _grouped(
    sources: asking.Sources, said: tuple[str, str], where: str, values: Mapping[str, Any], files: Sequence[Path]
) -> list[dict[str, Any]]:
    what, by = said
    used = {name: value for name, value in values.items() if f"${name}" in where}
    found = sources.archive.query(f"select {what} from {{files}} where {where} group by {by}", used, files)
    return [row for row in found if row["requests"]]


def _added(rows: Sequence[Mapping[str, Any]], by: Sequence[str], sums: Sequence[str]) -> list[dict[str, Any]]:
    added = ("requests", *sums)
    totals: dict[tuple[Any, ...], list[Any]] = {}
    for row in rows:
        place = tuple([row[name] for name in by])
        values = [row[name] or 0 for name in added]
        if (kept := totals.get(place)) is not None:
            values = [one + other for one, other in zip(kept, values, strict=True)]
        totals[place] = values
    # Few moments for many groups: each is made once.
    moment = functools.cache(day_columns.moment)
    found = []
    for place, values in totals.items():
        group = dict(zip((*by, *added), (*place, *values), strict=True))
        group |= {name: moment(int(group[name])) for name in _SPANS_US if name in group}
        found.append(group | {name: int(group[name]) for name in added if name != "took_ms"})
    return found
