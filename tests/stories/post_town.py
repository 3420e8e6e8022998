"""What stories of the post share: the sandbox's carrier behind the real connector, and one that obeys the test."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import builders
import httpx
import orjson
import payment_town
import sqlalchemy as sa

from lienthong.bus import hub as hubs
from lienthong.bus.flows import dossier_status, postal, postal_callback, postal_views, postal_watch
from lienthong.core import clock, errors, money, records, settings, settings_post, storage, tables
from lienthong.sandbox import app as sandbox_app

CODE, FEE = payment_town.CODE, payment_town.FEE
SECRET = "a1b2c3d4e5f6a7b8c9d0"
DESK = {
    "name": "Trung tâm Phục vụ hành chính công",
    "phone": "0237000000",
    "address": "28 Đại lộ Lê Lợi",
    "province_code": "38",
    "commune_code": "14758",
}
CITIZEN = {
    "name": "Nguyễn Văn Mẫu",
    "phone": "0900000001",
    "address": "12 Lê Lợi",
    "province_code": "79",
    "old_province_code": "79",
    "old_district_code": "764",
}
PLACES = Path(__file__).parents[1] / "connectors" / "vnpost_numbers.csv"
HCC = {
    "enabled": True,
    "base_url": "http://127.0.0.1/vnpost_hcc",
    "customer_key": "demoCustomerKey",
    "secret_key": "demoCustomerSecret",
    "customer_code": "H56HCC01",
    "order_number": "parcel",
    "places_file": str(PLACES),
}


@dataclass
class Carrier:
    """Carries what it is told to: answers when it likes, and tells of parcels in any order."""

    name: str = "ems"
    has_feed: bool = True
    orders: list[money.ParcelOrder] = field(default_factory=list)
    looked: int = 0
    cancelled: list[str] = field(default_factory=list)
    events: list[money.ParcelEvent] = field(default_factory=list)
    # What it does next: errors to raise, or what it answers.
    books: list[errors.HubError | money.ParcelBooked] = field(default_factory=list)
    cancels: errors.HubError | None = None
    pages: list[money.TrackingPage | errors.HubError] = field(default_factory=list)

    async def price(self, order: money.ParcelOrder) -> int:
        return 26_000

    async def book(
        self, order: money.ParcelOrder, *, look_first: bool = False, cursor: str = ""
    ) -> money.ParcelBooked:
        self.looked += look_first
        said = self.books.pop(0) if self.books else None
        if isinstance(said, errors.HubError):
            raise said
        self.orders.append(order)
        return said or money.ParcelBooked(carrier_reference=order.number, waybill=order.waybill or "EM1")

    async def cancel(self, order: money.ParcelOrder, *, carrier_reference: str) -> None:
        if self.cancels is not None:
            raise self.cancels
        self.cancelled.append(carrier_reference)

    async def follow(self, *, cursor: str) -> money.TrackingPage:
        if not self.has_feed:
            raise errors.NotOffered(system=self.name)
        if self.pages:
            said = self.pages.pop(0)
            if isinstance(said, errors.HubError):
                raise said
            return said
        at = int(cursor or 0)
        more = tuple(self.events[at : at + 10])
        return money.TrackingPage(events=more, cursor=str(at + len(more)), is_last=not more)

    async def track(self, waybill: str) -> money.TrackingPage:
        if self.has_feed:
            raise errors.NotOffered(system=self.name)
        told = tuple(it for it in self.events if waybill in (it.waybill, it.number))
        return money.TrackingPage(events=told, cursor="", is_last=True)

    def read_event(self, request: money.CallbackRequest) -> money.ParcelEvent:
        try:
            return money.ParcelEvent.model_validate_json(request.body)
        except ValueError:
            raise errors.RemoteGarbled(system=self.name, reason="no event") from None

    def reply(self, request: money.CallbackRequest, outcome: money.CallbackOutcome) -> money.CallbackReply:
        return money.CallbackReply(200, outcome.encode(), "text/plain")

    async def check(self) -> list[records.CheckResult]:
        return []

    async def close(self) -> None:
        return None


class Road(httpx.AsyncBaseTransport):
    """The way to the sandbox; `spoil` changes the pages of the feed on their way back."""

    def __init__(self, sandbox: Any) -> None:
        self._inner = httpx.ASGITransport(app=sandbox)
        self.spoil: Callable[[bytes], bytes] | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._inner.handle_async_request(request)
        if self.spoil is None or not request.url.path.endswith("tracking"):
            return answer
        content = self.spoil(await answer.aread())
        return httpx.Response(answer.status_code, headers={"content-type": "application/json"}, content=content)


@dataclass
class Town:
    """A hub, a carrier of the sandbox and one of our own, and a dossier whose result is ready."""

    hub: hubs.Hub
    carrier: Carrier
    sandbox: httpx.AsyncClient
    passed: list[timedelta]
    road: Road

    def wait(self, **passed: float) -> None:
        self.passed[0] += timedelta(**passed)

    async def book(self, **changed: Any) -> postal_views.ParcelView:
        given = {
            "dossier_code": CODE,
            "direction": "deliver_result",
            "sender": DESK,
            "receiver": CITIZEN,
            "carrier": self.carrier.name,
            **changed,
        }
        request = postal_views.ParcelRequest.model_validate(given)
        return await postal.book(self.hub, request, caller=payment_town.caller(), request_id="r")

    async def watch(self) -> postal_watch.Report:
        return await postal_watch.run(self.hub)

    async def see(self, view: postal_views.ParcelView) -> postal_views.ParcelView:
        return await postal.get(self.hub, view.id, caller=payment_town.caller())

    async def cancel(self, view: postal_views.ParcelView) -> postal_views.ParcelView:
        return await postal.cancel(self.hub, view.id, caller=payment_town.caller())

    def event(self, view: postal_views.ParcelView, state: str, **changed: Any) -> money.ParcelEvent:
        given = {
            "number": view.number,
            "waybill": view.waybill,
            "event_id": f"{view.number}-{state}",
            "occurred_at": self.hub.now(),
            "state": state,
            "carrier_code": state,
            "carrier_message": f"Bưu tá báo {state}",
            **changed,
        }
        return money.ParcelEvent.model_validate(given)

    async def happens(self, view: postal_views.ParcelView, *states: str, **changed: Any) -> None:
        """Let things happen to a parcel, a minute apart, and be heard of by the feed."""
        for state in states:
            self.wait(minutes=1)
            self.carrier.events.append(self.event(view, state, **changed))
        await self.watch()

    async def call(self, event: money.ParcelEvent | bytes, secret: str = SECRET) -> str:
        """Let the carrier call; gives what it was answered."""
        body = event if isinstance(event, bytes) else event.model_dump_json().encode()
        request = money.CallbackRequest(name=secret, method="POST", query="", headers={}, body=body)
        return (await postal_callback.callback(self.hub, self.carrier.name, request)).body.decode()

    async def post(self, view: postal_views.ParcelView, code: int) -> None:
        """Let something happen at the post of the sandbox."""
        answer = await self.sandbox.post(f"/_sandbox/parcels/{view.number}", params={"code": code})
        assert answer.status_code == 200, answer.text

    async def mood(self, *moods: dict[str, Any]) -> None:
        answer = await self.sandbox.put("/_sandbox/mood", json={"moods": list(moods)})
        assert answer.status_code == 200, answer.text

    async def rows(self, table: sa.Table) -> list[dict[str, Any]]:
        async with self.hub.storage.reading() as conn:
            return await storage.every(conn, sa.select(table))

    async def events(self, kind: str) -> list[dict[str, Any]]:
        return [row for row in await self.rows(tables.events) if row["kind"] == kind]

    async def questions(self, table: sa.Table = tables.parcel_questions) -> list[str]:
        return sorted(row["kind"] for row in await self.rows(table))

    async def dossier(self) -> dict[str, Any]:
        (row,) = [row for row in await self.rows(tables.dossiers) if row["code"] == CODE]
        opened = self.hub.vault.open(row["record"], purpose="dossier")
        return {**row, "record": records.Dossier.model_validate(orjson.loads(opened))}

    async def payment(self, view: postal_views.ParcelView) -> dict[str, Any]:
        (row,) = [row for row in await self.rows(tables.payments) if row["id"] == view.payment_id]
        return row

    async def finish(self, code: str = CODE) -> None:
        """Report that the result of a dossier is ready."""
        change = records.StatusChange(
            status=records.Status.FINISHED, occurred_at=self.hub.now(), handled_by="Trần Thị Ví Dụ"
        )
        await dossier_status.report(self.hub, code, change, caller=payment_town.caller(), request_id="r")

    async def declare(self, code: str, **changed: Any) -> None:
        """Declare another dossier."""
        submitted = self.hub.now() - timedelta(hours=2)
        times = {"submitted_at": submitted, "received_at": submitted, "due_at": submitted + timedelta(days=2)}
        texts = {name: at.isoformat() for name, at in times.items()}
        given = payment_town.dossier(code=code, **texts, **changed)
        await dossier_status.put(self.hub, given, caller=payment_town.caller(), request_id="r")


@asynccontextmanager
async def opened(home: Path, database_url: str = "", **chosen: Any) -> AsyncIterator[Town]:
    """Open a town with one dossier whose result is ready to be delivered."""
    passed = [timedelta()]

    def now() -> datetime:
        return clock.now() + passed[0]

    sandbox = sandbox_app.create_app()
    sections: dict[str, Any] = {
        "agency": settings.Agency(code=payment_town.AGENCY),
        "systems": {**builders.NOBODY, "vnpost_hcc": HCC},
        "post": settings_post.Post.model_validate({"callback_secret": SECRET, **chosen}),
    }
    road = Road(sandbox)
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(app=sandbox), base_url="http://127.0.0.1") as client,
        builders.running_hub(
            home,
            database_url=database_url,
            now=now,
            transports={"vnpost_hcc": road},
            **sections,
        ) as plain,
    ):
        carrier = Carrier()
        hub = dataclasses.replace(plain, systems={**plain.systems, carrier.name: carrier})
        town = Town(hub, carrier, client, passed, road)
        await builders.seed_procedure(hub, code=payment_town.dossier().procedure_code)
        await town.declare(CODE)
        await town.finish()
        yield town
