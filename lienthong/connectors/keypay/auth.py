"""Checksums of KeyPay: HMAC-SHA256 in version 3, a plain hash in version 1, ViettelPay's own (contracts §7.2)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Literal

SEPARATOR = "|"


def checksum(values: Sequence[str], *, key: str) -> str:
    """Sign values in their order, joined by a bar; lower-case hex (vector 12.5)."""
    return hmac.new(key.encode(), SEPARATOR.join(values).encode(), "sha256").hexdigest()


def old_checksum(values: Mapping[str, str], *, secret: str, digest: Literal["md5", "sha256"]) -> str:
    """Hash the secret and the values in the order of their names, empty ones left out; lower-case hex.

    Version 1, only to read old records: neither MD5 nor a secret put in front is a proof for money of today.
    """
    text = secret + "".join(values[name] for name in sorted(values) if values[name])
    return hashlib.new(digest, text.encode(), usedforsecurity=False).hexdigest()


def viettelpay_checksum(text: str, *, key: str) -> str:
    """Sign the text of a ViettelPay QR: HMAC-SHA1, base64."""
    return base64.b64encode(hmac.new(key.encode(), text.encode(), "sha1").digest()).decode("ascii")
