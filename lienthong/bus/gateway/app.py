"""The gateway as one ASGI application: operations in front, and behind them health, figures and the reference."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping, Sequence
from importlib import metadata, resources
from typing import Any

import orjson
import sqlalchemy as sa
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from lienthong.api_keys import choosing, gate, limits, lookup, uses
from lienthong.bus import operations
from lienthong.bus.flows import bill_lookup, payment, postal_callback
from lienthong.bus.gateway import answers, callbacks, figures, front, openapi, reference
from lienthong.bus.hub import Hub
from lienthong.connectors import roles
from lienthong.core import errors

_READY_WITHIN_S = 2.0
_STATIC = resources.files("lienthong.bus.gateway").joinpath("static")
_KINDS = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
_PAGE_POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; frame-ancestors 'none'; base-uri 'none'"
_METHODS = ["GET", "HEAD"]


def create_app(
    hub: Hub,
    limiter: limits.Limiter | None = None,
    *,
    gauges: figures.Gauges | None = None,
    table: Sequence[operations.Operation] = operations.OPERATIONS,
    flows: Sequence[tuple[type, callbacks.Flow]] = (
        (roles.BillTeller, bill_lookup.callback),
        (roles.PaymentProvider, payment.callback),
        (roles.ParcelCaller, postal_callback.callback),
    ),
) -> front.Front:
    """Put the gateway together. The server's lifespan starts and stops what it needs."""
    chosen = limiter or choosing.limiter(hub.settings, hub.storage)
    counted = figures.Figures(gauges)
    pages = _pages(hub, chosen, counted, table)
    gatekeeper = gate.Gate(lookup.Lookup(hub.storage, hub.vault), chosen, uses.Uses(hub.storage))
    return front.Front(hub, gatekeeper, pages, counted=counted, table=table, flows=flows)


def _pages(
    hub: Hub,
    limiter: limits.Limiter,
    counted: figures.Figures,
    table: Sequence[operations.Operation],
) -> FastAPI:
    pages = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    told = _told(tuple(table))
    document = orjson.dumps(told)
    place = hub.settings.gateway
    address = f"http://{place.host}:{place.port}"
    shown = {
        language: reference.page(table, told, language=language, address=address) for language in answers.LANGUAGES
    }

    @pages.exception_handler(HTTPException)
    async def _refused(request: Request, exc: HTTPException) -> Response:
        return _problem(request, exc)

    @pages.api_route("/health/live", methods=_METHODS, name="health.live")
    async def _live() -> Response:
        return _json(200, {"status": "live"})

    @pages.api_route("/health/ready", methods=_METHODS, name="health.ready")
    async def _ready(request: Request) -> Response:
        checks = await _check(hub, limiter, language=request.scope[front.VISIT].language)
        # Without Redis the gateway still serves its share: taking it out of turn would only make things worse.
        ready = all(check["ok"] for check in checks if check["name"] == "database")
        well = all(check["ok"] for check in checks)
        status = "not ready" if not ready else "ready" if well else "reduced"
        return _json(200 if ready else 503, {"status": status, "checks": checks})

    @pages.api_route("/metrics", methods=_METHODS, name="metrics")
    async def _metrics() -> Response:
        return Response(await counted.text(), headers={"content-type": figures.CONTENT_TYPE})

    @pages.api_route("/openapi.json", methods=_METHODS, name="openapi")
    async def _openapi() -> Response:
        return Response(document, media_type="application/json")

    @pages.api_route("/docs", methods=_METHODS, name="docs")
    async def _docs(request: Request) -> Response:
        asked = request.query_params.get("lang", "")
        language = asked if asked in answers.LANGUAGES else request.scope[front.VISIT].language
        headers = {"content-security-policy": _PAGE_POLICY, "content-language": language}
        return Response(shown[language], media_type="text/html", headers=headers)

    @pages.api_route("/docs/static/{name}", methods=_METHODS, name="docs.static")
    async def _static(name: str) -> Response:
        kind = _KINDS.get(name.rpartition(".")[2])
        file = _STATIC.joinpath(name)
        if kind is None or "/" in name or not file.is_file():
            raise HTTPException(404)
        return Response(file.read_bytes(), headers={"content-type": kind, "cache-control": "max-age=3600"})

    return pages


# It takes a tenth of a second to write, and every gateway of a process has the same.
@functools.lru_cache(maxsize=2)
def _told(table: tuple[operations.Operation, ...]) -> dict[str, Any]:
    return openapi.document(table, version=metadata.version("lienthong"))


def _problem(request: Request, exc: HTTPException) -> Response:
    coming = request.scope[front.VISIT]
    allow = (exc.headers or {}).get("allow") or (exc.headers or {}).get("Allow")
    wrong: errors.CallerError = errors.NotFound(
        "There is nothing at this address; /docs lists every operation.",
        detail_vi="Không có gì ở địa chỉ này; xem /docs để biết mọi thao tác.",
    )
    if exc.status_code == 405:
        wrong = errors.MethodNotAllowed(allow=allow or "GET, HEAD")
    coming.outcome = wrong.code
    answer = answers.problem(wrong, language=coming.language, request_id=coming.request_id)
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return Response(answer.body, status_code=answer.status, headers=headers)


async def _check(hub: Hub, limiter: limits.Limiter, *, language: str) -> list[Mapping[str, Any]]:
    """Say what the gateway leans on and whether it is there, in words."""
    checks = [("database", await _database_answers(hub))]
    if hub.settings.redis.url:
        checks.append(("redis", await limiter.check()))
    said = {
        ("vi", True): "hoạt động",
        ("vi", False): "không trả lời",
        ("en", True): "answers",
        ("en", False): "does not answer",
    }
    return [{"name": name, "ok": ok, "detail": said[language, ok]} for name, ok in checks]


async def _database_answers(hub: Hub) -> bool:
    try:
        async with asyncio.timeout(_READY_WITHIN_S), hub.storage.reading() as conn:
            await conn.execute(sa.select(1))
    except (errors.StorageUnavailable, TimeoutError):
        return False
    return True


def _json(status: int, value: Any) -> Response:
    return Response(orjson.dumps(value), status_code=status, media_type="application/json")
