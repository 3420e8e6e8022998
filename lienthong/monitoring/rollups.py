"""Counting the record: by key, operation, outcome, hour and day, over the database and the day files together."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from lienthong.core import errors, storage, tables
from lienthong.monitoring import asking, day_columns, day_counts, day_files, hot_columns

_t = tables.exchanges
_SPANS_US = {"hour": 3_600_000_000, "day": 86_400_000_000}
_AHEAD_US = 7 * 3_600_000_000
# What the counts beside the day files know; anything else is counted from the rows themselves.
_COUNTED = frozenset({"hour", "day", "system", "direction", "operation", "outcome"})
GROUPS = _COUNTED | {"key_id", "organisation", "official", "address", "dossier_code", "door", "rule", "status"}
_SUMS = ("requests", "took_ms", "bytes_in", "bytes_out")
_SUMMED = ", ".join(f"cast(sum({name}) as double) as {name}" for name in _SUMS[1:])


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

    Where the question asks nothing finer, the counts of whole hours are read in place of the rows; they are there
    also for days whose rows have been dropped.
    """
    if unknown := set(by) - GROUPS:
        raise errors.InvalidRequest(
            f"the record is not counted by {', '.join(sorted(unknown))}",
            detail_vi=f"Sổ nhật ký không đếm theo {', '.join(sorted(unknown))}.",
        )
    found = await _totals(sources, question, by)
    return sorted(found, key=lambda row: (-row["requests"], str([row[name] for name in by])))


async def _totals(sources: asking.Sources, question: asking.Question, by: Sequence[str]) -> list[dict[str, Any]]:
    view = await asking.look(sources, question)
    hot, cold = await asyncio.gather(_hot(sources, view, by), asyncio.to_thread(_cold, sources, view, by))
    return await asyncio.to_thread(_added, [*hot, *cold], by)


async def histogram(sources: asking.Sources, question: asking.Question) -> list[dict[str, Any]]:
    """Count what a question finds by the hour, the oldest first."""
    found = await counted(sources, question, by=["hour"])
    return sorted(found, key=lambda row: row["hour"])


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
    files, where, values, places = view.files, view.text, view.values, [sa.select()]
    if not view.parts and view.chain is not None:
        condition, more = view.chain.condition
        files, where, values = view.chain.files, f"{where} and {condition}", values | more
        places = [*view.chain.beside(view.question.since)]
    pairs: list[Any] = []
    async with sources.store.reading() as conn:
        for place in places:
            asked = place.add_columns(_t.c.key_id, _t.c.subject).where(*view.hot).distinct()
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


async def _hot(sources: asking.Sources, view: asking.View, by: Sequence[str]) -> list[dict[str, Any]]:
    names = [_hot_span(sources.store, name) if name in _SPANS_US else _t.c[name] for name in by]
    sums = [sa.func.count().label("requests"), *(sa.func.sum(_t.c[name]).label(name) for name in _SUMS[1:])]
    chain, rows = view.chain, list[dict[str, Any]]()
    places: list[sa.Select[Any]] = [sa.select()]
    if chain is not None and view.question.columns() <= set(hot_columns.NAMES):
        with contextlib.suppress(errors.StorageUnavailable):  # a damaged copy: the table has its rows
            rows = await asyncio.to_thread(_copied, sources, view, chain, by)
            places = [*chain.beside(view.question.since)]
    async with sources.store.reading() as conn:
        for place in places:
            asked = place.add_columns(*names, *sums).where(*view.hot)
            rows += await storage.every(conn, asked.group_by(*(sa.text(str(n + 1)) for n in range(len(by)))))
    return [row for row in rows if row["requests"]]


def _copied(
    sources: asking.Sources, view: asking.View, chain: hot_columns.Chain, by: Sequence[str]
) -> list[dict[str, Any]]:
    where, values = chain.condition
    values |= view.values
    return _rows_grouped(sources, by, f"{view.text} and {where}", values, chain.files, are_alike=True)


def _hot_span(store: storage.Storage, name: str) -> sa.ColumnElement[int]:
    """Give the beginning of a row's hour or day in microseconds since 1970, as the day files have it."""
    return hot_columns.span(store, name, _span("{at}", name))


def _span(at_us: str, name: str) -> str:
    """Say in SQL when the hour or the Vietnamese day began; Vietnam is seven hours ahead all the year."""
    return f"{at_us} - ({at_us} + {_AHEAD_US}) % {_SPANS_US[name]}"


def _cold(sources: asking.Sources, view: asking.View, by: Sequence[str]) -> list[dict[str, Any]]:
    if not {*by, *view.question.columns()} <= _COUNTED:
        return _rows_grouped(sources, by, view.text, view.values, view.files)
    found = []
    whole, edges = _whole_hours(view.question)
    if whole is not None:
        seen = view if whole == view.question else asking.look_now(sources, whole)
        what = f"cast(sum(requests) as bigint) as requests, {_SUMMED}"
        found = _grouped(
            sources, _named(by, "hour"), what, seen.counts_text, seen.values, seen.counts, are_alike=True
        )
    for edge in edges:
        seen = asking.look_now(sources, edge)
        found += _rows_grouped(sources, by, seen.text, seen.values, seen.files)
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


def _rows_grouped(
    sources: asking.Sources,
    by: Sequence[str],
    where: str,
    values: Mapping[str, Any],
    files: Sequence[Path],
    *,
    are_alike: bool = False,
) -> list[dict[str, Any]]:
    what = f"count(*) as requests, {_SUMMED}"
    return _grouped(sources, _named(by, "at_us"), what, where, values, files, are_alike=are_alike)


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


def _added(rows: Sequence[Mapping[str, Any]], by: Sequence[str]) -> list[dict[str, Any]]:
    totals: dict[tuple[Any, ...], list[Any]] = {}
    for row in rows:
        place = tuple([row[name] for name in by])
        sums = [row[name] or 0 for name in _SUMS]
        if (kept := totals.get(place)) is not None:
            sums = [one + other for one, other in zip(kept, sums, strict=True)]
        totals[place] = sums
    # Few moments for many groups: each is made once.
    moment = functools.cache(day_columns.moment)
    found = []
    for place, sums in totals.items():
        group = dict(zip((*by, *_SUMS), (*place, *sums), strict=True))
        group |= {name: moment(int(group[name])) for name in _SPANS_US if name in group}
        found.append(group | {name: int(group[name]) for name in _SUMS if name != "took_ms"})
    return found
