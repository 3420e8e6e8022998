"""Money is given back once, by the word of two people where it is much; on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import payment_town
import pytest
from payment_town import FEE, Town

from lienthong.bus.flows import payment_records, payment_refund, payment_views, payment_watch
from lienthong.core import errors, money, tables


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with payment_town.opened(tmp_path, database_url, two_people_above_vnd=100_000) as opened:
        yield opened


async def paid(town: Town, **changed: Any) -> payment_views.PaymentView:
    view = await town.start(**changed)
    await town.hear(view)
    return view


async def ask(town: Town, view: payment_views.PaymentView, amount: int | None = None) -> payment_views.RefundView:
    wanted = payment_views.RefundRequest(amount_vnd=amount, reason="Rút hồ sơ", requested_by="ketoan01")
    return await payment_refund.request(town.hub, view.id, wanted, caller=payment_town.caller())


async def refunds(town: Town) -> list[str]:
    return [row["state"] for row in await town.rows(tables.payment_refunds)]


async def test_a_small_refund_goes_at_once_and_the_rest_stays_paid(town: Town) -> None:
    view = await paid(town)
    assert (await ask(town, view, 50_000)).state == "done"
    assert await town.state(view) == "paid"
    assert town.bank.refunds[0].is_whole is False


async def test_a_large_one_waits_for_a_second_person(town: Town) -> None:
    view = await paid(town)
    refund = await ask(town, view)
    assert (refund.state, town.bank.refunds) == ("waiting", [])
    with pytest.raises(errors.NotGranted):
        await payment_refund.approve(town.hub, refund.id, by="KeToan01 ")
    assert (await payment_refund.approve(town.hub, refund.id, by="lanhdao02")).state == "done"
    assert (await town.state(view), town.bank.refunds[0].is_whole) == ("refunded", True)
    (act,) = await town.rows(tables.admin_acts)
    assert (act["actor"], act["act"]) == ("lanhdao02", "payments.refund_approve")
    with pytest.raises(errors.Conflict):
        await payment_refund.approve(town.hub, refund.id, by="lanhdao02")
    with pytest.raises(errors.Conflict):
        await town.start()


async def test_a_large_refund_in_small_parts_needed_nobody_else(town: Town) -> None:
    view = await paid(town)
    states = [(await ask(town, view, amount)).state for amount in (60_000, 40_000, 1_000)]
    assert (states, len(town.bank.refunds)) == (["done", "done", "waiting"], 2)
    other = await paid(town, obligation="khac", amount_vnd=FEE)
    assert (await ask(town, other, 100_000)).state == "done"


async def test_what_the_second_person_declines_is_not_sent(town: Town) -> None:
    view = await paid(town)
    refund = await ask(town, view)
    await payment_refund.decline(town.hub, refund.id, by="lanhdao02", reason="Hồ sơ đã giải quyết")
    assert (await town.state(view), town.bank.refunds) == ("paid", [])


async def test_never_more_than_came_in(town: Town) -> None:
    view = await paid(town)
    await ask(town, view, 90_000)
    for amount in (60_001, FEE):
        with pytest.raises(errors.Conflict):
            await ask(town, view, amount)
    await payment_refund.approve(town.hub, (await ask(town, view, 60_000)).id, by="lanhdao02")
    assert (await town.state(view), await refunds(town)) == ("refunded", ["done", "done"])
    with pytest.raises(errors.Conflict):
        await ask(town, view, 1)


async def test_money_that_went_back_unasked_is_not_given_back_a_second_time(town: Town) -> None:
    # It could be: the payer would have had it twice, were it not for the intermediary's own care.
    view = await paid(town)
    refund = await ask(town, view)
    await town.hear(view, state="reversed")
    with pytest.raises(errors.Conflict):
        await payment_refund.approve(town.hub, refund.id, by="lanhdao02")
    await payment_refund.decline(town.hub, refund.id, by="lanhdao02", reason="trung gian đã tự hoàn")
    with pytest.raises(errors.Conflict):
        await ask(town, view, 50_000)
    assert town.bank.refunds == []


async def test_two_waiting_refunds_cannot_promise_the_same_money(town: Town) -> None:
    view = await paid(town)
    await ask(town, view)
    with pytest.raises(errors.Conflict):
        await ask(town, view, 1)


async def test_unpaid_money_is_not_given_back(town: Town) -> None:
    with pytest.raises(errors.Conflict):
        await ask(town, await town.start())


async def test_a_refund_nobody_knows_of_is_never_sent_again_without_a_person(town: Town) -> None:
    view = await paid(town)
    town.bank.gives_back = errors.OutcomeUnknown(system="vnpay")
    refund = await ask(town, view, 50_000)
    for _ in range(3):
        town.wait(hours=1)
        await payment_watch.run(town.hub)
    assert (len(town.bank.refunds), await refunds(town)) == (1, ["with_person"])
    assert (await town.state(view), await town.questions()) == ("refund_requested", ["refund_unknown"])
    await payment_refund.resolve(
        town.hub, refund.id, outcome="refused", by="ketoan01", reason="Đã hỏi trung gian: chưa hoàn"
    )
    assert await town.state(view) == "paid"
    town.bank.gives_back = money.RefundNews(state="done")
    assert (await ask(town, view, 50_000)).state == "done"


async def test_a_refund_that_certainly_did_not_arrive_is_sent_by_the_watch(town: Town) -> None:
    view = await paid(town)
    town.bank.gives_back = errors.RemoteUnavailable(system="vnpay")
    assert (await ask(town, view, 50_000)).state == "ready"
    town.bank.gives_back = money.RefundNews(state="done")
    town.wait(minutes=30)
    await payment_watch.run(town.hub)
    assert (await refunds(town), await town.state(view)) == (["done"], "paid")


@pytest.mark.parametrize(
    ("answer", "state", "question"),
    [
        (money.RefundNews(state="already"), "with_person", ["refunded_twice"]),
        (errors.NotOffered(system="vnpay"), "with_person", ["refund_by_hand"]),
        (errors.RemoteUnavailable(system="vnpay", outcome_uncertain=True), "with_person", ["refund_unknown"]),
        (errors.RemoteRefused(system="vnpay"), "refused", []),
        (money.RefundNews(state="refused"), "refused", []),
        (money.RefundNews(state="accepted"), "accepted", []),
    ],
)
async def test_every_answer_ends_in_a_stated_state(
    town: Town, answer: Any, state: str, question: list[str]
) -> None:
    view = await paid(town)
    town.bank.gives_back = answer
    assert (await ask(town, view, 50_000)).state == state
    assert await town.questions() == question


async def test_money_paid_twice_goes_back_and_the_obligation_stays_paid(town: Town) -> None:
    first, second = await town.start(), await town.start(provider="momo")
    await town.hear(first)
    await town.hear(second)
    refund = await ask(town, second)
    await payment_refund.approve(town.hub, refund.id, by="lanhdao02")
    assert (await town.state(first), await town.state(second)) == ("paid", "refunded")
    (obligation,) = await town.rows(tables.obligations)
    assert (obligation["state"], obligation["paid_by"]) == ("paid", first.id)


async def test_the_word_of_a_reversal_that_was_asked_for_is_no_contradiction(town: Town) -> None:
    view = await paid(town)
    await ask(town, view, 50_000)
    assert await town.hear(view, state="reversed") == "already"
    assert (await town.state(view), await town.questions()) == ("paid", [])


async def test_a_refund_whose_process_died_is_for_a_person(town: Town) -> None:
    view = await paid(town)
    town.bank.refund = _die  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        await ask(town, view, 50_000)
    town.wait(minutes=11)
    await payment_watch.run(town.hub)
    (question,) = await payment_records.questions(town.hub)
    assert (question["kind"], question["amount_vnd"]) == ("refund_unknown", 50_000)


async def _die(order: money.RefundOrder) -> money.RefundNews:
    raise RuntimeError("the process dies here")
