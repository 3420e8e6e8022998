"""The SOAP door: the same gate, limits, sentences and record as REST, in envelopes of both versions."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import builders
import doors
import httpx
import pytest
import soap_town
from lxml import etree
from pydantic import BaseModel

from lienthong.bus import hub, operations
from lienthong.bus.gateway import app, front, soap
from lienthong.core import access_record, errors

OURS = "{urn:lienthong:v1}"
CODE = "000.00.00.H38-260115-0001"
BOTH = (soap_town.V11, soap_town.V12)
NOTE = soap_town.element("notes.put", "<text>xin chao</text>")


class Desk(doors.Desk):
    """Has an operation that tells the record what it did, and then refuses where it is asked to."""

    calls: list[operations.Call]

    def table(self) -> tuple[operations.Operation, ...]:
        self.calls = []
        told = operations.Operation(
            "notes.tell", "POST", "/v1/tell", "x", "x", doors.Noted, self.tell, personal=True, body=doors.Note
        )
        return (*super().table(), told)

    async def tell(self, hub: hub.Hub, call: operations.Call, asked: operations.Asked) -> BaseModel:
        self.calls.append(call)
        call.told.official, call.told.subject, call.told.purpose = "CB-01", "a" * 64, "doi chieu"
        call.told.dossier_code, call.told.field_groups, call.told.rows = CODE, ("residents.basic",), 1
        call.told.upstream.append(access_record.Attempt("population_c06", "ok", 12))
        if asked.body.text == "refuse":
            call.told.rule = "no_dossier"
            raise errors.NotGranted("There is no open dossier.", detail_vi="Không có hồ sơ đang mở.")
        return await self.note(hub, call, asked)


@pytest.fixture
async def caller(sqlite_hub: hub.Hub) -> AsyncIterator[httpx.AsyncClient]:
    issued = await builders.issue_key(sqlite_hub)
    async with doors.client(sqlite_hub, desk=Desk(), key=issued.key) as opened:
        yield opened


async def post(caller: httpx.AsyncClient, body: str, *, version: str = BOTH[0], **extra: Any) -> httpx.Response:
    header, headers = extra.pop("header", ""), extra.pop("headers", {})
    content = extra.pop("content", None) or soap_town.envelope(body, header=header, version=version)
    kind = {"content-type": soap_town.KIND[version]}
    return await caller.post("/soap/v1", content=content, headers={**kind, **headers})


def parts(answer: httpx.Response) -> dict[str, str]:
    """Give the problem of a fault by the names of its parts."""
    problem = etree.fromstring(answer.content).find(f".//{OURS}problem")
    return {str(part.tag).removeprefix(OURS): part.text or "" for part in problem}


# --------------------------------------------------------------------------------------------------- served


@pytest.mark.parametrize("version", BOTH)
async def test_a_call_is_answered_in_its_own_version_and_written_down(sqlite_hub: hub.Hub, version: str):
    issued = await builders.issue_key(sqlite_hub, limits=["600/minute"])
    async with doors.client(sqlite_hub, desk=Desk(), key=issued.key) as caller:
        answer = await post(caller, NOTE, version=version)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == soap_town.KIND[version]
    assert answer.headers["ratelimit"].startswith('"minute";r=599')
    root = etree.fromstring(answer.content)
    assert root.tag == f"{{{version}}}Envelope"
    assert root.findtext(f".//{OURS}notes.putResponse/{OURS}number") == "1"
    [row] = await doors.journal(sqlite_hub)
    assert (row.door, row.operation, row.route, row.method) == ("soap", "notes.put", "/soap/v1", "POST")
    assert (row.status, row.outcome, row.key_id) == (200, "ok", issued.record.id)
    assert (row.request_id, row.bytes_out) == (answer.headers["x-request-id"], len(answer.content))
    assert row.bytes_in == len(answer.request.content)


async def test_soap_and_rest_count_against_one_limit(sqlite_hub: hub.Hub):
    issued = await builders.issue_key(sqlite_hub, limits=["2/minute"])
    async with doors.client(sqlite_hub, desk=Desk(), key=issued.key) as caller:
        answers = [await caller.get("/v1/notes"), await post(caller, NOTE), await post(caller, NOTE)]
    assert [answer.status_code for answer in answers] == [200, 200, 500]
    assert parts(answers[2])["code"] == "Client.LimitExceeded"
    assert int(answers[2].headers["retry-after"]) == int(parts(answers[2])["retry_after_s"]) > 0
    assert "ratelimit" in answers[2].headers
    row = (await doors.journal(sqlite_hub))[2]
    assert (row.door, row.status, row.rule) == ("soap", 429, "limit:minute")


async def test_a_dossier_is_declared_over_soap_and_read_over_rest(sqlite_hub: hub.Hub):
    await builders.seed_procedure(sqlite_hub)
    issued = await builders.issue_key(sqlite_hub)
    body = soap_town.element(
        "dossiers.put",
        f"<code>{CODE}</code><procedure_code>1.000001</procedure_code><applicant><kind>citizen</kind>"
        "<name>Nguyễn Văn Mẫu</name><citizen_id>001099000001</citizen_id></applicant><summary>Khai sinh &amp; "
        "hộ tịch</summary><channel>online</channel><submitted_at>2026-01-15T08:30:00+07:00</submitted_at>"
        "<agency>000.00.00.H38</agency><external_references><entry><key>mot_cua</key><value>7</value></entry>"
        "</external_references>",
    )
    async with doors.client(sqlite_hub, key=issued.key) as caller:
        made, read = await post(caller, body), await caller.get(f"/v1/dossiers/{CODE}")
    assert made.status_code == 200
    assert read.json()["dossier"]["external_references"] == {"mot_cua": "7"}
    assert read.json()["dossier"]["summary"] == "Khai sinh & hộ tịch"
    row = (await doors.journal(sqlite_hub))[0]
    assert (row.dossier_code, row.door, row.status) == (CODE, "soap", 200)


async def test_the_description_names_the_address_that_was_asked(sqlite_hub: hub.Hub):
    async with doors.client(sqlite_hub) as caller:
        shown = await caller.get("/soap/v1?wsdl", headers={"host": "truc.example.vn"})
        strange = await caller.get("/soap/v1?WSDL", headers={"host": 'x"><script>'})
        nothing, wrong = await caller.get("/soap/v1"), await caller.delete("/soap/v1")
        asked = await caller.options("/soap/v1")
    assert b'location="http://truc.example.vn/soap/v1"' in shown.content
    assert b"<script" not in strange.content
    assert (nothing.status_code, wrong.status_code, asked.status_code) == (404, 405, 204)
    assert nothing.json()["code"] == "Client.NotFound"
    rows = await doors.journal(sqlite_hub)
    assert [row.operation for row in rows] == ["soap.wsdl", "soap.wsdl", "soap.wsdl", "unknown", "options"]


# -------------------------------------------------------------------------------------------------- refused

WRONG = [
    ("no such operation", soap_town.element("notes.burn"), "Client.NotFound", 404),
    ("no namespace", "<notes.put><text>x</text></notes.put>", "Client.NotFound", 404),
    ("wrong field", soap_town.element("notes.put", "<txt>x</txt>"), "Client.InvalidRequest", 400),
    ("nothing in the body", "", "Client.InvalidRequest", 400),
    ("two in the body", NOTE + NOTE, "Client.InvalidRequest", 400),
    ("a conflict", soap_town.element("notes.put", "<text>conflict</text>"), "Client.Conflict", 409),
    ("a defect", soap_town.element("notes.put", "<text>defect</text>"), "Server.Hub.Internal", 500),
]


@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize(("body", "code", "status"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
async def test_a_refusal_is_a_fault_with_the_codes_of_rest(
    sqlite_hub: hub.Hub, caller: httpx.AsyncClient, version: str, body: str, code: str, status: int
):
    answer = await post(caller, body, version=version, headers={"accept-language": "en"})
    root, is_callers = etree.fromstring(answer.content), code.startswith("Client")
    fault = root.find(f".//{{{version}}}Fault")
    told = parts(answer)
    assert (told["code"], told["status"]) == (code, str(status))
    if version == soap_town.V11:
        assert answer.status_code == 500
        assert fault.findtext("faultcode") == f"soap:{'Client' if is_callers else 'Server.Hub'}"
        assert fault.findtext("faultstring") == told["detail"]
    else:
        assert answer.status_code == (400 if is_callers else 500)
        texts = fault.findall(f".//{{{version}}}Text")
        assert [text.get("{http://www.w3.org/XML/1998/namespace}lang") for text in texts] == ["en", "vi"]
        assert fault.findtext(f".//{{{version}}}Subcode/{{{version}}}Value") == f"lt:{code}"
    [row] = await doors.journal(sqlite_hub)
    assert (row.door, row.outcome, row.status) == ("soap", code, status)


async def test_a_wrong_field_is_told_in_the_words_of_rest(caller: httpx.AsyncClient):
    over_rest = await caller.post("/v1/notes", json={"txt": "x"})
    over_soap = await post(caller, soap_town.element("notes.put", "<txt>x</txt>"))
    found = etree.fromstring(over_soap.content).findall(f".//{OURS}errors")
    told = {error.findtext(f"{OURS}field"): error.findtext(f"{OURS}detail") for error in found}
    assert told == {error["field"]: error["detail"] for error in over_rest.json()["errors"]}


async def test_the_language_may_stand_in_the_header_of_the_message(caller: httpx.AsyncClient):
    header = '<l:acceptLanguage xmlns:l="urn:lienthong:v1">en</l:acceptLanguage>'
    answer = await post(caller, soap_town.element("notes.burn"), header=header)
    assert parts(answer)["title"] == "What was asked for does not exist."
    assert parts(await post(caller, soap_town.element("notes.burn")))["title"] != parts(answer)["title"]


@pytest.mark.parametrize(
    ("content", "headers", "code", "status"),
    [
        (b"<a/>", {"content-type": "application/json"}, "Client.UnsupportedMedia", 415),
        (b"<a/>", {"content-type": "multipart/related; type=text/xml"}, "Client.UnsupportedMedia", 415),
        (b"<a/>", {"content-encoding": "gzip"}, "Client.UnsupportedMedia", 415),
        (b" " * 2_100_000, {}, "Client.BodyTooLarge", 413),
        (b"<a/>", {}, "Client.InvalidRequest", 500),
        (b"{}", {}, "Client.InvalidRequest", 500),
    ],
)
async def test_what_is_no_message_is_said_to_be_none(
    sqlite_hub: hub.Hub, caller: httpx.AsyncClient, content: bytes, headers: dict[str, str], code: str, status: int
):
    answer = await post(caller, "", content=content, headers=headers)
    assert (answer.status_code, parts(answer)["code"]) == (status, code)
    [row] = await doors.journal(sqlite_hub)
    assert (row.door, row.operation, row.outcome) == ("soap", "unknown", code)


@pytest.mark.parametrize("version", BOTH)
async def test_soap_has_its_own_names_for_what_it_does_not_know(caller: httpx.AsyncClient, version: str):
    must = '<a:To xmlns:a="http://www.w3.org/2005/08/addressing" e:mustUnderstand="1">x</a:To>'
    unknown = await post(caller, NOTE, header=must, version=version)
    other = await post(
        caller, NOTE, version=version, content=b'<e:Envelope xmlns:e="urn:x"><e:Body/></e:Envelope>'
    )
    assert b"soap:MustUnderstand<" in unknown.content
    assert b"soap:VersionMismatch<" in other.content
    may = must.replace(' e:mustUnderstand="1"', "")
    assert (await post(caller, NOTE, header=may, version=version)).status_code == 200


async def test_a_soapaction_that_says_something_else_is_refused(caller: httpx.AsyncClient):
    ours = await post(caller, NOTE, headers={"soapaction": '"urn:lienthong:v1#notes.put"'})
    other = await post(caller, NOTE, headers={"soapaction": "urn:lienthong:v1#notes.get"})
    assert (ours.status_code, parts(other)["errors"]) == (200, "") or parts(other)[
        "code"
    ] == "Client.InvalidRequest"


async def test_without_a_key_nothing_is_served_and_the_refusal_is_written_down(sqlite_hub: hub.Hub):
    async with doors.client(sqlite_hub, desk=Desk()) as caller:
        answer = await post(caller, NOTE)
        in_address = await caller.post("/soap/v1?api_key=x", content=b"")
    assert (answer.status_code, parts(answer)["code"]) == (500, "Client.KeyRejected")
    assert in_address.status_code == 400
    rows = await doors.journal(sqlite_hub)
    assert [(row.operation, row.status, row.rule) for row in rows] == [
        ("notes.put", 401, "missing"),
        ("unknown", 400, "key_in_address"),
    ]


# --------------------------------------------------------------------------------- told, asserted, repeated


@pytest.mark.parametrize("door", ["rest", "soap"])
@pytest.mark.parametrize("text", ["x", "refuse"])
async def test_what_an_operation_tells_stands_in_the_record_also_where_it_refuses(
    sqlite_hub: hub.Hub, caller: httpx.AsyncClient, door: str, text: str
):
    if door == "rest":
        await caller.post("/v1/tell", json={"text": text})
    else:
        await post(caller, soap_town.element("notes.tell", f"<text>{text}</text>"))
    [row] = await doors.journal(sqlite_hub)
    assert (row.door, row.status) == (door, 403 if text == "refuse" else 200)
    assert (row.official, row.subject, row.purpose, row.dossier_code) == ("CB-01", "a" * 64, "doi chieu", CODE)
    assert (row.field_groups, row.rows) == ("residents.basic", 1)
    assert row.rule == ("no_dossier" if text == "refuse" else None)
    assert "population_c06" in row.upstream


async def test_an_officials_assertion_reaches_the_operation_from_either_header(sqlite_hub: hub.Hub):
    issued, desk = await builders.issue_key(sqlite_hub), Desk()
    said = '<l:officialAssertion xmlns:l="urn:lienthong:v1"> abc.def.ghi </l:officialAssertion>'
    tell = soap_town.element("notes.tell", "<text>x</text>")
    async with doors.client(sqlite_hub, desk=desk, key=issued.key) as caller:
        await post(caller, tell, header=said)
        await post(caller, tell, headers={"x-official-assertion": "abc.def.ghi"})
        await caller.post("/v1/tell", json={"text": "x"}, headers={"x-official-assertion": "abc.def.ghi"})
        twice = await post(caller, tell, header=said, headers={"x-official-assertion": "abc.def.ghi"})
        await caller.post("/v1/tell", json={"text": "x"})
    assert [call.assertion for call in desk.calls] == ["abc.def.ghi"] * 3 + [None]
    assert parts(twice)["code"] == "Client.InvalidRequest"


async def test_a_repeated_call_under_one_idempotency_key_runs_once(sqlite_hub: hub.Hub):
    issued, desk = await builders.issue_key(sqlite_hub), Desk()
    name = {"idempotency-key": "abc"}
    async with doors.client(sqlite_hub, desk=desk, key=issued.key) as caller:
        first = await post(caller, NOTE, headers=name)
        # Another envelope around the same request, as a client makes one for every try.
        again = await post(caller, NOTE, header="<x xmlns='urn:x'/>", headers=name)
        other = await post(caller, NOTE.replace("chao", "khac"), headers=name)
        over_rest = await caller.post("/v1/notes", json={"text": "xin chao"}, headers=name)
    assert desk.runs == 1
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert again.headers["content-type"] == first.headers["content-type"]
    assert parts(other)["code"] == over_rest.json()["code"] == "Client.Conflict"


async def test_x_roads_headers_come_back_as_they_were(caller: httpx.AsyncClient):
    header = '<x:id xmlns:x="http://x-road.eu/xsd/xroad.xsd" e:mustUnderstand="1">4894e35d</x:id>'
    answer = await post(caller, NOTE, header=header)
    assert b">4894e35d</x:id></soap:Header>" in answer.content


async def test_a_client_that_hangs_up_leaves_a_record(sqlite_hub: hub.Hub):
    issued = await builders.issue_key(sqlite_hub)
    door: front.Front = app.create_app(sqlite_hub, table=Desk().table())
    await door.open()
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/soap/v1",
        "raw_path": soap.PATH,
        "query_string": b"",
        "headers": [(b"x-api-key", issued.key.encode()), (b"content-type", b"text/xml")],
        "client": ("192.0.2.7", 5000),
    }

    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def nobody(message: Any) -> None:
        return None

    await door(scope, gone, nobody)
    await door.close()
    [row] = await doors.journal(sqlite_hub)
    assert (row.door, row.outcome) == ("soap", "Client.BodyCutOff")


async def test_a_clash_of_names_stops_the_start(sqlite_hub: hub.Hub):
    [put] = [one for one in doors.Desk().table() if one.name == "notes.put"]
    clash = dataclasses.replace(put, query=doors.Note)
    with pytest.raises(errors.Misconfigured, match="text twice"):
        app.create_app(sqlite_hub, table=[clash])
