"""Searching the record: newest first, with one cursor over the database and the day files."""

from __future__ import annotations

import asyncio
import base64
import binascii
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from lienthong.core import errors, journal, storage, subjects, tables
from lienthong.monitoring import asking, day_columns, day_files, places

_t = tables.exchanges
_SHOWN = [column for column in _t.c if column.name != "detail"]
_READ = [name for name in day_columns.NAMES if name != "detail"]
_FILE_COLUMNS = ", ".join(_READ)
# A person asked about more often than this is as soon looked for through whole files.
_MOST_LOOKS = 200
WHO_DAYS = 90
MOST = 10_000


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads the record, and why; the hub writes it down before it answers."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, the newest first, and where the next page begins; no cursor where there is nothing more."""

    items: list[dict[str, Any]]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Looks:
    """Who looked at one person: every row, the same summed up, and the years that cannot be asked any more."""

    since: datetime
    until: datetime
    rows: list[dict[str, Any]]
    lookers: list[dict[str, Any]]
    blind_years: list[int]
    is_cut: bool


async def record_reading(
    sources: asking.Sources, reader: Reader, act: str, *, asked: Mapping[str, Any], now: datetime
) -> None:
    """Write down who reads what, and why. Where that cannot be written, nothing is read."""
    async with sources.store.transaction() as tx:
        await journal.write_act(
            tx,
            act,
            ", ".join(sorted(asked)) or "all",
            actor=reader.name,
            now=now,
            reason=reader.reason,
            after={**asked},
        )


async def page(
    sources: asking.Sources,
    question: asking.Question,
    *,
    reader: Reader,
    now: datetime,
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """Give one page of what a question finds, the newest first, and write down that it was asked."""
    if question.subjects is not None and not reader.reason.strip():
        raise errors.InvalidRequest(
            "a search for a person needs a reason", detail_vi="Tra cứu theo một người phải nêu lý do."
        )
    await record_reading(sources, reader, "journal.search", asked=question.asked(), now=now)
    return await found(sources, question, limit=limit, cursor=cursor)


async def found(
    sources: asking.Sources, question: asking.Question, *, limit: int, cursor: str | None = None
) -> Page:
    """Give one page, for those who have written down the reading themselves."""
    before = None if cursor is None else _read_cursor(cursor)
    view = await asking.look(sources, question)
    rows = await _hot(sources, view, limit + 1, before)
    if not _covers(rows, view, limit):
        rows += await asyncio.to_thread(_cold, sources, view, limit + 1, before)
        rows.sort(key=_place, reverse=True)
    more = rows[limit - 1] if len(rows) > limit else None
    return Page(rows[:limit], None if more is None else _cursor(more))


async def who(
    sources: asking.Sources,
    years: subjects.Subjects,
    number: str,
    *,
    reader: Reader,
    now: datetime,
    days: int = WHO_DAYS,
) -> Looks:
    """Say who looked at a person over the last days, every call of it. The number is digested here, never kept."""
    if not reader.reason.strip():
        raise errors.InvalidRequest("state a reason", detail_vi="Phải nêu lý do tra cứu.")
    since, until = now - timedelta(days=days), now + timedelta(seconds=1)
    digests = years.digests(number, since=since, until=until)
    known = tuple(digest for digest in digests.values() if digest is not None)
    question = asking.Question(since=since, until=until, subjects=known)
    await record_reading(sources, reader, "journal.who", asked=question.asked(), now=now)
    got = await found(sources, question, limit=MOST)
    blind = [year for year, digest in digests.items() if digest is None and years.is_forgotten(year)]
    return Looks(since, until, got.items, _lookers(got.items), blind, got.next_cursor is not None)


def about_person(
    question: asking.Question, years: subjects.Subjects, number: str, *, since: datetime, until: datetime
) -> asking.Question:
    """Narrow a question to one person and a range of time; only digests of the number go further."""
    digests = years.digests(number, since=since, until=until)
    known = tuple(digest for digest in digests.values() if digest is not None)
    return replace(question, subjects=known, since=since)


def _lookers(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Sum up by official, organisation and key; the rows come newest first."""
    summed: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        place = row["official"], row["organisation"], row["key_id"]
        one = summed.setdefault(
            place,
            {
                "official": row["official"],
                "organisation": row["organisation"],
                "key_id": row["key_id"],
                "looks": 0,
                "refused": 0,
                "purposes": [],
                "dossiers": [],
                "last_at": row["at"],
            },
        )
        one["looks"] += 1
        one["refused"] += row["outcome"] != "ok"
        one["first_at"] = row["at"]
        for name, column in (("purposes", "purpose"), ("dossiers", "dossier_code")):
            if row[column] and row[column] not in one[name]:
                one[name].append(row[column])
    return sorted(summed.values(), key=lambda one: -one["looks"])


async def _hot(
    sources: asking.Sources, view: asking.View, limit: int, before: tuple[int, int] | None
) -> list[dict[str, Any]]:
    asked = sa.select(*_SHOWN).where(*view.hot).order_by(_t.c.at.desc(), _t.c.number.desc()).limit(limit)
    if before is not None:
        at = day_columns.moment(before[0])
        asked = asked.where(sa.or_(_t.c.at < at, sa.and_(_t.c.at == at, _t.c.number < before[1])))
    async with sources.store.reading() as conn:
        return await storage.every(conn, asked)


def _covers(rows: Sequence[Mapping[str, Any]], view: asking.View, limit: int) -> bool:
    """Whether the database alone fills the page with rows that are newer than every file."""
    if not view.parts:
        return True
    return len(rows) > limit and rows[-1]["at"] >= day_files.bounds(view.parts[-1].day)[1]


def _cold(
    sources: asking.Sources, view: asking.View, limit: int, before: tuple[int, int] | None
) -> list[dict[str, Any]]:
    rows, newest = list[dict[str, Any]](), list[dict[str, Any]]()
    listed = view.question.listed()
    for parts in _spans(view.parts, before):
        files = [sources.archive.file(part) for part in parts]
        if listed is not None:
            found, files = _led(files, *listed)
            # Of a key the newest are enough; a person's rows stand in the order of the keys that asked.
            most = limit if listed[0] == places.REFUSALS else None
            for _, of_day in itertools.groupby(found, key=lambda one: one.file.name[:10]):
                for one in of_day:
                    rows += itertools.islice(_standing(view.question, one, before), most)
                if len(rows) >= limit:
                    break
        newest += _scanned(sources, view, files, limit - len(newest), before)
        if len(rows) + len(newest) >= limit:
            break
    rows += _whole(sources, newest)
    return sorted(rows, key=_place, reverse=True)[:limit]


def _led(files: Sequence[Path], what: int, names: Sequence[bytes]) -> tuple[list[places.Found], list[Path]]:
    """Ask the lists where the rows stand; gives the places, the newest day first, and the files without one."""
    told = {file: places.find(file, what, names) for file in sorted(files, reverse=True)}
    found = [one for one in told.values() if one is not None and one.places]
    unlisted = [file for file, one in told.items() if one is None]
    if what == places.PERSONS and sum(len(one.places) for one in found) > _MOST_LOOKS:
        return [], [*unlisted, *(one.file for one in found)]
    return found, unlisted


def _standing(
    question: asking.Question, found: places.Found, before: tuple[int, int] | None
) -> Iterator[dict[str, Any]]:
    """Read the rows that a list leads to, the newest of a key first, and leave out what only shares a hash."""
    try:
        for told in found.rows(_READ):
            row = day_columns.row(told)
            is_after = before is not None and (told["at_us"], told["number"]) >= before
            if not is_after and question.holds(row):
                yield row
    except (pa.ArrowException, OSError, IndexError) as exc:
        raise day_files.unreadable(found.file, exc) from exc


def _scanned(
    sources: asking.Sources,
    view: asking.View,
    files: Sequence[Path],
    limit: int,
    before: tuple[int, int] | None,
) -> list[dict[str, Any]]:
    """Say where the newest rows stand; only those that are shown are read whole, since files lie in columns."""
    text, values = view.text, dict(view.values)
    if before is not None:
        text += " and (at_us < $before_at or (at_us = $before_at and number < $before_number))"
        values |= {"before_at": before[0], "before_number": before[1]}
    newest = f"select at_us, number, filename from {{files}} where {text} order by 1 desc, 2 desc limit {limit}"
    return sources.archive.query(newest, values, files)


def _whole(sources: asking.Sources, found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if not found:
        return []
    text = (
        f"select {_FILE_COLUMNS} from {{files}} where at_us between $first and $last "
        "and number in (select unnest($numbers)) order by at_us desc, number desc"
    )
    values = {
        "first": found[-1]["at_us"],
        "last": found[0]["at_us"],
        "numbers": [one["number"] for one in found],
    }
    files = sorted({Path(one["filename"]) for one in found})
    return [day_columns.row(row) for row in sources.archive.query(text, values, files)]


def _spans(parts: Sequence[day_files.Part], before: tuple[int, int] | None) -> Iterator[list[day_files.Part]]:
    """Give the days from the newest on, ever more at a time: most questions end with the first few."""
    last = None if before is None else day_files.day_of(day_columns.moment(before[0]))
    days = sorted({part.day for part in parts if last is None or part.day <= last}, reverse=True)
    taken, size = 0, 2
    while taken < len(days):
        chosen = set(days[taken : taken + size])
        yield [part for part in parts if part.day in chosen]
        taken, size = taken + size, size * 4


def _place(row: Mapping[str, Any]) -> tuple[datetime, int]:
    return row["at"], row["number"]


def _cursor(row: Mapping[str, Any]) -> str:
    told = f"{day_columns.microseconds(row['at'])}.{row['number']}"
    return base64.urlsafe_b64encode(told.encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[int, int]:
    try:
        told = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        at_us, number = (int(part) for part in told.split("."))
        if not 0 <= at_us < day_columns.FAR_US or not 0 <= number < 1 << 63:
            raise ValueError("nobody's row")
        return at_us, number
    except (binascii.Error, UnicodeDecodeError, ValueError) as exc:
        raise errors.InvalidRequest(
            "the cursor is not one that the hub gave", detail_vi="Con trỏ trang không phải do trục cấp."
        ) from exc
