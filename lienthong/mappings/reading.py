"""Turns the fields of a mapping file into functions that read the wire; made once, run for every message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lienthong.mappings import pairs, schema, transforms
from lienthong.mappings.oddities import Kind

Notes = list[tuple[Kind, str, str]]
"""Oddities met so far: kind, field, what was seen."""

Boxes = list[dict[str, Any]]
"""The record under construction: a dict for each nested record, in the message's order."""

Reader = Callable[[dict[str, Any], Boxes, Notes], None]

_NOTHING = (None, "")


class Unreadable(Exception):
    """A message cannot be read: what is wrong, where, and the code that was seen."""

    def __init__(self, why: str, *, field: str, seen: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.field = field
        self.seen = seen

    def under(self, place: str) -> Unreadable:
        """Give the same, as seen from one level above."""
        return Unreadable(self.why, field=f"{place}.{self.field}", seen=self.seen)


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a value goes: which box, under which name; `path` for people."""

    box: int
    leaf: str
    path: str


@dataclass(frozen=True, slots=True)
class Manner:
    """How strict a message is: whether what cannot be read is reported or refused, and where its text goes."""

    report: bool
    text_to: Spot | None = None

    def strange(self, raw: Any, *, kind: Kind, spot: Spot, boxes: Boxes, notes: Notes) -> None:
        """Report a value that has no place, keeping its text where the mapping file says so."""
        if self.text_to is not None and isinstance(raw, str | int | float):
            box = boxes[self.text_to.box]
            text = transforms.plain(str(raw))
            before = box.get(self.text_to.leaf)
            box[self.text_to.leaf] = f"{before}\n{text}" if before and before != text else text
        elif not self.report:
            raise Unreadable(kind.value, field=spot.path)
        notes.append((kind, spot.path, _short(raw)))


def fetcher(name: str) -> Callable[[dict[str, Any]], Any]:
    """Give the function that takes a value out of a wire object; a dot goes one object deeper."""
    outer, _, inner = name.partition(".")
    if not inner:
        return lambda wire: wire.get(name)

    def deep(wire: dict[str, Any]) -> Any:
        box = wire.get(outer)
        return box.get(inner) if isinstance(box, dict) else None

    return deep


def scalar(spec: schema.FieldSpec, *, spot: Spot, manner: Manner) -> Reader:
    """Read one value through its transform; absent, null and empty leave the field as it is by default."""
    transform = transforms.TRANSFORMS[spec.transform or "text"]
    fetch, read, leaf, at = fetcher(spec.wire[0]), transform.read, spot.leaf, spot.box
    kind = Kind.NUMBER_UNREADABLE if spec.text_to else Kind.UNREADABLE
    watch = spec.watch_blanks

    def run(wire: dict[str, Any], boxes: Boxes, notes: Notes) -> None:
        raw = fetch(wire)
        if raw is None or raw == "":
            return
        try:
            value = read(raw)
        except (ValueError, OverflowError):
            manner.strange(raw, kind=kind, spot=spot, boxes=boxes, notes=notes)
            return
        if value is not None:
            boxes[at][leaf] = value
        if watch and isinstance(raw, str) and raw != raw.strip():
            notes.append((Kind.BLANKS_TRIMMED, spot.path, raw))

    return run


def coded(spec: schema.FieldSpec, *, spot: Spot, codes: Mapping[str, Any], fold: bool) -> Reader:
    """Read one code; a code that the list does not have is refused, or reported where the field says so."""
    fetch = fetcher(spec.wire[0])

    def run(wire: dict[str, Any], boxes: Boxes, notes: Notes) -> None:
        raw = fetch(wire)
        if raw is None or raw == "":
            return
        try:
            code = transforms.plain(str(raw) if isinstance(raw, bool) else raw)
        except ValueError:
            code = type(raw).__name__
        found = codes.get(code.casefold() if fold else code)
        if found is not None:
            boxes[spot.box][spot.leaf] = found
        elif spec.unmapped == "report":
            notes.append((Kind.UNMAPPED_CODE, spot.path, _short(code)))
        else:
            raise Unreadable("code", field=spot.path, seen=_short(code))

    return run


def rows(
    spec: schema.FieldSpec,
    *,
    spot: Spot,
    manner: Manner,
    read: Callable[[dict[str, Any], Notes], dict[str, Any]],
    bare: str | None,
) -> Reader:
    """Read a list of objects that may be absent, null, empty, one object or mere text."""
    fetch = fetcher(spec.wire[0])

    def one(row: Any, notes: Notes) -> dict[str, Any] | None:
        if isinstance(row, dict):
            return read(row, notes)
        if bare is None or not isinstance(row, str) or not row.strip():
            if row not in _NOTHING and not manner.report:
                raise Unreadable(Kind.UNEXPECTED_SHAPE.value, field="")
            if row not in _NOTHING:
                notes.append((Kind.UNEXPECTED_SHAPE, "", type(row).__name__))
            return None
        notes.append((Kind.UNEXPECTED_SHAPE, bare, "str"))
        return {bare: transforms.plain(row)}

    def run(wire: dict[str, Any], boxes: Boxes, notes: Notes) -> None:
        raw = fetch(wire)
        if raw is None or raw == "":
            return
        if isinstance(raw, str) and bare is not None and manner.text_to is None:
            raw = [raw]
        if isinstance(raw, dict):
            notes.append((Kind.UNEXPECTED_SHAPE, spot.path, "object"))
            raw = [raw]
        if not isinstance(raw, list):
            manner.strange(raw, kind=Kind.UNEXPECTED_SHAPE, spot=spot, boxes=boxes, notes=notes)
            return
        found = []
        for number, row in enumerate(raw):
            item = _at_place(one, row, notes, place=f"{spot.path}.{number}")
            if item is not None:
                found.append(item)
        boxes[spot.box][spot.leaf] = found

    return run


def one(
    spec: schema.FieldSpec,
    *,
    spot: Spot,
    manner: Manner,
    read: Callable[[dict[str, Any], Notes], dict[str, Any]],
) -> Reader:
    """Read an object that may be absent, null or empty; an object whose fields are all empty is none."""
    fetch = fetcher(spec.wire[0])

    def run(wire: dict[str, Any], boxes: Boxes, notes: Notes) -> None:
        raw = fetch(wire)
        if raw is None or raw == "":
            return
        if not isinstance(raw, dict):
            manner.strange("", kind=Kind.UNEXPECTED_SHAPE, spot=spot, boxes=boxes, notes=notes)
            return
        found = _at_place(read, raw, notes, place=spot.path)
        if any(value not in _NOTHING for value in found.values()):
            boxes[spot.box][spot.leaf] = found

    return run


def _at_place(one: Callable[[Any, Notes], Any], row: Any, notes: Notes, *, place: str) -> Any:
    before = len(notes)
    try:
        item = one(row, notes)
    except Unreadable as unreadable:
        raise unreadable.under(place) from None
    for number in range(before, len(notes)):
        kind, field, seen = notes[number]
        notes[number] = (kind, f"{place}.{field}" if field else place, seen)
    return item


def values(spec: schema.FieldSpec, *, spot: Spot, manner: Manner) -> Reader:
    """Read a list of plain values, or of objects that hold one value under one key."""
    read, key = transforms.TRANSFORMS[spec.transform or "text"].read, spec.each
    fetch = fetcher(spec.wire[0])

    def run(wire: dict[str, Any], boxes: Boxes, notes: Notes) -> None:
        raw = fetch(wire)
        if raw is None or raw == "":
            return
        found = []
        for row in raw if isinstance(raw, list) else [raw]:
            one = row.get(key) if key is not None and isinstance(row, dict) else row
            if one in _NOTHING:
                continue
            try:
                found.append(read(one))
            except ValueError:
                manner.strange(one, kind=Kind.UNEXPECTED_SHAPE, spot=spot, boxes=boxes, notes=notes)
        boxes[spot.box][spot.leaf] = found

    return run


def inline(*, spot: Spot, read: Callable[[dict[str, Any], Notes], dict[str, Any]]) -> Reader:
    """Read a nested list of one whose fields stand in the same wire object."""

    def run(wire: dict[str, Any], boxes: Boxes, notes: Notes) -> None:
        item = _at_place(read, wire, notes, place=f"{spot.path}.0")
        if item:
            boxes[spot.box][spot.leaf] = [item]

    return run


def paired(spec: schema.FieldSpec, *, spots: tuple[Spot, ...], uses: tuple[Spot, ...], pair: pairs.Pair) -> Reader:
    """Read several wire values through a named pair. What it uses must have been read before."""
    fetches = tuple(fetcher(name) for name in spec.wire)
    place = spots[0].path if spots else spec.wire[0]

    def run(wire: dict[str, Any], boxes: Boxes, notes: Notes) -> None:
        def note(kind: Kind, seen: object) -> None:
            notes.append((kind, place, _short(seen)))

        raw = [fetch(wire) for fetch in fetches]
        used = [boxes[spot.box].get(spot.leaf) for spot in uses]
        try:
            found = pair.read(note, *raw, *used)
        except ValueError as error:
            raise Unreadable(Kind.UNREADABLE.value, field=place) from error
        for spot, value in zip(spots, found, strict=False):
            if value is not None:
                boxes[spot.box][spot.leaf] = value

    return run


def _short(seen: object) -> str:
    return str(seen)[:200]
