"""Which operation an address means: the table of operations, made ready for looking up by method and path."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from lienthong.bus import operations
from lienthong.core import errors

# Characters that no code or word has, NUL among them.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


class _Place(NamedTuple):
    route: str
    literals: tuple[str | None, ...]  # None where the path has a part to read
    names: tuple[str, ...]
    methods: dict[str, operations.Operation]


class Routes:
    """All addresses of a table of operations."""

    def __init__(self, table: Sequence[operations.Operation]) -> None:
        self._places: dict[int, list[_Place]] = {}
        for operation in table:
            self._place(operation.path).methods[operation.method] = operation

    def find(self, raw_path: bytes) -> tuple[str, Mapping[str, operations.Operation], Mapping[str, str]]:
        """Give route template, operations by method, and path parts of an address.

        Raises NotFound, and InvalidRequest where the path cannot be read (not UTF-8, control characters).
        """
        sent = raw_path.split(b"/")[1:]
        for place in self._places.get(len(sent), ()):
            if all(
                literal is None or literal.encode() == part
                for literal, part in zip(place.literals, sent, strict=True)
            ):
                values = [part for literal, part in zip(place.literals, sent, strict=True) if literal is None]
                parts = {name: _read(name, value) for name, value in zip(place.names, values, strict=True)}
                return place.route, place.methods, parts
        raise errors.NotFound(
            "There is nothing at this address; /docs lists every operation.",
            detail_vi="Không có gì ở địa chỉ này; xem /docs để biết mọi thao tác.",
        )

    def _place(self, route: str) -> _Place:
        segments = route.split("/")[1:]
        literals = tuple(None if part.startswith("{") else part for part in segments)
        alike = self._places.setdefault(len(segments), [])
        for place in alike:
            if place.route == route:
                return place
        names = tuple(part[1:-1] for part in segments if part.startswith("{"))
        alike.append(_Place(route, literals, names, {}))
        # A literal wins over a part to read.
        alike.sort(key=lambda place: [literal is None for literal in place.literals])
        return self._place(route)


def allowed(methods: Mapping[str, operations.Operation]) -> str:
    """Give the value of the Allow header for an address."""
    names = {*methods, "OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
    return ", ".join(sorted(names))


def _read(name: str, value: bytes) -> str:
    try:
        text = unquote_to_bytes(value).decode("utf-8")
    except UnicodeDecodeError:
        raise errors.InvalidRequest(
            problems=(
                errors.FieldProblem(
                    name,
                    "Phần này của đường dẫn không phải là UTF-8.",
                    "This part of the path is not UTF-8.",
                ),
            )
        ) from None
    if CONTROL.search(text):
        raise errors.InvalidRequest(
            problems=(
                errors.FieldProblem(
                    name,
                    "Phần này của đường dẫn có ký tự điều khiển.",
                    "This part of the path has control characters in it.",
                ),
            )
        )
    return text
