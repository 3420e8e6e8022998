"""MoMo's signature: HMAC-SHA256 over `name=value` in a fixed order, values as they are (contracts §7.5)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any

from lienthong.connectors import callbacks


def signed_text(names: Iterable[str], fields: Mapping[str, Any]) -> str:
    """Write the text that is signed: every name of the recipe, an absent value empty."""
    return "&".join(f"{name}={fields.get(name, '')}" for name in names)


def sign(text: str, secret: str) -> str:
    """Sign a text; lower-case hex (vector 12.6)."""
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def is_ambiguous(names: Iterable[str], fields: Mapping[str, str]) -> bool:
    """Whether a value holds what looks like the next field: the same signature would fit other fields, too."""
    marks = tuple(f"&{name}=" for name in names)
    return any(mark in f"&{value}" for value in fields.values() for mark in marks)


def holds(names: Iterable[str], fields: Mapping[str, str], *, signature: str, secret: str) -> bool:
    """Whether a signature is the one of these fields, read in the one way. Without a secret nothing holds."""
    names = tuple(names)
    if not secret or is_ambiguous(names, fields):
        return False
    return callbacks.is_same(signature, sign(signed_text(names, fields), secret))
