"""Keys at risk: old, unused, without a list of addresses, used from many places, at the limit or near it.

Read from the register of keys, the counts of their uses and the record; nothing is changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from lienthong.api_keys import key_store, limits, uses
from lienthong.api_keys.key_records import KeyRecord
from lienthong.core import errors, storage, tables
from lienthong.monitoring import asking, key_maxima, rollups

OLD, UNUSED, ANYWHERE, SHARED, LIMITED, NEAR_LIMIT, ENDING = (
    "old", "unused", "anywhere", "shared", "limited", "near_limit", "ending",
)  # fmt: skip
KINDS = (SHARED, LIMITED, NEAR_LIMIT, ANYWHERE, UNUSED, OLD, ENDING)
OLD_AFTER = timedelta(days=365)
UNUSED_AFTER = timedelta(days=90)
ENDING_WITHIN = timedelta(days=30)
MANY_ADDRESSES = 5
ADDRESSES_WITHIN = timedelta(days=30)
_NEAR = 0.8
_NOTHING = rollups.Busiest(0, 0)
_u, _a = tables.key_uses, tables.alerts
_GONE = ("revoked", "expired")


@dataclass(frozen=True, slots=True)
class KeyRisk:
    """One key with what speaks against leaving it as it is. Maxima are calls in one hour; None: not known."""

    key: KeyRecord
    state: str
    risks: tuple[str, ...]
    last_used_at: datetime | None
    addresses: int
    busiest_hour: int
    limited: int
    stated_an_hour: int | None
    suggested_an_hour: int | None


async def listed(sources: asking.Sources, *, now: datetime) -> list[KeyRisk]:
    """List the keys that can be used and carry a risk, those with the most risks first."""
    store = sources.store
    keys = [key for key in await key_store.list_keys(store) if key.state(now) not in _GONE]
    used, places, shared = await uses.totals(store), await _places(store, now), await _shared(store)
    busiest = await rollups.busiest_hours(sources, since=key_maxima.since(now))
    found = []
    for key in keys:
        last = used[key.id].last_at if key.id in used else None
        risk = _judged(key, last, places.get(key.id, 0), busiest.get(key.id, _NOTHING), now=now)
        if key.id in shared and SHARED not in risk.risks:
            risk = replace(risk, risks=(SHARED, *risk.risks))
        if risk.risks:
            found.append(risk)
    return sorted(found, key=lambda it: (-len(it.risks), it.key.organisation, it.key.prefix))


def stated_an_hour(stated: Iterable[str]) -> int | None:
    """Give how many calls an hour a key's general limits allow; None where nothing is stated."""
    found = []
    for text in stated:
        try:
            limit = limits.parse(text)
        except errors.HubError:
            continue
        if limit.kind == "rate" and not limit.operation:
            found.append(limit.quota * 3600 // max(limit.window_s, 1) if limit.window_s < 3600 else limit.quota)
    return min(found, default=None)


def _judged(
    key: KeyRecord, last: datetime | None, addresses: int, busiest: rollups.Busiest, *, now: datetime
) -> KeyRisk:
    stated = stated_an_hour(key.limits)
    signs = {
        SHARED: addresses >= MANY_ADDRESSES,
        LIMITED: busiest.limited > 0,
        NEAR_LIMIT: busiest.limited == 0 and stated is not None and busiest.hour >= _NEAR * stated,
        ANYWHERE: not key.addresses,
        UNUSED: (last or key.issued_at) < now - UNUSED_AFTER,
        OLD: key.issued_at < now - OLD_AFTER,
        ENDING: key.expires_at < now + ENDING_WITHIN,
    }
    risks = tuple(kind for kind in KINDS if signs[kind])
    maximum = key_maxima.suggested(busiest.hour, "hour", limited=busiest.limited)
    return KeyRisk(key, key.state(now), risks, last, addresses, busiest.hour, busiest.limited, stated, maximum)


async def _places(store: storage.Storage, now: datetime) -> dict[str, int]:
    asked = sa.select(_u.c.key_id, sa.func.count(_u.c.address.distinct()).label("places"))
    asked = asked.where(_u.c.last_at >= now - ADDRESSES_WITHIN, _u.c.used > 0).group_by(_u.c.key_id)
    async with store.reading() as conn:
        return {row["key_id"]: row["places"] for row in await storage.every(conn, asked)}


async def _shared(store: storage.Storage) -> set[str]:
    waiting = (_a.c.rule == "key_shared", _a.c.state != "closed", _a.c.is_test.is_(False))
    asked = sa.select(_a.c.key_id).where(*waiting)
    async with store.reading() as conn:
        return {row["key_id"] for row in await storage.every(conn, asked) if row["key_id"]}
