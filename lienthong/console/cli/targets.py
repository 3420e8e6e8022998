"""`lienthong targets`: the systems that messages go to, and stopping and starting them by hand."""

from __future__ import annotations

from typing import Any

import typer

from lienthong.bus import outbox, targets
from lienthong.bus.flows import target_switch
from lienthong.bus.hub import Hub
from lienthong.console.cli import context, output
from lienthong.core import errors

app = typer.Typer(no_args_is_help=True, help="Nơi nhận thông điệp / systems that messages go to.")


@app.command("list")
def listed(json: context.Json = False) -> None:
    """Liệt kê nơi nhận với trạng thái và số đang chờ / list targets, their state and what waits."""

    async def work(hub: Hub) -> list[dict[str, Any]]:
        waiting = {(row["target"], row["state"]): row["messages"] for row in await outbox.counts(hub.storage)}
        names = {*hub.settings.dossiers.targets, *(name for name, _ in waiting)}
        rows = []
        for name in sorted(names):
            found = await targets.get(hub.storage, name)
            rows.append(
                {
                    "name": name,
                    "state": found.state,
                    "pending": waiting.get((name, "pending"), 0),
                    "dead": waiting.get((name, "dead"), 0),
                    "last_success_at": found.last_success_at,
                    "probe_at": found.probe_at,
                    "reason": found.reason,
                }
            )
        return rows

    rows = context.run(work)
    if json:
        output.as_json(rows)
        return
    headings = {
        "name": "Nơi nhận",
        "state": "Trạng thái",
        "pending": "Đang chờ",
        "dead": "Bị dừng",
        "last_success_at": "Gửi được gần nhất",
        "probe_at": "Thử lại lúc",
        "reason": "Lý do",
    }
    output.table("Nơi nhận", headings, rows)


@app.command()
def pause(name: str, reason: context.Reason) -> None:
    """Tạm dừng gửi tới một nơi nhận / stop sending to a target; messages wait."""
    _set(name, targets.PAUSED, reason)


@app.command()
def resume(name: str, reason: context.Reason) -> None:
    """Gửi tiếp tới một nơi nhận / go on sending to a target."""
    _set(name, targets.ACTIVE, reason)


def _set(name: str, state: str, reason: str) -> None:
    async def work(hub: Hub) -> None:
        if name not in hub.settings.dossiers.targets:
            raise errors.NotFound(
                f"{name} is not a target; targets: {', '.join(hub.settings.dossiers.targets)}",
                detail_vi=f"{name} không phải là nơi nhận; các nơi nhận: "
                f"{', '.join(hub.settings.dossiers.targets)}",
            )
        before = await targets.get(hub.storage, name)
        await target_switch.switch(hub, before, state, by=context.actor(), reason=reason)

    context.run(work)
    output.console.print(f"{name}: {state}")
