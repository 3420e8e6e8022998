"""What the watcher knows after a restart, and after it was told to learn anew: from the database and day files."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import builders
import record

from lienthong.core import access_record
from lienthong.monitoring import alerts, baseline_store, retention, watcher


async def test_learning_anew_reads_the_day_files_too(tmp_path: Path, database_url: str):
    async with builders.running_hub(tmp_path / "home", database_url=database_url) as hub:
        await record.put(hub, record.of_days(hub.settings.home, days=5, a_day=200))
        sources, since = record.sources(hub), record.NOW - timedelta(days=30)
        rolled = await retention.roll_closed_days(sources, hot_days=1, now=record.NOW)
        in_files = sum(day.rows for day in rolled)
        assert in_files > 500
        alone = await watcher.rebuild(hub.storage, since=since, now=record.NOW)
        assert alone == 1000 - in_files
        assert await watcher.rebuild(hub.storage, since=since, now=record.NOW, archive=sources.archive) == 1000
        assert (await baseline_store.show(hub.storage, "key-3"))["body"]["calls"] == 50


async def test_a_running_watcher_takes_up_what_was_learned_anew_and_keeps_its_place(sqlite_hub):
    store = sqlite_hub.storage
    running = watcher.Watcher(store)
    await running.start(record.NOW - timedelta(days=5))
    rows = record.of_days(sqlite_hub.settings.home, days=3, a_day=100)
    await record.put(sqlite_hub, rows)
    assert await running.step(record.NOW) == 300
    first = running.detection
    await watcher.rebuild(store, since=record.NOW - timedelta(days=30), now=record.NOW)
    for _ in range(5):
        assert await running.step(record.NOW) == 0
    assert running.detection is not first
    # The last 80 minutes are read again for the windows, on top of what was learned.
    assert running.detection.keys["key-3"].bounds.calls >= 15
    await running.save(record.NOW)
    assert (await baseline_store.show(store, "key-3"))["body"]["calls"] >= 15


async def test_saving_does_not_write_over_what_was_learned_anew_meanwhile(sqlite_hub):
    store = sqlite_hub.storage
    running = watcher.Watcher(store)
    await running.start(record.NOW - timedelta(days=9))
    await record.put(sqlite_hub, record.of_days(sqlite_hub.settings.home, days=3, a_day=100))
    await watcher.rebuild(store, since=record.NOW - timedelta(days=30), now=record.NOW)
    await running.save(record.NOW)
    assert (await baseline_store.show(store, "key-3"))["body"]["calls"] == 15


async def test_dossiers_opened_long_before_a_restart_are_known(sqlite_hub):
    opened_at = record.NOW - timedelta(hours=5)
    made = access_record.Record(
        opened_at,
        "r1",
        "dossiers.put",
        "/v1/dossiers/{code}",
        "ok",
        3.0,
        status=201,
        key_id="key-1",
        dossier_code="H38.12-261120-000001",
        node="n1",
        number=1,
    )
    await record.put(sqlite_hub, [made])
    running = watcher.Watcher(sqlite_hub.storage)
    await running.start(record.NOW)
    assert running.detection.people.has_heard("H38.12-261120-000001")


def call(at: datetime, number: int, node: str) -> access_record.Record:
    facts = {"status": 200, "key_id": "key-1", "node": node, "number": number}
    return access_record.Record(at, f"{node}-{number}", "procedures.list", "/v1/procedures", "ok", 3.0, **facts)


async def test_a_flood_that_came_between_learning_anew_and_its_taking_up_is_found(sqlite_hub):
    store, now = sqlite_hub.storage, record.NOW
    running = watcher.Watcher(store)
    await running.start(now)
    # Ahead of what comes late into the record: a month that the watcher could not learn from as it came.
    await record.put(sqlite_hub, [call(now, 1, "present")])
    await running.step(now)
    hours = [now - timedelta(hours=hour) for hour in range(24 * 25, 1, -1)]
    usual = [at + timedelta(minutes=6 * n) for at in hours for n in range(10)]
    await record.put(sqlite_hub, [call(at, number, "past") for number, at in enumerate(usual, 1)])
    while await running.step(now):
        pass
    await watcher.rebuild(store, since=now - timedelta(days=30), now=now)
    await record.put(sqlite_hub, [call(now + timedelta(seconds=n / 50), n, "flood") for n in range(1, 251)])
    for _ in range(6):
        await running.step(now + timedelta(seconds=10))
    [alert] = [alert for alert in await alerts.listed(store) if alert["rule"] == "volume_up"]
    assert alert["key_id"] == "key-1"
