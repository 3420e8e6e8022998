"""Messages as VNPAY spells them, in the order that is signed, and what its codes mean."""

from __future__ import annotations

import re
import secrets
import urllib.parse
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from lienthong.connectors import base, callbacks
from lienthong.connectors.vnpay import auth
from lienthong.core import errors, money
from lienthong.mappings import engine, transforms

SYSTEM = "vnpay"
MAPPING = engine.load(SYSTEM)
NAMES = MAPPING.envelope
SERVICES = MAPPING.services
VERSION = "2.1.0"
QUERY, REFUND = "querydr", "refund"
WHOLE, PART = "02", "03"
NO_NUMBER = "0"

_QUERY = (
    "request_number", "version", "command", "terminal", "reference",
    "started_at", "created_at", "address", "description",
)  # fmt: skip
_REFUND = (
    "request_number", "version", "command", "terminal", "kind", "reference", "amount", "number",
    "started_at", "created_by", "created_at", "address", "description",
)  # fmt: skip
_REFUND_ANSWER = (
    "answer_number", "command", "code", "message", "terminal", "reference", "amount", "bank",
    "paid_at", "number", "kind", "state", "description",
)  # fmt: skip
_QUERY_ANSWER = (*_REFUND_ANSWER, "promotion_code", "promotion_amount")
_SIGNED = {QUERY: (_QUERY, _QUERY_ANSWER), REFUND: (_REFUND, _REFUND_ANSWER)}
_REPLIES: Mapping[money.CallbackOutcome, tuple[str, str]] = {
    "recorded": ("00", "Confirm Success"),
    "already": ("02", "Order already confirmed"),
    "unknown_reference": ("01", "Order not found"),
    "amount_differs": ("04", "Invalid amount"),
    "forged": ("97", "Fail checksum"),
    "address_refused": ("03", "IP prohibited"),
    "unreadable": ("99", "Unknown error"),
    "failed": ("99", "Unknown error"),
}
_REFUSALS: Mapping[str, type[errors.RemoteError]] = {
    "forbidden": errors.RemoteForbids,
    "busy": errors.RemoteBusy,
    "unavailable": errors.RemoteUnavailable,
}
_NOT_PLAIN = re.compile(r"[^0-9A-Za-z._ -]+")
_LONGEST_AMOUNT = 12
_SIGNATURE = re.compile(r"[0-9a-f]{128}")


# --------------------------------------------------------------------------------------------------- what we send


def pay_fields(order: money.PaymentOrder, *, terminal: str, address: str, **further: str) -> dict[str, str]:
    """Write the fields of a payment, by our own words. Raises InvalidRequest naming what VNPAY would refuse."""
    amount = str(order.amount_vnd * 100)
    if len(amount) > _LONGEST_AMOUNT:
        raise _invalid("amount_vnd", "Số tiền lớn hơn mức VNPAY nhận.", "The amount is larger than VNPAY takes.")
    if not 10 <= len(further["return_url"]) <= 255:
        raise _invalid(
            "return_url",
            "VNPAY cần địa chỉ quay về dài 10 đến 255 ký tự.",
            "VNPAY needs a return address of 10 to 255 characters.",
        )
    return {
        "version": VERSION,
        "command": "pay",
        "terminal": terminal,
        "amount": amount,
        "created_at": stamp(order.created_at),
        "expires_at": stamp(order.expires_at),
        "currency": "VND",
        "address": address,
        "description": plain(order.description) or order.reference,
        "reference": order.reference,
        **further,
    }


def signed_query(fields: Mapping[str, str], secret: str) -> str:
    """Write fields as the query of an address, its signature last."""
    text = auth.form({NAMES[name]: value for name, value in fields.items()})
    return f"{text}&{NAMES['signature']}={auth.sign(text, secret)}"


def query_fields(order: money.PaymentOrder, *, terminal: str, address: str, now: datetime) -> dict[str, str]:
    """Write the question how a payment stands, by our own words."""
    return {
        "request_number": f"Q{stamp(now)}{secrets.token_hex(8)}",
        "version": VERSION,
        "command": QUERY,
        "terminal": terminal,
        "reference": order.reference,
        "started_at": stamp(order.created_at),
        "created_at": stamp(now),
        "address": address,
        "description": f"Truy van giao dich {order.reference}",
    }


def refund_fields(order: money.RefundOrder, *, terminal: str, address: str) -> dict[str, str]:
    """Write the request to give money back, by our own words."""
    return {
        "request_number": order.request_number,
        "version": VERSION,
        "command": REFUND,
        "terminal": terminal,
        "kind": WHOLE if order.is_whole else PART,
        "reference": order.reference,
        "amount": str(order.amount_vnd * 100),
        "number": order.provider_reference or NO_NUMBER,
        "started_at": stamp(order.started_at or order.paid_at),
        "created_by": plain(order.created_by) or SYSTEM,
        "created_at": stamp(order.created_at),
        "address": address,
        "description": plain(order.reason) or order.reference,
    }


def signed_body(fields: Mapping[str, str], secret: str) -> dict[str, str]:
    """Write a question or a refund as the body of a call, its signature in it."""
    order, _ = _SIGNED[fields["command"]]
    body = {NAMES[name]: value for name, value in fields.items()}
    return {**body, NAMES["signature"]: auth.sign_values((fields[name] for name in order), secret)}


def stamp(moment: datetime) -> str:
    """Write a time as VNPAY does, in Vietnam time."""
    return str(transforms.TRANSFORMS["compact_time"].write(moment))


def plain(text: str) -> str:
    """Keep letters, digits, `.`, `-`, `_` and blanks, without accents, at most 255 characters."""
    return " ".join(_NOT_PLAIN.sub(" ", callbacks.plain_ascii(text)).split())[:255].rstrip()


def address_of(given: str, base_url: str, service: str) -> str:
    """Give the whole address of a service, whether the setting names it whole or its beginning only."""
    whole = (given or base_url).rstrip("/")
    path = SERVICES[service]
    if not whole or urllib.parse.urlsplit(whole).path.endswith(path):
        return whole
    return whole + path


# ----------------------------------------------------------------------------------------------- what comes to us


def callback(request: money.CallbackRequest, *, secret: str, terminal: str) -> money.PaymentNews:
    """Verify what VNPAY sent and read it.

    Raises ProofRejected for anything that VNPAY did not sign for us, RemoteGarbled for what cannot be read.
    """
    if request.method.upper() != "GET":
        raise callbacks.forged(SYSTEM, "not a GET")
    given = dict(callbacks.read_form(request.query.encode("utf-8", "replace"), system=SYSTEM))
    fields = {name: callbacks.text(given, name, system=SYSTEM) for name in given}
    signature = fields.pop(NAMES["signature"], "")
    fields.pop(NAMES["signature_kind"], None)
    if not _SIGNATURE.fullmatch(signature) or not auth.holds(
        auth.form(fields), signature=signature, secret=secret
    ):
        raise callbacks.forged(SYSTEM, "wrong signature")
    signed = {name: value for name, value in fields.items() if value}
    _refuse_our_own(signed)
    return _ours(_read("callback", signed), terminal=terminal)


def _read(message: str, given: Mapping[str, str]) -> money.PaymentNews:
    """Read a message that was believed: of its fields those that are mapped."""
    known = {name for field in MAPPING.spec.messages[message].fields for name in field.wire}
    read: money.PaymentNews = MAPPING.message(message).from_wire(
        {name: value for name, value in given.items() if name in known}
    )
    if read.state == "paid" and not read.amount_vnd:
        raise _garbled("paid, but no amount")
    return read


def _refuse_our_own(signed: Mapping[str, str]) -> None:
    # The address that a payer is sent to is signed by us with the same secret: sent back, it says nothing.
    needed = ("reference", "amount", "terminal", "code")
    if NAMES["command"] in signed or any(NAMES[name] not in signed for name in needed):
        raise callbacks.forged(SYSTEM, "signed, but no message of the intermediary")


def _ours(news: money.PaymentNews, *, terminal: str) -> money.PaymentNews:
    if news.partner != terminal:
        raise callbacks.forged(SYSTEM, "for another partner")
    moved = news.state in ("paid", "needs_person", "reversed")
    return news if moved else news.model_copy(update={"paid_at": None})


def reply(outcome: money.CallbackOutcome) -> money.CallbackReply:
    """Write the reply of the page: always HTTP 200."""
    code, message = _REPLIES[outcome]
    return callbacks.json_reply({NAMES["reply_code"]: code, "Message": message})


def answer(body: Any, *, command: str, secret: str) -> tuple[dict[str, str], bool]:
    """Take an answer apart: its fields by our own words, and whether it is signed.

    Raises RemoteGarbled for no answer, a wrong signature, and a success that nobody signed.
    """
    if not isinstance(body, dict):
        raise _garbled("not an object")
    fields = {word: _plain_value(body.get(name)) for word, name in NAMES.items()}
    signature = fields["signature"]
    if signature:
        signed = auth.joined(fields[word] for word in _SIGNED[command][1])
        if not auth.holds(signed, signature=signature, secret=secret):
            raise _garbled("the answer's signature is wrong")
    elif fields["code"] in ("", "00"):
        raise _garbled("the answer is not signed")
    return fields, bool(signature)


def _plain_value(value: Any) -> str:
    if value is None:
        return ""
    if type(value) is int:
        return str(value)
    if not isinstance(value, str) or "|" in value or not value.isprintable():
        raise _garbled("a field of the answer is no plain text")
    return value


def answered_news(fields: Mapping[str, str], order: money.PaymentOrder, *, terminal: str) -> money.PaymentNews:
    """Read a signed answer about a payment. Raises RemoteGarbled where it is about another."""
    if (fields["command"], fields["terminal"], fields["reference"]) != (QUERY, terminal, order.reference):
        raise _garbled("the answer is about another payment")
    read = _read("answer", {NAMES[word]: value for word, value in fields.items() if value})
    return _ours(read, terminal=terminal)


def meaning(kind: str, code: str) -> str:
    """Say what a code of an answer means. Raises UnmappedCode."""
    found = MAPPING.spec.codes[kind].values.get(code)
    if found is None:
        raise errors.UnmappedCode(
            f"{SYSTEM} answered with a code that is not mapped", contract=SYSTEM, field=kind, value=code[:20]
        )
    return str(found)


def refund_state(state: str) -> str:
    """Say how an accepted refund stands; what is not known stays accepted."""
    return str(MAPPING.spec.codes["refund_state"].values.get(state, "accepted"))


def refund_heard(fields: Mapping[str, str], order: money.RefundOrder, *, terminal: str) -> str:
    """Say what the answer to a query tells of a refund: `accepted` where it is about anything else."""
    about = (fields["command"], fields["terminal"], fields["reference"], fields["amount"])
    if about != (QUERY, terminal, order.reference, str(order.amount_vnd * 100)):
        return "accepted"
    if fields["kind"] != (WHOLE if order.is_whole else PART):
        return "accepted"
    if order.refund_reference and fields["number"] != order.refund_reference:
        return "accepted"
    return refund_state(fields["state"])


def refused(meant: str, fields: Mapping[str, str]) -> errors.RemoteError:
    """Name an answer that is no answer to the question."""
    said = base.safe_text(fields["message"])
    return _REFUSALS.get(meant, errors.RemoteRefused)(
        f"VNPAY refused: {said}" if said else "",
        detail_vi=f"VNPAY từ chối: {said}" if said else "",
        system=SYSTEM,
        remote_code=fields["code"],
    )


def _garbled(reason: str) -> errors.RemoteGarbled:
    return errors.RemoteGarbled(system=SYSTEM, reason=reason)


def _invalid(field: str, vi: str, en: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(problems=(errors.FieldProblem(field, vi, en),))
