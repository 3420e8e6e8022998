"""The accounts of the desks: read, added, changed; each act is in the administrative trail, refused ones too."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import acts
from lienthong.console.accounts import passwords
from lienthong.core import clock, crypto, errors, journal, storage, tables

_a, _s = tables.accounts, tables.sessions
_NAME = re.compile(r"[a-z][a-z0-9._-]{1,59}")
_OUTSIDE = "desk-outside"
# Whether somebody is the last administrator is looked up and acted upon in one go.
_LOCK = 4_761_008


class Role(StrEnum):
    """What a person of the desks may do; the table of places says what that is in each case."""

    OPERATOR = "operator"
    SECURITY_OFFICER = "security_officer"
    KEY_MANAGER = "key_manager"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


@dataclass(frozen=True, slots=True)
class Account:
    """One account as it stands; `must_change`: the password was set by somebody else."""

    id: str
    name: str
    full_name: str
    roles: tuple[str, ...]
    state: str
    must_change: bool
    has_password: bool
    has_second_step: bool
    is_linked: bool
    recovery_left: int
    created_at: datetime
    created_by: str
    last_sign_in_at: datetime | None
    password_at: datetime | None

    def has_old_password(self, days: int, *, now: datetime) -> bool:
        """Whether the password is older than `days`; never where these are 0."""
        at = self.password_at
        return bool(days and self.has_password and at and now - at > timedelta(days=days))

    @property
    def is_active(self) -> bool:
        """Whether the person may sign in."""
        return self.state == "active"

    def as_act(self) -> dict[str, Any]:
        """Give what the trail keeps of an account."""
        return {
            "name": self.name,
            "roles": list(self.roles),
            "state": self.state,
            "second_step": self.has_second_step,
            "linked": self.is_linked,
        }


def of_row(row: Mapping[str, Any]) -> Account:
    """Make an account of its row, without what is secret."""
    return Account(
        id=row["id"],
        name=row["name"],
        full_name=row["full_name"],
        roles=tuple(row["roles"]),
        state=row["state"],
        must_change=bool(row["must_change"]),
        has_password=row["password_hash"] is not None,
        has_second_step=row["totp_secret"] is not None,
        is_linked=row["outside"] is not None,
        recovery_left=len(row["recovery"]),
        created_at=row["created_at"],
        created_by=row["created_by"],
        last_sign_in_at=row["last_sign_in_at"],
        password_at=row["password_at"],
    )


async def listed(store: storage.Storage) -> list[Account]:
    """List every account, by name."""
    async with store.reading() as conn:
        return [of_row(row) for row in await storage.every(conn, sa.select(_a).order_by(_a.c.name))]


async def show(store: storage.Storage, name: str) -> Account:
    """Find an account by its name or id. Raises NotFound."""
    async with store.reading() as conn:
        return of_row(await _row(conn, name))


async def add(
    store: storage.Storage,
    *,
    name: str,
    full_name: str,
    roles: Sequence[str],
    password: str | None,
    act: acts.Act,
) -> Account:
    """Add an account; with a password that its owner must change. Raises InvalidRequest, Conflict."""
    name = name.strip().lower()
    async with acts.recorded(store, act, name):
        _must_be_named(name, full_name)
        wanted = _sound_roles(roles)
        hashed = None if password is None else await passwords.hashed(password, name=name)
        async with store.transaction() as tx:
            if await storage.first(tx, sa.select(_a.c.id).where(_a.c.name == name)):
                raise errors.Conflict("this name is taken", detail_vi="Tên đăng nhập này đã có người dùng.")
            number = clock.new_id()
            await tx.execute(
                _a.insert().values(
                    id=number,
                    name=name,
                    full_name=full_name.strip(),
                    roles=wanted,
                    state="active",
                    password_hash=hashed,
                    password_at=act.now,
                    must_change=password is not None,
                    recovery=[],
                    created_at=act.now,
                    created_by=act.actor[:100],
                )
            )
            made = of_row(await _row(tx, number))
            await note(tx, act, made.id, after=made.as_act())
            return made


async def set_roles(store: storage.Storage, name: str, roles: Sequence[str], *, act: acts.Act) -> Account:
    """Change what a person may do, effective with the next request. Raises InvalidRequest, Conflict."""

    async def decide(tx: AsyncConnection, held: Account) -> dict[str, Any]:
        wanted = _sound_roles(roles)
        if Role.ADMINISTRATOR not in wanted:
            await _must_not_be_last(tx, held)
        return {"roles": wanted}

    return await changed(store, name, decide, act=act)


async def set_password(
    store: storage.Storage, name: str, password: str, *, by_owner: bool, act: acts.Act
) -> Account:
    """Set a password; one that somebody else set must be changed at the next sign-in. Ends no session itself."""
    # The hash takes a while and is made outside any transaction.
    held = await show(store, name)
    async with acts.recorded(store, act, held.id):
        hashed = await passwords.hashed(password, name=held.name)

    async def decide(_tx: AsyncConnection, _held: Account) -> dict[str, Any]:
        return {"password_hash": hashed, "password_at": act.now, "must_change": not by_owner}

    return await changed(store, name, decide, act=act)


async def disable(store: storage.Storage, name: str, *, act: acts.Act) -> Account:
    """Shut an account: it cannot sign in, and its sessions end with their next request. Raises Conflict."""

    async def decide(tx: AsyncConnection, held: Account) -> dict[str, Any]:
        await _must_not_be_last(tx, held)
        await tx.execute(
            _s.update()
            .where(_s.c.account_id == held.id, _s.c.revoked_at.is_(None))
            .values(revoked_at=act.now, revoked_by=act.actor[:100])
        )
        return {
            "state": "disabled",
            "disabled_at": act.now,
            "disabled_by": act.actor[:100],
            "disabled_reason": act.reason[:500],
        }

    return await changed(store, name, decide, act=act)


async def enable(store: storage.Storage, name: str, *, act: acts.Act) -> Account:
    """Open a shut account again."""

    async def decide(_tx: AsyncConnection, _held: Account) -> dict[str, Any]:
        return {"state": "active", "disabled_at": None, "disabled_by": None, "disabled_reason": None}

    return await changed(store, name, decide, act=act)


async def link(
    store: storage.Storage, vault: crypto.Vault, name: str, *, provider: str, key: str, act: acts.Act
) -> Account:
    """Register who this is at the identity provider; an empty `key` takes it away. Raises Conflict."""
    digest = outside_digest(vault, provider, key) if key.strip() else None

    async def decide(tx: AsyncConnection, held: Account) -> dict[str, Any]:
        taken = sa.select(_a.c.id).where(_a.c.outside == digest, _a.c.id != held.id)
        if digest is not None and await storage.first(tx, taken):
            raise errors.Conflict(
                "this identity belongs to another account",
                detail_vi="Định danh này đã gắn với tài khoản khác.",
            )
        return {"outside": digest}

    return await changed(store, name, decide, act=act)


def outside_digest(vault: crypto.Vault, provider: str, key: str) -> str:
    """Digest what an identity provider knows a person by."""
    return vault.digest(f"{provider}\0{key.strip()}".encode(), purpose=_OUTSIDE)


async def by_outside(store: storage.Storage, vault: crypto.Vault, provider: str, key: str) -> Account | None:
    """Find the account of somebody who signed in elsewhere; none is ever made by that."""
    digest = outside_digest(vault, provider, key)
    async with store.reading() as conn:
        row = await storage.first(conn, sa.select(_a).where(_a.c.outside == digest))
    return None if row is None else of_row(row)


# ------------------------------------------------------------------------------------------------ parts of acts


async def changed(store: storage.Storage, name: str, decide: Any, *, act: acts.Act) -> Account:
    """Change one account in one transaction with the record of the act; `decide` sees it and gives the values."""
    async with acts.recorded(store, act, name) as refusal:
        must_say_why(act)
        async with store.transaction() as tx:
            if not store.is_sqlite:
                await tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            before = of_row(await _row(tx, name))
            refusal.subject = before.id
            values = await decide(tx, before)
            await tx.execute(_a.update().where(_a.c.id == before.id).values(**values))
            after = of_row(await _row(tx, before.id))
            await note(tx, act, before.id, before=before.as_act(), after=after.as_act())
            return after


async def note(
    tx: AsyncConnection,
    act: acts.Act,
    subject: str,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write one act on an account down in the transaction that does it."""
    await journal.write_act(
        tx, act.name, subject, actor=act.actor, now=act.now, reason=act.reason, before=before, after=after
    )


async def _row(conn: AsyncConnection, name: str) -> dict[str, Any]:
    wanted = name.strip().lower()
    row = await storage.first(conn, sa.select(_a).where(sa.or_(_a.c.name == wanted, _a.c.id == wanted)))
    if row is None:
        raise errors.NotFound("there is no such account", detail_vi="Không có tài khoản này.")
    return row


async def _must_not_be_last(tx: AsyncConnection, held: Account) -> None:
    """Insist that somebody is left who can manage accounts. Raises Conflict."""
    rows = await storage.every(tx, sa.select(_a.c.id, _a.c.roles).where(_a.c.state == "active"))
    if held.is_active and not any(row["id"] != held.id and Role.ADMINISTRATOR in row["roles"] for row in rows):
        if Role.ADMINISTRATOR not in held.roles:
            return
        raise errors.Conflict(
            "this is the last administrator: name another one first",
            detail_vi="Đây là quản trị viên cuối cùng: hãy giao quyền cho người khác trước.",
        )


def must_say_why(act: acts.Act) -> None:
    """Insist on a reason. Raises InvalidRequest."""
    if len(act.reason.strip()) < 3:
        raise errors.InvalidRequest(
            problems=(errors.FieldProblem("reason", "Hãy nêu lý do.", "Say why."),),
        )


def _must_be_named(name: str, full_name: str) -> None:
    problems = []
    if not _NAME.fullmatch(name):
        vi = "Tên đăng nhập: chữ thường không dấu, chữ số, dấu . _ -, từ 2 đến 60 ký tự, bắt đầu bằng chữ."
        en = "A name has small letters, digits and . _ -, 2 to 60 of them, a letter first."
        problems.append(errors.FieldProblem("name", vi, en))
    if not 2 <= len(full_name.strip()) <= 200:
        problems.append(errors.FieldProblem("full_name", "Hãy ghi họ và tên.", "The full name is needed."))
    if problems:
        raise errors.InvalidRequest(problems=tuple(problems))


def _sound_roles(roles: Sequence[str]) -> list[str]:
    known = [str(role) for role in Role]
    wanted = sorted({role.strip() for role in roles if role.strip()})
    if not wanted or set(wanted) - set(known):
        listed_roles = ", ".join(known)
        problem = errors.FieldProblem("roles", f"Vai trò là: {listed_roles}.", f"Roles are: {listed_roles}.")
        raise errors.InvalidRequest(problems=(problem,))
    return wanted
