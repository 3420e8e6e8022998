"""The register of officials: the list, one official with history, exceptions by name, and the rules of lookups."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from lienthong.api_keys import official_entries, officials
from lienthong.bus.flows import folding, lookup_policy
from lienthong.console.web.listing import Column, Listing
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.core import errors, storage, tables

routes = Routes()
_o, _e, _r, _p = tables.officials, tables.lookup_exceptions, tables.lookup_rules, tables.procedures
_PAGE = 100
_EXPORT = 10_000
_MOST_ACTS = 30
_COLUMNS = (
    Column("code", "officials.code", "code", link="href"),
    Column("full_name", "officials.full_name"),
    Column("state", "officials.state", "chip"),
    Column("unit", "officials.unit"),
    Column("account", "officials.account", "code"),
    Column("procedures", "officials.procedures"),
    Column("last_day", "officials.last_day", "day"),
    Column("last_used_at", "officials.last_used", "ago"),
)
_EXCEPTIONS = (
    Column("official", "officials.code", "code", link="href"),
    Column("full_name", "officials.full_name"),
    Column("about", "officials.exception_about", "code"),
    Column("unit_name", "officials.unit_name"),
    Column("ends_at", "officials.ends", "ago"),
    Column("granted_by", "officials.granted_by"),
    Column("reason", "frame.reason"),
)
_RULES = (
    Column("procedure_code", "officials.procedure", "code", link="procedure"),
    Column("name", "officials.procedure_name"),
    Column("groups", "officials.groups", "code"),
    Column("service_code", "officials.service_code", "code"),
    Column("set_at", "officials.set_at", "ago"),
    Column("set_by", "officials.set_by"),
    Column("reason", "frame.reason"),
)


@routes.page("officials")
async def show(visit: Visit) -> Response:
    """List the register by unit and code; `q` is a code, an account or the beginning of a unit."""
    query, now = visit.query, visit.now
    where = [*_state(query.get("state") or "registered", now)]
    if typed := query.get("q", "").strip():
        start = f"{folding.as_pattern(typed)}%"
        where.append(sa.or_(*(_o.c[name].ilike(start, escape="\\") for name in ("code", "account", "unit_code"))))
    after = visit.after
    limit = _EXPORT if query.get("export") == "csv" else _PAGE
    order = (_o.c.unit_code, _o.c.code, _o.c.registered_at.desc(), _o.c.id)
    asked = sa.select(_o).where(*where).order_by(*order).offset(after).limit(limit + 1)
    async with visit.hub.storage.reading() as conn:
        found = await storage.every(conn, asked)
        total = (await conn.execute(sa.select(sa.func.count()).select_from(_o).where(*where))).scalar_one()
    rows = [_row(visit, officials.opened(row, visit.hub.vault)) for row in found[:limit]]
    listing = Listing("officials", _COLUMNS, rows, visit.path, query, total=total)
    listing.cursor = str(after + limit) if len(found) > limit else ""
    return visit.listed(listing, "officials/list.html", states=("registered", *officials.STATES))


def _state(state: str, now: datetime) -> list[sa.ColumnElement[bool]]:
    """Say in SQL what `Official.state` says; `registered` is everybody whose registration has not ended."""
    is_ended, alive = _o.c.ended_at.is_not(None), _o.c.ended_at.is_(None)
    known: dict[str, list[sa.ColumnElement[bool]]] = {
        "registered": [alive],
        "in_force": [alive, _o.c.valid_from <= now, _o.c.valid_until > now],
        "not_yet": [alive, _o.c.valid_from > now],
        "expired": [alive, _o.c.valid_until <= now],
        "revoked": [is_ended, _o.c.replaced_by.is_(None)],
        "replaced": [_o.c.replaced_by.is_not(None)],
    }
    return known.get(state, [])


def _row(visit: Visit, it: officials.Official) -> dict[str, Any]:
    return {
        "code": it.code,
        "full_name": it.full_name,
        "state": it.state(visit.now),
        "unit": f"{it.unit_code} {it.unit_name}".strip(),
        "account": it.account,
        "procedures": _procedures(visit, it.procedures),
        "last_day": official_entries.last_day(it.valid_until),
        "last_used_at": it.last_used_at,
        "href": visit.link("officials.one", None, code=address_of(it)),
    }


def address_of(it: officials.Official) -> str:
    """Give what stands for an official in an address: the code, or the id where the code would split a path."""
    return it.id if "/" in it.code else it.code


def _procedures(visit: Visit, said: tuple[str, ...]) -> str:
    if said == (officials.EVERY_PROCEDURE,):
        return visit.words("officials.every_procedure")
    shown = ", ".join(said[:3])
    return shown if len(said) <= 3 else visit.words("keys.and_more", shown=shown, count=len(said) - 3)


@routes.page("officials.one")
async def one(visit: Visit) -> Response:
    """Show one official, who held the code or the account before, exceptions, and every act."""
    found = await officials.history(visit.hub.storage, visit.hub.vault, visit.param("code"))
    if not found:
        raise errors.NotFound(
            "no official has this code or account", detail_vi="Không có cán bộ nào mang mã hoặc tài khoản này."
        )
    it, acts = found[0], tables.admin_acts
    asked = sa.select(acts).where(acts.c.object.in_([each.id for each in found] + [it.code]))
    async with visit.hub.storage.reading() as conn:
        done = await storage.every(conn, asked.order_by(acts.c.number.desc()).limit(_MOST_ACTS))
        exceptions = await storage.every(conn, _in_force(visit.now).where(_e.c.official_id == it.id))
    entry = official_entries.of(it)
    return visit.page(
        "officials/official.html",
        official=it,
        state=it.state(visit.now),
        procedures=_procedures(visit, it.procedures),
        first_day=official_entries.begins_on(entry.valid_from),
        last_day=official_entries.last_day(entry.valid_until),
        others=[(each, each.state(visit.now)) for each in found[1:]],
        exceptions=exceptions,
        acts=[_told(visit, row) for row in done],
    )


def _told(visit: Visit, row: dict[str, Any]) -> dict[str, Any]:
    detail = f"{row['actor']}: {row['reason']}" if row["reason"] else row["actor"]
    state = row["outcome"] if row["outcome"] != "done" else ""
    title = visit.words.of("key_acts", row["act"])
    return {"at": row["at"], "title": title, "detail": detail, "state": state, "href": ""}


@routes.page("exceptions")
async def exceptions(visit: Visit) -> Response:
    """List the exceptions in force: officials who may ask about another unit's dossiers."""
    async with visit.hub.storage.reading() as conn:
        found = await storage.every(conn, _in_force(visit.now))
        named = await storage.every(conn, sa.select(_o).where(_o.c.id.in_({row["official_id"] for row in found})))
        units = await _unit_names(conn, {row["unit_code"] for row in found if row["unit_code"]})
    names = {row["id"]: officials.opened(row, visit.hub.vault).full_name for row in named}
    rows = [
        {
            **row,
            "official": row["official_code"],
            "full_name": names[row["official_id"]],
            "about": row["dossier_code"] or row["unit_code"],
            "unit_name": units.get(row["unit_code"], ""),
            "href": visit.link("officials.one", None, code=row["official_id"]),
        }
        for row in found
    ]
    listing = Listing("exceptions", _EXCEPTIONS, rows, visit.path, visit.query, total=len(rows))
    return visit.listed(listing, "officials/exceptions.html", exceptions=rows)


async def _unit_names(conn: AsyncConnection, codes: set[str]) -> dict[str, str]:
    """Name units as the register of officials does, or else the national list."""
    agencies = tables.agencies
    listed = sa.select(agencies.c.code, agencies.c.name).where(agencies.c.code.in_(codes))
    own = sa.select(_o.c.unit_code, _o.c.unit_name).where(_o.c.unit_code.in_(codes), _o.c.unit_name != "")
    found = {row["code"]: row["name"] for row in await storage.every(conn, listed)}
    return found | {row["unit_code"]: row["unit_name"] for row in await storage.every(conn, own.distinct())}


def _in_force(now: datetime) -> sa.Select[Any]:
    return (
        sa.select(_e, _o.c.code.label("official_code"))
        .join_from(_e, _o, _e.c.official_id == _o.c.id)
        .where(_e.c.ended_at.is_(None), _e.c.ends_at > now)
        .order_by(_e.c.ends_at)
    )


@routes.page("lookup_rules")
async def rules(visit: Visit) -> Response:
    """List the procedures that may ask for more than the least, with who decided it and why."""
    asked = sa.select(_r, _p.c.name).outerjoin_from(_r, _p, _p.c.code == _r.c.procedure_code)
    async with visit.hub.storage.reading() as conn:
        found = await storage.every(conn, asked.order_by(_r.c.procedure_code))
    rows = [
        {
            **row,
            "groups": ", ".join(row["field_groups"]),
            "procedure": visit.link("procedures.one", None, code=row["procedure_code"]),
        }
        for row in found
    ]
    listing = Listing("lookup_rules", _RULES, rows, visit.path, visit.query, total=len(rows))
    return visit.listed(
        listing, "officials/rules.html", least=lookup_policy.LEAST, every_group=lookup_policy.ALL_GROUPS
    )
