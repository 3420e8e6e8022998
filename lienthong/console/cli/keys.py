"""`lienthong keys`: API keys, from issue to revocation."""

from __future__ import annotations

from typing import Annotated

import typer

from lienthong.api_keys import keys
from lienthong.bus import operations
from lienthong.bus.hub import Hub
from lienthong.console.cli import context, output

app = typer.Typer(no_args_is_help=True, help="Khoá API / API keys.")

_COLUMNS = {
    "prefix": "Khoá",
    "organisation": "Đơn vị",
    "system": "Hệ thống",
    "custodian": "Người giữ",
    "grants": "Quyền",
    "limits": "Hạn mức",
    "state": "Trạng thái",
    "expires_at": "Hết hạn",
}


@app.command()
def issue(
    organisation: Annotated[str, typer.Option(help="Đơn vị được cấp / organisation.")],
    system: Annotated[str, typer.Option(help="Hệ thống sẽ dùng khoá / system.")],
    custodian: Annotated[str, typer.Option(help="Người chịu trách nhiệm giữ khoá / custodian.")],
    grants: Annotated[str, typer.Option(help="Các thao tác, cách nhau bằng dấu phẩy, hoặc all.")],
    limit: Annotated[list[str], typer.Option(help="Hạn mức, ví dụ 600/minute; nêu được nhiều lần.")],
    expires: Annotated[str, typer.Option(help="Thời gian sống, ví dụ 365d.")] = "365d",
    contact: Annotated[str, typer.Option(help="Liên hệ của người giữ khoá.")] = "",
    purpose: Annotated[str, typer.Option(help="Mục đích sử dụng.")] = "",
    decision: Annotated[str, typer.Option(help="Số quyết định hoặc văn bản cấp khoá.")] = "",
    json: context.Json = False,
) -> None:
    """Cấp một khoá; khoá chỉ hiện một lần / issue a key; it is shown once."""

    async def work(hub: Hub) -> keys.Issued:
        now = hub.now()
        order = keys.Order(
            organisation=organisation,
            system=system,
            custodian=custodian,
            grants=[part.strip() for part in grants.split(",") if part.strip()],
            limits=limit,
            expires_at=now + keys.read_lifetime(expires),
            contact=contact,
            purpose=purpose,
            decision_number=decision,
        )
        return await keys.issue(
            hub.storage,
            hub.vault,
            order,
            known_operations=operations.NAMES,
            environment=hub.settings.keys.environment,
            longest_days=hub.settings.keys.longest_days,
            actor=context.actor(),
            now=now,
        )

    issued = context.run(work)
    if json:
        output.as_json(issued.as_json())
        return
    output.facts("Khoá đã cấp / key issued", issued.record.as_json())
    output.console.print("\n[bold]Khoá chỉ hiện một lần này; hãy giao tận tay người giữ khoá:[/bold]")
    output.console.print("[dim]The key is shown this once; hand it to its custodian.[/dim]")
    print(issued.key)


@app.command("list")
def listed(json: context.Json = False) -> None:
    """Liệt kê mọi khoá / list every key."""

    async def work(hub: Hub) -> list[dict[str, object]]:
        now = hub.now()
        found = await keys.list_keys(hub.storage)
        return [{**record.as_json(), "state": record.state(now)} for record in found]

    rows = context.run(work)
    if json:
        output.as_json(rows)
    else:
        output.table("Khoá API", _COLUMNS, rows)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Số hoặc phần đầu của khoá / id or prefix.")],
    json: context.Json = False,
) -> None:
    """Xem một khoá / show one key."""

    async def work(hub: Hub) -> dict[str, object]:
        record = await keys.show(hub.storage, name)
        return {**record.as_json(), "state": record.state(hub.now())}

    found = context.run(work)
    if json:
        output.as_json(found)
    else:
        output.facts("Khoá API", found)


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="Số hoặc phần đầu của khoá / id or prefix.")],
    reason: context.Reason,
    json: context.Json = False,
) -> None:
    """Thu hồi khoá, có hiệu lực trong một giây / revoke a key, effective within a second."""

    async def work(hub: Hub) -> keys.KeyRecord:
        return await keys.revoke(hub.storage, name, reason=reason, actor=context.actor(), now=hub.now())

    record = context.run(work)
    if json:
        output.as_json(record.as_json())
    else:
        output.console.print(f"Đã thu hồi khoá {record.prefix}… / revoked")
