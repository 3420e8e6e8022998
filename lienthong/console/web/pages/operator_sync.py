"""Runs of the procedure sync: counts, what differs with old and new side by side, accept, keep, take back, run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response

from lienthong.bus import leases, timetable
from lienthong.bus.flows import procedure_sync, sync_report, sync_runs, sync_undo
from lienthong.bus.hub import Hub
from lienthong.connectors import roles
from lienthong.console.web import operator_acts
from lienthong.console.web.listing import Column, Listing
from lienthong.console.web.pages import catalogue_pages
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.core import errors, journal, storage, tables

routes = Routes()
_log = logging.getLogger("lienthong.console")
_r, _i = tables.sync_runs, tables.sync_items
_PAGE = 50
_RUNS = 100
_PARTS = ("changed", "new", "withdrawn", "failed", "duplicate")
_COLUMNS = (
    Column("started_at", "sync.started", "ago", link="href"),
    Column("source", "sync.source"),
    Column("state", "sync.state", "chip", area="sync_states"),
    *(Column(name, f"sync.{name}", "number") for name in ("seen", "new", "changed", "withdrawn", "failed")),
    Column("took", "sync.took", "span"),
    Column("said", "sync.note"),
)
_LINES = (
    Column("code", "sync.code", "code", link="procedure"),
    Column("name", "sync.name"),
    Column("said", "sync.why"),
)
# Runs that this process carries out: kept, or they would be forgotten half done.
_running: set[asyncio.Task[None]] = set()


@routes.page("sync")
async def show(visit: Visit) -> Response:
    """List the runs, the newest first."""
    found = await sync_report.latest(visit.hub, _RUNS)
    listing = Listing("sync", _COLUMNS, [_row(visit, row) for row in found], visit.path, visit.query)
    names = [name for name, system in visit.hub.systems.items() if isinstance(system, roles.ProcedureCatalogue)]
    planned = visit.hub.settings.timetable.get("procedure_sync", "")
    sources = [(name, visit.words.of("systems", name)) for name in names]
    return visit.listed(
        listing,
        "operator/sync.html",
        sources=sources,
        usual=visit.hub.settings.sync.source,
        next_run=timetable.next_after(planned, visit.now) if planned else None,
        holder=await leases.holder(visit.hub.storage, sync_runs.LEASE, now=visit.now),
    )


def _row(visit: Visit, row: Mapping[str, Any]) -> dict[str, Any]:
    counts = row["counts"] or {}
    ended = row["finished_at"]
    return {
        "started_at": row["started_at"],
        "source": visit.words.of("systems", row["source"]),
        "state": row["state"],
        **{name: counts.get(name) for name in ("seen", "new", "changed", "withdrawn", "failed")},
        "took": ended - row["started_at"] if ended else None,
        "said": _why(visit, row),
        "href": visit.link("sync.one", None, id=row["id"]),
    }


def _why(visit: Visit, row: Mapping[str, Any]) -> str:
    """Say why a run ended as it did; where it waits for a person, also what to do."""
    told = sync_runs.why(row)[visit.words.language]
    return f"{told} {visit.words('sync.held_next')}".strip() if row["state"] == "held" else told


@routes.page("sync.one")
async def one(visit: Visit) -> Response:
    """Show one run: its counts, and one kind of what it did with old and new beside each other."""
    run_id = visit.param("id")
    async with visit.hub.storage.reading() as conn:
        run = await storage.first(conn, sa.select(_r).where(_r.c.id == run_id))
        if run is None:
            raise errors.NotFound("there is no such sync run", detail_vi="Không có lần đồng bộ này.")
        newest = sa.select(_r.c.id).where(_r.c.source == run["source"]).order_by(_r.c.started_at.desc())
        last = (await conn.execute(newest.limit(1))).scalar()
        done = (await conn.execute(newest.where(_r.c.state == "done").limit(1))).scalar()
        counted = sa.select(_i.c.outcome, sa.func.count().label("count")).where(_i.c.run_id == run_id)
        found = await storage.every(conn, counted.group_by(_i.c.outcome))
        counts = {row["outcome"]: row["count"] for row in found}
        part = _part(visit, counts)
        rows = await storage.every(conn, _items(run_id, part, visit.query.get("after", "")))
    lines = [_line(visit, row) for row in rows[:_PAGE]]
    listing = Listing("items", _LINES, lines, visit.path, visit.query)
    listing.cursor = rows[_PAGE - 1]["code"] if len(rows) > _PAGE else ""
    return visit.listed(
        listing,
        "operator/sync_run.html",
        run=run,
        why=sync_runs.why(run)[visit.words.language],
        counts=run["counts"] or {},
        tabs=[(name, counts[name]) for name in _PARTS if counts.get(name)],
        part=part,
        was_told=_has_done(run["counts"] or {}),
        can_accept=run["state"] == "held" and last == run_id,
        can_undo=done == run_id and any(counts.get(name) for name in _PARTS[:3]),
    )


def _has_done(counts: Mapping[str, Any]) -> bool:
    """Whether a run has something to tell, even where its lines are no longer kept."""
    return any(counts.get(name) for name in ("changed", "new", "withdrawn", "failed"))


def _part(visit: Visit, counts: Mapping[str, int]) -> str:
    wanted = visit.query.get("part", "")
    return wanted if wanted in _PARTS else next((name for name in _PARTS if counts.get(name)), _PARTS[0])


def _items(run_id: str, part: str, after: str) -> sa.Select[Any]:
    wanted = sa.select(_i.c.code, _i.c.detail).where(_i.c.run_id == run_id, _i.c.outcome == part)
    return wanted.where(_i.c.code > after).order_by(_i.c.code).limit(_PAGE + 1)


def _line(visit: Visit, row: Mapping[str, Any]) -> dict[str, Any]:
    detail, language = row["detail"], visit.words.language
    return {
        "code": row["code"],
        "name": detail.get("name", ""),
        "version": detail.get("version"),
        "said": detail.get(language, ""),
        "changes": [
            (
                catalogue_pages.part(visit.words, each["field"], each["label_vi"]),
                _told(visit, each, "old"),
                _told(visit, each, "new"),
            )
            for each in detail.get("changes", ())
        ],
        "procedure": visit.link("procedures.one", None, code=row["code"]),
    }


def _told(visit: Visit, change: Mapping[str, str], side: str) -> str:
    """Write one side of a change: as it stands, but for the state, which is a code of ours."""
    if change["field"] != "status":
        return change[side]
    return visit.words.of("catalogue", f"status_{change[side]}")


# ------------------------------------------------------------------------------------------------------- acts


@routes.act("sync.start")
async def start(visit: Visit) -> Response:
    """Begin a run now; it goes on after the answer, and the page shows how far it is."""
    why = operator_acts.reason(visit)
    source = visit.text("source") or visit.hub.settings.sync.source
    await _begin(visit, "sync.start", source, source, why, full=visit.text("full") == "1")
    return visit.go("sync", said="sync.begun")


@routes.act("sync.accept")
async def accept(visit: Visit) -> Response:
    """Accept a list that was held: a run that takes the shorter list."""
    why, run = operator_acts.reason(visit), await _held_run(visit)
    await _begin(visit, "sync.accept", run["id"], run["source"], why, full=run["full"], accept_smaller=True)
    return visit.go("sync", said="sync.accepted")


@routes.act("sync.keep")
async def keep(visit: Visit) -> Response:
    """Keep the catalogue as it is: the held list is laid aside."""
    why, run = operator_acts.reason(visit), await _held_run(visit)
    note = f"{visit.who.name}: {why}"[:500]
    async with visit.hub.storage.transaction() as tx:
        held = sa.and_(_r.c.id == run["id"], _r.c.state == "held")
        if not (await tx.execute(_r.update().where(held).values(state="abandoned", note=note))).rowcount:
            raise _not_held()
        await journal.write_act(tx, "sync.keep", run["id"], actor=visit.who.name, now=visit.now, reason=why)
    return visit.go("sync.one", said="sync.kept", id=run["id"])


@routes.act("sync.undo")
async def undo(visit: Visit) -> Response:
    """Take a run back."""
    why = operator_acts.reason(visit)
    await sync_undo.undo(visit.hub, visit.param("id"), by=visit.who.name, reason=why)
    return visit.go("sync.one", said="sync.undone_said", id=visit.param("id"))


async def _held_run(visit: Visit) -> Mapping[str, Any]:
    async with visit.hub.storage.reading() as conn:
        run = await storage.first(conn, sa.select(_r).where(_r.c.id == visit.param("id")))
    if run is None:
        raise errors.NotFound("there is no such sync run", detail_vi="Không có lần đồng bộ này.")
    if run["state"] != "held":
        raise _not_held()
    return run


def _not_held() -> errors.Conflict:
    return errors.Conflict("this run is not held", detail_vi="Lượt này không bị giữ.")


async def _begin(
    visit: Visit, act: str, subject: str, source: str, why: str, *, full: bool, accept_smaller: bool = False
) -> None:
    """Write the act down and let the run go on by itself. Raises Conflict while another runs."""
    hub = visit.hub
    if not isinstance(hub.systems.get(source), roles.ProcedureCatalogue):
        raise errors.NotFound("no such source", detail_vi="Không có nguồn danh mục này.")
    if holder := await leases.holder(hub.storage, sync_runs.LEASE, now=visit.now):
        raise errors.Conflict(
            f"a procedure sync is already running, by {holder}",
            detail_vi=f"Đang có một lần đồng bộ thủ tục chạy ở {holder}.",
        )
    async with hub.storage.transaction() as tx:
        after = {"source": source, "full": full, "accept_smaller": accept_smaller}
        await journal.write_act(tx, act, subject, actor=visit.who.name, now=visit.now, reason=why, after=after)
    task = asyncio.create_task(_run(hub, source, full=full, accept_smaller=accept_smaller))
    _running.add(task)
    task.add_done_callback(_running.discard)


async def _run(hub: Hub, source: str, *, full: bool, accept_smaller: bool) -> None:
    try:
        await procedure_sync.run(hub, source=source, full=full, accept_smaller=accept_smaller)
    except errors.HubError as exc:  # the run itself is written down as interrupted or failed
        _log.warning("a sync begun at the desk ended early", extra={"source": source, "code": exc.code})


async def settled() -> None:
    """Wait until the runs that were begun here are over."""
    if _running:
        await asyncio.gather(*_running)
