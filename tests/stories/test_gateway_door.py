"""The door: who is let in, what is refused and how it is said, and one row of the journal for every request."""

from __future__ import annotations

import asyncio

import builders
import doors
import httpx
import pytest

from lienthong.api_keys import key_text, keys
from lienthong.bus import hub
from lienthong.bus.gateway import app
from lienthong.core import errors

CODE = "000.00.00.H38-260115-0001"
BOTH = ("vi", "en")


@pytest.fixture
async def caller(sqlite_hub: hub.Hub):
    issued = await builders.issue_key(sqlite_hub)
    async with doors.client(sqlite_hub, desk=doors.Desk(), key=issued.key) as opened:
        yield opened


async def test_a_granted_call_is_served_and_written_down(sqlite_hub: hub.Hub):
    issued = await builders.issue_key(sqlite_hub, limits=["600/minute", "50000/day"])
    async with doors.client(sqlite_hub, desk=doors.Desk(), key=issued.key) as caller:
        answer = await caller.get("/v1/notes")
    assert (answer.status_code, answer.json()) == (200, {"number": 1})
    assert answer.headers["ratelimit-policy"] == '"minute";q=600;w=60, "day";q=50000;w=86400'
    assert answer.headers["ratelimit"].startswith('"minute";r=599;t=60, "day";r=49999;t=')
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    [row] = await doors.journal(sqlite_hub)
    assert row.request_id == answer.headers["x-request-id"]
    assert (row.operation, row.route, row.outcome, row.status) == ("notes.get", "/v1/notes", "ok", 200)
    assert (row.key_id, row.organisation, row.address) == (issued.record.id, "Sở Tư pháp", "192.0.2.7")
    assert row.bytes_out == len(answer.content)


@pytest.mark.parametrize("language", BOTH)
@pytest.mark.parametrize("case", ["unknown", "malformed", "expired", "revoked"])
async def test_a_key_that_does_not_hold_is_refused_in_one_sentence(sqlite_hub: hub.Hub, case: str, language: str):
    issued = await builders.issue_key(sqlite_hub, days=1 / 86400 / 1000 if case == "expired" else 1)
    key = {"unknown": key_text.new("test"), "malformed": issued.key[:-1] + "?"}.get(case, issued.key)
    if case == "revoked":
        now = sqlite_hub.now()
        await keys.revoke(sqlite_hub.storage, issued.record.id, reason="lộ khoá", actor="an", now=now)
    async with doors.client(sqlite_hub, desk=doors.Desk(), key=key) as caller:
        answer = await caller.get("/v1/notes", headers={"Accept-Language": language})
    assert answer.status_code == 401
    said = {"vi": "Khoá API không hợp lệ.", "en": "The API key is not valid."}[language]
    assert answer.json()["detail"].startswith(said)
    assert "www-authenticate" in answer.headers
    [row] = await doors.journal(sqlite_hub)
    assert row.outcome == "Client.KeyRejected"
    assert row.rule == case
    assert (row.key_id == issued.record.id) == (case in ("expired", "revoked"))


REFUSED = [
    ("no key", {"headers": {"X-API-Key": ""}}, 401, "Client.KeyRejected", "X-API-Key", "X-API-Key"),
    (
        "key as bearer",
        {"headers": [("Authorization", "Bearer x")]},
        401,
        "Client.ProofRejected",
        "token",
        "tokens",
    ),
    ("unknown address", {"url": "/v1/nothing"}, 404, "Client.NotFound", "/docs", "/docs"),
    ("wrong method", {"method": "PATCH"}, 405, "Client.MethodNotAllowed", "phương thức", "method"),
    ("key in the address", {"url": "/v1/notes?api_key=x"}, 400, "Client.InvalidRequest", "địa chỉ", "address"),
    ("unknown parameter", {"url": "/v1/notes?x=1"}, 400, "Client.InvalidRequest", "không biết", "does not know"),
    ("not JSON", {"content": b"{"}, 400, "Client.InvalidRequest", "không phải là JSON", "not JSON"),
    ("wrong encoding", {"content": b'{"text":"\xe2"}'}, 400, "Client.InvalidRequest", "UTF-8", "UTF-8"),
    ("deep nesting", {"content": b"[" * 90 + b"]" * 90}, 400, "Client.InvalidRequest", "32 tầng", "32 levels"),
    ("a list", {"content": b"[]"}, 400, "Client.InvalidRequest", "đối tượng", "object"),
    ("too large", {"content": b'"' + b"a" * 2_000_000 + b'"'}, 413, "Client.BodyTooLarge", "2000000", "2000000"),
    ("a form", {"data": {"text": "x"}}, 415, "Client.UnsupportedMedia", "application/json", "application/json"),
    ("charset", {"type": "application/json; charset=tcvn"}, 415, "Client.UnsupportedMedia", "UTF-8", "UTF-8"),
    ("compressed", {"encoding": "gzip"}, 415, "Client.UnsupportedMedia", "nén", "compressed"),
    ("a defect", {"content": b'{"text":"defect"}'}, 500, "Server.Hub.Internal", "lỗi nội bộ", "defect"),
]


@pytest.mark.parametrize("language", BOTH)
@pytest.mark.parametrize(
    ("name", "request_", "status", "code", "vi", "en"), REFUSED, ids=[case[0] for case in REFUSED]
)
async def test_what_is_wrong_is_said_in_both_languages(
    caller: httpx.AsyncClient, sqlite_hub: hub.Hub, name, request_, status, code, vi, en, language
):
    sent = {"method": "POST", "url": "/v1/notes", "content": b'{"text":"x"}', **request_}
    if "data" in sent:
        del sent["content"]
    if name == "key as bearer":
        del caller.headers["X-API-Key"]
    headers = {"Content-Type": sent.pop("type", "application/json"), "Accept-Language": language}
    headers |= dict(sent.pop("headers", {}))
    if "data" in sent:
        del headers["Content-Type"]
    if "encoding" in sent:
        headers["Content-Encoding"] = sent.pop("encoding")
    answer = await caller.request(headers=headers, **sent)
    told = answer.json()
    assert (answer.status_code, told["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["content-language"] == language
    assert (vi if language == "vi" else en) in told["detail"]
    assert told["request_id"] == answer.headers["x-request-id"]
    [row] = await doors.journal(sqlite_hub)
    assert (row.outcome, row.status, row.request_id) == (code, status, told["request_id"])


async def test_a_missing_grant_names_the_operation(sqlite_hub: hub.Hub):
    issued = await builders.issue_key(sqlite_hub, grants=["procedures.list"])
    async with doors.client(sqlite_hub, desk=doors.Desk(), key=issued.key) as caller:
        answer = await caller.get("/v1/notes")
    assert answer.status_code == 403
    assert "notes.get" in answer.json()["detail"]
    [row] = await doors.journal(sqlite_hub)
    assert (row.outcome, row.key_id) == ("Client.NotGranted", issued.record.id)


async def test_a_defect_shows_nothing_of_itself_and_logs_no_personal_data(caller: httpx.AsyncClient, caplog):
    answer = await caller.post("/v1/notes", json={"text": "defect"})
    assert answer.status_code == 500
    assert "Nguyễn" not in answer.text
    [record] = caplog.records
    assert record.request_id == answer.json()["request_id"]
    assert "ValueError" in record.defect
    assert "in note" in record.defect
    assert "001099000001" not in record.defect


async def test_the_route_is_written_never_the_path(caller: httpx.AsyncClient, sqlite_hub: hub.Hub):
    await caller.get(f"/v1/dossiers/{CODE}")
    await caller.get("/v1/dossiers/001099000001")
    await caller.get("/v1/Nguyễn-Văn-Mẫu")
    await caller.get("/Nguyễn-Văn-Mẫu?name=Nguyễn")
    rows = await doors.journal(sqlite_hub)
    assert [(row.route, row.dossier_code) for row in rows] == [
        ("/v1/dossiers/{code}", CODE),
        ("/v1/dossiers/{code}", None),
        ("unknown", None),
        ("unknown", None),
    ]


@pytest.mark.parametrize("path", ["/v1/dossiers/%ff", "/v1/dossiers/a%00b", "/v1/dossiers/a%0ab"])
async def test_oddities_in_a_path_are_refused_in_words(caller: httpx.AsyncClient, path: str):
    answer = await caller.get(path)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "code"


@pytest.mark.parametrize("path", ["/v1/dossiers/", "/v1/dossiers/a%2Fb", "/v1/dossiers/%F0%9F%98%80", "/v1//n"])
async def test_other_oddities_are_no_defect(caller: httpx.AsyncClient, path: str):
    assert (await caller.get(path)).status_code in (200, 404)


async def test_the_callers_own_number_is_kept_beside_ours(caller: httpx.AsyncClient, sqlite_hub: hub.Hub):
    answer = await caller.get("/v1/notes", headers={"X-Request-Id": "mot-cua-77"})
    assert answer.headers["x-correlation-id"] == "mot-cua-77"
    assert answer.headers["x-request-id"] != "mot-cua-77"
    odd = await caller.get("/v1/notes", headers={"X-Request-Id": "a b"})
    assert "x-correlation-id" not in odd.headers
    row, _ = await doors.journal(sqlite_hub)
    assert row.correlation == "mot-cua-77"


async def test_head_and_options_are_served(caller: httpx.AsyncClient):
    head = await caller.head("/v1/notes")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "12")
    options = await caller.options("/v1/notes")
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    assert (await caller.delete("/v1/notes")).headers["allow"] == "GET, HEAD, OPTIONS, POST"


async def test_a_chunked_body_is_cut_at_the_limit(caller: httpx.AsyncClient):
    sent = 0

    async def endless():
        nonlocal sent
        while sent < 50_000_000:
            sent += 100_000
            yield b"a" * 100_000

    answer = await caller.post("/v1/notes", content=endless(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert sent <= 2_200_000


async def test_a_body_that_does_not_come_is_not_waited_for(tmp_path):
    async with builders.running_hub(tmp_path, gateway={"body_timeout_s": 0.05}) as opened:
        issued = await builders.issue_key(opened)

        async def stuck():
            yield b"{"
            await asyncio.sleep(5)
            yield b"}"

        async with doors.client(opened, desk=doors.Desk(), key=issued.key) as caller:
            kind = {"Content-Type": "application/json"}
            answer = await caller.post("/v1/notes", content=stuck(), headers=kind)
    assert (answer.status_code, answer.json()["code"]) == (408, "Client.BodyTooSlow")


async def test_a_revoked_key_is_refused_within_a_second(caller: httpx.AsyncClient, sqlite_hub: hub.Hub):
    assert (await caller.get("/v1/notes")).status_code == 200
    [key] = await keys.list_keys(sqlite_hub.storage)
    await keys.revoke(sqlite_hub.storage, key.id, reason="lộ khoá", actor="an", now=sqlite_hub.now())
    await asyncio.sleep(0.55)
    assert (await caller.get("/v1/notes")).status_code == 401


async def test_a_database_that_is_away_is_never_a_false_401(caller, sqlite_hub: hub.Hub, monkeypatch):
    def away():
        raise errors.StorageUnavailable()

    monkeypatch.setattr(sqlite_hub.storage, "reading", away)
    answer = await caller.get("/v1/notes")
    assert (answer.status_code, answer.json()["code"]) == (503, "Server.Hub.Storage")
    assert int(answer.headers["retry-after"]) > 0
    assert (await caller.get("/health/ready")).status_code == 503
    assert (await caller.get("/health/live")).status_code == 200


def _scope(key: str, *, path: str = "/v1/notes") -> dict:
    headers = [(b"x-api-key", key.encode()), (b"content-type", b"application/json")]
    return {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": headers, "client": ("192.0.2.7", 5000),
    }  # fmt: skip


async def test_a_request_that_is_cut_off_is_written_down(sqlite_hub: hub.Hub):
    door = app.create_app(sqlite_hub, table=doors.Desk().table())
    messages = [{"type": "http.request", "body": b'{"te', "more_body": True}, {"type": "http.disconnect"}]

    async def receive():
        return messages.pop(0)

    async def send(message):
        pass

    await door(_scope((await builders.issue_key(sqlite_hub)).key), receive, send)
    [row] = await doors.journal(sqlite_hub)
    assert (row.outcome, row.bytes_in) == ("Client.BodyCutOff", 4)


async def test_a_request_that_is_cancelled_is_written_down_once(sqlite_hub: hub.Hub):
    desk = doors.Desk()
    door = app.create_app(sqlite_hub, table=desk.table())
    scope = _scope((await builders.issue_key(sqlite_hub)).key, path="/v1/slow")

    async def receive():
        return {"type": "http.request", "body": b'{"text":"a"}'}

    async def send(message):
        pass

    running = asyncio.create_task(door(scope, receive, send))
    await desk.started.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    [row] = await doors.journal(sqlite_hub)
    assert (row.operation, row.outcome, row.status) == ("notes.slow", "cancelled", None)


async def test_two_hundred_requests_at_once_leave_two_hundred_rows(sqlite_hub: hub.Hub):
    issued = await builders.issue_key(sqlite_hub, limits=["120/minute"])
    async with doors.client(sqlite_hub, desk=doors.Desk(), key=issued.key) as caller:
        answers = await asyncio.gather(*(caller.get("/v1/notes") for _ in range(200)))
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(200), statuses.count(429)) == (120, 80)
    rows = await doors.journal(sqlite_hub)
    assert {row.request_id for row in rows} == {answer.headers["x-request-id"] for answer in answers}
    assert len(rows) == 200
