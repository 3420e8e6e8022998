"""`lienthong journal`: reading the book of exchanges."""

from __future__ import annotations

import time
from typing import Annotated, Any

import sqlalchemy as sa
import typer

from lienthong.bus.hub import Hub
from lienthong.console.cli import context, output
from lienthong.core import journal, storage, tables

app = typer.Typer(no_args_is_help=True, help="Sổ nhật ký / the journal.")
_t = tables.exchanges
_SHOWN = [column for column in _t.c if column.name != "detail"]
_COLUMNS = {
    "at": "Lúc",
    "direction": "Chiều",
    "organisation": "Đơn vị",
    "system": "Hệ thống",
    "operation": "Thao tác",
    "dossier_code": "Hồ sơ",
    "status": "HTTP",
    "outcome": "Kết quả",
    "took_ms": "ms",
    "request_id": "Mã yêu cầu",
}
Key = Annotated[str | None, typer.Option("--key", help="Số của khoá / key id.")]
Operation = Annotated[str | None, typer.Option("--operation")]
Outcome = Annotated[str | None, typer.Option("--outcome", help="ok, hoặc mã lỗi / ok, or an error code.")]
Dossier = Annotated[str | None, typer.Option("--dossier")]
Request = Annotated[str | None, typer.Option("--request", help="Mã yêu cầu / request id.")]


def _query(limit: int, **wanted: str | None) -> sa.Select[Any]:
    found = sa.select(*_SHOWN).order_by(_t.c.number.desc()).limit(limit)
    for name, value in wanted.items():
        if value:
            found = found.where(_t.c[name] == value)
    return found


@app.command()
def search(
    key: Key = None,
    operation: Operation = None,
    outcome: Outcome = None,
    dossier: Dossier = None,
    request: Request = None,
    direction: Annotated[str | None, typer.Option(help="in hoặc out")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    json: context.Json = False,
) -> None:
    """Tìm trong sổ, mới nhất trước; việc đọc sổ cũng được ghi / search, newest first; reading is recorded."""
    wanted = {
        "key_id": key,
        "operation": operation,
        "outcome": outcome,
        "dossier_code": dossier,
        "request_id": request,
        "direction": direction,
    }

    async def work(hub: Hub) -> list[dict[str, Any]]:
        async with hub.storage.transaction() as tx:
            asked = {name: value for name, value in wanted.items() if value}
            await journal.write_act(
                tx, "journal.search", str(sorted(asked)), actor=context.actor(), now=hub.now(), after=asked
            )
        async with hub.storage.reading() as conn:
            return await storage.every(conn, _query(limit, **wanted))

    _print(context.run(work), json=json)


@app.command()
def tail(
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Theo dõi tiếp / keep following.")] = False,
    json: context.Json = False,
) -> None:
    """Xem các lượt trao đổi gần nhất / the latest exchanges."""

    async def newest(hub: Hub) -> list[dict[str, Any]]:
        async with hub.storage.reading() as conn:
            return (await storage.every(conn, _query(limit)))[::-1]

    rows = context.run(newest)
    _print(rows, json=json)
    last = rows[-1]["number"] if rows else 0
    while follow:
        time.sleep(1)

        async def later(hub: Hub, after: int = last) -> list[dict[str, Any]]:
            async with hub.storage.reading() as conn:
                return await storage.every(
                    conn, sa.select(*_SHOWN).where(_t.c.number > after).order_by(_t.c.number).limit(500)
                )

        rows = context.run(later)
        if rows:
            _print(rows, json=json)
            last = rows[-1]["number"]


def _print(rows: list[dict[str, Any]], *, json: bool) -> None:
    if json:
        for row in rows:
            output.as_json(row)
    else:
        output.table("Sổ nhật ký", _COLUMNS, rows)
