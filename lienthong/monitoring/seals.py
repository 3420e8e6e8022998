"""Sealing: what was written to the spool, and what people did to the hub, become leaves of signed logs.

One log for the calls of all nodes (`access`), one for the administrative acts (`admin`), in HOME/seals.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa

from lienthong.core import access_record, clock, crypto, errors, ingest, settings, spool_reading, storage, tables
from lienthong.monitoring import checkpoints, log_files, retired, sealed_log, witnesses

_log = logging.getLogger("lienthong.seals")

ACCESS, ADMIN = "access", "admin"
FOLLOWER = "seal"
STEP = 50_000  # leaves under one checkpoint at most
QUIET = timedelta(hours=1)  # so often a checkpoint is made where nothing new was recorded
# Acts may become visible in another order than that of their numbers; so far back is looked for them.
_LOOK_BACK = 1_000
_ACT = ("number", "at", "actor", "act", "object", "reason", "before", "after", "outcome")
_a = tables.admin_acts


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

    def __init__(self, home: Path, store: storage.Storage, *, agency: str = "") -> None:
        self.home, self._store, self._agency = home, store, agency
        self._spool = home / "spool"
        self._open()

    def _open(self) -> None:
        key, folder = signer(self.home), self.home / "seals"
        self.access = sealed_log.SealedLog(folder / ACCESS, origin=origin(self._agency, ACCESS), signer=key)
        self.admin = sealed_log.SealedLog(folder / ADMIN, origin=origin(self._agency, ADMIN), signer=key)
        self._readers: dict[Path, spool_reading.Reader] = {}
        self._is_torn = False

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
        notes += self._quiet_checkpoint(self.access, ACCESS, now)
        for folder in spool_reading.nodes(self._spool):
            spool_reading.trim(folder)
        return notes

    def _must_continue(self) -> None:
        """Refuse to go on where the log is older than what was sealed before: somebody put an old copy there."""
        for folder in spool_reading.nodes(self._spool):
            sealed = self.access.order.last(folder.name)
            if spool_reading.read_position(folder, FOLLOWER) > sealed:
                raise log_files.not_sound(f"{folder.name} was sealed beyond no. {sealed}, and is not now")

    def _fresh_leaves(self) -> list[sealed_log.Leaf]:
        found: list[sealed_log.Leaf] = []
        for folder in spool_reading.nodes(self._spool):
            reader = self._readers.get(folder)
            if reader is None:
                after = self.access.order.last(folder.name)
                reader = self._readers[folder] = spool_reading.Reader(folder, after=after)
            while len(found) < STEP and (entries := reader.read(STEP - len(found))):
                found += _leaves(folder.name, entries)
            if len(found) < STEP and reader.skip_damage():
                found += _leaves(folder.name, reader.read(STEP - len(found)))
        return found

    def _save_positions(self) -> None:
        for folder in spool_reading.nodes(self._spool):
            last = self.access.order.last(folder.name)
            if last > spool_reading.read_position(folder, FOLLOWER):
                spool_reading.save_position(folder, FOLLOWER, last)

    async def _seal_acts(self, now: datetime) -> list[str]:
        last = self.admin.order.last(ADMIN)
        columns = [_a.c[name] for name in _ACT]
        async with self._store.reading() as conn:
            wanted = sa.select(*columns).where(_a.c.number > last - _LOOK_BACK).order_by(_a.c.number)
            rows = await storage.every(conn, wanted)
        fresh = [row for row in rows if self.admin.order.index_of(ADMIN, row["number"]) is None]
        return await asyncio.to_thread(self._state_acts, fresh, now)

    def _state_acts(self, rows: Iterable[Mapping[str, Any]], now: datetime) -> list[str]:
        leaves = [sealed_log.Leaf(ADMIN, row["number"], _day(row["at"]), act_bytes(row)) for row in rows]
        if not leaves:
            return self._quiet_checkpoint(self.admin, ADMIN, now)
        self.admin.append(leaves)
        return [self._state(self.admin, ADMIN, now)]

    def _quiet_checkpoint(self, log: sealed_log.SealedLog, name: str, now: datetime) -> list[str]:
        """State the same again at the end of a day, and once an hour: the log is whole, and watched."""
        if log.last is None or (_day(now) == _day(log.last.at) and now - log.last.at < QUIET):
            return []
        return [self._state(log, name, now)]

    def _state(self, log: sealed_log.SealedLog, name: str, now: datetime) -> str:
        over = log.last is not None and _day(now) > _day(log.last.at)
        number = log.last.number + 1 if log.last else 1
        note = log.checkpoint(now=now, day=_day(log.last.at) if over and log.last else None)
        log_files.replace(self._spool / f"{name}.sealed", b"%d" % number)
        return note


def retire(home: Path, day: str, kind: str, leaves: Iterable[bytes], *, now: datetime) -> int:
    """State that these records of a closed day are dropped, before they are; gives how many were sealed ones."""
    log = home / "seals" / ACCESS
    if not (log / "verifier").exists():
        return 0
    order, hashes = sealed_log.snapshot(log, checkpoints.verifier((log / "verifier").read_text(encoding="utf-8")))
    told = retired.Statement(day, kind, now)
    return retired.state(log, signer(home), told, leaves, order=order, hashes=hashes)


def _leaves(node: str, entries: Iterable[spool_reading.Entry]) -> list[sealed_log.Leaf]:
    found = []
    for number, data in entries:
        said_node, said_number, at_us = access_record.place_of(data)
        if (said_node, said_number) != (node, number):
            raise log_files.not_sound(f"the spool of {node} holds another record at no. {number}")
        found.append(sealed_log.Leaf(node, number, access_record.day_of(at_us), data))
    return found


def _day(at: datetime) -> str:
    return at.astimezone(clock.VIETNAM).date().isoformat()


@asynccontextmanager
async def opened(
    home: Path, store: storage.Storage, *, agency: str = "", closing: asyncio.Event | None = None
) -> AsyncIterator[Sealer | None]:
    """Open the sealer once no other process of this HOME seals; nothing where closing came first."""
    (home / "spool").mkdir(parents=True, exist_ok=True, mode=0o700)
    async with ingest.only_one(home / "seals" / "run.lock", closing or asyncio.Event()) as is_ours:
        if not is_ours:
            yield None
            return
        sealer = await asyncio.to_thread(Sealer, home, store, agency=agency)
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
    """Seal every so many seconds until closing, and once more then; the witness is shown what is new."""
    witness = witnesses.Witness(
        Path(chosen.witness_folder) if chosen.witness_folder else None,
        chosen.witness_command,
        chosen.witness_url,
        chosen.witness_key,
    )
    async with opened(home, store, agency=agency, closing=closing) as sealer:
        while sealer is not None:
            is_last = closing.is_set()
            try:
                await _show(witness, sealer, await sealer.step(now()))
            except errors.StorageUnavailable as exc:
                _log.error("the record cannot be sealed", extra={"why": exc.detail("en")})
            if is_last:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(closing.wait(), chosen.every_s)


async def _show(witness: witnesses.Witness, sealer: Sealer, notes: Iterable[str]) -> None:
    """Show the witness the newest of these checkpoints of each log."""
    newest = {note.partition("\n")[0]: note for note in notes if witness.is_set}
    for log in (sealer.access, sealer.admin):
        if log.verifier.name in newest:
            await witnesses.show(witness, log, newest[log.verifier.name])
