"""Waiting for the disk: a thread of its own does it for all records written since the last time together.

After a failed wait the kernel may have let the data go, and the next wait would succeed all the same. So nothing
more is written to those files: what was not surely on the disk is written again, from memory, into a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lienthong.core import errors, spool_reading

_log = logging.getLogger("lienthong.spool")
SYNC_S = 0.05  # a record is on the disk at most this long after it was written
RETRY_S = 0.5


class Syncer:
    """Follows one writer of a spool folder.

    `on_failure` is called from the thread as soon as the disk refuses: the writer must write nothing from then on,
    until `on_repair` hands it the file to go on with and its size.
    """

    def __init__(
        self,
        folder: Path,
        handle: int,
        *,
        written: int,
        on_failure: Callable[[OSError], None],
        on_repair: Callable[[int, int], None],
    ) -> None:
        self._folder = folder
        self._handle = handle
        self._on_failure, self._on_repair = on_failure, on_repair
        self._old: list[int] = []
        self._written = self._synced = written
        self._unsure: deque[tuple[int, bytes]] = deque()
        self._dirty, self._urgent = threading.Event(), threading.Event()
        self._is_ending = self._has_ended = self._is_broken = False
        self._waiting: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="spool-sync", daemon=True)
        self._thread.start()

    def written(self, number: int, entry: bytes) -> None:
        """Take note of what was just written; it is kept until it is on the disk."""
        self._unsure.append((number, entry))
        self._written = number
        if not self._dirty.is_set():
            self._dirty.set()

    def follow(self, handle: int) -> None:
        """Go on with a new segment; the old one is waited for once more and closed."""
        with self._lock:
            self._old.append(self._handle)
            self._handle = handle

    async def durable(self, number: int) -> None:
        """Wait until this number is on the disk; raises StorageUnavailable where that failed."""
        if number <= self._synced:
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if self._has_ended:
                raise unwritable(OSError(9, "the spool is closed"))
            self._waiting.append((number, loop, future))
        self._urgent.set()
        self._dirty.set()
        await future

    def stop(self) -> None:
        """Wait for the disk a last time, and end."""
        self._is_ending = True
        self._urgent.set()
        self._dirty.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_ending:
            if self._is_broken:
                self._urgent.wait(RETRY_S)
            else:
                self._dirty.wait()
                self._urgent.wait(SYNC_S * 0.8)
            self._dirty.clear()
            self._urgent.clear()
            self._step()
        self._step()
        with self._lock:
            self._has_ended = True
        self._tell(self._written, unwritable(OSError(9, "the spool is closed")))

    def _step(self) -> None:
        if not self._is_broken:
            self._sync()
        if self._is_broken:
            self._repair()

    def _sync(self) -> None:
        reached = self._written
        with self._lock:
            old, self._old = self._old, []
            handle = self._handle
        try:
            for each in (*old, handle):
                os.fdatasync(each)
            if old:
                spool_reading.sync_folder(self._folder)
        except OSError as exc:
            self._is_broken = True
            self._on_failure(exc)
            _log.error("the disk refuses to keep the spool", extra={"why": exc.strerror})
            self._close(old)
            self._tell(self._written, unwritable(exc))
            return
        self._close(old)
        self._be_sure(reached)

    def _repair(self) -> None:
        """Write again what may be lost; the writer rests meanwhile, so that nothing is added to it."""
        reached = self._written
        entries = [entry for _, entry in self._unsure]
        try:
            handle = spool_reading.write_again(self._folder, self._synced + 1, entries)
        except OSError as exc:
            self._tell(reached, unwritable(exc))
            return
        with self._lock:
            stale = [*self._old, self._handle]
            self._old, self._handle = [], handle
        self._close(stale)
        self._is_broken = False
        self._on_repair(handle, sum(map(len, entries)))
        self._be_sure(reached)

    def _be_sure(self, reached: int) -> None:
        self._synced = reached
        while self._unsure and self._unsure[0][0] <= reached:
            self._unsure.popleft()
        self._tell(reached, None)

    def _tell(self, reached: int, failure: errors.StorageUnavailable | None) -> None:
        with self._lock:
            ready = [waiting for waiting in self._waiting if waiting[0] <= reached]
            self._waiting = [waiting for waiting in self._waiting if waiting[0] > reached]
        for loop in {loop for _, loop, _ in ready}:
            # Once for all who wait there: each call wakes the loop.
            theirs = [future for _, its, future in ready if its is loop]
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(_settle, theirs, failure)

    @staticmethod
    def _close(handles: Sequence[int]) -> None:
        for each in handles:
            with contextlib.suppress(OSError):  # what mattered was waiting for the disk
                os.close(each)


def _settle(futures: Sequence[asyncio.Future[None]], failure: Exception | None) -> None:
    for future in futures:
        if future.done():
            continue
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)


def unwritable(exc: OSError) -> errors.StorageUnavailable:
    """Say that the record cannot be written, and why."""
    facts: dict[str, Any] = {"reason": exc.strerror or type(exc).__name__}
    return errors.StorageUnavailable(
        "the access record cannot be written: is the disk of LIENTHONG_HOME full?",
        detail_vi="Không ghi được sổ truy cập: kiểm tra dung lượng đĩa của LIENTHONG_HOME.",
        **facts,
    )
