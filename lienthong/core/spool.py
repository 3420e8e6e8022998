"""The spool: records go here first, written before an answer is complete, so that a killed process loses nothing.

Append-only segment files in one folder for each node; numbers without gaps; the disk is waited for in groups.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from lienthong.core import access_record, errors, spool_reading, spool_sync

_log = logging.getLogger("lienthong.spool")

SEGMENT_BYTES = 32 * 1024 * 1024
MOST_HELD = 20_000
RETRY_S = 1.0
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
        self._retrying: threading.Timer | None = None
        self._failing_since: float | None = None
        self._day_ends_us = 0
        self._lock = threading.Lock()
        try:
            self.node, self.folder, self._slot = _take_slot(root, role)
            with _given_back(self._slot):
                self.written = spool_reading.recover(self.folder)
                self._open_segment(self.written + 1)
                spool_reading.sync_folder(self.folder)
        except OSError as exc:
            raise spool_sync.unwritable(exc) from exc
        self._is_torn = self._is_suspect = self._is_closed = False
        self._syncer = spool_sync.Syncer(
            self.folder, self._handle, written=self.written, on_failure=self._suspect, on_repair=self._go_on
        )

    def append(self, record: access_record.Record) -> int:
        """Write one record and give its number; the record outlives the process once this returns.

        Raises StorageUnavailable where it cannot be written: nothing of it is then left in the file.
        """
        with self._lock:
            self._write_held()
            return self._write(record)

    def take(self, record: access_record.Record) -> bool:
        """Write one record, or for the grace keep it in memory until there is room again; says whether it did.

        False once nothing could be written for the grace: from then on only refusals should be answered.
        """
        return self._take(record, always=False)

    def hold(self, record: access_record.Record) -> bool:
        """Write the record of a refusal, or keep it in memory also after the grace; false where that is full.

        A held record is written before any later one; a process killed meanwhile loses those that it holds.
        """
        return self._take(record, always=True)

    def _take(self, record: access_record.Record, *, always: bool) -> bool:
        with self._lock:
            try:
                self._write_held()
                self._write(record)
            except errors.StorageUnavailable:
                if len(self._held) >= MOST_HELD or not (always or self._within_grace()):
                    return False
                self._held.append(record)
                self._retry_soon()
        return True

    def _retry_soon(self) -> None:
        """See to it that what is held is written though no other request comes."""
        if self._retrying is None:
            self._retrying = threading.Timer(RETRY_S, self._retry)
            self._retrying.daemon = True
            self._retrying.start()

    def _retry(self) -> None:
        with self._lock:
            self._retrying = None
            if self._is_closed:
                return
            with contextlib.suppress(errors.StorageUnavailable):
                self._write_held()
            if self._held:
                self._retry_soon()

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
            self._is_closed = True
            with contextlib.suppress(errors.StorageUnavailable):
                self._write_held()
            if self._retrying is not None:
                self._retrying.cancel()
            if self._held:
                _log.error("records could not be written; they are lost", extra={"lost": len(self._held)})
        self._syncer.stop()  # its thread may be waiting for the lock
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
            if self._is_suspect:
                raise OSError(errno.EIO, "the disk does not keep what is written")
            if self._size + len(entry) > self._segment_bytes or at_us >= self._day_ends_us:
                self._rotate(number, at_us)
            self._write_whole(entry)
        except OSError as exc:
            self._fails(exc)
            raise spool_sync.unwritable(exc) from exc
        self._size += len(entry)
        self.written = number
        if self._failing_since is not None:
            _log.warning("the spool can be written again", extra={"node": self.node})
            self._failing_since = None
        self._syncer.written(number, entry)
        return number

    def _write_whole(self, entry: bytes) -> None:
        """Write all of an entry or nothing: behind half of one, nobody could read on."""
        if self._is_torn:
            os.ftruncate(self._handle, self._size)
            self._is_torn = False
        done = os.write(self._handle, entry)
        if done != len(entry):
            self._is_torn = True
            os.ftruncate(self._handle, self._size)
            self._is_torn = False
            raise OSError(errno.ENOSPC, "no room for the whole record")

    def _suspect(self, exc: OSError) -> None:
        """Write no more, the disk may have lost what it has; from the syncer's thread."""
        with self._lock:
            self._is_suspect = True
            self._fails(exc)

    def _go_on(self, handle: int, size: int) -> None:
        """Go on in the file that holds again what the disk may have lost; from the syncer's thread."""
        with self._lock:
            self._handle, self._size = handle, size
            self._is_suspect = self._is_torn = False
            self._failing_since = None
            _log.warning("the spool can be written again", extra={"node": self.node})

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
        with _given_back(handle):
            spool_reading.sync_folder(root)
        return node, folder, handle


@contextlib.contextmanager
def _given_back(slot: int) -> Iterator[None]:
    """Give a place back where it cannot be used after all: the next try must not need another one."""
    try:
        yield
    except BaseException:
        os.close(slot)
        raise


def _place_name(root: Path) -> str:
    """Name this folder once and for all: a hub set up anew must not use the numbers of the old one again."""
    path = root / "place"
    while not path.exists():
        # A name by chance: processes in containers of their own all have the number 1.
        draft = root / f"place.{os.urandom(8).hex()}"
        with draft.open("w") as file:
            file.write(os.urandom(3).hex())
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_text().strip()
