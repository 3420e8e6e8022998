"""Dossiers: the ones that moved lately, and one with all its stories on a single line of time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response

from lienthong.bus.flows import dossier_rows
from lienthong.console.web import (
    forms,
    operator_lateness,
    operator_outbox,
    operator_story,
    operator_timeline,
    reveals,
)
from lienthong.console.web.listing import Column, Listing
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.core import storage, tables

routes = Routes()
_d, _m, _p = tables.dossiers, tables.messages, tables.procedures
_PAGE = 50
_LATELY = 500
# Office time is counted day by day: what is further away than this is not.
_COUNTED = timedelta(days=400)
_CODE = re.compile(r"[0-9A-Za-z./-]{2,50}")
_COLUMNS = (
    Column("code", "dossier.code", "code", link="href"),
    Column("procedure_code", "dossier.procedure_code", "code", only_in_file=True),
    Column("procedure", "dossier.procedure", link="procedure_href"),
    Column("organisation", "dossier.organisation"),
    Column("status", "dossier.status", "chip", area="status", sorts=True),
    Column("status_at", "dossier.status_at", "ago", sorts=True),
    Column("due_at", "dossier.due", "day", sorts=True),
    Column("left", "dossier.left", "hours", sorts=True),
)
_FACTS = ("code", "procedure_code", "organisation", "status", "status_at", "due_at", "finished_at", "rejected_at")
_SHOWN = (*(_d.c[name] for name in _FACTS), _p.c.name.label("procedure"))
_NAMED = _d.outerjoin(_p, _p.c.code == _d.c.procedure_code)


@routes.page("dossiers")
async def show(visit: Visit) -> Response:
    """List dossiers by the beginning of their code, or those that messages went out for lately."""
    begins = visit.query.get("code", "").strip()
    wanted = sa.select(*_SHOWN).select_from(_NAMED)
    if _CODE.fullmatch(begins):
        wanted = wanted.where(_d.c.code >= begins, _d.c.code < f"{begins}\x7f").order_by(_d.c.code)
        if after := visit.query.get("after", ""):
            wanted = wanted.where(_d.c.code > after)
    else:
        newest = sa.select(_m.c.lane).order_by(_m.c.seq.desc()).limit(_LATELY).subquery()
        wanted = wanted.where(_d.c.code.in_(sa.select(newest.c.lane))).order_by(_d.c.updated_at.desc())
    async with visit.hub.storage.reading() as conn:
        found = await storage.every(conn, wanted.limit(_PAGE + 1))
    listing = Listing("dossiers", _COLUMNS, [_row(visit, row) for row in found[:_PAGE]], visit.path, visit.query)
    if len(found) > _PAGE and _CODE.fullmatch(begins):
        listing.cursor = found[_PAGE - 1]["code"]
    return visit.listed(listing.sorted(), "operator/dossiers.html")


def _row(visit: Visit, row: Mapping[str, Any]) -> dict[str, Any]:
    code = row["procedure_code"]
    return {
        **row,
        "procedure": row["procedure"] or code,
        "procedure_href": visit.link("procedures.one", None, code=code) if row["procedure"] else "",
        "left": _left(visit, row),
        "href": visit.link("dossiers.one", None, code=row["code"]),
    }


def _left(visit: Visit, row: Mapping[str, Any]) -> timedelta | None:
    """Give the office time until a dossier is due, less than nothing where that day is over."""
    due, now, between = row["due_at"], visit.now, visit.hub.calendar.working_hours_between
    is_over = row["finished_at"] or row["rejected_at"] or row["status"] in operator_lateness.OVER
    if due is None or is_over or abs(due - now) > _COUNTED:
        return None
    return between(now, due) if due > now else -between(due, now)


@routes.page("dossiers.one")
async def one(visit: Visit) -> Response:
    """Show one dossier: how it stands, why it is late, and every step of every story."""
    story = await operator_story.read(visit.hub, visit.param("code"))
    items = operator_timeline.items(visit, story)
    counts = operator_timeline.counted(items)
    wanted = visit.query.get("story", "")
    if wanted in operator_timeline.STORIES:
        items = [item for item in items if item.story == wanted]
    late = operator_lateness.why(story, now=visit.now, calendar=visit.hub.calendar)
    return visit.page(
        "operator/dossier.html",
        story=story,
        items=items,
        counts=counts,
        wanted=wanted,
        late=_sentence(visit, late) if late else "",
        proof=visit.link(late.place, None, **late.parts) if late and late.place else "",
        is_overdue=operator_lateness.overdue(story, now=visit.now),
        standing=_standing(visit, story),
        total=sum(counts.values()),
    )


def _sentence(visit: Visit, late: operator_lateness.Late) -> str:
    t = visit.words
    written: dict[str, Any] = {}
    for name, value in late.facts.items():
        if name == "system":
            written[name] = t.of("systems", str(value))
        elif name in ("status", "begun", "ended"):
            written[name] = t.of("status", str(value))
        elif name == "cause":
            written[name] = (operator_outbox.cause(value, t) or value or "?").rstrip(".")
        elif name == "amount":
            written[name] = forms.money(value, t)
        elif isinstance(value, datetime):
            written[name] = forms.moment(value, t)
        elif isinstance(value, timedelta):
            written[name] = forms.office_hours(value, t)
        else:
            written[name] = value
    return t(late.word, **written)


def _standing(visit: Visit, story: operator_story.Story) -> str:
    """Say how long is left, or by how much it is over, in hours of office time."""
    row, t, calendar = story.row, visit.words, visit.hub.calendar
    due, ended = row["due_at"], row["finished_at"] or row["rejected_at"]
    if due is None:
        return t("dossier.no_due")
    if ended is not None:
        if ended <= due:
            return t("dossier.in_time")
        return t("dossier.ended_late", hours=forms.office_hours(calendar.working_hours_between(due, ended), t))
    if due > visit.now:
        return t("dossier.hours_left", hours=forms.office_hours(calendar.working_hours_between(visit.now, due), t))
    return t("dossier.hours_over", hours=forms.office_hours(calendar.working_hours_between(due, visit.now), t))


@reveals.source("dossier.applicant")
async def _applicant(visit: Visit, code: str) -> Mapping[str, str]:
    """Read whose dossier it is, out of its sealed record."""
    async with visit.hub.storage.reading() as conn:
        record = dossier_rows.record(visit.hub, dossier_rows.found(await dossier_rows.row(conn, code)))
    applicant = record.applicant
    return {
        "dossier.applicant": applicant.name,
        "dossier.number": applicant.citizen_id or applicant.tax_code or applicant.identity_number or "–",
        "dossier.phone": applicant.phone or "–",
        "dossier.summary": record.summary,
    }
