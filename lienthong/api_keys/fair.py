"""How an upstream's quota is divided among the keys that use it: max-min fair, with a reserve for named keys."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lienthong.core import errors

# Early in the day there is little to judge by: nobody's need is guessed from less than this part of it.
_LEAST_ELAPSED = 0.05
_SHAPE = re.compile(
    r"(?P<name>\w+)\s*=\s*(?P<quota>[1-9]\d{0,12})\s*/\s*(?P<unit>day|month)\s+for\s+(?P<operations>[\w.*]+(?:\s*,\s*[\w.*]+)*)"
    r"(?:\s+reserve\s+(?P<reserve>\d{1,13})\s+of\s+(?P<keys>[\w-]+(?:\s*,\s*[\w-]+)*))?"
)


@dataclass(frozen=True, slots=True)
class Upstream:
    """What another system lets the whole hub call: `quota` in a day or month, for these operations.

    `reserve` is kept back for the keys named in `reserved_for`.
    """

    name: str
    quota: int
    unit: str
    operations: tuple[str, ...]
    reserve: int = 0
    reserved_for: frozenset[str] = frozenset()

    def covers(self, operation: str) -> bool:
        """Whether an operation is paid out of this quota."""
        return any(
            operation == name or (name.endswith(".*") and operation.startswith(name[:-1]))
            for name in self.operations
        )

    def open_to(self, key_id: str) -> int:
        """How much of the quota is open to a key: without the reserve, unless it is named."""
        return self.quota if key_id in self.reserved_for else max(0, self.quota - self.reserve)


def parse_all(text: str) -> tuple[Upstream, ...]:
    """Read quotas separated by semicolons; see `parse`."""
    return tuple(parse(part) for part in text.split(";") if part.strip())


def parse(text: str) -> Upstream:
    """Read `NAME=10000/day for residents.* reserve 500 of KEY-ID,KEY-ID`. Raises Misconfigured."""
    match = _SHAPE.fullmatch(text.strip())
    if match is None:
        raise errors.Misconfigured(
            f"LIENTHONG_LIMITS__UPSTREAMS: “{text.strip()[:80]}” cannot be read; write for example "
            "population_c06=10000/day for residents.*, or with a reserve: … reserve 500 of KEY-ID",
            detail_vi=f"LIENTHONG_LIMITS__UPSTREAMS: không hiểu “{text.strip()[:80]}”; viết ví dụ "
            "population_c06=10000/day for residents.*, hoặc có dự trữ: … reserve 500 of KEY-ID.",
        )
    return Upstream(
        match["name"],
        int(match["quota"]),
        match["unit"],
        _names(match["operations"]),
        int(match["reserve"] or 0),
        frozenset(_names(match["keys"] or "")),
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def divide(total: int, needs: Sequence[float]) -> list[int]:
    """Divide `total` so that the smallest share is as large as can be, then the next (max-min fair).

    Nobody gets more than it needs, and nothing is left while somebody needs more. What does not divide goes one
    each to the first.
    """
    shares = [0] * len(needs)
    left, waiting = total, sorted(range(len(needs)), key=lambda n: needs[n])
    while waiting:
        level, first = left // len(waiting), waiting[0]
        if needs[first] > level:
            for place, n in enumerate(sorted(waiting)):
                shares[n] = level + (place < left - level * len(waiting))
            break
        shares[first] = int(needs[first])
        left -= shares[first]
        waiting.pop(0)
    return shares


def allotment(total: int, asked: Mapping[str, int], key_id: str, *, elapsed: float) -> int:
    """Say how much of `total` a key may use, given what every active key has asked for so far.

    The others' needs are what they would ask for by the period's end at their present pace; what they do not need
    is open to whoever asks. `elapsed` is the part of the period that has passed, from 0 to 1.
    """
    others = [name for name in asked if name != key_id]
    pace = 1 / max(_LEAST_ELAPSED, min(1.0, elapsed))
    needs = [float("inf"), *(float(round(asked[name] * pace)) for name in others)]
    return divide(total, needs)[0]
