"""Changes of status over many dossiers through every bad mood, with the hub killed again and again on the way."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import builders
import httpx
import pytest
import town as towns

from lienthong.bus import outbox
from lienthong.core import settings, storage

# `make proofs` sends 2,000 changes over 300 dossiers and kills ten times; there bad days last longer.
CHANGES = int(os.environ.get("STORM", "160"))
DAY_S, PAUSE_S = (0.7, 0.4) if CHANGES >= 1_000 else (0.4, 0.2)
DOSSIERS, CALLERS, KILLS = CHANGES * 3 // 20, 16, max(3, CHANGES // 200)
STATUSES = (
    "received",
    "processing",
    "supplement_requested",
    "processing",
    "payment_requested",
    "processing",
    "finished",
    "returned",
)
NATIONAL = {
    "received": "2",
    "processing": "4",
    "supplement_requested": "5",
    "payment_requested": "6",
    "finished": "9",
    "returned": "10",
}
BAD_DAYS = (
    "outage:kind=close",
    "outage:kind=502",
    "maintenance:retry_after_s=1",
    "quota:retry_after_s=1,probability=0.5",
    "lost_answer:probability=0.3",
    "lost_answer:hang_s=4,probability=0.1",
    "lost_request:probability=0.5",
    "truncated:probability=0.3",
    "garbage_html:probability=0.5",
    "garbage_json:probability=0.3",
    "empty_body:probability=0.5",
    "refuse:probability=0.1",
    "expired_session:every=7",
    "duplicate_code:code=-3",
    "duplicate_code:code=0",
    "code_as_text",
    "slow:latency_ms=300",
    "x_road_error:probability=0.5",
    "forbidden:probability=0.05",
    "storm:probability=0.3",
)
# So slowly that every bad day comes while they call.
PACE_S = 1.2 * (DAY_S + PAUSE_S) * len(BAD_DAYS) * CALLERS / CHANGES


@dataclass
class Ledger:
    """What was sent and what came of it."""

    sent: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    answers: Counter[str] = field(default_factory=Counter)
    days: Counter[str] = field(default_factory=Counter)
    killed: Counter[str] = field(default_factory=Counter)
    retried: int = 0


def plan() -> dict[str, list[dict[str, Any]]]:
    """Say which changes each dossier goes through, each with a note of its own."""
    changes: dict[str, list[dict[str, Any]]] = {f"H38.15-260803-{n:04d}": [] for n in range(DOSSIERS)}
    codes = itertools.cycle(changes)
    for number in range(CHANGES):
        code = next(codes)
        step = len(changes[code])
        changes[code].append(
            {
                "status": STATUSES[step % len(STATUSES)],
                "occurred_at": (builders.BEGUN + timedelta(minutes=10 * step)).isoformat(),
                "handled_by": "Cán bộ Thử",
                "note": f"bước {number}",
                "change_id": f"c{number}",
            }
        )
    return changes


async def persist(client: httpx.AsyncClient, ledger: Ledger, method: str, path: str, body: Any) -> None:
    """Send until the hub says that it has it; a gateway that was just killed is tried again."""
    for _ in range(400):
        try:
            answer = await client.request(method, path, json=body)
        except httpx.TransportError as exc:
            ledger.answers[type(exc).__name__] += 1
            await asyncio.sleep(0.2)
            continue
        ledger.answers[f"{method} {answer.status_code}"] += 1
        if answer.status_code < 300:
            return
        assert answer.status_code in (409, 503), answer.text
        await asyncio.sleep(0.1)
    raise AssertionError(f"{path}: the hub never took it")


async def call(
    town: towns.Town, key: str, work: Iterator[tuple[str, list[dict[str, Any]]]], ledger: Ledger
) -> None:
    async with httpx.AsyncClient(
        base_url=town.gateway_url, headers={"X-API-Key": key}, timeout=60, trust_env=False
    ) as client:
        for code, changes in work:
            await persist(client, ledger, "PUT", f"/v1/dossiers/{code}", builders.dossier_body())
            for change in changes:
                await persist(client, ledger, "POST", f"/v1/dossiers/{code}/status", change)
                ledger.sent[code].append((NATIONAL[change["status"]], change["note"]))
                await asyncio.sleep(PACE_S)


async def weather(town: towns.Town, ledger: Ledger, over: asyncio.Event) -> None:
    for day in itertools.cycle(BAD_DAYS):
        if over.is_set():
            return
        ledger.days[day.partition(":")[0]] += 1
        await asyncio.to_thread(town.moods, day, "code_as_number")  # type: ignore[arg-type]
        await asyncio.sleep(DAY_S)
        await asyncio.to_thread(town.moods)
        await asyncio.sleep(PAUSE_S)


async def killer(town: towns.Town, ledger: Ledger) -> None:
    chance = random.Random(11)
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(0.5, 2.0))
        role = chance.choice([role for role in town.roles if role != "beat"])
        ledger.killed[role] += 1
        await asyncio.to_thread(town.kill, role)
        await asyncio.to_thread(town.start, role)


async def counts(town: towns.Town) -> dict[str, int]:
    """Count the messages by state; not by the command, whose many starts would hold up the hub itself."""
    store = storage.Storage(settings.load(town.environment).database_url)
    found = Counter[str]()
    for row in await outbox.counts(store):
        found[row["state"]] += row["messages"]
    await store.close()
    return found


def settle(town: towns.Town, ledger: Ledger) -> None:
    """Good days again: the operator sends dead messages anew, behind which others wait, until nothing is left."""
    found: dict[str, int] = {}

    def something_is_to_be_done() -> bool:
        nonlocal found
        found = asyncio.run(counts(town))
        return bool(found.get("dead")) or set(found) == {"delivered"}

    town.moods()
    for _ in range(60):
        towns.wait_until(something_is_to_be_done, timeout_s=120)
        if not found.get("dead"):
            return
        words = ("messages", "retry", "--target", "dvcqg_adapter", "--reason", "trời đã yên")
        ledger.retried += town.answer(*words)["retry"]
    raise AssertionError(f"messages are left: {found}")


def without_repeats(steps: list[tuple[str, str]]) -> tuple[list[tuple[str, str]], int]:
    """Take out steps that stand twice in a row: their answer was lost on the way."""
    kept = [step for n, step in enumerate(steps) if n == 0 or steps[n - 1] != step]
    return kept, len(steps) - len(kept)


@pytest.mark.long
@pytest.mark.parametrize("size", [towns.EMBEDDED, towns.FULL])
def test_every_change_arrives_in_order_once_in_effect_whatever_happens(
    size: str, record_property: Callable[[str, object], None]
) -> None:
    ledger, changes = Ledger(), plan()

    async def storm(town: towns.Town, key: str) -> None:
        over, work = asyncio.Event(), iter(changes.items())
        days = asyncio.create_task(weather(town, ledger, over))
        callers = [asyncio.create_task(call(town, key, work, ledger)) for _ in range(CALLERS)]
        killing = asyncio.create_task(killer(town, ledger))
        await asyncio.gather(*callers, killing)
        over.set()
        await days

    with towns.opened(size) as town:
        started = time.monotonic()
        asyncio.run(storm(town, town.issue_key()))
        settle(town, ledger)
        took_s = time.monotonic() - started
        held = {one["code"]: one for one in town.sandbox("/_sandbox/dossiers")["items"]}
        unknown = lost_answers(town)
        counted = town.sandbox("/_sandbox/counts")
        printed = town.logs()

    repeats = 0
    for code, sent in ledger.sent.items():
        steps = [(step["TrangThai"], step["NoiDungXuLy"]) for step in held[code]["steps"]]
        kept, again = without_repeats(steps)
        repeats += again
        assert kept == sent, code
        assert held[code]["status"] == sent[-1][0], code
    assert sum(map(len, ledger.sent.values())) == CHANGES
    assert repeats <= unknown, "a step may stand twice only where its answer was lost"
    assert "000000000001" not in printed
    lines = [
        f"{size}: {CHANGES} changes, {len(held)} dossiers, {took_s:.0f} s",
        f"  answers to callers  {dict(ledger.answers)}",
        f"  killed              {dict(ledger.killed)}",
        f"  bad days            {dict(ledger.days)}",
        f"  dead, sent again    {ledger.retried}",
        f"  steps twice         {repeats} (answers lost on the way: {unknown})",
        f"  at the sandbox      {counted['systems']['dvcqg_adapter']}",
    ]
    record_property("ledger", "\n".join(lines))


def lost_answers(town: towns.Town) -> int:
    """Count the tries whose outcome the hub never learnt, from the attempts of every message."""
    total, after = 0, 0
    while rows := town.answer("messages", "list", "--limit", "10000", "--after", str(after)):
        total += sum(row["unknown_tries"] for row in rows)
        after = rows[-1]["seq"]
    return total
