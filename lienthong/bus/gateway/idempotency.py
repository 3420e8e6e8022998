"""Idempotency-Key: a POST sent again gets the first answer again, for 24 hours."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa

from lienthong.bus.gateway import answers
from lienthong.bus.hub import Hub
from lienthong.core import crypto, errors, tables

KEPT = timedelta(hours=24)
# A request that has not finished after this long died with its process: the next one may run.
ABANDONED = timedelta(seconds=60)
_PURPOSE = "idempotency"
_NAME = re.compile(r"[\x21-\x7e]{1,200}")
_t = tables.idempotency_keys


@dataclass(frozen=True, slots=True)
class Claim:
    """A request that runs under an Idempotency-Key."""

    key_id: str
    name: str
    digest: str

    def as_id(self, vault: crypto.Vault) -> str:
        """Give an id: the same for the same request under its name, also where nobody remembers it any more."""
        told = "\n".join((self.key_id, self.name, self.digest))
        return str(uuid.UUID(hex=vault.digest(told.encode(), purpose="repeat")[:32]))


def read_name(every: Sequence[tuple[bytes, bytes]]) -> str | None:
    """Read the name that a request gives itself in its headers, if it does. Raises InvalidRequest."""
    values = [value for header, value in every if header == b"idempotency-key"]
    if not values:
        return None
    name = values[0].decode("latin-1").strip()
    if len(values) > 1 or _NAME.fullmatch(name) is None:
        raise errors.InvalidRequest(
            problems=(
                errors.FieldProblem(
                    "Idempotency-Key",
                    "Idempotency-Key được gửi một lần, dài 1 đến 200 ký tự ASCII, không có dấu cách.",
                    "Idempotency-Key comes once, with 1 to 200 ASCII characters and no space.",
                ),
            )
        )
    return name


async def claim(hub: Hub, wanted: Claim, *, now: datetime) -> answers.Answer | None:
    """Say that a request begins, or give the answer that it had before.

    Raises Conflict where the same key came with another request, or where the first one is still running.
    """
    async with hub.storage.transaction() as tx:
        mine = (_t.c.key_id == wanted.key_id, _t.c.name == wanted.name)
        await tx.execute(_t.delete().where(*mine, _is_over(now)))
        made = await tx.execute(
            hub.storage.insert(_t)
            .values(key_id=wanted.key_id, name=wanted.name, request_digest=wanted.digest, created_at=now)
            .on_conflict_do_nothing()
            .returning(_t.c.name)
        )
        if made.first() is not None:
            return None
        row = (await tx.execute(sa.select(_t).where(*mine))).one_or_none()
    return _first_answer(hub, row, wanted)


async def settle(hub: Hub, wanted: Claim, answer: answers.Answer) -> None:
    """Keep the answer, sealed."""
    kept = orjson.dumps(
        {
            "body": answer.body.decode(),
            "headers": [(name.decode(), value.decode("latin-1")) for name, value in answer.headers],
            "outcome": answer.outcome,
        }
    )
    async with hub.storage.transaction() as tx:
        await tx.execute(
            _t.update()
            .where(_t.c.key_id == wanted.key_id, _t.c.name == wanted.name)
            .values(status=answer.status, answer=hub.vault.seal(kept, purpose=_PURPOSE))
        )


async def settle_unkept(hub: Hub, wanted: Claim, answer: answers.Answer) -> None:
    """Remember that the request had its answer, and keep nothing of the answer: it speaks of a person."""
    async with hub.storage.transaction() as tx:
        await tx.execute(
            _t.update().where(_t.c.key_id == wanted.key_id, _t.c.name == wanted.name).values(status=answer.status)
        )


async def abandon(hub: Hub, wanted: Claim) -> None:
    """Forget a request that did not get a lasting answer, so that it may be sent again."""
    async with hub.storage.transaction() as tx:
        await tx.execute(_t.delete().where(_t.c.key_id == wanted.key_id, _t.c.name == wanted.name))


async def sweep(hub: Hub, *, now: datetime) -> int:
    """Forget answers that are older than a day."""
    async with hub.storage.transaction() as tx:
        done = await tx.execute(_t.delete().where(_t.c.created_at < now - KEPT))
    return int(done.rowcount)


def _is_over(now: datetime) -> Any:
    return sa.or_(_t.c.created_at < now - KEPT, sa.and_(_t.c.status.is_(None), _t.c.created_at < now - ABANDONED))


def _first_answer(hub: Hub, row: sa.Row[Any] | None, wanted: Claim) -> answers.Answer:
    if row is not None and row.request_digest != wanted.digest:
        raise errors.Conflict(
            "This Idempotency-Key was used before with another request; use a new one for each request.",
            detail_vi="Idempotency-Key này đã dùng cho một yêu cầu khác; mỗi yêu cầu cần một giá trị mới.",
        )
    # No row any more: whoever had the name has given it up in this moment.
    if row is None or row.status is None:
        raise errors.Conflict(
            "The first request with this Idempotency-Key is still running; ask again in a moment.",
            detail_vi="Yêu cầu đầu tiên với Idempotency-Key này còn đang chạy; hãy hỏi lại sau giây lát.",
            retry_after_s=1,
        )
    if row.answer is None:
        raise errors.Conflict(
            "The request with this Idempotency-Key had its answer; answers about people are not kept. Ask "
            "anew with a new value.",
            detail_vi="Yêu cầu với Idempotency-Key này đã được trả lời; trả lời về người không được lưu lại. "
            "Hãy hỏi lại với giá trị mới.",
        )
    kept = orjson.loads(hub.vault.open(row.answer, purpose=_PURPOSE))
    headers = [(name.encode(), value.encode("latin-1")) for name, value in kept["headers"]]
    return answers.Answer(
        row.status,
        kept["body"].encode(),
        [*headers, (b"idempotent-replayed", b"true")],
        kept["outcome"],
    )
