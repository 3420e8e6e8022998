"""From fetched procedures to rows: what is new, what differs, and the writing of a batch in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.bus import events
from lienthong.bus.flows import folding, procedure_changes, sync_runs
from lienthong.connectors import roles
from lienthong.core import records, tables, working_days
from lienthong.mappings import oddities as odd

if TYPE_CHECKING:
    from lienthong.bus.hub import Hub

_p = tables.procedures
_v = tables.procedure_versions


@dataclass(frozen=True, slots=True)
class Known:
    """What the catalogue holds of one procedure, as far as a run needs it."""

    digest: str
    fingerprint: str
    source: str
    source_key: str
    version: int
    is_active: bool
    oddities: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A fetched procedure beside what is known of it, ready to be written.

    `text` is the written procedure, None where nothing of it differs; `row` holds the columns to be written.
    """

    code: str
    name: str
    row: Mapping[str, Any]
    known: Known | None
    text: bytes | None
    oddities: list[dict[str, str]]

    @property
    def outcome(self) -> str:
        """The word for sync_items; a procedure that came back to the list counts as changed."""
        if self.known is None:
            return "new"
        return sync_runs.UNCHANGED if self.text is None else "changed"


async def read_known(conn: AsyncConnection) -> dict[str, Known]:
    """Read codes and digests of the whole catalogue at once."""
    plain = (_p.c[name] for name in ("code", "digest", "fingerprint", "source", "source_key", "version", "status"))
    # As text: thousands of them would be parsed for the few that are looked at.
    wanted = sa.select(*plain, sa.cast(_p.c.oddities, sa.Text).label("oddities"))
    return {
        row.code: Known(
            row.digest,
            row.fingerprint,
            row.source,
            row.source_key,
            row.version,
            row.status == "active",
            row.oddities,
        )
        for row in await conn.execute(wanted)
    }


def fits(text: str, longest: int) -> str:
    """Make a text of a source's acceptable to a column: PostgreSQL refuses the character NUL and longer ones."""
    return text.replace("\x00", "")[:longest]


def prepare(
    listed: records.ListedProcedure, fetched: roles.FetchedProcedure, *, source: str, known: Known | None
) -> Prepared:
    """Work out what a fetched procedure means for the catalogue. Pure."""
    code = listed.code.strip()
    procedure = fetched.procedure
    if procedure.code != code:
        procedure = procedure.model_copy(update={"code": code})
    oddities = [oddity.model_dump(mode="json") for oddity in fetched.oddities]
    if listed.code != code and not any(oddity["field"] == "code" for oddity in oddities):
        oddities.append(odd.oddity(odd.Kind.BLANKS_TRIMMED, "code", repr(listed.code)).model_dump(mode="json"))
    digest = procedure_changes.digest_of(procedure)
    same = known is not None and known.digest == digest and known.is_active
    row: dict[str, Any] = {
        "fingerprint": fits(listed.fingerprint, 64),
        "source": source,
        "source_key": fits(listed.key, 80),
        "oddities": oddities,
    }
    if not same:
        row |= {"digest": digest, **columns(procedure)}
    return Prepared(
        code, procedure.name, row, known, None if same else procedure_changes.written(procedure), oddities
    )


def columns(procedure: records.Procedure) -> dict[str, Any]:
    """Give the columns of the catalogue that follow from what a procedure says."""
    first = procedure.fields[0] if procedure.fields else records.Coded()
    publisher = procedure.publishing_agency
    fields = [text for field in procedure.fields for text in (field.code, field.name)]
    agencies = [
        text for agency in (publisher, *procedure.executing_agencies) for text in (agency.code, agency.name)
    ]
    name = procedure.name.replace("\x00", "")
    return {
        "name": name,
        "folded": folding.fold(name),
        "field_code": fits(first.code, 60),
        "field_name": first.name.replace("\x00", ""),
        "fields_folded": folding.fold_list(fields),
        "agency_code": fits(publisher.code, 60),
        "agency_name": publisher.name.replace("\x00", ""),
        "agencies_folded": folding.fold_list(agencies),
        "levels": ",".join(level.value for level in procedure.levels),
    }


# ---------------------------------------------------------------------------------------------------- writing


async def pack(batch: Iterable[Prepared]) -> dict[str, bytes]:
    """Compress what is to be kept of a batch, beside the event loop: it is the costliest step of a record."""
    texts = {item.code: item.text for item in batch if item.text is not None}
    return await asyncio.to_thread(lambda: {code: procedure_changes.pack(text) for code, text in texts.items()})


async def write(
    tx: AsyncConnection,
    hub: Hub,
    run: sync_runs.Run,
    *,
    batch: Sequence[Prepared],
    packed: Mapping[str, bytes],
) -> list[sync_runs.Item]:
    """Write new procedures, new versions and what else moved, with an event for each new version.

    Of what is just as it was, nothing is written.
    """
    now = hub.now()
    deadlines = _deadlines(hub, now)
    fresh = [item for item in batch if item.text is not None]
    moved = [item for item in batch if item.text is None and _has_moved(item)]
    changes = await changes_of(tx, fresh)
    new, changed = (
        [item for item in fresh if item.known is None],
        [item for item in fresh if item.known is not None],
    )
    if new:
        await tx.execute(_p.insert(), [_new_row(item, now) for item in new])
    if changed:
        rows = [{"key": item.code, **_changed_row(item, now)} for item in changed]
        await tx.execute(_p.update().where(_p.c.code == sa.bindparam("key")), rows)
    if moved:
        rows = [{"key": item.code, **item.row} for item in moved]
        await tx.execute(_p.update().where(_p.c.code == sa.bindparam("key")), rows)
    if fresh:
        told = [(item, changes[item.code]) for item in fresh]
        versions = [_version_row(item, run, differs, now=now, deadlines=deadlines) for item, differs in told]
        await tx.execute(_v.insert(), [{**row, "record": packed[row["code"]]} for row in versions])
        announced = [_event(item, run, differs, now=now, deadlines=deadlines) for item, differs in told]
        await tx.execute(tables.events.insert(), announced)
    return [as_item(item, changes.get(item.code, [])) for item in batch]


def as_item(item: Prepared, changes: list[procedure_changes.Change]) -> sync_runs.Item:
    """Say what a run did with a procedure."""
    if item.text is None:
        return sync_runs.Item(item.code, sync_runs.UNCHANGED, {})
    detail = {"name": item.name, "version": _number(item), "changes": changes, "oddities": item.oddities}
    return sync_runs.Item(item.code, item.outcome, detail)


async def changes_of(
    conn: AsyncConnection, fresh: Sequence[Prepared]
) -> dict[str, list[procedure_changes.Change]]:
    """Compare changed procedures with the versions in force, field by field."""
    codes = [item.code for item in fresh if item.known is not None]
    former: dict[str, bytes] = {}
    if codes:
        in_force = _p.join(_v, sa.and_(_v.c.code == _p.c.code, _v.c.version == _p.c.version))
        wanted = sa.select(_v.c.code, _v.c.record).select_from(in_force).where(_v.c.code.in_(codes))
        former = {row.code: row.record for row in await conn.execute(wanted)}
    found: dict[str, list[procedure_changes.Change]] = {}
    for item in fresh:
        found[item.code] = changes = []
        if item.known is not None and not item.known.is_active:
            changes.append(procedure_changes.status_change(old="withdrawn", new="active"))
        if item.text is not None and item.code in former:
            changes += procedure_changes.compare(
                procedure_changes.unpack(former[item.code]), orjson.loads(item.text)
            )
    return found


async def withdraw(
    tx: AsyncConnection, run: sync_runs.Run, codes: Sequence[str], *, now: datetime
) -> list[sync_runs.Item]:
    """Mark procedures as withdrawn that are gone from their source's list. Nothing is ever deleted."""
    if not codes:
        return []
    found = await tx.execute(sa.select(_p.c.code, _p.c.name, _p.c.version).where(_p.c.code.in_(codes)))
    gone = [dict(row) for row in found.mappings()]
    await tx.execute(
        _p.update()
        .where(_p.c.code.in_(codes))
        .values(status="withdrawn", withdrawn_at=now, changed_at=now, fingerprint="")
    )
    facts = {"source": run.source, "run_id": run.id}
    rows = [events.row("procedures.withdrawn", row["code"], {**row, **facts}, now=now) for row in gone]
    await tx.execute(tables.events.insert(), rows)
    return [
        sync_runs.Item(row["code"], "withdrawn", {"name": row["name"], "version": row["version"]}) for row in gone
    ]


@dataclass(frozen=True, slots=True)
class _Deadlines:
    """By when a procedure published now must be set up, and checked and opened (NA 13-14)."""

    set_up: working_days.Deadline
    opened: working_days.Deadline


def _deadlines(hub: Hub, now: datetime) -> _Deadlines:
    set_up = hub.calendar.term(now, hub.settings.sync.set_up_days)
    return _Deadlines(set_up, hub.calendar.term(set_up.on, hub.settings.sync.open_days))


def _has_moved(item: Prepared) -> bool:
    """Whether a procedure with the same content goes under another number over there, or is odd in another way."""
    known = item.known
    if known is None:
        return False
    there = (known.fingerprint, known.source, known.source_key)
    if there != tuple(item.row[name] for name in ("fingerprint", "source", "source_key")):
        return True
    return bool(orjson.loads(known.oddities) != item.oddities)


def _number(item: Prepared) -> int:
    return item.known.version + 1 if item.known else 1


def _new_row(item: Prepared, now: datetime) -> dict[str, Any]:
    return {**_changed_row(item, now), "code": item.code, "first_seen_at": now}


def _changed_row(item: Prepared, now: datetime) -> dict[str, Any]:
    return {
        **item.row,
        "status": "active",
        "version": _number(item),
        "changed_at": now,
        "seen_at": now,
        "withdrawn_at": None,
    }


def _version_row(
    item: Prepared,
    run: sync_runs.Run,
    changes: list[procedure_changes.Change],
    *,
    now: datetime,
    deadlines: _Deadlines,
) -> dict[str, Any]:
    return {
        "code": item.code,
        "version": _number(item),
        "digest": item.row["digest"],
        "changes": changes,
        "run_id": run.id,
        "source": run.source,
        "valid_from": now,
        "set_up_by": deadlines.set_up.on,
        "opened_by": deadlines.opened.on,
    }


def _event(
    item: Prepared,
    run: sync_runs.Run,
    changes: list[procedure_changes.Change],
    *,
    now: datetime,
    deadlines: _Deadlines,
) -> dict[str, Any]:
    kind = "added" if item.known is None else "changed" if item.known.is_active else "returned"
    facts = {
        "code": item.code,
        "name": item.name,
        "version": _number(item),
        "changes": changes,
        "set_up_by": deadlines.set_up.on.isoformat(),
        "opened_by": deadlines.opened.on.isoformat(),
        "deadlines_certain": deadlines.set_up.certain and deadlines.opened.certain,
        "source": run.source,
        "run_id": run.id,
    }
    return events.row(f"procedures.{kind}", item.code, facts, now=now)


async def store_lists(
    tx: AsyncConnection,
    *,
    agencies: Sequence[records.AgencyRow],
    fields: Sequence[records.FieldRow],
    now: datetime,
) -> None:
    """Keep the national lists of agencies and fields; rows that are as they were are left alone."""
    await _keep_list(tx, tables.agencies, [row.model_dump() for row in agencies], now=now)
    await _keep_list(tx, tables.administrative_fields, [row.model_dump() for row in fields], now=now)


async def _keep_list(tx: AsyncConnection, table: sa.Table, rows: list[dict[str, str]], *, now: datetime) -> None:
    longest = {column.name: getattr(column.type, "length", None) or 4000 for column in table.columns}
    del longest["seen_at"]
    held = {row.code: tuple(row) for row in await tx.execute(sa.select(*(table.c[name] for name in longest)))}
    wanted: dict[str, dict[str, str]] = {}
    for row in rows:
        fitting = {name: fits(row[name].strip(), length) for name, length in longest.items()}
        # The first row of a code stands; later ones with the same code are repetitions.
        wanted.setdefault(fitting["code"], fitting)
    wanted.pop("", None)
    fresh = [row for code, row in wanted.items() if held.get(code) != tuple(row.values())]
    if new := [{**row, "seen_at": now} for row in fresh if row["code"] not in held]:
        await tx.execute(table.insert(), new)
    if changed := [{**row, "key": row["code"], "seen_at": now} for row in fresh if row["code"] in held]:
        await tx.execute(table.update().where(table.c.code == sa.bindparam("key")), changed)
