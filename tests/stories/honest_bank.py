"""An intermediary with a book of its own, for stories in which anything may happen in any order.

It is honest: its newest word is what its book says. The way to it and back is not, and old words arrive late.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import payment_town
from payment_town import FEE

from lienthong.core import errors, money

# What becomes of a refund that is sent: its answer, and whether the bank did anything.
Giving = Literal["done", "accepted", "refused", "lost_answer", "lost_request", "unavailable"]
Starting = Literal["well", "refused", "lost_answer", "lost_request", "unavailable"]


@dataclass
class GivenBack:
    """One refund in the bank's book."""

    account: Account
    amount_vnd: int
    state: Literal["done", "accepted", "refused"]


@dataclass
class Account:
    """What the bank knows of one attempt; `words`: all that it ever said of it, the oldest first."""

    bank: Bank
    reference: str
    words: list[money.PaymentNews] = field(default_factory=list)
    transactions: list[int] = field(default_factory=list)
    is_reversed: bool = False
    # What the hub has been told with proof: this is what it may know, and must.
    told: set[tuple[str, int | None, str]] = field(default_factory=set)
    # Whether it was told that the attempt had ended when it knew already that it was paid.
    is_ended_after_paid: bool = False

    def say(self, state: str, amount_vnd: int | None = FEE, *, transaction: int = 1) -> None:
        """Write down a new word."""
        name = f"N{transaction}{self.reference[-6:]}" if self.transactions else ""
        self.words.append(
            self.bank.news(self.reference, state=state, amount_vnd=amount_vnd, provider_reference=name)
        )

    def pay(self, amount_vnd: int) -> None:
        """Take money of the payer, whatever was said before."""
        self.transactions.append(amount_vnd)
        self.say("paid", amount_vnd, transaction=len(self.transactions))

    @property
    def has_fee(self) -> bool:
        """Whether the whole fee came in at once."""
        return FEE in self.transactions

    @property
    def is_proven(self) -> bool:
        """Whether the hub was told with proof that the fee has come."""
        return any((state, amount) == ("paid", FEE) for state, amount, _ in self.told)

    @property
    def given_back_vnd(self) -> int:
        """What went back because the hub asked for it."""
        return sum(it.amount_vnd for it in self.refunds if it.state == "done")

    @property
    def refunds(self) -> list[GivenBack]:
        """Give the refunds of this attempt."""
        return [it for it in self.bank.given_back.values() if it.account is self]


@dataclass
class Bank(payment_town.Intermediary):
    """Keeps a book, answers from it, and obeys what the test says of the way."""

    accounts: dict[str, Account] = field(default_factory=dict)
    given_back: dict[str, GivenBack] = field(default_factory=dict)
    starting: Starting = "well"
    giving: Giving = "done"
    is_reachable: bool = True
    # One that is not calls back and does nothing else: a person gives money back by hand.
    is_askable: bool = True
    # Whether its answer about a payment tells that something of it was given back, as VNPAY's does.
    tells_refunds: bool = False
    # The refunds of which the hub, or a person of it, has heard that they are done.
    heard_done: set[str] = field(default_factory=set)
    # What no hub may ask of a bank.
    outrages: list[str] = field(default_factory=list)

    async def start(self, order: money.PaymentOrder) -> money.PaymentStarted:
        if self.starting in ("well", "lost_answer"):
            self.accounts[order.reference] = Account(self, order.reference)
        if self.starting == "refused":
            raise errors.RemoteRefused(system=self.name, remote_code="03")
        if self.starting == "unavailable":
            raise errors.RemoteUnavailable(system=self.name)
        if self.starting != "well":
            raise errors.OutcomeUnknown(system=self.name)
        return money.PaymentStarted(pay_url=f"https://pay.example.vn/{order.reference}")

    def read_callback(self, request: money.CallbackRequest) -> money.PaymentNews:
        return self._told(super().read_callback(request))

    async def query(self, order: money.PaymentOrder) -> money.PaymentNews:
        account = self.accounts.get(order.reference)
        if not self.is_askable:
            raise errors.NotOffered(system=self.name)
        if not self.is_reachable:
            raise errors.RemoteUnavailable(system=self.name)
        if account is None:
            raise errors.RemoteRefused(system=self.name, remote_code="91")
        if self.tells_refunds and account.given_back_vnd:
            return self.news(order.reference, state="reversed", amount_vnd=None, provider_reference="")
        waiting = self.news(order.reference, state="pending", amount_vnd=None, provider_reference="")
        return self._told(account.words[-1] if account.words else waiting)

    def _told(self, news: money.PaymentNews) -> money.PaymentNews:
        account = self.accounts.get(news.reference)
        if account is not None and (news.currency, news.partner) == ("VND", "LGSP"):
            account.is_ended_after_paid |= account.is_proven and news.state in ("failed", "expired")
            account.told.add((news.state, news.amount_vnd, news.provider_reference))
        return news

    async def refund(self, order: money.RefundOrder) -> money.RefundNews:
        account = self.accounts[order.reference]
        gone = sum(it.amount_vnd for it in account.refunds if it.state != "refused")
        if order.request_number in self.given_back:
            self.outrages.append("a refund was sent twice")
        if not account.is_proven:
            self.outrages.append("a refund of money that nobody has proven")
        if gone + order.amount_vnd > FEE:
            self.outrages.append("more given back than came in")
        if any(state == "reversed" for state, *_ in account.told):
            self.outrages.append("a refund of money of which the bank has said that it went back")
        if not self.is_askable:
            raise errors.NotOffered(system=self.name)
        giving = "refused" if account.is_reversed else self.giving
        if giving in ("done", "accepted", "refused", "lost_answer"):
            state: Literal["done", "accepted", "refused"] = "done" if giving == "lost_answer" else giving
            self.given_back[order.request_number] = GivenBack(account, order.amount_vnd, state)
            if giving != "lost_answer":
                self._heard(order.request_number)
                return money.RefundNews(state=state, provider_reference=f"R{order.request_number[-6:]}")
        if giving == "unavailable":
            raise errors.RemoteUnavailable(system=self.name)
        raise errors.OutcomeUnknown(system=self.name)

    async def query_refund(self, order: money.RefundOrder) -> money.RefundNews:
        if not self.is_reachable:
            raise errors.RemoteUnavailable(system=self.name)
        state = self._heard(order.request_number)
        return money.RefundNews(state="pending" if state == "accepted" else state)

    def tell(self, account: Account, number: str, amount_vnd: int) -> Literal["done", "accepted", "refused"]:
        """Say by telephone how a refund stands; whoever cannot be asked by the hub gives it back by hand now."""
        if not self.is_askable:
            self.given_back.setdefault(number, GivenBack(account, amount_vnd, "done"))
        return self._heard(number) if number in self.given_back else "refused"

    def _heard(self, number: str) -> Literal["done", "accepted", "refused"]:
        state = self.given_back[number].state
        self.heard_done |= {number} if state == "done" else set()
        return state

    def finish(self, number: str, *, well: bool) -> None:
        """End a refund that was only accepted so far."""
        if self.given_back[number].state == "accepted":
            self.given_back[number].state = "done" if well else "refused"
