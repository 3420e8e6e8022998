"""The page on which a person pays at an imitated intermediary: each choice is a link."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import urlencode

from lienthong.sandbox import faults, imitation, payment_book, wire
from lienthong.sandbox.imitation import Request
from lienthong.sandbox.payment_book import Payment
from lienthong.sandbox.wire import Reply

_STYLE = "/_sandbox/static/sandbox.css"
CHOICE = "choice"
CHOICES = {
    "pay": "Thanh toán / pay",
    "fail": "Không đủ số dư / insufficient balance",
    "cancel": "Huỷ / cancel",
    "suspect": "Trừ tiền nhưng nghi ngờ gian lận / debited, suspected fraud",
    "other_amount": "Chuyển số tiền khác / transfer another amount",
    "twice": "Chuyển hai lần / transfer twice",
    "no_memo": "Chuyển không ghi nội dung / transfer without the memo",
    "abandon": "Bỏ đi, không làm gì / leave without a word",
}


class Act(Protocol):
    """Ends an attempt as a payer chose; says whether it still waited."""

    def __call__(self, payment: Payment, choice: str, *, chosen: faults.Chosen, now: float) -> bool:
        """End it."""
        ...


def visited(
    name: str, payment: Payment | None, request: Request, *, info: str, choices: tuple[str, ...], act: Act,
    back: Callable[[], str],
) -> Reply:  # fmt: skip
    """Show the page of an attempt, or do what was chosen on it and send the payer `back`."""
    if payment is None:
        return said(name, "Không có giao dịch này / no such payment", status=404, outcome="refused")
    if payment.state != payment_book.WAITING:
        return said(name, "Giao dịch đã kết thúc / already ended", status=400, outcome="refused")
    choice = request.query.get(CHOICE, "")
    if choice == "abandon":
        return said(name, "Đã rời trang, chưa trả / left, not paid")
    if choice not in choices:
        offered = (*choices, "abandon")
        return to_choose(name, amount_vnd=payment.amount_vnd, info=info, query=request.query, choices=offered)
    act(payment, choice, chosen=request.chosen, now=request.now)
    address = back()
    if imitation.may_return_to(address):
        reply = imitation.sent_to(address)
    else:
        reply = said(name, "Đã xong / done; the return address is not local")
    reply.outcome, reply.had_effect = "accepted", True
    return reply


def to_choose(
    name: str, *, amount_vnd: int, info: str, query: Mapping[str, str], choices: tuple[str, ...]
) -> Reply:
    """Show what is to be paid, and what may be done about it."""
    kept = {key: value for key, value in query.items() if key != CHOICE}
    links = {choice: html.escape(urlencode({**kept, CHOICE: choice})) for choice in choices}
    rows = "".join(f'<li><a href="?{to}">{html.escape(CHOICES[choice])}</a></li>' for choice, to in links.items())
    amount = f"{amount_vnd:,}".replace(",", ".")
    return page(name, f'<p>{html.escape(info)}</p><p class="amount">{amount} đ</p><ul>{rows}</ul>')


def said(name: str, text: str, *, status: int = 200, outcome: str = "read") -> Reply:
    """Show one sentence."""
    reply = page(name, f"<p>{html.escape(text)}</p>", status=status)
    reply.outcome, reply.shown = outcome, text.encode()
    return reply


def page(name: str, inside: str, *, status: int = 200) -> Reply:
    """Write a page around this."""
    title = html.escape(f"{name}: thanh toán giả lập / imitation payment")
    text = (
        '<!DOCTYPE html><html lang="vi"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title>'
        f'<link rel="stylesheet" href="{_STYLE}"></head><body><main class="pay"><h1>{html.escape(name)}</h1>'
        f'<p class="note">Thanh toán giả lập: không có tiền thật / imitation payment: no real money</p>'
        f"{inside}</main></body></html>"
    )
    return Reply(text.encode(), status, wire.HTML)
