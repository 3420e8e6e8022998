"""What must be counted for a request: the limits of its key, and its shares of upstream quotas."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from lienthong.api_keys import fair, limits

_MOST_REMEMBERED = 20_000
_DIVIDE_EVERY_S = 5.0


class Rule(NamedTuple):
    """One maximum and where it is counted; `shown` where the key's holder stated it."""

    name: str
    place: str
    quota: int
    unit: str
    window_s: int
    shown: bool


class Plan(NamedTuple):
    """Everything that one kind of request of one key is counted in; `flights`: place, cap and name."""

    stated: Sequence[limits.Limit]
    rules: tuple[Rule, ...]
    flights: tuple[tuple[str, int, str], ...]


class Planner:
    """Works out the plan of each key and operation, and remembers it while the key's limits stay the same."""

    def __init__(self, defaults: limits.Defaults | None = None, upstreams: Sequence[fair.Upstream] = ()) -> None:
        self._defaults = defaults or limits.Defaults()
        self._upstreams = upstreams
        self._plans: dict[tuple[str, str], Plan] = {}
        self._asked: dict[tuple[str, str], dict[str, int]] = {}
        self._divided_at = 0.0

    def plan(self, key_id: str, stated: Sequence[limits.Limit], operation: str, now: datetime) -> Plan:
        """Give the plan of a request."""
        if self._upstreams:
            self._note_need(key_id, operation, now)
        place = (key_id, operation)
        known = self._plans.get(place)
        if known is not None and (known.stated is stated or known.stated == stated):
            return known
        if len(self._plans) > _MOST_REMEMBERED:
            self._plans.clear()
        made = self._plans[place] = self._make(key_id, stated, operation, now)
        return made

    def forget(self) -> None:
        """Work everything out anew."""
        self._plans.clear()

    def _make(self, key_id: str, stated: Sequence[limits.Limit], operation: str, now: datetime) -> Plan:
        whole = limits.complete(stated, self._defaults)
        covering = [(limit, place < len(stated)) for place, limit in enumerate(whole) if limit.covers(operation)]
        rates = [(limit, shown) for limit, shown in covering if limit.kind != "flight"]
        rules = [
            Rule(limit.name, f"{key_id}|{limit.name}", limit.quota, limit.unit, limit.window_s, shown)
            for limit, shown in rates
            if shown or _can_bite(limit, [other for other, _ in rates])
        ]
        flights = [
            (f"{key_id}|{limit.name}", limit.quota, limit.name) for limit, _ in covering if limit.kind == "flight"
        ]
        return Plan(stated, (*rules, *self._shares(key_id, operation, now)), tuple(flights))

    def _shares(self, key_id: str, operation: str, now: datetime) -> list[Rule]:
        found = []
        for upstream in self._upstreams:
            if upstream.covers(operation):
                most, nominal = upstream.open_to(key_id), limits.Limit(1, upstream.unit).window_s
                own = self._allotment(upstream, key_id, most, now)
                name = f"upstream-{upstream.name}"
                found += [
                    Rule(name, f"upstream|{upstream.name}", most, upstream.unit, nominal, False),
                    Rule(f"{name}-share", f"{key_id}|{name}", own, upstream.unit, nominal, True),
                ]
        return found

    def _allotment(self, upstream: fair.Upstream, key_id: str, most: int, now: datetime) -> int:
        name, start, end = limits.calendar_period(upstream.unit, now)
        elapsed = (now - start) / (end - start)
        return fair.allotment(most, self._asked.get((upstream.name, name), {}), key_id, elapsed=elapsed)

    def _note_need(self, key_id: str, operation: str, now: datetime) -> None:
        for upstream in self._upstreams:
            if upstream.covers(operation):
                period = limits.calendar_period(upstream.unit, now)[0]
                asked = self._asked.setdefault((upstream.name, period), {})
                asked[key_id] = asked.get(key_id, 0) + 1
        if abs(now.timestamp() - self._divided_at) > _DIVIDE_EVERY_S:
            self._divided_at = now.timestamp()
            self._plans.clear()
            running = {(one.name, limits.calendar_period(one.unit, now)[0]) for one in self._upstreams}
            self._asked = {place: asked for place, asked in self._asked.items() if place in running}


def _can_bite(derived: limits.Limit, others: Sequence[limits.Limit]) -> bool:
    """Whether a limit that nobody stated could ever refuse what the others let through."""
    if not derived.is_sliding:
        return False
    return (
        not any(
            other.is_sliding and other.window_s > derived.window_s and other.quota <= derived.quota
            for other in others
        )
        and derived.kind == "spike"
    )
