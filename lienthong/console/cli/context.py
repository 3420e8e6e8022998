"""What every command needs: the settings, an opened hub, and one way to fail."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from lienthong.console.cli import output
from lienthong.core import errors, logs, settings

T = TypeVar("T")

Json = Annotated[bool, typer.Option("--json", help="In JSON cho chương trình đọc / print JSON.")]
# How a moment is typed, shown in the help in place of the bare formats.
MOMENT = "2026-11-01T08:00"
MOST_ROWS = "Số dòng nhiều nhất / most rows."
Reason = Annotated[str, typer.Option("--reason", help="Lý do; được ghi lại / why; kept in the record.")]

_config: list[Path] = []


def use_config(path: Path | None) -> None:
    """Remember the settings file given on the command line."""
    _config[:] = [path] if path else []


def actor() -> str:
    """Name the person at the keyboard, as the machine knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def chosen() -> settings.Settings:
    """Read the settings; also passes the file on to processes started from here."""
    if _config:
        os.environ["LIENTHONG_CONFIG"] = str(_config[0])
    return settings.load(os.environ)


def run(work: Callable[..., Awaitable[T]], *, migrated: bool = True, is_long: bool = False) -> T:
    """Open the hub, do one thing with it, close it; an error ends the command with status 1.

    The embedded database is made on first use; a shared one must have been migrated. A screen shows that a work
    that `is_long` goes on.
    """
    from lienthong.bus import hub as hubs
    from lienthong.core import migrations

    async def go() -> T:
        async with hubs.opened(chosen()) as hub:
            if migrated and hub.storage.is_sqlite:
                await migrations.upgrade(hub.storage)
            elif migrated:
                await migrations.must_be_current(hub.storage)
            return await work(hub)

    with output.problems.status("Đang làm… / working…") if is_long else contextlib.nullcontext():
        return guarded(lambda: asyncio.run(go()))


def guarded(work: Callable[[], T]) -> T:
    """Do something; one of our errors is printed in words and ends the command with status 1."""
    try:
        logs.start("warning", "text")
        return work()
    except errors.HubError as exc:
        output.failure(exc)
        raise typer.Exit(1) from exc
    except KeyboardInterrupt as exc:
        raise typer.Exit(130) from exc
