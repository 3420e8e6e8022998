"""One number after another, each told how unlike everything before it is: 0 ordinary, 1 like nothing seen yet.

Nothing is learnt from later rows, no series has settings of its own, and the memory is bounded. What was tried,
and what it reached on a public benchmark: decision 0025.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from lienthong.core import errors

ALARM: Final = 0.5  # a score from here on is worth a person's time
LARGEST: Final = 1e100
QUIET_ROWS: Final = 75  # after an alarm nothing is said for so many rows

_KEPT = 5_000  # values that a new one is compared with
_LEARNT_AFTER = 50  # values known before anything is called strange
_STRANGE = 0.036  # a distance to all that is known, as a part of its range, that is an alarm by itself
_MOST_STRANGE = 10.0
_SPREAD_ROWS, _ROUGH_ROWS, _LEVEL_ROWS = 48, 12, 5
_WEARINESS = 0.2  # each recent alarm raises by so much what the next one needs
_FORGETTING_ROWS = 1_000.0  # how slowly alarms are forgotten
_ROUNDING = 1e-9  # a difference this small, beside the numbers it comes from, is none


class Series:
    """A stream of numbers and what is known of it: give it a row, get the row's score.

    Three views are watched: the level (median of 5), the roughness (mean step of 12) and the spread (greatest
    less smallest of 48). A row is strange where a view lies far from every value that it ever had, measured
    against the range of them, in the numbers themselves and in their roots: a gap inside the range counts like
    a new extreme. After an alarm the score stays 0 for a while: the alarm has been given.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.alarmed_at: datetime | None = None
        self._quiet_until = 0
        self._alarms = 0.0
        self._greatest, self._smallest = _Greatest(), _Greatest()
        self._level: deque[float] = deque(maxlen=_LEVEL_ROWS)
        self._steps = _Steps(), _Steps()
        self._views = _View(_SPREAD_ROWS), _View(_ROUGH_ROWS), _View(_LEVEL_ROWS)

    def update(self, timestamp: datetime, value: float) -> float:
        """Take the next row; gives its score, an alarm from `ALARM` on. Refuses what is not a usable number."""
        if not abs(value) <= LARGEST:
            raise errors.InvalidRequest(
                "a value must be a finite number no greater than 1e100",
                detail_vi="giá trị phải là số hữu hạn, không lớn hơn 1e100",
            )
        value = float(value)
        strangeness = max(
            view.strangeness(plain, root, size)
            for view, (plain, root, size) in zip(self._views, self._look(value), strict=True)
        )
        self.rows += 1
        return self._judge(timestamp, strangeness / _STRANGE)

    def _look(self, value: float) -> Iterator[tuple[float, float, float]]:
        """Give each view's present value, the same in roots, and the size of the numbers behind them."""
        top, bottom = self._greatest.update(value), -self._smallest.update(-value)
        if not self._level:
            self._level.extend([value] * _LEVEL_ROWS)
        self._level.append(value)
        level = sorted(self._level)[_LEVEL_ROWS // 2]
        size = max(top, -bottom)
        yield top - bottom, _root(top) - _root(bottom), size
        plain, root = self._steps
        yield plain.update(value), root.update(_root(value)), size
        yield level, _root(level), size

    def _judge(self, timestamp: datetime, times_strange: float) -> float:
        """Turn strangeness into a score; the more alarms there were lately, the more the next one needs."""
        self._alarms *= math.exp(-1 / _FORGETTING_ROWS)
        if self.rows <= self._quiet_until:
            return 0.0
        weighed = times_strange / (1 + _WEARINESS * self._alarms)
        if weighed >= 1:
            self._alarms += 1
            self._quiet_until = self.rows + QUIET_ROWS
            self.alarmed_at = timestamp
        return weighed / (1 + weighed)


class _View:
    """One view of the series, in plain numbers and in roots; strange is what is strange in both."""

    __slots__ = ("_plain", "_root")

    def __init__(self, rows: int) -> None:
        self._plain, self._root = _Known(rows), _Known(rows)

    def strangeness(self, plain: float, root: float, size: float) -> float:
        """Compare with all before, then remember; `size` tells how large a difference may be mere rounding."""
        in_plain = self._plain.strangeness(plain, size * _ROUNDING)
        in_root = self._root.strangeness(root, math.sqrt(size) * _ROUNDING)
        return math.sqrt(in_plain * in_root)


class _Known:
    """The newest values of a view; says how far another value lies from the nearest of them.

    The newest `rows` do not count yet: they share rows with the present value and are close to it anyway.
    """

    __slots__ = ("_next", "_order", "_recent", "_ring", "_rows")

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._recent: deque[float] = deque()
        self._ring = array("d")
        self._next = 0
        self._order = array("d")

    def strangeness(self, value: float, grain: float) -> float:
        """Compare a value with those before it, then remember it; the distance is a part of their range."""
        order = self._order
        found = 0.0
        if len(order) >= _LEARNT_AFTER:
            place = bisect_left(order, value)
            above = order[place] - value if place < len(order) else math.inf
            below = value - order[place - 1] if place else math.inf
            distance, spread = min(above, below), order[-1] - order[0]
            if distance > grain:
                # Where nothing has ever moved, any move is as great as the whole range.
                found = min(distance / spread, _MOST_STRANGE) if spread > grain else 1.0
        self._remember(value)
        return found

    def _remember(self, value: float) -> None:
        self._recent.append(value)
        if len(self._recent) <= self._rows:
            return
        grown = self._recent.popleft()
        insort(self._order, grown)
        if len(self._ring) < _KEPT:
            self._ring.append(grown)
            return
        oldest, self._ring[self._next] = self._ring[self._next], grown
        self._next = (self._next + 1) % _KEPT
        del self._order[bisect_left(self._order, oldest)]


class _Greatest:
    """The greatest value of the newest rows, at a cost that does not depend on how many they are."""

    __slots__ = ("_falling", "_row")

    def __init__(self) -> None:
        self._falling: deque[tuple[int, float]] = deque()
        self._row = 0

    def update(self, value: float) -> float:
        """Take the next value; gives the greatest of the newest `_SPREAD_ROWS`."""
        falling = self._falling
        while falling and falling[-1][1] <= value:
            falling.pop()
        falling.append((self._row, value))
        if falling[0][0] <= self._row - _SPREAD_ROWS:
            falling.popleft()
        self._row += 1
        return falling[0][1]


class _Steps:
    """The mean size of the newest steps from one value to the next."""

    __slots__ = ("_last", "_sizes")

    def __init__(self) -> None:
        self._last: float | None = None
        self._sizes: deque[float] = deque(maxlen=_ROUGH_ROWS)

    def update(self, value: float) -> float:
        """Take the next value; gives the mean step."""
        self._sizes.append(abs(value - self._last) if self._last is not None else 0.0)
        self._last = value
        return sum(self._sizes) / len(self._sizes)


def _root(value: float) -> float:
    return math.copysign(math.sqrt(abs(value)), value)
