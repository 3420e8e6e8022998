"""How busy the hub is as a whole: month ends, and the day after Tết, make much of what is usual for nobody."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from lienthong.monitoring import watched_keys

_ASKED_AGAIN_MINUTES = 5
_LEAST_KEYS, _LEAST_REQUESTS = 5, 100


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
