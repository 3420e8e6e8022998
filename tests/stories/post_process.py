"""A process of its own that works at the post, for `test_post_processes.py`; it may be killed in the midst."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import post_town
import sqlalchemy as sa

from lienthong.bus import hub as hubs
from lienthong.bus.flows import postal_pool, postal_watch
from lienthong.core import money, settings

CARRIER = "ems"


async def take(hub: hubs.Hub, dossiers: list[str]) -> list[str]:
    """Take a number for each dossier; gives the numbers."""
    taken = []
    for dossier in dossiers:
        of = {"dossier": dossier, "direction": "deliver_result", "parcel": f"{os.getpid()}"}
        taken.append(await hub.storage.write(lambda tx, of=of: postal_pool.take(hub, tx, CARRIER, **of)))
    return taken


async def watch(hub: hubs.Hub, told: list[dict[str, Any]], *, dies_before: str) -> int:
    """Read a feed of these events; dies by SIGKILL before the first statement that begins so."""

    def die(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if dies_before and statement.startswith(dies_before):
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(hub.storage._writer.sync_engine, "before_cursor_execute", die)
    carrier = post_town.Carrier(events=[money.ParcelEvent.model_validate(one) for one in told])
    report = await postal_watch.run(dataclasses.replace(hub, systems={CARRIER: carrier}))
    return report.events


async def main(asked: dict[str, Any]) -> None:
    """Open the hub over the home and the database that it is told, and do what it is asked."""
    tree = {"home": Path(asked["home"]), "database": {"url": asked["url"]}, "post": asked["post"]}
    async with hubs.opened(settings.Settings.model_validate(tree)) as hub:
        done = await take(hub, asked["take"]) if "take" in asked else await watch(hub, **asked["watch"])
    print(json.dumps(done))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
