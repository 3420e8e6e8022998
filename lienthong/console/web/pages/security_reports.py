"""Reporting misuse to the security officer: from the page of a key, an official, a dossier, or one's own."""

from __future__ import annotations

import sqlalchemy as sa
from starlette.responses import Response

from lienthong.api_keys import keys, officials
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.core import errors, storage, tables
from lienthong.monitoring import misuse_reports
from lienthong.monitoring.detectors import findings

routes = Routes()


@routes.act("alerts.report")
async def report(visit: Visit) -> Response:
    """Report misuse; whoever does so comes back to where they were."""
    who = await _whom(visit, visit.text("about"), visit.text("subject"))
    text = visit.text("text")
    await misuse_reports.report(visit.hub.storage, who, text, actor=visit.who.name, now=visit.now)
    return visit.go("overview", to=visit.text("to"), said="alerts.reported")


async def _whom(visit: Visit, about: str, subject: str) -> findings.Who:
    """Say whom a report is about. Raises NotFound for what is not there."""
    if not about:
        return findings.Who()
    store = visit.hub.storage
    if about == "key":
        return findings.Who(key=(await keys.show(store, subject)).id)
    if about == "official" and (found := await officials.find(store, visit.hub.vault, subject)):
        return findings.Who(official=found.code)
    if about == "dossier":
        asked = sa.select(tables.dossiers.c.code).where(tables.dossiers.c.code == subject)
        async with store.reading() as conn:
            if await storage.first(conn, asked):
                return findings.Who(operation=f"dossier {subject}"[:120])
    raise errors.NotFound()
