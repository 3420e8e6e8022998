"""Signing in, by password or through an identity provider, and out; language, theme, fonts; whether we live."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from lienthong.connectors import roles
from lienthong.console.accounts import sessions, sign_in
from lienthong.console.web import guard
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit, is_local
from lienthong.console.web.words import LANGUAGES
from lienthong.core import crypto, errors

routes = Routes()
_OUTSIDE, _SEAL = "desk_outside", "desk-outside-state"
_YEAR_S = 31_536_000
# The files of the type that an operator may put into HOME/fonts, as their makers name them, and their weights.
_WEIGHTS = {"Regular": 400, "Medium": 500, "SemiBold": 600, "Bold": 700}
_FONT = re.compile(r"BeVietnamPro-(Regular|Medium|SemiBold|Bold)\.(woff2|ttf)")


@routes.page("alive")
async def alive(_visit: Visit) -> Response:
    """Say that this process answers."""
    return PlainTextResponse("ok")


@routes.page("sign_in")
async def show(visit: Visit) -> Response:
    """Show the sign-in."""
    if visit.account is not None:
        return RedirectResponse("/", status_code=303)
    return form(visit)


def form(visit: Visit, failure: errors.HubError | None = None) -> Response:
    """Show the sign-in, with what went wrong before."""
    to = visit.query.get("to", "") or visit.text("to")
    answer = visit.page(
        "sign_in.html",
        status=failure.status if failure else 200,
        to=to if is_local(to) else "",
        name=visit.text("name")[:60],
        failure=failure.detail(visit.words.language) if failure else "",
        passkey=visit.link("sign_in.passkey") if visit.has_passkeys else "",
        outside="/sign-in/outside" if visit.hub.settings.console.identity_provider else "",
    )
    if failure is not None and failure.retry_after_s:
        answer.headers["retry-after"] = str(int(failure.retry_after_s))
    return answer


@routes.act("sign_in.try")
async def try_it(visit: Visit) -> Response:
    """Sign in with name, password and the second step."""
    password = visit.form.get("password")
    offered = sign_in.Offered(
        visit.text("name"), password if isinstance(password, str) else "", visit.text("code")[:60]
    )
    try:
        token = await sign_in.with_password(visit.hub, offered, visit.browser)
    except (errors.CallerError, errors.CapacityReduced) as exc:
        return form(visit, exc)
    return await let_in(visit, token, visit.text("to"))


async def let_in(visit: Visit, token: str, to: str) -> Response:
    """Set the new session's cookie; one that was there before is ended, whoever brought it."""
    if visit.session is not None:
        await sessions.revoke(
            visit.hub.storage, visit.who.id, by=visit.who.name, now=visit.now, only=visit.session.id
        )
    answer = RedirectResponse(to if is_local(to) else "/", status_code=303)
    visit.desk.keep(answer, visit.desk.session_cookie, token)
    visit.desk.drop(answer, guard.VISITOR)
    visit.visitor = ""
    return answer


# ------------------------------------------------------------------------------------------- through somebody else


def _provider(visit: Visit) -> tuple[str, roles.IdentityProvider]:
    name = visit.hub.settings.console.identity_provider
    if not name:
        raise errors.NotFound()
    found = visit.hub.system(name)
    if not isinstance(found, roles.IdentityProvider):
        raise errors.Misconfigured(
            "LIENTHONG_CONSOLE__IDENTITY_PROVIDER names a system where nobody signs in",
            detail_vi="LIENTHONG_CONSOLE__IDENTITY_PROVIDER không phải hệ thống đăng nhập.",
        )
    return name, found


def _way_back(visit: Visit) -> str:
    return f"{visit.desk.origin(visit.request.headers.get('host', ''))}/sign-in/back"


@routes.page("sign_in.outside")
async def go_outside(visit: Visit) -> Response:
    """Send the browser to the identity provider, remembering in a sealed cookie what it must come back with."""
    _, provider = _provider(visit)
    state, nonce, verifier = (
        base64.urlsafe_b64encode(crypto.random_token()).decode().rstrip("=") for _ in range(3)
    )
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    address = provider.sign_in_address(
        redirect_uri=_way_back(visit), state=state, nonce=nonce, code_challenge=challenge
    )
    until = (visit.now + timedelta(minutes=10)).timestamp()
    told = visit.hub.vault.seal(orjson.dumps([state, nonce, verifier, until]), purpose=_SEAL)
    answer = RedirectResponse(address, status_code=303)
    visit.desk.keep(answer, _OUTSIDE, base64.urlsafe_b64encode(told).decode(), max_age=600)
    return answer


@routes.page("sign_in.back")
async def come_back(visit: Visit) -> Response:
    """Take the code that the browser brings back, only in the browser that went out for it."""
    name, provider = _provider(visit)
    try:
        state, nonce, verifier, until = _remembered(visit)
        code = visit.request.query_params.get("code", "")
        is_ours = crypto.is_same(visit.request.query_params.get("state", "").encode().hex(), state.encode().hex())
        if not is_ours or not code or visit.now.timestamp() > until:
            raise _not_completed()
        signed_in = await provider.exchange_code(
            code, redirect_uri=_way_back(visit), nonce=nonce, code_verifier=verifier
        )
        token = await sign_in.from_outside(visit.hub, name, signed_in.identity.key, visit.browser)
    except (errors.CallerError, errors.RemoteError) as exc:
        answer = form(visit, exc)
    else:
        answer = await let_in(visit, token, "/")
    visit.desk.drop(answer, _OUTSIDE)
    return answer


def _remembered(visit: Visit) -> tuple[str, str, str, float]:
    try:
        raw = base64.urlsafe_b64decode(visit.request.cookies.get(_OUTSIDE, ""))
        state, nonce, verifier, until = orjson.loads(visit.hub.vault.open(raw, purpose=_SEAL))
    except (ValueError, errors.StorageUnavailable) as exc:
        raise _not_completed() from exc
    return state, nonce, verifier, until


def _not_completed() -> errors.InvalidRequest:
    return errors.InvalidRequest(
        "the sign-in does not belong to this browser's request, or took too long; sign in again",
        detail_vi="Lượt đăng nhập không khớp với trình duyệt này hoặc đã quá lâu; hãy đăng nhập lại.",
    )


# ------------------------------------------------------------------------------------------------- out, and looks


@routes.act("sign_out")
async def sign_out(visit: Visit) -> Response:
    """End this session."""
    if visit.session is not None:
        await sessions.revoke(
            visit.hub.storage, visit.who.id, by=visit.who.name, now=visit.now, only=visit.session.id
        )
    answer = RedirectResponse("/sign-in", status_code=303)
    visit.desk.drop(answer, visit.desk.session_cookie)
    answer.headers["clear-site-data"] = '"cache", "storage"'
    return answer


@routes.act("looks")
async def looks(visit: Visit) -> Response:
    """Remember language and theme in this browser."""
    to = visit.text("to")
    answer = RedirectResponse(to if is_local(to) else "/", status_code=303)
    choices: dict[str, tuple[Any, ...]] = {"language": LANGUAGES, "theme": ("auto", "light", "dark")}
    for name, known in choices.items():
        if (chosen := visit.text(name)) in known:
            visit.desk.keep(answer, f"desk_{name}", chosen, max_age=_YEAR_S)
    return answer


# ---------------------------------------------------------------------------------------------------------- fonts


def _folder(visit: Visit) -> Path:
    return visit.hub.settings.home / "fonts"


@routes.page("fonts")
async def fonts(visit: Visit) -> Response:
    """Declare the type that the operator put into HOME/fonts; nothing where there is none."""
    folder = _folder(visit)
    found = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    rules = [
        f'@font-face{{font-family:"Be Vietnam Pro";font-weight:{_WEIGHTS[known[1]]};font-display:swap;'
        f"src:url(/static/fonts/{name})}}"
        for name in found
        if (known := _FONT.fullmatch(name))
    ]
    return Response("\n".join(rules), media_type="text/css")


@routes.page("font")
async def font(visit: Visit) -> Response:
    """Serve one of those files."""
    name = visit.param("name")
    path = _folder(visit) / name
    if not _FONT.fullmatch(name) or not path.is_file():
        raise errors.NotFound()
    kind = "font/woff2" if name.endswith("woff2") else "font/ttf"
    return Response(path.read_bytes(), media_type=kind)
