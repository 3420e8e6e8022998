"""`paygov`: PayGov behind a province's LGSP: order, page, result, check of a result, receipt (contracts §7.3).

How PayGov signs its results is not public. Here it is SHA-256 over the fields of `RECIPE` joined by `|`: invented,
as is that a province may have the LGSP check them under the one path that is public.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

import orjson

from lienthong.sandbox import faults, imitation, payment_book, payment_pages, tokens
from lienthong.sandbox.courier import Courier, Message
from lienthong.sandbox.imitation import Request
from lienthong.sandbox.payment_book import Book, Payment
from lienthong.sandbox.receipts import WrongMessage
from lienthong.sandbox.tokens import Tokens
from lienthong.sandbox.wire import Reply

SYSTEM = "paygov"
RECIPE = ("secretKey", "accessKey", "orderId", "requestCode", "amount", "transactionCode", "errorCode")
_VIETNAM = timezone(timedelta(hours=7))
_ENDS = {
    "pay": (payment_book.PAID, "00"),
    "fail": (payment_book.FAILED, "51"),
    "cancel": (payment_book.FAILED, "24"),
}
_ALWAYS = ("partnerCode", "returnUrl", "orderId", "amount", "orderInfo", "requestCode", "ipAddress")
_WITH_CHECKSUM = ("accessKey", "serviceCode", "checksum")
_PLAIN = ("beneficiaryCode", "accountPay")
_ORDERED = ("secretKey", "accessKey", "partnerCode", "orderId", "requestCode", "amount")
_RECEIPT = ("secretKey", "partnerCode", "accessKey", "payerId", "payerName", "payerAddress", "payerDistrict",
            "payerProvince", "docCode", "procedureName", "paids", "otherInfo", "decisionDate")  # fmt: skip
_ORDER = re.compile(r"[0-9A-Za-z.]+-.+-01")
_AMOUNT = re.compile(r"[1-9]\d{0,11}")
_DAY = re.compile(r"\d{2}-\d{2}-20\d{2}")
CHECK = "CheckSumUrlReturn"


@dataclass(frozen=True, slots=True)
class Partner:
    """The one partner that is registered (vector 12.4), and its access to the platform in between (12.9)."""

    code: str = "PAYGOV-DEMO"
    access_key: str = "PGACCESS"
    secret: str = "PGSECRET"
    platform_key: str = "AK123"
    platform_secret: str = "SK456"


class Paygov:
    """The imitated gateway together with the platform in front of it; the last part of a path names a call."""

    roots: frozenset[str] = frozenset()

    def __init__(
        self, book: Book, courier: Courier, *, partner: Partner | None = None, life_s: float = 3600.0
    ) -> None:
        """Serve this partner."""
        self._book, self._courier = book, courier
        self.partner = partner or Partner()
        self._tokens = Tokens(life_s=life_s)
        self._calls: dict[str, Callable[[Request, dict[str, Any]], Reply]] = {
            "pay": self._order, CHECK: self._checked, "receipt": self._receipt,
        }  # fmt: skip

    async def prepare(self) -> None:
        """Nothing takes long here."""

    def forget(self) -> None:
        """Forget the tokens."""
        self._tokens.forget()

    def service_of(self, request: Request) -> str:
        """Name the call; a page on which something is chosen is `pay`, one that is only looked at `page`."""
        if request.path == "/page":
            return "pay" if payment_pages.CHOICE in request.query else "page"
        last = request.path.rpartition("/")[2]
        if last.lower().endswith("token"):
            return "token"
        return {"pay": "order"}.get(last, last) if last in self._calls else "?"

    def handle(self, request: Request) -> Reply:
        """Answer one call."""
        if request.path == "/page":
            return self._page(request)
        call = self._calls.get(request.path.rpartition("/")[2])
        if request.method != "POST" or (call is None and request.service != "token"):
            return Reply(b'{"error_code":"FAILED","error_message":"not found"}', 404, outcome="refused")
        if not self._is_known(request):
            return tokens.oauth_error(401, "invalid_client", "lgspaccesstoken")
        if request.service == "token" or call is None:
            return self._token(request)
        if self._tokens.find(request.bearer(), request) is None:
            return tokens.oauth_error(401, "invalid_token")
        body = request.json()
        try:
            if not isinstance(body, dict):
                raise WrongMessage("JSON")
            return call(request, body)
        except WrongMessage as wrong:
            told = {"error_code": "FAILED", "error_message": str(wrong), "data": None}
            return Reply(orjson.dumps(told), outcome="refused", shown=str(wrong).encode())

    def signed(self, fields: Mapping[str, Any], names: tuple[str, ...], *, joint: str = "") -> str:
        """Write the checksum of a message: its values one after another."""
        known = {"secretKey": self.partner.secret, "accessKey": self.partner.access_key}
        text = joint.join(str(known.get(name, fields.get(name, ""))) for name in names)
        return hashlib.sha256(text.encode()).hexdigest()

    def _is_known(self, request: Request) -> bool:
        """Check the header that names the province: base64 of compact JSON (contracts §5.5, LGSP-1)."""
        try:
            said = orjson.loads(base64.b64decode(request.headers.get("lgspaccesstoken", ""), validate=True))
        except (binascii.Error, ValueError):
            return False
        wanted = (self.partner.platform_key, self.partner.platform_secret)
        return isinstance(said, dict) and (said.get("AccessKey"), said.get("SecretKey")) == wanted

    def _token(self, request: Request) -> Reply:
        if "login_refused" in request.chosen or request.form().get("grant_type") != "client_credentials":
            return tokens.oauth_error(400, "unsupported_grant_type")
        return tokens.granted(self._tokens.issue(request.now), self._tokens.life_s)

    # -------------------------------------------------------------------------------------------------- messages

    def _order(self, request: Request, body: dict[str, Any]) -> Reply:
        wanted = _WITH_CHECKSUM if "checksum" in body else _PLAIN
        _must_hold(body, (*_ALWAYS, *wanted), may_be_empty=("serviceCode", "beneficiaryCode", "accountPay"))
        if body["partnerCode"] != self.partner.code:
            raise WrongMessage("partnerCode")
        if wanted is _WITH_CHECKSUM:
            if body["accessKey"] != self.partner.access_key:
                raise WrongMessage("accessKey")
            self._must_be_signed(body, _ORDERED)
        if not _ORDER.fullmatch(body["orderId"]) or not body["orderInfo"].isascii():
            raise WrongMessage("orderId: …-…-01; orderInfo: ASCII")
        if not _AMOUNT.fullmatch(body["amount"]):
            raise WrongMessage("amount")
        if not self._book.is_new_request(SYSTEM, body["requestCode"]):
            raise WrongMessage("requestCode: đã có / exists already")
        payment = self._book.add(
            SYSTEM, body["requestCode"], amount_vnd=int(body["amount"]), asked=body, now=request.now
        )
        payment.told_number = f"TXN{payment.number}"
        request.about |= {"reference": payment.reference[:50], "amount_vnd": payment.amount_vnd}
        url = f"{imitation.base_of(request)}/page?{urlencode({'t': payment.reference})}"
        told = {"error_code": "SUCCESSFUL", "error_message": "", "data": {"url": url}}
        return Reply(orjson.dumps(told), outcome="accepted", had_effect=True)

    def _checked(self, request: Request, body: dict[str, Any]) -> Reply:
        """Say for a province whether a result came from here."""
        given = str(body.get("checksum", "")).encode()
        is_ours = hmac.compare_digest(given, self.signed(body, RECIPE, joint="|").encode())
        code = "SUCCESSFUL" if is_ours else "SIGNATURE_WRONG"
        return Reply(orjson.dumps({"error_code": code, "error_message": ""}), shown=code.encode())

    def _receipt(self, request: Request, body: dict[str, Any]) -> Reply:
        names = (*(name for name in _RECEIPT if name != "secretKey"), "checksum")
        _must_hold(body, names, may_be_empty=("payerDistrict",))
        self._must_be_signed(body, _RECEIPT)
        if not all(body[name].isascii() for name in names) or not _DAY.fullmatch(body["decisionDate"]):
            raise WrongMessage("không dấu; decisionDate: dd-MM-yyyy")
        ours = [one for one in self._book.items() if one.system == SYSTEM]
        paid = {one.told_number for one in ours if one.state == payment_book.PAID}
        numbers = _list_of(body["paids"])
        if not numbers or any(str(number) not in paid for number in numbers):
            raise WrongMessage("paids: chưa thanh toán / not paid")
        url = f"{imitation.base_of(request)}/receipts/{str(numbers[0])[:40]}.pdf"
        return Reply(orjson.dumps({"transactionReceipt": url}))

    def _must_be_signed(self, body: dict[str, Any], names: tuple[str, ...]) -> None:
        if not hmac.compare_digest(body["checksum"].encode(), self.signed(body, names).encode()):
            raise WrongMessage("checksum")

    # ---------------------------------------------------------------------------------------- page and callback

    def _page(self, request: Request) -> Reply:
        payment = self._book.find(SYSTEM, request.query.get("t", ""))
        info = payment.asked["orderInfo"] if payment else ""

        def back() -> str:
            address = str(payment.asked["returnUrl"]) if payment else ""
            result = urlencode(self._result(payment)) if payment else ""
            return f"{address}{'&' if '?' in address else '?'}{result}"

        return payment_pages.visited(
            "PayGov", payment, request, info=info, choices=tuple(_ENDS), act=self.act, back=back
        )

    def act(self, payment: Payment, choice: str, *, chosen: faults.Chosen, now: float) -> bool:
        """End an attempt; says whether it still waited."""
        if choice not in _ENDS or not payment.settle(*_ENDS[choice], now=now):
            return False
        self.call_back(payment, chosen)
        return True

    def call_back(self, payment: Payment, chosen: faults.Chosen) -> None:
        """Send the result of an attempt that has ended."""
        by_vnd = int(chosen.get("callback_wrong_amount", {}).get("by_vnd", 0))
        fields = self._result(payment, by_vnd=by_vnd)
        if "callback_forged" in chosen:
            fields["checksum"] = hashlib.sha256(orjson.dumps(fields)).hexdigest()
        url = self._courier.addresses.get(SYSTEM, "")
        self._courier.send(Message(payment, "POST", url, orjson.dumps(fields), is_taken=_is_taken), chosen)

    def _result(self, payment: Payment, *, by_vnd: int = 0) -> dict[str, str]:
        fields = {
            "amount": str(payment.amount_vnd + by_vnd), "orderId": payment.asked["orderId"],
            "orderInfo": payment.asked["orderInfo"], "requestCode": payment.reference,
            "transactionNo": payment.number, "transactionCode": payment.told_number,
            "payDate": datetime.fromtimestamp(payment.settled_at, _VIETNAM).strftime("%Y%m%d%H%M%S"),
            "paygate": "NCB", "errorCode": payment.code, "type": "PAY",
        }  # fmt: skip
        return fields | {"checksum": self.signed(fields, RECIPE, joint="|")}


def _must_hold(body: dict[str, Any], names: tuple[str, ...], *, may_be_empty: tuple[str, ...]) -> None:
    for name in names:
        value = body.get(name)
        if not isinstance(value, str) or not (value or name in may_be_empty):
            raise WrongMessage(f"{name}: thiếu hoặc sai dạng / missing or bad format")
    strange = set(body) - set(names)
    if strange:
        raise WrongMessage(f"{min(strange)[:40]}: trường lạ / unknown field")


def _list_of(packed: str) -> list[Any]:
    try:
        found = orjson.loads(base64.b64decode(packed, validate=True))
    except (binascii.Error, ValueError):
        return []
    return found if isinstance(found, list) else []


def _is_taken(status: int, body: bytes) -> bool:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return status == 200 and isinstance(said, dict) and said.get("error_code") == "SUCCESSFUL"
