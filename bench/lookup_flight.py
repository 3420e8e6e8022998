"""1,000 lookups in flight through the whole hub: a part of `bench/soap.py`, which says what is measured."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import resource
import statistics
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import figures
import gate

# With those that are measured there are 1,000 on the way. As many more may be: where the connector's limit was
# 1,000, who came after a slow moment of the machine queued for a place, and the queue hardly ever ended (p99 5 s).
KEPT, TAKES_S, MOST = 950, 1.0, 2_000
# How many come a second: while they gather, and while it is measured; how many the registry lets go at the end.
GATHERING, MEASURED, LET_GO, WARM_UP = 250, 50, 400, 20
AGENCY, OFFICIAL, DOSSIERS = "000.00.00.H38", "CB000123", 50
SYSTEM, PATH = "population_c06", "/r1/VN/GOV/C06/dancu"
# An invented person.
NUMBER, NAME = "001099000001", "NGUYỄN VĂN MẪU"
ANSWER = (
    '<env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/"><env:Body>'
    '<ns1:CongdanCollection xmlns:ns1="http://www.mic.gov.vn/dancu/1.0"><ns1:CongDan>'
    f"<ns1:SoDinhDanh>{NUMBER}</ns1:SoDinhDanh><ns1:HoVaTen><ns1:Ten>{NAME}</ns1:Ten></ns1:HoVaTen>"
    "<ns1:GioiTinh>1</ns1:GioiTinh><ns1:DanToc>01</ns1:DanToc><ns1:NgayThangNamSinh><ns1:Nam>1999</ns1:Nam>"
    "</ns1:NgayThangNamSinh></ns1:CongDan></ns1:CongdanCollection></env:Body></env:Envelope>"
)


def prepare(program: str, folder: Path) -> None:
    """Set up in a folder what `measure` needs there."""
    told = figures.child(program, "--lookups", "prepare", str(folder / "lookups"))
    (folder / "callers.json").write_text(json.dumps(told))


def measure(program: str, folder: Path, *, seconds: float) -> dict[str, float]:
    """Run registry, hub and callers as processes of their own; gives what was added to the registry's time."""
    home, registry = folder / "lookups", figures.free_port()
    told = json.loads((folder / "callers.json").read_text())
    with contextlib.ExitStack() as stack:
        stack.enter_context(_running(program, "--lookups", "registry", str(registry), port=registry))
        port = figures.free_port()
        server = stack.enter_context(
            _running(program, "--lookups", "serve", str(home), str(port), str(registry), port=port)
        )
        watched = gate.Server(server, port)
        before, cpu_s = _memory_mb(server.pid, "VmRSS"), watched.settled()
        found = figures.child(
            program, "--lookups", "drive", str(port), str(seconds), json.dumps({**told, "registry": registry})
        )
        used_s = watched.cpu_s() - cpu_s
        return {
            "lookup_in_flight_added_p50_ms": found["p50_ms"],
            "lookup_in_flight_added_p99_ms": found["p99_ms"],
            "lookup_least_in_flight": found["least"],
            "lookup_most_in_flight": found["most"],
            "lookup_arrivals_a_second": MEASURED,
            "lookup_cpu_ms": used_s * 1e3 / found["asked"],
            "lookup_memory_mb": _memory_mb(server.pid, "VmHWM") - before,
        }


def act(words: Sequence[str]) -> None:
    """Be one of the processes."""
    role, *given = words
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16_384), hard))
    if role == "registry":
        asyncio.run(answering(int(given[0]), ANSWER, TAKES_S, kept=range(WARM_UP, WARM_UP + KEPT)))
    elif role == "prepare":
        print(json.dumps(asyncio.run(_prepare(Path(given[0])))))
    elif role == "serve":
        _serve(Path(given[0]), int(given[1]), int(given[2]))
    else:
        import uvloop

        print(json.dumps(uvloop.run(_drive(int(given[0]), float(given[1]), **json.loads(given[2])))))


@contextlib.contextmanager
def _running(program: str, *arguments: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, program, *arguments], env=figures.ENVIRONMENT, stdout=subprocess.DEVNULL
    )
    try:
        gate._wait_for(f"http://127.0.0.1:{port}/health/live", process)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def _memory_mb(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


# ------------------------------------------------------------------------------------------------------ the hub


def _settings(home: Path, **more: Any) -> Any:
    from lienthong.core import settings

    return settings.Settings(home=home, agency={"code": AGENCY}, logs=settings.Logs(level="error"), **more)


def _serve(home: Path, port: int, registry: int) -> None:
    from lienthong.console import server
    from lienthong.core import settings

    section = {
        "enabled": True,
        "base_url": f"http://127.0.0.1:{registry}",
        "service_path": PATH,
        "username": "UBND_DEMO",
        "secret_key": "C06SECRET",
        "api_key": "demo-api-key",
        "xroad_client": f"VN/GOV/{AGENCY}/lgsp",
        "max_concurrent": MOST,
    }
    server.run(_settings(home, gateway=settings.Gateway(port=port), systems={SYSTEM: section}))


async def _prepare(home: Path) -> dict[str, str]:
    """Set up a hub with a key, its signing system, an official and open dossiers."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    from lienthong.api_keys import assertions, keys, proof_register
    from lienthong.bus import hub as hubs
    from lienthong.bus import operations
    from lienthong.bus.flows import procedure_sync
    from lienthong.core import migrations

    signer = ed25519.Ed25519PrivateKey.generate()
    public = signer.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    private = signer.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    async with hubs.opened(_settings(home)) as hub:
        await migrations.upgrade(hub.storage)
        hub.systems = {"dvcqg_adapter": gate._Catalogue()}  # type: ignore[dict-item]  # one role is enough here
        await procedure_sync.run(hub, source="dvcqg_adapter")
        order = keys.Order(
            "Sở Ví Dụ",
            "Phần mềm đo",
            "Trần Thị Ví Dụ",
            grants=("residents.*", "fields:residents.*", "dossiers.*"),
            limits=("1000000/minute", "2000 in flight"),
            expires_at=hub.now() + keys.read_lifetime("30d"),
        )
        issued = await keys.issue(
            hub.storage,
            hub.vault,
            order,
            known_operations=frozenset(operation.name for operation in operations.OPERATIONS),
            environment="test",
            longest_days=366,
            actor="bench",
            now=hub.now(),
        )
        proof = await proof_register.add_public_key(
            hub.storage,
            issued.record.id,
            public,
            label="Phần mềm đo",
            reason="bench",
            actor="bench",
            now=hub.now(),
            kind=assertions.KIND,
        )
        await _open_dossiers(hub, issued)
    return {"key": issued.key, "kid": proof.id, "private": private.decode()}


async def _open_dossiers(hub: Any, issued: Any) -> None:
    import orjson

    from lienthong.api_keys import keys, officials
    from lienthong.bus.flows import dossier_status
    from lienthong.core import clock, records, tables

    now = hub.now()
    held = {"full_name": "Lê Thị Cán", "phone": "0900000009", "email": "", "position": "Công chức"}
    row = {
        "id": clock.new_id(),
        "code": OFFICIAL,
        "account": OFFICIAL.lower(),
        "unit_code": AGENCY,
        "unit_name": "Sở Ví Dụ",
        "procedures": ["1.0*"],
        "valid_from": now - timedelta(days=1),
        "valid_until": now + timedelta(days=30),
        "record": hub.vault.seal(orjson.dumps(held), purpose=officials.PURPOSE),
        "registered_at": now,
        "registered_by": "bench",
        "changed_at": now,
    }
    async with hub.storage.transaction() as tx:
        await tx.execute(tables.officials.insert().values(**row))
    first = keys.Generation(issued.record.id, 1, issued.record.prefix, "", issued.record.issued_at, "bench")
    for number in range(DOSSIERS):
        dossier = records.Dossier.model_validate(
            {
                "code": _dossier(number),
                "procedure_code": "1.000001",
                "applicant": {"kind": "citizen", "name": "Nguyễn Văn Mẫu", "citizen_id": NUMBER},
                "summary": "Đăng ký khai sinh",
                "channel": "online",
                "submitted_at": now - timedelta(hours=2),
                "received_at": now - timedelta(hours=1),
                "due_at": now + timedelta(days=3),
                "agency": AGENCY,
            }
        )
        caller = issued.record.caller(first)
        await dossier_status.put(hub, dossier, caller=caller, request_id=clock.new_id())


def _dossier(number: int) -> str:
    return f"{AGENCY}-260115-{number:04d}"


# ---------------------------------------------------------------------------------------------------- the others


async def answering(port: int, inner: str, takes_s: float, *, kept: range = range(0)) -> None:
    """Be a registry that answers everything after a while, at the cost of a timer.

    Those whose number is among `kept` wait until somebody asks for /release; then they go at a steady pace.
    /waiting tells how many wait.
    """
    body = inner.encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
    ready = head.encode() + body
    loop, waiting, numbers = asyncio.get_running_loop(), list[Any](), itertools.count()

    class Answering(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport, self.held = transport, b""

        def data_received(self, data: bytes) -> None:
            self.held += data
            top, found, rest = self.held.partition(b"\r\n\r\n")
            announced = top.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            if not found or len(rest) < int(announced or 0):
                return
            self.held = b""
            if top.startswith(b"GET"):
                told = str(len(waiting)).encode()
                self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(told), told))
                for number, transport in enumerate(waiting if top.startswith(b"GET /release") else ()):
                    loop.call_later(number / LET_GO, transport.write, ready)
            elif next(numbers) in kept:
                waiting.append(self.transport)
            else:
                loop.call_later(takes_s, self.transport.write, ready)

    server = await loop.create_server(Answering, "127.0.0.1", port, backlog=2_000)
    with contextlib.suppress(asyncio.CancelledError):
        await server.serve_forever()


async def _drive(
    port: int, seconds: float, *, key: str, kid: str, private: str, registry: int
) -> dict[str, float]:
    """Ask at a steady pace; measured is who begins while the registry keeps the others."""
    loop, flying, most, added = asyncio.get_running_loop(), 0, 0, list[float]()
    free: list[_Caller] = []
    count = WARM_UP + KEPT + round(seconds * MEASURED)
    requests = [_request(number, key=key, kid=kid, private=private) for number in range(count)]

    async def one(raw: bytes, begins_s: float, *, is_counted: bool = False) -> None:
        nonlocal flying, most
        await asyncio.sleep(begins_s - time.perf_counter())
        flying += 1
        most = max(most, flying)
        caller = free.pop() if free else (await loop.create_connection(_Caller, "127.0.0.1", port))[1]
        answer = await caller.ask(raw)
        took_s = time.perf_counter() - begins_s
        flying -= 1
        free.append(caller)
        if not answer.startswith(b"HTTP/1.1 200") or b'"found":true' not in answer:
            raise SystemExit(f"a lookup was refused: {answer[-600:]!r}")
        if is_counted:
            added.append((took_s - TAKES_S) * 1e3)

    for raw in requests[:WARM_UP]:
        await one(raw, time.perf_counter())
    first = time.perf_counter() + 0.3
    gathered = [
        asyncio.ensure_future(one(raw, first + number / GATHERING))
        for number, raw in enumerate(requests[WARM_UP : WARM_UP + KEPT])
    ]
    while (waiting := await asyncio.to_thread(_fetched, registry, "waiting")) < KEPT:
        if time.perf_counter() > first + 60:
            raise SystemExit(f"only {waiting} lookups reached the registry")
        await asyncio.sleep(0.2)
    second = time.perf_counter() + 1.0
    measured = enumerate(requests[WARM_UP + KEPT :])
    await asyncio.gather(*(one(raw, second + number / MEASURED, is_counted=True) for number, raw in measured))
    least = sum(not task.done() for task in gathered)
    await asyncio.to_thread(_fetched, registry, "release")
    await asyncio.gather(*gathered)
    parts = statistics.quantiles(added, n=100)
    return {
        "p50_ms": statistics.median(added),
        "p99_ms": parts[98],
        "most": most,
        "least": least,
        "asked": count,
    }


def _fetched(registry: int, what: str) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{registry}/{what}", timeout=10) as found:
        return int(found.read())


def _request(number: int, *, key: str, kid: str, private: str) -> bytes:
    import jwt

    from lienthong.api_keys import assertions

    at = int(datetime.now(UTC).timestamp())
    claims = {
        "iss": "Phần mềm đo",
        "sub": OFFICIAL,
        "aud": f"lienthong:{AGENCY}",
        "iat": at,
        "exp": at + 240,
        "jti": uuid.uuid4().hex,
    }
    headers = {"typ": assertions.TYPE, "kid": kid}
    assertion = jwt.encode(claims, private, algorithm="EdDSA", headers=headers)
    body = json.dumps(
        {
            "dossier_code": _dossier(number % DOSSIERS),
            "purpose": "Đối chiếu người yêu cầu",
            "citizen": {"citizen_id": NUMBER, "full_name": NAME, "birth": {"year": 1999}},
        }
    )
    head = (
        "POST /v1/residents/look-up HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\n"
        f"Content-Type: application/json\r\nX-API-Key: {key}\r\nX-Official-Assertion: {assertion}\r\n"
        f"Content-Length: {len(body.encode())}\r\n\r\n"
    )
    return (head + body).encode()


class _Caller(asyncio.Protocol):
    """One connection, for one question at a time."""

    def connection_made(self, transport: Any) -> None:
        self._transport, self._held = transport, b""

    async def ask(self, raw: bytes) -> bytes:
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._transport.write(raw)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._held += data
        head, found, body = self._held.partition(b"\r\n\r\n")
        if found and len(body) >= int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            answer, self._held = self._held, b""
            self._answer.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_exception(SystemExit("the hub closed a connection"))
