"""`lienthong sync`: bringing the national catalogue of procedures in."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lienthong.bus.flows import procedure_sync
from lienthong.bus.hub import Hub
from lienthong.console.cli import context, output

app = typer.Typer(no_args_is_help=True, help="Đồng bộ danh mục quốc gia / the national catalogue.")


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

    async def work(hub: Hub) -> procedure_sync.RunReport:
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


def print_report(report: procedure_sync.RunReport) -> None:
    """Print the counts of a run, and what was odd, for people."""
    facts: dict[str, Any] = report.as_json()
    names = {
        "source": "Nguồn",
        "seen": "Có trong danh sách",
        "new": "Mới",
        "changed": "Thay đổi",
        "unchanged": "Không đổi",
        "withdrawn": "Bãi bỏ",
        "failed": "Không đọc được",
        "held": "Tạm giữ",
        "took_s": "Thời gian (giây)",
        "run_id": "Lượt",
    }
    output.facts("Đồng bộ thủ tục / procedure sync", {names[key]: facts[key] for key in names})


@app.command()
def report(
    run_id: Annotated[str | None, typer.Argument(help="Lượt; mặc định là lượt cuối / default: the last.")] = None,
    json: context.Json = False,
) -> None:
    """Xem một lượt: gì mới, gì đổi, gì bất thường và vì sao / what a run did, and what was odd."""
    found = context.run(lambda hub: procedure_sync.report(hub, run_id))
    if json:
        output.as_json(found)
        return
    _print_details(found)


def _print_details(found: dict[str, Any]) -> None:
    output.facts(
        "Lượt đồng bộ", {key: value for key, value in found.items() if not isinstance(value, (list, dict))}
    )
    output.table(
        "Bất thường / odd",
        {"kind": "Loại", "vi": "Ý nghĩa", "count": "Số lượng", "examples": "Ví dụ"},
        found["oddities"],
    )
    for name, title in (("failed", "Không đọc được"), ("withdrawn", "Bãi bỏ"), ("new", "Mới")):
        output.table(title, {"code": "Mã", "name": "Tên", "detail": "Chi tiết"}, found.get(name, []))
    rows = [
        {"code": item["code"], "field": change["field"], "old": change["old"], "new": change["new"]}
        for item in found.get("changed", [])
        for change in item["changes"]
    ]
    output.table("Thay đổi", {"code": "Mã", "field": "Trường", "old": "Cũ", "new": "Mới"}, rows)
