"""The pooled transport against real servers on 127.0.0.1, most of which misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import functools
import inspect
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import cast

import httpx
import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from lienthong.connectors import transport

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PATIENT = {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0, "total": 10.0}


def on_both_loops(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an asynchronous test on asyncio's own loop and on uvloop."""

    def run_test(*, run: Callable[[Awaitable[None]], None], **fixtures: object) -> None:
        run(test(**fixtures))

    signature = inspect.signature(test)
    loop = inspect.Parameter("run", inspect.Parameter.KEYWORD_ONLY)
    functools.update_wrapper(run_test, test)
    run_test.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*signature.parameters.values(), loop]
    )
    runners = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
    return cast(Callable[..., None], runners(run_test))


class Server:
    """What a test wants to know of a server: where it is, and what it has seen."""

    def __init__(self) -> None:
        self.url = ""
        self.connections = 0
        self.requests: list[bytes] = []
        self.closed = asyncio.Event()


@contextlib.asynccontextmanager
async def serving(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    seen = Server()
    tasks: set[asyncio.Task[None] | None] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        tasks.add(asyncio.current_task())
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await script(reader, writer)
        writer.transport.abort() if writer.is_closing() else writer.close()
        seen.closed.set()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    seen.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield seen
    finally:
        server.close()
        for task in tasks:
            if task is not None:
                task.cancel()
        await asyncio.sleep(0.01)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return head + await reader.readexactly(int(line.split(b":")[1]))
    return head


def answering(*answers: bytes, then_close: bool = False, seen: list[bytes] | None = None) -> Script:
    """Answer the requests of a connection in turn, then close or wait."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            request = await read_request(reader)
            if seen is not None:
                seen.append(request)
            writer.write(answer)
            await writer.drain()
        if not then_close:
            await reader.read()

    return script


async def ask(
    below: transport.PooledTransport,
    server: Server,
    *,
    method: str = "GET",
    content: bytes = b"",
    limit: int = 1 << 20,
    **timeouts: float,
) -> httpx.Response:
    extensions = {"timeout": {**PATIENT, **timeouts}, "max_answer_bytes": limit}
    request = httpx.Request(method, server.url + "/x", content=content, extensions=extensions)
    response = await below.handle_async_request(request)
    await response.aread()
    return response


@contextlib.asynccontextmanager
async def pooled(
    *, max_connections: int = 4, keep_idle_s: float = 4.0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[transport.PooledTransport]:
    below = transport.PooledTransport(max_connections=max_connections, keep_idle_s=keep_idle_s, tls=tls)
    try:
        yield below
    finally:
        await below.aclose()


async def failure(script: Script, **request: object) -> httpx.TransportError:
    async with serving(script) as server, pooled() as below:
        with pytest.raises(httpx.TransportError) as caught:
            await ask(below, server, **request)  # type: ignore[arg-type]
        return caught.value


@on_both_loops
async def test_one_connection_carries_many_requests() -> None:
    async with serving(answering(OK, OK, OK)) as server, pooled() as below:
        bodies = [(await ask(below, server, method="POST", content=b"tin")).content for _ in range(3)]
    assert bodies == [b"ok"] * 3
    assert server.connections == 1


@on_both_loops
async def test_head_and_body_of_a_request_arrive_together() -> None:
    first_reads = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first_reads.append(await reader.read(65_536))
        writer.write(OK)
        await reader.read()

    async with serving(script) as server, pooled() as below:
        await ask(below, server, method="POST", content=b"x" * 5_000)
    assert first_reads[0].endswith(b"\r\n\r\n" + b"x" * 5_000)


@on_both_loops
async def test_trailers_end_a_chunked_answer_without_becoming_headers() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked = head + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Late: 1\r\n\r\n"
    async with serving(answering(chunked, OK)) as server, pooled() as below:
        response = await ask(below, server)
        assert response.content == b"abcde"
        assert "x-late" not in response.headers
        assert (await ask(below, server)).content == b"ok"
    assert server.connections == 1


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 999999999\r\n\r\n"),
    ],
)
@on_both_loops
async def test_answers_without_a_body_leave_the_connection_usable(method: str, answer: bytes) -> None:
    async with serving(answering(answer, OK)) as server, pooled() as below:
        assert (await ask(below, server, method=method)).content == b""
        assert (await ask(below, server)).content == b"ok"
    assert server.connections == 1


@on_both_loops
async def test_a_body_may_end_with_the_connection() -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\nto the end"
    async with serving(answering(endless, then_close=True)) as server, pooled() as below:
        assert (await ask(below, server)).content == b"to the end"
        assert (await ask(below, server)).content == b"to the end"
    assert server.connections == 2


@on_both_loops
async def test_interim_answers_are_passed_over() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    async with serving(answering(interim + OK)) as server, pooled() as below:
        response = await ask(below, server)
    assert (response.status_code, response.content, response.headers.get("link")) == (200, b"ok", None)


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
@on_both_loops
async def test_an_answer_that_stops_is_a_read_timeout(start: bytes) -> None:
    error = await failure(answering(start), read=0.1, method="POST")
    assert isinstance(error, httpx.ReadTimeout)
    assert transport.was_sent(error)


@on_both_loops
async def test_a_dripping_answer_ends_at_the_total_time() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b".")
            await asyncio.sleep(0.02)

    assert isinstance(await failure(drip, read=5.0, total=0.2), httpx.ReadTimeout)


@on_both_loops
async def test_a_peer_that_does_not_read_is_a_write_timeout() -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(30)

    error = await failure(deaf, write=0.2, method="POST", content=bytes(30_000_000))
    assert isinstance(error, httpx.WriteTimeout)
    assert transport.was_sent(error)


@pytest.mark.parametrize(
    "start", [b"", b"HTTP/1.1 200 OK\r\nContent-Len", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"]
)
@on_both_loops
async def test_a_connection_closed_too_early_is_a_protocol_error_after_sending(start: bytes) -> None:
    error = await failure(answering(start, then_close=True), method="POST")
    assert type(error) is httpx.RemoteProtocolError
    assert transport.was_sent(error)


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>SSH-2.0 garbage</html>\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: one\r\n folded: two\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n123456",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 200_000,
    ],
    ids=["not-http", "folded", "two-lengths", "lengths-differ", "bad-chunk", "upgrade", "endless-head"],
)
@on_both_loops
async def test_what_is_not_http_is_malformed(answer: bytes) -> None:
    error = await failure(answering(answer), method="POST")
    assert isinstance(error, transport.AnswerMalformed)
    assert transport.was_sent(error)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001,
    ],
)
@on_both_loops
async def test_too_large_an_answer_is_given_up_without_waiting_for_its_end(answer: bytes) -> None:
    assert isinstance(await failure(answering(answer), limit=1000), transport.AnswerTooLarge)


@pytest.mark.parametrize("value", [b"a\r\nX-Evil: 1", b"a\nb", b"a\x00b"])
def test_a_header_cannot_smuggle_in_a_line(value: bytes) -> None:
    for pair in [(b"x-user", value), (value, b"x"), (b"Content-Length", b"1"), (b"transfer-encoding", b"x")]:
        with pytest.raises(httpx.LocalProtocolError) as caught:
            transport.header_lines([pair])
        assert not transport.was_sent(caught.value)
        assert "Evil" not in str(caught.value)


@pytest.mark.parametrize(
    ("method", "target"), [(b"GET", b"/a b"), (b"GET", b"/\r\nx"), (b"GET\r\n", b"/"), (b"GET", b"")]
)
@on_both_loops
async def test_a_path_or_method_cannot_smuggle_in_a_line(method: bytes, target: bytes) -> None:
    async with serving(answering(OK)) as server, pooled() as below:
        with pytest.raises(httpx.LocalProtocolError):
            await below.exchange(
                transport.Origin("http", "127.0.0.1", httpx.URL(server.url).port or 0),
                method,
                target,
                headers=transport.header_lines([]),
                timeouts=transport.Timeouts(),
                max_answer_bytes=100,
                idempotent=True,
            )
    assert server.connections == 0


@on_both_loops
async def test_a_connection_closed_while_idle_is_noticed_before_it_is_used() -> None:
    async with serving(answering(OK, then_close=True)) as server, pooled() as below:
        await ask(below, server, method="POST")
        await server.closed.wait()
        assert (await ask(below, server, method="POST")).content == b"ok"
    assert server.connections == 2


@on_both_loops
async def test_a_request_that_is_not_idempotent_is_never_sent_twice() -> None:
    seen: list[bytes] = []
    script = answering(OK, b"", then_close=True, seen=seen)
    async with serving(script) as server, pooled() as below:
        await ask(below, server, method="POST", content=b"first")
        with pytest.raises(httpx.RemoteProtocolError) as caught:
            await ask(below, server, method="POST", content=b"second")
    assert transport.was_sent(caught.value)
    assert [request.endswith(b"second") for request in seen] == [False, True]


@on_both_loops
async def test_an_idempotent_request_on_a_dead_connection_is_sent_once_more() -> None:
    seen: list[bytes] = []
    script = answering(OK, b"", then_close=True, seen=seen)
    async with serving(script) as server, pooled() as below:
        await ask(below, server)
        assert (await ask(below, server)).content == b"ok"
    assert (server.connections, len(seen)) == (2, 3)


FORGED = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"


@pytest.mark.parametrize("leftover", [FORGED, FORGED[:20], b"HTTP/1.1 204 No Content\r\n\r\n", b"?"])
@on_both_loops
async def test_leftover_bytes_never_become_the_next_answer(leftover: bytes) -> None:
    async with serving(answering(OK + leftover)) as server, pooled() as below:
        assert (await ask(below, server)).content == b"ok"
        assert (await ask(below, server)).content == b"ok"
    assert server.connections == 2


@pytest.mark.parametrize("unasked", [FORGED, FORGED[:20]])
@on_both_loops
async def test_bytes_that_come_while_idle_cost_the_connection(unasked: bytes) -> None:
    async def talkative(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        await asyncio.sleep(0.02)
        writer.write(unasked)
        await reader.read()

    async with serving(talkative) as server, pooled(keep_idle_s=60) as below:
        await ask(below, server)
        await asyncio.wait_for(server.closed.wait(), 5)
        assert (await ask(below, server)).content == b"ok"
    assert server.connections == 2


@on_both_loops
async def test_an_idle_connection_is_closed_after_a_while() -> None:
    async with serving(answering(OK)) as server, pooled(keep_idle_s=0.05) as below:
        await ask(below, server)
        await asyncio.wait_for(server.closed.wait(), 5)


@on_both_loops
async def test_requests_beyond_the_limit_wait_in_the_order_of_their_coming() -> None:
    seen: list[bytes] = []
    async with serving(answering(*[OK] * 9, seen=seen)) as server, pooled(max_connections=1) as below:
        await asyncio.gather(*(ask(below, server, method="POST", content=b"%d" % n) for n in range(9)))
    assert [request[-1:] for request in seen] == [b"%d" % n for n in range(9)]
    assert server.connections == 1


@on_both_loops
async def test_no_free_connection_in_time_is_a_pool_timeout_and_costs_no_place() -> None:
    async with serving(answering(b"", OK)) as server, pooled(max_connections=1) as below:
        slow = asyncio.create_task(ask(below, server, method="POST", read=0.3))
        await asyncio.sleep(0.05)
        with pytest.raises(httpx.PoolTimeout) as caught:
            await ask(below, server, pool=0.05)
        assert not transport.was_sent(caught.value)
        with pytest.raises(httpx.ReadTimeout):
            await slow
    async with serving(answering(OK)) as server, pooled(max_connections=1) as below:
        assert (await ask(below, server)).content == b"ok"


@on_both_loops
async def test_cancelled_requests_give_their_place_back() -> None:
    calls = 0

    async def first_hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        await answering(b"" if calls == 1 else OK)(reader, writer)

    async with serving(first_hangs) as server, pooled(max_connections=1) as below:
        tasks = [asyncio.create_task(ask(below, server)) for _ in range(3)]
        await asyncio.sleep(0.05)
        tasks[1].cancel()  # waits for a place
        tasks[0].cancel()  # waits for an answer
        assert (await tasks[2]).content == b"ok"
        assert [task.cancelled() for task in tasks] == [True, True, False]


@on_both_loops
async def test_a_waiter_cancelled_in_the_moment_of_its_turn_passes_the_turn_on() -> None:
    async with serving(answering(*[OK] * 9)) as server, pooled(max_connections=1) as below:

        async def ask_then_cancel_the_next() -> None:
            await ask(below, server)
            second.cancel()

        first = asyncio.create_task(ask_then_cancel_the_next())
        second, third = (asyncio.create_task(ask(below, server)) for _ in range(2))
        assert (await third).content == b"ok"
        assert [task.cancelled() for task in (first, second)] == [False, True]


@on_both_loops
async def test_a_refused_connection_gives_its_place_back() -> None:
    async with serving(answering(OK)) as server:
        pass
    async with pooled(max_connections=1) as below:
        for _ in range(3):
            with pytest.raises(httpx.ConnectError) as caught:
                await ask(below, server)
            assert not transport.was_sent(caught.value)


@on_both_loops
async def test_closing_the_transport_fails_what_is_under_way() -> None:
    async with serving(answering(b"")) as server, pooled(max_connections=1) as below:
        tasks = [asyncio.create_task(ask(below, server)) for _ in range(2)]
        await asyncio.sleep(0.05)
        await below.aclose()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [httpx.ReadError, httpx.ConnectError]


def make_certificate(folder: Path, name: str, *, host: str) -> tuple[str, str]:
    """Write a self-signed certificate for an address, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - day).not_valid_after(now + day)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
    certificate = builder.add_extension(alternative, critical=False).sign(key, hashes.SHA256())
    chain, secret = folder / f"{name}.pem", folder / f"{name}.key"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return str(chain), str(secret)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    return make_certificate(tmp_path, "may-chu", host="127.0.0.1")


def server_tls(certificate: tuple[str, str], *, clients: str | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    return context


@on_both_loops
async def test_a_trusted_certificate_is_accepted_and_the_connection_kept(
    certificate: tuple[str, str],
) -> None:
    tls = transport.tls_context(ca_file=certificate[0])
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n" + bytes(900_000)
    async with serving(answering(big, OK), tls=server_tls(certificate)) as server, pooled(tls=tls) as below:
        assert len((await ask(below, server, method="POST", content=bytes(900_000))).content) == 900_000
        assert (await ask(below, server)).content == b"ok"
    assert server.connections == 1


@on_both_loops
async def test_an_unknown_certificate_is_refused_with_the_reason(certificate: tuple[str, str]) -> None:
    async with serving(answering(OK), tls=server_tls(certificate)) as server, pooled() as below:
        with pytest.raises(transport.TlsFailed, match="self-signed certificate") as caught:
            await ask(below, server)
    assert not transport.was_sent(caught.value)


@on_both_loops
async def test_a_certificate_for_another_address_is_refused(tmp_path: Path) -> None:
    other = make_certificate(tmp_path, "noi-khac", host="192.0.2.1")
    tls = transport.tls_context(ca_file=other[0])
    async with serving(answering(OK), tls=server_tls(other)) as server, pooled(tls=tls) as below:
        with pytest.raises(transport.TlsFailed, match="mismatch"):
            await ask(below, server)


@on_both_loops
async def test_a_missing_client_certificate_is_a_tls_failure_before_sending(
    certificate: tuple[str, str], tmp_path: Path
) -> None:
    own = make_certificate(tmp_path, "truc", host="127.0.0.1")
    guarded = server_tls(certificate, clients=own[0])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Server()
        server.url = f"https://127.0.0.1:{listening.getsockname()[1]}"
        async with pooled(tls=transport.tls_context(ca_file=certificate[0])) as below:
            serve = asyncio.create_task(asyncio.to_thread(serve_one, listening, guarded))
            with pytest.raises(transport.TlsFailed) as caught:
                await ask(below, server, method="POST")
            assert not transport.was_sent(caught.value)
            await serve
        async with pooled(tls=transport.tls_context(ca_file=certificate[0], certificate=own)) as below:
            serve = asyncio.create_task(asyncio.to_thread(serve_one, listening, guarded))
            assert (await ask(below, server, method="POST")).content == b"ok"
        await serve


def serve_one(listening: socket.socket, tls: ssl.SSLContext) -> None:
    """Answer one request from a thread: asyncio's own servers close without the alert that says why."""
    connection, _ = listening.accept()
    protected = tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
    try:
        protected.do_handshake()
        protected.recv(65_536)
        protected.sendall(OK)
    except ssl.SSLError:
        pass  # The alert has been sent.
    with socket.socket(fileno=protected.detach()) as plain, contextlib.suppress(OSError):
        while plain.recv(65_536):  # Closing on unread bytes would reset the connection and lose the alert.
            pass


@on_both_loops
async def test_a_server_that_never_shakes_hands_is_a_connect_timeout() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    async with serving(mute) as server, pooled() as below:
        server.url = server.url.replace("http:", "https:")
        with pytest.raises(httpx.ConnectTimeout) as caught:
            await ask(below, server, connect=0.1)
    assert not transport.was_sent(caught.value)


PIECES = [
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.0 204\r\n",
    b"HTTP/1.1 999 ?\r\n",
    b"\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"abc",
    b"3\r\nabc\r\n",
    b"0\r\n\r\n",
    b"ffffffffffffffffff\r\n",
    b"Connection: upgrade\r\nUpgrade: h2c\r\n",
    b": x\r\n",
]


@given(
    pieces=st.lists(st.sampled_from(PIECES) | st.binary(max_size=20), max_size=8),
    method=st.sampled_from(["GET", "HEAD", "POST"]),
)
def test_whatever_comes_back_is_an_answer_or_an_error_of_httpx(pieces: list[bytes], method: str) -> None:
    async def attempt() -> None:
        async with serving(answering(b"".join(pieces), then_close=True)) as server, pooled() as below:
            with contextlib.suppress(httpx.TransportError):
                await ask(below, server, method=method)

    uvloop.run(asyncio.wait_for(attempt(), 20))


@given(cuts=st.lists(st.integers(1, 60), max_size=6))
def test_an_answer_reads_the_same_however_it_is_cut(cuts: list[int]) -> None:
    head = b"HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n"
    whole = head + b"6\r\nxin ch\r\n2\r\nao\r\n0\r\n\r\n"

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for piece in split(whole, sorted(cuts)):
            writer.write(piece)
            await asyncio.sleep(0.001)

    async def attempt() -> bytes:
        async with serving(script) as server, pooled() as below:
            return (await ask(below, server)).content

    assert uvloop.run(attempt()) == b"xin chao"


def split(whole: bytes, cuts: list[int]) -> Iterator[bytes]:
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        yield whole[start:end]
