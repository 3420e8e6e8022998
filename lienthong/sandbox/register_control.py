"""The `/_sandbox/…` routes of the registers: officials, residents, quota, and the certificate to be trusted."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from fastapi import FastAPI, HTTPException, Request, Response

from lienthong.sandbox import dvcqg_sso, dvcqg_store, enterprises, pages, residents, sso_accounts
from lienthong.sandbox.state import State


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def add_routes(app: FastAPI, state: State) -> None:
    """Add the routes to an application."""
    _add_officials(app, state)
    _add_quota(app, state)
    _add_what_there_is(app)


def _add_officials(app: FastAPI, state: State) -> None:
    held = state.population.officials

    @app.get("/_sandbox/officials")
    async def officials() -> Response:
        return _json({"items": [one.described() for one in held.by_code.values()]})

    @app.post("/_sandbox/officials")
    @app.put("/_sandbox/officials")
    async def put(request: Request) -> Response:
        pages.check_origin(request)
        try:
            official = held.put(orjson.loads(await request.body()))
        except ValueError as problem:
            raise HTTPException(422, str(problem)) from problem
        return _json(official.described(), 201)

    @app.delete("/_sandbox/officials/{code}")
    async def drop(request: Request, code: str) -> Response:
        pages.check_origin(request)
        if not held.drop(code):
            raise HTTPException(404, "không có cán bộ này / no such official")
        return _json({"ok": True})


def _add_quota(app: FastAPI, state: State) -> None:
    @app.get("/_sandbox/quota")
    async def quota() -> Response:
        return _json({"per_day": state.population.per_day, "used": state.population.used()})

    @app.put("/_sandbox/quota")
    async def put(request: Request) -> Response:
        pages.check_origin(request)
        try:
            wanted = orjson.loads(await request.body())
            state.population.per_day = max(0, int(wanted["per_day"]))
        except (ValueError, KeyError, TypeError) as problem:
            raise HTTPException(422, 'cần {"per_day": N} / a number is needed') from problem
        return await quota()


def _add_what_there_is(app: FastAPI) -> None:
    @app.get("/_sandbox/residents")
    async def people() -> Response:
        # Invented people only, so that whoever tries the sandbox knows whom to ask about.
        rows = [
            {"numbers": one.numbers, "name": one.name, "birth": one.row["ngay_sinh"] or one.row["nam_sinh"],
             "note": one.row["ghi_chu"]}
            for one in residents.known()
        ]  # fmt: skip
        return _json({"items": rows})

    @app.get("/_sandbox/enterprises")
    async def firms() -> Response:
        return _json({"items": [row["MainInformation"] for row in enterprises.BY_CODE.values()]})

    @app.get("/_sandbox/papers")
    async def papers() -> Response:
        names = ("owner", "code", "title", "number", "file")
        return _json({"items": [dict(zip(names, row, strict=True)) for row in dvcqg_store.PAPERS]})

    @app.get("/_sandbox/accounts")
    async def accounts() -> Response:
        rows = [
            {"account": name, "shape": one.shape, "who": one.shown} for name, one in sso_accounts.ACCOUNTS.items()
        ]
        return _json({"items": rows, "authorize": f"/{dvcqg_sso.SYSTEM}/oauth2/authorize"})

    @app.get("/_sandbox/trust/ca.pem")
    async def authority() -> Response:
        pem = await asyncio.to_thread(dvcqg_store.authority_pem)
        return Response(pem, media_type="application/x-pem-file")
