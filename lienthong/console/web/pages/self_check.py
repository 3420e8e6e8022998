"""The self-check at the desk: everything that the hub leans on, each with the sentence that helps."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response

from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.core import errors, records
from lienthong.monitoring import health

routes = Routes()
_STATES = ("failed", "dead", "risk", "not_yet", "ok", "unused")


@routes.page("check")
async def show(visit: Visit) -> Response:
    """Show the page at once; the answers of other systems are waited for by the page itself."""
    return visit.page("catalogue/check.html", results=None)


@routes.page("check.results")
async def results(visit: Visit) -> Response:
    """Run every check and tell what came of it; nothing is changed by it."""
    found = await health.check_everything(visit.hub)
    return visit.page("catalogue/check.html", results=told(visit, found))


def told(visit: Visit, found: Sequence[records.CheckResult]) -> list[dict[str, str]]:
    """Put results into rows in the visitor's language, what is wrong first."""
    rows = [
        {
            "state": _state(it),
            "name": it.name.partition(":")[0],
            "part": visit.words.of("check_parts", it.name.partition(":")[2].strip()),
            "href": visit.link("systems.one", None, name=it.name.partition(":")[0])
            if it.name.partition(":")[0] in visit.hub.systems
            else "",
            "told": it.en if visit.words.language == "en" else it.vi,
        }
        for it in found
    ]
    return sorted(rows, key=lambda row: _STATES.index(row["state"]))


def _state(it: records.CheckResult) -> str:
    """Name how it stands: what cannot be reached is not broken, and what is not used is not good."""
    if not it.ok:
        return "dead" if it.facts.get("code") == errors.RemoteUnavailable.code else "failed"
    told = it.facts.get("state", "ok")
    return "risk" if it.facts.get("risk") else told if told in _STATES else "ok"
