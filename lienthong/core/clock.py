"""Time and identifiers: the one place where the machine's clock is read."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")

Clock = Callable[[], datetime]


def now() -> datetime:
    """Read the clock: the present moment, in Vietnam time as everybody here reads it."""
    return datetime.now(VIETNAM)


def new_id(now_ms: int | None = None) -> str:
    """Make an identifier that sorts by time (UUID version 7, RFC 9562), as 36 lower-case characters."""
    stamp = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    value = bytearray(stamp.to_bytes(6, "big") + os.urandom(10))
    value[6] = (value[6] & 0x0F) | 0x70
    value[8] = (value[8] & 0x3F) | 0x80
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
