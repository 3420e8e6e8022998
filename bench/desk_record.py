"""The access record of an invented province, through spool, database, seals and day files, night by night."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import figures  # noqa: F401 - finds the house where it is not installed

from lienthong.core import access_record, bulk, clock, ingest, spool, subjects, tables
from lienthong.monitoring import asking, day_files, hot_columns, retention, seals

# A Friday afternoon: offices are open, and the month is under way.
MOMENT = datetime(2026, 11, 20, 16, 0, tzinfo=clock.VIETNAM)
DAYS, HOT_DAYS = 30, 3
# One person about whom somebody complains, and how often that person was looked up.
COMPLAINANT, LOOKS = "001199000001", 37
_OPERATIONS = (
    ("dossiers.put", "/v1/dossiers/{code}", "PUT"),
    ("dossiers.report_status", "/v1/dossiers/{code}/status", "POST"),
    ("dossiers.get", "/v1/dossiers/{code}", "GET"),
    ("procedures.get", "/v1/procedures/{code}", "GET"),
    ("procedures.list", "/v1/procedures", "GET"),
)
_LOOKUP = ("residents.look_up", "/v1/residents/look-up", "POST")
_REFUSED = (("Client.LimitExceeded", 429), ("Client.NotGranted", 403), ("Client.InvalidRequest", 400))
Told = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Cast:
    """Who appears in the record: keys with their organisation, officials of each, dossiers, persons' digests."""

    keys: Sequence[tuple[str, str]]
    officials: Sequence[str]
    dossiers: Sequence[str]
    persons: Sequence[str]
    complainant: str

    @classmethod
    def of(
        cls,
        home: Path,
        keys: Sequence[tuple[str, str]],
        officials: Sequence[str],
        dossiers: Sequence[str],
        *,
        people: int,
    ) -> Cast:
        """Digest as many invented persons as asked, and the one who complains."""
        years = subjects.Subjects(home)
        persons = [years.digest(f"079{number:09d}", at=MOMENT) for number in range(people)]
        return cls(keys, officials, dossiers, persons, years.digest(COMPLAINANT, at=MOMENT))


async def written(hub: Any, cast: Cast, count: int, *, told: Told) -> None:
    """Let the days pass: each is written, taken in and sealed; each night the day that is due goes into files."""
    home, store = hub.settings.home, hub.storage
    sources = asking.Sources(store, day_files.Archive(home / "record"))
    node, taker = spool.Spool(home / "spool", "gateway"), ingest.Ingest(home / "spool", store)
    done = 0
    async with seals.opened(home, store) as sealer:
        assert sealer
        for day, its_count in _days(count):
            rows = list(_calls(cast, day, its_count))
            for row in rows:
                node.append(row)
            while await taker.step():
                pass
            await _looked_up(hub, rows)
            while sealer.access.tiles.size < done + len(rows):
                await sealer.step(min(day + timedelta(days=1), MOMENT))
            done += len(rows)
            night = min(day + timedelta(days=1, hours=2), MOMENT)
            await retention.roll_closed_days(sources, hot_days=HOT_DAYS, now=night, spool=home / "spool")
            told("records", done, count)
    node.close()
    while await hot_columns.extend(store, sources.archive):
        pass
    await _known_to_detection(store)
    sources.archive.close()


def _days(count: int) -> Iterator[tuple[datetime, int]]:
    """Give each day and how many records it has: weekends are quiet, and the last day is not over."""
    midnight = MOMENT.replace(hour=0)
    days = [midnight - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    shares = [(1.0, 1.0, 1.0, 1.0, 1.0, 0.25, 0.1)[day.weekday()] for day in days]
    shares[-1] *= 0.8
    left = count
    for day, share in zip(days[:-1], shares, strict=False):
        its_count = int(count * share / sum(shares))
        left -= its_count
        yield day, its_count
    yield days[-1], left


def _calls(cast: Cast, day: datetime, count: int) -> Iterator[access_record.Record]:
    """Make the calls of a day in the order of time; one in six is of the hub's own to another system."""
    dice = random.Random(day.toordinal())
    longest_s = 16 * 3600 if day.date() == MOMENT.date() else 86_400
    moments = sorted(_moment_s(dice, longest_s) for _ in range(count))
    complaint = set(
        dice.sample(range(count), min(count, LOOKS // DAYS + (day.date() == MOMENT.date()) * (LOOKS % DAYS)))
    )
    for place, second in enumerate(moments):
        at = day + timedelta(seconds=second)
        if place in complaint:
            yield _call(cast, dice, at, person=cast.complainant)
        elif place % 6 == 5:
            yield _outgoing(cast, dice, at)
        else:
            yield _call(cast, dice, at)


def _moment_s(dice: random.Random, longest_s: int) -> float:
    """Choose a second of the day: most of them lie in office hours."""
    while True:
        second = dice.random() * 86_400 if dice.random() < 0.15 else 7.5 * 3600 + dice.random() * 9.5 * 3600
        if second < longest_s:
            return second


def _call(cast: Cast, dice: random.Random, at: datetime, *, person: str | None = None) -> access_record.Record:
    number = int(len(cast.keys) * dice.random() ** 3)
    key, organisation = cast.keys[number]
    if person is None and dice.random() < 0.25:
        person = cast.persons[int(len(cast.persons) * dice.random() ** 2)]
    name, route, method = _LOOKUP if person else _OPERATIONS[int(len(_OPERATIONS) * dice.random() ** 2)]
    outcome, status = ("ok", 200) if dice.random() < 0.97 else dice.choice(_REFUSED)
    has_dossier = person or name.startswith("dossiers.")
    return access_record.Record(
        at=at,
        request_id=clock.new_id(int(at.timestamp() * 1000)),
        operation=name,
        route=route,
        method=method,
        outcome=outcome,
        took_ms=round(2 + 30 * dice.random() ** 3, 3),
        status=status,
        key_id=key,
        generation=1,
        organisation=organisation,
        address=f"10.{number}.3.{int(4 * dice.random())}",
        official=cast.officials[(number * 20 + int(20 * dice.random())) % len(cast.officials)] if person else None,
        rule="600/minute" if status == 429 else None,
        bytes_in=int(900 * dice.random()),
        bytes_out=int(4000 * dice.random()),
        rows=1 if person and status == 200 else None,
        field_groups=("identity",) if person else (),
        subject=person,
        purpose="Giải quyết thủ tục hành chính" if person else None,
        dossier_code=dice.choice(cast.dossiers) if has_dossier else None,
    )


def _outgoing(cast: Cast, dice: random.Random, at: datetime) -> access_record.Record:
    system, operation = ("dvcqg_adapter", "send_dossier") if dice.random() < 0.7 else ("vnpay", "query")
    is_good = dice.random() < 0.95
    return access_record.Record(
        at=at,
        request_id=clock.new_id(int(at.timestamp() * 1000)),
        operation=operation,
        route=f"/{operation}",
        method="POST",
        direction="out",
        system=system,
        outcome="ok" if is_good else "Server.Remote.Refused",
        took_ms=round(20 + 400 * dice.random() ** 2, 3),
        status=200 if is_good else 422,
        dossier_code=dice.choice(cast.dossiers),
    )


async def _looked_up(hub: Any, rows: Sequence[access_record.Record]) -> None:
    """Keep the questions about persons in their own book too, as the hub does."""
    lookups = [
        {
            "id": clock.new_id(int(row.at.timestamp() * 1000)),
            "at": row.at,
            "request_id": row.request_id,
            "key_id": row.key_id,
            "organisation": row.organisation,
            "operation": row.operation,
            "system": "population_c06",
            "number": f"{row.request_id[:8]}{row.request_id[-12:]}",
            "official_id": row.official,
            "official_code": row.official,
            "named_by": "caller",
            "unit_code": "000.01.02.H38",
            "dossier_code": row.dossier_code,
            "procedure_code": "1.000001",
            "purpose": row.purpose,
            "field_groups": ["identity"],
            "subject": row.subject,
            "outcome": row.outcome,
            "answered_at": row.at,
            "rows": row.rows,
        }
        for row in rows
        if row.subject
    ]
    async with hub.storage.transaction() as tx:
        await bulk.insert(hub.storage, tx, tables.lookups, lookups)


async def _known_to_detection(store: Any) -> None:
    """Say that detection has seen all of it, as it would have in a month."""
    import sqlalchemy as sa

    async with store.transaction() as tx:
        newest = (await tx.execute(sa.select(sa.func.max(tables.exchanges.c.number)))).scalar()
        place = {"node": "exchanges", "number": newest, "at": MOMENT}
        await tx.execute(tables.detection_positions.insert().values(**place))
