"""`lienthong waybills`: the pool of waybill numbers that carriers gave out beforehand."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from lienthong.bus.flows import postal_pool
from lienthong.bus.hub import Hub
from lienthong.console.cli import context, output
from lienthong.core import errors

app = typer.Typer(no_args_is_help=True, help="Kho mã vận đơn được cấp trước / waybill numbers.")

Carrier = Annotated[str, typer.Option("--carrier", help="Đơn vị bưu chính / the carrier, e.g. vnpost_hcc.")]


@app.command("import")
def imported(
    carrier: Carrier,
    reason: context.Reason,
    file: Annotated[
        Path | None, typer.Argument(help="CSV hoặc tệp chữ, mỗi dòng một mã / one number a line.", exists=True)
    ] = None,
    first: Annotated[str, typer.Option("--first", help="Mã đầu dải / first of a range.")] = "",
    last: Annotated[str, typer.Option("--last", help="Mã cuối dải / last of a range.")] = "",
    check_digits: Annotated[
        bool, typer.Option("--check-digits", help="Số thứ chín là số kiểm tra (UPU S10) / ninth digit is a check.")
    ] = False,
    json: context.Json = False,
) -> None:
    """Nạp mã vận đơn từ tệp hoặc theo dải; tệp sai thì không nạp gì / import numbers, all or none."""

    def numbers() -> Any:
        if file is not None and not first and not last:
            return postal_pool.read_file(file)
        if first and last and file is None:
            return postal_pool.expand(first, last, check_digits=check_digits)
        raise errors.InvalidRequest(
            "give a file, or --first and --last", detail_vi="Hãy cho một tệp, hoặc --first và --last."
        )

    wanted = context.guarded(numbers)
    with output.problems.status(f"Đang nạp {len(wanted)} mã…"):
        done = context.run(lambda hub: postal_pool.put(hub, carrier, wanted, by=context.actor(), reason=reason))
    counts = dataclasses.asdict(done)
    if json:
        output.as_json(counts)
    else:
        words = {"new": "Mã mới", "known": "Đã có từ trước", "free": "Còn trống"}
        output.facts(f"Kho mã {carrier}", {words[name]: value for name, value in counts.items()})


@app.command("list")
def listed(
    carrier: Annotated[str, typer.Option("--carrier", help="Liệt kê từng mã của / the numbers of.")] = "",
    state: Annotated[str, typer.Option("--state", help="Trạng thái / state: free, held, used.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help=context.MOST_ROWS)] = 100,
    json: context.Json = False,
) -> None:
    """Đếm mã theo trạng thái, hoặc liệt kê mã của một đơn vị / count numbers, or list those of a carrier."""

    async def work(hub: Hub) -> Any:
        if not carrier:
            return await postal_pool.counts(hub)
        return await postal_pool.listed(hub, carrier, state=state, limit=limit)

    rows = context.run(work)
    names = (
        ("carrier", "number", "state", "dossier_code", "changed_at")
        if carrier
        else ("carrier", "state", "numbers")
    )
    if json:
        output.as_json([{name: row[name] for name in names} for row in rows])
        return
    words = {
        "carrier": "Bưu chính",
        "number": "Mã vận đơn",
        "state": "Trạng thái",
        "dossier_code": "Hồ sơ",
        "changed_at": "Đổi lúc",
        "numbers": "Số mã",
    }
    output.table("Kho mã vận đơn", {name: words[name] for name in names}, rows)
