"""What a word of an intermediary makes of an attempt to pay: the state machine of contracts §7.7, pure.

Money becomes true by one way only, an agreeing `paid` on an attempt that still could be paid. Whatever contradicts
what is known ends in a stated state and in a question for a person.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from lienthong.core import money

State = Literal["created", "pending", "paid", "failed", "expired", "needs_person", "refund_requested", "refunded"]
Kind = Literal[
    "amount_differs",
    "amount_unknown",
    "currency_differs",
    "partner_differs",
    "paid_twice",
    "paid_late",
    "paid_though_free",
    "paid_after_reversed",
    "ended_after_paid",
    "doubtful",
    "reversed",
    "silent",
    "refund_unknown",
    "refund_by_hand",
    "refunded_twice",
    "refund_silent",
    "cod_silent",
]
CURRENCY = "VND"
_MONEY_COUNTS = ("paid", "refund_requested", "refunded")


@dataclass(frozen=True, slots=True)
class Standing:
    """How an attempt stands. `received_vnd`: what came in by a verified word, whether it counts or waits.

    `is_closed`: it failed or ran out before. `is_paid_otherwise`: another attempt paid the same obligation.
    `is_free`: by a rule of the province nothing was to be paid any more.
    """

    state: State
    amount_vnd: int
    received_vnd: int = 0
    refunded_vnd: int = 0
    is_reversed: bool = False
    is_closed: bool = False
    is_paid_otherwise: bool = False
    is_free: bool = False
    partner: str = ""
    paid_reference: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of it: the standing afterwards, what to answer, and what a person must look at."""

    after: Standing
    outcome: money.CallbackOutcome
    question: Kind | None = None


def judge(before: Standing, news: money.PaymentNews) -> Verdict:
    """Work out what a verified word changes."""
    said_partner = replace(before, partner=before.partner or news.partner)
    if before.partner and news.partner and news.partner != before.partner:
        return _asking(before, "partner_differs")
    if news.currency != CURRENCY:
        return _asking(before, "currency_differs")
    if news.state == "paid":
        return _paid(said_partner, news)
    if news.state == "reversed":
        return _reversed(said_partner)
    if news.amount_vnd and news.amount_vnd != before.amount_vnd:
        return Verdict(before, "amount_differs", "amount_differs")
    if news.state == "needs_person":
        return _asking(said_partner, "doubtful")
    if news.state == "pending":
        return _pending(said_partner)
    return _ended(said_partner, news.state)


def _paid(before: Standing, news: money.PaymentNews) -> Verdict:
    if news.amount_vnd is None:
        return _asking(before, "amount_unknown")
    if news.amount_vnd != before.amount_vnd:
        return replace(_asking(before, "amount_differs"), outcome="amount_differs")
    if before.received_vnd:
        other = news.provider_reference and before.paid_reference
        is_another = bool(other) and news.provider_reference != before.paid_reference
        return Verdict(before, "recorded", "paid_twice") if is_another else Verdict(before, "already")
    came = replace(before, received_vnd=before.amount_vnd, paid_reference=news.provider_reference)
    if before.is_reversed:
        return _asking(came, "paid_after_reversed")
    if before.is_paid_otherwise:
        return _asking(came, "paid_twice")
    if before.is_free:
        return _asking(came, "paid_though_free")
    if before.is_closed:
        return _asking(came, "paid_late")
    return Verdict(replace(came, state="paid"), "recorded")


def _reversed(before: Standing) -> Verdict:
    if before.state in ("refund_requested", "refunded") or before.refunded_vnd:
        return Verdict(before, "already")
    if before.state == "paid":
        # The money went back and nobody here asked for it: it does not count any longer.
        return Verdict(replace(before, state="needs_person", is_reversed=True), "recorded", "reversed")
    return _asking(replace(before, is_reversed=True), "reversed")


def _pending(before: Standing) -> Verdict:
    if before.state == "created":
        return Verdict(replace(before, state="pending"), "recorded")
    return Verdict(before, "already")


def _ended(before: Standing, state: Literal["failed", "expired"]) -> Verdict:
    if before.received_vnd:
        return Verdict(before, "recorded", "ended_after_paid")
    if before.state in ("created", "pending"):
        return Verdict(replace(before, state=state, is_closed=True), "recorded")
    if before.is_closed:
        return Verdict(before, "already")
    return Verdict(replace(before, is_closed=True), "recorded")


def _asking(after: Standing, kind: Kind) -> Verdict:
    """Leave it to a person; money that counts goes on counting until that person says otherwise."""
    state = after.state if after.state in _MONEY_COUNTS else "needs_person"
    return Verdict(replace(after, state=state), "recorded", kind)


def refundable(standing: Standing, *, underway_vnd: int) -> int:
    """Say how much may still be given back; nothing of what the intermediary took out again by itself."""
    if standing.is_reversed or standing.state not in ("paid", "needs_person", "refund_requested"):
        return 0
    return standing.received_vnd - standing.refunded_vnd - underway_vnd


def after_refund(before: Standing, *, amount_vnd: int, underway_vnd: int, does_count: bool) -> Standing:
    """Say how an attempt stands when a refund has ended with `amount_vnd` given back, 0 where it came to nothing.

    `does_count`: its obligation is paid by this attempt; else it waited for a person before, and does so again.
    """
    refunded = before.refunded_vnd + amount_vnd
    if underway_vnd:
        state: State = "refund_requested"
    elif refunded >= before.received_vnd:
        state = "refunded"
    else:
        state = "paid" if does_count else "needs_person"
    return replace(before, state=state, refunded_vnd=refunded)
