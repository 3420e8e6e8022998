"""Pages beside the operations: health, figures, the reference, and an OpenAPI document that is true."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import builders
import doors
import httpx
import hypothesis
import lookup_town
import orjson
import payment_town
import post_town
import pytest
import uvicorn

from lienthong.bus import hub, operations
from lienthong.bus.gateway import answers, app, examples, figures

NEED_AN_OFFICIAL = {"residents.verify", "residents.look_up", "papers.find", "papers.fetch"}
INVENTED = {"messages.get", "payments.get", "payments.refund", "payments.receipt", "parcels.get", "parcels.cancel"}
CODE = examples.PATHS["dossiers.put"]["code"]


def outside() -> dict[str, Any]:
    return {
        "ngsp": lookup_town.Businesses(),
        "vnpay": payment_town.Intermediary(),
        "ems": post_town.Carrier(),
    }


@pytest.fixture
async def reader(sqlite_hub: hub.Hub):
    async with doors.client(sqlite_hub) as opened:
        yield opened


async def test_health_needs_no_key(reader: httpx.AsyncClient):
    assert (await reader.get("/health/live")).json() == {"status": "live"}
    ready = await reader.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert (await reader.head("/health/live")).status_code == 200


async def test_the_figures_count_requests_and_what_waits(sqlite_hub: hub.Hub):
    async def waiting() -> list[figures.Gauge]:
        return [figures.Gauge("messages_waiting", "Messages", 3, {"target": "dvcqg_adapter"})]

    door = app.create_app(sqlite_hub, gauges=waiting)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://hub") as reader:
        await reader.get("/v1/procedures")
        text = (await reader.get("/metrics")).text
    assert 'lienthong_requests_total{operation="procedures.list",outcome="Client.KeyRejected"} 1.0' in text
    assert 'lienthong_messages_waiting{target="dvcqg_adapter"} 3.0' in text


@pytest.mark.parametrize("language", answers.LANGUAGES)
async def test_the_reference_shows_everything_and_loads_nothing_from_outside(reader, language: str):
    answer = await reader.get(f"/docs?lang={language}")
    page = answer.text
    for operation in operations.OPERATIONS:
        assert f'id="{operation.name}"' in page
        assert operation.summary_vi in page
        assert operation.summary_en in page
    for kind in answers.known_errors():
        assert kind.code in page
        assert (kind().sentence(language)) in page.replace("&#x27;", "'")
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
    assert "<script>" not in page
    assert "style=" not in page
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    for file in set(re.findall(r'(?:src|href)="(/docs/static/[^"]+)"', page)):
        assert (await reader.get(file)).status_code == 200


async def test_what_is_not_there_is_a_problem_too(reader: httpx.AsyncClient):
    for method, path, status in [
        ("GET", "/nothing", 404),
        ("POST", "/docs", 405),
        ("GET", "/docs/static/..%2fapp.py", 404),
        ("GET", "/docs/static/app.py", 404),
    ]:
        answer = await reader.request(method, path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_pages_are_in_the_journal_as_well(reader: httpx.AsyncClient, sqlite_hub: hub.Hub):
    for path in ("/health/live", "/docs/static/reference.css", "/nothing/Nguyễn"):
        await reader.get(path)
    rows = await doors.journal(sqlite_hub)
    assert [(row.operation, row.route, row.outcome) for row in rows] == [
        ("health.live", "/health/live", "ok"),
        ("docs.static", "/docs/static/{name}", "ok"),
        ("unknown", "unknown", "Client.NotFound"),
    ]


async def test_the_examples_of_the_reference_work(tmp_path: Path):
    async with builders.running_hub(tmp_path, systems=builders.NOBODY) as opened:
        await builders.seed_procedure(opened)
        opened.systems = {**opened.systems, **outside()}
        key = (await builders.issue_key(opened)).key
        async with doors.client(opened, key=key) as caller:
            for operation in operations.OPERATIONS:
                path = operation.path.format(**examples.PATHS.get(operation.name, {}))
                query = examples.QUERIES.get(operation.name, "")
                answer = await caller.request(
                    operation.method, f"{path}?{query}", json=examples.BODIES.get(operation.name)
                )
                wanted = {operation.created or operation.success}
                # What the example names is invented, and an example brings no official who signed in.
                wanted = {404} if operation.name in INVENTED else wanted
                wanted = {403} if operation.name in NEED_AN_OFFICIAL else wanted
                assert answer.status_code in wanted, answer.text


async def test_putting_a_dossier_again_answers_200_and_the_path_must_agree(tmp_path: Path):
    async with builders.running_hub(tmp_path, systems=builders.NOBODY) as opened:
        await builders.seed_procedure(opened)
        key = (await builders.issue_key(opened)).key
        body = {name: value for name, value in examples.BODIES["dossiers.put"].items() if name != "code"}
        async with doors.client(opened, key=key) as caller:
            first = await caller.put(f"/v1/dossiers/{CODE}", json=body)
            again = await caller.put(f"/v1/dossiers/{CODE}", json={**body, "code": CODE})
            other = await caller.put(f"/v1/dossiers/{CODE}", json={**body, "code": CODE[:-1] + "2"})
    assert (first.status_code, first.json()["created"], first.json()["dossier"]["code"]) == (201, True, CODE)
    assert (again.status_code, again.json()["created"]) == (200, False)
    assert (other.status_code, other.json()["errors"][0]["field"]) == (400, "code")


class Server(threading.Thread):
    """The gateway on a port of its own, in a thread, with one procedure and one dossier in it."""

    def __init__(self, home: Path) -> None:
        super().__init__(daemon=True)
        self.home = home
        self.ready = threading.Event()
        self.key = ""
        self.url = ""

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        async with builders.running_hub(self.home, systems=builders.NOBODY) as opened:
            await builders.seed_procedure(opened)
            opened.systems = {**opened.systems, **outside()}
            self.key = (await builders.issue_key(opened, limits=["10000000/day"])).key
            config = uvicorn.Config(app.create_app(opened), port=0, log_level="critical", access_log=False)
            self.server = uvicorn.Server(config)
            serving = asyncio.create_task(self.server.serve())
            while not self.server.started:  # noqa: ASYNC110 (uvicorn offers no event)
                await asyncio.sleep(0.02)
            self.url = f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"
            self.ready.set()
            await serving


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    started = Server(tmp_path)
    started.start()
    assert started.ready.wait(90)
    yield started
    started.server.should_exit = True
    started.join(90)


@pytest.mark.hypothesis
def test_the_openapi_document_is_true(server: Server, tmp_path: Path):
    path = f"{server.url}/v1/dossiers/{CODE}"
    made = httpx.put(path, json=examples.BODIES["dossiers.put"], headers={"X-API-Key": server.key})
    assert made.status_code == 201
    checks = (
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
        "negative_data_rejection,unsupported_method,missing_required_header,ignored_auth"
    )
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"]
    command += ["--header", f"X-API-Key: {server.key}", "--checks", checks]
    # Five for each operation; with `make proofs` two hundred.
    most = hypothesis.settings.default.max_examples
    examples_each = 5 if most <= 50 else most // 5
    command += ["--max-examples", str(examples_each), "--seed", "7", "--no-color"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600 + 24 * examples_each)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


async def test_the_assertion_of_an_official_stands_in_document_and_reference(reader: httpx.AsyncClient):
    told = orjson.loads((await reader.get("/openapi.json")).content)
    wanted = {}
    for operation in operations.OPERATIONS:
        for part in told["paths"][operation.path][operation.method.lower()]["parameters"]:
            if part["name"] == "X-Official-Assertion":
                wanted[operation.name] = (part["in"], part["required"], " / " in part["description"])
    assert wanted == dict.fromkeys(NEED_AN_OFFICIAL, ("header", True, True))
    for language, word in (("vi", "hệ thống nơi cán bộ đăng nhập"), ("en", "where the official signed in")):
        page = (await reader.get(f"/docs?lang={language}")).text
        assert page.count("X-Official-Assertion: $ASSERTION") == len(NEED_AN_OFFICIAL)
        assert page.count(word) >= len(NEED_AN_OFFICIAL)


async def test_the_document_speaks_both_languages(reader: httpx.AsyncClient):
    told = orjson.loads((await reader.get("/openapi.json")).content)
    for operation in operations.OPERATIONS:
        part = told["paths"][operation.path][operation.method.lower()]
        assert (part["summary"], part["description"]) == (operation.summary_vi, operation.summary_en)
    assert told["components"]["securitySchemes"]["apiKey"]["name"] == "X-API-Key"
