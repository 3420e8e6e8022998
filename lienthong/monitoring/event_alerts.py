"""Alerts opened by what the flows and the desks announce: forged callbacks, silent money, copied passkeys."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.core import storage, tables
from lienthong.monitoring import alerts
from lienthong.monitoring.detectors import findings

_PLACE = "events"
BATCH = 500
MISSED_FOR = timedelta(minutes=2)  # longer than any transaction of the hub takes
_e, _p = tables.events, tables.detection_positions


class Kind(NamedTuple):
    """What an event means: the rule it belongs to, how grave, and the sentence in both languages."""

    rule: str
    score: float
    vi: str
    en: str


# By the event's kind, as the flows write it; all others open nothing.
KINDS = {
    "callbacks.forged": Kind(
        "forged_callback", 0.9, "Lời gọi lại không xác thực được", "A callback was not genuine"
    ),
    "callbacks.unknown_reference": Kind(
        "forged_callback",
        0.5,
        "Lời gọi lại về giao dịch không có",
        "A callback about a payment that does not exist",
    ),
    "callbacks.unreadable": Kind(
        "forged_callback", 0.4, "Lời gọi lại không đọc được", "A callback was unreadable"
    ),
    "accounts.passkey_copied": Kind(
        "copied_passkey",
        0.9,
        "Passkey có dấu hiệu bị sao chép vì số đếm đi lùi; tài khoản",
        "A passkey may have been copied, its count went back; account",
    ),
    "payments.silent": Kind("flow", 0.5, "Cổng thanh toán không trả lời", "A payment provider is silent"),
    "payments.needs_person": Kind("flow", 0.6, "Thanh toán cần người xử lý", "A payment needs a person"),
    "parcels.lost": Kind("flow", 0.6, "Bưu gửi thất lạc", "A parcel is lost"),
    "parcels.late": Kind("flow", 0.4, "Bưu gửi lâu không có tin", "Nothing is heard of a parcel"),
    "parcels.needs_person": Kind("flow", 0.6, "Bưu gửi cần người xử lý", "A parcel needs a person"),
    "parcels.unread_events": Kind(
        "flow", 0.5, "Tin hành trình không đọc được", "News of parcels that cannot be read"
    ),
    "parcels.feed_unreadable": Kind(
        "flow", 0.6, "Tệp hành trình không đọc được", "A carrier's feed cannot be read"
    ),
    "waybills.low": Kind("flow", 0.4, "Sắp hết số vận đơn", "Waybill numbers are running low"),
    "waybills.empty": Kind("flow", 0.7, "Đã hết số vận đơn", "There are no waybill numbers left"),
    "reconciliation.differences": Kind(
        "flow", 0.6, "Đối soát có chênh lệch", "A reconciliation found differences"
    ),
    "reconcile.refused": Kind("flow", 0.5, "Tệp đối soát không nhận được", "A statement cannot be taken"),
    "procedures.sync_held": Kind("flow", 0.5, "Lượt đồng bộ bị giữ lại", "A sync run is held"),
    "targets.suspended": Kind("flow", 0.5, "Nơi nhận tạm ngừng vì lỗi liên tục", "A target keeps failing"),
}


# What people know a matter by, rather than by the number that the hub gave it.
_TOLD_BY = ("number", "dossier_code", "provider", "account")


class Follower:
    """Reads events in their order, from where it stopped; at its very first start from now on.

    On PostgreSQL an event may become visible after events with higher numbers. A number that is missing is asked
    for again until no transaction can still bring it; after a restart what lies beyond it is told once more.
    """

    def __init__(self, store: storage.Storage) -> None:
        self._store = store
        self._last: int | None = None
        self._missing: dict[int, datetime] = {}  # numbers, and when each was missed

    async def step(self, now: datetime) -> int:
        """Open alerts for what is new; gives how many events were read."""
        async with self._store.reading() as conn:
            last, rows = await self._read(conn)
        for row in rows:
            finding = of_event(row)
            if finding is not None:
                await alerts.open_or_update(self._store, finding)
        is_first, place = self._last is None, self._place()
        self._go_on(last, [row["number"] for row in rows], now)
        if is_first or self._place() != place:
            await self._keep(self._place(), now)
        return len(rows)

    async def _read(self, conn: AsyncConnection) -> tuple[int, list[dict[str, Any]]]:
        last = self._last
        if last is None:
            last = (await conn.execute(sa.select(_p.c.number).where(_p.c.node == _PLACE))).scalar()
        if last is None:
            return (await conn.execute(sa.select(sa.func.max(_e.c.number)))).scalar() or 0, []
        wanted = sa.or_(_e.c.number > last, _e.c.number.in_([*self._missing]))
        return last, await storage.every(conn, sa.select(_e).where(wanted).order_by(_e.c.number).limit(BATCH))

    def _go_on(self, last: int, numbers: list[int], now: datetime) -> None:
        """Note what was read, and which numbers before it are missing."""
        since = now - MISSED_FOR
        self._missing = {number: at for number, at in self._missing.items() if at > since}
        self._last = max([last, *numbers])
        if not self._store.is_sqlite:  # where one writes after the other, nothing comes later
            self._missing |= dict.fromkeys(range(max(last, self._last - BATCH) + 1, self._last), now)
        for number in numbers:
            self._missing.pop(number, None)

    def _place(self) -> int:
        """Say up to which number everything has been read."""
        return min([self._last or 0, *(number - 1 for number in self._missing)])

    async def _keep(self, number: int, now: datetime) -> None:
        values = {"number": number, "at": now}
        async with self._store.transaction() as tx:
            added = self._store.insert(_p).values(node=_PLACE, **values)
            await tx.execute(added.on_conflict_do_update(index_elements=[_p.c.node], set_=values))


def of_event(row: dict[str, Any]) -> findings.Finding | None:
    """Say what an event is worth; nothing for most."""
    kind = KINDS.get(row["kind"])
    if kind is None:
        return None
    at, subject = row["occurred_at"].timestamp(), str(row["subject"])
    who = findings.Who(operation=f"{row['kind']} {subject}"[:120])
    facts = {name: value for name, value in row["facts"].items() if isinstance(value, (str, int, float))}
    told = next((str(facts[name]) for name in _TOLD_BY if facts.get(name)), subject)
    return findings.Finding(
        kind.rule, who, at, at, kind.score, {"event": row["kind"], **facts}, {}, f"{kind.vi}: {told}.",
        f"{kind.en}: {told}.",
    )  # fmt: skip
