"""`dvcqg_sso`: sign-on by OIDC authorization code on a WSO2 server, both user-info shapes (contracts §9)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from lienthong.sandbox import certificates, imitation, sso_accounts, tokens, wire
from lienthong.sandbox.imitation import Request
from lienthong.sandbox.tokens import Grant, Tokens
from lienthong.sandbox.wire import Reply

SYSTEM = "dvcqg_sso"
CODE_LIFE_S = 60.0


@dataclass(slots=True)
class Client:
    """The one client that is registered."""

    id: str = "demo-client"
    secret: str = "demo-client-secret"
    life_s: float = 3600.0


class DvcqgSso:
    """The imitated identity server."""

    roots: frozenset[str] = frozenset()

    def __init__(self, *, client: Client | None = None) -> None:
        """Serve this client."""
        self.client = client or Client()
        self._has_key = False
        self._codes = Tokens(life_s=CODE_LIFE_S)
        self._tokens = Tokens(life_s=self.client.life_s)
        self._services: dict[str, Callable[[Request], Reply]] = {
            "authorize": self._authorize, "token": self._token, "userinfo": self._userinfo,
            "introspect": self._introspect, "revoke": self._revoke, "logout": self._logout,
            "jwks": lambda _: Reply(certificates.jwks()), "discovery": self._discovery,
        }  # fmt: skip

    async def prepare(self) -> None:
        """Make the key of id tokens, once."""
        if not self._has_key:
            await asyncio.to_thread(certificates.token_key)
            self._has_key = True

    def forget(self) -> None:
        """Forget codes and tokens."""
        self._codes.forget()
        self._tokens.forget()

    def service_of(self, request: Request) -> str:
        """Name the endpoint by the end of its path."""
        if request.path.endswith("/openid-configuration"):
            return "discovery"
        last = request.path.rstrip("/").rpartition("/")[2].lower()
        return last if last in self._services else "?"

    def handle(self, request: Request) -> Reply:
        """Answer one call."""
        service = self._services.get(request.service)
        if service is None:
            return tokens.oauth_error(404, "not_found")
        if request.service in ("token", "introspect", "revoke") and request.method != "POST":
            return tokens.oauth_error(405, "method_not_allowed")
        return service(request)

    def _authorize(self, request: Request) -> Reply:
        query = request.query if request.method == "GET" else {**request.query, **request.form()}
        redirect = query.get("redirect_uri", "")
        if query.get("client_id") != self.client.id or not imitation.may_return_to(redirect):
            # Never sent back: nobody knows to whom.
            return tokens.oauth_error(400, "invalid_client", "client_id or redirect_uri is not registered")
        if query.get("response_type") != "code" or "openid" not in query.get("scope", "").split():
            return imitation.sent_to(redirect, error="invalid_request", state=query.get("state", ""))
        if query.get("code_challenge") and query.get("code_challenge_method") != "S256":
            return imitation.sent_to(redirect, error="invalid_request", state=query.get("state", ""))
        if query.get("account") == "cancel" or "login_refused" in request.chosen:
            return imitation.sent_to(redirect, error="access_denied", state=query.get("state", ""))
        if query.get("account") not in sso_accounts.ACCOUNTS:
            return Reply(sso_accounts.page(query), 200, wire.HTML)
        request.about["account"] = query["account"]
        facts = {key: query.get(key, "") for key in ("account", "nonce", "code_challenge")}
        code = self._codes.issue(request.now, facts={"redirect_uri": redirect, **facts})
        return imitation.sent_to(redirect, code=code, state=query.get("state", ""))

    def _is_client(self, request: Request, form: dict[str, str]) -> bool:
        name, word = form.get("client_id", ""), form.get("client_secret", "")
        if not name:
            name, word = request.basic()
        return name == self.client.id and hmac.compare_digest(word.encode(), self.client.secret.encode())

    def _token(self, request: Request) -> Reply:
        form = request.form()
        if not self._is_client(request, form):
            return tokens.oauth_error(401, "invalid_client", "Client Authentication failed.")
        if form.get("grant_type") != "authorization_code":
            return tokens.oauth_error(400, "unsupported_grant_type")
        code = self._codes.take(form.get("code", ""), request)
        if code is None or code.facts["redirect_uri"] != form.get("redirect_uri"):
            return tokens.oauth_error(400, "invalid_grant", "Inactive authorization code")
        if not _is_verified(code, form.get("code_verifier", "")):
            return tokens.oauth_error(400, "invalid_grant", "PKCE validation failed")
        token = self._tokens.issue(request.now, facts={"account": code.facts["account"]})
        issued = certificates.signed_token(self._claims(request, code))
        return tokens.granted(token, self._tokens.life_s, scope="openid", id_token=issued)

    def _claims(self, request: Request, code: Grant) -> dict[str, object]:
        at = int(request.now + float(request.chosen.get("skew", {}).get("seconds", 0)))
        account = sso_accounts.ACCOUNTS[code.facts["account"]]
        claims: dict[str, object] = {
            "iss": _issuer(request), "sub": account.info["sub"], "aud": self.client.id, "azp": self.client.id,
            "iat": at, "exp": at + int(self.client.life_s), "acr": "LoA1",
        }  # fmt: skip
        nonce = code.facts["nonce"] + ("x" if "wrong_nonce" in request.chosen else "")
        return claims | ({"nonce": nonce} if nonce else {})

    def _userinfo(self, request: Request) -> Reply:
        held = self._tokens.find(request.bearer(), request)
        if held is None:
            return tokens.oauth_error(401, "invalid_token", "Access token validation failed")
        account = sso_accounts.ACCOUNTS[held.facts["account"]]
        request.about |= {"account": held.facts["account"], "shape": account.shape}
        info = dict(account.info)
        if "other_subject" in request.chosen:
            info["sub"] = f"{info['sub']}-x"
        return Reply(orjson.dumps(info))

    def _introspect(self, request: Request) -> Reply:
        form = request.form()
        held = self._tokens.find(form.get("token", ""), request)
        if held is None:
            return Reply(orjson.dumps({"active": False}))
        return Reply(orjson.dumps({"active": True, "client_id": self.client.id, "exp": int(held.ends_at)}))

    def _revoke(self, request: Request) -> Reply:
        form = request.form()
        if not self._is_client(request, form):
            return tokens.oauth_error(401, "invalid_client")
        self._tokens.drop(form.get("token", ""))
        return Reply(b"{}", had_effect=True)

    def _logout(self, request: Request) -> Reply:
        query = request.query | request.form()
        back = query.get("post_logout_redirect_uri", "")
        if back and not imitation.may_return_to(back):
            return tokens.oauth_error(400, "invalid_request", "post_logout_redirect_uri is not registered")
        if back:
            return imitation.sent_to(back, **({"state": query["state"]} if query.get("state") else {}))
        return Reply(b"<!DOCTYPE html><title>Logout</title><p>OK</p>", 200, wire.HTML)

    def _discovery(self, request: Request) -> Reply:
        base = _issuer(request).removesuffix("/oauth2/token")
        ends = {
            "authorization": "oauth2/authorize", "token": "oauth2/token", "userinfo": "oauth2/userinfo",
            "introspection": "oauth2/introspect", "revocation": "oauth2/revoke", "end_session": "oidc/logout",
        }  # fmt: skip
        found = {f"{name}_endpoint": f"{base}/{end}" for name, end in ends.items()}
        found |= {"issuer": _issuer(request), "jwks_uri": f"{base}/oauth2/jwks"}
        return Reply(orjson.dumps(found))


def _issuer(request: Request) -> str:
    """Return the name of the server in its tokens: its token endpoint, as WSO2 has it."""
    return f"{request.url.partition(f'/{SYSTEM}/')[0]}/{SYSTEM}/oauth2/token"


def _is_verified(code: Grant, verifier: str) -> bool:
    challenge = code.facts["code_challenge"]
    if not challenge:
        return True
    digest = hashlib.sha256(verifier.encode()).digest()
    return hmac.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), challenge)
