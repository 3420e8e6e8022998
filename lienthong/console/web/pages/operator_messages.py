"""Messages and dead letters: groups by cause, rows, one message with its attempts, and freeing what is stuck."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response

from lienthong.bus import outbox
from lienthong.console.web import operator_acts, operator_outbox
from lienthong.console.web.listing import Column, Listing
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.core import errors, storage, tables

routes = Routes()
_x = tables.exchanges
_FILTERS = ("state", "target", "code", "lane", "made")
_CAUSES = (
    Column("cause", "messages.cause", link="rows"),
    Column("system", "messages.target"),
    Column("count", "messages.count", "number", link="rows", sorts=True),
    Column("since", "messages.since", "ago", sorts=True),
    Column("latest", "messages.latest", "ago", sorts=True),
    Column("help", "messages.help"),
    Column("code", "messages.code", "code"),
)
_ROWS = (
    Column("lane", "messages.dossier", "code", link="href"),
    Column("system", "messages.target"),
    Column("state", "messages.state", "chip"),
    Column("attempts", "messages.attempts", "number"),
    Column("created_at", "messages.created", "ago"),
    Column("moved_at", "messages.moved", "ago"),
    Column("cause", "messages.cause"),
    Column("last_code", "messages.code", "code", only_in_file=True),
)
_TRIES = (
    Column("number", "messages.try", "number"),
    Column("started_at", "messages.at", "moment"),
    Column("took", "messages.took", "number"),
    Column("outcome", "messages.outcome", "chip"),
    Column("cause", "messages.cause"),
    Column("code", "messages.code", "code"),
    Column("detail", "messages.answer"),
)
_CALLS = (
    Column("at", "messages.at", "moment"),
    Column("operation", "messages.operation", "code"),
    Column("status", "messages.http", "number"),
    Column("outcome", "messages.outcome", "code"),
    Column("took_ms", "messages.took", "number"),
)


@routes.page("messages")
async def show(visit: Visit) -> Response:
    """Show what is stuck by cause; with a filter, the rows."""
    hub, asked = visit.hub, visit.query
    is_rows = any(asked.get(name) for name in _FILTERS)
    waiting = await operator_outbox.waiting(hub)
    if not is_rows:
        causes = await operator_outbox.groups(hub)
        rows = [_cause(visit, row) for row in causes]
        listing = Listing("causes", _CAUSES, rows, visit.path, asked, total=len(rows)).sorted()
        return visit.listed(
            listing,
            "operator/causes.html",
            waiting=_waiting(visit, waiting),
            causes=_choices(visit, {row["code"] for row in rows}),
        )
    limit = operator_outbox.EXPORT if asked.get("export") == "csv" else operator_outbox.PAGE
    found, cursor = await operator_outbox.rows(hub, asked, after=visit.after, limit=limit)
    listing = Listing("messages", _ROWS, [_row(visit, row) for row in found], visit.path, asked, cursor=cursor)
    targets = sorted({*hub.settings.dossiers.targets, *(row["target"] for row in waiting)})
    chosen = operator_outbox.chosen_query(visit)
    # Sending again knows no day: with one chosen it would touch more than is shown.
    is_plain = chosen and not asked.get("made") and asked.get("state", "dead") == "dead"
    plans = {
        act: visit.link("messages.plan", {"act": act, **chosen})
        for act in ("retry", "drop")
        if is_plain and found and visit.may(f"messages.{act}")
    }
    return visit.listed(
        listing,
        "operator/messages.html",
        targets=[(name, visit.words.of("systems", name)) for name in targets],
        states=[
            (operator_outbox.WAITING, visit.words("messages.state_waiting")),
            *((name, visit.words.of("states", name)) for name in operator_outbox.STATES),
        ],
        made=[(name, visit.words(f"messages.made_{name}")) for name in operator_outbox.MADE],
        plans=plans,
        causes=_choices(visit, {row["last_code"] or "" for row in await operator_outbox.groups(hub)}),
    )


def _choices(visit: Visit, codes: set[str]) -> list[tuple[str, str]]:
    """Name the causes to filter by: those that something is stuck for now, and the one that is asked for."""
    named = filter(None, codes | {visit.query.get("code", "")})
    told = [(code, operator_outbox.cause(code, visit.words).rstrip(".") or code) for code in named]
    return sorted(told, key=lambda it: it[1])


def _cause(visit: Visit, row: Mapping[str, Any]) -> dict[str, Any]:
    code = row["last_code"] or ""
    asked = {"state": "dead", "target": row["target"], "code": code}
    return {
        "cause": operator_outbox.cause(code, visit.words) or code or "?",
        "code": code,
        "system": visit.words.of("systems", row["target"]),
        "count": row["count"],
        "since": row["since"],
        "latest": row["latest"],
        "help": visit.words(operator_outbox.advice(code)),
        "rows": visit.link("messages", {name: value for name, value in asked.items() if value}),
    }


def _waiting(visit: Visit, rows: list[dict[str, Any]]) -> list[tuple[str, str, str, int, Any]]:
    return [
        (
            visit.words.of("systems", row["target"]),
            row["state"],
            visit.link("messages", {"state": row["state"], "target": row["target"]}),
            row["messages"],
            row["oldest_at"],
        )
        for row in rows
    ]


def _row(visit: Visit, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "system": visit.words.of("systems", row["target"]),
        "moved_at": row["settled_at"] or (row["due_at"] if row["state"] == "pending" else None),
        "cause": "" if row["state"] == "delivered" else operator_outbox.cause(row["last_code"], visit.words),
        "href": visit.link("messages.one", None, id=row["id"]),
    }


@routes.page("messages.one")
async def one(visit: Visit) -> Response:
    """Show one message with every attempt, and what the hub's own record says of the calls."""
    hub, number = visit.hub, visit.param("id")
    found = await outbox.listed(hub.storage, ids=[number], limit=1)
    if not found:
        raise errors.NotFound("no such message", detail_vi="Không có thông điệp này.")
    row = found[0]
    tries = [
        {**it, "took": round(it["took_ms"]), "cause": operator_outbox.cause(it["code"], visit.words)}
        for it in reversed(await outbox.tries(hub.storage, number))
    ]
    is_open = row["state"] in ("pending", "in_flight", "dead")
    behind = await outbox.waiting_behind(hub.storage, row) if is_open else None
    target = await _target(visit, row["target"])
    calls = await _calls(visit, row)
    return visit.page(
        "operator/message.html",
        row=row,
        tries=Listing("tries", _TRIES, tries, visit.path, visit.query),
        calls=Listing("calls", _CALLS, calls, visit.path, visit.query),
        cause=operator_outbox.cause(row["last_code"], visit.words) if row["state"] != "delivered" else "",
        advice=operator_outbox.advice(row["last_code"]) if row["state"] == "dead" else "",
        behind=visit.link("messages.one", None, id=behind) if behind else "",
        target=target,
    )


async def _target(visit: Visit, name: str) -> dict[str, Any]:
    table = tables.targets
    async with visit.hub.storage.reading() as conn:
        found = await storage.first(conn, sa.select(table).where(table.c.name == name))
    return found or {"name": name, "state": "active", "reason": ""}


async def _calls(visit: Visit, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Find the calls in the access record that were made for this message, by the id of its request."""
    columns = [_x.c[name] for name in ("at", "operation", "status", "outcome", "took_ms", "message_id")]
    wanted = sa.select(*columns).where(_x.c.request_id == row["request_id"], _x.c.direction == "out")
    async with visit.hub.storage.reading() as conn:
        found = await storage.every(conn, wanted.order_by(_x.c.at.desc()).limit(100))
    return [it for it in found if it["message_id"] in (None, row["id"])]


@routes.page("messages.plan")
async def plan(visit: Visit) -> Response:
    """Say what sending again, or giving up, would touch; nothing is done here."""
    act = "drop" if visit.query.get("act") == "drop" else "retry"
    chosen = operator_outbox.Chosen.of(visit.query)
    found = await operator_outbox.plan(visit.hub, chosen, act)
    sample = [_row(visit, row) for row in found.sample]
    return visit.page(
        "operator/plan.html",
        act=act,
        chosen=chosen,
        plan=found,
        cause=operator_outbox.cause(chosen.code, visit.words),
        sample=Listing("sample", _ROWS[:5], sample, visit.path, visit.query),
    )


@routes.act("messages.retry")
async def retry(visit: Visit) -> Response:
    """Send stuck messages again."""
    return await _free(visit, "retry")


@routes.act("messages.drop")
async def drop(visit: Visit) -> Response:
    """Give stuck messages up for good."""
    return await _free(visit, "drop")


async def _free(visit: Visit, act: str) -> Response:
    operator_acts.reason(visit)
    chosen = operator_outbox.Chosen.of({name: visit.text(name) for name in ("id", "target", "code", "lane")})
    await operator_acts.free(visit, chosen, act)
    said = "messages.retried" if act == "retry" else "messages.dropped"
    if chosen.id:
        return visit.go("messages.one", said=said, id=chosen.id)
    return visit.go("messages", said=said)
