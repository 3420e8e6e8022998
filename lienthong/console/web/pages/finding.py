"""The search over everything, and showing what is masked after a reason."""

from __future__ import annotations

from starlette.responses import Response

from lienthong.console.web import reveals, search
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit

routes = Routes()


def _session(visit: Visit) -> str:
    return visit.session.id if visit.session else ""


@routes.act("search")
async def look_for(visit: Visit) -> Response:
    """Take what was typed and go to what it means: the address holds it sealed, a person's number not at all."""
    meaning = search.understand(visit.text("q"))
    return visit.go("found", token=search.sealed(visit.hub, meaning, session=_session(visit)))


@routes.page("found")
async def found(visit: Visit) -> Response:
    """Show what was found; a single one that has a page is opened at once."""
    meaning = search.unsealed(visit.hub, str(visit.request.path_params["token"]), session=_session(visit))
    if meaning.kind == "person" and visit.may("people.lookers"):
        return visit.go("people.lookers")
    findings = await search.find(visit.hub, meaning)
    rows = [(it, visit.link(it.place, None, **it.parts)) for it in findings]
    if len(rows) == 1 and rows[0][1]:
        return visit.go(findings[0].place, **findings[0].parts)
    return visit.page("found.html", meaning=meaning, rows=rows)


@routes.act("reveal")
async def reveal(visit: Visit) -> Response:
    """Show a masked value once the reason is written down."""
    values = await reveals.read(visit, visit.text("source"), visit.text("subject"), reason=visit.text("reason"))
    return visit.page("revealed.html", values=values, subject=visit.text("subject"))
