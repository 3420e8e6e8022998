"""The trial's account at the desks: made once, with every role; its first password lies in a file of HOME."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path

from lienthong.api_keys import acts
from lienthong.bus import hub as hubs
from lienthong.console.accounts import register
from lienthong.core import errors, settings_console

NAME = "thu"
_HERE = ("127.0.0.1", "localhost")


def environment(chosen: settings_console.Console) -> dict[str, str]:
    """Give the settings under which a browser on this machine can use passkeys, unless others are chosen.

    Browsers take passkeys for a name and for no address in figures; the desks answer at 127.0.0.1 as before.
    """
    if chosen.public_url or chosen.passkey_domain or not chosen.port or chosen.host not in _HERE:
        return {}
    return {
        "LIENTHONG_CONSOLE__PUBLIC_URL": f"http://localhost:{chosen.port}",
        "LIENTHONG_CONSOLE__PASSKEY_DOMAIN": "localhost",
    }


async def account(hub: hubs.Hub, home: Path) -> Path:
    """Add the account unless there is one, and name the file with the password it was given at first."""
    file = home / "desk.password"
    try:
        await register.show(hub.storage, NAME)
    except errors.NotFound:
        password = secrets.token_urlsafe(12)
        await asyncio.to_thread(write_secret, file, password)
        await register.add(
            hub.storage,
            name=NAME,
            full_name="Người dùng thử",
            roles=list(register.Role),
            password=password,
            act=acts.Act("accounts.add", actor="lienthong start", now=hub.now(), reason="dùng thử trên máy này"),
        )
    return file


def write_secret(path: Path, text: str) -> None:
    """Write a secret of the trial into a file that only its owner can read."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as sink:
        sink.write(text + "\n")
