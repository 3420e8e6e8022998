"""Acts on keys on both databases: several people at once, and the daily review."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import builders
import pytest
import sqlalchemy as sa

from lienthong.api_keys import keys
from lienthong.bus import hub
from lienthong.bus.flows import key_review
from lienthong.core import errors, tables


@pytest.fixture
async def opened(tmp_path: Path, database_url: str) -> AsyncIterator[hub.Hub]:
    async with builders.running_hub(tmp_path, database_url=database_url) as found:
        yield found


async def acts_of(opened: hub.Hub) -> list[tuple[str, str]]:
    async with opened.storage.reading() as conn:
        rows = await conn.execute(sa.select(tables.admin_acts).order_by(tables.admin_acts.c.number))
        return [(row.act, row.outcome) for row in rows]


async def test_two_people_who_rotate_at_once_make_two_generations(opened: hub.Hub):
    issued = await builders.issue_key(opened)
    change = {"overlap": timedelta(days=1), "reason": "định kỳ", "now": opened.now()}
    made = await asyncio.gather(
        *(
            keys.rotate(opened.storage, opened.vault, issued.record.id, actor=actor, **change)
            for actor in ("an", "bình")
        )
    )
    assert sorted(each.generation for each in made) == [2, 3]
    found = await keys.generations(opened.storage, issued.record.id)
    assert [each.number for each in found if each.ends_at is None] == [3]
    assert (await keys.show(opened.storage, issued.record.id)).prefix == found[0].prefix


async def test_of_two_who_suspend_at_once_one_changed_something(opened: hub.Hub):
    issued = await builders.issue_key(opened)
    change = {"reason": "nghi lộ", "now": opened.now()}
    await asyncio.gather(*(keys.suspend(opened.storage, issued.record.id, actor=each, **change) for each in "ab"))
    assert sorted(await acts_of(opened))[1:] == [("keys.suspend", "done"), ("keys.suspend", "unchanged")]


async def test_a_key_of_two_people_lapses_is_told_of_once_and_comes_back(opened: hub.Hub):
    issued = await builders.issue_key(opened, two_people=True, actor="an", days=366)
    name, now = issued.record.id, opened.now()
    with pytest.raises(errors.NotGranted):
        await keys.approve(opened.storage, name, actor="an", now=now)
    await keys.approve(opened.storage, name, actor="bình", now=now)
    later = dataclasses.replace(opened, now=lambda: issued.record.confirm_by)
    reports = await asyncio.gather(key_review.review(later), key_review.review(later))
    assert sum(report.lapsed for report in reports) == 1
    assert [line.what for line in await key_review.due(later, within_days=0)] == ["confirm"]
    await keys.confirm(opened.storage, name, every_days=365, two_people=True, actor="bình", now=later.now())
    assert (await keys.show(opened.storage, name)).state(later.now()) == "active"
    assert [act for act, _ in await acts_of(opened)] == [
        "keys.issue",
        "keys.approve",
        "keys.approve",
        "keys.lapse",
        "keys.confirm",
    ]
