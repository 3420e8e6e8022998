"""How many callbacks of payments a second are verified and settled, on SQLite and on PostgreSQL.

Ours is the whole of what the flow promises: the signature over the raw message, the attempt and its obligation
held, money true once, the dossier marked, the events, the raw message sealed, one commit, then the answer. Beside
it, over the same storage, in the same process and with as many messages at once, a bare handler: the same
signature, then one row inserted in a transaction of its own. Rounds alternate; the ratio is their median.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import figures

GOAL = 0.5
AT_ONCE = 16
SECRET, TERMINAL = "LGSPTESTSECRET0123456789ABCDEFGH", "LGSPDEMO"
FEE = 150_000


def main() -> None:
    """Measure, or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less work, the same goal")
    parser.add_argument("--one", nargs=4, metavar=("HOME", "URL", "PAIRS", "EACH"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        home, url, pairs, each = given.one
        print(json.dumps(asyncio.run(one(Path(home), url, pairs=int(pairs), each=int(each)))))
        return
    pairs, each = (5, 60) if given.quick else (9, 600)
    rows, found = [], {}
    for name in ("sqlite", "postgresql"):
        told = measured(name, pairs=pairs, each=each)
        found[f"least_{name}_share"] = told["share"]
        found |= {f"{name} ours_a_second": told["ours"], f"{name} bare_a_second": told["bare"]}
        rows.append([name, told["bare"], told["ours"], told["share"], min(told["shares"]), max(told["shares"])])
    figures.table(
        f"Callbacks a second, {AT_ONCE} at once, {pairs} pairs of {each}",
        ["", "bare: verify, insert", "verified and settled", "share", "lowest", "highest"],
        rows,
    )
    figures.finish("callbacks", figures=found, goals={name: GOAL for name in found if name.startswith("least_")})


def measured(name: str, *, pairs: int, each: int) -> dict[str, Any]:
    """Run one size in a process of its own."""
    from lienthong.console import services

    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lt-cb-", ignore_cleanup_errors=True)))
        home.chmod(0o755)
        url = stack.enter_context(services.postgres(home / "pg")) if name == "postgresql" else ""
        return figures.child(__file__, "--one", str(home / "hub"), url, str(pairs), str(each))


async def one(home: Path, url: str, *, pairs: int, each: int) -> dict[str, Any]:
    """Prepare payments, then let both handlers take callbacks about them in turns."""
    from lienthong.bus import hub as hubs
    from lienthong.core import migrations, settings

    section = {"enabled": True, "base_url": "http://127.0.0.1:9", "tmn_code": TERMINAL, "hash_secret": SECRET}
    tree = {
        "home": home,
        "database": {"url": url},
        "agency": {"code": "000.00.00.H38"},
        "systems": {"vnpay": section},
        "payments": {"return_url": "http://127.0.0.1/"},
    }
    async with hubs.opened(settings.Settings.model_validate(tree)) as hub:
        await migrations.upgrade(hub.storage)
        messages = iter([signed(it) for it in await begun(hub, each * (pairs + 1))])
        bare, ours = await bare_handler(hub), our_handler(hub)
        await paced(ours, list(itertools.islice(messages, each)))
        shares, speeds = [], []
        for turn in range(pairs):
            chosen = list(itertools.islice(messages, each))
            order = (bare, ours) if turn % 2 else (ours, bare)
            spent = {handler: await paced(handler, chosen) for handler in order}
            speeds.append((spent[bare], spent[ours]))
            shares.append(spent[ours] / spent[bare])
        await judged(hub, each * (pairs + 1))
    names = ("bare", "ours")
    told = {name: statistics.median(speed[n] for speed in speeds) for n, name in enumerate(names)}
    return {**told, "share": statistics.median(shares), "shares": shares}


async def begun(hub: Any, count: int) -> list[str]:
    """Declare dossiers and begin to pay each; gives the references."""
    from lienthong.api_keys import keys
    from lienthong.core import clock, tables

    now = clock.now()
    caller = keys.Caller("bench", "lt_test_x", "Sở Ví Dụ", "bench", frozenset({"*"}), environment="test")
    async with hub.storage.transaction() as tx:
        known = {"code": "1.001193", "name": "Đăng ký khai sinh", "folded": "dang ky khai sinh", "source": "bench"}
        times = {"first_seen_at": now, "changed_at": now, "seen_at": now}
        state = {"status": "active", "version": 1, "digest": "", "oddities": []}
        await tx.execute(tables.procedures.insert().values(**known, **times, **state))
    numbers = iter(range(count))

    async def some() -> list[str]:
        return [await owed(hub, number, caller) for number in numbers]

    return list(itertools.chain.from_iterable(await asyncio.gather(*(some() for _ in range(8)))))


async def owed(hub: Any, number: int, caller: Any) -> str:
    """Declare one dossier and begin to pay it; gives the reference."""
    from lienthong.bus.flows import dossier_status, payment, payment_views
    from lienthong.core import clock, records

    now = clock.now()
    dossier = records.Dossier(
        code=f"H38.15-260803-{number:06d}",
        procedure_code="1.001193",
        applicant=records.Applicant(
            kind="citizen", name="Nguyễn Văn Thử", citizen_id="000000000001", phone="0900000000"
        ),
        summary="Đăng ký khai sinh",
        channel=records.Channel.ONLINE,
        submitted_at=now - timedelta(hours=1),
        due_at=now + timedelta(days=2),
        agency="UBND xã Thử Nghiệm",
        fees=(records.DossierFee(name="Lệ phí", amount_vnd=FEE, code="1"),),
    )
    await dossier_status.put(hub, dossier, caller=caller, request_id="bench")
    wanted = {"dossier_code": dossier.code, "payer": {"name": "Nguyễn Văn Thử"}, "provider": "vnpay"}
    request = payment_views.PaymentRequest.model_validate(wanted)
    return str((await payment.start(hub, request, caller=caller, request_id="bench")).reference)


def signed(reference: str) -> Any:
    """Write the callback of a paid attempt as VNPAY signs it (contracts §7.4)."""
    import hashlib
    import hmac

    from lienthong.core import money

    number = str(14_000_000 + int.from_bytes(hashlib.sha256(reference.encode()).digest()[:3]))
    fields = {
        "vnp_Amount": str(FEE * 100),
        "vnp_BankCode": "NCB",
        "vnp_BankTranNo": f"VNP{number}",
        "vnp_CardType": "ATM",
        "vnp_OrderInfo": "Thanh toan ho so",
        "vnp_PayDate": "20260803093412",
        "vnp_ResponseCode": "00",
        "vnp_TmnCode": TERMINAL,
        "vnp_TransactionNo": number,
        "vnp_TransactionStatus": "00",
        "vnp_TxnRef": reference,
    }
    text = urlencode(sorted(fields.items()))
    query = f"{text}&vnp_SecureHash={hmac.new(SECRET.encode(), text.encode(), hashlib.sha512).hexdigest()}"
    return money.CallbackRequest(name="ipn", method="GET", query=query, headers={}, body=b"", address="127.0.0.1")


# ------------------------------------------------------------------------------------------- the two handlers

Handler = Callable[[Any], Awaitable[None]]


def our_handler(hub: Any) -> Handler:
    """Take a callback as the door passes it on."""
    from lienthong.bus.flows import payment

    async def take(request: Any) -> None:
        reply = await payment.callback(hub, "vnpay", request)
        assert reply.outcome == "recorded", reply.outcome

    return take


async def bare_handler(hub: Any) -> Handler:
    """Verify a callback and insert a row about it, nothing else."""
    import sqlalchemy as sa

    from lienthong.core import clock

    table = sa.Table(
        "bare_callbacks",
        sa.MetaData(),
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("reference", sa.String(40), nullable=False),
        sa.Column("amount_vnd", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    async with hub.storage.engine.begin() as connection:
        await connection.run_sync(table.create)
    connector = hub.systems["vnpay"]

    async def take(request: Any) -> None:
        news = connector.read_callback(request)
        values = {"id": clock.new_id(), "reference": news.reference, "amount_vnd": news.amount_vnd}
        async with hub.storage.transaction() as tx:
            await tx.execute(table.insert().values(**values, body=request.query.encode()))
        connector.reply(request, "recorded")

    return take


async def paced(handler: Handler, messages: list[Any]) -> float:
    """Let a handler take messages, so many at once; gives how many a second."""
    waiting: Iterator[Any] = iter(messages)

    async def some() -> None:
        for message in waiting:
            await handler(message)

    started = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return len(messages) / (time.perf_counter() - started)


async def judged(hub: Any, count: int) -> None:
    """Stop where what was measured is not what was promised: every attempt paid, once."""
    import sqlalchemy as sa

    from lienthong.core import tables

    payments, events = tables.payments, tables.events
    async with hub.storage.reading() as conn:
        asked = sa.select(sa.func.count()).where(payments.c.state == "paid", payments.c.received_vnd == FEE)
        paid = (await conn.execute(asked)).scalar_one()
        said = (
            await conn.execute(sa.select(sa.func.count()).where(events.c.kind == "payments.paid"))
        ).scalar_one()
    if (paid, said) != (count, count):
        raise SystemExit(f"{paid} paid and {said} events of {count}")


if __name__ == "__main__":
    main()
