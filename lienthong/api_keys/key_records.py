"""What a key is: what it was asked for, how it is kept, what it is worth now, and the caller that flows see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal

from lienthong.api_keys import grants

State = Literal["pending", "active", "suspended", "lapsed", "expired", "revoked"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling: one system of one organisation, and what it may do."""

    key_id: str
    prefix: str
    organisation: str
    system: str
    grants: frozenset[str]
    environment: str
    generation: int = 1
    field_groups: frozenset[str] = frozenset()

    def may(self, operation: str) -> bool:
        """Whether the key was granted this operation or extra right; `all` grants everything."""
        return grants.is_granted(self.grants, operation)

    def may_reach(self, service: str, path: str) -> bool:
        """Whether the key was granted a published service at this path."""
        return grants.may_reach(self.grants, service, path)


@dataclass(frozen=True, slots=True)
class Order:
    """What a key is asked for: for whom, for what, how much and until when.

    `addresses` and `hours` say from where and when it may be used; empty is everywhere and always.
    """

    organisation: str
    system: str
    custodian: str
    grants: Sequence[str]
    limits: Sequence[str]
    expires_at: datetime
    contact: str = ""
    purpose: str = ""
    decision_number: str = ""
    addresses: Sequence[str] = ()
    hours: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Generation:
    """One secret of a key. Rotation makes the next one; the one before ends when its overlap is over."""

    key_id: str
    number: int
    prefix: str
    digest: str = field(repr=False)
    made_at: datetime
    made_by: str
    ends_at: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether this secret is worth nothing any more, though the key may be."""
        return self.ends_at is not None and now >= self.ends_at

    def as_json(self, now: datetime) -> dict[str, Any]:
        """Give what may be shown; never the digest."""
        return {
            "number": self.number,
            "prefix": self.prefix,
            "made_at": self.made_at.isoformat(),
            "made_by": self.made_by,
            "ends_at": self.ends_at.isoformat() if self.ends_at else None,
            "is_over": self.is_over(now),
        }


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key as the hub keeps it. Its id stays for life; `prefix` is the newest generation's.

    `expiry_told` and `confirm_told` are the last reminders given, in days before the day; 0 is the day itself.
    """

    id: str
    prefix: str
    environment: str
    organisation: str
    system: str
    custodian: str
    contact: str
    purpose: str
    decision_number: str
    grants: tuple[str, ...]
    limits: tuple[str, ...]
    addresses: tuple[str, ...]
    hours: tuple[str, ...]
    issued_at: datetime
    issued_by: str
    expires_at: datetime
    confirm_by: datetime
    approved_at: datetime | None = None
    approved_by: str | None = None
    confirmed_at: datetime | None = None
    confirmed_by: str | None = None
    suspended_at: datetime | None = None
    suspended_reason: str | None = None
    revoked_at: datetime | None = None
    revoked_reason: str | None = None
    expiry_told: int | None = None
    confirm_told: int | None = None

    def state(self, now: datetime) -> State:
        """Say what the key is worth now. `lapsed`: nobody confirmed it in time, which `confirm` mends."""
        if self.revoked_at is not None:
            return "revoked"
        if now >= self.expires_at:
            return "expired"
        if self.approved_at is None:
            return "pending"
        if self.suspended_at is not None:
            return "suspended"
        return "lapsed" if now >= self.confirm_by else "active"

    def caller(self, generation: Generation) -> Caller:
        """Give the key as flows see it; its prefix is the one of the secret that was presented."""
        return Caller(
            self.id,
            generation.prefix,
            self.organisation,
            self.system,
            frozenset(self.grants),
            self.environment,
            generation.number,
            grants.field_groups(self.grants),
        )

    def as_json(self) -> dict[str, Any]:
        """Give all that may be shown or written down."""
        return {name: _plain(getattr(self, name)) for name in _SHOWN}

    def as_act(self) -> dict[str, Any]:
        """Give what the record of acts keeps of a key: no person's name, for that record is never altered."""
        return {name: value for name, value in self.as_json().items() if name not in _PERSONAL}


_PERSONAL = frozenset({"custodian", "contact"})
_SHOWN = tuple(part.name for part in fields(KeyRecord) if not part.name.endswith("_told"))


@dataclass(frozen=True, slots=True)
class Issued:
    """A new key, or a new generation of one; `key` exists only here and is shown once."""

    key: str = field(repr=False)
    record: KeyRecord
    generation: int = 1

    def as_json(self, now: datetime) -> dict[str, Any]:
        """Give what `lienthong keys issue --json` prints."""
        record = self.record.as_json()
        shown = ("id", "prefix", "grants", "limits", "expires_at")
        told = {name: record[name] for name in shown}
        return {"key": self.key, **told, "generation": self.generation, "state": self.record.state(now)}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value
