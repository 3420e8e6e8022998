"""The trial's official: known to hub and sandbox alike, with a key that signs the assertions of the demo."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path

from lienthong.api_keys import (
    assertions,
    key_text,
    official_acts,
    official_entries,
    officials,
    proof_register,
    tokens,
)
from lienthong.bus import hub as hubs
from lienthong.core import clock, crypto

# Invented; the sandbox's population database knows the same official (its README).
CODE, ACCOUNT, PHONE = "CB000204", "cb000204", "0900000204"
UNIT, UNIT_NAME = "000.00.00.H38", "UBND xã Thử Nghiệm"
_KEY, _KID = "demo-official.pem", "demo-official.kid"


async def register(hub: hubs.Hub, home: Path) -> None:
    """Register the official and the signing key of the trial, once."""
    now = hub.now()
    if await officials.find(hub.storage, hub.vault, CODE) is None:
        entry = official_entries.Entry(
            CODE,
            ACCOUNT,
            UNIT,
            UNIT_NAME,
            ("*",),
            now - timedelta(days=1),
            now + timedelta(days=365),
            full_name="Hoàng Văn Mã Cũ",
            phone=PHONE,
        )
        act = official_acts.Act("lienthong start", now, "dùng thử trên máy này")
        await official_acts.register(hub.storage, hub.vault, entry, act=act)
    if not await asyncio.to_thread((home / _KID).exists):
        await _register_key(hub, home)


async def _register_key(hub: hubs.Hub, home: Path) -> None:
    private = crypto.new_private_pem()
    held = await proof_register.add_public_key(
        hub.storage,
        key_text.prefix(await asyncio.to_thread(_read, home / "demo.key")),
        crypto.public_pem(private),
        label="dùng thử",
        reason="dùng thử trên máy này",
        actor="lienthong start",
        now=hub.now(),
        kind=proof_register.ASSERTION,
    )
    await asyncio.to_thread(_write, home / _KEY, private)
    await asyncio.to_thread((home / _KID).write_text, held.id)


def assertion(home: Path, *, agency_code: str) -> str:
    """Sign that the trial's official is at the keyboard, as a system does where officials sign in."""
    return assertions.sign(
        (home / _KEY).read_bytes(),
        kid=(home / _KID).read_text().strip(),
        issuer="phan-mem-mau",
        official=ACCOUNT,
        audience=tokens.audience(agency_code),
        lifetime_s=120,
        now=clock.now(),
    )


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()


def _write(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as sink:
        sink.write(content)
