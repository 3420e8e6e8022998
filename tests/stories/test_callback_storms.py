"""Callbacks through the real door: the same one fifty times at once, contradicting ones together, and nonsense."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import builders
import doors
import httpx
import payment_town
import pytest
import sqlalchemy as sa
import test_payment_sandbox as imitations
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from payment_town import FEE, Town

from lienthong.bus import hub as hubs
from lienthong.bus.flows import dossier_status, payment_watch
from lienthong.core import settings as hub_settings
from lienthong.core import storage, tables

MANY = 50
_p = tables.payments


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with payment_town.opened(tmp_path, database_url) as opened:
        yield opened


async def sent(client: httpx.AsyncClient, town: Town, reference: str, **changed: Any) -> str:
    """Send what the intermediary signed; gives what it was answered."""
    message = payment_town.signed(town.bank.news(reference, **changed))
    answer = await client.post(
        f"/callbacks/{town.bank.name}/ipn", content=message.body, headers=dict(message.headers)
    )
    assert answer.status_code == 200
    return answer.text


# ------------------------------------------------------------------------------------------------ all at once


async def test_the_same_callback_fifty_times_at_once_settles_once(town: Town) -> None:
    view = await town.start()
    async with doors.client(town.hub) as client:
        said = await asyncio.gather(*(sent(client, town, view.reference) for _ in range(MANY)))
    assert Counter(said) == {"recorded": 1, "already": MANY - 1}
    assert await town.state(view) == "paid"
    assert len(await town.events("payments.paid")) == 1
    [obligation] = await town.rows(tables.obligations)
    assert (obligation["state"], obligation["paid_by"]) == ("paid", view.id)
    assert len(await town.rows(tables.payment_messages)) == MANY
    assert await town.questions() == []


async def test_callbacks_queries_and_contradictions_at_once_settle_once(town: Town) -> None:
    view = await town.start()
    town.bank.says = town.bank.news(view.reference)
    town.wait(minutes=16)
    async with doors.client(town.hub) as client:
        await asyncio.gather(
            *(sent(client, town, view.reference) for _ in range(20)),
            *(sent(client, town, view.reference, state="pending") for _ in range(10)),
            *(sent(client, town, view.reference, amount_vnd=FEE - 1) for _ in range(10)),
            *(payment_watch.run(town.hub) for _ in range(4)),
        )
    assert await town.state(view) == "paid"
    assert len(await town.events("payments.paid")) == 1
    assert await town.questions() == ["amount_differs"]


async def test_two_attempts_paid_at_the_same_moment_count_once(town: Town) -> None:
    first, second = await town.start(), await town.start(provider="momo")
    bodies = [
        (bank.name, payment_town.signed(bank.news(view.reference)))
        for bank, view in ((town.bank, first), (town.other, second))
    ]
    async with doors.client(town.hub) as client:
        await asyncio.gather(
            *(
                client.post(f"/callbacks/{name}/ipn", content=it.body, headers=dict(it.headers))
                for name, it in bodies * 10
            )
        )
    assert sorted([await town.state(first), await town.state(second)]) == ["needs_person", "paid"]
    assert await town.questions() == ["paid_twice"]
    assert len(await town.events("payments.paid")) == 1
    assert sum(row["received_vnd"] for row in await town.rows(_p)) == 2 * FEE


# --------------------------------------------------------------------------------------------------- nonsense

# What each calls its fields, and where it calls.
FIELDS = {
    "vnpay": ("ipn", ("vnp_Amount", "vnp_TxnRef", "vnp_ResponseCode", "vnp_TransactionStatus", "vnp_SecureHash")),
    "momo": ("ipn", ("partnerCode", "orderId", "requestId", "amount", "resultCode", "transId", "signature")),
    "dvcqg_payment": ("dpnhankqthanhtoanhs", ("MaThamChieu", "SoTien", "MaLoi", "MaDoiTac", "MaXacThuc")),
    "keypay": ("result", ("transaction_id", "trans_amount", "status", "client_id", "check_sum")),
    "paygov": ("result", ("requestCode", "amount", "orderId", "errorCode", "checksum")),
    "vietqr": ("any", ("reference", "amount")),
}
TEXTS = st.text(max_size=30) | st.sampled_from(["LT26011509000000AAAA", str(FEE), "00", "0", "LGSPDEMO", "a" * 64])
VALUES = (
    TEXTS | st.integers(-(10**20), 10**20) | st.floats() | st.none() | st.booleans() | st.lists(TEXTS, max_size=2)
)
WHAT = st.sampled_from(sorted(FIELDS))


@asynccontextmanager
async def with_real_connectors(home: Path) -> AsyncIterator[tuple[hubs.Hub, str]]:
    """Open a hub with every connector of payments, nobody behind them, and an attempt with each that waits."""
    sections = {
        name: {"enabled": True, "base_url": "http://127.0.0.1:9", **imitations.SECTIONS[name]} for name in FIELDS
    }
    chosen = {"agency": hub_settings.Agency(code=payment_town.AGENCY), "systems": sections}
    async with builders.running_hub(home, **chosen) as hub:
        dossier = payment_town.dossier()
        await builders.seed_procedure(hub, code=dossier.procedure_code)
        await dossier_status.put(hub, dossier, caller=payment_town.caller(), request_id="r")
        await waiting(hub)
        yield hub, dossier.code


async def waiting(hub: hubs.Hub) -> None:
    """Write an attempt that waits at each intermediary."""
    now = hub.now()
    obligation = {
        "id": "o",
        "dossier_code": payment_town.CODE,
        "name": "fees",
        "organisation": "Sở",
        "state": "owed",
    }
    obligation |= {"procedure_code": "1.001193", "amount_vnd": FEE, "created_at": now, "updated_at": now}
    row = {"obligation_id": "o", "dossier_code": payment_town.CODE, "state": "pending", "amount_vnd": FEE}
    row |= {"key_id": "k", "request_id": "r", "record": b"x", "created_at": now, "expires_at": now}
    async with hub.storage.transaction() as tx:
        await tx.execute(tables.obligations.insert().values(**obligation))
        for name in sorted(FIELDS):
            await tx.execute(_p.insert().values(id=name, reference=reference_of(name), provider=name, **row))


def reference_of(provider: str) -> str:
    """Give our number of the attempt that waits there."""
    return f"LT26011509000{sorted(FIELDS).index(provider)}AAAAAA"


async def book(hub: hubs.Hub) -> list[dict[str, Any]]:
    async with hub.storage.reading() as conn:
        return [
            *await storage.every(conn, sa.select(_p).order_by(_p.c.id)),
            *await storage.every(conn, sa.select(tables.obligations)),
            *await storage.every(conn, sa.select(tables.payment_questions)),
        ]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[tuple[hubs.Hub, httpx.AsyncClient, list[dict[str, Any]]]]:
    async with with_real_connectors(tmp_path) as (hub, _), doors.client(hub) as client:
        yield hub, client, await book(hub)


def requests(provider: str, given: dict[str, Any], raw: bytes) -> list[tuple[str, str, bytes, str]]:
    """Write the same nonsense in every form in which a callback may come."""
    name, fields = FIELDS[provider]
    plain = {**dict.fromkeys(fields, reference_of(provider)), **given}
    at = f"/callbacks/{provider}/{name}"
    form = urlencode({key: str(value) for key, value in plain.items()}, errors="replace")
    known = json.dumps(plain, default=str).encode("utf-8", "replace")
    return [
        ("GET", f"{at}?{form}", b"", ""),
        ("POST", at, form.encode(), "application/x-www-form-urlencoded"),
        ("POST", at, known, "application/json"),
        ("POST", at, raw, "application/json"),
        ("POST", f"{at}/{name}", known + raw, "text/plain"),
    ]


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
async def test_no_nonsense_is_answered_with_500_or_moves_anything(
    stage: tuple[hubs.Hub, httpx.AsyncClient, list[dict[str, Any]]], data: st.DataObject
) -> None:
    hub, client, before = stage
    provider = data.draw(WHAT)
    given_fields = data.draw(st.dictionaries(st.sampled_from(FIELDS[provider][1]) | TEXTS, VALUES, max_size=7))
    for method, path, body, kind in requests(provider, given_fields, data.draw(st.binary(max_size=200))):
        headers = {"content-type": kind} if kind else {}
        answer = await client.request(method, path, content=body, headers=headers)
        assert answer.status_code != 500, (method, path, body)
    assert await book(hub) == before


@pytest.mark.parametrize("place", range(0, 300, 11))
async def test_one_letter_changed_in_a_signed_callback_moves_nothing(
    stage: tuple[hubs.Hub, httpx.AsyncClient, list[dict[str, Any]]], place: int
) -> None:
    hub, client, before = stage
    signed = signed_by_vnpay(reference_of("vnpay"))
    at = place % len(signed)
    changed = f"{signed[:at]}{'1' if signed[at] != '1' else '2'}{signed[at + 1 :]}"
    answer = await client.get(f"/callbacks/vnpay/ipn?{changed}")
    assert answer.status_code != 500
    assert answer.json()["RspCode"] not in ("00", "02")
    assert await book(hub) == before


def signed_by_vnpay(reference: str) -> str:
    """Write a callback about a paid attempt, as VNPAY signs it (contracts §7.4)."""
    from lienthong.sandbox import vnpay

    terminal = vnpay.Terminal()
    fields = {
        "vnp_Amount": str(FEE * 100), "vnp_BankCode": "NCB", "vnp_PayDate": "20260115093412",
        "vnp_ResponseCode": "00", "vnp_TmnCode": terminal.code, "vnp_TransactionNo": "14012345",
        "vnp_TransactionStatus": "00", "vnp_TxnRef": reference,
    }  # fmt: skip
    text = urlencode(sorted(fields.items()))
    return f"{text}&vnp_SecureHash={vnpay.sign(text, terminal.secret).decode()}"


async def test_the_signed_callback_itself_does_move_it(
    stage: tuple[hubs.Hub, httpx.AsyncClient, list[dict[str, Any]]],
) -> None:
    hub, client, before = stage
    answer = await client.get(f"/callbacks/vnpay/ipn?{signed_by_vnpay(reference_of('vnpay'))}")
    assert answer.json()["RspCode"] == "00"
    [moved] = [row for row, was in zip(await book(hub), before, strict=True) if row.get("provider") and row != was]
    assert (moved["provider"], moved["state"], moved["received_vnd"]) == ("vnpay", "paid", FEE)
