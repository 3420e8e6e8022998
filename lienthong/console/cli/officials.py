"""`lienthong officials`: who may ask about residents, from the registration form to the last day."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
import typer

from lienthong.api_keys import official_acts, official_entries, officials
from lienthong.bus.flows import official_forms, officials_import
from lienthong.bus.hub import Hub
from lienthong.console.cli import context, official_words, output
from lienthong.core import errors, journal, storage, tables

app = typer.Typer(no_args_is_help=True, help="Cán bộ được tra cứu công dân / officials who may look residents up.")

Name = Annotated[str, typer.Argument(help="Mã hoặc tài khoản cán bộ / code or account.")]
By = Annotated[
    str, typer.Option("--by", help="Người làm việc này, ghi cạnh tài khoản máy / who does it, beside the login.")
]
Code = Annotated[str, typer.Option(help="Mã cán bộ do bên quản lý CSDL dân cư cấp / code.")]
Account = Annotated[str, typer.Option(help="Tài khoản đăng nhập của cán bộ / account.")]
FullName = Annotated[str, typer.Option("--name", help="Họ và tên / whole name.")]
Phone = Annotated[str, typer.Option(help="Số điện thoại / telephone.")]
Unit = Annotated[str, typer.Option(help="Mã định danh đơn vị / identifier of the unit.")]
Until = Annotated[str, typer.Option(help="Ngày hết hiệu lực, ví dụ 31/12/2026; tối đa 24 tháng / last day.")]
Since = Annotated[str, typer.Option("--from", help="Có hiệu lực từ ngày; mặc định hôm nay / first day.")]
Procedures = Annotated[
    list[str],
    typer.Option(
        "--procedure", help="Mã thủ tục, phần đầu như G15-*, hoặc *; nhiều lần được / procedures, may be repeated."
    ),
]
_REGISTERED: tuple[officials.State, ...] = ("in_force", "not_yet")
MaybeText = Annotated[str | None, typer.Option(help="Để trống thì giữ nguyên / left out: as it is.")]


@app.command()
def register(
    code: Code,
    account: Account,
    name: FullName,
    phone: Phone,
    unit: Unit,
    procedure: Procedures,
    until: Until,
    reason: context.Reason,
    since: Since = "",
    unit_name: Annotated[str, typer.Option(help="Tên đơn vị / name of the unit.")] = "",
    email: Annotated[str, typer.Option(help="Thư điện tử / mail.")] = "",
    position: Annotated[str, typer.Option(help="Chức vụ / position.")] = "",
    by: By = "",
    json: context.Json = False,
) -> None:
    """Đăng ký một cán bộ / register an official."""

    async def work(hub: Hub) -> officials.Official:
        today = official_entries.begins_on(hub.now())
        entry = official_entries.entry(
            {
                "code": code,
                "account": account,
                "unit_code": unit,
                "unit_name": unit_name,
                "procedures": official_entries.procedures(",".join(procedure)),
                "valid_from": official_entries.begins(_day(since, "from") if since else today),
                "valid_until": official_entries.ends(_day(until, "until")),
                "full_name": name,
                "phone": phone,
                "email": email,
                "position": position,
            }
        )
        return await official_acts.register(hub.storage, hub.vault, entry, act=_act(hub, by, reason))

    _done(work, "Đã đăng ký / registered", json=json)


@app.command()
def change(
    name: Name,
    reason: context.Reason,
    account: MaybeText = None,
    unit: MaybeText = None,
    unit_name: MaybeText = None,
    procedure: Annotated[
        list[str] | None, typer.Option("--procedure", help="Thay cả danh sách thủ tục / the whole list anew.")
    ] = None,
    since: Annotated[str | None, typer.Option("--from", help="Có hiệu lực từ ngày / first day.")] = None,
    until: Annotated[str | None, typer.Option(help="Gia hạn hoặc rút ngắn đến ngày / last day.")] = None,
    phone: MaybeText = None,
    email: MaybeText = None,
    position: MaybeText = None,
    by: By = "",
    json: context.Json = False,
) -> None:
    """Sửa đăng ký: đơn vị, thủ tục, thời hạn, liên hệ; đổi người thì dùng replace / change a registration."""

    async def work(hub: Hub) -> officials.Official:
        texts = {
            "account": account,
            "unit_code": unit,
            "unit_name": unit_name,
            "phone": phone,
            "email": email,
            "position": position,
        }
        changes = _changes(texts, procedure=procedure, since=since, until=until)
        act = _act(hub, by, reason)
        return await official_acts.change(hub.storage, hub.vault, name, changes, act=act)

    _done(work, "Đã ghi / changed", json=json)


@app.command()
def revoke(name: Name, reason: context.Reason, by: By = "", json: context.Json = False) -> None:
    """Thu hồi; lần hỏi tiếp theo bị từ chối ở mọi nơi / revoke, effective with the next question."""

    async def work(hub: Hub) -> officials.Official:
        return await official_acts.revoke(hub.storage, hub.vault, name, act=_act(hub, by, reason))

    _done(work, "Đã thu hồi / revoked", json=json)


@app.command("replace")
def replace_holder(
    name: Name,
    new_name: Annotated[str, typer.Option("--name", help="Họ và tên người thay / the successor's whole name.")],
    phone: Phone,
    reason: context.Reason,
    code: MaybeText = None,
    account: MaybeText = None,
    unit: MaybeText = None,
    unit_name: MaybeText = None,
    procedure: Annotated[
        list[str] | None, typer.Option("--procedure", help="Danh sách thủ tục mới / the new procedures.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", help="Có hiệu lực từ ngày; mặc định hôm nay / from; today where left out."),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Đến ngày; mặc định như người cũ / last day.")] = None,
    email: MaybeText = None,
    position: MaybeText = None,
    by: By = "",
    json: context.Json = False,
) -> None:
    """Bàn giao trong một bước: kết thúc người cũ, đăng ký người thay / hand over to a successor in one step."""

    async def work(hub: Hub) -> officials.Official:
        texts = {
            "full_name": new_name,
            "phone": phone,
            "code": code,
            "account": account,
            "unit_code": unit,
            "unit_name": unit_name,
            "email": email,
            "position": position,
        }
        changes = _changes(texts, procedure=procedure, since=since, until=until)
        act = _act(hub, by, reason)
        return await official_acts.replace_holder(hub.storage, hub.vault, name, changes, act=act)

    _done(work, "Đã bàn giao cho / handed over to", json=json)


@app.command("list")
def listed(
    unit: Annotated[str | None, typer.Option(help="Chỉ một đơn vị và các đơn vị con / one unit.")] = None,
    ended: Annotated[bool, typer.Option("--all", help="Cả người đã hết hiệu lực / ended ones too.")] = False,
    json: context.Json = False,
) -> None:
    """Liệt kê cán bộ; điện thoại, thư điện tử được che / list officials; telephone and mail are masked."""
    states = officials.STATES if ended else _REGISTERED

    async def work(hub: Hub) -> list[dict[str, Any]]:
        now = hub.now()
        found = await officials.listed(hub.storage, hub.vault, now=now, states=states, unit=unit)
        return [official.as_json(now) for official in found]

    rows = context.run(work)
    if json:
        output.as_json(rows)
        return
    official_words.table(rows)


@app.command()
def show(name: Name, json: context.Json = False) -> None:
    """Một cán bộ, những người giữ mã hay tài khoản này trước đây, và các thao tác / one official, with history."""

    async def work(hub: Hub) -> dict[str, Any]:
        now = hub.now()
        found = await officials.history(hub.storage, hub.vault, name.strip())
        if not found:
            raise errors.NotFound(
                "No official has this code or account; see lienthong officials list --all.",
                detail_vi="Không có cán bộ nào mang mã hoặc tài khoản này; xem lienthong officials list --all.",
            )
        acts = tables.admin_acts
        about = [official.id for official in found]
        asked = sa.select(acts).where(acts.c.object.in_(about)).order_by(acts.c.number)
        async with hub.storage.reading() as conn:
            done = await storage.every(conn, asked)
        holders = [official.as_json(now) for official in found]
        return {**holders[0], "history": holders[1:], "acts": done}

    told = context.run(work)
    if json:
        output.as_json(told)
        return
    official_words.one(told)


@app.command("import")
def import_form(
    file: Annotated[Path, typer.Argument(help="Biểu mẫu .xlsx hoặc .csv / the form.", dir_okay=False)],
    reason: Annotated[str, typer.Option("--reason", help="Lý do, ví dụ số công văn / why.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Chỉ kiểm tra, không ghi / only check.")] = False,
    good_rows: Annotated[
        bool, typer.Option("--good-rows", help="Ghi các dòng đúng dù có dòng sai / write the good rows.")
    ] = False,
    encoding: Annotated[
        str, typer.Option(help="Bảng mã của CSV / encoding of a CSV: utf-8, windows-1258.")
    ] = "utf-8",
    by: By = "",
    json: context.Json = False,
) -> None:
    """Nhập biểu mẫu đăng ký; có dòng sai thì không ghi gì / import a form; with a bad row nothing is written."""

    async def work(hub: Hub) -> officials_import.Report:
        return await officials_import.run(
            hub,
            _read(file),
            reason=reason,
            actor=_actor(by),
            encoding=encoding,
            good_rows=good_rows,
            dry_run=dry_run,
        )

    report = context.run(work, is_long=True)
    if json:
        output.as_json(report.as_json())
    else:
        official_words.report(report, dry_run=dry_run)
    if report.bad and not report.written:
        raise typer.Exit(1)


@app.command()
def form(
    out: Annotated[Path, typer.Option(help="Tệp .xlsx hoặc .csv sẽ ghi / file to write.", dir_okay=False)],
    filled: Annotated[
        bool, typer.Option("--filled", help="Điền sẵn cán bộ đang đăng ký, CÓ số điện thoại / with the register.")
    ] = False,
    unit: Annotated[str | None, typer.Option(help="Khi điền sẵn: chỉ một đơn vị / only one unit.")] = None,
    reason: Annotated[str, typer.Option("--reason", help="Lý do, cần khi điền sẵn / why, with --filled.")] = "",
    by: By = "",
) -> None:
    """Ghi biểu mẫu trống, hoặc điền sẵn để đơn vị rà soát / write the form, empty or filled for a review."""
    if out.suffix.lower() not in (".xlsx", ".csv"):
        raise typer.BadParameter("tệp phải có đuôi .xlsx hoặc .csv / the file must end in .xlsx or .csv")
    if out.exists():
        raise typer.BadParameter(
            "đã có tệp này; hãy đặt tên khác / the file is there already; choose another name"
        )
    if filled and not reason.strip():
        raise typer.BadParameter("điền sẵn thì cần --reason / --filled needs --reason")

    async def work(hub: Hub) -> list[dict[str, str]]:
        act = _act(hub, by, reason)
        found = await officials.listed(hub.storage, hub.vault, now=act.now, states=_REGISTERED, unit=unit)
        # Names and numbers leave the hub here: that is an act.
        async with hub.storage.transaction() as tx:
            await journal.write_act(
                tx,
                "officials.export",
                unit or "*",
                actor=act.actor,
                now=act.now,
                reason=act.reason.strip(),
                after={"rows": len(found)},
            )
        return [official_forms.cells_of(official) for official in found]

    rows = context.run(work) if filled else []
    written = official_forms.as_csv(rows) if out.suffix.lower() == ".csv" else official_forms.as_workbook(rows)
    context.guarded(lambda: _write(out, written))
    output.console.print(f"Đã ghi / written: {out}")


def _done(work: Callable[[Hub], Awaitable[officials.Official]], title: str, *, json: bool) -> None:
    async def go(hub: Hub) -> dict[str, Any]:
        return (await work(hub)).as_json(hub.now())

    told = context.run(go)
    if json:
        output.as_json(told)
    else:
        official_words.facts(title, told)


def _act(hub: Hub, by: str, reason: str) -> official_acts.Act:
    return official_acts.Act(_actor(by), hub.now(), reason)


def _actor(by: str) -> str:
    said = official_entries.line(by)[:60]
    return f"{said} ({context.actor()})" if said else context.actor()


def _changes(
    texts: dict[str, str | None], *, procedure: list[str] | None, since: str | None, until: str | None
) -> dict[str, Any]:
    found: dict[str, Any] = {name: text for name, text in texts.items() if text is not None}
    if procedure:
        found["procedures"] = official_entries.procedures(",".join(procedure))
    if since:
        found["valid_from"] = official_entries.begins(_day(since, "from"))
    if until:
        found["valid_until"] = official_entries.ends(_day(until, "until"))
    return found


def _day(text: str, name: str) -> date:
    found = official_entries.day(text)
    if found is None:
        raise official_entries.refused(
            [errors.FieldProblem(name, "Viết ngày như 31/12/2026.", "Write the day like 31/12/2026.")]
        )
    return found


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as opened:
            return opened.read(official_forms.MOST_BYTES + 1)
    except OSError as exc:
        raise _no_file(path, exc, "đọc", "read") from exc


def _write(path: Path, written: bytes) -> None:
    try:
        # Not over another file: it may be the form that a unit has filled in.
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(written)
    except OSError as exc:
        raise _no_file(path, exc, "ghi", "written") from exc


def _no_file(path: Path, exc: OSError, vi: str, en: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        f"The file {path} cannot be {en}: {exc.strerror}.",
        detail_vi=f"Không {vi} được tệp {path}: {exc.strerror}.",
    )
