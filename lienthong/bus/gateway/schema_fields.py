"""The fields of a JSON schema as rows for people: name, Vietnamese term, type, whether it must be there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_DEEPEST = 3
_WORDS = {
    "string": ("chuỗi", "string"),
    "integer": ("số nguyên", "whole number"),
    "number": ("số", "number"),
    "boolean": ("true / false", "true / false"),
    "object": ("đối tượng", "object"),
    "date-time": ("thời điểm có múi giờ", "moment with time zone"),
    "date": ("ngày", "date"),
}
_LIST = ("danh sách", "list of")
_LONGEST = ("tối đa {} ký tự", "at most {} characters")


class FieldRow(NamedTuple):
    """One field; `name` is dotted, with `[]` after a list."""

    name: str
    term: str
    kind: str
    required: bool


def rows(schema: Mapping[str, Any], schemas: Mapping[str, Any], *, language: str) -> Iterator[FieldRow]:
    """Give every field, those of inner records after their own line."""
    yield from _rows(schema, schemas, english=language == "en", prefix="", depth=1)


def _rows(
    schema: Mapping[str, Any], schemas: Mapping[str, Any], *, english: bool, prefix: str, depth: int
) -> Iterator[FieldRow]:
    record = _resolved(schema, schemas)
    required = record.get("required", ())
    for name, part in record.get("properties", {}).items():
        inner, is_list = _inside(part, schemas)
        path = f"{prefix}{name}{'[]' if is_list else ''}"
        kind = _kind(inner, english=english)
        if is_list:
            kind = f"{_LIST[english]} {kind}"
        yield FieldRow(path, part.get("description", ""), kind, name in required)
        if "properties" in inner and depth < _DEEPEST:
            yield from _rows(inner, schemas, english=english, prefix=f"{path}.", depth=depth + 1)


def _resolved(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    return schema


def _inside(part: Mapping[str, Any], schemas: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """Look through `or null`, references and lists to what a value is."""
    chosen = _resolved(_without_null(part), schemas)
    if chosen.get("type") == "array":
        return _resolved(_without_null(chosen.get("items", {})), schemas), True
    return chosen, False


def _without_null(part: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = [choice for choice in part.get("anyOf", ()) if choice.get("type") != "null"]
    return choices[0] if choices else part


def _kind(part: Mapping[str, Any], *, english: bool) -> str:
    if "enum" in part:
        return " · ".join(str(value) or "“”" for value in part["enum"])
    if "const" in part:
        return str(part["const"])
    word = _WORDS.get(str(part.get("format", ""))) or _WORDS.get(str(part.get("type", "")), ("", ""))
    longest = part.get("maxLength")
    return f"{word[english]}, {_LONGEST[english].format(longest)}" if longest else word[english]
