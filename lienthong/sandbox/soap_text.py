"""SOAP 1.1 as the imitated registers read and write it: an envelope, one element in its body, faults."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from lienthong.sandbox import xml_tree
from lienthong.sandbox.wire import Reply
from lienthong.sandbox.xml_tree import Node, Unreadable, element

ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
XROAD = "http://x-road.eu/xsd/xroad.xsd"
SHA512 = "http://www.w3.org/2001/04/xmlenc#sha512"
XML = b"text/xml; charset=utf-8"
_DOCTYPES = {
    "dtd": '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">',
    "entity": '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>',
    "external": '<!DOCTYPE x [<!ENTITY b SYSTEM "file:///etc/hostname">]>',
}


def body_element(raw: bytes) -> Node:
    """Read the one element of a SOAP 1.1 body. Raises Unreadable."""
    root = xml_tree.read(raw)
    if (root.namespace, root.name) != (ENVELOPE, "Envelope"):
        raise Unreadable("not a SOAP 1.1 envelope")
    bodies = [one for one in root.children if (one.namespace, one.name) == (ENVELOPE, "Body")]
    if len(bodies) != 1 or len(bodies[0].children) != 1:
        raise Unreadable("one Body with one element is expected")
    return bodies[0].children[0]


def xroad_fields(raw: bytes) -> list[Node]:
    """Read the X-Road elements of a header, where the call comes in X-Road's SOAP form (contracts §6.1)."""
    root = xml_tree.read(raw)
    header = next((one for one in root.children if (one.namespace, one.name) == (ENVELOPE, "Header")), None)
    return [one for one in header.children if one.namespace == XROAD] if header is not None else []


def xroad_client(fields: list[Node]) -> str:
    """Return the path of the calling member that an X-Road header names; empty where it names none."""
    client = next((one for one in fields if one.name == "client"), None)
    return "/".join(part.text.strip() for part in client.children) if client is not None else ""


def xroad_header(fields: list[Node], *, posted: bytes, kind: str = "") -> str:
    """Write the header of an answer: the request's own fields, and the hash of the envelope as it was posted."""
    digest = base64.b64encode(hashlib.sha512(posted + (b"x" if kind == "wrong" else b"")).digest()).decode()
    hashed = Node(XROAD, "requestHash", digest, attributes={"algorithmId": SHA512})
    shown = [*fields, hashed] if kind != "missing" else fields
    return f"<env:Header>{''.join(xml_tree.written(one) for one in shown)}</env:Header>"


def envelope(inside: str, *, header: str = "") -> bytes:
    """Write an envelope around what is already XML."""
    text = f'<env:Envelope xmlns:env="{ENVELOPE}">{header}<env:Body>{inside}</env:Body></env:Envelope>'
    return f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode()


def fault(status: int, text: str, *, by_client: bool) -> Reply:
    """Answer with a SOAP 1.1 fault."""
    code = "env:Client" if by_client else "env:Server"
    inside = element("faultcode", text=code) + element("faultstring", text=text)
    return Reply(envelope(f"<env:Fault>{inside}</env:Fault>"), status, XML, outcome="refused", shown=text.encode())


def hostile(body: bytes, kind: str) -> bytes:
    """Turn an answer into one that a careless reader falls for."""
    text = body.decode()
    start = text.index("<env:Envelope")
    if kind == "deep":
        return (text[:start] + "<a>" * 100_000 + "</a>" * 100_000).encode()
    inside = text[start:].replace("</env:Body>", "<Them>&b;</Them></env:Body>" if kind != "dtd" else "</env:Body>")
    return (text[:start] + _DOCTYPES[kind] + inside).encode()


def huge(body: bytes, size: int) -> bytes:
    """Pad an answer to about a size, with text inside its body."""
    return body.replace(b"</env:Body>", b"<Them>" + b"x" * max(0, size - len(body)) + b"</Them></env:Body>")


def touched(body: bytes, chosen: dict[str, dict[str, Any]]) -> bytes:
    """Apply the moods that spoil XML."""
    if "hostile_xml" in chosen:
        return hostile(body, str(chosen["hostile_xml"]["kind"]))
    if "huge_answer" in chosen:
        return huge(body, int(chosen["huge_answer"]["bytes"]))
    return body
