"""Turns the fields of a mapping file into functions that write the wire; made once, run for every message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

from lienthong.mappings import pairs, schema, transforms

Writer = Callable[[Any, dict[str, Any]], None]


class Undeclared(Exception):
    """A value of ours has no code over there."""

    def __init__(self, field: str, value: object) -> None:
        super().__init__(field)
        self.field = field
        self.value = str(value)


def _put(name: str) -> Callable[[dict[str, Any], Any], None]:
    outer, _, inner = name.partition(".")

    def deep(out: dict[str, Any], value: Any) -> None:
        out.setdefault(outer, {})[inner] = value

    def flat(out: dict[str, Any], value: Any) -> None:
        out[name] = value

    return deep if inner else flat


def scalar(spec: schema.FieldSpec) -> Writer:
    """Write one value through its transform; empty is written as the transform's empty."""
    transform = transforms.TRANSFORMS[spec.transform or "text"]
    get, put, write, clear = attrgetter(spec.record[0]), _put(spec.wire[0]), transform.write, transform.clear
    longest = spec.max if spec.cut else None
    instead = attrgetter(spec.text_to) if spec.text_to else None

    def run(record: Any, out: dict[str, Any]) -> None:
        value = get(record)
        text = clear if value is None or value == "" else write(value)
        if value is None and instead is not None:
            text = instead(record) or clear
        put(out, text if longest is None else text[:longest])

    return run


def coded(spec: schema.FieldSpec, *, codes: Mapping[Any, str]) -> Writer:
    """Write one code. A value without a code is refused."""
    get, put = attrgetter(spec.record[0]), _put(spec.wire[0])

    def run(record: Any, out: dict[str, Any]) -> None:
        value = get(record)
        if value is None or value == "":
            put(out, "")
            return
        code = codes.get(value)
        if code is None:
            raise Undeclared(spec.record[0], value)
        put(out, code)

    return run


def rows(spec: schema.FieldSpec, *, write: Callable[[Any], dict[str, Any]]) -> Writer:
    """Write a list of objects; an empty list is written too."""
    get, put = attrgetter(spec.record[0]), _put(spec.wire[0])

    def run(record: Any, out: dict[str, Any]) -> None:
        put(out, [write(item) for item in get(record)])

    return run


def one(spec: schema.FieldSpec, *, write: Callable[[Any], dict[str, Any]]) -> Writer:
    """Write an object, or nothing at all where the record has none."""
    get, put = attrgetter(spec.record[0]), _put(spec.wire[0])

    def run(record: Any, out: dict[str, Any]) -> None:
        value = get(record)
        if value is not None:
            put(out, write(value))

    return run


def values(spec: schema.FieldSpec) -> Writer:
    """Write a list of plain values, or of objects that hold one value under one key."""
    get, put, key = attrgetter(spec.record[0]), _put(spec.wire[0]), spec.each
    write = transforms.TRANSFORMS[spec.transform or "text"].write

    def run(record: Any, out: dict[str, Any]) -> None:
        plain = [write(value) for value in get(record)]
        put(out, plain if key is None else [{key: value} for value in plain])

    return run


def inline(spec: schema.FieldSpec, *, write: Callable[[Any, dict[str, Any]], None]) -> Writer:
    """Write the first of a nested list into the same wire object."""
    get = attrgetter(spec.record[0])

    def run(record: Any, out: dict[str, Any]) -> None:
        for item in get(record)[:1]:
            write(item, out)

    return run


def paired(spec: schema.FieldSpec, *, pair: pairs.Pair) -> Writer:
    """Write several wire values through a named pair."""
    gets = tuple(attrgetter(path) for path in (*spec.record, *spec.uses))
    puts = tuple(_put(name) for name in spec.wire)

    def run(record: Any, out: dict[str, Any]) -> None:
        found = pair.write(*[get(record) for get in gets])
        for put, value in zip(puts, found, strict=True):
            put(out, value)

    return run
