"""An official's signed assertion: a short-lived JWT of the system where the official signed in.

A caller cannot merely name an official; the system must have signed it with a key registered for its API key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt

from lienthong.api_keys import proof_register
from lienthong.core import errors

KIND = "assertion"
TYPE = "official+jwt"
_ALGORITHMS = ("EdDSA", "ES256", "RS256")
_LONGEST_TEXT = 4096
_CLAIMS = ("iss", "sub", "aud", "iat", "exp", "jti")
_OPTIONS: Any = {"require": list(_CLAIMS), "verify_exp": False, "verify_iat": False, "verify_nbf": False}


@dataclass(frozen=True, slots=True)
class Asserted:
    """An assertion whose signature is good. `digest` stands for this one assertion and no other."""

    official: str
    dossier: str | None
    purpose: str | None
    digest: str


def check(
    text: str,
    *,
    keys: Sequence[proof_register.Proof],
    key_id: str,
    audience: str,
    longest_s: int,
    skew_s: int,
    now: datetime,
) -> Asserted:
    """Check an assertion against the keys registered for the calling API key. Raises ProofRejected.

    Whether it was used before is not known here: its digest is written once, with the intention of the question.
    """
    if not text.isascii() or len(text) > _LONGEST_TEXT:
        raise _invalid("unreadable")
    try:
        header = jwt.get_unverified_header(text)
    except jwt.PyJWTError:
        raise _invalid("unreadable") from None
    signer = next((key for key in keys if key.kind == KIND and key.id == header.get("kid")), None)
    if signer is None:
        raise _invalid("unknown_key")
    if header.get("typ") != TYPE or "crit" in header:
        raise _invalid("type")
    try:
        claims = jwt.decode(text, signer.public_key, algorithms=_ALGORITHMS, audience=audience, options=_OPTIONS)
    except (jwt.PyJWTError, ValueError, TypeError) as exc:
        raise _invalid(type(exc).__name__) from None
    return _asserted(claims, key_id=key_id, longest_s=longest_s, skew_s=skew_s, now=now.timestamp())


def _asserted(claims: dict[str, Any], *, key_id: str, longest_s: int, skew_s: int, now: float) -> Asserted:
    issued_at, expires_at = claims["iat"], claims["exp"]
    if type(issued_at) is not int or type(expires_at) is not int or expires_at - issued_at > longest_s:
        raise _invalid("too_long")
    if now >= expires_at + skew_s:
        raise _expired()
    if now < issued_at - skew_s:
        raise _invalid("not_yet")
    texts = [claims[name] for name in ("iss", "sub", "jti")]
    further = [claims.get(name) for name in ("dossier", "purpose")]
    if not all(isinstance(text, str) and 0 < len(text) <= 300 for text in texts):
        raise _invalid("claims")
    if not all(text is None or isinstance(text, str) for text in further):
        raise _invalid("claims")
    digest = hashlib.sha256("\n".join((key_id, claims["iss"], claims["jti"])).encode()).hexdigest()
    return Asserted(claims["sub"], further[0], further[1], digest)


def _expired() -> errors.ProofRejected:
    return errors.ProofRejected(
        "The assertion of the official has expired; the official's system makes a new one for every question.",
        detail_vi="Xác nhận của cán bộ đã hết hạn; phần mềm của cán bộ phải tạo xác nhận mới cho mỗi lần hỏi.",
        reason="assertion_expired",
    )


def _invalid(reason: str) -> errors.ProofRejected:
    return errors.ProofRejected(
        "The assertion of the official is not valid: it must be a JWT of the type official+jwt, signed with a "
        "key that is registered for this API key (lienthong keys proofs), made for this hub and still in time.",
        detail_vi="Xác nhận của cán bộ không hợp lệ: phải là JWT loại official+jwt, ký bằng khoá đã đăng ký "
        "cho khoá API này (lienthong keys proofs), cấp cho trục này và còn hạn.",
        reason=f"assertion_{reason}",
    )
