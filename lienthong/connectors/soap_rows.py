"""Bulk SOAP answers read as typed rows, without zeep's objects: compiled once from the XSD type that zeep knows.

The rows are those of `zeep.helpers.serialize_object`, as plain dicts; what is beyond plain sequences of elements
(choices, attributes, wildcards, recursion) is left to zeep, element by element.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from lienthong.core import xml_reading

Convert = Callable[[xml_reading.Element], Any]
_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"


class RowUnreadable(ValueError):
    """A row is not of its type; `field` is the name of the element, never its text."""

    def __init__(self, field: str) -> None:
        self.field = field
        super().__init__(field)


@dataclass(frozen=True, slots=True)
class _Field:
    key: str
    many: bool
    convert: Convert


class RowReader:
    """Reads elements of one complex type into dicts."""

    def __init__(self, fields: dict[str, _Field], *, required: frozenset[str]) -> None:
        self._fields, self._required = fields, required
        self._blank = {field.key: None for field in fields.values()}
        self._lists = tuple(field.key for field in fields.values() if field.many)

    def __call__(self, element: xml_reading.Element) -> dict[str, Any] | None:
        """Read one element. Raises RowUnreadable."""
        if not len(element):
            return None
        row: dict[str, Any] = self._blank.copy()
        for key in self._lists:
            row[key] = []
        fields = self._fields
        tag = ""
        try:
            for child in element:
                tag = child.tag
                field = fields[tag]
                if field.many:
                    row[field.key].append(field.convert(child))
                else:
                    row[field.key] = field.convert(child)
        except (KeyError, ValueError, ArithmeticError):
            raise RowUnreadable(tag.rpartition("}")[2]) from None
        if self._required:
            missing = self._required - {child.tag for child in element}
            if missing:
                raise RowUnreadable(min(missing).rpartition("}")[2])
        return row


def compile_type(
    kind: Any, *, schema: Any, serialise: Callable[[Any], Any], seen: tuple[Any, ...] = ()
) -> Convert:
    """Make the reader of an XSD type of zeep's; `serialise` is what turns zeep's objects into plain ones."""

    def by_zeep(element: xml_reading.Element) -> Any:
        return serialise(kind.parse_xmlelement(element, schema))

    if not hasattr(kind, "elements_nested"):
        return _simple(kind)
    parts = [part for _, part in kind.elements_nested]
    plain = len(parts) == 1 and type(parts[0]).__name__ in ("Sequence", "All") and not kind.attributes
    if not plain or kind in seen or parts[0].max_occurs != 1:
        return by_zeep
    fields: dict[str, _Field] = {}
    required = set()
    for part in parts[0]:
        if type(part).__name__ != "Element" or part.qname is None:
            return by_zeep
        tag = part.qname.text
        if tag in fields:
            return by_zeep
        convert = compile_type(part.type, schema=schema, serialise=serialise, seen=(*seen, kind))
        fields[tag] = _Field(
            part.attr_name, part.accepts_multiple, _careful(part, convert, schema, serialise)
        )
        if part.min_occurs and part.min_occurs > 0:
            required.add(tag)
    return RowReader(fields, required=frozenset(required))


def _careful(part: Any, convert: Convert, schema: Any, serialise: Callable[[Any], Any]) -> Convert:
    """Leave what carries xsi:nil or xsi:type to zeep; almost nothing does, and to ask costs little."""

    def run(element: xml_reading.Element) -> Any:
        if element.attrib and (_NIL in element.attrib or _XSI_TYPE in element.attrib):
            return serialise(part.parse(element, schema, allow_none=True))
        return convert(element)

    return run


def _simple(kind: Any) -> Convert:
    names = {cls.__name__ for cls in type(kind).__mro__}
    if "String" in names and not names & {"Token", "NormalizedString"}:
        return lambda element: element.text
    fast = _fast_value(names)
    read = kind.pythonvalue

    def run(element: xml_reading.Element) -> Any:
        text = element.text
        if text is None:
            return None
        if fast is not None:
            try:
                return fast(text)
            except ValueError:
                pass
        return read(text)

    return run


def _fast_value(names: set[str]) -> Callable[[str], Any] | None:
    if "DateTime" in names:
        return datetime.fromisoformat
    if "Date" in names:
        return date.fromisoformat
    return None
