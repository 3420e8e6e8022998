"""`momo`: create, pay page, IPN, query and refund of the wallet, AIO v2 (contracts §7.5)."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from lienthong.sandbox import faults, imitation, payment_book, payment_pages
from lienthong.sandbox.courier import Courier, Message
from lienthong.sandbox.imitation import Request
from lienthong.sandbox.payment_book import Book, Payment, Refund
from lienthong.sandbox.wire import Reply

SYSTEM = "momo"
_ENDS = {"pay": (payment_book.PAID, "0"), "fail": (payment_book.FAILED, "1001"),
         "cancel": (payment_book.FAILED, "1006")}  # fmt: skip
_WORDS = {0: "Successful.", 13: "Merchant authentication failed.", 20: "Bad format request.",
          21: "Invalid amount.", 22: "Amount out of range.", 40: "Duplicate requestId.", 41: "Duplicate orderId.",
          42: "OrderId not found.", 1000: "Transaction is initiated, waiting for user confirmation.",
          1001: "Insufficient funds.", 1006: "User refused.", 1080: "Refund attempt failed.",
          1081: "Refund is rejected, already refunded.", 1088: "Not refundable."}  # fmt: skip
_ORDER = re.compile(r"[0-9a-zA-Z]([-_.]*[0-9a-zA-Z]+)*")
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_LEAST_VND, _MOST_VND = 1_000, 50_000_000
_CREATE = ("amount", "extraData", "ipnUrl", "orderId", "orderInfo", "partnerCode", "redirectUrl", "requestId",
           "requestType")  # fmt: skip
_IPN = ("amount", "extraData", "message", "orderId", "orderInfo", "orderType", "partnerCode", "payType",
        "requestId", "responseTime", "resultCode", "transId")  # fmt: skip
_QUERY = ("orderId", "partnerCode", "requestId")
_REFUND = ("amount", "description", "orderId", "partnerCode", "requestId", "transId")
_SIGNED = {"create": _CREATE, "query": _QUERY, "refund": _REFUND, "refund/query": _QUERY}
_WHOLE = ("amount", "transId")


@dataclass(frozen=True, slots=True)
class Partner:
    """The one partner that is registered; that of the contract's vector."""

    code: str = "LGSPDEMO"
    access_key: str = "AKDEMO"
    secret: str = "MOMOSECRET"


class Momo:
    """The imitated wallet."""

    roots: frozenset[str] = frozenset()

    def __init__(self, book: Book, courier: Courier, *, partner: Partner | None = None) -> None:
        """Serve this partner."""
        self._book, self._courier = book, courier
        self.partner = partner or Partner()
        self._calls: dict[str, Callable[[Request, dict[str, Any]], Reply]] = {
            "create": self._create, "query": self._query, "refund": self._refund,
            "refund/query": self._refund_query,
        }  # fmt: skip

    async def prepare(self) -> None:
        """Nothing takes long here."""

    def forget(self) -> None:
        """Nothing is held here but the book."""

    def service_of(self, request: Request) -> str:
        """Name the call; a page on which something is chosen is `pay`, one that is only looked at `page`."""
        if request.path == "/pay":
            return "pay" if payment_pages.CHOICE in request.query else "page"
        service = request.path.removeprefix("/v2/gateway/api/")
        return service if service in self._calls else "?"

    def handle(self, request: Request) -> Reply:
        """Answer one call."""
        if request.service in ("pay", "page"):
            return self._page(request)
        call = self._calls.get(request.service)
        if call is None or request.method != "POST":
            return Reply(b'{"message":"not found"}', 404, outcome="refused")
        body = request.json()
        if not isinstance(body, dict):
            return self._refused(20, {})
        code = self._checked(request.service, body)
        return self._refused(code, body) if code else call(request, body)

    def _checked(self, service: str, body: dict[str, Any]) -> int:
        """Check form, partner, signature and numbers, in this order; 0 where nothing is wrong."""
        names = _SIGNED[service]
        for name in names:
            if type(body.get(name)) is not (int if name in _WHOLE else str):
                return 20
        if not _ORDER.fullmatch(body["orderId"]) or not 1 <= len(body["requestId"]) <= 50:
            return 20
        if body["partnerCode"] != self.partner.code:
            return 13
        if not hmac.compare_digest(str(body.get("signature", "")).encode(), self.signed(body, names).encode()):
            return 13
        if "amount" in names and body["amount"] <= 0:
            return 21
        return 0 if self._book.is_new_request(SYSTEM, body["requestId"]) else 40

    def signed(self, body: Mapping[str, Any], names: tuple[str, ...]) -> str:
        """Sign these fields, in this order, the access key first."""
        text = "&".join([f"accessKey={self.partner.access_key}", *(f"{name}={body[name]}" for name in names)])
        return hmac.new(self.partner.secret.encode(), text.encode(), hashlib.sha256).hexdigest()

    # -------------------------------------------------------------------------------------------- create, query

    def _create(self, request: Request, body: dict[str, Any]) -> Reply:
        if body["requestType"] != "captureWallet" or not _BASE64.fullmatch(body["extraData"]):
            return self._refused(20, body)
        if "?" in body["ipnUrl"] or body.get("lang", "vi") not in ("vi", "en") or not body["orderInfo"]:
            return self._refused(20, body)
        if not _LEAST_VND <= body["amount"] <= _MOST_VND:
            return self._refused(22, body)
        if self._book.find(SYSTEM, body["orderId"]) is not None:
            return self._refused(41, body)
        payment = self._book.add(SYSTEM, body["orderId"], amount_vnd=body["amount"], asked=body, now=request.now)
        url = f"{request.url.partition(f'/{SYSTEM}/')[0]}/{SYSTEM}/pay?t={payment.reference}"
        more: dict[str, Any] = {"payUrl": url, "deeplink": f"momo://app?t={payment.reference}", "qrCodeUrl": url}
        return self._said(0, body, request, outcome="accepted", had_effect=True, **more)

    def _query(self, request: Request, body: dict[str, Any]) -> Reply:
        payment = self._book.find(SYSTEM, body["orderId"])
        if payment is None:
            return self._refused(42, body)
        code = int(payment.code) if payment.code else 1000
        return self._said(
            code, body, request, amount=payment.amount_vnd, extraData=payment.asked["extraData"],
            transId=int(payment.number) if code == 0 else 0, payType="qr" if code == 0 else "",
            refundTrans=[_line(one) for one in payment.refunds],
        )  # fmt: skip

    def _refund_query(self, request: Request, body: dict[str, Any]) -> Reply:
        """List the refund of this number; that it is listed so, and not by its payment, no page says for sure."""
        wanted = body["orderId"]
        made = [one for payment in self._book.items() if payment.system == SYSTEM for one in payment.refunds]
        lines = [_line(one) for one in made if one.request == wanted]
        return self._said(0, body, request, refundTrans=lines) if lines else self._refused(42, body)

    def _refund(self, request: Request, body: dict[str, Any]) -> Reply:
        payment = next(
            (one for one in self._book.items() if one.system == SYSTEM and one.number == str(body["transId"])),
            None,
        )
        taken = {refund.request for one in self._book.items() for refund in one.refunds}
        if self._book.find(SYSTEM, body["orderId"]) is not None or body["orderId"] in taken:
            return self._refused(41, body)
        if payment is None or payment.state != payment_book.PAID:
            return self._refused(1088, body)
        if payment.refunded_vnd >= payment.amount_vnd:
            return self._refused(1081, body)
        if payment.refunded_vnd + body["amount"] > payment.amount_vnd:
            return self._refused(1080, body)
        made = Refund(self._book.number(), body["orderId"], body["amount"], request.now)
        payment.refunds.append(made)
        return self._said(
            0, body, request, outcome="accepted", had_effect=True, amount=made.amount_vnd, transId=int(made.number)
        )

    # ---------------------------------------------------------------------------------------- page and callback

    def _page(self, request: Request) -> Reply:
        payment = self._book.find(SYSTEM, request.query.get("t", ""))
        if payment is None:
            return payment_pages.said(
                "MoMo", "42: không có đơn hàng này / no such order", status=404, outcome="refused"
            )
        if payment.state != payment_book.WAITING:
            return payment_pages.said(
                "MoMo", "Đơn hàng đã kết thúc / already ended", status=400, outcome="refused"
            )
        choice = request.query.get(payment_pages.CHOICE, "")
        if choice == "abandon":
            return payment_pages.said("MoMo", "Đã rời trang, chưa trả / left, not paid")
        if choice not in _ENDS:
            return payment_pages.to_choose(
                "MoMo", amount_vnd=payment.amount_vnd, info=payment.asked["orderInfo"], query=request.query,
                choices=("pay", "fail", "cancel", "abandon"),
            )  # fmt: skip
        self.act(payment, choice, chosen=request.chosen, now=request.now)
        back = payment.asked["redirectUrl"]
        if imitation.may_return_to(back):
            reply = imitation.sent_to(back, **{key: str(value) for key, value in self._result(payment).items()})
        else:
            reply = payment_pages.said("MoMo", "Đã xong / done; the return address is not local")
        reply.outcome, reply.had_effect = "accepted", True
        return reply

    def act(self, payment: Payment, choice: str, *, chosen: faults.Chosen, now: float) -> bool:
        """End an attempt; says whether it still waited."""
        if choice not in _ENDS or not payment.settle(*_ENDS[choice], now=now):
            return False
        self.call_back(payment, chosen)
        return True

    def call_back(self, payment: Payment, chosen: faults.Chosen) -> None:
        """Send the IPN of an attempt that has ended: to the address of the order, or to the one that is set."""
        by_vnd = int(chosen.get("callback_wrong_amount", {}).get("by_vnd", 0))
        fields = self._result(payment, by_vnd=by_vnd)
        if "callback_forged" in chosen:
            fields["signature"] = hmac.new(b"another secret", orjson.dumps(fields), hashlib.sha256).hexdigest()
        url = self._courier.addresses.get(SYSTEM) or payment.asked["ipnUrl"]
        self._courier.send(Message(payment, "POST", url, orjson.dumps(fields), is_taken=_is_taken), chosen)

    def _result(self, payment: Payment, *, by_vnd: int = 0) -> dict[str, Any]:
        code = int(payment.code)
        fields: dict[str, Any] = {
            "partnerCode": self.partner.code, "orderId": payment.reference,
            "requestId": payment.asked["requestId"], "amount": payment.amount_vnd + by_vnd,
            "orderInfo": payment.asked["orderInfo"], "orderType": "momo_wallet",
            "transId": int(payment.number), "resultCode": code, "message": _WORDS[code],
            "payType": "qr" if code == 0 else "", "responseTime": int(payment.settled_at * 1000),
            "extraData": payment.asked["extraData"],
        }  # fmt: skip
        return fields | {"signature": self.signed(fields, _IPN)}

    # --------------------------------------------------------------------------------------------------- answers

    def _refused(self, code: int, body: dict[str, Any]) -> Reply:
        # The status of a refusal is invented, but for 422 with 7000, which the page names.
        return self._said(code, body, None, outcome="refused", status=400)

    def _said(
        self, code: int, body: dict[str, Any], request: Request | None, *, outcome: str = "read",
        had_effect: bool = False, status: int = 200, **more: Any,
    ) -> Reply:  # fmt: skip
        told: dict[str, Any] = {
            key: body[key] for key in ("partnerCode", "orderId", "requestId", "amount") if key in body
        }
        told |= {"responseTime": int(time.time() * 1000), "message": _WORDS[code]}
        told |= {"resultCode": code, **more}
        if request is not None:
            request.about |= {"reference": str(body["orderId"])[:50]}
        return Reply(
            orjson.dumps(told, default=str),
            status,
            outcome=outcome,
            had_effect=had_effect,
            shown=str(code).encode(),
        )


def _line(refund: Refund) -> dict[str, Any]:
    return {
        "orderId": refund.request,
        "amount": refund.amount_vnd,
        "resultCode": 0,
        "transId": int(refund.number),
        "createdTime": int(refund.at * 1000),
    }


def _is_taken(status: int, body: bytes) -> bool:
    return status == 204
