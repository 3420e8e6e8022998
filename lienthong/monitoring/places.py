"""What leads to rows of a day file without reading it: three sorted lists beside the file.

Two say where the rows of each person stand, and the refusals of each key: an entry is a number of eight bytes,
four of the name's hash and four of the row's place. The third says which dossiers, officials, addresses and the
like the file holds at all, four bytes of a hash each. A hash may be shared, so what is found is looked at again;
what is not found is not there.
"""

from __future__ import annotations

import bisect
import hashlib
import mmap
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lienthong.monitoring import whole_files

PERSONS, REFUSALS, HELD = 0, 1, 2
# The columns whose values the third list knows.
NAMED = ("dossier_code", "official", "address", "organisation", "key_id", "operation", "outcome")
REFUSED = "Client."
LIMITED = f"{REFUSED}LimitExceeded"
_ENDING = ".places"
_FORM = b"LTPLACE2"
_WIDTHS = (8, 8, 4)
_HEAD = 8 + 8 * len(_WIDTHS)  # the form, and how many entries each list has


@dataclass(frozen=True, slots=True)
class Found:
    """Where rows that may be the ones looked for stand in one day file, the first in the file first."""

    file: Path
    places: Sequence[int]

    def rows(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Read the rows, the last in the file first, one group of rows after the other as they are asked for.

        IndexError where the list leads beyond the end of the file.
        """
        with pq.ParquetFile(self.file) as file:
            groups = _grouped(file.metadata, self.places)
            for group in sorted(groups, reverse=True):
                held = file.read_row_group(group, columns=columns, use_threads=False)
                yield from held.take(pa.array(groups[group], pa.int64())).to_pylist()[::-1]


def beside(file: Path) -> Path:
    """Say where the list of a day file lies."""
    return file.with_suffix(_ENDING)


def write(file: Path, *, place: Path) -> None:
    """List a finished day file that will lie at `place`."""
    new = place.with_suffix(".places-new")
    new.write_bytes(listed(file))
    whole_files.put(new, beside(place))


def listed(file: Path) -> bytes:
    """Make the list of a day file."""
    held = pq.read_table(file, columns=["subject", *NAMED], use_threads=False)
    persons = enumerate(held["subject"].to_pylist())
    # A key's rows lie in the order of time, and so do their places.
    refused = held.append_column("row", pa.array(range(held.num_rows), pa.int64()))
    refused = refused.filter(pc.starts_with(refused["outcome"], REFUSED))
    keys = zip(refused["row"].to_pylist(), refused["key_id"].to_pylist(), strict=True)
    lists = [
        _entries(persons),
        _entries((row, None if key is None else key.encode()) for row, key in keys),
        _held(held),
    ]
    head = _FORM + b"".join(len(entries).to_bytes(8, "little") for entries in lists)
    return head + b"".join(map(_little, lists))


def is_made(file: Path) -> bool:
    """Whether a day file has lists beside it, in the form of today: no other is read."""
    try:
        with beside(file).open("rb") as handle:
            return handle.read(len(_FORM)) == _FORM
    except FileNotFoundError:
        return False


def is_of(file: Path) -> bool:
    """Whether the lists beside a day file are those it should have; where none are read, nobody is led astray."""
    try:
        return not is_made(file) or beside(file).read_bytes() == listed(file)
    except (pa.ArrowException, OSError, KeyError, TypeError, AttributeError):  # columns of another kind
        return False


def _entries(names: Iterator[tuple[int, bytes | None]]) -> array[int]:
    hashes: dict[bytes, int] = {}
    found = []
    for row, name in names:
        if name is not None:
            if (hashed := hashes.get(name)) is None:
                hashed = hashes[name] = _hash(name)
            found.append(hashed << 32 | row)
    return array("Q", sorted(found))


def _held(rows: pa.Table) -> array[int]:
    found = ((name, value) for name in NAMED for value in pc.unique(rows[name]).to_pylist() if value is not None)
    return array("I", sorted({_hash(_word(name, value)) for name, value in found}))


def _word(name: str, value: str) -> bytes:
    return f"{name}\0{value}".encode()


def _little(entries: array[int]) -> bytes:
    if sys.byteorder == "big":
        entries.byteswap()
    return entries.tobytes()


def _hash(name: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(name, digest_size=4).digest(), "big")


def find(file: Path, what: int, names: Sequence[bytes]) -> Found | None:
    """Find the rows that may be of one of these names, PERSONS or REFUSALS; nothing where the file has no list."""
    try:
        with _opened(file) as held:
            entries = _Entries(held, what)
            return Found(file, sorted({row for name in names for row in _rows(entries, _hash(name))}))
    except (FileNotFoundError, ValueError):  # not made yet, or cut short
        return None


def may_hold(file: Path, named: Mapping[str, str]) -> bool:
    """Whether a day file may have rows with each of these values in its column; always where it has no list."""
    try:
        with _opened(file) as held:
            entries = _Entries(held, HELD)
            return all(_has(entries, _hash(_word(name, value))) for name, value in named.items())
    except (FileNotFoundError, ValueError):
        return True


@contextmanager
def _opened(file: Path) -> Iterator[mmap.mmap]:
    with beside(file).open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as held:
        yield held


def _rows(entries: _Entries, hashed: int) -> Iterator[int]:
    for place in range(bisect.bisect_left(entries, hashed << 32), len(entries)):
        if entries[place] >> 32 != hashed:
            return
        yield entries[place] & 0xFFFF_FFFF


def _has(entries: _Entries, hashed: int) -> bool:
    place = bisect.bisect_left(entries, hashed)
    return place < len(entries) and bool(entries[place] == hashed)


class _Entries(Sequence[int]):
    """One list in the mapped file: only what a search looks at is read. ValueError where the file is not whole."""

    def __init__(self, held: mmap.mmap, what: int) -> None:
        counts = [int.from_bytes(held[8 + 8 * at : 16 + 8 * at], "little") for at in range(len(_WIDTHS))]
        sizes = [count * width for count, width in zip(counts, _WIDTHS, strict=True)]
        if held[: len(_FORM)] != _FORM or len(held) != _HEAD + sum(sizes):
            raise ValueError("not lists of today's form, or cut short")
        self._held, self._count, self._width = held, counts[what], _WIDTHS[what]
        self._begun = _HEAD + sum(sizes[:what])

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: Any) -> Any:
        at = self._begun + self._width * place
        return int.from_bytes(self._held[at : at + self._width], "little")


def _grouped(told: pq.FileMetaData, rows: Sequence[int]) -> dict[int, list[int]]:
    """Say in which groups of rows these stand, and where in each."""
    groups: dict[int, list[int]] = {}
    group, begun = 0, 0
    for row in rows:
        while row >= begun + (held := told.row_group(group).num_rows):
            group, begun = group + 1, begun + held
        groups.setdefault(group, []).append(row - begun)
    return groups
