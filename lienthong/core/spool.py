"""The spool: records go here first, written before an answer is complete, so that a killed process loses nothing.

Append-only segment files in one folder for each node; numbers without gaps; the disk is waited for in groups.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from lienthong.core import access_record, errors, spool_reading

_log = logging.getLogger("lienthong.spool")

SYNC_S = 0.05  # a record is on the disk at most this long after it was written
SEGMENT_BYTES = 32 * 1024 * 1024
MOST_HELD = 20_000
_DAY_US = 86_400_000_000
_ZONE_US = 7 * 3_600_000_000


class Spool:
    """Where one process writes its records. Opened once in a process, closed at its end.

    `node` names the process for good: its role, the lowest free place on this machine, and a name that the
    folder was given when it was made. A process that starts again after a crash takes up the same node and the
    next number.
    """

    def __init__(
        self, root: Path, role: str, *, segment_bytes: int = SEGMENT_BYTES, grace_s: float = 10.0
    ) -> None:
        self._root = root
        self._segment_bytes = segment_bytes
        self._grace_s = grace_s
        self._handle = -1
        self._held: deque[access_record.Record] = deque()
        self._failing_since: float | None = None
        self._day_ends_us = 0
        self.lost = 0
        self._lock = threading.Lock()
        try:
            self.node, self.folder, self._slot = _take_slot(root, role)
            self.written = spool_reading.recover(self.folder)
            self._open_segment(self.written + 1)
            sync_folder(self.folder)
        except OSError as exc:
            raise _unwritable(exc) from exc
        self._syncer = _Syncer(self.folder, self._handle, self.written)

    def append(self, record: access_record.Record) -> int:
        """Write one record and give its number; the record outlives the process once this returns.

        Raises StorageUnavailable where it cannot be written: nothing of it is then left in the file.
        """
        with self._lock:
            self._write_held()
            return self._write(record)

    def take(self, record: access_record.Record) -> bool:
        """Write one record, or keep it in memory until there is room again; says whether it may be answered.

        False once nothing could be written for the grace: from then on only refusals should be answered. A held
        record is written before any later one; a process killed meanwhile loses those that it holds.
        """
        with self._lock:
            try:
                self._write_held()
                self._write(record)
            except errors.StorageUnavailable:
                if len(self._held) >= MOST_HELD:
                    self.lost += 1
                    return False
                self._held.append(record)
                return self._within_grace()
        return True

    def may_serve(self, *, personal: bool) -> bool:
        """Whether a request may be served now: on personal data only while the spool can be written."""
        if self._failing_since is None:
            return True
        with self._lock, contextlib.suppress(errors.StorageUnavailable):
            self._write_held()
        if self._failing_since is None:
            return True
        return not personal and self._within_grace()

    async def durable(self, number: int) -> None:
        """Wait until the record of this number is on the disk; raises StorageUnavailable where the disk fails."""
        await self._syncer.durable(number)

    @property
    def held(self) -> int:
        """How many records wait in memory for room on the disk."""
        return len(self._held)

    def close(self) -> None:
        """Write what is held, wait for the disk, and give the node back."""
        with self._lock:
            with contextlib.suppress(errors.StorageUnavailable):
                self._write_held()
            if self._held:
                _log.error("records could not be written; they are lost", extra={"lost": len(self._held)})
            self._syncer.stop()
            os.close(self._handle)
            os.close(self._slot)

    def _write_held(self) -> None:
        while self._held:
            self._write(self._held[0])
            self._held.popleft()

    def _write(self, record: access_record.Record) -> int:
        number = self.written + 1
        data = access_record.encode(record, node=self.node, number=number)
        entry = spool_reading.entry(number, data)
        at_us = access_record.micros(record.at)
        try:
            if self._size + len(entry) > self._segment_bytes or at_us >= self._day_ends_us:
                self._rotate(number, at_us)
            done = os.write(self._handle, entry)
            if done != len(entry):
                os.ftruncate(self._handle, self._size)
                raise OSError(28, "no room for the whole record")
        except OSError as exc:
            self._fails(exc)
            raise _unwritable(exc) from exc
        self._size += done
        self.written = number
        if self._failing_since is not None:
            _log.warning("the spool can be written again", extra={"node": self.node})
            self._failing_since = None
        self._syncer.written(number)
        return number

    def _rotate(self, number: int, at_us: int) -> None:
        """Begin a new segment when one is full or the day is over; a clock stepped back begins none."""
        ends_us = ((at_us + _ZONE_US) // _DAY_US + 1) * _DAY_US - _ZONE_US
        if self._size:
            self._open_segment(number)
            self._syncer.follow(self._handle)
        self._day_ends_us = max(ends_us, self._day_ends_us)

    def _open_segment(self, first: int) -> None:
        path = self.folder / spool_reading.segment_name(first)
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._handle).st_size

    def _fails(self, exc: OSError) -> None:
        if self._failing_since is None:
            self._failing_since = time.monotonic()
            _log.error("the spool cannot be written", extra={"node": self.node, "why": exc.strerror})

    def _within_grace(self) -> bool:
        return self._failing_since is not None and time.monotonic() - self._failing_since < self._grace_s


class _Syncer:
    """Waits for the disk in a thread of its own, for all records written since the last time together."""

    def __init__(self, folder: Path, handle: int, written: int) -> None:
        self._folder = folder
        self._handle = handle
        self._old: list[int] = []
        self._written = self._synced = written
        self._dirty, self._urgent = threading.Event(), threading.Event()
        self._ending = False
        self._waiting: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="spool-sync", daemon=True)
        self._thread.start()

    def written(self, number: int) -> None:
        self._written = number
        if not self._dirty.is_set():
            self._dirty.set()

    def follow(self, handle: int) -> None:
        """Go on with a new segment; the old one is waited for once more and closed."""
        with self._lock:
            self._old.append(self._handle)
            self._handle = handle

    async def durable(self, number: int) -> None:
        if number <= self._synced:
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            self._waiting.append((number, loop, future))
        self._urgent.set()
        self._dirty.set()
        await future

    def stop(self) -> None:
        self._ending = True
        self._urgent.set()
        self._dirty.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending:
            self._dirty.wait()
            self._urgent.wait(SYNC_S * 0.8)
            self._dirty.clear()
            self._urgent.clear()
            self._sync()
        self._sync()

    def _sync(self) -> None:
        reached, failure = self._written, None
        with self._lock:
            old, self._old = self._old, []
            handle = self._handle
        try:
            for each in (*old, handle):
                os.fdatasync(each)
            if old:
                sync_folder(self._folder)
            self._synced = reached
        except OSError as exc:
            failure = _unwritable(exc)
            _log.error("the disk refuses to keep the spool", extra={"why": exc.strerror})
        for each in old:
            os.close(each)
        self._tell(reached, failure)

    def _tell(self, reached: int, failure: errors.StorageUnavailable | None) -> None:
        with self._lock:
            ready = [waiting for waiting in self._waiting if waiting[0] <= reached]
            self._waiting = [waiting for waiting in self._waiting if waiting[0] > reached]
        for _, loop, future in ready:
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(_settle, future, failure)


def _settle(future: asyncio.Future[None], failure: Exception | None) -> None:
    if future.done():
        return
    if failure is None:
        future.set_result(None)
    else:
        future.set_exception(failure)


def _take_slot(root: Path, role: str) -> tuple[str, Path, int]:
    """Take the lowest place of this role that no living process holds; the lock ends with the process."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    place = _place_name(root)
    number = 1
    while True:
        node = f"{role}-{number}.{place}"
        folder = root / node
        folder.mkdir(exist_ok=True, mode=0o700)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            number += 1
            continue
        return node, folder, handle


def _place_name(root: Path) -> str:
    """Name this folder once and for all: a hub set up anew must not use the numbers of the old one again."""
    path = root / "place"
    while not path.exists():
        draft = root / f"place.{os.getpid()}"
        draft.write_text(os.urandom(3).hex())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_text().strip()


def sync_folder(folder: Path) -> None:
    """Wait until the names of files in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unwritable(exc: OSError) -> errors.StorageUnavailable:
    facts: dict[str, Any] = {"reason": exc.strerror or type(exc).__name__}
    return errors.StorageUnavailable(
        "the access record cannot be written: is the disk of LIENTHONG_HOME full?",
        detail_vi="Không ghi được sổ truy cập: kiểm tra dung lượng đĩa của LIENTHONG_HOME.",
        **facts,
    )
