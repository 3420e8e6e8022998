"""Reconciliation: where our book and the intermediaries' do not agree, and the statements that were compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from lienthong.bus.flows import reconciliation
from lienthong.console.web import operator_acts
from lienthong.console.web.listing import Column, Listing
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit

routes = Routes()
_MOST = 200
KINDS = (
    "missing_with_us",
    "missing_with_them",
    "amount_differs",
    "state_differs",
    "twice_with_them",
    "unknown_reference",
    "refund_differs",
    "fee_noted",
)
_DIFFERENCES = (
    Column("kind", "reconciliation.difference", "words", area="reconciliation_kinds", link="href"),
    Column("day", "reconciliation.day", "day"),
    Column("system", "reconciliation.provider"),
    Column("our_reference", "reconciliation.our_reference", "code"),
    Column("provider_reference", "reconciliation.their_reference", "code"),
    Column("ours_vnd", "reconciliation.ours", "money"),
    Column("theirs_vnd", "reconciliation.theirs", "money"),
    Column("found_at", "reconciliation.found", "ago"),
    Column("next", "reconciliation.next"),
)
_RUNS = (
    Column("made_at", "reconciliation.made", "ago", link="href"),
    Column("system", "reconciliation.provider"),
    Column("state", "reconciliation.state", "chip", area="reconciliation_states"),
    Column("day_from", "reconciliation.day_from", "day"),
    Column("day_until", "reconciliation.day_until", "day"),
    Column("file_name", "reconciliation.file"),
    Column("made_by", "reconciliation.made_by"),
    Column("told", "reconciliation.counts"),
)


@routes.page("reconciliation")
async def show(visit: Visit) -> Response:
    """List the open differences, and what was compared last."""
    asked = visit.query
    found = await reconciliation.differences(
        visit.hub,
        open_only=not asked.get("closed"),
        provider=asked.get("provider") or None,
        kind=asked.get("kind") or None,
        limit=_MOST,
    )
    runs = await reconciliation.listed(visit.hub, limit=20)
    rows = [_difference(visit, row) for row in found]
    listing = Listing("differences", _DIFFERENCES, rows, visit.path, asked, total=len(rows))
    providers = visit.hub.settings.payments.providers
    return visit.listed(
        listing,
        "operator/reconciliation.html",
        runs=Listing("runs", _RUNS, [_run(visit, row) for row in runs], visit.path, asked),
        providers=[(name, visit.words.of("systems", name)) for name in providers],
        kinds=[(name, visit.words.of("reconciliation_kinds", name)) for name in KINDS],
    )


def _difference(visit: Visit, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "system": visit.words.of("systems", row["provider"]),
        "next": "" if row["closed_at"] else visit.words("reconciliation.close_next"),
        "href": visit.link("reconciliation.one", {"at": row["id"]}, id=row["reconciliation_id"]),
    }


def _run(visit: Visit, row: Mapping[str, Any]) -> dict[str, Any]:
    counts = (f"{visit.words.of('reconciliation_kinds', name)}: {value}" for name, value in row["counts"].items())
    return {
        **row,
        "system": visit.words.of("systems", row["provider"]),
        "told": "; ".join(counts),
        "href": visit.link("reconciliation.one", None, id=row["id"]),
    }


@routes.page("reconciliation.one")
async def one(visit: Visit) -> Response:
    """Show one comparison with its differences, each with its button."""
    run = await reconciliation.one(visit.hub, visit.param("id"))
    found = await reconciliation.differences(visit.hub, open_only=False, reconciliation=run["id"], limit=_MOST)
    wanted = visit.query.get("at", "")
    chosen = [row for row in found if row["id"] == wanted]
    others = [row for row in found if row["id"] != wanted]
    lines = [
        {**row, "payment": visit.link("payments.one", None, id=row["payment_id"]) if row["payment_id"] else ""}
        for row in (*chosen, *others)
    ]
    return visit.page("operator/compared.html", run=_run(visit, run), lines=lines)


@routes.act("reconciliation.close")
async def close(visit: Visit) -> Response:
    """Close a difference with a reason; no money moves."""
    why = operator_acts.reason(visit)
    await reconciliation.close(visit.hub, visit.param("id"), by=visit.who.name, reason=why)
    return visit.go("reconciliation", said="reconciliation.closed_said")


@routes.act("reconciliation.approve")
async def approve(visit: Visit) -> Response:
    """Approve a statement that waits for a second person."""
    done = await reconciliation.approve(visit.hub, visit.param("id"), by=visit.who.name)
    return visit.go("reconciliation.one", said="reconciliation.approved", id=done.id)
