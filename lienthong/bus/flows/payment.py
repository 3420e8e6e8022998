"""Payment: begin an attempt, hear of it from the intermediary, say how it stands (house.md section 5)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.api_keys import keys
from lienthong.bus import events
from lienthong.bus.flows import (
    callback_sealing,
    dossier_rows,
    payment_obligation,
    payment_records,
    payment_settlement,
    payment_views,
    postal_cod,
)
from lienthong.bus.hub import Hub
from lienthong.connectors import roles
from lienthong.core import clock, errors, money, records, storage, tables

_p, _m = tables.payments, tables.payment_messages
_KEEP = _m.insert()
# An attempt that was begun and of which nothing more is known: whoever began it may still be waiting.
_BEGINNING = timedelta(minutes=2)
# After these nothing was asked for over there; after anything else it may have been.
_NOT_ASKED = (
    errors.CallerError,
    errors.RemoteRefused,
    errors.RemoteForbids,
    errors.RemoteBusy,
    errors.RemoteUnavailable,
    errors.Misconfigured,
    errors.NotOffered,
)


# ------------------------------------------------------------------------------------------------- start


async def start(
    hub: Hub, request: payment_views.PaymentRequest, *, caller: keys.Caller, request_id: str
) -> payment_views.PaymentView:
    """Begin to pay what a dossier owes: where the payer goes, or a code to scan.

    While an attempt for the same amount with the same intermediary can still be paid, it is the answer again.
    Raises Conflict where all is paid, or nothing is owed, also by a rule of the province; and what the
    intermediary refuses with.
    """
    chosen = _choose(hub, request.provider)
    intermediary = payment_records.provider(hub, chosen)
    async with hub.storage.transaction() as tx:
        dossier = await _dossier(hub, tx, request.dossier_code, caller=caller)
        obligation, rule = await payment_obligation.find(hub, tx, request, dossier, caller=caller)
        if await postal_cod.is_at_the_door(tx, obligation["id"]):
            raise postal_cod.under_way()
        is_free = obligation["state"] == "free"
        standing = None if is_free else await _open_attempt(hub, tx, obligation, chosen)
        if standing is None and not is_free:
            order = await order_of(hub, tx, request, dossier, obligation, intermediary=intermediary)
            payment = await created(hub, tx, order, obligation, chosen, caller=caller, request_id=request_id)
    if is_free:
        raise payment_obligation.nothing_to_pay(rule)
    if standing is not None:
        return await payment_records.view(hub, standing, obligation, repeated=True)
    await _ask_for(hub, intermediary, order, payment)
    return await get(hub, payment, caller=caller)


def _choose(hub: Hub, wanted: str) -> str:
    allowed = [name for name in hub.settings.payments.providers if name in hub.systems]
    if not wanted and allowed:
        return allowed[0]
    if wanted in allowed:
        return wanted
    if not wanted:
        raise errors.NotOffered(system="payments")
    names = ", ".join(allowed) or "-"
    problem = errors.FieldProblem(
        "provider",
        f"Trục không thanh toán qua trung gian này; hiện có: {names}.",
        f"The hub does not pay through this intermediary; there are: {names}.",
    )
    raise errors.InvalidRequest(problems=(problem,))


async def _dossier(
    hub: Hub, tx: AsyncConnection, code: str, *, caller: keys.Caller
) -> tuple[Mapping[str, Any], records.Dossier]:
    row = await dossier_rows.row(tx, code)
    if row is None:
        problem = errors.FieldProblem(
            "dossier_code",
            "Không có hồ sơ với mã này; hãy khai hồ sơ bằng PUT /v1/dossiers/{code} trước.",
            "There is no dossier with this code; declare it with PUT /v1/dossiers/{code} first.",
        )
        raise errors.InvalidRequest(problems=(problem,))
    dossier_rows.must_own(row, caller)
    return row, dossier_rows.record(hub, row)


async def _open_attempt(
    hub: Hub, tx: AsyncConnection, obligation: Mapping[str, Any], provider: str
) -> Mapping[str, Any] | None:
    """Find the attempt that a payer can still pay. Raises Conflict while one is just being begun."""
    now = hub.now()
    wanted = (
        sa.select(_p)
        .where(
            _p.c.obligation_id == obligation["id"],
            _p.c.provider == provider,
            _p.c.amount_vnd == obligation["amount_vnd"],
            _p.c.state.in_(("created", "pending")),
            _p.c.expires_at > now + timedelta(minutes=1),
        )
        .order_by(_p.c.created_at.desc())
    )
    for row in await storage.every(tx, wanted):
        if row["started"] is not None:
            return row
        if row["state"] == "created" and row["created_at"] > now - _BEGINNING:
            raise errors.Conflict(
                "an attempt to pay this is just being begun; ask again in a moment",
                detail_vi="Một lần thanh toán cho khoản này đang được khởi tạo; hãy hỏi lại sau giây lát.",
                retry_after_s=5,
            )
    return None


async def order_of(
    hub: Hub,
    tx: AsyncConnection,
    request: payment_views.PaymentRequest,
    dossier: tuple[Mapping[str, Any], records.Dossier],
    obligation: Mapping[str, Any],
    *,
    intermediary: roles.PaymentProvider,
) -> money.PaymentOrder:
    """Write what an intermediary is asked for, under a new number."""
    now, chosen, public = hub.now(), hub.settings.payments, hub.settings.proof.public_url
    names = sa.select(tables.procedures.c.name).where(tables.procedures.c.code == dossier[0]["procedure_code"])
    procedure = await storage.first(tx, names)
    called_at = f"/callbacks/{intermediary.name}/{intermediary.callback_name}"
    lines = request.lines
    if not lines and request.amount_vnd is None:
        lines = tuple(
            money.OwedLine(kind=fee.kind, code=fee.code, name=fee.name, amount_vnd=fee.amount_vnd)
            for fee in dossier[1].fees
            if fee.amount_vnd
        )
    return money.PaymentOrder(
        reference=payment_records.new_number("LT", now),
        amount_vnd=obligation["amount_vnd"],
        dossier_code=request.dossier_code,
        procedure_code=dossier[0]["procedure_code"],
        procedure_name=procedure["name"][:500] if procedure is not None else "",
        description=request.description or f"Thanh toán hồ sơ {request.dossier_code}",
        payer=request.payer,
        beneficiary=request.beneficiary,
        lines=payment_obligation.fitting(lines, obligation) or (_one_line(obligation),),
        return_url=request.return_url or chosen.return_url,
        callback_url=f"{public}{called_at}" if public and intermediary.callback_name else "",
        created_at=now,
        expires_at=now + timedelta(minutes=chosen.expiry_minutes),
    )


def _one_line(obligation: Mapping[str, Any]) -> money.OwedLine:
    """Name in one line what is owed where nobody said of what it consists: intermediaries want a line."""
    return money.OwedLine(kind="fee", name="Phí, lệ phí của hồ sơ", amount_vnd=obligation["amount_vnd"])


async def created(
    hub: Hub,
    tx: AsyncConnection,
    order: money.PaymentOrder,
    obligation: Mapping[str, Any],
    provider: str,
    *,
    caller: keys.Caller,
    request_id: str,
) -> str:
    """Write an attempt before anybody is asked about it; gives its id."""
    number = clock.new_id()
    await tx.execute(
        _p.insert().values(
            id=number,
            reference=order.reference,
            obligation_id=obligation["id"],
            dossier_code=order.dossier_code,
            provider=provider,
            state="created",
            amount_vnd=order.amount_vnd,
            key_id=caller.key_id,
            request_id=request_id,
            record=payment_records.seal_order(hub, order),
            created_at=order.created_at,
            expires_at=order.expires_at,
            # Also where this process dies now: then it is not known whether the intermediary was asked.
            query_at=order.created_at + _BEGINNING,
        )
    )
    return number


async def _ask_for(hub: Hub, intermediary: roles.PaymentProvider, order: money.PaymentOrder, payment: str) -> None:
    """Ask the intermediary, and write down what came of it; one that may have heard us is asked how it stands."""
    try:
        given = await intermediary.start(order)
    except errors.HubError as error:
        if isinstance(error, _NOT_ASKED) and not error.facts.get("outcome_uncertain"):
            await _begun(hub, payment, state="failed", closed_at=hub.now(), query_at=None, last_code=error.code)
            raise
        await _begun(hub, payment, state="pending", last_code=error.code)
        await ask_about(hub, intermediary, order)
        return
    silent = timedelta(minutes=hub.settings.payments.silent_minutes)
    await _begun(
        hub,
        payment,
        state="pending",
        started=payment_records.seal_started(hub, given),
        provider_reference=given.provider_reference[:100],
        expires_at=min(given.expires_at or order.expires_at, order.expires_at),
        query_at=hub.now() + silent,
    )


async def _begun(hub: Hub, payment: str, **values: Any) -> None:
    """Write how the beginning went, unless the intermediary has called back meanwhile: that is the newer word."""
    async with hub.storage.transaction() as tx:
        moved = await tx.execute(_p.update().where(_p.c.id == payment, _p.c.state == "created").values(**values))
        if not moved.rowcount and "started" in values:
            await payment_records.change(tx, payment, started=values["started"])


async def ask_about(
    hub: Hub, intermediary: roles.PaymentProvider, order: money.PaymentOrder
) -> errors.HubError | None:
    """Ask how an attempt stands and let the word count; gives the failure where nothing was said."""
    try:
        news = await intermediary.query(order)
    except errors.HubError as error:
        return error
    if news.reference != order.reference:
        return errors.RemoteGarbled(system=intermediary.name, reason="the answer is about another payment")
    await payment_settlement.settle(hub, intermediary.name, news, how="query")
    return None


async def get(hub: Hub, payment_id: str, *, caller: keys.Caller) -> payment_views.PaymentView:
    """Say how an attempt stands."""
    row, obligation = await payment_records.owned(hub, payment_id, caller=caller)
    return await payment_records.view(hub, row, obligation)


# ---------------------------------------------------------------------------------------------- callback


@dataclass(frozen=True, slots=True)
class _Read:
    """What a message turned out to be: a word of the intermediary, or why it is none."""

    news: money.PaymentNews | None
    outcome: money.CallbackOutcome = "recorded"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Message:
    """What called back, on its way: what it turned out to be, and its row but for what becomes of it."""

    hub: Hub
    read: _Read
    row: Mapping[str, Any]


async def callback(hub: Hub, contract: str, request: money.CallbackRequest) -> money.CallbackReply:
    """Take a message of an intermediary: verify it, keep it sealed, let it count, answer in its own words.

    Raises NotFound where this contract does not call here. A forged message changes nothing and is an event.
    """
    intermediary = hub.systems.get(contract)
    if contract not in hub.settings.payments.providers or not isinstance(intermediary, roles.PaymentProvider):
        raise errors.NotFound(
            "no intermediary calls back here", detail_vi="Không có trung gian nào gọi về địa chỉ này."
        )
    message = _arrived(hub, contract, request, await _read(intermediary, request))
    try:
        outcome = await hub.storage.gathered(_take_many, message)
        if outcome is None:
            outcome = await hub.storage.together(lambda tx: _take(tx, message))
    except errors.HubError:
        # The intermediary sends again whatever was not taken.
        outcome = "failed"
    return dataclasses.replace(intermediary.reply(request, outcome), outcome=outcome)


async def _read(intermediary: roles.PaymentProvider, request: money.CallbackRequest) -> _Read:
    try:
        if isinstance(intermediary, roles.AskingPaymentProvider):
            return _Read(await intermediary.ask_callback(request))
        return _Read(intermediary.read_callback(request))
    except errors.ProofRejected as error:
        return _Read(None, "forged", str(error.facts.get("reason", ""))[:200])
    except (errors.RemoteGarbled, errors.MappingError) as error:
        return _Read(None, "unreadable", str(error.facts.get("reason", error.code))[:200])
    except errors.HubError as error:
        return _Read(None, "failed", error.code)


def _arrived(hub: Hub, contract: str, request: money.CallbackRequest, read: _Read) -> _Message:
    body, digest = callback_sealing.sealed(hub, request)
    row = {
        "id": clock.new_id(),
        "at": hub.now(),
        "contract": contract,
        "name": payment_records.plain(request.name, 60),
        "address": payment_records.plain(request.address, 64),
        "reason": read.reason,
        "digest": digest,
        "body": body,
    }
    return _Message(hub, read, row)


async def _take(tx: AsyncConnection, message: _Message) -> money.CallbackOutcome:
    outcome, payment, news = message.read.outcome, None, message.read.news
    if news is not None:
        contract = message.row["contract"]
        outcome, payment = await payment_settlement.settle_in(message.hub, tx, contract, news, how="callback")
    await _keep(tx, message, outcome, payment)
    return outcome


async def _take_many(tx: AsyncConnection, messages: Sequence[_Message]) -> list[money.CallbackOutcome | None]:
    """Take messages as `_take` does, but for those that would have to wait for somebody."""
    words = [(one.row["contract"], one.read.news) for one in messages if one.read.news is not None]
    settled = iter(await payment_settlement.settle_free(messages[0].hub, tx, words, how="callback"))
    outcomes: list[money.CallbackOutcome | None] = []
    for one in messages:
        told = next(settled) if one.read.news is not None else (one.read.outcome, None)
        if told is not None:
            await _keep(tx, one, *told)
        outcomes.append(None if told is None else told[0])
    return outcomes


async def _keep(
    tx: AsyncConnection, message: _Message, outcome: money.CallbackOutcome, payment: str | None
) -> None:
    row = message.row
    await tx.execute(_KEEP, {**row, "payment_id": payment, "verdict": outcome})
    if outcome in ("forged", "unreadable", "unknown_reference"):
        facts = {"reason": row["reason"], "message": row["id"]}
        await events.put(tx, f"callbacks.{outcome}", row["contract"], facts, now=row["at"])
