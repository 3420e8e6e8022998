"""Whether calls come as evenly as a machine makes them. People, and programs that serve people, do not."""

from __future__ import annotations

from collections import deque

GAPS = 20
# The mean deviation of the gaps from their mean, as a part of it: of chance arrivals it is about 0.74.
MACHINE = 0.1
_LEAST_GAP_S, _LONGEST_GAP_S = 0.5, 1800.0


class Evenness:
    """The gaps between the newest calls of one kind."""

    __slots__ = ("_gaps", "_last", "_sum")

    def __init__(self) -> None:
        self._gaps: deque[float] = deque()
        self._last = 0.0
        self._sum = 0.0

    def add(self, at: float) -> float | None:
        """Note a call; gives the gap in seconds of the last twenty-one where they came evenly, else None."""
        gap, gaps = at - self._last, self._gaps
        if gap < 0:
            return None  # a late record says nothing of the order
        self._last = at
        if gap > _LONGEST_GAP_S:
            gaps.clear()
            self._sum = 0.0
            return None
        gaps.append(gap)
        self._sum += gap
        if len(gaps) > GAPS:
            self._sum -= gaps.popleft()
        mean = self._sum / GAPS
        if len(gaps) < GAPS or mean < _LEAST_GAP_S or abs(gap - mean) > 3 * MACHINE * mean:
            return None
        off = sum(abs(one - mean) for one in gaps)
        return mean if off <= MACHINE * mean * GAPS else None
