"""REST: from the parts of a request to an operation's input, and from its answer to JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson
import pydantic_core
from pydantic import BaseModel, ValidationError

from lienthong.bus import operations
from lienthong.bus.gateway import answers, bodies, moments, routes, sentences
from lienthong.core import errors

_MOST_PARAMETERS = 50
_LOST_PLUS = re.compile(r"T\d\d:\d\d\S* \d\d:?\d\d$")


def read_path(operation: operations.Operation, parts: Mapping[str, str]) -> Mapping[str, str]:
    """Check the parts of the path. Raises InvalidRequest naming each that is wrong."""
    if operation.place is None:
        return parts
    return _validated(operation.place, dict(parts)).model_dump()


def read_query(operation: operations.Operation, raw: bytes) -> BaseModel | None:
    """Read the query. Raises InvalidRequest naming unknown, repeated and wrong parameters."""
    values = _parameters(raw) if raw else {}
    if operation.query is None:
        if values:
            raise _unknown(values, [])
        return None
    unknown = {name: value for name, value in values.items() if name not in operation.query.model_fields}
    if unknown:
        raise _unknown(unknown, list(operation.query.model_fields))
    _refuse_bare_numbers(values, operation.query)
    try:
        return operation.query.model_validate(values)
    except ValidationError as exc:
        found = sentences.problems(exc, operation.query)
        raise errors.InvalidRequest(problems=_with_plus_hint(found, values)) from None


def read_body(
    operation: operations.Operation, raw: bytes, path: Mapping[str, str], *, depth_limit: int
) -> BaseModel | None:
    """Read the body into its record. Raises InvalidRequest naming each wrong field."""
    if operation.body is None:
        return None
    value = bodies.parse(raw, depth_limit=depth_limit)
    if operation.from_path and isinstance(value, dict):
        raw = orjson.dumps(_with_path(value, operation, path))
    _refuse_bare_numbers(value, operation.body)
    try:
        # Strict: "5" is no number and 1 no true; a moment is still written as a string.
        return operation.body.model_validate_json(raw, strict=True)
    except ValidationError as exc:
        raise errors.InvalidRequest(problems=sentences.problems(exc, operation.body)) from None


def answer(operation: operations.Operation, result: BaseModel) -> answers.Answer:
    """Write the answer of an operation as JSON."""
    created = operation.created is not None and getattr(result, "created", False)
    status = operation.created if created and operation.created else operation.success
    return answers.good(status, pydantic_core.to_json(result))


def _with_path(value: dict[str, Any], operation: operations.Operation, path: Mapping[str, str]) -> dict[str, Any]:
    for name in operation.from_path:
        if value.setdefault(name, path[name]) != path[name]:
            raise errors.InvalidRequest(
                problems=(
                    errors.FieldProblem(
                        name,
                        f"{name} trong nội dung khác với {name} trong đường dẫn.",
                        f"{name} in the body differs from {name} in the path.",
                    ),
                )
            )
    return value


def _refuse_bare_numbers(value: Any, model: type[BaseModel]) -> None:
    found = moments.problems(value, model)
    if found:
        raise errors.InvalidRequest(problems=found)


def _validated(model: type[BaseModel], values: dict[str, str]) -> BaseModel:
    try:
        return model.model_validate(values)
    except ValidationError as exc:
        raise errors.InvalidRequest(problems=sentences.problems(exc, model)) from None


def _with_plus_hint(
    found: Sequence[errors.FieldProblem], values: Mapping[str, str]
) -> tuple[errors.FieldProblem, ...]:
    """Say why a moment came without its `+`: in an address an unescaped plus is a blank."""
    return tuple(
        errors.FieldProblem(
            problem.field,
            f"{problem.vi} Trong địa chỉ, dấu + của múi giờ phải viết là %2B.",
            f"{problem.en} In an address the + of a time zone is written %2B.",
        )
        if _LOST_PLUS.search(values.get(problem.field, ""))
        else problem
        for problem in found
    )


def _parameters(raw: bytes) -> dict[str, str]:
    values: dict[str, str] = {}
    for pair in raw.split(b"&")[: _MOST_PARAMETERS + 1]:
        if not pair:
            continue
        name_part, _, value_part = pair.partition(b"=")
        name, value = _text(name_part), _text(value_part)
        if name in values:
            raise _wrong(name, "Tham số này được gửi hai lần.", "This parameter was sent twice.")
        if routes.CONTROL.search(value):
            raise _wrong(name, "Tham số này có ký tự điều khiển.", "This parameter has control characters in it.")
        values[name] = value
    if len(values) > _MOST_PARAMETERS:
        raise _wrong("query", "Có quá nhiều tham số.", "There are too many parameters.")
    return values


def _text(part: bytes) -> str:
    try:
        return unquote_to_bytes(part.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError:
        raise _wrong("query", "Tham số không phải là UTF-8.", "A parameter is not UTF-8.") from None


def _unknown(values: Mapping[str, str], valid: list[str]) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        "There are parameters that this operation does not know.",
        detail_vi="Có tham số mà thao tác này không biết.",
        problems=tuple(
            sentences.unknown_name(sentences.shown(name), valid) for name in list(values)[:_MOST_PARAMETERS]
        ),
    )


def _wrong(name: str, vi: str, en: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(problems=(errors.FieldProblem(sentences.shown(name), vi, en),))
