"""The outbox: what was promised to another system, put in the same transaction as the fact it speaks of.

    put ──► pending ──claim──► in_flight ──settle──► delivered
               ▲                   │ └─────────────► dead ──retry──► pending
               └──────later────────┘                    └──drop───► dropped

One lane (a dossier) for one target is kept in order: only its oldest unfinished message may be claimed, and a
dead message holds back what stands behind it in its own lane, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.core import bulk, clock, crypto, errors, storage, tables

SEAL = "message"
LOST_WORKER = "Server.Hub.WorkerLost"
_m = tables.messages
UNFINISHED = ("pending", "in_flight", "dead")


@dataclass(slots=True)
class Claimed:
    """A message in the hands of one worker, until its lease runs out.

    `steps_done` is raised by whoever delivers it, step by step, so that what was acknowledged is not sent
    again. `look_first`: an earlier try may have arrived. `first_of_lane`: nothing was promised before it.
    """

    seq: int
    id: str
    target: str
    lane: str
    operation: str
    payload: bytes
    steps_done: int
    look_first: bool
    attempts: int
    waiting_since: datetime
    first_of_lane: bool
    request_id: str


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of one claimed message after one attempt."""

    message: Claimed
    state: str
    due_at: datetime
    look_first: bool
    code: str
    detail: str
    started_at: datetime
    took_ms: float


async def put(
    tx: AsyncConnection,
    vault: crypto.Vault,
    *,
    target: str,
    lane: str,
    operation: str,
    payload: bytes,
    request_id: str,
    now: datetime,
    first_of_lane: bool = False,
) -> str:
    """Promise a message to a target, in the caller's transaction; returns its id.

    Two puts for one lane must be ordered by the caller (both flows lock the dossier's row first): a later
    message must not be committed before an earlier one.
    """
    message_id = clock.new_id()
    await tx.execute(
        _m.insert().values(
            id=message_id,
            target=target,
            lane=lane,
            operation=operation,
            request_id=request_id,
            payload=vault.seal(payload, purpose=SEAL),
            state="pending",
            due_at=now,
            created_at=now,
            waiting_since=now,
            first_of_lane=first_of_lane,
        )
    )
    return message_id


def _oldest_of_lane(target: str) -> sa.ColumnElement[bool]:
    """Say that a message is the oldest unfinished one of its lane.

    A scalar subquery, not "there is no earlier one": it cannot become a join over the whole backlog, so that a
    claim walks the index of what is due and looks up one lane for each row, however long the backlog is.
    """
    same = _m.alias("same")
    oldest = sa.select(sa.func.min(same.c.seq)).where(
        same.c.target == target,
        same.c.lane == _m.c.lane,
        # Written out, so that the partial index of unfinished messages is used.
        sa.text("same.state in ('pending', 'in_flight', 'dead')"),
    )
    return _m.c.seq == oldest.scalar_subquery()


async def claim(
    store: storage.Storage,
    target: str,
    *,
    owner: str,
    limit: int,
    now: datetime,
    lease_s: float,
    even_if_later: bool = False,
) -> list[Claimed]:
    """Take up to `limit` messages that may go now: due, and the oldest unfinished of their lane.

    Leased and skip-locked, so that two workers never hold one message. `even_if_later` takes messages before
    they are due (the probe of a suspended target).
    """
    picked = (
        sa.select(_m.c.seq)
        .where(_m.c.target == target, sa.text("messages.state = 'pending'"), _oldest_of_lane(target))
        .order_by(_m.c.due_at, _m.c.seq)
        .limit(limit)
    )
    if not even_if_later:
        picked = picked.where(_m.c.due_at <= now)
    if not store.is_sqlite:
        picked = picked.with_for_update(skip_locked=True, of=_m)
    chosen = picked.cte("picked")
    taken = (
        _m.update()
        .where(_m.c.seq.in_(sa.select(chosen.c.seq)))
        .values(
            state="in_flight",
            leased_by=owner,
            leased_until=now + timedelta(seconds=lease_s),
            attempts=_m.c.attempts + 1,
        )
        .returning(
            _m.c.seq,
            _m.c.id,
            _m.c.target,
            _m.c.lane,
            _m.c.operation,
            _m.c.payload,
            _m.c.steps_done,
            _m.c.look_first,
            _m.c.attempts,
            _m.c.waiting_since,
            _m.c.first_of_lane,
            _m.c.request_id,
        )
    )
    async with store.transaction() as tx:
        rows = (await tx.execute(taken)).all()
    return sorted((Claimed(*row) for row in rows), key=lambda message: message.seq)


async def reclaim(store: storage.Storage, target: str, *, owner: str, now: datetime) -> None:
    """Give back what dead workers held; a try of theirs may have arrived, so the next one looks first.

    What `owner`, who asks, holds itself stays with it, also where the clock was set forward.
    """
    is_lost = (
        _m.c.target == target,
        sa.text("messages.state = 'in_flight'"),
        _m.c.leased_until < now,
        _m.c.leased_by != owner,
    )
    ran_out = (
        _m.update()
        .where(*is_lost)
        .values(
            state="pending", due_at=now, look_first=True, leased_by=None, leased_until=None, last_code=LOST_WORKER
        )
        .returning(_m.c.id, _m.c.attempts, _m.c.steps_done)
    )
    async with store.reading() as conn:
        waiting = await conn.execute(sa.select(sa.literal(1)).where(*is_lost).limit(1))
        if waiting.first() is None:
            return
    async with store.transaction() as tx:
        lost = (await tx.execute(ran_out)).all()
        rows = [
            {
                "message_id": row.id,
                "number": row.attempts,
                "started_at": now,
                "took_ms": 0.0,
                "outcome": "unknown",
                "code": LOST_WORKER,
                "detail": "the worker that held this message is gone; its lease ran out",
                "steps_done": row.steps_done,
            }
            for row in lost
        ]
        await bulk.insert(store, tx, tables.attempts, rows, keep_old=True)


async def renew(store: storage.Storage, *, owner: str, now: datetime, lease_s: float) -> None:
    """Say that this worker still lives: all its claims hold for another `lease_s`."""
    async with store.transaction() as tx:
        await tx.execute(
            _m.update()
            .where(sa.text("messages.state = 'in_flight'"), _m.c.leased_by == owner)
            .values(leased_until=now + timedelta(seconds=lease_s))
        )


async def settle(store: storage.Storage, settlements: Sequence[Settlement], *, owner: str, now: datetime) -> None:
    """Write what became of claimed messages, together with the attempts.

    Where the lease ran out meanwhile and another worker has the message, its state is left to that worker.
    """
    if not settlements:
        return
    changes = [
        {
            "seq": item.message.seq,
            "state": item.state,
            "steps_done": item.message.steps_done,
            "look_first": item.look_first,
            "due_at": item.due_at,
            "settled_at": None if item.state == "pending" else now,
            "last_code": item.code,
            "last_error": item.detail[:500] or None,
            "leased_by": None,
            "leased_until": None,
        }
        for item in settlements
    ]
    tries = [
        {
            "message_id": item.message.id,
            "number": item.message.attempts,
            "started_at": item.started_at,
            "took_ms": item.took_ms,
            "outcome": _outcome(item),
            "code": item.code,
            "detail": item.detail[:500],
            "steps_done": item.message.steps_done,
        }
        for item in settlements
    ]
    async with store.transaction() as tx:
        await bulk.update(store, tx, _m, changes, key="seq", only_where={"leased_by": owner})
        await bulk.insert(store, tx, tables.attempts, tries, keep_old=True)


def _outcome(item: Settlement) -> str:
    if item.state != "pending":
        return item.state
    return "unknown" if item.look_first else "later"


async def release(store: storage.Storage, messages: Sequence[Claimed], *, owner: str) -> None:
    """Give back messages that were claimed and never tried, as if they had not been claimed."""
    if not messages:
        return
    async with store.transaction() as tx:
        await tx.execute(
            _m.update()
            .where(_m.c.seq.in_([message.seq for message in messages]), _m.c.leased_by == owner)
            .values(state="pending", attempts=_m.c.attempts - 1, leased_by=None, leased_until=None)
        )


async def hasten(tx: AsyncConnection, target: str, *, now: datetime) -> None:
    """Make everything that waits for a target due now; called when the target answers again."""
    await tx.execute(
        _m.update()
        .where(_m.c.target == target, sa.text("messages.state = 'pending'"), _m.c.due_at > now)
        .values(due_at=now)
    )


# ------------------------------------------------------------------------------ for people who free what is stuck


def _selected(
    *,
    ids: Sequence[str] = (),
    target: str | None = None,
    state: str | None = None,
    code: str | None = None,
    lane: str | None = None,
) -> sa.ColumnElement[bool]:
    wanted: list[sa.ColumnElement[bool]] = [sa.true()]
    if ids:
        wanted.append(_m.c.id.in_(ids))
    for column, value in ((_m.c.target, target), (_m.c.state, state), (_m.c.last_code, code), (_m.c.lane, lane)):
        if value:
            wanted.append(column == value)
    return sa.and_(*wanted)


async def listed(
    store: storage.Storage, *, limit: int = 50, after: int = 0, **filters: Any
) -> list[dict[str, Any]]:
    """List messages, oldest first, without their payload; `unknown_tries` had no answer that could be read."""
    columns: list[sa.ColumnElement[Any]] = [column for column in _m.c if column.name != "payload"]
    unknown = (
        sa.select(sa.func.count())
        .where(tables.attempts.c.message_id == _m.c.id, tables.attempts.c.outcome == "unknown")
        .scalar_subquery()
    )
    columns.append(unknown.label("unknown_tries"))
    async with store.reading() as conn:
        return await storage.every(
            conn,
            sa.select(*columns).where(_selected(**filters), _m.c.seq > after).order_by(_m.c.seq).limit(limit),
        )


async def tries(store: storage.Storage, message_id: str) -> list[dict[str, Any]]:
    """List every attempt of one message, in order."""
    table = tables.attempts
    async with store.reading() as conn:
        return await storage.every(
            conn,
            sa.select(table).where(table.c.message_id == message_id).order_by(table.c.number),
        )


async def garbled_tries(store: storage.Storage, message: Claimed) -> int:
    """Count the tries since the waiting began whose answers could not be read."""
    table = tables.attempts
    asked = sa.select(sa.func.count()).where(
        table.c.message_id == message.id,
        table.c.code == errors.RemoteGarbled.code,
        table.c.started_at >= message.waiting_since,
    )
    async with store.reading() as conn:
        return int((await conn.execute(asked)).scalar_one())


async def waiting_behind(store: storage.Storage, message: dict[str, Any]) -> str | None:
    """Name the message that holds this one back, where there is one."""
    async with store.reading() as conn:
        row = await conn.execute(
            sa.select(_m.c.id)
            .where(
                _m.c.target == message["target"],
                _m.c.lane == message["lane"],
                _m.c.seq < message["seq"],
                _m.c.state.in_(UNFINISHED),
            )
            .order_by(_m.c.seq)
            .limit(1)
        )
        return row.scalar()


async def retry(tx: AsyncConnection, *, now: datetime, **filters: Any) -> int:
    """Send dead messages again (a person has put right what was wrong); returns how many.

    The waiting time starts anew; an answer lost before is looked up first.
    """
    filters.setdefault("state", "dead")
    done = await tx.execute(
        _m.update()
        .where(_selected(**filters), _m.c.state == "dead")
        .values(state="pending", due_at=now, look_first=True, waiting_since=now, settled_at=None)
    )
    return int(done.rowcount)


async def drop(tx: AsyncConnection, *, now: datetime, **filters: Any) -> int:
    """Give up dead or waiting messages for good; what stands behind them may go. Returns how many."""
    done = await tx.execute(
        _m.update()
        .where(_selected(**filters), _m.c.state.in_(("dead", "pending")))
        .values(state="dropped", settled_at=now)
    )
    return int(done.rowcount)


async def counts(store: storage.Storage) -> list[dict[str, Any]]:
    """Count messages by target and state, with the oldest that waits."""
    async with store.reading() as conn:
        return await storage.every(
            conn,
            sa.select(
                _m.c.target,
                _m.c.state,
                sa.func.count().label("messages"),
                sa.func.min(_m.c.created_at).label("oldest_at"),
            )
            .group_by(_m.c.target, _m.c.state)
            .order_by(_m.c.target, _m.c.state),
        )


async def targets_with_work(store: storage.Storage, *, now: datetime) -> list[str]:
    """Name the targets for which something is due or left by a dead worker."""
    due = sa.or_(
        sa.and_(_m.c.state == "pending", _m.c.due_at <= now),
        sa.and_(_m.c.state == "in_flight", _m.c.leased_until < now),
    )
    async with store.reading() as conn:
        return list((await conn.execute(sa.select(_m.c.target).where(due).distinct())).scalars())
