"""Signing in: one answer for everything that is wrong, the same time for it, and a limit that processes share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.bus.gateway import addresses
from lienthong.bus.hub import Hub
from lienthong.console.accounts import passkey_ceremony, passkeys, passwords, register, second_step, sessions
from lienthong.core import errors, journal, storage, tables

_a, _t = tables.accounts, tables.sign_in_tries
# Two tries at once must not both be the last one allowed.
_LOCK = 4_761_009


@dataclass(frozen=True, slots=True)
class Offered:
    """What somebody typed; `code` is of the second step, or a recovery code."""

    name: str
    password: str
    code: str = ""


async def with_password(hub: Hub, offered: Offered, browser: sessions.Browser) -> str:
    """Sign in with name, password and, where the account has it, the second step; gives the cookie's content.

    Raises LimitExceeded after too many failures, InvalidRequest for anything that is wrong, CapacityReduced where
    the machine could not find out, which counts for nobody.
    """
    name = offered.name.strip().lower()[:200]
    number = await _take_try(hub, name, browser)
    async with hub.storage.reading() as conn:
        row = await storage.first(conn, sa.select(_a).where(_a.c.name == name))
    is_right = await _is_right(hub, offered.password, row, number=number)
    if row is None or not is_right or row["state"] != "active" or not await _second(hub, row, offered.code):
        await _refuse(hub, row, browser)
    return await _let_in(hub, row, browser, method="password", number=number)


async def must_know(
    hub: Hub, account: register.Account, password: str, browser: sessions.Browser, *, code: str | None = None
) -> None:
    """Insist that whoever sits there knows the password: an open browser is not enough, nor is trying them out.

    A `code` is one of the second step in force, which is asked for too. A failure counts as one of a sign-in.
    Raises LimitExceeded, InvalidRequest, CapacityReduced as `with_password`.
    """
    number = await _take_try(hub, account.name, browser)
    async with hub.storage.reading() as conn:
        row = await storage.first(conn, sa.select(_a).where(_a.c.id == account.id))
    is_right = row is not None and await _is_right(hub, password, row, number=number)
    if not row or not is_right or not (code is None or await _second(hub, row, code)):
        vi, en = "Mật khẩu hiện tại không đúng.", "The present password is not right."
        if code is not None:
            vi, en = "Mật khẩu hoặc mã hiện tại không đúng.", "The present password or code is not right."
        problem = errors.FieldProblem("old", vi, en)
        raise errors.InvalidRequest(problems=(problem,))
    async with hub.storage.transaction() as tx:
        await _succeeded(tx, number)


async def with_passkey(hub: Hub, answer: passkey_ceremony.Answer, browser: sessions.Browser, *, bound: str) -> str:
    """Sign in with a passkey, which is both steps in one; gives the cookie's content.

    Raises LimitExceeded after too many failures, InvalidRequest for anything that is wrong.
    """
    number = await _take_try(hub, answer.known_as, browser)
    try:
        row = await passkey_ceremony.whose(hub, answer, bound=bound, now=hub.now())
    except errors.InvalidRequest:
        await _note_refusal(hub, "?", browser)
        raise
    return await _let_in(hub, row, browser, method=passkeys.METHOD, number=number)


async def from_outside(hub: Hub, provider: str, key: str, browser: sessions.Browser) -> str:
    """Sign in somebody whom the identity provider vouches for. Raises NotGranted where nobody is registered."""
    account = await register.by_outside(hub.storage, hub.vault, provider, key)
    if account is None or not account.is_active:
        await _note_refusal(hub, account.id if account else "?", browser)
        raise errors.NotGranted(
            "no account of the desks is registered for this identity; ask an administrator",
            detail_vi="Chưa có tài khoản nào gắn với định danh này; hãy liên hệ quản trị viên.",
        )
    async with hub.storage.reading() as conn:
        row = await storage.first(conn, sa.select(_a).where(_a.c.id == account.id))
    return await _let_in(hub, row, browser, method="outside", number=None)


async def _second(hub: Hub, row: dict[str, Any], code: str) -> bool:
    """Whether the second step holds; an account without one needs none."""
    if row["totp_secret"] is None:
        return True
    return await second_step.take(hub.storage, hub.vault, row, code, now=hub.now())


async def _is_right(hub: Hub, password: str, row: dict[str, Any] | None, *, number: int) -> bool:
    """Whether a password is an account's; where the machine cannot find out, the try is as if it had not been."""
    try:
        return await passwords.is_right(password, row["password_hash"] if row else None)
    except errors.CapacityReduced:
        async with hub.storage.transaction() as tx:
            await tx.execute(_t.delete().where(_t.c.number == number))
        raise


async def _take_try(hub: Hub, name: str, browser: sessions.Browser) -> int:
    """Write a try down before it is looked at. Raises LimitExceeded where too many failed lately."""
    chosen, now = hub.settings.console, hub.now()
    digest = hub.vault.digest(name.encode(), purpose="desk-try")
    address = addresses.one_sender(browser.address)
    lately = sa.and_(_t.c.outcome == "failed", _t.c.at > now - timedelta(minutes=chosen.tries_minutes))
    by_name = sa.and_(_t.c.name_digest == digest, _t.c.address == address)
    async with hub.storage.transaction() as tx:
        if not hub.storage.is_sqlite:
            await tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        from_here = await _count(tx, sa.and_(lately, _t.c.address == address))
        for_name = await _count(tx, sa.and_(lately, by_name))
        # From many addresses at once: the account is watched as a whole, more loosely, so that nobody can
        # shut somebody else out from a single place.
        anywhere = await _count(tx, sa.and_(lately, _t.c.name_digest == digest))
        is_over = (
            from_here >= chosen.tries_per_address
            or for_name >= chosen.tries_per_account
            or anywhere >= chosen.tries_per_address
        )
        if is_over:
            raise _too_many(chosen.tries_minutes)
        # Failed until it is known to be otherwise: many at once cannot slip under the limit together.
        values = {"at": now, "name_digest": digest, "address": address, "outcome": "failed"}
        done = await tx.execute(_t.insert().values(**values).returning(_t.c.number))
        return int(done.scalar_one())


async def _succeeded(tx: AsyncConnection, number: int) -> None:
    await tx.execute(_t.update().where(_t.c.number == number).values(outcome="done"))


async def _count(tx: AsyncConnection, where: sa.ColumnElement[bool]) -> int:
    return int((await tx.execute(sa.select(sa.func.count()).select_from(_t).where(where))).scalar_one())


def _too_many(minutes: int) -> errors.LimitExceeded:
    return errors.LimitExceeded(
        f"too many failed sign-ins; wait {minutes} minutes and try again",
        detail_vi=f"Đăng nhập sai quá nhiều lần; hãy chờ {minutes} phút rồi thử lại.",
        retry_after_s=minutes * 60,
    )


async def _refuse(hub: Hub, row: dict[str, Any] | None, browser: sessions.Browser) -> None:
    await _note_refusal(hub, row["id"] if row else "?", browser)
    raise errors.InvalidRequest(
        "name, password or code is not right",
        detail_vi="Tên đăng nhập, mật khẩu hoặc mã xác thực không đúng.",
    )


async def _note_refusal(hub: Hub, subject: str, browser: sessions.Browser) -> None:
    async with hub.storage.transaction() as tx:
        await journal.write_act(
            tx,
            "sign_in",
            subject,
            actor="?",
            now=hub.now(),
            after={"address": browser.address[:64]},
            outcome="refused",
        )


async def _let_in(
    hub: Hub, row: dict[str, Any] | None, browser: sessions.Browser, *, method: str, number: int | None
) -> str:
    if row is None:
        raise errors.NotFound()
    now: datetime = hub.now()
    longest = timedelta(hours=hub.settings.console.longest_hours)
    async with hub.storage.transaction() as tx:
        token = await sessions.begin(tx, hub.vault, row["id"], browser, method=method, now=now, longest=longest)
        if number is not None:
            await _succeeded(tx, number)
        await tx.execute(_a.update().where(_a.c.id == row["id"]).values(last_sign_in_at=now))
        await sessions.forget_old(tx, now=now)
        after = {"address": browser.address[:64], "method": method}
        await journal.write_act(tx, "sign_in", row["id"], actor=row["name"], now=now, after=after)
    return token
