"""Envelopes as the adapter spells them, and what its codes and texts mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lienthong.connectors import base, http
from lienthong.core import errors
from lienthong.mappings import engine, transforms

SYSTEM = "dvcqg_adapter"
MAPPING = engine.load(SYSTEM)
NAMES = MAPPING.envelope
SERVICES = MAPPING.services


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer taken out of its envelope. `rows` is None where the answer brings no list at all."""

    code: str
    message: str
    rows: list[Any] | None
    session: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the code says success: 0 in any spelling (contracts §3.5)."""
        return self.code != "" and self.code.strip("0") == ""

    def says(self, words: tuple[str, ...]) -> bool:
        """Whether the message has one of these words in it, whatever the case and the form of its letters."""
        message = transforms.plain(self.message).casefold()
        return any(transforms.plain(word).casefold() in message for word in words)


def login(username: str, password: str) -> dict[str, str]:
    """Make the body of a login."""
    return {NAMES["username"]: username, NAMES["password"]: password}


def call(service: str, *, session: str, agency: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Make the body of a call: the envelope and the service's own parameters side by side."""
    return {NAMES["session"]: session, NAMES["agency"]: agency, NAMES["service"]: service, **parameters}


def items(item: dict[str, Any], *, updating: bool | None = None) -> dict[str, Any]:
    """Make the parameters of a call that carries one item."""
    parameters: dict[str, Any] = {NAMES["data"]: [item]}
    if updating is not None:
        parameters = {NAMES["updating"]: str(updating), **parameters}
    return parameters


def read(reply: http.Reply, *, changes: bool) -> Answer:
    """Take an answer out of its envelope.

    HTML or nothing with a success status is a gateway that answered in the service's place: RemoteUnavailable,
    to be tried again (contracts §3.5), with `outcome_uncertain` where the call `changes` something. Text that
    is almost JSON was made by the service itself: RemoteGarbled, or OutcomeUnknown where the call may have
    taken effect.
    """
    fault = _gateway_fault(reply.body)
    if fault:
        raise errors.RemoteUnavailable(system=SYSTEM, remote_code=fault, outcome_uncertain=changes)
    try:
        body = reply.json()
        if not isinstance(body, dict) or body.get(NAMES["error_code"]) is None:
            raise errors.RemoteGarbled(system=SYSTEM, reason="no envelope")
    except errors.RemoteGarbled as garbled:
        if changes:
            raise errors.OutcomeUnknown(
                system=SYSTEM, remote_code="garbled", reason=garbled.facts.get("reason", "")
            ) from garbled
        raise
    return Answer(
        code=_code(body[NAMES["error_code"]]),
        message=_message(body.get(NAMES["message"])),
        rows=_rows(body),
        session=str(body.get(NAMES["session"]) or ""),
    )


def _gateway_fault(body: bytes) -> str:
    start = body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    return "empty" if not start else "html" if start == b"<" else ""


def _code(code: Any) -> str:
    return str(int(code)) if isinstance(code, float) and code.is_integer() else str(code).strip()


def _message(message: Any) -> str:
    return message if isinstance(message, str) else ""


def _rows(body: dict[str, Any]) -> list[Any] | None:
    """Find the list in any of its three places (contracts §2.1)."""
    found = body.get(NAMES["result"])
    if isinstance(found, dict) and NAMES["data"] in found:
        found = found[NAMES["data"]]
    if found is None:
        found = body.get(NAMES["data"])
    if isinstance(found, dict):
        return [found] if found else []
    if found is None and (NAMES["result"] in body or NAMES["data"] in body):
        return []
    return found if isinstance(found, list) else None


def refused(answer: Answer) -> errors.RemoteRefused:
    """Name a refusal, with the portal's sentence as far as it is free of personal numbers."""
    said = base.safe_text(answer.message)
    return errors.RemoteRefused(
        f"The National Public Service Portal refused: {said}" if said else "",
        detail_vi=f"Cổng Dịch vụ công quốc gia từ chối: {said}" if said else "",
        system=SYSTEM,
        remote_code=base.safe_text(answer.code),
        remote_message=said,
    )
