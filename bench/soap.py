"""SOAP on both sides: our door beside REST and beside spyne, bulk answers beside zeep, many lookups in flight.

1. One procedure over `/soap/v1` and over REST, at one gateway over sockets: requests a second. The callers put
   short slices of load on the two doors by turns, which comes first changing with each pair, so that a slow
   stretch of the machine meets both; the ratio is the median of the pairs' ratios.
2. The same message in process, from its bytes to its answer's: our door's reading and writing, and a door made
   with spyne (its WSGI application with lxml validation) with the same types and the same operation.
3. An answer of 500 typed rows: read by our border, and by zeep into the same rows.
4. 1,000 calls in flight at once at our border against a registry that takes 1 s: what is added to that second.
5. 1,000 lookups in flight through the whole hub: door, gate, intention, connector, outcome, record, answer. The
   registry keeps 950 of them waiting; meanwhile others come at a steady pace, 50 a second, and are answered by it
   after 1 s: so 1,000 are on the way.
   These are measured, from the moment at which each was due to its whole answer, less that second. Not measured is
   1,000 that come in the same second: each needs some milliseconds of processor for all that is checked and
   written (`lookup_cpu_ms`), so that one process cannot take more than some hundred a second.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import itertools
import json
import logging
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import figures
import gate
import lookup_flight

GOALS = {
    "least_door_to_rest": 0.85,
    "least_door_to_spyne": 10.0,
    "least_rows_to_zeep": 8.0,
    "added_p99_ms": 50.0,
    "lookup_in_flight_added_p99_ms": 50.0,
}
ROWS, IN_FLIGHT, TAKES_S = 500, 1_000, 1.0
SPYNE = ("spyne==2.14.0", "pytz")
ENVELOPE = '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>{}</e:Body></e:Envelope>'
_KINDS = {
    "string": "Unicode",
    "long": "Integer64",
    "double": "Double",
    "decimal": "Decimal",
    "boolean": "Boolean",
    "date": "Date",
    "dateTime": "DateTime",
    "time": "Time",
}


def main() -> None:
    """Measure, or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less work, the same goals")
    parser.add_argument("--drive", nargs=4, metavar=("PORT", "PAIRS", "SECONDS", "KEYS"), help=argparse.SUPPRESS)
    parser.add_argument("--registry", metavar="PORT", help=argparse.SUPPRESS)
    parser.add_argument("--lookups", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--part", choices=sorted(PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.drive:
        port, pairs, seconds, keys = given.drive
        print(json.dumps(drive(int(port), int(pairs), float(seconds), json.loads(keys))))
    elif given.registry:
        asyncio.run(be_registry(int(given.registry)))
    elif given.lookups:
        lookup_flight.act(given.lookups)
    elif given.part:
        print(json.dumps(PARTS[given.part](Path(given.folder), is_quick=given.quick)))
    else:
        measure(is_quick=given.quick)


def measure(*, is_quick: bool) -> None:
    """Run every part in a process of its own and print what came of it."""
    goals, skipped = dict(GOALS), {}
    more = ["--quick"] if is_quick else []
    with tempfile.TemporaryDirectory(prefix="lienthong-bench-") as folder, ThreadPoolExecutor() as pool:

        def part(name: str) -> dict[str, float]:
            return figures.child(__file__, "--part", name, "--folder", folder, *more)

        # What no clock measures goes at once: what is prepared, and what counts the time of its own processor.
        keys = pool.submit(figures.child, gate.__file__, "--prepare", str(Path(folder, "door")))
        calling = pool.submit(lookup_flight.prepare, __file__, Path(folder))
        why = install_spyne(Path(folder))
        if why:
            skipped["spyne"] = why
            del goals["least_door_to_spyne"]
        calling.result()
        told = over_sockets(Path(folder, "door"), keys.result(), is_quick=is_quick)
        for name in ("message", "bulk", "in_flight", "lookups"):
            told |= part(name)
    rows = [
        ("door: requests a second, SOAP", told["soap_a_second"]),
        ("door: requests a second, REST", told["rest_a_second"]),
        ("door: SOAP to REST", told["least_door_to_rest"]),
        ("message: ours, µs", told["ours_us"]),
        ("message: spyne, µs", told.get("spyne_us", "-")),
        ("message: times faster", told.get("least_door_to_spyne", "-")),
        (f"{ROWS} rows: ours, ms", told["rows_ms"]),
        (f"{ROWS} rows: zeep, ms", told["rows_zeep_ms"]),
        (f"{ROWS} rows: times faster", told["least_rows_to_zeep"]),
        (f"{IN_FLIGHT} in flight: most at once", told["most_in_flight"]),
        (f"{IN_FLIGHT} in flight: added p50, ms", told["added_p50_ms"]),
        (f"{IN_FLIGHT} in flight: added p99, ms", told["added_p99_ms"]),
        (f"{IN_FLIGHT} in flight: memory added, MB", told["memory_mb"]),
        (f"{IN_FLIGHT} lookups: most at once", told["lookup_most_in_flight"]),
        (f"{IN_FLIGHT} lookups: come a second", told["lookup_arrivals_a_second"]),
        (f"{IN_FLIGHT} lookups: least at once while measured", told["lookup_least_in_flight"]),
        (f"{IN_FLIGHT} lookups: added p50, ms", told["lookup_in_flight_added_p50_ms"]),
        (f"{IN_FLIGHT} lookups: added p99, ms", told["lookup_in_flight_added_p99_ms"]),
        (f"{IN_FLIGHT} lookups: processor time each, ms", told["lookup_cpu_ms"]),
        (f"{IN_FLIGHT} lookups: memory added, MB", told["lookup_memory_mb"]),
    ]
    figures.table("SOAP", ["", "figure"], rows)
    figures.finish("soap", figures=told, goals=goals, skipped=skipped)


# ------------------------------------------------------------------------------------------- 1: the door and REST


def over_sockets(home: Path, keys: Any, *, is_quick: bool) -> dict[str, float]:
    """Ask one gateway for procedures through both doors by turns."""
    pairs, seconds = (20, 0.12) if is_quick else (120, 0.25)
    with gate.serving(home, gated="gated") as server:
        drive = [str(server.port), str(pairs), str(seconds), json.dumps(keys)]
        rates = figures.child(__file__, "--drive", *drive)
    ratios = [soap / rest for soap, rest in zip(rates["soap"], rates["rest"], strict=True)]
    quartiles = statistics.quantiles(ratios, n=4)
    return {
        "least_door_to_rest": statistics.median(ratios),
        "door_to_rest_lower_quartile": quartiles[0],
        "door_to_rest_upper_quartile": quartiles[2],
        "soap_a_second": statistics.median(rates["soap"]),
        "rest_a_second": statistics.median(rates["rest"]),
    }


def drive(port: int, pairs: int, seconds: float, keys: list[str]) -> dict[str, list[float]]:
    """Be the callers of both doors; gives what each door served a second, slice by slice."""
    import uvloop

    return uvloop.run(_drive(port, pairs, seconds, keys))


async def _drive(port: int, pairs: int, seconds: float, keys: list[str]) -> dict[str, list[float]]:
    ready = {"rest": gate._requests("procedure", keys), "soap": _soap_requests(keys)}
    rates: dict[str, list[float]] = {door: [] for door in ready}
    for pair in range(-1, pairs):
        for door in sorted(ready, reverse=pair % 2 == 1):
            told = await gate._drive(port, ready[door], seconds)
            if told["refused"] or not told["served"]:
                raise SystemExit(f"{told['refused']} requests were refused; the comparison would be worth nothing")
            if pair >= 0:  # the first is for warming up
                rates[door].append(told["served"] / told["took_s"])
    return rates


def _soap_requests(keys: list[str]) -> list[bytes]:
    heads = "Host: 127.0.0.1\r\nUser-Agent: bench\r\nContent-Type: text/xml; charset=utf-8\r\n"
    codes = itertools.cycle(gate._code(number) for number in range(gate.PROCEDURES))
    found = []
    for code, key in itertools.islice(zip(codes, itertools.cycle(keys), strict=False), 1_000):
        inner = f'<procedures.get xmlns="urn:lienthong:v1"><code>{code}</code></procedures.get>'
        body = ENVELOPE.format(inner)
        head = f"POST /soap/v1 HTTP/1.1\r\n{heads}X-API-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n"
        found.append((head + body).encode())
    return found


# --------------------------------------------------------------------------------------- 2: the message and spyne


def install_spyne(folder: Path) -> str:
    """Install spyne beside nothing of ours; says why where it cannot be."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(folder / "spyne"),
        *SPYNE,
    ]
    try:
        done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return "pip did not end in time"
    return done.stderr.decode()[-200:] if done.returncode else ""


def message(folder: Path, *, is_quick: bool) -> dict[str, float]:
    """Take a dossier in and give it back, by our door's code and by spyne's."""
    from lienthong.bus import operations
    from lienthong.bus.gateway import soap_codec, soap_envelope, soap_reading, soap_types
    from lienthong.core import settings

    plan = soap_types.Plan(operations.OPERATIONS)
    codec = soap_codec.Codec(plan)
    reader, limits, call = soap_reading.Reader(plan, codec), settings.Gateway(), plan.calls["dossiers.put"]
    raw = ENVELOPE.format(DOSSIER).encode()
    answer = dossier_view(reader.read(call, soap_envelope.parse(raw, limits).child)[0].body)

    def ours() -> bytes:
        envelope = soap_envelope.parse(raw, limits)
        reader.read(call, envelope.child)
        return soap_envelope.answer("1.1", codec.write("dossiers.put", answer)).body

    assert b"dossiers.putResponse" in ours()
    told = {"ours_us": best(ours, 300 if is_quick else 2_000) * 1e6}
    if (folder / "spyne").is_dir():
        sys.path.insert(0, str(folder / "spyne"))
        theirs = spyne_door(plan, call, raw, answer)
        # By turns, so that a slow stretch of the machine meets both.
        pairs = [(_timed(ours, 40), _timed(theirs, 4)) for _ in range(15 if is_quick else 60)]
        told["ours_us"], told["spyne_us"] = (statistics.median(each) * 1e6 for each in zip(*pairs, strict=True))
        told["least_door_to_spyne"] = statistics.median(slow / quick for quick, slow in pairs)
    return told


DOSSIER = """<dossiers.put xmlns="urn:lienthong:v1"><code>000.00.00.H38-260115-0001</code>
<procedure_code>1.000001</procedure_code><applicant><kind>citizen</kind><name>Nguyễn Văn Mẫu</name>
<citizen_id>001099000001</citizen_id><phone>0900000001</phone></applicant><summary>Đăng ký khai sinh</summary>
<channel>online</channel><submitted_at>2026-01-15T08:30:00+07:00</submitted_at>
<received_at>2026-01-15T09:00:00+07:00</received_at><due_at>2026-01-16T17:00:00+07:00</due_at>
<agency>000.00.00.H38</agency><unit>Bộ phận Một cửa</unit>""" + (
    """<components><code>TP01</code><file_id>1</file_id><file_name>to-khai.pdf</file_name>
<url>https://mot-cua.example.vn/1</url></components>"""
    * 10
    + "</dossiers.put>"
)


def dossier_view(dossier: Any) -> Any:
    from lienthong.bus.flows import dossier_views

    now = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
    return dossier_views.DossierView(
        dossier=dossier,
        status="submitted",
        status_vi="Mới đăng ký",
        status_at=now,
        procedure_version=1,
        organisation="Sở Ví Dụ",
        updated_at=now,
    )


def spyne_door(plan: Any, call: Any, raw: bytes, answer: Any) -> Callable[[], bytes]:
    """Make the same operation with spyne: the same types from the same plan, validated by lxml."""
    logging.getLogger("spyne").setLevel(logging.ERROR)
    spyne = importlib.import_module("spyne")
    soap11 = importlib.import_module("spyne.protocol.soap").Soap11
    wsgi = importlib.import_module("spyne.server.wsgi").WsgiApplication
    complex_model = importlib.import_module("spyne.model.complex")
    made: dict[int, Any] = {}

    def kind_of(kind: Any) -> Any:
        if hasattr(kind, "elements"):
            return record_of(kind)
        if hasattr(kind, "value"):
            pair = {"__namespace__": "urn:lienthong:v1", "key": spyne.Unicode, "value": kind_of(kind.value)}
            return complex_model.Array(complex_model.ComplexModelMeta("entry", (spyne.ComplexModel,), pair))
        facets = kind.facets
        base = getattr(spyne, _KINDS[kind.base])
        return base(values=facets["enum"]) if kind.base == "string" and "enum" in facets else base

    def record_of(record: Any) -> Any:
        if id(record) not in made:
            fields: list[Any] = []
            for element in record.elements:
                inner = kind_of(element.kind)
                if element.is_list:
                    inner = inner.customize(min_occurs=0, max_occurs="unbounded")
                elif element.is_required and not element.is_nullable:
                    inner = inner.customize(min_occurs=1)
                fields.append((element.name, inner))
            body = {"__namespace__": "urn:lienthong:v1", "_type_info": fields}
            made[id(record)] = complex_model.ComplexModelMeta(record.name, (spyne.ComplexModel,), body)
        return made[id(record)]

    request, returned = record_of(call.request), record_of(call.answer)
    given = as_spyne(answer, call.answer, made)

    def put(ctx: Any, given_in: Any) -> Any:
        return given

    decorated = spyne.rpc(
        request,
        _returns=returned,
        _body_style="bare",
        _operation_name="dossiers.put",
    )(put)
    service = type("Dossiers", (spyne.ServiceBase,), {"put": decorated})
    app = spyne.Application(
        [service], "urn:lienthong:v1", in_protocol=soap11(validator="lxml"), out_protocol=soap11()
    )
    door = wsgi(app)

    def ask() -> bytes:
        import io

        told: list[str] = []
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/",
            "QUERY_STRING": "",
            "CONTENT_TYPE": "text/xml; charset=utf-8",
            "CONTENT_LENGTH": str(len(raw)),
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(raw),
        }
        body = b"".join(door(environ, lambda status, headers, info=None: told.append(status)))
        if not told[0].startswith("200"):
            raise SystemExit(f"spyne answered {told[0]}: {body[:500]!r}")
        return body

    assert b"000.00.00.H38-260115-0001" in ask()
    return ask


def as_spyne(value: Any, record: Any, made: dict[int, Any]) -> Any:
    """Turn an answer into spyne's objects, once and outside what is measured."""
    fields = {}
    for element in record.elements:
        found = getattr(value, element.name)
        if found is None or isinstance(found, dict):
            continue
        if hasattr(element.kind, "elements"):
            found = (
                [as_spyne(one, element.kind, made) for one in found]
                if element.is_list
                else as_spyne(found, element.kind, made)
            )
        elif element.is_list:
            found = list(found)
        fields[element.name] = getattr(found, "value", found)
    return made[id(record)](**fields)


# ----------------------------------------------------------------------------------------- 3 and 4: the other side


def described(folder: Path) -> Any:
    """Write the description of a registry with a bulk operation, and give its plan."""
    from pydantic import BaseModel

    from lienthong.bus import operations
    from lienthong.bus.gateway import soap_schema, soap_types

    class Person(BaseModel):
        """A row of a register; everybody in it is invented."""

        number: str
        name: str
        gender: int
        birth: date
        address: str
        commune: str
        province: str
        ethnicity: str
        nationality: str
        changed_at: datetime
        share: Decimal
        alive: bool

    class People(BaseModel):
        """The answer."""

        items: tuple[Person, ...]

    class Question(BaseModel):
        """The question."""

        word: str

    async def run(hub: Any, call: Any, asked: Any) -> BaseModel:
        raise NotImplementedError  # described and read here, never run

    asked = operations.Operation("people.list", "POST", "/x", "x", "x", People, run, personal=True, body=Question)
    plan = soap_types.Plan([asked])
    text = soap_schema.description(plan).replace(soap_schema.ADDRESS_MARK, "http://127.0.0.1:9/")
    (folder / "people.wsdl").write_text(text, encoding="utf-8")
    return plan, Person, People


def bulk(folder: Path, *, is_quick: bool) -> dict[str, float]:
    """Read an answer of many rows by our border and by zeep."""
    return asyncio.run(_bulk(folder, is_quick=is_quick))


async def _bulk(folder: Path, *, is_quick: bool) -> dict[str, float]:
    import zeep
    import zeep.helpers

    from lienthong.bus.gateway import soap_codec
    from lienthong.connectors import soap, soap_reading

    plan, person, people = described(folder)
    answer = people(items=tuple(_invented(person, number) for number in range(ROWS)))
    raw = ENVELOPE.format(soap_codec.Codec(plan).write("people.list", answer)).encode()
    tag, kind = "text/xml; charset=utf-8", "{urn:lienthong:v1}"
    reader = await _service(folder, "http://127.0.0.1:9/x").row_reader(f"{kind}Person")

    def ours() -> Any:
        return soap.read_rows(soap_reading.read(raw, tag), f"{kind}items", reader=reader)

    client = zeep.Client(str(folder / "people.wsdl"))
    operation = client.service._binding.get("people.list")

    def plain() -> Any:
        from zeep.loader import parse_xml

        # Bytes, as zeep itself gives it what came.
        found = operation.process_reply(parse_xml(cast("str", raw), client.transport, settings=client.settings))
        return zeep.helpers.serialize_object(found, dict)

    assert ours() == plain(), "both read the same rows"
    # By turns, so that a slow stretch of the machine meets both.
    pairs = [(_timed(ours, 4), _timed(plain, 1)) for _ in range(9 if is_quick else 40)]
    mine, theirs = (statistics.median(each) for each in zip(*pairs, strict=True))
    ratio = statistics.median(slow / quick for quick, slow in pairs)
    return {"rows_ms": mine * 1e3, "rows_zeep_ms": theirs * 1e3, "least_rows_to_zeep": ratio}


def _invented(person: Any, number: int) -> Any:
    return person(
        number=f"{1099000000 + number:012d}",
        name=f"Nguyễn Văn Mẫu {number}",
        gender=number % 3,
        birth=date(1950 + number % 60, 1 + number % 12, 1 + number % 28),
        address=f"Số {number}, đường Ví Dụ",
        commune="Phường Mẫu",
        province="Tỉnh Ví Dụ",
        ethnicity="01",
        nationality="VN",
        changed_at=datetime(2026, 1, 1 + number % 28, 9, number % 60, tzinfo=UTC),
        share=Decimal(number) / 4,
        alive=number % 7 > 0,
    )


def _service(folder: Path, base_url: str) -> Any:
    from lienthong.connectors import base, soap, soap_documents

    chosen = base.Settings(base_url=base_url, max_concurrent=IN_FLIGHT)
    client = base.client("people", chosen, base.Surroundings("H38", None, lambda: datetime.now(UTC), None))
    described = soap_documents.Description(location=str(folder / "people.wsdl"))
    return soap.Service(client, described, system="people")


def in_flight(folder: Path, *, is_quick: bool) -> dict[str, float]:
    """Have 1,000 calls wait at once for a registry that takes a second."""
    import uvloop

    described(folder)
    port = figures.free_port()
    process = subprocess.Popen([sys.executable, __file__, "--registry", str(port)], env=figures.ENVIRONMENT)
    try:
        gate._wait_for(f"http://127.0.0.1:{port}/", process)
        return uvloop.run(_in_flight(folder, port, rounds=1 if is_quick else 5))
    finally:
        process.terminate()
        process.wait(10)


async def _in_flight(folder: Path, port: int, *, rounds: int) -> dict[str, float]:
    service, flying, most, added = _service(folder, f"http://127.0.0.1:{port}/registry"), 0, 0, []
    await asyncio.gather(*(service.call("people.list", {"word": "x"}) for _ in range(IN_FLIGHT)))  # connections
    before_kb = _memory_kb()

    async def one(begins_at: float) -> None:
        nonlocal flying, most
        await asyncio.sleep(max(0.0, begins_at - time.perf_counter()))
        begun = time.perf_counter()
        flying += 1
        most = max(most, flying)
        await service.call("people.list", {"word": "x"})
        flying -= 1
        added.append((time.perf_counter() - begun - TAKES_S) * 1e3)

    # They begin one after another through somewhat less than the second that each of them waits.
    for _ in range(rounds):
        first = time.perf_counter() + 0.2
        await asyncio.gather(*(one(first + number * 0.98 * TAKES_S / IN_FLIGHT) for number in range(IN_FLIGHT)))
    parts = statistics.quantiles(added, n=100)
    return {
        "added_p50_ms": statistics.median(added),
        "added_p99_ms": parts[98],
        "most_in_flight": most,
        "memory_mb": max(0, _memory_kb() - before_kb) / 1024,
        "memory_all_mb": _memory_kb() / 1024,
    }


def _memory_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def be_registry(port: int) -> None:
    """Be a registry that answers everything after a second."""
    inner = '<people.listResponse xmlns="urn:lienthong:v1"/>'
    await lookup_flight.answering(port, ENVELOPE.format(inner), TAKES_S)


def best(work: Callable[[], Any], times: int, rounds: int = 5) -> float:
    """Give the processor seconds of one run, from the quickest of some rounds."""
    return min(_timed(work, times) for _ in range(rounds))


def _timed(work: Callable[[], Any], times: int) -> float:
    begun = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - begun) / times


def lookups(folder: Path, *, is_quick: bool) -> dict[str, float]:
    """Have 1,000 lookups on their way through the whole hub."""
    return lookup_flight.measure(__file__, folder, seconds=3.0 if is_quick else 40.0)


PARTS: dict[str, Any] = {"message": message, "bulk": bulk, "in_flight": in_flight, "lookups": lookups}


if __name__ == "__main__":
    main()
