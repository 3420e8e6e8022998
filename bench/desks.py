"""How soon the desks answer on an embedded hub with a million access records, and with how many questions.

The hub runs as `lienthong serve` runs it, in a process of its own. Every page of the table of places is asked for
in turns, and the three tasks of operators and officers are walked. The home is kept for the next run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import contextvars
import math
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import desk_tasks
import figures
import httpx
import orjson

FORM = 1  # of the home; one of another form is made again
GOAL_MS = 200.0
SAMPLES = 20
AGENCY = {"code": "000.00.00.H38", "name": "Tỉnh Thử Nghiệm"}
# Addresses beside the bare ones of the table of places, which people come to by what the pages offer.
VARIANTS = {
    "messages": ("?state=dead", "?state=delivered", "?state=pending"),
    "records": (
        "?range=1h",
        "?range=30d",
        "?key_id={key}&range=30d",
        "?official={official}&range=30d",
        "?outcome=Client.LimitExceeded&range=30d",
        "?refused=yes&range=7d",
        "?dossier_code={dossier}&range=30d",
    ),
    "records.tops": (
        "?range=7d",
        "?range=30d",
        "?key_id={key}&range=30d",
        "?official={official}&range=30d",
        "?dossier_code={dossier}&range=30d",
    ),
    "dossiers": ("?code=H38.15-261020-0001",),
    "payments": ("?open=1", "?state=pending"),
    "alerts": ("?state=closed",),
    "officials": ("?q=CB0001",),
    "trail": ("?range=30d",),
}
# What a page cannot be asked for without.
NEEDED = {"messages.plan": "?act=retry&target=dvcqg_adapter"}
# What nobody measures: sign-in in other ways, files, and what waits for other systems by its nature.
LEFT_OUT = {
    "alive",
    "fonts",
    "sign_in",
    "sign_in.outside",
    "sign_in.back",
    "font",
    "sign_in.passkey",
    "check.results",
    "systems.check",
    "found",
}


@dataclass(slots=True)
class Page:
    """One address that is asked for, with what was measured; `paths` are tried in turn."""

    name: str
    paths: list[str]
    took_ms: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    statements: list[int] = field(default_factory=list)
    lookups: list[int] = field(default_factory=list)
    processor_ms: list[float] = field(default_factory=list)

    def p(self, share: float) -> float:
        """Give a percentile of the times."""
        return sorted(self.took_ms)[max(0, math.ceil(share * len(self.took_ms)) - 1)]


def main() -> None:
    """Measure, or be the hub that is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100,000 records, fewer turns, the same goals")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=0, help="how often each page is asked for; usually 25")
    parser.add_argument(
        "--home", type=Path, help="where homes are kept between runs; usually the folder for temporary files"
    )
    parser.add_argument("--pages", default="", help="only places whose name matches this expression")
    parser.add_argument("--json", action="store_true", help="print nothing but the line of JSON")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.port)
        return
    records, turns = (100_000, given.turns or 8) if given.quick else (given.records, given.turns or 25)
    kept = given.home or Path(tempfile.gettempdir()) / f"lienthong-desks-{os.getuid()}"
    with contextlib.redirect_stdout(sys.stderr) if given.json else contextlib.nullcontext():
        home = made(kept / f"{records}", records)
        told, goals, skipped = measured(home, turns=turns, only=given.pages)
    figures.finish("desks", figures=told, goals=goals, skipped=skipped)


# ---- the home


def made(home: Path, records: int) -> Path:
    """Make the home, or take the one of an earlier run; a half-made one is thrown away."""
    from lienthong.monitoring import day_files

    told = home / "town.json"
    if told.exists() and orjson.loads(told.read_bytes()).get("form") == FORM:
        day_files.Archive(home / "record").tidy()  # as every night: what the hub of today counts and lists
        return home
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True, mode=0o700)
    begun = time.perf_counter()
    with progress("making the hub") as step:
        facts = asyncio.run(build(home, records, step))
    told.write_bytes(orjson.dumps({"form": FORM, **facts}))
    print(f"made {home} in {time.perf_counter() - begun:.0f} s; it is kept for the next run")
    return home


def tree(home: Path, port: int = 0) -> Any:
    """Give the settings of the hub."""
    import desk_town

    from lienthong.core import settings

    chosen = {
        "home": home,
        "agency": AGENCY,
        "systems": desk_town.NOBODY,
        "payments": {"return_url": "http://127.0.0.1/"},
        "console": {"port": port},
        "gateway": {"port": figures.free_port()},
        "timetable": {"payments_watch": "", "parcels_watch": ""},
        "logs": {"level": "error"},
    }
    return settings.Settings.model_validate(chosen)


async def build(home: Path, records: int, told: Callable[[str, int, int], None]) -> dict[str, Any]:
    """Fill a hub with everything; gives samples of what its pages show."""
    import desk_record
    import desk_town

    from lienthong.bus import hub as hubs
    from lienthong.core import migrations

    share = records / 1_000_000
    async with hubs.opened(tree(home), now=lambda: desk_record.MOMENT) as hub:
        await migrations.upgrade(hub.storage)
        await desk_town.people(hub)
        keys = await desk_town.key_register(hub, 100)
        officials = await desk_town.official_register(hub, 2_000)
        await desk_town.catalogue(hub, 3)
        dossiers = await desk_town.dossiers(hub, keys[0], round(20_000 * share), told=told)
        some = round(2_000 * share)
        await desk_town.payments(hub, keys[0], dossiers[-some:], told=told)
        await desk_town.parcels(hub, keys[0][0], dossiers[:some])
        await desk_town.reconciliations(hub, 60)
        await desk_town.trail(hub, keys, round(50_000 * share))
        cast = desk_record.Cast.of(home, keys, officials, dossiers, people=50_000)
        await desk_record.written(hub, cast, records, told=told)
        await desk_town.alert_book(hub, keys, 600)
        return await samples(hub)


async def samples(hub: Any) -> dict[str, Any]:
    """Choose what the pages about one thing are asked for, spread over all there is."""
    import sqlalchemy as sa

    from lienthong.core import tables as t

    async with hub.storage.reading() as conn:

        async def some(*columns: Any, where: Any = None) -> list[Any]:
            asked = sa.select(*columns) if where is None else sa.select(*columns).where(where)
            found = (await conn.execute(asked.order_by(*columns))).all()
            chosen = found[:: max(1, len(found) // SAMPLES)][:SAMPLES]
            return [row[0] if len(columns) == 1 else list(row) for row in chosen]

        return {
            "key": await some(t.api_keys.c.id),
            "official": await some(t.officials.c.code),
            "dossier": await some(t.dossiers.c.code),
            "message": await some(t.messages.c.id),
            "stuck": await some(
                t.messages.c.lane, t.messages.c.id, t.messages.c.last_error, where=t.messages.c.state == "dead"
            ),
            "payment": await some(t.payments.c.id),
            "parcel": await some(t.parcels.c.id),
            "sync": await some(t.sync_runs.c.id),
            "reconciliation": await some(t.reconciliations.c.id),
            "alert": await some(t.alerts.c.id),
            "open_alert": await some(t.alerts.c.id, where=t.alerts.c.state == "open"),
            "procedure": await some(t.procedures.c.code),
            "account": await some(t.accounts.c.id),
            "record": await some(t.exchanges.c.request_id, t.exchanges.c.number),
        }


# ---- the hub that is measured

_asked: contextvars.ContextVar[list[int] | None] = contextvars.ContextVar("asked", default=None)


def serve(home: Path, port: int) -> None:
    """Run the hub as `serve` does; each answer says how many questions it took, which no hub tells otherwise."""
    import desk_record

    from lienthong.console import server
    from lienthong.core import clock

    make, begun = server.desks.create_app, clock.now()
    server.desks.create_app = lambda hub: _Counting(make(hub))
    _count_questions()
    # The time of the home goes on where its making stopped.
    server.run(tree(home, port), now=lambda: desk_record.MOMENT + (clock.now() - begun))


def _count_questions() -> None:
    import sqlalchemy as sa

    from lienthong.monitoring import day_files

    @sa.event.listens_for(sa.Engine, "before_cursor_execute")
    def _note(*_given: Any) -> None:
        if (counts := _asked.get()) is not None:
            counts[0] += 1

    ask = day_files.Archive._asked

    def asked(*given: Any, **named: Any) -> Iterator[dict[str, Any]]:
        if (counts := _asked.get()) is not None:
            counts[1] += 1
        return ask(*given, **named)

    day_files.Archive._asked = asked  # type: ignore[method-assign]


class _Counting:
    """Counts the questions to the database and to the day files while a page is made."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        counts, spent_s = [0, 0], time.process_time()
        _asked.set(counts)

        async def tell(message: Any) -> None:
            if message["type"] == "http.response.start":
                spent_ms = (time.process_time() - spent_s) * 1000
                told = f"{counts[0]} {counts[1]} {spent_ms:.3f}".encode()
                message["headers"] = [*message["headers"], (b"x-bench-questions", told)]
            await send(message)

        await self._app(scope, receive, tell)


@contextlib.contextmanager
def running(home: Path) -> Iterator[str]:
    """Start the hub; gives the address of its desks."""
    port = figures.free_port()
    command = [sys.executable, __file__, "--serve", str(home), "--port", str(port)]
    process = subprocess.Popen(command, env=figures.ENVIRONMENT)
    address, until = f"http://127.0.0.1:{port}", time.monotonic() + 180
    try:
        while process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(httpx.HTTPError):
                httpx.get(f"{address}/health/live")
                break
            time.sleep(0.1)
        else:
            raise SystemExit("the hub did not start")
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


# ---- measuring


def measured(home: Path, *, turns: int, only: str) -> tuple[dict[str, float], dict[str, float], dict[str, str]]:
    """Ask for every page in turns, walk the tasks; prints both, gives figures, goals and what was left out."""
    facts = orjson.loads((home / "town.json").read_bytes())
    pages = [page for page in listed(facts) if re.search(only, page.name)]
    with running(home) as address, desk_tasks.signed_in(address) as client:
        loads = ask_for(client, pages, turns)
        report(pages, loads)
        walks = [] if only else desk_tasks.walked(client, facts)
        browsed, why_not = ({}, "") if only else desk_tasks.browsed(address, facts)
    desk_tasks.report(walks, browsed)
    told: dict[str, float] = {f"{page.name}_p95_ms": page.p(0.95) for page in pages}
    told |= {"slowest_p95_ms": max(page.p(0.95) for page in pages), "median_load": statistics.median(loads)}
    told |= {f"task_{walk.name}_clicks": float(walk.clicks) for walk in walks}
    told |= {f"task_{walk.name}_s": walk.took_s for walk in walks}
    told |= {f"task_{name}_browser_s": took for name, took in browsed.items()}
    return told, {"slowest_p95_ms": GOAL_MS}, {"browser": why_not} if why_not else {}


def listed(facts: dict[str, Any]) -> list[Page]:
    """Name every page of the table of places that somebody may open, with what it is asked for."""
    from lienthong.console.web import places

    ids = parts_of(facts)
    pages = []
    for name, place in places.PLACES.items():
        if place.kind != "page" or name in LEFT_OUT:
            continue
        for variant in (NEEDED.get(name, ""), *VARIANTS.get(name, ())):
            count = SAMPLES if "{" in place.path + variant else 1
            paths = []
            for turn in range(count):
                at = {key: values[turn % len(values)] for key, values in facts.items() if isinstance(values, list)}
                named = {key: values[turn % len(values)] for key, values in ids.get(name, {}).items()}
                paths.append(place.path.format(**named) + variant.format(**at))
            label = variant.replace("{", "").replace("}", "")
            pages.append(Page(name + label, paths))
    return pages


def parts_of(facts: dict[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Say what stands in the parts of each path."""
    from lienthong.monitoring.detectors import findings

    ids = {"keys": "key", "messages": "message", "payments": "payment", "parcels": "parcel", "sync": "sync"}
    ids |= {"reconciliation": "reconciliation", "alerts": "alert", "accounts": "account"}
    found: dict[str, dict[str, list[str]]] = {f"{place}.one": {"id": facts[it]} for place, it in ids.items()}
    found |= {name: {"id": facts["key"]} for name in ("keys.use", "keys.grants")}
    found |= {"alerts.timeline": {"id": facts["alert"]}, "dossiers.one": {"code": facts["dossier"]}}
    found |= {"officials.one": {"code": facts["official"]}, "procedures.one": {"code": facts["procedure"]}}
    record = {"request": [it[0] for it in facts["record"]], "number": [str(it[1]) for it in facts["record"]]}
    found |= {"records.one": record, "rules.one": {"rule": list(findings.RULES)}}
    found |= {f"{place}.one": {"name": ["dvcqg_adapter"]} for place in ("targets", "mappings", "systems")}
    found |= {"operations.one": {"name": ["dossiers.put"]}, "codes.one": {"name": ["agencies"]}}
    return found


def ask_for(client: httpx.Client, pages: list[Page], turns: int) -> list[float]:
    """Ask for each page once unmeasured, then in turns; gives the loads of the machine meanwhile."""
    loads = []
    with progress("asking for pages") as step:
        for turn in range(-1, turns):
            for page in pages:
                ask_one(client, page, turn)
            loads.append(os.getloadavg()[0])
            step("turns", turn + 1, turns)
    return loads


def ask_one(client: httpx.Client, page: Page, turn: int) -> None:
    path = page.paths[turn % len(page.paths)]
    begun = time.perf_counter()
    answer = client.get(path)
    took_ms = (time.perf_counter() - begun) * 1000
    if answer.status_code != 200:
        raise SystemExit(f"{path} answered {answer.status_code}")
    if turn < 0:
        return
    page.took_ms.append(took_ms)
    page.sizes.append(len(answer.content))
    statements, lookups, processor_ms = answer.headers["x-bench-questions"].split()
    page.statements.append(int(statements))
    page.lookups.append(int(lookups))
    page.processor_ms.append(float(processor_ms))


def report(pages: list[Page], loads: list[float]) -> None:
    """Print the table, the slowest first."""
    rows = [
        (
            page.name,
            f"{page.p(0.5):.0f}",
            f"{page.p(0.95):.0f}",
            f"{statistics.median(page.processor_ms):.0f}",
            "" if page.p(0.95) <= GOAL_MS else "over",
            round(statistics.median(page.sizes) / 1024),
            round(statistics.median(page.statements)),
            round(statistics.median(page.lookups)),
        )
        for page in sorted(pages, key=lambda page: -page.p(0.95))
    ]
    head = ("page", "p50 ms", "p95 ms", "CPU ms", "limit 200", "KB", "SQL", "day files")
    figures.table(
        f"Pages, {len(pages[0].took_ms)} times each; median load {statistics.median(loads):.1f}", head, rows
    )


@contextlib.contextmanager
def progress(title: str) -> Iterator[Callable[[str, int, int], None]]:
    """Show how far something is."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def step(what: str, done: int, total: int) -> None:
            task = tasks.setdefault(what, None)
            if task is None:
                task = tasks[what] = bar.add_task(f"{title}: {what}", total=total)
            bar.update(task, completed=done)

        yield step


if __name__ == "__main__":
    main()
