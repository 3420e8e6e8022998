"""The settings in force, secrets masked, and the risks that they carry."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from lienthong.bus.flows import folding
from lienthong.console.web.listing import Column, Listing
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.core import settings, settings_tree
from lienthong.monitoring import health

routes = Routes()


@routes.page("settings")
async def show(visit: Visit) -> Response:
    """List every setting; `q` narrows by a part of the name."""
    found = dict(settings_tree.flat("LIENTHONG", settings.masked(visit.hub.settings)))
    plain = dict(settings_tree.flat("LIENTHONG", settings.masked(settings.Settings())))
    wanted = folding.fold(visit.query.get("q", ""))
    rows: list[dict[str, Any]] = [
        {"name": name, "value": value, "set": "set" if plain.get(name, "") != value else "default"}
        for name, value in sorted(found.items())
        if wanted in folding.fold(name)
    ]
    if visit.query.get("only") == "set":
        rows = [row for row in rows if row["set"] == "set"]
    columns = (
        Column("name", "settings.name", "setting", sorts=True),
        Column("value", "settings.value"),
        Column("set", "settings.whence", "words", area="settings", sorts=True),
    )
    listing = Listing("settings", columns, rows, visit.path, visit.query, total=len(rows)).sorted()
    return visit.listed(listing, "settings.html", risks=health.risks(visit.hub.settings))
