"""The web application of the desks: the routes of all page modules behind one guard."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from lienthong.bus.hub import Hub
from lienthong.console.accounts import passkeys
from lienthong.console.web import guard, operator_outbox, places, routing
from lienthong.console.web.desk import Desk
from lienthong.console.web.pages import (
    account_list,
    catalogue_pages,
    finding,
    getting_in,
    hub_settings,
    key_acts,
    key_pages,
    mapping_pages,
    official_acts_pages,
    official_pages,
    oneself,
    operator_dossier,
    operator_messages,
    operator_parcels,
    operator_payments,
    operator_reconciliation,
    operator_sync,
    operator_targets,
    overview,
    passkey_pages,
    records,
    records_people,
    security_alerts,
    security_keys,
    security_reports,
    security_reviews,
    security_rules,
    security_seals,
    self_check,
    system_pages,
    trail,
)
from lienthong.console.web.visit import Visit
from lienthong.console.web.words import Words
from lienthong.core import errors

_log = logging.getLogger("lienthong.console")
# Each module of pages has its routes; a new one is added here.
PAGES = (
    getting_in,
    oneself,
    passkey_pages,
    finding,
    overview,
    operator_dossier,
    operator_messages,
    operator_parcels,
    operator_payments,
    operator_reconciliation,
    operator_sync,
    operator_targets,
    system_pages,
    hub_settings,
    account_list,
    trail,
    # the security officer
    security_alerts,
    security_reports,
    security_rules,
    records,
    records_people,
    security_keys,
    security_seals,
    security_reviews,
    # keys, officials, catalogues
    key_pages,
    key_acts,
    official_pages,
    official_acts_pages,
    catalogue_pages,
    mapping_pages,
    self_check,
)

Endpoint = Callable[[Request], Awaitable[Response]]


def create_app(hub: Hub) -> ASGIApp:
    """Make the application. Raises Misconfigured where a route has no place, or a place two routes."""
    passkeys.check(hub.settings.console)
    desk = Desk(hub, routing.together(module.routes for module in PAGES))
    routes: list[BaseRoute] = [
        Route(
            places.place(name).path,
            _endpoint(desk, name, handler),
            methods=["GET"] if places.place(name).kind == "page" else ["POST"],
            name=name,
        )
        for name, handler in desk.handlers.items()
    ]
    routes.append(Mount("/static", StaticFiles(packages=[("lienthong.console.web", "static")])))
    app = Starlette(routes=routes, exception_handlers={HTTPException: _not_ours(desk), 500: _defect(desk)})
    return guard.Shield(_Lasting(app), hub.settings.console)


class _Lasting:
    """Lets browsers keep our own files: their addresses change with their content."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        """Serve one request."""

        async def send_lasting(message) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
            is_ours = scope["type"] == "http" and scope["path"].startswith("/static/")
            if is_ours and message["type"] == "http.response.start" and message["status"] == 200:
                is_named = b"v=" in scope["query_string"]
                kept = b"public, max-age=31536000, immutable" if is_named else b"public, max-age=300"
                message["headers"] = [*message["headers"], (b"cache-control", kept)]
            await send(message)

        await self._app(scope, receive, send_lasting)


def _endpoint(desk: Desk, name: str, handler: routing.Handler) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        try:
            admitted = await guard.admit(desk, request, name)
        except errors.HubError as exc:
            return _failure(desk, request, exc)
        if not isinstance(admitted, Visit):
            return admitted
        try:
            answer = await handler(admitted)
        except errors.HubError as exc:
            answer = _failed(admitted, exc)
        if admitted.visitor and name not in places.WITHOUT_FORMS:
            desk.keep(answer, guard.VISITOR, admitted.visitor)
        return answer

    return endpoint


def _failed(visit: Visit, exc: errors.HubError) -> Response:
    """Answer with what went wrong, in the person's language, naming what it depends on."""
    language = visit.words.language
    if exc.status >= 500:
        _log.warning("a page of the desks failed", extra={"place": visit.place, "code": exc.code})
    answer = visit.page(
        "error.html",
        status=exc.status,
        sentence=_sentence(visit, exc),
        problems=[problem.as_json(language) for problem in exc.problems],
        code=exc.code,
        depends=_dependency(exc),
        back=visit.path if visit.request.method == "GET" and exc.status != 404 else "",
    )
    if exc.retry_after_s:
        answer.headers["retry-after"] = str(int(exc.retry_after_s))
    return answer


def _sentence(visit: Visit, exc: errors.HubError) -> str:
    """Say what went wrong; not that it will be tried again, as messages are: here somebody asked."""
    told = exc.detail(visit.words.language)
    is_plain = isinstance(exc, errors.RemoteError) and told == exc.sentence(visit.words.language)
    return operator_outbox.cause(exc.code, visit.words) if is_plain else told


def _dependency(exc: errors.HubError) -> str:
    if isinstance(exc, errors.StorageUnavailable):
        return "database"
    return exc.system if isinstance(exc, errors.RemoteError) else ""


def _failure(desk: Desk, request: Request, exc: errors.HubError) -> Response:
    """Answer where nobody was let in yet, so that nothing about a session is shown."""
    words = Words(request.cookies.get("desk_language", "vi"))
    html = desk.render(
        "refused.html",
        t=words,
        theme=guard.theme(request),
        sentence=exc.detail(words.language),
        code=exc.code,
    )
    return HTMLResponse(html, status_code=exc.status)


def _not_ours(desk: Desk) -> Callable[[Request, Exception], Response]:
    def answer(request: Request, exc: Exception) -> Response:
        status = exc.status_code if isinstance(exc, HTTPException) else 404
        if status == 405 and request.method == "GET":
            return RedirectResponse("/", status_code=303)  # the address of an act, opened by hand
        kind = errors.MethodNotAllowed() if status == 405 else errors.NotFound()
        answer = _failure(desk, request, kind)
        answer.status_code = status
        return answer

    return answer


def _defect(desk: Desk) -> Callable[[Request, Exception], Response]:
    def answer(request: Request, exc: Exception) -> Response:
        _log.error("a page of the desks met a defect", exc_info=exc)
        return _failure(desk, request, errors.InternalFault())

    return answer
