"""The times of the last admissions, as rings that may lie in mapped files: a killed process forgets none."""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import zlib
from array import array
from collections.abc import Iterable, MutableSequence
from pathlib import Path
from typing import cast
from urllib.parse import quote

_log = logging.getLogger("lienthong.limits")
_HEAD, _TAIL, _BOOT = 0, 1, 2
_FRONT = 4  # cells before the first time
_LEAST_SIZE = 16
_FIRST_SIZE = 256  # within one page of the system: a smaller file would take as much
_GROWS_FAST_BELOW = 16_384  # each growth is a new file
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

Cells = MutableSequence[int]


class Shelf:
    """A folder of mapped cells, one file a place; one process at a time.

    What is written survives `kill -9` at no cost, for the pages belong to the system. After a power cut what was
    written in the last second or so may be missing. Where the disk is full, new cells lie in memory only.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._maps: dict[str, mmap.mmap] = {}
        self.boot = _boot()
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.is_ours = True
        except OSError:
            self.is_ours = False

    def open(self, place: str, *, cells: int, least: int | None = None) -> Cells:
        """Map the cells of a place, as they were left; where there are less than `least`, made up with zeros."""
        path = self._path(place)
        try:
            with path.open("ab") as file:
                left = file.tell() // 8
                size = 8 * (left if left >= (cells if least is None else least) else cells)
                # With its blocks: a mapped file that finds the disk full when written to kills the process.
                os.posix_fallocate(file.fileno(), 0, size)
            return self._map(place, path)
        except OSError as exc:
            _log.warning("limits are kept in memory only: %s", exc.strerror)
            return array("q", bytes(8 * cells))

    def replace(self, place: str, cells: array[int]) -> Cells:
        """Put other cells in the place of the old ones, in one step."""
        path = self._path(place)
        new = path.with_name(path.name + ".new")
        try:
            new.write_bytes(cells.tobytes())
            new.replace(path)
            return self._map(place, path)
        except OSError as exc:
            _log.warning("limits are kept in memory only: %s", exc.strerror)
            return cells

    def drop(self, place: str) -> None:
        """Forget a place."""
        self._maps.pop(place, None)
        self._path(place).unlink(missing_ok=True)

    def flush(self, places: Iterable[str]) -> None:
        """Write these places to the disk, for the case of a power cut; from a thread, for it waits."""
        for place in places:
            try:
                handle = os.open(self._path(place), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # dropped meanwhile
            try:
                # Not mmap.flush: Python keeps every other thread waiting as long as that waits for the disk.
                os.fdatasync(handle)
            finally:
                os.close(handle)

    def close(self) -> None:
        """Let another process have the folder."""
        self._maps.clear()
        os.close(self._lock)

    def _map(self, place: str, path: Path) -> Cells:
        with path.open("r+b") as file:
            mapped = mmap.mmap(file.fileno(), 0)
        self._maps[place] = mapped
        return cast(Cells, memoryview(mapped).cast("q"))

    def _path(self, place: str) -> Path:
        return self._folder / quote(place, safe="")


def _boot() -> int:
    """Tell one start of the machine from another: its monotonic clock begins anew."""
    try:
        return zlib.crc32(_BOOT_ID.read_bytes())
    except OSError:
        return 0


class Ring:
    """When the last requests were admitted; O(1) each, amortised.

    Head and tail only grow and each change is one store, so that a process killed between two of them leaves a
    ring that is right: the request was either counted or not yet let through.
    """

    __slots__ = ("_cells", "_mask", "_place", "_shelf", "head", "length_ns", "tail")

    def __init__(self, length_ns: int, *, now_ns: int, shelf: Shelf | None = None, place: str = "") -> None:
        self.length_ns = length_ns
        self._shelf = shelf
        self._place = place
        self._cells: Cells = (
            array("q", bytes(8 * (_FRONT + _FIRST_SIZE)))
            if shelf is None
            else shelf.open(place, cells=_FRONT + _FIRST_SIZE, least=_FRONT + _LEAST_SIZE)
        )
        self._mask = len(self._cells) - _FRONT - 1
        self.head, self.tail = self._cells[_HEAD], self._cells[_TAIL]
        if shelf is not None and self._cells[_BOOT] != shelf.boot:
            # Another start of the machine: nobody knows how long it was off, so all of it happened just now.
            for number in range(self.head, self.tail):
                self._cells[_FRONT + (number & self._mask)] = now_ns
            self._cells[_BOOT] = shelf.boot

    @property
    def count(self) -> int:
        """How many admissions the window holds, as of the last `forget_old`."""
        return self.tail - self.head

    def forget_old(self, now_ns: int) -> None:
        """Let go of what has left the window."""
        head, tail, cells, mask = self.head, self.tail, self._cells, self._mask
        if head == tail:
            return
        horizon = now_ns - self.length_ns
        if cells[_FRONT + ((tail - 1) & mask)] <= horizon:
            self.head = cells[_HEAD] = tail
            return
        while cells[_FRONT + (head & mask)] <= horizon:
            head += 1
        if head != self.head:
            self.head = cells[_HEAD] = head

    def add(self, now_ns: int) -> None:
        """Note one admission."""
        tail = self.tail
        if tail - self.head > self._mask:
            self._grow()
        self._cells[_FRONT + (tail & self._mask)] = now_ns
        self.tail = self._cells[_TAIL] = tail + 1

    def drop_newest(self) -> None:
        """Take the last admission back: it is counted elsewhere."""
        if self.tail > self.head:
            self.tail -= 1
            self._cells[_TAIL] = self.tail

    def drop_oldest(self, number: int) -> None:
        """Take the first admissions out: they are counted elsewhere."""
        self.head = self._cells[_HEAD] = min(self.tail, self.head + number)

    def wait_ns(self, quota: int, now_ns: int) -> int:
        """Say in how long one of `quota` places is free: at once where one already is."""
        if self.tail - self.head < quota:
            return 0
        if quota < 1:
            return self.length_ns
        return self._cells[_FRONT + ((self.tail - quota) & self._mask)] + self.length_ns - now_ns

    def empties_in_ns(self, now_ns: int) -> int:
        """Say in how long the oldest admission leaves the window."""
        if self.head == self.tail:
            return 0
        return self._cells[_FRONT + (self.head & self._mask)] + self.length_ns - now_ns

    def _grow(self) -> None:
        """Make room for more, where the ring is full: from its head once around, it is all times."""
        held = self._mask + 1
        size = (4 if held < _GROWS_FAST_BELOW else 2) * held
        cells, start = array("q", bytes(self._cells)), self.head & self._mask
        times = cells[_FRONT + start :] + cells[_FRONT : _FRONT + start]
        bigger = cells[:_FRONT] + array("q", bytes(8 * size))
        start = self.head & (size - 1)
        fitting = min(held, size - start)
        bigger[_FRONT + start : _FRONT + start + fitting] = times[:fitting]
        bigger[_FRONT : _FRONT + held - fitting] = times[fitting:]
        self._cells = bigger if self._shelf is None else self._shelf.replace(self._place, bigger)
        self._mask = size - 1


class Count:
    """What was used of one calendar period; `unsaved` is not in the database yet.

    The period before is kept as well: a clock put back, or forward again, must not give a quota twice.
    """

    __slots__ = ("cells", "ends_at_s", "period", "starts_at_s")

    def __init__(self, shelf: Shelf | None = None, place: str = "") -> None:
        # The period's number, used, unsaved; and the same of the one before.
        self.cells: Cells = array("q", bytes(48)) if shelf is None else shelf.open(place, cells=6)
        self.period = ""
        self.starts_at_s = self.ends_at_s = 0.0

    def begin(self, period: str, *, starts_at_s: float, ends_at_s: float) -> None:
        """Count this period: from zero, unless it is one of the two that were being counted."""
        self.period, self.starts_at_s, self.ends_at_s = period, starts_at_s, ends_at_s
        number, cells = zlib.crc32(period.encode()), self.cells
        if cells[0] == number:
            return
        left, again = tuple(cells[:3]), tuple(cells[3:6])
        _, cells[1], cells[2] = again if again[0] == number else (number, 0, 0)
        cells[3], cells[4], cells[5] = left
        cells[0] = number

    @property
    def used(self) -> int:
        """How many requests the period has seen, all processes together as far as is known."""
        return self.cells[1]

    @used.setter
    def used(self, number: int) -> None:
        self.cells[1] = number

    @property
    def unsaved(self) -> int:
        """How many of them only this process knows."""
        return self.cells[2]

    @unsaved.setter
    def unsaved(self, number: int) -> None:
        self.cells[2] = number
