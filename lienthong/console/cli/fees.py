"""`lienthong fees`: rules of the province about fees, as a resolution's table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lienthong.bus.flows import fee_rules, fee_rules_import
from lienthong.console.cli import context, given, output

app = typer.Typer(no_args_is_help=True, help="Quy định mức thu của tỉnh / fee rules of the province.")

_COLUMNS = {
    "id": "Số",
    "procedure_code": "Thủ tục",
    "channel": "Kênh",
    "obligation": "Khoản",
    "said": "Mức thu",
    "valid_from": "Từ ngày",
    "valid_until": "Đến hết ngày",
    "legal_basis": "Căn cứ",
}
_HISTORY = {
    **_COLUMNS,
    "note": "Ghi chú",
    "set_at": "Ghi lúc",
    "set_by": "Người ghi",
    "reason": "Lý do",
    "ended_at": "Thôi lúc",
    "ended_by": "Người thôi",
    "ended_reason": "Vì sao",
}
_BAD = {"row": "Dòng", "column": "Cột", "vi": "Lý do", "en": "Reason"}
_MOST_SHOWN = 200


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="Bảng .csv hoặc .xlsx / the table.", dir_okay=False)],
    reason: Annotated[str, typer.Option("--reason", help="Lý do, ví dụ số nghị quyết / why.")] = "",
    channel: Annotated[
        str,
        typer.Option(
            help="Kênh, khi tệp không có cột / channel where the file has none: online, in_person, postal."
        ),
    ] = "online",
    basis: Annotated[str, typer.Option(help="Văn bản, ví dụ 23/2026/NQ-HĐND / the resolution.")] = "",
    since: Annotated[str, typer.Option("--from", help="Từ ngày, khi tệp không có cột / first day.")] = "",
    until: Annotated[str, typer.Option("--until", help="Đến hết ngày / last day.")] = "",
    encoding: Annotated[
        str, typer.Option(help="Bảng mã của CSV / encoding of a CSV: utf-8, windows-1258.")
    ] = "utf-8",
    replace: Annotated[bool, typer.Option("--replace", help="Thay quy định cũ trùng kỳ / replace.")] = False,
    ahead: Annotated[
        bool, typer.Option("--ahead", help="Cả thủ tục trục chưa có / unknown procedures too.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Chỉ kiểm tra / only check.")] = False,
    json: context.Json = False,
) -> None:
    """Nhập bảng mức thu; có dòng sai thì không ghi gì / take a table in; with a bad row nothing is written."""
    report = context.run(
        lambda hub: fee_rules_import.run(
            hub,
            given.content(file, most=fee_rules_import.LIMITS.bytes),
            fee_rules_import.Defaults(
                channel=channel,
                legal_basis=basis,
                valid_from=given.day_or_none(since),
                valid_until=given.day_or_none(until),
            ),
            by=context.actor(),
            reason=reason,
            encoding=encoding,
            replace=replace,
            ahead=ahead,
            dry_run=dry_run,
        )
    )
    if json:
        output.as_json(report.as_json())
    else:
        _tell(report, dry_run=dry_run)
    if report.bad:
        raise typer.Exit(1)


@app.command("list")
def listed(
    procedure: Annotated[str | None, typer.Option(help="Mã thủ tục / procedure.")] = None,
    on: Annotated[str, typer.Option("--on", help="Hiệu lực vào ngày / in force on this day.")] = "",
    ended: Annotated[bool, typer.Option("--all", help="Cả quy định đã thôi / ended ones too.")] = False,
    json: context.Json = False,
) -> None:
    """Các quy định mức thu / the rules."""
    rows = context.run(
        lambda hub: fee_rules.listed(hub, procedure_code=procedure, day=given.day_or_none(on), with_ended=ended)
    )
    _print(rows, json=json, columns=_COLUMNS)


@app.command()
def show(
    procedure: Annotated[str, typer.Argument(help="Mã thủ tục / procedure.")], json: context.Json = False
) -> None:
    """Mọi quy định của một thủ tục, cả lịch sử / every rule of a procedure, with its history."""
    rows = context.run(lambda hub: fee_rules.listed(hub, procedure_code=procedure, with_ended=True))
    _print(rows, json=json, columns=_HISTORY)


@app.command()
def end(
    number: Annotated[str, typer.Argument(help="Số quy định / the rule's number.")], reason: context.Reason
) -> None:
    """Thôi áp dụng một quy định / end a rule."""
    context.run(lambda hub: fee_rules.withdraw(hub, number, by=context.actor(), reason=reason))
    output.console.print(f"{number}: đã thôi áp dụng / ended")


def _print(rows: Any, *, json: bool, columns: dict[str, str]) -> None:
    if json:
        output.as_json(rows)
        return
    told = [{**row, "said": f"{row['amount_vnd']} đ" if row["amount_vnd"] else "miễn / free"} for row in rows]
    output.table("Quy định mức thu / fee rules", columns, told)


def _tell(report: fee_rules_import.Report, *, dry_run: bool) -> None:
    told = {
        "Số dòng / rows": report.rows,
        "Mới / new": report.new,
        "Thay / replaced": report.replaced,
        "Không đổi / unchanged": report.unchanged,
        "Ngoài phạm vi / not in scope": report.passed_over,
        "Nguồn không chắc / the source is unsure": len(report.unsure),
        "Dòng sai / bad rows": len({bad.row for bad in report.bad}),
    }
    output.facts("Bảng mức thu / the table", told)
    if report.unsure:
        output.console.print("Cần người rà lại / to be looked at: " + ", ".join(report.unsure))
    if report.bad:
        rows = [{name: getattr(bad, name) for name in _BAD} for bad in report.bad[:_MOST_SHOWN]]
        output.table("Cần sửa / to put right", _BAD, rows)
        output.console.print("CHƯA GHI GÌ / NOTHING WRITTEN")
    elif dry_run:
        output.console.print("Chỉ kiểm tra, chưa ghi gì / only checked, nothing is written")
    else:
        output.console.print("Đã ghi / written")
