"""The compatibility door: `lgspaccesstoken` for vendors who already speak it (national contracts §5.5, LGSP-1).

It only translates: a request for `/compat/lgsp/v1/…` becomes one for `/v1/…` with an ordinary key, and passes the
same gate, limits and record. Off unless `proof.lgsp_door` is set, for the key goes over the wire with every call.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import orjson

from lienthong.api_keys import key_text
from lienthong.bus.gateway import bodies, visit
from lienthong.core import crypto, errors, settings

PREFIX = b"/compat/lgsp"
DOOR = "lgsp"
# What the door leaves in the scope: its name, and the officer whom the caller names (claimed, not proven).
DOOR_IN_SCOPE, OFFICER_IN_SCOPE = "lienthong.door", "lienthong.officer"
RISK_VI = (
    "Cửa tương thích LGSP đang mở (LIENTHONG_PROOF__LGSP_DOOR): khoá đi kèm mọi lượt gọi dưới dạng base64, "
    "và tên cán bộ trong AuthHash không được kiểm chứng. Chỉ mở trên mạng truyền số liệu chuyên dùng, và "
    "đóng khi có thể."
)
RISK_EN = (
    "The LGSP compatibility door is open (LIENTHONG_PROOF__LGSP_DOOR): the key travels with every call in "
    "base64, and the officer named in AuthHash is not verified. Keep it to the government network, and close "
    "it when you can."
)
_TOKEN_PATH = PREFIX + b"/token"
_OPERATIONS = PREFIX + b"/v1/"
_NAMES = ("AccessKey", "SecretKey", "AppName", "PartnerCode", "PartnerCodeCus")
_LONGEST_HEADER, _LONGEST_FIELD = 4096, 200
_TRANSLATED = frozenset({b"lgspaccesstoken", b"authhash", b"x-api-key"})


def is_here(path: bytes) -> bool:
    """Whether an address belongs to this door."""
    return path == PREFIX or path.startswith(PREFIX + b"/")


def translate(scope: visit.Scope) -> visit.Scope:
    """Give the ordinary request that a request at this door stands for.

    Raises KeyRejected where `lgspaccesstoken` cannot be read, ProofRejected where the bearer token is missing,
    InvalidRequest where AuthHash cannot be read, NotFound for any other address.
    """
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    lines: Sequence[tuple[bytes, bytes]] = scope["headers"]
    key = _key(_only(lines, b"lgspaccesstoken"))
    if path == _TOKEN_PATH:
        inner = b"/v1/tokens"
    elif path.startswith(_OPERATIONS):
        inner = path.removeprefix(PREFIX)
        if _only(lines, b"authorization")[:7].lower() != b"bearer ":
            raise _bearer_missing()
    else:
        raise errors.NotFound(
            "There is nothing at this address; this door has /compat/lgsp/token and /compat/lgsp/v1/….",
            detail_vi="Không có gì ở địa chỉ này; cửa này có /compat/lgsp/token và /compat/lgsp/v1/….",
        )
    headers = [line for line in lines if line[0] not in _TRANSLATED]
    return {
        **scope,
        "path": inner.decode("latin-1"),
        "raw_path": inner,
        "headers": [*headers, (b"x-api-key", key.encode("ascii"))],
        DOOR_IN_SCOPE: DOOR,
        OFFICER_IN_SCOPE: _officer(_only(lines, b"authhash")),
    }


def enter(coming: visit.Visit, scope: visit.Scope) -> str | None:
    """Turn a visit at this door into the ordinary one that it stands for; gives the officer whom it names.

    Raises what `translate` raises.
    """
    inner = translate(scope)
    coming.path = inner["raw_path"]
    coming.every_header = list(inner["headers"])
    coming.headers = dict(coming.every_header)
    officer: str | None = inner[OFFICER_IN_SCOPE]
    return officer


async def read_form(receive: bodies.Receive, headers: Mapping[bytes, bytes], limits: settings.Gateway) -> bytes:
    """Take in the form that asks for a token, under the limits of every other body. Raises InvalidRequest."""
    # A form where every other body is JSON: what it must be is checked right below.
    raw = await bodies.read(receive, {**headers, b"content-type": b"application/json"}, limits)
    check_form(raw)
    return raw


def check_form(raw: bytes) -> None:
    """Read the form that asks for a token: `grant_type=client_credentials`. Raises InvalidRequest."""
    try:
        fields = parse_qsl(raw.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=5)
    except ValueError:
        fields = []
    if fields != [("grant_type", "client_credentials")]:
        raise errors.InvalidRequest(
            problems=(
                errors.FieldProblem(
                    "grant_type",
                    "Nội dung phải là biểu mẫu grant_type=client_credentials.",
                    "The body must be the form grant_type=client_credentials.",
                ),
            )
        )


def _only(lines: Sequence[tuple[bytes, bytes]], name: bytes) -> bytes:
    """Give the value of a header that may come once; nothing where it does not come."""
    values = [value.strip() for found, value in lines if found == name]
    if len(values) > 1:
        shown = name.decode("ascii")
        raise errors.KeyRejected(
            f"The header {shown} came twice.", detail_vi=f"Tiêu đề {shown} được gửi hai lần.", reason="twice"
        )
    return values[0] if values else b""


def _key(value: bytes) -> str:
    told = _json(value)
    if not isinstance(told, dict) or not told.keys() <= set(_NAMES):
        raise _unreadable()
    texts = [told.get(name, "") for name in _NAMES]
    if not all(isinstance(text, str) and len(text) <= _LONGEST_FIELD for text in texts):
        raise _unreadable()
    access, secret = texts[:2]
    # What is not even a key is refused here, so that nothing strange becomes a header.
    if not key_text.is_well_formed(secret) or not crypto.is_same(key_text.prefix(secret), access):
        raise _unreadable()
    return str(secret)


def _json(value: bytes) -> Any:
    if not value or len(value) > _LONGEST_HEADER:
        return None
    try:
        return orjson.loads(base64.b64decode(value, validate=True))
    except (binascii.Error, orjson.JSONDecodeError):
        return None


def _officer(value: bytes) -> str | None:
    """Read the name in AuthHash, base64 of `name:password`; the password is not looked at and goes nowhere."""
    if not value:
        return None
    try:
        name, colon, _ = base64.b64decode(value[:_LONGEST_HEADER], validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        name, colon = "", ""
    if not colon or not name or len(name) > _LONGEST_FIELD or not name.isprintable():
        raise errors.InvalidRequest(
            problems=(
                errors.FieldProblem(
                    "AuthHash",
                    "AuthHash phải là base64 của keyName:keyPass.",
                    "AuthHash must be base64 of keyName:keyPass.",
                ),
            )
        )
    return name


def _unreadable() -> errors.KeyRejected:
    return errors.KeyRejected(
        "The header lgspaccesstoken must be base64 of the JSON object AccessKey, SecretKey, AppName, "
        "PartnerCode, PartnerCodeCus, where SecretKey is the API key and AccessKey its first 14 characters "
        "(lt_live_ and six more).",
        detail_vi="Tiêu đề lgspaccesstoken phải là base64 của đối tượng JSON gồm AccessKey, SecretKey, "
        "AppName, PartnerCode, PartnerCodeCus; SecretKey là khoá API, AccessKey là 14 ký tự đầu của khoá "
        "(lt_live_ và sáu ký tự).",
        reason="lgspaccesstoken",
    )


def _bearer_missing() -> errors.ProofRejected:
    return errors.ProofRejected(
        "At this door every call carries Authorization: Bearer with the access_token of POST "
        "/compat/lgsp/token, beside lgspaccesstoken.",
        detail_vi="Ở cửa này mỗi lượt gọi phải có Authorization: Bearer với access_token lấy từ POST "
        "/compat/lgsp/token, kèm lgspaccesstoken.",
        reason="bearer_missing",
    )
