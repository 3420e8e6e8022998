"""What carriers of parcels share: place numbers, a token that calls share, how answers to orders are judged."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from pydantic import Field

from lienthong.connectors import base, bearer, http, outcomes
from lienthong.core import errors, money
from lienthong.mappings import engine, post_places, transforms

DUPLICATE_WORDS = ("đã tồn tại", "da ton tai", "already exist")
_DAY_S = 86_400.0
_REFUSED = frozenset({401})
Tidy = Callable[[money.ParcelEvent], money.ParcelEvent]


class Settings(base.Settings):
    """The settings that every carrier has."""

    place_numbers: post_places.Numbering = Field(default="internal", description="which of VNPost's two lists")
    places_file: str = Field(default="", description="CSV level, code, number: adds to the table and overrides it")
    duplicate_words: tuple[str, ...] = DUPLICATE_WORDS


def places_of(contract: str, settings: Settings) -> post_places.Places:
    """Read the places of a connection. Raises Misconfigured where the operator's file is wrong."""
    return post_places.Places(contract, numbering=settings.place_numbers, file=settings.places_file)


def in_numbers(
    order: money.ParcelOrder, sender: post_places.Place, receiver: post_places.Place
) -> money.ParcelOrder:
    """Give the order with the carrier's numbers in place of ours, as the mapping file writes it."""

    def moved(address: money.PostalAddress, place: post_places.Place) -> money.PostalAddress:
        numbers = {
            "province_code": place.province,
            "old_district_code": place.district,
            "commune_code": place.ward,
            "old_province_code": "",
        }
        return address.model_copy(update=numbers)

    return order.model_copy(
        update={"sender": moved(order.sender, sender), "receiver": moved(order.receiver, receiver)}
    )


def basic(user: str, password: str) -> str:
    """Make the value of a Basic authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def token(obtain: Callable[[], Awaitable[tuple[str, float]]], clock: Callable[[], datetime]) -> bearer.Token:
    """Share a token as every bearer is shared; a carrier that says it lives longer than a day is not believed."""

    async def at_most_a_day() -> tuple[str, float]:
        value, life_s = await obtain()
        return value, min(life_s, _DAY_S)

    return bearer.Token(at_most_a_day, clock)


async def with_token(
    token: bearer.Token, send: Callable[[str], Awaitable[http.Reply]], *, system: str, operation: str
) -> http.Reply:
    """Send with a token; one that is refused is got anew once, and the call sent once more."""
    value = await token.current()
    reply = await send(value)
    if reply.status in _REFUSED:
        reply = await send(await token.current(refused=value))
    if reply.status in _REFUSED:
        raise errors.RemoteForbids(system=system, remote_code=f"HTTP {reply.status}", operation=operation)
    return reply


def json_of(reply: http.Reply, *, system: str) -> Any:
    """Read an answer as JSON; a page or nothing in its place is a gateway's word: RemoteUnavailable."""
    start = reply.body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start in (b"", b"<"):
        raise errors.RemoteUnavailable(system=system, remote_code="html" if start else "empty")
    return reply.json()


def object_of(reply: http.Reply, *, system: str) -> dict[str, Any]:
    """Read an answer as a JSON object; see `json_of`."""
    body = json_of(reply, system=system)
    if not isinstance(body, dict):
        raise outcomes.garbled("no object", system=system)
    return body


def answer_to_change(reply: http.Reply, *, system: str, operation: str) -> dict[str, Any]:
    """Read the answer to what was sent to be carried out: unreadable, it leaves the outcome unknown."""
    try:
        return object_of(reply, system=system)
    except (errors.RemoteGarbled, errors.RemoteUnavailable) as error:
        raise unknown(system=system, operation=operation, code=error.remote_code or "garbled") from error


async def carried_out(call: Awaitable[http.Reply], *, system: str, operation: str) -> http.Reply:
    """Wait for a call that changes something over there; an unreadable answer leaves the outcome unknown.

    A gateway's 502 to 504 may come after the order was passed on, so it is looked up first, too.
    """
    try:
        return await call
    except errors.RemoteGarbled as error:
        raise unknown(system=system, operation=operation, code="garbled") from error
    except errors.RemoteUnavailable as error:
        if error.facts.get("outcome_uncertain"):
            raise unknown(system=system, operation=operation, code=error.remote_code) from error
        raise


def unknown(*, system: str, operation: str, code: str) -> errors.OutcomeUnknown:
    """Name an order of which nobody knows whether it arrived."""
    return errors.OutcomeUnknown(system=system, remote_code=code, operation=operation)


def refused(system: str, code: object, message: object) -> errors.RemoteRefused:
    """Name a refusal, with the carrier's own sentence free of long numbers and addresses."""
    said = base.safe_text(message or "")
    return errors.RemoteRefused(
        said,
        detail_vi=f"Bưu chính từ chối: {said}" if said else "Bưu chính từ chối yêu cầu.",
        system=system,
        remote_code=base.safe_text(code),
        remote_message=said,
    )


def says(message: object, words: Iterable[str]) -> bool:
    """Whether a sentence holds one of these, whatever the case and the Unicode form."""
    text = transforms.plain(message).casefold() if isinstance(message, str) else ""
    return any(word.casefold() in text for word in words)


def price_of(value: Any, *, system: str) -> int:
    """Read a price in đồng. Raises RemoteGarbled for what is none."""
    try:
        amount = transforms.TRANSFORMS["digit_string"].read(value)
    except (ValueError, OverflowError):
        amount = None
    if not isinstance(amount, int) or not 0 <= amount <= 10**9:
        raise outcomes.garbled("no price", system=system)
    return amount


def event_number(*parts: str) -> str:
    """Make the id of an event that has none: the same event told twice has the same one."""
    return hashlib.blake2b("\n".join(parts).encode("utf-8", "replace"), digest_size=16).hexdigest()


def event_of(message: engine.Message, row: Mapping[str, Any]) -> money.ParcelEvent:
    """Read an event whose id is made of its parcel, its status and its time."""
    event: money.ParcelEvent = message.from_wire({**row})
    made = event_number(event.waybill or event.number, event.carrier_code, event.occurred_at.isoformat())
    collected = event.cod_collected_vnd if event.state == "delivered" else None
    return event.model_copy(update={"event_id": made, "cod_collected_vnd": collected})


def way_of(
    message: engine.Message, rows: Iterable[Mapping[str, Any]], *, system: str, tidy: Tidy = lambda event: event
) -> money.TrackingPage:
    """Read the way of one parcel, oldest first; a row that cannot be read is named and holds up no other.

    Raises RemoteGarbled where there are rows and none of them can be read.
    """
    found: dict[str, money.ParcelEvent] = {}
    unread: list[str] = []
    for place, row in enumerate(rows, start=1):
        try:
            event = tidy(event_of(message, row))
        except (errors.RemoteGarbled, errors.MappingError):
            unread.append(f"row {place}")
        else:
            found[event.event_id] = event
    if unread and not found:
        raise outcomes.garbled("no event that can be read", system=system)
    events = tuple(sorted(found.values(), key=lambda it: it.occurred_at))
    return money.TrackingPage(events=events, cursor="", is_last=True, unread=tuple(unread))


def not_offered(system: str, operation: str) -> errors.NotOffered:
    """Name what a carrier has no call for."""
    return errors.NotOffered(
        f"{system} has no call for: {operation}",
        detail_vi="Đơn vị bưu chính này không có thao tác được yêu cầu.",
        system=system,
        operation=operation,
    )
