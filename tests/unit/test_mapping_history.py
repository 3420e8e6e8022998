"""Mapping files and code lists with their history: kept when one changed, shown with what changed."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import builders
import desk
import pytest_asyncio

from lienthong.console.web import version_history
from lienthong.core import tables
from lienthong.mappings import history

FILE = "dvcqg_adapter.yml"


@pytest_asyncio.fixture
async def stage(tmp_path: Path) -> AsyncIterator[desk.Stage]:
    time = desk.Time()
    async with builders.running_hub(tmp_path / "home", now=time, systems=builders.NOBODY) as hub:
        yield desk.stage(hub, time)


async def older(stage: desk.Stage, content: str) -> None:
    """Let the last start have been one with another file."""
    values = {
        "name": FILE,
        "digest": "0" * 64,
        "content": zlib.compress(content.encode()),
        "since": desk.NOW - timedelta(days=30),
    }
    async with stage.hub.storage.transaction() as tx:
        await tx.execute(tables.mapping_versions.insert().values(**values))


async def test_a_file_is_kept_once_until_it_changes(stage: desk.Stage) -> None:
    assert await history.keep(stage.hub.storage, now=desk.NOW) == []
    assert await history.keep(stage.hub.storage, now=desk.NOW) == []
    assert [it.since for it in await history.of(stage.hub.storage, FILE)] == [desk.NOW]


async def test_a_file_that_changed_is_shown_beside_the_one_before(stage: desk.Stage) -> None:
    await older(stage, "title: của năm ngoái\n")
    assert FILE in await history.keep(stage.hub.storage, now=desk.NOW)
    newest, first = version_history.changes(await history.of(stage.hub.storage, FILE))
    assert ("removed", "-title: của năm ngoái") in newest.lines
    assert newest.added > 10
    assert first.is_first
    async with stage.signed_in("lan", "operator") as lan:
        await lan.open("/mappings/dvcqg_adapter")
        assert "của năm ngoái" in lan.page
        assert "bản đầu tiên trục biết" in lan.page
        await lan.open("/mappings")
        assert "Có hiệu lực" in lan.page
        await lan.open("/codes/file_statuses")
        assert "bản đầu tiên trục biết" in lan.page


async def test_html_in_a_file_stays_text(stage: desk.Stage) -> None:
    await older(stage, "<script>alert(1)</script>\n")
    await history.keep(stage.hub.storage, now=desk.NOW)
    async with stage.signed_in("lan", "operator") as lan:
        await lan.open("/mappings/dvcqg_adapter")
        assert "<script>alert" not in lan.page
