"""`lienthong reconcile`: our book against the intermediaries' (đối soát)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from lienthong.bus.flows import (
    reconciliation,
    reconciliation_daily,
    reconciliation_files,
    reconciliation_sums,
)
from lienthong.bus.hub import Hub
from lienthong.console import reconciliation_report
from lienthong.console.cli import context, given, output
from lienthong.core import journal
from lienthong.mappings import statement_shapes

app = typer.Typer(no_args_is_help=True, help="Đối soát thanh toán / reconciliation of payments.")

_DIFFERENCES = {
    "id": "Số",
    "day": "Ngày",
    "provider": "Trung gian",
    "said": "Chênh lệch",
    "our_reference": "Mã tham chiếu",
    "provider_reference": "Mã bên trung gian",
    "ours_vnd": "Sổ của trục",
    "theirs_vnd": "Sổ trung gian",
    "states": "Trạng thái trục / trung gian",
}
_RUNS = {
    "id": "Số",
    "provider": "Trung gian",
    "source": "Nguồn",
    "state": "Trạng thái",
    "day_from": "Từ ngày",
    "day_until": "Đến ngày",
    "file_name": "Tệp",
    "made_at": "Lúc",
    "made_by": "Người nhập",
    "counts": "Kết quả",
}
_COUNTS = {
    "resumed": "làm tiếp / resumed",
    "asked": "đã hỏi trung gian / asked",
    "confirmed": "trung gian xác nhận / confirmed",
    "silent": "chưa trả lời / no answer",
    "files": "tệp đã đọc / files",
    "refused": "tệp không nhận / files refused",
    "waiting": "chờ duyệt / wait for approval",
    "lines": "dòng / lines",
    "other": "dòng không phải thanh toán / other lines",
    "differences": "chênh lệch / differences",
    "settled_recorded": "tiền vào được ghi nhận / money taken",
    "settled_already": "đã biết từ trước / known before",
    "settled_amount_differs": "số tiền khác / another amount",
    "settled_unknown_reference": "không rõ mã tham chiếu / unknown reference",
}
Number = Annotated[str, typer.Argument(help="Số / number.")]
Provider = Annotated[str | None, typer.Option(help="Chỉ trung gian này / only this intermediary.")]


@app.command()
def run(json: context.Json = False) -> None:
    """Đối soát ngay: hỏi các trung gian, đọc thư mục sao kê / reconcile now, as the timetable does."""

    async def work(hub: Hub) -> dict[str, Any]:
        return dataclasses.asdict(await reconciliation_daily.run(hub))

    done = context.run(work, is_long=True)
    if json:
        output.as_json(done)
    else:
        output.facts("Đối soát / reconciliation", _in_words(done))


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="Sao kê .csv hoặc .xlsx / the statement.", dir_okay=False)],
    provider: Annotated[str, typer.Option(help="Trung gian, ví dụ vnpay, vietqr / intermediary.")],
    reason: Annotated[str, typer.Option("--reason", help="Ghi chú, ví dụ số công văn / why.")] = "",
    shape: Annotated[str, typer.Option(help="Mẫu: tên mẫu có sẵn, hoặc tệp .yml / shape.")] = "",
    since: Annotated[str, typer.Option("--from", help="Kỳ sao kê từ ngày / first day covered.")] = "",
    until: Annotated[str, typer.Option("--to", help="Đến hết ngày / last day covered.")] = "",
    encoding: Annotated[
        str, typer.Option(help="Bảng mã của CSV / encoding of a CSV: utf-8, windows-1258.")
    ] = "utf-8",
    json: context.Json = False,
) -> None:
    """Nhập một sao kê; cùng tệp chỉ nhập một lần / take a statement in; the same file counts once."""

    async def work(hub: Hub) -> reconciliation.Outcome:
        statement = reconciliation.Statement(
            provider=provider,
            raw=given.content(file, most=reconciliation_files.LIMITS.bytes),
            file_name=file.name,
            shape=_shape(shape or statement_shapes.OF_PROVIDER.get(provider, "neutral")),
            encoding=encoding,
            since=given.day_or_none(since),
            until=given.day_or_none(until),
        )
        return await reconciliation.take(hub, statement, by=context.actor(), reason=reason)

    _tell(context.run(work, is_long=True), json=json)


@app.command()
def approve(number: Number, json: context.Json = False) -> None:
    """Duyệt một sao kê đang chờ / approve a statement that waits."""
    _tell(context.run(lambda hub: reconciliation.approve(hub, number, by=context.actor())), json=json)


@app.command("list")
def listed(
    runs: Annotated[bool, typer.Option("--runs", help="Các lần đối soát / what was compared.")] = False,
    closed: Annotated[bool, typer.Option("--all", help="Cả chênh lệch đã khép / closed ones too.")] = False,
    provider: Provider = None,
    kind: Annotated[str | None, typer.Option(help="Chỉ loại này, ví dụ missing_with_us / only this kind.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help=context.MOST_ROWS)] = 200,
    json: context.Json = False,
) -> None:
    """Các chênh lệch chưa khép, hoặc các lần đối soát / open differences, or what was compared."""

    async def work(hub: Hub) -> Sequence[Mapping[str, Any]]:
        if runs:
            return await reconciliation.listed(hub, limit=limit)
        return await reconciliation.differences(
            hub, open_only=not closed, provider=provider, kind=kind, limit=limit
        )

    rows = context.run(work)
    if json:
        output.as_json(rows)
    elif runs:
        output.table("Các lần đối soát / reconciliations", _RUNS, [_counted(row) for row in rows])
    else:
        _differences(rows)


@app.command()
def show(number: Number, json: context.Json = False) -> None:
    """Một lần đối soát với mọi chênh lệch / one comparison with its differences."""

    async def work(hub: Hub) -> tuple[dict[str, Any], Sequence[Mapping[str, Any]]]:
        found = await reconciliation.one(hub, number)
        return found, await reconciliation.differences(hub, open_only=False, reconciliation=number)

    found, rows = context.run(work)
    if json:
        output.as_json({**found, "differences": rows})
        return
    told = _counted(found)
    output.facts("Đối soát / reconciliation", {said: told[name] for name, said in _RUNS.items()})
    _differences(rows)


@app.command()
def close(number: Number, reason: context.Reason) -> None:
    """Khép một chênh lệch, có lý do; không chuyển tiền / close a difference; no money moves."""
    if not reason.strip():
        raise typer.BadParameter("cần --reason / --reason is needed")
    context.run(lambda hub: reconciliation.close(hub, number, by=context.actor(), reason=reason.strip()))
    output.console.print(f"{number}: đã khép / closed")


@app.command()
def report(
    since: Annotated[str, typer.Option("--from", help="Từ ngày, ví dụ 2026-01-01 / first day.")],
    until: Annotated[str, typer.Option("--to", help="Đến hết ngày / last day.")],
    out: given.Report = None,
    json: context.Json = False,
) -> None:
    """Báo cáo theo cơ quan và trung gian / a report by agency and intermediary."""

    async def work(hub: Hub) -> tuple[reconciliation_sums.Sums, str, datetime]:
        found = await reconciliation_sums.run(hub, since=given.day(since), until=given.day(until))
        async with hub.storage.transaction() as tx:
            period = f"{found.since} – {found.until}"
            await journal.write_act(tx, "reconcile.report", period, actor=context.actor(), now=hub.now())
        return found, hub.settings.agency.name, hub.now()

    found, agency, made_at = context.run(work, is_long=True)
    given.write_report(
        out,
        page=lambda: reconciliation_report.page(found, agency=agency, made_at=made_at),
        workbook=lambda: reconciliation_report.workbook(found, agency=agency, made_at=made_at),
    )
    if json:
        output.as_json(found.as_json())
        return
    columns = {"agency": "Cơ quan", "provider": "Trung gian", "received_vnd": "Đã thu", "refunded_vnd": "Đã hoàn"}
    columns |= {"net_vnd": "Còn lại", "open_differences": "Chênh lệch chưa khép"}
    output.table("Tổng hợp / sums", columns, [line.as_json() for line in found.lines])
    if out is not None:
        output.console.print(f"Đã ghi / written: {out}")


def _differences(rows: Sequence[Mapping[str, Any]]) -> None:
    told = [reconciliation_report.told(row) for row in rows]
    output.table("Chênh lệch / differences", _DIFFERENCES, told)


def _counted(row: Mapping[str, Any]) -> dict[str, Any]:
    told = _in_words(row["counts"])
    return {**row, "counts": "; ".join(f"{name}: {value}" for name, value in told.items())}


def _in_words(counts: Mapping[str, Any]) -> dict[str, Any]:
    return {_COUNTS.get(name, name): value for name, value in counts.items()}


def _tell(done: reconciliation.Outcome, *, json: bool) -> None:
    if json:
        output.as_json(done.as_json())
        return
    said = {"done": "đã đối soát / done", "waiting": "chờ duyệt / waits for approval", "open": "đang làm / open"}
    again = " (đã nhập trước đó / was here already)" if done.repeated else ""
    output.console.print(f"{done.id}: {said.get(done.state, done.state)}{again}")
    output.facts("Kết quả / counts", _in_words(done.counts))


def _shape(name: str) -> statement_shapes.Shape:
    return statement_shapes.read(Path(name)) if name.endswith((".yml", ".yaml")) else statement_shapes.named(name)
