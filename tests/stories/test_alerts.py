"""From a finding to a key held back, and back again; and the watcher that reads the record. On both sizes."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timedelta
from pathlib import Path

import builders
import doors
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.core import access_record, bulk, errors, tables
from lienthong.monitoring import alert_rules, alerts, baseline_store, event_alerts, responding, watcher
from lienthong.monitoring.detectors import findings, probing


def refusals(key: str, at: float) -> findings.Finding:
    """Make the finding of a burst of refused calls."""
    found = probing.refused(findings.Who(key=key), at, seen=40, requests=50, share=0.003)
    assert found is not None
    return found


async def test_one_episode_is_one_alert_and_closing_it_ends_the_work(database_url: str, tmp_path: Path):
    async with builders.running_hub(tmp_path, database_url=database_url) as opened:
        now, store = opened.now(), opened.storage
        first = await alerts.open_or_update(store, refusals("key-1", now.timestamp()))
        assert await alerts.open_or_update(store, refusals("key-1", now.timestamp() + 600)) is None
        other = await alerts.open_or_update(store, refusals("key-2", now.timestamp()))
        assert first
        assert other
        await alerts.acknowledge(store, first, actor="lan", now=now)
        await alerts.note(store, first, "đã gọi đơn vị", actor="lan", now=now)
        await alerts.close(store, first, alerts.INCIDENT, reason="lộ khoá", actor="lan", now=now)
        shown = await alerts.show(store, first)
        assert (shown["state"], shown["count"], shown["closed_as"]) == ("closed", 2, "incident")
        assert [note["text"] for note in shown["notes"]] == ["đã gọi đơn vị"]
        with pytest.raises(errors.Conflict):
            await alerts.close(store, first, alerts.NORMAL, reason="x", actor="lan", now=now)
        assert [row["id"] for row in await alerts.listed(store, state="open")] == [other]


async def test_a_silenced_rule_opens_nothing_and_a_tested_one_only_counts(sqlite_hub):
    now, store = sqlite_hub.now(), sqlite_hub.storage
    until = now + timedelta(hours=1)
    await alert_rules.silence(
        store, rule="refusal_burst", entity="key=key-1", until=until, reason="bảo trì", actor="lan", now=now
    )
    assert await alerts.open_or_update(store, refusals("key-1", now.timestamp())) is None
    assert await alerts.open_or_update(store, refusals("key-1", now.timestamp() + 3700))
    tested = alert_rules.Setting("refusal_burst", alert_rules.TEST)
    await alert_rules.change(store, tested, reason="thử", actor="lan", now=now)
    await alerts.open_or_update(store, refusals("key-3", now.timestamp()))
    assert (await alerts.counts(store))["refusal_burst"]["test"] == 1
    assert len(await alerts.listed(store)) == 1


@pytest.mark.parametrize(("kind", "statuses"), [("suspend", [429, 429]), ("throttle", [200, 429])])
async def test_a_key_under_a_response_is_told_so_and_freed_in_one_step(database_url, tmp_path, kind, statuses):
    async with builders.running_hub(tmp_path, database_url=database_url) as opened:
        issued = await builders.issue_key(opened)
        now, store = opened.now(), opened.storage
        alert = await alerts.open_or_update(store, refusals(issued.record.id, now.timestamp()))
        assert alert
        async with doors.client(opened, desk=doors.Desk(), key=issued.key) as caller:
            assert (await caller.get("/v1/notes")).status_code == 200
            await responding.respond(
                store,
                alert,
                kind,
                reason="nghi lộ khoá",
                until=now + timedelta(hours=1),
                actor="lan",
                now=now,
                limit="1/minute",
            )
            await asyncio.sleep(0.6)  # every process has looked for changes by then
            answers = [await caller.get("/v1/notes") for _ in range(2)]
            assert [answer.status_code for answer in answers] == statuses
            assert answers[-1].json()["type"].endswith("#abnormal-usage-detected")
            assert int(answers[-1].headers["Retry-After"]) >= 1
            assert await responding.undo(store, alert, reason="nhầm", actor="lan", now=now) == 1
            await asyncio.sleep(0.6)
            assert (await caller.get("/v1/notes")).status_code == 200


async def test_a_response_has_an_end_and_a_reason(sqlite_hub):
    issued = await builders.issue_key(sqlite_hub)
    now, store = sqlite_hub.now(), sqlite_hub.storage
    alert = await alerts.open_or_update(store, refusals(issued.record.id, now.timestamp()))
    assert alert
    with pytest.raises(errors.InvalidRequest) as refused:
        await responding.respond(
            store, alert, "suspend", reason="", until=now + timedelta(days=99), actor="lan", now=now
        )
    assert {problem.field for problem in refused.value.problems} == {"until", "reason"}


async def test_nothing_happens_by_itself_unless_a_person_said_so(sqlite_hub):
    issued = await builders.issue_key(sqlite_hub)
    now, store = sqlite_hub.now(), sqlite_hub.storage
    alert = await alerts.open_or_update(store, refusals(issued.record.id, now.timestamp()))
    assert alert
    assert await responding.by_itself(store, alert, now=now) is None
    wanted = alert_rules.Setting("refusal_burst", response="throttle", response_minutes=10)
    await alert_rules.change(store, wanted, reason="theo quyết định", actor="lan", now=now)
    assert await responding.by_itself(store, alert, now=now)
    [done] = (await alerts.show(store, alert))["responses"]
    assert done["is_automatic"]
    assert done["until"] == now + timedelta(minutes=10)


async def test_the_watcher_opens_an_alert_for_what_the_record_shows(database_url: str, tmp_path: Path):
    async with builders.running_hub(tmp_path, database_url=database_url) as opened:
        now, store = opened.now(), opened.storage
        watching = watcher.Watcher(store)
        await watching.start(now)
        made = [
            access_record.Record(
                now + timedelta(seconds=place),
                f"r{place}",
                "dossiers.get",
                "/v1/dossiers/{code}",
                "Client.NotGranted",
                3.0,
                status=403,
                key_id="key-9",
                address="203.0.113.9",
                node="n1",
                number=place + 1,
            )
            for place in range(30)
        ]
        rows = [access_record.to_row(access_record.to_bytes(record)) for record in made]
        async with store.transaction() as tx:
            await bulk.insert(store, tx, tables.exchanges, rows, keep_old=True)
        assert await watching.step(now + timedelta(seconds=40)) == 30
        assert await watching.step(now + timedelta(seconds=41)) == 0
        [alert] = await alerts.listed(store)
        assert (alert["rule"], alert["key_id"], alert["state"]) == ("refusal_burst", "key-9", "open")
        assert alert["records"]["key_id"] == "key-9"
        await watching.save(now)
        again = watcher.Watcher(store)
        await again.start(now + timedelta(minutes=1))
        assert await again.step(now + timedelta(minutes=1)) == 0
        assert len(await alerts.listed(store)) == 1
        assert (await baseline_store.show(store, "key-9"))["body"]["calls"] == 30
        assert await watcher.rebuild(store, since=now - timedelta(days=1), now=now) == 30


async def test_what_the_flows_announce_opens_alerts_too(sqlite_hub):
    now, store = sqlite_hub.now(), sqlite_hub.storage
    follower = event_alerts.Follower(store)
    await follower.step(now)
    async with store.transaction() as tx:
        row = {"id": "e1", "kind": "callbacks.forged", "subject": "vnpay", "occurred_at": now, "facts": {}}
        await tx.execute(tables.events.insert(), row)
    assert await follower.step(now) == 1
    assert await follower.step(now) == 0
    [alert] = await alerts.listed(store)
    assert alert["rule"] == "forged_callback"


async def announce(tx: AsyncConnection, name: str, now: datetime) -> None:
    """Write an event that opens an alert, in a transaction that may stay open."""
    row = {"id": name, "kind": "callbacks.forged", "subject": name, "occurred_at": now, "facts": {}}
    await tx.execute(tables.events.insert(), row)


async def test_an_event_that_became_visible_after_later_ones_was_skipped(database_url: str, tmp_path: Path):
    if database_url.startswith("sqlite"):
        pytest.skip("here one writes after the other")
    async with builders.running_hub(tmp_path, database_url=database_url) as opened:
        now, store = opened.now(), opened.storage
        follower = event_alerts.Follower(store)
        await follower.step(now)
        async with store.transaction() as slow:
            await announce(slow, "slow", now)
            async with store.transaction() as tx:
                await announce(tx, "quick", now)
            assert await follower.step(now) == 1
            assert await event_alerts.Follower(store).step(now) == 1  # a restart meanwhile tells it once more
        assert await follower.step(now) == 1
        assert await follower.step(now) == 0
        told = {alert["operation"]: alert["count"] for alert in await alerts.listed(store)}
        assert told == {"callbacks.forged quick": 2, "callbacks.forged slow": 1}


async def test_a_number_that_never_comes_is_not_waited_for_beyond_two_minutes(database_url: str, tmp_path: Path):
    if database_url.startswith("sqlite"):
        pytest.skip("here one writes after the other")
    async with builders.running_hub(tmp_path, database_url=database_url) as opened:
        now, store = opened.now(), opened.storage
        follower = event_alerts.Follower(store)
        await follower.step(now)
        with contextlib.suppress(ZeroDivisionError):
            async with store.transaction() as tx:
                await announce(tx, "given up", now)
                raise ZeroDivisionError
        async with store.transaction() as tx:
            await announce(tx, "next", now)
        await follower.step(now)
        assert await event_alerts.Follower(store).step(now) == 1
        await follower.step(now + 2 * event_alerts.MISSED_FOR)
        assert await event_alerts.Follower(store).step(now) == 0


async def test_two_watchers_of_one_home_do_not_both_watch(sqlite_hub):
    closing = asyncio.Event()
    both = [asyncio.create_task(watcher.run(sqlite_hub, closing, poll_s=0.05)) for _ in range(2)]
    await asyncio.sleep(0.3)
    closing.set()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*both)
    async with sqlite_hub.storage.reading() as conn:
        places = (await conn.execute(sa.select(tables.detection_positions.c.node))).scalars().all()
    assert sorted(places) == ["events", "exchanges"]
