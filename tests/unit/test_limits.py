"""Limits: never more than N in any window, never a refusal for polite traffic, a restart forgives no quota."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.api_keys import limits, local_limits, rings
from lienthong.bus import hub
from lienthong.core import errors

NOW = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
NS = 1_000_000_000


class Bench:
    """A limiter with a clock that the test turns."""

    def __init__(self, *texts: str, store=None) -> None:
        self.at_ns = 10**12
        self.now = NOW
        self.limits = limits.parse_all(texts)
        self.limiter = local_limits.LocalLimiter(store, monotonic_ns=lambda: self.at_ns)

    def wait(self, seconds: float) -> None:
        self.at_ns += round(seconds * NS)
        self.now += timedelta(seconds=seconds)

    def take(self) -> limits.Decision:
        return self.limiter.decide("key", self.limits, self.now)


def worst_window(times_ns: list[int], length_ns: int) -> int:
    worst, first = 0, 0
    for last, at in enumerate(times_ns):
        while times_ns[first] <= at - length_ns:
            first += 1
        worst = max(worst, last - first + 1)
    return worst


@given(
    st.integers(1, 40),
    st.lists(st.sampled_from([0.0, 0.001, 0.2, 0.4, 0.9, 0.999999999, 1.0, 1.1, 59.0]), max_size=300),
)
def test_never_more_than_the_limit_in_any_second(quota: int, pauses: list[float]):
    bench = Bench(f"{quota}/second")
    admitted = []
    for pause in pauses:
        bench.wait(pause)
        if bench.take().allowed:
            admitted.append(bench.at_ns)
    assert worst_window(admitted, NS) <= quota


@pytest.mark.parametrize("shape", ["edges", "poisson", "flood", "on_off"])
def test_every_shape_of_traffic_reaches_the_limit_and_never_passes_it(shape: str):
    chance = random.Random(7)
    bench = Bench("100/minute")
    admitted = []
    for turn in range(6000):
        bench.wait(
            {
                "edges": 59.0 if turn % 150 == 0 else 0.001,
                "poisson": chance.expovariate(2.5),
                "flood": 0.02,
                "on_off": 30.0 if turn % 90 == 0 else 0.05,
            }[shape]
        )
        if bench.take().allowed:
            admitted.append(bench.at_ns)
    assert worst_window(admitted, 60 * NS) == 100


def test_polite_traffic_is_never_refused():
    bench = Bench("100/minute", "7/second")
    for _ in range(5000):
        bench.wait(0.6)
        assert bench.take().allowed


def test_after_retry_after_the_next_request_passes():
    bench = Bench("3/minute")
    for _ in range(3):
        assert bench.take().allowed
        bench.wait(5)
    refused = bench.take()
    assert not refused.allowed
    assert refused.violated == ("minute",)
    assert refused.retry_after_s == pytest.approx(45)
    bench.wait(refused.retry_after_s - 0.001)
    assert not bench.take().allowed
    bench.wait(0.001)
    assert bench.take().allowed


def test_a_refusal_takes_from_no_limit():
    bench = Bench("1/second", "10/day")
    assert bench.take().allowed
    for _ in range(20):
        assert not bench.take().allowed
    day = bench.take().policies[1]
    assert (day.name, day.remaining) == ("day", 9)


def test_the_day_begins_at_midnight_in_vietnam():
    bench = Bench("2/day")
    bench.now = datetime(2026, 1, 15, 16, 59, 59, tzinfo=UTC)  # 23:59:59 in Vietnam
    assert bench.take().allowed
    assert bench.take().allowed
    refused = bench.take()
    assert refused.retry_after_s == pytest.approx(1)
    bench.wait(1)
    assert bench.take().allowed


@pytest.mark.parametrize(
    ("now", "name", "ends"),
    [
        (datetime(2026, 12, 31, 16, 59, tzinfo=UTC), "month:2026-12", datetime(2026, 12, 31, 17, tzinfo=UTC)),
        (datetime(2026, 12, 31, 17, 0, tzinfo=UTC), "month:2027-01", datetime(2027, 1, 31, 17, tzinfo=UTC)),
        (datetime(2028, 2, 29, 3, 0, tzinfo=UTC), "month:2028-02", datetime(2028, 2, 29, 17, tzinfo=UTC)),
    ],
)
def test_a_month_is_the_calendars(now, name, ends):
    assert limits.calendar_period("month", now)[0] == name
    assert limits.calendar_period("month", now)[2] == ends


def test_a_clock_set_back_neither_locks_out_nor_lets_through():
    bench = Bench("2/minute")
    assert bench.take().allowed
    assert bench.take().allowed
    bench.now -= timedelta(hours=1)
    assert not bench.take().allowed
    bench.at_ns += 60 * NS
    assert bench.take().allowed


def test_a_lowered_limit_holds_at_once():
    bench = Bench("10/minute")
    for _ in range(10):
        assert bench.take().allowed
    bench.limits = limits.parse_all(["3/minute"])
    bench.wait(59)
    assert not bench.take().allowed
    assert bench.take().policies[0].remaining == 0
    bench.wait(1)
    assert bench.take().allowed


def test_keys_do_not_share_a_limit():
    bench = Bench("1/hour")
    assert bench.take().allowed
    assert bench.limiter.decide("other", bench.limits, bench.now).allowed


async def test_a_restart_forgives_nothing_of_a_quota(sqlite_hub: hub.Hub):
    before = Bench("5/day", store=sqlite_hub.storage)
    for _ in range(4):
        assert before.take().allowed
    await before.limiter.save()
    after = Bench("5/day", store=sqlite_hub.storage)
    await after.limiter.start(after.now)
    assert after.take().allowed
    assert not after.take().allowed
    await after.limiter.stop()


async def test_two_processes_on_one_database_come_to_one_count(sqlite_hub: hub.Hub):
    left, right = (Bench("100/day", store=sqlite_hub.storage) for _ in range(2))
    for _ in range(10):
        left.take()
        right.take()
    await left.limiter.save()
    await right.limiter.save()
    left.take()
    await left.limiter.save()
    assert left.take().policies[0].remaining == 100 - 22


def test_memory_of_idle_keys_is_given_back():
    bench = Bench("5/second")
    bench.take()
    bench.wait(2)
    bench.limiter.sweep(bench.now)
    assert not bench.limiter._rings


@pytest.mark.parametrize("text", ["", "600", "600/min", "-1/minute", "0/day", "1.5/hour", "600/minute/day"])
def test_a_limit_that_cannot_be_read_is_refused(text: str):
    with pytest.raises(errors.InvalidRequest):
        limits.parse(text)


@given(st.lists(st.tuples(st.integers(1, 400), st.integers(0, 300)), min_size=1, max_size=6))
def test_a_ring_that_grows_keeps_every_time_in_its_order(steps: list[tuple[int, int]]) -> None:
    ring, expected, now_ns = rings.Ring(1_000_000, now_ns=0), [], 0
    for added, dropped in steps:
        for _ in range(added):
            now_ns += 1
            ring.add(now_ns)
            expected.append(now_ns)
        ring.drop_oldest(dropped)
        del expected[:dropped]
    found = []
    while ring.count:
        found.append(ring.empties_in_ns(now_ns) - ring.length_ns + now_ns)
        ring.drop_oldest(1)
    assert found == expected
