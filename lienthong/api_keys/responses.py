"""Holding a key back because its use looks abnormal: throttled, proof demanded, or suspended; always until an end.

Nothing of the key itself is changed, so that one step undoes it. Begun and undone as acts, which every process
sees within a second (see `changes`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import acts, limits
from lienthong.api_keys.key_records import Caller, KeyRecord
from lienthong.core import clock, errors, storage, tables

THROTTLE, PROOF, SUSPEND = "throttle", "proof", "suspend"
KINDS = (THROTTLE, PROOF, SUSPEND)
USUAL_CURB = "10/minute"
LONGEST = timedelta(days=30)
_t = tables.responses


@dataclass(frozen=True, slots=True)
class Response:
    """One response in force until its end; `limit` is what a throttled key may still call."""

    id: str
    key_id: str
    kind: str
    until: datetime
    limit: limits.Limit | None = None

    def is_on(self, now: datetime) -> bool:
        """Whether it still holds."""
        return now < self.until


async def of_key(store: storage.Storage, key_id: str) -> tuple[Response, ...]:
    """Give what holds a key back; what has ended by its time may be among it."""
    asked = sa.select(_t).where(_t.c.key_id == key_id, _t.c.undone_at.is_(None))
    async with store.reading() as conn:
        rows = await storage.every(conn, asked.order_by(_t.c.until.desc()).limit(20))
    return tuple(_response(row) for row in rows)


async def demands_proof(conn: AsyncConnection, key_id: str) -> bool:
    """Whether a response demands that each call of the key carries a proof of possession."""
    asked = sa.select(_t.c.id).where(
        _t.c.key_id == key_id, _t.c.kind == PROOF, _t.c.undone_at.is_(None), _t.c.until > clock.now()
    )
    return (await conn.execute(asked.limit(1))).first() is not None


def narrowed(
    stated: tuple[limits.Limit, ...], held: Iterable[Response], *, caller: Caller, now: datetime
) -> tuple[limits.Limit, ...]:
    """Give the limits with the curbs in force; raises LimitExceeded for a key that is suspended for now."""
    curbs: list[limits.Limit] = []
    for response in held:
        if not response.is_on(now):
            continue
        if response.kind == SUSPEND:
            _refuse(caller, response, now)
        if response.limit is not None:
            curbs.append(response.limit)
    names = {limit.name for limit in curbs}
    return (
        *(limit for limit in stated if limit.name not in names),
        *{limit.name: limit for limit in curbs}.values(),
    )


async def begin(
    store: storage.Storage,
    name: str,
    kind: str,
    *,
    act: acts.Act,
    until: datetime,
    limit: str = USUAL_CURB,
    alert_id: str | None = None,
    automatic: bool = False,
) -> str:
    """Hold a key back from now on; gives the response's id.

    Raises InvalidRequest for an end that is not within 30 days, an unknown kind, or a limit that cannot be read;
    Conflict where the key cannot be used anyway.
    """
    curb = _curb(limit) if kind == THROTTLE else None
    if problems := [*_problems(kind, until, act)]:
        raise errors.InvalidRequest(problems=tuple(problems))
    response_id = clock.new_id()

    async def decide(tx: AsyncConnection, key: KeyRecord) -> acts.Change:
        if key.state(act.now) in ("revoked", "expired"):
            raise errors.Conflict(
                "This key is revoked or has expired; nothing needs to be done against it.",
                detail_vi="Khoá này đã bị thu hồi hoặc hết hạn, không cần xử lý thêm.",
            )
        row = {
            "id": response_id,
            "key_id": key.id,
            "alert_id": alert_id,
            "kind": kind,
            "curb": None if curb is None else str(curb),
            "begun_at": act.now,
            "until": until,
            "begun_by": act.actor,
            "is_automatic": automatic,
            "reason": act.reason[:500],
        }
        await tx.execute(_t.insert(), row)
        told = {"response": kind, "until": until.isoformat(), "alert": alert_id, "limit": row["curb"]}
        return acts.Change(told=told, outcome="done")

    await acts.carry_out(store, act, name, decide)
    return response_id


async def undo(store: storage.Storage, response_id: str, *, act: acts.Act) -> None:
    """End a response before its time. Raises NotFound, or Conflict where it has ended."""
    async with store.reading() as conn:
        row = await storage.first(conn, sa.select(_t).where(_t.c.id == response_id))
    if row is None:
        raise errors.NotFound(
            "there is no such response; `lienthong alerts show` names them",
            detail_vi="Không có biện pháp này; xem `lienthong alerts show`.",
        )
    if not act.reason.strip():
        raise errors.InvalidRequest(problems=(_no_reason(),))

    async def decide(tx: AsyncConnection, key: KeyRecord) -> acts.Change:
        values = {"undone_at": act.now, "undone_by": act.actor, "undone_reason": act.reason[:500]}
        wanted = sa.and_(_t.c.id == response_id, _t.c.undone_at.is_(None), _t.c.until > act.now)
        done = await tx.execute(_t.update().where(wanted).values(**values))
        if not done.rowcount:
            raise errors.Conflict(
                "this response has ended already",
                detail_vi="Biện pháp này đã kết thúc.",
            )
        return acts.Change(told={"response": row["kind"], "undone": response_id}, outcome="done")

    await acts.carry_out(store, act, row["key_id"], decide)


async def of_alert(store: storage.Storage, alert_id: str) -> list[dict[str, Any]]:
    """List what was done from an alert, the newest first."""
    async with store.reading() as conn:
        return await storage.every(
            conn, sa.select(_t).where(_t.c.alert_id == alert_id).order_by(_t.c.begun_at.desc())
        )


def _response(row: dict[str, Any]) -> Response:
    limit = limits.parse(f"curb {row['curb']}") if row["curb"] else None
    return Response(row["id"], row["key_id"], row["kind"], row["until"], limit)


def _curb(text: str) -> limits.Limit:
    found = limits.parse(text.removeprefix("curb ").strip())
    if found.kind != "rate" or found.operation:
        raise errors.InvalidRequest(
            problems=(
                errors.FieldProblem(
                    "limit",
                    "Hạn mức khi siết khoá ghi như 10/minute.",
                    "The limit of a throttled key is written like 10/minute.",
                ),
            )
        )
    return found


def _problems(kind: str, until: datetime, act: acts.Act) -> Iterable[errors.FieldProblem]:
    if kind not in KINDS:
        yield errors.FieldProblem(
            "kind", f"Biện pháp là một trong: {', '.join(KINDS)}.", f"A response is one of: {', '.join(KINDS)}."
        )
    if not act.now < until <= act.now + LONGEST:
        yield errors.FieldProblem(
            "until",
            f"Biện pháp phải có lúc kết thúc, trong vòng {LONGEST.days} ngày.",
            f"A response must have an end, within {LONGEST.days} days.",
        )
    if not act.reason.strip():
        yield _no_reason()


def _no_reason() -> errors.FieldProblem:
    return errors.FieldProblem("reason", "Hãy nêu lý do.", "Give a reason.")


def _refuse(caller: Caller, response: Response, now: datetime) -> NoReturn:
    wait_s = max(1.0, (response.until - now).total_seconds())
    decision = limits.Decision(False, (), retry_after_s=wait_s, violated=("curb-suspended",))
    raise errors.LimitExceeded(
        f"The use of the key {caller.prefix}… looks abnormal and it is held back; ask the unit that issues keys.",
        detail_vi=f"Cách dùng khoá {caller.prefix}… có dấu hiệu bất thường nên khoá tạm bị dừng; "
        "hãy hỏi đơn vị quản lý khoá.",
        retry_after_s=wait_s,
        decision=decision,
        reason="response:suspend",
        key_id=caller.key_id,
        generation=caller.generation,
        organisation=caller.organisation,
    )
