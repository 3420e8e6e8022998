"""The daily look at every key: reminders before it ends, and what nobody confirmed is switched off and said so.

The gate refuses an expired or lapsed key from its first second; this flow tells people, each thing once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import acts, key_store, keys
from lienthong.bus import events
from lienthong.bus.hub import Hub

ACTOR = "keys_review"
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Due:
    """A key that ends or must be confirmed soon, or already should have been."""

    record: keys.KeyRecord
    what: str
    at: datetime
    days_left: int

    def as_json(self) -> dict[str, Any]:
        """Give one line of `lienthong keys due`."""
        record = self.record
        return {
            "id": record.id,
            "prefix": record.prefix,
            "organisation": record.organisation,
            "system": record.system,
            "custodian": record.custodian,
            "what": self.what,
            "at": self.at.isoformat(),
            "days_left": self.days_left,
        }


@dataclass(slots=True)
class Report:
    """What one review did."""

    seen: int = 0
    reminded: int = 0
    expired: int = 0
    lapsed: int = 0


async def due(hub: Hub, *, within_days: int) -> list[Due]:
    """List the keys that end or must be confirmed within some days, and those that lapsed; the nearest first."""
    now = hub.now()
    found: list[Due] = []
    for record in await keys.list_keys(hub.storage):
        if record.state(now) in ("revoked", "expired"):
            continue
        moments = [Due(record, "expires", record.expires_at, _days_left(record.expires_at, now))]
        if record.confirm_by < record.expires_at:
            moments.append(Due(record, "confirm", record.confirm_by, _days_left(record.confirm_by, now)))
        found += [moment for moment in moments if moment.days_left <= within_days]
    return sorted(found, key=lambda moment: moment.at)


async def review(hub: Hub) -> Report:
    """Go through every key once. Safe to repeat at any time: what was told is not told again."""
    report, now = Report(), hub.now()
    for record in await keys.list_keys(hub.storage):
        # An expired key is looked at until its end was told.
        if record.revoked_at is not None or record.expiry_told == 0:
            continue
        report.seen += 1
        if _news(record, hub.settings.keys.remind_days, now):
            # The default binds this turn's value; the checker cannot infer a lambda that has one.
            await hub.storage.write(lambda tx, name=record.id: _tell(hub, tx, name, report, now=now))  # type: ignore[misc]
    return report


async def _tell(hub: Hub, tx: AsyncConnection, key_id: str, report: Report, *, now: datetime) -> None:
    record = await key_store.read_for_change(tx, key_id)
    news = _news(record, hub.settings.keys.remind_days, now)
    for told, step in news.items():
        kind = _kind(told, step)
        at = record.expires_at if told == "expiry_told" else record.confirm_by
        facts = {
            "prefix": record.prefix,
            "organisation": record.organisation,
            "system": record.system,
            "at": at.isoformat(),
            "days_left": _days_left(at, now),
        }
        await events.put(tx, kind, record.id, facts, now=now)
        _count(report, kind)
    after = await key_store.change(tx, key_id, news)
    if news.get("confirm_told") == 0:
        act = acts.Act("keys.lapse", ACTOR, now, "không ai xác nhận lại đúng hạn")
        await acts.note(tx, act, key_id, before=record, after={**after.as_act(), "state": after.state(now)})


def _news(record: keys.KeyRecord, remind_days: Sequence[int], now: datetime) -> dict[str, int]:
    """Give the reminders that are due and were not given: 0 is the end itself."""
    news = {}
    step = _step(record.expires_at, remind_days, now)
    if step is not None and (record.expiry_told is None or step < record.expiry_told):
        news["expiry_told"] = step
    # A key that ends before it must be confirmed is only reminded of its end.
    if record.confirm_by < record.expires_at and now < record.expires_at and record.approved_at is not None:
        step = _step(record.confirm_by, remind_days, now)
        if step is not None and (record.confirm_told is None or step < record.confirm_told):
            news["confirm_told"] = step
    return news


def _step(at: datetime, remind_days: Sequence[int], now: datetime) -> int | None:
    """Give the nearest reminder that this moment calls for; None where it is too early."""
    if now >= at:
        return 0
    return min((days for days in remind_days if at - now <= days * _DAY), default=None)


def _kind(told: str, step: int) -> str:
    if told == "expiry_told":
        return "key.expired" if step == 0 else "key.expiring"
    return "key.lapsed" if step == 0 else "key.confirm_due"


def _count(report: Report, kind: str) -> None:
    if kind == "key.expired":
        report.expired += 1
    elif kind == "key.lapsed":
        report.lapsed += 1
    else:
        report.reminded += 1


def _days_left(at: datetime, now: datetime) -> int:
    """Whole days left, as people count: the day itself is 0, yesterday -1."""
    return (at.date() - now.astimezone(at.tzinfo).date()).days
