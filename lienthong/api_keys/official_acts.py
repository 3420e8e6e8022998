"""Acts on the register of officials: register, change, revoke, replace. Each is written down, refused ones too.

The register has one holder of a code and of an account at a time; whoever held it before stays as history.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import key_text, official_entries, officials
from lienthong.core import clock, crypto, errors, journal, storage, tables

_o = tables.officials
# One act on the register at a time: who holds a code is looked up and written in one go.
_LOCK = 4_761_001


@dataclass(frozen=True, slots=True)
class Act:
    """Who does something to the register, when and why."""

    actor: str
    now: datetime
    reason: str


@dataclass(slots=True)
class Refusal:
    """What is written down if the act is refused: of whom, as far as that is known by then."""

    subject: str = ""
    before: officials.Official | None = None


async def register(
    store: storage.Storage, vault: crypto.Vault, entry: official_entries.Entry, *, act: Act
) -> officials.Official:
    """Register an official. Raises InvalidRequest, or Conflict where code or account has a holder."""
    async with recorded(store, "officials.register", act) as refusal:
        refusal.subject = _subject(entry.code, entry, now=act.now)
        _must_say_why(act)
        _must_be_sound(entry, now=act.now)
        async with changing(store) as tx:
            await must_be_free(tx, entry)
            return await write_new(tx, vault, entry, act=act)


async def change(
    store: storage.Storage, vault: crypto.Vault, name: str, changes: Mapping[str, Any], *, act: Act
) -> officials.Official:
    """Change what is registered of an official: unit, procedures, validity, account, how to reach him or her.

    The person stays the same: another one is a replacement. Raises NotFound, InvalidRequest, Conflict.
    """
    async with recorded(store, "officials.change", act) as refusal:
        _must_say_why(act)
        async with changing(store) as tx:
            held = await _held(tx, vault, name, refusal)
            wanted = official_entries.entry({**official_entries.of(held).values(), **changes})
            _must_be_sound(wanted, now=act.now)
            must_be_same_person(held, wanted)
            await must_be_free(tx, wanted, but=held.id)
            return await write_change(tx, vault, held, wanted, act=act)


async def revoke(store: storage.Storage, vault: crypto.Vault, name: str, *, act: Act) -> officials.Official:
    """End a registration; the next question is refused, in every process. Raises NotFound, Conflict."""
    async with recorded(store, "officials.revoke", act) as refusal:
        _must_say_why(act)
        async with changing(store) as tx:
            held = await _held(tx, vault, name, refusal)
            ended = await _end(tx, vault, held, act=act, replaced_by=None)
            await _note(tx, "officials.revoke", held.id, act, before=held, after=ended.as_act())
            return ended


async def replace_holder(
    store: storage.Storage,
    vault: crypto.Vault,
    name: str,
    changes: Mapping[str, Any],
    *,
    act: Act,
) -> officials.Official:
    """Hand a registration over in one step: end the holder's and register the successor; gives the successor.

    What `changes` does not say is as it was: unit, procedures, account, code, end. The person must be said.
    Raises NotFound, InvalidRequest, Conflict.
    """
    async with recorded(store, "officials.replace", act) as refusal:
        _must_say_why(act)
        async with changing(store) as tx:
            held = await _held(tx, vault, name, refusal)
            today = official_entries.begins(official_entries.begins_on(act.now))
            blank = {"email": "", "position": held.position, "full_name": "", "phone": "", "valid_from": today}
            wanted = official_entries.entry({**official_entries.of(held).values(), **blank, **changes})
            _must_be_sound(wanted, now=act.now)
            await must_be_free(tx, wanted, but=held.id)
            number = clock.new_id()
            ended = await _end(tx, vault, held, act=act, replaced_by=number)
            await _note(tx, "officials.replace", held.id, act, before=held, after=ended.as_act())
            return await write_new(tx, vault, wanted, act=act, number=number)


# -------------------------------------------------------------------- parts of acts, for the import of forms


@asynccontextmanager
async def changing(store: storage.Storage) -> AsyncIterator[AsyncConnection]:
    """Open a transaction in which nobody else changes the register."""
    async with store.transaction() as tx:
        if not store.is_sqlite:
            await tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        yield tx


@asynccontextmanager
async def recorded(store: storage.Storage, name: str, act: Act) -> AsyncIterator[Refusal]:
    """Write down an act that is refused inside the block, with the reason of the refusal; the error goes on."""
    refusal = Refusal()
    try:
        yield refusal
    except errors.CallerError as exc:
        why = [{"field": problem.field, "detail": problem.en} for problem in exc.problems]
        told = {"refused": why or exc.detail("en")}
        async with store.transaction() as tx:
            await _note(tx, name, refusal.subject, act, before=refusal.before, after=told, outcome=exc.code)
        raise


async def must_be_free(tx: AsyncConnection, entry: official_entries.Entry, *, but: str | None = None) -> None:
    """Insist that nobody else holds the code or the account, also not one for the other. Raises Conflict."""
    for name in ("code", "account"):
        if await holder(tx, getattr(entry, name), but=but) is not None:
            raise taken(name)


async def holder(tx: AsyncConnection, name: str, *, but: str | None = None) -> str | None:
    """Give the id of who holds a code or an account, however it is written: `cb1` is not to be told from `CB1`."""
    lowered = name.lower()
    here = (sa.func.lower(_o.c.code) == lowered) | (sa.func.lower(_o.c.account) == lowered)
    asked = sa.select(_o.c.id).where(here, _o.c.ended_at.is_(None), _o.c.id != (but or ""))
    found: str | None = (await tx.execute(asked.limit(1))).scalar()
    return found


def must_be_same_person(held: officials.Official, wanted: official_entries.Entry) -> None:
    """Insist that a change leaves code and person as they are. Raises InvalidRequest."""
    problems = []
    if wanted.code != held.code:
        problems.append(
            errors.FieldProblem(
                "code",
                "Mã cán bộ không sửa được; mã mới là một đăng ký mới (officials replace).",
                "A code is not changed; a new code is a new registration (officials replace).",
            )
        )
    if not is_same_name(held.full_name, wanted.full_name):
        problems.append(
            errors.FieldProblem(
                "full_name",
                "Đây là tên của người khác; đổi người thì dùng lienthong officials replace.",
                "This is another person's name; to hand over, use lienthong officials replace.",
            )
        )
    if problems:
        raise official_entries.refused(problems)


def is_same_name(one: str, other: str) -> bool:
    """Whether two names differ in capitals and blanks alone."""
    return official_entries.line(one).casefold() == official_entries.line(other).casefold()


async def write_new(
    tx: AsyncConnection,
    vault: crypto.Vault,
    entry: official_entries.Entry,
    *,
    act: Act,
    number: str | None = None,
) -> officials.Official:
    """Write a new registration and the act that makes it."""
    row: dict[str, Any] = {
        **_columns(vault, entry),
        "id": number or clock.new_id(),
        "registered_at": act.now,
        "registered_by": act.actor[:100],
        "changed_at": act.now,
    }
    await tx.execute(_o.insert().values(**row))
    made = await _read(tx, vault, row["id"])
    await _note(tx, "officials.register", made.id, act, before=None, after=made.as_act())
    return made


async def write_change(
    tx: AsyncConnection,
    vault: crypto.Vault,
    held: officials.Official,
    wanted: official_entries.Entry,
    *,
    act: Act,
) -> officials.Official:
    """Write what differs and the act that changes it; where nothing does, only the act."""
    before = official_entries.of(held)
    changed = [name for name, value in wanted.values().items() if getattr(before, name) != value]
    if changed:
        values = {**_columns(vault, wanted), "changed_at": act.now}
        await tx.execute(_o.update().where(_o.c.id == held.id).values(**values))
    made = await _read(tx, vault, held.id)
    told = {**made.as_act(), "sealed_changed": [name for name in changed if name in officials.SEALED]}
    outcome = "done" if changed else "unchanged"
    await _note(tx, "officials.change", held.id, act, before=held, after=told, outcome=outcome)
    return made


def taken(name: str) -> errors.Conflict:
    """Give the error for a code or an account that has a holder."""
    vi = {"code": "Mã cán bộ", "account": "Tài khoản"}[name]
    return errors.Conflict(
        f"The {name} has a holder in force already (as a code or as an account); change that registration, or "
        "hand it over: lienthong officials replace.",
        detail_vi=f"{vi} này đang thuộc một cán bộ khác (là mã hoặc tài khoản của người đó); hãy sửa đăng ký ấy, "
        "hoặc bàn giao: lienthong officials replace.",
        field=name,
    )


# ------------------------------------------------------------------------------------------------- inside


async def _held(tx: AsyncConnection, vault: crypto.Vault, name: str, refusal: Refusal) -> officials.Official:
    found = await officials.read_for_change(tx, vault, name.strip())
    if found is None:
        raise errors.NotFound(
            "No official has this code or account; see lienthong officials list.",
            detail_vi="Không có cán bộ nào mang mã hoặc tài khoản này; xem lienthong officials list.",
        )
    refusal.subject, refusal.before = found.id, found
    if found.ended_at is not None:
        raise errors.Conflict(
            "This registration has ended already; a new one is made by lienthong officials register.",
            detail_vi="Đăng ký này đã kết thúc; đăng ký mới bằng lienthong officials register.",
        )
    return found


async def _end(
    tx: AsyncConnection,
    vault: crypto.Vault,
    held: officials.Official,
    *,
    act: Act,
    replaced_by: str | None,
) -> officials.Official:
    await tx.execute(
        _o.update()
        .where(_o.c.id == held.id)
        .values(
            ended_at=act.now,
            ended_by=act.actor[:100],
            ended_reason=key_text.hide(act.reason.strip())[:500],
            replaced_by=replaced_by,
            changed_at=act.now,
        )
    )
    return await _read(tx, vault, held.id)


async def _read(tx: AsyncConnection, vault: crypto.Vault, number: str) -> officials.Official:
    row = await storage.first(tx, sa.select(_o).where(_o.c.id == number))
    if row is None:  # written in this very transaction
        raise errors.StorageUnavailable(reason="a registration that was written is not there")
    return officials.opened(row, vault)


async def _note(
    tx: AsyncConnection,
    name: str,
    subject: str,
    act: Act,
    *,
    before: officials.Official | None,
    after: Mapping[str, Any],
    outcome: str = "done",
) -> None:
    await journal.write_act(
        tx,
        name,
        subject,
        actor=act.actor,
        now=act.now,
        reason=key_text.hide(act.reason.strip()),
        before=before.as_act() if before else None,
        after=dict(after),
        outcome=outcome,
    )


def _columns(vault: crypto.Vault, entry: official_entries.Entry) -> dict[str, Any]:
    values = entry.values()
    plain = {name: value for name, value in values.items() if name not in officials.SEALED}
    return {**plain, "procedures": list(entry.procedures), "record": officials.sealed(vault, values)}


def _subject(code: str, entry: official_entries.Entry, *, now: datetime) -> str:
    """Give the code where it is one: anything else that was typed there may be a person's number."""
    wrong = {problem.field for problem in official_entries.problems(entry, now=now)}
    return "" if "code" in wrong else code


def _must_be_sound(entry: official_entries.Entry, *, now: datetime) -> None:
    found = official_entries.problems(entry, now=now)
    if found:
        raise official_entries.refused(found)


def _must_say_why(act: Act) -> None:
    if not act.reason.strip():
        raise official_entries.refused(
            [
                errors.FieldProblem(
                    "reason",
                    "Cần ghi lý do, ví dụ số công văn đăng ký.",
                    "Say why; the number of the letter, for example.",
                )
            ]
        )
