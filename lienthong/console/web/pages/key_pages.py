"""API keys: the list, one key with its whole life, how it is used, and the operations seen from their side."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response

from lienthong.api_keys import grants, keys, regranting, responses, uses
from lienthong.bus import operations
from lienthong.bus.flows import folding
from lienthong.console.web import charts, forms, grant_matrix, key_use
from lienthong.console.web.listing import Column, Listing
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.core import clock, errors, storage, tables

routes = Routes()
STATES = ("active", "pending", "suspended", "lapsed", "expired", "revoked")
_SOON = timedelta(days=30)
_MOST_USES = 50
_MOST_ACTS = 30
_COLUMNS = (
    Column("prefix", "keys.key", "code", link="href"),
    Column("state", "keys.state", "chip", area="key_states", sorts=True),
    Column("organisation", "keys.organisation", sorts=True),
    Column("system", "keys.system", sorts=True),
    Column("custodian", "keys.custodian", sorts=True),
    Column("grants", "keys.grants"),
    Column("limits", "keys.limits_of_calls"),
    Column("expires_at", "keys.expires", "ago", sorts=True),
    Column("last_at", "keys.last_used", "ago", sorts=True),
)
_USES = (
    Column("address", "keys.address", "code"),
    Column("generation", "keys.generation", "number", sorts=True),
    Column("first_at", "keys.first_used", "ago", sorts=True),
    Column("last_at", "keys.last_used", "ago", sorts=True),
    Column("used", "keys.served", "number", sorts=True),
    Column("refused", "keys.refused", "number", sorts=True),
)
_OPERATIONS = (
    Column("name", "grants.operation", "code", link="href", sorts=True),
    Column("about", "grants.about"),
    Column("personal", "grants.personal", "words", area="grants", sorts=True),
    Column("doors", "grants.door", "code"),
    Column("keys", "grants.keys", "number", link="href", sorts=True),
)


@routes.page("keys")
async def show(visit: Visit) -> Response:
    """List the keys; `q` narrows by words, `state` and `due` by how they stand."""
    used = await uses.totals(visit.hub.storage)
    found = await keys.list_keys(visit.hub.storage)
    wanted = folding.fold(visit.query.get("q", "")).split()
    rows = [_row(visit, it, used.get(it.id)) for it in found if _is_wanted(it, visit.query, wanted, now=visit.now)]
    listing = Listing("keys", _COLUMNS, rows, visit.path, visit.query, total=len(rows)).sorted()
    counts = {state: sum(1 for it in found if it.state(visit.now) == state) for state in STATES}
    return visit.listed(listing, "keys/list.html", states=STATES, counts=counts, has_keys=bool(found))


def _is_wanted(it: keys.KeyRecord, query: dict[str, str], words: list[str], *, now: datetime) -> bool:
    named = folding.fold(f"{it.prefix} {it.organisation} {it.system} {it.custodian} {it.decision_number}")
    state = it.state(now)
    is_due = min(it.expires_at, it.confirm_by) <= now + _SOON and state not in ("revoked", "expired")
    return (
        all(word in named for word in words)
        and query.get("state", "") in ("", state)
        and (query.get("due") != "soon" or is_due)
        and (query.get("due") != "anywhere" or (not it.addresses and state not in ("revoked", "expired")))
    )


def _row(visit: Visit, it: keys.KeyRecord, used: uses.Use | None) -> dict[str, Any]:
    return {
        "prefix": f"{it.prefix}…",
        "state": it.state(visit.now),
        "organisation": it.organisation,
        "system": it.system,
        "custodian": it.custodian,
        "grants": _short(visit, it.grants),
        "limits": forms.limits_in_short(it.limits, visit.words),
        "expires_at": it.expires_at if it.revoked_at is None else None,
        "last_at": used.last_at if used else None,
        "href": visit.link("keys.one", None, id=it.id),
    }


def _short(visit: Visit, held: tuple[str, ...]) -> str:
    # The last one is said too, which takes no more room than that there is one more.
    if len(held) <= 3:
        return ", ".join(held)
    return visit.words("keys.and_more", shown=", ".join(held[:2]), count=len(held) - 2)


@routes.page("keys.one")
async def one(visit: Visit) -> Response:
    """Show one key: who, what for, grants, generations, where from, what was done to it."""
    store, record = visit.hub.storage, await keys.show(visit.hub.storage, visit.param("id"))
    generations = await keys.generations(store, record.id)
    async with store.reading() as conn:
        asked = await regranting.waiting(conn, record.id)
        acts = await storage.every(conn, _acts_of(record.id))
    used = [_use(visit, it) for it in (await uses.of_key(store, record.id))[:_MOST_USES]]
    held = [it for it in await responses.of_key(store, record.id) if it.is_on(visit.now)]
    return visit.page(
        "keys/key.html",
        key=record,
        state=record.state(visit.now),
        matrix=grant_matrix.matrix(record.grants, visit.words),
        services=grant_matrix.services(record.grants),
        is_all=grants.ALL in record.grants,
        generations=generations,
        lives=_lives(visit, record, generations) if len(generations) > 1 else "",
        asked=asked.as_json() if asked else None,
        may_approve=asked is not None and asked.actor != visit.who.name,
        used=Listing("addresses", _USES, used, visit.path, visit.query, total=len(used)).sorted(),
        acts=[_told(visit, row) for row in acts],
        held=held,
        two_people=visit.hub.settings.keys.two_people,
    )


@routes.page("keys.use")
async def use(visit: Visit) -> Response:
    """Show how a key is used; read apart from the key's page, for it looks over thirty days."""
    record = await keys.show(visit.hub.storage, visit.param("id"))
    found = await key_use.of_key(visit.hub, record)
    lines = [(it, _gauge(visit, it)) for it in found.limits]
    heat = charts.heat_map(
        found.cells,
        title=visit.words("keys.heat"),
        rows=[forms.day_of_year(day, visit.words) for day in found.days],
        columns=[f"{hour:02d}" for hour in range(24)],
        unit=visit.words("keys.calls_an_hour"),
        figure=visit.figure,
    )
    is_old = visit.now - record.issued_at > _SOON
    is_ended = record.state(visit.now) in ("revoked", "expired")
    return visit.page(
        "keys/use.html", key=record, use=found, lines=lines, heat=heat, is_old=is_old, is_ended=is_ended
    )


def _gauge(visit: Visit, it: key_use.LimitUse) -> Any:
    if it.used is None:
        return ""
    title = visit.words("keys.used_of", limit=forms.limit(str(it.limit), visit.words), used=visit.figure(it.used))
    return charts.gauge(it.used, it.limit.quota, title=title, mark=it.suggested)


def _acts_of(key_id: str) -> sa.Select[Any]:
    table = tables.admin_acts
    return sa.select(table).where(table.c.object == key_id).order_by(table.c.number.desc()).limit(_MOST_ACTS)


def _told(visit: Visit, row: dict[str, Any]) -> dict[str, Any]:
    detail = f"{row['actor']}: {row['reason']}" if row["reason"] else row["actor"]
    state = row["outcome"] if row["outcome"] != "done" else ""
    return {
        "at": row["at"],
        "title": visit.words.of("key_acts", row["act"]),
        "detail": detail,
        "state": state,
        "href": "",
    }


def _use(visit: Visit, it: uses.Use) -> dict[str, Any]:
    address = visit.words("keys.other_addresses") if it.address == uses.OTHERS else it.address
    return {**{name: getattr(it, name) for name in it.__dataclass_fields__}, "address": address}


def _lives(visit: Visit, record: keys.KeyRecord, found: list[keys.Generation]) -> Any:
    """Draw the generations one above the other: where two lie over each other, both may be used."""
    begin, end = min(it.made_at for it in found), max(record.expires_at, visit.now)

    def place(moment: datetime) -> float:
        return min(max((moment - begin) / (end - begin), 0.0), 1.0)

    lines = []
    for it in found:
        until = it.ends_at or record.expires_at
        told = " – ".join(f"{at.astimezone(clock.VIETNAM):%d/%m/%Y %H:%M}" for at in (it.made_at, until))
        label = visit.words("keys.generation_number", number=it.number)
        state = "refused" if it.is_over(visit.now) else "late" if it.ends_at else ""
        lines.append(charts.Stretch(label, place(it.made_at), place(until), f"{label}: {told}", state))
    ends = (forms.day(begin, visit.words), forms.day(end, visit.words))
    return charts.stretches(lines, now=place(visit.now), title=visit.words("keys.generations"), ends=ends)


# ------------------------------------------------------------------------------------------------- operations


@routes.page("operations")
async def list_operations(visit: Visit) -> Response:
    """List every operation and group of fields, with how many keys may use it."""
    alive = await _alive(visit)
    wanted = folding.fold(visit.query.get("q", "")).split()
    rows = [_operation_row(visit, name, alive) for name in _every_right()]
    rows = [row for row in rows if all(word in folding.fold(f"{row['name']} {row['about']}") for word in wanted)]
    listing = Listing("operations", _OPERATIONS, rows, visit.path, visit.query, total=len(rows)).sorted()
    return visit.listed(listing, "keys/operations.html")


@routes.page("operations.one")
async def one_operation(visit: Visit) -> Response:
    """Say which keys may call an operation, and through which grant."""
    name = visit.param("name")
    if name not in _every_right():
        raise errors.NotFound(
            "there is no operation or field group of this name",
            detail_vi="Không có thao tác hay nhóm trường tên này.",
        )
    rows = [
        {
            **_row(visit, it, None),
            "through": grants.granted_by(it.grants, name),
            "addresses": ", ".join(it.addresses) or visit.words("keys.anywhere"),
            "hours": forms.hours(it.hours, visit.words) or visit.words("keys.always"),
        }
        for it in await _alive(visit)
        if grants.granted_by(it.grants, name)
    ]
    columns = (
        *_COLUMNS[:5],
        Column("through", "grants.through", "code", sorts=True),
        Column("addresses", "keys.addresses"),
        Column("hours", "keys.hours"),
    )
    listing = Listing("operation", columns, rows, visit.path, visit.query, total=len(rows)).sorted()
    return visit.listed(listing, "keys/operation.html", name=name, facts=_operation_row(visit, name, []))


async def _alive(visit: Visit) -> list[keys.KeyRecord]:
    found = await keys.list_keys(visit.hub.storage)
    return [it for it in found if it.state(visit.now) not in ("revoked", "expired")]


def _every_right() -> list[str]:
    fields = [grants.FIELDS + name for name in grants.FIELD_GROUPS]
    return [*sorted(operations.NAMES), *sorted(grants.EXTRA), *fields]


def _operation_row(visit: Visit, name: str, alive: list[keys.KeyRecord]) -> dict[str, Any]:
    operation = next((it for it in operations.OPERATIONS if it.name == name), None)
    is_personal = operation.personal if operation else name.startswith(grants.FIELDS) or name in grants.EXTRA
    about = grant_matrix.about(name, visit.words)
    if name.startswith(grants.FIELDS):
        about = visit.words("grants.field_group", about=about)
    return {
        "name": name,
        "about": about[:1].upper() + about[1:],
        "personal": "personal_yes" if is_personal else "personal_no",
        "doors": f"{operation.method} {operation.path}" if operation else "",
        "keys": sum(1 for it in alive if grants.granted_by(it.grants, name)),
        "href": visit.link("operations.one", None, name=name),
    }
