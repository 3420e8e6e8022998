"""Whether values climb along a line: day by day, not in one step, and not by chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

SPANS = (18, 24, 30)
LEAST_RISE = 0.25
LEAST_ERRORS = 4.5
_LEAST_SPREAD = 0.08
_SIDE = 4  # a step has at least so many values on either side


def climbs(values: Sequence[float]) -> bool:
    """Ask about the last 18, 24 or 30 values, logarithms of counts: the slope in standard errors, and the rise."""
    return any(_is_line(values[-span:]) for span in SPANS if len(values) >= span)


def _is_line(values: Sequence[float]) -> bool:
    slope, off = _fitted(values)
    spread = max(1.4826 * sorted(map(abs, off))[len(off) // 2], _LEAST_SPREAD)
    # One bad day must not make or hide a line.
    tamed = [
        value - one + max(-2.5 * spread, min(2.5 * spread, one)) for value, one in zip(values, off, strict=True)
    ]
    slope, off = _fitted(tamed)
    count = len(tamed)
    if slope * count < LEAST_RISE:
        return False
    left = sum(one * one for one in off)
    error = max(math.sqrt(left / (count - 2)), _LEAST_SPREAD) / math.sqrt(count * (count * count - 1) / 12)
    return slope > LEAST_ERRORS * error and left < _left_by_a_step(tamed)


def _fitted(values: Sequence[float]) -> tuple[float, list[float]]:
    """Give the slope of the least squares' line, and how far each value lies from it."""
    middle, mean = (len(values) - 1) / 2, sum(values) / len(values)
    slope = sum((place - middle) * value for place, value in enumerate(values))
    slope /= len(values) * (len(values) ** 2 - 1) / 12
    return slope, [value - mean - slope * (place - middle) for place, value in enumerate(values)]


def _left_by_a_step(values: Sequence[float]) -> float:
    """Give the sum of squares that the best single step leaves."""
    count, mean = len(values), sum(values) / len(values)
    sums = [*accumulate(value - mean for value in values)]
    explained = max(sums[k - 1] ** 2 * count / (k * (count - k)) for k in range(_SIDE, count - _SIDE + 1))
    return sum((value - mean) ** 2 for value in values) - explained
