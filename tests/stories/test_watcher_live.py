"""A hub of real processes watches itself: a flood, and one citizen asked about by many, are found in a minute."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import builders
import pytest
import record
import town as towns

from lienthong.bus import hub as hubs
from lienthong.core import access_record, clock, settings
from lienthong.monitoring import alerts as inbox

WITHIN_S = 60.0  # from the first record that suffices, by the records' own time
PATIENCE_S = 240.0  # of this test, on a machine that has other things to do


@pytest.fixture(scope="module", params=[towns.EMBEDDED, towns.FULL])
def town(request: pytest.FixtureRequest) -> Iterator[towns.Town]:
    with towns.opened(request.param) as opened:
        yield opened


def put(town: towns.Town, records: list[access_record.Record]) -> None:
    """Bring records into the town's database as its ingest does."""

    async def go() -> None:
        home, url = Path(town.environment["LIENTHONG_HOME"]), town.environment.get("LIENTHONG_DATABASE__URL", "")
        async with builders.running_hub(home, database_url=url) as hub:
            await record.put(hub, records)

    asyncio.run(go())


def is_open(town: towns.Town, rule: str) -> bool:
    """Whether there is an alert of a rule; not by the command, whose many starts would hold up the hub itself."""

    async def go() -> bool:
        async with hubs.opened(settings.load(town.environment)) as hub:
            return bool(await inbox.listed(hub.storage, rule=rule))

    return asyncio.run(go())


def alerts(town: towns.Town, rule: str) -> list[dict[str, Any]]:
    """List the alerts of a rule, as an officer does at the command line."""
    listed: list[dict[str, Any]] = town.answer("alerts", "list", "--rule", rule)
    return listed


def call(at: datetime, number: int, **changed: Any) -> access_record.Record:
    """Make one record of a node that is not there any more."""
    facts: dict[str, Any] = {"status": 200, "node": "old", "number": number, **changed}
    return access_record.Record(at, f"old-{number}", "procedures.list", "/v1/procedures", "ok", 3.0, **facts)


def test_a_flood_opens_an_alert_within_a_minute(town: towns.Town):
    words = ["keys", "issue", "--organisation", "Sở-A", "--system", "one-stop", "--custodian", "An"]
    issued = town.answer(*words, "--grants", "all", "--limit", "100000/minute")
    now = clock.now()
    hours = [now - timedelta(hours=hour) for hour in range(24 * 25, 1, -1)]
    usual = [at + timedelta(minutes=6 * n) for at in hours for n in range(10)]
    put(town, [call(at, number, key_id=issued["id"]) for number, at in enumerate(usual, 1)])
    assert json.loads(town.command("detect", "rebuild"))["records"] >= len(usual)
    request = urllib.request.Request(f"{town.gateway_url}/v1/procedures", headers={"X-API-Key": issued["key"]})
    begun = clock.now()
    for _ in range(250):
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
    towns.wait_until(lambda: is_open(town, "volume_up"), timeout_s=PATIENCE_S, every_s=1)
    [alert] = alerts(town, "volume_up")
    assert alert["key_id"] == issued["id"]
    assert datetime.fromisoformat(alert["found_at"]) - begun < timedelta(seconds=WITHIN_S)


def test_one_citizen_asked_about_by_many_officials_opens_an_alert_within_a_minute(town: towns.Town):
    now = clock.now()
    asked = {"subject": "0a1b2c3d4e5f60718293a4b5c6d7e8f9", "key_id": "one-stop", "dossier_code": "H38-1"}
    made = [call(now, 900_000 + n, official=f"can-bo-{n}", **asked) for n in range(10)]
    put(town, made)
    towns.wait_until(lambda: is_open(town, "curious_many"), timeout_s=PATIENCE_S, every_s=1)
    [alert] = alerts(town, "curious_many")
    assert alert["seen"]["officials"] >= 8
    assert "can-bo" not in json.dumps(alert["sentence_vi"])
