"""The ledger of the gate: 16 callers, the gateway killed on the way, the disk full, the clock put back an hour.

Every answer that a caller saw to its end has its record, once; numbers have no gaps; what was sealed holds.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import builders
import clear_text
import disks
import httpx
import pytest
import sqlalchemy as sa
import stepped
import town as towns
import traffic

from lienthong.bus import hub as hubs
from lienthong.core import clock, ingest, migrations, settings, spool_reading, storage, tables
from lienthong.monitoring import day_files, log_check, verification

CALLERS = 16
GRACE_S = 0.8
SECOND_LIMIT, DAY_LIMIT = 20, 15
# The hub's day is young, so that an hour back is in the day before.
EARLY = timedelta(minutes=25)
HOUR = timedelta(hours=1)
_t = tables.exchanges


@dataclass
class Day:
    """What was done to the gateway, at which moments of the callers' clock."""

    size: str
    kills: int
    downs: list[tuple[float, float]] = field(default_factory=list)
    # Full, refused for the first time, and room again.
    full: tuple[float, float, float] = (0.0, 0.0, 0.0)
    well_s: float = 0.0
    back: tuple[float, float] = (0.0, 0.0)

    @property
    def role(self) -> str:
        return "hub" if self.size == towns.EMBEDDED else "gateway"

    def is_down(self, moment_s: float) -> bool:
        """Whether the gateway was killed soon after this moment."""
        return any(killed - 1.0 < moment_s < started + 0.5 for killed, started in self.downs)


@dataclass
class Outcome:
    """What was found afterwards."""

    rows: list[dict[str, Any]]
    left_in_spool: int
    torn: list[Path]
    report: log_check.Report


# ------------------------------------------------------------------------------------------------------- the town


@contextmanager
def opened(size: str, store: Path | None = None) -> Iterator[tuple[towns.Town, traffic.Keys, stepped.Face]]:
    """Open a gateway whose clock can be stepped, with dossiers and keys in it."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gate-", ignore_cleanup_errors=True)))
        home.chmod(0o755)
        stack.callback(clear_text.look_into_home, home)
        extra = {"LIENTHONG_SPOOL__GRACE_S": str(GRACE_S), "LIENTHONG_SEALS__EVERY_S": "0.7"}
        extra["LIENTHONG_SPOOL__SEGMENT_BYTES"] = "400000"
        town = towns.Town(size, home, stack, extra)
        town.environment["LIENTHONG_HOME"] = str(store or home)
        stack.callback(town.stop)
        now = clock.now()
        midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), clock.VIETNAM)
        face = stepped.Face(home / "shift", midnight + EARLY - now)
        town.serving = [sys.executable, str(Path(stepped.__file__)), str(face.file)]
        keys = asyncio.run(prepared(town, stepped.Stepped(face.file)))
        town.start("hub" if size == towns.EMBEDDED else "gateway")
        yield town, keys, face


async def prepared(town: towns.Town, now: clock.Clock) -> traffic.Keys:
    """Make the database, one procedure and the keys."""
    async with hubs.opened(settings.load(town.environment), now=now) as hub:
        await migrations.upgrade(hub.storage)
        await builders.seed_procedure(hub)
        made = [
            await builders.issue_key(hub, grants=[grant], limits=limits)
            for grant, limits in (
                ("all", ["1000000/minute"]),
                ("procedures.*", ["1000000/minute"]),
                ("all", [f"{SECOND_LIMIT}/second", "1000000/day"]),
                ("all", ["1000000/minute", f"{DAY_LIMIT}/day"]),
            )
        ]
    return traffic.Keys(*(issued.key for issued in made))


async def declared(town: towns.Town, key: str) -> None:
    """Declare the dossiers that the callers will read."""
    async with httpx.AsyncClient(base_url=town.gateway_url, headers={"X-API-Key": key}, trust_env=False) as client:
        for code in traffic.DOSSIERS:
            answer = await client.put(f"/v1/dossiers/{code}", json=traffic.dossier_body())
            assert answer.status_code == 201, answer.text


# ---------------------------------------------------------------------------------------------- what is done to it


async def trouble(town: towns.Town, calls: traffic.Traffic, day: Day, face: stepped.Face) -> None:
    """Kill the gateway again and again; between two kills fill the disk, and put the clock back and forward."""
    events: list[tuple[float, Callable[[], Any]]] = [
        ((number + 1) / (day.kills + 1), lambda: killed(town, day)) for number in range(day.kills)
    ]
    gap = 1 / (day.kills + 1)
    middle = (day.kills // 2) * gap

    async def stepped_by(by: timedelta) -> None:
        now_s = asyncio.get_running_loop().time()
        day.back = (day.back[0], now_s) if not by else (now_s, now_s)
        face.step(by)

    events += [
        (0.3 * gap, lambda: full_disk(calls, day, disks.NoWrites(town.pid(day.role)))),
        (middle + 0.5 * gap, lambda: stepped_by(-HOUR)),
        (1 - 0.5 * gap, lambda: stepped_by(timedelta())),
    ]
    for share, happens in sorted(events, key=lambda event: event[0]):
        await calls.reached(share)
        await happens()


async def killed(town: towns.Town, day: Day) -> None:
    loop = asyncio.get_running_loop()
    at_s = loop.time()
    await asyncio.to_thread(town.kill, day.role)
    await asyncio.to_thread(town.start, day.role)
    day.downs.append((at_s, loop.time()))


async def full_disk(calls: traffic.Traffic, day: Day, disk: disks.Disk) -> None:
    """Fill the disk until well after the grace, then make room: the gateway recovers by itself."""
    loop, calls.may_end = asyncio.get_running_loop(), False
    disk.fill()
    from_s, begun = loop.time(), calls.begun
    refused = await calls.saw("personal", 503, after_s=from_s)
    await asyncio.sleep(GRACE_S + 0.7)
    day.full = (from_s, refused.seen_s, loop.time())
    disk.free()
    day.well_s = (await calls.saw("personal", 200, after_s=loop.time())).seen_s
    calls.extra += calls.begun - begun
    calls.may_end = True


# ---------------------------------------------------------------------------------------------- what is found then


async def found(town: towns.Town) -> Outcome:
    """Read the record as the stopped gateway left it."""
    chosen = settings.load(town.environment)
    store = storage.Storage(chosen.database_url)
    names = ("node", "number_in_node", "request_id", "status", "outcome", "operation", "correlation", "at")
    columns = [_t.c[name] for name in (*names, "key_id")]
    async with store.reading() as conn:
        asked = sa.select(*columns).where(_t.c.direction == "in").order_by(_t.c.node, _t.c.number_in_node)
        rows = await storage.every(conn, asked)
    report = await verification.verify(
        chosen.home, store, days=verification.Days(day_files.Archive(chosen.home / "record"))
    )
    left = await ingest.Ingest(chosen.home / "spool", store).step()
    await store.close()
    torn = [path for folder in spool_reading.nodes(chosen.home / "spool") for path in folder.glob("*.torn")]
    return Outcome(rows, left, torn, report)


def told(day: Day, calls: traffic.Traffic, result: Outcome, took_s: float) -> str:
    """Write the ledger."""
    by_kind = Counter((one.kind, one.status) for one in calls.answers)
    kinds = {
        kind: {status: n for (k, status), n in sorted(by_kind.items()) if k == kind} for kind in traffic.EXPECTED
    }
    down_s = sum(started - killed for killed, started in day.downs)
    lines = [
        f"{day.size}: {calls.begun} requests from {CALLERS} callers, {len(day.downs)} kills, {took_s:.0f} s "
        f"({down_s:.0f} s of them down)",
        f"  answers seen to their end  {len(calls.answers)}, each with its record; lost with a kill "
        f"{sum(calls.lost.values())}, broken off by the caller {len(calls.cut)}",
        f"  records                    {len(result.rows)}, numbered 1 to {result.rows[-1]['number_in_node']} "
        f"without a gap; torn {len(result.torn)}",
        f"  disk full                  {day.full[2] - day.full[0]:.1f} s, "
        f"{sum(day.full[0] < one.sent_s < day.full[2] for one in calls.answers)} answers meanwhile",
        f"  clock an hour back         {day.back[1] - day.back[0]:.1f} s",
        f"  sealed, verified           {result.report.checked}",
        *(f"  {kind:<26} {statuses}" for kind, statuses in kinds.items()),
    ]
    return "\n".join(lines)


# Twenty starts take their time: only `make proofs` makes 100,000 requests, in both sizes.
MANY = int(os.environ.get("LEDGER", "0"))
KILLS = 20


@pytest.mark.parametrize(
    ("size", "total", "kills"),
    [
        (towns.EMBEDDED, 2_500, 3),
        pytest.param(towns.FULL, 2_000, 2, marks=pytest.mark.long),
        *(pytest.param(it, MANY, KILLS, marks=pytest.mark.long) for it in (towns.EMBEDDED, towns.FULL) if MANY),
    ],
)
def test_every_answer_has_its_record_whatever_happens_to_the_gateway(
    size: str, total: int, kills: int, record_property: Callable[[str, object], None]
) -> None:
    day, began_s = Day(size, kills), time.monotonic()
    with opened(size) as (town, keys, face):

        async def story() -> traffic.Traffic:
            await declared(town, keys.all)
            calls = traffic.Traffic(town, keys, total)
            await asyncio.gather(calls.run(CALLERS), trouble(town, calls, day, face))
            return calls

        calls = asyncio.run(story())
        town.kill(day.role, signal.SIGTERM)
        result = asyncio.run(found(town))
        printed = town.logs()
    record_property("ledger", told(day, calls, result, time.monotonic() - began_s))
    judge_records(calls, day, result)
    judge_full_disk(calls, day)
    judge_clock(result.rows)
    judge_limits(calls, result.rows, size=size)
    assert "Traceback" not in printed, printed[-5_000:]


def judge_records(calls: traffic.Traffic, day: Day, result: Outcome) -> None:
    rows = result.rows
    assert len({row["node"] for row in rows}) == 1
    assert [row["number_in_node"] for row in rows] == list(range(1, len(rows) + 1))
    assert (result.left_in_spool, result.torn, result.report.findings) == (0, [], [])
    kept = {row["request_id"]: row for row in rows}
    assert len(kept) == len(rows)
    without = [one for one in calls.answers if one.request_id not in kept]
    assert not without, f"{len(without)} answers without a record: {without[:5]}"
    other = [(one, kept[one.request_id]) for one in calls.answers if kept[one.request_id]["status"] != one.status]
    assert not other, f"{len(other)} records say something else than the answer: {other[:5]}"
    sent = Counter(row["correlation"] for row in rows if row["correlation"])
    assert not [name for name, times in sent.items() if times > 1]
    cut = [one for one in calls.cut if one.correlation and not day.is_down(one.sent_s)]
    assert not [one for one in cut if one.correlation not in sent]
    assert len(calls.answers) <= len(rows) <= calls.begun + len(traffic.DOSSIERS) + 50 * (day.kills + 1)


def judge_full_disk(calls: traffic.Traffic, day: Day) -> None:
    """From the first refusal on no personal data; the rest for the grace; then nothing, until there is room."""
    _, refused_s, freed_s = day.full
    during = [one for one in calls.answers if refused_s < one.sent_s and one.seen_s < freed_s]
    personal = Counter(one.status for one in during if one.kind.startswith("personal"))
    assert set(personal) == {503}, personal
    early = Counter(one.status for one in during if one.kind == "allowed" and one.seen_s < refused_s + GRACE_S)
    late = Counter(one.status for one in during if one.kind == "allowed" and one.sent_s > refused_s + GRACE_S)
    assert 200 in early
    assert set(late) == {503}, late
    well = [one for one in calls.answers if one.seen_s < day.full[0] or one.sent_s > day.well_s]
    wrong = [one for one in well if one.status not in traffic.EXPECTED[one.kind]]
    assert not wrong, f"{len(wrong)}: {wrong[:5]}"


def judge_clock(rows: list[dict[str, Any]]) -> None:
    """The clock went back once and forward once: one stretch of the numbers, save for requests then in flight.

    A record has the moment at which its request came, and its number when that was answered: a slow one from
    before a step stands behind any number of quick ones. So those that stand outside are counted, not how far.
    """
    days = [row["at"].astimezone(clock.VIETNAM).date() for row in rows]
    is_before = [day != days[0] for day in days]
    assert any(is_before)
    assert not is_before[-1]
    in_row = best = 0
    for before in is_before:
        in_row = max(0, in_row + (1 if before else -1))
        best = max(best, in_row)
    # At each of the two steps a caller has one request in flight, and may just have broken off another.
    assert sum(is_before) - best <= 2 * 2 * CALLERS


def judge_limits(calls: traffic.Traffic, rows: list[dict[str, Any]], *, size: str) -> None:
    """No key got more than its maximum, and none was locked out."""
    got = [one for one in calls.answers if one.kind == "over the second's limit" and one.status == 200]
    worst = max(sum(one.sent_s >= first.sent_s and one.seen_s < first.sent_s + 1 for one in got) for first in got)
    assert worst <= SECOND_LIMIT
    ids = {one.request_id for one in calls.answers if one.kind == "over the day's limit"}
    allowed = [row for row in rows if row["request_id"] in ids and row["status"] == 200]
    days = Counter(row["at"].astimezone(clock.VIETNAM).date() for row in allowed)
    assert max(days.values()) <= DAY_LIMIT, days
    # With Redis its clock says which day it is, whatever the gateway's does: then there was only one.
    assert len(days) == (2 if size == towns.EMBEDDED else 1), "neither day may be locked"


def test_a_disk_without_room_refuses_personal_data_and_loses_no_record(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("ledger", disks.on_a_small_disk("test_access_ledger.small_disk", tmp_path, size_mb=24))


def small_disk(place: Path) -> None:
    """Tell the story of a small disk that somebody fills and then frees again."""
    day, began_s = Day(towns.EMBEDDED, 0), time.monotonic()
    with opened(towns.EMBEDDED, place) as (town, keys, _):

        async def story() -> traffic.Traffic:
            await declared(town, keys.all)
            calls = traffic.Traffic(town, keys, 1_500)
            running = asyncio.create_task(calls.run(CALLERS))
            await calls.reached(0.2)
            await full_disk(calls, day, disks.SmallDisk(place))
            await running
            return calls

        calls = asyncio.run(story())
        town.kill(day.role, signal.SIGTERM)
        result = asyncio.run(found(town))
        printed = town.logs()
    print("on a small disk,", told(day, calls, result, time.monotonic() - began_s))
    judge_records(calls, day, result)
    judge_full_disk(calls, day)
    assert "Traceback" not in printed, printed[-5_000:]
