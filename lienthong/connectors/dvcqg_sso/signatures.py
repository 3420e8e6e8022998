"""The signatures of id tokens: by the keys that the server publishes, as OIDC Core 3.1.3.7 (6) asks for."""

from __future__ import annotations

from datetime import datetime, timedelta

import jwt

from lienthong.connectors import http, outcomes
from lienthong.connectors.dvcqg_sso import wire

# By a key of two halves only: with a shared word, or with none, anybody could have signed.
ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
# A token by a key that nobody knows is no reason to ask for the keys each time.
_ASK_AGAIN = timedelta(minutes=1)


class Keys:
    """The keys of the server; asked for when a token names one that is not known, for keys change."""

    def __init__(self, client: http.Client, *, path: str) -> None:
        self._client, self._path = client, path
        self._keys: list[jwt.PyJWK] = []
        self._asked_at: datetime | None = None

    async def check(self, token: str, *, now: datetime) -> None:
        """Check that the server signed a token. Raises RemoteGarbled where it did not."""
        try:
            head = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise outcomes.garbled("the id token is none", system=wire.SYSTEM) from None
        algorithm = head.get("alg")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise outcomes.garbled("the id token is not signed by a key of the server", system=wire.SYSTEM)
        key = self._find(head.get("kid"))
        if key is None and (self._asked_at is None or not timedelta(0) <= now - self._asked_at < _ASK_AGAIN):
            await self.fetch(now=now)
            key = self._find(head.get("kid"))
        if key is None:
            raise outcomes.garbled("the id token names a key that the server does not have", system=wire.SYSTEM)
        try:
            jwt.PyJWS().decode(token, key, algorithms=[algorithm])
        except (jwt.PyJWTError, TypeError, ValueError):  # the last two: a key of another kind than the token says
            raise outcomes.garbled("the id token was not signed by the server", system=wire.SYSTEM) from None

    async def fetch(self, *, now: datetime) -> int:
        """Ask the server for its keys; gives how many can be used. Raises RemoteGarbled for something else."""
        self._asked_at = now
        reply = await self._client.get(self._path, operation="keys", returns=())
        told = reply.json()
        try:
            known = jwt.PyJWKSet.from_dict(told).keys
        except (jwt.PyJWTError, AttributeError, TypeError, ValueError):
            raise outcomes.garbled("the keys of the server cannot be read", system=wire.SYSTEM) from None
        self._keys = [key for key in known if key.public_key_use in (None, "sig")]
        return len(self._keys)

    def _find(self, name: object) -> jwt.PyJWK | None:
        if name is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.key_id == name), None)
