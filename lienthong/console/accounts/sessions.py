"""Sessions of the desks: short, bound to the browser they began in, and ended from anywhere."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.console.accounts import register
from lienthong.core import clock, crypto, journal, settings_console, storage, tables

_TOKEN = "desk-session"  # noqa: S105 - the name of a purpose
_AGENT = "desk-agent"
# Writing the last use down at every request would be a transaction for each; this is near enough.
_TOUCH_AFTER = timedelta(seconds=20)
_s, _a = tables.sessions, tables.accounts


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in browser."""

    id: str
    account_id: str
    method: str
    made_at: datetime
    last_at: datetime
    ends_at: datetime
    address: str
    agent: str


@dataclass(frozen=True, slots=True)
class Browser:
    """From where a request comes."""

    address: str
    agent: str


async def begin(
    tx: AsyncConnection,
    vault: crypto.Vault,
    account_id: str,
    browser: Browser,
    *,
    method: str,
    now: datetime,
    longest: timedelta,
) -> str:
    """Begin a session and give what its cookie holds; the id is always a new one."""
    token = base64.urlsafe_b64encode(crypto.random_token()).decode().rstrip("=")
    await tx.execute(
        _s.insert().values(
            id=clock.new_id(),
            digest=vault.digest(token.encode(), purpose=_TOKEN),
            account_id=account_id,
            method=method,
            made_at=now,
            last_at=now,
            ends_at=now + longest,
            address=browser.address[:64],
            agent=browser.agent[:300],
            agent_digest=vault.digest(browser.agent.encode(), purpose=_AGENT),
        )
    )
    return token


async def find(
    store: storage.Storage,
    vault: crypto.Vault,
    token: str,
    browser: Browser,
    *,
    now: datetime,
    chosen: settings_console.Console,
    is_use: bool = True,
) -> tuple[register.Account, Session] | None:
    """Find who a cookie belongs to; nothing where the session is over, or the account shut.

    A cookie that comes from another browser ends the session at once. `is_use`: a person did something, as
    against a page that renews itself.
    """
    wanted = sa.select(_s).where(_s.c.digest == vault.digest(token.encode(), purpose=_TOKEN))
    async with store.reading() as conn:
        row = await storage.first(conn, wanted)
        if row is None or row["revoked_at"] is not None or now >= row["ends_at"]:
            return None
        account = await storage.first(conn, sa.select(_a).where(_a.c.id == row["account_id"]))
    if now >= row["last_at"] + timedelta(minutes=chosen.idle_minutes):
        return None
    if account is None or account["state"] != "active":
        return None
    if not crypto.is_same(row["agent_digest"], vault.digest(browser.agent.encode(), purpose=_AGENT)):
        await _taken_elsewhere(store, row["id"], account["name"], now=now)
        return None
    if is_use and now - row["last_at"] > _TOUCH_AFTER:
        async with store.transaction() as tx:
            await tx.execute(_s.update().where(_s.c.id == row["id"]).values(last_at=now))
    return register.of_row(account), Session(**{name: row[name] for name in Session.__dataclass_fields__})


async def _taken_elsewhere(store: storage.Storage, session_id: str, name: str, *, now: datetime) -> None:
    async with store.transaction() as tx:
        await _revoke(tx, _s.c.id == session_id, by="hub", now=now)
        reason = "the cookie was presented by another browser"
        await journal.write_act(tx, "sessions.revoke", session_id, actor="hub", now=now, reason=reason)


async def listed(store: storage.Storage, account_id: str, *, now: datetime, idle: timedelta) -> list[Session]:
    """List the sessions of an account that are in force, the last used first."""
    wanted = (
        sa.select(_s)
        .where(_s.c.account_id == account_id, _s.c.revoked_at.is_(None))
        .where(_s.c.ends_at > now, _s.c.last_at > now - idle)
        .order_by(_s.c.last_at.desc())
    )
    async with store.reading() as conn:
        rows = await storage.every(conn, wanted)
    return [Session(**{name: row[name] for name in Session.__dataclass_fields__}) for row in rows]


async def revoke(
    store: storage.Storage,
    account_id: str,
    *,
    by: str,
    now: datetime,
    only: str | None = None,
    but: str | None = None,
    reason: str = "",
) -> int:
    """End sessions of an account: all, `only` one, or all `but` one; says how many were ended."""
    where = _s.c.account_id == account_id
    where = sa.and_(where, _s.c.id == only) if only is not None else where
    where = sa.and_(where, _s.c.id != but) if but is not None else where
    async with store.transaction() as tx:
        ended = await _revoke(tx, where, by=by, now=now)
        if ended:
            subject = only or account_id
            after = {"ended": ended}
            await journal.write_act(tx, "sessions.revoke", subject, actor=by, now=now, reason=reason, after=after)
    return ended


async def _revoke(tx: AsyncConnection, where: sa.ColumnElement[bool], *, by: str, now: datetime) -> int:
    done = await tx.execute(
        _s.update().where(where, _s.c.revoked_at.is_(None)).values(revoked_at=now, revoked_by=by[:100])
    )
    return int(done.rowcount)


async def forget_old(tx: AsyncConnection, *, now: datetime) -> None:
    """Strike off sessions that ended a quarter ago, and tries to sign in of last week."""
    await tx.execute(_s.delete().where(_s.c.ends_at < now - timedelta(days=90)))
    tries = tables.sign_in_tries
    await tx.execute(tries.delete().where(tries.c.at < now - timedelta(days=7)))
