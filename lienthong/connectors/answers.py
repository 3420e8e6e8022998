"""What answers to payment calls have in common: who really answered, and whether something may have been done."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from lienthong.connectors import base, http, outcomes
from lienthong.core import errors, money
from lienthong.mappings import engine

_WEB_ADDRESS = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+(?:[/?#][!-~]*)?")
_LONGEST_ADDRESS = 4000

_Read = TypeVar("_Read")


def read(reply: http.Reply, opened: Callable[[Any], _Read], *, changes: bool) -> _Read:
    """Read an answer in JSON by `opened`, which raises RemoteGarbled where it is none of its kind.

    HTML or nothing with a success status is a gateway's word: RemoteUnavailable. What cannot be read leaves the
    outcome of a call that `changes` something unknown.
    """
    start = reply.body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start in (b"", b"<"):
        facts: dict[str, Any] = {"outcome_uncertain": True} if changes else {}
        raise errors.RemoteUnavailable(system=reply.system, remote_code="html" if start else "empty", **facts)
    try:
        return opened(reply.json())
    except errors.RemoteGarbled as error:
        if changes:
            raise errors.OutcomeUnknown(system=reply.system, reason=str(error.facts.get("reason", ""))) from None
        raise


def refused(mapping: engine.Mapping, *, code: object, said: object) -> errors.RemoteRefused:
    """Name a refusal with the intermediary's own code and sentence, free of long numbers and addresses."""
    told, sentence = base.safe_text(code), base.safe_text(said or "")
    who, after = mapping.spec.authority, f": {sentence}" if sentence else ""
    return errors.RemoteRefused(
        f"{who.en} refused with the code {told}{after}",
        detail_vi=f"{who.vi} từ chối, mã {told}{after}",
        system=mapping.spec.contract,
        remote_code=told,
        remote_message=sentence,
    )


def web_address(value: Any, *, system: str) -> str:
    """Give an address that a browser may be sent to. Raises RemoteGarbled for anything else."""
    if isinstance(value, str) and len(value) <= _LONGEST_ADDRESS and _WEB_ADDRESS.fullmatch(value):
        return value
    raise outcomes.garbled("no address of a web page", system=system)


def never_made(reference: str, *, now: datetime) -> money.PaymentOrder:
    """Make a payment that was never asked for: whoever is asked about it answers partners only."""
    return money.PaymentOrder(
        reference=reference,
        amount_vnd=1,
        dossier_code="",
        description=reference,
        payer=money.Payer(name=""),
        created_at=now,
        expires_at=now + timedelta(minutes=15),
    )
