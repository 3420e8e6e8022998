"""The access record: filters, a histogram to choose a time in, rows, the largest, one row with its seal."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import tempfile
import zipfile
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from starlette.responses import Response

from lienthong.console.accounts import views
from lienthong.console.web import charts, forms, grant_matrix, security_reading, words
from lienthong.console.web.listing import Column, Listing
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.core import clock, errors, journal
from lienthong.monitoring import asking, exports, record_proof, rollups, search, verification

routes = Routes()
_PAGE, _EXPORT = 100, 10_000
_TOP = 8
_NEAR = timedelta(minutes=10)
_LONGEST_EXPORT = timedelta(days=31)
_MOST_BARS = 200
# How wide a bar may be, and what it is counted by: as many bars as an eye can tell apart, and no more.
_WIDTHS = (
    (timedelta(minutes=1), "minute"),
    (timedelta(minutes=5), "minute"),
    (timedelta(minutes=15), "quarter"),
    (timedelta(hours=1), "hour"),
    (timedelta(hours=6), "hour"),
    (timedelta(days=1), "day"),
)
_NAMES = ("key_id", "organisation", "official", "operation", "outcome", "address", "dossier_code", "request_id")
TOPS = ("key_id", "official", "operation", "address")
_COLUMNS = (
    Column("at", "records.at", "moment", link="href"),
    Column("direction", "records.direction", "words", area="direction"),
    Column("organisation", "records.organisation_or_system", link="by_organisation"),
    Column("official", "records.official", "code", link="by_official"),
    Column("operation", "records.operation", "code", link="by_operation"),
    Column("purpose", "records.purpose"),
    Column("dossier_code", "records.dossier_code", "code", link="by_dossier_code"),
    Column("address", "records.address", "code", link="by_address"),
    Column("status", "records.status", "number", only_in_file=True),
    Column("outcome", "records.outcome", "chip", link="by_outcome"),
    Column("took_ms", "records.took_ms", "number"),
    Column("rows", "records.rows", "number"),
    Column("request_id", "records.request_id", "code", link="href", only_in_file=True),
)


@dataclasses.dataclass(frozen=True, slots=True)
class _Top:
    column: str
    chart: Any


async def question(visit: Visit) -> asking.Question:
    """Put what the address asks as a question to the record; a key may be named by how it begins."""
    query = visit.query
    named: dict[str, Any] = {name: query[name] for name in _NAMES if query.get(name)}
    if "key_id" in named:
        named["key_id"] = await security_reading.key_id(visit.hub, named["key_id"])
    direction = query.get("direction")
    return asking.Question(
        since=visit.since,
        until=visit.until + timedelta(seconds=0 if visit.range == "own" else 1),
        direction=direction if direction in ("in", "out") else None,
        is_refused=query.get("refused") == "yes",
        is_personal=query.get("personal") == "yes",
        **named,
    )


@routes.page("records")
async def show(visit: Visit) -> Response:
    """Search the record; that it was searched is written down first."""
    asked, sources = await question(visit), security_reading.sources(visit.hub)
    reader = search.Reader(visit.who.name, "")
    limit = _EXPORT if visit.query.get("export") == "csv" else _PAGE
    listing = Listing("records", _COLUMNS, [], visit.path, visit.query)
    await search.record_reading(sources, reader, "journal.search", asked=asked.asked(), now=visit.now)
    after = visit.query.get("after") or None
    rows = search.found(sources, asked, limit=limit, cursor=after)
    chart = total = None
    kept: list[dict[str, Any]] = []
    if limit != _PAGE:
        found = await rows
    elif asked.dossier_code or asked.request_id:  # few rows: mostly one page holds them all, and is counted itself
        found = await rows
        is_all = after is None and found.next_cursor is None
        chart, total = await _histogram(visit, sources, asked, listing, found.items if is_all else None)
    else:
        found, (chart, total) = await asyncio.gather(rows, _histogram(visit, sources, asked, listing))
    if limit == _PAGE:
        kept = await views.listed(visit.hub.storage, visit.who.id, "records")
    listing.rows = [_row(visit, listing, row) for row in found.items]
    listing.cursor = found.next_cursor or ""
    tops = visit.link("records.tops", {name: value for name, value in visit.query.items() if name != "after"})
    names = await security_reading.key_names(visit.hub, [asked.key_id])
    values = {"chart": chart, "total": total, "kept": kept, "tops": tops, "outcomes": _outcomes(visit)}
    values |= {"key_id": asked.key_id, "key_name": "".join(names.values())}
    return visit.listed(listing, "security/records.html", **values)


def _outcomes(visit: Visit) -> list[tuple[str, str]]:
    """Give the outcomes to choose from, by their words; also the one that the address asks for."""
    names = (name.removeprefix("states.").replace("_", ".") for name in words.every())
    known = {name for name in names if name.startswith(("Client.", "Server."))}
    codes = {"ok", visit.query.get("outcome"), *known}
    told = [(code, visit.words.of("states", code)) for code in codes if code]
    return sorted(told, key=lambda each: (each[0] != "ok", each[0].partition(".")[0], each[1]))


def _row(visit: Visit, listing: Listing, row: Mapping[str, Any]) -> dict[str, Any]:
    links = {
        f"by_{name}": listing.address(**{name: str(row[name])}) if row[name] else ""
        for name in ("organisation", "official", "operation", "dossier_code", "address", "outcome")
    }
    href = visit.link("records.one", None, request=row["request_id"], number=str(row["number"]))
    told = {**row, **links, "href": href, "took_ms": round(row["took_ms"], 1)}
    if row["direction"] == "out":  # the hub called: what matters is whom
        told |= {"organisation": visit.words.of("systems", row["system"]), "by_organisation": ""}
    return told


async def _histogram(
    visit: Visit,
    sources: asking.Sources,
    asked: asking.Question,
    listing: Listing,
    known: list[dict[str, Any]] | None = None,
) -> tuple[Any, int]:
    """Count over time, so that a stretch can be chosen: by a minute to a day a bar, as long as the time is.

    `known`: all rows that the question finds, where somebody has them in hand.
    """
    size, unit = next((it for it in _WIDTHS if it[0] * _MOST_BARS >= visit.until - visit.since), _WIDTHS[-1])
    counted: Counter[datetime] = Counter()
    for row in known or ():
        counted[_floor(row["at"], size)] += 1
    for row in await rollups.counted(sources, asked, by=[unit], sums=()) if known is None else ():
        counted[_floor(row[unit], size)] += row["requests"]
    begin = _floor(visit.since, size)
    bars = []
    for place in range(min(int((visit.until - begin) / size) + 1, 2 * _MOST_BARS)):
        at = begin + size * place
        told = forms.day_of_year(at, visit.words) if unit == "day" else forms.hour(at, visit.words)
        ends = {"from": _text(at), "to": _text(at + size)}
        href = listing.address(range="", **ends)
        bars.append(charts.Bar(told, counted[at], href, ends["from"], ends["to"]))
    say = visit.words
    heads = (say("records.day" if unit == "day" else "records.from_when"), say("records.calls"))
    title, most = say("records.over_time"), say("charts.most_a_bar")
    drawn = charts.histogram(bars, title=title, heads=heads, most=most, figure=visit.figure)
    return drawn, counted.total()


def _floor(at: datetime, size: timedelta) -> datetime:
    """Say when the stretch of a day that holds a moment began, by the clock here."""
    local = at.astimezone(clock.VIETNAM)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (local - midnight) // size * size


def _text(at: datetime) -> str:
    return at.astimezone(clock.VIETNAM).isoformat(timespec="seconds")


@routes.page("records.tops")
async def tops(visit: Visit) -> Response:
    """Count who called most, from where and for what; fetched after the rows are there."""
    asked, sources = await question(visit), security_reading.sources(visit.hub)
    reader = search.Reader(visit.who.name, "")
    told = {**asked.asked(), "count_by": ",".join(TOPS)}
    await search.record_reading(sources, reader, "journal.count", asked=told, now=visit.now)
    counted = await rollups.tops(sources, asked, TOPS)
    keys = await security_reading.key_names(visit.hub, (key for key, _ in counted["key_id"][:_TOP]))
    listing = Listing("records", (), [], visit.link("records"), visit.query)
    found = []
    for name, largest in counted.items():
        bars = [
            charts.Bar(
                keys.get(value, value) if name == "key_id" else value, number, listing.address(**{name: value})
            )
            for value, number in largest[:_TOP]
            if value
        ]
        heads = (visit.words(f"records.{name}"), visit.words("records.calls"))
        title = visit.words(f"records.top_{name}")
        if bars:
            found.append(_Top(name, charts.bars(bars, title=title, heads=heads, figure=visit.figure)))
    return visit.page("security/tops.html", tops=found)


async def _one(visit: Visit) -> dict[str, Any]:
    number = visit.param("number")
    asked = asking.Question(request_id=visit.param("request"))
    if number.isascii() and number.isdigit() and len(number) < 19:
        found = await search.found(security_reading.sources(visit.hub), asked, limit=1000)
        for row in found.items:
            if row["number"] == int(number):
                return row
    raise errors.NotFound("there is no such record", detail_vi="Không có bản ghi này.")


@routes.page("records.one")
async def one(visit: Visit) -> Response:
    """Show one record whole; that it was read is written down first."""
    sources, reader = security_reading.sources(visit.hub), search.Reader(visit.who.name, "")
    about = {"request_id": visit.param("request"), "number": visit.param("number")}
    await search.record_reading(sources, reader, "journal.read", asked=about, now=visit.now)
    row = await _one(visit)
    names = await security_reading.key_names(visit.hub, [row["key_id"]])
    whole = [(name, row[name]) for name in row if name not in ("number", "subject", "detail")]
    told = grant_matrix.told(row["operation"], visit.words)
    values: dict[str, Any] = {"key": names.get(row["key_id"]), "told": told, "ten_minutes": _NEAR}
    return visit.page("security/record.html", row=row, whole=whole, **values)


@routes.act("records.verify")
async def verify(visit: Visit) -> Response:
    """Compare one record with its seal."""
    row = await _one(visit)
    proof = await asyncio.to_thread(record_proof.prove, visit.hub.settings.home, row)
    return visit.page("security/proof.html", row=row, proof=proof)


@routes.act("records.export")
async def export(visit: Visit) -> Response:
    """Give everything that was recorded in a time with what proves it, as one file to be checked offline."""
    since, until = visit.moment("from"), visit.moment("to")
    reason = visit.text("reason")
    problems = []
    if not reason:
        problems.append(errors.FieldProblem("reason", "Hãy nêu lý do.", "Give a reason."))
    if not timedelta(0) < until - since <= _LONGEST_EXPORT:
        days = _LONGEST_EXPORT.days
        vi = f"Khoảng thời gian xuất dài nhất {days} ngày và phải kết thúc sau khi bắt đầu."
        problems.append(errors.FieldProblem("to", vi, f"At most {days} days, and the end after the beginning."))
    if problems:
        raise errors.InvalidRequest(problems=tuple(problems))
    name = f"lienthong-{since:%Y%m%dT%H%M}-{until:%Y%m%dT%H%M}"
    asked = {"from": since.isoformat(), "to": until.isoformat()}
    async with visit.hub.storage.transaction() as tx:
        await journal.write_act(
            tx, "journal.export", name, actor=visit.who.name, now=visit.now, reason=reason, after=asked
        )
    sources = security_reading.sources(visit.hub)
    with tempfile.TemporaryDirectory(dir=visit.hub.settings.home, prefix="export-") as folder:
        out, days_rows = Path(folder) / name, verification.Days(sources.archive)
        await exports.export(visit.hub.settings.home, sources.store, out, since=since, until=until, days=days_rows)
        data = await asyncio.to_thread(_packed, out)
    headers = {"content-disposition": f'attachment; filename="{name}.zip"'}
    return Response(data, media_type="application/zip", headers=headers)


def _packed(folder: Path) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                packed.write(path, f"{folder.name}/{path.relative_to(folder)}")
    return sink.getvalue()
