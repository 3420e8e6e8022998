"""What the control pages and the imitated systems share."""

from __future__ import annotations

from dataclasses import dataclass

from lienthong.sandbox.catalogue import Catalogue
from lienthong.sandbox.ledger import Ledger
from lienthong.sandbox.moods import Weather


@dataclass(slots=True)
class State:
    """The catalogue in use, what was received, and the moods in force."""

    catalogue: Catalogue
    ledger: Ledger
    weather: Weather

    def swap(self, fresh: Catalogue, *, now_ms: int) -> None:
        """Put another catalogue in use; calls already under way finish with the old one."""
        fresh.succeed(self.catalogue, now_ms=now_ms)
        self.catalogue = fresh
