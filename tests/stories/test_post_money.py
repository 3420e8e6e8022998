"""Cash on delivery becomes true once, by the carrier's own word, and waybills are used once; on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import payment_town
import post_town
import pytest
from post_town import CODE, FEE, Town

from lienthong.bus.flows import payment, payment_records, payment_views, payment_watch, postal_pool
from lienthong.core import errors, money, tables

UNKNOWN = errors.OutcomeUnknown(system="ems")


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with post_town.opened(tmp_path, database_url, pooled=("ems",), low_numbers=1) as opened:
        numbers = [f"EM{number:09d}VN" for number in range(5)]
        await postal_pool.put(opened.hub, "ems", numbers, by="canbo01", reason="Dải mới")
        yield opened


async def obligation(town: Town) -> str:
    (row,) = await town.rows(tables.obligations)
    return str(row["state"])


# ---------------------------------------------------------------------------------------------- cash on delivery


async def test_cash_that_the_carrier_collected_pays_the_obligation_once(town: Town) -> None:
    view = await town.book(cod_vnd=FEE)
    assert ((await town.payment(view))["state"], await obligation(town)) == ("pending", "owed")
    for number in range(3):
        await town.happens(view, "delivered", cod_collected_vnd=FEE, event_id=f"d{number}")
    paid = await town.payment(view)
    assert (paid["state"], paid["received_vnd"], paid["settled_by"]) == ("paid", FEE, "carrier")
    assert (await obligation(town), len(await town.events("payments.paid"))) == ("paid", 1)
    assert not await town.questions(tables.payment_questions)
    dossier = await town.dossier()
    assert (dossier["status"], dossier["record"].online_payment) == ("returned", "none")
    shown = await payment.get(town.hub, view.payment_id or "", caller=payment_town.caller())
    assert (shown.state, shown.provider) == ("paid", "ems")


async def test_the_proof_of_the_cash_is_kept_sealed(town: Town) -> None:
    view = await town.book(cod_vnd=FEE)
    await town.happens(view, "delivered", cod_collected_vnd=FEE)
    (row,) = await town.rows(tables.parcel_events)
    opened = money.ParcelEvent.model_validate_json(town.hub.vault.open(row["record"], purpose="parcel_event"))
    assert (opened.cod_collected_vnd, str(FEE).encode() in row["record"]) == (FEE, False)


async def test_another_amount_does_not_pay_and_is_for_a_person(town: Town) -> None:
    view = await town.book(cod_vnd=FEE)
    await town.happens(view, "delivered", cod_collected_vnd=FEE - 1000)
    assert (await obligation(town), await town.questions(tables.payment_questions)) == ("owed", ["amount_differs"])
    assert (await town.payment(view))["state"] == "needs_person"
    assert (await town.dossier())["status"] == "returned"


async def test_a_call_alone_moves_no_money_until_the_carrier_is_asked(town: Town) -> None:
    town.carrier.has_feed = False
    view = await town.book(cod_vnd=FEE)
    event = town.event(view, "delivered", cod_collected_vnd=FEE)
    assert await town.call(event) == "recorded"
    assert ((await town.see(view)).state, await obligation(town)) == ("delivered", "owed")
    town.carrier.events = [event.model_copy(update={"cod_collected_vnd": None})]
    await town.watch()
    assert (await obligation(town), (await town.payment(view))["received_vnd"]) == ("paid", FEE)


async def test_a_call_whose_delivery_the_carrier_does_not_confirm_pays_nothing(town: Town) -> None:
    town.carrier.has_feed = False
    view = await town.book(cod_vnd=FEE)
    await town.call(town.event(view, "delivered", cod_collected_vnd=FEE))
    await town.watch()
    assert await obligation(town) == "owed"
    town.wait(days=4)
    await town.watch()
    assert await town.questions(tables.payment_questions) == ["cod_silent"]


async def test_sent_back_ends_the_attempt_and_the_fee_may_be_paid_another_way(town: Town) -> None:
    view = await town.book(cod_vnd=FEE)
    await town.happens(view, "returned")
    assert ((await town.payment(view))["state"], await obligation(town)) == ("failed", "owed")
    await town.happens(view, "delivered", cod_collected_vnd=FEE)
    assert await town.questions(tables.payment_questions) == ["paid_late"]
    assert await obligation(town) == "owed"


async def test_a_cancelled_parcel_collects_nothing(town: Town) -> None:
    view = await town.book(cod_vnd=FEE)
    await town.cancel(view)
    assert ((await town.payment(view))["state"], town.carrier.cancelled) == ("failed", [view.number])
    assert (await town.book(cod_vnd=FEE)).state == "booked"


async def test_what_is_collected_must_be_what_is_owed(town: Town) -> None:
    with pytest.raises(errors.InvalidRequest):
        await town.book(cod_vnd=FEE, direction="collect_dossier")
    with pytest.raises(errors.InvalidRequest) as refused:
        await town.book(cod_vnd=FEE + 1)
    assert refused.value.problems[0].field == "cod_vnd"
    assert not await town.rows(tables.parcels)
    assert not await town.rows(tables.payments)


async def test_while_the_postman_collects_nobody_pays_online_and_the_other_way_round(town: Town) -> None:
    bank = payment_town.Intermediary()
    town.hub.systems[bank.name] = bank  # type: ignore[index]
    wanted = payment_views.PaymentRequest(dossier_code=CODE, payer=money.Payer(name="Nguyễn Văn Mẫu"))
    begin = lambda: payment.start(town.hub, wanted, caller=payment_town.caller(), request_id="r")  # noqa: E731
    view = await town.book(cod_vnd=FEE)
    with pytest.raises(errors.Conflict) as refused:
        await begin()
    assert refused.value.facts["reason"] == "being_collected"
    await town.cancel(view)
    assert (await begin()).state == "pending"
    with pytest.raises(errors.Conflict) as refused:
        await town.book(cod_vnd=FEE)
    assert refused.value.facts["reason"] == "being_paid_online"


async def test_cash_that_nobody_had_asked_for_is_for_a_person(town: Town) -> None:
    view = await town.book()
    await town.happens(view, "delivered", cod_collected_vnd=FEE)
    assert await town.questions() == ["cod_unexpected"]


async def test_the_watch_over_payments_leaves_the_postman_alone(town: Town) -> None:
    view = await town.book(cod_vnd=FEE)
    town.wait(days=3)
    await payment_watch.run(town.hub)
    assert not await payment_records.questions(town.hub)
    await town.happens(view, "delivered", cod_collected_vnd=FEE)
    await payment_watch.run(town.hub)
    assert (await town.payment(view))["state"] == "paid"


async def test_the_same_page_in_five_processes_at_once_pays_once(town: Town) -> None:
    view = await town.book(cod_vnd=FEE)
    town.carrier.events = [town.event(view, "delivered", cod_collected_vnd=FEE)] * 3
    await asyncio.gather(*(town.watch() for _ in range(5)))
    assert (await obligation(town), len(await town.events("payments.paid"))) == ("paid", 1)


# ------------------------------------------------------------------------------------------------- waybills


async def states(town: Town) -> dict[str, str]:
    return {row["number"][2:11].lstrip("0") or "0": row["state"] for row in await town.rows(tables.waybills)}


async def other(town: Town, number: int) -> str:
    code = f"000.00.00.H38-260115-{number:04d}"
    await town.declare(code)
    return code


async def test_two_processes_at_once_never_take_one_number(town: Town) -> None:
    codes = [await other(town, number) for number in range(20, 25)]
    views = await asyncio.gather(*(town.book(dossier_code=code) for code in codes))
    assert len({view.waybill for view in views}) == 5
    assert set((await states(town)).values()) == {"used"}
    with pytest.raises(errors.Conflict) as refused:
        await town.book()
    assert "đã hết" in refused.value.detail("vi")
    assert len(await town.events("waybills.empty")) == 1


async def test_a_pool_that_runs_low_is_one_alert_until_new_numbers_come(town: Town) -> None:
    # Counted while numbers were taken, five at once each saw four left, and nobody was told.
    codes = [await other(town, number) for number in range(20, 25)]
    await asyncio.gather(*(town.book(dossier_code=code) for code in codes))
    for _ in range(2):
        await town.watch()
    assert [row["facts"]["free"] for row in await town.events("waybills.low")] == [0]
    await postal_pool.put(town.hub, "ems", ["EM800000001VN", "EM800000002VN"], by="a", reason="Dải mới")
    await town.watch()
    await town.book()
    await town.watch()
    assert [row["facts"]["free"] for row in await town.events("waybills.low")] == [0, 1]


async def test_a_number_that_was_refused_at_once_goes_back_and_one_in_doubt_does_not(town: Town) -> None:
    town.carrier.books = [errors.RemoteRefused(system="ems", remote_code="99")]
    with pytest.raises(errors.RemoteRefused):
        await town.book()
    assert (await states(town))["0"] == "free"
    town.carrier.books = [UNKNOWN, errors.RemoteRefused(system="ems", remote_code="99")]
    view = await town.book()
    town.wait(minutes=6)
    await town.watch()
    assert ((await town.see(view)).state, (await states(town))["0"]) == ("refused", "used")
    assert (await town.book()).waybill == "EM000000000VN"
    assert (await town.book(dossier_code=await other(town, 30))).waybill == "EM000000001VN"


async def test_a_lost_answer_is_looked_for_with_the_number_that_it_was_sent_with(town: Town) -> None:
    town.carrier.books = [UNKNOWN]
    view = await town.book()
    assert (await states(town))["0"] == "held"
    town.wait(minutes=6)
    await town.watch()
    assert [order.waybill for order in town.carrier.orders] == ["EM000000000VN"]
    assert ((await town.see(view)).state, (await states(town))["0"]) == ("booked", "used")


async def test_an_answer_that_binds_no_number_gives_it_back_but_not_after_doubt(town: Town) -> None:
    binds_none = money.ParcelBooked(carrier_reference="X1")
    town.carrier.books = [binds_none]
    assert (await town.book()).waybill == ""
    assert (await states(town))["0"] == "free"
    town.carrier.books = [UNKNOWN, binds_none.model_copy(update={"carrier_reference": "X2"})]
    view = await town.book(dossier_code=await other(town, 40))
    town.wait(minutes=6)
    await town.watch()
    assert ((await town.see(view)).waybill, (await states(town))["0"]) == ("EM000000000VN", "used")


async def test_a_dossier_never_takes_a_second_number(town: Town) -> None:
    for _ in range(3):
        view = await town.book()
        assert view.waybill == "EM000000000VN"
        await town.cancel(view)
    assert sorted((await states(town)).values()) == ["free"] * 4 + ["used"]


async def test_numbers_are_imported_whole_or_not_at_all(town: Town, tmp_path: Path) -> None:
    path = tmp_path / "so.csv"
    path.write_text("number,ghi chú\nEH000000001VN,a\nem 1,b\nEH000000001VN,c\n", encoding="utf-8")
    with pytest.raises(errors.InvalidRequest) as refused:
        postal_pool.read_file(path)
    assert [problem.field for problem in refused.value.problems] == ["line 3", "line 4"]
    known = await postal_pool.put(town.hub, "ems", ["EM000000000VN", "EM999999999VN"], by="a", reason="Dải mới")
    assert (known.new, known.known) == (1, 1)


def test_a_range_is_written_out_with_its_check_digits() -> None:
    # 47312482 and its check digit 9 are the worked example of the UPU's standard S10.
    found = postal_pool.expand("EH473124829VN", "EH473124846VN", check_digits=True)
    assert found == ("EH473124829VN", "EH473124832VN", "EH473124846VN")
    with pytest.raises(errors.InvalidRequest):
        postal_pool.expand("EH473124820VN", "EH473124846VN", check_digits=True)
    assert postal_pool.expand("EH000000001VN", "EH000000003VN", check_digits=False)[-1] == "EH000000003VN"
    for ends in (("EH000000001VN", "EM000000003VN"), ("EH000000003VN", "EH000000001VN"), ("", "")):
        with pytest.raises(errors.InvalidRequest):
            postal_pool.expand(*ends, check_digits=False)


async def test_late_is_counted_from_the_last_word(town: Town) -> None:
    view = await town.book()
    for _ in range(4):
        town.wait(days=4)
        await town.happens(view, "in_transit", event_id=f"t{town.hub.now():%d}")
    assert not await town.events("parcels.late")
    assert town.hub.now() - view.created_at > timedelta(days=15)
