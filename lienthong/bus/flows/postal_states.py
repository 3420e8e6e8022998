"""How a parcel stands, from everything that was told of it: a pure function of the set of events (contracts §8.4).

Events come twice, late and in any order, so nothing here depends on the order in which they were heard.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from lienthong.core import money

State = Literal[
    "booking",
    "refused",
    "booked",
    "created",
    "accepted",
    "collected",
    "in_transit",
    "delivery_failed",
    "delivered",
    "returned",
    "cancelled",
]
Kind = Literal[
    "two_ends",
    "moves_after_end",
    "refused_but_moves",
    "booking_unknown",
    "dossier_refuses",
    "cod_unexpected",
]

ENDS = ("delivered", "returned", "cancelled")
CLOSED = (*ENDS, "refused")
# What has an equal time is put in the order of a parcel's way.
_WAY: Sequence[str] = (
    "created",
    "accepted",
    "collected",
    "in_transit",
    "delivery_failed",
    "cancelled",
    "returned",
    "delivered",
)
# Until the carrier has the parcel in its hands it can be cancelled.
_CANCELLABLE = ("booked", "created", "accepted")


@dataclass(frozen=True, slots=True)
class Heard:
    """One event, as far as the state depends on it."""

    event_id: str
    occurred_at: datetime
    state: money.ParcelState


@dataclass(frozen=True, slots=True)
class Standing:
    """How a parcel stands. `state_at` and `event_id` are those of the event that says so.

    `contradictions`: what a person must look at, each with the event that contradicts.
    """

    state: State
    state_at: datetime | None = None
    event_id: str = ""
    contradictions: tuple[tuple[Kind, str], ...] = ()

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is expected of the parcel."""
        return self.state in CLOSED


def judge(answer: Literal["booking", "refused", "booked"], heard: Iterable[Heard]) -> Standing:
    """Work out how a parcel stands, from the answer to its booking and all that was heard since.

    The newest event counts; an end (delivered, returned, cancelled) counts before whatever is no end, and of
    several ends the newest. A code that nobody knows is kept and says only that the carrier has the parcel.
    """
    events = sorted({one.event_id: one for one in heard}.values(), key=_order)
    known = [one for one in events if one.state != "unknown"]
    ends = [one for one in known if one.state in ENDS]
    if counting := ends or known:
        last = counting[-1]
        stands = Standing(_state(last), last.occurred_at, last.event_id)
    else:
        stands = Standing("booked" if events and answer != "refused" else answer)
    found = tuple(_contradictions(answer, events, ends))
    return Standing(stands.state, stands.state_at, stands.event_id, found)


def _order(one: Heard) -> tuple[datetime, int, str]:
    return one.occurred_at, _WAY.index(one.state) if one.state in _WAY else -1, one.event_id


def _state(one: Heard) -> State:
    if one.state == "unknown":
        raise ValueError("a code that nobody knows is no state")
    return one.state


def _contradictions(answer: str, events: Sequence[Heard], ends: Sequence[Heard]) -> Iterable[tuple[Kind, str]]:
    if answer == "refused" and events:
        yield "refused_but_moves", events[0].event_id
    if not ends:
        return
    yield from (("two_ends", one.event_id) for one in ends if one.state != ends[0].state)
    first = ends[0].occurred_at
    moves = (one for one in events if one.state not in (*ENDS, "unknown") and one.occurred_at > first)
    yield from (("moves_after_end", one.event_id) for one in moves)


def first_delivery(heard: Iterable[Heard]) -> Heard | None:
    """Give the event by which a parcel was delivered; a repeated one does not move the time."""
    return min((one for one in heard if one.state == "delivered"), key=_order, default=None)


def is_cancellable(state: str) -> bool:
    """Whether the carrier may be asked to cancel."""
    return state in _CANCELLABLE


def is_late(*, since: datetime, now: datetime, days: int) -> bool:
    """Whether nothing was heard for so many days."""
    return (now - since).total_seconds() >= days * 86_400
