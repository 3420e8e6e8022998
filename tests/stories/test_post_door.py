"""Parcels at the doors: REST, SOAP's table, and the address that carriers call."""

from __future__ import annotations

from pathlib import Path

import builders
import doors
import post_town
import pytest

from lienthong.bus.flows import postal_callback
from lienthong.bus.gateway import callbacks
from lienthong.connectors import roles
from lienthong.core import tables


@pytest.fixture
async def town(tmp_path: Path):
    async with post_town.opened(tmp_path) as opened:
        yield opened


async def test_a_parcel_is_booked_followed_and_cancelled_over_rest(town: post_town.Town) -> None:
    key = await builders.issue_key(town.hub, grants=("parcels.*",))
    body = {
        "dossier_code": post_town.CODE,
        "direction": "deliver_result",
        "sender": post_town.DESK,
        "receiver": post_town.CITIZEN,
    }
    async with doors.client(town.hub, key=key.key) as client:
        booked = await client.post("/v1/parcels", json=body)
        assert (booked.status_code, booked.json()["state"]) == (201, "booked")
        number = booked.json()["id"]
        assert (await client.get(f"/v1/parcels/{number}")).json()["carrier"] == "vnpost_hcc"
        cancelled = await client.post(f"/v1/parcels/{number}/cancel")
        assert (cancelled.status_code, cancelled.json()["state_vi"]) == (200, "Đã huỷ")
        wrong = await client.post("/v1/parcels", json={**body, "receiver": {**post_town.CITIZEN, "phone": "x"}})
        assert (wrong.status_code, wrong.json()["code"]) == (400, "Client.InvalidRequest")
    told = str(await doors.journal(town.hub))
    assert "Nguyễn Văn Mẫu" not in told
    assert "0900000001" not in told


async def test_a_key_without_the_grant_books_nothing(town: post_town.Town) -> None:
    key = await builders.issue_key(town.hub, grants=("dossiers.get",))
    async with doors.client(town.hub, key=key.key) as client:
        assert (await client.post("/v1/parcels", json={})).status_code == 403
    assert not await town.rows(tables.parcels)


async def test_a_carrier_calls_at_its_secret_address_and_the_record_does_not_tell_it(town: post_town.Town) -> None:
    view = await town.book()
    flows: list[tuple[type, callbacks.Flow]] = [(roles.ParcelCaller, postal_callback.callback)]
    body = town.event(view, "in_transit").model_dump_json()
    async with doors.client(town.hub, flows=flows) as client:
        assert (await client.post(f"/callbacks/ems/{post_town.SECRET}", content=body)).text == "recorded"
        assert (await client.post("/callbacks/ems/guessed", content=body)).text == "forged"
        assert (await client.post("/callbacks/vnpost_hcc/guessed", content=body)).status_code == 404
    assert (await town.see(view)).state == "in_transit"
    assert post_town.SECRET not in str(await doors.journal(town.hub))
