"""The book of the procedure sync: one run at a time, what a run has settled, and going on after a kill."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.bus import leases
from lienthong.core import clock, errors, records, tables

if TYPE_CHECKING:
    from lienthong.bus.hub import Hub

_log = logging.getLogger("lienthong.sync")
_r = tables.sync_runs
_i = tables.sync_items

LONGEST_CODE = 60
LEASE = "sync:procedures"
LEASE_S = 10.0
# What was settled longer ago than this may have changed over there; the run is begun anew.
RESUMABLE = timedelta(hours=12)
# Outcome of a mark: many procedures to a row that were fetched and found unchanged, for a run that is resumed.
UNCHANGED = "unchanged"

# What a person did about a run; the note is theirs.
_SETTLED_BY_PERSONS = ("abandoned", "undone")

State = Literal["running", "interrupted", "abandoned", "held", "failed", "done"]


@dataclass(slots=True)
class Counts:
    """What a run did, by procedure; `duplicates` are rows of the list that another row stood for."""

    seen: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    withdrawn: int = 0
    failed: int = 0
    duplicates: int = 0
    fetched: int = 0

    def add(self, outcome: str, number: int = 1) -> None:
        """Count an outcome of sync_items."""
        name = {"duplicate": "duplicates"}.get(outcome, outcome)
        setattr(self, name, getattr(self, name) + number)


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a run was stopped before it could do harm."""

    vi: str
    en: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Item:
    """What one run did with one procedure."""

    code: str
    outcome: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunReport:
    """How a run ended. `items` is filled for a dry run only; of a real one, ask `sync_report.report`."""

    run_id: str
    source: str
    counts: Counts
    held: str | Literal[False]
    took_s: float
    held_en: str = ""
    note: str = ""
    resumed: bool = False
    dry_run: bool = False
    items: tuple[Item, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Give the object that `lienthong sync procedures --json` prints."""
        counts = asdict(self.counts)
        names = ("seen", "new", "changed", "unchanged", "withdrawn", "failed")
        return {
            "run_id": self.run_id,
            "source": self.source,
            **{name: counts[name] for name in names},
            "held": self.held,
            "took_s": round(self.took_s, 3),
        }


class Note(NamedTuple):
    """Something to be said of a run, in both languages."""

    vi: str
    en: str


@dataclass(slots=True)
class Run:
    """A run under way; `settled` holds the outcomes that an interruption left standing."""

    id: str
    source: str
    full: bool
    owner: str
    started_at: datetime
    resumed: bool = False
    dry_run: bool = False
    counts: Counts = field(default_factory=Counts)
    settled: dict[str, str] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def note(self, language: str) -> str:
        """Give what there is to say of the run, in one line."""
        return " ".join(getattr(each, language) for each in self.notes)


# ---------------------------------------------------------------------------------------------- one at a time


@contextlib.asynccontextmanager
async def alone(hub: Hub) -> AsyncIterator[str]:
    """Hold the lease of the sync, renewed while the block runs; gives the name it is held under.

    Raises Conflict saying who runs and since when. The lease is given back where the run is closed; when the
    process dies, it runs out by itself.
    """
    owner = f"{hub.owner}/{os.urandom(3).hex()}"
    if not await leases.take(hub.storage, LEASE, owner=owner, now=hub.now(), for_s=LEASE_S):
        raise await _taken(hub)
    keeper = asyncio.create_task(_keep(hub, owner), name="sync lease")
    try:
        yield owner
    finally:
        keeper.cancel()


async def _keep(hub: Hub, owner: str) -> None:
    while True:
        await asyncio.sleep(LEASE_S / 4)
        try:
            if not await leases.take(hub.storage, LEASE, owner=owner, now=hub.now(), for_s=LEASE_S):
                return  # the next batch finds out, and stops the run
        except errors.StorageUnavailable:
            _log.warning("the lease of the sync could not be renewed; trying again")


async def _taken(hub: Hub) -> errors.Conflict:
    holder = await leases.holder(hub.storage, LEASE, now=hub.now())
    wanted = sa.select(_r.c.started_at).where(_r.c.state == "running").order_by(_r.c.started_at.desc()).limit(1)
    async with hub.storage.reading() as conn:
        since: datetime | None = (await conn.execute(wanted)).scalar()
    at = f"{since.astimezone(clock.VIETNAM):%H:%M:%S %d/%m/%Y}" if since else "?"
    return errors.Conflict(
        f"a procedure sync is already running, by {holder} since {at}; it must end first",
        detail_vi=f"Đang có một lần đồng bộ thủ tục chạy ở {holder} từ {at}; hãy chờ lần đó kết thúc.",
        holder=holder,
    )


async def still_ours(tx: AsyncConnection, run: Run, *, now: datetime) -> None:
    """Renew the lease inside the caller's transaction, so that a run that lost it writes nothing more."""
    lease = tables.leases
    renewed = await tx.execute(
        lease.update()
        .where(lease.c.name == LEASE, lease.c.owner == run.owner)
        .values(until=now + timedelta(seconds=LEASE_S))
    )
    if renewed.rowcount != 1:
        raise errors.Conflict(
            "another procedure sync has taken over from this one",
            detail_vi="Một lần đồng bộ khác đã tiếp quản lần này.",
            run_id=run.id,
        )


# ------------------------------------------------------------------------------------- opening and closing


async def begin(hub: Hub, *, source: str, full: bool, owner: str) -> Run:
    """Open a run, or take up the interrupted one of the same source and kind.

    Called with the lease held: whoever is still written down as running is dead.
    """
    now = hub.now()
    async with hub.storage.transaction() as tx:
        left = (await tx.execute(sa.select(_r).where(_r.c.state.in_(("running", "interrupted"))))).mappings().all()
        same = [row for row in left if row["source"] == source and row["full"] == full]
        fresh = [row for row in same if now - row["started_at"] < RESUMABLE]
        chosen = max(fresh, key=lambda row: row["started_at"], default=None)
        others = [row["id"] for row in left if chosen is None or row["id"] != chosen["id"]]
        await tx.execute(_r.update().where(_r.c.id.in_(others)).values(state="abandoned", finished_at=now))
        if chosen is not None:
            return await _resumed(tx, chosen, owner)
        run = Run(id=clock.new_id(), source=source, full=full, owner=owner, started_at=now)
        await tx.execute(
            _r.insert().values(id=run.id, source=source, full=full, state="running", started_at=now, counts={})
        )
        return run


async def _resumed(tx: AsyncConnection, row: sa.RowMapping, owner: str) -> Run:
    run = Run(row["id"], row["source"], row["full"], owner, row["started_at"], resumed=True)
    await tx.execute(_r.update().where(_r.c.id == run.id).values(state="running", finished_at=None))
    # These are found anew from the list.
    again = _i.c.outcome.in_(("failed", "duplicate"))
    await tx.execute(_i.delete().where(_i.c.run_id == run.id, again))
    for item in (await tx.execute(sa.select(_i).where(_i.c.run_id == run.id))).mappings():
        codes = item["detail"]["codes"] if item["outcome"] == UNCHANGED else [item["code"]]
        run.settled |= dict.fromkeys(codes, item["outcome"])
    for outcome in run.settled.values():
        run.counts.add(outcome)
    run.counts.fetched = len(run.settled)
    return run


async def forget(tx: AsyncConnection, run: Run, codes: Collection[str]) -> None:
    """Take back what an interrupted run had settled of procedures that have since left the list."""
    for code in codes:
        run.counts.add(run.settled.pop(code), -1)
        await tx.execute(_i.delete().where(_i.c.run_id == run.id, _i.c.code == code))


async def close(tx: AsyncConnection, run: Run, state: State, *, now: datetime, hold: Hold | None = None) -> None:
    """Write how a run ended and give its lease back; the marks of what was unchanged are of no more use."""
    counts: dict[str, Any] = asdict(run.counts)
    if hold is not None:
        counts["held_en"] = hold.en
    if run.notes:
        counts["note_en"] = run.note("en")[:500]
    if state != "interrupted":
        await tx.execute(_i.delete().where(_i.c.run_id == run.id, _i.c.outcome == UNCHANGED))
    await tx.execute(
        _r.update()
        .where(_r.c.id == run.id)
        .values(
            state=state,
            finished_at=now,
            counts=counts,
            held=hold.vi[:500] if hold else None,
            note=run.note("vi")[:500] or None,
        )
    )
    lease = tables.leases
    await tx.execute(lease.delete().where(lease.c.name == LEASE, lease.c.owner == run.owner))


async def interrupt(hub: Hub, run: Run, cause: BaseException) -> None:
    """Leave a run so that the next one can take it up; one that has settled nothing is simply over.

    Where not even this can be written, the lease runs out and tells the same.
    """
    if isinstance(cause, errors.HubError):
        run.notes.append(Note(cause.detail("vi"), cause.detail("en")))
    else:
        run.notes.append(Note(type(cause).__name__, type(cause).__name__))
    has_settled = run.counts.fetched > 0
    with contextlib.suppress(errors.HubError):
        async with hub.storage.transaction() as tx:
            await still_ours(tx, run, now=hub.now())
            await close(tx, run, "interrupted" if has_settled else "failed", now=hub.now())


def failure(listed: records.ListedProcedure, exc: errors.HubError) -> Item:
    """Keep what went wrong with one procedure; the run goes on."""
    detail = {
        "name": listed.name,
        "code": exc.code,
        "vi": exc.detail("vi"),
        "en": exc.detail("en"),
        "retry": exc.retry,
    }
    return Item(_key(listed.code.strip() or "(?)"), "failed", detail)


def duplicate(listed: records.ListedProcedure, number: int) -> Item:
    """Name a row of the list that another row with the same code stands for."""
    return Item(_key(f"#{number} {listed.code}"), "duplicate", {"code": listed.code, "name": listed.name})


def _key(code: str) -> str:
    """Make a key of any code: what is too long to be one is told apart by a digest."""
    clean = code.replace("\x00", "")
    if len(clean) <= LONGEST_CODE:
        return clean
    return f"{clean[: LONGEST_CODE - 9]}~{hashlib.sha256(clean.encode()).hexdigest()[:8]}"


def note_items(run: Run, items: list[Item]) -> None:
    """Keep what a dry run would have written."""
    for item in items:
        run.counts.add(item.outcome)
    run.items += [item for item in items if item.outcome != UNCHANGED]


async def add_items(tx: AsyncConnection, run: Run, items: list[Item]) -> None:
    """Write down what was done with some procedures, in the transaction in which it was done."""
    for item in items:
        run.counts.add(item.outcome)
    rows = [
        {"run_id": run.id, "code": item.code, "outcome": item.outcome, "detail": item.detail}
        for item in items
        if item.outcome != UNCHANGED
    ]
    unchanged = [item.code for item in items if item.outcome == UNCHANGED]
    if unchanged:
        mark = {"code": f"*{clock.new_id()}", "outcome": UNCHANGED, "detail": {"codes": unchanged}}
        rows.append({"run_id": run.id, **mark})
    if rows:
        await tx.execute(_i.insert(), rows)


async def last_accepted(conn: AsyncConnection, source: str) -> int | None:
    """Say how many procedures the last list of this source held that was taken as whole."""
    wanted = sa.select(_r.c.counts).where(_r.c.source == source, _r.c.state == "done")
    counts = (await conn.execute(wanted.order_by(_r.c.started_at.desc()).limit(1))).scalar()
    return int(counts["seen"]) if counts else None


def why(run: Mapping[str, Any]) -> dict[str, str]:
    """Say in both languages why a run was held, or what there is to say of it; a person's own words are in one."""
    counts = run["counts"] or {}
    vi = run["held"] or run["note"] or ""
    is_persons = not run["held"] and run["state"] in _SETTLED_BY_PERSONS
    en = counts.get("held_en" if run["held"] else "note_en") or ""
    return {"vi": vi, "en": vi if is_persons else en or vi}
