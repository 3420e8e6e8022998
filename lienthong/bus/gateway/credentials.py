"""Where a key may stand in a request: in the header X-API-Key, and never in the address."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote_to_bytes

from lienthong.core import errors

_NAMES = frozenset(
    {b"key", b"api_key", b"apikey", b"api-key", b"x-api-key", b"token", b"access_token", b"access-token"}
)
_KEY_LIKE = re.compile(rb"(?<![a-z0-9])lt_(?:live|test)_", re.IGNORECASE)


def is_in_address(raw_path: bytes, query: bytes) -> bool:
    """Whether a path or query carries something that is, or is meant to be, a key."""
    if not query and b"%" not in raw_path:
        return _KEY_LIKE.search(raw_path) is not None
    if _KEY_LIKE.search(unquote_to_bytes(raw_path)) or _KEY_LIKE.search(unquote_to_bytes(query)):
        return True
    names = (pair.partition(b"=")[0] for pair in query.split(b"&"))
    return any(unquote_to_bytes(name).strip().lower() in _NAMES for name in names)


def refuse_in_address() -> errors.InvalidRequest:
    """Say that the key is spent: whoever keeps a log on the way has it now."""
    return errors.InvalidRequest(
        "An API key must never stand in the address: logs on the way may have kept it. Have this key revoked, "
        "and send the new one in the header X-API-Key.",
        detail_vi="Không được đặt khoá API trong địa chỉ: nhật ký trên đường truyền có thể đã lưu lại. "
        "Hãy đề nghị thu hồi khoá này, và gửi khoá mới trong tiêu đề X-API-Key.",
        reason="key_in_address",
    )


def key_of(headers: Mapping[bytes, bytes], every: Sequence[tuple[bytes, bytes]]) -> str | None:
    """Take the key out of the headers. Raises KeyRejected where it stands in the wrong place, or twice."""
    key = headers.get(b"x-api-key")
    if key is None:
        return None
    if sum(1 for name, _ in every if name == b"x-api-key") > 1:
        raise errors.KeyRejected(
            "The header X-API-Key came twice.", detail_vi="Tiêu đề X-API-Key được gửi hai lần.", reason="twice"
        )
    return key.decode("latin-1").strip()


def assertion_of(headers: Mapping[bytes, bytes], every: Sequence[tuple[bytes, bytes]]) -> str | None:
    """Take an official's signed assertion out of the headers. Raises InvalidRequest where it came twice."""
    found = headers.get(b"x-official-assertion")
    if found is None:
        return None
    if sum(1 for name, _ in every if name == b"x-official-assertion") > 1:
        raise errors.InvalidRequest(
            problems=(
                errors.FieldProblem(
                    "X-Official-Assertion",
                    "Tiêu đề X-Official-Assertion được gửi hai lần.",
                    "The header X-Official-Assertion came twice.",
                ),
            )
        )
    return found.decode("latin-1").strip()
