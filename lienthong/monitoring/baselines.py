"""What is normal for a key or an official: by hour of the week with the Vietnamese calendar, by median and MAD.

Pure of clocks, files and databases. Times are whole hours and days since 1970 in Vietnam time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from lienthong.core import working_days

VERSION = 1
# Groups of days that resemble each other.
WORKED, SATURDAY, SUNDAY = range(3)
METRICS = ("requests", "strain", "bytes_out", "rows", "subjects", "wrong", "unknown", "peak")
_SAMPLES_KEPT = 30
_DAYS_KEPT = 70
_NEAR_END_OF_MONTH = 3
MONTH_END_FACTOR = 1.25
_EPOCH = date(1970, 1, 1)
_SCALE = 1.4826  # makes the MAD of a normal distribution its standard deviation


class Days:
    """Which group a day belongs to, and whether its month ends soon; remembered."""

    def __init__(self, calendar: working_days.Calendar | None = None) -> None:
        self.calendar = calendar or working_days.load()
        self._known: dict[int, tuple[int, int, bool]] = {}

    def of(self, day: int) -> tuple[int, int, bool]:
        """Give group, day of the week (Monday is 0), and whether it is one of a month's last working days."""
        found = self._known.get(day)
        if found is None:
            found = self._known[day] = self._look(_EPOCH + timedelta(days=day))
        return found

    def _look(self, day: date) -> tuple[int, int, bool]:
        calendar = self.calendar
        weekday = day.weekday()
        if not calendar.is_working_day(day):
            is_free_weekday = weekday < 5
            return (SUNDAY if is_free_weekday or weekday == 6 else SATURDAY), weekday, False
        left = day
        for _ in range(_NEAR_END_OF_MONTH):
            left = calendar.add_working_days(left, 1)
        return WORKED, min(weekday, 4), left.month != day.month

    def is_office_hour(self, day: int, hour: int) -> bool:
        """Whether an hour of a day lies within office hours, an hour before and after them counted in."""
        if self.of(day)[0] != WORKED:
            return False
        spans = self.calendar.hours_on(_EPOCH + timedelta(days=day))
        return spans[0][0].hour - 1 <= hour <= spans[-1][1].hour + 1


class Sample(NamedTuple):
    """One hour as it was. `gap`: the longest run of minutes without a call."""

    hour: int
    weekday: int
    values: tuple[int, ...]
    gap: int


class Normal(NamedTuple):
    """What is normal for one metric in one hour of the week; `count` samples stand behind it."""

    days: int
    median: float
    spread: float
    top: float
    low: float


NOTHING = Normal(0, 0.0, 0.0, 0.0, 0.0)


class Baseline:
    """What is known of one key."""

    __slots__ = (
        "_rates",
        "asked",
        "calls",
        "cells",
        "days",
        "factors",
        "first_at",
        "groups",
        "last_at",
        "left_out",
        "networks",
        "operations",
        "orders",
        "quiet_hours",
        "version",
    )

    def __init__(self) -> None:
        self.version = VERSION
        self._rates: dict[str, float] = {}  # worked out anew when an hour is learned
        self.cells: dict[int, deque[Sample]] = {}
        self.days: deque[tuple[int, int, int]] = deque(maxlen=_DAYS_KEPT)  # day, group, requests
        self.calls = 0
        self.first_at = 0.0
        self.last_at = 0.0
        self.networks: dict[str, float] = {}
        self.operations: dict[str, float] = {}
        self.groups: dict[str, float] = {}
        self.orders: dict[str, dict[str, int]] = {}
        self.asked: dict[str, float] = {}  # questions about persons, of unknown numbers, without a dossier
        self.factors: dict[str, float] = {}
        self.left_out: list[tuple[int, int]] = []
        self.quiet_hours: deque[tuple[int, int]] = deque(maxlen=400)  # hours outside the office, with requests

    def learn(self, group: int, hour_of_day: int, sample: Sample) -> None:
        """Take an hour into account, unless it lies in a time that was marked as an incident."""
        if any(since <= sample.hour <= until for since, until in self.left_out):
            return
        cell = self.cells.get(group * 24 + hour_of_day)
        if cell is None:
            cell = self.cells[group * 24 + hour_of_day] = deque(maxlen=_SAMPLES_KEPT)
        if cell and cell[-1].hour >= sample.hour:
            return  # read again after a restart
        cell.append(sample)
        self._rates.clear()

    def learn_day(self, day: int, group: int, requests: int) -> None:
        """Take a day into account, once."""
        if not self.days or self.days[-1][0] < day:
            self.days.append((day, group, requests))

    def leave_out(self, since_hour: int, until_hour: int) -> None:
        """Forget what was learned in a time that an officer marked as an incident."""
        self.left_out.append((since_hour, until_hour))
        self._rates.clear()
        for place, cell in self.cells.items():
            kept = [sample for sample in cell if not since_hour <= sample.hour <= until_hour]
            self.cells[place] = deque(kept, maxlen=_SAMPLES_KEPT)
        days = range(since_hour // 24, until_hour // 24 + 1)
        self.days = deque((day for day in self.days if day[0] not in days), maxlen=_DAYS_KEPT)
        begins, ends = since_hour * 3600 - 25_200, (until_hour + 1) * 3600 - 25_200
        for known in (self.networks, self.operations, self.groups):
            for name in [name for name, first_at in known.items() if begins <= first_at <= ends]:
                del known[name]

    def widen(self, rule: str, factor: float = 1.5) -> None:
        """Hold a rule's bound further away: an officer said that what it found is normal."""
        self.factors[rule] = min(20.0, self.factors.get(rule, 1.0) * factor)

    def samples(self, group: int, hour_of_day: int) -> Sequence[Sample]:
        """Give the hours that resemble this one."""
        return self.cells.get(group * 24 + hour_of_day, ())

    def normal(self, metric: str, group: int, weekday: int, hour_of_day: int) -> Normal:
        """Say what is normal for this hour of the week.

        The median is that of the same weekday where four weeks are known, else of all days of the group; the top
        looks at the hours before and after too, since timetables slip.
        """
        place, cell = METRICS.index(metric), self.samples(group, hour_of_day)
        if not cell:
            return NOTHING
        near = [sample.values[place] for other in (-1, 1) for sample in self.samples(group, hour_of_day + other)]
        return summary(
            [sample.values[place] for sample in cell],
            [sample.values[place] for sample in cell if sample.weekday == weekday],
            near,
        )

    def rate(self, metric: str) -> float:
        """Give the share of calls that ended in a way, over all that is remembered; never quite nothing."""
        share = self._rates.get(metric)
        if share is not None:
            return share
        place = METRICS.index(metric)
        found = requests = 0
        for cell in self.cells.values():
            for sample in cell:
                found += sample.values[place]
                requests += sample.values[0]
        share = self._rates[metric] = (found + 0.5) / (requests + 500.0) if requests else 0.05
        return share

    def tops(self) -> dict[str, int]:
        """Give the most that any remembered hour had, by metric."""
        columns = zip(*(sample.values for cell in self.cells.values() for sample in cell), strict=True)
        return dict(zip(METRICS, map(max, columns), strict=False))

    def to_json(self) -> dict[str, Any]:
        """Give all of it as plain values."""
        return {
            "version": self.version,
            "first_at": self.first_at,
            "last_at": self.last_at,
            "calls": self.calls,
            "cells": {str(place): [list(sample) for sample in cell] for place, cell in self.cells.items()},
            "days": [list(day) for day in self.days],
            "networks": self.networks,
            "operations": self.operations,
            "groups": self.groups,
            "orders": self.orders,
            "asked": self.asked,
            "factors": self.factors,
            "left_out": self.left_out,
            "quiet_hours": [list(pair) for pair in self.quiet_hours],
        }


def from_json(body: dict[str, Any]) -> Baseline:
    """Read a baseline of this version; a foreign one is begun anew."""
    made = Baseline()
    if body.get("version") != VERSION:
        return made
    for name in ("first_at", "last_at", "calls", "networks", "operations", "groups", "orders", "asked", "factors"):
        setattr(made, name, body[name])
    for place, cell in body["cells"].items():
        samples = (Sample(hour, weekday, tuple(values), gap) for hour, weekday, values, gap in cell)
        made.cells[int(place)] = deque(samples, maxlen=_SAMPLES_KEPT)
    made.days.extend((day, group, requests) for day, group, requests in body["days"])
    made.left_out = [(since, until) for since, until in body["left_out"]]
    made.quiet_hours.extend((hour, requests) for hour, requests in body["quiet_hours"])
    return made


def summary(all_days: Sequence[int], same_weekday: Sequence[int], near: Sequence[int]) -> Normal:
    """Give median, spread and extremes of what was seen."""
    if not any(all_days) and not any(near):
        return Normal(len(all_days), 0.0, 0.0, 0.0, 0.0)
    ranked = sorted(all_days)
    chosen = sorted(same_weekday) if len(same_weekday) >= 4 else ranked
    middle = _median(chosen)
    overall = _median(ranked)
    spread = _SCALE * _median(sorted(abs(value - overall) for value in ranked))
    low = ranked[len(ranked) // 10]
    return Normal(len(ranked), middle, spread, max(ranked[-1], *near) if near else ranked[-1], low)


def _median(ranked: Sequence[float]) -> float:
    half = len(ranked) // 2
    return float(ranked[half]) if len(ranked) % 2 else (ranked[half - 1] + ranked[half]) / 2


def upper(
    normal: Normal, *, floor: float, slack: float = 0.15, headroom: float = 1.25, sigmas: float = 5.0
) -> float:
    """Give the bound above which a count is not normal: robust, never below what was seen lately with some room.

    While few days are known the room is larger.
    """
    sigma = max(normal.spread, 1.2 * math.sqrt(normal.median), slack * normal.median)
    young = 2.5 if normal.days < 4 else 1.6 if normal.days < 8 else 1.2 if normal.days < 12 else 1.0
    top = headroom * normal.top + 2 * math.sqrt(normal.top)
    return max(floor, (normal.median + sigmas * sigma) * min(young, 1.5), top * young)


def pooled(bounds: Iterable[float]) -> float | None:
    """Give a bound for a young key from its peers': twice what nine of ten have; None of fewer than five."""
    ranked = sorted(bounds)
    return 2.0 * ranked[int(len(ranked) * 0.9)] if len(ranked) >= 5 else None


def tail(seen: int, expected: float) -> float:
    """Give how unlikely so many are where so many were expected (Poisson): minus the decimal logarithm."""
    if seen <= expected or seen <= 0:
        return 0.0
    expected = max(expected, 1e-9)
    # Chernoff's bound, which is close enough this far out.
    return (seen * math.log(seen / expected) - seen + expected) / math.log(10)


def scarce(seen: int, expected: float) -> float:
    """Give how unlikely so few are where so many were expected, in the same measure."""
    if seen >= expected:
        return 0.0
    few = seen * math.log(seen / expected) if seen else 0.0
    return (few - seen + expected) / math.log(10)
