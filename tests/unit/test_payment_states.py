"""The state machine of payments: no order of genuine words loses money, doubles it, or makes it true unproven."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from lienthong.bus.flows import payment_states
from lienthong.bus.flows.payment_states import Standing
from lienthong.core import money

FEE = 150_000
STATES = ("paid", "pending", "failed", "expired", "needs_person", "reversed")


def news(state: str = "paid", **changed: Any) -> money.PaymentNews:
    told = {"reference": "LT0001", "amount_vnd": FEE, "partner": "LGSP", "state": state, **changed}
    return money.PaymentNews.model_validate(told)


WORDS = st.builds(
    news,
    st.sampled_from(STATES),
    amount_vnd=st.sampled_from((FEE, FEE, FEE, FEE - 1, 0, None)),
    currency=st.sampled_from(("VND", "VND", "VND", "USD")),
    partner=st.sampled_from(("LGSP", "LGSP", "", "SOMEBODY")),
    provider_reference=st.sampled_from(("", "N1", "N1", "N2")),
)
# Which attempt, and which word; or an amount to give back.
STEPS = st.lists(st.tuples(st.integers(0, 2), WORDS | st.sampled_from((50_000, 100_000, FEE))), max_size=25)


@dataclass
class Obligation:
    """Attempts to pay one obligation, as the settlement moves them, with nothing else around."""

    attempts: list[Standing] = field(default_factory=lambda: [Standing("pending", FEE) for _ in range(3)])
    paid_by: int | None = None
    proven: list[bool] = field(default_factory=lambda: [False] * 3)
    questions: list[set[str]] = field(default_factory=lambda: [set(), set(), set()])

    def hear(self, n: int, word: money.PaymentNews) -> money.CallbackOutcome:
        is_paid_otherwise = self.paid_by not in (None, n)
        before = replace(self.attempts[n], is_paid_otherwise=is_paid_otherwise)
        verdict = payment_states.judge(before, word)
        self.attempts[n] = verdict.after
        if verdict.question:
            self.questions[n].add(verdict.question)
        if verdict.after.state == "paid" and before.state != "paid":
            self.paid_by = n
        agrees = word.state == "paid" and word.amount_vnd == FEE and word.currency == "VND"
        self.proven[n] |= agrees and word.partner in ("", before.partner or word.partner)
        return verdict.outcome

    def give_back(self, n: int, amount: int) -> None:
        before = self.attempts[n]
        if amount <= payment_states.refundable(before, underway_vnd=0):
            self.attempts[n] = payment_states.after_refund(
                before, amount_vnd=amount, underway_vnd=0, does_count=self.paid_by == n and before.state == "paid"
            )


def told(steps: list[tuple[int, Any]]) -> Obligation:
    obligation = Obligation()
    for n, step in steps:
        if isinstance(step, int):
            obligation.give_back(n, step)
        else:
            obligation.hear(n, step)
    return obligation


@given(STEPS)
@example([(0, news("reversed")), (0, news())])
@example([(0, news("failed")), (0, news("needs_person")), (0, news())])
@example([(0, news()), (1, news()), (0, news("reversed")), (2, news())])
def test_money_is_never_true_without_proof_and_never_twice(steps: list[tuple[int, Any]]) -> None:
    obligation = told(steps)
    counts = [n for n, it in enumerate(obligation.attempts) if it.state in ("paid", "refund_requested")]
    assert len(counts) <= 1
    for n, attempt in enumerate(obligation.attempts):
        assert attempt.received_vnd in (0, FEE)
        assert obligation.proven[n] or attempt.received_vnd == 0
        assert attempt.state not in ("paid", "refunded") or attempt.received_vnd == FEE
        assert 0 <= attempt.refunded_vnd <= attempt.received_vnd
        assert attempt.state != "paid" or attempt.refunded_vnd < FEE
        assert attempt.state != "paid" or not attempt.is_reversed


@given(STEPS)
def test_no_money_is_lost(steps: list[tuple[int, Any]]) -> None:
    obligation = told(steps)
    for n, attempt in enumerate(obligation.attempts):
        if obligation.proven[n]:
            assert attempt.received_vnd == FEE
            assert attempt.state in ("paid", "refunded") or obligation.questions[n]


@given(STEPS, st.integers(0, 2), WORDS)
def test_a_word_said_again_changes_nothing(steps: list[tuple[int, Any]], n: int, word: money.PaymentNews) -> None:
    obligation = told(steps)
    obligation.hear(n, word)
    before, asked = list(obligation.attempts), [set(it) for it in obligation.questions]
    obligation.hear(n, word)
    assert obligation.attempts[n] == replace(before[n], is_paid_otherwise=obligation.attempts[n].is_paid_otherwise)
    assert obligation.questions == asked


@given(st.permutations([news(), news(), news("needs_person"), news(amount_vnd=FEE - 1), news("pending")]))
def test_doubts_before_and_after_the_money_end_the_same(words: list[money.PaymentNews]) -> None:
    obligation = told([(0, word) for word in words])
    assert obligation.attempts[0].state == "paid"
    assert obligation.questions[0] == {"doubtful", "amount_differs"}


@given(st.permutations([news(), news("expired"), news()]))
def test_paid_and_expired_in_any_order_is_never_forgotten(words: list[money.PaymentNews]) -> None:
    obligation = told([(0, word) for word in words])
    assert obligation.attempts[0].received_vnd == FEE
    assert obligation.questions[0] <= {"paid_late", "ended_after_paid"}
    assert obligation.questions[0]
