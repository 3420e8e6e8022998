"""Reading XML that somebody else wrote: no DTD, no entities, no network, bounded in size and depth.

The SOAP door and the SOAP border read through here and nowhere else; lxml's own defaults are not enough: with
entities switched off it still accepts a DTD in silence.
"""

from __future__ import annotations

import codecs
import functools
import re
import threading
from typing import Final

from lxml import etree

Element = etree._Element

MOST_BYTES: Final = 32 * 1024 * 1024
MOST_DEPTH: Final = 64
MOST_ATTRIBUTES: Final = 500_000
LONGEST_ATTRIBUTE: Final = 65_536

_BLANKS = " \t\r\n"
_local = threading.local()
_LONG_ATTRIBUTE = etree.XPath(f"boolean(//@*[string-length(.) > {LONGEST_ATTRIBUTE}])")
_DECLARED = re.compile(r"""^<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z][A-Za-z0-9._-]{0,39})["']""")
_READABLE = frozenset({"utf-8", "utf8", "utf-16", "utf-16le", "utf-16be", "us-ascii", "ascii"})


class XmlRefused(ValueError):
    """The document cannot be read, or is refused as a danger; `reason` is a word, never the document's text."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def parse(
    raw: bytes,
    *,
    most_bytes: int = MOST_BYTES,
    most_depth: int = MOST_DEPTH,
    most_attributes: int = MOST_ATTRIBUTES,
    as_written: bool = False,
) -> Element:
    """Read a document and give its root. Raises XmlRefused.

    Encodings: UTF-8 (with or without its mark) and UTF-16 with its mark; any other is refused. Comments and
    processing instructions are left out, so that nothing hides between the letters of a text; `as_written` keeps
    them, for signatures that are made over them.
    """
    if len(raw) > most_bytes:
        raise XmlRefused("too_large")
    text = _decoded(raw)
    _refuse_doctype(text)
    if text.count('="') + text.count("='") > most_attributes:
        raise XmlRefused("too_many_attributes")
    try:
        root = etree.fromstring(text.encode("utf-8"), _parser(as_written))
    except (etree.XMLSyntaxError, ValueError):
        raise XmlRefused("malformed") from None
    # Most messages are too short for either; XPath would let other threads run in between, which costs them more.
    if text.count("<") > most_depth and _deeper_than(most_depth)(root):
        raise XmlRefused("too_deep")
    if len(text) > LONGEST_ATTRIBUTE and _LONG_ATTRIBUTE(root):
        raise XmlRefused("attribute_too_long")
    return root


def _parser(as_written: bool) -> etree.XMLParser:
    """Give this thread's parser, made once: that takes as long as reading a short message with it."""
    known: dict[bool, etree.XMLParser] | None = getattr(_local, "parsers", None)
    if known is None:
        known = _local.parsers = {}
    if as_written not in known:
        # Parsed as UTF-8 whatever the declaration says: the text has been decoded before.
        known[as_written] = etree.XMLParser(
            encoding="utf-8",
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            dtd_validation=False,
            attribute_defaults=False,
            huge_tree=False,
            remove_comments=not as_written,
            remove_pis=not as_written,
            strip_cdata=True,
            collect_ids=False,
        )
    return known[as_written]


@functools.cache
def _deeper_than(most: int) -> etree.XPath:
    # Level by level inside libxml2, which has its own bound too: no Python loop over the elements.
    return etree.XPath(f"boolean({'/*' * (most + 1)})")


def _decoded(raw: bytes) -> str:
    encoding = "utf-8"
    if raw.startswith(codecs.BOM_UTF8):
        raw = raw[3:]
    elif raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        raise XmlRefused("encoding") from None
    declared = _DECLARED.match(text[:200])
    if declared is not None and declared[1].lower() not in _READABLE:
        raise XmlRefused("encoding")
    return text


def _refuse_doctype(text: str) -> None:
    """Walk over what may stand before the root; a `<!` there that begins no comment begins a DTD."""
    place, end = 0, len(text)
    while True:
        while place < end and text[place] in _BLANKS:
            place += 1
        if text.startswith("<?", place):
            place = _after(text, "?>", place)
        elif text.startswith("<!--", place):
            place = _after(text, "-->", place + 4)
        elif text.startswith("<!", place):
            raise XmlRefused("doctype")
        elif text.startswith("<", place):
            return
        else:
            raise XmlRefused("malformed")


def _after(text: str, mark: str, place: int) -> int:
    found = text.find(mark, place)
    if found < 0:
        raise XmlRefused("malformed")
    return found + len(mark)
