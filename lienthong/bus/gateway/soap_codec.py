"""Reading and writing the records of the SOAP door: one reader and one writer compiled for each record.

A reader gives what JSON would have given, so that both doors share models and sentences.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import orjson
import pydantic_core
from lxml import etree

from lienthong.bus.gateway import soap_schema, soap_types

Node = etree._Element
Reader = Callable[[Node], Any]
Writer = Callable[[Any, list[str]], None]

NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_TAG = f"{{{soap_schema.NAMESPACE}}}"
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)")
_DOUBLE = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_DAY = re.compile(r"(\d{4}-\d\d-\d\d)(Z|[+-]\d\d:\d\d)?")
_TRUTH = {"true": True, "1": True, "false": False, "0": False}
# What must not stand in a text as it is: markup, a carriage return, and what XML has no place for.
_SPECIAL = re.compile("[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]").search
_ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_NO_PLACE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class NamedTwice(ValueError):
    """A key stands twice in one dictionary; `path` says which dictionary."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(path)


class Codec:
    """Readers and writers of one plan."""

    def __init__(self, plan: soap_types.Plan) -> None:
        self._readers: dict[int, Callable[[Node], dict[str, Any]]] = {}
        self._writers: dict[int, Writer] = {}
        self.readers = {name: self._record_reader(call.request) for name, call in plan.calls.items()}
        self.writers = {name: self._record_writer(call.answer) for name, call in plan.calls.items()}

    def write(self, name: str, answer: Any) -> str:
        """Write the answer of an operation as its element."""
        out = [f'<{name}Response xmlns="{soap_schema.NAMESPACE}">']
        self.writers[name](answer, out)
        out.append(f"</{name}Response>")
        return "".join(out)

    # ------------------------------------------------------------------------------------------------ reading

    def _record_reader(self, record: soap_types.Record) -> Callable[[Node], dict[str, Any]]:
        known = self._readers.get(id(record))
        if known is not None:
            return known
        places: dict[str, tuple[str, Reader, bool]] = {}
        always = tuple(
            (element.name, element.is_list)
            for element in record.elements
            if element.is_required and (element.is_list or element.is_nullable)
        )

        def read(node: Node) -> dict[str, Any]:
            values: dict[str, Any] = {}
            for child in node:
                name, reader, is_list = places[child.tag]
                if is_list:
                    values.setdefault(name, []).append(reader(child))
                else:
                    values[name] = reader(child)
            for name, is_list in always:
                values.setdefault(name, [] if is_list else None)
            return values

        self._readers[id(record)] = read
        for element in record.elements:
            reader = self.reader(element.kind, element.name)
            if element.is_nullable:
                reader = _or_nothing(reader)
            places[_TAG + element.name] = element.name, reader, element.is_list
        return read

    def reader(self, kind: soap_types.Kind, name: str) -> Reader:
        """Give the reader of one element's content, which the schema has found well-formed."""
        if isinstance(kind, soap_types.Leaf):
            return leaf_reader(kind)
        if isinstance(kind, soap_types.Record):
            return self._record_reader(kind)
        if isinstance(kind, soap_types.Choice):
            readers = {_TAG + one.name: self._record_reader(one) for one in kind.options}
            return lambda node: readers[node[0].tag](node[0])
        value = self.reader(kind.value, name)

        def read(node: Node) -> dict[str, Any]:
            found = {entry[0].text or "": value(entry[1]) for entry in node}
            if len(found) != len(node):
                raise NamedTwice(name)
            return found

        return read

    # ------------------------------------------------------------------------------------------------ writing

    def _record_writer(self, record: soap_types.Record) -> Writer:
        known = self._writers.get(id(record))
        if known is not None:
            return known
        steps: list[tuple[str, Writer, str | None, str]] = []
        computed = frozenset(record.model.model_computed_fields if record.model else ())

        def write(value: Any, out: list[str]) -> None:
            held = value.__dict__
            for name, put, opened, closed in steps:
                found = held[name] if name not in computed else getattr(value, name)
                if found is None:
                    continue
                if type(found) is str and opened is not None and _SPECIAL(found) is None:
                    # By far the most of what is written.
                    out.append(f"{opened}{found}{closed}")
                else:
                    put(found, out)

        self._writers[id(record)] = write
        for element in record.elements:
            name, kind = element.name, element.kind
            put = self._element_writer(name, kind)
            is_text = isinstance(kind, soap_types.Leaf) and kind.base == "string" and not kind.json
            opened = f"<{name}>" if is_text and not element.is_list else None
            steps.append((name, _each(put) if element.is_list else put, opened, f"</{name}>"))
        return write

    def _element_writer(self, name: str, kind: soap_types.Kind) -> Writer:
        opened, closed = f"<{name}>", f"</{name}>"
        if isinstance(kind, soap_types.Leaf):
            return _leaf_writer(kind, opened, closed)
        inner = self._content_writer(kind)

        def write(value: Any, out: list[str]) -> None:
            out.append(opened)
            inner(value, out)
            out.append(closed)

        return write

    def _content_writer(self, kind: soap_types.Record | soap_types.Entries | soap_types.Choice) -> Writer:
        if isinstance(kind, soap_types.Record):
            return self._record_writer(kind)
        if isinstance(kind, soap_types.Choice):
            options = [(one.model, self._element_writer(one.name, one)) for one in kind.options]

            def choose(value: Any, out: list[str]) -> None:
                next(put for model, put in options if model is not None and isinstance(value, model))(value, out)

            return choose
        put = self._element_writer("value", kind.value)

        def write(value: Mapping[str, Any], out: list[str]) -> None:
            for key, inner in value.items():
                out.append(f"<entry><key>{text(key)}</key>")
                put(inner, out)
                out.append("</entry>")

        return write


def text(value: str) -> str:
    """Write a text; letters that XML has no place for become U+FFFD."""
    if _SPECIAL(value) is None:
        return value
    return _NO_PLACE.sub("\ufffd", value).translate(_ESCAPED)


def leaf_reader(leaf: soap_types.Leaf) -> Reader:
    """Give the reader of a value; what has not the right form stays a text, for the model to refuse."""
    if leaf.json:
        return _json
    return {"long": _whole, "boolean": _truth, "double": _double, "decimal": _decimal, "date": _day}.get(
        leaf.base, _stripped if leaf.base in ("dateTime", "time") else _text
    )


def _text(node: Node) -> str:
    return node.text or ""


def _stripped(node: Node) -> str:
    return (node.text or "").strip()


def _whole(node: Node) -> int | str:
    said = (node.text or "").strip()
    return int(said) if _WHOLE.fullmatch(said) else said


def _truth(node: Node) -> bool | str:
    said = (node.text or "").strip()
    return _TRUTH.get(said, said)


def _double(node: Node) -> float | str:
    said = (node.text or "").strip()
    return float(said) if _DOUBLE.fullmatch(said) else said


def _decimal(node: Node) -> str:
    said = (node.text or "").strip()
    # A form that only numbers have: pydantic would also take "Infinity" or "1_000".
    return said if _DECIMAL.fullmatch(said) else "?"


def _day(node: Node) -> str:
    """Take a day; the zone that some clients put behind it says nothing of a day and is left out."""
    said = (node.text or "").strip()
    found = _DAY.fullmatch(said)
    return found[1] if found else said


def _json(node: Node) -> Any:
    try:
        return orjson.loads(node.text or "null")
    except orjson.JSONDecodeError:
        return node.text


def _or_nothing(reader: Reader) -> Reader:
    def read(node: Node) -> Any:
        return None if node.get(NIL) in ("true", "1") else reader(node)

    return read


def _each(put: Writer) -> Writer:
    def write(values: Any, out: list[str]) -> None:
        for value in values:
            put(value, out)

    return write


def _leaf_writer(leaf: soap_types.Leaf, opened: str, closed: str) -> Writer:
    if leaf.json:
        shown: Callable[[Any], str] = _as_json
    elif leaf.base == "string":
        return lambda value, out: out.append(f"{opened}{text(_as_text(value))}{closed}")
    else:
        shown = _SHOWN[leaf.base]
    return lambda value, out: out.append(f"{opened}{shown(value)}{closed}")


def _as_text(value: Any) -> str:
    if isinstance(value, Enum):
        value = value.value
    return value if isinstance(value, str) else str(value)


def _as_json(value: Any) -> str:
    return text(pydantic_core.to_json(value).decode())


def _moment(value: datetime) -> str:
    said = value.isoformat()
    # XML Schema knows no seconds in a zone, as Vietnam's had before 1911.
    return said if said[-6] in "+-" else value.astimezone(UTC).isoformat()


def _number(value: float) -> str:
    said = repr(value)
    return {"inf": "INF", "-inf": "-INF", "nan": "NaN"}.get(said, said)


def _plain_decimal(value: Decimal) -> str:
    return format(value, "f")


_SHOWN: dict[str, Callable[[Any], str]] = {
    "long": lambda value: str(int(value)),
    "boolean": lambda value: "true" if value else "false",
    "double": _number,
    "decimal": _plain_decimal,
    "dateTime": _moment,
    "date": lambda value: value.isoformat(),
    "time": lambda value: value.isoformat(),
}
