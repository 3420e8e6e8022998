"""What the gate costs: requests a second of the gateway with it and without it, in one run.

Both are `lienthong serve` on the loopback: the same process, server, raw ASGI door, operations and database. What
the one without leaves out, and nothing else: the search for a key in the address, the key's form, digest and
look-up, its state, address list, hours and grant, the limits (a sliding maximum, a day's quota, a cap on those in
flight) and their headers, the proofs, the count of uses, and the record: the spool with its waiting for the disk,
the hot store and the seals, which are made beside in the same process. Rounds alternate; the ratio is the median.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import figures

GOAL = 0.7
CONNECTIONS, KEYS, PROCEDURES = 32, 20, 200
LIMITS = ("1000000/minute", "100000000/day", "1000 in flight")
ADDRESSES = ("127.0.0.0/8", "10.0.0.0/8")
# What is asked for: an operation of the hub, as sector software asks it; and what has nothing to do at all: what
# one sees then is the door itself, once without and once with a record that is on the disk before the answer.
WORK = {
    "procedure": "one procedure, read from the database",
    "empty": "an operation that does nothing",
    "personal": "the same, on personal data",
}


def main() -> None:
    """Measure, or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less work, the same goal")
    parser.add_argument("--prepare", metavar="HOME", help=argparse.SUPPRESS)
    parser.add_argument("--serve", nargs=3, metavar=("HOME", "PORT", "GATED"), help=argparse.SUPPRESS)
    parser.add_argument("--drive", nargs=4, metavar=("PORT", "WORK", "SECONDS", "KEYS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.prepare:
        print(json.dumps(asyncio.run(prepare(Path(given.prepare)))))
    elif given.serve:
        serve(Path(given.serve[0]), int(given.serve[1]), is_gated=given.serve[2] == "gated")
    elif given.drive:
        port, work, seconds, keys = given.drive
        print(json.dumps(drive(int(port), work, float(seconds), json.loads(keys))))
    else:
        measure(pairs=3 if given.quick else 12, seconds=0.8 if given.quick else 3.0)


# --------------------------------------------------------------------------------------------------- the two doors


async def prepare(home: Path) -> list[str]:
    """Set up a hub with a catalogue and keys; gives the keys."""
    from lienthong.api_keys import keys
    from lienthong.bus import hub as hubs
    from lienthong.bus.flows import procedure_sync
    from lienthong.core import migrations, settings

    async with hubs.opened(settings.Settings(home=home)) as hub:
        await migrations.upgrade(hub.storage)
        hub.systems = {"dvcqg_adapter": _Catalogue()}  # type: ignore[dict-item]  # one role is enough here
        await procedure_sync.run(hub, source="dvcqg_adapter")
        now = hub.now()
        order = keys.Order(
            "Sở Ví Dụ",
            "Phần mềm đo",
            "Trần Thị Ví Dụ",
            grants=("procedures.get", "bench.empty", "bench.personal"),
            limits=LIMITS,
            expires_at=now + keys.read_lifetime("30d"),
            addresses=ADDRESSES,
            hours=("mon-sun 00:00-24:00",),
        )
        issued = [
            await keys.issue(
                hub.storage,
                hub.vault,
                order,
                known_operations=frozenset(operation.name for operation in _table()),
                environment="test",
                longest_days=366,
                actor="bench",
                now=now,
            )
            for _ in range(KEYS)
        ]
    return [one.key for one in issued]


class _Catalogue:
    """An outside catalogue of invented procedures."""

    name = "dvcqg_adapter"

    async def list_procedures(self) -> list[Any]:
        from lienthong.core import records

        codes = [_code(number) for number in range(PROCEDURES)]
        return [records.ListedProcedure(code=code, name=code, key=code, fingerprint="1") for code in codes]

    async def get_procedure(self, listed: Any) -> Any:
        from lienthong.connectors import roles
        from lienthong.core import records

        named, fields = f"Thủ tục ví dụ {listed.code}", (records.Coded(code="HT", name="Hộ tịch"),)
        return roles.FetchedProcedure(procedure=records.Procedure(code=listed.code, name=named, fields=fields))

    async def list_agencies(self) -> list[Any]:
        return []

    async def list_fields(self) -> list[Any]:
        return []


def _code(number: int) -> str:
    return f"1.{number:06d}"


def serve(home: Path, port: int, *, is_gated: bool) -> None:
    """Be the hub, as `lienthong serve` runs it, with the operations of this benchmark among the others."""
    from lienthong.bus.gateway import app, front
    from lienthong.console import server
    from lienthong.core import settings, settings_console

    def with_ours(hub: Any, **more: Any) -> Any:
        door = app.create_app(hub, table=_table(), **more)
        return door if is_gated else _open_door(door, front)

    server.gateway = type("Gateway", (), {"create_app": staticmethod(with_ours)})  # type: ignore[assignment, attr-defined]
    logs, place = settings.Logs(level="error"), settings.Gateway(port=port)
    desks = settings_console.Console(port=0)
    server.run(settings.Settings(home=home, gateway=place, console=desks, logs=logs))


def _table() -> Sequence[Any]:
    from pydantic import BaseModel

    from lienthong.bus import operations

    class Nothing(BaseModel):
        """An answer without content."""

        done: bool = True

    nothing = Nothing()

    async def run(hub: Any, call: Any, asked: Any) -> BaseModel:
        return nothing

    ours = [
        operations.Operation(f"bench.{name}", "GET", f"/v1/{name}", "x", "x", Nothing, run, personal=personal)
        for name, personal in (("empty", False), ("personal", True))
    ]
    return (*operations.OPERATIONS, *ours)


def _open_door(door: Any, front: Any) -> Any:
    """Give the same door without its keeper: routing, reading, the operation and the answer, by the same code."""
    from lienthong.api_keys import keys
    from lienthong.bus import operations
    from lienthong.bus.gateway import visit
    from lienthong.core import errors

    anybody = keys.Caller("anybody", "lt_test_any", "Sở Ví Dụ", "Phần mềm đo", frozenset({"all"}), "test")

    async def answer(coming: Any, receive: Any) -> Any:
        request = await door._rest.meet(coming, receive)
        coming.operation = request.operation.name
        call = operations.Call(anybody, coming.request_id, coming.at, coming.language, coming.address)
        return await door._run(coming, request, call, request.read())

    async def serve_one(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await door(scope, receive, send)
            return
        coming = visit.Visit(scope, address=scope["client"][0], at=door.hub.now())
        try:
            told = await answer(coming, receive)
        except errors.HubError as exc:
            told = door._rest.problem(coming, exc)
        door._figures.count(coming.operation, told.outcome, time.perf_counter() - coming.started_s)
        await front._send(coming, told, send)

    serve_one.open, serve_one.close = door.open, door.close  # type: ignore[attr-defined]  # as the server asks for
    return serve_one


@dataclass
class Server:
    """One of the two, running."""

    process: subprocess.Popen[bytes]
    port: int
    rates: dict[str, list[float]] = field(default_factory=dict)
    cpu_us: dict[str, list[float]] = field(default_factory=dict)

    def cpu_s(self) -> float:
        """Give the processor time it has used so far, all its threads together; 0 where that cannot be read."""
        try:
            used = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            return 0.0
        return (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")

    def settled(self) -> float:
        """Wait until it has nothing left to do (the record's way from the spool on); gives its processor time."""
        before = self.cpu_s()
        while True:
            time.sleep(0.2)
            now = self.cpu_s()
            if now - before <= 0.02:
                return now
            before = now


@contextlib.contextmanager
def serving(home: Path, *, gated: str) -> Iterator[Server]:
    """Run one of the two as a process of its own."""
    port = figures.free_port()
    command = [sys.executable, __file__, "--serve", str(home), str(port), gated]
    process = subprocess.Popen(command, env=figures.ENVIRONMENT, stdout=subprocess.DEVNULL)
    try:
        _wait_for(f"http://127.0.0.1:{port}/health/live", process)
        yield Server(process, port)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + 60
    while time.monotonic() < ends and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the gateway did not start")


# --------------------------------------------------------------------------------------------------- the callers


def drive(port: int, work: str, seconds: float, keys: Sequence[str]) -> dict[str, float]:
    """Be the callers: each sends its next request when it has the answer to the one before."""
    import uvloop

    return uvloop.run(_drive(port, _requests(work, keys), seconds))


def _requests(work: str, keys: Sequence[str]) -> list[bytes]:
    paths = [f"/v1/{work}"]
    if work == "procedure":
        paths = [f"/v1/procedures/{_code(number)}" for number in range(PROCEDURES)]
    heads = "Host: 127.0.0.1\r\nAccept: application/json\r\nUser-Agent: bench\r\n"
    return [
        f"GET {path} HTTP/1.1\r\n{heads}X-API-Key: {key}\r\n\r\n".encode()
        for path, key in itertools.islice(zip(itertools.cycle(paths), itertools.cycle(keys), strict=False), 1_000)
    ]


async def _drive(port: int, requests: Sequence[bytes], seconds: float) -> dict[str, float]:
    loop, told = asyncio.get_running_loop(), {"served": 0, "refused": 0}
    following = itertools.cycle(requests)
    ends = time.perf_counter() + seconds
    callers = []
    for _ in range(CONNECTIONS):
        done = loop.create_future()
        await loop.create_connection(lambda done=done: _Caller(following, told, ends, done), "127.0.0.1", port)  # type: ignore[misc]
        callers.append(done)
    begun = time.perf_counter()
    await asyncio.wait_for(asyncio.gather(*callers), seconds + 30)
    return {**told, "took_s": time.perf_counter() - begun}


class _Caller(asyncio.Protocol):
    """One connection that is kept; answers are read as far as counting needs."""

    def __init__(
        self, requests: Iterator[bytes], told: dict[str, int], ends_s: float, done: asyncio.Future[None]
    ) -> None:
        self._requests, self._told, self._ends_s, self._done = requests, told, ends_s, done
        self._held = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        held = self._held = self._held + data
        head, found, body = held.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            return
        self._held = b""
        self._told["served" if held.startswith(b"HTTP/1.1 200") else "refused"] += 1
        if time.perf_counter() < self._ends_s:
            self._transport.write(next(self._requests))
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)


# ------------------------------------------------------------------------------------------------- the comparison


def measure(*, pairs: int, seconds: float) -> None:
    """Put the same load on both by turns and print what came of it."""
    with tempfile.TemporaryDirectory(prefix="lienthong-bench-") as folder, contextlib.ExitStack() as stack:
        homes = {name: Path(folder) / name for name in ("gated", "open")}
        keys = {name: figures.child(__file__, "--prepare", str(home)) for name, home in homes.items()}
        both = {name: stack.enter_context(serving(home, gated=name)) for name, home in homes.items()}
        for work in WORK:
            for name, server in both.items():
                round_of(server, work, 0.6, keys[name])
                server.rates[work].clear()
                server.cpu_us[work].clear()
            for pair in range(pairs):
                for name in sorted(both, reverse=pair % 2 == 1):
                    round_of(both[name], work, seconds, keys[name])
    report(both["gated"], both["open"])


def round_of(server: Server, work: str, seconds: float, keys: Any) -> None:
    """Put the load on one of them for some seconds."""
    before = server.cpu_s()
    told = figures.child(__file__, "--drive", str(server.port), work, str(seconds), json.dumps(keys))
    if told["refused"] or not told["served"]:
        raise SystemExit(f"{told['refused']} requests were refused; the comparison would be worth nothing")
    server.rates.setdefault(work, []).append(told["served"] / told["took_s"])
    used_us = (server.settled() - before) * 1_000_000
    server.cpu_us.setdefault(work, []).append(used_us / told["served"])


def report(gated: Server, bare: Server) -> None:
    """Print the table and the line."""
    told: dict[str, float] = {}
    rows = []
    for work, said in WORK.items():
        ratios = [one / other for one, other in zip(gated.rates[work], bare.rates[work], strict=True)]
        name = f"least_{work}_ratio" if work == "procedure" else f"{work}_ratio"
        told[name] = statistics.median(ratios)
        row: list[Any] = [said]
        for kind, server in (("with", gated), ("without", bare)):
            told[f"{work}_{kind}_a_second"] = statistics.median(server.rates[work])
            told[f"{work}_{kind}_cpu_us"] = statistics.median(server.cpu_us[work])
            row += [round(told[f"{work}_{kind}_a_second"]), round(told[f"{work}_{kind}_cpu_us"])]
        rows.append([*row, told[name], f"{min(ratios):.2f}-{max(ratios):.2f}"])
    head = ["", "with: a second", "CPU µs each", "without: a second", "CPU µs each", "ratio", "of rounds"]
    figures.table(f"The gate's whole cost, {CONNECTIONS} connections, {KEYS} keys", head, rows)
    figures.finish("gate", figures=told, goals={"least_procedure_ratio": GOAL})


if __name__ == "__main__":
    main()
