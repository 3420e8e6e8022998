"""Callbacks that come together share a transaction; none of them pays for another's trouble."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import payment_town
import pytest
import sqlalchemy as sa
from payment_town import AGENCY, FEE, Town

from lienthong.bus.flows import dossier_reading, dossier_status, payment, payment_views
from lienthong.core import gathered, tables

MANY = 12
_d, _p = tables.dossiers, tables.payments


@dataclass
class Payers:
    """A town in which many dossiers are being paid, an attempt for each."""

    town: Town
    begun: Sequence[payment_views.PaymentView]

    async def all_call(self, **changed: object) -> Counter[str]:
        """Let the intermediary call about every attempt at once; counts what it was answered."""
        return Counter(await asyncio.gather(*(self.town.hear(view, **changed) for view in self.begun)))

    async def states(self) -> Counter[str]:
        return Counter(row["state"] for row in await self.town.rows(_p))


@pytest.fixture
async def payers(database_url: str, tmp_path: Path) -> AsyncIterator[Payers]:
    async with payment_town.opened(tmp_path, database_url) as town:
        begun = []
        for number in range(MANY):
            code = f"{AGENCY}-260115-1{number:03d}"
            await dossier_status.put(
                town.hub, payment_town.dossier(code=code), caller=payment_town.caller(), request_id="r"
            )
            begun.append(await town.start(dossier_code=code))
        yield Payers(town, begun)


async def test_callbacks_that_come_together_are_all_settled(payers: Payers) -> None:
    assert await payers.all_call() == {"recorded": MANY}
    assert await payers.states() == {"paid": MANY}
    rows = await payers.town.rows(_p)
    assert {(row["received_vnd"], row["settled_by"], row["reversed"]) for row in rows} == {
        (FEE, "callback", False)
    }
    obligations = await payers.town.rows(tables.obligations)
    assert {row["id"]: row["paid_by"] for row in obligations} == {row["obligation_id"]: row["id"] for row in rows}
    assert len(await payers.town.events("payments.paid")) == MANY
    messages = await payers.town.rows(tables.payment_messages)
    assert Counter(row["payment_id"] for row in messages) == Counter(view.id for view in payers.begun)


async def test_each_dossier_is_marked_with_its_own_payment(payers: Payers) -> None:
    await payers.all_call()
    hub = payers.town.hub
    for view in payers.begun:
        shown = await dossier_reading.get(hub, view.dossier_code, caller=payment_town.caller())
        assert (shown.dossier.code, shown.dossier.online_payment) == (view.dossier_code, "other_gateway")


async def test_contradictions_among_them_wait_for_a_person_and_the_others_are_paid(payers: Payers) -> None:
    wrong, *right = payers.begun
    said = await asyncio.gather(
        payers.town.hear(wrong, amount_vnd=FEE - 1), *(payers.town.hear(view) for view in right)
    )
    assert Counter(said) == {"amount_differs": 1, "recorded": MANY - 1}
    assert await payers.town.questions() == ["amount_differs"]
    assert await payers.states() == {"paid": MANY - 1, "needs_person": 1}


async def test_one_whose_dossier_does_not_open_is_sent_again_and_the_others_are_paid(payers: Payers) -> None:
    altered = payers.begun[3].dossier_code
    async with payers.town.hub.storage.transaction() as tx:
        await tx.execute(_d.update().where(_d.c.code == altered).values(record=b"\x01 not what was sealed"))
    assert await payers.all_call() == {"failed": 1, "recorded": MANY - 1}
    assert await payers.states() == {"paid": MANY - 1, "pending": 1}
    assert len(await payers.town.rows(tables.payment_messages)) == MANY - 1


async def test_one_that_somebody_else_holds_keeps_no_other_waiting(payers: Payers) -> None:
    held, *free = payers.begun
    storage = payers.town.hub.storage
    if storage.is_sqlite:
        pytest.skip("SQLite has one writer: there is nobody else")
    async with storage.transaction() as tx:
        await tx.execute(sa.select(_d.c.code).where(_d.c.code == held.dossier_code).with_for_update())
        waiting = asyncio.create_task(payers.town.hear(held))
        said = await asyncio.gather(*(payers.town.hear(view) for view in free))
        assert Counter(said) == {"recorded": MANY - 1}
        assert not waiting.done()
    assert await waiting == "recorded"


async def test_the_same_and_another_in_one_group_count_once_each(payers: Payers) -> None:
    twice = [*payers.begun, *payers.begun]
    said = await asyncio.gather(*(payers.town.hear(view) for view in twice))
    assert Counter(said) == {"recorded": MANY, "already": MANY}
    assert len(await payers.town.events("payments.paid")) == MANY


async def test_forged_ones_and_paid_ones_are_kept_side_by_side(payers: Payers) -> None:
    town = payers.town
    forged = payment_town.signed(town.bank.news(payers.begun[0].reference), signature="0" * 64)
    replies = await asyncio.gather(
        payers.all_call(), *(payment.callback(town.hub, town.bank.name, forged) for _ in range(5))
    )
    assert replies[0] == {"recorded": MANY}
    assert {reply.outcome for reply in replies[1:]} == {"forged"}
    assert len(await town.events("callbacks.forged")) == 5
    verdicts = Counter(row["verdict"] for row in await town.rows(tables.payment_messages))
    assert verdicts == {"recorded": MANY, "forged": 5}


async def test_a_storm_is_written_in_few_transactions(payers: Payers) -> None:
    begun = transactions(payers.town)
    await payers.all_call()
    # The first to come goes at once; who comes meanwhile goes together.
    assert len(begun) <= 1 + MANY // gathered.MOST_TOGETHER + 1


async def test_a_storm_of_the_same_message_is_written_in_few_transactions(payers: Payers) -> None:
    begun, times = transactions(payers.town), 40
    said = await asyncio.gather(*(payers.town.hear(payers.begun[0]) for _ in range(times)))
    assert Counter(said) == {"recorded": 1, "already": times - 1}
    assert len(begun) <= 1 + times // gathered.MOST_TOGETHER + 1
    assert len(await payers.town.rows(tables.payment_messages)) == times


def transactions(town: Town) -> list[object]:
    """Count the transactions that write from now on."""
    begun: list[object] = []
    sa.event.listen(town.hub.storage.engine.sync_engine, "begin", begun.append)
    return begun
