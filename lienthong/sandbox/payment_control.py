"""The `/_sandbox/…` routes of payments and parcels: the book, what a payer may do, and where callbacks go."""

from __future__ import annotations

import time
from typing import Any

import orjson
from fastapi import FastAPI, HTTPException, Request, Response

from lienthong.sandbox import imitation, mood_kinds, pages
from lienthong.sandbox.payments import NotPossible, Payments
from lienthong.sandbox.vnpost_hcc import VnpostHcc


def _json(content: Any) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")


def add_routes(app: FastAPI, payments: Payments) -> None:
    """Add the routes to an application."""

    @app.get("/_sandbox/payments")
    async def book(system: str = "", state: str = "") -> Response:
        items = [
            one.described()
            for one in payments.book.items()
            if system in ("", one.system) and state in ("", one.state)
        ]
        return _json({"money": payments.book.money(), "items": items})

    @app.post("/_sandbox/payments/{system}/{reference}")
    async def act(request: Request, system: str, reference: str, choice: str = "pay") -> Response:
        pages.check_origin(request)
        try:
            payment = payments.act(system, reference, choice)
        except NotPossible as problem:
            raise HTTPException(409, str(problem)) from problem
        if payment is None:
            raise HTTPException(404, "không có giao dịch này / no such payment")
        return _json(payment.described())

    @app.get("/_sandbox/callbacks")
    async def where() -> Response:
        return _json(payments.courier.addresses)

    @app.put("/_sandbox/callbacks")
    async def put(request: Request) -> Response:
        pages.check_origin(request)
        try:
            wanted = orjson.loads(await request.body())
        except orjson.JSONDecodeError:
            wanted = None
        if not isinstance(wanted, dict) or not all(_is_target(name, url) for name, url in wanted.items()):
            raise HTTPException(422, 'cần {"vnpay": "http://127.0.0.1:8080/callbacks/vnpay/ipn", …}')
        payments.courier.addresses.update(wanted)
        return await where()


def add_parcel_routes(app: FastAPI, post: VnpostHcc) -> None:
    """Add the routes of parcels to an application."""

    @app.get("/_sandbox/parcels")
    async def parcels() -> Response:
        return _json({"items": [one.described() for one in post.parcels.values()]})

    @app.post("/_sandbox/parcels/{number}")
    async def happen(request: Request, number: str, code: int, message: str = "") -> Response:
        pages.check_origin(request)
        if not post.event(number, code, now=time.time(), message=message):
            raise HTTPException(404, "không có bưu gửi này / no such parcel")
        return _json(post.parcels[number].described())


def _is_target(system: Any, url: Any) -> bool:
    is_local = isinstance(url, str) and (not url or imitation.may_return_to(url))
    return system in mood_kinds.INTERMEDIARIES and is_local
