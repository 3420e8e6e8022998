"""Which call follows which: how strange a key's newest calls are beside the order it keeps to.

Many work beside each other, so the order of one official's calls, or of those of one dossier, means something.
Evidence adds up call by call (a CUSUM): each call counts with how surprising it is, less what is usual.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from lienthong.monitoring import calls

# Evidence in nats: so much is told. Weak abuse of forty calls makes 25 of it and more, a usual week at most 10.
BOUND = 14.0
ALLOWED = 0.6  # so much more than usual a call may be surprising without counting
_STRANGEST = 4.0  # a single call never seen before is soon an update of the software
_LEARNING_STEPS = 400
# After that each hour with some steps teaches as much as any other: a flood must not make calls look ordinary.
_LEAST_TAUGHT, _HOURS_WEIGHT = 20, 0.02
_LEAST_FOLLOWED = 8
_MOST_STREAMS = 300
# From so much evidence on a step is learned three times a day only: abuse must not become its own measure. What
# comes on five days is how the key works now.
_DOUBTFUL, _LEARNED_A_DAY, _USUAL_DAYS = 4.0, 3, 5
Orders = dict[str, dict[str, int]]


class Strange(NamedTuple):
    """Calls in an order that a key does not keep to: since when, how many, how surprising on average."""

    since: float
    calls: int
    surprise: float
    usual: float


class CallOrder:
    """The order of one key's calls. Counts of what follows what are kept by the caller, with the baseline."""

    __slots__ = (
        "_calls", "_doubted", "_hour", "_last", "_since", "_sum", "_taught", "_taught_sum", "evidence", "mean",
        "steps",
    )  # fmt: skip

    def __init__(self) -> None:
        self.steps = 0
        self.mean = 1.0  # how surprising a call usually is
        self.evidence = 0.0
        self._since = self._sum = 0.0
        self._calls = self._hour = self._taught = 0
        self._taught_sum = 0.0
        self._last: dict[str, str] = {}
        self._doubted: dict[tuple[str, str], tuple[int, int, int]] = {}  # step: day, times on it, days in all

    def add(self, call: calls.Call, orders: Orders, *, operations: int) -> Strange | None:
        """Take a call of a key that knows so many operations; says so where the order has become strange."""
        operation, last = call.operation or "", self._last
        stream = call.official or call.dossier or ""
        before = last.get(stream)
        if before is None and len(last) >= _MOST_STREAMS:
            del last[next(iter(last))]
        if call.result == calls.FAILED:
            # Software repeats what failed: that says nothing of what it was about to do.
            last[stream] = ""
            return None
        last[stream] = operation
        found = None
        if before:
            surprise = _surprise(orders.get(before), operation, operations)
            found = self._weigh(surprise, call.at)
            if self.evidence > _DOUBTFUL and not self._may_learn((before, operation), int(call.at) // 86_400):
                return found
            self._learn(surprise, int(call.at) // 3600)
            following = orders.setdefault(before, {})
            following[operation] = following.get(operation, 0) + 1
        # Under the empty name stands how often something was called at all, so that going on where work always
        # ends is as strange as going on in a way that was never seen.
        following = orders.setdefault(operation, {})
        following[""] = following.get("", 0) + 1
        return found

    def _learn(self, surprise: float, hour: int) -> None:
        self.steps += 1
        if self.steps <= _LEARNING_STEPS:
            self.mean += (surprise - self.mean) / self.steps
            return
        if hour != self._hour and self._taught >= _LEAST_TAUGHT:
            self.mean += _HOURS_WEIGHT * (self._taught_sum / self._taught - self.mean)
            self._taught, self._taught_sum = 0, 0.0
        self._hour = hour
        self._taught += 1
        self._taught_sum += surprise

    def _weigh(self, surprise: float, at: float) -> Strange | None:
        if self.steps < _LEARNING_STEPS:
            return None
        if not self.evidence:
            self._since, self._calls, self._sum = at, 0, 0.0
        self.evidence = max(0.0, self.evidence + surprise - self.mean - ALLOWED)
        self._calls += 1
        self._sum += surprise
        if self.evidence <= BOUND:
            return None
        self.evidence = BOUND / 2  # what was told needs new evidence to be told again
        return Strange(self._since, self._calls, self._sum / self._calls, self.mean)

    def _may_learn(self, step: tuple[str, str], day: int) -> bool:
        on, times, days = self._doubted.get(step, (-1, 0, 0))
        on, times, days = (day, times + 1, days) if on == day else (day, 1, days + 1)
        self._doubted[step] = on, times, days
        return times <= _LEARNED_A_DAY or days > _USUAL_DAYS


def _surprise(following: dict[str, int] | None, operation: str, operations: int) -> float:
    """Give how surprising it is that an operation follows: minus the logarithm of its probability."""
    if following is None:
        return 0.0
    seen, total = following.get(operation, 0), following.get("", 0)
    if not seen and total < _LEAST_FOLLOWED:
        return 0.0  # too little is known of what follows this
    return min(_STRANGEST, -math.log((seen + 0.3) / (total + 0.3 * max(2, operations))))
