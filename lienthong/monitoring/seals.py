"""Sealing: calls in and out, and what people did to the hub, become leaves of signed logs.

One log for the calls of all nodes (`access`), one for the administrative acts (`admin`), in HOME/seals. Calls that
came in are read from the spool; those that the hub made, and the acts, from the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa

from lienthong.core import (
    access_record,
    clock,
    crypto,
    errors,
    ingest,
    journal,
    settings,
    spool_reading,
    storage,
    tables,
)
from lienthong.monitoring import checkpoints, log_files, onlookers, retired, sealed_log

_log = logging.getLogger("lienthong.seals")

ACCESS, ADMIN = "access", "admin"
FOLLOWER = "seal"
STEP = 50_000  # leaves under one checkpoint at most
_PAGE = 5_000  # of them, such as come from the database
# A signed checkpoint at least so often, also where nothing new was recorded: silence cannot pass for a lost log.
LONGEST = timedelta(seconds=60)
_MARGIN = timedelta(seconds=5)  # what a step, and the one before it, may take
# Acts may become visible in another order than that of their numbers; so far back is looked for them.
_LOOK_BACK = 1_000
_ACT = ("number", "at", "actor", "act", "object", "reason", "before", "after", "outcome")
_a, _t = tables.admin_acts, tables.exchanges
_CALL = [column for column in _t.c if column.name != "detail"]


def signer(home: Path) -> crypto.Signer:
    """Give the hub's sealing key: HOME/keys/seal.key, made once, before the first seal and never after."""
    path = home / "keys" / "seal.key"
    is_begun = any((home / "seals").glob("*/verifier"))
    if is_begun and not path.exists():
        raise errors.Misconfigured(
            "the sealing key HOME/keys/seal.key is missing; restore it from the backup",
            detail_vi="Thiếu khoá niêm phong HOME/keys/seal.key; hãy khôi phục từ bản sao lưu.",
        )
    return crypto.Signer.from_seed(crypto.load_or_create_master(path, create=not is_begun))


def origin(agency: str, log: str) -> str:
    """Name a log: whose hub, and which record."""
    kept = "".join(letter for letter in agency if letter.isalnum() or letter in ".-")
    return f"lienthong/{kept or 'hub'}/{log}"


def act_bytes(row: Mapping[str, Any]) -> bytes:
    """Give the bytes of an administrative act that are sealed."""
    values = [row[name] for name in _ACT]
    values[1] = access_record.micros(values[1])
    return orjson.dumps([access_record.VERSION, ADMIN, *values], option=orjson.OPT_SORT_KEYS)


class Sealer:
    """Seals both records of one HOME. Its steps may be repeated after any failure."""

    def __init__(self, home: Path, store: storage.Storage, *, agency: str = "", every_s: float = 10.0) -> None:
        self.home, self._store, self._agency = home, store, agency
        self._quiet = LONGEST - _MARGIN - timedelta(seconds=every_s)
        self._spool = home / "spool"
        self._open()

    def _open(self) -> None:
        key, folder = signer(self.home), self.home / "seals"
        self.access = sealed_log.SealedLog(folder / ACCESS, origin=origin(self._agency, ACCESS), signer=key)
        self.admin = sealed_log.SealedLog(folder / ADMIN, origin=origin(self._agency, ADMIN), signer=key)
        self._readers: dict[Path, spool_reading.Reader] = {}
        self._is_torn = False

    def log_of(self, note: str) -> sealed_log.SealedLog:
        """Give the log that a checkpoint is of."""
        return self.access if note.startswith(f"{self.access.verifier.name}\n") else self.admin

    def close(self) -> None:
        """Let another process seal."""
        self.access.close()
        self.admin.close()

    async def step(self, now: datetime) -> list[str]:
        """Seal what is there; gives the new checkpoints. Segments that nobody needs any more are removed.

        Raises StorageUnavailable where it cannot; the next step then takes up what this one left.
        """
        if self._is_torn:
            self.close()
            await asyncio.to_thread(self._open)
        self._is_torn = True
        try:
            notes = await asyncio.to_thread(self._seal_calls, now)
            notes += await self._seal_outgoing(now)
            notes += self._quiet_checkpoint(self.access, ACCESS, now)
            notes += await self._seal_acts(now)
        except OSError as exc:
            raise errors.StorageUnavailable("the seals cannot be written", reason=exc.strerror) from exc
        self._is_torn = False
        return notes

    def _seal_calls(self, now: datetime) -> list[str]:
        notes: list[str] = []
        self._must_continue()
        while leaves := self._fresh_leaves():
            self.access.append(leaves)
            notes.append(self._state(self.access, ACCESS, now))
            self._save_positions()
            if len(leaves) < STEP:
                break  # what came meanwhile is for the next step: calls that never end must not hold up the rest
        for folder in spool_reading.nodes(self._spool):
            spool_reading.trim(folder)
        return notes

    def _must_continue(self) -> None:
        """Refuse to go on where the log is older than what was sealed before: somebody put an old copy there."""
        for folder in spool_reading.nodes(self._spool):
            sealed = self.access.sealed.last(folder.name)
            if spool_reading.read_position(folder, FOLLOWER) > sealed:
                raise log_files.not_sound(f"{folder.name} was sealed beyond no. {sealed}, and is not now")

    def _fresh_leaves(self) -> list[sealed_log.Leaf]:
        found: list[sealed_log.Leaf] = []
        for folder in spool_reading.nodes(self._spool):
            reader = self._readers.get(folder)
            if reader is None:
                after = self.access.sealed.last(folder.name)
                reader = self._readers[folder] = spool_reading.Reader(folder, after=after)
            while len(found) < STEP and (entries := reader.read(STEP - len(found))):
                found += _leaves(folder.name, entries)
            if len(found) < STEP and reader.skip_damage():
                found += _leaves(folder.name, reader.read(STEP - len(found)))
        return found

    def _save_positions(self) -> None:
        for folder in spool_reading.nodes(self._spool):
            last = self.access.sealed.last(folder.name)
            if last > spool_reading.read_position(folder, FOLLOWER):
                spool_reading.save_position(folder, FOLLOWER, last)

    async def _seal_outgoing(self, now: datetime) -> list[str]:
        """Seal the calls that the hub made: each process numbers its own, and they come in that order."""
        notes: list[str] = []
        async with self._store.reading() as conn:
            nodes = await journal.nodes(conn)
        for node in nodes:
            while leaves := await self._outgoing(node):
                await asyncio.to_thread(self.access.append, leaves)
                notes.append(await asyncio.to_thread(self._state, self.access, ACCESS, now))
                if len(leaves) < _PAGE:
                    break
        return notes

    async def _outgoing(self, node: str) -> list[sealed_log.Leaf]:
        wanted = sa.select(*_CALL).where(_t.c.node == node, _t.c.number_in_node > self.access.sealed.last(node))
        async with self._store.reading() as conn:
            rows = await storage.every(conn, wanted.order_by(_t.c.number_in_node).limit(_PAGE))
        # In a thread: a minute of calls would hold up the gateway beside it for as long as some requests take.
        return await asyncio.to_thread(_call_leaves, node, rows)

    async def _seal_acts(self, now: datetime) -> list[str]:
        last = self.admin.sealed.last(ADMIN)
        columns = [_a.c[name] for name in _ACT]
        async with self._store.reading() as conn:
            wanted = sa.select(*columns).where(_a.c.number > last - _LOOK_BACK).order_by(_a.c.number)
            rows = await storage.every(conn, wanted)
        fresh = [row for row in rows if not self.admin.sealed.has(ADMIN, row["number"])]
        return await asyncio.to_thread(self._state_acts, fresh, now)

    def _state_acts(self, rows: Iterable[Mapping[str, Any]], now: datetime) -> list[str]:
        leaves = [sealed_log.Leaf(ADMIN, row["number"], _day(row["at"]), act_bytes(row)) for row in rows]
        if not leaves:
            return self._quiet_checkpoint(self.admin, ADMIN, now)
        self.admin.append(leaves)
        return [self._state(self.admin, ADMIN, now)]

    def _quiet_checkpoint(self, log: sealed_log.SealedLog, name: str, now: datetime) -> list[str]:
        """State the same again at the end of a day, and before a minute is over: the log is whole, and watched."""
        # A clock that was put back must not bring silence until it has caught up.
        is_fresh = log.last is not None and timedelta(0) <= now - log.last.at < self._quiet
        if log.last is not None and is_fresh and _day(now) == _day(log.last.at):
            return []
        return [self._state(log, name, now)]

    def _state(self, log: sealed_log.SealedLog, name: str, now: datetime) -> str:
        over = log.last is not None and _day(now) > _day(log.last.at)
        number = log.last.number + 1 if log.last else 1
        note = log.checkpoint(now=now, day=_day(log.last.at) if over and log.last else None)
        log_files.replace(self._spool / f"{name}.sealed", b"%d" % number)
        return note


def reached(home: Path) -> datetime | None:
    """Say up to when everything is sealed; nothing where no seal was begun."""
    log = home / "seals" / ACCESS
    if not (log / "verifier").exists():
        return None
    stated = sealed_log.last_stated(log, checkpoints.verifier((log / "verifier").read_text(encoding="utf-8")))
    return stated.at if stated else None


def retire(home: Path, day: str, kind: str, leaves: Iterable[bytes], *, now: datetime) -> int:
    """State that these records of a closed day are dropped, before they are; gives how many were sealed ones."""
    log = home / "seals" / ACCESS
    if not (log / "verifier").exists():
        return 0
    order, hashes = sealed_log.snapshot(log, checkpoints.verifier((log / "verifier").read_text(encoding="utf-8")))
    told = retired.Statement(day, kind, now)
    return retired.state(log, signer(home), told, leaves, order=order, hashes=hashes)


def _call_leaves(node: str, rows: Iterable[Mapping[str, Any]]) -> list[sealed_log.Leaf]:
    return [
        sealed_log.Leaf(node, row["number_in_node"], _day(row["at"]), access_record.from_row(row)) for row in rows
    ]


def _leaves(node: str, entries: Iterable[spool_reading.Entry]) -> list[sealed_log.Leaf]:
    found, day, begins_us, ends_us = [], "", 0, 0
    for number, data in entries:
        said_node, said_number, at_us = access_record.place_of(data)
        if (said_node, said_number) != (node, number):
            raise log_files.not_sound(f"the spool of {node} holds another record at no. {number}")
        if not begins_us <= at_us < ends_us:
            day = access_record.day_of(at_us)
            begins_us, ends_us = access_record.bounds_of_day(at_us)
        found.append(sealed_log.Leaf(node, number, day, data))
    return found


def _day(at: datetime) -> str:
    return at.astimezone(clock.VIETNAM).date().isoformat()


@asynccontextmanager
async def opened(
    home: Path,
    store: storage.Storage,
    *,
    agency: str = "",
    every_s: float = 10.0,
    closing: asyncio.Event | None = None,
) -> AsyncIterator[Sealer | None]:
    """Open the sealer once no other process of this HOME seals; nothing where closing came first."""
    (home / "spool").mkdir(parents=True, exist_ok=True, mode=0o700)
    async with ingest.only_one(home / "seals" / "run.lock", closing or asyncio.Event()) as is_ours:
        if not is_ours:
            yield None
            return
        sealer = await asyncio.to_thread(Sealer, home, store, agency=agency, every_s=every_s)
        try:
            yield sealer
        finally:
            sealer.close()


async def run(
    home: Path,
    store: storage.Storage,
    closing: asyncio.Event,
    *,
    chosen: settings.Seals,
    agency: str = "",
    now: clock.Clock = clock.now,
) -> None:
    """Seal every so many seconds until closing, and once more then; onlookers are shown what is new."""
    shown = onlookers.Onlookers(chosen)
    every_s = chosen.every_s
    async with opened(home, store, agency=agency, every_s=every_s, closing=closing) as sealer, shown.looking():
        while sealer is not None:
            is_last = closing.is_set()
            began_s = time.monotonic()
            try:
                for note in await sealer.step(now()):
                    shown.tell(note, sealer.log_of(note))
            except errors.StorageUnavailable as exc:
                _log.error("the record cannot be sealed", extra={"why": exc.detail("en")})
            if is_last:
                return
            with contextlib.suppress(TimeoutError):
                # From beginning to beginning: a slow step must not stretch the minute.
                await asyncio.wait_for(closing.wait(), max(0.0, began_s + every_s - time.monotonic()))
