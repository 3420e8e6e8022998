"""The hashes of a sealed log on the disk: those of C2SP tlog-tiles (height 8), packed into few files.

`hashes/<level>/<n>` holds the hashes of one tile level (0 the leaves, 1 each 256 leaves, …) one after the other,
65,536 to a file: 256 tiles. Files only grow; one whose leaves have all been dropped by retention may go.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lienthong.core import errors, spool_reading
from lienthong.monitoring import merkle

HEIGHT = 8
TILE = 1 << HEIGHT
PACK = TILE * TILE  # hashes in one file
_SIZE = merkle.HASH_BYTES


class Tiles:
    """The hashes of one log, up to `size` leaves. One process writes; any may read."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder = folder / "hashes"
        self.size = size
        self._packs: dict[tuple[int, int], bytes] = {}

    def append(self, hashes: Sequence[bytes]) -> None:
        """Add the hashes of new leaves and of every tile that they fill; on the disk when this returns."""
        level, fresh, first = 0, list(hashes), self.size
        while fresh:
            self._write(level, first, fresh)
            filled = range(first // TILE, (first + len(fresh)) // TILE)
            fresh = [merkle.fold(self._tile(level, place)) for place in filled]
            first, level = filled.start, level + 1
        self.size += len(hashes)

    def cut(self) -> None:
        """Take off what stands beyond `size`: the rest of a step that was torn before it was signed."""
        count, level = self.size, 0
        while (self._folder / str(level)).is_dir():
            for place in self.packs(level):
                keep = min(max(count - place * PACK, 0), PACK) * _SIZE
                path = self._path(level, place)
                if path.stat().st_size > keep:
                    os.truncate(path, keep)
            count, level = count // TILE, level + 1
        self._packs.clear()

    def read(self, level: int, place: int) -> bytes:
        """Give the hash of a whole subtree; raises StorageUnavailable naming the place where it is not there."""
        stored, inside = divmod(level, HEIGHT)
        if inside == 0:
            return self.hashes(stored, place, place + 1)[0]
        return merkle.fold(self.hashes(stored, place << inside, (place + 1) << inside))

    def root(self, size: int | None = None) -> bytes:
        """Give the root of the first `size` leaves (all, when none is given)."""
        return merkle.root(self.size if size is None else size, self.read)

    def hashes(self, level: int, first: int, end: int) -> list[bytes]:
        """Give stored hashes of a tile level, within one file."""
        pack, start = divmod(first, PACK)
        data = self._pack(level, pack, at_least=(start + end - first) * _SIZE)
        found = data[start * _SIZE : (start + end - first) * _SIZE]
        if len(found) < (end - first) * _SIZE:
            raise absent(level, first + len(found) // _SIZE)
        return [found[at : at + _SIZE] for at in range(0, len(found), _SIZE)]

    def packs(self, level: int) -> list[int]:
        """List the files of a tile level by number."""
        folder = self._folder / str(level)
        return sorted(int(path.name) for path in folder.glob("*") if path.name.isdigit())

    def drop(self, pack: int) -> None:
        """Remove one file of leaf hashes; what stands above it keeps the proofs of all others whole."""
        self._path(0, pack).unlink(missing_ok=True)
        self._packs.pop((0, pack), None)

    def stored_bytes(self, level: int) -> int:
        """Give how many bytes a tile level has on the disk."""
        return sum(self._path(level, pack).stat().st_size for pack in self.packs(level))

    def last_stored(self, level: int = 0) -> int:
        """Give up to where hashes of a tile level stand on the disk."""
        packs = self.packs(level)
        return packs[-1] * PACK + self._path(level, packs[-1]).stat().st_size // _SIZE if packs else 0

    def _tile(self, level: int, place: int) -> list[bytes]:
        return self.hashes(level, place * TILE, (place + 1) * TILE)

    def _pack(self, level: int, pack: int, *, at_least: int) -> bytes:
        found = self._packs.get((level, pack), b"")
        if len(found) < at_least:
            path = self._path(level, pack)
            found = path.read_bytes() if path.exists() else b""
            while len(self._packs) >= 8:
                self._packs.pop(next(iter(self._packs)))
            self._packs[level, pack] = found
        return found

    def _write(self, level: int, first: int, hashes: Sequence[bytes]) -> None:
        at = 0
        while at < len(hashes):
            pack, start = divmod(first + at, PACK)
            part = b"".join(hashes[at : at + PACK - start])
            path = self._path(level, pack)
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            is_new = not path.exists()
            with path.open("xb" if is_new else "r+b") as file:
                file.seek(start * _SIZE)
                file.write(part)
                file.flush()
                os.fdatasync(file.fileno())
            if is_new:
                spool_reading.sync_folder(path.parent)
            known = self._packs.pop((level, pack), b"") if start else b""
            if len(known) == start * _SIZE:
                self._packs[level, pack] = known + part
            at += len(part) // _SIZE

    def _path(self, level: int, pack: int) -> Path:
        return self._folder / str(level) / f"{pack:06d}"


def absent(level: int, place: int) -> errors.StorageUnavailable:
    """Say that a stored hash is not there."""
    return errors.StorageUnavailable(
        f"hash {place} of tile level {level} is not there",
        detail_vi=f"Thiếu giá trị băm {place} ở tầng {level}.",
        level=level,
        place=place,
    )
