"""Moments must be written as dates: a bare number in a string would be taken for seconds since 1970.

And they must stand in every calendar: the last hours of the year 9999 are over it in another time zone.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from lienthong.bus.gateway import sentences
from lienthong.core import clock, errors

_NUMBER = re.compile(r"\s*[-+]?[\d.]+\s*")
_FORMATS = {"date", "date-time"}
_ENDS = ("0001-01-01", "9999-12-31")


def problems(value: Any, model: type[BaseModel]) -> tuple[errors.FieldProblem, ...]:
    """Name every moment in what was sent that is a bare number, or beyond the calendar."""
    names = _names(model)
    if not names:
        return ()
    return tuple(sentences.not_a_moment(path) for path in _wrong(value, names, ""))


@functools.cache
def _names(model: type[BaseModel]) -> frozenset[str]:
    """Collect the names of all fields, at any depth, that hold a date or a moment."""
    schema = model.model_json_schema()
    records = [schema, *schema.get("$defs", {}).values()]
    return frozenset(
        name
        for record in records
        for name, part in record.get("properties", {}).items()
        if any(choice.get("format") in _FORMATS for choice in (part, *part.get("anyOf", ())))
    )


def _wrong(value: Any, names: frozenset[str], path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            place = f"{path}.{name}" if path else name
            if isinstance(inner, str):
                if name in names and (_NUMBER.fullmatch(inner) or _is_beyond(inner)):
                    yield place
            else:
                yield from _wrong(inner, names, place)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _wrong(inner, names, f"{path}.{number}")


def _is_beyond(text: str) -> bool:
    text = text.strip().upper()
    if not text.startswith(_ENDS):
        return False
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            moment.astimezone(UTC)
            moment.astimezone(clock.VIETNAM)
    except (OverflowError, ValueError):
        return True
    return False
