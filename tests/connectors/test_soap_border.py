"""The SOAP border: descriptions pinned, answers checked before anybody types them, faults named, parts carried."""

from __future__ import annotations

import email
import hashlib
import re
import tarfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from email import policy
from pathlib import Path
from typing import Any

import httpx
import pytest
from lxml import etree

from lienthong.connectors import base, population, soap, soap_documents, soap_reading, soap_rows
from lienthong.core import errors, xml_reading

WSDL = """<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"
  xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:t="urn:demo" targetNamespace="urn:demo">
  <wsdl:types><xs:schema targetNamespace="urn:demo" elementFormDefault="qualified">
    <xs:complexType name="Row"><xs:sequence>
      <xs:element name="name" type="xs:string"/><xs:element name="count" type="xs:int"/>
      <xs:element name="price" type="xs:decimal" minOccurs="0"/><xs:element name="day" type="xs:date" minOccurs="0"/>
      <xs:element name="at" type="xs:dateTime" minOccurs="0"/><xs:element name="open" type="xs:boolean" minOccurs="0"/>
      <xs:element name="tag" type="xs:string" minOccurs="0" maxOccurs="unbounded"/>
      <xs:element name="place" type="t:Place" minOccurs="0"/>
    </xs:sequence></xs:complexType>
    <xs:complexType name="Place"><xs:sequence><xs:element name="code" type="xs:string"/></xs:sequence></xs:complexType>
    <xs:element name="ask"><xs:complexType><xs:sequence>
      <xs:element name="word" type="xs:string"/><xs:element name="file" type="xs:base64Binary" minOccurs="0"/>
    </xs:sequence></xs:complexType></xs:element>
    <xs:element name="askResponse"><xs:complexType><xs:sequence>
      <xs:element name="row" type="t:Row" minOccurs="0" maxOccurs="unbounded"/>
      <xs:element name="file" type="xs:base64Binary" minOccurs="0"/>
    </xs:sequence></xs:complexType></xs:element>
  </xs:schema></wsdl:types>
  <wsdl:message name="in"><wsdl:part name="p" element="t:ask"/></wsdl:message>
  <wsdl:message name="out"><wsdl:part name="p" element="t:askResponse"/></wsdl:message>
  <wsdl:portType name="P"><wsdl:operation name="ask"><wsdl:input message="t:in"/><wsdl:output message="t:out"/></wsdl:operation></wsdl:portType>
  <wsdl:binding name="B" type="t:P"><soap:binding transport="http://schemas.xmlsoap.org/soap/http"/>
    <wsdl:operation name="ask"><soap:operation soapAction="urn:demo#ask"/>
      <wsdl:input><soap:body use="literal"/></wsdl:input><wsdl:output><soap:body use="literal"/></wsdl:output>
    </wsdl:operation></wsdl:binding>
  <wsdl:service name="S"><wsdl:port name="Port" binding="t:B"><soap:address location="http://elsewhere.invalid/"/></wsdl:port></wsdl:service>
</wsdl:definitions>"""  # noqa: E501  (denser is easier to take in here)
NS11, NS12 = soap_reading.SOAP_11, soap_reading.SOAP_12
ROW = (
    "<row><name>Một</name><count>7</count><price>1.50</price><day>2026-01-15</day><at>2026-01-15T09:30:00+07:00</at>"
    "<open>true</open><tag>a</tag><tag>b</tag><place><code>38</code></place></row>"
)


def answer(body: str, namespace: str = NS11, **headers: str) -> httpx.Response:
    text = f'<e:Envelope xmlns:e="{namespace}"><e:Body>{body}</e:Body></e:Envelope>'
    return httpx.Response(200, text=text, headers={"content-type": "text/xml; charset=utf-8", **headers})


def rows(body: str, namespace: str = NS11) -> httpx.Response:
    return answer(f'<askResponse xmlns="urn:demo">{body}</askResponse>', namespace)


class Desk:
    """A service under test, with what was sent to it and what it answers."""

    def __init__(self, folder: Path, wsdl: str = WSDL, **described: Any) -> None:
        (folder / "demo.wsdl").write_text(wsdl, encoding="utf-8")
        self.sent: list[httpx.Request] = []
        self.answer: httpx.Response | Exception = rows(ROW)
        around = base.Surroundings("H56", None, lambda: datetime.now(UTC), httpx.MockTransport(self._reply))
        self.client = base.client("demo", base.Settings(base_url="https://demo.example.vn/soap"), around)
        described = {"location": str(folder / "demo.wsdl"), **described}
        self.fetched: list[str] = []
        self.documents: dict[str, bytes] = {}
        description = soap_documents.Description(**described)
        self.service = soap.Service(self.client, description, system="demo", fetch=self._fetch)

    def _reply(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def _fetch(self, address: str) -> bytes:
        self.fetched.append(address)
        return self.documents[address]

    async def ask(self, manner: soap.Manner | None = None, **values: Any) -> Any:
        return await self.service.call("ask", {"word": "x", **values}, manner)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


SOAP_12_WSDL = WSDL.replace("http://schemas.xmlsoap.org/wsdl/soap/", "http://schemas.xmlsoap.org/wsdl/soap12/")


# ------------------------------------------------------------------------------------------------------- calls


async def test_an_answer_comes_as_the_description_types_it(desk: Desk) -> None:
    (row,) = (await desk.ask())["row"]
    assert (row["name"], row["count"], row["price"], row["day"]) == ("Một", 7, Decimal("1.50"), date(2026, 1, 15))
    assert (row["open"], row["tag"], row["place"]) == (True, ["a", "b"], {"code": "38"})
    sent = desk.sent[0]
    assert sent.url == "https://demo.example.vn/soap", "the address of the description is never used"
    assert (sent.headers["content-type"], sent.headers["soapaction"]) == (
        "text/xml; charset=utf-8",
        '"urn:demo#ask"',
    )


async def test_soap_1_2_has_its_own_envelope_and_media_type(tmp_path: Path) -> None:
    desk = Desk(tmp_path, SOAP_12_WSDL)
    desk.answer = rows(ROW, NS12)
    assert len((await desk.ask())["row"]) == 1
    sent = desk.sent[0]
    assert sent.headers["content-type"] == 'application/soap+xml; charset=utf-8; action="urn:demo#ask"'
    assert "soapaction" not in sent.headers
    assert NS12.encode() in sent.content


@pytest.mark.parametrize(
    "body",
    ["<row><count>7</count></row>", "<row><name>a</name><count>personal</count></row>", "<other/>"],
    ids=["missing", "no number", "unknown"],
)
async def test_an_answer_that_differs_from_the_description_is_garbled_and_not_quoted(
    desk: Desk, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    desk.answer = rows(body)
    with pytest.raises(errors.RemoteGarbled) as raised:
        await desk.ask(soap.Manner(idempotent=True))
    assert "<" not in str(raised.value)
    with pytest.raises(errors.OutcomeUnknown):
        await desk.ask()
    assert not caplog.records


@pytest.mark.parametrize(
    ("lost", "idempotent", "error"),
    [
        (httpx.ConnectError("x"), False, errors.RemoteUnavailable),
        (httpx.ReadTimeout("x"), True, errors.RemoteUnavailable),
        (httpx.ReadTimeout("x"), False, errors.OutcomeUnknown),
    ],
)
async def test_failures_on_the_way_are_those_of_every_other_call(
    desk: Desk, lost: Exception, idempotent: bool, error: type[Exception]
) -> None:
    desk.answer = lost
    with pytest.raises(error):
        await desk.ask(soap.Manner(idempotent=idempotent))


# ------------------------------------------------------------------------------------------------------ faults


def fault(code: str, namespace: str = NS11, subcode: str = "") -> str:
    if namespace == NS11:
        return f"<e:Fault><faultcode>{code}</faultcode><faultstring>Số 001099000001 sai</faultstring></e:Fault>"
    sub = f"<e:Subcode><e:Value>{subcode}</e:Value></e:Subcode>" if subcode else ""
    text = '<e:Reason><e:Text xml:lang="vi">Số 001099000001 sai</e:Text></e:Reason>'
    return f"<e:Fault><e:Code><e:Value>{code}</e:Value>{sub}</e:Code>{text}</e:Fault>"


@pytest.mark.parametrize(
    ("body", "namespace", "error", "code"),
    [
        (fault("e:Client"), NS11, errors.RemoteRefused, "Client"),
        (fault("e:Client.Data"), NS11, errors.RemoteRefused, "Client.Data"),
        (fault("e:Server"), NS11, errors.OutcomeUnknown, "Server"),
        (fault("e:MustUnderstand"), NS11, errors.RemoteRefused, "MustUnderstand"),
        (fault("w:FailedAuthentication"), NS11, errors.RemoteForbids, "FailedAuthentication"),
        (fault("e:Sender", NS12, "a:NotAuthorized"), NS12, errors.RemoteForbids, "Sender.NotAuthorized"),
        (fault("e:Sender", NS12), NS12, errors.RemoteRefused, "Sender"),
        (fault("e:Receiver", NS12), NS12, errors.OutcomeUnknown, "Receiver"),
        (fault("&#x1F600;"), NS11, errors.RemoteRefused, "Fault"),
    ],
)
async def test_a_fault_says_whose_it_is(
    tmp_path: Path, body: str, namespace: str, error: type[errors.RemoteError], code: str
) -> None:
    desk = Desk(tmp_path, WSDL if namespace == NS11 else SOAP_12_WSDL)
    for status in (200, 500):
        desk.answer = answer(body, namespace)
        desk.answer.status_code = status
        with pytest.raises(error) as raised:
            await desk.ask()
        assert raised.value.remote_code == code
        assert "sai" not in str(raised.value)
    with pytest.raises(errors.RemoteError) as raised:
        await desk.ask(soap.Manner(quotes=True, idempotent=True))
    assert raised.value.facts["remote_message"] == "Số … sai"


async def test_a_server_that_fails_at_a_question_may_be_asked_again(desk: Desk) -> None:
    desk.answer = answer(fault("e:Server"))
    with pytest.raises(errors.RemoteUnavailable):
        await desk.ask(soap.Manner(idempotent=True))


@pytest.mark.parametrize(("status", "error"), [(400, errors.RemoteRefused), (500, errors.OutcomeUnknown)])
async def test_a_status_without_a_fault_speaks_for_itself(desk: Desk, status: int, error: type[Exception]) -> None:
    desk.answer = httpx.Response(status, text="trouble")
    with pytest.raises(error):
        await desk.ask()


# ------------------------------------------------------------------------------------------------- hostile XML


HOSTILE = {
    "entities": '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><a>&c;</a>',
    "external": '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    "dtd": '<!DOCTYPE a SYSTEM "http://elsewhere.invalid/a.dtd"><a/>',
    "deep": "<a>" * 100_000 + "</a>" * 100_000,
    "long attribute": f'<a b="{"x" * 200_000}"/>',
    "utf-7": '<?xml version="1.0" encoding="utf-7"?><a/>',
    "no envelope": "<a/>",
    "two roots": "<a/><b/>",
    "cut off": f'<e:Envelope xmlns:e="{NS11}"><e:Body>',
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_hostile_answer_is_garbled(desk: Desk, kind: str) -> None:
    desk.answer = httpx.Response(200, text=HOSTILE[kind], headers={"content-type": "text/xml"})
    with pytest.raises(errors.RemoteGarbled):
        await desk.ask(soap.Manner(idempotent=True))


async def test_a_comment_hides_nothing_between_the_letters_of_a_text(desk: Desk) -> None:
    desk.answer = rows(ROW.replace("Một", "M<!-- x -->ột"))
    assert (await desk.ask())["row"][0]["name"] == "Một"


# -------------------------------------------------------------------------------------------------------- parts


def multipart(*parts: tuple[str, bytes], root: str) -> httpx.Response:
    kind = 'multipart/related; type="application/xop+xml"; start="<root>"; start-info="text/xml"; boundary=b'
    body = f"--b\r\nContent-Type: application/xop+xml\r\nContent-ID: <root>\r\n\r\n{root}".encode()
    for name, content in parts:
        body += f"\r\n--b\r\nContent-Type: image/png\r\nContent-ID: <{name}>\r\n\r\n".encode() + content
    return httpx.Response(200, content=body + b"\r\n--b--\r\n", headers={"content-type": kind})


def holding(*references: str) -> str:
    include = "".join(
        f'<file><i:Include xmlns:i="{soap_reading.XOP}" href="cid:{it}"/></file>' for it in references
    )
    return rows(include).text


async def test_a_part_of_an_answer_stands_where_it_is_referred_to(desk: Desk) -> None:
    desk.answer = multipart(("one@x", b"\x89PNG\r\n\x00\xff"), root=holding("one%40x"))
    assert (await desk.ask())["file"] == b"\x89PNG\r\n\x00\xff"


async def test_parts_beside_an_answer_are_kept(desk: Desk) -> None:
    desk.answer = multipart(("one@x", b"paper"), root=rows(ROW).text)
    envelope = await desk.service.ask("ask", {"word": "x"})
    assert [(it.content_id, it.content) for it in envelope.attachments] == [("one@x", b"paper")]


@pytest.mark.parametrize("references", [("two@x",), ("one@x", "one@x")], ids=["absent", "twice"])
async def test_a_reference_that_leads_nowhere_or_multiplies_a_part_is_refused(
    desk: Desk, references: tuple[str, ...]
) -> None:
    desk.answer = multipart(("one@x", b"paper"), root=holding(*references))
    with pytest.raises(errors.RemoteGarbled):
        await desk.ask(soap.Manner(idempotent=True))


async def test_an_upload_leaves_as_a_part_of_its_own(desk: Desk) -> None:
    paper = bytes(range(256)) * 40
    await desk.ask(file=soap.Upload(paper))
    sent = desk.sent[0]
    kind = sent.headers["content-type"]
    assert kind.startswith('multipart/related; type="application/xop+xml"')
    message = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + sent.content, policy=policy.HTTP)
    root, part = message.iter_parts()
    assert part.get_payload(decode=True) == paper
    include = etree.fromstring(root.get_payload(decode=True)).find(f".//{{{soap_reading.XOP}}}Include")
    assert include.get("href") == f"cid:{part['content-id'].strip('<>')}"
    again = soap_reading.read(sent.content, kind)
    assert not again.attachments, "our own reader puts it back"


async def test_plain_bytes_stay_in_the_envelope(desk: Desk) -> None:
    await desk.ask(file=b"paper")
    assert b"cGFwZXI=" in desk.sent[0].content


# ------------------------------------------------------------------------------------------------- descriptions


IMPORTING = (
    '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">'
    '<xs:import namespace="urn:more" schemaLocation="{}"/></xs:schema><xs:schema targetNamespace="urn:demo" '
)
MORE = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:more"/>'


def importing(location: str) -> str:
    return WSDL.replace('<xs:schema targetNamespace="urn:demo" ', IMPORTING.format(location))


async def test_an_import_from_the_same_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "more.xsd").write_text(MORE)
    assert (await Desk(tmp_path, importing("more.xsd")).ask())["row"]


@pytest.mark.parametrize(
    "location",
    ["../secret.xsd", "/etc/hostname", "file:///etc/hostname", "http://elsewhere.invalid/more.xsd", "gone.xsd"],
)
async def test_any_other_import_stops_it_and_nothing_is_fetched(tmp_path: Path, location: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.xsd").write_text(MORE)
    desk = Desk(inside, importing(location))
    with pytest.raises(errors.Misconfigured):
        await desk.ask()
    assert not desk.sent
    assert not desk.fetched


async def test_a_pinned_import_is_fetched_once_and_kept(tmp_path: Path) -> None:
    address = "http://elsewhere.invalid/more.xsd"
    described = {"pins": {address: hashlib.sha256(MORE.encode()).hexdigest()}, "kept_in": tmp_path / "kept"}
    desk = Desk(tmp_path, importing(address), **described)
    desk.documents[address] = MORE.encode()
    await desk.ask()
    await desk.ask()
    assert desk.fetched == [address]
    later = Desk(tmp_path, importing(address), **described)
    await later.ask()
    assert not later.fetched
    assert len(later.sent) == 1, "calls load nothing"


async def test_another_digest_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    address = "http://elsewhere.invalid/demo.wsdl"
    pin = hashlib.sha256(WSDL.encode()).hexdigest()
    desk = Desk(tmp_path, location=address, pins={"demo.wsdl": pin})
    desk.documents[address] = WSDL.encode()
    assert (await desk.ask())["row"]
    desk = Desk(tmp_path, location=address, pins={"demo.wsdl": pin})
    desk.documents[address] = WSDL.replace("urn:demo#ask", "urn:other").encode()
    with pytest.raises(errors.Misconfigured) as raised:
        await desk.ask()
    assert "SHA-256" in str(raised.value)
    desk = Desk(tmp_path, location=address)
    with pytest.raises(errors.Misconfigured):
        await desk.ask()
    assert not desk.fetched, "an address without a pin is not even fetched"


@pytest.mark.parametrize(
    "wsdl",
    [
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + WSDL,
        "<wsdl",
        "<a/>",
        WSDL.replace("<wsdl:service", "<!-- ").replace("</wsdl:service>", "-->").replace("<!--  ", "<!-- "),
        WSDL.replace("wsdl/soap/", "wsdl/http/"),
    ],
    ids=["doctype", "malformed", "no wsdl", "no service", "no soap"],
)
async def test_a_description_that_cannot_be_used_is_a_misconfiguration(tmp_path: Path, wsdl: str) -> None:
    with pytest.raises(errors.Misconfigured) as raised:
        await Desk(tmp_path, wsdl).ask()
    assert raised.value.detail("vi")


# --------------------------------------------------------------------------------------------------------- rows


@pytest.mark.parametrize(
    "body",
    [
        ROW * 3,
        "<row><name>a</name><count> 7 </count></row>",
        "<row><name/><count>0</count><day>2026-01-15Z</day><open>0</open></row>",
        '<row xmlns:x="http://www.w3.org/2001/XMLSchema-instance"><name x:nil="true"/><count>1</count></row>',
        "<row/>",
        "",
    ],
    ids=["whole", "least", "empty texts", "nil", "empty row", "none"],
)
async def test_rows_read_raw_are_those_that_zeep_would_give(desk: Desk, body: str) -> None:
    desk.answer = rows(body)
    typed = (await desk.ask())["row"]
    reader = await desk.service.row_reader("{urn:demo}Row")
    envelope = await desk.service.ask("ask", {"word": "x"})
    assert soap.read_rows(envelope, "{urn:demo}row", reader=reader) == typed


@pytest.mark.parametrize(
    ("body", "field"),
    [("<row><name>a</name><count>x</count></row>", "count"), ("<row><name>a</name><z/></row>", "z"),
     ("<row><count>1</count></row>", "name")],
)  # fmt: skip
async def test_a_row_that_is_not_of_its_type_is_named_by_field(desk: Desk, body: str, field: str) -> None:
    desk.answer = rows(body)
    reader = await desk.service.row_reader("{urn:demo}Row")
    envelope = await desk.service.ask("ask", {"word": "x"})
    with pytest.raises(soap_rows.RowUnreadable) as raised:
        soap.read_rows(envelope, "{urn:demo}row", reader=reader)
    assert raised.value.field == field


# -------------------------------------------------------------------------------------- other people's messages


def files(shared: Path, pattern: str) -> Iterator[tuple[str, bytes]]:
    for archive in sorted((shared / "soap").glob("*.tar.gz")):
        with tarfile.open(archive) as opened:
            for member in opened:
                if member.isfile() and re.search(pattern, member.name):
                    content = opened.extractfile(member)
                    assert content is not None
                    yield f"{archive.name}:{member.name}", content.read()


def media_type(raw: bytes) -> str:
    first = raw.lstrip().partition(b"\n")[0].strip()
    return f'multipart/related; boundary="{first[2:].decode()}"' if first.startswith(b"--") else "text/xml"


def is_a_message(raw: bytes) -> bool:
    """Judge by the standard library's mail parser and a plain parser whether this is a well-formed envelope."""
    kind = media_type(raw)
    if kind.startswith("multipart"):
        found = email.message_from_bytes(f"Content-Type: {kind}\n\n".encode() + raw.lstrip(), policy=policy.HTTP)
        if not found.is_multipart():
            return False
        raw = found.get_payload()[0].get_payload(decode=True)
    try:
        root = etree.fromstring(raw.strip(), etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError:
        return False
    return (
        etree.QName(root).localname == "Envelope" and root.find(f"{{{root.nsmap[root.prefix]}}}Body") is not None
    )


def test_every_message_of_other_peoples_stacks_is_read_or_refused_as_it_should_be(shared_data: Path) -> None:
    read, wrong = 0, []
    for name, raw in files(shared_data, r"\.(query|answer)$|/(request|response)\.xml$"):
        try:
            soap_reading.read(raw, media_type(raw))
            ours = True
        except (soap_reading.Refused, xml_reading.XmlRefused):
            ours = False
        read += ours
        if ours != is_a_message(raw):
            wrong.append(name)
    assert not wrong
    assert read >= 170


def test_every_description_of_other_peoples_stacks_loads_or_is_a_misconfiguration(
    shared_data: Path, tmp_path: Path
) -> None:
    for name, raw in files(shared_data, r"\.(wsdl|xsd)$"):
        path = tmp_path / name.replace(":", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
    loaded = []
    for path in sorted(tmp_path.rglob("*.wsdl")):
        described = soap_documents.Description(str(path))
        try:
            soap._open(soap_documents.Documents(described, system="demo"), "demo")
            loaded.append(path.name)
        except errors.Misconfigured:
            pass
    assert len(loaded) >= 70
    assert "xxe.wsdl" not in loaded


def test_our_own_description_of_the_population_database_loads() -> None:
    described = soap_documents.Description(str(population.WSDL))
    client = soap._open(soap_documents.Documents(described, system="demo"), "demo")
    assert sorted(client.service._binding._operations) == sorted(population.SERVICES.values())
