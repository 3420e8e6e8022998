"""What the operator's forms have in common: a reason is asked for, and messages and targets are freed by it."""

from __future__ import annotations

from datetime import datetime, timedelta

from lienthong.bus import outbox, targets
from lienthong.bus.flows import target_switch
from lienthong.bus.hub import Hub
from lienthong.console.web.operator_outbox import Chosen
from lienthong.console.web.visit import Visit
from lienthong.core import errors, journal

SHORTEST = 3


def reason(visit: Visit) -> str:
    """Give the reason that was posted. Raises InvalidRequest where there is none."""
    said = visit.text("reason")[:500]
    if len(said) < SHORTEST:
        vi, en = "Hãy nêu lý do (ít nhất 3 ký tự).", "Say why (3 characters at least)."
        raise errors.InvalidRequest(problems=(errors.FieldProblem("reason", vi, en),))
    return said


async def free(visit: Visit, chosen: Chosen, act: str) -> int:
    """Send dead messages again, or give them up, with a line of the trail; returns how many. Raises Conflict."""
    why, hub = reason(visit), visit.hub
    work = outbox.retry if act == "retry" else outbox.drop
    async with hub.storage.transaction() as tx:
        done = await work(tx, now=visit.now, **chosen.filters())
        if not done:
            raise errors.Conflict(
                "no message of these is stuck any more",
                detail_vi="Không còn thông điệp nào trong số này bị kẹt.",
            )
        after = {"messages": done, **chosen.told()}
        await journal.write_act(
            tx,
            f"messages.{act}",
            chosen.subject()[:200],
            actor=visit.who.name,
            now=visit.now,
            reason=why,
            after=after,
        )
    for target in [chosen.target] if chosen.target else [it.name for it in await targets.listed(hub.storage)]:
        hub.announce(target)
    return done


def end_of_pause(visit: Visit) -> datetime | None:
    """Read until when a pause lasts; none where it lasts until a person ends it. Raises InvalidRequest."""
    if not visit.text("until"):
        return None
    until = visit.moment("until")
    if until <= visit.now:
        vi, en = "Thời điểm kết thúc phải ở sau lúc này.", "The end must lie ahead."
        raise errors.InvalidRequest(problems=(errors.FieldProblem("until", vi, en),))
    return until


def offices_close(visit: Visit) -> datetime:
    """Suggest when a pause ends: when offices close today, or four hours on where they have."""
    closes = max(closes for _, closes in visit.hub.calendar.hours_on(visit.now.date()))
    until = visit.now.replace(hour=closes.hour, minute=closes.minute, second=0, microsecond=0)
    return until if until > visit.now else (visit.now + timedelta(hours=4)).replace(second=0, microsecond=0)


async def pause(visit: Visit, name: str) -> None:
    """Stop sending to a target, for a reason, until a moment or until somebody resumes it."""
    why, until = reason(visit), end_of_pause(visit)
    known = await _known(visit.hub, name)
    await target_switch.switch(visit.hub, known, targets.PAUSED, by=visit.who.name, reason=why, until=until)


async def resume(visit: Visit, name: str) -> None:
    """Go on sending to a target; what waits for it is due at once."""
    why = reason(visit)
    known = await _known(visit.hub, name)
    await target_switch.switch(visit.hub, known, targets.ACTIVE, by=visit.who.name, reason=why)
    visit.hub.announce(name)


async def _known(hub: Hub, name: str) -> targets.Target:
    known = {it.name: it for it in await targets.listed(hub.storage)}
    if name not in known and name not in hub.settings.dossiers.targets:
        raise errors.NotFound("no such target", detail_vi="Không có nơi nhận này.")
    return known.get(name) or targets.Target(name)
