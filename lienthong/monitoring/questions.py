"""The questions about persons of the last hour, of one key or official: how many, and of what doubtful kinds."""

from __future__ import annotations

from collections import deque

from lienthong.monitoring.detectors import people

_MINUTES = 60


class Questions:
    """Counts by minute."""

    __slots__ = ("_minutes", "_sums")

    def __init__(self) -> None:
        self._minutes: deque[list[int]] = deque()
        self._sums = [0, 0, 0]

    def add(self, minute: int, *, unknown: bool, caseless: bool) -> people.Asked:
        """Note a question; gives those of the hour that ends now."""
        minutes, sums = self._minutes, self._sums
        if not minutes or minutes[-1][0] < minute:
            minutes.append([minute, 0, 0, 0])
            while minutes[0][0] <= minute - _MINUTES:
                for place, count in enumerate(minutes.popleft()[1:]):
                    sums[place] -= count
        newest = minutes[-1]
        newest[1] += 1
        sums[0] += 1
        if unknown:
            newest[2] += 1
            sums[1] += 1
        if caseless:
            newest[3] += 1
            sums[2] += 1
        return people.Asked(_MINUTES, *sums)


def usual(shares: dict[str, float]) -> people.Usual:
    """Say what shares of a key's questions are usual, from its counts."""
    asked = shares.get("questions", 0.0)
    return people.Usual(
        (shares.get("unknown", 0.0) + 1.0) / (asked + 30.0),
        (shares.get("caseless", 0.0) + 1.0) / (asked + 100.0) if asked >= 100 else None,
    )
