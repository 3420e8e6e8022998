"""What the seals page reads: the last checkpoint of each log, who countersigned it, and how verifying ended."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from lienthong.bus.hub import Hub
from lienthong.core import errors, journal, settings, storage, tables
from lienthong.monitoring import (
    checkpoints,
    day_files,
    log_check,
    sealed_log,
    seals,
    stamps,
    verification,
    witnesses,
)

_log = logging.getLogger("lienthong.console")
VERIFY = "journal.verify"
WAIT_S = 4.0
_SHOWN = 10
_FINDINGS = 20
_running: dict[Path, asyncio.Task[None]] = {}


@dataclass(frozen=True, slots=True)
class Sealed:
    """One log as its last checkpoint states it; `problem` where it cannot be trusted."""

    name: str
    size: int = 0
    number: int = 0
    at: datetime | None = None
    root: str = ""
    key: str = ""
    witnessed: int | None = None
    problem: str = ""


def logs(home: Path, language: str) -> list[Sealed]:
    """Read the last checkpoint of both logs; waits for the disk."""
    return [_sealed(home, name, language) for name in (seals.ACCESS, seals.ADMIN)]


def _sealed(home: Path, name: str, language: str) -> Sealed:
    folder = home / "seals" / name
    if not (folder / "verifier").exists():
        return Sealed(name)
    try:
        who = checkpoints.verifier((folder / "verifier").read_text(encoding="utf-8"))
        last = sealed_log.last_stated(folder, who)
    except (errors.StorageUnavailable, checkpoints.NotANote) as exc:
        said = exc.detail(language) if isinstance(exc, errors.HubError) else str(exc)
        return Sealed(name, problem=said)
    if last is None:
        return Sealed(name, key=who.text)
    return Sealed(
        name, last.size, last.number, last.at, last.root.hex(), who.text, witnesses.last_cosigned(folder)
    )


async def verifications(store: storage.Storage) -> list[dict[str, Any]]:
    """List how verifying ended the last times, the newest first."""
    table = tables.admin_acts
    asked = sa.select(table).where(table.c.act == VERIFY).order_by(table.c.number.desc()).limit(_SHOWN)
    async with store.reading() as conn:
        return await storage.every(conn, asked)


def is_running(home: Path) -> bool:
    """Whether somebody's verification goes on in this process."""
    return home in _running


async def verify(hub: Hub, *, actor: str, reason: str) -> bool:
    """Begin to verify everything, unless that goes on; gives whether it ended while we waited a moment."""
    home = hub.settings.home
    task = _running.get(home)
    if task is None:
        task = _running[home] = asyncio.create_task(
            _verified(hub, actor=actor, reason=reason), name="verify seals"
        )
        task.add_done_callback(lambda _done: _running.pop(home, None))
    done, _ = await asyncio.wait({task}, timeout=WAIT_S)
    return bool(done)


async def _verified(hub: Hub, *, actor: str, reason: str) -> None:
    try:
        report = await asyncio.to_thread(_checked, hub.settings)
    except errors.HubError as exc:
        report = log_check.Report()
        report.find("seals", vi=exc.detail("vi"), en=exc.detail("en"))
    facts = {
        "holds": report.holds,
        "checked": report.checked,
        "notes": report.notes,
        "findings": [[it.where, it.vi, it.en] for it in report.findings[:_FINDINGS]],
        "more": report.more + max(0, len(report.findings) - _FINDINGS),
    }
    outcome = "done" if report.holds else "does_not_hold"
    if not report.holds:
        _log.error("the record does not hold against its seals", extra={"where": report.findings[0].where})
    async with hub.storage.transaction() as tx:
        await journal.write_act(
            tx, VERIFY, "seals", actor=actor, now=hub.now(), reason=reason, after=facts, outcome=outcome
        )


def _checked(chosen: settings.Settings) -> log_check.Report:
    """Verify in this thread, with a connection of its own: the desks go on answering meanwhile."""
    return asyncio.run(_check(chosen))


async def _check(chosen: settings.Settings) -> log_check.Report:
    home, store = chosen.home, storage.Storage(chosen.database_url)
    try:
        days = verification.Days(day_files.Archive(home / "record"))
        report = await verification.verify(home, store, days=days)
    finally:
        await store.close()
    if chosen.seals.witness_folder:
        verification.compare(home, Path(chosen.seals.witness_folder), report)
    for name in (seals.ACCESS, seals.ADMIN):
        if (home / "seals" / name / "verifier").exists():
            log = log_check.read_log(home, name, seals.signer(home).public, log_check.Report())
            if log is not None:
                stamps.look(home / "seals" / name, log.notes, stamps.authority(chosen.seals), report)
    return report
