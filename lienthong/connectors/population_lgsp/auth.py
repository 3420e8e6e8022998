"""Header recipe LGSP-1: a fixed header that names the province, a token got with it, and the official's (§5.5)."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import orjson

from lienthong.connectors.population_lgsp import wire

_EARLY = timedelta(seconds=60)


def platform_token(*, access_key: str, secret_key: str, app_name: str, partner_code: str, for_code: str) -> str:
    """Make the header that names the province: base64 of compact JSON, its keys in this order (vector 12.9)."""
    values = {
        wire.NAMES["access_key"]: access_key,
        wire.NAMES["secret_key"]: secret_key,
        wire.NAMES["app_name"]: app_name,
        wire.NAMES["partner_code"]: partner_code,
        wire.NAMES["partner_code_cus"]: for_code,
    }
    return base64.b64encode(orjson.dumps(values)).decode("ascii")


def official_token(key_name: str, key_pass: str) -> str:
    """Make the official's header; empty where no pair is set."""
    return base64.b64encode(f"{key_name}:{key_pass}".encode()).decode("ascii") if key_name else ""


class Token:
    """A bearer token that concurrent calls share until a minute before it expires. Never logged, never shown."""

    def __init__(self, obtain: Callable[[], Awaitable[tuple[str, float]]], clock: Callable[[], datetime]) -> None:
        """Take tokens from `obtain`, which gives one with its seconds of life."""
        self._obtain, self._clock = obtain, clock
        self._lock = asyncio.Lock()
        self._value = ""
        self._until: datetime | None = None

    async def current(self, *, refused: str = "") -> str:
        """Give a token that is in force and is not the one refused; however many ask, one is got."""
        async with self._lock:
            now = self._clock()
            fresh = self._until is not None and now < self._until
            if not self._value or not fresh or self._value == refused:
                self._value, self._until = "", None
                value, life_s = await self._obtain()
                # A life shorter than the reserve is used for half of it.
                life = timedelta(seconds=life_s)
                self._value, self._until = value, now + max(life - _EARLY, life / 2)
            return self._value
