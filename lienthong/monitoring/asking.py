"""A question to the record, and how it is put to the two places where rows lie: the database and the day files."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from lienthong.core import storage, tables
from lienthong.monitoring import day_columns, day_counts, day_files, hot_columns, places

_t = tables.exchanges
_SAME = (
    "key_id",
    "organisation",
    "official",
    "operation",
    "outcome",
    "address",
    "dossier_code",
    "direction",
    "request_id",
)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the record lies: the database for the last days, the archive for the closed ones before them."""

    store: storage.Storage
    archive: day_files.Archive


_archives: weakref.WeakKeyDictionary[storage.Storage, day_files.Archive] = weakref.WeakKeyDictionary()


def of(store: storage.Storage, home: Path) -> Sources:
    """Say where a hub's record lies. A process opens its archive once: that takes longer than most questions."""
    archive = _archives.get(store)
    if archive is None:
        archive = _archives[store] = day_files.Archive(home / "record")
    return Sources(store, archive)


@dataclass(frozen=True, slots=True)
class Question:
    """What is looked for; what is not given does not matter.

    `until` is the first moment that is too late. `subjects` are digests of one person's number, one for each year.
    `is_refused`: only what the hub refused its caller; `is_personal`: only what concerned a person.
    """

    since: datetime | None = None
    until: datetime | None = None
    key_id: str | None = None
    organisation: str | None = None
    official: str | None = None
    operation: str | None = None
    outcome: str | None = None
    address: str | None = None
    dossier_code: str | None = None
    request_id: str | None = None
    direction: str | None = None
    subjects: tuple[str, ...] | None = None
    is_refused: bool = False
    is_personal: bool = False

    def asked(self) -> dict[str, Any]:
        """Say what is asked, for the trail: names and plain values only."""
        found: dict[str, Any] = {name: value for name in _SAME if (value := getattr(self, name)) is not None}
        found |= {name: end.isoformat() for name in ("since", "until") if (end := getattr(self, name)) is not None}
        if self.subjects is not None:
            found["subjects"] = list(self.subjects)
        told = {"refused": self.is_refused, "personal": self.is_personal}
        return found | {name: True for name, is_asked in told.items() if is_asked}

    def columns(self) -> set[str]:
        """Name the columns that the question looks at, apart from the time."""
        named = {name for name in _SAME if getattr(self, name) is not None}
        named |= {"outcome"} if self.is_refused else set()
        return named | ({"subject"} if self.subjects is not None or self.is_personal else set())

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Whether a row, as the database gives it, is one of those that are looked for."""
        return (
            (self.since is None or row["at"] >= self.since)
            and (self.until is None or row["at"] < self.until)
            and all(row[name] == value for name in _SAME if (value := getattr(self, name)) is not None)
            and (self.subjects is None or row["subject"] in self.subjects)
            and (not self.is_personal or row["subject"] is not None)
            and (not self.is_refused or row["outcome"].startswith(places.REFUSED))
        )

    def listed(self) -> tuple[int, list[bytes]] | None:
        """Say which list beside the day files leads to what is looked for, and by which names."""
        if self.subjects is not None:
            return places.PERSONS, [bytes.fromhex(subject) for subject in self.subjects]
        if self.key_id is not None and self.is_refused:
            return places.REFUSALS, [self.key_id.encode()]
        return None


@dataclass(frozen=True, slots=True)
class View:
    """A question in the words of both places: conditions for the database, text, values and files for DuckDB.

    `counts`: those by the hour that know all that the question looks at. `chain`: the rows of the database once
    more, by columns.
    """

    question: Question
    hot: tuple[sa.ColumnElement[bool], ...]
    text: str
    values: dict[str, Any]
    parts: tuple[day_files.Part, ...]
    files: tuple[Path, ...]
    counts_text: str
    counts: Mapping[str, day_counts.Hours]
    chain: hot_columns.Chain | None


async def look(sources: Sources, question: Question) -> View:
    """Prepare a question: find the files it concerns, and leave out of the database what the files speak for."""
    return await asyncio.to_thread(look_now, sources, _narrowed(question))


def _narrowed(question: Question) -> Question:
    """A request id of ours tells its time: a minute before (a clock may be set) and a day after are enough."""
    made_at = day_columns.request_moment(question.request_id) if question.request_id else None
    if made_at is None:
        return question
    since, until = made_at - timedelta(days=1), made_at + timedelta(days=1)
    return replace(question, since=max(since, question.since or since), until=min(until, question.until or until))


def look_now(sources: Sources, question: Question) -> View:
    """Do the same, waiting for the disk."""
    archive = sources.archive
    first = day_files.day_of(question.since) if question.since else None
    last = day_files.day_of(question.until - timedelta(microseconds=1)) if question.until else None
    # The files before the table's copies: a day that goes from one into the other is then counted once.
    known = archive.parts()
    chain = hot_columns.chain(archive.folder, known)
    every = [part for part in known if (first or part.day) <= part.day <= (last or part.day)]
    parts = [part for part in every if _may_hold(part.kind, question)]
    if named := {name: value for name in places.NAMED if (value := getattr(question, name)) is not None}:
        parts = [part for part in parts if places.may_hold(archive.file(part), named)]
    conditions = dict(_conditions(question))
    values = {name: value for condition in conditions.values() for name, value in condition[1].items()}
    return View(
        question=question,
        hot=(*_hot_conditions(question), *(_not_of(part) for part in every if not part.is_settled)),
        text=" and ".join(text for text, _ in conditions.values()) or "true",
        values=values,
        parts=tuple(parts),
        files=tuple(archive.file(part) for part in parts),
        counts_text=" and ".join(text.replace("at_us ", "hour ") for text, _ in conditions.values()) or "true",
        counts={
            what: archive.counts.hours(what, first, last)
            for what, known in day_counts.COLUMNS.items()
            if question.columns() <= known
        },
        chain=chain,
    )


def _may_hold(kind: str, question: Question) -> bool:
    if kind == day_files.OUTGOING:
        return question.direction != "in" and question.subjects is None and not question.is_personal
    if question.direction == "out":
        return False
    return kind == day_files.PERSONAL or (question.subjects is None and not question.is_personal)


def _not_of(part: day_files.Part) -> sa.ColumnElement[bool]:
    """Leave out the rows that a file has taken over while they are still being removed from the database."""
    begun, ended = day_files.bounds(part.day)
    kinds = {
        day_files.OUTGOING: _t.c.direction == "out",
        day_files.PERSONAL: sa.and_(_t.c.direction != "out", _t.c.subject.is_not(None)),
        day_files.CALLS: sa.and_(_t.c.direction != "out", _t.c.subject.is_(None)),
    }
    return sa.not_(
        sa.and_(_t.c.at >= begun, _t.c.at < ended, _t.c.number.between(part.first, part.last), kinds[part.kind])
    )


def _hot_conditions(question: Question) -> Iterator[sa.ColumnElement[bool]]:
    if question.since is not None:
        yield _t.c.at >= question.since
    if question.until is not None:
        yield _t.c.at < question.until
    for name in _SAME:
        if (value := getattr(question, name)) is not None:
            yield _t.c[name] == value
    if question.subjects is not None:
        yield _t.c.subject.in_(question.subjects)
    if question.is_personal:
        yield _t.c.subject.is_not(None)
    if question.is_refused:
        # The first half is the index's own condition, word for word.
        yield sa.literal_column("outcome <> 'ok'")
        yield _t.c.outcome.like("Client.%")


def _conditions(question: Question) -> Iterator[tuple[str, tuple[str, dict[str, Any]]]]:
    if question.since is not None:
        yield "since", ("at_us >= $since", {"since": day_columns.microseconds(question.since)})
    if question.until is not None:
        yield "until", ("at_us < $until", {"until": day_columns.microseconds(question.until)})
    for name in _SAME[:-1]:
        if (value := getattr(question, name)) is not None:
            yield name, (f"{name} = ${name}", {name: value})
    if question.request_id is not None:
        tail = day_columns.request_tail(question.request_id)
        column = "request_text" if tail is None else "request_tail"
        yield "request_id", (f"{column} = $request_id", {"request_id": tail or question.request_id})
    if question.subjects is not None:
        digests = [bytes.fromhex(subject) for subject in question.subjects]
        names = [f"subject_{place}" for place in range(len(digests))]
        listed = " or ".join(f"subject = ${name}" for name in names) or "false"
        yield "subjects", (f"({listed})", dict(zip(names, digests, strict=True)))
    if question.is_personal:
        yield "is_personal", ("subject is not null", {})
    if question.is_refused:
        yield "is_refused", ("outcome like 'Client.%'", {})
