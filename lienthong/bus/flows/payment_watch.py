"""The watch over payments: asks about what stays silent, lets attempts run out, alerts, fetches receipts."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from lienthong.api_keys import keys
from lienthong.bus.flows import payment, payment_records, payment_refund, payment_refund_watch, payment_views
from lienthong.bus.hub import Hub
from lienthong.connectors import roles
from lienthong.core import errors, money, storage, tables

_p, _c = tables.payments, tables.payment_receipts
_RECEIPT = "receipt"
_LONGEST_WAIT = timedelta(hours=6)
_RECEIPT_TRIES = 40
# So long after its end an attempt may still turn out paid, where the intermediary cannot be asked.
_GRACE = timedelta(minutes=30)
_SENDING = timedelta(minutes=10)
_AT_ONCE = 500
_BESIDE = 8
Row = Mapping[str, Any]


@dataclass(slots=True)
class Report:
    """What one round of the watch did."""

    asked: int = 0
    silent: int = 0
    expired: int = 0
    alerted: int = 0
    receipts: int = 0
    refunds: int = 0
    refunds_asked: int = 0


async def run(hub: Hub) -> Report:
    """Do one round. Safe to repeat, and in two processes at once."""
    report, now = Report(), hub.now()
    report.asked = sum(await _several(await _due(hub, _p.c.query_at), lambda row: _look(hub, row, report)))
    report.receipts += sum(await _several(await _due(hub, _p.c.receipt_at), lambda row: _try_receipt(hub, row)))
    report.refunds += await payment_refund.lost(hub, before=now - _SENDING)
    report.refunds += await payment_refund_watch.resend(hub, before=now - _SENDING)
    report.refunds_asked = await payment_refund_watch.run(hub)
    report.alerted = await _alert(hub)
    return report


async def _several(rows: Sequence[Row], look: Callable[[Row], Awaitable[int]]) -> list[int]:
    """Look at several at a time, so that one slow intermediary does not hold up the others for hours."""
    free = asyncio.Semaphore(_BESIDE)

    async def one(row: Row) -> int:
        async with free:
            return await look(row)

    ended = await asyncio.gather(*map(one, rows), return_exceptions=True)
    for problem in ended:
        if isinstance(problem, BaseException):
            raise problem
    return [it for it in ended if isinstance(it, int)]


async def _due(hub: Hub, moment: sa.Column[Any]) -> list[dict[str, Any]]:
    wanted = sa.select(_p).where(moment <= hub.now()).order_by(moment).limit(_AT_ONCE)
    async with hub.storage.reading() as conn:
        return await storage.every(conn, wanted)


# ------------------------------------------------------------------------------------------------- queries


async def _look(hub: Hub, row: Row, report: Report) -> int:
    """Ask how one attempt stands, unless another process is about to; gives 1 where the intermediary said it."""
    if not await _take(hub, row, _p.c.query_at, query_at=_next(hub, row["queries"]), queries=row["queries"] + 1):
        return 0
    intermediary = hub.systems.get(row["provider"])
    if not isinstance(intermediary, roles.PaymentProvider):
        error: errors.HubError | None = errors.NotOffered(system=row["provider"])
    else:
        error = await payment.ask_about(hub, intermediary, payment_records.order(hub, row))
    if error is None:
        return 1
    report.silent += 1
    if isinstance(error, errors.NotOffered):
        report.expired += await _run_out(hub, row)
        return 0
    async with hub.storage.transaction() as tx:
        await payment_records.change(tx, row["id"], last_code=error.code[:60])
    return 0


def _next(hub: Hub, queries: int) -> Any:
    first = timedelta(minutes=hub.settings.payments.silent_minutes)
    return hub.now() + min(first * 2 ** min(queries, 10), _LONGEST_WAIT)


async def _take(hub: Hub, row: Row, column: sa.Column[Any], **values: Any) -> bool:
    async with hub.storage.transaction() as tx:
        taken = await tx.execute(
            _p.update().where(_p.c.id == row["id"], column == row[column.name]).values(**values)
        )
        return bool(taken.rowcount)


async def _run_out(hub: Hub, row: Row) -> int:
    """End an attempt whose time is over and about which nobody can be asked; money that still comes is late."""
    now = hub.now()
    over_at = row["expires_at"] + _grace(hub, row["provider"])
    async with hub.storage.transaction() as tx:
        held = await payment_records.hold(hub, tx, row["id"])
        if held is None or held.payment["state"] not in ("created", "pending"):
            await payment_records.change(tx, row["id"], query_at=None)
            return 0
        if now < over_at:
            await payment_records.change(tx, row["id"], query_at=over_at)
            return 0
        await payment_records.change(tx, row["id"], state="expired", closed_at=now, query_at=None)
        facts = {"state": "expired", "how": "time"}
        await payment_records.announce(tx, "payments.expired", held.payment, facts, now=now)
    return 1


def _grace(hub: Hub, provider: str) -> timedelta:
    """Say how long after its end an attempt may still turn out paid: of a transfer only the statement tells."""
    chosen = hub.settings.payments
    return timedelta(days=chosen.statement_wait_days) if provider in chosen.statement_providers else _GRACE


async def _alert(hub: Hub) -> int:
    """Put on the list what has no end for a day; what waits for its statement ends by itself."""
    now, chosen = hub.now(), hub.settings.payments
    wanted = sa.select(_p).where(
        _p.c.state.in_(("created", "pending")),
        _p.c.created_at < now - timedelta(hours=chosen.alert_hours),
        _p.c.provider.not_in(chosen.statement_providers),
        _p.c.alerted_at.is_(None),
    )
    async with hub.storage.transaction() as tx:
        rows = await storage.every(tx, wanted.limit(_AT_ONCE))
        for row in rows:
            await payment_records.change(tx, row["id"], alerted_at=now)
            facts = {"state": row["state"], "last_code": row["last_code"], "queries": row["queries"]}
            await payment_records.ask(hub, tx, row, "silent", fact="silent", facts=facts)
            await payment_records.announce(tx, "payments.silent", row, facts, now=now)
    return len(rows)


# ------------------------------------------------------------------------------------------------ receipts


async def _try_receipt(hub: Hub, row: Row) -> int:
    """Fetch one receipt; what fails is tried again later, less and less often."""
    tries = row["receipt_tries"] + 1
    again = _next(hub, tries) if tries < _RECEIPT_TRIES else None
    if not await _take(hub, row, _p.c.receipt_at, receipt_at=again, receipt_tries=tries):
        return 0
    try:
        await _fetch(hub, row)
    except errors.NotOffered:
        async with hub.storage.transaction() as tx:
            await payment_records.change(tx, row["id"], receipt_at=None)
        return 0
    except errors.HubError as error:
        async with hub.storage.transaction() as tx:
            await payment_records.change(tx, row["id"], last_code=error.code[:60])
        return 0
    return 1


async def _fetch(hub: Hub, row: Row) -> None:
    intermediary = payment_records.provider(hub, row["provider"])
    found = await intermediary.receipt(payment_records.order(hub, row))
    shown = found.content or found.url.encode()
    values = {
        "payment_id": row["id"],
        "content_type": payment_records.plain(found.content_type, 100),
        "digest": hashlib.sha256(shown).hexdigest(),
        "bytes": len(found.content),
        "record": hub.vault.seal(_packed(found), purpose=_RECEIPT),
        "fetched_at": hub.now(),
    }
    async with hub.storage.transaction() as tx:
        await tx.execute(hub.storage.insert(_c).values(**values).on_conflict_do_nothing())
        await payment_records.change(tx, row["id"], receipt_at=None)


def _packed(found: money.ReceiptFile) -> bytes:
    return found.url.encode() + b"\0" + found.content


async def receipt(hub: Hub, payment_id: str, *, caller: keys.Caller) -> payment_views.ReceiptView:
    """Give the receipt of an attempt, fetching it now where that was not done yet.

    Raises NotFound where nothing was paid, and what the intermediary fails with.
    """
    row, _ = await payment_records.owned(hub, payment_id, caller=caller)
    if not row["received_vnd"]:
        raise errors.NotFound(
            "there is no receipt: this payment is not paid", detail_vi="Chưa thanh toán nên chưa có biên lai."
        )
    kept = await _kept(hub, payment_id)
    if kept is None:
        await _fetch(hub, row)
        kept = await _kept(hub, payment_id)
    if kept is None:
        raise errors.InternalFault(reason="a receipt that was written is not there")
    url, _, content = hub.vault.open(kept["record"], purpose=_RECEIPT).partition(b"\0")
    return payment_views.ReceiptView(
        payment_id=payment_id,
        content_base64=base64.b64encode(content).decode(),
        content_type=kept["content_type"],
        url=url.decode(),
        digest=kept["digest"],
        fetched_at=kept["fetched_at"],
    )


async def _kept(hub: Hub, payment_id: str) -> dict[str, Any] | None:
    async with hub.storage.reading() as conn:
        return await storage.first(conn, sa.select(_c).where(_c.c.payment_id == payment_id))
