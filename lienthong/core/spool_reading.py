"""Reading the spool: recovery at start, followers with a saved position, and removal of what all have passed.

An entry is `length (4, little endian) | CRC-32 (4) | bytes`, the check begun with the number; a segment is
named by its first number.
"""

from __future__ import annotations

import itertools
import logging
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from lienthong.core import errors

_log = logging.getLogger("lienthong.spool")
_HEAD = struct.Struct("<II")
LONGEST_ENTRY = 1_000_000
# Who must have passed a segment before it may go: the hot store, and the seal.
REQUIRED = ("store", "seal")
Entry = tuple[int, bytes]


def entry(number: int, data: bytes) -> bytes:
    """Frame the bytes of one record; the check covers the number, so that an entry fits in its place only."""
    return _HEAD.pack(len(data), zlib.crc32(data, number & 0xFFFFFFFF)) + data


def segment_name(first: int) -> str:
    """Name the segment that begins with this number."""
    return f"{first:020d}.spool"


def segments(folder: Path) -> list[tuple[int, Path]]:
    """List the segments of a node by their first number."""
    return sorted((int(path.stem), path) for path in folder.glob("*.spool") if path.stem.isdigit())


def nodes(root: Path) -> list[Path]:
    """List the folders of all nodes that have ever written here."""
    return sorted(path.parent for path in root.glob("*/lock"))


def parse(data: bytes, first: int, *, start: int = 0) -> Iterator[tuple[int, bytes, int]]:
    """Give number, bytes and end of each whole entry; stops at the first that is not whole and right."""
    offset, number = start, first
    while offset + _HEAD.size <= len(data):
        length, check = _HEAD.unpack_from(data, offset)
        end = offset + _HEAD.size + length
        if not 0 < length <= LONGEST_ENTRY or end > len(data):
            return
        body = data[offset + _HEAD.size : end]
        if zlib.crc32(body, number & 0xFFFFFFFF) != check:
            return
        yield number, body, end
        offset, number = end, number + 1


def recover(folder: Path) -> int:
    """Put a node in order after whatever happened, and give the last number in use.

    What a power cut left half written at the end is cut off, kept beside the segment, and said. A number that a
    follower has passed is never used again, also where the segment that held it is damaged or gone.
    """
    _put_again(folder)
    found = segments(folder)
    last = 0
    if found:
        first, path = found[-1]
        data = path.read_bytes()
        last, end = first - 1, 0
        for number, _, stop in parse(data, first):
            last, end = number, stop
        if end < len(data):
            _cut(path, data, end, last)
    passed = max((read_position(folder, name) for name in followers(folder)), default=0)
    if passed > last:
        facts = {"node": folder.name, "last": last, "passed": passed}
        _log.error("the spool lacks records that were in it; numbering goes on after them", extra=facts)
        if found and last >= found[-1][0]:
            # Entries of a segment follow its first number without a gap: the new ones need a segment of their own.
            (folder / segment_name(passed + 1)).touch(mode=0o600)
        elif found:
            found[-1][1].rename(folder / segment_name(passed + 1))
    return max(last, passed)


def _cut(path: Path, data: bytes, end: int, last: int) -> None:
    torn = path.with_name(f"{path.stem}.{last + 1}.torn")
    torn.write_bytes(data[end:])
    _truncate(path, end)
    facts = {"node": path.parent.name, "after": last, "bytes": len(data) - end}
    _log.warning("the end of the spool was torn and has been cut; no record before it is lost", extra=facts)


def write_again(folder: Path, first: int, entries: Sequence[bytes]) -> int:
    """Write entries, from this number on, once more into a new segment in place of all that holds them; waits.

    Gives the open file. Killed at any point, `recover` finds either the old files whole or the new one.
    """
    draft = folder / f"{first:020d}.new"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        rest = b"".join(entries)
        while rest:
            rest = rest[os.write(handle, rest) :]
        os.fdatasync(handle)
        os.replace(draft, draft.with_suffix(".again"))
        sync_folder(folder)
        _put_again(folder)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _put_again(folder: Path) -> None:
    """Put what was written again in its place, and take the same records out of the files before and after it."""
    for again in sorted(folder.glob("*.again")):
        first = int(again.stem)
        for begins, path in reversed(segments(folder)):
            if begins > first:
                path.unlink()
            elif begins < first:
                ends = [stop for number, _, stop in parse(path.read_bytes(), begins) if number < first]
                _truncate(path, ends[-1] if ends else 0)
                break
        os.replace(again, folder / segment_name(first))
        sync_folder(folder)


def _truncate(path: Path, size: int) -> None:
    os.truncate(path, size)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names of files in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def followers(folder: Path) -> list[str]:
    """Name those who follow a node."""
    return sorted(path.stem for path in folder.glob("*.position"))


def read_position(folder: Path, follower: str) -> int:
    """Give the last number that a follower is done with; 0 where it never was."""
    try:
        return int((folder / f"{follower}.position").read_text())
    except (FileNotFoundError, ValueError):
        return 0


def save_position(folder: Path, follower: str, number: int) -> None:
    """Keep up to where a follower is done; whoever has a file here holds the segments back."""
    path = folder / f"{follower}.position"
    draft = path.with_suffix(".new")
    draft.write_text(str(number))
    os.replace(draft, path)


def trim(folder: Path) -> int:
    """Remove closed segments that every follower has passed; gives how many."""
    names = {*followers(folder), *REQUIRED}
    passed = min(read_position(folder, name) for name in names)
    found = segments(folder)
    gone = [path for (_, path), (after, _) in itertools.pairwise(found) if after - 1 <= passed]
    for path in gone:
        path.unlink()
    return len(gone)


class Reader:
    """Reads one node's records in their order, also while its process is writing."""

    def __init__(self, folder: Path, *, after: int = 0) -> None:
        self.folder = folder
        self.number = after
        self._segment: Path | None = None
        self._first = 0
        self._offset = 0
        self._next = 0

    def read(self, most: int = 5_000, *, most_bytes: int = 4_000_000) -> list[Entry]:
        """Give the records after the last one read, as many as are there and wanted."""
        found: list[Entry] = []
        while len(found) < most and (self._segment is not None or self._open()):
            fresh = self._from_segment(most - len(found), most_bytes)
            found += fresh
            if not fresh and not self._open():
                break
        return found

    def skip_damage(self) -> bool:
        """Go on with the next segment where this one ends before it: what is lost between them is said.

        Only called after `read` gave nothing. False where this is simply the end of what was written.
        """
        later = [first for first, _ in segments(self.folder) if first > self.number + 1]
        # What was written last before the next segment began may have come after that `read`.
        if not later or Reader(self.folder, after=self.number).read(1):
            return False
        facts = {"node": self.folder.name, "first": self.number + 1, "last": later[0] - 1}
        _log.error("records of the spool cannot be read; going on after them", extra=facts)
        self.number = later[0] - 1
        return True

    def _open(self) -> bool:
        """Go to the segment that holds the next number; False where there is none yet."""
        wanted = self.number + 1
        fitting = [(first, path) for first, path in segments(self.folder) if first <= wanted]
        if not fitting or fitting[-1][1] == self._segment:
            return False
        self._first, self._segment = fitting[-1]
        self._offset, self._next = 0, self._first
        return True

    def _from_segment(self, most: int, most_bytes: int) -> list[Entry]:
        if self._segment is None:
            return []
        try:
            with self._segment.open("rb") as file:
                file.seek(self._offset)
                data = file.read(most_bytes)
                if data:
                    # Nobody may have what a power cut could still take from here: its number would be used again.
                    os.fdatasync(file.fileno())
        except FileNotFoundError:
            self._segment = None
            return []
        found: list[Entry] = []
        end = 0
        for number, body, stop in parse(data, self._next):
            end, self._next = stop, number + 1
            if number > self.number:
                found.append((number, body))
                self.number = number
            if len(found) >= most:
                break
        self._offset += end
        if not found and end:
            return self._from_segment(most, most_bytes)
        return found


def missing_start(folder: Path, after: int) -> errors.StorageUnavailable | None:
    """Say so where the spool no longer holds what a follower at `after` would read next."""
    found = segments(folder)
    if not found or found[0][0] <= after + 1:
        return None
    return errors.StorageUnavailable(
        "the spool no longer holds what comes next: was something restored from an old copy?",
        detail_vi="Sổ tạm không còn giữ bản ghi kế tiếp: có phải đã khôi phục từ một bản sao cũ?",
        node=folder.name,
        number=after + 1,
    )
