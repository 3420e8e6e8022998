"""Parcels: where each is, its way so far, and what a person must decide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import sqlalchemy as sa
from starlette.responses import Response

from lienthong.bus.flows import postal, postal_booking, postal_records, postal_views
from lienthong.console.web import operator_acts
from lienthong.console.web.listing import Column, Listing
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.core import storage, tables

routes = Routes()
_p, _q = tables.parcels, tables.parcel_questions
_PAGE = 50
_CANCELLABLE = ("booking", "booked", "created", "accepted")
_DECISIONS: dict[str, Literal["booked", "refused", "noted"]] = {
    "booked": "booked",
    "refused": "refused",
    "noted": "noted",
}
_COLUMNS = (
    Column("number", "parcels.number", "code", link="href"),
    Column("dossier_code", "parcels.dossier", "code", link="dossier"),
    Column("direction", "parcels.direction", "words", area="parcel_states"),
    Column("system", "parcels.carrier"),
    Column("state", "parcels.state", "chip", area="parcel_states"),
    Column("state_at", "parcels.state_at", "ago"),
    Column("late_at", "parcels.late", "ago"),
    Column("cod_vnd", "parcels.cod", "money"),
)
_QUESTIONS = (
    Column("kind", "parcels.question", "words", area="parcel_kinds", link="href"),
    Column("number", "parcels.number", "code"),
    Column("asked_at", "parcels.since", "ago"),
    Column("next", "parcels.next"),
)
_EVENTS = (
    Column("occurred_at", "parcels.at", "moment"),
    Column("state", "parcels.state", "chip", area="parcel_states"),
    Column("carrier_code", "parcels.carrier_code", "code"),
    Column("carrier_message", "parcels.carrier_message"),
    Column("place", "parcels.place"),
)


@routes.page("parcels")
async def show(visit: Visit) -> Response:
    """List parcels, the newest first, with what waits for a person above them."""
    asked = visit.query
    where = [_p.c[name] == asked[name] for name in ("state", "carrier", "dossier_code") if asked.get(name)]
    if asked.get("after"):
        where.append(_p.c.id < asked["after"])
    plain = [column for column in _p.c if column.name != "record"]
    wanted = sa.select(*plain).where(*where).order_by(_p.c.id.desc()).limit(_PAGE + 1)
    open_ones = (
        sa.select(_q, _p.c.number)
        .join_from(_q, _p, _p.c.id == _q.c.parcel_id)
        .where(_q.c.closed_at.is_(None))
        .order_by(_q.c.asked_at, _q.c.id)
        .limit(100)
    )
    async with visit.hub.storage.reading() as conn:
        found = await storage.every(conn, wanted)
        questions = await storage.every(conn, open_ones)
        carriers = await storage.every(conn, sa.select(tables.tracking_cursors.c.carrier))
    listing = Listing("parcels", _COLUMNS, [_row(visit, row) for row in found[:_PAGE]], visit.path, asked)
    listing.cursor = found[_PAGE - 1]["id"] if len(found) > _PAGE else ""
    names = sorted({row["carrier"] for row in (*carriers, *found)})
    return visit.listed(
        listing,
        "operator/parcels.html",
        is_filtered=any(asked.get(name) for name in ("state", "carrier", "dossier_code")),
        questions=Listing("questions", _QUESTIONS, [_question(visit, it) for it in questions], visit.path, asked),
        states=[(name, visit.words.of("parcel_states", name)) for name in postal_views.STATE_VI],
        carriers=[(name, visit.words.of("systems", name)) for name in names],
    )


def _row(visit: Visit, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "cod_vnd": row["cod_vnd"] or None,
        "state": shown(row["state"]),
        "system": visit.words.of("systems", row["carrier"]),
        "href": visit.link("parcels.one", None, id=row["id"]),
        "dossier": visit.link("dossiers.one", {"story": "post"}, code=row["dossier_code"]),
    }


def shown(state: str) -> str:
    """Give the state as it is shown: a parcel that came back is no result that was returned to a citizen."""
    return "sent_back" if state == "returned" else state


def _question(visit: Visit, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "next": visit.words("parcels.decide_next"),
        "href": visit.link("parcels.one", None, id=row["parcel_id"]),
    }


@routes.page("parcels.one")
async def one(visit: Visit) -> Response:
    """Show one parcel with its way so far."""
    row = await postal_records.read(visit.hub, visit.param("id"))
    view = await postal_records.view(visit.hub, row)
    events = [{**each.model_dump(), "state": shown(each.state)} for each in reversed(view.events)]
    wanted = sa.select(_q).where(_q.c.parcel_id == row["id"]).order_by(_q.c.asked_at)
    async with visit.hub.storage.reading() as conn:
        questions = await storage.every(conn, wanted)
    return visit.page(
        "operator/parcel.html",
        row=row,
        events=Listing("events", _EVENTS, events, visit.path, visit.query),
        questions=questions,
        followed=_followed(visit, row),
        can_cancel=row["state"] in _CANCELLABLE and row["closed_at"] is None,
    )


def _followed(visit: Visit, row: Mapping[str, Any]) -> str:
    """Say what the hub does by itself about a parcel that is under way, and when somebody should call."""
    post, carrier = visit.hub.settings.post, row["carrier"]
    if row["closed_at"] is not None:
        return ""
    if carrier not in post.carriers or carrier not in visit.hub.systems:
        return visit.words("parcels.not_followed", carrier=visit.words.of("systems", carrier))
    if row["booked_at"] is None:
        return visit.words("parcels.followed_booking", hours=post.unknown_hours)
    return visit.words("parcels.followed", late=post.late_days, lost=post.lost_days)


@routes.act("parcels.cancel")
async def cancel(visit: Visit) -> Response:
    """Cancel a parcel that the carrier has not collected."""
    why = operator_acts.reason(visit)
    view = await postal.cancel_by_hand(visit.hub, visit.param("id"), by=visit.who.name, reason=why)
    return visit.go("parcels.one", said="parcels.cancelled", id=view.id)


@routes.act("parcels.decide")
async def decide(visit: Visit) -> Response:
    """Close a question about a parcel."""
    why, number = operator_acts.reason(visit), visit.param("id")
    decision = _DECISIONS.get(visit.text("decision"), "noted")
    await postal_booking.decide(visit.hub, number, decision=decision, by=visit.who.name, reason=why)
    async with visit.hub.storage.reading() as conn:
        of_it = (await conn.execute(sa.select(_q.c.parcel_id).where(_q.c.id == number))).scalar_one()
    return visit.go("parcels.one", said="parcels.decided", id=of_it)
