"""Saved views: lists as one person keeps them, by place and name; the query of an address, checked."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from lienthong.core import clock, errors, storage, tables

MOST = 50
_v = tables.saved_views
_QUERY = re.compile(r"[A-Za-z0-9_.~%=&,:+-]{0,1000}")


async def listed(store: storage.Storage, account_id: str, place: str) -> list[dict[str, Any]]:
    """List a person's views of one place, by name."""
    wanted = sa.select(_v).where(_v.c.account_id == account_id, _v.c.place == place).order_by(_v.c.name)
    async with store.reading() as conn:
        return await storage.every(conn, wanted)


async def save(
    store: storage.Storage, account_id: str, *, place: str, name: str, query: str, now: datetime
) -> None:
    """Keep a view under a name; the same name again replaces it. Raises InvalidRequest."""
    name = name.strip()[:100]
    if not name or not _QUERY.fullmatch(query):
        problem = errors.FieldProblem("name", "Hãy đặt tên cho bộ lọc.", "The view needs a name.")
        raise errors.InvalidRequest(problems=(problem,))
    async with store.transaction() as tx:
        held = sa.select(sa.func.count()).select_from(_v).where(_v.c.account_id == account_id)
        if int((await tx.execute(held)).scalar_one()) >= MOST:
            raise errors.Conflict(f"at most {MOST} views are kept", detail_vi=f"Chỉ giữ nhiều nhất {MOST} bộ lọc.")
        row = {"id": clock.new_id(), "account_id": account_id, "place": place, "name": name}
        insert = store.insert(_v).values(**row, query=query, made_at=now)
        same = [_v.c.account_id, _v.c.place, _v.c.name]
        await tx.execute(insert.on_conflict_do_update(index_elements=same, set_={"query": query, "made_at": now}))


async def drop(store: storage.Storage, account_id: str, view_id: str) -> None:
    """Forget a view of this person; another's is not touched."""
    async with store.transaction() as tx:
        await tx.execute(_v.delete().where(_v.c.id == view_id, _v.c.account_id == account_id))
