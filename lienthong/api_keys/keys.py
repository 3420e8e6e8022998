"""API keys (khoá API): issued once, kept as a keyed digest, revoked at once; every act is written down."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import grants, key_text, limits
from lienthong.core import clock, crypto, errors, storage, tables

DIGEST_PURPOSE = "api_key"
_LIFETIME = re.compile(r"(\d{1,4})([dw])")
_TEXT_LIMITS = {
    "organisation": 200,
    "system": 200,
    "custodian": 200,
    "contact": 200,
    "purpose": 500,
    "decision_number": 100,
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling: one system of one organisation, and what it may do."""

    key_id: str
    prefix: str
    organisation: str
    system: str
    grants: frozenset[str]
    environment: str

    def may(self, operation: str) -> bool:
        """Whether the key was granted this operation or extra right; `all` grants everything."""
        return grants.is_granted(self.grants, operation)


@dataclass(frozen=True, slots=True)
class Order:
    """What a key is asked for: for whom, for what, how much and until when."""

    organisation: str
    system: str
    custodian: str
    grants: Sequence[str]
    limits: Sequence[str]
    expires_at: datetime
    contact: str = ""
    purpose: str = ""
    decision_number: str = ""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key as the hub keeps it: everything but the key itself."""

    id: str
    prefix: str
    digest: str = field(repr=False)
    environment: str
    organisation: str
    system: str
    custodian: str
    contact: str
    purpose: str
    decision_number: str
    grants: tuple[str, ...]
    limits: tuple[str, ...]
    issued_at: datetime
    issued_by: str
    expires_at: datetime
    revoked_at: datetime | None = None
    revoked_reason: str | None = None

    def state(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """Say what the key is worth now."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if now >= self.expires_at else "active"

    def caller(self) -> Caller:
        """Give the key as flows see it."""
        return Caller(
            self.id, self.prefix, self.organisation, self.system, frozenset(self.grants), self.environment
        )

    def as_json(self) -> dict[str, Any]:
        """Give all that may be shown or written down; never the digest."""
        return {
            "id": self.id,
            "prefix": self.prefix,
            "environment": self.environment,
            "organisation": self.organisation,
            "system": self.system,
            "custodian": self.custodian,
            "contact": self.contact,
            "purpose": self.purpose,
            "decision_number": self.decision_number,
            "grants": list(self.grants),
            "limits": list(self.limits),
            "issued_at": self.issued_at.isoformat(),
            "issued_by": self.issued_by,
            "expires_at": self.expires_at.isoformat(),
            "revoked_at": self.revoked_at.isoformat() if self.revoked_at else None,
            "revoked_reason": self.revoked_reason,
        }


@dataclass(frozen=True, slots=True)
class Issued:
    """A new key; `key` exists only here and is shown once."""

    key: str = field(repr=False)
    record: KeyRecord

    def as_json(self) -> dict[str, Any]:
        """Give what `lienthong keys issue --json` prints."""
        record = self.record.as_json()
        shown = ("id", "prefix", "grants", "limits", "expires_at")
        return {"key": self.key, **{name: record[name] for name in shown}}


def read_lifetime(text: str) -> timedelta:
    """Read how long a key is to live: `365d` or `52w`. Raises InvalidRequest naming `expires`."""
    match = _LIFETIME.fullmatch(text.strip())
    if match is None:
        raise errors.InvalidRequest(
            problems=(
                errors.FieldProblem(
                    "expires",
                    "Thời hạn của khoá ghi bằng số ngày hoặc số tuần, ví dụ 365d hoặc 52w.",
                    "A key's lifetime is given in days or weeks, for example 365d or 52w.",
                ),
            )
        )
    return timedelta(days=int(match[1]) * (7 if match[2] == "w" else 1))


async def issue(
    store: storage.Storage,
    vault: crypto.Vault,
    order: Order,
    *,
    known_operations: Collection[str],
    environment: str,
    longest_days: int,
    actor: str,
    now: datetime,
) -> Issued:
    """Make a key and keep its digest. The key itself is in the answer and nowhere else.

    Raises InvalidRequest naming everything wrong with the order; the refused act is written down as well.
    """
    found = _order_problems(order, known=known_operations, longest_days=longest_days, now=now)
    if found:
        async with store.transaction() as tx:
            await _note(tx, "keys.issue", order.system, actor=actor, now=now, outcome=errors.InvalidRequest.code)
        raise errors.InvalidRequest(
            "The key was not issued; see each field.",
            detail_vi="Chưa cấp khoá; xem từng trường sai.",
            problems=tuple(found),
        )
    text = key_text.new(environment)
    record = KeyRecord(
        id=clock.new_id(),
        prefix=key_text.prefix(text),
        digest=vault.digest(text.encode(), purpose=DIGEST_PURPOSE),
        environment=environment,
        organisation=order.organisation.strip(),
        system=order.system.strip(),
        custodian=order.custodian.strip(),
        contact=order.contact.strip(),
        purpose=order.purpose.strip(),
        decision_number=order.decision_number.strip(),
        grants=tuple(sorted(set(order.grants))),
        limits=tuple(str(limit) for limit in limits.parse_all(order.limits)),
        issued_at=now,
        issued_by=actor,
        expires_at=order.expires_at,
    )
    async with store.transaction() as tx:
        await tx.execute(tables.api_keys.insert(), _as_row(record))
        await _note(tx, "keys.issue", record.id, actor=actor, now=now, after=record.as_json())
    return Issued(text, record)


async def list_keys(store: storage.Storage) -> list[KeyRecord]:
    """Give every key ever issued, newest first."""
    async with store.reading() as conn:
        rows = await conn.execute(sa.select(tables.api_keys).order_by(tables.api_keys.c.issued_at.desc()))
        return [_from_row(row) for row in rows]


async def show(store: storage.Storage, name: str) -> KeyRecord:
    """Give one key by its id or its shown prefix. Raises NotFound."""
    table = tables.api_keys
    name = _shown(name)
    async with store.reading() as conn:
        asked = sa.select(table).where(sa.or_(table.c.id == name, table.c.prefix == name))
        rows = (await conn.execute(asked)).all()
    if len(rows) != 1:
        raise errors.NotFound(
            "No key has this id or prefix; `lienthong keys list` shows them all.",
            detail_vi="Không có khoá nào mang mã hoặc phần đầu này; xem `lienthong keys list`.",
        )
    return _from_row(rows[0])


async def revoke(store: storage.Storage, name: str, *, reason: str, actor: str, now: datetime) -> KeyRecord:
    """Take a key out of use for good, by its id or prefix. Revoking twice changes nothing.

    Holds for every process within a second; in this one at once after `lookup.Lookup.forget`.
    Raises NotFound, or InvalidRequest where no reason is given.
    """
    if not reason.strip():
        raise errors.InvalidRequest(
            problems=(
                errors.FieldProblem("reason", "Phải ghi lý do thu hồi khoá.", "Say why the key is revoked."),
            )
        )
    try:
        before = await show(store, name)
    except errors.NotFound:
        async with store.transaction() as tx:
            await _note(
                tx,
                "keys.revoke",
                _shown(name),
                actor=actor,
                now=now,
                reason=reason,
                outcome=errors.NotFound.code,
            )
        raise
    table = tables.api_keys
    async with store.transaction() as tx:
        done = await tx.execute(
            table.update()
            .where(table.c.id == before.id, table.c.revoked_at.is_(None))
            .values(revoked_at=now, revoked_reason=reason.strip()[:500])
        )
        row = (await tx.execute(sa.select(table).where(table.c.id == before.id))).one()
        after = _from_row(row)
        await _note(
            tx,
            "keys.revoke",
            before.id,
            actor=actor,
            now=now,
            reason=reason,
            before=before.as_json(),
            after=after.as_json(),
            outcome="done" if done.rowcount else "unchanged",
        )
    return after


async def find(store: storage.Storage, digest: str) -> KeyRecord | None:
    """Look a key up by its digest, in one step; revoked and expired ones are found too."""
    async with store.reading() as conn:
        row = (
            await conn.execute(sa.select(tables.api_keys).where(tables.api_keys.c.digest == digest))
        ).one_or_none()
    if row is None or not crypto.is_same(row.digest, digest):
        return None
    return _from_row(row)


def _order_problems(
    order: Order, *, known: Collection[str], longest_days: int, now: datetime
) -> list[errors.FieldProblem]:
    found = []
    for name in ("organisation", "system", "custodian"):
        if not getattr(order, name).strip():
            found.append(errors.FieldProblem(name, f"Thiếu {name}.", f"{name} is missing."))
    for name, longest in _TEXT_LIMITS.items():
        if len(getattr(order, name)) > longest:
            found.append(
                errors.FieldProblem(
                    name,
                    f"{name} dài quá {longest} ký tự.",
                    f"{name} is longer than {longest} characters.",
                )
            )
    found += grants.problems(order.grants, known=known)
    found += limits.problems(order.limits)
    found += _expiry_problems(order.expires_at, longest_days=longest_days, now=now)
    return found


def _expiry_problems(expires_at: datetime, *, longest_days: int, now: datetime) -> list[errors.FieldProblem]:
    if expires_at <= now:
        return [
            errors.FieldProblem("expires", "Ngày hết hạn phải ở tương lai.", "The key must expire in the future.")
        ]
    if expires_at > now + timedelta(days=longest_days):
        return [
            errors.FieldProblem(
                "expires",
                f"Khoá không được cấp quá {longest_days} ngày.",
                f"A key cannot be issued for more than {longest_days} days.",
            )
        ]
    return []


def _shown(name: str) -> str:
    """Cut a whole key, pasted where its id belongs, down to the part that may be written."""
    return key_text.prefix(name) if name.startswith("lt_") else name


def _as_row(record: KeyRecord) -> dict[str, Any]:
    row = {column.name: getattr(record, column.name) for column in tables.api_keys.columns}
    return {**row, "grants": list(record.grants), "limits": list(record.limits)}


def _from_row(row: sa.Row[Any]) -> KeyRecord:
    facts = dict(row._mapping)
    return KeyRecord(**{**facts, "grants": tuple(facts["grants"]), "limits": tuple(facts["limits"])})


async def _note(
    tx: AsyncConnection,
    act: str,
    subject: str,
    *,
    actor: str,
    now: datetime,
    reason: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    outcome: str = "done",
) -> None:
    """Write down what a person did, or tried to do."""
    await tx.execute(
        tables.admin_acts.insert(),
        {
            "at": now,
            "actor": actor[:100],
            "act": act,
            "object": subject[:200],
            "reason": reason.strip()[:500],
            "before": before,
            "after": after,
            "outcome": outcome,
        },
    )
