"""The seals of the record: how old the last checkpoint is, who countersigned it, and verifying now."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from starlette.responses import Response

from lienthong.console.web import security_seals
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.monitoring import seals

routes = Routes()
# A checkpoint comes at least each minute; later than this nobody seals.
_LATE = seals.LONGEST + timedelta(seconds=60)


@routes.page("seals")
async def show(visit: Visit) -> Response:
    """Show both sealed logs and how they were verified."""
    hub, chosen = visit.hub, visit.hub.settings.seals
    logs, past = await asyncio.gather(
        asyncio.to_thread(security_seals.logs, hub.settings.home, visit.words.language),
        security_seals.verifications(hub.storage),
    )
    last = past[0] if past else None
    witness = next((it for it in (chosen.witness_folder, chosen.witness_url, chosen.witness_command) if it), "")
    return visit.page(
        "security/seals.html",
        logs=[(log, _state(visit, log)) for log in logs],
        past=past,
        last=last,
        is_running=security_seals.is_running(hub.settings.home),
        has_witness=bool(witness),
        stamps=chosen.stamp_url,
    )


def _state(visit: Visit, log: security_seals.Sealed) -> str:
    if log.problem:
        return "danger"
    if log.at is None:
        return "not_yet"
    return "late" if visit.now - log.at > _LATE else "ok"


@routes.act("seals.verify")
async def verify(visit: Visit) -> Response:
    """Verify the whole record now; a large one goes on while other pages are used."""
    is_done = await security_seals.verify(visit.hub, actor=visit.who.name, reason=visit.text("reason"))
    return visit.go("seals", said="seals.verified" if is_done else "seals.still_verifying")
