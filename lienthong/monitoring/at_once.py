"""From how many places somebody calls at the same time."""

from __future__ import annotations

from collections import deque

_AT_ONCE_S = 300.0
_TOLD_DAYS = 1


class AtOnce:
    """From which addresses somebody calls within five minutes, and how often an earlier one comes again."""

    __slots__ = ("last", "most", "moves", "seen", "told", "told_days", "top", "tops")

    def __init__(self) -> None:
        self.last: str | None = None
        self.seen: dict[str, float] = {}
        self.moves: deque[float] = deque()
        self.most = 1
        self.tops: deque[int] = deque(maxlen=28)
        self.top = 0
        self.told = False  # today
        self.told_days = 0

    def move(self, address: str, at: float) -> tuple[int, int]:
        """Note that a call comes from another address than the last; gives how many there are, and returns."""
        if self.last is not None and self.seen.get(self.last, 0.0) < at:
            self.seen[self.last] = at
        if at - self.seen.get(address, -1e12) <= _AT_ONCE_S:
            self.moves.append(at)
        self.last, self.seen[address] = address, at
        while self.moves and at - self.moves[0] > _AT_ONCE_S:
            self.moves.popleft()
        if len(self.seen) > 1:
            self.seen = {place: then for place, then in self.seen.items() if at - then <= _AT_ONCE_S}
        if len(self.seen) > self.most and self.moves:
            self.most = len(self.seen)
        return len(self.seen), len(self.moves)

    def close_day(self, *, cap: int | None) -> None:
        """Learn what the day had at most, up to little more than was usual.

        The first day on which it was told is not learned: abuse must not become its own measure.
        """
        self.told_days += self.told
        if not self.told or self.told_days > _TOLD_DAYS:
            self.tops.append(self.most if cap is None else min(self.most, cap))
            self.top = max(self.tops)
        self.most, self.told = 1, False
