"""A parcel's state follows from the set of what was told, whatever the order and however often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from lienthong.bus.flows import postal_states, postal_views
from lienthong.core import money

BEGUN = datetime(2026, 1, 15, 2, 0, tzinfo=UTC)
STATES = get_args(money.ParcelState)


def heard(state: str, minute: int, number: str = "") -> postal_states.Heard:
    event_id = number or f"{state}-{minute}"
    return postal_states.Heard(event_id, BEGUN + timedelta(minutes=minute), state)  # type: ignore[arg-type]


HEARD = st.lists(st.builds(heard, st.sampled_from(STATES), st.integers(0, 6)), max_size=8)
ANSWERS = st.sampled_from(["booking", "booked", "refused"])


@given(HEARD, ANSWERS, st.randoms())
def test_any_order_and_any_repetition_end_in_the_same_standing(events, answer, chance) -> None:
    told = [*events, *chance.choices(events, k=3)] if events else []
    chance.shuffle(told)
    assert postal_states.judge(answer, told) == postal_states.judge(answer, events)


@given(HEARD, ANSWERS, st.sampled_from(STATES))
def test_an_older_event_never_undoes_a_newer_one_of_its_kind(events, answer, state) -> None:
    before = postal_states.judge(answer, events)
    after = postal_states.judge(answer, [heard(state, -1), *events])
    if before.event_id and (before.is_closed or state not in postal_states.ENDS):
        assert (after.state, after.state_at, after.event_id) == (before.state, before.state_at, before.event_id)


@given(HEARD, HEARD)
def test_once_at_an_end_always_at_an_end(first, later) -> None:
    if postal_states.judge("booked", first).is_closed:
        assert postal_states.judge("booked", [*first, *later]).is_closed


@given(HEARD, HEARD)
def test_what_was_a_contradiction_stays_on_the_list_or_is_outweighed_by_an_earlier_end(first, later) -> None:
    before = postal_states.judge("booked", first).contradictions
    after = postal_states.judge("booked", [*first, *later]).contradictions
    assert not before or after


@given(HEARD)
def test_a_repeated_delivery_does_not_move_the_time(events) -> None:
    found = postal_states.first_delivery(events)
    delivered = [it.occurred_at for it in events if it.state == "delivered"]
    assert (found.occurred_at if found else None) == min(delivered, default=None)


def test_delivered_and_then_scanned_once_more_stays_delivered_and_is_a_question() -> None:
    stands = postal_states.judge("booked", [heard("in_transit", 12), heard("delivered", 10)])
    assert (stands.state, stands.contradictions) == ("delivered", (("moves_after_end", "in_transit-12"),))


def test_two_ends_are_a_question_and_the_newest_counts() -> None:
    stands = postal_states.judge("booked", [heard("returned", 12), heard("delivered", 10)])
    assert (stands.state, [kind for kind, _ in stands.contradictions]) == ("returned", ["two_ends"])


def test_a_code_that_nobody_knows_confirms_a_booking_and_moves_nothing() -> None:
    assert postal_states.judge("booking", [heard("unknown", 1)]).state == "booked"
    assert postal_states.judge("booked", [heard("collected", 1), heard("unknown", 2)]).state == "collected"


def test_a_refused_parcel_that_moves_is_a_question() -> None:
    stands = postal_states.judge("refused", [heard("delivered", 1)])
    assert (stands.state, stands.contradictions[0][0]) == ("delivered", "refused_but_moves")


def test_every_state_has_its_words() -> None:
    assert set(postal_views.STATE_VI) == {*get_args(postal_states.State), *STATES}
