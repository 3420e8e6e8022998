"""The outbox and its delivery, with a receiver that does what each test needs; on both databases."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import builders
import pytest

from lienthong.bus import delivery, outbox, targets
from lienthong.bus import hub as hubs
from lienthong.core import errors, records, settings

TARGET = "elsewhere"
QUICK = settings.Outbox(
    max_concurrent=8,
    batch=16,
    lease_s=1.0,
    poll_s=0.02,
    retry_first_s=0.02,
    retry_longest_s=0.1,
    suspend_after=4,
    probe_first_s=0.05,
    probe_longest_s=0.2,
)


@dataclass
class Elsewhere:
    """An outside system: keeps what it is told, and fails as the test says."""

    said: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    calls: int = 0
    busy: int = 0
    most_busy: int = 0
    answer: Callable[[outbox.Claimed], errors.HubError | None] = lambda _: None
    takes_s: float = 0.002

    async def take(self, _: hubs.Hub, message: outbox.Claimed) -> records.Receipt:
        self.calls += 1
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            await asyncio.sleep(self.takes_s)
            failure = self.answer(message)
            if failure is not None:
                raise failure
            self.said[message.lane].append(message.id)
            return records.Receipt()
        finally:
            self.busy -= 1


@pytest.fixture
async def hub(database_url: str, tmp_path: Path) -> AsyncIterator[hubs.Hub]:
    async with builders.running_hub(tmp_path, database_url=database_url, outbox=QUICK) as opened:
        yield opened


async def put(hub: hubs.Hub, lane: str) -> str:
    async with hub.storage.transaction() as tx:
        return await outbox.put(
            tx,
            hub.vault,
            target=TARGET,
            lane=lane,
            operation="test",
            payload=b"{}",
            request_id="r",
            now=hub.now(),
        )


async def drive(hub: hubs.Hub, elsewhere: Elsewhere, *, idle_s: float = 0.3) -> delivery.Report:
    return await delivery.drive(
        hub,
        TARGET,
        handlers={"test": elsewhere.take},
        stop=asyncio.Event(),
        wake=asyncio.Event(),
        idle_s=idle_s,
    )


async def states(hub: hubs.Hub) -> dict[str, int]:
    return {row["state"]: row["messages"] for row in await outbox.counts(hub.storage)}


async def test_every_message_arrives_once_and_each_lane_keeps_its_order(hub: hubs.Hub) -> None:
    sent = defaultdict(list)
    for n in range(60):
        lane = f"lane-{n % 7}"
        sent[lane].append(await put(hub, lane))
    elsewhere = Elsewhere()
    await drive(hub, elsewhere)
    assert elsewhere.said == sent
    assert await states(hub) == {"delivered": 60}


async def test_after_a_long_outage_one_answer_that_cannot_be_read_is_not_the_end(hub: hubs.Hub) -> None:
    await put(hub, "lane")
    elsewhere = Elsewhere()
    failures: list[errors.HubError] = [errors.RemoteUnavailable() for _ in range(7)]
    failures += [errors.RemoteGarbled(), errors.RemoteGarbled()]
    elsewhere.answer = lambda _: failures.pop(0) if failures else None
    await drive(hub, elsewhere, idle_s=1.0)
    assert await states(hub) == {"delivered": 1}
    assert elsewhere.calls == 10


async def test_a_person_who_retries_an_unreadable_message_gets_as_many_tries_again(hub: hubs.Hub) -> None:
    await put(hub, "lane")
    elsewhere = Elsewhere()
    elsewhere.answer = lambda _: errors.RemoteGarbled() if elsewhere.calls < 9 else None
    await drive(hub, elsewhere, idle_s=1.0)
    assert (await states(hub), elsewhere.calls) == ({"dead": 1}, 6)
    async with hub.storage.transaction() as tx:
        assert await outbox.retry(tx, now=hub.now()) == 1
    await drive(hub, elsewhere, idle_s=1.0)
    assert await states(hub) == {"delivered": 1}


async def test_order_holds_when_every_third_try_fails(hub: hubs.Hub) -> None:
    sent = defaultdict(list)
    for n in range(40):
        sent[f"lane-{n % 5}"].append(await put(hub, f"lane-{n % 5}"))
    elsewhere = Elsewhere()
    elsewhere.answer = lambda _: errors.RemoteUnavailable() if elsewhere.calls % 3 == 0 else None
    await drive(hub, elsewhere, idle_s=1.0)
    assert elsewhere.said == sent


async def test_a_dead_message_holds_back_its_own_lane_and_no_other(hub: hubs.Hub) -> None:
    bad, behind, other = await put(hub, "a"), await put(hub, "a"), await put(hub, "b")
    elsewhere = Elsewhere()
    elsewhere.answer = lambda message: errors.RemoteRefused("no") if message.id == bad else None
    await drive(hub, elsewhere)
    assert elsewhere.said == {"b": [other]}
    assert await states(hub) == {"dead": 1, "delivered": 1, "pending": 1}
    found = await outbox.listed(hub.storage, ids=[behind])
    assert await outbox.waiting_behind(hub.storage, found[0]) == bad


async def test_a_dead_message_that_is_retried_goes_first_and_the_rest_follow(hub: hubs.Hub) -> None:
    bad, behind = await put(hub, "a"), await put(hub, "a")
    elsewhere = Elsewhere()
    elsewhere.answer = lambda _: errors.RemoteRefused("no")
    await drive(hub, elsewhere)
    elsewhere.answer = lambda _: None
    async with hub.storage.transaction() as tx:
        assert await outbox.retry(tx, now=hub.now(), ids=[bad]) == 1
    await drive(hub, elsewhere)
    assert elsewhere.said == {"a": [bad, behind]}


async def test_dropping_a_dead_message_lets_the_rest_of_its_lane_go(hub: hubs.Hub) -> None:
    bad, behind = await put(hub, "a"), await put(hub, "a")
    elsewhere = Elsewhere()
    elsewhere.answer = lambda message: errors.RemoteRefused("no") if message.id == bad else None
    await drive(hub, elsewhere)
    async with hub.storage.transaction() as tx:
        assert await outbox.drop(tx, now=hub.now(), ids=[bad]) == 1
    await drive(hub, elsewhere)
    assert elsewhere.said == {"a": [behind]}


async def test_a_worker_that_dies_leaves_a_lease_that_runs_out_and_the_next_one_looks_first(hub: hubs.Hub) -> None:
    message_id = await put(hub, "a")
    await outbox.claim(hub.storage, TARGET, owner="dead worker", limit=5, now=hub.now(), lease_s=0.05)
    looked: list[bool] = []
    elsewhere = Elsewhere()
    elsewhere.answer = lambda message: looked.append(message.look_first)  # type: ignore[func-returns-value]
    await drive(hub, elsewhere, idle_s=1.0)
    assert elsewhere.said == {"a": [message_id]}
    assert looked == [True]
    codes = [item["code"] for item in await outbox.tries(hub.storage, message_id)]
    assert codes == [outbox.LOST_WORKER, "ok"]


async def test_a_claim_that_still_holds_is_not_given_to_another_worker(hub: hubs.Hub) -> None:
    await put(hub, "a")
    now = hub.now()
    first = await outbox.claim(hub.storage, TARGET, owner="one", limit=5, now=now, lease_s=30)
    second = await outbox.claim(hub.storage, TARGET, owner="two", limit=5, now=now, lease_s=30)
    assert (len(first), second) == (1, [])


async def test_an_outcome_written_after_the_lease_was_lost_changes_nothing(hub: hubs.Hub) -> None:
    await put(hub, "a")
    now = hub.now()
    [message] = await outbox.claim(hub.storage, TARGET, owner="slow", limit=1, now=now, lease_s=1)
    later = now + timedelta(seconds=5)
    await outbox.reclaim(hub.storage, TARGET, owner="next", now=later)
    [again] = await outbox.claim(hub.storage, TARGET, owner="next", limit=1, now=later, lease_s=30)
    late = outbox.Settlement(message, "dead", later, False, "x", "", now, 1.0)
    await outbox.settle(hub.storage, [late], owner="slow", now=later)
    assert (await states(hub)) == {"in_flight": 1}
    done = replace(late, message=again, state="delivered", code="ok")
    await outbox.settle(hub.storage, [done], owner="next", now=later)
    assert (await states(hub)) == {"delivered": 1}


async def test_a_target_that_keeps_failing_is_suspended_as_a_whole_and_probed_with_one_message(
    hub: hubs.Hub,
) -> None:
    for n in range(200):
        await put(hub, f"lane-{n}")
    elsewhere = Elsewhere()
    elsewhere.answer = lambda _: errors.RemoteUnavailable("down", system=TARGET)
    await drive(hub, elsewhere, idle_s=0.15)
    assert (await targets.get(hub.storage, TARGET)).state == targets.SUSPENDED
    assert elsewhere.calls < 50, "200 messages must not each find out"
    elsewhere.answer = lambda _: None
    await drive(hub, elsewhere, idle_s=1.0)
    assert (await targets.get(hub.storage, TARGET)).state == targets.ACTIVE
    assert await states(hub) == {"delivered": 200}


async def test_a_target_that_stays_away_is_probed_less_and_less_often(hub: hubs.Hub) -> None:
    for n in range(20):
        await put(hub, f"lane-{n}")
    elsewhere = Elsewhere()
    elsewhere.answer = lambda _: errors.RemoteUnavailable("down", system=TARGET)
    await delivery.drive(
        hub, TARGET, handlers={"test": elsewhere.take}, stop=asyncio.Event(), wake=asyncio.Event(), longest_s=2.0
    )
    # Four failures and what was in flight with them, then probes after 0.05, 0.1, 0.2, 0.2 … seconds.
    assert elsewhere.calls < 30


async def test_a_paused_target_gets_nothing_until_it_is_resumed(hub: hubs.Hub) -> None:
    await put(hub, "a")
    async with hub.storage.transaction() as tx:
        await targets.put(tx, hub.storage, targets.Target(TARGET, targets.PAUSED, "maintenance"), now=hub.now())
    elsewhere = Elsewhere()
    await drive(hub, elsewhere)
    assert elsewhere.calls == 0
    async with hub.storage.transaction() as tx:
        await targets.put(tx, hub.storage, targets.Target(TARGET), now=hub.now())
    await drive(hub, elsewhere)
    assert elsewhere.calls == 1


async def test_only_one_worker_drives_a_target_so_that_the_calls_in_flight_stay_as_set(hub: hubs.Hub) -> None:
    for n in range(80):
        await put(hub, f"lane-{n}")
    elsewhere = Elsewhere(takes_s=0.01)
    other = replace(hub, owner="another process")
    reports = await asyncio.gather(drive(hub, elsewhere), drive(other, elsewhere))
    assert sorted(report.refused_lease for report in reports) == [False, True]
    assert elsewhere.most_busy <= QUICK.max_concurrent
    assert await states(hub) == {"delivered": 80}


async def test_a_defect_in_one_message_does_not_stop_the_others(hub: hubs.Hub) -> None:
    bad, good = await put(hub, "a"), await put(hub, "b")
    elsewhere = Elsewhere()

    async def take(at: hubs.Hub, message: outbox.Claimed) -> records.Receipt:
        if message.id == bad:
            raise ZeroDivisionError
        return await elsewhere.take(at, message)

    await delivery.drive(
        hub, TARGET, handlers={"test": take}, stop=asyncio.Event(), wake=asyncio.Event(), idle_s=0.3
    )
    assert elsewhere.said == {"b": [good]}
    assert (await outbox.listed(hub.storage, ids=[bad]))[0]["last_code"] == "Server.Hub.Internal"


async def test_what_lies_in_the_outbox_is_sealed(hub: hubs.Hub) -> None:
    async with hub.storage.transaction() as tx:
        await outbox.put(
            tx,
            hub.vault,
            target=TARGET,
            lane="a",
            operation="test",
            payload=b"Nguyen Van Thu 000000000001",
            request_id="r",
            now=hub.now(),
        )
    async with hub.storage.reading() as conn:
        stored = (await conn.exec_driver_sql("select payload from messages")).scalar()
    assert stored is not None
    assert b"000000000001" not in bytes(stored)
