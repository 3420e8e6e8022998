"""Where in a day file the rows of one person stand, and the refusals of one key: a sorted list beside the file.

An entry is a number of eight bytes: four of the name's hash, four of the row's place. A hash may be shared, so
what is found is looked at again; what is not found is not there.
"""

from __future__ import annotations

import bisect
import hashlib
import mmap
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lienthong.monitoring import whole_files

PERSONS, REFUSALS = 0, 1
REFUSED = "Client."
LIMITED = f"{REFUSED}LimitExceeded"
_ENDING = ".places"
_HEAD = 24  # "LTPLACE1", and how many entries each of the two lists has


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
    held = pq.read_table(file, columns=["subject", "key_id", "outcome"], use_threads=False)
    persons = enumerate(held["subject"].to_pylist())
    # A key's rows lie in the order of time, and so do their places.
    refused = held.append_column("row", pa.array(range(held.num_rows), pa.int64()))
    refused = refused.filter(pc.starts_with(refused["outcome"], REFUSED))
    keys = zip(refused["row"].to_pylist(), refused["key_id"].to_pylist(), strict=True)
    lists = [_entries(persons), _entries((row, None if key is None else key.encode()) for row, key in keys)]
    head = b"LTPLACE1" + b"".join(len(entries).to_bytes(8, "little") for entries in lists)
    return head + b"".join(map(_little, lists))


def is_of(file: Path) -> bool:
    """Whether the list beside a day file is the one it should have; one that is missing leads nobody astray."""
    try:
        return not beside(file).exists() or beside(file).read_bytes() == listed(file)
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


def _little(entries: array[int]) -> bytes:
    if sys.byteorder == "big":
        entries.byteswap()
    return entries.tobytes()


def _hash(name: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(name, digest_size=4).digest(), "big")


def find(file: Path, what: int, names: Sequence[bytes]) -> Found | None:
    """Find the rows that may be of one of these names, PERSONS or REFUSALS; nothing where the file has no list."""
    try:
        with beside(file).open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as held:
            return Found(file, sorted({row for name in names for row in _rows(held, what, _hash(name))}))
    except (FileNotFoundError, ValueError):  # not made yet, or cut short
        return None


def _rows(held: mmap.mmap, what: int, hashed: int) -> Iterator[int]:
    counts = [int.from_bytes(held[at : at + 8], "little") for at in (8, 16)]
    if len(held) != _HEAD + 8 * sum(counts):
        raise ValueError("the list was cut short")
    first = counts[0] if what == REFUSALS else 0
    entries = _Entries(held, first, counts[what])
    for place in range(bisect.bisect_left(entries, hashed << 32), len(entries)):
        if entries[place] >> 32 != hashed:
            return
        yield entries[place] & 0xFFFF_FFFF


class _Entries(Sequence[int]):
    """One list in the mapped file: only what a search looks at is read."""

    def __init__(self, held: mmap.mmap, first: int, count: int) -> None:
        self._held, self._begun, self._count = held, _HEAD + 8 * first, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: Any) -> Any:
        at = self._begun + 8 * place
        return int.from_bytes(self._held[at : at + 8], "little")


def _grouped(told: pq.FileMetaData, rows: Sequence[int]) -> dict[int, list[int]]:
    """Say in which groups of rows these stand, and where in each."""
    groups: dict[int, list[int]] = {}
    group, begun = 0, 0
    for row in rows:
        while row >= begun + (held := told.row_group(group).num_rows):
            group, begun = group + 1, begun + held
        groups.setdefault(group, []).append(row - begun)
    return groups
