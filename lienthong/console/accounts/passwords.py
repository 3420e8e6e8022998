"""Passwords of the desks: argon2id, away from the event loop, as long for unknown names as for known ones."""

from __future__ import annotations

import asyncio
import functools

import argon2

from lienthong.core import errors

SHORTEST, LONGEST = 12, 200
# RFC 9106 §4, the second recommended choice: 64 MiB, three passes, four lanes.
_HASHER = argon2.PasswordHasher(time_cost=3, memory_cost=65536, parallelism=4)
# Each takes 64 MiB while it runs; a flood of sign-ins waits instead of filling the machine.
_AT_ONCE = 2
_running: dict[int, asyncio.Semaphore] = {}


async def hashed(password: str, *, name: str) -> str:
    """Hash a new password. Raises InvalidRequest where it is too short or says the account's name."""
    _must_be_sound(password, name=name)
    async with _room():
        return await asyncio.to_thread(_HASHER.hash, password)


async def is_right(password: str, stored: str | None) -> bool:
    """Whether a password is the stored one; takes as long where there is none. Raises CapacityReduced."""
    async with _room():
        return await asyncio.to_thread(_is_right, password, stored)


def _is_right(password: str, stored: str | None) -> bool:
    try:
        _HASHER.verify(stored or _nobodys(), password[:LONGEST])
    except (argon2.exceptions.VerifyMismatchError, argon2.exceptions.InvalidHashError):
        return False
    except argon2.exceptions.VerificationError as exc:
        # Neither right nor wrong: the machine has no memory or no threads left to find out.
        raise errors.CapacityReduced(
            "the machine cannot check a password now; try again in a moment",
            detail_vi="Máy chủ đang quá tải nên chưa kiểm tra được mật khẩu; hãy thử lại sau ít phút.",
        ) from exc
    return stored is not None


@functools.cache
def _nobodys() -> str:
    return _HASHER.hash("nobody's password, against which unknown names are checked")


def _room() -> asyncio.Semaphore:
    loop = id(asyncio.get_running_loop())
    if loop not in _running:
        _running.clear()
        _running[loop] = asyncio.Semaphore(_AT_ONCE)
    return _running[loop]


def _must_be_sound(password: str, *, name: str) -> None:
    vi = en = ""
    if len(password) < SHORTEST:
        vi, en = f"Mật khẩu có ít nhất {SHORTEST} ký tự.", f"A password has at least {SHORTEST} characters."
    elif len(password) > LONGEST:
        vi, en = f"Mật khẩu có nhiều nhất {LONGEST} ký tự.", f"A password has at most {LONGEST} characters."
    elif name in password.lower() or len(set(password)) < 5:
        vi = "Mật khẩu không được chứa tên đăng nhập hay lặp lại vài ký tự."
        en = "A password holds neither the account's name nor a few characters over and over."
    if vi:
        raise errors.InvalidRequest(problems=(errors.FieldProblem("password", vi, en),))
