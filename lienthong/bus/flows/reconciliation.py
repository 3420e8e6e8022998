"""Reconciliation (đối soát): our book against the intermediaries' statements; a person closes each difference.

Closing never moves money. The one statement whose word does is the bank's, for transfers that nobody else tells
of, and only where a person imported or approved it (decision 0023).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.bus import events
from lienthong.bus.flows import reconciliation_compare, reconciliation_files, reconciliation_matching
from lienthong.bus.hub import Hub
from lienthong.core import clock, errors, journal, storage, tables
from lienthong.mappings import statement_shapes

_c, _l, _d = tables.reconciliations, tables.statement_lines, tables.reconciliation_differences
TIMETABLE = "timetable"
_SEAL = "statement"
_AT_ONCE = 5_000
# Statements come by the day or the month; what lies further apart is a slip in a date.
_LONGEST = timedelta(days=62)


@dataclass(frozen=True, slots=True)
class Statement:
    """A file as it is handed in. Without days it covers those of its lines."""

    provider: str
    raw: bytes = field(repr=False)
    file_name: str
    shape: statement_shapes.Shape
    encoding: str = "utf-8"
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a statement."""

    id: str
    state: str
    repeated: bool
    counts: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        """Give what `--json` prints."""
        return {"id": self.id, "state": self.state, "repeated": self.repeated, "counts": dict(self.counts)}


# ------------------------------------------------------------------------------------------------- imported


async def take(hub: Hub, given: Statement, *, by: str, reason: str) -> Outcome:
    """Take a statement in and compare; the same file again is the first one. Raises InvalidRequest.

    A statement that settles payments waits for a person where none handed it in, and for a second one where the
    settings ask for two.
    """
    if given.provider not in hub.settings.payments.providers:
        said = ", ".join(hub.settings.payments.providers)
        raise errors.InvalidRequest(
            f"no intermediary of this name; there are: {said}",
            detail_vi=f"Không có trung gian này; hiện có: {said}.",
        )
    digest = hashlib.sha256(given.raw).hexdigest()
    before = await _of_digest(hub, given.provider, digest)
    if before is not None:
        return await _again(hub, before, by=by)
    await _write(hub, given, digest, by=by, reason=reason)
    made = await _of_digest(hub, given.provider, digest)
    if made is None:
        raise errors.InternalFault(reason="a statement that was written is not there")
    return await _worked(hub, made)


async def _write(hub: Hub, given: Statement, digest: str, *, by: str, reason: str) -> None:
    """Read a statement and write it down with its lines, whole or not at all; one that is there stays as it is."""
    # In a thread: a month of a large city would hold everything else in this process for seconds.
    lines = await asyncio.to_thread(reconciliation_files.read, given.raw, given.shape, encoding=given.encoding)
    since, until = _days(given, lines, now=hub.now())
    number = clock.new_id()
    async with hub.storage.reading() as conn:
        rows = await reconciliation_matching.matched(hub, conn, given.provider, number, lines)
    async with hub.storage.transaction() as tx:
        written = await tx.execute(
            hub.storage.insert(_c)
            .values(
                id=number,
                provider=given.provider,
                source="statement",
                shape=given.shape.shape,
                state="waiting" if _waits(hub, given.provider, by=by) else "open",
                day_from=since,
                day_until=until,
                digest=digest,
                file_name=_plain_name(given.file_name),
                raw=hub.vault.seal(given.raw, purpose=_SEAL),
                counts={"lines": len(lines)},
                made_at=hub.now(),
                made_by=by[:100],
                reason=reason[:500],
            )
            .on_conflict_do_nothing()
            .returning(_c.c.id)
        )
        if written.first() is not None:
            for first in range(0, len(rows), _AT_ONCE):
                await tx.execute(_l.insert(), rows[first : first + _AT_ONCE])
            facts = {"provider": given.provider, "lines": len(lines)}
            await journal.write_act(
                tx, "reconcile.import", number, actor=by, now=hub.now(), reason=reason, after=facts
            )


def _waits(hub: Hub, provider: str, *, by: str) -> bool:
    chosen = hub.settings.payments
    return provider in chosen.statement_providers and (by == TIMETABLE or chosen.statement_two_people)


async def _again(hub: Hub, before: Mapping[str, Any], *, by: str) -> Outcome:
    """Take a file that is here already; a person who hands in what the timetable found stands for it."""
    if before["state"] == "waiting" and before["made_by"] == TIMETABLE and by != TIMETABLE:
        state = "waiting" if hub.settings.payments.statement_two_people else "open"
        async with hub.storage.transaction() as tx:
            await tx.execute(
                _c.update()
                .where(_c.c.id == before["id"], _c.c.state == "waiting", _c.c.made_by == TIMETABLE)
                .values(made_by=by[:100], state=state)
            )
            await journal.write_act(tx, "reconcile.import", before["id"], actor=by, now=hub.now())
        before = await one(hub, before["id"])
    done = await _worked(hub, before)
    return Outcome(done.id, done.state, repeated=True, counts=done.counts)


async def approve(hub: Hub, number: str, *, by: str) -> Outcome:
    """Let a waiting statement settle what it tells of. Raises NotGranted for the one who handed it in."""
    row = await one(hub, number)
    if row["state"] != "waiting":
        raise errors.Conflict(
            "this statement does not wait for an approval", detail_vi="Sao kê này không còn chờ duyệt."
        )
    is_same = by.strip().casefold() == row["made_by"].strip().casefold()
    if hub.settings.payments.statement_two_people and (is_same or row["made_by"] == TIMETABLE):
        raise errors.NotGranted(
            "another person than the one who hands the statement in must approve it",
            detail_vi="Người duyệt phải khác người đã nhập; sao kê do lịch tự đọc phải có người nhập trước.",
        )
    async with hub.storage.transaction() as tx:
        taken = await tx.execute(
            _c.update()
            .where(_c.c.id == number, _c.c.state == "waiting")
            .values(state="open", approved_at=hub.now(), approved_by=by[:100])
        )
        if taken.rowcount:
            await journal.write_act(tx, "reconcile.approve", number, actor=by, now=hub.now())
    return await _worked(hub, await one(hub, number))


async def resume(hub: Hub) -> int:
    """Finish what was taken in and not compared, because its process died; gives how many."""
    async with hub.storage.reading() as conn:
        rows = await storage.every(conn, sa.select(_c).where(_c.c.state == "open").order_by(_c.c.made_at))
    for row in rows:
        await _worked(hub, row)
    return len(rows)


async def _worked(hub: Hub, row: Mapping[str, Any]) -> Outcome:
    """Settle, ask and compare, where that is not done; each part may be done again."""
    if row["state"] == "open":
        counts = {**row["counts"], **await reconciliation_compare.run(hub, row)}
        async with hub.storage.transaction() as tx:
            await tx.execute(
                _c.update().where(_c.c.id == row["id"], _c.c.state == "open").values(state="done", counts=counts)
            )
        row = {**row, "state": "done", "counts": counts}
    return Outcome(row["id"], row["state"], repeated=False, counts=row["counts"])


def _days(given: Statement, lines: Sequence[reconciliation_files.Line], *, now: datetime) -> tuple[date, date]:
    """Say which days a statement covers. Raises InvalidRequest, naming the lines that cannot be of them.

    What we have of those days and no line tells of is a difference: one line of another year, and without days
    that were given, everything since would be one.
    """
    days = {line.number: line.occurred_at.astimezone(clock.VIETNAM).date() for line in lines}
    since = given.since or min(days.values(), default=None)
    until = given.until or max(days.values(), default=None)
    if since is None or until is None:
        raise errors.InvalidRequest(
            "the statement has no line: say which days it covers with --from and --to",
            detail_vi="Sao kê không có dòng nào: hãy nêu kỳ bằng --from và --to.",
        )
    if until < since:
        raise errors.InvalidRequest(
            "the last day lies before the first", detail_vi="Ngày cuối kỳ đứng trước ngày đầu kỳ."
        )
    tomorrow = now.astimezone(clock.VIETNAM).date() + timedelta(days=1)
    outside = [number for number, day in days.items() if not since <= day <= min(until, tomorrow)]
    if outside:
        raise errors.InvalidRequest(
            "lines lie outside the days of the statement",
            detail_vi="Có dòng nằm ngoài kỳ của sao kê.",
            problems=tuple(_outside(number) for number in outside[:50]),
        )
    if until - since > _LONGEST and None in (given.since, given.until):
        raise errors.InvalidRequest(
            f"the lines lie {(until - since).days} days apart: say which days are covered with --from and --to",
            detail_vi=f"Các dòng cách nhau {(until - since).days} ngày: hãy nêu kỳ bằng --from và --to.",
            problems=tuple(_outside(number) for number, day in days.items() if day == since)[:1],
        )
    return since, until


def _outside(number: int) -> errors.FieldProblem:
    return errors.FieldProblem(
        f"{number}:occurred_at", "Ngày không thuộc kỳ sao kê.", "The day is none of the statement's."
    )


def _plain_name(name: str) -> str:
    return "".join(it if it.isprintable() else "?" for it in name.replace("\\", "/").rpartition("/")[2])[:200]


async def _of_digest(hub: Hub, provider: str, digest: str) -> dict[str, Any] | None:
    wanted = sa.select(_c).where(_c.c.provider == provider, _c.c.digest == digest)
    async with hub.storage.reading() as conn:
        return await storage.first(conn, wanted)


# ---------------------------------------------------------------------------------------------- looked at


async def listed(hub: Hub, *, limit: int = 50) -> Sequence[Mapping[str, Any]]:
    """List what was compared, the newest first, without the files."""
    columns = [column for column in _c.c if column.name != "raw"]
    async with hub.storage.reading() as conn:
        return await storage.every(conn, sa.select(*columns).order_by(_c.c.made_at.desc(), _c.c.id).limit(limit))


async def one(hub: Hub, number: str) -> dict[str, Any]:
    """Give one comparison, without the file. Raises NotFound."""
    columns = [column for column in _c.c if column.name != "raw"]
    async with hub.storage.reading() as conn:
        found = await storage.first(conn, sa.select(*columns).where(_c.c.id == number))
    if found is None:
        raise errors.NotFound("no such reconciliation", detail_vi="Không có lần đối soát này.")
    return found


async def differences(
    hub: Hub,
    *,
    open_only: bool = True,
    provider: str | None = None,
    reconciliation: str | None = None,
    kind: str | None = None,
    limit: int = 1000,
) -> Sequence[Mapping[str, Any]]:
    """List differences, the oldest first."""
    wanted = sa.select(_d).order_by(_d.c.found_at, _d.c.id).limit(limit)
    if open_only:
        wanted = wanted.where(_d.c.closed_at.is_(None))
    chosen = {"provider": provider, "reconciliation_id": reconciliation, "kind": kind}
    for name, value in chosen.items():
        if value is not None:
            wanted = wanted.where(_d.c[name] == value)
    async with hub.storage.reading() as conn:
        return await storage.every(conn, wanted)


async def close(hub: Hub, number: str, *, by: str, reason: str) -> None:
    """Close a difference with a reason; no money moves. Raises NotFound, Conflict where it is closed."""
    async with hub.storage.transaction() as tx:
        row = await storage.first(tx, sa.select(_d).where(_d.c.id == number))
        if row is None:
            raise errors.NotFound("no such difference", detail_vi="Không có chênh lệch này.")
        closed = await tx.execute(
            _d.update()
            .where(_d.c.id == number, _d.c.closed_at.is_(None))
            .values(closed_at=hub.now(), closed_by=by[:100], reason=reason[:500])
        )
        if not closed.rowcount:
            raise errors.Conflict("this difference is closed", detail_vi="Chênh lệch này đã được khép.")
        before = {"kind": row["kind"], "ours_vnd": row["ours_vnd"], "theirs_vnd": row["theirs_vnd"]}
        await journal.write_act(
            tx, "reconcile.close", number, actor=by, now=hub.now(), reason=reason, before=before
        )
        await _announce(tx, hub, row)


async def _announce(tx: AsyncConnection, hub: Hub, row: Mapping[str, Any]) -> None:
    facts = {"kind": row["kind"], "provider": row["provider"]}
    await events.put(tx, "reconciliation.closed", row["id"], facts, now=hub.now())
