"""The procedure sync: list, guard, fetch what is new or changed, write by batches, withdraw what is gone.

One run at a time; a run that was killed is taken up again; a list that cannot be whole changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from lienthong.bus import events
from lienthong.bus.flows import procedure_guards, procedure_source, procedure_versions, sync_runs
from lienthong.connectors import roles
from lienthong.core import errors, records

if TYPE_CHECKING:
    from lienthong.bus.hub import Hub

One = TypeVar("One")
Other = TypeVar("Other")

_log = logging.getLogger("lienthong.sync")
PATIENCE_S = 120.0
WITHDRAWN_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: `phase` is `list`, `details` or `close`; `total` is 0 while it is not known."""

    phase: str
    done: int
    total: int
    counts: sync_runs.Counts


@dataclass(slots=True)
class _Sync:
    """One run at work: what it talks to, what it knows, and the batch it is filling."""

    hub: Hub
    run: sync_runs.Run
    source: roles.ProcedureCatalogue
    line: procedure_source.Line
    report: Callable[[Progress], None]
    listed: dict[str, records.ListedProcedure] = field(default_factory=dict)
    known: dict[str, procedure_versions.Known] = field(default_factory=dict)
    batch: list[procedure_versions.Prepared] = field(default_factory=list)
    failures: list[sync_runs.Item] = field(default_factory=list)
    again: list[records.ListedProcedure] = field(default_factory=list)
    silent: errors.HubError | None = None
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    done: int = 0
    total: int = 0

    def tell(self, phase: str) -> None:
        self.report(Progress(phase, self.done, self.total, replace(self.run.counts)))


async def run(
    hub: Hub,
    *,
    source: str | None = None,
    full: bool = False,
    dry_run: bool = False,
    accept_smaller: bool = False,
    progress: Callable[[Progress], None] | None = None,
    patience_s: float = PATIENCE_S,
) -> sync_runs.RunReport:
    """Bring the catalogue to what its source publishes.

    `full` fetches every detail, also where the source says that it has not changed. `accept_smaller` is an
    operator's word that a list which was held is right; an empty list is never taken. `patience_s` is how long a
    source may be silent as a whole before the run is interrupted; the next one goes on where it stopped.

    Raises Conflict while another run is under way, and the error of the source where it could not be read.
    """
    started = time.perf_counter()
    name = source or hub.settings.sync.source
    connector = hub.system(name)
    if not isinstance(connector, roles.ProcedureCatalogue):
        raise errors.Misconfigured(
            f"the system {name} does not publish procedures",
            detail_vi=f"Hệ thống {name} không cung cấp danh mục thủ tục.",
        )
    line = procedure_source.Line(connector, patience_s=patience_s)
    async with _opened(hub, name, full=full, dry_run=dry_run) as current:
        work = _Sync(hub, current, connector, line, progress or (lambda _: None))
        hold = await _carry_out(work, accept_smaller=accept_smaller)
        await _finish(work, hold)
    took_s = time.perf_counter() - started
    _log.info("procedure sync ended", extra={"source": name, "held": bool(hold), "took_s": round(took_s, 1)})
    return sync_runs.RunReport(
        run_id=current.id,
        source=name,
        counts=current.counts,
        held=hold.vi if hold else False,
        held_en=hold.en if hold else "",
        took_s=took_s,
        note=current.note("vi"),
        resumed=current.resumed,
        dry_run=dry_run,
        items=tuple(current.items),
    )


@asynccontextmanager
async def _opened(hub: Hub, source: str, *, full: bool, dry_run: bool) -> AsyncIterator[sync_runs.Run]:
    """Open the run under its lease; whatever ends it early leaves it ready to be taken up again."""
    if dry_run:
        yield sync_runs.Run("dry-run", source, full, hub.owner, hub.now(), dry_run=True)
        return
    async with sync_runs.alone(hub) as owner:
        current = await sync_runs.begin(hub, source=source, full=full, owner=owner)
        try:
            yield current
        except BaseException as exc:
            await asyncio.shield(sync_runs.interrupt(hub, current, exc))
            raise


async def _carry_out(work: _Sync, *, accept_smaller: bool) -> sync_runs.Hold | None:
    """List, guard and fetch; gives the reason where the run must not go on to withdraw anything."""
    hub, current = work.hub, work.run
    work.tell("list")
    rows, last = await _together(work.line.list_procedures(), _read_known(work))
    work.listed, duplicates = procedure_guards.distinct(rows)
    current.counts.seen = len(work.listed)
    hold = procedure_guards.check_list(
        listed=work.listed,
        duplicates=len(duplicates),
        active=_active(work),
        last_accepted=last,
        chosen=hub.settings.sync,
        accept_smaller=accept_smaller,
    )
    if hold is not None:
        return hold
    await _note_list(work, duplicates)
    if current.dry_run:
        return await _fetch_all(work)
    found, _ = await _together(_fetch_all(work), _keep_lists(work))
    return found


def _active(work: _Sync) -> set[str]:
    source = work.run.source
    return {code for code, held in work.known.items() if held.is_active and held.source == source}


async def _read_known(work: _Sync) -> int | None:
    """Read codes and digests of what is held; gives the length of the last list that was taken whole."""
    async with work.hub.storage.reading() as conn:
        work.known = await procedure_versions.read_known(conn)
        return await sync_runs.last_accepted(conn, work.run.source)


async def _together(one: Coroutine[Any, Any, One], other: Coroutine[Any, Any, Other]) -> tuple[One, Other]:
    """Do two things at a time; both come to their end before the failure of either is raised."""
    first, second = await asyncio.gather(one, other, return_exceptions=True)
    if isinstance(first, BaseException):
        raise first
    if isinstance(second, BaseException):
        raise second
    return first, second


async def _keep_lists(work: _Sync) -> None:
    """Store the lists of agencies and fields; the run goes on without them, and says so."""
    agencies: Sequence[records.AgencyRow] = ()
    fields: Sequence[records.FieldRow] = ()
    try:
        agencies = await work.source.list_agencies()
        fields = await work.source.list_fields()
    except (errors.RemoteError, errors.MappingError) as exc:
        vi = f"Không đọc đủ danh mục cơ quan, lĩnh vực: {exc.detail('vi')}"
        en = f"The lists of agencies and fields were not read in full: {exc.detail('en')}"
        work.run.notes.append(sync_runs.Note(vi, en))
        _log.warning("the lists of agencies and fields could not be read", extra={"code": exc.code})
    if not agencies and not fields:
        return
    now = work.hub.now()
    async with work.hub.storage.transaction() as tx:
        await sync_runs.still_ours(tx, work.run, now=now)
        await procedure_versions.store_lists(tx, agencies=agencies, fields=fields, now=now)


# --------------------------------------------------------------------------------------------------- fetching


async def _fetch_all(work: _Sync) -> sync_runs.Hold | None:
    current = work.run
    todo = [row for code, row in work.listed.items() if code not in current.settled]
    wanted = [row for row in todo if not _is_unchanged(work, row)]
    current.counts.unchanged += len(todo) - len(wanted)
    work.done, work.total = len(work.listed) - len(wanted), len(work.listed)
    work.tell("details")
    await _fetch(work, wanted, is_last=False)
    # Trouble that may have passed by now; what fails again has failed.
    again, work.again = work.again, []
    await _fetch(work, again, is_last=True)
    await _write(work)
    return procedure_guards.check_failures(
        failed=current.counts.failed, fetched=len(wanted), chosen=work.hub.settings.sync
    )


def _is_unchanged(work: _Sync, row: records.ListedProcedure) -> bool:
    """Whether the source itself says that this is the version that is held."""
    held = work.known.get(row.code.strip())
    if work.run.full or held is None or not row.fingerprint:
        return False
    mark = procedure_versions.fits(row.fingerprint, 64)
    return held.is_active and held.source == work.run.source and held.fingerprint == mark


async def _fetch(work: _Sync, wanted: Sequence[records.ListedProcedure], *, is_last: bool) -> None:
    """Fetch several at a time; where the source falls silent, everybody stops and what has come is written."""
    queue = iter(wanted)
    workers = min(work.hub.settings.sync.concurrency, len(wanted))
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(_fetch_from(work, queue, is_last=is_last))
    except* errors.HubError as failures:
        failure: errors.HubError | None = _first(failures)
    else:
        failure = work.silent
        if failure is not None:
            await _write(work)
    if failure is not None:
        raise failure


def _first(group: BaseExceptionGroup[errors.HubError]) -> errors.HubError:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


async def _fetch_from(work: _Sync, queue: Iterator[records.ListedProcedure], *, is_last: bool) -> None:
    for row in queue:
        if work.silent is not None:
            return
        try:
            fetched = await work.line.get_procedure(row)
            known = work.known.get(row.code.strip())
            ready = procedure_versions.prepare(row, fetched, source=work.run.source, known=known)
        except procedure_source.Silent as silent:
            work.silent = silent.error
            return
        except (errors.RemoteError, errors.MappingError) as exc:
            if exc.retry and not is_last:
                work.again.append(row)
                continue
            work.failures.append(sync_runs.failure(row, exc))
        except (ValueError, TypeError) as exc:
            work.failures.append(sync_runs.failure(row, procedure_source.unreadable(row, exc)))
        else:
            work.batch.append(ready)
        work.done += 1
        work.tell("details")
        if len(work.batch) + len(work.failures) >= work.hub.settings.sync.batch:
            await _write(work)


async def _write(work: _Sync) -> None:
    """Write what was gathered, in one transaction; whoever fills a batch writes it while others go on."""
    async with work.writing:
        batch, work.batch = work.batch, []
        failures, work.failures = work.failures, []
        if not batch and not failures:
            return
        current = work.run
        current.counts.fetched += len(batch)
        if current.dry_run:
            async with work.hub.storage.reading() as conn:
                changes = await procedure_versions.changes_of(
                    conn, [item for item in batch if item.text is not None]
                )
            items = [procedure_versions.as_item(item, changes.get(item.code, [])) for item in batch]
            sync_runs.note_items(current, [*items, *failures])
            return
        packed = await procedure_versions.pack(batch)
        async with work.hub.storage.transaction() as tx:
            await sync_runs.still_ours(tx, current, now=work.hub.now())
            items = await procedure_versions.write(tx, work.hub, current, batch=batch, packed=packed)
            await sync_runs.add_items(tx, current, [*items, *failures])


async def _note_list(work: _Sync, duplicates: Sequence[records.ListedProcedure]) -> None:
    """Name the rows that others stand for, and take back what a resumed run settled of rows now gone."""
    current = work.run
    items = [sync_runs.duplicate(row, number) for number, row in enumerate(duplicates, start=1)]
    if current.dry_run:
        sync_runs.note_items(current, items)
        return
    left = current.settled.keys() - work.listed.keys()
    if not items and not left:
        return
    async with work.hub.storage.transaction() as tx:
        await sync_runs.still_ours(tx, current, now=work.hub.now())
        await sync_runs.forget(tx, current, left)
        await sync_runs.add_items(tx, current, items)


# ---------------------------------------------------------------------------------------------------- closing


async def _finish(work: _Sync, hold: sync_runs.Hold | None) -> None:
    """Withdraw what is gone from the list and close the run, or close it as held."""
    hub, current, now = work.hub, work.run, work.hub.now()
    gone = [] if hold else sorted(_active(work) - work.listed.keys())
    if current.dry_run:
        sync_runs.note_items(current, [sync_runs.Item(code, "withdrawn", {}) for code in gone])
        return
    async with hub.storage.transaction() as tx:
        await sync_runs.still_ours(tx, current, now=now)
        for start in range(0, len(gone), WITHDRAWN_AT_ONCE):
            codes = gone[start : start + WITHDRAWN_AT_ONCE]
            await sync_runs.add_items(tx, current, await procedure_versions.withdraw(tx, current, codes, now=now))
        if hold is not None:
            facts = {"source": current.source, "run_id": current.id, "vi": hold.vi, "en": hold.en, **hold.facts}
            await events.put(tx, "procedures.sync_held", current.source, facts, now=now)
        await sync_runs.close(tx, current, "held" if hold else "done", now=now, hold=hold)
    work.tell("close")
