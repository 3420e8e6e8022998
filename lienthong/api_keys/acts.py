"""Every act on a key is written down, the refused ones too: who, when, why, before and after. Never a key."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import key_store, key_text
from lienthong.api_keys.key_records import KeyRecord
from lienthong.core import errors, journal, storage


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody does, or tries to do: `keys.suspend`, by whom, when and why."""

    name: str
    actor: str
    now: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What an act changes of a key; nothing is an act that changes nothing. `told` is written down beside it.

    `outcome` says what became of it, where that is neither `done` nor `unchanged`.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)
    outcome: str = ""


Decide = Callable[[AsyncConnection, KeyRecord], Awaitable[Change]]


async def carry_out(store: storage.Storage, act: Act, name: str, decide: Decide) -> KeyRecord:
    """Change one key, found by id or prefix, in one transaction with the record of the act.

    `decide` sees the key as nobody else can change it meanwhile, and raises where the act is refused.
    """
    async with recorded(store, act, key_store.shown(name)) as refusal:
        found = await key_store.show(store, name)
        refusal.subject, refusal.before = found.id, found
        return await store.write(lambda tx: _change(tx, act, found.id, decide))


async def note(
    tx: AsyncConnection,
    act: Act,
    subject: str,
    *,
    before: KeyRecord | None = None,
    after: Mapping[str, Any] | None = None,
    outcome: str = "done",
) -> None:
    """Write one act down in the transaction that does it."""
    await journal.write_act(
        tx,
        act.name,
        key_text.hide(subject),
        actor=act.actor,
        now=act.now,
        reason=key_text.hide(act.reason.strip()),
        before=before.as_act() if before else None,
        after=dict(after) if after is not None else None,
        outcome=outcome,
    )


@dataclass(slots=True)
class Refusal:
    """What will be written down if the act is refused."""

    subject: str
    before: KeyRecord | None = None


@asynccontextmanager
async def recorded(store: storage.Storage, act: Act, subject: str) -> AsyncIterator[Refusal]:
    """Write down an act that is refused inside the block, with the reason of the refusal; the error goes on."""
    refusal = Refusal(subject)
    try:
        yield refusal
    except errors.CallerError as exc:
        why = [{"field": problem.field, "detail": key_text.hide(problem.en)} for problem in exc.problems]
        told = {"refused": why or key_text.hide(exc.detail("en"))}
        async with store.transaction() as tx:
            await note(tx, act, refusal.subject, before=refusal.before, after=told, outcome=exc.code)
        raise


async def _change(tx: AsyncConnection, act: Act, key_id: str, decide: Decide) -> KeyRecord:
    before = await key_store.read_for_change(tx, key_id)
    change = await decide(tx, before)
    after = await key_store.change(tx, key_id, change.values)
    outcome = change.outcome or ("done" if change.values else "unchanged")
    await note(tx, act, key_id, before=before, after={**after.as_act(), **change.told}, outcome=outcome)
    return after
