"""The limiter inside one process: a ring of times for each key and window, and counts for days and months."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import limits, rings, rules
from lienthong.core import clock, errors, storage, tables

_log = logging.getLogger("lienthong.limits")
SAVE_EVERY_S = 1.0
FLIGHT_RETRY_S = 1.0
_SWEEP_EVERY = 300
_SAVED_TOGETHER = 500
_KEEP = timedelta(days=40)
_NS = 1_000_000_000
# A named tuple made without its keyword arguments: half the time, and each request makes several.
_AS_POLICY = tuple.__new__
_Taken = tuple[str, rings.Count, str, int]  # place, count, period, what is not saved yet
_Ready = tuple[rules.Plan, list[tuple[rules.Rule, rings.Ring]], list[tuple[rules.Rule, rings.Count]]]


class LocalLimiter:
    """Exact limits for one process.

    The sliding windows follow the machine's monotonic clock, so that a clock set back or forward neither locks a
    key out nor lets it through; the calendar follows `now`. With a `folder`, what was admitted lies in mapped
    files: a process that is killed and started again forgets nothing. Without one, day and month counts are what
    the database was told, every second.
    """

    def __init__(
        self,
        store: storage.Storage | None = None,
        *,
        folder: Path | None = None,
        planner: rules.Planner | None = None,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._store = store
        self._folder = folder
        self._planner = planner or rules.Planner()
        self._monotonic_ns = monotonic_ns
        self._shelf: rings.Shelf | None = None
        self._rings: dict[str, rings.Ring] = {}
        self._counts: dict[str, rings.Count] = {}
        self._kept: dict[str, int] = {}  # the tail that each ring had when the disk last had it
        self._read: dict[tuple[str, str], int] = {}
        self._in_flight: dict[str, int] = {}
        self._ready: dict[tuple[str, str], _Ready] = {}
        self._calendar: dict[str, tuple[str, float, float]] = {}
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def take(
        self, key_id: str, wanted: Sequence[limits.Limit], operation: str, now: datetime
    ) -> limits.Decision:
        """Take one request from every limit, or from none."""
        return self.decide(key_id, wanted, now, operation)

    def decide(
        self, key_id: str, wanted: Sequence[limits.Limit], now: datetime, operation: str = ""
    ) -> limits.Decision:
        """Decide without waiting for anything: no other request can come in between."""
        plan = self._planner.plan(key_id, wanted, operation, now)
        ready = self._ready.get((key_id, operation))
        now_ns, flights = self._monotonic_ns(), self._in_flight
        if ready is None or ready[0] is not plan:
            ready = self._prepare(key_id, operation, plan, now_ns)
        _, windows, periods = ready
        allowed, now_s = True, now.timestamp()
        for rule, ring in windows:
            if ring.tail != ring.head:
                ring.forget_old(now_ns)
                if ring.tail - ring.head >= rule.quota:
                    allowed = False
        for rule, count in periods:
            if not count.starts_at_s <= now_s < count.ends_at_s:
                self._turn(rule, count, now, now_s)
            if count.cells[1] >= rule.quota:
                allowed = False
        for place, cap, _ in plan.flights:
            if flights.get(place, 0) >= cap:
                allowed = False
        if not allowed:
            return _refusal(plan, ready, flights, now_ns=now_ns, now_s=now_s)
        for _, ring in windows:
            ring.add(now_ns)
        for _, count in periods:
            count.cells[1] += 1
            count.cells[2] += 1
        if not plan.flights:
            return limits.Decision(True, _standing(ready, now_ns, now_s))
        for place, _, _ in plan.flights:
            flights[place] = flights.get(place, 0) + 1
        ticket = limits.Ticket(tuple([one[0] for one in plan.flights]))
        return limits.Decision(True, _standing(ready, now_ns, now_s), ticket=ticket)

    def give_back(self, key_id: str, ticket: limits.Ticket | None) -> None:
        """Say that a request is no longer in flight."""
        for place in ticket.places if ticket else ():
            left = self._in_flight.get(place, 0) - 1
            if left > 0:
                self._in_flight[place] = left
            else:
                self._in_flight.pop(place, None)

    async def start(self, now: datetime) -> None:
        """Open what the last process left, read what was used of the running periods, then save once a second."""
        if self._folder is not None:
            shelf = rings.Shelf(self._folder)
            if shelf.is_ours:
                self._shelf = shelf
            else:
                _log.warning("another process keeps the limits of this HOME; ours will not outlive us")
                shelf.close()
        if self._store is None:
            return
        table = tables.limit_counts
        async with self._store.transaction() as tx:
            await tx.execute(table.delete().where(table.c.ends_at < now - _KEEP))
            rows = await tx.execute(sa.select(table).where(table.c.ends_at > now))
            self._read = {(row.place, row.period): row.used for row in rows}
        self._task = asyncio.get_running_loop().create_task(self._save_always(), name="limits")

    async def check(self) -> bool:
        """In process, the limiter works when the process does."""
        return True

    async def stop(self) -> None:
        """Write the last counts."""
        self._stopping.set()
        if self._task is not None:
            await self._task
        await self.save()
        if self._shelf is not None:
            self._rings.clear()
            self._counts.clear()
            self._ready.clear()
            self._shelf.close()
            self._shelf = None

    async def save(self) -> None:
        """Add what was used since the last time to the counts in the database.

        Adds rather than sets, so that several processes on one database come to the same count.
        """
        taken = [(place, count, count.period, count.unsaved) for place, count in self._counts.items()]
        taken = [one for one in taken if one[3]]
        if self._store is None or not taken:
            return
        # In one order everywhere, so that two processes never wait for each other's rows.
        taken.sort(key=lambda one: (one[0], one[2]))
        async with self._store.transaction() as tx:
            totals = await _add(self._store, tx, taken)
        for place, count, period, unsaved in taken:
            if count.period == period:
                # In this order: a process killed between the two counts too much, never too little.
                count.used = totals[place, period] + count.unsaved - unsaved
                count.unsaved -= unsaved

    async def _save_always(self) -> None:
        # Ended by a sign, not by cancelling: a count that was written must also be known as written.
        rounds = 0
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), SAVE_EVERY_S)
            rounds += 1
            try:
                await self.save()
            except errors.StorageUnavailable:
                _log.warning("limit counts cannot be saved; they are kept in memory until they can")
            await self._keep_windows()
            if rounds % _SWEEP_EVERY == 0:
                self.sweep(clock.now())

    async def _keep_windows(self) -> None:
        """Wait for the disk to have the windows that changed; days and months are in the database.

        Not those of a second: no machine starts anew so soon that they could still matter.
        """
        if self._shelf is None:
            return
        changed = {
            place: ring.tail
            for place, ring in self._rings.items()
            if ring.tail != self._kept.get(place) and ring.length_ns > _NS
        }
        try:
            await asyncio.to_thread(self._shelf.flush, tuple(changed))
        except OSError as exc:
            _log.warning("the limits are not on the disk", extra={"why": exc.strerror})
        else:
            self._kept.update(changed)

    def sweep(self, now: datetime) -> None:
        """Forget windows that have emptied, and periods that have ended a day ago."""
        now_ns, now_s = self._monotonic_ns(), now.timestamp()
        self._ready.clear()
        self._planner.forget()
        for place, ring in list(self._rings.items()):
            ring.forget_old(now_ns)
            if not ring.count:
                del self._rings[place]
                self._kept.pop(place, None)
                self._drop(place)
        for place, count in list(self._counts.items()):
            if not count.unsaved and now_s - count.ends_at_s > 86_400:
                del self._counts[place]
                self._drop(place)

    def _drop(self, place: str) -> None:
        if self._shelf is not None:
            self._shelf.drop(place)

    def _prepare(self, key_id: str, operation: str, plan: rules.Plan, now_ns: int) -> _Ready:
        windows, periods = [], []
        for rule in plan.rules:
            if rule.unit in limits.SLIDING_S:
                windows.append((rule, self._ring(rule, now_ns)))
            else:
                periods.append((rule, self._count(rule)))
        if len(self._ready) > 20_000:
            self._ready.clear()
        made = self._ready[key_id, operation] = (plan, windows, periods)
        return made

    def _ring(self, rule: rules.Rule, now_ns: int) -> rings.Ring:
        ring = self._rings.get(rule.place)
        if ring is None:
            made = rings.Ring(rule.window_s * _NS, now_ns=now_ns, shelf=self._shelf, place=rule.place)
            ring = self._rings[rule.place] = made
        return ring

    def _count(self, rule: rules.Rule) -> rings.Count:
        count = self._counts.get(rule.place)
        if count is None:
            count = self._counts[rule.place] = rings.Count(self._shelf, rule.place)
        return count

    def _turn(self, rule: rules.Rule, count: rings.Count, now: datetime, now_s: float) -> None:
        """Begin the period of this moment, where it is another than the last one's."""
        current = self._calendar.get(rule.unit)
        if current is None or not current[1] <= now_s < current[2]:
            name, start, end = limits.calendar_period(rule.unit, now)
            current = self._calendar[rule.unit] = (name, start.timestamp(), end.timestamp())
        count.begin(current[0], starts_at_s=current[1], ends_at_s=current[2])
        # In the database is what all processes saved; in the mapped file what this one had not saved yet.
        known = self._read.pop((rule.place, current[0]), 0) + count.unsaved
        count.used = max(count.used, known)


async def _add(store: storage.Storage, tx: AsyncConnection, taken: Sequence[_Taken]) -> dict[tuple[str, str], int]:
    """Add what was used to the counts in the database; gives what they are then."""
    table, totals = tables.limit_counts, {}
    insert = store.insert(table)
    added = insert.on_conflict_do_update(
        index_elements=["place", "period"], set_={"used": table.c.used + insert.excluded.used}
    )
    columns = sa.tuple_(table.c.place, table.c.period)
    for start in range(0, len(taken), _SAVED_TOGETHER):
        some = taken[start : start + _SAVED_TOGETHER]
        rows = [
            {"place": place, "period": period, "used": unsaved, "ends_at": _moment(count.ends_at_s)}
            for place, count, period, unsaved in some
        ]
        await tx.execute(added, rows)
        asked = sa.select(table.c.place, table.c.period, table.c.used)
        keys = [(place, period) for place, _, period, _ in some]
        for place, period, used in await tx.execute(asked.where(columns.in_(keys))):
            totals[place, period] = used
    return totals


def _moment(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)


def _standing(ready: _Ready, now_ns: int, now_s: float) -> tuple[limits.Policy, ...]:
    """Say how the stated limits stand; those on everything first, as the plan has them."""
    found = []
    for (name, _, quota, _, window_s, shown), ring in ready[1]:
        if shown:
            left = quota - ring.tail + ring.head
            # Where nothing is left, the moment that counts is the one when a place is free again.
            wait_ns = ring.wait_ns(quota, now_ns) if left <= 0 else ring.empties_in_ns(now_ns)
            facts = (name, quota, window_s, left if left > 0 else 0, wait_ns / _NS)
            found.append(_AS_POLICY(limits.Policy, facts))
    for (name, _, quota, _, window_s, shown), count in ready[2]:
        if shown:
            left = quota - count.cells[1]
            facts = (name, quota, window_s, left if left > 0 else 0, count.ends_at_s - now_s)
            found.append(_AS_POLICY(limits.Policy, facts))
    return tuple(found)


def _refusal(
    plan: rules.Plan, ready: _Ready, flights: dict[str, int], *, now_ns: int, now_s: float
) -> limits.Decision:
    waits: dict[str, float] = {}
    unshown = []
    for rule, ring in ready[1]:
        if (wait_ns := ring.wait_ns(rule.quota, now_ns)) > 0:
            waits[rule.name] = wait_ns / _NS
            unshown += [] if rule.shown else [_none_left(rule.name, rule.quota, rule.window_s, wait_ns / _NS)]
    for rule, count in ready[2]:
        if count.used >= rule.quota:
            wait_s = waits[rule.name] = count.ends_at_s - now_s
            unshown += [] if rule.shown else [_none_left(rule.name, rule.quota, rule.window_s, wait_s)]
    for place, cap, name in plan.flights:
        if flights.get(place, 0) >= cap:
            waits[name] = FLIGHT_RETRY_S
            unshown.append(_none_left(name, cap, 0, FLIGHT_RETRY_S))
    standing = (*_standing(ready, now_ns, now_s), *unshown)
    return limits.Decision(False, standing, max(waits.values()), tuple(waits))


def _none_left(name: str, quota: int, window_s: int, wait_s: float) -> limits.Policy:
    return limits.Policy(name, quota, window_s, 0, wait_s)
