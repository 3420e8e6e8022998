"""Bulk SOAP answers read as typed rows, without zeep's objects: compiled once from the XSD type that zeep knows.

The rows are those of `zeep.helpers.serialize_object`, as plain dicts; what is beyond plain sequences of elements
(choices, attributes, wildcards, recursion) is left to zeep, element by element.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from xml.etree import ElementTree

from lienthong.core import xml_reading

Convert = Callable[[Any], Any]
# How a field is read: its text as it stands, its text through a function, its element through a function.
_TEXT, _VALUE, _ELEMENT = range(3)


class RowUnreadable(ValueError):
    """A row is not of its type; `field` is the name of the element, never its text."""

    def __init__(self, field: str) -> None:
        self.field = field
        super().__init__(field)


class RowReader:
    """Reads elements of one complex type into dicts. `by_zeep` reads the same, slowly, whatever they carry."""

    def __init__(self, by_zeep: Convert) -> None:
        """Leave all to zeep until fields are given."""
        self.by_zeep = by_zeep
        self.is_plain = False
        self.is_wholly_plain = False
        self._fields: dict[str, tuple[str, int, Convert, bool]] = {}
        self._required: frozenset[str] = frozenset()
        self._blank: dict[str, Any] = {}
        self._lists: tuple[str, ...] = ()

    def read_by(self, fields: dict[str, tuple[str, int, Convert, bool]], *, required: frozenset[str]) -> None:
        """Read by these from now on: tag → name, how, by what, whether it may come again."""
        self.is_plain = True
        inner = [it for _, how, it, _ in fields.values() if how == _ELEMENT]
        self.is_wholly_plain = all(isinstance(it, RowReader) and it.is_wholly_plain for it in inner)
        self._fields, self._required = fields, required
        self._blank = {key: None for key, _, _, _ in fields.values()}
        self._lists = tuple(key for key, _, _, many in fields.values() if many)

    def __call__(self, element: xml_reading.Element | ElementTree.Element) -> Any:
        """Read one element. Raises RowUnreadable."""
        if not self.is_plain:
            return self.by_zeep(element)
        children: list[Any] = list(element)
        if not children:
            return None
        tags = [child.tag for child in children]
        row: dict[str, Any] = self._blank.copy()
        for key in self._lists:
            row[key] = []
        fields, tag = self._fields, ""
        try:
            for tag, child in zip(tags, children, strict=True):
                key, how, convert, many = fields[tag]
                value: Any
                if how == _ELEMENT:
                    value = convert(child)
                else:
                    value = child.text
                    if how == _VALUE and value is not None:
                        value = convert(value)
                if many:
                    row[key].append(value)
                else:
                    row[key] = value
        except (KeyError, ValueError, InvalidOperation):
            raise RowUnreadable(_name(tag)) from None
        if not self._required.issubset(tags):
            raise RowUnreadable(_name(min(self._required.difference(tags))))
        return row


def read_checked(raw: bytes, tag: str, *, reader: RowReader) -> list[Any]:
    """Read the rows of a document that `core.xml_reading` has let through. Raises RowUnreadable.

    The standard library's elements hold their texts ready, while lxml makes each anew when it is looked at:
    parsing once more costs far less than it saves. DTD and entities were refused before.
    """
    return [reader(element) for element in ElementTree.fromstring(raw).iter(tag)]  # noqa: S314


def compile_type(kind: Any, *, schema: Any, serialise: Convert, seen: tuple[Any, ...] = ()) -> RowReader:
    """Make the reader of a complex type of zeep's; `serialise` turns zeep's objects into plain ones."""

    def by_zeep(element: xml_reading.Element) -> Any:
        return serialise(kind.parse_xmlelement(element, schema))

    reader = RowReader(by_zeep)
    parts = [part for _, part in getattr(kind, "elements_nested", ())]
    is_sequence = len(parts) == 1 and type(parts[0]).__name__ in ("Sequence", "All") and parts[0].max_occurs == 1
    if not is_sequence or kind.attributes or kind in seen:
        return reader
    fields: dict[str, tuple[str, int, Convert, bool]] = {}
    required = set()
    for part in parts[0]:
        tag = part.qname.text if type(part).__name__ == "Element" else ""
        if not tag or tag in fields:
            return reader
        if hasattr(part.type, "elements_nested"):
            inner = compile_type(part.type, schema=schema, serialise=serialise, seen=(*seen, kind))
            fields[tag] = (part.attr_name, _ELEMENT, inner, part.accepts_multiple)
        else:
            fields[tag] = (part.attr_name, *_simple(part.type), part.accepts_multiple)
        if part.min_occurs:
            required.add(tag)
    reader.read_by(fields, required=frozenset(required))
    return reader


def _simple(kind: Any) -> tuple[int, Convert]:
    names = [cls.__name__ for cls in type(kind).__mro__]
    if "String" in names and "NormalizedString" not in names:
        return _TEXT, str
    read: Convert = kind.pythonvalue
    for name in names:
        if name in _QUICK:
            return _VALUE, _or_else(_QUICK[name], read)
    return _VALUE, read


_QUICK: Final[dict[str, Convert]] = {
    "Integer": int,
    "Decimal": Decimal,
    "DateTime": datetime.fromisoformat,
    "Date": date.fromisoformat,
}


def _or_else(quick: Convert, read: Convert) -> Convert:
    def run(text: str) -> Any:
        try:
            return quick(text)
        except (ValueError, InvalidOperation):
            return read(text)

    return run


def _name(tag: str) -> str:
    return tag.rpartition("}")[2]
