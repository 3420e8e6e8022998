"""The models of operations as the SOAP door sees them: which elements a record has, and what stands in each.

Built once at the start; schema and codec are both made from here, so that they cannot differ.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Union

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from lienthong.bus import operations
from lienthong.core import errors

_LISTS = (tuple, list, set, frozenset)
_BASES: dict[type, str] = {
    bool: "boolean",
    int: "long",
    float: "double",
    Decimal: "decimal",
    datetime: "dateTime",
    date: "date",
    time: "time",
    str: "string",
}


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value: `base` is its type in XML Schema, `json` whether it is anything at all, carried as JSON text."""

    base: str
    facets: Mapping[str, Any] = field(default_factory=dict)
    json: bool = False


@dataclass(slots=True, eq=False)
class Record:
    """A model: its elements in their order. Filled after it is made, for a record may hold itself."""

    name: str
    model: type[BaseModel] | None
    said: str = ""
    elements: list[Element] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Entries:
    """A dictionary: `entry` elements, each with `key` and `value`."""

    value: Kind


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several records; the name of the inner element says which."""

    options: tuple[Record, ...]


Kind = Leaf | Record | Entries | Choice


@dataclass(frozen=True, slots=True)
class Element:
    """One field of a record. `part` says where it belongs in a request: path, query or body."""

    name: str
    kind: Kind
    said: str = ""
    is_required: bool = True
    is_nullable: bool = False
    is_list: bool = False
    least: int = 0
    most: int | None = None
    part: str = "body"


@dataclass(frozen=True, slots=True)
class Call:
    """One operation at this door."""

    operation: operations.Operation
    request: Record
    answer: Record


class Plan:
    """All operations of a table, and every record that they speak of. Raises Misconfigured."""

    def __init__(self, table: Sequence[operations.Operation]) -> None:
        self.records: dict[type[BaseModel], Record] = {}
        self._names: set[str] = {"Problem", "FieldProblem"}
        self.calls = {operation.name: self._call(operation) for operation in table}

    def record(self, model: type[BaseModel]) -> Record:
        """Give the record of a model, read once."""
        known = self.records.get(model)
        if known is not None:
            return known
        name, number = model.__name__.lstrip("_"), 2
        while name in self._names:
            name, number = f"{model.__name__}{number}", number + 1
        self._names.add(name)
        made = self.records[model] = Record(name, model, (model.__doc__ or "").strip().partition("\n")[0])
        _refuse_own_writers(model)
        made.elements.extend(self._elements(model))
        for called, computed in model.model_computed_fields.items():
            made.elements.append(self.element(called, computed.return_type, said=computed.description or ""))
        return made

    def element(self, name: str, annotation: Any, *, said: str = "", is_required: bool = True) -> Element:
        """Read one field's type."""
        inner, metadata = _bare(annotation)
        kinds, is_nullable = _choices(inner)
        facts: dict[str, Any] = {"said": said, "is_required": is_required, "is_nullable": is_nullable}
        if len(kinds) == 1:
            bare, own = _bare(kinds[0])
            metadata = (*own, *metadata)
            arguments = typing.get_args(bare)
            if typing.get_origin(bare) in _LISTS and _is_list(bare):
                least, most = _lengths(metadata)
                kind = self._kind(name, arguments[0], ())
                return Element(name, kind, is_list=True, least=least, most=most, **facts)
            return Element(name, self._kind(name, bare, metadata), **facts)
        return Element(name, self._union(name, kinds), **facts)

    def _elements(self, model: type[BaseModel], *, part: str = "body") -> list[Element]:
        found = []
        for name, info in model.model_fields.items():
            if not info.exclude:
                made = self.element(
                    name, _annotated(info), said=info.description or "", is_required=info.is_required()
                )
                found.append(_in_part(made, part))
        return found

    def _kind(self, name: str, annotation: Any, metadata: tuple[Any, ...]) -> Kind:
        bare, own = _bare(annotation)
        metadata = (*own, *metadata)
        if isinstance(bare, type) and issubclass(bare, BaseModel):
            return self.record(bare)
        if typing.get_origin(bare) is dict:
            return Entries(self._kind(name, typing.get_args(bare)[1], ()))
        return _leaf(bare, metadata)

    def _union(self, name: str, kinds: Sequence[Any]) -> Kind:
        bare = [_bare(kind)[0] for kind in kinds]
        if all(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in bare):
            return Choice(tuple(self.record(kind) for kind in bare))
        if any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in bare):
            return Leaf("string", json=True)
        # Several kinds of value: a text, as which each of them can be written.
        return Leaf("string")

    def _call(self, operation: operations.Operation) -> Call:
        request = Record(operation.name, None, operation.summary_vi)
        for model, part in ((operation.place, "path"), (operation.query, "query"), (operation.body, "body")):
            for element in self._elements(model, part=part) if model is not None else ():
                if part == "body" and element.name in operation.from_path:
                    continue
                if any(other.name == element.name for other in request.elements):
                    raise errors.Misconfigured(
                        f"the operation {operation.name} has {element.name} twice, in its path, query or body; "
                        "the SOAP door cannot tell them apart",
                        detail_vi=f"Thao tác {operation.name} có hai trường cùng tên {element.name} nên cửa SOAP "
                        "không phân biệt được.",
                    )
                request.elements.append(element)
        return Call(operation, request, self.record(operation.answer))


def _annotated(info: FieldInfo) -> Any:
    """Give a field's type with its constraints put back on."""
    annotation: Any = info.annotation
    for one in info.metadata:
        annotation = Annotated[annotation, one]
    return annotation


def _in_part(made: Element, part: str) -> Element:
    facts = {name: getattr(made, name) for name in made.__slots__}
    return Element(**{**facts, "part": part})


def _bare(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    if typing.get_origin(annotation) is Annotated:
        inner, *metadata = typing.get_args(annotation)
        return inner, tuple(metadata)
    return annotation, ()


def _choices(annotation: Any) -> tuple[list[Any], bool]:
    if typing.get_origin(annotation) not in (Union, types.UnionType):
        return [annotation], False
    kinds = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
    return kinds, len(kinds) < len(typing.get_args(annotation))


def _is_list(annotation: Any) -> bool:
    arguments = typing.get_args(annotation)
    return typing.get_origin(annotation) is not tuple or (len(arguments) == 2 and arguments[1] is Ellipsis)


def _lengths(metadata: Sequence[Any]) -> tuple[int, int | None]:
    least = max((one.min_length for one in metadata if getattr(one, "min_length", None) is not None), default=0)
    most = [one.max_length for one in metadata if getattr(one, "max_length", None) is not None]
    return least, min(most) if most else None


def _leaf(annotation: Any, metadata: tuple[Any, ...]) -> Leaf:
    base = _base(annotation)
    if base is None:
        return Leaf("string", json=True)
    whole: Any = annotation
    for one in metadata:
        whole = Annotated[whole, one]
    schema = TypeAdapter(whole).json_schema()
    if "$ref" in schema:
        schema = {**schema, **schema["$defs"][schema["$ref"].rpartition("/")[2]]}
    facets = {name: schema[name] for name in _FACETS if name in schema}
    if "const" in schema:
        facets["enum"] = [schema["const"]]
    if any(getattr(one, "strip_whitespace", None) for one in metadata):
        # Blanks at the ends are taken off before they are counted, which a schema cannot say.
        facets.pop("maxLength", None)
        facets.pop("pattern", None)
    return Leaf(base, facets)


_FACETS = (
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
)


def _base(annotation: Any) -> str | None:
    if typing.get_origin(annotation) is typing.Literal:
        kinds = {type(value) for value in typing.get_args(annotation)}
        return "string" if kinds == {str} else "long" if kinds == {int} else None
    if not isinstance(annotation, type):
        # AwareDatetime is a class only for type checkers.
        return None
    if issubclass(annotation, Enum):
        return "string" if issubclass(annotation, str) else None
    if annotation.__name__ == "AwareDatetime":
        return "dateTime"
    return next((base for kind, base in _BASES.items() if issubclass(annotation, kind)), None)


def _refuse_own_writers(model: type[BaseModel]) -> None:
    """Refuse a model that writes itself in its own way: the writer takes fields as they stand."""
    own = model.__pydantic_decorators__
    if own.field_serializers or own.model_serializers:
        raise errors.Misconfigured(
            f"{model.__name__} has serializers of its own, which the SOAP door does not know",
            detail_vi=f"{model.__name__} có cách ghi riêng mà cửa SOAP không biết.",
        )
