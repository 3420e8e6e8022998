"""Orders, answers and the tracking feed as VNPost spells them, and what its status numbers mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lienthong.connectors import base, http, outcomes, postal
from lienthong.core import errors, money
from lienthong.mappings import engine, post_places

SYSTEM = "vnpost_hcc"
MAPPING = engine.load(SYSTEM)
NAMES = MAPPING.envelope
SERVICES = MAPPING.services

FIRST = "0" * 24
"""Where the tracking feed begins."""

_STATUS, _MESSAGE, _PROCEDURE = "Status", "Message", "Procedure"
# Free text that may name people is left where it is; the status has a sentence of its own.
_FREE_TEXT = "Notes"
_CREATED, _HANDED_OVER, _WRAPPED_FAULT = "100", "101", "500"
_ACCEPTED = frozenset({_CREATED, _HANDED_OVER})
_OBJECT_ID = re.compile(r"[0-9a-f]{24}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said to an order or a cancellation."""

    status: str
    message: str


def order(written: money.ParcelOrder, *, customer: str, flag: int | None) -> dict[str, Any]:
    """Write an order whose places are VNPost's numbers."""
    body = {NAMES["customer"]: customer, **MAPPING.message("order").to_wire(written)}
    if not written.waybill:
        body.pop("ItemCode")
    if flag is not None:
        body[NAMES["flag"]] = flag
    return body


def document(
    written: money.ParcelOrder,
    *,
    customer: str,
    state: str,
    places: tuple[post_places.Place, post_places.Place],
) -> dict[str, Any]:
    """Write the variant that carries the dossier's procedure."""
    body = {NAMES["customer"]: customer, **MAPPING.message("document").to_wire(written)}
    body[_PROCEDURE] = {**body[_PROCEDURE], "Category": "", "Elements": []}
    for name, place in zip(("document_sender", "result_receiver"), places, strict=True):
        titles = {NAMES["title"]: place.province_name, NAMES["district_title"]: ""}
        body[NAMES[name]] = {**body[NAMES[name]], **titles}
    body[NAMES["is_send"]] = written.direction == "collect_dossier"
    body[NAMES["is_receive"]] = written.direction == "deliver_result"
    if state:
        body["State"] = state
    return body


def hanoi_cls(order: money.ParcelOrder) -> dict[str, Any]:
    """Write the order as Hà Nội's CLS spells it; it names the citizen, whichever way the parcel goes."""
    citizen = order.sender if order.direction == "collect_dossier" else order.receiver
    body = MAPPING.message("hanoi_cls").to_wire(order.model_copy(update={"receiver": citizen}))
    return {**body, NAMES["payer"]: citizen.name, NAMES["post_address"]: citizen.address}


def price_question(written: money.ParcelOrder) -> dict[str, Any]:
    """Ask what a parcel costs."""
    asked = MAPPING.message("price").to_wire(written)
    return {**asked, NAMES["main_service"]: "HCC", NAMES["with_return"]: 1}


def price(reply: http.Reply) -> int:
    """Read a price. Raises RemoteRefused where VNPost names a reason instead."""
    body = postal.object_of(reply, system=SYSTEM)
    content = body.get(NAMES["content"])
    if isinstance(content, dict) and NAMES["price"] in content:
        return postal.price_of(content[NAMES["price"]], system=SYSTEM)
    if _STATUS in body and str(body[_STATUS]) not in _ACCEPTED:
        raise postal.refused(SYSTEM, body[_STATUS], body.get(_MESSAGE))
    raise outcomes.garbled("no price in the answer", system=SYSTEM)


def answer(reply: http.Reply, *, operation: str) -> Answer:
    """Read the answer to an order or a cancellation; where none can be read, the outcome is unknown.

    500 is the province's own wrapper around whatever went wrong there, perhaps after the order was passed on.
    """
    body = postal.answer_to_change(reply, system=SYSTEM, operation=operation)
    status, message = body.get(_STATUS), body.get(_MESSAGE)
    if isinstance(status, bool) or not isinstance(status, int | str) or not str(status).strip():
        raise postal.unknown(system=SYSTEM, operation=operation, code="no status")
    found = Answer(str(status).strip(), message if isinstance(message, str) else "")
    if found.status == _WRAPPED_FAULT:
        raise postal.unknown(system=SYSTEM, operation=operation, code=_WRAPPED_FAULT)
    return found


def is_accepted(found: Answer) -> bool:
    """Whether the order was taken."""
    return found.status in _ACCEPTED


def is_bound(found: Answer) -> bool:
    """Whether the waybill that was sent belongs to the order now; a mere hand-over binds none."""
    return found.status == _CREATED


def refused(found: Answer) -> errors.RemoteRefused:
    """Name what VNPost refused."""
    return postal.refused(SYSTEM, found.status, found.message)


def token(reply: http.Reply) -> tuple[str, str, float]:
    """Read a token, its type and its seconds of life (0 where not said)."""
    try:
        body = postal.object_of(reply, system=SYSTEM)
        value, kind = body.get(NAMES["access_token"]), body.get(NAMES["token_type"]) or "Bearer"
        life_s = float(body.get(NAMES["expires_in"]) or 0)
    except (errors.RemoteGarbled, TypeError, ValueError) as error:
        # Whatever waits for this token was not sent, and must not be given up because of it.
        raise errors.RemoteUnavailable(system=SYSTEM, remote_code="garbled", operation="token") from error
    usable = all(isinstance(it, str) and it.isascii() and it.isprintable() for it in (value, kind))
    if not value or not usable or life_s != life_s:
        raise errors.RemoteForbids(system=SYSTEM, remote_code="no token", operation="token")
    return str(value), str(kind), life_s


def page(reply: http.Reply, *, cursor: str) -> money.TrackingPage:
    """Read a page of the feed. Raises RemoteGarbled where it is not a whole page, or the cursor is stuck.

    A single row that cannot be read does not stop the feed: its id is among `unread`.
    """
    body = postal.object_of(reply, system=SYSTEM)
    rows = _rows(body)
    ids = [_id(row) for row in rows]
    if len(set(ids)) < len(ids) or cursor in ids:
        raise outcomes.garbled("the cursor is stuck", system=SYSTEM)
    events, unread = [], []
    for row, number in zip(rows, ids, strict=True):
        try:
            told = {name: value for name, value in row.items() if name != _FREE_TEXT}
            told[NAMES["row_id"]] = {NAMES["oid"]: number}
            event: money.ParcelEvent = MAPPING.message("event").from_wire(told)
            message = base.safe_text(event.carrier_message)
            events.append(event.model_copy(update={"carrier_message": message}))
        except (errors.RemoteGarbled, errors.MappingError):
            unread.append(number)
    last = ids[-1] if ids else cursor
    return money.TrackingPage(events=tuple(events), cursor=last, is_last=not rows, unread=tuple(unread))


def _rows(body: Mapping[str, Any]) -> list[Any]:
    embedded = body.get(NAMES["embedded"])
    rows = embedded.get(NAMES["rows"]) if isinstance(embedded, dict) else embedded
    counted = body.get(NAMES["returned"])
    if rows is None and counted == 0:
        return []
    if not isinstance(rows, list) or (type(counted) is int and counted != len(rows)):
        raise outcomes.garbled("no whole page of events", system=SYSTEM)
    return rows


def _id(row: Any) -> str:
    box = row.get(NAMES["row_id"]) if isinstance(row, dict) else None
    number = box.get(NAMES["oid"]) if isinstance(box, dict) else box
    if not isinstance(number, str) or not _OBJECT_ID.fullmatch(number.lower()):
        raise outcomes.garbled("an event without its number", system=SYSTEM)
    return number
