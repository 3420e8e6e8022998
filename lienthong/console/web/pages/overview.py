"""The first page: each system, what needs a person now, and today's flow against the same weekday."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from lienthong.console.web import charts, forms, operator_outbox, standing
from lienthong.console.web.listing import Column, Listing
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit

routes = Routes()
# Facts of a sentence that are codes, and where their words stand.
_AREAS = {"system": "systems", "source": "systems", "kind": "payment_kinds"}
# Sentences that are said otherwise of one.
_COUNTED = ("overview.dead", "overview.difference")
_COLUMNS = (
    Column("name", "overview.system", link="href"),
    Column("state", "overview.state", "chip", sorts=True),
    Column("last_success_at", "overview.last_success", "ago", sorts=True),
    Column("waiting", "overview.waiting", "number", link="waiting_href", sorts=True),
    Column("oldest", "overview.oldest", "span", sorts=True),
    Column("dead", "overview.stuck", "number", link="dead_href", sorts=True),
    Column("refused", "overview.refused", "number", link="refused_href", sorts=True),
    Column("hours", "overview.hours", "chart"),
    Column("reason", "overview.reason"),
    Column("window", "overview.window"),
)


@routes.page("overview")
async def show(visit: Visit) -> Response:
    """Show how everything stands."""
    systems, matters, today, before = await asyncio.gather(
        standing.systems(visit.hub),
        standing.matters(visit.hub),
        standing.flow(visit.hub),
        standing.flow(visit.hub, days_ago=7),
    )
    rows = [_row(visit, it) for it in systems]
    listing = Listing("systems", _COLUMNS, rows, visit.path, visit.query, total=len(rows)).sorted()
    lines = [(it, _sentence(visit, it), visit.link(it.place, it.query or None)) for it in matters]
    return visit.listed(listing, "overview.html", matters=lines, flow=_flow(visit, today, before))


def _flow(visit: Visit, today: standing.Flow, before: standing.Flow) -> list[tuple[str, int, int, str]]:
    """Give the day's figures: name, count, the count at the same hour a week before, and the rows."""
    return [
        ("accepted", today.accepted, before.accepted, visit.link("messages", {"made": "today"})),
        (
            "delivered",
            today.delivered,
            before.delivered,
            visit.link("messages", {"state": "delivered", "made": "today"}),
        ),
        ("late", today.late, before.late, visit.link("messages", {"made": "late"})),
    ]


def _sentence(visit: Visit, it: standing.Matter) -> str:
    named = {name: _fact(visit, name, value) for name, value in it.facts.items()}
    if "code" in named:
        named["code"] = operator_outbox.cause(named["code"], visit.words).rstrip(".") or named["code"]
    word = f"{it.word}_one" if it.word in _COUNTED and it.facts["count"] == 1 else it.word
    return visit.words(word, **named)


def _fact(visit: Visit, name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return value[visit.words.language] or forms.NOTHING
    if isinstance(value, int):
        return forms.number(value, visit.words)
    return visit.words.of(_AREAS[name], str(value)) if name in _AREAS else value


def _row(visit: Visit, it: standing.System) -> dict[str, Any]:
    total = sum(it.hours)
    href = visit.link("systems.one", None, name=it.name)
    count = forms.number(total, visit.words)
    title = visit.words("overview.calls", system=visit.words.of("systems", it.name), count=count)
    return {
        "name": visit.words.of("systems", it.name),
        "state": it.state,
        "last_success_at": it.last_success_at,
        "waiting": it.waiting if it.is_target else None,
        "oldest": (visit.now - it.oldest_at).total_seconds() if it.oldest_at else None,
        "dead": it.dead if it.is_target else None,
        "refused": it.refused,
        "hours": charts.sparkline(it.hours, title=title),
        "reason": it.reason,
        "window": _window(visit, it),
        "href": href,
        "refused_href": f"{href}#failures" if href else "",
        "waiting_href": visit.link("messages", {"state": operator_outbox.WAITING, "target": it.name}),
        "dead_href": visit.link("messages", {"state": "dead", "target": it.name}),
    }


def _window(visit: Visit, it: standing.System) -> str:
    """Say until when maintenance lasts, or when the next begins."""
    if it.window is None:
        return ""
    if it.window.is_on(visit.now):
        return visit.words("overview.window_on", at=forms.minute(it.window.ends_at, visit.words))
    return forms.stretch(it.window.begins_at, it.window.ends_at, visit.words)
