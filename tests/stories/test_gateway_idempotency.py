"""Idempotency-Key: a request sent twice is done once, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import builders
import doors
import pytest
import sqlalchemy as sa

from lienthong.bus import hub
from lienthong.bus.gateway import idempotency
from lienthong.core import errors, tables

NAME = {"Idempotency-Key": "hs-0001-received"}


@pytest.fixture
async def opened(database_url: str, tmp_path: Path) -> AsyncIterator[hub.Hub]:
    async with builders.running_hub(tmp_path, database_url=database_url) as running:
        yield running


@pytest.fixture
async def key(opened: hub.Hub) -> str:
    return (await builders.issue_key(opened)).key


async def test_a_request_sent_again_gets_the_first_answer_again(opened: hub.Hub, key: str):
    desk = doors.Desk()
    async with doors.client(opened, desk=desk, key=key) as caller:
        first = await caller.post("/v1/notes", json={"text": "a"}, headers=NAME)
        again = await caller.post("/v1/notes", json={"text": "a"}, headers=NAME)
        other = await caller.post("/v1/notes", json={"text": "a"}, headers={"Idempotency-Key": "another"})
    assert (first.status_code, first.json()) == (again.status_code, again.json()) == (200, {"number": 1})
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert other.json() == {"number": 2}
    assert desk.runs == 2
    assert [row.outcome for row in await doors.journal(opened)] == ["ok", "ok", "ok"]


async def test_the_same_name_with_another_request_is_a_conflict(opened: hub.Hub, key: str):
    async with doors.client(opened, desk=doors.Desk(), key=key) as caller:
        await caller.post("/v1/notes", json={"text": "a"}, headers=NAME)
        other = await caller.post("/v1/notes", json={"text": "b"}, headers=NAME)
    assert other.status_code == 409
    assert "Idempotency-Key" in other.json()["detail"]


async def test_a_request_that_is_still_running_is_not_run_twice(opened: hub.Hub, key: str):
    desk = doors.Desk()
    async with doors.client(opened, desk=desk, key=key) as caller:
        first = asyncio.create_task(caller.post("/v1/slow", json={"text": "a"}, headers=NAME))
        await desk.started.wait()
        meanwhile = await caller.post("/v1/slow", json={"text": "a"}, headers=NAME)
        desk.go.set()
        assert (await first).status_code == 200
        after = await caller.post("/v1/slow", json={"text": "a"}, headers=NAME)
    assert (meanwhile.status_code, meanwhile.headers["retry-after"]) == (409, "1")
    assert after.headers["idempotent-replayed"] == "true"
    assert desk.runs == 1


async def test_sixteen_at_once_are_done_once(opened: hub.Hub, key: str):
    desk = doors.Desk()
    async with doors.client(opened, desk=desk, key=key) as caller:
        posts = [caller.post("/v1/notes", json={"text": "a"}, headers=NAME) for _ in range(16)]
        statuses = [answer.status_code for answer in await asyncio.gather(*posts)]
    assert desk.runs == 1
    assert set(statuses) <= {200, 409}


async def test_a_refused_request_may_be_put_right_under_its_name(opened: hub.Hub, key: str):
    async with doors.client(opened, desk=doors.Desk(), key=key) as caller:
        assert (await caller.post("/v1/notes", json={"text": "conflict"}, headers=NAME)).status_code == 409
        assert (await caller.post("/v1/notes", json={"text": "a"}, headers=NAME)).status_code == 200


async def test_two_keys_do_not_share_names(opened: hub.Hub, key: str):
    desk = doors.Desk()
    other = (await builders.issue_key(opened)).key
    async with doors.client(opened, desk=desk, key=key) as caller:
        await caller.post("/v1/notes", json={"text": "a"}, headers=NAME)
        await caller.post("/v1/notes", json={"text": "b"}, headers={**NAME, "X-API-Key": other})
    assert desk.runs == 2


async def test_the_kept_answer_does_not_lie_in_clear(opened: hub.Hub, key: str):
    async with doors.client(opened, desk=doors.Desk(), key=key) as caller:
        await caller.post("/v1/notes", json={"text": "a"}, headers=NAME)
    async with opened.storage.reading() as conn:
        row = (await conn.execute(sa.select(tables.idempotency_keys))).one()
    assert b"number" not in row.answer


async def test_after_a_day_a_name_is_free_again(opened: hub.Hub, key: str):
    claim = idempotency.Claim("key", "name", "digest")
    now = opened.now()
    assert await idempotency.claim(opened, claim, now=now) is None
    assert await idempotency.sweep(opened, now=now + timedelta(hours=23)) == 0
    assert await idempotency.sweep(opened, now=now + timedelta(hours=25)) == 1
    assert await idempotency.claim(opened, claim, now=now) is None


async def test_a_request_that_died_with_its_process_may_be_sent_again(opened: hub.Hub, key: str):
    claim = idempotency.Claim("key", "name", "digest")
    now = opened.now()
    assert await idempotency.claim(opened, claim, now=now) is None
    assert await idempotency.claim(opened, claim, now=now + timedelta(seconds=61)) is None


@pytest.mark.parametrize("name", ["", " ", "a b", "ế".encode(), "a" * 201])
async def test_a_name_that_cannot_be_one_is_refused(opened: hub.Hub, key: str, name):
    async with doors.client(opened, desk=doors.Desk(), key=key) as caller:
        answer = await caller.post("/v1/notes", json={"text": "a"}, headers={"Idempotency-Key": name})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


async def test_a_name_given_up_while_another_asks_for_it_was_a_defect(opened: hub.Hub) -> None:
    claim = idempotency.Claim("key", "name", "digest")

    async def one() -> None:
        for _ in range(40):
            try:
                await idempotency.claim(opened, claim, now=opened.now())
            except errors.Conflict:
                continue
            await idempotency.abandon(opened, claim)

    await asyncio.gather(*(one() for _ in range(8)))
