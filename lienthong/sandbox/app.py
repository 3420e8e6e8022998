"""The sandbox put together: imitated systems in front, control pages behind."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from lienthong.sandbox import (
    catalogue,
    control,
    dvcqg_payment,
    dvcqg_sso,
    dvcqg_store,
    ems,
    keypay,
    momo,
    moods,
    my_vnpost,
    ngsp,
    paygov,
    payment_control,
    population_c06,
    population_lgsp,
    residents,
    vietqr,
    vnpay,
    vnpost_hcc,
)
from lienthong.sandbox.adapter import Account, Adapter
from lienthong.sandbox.courier import Courier
from lienthong.sandbox.exchange import Exchange
from lienthong.sandbox.imitation import Imitation
from lienthong.sandbox.ledger import Ledger
from lienthong.sandbox.parcels import Carrier
from lienthong.sandbox.payment_book import Book
from lienthong.sandbox.payments import Intermediary, Payments
from lienthong.sandbox.population import Population
from lienthong.sandbox.portal import Portal
from lienthong.sandbox.registers import Registers
from lienthong.sandbox.state import State
from lienthong.sandbox.store import Store
from lienthong.sandbox.wire import Receive, Scope, Send

_IMITATED = tuple(f"/{system}/" for system in moods.SYSTEMS)


@dataclass(slots=True)
class Settings:
    """How a sandbox is set up."""

    catalogue: Path | None = None
    moods: list[str] = field(default_factory=list)
    latency_ms: float = 0.0
    store: Path | None = None
    keep_rows: int = 200_000
    account: Account = field(default_factory=Account)
    residents: int = 40
    questions_per_day: int = 1_000_000
    token_life_s: float = 3600.0
    population: population_c06.Account = field(default_factory=population_c06.Account)
    gateway: population_lgsp.Account = field(default_factory=population_lgsp.Account)
    consumer: ngsp.Account | None = None
    client: dvcqg_sso.Client | None = None
    callbacks: dict[str, str] = field(default_factory=dict)
    callback_transport: httpx.AsyncBaseTransport | None = None
    callback_retry_s: float = 2.0


class Sandbox(FastAPI):
    """FastAPI for the control pages; calls to the imitated systems pass in front of it.

    They meet no middleware: that is quick, and it leaves the connection within reach of the moods that break it.
    """

    exchange: Exchange
    held: State

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send a call to the imitated systems or to the control pages."""
        if scope["type"] == "http" and scope["path"].startswith(_IMITATED):
            await self._imitate(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def _imitate(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.exchange(scope, receive, send)


def create_app(settings: Settings | None = None) -> Sandbox:
    """Build a sandbox; usable in process and under a server alike."""
    settings = settings or Settings()
    store = Store(settings.store) if settings.store else None
    ledger = Ledger(keep=settings.keep_rows, store=store)
    weather = moods.Weather(clock=time.monotonic)
    for spec in settings.moods:
        weather.put(moods.parse_spec(spec))
    chosen = catalogue.of_file(settings.catalogue) if settings.catalogue else catalogue.own()
    latency_s = settings.latency_ms / 1000
    population = Population(
        residents=[*residents.known(), *residents.invented(settings.residents)],
        catalogue=lambda: state.catalogue,
        per_day=settings.questions_per_day,
    )
    payments = _payments(settings, weather)
    post = vnpost_hcc.VnpostHcc(life_s=settings.token_life_s)
    trade, courier = my_vnpost.MyVnpost(life_s=settings.token_life_s), ems.Ems(payments.courier)
    by_name = {**_registers(settings, population), **payments.by_name}
    by_name |= {vnpost_hcc.SYSTEM: post, my_vnpost.SYSTEM: trade, ems.SYSTEM: courier}
    carriers: dict[str, Carrier] = {vnpost_hcc.SYSTEM: post, my_vnpost.SYSTEM: trade, ems.SYSTEM: courier}
    registers = Registers(by_name=by_name, ledger=ledger, weather=weather, latency_s=latency_s)
    state = State(chosen, ledger, weather, registers, population, payments)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await payments.courier.close()
        if store is not None:
            store.close()

    app = Sandbox(title="Liên thông sandbox", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.held = state
    app.exchange = Exchange(
        adapter=Adapter(account=settings.account, ledger=ledger, catalogue=lambda: state.catalogue),
        portal=Portal(catalogue=lambda: state.catalogue),
        registers=registers,
        ledger=ledger,
        weather=weather,
        latency_s=latency_s,
    )
    control.add_routes(app, state)
    payment_control.add_parcel_routes(app, carriers, weather)
    return app


def _registers(settings: Settings, population: Population) -> dict[str, Imitation]:
    """Set up every imitated register; a further one is a line here and in `moods.SYSTEMS`."""
    life_s = settings.token_life_s
    return {
        population_c06.SYSTEM: population_c06.PopulationC06(population, account=settings.population),
        population_lgsp.SYSTEM: population_lgsp.PopulationLgsp(
            population, account=settings.gateway, life_s=life_s
        ),
        ngsp.SYSTEM: ngsp.Ngsp(account=settings.consumer or ngsp.Account(life_s=life_s)),
        dvcqg_store.SYSTEM: dvcqg_store.DvcqgStore(),
        dvcqg_sso.SYSTEM: dvcqg_sso.DvcqgSso(client=settings.client or dvcqg_sso.Client(life_s=life_s)),
    }


def _payments(settings: Settings, weather: moods.Weather) -> Payments:
    """Set up the intermediaries, which share one book and one courier."""
    book = Book()
    courier = Courier(settings.callbacks, transport=settings.callback_transport, retry_s=settings.callback_retry_s)
    others: dict[str, Intermediary] = {
        vnpay.SYSTEM: vnpay.Vnpay(book, courier),
        momo.SYSTEM: momo.Momo(book, courier),
        keypay.SYSTEM: keypay.Keypay(book, courier),
        paygov.SYSTEM: paygov.Paygov(book, courier, life_s=settings.token_life_s),
    }
    platform, bank = dvcqg_payment.DvcqgPayment(book, courier), vietqr.Vietqr(book)
    return Payments(book, courier, others, weather, platform=platform, bank=bank)
