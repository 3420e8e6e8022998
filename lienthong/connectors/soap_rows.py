"""Bulk SOAP answers read as typed rows, without zeep's objects: compiled once from the XSD type that zeep knows.

The rows are those of `zeep.helpers.serialize_object`, as plain dicts; what is beyond plain sequences of elements
(choices, attributes, wildcards, recursion) is left to zeep, element by element. Three readers, each of which
hands on what it does not know: whole columns at once, row by row, zeep. Only the last two refuse.
"""

from __future__ import annotations

import codecs
import functools
import itertools
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from xml.etree import ElementTree

from lienthong.core import xml_reading

Convert = Callable[[Any], Any]
# How a field is read: its text as it stands, its text through a function, its element through a function.
_TEXT, _VALUE, _ELEMENT = range(3)
_MOST_SHAPES: Final = 256
_WRONG: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class RowUnreadable(ValueError):
    """A row is not of its type; `field` is the name of the element, never its text."""

    def __init__(self, field: str) -> None:
        self.field = field
        super().__init__(field)


class Field(NamedTuple):
    """How one element of a row is read. `is_frozen`: equal texts may give the very same value."""

    key: str
    how: int
    convert: Convert
    many: bool = False
    most: float = 1
    is_required: bool = True
    is_frozen: bool = False


class RowReader:
    """Reads elements of one complex type into dicts. `by_zeep` reads the same, slowly, whatever they carry."""

    def __init__(self, by_zeep: Convert) -> None:
        """Leave all to zeep until fields are given."""
        self.by_zeep = by_zeep
        self.fields: dict[str, Field] = {}
        self.is_plain = self.is_wholly_plain = self.is_flat = False
        self._is_ordered = True
        self._blank: dict[str, Any] = {}
        self._lists: tuple[str, ...] = ()
        self._shapes: set[tuple[str, ...]] = set()

    def read_by(self, fields: dict[str, Field], *, is_ordered: bool) -> None:
        """Read by these from now on, each under its tag, in the order of the type."""
        self.is_plain = True
        inner = [it.convert for it in fields.values() if it.how == _ELEMENT]
        self.is_wholly_plain = all(isinstance(it, RowReader) and it.is_wholly_plain for it in inner)
        self.is_flat = bool(fields) and not inner and not any(it.many for it in fields.values())
        self.fields, self._is_ordered = fields, is_ordered
        self._blank = {it.key: None for it in fields.values()}
        self._lists = tuple(it.key for it in fields.values() if it.many)

    def __call__(self, element: xml_reading.Element | ElementTree.Element) -> Any:
        """Read one element. Raises RowUnreadable."""
        if not self.is_plain:
            return self.by_zeep(element)
        children: list[Any] = list(element)
        if not children:
            return None
        tags = tuple([child.tag for child in children])
        if tags not in self._shapes:
            self._learn(tags)
        row: dict[str, Any] = self._blank.copy()
        for key in self._lists:
            row[key] = []
        fields, tag = self.fields, ""
        try:
            for tag, child in zip(tags, children, strict=True):
                key, how, convert, many, _, _, _ = fields[tag]
                value: Any
                if how == _ELEMENT:
                    value = convert(child)
                elif len(child):
                    raise RowUnreadable(_name(tag))
                else:
                    value = child.text
                    if how == _VALUE and value is not None:
                        value = convert(value)
                if many:
                    row[key].append(value)
                else:
                    row[key] = value
        except RowUnreadable:
            raise
        except _WRONG:
            raise RowUnreadable(_name(tag)) from None
        return row

    def check(self, tags: Sequence[str]) -> None:
        """Raise RowUnreadable where an element is unknown, missing, out of its turn or there too often."""
        places = {tag: place for place, tag in enumerate(self.fields)}
        for tag in tags:
            if tag not in places:
                raise RowUnreadable(_name(tag))
        for tag, field in self.fields.items():
            if field.is_required and tag not in tags:
                raise RowUnreadable(_name(tag))
            if tags.count(tag) > field.most:
                raise RowUnreadable(_name(tag))
        for before, tag in itertools.pairwise(tags):
            if self._is_ordered and places[tag] < places[before]:
                raise RowUnreadable(_name(tag))

    def _learn(self, tags: tuple[str, ...]) -> None:
        self.check(tags)
        if len(self._shapes) < _MOST_SHAPES:
            self._shapes.add(tags)


def read_checked(raw: bytes, tag: str, *, reader: RowReader, root: xml_reading.Element) -> list[Any]:
    """Read the rows of a document that `core.xml_reading` has let through as `root`. Raises RowUnreadable.

    Where columns cannot be read at once, the standard library parses once more: its elements hold their texts
    ready, while lxml makes each anew when it is looked at. DTD and entities were refused before.
    """
    text = raw.decode("utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig")
    rows = _in_columns(text, tag, reader=reader, root=root) if reader.is_flat else None
    if rows is None:
        # An empty CDATA section is an empty text to lxml, and so to zeep, but no text to the standard library.
        again = root if "<![CDATA[]]>" in text else ElementTree.fromstring(text)  # noqa: S314
        rows = [reader(element) for element in again.iter(tag)]
    return rows


def read_by_zeep(element: xml_reading.Element, *, reader: RowReader) -> Any:
    """Read a row that may carry xsi:nil or xsi:type; what zeep lets pass unsaid is refused by RowUnreadable."""
    row = reader.by_zeep(element)
    if reader.is_plain and len(element) and element.get(_XSI_TYPE) is None:
        reader.check([str(child.tag) for child in element])
    return row


_XSI_TYPE: Final = "{http://www.w3.org/2001/XMLSchema-instance}type"


# ------------------------------------------------------------------------------------------------ whole columns


def _in_columns(text: str, tag: str, *, reader: RowReader, root: xml_reading.Element) -> list[Any] | None:
    """Read all rows by one expression over the checked text; None where the rows are written in another way.

    Nothing is a row by its looks alone. Without comments, CDATA and instructions every `<` begins a tag. As many
    tags of the row's name as `root` has rows, all in one run of neighbours without attributes: they share one
    scope, and one of them is the first row of `root`, so all of them are its rows.
    """
    found = root.iter(tag)
    first = next(found, None)
    if first is None:
        return []
    name = f"{first.prefix}:{_name(tag)}" if first.prefix else _name(tag)
    written = _written_as(tag, tuple(reader.fields), tuple(it.is_required for it in reader.fields.values()), name)
    if written is None or (written.has_bare and None in first.nsmap) or _has_other_than_tags(text):
        return None
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    start, end = text.find(f"<{name}>"), text.rfind(f"</{name}>")
    count = 1 + sum(1 for _ in found)
    if not 0 <= start < end:
        return None
    end += len(name) + 3
    if written.opening.search(text, 0, start) or written.opening.search(text, end):
        return None
    *texts, between = zip(*written.row_or_tag.findall(text, start, end), strict=True)
    if len(between) != count or any(between):
        return None
    try:
        if text.find("&", start, end) >= 0:
            texts = [
                tuple([_REFERENCE.sub(_referred, it) if "&" in it else it for it in column]) for column in texts
            ]
        columns = [_column(field, column) for field, column in zip(reader.fields.values(), texts, strict=True)]
    except _WRONG:
        return None
    keys = tuple(field.key for field in reader.fields.values())
    return [dict(zip(keys, values, strict=False)) for values in zip(*columns, strict=True)]


def _has_other_than_tags(text: str) -> bool:
    """Whether a `<` may begin a comment, CDATA or an instruction; a sign alone is found much sooner than two."""
    return ("!" in text and "<!" in text) or ("?" in text and text.rfind("<?") > 0)


class _Written(NamedTuple):
    """Rows as text: the tag that begins one; one with its fields as groups, or in the last any other tag's `<`."""

    opening: re.Pattern[str]
    row_or_tag: re.Pattern[str]
    has_bare: bool


@functools.lru_cache(maxsize=256)
def _written_as(tag: str, tags: tuple[str, ...], required: tuple[bool, ...], name: str) -> _Written | None:
    """Make the expressions for rows of the name as it is written; None where a field would need another prefix."""
    prefix = name.rpartition(":")[0]
    space, has_bare, parts = _space(tag), False, []
    for field, is_required in zip(tags, required, strict=True):
        if _space(field) not in (space, ""):
            return None
        is_bare = _space(field) != space
        has_bare |= is_bare
        spelt = re.escape(_name(field) if is_bare or not prefix else f"{prefix}:{_name(field)}")
        parts.append(f"(?:<{spelt}>([^<]*+)</{spelt}>{_GAP}|<{spelt} ?/>{_GAP}){'' if is_required else '?'}")
    spelt = re.escape(name)
    row = f"<{spelt}>{_GAP}{''.join(parts)}</{spelt}>|(<)"
    return _Written(re.compile(rf"<{spelt}[ \t\n\r/>]"), re.compile(row), has_bare)


_GAP: Final = r"[ \t\n]*+"
_REFERENCE: Final = re.compile("&([^;]*);")
_NAMED: Final = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


def _referred(found: re.Match[str]) -> str:
    name = found[1]
    if name.startswith("#x"):
        return chr(int(name[2:], 16))
    return chr(int(name[1:])) if name.startswith("#") else _NAMED[name]


def _column(field: Field, texts: Sequence[str]) -> Sequence[Any]:
    """Convert a column; an element that is not there and one without text are both None, as with zeep."""
    if field.how == _TEXT:
        return [text or None for text in texts] if "" in texts else texts
    convert = field.convert
    if not field.is_frozen:
        return [convert(text) if text else None for text in texts]
    known = {text: convert(text) if text else None for text in set(texts)}
    return [known[text] for text in texts]


# ---------------------------------------------------------------------------------------------------- compiling


def compile_type(
    kind: Any,
    *,
    schema: Any,
    serialise: Convert,
    refusals: tuple[type[Exception], ...],
    seen: tuple[Any, ...] = (),
) -> RowReader:
    """Make the reader of a complex type of zeep's.

    `serialise` turns zeep's objects into plain ones, `refusals` are what zeep raises where it cannot read.
    """

    def by_zeep(element: xml_reading.Element) -> Any:
        try:
            return serialise(kind.parse_xmlelement(element, schema))
        except refusals:
            raise RowUnreadable(_name(str(element.tag))) from None

    reader = RowReader(by_zeep)
    parts = [part for _, part in getattr(kind, "elements_nested", ())]
    is_sequence = len(parts) == 1 and type(parts[0]).__name__ in ("Sequence", "All") and parts[0].max_occurs == 1
    if not is_sequence or kind.attributes or kind in seen:
        return reader
    fields: dict[str, Field] = {}
    for part in parts[0]:
        tag = part.qname.text if type(part).__name__ == "Element" else ""
        if not tag or part.attr_name in [it.key for it in fields.values()]:
            return reader
        how, is_frozen = _ELEMENT, False
        convert: Convert | None = None
        if hasattr(part.type, "elements_nested"):
            convert = compile_type(
                part.type, schema=schema, serialise=serialise, refusals=refusals, seen=(*seen, kind)
            )
        elif "AnySimpleType" in _kinds(part.type):
            how, convert, is_frozen = _simple(part.type)
        if convert is None:
            return reader
        most = float("inf") if part.max_occurs == "unbounded" else part.max_occurs
        fields[tag] = Field(
            part.attr_name, how, convert, part.accepts_multiple, most, bool(part.min_occurs), is_frozen
        )
    reader.read_by(fields, is_ordered=type(parts[0]).__name__ == "Sequence")
    return reader


def _simple(kind: Any) -> tuple[int, Convert, bool]:
    names = _kinds(kind)
    if "String" in names and "NormalizedString" not in names:
        return _TEXT, str, True
    read: Convert = kind.pythonvalue
    for name in names:
        if name in _QUICK:
            return _VALUE, _or_else(*_QUICK[name], read), True
    return _VALUE, read, "Boolean" in names


def _kinds(kind: Any) -> list[str]:
    return [cls.__name__ for cls in type(kind).__mro__]


# So written, Python reads it as zeep does; Python would read more than zeep, so all else is left to zeep.
_DATE: Final = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME: Final = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})?"
_QUICK: Final[dict[str, tuple[re.Pattern[str], Convert]]] = {
    "Integer": (re.compile("-?[0-9]{1,40}"), int),
    "Decimal": (re.compile(r"-?[0-9]{1,400}(?:\.[0-9]{1,400})?"), Decimal),
    "DateTime": (re.compile(f"{_DATE}T{_TIME}"), datetime.fromisoformat),
    "Date": (re.compile(_DATE), date.fromisoformat),
}


def _or_else(written: re.Pattern[str], quick: Convert, read: Convert) -> Convert:
    fits = written.fullmatch

    def run(text: str) -> Any:
        if fits(text):
            try:
                return quick(text)
            except ValueError:
                return read(text)
        return read(text)

    return run


def _name(tag: str) -> str:
    return tag.rpartition("}")[2]


def _space(tag: str) -> str:
    return tag.rpartition("}")[0].removeprefix("{")
