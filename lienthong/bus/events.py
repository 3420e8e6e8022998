"""What happened, written in the same transaction as the fact, for those who subscribe later."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.core import clock, tables

_PUT = tables.events.insert()


def row(kind: str, subject: str, facts: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Make the row of one event; `facts` must be JSON and hold no personal data."""
    return {
        "id": clock.new_id(),
        "kind": kind,
        "subject": subject,
        "occurred_at": now,
        "facts": dict(facts),
    }


async def put(tx: AsyncConnection, kind: str, subject: str, facts: Mapping[str, Any], *, now: datetime) -> None:
    """Write one event in the caller's transaction."""
    await tx.execute(_PUT, row(kind, subject, facts, now=now))
