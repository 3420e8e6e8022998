"""Envelopes of SOAP 1.1 and 1.2: taken apart on the way in, put around an answer on the way out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lienthong.bus.gateway import answers, bodies, soap_schema
from lienthong.core import errors, settings, xml_reading

Node = xml_reading.Element

V11, V12 = "1.1", "1.2"
NAMESPACES = {
    V11: "http://schemas.xmlsoap.org/soap/envelope/",
    V12: "http://www.w3.org/2003/05/soap-envelope",
}
_VERSIONS = {f"{{{namespace}}}Envelope": version for version, namespace in NAMESPACES.items()}
_KINDS = {V11: b"text/xml; charset=utf-8", V12: b"application/soap+xml; charset=utf-8"}
# The envelope, its header or body, and what WS-Security needs inside, over what a body may have in JSON.
_OVER_JSON = 8
_MOST_ATTRIBUTES = 10_000
# Tags, each of which costs far more memory than it brings; the largest dossier has a sixth of this.
_MOST_TAGS = 60_000
_OURS = f"{{{soap_schema.NAMESPACE}}}"
XROAD = "http://x-road.eu/xsd/xroad.xsd"
SECURITY = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd}Security"
_UNDERSTOOD = frozenset({SECURITY, f"{_OURS}officialAssertion", f"{_OURS}acceptLanguage"})
_WHY = {
    "too_large": ("Nội dung quá lớn.", "The document is too large."),
    "too_deep": ("XML lồng nhau quá sâu.", "The XML is nested too deeply."),
    "too_many_attributes": ("XML có quá nhiều thuộc tính.", "The XML has too many attributes."),
    "attribute_too_long": ("XML có thuộc tính quá dài.", "The XML has an attribute that is too long."),
    "doctype": (
        "Không nhận DTD (<!DOCTYPE …>) và thực thể.",
        "A DTD (<!DOCTYPE …>) and entities are not accepted.",
    ),
    "encoding": ("XML phải là UTF-8, hoặc UTF-16 có BOM.", "The XML must be UTF-8, or UTF-16 with its mark."),
    "malformed": ("Nội dung không phải là XML đúng quy cách.", "The body is not well-formed XML."),
}


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message taken apart; `child` is the one element of its body."""

    version: str
    root: Node
    header: Node | None
    body: Node
    child: Node

    def block(self, tag: str) -> Node | None:
        """Give the header block of this name. Raises InvalidRequest where it comes twice."""
        found = [] if self.header is None else self.header.findall(tag)
        if len(found) > 1:
            name = tag.rpartition("}")[2]
            raise refused(
                f"{name} được gửi hai lần trong Header.", f"{name} came twice in the Header.", field=name
            )
        return found[0] if found else None

    def text(self, name: str) -> str | None:
        """Give the text of a header block of ours."""
        block = self.block(_OURS + name)
        return None if block is None else whole_text(block)


def version_of(headers: Mapping[bytes, bytes]) -> str:
    """Guess the version of a message that nobody has read yet, for the form of a refusal."""
    return V12 if b"application/soap+xml" in headers.get(b"content-type", b"").lower() else V11


async def read(receive: bodies.Receive, headers: Mapping[bytes, bytes], limits: settings.Gateway) -> bytes:
    """Take a message in. Raises BodyTooLarge, BodyTooSlow, BodyCutOff or UnsupportedMedia."""
    kind = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
    if kind not in ("text/xml", "application/soap+xml", "application/xml"):
        raise errors.UnsupportedMedia(
            "A SOAP message is text/xml (SOAP 1.1) or application/soap+xml (SOAP 1.2), without attachments.",
            detail_vi="Thông điệp SOAP phải là text/xml (SOAP 1.1) hoặc application/soap+xml (SOAP 1.2), "
            "không kèm tệp.",
        )
    # How the letters are written is for the XML to say.
    return await bodies.read(receive, {**headers, b"content-type": b"application/json"}, limits)


def parse(raw: bytes, limits: settings.Gateway) -> Envelope:
    """Take a message apart. Raises InvalidRequest; `fault` among its facts is SOAP's own name of what is wrong."""
    if raw.count(b"<") > _MOST_TAGS:
        raise refused(
            "XML có quá nhiều phần tử.", "The XML has too many elements.", reason="xml:too_many_elements"
        )
    try:
        root = xml_reading.parse(
            raw,
            most_bytes=limits.body_limit_bytes,
            most_depth=limits.depth_limit + _OVER_JSON,
            most_attributes=_MOST_ATTRIBUTES,
        )
    except xml_reading.XmlRefused as exc:
        vi, en = _WHY.get(exc.reason, _WHY["malformed"])
        raise refused(vi, en, reason=f"xml:{exc.reason}") from None
    version = _VERSIONS.get(str(root.tag))
    if version is None:
        raise _no_envelope(str(root.tag))
    space = f"{{{NAMESPACES[version]}}}"
    parts = [*root]
    header = parts[0] if len(parts) == 2 and parts[0].tag == f"{space}Header" else None
    body = parts[-1] if parts else None
    if body is None or body.tag != f"{space}Body" or len(parts) > (1 if header is None else 2) or len(body) != 1:
        raise refused(
            "Envelope gồm tối đa một Header, rồi đúng một Body có đúng một phần tử.",
            "An Envelope has at most one Header, then one Body with exactly one element in it.",
        )
    _must_be_understood(header, space)
    return Envelope(version, root, header, body, body[0])


def whole_text(node: Node) -> str:
    """Give the text of an element that may hold nothing else. Raises InvalidRequest."""
    if len(node):
        name = str(node.tag).rpartition("}")[2][:60]
        raise refused(f"{name} phải là một giá trị.", f"{name} must be one value.", field=name)
    return (node.text or "").strip()


def answer(version: str, content: str, *, header: str = "", status: int = 200) -> answers.Answer:
    """Put the envelope around an answer."""
    head = f"<soap:Header>{header}</soap:Header>" if header else ""
    told = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<soap:Envelope xmlns:soap="{NAMESPACES[version]}">{head}'
        f"<soap:Body>{content}</soap:Body></soap:Envelope>"
    )
    return answers.Answer(status, told.encode(), [(b"content-type", _KINDS[version])])


def refused(vi: str, en: str, *, field: str = "Envelope", **facts: Any) -> errors.InvalidRequest:
    """Say what is wrong with a message as a whole."""
    return errors.InvalidRequest(problems=(errors.FieldProblem(field, vi, en),), **facts)


def _must_be_understood(header: Node | None, space: str) -> None:
    for block in () if header is None else header:
        must = block.get(f"{space}mustUnderstand", "").strip()
        if (
            must in ("1", "true")
            and block.tag not in _UNDERSTOOD
            and not str(block.tag).startswith(f"{{{XROAD}}}")
        ):
            raise refused(
                "Header có phần bắt buộc (mustUnderstand) mà cửa này không biết.",
                "The Header has a mandatory block (mustUnderstand) that this door does not know.",
                field="Header",
                fault="MustUnderstand",
            )


def _no_envelope(tag: str) -> errors.InvalidRequest:
    fault: dict[str, Any] = {"fault": "VersionMismatch"} if tag.endswith("}Envelope") else {}
    return refused(
        "Phần tử gốc phải là Envelope của SOAP 1.1 hoặc 1.2.",
        "The root must be an Envelope of SOAP 1.1 or 1.2.",
        **fault,
    )
