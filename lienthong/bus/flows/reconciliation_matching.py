"""Which attempt and which refund of ours a statement's line is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.bus.flows import payment_records
from lienthong.bus.flows.reconciliation_files import Line
from lienthong.bus.hub import Hub
from lienthong.core import storage, tables

_p, _r = tables.payments, tables.payment_refunds
_AT_ONCE = 500
_TOLD = [one.name for one in fields(Line)]
_REFERENCE = 20  # the length of our own numbers; a transfer's note is ours with an unguessable tail
Row = Mapping[str, Any]


async def matched(
    hub: Hub, conn: AsyncConnection, provider: str, number: str, lines: Sequence[Line]
) -> list[dict[str, Any]]:
    """Write the lines of a statement as rows, each with the attempt and the refund that it is about."""
    refunds = await _refunds(conn, provider, lines)
    references = {line.our_reference for line in lines} | {line.our_reference[:_REFERENCE] for line in lines}
    attempts = await _attempts(conn, provider, references - {""})
    used: set[str] = set()
    rows = []
    for line in lines:
        payment = _attempt_of(hub, provider, line, attempts)
        refund = _refund_of(line, payment, refunds, used) if line.kind == "refund" else None
        about = payment["id"] if payment else (refund["payment_id"] if refund else None)
        told = {name: getattr(line, name) for name in _TOLD}
        row = {**told, "reconciliation_id": number, "payment_id": about}
        rows.append(row | {"refund_id": refund["id"] if refund else None})
    return rows


def _attempt_of(hub: Hub, provider: str, line: Line, attempts: Mapping[str, Row]) -> Row | None:
    if provider not in hub.settings.payments.statement_providers:
        return attempts.get(line.our_reference)
    found = attempts.get(line.our_reference[:_REFERENCE])
    if found is None:
        return None
    # Whoever transfers money with a reference that they saw somewhere does not know the tail of the note.
    return found if payment_records.started(hub, found).provider_reference == line.our_reference else None


async def _attempts(conn: AsyncConnection, provider: str, references: Iterable[str]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    asked = sa.select(_p.c.id, _p.c.reference, _p.c.started).where(_p.c.provider == provider)
    for part in _parts(references):
        rows = await storage.every(conn, asked.where(_p.c.reference.in_(part)))
        found |= {row["reference"]: row for row in rows}
    return found


async def _refunds(conn: AsyncConnection, provider: str, lines: Sequence[Line]) -> list[Row]:
    """Read the refunds that the lines may be about: by their number, ours or theirs, or by the payment."""
    given = [line for line in lines if line.kind == "refund"]
    found: dict[str, Row] = {}
    numbers = {line.our_reference for line in given} | {line.provider_reference for line in given}
    for part in _parts(numbers - {""}):
        wanted = (
            sa.select(_r, _p.c.reference.label("reference"))
            .join_from(_r, _p, _r.c.payment_id == _p.c.id)
            .where(
                _p.c.provider == provider,
                sa.or_(_r.c.request_number.in_(part), _r.c.provider_reference.in_(part), _p.c.reference.in_(part)),
            )
            .order_by(_r.c.requested_at, _r.c.id)
        )
        found |= {row["id"]: row for row in await storage.every(conn, wanted)}
    return list(found.values())


def _refund_of(line: Line, payment: Row | None, refunds: Sequence[Row], used: set[str]) -> Row | None:
    """Find the refund of a line: by its number, else the first of the payment with the same amount."""

    def is_it(row: Row) -> bool:
        theirs = line.provider_reference and row["provider_reference"] == line.provider_reference
        return bool(theirs) or row["request_number"] == line.our_reference

    def may_be(row: Row) -> bool:
        same = payment is not None and row["payment_id"] == payment["id"]
        return same and row["amount_vnd"] == line.amount_vnd and row["state"] not in ("declined", "waiting")

    left = [row for row in refunds if row["id"] not in used]
    found = next(filter(is_it, left), None) or next(filter(may_be, left), None)
    if found is not None:
        used.add(found["id"])
    return found


def _parts(values: Iterable[str]) -> Iterable[list[str]]:
    every = sorted(values)
    for first in range(0, len(every), _AT_ONCE):
        yield every[first : first + _AT_ONCE]
