"""Code lists and mappings as people read them: what a thing is called over there, and what has no translation."""

from __future__ import annotations

import asyncio
import csv
import functools
import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
import yaml
from starlette.responses import Response

from lienthong.bus.flows import folding
from lienthong.console.web import operator_outbox, version_history
from lienthong.console.web.listing import Column, Kind, Listing
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.core import errors, storage, tables
from lienthong.mappings import engine, history, paths, schema

routes = Routes()
_m, _p = tables.messages, tables.procedures
_FILES = resources.files("lienthong.mappings").joinpath("codes")
_NOTES = resources.files("lienthong.mappings").joinpath("notes_vi.yml")
_PAGE = 200
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MOST_UNMAPPED = 200
_UNMAPPED = ("Server.Hub.UnmappedCode", "Server.Hub.UnmappedField")
_ODD = ("unmapped_code", "unknown_field")
_MAPPINGS = (
    Column("title", "mappings.contract", link="href", sorts=True),
    Column("name", "mappings.name_of", "code", sorts=True),
    Column("is_on", "mappings.state", "words", area="mappings", sorts=True),
    Column("messages", "mappings.messages", "number", sorts=True),
    Column("fields", "mappings.fields", "number", sorts=True),
    Column("codes", "mappings.codes", "number", sorts=True),
    Column("examples", "mappings.examples", "number", sorts=True),
    Column("digest", "mappings.digest", "code", only_in_file=True),
    Column("since", "mappings.in_force", "ago", sorts=True),
)
_LISTS = (
    Column("title", "codes.list", link="href"),
    Column("count", "codes.count", "number"),
    Column("state", "codes.state", "chip", area="codes"),
    Column("origin", "codes.origin", "words", area="codes"),
    Column("renewed_at", "codes.renewed", "ago"),
)
# The lists that the hub keeps in its database, with when each row was last seen or holds from.
_KEPT: dict[str, tuple[sa.Table, tuple[tuple[str, Kind], ...]]] = {
    "agencies": (
        tables.agencies,
        (("code", "code"), ("name", "text"), ("level", "text"), ("seen_at", "ago")),
    ),
    "fields": (
        tables.administrative_fields,
        (("code", "code"), ("name", "text"), ("sector", "text"), ("seen_at", "ago")),
    ),
    "communes": (
        tables.places,
        (("code", "code"), ("name", "text"), ("kind", "text"), ("province_code", "code"), ("valid_from", "day")),
    ),
    "old_communes": (
        tables.place_changes,
        (("old_code", "code"), ("old_name", "text"), ("new_code", "code"), ("divided", "text")),
    ),
}


@routes.page("mappings")
async def show(visit: Visit) -> Response:
    """List the contracts and what came without a translation."""
    specs, since = await asyncio.gather(asyncio.to_thread(_every_spec), history.since(visit.hub.storage))
    rows = [
        {
            "name": name,
            "title": _title(visit, name, spec),
            "is_on": "is_on" if name in visit.hub.systems else "is_off",
            "messages": len(spec.messages),
            "fields": sum(len(it.fields) for it in spec.messages.values()),
            "codes": sum(len(it.values) + len(it.also) for it in spec.codes.values()),
            "examples": len(spec.examples),
            "digest": _digest(name)[:12],
            "since": since.get(f"{name}.yml"),
            "href": visit.link("mappings.one", None, name=name),
        }
        for name, spec in specs.items()
    ]
    listing = Listing("mappings", _MAPPINGS, rows, visit.path, visit.query, total=len(rows)).sorted()
    stuck, odd = await asyncio.gather(_stuck(visit), _odd(visit))
    return visit.listed(listing, "catalogue/mappings.html", stuck=stuck, odd=odd)


@routes.page("mappings.one")
async def one(visit: Visit) -> Response:
    """Show one contract: codes beside our words, fields beside ours, what is left out and why."""
    name = visit.param("name")
    spec = (await asyncio.to_thread(_every_spec)).get(name)
    if spec is None:
        raise errors.NotFound("there is no such mapping", detail_vi="Không có bảng ánh xạ này.")
    return visit.page(
        "catalogue/mapping.html",
        name=name,
        title=_title(visit, name, spec),
        spec=spec,
        digest=_digest(name),
        versions=version_history.changes(await history.of(visit.hub.storage, f"{name}.yml")),
        messages=await asyncio.to_thread(_told, name),
        note=functools.partial(_note, visit),
        is_on=name in visit.hub.systems,
        stuck=[it for it in await _stuck(visit) if it["target"] == name],
    )


def _title(visit: Visit, name: str, spec: schema.MappingSpec) -> str:
    """Name a system at length as its mapping does in Vietnamese; in English, as everywhere on the desks."""
    return spec.title if visit.words.language == "vi" else visit.words.of("systems", name)


def _note(visit: Visit, text: str) -> str:
    """Give a note of a mapping file in the reader's language; the files have them in English."""
    return notes().get(text, text) if visit.words.language == "vi" else text


@functools.cache
def notes() -> Mapping[str, str]:
    """Read the Vietnamese of every note, by its English."""
    found: Mapping[str, str] = yaml.safe_load(_NOTES.read_text(encoding="utf-8"))
    return found


@functools.cache
def _every_spec() -> Mapping[str, schema.MappingSpec]:
    return {path.stem: schema.read(path) for path in sorted(Path(engine.SYSTEMS).glob("*.yml"))}


@functools.cache
def _digest(name: str) -> str:
    return hashlib.sha256((Path(engine.SYSTEMS) / f"{name}.yml").read_bytes()).hexdigest()


@functools.cache
def _told(name: str) -> list[dict[str, Any]]:
    """Put each message into lines: their name, ours, what ours is called here, and how one becomes the other."""
    found = []
    for title, message in _every_spec()[name].messages.items():
        fields = [
            {
                "wire": ", ".join(it.wire) or "–",
                "record": ", ".join((*it.record, *it.uses)) or "–",
                "term": _term(message.record, it.record),
                "how": _how(it),
                "required": it.required,
                "remark": it.remark,
            }
            for it in message.fields
        ]
        found.append({"name": title, "spec": message, "fields": fields})
    return found


def _term(record: str, spots: tuple[str, ...]) -> str:
    return "; ".join(notes().get(text, text) for text in terms(record, spots))


def terms(record: str, spots: tuple[str, ...]) -> list[str]:
    """Give what our record says of its fields: in Vietnamese but for records that no caller sees."""
    of = paths.record_class(record)
    told = [paths.resolve(of, spot).description or "" for spot in spots if spot]
    return list(dict.fromkeys(text for text in told if text))


def _how(it: schema.FieldSpec) -> str:
    """Name the form of a field in one word of the mapping file, with its argument."""
    forms = {"as": it.transform, "codes": it.codes, "items": it.items, "one": it.one}
    forms |= {"inline": it.inline, "each": it.each, "pair": it.pair}
    told = [f"{form}: {value}" for form, value in forms.items() if value]
    return ", ".join([*told, *([f"max: {it.max}"] if it.max else [])])


async def _stuck(visit: Visit) -> list[dict[str, Any]]:
    """Group messages that are stuck because a code or field has no translation."""
    words = (_m.c.target, _m.c.last_code, _m.c.last_error)
    asked = (
        sa.select(*words, sa.func.count().label("count"), sa.func.min(_m.c.created_at).label("since"))
        .where(_m.c.state == "dead", _m.c.last_code.in_(_UNMAPPED))
        .group_by(*words)
        .order_by(sa.desc("count"))
        .limit(_MOST_UNMAPPED)
    )
    async with visit.hub.storage.reading() as conn:
        rows = await storage.every(conn, asked)
    return [
        {
            **row,
            "cause": operator_outbox.cause(row["last_code"], visit.words),
            "href": visit.link("messages", {"state": "dead", "target": row["target"], "code": row["last_code"]}),
            "mapping": visit.link("mappings.one", None, name=row["target"]),
        }
        for row in rows
    ]


async def _odd(visit: Visit) -> list[dict[str, Any]]:
    """Count the codes and fields of the procedures that came and have no translation."""
    text = sa.cast(_p.c.oddities, sa.Text)
    wanted = sa.or_(*(text.like(f"%{kind}%") for kind in _ODD))
    async with visit.hub.storage.reading() as conn:
        rows = await storage.every(conn, sa.select(_p.c.source, _p.c.code, text.label("found")).where(wanted))
    counted: Counter[tuple[str, str, str, str]] = Counter()
    first: dict[tuple[str, str, str, str], str] = {}
    for row in rows:
        for it in orjson.loads(row["found"]):
            if it["kind"] in _ODD:
                place = (row["source"], it["kind"], it["field"], it["seen"])
                counted[place] += 1
                first.setdefault(place, row["code"])
    return [
        {
            "source": place[0],
            "kind": place[1],
            "field": place[2],
            "seen": place[3],
            "count": count,
            "example": first[place],
            "href": visit.link("procedures.one", None, code=first[place]),
        }
        for place, count in counted.most_common(_MOST_UNMAPPED)
    ]


# ------------------------------------------------------------------------------------------------- code lists


@routes.page("codes")
async def lists(visit: Visit) -> Response:
    """List the code lists with how many rows each has and when it was last renewed."""
    rows: list[dict[str, Any]] = []
    async with visit.hub.storage.reading() as conn:
        for name, (table, columns) in _KEPT.items():
            at = sa.func.max(table.c.seen_at) if "seen_at" in dict(columns) else sa.null()
            count, renewed = (await conn.execute(sa.select(sa.func.count(), at).select_from(table))).one()
            rows.append(_list_row(visit, name, count, "kept", renewed))
    since = await history.since(visit.hub.storage)
    for name, (_, content) in (await asyncio.to_thread(_files)).items():
        changed_at = since.get(f"{name.removeprefix('file_')}.csv")
        rows.append(_list_row(visit, name, len(content), "shipped", changed_at))
    listing = Listing("codes", _LISTS, rows, visit.path, visit.query, total=len(rows))
    return visit.listed(listing, "catalogue/codes.html")


def _list_row(visit: Visit, name: str, count: int, origin: str, renewed: Any) -> dict[str, Any]:
    return {
        "title": visit.words.of("codes", name),
        "count": count,
        "state": "ok" if count else "not_yet",
        "origin": f"{name}_from" if origin == "kept" else "shipped",
        "renewed_at": renewed,
        "href": visit.link("codes.one", None, name=name),
    }


@routes.page("codes.one")
async def one_list(visit: Visit) -> Response:
    """Show one code list with its history: what replaced what, and since when; `q` needs no diacritics."""
    name, wanted = visit.param("name"), folding.fold(visit.query.get("q", "")).split()
    kinds, rows = await _rows(visit, name)
    rows = [row for row in rows if all(word in folding.fold(" ".join(map(str, row.values()))) for word in wanted)]
    after = visit.after
    columns = [Column(it, f"codes.column_{it}", kind) for it, kind in kinds]
    is_file = visit.query.get("export") == "csv"
    shown = rows if is_file else rows[after : after + _PAGE]
    listing = Listing(name, columns, shown, visit.path, visit.query, total=len(rows))
    listing.cursor = str(after + _PAGE) if not is_file and len(rows) > after + _PAGE else ""
    file = f"{name.removeprefix('file_')}.csv" if name.startswith("file_") else ""
    versions = version_history.changes(await history.of(visit.hub.storage, file)) if file else []
    return visit.listed(listing, "catalogue/code_list.html", name=name, versions=versions)


async def _rows(visit: Visit, name: str) -> tuple[list[tuple[str, Kind]], list[dict[str, Any]]]:
    if name in _KEPT:
        table, columns = _KEPT[name]
        names = [table.c[it] for it, _ in columns]
        async with visit.hub.storage.reading() as conn:
            return list(columns), await storage.every(conn, sa.select(*names).order_by(names[0]))
    found = (await asyncio.to_thread(_files)).get(name)
    if found is None:
        raise errors.NotFound("there is no such list", detail_vi="Không có danh mục này.")
    return [(it, "code" if "code" in it else _kind(found[1], it)) for it in found[0]], found[1]


def _kind(rows: list[dict[str, Any]], name: str) -> Kind:
    return "day" if any(isinstance(row[name], date) for row in rows) else "text"


@functools.cache
def _files() -> dict[str, tuple[list[str], list[dict[str, Any]]]]:
    """Read the lists that come with the hub."""
    found = {}
    for file in sorted(_FILES.iterdir(), key=lambda path: path.name):
        if file.name.endswith(".csv"):
            with file.open("r", encoding="utf-8") as opened:
                lines = csv.DictReader(opened)
                rows = [{name: _value(name, text) for name, text in row.items()} for row in lines]
                found[f"file_{file.name.removesuffix('.csv')}"] = (list(lines.fieldnames or ()), rows)
    return found


def _value(name: str, text: str) -> Any:
    """Read a day as one, so that it is written as days are here; several codes stand apart."""
    if name == "merged_from":
        return ", ".join((text or "").split())
    return date.fromisoformat(text) if _DAY.fullmatch(text or "") else text
