"""How fast a full outbox empties, against the limit that the other side's latency and the allowed concurrency set.

A message is one change of status: two calls (the dossier, then the step), so the limit in messages a second is
concurrency / (2 x latency). Beside it, in the same run, plain Celery with one task a message.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import figures

LATENCY_MS, CONCURRENCY, CALLS_EACH = 20, 64, 2
LIMIT = CONCURRENCY / (CALLS_EACH * LATENCY_MS / 1000)
LANES_SHARE = 4  # messages of one dossier, in order
AGENCY = "000.00.00.H38"


def environment(home: Path, sandbox: str, **more: str) -> dict[str, str]:
    """Give the settings of a hub that pushes to the sandbox."""
    wanted = {
        "LIENTHONG_HOME": str(home),
        "LIENTHONG_AGENCY__CODE": AGENCY,
        "LIENTHONG_OUTBOX__MAX_CONCURRENT": str(CONCURRENCY),
        "LIENTHONG_LOGS__LEVEL": "error",
        "LIENTHONG_TIMETABLE__PROCEDURE_SYNC": "",
    }
    adapter = {
        "ENABLED": "true",
        "BASE_URL": f"{sandbox}/dvcqg_adapter",
        "USERNAME": "demo",
        "PASSWORD": "demo-password",
        "AGENCY_CODE": AGENCY,
        "DSTCODE": "bench",
        "MAX_CONCURRENT": str(CONCURRENCY),
    }
    wanted |= {f"LIENTHONG_SYSTEMS__DVCQG_ADAPTER__{name}": value for name, value in adapter.items()}
    kept = {name: value for name, value in figures.ENVIRONMENT.items() if not name.startswith("LIENTHONG_")}
    return {**kept, **wanted, **more}


# ------------------------------------------------------------------------------- parts that run in a child process


async def fill(count: int) -> None:
    """Put a backlog of sealed messages, as the flow would have, in bulk."""
    from lienthong.bus import hub as hubs
    from lienthong.bus import outbox, targets
    from lienthong.core import clock, migrations, settings, tables

    async with hubs.opened(settings.load(os.environ)) as hub:
        await migrations.upgrade(hub.storage)
        now = hub.now()
        async with hub.storage.transaction() as tx:
            await tx.execute(tables.messages.delete())
            # Nobody may begin before the clock runs.
            await targets.put(tx, hub.storage, targets.Target("dvcqg_adapter", targets.PAUSED), now=now)
            for start in range(0, count, 1000):
                rows = []
                for n in range(start, min(start + 1000, count)):
                    lane, step = divmod(n, LANES_SHARE)
                    rows.append(
                        {
                            "id": clock.new_id(),
                            "target": "dvcqg_adapter",
                            "lane": f"H38.{count % 97:02d}-260803-{lane:06d}",
                            "operation": "dossier_status",
                            "request_id": "bench",
                            "payload": hub.vault.seal(payload(lane, step, tag=count % 97), purpose=outbox.SEAL),
                            "state": "pending",
                            "look_first": False,
                            "first_of_lane": step == 0,
                            "due_at": now,
                            "created_at": now,
                            "waiting_since": now,
                        }
                    )
                await tx.execute(tables.messages.insert(), rows)
    print("{}")


def payload(lane: int, step: int, *, tag: int) -> bytes:
    """Make one message: a dossier with the usual fields, and one step."""
    from lienthong.core import records

    begun = datetime(2026, 8, 3, 8, 0, tzinfo=records_zone())
    code = f"H38.{tag:02d}-260803-{lane:06d}"
    statuses = [
        records.Status.RECEIVED,
        records.Status.PROCESSING,
        records.Status.FINISHED,
        records.Status.RETURNED,
    ]
    at = begun + timedelta(minutes=30 * step)
    dossier = records.Dossier(
        code=code,
        procedure_code="1.001193",
        applicant=records.Applicant(
            kind="citizen", name="Nguyễn Văn Thử", citizen_id="000000000001", phone="0900000000"
        ),
        summary="Đăng ký khai sinh cho trẻ mới sinh",
        channel=records.Channel.ONLINE,
        submitted_at=begun - timedelta(hours=1),
        received_at=begun,
        due_at=begun + timedelta(days=2),
        agency="UBND xã Thử Nghiệm",
        fees=(records.DossierFee(name="Lệ phí", amount_vnd=8000, code="1"),),
        components=(
            records.DossierComponent(file_name="to-khai.pdf", url="https://lgsp.example.vn/f/1", code="KQ1"),
        ),
    )
    snapshot = records.DossierSnapshot(
        dossier=dossier,
        procedure=records.ProcedureFacts(
            code="1.001193", name="Đăng ký khai sinh", field_code="G15-TP07", field_name="Hộ tịch", version=1
        ),
        status=statuses[step],
        finished_at=at if step >= 2 else None,
        returned_at=at if step >= 3 else None,
    )
    change = records.StatusChange(
        status=statuses[step], occurred_at=at, handled_by="Cán bộ Thử", note=f"bước {step}", unit="Một cửa"
    )
    said = records.ProgressStep(dossier_code=code, change=change)
    return b'{"snapshot":%b,"step":%b}' % (snapshot.model_dump_json().encode(), said.model_dump_json().encode())


def records_zone() -> Any:
    """The zone of Vietnam."""
    from lienthong.core import clock

    return clock.VIETNAM


async def empty() -> None:
    """Deliver everything that waits, as the embedded hub does; print how long it took."""
    from lienthong.bus import delivery, jobs
    from lienthong.bus import hub as hubs
    from lienthong.core import settings

    async with hubs.opened(settings.load(os.environ)) as hub:
        await resume(hub.storage)
        begun, used = time.perf_counter(), time.process_time()
        report = await delivery.drive(
            hub, "dvcqg_adapter", handlers=jobs.HANDLERS, stop=asyncio.Event(), wake=asyncio.Event(), idle_s=0.0
        )
        took_s, cpu_s = time.perf_counter() - begun, time.process_time() - used
    print(json.dumps({"delivered": report.delivered, "took_s": took_s, "cpu_s": cpu_s}))


# --------------------------------------------------------------------------------------------------- the variants


def part(name: str, *arguments: str, env: dict[str, str]) -> dict[str, Any]:
    """Run one part of this file in a fresh process."""
    done = subprocess.run(
        [sys.executable, __file__, "--part", name, *arguments], env=env, stdout=subprocess.PIPE, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def embedded(home: Path, sandbox: str, count: int) -> dict[str, float]:
    """SQLite, one process."""
    env = environment(home, sandbox)
    part("fill", str(count), env=env)
    done = part("empty", env=env)
    must(done["delivered"] == count, f"embedded delivered {done['delivered']} of {count}")
    return {"per_s": count / done["took_s"], "cpu_us": done["cpu_s"] / count * 1e6}


def full(home: Path, sandbox: str, count: int, *, database: str, redis: str) -> dict[str, float]:
    """PostgreSQL and a Celery worker: one task carries the target."""
    env = environment(home, sandbox, LIENTHONG_DATABASE__URL=database, LIENTHONG_REDIS__URL=redis)
    part("fill", "0", env=env)
    worker = [sys.executable, "-m", "lienthong.console.cli.main", "serve", "--role", "worker"]
    with running(worker, env, home / "worker.log"):
        part("ready", env=env)
        part("fill", str(count), env=env)
        done = part("await", str(count), env=env)
    return {"per_s": count / done["took_s"]}


async def resume(store: Any) -> None:
    """Let delivery begin."""
    from lienthong.bus import targets
    from lienthong.core import clock

    async with store.transaction() as tx:
        await targets.put(tx, store, targets.Target("dvcqg_adapter"), now=clock.now())


async def ready() -> None:
    """Wait until the worker takes tasks, and let each of its processes open its hub: looks at an empty outbox."""
    from lienthong.bus import worker

    app = worker.make_app(worker.load_settings())
    for _ in range(200):
        if await asyncio.to_thread(lambda: app.control.ping(timeout=0.3)):
            break
    for _ in range(3):
        for _ in range(6):
            await asyncio.to_thread(lambda: app.send_task(worker.TICK))
        await asyncio.sleep(0.7)
    print("{}")


async def await_empty(count: int) -> None:
    """Send the one task and measure until the last message is delivered."""
    import sqlalchemy as sa

    from lienthong.bus import worker
    from lienthong.core import settings, storage, tables

    chosen = settings.load(os.environ)
    store = storage.Storage(chosen.database_url)
    table = tables.messages
    app = worker.make_app(chosen)
    await resume(store)
    begun = time.perf_counter()
    await asyncio.to_thread(lambda: app.send_task(worker.DRIVE, args=["dvcqg_adapter"]))
    while time.perf_counter() - begun < 300:
        async with store.reading() as conn:
            left = (
                # In the words of the partial index, so that looking costs nothing.
                await conn.execute(
                    sa.select(sa.literal(1))
                    .select_from(table)
                    .where(sa.text("state in ('pending', 'in_flight', 'dead')"))
                    .limit(1)
                )
            ).scalar()
        if left is None:
            break
        await asyncio.sleep(0.05)
    took_s = time.perf_counter() - begun
    await store.close()
    must(left is None, f"the worker did not deliver {count} messages in time")
    print(json.dumps({"took_s": took_s}))


def plain_celery(home: Path, sandbox: str, count: int, *, redis: str) -> dict[str, float]:
    """One task a message, 16 processes: how Celery is commonly used for this."""
    env = {**figures.ENVIRONMENT, "BENCH_REDIS": redis.removesuffix("/0") + "/1", "BENCH_SANDBOX": sandbox}
    folder = str(Path(__file__).parent / "peers")
    env["PYTHONPATH"] = f"{env['PYTHONPATH']}{os.pathsep}{folder}"
    command = [sys.executable, "-m", "celery", "-A", "plain_celery", "worker", "-c", "16", "-l", "error"]
    command += ["--without-mingle", "--without-gossip", "--without-heartbeat"]
    sent = part("send_plain", str(count), env=env)
    with running(command, env, home / "plain.log"):
        begun = time.perf_counter()
        seen = steps(sandbox)
        target = sent["steps_before"] + count
        while seen < target and time.perf_counter() - begun < 120:
            if seen == sent["steps_before"]:
                begun = time.perf_counter()  # the worker is still starting
            time.sleep(0.05)
            seen = steps(sandbox)
        took_s = time.perf_counter() - begun
    must(seen >= target, f"plain Celery delivered {seen - sent['steps_before']} of {count}")
    return {"per_s": count / took_s}


def send_plain(count: int) -> None:
    """Publish one task for each message."""
    import urllib.request

    import plain_celery as peer

    sandbox = os.environ["BENCH_SANDBOX"]
    login = json.dumps({"username": "demo", "password": "demo-password"}).encode()
    request = urllib.request.Request(f"{sandbox}/dvcqg_adapter/mapi/login", data=login)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request) as answer:
        session = json.load(answer)["session"]
    before = steps(sandbox)
    from lienthong.core import records
    from lienthong.mappings import engine

    mapping = engine.load("dvcqg_adapter")
    envelope = {"session": session, "madonvi": AGENCY}
    for n in range(count):
        opened = json.loads(payload(n, 0, tag=98))
        snapshot = records.DossierSnapshot.model_validate(opened["snapshot"])
        step = records.ProgressStep.model_validate(opened["step"])
        item = mapping.message("dossier").to_wire(snapshot)
        said = mapping.message("progress").to_wire(step)
        peer.push.delay(
            json.dumps({**envelope, "service": "DongBoHoSoMC", "isUpdating": "False", "data": [item]}),
            json.dumps({**envelope, "service": "CapNhatTienDoHoSoMC", "data": [said]}),
        )
    print(json.dumps({"steps_before": before}))


def steps(sandbox: str) -> int:
    """Ask the sandbox how many steps it holds."""
    import urllib.request

    with urllib.request.urlopen(f"{sandbox}/_sandbox/counts") as answer:
        return int(json.load(answer)["steps"])


@contextmanager
def running(command: list[str], env: dict[str, str], log: Path) -> Iterator[None]:
    """Run a program until the block ends."""
    with log.open("ab") as sink:
        process = subprocess.Popen(command, env=env, stdout=sink, stderr=sink, start_new_session=True)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)


def must(holds: bool, why: str) -> None:
    """End the benchmark where a variant did not do its work: a wrong figure is worse than none."""
    if not holds:
        raise SystemExit(why)


def main() -> None:
    """Measure, print, judge; ends with status 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less work, the same goals; within 50 s")
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.part:
        run_part(*wanted.part)
        return
    count, rounds, plain = (2_400, 1, 200) if wanted.quick else (10_000, 3, 600)
    measured = figures_of(count, rounds, plain)
    judge(measured, count)


def run_part(name: str, *arguments: str) -> None:
    """Run one part; its last line is JSON."""
    import uvloop

    if name == "send_plain":
        send_plain(int(arguments[0]))
        return
    parts: dict[str, Any] = {"fill": fill, "empty": empty, "ready": ready, "await": await_empty}
    uvloop.run(parts[name](*(int(value) for value in arguments)))


def figures_of(count: int, rounds: int, plain: int) -> dict[str, list[dict[str, float]]]:
    """Run every variant in turn, round after round."""
    from lienthong.console import services

    measured: dict[str, list[dict[str, float]]] = {"sqlite": [], "postgresql_celery": [], "plain_celery": []}
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)))
        home.chmod(0o755)
        database = stack.enter_context(services.postgres(home / "pg"))
        redis = stack.enter_context(services.valkey(home / "vk"))
        for _ in range(rounds):
            for name in measured:
                # A sandbox of its own for each: dossiers of the variant before would be duplicates.
                with figures.sandbox("--latency-ms", str(LATENCY_MS)) as sandbox:
                    if name == "sqlite":
                        measured[name].append(embedded(home / "embedded", sandbox, count))
                    elif name == "postgresql_celery":
                        measured[name].append(full(home, sandbox, count, database=database, redis=redis))
                    else:
                        measured[name].append(plain_celery(home, sandbox, plain, redis=redis))
    return measured


def judge(measured: dict[str, list[dict[str, float]]], count: int) -> NoReturn:
    """Print the table and the line; the goals are ratios to the limit."""
    per_s = {name: statistics.median(run["per_s"] for run in runs) for name, runs in measured.items()}
    rows = [
        [name, f"{value:,.0f}", f"{value * CALLS_EACH:,.0f}", f"{value / LIMIT:.2f}"]
        for name, value in per_s.items()
    ]
    rows.append(["limit: 64 in flight, 20 ms, two calls", f"{LIMIT:,.0f}", f"{LIMIT * CALLS_EACH:,.0f}", "1.00"])
    figures.table(
        f"Outbox: backlog of {count:,} messages", ["variant", "messages/s", "calls/s", "of the limit"], rows
    )
    found = {f"least_share_{name}": value / LIMIT for name, value in per_s.items() if name != "plain_celery"}
    found["share_plain_celery"] = per_s["plain_celery"] / LIMIT
    found["sqlite_cpu_us_per_message"] = statistics.median(run["cpu_us"] for run in measured["sqlite"])
    figures.finish(
        "outbox", figures=found, goals={"least_share_sqlite": 0.5, "least_share_postgresql_celery": 0.5}
    )


if __name__ == "__main__":
    main()
