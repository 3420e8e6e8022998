"""Everything that the hub knows of one dossier, read at once: its row, and the rows of each of its stories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.bus.flows import dossier_rows
from lienthong.bus.hub import Hub
from lienthong.core import errors, records, storage, tables

MOST = 300
_m, _p, _q = tables.messages, tables.payments, tables.payment_questions
_x, _parcels = tables.exchanges, tables.parcels
Row = Mapping[str, Any]


def _without(table: sa.Table, *names: str) -> list[sa.Column[Any]]:
    """Give the columns of a table without what is sealed or long."""
    return [column for column in table.c if column.name not in names]


@dataclass(slots=True)
class Story:
    """The rows of one dossier. `record` holds personal data: only masked values of it go to a page."""

    row: Row
    record: records.Dossier
    procedure: str = ""
    changes: list[Row] = field(default_factory=list)
    messages: list[Row] = field(default_factory=list)
    tries: list[Row] = field(default_factory=list)
    targets: dict[str, Row] = field(default_factory=dict)
    obligations: list[Row] = field(default_factory=list)
    payments: list[Row] = field(default_factory=list)
    heard: list[Row] = field(default_factory=list)
    questions: list[Row] = field(default_factory=list)
    refunds: list[Row] = field(default_factory=list)
    parcels: list[Row] = field(default_factory=list)
    parcel_events: list[Row] = field(default_factory=list)
    lookups: list[Row] = field(default_factory=list)
    papers: list[Row] = field(default_factory=list)
    calls: list[Row] = field(default_factory=list)


async def read(hub: Hub, code: str) -> Story:
    """Read a dossier with all its stories: as many questions as there are stories. Raises NotFound."""
    async with hub.storage.reading() as conn:
        row = await dossier_rows.row(conn, code)
        if row is None:
            # Not `found`: its advice is for software, and here somebody looked for a code.
            raise errors.NotFound("no dossier with this code", detail_vi="Không có hồ sơ với mã này.")
        story = Story(row, dossier_rows.record(hub, row))
        named = sa.select(tables.procedures.c.name).where(tables.procedures.c.code == row["procedure_code"])
        story.procedure = (await conn.execute(named)).scalar() or ""
        story.changes = await _of(conn, tables.status_changes, "dossier_code", code, "accepted_at", "record")
        await _deliveries(conn, story, code)
        await _money(conn, story, code)
        await _post(conn, story, code)
        story.lookups = await _of(conn, tables.lookups, "dossier_code", code, "at")
        story.papers = await _of(conn, tables.paper_uses, "dossier_code", code, "at", "signers")
        story.calls = await _calls(conn, code)
    return story


async def _of(
    conn: AsyncConnection, table: sa.Table, column: str, value: str | list[str], order: str, *sealed: str
) -> list[Row]:
    """Read the rows of one story, the newest first."""
    named = table.c[column]
    where = named.in_(value) if isinstance(value, list) else named == value
    if value == []:
        return []
    wanted = sa.select(*_without(table, *sealed)).where(where).order_by(table.c[order].desc()).limit(MOST)
    return list(await storage.every(conn, wanted))


async def _deliveries(conn: AsyncConnection, story: Story, code: str) -> None:
    story.messages = await _of(conn, _m, "lane", code, "seq", "payload")
    ids = [row["id"] for row in story.messages if row["attempts"]]
    story.tries = await _of(conn, tables.attempts, "message_id", ids, "started_at")
    names = sorted({row["target"] for row in story.messages})
    found = await _of(conn, tables.targets, "name", names, "name")
    story.targets = {row["name"]: row for row in found}


async def _money(conn: AsyncConnection, story: Story, code: str) -> None:
    story.obligations = await _of(conn, tables.obligations, "dossier_code", code, "created_at")
    story.payments = await _of(conn, _p, "dossier_code", code, "created_at", "record", "started")
    ids = [row["id"] for row in story.payments]
    if ids:
        story.heard = await _of(conn, tables.payment_messages, "payment_id", ids, "at", "body")
        story.questions = await _of(conn, _q, "payment_id", ids, "asked_at")
        story.refunds = await _of(conn, tables.payment_refunds, "payment_id", ids, "requested_at")


async def _post(conn: AsyncConnection, story: Story, code: str) -> None:
    story.parcels = await _of(conn, _parcels, "dossier_code", code, "created_at", "record")
    ids = [row["id"] for row in story.parcels]
    story.parcel_events = await _of(conn, tables.parcel_events, "parcel_id", ids, "occurred_at", "record")


async def _calls(conn: AsyncConnection, code: str) -> list[Row]:
    """Read what sector software asked about this dossier; only what was refused is a step of a story."""
    names = ("at", "organisation", "operation", "outcome", "status", "request_id", "number")
    wanted = (
        sa.select(*(_x.c[name] for name in names))
        .where(_x.c.dossier_code == code, _x.c.direction == "in", _x.c.outcome != "ok")
        .order_by(_x.c.at.desc())
        .limit(MOST)
    )
    return list(await storage.every(conn, wanted))
