"""The `/_sandbox/…` routes: what was received, which moods are in force, which catalogue is in use."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, HTTPException, Query, Request, Response

from lienthong.sandbox import catalogue, moods, pages, payment_control, register_control
from lienthong.sandbox.moods import WrongMood
from lienthong.sandbox.state import State


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def add_routes(app: FastAPI, state: State) -> None:
    """Add the control routes and the human page to an application."""
    _add_received(app, state)
    _add_moods(app, state)
    _add_catalogue(app, state)
    register_control.add_routes(app, state)
    payment_control.add_routes(app, state.payments)
    pages.add_routes(app, state)


def _add_received(app: FastAPI, state: State) -> None:
    @app.get("/_sandbox/received")
    async def received(
        system: str = "",
        dossier: str = "",
        service: str = "",
        outcome: str = "",
        limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> Response:
        wanted = {"system": system, "dossier": dossier, "service": service, "outcome": outcome}
        total, rows = state.ledger.received(wanted=wanted, limit=limit, offset=offset)
        return _json({"total": total, "items": rows})

    @app.get("/_sandbox/received/{n}")
    async def one_call(n: int) -> Response:
        row = state.ledger.one(n)
        if row is None:
            raise HTTPException(404, "không còn lượt gọi này / no such call")
        return _json(row)

    @app.get("/_sandbox/counts")
    async def counts() -> Response:
        return _json(_counted(state))

    @app.get("/_sandbox/dossiers")
    async def dossiers(
        status: str = "",
        limit: Annotated[int, Query(ge=1, le=1_000_000)] = 100_000,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> Response:
        held = [one for one in state.ledger.dossiers.values() if not status or one.status == status]
        page = [one.described() for one in held[offset : offset + limit]]
        return _json({"total": len(held), "items": page})

    @app.get("/_sandbox/dossiers/{code:path}")
    async def dossier(code: str) -> Response:
        one = state.ledger.dossiers.get(code)
        if one is None:
            raise HTTPException(404, "không có hồ sơ này / no such dossier")
        return _json(one.described() | {"item": orjson.Fragment(one.item)})

    @app.post("/_sandbox/reset")
    async def reset(request: Request) -> Response:
        pages.check_origin(request)
        await state.forget()
        return _json({"ok": True})


def _counted(state: State) -> dict[str, Any]:
    systems: dict[str, Any] = {}
    for (system, service, outcome), number in sorted(state.ledger.counts.items()):
        systems.setdefault(system, {}).setdefault(service, {})[outcome] = number
    return {
        "received": state.ledger.total,
        "systems": systems,
        "dossiers": len(state.ledger.dossiers),
        "steps": state.ledger.steps,
    }


def _add_moods(app: FastAPI, state: State) -> None:
    def _shown() -> Response:
        known = {
            name: {"vi": kind.vi, "en": kind.en, "params": kind.params, "systems": kind.systems}
            for name, kind in moods.KINDS.items()
        }
        return _json({"moods": state.weather.described(), "known": known})

    @app.get("/_sandbox/mood")
    async def mood() -> Response:
        return _shown()

    @app.put("/_sandbox/mood")
    async def put_mood(request: Request) -> Response:
        try:
            # Whatever the content type says: curl -d calls JSON a form.
            _put(state, orjson.loads(await request.body()))
        except (WrongMood, orjson.JSONDecodeError) as wrong:
            raise HTTPException(422, str(wrong)) from wrong
        return _shown()

    @app.delete("/_sandbox/mood")
    async def take_off(name: str = "", system: str = moods.EVERY) -> Response:
        if name:
            state.weather.take_off(name, system)
        else:
            state.weather.clear(system)
        return _shown()


def _put(state: State, wanted: Any) -> None:
    if isinstance(wanted, str):
        wanted = moods.parse_spec(wanted)
    many = wanted.get("moods") if isinstance(wanted, dict) else wanted
    if isinstance(many, list):
        specs = [moods.parse_spec(item) if isinstance(item, str) else item for item in many]
        if not all(isinstance(item, dict) for item in specs):
            raise WrongMood("moods: cần danh sách đối tượng hoặc chuỗi / a list of objects or texts is needed")
        state.weather.replace(specs)
    elif isinstance(wanted, dict):
        state.weather.put(wanted)
    else:
        raise WrongMood('cần {"name": …} hoặc {"moods": […]} / an object is needed')


def _add_catalogue(app: FastAPI, state: State) -> None:
    def _shown() -> Response:
        return _json({"name": state.catalogue.name, "count": len(state.catalogue.entries)})

    @app.get("/_sandbox/catalogue")
    async def in_use() -> Response:
        return _shown()

    @app.put("/_sandbox/catalogue")
    async def swap(request: Request) -> Response:
        try:
            wanted = orjson.loads(await request.body())
            # In a thread: a full catalogue takes a second or two, and calls go on meanwhile.
            fresh = await asyncio.to_thread(_load, wanted)
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as problem:
            sentence = f"không đọc được danh mục / catalogue cannot be read: {problem}"
            raise HTTPException(422, sentence) from problem
        state.swap(fresh, now_ms=int(time.time() * 1000))
        return _shown()


def _load(wanted: Any) -> catalogue.Catalogue:
    if isinstance(wanted, dict) and isinstance(wanted.get("path"), str):
        return catalogue.of_file(Path(wanted["path"]))
    if isinstance(wanted, dict) and isinstance(wanted.get("records"), list):
        return catalogue.of_records(wanted["records"])
    if isinstance(wanted, dict) and wanted.get("own") is True:
        return catalogue.own()
    raise ValueError('cần {"path": …}, {"records": […]} hoặc {"own": true}')
