"""Payments as the imitated intermediaries hold them: the other side's book, against which ours is compared."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

WAITING, PAID, FAILED, SUSPECT = "waiting", "paid", "failed", "suspect"


class NotPossible(ValueError):
    """Something that a payment is not in the state for."""


@dataclass(slots=True)
class Refund:
    """Money given back, or on its way back."""

    number: str
    request: str
    amount_vnd: int
    at: float


@dataclass(slots=True)
class Payment:
    """One attempt to pay. `asked` is what came with it, `code` the intermediary's own word for how it ended,
    `told_number` the number by which it calls the attempt where that is not `number`.
    """

    system: str
    reference: str
    amount_vnd: int
    asked: dict[str, Any]
    at: float
    number: str
    state: str = WAITING
    code: str = ""
    told_number: str = ""
    settled_at: float = 0.0
    refunds: list[Refund] = field(default_factory=list)
    callbacks: list[dict[str, Any]] = field(default_factory=list)

    @property
    def refunded_vnd(self) -> int:
        """How much has been given back."""
        return sum(one.amount_vnd for one in self.refunds)

    def settle(self, state: str, code: str, *, now: float) -> bool:
        """Bring a waiting attempt to its end; says whether it still waited."""
        if self.state != WAITING:
            return False
        self.state, self.code, self.settled_at = state, code, now
        return True

    def described(self) -> dict[str, Any]:
        """Return the payment as the control page shows it: nothing of the payer."""
        shown = {"system": self.system, "reference": self.reference, "amount_vnd": self.amount_vnd}
        shown |= {"state": self.state, "code": self.code, "number": self.number}
        shown |= {"refunded_vnd": self.refunded_vnd, "refunds": len(self.refunds)}
        return shown | {"callbacks": self.callbacks}


class Book:
    """Every attempt at every intermediary, and every request number that was used."""

    def __init__(self) -> None:
        """Start empty."""
        self.forget()

    def forget(self) -> None:
        """Forget everything."""
        self._held: dict[tuple[str, str], Payment] = {}
        self._requests: set[tuple[str, str]] = set()
        self._numbers = itertools.count(14_000_001)

    def number(self) -> str:
        """Give the next number of a movement of money."""
        return str(next(self._numbers))

    def find(self, system: str, reference: str) -> Payment | None:
        """Find an attempt by the partner's own number."""
        return self._held.get((system, reference))

    def add(self, system: str, reference: str, *, amount_vnd: int, asked: dict[str, Any], now: float) -> Payment:
        """Keep a new attempt."""
        made = Payment(system, reference, amount_vnd, asked, now, self.number())
        self._held[system, reference] = made
        return made

    def is_new_request(self, system: str, number: str) -> bool:
        """Whether a request number is used for the first time; from now on it is used."""
        if (system, number) in self._requests:
            return False
        self._requests.add((system, number))
        return True

    def items(self) -> list[Payment]:
        """List every attempt, oldest first."""
        return list(self._held.values())

    def money(self) -> dict[str, dict[str, dict[str, int]]]:
        """Add up attempts and money by system and state; what was given back stands beside."""
        found: dict[str, dict[str, dict[str, int]]] = defaultdict(dict)
        for one in self._held.values():
            sums = [(one.state, 1, one.amount_vnd)]
            if one.refunds:
                sums.append(("refunded", len(one.refunds), one.refunded_vnd))
            for state, count, amount_vnd in sums:
                line = found[one.system].setdefault(state, {"count": 0, "amount_vnd": 0})
                line["count"] += count
                line["amount_vnd"] += amount_vnd
        return dict(found)
