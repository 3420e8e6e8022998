"""A bearer token that concurrent calls share: used until a minute before it ends, got anew when refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from lienthong.connectors import http
from lienthong.core import errors

_EARLY = timedelta(seconds=60)


class Token:
    """A token and how to get the next one (contracts §6.2). Never logged, never shown."""

    def __init__(self, obtain: Callable[[], Awaitable[tuple[str, float]]], clock: Callable[[], datetime]) -> None:
        """Take tokens from `obtain`, which gives one with its seconds of life."""
        self._obtain, self._clock = obtain, clock
        self._lock = asyncio.Lock()
        self._value = ""
        self._until: datetime | None = None
        self._attempts = 0
        self._failure: errors.HubError | None = None

    async def current(self, *, refused: str = "") -> str:
        """Give a token that is in force and is not the one refused; however many ask at once, one is got.

        Who waited takes what was got meanwhile, be it the same token again, as some gateways give, or a failure:
        an account must not be locked because a hundred calls tried a wrong secret.
        """
        attempts = self._attempts
        async with self._lock:
            if self._attempts != attempts and self._failure is not None:
                raise self._failure
            if self._attempts != attempts and self._value:
                return self._value
            fresh = self._until is not None and self._clock() < self._until
            if not self._value or not fresh or self._value == refused:
                await self._renew()
            return self._value

    async def _renew(self) -> None:
        self._value, self._until, self._failure = "", None, None
        asked_at = self._clock()
        try:
            value, life_s = await self._obtain()
        except errors.HubError as error:
            self._failure = error
            raise
        finally:
            self._attempts += 1
        life = timedelta(seconds=life_s)
        # A life shorter than the reserve is used for half of it.
        self._value, self._until = value, asked_at + max(life - _EARLY, life / 2)

    async def send(self, call: Callable[[str], Awaitable[http.Reply]]) -> http.Reply:
        """Call with a token, and once more with a new one where the answer is 401; the second answer stands."""
        token = await self.current()
        reply = await call(token)
        if reply.status != 401:
            return reply
        return await call(await self.current(refused=token))
