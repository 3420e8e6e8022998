"""The limiter inside one process: a sliding log for each key and window, calendar counts kept in the database."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from array import array
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from lienthong.api_keys import limits
from lienthong.core import clock, errors, storage, tables

_log = logging.getLogger("lienthong.limits")
SAVE_EVERY_S = 1.0
_SWEEP_EVERY = 300
_KEEP = timedelta(days=40)
_NS = 1_000_000_000


class _Window:
    """The times of the last admissions, as a ring that grows; O(1) each, amortised."""

    __slots__ = ("count", "first", "length_ns", "times")

    def __init__(self, length_ns: int) -> None:
        self.length_ns = length_ns
        self.times = array("q", bytes(8 * 16))
        self.first = 0
        self.count = 0

    def forget_old(self, now_ns: int) -> None:
        size, horizon = len(self.times), now_ns - self.length_ns
        if self.count and self.times[(self.first + self.count - 1) % size] <= horizon:
            self.count = 0
        while self.count and self.times[self.first] <= horizon:
            self.first = (self.first + 1) % size
            self.count -= 1

    def add(self, now_ns: int) -> None:
        size = len(self.times)
        if self.count == size:
            straight = self.times[self.first :] + self.times[: self.first]
            straight.frombytes(bytes(8 * size))
            self.times, self.first, size = straight, 0, 2 * size
        self.times[(self.first + self.count) % size] = now_ns
        self.count += 1

    def wait_ns(self, quota: int, now_ns: int) -> int:
        """Say in how long one of `quota` places is free: at once where one already is."""
        if self.count < quota:
            return 0
        freeing = self.times[(self.first + self.count - quota) % len(self.times)]
        return freeing + self.length_ns - now_ns

    def empties_in_ns(self, now_ns: int) -> int:
        """Say in how long the oldest admission leaves the window."""
        return self.times[self.first] + self.length_ns - now_ns if self.count else 0


class _Period:
    """What was used of one calendar period; `unsaved` is not in the database yet."""

    __slots__ = ("ends_at", "name", "unsaved", "used")

    def __init__(self, name: str, ends_at: datetime, used: int = 0) -> None:
        self.name = name
        self.ends_at = ends_at
        self.used = used
        self.unsaved = 0


class LocalLimiter:
    """Exact limits for one process.

    The sliding windows follow the machine's monotonic clock, so that a clock set back or forward neither
    locks a key out nor lets it through; the calendar follows `now`. Day and month counts are written every
    second: what a crash forgets is at most that second.
    """

    def __init__(
        self, store: storage.Storage | None = None, *, monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._store = store
        self._monotonic_ns = monotonic_ns
        self._windows: dict[tuple[str, str], _Window] = {}
        self._periods: dict[tuple[str, str], _Period] = {}
        self._calendar: dict[str, tuple[str, datetime, datetime]] = {}
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def take(
        self, key_id: str, wanted: Sequence[limits.Limit], operation: str, now: datetime
    ) -> limits.Decision:
        """Take one request from every limit, or from none."""
        return self.decide(key_id, wanted, now)

    def decide(self, key_id: str, wanted: Sequence[limits.Limit], now: datetime) -> limits.Decision:
        """Decide without waiting for anything: no other request can come in between."""
        now_ns = self._monotonic_ns()
        states: list[tuple[limits.Limit, _Window | _Period, float]] = []
        for limit in wanted:
            if limit.unit in limits.SLIDING_S:
                window = self._window(key_id, limit.unit)
                window.forget_old(now_ns)
                states.append((limit, window, window.wait_ns(limit.quota, now_ns) / _NS))
            else:
                period = self._period(key_id, limit.unit, now)
                full = period.used >= limit.quota
                states.append((limit, period, (period.ends_at - now).total_seconds() if full else 0.0))
        waits = [wait for _, _, wait in states]
        allowed = not any(waits)
        if allowed:
            for _, state, _ in states:
                if isinstance(state, _Window):
                    state.add(now_ns)
                else:
                    state.used += 1
                    state.unsaved += 1
        return limits.Decision(
            allowed,
            tuple([_policy(limit, state, now_ns, now) for limit, state, _ in states]),
            0.0 if allowed else max(waits),
            () if allowed else tuple(limit.unit for limit, _, wait in states if wait),
        )

    async def start(self, now: datetime) -> None:
        """Read what was used of the running periods, then save once a second."""
        if self._store is None:
            return
        table = tables.limit_counts
        async with self._store.transaction() as tx:
            await tx.execute(table.delete().where(table.c.ends_at < now - _KEEP))
            rows = await tx.execute(sa.select(table).where(table.c.ends_at > now))
            for row in rows:
                self._periods[row.key_id, row.period] = _Period(row.period, row.ends_at, row.used)
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

    async def save(self) -> None:
        """Add what was used since the last time to the counts in the database.

        Adds rather than sets, so that several processes on one database come to the same count.
        """
        waiting = [(place, period) for place, period in self._periods.items() if period.unsaved]
        if self._store is None or not waiting:
            return
        taken = [(place, period, period.unsaved) for place, period in waiting]
        totals = []
        async with self._store.transaction() as tx:
            for (key_id, _), period, unsaved in taken:
                statement = _addition(self._store, key_id, period, unsaved)
                totals.append((await tx.execute(statement)).scalar_one())
        for (_, period, unsaved), total in zip(taken, totals, strict=True):
            period.unsaved -= unsaved
            period.used = total + period.unsaved

    async def _save_always(self) -> None:
        # Ended by a sign, not by cancelling: a count that was written must also be known as written.
        rounds = 0
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), SAVE_EVERY_S)
            rounds += 1
            try:
                await self.save()
                if rounds % _SWEEP_EVERY == 0:
                    self.sweep(clock.now())
            except errors.StorageUnavailable:
                _log.warning("limit counts cannot be saved; they are kept in memory until they can")

    def sweep(self, now: datetime) -> None:
        """Forget windows that have emptied, and periods that have ended a day ago."""
        now_ns = self._monotonic_ns()
        for window_place, window in list(self._windows.items()):
            window.forget_old(now_ns)
            if not window.count:
                del self._windows[window_place]
        for place, period in list(self._periods.items()):
            if not period.unsaved and (now - period.ends_at).total_seconds() > 86_400:
                del self._periods[place]

    def _window(self, key_id: str, unit: str) -> _Window:
        place = (key_id, unit)
        window = self._windows.get(place)
        if window is None:
            window = self._windows[place] = _Window(limits.SLIDING_S[unit] * _NS)
        return window

    def _period(self, key_id: str, unit: str, now: datetime) -> _Period:
        current = self._calendar.get(unit)
        if current is None or not current[1] <= now < current[2]:
            name, start, end = limits.calendar_period(unit, now)
            # In UTC: moments of one zone are compared without asking the zone for its offset.
            current = self._calendar[unit] = (name, start.astimezone(UTC), end.astimezone(UTC))
        place = (key_id, current[0])
        period = self._periods.get(place)
        if period is None:
            period = self._periods[place] = _Period(current[0], current[2])
        return period


def _addition(store: storage.Storage, key_id: str, period: _Period, unsaved: int) -> Any:
    table = tables.limit_counts
    insert = store.insert(table).values(key_id=key_id, period=period.name, used=unsaved, ends_at=period.ends_at)
    return insert.on_conflict_do_update(
        index_elements=["key_id", "period"], set_={"used": table.c.used + insert.excluded.used}
    ).returning(table.c.used)


def _policy(limit: limits.Limit, state: _Window | _Period, now_ns: int, now: datetime) -> limits.Policy:
    if isinstance(state, _Window):
        left = limit.quota - state.count
        # Where nothing is left, the moment that counts is the one when a place is free again.
        wait_ns = state.wait_ns(limit.quota, now_ns) if left <= 0 else state.empties_in_ns(now_ns)
        resets_in_s = wait_ns / _NS
    else:
        left = limit.quota - state.used
        resets_in_s = (state.ends_at - now).total_seconds()
    return limits.Policy(limit.unit, limit.quota, limit.window_s, left if left > 0 else 0, resets_in_s)
