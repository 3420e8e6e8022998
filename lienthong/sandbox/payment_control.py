"""The `/_sandbox/…` routes of payments and parcels: the book, what a payer may do, and where callbacks go."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import FastAPI, HTTPException, Request, Response

from lienthong.sandbox import imitation, mood_kinds, pages, statements, vietqr
from lienthong.sandbox.moods import Weather
from lienthong.sandbox.parcels import Carrier
from lienthong.sandbox.payments import NotPossible, Payments

_DAY = re.compile(r"20\d\d-\d\d-\d\d")
_BOOKED = (*mood_kinds.INTERMEDIARIES, mood_kinds.VIETQR)


def _json(content: Any) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")


def _csv(text: str) -> Response:
    return Response(text, media_type="text/csv; charset=utf-8")


def add_routes(app: FastAPI, payments: Payments) -> None:
    """Add the routes to an application."""
    _add_book(app, payments)
    _add_statements(app, payments)
    _add_callbacks(app, payments)


def _add_book(app: FastAPI, payments: Payments) -> None:
    @app.get("/_sandbox/payments")
    async def book(system: str = "", state: str = "") -> Response:
        items = [
            one.described()
            for one in payments.book.items()
            if system in ("", one.system) and state in ("", one.state)
        ]
        return _json({"money": payments.book.money(), "items": items})

    @app.get("/_sandbox/book")
    async def sums(system: str = "") -> Response:
        money = payments.book.money()
        return _json({name: money.get(name, {}) for name in _BOOKED if system in ("", name)})

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


def _add_statements(app: FastAPI, payments: Payments) -> None:
    @app.get("/_sandbox/statement")
    async def statement(system: str, day: str = "") -> Response:
        _must_be_day(day)
        if system not in _BOOKED:
            raise HTTPException(404, f"{', '.join(_BOOKED)}")
        return _csv(statements.statement(payments.book, system=system, day=day))

    @app.get("/_sandbox/bank/statement")
    async def of_the_bank(day: str = "") -> Response:
        _must_be_day(day)
        return _csv(statements.bank_statement(payments.book, day=day))

    @app.post("/_sandbox/bank/pay")
    async def transfer(request: Request) -> Response:
        pages.check_origin(request)
        wanted = _object(await request.body())
        amount_vnd, bank = wanted.get("amount_vnd"), payments.bank
        try:
            code = vietqr.read(str(wanted.get("code", "")))
        except vietqr.WrongCode as wrong:
            raise HTTPException(422, f"mã không hợp lệ / wrong code: {wrong}") from wrong
        amount_vnd = amount_vnd if type(amount_vnd) is int and 0 < amount_vnd < 10**12 else code.amount_vnd
        if not amount_vnd:
            raise HTTPException(422, "amount_vnd")
        choice = str(wanted.get("choice", "pay"))
        made = bank.transfer(code, choice, now=time.time(), amount_vnd=amount_vnd)
        return _json({"transfers": [one.described() for one in made]})


def _add_callbacks(app: FastAPI, payments: Payments) -> None:
    @app.get("/_sandbox/callbacks")
    async def where() -> Response:
        return _json(payments.courier.addresses)

    @app.put("/_sandbox/callbacks")
    async def put(request: Request) -> Response:
        pages.check_origin(request)
        wanted = _object(await request.body())
        if not wanted or not all(_is_target(name, url) for name, url in wanted.items()):
            raise HTTPException(422, 'cần {"vnpay": "http://127.0.0.1:8080/callbacks/vnpay/ipn", …}')
        payments.courier.addresses.update(wanted)
        return await where()

    @app.post("/_sandbox/bill-lookup")
    async def ask(request: Request, dossier: str, pay: bool = False) -> Response:
        """Ask the hub as the portal does what a dossier owes, and let it be paid; shows what came of it."""
        pages.check_origin(request)
        try:
            told = await payments.platform.look_up_bill(dossier[:100])
            if pay and not told["problem"] and isinstance(told["answer"]["message"], dict):
                chosen = payments.weather.choose(mood_kinds.PLATFORM, "pay")
                made = payments.platform.pay_bill(told["answer"]["message"], chosen=chosen, now=time.time())
                told["paid"] = made.described()
            return _json(told)
        except NotPossible as problem:
            raise HTTPException(409, str(problem)) from problem


def add_parcel_routes(app: FastAPI, carriers: Mapping[str, Carrier], weather: Weather) -> None:
    """Add the routes of parcels to an application."""

    @app.get("/_sandbox/parcels")
    async def parcels(system: str = "") -> Response:
        held = [
            one for name, carrier in carriers.items() if system in ("", name) for one in carrier.parcels.values()
        ]
        return _json({"items": [one.described() for one in held]})

    @app.post("/_sandbox/parcels/{number}")
    async def happen(request: Request, number: str, code: int, message: str = "", system: str = "") -> Response:
        pages.check_origin(request)
        for name, carrier in carriers.items():
            if system in ("", name) and number in carrier.parcels:
                chosen = weather.choose(name, "event")
                carrier.event(number, code, now=time.time(), message=message[:200], chosen=chosen)
                return _json(carrier.parcels[number].described())
        raise HTTPException(404, "không có bưu gửi này / no such parcel")


def _object(raw: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _must_be_day(day: str) -> None:
    if day and not _DAY.fullmatch(day):
        raise HTTPException(422, "day=2026-01-15")


def _is_target(system: Any, url: Any) -> bool:
    is_local = isinstance(url, str) and (not url or imitation.may_return_to(url))
    return system in mood_kinds.CALLERS and is_local
