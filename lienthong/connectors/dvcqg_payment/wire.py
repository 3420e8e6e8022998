"""Messages of the payment platform as it spells them, and what its codes mean (contracts §7.1)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from lienthong.connectors import answers, base, callbacks, http, outcomes
from lienthong.connectors.dvcqg_payment import auth
from lienthong.core import clock, errors, money
from lienthong.mappings import engine

SYSTEM = "dvcqg_payment"
MAPPING = engine.load(SYSTEM)
NAMES = MAPPING.envelope
RESULTS = MAPPING.spec.codes["result"].values
STATES = MAPPING.spec.codes["state"].values
FEE_KINDS = {ours: theirs for theirs, ours in MAPPING.spec.codes["fee_kind"].values.items()}

INIT = "INIT"
QUERY = "QUERY"
BILL = "GET_BILL"
OK, ERROR = "00", "99"
_VND = "VND"
_PAY = "PAY"
_PROCEDURE_FEES = "2"
_LONGEST_NAME = 250
_MOST_LOOKUP_LETTERS = 50

_INIT_SIGNED = (
    "kind", "version", "partner", "reference", "amount", "pay_kind", "channel", "device", "language", "currency",
    "bank", "description", "at", "address",
)  # fmt: skip
_CALLBACK_SIGNED = (
    "kind", "code", "partner", "reference", "amount", "currency", "number", "bank", "at", "description",
)  # fmt: skip
_ASK_SIGNED = ("kind", "version", "partner", "reference", "at")
_MAY_BE_ABSENT = frozenset({"number", "bank", "description"})
_FINES = tuple(name for name in NAMES if name.startswith("fine_"))


def stamp(at: datetime) -> str:
    """Write a time as 14 digits in Vietnam time."""
    return at.astimezone(clock.VIETNAM).strftime("%Y%m%d%H%M%S")


def tidy(text: str, *, longest: int | None = None) -> str:
    """Write text in ASCII without the separator of the checksum."""
    return callbacks.plain_ascii(text, longest=longest, without=auth.SEPARATOR)


def init(order: money.PaymentOrder, given: Mapping[str, str], *, secret: str) -> dict[str, Any]:
    """Ask for a payment. `given` are the values that the settings hold, by our words."""
    values = {
        "kind": INIT,
        "reference": order.reference,
        "amount": str(order.amount_vnd),
        "pay_kind": _PAY,
        "currency": _VND,
        "description": tidy(order.description),
        "at": stamp(order.created_at),
        "address": order.payer.address_of_device,
        **{name: value for name, value in given.items() if name in _INIT_SIGNED},
    }
    body: dict[str, Any] = {NAMES[name]: values[name] for name in _INIT_SIGNED}
    body[NAMES["receipt"]] = receipt_facts(order, service_suffix=given["service_suffix"])
    body[NAMES["checksum"]] = auth.checksum([values[name] for name in _INIT_SIGNED], secret=secret)
    return body


def receipt_facts(order: money.PaymentOrder, *, service_suffix: str) -> dict[str, Any]:
    """Write what the receipt will say; fields of fines are there and empty."""
    service = f"{order.procedure_code}{service_suffix}" if order.procedure_code else ""
    name = order.procedure_name[:_LONGEST_NAME]
    values: dict[str, Any] = {
        "service_kind": _PROCEDURE_FEES,
        "service_code": service,
        "service_name": name,
        "procedure_code": order.procedure_code,
        "procedure_name": name,
        "unit_code": order.beneficiary.unit_code,
        "unit_name": order.beneficiary.unit_name,
        "dossier_code": order.dossier_code,
        "account": order.beneficiary.account,
        "account_bank": order.beneficiary.bank_code,
        "account_holder": order.beneficiary.holder,
        "fees": [_fee(line) for line in order.lines],
        "content": order.description,
        "payer_name": order.payer.name,
        "payer_number": order.payer.citizen_id,
        "payer_address": order.payer.address,
        "payer_district": order.payer.district,
        "payer_province": order.payer.province,
        "items": [{NAMES["item_content"]: order.description, NAMES["amount"]: str(order.amount_vnd)}],
        **dict.fromkeys(_FINES, ""),
    }
    return {NAMES[name]: value for name, value in values.items()}


def _fee(line: money.OwedLine) -> dict[str, str]:
    return {
        NAMES["fee_kind"]: FEE_KINDS[line.kind],
        NAMES["fee_code"]: line.code,
        NAMES["fee_name"]: line.name,
        NAMES["amount"]: str(line.amount_vnd),
    }


def question(
    kind: str, *, version: str, partner: str, reference: str, at: datetime, secret: str
) -> dict[str, str]:
    """Ask how a payment stands, or for its receipt."""
    given = {"kind": kind, "version": version, "partner": partner, "reference": reference, "at": stamp(at)}
    values = [given[name] for name in _ASK_SIGNED]
    return {
        **{NAMES[name]: given[name] for name in _ASK_SIGNED},
        NAMES["checksum"]: auth.checksum(values, secret=secret),
    }


# ------------------------------------------------------------------------------------------------------ answers


def answer(reply: http.Reply, *, changes: bool) -> dict[str, Any]:
    """Take an answer out of its envelope, of the platform itself or of a façade before it."""
    return answers.read(reply, _opened, changes=changes)


def _opened(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise outcomes.garbled("no object", system=SYSTEM)
    if NAMES["error_code"] not in body:
        return body
    code, inner = str(body[NAMES["error_code"]]), body.get(NAMES["message"])
    if code.strip("0") or not code:
        raise answers.refused(MAPPING, code=code, said=inner)
    found = outcomes.read_json(inner.encode(), system=SYSTEM) if isinstance(inner, str) else inner
    if not isinstance(found, dict):
        raise outcomes.garbled("no object in the façade's text", system=SYSTEM)
    return found


def accepted(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give an answer back whose code says that the question was served. Raises RemoteRefused, RemoteGarbled."""
    code = code_of(found)
    if code != OK:
        raise answers.refused(MAPPING, code=code, said=found.get(NAMES["said"]))
    return found


def code_of(found: Mapping[str, Any]) -> str:
    """Give the code of an answer. Raises RemoteGarbled where there is none."""
    code = found.get(NAMES["code"])
    if not isinstance(code, str | int) or isinstance(code, bool):
        raise outcomes.garbled("no code", system=SYSTEM)
    return base.safe_text(code)


def pay_url(found: Mapping[str, Any]) -> str:
    """Take the payment page out of an answer. Raises RemoteRefused, RemoteGarbled."""
    if NAMES["code"] in found or NAMES["pay_url"] not in found:
        accepted(found)
    return answers.web_address(found.get(NAMES["pay_url"]), system=SYSTEM)


# ---------------------------------------------------------------------------------------------------- callbacks


def read_callback(fields: callbacks.Fields, *, partner: str, secret: str) -> money.PaymentNews:
    """Verify the checksum of a result, then read it. An unknown code is put before a person."""
    values = verified(fields, partner=partner, secret=secret)
    code = values["code"]
    return _news(values, state=str(RESULTS.get(code, "needs_person")), code=code)


def verified(fields: callbacks.Fields, *, partner: str, secret: str) -> dict[str, str]:
    """Give the signed values of a result as text. Raises ProofRejected for all that does not prove itself."""
    values = {name: _signed(fields, name) for name in _CALLBACK_SIGNED}
    given = callbacks.text(fields, NAMES["checksum"], system=SYSTEM)
    expected = auth.checksum([values[name] for name in _CALLBACK_SIGNED], secret=secret)
    if not secret or not callbacks.is_same(given, expected):
        raise callbacks.forged(SYSTEM, "checksum")
    if values["partner"] != partner:
        raise callbacks.forged(SYSTEM, "for another partner")
    return values


def _signed(fields: callbacks.Fields, name: str) -> str:
    if name == "amount":
        return str(callbacks.whole(fields, NAMES[name], system=SYSTEM))
    default = "" if name in _MAY_BE_ABSENT else None
    return callbacks.text(fields, NAMES[name], system=SYSTEM, separator=auth.SEPARATOR, default=default)


def _news(values: Mapping[str, str], *, state: str, code: str) -> money.PaymentNews:
    return money.PaymentNews.model_validate(
        {
            "reference": values["reference"],
            "amount_vnd": int(values["amount"]) if values["amount"] else None,
            "currency": values["currency"],
            "partner": values["partner"],
            "state": state,
            "provider_reference": values["number"],
            "provider_code": code,
            "bank": values["bank"],
            "paid_at": callbacks.moment(values["at"]) if state == "paid" else None,
        }
    )


def read_state(
    found: Mapping[str, Any], *, reference: str, partner: str, secret: str, signature: str
) -> money.PaymentNews:
    """Read the answer to a question. Raises UnmappedCode for a state that is not known, else RemoteGarbled."""
    accepted(found)
    try:
        if signature == "required" or (signature == "if_present" and found.get(NAMES["checksum"])):
            values = verified(found, partner=partner, secret=secret)
        else:
            values = {name: _told(found, name) for name in _CALLBACK_SIGNED}
            values["currency"] = values["currency"] or _VND
        code = callbacks.text(found, NAMES["state"], system=SYSTEM)
    except errors.ProofRejected as error:
        raise outcomes.garbled(str(error.facts.get("reason", "")), system=SYSTEM) from None
    if values["reference"] != reference or values["partner"] not in (partner, ""):
        raise outcomes.garbled("the answer is about another payment", system=SYSTEM)
    if code not in STATES:
        raise errors.UnmappedCode(
            "a state of payment is not mapped", contract=SYSTEM, field="state", value=code[:30]
        )
    if STATES[code] == "paid" and not values["amount"]:
        raise outcomes.garbled("paid without an amount", system=SYSTEM)
    return _news(values, state=str(STATES[code]), code=code)


def _told(found: Mapping[str, Any], name: str) -> str:
    if found.get(NAMES[name]) in (None, ""):
        return ""
    return _signed(found, name)


def callback_reply(request: money.CallbackRequest, *, is_taken: bool) -> money.CallbackReply:
    """Answer a result: the code, and the incoming checksum given back, as both known clients do (§7.1.3)."""
    try:
        fields = callbacks.read_object(request.body, system=SYSTEM)
    except errors.ProofRejected:
        fields = {}
    head = {
        NAMES["code"]: OK if is_taken else ERROR,
        NAMES["said"]: "Thành công" if is_taken else "Không ghi nhận",
    }
    names = (NAMES["partner"], NAMES["reference"], NAMES["at"], NAMES["checksum"])
    return callbacks.json_reply({**head, **{name: _echoed(fields, name) for name in names}})


def _echoed(fields: callbacks.Fields, name: str) -> str:
    """Give a field back as it came, for the reply alone; empty where it is no plain text."""
    try:
        return callbacks.text(fields, name, system=SYSTEM, default="")
    except errors.ProofRejected:
        return ""


# -------------------------------------------------------------------------------------------------- bill lookup


def read_lookup(request: money.CallbackRequest) -> str:
    """Read which dossier is asked about. Raises InvalidRequest: nothing in this question is signed."""
    try:
        fields = callbacks.read_object(request.body, system=SYSTEM)
        code = callbacks.text(fields, NAMES["dossier_code"], system=SYSTEM).strip()
    except errors.ProofRejected:
        code = ""
    if not code or len(code) > _MOST_LOOKUP_LETTERS:
        raise errors.InvalidRequest("no dossier code", detail_vi="Thiếu mã hồ sơ.")
    return code


def lookup_reply(
    order: money.PaymentOrder | None, *, is_known: bool, partner: str, service_suffix: str, now: datetime
) -> money.CallbackReply:
    """Say what a dossier owes: 1 with the facts, 0 where nothing (more) is owed, -1 where it is not known."""
    if order is None:
        return callbacks.json_reply({NAMES["error_code"]: 0 if is_known else -1, NAMES["message"]: []})
    facts = {
        NAMES["lookup_transaction"]: order.reference,
        NAMES["lookup_client"]: partner,
        NAMES["lookup_number"]: order.dossier_code + stamp(now),
        **receipt_facts(order, service_suffix=service_suffix),
    }
    return callbacks.json_reply({NAMES["error_code"]: 1, NAMES["message"]: facts})


def read_bill(reply: http.Reply) -> money.ReceiptFile:
    """Read a receipt: a PDF, or where it can be fetched. Raises RemoteRefused, RemoteGarbled."""
    if reply.body.startswith(b"%PDF-"):
        return money.ReceiptFile(content=reply.body, content_type="application/pdf")
    found = answer(reply, changes=False)
    if NAMES["code"] in found or NAMES["bill_url"] not in found:
        accepted(found)
    return money.ReceiptFile(url=answers.web_address(found.get(NAMES["bill_url"]), system=SYSTEM))
