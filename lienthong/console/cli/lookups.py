"""`lienthong lookups`: the book of questions to national registers, what may be asked, exceptions by name."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import sqlalchemy as sa
import typer

from lienthong.api_keys import officials
from lienthong.bus.flows import lookup_book, lookup_policy
from lienthong.bus.hub import Hub
from lienthong.console.cli import context, given, output, seals
from lienthong.core import errors, storage, tables
from lienthong.monitoring import asking, day_files, log_check, lookup_check, verification

app = typer.Typer(no_args_is_help=True, help="Sổ tra cứu công dân / the book of lookups.")
Official = Annotated[str | None, typer.Option(help="Mã hoặc tài khoản cán bộ / code or account.")]
Dossier = Annotated[str | None, typer.Option(help="Mã hồ sơ / dossier.")]
_l, _e, _r, _o = tables.lookups, tables.lookup_exceptions, tables.lookup_rules, tables.officials
_HEADS = {
    "at": "Lúc",
    "operation": "Thao tác",
    "official_code": "Cán bộ",
    "unit_code": "Đơn vị",
    "dossier_code": "Hồ sơ",
    "purpose": "Mục đích",
    "outcome": "Kết cục",
    "number": "Mã yêu cầu",
}


@app.command("list")
def listed(
    official: Official = None,
    dossier: Dossier = None,
    days: Annotated[int, typer.Option(min=1, help="Bao nhiêu ngày gần đây / the last days.")] = 30,
    refused: Annotated[bool, typer.Option("--refused", help="Chỉ lần bị từ chối / refusals only.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help=context.MOST_ROWS)] = 50,
    json: context.Json = False,
) -> None:
    """Các lần hỏi, mới nhất trước; không có tên hay số của người được hỏi / the questions, newest first."""

    async def work(hub: Hub) -> list[dict[str, Any]]:
        asked = sa.select(_l).where(_l.c.at > hub.now() - timedelta(days=days))
        if official is not None:
            found = await _official(hub, official)
            asked = asked.where(_l.c.official_id == found.id)
        if dossier is not None:
            asked = asked.where(_l.c.dossier_code == dossier)
        if refused:
            asked = asked.where(_l.c.outcome.like("Client.%"))
        about = f"official={official or '-'} dossier={dossier or '-'} days={days}"
        await lookup_book.read_by(hub, "lookups.read", about, actor=context.actor())
        async with hub.storage.reading() as conn:
            return await storage.every(conn, asked.order_by(_l.c.at.desc()).limit(limit))

    rows = context.run(work)
    if json:
        output.as_json(rows)
        return
    output.table("Sổ tra cứu", _HEADS, rows)


@app.command()
def rule(
    procedure: Annotated[str, typer.Argument(help="Mã thủ tục / procedure.")],
    reason: context.Reason,
    fields: Annotated[
        str, typer.Option(help="Nhóm trường, cách nhau bằng dấu phẩy; trống là trở về mức ít nhất / groups.")
    ] = "",
    service_code: Annotated[
        str, typer.Option(help="Mã dịch vụ được cấp cho thủ tục / service code issued for it.")
    ] = "",
) -> None:
    """Đặt các nhóm trường mà một thủ tục được lấy / set which groups of fields a procedure may ask for."""
    groups = tuple(part.strip() for part in fields.split(",") if part.strip())

    async def work(hub: Hub) -> None:
        await lookup_book.set_rule(
            hub, procedure, groups=groups, service_code=service_code, reason=reason, actor=context.actor()
        )

    context.run(work)
    output.console.print(f"{procedure}: {', '.join(groups or lookup_policy.LEAST)}")


@app.command()
def rules(json: context.Json = False) -> None:
    """Các thủ tục có quy định riêng / the procedures with a rule of their own."""

    async def work(hub: Hub) -> list[dict[str, Any]]:
        async with hub.storage.reading() as conn:
            return await storage.every(conn, sa.select(_r).order_by(_r.c.procedure_code))

    rows = context.run(work)
    if json:
        output.as_json(rows)
        return
    heads = {
        "procedure_code": "Thủ tục",
        "field_groups": "Nhóm trường",
        "service_code": "Mã dịch vụ",
        "set_at": "Đặt lúc",
        "set_by": "Người đặt",
        "reason": "Lý do",
    }
    output.table("Thủ tục có quy định riêng / procedures with a rule of their own", heads, rows)
    output.console.print(f"Thủ tục khác / all others: {', '.join(lookup_policy.LEAST)}")


@app.command("except")
def grant(
    official: Annotated[str, typer.Argument(help="Mã hoặc tài khoản cán bộ / code or account.")],
    until: Annotated[str, typer.Option(help="Ngày hết hạn, ví dụ 2026-12-31 / last day.")],
    reason: context.Reason,
    dossier: Dossier = None,
    unit: Annotated[str | None, typer.Option(help="Mã đơn vị có hồ sơ / the other unit.")] = None,
) -> None:
    """Cho đích danh một cán bộ hỏi về hồ sơ của đơn vị khác / let an official ask about another unit."""

    async def work(hub: Hub) -> str:
        found = await _official(hub, official)
        lookup_policy.must_be_in_force(found, now=hub.now())
        return await lookup_book.grant_exception(
            hub,
            found.id,
            dossier_code=dossier,
            unit_code=unit,
            ends_at=_end_of(until),
            reason=reason,
            actor=context.actor(),
        )

    output.console.print(context.run(work))


@app.command()
def exceptions(json: context.Json = False) -> None:
    """Các ngoại lệ đang hiệu lực / the exceptions in force."""

    async def work(hub: Hub) -> list[dict[str, Any]]:
        asked = (
            sa.select(_e, _o.c.code.label("official_code"))
            .join_from(_e, _o, _e.c.official_id == _o.c.id)
            .where(_e.c.ended_at.is_(None), _e.c.ends_at > hub.now())
            .order_by(_e.c.ends_at)
        )
        async with hub.storage.reading() as conn:
            return await storage.every(conn, asked)

    rows = context.run(work)
    if json:
        output.as_json(rows)
        return
    heads = {
        "id": "Số",
        "official_code": "Cán bộ",
        "dossier_code": "Hồ sơ",
        "unit_code": "Đơn vị",
        "ends_at": "Hết hạn",
        "granted_by": "Người cấp",
        "reason": "Lý do",
    }
    output.table("Ngoại lệ", heads, rows)


@app.command("end-exception")
def end(
    number: Annotated[str, typer.Argument(help="Số của ngoại lệ / its number.")], reason: context.Reason
) -> None:
    """Kết thúc một ngoại lệ trước hạn / end an exception before its day."""

    async def work(hub: Hub) -> None:
        await lookup_book.end_exception(hub, number, reason=reason, actor=context.actor())

    context.run(work)
    output.console.print(f"{number}: đã kết thúc / ended")


@app.command()
def verify(
    days: Annotated[int, typer.Option(min=1, max=3660, help="Bao nhiêu ngày gần đây / the last days.")] = 30,
    seals_too: Annotated[
        bool,
        typer.Option("--seals/--no-seals", help="Kiểm tra cả niêm phong của sổ truy cập / the seals as well."),
    ] = True,
    json: context.Json = False,
) -> None:
    """So sổ tra cứu với sổ truy cập đã niêm phong; sai khác: kết thúc bằng 1 / check it by the record."""

    async def work(hub: Hub) -> log_check.Report:
        home, now = hub.settings.home, hub.now()
        archive = day_files.Archive(home / "record")
        report = log_check.Report()
        if seals_too:
            report = await verification.verify(home, hub.storage, days=verification.Days(archive))
        # What is older than the archive keeps has been dropped from both sides.
        kept_days = min(days, hub.settings.archive.personal_days)
        period = lookup_check.Period.settled(now - timedelta(days=kept_days), now, now=now)
        await lookup_book.read_by(hub, "lookups.verify", f"days={days}", actor=context.actor())
        await lookup_check.compare(asking.Sources(hub.storage, archive), period, report)
        return report

    report = context.run(work, is_long=True)
    seals.tell(report, json=json)
    if not report.holds:
        raise typer.Exit(1)


async def _official(hub: Hub, name: str) -> officials.Official:
    found = await officials.find(hub.storage, hub.vault, name)
    if found is None:
        raise errors.NotFound(
            "no official has this code or account; see lienthong officials list",
            detail_vi="Không có cán bộ với mã hoặc tài khoản này; xem lienthong officials list.",
        )
    return found


def _end_of(day: str) -> datetime:
    """Give the end of a day in Vietnam. Raises InvalidRequest."""
    return given.midnight(day) + timedelta(days=1)
