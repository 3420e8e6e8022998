"""Messages and dead letters: groups by cause, rows, one message with its attempts, and freeing what is stuck."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
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
    Column("code", "messages.code", "code", only_in_file=True),
)
_ROWS = (
    Column("lane", "messages.dossier", "code", link="href"),
    Column("system", "messages.target"),
    Column("update", "messages.update"),
    Column("state", "messages.state", "chip"),
    Column("attempts", "messages.attempts", "number"),
    Column("created_at", "messages.created", "ago"),
    Column("moved_at", "messages.moved", "ago"),
    Column("cause", "messages.cause"),
    Column("last_code", "messages.code", "code", only_in_file=True),
)
# What the last moment of a message is, where all that are shown stand alike.
_MOVED = {"dead": "since", "pending": "next_try", operator_outbox.WAITING: "next_try"}
_MOVED |= {"delivered": "settled", "dropped": "settled"}
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
            stopped=await _stopped(visit, {row["target"] for row in waiting}),
            causes=_choices(visit, {row["code"] for row in rows}),
        )
    limit = operator_outbox.EXPORT if asked.get("export") == "csv" else operator_outbox.PAGE
    found, cursor = await operator_outbox.rows(hub, asked, after=visit.after, limit=limit)
    rows = await _told(visit, found)
    listing = Listing("messages", _columns(asked), rows, visit.path, asked, cursor=cursor)
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
        stopped=await _stopped(
            visit, {row["target"] for row in found if row["state"] in ("pending", "in_flight")}
        ),
        # A whole list is not freed at one blow: first say which part of it.
        is_too_wide=bool(found) and not chosen and not asked.get("made") and asked.get("state") == "dead",
        causes=_choices(visit, {row["last_code"] or "" for row in await operator_outbox.groups(hub)}),
    )


def _columns(asked: Mapping[str, str]) -> list[Column]:
    """Give the columns of the rows: no state where only one is asked for, and its word for the last moment."""
    state = asked.get("state", "")
    moved = Column("moved_at", f"messages.{_MOVED.get(state, 'moved')}", "ago")
    columns = [moved if it.name == "moved_at" else it for it in _ROWS]
    return [it for it in columns if it.name != "state" or state not in operator_outbox.STATES]


async def _stopped(visit: Visit, names: set[str]) -> list[tuple[str, str, str]]:
    """Give the targets that nothing is sent to: name, why, and their page."""
    found = await operator_outbox.stopped(visit.hub, names)
    return [
        (
            visit.words.of("systems", it["name"]),
            it["reason"] or "–",
            visit.link("targets.one", None, name=it["name"]),
        )
        for it in found
    ]


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


async def _told(visit: Visit, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    updates = await operator_outbox.updates(visit.hub, found)
    return [_row(visit, row, updates.get(row["id"], "")) for row in found]


def _update(visit: Visit, row: Mapping[str, Any], status: str) -> str:
    """Say which update of a dossier a message carries."""
    return visit.words.of("status", status) if status else visit.words.of("messages", row["operation"])


def _row(visit: Visit, row: Mapping[str, Any], status: str) -> dict[str, Any]:
    return {
        **row,
        "system": visit.words.of("systems", row["target"]),
        "update": _update(visit, row, status),
        "moved_at": row["settled_at"] or (_due(visit, row["due_at"]) if row["state"] == "pending" else None),
        "cause": "" if row["state"] == "delivered" else operator_outbox.cause(row["last_code"], visit.words),
        "href": visit.link("messages.one", None, id=row["id"]),
    }


def _due(visit: Visit, at: datetime) -> datetime | str:
    """Give when a message is tried next; one whose moment is past waits for nothing but its turn."""
    return at if at > visit.now or visit.query.get("export") else visit.words("messages.due_now")


@routes.page("messages.one")
async def one(visit: Visit) -> Response:
    """Show one message with every attempt, and what the hub's own record says of the calls."""
    hub, number = visit.hub, visit.param("id")
    found = await outbox.listed(hub.storage, ids=[number], limit=1)
    if not found:
        raise errors.NotFound("no such message", detail_vi="Không có thông điệp này.")
    row = found[0]
    tries = [
        {
            **it,
            "took": round(it["took_ms"]),
            "cause": operator_outbox.cause(it["code"], visit.words),
            "code": "" if it["code"] == "ok" else it["code"],
        }
        for it in reversed(await outbox.tries(hub.storage, number))
    ]
    is_open = row["state"] in ("pending", "in_flight", "dead")
    behind = await outbox.waiting_behind(hub.storage, row) if is_open else None
    target = await _target(visit, row["target"])
    calls = await _calls(visit, row)
    return visit.page(
        "operator/message.html",
        row=row,
        update=_update(visit, row, (await operator_outbox.updates(hub, found)).get(number, "")),
        tries=Listing("tries", _TRIES, tries, visit.path, visit.query),
        calls=Listing("calls", _CALLS, calls, visit.path, visit.query),
        cause=operator_outbox.cause(row["last_code"], visit.words) if row["state"] != "delivered" else "",
        advice=operator_outbox.advice(row["last_code"]) if row["state"] == "dead" else "",
        behind=visit.link("messages.one", None, id=behind) if behind else "",
        is_due=row["due_at"] <= visit.now,
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
    sample = await _told(visit, found.sample)
    return visit.page(
        "operator/plan.html",
        act=act,
        chosen=chosen,
        plan=found,
        parts_planned=[_part(visit, row) for row in found.parts],
        back=visit.link("messages.one", None, id=chosen.id)
        if chosen.id
        else visit.link("messages", {"state": "dead", **chosen.told()}),
        sample=Listing("sample", _sampled(chosen), sample, visit.path, visit.query),
    )


def _part(visit: Visit, row: Mapping[str, Any]) -> dict[str, Any]:
    """Give one line of a plan: of one target, kind and cause, with what helps against the cause."""
    return {
        **row,
        "state": row["state"] or "active",
        "cause": operator_outbox.cause(row["last_code"], visit.words) or row["last_code"] or "?",
        "advice": visit.words(operator_outbox.advice(row["last_code"])),
        "href": visit.link("targets.one", None, name=row["target"]),
    }


def _sampled(chosen: operator_outbox.Chosen) -> list[Column]:
    """Give the columns of the sample, without what is the same in every row."""
    left_out = {"state", "moved_at", *(["system"] if chosen.target else []), *(["cause"] if chosen.code else [])}
    return [it for it in _ROWS if it.name not in left_out and not it.only_in_file]


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
