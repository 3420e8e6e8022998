"""Counting the record: by key, operation, outcome, hour and day, over the database and the day files together."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from lienthong.core import errors, storage, tables
from lienthong.monitoring import asking, day_columns, day_files

_t = tables.exchanges
_SPANS_US = {"hour": 3_600_000_000, "day": 86_400_000_000}
_AHEAD_US = 7 * 3_600_000_000
# What the counts beside the day files know; anything else is counted from the rows themselves.
_COUNTED = frozenset({"hour", "day", "system", "direction", "operation", "outcome"})
GROUPS = _COUNTED | {"key_id", "organisation", "official", "address", "dossier_code", "door", "rule", "status"}
_SUMS = ("requests", "took_ms", "bytes_in", "bytes_out")


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


async def counted(
    sources: asking.Sources, question: asking.Question, *, by: Sequence[str]
) -> list[dict[str, Any]]:
    """Count what a question finds, grouped by columns and perhaps `hour` or `day`; the largest first.

    Where the range is whole hours and the question asks nothing finer, the counts are read in place of the rows;
    they are there also for days whose rows have been dropped.
    """
    if unknown := set(by) - GROUPS:
        raise errors.InvalidRequest(
            f"the record is not counted by {', '.join(sorted(unknown))}",
            detail_vi=f"Sổ nhật ký không đếm theo {', '.join(sorted(unknown))}.",
        )
    view = await asking.look(sources, question)
    hot, cold = await asyncio.gather(_hot(sources, view, by), asyncio.to_thread(_cold, sources, view, by))
    found = [*hot, *cold]
    return sorted(_added(found, by), key=lambda row: (-row["requests"], str([row[name] for name in by])))


async def histogram(sources: asking.Sources, question: asking.Question) -> list[dict[str, Any]]:
    """Count what a question finds by the hour, the oldest first."""
    found = await counted(sources, question, by=["hour"])
    return sorted(found, key=lambda row: row["hour"])


async def distinct_subjects(sources: asking.Sources, day: date) -> dict[str, int]:
    """Say of how many persons each key asked on one day; exact, the most curious key first."""
    begun, ended = day_files.bounds(day)
    view = await asking.look(sources, asking.Question(since=begun, until=ended, is_personal=True))
    is_closed = len(view.parts) == 1 and not await _has_hot(sources, view)
    if not view.parts:
        totals = await _hot_subjects(sources, view)
    elif is_closed:
        files = [sources.archive.counted(view.parts[0], day_files.BY_KEY)]
        rows = await asyncio.to_thread(sources.archive.query, "select key_id, subjects from {files}", {}, files)
        totals = {row["key_id"]: row["subjects"] for row in rows}
    else:
        totals = await _mixed_subjects(sources, view)
    return dict(sorted(totals.items(), key=lambda pair: (-pair[1], str(pair[0]))))


async def _has_hot(sources: asking.Sources, view: asking.View) -> bool:
    async with sources.store.reading() as conn:
        return await storage.first(conn, sa.select(_t.c.number).where(*view.hot).limit(1)) is not None


async def _hot_subjects(sources: asking.Sources, view: asking.View) -> dict[str, int]:
    asked = sa.select(_t.c.key_id, sa.func.count(_t.c.subject.distinct()).label("subjects")).where(*view.hot)
    async with sources.store.reading() as conn:
        rows = await storage.every(conn, asked.group_by(_t.c.key_id))
    return {row["key_id"]: row["subjects"] for row in rows}


async def _mixed_subjects(sources: asking.Sources, view: asking.View) -> dict[str, int]:
    """Count a day that lies in several places: the same person may stand in each of them."""
    async with sources.store.reading() as conn:
        hot = await storage.every(conn, sa.select(_t.c.key_id, _t.c.subject).where(*view.hot).distinct())
    text = f"select distinct key_id, subject from {{files}} where {view.text}"
    cold = await asyncio.to_thread(sources.archive.query, text, view.values, view.files)
    pairs = {(row["key_id"], row["subject"]) for row in hot}
    pairs |= {(row["key_id"], row["subject"].hex()) for row in cold}
    return dict(collections.Counter(key_id for key_id, _ in pairs))


async def error_shares(sources: asking.Sources, *, since: datetime, until: datetime) -> list[Share]:
    """Say for each day and operation which part of the calls failed, the oldest day first."""
    question = asking.Question(since=day_columns.hour(since), until=until)
    found = await counted(sources, question, by=["day", "operation", "outcome"])
    totals: dict[tuple[date, str], tuple[int, int]] = {}
    for row in found:
        place = day_files.day_of(row["day"]), str(row["operation"])
        requests, failed = totals.get(place, (0, 0))
        is_failed = row["outcome"] != "ok"
        totals[place] = requests + row["requests"], failed + row["requests"] * is_failed
    return [Share(*place, *counts) for place, counts in sorted(totals.items())]


async def _hot(sources: asking.Sources, view: asking.View, by: Sequence[str]) -> list[dict[str, Any]]:
    columns = [_hot_span(sources.store, name) if name in _SPANS_US else _t.c[name] for name in by]
    sums = [sa.func.count().label("requests"), *(sa.func.sum(_t.c[name]).label(name) for name in _SUMS[1:])]
    asked = sa.select(*columns, *sums).where(*view.hot).group_by(*(sa.text(str(n + 1)) for n in range(len(by))))
    async with sources.store.reading() as conn:
        rows = await storage.every(conn, asked if by else sa.select(*sums).where(*view.hot))
    return [row for row in rows if row["requests"]]


def _hot_span(store: storage.Storage, name: str) -> sa.ColumnElement[int]:
    """Give the beginning of a row's hour or day in microseconds since 1970, as the day files have it."""
    at = "at" if store.is_sqlite else "cast(extract(epoch from at) * 1000000 as bigint)"
    return sa.literal_column(_span(at, name)).label(name)


def _span(at_us: str, name: str) -> str:
    """Say in SQL when the hour or the Vietnamese day began; Vietnam is seven hours ahead all the year."""
    return f"{at_us} - ({at_us} + {_AHEAD_US}) % {_SPANS_US[name]}"


def _cold(sources: asking.Sources, view: asking.View, by: Sequence[str]) -> list[dict[str, Any]]:
    sums = ", ".join(f"cast(sum({name}) as double) as {name}" for name in _SUMS[1:])
    if _may_use_counts(view, by):
        names = _named(by, "hour")
        what = f"cast(sum(requests) as bigint) as requests, {sums}"
        return _grouped(sources, names, what, view.counts_text, view.values, view.counts, are_alike=True)
    names = _named(by, "at_us")
    return _grouped(sources, names, f"count(*) as requests, {sums}", view.text, view.values, view.files)


def _named(by: Sequence[str], at_us: str) -> str:
    return ", ".join(f"{_span(at_us, name)} as {name}" if name in _SPANS_US else name for name in by)


def _grouped(
    sources: asking.Sources,
    names: str,
    what: str,
    where: str,
    values: Mapping[str, Any],
    files: Sequence[Path],
    *,
    are_alike: bool = False,
) -> list[dict[str, Any]]:
    head = f"{names}, {what}" if names else what
    used = {name: value for name, value in values.items() if f"${name}" in where}
    found = sources.archive.query(
        f"select {head} from {{files}} where {where} group by all", used, files, are_alike=are_alike
    )
    return [row for row in found if row["requests"]]


def _may_use_counts(view: asking.View, by: Sequence[str]) -> bool:
    asked = view.question
    ends = [moment for moment in (asked.since, asked.until) if moment is not None]
    return {*by, *asked.columns()} <= _COUNTED and all(day_columns.is_whole_hour(moment) for moment in ends)


def _added(rows: Sequence[Mapping[str, Any]], by: Sequence[str]) -> list[dict[str, Any]]:
    totals: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        place = tuple(row[name] for name in by)
        if place not in totals:
            kept = dict(zip(by, place, strict=True))
            kept |= {name: day_columns.moment(int(kept[name])) for name in _SPANS_US if name in kept}
            totals[place] = {**kept, **dict.fromkeys(_SUMS, 0)}
        for name in _SUMS:
            totals[place][name] += row[name] or 0
    for total in totals.values():
        total |= {name: int(total[name]) for name in _SUMS if name != "took_ms"}
    return list(totals.values())
