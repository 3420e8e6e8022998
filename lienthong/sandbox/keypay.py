"""`keypay`: KeyPay version 3, create, page, callback, query and refund (contracts §7.2)."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from lienthong.sandbox import faults, imitation, payment_book, payment_pages, receipts
from lienthong.sandbox.courier import Courier, Message
from lienthong.sandbox.imitation import Request
from lienthong.sandbox.payment_book import Book, Payment, Refund
from lienthong.sandbox.receipts import WrongMessage
from lienthong.sandbox.wire import Reply

SYSTEM = "keypay"
# Of the statuses only 0 is public; 1 and 2 are invented here (contracts §7.2).
_STATUS = {payment_book.PAID: "0", payment_book.WAITING: "1", payment_book.FAILED: "2"}
_ENDS = {"pay": (payment_book.PAID, "0"), "fail": (payment_book.FAILED, "2"), "cancel": (payment_book.FAILED, "2")}
_SIGNED = ("addition_fee", "client_id", "command", "trans_amount", "transaction_id", "version")
_ASKED = ("client_id", "command", "transaction_id")
_GIVEN_BACK = ("amount", "client_id", "command", "reason", "transaction_id")
_CREATE = (*_SIGNED, "description", "locale", "country_code", "currency_code", "environment", "bill_info",
           "return_url", "check_sum")  # fmt: skip
_CONSTANT = {"command": ("PAY",), "version": ("3.0",), "locale": ("vn",), "country_code": ("vi",),
             "currency_code": ("VND",), "environment": ("1", "2")}  # fmt: skip
_NUMBER = re.compile(r"[0-9A-Za-z_-]{1,50}")
_AMOUNT = re.compile(r"[1-9]\d{0,11}")
# A picture of one point: nothing is to be scanned here.
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg=="
_LIFE_S = 900


@dataclass(frozen=True, slots=True)
class Partner:
    """The one client that is registered: key 1 signs what it sends (vector 12.5), key 2 what KeyPay sends."""

    code: str = "LGSPDEMO"
    request_key: str = "KPKEY1"
    callback_key: str = "KPKEY2"


class Keypay:
    """The imitated intermediary. Which paths its calls have is not public; the last part of a path names them."""

    roots: frozenset[str] = frozenset()

    def __init__(self, book: Book, courier: Courier, *, partner: Partner | None = None) -> None:
        """Serve this client."""
        self._book, self._courier = book, courier
        self.partner = partner or Partner()
        self._calls: dict[str, Callable[[Request, dict[str, Any]], Reply]] = {
            "create": self._create, "query": self._query, "refund": self._refund,
        }  # fmt: skip

    async def prepare(self) -> None:
        """Nothing takes long here."""

    def forget(self) -> None:
        """Nothing is held here but the book."""

    def service_of(self, request: Request) -> str:
        """Name the call; a page on which something is chosen is `pay`, one that is only looked at `page`."""
        if request.path == "/pay":
            return "pay" if payment_pages.CHOICE in request.query else "page"
        last = request.path.rpartition("/")[2]
        return last if last in self._calls else "?"

    def handle(self, request: Request) -> Reply:
        """Answer one call."""
        if request.service in ("pay", "page"):
            return self._page(request)
        call = self._calls.get(request.service)
        body = request.json()
        if call is None or request.method != "POST":
            return Reply(b'{"error":"404","message":"not found"}', 404, outcome="refused")
        try:
            if not isinstance(body, dict):
                raise WrongMessage("JSON")
            return call(request, body)
        except WrongMessage as wrong:
            told = {"error": "1", "message": f"{wrong}", "data": None}
            return Reply(orjson.dumps(told), outcome="refused", shown=str(wrong).encode())

    def signed(self, fields: Mapping[str, Any], names: tuple[str, ...] = _SIGNED, *, key: str = "") -> str:
        """Sign these fields, in the order of their names; with key 1 unless another is named."""
        text = "|".join(str(fields[name]) for name in names)
        return hmac.new((key or self.partner.request_key).encode(), text.encode(), hashlib.sha256).hexdigest()

    def _check(self, body: dict[str, Any], names: tuple[str, ...]) -> None:
        for name in names:
            if not _is_plain(body.get(name)):
                raise WrongMessage(f"{name}: thiếu hoặc sai dạng / missing or bad format")
        if body["client_id"] != self.partner.code:
            raise WrongMessage("client_id")
        given = str(body.get("check_sum", "")).encode()
        if not hmac.compare_digest(given, self.signed(body, names).encode()):
            raise WrongMessage("check_sum")
        if not _NUMBER.fullmatch(str(body["transaction_id"])):
            raise WrongMessage("transaction_id")

    # -------------------------------------------------------------------------------------------------- messages

    def _create(self, request: Request, body: dict[str, Any]) -> Reply:
        strange = set(body) - set(_CREATE)
        if strange:
            raise WrongMessage(f"{min(strange)[:40]}: trường lạ / unknown field")
        self._check(body, _SIGNED)
        for name, allowed in _CONSTANT.items():
            if str(body.get(name)) not in allowed:
                raise WrongMessage(f"{name}: {', '.join(allowed)}")
        fee = re.fullmatch(r"\d{1,9}", str(body["addition_fee"]))
        if fee is None or not _AMOUNT.fullmatch(str(body["trans_amount"])):
            raise WrongMessage("trans_amount, addition_fee")
        for name in ("description", "return_url"):
            if not isinstance(body.get(name), str) or not body[name]:
                raise WrongMessage(name)
        receipts.check(body.get("bill_info"), "bill_info")
        reference = str(body["transaction_id"])
        if self._book.find(SYSTEM, reference) is not None:
            raise WrongMessage("transaction_id: đã có / exists already")
        payment = self._book.add(
            SYSTEM, reference, amount_vnd=int(body["trans_amount"]), asked=body, now=request.now
        )
        payment.told_number = f"KP{payment.number}"
        request.about |= {"reference": reference, "amount_vnd": payment.amount_vnd}
        url = f"{imitation.base_of(request)}/pay?t={reference}"
        data = {"transaction_code": payment.told_number, "qrcode_pay": f"data:image/png;base64,{_PIXEL}",
                "url_pay": url, "expired_in": _LIFE_S, "status": _STATUS[payment.state]}  # fmt: skip
        return Reply(orjson.dumps({"error": "0", "data": data}), outcome="accepted", had_effect=True)

    def _query(self, request: Request, body: dict[str, Any]) -> Reply:
        self._check(body, _ASKED)
        return Reply(orjson.dumps({"error": "0", "data": self._result(self._found(body))}))

    def _refund(self, request: Request, body: dict[str, Any]) -> Reply:
        self._check(body, _GIVEN_BACK)
        payment = self._found(body)
        if not _AMOUNT.fullmatch(str(body["amount"])):
            raise WrongMessage("amount")
        amount_vnd = int(body["amount"])
        if payment.state != payment_book.PAID or payment.refunded_vnd + amount_vnd > payment.amount_vnd:
            raise WrongMessage("amount: không hoàn được / cannot be given back")
        number = self._book.number()
        payment.refunds.append(Refund(number, f"KPR{number}", amount_vnd, request.now))
        data = {"transaction_id": payment.reference, "amount": amount_vnd}
        return Reply(orjson.dumps({"error": "0", "data": data}), outcome="accepted", had_effect=True)

    def _found(self, body: dict[str, Any]) -> Payment:
        payment = self._book.find(SYSTEM, str(body["transaction_id"]))
        if payment is None:
            raise WrongMessage("transaction_id: không có / not found")
        return payment

    # ---------------------------------------------------------------------------------------- page and callback

    def _page(self, request: Request) -> Reply:
        payment = self._book.find(SYSTEM, request.query.get("t", ""))
        info, back = (payment.asked["description"], payment.asked["return_url"]) if payment else ("", "")
        return payment_pages.visited(
            "KeyPay", payment, request, info=info, choices=tuple(_ENDS), act=self.act, back=lambda: back
        )

    def act(self, payment: Payment, choice: str, *, chosen: faults.Chosen, now: float) -> bool:
        """End an attempt; says whether it still waited."""
        if choice not in _ENDS or not payment.settle(*_ENDS[choice], now=now):
            return False
        self.call_back(payment, chosen)
        return True

    def call_back(self, payment: Payment, chosen: faults.Chosen) -> None:
        """Send the result of an attempt that has ended, signed with key 2."""
        by_vnd = int(chosen.get("callback_wrong_amount", {}).get("by_vnd", 0))
        key = "another key" if "callback_forged" in chosen else self.partner.callback_key
        fields = self._result(payment, by_vnd=by_vnd)
        fields["check_sum"] = self.signed(fields, key=key)
        url = self._courier.addresses.get(SYSTEM, "")
        self._courier.send(Message(payment, "POST", url, orjson.dumps(fields), is_taken=_is_taken), chosen)

    def _result(self, payment: Payment, *, by_vnd: int = 0) -> dict[str, Any]:
        return {
            "transaction_id": payment.reference, "transaction_code": payment.told_number,
            "client_id": self.partner.code, "command": "PAY", "version": "3.0",
            "addition_fee": str(payment.asked["addition_fee"]),
            "trans_amount": str(payment.amount_vnd + by_vnd), "status": _STATUS[payment.state],
        }  # fmt: skip


def _is_plain(value: Any) -> bool:
    is_text = isinstance(value, str) and bool(value) and "|" not in value
    return is_text or (type(value) is int and value >= 0)


def _is_taken(status: int, body: bytes) -> bool:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return status == 200 and isinstance(said, dict) and str(said.get("return_code")) == "0"
