"""Header recipe C06-1: a time, a digest over address, name, time and secret, the member's key (contracts §5.5)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(now: datetime, *, unit: Literal["ms", "s"]) -> str:
    """Write a time as seconds or milliseconds since 1970."""
    step = timedelta(milliseconds=1) if unit == "ms" else timedelta(seconds=1)
    return str((now - _EPOCH) // step)


def digest(service_url: str, username: str, stamp: str, secret: str) -> str:
    """Digest what is signed, without separators; lower-case hex of SHA-256 (vector 12.8)."""
    return hashlib.sha256(f"{service_url}{username}{stamp}{secret}".encode()).hexdigest()


def headers(
    service_url: str, *, username: str, secret: str, stamp: str, api_key: str, member: str
) -> Mapping[str, str]:
    """Make the headers of one call. `member` is the caller's path; empty where the road itself names it."""
    pair = f"{username}:{digest(service_url, username, stamp, secret)}"
    found = {
        "Timestamp": stamp,
        "Authorization": f"Basic {base64.b64encode(pair.encode()).decode('ascii')}",
        "X-Road-Client": member,
        "ApiKey": api_key,
    }
    return {name: value for name, value in found.items() if value}
