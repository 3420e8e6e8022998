"""Who may come in: session, role, forged and foreign posts, and the headers that every answer carries."""

from __future__ import annotations

import base64
import re
import urllib.parse

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lienthong.console.accounts import passkeys, sessions
from lienthong.console.web import places, search
from lienthong.console.web.desk import LOOPBACK, Desk, host_name
from lienthong.console.web.visit import Visit, is_local
from lienthong.console.web.words import Words
from lienthong.core import crypto, errors, journal, settings_console

VISITOR = "desk_visitor"
FORM_FIELD = "_form"
MOST_BYTES = 5_000_000
# No keyboard writes these, and PostgreSQL keeps no NUL; tabs and new lines are for long texts.
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_THEMES = ("auto", "light", "dark")
# Where somebody may go whose password was set by another or is too old, or who still needs a second step.
_BEFORE_ALL_ELSE = frozenset(
    {"own", "own.password", "own.second_step", "own.second_step.set", "sign_out", "looks"}
)
# Where they may go as well once their password is their own.
_PASSKEYS = frozenset(name for name in places.PLACES if name.startswith("own.passkeys"))

# Browsers keep these for all that we serve: nothing from elsewhere, no script or style inside a page, no frames.
# `same-origin` and not `no-referrer`: with that, browsers write `Origin: null` on our own forms. To other
# hosts nothing is said in either case.
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class Shield:
    """Puts the headers on every answer and refuses requests under another host's name (DNS rebinding)."""

    def __init__(self, app: ASGIApp, chosen: settings_console.Console) -> None:
        self._app, self._chosen = app, chosen
        self._is_https = chosen.public_url.startswith("https://")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
                if self._is_https:
                    headers["strict-transport-security"] = "max-age=31536000"
            await send(message)

        if not self._is_ours(Headers(scope=scope).get("host", "")):
            answer = PlainTextResponse("Địa chỉ này không phải của bàn điều khiển / not a name of this desk", 421)
            await answer(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _is_ours(self, host: str) -> bool:
        name = host_name(f"//{host}")
        return bool(name) and name in {*LOOPBACK, self._chosen.host, host_name(self._chosen.public_url)}


async def admit(desk: Desk, request: Request, name: str) -> Visit | Response:
    """Let a request in to a place, or say where to go first. Raises NotGranted, InvalidRequest, BodyTooLarge."""
    visit = await _visit(desk, request, name)
    place = places.place(name)
    if request.method == "POST":
        _must_be_from_here(desk, request)
        await _read_form(visit)
    _must_be_text(visit)
    if place.roles is places.ANYONE:
        return visit
    if visit.account is None:
        return _to_sign_in(visit)
    if not place.is_open_to(visit.account.roles):
        await _note_refusal(visit)
        raise errors.NotGranted(
            "your role has no access to this; ask an administrator",
            detail_vi="Vai trò của bạn không được dùng chức năng này; hãy liên hệ quản trị viên.",
        )
    if bare := _without_person(visit):
        return visit.go(name, to=bare, said="frame.number_left_out")
    first = _first_to_do(visit)
    if not first or name in _BEFORE_ALL_ELSE or (first != "own" and name in _PASSKEYS):
        return visit
    return RedirectResponse(visit.link(first), status_code=303)


async def _visit(desk: Desk, request: Request, name: str) -> Visit:
    hub, cookies = desk.hub, request.cookies
    client = request.client.host if request.client else ""
    browser = sessions.Browser(
        desk.addresses.of(client, request.headers.raw), request.headers.get("user-agent", "")[:1000]
    )
    now, token = hub.now(), cookies.get(desk.session_cookie, "")[:200]
    found = None
    if token:
        is_use = "x-desk-refresh" not in request.headers
        found = await sessions.find(
            hub.storage, hub.vault, token, browser, now=now, chosen=hub.settings.console, is_use=is_use
        )
    visitor = cookies.get(VISITOR, "")[:100]
    new_visitor = "" if found or len(visitor) >= 20 else base64.urlsafe_b64encode(crypto.random_token(18)).decode()
    bound = token if found else (new_visitor or visitor)
    return Visit(
        desk=desk,
        request=request,
        place=name,
        words=Words(cookies.get("desk_language", "vi")),
        theme=theme(request),
        form_token=hub.vault.digest(bound.encode(), purpose="desk-form"),
        now=now,
        browser=browser,
        account=found[0] if found else None,
        session=found[1] if found else None,
        token=token if found else "",
        visitor=new_visitor,
    )


def theme(request: Request) -> str:
    """Say in which colours somebody wants the desks, also where nobody was let in."""
    wanted = request.cookies.get("desk_theme", "")
    return wanted if wanted in _THEMES else _THEMES[0]


def _must_be_from_here(desk: Desk, request: Request) -> None:
    """Insist that a page of ours made this post, by what browsers say themselves. Raises NotGranted."""
    origin = request.headers.get("origin") or _of_page(request.headers.get("referer", ""))
    site = request.headers.get("sec-fetch-site", "same-origin")
    if origin != desk.origin(request.headers.get("host", "")) or site != "same-origin":
        raise _forged()


def _of_page(referer: str) -> str:
    """Give the origin of the page that a browser came from; nothing where it does not say."""
    if not host_name(referer):
        return ""
    told = urllib.parse.urlsplit(referer)
    return f"{told.scheme}://{told.netloc}"


async def _read_form(visit: Visit) -> None:
    """Read what was posted. Raises BodyTooLarge, or NotGranted where the form is not one of this session's."""
    told = visit.request.headers.get("content-length", "")
    if not told.isdecimal() or int(told) > MOST_BYTES:
        raise errors.BodyTooLarge()
    visit.form = await visit.request.form(max_files=5, max_fields=2000)
    given = visit.form.get(FORM_FIELD)
    if not isinstance(given, str) or not given.isascii() or not crypto.is_same(given, visit.form_token):
        if visit.account is None and places.place(visit.place).roles is not places.ANYONE:
            return  # the session is over: `admit` leads to the sign-in, and nothing is done
        raise _forged()


def _must_be_text(visit: Visit) -> None:
    """Refuse what no field of a page can hold, before anything is looked up by it. Raises InvalidRequest."""
    request = visit.request
    sent = [*request.path_params.values(), *request.query_params.values()]
    sent += [value for _, value in visit.form.multi_items() if isinstance(value, str)]
    if any(_NO_TEXT.search(value) for value in sent):
        raise errors.InvalidRequest(
            "control characters are no text; type it again",
            detail_vi="Nội dung có ký tự điều khiển; hãy gõ lại.",
        )


def _without_person(visit: Visit) -> str:
    """Give the address without what reads like a citizen's number, where it holds one; else nothing.

    The desk's script refuses one before it is sent; without it one must still not come into the trail, a saved
    view or a link that is passed on. `after` is ours.
    """
    if visit.request.method != "GET":
        return ""
    asked = visit.request.query_params.multi_items()
    kept = [(name, value) for name, value in asked if name == "after" or not search.is_person(value)]
    if len(kept) == len(asked):
        return ""
    return f"{visit.path}?{urllib.parse.urlencode(kept)}" if kept else visit.path


def _forged() -> errors.NotGranted:
    return errors.NotGranted(
        "this form is not from the page you have open, or it is too old; open the page again",
        detail_vi="Biểu mẫu này không phải từ trang đang mở, hoặc đã cũ; hãy mở lại trang.",
    )


def _to_sign_in(visit: Visit) -> Response:
    if visit.is_part or "x-desk-refresh" in visit.request.headers:
        return PlainTextResponse("", status_code=401)
    path = visit.path if visit.request.method == "GET" and is_local(visit.path) else ""
    query = f"?{urllib.parse.urlencode({'to': path})}" if len(path) > 1 else ""
    return RedirectResponse(places.place("sign_in").path + query, status_code=303)


def _first_to_do(visit: Visit) -> str:
    """Name the place where this person must do something before anything else; none where all is done."""
    account, session, chosen = visit.who, visit.session, visit.hub.settings.console
    is_local_sign_in = session is None or session.method == "password"
    is_old = account.has_old_password(chosen.password_days, now=visit.now)
    if (account.must_change or is_old) and is_local_sign_in:
        return "own"
    if passkeys.is_demanded(chosen, account.roles) and (session is None or session.method != passkeys.METHOD):
        return "own.passkeys"
    if chosen.totp_required and not account.has_second_step and is_local_sign_in:
        return "own.second_step"
    return ""


async def _note_refusal(visit: Visit) -> None:
    """Write down that somebody went where the role does not lead: buttons for it are never shown."""
    async with visit.hub.storage.transaction() as tx:
        await journal.write_act(
            tx, visit.place, visit.path[:200], actor=visit.who.name, now=visit.now, outcome=errors.NotGranted.code
        )
