"""Anything may happen to payments in any order: the real flows, over a hub, and a bank with a book of its own.

Money is never true without proof, twice or forgotten; nothing goes backwards; in the end both books agree.
`ORDERS` says how many orders are tried (`make proofs`: hundreds).
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import honest_bank
import payment_town
import pytest
import statement_files
from honest_bank import Account, Bank
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from payment_town import FEE

from lienthong.bus.flows import payment, payment_desk, payment_refund, payment_watch
from lienthong.core import errors, money, tables

ORDERS = int(os.environ.get("ORDERS", "14"))
T = TypeVar("T")
Row = dict[str, Any]
_COUNTS = ("paid", "refund_requested", "refunded")
_ENDED = ("done", "refused", "declined")
# What a hub may answer to a person or a caller who asks for what cannot be.
_REFUSALS = (errors.CallerError, errors.RemoteError)
WHICH = st.integers(0, 3)  # of those that there are


WRONG = ({"amount_vnd": FEE * 10}, {"amount_vnd": None}, {"currency": "USD"}, {"partner": "SOMEBODY"})
STARTS = st.sampled_from(("well", "well", *get_args(honest_bank.Starting)))
AMOUNTS = st.sampled_from((None, None, 50_000, 100_000, FEE, FEE + 1))
PEOPLE = st.sampled_from(("An", "Bình", "Bình"))
GIVING = st.sampled_from(get_args(honest_bank.Giving))
# What may happen: a method, how likely it is beside the others, and what it is given.
MOVES: tuple[tuple[str, int, dict[str, st.SearchStrategy[Any]]], ...] = (
    ("pay", 4, {"which": WHICH, "amount": st.sampled_from((FEE, FEE, FEE, FEE - 1)), "is_told": st.booleans()}),
    ("ask_back", 5, {"which": WHICH, "amount": AMOUNTS, "giving": GIVING}),
    ("pay_again", 1, {"which": WHICH, "is_told": st.booleans()}),
    ("begin", 1, {"which": st.integers(0, 2), "starting": STARTS}),
    ("end", 1, {"which": WHICH, "state": st.sampled_from(("failed", "expired", "pending", "needs_person"))}),
    ("reverse", 1, {"which": WHICH, "is_told": st.booleans()}),
    ("call_back", 3, {"which": WHICH, "word": st.integers(-3, -1), "times": st.integers(1, 2)}),
    ("contradict", 2, {"which": WHICH, "wrong": st.sampled_from(WRONG)}),
    ("forge", 1, {"which": WHICH, "how": st.sampled_from(("signature", "contract", "reference"))}),
    ("time_passes", 3, {"minutes": st.sampled_from((1, 16, 40, 700, 4_000)), "is_reachable": st.booleans()}),
    ("ask_now", 3, {"which": WHICH}),
    ("hand_in_a_report", 1, {"which": st.integers(0, 2)}),
    ("decide", 4, {"which": WHICH, "is_approved": st.sampled_from((True, True, False)), "by": PEOPLE}),
    ("bank_finishes", 1, {"which": WHICH, "well": st.booleans()}),
    ("find_out", 1, {"which": WHICH}),
    ("close_question", 1, {"which": WHICH}),
)
GIVEN = {name: st.fixed_dictionaries(drawn) for name, _, drawn in MOVES}
# One rule with all of it, and not a rule for each: hypothesis leaves out rules at random, and much needs three.
STEPS = st.sampled_from([name for name, times, _ in MOVES for _ in range(times)]).flatmap(
    lambda name: st.tuples(st.just(name), GIVEN[name])
)


class Payments(RuleBasedStateMachine):
    """One dossier that owes a fee, three intermediaries, a payer who tries everything, messages in any order."""

    def __init__(self) -> None:
        super().__init__()
        self._loop, self._open = asyncio.Runner(), AsyncExitStack()
        self.before: dict[str, Row] = {}
        self.questions: dict[str, Row] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run(work)

    @initialize()
    def open(self) -> None:
        self.run(self._opened())

    async def _opened(self) -> None:
        home = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="orders-")))
        plain = await self._open.enter_async_context(payment_town.opened(home, two_people_above_vnd=100_000))
        self.banks = (Bank(tells_refunds=True), Bank(name="momo"), Bank(name="paygov", is_askable=False))
        systems = {**plain.hub.systems, **{bank.name: bank for bank in self.banks}}
        hub = dataclasses.replace(plain.hub, systems=systems)
        self.town = dataclasses.replace(plain, hub=hub, bank=self.banks[0], other=self.banks[1])
        # A payer who has begun twice: from here on anything may happen.
        for bank in self.banks:
            await self.town.start(provider=bank.name)

    def teardown(self) -> None:
        try:
            if hasattr(self, "town"):
                self.run(self._last_days())
                self.run(self._judge())
        finally:
            self.run(self._open.aclose())
            self._loop.close()

    # ------------------------------------------------------------------------------------------ who is meant

    @property
    def accounts(self) -> list[Account]:
        return [account for bank in self.banks for account in bank.accounts.values()]

    def account(self, which: int, fitting: Callable[[Account], bool] = lambda account: True) -> Account:
        """Choose among those with whom it can happen, or where there is none among all: then it is refused."""
        chosen = [it for it in self.accounts if fitting(it)] or self.accounts
        return chosen[which % len(chosen)]

    async def row(self, account: Account) -> Row:
        (found,) = [it for it in await self.town.rows(tables.payments) if it["reference"] == account.reference]
        return found

    def refunds(self, *states: str) -> list[Row]:
        return [it for it in self.before.values() if "request_number" in it and it["state"] in states]

    def open_questions(self) -> list[Row]:
        return [it for it in self.questions.values() if it["closed_at"] is None]

    @rule(step=STEPS)
    def then(self, step: tuple[str, dict[str, Any]]) -> None:
        name, given = step
        getattr(self, name)(**given)

    # ------------------------------------------------------------------------------------ what payers and banks do

    def begin(self, which: int, starting: honest_bank.Starting) -> None:
        self.banks[which].starting = starting
        with suppress(*_REFUSALS):
            self.run(self.town.start(provider=self.banks[which].name))

    def pay(self, which: int, amount: int, is_told: bool) -> None:
        self._pay(self.account(which, lambda it: not it.transactions), amount, is_told=is_told)

    def pay_again(self, which: int, is_told: bool) -> None:
        self._pay(self.account(which, lambda it: len(it.transactions) == 1), FEE, is_told=is_told)

    def _pay(self, account: Account, amount: int, *, is_told: bool) -> None:
        if len(account.transactions) < 2 and not account.is_reversed:
            account.pay(amount)
            if is_told:
                self._heard(account, account.words[-1])

    def end(self, which: int, state: str) -> None:
        if not self.account(which).transactions:
            self.account(which).say(state)

    def reverse(self, which: int, is_told: bool) -> None:
        """The bank takes the money out again, and nobody had asked for it."""
        account = self.account(which, lambda it: it.transactions == [FEE])
        # While a refund is on its way, the word of a reversal is taken for that refund's own.
        is_asked = self.run(self.row(account))["state"] in ("refund_requested", "refunded")
        if account.transactions == [FEE] and not account.refunds and not is_asked:
            account.is_reversed = True
            account.say("reversed")
            if is_told:
                self._heard(account, account.words[-1])

    # ------------------------------------------------------------------------------------------ what is heard

    def call_back(self, which: int, word: int, times: int) -> None:
        """Tell the newest word, or an old one that comes late, once or twice."""
        account = self.account(which, lambda it: bool(it.words))
        for _ in range(times if account.words else 0):
            told = account.words[max(word, -len(account.words))]
            assert self._heard(account, told) in ("recorded", "already", "amount_differs")

    def _heard(self, account: Account, news: money.PaymentNews, **changed: Any) -> str:
        reply = self.run(payment.callback(self.town.hub, account.bank.name, payment_town.signed(news, **changed)))
        return reply.body.decode()

    def contradict(self, which: int, wrong: dict[str, Any]) -> None:
        """A signed message tells of a payment that was never made so."""
        account = self.account(which)
        if account.told:
            self._heard(account, account.bank.news(account.reference, **wrong))

    def forge(self, which: int, how: str) -> None:
        account = self.account(which)
        said, signature, bank = account.bank.news(account.reference), None, account.bank
        if how == "signature":
            signature = "0" * 64
        elif how == "contract":
            bank = self.banks[account.bank is self.banks[0]]
        else:
            said = bank.news("LT26011509000000AAAA")
        before = self.run(self._book())
        request = payment_town.signed(said, signature=signature)
        reply = self.run(payment.callback(self.town.hub, bank.name, request))
        assert reply.body.decode() in ("forged", "unknown_reference")
        assert self.run(self._book()) == before

    async def _book(self) -> list[list[Row]]:
        names = (tables.payments, tables.obligations, tables.payment_questions, tables.payment_refunds)
        return [await self.town.rows(table) for table in names]

    def time_passes(self, minutes: int, is_reachable: bool) -> None:
        self.town.wait(minutes=minutes)
        for bank in self.banks:
            bank.is_reachable = is_reachable
        self.run(payment_watch.run(self.town.hub))

    def ask_now(self, which: int) -> None:
        """A person has the intermediary asked, whatever became of the payment since."""
        self.run(self._ask(self.account(which, lambda it: bool(it.refunds))))

    async def _ask(self, account: Account) -> None:
        with suppress(*_REFUSALS, errors.NotOffered):
            await payment_desk.ask(self.town.hub, account.reference)

    def hand_in_a_report(self, which: int) -> None:
        """The intermediary's report of all that it took: no proof of anything, but a reason to ask."""
        bank = self.banks[which]
        taken = [
            statement_files.line(it.reference, f"N{number}{it.reference[-6:]}", amount, at=self.town.hub.now())
            for it in bank.accounts.values()
            for number, amount in enumerate(it.transactions, start=1)
        ]
        if taken:
            raw = statement_files.as_csv(taken)
            self.run(statement_files.take(self.town, raw, provider=bank.name, since=None, until=None))

    # --------------------------------------------------------------------------------------- money given back

    def ask_back(self, which: int, amount: int | None, giving: honest_bank.Giving) -> None:
        account = self.account(which, lambda it: it.is_proven)
        account.bank.giving = giving
        with suppress(*_REFUSALS):
            number = self.run(self.row(account))["id"]
            self.run(
                payment_refund.request_at_desk(
                    self.town.hub, number, amount_vnd=amount, reason="Rút hồ sơ", by="An"
                )
            )

    def decide(self, which: int, is_approved: bool, by: str) -> None:
        refund = _one(self.refunds("waiting") or self.refunds(*_ENDED), which)
        if refund is None:
            return
        with suppress(*_REFUSALS):
            if is_approved:
                self.run(payment_refund.approve(self.town.hub, refund["id"], by=by))
                assert by != refund["requested_by"]
            else:
                self.run(payment_refund.decline(self.town.hub, refund["id"], by=by, reason="không đủ căn cứ"))

    def bank_finishes(self, which: int, well: bool) -> None:
        if refund := _one(self.refunds("accepted"), which):
            [bank] = [it for it in self.banks if refund["request_number"] in it.given_back]
            bank.finish(refund["request_number"], well=well)

    def find_out(self, which: int) -> None:
        """A person asks the bank by telephone how a refund ended, and writes it down."""
        if refund := _one(self.refunds("with_person", "accepted"), which):
            self.run(self._found_out(refund))

    async def _found_out(self, refund: Row) -> None:
        [account] = [it for it in self.accounts if it.reference == self.before[refund["payment_id"]]["reference"]]
        outcome = account.bank.tell(account, refund["request_number"], refund["amount_vnd"])
        if outcome == "accepted":
            return
        said: Any = {"outcome": outcome, "by": "Bình", "reason": "đã hỏi ngân hàng"}
        await payment_refund.resolve(self.town.hub, refund["id"], **said)

    def close_question(self, which: int) -> None:
        """A person looks at the bank's book and accepts what really came in, or notes the rest."""
        row = _one(self.open_questions(), which)
        if row is None:
            return
        reference = self.before[row["payment_id"]]["reference"]
        [account] = [it for it in self.accounts if it.reference == reference] or [None]
        is_true = account is not None and account.has_fee and not account.is_reversed
        decision: Literal["accept", "noted"] = "accept" if is_true else "noted"
        with suppress(errors.Conflict):
            wanted = {"decision": decision, "by": "Bình", "reason": "đã đối chiếu"}
            self.run(payment_refund.close_question(self.town.hub, row["id"], **wanted))

    # -------------------------------------------------------------------------------------- what always holds

    @invariant()
    def money_is_true_by_proof_only_and_nothing_goes_backwards(self) -> None:
        if hasattr(self, "town"):
            self.run(self._check())

    async def _check(self) -> None:
        assert [it for bank in self.banks for it in bank.outrages] == []
        accounts = {it.reference: it for it in self.accounts}
        looked_at = (tables.payments, tables.payment_refunds, tables.obligations)
        payments, refunds, obligations = [
            {row["id"]: row for row in await self.town.rows(table)} for table in looked_at
        ]
        for row in payments.values():
            account = accounts.get(row["reference"])
            assert row["received_vnd"] == (FEE if account is not None and account.is_proven else 0)
            assert row["state"] not in _COUNTS or row["received_vnd"]
            assert not row["reversed"] or (account is not None and account.is_reversed)
            sums = Counter[str]()
            for refund in refunds.values():
                sums[refund["state"]] += refund["amount_vnd"] * (refund["payment_id"] == row["id"])
            assert row["refunded_vnd"] == sums["done"] <= FEE
            assert sum(sums.values()) - sums["refused"] - sums["declined"] <= row["received_vnd"]
        self._refunds_ended_by_proof_only(refunds.values())
        for number, row in {**payments, **refunds, **obligations}.items():
            _not_backwards(self.before.get(number), row)
        for row in obligations.values():
            counting = [it["id"] for it in payments.values() if it["state"] in _COUNTS and it["received_vnd"]]
            assert [row["paid_by"]] == counting or not {*counting} - {row["paid_by"]} - _beside(payments)
        self.before = {**payments, **refunds, **obligations}
        asked = {row["id"]: row for row in await self.town.rows(tables.payment_questions)}
        assert self.questions.keys() <= asked.keys()
        self.questions = asked

    def _refunds_ended_by_proof_only(self, refunds: Iterable[Row]) -> None:
        heard = {number for bank in self.banks for number in bank.heard_done}
        known = {number: it.state for bank in self.banks for number, it in bank.given_back.items()}
        for row in refunds:
            assert row["state"] != "done" or row["request_number"] in heard
            assert row["state"] != "refused" or known.get(row["request_number"], "refused") == "refused"

    # ------------------------------------------------------------------------------------------------ the end

    async def _last_days(self) -> None:
        """Let every refund be approved and end, every word and every answer come late, and people find out."""
        for bank in self.banks:
            bank.is_reachable, bank.giving = True, "done"
            for number in bank.given_back:
                bank.finish(number, well=True)
        for refund in await self.town.rows(tables.payment_refunds):
            if refund["state"] == "waiting":
                with suppress(*_REFUSALS):
                    await payment_refund.approve(self.town.hub, refund["id"], by="Bình")
        await self._check()
        for account in self.accounts:
            for word in account.words:
                await payment.callback(self.town.hub, account.bank.name, payment_town.signed(word))
            await self._ask(account)
        for _ in range(6):
            self.town.wait(days=1)
            await payment_watch.run(self.town.hub)
        for refund in await self.town.rows(tables.payment_refunds):
            if refund["state"] in ("with_person", "accepted"):
                await self._found_out(refund)
        await self._check()

    async def _judge(self) -> None:
        """Hold both books together: sums by bank and state, and a list on which everything odd stands."""
        payments = {it["reference"]: it for it in await self.town.rows(tables.payments)}
        asked = {(it["payment_id"], it["kind"]) for it in await self.town.rows(tables.payment_questions)}
        for bank in self.banks:
            ours = [it for it in payments.values() if it["provider"] == bank.name]
            came = [it for it in bank.accounts.values() if it.has_fee]
            assert sum(it["received_vnd"] for it in ours) == FEE * len(came)
            assert sum(it["refunded_vnd"] for it in ours) == sum(it.given_back_vnd for it in came)
        for account in self.accounts:
            _agrees(account, payments[account.reference], asked)
        [*owed] = await self.town.rows(tables.obligations)
        assert {it["paid_by"] for it in owed} <= {
            None,
            *(it["id"] for it in payments.values() if it["received_vnd"]),
        }
        told = Counter(
            it["subject"] for it in await self.town.events("payments.paid") if it["facts"]["how"] != "person"
        )
        assert all(times == 1 for times in told.values())
        refunds = await self.town.rows(tables.payment_refunds)
        assert {it["state"] for it in refunds} <= {*_ENDED, "waiting"}


def _one(rows: list[Row], which: int) -> Row | None:
    return rows[which % len(rows)] if rows else None


def _beside(payments: dict[str, Row]) -> set[str]:
    """Give attempts whose money never counted: it went back, or is on its way."""
    return {it["id"] for it in payments.values() if it["state"] in ("refund_requested", "refunded")}


def _not_backwards(before: Row | None, after: Row) -> None:
    if before is None:
        return
    for name in ("received_vnd", "refunded_vnd"):
        assert after.get(name, 0) >= before.get(name, 0)
    for name in ("closed_at", "paid_at", "settled_by", "paid_by", "paid_reference", "finished_at", "approved_by"):
        assert before.get(name) in (None, "", after.get(name)), name
    if before["state"] in _ENDED or before["state"] == "refunded":
        assert after["state"] == before["state"]
    if before.get("received_vnd"):
        assert after["state"] in (*_COUNTS, "needs_person")
    elif before["state"] != "created":
        assert after["state"] != "created"


def _agrees(account: Account, row: Row, asked: set[tuple[str, str]]) -> None:
    """Hold one attempt against the bank's account of it."""
    kinds = {kind for number, kind in asked if number == row["id"]}
    if len(account.transactions) == 2 and account.transactions[0] == FEE:
        assert kinds & {"paid_twice", "amount_differs"}
    if FEE - 1 in account.transactions:
        assert "amount_differs" in kinds
    if account.is_ended_after_paid:
        assert "ended_after_paid" in kinds
    if account.is_reversed:
        assert kinds & {"reversed", "paid_after_reversed"}
        assert row["state"] in ("needs_person", "refunded")
    if row["state"] == "needs_person":
        assert kinds
    if row["state"] in ("created", "pending"):
        assert "silent" in kinds
        assert not account.has_fee


@pytest.mark.hypothesis
def test_no_order_of_what_may_happen_loses_doubles_or_invents_money() -> None:
    Payments.TestCase.settings = settings(
        max_examples=ORDERS,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=[*HealthCheck],
    )
    Payments.TestCase().runTest()
