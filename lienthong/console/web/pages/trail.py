"""The administrative trail: what people did to the hub, who, when, why, before and after."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response

from lienthong.console.web import changes, security_reading
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
    Column("named", "trail.object", link="by_object"),
    Column("object", "trail.object_id", "code", only_in_file=True),
    Column("reason", "trail.reason"),
    Column("outcome", "trail.outcome", "chip"),
    Column("changes", "trail.changes"),
)
_READING = frozenset({"journal.search", "journal.count", "journal.read", "journal.tail", "journal.who"})
_EVERY = "all"
_ID_LENGTH = 36  # of a key, an account
_FILTERS = ("actor", "object", "outcome")


@routes.page("trail")
async def show(visit: Visit) -> Response:
    """List the acts, the newest first, within the chosen time; acts of reading only where they are asked for."""
    query = visit.query
    where = [_t.c.at >= visit.since, _t.c.at <= visit.until]
    where += [_t.c[name] == query[name] for name in _FILTERS if query.get(name)]
    act = query.get("act")
    if act and act != _EVERY:
        where.append(_t.c.act == act)
    elif not act:
        where.append(_t.c.act.not_in(_READING))
    if visit.after:
        where.append(_t.c.number < visit.after)
    limit = _EXPORT if query.get("export") == "csv" else _PAGE
    asked = sa.select(_t).where(*where).order_by(_t.c.number.desc()).limit(limit + 1)
    async with visit.hub.storage.reading() as conn:
        found = await storage.every(conn, asked)
        known = await storage.every(conn, sa.select(_t.c.act).distinct().order_by(_t.c.act).limit(200))
    listing = Listing("trail", _COLUMNS, [], visit.path, query)
    names = await _names(visit, {row["object"] for row in found if len(row["object"]) == _ID_LENGTH})
    listing.rows = [_row(visit, listing, row, names) for row in found[:limit]]
    listing.cursor = str(found[limit - 1]["number"]) if len(found) > limit else ""
    choices = [("", visit.words("trail.without_reading")), (_EVERY, visit.words("frame.all"))]
    choices += [(row["act"], visit.words.of("acts", row["act"])) for row in known]
    return visit.listed(listing, "trail.html", acts=choices)


async def _names(visit: Visit, ids: Collection[str]) -> dict[str, str]:
    """Name the keys and accounts that acts were about; an id of anything else stays as it is."""
    accounts = tables.accounts
    asked = sa.select(accounts.c.id, accounts.c.name).where(accounts.c.id.in_(ids))
    async with visit.hub.storage.reading() as conn:
        named = {row["id"]: row["name"] for row in await storage.every(conn, asked)}
    return {**named, **await security_reading.key_names(visit.hub, ids)}


def _row(visit: Visit, listing: Listing, row: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    # Kept with the names of what was asked for; the act names the record, the changes what was asked.
    is_reading = row["act"] in _READING
    return {
        **row,
        "named": "" if is_reading else names.get(row["object"], row["object"]),
        "object": "" if is_reading else row["object"],
        "by_actor": listing.address(actor=row["actor"]),
        "by_act": listing.address(act=row["act"]),
        "by_object": "" if is_reading else listing.address(object=row["object"]),
        "changes": changes.told(row["before"], row["after"], visit.words),
    }
