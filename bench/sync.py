"""What the procedure sync costs beside the bare fetching of the same pages, from either generation of the portal.

A round is, in fresh processes one after another: the bare client, a full sync into an empty hub, a run in which
nothing has changed. Ratios are taken within a round; the median of the rounds counts.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import importlib
import itertools
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import figures
import orjson
import uvloop

CONCURRENCY = 8
LATENCY_MS = 20
SOURCES = ("dvcqg_adapter", "dvcqg_portal")
GOALS = {"ratio_full": 1.3, "ratio_unchanged": 1.1, "peak_rss_mb": 250.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer records and rounds, the same goals")
    parser.add_argument("--source", choices=(*SOURCES, "both"), default="both")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--records", type=int, help="so many records of the catalogue")
    parser.add_argument("--part", choices=("bare", "sync"), help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.part:
        work = (
            bare(chosen.address, chosen.source) if chosen.part == "bare" else sync(chosen.address, chosen.source)
        )
        print(orjson.dumps(uvloop.run(work)).decode())
        return
    compare(chosen)


def compare(chosen: argparse.Namespace) -> None:
    sources = SOURCES if chosen.source == "both" else (chosen.source,)
    rounds = chosen.rounds or (3 if chosen.quick else 5)
    measured: dict[str, list[dict[str, float]]] = {source: [] for source in sources}
    with (
        catalogue(chosen.records or (800 if chosen.quick else 0)) as (path, what),
        figures.sandbox("--catalogue", str(path), "--latency-ms", str(LATENCY_MS)) as address,
    ):
        for source in sources:
            part(address, source, "bare")  # the sandbox renders each answer once; nobody is timed on that
        for _, source in itertools.product(range(rounds), sources):
            measured[source].append(one_round(address, source))
    print(f"{what}; {CONCURRENCY} in flight, {LATENCY_MS} ms an answer, {rounds} rounds, medians")
    report(measured)


def one_round(address: str, source: str) -> dict[str, float]:
    plain = part(address, source, "bare")
    hub = part(address, source, "sync")
    # A run without changes has to fetch everything where the list tells nothing, else only the list.
    needed_s = plain["list_s"] + (plain["details_s"] if hub["unchanged_fetched"] else 0)
    return {
        **hub,
        "bare_s": plain["list_s"] + plain["details_s"],
        "needed_s": needed_s,
        "ratio_full": hub["full_s"] / (plain["list_s"] + plain["details_s"]),
        "ratio_unchanged": hub["unchanged_s"] / needed_s,
    }


def part(address: str, source: str, name: str) -> dict[str, Any]:
    return figures.child(__file__, "--part", name, "--address", address, "--source", source)


def report(measured: dict[str, list[dict[str, float]]]) -> None:
    head = ("source", "records", "bare s", "full s", "ratio", "needed s", "unchanged s", "ratio", "peak MB")
    names = ("seen", "bare_s", "full_s", "ratio_full", "needed_s", "unchanged_s", "ratio_unchanged", "peak_rss_mb")
    medians = {
        source: {name: statistics.median(line[name] for line in lines) for name in names}
        for source, lines in measured.items()
    }
    rows = [
        [source, int(found["seen"]), *(found[name] for name in names[1:])] for source, found in medians.items()
    ]
    figures.table("procedure sync", head, rows)
    result = {f"{name}_{source}": found[name] for source, found in medians.items() for name in GOALS}
    result |= {name: max(found[name] for found in medians.values()) for name in GOALS}
    figures.finish("sync", figures=result, goals=GOALS)


@contextlib.contextmanager
def catalogue(records: int) -> Iterator[tuple[Path, str]]:
    """Give the real catalogue where it is, else a generated one; only the first `records` of it where asked."""
    real = figures.SHARED_DATA / "tthc" / "full-2026-07-18.jsonl.gz"
    with tempfile.TemporaryDirectory() as folder:
        path, what = real, "the national catalogue of 18 July 2026"
        if not real.exists():
            path, what = Path(folder) / "generated.jsonl.gz", "a generated catalogue"
            generate = importlib.import_module("lienthong.sandbox.generate")
            generate.main(["--count", str(records or 4538), "--seed", "7", "--out", str(path)])
        if records:
            cut = Path(folder) / "cut.jsonl.gz"
            with gzip.open(path, "rb") as whole, gzip.open(cut, "wb", compresslevel=1) as some:
                some.writelines(itertools.islice(whole, records))
            path, what = cut, f"{records} records of {what}"
        yield path, what


# ------------------------------------------------------------------------------------------------------- parts


async def bare(address: str, source: str) -> dict[str, float]:
    """Fetch and parse every page, and do nothing with it."""
    from lienthong.connectors import http

    limits = http.Limits(CONCURRENCY, None, 5, 60, 60, 64 * 1024 * 1024)
    client = http.Client(
        system=source,
        base_url=f"{address}/{source}",
        limits=limits,
        user_agent="bench of the procedure sync, bare client",
        clock=lambda: datetime.now(UTC),
        headers={"dstcode": "VN:GOV:000.00.00.G22:bench"},
    )
    portal = _Older(client) if source == "dvcqg_adapter" else _Newer(client)
    started = time.perf_counter()
    queue = iter(await portal.list())
    listed = time.perf_counter()

    async def fetch() -> None:
        for key in queue:
            await portal.detail(key)

    await asyncio.gather(*(fetch() for _ in range(CONCURRENCY)))
    done = time.perf_counter()
    await client.close()
    return {"list_s": listed - started, "details_s": done - listed}


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
    from lienthong.bus import hub as hubs
    from lienthong.bus.flows import procedure_sync
    from lienthong.core import settings, tables

    with contextlib.suppress(ImportError):
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
            async with hub.storage.engine.begin() as connection:
                await connection.run_sync(tables.metadata.create_all)
            full = await procedure_sync.run(hub)
            again = await procedure_sync.run(hub)
    if full.counts.new != full.counts.seen or again.counts.unchanged != full.counts.seen:
        raise SystemExit(f"the sync did not do its work: {full.counts} {again.counts}")
    return {
        "seen": full.counts.seen,
        "full_s": full.took_s,
        "unchanged_s": again.took_s,
        "unchanged_fetched": again.counts.fetched,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    sys.exit(main())
