"""What the procedure sync costs beside the bare fetching of the same pages, from either generation of the portal.

A round is, in fresh processes one after another: the bare client, a full sync into an empty hub, a run in which
nothing has changed. Where the list tells what is new, such a run fetches the list alone; it is short, so it is
taken in turns with the bare list in one process that holds the whole catalogue. Ratios are taken within a turn,
and the median of them counts.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import gzip
import importlib
import itertools
import resource
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import figures
import orjson
import uvloop

if TYPE_CHECKING:
    from lienthong.bus import hub as hubs

CONCURRENCY = 8
LATENCY_MS = 20
SOURCES = ("dvcqg_adapter", "dvcqg_portal")
TELLS_WHAT_IS_NEW = "dvcqg_portal"
TURNS = 7
GOALS = {"ratio_full": 1.3, "ratio_unchanged": 1.1, "peak_rss_mb": 250.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer records and rounds, the same goals")
    parser.add_argument("--source", choices=(*SOURCES, "both"), default="both")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--records", type=int, help="so many records of the catalogue for the rounds")
    parser.add_argument("--part", choices=("bare", "sync", "turns"), help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if not chosen.part:
        compare(chosen)
    parts = {"bare": bare, "sync": sync, "turns": turns}
    print(orjson.dumps(uvloop.run(parts[chosen.part](chosen.address, chosen.source))).decode())


def compare(chosen: argparse.Namespace) -> None:
    sources = SOURCES if chosen.source == "both" else (chosen.source,)
    rounds = chosen.rounds or (2 if chosen.quick else 5)
    measured: dict[str, list[dict[str, float]]] = {source: [] for source in sources}
    with (
        catalogue(chosen.records or (400 if chosen.quick else 0)) as (whole, some, what),
        figures.sandbox() as address,
    ):
        serve(address, some)
        for source in sources:
            part(address, source, "bare")  # the sandbox renders each answer once; nobody is timed on that
        for _, source in itertools.product(range(rounds), sources):
            measured[source].append(one_round(address, source))
        if TELLS_WHAT_IS_NEW in sources:
            serve(address, whole)
            measured[TELLS_WHAT_IS_NEW].append(part(address, TELLS_WHAT_IS_NEW, "turns"))
    print(f"{what}; {CONCURRENCY} in flight, {LATENCY_MS} ms an answer, {rounds} rounds, medians")
    report(measured)


def serve(address: str, path: Path) -> None:
    figures.put(f"{address}/_sandbox/catalogue", {"path": str(path)})
    answer_after(address, LATENCY_MS)


def answer_after(address: str, latency_ms: int) -> None:
    moods = [{"name": "slow", "latency_ms": latency_ms}] if latency_ms else []
    figures.put(f"{address}/_sandbox/mood", {"moods": moods})


def one_round(address: str, source: str) -> dict[str, float]:
    plain = part(address, source, "bare")
    hub = part(address, source, "sync")
    bare_s = plain["list_s"] + plain["details_s"]
    found = {**hub, "bare_s": bare_s, "ratio_full": hub["full_s"] / bare_s}
    if source != TELLS_WHAT_IS_NEW:
        found |= {"needed_s": bare_s, "ratio_unchanged": hub["unchanged_s"] / bare_s}
    else:
        del found["unchanged_s"]
    return found


def part(address: str, source: str, name: str) -> dict[str, Any]:
    return figures.child(__file__, "--part", name, "--address", address, "--source", source)


def report(measured: dict[str, list[dict[str, float]]]) -> None:
    head = ("source", "bare s", "full s", "ratio", "needed s", "unchanged s", "ratio", "peak MB")
    names = ("bare_s", "full_s", "ratio_full", "needed_s", "unchanged_s", "ratio_unchanged", "peak_rss_mb")
    found = {
        source: {
            name: (max if name == "peak_rss_mb" else statistics.median)(_values(lines, name)) for name in names
        }
        for source, lines in measured.items()
    }
    rows = [[source, *values.values()] for source, values in found.items()]
    figures.table("procedure sync", head, rows)
    result = {f"{name}_{source}": values[name] for source, values in found.items() for name in GOALS}
    result |= {name: max(values[name] for values in found.values()) for name in GOALS}
    figures.finish("sync", figures=result, goals=GOALS)


def _values(lines: list[dict[str, float]], name: str) -> list[float]:
    return [line[name] for line in lines if name in line]


@contextlib.contextmanager
def catalogue(records: int) -> Iterator[tuple[Path, Path, str]]:
    """Give the real catalogue where it is, else a generated one; and the first `records` of it where asked."""
    real = figures.SHARED_DATA / "tthc" / "full-2026-07-18.jsonl.gz"
    with tempfile.TemporaryDirectory() as folder:
        path, what = real, "the national catalogue of 18 July 2026"
        if not real.exists():
            path, what = Path(folder) / "generated.jsonl.gz", "a generated catalogue"
            generate = importlib.import_module("lienthong.sandbox.generate")
            generate.main(["--count", "4538", "--seed", "7", "--out", str(path)])
        some = path
        if records:
            some, what = Path(folder) / "some.jsonl.gz", f"{records} records of {what}"
            with gzip.open(path, "rb") as file, gzip.open(some, "wb", compresslevel=1) as cut:
                cut.writelines(itertools.islice(file, records))
        yield path, some, what


# ------------------------------------------------------------------------------------------------------- parts


async def bare(address: str, source: str) -> dict[str, float]:
    """Fetch and parse every page, and do nothing with it."""
    portal = _portal(address, source)
    started = time.perf_counter()
    queue = iter(await portal.list())
    listed = time.perf_counter()

    async def fetch() -> None:
        for key in queue:
            await portal.detail(key)

    await asyncio.gather(*(fetch() for _ in range(CONCURRENCY)))
    done = time.perf_counter()
    await portal.client.close()
    return {"list_s": listed - started, "details_s": done - listed}


def _portal(address: str, source: str) -> _Older | _Newer:
    from lienthong.connectors import http

    client = http.Client(
        system=source,
        base_url=f"{address}/{source}",
        limits=http.Limits(CONCURRENCY, None, 5, 60, 60, 64 * 1024 * 1024),
        user_agent="bench of the procedure sync, bare client",
        clock=lambda: datetime.now(UTC),
        headers={"dstcode": "VN:GOV:000.00.00.G22:bench"},
    )
    return _Older(client) if source == "dvcqg_adapter" else _Newer(client)


class _Older:
    """Generation A, as the contract page has it."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.session = ""

    async def list(self) -> list[str]:
        account = {"username": "demo", "password": "demo-password"}
        reply = await self.client.post_json("/mapi/login", account, operation="login", idempotent=True)
        self.session = reply.json()["session"]
        rows = await self.ask("LayDanhSachTTHC")
        await self.ask("LayDanhMucCoQuan")
        await self.ask("LayDanhMucLinhVuc")
        return [row["MATTHC"] for row in rows]

    async def detail(self, key: str) -> None:
        await self.ask("LayThuTuc", maTTHC=key)

    async def ask(self, service: str, **more: str) -> list[Any]:
        body = {"session": self.session, "madonvi": "000.00.00.H38", "service": service, **more}
        reply = await self.client.post_json("/mapi/g", body, operation=service, idempotent=True)
        answer = reply.json()
        if str(answer["error_code"]) != "0":
            raise SystemExit(f"{service} was refused")
        return answer["result"]


class _Newer:
    """Generation C, as the contract page has it."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def list(self) -> list[str]:
        keys: list[str] = []
        cursor, total = "", 1
        while len(keys) < total:
            found = await self.ask("/api/v1/submitting/formality/list-all-public-formality-by-citizen", cursor)
            keys += [item["id"] for item in found["items"]]
            cursor, total = found["lastId"], found["total"]
        return keys

    async def ask(self, path: str, cursor: str) -> dict[str, Any]:
        body = {"limit": 200, "lastId": cursor, "q": "", "categoryId": "", "departmentCode": ""}
        reply = await self.client.post_json(path, body, operation="list", idempotent=True)
        return reply.json()["data"]

    async def detail(self, key: str) -> None:
        path = "/api/v1/configuring/formality/get-formality-by-citizen"
        (await self.client.post_json(path, {"id": key}, operation="detail", idempotent=True)).json()


async def sync(address: str, source: str) -> dict[str, float]:
    """Sync into an empty hub, then once more; this process is the embedded hub, so its memory is told too."""
    from lienthong.bus.flows import procedure_sync

    async with _hub(address, source) as hub:
        full = await procedure_sync.run(hub)
        again = await procedure_sync.run(hub)
    if full.counts.new != full.counts.seen or again.counts.unchanged != full.counts.seen:
        raise SystemExit(f"the sync did not do its work: {full.counts} {again.counts}")
    return {"full_s": full.took_s, "unchanged_s": again.took_s, "peak_rss_mb": _peak_mb()}


async def turns(address: str, source: str) -> dict[str, float]:
    """Fill a hub with the whole catalogue, then take runs without changes in turns with the bare list."""
    from lienthong.bus.flows import procedure_sync

    portal = _portal(address, source)
    taken: list[tuple[float, float]] = []
    async with _hub(address, source) as hub:
        answer_after(address, 0)
        await procedure_sync.run(hub)
        answer_after(address, LATENCY_MS)
        for _ in range(TURNS):
            started = time.perf_counter()
            await portal.list()
            plain_s = time.perf_counter() - started
            taken.append((plain_s, (await procedure_sync.run(hub)).took_s))
    await portal.client.close()
    return {
        "needed_s": statistics.median(plain_s for plain_s, _ in taken),
        "unchanged_s": statistics.median(run_s for _, run_s in taken),
        "ratio_unchanged": statistics.median(run_s / plain_s for plain_s, run_s in taken),
        "peak_rss_mb": _peak_mb(),
    }


@contextlib.asynccontextmanager
async def _hub(address: str, source: str) -> AsyncIterator[hubs.Hub]:
    from lienthong.bus import hub as hubs
    from lienthong.core import migrations, settings

    importlib.import_module("lienthong.bus.gateway.app")  # an embedded hub has its door loaded
    account = {"username": "demo", "password": "demo-password", "agency_code": "000.00.00.H38"}
    account["dstcode"] = "VN:GOV:000.00.00.G22:bench"
    section: dict[str, Any] = {"enabled": True, "base_url": f"{address}/{source}", "max_concurrent": CONCURRENCY}
    section |= account if source == "dvcqg_adapter" else {"max_per_second": None}
    with tempfile.TemporaryDirectory() as home:
        chosen = settings.Settings.model_validate(
            {"home": home, "systems": {source: section}, "sync": {"source": source, "concurrency": CONCURRENCY}}
        )
        async with hubs.opened(chosen) as hub:
            await migrations.upgrade(hub.storage)
            gc.collect()
            gc.freeze()  # as a hub that serves does when it has started
            yield hub


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
