"""SOAP 1.1 as the imitated registers read and write it: an envelope, one element in its body, faults."""

from __future__ import annotations

from typing import Any

from lienthong.sandbox import xml_tree
from lienthong.sandbox.wire import Reply
from lienthong.sandbox.xml_tree import Node, Unreadable, element

ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
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


def envelope(inside: str) -> bytes:
    """Write an envelope around what is already XML."""
    text = f'<env:Envelope xmlns:env="{ENVELOPE}"><env:Body>{inside}</env:Body></env:Envelope>'
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
