"""The passkeys of an account: listed, renamed, taken away; in whose hands they are demanded."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import acts
from lienthong.console.accounts import register
from lienthong.core import errors, settings_console, storage, tables

MOST = 20
METHOD = "passkey"
LONGEST_NAME = 60
_p = tables.passkeys


@dataclass(frozen=True, slots=True)
class Passkey:
    """One passkey; `is_synced`: its maker may copy it to other devices of the same person."""

    id: str
    name: str
    is_synced: bool
    created_at: datetime
    last_used_at: datetime | None


async def listed(store: storage.Storage, account_id: str) -> list[Passkey]:
    """List the passkeys of an account, the oldest first."""
    async with store.reading() as conn:
        rows = await storage.every(conn, of_account(account_id))
    return [Passkey(**{name: row[name] for name in Passkey.__dataclass_fields__}) for row in rows]


async def credential_ids(store: storage.Storage, account_id: str) -> list[bytes]:
    """Give by what its authenticators know the passkeys of an account."""
    async with store.reading() as conn:
        return [row["credential_id"] for row in await storage.every(conn, of_account(account_id))]


def of_account(account_id: str) -> sa.Select[tuple[object, ...]]:
    """Ask for the rows of an account's passkeys."""
    return sa.select(_p).where(_p.c.account_id == account_id).order_by(_p.c.created_at, _p.c.id)


async def rename(store: storage.Storage, account_id: str, passkey_id: str, name: str, *, act: acts.Act) -> None:
    """Give one of an account's passkeys another name. Raises NotFound, InvalidRequest."""
    async with acts.recorded(store, act, account_id):
        told = sound_name(name)
        async with store.transaction() as tx:
            before = await _one(tx, account_id, passkey_id)
            await tx.execute(_p.update().where(_p.c.id == passkey_id).values(name=told))
            await register.note(tx, act, account_id, before={"name": before}, after={"name": told})


async def remove(
    store: storage.Storage, account_id: str, passkey_id: str, *, keep_one: bool, act: acts.Act
) -> None:
    """Take one of an account's passkeys away; `keep_one`: not the last. Raises NotFound, Conflict."""
    async with acts.recorded(store, act, account_id), store.transaction() as tx:
        await lock(tx, account_id)
        name = await _one(tx, account_id, passkey_id)
        if keep_one and len(await storage.every(tx, of_account(account_id))) == 1:
            raise errors.Conflict(
                "your role must sign in with a passkey: add another one before you remove the last",
                detail_vi="Vai trò của bạn phải đăng nhập bằng passkey: hãy thêm cái khác rồi mới gỡ.",
            )
        await tx.execute(_p.delete().where(_p.c.id == passkey_id))
        await register.note(tx, act, account_id, before={"name": name})


async def take_away(store: storage.Storage, name: str, *, act: acts.Act) -> register.Account:
    """Take all passkeys of an account away, for somebody who lost them. Raises InvalidRequest without a reason."""
    held = await register.show(store, name)
    async with acts.recorded(store, act, held.id):
        register.must_say_why(act)
        async with store.transaction() as tx:
            await lock(tx, held.id)
            names = [row["name"] for row in await storage.every(tx, of_account(held.id))]
            await tx.execute(_p.delete().where(_p.c.account_id == held.id))
            await register.note(tx, act, held.id, before={"passkeys": names}, after={"passkeys": []})
    return held


def is_demanded(chosen: settings_console.Console, roles: Collection[str]) -> bool:
    """Whether somebody with these roles may work only when signed in with a passkey."""
    return not set(roles).isdisjoint(chosen.passkey_roles)


def check(chosen: settings_console.Console) -> None:
    """Stop the start where the settings name a role that does not exist."""
    known = [str(role) for role in register.Role]
    if unknown := sorted(set(chosen.passkey_roles) - set(known)):
        raise errors.Misconfigured(
            f"LIENTHONG_CONSOLE__PASSKEY_ROLES names {', '.join(unknown)}; roles are: {', '.join(known)}",
            detail_vi=f"LIENTHONG_CONSOLE__PASSKEY_ROLES ghi {', '.join(unknown)}; vai trò: {', '.join(known)}.",
        )


def sound_name(name: str) -> str:
    """Give a passkey's name as it is kept. Raises InvalidRequest."""
    told = " ".join(name.split())
    if not 1 <= len(told) <= LONGEST_NAME:
        vi, en = f"Đặt tên từ 1 đến {LONGEST_NAME} ký tự.", f"A name has 1 to {LONGEST_NAME} characters."
        raise errors.InvalidRequest(problems=(errors.FieldProblem("name", vi, en),))
    return told


async def lock(tx: AsyncConnection, account_id: str) -> None:
    """Let nobody else change the passkeys of this account until the transaction ends."""
    await tx.execute(sa.select(tables.accounts.c.id).where(tables.accounts.c.id == account_id).with_for_update())


async def _one(tx: AsyncConnection, account_id: str, passkey_id: str) -> str:
    asked = sa.select(_p.c.name).where(_p.c.id == passkey_id, _p.c.account_id == account_id)
    found = (await tx.execute(asked)).scalar()
    if found is None:
        raise errors.NotFound("you have no such passkey", detail_vi="Bạn không có passkey này.")
    return str(found)
