"""The systems that messages go to: how each stands, what waits for it and why, stopping and starting it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from lienthong.bus import targets
from lienthong.console.web import operator_acts, operator_outbox
from lienthong.console.web.listing import Column, Listing
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.core import errors

routes = Routes()
_COLUMNS = (
    Column("system", "targets.target", link="href"),
    Column("state", "targets.state", "chip", sorts=True),
    Column("pending", "targets.pending", "number", link="pending_href", sorts=True),
    Column("oldest", "targets.oldest", "span", sorts=True),
    Column("dead", "targets.dead", "number", link="dead_href", sorts=True),
    Column("last_success_at", "targets.last_success", "ago", sorts=True),
    Column("probe_at", "targets.next", "ago"),
    Column("reason", "targets.reason"),
    Column("to_do", "targets.to_do"),
)
_CAUSES = (
    Column("cause", "messages.cause", link="rows"),
    Column("count", "messages.count", "number", link="rows"),
    Column("since", "messages.since", "ago"),
    Column("help", "messages.help"),
)


async def _rows(visit: Visit) -> list[dict[str, Any]]:
    hub = visit.hub
    known = {it.name: it for it in await targets.listed(hub.storage)}
    waiting = await operator_outbox.waiting(hub)
    names = sorted({*hub.settings.dossiers.targets, *known, *(row["target"] for row in waiting)})
    return [_row(visit, known.get(name) or targets.Target(name), waiting) for name in names]


def _row(visit: Visit, it: targets.Target, waiting: list[dict[str, Any]]) -> dict[str, Any]:
    counts = {row["state"]: row for row in waiting if row["target"] == it.name}
    moving = [counts[state] for state in ("pending", "in_flight") if state in counts]
    is_enabled = it.name in visit.hub.systems
    oldest = min((row["oldest_at"] for row in moving), default=None)
    state = it.state if it.state != targets.ACTIVE or is_enabled else "not_enabled"
    dead = counts["dead"]["messages"] if "dead" in counts else 0
    return {
        "name": it.name,
        "system": visit.words.of("systems", it.name),
        "state": state,
        "to_do": _to_do(visit, state, has_end=it.probe_at is not None, dead=dead),
        "is_enabled": is_enabled,
        "reason": it.reason,
        "pending": sum(row["messages"] for row in moving),
        "dead": dead,
        "oldest": (visit.now - oldest).total_seconds() if oldest else None,
        "last_success_at": it.last_success_at,
        "probe_at": it.probe_at if it.state != targets.ACTIVE else None,
        "failures": it.failures_in_row,
        "href": visit.link("targets.one", None, name=it.name),
        "pending_href": visit.link("messages", {"state": operator_outbox.WAITING, "target": it.name}),
        "dead_href": visit.link("messages", {"state": "dead", "target": it.name}),
    }


def _to_do(visit: Visit, state: str, *, has_end: bool, dead: int) -> str:
    if state == targets.ACTIVE:
        return visit.words("targets.to_do_dead") if dead else ""
    return visit.words(f"targets.to_do_{state}{'_until' if has_end and state == targets.PAUSED else ''}")


@routes.page("targets")
async def show(visit: Visit) -> Response:
    """List the targets."""
    rows = await _rows(visit)
    listing = Listing("targets", _COLUMNS, rows, visit.path, visit.query, total=len(rows)).sorted()
    return visit.listed(listing, "operator/targets.html")


@routes.page("targets.one")
async def one(visit: Visit) -> Response:
    """Show one target: what waits, what is stuck and why, and the buttons."""
    name = visit.param("name")
    row = next((it for it in await _rows(visit) if it["name"] == name), None)
    if row is None:
        raise errors.NotFound("no such target", detail_vi="Không có nơi nhận này.")
    causes = [_cause(visit, it) for it in await operator_outbox.groups(visit.hub) if it["target"] == name]
    return visit.page(
        "operator/target.html",
        row=row,
        causes=Listing("causes", _CAUSES, causes, visit.path, visit.query),
        until=operator_acts.offices_close(visit),
        is_working=visit.hub.calendar.is_working_day(visit.now.date()),
    )


def _cause(visit: Visit, row: Mapping[str, Any]) -> dict[str, Any]:
    code = row["last_code"] or ""
    asked = {"state": "dead", "target": row["target"], "code": code}
    return {
        "cause": operator_outbox.cause(code, visit.words) or code or "?",
        "count": row["count"],
        "since": row["since"],
        "help": visit.words(operator_outbox.advice(code)),
        "rows": visit.link("messages", {name: value for name, value in asked.items() if value}),
    }


@routes.act("targets.pause")
async def pause(visit: Visit) -> Response:
    """Stop sending to a target."""
    await operator_acts.pause(visit, visit.param("name"))
    return visit.go("targets.one", said="targets.paused", undo="targets.resume", name=visit.param("name"))


@routes.act("targets.resume")
async def resume(visit: Visit) -> Response:
    """Go on sending to a target."""
    await operator_acts.resume(visit, visit.param("name"))
    return visit.go("targets.one", said="targets.resumed", undo="targets.pause", name=visit.param("name"))
