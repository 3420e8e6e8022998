"""Passwords for the digest form of a WS-Security UsernameToken.

The hub keeps only a keyed digest of an API key, from which no PasswordDigest can be checked. Whoever needs that
form gets a password of its own for the key, sealed by the vault and shown once.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from lienthong.api_keys import proof_register
from lienthong.core import crypto, errors, storage, tables

KIND = "password"
_PURPOSE = "soap_password"
_MOST_REMEMBERED = 10_000
_generations = tables.key_generations


@dataclass(frozen=True, slots=True)
class Holder:
    """Which key a user name means: its id, and the digest by which the gate finds the generation."""

    key_id: str
    digest: str


async def add(
    store: storage.Storage,
    vault: crypto.Vault,
    name: str,
    *,
    label: str,
    reason: str,
    actor: str,
    now: datetime,
) -> tuple[proof_register.Proof, str]:
    """Make a password for a key; it is in this answer and nowhere else in clear. Raises NotFound, Conflict."""
    password = base64.urlsafe_b64encode(crypto.random_token()).rstrip(b"=").decode("ascii")
    sealed = vault.seal(password.encode(), purpose=_PURPOSE)
    facts = {
        "kind": KIND,
        "algorithm": "password-digest",
        "public_key": base64.b64encode(sealed).decode("ascii"),
        "thumbprint": vault.digest(password.encode(), purpose=_PURPOSE),
        "name": label,
    }
    made = await proof_register.add(store, name, facts, reason=reason, actor=actor, now=now)
    return made, password


def digest_of(password: str, *, nonce: bytes, created: str) -> str:
    """Give the PasswordDigest of a nonce and a time (Web Services Security UsernameToken Profile 1.1, §3.1)."""
    # The standard's own; the secret has 256 bits, so that SHA-1 gives nothing away.
    made = hashlib.sha1(nonce + created.encode() + password.encode(), usedforsecurity=False)
    return base64.b64encode(made.digest()).decode("ascii")


class Passwords:
    """Finds the holder of a user name, and checks the digest of a password of its key."""

    def __init__(
        self,
        store: storage.Storage,
        vault: crypto.Vault,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._vault = vault
        self._register = proof_register.Register(store, monotonic=monotonic)
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, Holder | None]] = {}

    async def holder(self, username: str) -> Holder | None:
        """Give the key that a user name means: its id, or the prefix of one of its generations."""
        known = self._known.get(username)
        if known is not None and self._monotonic() - known[0] < proof_register.REMEMBERED_S:
            return known[1]
        asked_at_s = self._monotonic()
        found = await self._read(username)
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[username] = (asked_at_s, found)
        return found

    async def is_right(self, holder: Holder, given: str, *, nonce: bytes, created: str) -> bool:
        """Whether a digest is that of a password registered for the key."""
        right = False
        for proof in (await self._register.of(holder.key_id)).proofs:
            if proof.kind == KIND:
                sealed = base64.b64decode(proof.public_key)
                password = self._vault.open(sealed, purpose=_PURPOSE).decode()
                right |= crypto.is_same(digest_of(password, nonce=nonce, created=created), given)
        return right

    async def _read(self, username: str) -> Holder | None:
        table = _generations
        asked = sa.select(table.c.key_id, table.c.digest, table.c.prefix, table.c.ends_at).where(
            sa.or_(table.c.prefix == username, table.c.key_id == username)
        )
        async with self._store.reading() as conn:
            rows = (await conn.execute(asked.order_by(table.c.number.desc()))).all()
        if len({row.key_id for row in rows}) != 1:
            return None
        # An id means the newest generation; a prefix its own, also where that one has ended.
        row = rows[0]
        return Holder(row.key_id, row.digest)


def rejected(reason: str) -> errors.KeyRejected:
    """Refuse a UsernameToken: the same words whatever is wrong with it; why is for the journal."""
    return errors.KeyRejected(
        "The UsernameToken is not valid. Username is the first 14 characters of the API key (or its id); "
        "Password is the key itself (PasswordText), or the digest of the SOAP password registered for it "
        "(PasswordDigest).",
        detail_vi="UsernameToken không hợp lệ. Username là 14 ký tự đầu của khoá API (hoặc mã của khoá); "
        "Password là chính khoá đó (PasswordText), hoặc giá trị băm của mật khẩu SOAP đã đăng ký cho khoá "
        "(PasswordDigest).",
        reason=reason,
    )
