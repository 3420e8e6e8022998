"""A SIEM behind TLS, and witnesses by command and by HTTPS: well, wrong, away, or hanging."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import ipaddress
import json
import shlex
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio
import record
import sealed
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lienthong.bus import hub as hubs
from lienthong.core import crypto, errors, storage
from lienthong.monitoring import checkpoints, exports, merkle, seals, siem, siem_forms, siem_targets, witnesses

SYSLOG = functools.partial(siem_forms.syslog, pseudonym=lambda name: "0123abcd", host="hub")
SIGNER = crypto.Signer.from_seed(bytes(32))
WITNESS_KEY = checkpoints.cosigner("thanh-tra", SIGNER).text


class Authority:
    """A certificate authority made for one test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "thu nghiem")])
        self.file = folder / "ca.pem"
        self.file.write_bytes(self._pem(self._signed(self._name, self._key.public_key(), is_ca=True)))

    def issue(self, name: str, *, address: str = "127.0.0.1") -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        paths = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        paths[0].write_bytes(self._pem(self._signed(subject, key.public_key(), address=address)))
        form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
        return paths

    def server(self, *, asks_clients: bool = False, address: str = "127.0.0.1") -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue("server", address=address))
        if asks_clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.file)
        return context

    def _signed(
        self, subject: x509.Name, key: Any, *, is_ca: bool = False, address: str | None = None
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key)
        made = made.serial_number(x509.random_serial_number())
        made = made.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
        made = made.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        if address:
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
            made = made.add_extension(names, critical=False)
        return made.sign(self._key, hashes.SHA256())

    @staticmethod
    def _pem(found: x509.Certificate) -> bytes:
        return found.public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


# ---------------------------------------------------------------------------------------------------------- a SIEM


class Siem:
    """Takes syslog over TLS and reads it by the counts of its frames (RFC 5425 §4.3)."""

    def __init__(self) -> None:
        self.taken = b""
        self.is_deaf = False

    @contextlib.asynccontextmanager
    async def listening(self, tls: ssl.SSLContext | None, port: int = 0) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._take, "127.0.0.1", port, ssl=tls)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while self.is_deaf:  # noqa: ASYNC110  it is only to hang
            await asyncio.sleep(0.02)
        with contextlib.suppress(OSError):
            while block := await reader.read(65_536):
                self.taken += block
        writer.close()

    def numbers(self) -> list[int]:
        found, rest = [], self.taken
        while rest:
            count, _, rest = rest.partition(b" ")
            message, rest = rest[: int(count)], rest[int(count) :]
            found.append(orjson.loads(message[message.index(b"{") :])["event"]["sequence"])
        return found


def follower(hub: hubs.Hub, url: str) -> siem.Follower:
    place = hub.settings.home / "followers" / "siem.json"
    target = siem_targets.opened(url, is_syslog=True)
    return siem.Follower(record.sources(hub), target, form=SYSLOG, position_file=place)


async def run_out(one: siem.Follower) -> None:
    while await one.step(now=record.NOW):
        pass
    await one.step(now=record.NOW)


@pytest_asyncio.fixture
async def filled(sqlite_hub: hubs.Hub) -> hubs.Hub:
    await record.put(sqlite_hub, record.of_days(sqlite_hub.settings.home, days=1, a_day=1_200))
    return sqlite_hub


async def test_syslog_over_tls_arrives_whole_and_framed(filled: hubs.Hub, authority: Authority) -> None:
    there = Siem()
    async with there.listening(authority.server()) as port:
        await run_out(follower(filled, f"tls://127.0.0.1:{port}?ca={authority.file}"))
        await asyncio.sleep(0.1)
    assert there.numbers() == list(range(1, 1_201))


async def test_a_siem_with_a_certificate_of_nobody_gets_nothing(
    filled: hubs.Hub, authority: Authority, tmp_path: Path
) -> None:
    there = Siem()
    other = Authority(tmp_path / "other")
    async with there.listening(other.server()) as port:
        for url in (f"tls://127.0.0.1:{port}?ca={authority.file}", f"tls://127.0.0.1:{port}"):
            with pytest.raises(ssl.SSLCertVerificationError):
                await follower(filled, url).step(now=record.NOW)
    async with there.listening(authority.server(address="127.0.0.9")) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            await follower(filled, f"tls://127.0.0.1:{port}?ca={authority.file}").step(now=record.NOW)
    assert there.taken == b""


async def test_a_siem_that_asks_who_we_are_is_told(filled: hubs.Hub, authority: Authority) -> None:
    there = Siem()
    certificate, key = authority.issue("hub")
    async with there.listening(authority.server(asks_clients=True)) as port:
        url = f"tls://127.0.0.1:{port}?ca={authority.file}"
        with pytest.raises(OSError):
            await run_out(follower(filled, url))
        await run_out(follower(filled, f"{url}&cert={certificate}&key={key}"))
        await asyncio.sleep(0.1)
    assert sorted(set(there.numbers())) == list(range(1, 1_201))


async def test_a_siem_that_hangs_is_given_up_and_gets_everything_later(
    filled: hubs.Hub, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(siem_targets, "CONNECT_TIMEOUT_S", 0.3)
    there = Siem()
    there.is_deaf = True
    async with there.listening(None) as port:
        with pytest.raises(TimeoutError):
            await follower(filled, f"tls://127.0.0.1:{port}?ca={authority.file}").step(now=record.NOW)
    there.is_deaf = False
    monkeypatch.setattr(siem_targets, "CONNECT_TIMEOUT_S", 10.0)
    await asyncio.sleep(0.1)
    there.taken = b""
    async with there.listening(authority.server()) as port:
        await run_out(follower(filled, f"tls://127.0.0.1:{port}?ca={authority.file}"))
        await asyncio.sleep(0.1)
    assert there.numbers() == list(range(1, 1_201))


def test_a_certificate_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidRequest, match="certificate file"):
        siem_targets.opened(f"tls://h:1?ca={tmp_path / 'none.pem'}", is_syslog=True)


# ------------------------------------------------------------------------------------------------------ witnesses

COSIGN = """
import sys, time
from datetime import UTC, datetime
from lienthong.core import crypto
from lienthong.monitoring import checkpoints
note = sys.stdin.read()
print(checkpoints.cosign(note, name="thanh-tra", signer=crypto.Signer.from_seed(bytes(32)), now=datetime.now(UTC)))
"""


@pytest_asyncio.fixture
async def sealer(tmp_path: Path) -> AsyncIterator[seals.Sealer]:
    made = await sealed.build(tmp_path, a_day=40)
    store = storage.Storage(storage.sqlite_url(made.database))
    async with seals.opened(made.home, store) as opened:
        assert opened is not None
        yield opened
    await store.close()


def stated(sealer: seals.Sealer, minutes: int) -> str:
    return sealer.access.checkpoint(now=sealed.NOW + timedelta(minutes=minutes))


def python(script: str) -> str:
    return shlex.join([sys.executable, "-c", script])


async def test_a_command_may_countersign_and_its_line_goes_into_the_export(
    sealer: seals.Sealer, tmp_path: Path
) -> None:
    shown = witnesses.Witness(command=python(COSIGN), key=WITNESS_KEY)
    (line,) = await witnesses.show(shown, sealer.access, stated(sealer, 1))
    assert "thanh-tra" in line
    store = storage.Storage(storage.sqlite_url(sealer.home / "lienthong.db"))
    period = {"since": sealed.BEGUN, "until": sealed.NOW + timedelta(days=1)}
    await exports.export(sealer.home, store, tmp_path / "out", **period, days=sealed.DayLines(sealer.home))
    await store.close()
    report = exports.check(tmp_path / "out")
    assert report.holds
    assert any("countersigned by thanh-tra" in note for note in report.notes)


@pytest.mark.parametrize(
    "command",
    [
        python("import sys; sys.exit(3)"),
        python("print('nonsense')"),
        python("import time; time.sleep(60)"),
        f"sh -c {shlex.quote('sleep 60 | cat')}",
        "/there/is/no/such/program",
        "an 'unbalanced quote",
    ],
)
async def test_a_command_that_fails_or_hangs_is_only_logged(
    sealer: seals.Sealer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, command: str
) -> None:
    monkeypatch.setattr(witnesses, "TIMEOUT_S", 0.5)
    shown = witnesses.Witness(command=command, key=WITNESS_KEY)
    assert await asyncio.wait_for(witnesses.show(shown, sealer.access, stated(sealer, 1)), 20) == []
    assert ("could not be shown" in caplog.text) == ("nonsense" not in command)


async def test_one_way_that_fails_does_not_take_the_others_with_it(sealer: seals.Sealer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file where the folder should be")
    shown = witnesses.Witness(folder=tmp_path / "file", command=python(COSIGN), key=WITNESS_KEY)
    assert len(await witnesses.show(shown, sealer.access, stated(sealer, 1))) == 1


async def test_a_key_that_is_none_is_said_and_stops_nothing(
    sealer: seals.Sealer, caplog: pytest.LogCaptureFixture
) -> None:
    shown = witnesses.Witness(command=python(COSIGN), key="no key")
    assert await witnesses.show(shown, sealer.access, stated(sealer, 1)) == []
    assert "WITNESS_KEY" in caplog.text


class Witness:
    """A witness by C2SP tlog-witness behind HTTPS: keeps one log's last checkpoint and signs what continues it."""

    def __init__(self) -> None:
        self.size, self.root, self.mood = 0, b"", "well"
        self.asked = 0

    def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        self.asked += 1
        if path != "/add-checkpoint" or self.mood == "refuses":
            return 403, b"no"
        head, _, note = body.decode().partition("\n\n")
        first, *steps = head.splitlines()
        if (old := int(first.removeprefix("old "))) != self.size:
            return 409, b"%d\n" % self.size
        new = checkpoints.parse(checkpoints.parts(note)[0])
        if old:
            proof = [base64.b64decode(step) for step in steps]
            merkle.check_consistency(old, new.size, self.root, new.root, proof)
        self.size, self.root = new.size, new.root
        signed = checkpoints.cosign(note, name="thanh-tra", signer=SIGNER, now=datetime.now(UTC))
        return 200, signed.encode() if self.mood == "well" else b"\xff\xfe nonsense\n"

    @contextlib.contextmanager
    def listening(self, tls: ssl.SSLContext) -> Iterator[str]:
        witness = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                status, said = witness.answer(self.path, self.rfile.read(int(self.headers["Content-Length"])))
                if witness.mood == "no http":
                    self.wfile.write(b"\0\1\2 what?\r\n\r\n")
                    return
                self.send_response(status)
                self.end_headers()
                if witness.mood == "drips":
                    with contextlib.suppress(OSError):
                        while True:
                            self.wfile.write(b"x")
                            threading.Event().wait(0.05)
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"https://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()


@pytest.fixture
def believed(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """The operator puts the unit's own authority where OpenSSL looks for it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    return authority


async def test_a_witness_by_https_countersigns_and_catches_up(sealer: seals.Sealer, believed: Authority) -> None:
    there = Witness()
    with there.listening(believed.server()) as url:
        shown = witnesses.Witness(url=url, key=WITNESS_KEY)
        for minute in (1, 2):
            assert len(await witnesses.show(shown, sealer.access, stated(sealer, minute))) == 1
    assert there.size == sealer.access.tiles.size
    kept = (sealer.access.folder / "cosignatures.jsonl").read_bytes().splitlines()
    assert len({json.loads(line)["number"] for line in kept}) == 2


async def test_a_witness_that_is_further_back_is_given_the_way_from_there(
    sealer: seals.Sealer, believed: Authority
) -> None:
    there = Witness()
    early = checkpoints.parse(checkpoints.parts(orjson.loads(_first_line(sealer)))[0])
    there.size, there.root = early.size, early.root
    with there.listening(believed.server()) as url:
        shown = witnesses.Witness(url=url, key=WITNESS_KEY)
        assert len(await witnesses.show(shown, sealer.access, stated(sealer, 1))) == 1
    assert there.asked == 2


def _first_line(sealer: seals.Sealer) -> bytes:
    return (sealer.access.folder / "checkpoints.jsonl").read_bytes().splitlines()[0]


@pytest.mark.parametrize(
    "mood", ["refuses", "no http", "drips", "says nonsense", "away", "of nobody", "another log"]
)
async def test_a_witness_that_is_not_well_stops_nothing(
    sealer: seals.Sealer,
    believed: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    mood: str,
) -> None:
    monkeypatch.setattr(witnesses, "TIMEOUT_S", 0.5)
    there = Witness()
    there.mood = mood
    if mood == "another log":
        there.size, there.root = 7, bytes(32)
    shown_by = Authority(tmp_path / "nobody") if mood == "of nobody" else believed
    with there.listening(shown_by.server()) as url:
        shown = witnesses.Witness(url=url if mood != "away" else "https://127.0.0.1:1", key=WITNESS_KEY)
        assert await asyncio.wait_for(witnesses.show(shown, sealer.access, stated(sealer, 1)), 20) == []
    assert ("could not be shown" in caplog.text) == (mood != "says nonsense")
