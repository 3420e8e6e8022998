"""The two ceremonies of passkeys (WebAuthn Level 3, §7.1 and §7.2): making one, and signing in with one.

A challenge carries its own proof: who it is for, what for, until when, under a keyed digest. So asking for one
writes nothing; one that was answered rightly is written down and never taken again. fido2 is used here alone.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import NoneType
from typing import Any, Literal, TypeVar

import orjson
import sqlalchemy as sa
from fido2 import cbor, cose, webauthn
from fido2.server import Fido2Server
from fido2.utils import websafe_decode, websafe_encode
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import acts
from lienthong.bus import events
from lienthong.bus.hub import Hub
from lienthong.console.accounts import passkeys, register
from lienthong.core import clock, crypto, errors, storage, tables

Purpose = Literal["make", "sign-in"]
LASTS = timedelta(minutes=5)
COPIED = "accounts.passkey_copied"
_LONGEST_ANSWER = 20_000
_BYTES = ("clientDataJSON", "authenticatorData", "signature", "userHandle", "attestationObject")
_NONCE, _STAMP, _MAC = 16, 4, 32
# What every authenticator speaks: ES256, EdDSA, RS256 (Windows Hello on older machines).
_ALGORITHMS = (cose.ES256.ALGORITHM, cose.EdDSA.ALGORITHM, cose.RS256.ALGORITHM)
_REQUIRED = webauthn.UserVerificationRequirement.REQUIRED
# What reading an answer can raise: it is whatever somebody posts. RecursionError: CBOR nested without end.
_UNREADABLE = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError, struct.error, NotImplementedError,
    RecursionError,
)  # fmt: skip
_p, _c, _a = tables.passkeys, tables.passkey_challenges, tables.accounts
T = TypeVar("T")
# It tells of every ceremony; the trail does that here.
logging.getLogger("fido2").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a browser sent back, read but not believed yet; `known_as` is what limits of tries go by."""

    told: dict[str, Any]
    credential_id: bytes
    challenge: bytes

    @property
    def known_as(self) -> str:
        """Name the passkey that it claims to be of."""
        return f"passkey {websafe_encode(self.credential_id)}"


def making_options(hub: Hub, account: register.Account, held: list[bytes], *, bound: str) -> dict[str, Any]:
    """Give what the browser needs to make a passkey that is none of those held; for this session, for minutes."""
    user = webauthn.PublicKeyCredentialUserEntity(
        id=account.id.encode(), name=account.name, display_name=account.full_name
    )
    others = [
        webauthn.PublicKeyCredentialDescriptor(type=webauthn.PublicKeyCredentialType.PUBLIC_KEY, id=each)
        for each in held
    ]
    options, _ = _server(hub).register_begin(
        user,
        others,
        resident_key_requirement=webauthn.ResidentKeyRequirement.REQUIRED,
        user_verification=_REQUIRED,
        challenge=_challenge(hub, "make", bound),
    )
    return dict(options)


def sign_in_options(hub: Hub, *, bound: str) -> dict[str, Any]:
    """Give what the browser needs to find a passkey of ours: no name is asked for, so none can be tried out."""
    options, _ = _server(hub).authenticate_begin(
        user_verification=_REQUIRED, challenge=_challenge(hub, "sign-in", bound)
    )
    return dict(options)


def read(text: str) -> Answer:
    """Read what a browser posts. Raises InvalidRequest."""

    def parse() -> Answer:
        if len(text) > _LONGEST_ANSWER:
            raise ValueError("too long")
        told = orjson.loads(text)
        for value in (told["rawId"], *(told["response"].get(name) for name in _BYTES)):
            if not isinstance(value, (str, NoneType)):  # of a number it would make as many bytes
                raise TypeError("bytes are posted as text")
        raw = websafe_decode(told["rawId"])
        data = webauthn.CollectedClientData(websafe_decode(told["response"]["clientDataJSON"]))
        if data.cross_origin:
            raise ValueError("asked for inside another site's page")
        return Answer(told, raw, data.challenge)

    return _believed(parse)


async def make(
    hub: Hub, account: register.Account, answer: Answer, *, name: str, bound: str, act: acts.Act
) -> passkeys.Passkey:
    """Keep a new passkey of a person who is signed in. Raises InvalidRequest, Conflict."""
    async with acts.recorded(hub.storage, act, account.id):
        told = passkeys.sound_name(name)
        _must_be_asked_for(hub, "make", bound, answer)
        state = {"challenge": websafe_encode(answer.challenge), "user_verification": _REQUIRED}
        data = _believed(lambda: _server(hub).register_complete(state, answer.told))
        credential = data.credential_data
        if credential is None or credential.public_key.get(3) not in _ALGORITHMS:
            raise _not_right()
        made = passkeys.Passkey(clock.new_id(), told, data.is_backup_eligible(), act.now, None)
        async with hub.storage.transaction() as tx:
            await passkeys.lock(tx, account.id)
            await _spend(hub, tx, answer, now=act.now)
            await _must_have_room(tx, account.id, credential.credential_id)
            await tx.execute(
                _p.insert().values(
                    id=made.id,
                    account_id=account.id,
                    credential_id=credential.credential_id,
                    public_key=cbor.encode(dict(credential.public_key)),
                    counter=data.counter,
                    is_synced=made.is_synced,
                    name=told,
                    created_at=act.now,
                )
            )
            after = {"name": told, "is_synced": made.is_synced}
            await register.note(tx, act, account.id, after=after)
    return made


async def whose(hub: Hub, answer: Answer, *, bound: str, now: datetime) -> dict[str, Any]:
    """Find the account that proves itself with this answer.

    Raises InvalidRequest: the same for a passkey that nobody has, one that is shut, and one that was copied.
    """
    _must_be_asked_for(hub, "sign-in", bound, answer)
    async with hub.storage.reading() as conn:
        held = await storage.first(conn, sa.select(_p).where(_p.c.credential_id == answer.credential_id))
        row = held and await storage.first(conn, sa.select(_a).where(_a.c.id == held["account_id"]))
    if not held or not row or row["state"] != "active":
        raise _not_right()
    counter = _believed(lambda: _counter(hub, held, answer))
    async with hub.storage.transaction() as tx:
        await _spend(hub, tx, answer, now=now)
        is_next = counter > held["counter"] or counter == held["counter"] == 0
        if is_next:
            # Only from the count that was read: of two answers at once with the same one, one is a copy's.
            same = sa.and_(_p.c.id == held["id"], _p.c.counter == held["counter"])
            done = await tx.execute(_p.update().where(same).values(counter=counter, last_used_at=now))
            is_next = bool(done.rowcount)
        if not is_next:
            facts = {"passkey": held["id"], "counter": counter, "expected_over": held["counter"]}
            facts["account"] = row["name"]
            await events.put(tx, COPIED, row["id"], facts, now=now)
    if not is_next:
        raise _not_right()
    return row


def _counter(hub: Hub, held: dict[str, Any], answer: Answer) -> int:
    """Verify the signature and give the authenticator's count. Raises ValueError and others of `_UNREADABLE`."""
    key = cose.CoseKey.parse(cbor.decode(held["public_key"]))  # type: ignore[arg-type]
    credential = webauthn.AttestedCredentialData.create(webauthn.Aaguid.NONE, held["credential_id"], key)
    state = {"challenge": websafe_encode(answer.challenge), "user_verification": _REQUIRED}
    response = webauthn.AuthenticationResponse.from_dict(answer.told)
    _server(hub).authenticate_complete(state, [credential], response)
    if response.response.user_handle != held["account_id"].encode():
        raise ValueError("the passkey was made for another account")
    return response.response.authenticator_data.counter


def _server(hub: Hub) -> Fido2Server:
    """Make the library's server for the domain and the one origin that are set, whatever a request calls us."""
    chosen = hub.settings.console
    if not chosen.passkey_domain:
        raise errors.NotFound()
    name = hub.settings.agency.name or "Liên thông"
    entity = webauthn.PublicKeyCredentialRpEntity(id=chosen.passkey_domain, name=name)
    server = Fido2Server(
        entity,
        attestation=webauthn.AttestationConveyancePreference.NONE,
        verify_origin=lambda origin: origin == chosen.public_url,
    )
    server.timeout = int(LASTS.total_seconds() * 1000)  # type: ignore[assignment]
    kind = webauthn.PublicKeyCredentialType.PUBLIC_KEY
    server.allowed_algorithms = [webauthn.PublicKeyCredentialParameters(type=kind, alg=alg) for alg in _ALGORITHMS]
    return server


# ----------------------------------------------------------------------------------------------------- challenges


def _challenge(hub: Hub, purpose: Purpose, bound: str) -> bytes:
    ends = int((hub.now() + LASTS).timestamp())
    begun = crypto.random_token(_NONCE) + struct.pack(">I", ends)
    return begun + _mac(hub, purpose, bound, begun)


def _mac(hub: Hub, purpose: Purpose, bound: str, begun: bytes) -> bytes:
    told = f"{purpose}\0{bound}\0".encode() + begun
    return bytes.fromhex(hub.vault.digest(told, purpose="desk-passkey-challenge"))


def _must_be_asked_for(hub: Hub, purpose: Purpose, bound: str, answer: Answer) -> None:
    """Insist on a challenge of ours, for this page's session and not too old. Raises InvalidRequest."""
    begun, mac = answer.challenge[: _NONCE + _STAMP], answer.challenge[_NONCE + _STAMP :]
    is_ours = len(mac) == _MAC and crypto.is_same(mac.hex(), _mac(hub, purpose, bound, begun).hex())
    if not is_ours or struct.unpack(">I", begun[_NONCE:])[0] < hub.now().timestamp():
        raise _too_late()


async def _spend(hub: Hub, tx: AsyncConnection, answer: Answer, *, now: datetime) -> None:
    """Write a challenge down as answered, forget those that have ended. Raises InvalidRequest if it was before."""
    await tx.execute(_c.delete().where(_c.c.ends_at < now))
    digest = hub.vault.digest(answer.challenge, purpose="desk-passkey-spent")
    row = hub.storage.insert(_c).values(digest=digest, ends_at=now + LASTS * 2)
    if not (await tx.execute(row.on_conflict_do_nothing().returning(_c.c.digest))).first():
        raise _too_late()


async def _must_have_room(tx: AsyncConnection, account_id: str, credential_id: bytes) -> None:
    if await storage.first(tx, sa.select(_p.c.id).where(_p.c.credential_id == credential_id)):
        raise errors.Conflict("this passkey is here already", detail_vi="Passkey này đã được đăng ký.")
    if len(await storage.every(tx, passkeys.of_account(account_id))) >= passkeys.MOST:
        raise errors.Conflict(
            f"at most {passkeys.MOST} passkeys are kept", detail_vi=f"Chỉ giữ nhiều nhất {passkeys.MOST} passkey."
        )


def _believed(work: Callable[[], T]) -> T:
    try:
        return work()
    except _UNREADABLE as exc:
        raise _not_right() from exc


def _not_right() -> errors.InvalidRequest:
    return errors.InvalidRequest(
        "this passkey is not known here, or could not be verified",
        detail_vi="Passkey này chưa được đăng ký ở đây, hoặc không xác minh được.",
    )


def _too_late() -> errors.InvalidRequest:
    return errors.InvalidRequest(
        "the answer came too late, or was sent before; try again",
        detail_vi="Trả lời đến quá muộn hoặc đã được gửi trước đó; hãy thử lại.",
    )
