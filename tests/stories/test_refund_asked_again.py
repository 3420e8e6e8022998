"""A refund asked for again under its Idempotency-Key is one refund, also where the first answer was lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import builders
import doors
import httpx
import payment_town
import pytest
import sqlalchemy as sa
from payment_town import Town

from lienthong.core import tables

_t = tables.idempotency_keys
NAME = {"Idempotency-Key": "hoan-0001"}
ASKED = {"amount_vnd": 50_000, "reason": "Rút hồ sơ", "requested_by": "ketoan01"}


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with payment_town.opened(tmp_path, database_url, two_people_above_vnd=1_000_000) as opened:
        yield opened


async def paid(town: Town) -> str:
    view = await town.start()
    await town.hear(view)
    return f"/v1/payments/{view.id}/refunds"


async def forget_answer(town: Town, *, kept: bool) -> None:
    """Leave what is left where the process was killed before it kept the answer, or the database had gone."""
    async with town.hub.storage.transaction() as tx:
        if kept:
            await tx.execute(_t.update().values(status=None, answer=None))
        else:
            await tx.execute(sa.delete(_t))
    town.wait(seconds=61)


async def key_of(town: Town) -> str:
    return (await builders.issue_key(town.hub, organisation=payment_town.ORGANISATION)).key


@pytest.mark.parametrize("kept", [True, False], ids=["killed", "database away"])
async def test_a_refund_whose_answer_was_lost_was_given_twice_when_it_was_asked_for_again(
    town: Town, kept: bool
) -> None:
    place = await paid(town)
    async with doors.client(town.hub, key=await key_of(town)) as caller:
        first = await caller.post(place, json=ASKED, headers=NAME)
        await forget_answer(town, kept=kept)
        again = await caller.post(place, json=ASKED, headers=NAME)
    assert [first.status_code, again.status_code] == [202, 202]
    assert again.json()["id"] == first.json()["id"]
    assert [order.amount_vnd for order in town.bank.refunds] == [50_000]


async def test_two_refunds_under_two_names_are_two(town: Town) -> None:
    place = await paid(town)
    async with doors.client(town.hub, key=await key_of(town)) as caller:
        answers: list[httpx.Response] = [
            await caller.post(place, json=ASKED, headers=headers)
            for headers in (NAME, {"Idempotency-Key": "hoan-0002"}, {})
        ]
    assert [answer.status_code for answer in answers] == [202] * 3
    assert len(town.bank.refunds) == 3


async def test_another_refund_under_a_name_of_yesterday_is_another(town: Town) -> None:
    place = await paid(town)
    async with doors.client(town.hub, key=await key_of(town)) as caller:
        await caller.post(place, json=ASKED, headers=NAME)
        await forget_answer(town, kept=False)
        town.wait(hours=24)
        await caller.post(place, json={**ASKED, "amount_vnd": 60_000}, headers=NAME)
    assert [order.amount_vnd for order in town.bank.refunds] == [50_000, 60_000]
