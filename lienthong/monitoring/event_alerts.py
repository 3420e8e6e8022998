"""Alerts opened by what the flows announce: forged callbacks, money that is silent, parcels, held runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from lienthong.core import storage, tables
from lienthong.monitoring import alerts
from lienthong.monitoring.detectors import findings

_PLACE = "events"
BATCH = 500
_e, _p = tables.events, tables.detection_positions


class Kind(NamedTuple):
    """What an event means: the rule it belongs to, how grave, and the sentence in both languages."""

    rule: str
    score: float
    vi: str
    en: str


# What begins so is one of these; the longest beginning counts.
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
    "payments.silent": Kind("flow", 0.5, "Cổng thanh toán không trả lời", "A payment provider is silent"),
    "payments.needs_person": Kind("flow", 0.6, "Thanh toán cần người xử lý", "A payment needs a person"),
    "parcels.lost": Kind("flow", 0.6, "Bưu gửi thất lạc", "A parcel is lost"),
    "parcels.silent": Kind("flow", 0.4, "Bưu gửi không có tin", "Nothing is heard of a parcel"),
    "procedures.sync_held": Kind("flow", 0.5, "Lượt đồng bộ bị giữ lại", "A sync run is held"),
    "targets.paused": Kind("flow", 0.5, "Nơi nhận bị tạm dừng", "A target is paused"),
}


class Follower:
    """Reads events in their order, from where it stopped; at its very first start from now on."""

    def __init__(self, store: storage.Storage) -> None:
        self._store = store

    async def step(self, now: datetime) -> int:
        """Open alerts for what is new; gives how many events were read."""
        async with self._store.reading() as conn:
            place = await storage.first(conn, sa.select(_p.c.number).where(_p.c.node == _PLACE))
            if place is None:
                last = (await conn.execute(sa.select(sa.func.max(_e.c.number)))).scalar() or 0
                rows: list[dict[str, Any]] = []
            else:
                last = place["number"]
                asked = sa.select(_e).where(_e.c.number > last).order_by(_e.c.number).limit(BATCH)
                rows = await storage.every(conn, asked)
        for row in rows:
            finding = of_event(row)
            if finding is not None:
                await alerts.open_or_update(self._store, finding)
        if rows or place is None:
            await self._keep(rows[-1]["number"] if rows else last, now)
        return len(rows)

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
    told = f"{subject}"
    return findings.Finding(
        kind.rule, who, at, at, kind.score, {"event": row["kind"], **facts}, {}, f"{kind.vi}: {told}.",
        f"{kind.en}: {told}.",
    )  # fmt: skip
