"""A time stamp authority of the tests' own: openssl answers behind a small HTTP server on this machine."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

_CONFIG = """
[req]
distinguished_name = name
prompt = no
[name]
CN = Invented authority
[ca]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign
[tsa]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[stamping]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256,sha512
accuracy = secs:1
ess_cert_id_alg = sha256
"""


def _openssl(words: str, *, folder: Path) -> None:
    subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)


def _make(folder: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to play a time stamp authority")
    folder.mkdir()
    (folder / "config").write_text(_CONFIG.format(folder=folder))
    (folder / "serial").write_text("01")
    curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -config config"
    for command in (
        f"req -x509 {curve} -keyout ca.key -out ca.pem -extensions ca -days 3650",
        f"req {curve} -keyout tsa.key -out tsa.csr -subj /CN=stamps.example",
        "x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out tsa.pem"
        " -extfile config -extensions tsa -days 3650",
    ):
        _openssl(command, folder=folder)


@contextmanager
def running(folder: Path, *, hangs: threading.Event | None = None) -> Iterator[str]:
    """Answer as a time stamp authority; gives its address. With `hangs` it answers only after that event."""
    _make(folder)

    class Desk(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            if hangs is not None:
                hangs.wait(30)
            (folder / "asked").write_bytes(asked)
            stamp = "ts -reply -config config -section stamping -queryfile asked -out answer"
            _openssl(stamp, folder=folder)
            answer = (folder / "answer").read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Desk)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        if hangs is not None:
            hangs.set()
        server.shutdown()
        server.server_close()
