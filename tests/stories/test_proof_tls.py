"""A client certificate seen by the hub's own server, over real TLS on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import signing
import uvicorn

from lienthong.api_keys import certificates
from lienthong.bus.gateway import tls
from lienthong.core import clock, crypto


async def _tell(scope, receive, send) -> None:
    """Answer with the thumbprint of the certificate that the connection brought."""
    found = certificates.presented(scope)
    body = json.dumps(found and found.thumbprint).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def _served(folder: Path, authority: Path) -> AsyncIterator[str]:
    server = uvicorn.Server(
        uvicorn.Config(
            _tell,
            port=0,
            http=tls.TlsProtocol,
            lifespan="off",
            log_config=None,
            ssl_certfile=str(folder / "server.pem"),
            ssl_keyfile=str(folder / "server.key"),
            ssl_ca_certs=str(authority),
            ssl_cert_reqs=ssl.CERT_OPTIONAL,
        )
    )
    server.capture_signals = contextlib.nullcontext  # the tests' own signals stay as they are
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells it by a flag only
        await asyncio.sleep(0.01)
    try:
        yield f"https://localhost:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        await serving


def _write(folder: Path, name: str, found, key: signing.PrivateKey) -> None:
    (folder / f"{name}.pem").write_bytes(signing.certificate_pem(found))
    (folder / f"{name}.key").write_bytes(signing.private_pem(key))


async def test_the_server_tells_the_application_whose_certificate_it_was(tmp_path: Path):
    now = clock.now() - timedelta(days=1)
    keys = {name: signing.new_key("p256") for name in ("authority", "server", "client")}
    root = signing.certificate(keys["authority"], starts=now)
    issuer = (root, keys["authority"])
    client = signing.certificate(keys["client"], starts=now, issuer=issuer)
    _write(tmp_path, "authority", root, keys["authority"])
    _write(tmp_path, "server", signing.certificate(keys["server"], starts=now, issuer=issuer), keys["server"])
    _write(tmp_path, "client", client, keys["client"])
    trust = ssl.create_default_context(cafile=str(tmp_path / "authority.pem"))
    known = ssl.create_default_context(cafile=str(tmp_path / "authority.pem"))
    known.load_cert_chain(tmp_path / "client.pem", tmp_path / "client.key")
    async with _served(tmp_path, tmp_path / "authority.pem") as url:
        async with httpx.AsyncClient(verify=known, trust_env=False) as caller:
            answers = [(await caller.get(url)).json() for _ in range(2)]
        async with httpx.AsyncClient(verify=trust, trust_env=False) as caller:
            # A header is only a header: nobody stands between this caller and the server.
            nobody = (await caller.get(url, headers={"client-cert": ":AAAA:"})).json()
    assert answers == [crypto.read_certificate(signing.der(client)).thumbprint] * 2
    assert nobody is None
