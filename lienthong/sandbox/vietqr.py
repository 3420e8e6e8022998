"""`vietqr`: a bank whose customers scan codes and transfer money; only its statement tells (contracts §7.6)."""

from __future__ import annotations

import html
from dataclasses import dataclass
from urllib.parse import urlencode

from lienthong.sandbox import faults, payment_book, payment_pages
from lienthong.sandbox.imitation import Request
from lienthong.sandbox.payment_book import Book, Payment
from lienthong.sandbox.wire import Reply

SYSTEM = "vietqr"
_NAME = "Ngân hàng giả lập"
_NAPAS = "A000000727"
_CHOICES = ("pay", "other_amount", "twice", "no_memo")
_LONGEST_CODE = 512


class WrongCode(ValueError):
    """A text that no banking application would take for a code to pay."""


@dataclass(frozen=True, slots=True)
class Code:
    """What a code says; `amount_vnd` is 0 where the payer is to enter it."""

    bank: str
    account: str
    service: str
    amount_vnd: int
    memo: str


def checksum(text: str) -> str:
    """Work out CRC-16/CCITT-FALSE of a code up to and including `6304`."""
    held = 0xFFFF
    for byte in text.encode():
        held ^= byte << 8
        for _ in range(8):
            held = ((held << 1) ^ 0x1021 if held & 0x8000 else held << 1) & 0xFFFF
    return f"{held:04X}"


def read(text: str) -> Code:
    """Read a code as a bank would. Raises WrongCode."""
    is_short = len(text) <= _LONGEST_CODE and text.isascii()
    if not is_short or text[-8:-4] != "6304" or checksum(text[:-4]) != text[-4:]:
        raise WrongCode("CRC")
    outer = _parts(text)
    if outer.get("00") != "01" or outer.get("01") not in ("11", "12") or outer.get("53") != "704":
        raise WrongCode("00, 01, 53")
    scheme = _parts(outer.get("38", ""))
    if outer.get("58") != "VN" or scheme.get("00") != _NAPAS:
        raise WrongCode("38, 58")
    target = _parts(scheme.get("01", ""))
    bank, account, amount = target.get("00", ""), target.get("01", ""), outer.get("54", "0")
    if len(bank) != 6 or not bank.isdecimal() or not account or not amount.isdecimal() or len(amount) > 12:
        raise WrongCode("38.01, 54")
    return Code(bank, account, scheme.get("02", ""), int(amount), _parts(outer.get("62", "")).get("08", ""))


def _parts(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    while text:
        name, length, text = text[:2], text[2:4], text[4:]
        if not (name.isdecimal() and length.isdecimal() and len(text) >= int(length)) or name in found:
            raise WrongCode("TLV")
        found[name], text = text[: int(length)], text[int(length) :]
    return found


class Vietqr:
    """The imitated bank: `GET /vietqr/scan?code=…` is its application. A transfer stands in the book at once."""

    roots: frozenset[str] = frozenset()

    def __init__(self, book: Book) -> None:
        """Keep transfers in this book."""
        self._book = book

    async def prepare(self) -> None:
        """Nothing takes long here."""

    def forget(self) -> None:
        """Nothing is held here but the book."""

    def service_of(self, request: Request) -> str:
        """Name the call: `pay` where something is chosen, `page` where a code is only looked at."""
        if request.path != "/scan" or request.method != "GET":
            return "?"
        return "pay" if payment_pages.CHOICE in request.query else "page"

    def handle(self, request: Request) -> Reply:
        """Show a code, or transfer what it asks for."""
        if request.service == "?":
            return payment_pages.said(_NAME, "/vietqr/scan?code=…", status=404, outcome="refused")
        text = request.query.get("code", "")
        try:
            code = read(text)
            choice = request.query.get(payment_pages.CHOICE, "")
            if choice not in _CHOICES:
                return _shown(code, request)
            made = self.transfer(code, choice, now=request.now, amount_vnd=_amount(code, request.query))
        except WrongCode as wrong:
            return payment_pages.said(
                _NAME, f"Mã không hợp lệ / wrong code: {wrong}", status=400, outcome="refused"
            )
        told = ", ".join(f"{one.reference}: {one.amount_vnd} đ" for one in made)
        request.about |= {"transfers": [one.reference for one in made]}
        reply = payment_pages.said(_NAME, f"Đã chuyển / transferred: {told}", outcome="accepted")
        reply.had_effect = True
        return reply

    def transfer(self, code: Code, choice: str, *, now: float, amount_vnd: int) -> list[Payment]:
        """Transfer as the payer chose: as the code says, another amount, twice, or without its memo."""
        amount_vnd = max(1, amount_vnd - 1000) if choice == "other_amount" else amount_vnd
        asked = {"memo": "" if choice == "no_memo" else code.memo, "account": code.account, "bank": code.bank}
        return [self._moved(asked, amount_vnd, now=now) for _ in range(2 if choice == "twice" else 1)]

    def _moved(self, asked: dict[str, str], amount_vnd: int, *, now: float) -> Payment:
        made = self._book.add(SYSTEM, f"FT{self._book.number()}", amount_vnd=amount_vnd, asked=asked, now=now)
        made.settle(payment_book.PAID, "00", now=now)
        return made

    def act(self, payment: Payment, choice: str, *, chosen: faults.Chosen, now: float) -> bool:
        """Say no: a transfer that was made is over."""
        return False

    def call_back(self, payment: Payment, chosen: faults.Chosen) -> None:
        """Do nothing: a bank transfer tells nobody."""


def _amount(code: Code, query: dict[str, str]) -> int:
    given = query.get("amount_vnd", "")
    amount_vnd = code.amount_vnd or (
        int(given) if given.isascii() and given.isdecimal() and len(given) < 13 else 0
    )
    if not amount_vnd:
        raise WrongCode("amount_vnd")
    return amount_vnd


def _shown(code: Code, request: Request) -> Reply:
    info = f"{code.bank} · {code.account} · {code.service} · {code.memo or '(không có nội dung / no memo)'}"
    if code.amount_vnd:
        return payment_pages.to_choose(
            _NAME, amount_vnd=code.amount_vnd, info=info, query=request.query, choices=(*_CHOICES, "abandon")
        )
    kept = html.escape(urlencode({**request.query, "amount_vnd": "50000", payment_pages.CHOICE: "pay"}))
    link = f'<p>{html.escape(info)}</p><p><a href="?{kept}">50.000 đ</a> (hoặc / or &amp;amount_vnd=…)</p>'
    return payment_pages.page(_NAME, link)
