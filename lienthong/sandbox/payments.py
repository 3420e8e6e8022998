"""The imitated intermediaries together: their book, their courier, and what a payer may do without a page."""

from __future__ import annotations

import time
from typing import Protocol

from lienthong.sandbox import dvcqg_payment, faults, vietqr
from lienthong.sandbox.courier import Courier
from lienthong.sandbox.dvcqg_payment import DvcqgPayment
from lienthong.sandbox.imitation import Imitation
from lienthong.sandbox.moods import Weather
from lienthong.sandbox.payment_book import WAITING, Book, NotPossible, Payment
from lienthong.sandbox.vietqr import Vietqr

__all__ = ["NotPossible", "Payments"]


class Intermediary(Imitation, Protocol):
    """An imitated intermediary, as far as these routes need it."""

    def act(self, payment: Payment, choice: str, *, chosen: faults.Chosen, now: float) -> bool:
        """End an attempt as a payer would."""
        ...

    def call_back(self, payment: Payment, chosen: faults.Chosen) -> None:
        """Send its callback once more."""
        ...


class Payments:
    """What the routes share: the book, the courier, and the intermediaries by name."""

    def __init__(
        self,
        book: Book,
        courier: Courier,
        others: dict[str, Intermediary],
        weather: Weather,
        *,
        platform: DvcqgPayment,
        bank: Vietqr,
    ) -> None:
        """Show and steer these."""
        self.book, self.courier, self.weather = book, courier, weather
        self.platform, self.bank = platform, bank
        self.by_name: dict[str, Intermediary] = {**others, dvcqg_payment.SYSTEM: platform, vietqr.SYSTEM: bank}

    def forget(self) -> None:
        """Forget every payment and every callback on its way."""
        self.book.forget()
        self.courier.forget()

    def act(self, system: str, reference: str, choice: str) -> Payment | None:
        """Do what a payer would, or `send` the callback again; None where there is no such payment.

        Raises NotPossible.
        """
        payment = self.book.find(system, reference)
        if payment is None:
            return None
        chosen = self.weather.choose(system, "pay")
        if choice == "send" and payment.state != WAITING:
            self.by_name[system].call_back(payment, chosen)
        elif not self.by_name[system].act(payment, choice, chosen=chosen, now=time.time()):
            raise NotPossible("không làm được lúc này / not possible now")
        return payment
