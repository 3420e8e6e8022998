"""The administrative trail: what people did to the hub, who, when, why, before and after."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from starlette.responses import Response

from lienthong.console.web import changes
from lienthong.console.web.listing import Column, Listing
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.core import storage, tables

routes = Routes()
_t = tables.admin_acts
_PAGE = 100
_EXPORT = 10_000
_COLUMNS = (
    Column("at", "trail.at", "moment"),
    Column("actor", "trail.actor", link="by_actor"),
    Column("act", "trail.act", "words", area="acts", link="by_act"),
    Column("object", "trail.object", "code", link="by_object"),
    Column("reason", "trail.reason"),
    Column("outcome", "trail.outcome", "chip"),
    Column("changes", "trail.changes"),
)
_READING = frozenset({"journal.search", "journal.count", "journal.read", "journal.tail", "journal.who"})
_FILTERS = ("actor", "act", "object", "outcome")


@routes.page("trail")
async def show(visit: Visit) -> Response:
    """List the acts, the newest first, within the chosen time."""
    query = visit.query
    where = [_t.c.at >= visit.since, _t.c.at <= visit.until]
    where += [_t.c[name] == query[name] for name in _FILTERS if query.get(name)]
    if visit.after:
        where.append(_t.c.number < visit.after)
    limit = _EXPORT if query.get("export") == "csv" else _PAGE
    asked = sa.select(_t).where(*where).order_by(_t.c.number.desc()).limit(limit + 1)
    async with visit.hub.storage.reading() as conn:
        found = await storage.every(conn, asked)
        known = await storage.every(conn, sa.select(_t.c.act).distinct().order_by(_t.c.act).limit(200))
    listing = Listing("trail", _COLUMNS, [], visit.path, query)
    listing.rows = [_row(visit, listing, row) for row in found[:limit]]
    listing.cursor = str(found[limit - 1]["number"]) if len(found) > limit else ""
    return visit.listed(listing, "trail.html", acts=[row["act"] for row in known])


def _row(visit: Visit, listing: Listing, row: dict[str, Any]) -> dict[str, Any]:
    # Kept with the names of what was asked for; the act names the record, the changes what was asked.
    is_reading = row["act"] in _READING
    return {
        **row,
        "object": "" if is_reading else row["object"],
        "by_actor": listing.address(actor=row["actor"]),
        "by_act": listing.address(act=row["act"]),
        "by_object": "" if is_reading else listing.address(object=row["object"]),
        "changes": changes.told(row["before"], row["after"], visit.words),
    }
