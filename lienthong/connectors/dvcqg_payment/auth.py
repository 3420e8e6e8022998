"""Checksums of the platform: SHA-256 over values joined by a bar, the secret last (contracts §7.1.2).

A plain hash, no HMAC: that no value may hold a bar is what keeps the parts of a message in their places.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

SEPARATOR = "|"


def checksum(values: Sequence[str], *, secret: str) -> str:
    """Hash values in their order; lower-case hex (vector 12.3)."""
    return hashlib.sha256(SEPARATOR.join((*values, secret)).encode()).hexdigest()
