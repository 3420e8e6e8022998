"""Clients that we did not write: each reads our WSDL and calls every operation, in SOAP 1.1 and 1.2."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests
import soap_town
import zeep
import zeep.helpers
import zeep.plugins
import zeep.transports
import zeep.wsse.username
from lxml import etree
from zeep.exceptions import Fault

from lienthong.bus import hub

NAMES = sorted(soap_town.PLAN.calls)
PORTS = ("Soap11", "Soap12")


@pytest.fixture
async def town(sqlite_hub: hub.Hub) -> AsyncIterator[soap_town.Town]:
    async with soap_town.opened(sqlite_hub) as running:
        yield running


def zeep_client(town: soap_town.Town, **options: Any) -> zeep.Client:
    session = requests.Session()
    if "wsse" not in options:
        session.headers["X-API-Key"] = town.key
    return zeep.Client(f"{town.address}?wsdl", transport=zeep.transports.Transport(session=session), **options)


@pytest.mark.parametrize("port", PORTS)
async def test_zeep_calls_every_operation(town: soap_town.Town, port: str):
    def call_all() -> dict[str, Any]:
        service = zeep_client(town).bind("LienthongService", port)
        return {
            name: zeep.helpers.serialize_object(service[name](**soap_town.arguments(name)), dict) for name in NAMES
        }

    for name, got in (await asyncio.to_thread(call_all)).items():
        # Where an answer has one element, zeep gives its content.
        elements = soap_town.PLAN.calls[name].answer.elements
        town.check(name, {elements[0].name: got} if len(elements) == 1 else got)


async def test_zeep_reads_our_faults(town: soap_town.Town):
    def call() -> Fault:
        client = zeep_client(town)
        with pytest.raises(Fault) as caught:
            client.service["procedures.list"](limit=500)
        problem = client.wsdl.types.deserialize(caught.value.detail[0])
        assert problem.code == "Client.InvalidRequest"
        assert problem.errors[0].field == "limit"
        return caught.value

    assert (await asyncio.to_thread(call)).code == "soap:Client"


@pytest.mark.parametrize("use_digest", [False])
async def test_zeep_says_who_it_is_with_a_username_token(town: soap_town.Town, use_digest: bool):
    token = zeep.wsse.username.UsernameToken(town.key[:14], town.key, use_digest=use_digest)

    def call() -> Any:
        return zeep_client(town, wsse=token).service["procedures.list"](q="khai sinh")

    assert (await asyncio.to_thread(call)).total == town.answers["procedures.list"].total


async def test_suds_calls_every_operation(town: soap_town.Town):
    suds_client = pytest.importorskip("suds.client")
    logging.getLogger("suds").setLevel(logging.CRITICAL)

    def call_all() -> dict[str, Any]:
        client = suds_client.Client(f"{town.address}?wsdl", headers={"X-API-Key": town.key}, cache=None)
        client.set_options(port="Soap11")
        return {name: plain(getattr(client.service, name)(**soap_town.arguments(name))) for name in NAMES}

    for name, got in (await asyncio.to_thread(call_all)).items():
        elements = soap_town.PLAN.calls[name].answer.elements
        town.check(name, {elements[0].name: got} if len(elements) == 1 and not isinstance(got, dict) else got)


def plain(value: Any) -> Any:
    """Turn what suds gives into dictionaries and lists."""
    if hasattr(value, "__keylist__"):
        return {name: plain(getattr(value, name)) for name in value.__keylist__}
    return [plain(item) for item in value] if isinstance(value, list) else value


class SecurityServer(zeep.transports.Transport):
    """Stands where a member's security server does: it hands out the description that we publish to it."""

    def __init__(self, town: soap_town.Town) -> None:
        session = requests.Session()
        session.headers["X-API-Key"] = town.key
        session.trust_env = False
        super().__init__(session=session)
        self._town = town

    def load(self, url: str) -> bytes:
        return super().load(f"{self._town.address}?wsdl=xroad" if "/wsdl?" in url else url)


async def test_pyxroad_calls_every_operation_and_gets_its_headers_back(town: soap_town.Town):
    client_kind = pytest.importorskip("XRoad").XClient

    def call_all() -> dict[str, Any]:
        answers, history = {}, zeep.plugins.HistoryPlugin()
        for name in NAMES:
            client = client_kind(
                town.address.removesuffix("/soap/v1"),
                "VN/GOV/H38/MOT-CUA",
                f"VN/GOV/H38/TRUC/{name}",
                transport=SecurityServer(town),
                plugins=[history],
            )
            answers[name] = client.request(**soap_town.arguments(name))
            sent, got = (envelope["envelope"][0] for envelope in (history.last_sent, history.last_received))
            assert len(sent) == len(got) == 5
            assert [etree.tostring(block, method="c14n", exclusive=True) for block in sent] == [
                etree.tostring(block, method="c14n", exclusive=True, with_tail=False) for block in got
            ]
        return answers

    for name, got in (await asyncio.to_thread(call_all)).items():
        town.check(name, got["body"])


async def test_the_description_is_one_that_xmllint_accepts(town: soap_town.Town, tmp_path: Path):
    told = await asyncio.to_thread(requests.get, f"{town.address}?wsdl", timeout=60)
    schema = await asyncio.to_thread(requests.get, f"{town.address}?xsd", timeout=60)
    (tmp_path / "door.xsd").write_bytes(schema.content)
    answer = await asyncio.to_thread(
        requests.post,
        town.address,
        soap_town.envelope(soap_town.element("procedures.list")),
        headers={"X-API-Key": town.key, "Content-Type": "text/xml"},
        timeout=60,
    )
    inner = etree.fromstring(answer.content)[0][0]
    (tmp_path / "answer.xml").write_bytes(etree.tostring(inner))
    assert f'location="{town.address}"'.encode() in told.content
    if shutil.which("xmllint") is None:
        etree.XMLSchema(etree.parse(tmp_path / "door.xsd")).assertValid(inner)
        return
    command = ["xmllint", "--noout", "--schema", tmp_path / "door.xsd", tmp_path / "answer.xml"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


# ------------------------------------------------------------------------------------------------------ node

NODE = {
    "soap": """
const soap = require('soap');
module.exports = async (given, each) => {
  const client = await soap.createClientAsync(given.wsdl, {});
  client.addHttpHeader('X-API-Key', given.key);
  for (const port of ['Soap11', 'Soap12'])
    for (const one of given.calls) {
      const answer = await new Promise((done, failed) =>
        client.LienthongService[port][one.name](one.arguments,
          (wrong, result) => wrong ? failed(wrong) : done(result)));
      each(port, one.name, answer);
    }
};
""",
    "strong-soap": """
const soap = require('strong-soap').soap;
module.exports = async (given, each) => {
  const client = await new Promise((done, failed) =>
    soap.createClient(given.wsdl, {}, (wrong, made) => wrong ? failed(wrong) : done(made)));
  client.addHttpHeader('X-API-Key', given.key);
  for (const port of ['Soap11', 'Soap12'])
    for (const one of given.calls) {
      const answer = await new Promise((done, failed) =>
        client.LienthongService[port][one.name](one.arguments,
          (wrong, result) => wrong ? failed(wrong) : done(result)));
      each(port, one.name, answer);
    }
};
""",
}
RUN = """
const given = JSON.parse(require('fs').readFileSync(0));
require('./client.js')(given, (port, name, answer) => console.log(JSON.stringify({port, name, answer})))
  .then(() => process.exit(0), wrong => { console.error(String(wrong.body || wrong.stack)); process.exit(1); });
"""


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install both packages of npm into a folder of their own, or skip saying why."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    ready = os.environ.get("NODE_MODULES_FOR_TESTS")
    if ready:
        return Path(ready)
    folder = tmp_path_factory.mktemp("npm")
    command = ["npm", "install", "--no-audit", "--no-fund", "--silent", *NODE]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=240, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm install did not end in time")
    if done.returncode:
        pytest.skip(f"npm install failed: {done.stderr.decode()[-300:]}")
    return folder / "node_modules"


@pytest.mark.long
@pytest.mark.parametrize("package", sorted(NODE))
async def test_node_calls_every_operation(town: soap_town.Town, package: str, node_modules: Path, tmp_path: Path):
    (tmp_path / "node_modules").symlink_to(node_modules)
    (tmp_path / "client.js").write_text(NODE[package])
    (tmp_path / "run.js").write_text(RUN)
    calls = [{"name": name, "arguments": soap_town.arguments(name)} for name in NAMES]
    given = orjson.dumps({"wsdl": f"{town.address}?wsdl", "key": town.key, "calls": calls})
    process = await asyncio.create_subprocess_exec("node", "run.js", cwd=tmp_path, stdin=-1, stdout=-1, stderr=-1)
    told, wrong = await process.communicate(given)
    assert process.returncode == 0, wrong.decode()[-3000:]
    lines = [orjson.loads(line) for line in told.splitlines()]
    assert {(line["port"], line["name"]) for line in lines} == {(port, name) for port in PORTS for name in NAMES}
    for line in lines:
        town.check(line["name"], line["answer"])
