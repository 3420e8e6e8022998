"""The way through an integration platform (LGSP): a bearer token, got once and shared until it expires.

Two ways of getting one: a header that names the province (contracts §5.5, LGSP-1), or a consumer's name and
secret (§6.2). Without LGSP_TOKEN_PATH there is no platform in between.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

import orjson
from pydantic import Field, SecretStr

from lienthong.connectors import base, bearer, http
from lienthong.core import errors

_HOUR_S = 3600.0

_Answer = TypeVar("_Answer")


class Settings(base.Settings):
    """What a platform in between asks for, beside the settings of the system behind it."""

    lgsp_token_path: str = Field(default="", description="empty: no platform in between")
    lgsp_access_key: str = ""
    lgsp_secret_key: SecretStr = SecretStr("")
    lgsp_app_name: str = ""
    lgsp_partner_code: str = Field(default="", description="empty: the code of the hub's own agency")
    lgsp_partner_code_cus: str = Field(default="", description="empty: as LGSP_PARTNER_CODE")
    lgsp_consumer_key: str = Field(default="", description="the other way: Basic with name and secret")
    lgsp_consumer_secret: SecretStr = SecretStr("")


def platform_header(settings: Settings, names: Mapping[str, str], *, agency_code: str) -> str:
    """Make the header that names the province: base64 of compact JSON, its keys in this order (vector 12.9)."""
    partner = settings.lgsp_partner_code or agency_code
    values = {
        names["lgsp_access_key"]: settings.lgsp_access_key,
        names["lgsp_secret_key"]: settings.lgsp_secret_key.get_secret_value(),
        names["lgsp_app_name"]: settings.lgsp_app_name,
        names["lgsp_partner_code"]: partner,
        names["lgsp_partner_code_cus"]: settings.lgsp_partner_code_cus or partner,
    }
    return base64.b64encode(orjson.dumps(values)).decode("ascii")


def consumer_header(key: str, secret: str) -> str:
    """Make the header of the other way (vector 12.10)."""
    return "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode("ascii")


class Way:
    """Sends calls with the platform's headers; a token that is refused is got anew once."""

    def __init__(
        self,
        client: http.Client,
        settings: Settings,
        names: Mapping[str, str],
        *,
        agency_code: str,
        clock: Callable[[], datetime],
    ) -> None:
        """Go over `client`; `names` are the envelope words of the connector's mapping file."""
        self._client, self._settings = client, settings
        self._token = bearer.Token(self._obtain, clock)
        self._own: dict[str, str] = {}
        if settings.lgsp_access_key:
            header = platform_header(settings, names, agency_code=agency_code)
            self._own = {names["lgsp_header"]: header}

    async def send(self, call: Callable[[dict[str, str]], Awaitable[_Answer]]) -> _Answer:
        """Make one call with the headers it needs."""
        if not self._settings.lgsp_token_path:
            return await call(dict(self._own))
        token = await self.token()
        try:
            return await call(self._headers(token))
        except errors.RemoteForbids as refused:
            if refused.remote_code != "HTTP 401":
                raise
        return await call(self._headers(await self.token(refused=token)))

    async def token(self, *, refused: str = "") -> str:
        """Give a token that is in force and is not the one refused; however many ask, one is got."""
        return await self._token.current(refused=refused)

    def _headers(self, token: str) -> dict[str, str]:
        return {"authorization": f"Bearer {token}", **self._own}

    async def _obtain(self) -> tuple[str, float]:
        settings = self._settings
        headers = {"content-type": "application/x-www-form-urlencoded", **self._own}
        if settings.lgsp_consumer_key:
            secret = settings.lgsp_consumer_secret.get_secret_value()
            headers["authorization"] = consumer_header(settings.lgsp_consumer_key, secret)
        reply = await self._client.request(
            "POST",
            settings.lgsp_token_path,
            operation="token",
            content=b"grant_type=client_credentials",
            headers=headers,
            idempotent=True,
            returns=(),
        )
        return _token(reply)


def _token(reply: http.Reply) -> tuple[str, float]:
    """Read a token and its seconds of life; one hour where they are not said."""
    try:
        body: Any = reply.json()
        value, life_s = body.get("access_token"), float(body.get("expires_in") or _HOUR_S)
    except (errors.RemoteGarbled, AttributeError, TypeError, ValueError) as error:
        # Whatever waits for this token was not sent, and must not be given up because of it.
        raise errors.RemoteUnavailable(system=reply.system, remote_code="garbled", operation="token") from error
    if not isinstance(value, str) or not value or not 0 < life_s < 10**8:
        raise errors.RemoteForbids(system=reply.system, remote_code="no token", operation="token")
    return value, life_s
