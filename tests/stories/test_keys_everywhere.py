"""What is done to a key holds within a second in every process of the gateway, on both databases."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import builders
import databases
import httpx
import pytest

from lienthong.api_keys import keys, regranting, uses
from lienthong.bus import hub, operations
from lienthong.console import services, trial
from lienthong.core import settings

# A second, as promised; the processes remember a key for half of it.
WITHIN_S = 1.0


@contextmanager
def gateway(home: Path, environment: dict[str, str], number: int) -> Iterator[str]:
    """Run one gateway as a process of its own; gives its address."""
    port = services.free_port()
    url, log = f"http://127.0.0.1:{port}", home / f"gateway-{number}.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "lienthong.console.cli.main", "serve", "--role", "gateway"],
            env={**environment, "LIENTHONG_GATEWAY__PORT": str(port)},
            stdout=sink,
            stderr=sink,
            cwd=home,
            start_new_session=True,
        )
        try:
            trial.wait_for(f"{url}/health/live", process, log)
            yield url
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


class Town:
    """One hub that people work on, and two gateways that know nothing of it but the database."""

    def __init__(self, opened: hub.Hub, urls: list[str]) -> None:
        self.hub, self.urls = opened, urls
        self.caller = httpx.AsyncClient(timeout=10)

    async def statuses(self, key: str) -> list[int]:
        asked = [self.caller.get(f"{url}/v1/procedures", headers={"X-API-Key": key}) for url in self.urls]
        return [answer.status_code for answer in await asyncio.gather(*asked)]

    def now(self, reason: str = "nghi lộ") -> dict:
        return {"reason": reason, "actor": "an", "now": self.hub.now()}


@dataclass(frozen=True)
class Place:
    """Where the gateways of all tests on one database run."""

    home: Path
    database_url: str
    gateways: list[str]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("keys")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("LIENTHONG_")},
        **trial.environment(services.free_port(), folder),
    }
    home = Path(environment["LIENTHONG_HOME"])
    with ExitStack() as stack:
        url = databases.sqlite(home / "hub.db")
        if request.param == "postgresql":
            url = stack.enter_context(request.getfixturevalue("postgres").with_tables())
        builders.prepare(settings.Settings(home=home, database=settings.Database(url=url)))
        environment["LIENTHONG_DATABASE__URL"] = url
        gateways = [stack.enter_context(gateway(folder, environment, number)) for number in (1, 2)]
        yield Place(home, url, gateways)


@pytest.fixture
async def town(place: Place) -> AsyncIterator[Town]:
    async with builders.running_hub(place.home, database_url=place.database_url) as opened:
        world = Town(opened, place.gateways)
        yield world
        await world.caller.aclose()


async def test_a_suspended_and_a_revoked_key_are_refused_by_every_process_within_a_second(town: Town):
    issued = await builders.issue_key(town.hub)
    name, store = issued.record.id, town.hub.storage
    assert await town.statuses(issued.key) == [200, 200]
    await keys.suspend(store, name, **town.now())
    await asyncio.sleep(WITHIN_S)
    assert await town.statuses(issued.key) == [401, 401]
    await keys.resume(store, name, **town.now())
    await asyncio.sleep(WITHIN_S)
    assert await town.statuses(issued.key) == [200, 200]
    await keys.revoke(store, name, **town.now())
    await asyncio.sleep(WITHIN_S)
    assert await town.statuses(issued.key) == [401, 401]


async def test_new_limits_addresses_and_generations_hold_in_every_process_within_a_second(town: Town):
    issued = await builders.issue_key(town.hub)
    name, store, known = issued.record.id, town.hub.storage, operations.NAMES
    assert await town.statuses(issued.key) == [200, 200]
    await keys.limit(store, name, keys.Bounds(limits=["1/minute"]), known_operations=known, **town.now())
    await asyncio.sleep(WITHIN_S)
    assert await town.statuses(issued.key) == [429, 429]
    away = keys.Bounds(limits=["1000/minute"], addresses=["198.51.100.0/24"])
    await keys.limit(store, name, away, known_operations=known, **town.now())
    await asyncio.sleep(WITHIN_S)
    assert await town.statuses(issued.key) == [403, 403]
    here = keys.Bounds(addresses=["127.0.0.0/8"])
    await keys.limit(store, name, here, known_operations=known, **town.now())
    renewed = await keys.rotate(store, town.hub.vault, name, overlap=timedelta(), **town.now())
    await asyncio.sleep(WITHIN_S)
    assert await town.statuses(issued.key) == [401, 401]
    assert await town.statuses(renewed.key) == [200, 200]


async def test_grants_that_were_taken_away_or_given_hold_in_every_process_within_a_second(town: Town):
    issued = await builders.issue_key(town.hub, grants=["procedures.*", "dossiers.put"])
    name, store, known = issued.record.id, town.hub.storage, operations.NAMES
    assert await town.statuses(issued.key) == [200, 200]
    less, more = regranting.Wanted(remove=["procedures.*"]), regranting.Wanted(add=["procedures.list"])
    await regranting.change(store, name, less, known_operations=known, **town.now())
    await asyncio.sleep(WITHIN_S)
    assert await town.statuses(issued.key) == [403, 403]
    await regranting.change(store, name, more, known_operations=known, **town.now())
    await asyncio.sleep(WITHIN_S)
    assert await town.statuses(issued.key) == [200, 200]


async def test_the_uses_of_every_process_come_together(town: Town):
    issued = await builders.issue_key(town.hub)
    for _ in range(3):
        await town.statuses(issued.key)

    async def used() -> int:
        found = await uses.totals(town.hub.storage, key_id=issued.record.id)
        return found[issued.record.id].used if found else 0

    for _ in range(200):
        if await used() == 6:
            break
        await asyncio.sleep(0.1)
    [use] = await uses.of_key(town.hub.storage, issued.record.id)
    assert (use.address, use.used, use.refused) == ("127.0.0.1", 6, 0)
