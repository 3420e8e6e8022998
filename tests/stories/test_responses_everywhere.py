"""A key that is held back is held back at every door within a second, says why, and is freed in one step."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import builders
import httpx
import test_keys_everywhere as everywhere

from lienthong.monitoring import alerts, responding
from lienthong.monitoring.detectors import findings, probing

place, town = everywhere.place, everywhere.town


async def alert_about(town: everywhere.Town, key_id: str) -> str:
    """Open an alert about a key."""
    at = town.hub.now().timestamp()
    found = probing.refused(findings.Who(key=key_id), at, seen=40, requests=50, share=0.003)
    assert found is not None
    opened = await alerts.open_or_update(town.hub.storage, found)
    assert opened is not None
    return opened


async def answers(town: everywhere.Town, key: str) -> list[httpx.Response]:
    """Call each of the gateways once."""
    asked = [town.caller.get(f"{url}/v1/procedures", headers={"X-API-Key": key}) for url in town.urls]
    return await asyncio.gather(*asked)


async def respond(town: everywhere.Town, alert: str, kind: str, **more: str) -> None:
    """Hold the alert's key back for an hour, and wait as long as every process may take to know."""
    until = town.hub.now() + timedelta(hours=1)
    await responding.respond(town.hub.storage, alert, kind, until=until, **town.now(), **more)
    await asyncio.sleep(everywhere.WITHIN_S)


async def undo(town: everywhere.Town, alert: str) -> None:
    """Free it again."""
    assert await responding.undo(town.hub.storage, alert, **town.now("đã làm rõ")) == 1
    await asyncio.sleep(everywhere.WITHIN_S)


async def test_a_throttled_key_is_told_so_by_every_process_and_freed_in_one_step(town: everywhere.Town):
    issued = await builders.issue_key(town.hub)
    assert await town.statuses(issued.key) == [200, 200]
    alert = await alert_about(town, issued.record.id)
    await respond(town, alert, "throttle", limit="1/minute")
    await answers(town, issued.key)  # the one call that is still allowed, of each process or of both
    refused = await answers(town, issued.key)
    assert [answer.status_code for answer in refused] == [429, 429]
    assert all(answer.json()["type"].endswith("#abnormal-usage-detected") for answer in refused)
    assert all(1 <= int(answer.headers["Retry-After"]) <= 60 for answer in refused)
    await undo(town, alert)
    assert await town.statuses(issued.key) == [200, 200]


async def test_a_key_of_which_proof_is_demanded_cannot_call_without_it_until_that_is_undone(town: everywhere.Town):
    issued = await builders.issue_key(town.hub)
    assert await town.statuses(issued.key) == [200, 200]
    alert = await alert_about(town, issued.record.id)
    await respond(town, alert, "proof")
    refused = await answers(town, issued.key)
    assert [answer.status_code for answer in refused] == [403, 403]
    assert all("keys proof add" in answer.text for answer in refused)  # nothing is registered for this key
    await undo(town, alert)
    assert await town.statuses(issued.key) == [200, 200]


async def test_a_token_got_with_a_stolen_key_was_taken_for_proof_of_possession(town: everywhere.Town):
    issued = await builders.issue_key(town.hub)
    got = await town.caller.post(f"{town.urls[0]}/v1/tokens", headers={"X-API-Key": issued.key})
    bearer = {"Authorization": f"Bearer {got.json()['access_token']}"}
    asked = [f"{url}/v1/procedures" for url in town.urls]
    assert [(await town.caller.get(url, headers=bearer)).status_code for url in asked] == [200, 200]
    alert = await alert_about(town, issued.record.id)
    await respond(town, alert, "proof")
    assert [(await town.caller.get(url, headers=bearer)).status_code for url in asked] == [403, 403]
    again = await town.caller.post(f"{town.urls[0]}/v1/tokens", headers=bearer)
    assert again.status_code == 403
    await undo(town, alert)


async def test_a_key_suspended_from_an_alert_is_told_until_when(town: everywhere.Town):
    issued = await builders.issue_key(town.hub)
    alert = await alert_about(town, issued.record.id)
    await respond(town, alert, "suspend")
    refused = await answers(town, issued.key)
    assert [answer.status_code for answer in refused] == [429, 429]
    assert all(3500 < int(answer.headers["Retry-After"]) <= 3600 for answer in refused)
    await undo(town, alert)
    assert await town.statuses(issued.key) == [200, 200]
