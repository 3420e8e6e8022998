"""Anything may happen to parcels in any order: the real flows, over a hub, and a carrier that loses and repeats.

No number is ever on two dossiers, a returned dossier stays returned, cash is true once and by a proven word only,
and how a parcel stands follows from what was told, in whatever order. `ORDERS`: see test_payment_orders.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import defaultdict
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar

import payment_town
import post_town
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from post_town import FEE

from lienthong.bus.flows import dossier_status, postal_booking, postal_pool, postal_views
from lienthong.core import errors, money, records, tables

ORDERS = int(os.environ.get("ORDERS", "8"))
CODES = tuple(f"000.00.00.H38-260115-{number:04d}" for number in range(20, 23))
STATES = (
    "accepted",
    "collected",
    "in_transit",
    "delivery_failed",
    "delivered",
    "returned",
    "cancelled",
    "unknown",
)
ENDS = ("delivered", "returned", "cancelled")
T = TypeVar("T")
Row = dict[str, Any]
WHICH = st.integers(0, 4)


def step(name: str, times: int = 1, /, **drawn: st.SearchStrategy[Any]) -> list[st.SearchStrategy[Any]]:
    """One thing that may happen: the name of a method, and what it is given; so many times as likely as others."""
    return [st.fixed_dictionaries(drawn).map(lambda given: (name, given))] * times


@dataclass
class Told:
    """What the hub has been told of one parcel, and by whom."""

    events: dict[str, money.ParcelEvent] = field(default_factory=dict)
    proven_cash: set[int] = field(default_factory=set)


ANSWERS = st.sampled_from(("well", "well", "other_number", "refused", "unavailable", "lost"))
WAYS = st.sampled_from(("deliver_result", "deliver_result", "collect_dossier"))
LOST = errors.OutcomeUnknown(system="ems")
STEPS = st.one_of(
    *step("book", 2, code=st.sampled_from(CODES), direction=WAYS, cod=st.booleans(), answer=ANSWERS),
    *step(
        "happen",
        4,
        which=WHICH,
        state=st.sampled_from((*STATES, "delivered", "delivered", "delivered")),
        minute=st.integers(0, 8),
        cash=st.sampled_from((None, FEE, FEE, FEE, FEE - 1)),
    ),
    *step("feed", 2, chosen=st.lists(st.integers(0, 8), min_size=1, max_size=5), is_read=st.booleans()),
    *step("call", 3, which=WHICH, knows_secret=st.booleans()),
    *step("time_passes", minutes=st.sampled_from((6, 200, 1_500, 8_000)), answer=ANSWERS),
    *step("cancel", which=WHICH, error=st.sampled_from((None, None, LOST))),
    *step("hand_over", code=st.sampled_from(CODES)),
    *step("decide", which=WHICH, decision=st.sampled_from(("booked", "refused", "noted"))),
)


class Parcels(RuleBasedStateMachine):
    """Three dossiers, a pool of seven numbers, a carrier, a desk, and whoever guesses at the carrier's address."""

    def __init__(self) -> None:
        super().__init__()
        self._loop, self._open = asyncio.Runner(), AsyncExitStack()
        self.before: dict[str, Row] = {}
        self.returned: set[str] = set()
        self.told: dict[str, Told] = defaultdict(Told)
        # What happened to parcels and may be told, now or later, once or often.
        self.happened: list[money.ParcelEvent] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run(work)

    @initialize()
    def open(self) -> None:
        self.run(self._opened())

    async def _opened(self) -> None:
        home = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="parcels-")))
        self.town = await self._open.enter_async_context(post_town.opened(home, pooled=("ems",), low_numbers=1))
        numbers = [f"EM{number:09d}VN" for number in range(7)]
        await postal_pool.put(self.town.hub, "ems", numbers, by="canbo01", reason="Dải mới")
        for code in CODES:
            await self.town.declare(code)
            await self.town.finish(code)

    def teardown(self) -> None:
        try:
            if hasattr(self, "town"):
                self.run(self._last_days())
        finally:
            self.run(self._open.aclose())
            self._loop.close()

    def parcel(self, which: int) -> Row:
        rows = [row for row in self.before.values() if "direction" in row]
        return rows[which % len(rows)]

    @rule(step=STEPS)
    def then(self, step: tuple[str, dict[str, Any]]) -> None:
        name, given = step
        needed = {"happen": self.before, "cancel": self.before, "feed": self.happened, "call": self.happened}
        if needed.get(name, True):
            getattr(self, name)(**given)

    # --------------------------------------------------------------------------------- what people and carriers do

    def book(self, code: str, direction: str, cod: bool, answer: str) -> None:
        carrier = self.town.carrier
        carrier.books = {
            "refused": [errors.RemoteRefused(system="ems", remote_code="99")],
            "unavailable": [errors.RemoteUnavailable(system="ems")],
            "lost": [errors.OutcomeUnknown(system="ems")],
            "other_number": [money.ParcelBooked(waybill=f"EX{len(carrier.orders):09d}VN")],
        }.get(answer, [])
        wanted, before = {"dossier_code": code, "direction": direction, "cod_vnd": FEE * cod}, len(carrier.orders)
        with suppress(errors.HubError):
            self.run(self.town.book(**wanted))
        carrier.books = []
        if answer == "other_number":
            # The carrier put its own number on it, so that ours goes back to the pool.
            carrier.orders[before:] = [it.model_copy(update={"waybill": ""}) for it in carrier.orders[before:]]

    def happen(self, which: int, state: str, minute: int, cash: int | None) -> None:
        """Something happens to a parcel, perhaps longer ago than what was told of it before."""
        row = self.parcel(which)
        view = postal_views.ParcelView.model_construct(number=row["number"], waybill=row["waybill"])
        at = row["created_at"] + timedelta(minutes=minute)
        paid = {"cod_collected_vnd": cash} if state == "delivered" else {}
        number = f"{row['number']}-{len(self.happened)}"
        self.happened.append(self.town.event(view, state, occurred_at=at, event_id=number, **paid))

    def feed(self, chosen: list[int], is_read: bool) -> None:
        """The feed tells of some of it: in any order, again and again; now and then it cannot be read at all."""
        events = [self.happened[place % len(self.happened)] for place in chosen]
        self.town.carrier.events += events
        if not is_read:
            self.town.carrier.pages = [errors.RemoteGarbled(system="ems", reason="no page")]
        self.run(self.town.watch())
        self._follow_feed()

    def _follow_feed(self) -> None:
        cursors = {it["carrier"]: it["cursor"] for it in self.run(self.town.rows(tables.tracking_cursors))}
        for event in self.town.carrier.events[: int(cursors.get("ems") or 0)]:
            self._note(event, has_proof=True)

    def _note(self, event: money.ParcelEvent, *, has_proof: bool) -> None:
        told = self.told[event.number]
        told.events[event.event_id] = event
        if has_proof and event.cod_collected_vnd is not None:
            told.proven_cash.add(event.cod_collected_vnd)

    def call(self, which: int, knows_secret: bool) -> None:
        event = self.happened[which % len(self.happened)]
        if knows_secret:
            assert self.run(self.town.call(event)) in ("recorded", "already")
            self._note(event, has_proof=False)
        else:
            before = self.run(self._book())
            assert self.run(self.town.call(event, "x" * 20)) == "forged"
            assert self.run(self._book()) == before

    async def _book(self) -> list[list[Row]]:
        names = (tables.parcels, tables.parcel_events, tables.payments, tables.dossiers, tables.waybills)
        return [await self.town.rows(table) for table in names]

    def time_passes(self, minutes: int, answer: str) -> None:
        """The watch looks for lost answers; the carrier has the order, or says no, or is silent again."""
        wrong = {"refused": errors.RemoteRefused(system="ems", remote_code="99"), "lost": LOST}
        self.town.carrier.books = [wrong[answer]] * 4 if answer in wrong else []
        self.town.wait(minutes=minutes)
        self.run(self.town.watch())
        self.town.carrier.books = []
        self._follow_feed()

    def cancel(self, which: int, error: errors.HubError | None) -> None:
        self.town.carrier.cancels = error
        row = self.parcel(which)
        with suppress(errors.HubError):
            self.run(self.town.cancel(postal_views.ParcelView.model_construct(id=row["id"])))
            view = postal_views.ParcelView.model_construct(number=row["number"], waybill=row["waybill"])
            event = self.town.event(view, "cancelled", event_id=f"hub.cancelled.{row['id']}")
            self.told[row["number"]].events.setdefault(event.event_id, event)

    def hand_over(self, code: str) -> None:
        """The desk hands the result over itself."""
        change = records.StatusChange(
            status=records.Status.RETURNED, occurred_at=self.town.hub.now(), handled_by="Trần Thị Ví Dụ"
        )
        with suppress(errors.CallerError):
            self.run(
                dossier_status.report(self.town.hub, code, change, caller=payment_town.caller(), request_id="r")
            )
            self.returned.add(code)

    def decide(self, which: int, decision: Literal["booked", "refused", "noted"]) -> None:
        rows = [it for it in self.run(self.town.rows(tables.parcel_questions)) if it["closed_at"] is None]
        if rows:
            number, said = rows[which % len(rows)]["id"], {"by": "Bình", "reason": "đã hỏi bưu cục"}
            with suppress(errors.Conflict):
                self.run(postal_booking.decide(self.town.hub, number, decision=decision, **said))

    # ------------------------------------------------------------------------------------------ what always holds

    @invariant()
    def numbers_money_and_dossiers_hold(self) -> None:
        if hasattr(self, "town"):
            self.run(self._check())

    async def _check(self) -> None:
        parcels = {it["id"]: it for it in await self.town.rows(tables.parcels)}
        payments = {it["id"]: it for it in await self.town.rows(tables.payments)}
        self._numbers_are_of_one_dossier(parcels.values(), await self.town.rows(tables.waybills))
        for row in parcels.values():
            self._stands_as_told(row, self.before.get(row["id"]))
        proven = {it["payment_id"]: self.told[it["number"]].proven_cash for it in parcels.values()}
        for number, row in payments.items():
            assert row["received_vnd"] == (FEE if FEE in proven[number] else 0)
            assert row["state"] != "paid" or row["received_vnd"]
            before = self.before.get(number)
            assert before is None or before["received_vnd"] <= row["received_vnd"]
        for owed in await self.town.rows(tables.obligations):
            assert sum(it["state"] == "paid" for it in payments.values() if it["obligation_id"] == owed["id"]) <= 1
        await self._returned_stays_returned(parcels.values())
        self.before = {**parcels, **payments}

    def _numbers_are_of_one_dossier(self, parcels: Any, pool: list[Row]) -> None:
        of_number = defaultdict[str, set[tuple[str, str]]](set)
        for order in self.town.carrier.orders:
            of_number[order.waybill].add((order.dossier_code, order.direction))
        for row in parcels:
            of_number[row["waybill"]].add((row["dossier_code"], row["direction"]))
        assert all(len(owners) == 1 for number, owners in of_number.items() if number)
        taken = {it["number"] for it in pool if it["state"] != "free"}
        assert {it.waybill for it in self.town.carrier.orders if it.waybill.startswith("EM")} <= taken

    def _stands_as_told(self, row: Row, before: Row | None) -> None:
        """The newest end of those that were told, whatever the order; a closed parcel does not open again."""
        events = list(self.told[row["number"]].events.values()) if row["number"] in self.told else []
        ends = {it.state for it in events if it.state in ENDS}
        newest = max((it.occurred_at for it in events if it.state in ENDS), default=None)
        if ends:
            assert row["state"] in {it.state for it in events if it.state in ENDS and it.occurred_at == newest}
        else:
            assert row["state"] not in ENDS
        if before is not None and before["closed_at"]:
            assert row["closed_at"] == before["closed_at"]
            assert row["dossier_code"] == before["dossier_code"]

    async def _returned_stays_returned(self, parcels: Any) -> None:
        delivered = {
            row["dossier_code"]
            for row in parcels
            if row["direction"] == "deliver_result"
            and any(it.state == "delivered" for it in self.told.get(row["number"], Told()).events.values())
        }
        now = {it["code"] for it in await self.town.rows(tables.dossiers) if it["status"] == "returned"}
        assert self.returned <= now <= self.returned | delivered
        self.returned = now
        changes = await self.town.rows(tables.status_changes)
        by_post = [it["dossier_code"] for it in changes if "post." in it["change_key"]]
        assert len(by_post) == len({*by_post})

    async def _last_days(self) -> None:
        """Let everything be told by the feed in the end, and judge once more."""
        self.town.carrier.pages = []
        self.town.carrier.events += self.happened
        for _ in range(2):
            self.town.wait(hours=30)
            await self.town.watch()
        for event in self.happened:
            self._note(event, has_proof=True)
        await self._check()
        asked = {(it["parcel_id"], it["kind"]) for it in await self.town.rows(tables.parcel_questions)}
        for row in await self.town.rows(tables.parcels):
            states = {it.state for it in self.told.get(row["number"], Told()).events.values()}
            assert len(states & {*ENDS}) < 2 or (row["id"], "two_ends") in asked
            assert row["state"] != "booking" or row["next_at"] or (row["id"], "booking_unknown") in asked


@pytest.mark.hypothesis
def test_no_order_of_what_may_happen_mixes_parcels_up_or_invents_cash() -> None:
    Parcels.TestCase.settings = settings(
        max_examples=ORDERS, stateful_step_count=25, deadline=None, suppress_health_check=[*HealthCheck]
    )
    Parcels.TestCase().runTest()
