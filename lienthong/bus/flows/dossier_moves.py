"""What a change of status does to its dossier's own columns, also where changes come late or in another order."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.bus.flows import dossier_rows
from lienthong.bus.hub import Hub
from lienthong.core import records, tables
from lienthong.core.records import Status

_c = tables.status_changes

# Moves that the reception rules foresee (contracts §3.4). Real data holds jumps: an unusual move is noted on the
# change and shown, never refused.
USUAL_MOVES: Mapping[Status, frozenset[Status]] = {
    Status.SUBMITTED: frozenset({Status.RECEIVED, Status.REJECTED, Status.WITHDRAW_REQUESTED}),
    Status.RECEIVED: frozenset(
        {
            Status.PROCESSING,
            Status.SUPPLEMENT_REQUESTED,
            Status.PAYMENT_REQUESTED,
            Status.WITHDRAW_REQUESTED,
            Status.STOPPED,
            Status.FINISHED,
        }
    ),
    Status.PROCESSING: frozenset(
        {
            Status.SUPPLEMENT_REQUESTED,
            Status.PAYMENT_REQUESTED,
            Status.WITHDRAW_REQUESTED,
            Status.STOPPED,
            Status.FINISHED,
        }
    ),
    Status.SUPPLEMENT_REQUESTED: frozenset({Status.PROCESSING, Status.WITHDRAW_REQUESTED, Status.STOPPED}),
    Status.PAYMENT_REQUESTED: frozenset(
        {Status.PROCESSING, Status.WITHDRAW_REQUESTED, Status.STOPPED, Status.FINISHED}
    ),
    Status.WITHDRAW_REQUESTED: frozenset({Status.STOPPED, Status.PROCESSING}),
    Status.FINISHED: frozenset({Status.RETURNED}),
    Status.REJECTED: frozenset(),
    Status.STOPPED: frozenset(),
    Status.RETURNED: frozenset(),
}


async def overtaken(
    hub: Hub, tx: AsyncConnection, row: Mapping[str, Any], change: records.StatusChange
) -> frozenset[str]:
    """Name what a change that comes late must leave alone: what a change of a later moment has said already."""
    if row["changes"] == 0 or change.occurred_at >= row["status_at"]:
        return frozenset()
    later = sa.select(_c.c.status, _c.c.record).where(
        _c.c.dossier_code == row["code"], _c.c.occurred_at > change.occurred_at
    )
    found: set[str] = set()
    for status, sealed in await tx.execute(later):
        if status == change.status:
            found.add("mark")
        if dossier_rows.opened_change(hub, sealed)["change"]["due_at"] is not None:
            found.add("due_at")
    return frozenset(found)


def moved(
    hub: Hub, row: Mapping[str, Any], change: records.StatusChange, *, leave: frozenset[str]
) -> dict[str, Any]:
    """Work out what a change does to the dossier's own columns; `leave` is what `overtaken` gave. Pure."""
    values = {
        name: row[name]
        for name in (
            "status",
            "status_at",
            "received_at",
            "due_at",
            "rejected_at",
            "finished_at",
            "returned_at",
            "supplement_by",
        )
    }
    at = change.occurred_at
    if change.due_at is not None and "due_at" not in leave:
        values["due_at"] = change.due_at
    marks = {
        Status.RECEIVED: "received_at",
        Status.REJECTED: "rejected_at",
        Status.FINISHED: "finished_at",
        Status.RETURNED: "returned_at",
    }
    mark = marks.get(change.status)
    if mark and "mark" not in leave and (mark != "received_at" or values[mark] is None):
        values[mark] = at
    if row["changes"] == 0 or at >= row["status_at"]:
        values["status"], values["status_at"] = change.status.value, at
        waits = change.status is Status.SUPPLEMENT_REQUESTED
        days = timedelta(days=hub.settings.dossiers.supplement_days)
        values["supplement_by"] = at + days if waits else None
    return values


def unusual(row: Mapping[str, Any], change: records.StatusChange) -> str:
    """Say in words what is unusual about a change; empty where nothing is."""
    before = Status(row["status"])
    if row["changes"] and change.occurred_at < row["status_at"]:
        return f"late: happened before the present status {before.value}"
    if row["changes"] and change.status is not before and change.status not in USUAL_MOVES[before]:
        return f"unusual move: {before.value} to {change.status.value}"
    return ""
