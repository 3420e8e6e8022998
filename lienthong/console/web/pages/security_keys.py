"""Keys at risk: each with what speaks against it, the stated maximum, and one that would do."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from lienthong.console.web import forms, security_reading
from lienthong.console.web.listing import Column, Listing
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.monitoring import key_risks

routes = Routes()
_COLUMNS = (
    Column("prefix", "risks.key", "code", link="href", sorts=True),
    Column("organisation", "risks.organisation", sorts=True),
    Column("state", "risks.state", "chip", area="key_states", sorts=True),
    Column("risks", "risks.risks", sorts=True),
    Column("next", "risks.next"),
    Column("last_used_at", "risks.last_used", "ago", sorts=True),
    Column("addresses", "risks.addresses", "number", link="records_href", sorts=True),
    Column("busiest_hour", "risks.busiest_hour", "number", sorts=True),
    Column("stated", "risks.stated", "number", sorts=True),
    Column("suggested", "risks.suggested", "number", sorts=True),
    Column("limited", "risks.limited", "number", link="limited_href", sorts=True),
)


@routes.page("key_risks")
async def show(visit: Visit) -> Response:
    """List the keys that carry a risk, those with the most first."""
    found = await key_risks.listed(security_reading.sources(visit.hub), now=visit.now)
    counts = {kind: sum(kind in it.risks for it in found) for kind in key_risks.KINDS}
    wanted = visit.query.get("risk", "")
    rows = [_row(visit, it) for it in found if not wanted or wanted in it.risks]
    listing = Listing("key-risks", _COLUMNS, rows, visit.path, visit.query, total=len(rows)).sorted()
    return visit.listed(listing, "security/risks.html", counts=counts)


def _row(visit: Visit, it: key_risks.KeyRisk) -> dict[str, Any]:
    limited = {"key_id": it.key.id, "outcome": "Client.LimitExceeded", "range": "30d"}
    return {
        "prefix": f"{it.key.prefix}…",
        "organisation": f"{it.key.organisation}, {it.key.system}",
        "state": it.state,
        "risks": ", ".join(_told(visit, it, kind) for kind in it.risks),
        "next": visit.words(f"risks.do_{it.risks[0]}"),
        "last_used_at": it.last_used_at,
        "addresses": it.addresses,
        "busiest_hour": it.busiest_hour,
        "stated": it.stated_an_hour,
        "suggested": it.suggested_an_hour,
        "limited": it.limited,
        "href": visit.link("keys.one", None, id=it.key.id),
        "records_href": visit.link("records", {"key_id": it.key.id, "range": "30d"}),
        "limited_href": visit.link("records", limited) if it.limited else "",
    }


def _told(visit: Visit, it: key_risks.KeyRisk, kind: str) -> str:
    if kind == key_risks.LIMITED:
        return visit.words("risks.was_limited", count=forms.number(it.limited, visit.words))
    return visit.words(f"risks.is_{kind}")
