"""VNPAY's signatures: HMAC-SHA512 over a sorted form, or over values joined by a bar (contracts §7.4)."""

from __future__ import annotations

import hashlib
import hmac
import urllib.parse
from collections.abc import Iterable, Mapping

from lienthong.connectors import callbacks

_BAR = "|"


def form(fields: Mapping[str, str]) -> str:
    """Write fields in the one form that is signed: sorted by name, without empty ones, encoded as browsers do.

    Browsers and Java keep `*` and encode `~`; Python's own function does the opposite.
    """
    return "&".join(f"{_encoded(name)}={_encoded(fields[name])}" for name in sorted(fields) if fields[name])


def _encoded(value: str) -> str:
    return urllib.parse.quote_plus(value, safe="*").replace("~", "%7E")


def sign(text: str, secret: str) -> str:
    """Sign a text; lower-case hex (vectors 12.1 and 12.2)."""
    return hmac.new(secret.encode(), text.encode(), hashlib.sha512).hexdigest()


def sign_values(values: Iterable[str], secret: str) -> str:
    """Sign values in their order, joined by a bar; an absent one leaves its place empty."""
    return sign(_BAR.join(values), secret)


def holds(expected_of: str, *, signature: str, secret: str) -> bool:
    """Whether a signature is the one of this text. Without a secret nothing holds."""
    return bool(secret) and callbacks.is_same(signature, sign(expected_of, secret))


def joined(values: Iterable[str]) -> str:
    """Join values as an answer's signature takes them."""
    return _BAR.join(values)
