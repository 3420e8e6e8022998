"""Messages as MoMo spells them, in the order that is signed, and what its codes mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, cast

from lienthong.connectors import base, callbacks, http, outcomes
from lienthong.connectors.momo import auth
from lienthong.core import errors, money
from lienthong.mappings import engine

SYSTEM = "momo"
MAPPING = engine.load(SYSTEM)
NAMES = MAPPING.envelope
SERVICES = MAPPING.services
ANSWERING_STATUSES = frozenset({400, 422})
"""Statuses whose body is an answer with a code of MoMo's (contracts §7.5)."""


def _recipe(*words: str) -> tuple[str, ...]:
    return tuple(sorted(NAMES[word] for word in words))


RECIPES: Mapping[str, tuple[str, ...]] = {
    "create": _recipe(
        "access_key", "amount", "extra", "callback_url", "order", "description",
        "partner", "return_url", "request_number", "request_kind",
    ),
    "callback": _recipe(
        "access_key", "amount", "extra", "message", "order", "description", "order_kind",
        "partner", "pay_kind", "request_number", "answered_at", "code", "number",
    ),
    "query": _recipe("access_key", "order", "partner", "request_number"),
    "refund_query": _recipe("access_key", "order", "partner", "request_number"),
    "refund": _recipe("access_key", "amount", "reason", "order", "partner", "request_number", "number"),
}  # fmt: skip
"""What is signed of each message: in the order of the names, as all recipes of the page are."""

_NUMBERS = tuple(NAMES[word] for word in ("amount", "answered_at", "code", "number"))
_READ = frozenset(name for field in MAPPING.spec.messages["callback"].fields for name in field.wire)
_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_STATUSES: Mapping[money.CallbackOutcome, int] = {
    "recorded": 204,
    "already": 204,
    "unknown_reference": 204,
    "amount_differs": 204,
    "forged": 400,
    "unreadable": 400,
    "address_refused": 403,
    "failed": 503,
}
_REFUSALS: Mapping[str, type[errors.RemoteError]] = {
    "unavailable": errors.RemoteUnavailable,
    "forbidden": errors.RemoteForbids,
    "busy": errors.RemoteBusy,
}


# --------------------------------------------------------------------------------------------------- what we send


def signed_body(recipe: str, fields: Mapping[str, Any], *, access_key: str, secret: str) -> dict[str, Any]:
    """Write a message as a body, its signature in it; the access key itself goes with a creation only."""
    body = {NAMES[word]: value for word, value in fields.items()}
    key = {NAMES["access_key"]: access_key}
    text = auth.signed_text(RECIPES[recipe], {**body, **key})
    return {**body, **(key if recipe == "create" else {}), NAMES["signature"]: auth.sign(text, secret)}


def plain(text: str, *, longest: int = 255) -> str:
    """Write text without accents and without what could be taken for another field."""
    return callbacks.plain_ascii(text, longest=longest, without="&=")


# ----------------------------------------------------------------------------------------------- what comes to us


def callback(
    given: Mapping[str, Any], *, access_key: str, secret: str, partner: str, as_texts: bool
) -> money.PaymentNews:
    """Verify what MoMo sent and read it. `as_texts`: from an address, where numbers are texts, too.

    Raises ProofRejected for anything that MoMo did not sign for us, RemoteGarbled for what cannot be read.
    """
    signed = {
        name: _signed_text(given, name, as_texts=as_texts)
        for name in RECIPES["callback"]
        if name != NAMES["access_key"]
    }
    signature = callbacks.text(given, NAMES["signature"], system=SYSTEM)
    fields = {**signed, NAMES["access_key"]: access_key}
    if not _SIGNATURE.fullmatch(signature) or not auth.holds(
        RECIPES["callback"], fields, signature=signature, secret=secret
    ):
        raise callbacks.forged(SYSTEM, "wrong signature")
    if signed[NAMES["partner"]] != partner:
        raise callbacks.forged(SYSTEM, "for another partner")
    return news(signed)


def _signed_text(given: Mapping[str, Any], name: str, *, as_texts: bool) -> str:
    if (name in _NUMBERS) != (type(given.get(name)) is int) and not as_texts:
        raise callbacks.forged(SYSTEM, "a field has the wrong type")
    return callbacks.text(given, name, system=SYSTEM)


def news(fields: Mapping[str, Any]) -> money.PaymentNews:
    """Read a message that was believed: of its fields those that are mapped. Raises RemoteGarbled."""
    known = {name: fields[name] for name in _READ if name in fields}
    read: money.PaymentNews = MAPPING.message("callback").from_wire(known)
    if read.state == "paid" and not read.amount_vnd:
        raise outcomes.garbled("paid, but no amount", system=SYSTEM)
    moved = read.state in ("paid", "needs_person", "reversed")
    return read if moved else read.model_copy(update={"paid_at": None})


def reply(outcome: money.CallbackOutcome) -> money.CallbackReply:
    """Write the reply: nothing, with a status; 204 for whatever MoMo need not send again."""
    return money.CallbackReply(status=_STATUSES[outcome], body=b"")


def answer(reply: http.Reply, *, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Take an answer apart. Raises RemoteGarbled where it is none, or one to another question."""
    body = reply.json()
    if not isinstance(body, dict) or type(body.get(NAMES["code"])) is not int:
        raise outcomes.garbled("no answer with a code", system=SYSTEM)
    for word in ("partner", "order", "request_number"):
        name = NAMES[word]
        if body.get(name, sent[name] if code(body) != "0" else None) != sent[name]:
            raise outcomes.garbled("the answer is to another question", system=SYSTEM)
    return body


def refund_heard(body: Mapping[str, Any], order: money.RefundOrder) -> money.RefundNews:
    """Read an answer about a refund: only the line of its number and its amount says anything of it.

    Anything else leaves it open. Raises what `refused` names.
    """
    trouble = means("trouble", body)
    if trouble and trouble != "absent":
        raise refused(body)
    lines = body.get(NAMES["refunds"])
    ours = [
        line
        for line in (lines if isinstance(lines, list) else [])
        if isinstance(line, dict)
        and line.get(NAMES["order"]) == order.request_number
        and line.get(NAMES["amount"]) == order.amount_vnd
        and type(line.get(NAMES["code"])) is int
    ]
    if len(ours) != 1:
        return money.RefundNews(state="pending", provider_code=code(body), provider_message=said(body))
    [line] = ours
    state = means("refund_state", line)
    return money.RefundNews(
        state=cast(Literal["done", "refused", "pending"], state if state in ("done", "refused") else "pending"),
        provider_reference=str(line.get(NAMES["number"]) or ""),
        provider_code=code(line),
        provider_message=said(body),
    )


def code(body: Mapping[str, Any]) -> str:
    """Give the code of an answer, as text."""
    return str(body[NAMES["code"]])


def means(kind: str, body: Mapping[str, Any]) -> str:
    """Say what the code of an answer means in a list of the mapping file; empty where it is not there."""
    return str(MAPPING.spec.codes[kind].values.get(code(body), ""))


def said(body: Mapping[str, Any]) -> str:
    """Give an answer's sentence without personal numbers."""
    return base.safe_text(body.get(NAMES["message"]) or "")


def refused(body: Mapping[str, Any]) -> errors.HubError:
    """Name an answer that is no success: a refusal, an earlier try under way, or a code that is not known."""
    meant = means("trouble", body)
    if means("state", body) == "pending":
        return errors.OutcomeUnknown(system=SYSTEM, remote_code=code(body))
    if not meant and not means("state", body):
        return errors.UnmappedCode(
            f"{SYSTEM} answered with a code that is not mapped",
            contract=SYSTEM,
            field="trouble",
            value=code(body)[:20],
        )
    sentence = said(body)
    return _REFUSALS.get(meant, errors.RemoteRefused)(
        f"MoMo refused: {sentence}" if sentence else "",
        detail_vi=f"MoMo từ chối: {sentence}" if sentence else "",
        system=SYSTEM,
        remote_code=code(body),
    )
