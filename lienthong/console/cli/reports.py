"""`lienthong report`: reports for a period, to read, to print and to file."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import typer

from lienthong.bus.flows import lookup_book
from lienthong.bus.hub import Hub
from lienthong.console import review_report
from lienthong.console.cli import context, given, output
from lienthong.core import errors
from lienthong.monitoring import reviews

app = typer.Typer(no_args_is_help=True, help="Báo cáo / reports.")


@app.callback()
def _reports() -> None:
    """Keep `report` a group: further reports follow."""


@app.command()
def review(
    since: Annotated[str, typer.Option("--from", help="Từ ngày, ví dụ 2026-01-01 / first day.")],
    until: Annotated[str, typer.Option("--to", help="Đến hết ngày / last day.")],
    out: given.Report = None,
    json: context.Json = False,
) -> None:
    """Rà soát hằng năm kết nối dữ liệu dân cư (NA 18.2) / the yearly review of lookups, officials and keys."""

    async def work(hub: Hub) -> tuple[reviews.Review, str, datetime]:
        begins, ends = given.midnight(since), given.midnight(until) + timedelta(days=1)
        if ends <= begins:
            raise errors.InvalidRequest("the last day is before the first", detail_vi="Ngày cuối trước ngày đầu.")
        await lookup_book.read_by(hub, "report.review", f"{since} – {until}", actor=context.actor())
        found = await reviews.review(hub.storage, since=begins, until=ends)
        return found, hub.settings.agency.name, hub.now()

    found, agency, made_at = context.run(work, is_long=True)
    given.write_report(
        out,
        page=lambda: review_report.page(found, agency=agency, made_at=made_at),
        workbook=lambda: review_report.workbook(found, agency=agency, made_at=made_at),
    )
    if json:
        output.as_json(found.as_json())
        return
    output.facts("Rà soát", {said: found.totals.get(name, 0) for name, said in review_report.TOTALS.items()})
    if out is not None:
        output.console.print(f"Đã ghi / written: {out}")
