"""What carriers tell, in whatever order, and what they leave out; calls that prove nothing; on both databases."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import payment_town
import post_town
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from post_town import Town

from lienthong.bus.flows import postal_booking, postal_callback, postal_records, postal_watch
from lienthong.core import clock, errors, money, tables

UNKNOWN = errors.OutcomeUnknown(system="ems")


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with post_town.opened(tmp_path, database_url) as opened:
        yield opened


# ------------------------------------------------------------------------------------------------ the order


async def test_any_order_of_events_ends_the_same_and_returns_the_dossier_once(town: Town) -> None:
    codes = [f"000.00.00.H38-260115-{number:04d}" for number in range(10, 16)]
    orders = random.Random(7).sample(list(itertools.permutations(range(4))), len(codes))
    for code, order in zip(codes, orders, strict=True):
        await town.declare(code)
        await town.finish(code)
        view = await town.book(dossier_code=code)
        begun = town.hub.now()
        told = [
            town.event(view, state, occurred_at=begun + timedelta(seconds=second))
            for second, state in enumerate(("collected", "in_transit", "delivery_failed", "delivered"))
        ]
        for place in order:
            town.carrier.events += [told[place], told[place]]
            await town.watch()
        seen = await town.see(view)
        assert (seen.state, seen.state_at, len(seen.events)) == ("delivered", told[3].occurred_at, 4)
    returned = [row for row in await town.rows(tables.status_changes) if row["status"] == "returned"]
    assert sorted(row["dossier_code"] for row in returned) == codes
    assert not await town.questions()


async def test_sent_back_alerts_the_desk_and_returns_no_dossier(town: Town) -> None:
    view = await town.book()
    await town.happens(view, "collected", "delivery_failed", "returned")
    assert ((await town.see(view)).state, (await town.dossier())["status"]) == ("returned", "finished")
    (alert,) = await town.events("parcels.returned_to_sender")
    assert alert["facts"]["dossier_code"] == post_town.CODE
    assert (await town.book()).state == "booked"


async def test_delivered_after_it_was_sent_back_is_for_a_person(town: Town) -> None:
    view = await town.book()
    await town.happens(view, "delivered")
    await town.happens(view, "returned")
    assert ((await town.see(view)).state, await town.questions()) == ("returned", ["two_ends"])
    returned = [row for row in await town.rows(tables.status_changes) if row["status"] == "returned"]
    assert len(returned) == 1


async def test_a_desk_that_reported_the_return_itself_is_not_corrected(town: Town) -> None:
    view = await town.book()
    await town.happens(view, "delivered")
    before = (await town.dossier())["returned_at"]
    await town.happens(view, "delivered", event_id="again")
    assert (await town.dossier())["returned_at"] == before


async def test_a_delivery_at_a_time_that_cannot_be_is_for_a_person(town: Town) -> None:
    view = await town.book()
    await town.happens(view, "delivered", occurred_at=town.hub.now() + timedelta(days=400))
    assert ((await town.see(view)).state, await town.questions()) == ("delivered", ["dossier_refuses"])
    assert (await town.dossier())["status"] == "finished"


async def test_an_event_of_nobodys_parcel_is_kept_and_changes_nothing(town: Town) -> None:
    view = await town.book()
    await town.happens(view, "delivered", number="KHAC0001", waybill="EM999", event_id="foreign")
    assert ((await town.see(view)).state, len(await town.rows(tables.parcel_events))) == ("booked", 1)


async def test_hard_values_of_an_event_are_cut_not_failed_on(town: Town) -> None:
    view = await town.book()
    hard = {"event_id": "đ\0" * 300, "carrier_code": "\0" * 200, "carrier_message": "x" * 9000}
    await town.happens(view, "in_transit", **hard)
    assert (await town.see(view)).state == "in_transit"


# ------------------------------------------------------------------------------------------------- the feed


async def test_rows_that_cannot_be_read_are_an_alert_and_not_the_end(town: Town) -> None:
    view = await town.book()
    event = town.event(view, "collected")
    town.carrier.pages = [
        money.TrackingPage(events=(event,), cursor="7", is_last=False, unread=("row-6", "\0")),
        money.TrackingPage(events=(), cursor="7", is_last=True),
    ]
    assert (await town.watch()).unread == 2
    (alert,) = await town.events("parcels.unread_events")
    assert (alert["facts"]["rows"], (await town.see(view)).state) == (2, "collected")
    assert "7" in [row["cursor"] for row in await town.rows(tables.tracking_cursors)]


async def test_a_feed_that_cannot_be_read_thrice_is_one_alert_and_the_cursor_stays(town: Town) -> None:
    await town.watch()
    town.carrier.pages = [errors.RemoteGarbled(system="ems")] * 5
    for _ in range(5):
        assert (await town.watch()).failed == 1
    assert len(await town.events("parcels.feed_unreadable")) == 1
    await town.watch()
    cursors = {row["carrier"]: row for row in await town.rows(tables.tracking_cursors)}
    assert cursors["ems"]["failures"] == 0


async def test_the_cursor_moves_only_with_the_events(town: Town) -> None:
    view = await town.book()
    town.carrier.events = [town.event(view, "collected")]
    town.carrier.pages = [
        money.TrackingPage(events=(town.event(view, "delivered", cod_collected_vnd=1),), cursor="9", is_last=False)
    ]
    no_vault = dataclasses.replace(town.hub, vault=_NoVault())  # type: ignore[arg-type]
    with pytest.raises(errors.InternalFault):
        await postal_watch.run(no_vault)
    assert not [row for row in await town.rows(tables.tracking_cursors) if row["carrier"] == "ems"]
    assert not await town.rows(tables.parcel_events)
    town.wait(minutes=6)
    assert (await town.watch()).events == 1


class _NoVault:
    def seal(self, plain: bytes, *, purpose: str) -> bytes:
        raise errors.InternalFault(reason="the power went")


# ------------------------------------------------------------------------------------------- lost answers


async def test_a_booking_of_which_nobody_knows_is_left_to_a_person_who_says_what_is(town: Town) -> None:
    town.carrier.books = [UNKNOWN] * 100
    view = await town.book()
    assert view.state == "booking"
    with pytest.raises(errors.Conflict):
        await town.cancel(view)
    for _ in range(14):
        town.wait(hours=4)
        await town.watch()
    assert (await town.questions(), town.carrier.orders) == (["booking_unknown"], [])
    (question,) = await postal_records.questions(town.hub)
    await postal_booking.decide(
        town.hub, question["id"], decision="booked", by="canbo01", reason="Bưu cục xác nhận qua điện thoại"
    )
    assert (await town.see(view)).state == "booked"
    await town.happens(view, "delivered")
    assert (await town.dossier())["status"] == "returned"


async def test_an_event_answers_a_booking_whose_answer_was_lost(town: Town) -> None:
    town.carrier.books = [UNKNOWN]
    view = await town.book()
    await town.happens(view, "accepted", waybill="EM77")
    seen = await town.see(view)
    assert (seen.state, seen.waybill, seen.carrier_reference) == ("accepted", "EM77", view.number)
    assert not town.carrier.orders


async def test_a_first_refusal_ends_it_and_a_refusal_while_looking_does_not(town: Town) -> None:
    town.carrier.books = [errors.RemoteRefused(system="ems", remote_code="99")]
    with pytest.raises(errors.RemoteRefused):
        await town.book()
    town.carrier.books = [UNKNOWN, errors.RemoteRefused(system="ems", remote_code="HTTP 404")]
    view = await town.book()
    town.wait(minutes=6)
    await town.watch()
    assert (await town.see(view)).state == "booking"
    town.wait(hours=1)
    await town.watch()
    assert ((await town.see(view)).state, town.carrier.looked) == ("booked", 2)


async def test_another_request_while_one_is_under_way_is_a_conflict(town: Town) -> None:
    view = await town.book()
    assert (await town.book()).id == view.id
    with pytest.raises(errors.Conflict) as refused:
        await town.book(weight_g=900)
    assert refused.value.facts["reason"] == "under_way"
    assert len(town.carrier.orders) == 1


async def test_a_carrier_that_numbers_by_dossier_gets_no_second_order_under_one_number(town: Town) -> None:
    town.carrier.books = [money.ParcelBooked(carrier_reference=post_town.CODE)]
    await town.book()
    with pytest.raises(errors.Conflict) as refused:
        await town.book(direction="collect_dossier")
    assert refused.value.facts["reason"] == "number_taken"


async def test_the_parcel_of_somebody_else_is_not_shown(town: Town) -> None:
    view = await town.book()
    with pytest.raises(errors.NotFound):
        await postal_records.owned(town.hub, view.id, caller=payment_town.caller("Sở Y tế"))


# -------------------------------------------------------------------------------------------------- calls


async def test_a_call_with_the_secret_is_taken_once(town: Town) -> None:
    view = await town.book()
    event = town.event(view, "in_transit")
    assert [await town.call(event) for _ in range(3)] == ["recorded", "already", "already"]
    assert (await town.see(view)).state == "in_transit"
    assert len(await town.rows(tables.parcel_messages)) == 3


async def test_a_forged_call_changes_nothing_and_is_an_event(town: Town) -> None:
    view = await town.book()
    assert await town.call(town.event(view, "delivered"), secret="0" * 20) == "forged"
    await town.watch()
    assert ((await town.see(view)).state, (await town.dossier())["status"]) == ("booked", "finished")
    (event,) = await town.events("callbacks.forged")
    (kept,) = await town.rows(tables.parcel_messages)
    assert (kept["verdict"], event["facts"]["message"]) == ("forged", kept["id"])
    assert post_town.SECRET not in str([await town.rows(tables.events), kept])


async def test_without_a_secret_nobody_is_believed(database_url: str, tmp_path: Path) -> None:
    async with post_town.opened(tmp_path, database_url, callback_secret=None) as town:
        view = await town.book()
        assert await town.call(town.event(view, "delivered"), secret="") == "forged"
        assert (await town.see(view)).state == "booked"


async def test_who_does_not_call_has_no_door(town: Town) -> None:
    request = money.CallbackRequest(name=post_town.SECRET, method="POST", query="", headers={}, body=b"")
    for contract in ("vnpost_hcc", "dvcqg_adapter", "nothing"):
        with pytest.raises(errors.NotFound):
            await postal_callback.callback(town.hub, contract, request)


async def test_fuzzed_calls_never_fail_and_never_move_a_parcel(town: Town) -> None:
    view = await town.book()
    whole = town.event(view, "delivered").model_dump_json().encode()
    chance = random.Random(11)
    for _ in range(200):
        raw = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        wrong = "".join(chance.choices("abc123", k=20))
        assert await town.call(bytes(raw), secret=wrong) == "forged"
        assert await town.call(bytes(raw[: chance.randrange(60)])) == "unreadable"
    assert (await town.see(view)).state == "booked"


# ---------------------------------------------------------------------------------------- without a feed


async def test_where_there_is_no_feed_each_parcel_is_asked_for(town: Town) -> None:
    town.carrier.has_feed = False
    view = await town.book()
    town.carrier.events = [town.event(view, "collected"), town.event(view, "delivered")]
    town.wait(minutes=30)
    assert (await town.watch()).asked == 0
    town.wait(hours=2)
    report = await town.watch()
    assert (report.asked, report.events, report.returned) == (1, 2, 1)
    town.wait(hours=5)
    assert (await town.watch()).asked == 0


TEXT = st.text(max_size=12)
PAGE = st.builds(
    money.TrackingPage,
    events=st.lists(
        st.builds(
            money.ParcelEvent,
            number=TEXT,
            waybill=TEXT,
            event_id=st.text(min_size=1, max_size=12),
            occurred_at=st.datetimes(
                datetime(1900, 1, 1),
                datetime(9000, 1, 1),
                timezones=st.just(clock.VIETNAM),
                allow_imaginary=False,  # hours that the clocks left out
            ),
            state=st.sampled_from(["delivered", "returned", "cancelled", "unknown", "in_transit"]),
            carrier_code=TEXT,
            carrier_message=TEXT,
            cod_collected_vnd=st.none() | st.integers(-(10**12), 10**12),
        ),
        max_size=4,
    ).map(tuple),
    cursor=st.text("0123456789", max_size=8),
    is_last=st.booleans(),
    unread=st.lists(TEXT, max_size=3).map(tuple),
)


@given(PAGE)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_fuzzed_pages_never_fail_and_move_no_parcel_that_they_do_not_name(
    sqlite_page_town: Town, page: money.TrackingPage
) -> None:
    town = sqlite_page_town
    before = await town.rows(tables.parcels)
    town.carrier.pages = [page]
    await town.watch()
    assert [row["state"] for row in await town.rows(tables.parcels)] == [row["state"] for row in before]


@pytest.mark.parametrize("seed", range(3))
async def test_spoiled_pages_of_the_post_never_fail_and_move_nothing_unread(town: Town, seed: int) -> None:
    view = await town.book(carrier="vnpost_hcc")
    await town.watch()
    await town.post(view, 4)
    chance = random.Random(seed)

    def spoil(whole: bytes) -> bytes:
        raw = bytearray(whole.replace(b'"StatusCode":4', b'"StatusCode":"?"'))
        for _ in range(chance.randint(0, 4)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        return bytes(raw[: chance.choice([len(raw), len(raw), chance.randrange(len(raw))])])

    town.road.spoil = spoil
    for _ in range(25):
        await town.watch()
    assert ((await town.see(view)).state, (await town.dossier())["status"]) == ("booked", "finished")


@pytest.fixture
async def sqlite_page_town(tmp_path: Path) -> AsyncIterator[Town]:
    async with post_town.opened(tmp_path) as opened:
        await opened.book()
        yield opened
