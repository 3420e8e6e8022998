"""Access tokens of the imitated gateways: issued, found again, forgotten when their time is over."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

import orjson

from lienthong.sandbox.imitation import Request
from lienthong.sandbox.wire import Reply

_MOST = 10_000


@dataclass(slots=True)
class Grant:
    """What a token stands for, and when it ends."""

    ends_at: float
    facts: dict[str, Any] = field(default_factory=dict)


class Tokens:
    """Tokens in force at one gateway."""

    def __init__(self, *, life_s: float = 3600.0) -> None:
        """Issue tokens that live so long."""
        self.life_s = life_s
        self._held: dict[str, Grant] = {}

    def forget(self) -> None:
        """Forget every token."""
        self._held.clear()

    def issue(self, now: float, *, facts: dict[str, Any] | None = None) -> str:
        """Issue a token."""
        if len(self._held) >= _MOST:
            self._held = {key: held for key, held in self._held.items() if held.ends_at > now}
        token = secrets.token_urlsafe(24)
        self._held[token] = Grant(now + self.life_s, facts or {})
        return token

    def find(self, token: str, request: Request) -> Grant | None:
        """Find a token in force; the mood `expired_token` ends it."""
        held = self._held.get(token)
        if held is None:
            return None
        if request.now >= held.ends_at or "expired_token" in request.chosen:
            del self._held[token]
            return None
        return held

    def take(self, token: str, request: Request) -> Grant | None:
        """Find a token and spend it: it is good for one use."""
        held = self.find(token, request)
        self._held.pop(token, None)
        return held

    def drop(self, token: str) -> None:
        """Revoke a token."""
        self._held.pop(token, None)


def granted(token: str, life_s: float, **more: Any) -> Reply:
    """Answer with a token, as OAuth 2 has it."""
    body = {"access_token": token, "token_type": "Bearer", "expires_in": int(life_s), **more}
    return Reply(orjson.dumps(body), outcome="login")


def oauth_error(status: int, error: str, description: str = "") -> Reply:
    """Refuse as OAuth 2 has it."""
    body = {"error": error, "error_description": description or error}
    return Reply(orjson.dumps(body), status, outcome="refused", shown=error.encode())
