"""The register of officials (cán bộ) who may ask about people: who, of which unit, until when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import orjson
import sqlalchemy as sa

from lienthong.core import crypto, storage, tables

State = Literal["in_force", "not_yet", "expired", "revoked", "replaced"]
EVERY_PROCEDURE = "*"
PURPOSE = "official"
_o = tables.officials


@dataclass(frozen=True, slots=True)
class Official:
    """One holder of an account. `code` is issued by the population database's owner (MaCanBo).

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
        """Whether the official is registered for a procedure."""
        return any(
            procedure_code.startswith(said[:-1]) if said.endswith("*") else procedure_code == said
            for said in self.procedures
        )


async def find(store: storage.Storage, vault: crypto.Vault, name: str) -> Official | None:
    """Find an official by code or account: who is in force, else who was last, so that a refusal can explain."""
    asked = (
        sa.select(_o)
        .where((_o.c.code == name) | (_o.c.account == name))
        .order_by(_o.c.ended_at.is_not(None), _o.c.registered_at.desc())
        .limit(1)
    )
    async with store.reading() as conn:
        row = await storage.first(conn, asked)
    return None if row is None else opened(row, vault)


def opened(row: Mapping[str, Any], vault: crypto.Vault) -> Official:
    """Read a row, its sealed part too."""
    held = orjson.loads(vault.open(row["record"], purpose=PURPOSE))
    named = (
        "id",
        "code",
        "account",
        "unit_code",
        "unit_name",
        "valid_from",
        "valid_until",
        "ended_at",
        "replaced_by",
    )
    return Official(
        **{name: row[name] for name in named},
        procedures=tuple(row["procedures"]),
        **{name: held.get(name, "") for name in ("full_name", "phone", "email", "position")},
    )
