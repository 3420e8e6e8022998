"""The settings in force, secrets masked, and the risks that they carry."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from lienthong.bus.flows import folding
from lienthong.console.web.listing import Column, Listing
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.core import settings
from lienthong.monitoring import health

routes = Routes()


@routes.page("settings")
async def show(visit: Visit) -> Response:
    """List every setting; `q` narrows by a part of the name."""
    found = dict(_flat("LIENTHONG", settings.masked(visit.hub.settings)))
    plain = dict(_flat("LIENTHONG", settings.masked(settings.Settings())))
    wanted = folding.fold(visit.query.get("q", ""))
    rows: list[dict[str, Any]] = [
        {"name": name, "value": value, "set": "set" if plain.get(name, "") != value else "default"}
        for name, value in sorted(found.items())
        if wanted in folding.fold(name)
    ]
    if visit.query.get("only") == "set":
        rows = [row for row in rows if row["set"] == "set"]
    columns = (
        Column("name", "settings.name", "code", sorts=True),
        Column("value", "settings.value"),
        Column("set", "settings.set", "words", area="settings", sorts=True),
    )
    listing = Listing("settings", columns, rows, visit.path, visit.query, total=len(rows)).sorted()
    return visit.listed(listing, "settings.html", risks=health.risks(visit.hub.settings))


def _flat(prefix: str, tree: dict[str, Any]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in tree.items():
        path = f"{prefix}_{name.upper()}" if prefix == "LIENTHONG" else f"{prefix}__{name.upper()}"
        found += _flat(path, value) if isinstance(value, dict) else [(path, value)]
    return found
