"""How exact the limits are: the most admitted in any window, beside the usual algorithms, and what they cost.

Six shapes of traffic against one maximum: in one process on a simulated clock (beside fixed window, sliding
counter and GCRA), in four processes with a real Valkey, and with that Valkey killed and restarted empty.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import contextlib
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import figures

LIMIT, PROCESSES, NS = 100, 4, 1_000_000_000
SHAPES = ("edge bursts", "Poisson 0.8", "Poisson 1.0", "Poisson 1.5", "flood", "on-off")
POLITE = "paced 0.8"  # what must never be refused while Redis is there


def arrivals(shape: str, windows: float, seed: int) -> Iterator[float]:
    """Give moments of requests, in windows: a window holds LIMIT of them."""
    chance, at = random.Random(seed), 0.0
    while at < windows:
        if shape == "edge bursts":
            # A burst at the end of one period and one at the beginning of the next.
            for n in range(2 * LIMIT):
                yield int(at) + 0.97 + 0.06 * n / (2 * LIMIT)
            at += 2.0
            continue
        if shape == "on-off":
            phase = at % 1.0
            at += 1 / (LIMIT * 2.1) if phase < 1 / 3 else 1.0 - phase
        elif shape.startswith("Poisson"):
            at += chance.expovariate(LIMIT * float(shape.split()[1]))
        elif shape == POLITE:
            at += 1 / (LIMIT * 0.8)
        else:
            at += 1 / (LIMIT * 10)
        yield at


# ------------------------------------------------------------------------------- the usual algorithms, in small


def fixed_window() -> Callable[[float], bool]:
    state = {"period": -1, "count": 0}

    def allow(at: float) -> bool:
        if int(at) != state["period"]:
            state["period"], state["count"] = int(at), 0
        state["count"] += 1
        return state["count"] <= LIMIT

    return allow


def sliding_counter() -> Callable[[float], bool]:
    state = {"period": 0, "now": 0, "last": 0}

    def allow(at: float) -> bool:
        period = int(at)
        if period != state["period"]:
            state["last"] = state["now"] if period == state["period"] + 1 else 0
            state["period"], state["now"] = period, 0
        if state["last"] * (1 - at % 1.0) + state["now"] + 1 > LIMIT:
            return False
        state["now"] += 1
        return True

    return allow


def gcra(burst: int) -> Callable[[float], bool]:
    state = {"due": 0.0}

    def allow(at: float) -> bool:
        due = max(state["due"], at)
        if due - at > (burst - 1) / LIMIT + 1e-9:
            return False
        state["due"] = due + 1 / LIMIT
        return True

    return allow


def ours() -> Callable[[float], bool]:
    from lienthong.api_keys import limits, local_limits

    moment = {"ns": 0}
    limiter = local_limits.LocalLimiter(monotonic_ns=lambda: moment["ns"])
    wanted, now = limits.parse_all([f"{LIMIT}/minute"]), datetime(2026, 1, 15, 9, 30, tzinfo=UTC)

    def allow(at: float) -> bool:
        moment["ns"] = round(at * 60 * NS)
        return limiter.decide("key", wanted, now).allowed

    return allow


ALGORITHMS: dict[str, Callable[[], Callable[[float], bool]]] = {
    "ours": ours,
    "fixed window": fixed_window,
    "sliding counter": sliding_counter,
    "GCRA, burst = limit": lambda: gcra(LIMIT),
    "GCRA, burst = limit / 10": lambda: gcra(LIMIT // 10),
}


def worst(admitted: Sequence[tuple[float, float]], window: float = 1.0) -> float:
    """Give the most admitted in any window, in per cent of the limit.

    An admission lies between asking and hearing: only those count that surely lie in the window.
    """
    asked = sorted(start for start, _ in admitted)
    heard = sorted(end for _, end in admitted)
    most = max((bisect.bisect_left(heard, at + window) - bisect.bisect_left(asked, at) for at in asked), default=0)
    return 100.0 * most / LIMIT


def in_one_process(windows: int) -> tuple[list[list[object]], dict[str, float]]:
    rows, found = [], {}
    for name, make in ALGORITHMS.items():
        row: list[object] = [name]
        for shape in SHAPES:
            allow = make()
            # A whole number of nanoseconds, as the limiter's clock has.
            moments = [round(at * 60 * NS) / (60 * NS) for at in arrivals(shape, windows, 7)]
            row.append(worst([(at, at) for at in moments if allow(at)], 1.0 - 1e-12))
        rows.append([name, *(round(float(str(value)), 1) for value in row[1:])])
        found[name] = max(float(str(value)) for value in row[1:])
    return rows, found


def polite_refusals(windows: int) -> int:
    """Count refusals of traffic that stays under the limit."""
    allow = ours()
    return sum(not allow(at) for at in arrivals(POLITE, windows, 7))


# ------------------------------------------------------------------------------------------ four processes, Valkey


async def work(url: str, number: int, start_ns: int, seconds: float) -> dict[str, list[list[float]]]:
    """Be one gateway: a quarter of every shape's requests, each shape with a key of its own."""
    from lienthong.api_keys import limits, redis_limits

    limiter = redis_limits.RedisLimiter(
        url, name=f"gateway-{number}", terms=redis_limits.Terms(gateways=PROCESSES)
    )
    wanted, now = limits.parse_all([f"{LIMIT}/second", "100000000/day"]), datetime.now(UTC)
    await limiter.start(now)
    told: dict[str, list[list[float]]] = {}

    async def one(shape: str) -> None:
        decision_start = time.monotonic_ns()
        decision = await limiter.take(shape, wanted, "bench", now)
        started, ended = (decision_start - start_ns) / NS, (time.monotonic_ns() - start_ns) / NS
        told[shape].append([started, ended, decision.allowed, decision.reduced])

    async def send(shape: str) -> None:
        told[shape] = []
        waiting = set()
        for place, at in enumerate(arrivals(shape, seconds, 11)):
            if place % PROCESSES != number:
                continue
            ahead_s = at - (time.monotonic_ns() - start_ns) / NS
            if ahead_s > 0.001:
                await asyncio.sleep(ahead_s)
            task = asyncio.ensure_future(one(shape))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
        await asyncio.gather(*waiting)

    await asyncio.gather(*(send(shape) for shape in (*SHAPES, POLITE)))
    await limiter.stop()
    return told


def with_valkey(seconds: float, *, cut: bool) -> dict[str, list[list[float]]]:
    """Run the four gateways; with `cut`, Valkey is killed after a third and comes back empty after two thirds."""
    from lienthong.console import services

    port, told = services.free_port(), {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lt-vk-")))
        valkey = contextlib.ExitStack()
        stack.push(valkey)
        process, url = valkey.enter_context(services.valkey_process(folder / "one", port=port))
        start_ns = time.monotonic_ns() + 2 * NS
        children = [
            subprocess.Popen(
                [sys.executable, __file__, "--work", url, str(n), str(start_ns), str(seconds)],
                env=figures.ENVIRONMENT,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            for n in range(PROCESSES)
        ]
        if cut:
            time.sleep(2 + seconds / 3)
            process.kill()
            time.sleep(seconds / 3)
            valkey.enter_context(services.valkey_process(folder / "two", port=port))
        for child in children:
            out, _ = child.communicate(timeout=seconds * 3 + 60)
            for shape, rows in json.loads(out).items():
                told.setdefault(shape, []).extend(rows)
    return told


def judged(told: dict[str, list[list[float]]]) -> tuple[float, list[object], int]:
    row: list[object] = []
    for shape in SHAPES:
        row.append(round(worst([(start, end) for start, end, allowed, _ in told[shape] if allowed]), 1))
    refused = sum(not allowed for _, _, allowed, _ in told[POLITE])
    return max(float(str(value)) for value in row), row, refused


# ------------------------------------------------------------------------------------------------------- the cost


def cost_in_process(turns: int) -> dict[str, float]:
    """Measure one decision with a minute's, an hour's and a day's maximum."""
    from lienthong.api_keys import limits, local_limits, rings

    wanted, now = limits.parse_all(["600/minute", "20000/hour", "50000/day"]), datetime.now(UTC)
    found = {}
    with tempfile.TemporaryDirectory(prefix="lt-rings-") as folder:
        for name, shelf in (("memory", None), ("mapped", rings.Shelf(Path(folder)))):
            limiter = local_limits.LocalLimiter()
            limiter._shelf = shelf
            took = []
            for n in range(turns):
                started = time.perf_counter_ns()
                limiter.decide(f"key-{n % 200}", wanted, now, "procedures.list")
                took.append(time.perf_counter_ns() - started)
            found[name] = statistics.median(took) / 1000
    return found


async def cost_with_redis(turns: int) -> dict[str, float]:
    """Count what one decision asks of Redis, and what it costs where many are on their way."""
    from lienthong.api_keys import limits, redis_limits
    from lienthong.console import services

    with tempfile.TemporaryDirectory(prefix="lt-vk-") as folder, services.valkey(Path(folder)) as url:
        limiter = redis_limits.RedisLimiter(url)
        wanted, now = limits.parse_all(["1000000/minute", "100000000/day"]), datetime.now(UTC)
        await limiter.start(now)
        await limiter.take("key", wanted, "bench", now)
        pipe = limiter._pipe
        assert pipe is not None
        asked, began, alone = pipe.asked, time.process_time(), []
        for _ in range(turns // 50):
            await asyncio.gather(*(limiter.take(f"key-{n}", wanted, "bench", now) for n in range(50)))
        spent_us = (time.process_time() - began) * 1_000_000 / turns
        asked = pipe.asked - asked
        for _ in range(200):
            started = time.perf_counter_ns()
            await limiter.take("key", wanted, "bench", now)
            alone.append((time.perf_counter_ns() - started) / 1_000_000)
        await limiter.stop()
    alone.sort()
    return {"asked": asked / turns, "cpu_us": spent_us, "p50_ms": alone[100], "p99_ms": alone[197]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less work, the same goals")
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        url, number, start_ns, seconds = given.work
        print(json.dumps(asyncio.run(work(url, int(number), int(start_ns), float(seconds)))))
        return
    seconds = 7.5 if given.quick else 45.0
    rows, found = in_one_process(20 if given.quick else 200)
    refused = polite_refusals(50)
    figures.table(
        f"Most admitted in any window, % of the limit ({LIMIT} a window)", ["one process", *SHAPES], rows
    )
    shared, shared_row, shared_refused = judged(with_valkey(seconds, cut=False))
    cut, cut_row, cut_refused = judged(with_valkey(seconds, cut=True))
    figures.table(
        "Four processes, one-second windows, real time",
        ["", *SHAPES, "polite refused"],
        [["with Valkey", *shared_row, shared_refused], ["Valkey killed, back empty", *cut_row, cut_refused]],
    )
    cost = cost_in_process(20_000 if given.quick else 200_000)
    redis_cost = asyncio.run(cost_with_redis(5_000 if given.quick else 50_000))
    figures.table(
        "One decision",
        ["", "figure"],
        [
            ["in process, µs", cost["memory"]],
            ["in process, in mapped files, µs", cost["mapped"]],
            ["with Redis, questions (one round trip each)", redis_cost["asked"]],
            ["with Redis, CPU of the gateway, µs", redis_cost["cpu_us"]],
            ["with Redis, alone on its way, p50 ms", redis_cost["p50_ms"]],
            ["with Redis, alone on its way, p99 ms", redis_cost["p99_ms"]],
        ],
    )
    figures.finish(
        "limits",
        figures={
            "worst_one_process_pct": found["ours"],
            "worst_four_processes_pct": shared,
            "worst_valkey_cut_pct": cut,
            "polite_refused": refused + shared_refused,
            "least_reached_pct": min(found["ours"], shared),
            "decision_us": max(cost.values()),
            "redis_round_trips": redis_cost["asked"],
            "redis_cpu_us": redis_cost["cpu_us"],
            "redis_p50_ms": redis_cost["p50_ms"],
            **{f"peer {name} worst_pct": value for name, value in found.items() if name != "ours"},
        },
        goals={
            "worst_one_process_pct": 100.0,
            "worst_four_processes_pct": 100.0,
            "worst_valkey_cut_pct": 100.0,
            "polite_refused": 0,
            "least_reached_pct": 99.0,
            "decision_us": 5.0,
            "redis_round_trips": 1.01,
        },
    )


if __name__ == "__main__":
    main()
