"""The maximum that would do for a key: from its busiest stretch of thirty days, with room, in a round figure."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from lienthong.core import clock

DAYS = 30
_ROOM = 1.5
# Below these a maximum keeps nobody out and stops a busy morning: calls in a minute, and in an hour or longer.
_LEAST_A_MINUTE, _LEAST = 10, 60


def since(now: datetime) -> datetime:
    """Say from when use is looked at: thirty days of Vietnam time, today the last."""
    day = now.astimezone(clock.VIETNAM).date() - timedelta(days=DAYS - 1)
    return datetime.combine(day, datetime.min.time(), clock.VIETNAM)


def suggested(busiest: int, unit: str, *, limited: int) -> int | None:
    """Give the maximum for a minute, hour, day or month that would have done; None where that cannot be said.

    Without any use it cannot, and neither where limits refused calls: nobody knows how many more there would be.
    """
    if busiest <= 0 or limited > 0:
        return None
    return rounded(max(busiest * _ROOM, _LEAST_A_MINUTE if unit == "minute" else _LEAST))


def rounded(value: float) -> int:
    """Round up to two figures: 1.234 becomes 1.300, for maxima are said by people."""
    whole = math.ceil(value)
    step: int = 10 ** max(len(str(whole)) - 2, 0)
    return -(-whole // step) * step
