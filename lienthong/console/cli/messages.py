"""`lienthong messages`: what was promised to other systems, and freeing what is stuck."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lienthong.bus import outbox
from lienthong.bus.hub import Hub
from lienthong.console.cli import context, output
from lienthong.core import errors, journal

app = typer.Typer(no_args_is_help=True, help="Thông điệp chờ gửi, đã gửi, bị từ chối / the outbox.")

_COLUMNS = {
    "id": "Số thông điệp",
    "target": "Nơi nhận",
    "lane": "Hồ sơ",
    "state": "Trạng thái",
    "attempts": "Lần gửi",
    "created_at": "Nhận lúc",
    "due_at": "Gửi lúc",
    "last_code": "Kết quả gần nhất",
}
_ROW = ("seq", "operation", "unknown_tries", "steps_done", "settled_at", "last_error", *_COLUMNS)

Target = Annotated[str | None, typer.Option("--target", help="Chỉ nơi nhận này / only this target.")]
Code = Annotated[str | None, typer.Option("--code", help="Chỉ mã lỗi này / only this error code.")]
Dossier = Annotated[str | None, typer.Option("--dossier", help="Chỉ hồ sơ này / only this dossier.")]
Ids = Annotated[list[str] | None, typer.Argument(help="Số thông điệp / message ids.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Chỉ đếm, không làm / count only.")]


@app.command("list")
def listed(
    state: Annotated[
        str | None,
        typer.Option("--state", help="Trạng thái / state: pending, in_flight, delivered, dead, dropped."),
    ] = None,
    target: Target = None,
    dossier: Dossier = None,
    code: Code = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help=context.MOST_ROWS)] = 50,
    after: Annotated[int, typer.Option(help="Sau số thứ tự này / after this sequence number.")] = 0,
    json: context.Json = False,
) -> None:
    """Liệt kê thông điệp, cũ nhất trước / list messages, oldest first."""
    rows = context.run(
        lambda hub: outbox.listed(
            hub.storage, limit=limit, after=after, state=state, target=target, code=code, lane=dossier
        )
    )
    if json:
        output.as_json([{name: row[name] for name in _ROW} for row in rows])
    else:
        output.table("Thông điệp", _COLUMNS, rows)


@app.command()
def counts(json: context.Json = False) -> None:
    """Đếm theo nơi nhận và trạng thái / count by target and state."""
    rows = context.run(lambda hub: outbox.counts(hub.storage))
    if json:
        output.as_json(rows)
    else:
        headings = {"target": "Nơi nhận", "state": "Trạng thái", "messages": "Số lượng", "oldest_at": "Cũ nhất"}
        output.table("Hàng gửi", headings, rows)


@app.command()
def show(
    message_id: Annotated[str, typer.Argument(help="Số thông điệp / id of the message.")],
    json: context.Json = False,
) -> None:
    """Xem một thông điệp với mọi lần gửi / show one message with every attempt."""

    async def work(hub: Hub) -> dict[str, Any]:
        found = await outbox.listed(hub.storage, ids=[message_id], limit=1)
        if not found:
            raise errors.NotFound("no such message", detail_vi="Không có thông điệp này.")
        row = {name: found[0][name] for name in _ROW}
        behind = await outbox.waiting_behind(hub.storage, found[0])
        return {**row, "waiting_behind": behind, "tries": await outbox.tries(hub.storage, message_id)}

    found = context.run(work)
    if json:
        output.as_json(found)
        return
    tries = found.pop("tries")
    output.facts("Thông điệp", {_COLUMNS.get(name, name): value for name, value in found.items()})
    headings = {
        "number": "Lần",
        "started_at": "Bắt đầu",
        "took_ms": "ms",
        "outcome": "Kết quả",
        "code": "Mã",
        "detail": "Chi tiết",
    }
    output.table("Các lần gửi", headings, tries)


@app.command()
def retry(
    reason: context.Reason,
    ids: Ids = None,
    target: Target = None,
    code: Code = None,
    dossier: Dossier = None,
    dry_run: DryRun = False,
    json: context.Json = False,
) -> None:
    """Gửi lại thông điệp đã dừng / send dead messages again."""
    _free("retry", outbox.retry, "dead", reason, ids, target, code, dossier, dry_run=dry_run, json=json)


@app.command()
def drop(
    reason: context.Reason,
    ids: Ids = None,
    target: Target = None,
    code: Code = None,
    dossier: Dossier = None,
    dry_run: DryRun = False,
    json: context.Json = False,
) -> None:
    """Bỏ hẳn thông điệp đã dừng / give up dead messages for good."""
    _free("drop", outbox.drop, "dead", reason, ids, target, code, dossier, dry_run=dry_run, json=json)


def _free(
    act: str,
    work: Any,
    state: str,
    reason: str,
    ids: list[str] | None,
    target: str | None,
    code: str | None,
    dossier: str | None,
    *,
    dry_run: bool,
    json: bool,
) -> None:
    filters: dict[str, Any] = {"ids": ids or (), "target": target, "code": code, "lane": dossier, "state": state}
    if not reason.strip():
        raise typer.BadParameter("cần nêu lý do / a reason is needed", param_hint="--reason")
    if not any((ids, target, code, dossier)):
        raise typer.BadParameter(
            "nêu số thông điệp, --target, --code hoặc --dossier / name what is meant", param_hint="IDS"
        )

    async def go(hub: Hub) -> dict[str, Any]:
        if dry_run:
            found = await outbox.listed(hub.storage, limit=10_000, **filters)
            return {act: 0, "would": len(found), "ids": [row["id"] for row in found]}
        now = hub.now()
        async with hub.storage.transaction() as tx:
            done = await work(tx, now=now, **filters)
            await journal.write_act(
                tx,
                f"messages.{act}",
                ",".join(ids or ()) or str({name: value for name, value in filters.items() if value}),
                actor=context.actor(),
                now=now,
                reason=reason,
                after={"messages": done},
            )
        return {act: done}

    answer = context.run(go)
    if json:
        output.as_json(answer)
    elif dry_run:
        output.console.print(f"{answer['would']} thông điệp sẽ được xử lý / messages would be touched")
    else:
        output.console.print(f"{answer[act]} thông điệp / messages: {act}")
