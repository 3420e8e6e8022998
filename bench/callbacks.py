"""How many callbacks of payments a second are verified and settled, on SQLite and on PostgreSQL.

Ours is the whole of what the flow promises: the signature over the raw message, the attempt and its obligation
held, money true once, the dossier marked, the events, the raw message sealed, committed, then the answer. Beside
it, over the same storage, in the same process and with as many messages at once, two bare handlers, which check
the same signature and insert one row: one in a transaction of its own for each message, as such a handler is
written, and the goal is set against it; one whose rows share transactions as ours do (`bare_grouped`), so that it
is seen what the sharing gives and what our work costs. All three wait for the disk before they answer. The rounds
go by turns; a share is the median of the rounds' own.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import figures
import sqlalchemy as sa

GOAL = 0.5
HANDLERS = ("bare", "bare_grouped", "ours")
AT_ONCE = 16
SECRET, TERMINAL = "LGSPTESTSECRET0123456789ABCDEFGH", "LGSPDEMO"
FEE = 150_000


def main() -> None:
    """Measure, or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less work, the same goal")
    parser.add_argument("--one", nargs=4, metavar=("HOME", "URL", "ROUNDS", "EACH"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        home, url, rounds, each = given.one
        print(json.dumps(asyncio.run(one(Path(home), url, rounds=int(rounds), each=int(each)))))
        return
    # Short ones, so that a slow stretch of the machine meets all three.
    rounds, each = (16, 128) if given.quick else (45, 128)
    rows, found = [], {}
    for name in ("sqlite", "postgresql"):
        told = measured(name, rounds=rounds, each=each)
        found[f"least_{name}_share"] = told["share"]
        found |= {f"{name} {other}": told[other] for other in (*HANDLERS, "share_of_grouped")}
        speeds = [round(told[handler]) for handler in HANDLERS]
        shares = [told["share"], min(told["shares"]), max(told["shares"]), told["share_of_grouped"]]
        rows.append([name, *speeds, *shares])
    figures.table(
        f"Callbacks a second, {AT_ONCE} at once, {rounds} rounds of {each}",
        ["", "bare", "bare, grouped", "settled", "of bare", "lowest", "highest", "of grouped"],
        rows,
    )
    figures.finish("callbacks", figures=found, goals={name: GOAL for name in found if name.startswith("least_")})


def measured(name: str, *, rounds: int, each: int) -> dict[str, Any]:
    """Run one size in a process of its own."""
    from lienthong.console import services

    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lt-cb-", ignore_cleanup_errors=True)))
        home.chmod(0o755)
        url = stack.enter_context(services.postgres(home / "pg")) if name == "postgresql" else ""
        return figures.child(__file__, "--one", str(home / "hub"), url, str(rounds), str(each))


async def one(home: Path, url: str, *, rounds: int, each: int) -> dict[str, Any]:
    """Prepare payments, then let the handlers take callbacks about them by turns."""
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
        messages = iter([signed(it) for it in await begun(hub, each * (rounds + 1))])
        handlers = {
            "bare": await bare_handler(hub),
            "bare_grouped": grouped_handler(hub),
            "ours": our_handler(hub),
        }
        speeds: dict[str, list[float]] = {name: [] for name in HANDLERS}
        for turn in range(-1, rounds):
            chosen = list(itertools.islice(messages, each))
            for name in HANDLERS[turn % 3 :] + HANDLERS[: turn % 3]:
                speed = await paced(handlers[name], chosen)
                if turn >= 0:  # the first is for warming up
                    speeds[name].append(speed)
        await judged(hub, each * (rounds + 1))
    shares, of_grouped = (
        [our / their for our, their in zip(speeds["ours"], speeds[other], strict=True)] for other in HANDLERS[:2]
    )
    told = {name: statistics.median(found) for name, found in speeds.items()}
    more = {"share": statistics.median(shares), "share_of_grouped": statistics.median(of_grouped)}
    return {**told, **more, "shares": shares}


async def begun(hub: Any, count: int) -> list[str]:
    """Declare a dossier and begin to pay it, and copy both under other numbers; gives the references."""
    from lienthong.bus.flows import dossier_rows, payment_records
    from lienthong.core import clock, money, records, tables

    first = await owed(hub)
    kept = (tables.dossiers, tables.obligations, tables.payments)
    async with hub.storage.reading() as conn:
        of_dossier, obligation, payment = [(await conn.execute(one.select())).mappings().one() for one in kept]
    dossier, order = dossier_rows.record(hub, of_dossier), payment_records.order(hub, payment)
    copies: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
    for number in range(1, count):
        code, reference = f"{dossier.code[:-6]}{number:06d}", payment_records.new_number("LT", hub.now())
        ids = {"id": clock.new_id(), "obligation_id": clock.new_id(), "dossier_code": code}
        other: records.Dossier = dossier.model_copy(update={"code": code})
        asked: money.PaymentOrder = order.model_copy(update={"dossier_code": code, "reference": reference})
        sealed = payment_records.seal_order(hub, asked)
        copies[0].append({**of_dossier, "code": code, **dossier_rows.sealed(hub, other)})
        copies[1].append({**obligation, "id": ids["obligation_id"], "dossier_code": code})
        copies[2].append({**payment, **ids, "reference": reference, "record": sealed})
    async with hub.storage.transaction() as tx:
        for table, rows in zip(kept, copies, strict=True):
            await tx.execute(table.insert(), rows)
    return [first, *(row["reference"] for row in copies[2])]


async def owed(hub: Any) -> str:
    """Declare one dossier and begin to pay it; gives the reference."""
    from lienthong.api_keys import keys
    from lienthong.bus.flows import dossier_status, payment, payment_views
    from lienthong.core import clock, records, tables

    now = clock.now()
    async with hub.storage.transaction() as tx:
        known = {"code": "1.001193", "name": "Đăng ký khai sinh", "folded": "dang ky khai sinh", "source": "bench"}
        times = {"first_seen_at": now, "changed_at": now, "seen_at": now}
        state = {"status": "active", "version": 1, "digest": "", "oddities": []}
        await tx.execute(tables.procedures.insert().values(**known, **times, **state))
    caller = keys.Caller("bench", "lt_test_x", "Sở Ví Dụ", "bench", frozenset({"*"}), environment="test")
    dossier = records.Dossier(
        code="H38.15-260803-000000",
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


# ------------------------------------------------------------------------------------------------ the handlers

Handler = Callable[[Any], Awaitable[None]]
BARE = sa.Table(
    "bare_callbacks",
    sa.MetaData(),
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("reference", sa.String(40), nullable=False),
    sa.Column("amount_vnd", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
_INSERT = BARE.insert()


def our_handler(hub: Any) -> Handler:
    """Take a callback as the door passes it on."""
    from lienthong.bus.flows import payment

    async def take(request: Any) -> None:
        reply = await payment.callback(hub, "vnpay", request)
        assert reply.outcome == "recorded", reply.outcome

    return take


async def bare_handler(hub: Any) -> Handler:
    """Verify a callback and insert a row about it, nothing else."""
    async with hub.storage.engine.begin() as connection:
        await connection.run_sync(BARE.create)

    async def take(request: Any) -> None:
        row = verified(hub, request)
        async with hub.storage.transaction() as tx:
            await tx.execute(_INSERT, row)
        hub.systems["vnpay"].reply(request, "recorded")

    return take


def grouped_handler(hub: Any) -> Handler:
    """Do the same with the row in a transaction that is shared as ours is."""

    async def take(request: Any) -> None:
        row = verified(hub, request)
        if await hub.storage.gathered(inserted, row) is None:
            await hub.storage.together(lambda tx: inserted(tx, [row]))
        hub.systems["vnpay"].reply(request, "recorded")

    return take


async def inserted(tx: Any, rows: Sequence[dict[str, Any]]) -> list[bool]:
    """Insert rows that share a transaction."""
    for row in rows:
        await tx.execute(_INSERT, row)
    return [True] * len(rows)


def verified(hub: Any, request: Any) -> dict[str, Any]:
    """Verify a callback; gives the row about it."""
    from lienthong.core import clock

    news = hub.systems["vnpay"].read_callback(request)
    values = {"id": clock.new_id(), "reference": news.reference, "amount_vnd": news.amount_vnd}
    return {**values, "body": request.query.encode()}


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
