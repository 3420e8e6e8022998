"""Plays one role towards the sign-on: identity provider."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, SecretStr

from lienthong.connectors import base, http, outcomes
from lienthong.connectors.dvcqg_sso import auth, signatures, wire
from lienthong.core import errors, people, records

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Settings(base.Settings):
    """The settings of the connection to the sign-on; the paths are those of a WSO2 identity server."""

    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    browser_url: str = Field(default="", description="the address that browsers use; empty: BASE_URL")
    issuer: str = Field(default="", description="the server's name in its id tokens; empty: not compared")
    scope: str = "openid"
    acr_values: str = "LoA1"
    require_id_token: bool = Field(default=True, description="refuse an answer without an id token")
    authorize_path: str = "/oauth2/authorize"
    token_path: str = "/oauth2/token"  # noqa: S105  (a path)
    userinfo_path: str = "/oauth2/userinfo"
    introspect_path: str = "/oauth2/introspect"
    revoke_path: str = "/oauth2/revoke"
    logout_path: str = "/oidc/logout"
    jwks_path: str = Field(
        default="/oauth2/jwks", description="the keys of its id tokens; empty: their signature is not checked"
    )


class Connector:
    """The sign-on of the portal. Tries once; a code is good for one exchange."""

    name = wire.SYSTEM

    def __init__(self, settings: Settings, around: base.Surroundings) -> None:
        self._settings = settings
        self._clock = around.clock
        self._client = base.client(self.name, settings, around)
        self._keys = signatures.Keys(self._client, path=settings.jwks_path) if settings.jwks_path else None

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()

    def sign_in_address(self, *, redirect_uri: str, state: str, nonce: str, code_challenge: str) -> str:
        """Give the address to send the browser to; `code_challenge` is made by S256. Pure."""
        settings = self._settings
        query = {
            "response_type": "code",
            "client_id": settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": settings.scope,
            "acr_values": settings.acr_values,
            "state": state,
            "nonce": nonce,
            "code_challenge": code_challenge,
            "code_challenge_method": "S256",
        }
        return self._in_browser(settings.authorize_path, query)

    def code_of(self, answer: Mapping[str, str], *, state: str) -> str:
        """Take the code out of what the browser came back with. Raises RemoteRefused where `state` is another."""
        return wire.code_of(answer, state=state)

    async def exchange_code(
        self, code: str, *, redirect_uri: str, nonce: str, code_verifier: str
    ) -> people.SignedIn:
        """Change the code for who signed in. Raises RemoteRefused for a used or foreign code."""
        settings, now = self._settings, self._clock()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": code_verifier,
        }
        granted = wire.granted(await self._post(settings.token_path, form, operation="exchange_code"), now=now)
        subject = ""
        if granted.id_token:
            if self._keys is not None:
                await self._keys.check(granted.id_token, now=now)
            subject = wire.check_id_token(
                granted.id_token, client_id=settings.client_id, issuer=settings.issuer, nonce=nonce, now=now
            )
        elif settings.require_id_token:
            raise outcomes.garbled("no id token", system=self.name)
        reply = await self._client.get(
            settings.userinfo_path,
            operation="user_info",
            headers={"authorization": f"Bearer {granted.access_token}"},
            returns=(),
        )
        return people.SignedIn(
            identity=wire.identity(reply, subject=subject),
            id_token=granted.id_token,
            access_token=granted.access_token,
            expires_at=granted.expires_at,
        )

    async def introspect(self, token: str) -> wire.Introspected:
        """Ask whether a token is in force and ours."""
        reply = await self._post(
            self._settings.introspect_path, {"token": token, "state": "0"}, operation="introspect", returns=()
        )
        return wire.introspected(reply, client_id=self._settings.client_id)

    async def revoke(self, token: str) -> None:
        """End a token."""
        await self._post(self._settings.revoke_path, {"token": token}, operation="revoke", returns=())

    def sign_out_address(self, *, id_token: str, redirect_uri: str) -> str:
        """Give the address that ends the session over there. Pure."""
        query = {"id_token_hint": id_token, "post_logout_redirect_uri": redirect_uri}
        known = {name: value for name, value in query.items() if value}
        return self._in_browser(self._settings.logout_path, known)

    def _in_browser(self, path: str, query: Mapping[str, str]) -> str:
        root = (self._settings.browser_url or self._settings.base_url).rstrip("/")
        return f"{root}{path}?{urllib.parse.urlencode(query)}"

    async def _post(
        self, path: str, values: Mapping[str, str], *, operation: str, returns: Any = frozenset({400, 401})
    ) -> http.Reply:
        settings = self._settings
        secret = settings.client_secret.get_secret_value()
        content = auth.form(values, client_id=settings.client_id, client_secret=secret)
        return await self._client.request(
            "POST", path, operation=operation, content=content, headers=auth.FORM, idempotent=True, returns=returns
        )

    async def check(self) -> Sequence[records.CheckResult]:
        """Look at the settings, and hand in a code that cannot be: only a known client is told so."""
        found = [
            base.settings_check(self._settings, needed=("base_url", "client_id", "client_secret")),
            self._tls_check(),
            *await self._keys_check(),
        ]
        form = {"grant_type": "authorization_code", "code": "0", "redirect_uri": self._settings.base_url}
        try:
            wire.granted(await self._post(self._settings.token_path, form, operation="check"), now=self._clock())
        except errors.RemoteRefused:
            vi, en = "Máy chủ đăng nhập nhận ra trục.", "The identity server knows the hub."
            return [*found, base.passed_check("credentials", vi, en)]
        except errors.HubError as error:
            return [*found, base.failed_check("credentials", error)]
        vi, en = "Máy chủ đăng nhập nhận cả mã bịa.", "The identity server takes even a made-up code."
        return [*found, records.CheckResult(name="credentials", ok=False, vi=vi, en=en)]

    async def _keys_check(self) -> list[records.CheckResult]:
        if self._keys is None:
            return []
        try:
            count = await self._keys.fetch(now=self._clock())
        except errors.HubError as error:
            return [base.failed_check("keys", error)]
        if count:
            return [base.passed_check("keys", f"Có {count} khoá công khai.", f"{count} public keys are there.")]
        vi, en = "Máy chủ không công bố khoá ký nào.", "The server publishes no key for signatures."
        return [records.CheckResult(name="keys", ok=False, vi=vi, en=en)]

    def _tls_check(self) -> records.CheckResult:
        address = urllib.parse.urlsplit(self._settings.base_url)
        if address.scheme == "https" or address.hostname in _LOOPBACK:
            return base.passed_check("tls", "Kết nối được bảo vệ.", "The connection is protected.")
        vi = "Phải dùng https: khoá, mã và thông tin người đăng nhập chỉ đáng tin qua kết nối được bảo vệ."
        en = "https is needed: keys, codes and who signed in can only be believed over a protected connection."
        return records.CheckResult(name="tls", ok=False, vi=vi, en=en)
