"""Two at once at the desks, or one person in two browsers: what is done once is done once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import builders
import desk
import payment_town
import pytest

from lienthong.console.web import app
from lienthong.core import tables
from lienthong.monitoring import alerts
from lienthong.monitoring.detectors import findings, probing


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[payment_town.Town]:
    async with payment_town.opened(tmp_path, database_url, two_people_above_vnd=100_000) as opened:
        yield opened


async def both(path: str, *visitors: desk.Visitor, **fields: str) -> list[int]:
    """Send the same form from two browsers at once, and twice from each."""
    answers = await asyncio.gather(*(it.send(path, **fields) for it in visitors for _ in range(2)))
    return sorted(answer.status_code for answer in answers)


async def test_a_refund_is_not_approved_by_who_asked_in_another_browser(town: payment_town.Town) -> None:
    view = await town.start()
    await town.hear(view)
    place = desk.Stage(town.hub, desk.Time(town.hub.now()), app.create_app(town.hub))
    async with place.signed_in("lan", "operator") as lan, place.visitor(agent="another browser") as again:
        await again.sign_in("LAN")
        await lan.send(f"/payments/{view.id}/refunds", amount="", reason="rút hồ sơ")
        (refund,) = await town.rows(tables.payment_refunds)
        assert await both(f"/refunds/{refund['id']}/approve", lan, again) == [403] * 4
    assert town.bank.refunds == []


async def test_a_refund_that_two_approve_at_once_goes_out_once(town: payment_town.Town) -> None:
    view = await town.start()
    await town.hear(view)
    place = desk.Stage(town.hub, desk.Time(town.hub.now()), app.create_app(town.hub))
    async with (
        place.signed_in("lan", "operator") as lan,
        place.signed_in("minh", "operator") as minh,
        place.signed_in("hoa", "operator") as hoa,
    ):
        await lan.send(f"/payments/{view.id}/refunds", amount="", reason="rút hồ sơ")
        (refund,) = await town.rows(tables.payment_refunds)
        assert await both(f"/refunds/{refund['id']}/approve", minh, hoa) == [303, 409, 409, 409]
    assert len(town.bank.refunds) == 1


@pytest.mark.parametrize("amount", ["500.00", "1,5", "1.5", "²", "-1", "1e5", "9" * 30])
async def test_an_amount_in_another_countrys_form_was_taken_for_a_hundredfold(
    town: payment_town.Town, amount: str
) -> None:
    view = await town.start()
    await town.hear(view)
    place = desk.Stage(town.hub, desk.Time(town.hub.now()), app.create_app(town.hub))
    async with place.signed_in("lan", "operator") as lan:
        answer = await lan.send(f"/payments/{view.id}/refunds", amount=amount, reason="rút hồ sơ")
        assert answer.status_code == 400
    assert await town.rows(tables.payment_refunds) == []


async def test_an_alert_is_closed_once_and_what_was_done_from_it_undone_once(stage: desk.Stage) -> None:
    key = (await builders.issue_key(stage.hub)).record.id
    found = probing.refused(findings.Who(key=key), stage.time.now.timestamp(), seen=40, requests=50, share=0.003)
    assert found
    alert = await alerts.open_or_update(stage.hub.storage, found)
    async with stage.signed_in("an", "security_officer") as an, stage.signed_in("ba", "security_officer") as ba:
        held = {"kind": "suspend", "span": "1h", "reason": "nghi lộ"}
        assert (await an.send(f"/alerts/{alert}/respond", **held)).status_code == 303
        (response,) = await stage.rows(tables.responses)
        undo = {"response": response["id"], "reason": "đã rõ"}
        assert await both(f"/alerts/{alert}/undo", an, ba, **undo) == [303, 409, 409, 409]
        closed = {"as": "mistake", "reason": "đã rõ"}
        assert await both(f"/alerts/{alert}/close", an, ba, **closed) == [303, 409, 409, 409]
    acts = [row["act"] for row in await stage.rows(tables.admin_acts) if row["outcome"] == "done"]
    assert (acts.count("alerts.close"), acts.count("keys.respond_undo")) == (1, 1)


async def test_a_held_list_was_laid_aside_twice_by_two_at_once(stage: desk.Stage) -> None:
    run = {
        "id": "run",
        "source": "dvcqg_portal",
        "state": "held",
        "full": True,
        "counts": {},
        "held": "ngắn bất thường",
    }
    async with stage.hub.storage.transaction() as tx:
        await tx.execute(tables.sync_runs.insert().values(**run, started_at=stage.time.now))
    async with stage.signed_in("lan", "operator") as lan, stage.signed_in("minh", "operator") as minh:
        assert await both("/sync/run/keep", lan, minh, reason="chờ Bộ") == [303, 409, 409, 409]
    assert [row["act"] for row in await stage.rows(tables.admin_acts)].count("sync.keep") == 1
