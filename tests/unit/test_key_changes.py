"""Keys are read again when an act was written, and not before."""

from __future__ import annotations

from typing import Any

import builders
import sqlalchemy as sa
from sqlalchemy import event

from lienthong.api_keys import changes, keys, lookup
from lienthong.bus import hub
from lienthong.core import storage, tables


def statements(store: storage.Storage) -> list[str]:
    """Collect what is asked of the database from now on."""
    asked: list[str] = []

    def note(*facts: Any) -> None:
        asked.append(facts[2])

    event.listen(store._reader.sync_engine, "before_cursor_execute", note)
    return asked


async def test_many_keys_cost_one_small_read_each_half_second(sqlite_hub: hub.Hub) -> None:
    clock_s = [0.0]
    finder = lookup.Lookup(sqlite_hub.storage, sqlite_hub.vault, monotonic=lambda: clock_s[0])
    issued = [await builders.issue_key(sqlite_hub) for _ in range(5)]
    for one in issued:
        await finder.find(one.key)
    asked = statements(sqlite_hub.storage)
    clock_s[0] += changes.REMEMBERED_S
    for one in issued:
        assert await finder.find(one.key)
    assert len(asked) == 1
    clock_s[0] += changes.REREAD_S
    assert await finder.find(issued[0].key)
    # The mark again, then the key, and whether something holds it back.
    assert len(asked) == 4


async def test_a_revocation_is_seen_by_everybody_after_half_a_second(sqlite_hub: hub.Hub) -> None:
    clock_s = [0.0]
    finder = lookup.Lookup(sqlite_hub.storage, sqlite_hub.vault, monotonic=lambda: clock_s[0])
    issued = await builders.issue_key(sqlite_hub)
    assert await finder.find(issued.key)
    now = sqlite_hub.now()
    await keys.revoke(sqlite_hub.storage, issued.record.id, reason="lộ khoá", actor="test", now=now)
    clock_s[0] += changes.REMEMBERED_S
    found = await finder.find(issued.key)
    assert found
    assert found.record.state(now) == "revoked"


async def test_an_act_that_becomes_visible_late_is_noticed(sqlite_hub: hub.Hub) -> None:
    clock_s = [0.0]
    watched = changes.Changes(sqlite_hub.storage, monotonic=lambda: clock_s[0])
    await act(sqlite_hub, 10)
    before = await watched.mark()
    await act(sqlite_hub, 9)
    assert await watched.mark() == before
    clock_s[0] += changes.REMEMBERED_S
    assert await watched.mark() != before


async def act(opened: hub.Hub, number: int) -> None:
    row = {"number": number, "at": opened.now(), "actor": "test", "act": "keys.test", "object": "k"}
    async with opened.storage.transaction() as tx:
        await tx.execute(sa.insert(tables.admin_acts).values(**row))
