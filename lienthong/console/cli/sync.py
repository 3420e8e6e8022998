"""`lienthong sync`: bringing the national catalogue of procedures in."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lienthong.bus.flows import procedure_sync, sync_report, sync_runs
from lienthong.bus.hub import Hub
from lienthong.console.cli import context, output

app = typer.Typer(no_args_is_help=True, help="Đồng bộ danh mục quốc gia / the national catalogue.")

_NAMES = {
    "source": "Nguồn",
    "state": "Trạng thái",
    "started_at": "Bắt đầu",
    "finished_at": "Kết thúc",
    "seen": "Có trong danh sách",
    "new": "Mới",
    "changed": "Thay đổi",
    "unchanged": "Không đổi",
    "withdrawn": "Bãi bỏ",
    "failed": "Không đọc được",
    "held": "Tạm giữ",
    "note": "Ghi chú",
    "took_s": "Thời gian (giây)",
    "run_id": "Lượt",
}


@app.command()
def procedures(
    source: Annotated[str | None, typer.Option(help="Nguồn / contract, ví dụ dvcqg_adapter.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Tải lại mọi thủ tục / fetch every detail.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Chỉ xem, không ghi / write nothing.")] = False,
    accept_smaller: Annotated[
        bool, typer.Option("--accept-smaller", help="Chấp nhận danh sách ngắn bất thường / accept a held list.")
    ] = False,
    json: context.Json = False,
) -> None:
    """Chạy một lượt đồng bộ thủ tục / run one sync of procedures."""
    shown = _bar() if not json else None

    async def work(hub: Hub) -> sync_runs.RunReport:
        task = shown.add_task("", total=None) if shown else None

        def progress(step: procedure_sync.Progress) -> None:
            if shown and task is not None:
                shown.update(task, description=step.phase, completed=step.done, total=step.total or None)

        return await procedure_sync.run(
            hub, source=source, full=full, dry_run=dry_run, accept_smaller=accept_smaller, progress=progress
        )

    with shown or nullcontext():
        report = context.run(work)
    if json:
        output.as_json(report.as_json())
    else:
        print_report(report)
    if report.held:
        raise typer.Exit(1)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=output.problems,
        transient=True,
    )


def print_report(report: sync_runs.RunReport) -> None:
    """Print the counts of a run, and what was odd, for people."""
    facts: dict[str, Any] = report.as_json()
    facts["held"] = _both(report.held, report.held_en)
    output.facts("Đồng bộ thủ tục / procedure sync", {_NAMES[key]: facts[key] for key in _NAMES if key in facts})


@app.command()
def report(
    run_id: Annotated[str | None, typer.Argument(help="Lượt; mặc định là lượt cuối / default: the last.")] = None,
    json: context.Json = False,
) -> None:
    """Xem một lượt: gì mới, gì đổi, gì bất thường và vì sao / what a run did, and what was odd."""
    found = context.run(lambda hub: sync_report.report(hub, run_id))
    if json:
        output.as_json(found.model_dump(mode="json"))
        return
    head = found.model_dump(include={"run_id", "source", "state", "started_at", "finished_at", "held", "note"})
    said = {name: _both(head[name], found.counts.get(f"{name}_en")) for name in ("held", "note")}
    shown = {**head, **said, **found.counts}
    output.facts("Lượt đồng bộ / sync run", {_NAMES[key]: shown[key] for key in _NAMES if key in shown})
    _print_lists(found)


def _both(vi: Any, en: Any) -> Any:
    """Put what is said in both languages beside each other."""
    return f"{vi} / {en}" if vi and en and vi != en else vi


def _print_lists(found: sync_report.Full) -> None:
    kinds = [
        {"vi": odd.vi, "count": odd.count, "examples": ", ".join(item.code for item in odd.records[:5])}
        for odd in found.odd
    ]
    output.table("Bất thường / odd", {"vi": "Loại", "count": "Số lượng", "examples": "Ví dụ"}, kinds)
    for title, lines in (
        ("Không đọc được / failed", found.failed),
        ("Bãi bỏ / withdrawn", found.withdrawn),
        ("Mới / new", found.new),
    ):
        rows = [{"code": line.code, "name": line.name, "vi": line.vi} for line in lines]
        output.table(title, {"code": "Mã", "name": "Tên", "vi": "Chi tiết"}, rows)
    changes = [
        {"code": line.code, "field": change.label_vi or change.field, "old": change.old, "new": change.new}
        for line in found.changed
        for change in line.changes
    ]
    output.table("Thay đổi / changed", {"code": "Mã", "field": "Trường", "old": "Cũ", "new": "Mới"}, changes)
