"""What a run of the procedure sync did, procedure by procedure, and what was odd in the records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.bus.flows.procedure_catalogue import ChangedField
from lienthong.core import errors, tables
from lienthong.mappings import oddities

if TYPE_CHECKING:
    from lienthong.bus.hub import Hub

_r = tables.sync_runs
_i = tables.sync_items
_p = tables.procedures


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Line(_Part):
    """One procedure of a run: what changed, or why it failed."""

    code: str
    name: str = ""
    version: int | None = None
    changes: tuple[ChangedField, ...] = ()
    error_code: str = ""
    vi: str = ""
    en: str = ""


class OddRecord(_Part):
    """One odd place in one record."""

    code: str
    field: str = ""
    seen: str = ""


class OddKind(_Part):
    """All records that are odd in one way, with the sentence that says in which."""

    kind: str
    vi: str
    en: str
    count: int
    records: tuple[OddRecord, ...]


class Full(_Part):
    """Everything to be said about a run. `odd` names every odd record of the source, also of unchanged ones."""

    run_id: str
    source: str
    full: bool
    state: str
    started_at: AwareDatetime
    finished_at: AwareDatetime | None
    counts: dict[str, Any]
    held: str | None
    note: str | None
    new: tuple[Line, ...]
    changed: tuple[Line, ...]
    withdrawn: tuple[Line, ...]
    failed: tuple[Line, ...]
    duplicates: tuple[Line, ...]
    odd: tuple[OddKind, ...]


@dataclass(frozen=True, slots=True)
class _Items:
    by_outcome: Mapping[str, list[Line]]
    odd: Mapping[str, list[Mapping[str, str]]]


async def report(hub: Hub, run_id: str | None = None) -> Full:
    """Tell of a run, or of the last one; raises NotFound where there is none."""
    async with hub.storage.reading() as conn:
        run = await _run(conn, run_id)
        items = await _items(conn, run["id"])
        odd = _by_kind({**await _held_oddities(conn, run["source"]), **items.odd})
    lists = {name: tuple(items.by_outcome.get(name, ())) for name in ("new", "changed", "withdrawn", "failed")}
    return Full(
        run_id=run["id"],
        odd=odd,
        duplicates=tuple(items.by_outcome.get("duplicate", ())),
        **{
            name: run[name]
            for name in ("source", "full", "state", "started_at", "finished_at", "counts", "held", "note")
        },
        **lists,
    )


async def latest(hub: Hub, limit: int = 20) -> list[dict[str, Any]]:
    """Give the last runs, the newest first, as they stand in the book."""
    wanted = sa.select(_r).order_by(_r.c.started_at.desc(), _r.c.id.desc()).limit(limit)
    async with hub.storage.reading() as conn:
        return [dict(row) for row in (await conn.execute(wanted)).mappings()]


async def _run(conn: AsyncConnection, run_id: str | None) -> sa.RowMapping:
    wanted = sa.select(_r).order_by(_r.c.started_at.desc(), _r.c.id.desc()).limit(1)
    if run_id is not None:
        wanted = sa.select(_r).where(_r.c.id == run_id)
    row = (await conn.execute(wanted)).mappings().first()
    if row is None:
        raise errors.NotFound("there is no such sync run", detail_vi="Không có lần đồng bộ này.")
    return row


async def _items(conn: AsyncConnection, run_id: str) -> _Items:
    found: dict[str, list[Line]] = defaultdict(list)
    odd: dict[str, list[Mapping[str, str]]] = {}
    wanted = sa.select(_i).where(_i.c.run_id == run_id, _i.c.outcome != "unchanged").order_by(_i.c.code)
    for row in (await conn.execute(wanted)).mappings():
        detail = row["detail"]
        if detail.get("oddities"):
            odd[row["code"]] = detail["oddities"]
        found[row["outcome"]].append(
            Line(
                code=detail.get("code", row["code"]) if row["outcome"] == "duplicate" else row["code"],
                name=detail.get("name", ""),
                version=detail.get("version"),
                changes=tuple(detail.get("changes", ())),
                error_code=detail.get("code", "") if row["outcome"] == "failed" else "",
                vi=detail.get("vi", ""),
                en=detail.get("en", ""),
            )
        )
    return _Items(found, odd)


async def _held_oddities(conn: AsyncConnection, source: str) -> dict[str, list[Mapping[str, str]]]:
    wanted = sa.select(_p.c.code, _p.c.oddities).where(_p.c.source == source, _p.c.status == "active")
    return {row.code: row.oddities for row in await conn.execute(wanted) if row.oddities}


def _by_kind(found_odd: Mapping[str, Iterable[Mapping[str, str]]]) -> tuple[OddKind, ...]:
    grouped: dict[str, list[OddRecord]] = defaultdict(list)
    for code in sorted(found_odd):
        for oddity in found_odd[code]:
            grouped[oddity["kind"]].append(OddRecord(code=code, field=oddity["field"], seen=oddity["seen"]))
    return tuple(_odd_kind(kind, tuple(found)) for kind, found in sorted(grouped.items()))


def _odd_kind(kind: str, found: tuple[OddRecord, ...]) -> OddKind:
    known = next((one for one in oddities.Kind if one.value == kind), None)
    vi, en = (known.vi, known.en) if known else (kind, kind)
    return OddKind(kind=kind, vi=vi, en=en, count=len(found), records=found)
