"""The catalogue in use: records kept packed as they came, an index, answers rendered on demand."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from lienthong.sandbox import codes, lean, readers, render_a, render_c
from lienthong.sandbox.neutral import Named, Procedure

OWN_CATALOGUE = Path(__file__).with_name("own_catalogue.csv")
RENDERED_BYTES = 32 * 1024 * 1024

# Where a source says nothing of times: spread over the hundred days up to 18 July 2026, Vietnam midnight.
_LATEST_MS = 1_784_307_600_000
_HUNDRED_DAYS_MS = 100 * 86_400_000

Record = dict[str, Any]


@dataclass(slots=True)
class Entry:
    """One record of the catalogue: its source, packed, and what a list or a search needs."""

    code: str
    name: str
    id: str
    shape: str
    packed: bytes
    digest: str
    item: bytes
    fields: tuple[Named, ...]
    promulgator: Named
    levels: frozenset[str]
    changed_at_ms: int

    def raw(self) -> bytes:
        """Return the record as it came."""
        return zlib.decompress(self.packed)


class Catalogue:
    """A set of procedures that either generation can serve."""

    def __init__(self, records: Iterable[tuple[Record, bytes]], *, name: str) -> None:
        """Read every record once; a record that cannot be read stops the load with its reason."""
        self.name = name
        self.entries: list[Entry] = [_entry(record, raw) for record, raw in records]
        self._rendered: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._rendered_size = 0
        self._index()

    def _index(self) -> None:
        self.by_code: dict[str, Entry] = {}
        for entry in self.entries:
            self.by_code.setdefault(entry.code.strip(), entry)
        self.by_code.update({entry.code: entry for entry in reversed(self.entries)})
        self.place_of_id = {entry.id: place for place, entry in enumerate(self.entries)}

    def succeed(self, previous: Catalogue, *, now_ms: int) -> None:
        """Take over from another catalogue: what is new or has other content counts as changed now."""
        for entry in self.entries:
            former = previous.by_code.get(entry.code)
            same = former is not None and former.digest == entry.digest
            entry.changed_at_ms = former.changed_at_ms if former and same else now_ms

    def find(self, code: str) -> Entry | None:
        """Find a procedure by its code as published, else by the code without the blanks around it."""
        return self.by_code.get(code) or self.by_code.get(code.strip())

    @cached_property
    def list_rows_a(self) -> list[bytes]:
        """The rows of LayDanhSachTTHC, in order."""
        return [lean.dumps({"MATTHC": entry.code, "TENTTHC": entry.name}) for entry in self.entries]

    @cached_property
    def agency_rows_a(self) -> list[bytes]:
        """The rows of LayDanhMucCoQuan: every publishing agency of this catalogue, then the other known ones."""
        rows = {entry.promulgator.code: entry.promulgator.name for entry in reversed(self.entries)}
        for code, name in codes.known_agencies().items():
            rows.setdefault(code, name)
        rows.pop("", None)
        return [orjson.dumps(render_a.agency_row(code, name)) for code, name in rows.items()]

    @cached_property
    def field_rows_a(self) -> list[bytes]:
        """The rows of LayDanhMucLinhVuc: every field of this catalogue."""
        rows = {field.code: field for entry in reversed(self.entries) for field in entry.fields}
        return [orjson.dumps(render_a.field_row(field)) for field in rows.values() if field.code]

    def detail_a(self, entry: Entry) -> bytes:
        """Write one procedure as generation A's packet; a packet that came as one is given as it came."""
        return entry.raw() if entry.shape == "packet" else self._render(entry, "A")

    def detail_c(self, entry: Entry) -> bytes:
        """Write one procedure as generation C's detail; an answer that came as one is given as it came."""
        return entry.raw() if entry.shape == "api" else self._render(entry, "C")

    def _render(self, entry: Entry, generation: str) -> bytes:
        key = (generation, entry.id)
        kept = self._rendered.get(key)
        if kept is not None:
            self._rendered.move_to_end(key)
            return zlib.decompress(kept)
        fresh = orjson.dumps(_packet(entry, generation))
        # Packed, both generations of a full catalogue fit; unpacking costs a tenth of rendering.
        packed = zlib.compress(fresh, 1)
        self._rendered[key] = packed
        self._rendered_size += len(packed)
        while self._rendered_size > RENDERED_BYTES and len(self._rendered) > 1:
            self._rendered_size -= len(self._rendered.popitem(last=False)[1])
        return fresh


def _packet(entry: Entry, generation: str) -> Record:
    procedure = readers.read(orjson.loads(entry.raw()), entry.shape)
    procedure.id = entry.id
    if generation == "A":
        return render_a.render(procedure)
    return render_c.render(
        procedure, id=entry.id, created_at_ms=entry.changed_at_ms, updated_at_ms=entry.changed_at_ms
    )


def _entry(record: Record, raw: bytes) -> Entry:
    shape = readers.recognise(record)
    procedure = readers.read(record, shape)
    digest = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
    id = procedure.id or codes.stable_id("procedure", f"{procedure.code}\0{digest}")
    return Entry(
        code=procedure.code,
        name=procedure.name,
        id=id,
        shape=shape,
        packed=zlib.compress(raw, 1),
        digest=digest,
        item=lean.dumps(render_c.item(procedure, id=id)),
        fields=tuple(_shared(field) for field in procedure.fields),
        promulgator=_shared(procedure.promulgator),
        levels=frozenset(level for level, _ in procedure.levels),
        changed_at_ms=_changed_at(procedure, digest),
    )


_shared_names: dict[Named, Named] = {}


def _shared(thing: Named) -> Named:
    # Thousands of records name the same few hundred fields and agencies: keep each once.
    if len(_shared_names) > 20_000:
        _shared_names.clear()
    return _shared_names.setdefault(thing, thing)


def _changed_at(procedure: Procedure, digest: str) -> int:
    return procedure.updated_at_ms or _LATEST_MS - int(digest[:12], 16) % _HUNDRED_DAYS_MS


def of_records(records: list[Record], *, name: str = "records") -> Catalogue:
    """Build a catalogue from records of any shape, mixed as they please."""
    return Catalogue(((record, orjson.dumps(record)) for record in records), name=name)


def of_file(path: Path) -> Catalogue:
    """Load a catalogue file: JSON lines, a JSON array or CSV, plain or gzipped."""
    with path.open("rb") as plain:
        stream = gzip.GzipFile(fileobj=plain) if path.suffix == ".gz" else plain
        return Catalogue(_records(stream), name=path.name)


def own() -> Catalogue:
    """Load the small catalogue that comes with the sandbox."""
    return of_file(OWN_CATALOGUE)


def _records(stream: Any) -> Iterator[tuple[Record, bytes]]:
    first = stream.readline()
    start = first.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start == b"{" and _is_json_line(first):
        yield from _json_lines(first, stream)
    elif start in (b"[", b"{"):
        for record in _unwrapped(orjson.loads((first + stream.read()).removeprefix(b"\xef\xbb\xbf"))):
            yield record, orjson.dumps(record)
    else:
        text = (first + stream.read()).decode("utf-8-sig")
        for row in csv.DictReader(io.StringIO(text)):
            named = {key: value for key, value in row.items() if key}
            yield named, orjson.dumps(named)


def _is_json_line(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line.removeprefix(b"\xef\xbb\xbf")), dict)
    except orjson.JSONDecodeError:
        return False


def _json_lines(first: bytes, stream: Any) -> Iterator[tuple[Record, bytes]]:
    for line in (first.removeprefix(b"\xef\xbb\xbf"), *stream):
        raw = line.strip()
        if raw:
            record = orjson.loads(raw)
            for inner in _unwrapped(record):
                yield inner, raw if inner is record else orjson.dumps(inner)


def _unwrapped(value: Any) -> list[Record]:
    """Take the records out of an answer's envelope, where a file holds whole answers."""
    if isinstance(value, list):
        return [record for item in value for record in _unwrapped(item)]
    if not isinstance(value, dict):
        raise ValueError("a catalogue holds objects, this file holds something else")
    for key in ("result", "data"):
        if key in value and not _is_record(value):
            return _unwrapped(value[key])
    return [value]


def _is_record(value: Record) -> bool:
    return any(key in value for key in ("MATTHC", "ma_thu_tuc", "thu_tuc_id", "name"))
