"""Whatever carriers, banks and strangers send: no crash, nothing moved without proof, and the rest goes on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import builders
import doors
import httpx
import payment_town
import post_town
import pytest
import statement_files
import test_payment_sandbox as imitations
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from payment_town import FEE, NOW
from statement_files import as_csv, as_xlsx, line, number_of, transfer

from lienthong.bus.flows import dossier_status, postal, postal_views, postal_watch
from lienthong.connectors.vietqr import connector as vietqr
from lienthong.core import clock, errors, records, settings_post, storage, tables
from lienthong.core import settings as hub_settings
from lienthong.sandbox import app as sandbox_app

FUZZ = settings(max_examples=40, deadline=None, suppress_health_check=[*HealthCheck])
# What may happen to a parcel of each, and what that is called here; how EMS says "delivered" is not public.
LAST = {"ems": (4, "in_transit"), "my_vnpost": (100, "delivered")}
CARRIERS = tuple(LAST)
SIDE = {"address": "1 Phố Thử", "province_code": "01", "old_province_code": "01", "old_district_code": "001"}
Spoil = Callable[[bytes], bytes]


class Road(httpx.AsyncBaseTransport):
    """The way to the sandbox; `spoil` changes what is told of a parcel on its way back."""

    def __init__(self, sandbox: Any) -> None:
        self._inner = httpx.ASGITransport(app=sandbox)
        self.spoil: Spoil | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._inner.handle_async_request(request)
        if self.spoil is None or request.method != "GET":
            return answer
        content = self.spoil(await answer.aread())
        return httpx.Response(answer.status_code, headers={"content-type": "application/json"}, content=content)


@dataclasses.dataclass
class Town:
    """A hub with the real connectors of both carriers that are asked parcel by parcel."""

    hub: Any
    sandbox: httpx.AsyncClient
    roads: dict[str, Road]
    passed: list[timedelta]

    async def parcel(self, carrier: str, number: int) -> postal_views.ParcelView:
        """Declare a dossier and have its result carried."""
        code = f"000.00.00.H38-260115-{number:04d}"
        submitted = clock.now() - timedelta(hours=2)
        times = {"submitted_at": submitted, "received_at": submitted, "due_at": submitted + timedelta(days=2)}
        dossier = payment_town.dossier(code=code, **{name: at.isoformat() for name, at in times.items()})
        await dossier_status.put(self.hub, dossier, caller=payment_town.caller(), request_id="r")
        finished = records.StatusChange(
            status=records.Status.FINISHED, occurred_at=clock.now(), handled_by="Trần Thị Ví Dụ"
        )
        await dossier_status.report(self.hub, code, finished, caller=payment_town.caller(), request_id="r")
        given = {
            "dossier_code": code,
            "direction": "deliver_result",
            "carrier": carrier,
            "sender": {"name": "Bộ phận Một cửa", "phone": "0900000001", **SIDE},
            "receiver": {"name": "Nguyễn Văn Mẫu", "phone": "0900000002", **SIDE},
        }
        request = postal_views.ParcelRequest.model_validate(given)
        return await postal.book(self.hub, request, caller=payment_town.caller(), request_id="r")

    async def happens(self, view: postal_views.ParcelView, code: int) -> None:
        params = {"code": code, "system": view.carrier}
        answer = await self.sandbox.post(f"/_sandbox/parcels/{view.number}", params=params)
        assert answer.status_code == 200, answer.text

    async def look(self) -> postal_watch.Report:
        """Let three hours pass, after which every parcel is asked about."""
        self.passed[0] += timedelta(hours=3)
        return await postal_watch.run(self.hub)

    async def state(self, view: postal_views.ParcelView) -> str:
        return str((await postal.get(self.hub, view.id, caller=payment_town.caller())).state)

    async def alerts(self) -> list[dict[str, Any]]:
        async with self.hub.storage.reading() as conn:
            wanted = tables.events.select().where(tables.events.c.kind == "parcels.unread_events")
            return await storage.every(conn, wanted)


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    passed, sandbox = [timedelta()], sandbox_app.create_app()
    roads = {name: Road(sandbox) for name in CARRIERS}
    sections = {
        name: {"enabled": True, "base_url": f"http://127.0.0.1/{name}", **imitations.SECTIONS[name]}
        for name in CARRIERS
    }
    chosen: dict[str, Any] = {
        "agency": hub_settings.Agency(code=payment_town.AGENCY),
        "systems": {**builders.NOBODY, **sections},
        "post": settings_post.Post.model_validate({"callback_secret": post_town.SECRET}),
    }
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(app=sandbox), base_url="http://127.0.0.1") as client,
        builders.running_hub(tmp_path, now=lambda: clock.now() + passed[0], transports=roads, **chosen) as hub,
    ):
        await builders.seed_procedure(hub, code=payment_town.dossier().procedure_code)
        yield Town(hub, client, roads, passed)


# ------------------------------------------------------------------------------------------ told of parcels


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_a_row_that_cannot_be_read_holds_up_no_other_row_of_its_parcel(town: Town, carrier: str) -> None:
    # It did: as long as the bad row stood there, nobody heard of the delivery.
    view = await town.parcel(carrier, 1)
    code, state = LAST[carrier]
    await town.happens(view, code)

    def with_a_bad_row(raw: bytes) -> bytes:
        body = json.loads(raw)
        rows = body["data"] if isinstance(body, dict) and "data" in body else body
        rows = rows if isinstance(rows, list) else [rows]
        bad = {**rows[0], **{name: {"hôm": "qua"} for name in ("datetime", "LastUpdateTime") if name in rows[0]}}
        rows = [None, bad, *rows]
        return json.dumps({**body, "data": rows} if isinstance(body, dict) and "data" in body else rows).encode()

    town.roads[carrier].spoil = with_a_bad_row
    for _ in range(3):
        await town.look()
    assert await town.state(view) == state
    [alert] = await town.alerts()
    assert (alert["facts"]["rows"], alert["facts"]["parcel"]) == (2, view.number)


CALLED = {"tracking_code": "", "order_code": "", "status_code": 4, "money_collect": FEE}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def spoils(draw: st.DrawFn) -> Spoil:
    """Draw what happens to an answer: bytes changed, cut off, something else instead, or one value replaced."""
    way = draw(st.sampled_from(["bytes", "cut", "other", "value"]))
    place, number, value = draw(st.integers(0, 10_000)), draw(st.integers(0, 255)), draw(JSON)

    def spoil(raw: bytes) -> bytes:
        at = place % max(1, len(raw))
        if way == "bytes":
            return raw[:at] + bytes([number]) + raw[at + 1 :]
        if way == "cut":
            return raw[:at]
        return json.dumps(value if way == "other" else _replaced(json.loads(raw), place, value)).encode()

    return spoil


def _replaced(body: Any, place: int, value: Any) -> Any:
    """Put a value in the place of one that lies somewhere in a document."""
    if isinstance(body, dict) and body:
        name = sorted(body)[place % len(body)]
        return {**body, name: _replaced(body[name], place // len(body), value)}
    if isinstance(body, list) and body:
        at = place % len(body)
        return [*body[:at], _replaced(body[at], place // len(body), value), *body[at + 1 :]]
    return value


@pytest.fixture
async def parcels(town: Town) -> tuple[Town, dict[str, postal_views.ParcelView]]:
    return town, {name: await town.parcel(name, number) for number, name in enumerate(CARRIERS, start=1)}


@FUZZ
@given(spoil=spoils(), carrier=st.sampled_from(CARRIERS))
async def test_a_spoiled_answer_stops_neither_the_watch_nor_what_is_told_next(
    parcels: tuple[Town, dict[str, postal_views.ParcelView]], spoil: Spoil, carrier: str
) -> None:
    town, views = parcels
    town.roads[carrier].spoil = spoil
    report = await town.look()
    assert report.asked >= 1
    assert await town.state(views[carrier]) not in ("delivered", "returned", "cancelled")
    town.roads[carrier].spoil = None
    assert (await town.look()).failed == 0


@pytest.fixture
async def door(town: Town) -> AsyncIterator[tuple[Town, httpx.AsyncClient, postal_views.ParcelView]]:
    """The hub's door, and a parcel of which EMS may tell there."""
    async with doors.client(town.hub) as client:
        yield town, client, await town.parcel("ems", 1)


@settings(FUZZ, max_examples=20)
@given(changes=st.dictionaries(st.sampled_from([*CALLED, "datetime", "x"]), JSON, max_size=4), raw=st.binary())
async def test_whatever_is_posted_at_the_carriers_door_is_answered_and_moves_no_money(
    door: tuple[Town, httpx.AsyncClient, postal_views.ParcelView], changes: dict[str, Any], raw: bytes
) -> None:
    town, client, view = door
    row = {**CALLED, "tracking_code": view.waybill, "order_code": view.number, **changes}
    for body in (json.dumps(row).encode(), raw):
        before = await town.state(view)
        forged = await client.post("/callbacks/ems/somebody-who-guesses-it", content=body)
        assert (forged.status_code, await town.state(view)) == (401, before)
        told = await client.post(f"/callbacks/ems/{post_town.SECRET}", content=body)
        assert told.status_code in (200, 400), told.text
    async with town.hub.storage.reading() as conn:
        assert await storage.every(conn, tables.payments.select()) == []


# ------------------------------------------------------------------------------------------------ statements


@pytest.fixture
async def payers(tmp_path: Path) -> AsyncIterator[payment_town.Town]:
    async with payment_town.opened(tmp_path) as opened:
        chosen = vietqr.Settings(enabled=True, bank_bin="970436", account="0011223344", reference_key="k" * 40)
        transfers = vietqr.Connector(chosen, None)  # type: ignore[arg-type]
        opened.hub = dataclasses.replace(opened.hub, systems={**opened.hub.systems, "vietqr": transfers})
        yield opened


CHANGES = st.lists(st.tuples(st.integers(0, 100_000), st.binary(max_size=3)), max_size=6)


def changed(raw: bytes, changes: list[tuple[int, bytes]]) -> bytes:
    """Put other bytes in places of a file."""
    for place, other in changes:
        at = place % max(1, len(raw))
        raw = raw[:at] + other + raw[at + len(other) :]
    return raw


@pytest.fixture
async def told(payers: payment_town.Town) -> tuple[payment_town.Town, list[Any], dict[str, bytes]]:
    """A paid attempt, one that waits, and the files that tell of both."""
    views = [await statement_files.paid(payers), await payers.start(obligation="other", amount_vnd=FEE)]
    lines = [line(views[0].reference, number_of(views[0])), line(views[1].reference, "N1")]
    return payers, views, {"csv": as_csv(lines), "xlsx": as_xlsx(lines), "none": b""}


@FUZZ
@given(
    kind=st.sampled_from(["csv", "xlsx", "none"]),
    changes=CHANGES,
    end=st.integers(0, 100_000),
    raw=st.binary(),
)
async def test_no_file_of_an_intermediary_fails_or_moves_money(
    told: tuple[payment_town.Town, list[Any], dict[str, bytes]],
    kind: str,
    changes: list[tuple[int, bytes]],
    end: int,
    raw: bytes,
) -> None:
    payers, views, files = told
    file = changed(files[kind] or raw, changes)
    # Refused in words, or taken: whatever else it raises fails here.
    with suppress(errors.CallerError):
        await statement_files.take(payers, file[: end or len(file)])
    assert [await payers.state(view) for view in views] == ["paid", "pending"]


@pytest.fixture
async def transferred(payers: payment_town.Town) -> tuple[payment_town.Town, Any, bytes, str]:
    """An attempt by bank transfer, the bank's statement that tells of it, and the memo in that."""
    view = await payers.start(provider="vietqr")
    [row] = await payers.rows(tables.payments)
    memo = row["provider_reference"]
    line_of_it = transfer(memo, "FT1", at=NOW + timedelta(minutes=5))
    return payers, view, as_csv([line_of_it], statement_files.BANK_HEAD), memo


@FUZZ
@given(place=st.integers(0, 100), other=st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"))
async def test_a_bank_s_line_with_one_letter_of_its_memo_changed_pays_nothing(
    transferred: tuple[payment_town.Town, Any, bytes, str], place: int, other: str
) -> None:
    payers, view, whole, memo = transferred
    place %= len(memo)
    if other != memo[place].upper():
        spoiled = changed(whole, [(whole.index(memo.encode()) + place, other.encode())])
        await statement_files.take(payers, spoiled, provider="vietqr", shape="bank")
    assert await payers.state(view) == "pending"
