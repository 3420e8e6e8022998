"""The yearly review of what connects to the population database (NA 18.2): the figures of a period.

Read from the register of officials, the book of questions, the keys and their acts; it names no resident.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.core import storage, tables

Row = Mapping[str, Any]
MOST_ROWS = 1000
_l, _o, _e = tables.lookups, tables.officials, tables.lookup_exceptions
_ANSWERED = ("ok", "not_found")


@dataclass(frozen=True, slots=True)
class Review:
    """What a review holds; each part is a list of rows with the same names."""

    since: datetime
    until: datetime
    totals: dict[str, int]
    by_unit: Sequence[Row] = field(default=())
    by_official: Sequence[Row] = field(default=())
    by_procedure: Sequence[Row] = field(default=())
    by_key: Sequence[Row] = field(default=())
    refusals: Sequence[Row] = field(default=())
    officials: Sequence[Row] = field(default=())
    unused_officials: Sequence[Row] = field(default=())
    exceptions: Sequence[Row] = field(default=())
    keys: Sequence[Row] = field(default=())
    acts: Sequence[Row] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """Give all of it for programs."""
        parts = {name: [dict(row) for row in getattr(self, name)] for name in PARTS}
        return {"since": self.since, "until": self.until, "totals": self.totals, **parts}


PARTS = (
    "by_unit",
    "by_official",
    "by_procedure",
    "by_key",
    "refusals",
    "officials",
    "unused_officials",
    "exceptions",
    "keys",
    "acts",
)


async def review(store: storage.Storage, *, since: datetime, until: datetime) -> Review:
    """Gather a review of [since, until)."""
    within = (_l.c.at >= since, _l.c.at < until)
    async with store.reading() as conn:
        parts = {
            "by_unit": await _counted(conn, within, _l.c.unit_code),
            "by_official": await _counted(conn, within, _l.c.official_code, _l.c.unit_code),
            "by_procedure": await _counted(conn, within, _l.c.procedure_code),
            "by_key": await _counted(conn, within, _l.c.organisation, _l.c.key_id),
            "refusals": await _refusals(conn, within),
            "officials": await _officials(conn, until=until),
            "unused_officials": await _unused(conn, since=since, until=until),
            "exceptions": await _exceptions(conn, since=since, until=until),
            "keys": await _keys(conn, until=until),
            "acts": await _acts(conn, since=since, until=until),
        }
        totals = await _totals(conn, within)
    return Review(since, until, totals, **parts)


def _sum(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


def _figures() -> list[sa.ColumnElement[Any]]:
    return [
        sa.func.count().label("asked"),
        _sum(_l.c.outcome == "ok").label("found"),
        _sum(_l.c.outcome == "not_found").label("not_found"),
        _sum(_l.c.outcome.like("Client.%")).label("refused"),
        _sum(_l.c.outcome.like("Server.%")).label("failed"),
        sa.func.count(_l.c.subject.distinct()).label("people"),
        sa.func.count(_l.c.dossier_code.distinct()).label("dossiers"),
    ]


async def _counted(
    conn: AsyncConnection, within: Sequence[sa.ColumnElement[bool]], *by: sa.Column[Any]
) -> list[dict[str, Any]]:
    asked = sa.select(*by, *_figures()).where(*within).group_by(*by).order_by(sa.text("asked desc"))
    return await storage.every(conn, asked.limit(MOST_ROWS))


async def _totals(conn: AsyncConnection, within: Sequence[sa.ColumnElement[bool]]) -> dict[str, int]:
    row = await storage.first(
        conn,
        sa.select(
            *_figures(),
            _sum(_l.c.named_by == "plain").label("named_plainly"),
            _sum(_l.c.exception_id.is_not(None)).label("by_exception"),
            _sum(_l.c.repeats.is_not(None)).label("repeated"),
            _sum(_l.c.answered_at.is_(None)).label("without_outcome"),
        ).where(*within),
    )
    return {name: int(value) for name, value in (row or {}).items()}


async def _refusals(conn: AsyncConnection, within: Sequence[sa.ColumnElement[bool]]) -> list[dict[str, Any]]:
    asked = (
        sa.select(_l.c.outcome, _l.c.organisation, _l.c.official_code, sa.func.count().label("times"))
        .where(*within, _l.c.outcome.not_in((*_ANSWERED, "asked")))
        .group_by(_l.c.outcome, _l.c.organisation, _l.c.official_code)
        .order_by(sa.text("times desc"))
    )
    return await storage.every(conn, asked.limit(MOST_ROWS))


async def _officials(conn: AsyncConnection, *, until: datetime) -> list[dict[str, Any]]:
    in_force = (_o.c.ended_at.is_(None) | (_o.c.ended_at >= until)) & (_o.c.valid_until > until)
    asked = (
        sa.select(
            _o.c.unit_code,
            _o.c.unit_name,
            sa.func.count().label("registered"),
            _sum(in_force).label("in_force"),
            _sum(_o.c.ended_at < until).label("ended"),
            _sum((_o.c.valid_until <= until) & _o.c.ended_at.is_(None)).label("expired"),
        )
        .where(_o.c.registered_at < until)
        .group_by(_o.c.unit_code, _o.c.unit_name)
        .order_by(_o.c.unit_code)
    )
    return await storage.every(conn, asked.limit(MOST_ROWS))


async def _unused(conn: AsyncConnection, *, since: datetime, until: datetime) -> list[dict[str, Any]]:
    """Officials in force who asked nothing in the period: registrations that may be ended."""
    asked_in_period = (
        sa.select(_l.c.id).where(_l.c.official_id == _o.c.id, _l.c.at >= since, _l.c.at < until).exists()
    )
    asked = (
        sa.select(_o.c.code, _o.c.unit_code, _o.c.registered_at, _o.c.last_used_at, _o.c.valid_until)
        .where(_o.c.registered_at < until, _o.c.ended_at.is_(None), _o.c.valid_until > until, ~asked_in_period)
        .order_by(_o.c.unit_code, _o.c.code)
    )
    return await storage.every(conn, asked.limit(MOST_ROWS))


async def _exceptions(conn: AsyncConnection, *, since: datetime, until: datetime) -> list[dict[str, Any]]:
    used = (
        sa.select(sa.func.count())
        .where(_l.c.exception_id == _e.c.id, _l.c.at >= since, _l.c.at < until)
        .scalar_subquery()
    )
    asked = (
        sa.select(
            _o.c.code.label("official_code"),
            _e.c.dossier_code,
            _e.c.unit_code,
            _e.c.granted_at,
            _e.c.granted_by,
            _e.c.ends_at,
            _e.c.ended_at,
            _e.c.reason,
            used.label("used"),
        )
        .join_from(_e, _o, _e.c.official_id == _o.c.id)
        .where(_e.c.granted_at < until, _e.c.ends_at > since)
        .order_by(_e.c.granted_at)
    )
    return await storage.every(conn, asked.limit(MOST_ROWS))


async def _keys(conn: AsyncConnection, *, until: datetime) -> list[dict[str, Any]]:
    keys = tables.api_keys
    asked = (
        sa.select(
            keys.c.prefix,
            keys.c.organisation,
            keys.c.system,
            keys.c.grants,
            keys.c.issued_at,
            keys.c.expires_at,
            keys.c.confirmed_at,
            keys.c.suspended_at,
            keys.c.revoked_at,
            keys.c.addresses,
        )
        .where(keys.c.issued_at < until)
        .order_by(keys.c.organisation, keys.c.issued_at)
    )
    rows = await storage.every(conn, asked.limit(MOST_ROWS))
    return [row for row in rows if _reaches_people(row["grants"])]


def _reaches_people(grants: Sequence[str]) -> bool:
    return any(
        grant == "all" or grant.startswith(("residents.", "papers.", "enterprises.", "fields:"))
        for grant in grants
    )


async def _acts(conn: AsyncConnection, *, since: datetime, until: datetime) -> list[dict[str, Any]]:
    acts = tables.admin_acts
    asked = (
        sa.select(acts.c.act, sa.func.count().label("times"), sa.func.max(acts.c.at).label("last_at"))
        .where(acts.c.at >= since, acts.c.at < until)
        .where(sa.or_(*(acts.c.act.like(f"{group}.%") for group in ("officials", "lookups", "keys"))))
        .group_by(acts.c.act)
        .order_by(acts.c.act)
    )
    return await storage.every(conn, asked.limit(MOST_ROWS))
