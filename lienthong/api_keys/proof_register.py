"""What is registered for a key beside its secret: public keys, client certificates, and what its calls must prove.

Every change is an act, refused ones too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import changes, key_store, responses
from lienthong.core import clock, crypto, errors, journal, storage, tables

REMEMBERED_S = changes.REMEMBERED_S
MOST_REMEMBERED = 10_000
MOST_PER_KEY = 10
BY_CERTIFICATE, BY_PUBLIC_KEY = "certificate", "public-key"
KINDS = ("signature", "certificate", "token")
# What only who holds more than the key itself can show: a token is got with the key, and renewed with a token.
_POSSESSION = frozenset({"signature", "certificate"})
# Public keys of systems that assert which official asks; of no use for signing a request, nor the other way.
ASSERTION = "assertion"
_proofs, _rules = tables.key_proofs, tables.key_proof_rules
_ORDER = (_proofs.c.added_at, _proofs.c.id)


@dataclass(frozen=True, slots=True)
class Proof:
    """One thing registered for a key.

    `kind` is `signature` (then `algorithm` and `public_key` say how to verify; `id` is the keyid),
    `certificate` (then `algorithm` says whether the thumbprint is the certificate's or its public key's), or
    `password` (then `public_key` is the sealed password, which nobody is shown), or `assertion` (as `signature`,
    for the assertions of officials alone; `id` is their kid).
    """

    id: str
    key_id: str
    kind: str
    name: str
    algorithm: str
    public_key: str
    thumbprint: str
    valid_until: datetime | None
    added_at: datetime
    added_by: str

    def as_json(self) -> dict[str, Any]:
        """Give all that may be shown."""
        told = {
            part.name: value.isoformat() if isinstance(value := getattr(self, part.name), datetime) else value
            for part in fields(self)
        }
        return {**told, "public_key": ""} if self.kind == "password" else told


@dataclass(frozen=True, slots=True)
class Holding:
    """All that is registered for one key, and the alternatives of which each of its calls must meet one."""

    proofs: tuple[Proof, ...] = ()
    required: frozenset[str] = frozenset()

    def signer(self, name: str) -> crypto.PublicKey | None:
        """Give the public key registered under this keyid."""
        for proof in self.proofs:
            if proof.kind == "signature" and proof.id == name:
                return crypto.PublicKey(proof.algorithm, proof.public_key, proof.thumbprint)
        return None

    def has_certificate(self, found: crypto.Certificate) -> bool:
        """Whether this certificate, or its public key, is registered."""
        return any(
            crypto.is_same(
                proof.thumbprint,
                found.thumbprint if proof.algorithm == BY_CERTIFICATE else found.public_key_thumbprint,
            )
            for proof in self.proofs
            if proof.kind == "certificate"
        )

    def has(self, kind: str) -> bool:
        """Whether anything of this kind is registered; a token needs nothing."""
        return kind == "token" or any(proof.kind == kind for proof in self.proofs)


class Register:
    """Reads holdings, and remembers each while no act changed it: a removal holds everywhere within a second."""

    def __init__(self, store: storage.Storage, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._monotonic = monotonic
        self._changes = changes.Changes(store, monotonic=monotonic)
        self._known: dict[str, tuple[float, changes.Mark, Holding]] = {}
        self._reading = asyncio.Lock()

    async def of(self, key_id: str) -> Holding:
        """Give what is registered for a key. Raises StorageUnavailable."""
        mark = await self._changes.mark()
        found = self._fresh(key_id, mark)
        if found is not None:
            return found
        async with self._reading:
            found = self._fresh(key_id, mark)
            if found is not None:
                return found
            # Age and mark are from before the read: a removal during it is not remembered away.
            asked_at_s = self._monotonic()
            holding = await read(self._store, key_id)
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[key_id] = (asked_at_s, mark, holding)
            return holding

    def _fresh(self, key_id: str, mark: changes.Mark) -> Holding | None:
        known = self._known.get(key_id)
        if known is None or known[1] != mark or self._monotonic() - known[0] >= changes.REREAD_S:
            return None
        return known[2]


async def read(store: storage.Storage, key_id: str) -> Holding:
    """Read what is registered for a key now."""
    columns = [_proofs.c[part.name] for part in fields(Proof)]
    asked = sa.select(*columns).where(_proofs.c.key_id == key_id, _proofs.c.removed_at.is_(None))
    async with store.reading() as conn:
        rows = await conn.execute(asked.order_by(*_ORDER))
        proofs = tuple(Proof(**row._mapping) for row in rows)
        rule = (await conn.execute(sa.select(_rules.c.required).where(_rules.c.key_id == key_id))).scalar()
        wanted = frozenset[str](rule or ())
        if await responses.demands_proof(conn, key_id):
            wanted = both(wanted, _POSSESSION)
    return Holding(proofs, wanted)


def parts(alternative: str) -> frozenset[str]:
    """Give the kinds that an alternative asks for together."""
    return frozenset(alternative.split("+"))


def both(first: frozenset[str], second: frozenset[str]) -> frozenset[str]:
    """Combine two requirements: whoever meets the result meets each of them."""
    if not first or not second:
        return first or second
    made = {parts(one) | parts(other) for one in first for other in second}
    # Who must show a signature anyway need not be told of "a signature, or a signature and a certificate".
    return frozenset("+".join(sorted(one)) for one in made if not any(other < one for other in made))


_ASSERTING = (
    sa.select(*(_proofs.c[part.name] for part in fields(Proof)))
    .where(_proofs.c.key_id == sa.bindparam("key"), _proofs.c.kind == ASSERTION, _proofs.c.removed_at.is_(None))
    .order_by(*_ORDER)
)


async def asserting(conn: AsyncConnection, key_id: str) -> tuple[Proof, ...]:
    """Read which public keys may assert officials for a key, as it stands at this moment."""
    return tuple(Proof(*row) for row in await conn.execute(_ASSERTING, {"key": key_id}))


async def add_public_key(
    store: storage.Storage,
    name: str,
    encoded: bytes,
    *,
    label: str,
    reason: str,
    actor: str,
    now: datetime,
    kind: str = "signature",
) -> Proof:
    """Register a public key for signatures, or for assertions of officials. `name` is the id or prefix of the key.

    Raises NotFound, Conflict where it is registered already, InvalidRequest where it cannot be used.
    """
    try:
        read = crypto.read_assertion_key if kind == ASSERTION else crypto.read_public_key
        found = read(encoded)
    except ValueError:
        raise await _unusable(store, name, actor=actor, now=now, reason=reason, kind=kind) from None
    facts = {"kind": kind, "algorithm": found.algorithm, "public_key": found.pem}
    return await add(
        store, name, {**facts, "thumbprint": found.thumbprint, "name": label}, reason=reason, actor=actor, now=now
    )


async def add_certificate(
    store: storage.Storage,
    name: str,
    encoded: bytes,
    *,
    by_public_key: bool,
    label: str,
    reason: str,
    actor: str,
    now: datetime,
) -> Proof:
    """Register a client certificate, or with `by_public_key` every certificate that has its public key.

    Raises NotFound, Conflict where it is registered already, InvalidRequest where it cannot be used.
    """
    try:
        found = crypto.read_certificate(encoded)
    except ValueError:
        raise await _unusable(store, name, actor=actor, now=now, reason=reason, kind="certificate") from None
    facts = {
        "kind": "certificate",
        "algorithm": BY_PUBLIC_KEY if by_public_key else BY_CERTIFICATE,
        "thumbprint": found.public_key_thumbprint if by_public_key else found.thumbprint,
        "valid_until": None if by_public_key else found.valid_until,
        "name": label,
    }
    return await add(store, name, facts, reason=reason, actor=actor, now=now)


async def remove(store: storage.Storage, proof_id: str, *, reason: str, actor: str, now: datetime) -> Proof:
    """Take a registered proof away; holds everywhere within a second. What the key demands stays.

    Raises NotFound.
    """
    columns = [_proofs.c[part.name] for part in fields(Proof)]
    here = (_proofs.c.id == proof_id, _proofs.c.removed_at.is_(None))
    async with store.transaction() as tx:
        row = (await tx.execute(sa.select(*columns).where(*here))).one_or_none()
        if row is not None:
            proof = Proof(**row._mapping)
            await tx.execute(_proofs.update().where(*here).values(removed_at=now, removed_by=actor[:100]))
            await journal.write_act(
                tx, "keys.proof.remove", proof.key_id, actor=actor, now=now, reason=reason, before=proof.as_json()
            )
            return proof
        await journal.write_act(
            tx,
            "keys.proof.remove",
            proof_id[:36],
            actor=actor,
            now=now,
            reason=reason,
            outcome=errors.NotFound.code,
        )
    raise errors.NotFound(
        "No registered proof has this number; `keys proof list` shows those of a key.",
        detail_vi="Không có bằng chứng nào mang số này; xem bằng `keys proof list`.",
    )


async def require(
    store: storage.Storage, name: str, alternatives: Sequence[str], *, reason: str, actor: str, now: datetime
) -> frozenset[str]:
    """Set of which proofs every call with a key must carry one; none of them ends the demand.

    Raises NotFound, or InvalidRequest naming an alternative that is none.
    """
    key = await key_store.show(store, name)
    wrong = [text for text in alternatives if not set(text.split("+")) <= set(KINDS)]
    wanted = sorted({"+".join(sorted(set(text.split("+")))) for text in alternatives})
    async with store.transaction() as tx:
        before = (await tx.execute(sa.select(_rules.c.required).where(_rules.c.key_id == key.id))).scalar()
        if not wrong:
            await tx.execute(_rules.delete().where(_rules.c.key_id == key.id))
        if wanted and not wrong:
            await tx.execute(_rules.insert().values(key_id=key.id, required=wanted))
        await journal.write_act(
            tx,
            "keys.proof.require",
            key.id,
            actor=actor,
            now=now,
            reason=reason,
            before={"required": before or []},
            after=None if wrong else {"required": wanted},
            outcome=errors.InvalidRequest.code if wrong else "done",
        )
    if wrong:
        raise _wrong(
            "required",
            "Chỉ có signature, certificate và token; nối bằng dấu + khi cần cả hai, ví dụ signature+certificate.",
            "There are signature, certificate and token; join with + where both are needed: "
            "signature+certificate.",
        )
    return frozenset(wanted)


async def add(
    store: storage.Storage, name: str, facts: dict[str, Any], *, reason: str, actor: str, now: datetime
) -> Proof:
    """Register something for a key, as an act. Raises NotFound, or Conflict where it is there already."""
    key = await key_store.show(store, name)
    row = {"valid_until": None, "public_key": "", **facts, "id": clock.new_id(), "key_id": key.id}
    proof = Proof(**{**row, "name": str(row["name"]).strip()[:100], "added_at": now, "added_by": actor[:100]})
    async with store.transaction() as tx:
        asked = sa.select(_proofs.c.thumbprint).where(_proofs.c.key_id == key.id, _proofs.c.removed_at.is_(None))
        there = list((await tx.execute(asked)).scalars())
        is_refused = proof.thumbprint in there or len(there) >= MOST_PER_KEY
        if not is_refused:
            columns = {part.name: getattr(proof, part.name) for part in fields(proof)}
            await tx.execute(_proofs.insert().values(**columns))
        await journal.write_act(
            tx,
            "keys.proof.add",
            key.id,
            actor=actor,
            now=now,
            reason=reason,
            after=proof.as_json(),
            outcome=errors.Conflict.code if is_refused else "done",
        )
    if is_refused:
        raise errors.Conflict(
            f"This is registered for the key already, or the key has {MOST_PER_KEY} proofs; remove one first.",
            detail_vi=f"Đã đăng ký cho khoá này rồi, hoặc khoá đã có {MOST_PER_KEY} bằng chứng; hãy gỡ bớt trước.",
        )
    return proof


async def _unusable(
    store: storage.Storage, name: str, *, actor: str, now: datetime, reason: str, kind: str
) -> errors.InvalidRequest:
    """Write the refused act down, and give the error to raise."""
    key = await key_store.show(store, name)
    async with store.transaction() as tx:
        await journal.write_act(
            tx,
            "keys.proof.add",
            key.id,
            actor=actor,
            now=now,
            reason=reason,
            after={"kind": kind},
            outcome=errors.InvalidRequest.code,
        )
    if kind == "certificate":
        return _wrong(
            "certificate",
            "Tệp này không phải là một chứng thư PEM hoặc DER.",
            "This file is no certificate in PEM or DER.",
        )
    if kind == ASSERTION:
        return _wrong(
            "public_key",
            "Cần khoá CÔNG KHAI dạng PEM (-----BEGIN PUBLIC KEY-----) hoặc JWK, loại Ed25519, ECDSA P-256 hoặc "
            "RSA từ 2048 bit. Không gửi khoá riêng cho ai.",
            "A PUBLIC key in PEM (-----BEGIN PUBLIC KEY-----) or JWK is needed: Ed25519, ECDSA P-256, or RSA of "
            "at least 2048 bits. Give the private key to nobody.",
        )
    return _wrong(
        "public_key",
        "Cần khoá CÔNG KHAI dạng PEM (-----BEGIN PUBLIC KEY-----), loại Ed25519 hoặc ECDSA P-256. Không gửi "
        "khoá riêng cho ai.",
        "A PUBLIC key in PEM is needed (-----BEGIN PUBLIC KEY-----), Ed25519 or ECDSA P-256. Give the "
        "private key to nobody.",
    )


def _wrong(field: str, vi: str, en: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(problems=(errors.FieldProblem(field, vi, en),))
