"""`lienthong keys`: API keys, from issue to revocation."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from lienthong.api_keys import acts, keys, regranting, uses
from lienthong.bus import operations
from lienthong.bus.flows import key_review
from lienthong.bus.hub import Hub
from lienthong.console import key_sheet
from lienthong.console.cli import context, key_recognition, key_words, output, proofs
from lienthong.core import errors

app = typer.Typer(no_args_is_help=True, help="Khoá API / API keys.")
app.command("recognise")(key_recognition.recognise)
app.add_typer(proofs.app, name="proof")

Name = Annotated[str, typer.Argument(help="Mã hoặc phần đầu của khoá / id or prefix.")]
Note = Annotated[str, typer.Option("--reason", help="Ghi chú; được ghi lại / a note; kept in the record.")]
Limits = Annotated[list[str], typer.Option(help="Hạn mức, ví dụ 600/minute / limit; nhiều lần được, repeatable.")]
Addresses = Annotated[
    list[str] | None,
    typer.Option("--address", help="Địa chỉ, mạng được dùng; nhiều lần được / where from; none: anywhere."),
]
Hours = Annotated[
    list[str] | None,
    typer.Option("--hours", help="Giờ được dùng / hours, “mon-fri 07:00-18:00”; nhiều lần được, may be repeated."),
]
Sheet = Annotated[
    Path | None,
    typer.Option("--sheet", help="Ghi phiếu giao khoá để in, CÓ khoá trong đó / printable, with the key."),
]

_DUE = {
    "prefix": "Khoá",
    "organisation": "Đơn vị",
    "system": "Hệ thống",
    "custodian": "Người giữ",
    "what_vi": "Việc",
    "at_vi": "Ngày",
    "days_left": "Còn (ngày)",
}
_DUE_WORDS = {"expires": "hết hạn", "confirm": "phải xác nhận lại"}


@app.command()
def issue(
    organisation: Annotated[str, typer.Option(help="Đơn vị được cấp / organisation.")],
    system: Annotated[str, typer.Option(help="Hệ thống sẽ dùng khoá / system.")],
    custodian: Annotated[str, typer.Option(help="Người chịu trách nhiệm giữ khoá / custodian.")],
    grants: Annotated[str, typer.Option(help="Quyền gọi, cách nhau bằng dấu phẩy / grants by commas; all.")],
    limit: Limits,
    expires: Annotated[str, typer.Option(help="Thời gian sống, ví dụ 365d / lifetime.")] = "365d",
    contact: Annotated[str, typer.Option(help="Liên hệ của người giữ khoá / how to reach the custodian.")] = "",
    purpose: Annotated[str, typer.Option(help="Mục đích sử dụng / purpose.")] = "",
    decision: Annotated[str, typer.Option(help="Số văn bản cấp khoá / number of the decision.")] = "",
    address: Addresses = None,
    hours: Hours = None,
    sheet: Sheet = None,
    json: context.Json = False,
) -> None:
    """Cấp một khoá; khoá chỉ hiện một lần / issue a key; it is shown once."""
    agency: list[str] = []

    async def work(hub: Hub) -> keys.Issued:
        now = hub.now()
        if sheet is not None:
            key_sheet.must_be_free(sheet)
        async with acts.recorded(hub.storage, acts.Act("keys.issue", context.actor(), now, purpose), system):
            lifetime = keys.read_lifetime(expires)
        order = keys.Order(
            organisation=organisation,
            system=system,
            custodian=custodian,
            grants=_parts([grants]),
            limits=limit,
            expires_at=now + lifetime,
            contact=contact,
            purpose=purpose,
            decision_number=decision,
            addresses=_parts(address or []),
            hours=hours or [],
        )
        agency.append(hub.settings.agency.name)
        return await _issue(hub, order, now)

    issued = context.run(work)
    now = issued.record.issued_at
    if json:
        output.as_json(issued.as_json(now))
    else:
        _hand_over(issued, "Khoá đã cấp / key issued", now)
    if sheet is not None:
        # After the key was shown: a disk that is full must not take it away.
        context.guarded(lambda: key_sheet.write(sheet, issued.record, agency[0], now=now, key=issued.key))
        if not json:
            output.console.print(f"Phiếu giao khoá (có khoá, in xong thì xoá tệp) / hand-over sheet: {sheet}")


async def _issue(hub: Hub, order: keys.Order, now: datetime) -> keys.Issued:
    chosen = hub.settings.keys
    return await keys.issue(
        hub.storage,
        hub.vault,
        order,
        known_operations=operations.NAMES,
        environment=chosen.environment,
        longest_days=chosen.longest_days,
        actor=context.actor(),
        now=now,
        two_people=chosen.two_people,
        confirm_every_days=chosen.confirm_every_days,
    )


@app.command()
def approve(name: Name, reason: Note = "", json: context.Json = False) -> None:
    """Duyệt khoá do người khác cấp / approve a key that another person issued."""

    async def work(hub: Hub, now: datetime) -> keys.KeyRecord:
        return await keys.approve(hub.storage, name, actor=context.actor(), now=now, reason=reason)

    _act(name, work, "Đã duyệt, khoá dùng được ngay / approved", json=json)


@app.command("list")
def listed(json: context.Json = False) -> None:
    """Liệt kê mọi khoá / list every key."""

    async def work(hub: Hub) -> list[dict[str, Any]]:
        now, used = hub.now(), await uses.totals(hub.storage)
        found = await keys.list_keys(hub.storage)
        return [key_words.row(record, now, used.get(record.id)) for record in found]

    rows = context.run(work)
    if json:
        output.as_json(rows)
    else:
        output.table("Khoá API", key_words.LIST, [key_words.line(row) for row in rows])


@app.command()
def show(name: Name, json: context.Json = False) -> None:
    """Xem một khoá: các đời, nơi đã dùng / show one key, its generations and where it was used."""

    async def work(hub: Hub) -> tuple[dict[str, Any], list[keys.Generation], list[uses.Use], datetime]:
        record, now = await keys.show(hub.storage, name), hub.now()
        used = await uses.totals(hub.storage, key_id=record.id)
        told = key_words.row(record, now, used.get(record.id))
        async with hub.storage.reading() as conn:
            asked = await regranting.waiting(conn, record.id)
        told["waiting"] = asked.as_json() if asked else None
        return (
            told,
            await keys.generations(hub.storage, record.id),
            await uses.of_key(hub.storage, record.id),
            now,
        )

    told, generations, used, now = context.run(work)
    if json:
        told["generations"] = [generation.as_json(now) for generation in generations]
        told["uses"] = [use.as_json() for use in used]
        output.as_json(told)
        return
    output.facts("Khoá API / API key", key_words.facts(told))
    key_words.generations(generations, now)
    key_words.used(used)


@app.command()
def rotate(
    name: Name,
    reason: context.Reason,
    overlap: Annotated[
        str, typer.Option(help="Khoá cũ còn dùng được / the old one lives: 0d (lộ, leaked) … 30d, 12h.")
    ] = "7d",
    json: context.Json = False,
) -> None:
    """Đổi khoá: khoá mới hiện một lần, khoá cũ còn dùng thêm một thời gian / make the next generation."""

    async def work(hub: Hub) -> tuple[keys.Issued, datetime]:
        now = hub.now()
        act = acts.Act("keys.rotate", context.actor(), now, reason)
        async with acts.recorded(hub.storage, act, name):
            over = keys.read_overlap(overlap)
        issued = await keys.rotate(
            hub.storage, hub.vault, name, overlap=over, reason=reason, actor=act.actor, now=now
        )
        return issued, now

    issued, now = context.run(work)
    if json:
        output.as_json(issued.as_json(now))
        return
    _hand_over(issued, f"Khoá đời {issued.generation} / generation {issued.generation}", now)
    ends = now + keys.read_overlap(overlap)
    output.console.print(f"Khoá cũ dùng được đến {ends:%d/%m/%Y %H:%M} / the old key ends then")


@app.command()
def limit(
    name: Name,
    reason: context.Reason,
    limit: Annotated[list[str] | None, typer.Option(help="Mọi hạn mức mới / new limits, in place of all.")] = None,
    address: Annotated[
        list[str] | None,
        typer.Option("--address", help="Các địa chỉ mới, thay danh sách cũ / new addresses; any: anywhere."),
    ] = None,
    hours: Annotated[
        list[str] | None, typer.Option("--hours", help="Các giờ mới, thay giờ cũ / new hours; any: always.")
    ] = None,
    json: context.Json = False,
) -> None:
    """Đổi hạn mức, địa chỉ hoặc giờ được dùng / change limits, addresses or hours."""

    async def work(hub: Hub, now: datetime) -> keys.KeyRecord:
        wanted = keys.Bounds(limit or None, _or_any(address, split=True), _or_any(hours))
        return await keys.limit(
            hub.storage,
            name,
            wanted,
            known_operations=operations.NAMES,
            reason=reason,
            actor=context.actor(),
            now=now,
        )

    _act(name, work, "Đã đổi, có hiệu lực trong một giây / changed", json=json)


@app.command()
def grant(
    name: Name,
    reason: context.Reason,
    add: Annotated[
        list[str] | None,
        typer.Option("--add", help="Quyền thêm, cách nhau bằng dấu phẩy / grants to add, by commas."),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(
            "--remove", help="Quyền bớt, như `keys show` in ra / grants to take, as `keys show` has them."
        ),
    ] = None,
    json: context.Json = False,
) -> None:
    """Thêm hoặc bớt quyền gọi: thao tác, dịch vụ, nhóm trường / add or remove grants."""
    waits: list[regranting.Asked] = []

    async def work(hub: Hub, now: datetime) -> keys.KeyRecord:
        record = await regranting.change(
            hub.storage,
            name,
            regranting.Wanted(_parts(add or []), _parts(remove or [])),
            known_operations=operations.NAMES,
            reason=reason,
            actor=context.actor(),
            now=now,
            two_people=hub.settings.keys.two_people,
        )
        async with hub.storage.reading() as conn:
            asked = await regranting.waiting(conn, record.id)
        waits.extend([asked] if asked else [])
        return record

    _act(name, work, "Đã đổi quyền, có hiệu lực trong một giây / grants changed", json=json)
    for asked in waits if not json else []:
        key_words.waiting(asked, name)


@app.command()
def suspend(name: Name, reason: context.Reason, json: context.Json = False) -> None:
    """Tạm ngưng khoá, có hiệu lực trong một giây / suspend a key, effective within a second."""

    async def work(hub: Hub, now: datetime) -> keys.KeyRecord:
        return await keys.suspend(hub.storage, name, reason=reason, actor=context.actor(), now=now)

    _act(name, work, "Đã tạm ngưng / suspended", json=json)


@app.command()
def resume(name: Name, reason: context.Reason, json: context.Json = False) -> None:
    """Cho khoá đang tạm ngưng dùng lại / bring a suspended key back into use."""

    async def work(hub: Hub, now: datetime) -> keys.KeyRecord:
        return await keys.resume(hub.storage, name, reason=reason, actor=context.actor(), now=now)

    _act(name, work, "Đã cho dùng lại / resumed", json=json)


@app.command()
def revoke(name: Name, reason: context.Reason, json: context.Json = False) -> None:
    """Thu hồi khoá vĩnh viễn, có hiệu lực trong một giây / revoke a key for good, effective within a second."""

    async def work(hub: Hub, now: datetime) -> keys.KeyRecord:
        return await keys.revoke(hub.storage, name, reason=reason, actor=context.actor(), now=now)

    _act(name, work, "Đã thu hồi / revoked", json=json)


@app.command()
def confirm(name: Name, reason: Note = "", json: context.Json = False) -> None:
    """Xác nhận khoá vẫn cần, mỗi năm một lần / say that a key is still needed, once a year."""

    async def work(hub: Hub, now: datetime) -> keys.KeyRecord:
        chosen = hub.settings.keys
        return await keys.confirm(
            hub.storage,
            name,
            every_days=chosen.confirm_every_days,
            two_people=chosen.two_people,
            actor=context.actor(),
            now=now,
            reason=reason,
        )

    _act(name, work, "Đã xác nhận / confirmed", json=json)


@app.command()
def due(
    within: Annotated[int, typer.Option(min=0, help="Trong ngần ấy ngày tới / within so many days.")] = 30,
    json: context.Json = False,
) -> None:
    """Khoá sắp hết hạn hoặc phải xác nhận lại / keys that end or must be confirmed soon."""

    async def work(hub: Hub) -> list[dict[str, Any]]:
        return [found.as_json() for found in await key_review.due(hub, within_days=within)]

    rows = context.run(work)
    if json:
        output.as_json(rows)
        return
    for row in rows:
        row |= {
            "what_vi": _DUE_WORDS[row["what"]],
            "at_vi": key_words.day(row["at"]),
            "prefix": f"{row['prefix']}…",
        }
    output.table(f"Khoá cần xử lý trong {within} ngày tới", _DUE, rows)


@app.command()
def sheet(
    name: Name, out: Annotated[Path, typer.Option("--out", help="Tệp HTML để in / HTML file to print.")]
) -> None:
    """Phiếu giao khoá để in, không có khoá trong đó / a printable hand-over sheet, without the key."""

    async def work(hub: Hub) -> None:
        key_sheet.must_be_free(out)
        key_sheet.write(out, await keys.show(hub.storage, name), hub.settings.agency.name, now=hub.now())

    context.run(work)
    output.console.print(f"Phiếu giao khoá / hand-over sheet: {out}")


def _act(name: str, work: Callable[[Hub, datetime], Awaitable[keys.KeyRecord]], done: str, *, json: bool) -> None:
    """Do one act on a key and say how the key stands after it."""

    async def go(hub: Hub) -> tuple[keys.KeyRecord | None, keys.KeyRecord, datetime]:
        now, before = hub.now(), None
        with contextlib.suppress(errors.NotFound):  # the act itself says so, and it is written down
            before = await keys.show(hub.storage, name)
        return before, await work(hub, now), now

    before, record, now = context.run(go)
    told = key_words.row(record, now)
    if json:
        output.as_json({field: value for field, value in told.items() if "used" not in field})
        return
    done = "Không có gì thay đổi / nothing changed" if record == before else done
    output.console.print(f"{done}: {record.prefix}… ({record.organisation}, {record.system})")
    output.console.print(f"Trạng thái / state: {key_words.STATES[record.state(now)]} / {record.state(now)}")


def _hand_over(issued: keys.Issued, title: str, now: datetime) -> None:
    output.facts(title, key_words.facts(key_words.row(issued.record, now)))
    if issued.record.state(now) == "pending":
        output.console.print(
            f"\n[bold]Khoá chưa dùng được: cần người khác duyệt bằng "
            f"lienthong keys approve {issued.record.prefix}[/bold]\n"
            "[dim]Not usable yet: another person must approve it.[/dim]"
        )
    output.console.print("\n[bold]Khoá chỉ hiện một lần này; hãy giao tận tay người giữ khoá:[/bold]")
    output.console.print("[dim]The key is shown this once; hand it to its custodian.[/dim]")
    print(issued.key)


def _parts(texts: list[str]) -> list[str]:
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def _or_any(texts: list[str] | None, *, split: bool = False) -> list[str] | None:
    """Read a list that replaces another: not given leaves the old one, `any` empties it."""
    if not texts:
        return None
    found = _parts(texts) if split else [text.strip() for text in texts]
    if "any" not in (text.lower() for text in found):
        return found
    if len(found) > 1:
        raise errors.InvalidRequest(
            problems=(
                errors.FieldProblem(
                    "any",
                    "“any” phải đứng một mình: nó bỏ mọi giới hạn.",
                    "“any” stands alone: it lifts every bound.",
                ),
            )
        )
    return []
