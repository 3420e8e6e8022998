"""The WS-Security header of a message: who says to be calling, when, and where the signature stands."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lienthong.bus.gateway import soap_envelope
from lienthong.core import errors, settings

Node = soap_envelope.Node

_OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
WSSE = f"{{{_OASIS}wssecurity-secext-1.0.xsd}}"
WSU = f"{{{_OASIS}wssecurity-utility-1.0.xsd}}"
DS = "{http://www.w3.org/2000/09/xmldsig#}"
_TYPES = {
    "": False,
    f"{_OASIS}username-token-profile-1.0#PasswordText": False,
    f"{_OASIS}username-token-profile-1.0#PasswordDigest": True,
}
_LONGEST_NONCE = 256
_LONGEST_PASSWORD = 256


@dataclass(frozen=True, slots=True)
class UsernameToken:
    """Who says to be calling. `password` is the key itself; where `is_digest` that of the SOAP password."""

    username: str
    password: str
    is_digest: bool
    nonce: bytes | None
    created: str | None


@dataclass(frozen=True, slots=True)
class Security:
    """The parts of the header that this door knows; each comes at most once."""

    username: UsernameToken | None = None
    timestamp: Node | None = None
    signature: Node | None = None
    certificate: Node | None = None


def read(envelope: soap_envelope.Envelope) -> Security:
    """Read the header. Raises ProofRejected where it cannot be read."""
    block = envelope.block(soap_envelope.SECURITY)
    if block is None:
        return Security()
    username = _only(block, f"{WSSE}UsernameToken")
    return Security(
        None if username is None else _username(username),
        _only(block, f"{WSU}Timestamp"),
        _only(block, f"{DS}Signature"),
        _only(block, f"{WSSE}BinarySecurityToken"),
    )


def check_time(timestamp: Node, *, now: datetime, rules: settings.Soap) -> tuple[datetime, datetime]:
    """Insist that a message is of now; gives from when to when it may be believed. Raises ProofRejected."""
    created = moment(text_of(timestamp, f"{WSU}Created") or "")
    expires_text = text_of(timestamp, f"{WSU}Expires")
    longest = created + timedelta(seconds=rules.username_token_age_s)
    expires = longest if expires_text is None else min(longest, moment(expires_text))
    check_fresh(created, expires, now=now, rules=rules)
    return created, expires


def check_fresh(created: datetime, expires: datetime, *, now: datetime, rules: settings.Soap) -> None:
    """Refuse what was made in the future, or is over. Raises ProofRejected."""
    skew = timedelta(seconds=rules.clock_skew_s)
    reads = now.astimezone(UTC).isoformat(timespec="seconds")
    if created > now + skew:
        raise rejected(
            f"Đầu Security được tạo ở tương lai: đồng hồ của trục là {reads}. Hãy chỉnh đồng hồ máy gửi (NTP).",
            f"The Security header was created in the future: the hub's clock reads {reads}. Set your clock (NTP).",
            reason="wsse_future",
        )
    if now > expires + skew:
        raise rejected(
            f"Đầu Security đã quá hạn: đồng hồ của trục là {reads}. Mỗi yêu cầu cần Created và Nonce mới.",
            f"The Security header is over: the hub's clock reads {reads}. Make Created and Nonce anew for every "
            "request.",
            reason="wsse_old",
        )


def moment(text: str) -> datetime:
    """Read a time of WS-Security; one without a zone is UTC, as the standard has it. Raises ProofRejected."""
    try:
        found = datetime.fromisoformat(text)
        # In one zone, and not at the ends of the calendar: ages are counted from it.
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _unreadable("Created") from None
    if not 1900 <= found.year <= 2199:
        raise _unreadable("Created")
    return found


def text_of(node: Node, tag: str) -> str | None:
    """Give the text of the one child of this name. Raises ProofRejected where it is no text, or comes twice."""
    child = _only(node, tag)
    if child is None:
        return None
    if len(child):
        raise _unreadable(_short(tag))
    return (child.text or "").strip()


def rejected(vi: str, en: str, *, reason: str) -> errors.ProofRejected:
    """Refuse a Security header."""
    return errors.ProofRejected(en, detail_vi=vi, reason=reason)


def _username(node: Node) -> UsernameToken:
    password = _only(node, f"{WSSE}Password")
    username = text_of(node, f"{WSSE}Username")
    if password is None or not username or len(username) > _LONGEST_PASSWORD:
        raise _unreadable("UsernameToken")
    kind = _TYPES.get(password.get("Type", "").strip())
    given = text_of(node, f"{WSSE}Password") or ""
    nonce = text_of(node, f"{WSSE}Nonce")
    created = text_of(node, f"{WSU}Created")
    if kind is None or len(given) > _LONGEST_PASSWORD:
        raise _unreadable("Password")
    if kind and (nonce is None or created is None):
        raise rejected(
            "PasswordDigest phải kèm Nonce và Created.",
            "A PasswordDigest goes with Nonce and Created.",
            reason="wsse_no_nonce",
        )
    return UsernameToken(username, given, kind, None if nonce is None else _nonce(nonce), created)


def _nonce(text: str) -> bytes:
    try:
        found = base64.b64decode(text, validate=True) if len(text) <= _LONGEST_NONCE else b""
    except binascii.Error:
        found = b""
    if len(found) < 8:
        raise _unreadable("Nonce")
    return found


def _only(node: Node, tag: str) -> Node | None:
    found = node.findall(tag)
    if len(found) > 1:
        raise _unreadable(_short(tag))
    return found[0] if found else None


def _short(tag: str) -> str:
    return tag.rpartition("}")[2]


def _unreadable(name: str) -> errors.ProofRejected:
    return rejected(
        f"Không đọc được phần {name} của đầu Security (WS-Security 1.1), hoặc phần này được gửi hai lần.",
        f"The part {name} of the Security header (WS-Security 1.1) cannot be read, or came twice.",
        reason="wsse_unreadable",
    )
