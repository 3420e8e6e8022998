"""`lienthong accounts`: who may sign in at the desks. Passwords come from the keyboard or a file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from lienthong.api_keys import acts
from lienthong.bus.hub import Hub
from lienthong.console.accounts import passkeys, passwords, register, second_step, sessions
from lienthong.console.cli import context, output
from lienthong.core import errors

app = typer.Typer(no_args_is_help=True, help="Tài khoản bàn điều khiển / accounts of the desks.")

_COLUMNS = {
    "name": "Tên đăng nhập",
    "full_name": "Họ và tên",
    "roles": "Vai trò",
    "state": "Trạng thái",
    "has_second_step": "Bước hai",
    "last_sign_in_at": "Đăng nhập lần cuối",
}
_SESSION = {"id": "Mã phiên", "last_at": "Dùng lần cuối", "address": "Địa chỉ", "agent": "Trình duyệt"}
_PASSKEY = {"id": "Mã", "name": "Tên", "created_at": "Đăng ký", "last_used_at": "Dùng lần cuối"}

Name = Annotated[str, typer.Argument(help="Tên đăng nhập / the account's name.")]
Roles = Annotated[list[register.Role], typer.Option("--role", help="Vai trò, có thể nhiều / role, may repeat.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", exists=True, dir_okay=False, help="Đọc mật khẩu từ tệp / from a file."),
]
Reason = Annotated[str, typer.Option("--reason", help="Lý do; được ghi lại / why; kept in the record.")]


def _password(file: Path | None) -> str:
    """Read a password from a file, or ask for it twice at the keyboard."""
    if file is not None:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    prompt = f"Mật khẩu, ít nhất {passwords.SHORTEST} ký tự / password"
    return str(typer.prompt(prompt, hide_input=True, confirmation_prompt="Gõ lại / again"))


def _act(hub: Hub, name: str, reason: str) -> acts.Act:
    return acts.Act(name, context.actor(), hub.now(), reason)


def _told(account: register.Account) -> dict[str, Any]:
    return {name: getattr(account, name) for name in ("id", *_COLUMNS)} | {"roles": list(account.roles)}


def _done(work: Callable[[Hub], Awaitable[register.Account]], said: str, *, json: bool) -> None:
    account = context.run(work)
    if json:
        output.as_json(_told(account))
    else:
        output.console.print(f"{said}: {account.name} ({', '.join(account.roles)})", markup=False)


@app.command()
def add(
    name: Name,
    full_name: Annotated[str, typer.Option("--full-name", help="Họ và tên / the whole name.")],
    role: Roles,
    password_file: PasswordFile = None,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="Chỉ đăng nhập qua định danh / identity provider only.")
    ] = False,
    reason: Reason = "",
    json: context.Json = False,
) -> None:
    """Thêm tài khoản; mật khẩu phải đổi khi đăng nhập lần đầu / add an account."""
    password = None if no_password else _password(password_file)

    async def work(hub: Hub) -> register.Account:
        act = _act(hub, "accounts.add", reason)
        return await register.add(
            hub.storage, name=name, full_name=full_name, roles=list(role), password=password, act=act
        )

    _done(work, "Đã thêm / added", json=json)


@app.command("list")
def listed(json: context.Json = False) -> None:
    """Liệt kê tài khoản / list the accounts."""
    found = context.run(lambda hub: register.listed(hub.storage))
    if json:
        output.as_json([_told(it) for it in found])
    else:
        output.table("Tài khoản", _COLUMNS, [_told(it) for it in found])


@app.command()
def roles(name: Name, role: Roles, reason: context.Reason, json: context.Json = False) -> None:
    """Đổi vai trò, có hiệu lực ngay / change the roles, effective at once."""
    _done(
        lambda hub: register.set_roles(hub.storage, name, list(role), act=_act(hub, "accounts.roles", reason)),
        "Đã đổi / changed",
        json=json,
    )


@app.command()
def password(
    name: Name, reason: context.Reason, password_file: PasswordFile = None, json: context.Json = False
) -> None:
    """Đặt mật khẩu mới; các phiên kết thúc, chủ tài khoản phải đổi lại / set a new password."""
    typed = _password(password_file)

    async def work(hub: Hub) -> register.Account:
        act = _act(hub, "accounts.password", reason)
        changed = await register.set_password(hub.storage, name, typed, by_owner=False, act=act)
        await sessions.revoke(hub.storage, changed.id, by=act.actor, now=act.now, reason=reason)
        return changed

    _done(work, "Đã đặt mật khẩu / the password is set", json=json)


@app.command()
def totp(
    name: Name,
    reason: context.Reason,
    remove: Annotated[bool, typer.Option("--remove", help="Bỏ bước hai / take the second step away.")] = False,
    json: context.Json = False,
) -> None:
    """Bỏ xác thực bước hai của người mất điện thoại; đặt mới thì làm ở trang tài khoản / the second step."""

    async def work(hub: Hub) -> register.Account:
        if not remove:
            raise errors.InvalidRequest(
                "a second step is set up by its owner at the desk, page /own/second-step; here it can be removed",
                detail_vi="Chủ tài khoản tự đặt bước hai tại trang /own/second-step; ở đây chỉ bỏ (--remove).",
            )
        act = _act(hub, "accounts.second_step", reason)
        changed = await second_step.take_away(hub.storage, name, act=act)
        await sessions.revoke(hub.storage, changed.id, by=act.actor, now=act.now, reason=reason)
        return changed

    _done(work, "Đã bỏ bước hai / taken away", json=json)


@app.command("passkeys")
def show_passkeys(
    name: Name,
    remove: Annotated[bool, typer.Option("--remove", help="Gỡ mọi passkey / take all away.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Lý do gỡ / why they are taken away.")] = "",
    json: context.Json = False,
) -> None:
    """Liệt kê passkey của một người, hoặc gỡ hết khi mất máy / list somebody's passkeys, or take them away."""

    async def work(hub: Hub) -> list[passkeys.Passkey]:
        if remove:
            act = _act(hub, "accounts.passkeys", reason)
            changed = await passkeys.take_away(hub.storage, name, act=act)
            await sessions.revoke(hub.storage, changed.id, by=act.actor, now=act.now, reason=reason)
        account = await register.show(hub.storage, name)
        return await passkeys.listed(hub.storage, account.id)

    rows = [{column: getattr(it, column) for column in _PASSKEY} for it in context.run(work)]
    if json:
        output.as_json(rows)
    else:
        output.table("Passkey", _PASSKEY, rows)


@app.command()
def link(
    name: Name,
    reason: context.Reason,
    key_file: Annotated[
        Path | None, typer.Option("--key-file", exists=True, dir_okay=False, help="Tệp chứa số / file.")
    ] = None,
    json: context.Json = False,
) -> None:
    """Gắn với số ở hệ thống định danh; chỉ giữ mã băm, để trống là gỡ / link to an identity provider."""
    key = key_file.read_text(encoding="utf-8").strip() if key_file else None
    if key is None:
        key = str(typer.prompt("Số định danh / number", default="", hide_input=True, show_default=False))

    async def work(hub: Hub) -> register.Account:
        provider = hub.settings.console.identity_provider
        if not provider:
            raise errors.Misconfigured(
                "LIENTHONG_CONSOLE__IDENTITY_PROVIDER is not set",
                detail_vi="Chưa đặt LIENTHONG_CONSOLE__IDENTITY_PROVIDER.",
            )
        act = _act(hub, "accounts.link", reason)
        return await register.link(hub.storage, hub.vault, name, provider=provider, key=key or "", act=act)

    _done(work, "Đã ghi / done", json=json)


@app.command()
def disable(name: Name, reason: context.Reason, json: context.Json = False) -> None:
    """Khoá tài khoản; các phiên kết thúc ngay / disable an account."""
    _done(
        lambda hub: register.disable(hub.storage, name, act=_act(hub, "accounts.disable", reason)),
        "Đã khoá / disabled",
        json=json,
    )


@app.command()
def enable(name: Name, reason: context.Reason, json: context.Json = False) -> None:
    """Mở lại tài khoản / enable an account again."""
    _done(
        lambda hub: register.enable(hub.storage, name, act=_act(hub, "accounts.enable", reason)),
        "Đã mở lại / enabled",
        json=json,
    )


@app.command("sessions")
def show_sessions(name: Name, json: context.Json = False) -> None:
    """Liệt kê phiên đang mở / list the open sessions."""

    async def work(hub: Hub) -> list[sessions.Session]:
        account = await register.show(hub.storage, name)
        idle = timedelta(minutes=hub.settings.console.idle_minutes)
        return await sessions.listed(hub.storage, account.id, now=hub.now(), idle=idle)

    rows = [{column: getattr(it, column) for column in _SESSION} for it in context.run(work)]
    if json:
        output.as_json(rows)
    else:
        output.table("Phiên đang mở", _SESSION, rows)


@app.command()
def revoke(
    name: Name,
    reason: context.Reason,
    session: Annotated[str | None, typer.Option("--session", help="Chỉ phiên này / only this one.")] = None,
    json: context.Json = False,
) -> None:
    """Kết thúc phiên của một người, hiệu lực ngay / end somebody's sessions."""

    async def work(hub: Hub) -> int:
        account = await register.show(hub.storage, name)
        now = hub.now()
        return await sessions.revoke(
            hub.storage, account.id, by=context.actor(), now=now, only=session, reason=reason
        )

    ended = context.run(work)
    if json:
        output.as_json({"ended": ended})
    else:
        output.console.print(f"Đã kết thúc {ended} phiên / {ended} sessions ended")
