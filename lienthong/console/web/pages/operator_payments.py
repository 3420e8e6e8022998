"""Payments: attempts, what a person must decide about them, and money given back by two people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import sqlalchemy as sa
from starlette.responses import Response

from lienthong.bus.flows import payment_desk, payment_refund, table_files
from lienthong.console.web import forms, operator_acts
from lienthong.console.web.listing import Column, Listing
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.core import errors, journal, storage, tables

routes = Routes()
_p, _q, _r = tables.payments, tables.payment_questions, tables.payment_refunds
_PAGE = 50
STATES = ("created", "pending", "paid", "failed", "expired", "needs_person", "refund_requested", "refunded")
_WAITS = ("waiting", "ready", "sending", "accepted", "with_person")
_COLUMNS = (
    Column("reference", "payments.reference", "code", link="href"),
    Column("dossier_code", "payments.dossier", "code", link="dossier"),
    Column("system", "payments.provider"),
    Column("state", "payments.state", "chip", area="payment_states"),
    Column("amount_vnd", "payments.amount", "money"),
    Column("received_vnd", "payments.received", "money"),
    Column("created_at", "payments.created", "ago"),
    Column("paid_at", "payments.paid", "ago"),
)
_QUESTIONS = (
    Column("kind", "payments.question", "words", area="payment_kinds", link="href"),
    Column("reference", "payments.reference", "code"),
    Column("amount_vnd", "payments.amount", "money"),
    Column("asked_at", "payments.since", "ago"),
    Column("facts", "payments.facts"),
    Column("next", "payments.next"),
)
_REFUNDS = (
    Column("dossier_code", "payments.dossier", "code", link="href"),
    Column("system", "payments.provider"),
    Column("amount_vnd", "payments.amount", "money"),
    Column("state", "payments.state", "chip", area="refund_states"),
    Column("asked_by", "payments.asked_by"),
    Column("requested_at", "payments.asked_at", "ago"),
    Column("reason", "payments.reason"),
    Column("approved_by", "payments.approved_by"),
    Column("finished_at", "payments.finished", "ago"),
    Column("next", "payments.next"),
)
_HEARD = (
    Column("at", "payments.at", "moment"),
    Column("name", "payments.message", "code"),
    Column("verdict", "payments.verdict", "words", area="callback_outcomes"),
    Column("reason", "payments.reason"),
)
_STATEMENTS = (
    Column("occurred_at", "payments.at", "moment"),
    Column("kind", "payments.kind", "words", area="statement_words"),
    Column("state", "payments.state", "words", area="statement_words"),
    Column("amount_vnd", "payments.amount", "money"),
    Column("provider_reference", "payments.their_number", "code"),
)


@routes.page("payments")
async def show(visit: Visit) -> Response:
    """List attempts, the newest first; with `open=1` what waits for a person."""
    asked = visit.query
    if asked.get("open"):
        return await _open(visit)
    where = [_p.c[name] == asked[name] for name in ("state", "provider", "dossier_code") if asked.get(name)]
    if asked.get("after"):
        where.append(_p.c.id < asked["after"])
    # Ids sort by time, and have an index.
    wanted = sa.select(*_plain(_p, "record", "started")).where(*where).order_by(_p.c.id.desc()).limit(_PAGE + 1)
    async with visit.hub.storage.reading() as conn:
        found = await storage.every(conn, wanted)
    rows = [_row(visit, row) for row in found[:_PAGE]]
    listing = Listing("payments", _COLUMNS, rows, visit.path, asked)
    listing.cursor = found[_PAGE - 1]["id"] if len(found) > _PAGE else ""
    providers = visit.hub.settings.payments.providers
    return visit.listed(
        listing,
        "operator/payments.html",
        states=[(name, visit.words.of("payment_states", name)) for name in STATES],
        providers=[(name, visit.words.of("systems", name)) for name in providers],
        tabs=await _tabs(visit),
        is_filtered=any(asked.get(name) for name in ("state", "provider", "dossier_code")),
    )


async def _tabs(visit: Visit) -> list[tuple[str, str, int | None]]:
    """Name the three lists, each with how much of it waits for somebody."""
    async with visit.hub.storage.reading() as conn:
        waiting = await storage.every(conn, _counted(_q, _q.c.closed_at.is_(None)))
        refunds = await storage.every(conn, _counted(_r, _r.c.state.in_(_WAITS)))
    found = [
        ("attempts", visit.link("payments"), None),
        ("to_decide", visit.link("payments", {"open": "1"}), waiting[0]["count"]),
        ("refunds", visit.link("refunds"), refunds[0]["count"]),
    ]
    return [(name, href, count) for name, href, count in found if href]


def _plain(table: sa.Table, *sealed: str) -> list[sa.Column[Any]]:
    return [column for column in table.c if column.name not in sealed]


def _counted(table: sa.Table, where: sa.ColumnElement[bool]) -> sa.Select[Any]:
    return sa.select(sa.func.count().label("count")).select_from(table).where(where)


def _row(visit: Visit, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "system": visit.words.of("systems", row["provider"]),
        "href": visit.link("payments.one", None, id=row["id"]),
        "dossier": visit.link("dossiers.one", {"story": "payment"}, code=row["dossier_code"]),
    }


async def _open(visit: Visit) -> Response:
    """List what waits for a person, the oldest first."""
    wanted = (
        sa.select(_q, _p.c.reference)
        .join_from(_q, _p, _p.c.id == _q.c.payment_id)
        .where(_q.c.closed_at.is_(None))
        .order_by(_q.c.asked_at, _q.c.id)
        .limit(500)
    )
    if kind := visit.query.get("kind"):
        wanted = wanted.where(_q.c.kind == kind)
    async with visit.hub.storage.reading() as conn:
        found = await storage.every(conn, wanted)
    rows = [
        {
            **row,
            "facts": _facts(visit, row["facts"]),
            "next": visit.words("payments.decide_next"),
            "href": visit.link("payments.one", None, id=row["payment_id"]),
        }
        for row in found
    ]
    listing = Listing("questions", _QUESTIONS, rows, visit.path, visit.query, total=len(rows))
    return visit.listed(listing, "operator/questions.html", tabs=await _tabs(visit))


def _facts(visit: Visit, facts: Mapping[str, Any]) -> str:
    """Write what a question is about in one line; amounts as amounts."""
    told = []
    for name, value in facts.items():
        if value in (None, ""):
            continue
        written = _fact(visit, name, value)
        told.append(f"{visit.words.of('fact_names', name)}: {written}")
    return "; ".join(told)[:400]


def _fact(visit: Visit, name: str, value: Any) -> str:
    if name.endswith("_vnd") and isinstance(value, int):
        return forms.money(value, visit.words)
    areas = {"how": "known_by", "state": "payment_states", "said": "payment_states"}
    return visit.words.of(areas[name], str(value)) if name in areas else str(value)


@routes.page("payments.one")
async def one(visit: Visit) -> Response:
    """Show one attempt with all that belongs to it."""
    found = await payment_desk.shown(visit.hub, visit.param("id"))
    row, questions = found["payment"], found["questions"]
    left = row["received_vnd"] - row["refunded_vnd"] - _under_way(found["refunds"])
    return visit.page(
        "operator/payment.html",
        row=row,
        owed=found["obligation"],
        questions=[{**it, "told": _facts(visit, it["facts"])} for it in questions],
        refunds=[_refund(visit, it) for it in found["refunds"]],
        heard=Listing("heard", _HEARD, found["messages"], visit.path, visit.query),
        statements=Listing("statements", _STATEMENTS, found["statements"], visit.path, visit.query),
        left=left,
        # Where the money has not come in whole, "let it count" would only be refused.
        may_count=row["state"] == "needs_person" and left == row["amount_vnd"],
        can_ask=row["provider"] in visit.hub.systems,
    )


def _under_way(refunds: list[Mapping[str, Any]]) -> int:
    return sum(row["amount_vnd"] for row in refunds if row["state"] in _WAITS)


def _refund(visit: Visit, row: Mapping[str, Any]) -> dict[str, Any]:
    by = row["requested_by"]
    if row["requested_through"] == "api":
        by = visit.words("payments.said_by_software", name=by)
    word = f"payments.refund_next_{row['state']}"
    is_own = row["requested_by"].strip().casefold() == visit.who.name.casefold()
    return {
        **row,
        "asked_by": by,
        "is_own": is_own,
        "next": visit.words(word) if visit.words.has(word) else "",
        "href": visit.link("payments.one", None, id=row["payment_id"]),
    }


@routes.page("refunds")
async def refunds(visit: Visit) -> Response:
    """List refunds that have no end yet, or with `all=1` every one."""
    found = await payment_desk.refunds(visit.hub, open_only=not visit.query.get("all"))
    rows = [{**_refund(visit, row), "system": visit.words.of("systems", row["provider"])} for row in found]
    listing = Listing("refunds", _REFUNDS, rows, visit.path, visit.query, total=len(rows))
    return visit.listed(listing, "operator/refunds.html", tabs=await _tabs(visit))


# ------------------------------------------------------------------------------------------------------- acts


@routes.act("payments.decide")
async def decide(visit: Visit) -> Response:
    """Close a question: let the money count, or only take note."""
    why = operator_acts.reason(visit)
    decision: Literal["accept", "noted"] = "accept" if visit.text("decision") == "accept" else "noted"
    number = visit.param("id")
    await payment_refund.close_question(visit.hub, number, decision=decision, by=visit.who.name, reason=why)
    async with visit.hub.storage.reading() as conn:
        of_it = (await conn.execute(sa.select(_q.c.payment_id).where(_q.c.id == number))).scalar_one()
    return visit.go("payments.one", said="payments.decided", id=of_it)


@routes.act("payments.ask")
async def ask(visit: Visit) -> Response:
    """Ask the intermediary how an attempt stands; that it was asked, and why, is written down first."""
    why, number = operator_acts.reason(visit), visit.param("id")
    async with visit.hub.storage.transaction() as tx:
        await journal.write_act(tx, "payments.ask", number, actor=visit.who.name, now=visit.now, reason=why)
    row = await payment_desk.ask(visit.hub, number)
    return visit.go("payments.one", said="payments.asked_said", id=row["id"])


@routes.act("refunds.request")
async def request(visit: Visit) -> Response:
    """Ask for money to be given back."""
    why, given = operator_acts.reason(visit), visit.text("amount")
    amount = table_files.whole_number(given)
    if given and amount is None:
        vi, en = "Số tiền là số đồng nguyên, như 150.000.", "The amount is in whole đồng, like 150.000."
        raise errors.InvalidRequest(problems=(errors.FieldProblem("amount", vi, en),))
    row = (await payment_desk.shown(visit.hub, visit.param("id")))["payment"]
    by = visit.who.name
    await payment_refund.request_at_desk(visit.hub, row["id"], amount_vnd=amount, reason=why, by=by)
    return visit.go("payments.one", said="payments.refund_asked", id=row["id"])


@routes.act("refunds.approve")
async def approve(visit: Visit) -> Response:
    """Approve a refund, as another person than who asked; why may be said."""
    why, by = visit.text("reason")[:500], visit.who.name
    view = await payment_refund.approve(visit.hub, visit.param("id"), by=by, reason=why)
    return await _back(visit, view.id, "payments.refund_approved")


@routes.act("refunds.decline")
async def decline(visit: Visit) -> Response:
    """Decline a refund."""
    why = operator_acts.reason(visit)
    view = await payment_refund.decline(visit.hub, visit.param("id"), by=visit.who.name, reason=why)
    return await _back(visit, view.id, "payments.refund_declined")


@routes.act("refunds.resolve")
async def resolve(visit: Visit) -> Response:
    """Say how a refund ended that the intermediary does not tell of."""
    why = operator_acts.reason(visit)
    outcome: Literal["done", "refused"] = "done" if visit.text("outcome") == "done" else "refused"
    by = visit.who.name
    view = await payment_refund.resolve(visit.hub, visit.param("id"), outcome=outcome, by=by, reason=why)
    return await _back(visit, view.id, "payments.refund_resolved")


async def _back(visit: Visit, refund: str, said: str) -> Response:
    async with visit.hub.storage.reading() as conn:
        number = (await conn.execute(sa.select(_r.c.payment_id).where(_r.c.id == refund))).scalar_one()
    return visit.go("payments.one", said=said, id=number)
