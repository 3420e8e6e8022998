"""Rolling windows over the access record, one at a time: for a key, an official, an operation, an address.

The newest 130 minutes are kept minute by minute, so that 5 minutes and an hour are sums of minutes. A record may
be late by up to LATENESS_S, or come twice: the windows are the same as if all had come once and in order.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import datasketches  # type: ignore[import-untyped]

from lienthong.monitoring import calls

LATENESS_S = 300
_KEPT_MINUTES = 130
_EXACT = 128
_HLL_LG_K = 11  # 2,048 registers: an error of about 2 %
_TOOK_STEPS = 16
_MOST_AHEAD = 20_000


class Distinct:
    """How many different texts there were: exact while they are few, then a HyperLogLog sketch."""

    __slots__ = ("exact", "sketch")

    def __init__(self) -> None:
        self.exact: set[str] | None = set()
        self.sketch: datasketches.hll_sketch | None = None

    def add(self, text: str) -> None:
        """Take one."""
        if self.exact is not None:
            self.exact.add(text)
            if len(self.exact) > _EXACT:
                self._sketch()
        elif self.sketch is not None:
            self.sketch.update(text)

    def __len__(self) -> int:
        if self.exact is not None:
            return len(self.exact)
        if self.sketch is None:
            return 0
        # By way of a union: the sketch's own estimate depends on the order in which things came.
        union = datasketches.hll_union(_HLL_LG_K)
        union.update(self.sketch)
        return int(union.get_result().get_estimate() + 0.5)

    def _sketch(self) -> None:
        self.sketch = datasketches.hll_sketch(_HLL_LG_K)
        for text in sorted(self.exact or ()):
            self.sketch.update(text)
        self.exact = None

    def merge(self, other: Distinct) -> None:
        """Take what another has seen."""
        if other.exact is not None:
            for text in other.exact:
                self.add(text)
        elif other.sketch is not None:
            if self.exact is not None:
                self._sketch()
            union = datasketches.hll_union(_HLL_LG_K)
            union.update(self.sketch)
            union.update(other.sketch)
            self.sketch = union.get_result()


class Counts(NamedTuple):
    """What a window holds."""

    requests: int
    results: tuple[int, ...]
    bytes_out: int
    rows: int
    subjects: int
    addresses: int
    agents: int
    took: tuple[int, ...]


class Pane:
    """One minute of one window."""

    __slots__ = ("addresses", "agents", "bytes_out", "count", "minute", "results", "rows", "subjects", "took")

    def __init__(self, minute: int) -> None:
        self.minute = minute
        self.count = 0
        self.results = [0, 0, 0, 0, 0, 0]
        self.bytes_out = 0
        self.rows = 0
        self.took: list[int] | None = None
        self.subjects: Distinct | None = None
        self.addresses: str | Distinct | None = None
        self.agents: str | Distinct | None = None

    def add(self, call: calls.Call) -> None:
        """Count one call."""
        self.count += 1
        result, bytes_out, took_ms = call.result, call.bytes_out, call.took_ms
        if result is not None:
            self.results[result] += 1
        if bytes_out:
            self.bytes_out += bytes_out
        if call.rows:
            self.rows += call.rows
        if took_ms is not None:
            took = self.took
            if took is None:
                took = self.took = [0] * _TOOK_STEPS
            step = int(took_ms).bit_length()
            took[step if step < _TOOK_STEPS else _TOOK_STEPS - 1] += 1
        if call.subject is not None:
            if self.subjects is None:
                self.subjects = Distinct()
            self.subjects.add(call.subject)
        address, agent = call.address, call.agent
        if address is not None and address != self.addresses:
            self.addresses = _more(self.addresses, address)
        if agent is not None and agent != self.agents:
            self.agents = _more(self.agents, agent)


def _more(known: str | Distinct | None, text: str) -> str | Distinct:
    """Remember one more text; a single one, as mostly, needs no set."""
    if known is None:
        return text
    if isinstance(known, str):
        first, known = known, Distinct()
        known.add(first)
    known.add(text)
    return known


class Window:
    """The newest minutes of one entity."""

    __slots__ = ("last", "panes")

    def __init__(self) -> None:
        self.panes: deque[Pane] = deque()
        self.last = Pane(-1)

    def add(self, minute: int, call: calls.Call) -> Pane:
        """Count a call in the minute it belongs to."""
        pane = self.last
        if pane.minute != minute:
            pane = self._turn(minute)
        pane.add(call)
        return pane

    def count(self, minute: int) -> None:
        """Count a call without looking at it: for the hub as a whole."""
        pane = self.last
        if pane.minute != minute:
            pane = self._turn(minute)
        pane.count += 1

    def tally(self, minute: int, result: int | None) -> Pane:
        """Count a call and how it ended, and nothing else of it."""
        pane = self.last
        if pane.minute != minute:
            pane = self._turn(minute)
        pane.count += 1
        if result is not None:
            pane.results[result] += 1
        return pane

    def _turn(self, minute: int) -> Pane:
        panes = self.panes
        if minute > self.last.minute:
            pane = self.last = Pane(minute)
            panes.append(pane)
            oldest = minute - _KEPT_MINUTES
            while panes[0].minute < oldest:
                panes.popleft()
            return pane
        place = len(panes)
        while place and panes[place - 1].minute > minute:
            place -= 1
        if place and panes[place - 1].minute == minute:
            return panes[place - 1]
        pane = Pane(minute)
        panes.insert(place, pane)
        return pane

    def requests(self, minute: int, minutes: int) -> int:
        """Count the requests of so many minutes, this one the last."""
        first, total = minute - minutes, 0
        for pane in reversed(self.panes):
            if pane.minute <= first:
                break
            if pane.minute <= minute:
                total += pane.count
        return total

    def ended(self, minute: int, minutes: int) -> list[int]:
        """Count the same by how the calls ended."""
        first, total = minute - minutes, [0, 0, 0, 0, 0, 0]
        for pane in reversed(self.panes):
            if pane.minute <= first:
                break
            if pane.minute <= minute:
                for place, count in enumerate(pane.results):
                    total[place] += count
        return total

    def out(self, minute: int, minutes: int) -> tuple[int, int, int]:
        """Add up the bytes and rows that went out, and the requests."""
        first, sent, rows, requests = minute - minutes, 0, 0, 0
        for pane in reversed(self.panes):
            if pane.minute <= first:
                break
            if pane.minute <= minute:
                sent += pane.bytes_out
                rows += pane.rows
                requests += pane.count
        return sent, rows, requests

    def counts(self, minute: int, minutes: int) -> Counts:
        """Give everything about so many minutes (130 at most), this one the last."""
        chosen = [pane for pane in self.panes if minute - minutes < pane.minute <= minute]
        results, took = [0] * 6, [0] * _TOOK_STEPS
        subjects, addresses, agents = Distinct(), Distinct(), Distinct()
        for pane in chosen:
            results = [old + new for old, new in zip(results, pane.results, strict=True)]
            if pane.took is not None:
                took = [old + new for old, new in zip(took, pane.took, strict=True)]
            if pane.subjects is not None:
                subjects.merge(pane.subjects)
            for total, seen in ((addresses, pane.addresses), (agents, pane.agents)):
                if isinstance(seen, str):
                    total.add(seen)
                elif seen is not None:
                    total.merge(seen)
        return Counts(
            sum(pane.count for pane in chosen),
            tuple(results),
            sum(pane.bytes_out for pane in chosen),
            sum(pane.rows for pane in chosen),
            len(subjects),
            len(addresses),
            len(agents),
            tuple(took),
        )


class Repeats:
    """Which records have come already, by node and number."""

    def __init__(self) -> None:
        self._nodes: dict[str, tuple[int, set[int]]] = {}

    def is_repeat(self, node: str, number: int) -> bool:
        """Note a record; whether it came before. Numbers of a node begin anywhere and mostly follow each other."""
        known = self._nodes.get(node)
        if known is None:
            self._nodes[node] = (0, {number})
            return False
        upto, ahead = known
        if number <= upto or number in ahead:
            return True
        ahead.add(number)
        if len(ahead) > _MOST_AHEAD:
            # What is missing this far back is late beyond any lateness.
            upto = sorted(ahead)[_MOST_AHEAD // 2]
            ahead = {later for later in ahead if later > upto}
            self._nodes[node] = (upto, ahead)
        return False
