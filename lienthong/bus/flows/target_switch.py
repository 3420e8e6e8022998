"""A target paused or resumed by a person: its state, the event and the administrative trail in one transaction."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.bus import events, outbox, targets
from lienthong.bus.hub import Hub
from lienthong.core import journal


async def switch(
    hub: Hub, before: targets.Target, state: str, *, by: str, reason: str, until: datetime | None = None
) -> None:
    """Pause or resume a target, a pause until a moment where one is given; what waits for a resumed one is due."""
    async with hub.storage.transaction() as tx:
        await write(tx, hub, before, state, by=by, reason=reason, until=until)


async def write(
    tx: AsyncConnection,
    hub: Hub,
    before: targets.Target,
    state: str,
    *,
    by: str,
    reason: str,
    until: datetime | None = None,
) -> None:
    """Do the same in the caller's transaction."""
    now, told = hub.now(), reason if state == targets.PAUSED else ""
    after = replace(before, state=state, reason=told, failures_in_row=0, probe_at=until)
    await targets.put(tx, hub.storage, after, now=now)
    if state == targets.ACTIVE:
        await outbox.hasten(tx, before.name, now=now)
    await events.put(tx, f"targets.{state}", before.name, {"state": state, "reason": reason}, now=now)
    await journal.write_act(
        tx,
        f"targets.{state}",
        before.name,
        actor=by,
        now=now,
        reason=reason,
        before={"state": before.state},
        after={"state": state, "until": until.isoformat() if until else ""},
    )
