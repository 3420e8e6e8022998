"""From the spool into the hot store: what has been written is followed, and put into the table in batches.

Safe to repeat: a record that is there already, by node and number, is left as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.core import access_record, bulk, errors, spool_reading, storage, tables

_log = logging.getLogger("lienthong.spool")
FOLLOWER = "store"
BATCH = 5_000
# Each step is a transaction that waits for the disk: a few large ones take less from the door than many small. A
# record is in the hot store within a second of its answer, unless there are more than that takes in.
POLL_S = 0.5
_PLACE = {name: place for place, name in enumerate(access_record.FIELDS, 1)}


class Ingest:
    """Brings the records of every node of one spool folder into the hot store; one process at a time does."""

    def __init__(self, root: Path, store: storage.Storage) -> None:
        self._root, self._store = root, store
        self._readers: dict[Path, spool_reading.Reader] = {}

    async def step(self) -> int:
        """Bring over what is there; gives how many.

        Raises StorageUnavailable where the database is away, or the disk takes no note of what it has.
        """
        moved = 0
        async with storage.named_failures():
            for folder in spool_reading.nodes(self._root):
                moved += await self._node(folder)
        return moved

    async def run(self, closing: asyncio.Event) -> None:
        """Follow the spool until closing, then bring over the rest."""
        async with only_one(self._root / "ingest.lock", closing) as is_ours:
            if not is_ours:
                return
            pause_s = POLL_S
            while not closing.is_set():
                try:
                    moved = await self.step()
                    pause_s = POLL_S if moved < BATCH else 0.0
                except errors.StorageUnavailable:
                    pause_s = min(max(pause_s, POLL_S) * 2, 5.0)
                    _log.warning("the hot store cannot be written; records wait in the spool")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(closing.wait(), pause_s)
            with contextlib.suppress(errors.StorageUnavailable):
                while await self.step():
                    pass

    async def _node(self, folder: Path) -> int:
        reader = self._readers.get(folder)
        if reader is None:
            done = spool_reading.read_position(folder, FOLLOWER)
            reader = self._readers[folder] = spool_reading.Reader(folder, after=done)
        before = reader.number
        entries = await asyncio.to_thread(reader.read, BATCH)
        if not entries:
            reader.skip_damage()
            return 0
        try:
            async with self._store.transaction() as tx:
                await self._put(tx, [data for _, data in entries])
            await asyncio.to_thread(spool_reading.save_position, folder, FOLLOWER, entries[-1][0])
        except BaseException:
            # Read again from where the hot store is known to be; what is in it already is left as it is.
            self._readers[folder] = spool_reading.Reader(folder, after=before)
            raise
        return len(entries)

    async def _put(self, tx: AsyncConnection, records: Sequence[bytes]) -> None:
        if not self._store.is_sqlite:
            rows = [access_record.to_row(data) for data in records]
            await bulk.insert(self._store, tx, tables.exchanges, rows, keep_old=True)
            return
        try:
            # The database reads the records itself, all in one call: nothing of it holds up the door beside it.
            await tx.exec_driver_sql(_TAKE_OVER, ((b"[" + b",".join(records) + b"]").decode(),))
        except IntegrityError:
            for data in records:
                access_record.to_row(data)  # names the one that is no record
            raise


def _take_over() -> str:
    """Say to SQLite how the columns are made of the records in a JSON array; as `access_record.to_row` does.

    What is no record of this version gets no time, which the table refuses.
    """
    # json_extract, and not the shorter ->>: that came to SQLite later (3.38) than some systems have it.
    made = {name: f"json_extract(record.value, '$[{place}]')" for name, place in _PLACE.items()}
    is_known = f"json_array_length(record.value) = {len(made) + 1}"
    is_known += f" and json_extract(record.value, '$[0]') = {access_record.VERSION}"
    made["at"] = f"case when {is_known} then {made['at']} end"
    made["took_us"] = f"({made['took_us']}) / 1000.0"
    groups = f"json_each(record.value, '$[{_PLACE['field_groups']}]') each"
    made["field_groups"] = f"(select group_concat(each.value, ',') from {groups})"
    made["upstream"] = f"nullif({made['upstream']}, '[]')"
    into = ", ".join(f'"{name}"' for name in access_record.COLUMNS)
    # "where true": otherwise SQLite takes ON for the beginning of a join.
    source = f"select {', '.join(made.values())} from json_each(?) record where true"
    return f"insert into {tables.exchanges.name} ({into}) {source} on conflict do nothing"


_TAKE_OVER = _take_over()


@asynccontextmanager
async def only_one(path: Path, closing: asyncio.Event) -> AsyncIterator[bool]:
    """Wait until no other process holds this lock file, and hold it; false where closing came first."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not closing.is_set() and not _locked(handle):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(closing.wait(), 1.0)
        yield not closing.is_set()
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
