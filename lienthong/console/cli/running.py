"""`lienthong serve|sandbox|start|demo`: running the hub, alone or with the imitation systems beside it."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lienthong.console.cli import context


class Role(StrEnum):
    """A part of the full size that can run as a process of its own."""

    GATEWAY = "gateway"
    CONSOLE = "console"
    WORKER = "worker"
    BEAT = "beat"
    WATCHER = "watcher"


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(serve)
    app.command()(sandbox)
    app.command()(start)
    app.command()(demo)


def serve(
    role: Annotated[
        Role | None, typer.Option(help="Chỉ một phần (cỡ đầy đủ) / only one part (full size).")
    ] = None,
) -> None:
    """Chạy trục: cổng nhận, gửi đi, lịch, trong một tiến trình / run the hub in one process."""
    from lienthong.console import server

    if role in (Role.WORKER, Role.BEAT):
        from lienthong.bus import worker

        context.guarded(context.chosen)
        context.guarded(worker.run_worker if role is Role.WORKER else worker.run_beat)
        return
    if role is Role.CONSOLE:
        context.guarded(lambda: server.run_desks(context.chosen()))
        return
    if role is Role.WATCHER:
        context.guarded(lambda: server.run_watcher(context.chosen()))
        return
    context.guarded(lambda: server.run(context.chosen(), gateway_only=role is Role.GATEWAY))


def sandbox(
    catalogue: Annotated[Path | None, typer.Option(help="Tệp danh mục / catalogue file.", exists=True)] = None,
    mood: Annotated[
        list[str] | None, typer.Option(help="Ngày xấu, ví dụ slow:latency_ms=500 / a bad day.")
    ] = None,
    latency_ms: Annotated[int | None, typer.Option(help="Độ trễ mỗi lượt gọi / latency of every call.")] = None,
    store: Annotated[Path | None, typer.Option(help="Tệp giữ những gì đã nhận / file for what arrives.")] = None,
    port: Annotated[int | None, typer.Option(help="Cổng; mặc định theo cấu hình / port.")] = None,
) -> None:
    """Chạy hệ thống quốc gia giả lập / run the imitation national systems."""
    chosen = context.guarded(context.chosen)
    from lienthong.console import trial

    # The sandbox is another program: it imports nothing of the hub, and this process becomes it.
    command = trial.sandbox_command(
        port=port or chosen.sandbox.port,
        catalogue=catalogue,
        moods=mood or [],
        latency_ms=latency_ms,
        store=store,
    )
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 - our own interpreter, our own module


def start(
    catalogue: Annotated[Path | None, typer.Option(help="Tệp danh mục / catalogue file.", exists=True)] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Cỡ đầy đủ / full size: PostgreSQL, Redis, Celery.")
    ] = False,
) -> None:
    """Chạy thử: trục và hệ thống giả lập, danh mục đã đồng bộ, khoá mẫu / a trial on this machine."""
    from lienthong.console import trial

    context.guarded(lambda: trial.run(catalogue=catalogue, full=full))


def demo() -> None:
    """Với trục và hệ thống giả lập đang chạy: đi qua từng việc và in ra / walk the stories and print them."""
    from lienthong.console import demo as walk

    context.guarded(walk.run)
