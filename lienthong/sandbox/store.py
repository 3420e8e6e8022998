"""An SQLite file that keeps what was received through a restart, written in grouped commits."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

_TABLES = """
CREATE TABLE IF NOT EXISTS received (n INTEGER PRIMARY KEY, system TEXT, service TEXT, outcome TEXT,
                                     dossiers TEXT, line BLOB);
CREATE TABLE IF NOT EXISTS dossiers (code TEXT PRIMARY KEY, head BLOB, item BLOB);
CREATE TABLE IF NOT EXISTS steps (id INTEGER PRIMARY KEY, code TEXT, line BLOB);
"""

Statement = tuple[str, tuple[object, ...]]
_Batch = tuple[list[Statement], asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class Store:
    """One file, one writing thread; whoever writes waits until the commit that holds the writing is done."""

    def __init__(self, path: Path) -> None:
        """Open the file and make the tables."""
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # NORMAL in WAL mode survives the death of this process, which is what the sandbox promises; a power cut it
        # need not survive.
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(_TABLES)
        self._waiting: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="sandbox-store", daemon=True)
        self._writer.start()

    async def write(self, statements: list[Statement]) -> None:
        """Write and return when it is committed."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.put((statements, loop, done))
        await done

    def received(self, *, keep: int) -> Iterator[tuple[int, str, str, str, str, bytes]]:
        """Give the newest received rows, oldest first."""
        rows = "SELECT n, system, service, outcome, dossiers, line FROM received"
        newest = f"SELECT * FROM ({rows} ORDER BY n DESC LIMIT ?) ORDER BY n"
        yield from self._connection.execute(newest, (keep,))

    def dossiers(self) -> Iterator[tuple[str, bytes, bytes]]:
        """Give every dossier held."""
        yield from self._connection.execute("SELECT code, head, item FROM dossiers ORDER BY rowid")

    def steps(self) -> Iterator[tuple[str, bytes]]:
        """Give every progress step, in the order of arrival."""
        yield from self._connection.execute("SELECT code, line FROM steps ORDER BY id")

    def close(self) -> None:
        """Write what waits and close the file."""
        self._waiting.put(None)
        self._writer.join(timeout=10)
        self._connection.close()

    def _write(self) -> None:
        while (first := self._waiting.get()) is not None:
            batches = [first]
            closing = False
            with contextlib.suppress(queue.Empty):
                while len(batches) < 1000 and not closing:
                    item = self._waiting.get_nowait()
                    closing = item is None
                    if item is not None:
                        batches.append(item)
            failure = self._commit(batches)
            for loop, waiters in _by_loop(batches):
                with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
                    loop.call_soon_threadsafe(_settle, waiters, failure)
            if closing:
                return

    def _commit(self, batches: list[_Batch]) -> sqlite3.Error | None:
        try:
            self._connection.execute("BEGIN")
            for statements, _, _ in batches:
                for sql, values in statements:
                    self._connection.execute(sql, values)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            return error
        return None


def _by_loop(batches: list[_Batch]) -> list[tuple[asyncio.AbstractEventLoop, list[asyncio.Future[None]]]]:
    waiters: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for _, loop, done in batches:
        waiters.setdefault(loop, []).append(done)
    return list(waiters.items())


def _settle(waiters: list[asyncio.Future[None]], failure: sqlite3.Error | None) -> None:
    for done in waiters:
        if done.done():
            continue
        if failure is None:
            done.set_result(None)
        else:
            done.set_exception(failure)
