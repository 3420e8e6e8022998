"""The page on which a person pays at an imitated intermediary: each choice is a link."""

from __future__ import annotations

import html
from collections.abc import Mapping
from urllib.parse import urlencode

from lienthong.sandbox import wire
from lienthong.sandbox.wire import Reply

CHOICE = "choice"
CHOICES = {
    "pay": "Thanh toán / pay",
    "fail": "Không đủ số dư / insufficient balance",
    "cancel": "Huỷ / cancel",
    "suspect": "Trừ tiền nhưng nghi ngờ gian lận / debited, suspected fraud",
    "abandon": "Bỏ đi, không làm gì / leave without a word",
}


def to_choose(
    name: str, *, amount_vnd: int, info: str, query: Mapping[str, str], choices: tuple[str, ...]
) -> Reply:
    """Show what is to be paid, and what may be done about it."""
    kept = {key: value for key, value in query.items() if key != CHOICE}
    links = {choice: html.escape(urlencode({**kept, CHOICE: choice})) for choice in choices}
    rows = "".join(f'<li><a href="?{to}">{html.escape(CHOICES[choice])}</a></li>' for choice, to in links.items())
    amount = f"{amount_vnd:,}".replace(",", ".")
    return _page(name, f"<p>{html.escape(info)}</p><p><strong>{amount} đ</strong></p><ul>{rows}</ul>")


def said(name: str, text: str, *, status: int = 200, outcome: str = "read") -> Reply:
    """Show one sentence."""
    reply = _page(name, f"<p>{html.escape(text)}</p>", status=status)
    reply.outcome, reply.shown = outcome, text.encode()
    return reply


def _page(name: str, inside: str, *, status: int = 200) -> Reply:
    title = html.escape(f"{name}: thanh toán giả lập / imitation payment")
    text = (
        '<!DOCTYPE html><html lang="vi"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title></head>'
        f"<body><h1>{title}</h1>{inside}</body></html>"
    )
    return Reply(text.encode(), status, wire.HTML)
