"""`lienthong journal`: reading the access record, who looked at a person, and passing it on to a SIEM."""

from __future__ import annotations

import functools
import socket
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
import typer

from lienthong.bus.hub import Hub
from lienthong.console import who_report
from lienthong.console.cli import context, output, seals
from lienthong.core import clock, errors, storage, subjects, tables
from lienthong.monitoring import (
    asking,
    day_files,
    retention,
    rollups,
    search,
    siem,
    siem_forms,
    siem_targets,
)

app = typer.Typer(no_args_is_help=True, help="Sổ nhật ký / the access record.")
_t = tables.exchanges
_SHOWN = [column for column in _t.c if column.name != "detail"]
_COLUMNS = {
    "at": "Lúc",
    "direction": "Chiều",
    "organisation": "Đơn vị",
    "official": "Cán bộ",
    "system": "Hệ thống",
    "operation": "Thao tác",
    "dossier_code": "Hồ sơ",
    "status": "HTTP",
    "outcome": "Kết quả",
    "took_ms": "ms",
    "request_id": "Mã yêu cầu",
}
_WHO = {
    "official": "Cán bộ",
    "organisation": "Đơn vị",
    "looks": "Số lượt",
    "refused": "Bị từ chối",
    "first_at": "Lần đầu",
    "last_at": "Lần cuối",
    "purposes": "Mục đích",
    "dossiers": "Hồ sơ",
}
_MOMENT_FORMS = ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%d/%m/%Y")
Key = Annotated[str | None, typer.Option("--key", help="Số của khoá / key id.")]
Organisation = Annotated[str | None, typer.Option("--organisation", help="Đơn vị / organisation.")]
Official = Annotated[str | None, typer.Option("--official", help="Cán bộ / official.")]
Operation = Annotated[str | None, typer.Option("--operation", help="Thao tác / operation.")]
Outcome = Annotated[str | None, typer.Option("--outcome", help="ok, hoặc mã lỗi / ok, or an error code.")]
Address = Annotated[str | None, typer.Option("--address", help="Địa chỉ gọi đến / caller's address.")]
Dossier = Annotated[str | None, typer.Option("--dossier", help="Mã hồ sơ / dossier.")]
Request = Annotated[str | None, typer.Option("--request", help="Mã yêu cầu / request id.")]
Since = Annotated[
    datetime | None,
    typer.Option(
        "--from",
        formats=[*_MOMENT_FORMS],
        metavar=context.MOMENT,
        help="Từ lúc, giờ Việt Nam / from, Vietnam time.",
    ),
]
Until = Annotated[
    datetime | None,
    typer.Option("--to", formats=[*_MOMENT_FORMS], metavar=context.MOMENT, help="Trước lúc / until."),
]
Person = Annotated[
    bool, typer.Option("--person", help="Theo một người; số được hỏi sau đó / a person; the number is asked for.")
]
CountBy = Annotated[
    str | None,
    typer.Option("--count-by", help="Đếm theo / count by: hour, key_id, operation, outcome, official …"),
]
Cursor = Annotated[
    str | None, typer.Option(help="Trang sau: con trỏ mà trang trước in ra / cursor of the page before.")
]
Why = Annotated[
    str, typer.Option("--reason", help="Lý do đọc sổ; bắt buộc khi theo một người / why; needed for a person.")
]


def sources(hub: Hub) -> asking.Sources:
    """Say where this hub's record lies."""
    return asking.Sources(hub.storage, day_files.Archive(hub.settings.home / "record"))


def _moment(given: datetime | None) -> datetime | None:
    return None if given is None else given.replace(tzinfo=clock.VIETNAM)


def _person() -> str:
    """Ask for a person's number on the terminal: an argument would stay in the shell's history."""
    asked = "Số định danh / the person's number"
    return str(typer.prompt(asked, hide_input=True)) if sys.stdin.isatty() else sys.stdin.readline().strip()


@app.command("search")
def searched(
    key: Key = None,
    organisation: Organisation = None,
    official: Official = None,
    operation: Operation = None,
    outcome: Outcome = None,
    address: Address = None,
    dossier: Dossier = None,
    request: Request = None,
    direction: Annotated[str | None, typer.Option(help="Vào hay ra / direction: in, out.")] = None,
    since: Since = None,
    until: Until = None,
    refused: Annotated[bool, typer.Option("--refused", help="Chỉ lượt bị từ chối / refusals only.")] = False,
    person: Person = False,
    count_by: CountBy = None,
    reason: Why = "",
    cursor: Cursor = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=search.MOST, help=context.MOST_ROWS)] = 50,
    json: context.Json = False,
) -> None:
    """Tìm trong sổ, mới nhất trước; việc đọc sổ cũng được ghi / search, newest first; reading is recorded."""
    question = asking.Question(
        since=_moment(since),
        until=_moment(until),
        key_id=key,
        organisation=organisation,
        official=official,
        operation=operation,
        outcome=outcome,
        address=address,
        dossier_code=dossier,
        request_id=request,
        direction=direction,
        is_refused=refused,
    )
    number = _person() if person else None
    reader = search.Reader(context.actor(), reason)

    async def work(hub: Hub) -> search.Page | list[dict[str, Any]]:
        now = hub.now()
        asked = question if number is None else _about(hub, question, number, now=now)
        if count_by is not None:
            facts = {**asked.asked(), "count_by": count_by}
            await search.record_reading(sources(hub), reader, "journal.count", asked=facts, now=now)
            return await rollups.counted(sources(hub), asked, by=count_by.split(","))
        return await search.page(sources(hub), asked, reader=reader, now=now, limit=limit, cursor=cursor)

    found = context.run(work)
    if isinstance(found, search.Page):
        _print(found.items, json=json)
        if found.next_cursor:
            output.problems.print(f"[dim]Trang sau / next page: --cursor {found.next_cursor}[/dim]")
    elif json:
        output.as_json(found)
    else:
        output.table("Sổ nhật ký", {name: name for name in (found[0] if found else ())}, found)


def _about(hub: Hub, question: asking.Question, number: str, *, now: datetime) -> asking.Question:
    """Ask for one person: the number becomes a digest for each year, here and at once."""
    since = question.since or now - timedelta(days=search.WHO_DAYS)
    return search.about_person(
        question, subjects.Subjects(hub.settings.home), number, since=since, until=question.until or now
    )


@app.command()
def who(
    reason: context.Reason,
    days: Annotated[
        int, typer.Option(min=1, max=3650, help="Số ngày nhìn lại / days to look back.")
    ] = search.WHO_DAYS,
    html: Annotated[
        Path | None, typer.Option(help="Ghi báo cáo để in vào tệp này / write a page to print.", dir_okay=False)
    ] = None,
    json: context.Json = False,
) -> None:
    """Ai đã xem dữ liệu của một người: số định danh được hỏi, không lưu / who looked at this person."""
    number = _person()
    reader = search.Reader(context.actor(), reason)

    async def work(hub: Hub) -> search.Looks:
        years = subjects.Subjects(hub.settings.home)
        return await search.who(sources(hub), years, number, reader=reader, now=hub.now(), days=days)

    looks = context.run(work)
    if html is not None:
        page = who_report.page(looks, reader=reader, agency=context.chosen().agency.name)
        context.guarded(functools.partial(_write, html, page))
    if json:
        told = {"since": looks.since, "until": looks.until, "lookers": looks.lookers, "rows": looks.rows}
        output.as_json({**told, "blind_years": looks.blind_years, "is_cut": looks.is_cut})
    elif html is None:
        output.table("Ai đã xem", _WHO, looks.lookers)
        output.table("Từng lượt", _COLUMNS, looks.rows)
    for year in looks.blind_years:
        output.problems.print(f"Năm {year}: khoá băm đã bị huỷ, không tra được / the key of {year} is destroyed")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise errors.InvalidRequest(
            f"{path} cannot be written: {exc.strerror}", detail_vi=f"Không ghi được {path}: {exc.strerror}."
        ) from exc


@app.command()
def tail(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help=context.MOST_ROWS)] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Theo dõi tiếp / keep following.")] = False,
    json: context.Json = False,
) -> None:
    """Xem các lượt trao đổi gần nhất / the latest exchanges."""

    async def newest(hub: Hub) -> list[dict[str, Any]]:
        reader = search.Reader(context.actor(), "")
        await search.record_reading(sources(hub), reader, "journal.tail", asked={"limit": limit}, now=hub.now())
        async with hub.storage.reading() as conn:
            return (await storage.every(conn, sa.select(*_SHOWN).order_by(_t.c.number.desc()).limit(limit)))[::-1]

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


@app.command("follow")
def followed(
    ecs: Annotated[
        str, typer.Option(help="JSON theo ECS tới / ECS JSON to file:///…, tcp://, tls://host:port.")
    ] = "",
    syslog: Annotated[str, typer.Option(help="Syslog RFC 5424 tới / to tcp://, tls://, udp://host:port.")] = "",
    position: Annotated[
        str, typer.Option(help="Tên của nơi nhận; mỗi tên có vị trí riêng / a name has a place of its own.")
    ] = "siem",
) -> None:
    """Chuyển sổ nhật ký tới SIEM, từ chỗ đã chuyển lần trước, tới khi dừng / pass the record on to a SIEM."""
    if bool(ecs) == bool(syslog) or not position.isidentifier():
        raise typer.BadParameter("nêu một trong hai: --ecs hoặc --syslog / give one of --ecs and --syslog")
    target = context.guarded(lambda: siem_targets.opened(ecs or syslog, is_syslog=bool(syslog)))

    async def work(hub: Hub) -> None:
        def pseudonym(name: str) -> str:
            return hub.vault.digest(name.encode(), purpose="siem official")[:16]

        form = functools.partial(siem_forms.json_line, pseudonym=pseudonym)
        if syslog:
            form = functools.partial(siem_forms.syslog, pseudonym=pseudonym, host=socket.gethostname())
        place = hub.settings.home / "followers" / f"{position}.json"
        await siem.Follower(sources(hub), target, form=form, position_file=place).run()

    context.run(work)


@app.command()
def roll(json: context.Json = False) -> None:
    """Chuyển ngày đã khép vào tệp ngày, bỏ ngày quá hạn lưu / closed days into files, drop what is too old."""

    async def work(hub: Hub) -> dict[str, Any]:
        kept, where = hub.settings.archive, sources(hub)
        home, now = hub.settings.home, hub.now()
        rolled, dropped = await retention.keep_house(where, kept, home=home, now=now, actor=context.actor())
        return {"rolled": {one.day.isoformat(): one.rows for one in rolled}, "dropped": dropped}

    done = context.run(work, is_long=True)
    if json:
        output.as_json(done)
    else:
        output.facts("Tệp ngày", {"đã chuyển": list(done["rolled"]), "đã bỏ": done["dropped"]})


def _print(rows: list[dict[str, Any]], *, json: bool) -> None:
    if json:
        for row in rows:
            output.as_json(row)
    else:
        output.table("Sổ nhật ký", _COLUMNS, rows)


seals.add_to(app)
