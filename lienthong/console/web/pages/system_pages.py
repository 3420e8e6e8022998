"""One outside system: how it stands, its last day, what failed, its maintenance, settings and mapping."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response

from lienthong.bus.flows import maintenance
from lienthong.console.web import charts, forms, operator_acts, operator_outbox, standing
from lienthong.console.web.listing import Column, Listing
from lienthong.console.web.pages import self_check
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.core import errors, settings, settings_tree, storage, tables
from lienthong.mappings import engine, history
from lienthong.monitoring import health

routes = Routes()
_x = tables.exchanges
_MOST_FAILURES = 20
_FAILURES = (
    Column("at", "system.at", "ago"),
    Column("operation", "system.operation", "code"),
    Column("cause", "system.cause", link="message_href"),
    Column("dossier_code", "system.dossier", "code", link="dossier_href"),
    Column("took_ms", "system.took", "number"),
)
_SETTINGS = (Column("name", "settings.name", "setting"), Column("value", "settings.value"))


@routes.page("systems.one")
async def show(visit: Visit) -> Response:
    """Show one system."""
    it = await _standing(visit)
    windows, failures, versions = await asyncio.gather(
        maintenance.ahead(visit.hub.storage, now=visit.now, system=it.name),
        _failures(visit, it),
        history.of(visit.hub.storage, f"{it.name}.yml"),
    )
    prefix = f"LIENTHONG_SYSTEMS__{it.name.upper()}__"
    flat = settings_tree.flat("LIENTHONG", settings.masked(visit.hub.settings))
    chosen = [{"name": name, "value": value} for name, value in sorted(flat) if name.startswith(prefix)]
    this_hour = visit.now.replace(minute=0, second=0, microsecond=0)
    has_mapping = (Path(engine.SYSTEMS) / f"{it.name}.yml").is_file()
    return visit.page(
        "operator/system.html",
        it=it,
        windows=windows,
        failures=Listing("failures", _FAILURES, failures, visit.path, visit.query, total=len(failures)),
        chosen=Listing("settings", _SETTINGS, chosen, visit.path, visit.query, total=len(chosen)),
        is_enabled=it.name in visit.hub.systems,
        mapping=visit.link("mappings.one", None, name=it.name) if has_mapping else "",
        version=versions[0] if versions else None,
        calls=_chart(visit, it, it.hours, "system.calls") if any(it.hours) else "",
        failed=_chart(visit, it, it.failed, "system.failed", state="stuck") if any(it.failed) else "",
        pending_href=visit.link("messages", {"state": operator_outbox.WAITING, "target": it.name}),
        dead_href=visit.link("messages", {"state": "dead", "target": it.name}),
        until=operator_acts.offices_close(visit),
        begins=this_hour + timedelta(hours=1),
        ends=this_hour + timedelta(hours=3),
    )


async def _standing(visit: Visit) -> standing.System:
    name = visit.param("name")
    found = next((it for it in await standing.systems(visit.hub) if it.name == name), None)
    if found is None:
        raise errors.NotFound("no such system", detail_vi="Không có hệ thống này.")
    return found


def _chart(visit: Visit, it: standing.System, hours: Sequence[int], word: str, *, state: str = "") -> Any:
    begun = visit.now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=standing.HOURS - 1)
    begins = [begun + timedelta(hours=at) for at in range(len(hours))]
    bars = [
        charts.Bar(forms.hour(at, visit.words), count, state=state)
        for at, count in zip(begins, hours, strict=True)
    ]
    figure = functools.partial(forms.number, words=visit.words)
    title = visit.words(word, count=figure(sum(hours)), system=visit.words.of("systems", it.name))
    heads = (visit.words("system.hour"), visit.words(f"{word}_count"))
    most = visit.words("charts.most_a_bar")
    return charts.histogram(bars, title=title, heads=heads, most=most, figure=figure)


async def _failures(visit: Visit, it: standing.System) -> list[dict[str, Any]]:
    """Find the last calls that failed, looking no further back than the counts of hours say there are any."""
    seen, hours = 0, 0
    for back, count in enumerate(reversed(it.failed)):
        if count:
            seen, hours = seen + count, back + 1
        if seen >= _MOST_FAILURES:
            break
    if not seen:
        return []
    begun = visit.now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours - 1)
    shown = (_x.c.at, _x.c.operation, _x.c.outcome, _x.c.took_ms, _x.c.dossier_code, _x.c.message_id)
    wanted = (
        sa.select(*shown)
        .where(_x.c.at >= begun, _x.c.direction == "out", _x.c.system == it.name, _x.c.outcome != "ok")
        .order_by(_x.c.at.desc())
        .limit(_MOST_FAILURES)
    )
    async with visit.hub.storage.reading() as conn:
        rows = await storage.every(conn, wanted)
    return [
        {
            **row,
            "took_ms": round(row["took_ms"], 1),
            "cause": operator_outbox.cause(row["outcome"], visit.words) or row["outcome"],
            "message_href": visit.link("messages.one", None, id=row["message_id"]) if row["message_id"] else "",
            "dossier_href": visit.link("dossiers.one", None, code=row["dossier_code"])
            if row["dossier_code"]
            else "",
        }
        for row in rows
    ]


@routes.page("systems.check")
async def check(visit: Visit) -> Response:
    """Ask the system now whether it is well; nothing is changed by it."""
    name = visit.param("name")
    if name not in visit.hub.systems:
        raise errors.NotFound("no such system", detail_vi="Không có hệ thống này.")
    results = self_check.told(visit, await health.check_system(visit.hub, name))
    return visit.page("operator/system_check.html", name=name, results=results)


@routes.act("systems.plan")
async def plan(visit: Visit) -> Response:
    """Plan maintenance of this system."""
    name, why = visit.param("name"), operator_acts.reason(visit)
    begins, ends = visit.moment("begins_at"), visit.moment("ends_at")
    await maintenance.plan(visit.hub, name, begins, ends, by=visit.who.name, reason=why)
    return visit.go("systems.one", said="system.planned", name=name)


@routes.act("systems.cancel")
async def cancel(visit: Visit) -> Response:
    """Call a planned window off."""
    why = operator_acts.reason(visit)
    found = await maintenance.cancel(visit.hub, visit.param("id"), by=visit.who.name, reason=why)
    return visit.go("systems.one", said="system.cancelled", name=found.system)
