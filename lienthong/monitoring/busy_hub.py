"""How busy the hub is as a whole: month ends, and the day after Tết, make much of what is usual for nobody."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from lienthong.monitoring import baselines, watched_keys

_ASKED_AGAIN_MINUTES = 5
_LEAST_KEYS, _LEAST_REQUESTS = 5, 100
LEAST_DAYS, LEAST_AN_HOUR = 5, 6
_LEAST_OTHERS = 20


class Busy(NamedTuple):
    """Requests of the last hour, how many are usual, and of how many keys; good until a minute."""

    until: int = -1
    requests: float = 0.0
    expected: float = 0.0
    keys: int = 0

    def without(self, requests: float, expected: float) -> float | None:
        """Say by how much all others are busier than usual; None where too little is known to say it."""
        usual = self.expected - expected
        if self.keys < _LEAST_KEYS or usual < _LEAST_REQUESTS:
            return None
        return (self.requests - requests) / usual


def of(keys: Iterable[watched_keys.WatchedKey], minute: int, hour: int) -> Busy:
    """Add up what the keys heard of in this hour did lately.

    None counts for more than three times what it usually has: a key that is abused must not widen the bounds of
    all others.
    """
    requests = expected = 0.0
    count = 0
    for key in keys:
        if key.hour == hour:
            seen, usual = key.lately(minute)
            requests, expected, count = requests + seen, expected + usual, count + (usual >= 5)
    return Busy(minute + _ASKED_AGAIN_MINUTES, requests, expected, count)


class Hour(NamedTuple):
    """The calls of an hour that is over, of one key or of many, and how many are usual then."""

    requests: float
    usual: float

    def without(self, one: Hour) -> float | None:
        """Say how busy all but one were, beside what is usual; None where too little is known to say it."""
        usual = self.usual - one.usual
        return (self.requests - one.tamed) / usual if usual >= _LEAST_OTHERS else None

    @property
    def tamed(self) -> float:
        """Give the requests, at most three times the usual ones: one flood must not hide how quiet others are."""
        return min(self.requests, 3 * self.usual)


def hour_of(key: watched_keys.WatchedKey, days: baselines.Days, hour: int) -> Hour | None:
    """Give what a key had in an hour that was just learned; None where too little is known of such hours."""
    cell = key.bounds.samples(days.of(hour // 24)[0], hour % 24)
    if len(cell) <= LEAST_DAYS or cell[-1].hour != hour:
        return None
    before = sorted(sample.values[0] for sample in cell)
    before.remove(cell[-1].values[0])
    return Hour(cell[-1].values[0], before[len(before) // 2])


def of_hour(hours: Iterable[Hour | None]) -> Hour:
    """Add up what keys had in an hour that is over."""
    known = [one for one in hours if one is not None]
    return Hour(sum(one.tamed for one in known), sum(one.usual for one in known))
