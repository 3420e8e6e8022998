"""Orders and answers as my.vnpost spells them, and what its refusals look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lienthong.connectors import base, http, outcomes, postal
from lienthong.core import errors, money
from lienthong.mappings import engine

SYSTEM = "my_vnpost"
MAPPING = engine.load(SYSTEM)
NAMES = MAPPING.envelope
SERVICES = MAPPING.services

_TOKEN, _MESSAGE, _SUCCESS, _ID = "Token", "Message", "Success", "Id"
_SIDES = ("Width", "Length", "Height")


def order(written: money.ParcelOrder, *, extras: Mapping[str, Any]) -> dict[str, Any]:
    """Write an order whose places are VNPost's numbers; `extras` come by our words for them."""
    own = {NAMES[name]: value for name, value in extras.items()}
    return {**MAPPING.message("order").to_wire(written), "CustomerNote": "", **own}


def price_question(written: money.ParcelOrder, *, extras: Mapping[str, Any]) -> dict[str, Any]:
    """Ask for the prices of all services."""
    asked = MAPPING.message("price").to_wire(written)
    sides = dict(zip(_SIDES, (extras["wide"], extras["long"], extras["high"]), strict=True))
    shared = ("receiver_pays", "notice_of_delivery", "invoice", "sms_before", "sms_after")
    return {
        **asked,
        **sides,
        NAMES["price_worth"]: extras["worth"],
        **{NAMES[name]: extras[name] for name in shared},
    }


def price(reply: http.Reply, *, service: str) -> int:
    """Find the price of one service among those of all. Raises RemoteRefused where it is not offered."""
    rows = postal.json_of(reply, system=SYSTEM)
    if isinstance(rows, dict) and _refusal(rows):
        raise postal.refused(SYSTEM, "price", _refusal(rows))
    if not isinstance(rows, list) or not rows or any(not isinstance(row, dict) for row in rows):
        raise outcomes.garbled("no list of prices", system=SYSTEM)
    for row in rows:
        if row.get(NAMES["service_code"]) == service and row.get(_SUCCESS, True) is not False:
            found = row.get(NAMES["price_with_services"])
            return postal.price_of(
                found if found is not None else row.get(NAMES["price_after_tax"]), system=SYSTEM
            )
    raise postal.refused(SYSTEM, "no price", f"không có giá của dịch vụ {service}")


def booked(reply: http.Reply, *, duplicate_words: Sequence[str]) -> money.ParcelBooked:
    """Read the answer to an order; where none can be read, the outcome is unknown."""
    body = postal.answer_to_change(reply, system=SYSTEM, operation="order")
    if not body.get(_ID):
        _refuse(body, duplicate_words=duplicate_words)
    try:
        found: money.ParcelBooked = MAPPING.message("booked").from_wire(body)
    except (errors.RemoteGarbled, errors.MappingError) as error:
        raise postal.unknown(system=SYSTEM, operation="order", code="garbled") from error
    if not found.carrier_reference:
        raise postal.unknown(system=SYSTEM, operation="order", code="no number in the answer")
    return found


def _refuse(body: Mapping[str, Any], *, duplicate_words: Sequence[str]) -> None:
    said = _refusal(body)
    if not said or postal.says(said, duplicate_words):
        # It exists, but neither its number nor its waybill is known: somebody has to look.
        raise postal.unknown(system=SYSTEM, operation="order", code="exists" if said else "no order in the answer")
    raise postal.refused(SYSTEM, "order", said)


def cancelled(reply: http.Reply) -> None:
    """Read the answer to a cancellation, of which only a refusal says anything."""
    if not reply.body.strip():
        return
    body = postal.json_of(reply, system=SYSTEM)
    if isinstance(body, dict) and _refusal(body):
        raise postal.refused(SYSTEM, "cancel", _refusal(body))


def _refusal(body: Mapping[str, Any]) -> str:
    """Give the sentence of a refusal, empty where there is none."""
    said = body.get(NAMES["error"]) or body.get(_MESSAGE)
    if isinstance(said, str) and said.strip():
        return said
    failed = body.get(NAMES["succeeded"]) is False or body.get(_SUCCESS) is False
    return "không nêu lý do" if failed else ""


def way(reply: http.Reply) -> money.TrackingPage:
    """Read how an order stands: one row or several, oldest first."""
    body = postal.json_of(reply, system=SYSTEM)
    if isinstance(body, dict) and _refusal(body):
        raise postal.refused(SYSTEM, "track", _refusal(body))
    message = MAPPING.message("event")
    rows = [_known(message, row) for row in (body if isinstance(body, list) else [body])]
    return postal.way_of(message, rows, system=SYSTEM)


def _known(message: engine.Message, row: Any) -> dict[str, Any]:
    # An order has a hundred fields that tell of people and prices; only those of an event are looked at.
    names = (name for field in message.spec.fields for name in field.wire)
    return {name: row.get(name) for name in names} if isinstance(row, dict) else {}


def token(reply: http.Reply) -> str:
    """Read a token. Raises RemoteForbids where the account is refused."""
    try:
        body = postal.object_of(reply, system=SYSTEM)
    except errors.RemoteGarbled as error:
        # Whatever waits for this token was not sent, and must not be given up because of it.
        raise errors.RemoteUnavailable(system=SYSTEM, remote_code="garbled", operation="token") from error
    value = body.get(_TOKEN)
    if body.get(NAMES["succeeded"]) is False or not isinstance(value, str) or not value:
        said = base.safe_text(body.get(NAMES["error"]) or "")
        raise errors.RemoteForbids(system=SYSTEM, remote_code="no token", operation="token", remote_message=said)
    if not value.isascii() or not value.isprintable():
        raise errors.RemoteForbids(system=SYSTEM, remote_code="no token", operation="token")
    return value
