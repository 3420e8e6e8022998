"""The daily reconciliation: ask about what only a callback told of, and take the statements of a folder."""

from __future__ import annotations

import asyncio
import hashlib
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from lienthong.bus import events
from lienthong.bus.flows import (
    payment_records,
    payment_settlement,
    reconciliation,
    reconciliation_compare,
    reconciliation_files,
    reconciliation_states,
)
from lienthong.bus.hub import Hub
from lienthong.connectors import roles
from lienthong.core import clock, errors, money, storage, tables
from lienthong.mappings import statement_shapes

_p, _c = tables.payments, tables.reconciliations
_BACK = timedelta(days=7)
_AT_ONCE = 2_000
_FILES_AT_ONCE = 200
_REFUSED = "reconcile.refused"


@dataclass(slots=True)
class Report:
    """What one run did."""

    resumed: int = 0
    asked: int = 0
    confirmed: int = 0
    silent: int = 0
    files: int = 0
    refused: list[str] = field(default_factory=list)
    waiting: int = 0
    differences: int = 0


async def run(hub: Hub) -> Report:
    """Do the work of a day. Safe to repeat, and after days on which nobody ran it."""
    report = Report(resumed=await reconciliation.resume(hub))
    for provider in hub.settings.payments.providers:
        await _by_queries(hub, provider, report)
    await _folder(hub, report)
    return report


# ------------------------------------------------------------------------------------------------- queries


async def _by_queries(hub: Hub, provider: str, report: Report) -> None:
    """Ask about the payments up to yesterday that no second source has confirmed."""
    intermediary = hub.systems.get(provider)
    # A carrier that took cash tells of it in its feed; it is nobody to ask about payments.
    if not isinstance(intermediary, roles.PaymentProvider) or isinstance(intermediary, roles.PostalCarrier):
        return
    today = reconciliation_compare.begins(hub.now().astimezone(clock.VIETNAM).date())
    wanted = (
        sa.select(_p)
        .where(
            _p.c.provider == provider,
            _p.c.settled_by == "callback",
            _p.c.confirmed_at.is_(None),
            _p.c.settled_at < today,
            _p.c.settled_at >= today - _BACK,
        )
        .order_by(_p.c.settled_at)
        .limit(_AT_ONCE)
    )
    async with hub.storage.reading() as conn:
        rows = await storage.every(conn, wanted)
    found: list[reconciliation_states.Difference] = []
    before = report.asked
    for row in rows:
        try:
            found += await _ask(hub, intermediary, row, report)
        except errors.NotOffered:
            return
    if report.asked > before:
        days = [row["settled_at"].astimezone(clock.VIETNAM).date() for row in rows]
        counts = {"asked": report.asked - before, "differences": len(found)}
        report.differences += await _written(hub, provider, (min(days), max(days)), counts, found)


async def _ask(
    hub: Hub, intermediary: roles.PaymentProvider, row: Mapping[str, Any], report: Report
) -> list[reconciliation_states.Difference]:
    """Ask about one attempt; its word counts as any other does. Raises NotOffered."""
    try:
        news = await intermediary.query(payment_records.order(hub, row))
    except errors.NotOffered:
        raise
    except errors.HubError:
        report.silent += 1
        return []
    if news.reference != row["reference"]:
        report.silent += 1
        return []
    report.asked += 1
    await payment_settlement.settle(hub, row["provider"], news, how="query")
    return await _compared(hub, row, news, report)


async def _compared(
    hub: Hub, row: Mapping[str, Any], news: money.PaymentNews, report: Report
) -> list[reconciliation_states.Difference]:
    if row["refunded_vnd"] and news.state == "reversed":
        # Money that was given back on our own asking is no contradiction.
        return []
    difference = reconciliation_states.of_word(
        row, state=news.state, amount_vnd=news.amount_vnd, number=news.provider_reference, now=hub.now()
    )
    if difference is not None:
        return [difference]
    report.confirmed += 1
    async with hub.storage.transaction() as tx:
        await reconciliation_compare.confirm(hub, tx, [row["id"]], by="query")
    return []


async def _written(
    hub: Hub,
    provider: str,
    days: tuple[date, date],
    counts: dict[str, int],
    found: list[reconciliation_states.Difference],
) -> int:
    number, now = clock.new_id(), hub.now()
    async with hub.storage.transaction() as tx:
        await tx.execute(
            _c.insert().values(
                id=number,
                provider=provider,
                source="queries",
                shape="",
                state="done",
                day_from=days[0],
                day_until=days[1],
                digest=f"queries:{number}",
                file_name="",
                counts=counts,
                made_at=now,
                made_by=reconciliation.TIMETABLE,
                reason="",
            )
        )
        return await reconciliation_compare.write(hub, tx, number, provider, found)


# -------------------------------------------------------------------------------------------------- folder


async def _folder(hub: Hub, report: Report) -> None:
    """Take the files of the folder, `<contract>/<file>`; none is moved or changed, and each is taken once."""
    folder = hub.settings.payments.statements_folder
    if not folder:
        return
    for provider in hub.settings.payments.providers:
        for path in await asyncio.to_thread(_files, Path(folder) / provider):
            await _take(hub, provider, path, report)


async def _take(hub: Hub, provider: str, path: Path, report: Report) -> None:
    try:
        raw = await asyncio.to_thread(path.read_bytes)
        shape = statement_shapes.named(statement_shapes.OF_PROVIDER.get(provider, "neutral"))
        given = reconciliation.Statement(provider, raw, path.name, shape)
        done = await reconciliation.take(hub, given, by=reconciliation.TIMETABLE, reason="")
    except (errors.CallerError, OSError) as refused:
        report.refused.append(path.name)
        await _note_refused(hub, provider, path.name, type(refused).__name__)
        return
    if done.repeated:
        return
    report.files += 1
    report.waiting += done.state == "waiting"
    report.differences += done.counts.get("differences", 0)


async def _note_refused(hub: Hub, provider: str, name: str, why: str) -> None:
    """Tell of a file that cannot be taken, once; a person sees why by importing it with the command."""
    # The name is the operator's and may be anything: it stands in the outcome of the job, not in an event.
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    facts, subject = {"provider": provider, "why": why}, f"{provider}/{digest}"
    async with hub.storage.transaction() as tx:
        known = sa.select(tables.events.c.id).where(
            tables.events.c.kind == _REFUSED, tables.events.c.subject == subject
        )
        if await storage.first(tx, known.limit(1)) is None:
            await events.put(tx, _REFUSED, subject, facts, now=hub.now())


def _files(folder: Path) -> list[Path]:
    """Name the statements of a folder; a link may lead anywhere and is left out."""
    try:
        every = sorted(folder.iterdir())
    except OSError:
        return []
    found = []
    for path in every:
        told = path.lstat()
        is_statement = path.suffix.lower() in (".csv", ".xlsx") and stat.S_ISREG(told.st_mode)
        if is_statement and told.st_size <= reconciliation_files.LIMITS.bytes:
            found.append(path)
    return found[:_FILES_AT_ONCE]
