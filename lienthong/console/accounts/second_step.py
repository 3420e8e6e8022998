"""The second step of a sign-in: codes by time (TOTP, RFC 6238) and recovery codes, each of them good once."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyotp
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import acts
from lienthong.console.accounts import register
from lienthong.core import crypto, errors, storage, tables

SEAL = "desk-totp"
_RECOVERY = "desk-recovery"
_STEP_S = 30
_a = tables.accounts


@dataclass(frozen=True, slots=True)
class Begun:
    """A new secret that is not in force yet: the text for an authenticator, and what is typed by hand."""

    secret: str
    address: str


def begin(name: str, issuer: str) -> Begun:
    """Make a new secret; it comes into force with the first right code."""
    secret = pyotp.random_base32()
    return Begun(secret, pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=issuer or "Lien thong"))


def is_code_of(secret: str, code: str, *, now: datetime) -> int | None:
    """Give the time step that a code belongs to, one to each side of now; nothing where it is of none."""
    plain, totp = code.replace(" ", ""), pyotp.TOTP(secret)
    step = int(now.timestamp()) // _STEP_S
    found = None
    for near in (step - 1, step, step + 1):
        if crypto.is_same(totp.generate_otp(near), plain):
            found = near
    return found


async def set_up(
    store: storage.Storage, vault: crypto.Vault, name: str, *, secret: str, code: str, act: acts.Act
) -> list[str]:
    """Put a secret in force that its owner proved with a code; gives ten recovery codes, shown once."""
    step = is_code_of(secret, code, now=act.now)
    codes = [_recovery_code() for _ in range(10)]

    async def decide(_tx: AsyncConnection, _held: register.Account) -> dict[str, Any]:
        if step is None:
            vi = "Mã không đúng; hãy xem lại giờ của điện thoại."
            en = "The code is not right; look at the clock of the telephone."
            raise errors.InvalidRequest(problems=(errors.FieldProblem("code", vi, en),))
        return {
            "totp_secret": vault.seal(secret.encode(), purpose=SEAL),
            "totp_step": step,
            "recovery": [_digest(vault, each) for each in codes],
        }

    await register.changed(store, name, decide, act=act)
    return codes


async def take_away(store: storage.Storage, name: str, *, act: acts.Act) -> register.Account:
    """Take the second step away, for somebody who lost the telephone and the recovery codes. Raises Conflict."""

    async def decide(_tx: AsyncConnection, held: register.Account) -> dict[str, Any]:
        if not held.has_second_step:
            raise errors.Conflict(
                "this account has no second step", detail_vi="Tài khoản này không có bước hai để bỏ."
            )
        return {"totp_secret": None, "totp_step": 0, "recovery": []}

    return await register.changed(store, name, decide, act=act)


async def take(
    store: storage.Storage, vault: crypto.Vault, row: dict[str, Any], code: str, *, now: datetime
) -> bool:
    """Use a code up: true once for each, whichever process is asked. `row` is the account as it was read."""
    secret = vault.open(row["totp_secret"], purpose=SEAL).decode()
    step = is_code_of(secret, code, now=now)
    async with store.transaction() as tx:
        if step is not None:
            used = await tx.execute(
                _a.update().where(_a.c.id == row["id"], _a.c.totp_step < step).values(totp_step=step)
            )
            return bool(used.rowcount)
        return await _take_recovery(tx, vault, row["id"], code)


async def _take_recovery(tx: AsyncConnection, vault: crypto.Vault, account_id: str, code: str) -> bool:
    wanted = sa.select(_a.c.recovery).where(_a.c.id == account_id).with_for_update()
    held = list((await tx.execute(wanted)).scalar_one())
    digest = _digest(vault, code)
    if digest not in held:
        return False
    held.remove(digest)
    await tx.execute(_a.update().where(_a.c.id == account_id).values(recovery=held))
    return True


def _recovery_code() -> str:
    text = base64.b32encode(crypto.random_token(10)).decode().lower()
    return "-".join(text[at : at + 4] for at in range(0, 16, 4))


def _digest(vault: crypto.Vault, code: str) -> str:
    plain = "".join(letter for letter in code.lower() if letter.isalnum())
    return vault.digest(plain.encode(), purpose=_RECOVERY)
