"""`lienthong init|migrate|settings|check|places`: preparing the hub and looking whether it is well."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lienthong.bus import hub as hubs
from lienthong.console.cli import context, output
from lienthong.core import migrations, records, settings, settings_tree


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(init)
    app.command()(migrate)
    app.command("settings")(show_settings)
    app.command()(check)
    places = typer.Typer(no_args_is_help=True, help="Đơn vị hành chính / places.")
    places.command("import")(import_places)
    app.add_typer(places, name="places")


def init(json: context.Json = False) -> None:
    """Chuẩn bị cơ sở dữ liệu và khoá của trục; chạy lại vẫn an toàn / prepare the hub; safe to repeat."""
    _forward(json=json)


def migrate(json: context.Json = False) -> None:
    """Đưa cơ sở dữ liệu lên bước mới nhất / bring the database forward; safe to repeat."""
    _forward(json=json)


def _forward(*, json: bool) -> None:
    async def go() -> str:
        async with hubs.opened(context.chosen()) as hub:
            return await migrations.upgrade(hub.storage)

    reached = context.guarded(lambda: asyncio.run(go()))
    if json:
        output.as_json({"migration": reached})
    else:
        output.console.print(f"Cơ sở dữ liệu ở bước {reached} / the database is at migration {reached}")


def show_settings(json: context.Json = False) -> None:
    """Cấu hình đang dùng, bí mật được che / the settings in force, secrets masked."""
    chosen = context.guarded(context.chosen)
    found = settings.masked(chosen)
    if json:
        output.as_json(found)
        return
    rows = [{"name": name, "value": value} for name, value in sorted(settings_tree.flat("LIENTHONG", found))]
    output.table("Cấu hình / settings", {"name": "Tên", "value": "Giá trị"}, rows)
    from lienthong.monitoring import health

    for risk in health.risks(chosen):
        output.problems.print(f"RỦI RO / risk: {risk.vi} / {risk.en}", markup=False)


def check(json: context.Json = False) -> None:
    """Tự kiểm tra: cơ sở dữ liệu, Redis, từng hệ thống / self-check of everything the hub leans on."""
    from lienthong.monitoring import health

    results: list[records.CheckResult] = context.run(health.check_everything, migrated=False, is_long=True)
    if json:
        output.as_json([result.model_dump() for result in results])
    else:
        rows = [{"ok": _state(item), "name": item.name, "vi": item.vi} for item in results]
        output.table("Tự kiểm tra / self-check", {"ok": "", "name": "Mục", "vi": "Kết quả"}, rows)
    if not all(result.ok for result in results):
        raise typer.Exit(1)


def _state(item: records.CheckResult) -> str:
    if not item.ok:
        return "HỎNG"
    return "RỦI RO" if item.facts.get("risk") else "tốt"


def import_places(
    communes: Annotated[
        Path,
        typer.Option(exists=True, dir_okay=False, help="CSV các xã, phường hiện hành / CSV of today's communes."),
    ],
    changes: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="CSV xã cũ → xã mới / CSV of old to new communes."),
    ] = None,
    json: context.Json = False,
) -> None:
    """Nạp danh mục xã, phường từ tệp của đơn vị / import communes from the operator's own files."""
    from lienthong.bus.flows import places_import

    report = context.run(lambda hub: places_import.run(hub, communes=communes, changes=changes), is_long=True)
    found = asdict(report)
    if json:
        output.as_json(found)
        return
    bad = found.pop("bad")
    names = {"communes": "Xã, phường", "changes": "Dòng chuyển đổi", "removed": "Đã bỏ"}
    output.facts("Nạp đơn vị hành chính / places", {names[name]: value for name, value in found.items()})
    if bad:
        output.table("Dòng bị bỏ qua / rows left out", {name: name for name in bad[0]}, bad)
