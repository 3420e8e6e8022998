"""How a key is used, from the access record: against its limits, by the hour, and what its limits might be."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import keys, limits
from lienthong.bus.hub import Hub
from lienthong.core import clock, tables
from lienthong.monitoring import asking, key_maxima, rollups

# A maximum is suggested once a week is known.
ENOUGH_DAYS = 7
# The busiest minute lies in one of the busiest hours; so many of them are looked at.
_BUSY_HOURS = 3
_t = tables.exchanges
_NOT_COUNTED = "Client.LimitExceeded"


@dataclass(frozen=True, slots=True)
class LimitUse:
    """One limit of a key: what of it is used now, and the maximum that its use so far would suggest."""

    limit: limits.Limit
    used: int | None
    suggested: int | None = None


@dataclass(slots=True)
class Use:
    """Thirty days of a key: calls by day and hour in Vietnam time, and the limits."""

    days: list[date]
    cells: list[list[int]]
    limits: list[LimitUse] = field(default_factory=list)
    known_days: int = 0
    limited: int = 0

    @property
    def total(self) -> int:
        """Say how many calls there were."""
        return sum(map(sum, self.cells))


async def of_key(hub: Hub, record: keys.KeyRecord) -> Use:
    """Read how a key was used; costs a look over its calls of thirty days."""
    now = hub.now()
    since = key_maxima.since(now)
    days = [since.date() + timedelta(days=number) for number in range(key_maxima.DAYS)]
    sources = asking.of(hub.storage, hub.settings.home)
    question = asking.Question(since=since, until=now, key_id=record.id, direction="in")
    stated = limits.parse_all(record.limits)
    rows, used = await asyncio.gather(
        rollups.counted(sources, question, by=["hour", "outcome"], sums=()), _used(hub, record, stated, now=now)
    )
    by_hour: Counter[datetime] = Counter()
    for row in rows:
        by_hour[row["hour"].astimezone(clock.VIETNAM)] += int(row["requests"])
    limited = sum(int(row["requests"]) for row in rows if row["outcome"] == _NOT_COUNTED)
    cells = [[0] * 24 for _ in days]
    for hour, count in by_hour.items():
        place = (hour.date() - days[0]).days
        if 0 <= place < len(days):
            cells[place][hour.hour] += count
    found = Use(days, cells, known_days=sum(map(any, cells)), limited=limited)
    is_known = found.known_days >= ENOUGH_DAYS and not limited
    peaks = await _peaks(hub, record.id, by_hour, cells) if is_known else {}
    found.limits = [LimitUse(it, used[it.name], _suggested(it, peaks, limited=limited)) for it in stated]
    return found


async def _used(
    hub: Hub, record: keys.KeyRecord, stated: Sequence[limits.Limit], *, now: datetime
) -> dict[str, int | None]:
    """Count what was served within the window of each limit; of requests in flight the record knows nothing."""
    found: dict[str, int | None] = {}
    async with hub.storage.reading() as conn:
        for limit in stated:
            found[limit.name] = None if limit.kind == "flight" else await _within(conn, record.id, limit, now=now)
    return found


async def _within(conn: AsyncConnection, key_id: str, limit: limits.Limit, *, now: datetime) -> int:
    if limit.is_sliding:
        since = now - timedelta(seconds=limit.window_s)
    else:
        since = limits.calendar_period(limit.unit, now)[1]
    where = [_t.c.key_id == key_id, _t.c.at > since, _t.c.at <= now, _t.c.direction == "in"]
    where.append(_t.c.outcome != _NOT_COUNTED)
    if limit.operation.endswith(".*"):
        where.append(_t.c.operation.startswith(limit.operation[:-1], autoescape=True))
    elif limit.operation:
        where.append(_t.c.operation == limit.operation)
    asked = sa.select(sa.func.count()).select_from(_t).where(*where)
    return int((await conn.execute(asked)).scalar_one())


async def _peaks(
    hub: Hub, key_id: str, by_hour: Mapping[datetime, int], cells: Sequence[Sequence[int]]
) -> dict[str, int]:
    """Give the most that any minute, hour and day had, and what a month of such days comes to."""
    busiest = sorted(by_hour, key=lambda hour: -by_hour[hour])[:_BUSY_HOURS]
    minutes: Counter[str] = Counter()
    async with hub.storage.reading() as conn:
        for hour in busiest:
            asked = sa.select(_t.c.at).where(
                _t.c.key_id == key_id, _t.c.at >= hour, _t.c.at < hour + timedelta(hours=1), _t.c.direction == "in"
            )
            minutes.update(f"{at:%Y%m%d%H%M}" for at in (await conn.execute(asked)).scalars())
    days = [sum(line) for line in cells]
    peaks = {"hour": max(by_hour.values(), default=0), "day": max(days), "month": sum(days)}
    # Where the rows of the busy hours lie in day files only, the hour says as much as can be said.
    peaks["minute"] = max(minutes.values(), default=math.ceil(peaks["hour"] / 60))
    return peaks


def _suggested(limit: limits.Limit, peaks: Mapping[str, int], *, limited: int) -> int | None:
    if limit.kind != "rate" or limit.operation:
        return None
    return key_maxima.suggested(peaks.get(limit.unit, 0), limit.unit, limited=limited)
