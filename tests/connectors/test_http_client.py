"""The HTTP face of the connectors: every failure has a name, and every call is heard of once."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio
import respx

from lienthong.connectors import http, outcomes, transport
from lienthong.core import errors

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
BASE = "https://lgsp.example.vn/VXPAdapter/forward"
CITIZEN_ID = "001099000001"
LIMITS = http.Limits(
    max_concurrent=4, max_per_second=None, connect_s=2, read_s=2, total_s=5, max_answer_bytes=10_000
)


class Calls:
    """A client and what its journal hook heard."""

    def __init__(self, below: httpx.AsyncBaseTransport | None, *, base_url: str = BASE, **limits: Any) -> None:
        self.heard: list[http.Exchange] = []
        self.client = http.Client(
            system="vpcp",
            base_url=base_url,
            limits=dataclasses.replace(LIMITS, **limits),
            user_agent="lienthong/0.1 (trục liên thông)",
            clock=lambda: NOW,
            transport=below,
            on_exchange=self.heard.append,
        )


def answering(*args: Any, **kwargs: Any) -> Calls:
    return Calls(httpx.MockTransport(lambda request: httpx.Response(*args, **kwargs)))


@pytest.mark.asyncio
async def test_a_document_is_posted_under_the_base_address() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(201, json={"error_code": "0"})

    calls = Calls(httpx.MockTransport(answer))
    reply = await calls.client.post_json(
        "/mapi/g", {"tên": "Trần Thị Bình"}, operation="push", headers={"dstcode": "VN"}
    )
    assert (reply.status, reply.json()) == (201, {"error_code": "0"})
    assert str(seen[0].url) == BASE + "/mapi/g"
    assert seen[0].content == '{"tên":"Trần Thị Bình"}'.encode()
    assert (seen[0].headers["dstcode"], seen[0].headers["content-type"]) == ("VN", "application/json")


@pytest.mark.asyncio
async def test_the_journal_hears_of_a_call_without_its_values() -> None:
    calls = answering(200, json={})
    await calls.client.get(
        "/residents/{id}",
        operation="look_up",
        path_values={"id": CITIZEN_ID},
        query={"name": "Bình"},
        message_id="m-1",
    )
    (exchange,) = calls.heard
    assert (exchange.system, exchange.operation, exchange.path) == ("vpcp", "look_up", "/residents/{id}")
    assert (exchange.method, exchange.status, exchange.outcome) == ("GET", 200, http.OUTCOME_OK)
    assert (exchange.started_at, exchange.message_id, exchange.bytes_in) == (NOW, "m-1", 2)
    assert CITIZEN_ID not in repr(exchange)


@pytest.mark.asyncio
async def test_values_cannot_leave_their_place_in_the_path() -> None:
    seen: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path)
        return httpx.Response(200)

    client = Calls(httpx.MockTransport(answer)).client
    await client.get("/dossiers/{code}", operation="read", path_values={"code": "a/../b?c=1#d"})
    assert seen == [b"/VXPAdapter/forward/dossiers/a%2F..%2Fb%3Fc%3D1%23d"]
    for code in ("", ".", ".."):
        with pytest.raises(errors.InvalidRequest):
            await client.get("/dossiers/{code}", operation="read", path_values={"code": code})


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body", [b"", b"  ", b"<html>" + CITIZEN_ID.encode(), b'{"a": ', '{"a": "ấ"}'.encode("utf-16")]
)
async def test_what_is_not_json_is_garbled_and_not_quoted(body: bytes) -> None:
    reply = await answering(200, content=body).client.get("/x", operation="read")
    with pytest.raises(errors.RemoteGarbled) as caught:
        reply.json()
    assert caught.value.system == "vpcp"
    assert CITIZEN_ID not in f"{caught.value} {reply}"


@pytest.mark.asyncio
async def test_a_byte_order_mark_before_json_is_forgiven() -> None:
    reply = await answering(200, content=b'\xef\xbb\xbf{"a":1}').client.get("/x", operation="read")
    assert reply.json() == {"a": 1}


@pytest.mark.asyncio
async def test_unauthorised_comes_back_so_that_auth_may_renew() -> None:
    calls = answering(401)
    assert (await calls.client.post_json("/x", {}, operation="push")).status == 401
    assert calls.heard[0].outcome == http.OUTCOME_RETURNED


@pytest.mark.asyncio
async def test_a_connector_may_ask_to_see_other_statuses() -> None:
    reply = await answering(404, text="<900xxx/>").client.get("/x", operation="read", returns={404})
    assert (reply.status, reply.body) == (404, b"<900xxx/>")


@pytest.mark.asyncio
async def test_a_refusal_names_its_code_and_is_heard_once() -> None:
    calls = answering(400, text=f"bad number {CITIZEN_ID}")
    with pytest.raises(errors.RemoteRefused) as caught:
        await calls.client.get("/x", operation="read", query={"id": CITIZEN_ID})
    assert caught.value.remote_code == "HTTP 400"
    assert CITIZEN_ID not in f"{caught.value}{caught.value!r}{calls.heard}"
    assert [exchange.outcome for exchange in calls.heard] == ["Server.Remote.Refused"]


STATUSES = [
    (200, {}, True, None),
    (299, {}, False, None),
    (302, {}, True, errors.RemoteGarbled),
    (401, {}, True, errors.RemoteForbids),
    (403, {}, True, errors.RemoteForbids),
    (404, {}, True, errors.RemoteRefused),
    (408, {}, False, errors.RemoteUnavailable),
    (422, {}, False, errors.RemoteRefused),
    (429, {}, False, errors.RemoteBusy),
    (500, {}, True, errors.RemoteUnavailable),
    (500, {}, False, errors.OutcomeUnknown),
    (502, {}, False, errors.RemoteUnavailable),
    (503, {}, False, errors.RemoteUnavailable),
    (503, {"retry-after": "7"}, False, errors.RemoteBusy),
    (504, {}, True, errors.RemoteUnavailable),
    (999, {}, True, errors.RemoteGarbled),
    (500, {"x-road-error": "Server.ServerProxy.NetworkError"}, False, errors.RemoteUnavailable),
    (200, {"x-road-error": "Server.ClientProxy.IOError"}, True, errors.RemoteUnavailable),
    (400, {"x-road-error": "Client.BadRequest"}, True, errors.RemoteForbids),
]


@pytest.mark.parametrize(("status", "headers", "idempotent", "expected"), STATUSES)
def test_a_status_has_one_meaning(
    status: int, headers: dict[str, str], idempotent: bool, expected: type[errors.RemoteError] | None
) -> None:
    refusal = outcomes.refusal_of(status, headers, system="vpcp", idempotent=idempotent, now=NOW)
    assert refusal is None if expected is None else type(refusal) is expected


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateway_fault_says_whether_the_outcome_is_certain(status: int) -> None:
    for idempotent in (True, False):
        refusal = outcomes.refusal_of(status, {}, system="vpcp", idempotent=idempotent, now=NOW)
        assert refusal is not None
        assert refusal.facts.get("outcome_uncertain", False) is not idempotent


def test_a_fault_of_the_exchange_layer_is_named_only_if_it_looks_like_a_code() -> None:
    names = ["Server.ServerProxy.NetworkError", f"Server.x {CITIZEN_ID} <script>"]
    codes = []
    for name in names:
        refusal = outcomes.refusal_of(500, {"x-road-error": name}, system="s", idempotent=True, now=NOW)
        codes.append(refusal.remote_code if refusal else None)
    assert codes == ["Server.ServerProxy.NetworkError", "X-Road-Error"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("120", 120.0),
        ("0", 1.0),
        ("999999999999999999999", 3600.0),
        ("Fri, 20 Nov 2026 03:01:30 GMT", 90.0),
        ("Fri, 20 Nov 2026 10:01:30 +0700", 90.0),
        ("Fri, 20 Nov 2026 02:00:00 GMT", 1.0),
        ("Sun, 20 Nov 2033 02:00:00 GMT", 3600.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("٣", None),
        ("Fri, 99 Nov 2026 99:00:00 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_forms_and_kept_within_bounds(value: str, expected: float | None) -> None:
    assert outcomes.parse_retry_after(value, now=NOW) == expected


@pytest.mark.parametrize(
    ("error", "idempotent", "expected"),
    [
        (httpx.ConnectError(""), False, errors.RemoteUnavailable),
        (httpx.ConnectTimeout(""), False, errors.RemoteUnavailable),
        (httpx.PoolTimeout(""), False, errors.RemoteUnavailable),
        (httpx.ReadTimeout(""), False, errors.OutcomeUnknown),
        (httpx.ReadTimeout(""), True, errors.RemoteUnavailable),
        (httpx.WriteError(""), False, errors.OutcomeUnknown),
        (httpx.RemoteProtocolError(""), False, errors.OutcomeUnknown),
        (transport.TlsFailed(""), False, errors.RemoteUnavailable),
        (transport.AnswerMalformed(""), False, errors.RemoteGarbled),
        (transport.AnswerTooLarge(""), True, errors.RemoteGarbled),
        (httpx.LocalProtocolError(""), False, errors.InternalFault),
    ],
)
def test_a_failure_on_the_way_has_one_meaning(
    error: httpx.TransportError, idempotent: bool, expected: type[errors.HubError]
) -> None:
    assert type(outcomes.failure_of(error, system="vpcp", idempotent=idempotent)) is expected


async def drop_after_reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


@pytest_asyncio.fixture
async def dropping_url() -> AsyncIterator[str]:
    """Serve requests by reading their head and closing."""
    server = await asyncio.start_server(drop_after_reading, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@pytest.mark.asyncio
async def test_a_drop_after_sending_leaves_the_outcome_unknown_unless_idempotent(dropping_url: str) -> None:
    calls = Calls(None, base_url=dropping_url)
    with pytest.raises(errors.OutcomeUnknown):
        await calls.client.post_json("/x", {}, operation="push")
    with pytest.raises(errors.RemoteUnavailable):
        await calls.client.post_json("/x", {}, operation="push", idempotent=True)
    await calls.client.close()
    assert [exchange.outcome for exchange in calls.heard] == [
        "Server.Remote.OutcomeUnknown",
        "Server.Remote.Unavailable",
    ]


@pytest.mark.asyncio
async def test_an_unreachable_system_got_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    calls = Calls(None, base_url=url)
    with pytest.raises(errors.RemoteUnavailable):
        await calls.client.post_json("/x", {"a": 1}, operation="push")
    await calls.client.close()
    assert (calls.heard[0].bytes_out, calls.heard[0].status) == (0, None)
    assert "ConnectError" in calls.heard[0].error


@pytest.mark.asyncio
async def test_an_answer_that_takes_too_long_ends_below_any_transport() -> None:
    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        return httpx.Response(200)

    calls = Calls(httpx.MockTransport(never), total_s=0.05)
    with pytest.raises(errors.OutcomeUnknown):
        await calls.client.post_json("/x", {}, operation="push")
    assert len(calls.heard) == 1


@pytest.mark.asyncio
async def test_a_caller_that_stops_waiting_is_heard_of_and_frees_its_place() -> None:
    async def never_first(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60 if request.url.path.endswith("slow") else 0)
        return httpx.Response(200)

    calls = Calls(httpx.MockTransport(never_first), max_concurrent=1)
    slow = asyncio.create_task(calls.client.get("/slow", operation="read"))
    await asyncio.sleep(0.01)
    slow.cancel()
    await calls.client.get("/quick", operation="read")
    assert [exchange.outcome for exchange in calls.heard] == [http.OUTCOME_INTERRUPTED, http.OUTCOME_OK]


@pytest.mark.asyncio
async def test_no_more_calls_run_at_once_than_allowed() -> None:
    running, most = 0, 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1
        return httpx.Response(200)

    client = Calls(httpx.MockTransport(answer), max_concurrent=3).client
    await asyncio.gather(*(client.get("/x", operation="read") for _ in range(12)))
    assert most == 3


@pytest.mark.asyncio
async def test_a_call_whose_turn_is_too_far_off_is_put_off_and_not_sent() -> None:
    sent: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        return httpx.Response(200)

    calls = Calls(httpx.MockTransport(answer), max_per_second=0.01)
    await calls.client.get("/x", operation="read")
    with pytest.raises(errors.RemoteBusy) as caught:
        await calls.client.get("/x", operation="read")
    assert caught.value.retry_after_s == pytest.approx(100, abs=5)
    assert (len(sent), len(calls.heard)) == (1, 2)


@pytest.mark.asyncio
async def test_paced_calls_all_get_through() -> None:
    calls = Calls(httpx.MockTransport(lambda request: httpx.Response(200)), max_per_second=200.0)
    await asyncio.gather(*(calls.client.get("/x", operation="read") for _ in range(8)))
    assert {exchange.outcome for exchange in calls.heard} == {http.OUTCOME_OK}


@pytest.mark.asyncio
async def test_a_packed_answer_is_unpacked_within_the_limit() -> None:
    packed = {"content-encoding": "gzip"}
    small = answering(200, stream=httpx.ByteStream(gzip.compress(b'{"a":1}')), headers=packed)
    assert (await small.client.get("/x", operation="read")).json() == {"a": 1}
    too_large = [gzip.compress(bytes(size)) for size in (10_001, 1_000_000)]
    for body in (*too_large, b"not packed", gzip.compress(b"cut")[:-4]):
        calls = answering(200, stream=httpx.ByteStream(body), headers=packed)
        with pytest.raises(errors.RemoteGarbled):
            await calls.client.get("/x", operation="read")


@pytest.mark.asyncio
async def test_too_large_an_answer_is_garbled_below_any_transport() -> None:
    with pytest.raises(errors.RemoteGarbled):
        await answering(200, content=bytes(10_001)).client.get("/x", operation="read")


@pytest.mark.asyncio
async def test_a_line_break_in_a_header_never_leaves_the_house(dropping_url: str) -> None:
    calls = Calls(None, base_url=dropping_url)
    with pytest.raises(errors.InternalFault):
        await calls.client.get("/x", operation="read", headers={"x-road-userid": "a\r\nx-evil: 1"})
    await calls.client.close()
    assert "evil" not in calls.heard[0].error


@pytest.mark.parametrize(
    "url", ["lgsp.example.vn", "ftp://a.vn", "https://u:p@a.vn", "https://a.vn/?key=1", "http://a.vn:cong", ""]
)
def test_an_unusable_address_stops_the_start(url: str) -> None:
    with pytest.raises(errors.Misconfigured):
        Calls(None, base_url=url)


@pytest.mark.asyncio
async def test_respx_may_stand_below() -> None:
    router = respx.Router(assert_all_called=False)
    router.post(BASE + "/mapi/login").respond(200, json={"session": "phien-thu"})
    calls = Calls(httpx.MockTransport(router.async_handler))
    reply = await calls.client.post_json("/mapi/login", {}, operation="login")
    assert reply.json() == {"session": "phien-thu"}


async def application(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """Answer with the path asked for, as the sandbox's applications would."""
    headers = [(b"content-type", b"application/json"), (b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'"%b"' % scope["path"].encode()})


@pytest.mark.asyncio
async def test_an_application_may_stand_below_without_a_socket() -> None:
    calls = Calls(httpx.ASGITransport(app=application))
    reply = await calls.client.get("/mapi/g", operation="read")
    assert reply.json() == "/VXPAdapter/forward/mapi/g"
    assert reply.headers["set-cookie"] == "a=1, b=2"
