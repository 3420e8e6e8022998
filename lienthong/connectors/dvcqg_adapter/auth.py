"""The session of one connection: obtained once, shared by all calls, renewed once when it is refused.

It does the duty of an `httpx.Auth`, but by itself: the client drives the transport directly, and here the
session travels in the body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from lienthong.core import errors


class Session:
    """A session string that concurrent calls share. It is never logged and never shown."""

    def __init__(self, log_in: Callable[[], Awaitable[str]]) -> None:
        self._log_in = log_in
        self._lock = asyncio.Lock()
        self._value = ""
        self._proven = False
        self._attempts = 0
        self._failure: errors.HubError | None = None

    async def current(self) -> str:
        """Give the session, logging in first where there is none yet."""
        return self._value or await self.renew("")

    async def renew(self, refused: str) -> str:
        """Give another session than the one that was refused.

        However many calls ask at once, one login takes place, and where it fails, or gives the same session again,
        all of them have that: an account must not be locked because a hundred calls tried a wrong password.
        """
        attempts = self._attempts
        async with self._lock:
            if self._value and (self._value != refused or self._attempts != attempts):
                return self._value
            if self._attempts != attempts and self._failure is not None:
                raise self._failure
            return await self._fresh()

    async def _fresh(self) -> str:
        self._value, self._proven, self._failure = "", False, None
        try:
            self._value = await self._log_in()
        except errors.HubError as error:
            self._failure = error
            raise
        finally:
            self._attempts += 1
        return self._value

    def prove(self, session: str) -> None:
        """Remember that a call was let through with this session."""
        if session == self._value:
            self._proven = True

    def is_proven(self, session: str) -> bool:
        """Whether a session has worked: its refusal then means that it has run out, not that we are unwanted."""
        return session != self._value or self._proven
