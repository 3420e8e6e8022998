"""The one way for money to become true: a verified word of an intermediary, from callback, query or statement."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from lienthong.bus.flows import payment_records, payment_states
from lienthong.bus.hub import Hub
from lienthong.core import errors, money

How = Literal["callback", "query", "statement", "carrier"]
"""`statement`: a line of the bank's own statement, imported by a person with the right to (decision 0023).
`carrier`: the feed or the answer of whoever took the cash at the door."""
Settled = tuple[money.CallbackOutcome, str | None]
"""What to answer, and which attempt it was about."""
# After a contradiction the intermediary is asked at once, not only when the attempt was silent for long.
_ASK_SOON = timedelta(minutes=1)


async def settle(hub: Hub, contract: str, news: money.PaymentNews, *, how: How) -> money.CallbackOutcome:
    """Let a word count, in a transaction of its own."""
    async with hub.storage.transaction() as tx:
        outcome, _ = await settle_in(hub, tx, contract, news, how=how)
    return outcome


async def settle_in(hub: Hub, tx: AsyncConnection, contract: str, news: money.PaymentNews, *, how: How) -> Settled:
    """Let a word count, in the caller's transaction; gives what to answer, and which attempt it was about.

    The attempt and its obligation are held meanwhile, so that the same word 50 times at once counts once.
    """
    news = _fitting(news)
    held = await payment_records.hold_by_reference(hub, tx, news.reference, provider=contract)
    if held is None:
        return "unknown_reference", None
    return await _settle_held(hub, tx, held, news, how=how)


async def settle_free(
    hub: Hub, tx: AsyncConnection, words: Sequence[tuple[str, money.PaymentNews]], *, how: How
) -> list[Settled | None]:
    """Let many words count, each with the contract it came from, waiting for nobody; gives None for some.

    Those are for `settle_in`: what is about an attempt that somebody else holds, or about none. Words about the
    same dossier count one after another; what was heard already is not read anew for each repetition.
    """
    waiting = [(number, contract, _fitting(news)) for number, (contract, news) in enumerate(words)]
    settled: list[Settled | None] = [None] * len(words)
    heard: dict[tuple[str, money.PaymentNews], Settled] = {}
    while waiting:
        free = await payment_records.hold_free(tx, {news.reference for _, _, news in waiting})
        begun, later = set[str](), []
        for number, contract, news in waiting:
            held = free.get(news.reference)
            if (contract, news) in heard:
                settled[number] = heard[contract, news]
            elif held is None or held.payment["provider"] != contract:
                continue
            elif held.dossier["code"] in begun:
                later.append((number, contract, news))
            else:
                begun.add(held.dossier["code"])
                told = settled[number] = await _settle_held(hub, tx, held, news, how=how)
                if told[0] == "already":
                    heard[contract, news] = told
        waiting = later
    return settled


async def _settle_held(
    hub: Hub, tx: AsyncConnection, held: payment_records.Held, news: money.PaymentNews, *, how: How
) -> Settled:
    before = held.standing
    verdict = payment_states.judge(before, news)
    asked = False
    if verdict.question is not None:
        asked = await _ask(hub, tx, held, verdict.question, news, how=how)
    if verdict.after == before and verdict.outcome == "recorded" and not asked:
        return "already", str(held.payment["id"])
    values = _heard(hub, held, verdict, news, how=how)
    if verdict.after != before:
        values |= _moved(hub, held, verdict.after, news, how=how)
    await payment_records.change(tx, held.payment["id"], **values)
    if verdict.after.state != before.state:
        await _follow(hub, tx, held, verdict.after, how=how)
    return verdict.outcome, str(held.payment["id"])


def _fitting(news: money.PaymentNews) -> money.PaymentNews:
    lengths = {"reference": 40, "partner": 100, "provider_reference": 100, "provider_code": 60}
    cut = {name: payment_records.plain(getattr(news, name), longest) for name, longest in lengths.items()}
    return news.model_copy(update=cut)


async def _ask(
    hub: Hub,
    tx: AsyncConnection,
    held: payment_records.Held,
    kind: payment_states.Kind,
    news: money.PaymentNews,
    *,
    how: How,
) -> bool:
    parts = (news.state, news.amount_vnd, news.currency, news.provider_reference, news.provider_code)
    facts = {
        "said": news.state,
        "said_amount_vnd": news.amount_vnd,
        "provider_reference": news.provider_reference,
        "provider_code": news.provider_code,
        "state": held.payment["state"],
        "how": how,
    }
    fact = "/".join(map(str, parts))
    return await payment_records.ask(
        hub, tx, held.payment, kind, fact=fact, facts=facts, amount_vnd=news.amount_vnd
    )


def _moved(
    hub: Hub, held: payment_records.Held, after: payment_states.Standing, news: money.PaymentNews, *, how: How
) -> dict[str, Any]:
    """Give the columns that say how the attempt stands from now on."""
    now, before = hub.now(), held.standing
    values: dict[str, Any] = {
        "state": after.state,
        "received_vnd": after.received_vnd,
        "reversed": after.is_reversed,
        "partner": after.partner,
        "paid_reference": after.paid_reference,
    }
    if after.is_closed and not before.is_closed:
        values["closed_at"] = now
    if after.received_vnd and not before.received_vnd:
        values |= {"paid_at": news.paid_at or now, "settled_at": now, "settled_by": how, "receipt_at": now}
    return values


async def _follow(
    hub: Hub, tx: AsyncConnection, held: payment_records.Held, after: payment_states.Standing, *, how: How
) -> None:
    """Let the obligation, the dossier and the events follow a new state."""
    now, payment = hub.now(), held.payment
    if after.state == "paid":
        await count(hub, tx, held)
    elif payment["state"] == "paid":
        await payment_records.oblige(tx, held.obligation["id"], now=now, state="doubtful")
    facts = {"state": after.state, "how": how}
    await payment_records.announce(tx, f"payments.{after.state}", payment, facts, now=now)


async def count(hub: Hub, tx: AsyncConnection, held: payment_records.Held) -> None:
    """Let an attempt pay its obligation. Raises Conflict where another attempt paid it, which nobody may undo."""
    payment, obligation = held.payment, held.obligation
    if obligation["paid_by"] not in (None, payment["id"]):
        raise errors.Conflict(
            "another attempt has paid this obligation",
            detail_vi="Khoản này đã được nộp bằng một lần thanh toán khác.",
        )
    await payment_records.oblige(tx, obligation["id"], now=hub.now(), state="paid", paid_by=payment["id"])
    await payment_records.mark_paid(hub, tx, held)


def _heard(
    hub: Hub,
    held: payment_records.Held,
    verdict: payment_states.Verdict,
    news: money.PaymentNews,
    *,
    how: How,
) -> dict[str, Any]:
    """Give the columns that note what was heard, and when to ask next; nobody is asked about what is settled."""
    now, after = hub.now(), verdict.after
    is_open = after.state in ("created", "pending")
    is_in_doubt = not after.received_vnd and verdict.question is not None and how == "callback"
    query_at = held.payment["query_at"] if is_open else None
    if is_in_doubt:
        query_at = now + _ASK_SOON
    return {
        "heard_at": now,
        "query_at": query_at,
        "provider_reference": news.provider_reference or held.payment["provider_reference"],
        "provider_code": news.provider_code,
    }
