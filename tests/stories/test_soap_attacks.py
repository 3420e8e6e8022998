"""What hostile XML does at the SOAP door: nothing, a refusal in words, and a record of it."""

from __future__ import annotations

import tempfile
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import builders
import doors
import httpx
import pytest
import soap_town
from lxml import etree

from lienthong.bus import hub

DEEP = 100_000
SECRET = "this file is read by nobody"
SECRET_FILE = Path(tempfile.gettempdir()) / "lienthong-never-read.txt"
NOTE = soap_town.element("notes.put", "<text>xin chao</text>")
MOST_BYTES = 10_000_000


def doctype(declared: str, text: str = "&a;") -> bytes:
    body = soap_town.envelope(soap_town.element("notes.put", f"<text>{text}</text>")).decode()
    return f'<?xml version="1.0"?><!DOCTYPE e [{declared}]>{body}'.encode()


def attacks() -> dict[str, tuple[bytes, str]]:
    laughs = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    wide = " ".join(f'a{n}="x"' for n in range(15_000))
    spaces = " ".join(f'xmlns:n{n}="urn:n{n}"' for n in range(15_000))
    include = f'<i:include xmlns:i="http://www.w3.org/2001/XInclude" href="{SECRET_FILE.as_uri()}" parse="text"/>'
    return {
        "entity expansion": (doctype(f'<!ENTITY a0 "ha">{laughs}', "&a11;"), "xml:doctype"),
        "quadratic expansion": (doctype(f'<!ENTITY a "{"x" * 50_000}">', "&a;" * 50_000), "xml:doctype"),
        "external entity": (doctype(f'<!ENTITY a SYSTEM "{SECRET_FILE.as_uri()}">'), "xml:doctype"),
        "external entity over the network": (doctype('<!ENTITY a SYSTEM "http://127.0.0.1:9/">'), "xml:doctype"),
        "parameter entity": (doctype('<!ENTITY % a SYSTEM "http://127.0.0.1:9/"> %a;', ""), "xml:doctype"),
        "outside DTD": (
            b'<!DOCTYPE e SYSTEM "http://127.0.0.1:9/e.dtd">' + soap_town.envelope(NOTE),
            "xml:doctype",
        ),
        "DTD behind a comment": (b"<!-- x --><?x y?><!DOCTYPE e []>" + soap_town.envelope(NOTE), "xml:doctype"),
        "DTD in UTF-16": (doctype('<!ENTITY a "x">').decode().encode("utf-16"), "xml:doctype"),
        "another encoding": (b'<?xml version="1.0" encoding="UTF-7"?>' + soap_town.envelope(NOTE), "xml:encoding"),
        "XInclude": (soap_town.envelope(soap_town.element("notes.put", f"<text>{include}</text>")), ""),
        "huge attribute": (soap_town.envelope(f'<a b="{"x" * 1_500_000}"/>'), "xml:attribute_too_long"),
        "very many attributes": (soap_town.envelope(f"<a {wide}/>"), "xml:too_many_attributes"),
        "very many namespaces": (soap_town.envelope(f"<a {spaces}/>"), "xml:too_many_attributes"),
        "100,000 levels": (soap_town.envelope("<a>" * DEEP + "</a>" * DEEP), "xml:too_many_elements"),
        "20,000 levels": (soap_town.envelope("<a>" * 20_000 + "</a>" * 20_000), "xml:malformed"),
        "100 levels": (soap_town.envelope("<a>" * 100 + "</a>" * 100), "xml:too_deep"),
        "cut off": (soap_town.envelope(NOTE)[:-20], "xml:malformed"),
        "two roots": (soap_town.envelope(NOTE) * 2, "xml:malformed"),
        "a zero letter": (soap_town.envelope(NOTE).replace(b"xin", b"x\x00n"), "xml:malformed"),
        "half a letter": (soap_town.envelope(NOTE).replace(b"xin", b"x\xe1n"), "xml:encoding"),
        "a forbidden letter": (soap_town.envelope(NOTE).replace(b"xin", b"x&#1;n"), "xml:malformed"),
        "unknown entity": (soap_town.envelope(NOTE).replace(b"xin", b"&xin;"), "xml:malformed"),
        "very many elements": (soap_town.envelope(f"<a>{'<b/>' * 400_000}</a>"), "xml:too_many_elements"),
        "very many wrong fields": (
            soap_town.envelope(soap_town.element("notes.put", "".join(f"<f{n}/>" for n in range(100_000)))),
            "xml:too_many_elements",
        ),
        "an element name that is a novel": (soap_town.envelope(f"<{'a' * 40_000}/>"), ""),
    }


ATTACKS = attacks()


@pytest.fixture(autouse=True)
def secret_file() -> Iterator[None]:
    SECRET_FILE.write_text(SECRET)
    yield
    SECRET_FILE.unlink(missing_ok=True)


@pytest.fixture
async def caller(sqlite_hub: hub.Hub) -> AsyncIterator[httpx.AsyncClient]:
    issued = await builders.issue_key(sqlite_hub)
    async with doors.client(sqlite_hub, desk=doors.Desk(), key=issued.key) as opened:
        yield opened


@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_is_refused_in_a_small_answer_and_written_down(
    sqlite_hub: hub.Hub, caller: httpx.AsyncClient, name: str
):
    raw, reason = ATTACKS[name]
    answer = await caller.post("/soap/v1", content=raw, headers={"content-type": "text/xml"})
    root = etree.fromstring(answer.content)
    assert answer.status_code == 500
    assert root.findtext(".//faultcode") == "soap:Client"
    assert len(answer.content) < 60_000, "what was sent is not sent back"
    [row] = await doors.journal(sqlite_hub)
    assert (row.door, row.status in (400, 404), row.bytes_in == len(raw)) == ("soap", True, True)
    assert (row.rule or "") == reason
    assert SECRET not in answer.text


@pytest.mark.parametrize("name", ["entity expansion", "quadratic expansion", "100,000 levels", "huge attribute"])
async def test_an_attack_takes_no_more_of_pythons_memory_than_it_brings(caller: httpx.AsyncClient, name: str):
    raw, _ = ATTACKS[name]
    tracemalloc.start()
    try:
        await caller.post("/soap/v1", content=raw, headers={"content-type": "text/xml"})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MOST_BYTES + 4 * len(raw)
