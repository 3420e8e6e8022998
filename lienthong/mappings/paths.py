"""Where a path of a mapping file leads in our records: its type, its Vietnamese term, whether all is covered."""

from __future__ import annotations

import types
from collections.abc import Iterator
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from lienthong.core import money, people, records


def record_class(name: str) -> type[records.Record]:
    """Find a record by its class name. Raises KeyError."""
    found = next((getattr(it, name) for it in (records, people, money) if hasattr(it, name)), None)
    if not isinstance(found, type) or not issubclass(found, records.Record):
        raise KeyError(name)
    return found


def resolve(of: type[records.Record], path: str) -> FieldInfo:
    """Follow a dotted path through nested records. Raises KeyError where it leads nowhere."""
    first, _, rest = path.partition(".")
    if first not in of.model_fields:
        raise KeyError(path)
    info = of.model_fields[first]
    if not rest:
        return info
    inner = nested(info)
    if inner is None:
        raise KeyError(path)
    return resolve(inner, rest)


def nested(info: FieldInfo) -> type[records.Record] | None:
    """Give the record that a field holds, None where it holds something else or may be empty."""
    found = info.annotation
    return found if isinstance(found, type) and issubclass(found, records.Record) else None


def optional_class(info: FieldInfo) -> type[records.Record] | None:
    """Give the record that a field holds where it may also be empty; None for other fields."""
    parts = get_args(info.annotation) if get_origin(info.annotation) in (Union, types.UnionType) else ()
    found = next((it for it in parts if isinstance(it, type) and issubclass(it, records.Record)), None)
    return found if type(None) in parts else None


def item_class(info: FieldInfo) -> Any:
    """Give what a tuple field holds; None for other fields."""
    if get_origin(info.annotation) is not tuple:
        return None
    return get_args(info.annotation)[0]


def members(info: FieldInfo) -> tuple[Any, ...]:
    """Give the values that a field may take where they are enumerated; the empty word is left out."""
    return tuple(value for value in _members(info.annotation) if value != "")


def _members(found: Any) -> Iterator[Any]:
    if isinstance(found, type) and issubclass(found, Enum):
        yield from found
    elif found is bool:
        yield from (True, False)
    elif get_origin(found) is Literal:
        yield from get_args(found)
    elif get_origin(found) is Annotated:
        yield from _members(get_args(found)[0])
    elif get_origin(found) in (Union, types.UnionType):
        for one in get_args(found):
            yield from _members(one)


def uncovered(of: type[records.Record], covered: set[str], *, above: str = "") -> Iterator[str]:
    """Name each field of a record that no path in `covered` reaches."""
    for name, info in of.model_fields.items():
        path = above + name
        if path in covered:
            continue
        inner = nested(info)
        if inner is not None and any(other.startswith(f"{path}.") for other in covered):
            yield from uncovered(inner, covered, above=f"{path}.")
        else:
            yield path
