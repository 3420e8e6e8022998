"""The watcher: follows the access record in the hot store, and opens alerts. One process of all runs it.

What is normal for each key is kept in the table `baselines` every ten minutes. After a restart, and after
`detect rebuild`, the last 80 minutes are read again, and of officials and dossiers the last two weeks, without
opening anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from lienthong.bus.hub import Hub
from lienthong.core import errors, ingest, storage, tables
from lienthong.monitoring import (
    alerts,
    baseline_store,
    calls,
    day_files,
    detection,
    event_alerts,
    responding,
    watched_people,
)
from lienthong.monitoring.detectors import findings

_log = logging.getLogger("lienthong.detection")
POLL_S = 1.0
BATCH = 5_000
SAVE_S = 600.0
WINDOWS_BACK, OFFICIALS_BACK = timedelta(minutes=80), timedelta(days=14)
# On PostgreSQL rows may become visible after rows with higher numbers; what came already is known by its node.
_LOOK_BACK, _LOOKS_BACK_EVERY = 2_000, 5
_AT_A_TIME = 100
_PLACE, _REBUILT = "exchanges", "rebuilt"
_t, _p = tables.exchanges, tables.detection_positions
_COLUMNS = [
    _t.c[name]
    for name in (
        "number", "at", "key_id", "official", "address", "operation", "status", "outcome", "took_ms", "bytes_out",
        "rows", "subject", "dossier_code", "field_groups", "door", "node", "number_in_node",
    )
]  # fmt: skip
_CALLS_IN = _t.c.direction == "in"
# What is known of officials and of dossiers is not in the baselines, and so is learned from the record.
_ABOUT_CASES = sa.or_(
    _t.c.official.is_not(None),
    sa.and_(
        _t.c.dossier_code.is_not(None),
        sa.or_(*(_t.c.operation.startswith(name, autoescape=True) for name in watched_people.WRITES)),
    ),
)


class Watcher:
    """Brings what is new in the record through detection; steps may be repeated."""

    def __init__(self, store: storage.Storage) -> None:
        self._store = store
        self._found: list[findings.Finding] = []
        self.detection = self._anew()
        self._number = -1
        self._rebuilt_at: datetime | None = None
        self._steps = 0
        self._saved_at: datetime | None = None
        self._taught_at: datetime | None = None

    async def start(self, now: datetime) -> None:
        """Read what is normal, and the newest records again; nothing is opened for them."""
        async with self._store.reading() as conn:
            place = await storage.first(conn, sa.select(_p).where(_p.c.node == _PLACE))
            newest = (await conn.execute(sa.select(sa.func.max(_t.c.number)))).scalar() or 0
            rebuilt = await storage.first(conn, sa.select(_p.c.at).where(_p.c.node == _REBUILT))
        self._number = newest if place is None else place["number"]
        self._rebuilt_at = None if rebuilt is None else rebuilt["at"]
        await self._load(now if place is None else place["at"], told=self._number)
        self._saved_at = self._taught_at = now

    def _anew(self) -> detection.Detection:
        return detection.Detection(lambda finding, _opens: self._found.append(finding))

    async def _load(self, seen_at: datetime, *, told: int) -> None:
        """Read what is normal, and the newest records again; of those up to `told` all was told before."""
        await baseline_store.load(self._store, self.detection)
        people = sa.and_(_t.c.at >= seen_at - OFFICIALS_BACK, _t.c.at < seen_at - WINDOWS_BACK, _ABOUT_CASES)
        async for row in self._rows(people):
            self.detection.learn_people(calls.from_row(row))
        lately = _t.c.at >= seen_at - WINDOWS_BACK
        async for row in self._rows(sa.and_(lately, _t.c.number <= told)):
            self.detection.feed(calls.from_row(row))
        self._found.clear()
        async for row in self._rows(sa.and_(lately, _t.c.number > told, _t.c.number <= self._number)):
            self.detection.feed(calls.from_row(row))

    async def _take_up_rebuilt(self, now: datetime) -> None:
        """Take up what `detect rebuild` learned meanwhile, in place of what was learned here."""
        async with self._store.reading() as conn:
            row = await storage.first(conn, sa.select(_p).where(_p.c.node == _REBUILT))
        if row is None or row["at"] == self._rebuilt_at:
            return
        await self._tell(now)
        self.detection, self._rebuilt_at = self._anew(), row["at"]
        # What came since was held against what was thought normal until now: it is judged again.
        await self._load(now, told=row["number"])
        await self._tell(now)
        _log.warning("detection took up what was learned anew from the record")

    async def step(self, now: datetime) -> int:
        """Take in what is new; gives how many records. Raises StorageUnavailable."""
        self._steps += 1
        if not self._steps % _LOOKS_BACK_EVERY:
            await self._take_up_rebuilt(now)
        looks_back = not self._store.is_sqlite and self._steps % _LOOKS_BACK_EVERY == 0
        since = max(0, self._number - _LOOK_BACK * looks_back)
        asked = sa.select(*_COLUMNS).where(_t.c.number > since, _CALLS_IN).order_by(_t.c.number)
        async with self._store.reading() as conn:
            rows = await storage.every(conn, asked.limit(BATCH + _LOOK_BACK))
        fresh = [row for row in rows if row["number"] > self._number]
        for place, row in enumerate(rows, 1):
            if row["number_in_node"] or row["number"] > self._number:
                self.detection.feed(calls.from_row(row))
            if not place % _AT_A_TIME:
                await asyncio.sleep(0)  # the door is served by the same loop
        await self._tell(now)
        if fresh:
            self._number = fresh[-1]["number"]
        await self._teach(now)
        if self._saved_at is None or (now - self._saved_at).total_seconds() >= SAVE_S:
            await self.save(now)
        return len(fresh)

    async def save(self, now: datetime) -> None:
        """Keep what is normal, and up to where the record has been read."""
        await self._take_up_rebuilt(now)  # which this would otherwise write over
        await baseline_store.save(self._store, self.detection, now)
        await _keep_place(self._store, _PLACE, self._number, now)
        self._saved_at = now

    async def _tell(self, now: datetime) -> None:
        found = self._found[:]
        for finding in found:
            alert_id = await alerts.open_or_update(self._store, finding)
            if alert_id is not None:
                _log.warning("an alert was opened", extra={"rule": finding.rule, "alert": alert_id})
                await responding.by_itself(self._store, alert_id, now=now)
        del self._found[: len(found)]

    async def _teach(self, now: datetime) -> None:
        """Learn from alerts that were closed: an incident is left out, what is normal widens the bound."""
        since = self._taught_at or now
        for alert in await alerts.closed_since(self._store, since):
            self.detection.learn_closed(alert)
            self._taught_at = max(self._taught_at or since, alert["closed_at"])

    async def _rows(self, condition: sa.ColumnElement[bool]) -> AsyncIterator[dict[str, Any]]:
        """Give rows in order of time, page by page."""
        last: tuple[datetime, int] | None = None
        while True:
            asked = sa.select(*_COLUMNS).where(condition, _CALLS_IN).order_by(_t.c.at, _t.c.number).limit(BATCH)
            if last is not None:
                at, number = last
                asked = asked.where(sa.or_(_t.c.at > at, sa.and_(_t.c.at == at, _t.c.number > number)))
            async with self._store.reading() as conn:
                rows = await storage.every(conn, asked)
            for row in rows:
                yield row
            if len(rows) < BATCH:
                return
            last = rows[-1]["at"], rows[-1]["number"]
            await asyncio.sleep(0)


async def run(hub: Hub, closing: asyncio.Event, *, poll_s: float = POLL_S) -> None:
    """Watch until closing, in one process of all that share this HOME."""
    async with ingest.only_one(hub.settings.home / "watcher.lock", closing) as is_ours:
        if not is_ours:
            return
        watcher, is_started, events = Watcher(hub.storage), False, event_alerts.Follower(hub.storage)
        while not closing.is_set():
            try:
                if not is_started:
                    await watcher.start(hub.now())
                    is_started = True
                taken = await watcher.step(hub.now())
                await events.step(hub.now())
                pause_s = poll_s if taken < BATCH else 0.0
            except errors.StorageUnavailable:
                _log.warning("detection waits: the record cannot be read")
                pause_s = 5.0
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(closing.wait(), pause_s)
        if is_started:
            with contextlib.suppress(errors.StorageUnavailable):
                await watcher.save(hub.now())


async def rebuild(
    store: storage.Storage, *, since: datetime, now: datetime, archive: day_files.Archive | None = None
) -> int:
    """Learn what is normal anew, from the day files and the database; gives how many records were read.

    Opens nothing. A watcher that runs takes it up within seconds. Raises StorageUnavailable for a broken file.
    """
    watcher = Watcher(store)
    watching, read = watcher.detection, 0
    watching.sink = _nobody
    if archive is not None:
        rows = _from_files(archive, since)
        # Files are read beside the loop, some thousand rows at a time.
        while made := await asyncio.to_thread(lambda: [*itertools.islice(rows, BATCH)]):
            for call in made:
                watching.feed(call)
            await asyncio.sleep(0)
    async for row in watcher._rows(_t.c.at >= since):
        watching.feed(calls.from_row(row))
        read = max(read, row["number"])
    await baseline_store.clear(store)
    await baseline_store.save(store, watching, now)
    async with store.reading() as conn:
        place = await storage.first(conn, sa.select(_p).where(_p.c.node == _PLACE))
    if place is None:
        await _keep_place(store, _PLACE, read, now)
    await _keep_place(store, _REBUILT, read, now)
    return watching.records


def _from_files(archive: day_files.Archive, since: datetime) -> Iterator[calls.Call]:
    """Give the calls of the day files in order of time, as near as their numbers have it."""
    wanted = (day_files.PERSONAL, day_files.CALLS)
    parts = archive.parts(since=day_files.day_of(since), kinds=wanted)
    for _day, of_day in itertools.groupby(parts, key=lambda part: part.day):
        made = [map(calls.from_row, archive.records(part)) for part in of_day]
        for call in heapq.merge(*made, key=lambda call: call.at):
            if call.at >= since.timestamp():
                yield call


async def _keep_place(store: storage.Storage, node: str, number: int, now: datetime) -> None:
    values = {"number": number, "at": now}
    async with store.transaction() as tx:
        added = store.insert(_p).values(node=node, **values)
        await tx.execute(added.on_conflict_do_update(index_elements=[_p.c.node], set_=values))


def _nobody(_finding: findings.Finding, _opens: bool) -> None:
    return
