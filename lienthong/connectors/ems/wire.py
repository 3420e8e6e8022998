"""Orders, answers and webhooks as EMS spells them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import orjson

from lienthong.connectors import base, http, outcomes, postal
from lienthong.core import errors, money
from lienthong.mappings import engine

SYSTEM = "ems"
MAPPING = engine.load(SYSTEM)
NAMES = MAPPING.envelope
SERVICES = MAPPING.services

_MOST_BYTES = 64 * 1024
_LONGEST_TRANSACTION = 200
_REPLIES: dict[money.CallbackOutcome, int] = {
    "recorded": 200,
    "already": 200,
    "unknown_reference": 200,
    "amount_differs": 200,
    "forged": 401,
    "address_refused": 403,
    "unreadable": 400,
    "failed": 503,
}


def order(written: money.ParcelOrder, *, service: int) -> dict[str, Any]:
    """Write an order whose places are the carrier's numbers."""
    own = {NAMES["quantity"]: 1, NAMES["service"]: service, NAMES["worth"]: 0}
    return {**MAPPING.message("order").to_wire(written), **own, NAMES["checked"]: False, NAMES["fragile"]: False}


def price_question(written: money.ParcelOrder, *, service: int) -> dict[str, Any]:
    """Ask what a parcel costs."""
    asked = MAPPING.message("price").to_wire(written)
    return {**asked, NAMES["quantity"]: 1, NAMES["service"]: service}


def price(reply: http.Reply) -> int:
    """Add up the parts of a price."""
    found = _contents(postal.object_of(reply, system=SYSTEM), operation="price")
    fee, services = found.get(NAMES["fee"]), found.get(NAMES["services_fee"]) or {}
    if not isinstance(fee, dict) or not isinstance(services, dict):
        raise outcomes.garbled("no price in the answer", system=SYSTEM)
    parts = (
        fee.get(NAMES["fee"]),
        fee.get(NAMES["remote_fee"]) or 0,
        services.get(NAMES["total_of_services"]) or 0,
    )
    return sum(postal.price_of(part, system=SYSTEM) for part in parts)


def booked(reply: http.Reply, *, number: str, duplicate_words: Sequence[str]) -> money.ParcelBooked:
    """Read the answer to an order; one that exists already is success, one that cannot be read is unknown."""
    body = postal.answer_to_change(reply, system=SYSTEM, operation="order")
    exists = str(body.get(NAMES["error_code"]) or "") == NAMES["exists"]
    exists = exists or postal.says(body.get(NAMES["message"]), duplicate_words)
    data = body.get(NAMES["data"])
    waybill = data.get(NAMES["waybill"]) if isinstance(data, dict) else None
    if body.get(NAMES["code"]) == NAMES["failed"] and not exists:
        raise postal.refused(SYSTEM, body.get(NAMES["error_code"]) or "error", body.get(NAMES["message"]))
    if (body.get(NAMES["code"]) != NAMES["ok"] and not exists) or not isinstance(waybill, str) or not waybill:
        raise postal.unknown(
            system=SYSTEM, operation="order", code="exists" if exists else "no order in the answer"
        )
    return money.ParcelBooked(carrier_reference=number, waybill=waybill, duplicate=exists)


def way(reply: http.Reply, *, waybill: str) -> money.TrackingPage:
    """Read the way of a parcel, oldest first, whatever the order over there.

    The shape is not public: rows as in the webhook, in the answer's data or one level below.
    """
    body = postal.object_of(reply, system=SYSTEM)
    if body.get(NAMES["code"]) != NAMES["ok"]:
        _refuse(body, operation="track")
    data = body.get(NAMES["data"])
    above = data if isinstance(data, dict) else {}
    given = {name: above.get(name) or "" for name in (NAMES["number"], NAMES["waybill"])}
    given = {**given, NAMES["waybill"]: given[NAMES["waybill"]] or waybill}
    message = MAPPING.message("event")
    rows = ({**given, **_known(message, row)} for row in _rows(data))
    return postal.way_of(message, rows, system=SYSTEM, tidy=_tidy)


def _rows(data: Any) -> Sequence[Any]:
    lists = [data, *(data.values() if isinstance(data, dict) else ())]
    rows = next((it for it in lists if isinstance(it, list)), None)
    if rows is None:
        raise outcomes.garbled("no list of events", system=SYSTEM)
    return rows


def _known(message: engine.Message, row: Any) -> dict[str, Any]:
    """Give the fields that are known; what is no row at all has none, and cannot be read as an event."""
    names = {name for field in message.spec.fields for name in field.wire}
    given = row.items() if isinstance(row, dict) else ()
    return {name: value for name, value in given if name in names and value not in (None, "")}


def _contents(body: Mapping[str, Any], *, operation: str) -> dict[str, Any]:
    data = body.get(NAMES["data"])
    if body.get(NAMES["code"]) != NAMES["ok"]:
        _refuse(body, operation=operation)
    if not isinstance(data, dict):
        raise outcomes.garbled("no data in the answer", system=SYSTEM)
    return data


def _refuse(body: Mapping[str, Any], *, operation: str) -> NoReturn:
    if NAMES["code"] not in body:
        raise outcomes.garbled("no envelope", system=SYSTEM)
    raise postal.refused(SYSTEM, body.get(NAMES["error_code"]) or operation, body.get(NAMES["message"]))


# ---------------------------------------------------------------------------------------------------- webhook


def event(request: money.CallbackRequest) -> money.ParcelEvent:
    """Read one event that EMS tells of. Raises RemoteGarbled for whatever is not one.

    The same event told twice has the same id, whatever the transaction's number is.
    """
    if request.method.upper() != "POST" or len(request.body) > _MOST_BYTES:
        raise outcomes.garbled("no POST of a small body", system=SYSTEM)
    message = MAPPING.message("event")
    body = _webhook_object(request.body)
    row = {name: value for name, value in body.items() if value not in (None, "")}
    if any(isinstance(value, str) and "\0" in value for value in row.values()):
        raise outcomes.garbled("a control character in a field", system=SYSTEM)
    try:
        found = _tidy(postal.event_of(message, {NAMES["number"]: "", **row}))
    except errors.MappingError as error:
        raise outcomes.garbled("a field that cannot be read", system=SYSTEM) from error
    if not found.waybill or not found.carrier_code:
        raise outcomes.garbled("an event without its parcel or its status", system=SYSTEM)
    return found


def reply(request: money.CallbackRequest, outcome: money.CallbackOutcome) -> money.CallbackReply:
    """Answer with the transaction's own number; an event of an unknown parcel is not to be told again."""
    status = _REPLIES[outcome]
    transaction = request.headers.get(NAMES["transaction_header"], "")
    if not transaction.isprintable() or len(transaction) > _LONGEST_TRANSACTION:
        transaction = ""
    code = NAMES["ok"] if status == 200 else NAMES["failed"]
    transaction = transaction.encode("utf-8", "replace").decode()
    return money.CallbackReply(status, orjson.dumps({NAMES["code"]: code, NAMES["transaction"]: transaction}))


def _webhook_object(raw: bytes) -> dict[str, Any]:
    """Read a JSON object in UTF-8 whose names stand once each."""
    try:
        found = json.loads(raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
        orjson.dumps(found)  # refuses half characters and numbers that no field can hold
    except (ValueError, RecursionError, TypeError) as error:
        raise outcomes.garbled("no JSON object in UTF-8", system=SYSTEM) from error
    if not isinstance(found, dict):
        raise outcomes.garbled("no object", system=SYSTEM)
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a field stands twice")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)


def _tidy(found: money.ParcelEvent) -> money.ParcelEvent:
    return found.model_copy(update={"carrier_message": base.safe_text(found.carrier_message)})
