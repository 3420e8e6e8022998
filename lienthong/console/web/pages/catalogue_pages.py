"""The catalogue of procedures: searched without diacritics, one procedure, its versions side by side."""

from __future__ import annotations

import functools
from typing import Any, get_args

import orjson
import sqlalchemy as sa
from starlette.responses import Response

from lienthong.bus.flows import procedure_catalogue, procedure_changes
from lienthong.console.web.listing import Column, Listing
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.console.web.words import Words
from lienthong.core import errors, records, storage, tables
from lienthong.mappings import oddities

routes = Routes()
_v = tables.procedure_versions
_PAGE, _EXPORT = 50, 200
_STATUSES = ("active", "withdrawn", "all")
_COLUMNS = (
    Column("code", "catalogue.code", "code", link="href"),
    Column("name", "catalogue.name", link="href"),
    Column("field_name", "catalogue.field"),
    Column("agency_name", "catalogue.agency"),
    Column("levels", "catalogue.levels"),
    Column("status", "catalogue.status", "chip"),
    Column("version", "catalogue.version", "number"),
    Column("changed_at", "catalogue.changed", "ago"),
)


@routes.page("procedures")
async def show(visit: Visit) -> Response:
    """Find procedures by words without diacritics, a code, a field, an agency or a level."""
    asked, levels = visit.query, [level.value for level in records.Level]
    query = procedure_catalogue.ProcedureQuery(
        q=asked.get("q", ""),
        field=asked.get("field", ""),
        agency=asked.get("agency", ""),
        level=records.Level(asked["level"]) if asked.get("level") in levels else None,
        status=_status(asked.get("status", "")),
        limit=_EXPORT if asked.get("export") == "csv" else _PAGE,
    )
    # A cursor is longer than what `query` lets through.
    after = visit.request.query_params.get("after", "")[:500]
    found = await procedure_catalogue.list_procedures(visit.hub, query.model_copy(update={"cursor": after}))
    rows = [
        {
            **it.model_dump(exclude={"levels"}),
            # An active system works; an active procedure is in force.
            "status": "in_force" if it.status == "active" else it.status,
            "levels": ", ".join(visit.words.of("levels", level) for level in it.levels),
            "href": visit.link("procedures.one", None, code=it.code),
        }
        for it in found.items
    ]
    listing = Listing("procedures", _COLUMNS, rows, visit.path, asked, total=found.total)
    listing.cursor = found.next_cursor or ""
    return visit.listed(
        listing, "catalogue/procedures.html", levels=levels, statuses=_STATUSES, chosen=query.status
    )


def _status(asked: str) -> Any:
    known = get_args(procedure_catalogue.ProcedureQuery.model_fields["status"].annotation)
    return asked if asked in known else "active"


@routes.page("procedures.one")
async def one(visit: Visit) -> Response:
    """Show a procedure as it stands or as `version` had it; with `old` and `new`, two versions side by side."""
    code = visit.param("code")
    view = await procedure_catalogue.get_procedure(visit.hub, code, version=_number(visit, "version"))
    versions = (await procedure_catalogue.list_versions(visit.hub, code)).items
    old, new = _number(visit, "old"), _number(visit, "new")
    differs = None
    if old is not None and new is not None:
        contents = await _contents(visit, view.procedure.code, (old, new))
        differs = procedure_changes.compare(contents[old], contents[new])
    return visit.page(
        "catalogue/procedure.html",
        view=view,
        facts=_facts(visit, view.procedure),
        part=functools.partial(part, visit.words),
        versions=versions,
        old=old or (versions[1].version if len(versions) > 1 else 1),
        new=new or versions[0].version,
        differs=differs,
        odd=[(it, _what(visit, it)) for it in view.oddities],
    )


def _number(visit: Visit, name: str) -> int | None:
    given = visit.query.get(name, "")
    return int(given) if given.isascii() and given.isdigit() else None


async def _contents(visit: Visit, code: str, wanted: tuple[int, int]) -> dict[int, procedure_changes.Content]:
    possible = [number if number < 2**31 else 0 for number in wanted]
    asked = sa.select(_v.c.version, _v.c.record).where(_v.c.code == code, _v.c.version.in_(possible))
    async with visit.hub.storage.reading() as conn:
        rows = await storage.every(conn, asked)
    found = {row["version"]: procedure_changes.unpack(row["record"]) for row in rows}
    for number in wanted:
        if number not in found:
            raise errors.NotFound(
                f"the procedure has no version {number}", detail_vi=f"Thủ tục không có phiên bản {number}."
            )
    return found


def part(words: Words, field: str, label_vi: str) -> str:
    """Name a part of a procedure in the reader's language; the record itself has the Vietnamese term."""
    return label_vi if words.language == "vi" else words.of("procedure_parts", field)


def _facts(visit: Visit, procedure: records.Procedure) -> list[tuple[str, str]]:
    """Give what is said of a procedure by the terms of its parts, as a comparison with nothing would."""
    content = orjson.loads(procedure_changes.written(procedure))
    blank = {name: content.get(name) for name in ("code", "name")}
    found = procedure_changes.compare(blank, content)
    return [(part(visit.words, it["field"], it["label_vi"]), it["new"]) for it in found if it["new"]]


def _what(visit: Visit, it: records.Oddity) -> str:
    found = next((kind for kind in oddities.Kind if kind.value == it.kind), None)
    if found is None:
        return it.kind
    return found.en if visit.words.language == "en" else found.vi
