"""Messages of KeyPay as it spells them, and what its codes mean (contracts §7.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from lienthong.connectors import answers, callbacks, http, outcomes
from lienthong.connectors.keypay import auth
from lienthong.core import errors, money
from lienthong.mappings import engine

SYSTEM = "keypay"
MAPPING = engine.load(SYSTEM)
NAMES = MAPPING.envelope
STATES = MAPPING.spec.codes["status"].values
FEE_KINDS = {ours: theirs for theirs, ours in MAPPING.spec.codes["fee_kind"].values.items()}

PAY = "PAY"
VERSION = "3.0"
_NO_FEE = "0"
_PROCEDURE_FEES = "2"
_ENVIRONMENTS = {"web": "1", "app": "2"}
_LOCALE, _COUNTRY, _CURRENCY = "vn", "vi", "VND"
_TAKEN, _NOT_TAKEN = 0, -1

# What is signed: our words, in the order in which their names stand (contracts §7.2).
_PAYMENT_SIGNED = ("fee", "partner", "command", "amount", "reference", "version")
_QUESTION_SIGNED = ("partner", "command", "reference")
_REFUND_SIGNED = ("refund_amount", "partner", "command", "reason", "reference")
# A callback that does not repeat one of these is signed over what we sent.
_OURS = {"fee": _NO_FEE, "command": PAY, "version": VERSION}


def tidy(text: str) -> str:
    """Write text in ASCII without the separator of the checksum."""
    return callbacks.plain_ascii(text, without=auth.SEPARATOR)


def _signed(values: Mapping[str, str], names: tuple[str, ...], *, key: str) -> dict[str, Any]:
    checksum = auth.checksum([values[name] for name in names], key=key)
    return {**{NAMES[name]: value for name, value in values.items()}, NAMES["checksum"]: checksum}


def payment(
    order: money.PaymentOrder, *, partner: str, environment: Literal["web", "app"], service_suffix: str, key: str
) -> dict[str, Any]:
    """Ask for a payment."""
    values = {
        "partner": partner,
        "reference": order.reference,
        "amount": str(order.amount_vnd),
        "command": PAY,
        "version": VERSION,
        "description": tidy(order.description),
        "locale": _LOCALE,
        "country": _COUNTRY,
        "currency": _CURRENCY,
        "environment": _ENVIRONMENTS[environment],
        "return_url": order.return_url,
        "fee": _NO_FEE,
    }
    bill = receipt_facts(order, service_suffix=service_suffix)
    return {**_signed(values, _PAYMENT_SIGNED, key=key), NAMES["bill"]: bill}


def receipt_facts(order: money.PaymentOrder, *, service_suffix: str) -> dict[str, Any]:
    """Write what the receipt will say."""
    unit, payer = order.beneficiary, order.payer
    values: dict[str, Any] = {
        "service_kind": _PROCEDURE_FEES,
        "service_code": f"{order.procedure_code}{service_suffix}" if order.procedure_code else "",
        "service_name": order.procedure_name,
        "procedure_code": order.procedure_code,
        "procedure_name": order.procedure_name,
        "unit_code": unit.unit_code,
        "unit_name": unit.unit_name,
        "dossier_code": order.dossier_code,
        "account": unit.account,
        "account_bank": unit.bank_code,
        "account_holder": unit.holder,
        "fees": [_fee(line) for line in order.lines],
        "content": order.description,
        "payer_name": payer.name,
        "payer_number": payer.citizen_id,
        "payer_address": payer.address,
        "payer_district": payer.district,
        "payer_province": payer.province,
        "items": [{NAMES["item_content"]: order.description, NAMES["line_amount"]: str(order.amount_vnd)}],
    }
    return {NAMES[name]: value for name, value in values.items()}


def _fee(line: money.OwedLine) -> dict[str, str]:
    return {
        NAMES["fee_kind"]: FEE_KINDS[line.kind],
        NAMES["fee_code"]: line.code,
        NAMES["fee_name"]: line.name,
        NAMES["line_amount"]: str(line.amount_vnd),
    }


def question(reference: str, *, partner: str, command: str, key: str) -> dict[str, Any]:
    """Ask how a payment stands."""
    return _signed({"partner": partner, "command": command, "reference": reference}, _QUESTION_SIGNED, key=key)


def refund(order: money.RefundOrder, *, partner: str, command: str, key: str) -> dict[str, Any]:
    """Ask for money to be given back."""
    values = {
        "refund_amount": str(order.amount_vnd),
        "partner": partner,
        "command": command,
        "reason": tidy(order.reason),
        "reference": order.reference,
    }
    return _signed(values, _REFUND_SIGNED, key=key)


# ------------------------------------------------------------------------------------------------------ answers


def answer(reply: http.Reply, *, changes: bool) -> dict[str, Any]:
    """Take the data out of an answer. Raises RemoteRefused where the answer names an error."""
    return answers.read(reply, _opened, changes=changes)


def _opened(body: Any) -> dict[str, Any]:
    code = body.get(NAMES["error"]) if isinstance(body, dict) else None
    if not isinstance(code, str | int) or isinstance(code, bool):
        raise outcomes.garbled("no object with a code", system=SYSTEM)
    if str(code) != "0":
        raise answers.refused(MAPPING, code=code, said=body.get(NAMES["message"]))
    found = body.get(NAMES["data"])
    return found if isinstance(found, dict) else {}


def started(found: Mapping[str, Any]) -> money.PaymentStarted:
    """Read where the payer goes, and KeyPay's own number."""
    return money.PaymentStarted(
        pay_url=answers.web_address(found.get(NAMES["pay_url"]), system=SYSTEM),
        provider_reference=_told(found, "number"),
    )


def read_state(found: Mapping[str, Any], *, reference: str, partner: str) -> money.PaymentNews:
    """Read the answer to a question. Raises UnmappedCode for a status that is not known, else RemoteGarbled."""
    values = {name: _told(found, name) for name in ("reference", "partner", "status", "number", "currency")}
    if values["reference"] not in (reference, "") or values["partner"] not in (partner, ""):
        raise outcomes.garbled("the answer is about another payment", system=SYSTEM)
    if not values["status"]:
        raise outcomes.garbled("no status", system=SYSTEM)
    if values["status"] not in STATES:
        raise errors.UnmappedCode(
            "a status of payment is not mapped", contract=SYSTEM, field="state", value=values["status"][:30]
        )
    try:
        amount = callbacks.whole(found, NAMES["amount"], system=SYSTEM)
    except errors.ProofRejected:
        raise outcomes.garbled("no amount", system=SYSTEM) from None
    return _news({**values, "reference": reference}, amount=amount, partner=partner, code=values["status"])


def _told(found: Mapping[str, Any], name: str) -> str:
    try:
        return callbacks.text(found, NAMES[name], system=SYSTEM, default="")
    except errors.ProofRejected:
        raise outcomes.garbled("a field is no plain text", system=SYSTEM) from None


# ---------------------------------------------------------------------------------------------------- callbacks


def verified(fields: callbacks.Fields, *, partner: str, key: str) -> dict[str, str]:
    """Give the values of a callback as text, its checksum verified. Raises ProofRejected.

    The status is among them, though no checksum covers it: whoever believes it must ask.
    """
    values = {
        name: callbacks.text(fields, NAMES[name], system=SYSTEM, separator=auth.SEPARATOR, default=_OURS.get(name))
        for name in _PAYMENT_SIGNED
    }
    values["amount"] = str(callbacks.whole(fields, NAMES["amount"], system=SYSTEM))
    given = callbacks.text(fields, NAMES["checksum"], system=SYSTEM)
    expected = auth.checksum([values[name] for name in _PAYMENT_SIGNED], key=key)
    if not key or not callbacks.is_same(given, expected):
        raise callbacks.forged(SYSTEM, "checksum")
    if values["partner"] != partner or values["command"] != PAY:
        raise callbacks.forged(SYSTEM, "for another partner, or no payment")
    values["status"] = _told(fields, "status")
    values["number"] = _told(fields, "number")
    values["currency"] = _told(fields, "currency")
    return values


def read_callback(values: Mapping[str, str], *, is_status_believed: bool) -> money.PaymentNews:
    """Read a verified callback. Where its status is not believed, all it says is that something happened."""
    code = values["status"]
    if not code:
        raise outcomes.garbled("no status", system=SYSTEM)
    state = str(STATES.get(code, "needs_person")) if is_status_believed else "pending"
    return _news(values, amount=int(values["amount"]), partner=values["partner"], code=code, state=state)


def _news(
    values: Mapping[str, str], *, amount: int, partner: str, code: str, state: str = ""
) -> money.PaymentNews:
    return money.PaymentNews.model_validate(
        {
            "reference": values["reference"],
            "amount_vnd": amount,
            "currency": values["currency"] or _CURRENCY,
            "partner": partner,
            "state": state or str(STATES[code]),
            "provider_reference": values["number"],
            "provider_code": code,
        }
    )


def callback_reply(*, is_taken: bool) -> money.CallbackReply:
    """Answer a callback."""
    said = "Thành công" if is_taken else "Không ghi nhận"
    return callbacks.json_reply(
        {NAMES["return_code"]: _TAKEN if is_taken else _NOT_TAKEN, NAMES["return_message"]: said}
    )


def is_old_record_true(values: Mapping[str, str], *, secret: str, digest: Literal["md5", "sha256"]) -> bool:
    """Tell whether a record of version 1 is signed by what was the secret then."""
    given = values.get(NAMES["old_checksum"], "")
    signed = {name: value for name, value in values.items() if name != NAMES["old_checksum"]}
    return bool(secret) and callbacks.is_same(given, auth.old_checksum(signed, secret=secret, digest=digest))
