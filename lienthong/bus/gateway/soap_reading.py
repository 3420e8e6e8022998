"""From the element of a request to an operation's input: the schema looks at its form, the models at its values.

Where the schema objects, the element is read once more with patience, so that the caller hears of each wrong field
in the sentences that REST has too.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import orjson
from lxml import etree
from pydantic import BaseModel, ValidationError

from lienthong.bus import operations
from lienthong.bus.gateway import moments, routes, sentences, soap_codec, soap_schema, soap_types
from lienthong.core import errors

Node = soap_codec.Node

_TAG = f"{{{soap_schema.NAMESPACE}}}"
_MOST_PROBLEMS = 100
# What the schema says of a value; whether it will do, the models decide, here as over REST.
_OF_VALUES = frozenset(
    f"SCHEMAV_CVC_{name}"
    for name in (
        "DATATYPE_VALID_1_2_1",
        "DATATYPE_VALID_1_2_2",
        "DATATYPE_VALID_1_2_3",
        "ENUMERATION_VALID",
        "PATTERN_VALID",
        "LENGTH_VALID",
        "MINLENGTH_VALID",
        "MAXLENGTH_VALID",
        "MININCLUSIVE_VALID",
        "MAXINCLUSIVE_VALID",
        "MINEXCLUSIVE_VALID",
        "MAXEXCLUSIVE_VALID",
        "ELT_4_1",
        "ELT_4_2",
        "ELT_4_3",
    )
)
_NAMED = re.compile(r"Element '(?:\{[^}]*\})?([^']{1,60})'")
_Problems = dict[str, errors.FieldProblem]
_BLANKS = " \t\r\n"
Print = Callable[[], bytes]


class Reader:
    """Reads the requests of one plan; holds one compiled schema for each thread."""

    def __init__(self, plan: soap_types.Plan, codec: soap_codec.Codec) -> None:
        self._plan = plan
        self._codec = codec
        self._source = soap_schema.schema(plan)
        self._local = threading.local()
        self._schema()
        self._quick = {name: _quick_reader(call.request) for name, call in plan.calls.items()}

    def read(self, call: soap_types.Call, node: Node) -> tuple[operations.Asked, Print]:
        """Give what is asked, and the print that tells it from other requests. Raises InvalidRequest."""
        problems: _Problems = {}
        quick = self._quick[call.operation.name]
        plain = None if quick is None else quick(node)
        if plain is not None:
            return self._asked(call, plain, problems)
        schema = self._schema()
        if schema.validate(node):
            try:
                values = self._codec.readers[call.operation.name](node)
            except soap_codec.NamedTwice as exc:
                raise errors.InvalidRequest(problems=(_twice(exc.path),)) from None
            return self._asked(call, values, problems)
        values = _Patient(self._codec, problems).record(node, call.request, "")
        asked = self._asked(call, values, problems, is_loose=True)
        found = list(cast("Iterable[Any]", schema.error_log))
        if not all(one.type_name in _OF_VALUES for one in found):
            raise errors.InvalidRequest(problems=_out_of_form(found))
        return asked

    def _schema(self) -> etree.XMLSchema:
        found: etree.XMLSchema | None = getattr(self._local, "schema", None)
        if found is None:
            found = self._local.schema = etree.XMLSchema(etree.fromstring(self._source))
        return found

    def _asked(
        self, call: soap_types.Call, values: dict[str, Any], problems: _Problems, *, is_loose: bool = False
    ) -> tuple[operations.Asked, Print]:
        operation = call.operation
        parts: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "body": {}}
        for element in call.request.elements:
            if element.name in values:
                parts[element.part][element.name] = values[element.name]
        for name, value in (*parts["path"].items(), *parts["query"].items()):
            if isinstance(value, str) and routes.CONTROL.search(value):
                problems.setdefault(name, _control(name))
        path: Mapping[str, Any] = parts["path"]
        if operation.place is not None:
            found = _validated(operation.place, path, problems)
            path = path if found is None else found.model_dump()
        body = {**parts["body"], **{name: path.get(name) for name in operation.from_path}}
        if is_loose:
            _refuse_bare_numbers(operation, parts["query"], body, problems)
        query = None if operation.query is None else _validated(operation.query, parts["query"], problems)
        record, raw = None, b""
        if operation.body is not None:
            raw = orjson.dumps(body)
            record = _validated_json(operation.body, raw, problems)
        if problems:
            raise errors.InvalidRequest(problems=tuple(problems.values())[:_MOST_PROBLEMS])
        words = [operation.name, parts["path"], parts["query"]]
        return operations.Asked(path, query, record), lambda: orjson.dumps(words, default=str) + b"\n" + raw


def _quick_reader(record: soap_types.Record) -> Callable[[Node], dict[str, Any] | None] | None:
    """Compile a reader for a request of nothing but texts and whole numbers, as most questions are.

    It gives values only where the schema, too, would find nothing wrong with the form; nothing otherwise, and then
    the schema is asked. While libxml2 validates, other threads run, which here would cost more than the reading.
    """
    steps = []
    for element in record.elements:
        kind = element.kind
        if not isinstance(kind, soap_types.Leaf) or kind.json or element.is_list:
            return None
        if kind.base not in ("string", "long"):
            return None
        wanted = int if kind.base == "long" else str
        is_needed = element.is_required and not element.is_nullable
        steps.append((_TAG + element.name, element.name, soap_codec.leaf_reader(kind), wanted, is_needed))
    absent = {it.name: None for it in record.elements if it.is_required and it.is_nullable}

    def read(node: Node) -> dict[str, Any] | None:
        values: dict[str, Any] = {**absent}
        place = 0
        is_plain = not node.keys() and _is_blank(node.text)
        for child in node:
            while place < len(steps) and steps[place][0] != child.tag and not steps[place][4]:
                place += 1
            if place == len(steps) or steps[place][0] != child.tag:
                return None
            _, name, reader, wanted, _ = steps[place]
            values[name] = reader(child)
            is_plain = is_plain and type(values[name]) is wanted and _is_blank(child.tail)
            if not is_plain or len(child) or child.keys():
                return None
            place += 1
        return values if is_plain and not any(step[4] for step in steps[place:]) else None

    return read


def _is_blank(text: str | None) -> bool:
    return text is None or not text.strip(_BLANKS)


class _Patient:
    """Reads an element that the schema does not like, and says of each part what is wrong with it."""

    def __init__(self, codec: soap_codec.Codec, problems: _Problems) -> None:
        self._codec = codec
        self._problems = problems

    def record(self, node: Node, record: soap_types.Record, path: str) -> dict[str, Any]:
        """Read a record; what cannot be understood is left out and named."""
        known = {element.name: element for element in record.elements}
        values: dict[str, Any] = {}
        for child in node:
            space, _, name = str(child.tag).rpartition("}")
            place = f"{path}{sentences.shown(name)}"
            element = known.get(name)
            if space + "}" != _TAG:
                self._note(_other_namespace(place))
            elif element is None:
                self._note(sentences.unknown_name(place, list(known)))
            elif element.is_list:
                items = values.setdefault(name, [])
                items.append(self._value(child, element, f"{place}.{len(items)}"))
            elif name in values:
                self._note(_twice(place))
            else:
                values[name] = self._value(child, element, place)
        for element in record.elements:
            if element.is_required and (element.is_list or element.is_nullable):
                values.setdefault(element.name, [] if element.is_list else None)
        return values

    def _value(self, node: Node, element: soap_types.Element, path: str) -> Any:
        if element.is_nullable and node.get(soap_codec.NIL) in ("true", "1"):
            return None
        return self._content(node, element.kind, path)

    def _content(self, node: Node, kind: soap_types.Kind, path: str) -> Any:
        if isinstance(kind, soap_types.Record):
            return self.record(node, kind, f"{path}.")
        if isinstance(kind, soap_types.Leaf):
            if len(node):
                self._note(_no_value(path))
                return None
            return soap_codec.leaf_reader(kind)(node)
        if isinstance(kind, soap_types.Choice):
            options = {_TAG + one.name: one for one in kind.options}
            chosen = options.get(str(node[0].tag)) if len(node) == 1 else None
            if chosen is None:
                self._note(_no_value(path))
                return None
            return self.record(node[0], chosen, f"{path}.")
        return self._entries(node, kind, path)

    def _entries(self, node: Node, kind: soap_types.Entries, path: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for entry in node:
            pair = [str(part.tag) for part in entry]
            if entry.tag != f"{_TAG}entry" or pair != [f"{_TAG}key", f"{_TAG}value"]:
                self._note(_no_entries(path))
                continue
            key = entry[0].text or ""
            if key in values:
                self._note(_twice(path))
            values[key] = self._content(entry[1], kind.value, f"{path}.{sentences.shown(key)}")
        return values

    def _note(self, problem: errors.FieldProblem) -> None:
        if len(self._problems) < _MOST_PROBLEMS:
            self._problems.setdefault(problem.field, problem)


def _validated(model: type[BaseModel], values: Mapping[str, Any], problems: _Problems) -> BaseModel | None:
    try:
        return model.model_validate(dict(values))
    except ValidationError as exc:
        _keep(sentences.problems(exc, model), problems)
    return None


def _validated_json(model: type[BaseModel], raw: bytes, problems: _Problems) -> BaseModel | None:
    try:
        return model.model_validate_json(raw, strict=True)
    except ValidationError as exc:
        _keep(sentences.problems(exc, model), problems)
    return None


def _refuse_bare_numbers(
    operation: operations.Operation, query: Mapping[str, Any], body: Mapping[str, Any], problems: _Problems
) -> None:
    for model, values in ((operation.query, query), (operation.body, body)):
        if model is not None:
            _keep(moments.problems(dict(values), model), problems)


def _keep(found: tuple[errors.FieldProblem, ...], problems: _Problems) -> None:
    for problem in found:
        problems.setdefault(problem.field, problem)


def _out_of_form(found: Iterable[Any]) -> tuple[errors.FieldProblem, ...]:
    """Name the places where the schema objects, without its words: they repeat what was sent."""
    places: _Problems = {}
    for one in found:
        if one.type_name not in _OF_VALUES and len(places) < _MOST_PROBLEMS:
            named = _NAMED.match(one.message or "")
            place = sentences.shown(named[1]) if named else "Body"
            places.setdefault(
                place,
                errors.FieldProblem(
                    place,
                    f"{place} sai thứ tự, hoặc có thuộc tính hay văn bản mà lược đồ không cho phép; xem ?wsdl.",
                    f"{place} is out of its order, or has an attribute or text that the schema does not allow; "
                    "see ?wsdl.",
                ),
            )
    return tuple(places.values())


def _twice(path: str) -> errors.FieldProblem:
    return errors.FieldProblem(path, f"{path} được gửi hai lần.", f"{path} was sent twice.")


def _control(name: str) -> errors.FieldProblem:
    return errors.FieldProblem(name, f"{name} có ký tự điều khiển.", f"{name} has control characters in it.")


def _no_value(path: str) -> errors.FieldProblem:
    return errors.FieldProblem(
        path, f"{path} không đúng dạng; xem ?wsdl.", f"{path} has not the right form; see ?wsdl."
    )


def _no_entries(path: str) -> errors.FieldProblem:
    return errors.FieldProblem(
        path,
        f"{path} gồm các phần tử entry, mỗi phần tử có key rồi value.",
        f"{path} has elements entry, each with key and then value.",
    )


def _other_namespace(path: str) -> errors.FieldProblem:
    return errors.FieldProblem(
        path,
        f"Phần tử phải thuộc không gian tên {soap_schema.NAMESPACE}.",
        f"The element must be in the namespace {soap_schema.NAMESPACE}.",
    )
