"""How often a key may call (hạn mức), in words and in rules: `600/minute`, `50000/day`, `8 in flight`, …

Second, minute and hour are exact: at most N in any window of that length. Day and month follow the calendar
in Vietnam time.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, Protocol

from lienthong.core import clock, errors

SLIDING_S = {"second": 1, "minute": 60, "hour": 3600}
CALENDAR = ("day", "month")
IN_FLIGHT = "in-flight"
_NOMINAL_S = {**SLIDING_S, "day": 86_400, "month": 2_592_000}
_UNITS = list(_NOMINAL_S)
_KINDS = ("rate", "spike", "curb", "flight")
_SHAPE = re.compile(
    r"(?:(?P<operation>[a-z][a-z0-9_]*\.[a-z0-9_*]+)\s*=\s*)?"
    r"(?:(?P<kind>spike|curb)\s+)?"
    r"(?P<quota>[1-9]\d{0,12})\s*(?:/\s*(?P<unit>second|minute|hour|day|month)|\s(?P<flight>in flight))"
)
# The sliding log keeps 8 bytes a request: this many are 8 MB for one key.
MOST_IN_SLIDING_WINDOW = 1_000_000

Kind = Literal["rate", "spike", "curb", "flight"]


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `quota` requests in any second, minute or hour, in a calendar day or month, or at the same time.

    `operation`: counts only this operation (or group, `dossiers.*`). `kind`: a rate; a spike guard, which keeps a
    minute's allowance from being spent at once; a curb, put on a key whose use looks abnormal; or a cap on
    requests in flight.
    """

    quota: int
    unit: str
    operation: str = ""
    kind: Kind = "rate"

    @property
    def window_s(self) -> int:
        """The length of the window; nominal (30 days) for a month, 0 for requests in flight."""
        return _NOMINAL_S.get(self.unit, 0)

    @property
    def is_sliding(self) -> bool:
        """Whether any window of the length counts, rather than the calendar's."""
        return self.unit in SLIDING_S

    @property
    def name(self) -> str:
        """What the limit is called in headers and problems."""
        name = self.unit if self.kind in ("rate", "flight") else f"{self.kind}-{self.unit}"
        return f"{self.operation}:{name}" if self.operation else name

    def covers(self, operation: str) -> bool:
        """Whether a request for an operation counts."""
        wanted = self.operation
        return not wanted or wanted == operation or (wanted.endswith(".*") and operation.startswith(wanted[:-1]))

    def __str__(self) -> str:
        if self.kind == "flight":
            text = f"{self.quota} in flight"
        else:
            text = f"{'' if self.kind == 'rate' else self.kind + ' '}{self.quota}/{self.unit}"
        return f"{self.operation}={text}" if self.operation else text


class Policy(NamedTuple):
    """How one limit stands after a decision; what the RateLimit headers say."""

    name: str
    quota: int
    window_s: int
    remaining: int
    resets_in_s: float


class Ticket(NamedTuple):
    """What an admitted request holds while it is in flight; give it back when the answer is complete."""

    places: tuple[str, ...]


class Decision(NamedTuple):
    """Whether a request may pass.

    `reduced`: decided on this process's share, the shared counter being away. `closes_personal`: it has been away
    for so long that operations on personal data are to be refused with 503. `ticket`: give it back.
    """

    allowed: bool
    policies: tuple[Policy, ...]
    retry_after_s: float = 0.0
    violated: tuple[str, ...] = ()
    reduced: bool = False
    closes_personal: bool = False
    ticket: Ticket | None = None

    @property
    def problem(self) -> str:
        """The problem type of a refusal (draft-ietf-httpapi-ratelimit-headers, "Problem Types")."""
        if self.reduced:
            return "temporary-reduced-capacity"
        if any(name.rpartition(":")[2].startswith("curb-") for name in self.violated):
            return "abnormal-usage-detected"
        return "quota-exceeded"


class Limiter(Protocol):
    """Counts what every key uses. One decision takes from all limits of the key, or from none."""

    async def take(self, key_id: str, limits: Sequence[Limit], operation: str, now: datetime) -> Decision:
        """Take one request from every limit that covers the operation, where all of them allow it."""
        ...

    def give_back(self, key_id: str, ticket: Ticket | None) -> None:
        """Say that a request is no longer in flight. Exactly once for each decision that allowed one."""
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


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a key without a word about it gets: see `complete`. No cap is derived where `in_flight` is 0."""

    in_flight: int = 0
    spike_share: float = 0.25
    spike_least: int = 1000


def complete(stated: Sequence[Limit], defaults: Defaults) -> tuple[Limit, ...]:
    """Add what every key must have and this one does not state.

    An exact sliding maximum, a calendar quota, a spike guard and a cap on requests in flight. What is derived is
    never narrower than what is stated allows, except the spike guard of a large allowance.
    """
    general = [limit for limit in stated if not limit.operation]
    rates = [limit for limit in general if limit.kind == "rate"]
    added: list[Limit] = []
    sliding = [limit for limit in rates if limit.is_sliding]
    calendar = [limit for limit in rates if not limit.is_sliding]
    if not sliding and calendar:
        sliding = [Limit(min(MOST_IN_SLIDING_WINDOW, min(limit.quota for limit in calendar)), "minute")]
        added += sliding
    if not calendar and sliding:
        daily = min(limit.quota * (_NOMINAL_S["day"] // limit.window_s) for limit in sliding)
        added.append(Limit(daily, "day"))
    if sliding and not any(limit.kind == "spike" for limit in general):
        added.append(Limit(_spike(sliding, defaults), "second", kind="spike"))
    if defaults.in_flight and not any(limit.kind == "flight" for limit in general):
        added.append(Limit(defaults.in_flight, IN_FLIGHT, kind="flight"))
    return (*stated, *added)


def _spike(sliding: Sequence[Limit], defaults: Defaults) -> int:
    """Give the most in any second: a share of the minute's allowance, where that is much."""
    a_minute = min(limit.quota * max(1, 60 // limit.window_s) for limit in sliding)
    return min(MOST_IN_SLIDING_WINDOW, max(defaults.spike_least, int(a_minute * defaults.spike_share)))


def parse(text: str) -> Limit:
    """Read `600/minute`, `dossiers.put=100/minute`, `spike 100/second` or `8 in flight`.

    Raises InvalidRequest naming `limit`.
    """
    match = _SHAPE.fullmatch(" ".join(text.strip().lower().split()))
    if match is None or (match["flight"] and match["kind"]):
        raise errors.InvalidRequest(problems=(_unreadable(text),))
    quota, operation = int(match["quota"]), match["operation"] or ""
    if match["flight"]:
        return Limit(quota, IN_FLIGHT, operation, "flight")
    kind = match["kind"] or "rate"
    if kind == "spike" and match["unit"] not in SLIDING_S:
        raise errors.InvalidRequest(problems=(_unreadable(text),))
    return Limit(quota, match["unit"], operation, "spike" if kind == "spike" else _rate_or_curb(kind))


def _rate_or_curb(kind: str) -> Kind:
    return "curb" if kind == "curb" else "rate"


def parse_all(texts: Iterable[str]) -> tuple[Limit, ...]:
    """Read the limits of a key: those on everything first, shortest window first."""
    return tuple(sorted((parse(text) for text in texts), key=_order))


def _order(limit: Limit) -> tuple[str, int, int]:
    unit = _UNITS.index(limit.unit) if limit.unit in _UNITS else len(_UNITS)
    return limit.operation, _KINDS.index(limit.kind), unit


def problems(texts: Sequence[str], *, operations: Collection[str] | None = None) -> list[errors.FieldProblem]:
    """Name everything wrong with the limits of a key; a key without any maximum is refused.

    With `operations` given, a limit on an operation that does not exist is named too.
    """
    found: list[errors.FieldProblem] = []
    seen: set[str] = set()
    has_maximum = False
    for text in texts:
        try:
            limit = parse(text)
        except errors.InvalidRequest as exc:
            found += exc.problems
            continue
        has_maximum = has_maximum or (limit.kind == "rate" and not limit.operation)
        if limit.name in seen:
            found.append(_twice(limit))
        if limit.is_sliding and limit.quota > MOST_IN_SLIDING_WINDOW:
            found.append(_too_many(limit))
        if operations is not None and limit.operation and not any(limit.covers(name) for name in operations):
            found.append(_unknown_operation(limit, operations))
        seen.add(limit.name)
    if not has_maximum and not found:
        found.append(
            errors.FieldProblem(
                "limit",
                "Khoá phải có ít nhất một hạn mức cho mọi thao tác, ví dụ 600/minute.",
                "A key must have at least one limit on everything it calls, for example 600/minute.",
            )
        )
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
    shown = text[:60]
    return errors.FieldProblem(
        "limit",
        f"Không hiểu hạn mức “{shown}”; viết số/đơn vị (second, minute, hour, day, month), ví dụ 600/minute; "
        "“8 in flight”; “spike 100/second”; hoặc cho một thao tác: dossiers.put=100/minute.",
        f"The limit “{shown}” cannot be read; write number/unit (second, minute, hour, day, month), for example "
        "600/minute; “8 in flight”; “spike 100/second”; or for one operation: dossiers.put=100/minute.",
    )


def _twice(limit: Limit) -> errors.FieldProblem:
    return errors.FieldProblem(
        "limit",
        f"Có hai hạn mức “{limit.name}”; chỉ giữ một.",
        f"There are two limits “{limit.name}”; keep one.",
    )


def _too_many(limit: Limit) -> errors.FieldProblem:
    return errors.FieldProblem(
        "limit",
        f"Hạn mức {limit} quá lớn để đếm chính xác; tối đa {MOST_IN_SLIDING_WINDOW}/{limit.unit}.",
        f"The limit {limit} is too large to count exactly; at most {MOST_IN_SLIDING_WINDOW}/{limit.unit}.",
    )


def _unknown_operation(limit: Limit, known: Collection[str]) -> errors.FieldProblem:
    near = difflib.get_close_matches(limit.operation, sorted(known), n=1, cutoff=0.3)
    return errors.FieldProblem(
        "limit",
        f"Hạn mức “{limit}” nói về thao tác không có" + (f"; gần nhất là “{near[0]}”." if near else "."),
        f"The limit “{limit}” is about an operation that does not exist"
        + (f"; the nearest is “{near[0]}”." if near else "."),
    )
