"""The road over X-Road: headers both ways, proof that answer and request belong together, whose fault it is."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from lxml import etree
from population_stage import ERRAND, QUESTION, Stage, collection, envelope

from lienthong.connectors import http, registry, roads
from lienthong.core import errors, journal

ACCOUNT = {
    "base_url": "https://security-server.example.vn",
    "road": "xroad",
    "xroad_client": "VN/GOV/H56/LGSP",
    "xroad_service": "VN/GOV/C06/DANCU/tracuu",
    "username": "u",
    "secret_key": "s",
    "api_key": "k",
}
ABOUT = journal.About("7f1c2c1e-0001", "H56.14-260115-0001", "CB000123")


@pytest.fixture
def stage() -> Stage:
    return Stage("population_c06", ACCOUNT)


@pytest.fixture(autouse=True)
def told() -> Any:
    token = journal.about.set(ABOUT)
    yield
    journal.about.reset(token)


def sealed(request: httpx.Request, **changed: str | None) -> dict[str, str]:
    """The headers of a right answer, worked out as PR-REST says, from what arrived."""
    hop = {"host", "user-agent", "content-length", "connection"}
    lines = [request.method, request.url.raw_path.decode()]
    lines += [f"{name}:{value}" for name, value in request.headers.items() if name not in hop]
    lines.append("x-road-request-id:r-1")
    head = hashlib.sha512("".join(f"{line}\r\n" for line in lines).encode()).digest()
    if request.content:
        head = hashlib.sha512(head + hashlib.sha512(request.content).digest()).digest()
    found = {
        "X-Road-Client": request.headers["X-Road-Client"],
        "X-Road-Service": "VN/GOV/C06/DANCU/tracuu",
        "X-Road-Id": request.headers["X-Road-Id"],
        "X-Road-Request-Id": "r-1",
        "X-Road-Request-Hash": base64.b64encode(head).decode(),
    }
    return {name: value for name, value in (found | changed).items() if value is not None}


def answering(**changed: str | None) -> Callable[[httpx.Request], httpx.Response]:
    changed = {name.replace("_", "-"): value for name, value in changed.items()}
    return lambda it: httpx.Response(200, text=envelope(collection()), headers=sealed(it, **changed))


async def ask(stage: Stage) -> Any:
    return await stage.connector.look_up(QUESTION, errand=ERRAND)


async def test_a_request_names_caller_service_official_and_dossier(stage: Stage) -> None:
    stage.wire.fault = answering()
    assert await ask(stage) is None
    sent = stage.wire.requests[-1]
    assert sent.url == "https://security-server.example.vn/r1/VN/GOV/C06/DANCU/tracuu"
    assert sent.headers["X-Road-Client"] == "VN/GOV/H56/LGSP"
    assert sent.headers["X-Road-Id"] == "7f1c2c1e-0001"
    assert sent.headers["X-Road-UserId"] == "VNCB000123"
    assert sent.headers["X-Road-Issue"] == "H56.14-260115-0001"


async def test_the_signature_of_the_population_database_is_over_the_address_on_the_road(stage: Stage) -> None:
    stage.wire.fault = answering()
    await ask(stage)
    stamp = stage.wire.requests[-1].headers["Timestamp"]
    signed = f"https://security-server.example.vn/r1/VN/GOV/C06/DANCU/tracuuu{stamp}s"
    pair = f"u:{hashlib.sha256(signed.encode()).hexdigest()}"
    assert stage.wire.requests[-1].headers["Authorization"].split()[1] == base64.b64encode(pair.encode()).decode()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X_Road_Service", None),
        ("X_Road_Service", "VN/GOV/C06/DANCU/other"),
        ("X_Road_Client", "VN/GOV/H57/LGSP"),
        ("X_Road_Id", "another"),
        ("X_Road_Request_Id", None),
        ("X_Road_Request_Id", "r-2"),
        ("X_Road_Request_Hash", None),
        ("X_Road_Request_Hash", "4c519cf0-0e5e-4ccf-b72b-8ed6fe289e6e"),
        ("X_Road_Request_Hash", base64.b64encode(b"x" * 64).decode()),
    ],
)
async def test_an_answer_that_does_not_belong_to_the_request_is_garbled(
    stage: Stage, name: str, value: str | None
) -> None:
    stage.wire.fault = answering(**{name: value})
    with pytest.raises(errors.RemoteGarbled) as raised:
        await ask(stage)
    assert raised.value.alert
    assert stage.exchanges[-1].outcome == "Server.Remote.Garbled"


async def test_where_a_proxy_rewrites_headers_the_form_alone_can_be_asked_for(stage: Stage) -> None:
    stage.connector = stage.open(xroad_hash="form")
    stage.wire.fault = answering(X_Road_Request_Hash=base64.b64encode(b"x" * 64).decode())
    assert await ask(stage) is None
    stage.wire.fault = answering(X_Road_Request_Hash="short")
    with pytest.raises(errors.RemoteGarbled):
        await ask(stage)


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (400, {"X-Road-Error": "Client.BadRequest"}, errors.RemoteForbids),
        (500, {"X-Road-Error": "Server.ClientProxy.NetworkError"}, errors.RemoteUnavailable),
        (500, {"X-Road-Error": "Server.ServerProxy.ServiceFailed"}, errors.RemoteUnavailable),
        (500, {}, errors.RemoteUnavailable),
    ],
)
async def test_the_layer_says_whose_fault_it_is(
    stage: Stage, status: int, headers: dict[str, str], error: type[errors.RemoteError]
) -> None:
    fault = {"type": headers.get("X-Road-Error", ""), "message": "m", "detail": "d"}
    stage.answer_all(lambda: httpx.Response(status, json=fault, headers=headers))
    with pytest.raises(error) as raised:
        await ask(stage)
    assert raised.value.remote_code == headers.get("X-Road-Error", "HTTP 500")


def test_the_hash_is_that_of_the_protocol() -> None:
    head = b"GET\r\n/r1/A/B/C/D/e?q=1\r\nx-road-client:A/B/C\r\nx-road-request-id:7\r\n"
    body = b"abc"
    without = base64.b64encode(hashlib.sha512(head).digest()).decode()
    both = hashlib.sha512(hashlib.sha512(head).digest() + hashlib.sha512(body).digest()).digest()
    sent = {"host": "x", "x-road-client": "A/B/C", "user-agent": "y"}
    given = {"sent": sent, "request_id": "7"}
    assert roads.request_hash("GET", "/r1/A/B/C/D/e?q=1", content=b"", **given) == without
    assert roads.request_hash("GET", "/r1/A/B/C/D/e?q=1", content=body, **given) == base64.b64encode(both).decode()


@pytest.mark.parametrize(
    "changed",
    [
        {"xroad_client": ""},
        {"xroad_client": "VN/GOV"},
        {"xroad_service": "VN/GOV/C06"},
        {"xroad_service": "a b/c/d/e"},
    ],
)
def test_identifiers_that_cannot_be_stop_the_start(stage: Stage, changed: dict[str, str]) -> None:
    with pytest.raises(errors.Misconfigured) as raised:
        stage.open(**changed)
    assert "xroad" in raised.value.detail("vi")


# ------------------------------------------------------------------------------------------------ the SOAP form


def soap_answer(
    request: httpx.Request, *, proof: str | None = None, message_id: str | None = None
) -> httpx.Response:
    own = proof or base64.b64encode(hashlib.sha512(request.content).digest()).decode()
    message_id = message_id or "7f1c2c1e-0001"
    header = (
        f'<x:id>{message_id}</x:id><x:requestHash algorithmId="{roads.SHA512}">{own}</x:requestHash>'
        "<x:protocolVersion>4.0</x:protocolVersion>"
    )
    text = envelope(collection()).replace(
        "<env:Body>", f'<env:Header xmlns:x="http://x-road.eu/xsd/xroad.xsd">{header}</env:Header><env:Body>'
    )
    return httpx.Response(200, text=text, headers={"content-type": "text/xml"})


async def test_the_soap_form_carries_its_header_elements_and_is_posted_to_the_server_itself(stage: Stage) -> None:
    stage.connector = stage.open(xroad_form="soap")
    stage.wire.fault = soap_answer
    assert await ask(stage) is None
    sent = stage.wire.requests[-1]
    assert sent.url.path in ("", "/")
    assert "X-Road-Client" not in sent.headers
    x, i = "{http://x-road.eu/xsd/xroad.xsd}", "{http://x-road.eu/xsd/identifiers}"
    header = etree.fromstring(sent.content)[0]
    texts = {it.tag: it.text for it in header.iter() if it.text}
    assert (texts[f"{x}id"], texts[f"{x}userId"]) == ("7f1c2c1e-0001", "VNCB000123")
    assert (texts[f"{x}issue"], texts[f"{x}protocolVersion"]) == ("H56.14-260115-0001", "4.0")
    client, service = header.find(f"{x}client"), header.find(f"{x}service")
    assert client.get(f"{i}objectType") == "SUBSYSTEM"
    assert [it.text for it in service] == ["VN", "GOV", "C06", "DANCU", "tracuu"]


async def test_the_soap_forms_hash_is_over_the_bytes_that_were_posted(stage: Stage) -> None:
    stage.connector = stage.open(xroad_form="soap")
    for wrong in ({"proof": base64.b64encode(b"x" * 64).decode()}, {"message_id": "another"}):
        stage.wire.fault = lambda it, wrong=wrong: soap_answer(it, **wrong)
        with pytest.raises(errors.RemoteGarbled):
            await ask(stage)
    stage.wire.fault = None
    with pytest.raises(errors.RemoteGarbled):
        await ask(stage)


# --------------------------------------------------------------------------------------------- exchange clients


async def test_any_member_is_called_through_one_client() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        headers = sealed(request, **{"X-Road-Service": "VN/GOV/G15/HOTICH/traCuu"})
        return httpx.Response(200, json={}, headers=headers)

    limits = http.Limits(4, None, 1, 1, 1, 10_000)
    client = http.Client(
        system="exchange",
        base_url="https://ss.example.vn",
        limits=limits,
        user_agent="lienthong tests, a long one",
        clock=lambda: Stage("population_c06", ACCOUNT).now,
        transport=httpx.MockTransport(answer),
    )
    exchange: roads.ExchangeClient = roads.XRoadExchange(client, system="exchange", member="VN/GOV/H56/LGSP")
    context = roads.Context("m-1", official="CB1", dossier_code="H56-1")
    reply = await exchange.call("VN/GOV/G15/HOTICH", "traCuu", "v1/tim", body=b"{}", context=context)
    assert reply.status == 200
    assert seen[0].url.path == "/r1/VN/GOV/G15/HOTICH/traCuu/v1/tim"
    assert (seen[0].headers["X-Road-UserId"], seen[0].headers["X-Road-Id"]) == ("VNCB1", "m-1")


async def test_the_agent_node_has_a_place_and_says_honestly_that_it_is_not_known(stage: Stage) -> None:
    with pytest.raises(errors.Misconfigured) as raised:
        stage.open(road="agent_node")
    assert "chưa được công bố" in raised.value.detail("vi")
    node: roads.ExchangeClient = roads.AgentNode(system="x")
    with pytest.raises(errors.Misconfigured):
        await node.call("a", "b", "c", body=b"", context=roads.Context("1"))


def test_any_connector_may_be_set_to_use_the_road() -> None:
    for contract in registry.CONNECTORS:
        assert "road" in registry.settings_class(contract).model_fields
