"""Messages of PayGov as it spells them, and what its codes mean (contracts §7.3)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import orjson

from lienthong.connectors import answers, callbacks, http, outcomes
from lienthong.connectors.paygov import auth
from lienthong.core import clock, errors, money
from lienthong.mappings import engine

SYSTEM = "paygov"
MAPPING = engine.load(SYSTEM)
NAMES = MAPPING.envelope
RESULTS = MAPPING.spec.codes["result"].values

MUST_BE_SIGNED = tuple(NAMES[name] for name in ("amount", "reference", "code"))
"""What a recipe for callbacks has to cover: all that the hub believes of one."""

# A word of X-Road too, so that it cannot stand among the words that only PayGov uses.
_SERVICE_CODE = "serviceCode"
_TAKEN = "SUCCESSFUL"
_FAILED = "FAILED"
_FORGED = "SIGNATURE_WRONG"
_ATTEMPT = "01"


def order_number(order: money.PaymentOrder, *, unit_code: str) -> str:
    """Make the number of an order; it is never taken apart again: the request's own number finds the payment."""
    return f"{unit_code}-{order.dossier_code}-{_ATTEMPT}"


def payment(order: money.PaymentOrder, *, partner: str, unit_code: str, return_url: str) -> dict[str, str]:
    """Ask for a payment: what both forms have."""
    values = {
        "partner": partner,
        "return_url": return_url,
        "order": order_number(order, unit_code=unit_code),
        "amount": str(order.amount_vnd),
        "description": callbacks.plain_ascii(order.description),
        "reference": order.reference,
        "address": order.payer.address_of_device,
    }
    return {NAMES[name]: value for name, value in values.items()}


def with_checksum(body: Mapping[str, str], *, access_key: str, service_code: str, secret: str) -> dict[str, str]:
    """Add what the form with a checksum has (seen for Hậu Giang)."""
    signed = (body[NAMES[name]] for name in ("partner", "order", "reference", "amount"))
    return {
        **body,
        NAMES["access_key"]: access_key,
        _SERVICE_CODE: service_code,
        NAMES["checksum"]: auth.checksum([secret, access_key, *signed]),
    }


def with_account(body: Mapping[str, str], *, beneficiary_code: str, account: str) -> dict[str, str]:
    """Add what the form without a checksum has (seen for Đồng Tháp)."""
    return {**body, NAMES["beneficiary_code"]: beneficiary_code, NAMES["account"]: account}


def pay_url(reply: http.Reply) -> str:
    """Take the payment page out of an answer. Raises RemoteRefused, OutcomeUnknown where it cannot be read."""
    found = answer(reply, changes=True)
    inner = found.get(NAMES["data"])
    if isinstance(inner, dict) and inner.get(NAMES["url"]):
        return answers.web_address(inner[NAMES["url"]], system=SYSTEM)
    raise _refusal(found)


def _refusal(found: Mapping[str, Any]) -> errors.RemoteError:
    code = found.get(NAMES["error_code"], found.get(NAMES["code"]))
    if code is None:
        return outcomes.garbled("neither a result nor a code", system=SYSTEM)
    said = found.get(NAMES["error_message"]) or found.get(NAMES["message"])
    return answers.refused(MAPPING, code=code, said=said)


def answer(reply: http.Reply, *, changes: bool) -> dict[str, Any]:
    """Read an answer as an object."""
    return answers.read(reply, _opened, changes=changes)


def _opened(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise outcomes.garbled("no object", system=SYSTEM)
    return body


# ---------------------------------------------------------------------------------------------------- callbacks


def verify(fields: callbacks.Fields, recipe: auth.Recipe, *, secret: str, access_key: str) -> None:
    """Hold a callback against a recipe. Raises ProofRejected."""

    def value_of(name: str) -> str:
        if name == NAMES["amount"]:
            return str(callbacks.whole(fields, name, system=SYSTEM))
        return callbacks.text(fields, name, system=SYSTEM, separator=recipe.separator, default="")

    given = callbacks.text(fields, NAMES["checksum"], system=SYSTEM)
    expected = recipe.sign(value_of, secret=secret, access_key=access_key)
    if not secret or not callbacks.is_same(given, expected):
        raise callbacks.forged(SYSTEM, "checksum")


def read_callback(fields: callbacks.Fields, *, partner: str) -> money.PaymentNews:
    """Read a callback that is believed. An unknown code is put before a person.

    Raises RemoteGarbled where what it must hold is not there.
    """
    try:
        told = {
            name: callbacks.text(fields, NAMES[name], system=SYSTEM, default="")
            for name in ("reference", "code", "transaction", "transaction_code", "gateway", "paid_at")
        }
        amount = callbacks.whole(fields, NAMES["amount"], system=SYSTEM)
    except errors.ProofRejected as error:
        raise outcomes.garbled(str(error.facts.get("reason", "")), system=SYSTEM) from None
    if not told["reference"] or not told["code"]:
        raise outcomes.garbled("no reference or no code", system=SYSTEM)
    state = str(RESULTS.get(told["code"], "needs_person"))
    return money.PaymentNews.model_validate(
        {
            "reference": told["reference"],
            "amount_vnd": amount,
            "partner": partner,
            "state": state,
            "provider_reference": told["transaction_code"] or told["transaction"],
            "provider_code": told["code"],
            "bank": told["gateway"],
            "paid_at": callbacks.moment(told["paid_at"]) if state == "paid" else None,
        }
    )


def callback_reply(outcome: money.CallbackOutcome) -> money.CallbackReply:
    """Answer a callback in PayGov's three words."""
    word = _TAKEN if outcome in ("recorded", "already") else _FORGED if outcome == "forged" else _FAILED
    said = {_TAKEN: "Thành công", _FORGED: "Sai chữ ký"}.get(word, "Không ghi nhận")
    return callbacks.json_reply({NAMES["error_code"]: word, NAMES["error_message"]: said})


# ------------------------------------------------------------------------------------------------------ receipt


def receipt(order: money.PaymentOrder, *, partner: str, access_key: str, secret: str) -> dict[str, str]:
    """Ask for the receipt of a payment; every text goes without accents, as the checksum is made over it."""
    payer, unit = order.payer, order.beneficiary
    at = (order.paid_at or order.created_at).astimezone(clock.VIETNAM)
    other = {
        NAMES["unit_code"]: unit.unit_code,
        NAMES["unit_name"]: callbacks.plain_ascii(unit.unit_name),
    }
    values = {
        "partner": partner,
        "access_key": access_key,
        "payer_number": payer.citizen_id,
        "payer_name": callbacks.plain_ascii(payer.name),
        "payer_address": callbacks.plain_ascii(payer.address),
        "payer_district": callbacks.plain_ascii(payer.district),
        "payer_province": callbacks.plain_ascii(payer.province),
        "dossier_code": order.dossier_code,
        "procedure_name": callbacks.plain_ascii(order.procedure_name),
        "paid": _packed([order.provider_reference]),
        "other": _packed(other),
        "decided_on": at.strftime("%d-%m-%Y"),
    }
    signed = auth.checksum([secret, *values.values()])
    return {**{NAMES[name]: value for name, value in values.items()}, NAMES["checksum"]: signed}


def _packed(value: Any) -> str:
    return base64.b64encode(orjson.dumps(value)).decode("ascii")


def receipt_url(reply: http.Reply) -> str:
    """Take the address of a receipt out of an answer. Raises RemoteRefused, RemoteGarbled."""
    found = answer(reply, changes=False)
    inner = found.get(NAMES["data"])
    for box in (found, inner if isinstance(inner, dict) else {}):
        if box.get(NAMES["receipt_url"]):
            return answers.web_address(box[NAMES["receipt_url"]], system=SYSTEM)
    raise _refusal(found)
