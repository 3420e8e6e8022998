"""`lienthong targets`: the systems that messages go to, and stopping and starting them by hand."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from lienthong.bus import outbox, targets
from lienthong.bus.flows import maintenance, target_switch
from lienthong.bus.hub import Hub
from lienthong.console.cli import context, output
from lienthong.core import clock, errors

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


_WINDOW = {
    "id": "Mã",
    "system": "Hệ thống",
    "begins_at": "Bắt đầu",
    "ends_at": "Kết thúc",
    "reason": "Lý do",
    "planned_by": "Người ghi",
}
_FORMATS = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M%z"]
Name = Annotated[str, typer.Argument(help="Nơi nhận / target, dvcqg_adapter.")]
Until = Annotated[
    datetime | None,
    typer.Option(
        "--until",
        formats=_FORMATS,
        metavar=context.MOMENT,
        help="Tự gửi lại lúc này, giờ Việt Nam / goes on by itself then.",
    ),
]
Begins = Annotated[
    datetime, typer.Option("--begins", formats=_FORMATS, metavar=context.MOMENT, help="Bắt đầu / when it begins.")
]
Ends = Annotated[
    datetime, typer.Option("--ends", formats=_FORMATS, metavar=context.MOMENT, help="Kết thúc / when it ends.")
]


@app.command()
def pause(name: Name, reason: context.Reason, until: Until = None) -> None:
    """Tạm dừng gửi tới một nơi nhận; thông điệp xếp hàng / stop sending to a target; messages wait."""
    _set(name, targets.PAUSED, reason, until=until)


@app.command()
def resume(name: Name, reason: context.Reason) -> None:
    """Gửi tiếp tới một nơi nhận / go on sending to a target."""
    _set(name, targets.ACTIVE, reason)


@app.command()
def plan(name: Name, begins: Begins, ends: Ends, reason: context.Reason, json: context.Json = False) -> None:
    """Ghi lịch bảo trì của một hệ thống; nơi nhận tự dừng trong lúc đó / plan the maintenance of a system."""

    async def work(hub: Hub) -> maintenance.Window:
        return await maintenance.plan(hub, name, _local(begins), _local(ends), by=context.actor(), reason=reason)

    _told([context.run(work)], json=json)


@app.command()
def windows(json: context.Json = False) -> None:
    """Liệt kê lịch bảo trì đang và sắp tới / list the maintenance that lasts or is ahead."""

    async def work(hub: Hub) -> list[maintenance.Window]:
        return await maintenance.ahead(hub.storage, now=hub.now())

    _told(context.run(work), json=json)


@app.command()
def cancel(
    window: Annotated[str, typer.Argument(help="Số của lịch / id of the window.")],
    reason: context.Reason,
    json: context.Json = False,
) -> None:
    """Bỏ một lịch bảo trì; nơi nhận đang dừng vì nó thì gửi tiếp / call a maintenance window off."""

    async def work(hub: Hub) -> maintenance.Window:
        return await maintenance.cancel(hub, window, by=context.actor(), reason=reason)

    _told([context.run(work)], json=json)


def _told(found: list[maintenance.Window], *, json: bool) -> None:
    rows = [{name: getattr(it, name) for name in _WINDOW} for it in found]
    if json:
        output.as_json(rows)
    else:
        output.table("Lịch bảo trì", _WINDOW, rows)


def _local(given: datetime) -> datetime:
    return given.replace(tzinfo=clock.VIETNAM) if given.tzinfo is None else given


def _set(name: str, state: str, reason: str, *, until: datetime | None = None) -> None:
    async def work(hub: Hub) -> None:
        if name not in hub.settings.dossiers.targets:
            raise errors.NotFound(
                f"{name} is not a target; targets: {', '.join(hub.settings.dossiers.targets)}",
                detail_vi=f"{name} không phải là nơi nhận; các nơi nhận: "
                f"{', '.join(hub.settings.dossiers.targets)}",
            )
        end = until and _local(until)
        if end and end <= hub.now():
            vi, en = "Thời điểm kết thúc phải ở sau lúc này.", "The end must lie ahead."
            raise errors.InvalidRequest(problems=(errors.FieldProblem("until", vi, en),))
        before = await targets.get(hub.storage, name)
        await target_switch.switch(hub, before, state, by=context.actor(), reason=reason, until=end)

    context.run(work)
    output.console.print(f"{name}: {state}" + (f", {until:%d/%m/%Y %H:%M}" if until else ""))
