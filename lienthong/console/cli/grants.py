"""`lienthong grants`: who may call what, seen from the key and from the operation."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lienthong.api_keys import grants, keys
from lienthong.bus import operations
from lienthong.bus.hub import Hub
from lienthong.console.cli import context, key_words, output
from lienthong.core import errors

app = typer.Typer(no_args_is_help=True, help="Quyền gọi / what keys may call.")

_OF_A_KEY = {
    "wanted": "Thao tác, nhóm trường, dịch vụ",
    "may": "Được gọi",
    "through": "Nhờ quyền",
    "about": "Nội dung",
}
_OF_AN_OPERATION = {
    "prefix": "Khoá",
    "state_vi": "Trạng thái",
    "organisation": "Đơn vị",
    "system": "Hệ thống",
    "through": "Nhờ quyền",
    "bounds": "Địa chỉ; giờ",
}


@app.command("list")
def listed(
    key: Annotated[str | None, typer.Option(help="Khoá này gọi được gì / what this key may call.")] = None,
    operation: Annotated[
        str | None,
        typer.Option(help="Khoá nào gọi được thao tác này, fields:NHÓM, service:TÊN:/đường / who may call this."),
    ] = None,
    json: context.Json = False,
) -> None:
    """Xem quyền từ phía khoá (--key), từ phía thao tác (--operation), hoặc mọi tên quyền / see grants."""

    async def work(hub: Hub) -> list[dict[str, Any]]:
        if key is not None and operation is not None:
            raise errors.InvalidRequest(
                "Give --key or --operation, not both.", detail_vi="Nêu --key hoặc --operation, không nêu cả hai."
            )
        if key is not None:
            return _of_key(await keys.show(hub.storage, key))
        if operation is not None:
            return await _of_operation(hub, operation)
        return [{"wanted": name, "about": _about(name)} for name in grants.names(operations.NAMES)]

    rows = context.run(work)
    if json:
        output.as_json(rows)
    elif operation is not None:
        shown = [
            {**row, "prefix": f"{row['prefix']}…", "state_vi": key_words.STATES[row["state"]]} for row in rows
        ]
        output.table(f"Khoá gọi được {operation} / keys that may call it", _OF_AN_OPERATION, shown)
    elif key is not None:
        output.table(f"Quyền của khoá {key} / what it may call", _OF_A_KEY, rows)
    else:
        output.table("Mọi tên quyền / every grant", {"wanted": "Quyền", "about": "Nội dung"}, rows)


def _of_key(record: keys.KeyRecord) -> list[dict[str, Any]]:
    services = [grant for grant in record.grants if grant.startswith(grants.SERVICE)]
    fields = [grants.FIELDS + name for name in grants.FIELD_GROUPS]
    wanted = [*sorted(operations.NAMES), *sorted(grants.EXTRA), *fields, *services]
    rows = []
    for name in wanted:
        through = grants.granted_by(record.grants, name)
        rows.append({"wanted": name, "may": through is not None, "through": through, "about": _about(name)})
    return rows


async def _of_operation(hub: Hub, wanted: str) -> list[dict[str, Any]]:
    single = {*operations.NAMES, *grants.EXTRA, *(grants.FIELDS + name for name in grants.FIELD_GROUPS)}
    if wanted not in single and not wanted.startswith(grants.SERVICE):
        raise errors.NotFound(
            f"There is no operation or field group called {wanted}; `lienthong grants list` shows them all.",
            detail_vi=f"Không có thao tác hay nhóm trường tên {wanted}; xem `lienthong grants list`.",
        )
    now, rows = hub.now(), []
    for record in await keys.list_keys(hub.storage):
        through, state = grants.granted_by(record.grants, wanted), record.state(now)
        if through is None or state in ("revoked", "expired"):
            continue
        addresses = ", ".join(record.addresses) or "mọi địa chỉ"
        rows.append(
            {
                "id": record.id,
                "prefix": record.prefix,
                "state": state,
                "organisation": record.organisation,
                "system": record.system,
                "through": through,
                "bounds": f"{addresses}; {'; '.join(record.hours) or 'mọi lúc'}",
            }
        )
    return rows


def _about(name: str) -> str:
    if name.startswith(grants.FIELDS):
        return grants.FIELD_GROUPS.get(name.removeprefix(grants.FIELDS), "mọi nhóm trường của loại này")
    said = {grants.ALL: "mọi thứ", grants.ANY_ORGANISATION: "làm việc với hồ sơ do cơ quan khác khai"}
    found = next((each.summary_vi for each in operations.OPERATIONS if each.name == name), "")
    return found or said.get(name, "mọi thao tác của nhóm" if name.endswith(".*") else "dịch vụ được công bố")
