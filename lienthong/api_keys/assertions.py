"""An official's signed assertion: a short-lived JWT of the system where the official signed in.

A caller cannot merely name an official; the system must have signed it with a key registered for its API key.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import jwt

from lienthong.api_keys import proof_register
from lienthong.core import clock, errors, records, settings

KIND = proof_register.ASSERTION
TYPE = "official+jwt"
LONGEST_TEXT = 4096
# The registered key says how its signatures are checked, never the header: `alg` must agree with the key.
_ALGORITHMS = {"ed25519": "EdDSA", "ecdsa-p256-sha256": "ES256", "rsa-sha256": "RS256"}
_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_TEXTS = {"iss": 300, "sub": 100, "jti": 300}
_FURTHER = {"dossier": 100, "purpose": 300}


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
    found = _COMPACT.fullmatch(text) if len(text) <= LONGEST_TEXT else None
    if found is None:
        raise _invalid("unreadable")
    header = _object(_bytes(found[1]))
    signer = _signer(header, keys=keys, key_id=key_id, now=now)
    if header.get("typ") != TYPE or not header.keys().isdisjoint(("crit", "b64")):
        raise _invalid("type")
    algorithm = _ALGORITHMS.get(signer.algorithm)
    if algorithm is None or header.get("alg") != algorithm:
        raise _invalid("algorithm")
    if not _is_signed(text, found[3], algorithm, signer.public_key):
        raise _invalid("signature")
    claims = _object(_bytes(found[2]))
    # A text, not a list: an assertion made for several hubs at once could be carried from one to the other.
    if claims.get("aud") != audience:
        raise _invalid("audience")
    _check_times(claims, longest_s=longest_s, skew_s=skew_s, now=now.timestamp())
    return _asserted(claims, key_id=key_id)


def risks(chosen: settings.Settings) -> list[records.CheckResult]:
    """Give what the settings allow although it is a risk: a line for each key that may merely name an official."""
    return [
        records.CheckResult(
            name=f"plain_officials: {key_id}",
            ok=True,
            vi=f"Khoá {key_id} được nêu tên cán bộ mà không có xác nhận có chữ ký; ai giữ khoá này đều "
            "tra cứu được dưới tên bất kỳ cán bộ nào. Hãy nâng cấp phần mềm rồi bỏ khoá khỏi "
            "LIENTHONG_RESIDENTS__PLAIN_OFFICIALS.",
            en=f"Key {key_id} may name an official without a signed assertion; whoever holds it can ask in "
            "any official's name. Have the software sign, then take the key out of "
            "LIENTHONG_RESIDENTS__PLAIN_OFFICIALS.",
            facts={"risk": True, "key": key_id},
        )
        for key_id in chosen.residents.plain_officials
    ]


def _signer(
    header: Mapping[str, Any], *, keys: Sequence[proof_register.Proof], key_id: str, now: datetime
) -> proof_register.Proof:
    number = header.get("kid")
    for key in keys:
        if key.kind == KIND and key.key_id == key_id and key.id == number:
            if key.valid_until is not None and now >= key.valid_until:
                break
            return key
    raise _invalid("unknown_key")


def _is_signed(text: str, signature: str, algorithm: str, public_key: str) -> bool:
    try:
        checker, key = _checker(algorithm, public_key)
        signed = text[: -len(signature) - 1].encode("ascii")
        return bool(checker.verify(signed, key, _octets(signature)))
    except (jwt.PyJWTError, ValueError, TypeError):
        return False


@lru_cache(maxsize=1_000)
def _checker(algorithm: str, public_key: str) -> tuple[Any, Any]:
    """Read a public key once: that costs as much as a signature does."""
    checker = jwt.get_algorithm_by_name(algorithm)
    return checker, checker.prepare_key(public_key)


def _check_times(claims: Mapping[str, Any], *, longest_s: int, skew_s: int, now: float) -> None:
    issued_at, expires_at, starts_at = claims.get("iat"), claims.get("exp"), claims.get("nbf", claims.get("iat"))
    # bool is an int to Python; it is no time.
    if type(issued_at) is not int or type(expires_at) is not int or type(starts_at) is not int:
        raise _invalid("times")
    if not 0 < expires_at - issued_at <= longest_s:
        raise _invalid("too_long", longest_s=longest_s)
    if now >= expires_at + skew_s:
        raise _invalid("expired")
    if now < max(issued_at, starts_at) - skew_s:
        raise _invalid("not_yet")


def _asserted(claims: Mapping[str, Any], *, key_id: str) -> Asserted:
    for name, longest in _TEXTS.items():
        if not _is_line(claims.get(name), longest):
            raise _invalid("claims", claim=name)
    for name, longest in _FURTHER.items():
        if claims.get(name) is not None and not _is_line(claims[name], longest):
            raise _invalid("claims", claim=name)
    # None of the parts can hold the line feed between them.
    digest = hashlib.sha256("\n".join((key_id, claims["iss"], claims["jti"])).encode()).hexdigest()
    return Asserted(claims["sub"], claims.get("dossier"), claims.get("purpose"), digest)


def _is_line(value: Any, longest: int) -> bool:
    """Whether a claim is one line of letters: no NUL, no half of a surrogate pair, which no database takes."""
    return isinstance(value, str) and 0 < len(value) <= longest and value.isprintable()


def _bytes(part: str) -> bytes:
    try:
        return _octets(part)
    except ValueError:
        raise _invalid("unreadable") from None


def _octets(part: str) -> bytes:
    """Read base64url. Raises ValueError also where other letters would stand for the same bytes."""
    found = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if base64.urlsafe_b64encode(found).rstrip(b"=") != part.encode("ascii"):
        raise ValueError("not as base64url is written")
    return found


def _object(raw: bytes) -> dict[str, Any]:
    """Read a JSON object in which no name occurs twice: readers differ in which of the two they believe."""
    try:
        found = json.loads(raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_constant)
    except (ValueError, RecursionError):
        raise _invalid("unreadable") from None
    if not isinstance(found, dict):
        raise _invalid("unreadable")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


_WHY: dict[str, tuple[str, str]] = {
    "unreadable": (
        "it is no JWT of at most 4,096 characters (three parts with dots between, each name once)",
        "không đọc được: phải là JWT dài tối đa 4.096 ký tự (ba phần cách nhau bằng dấu chấm, mỗi tên một lần)",
    ),
    "unknown_key": (
        "its kid is not the number of a key of the kind assertion registered for this API key "
        "(lienthong keys proof add … --kind assertion)",
        "kid không phải là số của một khoá loại assertion đã đăng ký cho khoá API này (lienthong keys proof add … "
        "--kind assertion)",
    ),
    "type": (
        "its header must say typ official+jwt, and neither crit nor b64",
        "phần đầu phải có typ là official+jwt, không có crit hay b64",
    ),
    "algorithm": (
        "its alg is not that of the registered key (Ed25519: EdDSA, P-256: ES256, RSA: RS256)",
        "alg không đúng với khoá đã đăng ký (Ed25519: EdDSA, P-256: ES256, RSA: RS256)",
    ),
    "signature": (
        "its signature is not that of the registered key",
        "chữ ký không phải của khoá đã đăng ký",
    ),
    "audience": (
        "its aud does not name this hub (one text: lienthong: and the identifier of the hub's agency)",
        "aud không phải là trục này (một chuỗi: lienthong: rồi mã định danh cơ quan của trục)",
    ),
    "times": (
        "iat and exp must be whole seconds since 1970",
        "iat và exp phải là số giây nguyên kể từ năm 1970",
    ),
    "too_long": (
        "exp must be after iat, by no more than the time that this hub allows",
        "exp phải sau iat và không quá thời gian trục cho phép",
    ),
    "expired": (
        "it has expired; the official's system makes a new one for every question",
        "đã hết hạn; phần mềm của cán bộ phải tạo xác nhận mới cho mỗi lần hỏi",
    ),
    "not_yet": (
        "it is not valid yet; the clock of the signing system is ahead",
        "chưa đến lúc có hiệu lực; đồng hồ của hệ thống ký đang chạy nhanh",
    ),
    "claims": (
        "iss, sub and jti must be there, each one line of text; dossier and purpose likewise where they are given",
        "phải có iss, sub, jti, mỗi mục một dòng chữ; dossier và purpose cũng vậy nếu có",
    ),
}


def _invalid(reason: str, **facts: Any) -> errors.ProofRejected:
    en, vi = _WHY[reason]
    return errors.ProofRejected(
        f"The assertion of the official is not accepted: {en}.",
        detail_vi=f"Xác nhận của cán bộ không được chấp nhận: {vi}.",
        reason=f"assertion_{reason}",
        **facts,
    )


def sign(
    private_pem: bytes,
    *,
    kid: str,
    issuer: str,
    official: str,
    audience: str,
    lifetime_s: int,
    now: datetime,
) -> str:
    """Make an assertion with an Ed25519 key, as the system does where an official signed in (for the trial)."""
    at = int(now.timestamp())
    claims = {
        "iss": issuer,
        "sub": official,
        "aud": audience,
        "iat": at,
        "exp": at + lifetime_s,
        "jti": clock.new_id(),
    }
    return jwt.encode(claims, private_pem, algorithm="EdDSA", headers={"typ": TYPE, "kid": kid})
