"""The register of officials (cán bộ) who may ask about people: who, of which unit, until when."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal, get_args

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.core import crypto, storage, tables

State = Literal["in_force", "not_yet", "expired", "revoked", "replaced"]
STATES: tuple[State, ...] = get_args(State)
EVERY_PROCEDURE = "*"
LONGEST_NAME = 100
PURPOSE = "official"
SEALED = ("full_name", "phone", "email", "position")
_o = tables.officials
_NEWEST = (_o.c.ended_at.is_not(None), _o.c.registered_at.desc(), _o.c.ended_at.desc(), _o.c.id.desc())


@dataclass(frozen=True, slots=True)
class Official:
    """One holder of an account. `code` is issued by the population database's owner.

    `procedures` are codes, beginnings such as `1.00*`, or `*` where every procedure was said explicitly.
    """

    id: str
    code: str
    account: str
    unit_code: str
    unit_name: str
    procedures: tuple[str, ...]
    valid_from: datetime
    valid_until: datetime
    ended_at: datetime | None
    replaced_by: str | None
    full_name: str = field(repr=False)
    phone: str = field(repr=False)
    email: str = field(repr=False)
    position: str = field(repr=False)
    registered_at: datetime
    registered_by: str
    changed_at: datetime
    ended_by: str | None
    ended_reason: str | None
    last_used_at: datetime | None

    def state(self, now: datetime) -> State:
        """Say what the registration is worth now."""
        if self.replaced_by is not None:
            return "replaced"
        if self.ended_at is not None:
            return "revoked"
        if now < self.valid_from:
            return "not_yet"
        return "in_force" if now < self.valid_until else "expired"

    def may_ask_for(self, procedure_code: str) -> bool:
        """Whether the official is registered for a procedure; a code that is not known is nobody's."""
        return bool(procedure_code) and any(
            procedure_code.startswith(said[:-1]) if said.endswith("*") else procedure_code == said
            for said in self.procedures
        )

    def as_json(self, now: datetime) -> dict[str, Any]:
        """Give what may be shown: telephone and mail only as far as they are recognised by who knows them."""
        told = {
            part.name: value.isoformat() if isinstance(value := getattr(self, part.name), datetime) else value
            for part in fields(self)
        }
        masked = {"phone": masked_phone(self.phone), "email": masked_email(self.email)}
        return {**told, **masked, "procedures": list(self.procedures), "state": self.state(now)}

    def as_act(self) -> dict[str, Any]:
        """Give what the record of an act holds: nothing of the sealed part."""
        return {
            "code": self.code,
            "account": self.account,
            "unit_code": self.unit_code,
            "unit_name": self.unit_name,
            "procedures": list(self.procedures),
            "valid_from": self.valid_from.isoformat(),
            "valid_until": self.valid_until.isoformat(),
            "ended_at": self.ended_at.isoformat() if self.ended_at else None,
            "replaced_by": self.replaced_by,
        }


_PLAIN = tuple(part.name for part in fields(Official) if part.name not in (*SEALED, "procedures"))


async def find(store: storage.Storage, vault: crypto.Vault, name: str) -> Official | None:
    """Find an official by code or account: who is in force, else who was last, so that a refusal can explain.

    Read from the database at every question: what is revoked here is revoked everywhere with the next one.
    """
    async with store.reading() as conn:
        return await find_by(conn, vault, name)


async def find_by(conn: AsyncConnection, vault: crypto.Vault, name: str) -> Official | None:
    """As `find`, over a connection that is there: inside the transaction that leans on the official."""
    if not _may_be_a_name(name):
        return None
    row = await storage.first(conn, _NAMED, {"name": name})
    return None if row is None else opened(row, vault)


async def read_for_change(tx: AsyncConnection, vault: crypto.Vault, name: str) -> Official | None:
    """As `find`, inside the transaction that is about to change the register. Takes an id, too."""
    if not _may_be_a_name(name):
        return None
    row = await storage.first(tx, _named(name, by_id=True).limit(1))
    return None if row is None else opened(row, vault)


async def history(store: storage.Storage, vault: crypto.Vault, name: str) -> list[Official]:
    """Give everybody who ever held the code or the account, the holder of today first."""
    if not _may_be_a_name(name):
        return []
    async with store.reading() as conn:
        newest = await storage.first(conn, _named(name, by_id=True).limit(1))
        if newest is None:
            return []
        same = (_o.c.code == newest["code"]) | (_o.c.account == newest["account"])
        before = _o.c.replaced_by == newest["id"]
        after = _o.c.id == newest["replaced_by"]
        rows = await storage.every(conn, sa.select(_o).where(same | before | after).order_by(*_NEWEST))
    return [opened(row, vault) for row in rows]


async def listed(
    store: storage.Storage,
    vault: crypto.Vault,
    *,
    now: datetime,
    states: Collection[State] = STATES,
    unit: str | None = None,
) -> list[Official]:
    """Give the registered officials by unit and code; `unit` takes its parts along."""
    asked = sa.select(_o).order_by(_o.c.unit_code, _o.c.code, *_NEWEST)
    if unit is not None:
        asked = asked.where((_o.c.unit_code == unit) | _o.c.unit_code.startswith(f"{unit}.", autoescape=True))
    async with store.reading() as conn:
        rows = await storage.every(conn, asked)
    return [found for row in rows if (found := opened(row, vault)).state(now) in states]


def opened(row: Mapping[str, Any], vault: crypto.Vault) -> Official:
    """Read a row, its sealed part too."""
    held = orjson.loads(vault.open(row["record"], purpose=PURPOSE))
    return Official(
        **{name: row[name] for name in _PLAIN},
        procedures=tuple(row["procedures"]),
        **{name: held.get(name, "") for name in SEALED},
    )


def sealed(vault: crypto.Vault, parts: Mapping[str, str]) -> bytes:
    """Seal what nobody reads but through this register."""
    return vault.seal(orjson.dumps({name: parts[name] for name in SEALED}), purpose=PURPOSE)


def masked_phone(phone: str) -> str:
    """Keep the last three digits of a telephone number."""
    return "•" * max(0, len(phone) - 3) + phone[-3:] if len(phone) > 3 else "•" * len(phone)


def masked_email(email: str) -> str:
    """Keep the first letter of a mail address, and its host."""
    name, at, host = email.partition("@")
    return f"{name[:1]}•••{at}{host}" if email else ""


def _named(name: str, *, by_id: bool = False) -> sa.Select[Any]:
    # A code goes before an account; the register lets nobody take another's code for an account (official_acts).
    here = (_o.c.code == name) | (_o.c.account == name)
    if by_id:
        here = here | (_o.c.id == name)
    return sa.select(_o).where(here).order_by(_o.c.ended_at.is_not(None), _o.c.code != name, *_NEWEST)


# Made once: it is asked at every question.
_NAMED = (
    sa.select(_o)
    .where((_o.c.code == sa.bindparam("name")) | (_o.c.account == sa.bindparam("name")))
    .order_by(_o.c.ended_at.is_not(None), _o.c.code != sa.bindparam("name"), *_NEWEST)
    .limit(1)
)


def _may_be_a_name(name: str) -> bool:
    # NUL and halves of surrogate pairs are errors to a database, not names that nobody has.
    return 0 < len(name) <= LONGEST_NAME and name.isprintable()
