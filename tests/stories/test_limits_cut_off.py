"""Four gateways while a real Valkey is killed, hung, restarted empty or slow: never over the maximum."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lienthong.api_keys import limits, redis_limits
from lienthong.console import services

NOW = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
LIMIT, GATEWAYS = 40, 4
TERMS = redis_limits.Terms(gateways=GATEWAYS)


class Server:
    """A Valkey that the test kills, holds and starts anew, empty, on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, services.free_port()
        self.stack = contextlib.ExitStack()
        self.start()

    def start(self) -> None:
        folder = self.folder / str(time.monotonic_ns())
        self.process, self.url = self.stack.enter_context(services.valkey_process(folder, port=self.port))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    with made.stack:
        yield made
        with contextlib.suppress(ProcessLookupError):
            os.kill(made.process.pid, signal.SIGCONT)


@contextlib.asynccontextmanager
async def gateways(server: Server, number: int = GATEWAYS) -> AsyncIterator[list[redis_limits.RedisLimiter]]:
    made = [redis_limits.RedisLimiter(server.url, name=f"g{n}", terms=TERMS) for n in range(number)]
    for one in made:
        await one.start(NOW)
    yield made
    for one in made:
        await one.stop()


class Load:
    """Asks through every gateway until it is ended; each request is noted with its moments."""

    def __init__(self, made: list[redis_limits.RedisLimiter], *texts: str, every_s: float) -> None:
        self.wanted = limits.parse_all(texts)
        self.rows: list[tuple[float, float, limits.Decision]] = []
        self.ending = False
        self.tasks = [asyncio.ensure_future(self.ask(one, every_s)) for one in made]

    async def ask(self, one: redis_limits.RedisLimiter, every_s: float) -> None:
        while not self.ending:
            start = time.monotonic()
            decision = await one.take("key", self.wanted, "x", NOW)
            self.rows.append((start, time.monotonic(), decision))
            await asyncio.sleep(every_s)

    async def end(self) -> None:
        self.ending = True
        await asyncio.gather(*self.tasks)

    def worst(self) -> int:
        """The most that surely lie in one second: an admission is somewhere between asking and hearing."""
        rows = [(start, end) for start, end, decision in self.rows if decision.allowed]
        return max(sum(1 for start, end in rows if start >= first and end < first + 1) for first, _ in rows)

    async def becomes(self, wanted: Callable[[list[limits.Decision]], bool]) -> list[limits.Decision]:
        """Wait until the decisions of a whole second are as wanted; gives them."""
        for _ in range(600):
            await asyncio.sleep(0.1)
            begun = time.monotonic() - 1
            last = [decision for start, _, decision in self.rows if start >= begun]
            if len(last) >= GATEWAYS and wanted(last):
                return last
        raise AssertionError("within a minute no second went by in which all were decided so")


@pytest.mark.parametrize("trouble", ["killed", "hung"])
async def test_never_over_the_maximum_whatever_happens_to_redis(server: Server, trouble: str):
    async with gateways(server) as made:
        load = Load(made, f"{LIMIT}/second", "1000000/day", every_s=0.004)
        await asyncio.sleep(1.5)
        if trouble == "killed":
            server.kill()
        else:
            os.kill(server.process.pid, signal.SIGSTOP)
        # Until nobody holds anything of the time before any more.
        await asyncio.sleep(TERMS.lease_s + 0.5)
        alone = await load.becomes(
            lambda last: all(one.reduced for one in last) and any(one.allowed for one in last)
        )
        if trouble == "killed":
            await asyncio.to_thread(server.start)
        else:
            os.kill(server.process.pid, signal.SIGCONT)
        await load.becomes(lambda last: not any(one.reduced for one in last))
        await load.end()
    assert load.worst() <= LIMIT
    assert {one.problem for one in alone if not one.allowed} <= {"temporary-reduced-capacity"}


async def test_polite_traffic_is_never_refused_while_redis_is_there(server: Server):
    async with gateways(server) as made:
        load = Load(made, "100/second", every_s=0.06)  # 67 a second together
        await asyncio.sleep(3)
        await load.end()
    assert all(decision.allowed for _, _, decision in load.rows)


async def test_the_whole_maximum_is_there_for_one_gateway_although_others_hold_reserves(server: Server):
    wanted = limits.parse_all(["100/minute"])
    async with gateways(server) as made:
        for one in made:
            assert (await one.take("key", wanted, "x", NOW)).allowed
        answers = [await made[0].take("key", wanted, "x", NOW) for _ in range(100)]
    assert [answer.allowed for answer in answers] == [True] * 96 + [False] * 4
    assert not answers[-1].reduced


async def test_an_empty_redis_is_told_what_the_gateways_know(server: Server):
    wanted = limits.parse_all(["20/hour", "30/day"])
    async with gateways(server, 2) as made:
        for _ in range(8):
            await made[0].take("key", wanted, "x", datetime.now(UTC))
            await made[1].take("key", wanted, "x", datetime.now(UTC))
        server.kill()
        await asyncio.to_thread(server.start)
        await asyncio.sleep(1.5)
        answers = [await one.take("key", wanted, "x", datetime.now(UTC)) for one in made for _ in range(5)]
    assert [answer.allowed for answer in answers].count(True) == 4
    assert answers[0].policies[1].remaining <= 30 - 17


async def test_a_slow_redis_is_not_waited_for(server: Server):
    async def delayed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", server.port)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, delay_s: float) -> None:
            while data := await source.read(65536):
                asyncio.get_running_loop().call_later(delay_s, sink.write, data)
            sink.close()

        await asyncio.gather(pump(reader, outer, 0), pump(inner, writer, slow["s"]))

    slow = {"s": 0.02}
    proxy = await asyncio.start_server(delayed, "127.0.0.1", 0)
    url = f"redis://127.0.0.1:{proxy.sockets[0].getsockname()[1]}/0"
    one = redis_limits.RedisLimiter(url, name="slow", terms=TERMS)
    wanted = limits.parse_all(["40/minute"])
    answers = [await one.take("key", wanted, "x", NOW) for _ in range(60)]
    await one.stop()
    proxy.close()
    # The first waits, for nothing is held yet; then the reserve goes on, and Redis counts each of them later.
    assert not answers[0].reduced
    assert any(answer.allowed and answer.reduced for answer in answers[1:10])
    assert sum(answer.allowed for answer in answers) <= 40
    assert sum(answer.allowed for answer in answers) >= 20


async def test_after_the_grace_time_personal_data_is_closed(server: Server):
    moment = {"s": 0.0}
    one = redis_limits.RedisLimiter(server.url, name="g", terms=TERMS, monotonic=lambda: moment["s"])
    wanted = limits.parse_all(["40/minute"])
    assert not (await one.take("key", wanted, "x", NOW)).closes_personal
    server.kill()
    await asyncio.sleep(0.6)
    assert not (await one.take("key", wanted, "x", NOW)).closes_personal
    moment["s"] += TERMS.grace_s
    decision = await one.take("key", wanted, "x", NOW)
    assert decision.closes_personal
    assert decision.allowed
    await asyncio.to_thread(server.start)
    for _ in range(600):
        if not (await one.take("key", wanted, "x", NOW)).closes_personal:
            break
        await asyncio.sleep(0.1)
    else:
        raise AssertionError("Redis was back for a minute, and personal data still closed")
    await one.stop()


async def test_requests_in_flight_are_capped_through_all_gateways(server: Server):
    wanted = limits.parse_all(["1000/minute", "4 in flight"])
    async with gateways(server) as made:
        flying = [await one.take("key", wanted, "x", NOW) for one in made]
        refused = await made[0].take("key", wanted, "x", NOW)
        made[3].give_back("key", flying[3].ticket)
        await asyncio.sleep(0.2)
        again = await made[0].take("key", wanted, "x", NOW)
    assert all(one.allowed for one in flying)
    assert (refused.allowed, refused.violated) == (False, ("in-flight",))
    assert again.allowed
