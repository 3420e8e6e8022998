"""A dossier's fee is paid, by whatever messages in whatever order; on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import payment_town
import pytest
from payment_town import CODE, FEE, Town

from lienthong.bus.flows import dossier_status, payment, payment_records, payment_refund, payment_watch
from lienthong.core import errors, money, tables


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with payment_town.opened(tmp_path, database_url) as opened:
        yield opened


# ---------------------------------------------------------------------------------------------- beginning


async def test_the_payer_is_sent_to_pay_what_the_dossier_declares(town: Town) -> None:
    view = await town.start()
    assert (view.state, view.amount_vnd, view.provider) == ("pending", FEE, "vnpay")
    assert view.pay_url == f"https://pay.example.vn/{view.reference}"
    assert town.bank.orders[0].lines[0].amount_vnd == FEE


async def test_an_attempt_that_can_still_be_paid_is_the_answer_again(town: Town) -> None:
    first = await town.start()
    again = await town.start()
    assert (again.id, again.repeated, again.pay_url) == (first.id, True, first.pay_url)
    assert len(town.bank.orders) == 1


async def test_another_intermediary_is_another_attempt(town: Town) -> None:
    assert (await town.start()).id != (await town.start(provider="momo")).id


async def test_a_dossier_without_fees_owes_nothing(town: Town) -> None:
    free = payment_town.dossier(fees=[])
    await dossier_status.put(town.hub, free, caller=payment_town.caller(), request_id="r")
    with pytest.raises(errors.Conflict) as refused:
        await town.start()
    assert "không phải nộp" in refused.value.detail("vi")


async def test_lines_that_do_not_add_up_are_refused(town: Town) -> None:
    line = {"kind": "fee", "name": "Phí", "amount_vnd": 1000}
    with pytest.raises(errors.InvalidRequest):
        await town.start(amount_vnd=2000, lines=[line])


async def test_a_dossier_that_nobody_declared_is_not_paid(town: Town) -> None:
    with pytest.raises(errors.InvalidRequest) as refused:
        await town.start(dossier_code="000.00.00.H38-260115-0099")
    assert refused.value.problems[0].field == "dossier_code"


async def test_the_dossier_of_somebody_else_is_not_paid(town: Town) -> None:
    request = (await town.start()).id
    with pytest.raises(errors.NotFound):
        await payment.get(town.hub, request, caller=payment_town.caller("Sở Y tế"))


async def test_a_refusal_leaves_a_failed_attempt_and_the_next_may_try(town: Town) -> None:
    town.bank.starts = errors.RemoteRefused(system="vnpay")
    with pytest.raises(errors.RemoteRefused):
        await town.start()
    town.bank.starts = None
    assert (await town.start()).state == "pending"
    assert sorted(row["state"] for row in await town.rows(tables.payments)) == ["failed", "pending"]


async def test_after_silence_the_intermediary_is_asked_before_anything_is_said(town: Town) -> None:
    town.bank.starts = errors.OutcomeUnknown(system="vnpay")
    view = await town.start()
    assert (view.state, view.pay_url, town.bank.asked) == ("pending", "", 1)


async def test_an_attempt_whose_process_died_is_asked_about(town: Town) -> None:
    town.bank.starts = asyncio.CancelledError()  # type: ignore[assignment]
    with pytest.raises(asyncio.CancelledError):
        await town.start()
    town.wait(minutes=3)
    await payment_watch.run(town.hub)
    (row,) = await town.rows(tables.payments)
    assert (row["state"], town.bank.asked) == ("pending", 1)


# ------------------------------------------------------------------------------------------- money is true


async def test_a_callback_pays_and_the_dossier_carries_the_mark(town: Town) -> None:
    view = await town.start()
    assert await town.hear(view) == "recorded"
    paid = await payment.get(town.hub, view.id, caller=payment_town.caller())
    assert (paid.state, paid.settled_by, paid.pay_url) == ("paid", "callback", "")
    assert (await town.dossier()).online_payment == "other_gateway"
    assert len(await town.events("payments.paid")) == 1


async def test_the_mark_stays_when_the_dossier_is_declared_anew(town: Town) -> None:
    await town.hear(await town.start())
    anew = payment_town.dossier(summary="Nội dung mới")
    await dossier_status.put(town.hub, anew, caller=payment_town.caller(), request_id="r")
    assert (await town.dossier()).online_payment == "other_gateway"


async def test_the_same_callback_fifty_times_at_once_pays_once(town: Town) -> None:
    view = await town.start()
    answers = await asyncio.gather(*(town.hear(view) for _ in range(50)))
    assert sorted(answers) == ["already"] * 49 + ["recorded"]
    assert len(await town.events("payments.paid")) == 1
    assert len(await town.rows(tables.payment_messages)) == 50


async def test_a_query_pays_what_the_callback_did_not_tell(town: Town) -> None:
    view = await town.start()
    town.bank.says = town.bank.news(view.reference)
    town.wait(minutes=14)
    assert (await payment_watch.run(town.hub)).asked == 0
    town.wait(minutes=2)
    assert (await payment_watch.run(town.hub)).asked == 1
    assert await town.state(view) == "paid"
    assert await town.hear(view) == "already"


async def test_a_forged_callback_changes_nothing_and_is_an_event(town: Town) -> None:
    view = await town.start()
    forged = payment_town.signed(town.bank.news(view.reference), signature="0" * 64)
    assert (await payment.callback(town.hub, "vnpay", forged)).body == b"forged"
    assert await town.state(view) == "pending"
    (event,) = await town.events("callbacks.forged")
    (kept,) = await town.rows(tables.payment_messages)
    assert (kept["verdict"], event["facts"]["message"]) == ("forged", kept["id"])
    assert forged.body in town.hub.vault.open(kept["body"], purpose="callback")


async def test_a_callback_of_another_intermediary_does_not_pay(town: Town) -> None:
    view = await town.start()
    foreign = payment_town.signed(town.other.news(view.reference))
    assert (await payment.callback(town.hub, "momo", foreign)).body == b"unknown_reference"
    assert await town.state(view) == "pending"


async def test_nobody_else_calls_back(town: Town) -> None:
    for contract in ("dvcqg_adapter", "ems", "nothing"):
        with pytest.raises(errors.NotFound):
            await payment.callback(town.hub, contract, payment_town.signed(town.bank.news("LT000000")))


async def test_odd_words_around_a_callback_are_kept_all_the_same(town: Town) -> None:
    request = money.CallbackRequest(
        name="i\0pn" * 50, method="G\ud800T", query="a=\udcff\0", headers={"content-type": "\0"}, body=b"\0\xff"
    )
    assert (await payment.callback(town.hub, "vnpay", request)).body == b"forged"
    assert len(await town.rows(tables.payment_messages)) == 1


async def test_what_is_paid_cannot_be_begun_again(town: Town) -> None:
    await town.hear(await town.start())
    with pytest.raises(errors.Conflict) as refused:
        await town.start()
    assert refused.value.facts["reason"] == "obligation_paid"
    assert (await town.start(obligation="copies", amount_vnd=20_000)).state == "pending"


# --------------------------------------------------------------------------------------- contradictions


async def test_another_amount_does_not_pay_but_the_intermediary_itself_is_asked(town: Town) -> None:
    view = await town.start()
    assert await town.hear(view, amount_vnd=FEE - 1) == "amount_differs"
    assert await town.hear(view, amount_vnd=FEE - 1) == "amount_differs"
    assert (await town.state(view), await town.questions()) == ("needs_person", ["amount_differs"])
    town.bank.says = town.bank.news(view.reference)
    town.wait(minutes=2)
    await payment_watch.run(town.hub)
    assert (await town.state(view), await town.questions()) == ("paid", ["amount_differs"])


async def test_money_that_comes_after_the_end_waits_for_a_person_who_accepts_it(town: Town) -> None:
    view = await town.start()
    await town.hear(view, state="expired")
    assert await town.hear(view) == "recorded"
    assert await town.hear(view) == "already"
    assert (await town.state(view), await town.questions()) == ("needs_person", ["paid_late"])
    (question,) = await payment_records.questions(town.hub)
    await payment_refund.close_question(
        town.hub, question["id"], decision="accept", by="ketoan01", reason="Đã đối chiếu sao kê"
    )
    assert await town.state(view) == "paid"
    assert not await payment_records.questions(town.hub)


async def test_paid_by_two_attempts_counts_once_and_the_second_is_for_a_person(town: Town) -> None:
    first, second = await town.start(), await town.start(provider="momo")
    await asyncio.gather(town.hear(first), town.hear(second))
    states = sorted([await town.state(first), await town.state(second)])
    assert (states, await town.questions()) == (["needs_person", "paid"], ["paid_twice"])
    (question,) = await payment_records.questions(town.hub)
    with pytest.raises(errors.Conflict):
        await payment_refund.close_question(
            town.hub, question["id"], decision="accept", by="ketoan01", reason="Nhầm lẫn"
        )
    assert len(await payment_records.questions(town.hub)) == 1


async def test_failed_after_paid_stays_paid_and_is_on_the_list(town: Town) -> None:
    view = await town.start()
    await town.hear(view)
    await town.hear(view, state="failed")
    assert (await town.state(view), await town.questions()) == ("paid", ["ended_after_paid"])


async def test_money_that_went_back_unasked_counts_no_longer(town: Town) -> None:
    view = await town.start()
    await town.hear(view)
    await town.hear(view, state="reversed")
    assert await town.hear(view) == "already"
    assert (await town.state(view), await town.questions()) == ("needs_person", ["reversed"])
    with pytest.raises(errors.Conflict):
        await town.start()


# ------------------------------------------------------------------------------------------------- watch


async def test_where_nobody_can_be_asked_an_attempt_runs_out_by_itself(town: Town) -> None:
    view = await town.start()
    town.bank.says = errors.NotOffered(system="vnpay")
    town.wait(minutes=16)
    await payment_watch.run(town.hub)
    assert await town.state(view) == "pending"
    town.wait(minutes=60)
    await payment_watch.run(town.hub)
    assert await town.state(view) == "expired"


async def test_a_day_of_silence_is_an_alert_once(town: Town) -> None:
    view = await town.start()
    town.bank.says = errors.RemoteUnavailable(system="vnpay")
    for _ in range(3):
        town.wait(hours=13)
        await payment_watch.run(town.hub)
    assert (await town.state(view), len(await town.events("payments.silent"))) == ("pending", 1)
    assert await town.questions() == ["silent"]


async def test_a_receipt_is_fetched_apart_and_tried_again(town: Town) -> None:
    view = await town.start()
    town.bank.prints = errors.RemoteUnavailable(system="vnpay")
    await town.hear(view)
    assert (await payment_watch.run(town.hub)).receipts == 0
    town.bank.prints = money.ReceiptFile(content=b"%PDF-1.4 receipt")
    town.wait(hours=1)
    assert (await payment_watch.run(town.hub)).receipts == 1
    found = await payment_watch.receipt(town.hub, view.id, caller=payment_town.caller())
    assert (found.content_base64, town.bank.receipts) == ("JVBERi0xLjQgcmVjZWlwdA==", 2)


async def test_there_is_no_receipt_before_there_is_money(town: Town) -> None:
    view = await town.start()
    with pytest.raises(errors.NotFound):
        await payment_watch.receipt(town.hub, view.id, caller=payment_town.caller())


async def test_who_pays_stands_nowhere_in_plain_text(town: Town) -> None:
    view = await town.start()
    await town.hear(view)
    for table in (tables.payments, tables.payment_messages, tables.events, tables.obligations):
        assert "Nguyễn Văn Mẫu" not in str(await town.rows(table))
    assert CODE in str(await town.rows(tables.payments))
