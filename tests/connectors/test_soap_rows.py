"""Rows read in bulk are zeep's rows, however they are written; what is not of its type never passes."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import httpx
import pytest
from hypothesis import assume, given, note
from hypothesis import strategies as st
from zeep import exceptions, helpers

from lienthong.connectors import base, soap, soap_documents, soap_reading, soap_rows

FIELDS = {"name": "string", "count": "int", "price": "decimal", "day": "date", "at": "dateTime", "open": "boolean",
          "weight": "double", "code": "token", "big": "integer", "paper": "base64Binary"}  # fmt: skip
REQUIRED = ("name", "count")
ELEMENTS = "".join(
    f'<xs:element name="{name}" type="xs:{kind}" minOccurs="{int(name in REQUIRED)}" nillable="true"/>'
    for name, kind in FIELDS.items()
)
NS = soap_reading.SOAP_11
WSDL = f"""<w:definitions xmlns:w="http://schemas.xmlsoap.org/wsdl/" xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/"
  xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:t="urn:demo" targetNamespace="urn:demo">
  <w:types><xs:schema targetNamespace="urn:demo" elementFormDefault="FORM">
    <xs:complexType name="Row"><xs:sequence>{ELEMENTS}</xs:sequence></xs:complexType>
    <xs:element name="ask" type="xs:string"/>
    <xs:element name="told"><xs:complexType><xs:sequence>
      <xs:element name="row" type="t:Row" form="qualified" minOccurs="0" maxOccurs="unbounded"/>
    </xs:sequence></xs:complexType></xs:element>
  </xs:schema></w:types>
  <w:message name="in"><w:part name="p" element="t:ask"/></w:message>
  <w:message name="out"><w:part name="p" element="t:told"/></w:message>
  <w:portType name="P"><w:operation name="ask"><w:input message="t:in"/><w:output message="t:out"/></w:operation>
  </w:portType><w:binding name="B" type="t:P"><s:binding transport="http://schemas.xmlsoap.org/soap/http"/>
    <w:operation name="ask"><s:operation soapAction=""/><w:input><s:body use="literal"/></w:input>
    <w:output><s:body use="literal"/></w:output></w:operation></w:binding>
  <w:service name="S"><w:port name="O" binding="t:B"><s:address location="http://elsewhere.invalid/"/></w:port>
  </w:service></w:definitions>"""
XSI = 'xmlns:i="http://www.w3.org/2001/XMLSchema-instance"'


class Both:
    """The two who read the same answer."""

    def __init__(self, folder: Path, form: str) -> None:
        path = folder / f"{form}.wsdl"
        path.write_text(WSDL.replace("FORM", form), encoding="utf-8")
        described = soap_documents.Description(str(path))
        around = base.Surroundings("H56", None, lambda: datetime.now(UTC), httpx.MockTransport(lambda _: None))  # type: ignore[arg-type,return-value]
        client = base.client("demo", base.Settings(base_url="https://demo.example.vn/"), around)
        service = soap.Service(client, described, system="demo")
        self.reader = asyncio.run(service.row_reader("{urn:demo}Row"))
        self.operation = service._binding_operation("ask")

    def ours(self, raw: bytes) -> Any:
        envelope = soap_reading.read(raw, "text/xml")
        return soap.read_rows(envelope, "{urn:demo}row", reader=self.reader)

    def zeeps(self, raw: bytes) -> Any:
        told = self.operation.process_reply(soap_reading.read(raw, "text/xml").root)
        return helpers.serialize_object(told, dict) or []

    def is_read_at_once(self, raw: bytes) -> bool:
        root = soap_reading.read(raw, "text/xml").root
        text = raw.decode("utf-8-sig")
        return soap_rows._in_columns(text, "{urn:demo}row", reader=self.reader, root=root) is not None


@pytest.fixture(scope="module", params=["qualified", "unqualified"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    made = Both(tmp_path_factory.mktemp("rows"), request.param)
    made.form = request.param  # type: ignore[attr-defined]
    return made


def same(mine: Any, theirs: Any) -> None:
    assert mine == theirs or str(mine) == str(theirs)  # the second for NaN
    assert [[(key, type(value)) for key, value in (row or {}).items()] for row in mine] == [
        [(key, type(value)) for key, value in (row or {}).items()] for row in theirs
    ]
    for one, other in zip(mine, theirs, strict=True):
        if one and one["at"] is not None:
            assert one["at"].utcoffset() == other["at"].utcoffset()


# ---------------------------------------------------------------------------------------------- writing rows

LETTERS = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff") | st.sampled_from(
    "\t\n\r"
)
TEXTS = st.text(LETTERS, max_size=12) | st.sampled_from(["Nguyễn Văn Mẫu", "a & b <c> ]]", " ", "&amp;", "</row>"])
TIMES = st.datetimes(min_value=datetime(1800, 1, 1)).map(datetime.isoformat)
ZONES = st.sampled_from(["", "Z", "+07:00", "-03:30", "+00:00"])
SPELT = {
    "name": TEXTS,
    "count": st.integers(-(2**31), 2**31 - 1).map(str) | st.sampled_from(["+7", " 7 ", "007"]),
    "price": st.decimals(allow_nan=False, allow_infinity=False, places=3).map("{:f}".format)
    | st.sampled_from(["1.", ".5", "+1.50", " 2 ", "12.50", "-0"]),
    "day": st.dates().map(str) | st.sampled_from(["2026-01-15Z", "2026-01-15+07:00", " 2026-01-15 "]),
    "at": st.tuples(TIMES, ZONES).map("".join) | st.sampled_from(["2026-01-15", "2026-01-15T24:00:00", "20260115T093000Z"]),  # noqa: E501
    "open": st.sampled_from(["true", "false", "1", "0", " true ", "perhaps"]),
    "weight": st.floats(allow_nan=False).map(str) | st.sampled_from(["INF", "1e5"]),
    "code": TEXTS,
    "big": st.integers().map(str),
    "paper": st.binary(max_size=9).map(lambda it: base64.b64encode(it).decode()),
}  # fmt: skip
ROWS = st.lists(
    st.fixed_dictionaries(
        {name: SPELT[name] | st.just("") for name in REQUIRED},
        optional={name: SPELT[name] | st.just("") for name in FIELDS if name not in REQUIRED},
    ),
    max_size=5,
)
STYLES = st.fixed_dictionaries(
    {"prefix": st.sampled_from(["", "p"]), "gap": st.sampled_from(["", "\n  ", "\r\n\t"]), "short": st.booleans(),
     "how": st.sampled_from(["escaped", "numbered", "cdata", "comment", "nil", "attribute", "blank in tag"])}
)  # fmt: skip


def content_of(text: str, how: str) -> str:
    if how == "numbered":
        return "".join(f"&#{ord(it)};" if n % 2 else f"&#x{ord(it):X};" for n, it in enumerate(text))
    if how == "cdata" and "]]>" not in text and "\r" not in text:
        return f"<![CDATA[{text}]]>"
    written = escape(text, {"\r": "&#13;"})
    return written + "<!-- <row> -->" if how == "comment" else written


def row_as_text(fields: list[tuple[str, str]], style: dict[str, Any], *, form: str) -> str:
    prefix, gap, how = style["prefix"], style["gap"], style["how"]
    front = f"{prefix}:" if prefix else ""
    inner = f"{front}" if form == "qualified" else ""
    out = []
    for name, text in fields:
        more = " i:nil='true'" if how == "nil" and not text else " x='1'" if how == "attribute" else ""
        more += " " if how == "blank in tag" else ""
        is_short = style["short"] and not text
        out.append(
            f"<{inner}{name}{more}/>"
            if is_short
            else f"<{inner}{name}{more}>{content_of(text, how)}</{inner}{name}>"
        )
    return f"<{front}row>{gap}{''.join(it + gap for it in out)}</{front}row>{gap}"


def document(rows: list[str], style: dict[str, Any], *, form: str) -> bytes:
    prefix = style["prefix"] or ("" if form == "qualified" else "p")
    front = f"{prefix}:" if prefix else ""
    declared = f'xmlns{":" if prefix else ""}{prefix}="urn:demo"'
    body = f"<{front}told {declared} {XSI}>{style['gap']}{''.join(rows)}</{front}told>"
    return f'<e:Envelope xmlns:e="{NS}"><e:Body>{body}</e:Body></e:Envelope>'.encode()


def write(rows: list[list[tuple[str, str]]], style: dict[str, Any], both: Any) -> bytes:
    style = {**style, "prefix": style["prefix"] if both.form == "qualified" else "p"}
    return document([row_as_text(it, style, form=both.form) for it in rows], style, form=both.form)


def in_order(row: dict[str, str]) -> list[tuple[str, str]]:
    return [(name, row[name]) for name in FIELDS if name in row]


# ------------------------------------------------------------------------------------------------------ tests


@given(rows=ROWS, style=STYLES)
def test_rows_are_those_of_zeep_however_they_are_written(
    both: Both, rows: list[dict[str, str]], style: dict[str, Any]
) -> None:
    raw = write([in_order(row) for row in rows], style, both)
    note(raw.decode())
    try:
        theirs = both.zeeps(raw)
    except (exceptions.Error, ValueError, ArithmeticError):
        with pytest.raises(soap_rows.RowUnreadable):
            both.ours(raw)
        return
    same(both.ours(raw), theirs)


@given(rows=ROWS, style=STYLES, seed=st.randoms(use_true_random=False))
def test_a_row_out_of_order_short_of_a_field_or_with_one_more_never_passes(
    both: Both, rows: list[dict[str, str]], style: dict[str, Any], seed: Any
) -> None:
    assume(rows)
    fields = in_order(rows[seed.randrange(len(rows))])
    kind = seed.choice(["turned", "missing", "twice", "unknown", "other"])
    wrong = {
        "turned": fields[::-1],
        "missing": [it for it in fields if it[0] != seed.choice(REQUIRED)],
        "twice": [*fields, fields[-1]],
        "unknown": [*fields, ("more", "x")],
        "other": [*fields[:1], ("Count", "1"), *fields[2:]],
    }[kind]
    assume(len(wrong) > 0 and wrong != fields)
    raw = write([in_order(row) for row in rows] + [wrong], style, both)
    note(raw.decode())
    with pytest.raises(soap_rows.RowUnreadable):
        both.ours(raw)


PLAIN = {"prefix": "p", "gap": "\r\n  ", "short": True, "how": "escaped"}


@pytest.mark.parametrize("prefix", ["", "p"])
def test_ordinary_documents_are_read_at_once(both: Both, prefix: str) -> None:
    rows = [{"name": "Mẫu & con", "count": "1"}, {"name": "", "count": "2", "at": "2026-01-15T09:30:00Z"}]
    raw = write([in_order(row) for row in rows], {**PLAIN, "prefix": prefix}, both)
    assert both.is_read_at_once(raw)
    assert both.is_read_at_once(b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>' + raw)
    same(both.ours(raw), both.zeeps(raw))


ROW = "<row><name>a</name><count>1</count></row>"
WITH_Q = "<q:row><q:name>b</q:name><q:count>1</q:count></q:row>"
WITH_P = WITH_Q.replace("q:", "p:").replace(">b<", ">c<")
MARKED = '<told xmlns="urn:demo"><row x="1"><name>b</name><count>1</count></row></told>'
ELSEWHERE = f'<o xmlns="urn:o">{ROW}</o>'
TOLD = f'<e:Envelope xmlns:e="{NS}" xmlns:p="urn:demo" xmlns:q="urn:demo"><e:Body>{{}}</e:Body></e:Envelope>'


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (f'<told xmlns="urn:demo">{ROW}<o xmlns="urn:o">{ROW * 2}</o></told>', ["a"]),
        (f'<o><told xmlns="urn:demo"><q:row><q:name>b</q:name><q:count>1</q:count></q:row></told>{ROW}</o>', ["b"]),  # noqa: E501
        (f'<o>{ROW}<told xmlns="urn:demo"><row><name>b</name><count>1</count></row></told></o>', ["b"]),
        (f'<o><told xmlns="urn:demo">{ROW}</told><told xmlns="urn:o">{ROW}</told><q:row><q:name>b</q:name>'
         "<q:count>2</q:count></q:row></o>", ["a", "b"]),
        (f'<told xmlns="urn:demo"><!--{ROW}-->{ROW}<![CDATA[{ROW}]]><?x {ROW}?></told>', ["a"]),
        (f'<told xmlns="urn:demo">{ROW.replace("</row>", "</row >")}</told>', ["a"]),
        (f'<told xmlns="urn:demo">{ROW}<rows/><row x="{escape(ROW, {chr(34): ""})}"/></told>', ["a", None]),
        (f'<told xmlns="urn:demo">{ROW.replace("<count>", "<count xmlns=" + chr(34) * 2 + ">")}</told>', None),
        (f'<told xmlns="urn:demo">{ROW}{WITH_Q}</told>', ["a", "b"]),
        (f'<told xmlns="urn:demo">{ROW}<q:row/>{ROW}</told>', ["a", None, "a"]),
        (f"<o><!--{WITH_P}-->{WITH_P.replace('>c<', '>a<')}{WITH_Q}</o>", ["a", "b"]),
        (f"<o>{MARKED}{ELSEWHERE}</o>", ["b"]),
        (f"<o>{ELSEWHERE}{MARKED}</o>", ["b"]),
        (f'<o>{ELSEWHERE}<told xmlns="urn:demo"><row/></told></o>', [None]),
    ],
    ids=["nested", "other spelling", "looks first", "two scopes", "hidden", "blank", "attribute", "undeclared",
         "one of each", "between", "in a comment", "marked before", "marked behind", "empty behind"],
)  # fmt: skip
def test_nothing_is_a_row_by_its_looks(tmp_path: Path, body: str, names: list[str | None] | None) -> None:
    raw, reading = TOLD.format(body).encode(), Both(tmp_path, "qualified")
    if names is None:
        with pytest.raises(soap_rows.RowUnreadable):
            reading.ours(raw)
    else:
        assert [row and (row["name"] or "") for row in reading.ours(raw)] == names


def test_a_field_without_namespace_is_not_one_of_the_default_namespace(tmp_path: Path) -> None:
    reading, row = Both(tmp_path, "unqualified"), "<p:row><name>a</name><count>1</count></p:row>"
    assert reading.ours(TOLD.format(row).encode())[0]["name"] == "a"
    with pytest.raises(soap_rows.RowUnreadable):
        reading.ours(TOLD.format(f'<o xmlns="urn:o">{row}</o>').encode())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_other_encodings_give_the_same_rows(both: Both, encoding: str) -> None:
    raw = write([[("name", "Mẫu"), ("count", "1")]], PLAIN, both)
    text = f'<?xml version="1.0" encoding="{encoding[:6].rstrip("-")}"?>' if encoding == "utf-16" else ""
    assert both.ours((text + raw.decode()).encode(encoding)) == both.ours(raw)
