"""Moments and numbers at the end of what calendars and databases can hold: refused or answered, never a defect."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import builders
import doors
import pytest

from lienthong.bus import hub
from lienthong.core import errors
from lienthong.monitoring import asking, search

DOSSIER = "/v1/dossiers/000.00.00.H38-260115-0001"


@pytest.fixture
async def opened(database_url: str, tmp_path: Path) -> AsyncIterator[hub.Hub]:
    async with builders.running_hub(tmp_path, database_url=database_url, systems=builders.NOBODY) as running:
        await builders.seed_procedure(running)
        yield running


@pytest.mark.parametrize(
    ("moment", "status"),
    [
        ("0001-01-01T00:00:00+14:00", 400),
        ("9999-12-31T23:59:59-12:00", 400),
        ("9999-12-31T23:59:59Z", 400),
        ("9999-12-31 23:59:59z", 400),
        ("9999-12-31T23:59:59+07:00", 200),
        ("0001-01-02T00:00:00Z", 200),
    ],
)
async def test_a_moment_beyond_every_calendar_was_a_defect(opened: hub.Hub, moment: str, status: int) -> None:
    key = (await builders.issue_key(opened)).key
    async with doors.client(opened, key=key) as caller:
        asked = await caller.get("/v1/procedures", params={"changed_since": moment})
        put = await caller.put(DOSSIER, json=builders.dossier_body(due_at=moment))
        read = await caller.get(DOSSIER)
    assert asked.status_code == status
    assert put.status_code in (201, 400)
    assert read.status_code in (200, 404)


@pytest.mark.parametrize("place", [f"{'9' * 30}.1", f"1.{'9' * 30}", f"-{'9' * 17}.1"])
async def test_a_cursor_that_nobody_gave_was_a_defect(opened: hub.Hub, place: str) -> None:
    cursor = base64.urlsafe_b64encode(place.encode()).decode()
    sources = asking.of(opened.storage, opened.settings.home)
    with pytest.raises(errors.InvalidRequest):
        await search.found(sources, asking.Question(), limit=5, cursor=cursor)


async def test_a_request_id_of_a_far_time_was_a_defect(opened: hub.Hub) -> None:
    sources = asking.of(opened.storage, opened.settings.home)
    question = asking.Question(request_id="ffffffff-ffff-7fff-bfff-ffffffffffff")
    assert (await search.found(sources, question, limit=5)).items == []
