"""SOAP answers as they come: parts of a MIME message, envelope, fault, and plain values out of a tree.

Everything foreign goes through `core.xml_reading` first. Pure functions; nothing here knows zeep.
"""

from __future__ import annotations

import base64
import binascii
import quopri
import re
import urllib.parse
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lienthong.core import xml_reading

SOAP_11: Final = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_12: Final = "http://www.w3.org/2003/05/soap-envelope"
XOP: Final = "http://www.w3.org/2004/08/xop/include"
_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_MOST_PARTS = 100
_BOUNDARY = re.compile(r"""boundary\s*=\s*(?:"([^"\r\n]{1,200})"|([^;,\s]{1,200}))""", re.IGNORECASE)
_START = re.compile(r"""start\s*=\s*(?:"([^"\r\n]{1,300})"|([^;,\s]{1,300}))""", re.IGNORECASE)
_HTML = re.compile(rb"\A\xef?\xbb?\xbf?\s*<(?:!doctype\s+html|html)\b", re.IGNORECASE)
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")


class Refused(ValueError):
    """An answer is no SOAP message that can be read; `reason` is a word or two, never its text."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a MIME message: an attachment, or the envelope itself. Header names are in lower case."""

    content: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def content_type(self) -> str:
        """What the part says it holds."""
        return self.headers.get("content-type", "application/octet-stream")

    @property
    def content_id(self) -> str:
        """The part's name in the message, without its brackets; empty where it has none."""
        return self.headers.get("content-id", "").strip().strip("<>")


@dataclass(frozen=True, slots=True)
class Fault:
    """What a fault says. `code` is the local parts of code and subcodes, joined by dots."""

    code: str
    reason: str = field(repr=False)

    @property
    def blames_caller(self) -> bool:
        """Whether the other side says that the request must be changed."""
        return self.code.partition(".")[0] in ("Client", "Sender", "VersionMismatch", "MustUnderstand")


@dataclass(frozen=True, slots=True)
class Envelope:
    """A SOAP message taken apart. `body` is the one element of the body, None where it is empty or a fault.

    `raw` are the checked bytes of the envelope; empty where parts were put back into it.
    """

    version: str
    root: xml_reading.Element = field(repr=False)
    header: xml_reading.Element | None = field(repr=False)
    body: xml_reading.Element | None = field(repr=False)
    fault: Fault | None
    attachments: tuple[Part, ...] = ()
    raw: bytes = field(default=b"", repr=False)


def is_html(body: bytes) -> bool:
    """Whether a page came in a message's place, as gateways send."""
    return _HTML.match(body) is not None


def read(body: bytes, content_type: str) -> Envelope:
    """Take a message apart, its XOP parts put back in place. Raises Refused or xml_reading.XmlRefused."""
    attachments: tuple[Part, ...] = ()
    if content_type.lstrip().lower().startswith("multipart/"):
        first, attachments = _root_part(split(body, content_type), content_type)
        body = first.content
    body = body.strip()
    root = xml_reading.parse(body)
    namespace, name = _name(root)
    if name != "Envelope" or namespace not in (SOAP_11, SOAP_12):
        raise Refused("no envelope")
    given, attachments = len(attachments), _put_back(root, attachments)
    header, holder = root.find(f"{{{namespace}}}Header"), root.find(f"{{{namespace}}}Body")
    if holder is None:
        raise Refused("no body")
    children = list(holder)
    fault = _fault(children, namespace)
    content = children[0] if children and fault is None else None
    raw = body if len(attachments) == given else b""
    return Envelope("1.1" if namespace == SOAP_11 else "1.2", root, header, content, fault, attachments, raw)


def _fault(children: Sequence[xml_reading.Element], namespace: str) -> Fault | None:
    for child in children:
        if child.tag != f"{{{namespace}}}Fault":
            continue
        if namespace == SOAP_11:
            return Fault(_local(child.findtext("faultcode")), (child.findtext("faultstring") or "").strip())
        ns = f"{{{namespace}}}"
        values = [_local(it.text) for it in child.iterfind(f"{ns}Code//{ns}Value")]
        return Fault(".".join(values), (child.findtext(f"{ns}Reason/{ns}Text") or "").strip())
    return None


def _local(text: str | None) -> str:
    return (text or "").strip().rpartition(":")[2]


def _name(element: xml_reading.Element) -> tuple[str, str]:
    namespace, _, name = str(element.tag).rpartition("}")
    return namespace.removeprefix("{"), name


# --------------------------------------------------------------------------------------------------- MIME parts


def split(body: bytes, content_type: str) -> tuple[Part, ...]:
    """Take a multipart message apart, each part free of its transfer encoding. Raises Refused."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise Refused("no boundary")
    mark = re.escape((found[1] or found[2]).encode("latin-1", "replace"))
    mark = rb"(?:\A|\r?\n)--" + mark + rb"(?=--|[ \t]*\r?\n|[ \t]*\Z)"
    pieces = re.split(mark, body, maxsplit=_MOST_PARTS + 1)
    # Some leave the two strokes behind the last boundary out; nothing may stand behind it then.
    if len(pieces) < 3 or not (pieces[-1].startswith(b"--") or not pieces[-1].strip()):
        raise Refused("parts without an end" if len(pieces) <= _MOST_PARTS + 1 else "too many parts")
    return tuple(_part(piece) for piece in pieces[1:-1])


def _part(piece: bytes) -> Part:
    piece = piece.lstrip(b" \t")
    gap = _BLANK_LINE.search(piece)
    if gap is None:
        raise Refused("a part without content")
    if gap.start() == 0:  # no header at all
        return Part(piece[gap.end() :])
    headers: dict[str, str] = {}
    unfolded = re.sub(r"\r?\n[ \t]+", " ", piece[: gap.start()].decode("latin-1")).splitlines()
    for line in unfolded:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return Part(_decoded(piece[gap.end() :], headers.get("content-transfer-encoding", "").lower()), headers)


def _decoded(content: bytes, encoding: str) -> bytes:
    try:
        if encoding == "base64":
            return base64.b64decode(content)
        return quopri.decodestring(content) if encoding == "quoted-printable" else content
    except binascii.Error:
        raise Refused("a part is not base64") from None


def _root_part(parts: tuple[Part, ...], content_type: str) -> tuple[Part, tuple[Part, ...]]:
    start = _START.search(content_type.replace("start-info", "info"))
    wanted = (start[1] or start[2]).strip("<>") if start else ""
    at = next((place for place, part in enumerate(parts) if wanted and part.content_id == wanted), 0)
    return parts[at], parts[:at] + parts[at + 1 :]


def _put_back(root: xml_reading.Element, parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Put the content of XOP parts where it belongs, as base64; give the parts that nothing refers to."""
    held = {part.content_id: part for part in parts if part.content_id}
    used: set[str] = set()
    for include in list(root.iter(f"{{{XOP}}}Include")):
        reference = urllib.parse.unquote((include.get("href") or "").removeprefix("cid:"))
        holder = include.getparent()
        # Each part may be referred to once: a hundred references to one large part would be a bomb.
        if reference not in held or reference in used or holder is None:
            raise Refused("a reference to a part that is not there, or was used")
        used.add(reference)
        holder.remove(include)
        holder.text = base64.b64encode(held[reference].content).decode("ascii")
    return tuple(part for part in parts if part.content_id not in used)


def join(envelope: bytes, parts: Sequence[Part], *, version: str, action: str = "") -> tuple[bytes, str]:
    """Put an envelope and its parts together as MTOM; give the body and its Content-Type (SOAP 1.1 or 1.2)."""
    boundary, root_id = f"part-{uuid.uuid4().hex}", f"{uuid.uuid4().hex}@envelope"
    info = "text/xml" if version == "1.1" else "application/soap+xml"
    head = f'Content-Type: application/xop+xml; charset=UTF-8; type="{info}"\r\n'
    head += f"Content-Transfer-Encoding: binary\r\nContent-ID: <{root_id}>\r\n\r\n"
    out = bytearray(f"--{boundary}\r\n{head}".encode("ascii") + envelope)
    for part in parts:
        head = f"Content-Type: {part.content_type}\r\nContent-Transfer-Encoding: binary\r\n"
        head += f"Content-ID: <{part.content_id}>\r\n\r\n"
        out += f"\r\n--{boundary}\r\n{head}".encode("ascii") + part.content
    out += f"\r\n--{boundary}--\r\n".encode("ascii")
    kind = f'multipart/related; type="application/xop+xml"; start="<{root_id}>"; start-info="{info}"'
    kind += f'; boundary="{boundary}"' + (f'; action="{action}"' if action and version != "1.1" else "")
    return bytes(out), kind


# ------------------------------------------------------------------------------------------------- plain values


def tree(element: xml_reading.Element, *, namespaces: Collection[str]) -> Any:
    """Give an element as plain values: text, a dict of children, a list where a child comes again.

    An element of another namespace than those given is refused, so that nothing is read under a false name;
    so is text beside children. Raises Refused.
    """
    namespace, _ = _name(element)
    if namespace not in namespaces:
        raise Refused("an element of another namespace")
    if not len(element):
        return "" if element.get(_NIL) in ("true", "1") else (element.text or "").strip()
    found: dict[str, Any] = {}
    if (element.text or "").strip():
        raise Refused("text beside elements")
    for child in element:
        if (child.tail or "").strip():
            raise Refused("text beside elements")
        name, value = _name(child)[1], tree(child, namespaces=namespaces)
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found


def children_of(
    element: xml_reading.Element, name: str, *, namespaces: Collection[str]
) -> list[xml_reading.Element]:
    """Give the children of a name; any other child is refused, by Refused."""
    for child in element:
        if _name(child)[1] != name or _name(child)[0] not in namespaces:
            raise Refused("an element that was not expected")
    return list(element)


def local_name(element: xml_reading.Element) -> str:
    """Give the name of an element without its namespace."""
    return _name(element)[1]
