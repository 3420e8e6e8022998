"""The yearly review (NA 18.2): a period is chosen, and the report is shown to print, or given as a workbook."""

from __future__ import annotations

import asyncio
from datetime import date

from starlette.responses import HTMLResponse, Response

from lienthong.api_keys import official_entries
from lienthong.bus.flows import lookup_book
from lienthong.console import review_report
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.core import clock, errors
from lienthong.monitoring import reviews

routes = Routes()
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@routes.page("reviews")
async def show(visit: Visit) -> Response:
    """Ask for the period; last year is proposed."""
    year = visit.now.astimezone(clock.VIETNAM).year - 1
    return visit.page("security/reviews.html", first=date(year, 1, 1), last=date(year, 12, 31))


@routes.act("reviews.make")
async def make(visit: Visit) -> Response:
    """Gather the review of a period and give it as a file; that it was read is written down."""
    first, last = visit.day("first"), visit.day("last")
    since, until = official_entries.begins(first), official_entries.ends(last)
    if last < first:
        vi, en = "Ngày cuối trước ngày đầu.", "The last day is before the first."
        raise errors.InvalidRequest(problems=(errors.FieldProblem("last", vi, en),))
    about = f"{first:%d/%m/%Y} – {last:%d/%m/%Y}"
    reason = visit.text("reason")
    await lookup_book.read_by(visit.hub, "report.review", about, actor=visit.who.name, reason=reason)
    found = await reviews.review(visit.hub.storage, since=since, until=until)
    agency, name = visit.hub.settings.agency.name, f"ra-soat-{first:%Y%m%d}-{last:%Y%m%d}"
    if visit.text("form") == "html":
        # Its own style stands inside the page, which these pages forbid: it is opened from the disk.
        page = review_report.page(found, agency=agency, made_at=visit.now)
        headers = {"content-disposition": f'attachment; filename="{name}.html"'}
        return HTMLResponse(page, headers=headers)
    book = await asyncio.to_thread(review_report.workbook, found, agency=agency, made_at=visit.now)
    headers = {"content-disposition": f'attachment; filename="{name}.xlsx"'}
    return Response(book, media_type=_XLSX, headers=headers)
