"""Refund: money given back, asked for by one person and, above a set amount, approved by another (NT 8.4).

A refund is sent once. Where nobody knows whether it arrived, a person finds out; it is never simply sent again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import keys
from lienthong.bus.flows import payment_records, payment_settlement, payment_states, payment_views, refund_rows
from lienthong.bus.hub import Hub
from lienthong.core import clock, errors, money, storage, tables

_r, _p, _q = tables.payment_refunds, tables.payments, tables.payment_questions
_UNDERWAY = ("waiting", "ready", "sending", "accepted", "with_person")
# Sent out, or about to be: from here on the money counts as on its way back.
_ENDED = ("done", "refused", "declined")
_LEAVING = ("ready", "sending", "accepted", "with_person")


# ------------------------------------------------------------------------------------- asked for and approved


async def request(
    hub: Hub, payment_id: str, wanted: payment_views.RefundRequest, *, caller: keys.Caller, repeat: str = ""
) -> payment_views.RefundView:
    """Ask for money to be given back; sent at once unless it needs a second person.

    Who asked is what the sector software says; the key by which it said so is kept beside it. Asked for again by
    the same `repeat` it is found. Raises Conflict where no money came in, or more is asked for than is left.
    """
    row, _ = await payment_records.owned(hub, payment_id, caller=caller)
    async with hub.storage.transaction() as tx:
        held = await refund_rows.hold(hub, tx, row["id"])
        refund = await storage.first(tx, sa.select(_r).where(_r.c.id == repeat))
        if refund is None:
            refund = await _asked(hub, tx, held, wanted, number=repeat, key_id=caller.key_id)
    return await _sent_if_ready(hub, refund)


async def request_at_desk(
    hub: Hub, payment_id: str, *, amount_vnd: int | None, reason: str, by: str
) -> payment_views.RefundView:
    """Ask for money to be given back as a person of the hub. Raises as `request` does."""
    wanted = _wanted(amount_vnd, reason=reason, by=by)
    async with hub.storage.transaction() as tx:
        held = await refund_rows.hold(hub, tx, payment_id)
        refund = await _asked(hub, tx, held, wanted, key_id=None)
        await refund_rows.note(
            hub, tx, "payments.refund_request", refund, by=by, reason=reason, after=refund["state"]
        )
    return await _sent_if_ready(hub, refund)


def _wanted(amount_vnd: int | None, *, reason: str, by: str) -> payment_views.RefundRequest:
    given = {"amount_vnd": amount_vnd, "reason": reason, "requested_by": by}
    try:
        return payment_views.RefundRequest.model_validate(given)
    except ValueError:
        raise errors.InvalidRequest(
            "a refund needs a whole amount above nothing and a reason of at least 5 letters",
            detail_vi="Hoàn tiền cần số tiền nguyên lớn hơn 0 và lý do từ 5 ký tự.",
        ) from None


async def _sent_if_ready(hub: Hub, refund: Mapping[str, Any]) -> payment_views.RefundView:
    if refund["state"] == "ready":
        await send(hub, refund["id"])
    return payment_views.refund_view(await refund_rows.row(hub, refund["id"]))


async def _asked(
    hub: Hub,
    tx: AsyncConnection,
    held: payment_records.Held,
    wanted: payment_views.RefundRequest,
    *,
    key_id: str | None,
    number: str = "",
) -> dict[str, Any]:
    left = payment_states.refundable(held.standing, underway_vnd=await refund_rows.amount_in(tx, held, _UNDERWAY))
    amount = left if wanted.amount_vnd is None else wanted.amount_vnd
    if amount < 1 or amount > left:
        raise errors.Conflict(
            f"there are {max(left, 0)} đồng left that could be given back",
            detail_vi=f"Số tiền còn có thể hoàn là {max(left, 0)} đồng.",
            reason="nothing_left" if left < 1 else "too_much",
        )
    now = hub.now()
    # With what was asked for before: else much is given back in small parts by one person.
    together = held.standing.received_vnd - left + amount
    needs_second = together > hub.settings.payments.two_people_above_vnd
    refund = {
        "id": number or clock.new_id(),
        "payment_id": held.payment["id"],
        "request_number": payment_records.new_number("RF", now),
        "amount_vnd": amount,
        "reason": wanted.reason,
        "state": "waiting" if needs_second else "ready",
        "requested_at": now,
        "requested_by": wanted.requested_by,
        "requested_through": "desk" if key_id is None else "api",
        "requested_key_id": key_id,
    }
    await tx.execute(_r.insert().values(**refund))
    facts = {"refund_id": refund["id"], "refund_vnd": amount, "needs_second_person": needs_second}
    await payment_records.announce(tx, "payments.refund_asked", held.payment, facts, now=now)
    if not needs_second:
        await payment_records.change(tx, held.payment["id"], state="refund_requested")
    return refund


async def approve(hub: Hub, refund_id: str, *, by: str, reason: str = "") -> payment_views.RefundView:
    """Approve a refund as a person of the hub, who may say why, and send it.

    Raises NotGranted for the one who asked, and Conflict where the intermediary took the money out meanwhile.
    """
    async with hub.storage.transaction() as tx:
        held, refund = await refund_rows.both(hub, tx, refund_id)
        _must_wait(refund)
        if by.strip().casefold() == refund["requested_by"].strip().casefold():
            raise errors.NotGranted(
                "whoever asked for the refund cannot approve it",
                detail_vi="Người đề nghị hoàn tiền không được tự duyệt.",
            )
        if held.standing.is_reversed:
            raise errors.Conflict(
                "the intermediary has taken this money out again by itself; decline the refund",
                detail_vi="Trung gian đã tự hoàn khoản tiền này; hãy không duyệt yêu cầu hoàn.",
                reason="reversed",
            )
        await refund_rows.change(tx, refund_id, state="ready", approved_at=hub.now(), approved_by=by)
        await payment_records.change(tx, held.payment["id"], state="refund_requested")
        await refund_rows.note(hub, tx, "payments.refund_approve", refund, by=by, reason=reason, after="ready")
    await send(hub, refund_id)
    return payment_views.refund_view(await refund_rows.row(hub, refund_id))


async def decline(hub: Hub, refund_id: str, *, by: str, reason: str) -> payment_views.RefundView:
    """Refuse a refund that waits for the second person."""
    async with hub.storage.transaction() as tx:
        _, refund = await refund_rows.both(hub, tx, refund_id)
        _must_wait(refund)
        await refund_rows.change(tx, refund_id, state="declined", finished_at=hub.now(), finished_by=by)
        await refund_rows.note(hub, tx, "payments.refund_decline", refund, by=by, reason=reason, after="declined")
    return payment_views.refund_view(await refund_rows.row(hub, refund_id))


def _must_wait(refund: Mapping[str, Any]) -> None:
    if refund["state"] != "waiting":
        raise errors.Conflict(
            "this refund does not wait for an approval",
            detail_vi="Yêu cầu hoàn tiền này không còn chờ duyệt.",
        )


# ---------------------------------------------------------------------------------------------------- sent


async def send(hub: Hub, refund_id: str) -> None:
    """Send a refund that is ready, once; whoever comes second finds it taken."""
    async with hub.storage.transaction() as tx:
        held, refund = await refund_rows.both(hub, tx, refund_id)
        if refund["state"] != "ready":
            return
        await refund_rows.change(tx, refund_id, state="sending", sent_at=hub.now())
    order = order_of(hub, held, refund)
    try:
        intermediary = payment_records.provider(hub, held.payment["provider"])
        news = await intermediary.refund(order)
    except errors.HubError as error:
        await _failed(hub, refund_id, error)
        return
    await heard(hub, refund_id, news)


def order_of(hub: Hub, held: payment_records.Held, refund: Mapping[str, Any]) -> money.RefundOrder:
    """Write a refund as an intermediary is asked for it, and about it."""
    payment, paid = held.payment, payment_records.order(hub, held.payment)
    return money.RefundOrder(
        request_number=refund["request_number"],
        reference=payment["reference"],
        provider_reference=payment["paid_reference"] or payment["provider_reference"],
        refund_reference=refund["provider_reference"],
        amount_vnd=refund["amount_vnd"],
        is_whole=refund["amount_vnd"] == payment["received_vnd"],
        reason=refund["reason"],
        paid_at=payment["paid_at"],
        started_at=payment["created_at"],
        created_at=refund["requested_at"],
        created_by=refund["requested_by"],
        address_of_device=paid.payer.address_of_device,
    )


async def _failed(hub: Hub, refund_id: str, error: errors.HubError) -> None:
    """Write down why no answer came: refused for good, not sent and to be tried again, or nobody knows."""
    is_uncertain = bool(error.facts.get("outcome_uncertain"))
    async with hub.storage.transaction() as tx:
        held, refund = await refund_rows.both(hub, tx, refund_id)
        code = error.code[:60]
        if refund["state"] in _ENDED:
            return
        if isinstance(error, errors.NotOffered):
            await _leave_to_person(hub, tx, held, refund, "refund_by_hand", code=code)
        elif isinstance(error, errors.RemoteRefused | errors.CallerError | errors.RemoteForbids):
            await _end(hub, tx, held, refund, state="refused", code=code)
        elif isinstance(error, errors.RemoteBusy | errors.RemoteUnavailable | errors.Misconfigured) and (
            not is_uncertain
        ):
            await refund_rows.change(tx, refund_id, state="ready", provider_code=code)
        else:
            await _leave_to_person(hub, tx, held, refund, "refund_unknown", code=code)


async def heard(hub: Hub, refund_id: str, news: money.RefundNews) -> None:
    """Let a word of the intermediary about a refund count, from its answer and from a query alike."""
    code = payment_records.plain(news.provider_code, 60)
    async with hub.storage.transaction() as tx:
        held, refund = await refund_rows.both(hub, tx, refund_id)
        if refund["state"] in _ENDED:
            # A person has said meanwhile how it ended; that the intermediary disagrees is for a person too.
            if news.state == "done" and refund["state"] != "done":
                await _disagree(hub, tx, held, refund, code=code)
            return
        reference = payment_records.plain(news.provider_reference, 100) or refund["provider_reference"]
        await refund_rows.change(tx, refund_id, provider_reference=reference)
        if news.state == "done":
            await _end(hub, tx, held, refund, state="done", code=code)
        elif news.state == "refused":
            await _end(hub, tx, held, refund, state="refused", code=code)
        elif news.state == "already":
            # The hub sent it once only, so somebody gave this money back by another way.
            await _leave_to_person(hub, tx, held, refund, "refunded_twice", code=code)
        elif refund["state"] == "accepted":
            await refund_rows.change(tx, refund_id, provider_code=code)
        else:
            ask_at = hub.now() + timedelta(minutes=hub.settings.payments.silent_minutes)
            await refund_rows.change(tx, refund_id, state="accepted", provider_code=code, query_at=ask_at)


async def _disagree(
    hub: Hub, tx: AsyncConnection, held: payment_records.Held, refund: Mapping[str, Any], *, code: str
) -> None:
    facts = {"refund_id": refund["id"], "provider_code": code, "state": refund["state"]}
    fact = f"{refund['id']}/done"
    await payment_records.ask(hub, tx, held.payment, "refund_unknown", fact=fact, facts=facts)


async def lost(hub: Hub, *, before: datetime) -> int:
    """Leave to a person what was being sent when its process died; gives how many."""
    wanted = sa.select(_r.c.id).where(_r.c.state == "sending", _r.c.sent_at < before)
    async with hub.storage.transaction() as tx:
        rows = await storage.every(tx, wanted)
        for row in rows:
            held, refund = await refund_rows.both(hub, tx, row["id"])
            if refund["state"] == "sending":
                await _leave_to_person(hub, tx, held, refund, "refund_unknown", code="")
    return len(rows)


# --------------------------------------------------------------------------------------------------- ended


async def resolve(
    hub: Hub, refund_id: str, *, outcome: Literal["done", "refused"], by: str, reason: str
) -> payment_views.RefundView:
    """Say, as the person who found out, how a refund ended that the intermediary did not tell of."""
    async with hub.storage.transaction() as tx:
        held, refund = await refund_rows.both(hub, tx, refund_id)
        if refund["state"] not in ("accepted", "with_person"):
            raise errors.Conflict(
                "this refund waits for nobody's finding",
                detail_vi="Yêu cầu hoàn tiền này không chờ ai kết luận.",
            )
        await _end(hub, tx, held, refund, state=outcome, code=refund["provider_code"], by=by)
        await refund_rows.note(hub, tx, "payments.refund_resolve", refund, by=by, reason=reason, after=outcome)
    return payment_views.refund_view(await refund_rows.row(hub, refund_id))


async def close_question(
    hub: Hub, question_id: str, *, decision: Literal["accept", "noted"], by: str, reason: str
) -> None:
    """Close a question with a reason; `accept` lets money that came in count for its obligation.

    Raises Conflict where it is closed, where nothing came in, or where another attempt has paid the obligation.
    """
    async with hub.storage.transaction() as tx:
        row = await storage.first(tx, sa.select(_q).where(_q.c.id == question_id))
        if row is None:
            raise errors.NotFound("no such question", detail_vi="Không có việc này trong danh sách.")
        held = await refund_rows.hold(hub, tx, row["payment_id"])
        closed = await tx.execute(
            _q.update()
            .where(_q.c.id == question_id, _q.c.closed_at.is_(None))
            .values(closed_at=hub.now(), closed_by=by, decision=decision, reason=reason)
        )
        if not closed.rowcount:
            raise errors.Conflict("this question is closed", detail_vi="Việc này đã được giải quyết.")
        if decision == "accept":
            await _accept(hub, tx, held)
        await refund_rows.note(hub, tx, "payments.question_close", row, by=by, reason=reason, after=decision)


async def _accept(hub: Hub, tx: AsyncConnection, held: payment_records.Held) -> None:
    payment = held.payment
    left = payment["received_vnd"] - payment["refunded_vnd"] - await refund_rows.amount_in(tx, held, _UNDERWAY)
    if payment["state"] != "needs_person" or left != payment["amount_vnd"]:
        raise errors.Conflict(
            "the whole amount must have come in, with nothing of it given back",
            detail_vi="Chỉ chấp nhận được khi tiền đã vào đủ và chưa hoàn lại phần nào.",
        )
    await payment_settlement.count(hub, tx, held)
    await payment_records.change(tx, payment["id"], state="paid", reversed=False)
    await payment_records.announce(tx, "payments.paid", payment, {"how": "person"}, now=hub.now())


async def _end(
    hub: Hub,
    tx: AsyncConnection,
    held: payment_records.Held,
    refund: Mapping[str, Any],
    *,
    state: Literal["done", "refused"],
    code: str,
    by: str = "",
) -> None:
    now, payment, obligation = hub.now(), held.payment, held.obligation
    ended = {"state": state, "provider_code": code, "finished_at": now, "finished_by": by or None}
    await refund_rows.change(tx, refund["id"], **ended, query_at=None)
    does_count = obligation["paid_by"] == payment["id"] and obligation["state"] == "paid"
    after = payment_states.after_refund(
        held.standing,
        amount_vnd=refund["amount_vnd"] if state == "done" else 0,
        underway_vnd=await refund_rows.amount_in(tx, held, _LEAVING),
        does_count=does_count,
    )
    await payment_records.change(tx, payment["id"], state=after.state, refunded_vnd=after.refunded_vnd)
    if after.state == "refunded" and obligation["paid_by"] == payment["id"]:
        await payment_records.oblige(tx, obligation["id"], now=now, state="refunded")
    facts = {"refund_id": refund["id"], "refund_vnd": refund["amount_vnd"], "state": after.state}
    await payment_records.announce(tx, f"payments.refund_{state}", payment, facts, now=now)


async def _leave_to_person(
    hub: Hub,
    tx: AsyncConnection,
    held: payment_records.Held,
    refund: Mapping[str, Any],
    kind: payment_states.Kind,
    *,
    code: str,
) -> None:
    await refund_rows.change(tx, refund["id"], state="with_person", provider_code=code)
    facts = {"refund_id": refund["id"], "provider_code": code}
    await payment_records.ask(
        hub, tx, held.payment, kind, fact=refund["id"], facts=facts, amount_vnd=refund["amount_vnd"]
    )
