"""How often a key may call (hạn mức): `600/minute`, `50000/day`; all limits of a key decided in one step.

Second, minute and hour are exact: at most N in any window of that length. Day and month follow the calendar
in Vietnam time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from lienthong.core import clock, errors

SLIDING_S = {"second": 1, "minute": 60, "hour": 3600}
CALENDAR = ("day", "month")
_NOMINAL_S = {**SLIDING_S, "day": 86_400, "month": 2_592_000}
_SHAPE = re.compile(r"([1-9]\d{0,12})\s*/\s*(second|minute|hour|day|month)")
# The sliding log keeps 8 bytes a request: this many are 8 MB for one key.
MOST_IN_SLIDING_WINDOW = 1_000_000


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `quota` requests in any second, minute or hour, or in a calendar day or month."""

    quota: int
    unit: str

    @property
    def window_s(self) -> int:
        """The length of the window; nominal (30 days) for a month."""
        return _NOMINAL_S[self.unit]

    @property
    def is_sliding(self) -> bool:
        """Whether any window of the length counts, rather than the calendar's."""
        return self.unit in SLIDING_S

    def __str__(self) -> str:
        return f"{self.quota}/{self.unit}"


class Policy(NamedTuple):
    """How one limit stands after a decision; what the RateLimit headers say."""

    name: str
    quota: int
    window_s: int
    remaining: int
    resets_in_s: float


class Decision(NamedTuple):
    """Whether a request may pass. `reduced`: decided on this process's share, the shared counter being away."""

    allowed: bool
    policies: tuple[Policy, ...]
    retry_after_s: float = 0.0
    violated: tuple[str, ...] = ()
    reduced: bool = False


class Limiter(Protocol):
    """Counts what every key uses. One decision takes from all limits of the key, or from none."""

    async def take(self, key_id: str, limits: Sequence[Limit], operation: str, now: datetime) -> Decision:
        """Take one request from every limit of the key, where all of them allow it."""
        ...

    async def start(self, now: datetime) -> None:
        """Get ready: what was used before a restart counts."""
        ...

    async def check(self) -> bool:
        """Whether the limiter works at its full strength."""
        ...

    async def stop(self) -> None:
        """Keep what must be kept and give back connections."""
        ...


def parse(text: str) -> Limit:
    """Read `600/minute`. Raises InvalidRequest naming `limit`."""
    match = _SHAPE.fullmatch(text.strip().lower())
    if match is None:
        raise errors.InvalidRequest(problems=(_unreadable(text),))
    return Limit(int(match[1]), match[2])


def parse_all(texts: Iterable[str]) -> tuple[Limit, ...]:
    """Read the limits of a key, shortest window first."""
    order = list(_NOMINAL_S)
    return tuple(sorted((parse(text) for text in texts), key=lambda limit: order.index(limit.unit)))


def problems(texts: Sequence[str]) -> list[errors.FieldProblem]:
    """Name everything wrong with the limits of a key; a key without any limit is refused."""
    if not texts:
        return [
            errors.FieldProblem(
                "limit",
                "Khoá phải có ít nhất một hạn mức, ví dụ 600/minute.",
                "A key must have at least one limit, for example 600/minute.",
            )
        ]
    found: list[errors.FieldProblem] = []
    seen: set[str] = set()
    for text in texts:
        try:
            limit = parse(text)
        except errors.InvalidRequest as exc:
            found += exc.problems
            continue
        if limit.unit in seen:
            found.append(_twice(limit))
        if limit.is_sliding and limit.quota > MOST_IN_SLIDING_WINDOW:
            found.append(_too_many(limit))
        seen.add(limit.unit)
    return found


def calendar_period(unit: str, now: datetime) -> tuple[str, datetime, datetime]:
    """Give name, start and end of the calendar day or month around a moment, in Vietnam time."""
    local = now.astimezone(clock.VIETNAM)
    if unit == "day":
        start = local.replace(hour=0, minute=0, second=0, microsecond=0)
        # Vietnam keeps no summer time: a day is always 24 hours.
        return f"day:{local:%Y-%m-%d}", start, start + timedelta(days=1)
    start = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (start.year + start.month // 12, start.month % 12 + 1)
    return f"month:{local:%Y-%m}", start, start.replace(year=following[0], month=following[1])


def _unreadable(text: str) -> errors.FieldProblem:
    shown = text[:40]
    return errors.FieldProblem(
        "limit",
        f"Không hiểu hạn mức “{shown}”; viết số/đơn vị với đơn vị second, minute, hour, day hoặc month, "
        "ví dụ 600/minute.",
        f"The limit “{shown}” cannot be read; write number/unit with second, minute, hour, day or month, "
        "for example 600/minute.",
    )


def _twice(limit: Limit) -> errors.FieldProblem:
    return errors.FieldProblem(
        "limit",
        f"Có hai hạn mức cùng đơn vị {limit.unit}; chỉ giữ một.",
        f"There are two limits for one {limit.unit}; keep one.",
    )


def _too_many(limit: Limit) -> errors.FieldProblem:
    return errors.FieldProblem(
        "limit",
        f"Hạn mức {limit} quá lớn để đếm chính xác; tối đa {MOST_IN_SLIDING_WINDOW}/{limit.unit}.",
        f"The limit {limit} is too large to count exactly; at most {MOST_IN_SLIDING_WINDOW}/{limit.unit}.",
    )
