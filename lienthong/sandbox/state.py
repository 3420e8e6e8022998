"""What the control pages and the imitated systems share."""

from __future__ import annotations

from dataclasses import dataclass

from lienthong.sandbox.catalogue import Catalogue
from lienthong.sandbox.ledger import Ledger
from lienthong.sandbox.moods import Weather
from lienthong.sandbox.payments import Payments
from lienthong.sandbox.population import Population
from lienthong.sandbox.registers import Registers


@dataclass(slots=True)
class State:
    """The catalogue in use, what was received, the moods in force, and the registers with their population."""

    catalogue: Catalogue
    ledger: Ledger
    weather: Weather
    registers: Registers
    population: Population
    payments: Payments

    async def forget(self) -> None:
        """Forget everything that was received."""
        self.registers.forget()
        self.payments.forget()
        await self.ledger.reset()

    def swap(self, fresh: Catalogue, *, now_ms: int) -> None:
        """Put another catalogue in use; calls already under way finish with the old one."""
        fresh.succeed(self.catalogue, now_ms=now_ms)
        self.catalogue = fresh
