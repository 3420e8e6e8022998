"""A result goes to the citizen by post: the real connector before the sandbox's carrier; on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import post_town
import pytest
from post_town import CODE, Town

from lienthong.core import errors, tables


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with post_town.opened(tmp_path, database_url) as opened:
        yield opened


async def test_a_result_goes_by_post_and_its_dossier_is_returned_when_it_is_delivered(town: Town) -> None:
    view = await town.book(carrier="vnpost_hcc")
    assert (view.state, view.carrier_reference) == ("booked", view.number)
    await town.post(view, 4)
    report = await town.watch()
    assert (report.events, report.returned) == (2, 1)
    seen = await town.see(view)
    assert (seen.state, [event.state for event in seen.events]) == ("delivered", ["unknown", "delivered"])
    dossier = await town.dossier()
    assert (dossier["status"], dossier["record"].return_by) == ("returned", "postal")
    assert dossier["returned_at"] == seen.state_at


async def test_the_same_feed_read_again_returns_the_dossier_once(town: Town) -> None:
    view = await town.book(carrier="vnpost_hcc")
    await town.post(view, 4)
    await town.mood({"name": "feed_repeated", "system": "vnpost_hcc"}, {"name": "feed_unordered"})
    for _ in range(3):
        await town.watch()
    changes = [row for row in await town.rows(tables.status_changes) if row["status"] == "returned"]
    assert (len(changes), len(await town.rows(tables.parcel_events))) == (1, 2)


async def test_a_code_that_nobody_knows_is_kept_and_shown_and_changes_nothing(town: Town) -> None:
    view = await town.book(carrier="vnpost_hcc")
    await town.post(view, 77)
    await town.watch()
    seen = await town.see(view)
    assert (seen.state, seen.events[-1].carrier_code, seen.events[-1].carrier_message) == ("booked", "77", "Mã 77")


async def test_fifty_bookings_at_once_for_one_dossier_are_one_parcel(town: Town) -> None:
    views = await asyncio.gather(*(town.book(carrier="vnpost_hcc") for _ in range(50)))
    assert (len({view.id for view in views}), sum(not view.repeated for view in views)) == (1, 1)
    found = (await town.sandbox.get("/_sandbox/parcels")).json()
    assert len(found if isinstance(found, list) else found["items"]) == 1


async def test_a_lost_answer_is_looked_for_in_the_feed_and_nothing_is_sent_twice(town: Town) -> None:
    await town.mood({"name": "garbage_html", "system": "vnpost_hcc", "services": "postOrder", "effect": True})
    view = await town.book(carrier="vnpost_hcc")
    assert view.state == "booking"
    await town.mood()
    town.wait(minutes=6)
    await town.watch()
    seen = await town.see(view)
    assert (seen.state, bool(seen.waybill)) == ("booked", True)
    received = (await town.sandbox.get("/_sandbox/received", params={"system": "vnpost_hcc"})).text
    assert received.count('"postOrder"') == 1


async def test_a_parcel_is_cancelled_before_it_is_collected_and_a_new_one_may_follow(town: Town) -> None:
    view = await town.book(carrier="vnpost_hcc")
    assert (await town.cancel(view)).state == "cancelled"
    assert (await town.cancel(view)).state == "cancelled"
    other = await town.book(carrier="vnpost_hcc")
    assert (other.id != view.id, other.state) == (True, "booked")
    await town.watch()
    assert [(await town.see(it)).state for it in (view, other)] == ["cancelled", "booked"]


async def test_what_the_post_has_collected_it_does_not_cancel(town: Town) -> None:
    view = await town.book(carrier="vnpost_hcc")
    await town.post(view, 2)
    with pytest.raises(errors.RemoteRefused) as refused:
        await town.cancel(view)
    assert "thu gom" in refused.value.detail("vi")
    assert (await town.see(view)).state == "booked"


async def test_an_address_without_a_number_of_the_post_is_refused_in_words(town: Town) -> None:
    nowhere = {**post_town.CITIZEN, "old_district_code": "999"}
    with pytest.raises(errors.InvalidRequest) as refused:
        await town.book(carrier="vnpost_hcc", receiver=nowhere)
    (problem,) = refused.value.problems
    assert (problem.field, "Chưa biết mã địa bàn" in problem.vi) == ("receiver.old_district_code", True)
    (row,) = await town.rows(tables.parcels)
    assert row["state"] == "refused"
    assert (await town.book(carrier="vnpost_hcc")).state == "booked"


async def test_a_dossier_is_collected_at_an_address_and_is_not_returned_by_that(town: Town) -> None:
    view = await town.book(
        carrier="vnpost_hcc", direction="collect_dossier", sender=post_town.CITIZEN, receiver=post_town.DESK
    )
    await town.post(view, 4)
    await town.watch()
    assert ((await town.see(view)).state, (await town.dossier())["status"]) == ("delivered", "finished")
    assert len(await town.events("parcels.delivered")) == 1


async def test_both_ways_at_once_where_the_carrier_tells_orders_apart(town: Town) -> None:
    there = await town.book(carrier="vnpost_hcc")
    here = await town.book(
        carrier="vnpost_hcc", direction="collect_dossier", sender=post_town.CITIZEN, receiver=post_town.DESK
    )
    await town.post(here, 4)
    await town.watch()
    assert [(await town.see(it)).state for it in (there, here)] == ["booked", "delivered"]


async def test_a_delivery_after_which_the_process_died_is_told_in_the_next_round(town: Town) -> None:
    view = await town.book(carrier="vnpost_hcc")
    await town.post(view, 4)
    town.hub.systems["dvcqg_adapter"].problems, kept = _die, town.hub.systems["dvcqg_adapter"].problems
    with pytest.raises(asyncio.CancelledError):
        await town.watch()
    assert (await town.dossier())["status"] == "finished"
    town.hub.systems["dvcqg_adapter"].problems = kept
    town.wait(minutes=6)
    assert (await town.watch()).returned == 1
    dossier = await town.dossier()
    assert (dossier["status"], dossier["returned_at"]) == ("returned", (await town.see(view)).state_at)


def _die(*_: object) -> None:
    raise asyncio.CancelledError


async def test_two_watches_at_once_read_one_feed(town: Town) -> None:
    view = await town.book(carrier="vnpost_hcc")
    await town.post(view, 4)
    reports = await asyncio.gather(*(town.watch() for _ in range(5)))
    assert sum(report.events for report in reports) == 2
    assert (await town.dossier())["status"] == "returned"


async def test_late_and_then_lost_is_an_alert_once_each(town: Town) -> None:
    view = await town.book(carrier="vnpost_hcc")
    for _ in range(20):
        town.wait(days=1)
        await town.watch()
    seen = await town.see(view)
    assert (seen.is_late, seen.is_lost) == (True, True)
    assert [len(await town.events(f"parcels.{word}")) for word in ("late", "lost")] == [1, 1]


async def test_an_address_stands_nowhere_in_plain_text(town: Town) -> None:
    view = await town.book(carrier="vnpost_hcc")
    await town.post(view, 4)
    await town.watch()
    for table in (tables.parcels, tables.parcel_events, tables.events, tables.waybills, tables.exchanges):
        told = str(await town.rows(table))
        assert not any(text in told for text in ("Nguyễn Văn Mẫu", "0900000001", "12 Lê Lợi"))
    assert CODE in str(await town.rows(tables.parcels))
    assert view.created_at - town.hub.now() < timedelta()
