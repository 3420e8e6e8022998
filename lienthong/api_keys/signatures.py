"""HTTP message signatures (RFC 9421): what a signed request must say and cover, and who signed it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeGuard, cast

import http_message_signatures as rfc9421
import http_sf

from lienthong.core import clock, crypto, errors

_ALGORITHMS: dict[str, type[rfc9421.HTTPSignatureAlgorithm]] = {
    "ed25519": rfc9421.algorithms.ED25519,
    "ecdsa-p256-sha256": rfc9421.algorithms.ECDSA_P256_SHA256,
}
_LONGEST = {"signature-input": 4096, "signature": 1024, "content-digest": 512}
_MOST_COMPONENTS = 40
_NONCE = re.compile(r"[\x21-\x7e]{16,128}")
_KNOWN_PARAMETERS = frozenset({"created", "expires", "nonce", "keyid", "alg", "tag"})
# Said wherever a signature is missing or unreadable: what to send, in one line that can be copied.
EXAMPLE = (
    'Signature-Input: sig1=("@method" "@target-uri" "content-digest");created=<unix seconds>;'
    'nonce="<16 characters or more>";keyid="<number of the registered public key>"'
)


@dataclass(frozen=True, slots=True)
class Message:
    """A request as its sender saw it: `url` is absolute, `headers` are the lines in the order they came in."""

    method: str
    url: str
    headers: Sequence[tuple[str, str]]
    body: bytes

    @property
    def has_query(self) -> bool:
        """Whether the address has a query, which must be covered then."""
        return "?" in self.url


@dataclass(frozen=True, slots=True)
class Claim:
    """What a signature says of itself; nothing of it is true before `verify`."""

    components: frozenset[str]
    created: int
    nonce: str
    key_name: str
    expires: int | None
    algorithm: str | None


class _Fields:
    """The header lines in the form that the library reads."""

    def __init__(self, lines: Sequence[tuple[str, str]]) -> None:
        self._lines = lines

    def items(self) -> Sequence[tuple[str, str]]:
        return self._lines


class _Request:
    def __init__(self, message: Message) -> None:
        self.method = message.method
        self.url = message.url
        self.headers = _Fields(message.headers)


class _Verifier(rfc9421.HTTPMessageVerifier):
    def validate_created_and_expires(self, sig_input: Any, max_age: Any = None) -> None:
        """Leave the times to `check_time`: here the clock is an argument."""


def is_signed(headers: Sequence[tuple[str, str]]) -> bool:
    """Whether a request carries a signature, good or bad."""
    return any(name.lower() in ("signature", "signature-input") for name, _ in headers)


def read(headers: Sequence[tuple[str, str]]) -> Claim:
    """Read what the one signature of a request says. Raises ProofRejected saying what is wrong with it."""
    fields = {name: _field(headers, name) for name in ("signature-input", "signature")}
    inputs, values = (_dictionary(name, text) for name, text in fields.items())
    if len(inputs) != 1 or inputs.keys() != values.keys():
        raise _refused(
            "Send exactly one signature: one label in Signature-Input, and the same label in Signature.",
            "Hãy gửi đúng một chữ ký: một nhãn trong Signature-Input, và cùng nhãn đó trong Signature.",
            reason="signature_count",
        )
    (covered, parameters), (value, _) = next(iter(inputs.values())), next(iter(values.values()))
    if not isinstance(covered, list) or not isinstance(value, bytes) or len(covered) > _MOST_COMPONENTS:
        raise _unreadable("signature-input" if isinstance(value, bytes) else "signature")
    return _claim(covered, parameters)


def check_coverage(claim: Claim, message: Message) -> None:
    """Make sure that nothing that matters can be changed under the signature. Raises ProofRejected naming it."""
    missing = [] if "@method" in claim.components else ["@method"]
    if "@target-uri" not in claim.components:
        parts = ["@authority", "@path", *(["@query"] if message.has_query else [])]
        missing += [] if set(parts) <= claim.components else ["@target-uri"]
    if message.body and "content-digest" not in claim.components:
        missing.append("content-digest")
    if missing:
        said = " ".join(f'"{name}"' for name in missing)
        raise _refused(
            f"The signature does not cover {said}; add it to Signature-Input and sign again.",
            f"Chữ ký chưa bao gồm {said}; hãy thêm vào Signature-Input rồi ký lại.",
            reason="signature_coverage",
        )


def check_time(claim: Claim, *, now: datetime, age_s: float, skew_s: float) -> None:
    """Refuse a signature that is too old, or from the future, by the hub's clock. Raises ProofRejected."""
    now_s = now.timestamp()
    reads = now.astimezone(clock.VIETNAM).isoformat(timespec="seconds")
    if claim.created > now_s + skew_s:
        raise _refused(
            f"The signature was created in the future: the hub's clock reads {reads}. Set your clock (NTP).",
            f"Chữ ký được tạo ở tương lai: đồng hồ của trục là {reads}. Hãy chỉnh đồng hồ máy gửi (NTP).",
            reason="signature_future",
        )
    if claim.created < now_s - age_s - skew_s or (claim.expires is not None and claim.expires < now_s - skew_s):
        raise _refused(
            f"The signature is older than {age_s:g} seconds: the hub's clock reads {reads}. Sign each "
            "request just before it is sent, and set your clock (NTP).",
            f"Chữ ký đã quá {age_s:g} giây: đồng hồ của trục là {reads}. Hãy ký từng yêu cầu ngay trước khi "
            "gửi, và chỉnh đồng hồ máy gửi (NTP).",
            reason="signature_old",
        )


def check_body(claim: Claim, message: Message) -> None:
    """Compare Content-Digest (RFC 9530, sha-256 or sha-512) with the body as it arrived. Raises ProofRejected."""
    if "content-digest" not in claim.components:
        return
    text = _field(message.headers, "content-digest")
    try:
        rfc9421.ContentDigest.verify(text, message.body)
    except rfc9421.HTTPMessageSignaturesException:
        raise _refused(
            "Content-Digest is not the digest of the body as it arrived. Take sha-256 or sha-512 over "
            "exactly the bytes that are sent: Content-Digest: sha-256=:<base64>:",
            "Content-Digest không khớp với nội dung nhận được. Hãy lấy sha-256 hoặc sha-512 trên đúng các "
            "byte được gửi: Content-Digest: sha-256=:<base64>:",
            reason="content_digest",
        ) from None


def verify(message: Message, claim: Claim, key: crypto.PublicKey) -> None:
    """Make sure that this key signed this message, with the algorithm of the key. Raises ProofRejected."""
    resolver = rfc9421.MappingKeyResolver(public_keys={claim.key_name: key.pem.encode()}, private_keys={})
    verifier = _Verifier(signature_algorithm=_ALGORITHMS[key.algorithm], key_resolver=resolver)
    if claim.algorithm not in (None, key.algorithm):
        raise _refused(
            f"The registered public key is for {key.algorithm}; sign with that, or leave the parameter alg out.",
            f"Khoá công khai đã đăng ký dùng {key.algorithm}; hãy ký bằng thuật toán đó, hoặc bỏ tham số alg.",
            reason="signature_algorithm",
        )
    try:
        verifier.verify(_Request(message), max_age=None)
    except rfc9421.HTTPMessageSignaturesException:
        raise _refused(
            "The signature does not match the request. Sign exactly what is sent: the method in capitals, "
            "the whole address as the hub is called from outside, and every covered header.",
            "Chữ ký không khớp với yêu cầu. Hãy ký đúng những gì được gửi: phương thức viết hoa, toàn bộ địa "
            "chỉ như khi gọi trục từ bên ngoài, và mọi tiêu đề đã nêu.",
            reason="signature_wrong",
        ) from None


def _field(headers: Sequence[tuple[str, str]], name: str) -> str:
    """Give the whole of a header; several lines of it are one list, as HTTP has it."""
    text = ", ".join(value for found, value in headers if found.lower() == name)
    if not text or len(text) > _LONGEST[name] or not text.isascii():
        raise _unreadable(name)
    return text


def _dictionary(name: str, text: str) -> Mapping[str, Any]:
    def refuse_twice(key: str, context: str) -> None:
        raise _unreadable(name)

    try:
        parsed = http_sf.parse(text.encode("ascii"), tltype="dictionary", on_duplicate_key=refuse_twice)
    except ValueError:
        raise _unreadable(name) from None
    return cast(Mapping[str, Any], parsed)


def _claim(covered: list[tuple[Any, Mapping[str, Any]]], parameters: Mapping[str, Any]) -> Claim:
    created, expires = parameters.get("created"), parameters.get("expires")
    nonce, key_name, algorithm = (parameters.get(name, "") for name in ("nonce", "keyid", "alg"))
    if (
        not parameters.keys() <= _KNOWN_PARAMETERS
        or not _is_moment(created)
        or not (expires is None or _is_moment(expires))
        or not all(isinstance(text, str) for text in (nonce, key_name, algorithm))
        or _NONCE.fullmatch(nonce) is None
        or not 0 < len(key_name) <= 100
    ):
        raise _refused(
            "The signature must carry created (seconds), nonce (16 to 128 characters, new each time) and keyid. "
            f"{EXAMPLE}",
            "Chữ ký phải có created (giây), nonce (16 đến 128 ký tự, mỗi lần một giá trị mới) và keyid. "
            f"{EXAMPLE}",
            reason="signature_parameters",
        )
    # A component with parameters covers less than its name says ("content-digest";key=…), so it does not count.
    names = frozenset(name for name, options in covered if isinstance(name, str) and not options)
    return Claim(names, created, nonce, key_name, expires, algorithm or None)


def _is_moment(value: Any) -> TypeGuard[int]:
    return type(value) is int and value >= 0


def _unreadable(name: str) -> errors.ProofRejected:
    shown = "-".join(part.capitalize() for part in name.split("-"))
    example = "Content-Digest: sha-256=:<base64>:" if name == "content-digest" else EXAMPLE
    return _refused(
        f"The header {shown} is missing, too long or cannot be read (RFC 9421). {example}",
        f"Tiêu đề {shown} bị thiếu, quá dài hoặc không đọc được (RFC 9421). {example}",
        reason="signature_unreadable",
    )


def _refused(en: str, vi: str, *, reason: str) -> errors.ProofRejected:
    return errors.ProofRejected(en, detail_vi=vi, reason=reason)
