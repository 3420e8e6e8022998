"""`vnpay`: the pay page, the IPN, querydr and refund (contracts §7.4)."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from urllib.parse import urlencode

import orjson

from lienthong.sandbox import faults, imitation, payment_book, payment_pages
from lienthong.sandbox.courier import Courier, Message
from lienthong.sandbox.imitation import Request
from lienthong.sandbox.payment_book import Book, Payment, Refund
from lienthong.sandbox.wire import Reply

SYSTEM = "vnpay"
_VIETNAM = timezone(timedelta(hours=7))
_ENDS = {"pay": (payment_book.PAID, "00"), "fail": (payment_book.FAILED, "51"),
         "cancel": (payment_book.FAILED, "24"), "suspect": (payment_book.SUSPECT, "07")}  # fmt: skip
_STATUS = {payment_book.WAITING: "01", payment_book.PAID: "00", payment_book.FAILED: "02",
           payment_book.SUSPECT: "07"}  # fmt: skip
_TIME = r"20\d{12}"
_PAY: dict[str, str] = {
    "vnp_Version": r"2\.1\.0", "vnp_Command": "pay", "vnp_TmnCode": r"\w{8}", "vnp_Amount": r"[1-9]\d{0,11}",
    "vnp_CreateDate": _TIME, "vnp_ExpireDate": _TIME, "vnp_CurrCode": "VND", "vnp_IpAddr": r"[0-9A-Fa-f.:]{7,45}",
    "vnp_Locale": "vn|en", "vnp_OrderInfo": r"[0-9A-Za-z .,:;_()/-]{1,255}", "vnp_OrderType": r"\w{1,100}",
    "vnp_ReturnUrl": r"https?://\S{3,248}", "vnp_TxnRef": r"[0-9A-Za-z._-]{1,100}",
}  # fmt: skip
_OPTIONAL = {"vnp_BankCode": r"\w{3,20}"}
_QUERY = ("vnp_RequestId", "vnp_Version", "vnp_Command", "vnp_TmnCode", "vnp_TxnRef", "vnp_TransactionDate",
          "vnp_CreateDate", "vnp_IpAddr", "vnp_OrderInfo")  # fmt: skip
_REFUND = ("vnp_RequestId", "vnp_Version", "vnp_Command", "vnp_TmnCode", "vnp_TransactionType", "vnp_TxnRef",
           "vnp_Amount", "vnp_TransactionNo", "vnp_TransactionDate", "vnp_CreateBy", "vnp_CreateDate",
           "vnp_IpAddr", "vnp_OrderInfo")  # fmt: skip
_REFUND_ANSWER = ("vnp_ResponseId", "vnp_Command", "vnp_ResponseCode", "vnp_Message", "vnp_TmnCode", "vnp_TxnRef",
                  "vnp_Amount", "vnp_BankCode", "vnp_PayDate", "vnp_TransactionNo", "vnp_TransactionType",
                  "vnp_TransactionStatus", "vnp_OrderInfo")  # fmt: skip
_ANSWER = (*_REFUND_ANSWER, "vnp_PromotionCode", "vnp_PromotionAmount")
_SIGNED = {"querydr": (_QUERY, _ANSWER), "refund": (_REFUND, _REFUND_ANSWER)}
_WORDS = {"00": "Success", "02": "Invalid TmnCode", "03": "Invalid format", "91": "Transaction not found",
          "94": "Duplicate request", "95": "Original transaction failed", "97": "Invalid checksum",
          "99": "Unknown error"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Terminal:
    """The one terminal that is registered; that of the contract's vector."""

    code: str = "LGSPDEMO"
    secret: str = "LGSPTESTSECRET0123456789ABCDEFGH"


class Vnpay:
    """The imitated intermediary."""

    roots: frozenset[str] = frozenset()

    def __init__(self, book: Book, courier: Courier, *, terminal: Terminal | None = None) -> None:
        """Serve this terminal."""
        self._book, self._courier = book, courier
        self.terminal = terminal or Terminal()

    async def prepare(self) -> None:
        """Nothing takes long here."""

    def forget(self) -> None:
        """Nothing is held here but the book."""

    def service_of(self, request: Request) -> str:
        """Name the service; a page on which something is chosen is `pay`, one that is only looked at `page`."""
        if request.path.endswith("/vpcpay.html"):
            return "pay" if payment_pages.CHOICE in request.query else "page"
        if request.path.endswith("/api/transaction"):
            body = request.json()
            said = body.get("vnp_Command") if isinstance(body, dict) else ""
            return said if isinstance(said, str) and said in _SIGNED else "?"
        return "banks" if request.path.endswith("/get_bank_list") else "?"

    def handle(self, request: Request) -> Reply:
        """Answer one call."""
        if request.service in ("pay", "page"):
            return self._page(request)
        if request.service == "banks":
            return Reply(orjson.dumps([{"bank_code": "NCB", "bank_name": "Ngân hàng thử nghiệm"}]))
        if request.path.endswith("/api/transaction") and request.method == "POST":
            return self._transaction(request)
        return Reply(b'{"message":"not found"}', 404, outcome="refused")

    # ------------------------------------------------------------------------------------------------ pay page

    def _page(self, request: Request) -> Reply:
        fields = {key: value for key, value in request.query.items() if key.startswith("vnp_") and value}
        given = fields.pop("vnp_SecureHash", "")
        fields.pop("vnp_SecureHashType", None)
        if not hmac.compare_digest(given.encode(), sign(urlencode(sorted(fields.items())), self.terminal.secret)):
            return _refused("97: sai chữ ký / wrong signature")
        wrong = _wrong(fields, {**_PAY, **_OPTIONAL}, needed=_PAY)
        if wrong:
            return _refused(f"03: {wrong}")
        if fields["vnp_TmnCode"] != self.terminal.code:
            return _refused("02: vnp_TmnCode")
        if int(fields["vnp_Amount"]) % 100:
            return _refused("03: vnp_Amount: VND x 100")
        payment = self._opened(request, fields)
        if payment is None:
            return _refused("01: vnp_TxnRef đã dùng / already used")
        request.about |= {"reference": payment.reference, "amount_vnd": payment.amount_vnd}
        if payment.state != payment_book.WAITING:
            return _refused(f"01: giao dịch đã kết thúc / already ended ({payment.code})")
        if request.now > _moment(fields["vnp_ExpireDate"]):
            payment.settle(payment_book.FAILED, "11", now=request.now)
            return self._ended(payment, request)
        choice = request.query.get(payment_pages.CHOICE, "")
        if choice == "abandon":
            return payment_pages.said("VNPAY", "Đã rời trang, chưa trả / left, not paid")
        if choice not in _ENDS:
            return payment_pages.to_choose(
                "VNPAY", amount_vnd=payment.amount_vnd, info=fields["vnp_OrderInfo"], query=request.query,
                choices=("pay", "fail", "cancel", "suspect", "abandon"),
            )  # fmt: skip
        payment.settle(*_ENDS[choice], now=request.now)
        return self._ended(payment, request)

    def _opened(self, request: Request, fields: dict[str, str]) -> Payment | None:
        """Find the attempt, or open it; None where its number stands for another one."""
        held = self._book.find(SYSTEM, fields["vnp_TxnRef"])
        if held is None:
            amount_vnd = int(fields["vnp_Amount"]) // 100
            return self._book.add(
                SYSTEM, fields["vnp_TxnRef"], amount_vnd=amount_vnd, asked=fields, now=request.now
            )
        return held if held.asked == fields else None

    def _ended(self, payment: Payment, request: Request) -> Reply:
        self.call_back(payment, request.chosen)
        query = self._signed(self._result(payment))
        if not imitation.may_return_to(payment.asked["vnp_ReturnUrl"]):
            reply = payment_pages.said("VNPAY", f"Đã xong: {payment.code} / done; the return address is not local")
        else:
            reply = imitation.sent_to(payment.asked["vnp_ReturnUrl"], **query)
        reply.outcome, reply.had_effect = "accepted", True
        return reply

    # ------------------------------------------------------------------------------------------------ callback

    def act(self, payment: Payment, choice: str, *, chosen: faults.Chosen, now: float) -> bool:
        """End an attempt without the page; says whether it still waited."""
        if choice not in _ENDS or not payment.settle(*_ENDS[choice], now=now):
            return False
        self.call_back(payment, chosen)
        return True

    def call_back(self, payment: Payment, chosen: faults.Chosen) -> None:
        """Send the IPN of an attempt that has ended."""
        fields = self._result(payment)
        by_vnd = int(chosen.get("callback_wrong_amount", {}).get("by_vnd", 0))
        fields["vnp_Amount"] = str((payment.amount_vnd + by_vnd) * 100)
        signed = self._signed(fields)
        if "callback_forged" in chosen:
            signed["vnp_SecureHash"] = sign(urlencode(sorted(fields.items())), "another secret").decode()
        address = self._courier.addresses.get(SYSTEM, "")
        url = f"{address}?{urlencode(signed)}" if address else ""
        self._courier.send(Message(payment, "GET", url, is_taken=_is_taken), chosen)

    def _result(self, payment: Payment) -> dict[str, str]:
        found = {
            "vnp_Amount": str(payment.amount_vnd * 100), "vnp_BankCode": "NCB",
            "vnp_OrderInfo": payment.asked["vnp_OrderInfo"], "vnp_PayDate": _stamp(payment.settled_at),
            "vnp_ResponseCode": payment.code, "vnp_TmnCode": self.terminal.code,
            "vnp_TransactionNo": payment.number if payment.code in ("00", "07") else "0",
            "vnp_TransactionStatus": _STATUS[payment.state], "vnp_TxnRef": payment.reference,
        }  # fmt: skip
        if payment.code == "00":
            found |= {"vnp_BankTranNo": f"VNP{payment.number}", "vnp_CardType": "ATM"}
        return found

    def _signed(self, fields: Mapping[str, str]) -> dict[str, str]:
        ordered = dict(sorted(fields.items()))
        return ordered | {"vnp_SecureHash": sign(urlencode(ordered), self.terminal.secret).decode()}

    # ---------------------------------------------------------------------------------------- query and refund

    def _transaction(self, request: Request) -> Reply:
        body = request.json()
        if not isinstance(body, dict) or not all(isinstance(value, str | int) for value in body.values()):
            return self._answer("querydr", "03", {}, None)
        fields = {key: str(value) for key, value in body.items()}
        command = fields.get("vnp_Command", "")
        if command not in _SIGNED:
            return self._answer("querydr", "03", fields, None)
        names = _SIGNED[command][0]
        text = "|".join(fields.get(name, "") for name in names)
        given = fields.get("vnp_SecureHash", "").encode()
        if not hmac.compare_digest(given, sign(text, self.terminal.secret)):
            return self._answer(command, "97", fields, None)
        payment = self._book.find(SYSTEM, fields["vnp_TxnRef"]) if fields.get("vnp_TxnRef") else None
        code = self._checked(fields, names, payment)
        if code == "00" and command == "refund" and payment is not None:
            code = self._give_back(fields, payment, now=request.now)
        return self._answer(command, code, fields, payment)

    def _checked(self, fields: dict[str, str], names: tuple[str, ...], payment: Payment | None) -> str:
        if any(not fields.get(name) or "|" in fields[name] for name in names):
            return "03"
        times = (fields["vnp_CreateDate"], fields["vnp_TransactionDate"])
        if fields["vnp_Version"] != "2.1.0" or not all(re.fullmatch(_TIME, time) for time in times):
            return "03"
        if fields["vnp_TmnCode"] != self.terminal.code:
            return "02"
        if not self._book.is_new_request(SYSTEM, fields["vnp_RequestId"]):
            return "94"
        if payment is None or payment.asked["vnp_CreateDate"] != fields["vnp_TransactionDate"]:
            return "91"
        return "00"

    def _give_back(self, fields: dict[str, str], payment: Payment, *, now: float) -> str:
        amount = fields["vnp_Amount"]
        if not amount.isdecimal() or int(amount) % 100 or fields["vnp_TransactionType"] not in ("02", "03"):
            return "03"
        if payment.state != payment_book.PAID:
            return "95"
        amount_vnd = int(amount) // 100
        if fields["vnp_TransactionType"] == "02" and amount_vnd != payment.amount_vnd:
            return "03"
        if fields["vnp_TransactionNo"] not in ("0", payment.number):
            return "91"
        if payment.refunded_vnd + amount_vnd > payment.amount_vnd:
            return "94"
        payment.refunds.append(Refund(self._book.number(), fields["vnp_RequestId"], amount_vnd, now))
        return "00"

    def _answer(self, command: str, code: str, fields: dict[str, str], payment: Payment | None) -> Reply:
        found = {
            "vnp_ResponseId": f"R{self._book.number()}", "vnp_Command": command, "vnp_ResponseCode": code,
            "vnp_Message": _WORDS[code], "vnp_TmnCode": fields.get("vnp_TmnCode", ""),
            "vnp_TxnRef": fields.get("vnp_TxnRef", ""),
        }  # fmt: skip
        if code == "00" and payment is not None:
            found |= self._state(payment, command)
        text = "|".join(found.get(name, "") for name in _SIGNED[command][1])
        signed = {**found, "vnp_SecureHash": sign(text, self.terminal.secret).decode()}
        is_change = command == "refund" and code == "00"
        outcome = "accepted" if is_change else "read" if code == "00" else "refused"
        return Reply(orjson.dumps(signed), outcome=outcome, had_effect=is_change, shown=f"{code}".encode())

    def _state(self, payment: Payment, command: str) -> dict[str, str]:
        found = {"vnp_BankCode": "NCB", "vnp_OrderInfo": payment.asked["vnp_OrderInfo"]}
        if command == "refund":
            last = payment.refunds[-1]
            kind = "02" if last.amount_vnd == payment.amount_vnd else "03"
            return found | {
                "vnp_Amount": str(last.amount_vnd * 100), "vnp_PayDate": _stamp(last.at),
                "vnp_TransactionNo": last.number, "vnp_TransactionType": kind, "vnp_TransactionStatus": "05",
            }  # fmt: skip
        return found | {
            "vnp_Amount": str(payment.amount_vnd * 100), "vnp_TransactionType": "01",
            "vnp_PayDate": _stamp(payment.settled_at) if payment.settled_at else "",
            "vnp_TransactionNo": payment.number, "vnp_TransactionStatus": _STATUS[payment.state],
        }  # fmt: skip


def sign(text: str, secret: str) -> bytes:
    """Sign as version 2.1.0 does."""
    return hmac.new(secret.encode(), text.encode(), hashlib.sha512).hexdigest().encode()


def _is_taken(status: int, body: bytes) -> bool:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return status == 200 and isinstance(said, dict) and said.get("RspCode") in ("00", "01", "02", "04", "97")


def _wrong(fields: Mapping[str, str], known: Mapping[str, str], *, needed: Mapping[str, str]) -> str:
    for name in needed:
        if name not in fields:
            return f"{name}: thiếu / missing"
    for name, value in fields.items():
        if name not in known:
            return f"{name[:40]}: lạ / unknown"
        if not re.fullmatch(known[name], value):
            return f"{name}: sai dạng / bad format"
    return ""


def _refused(text: str) -> Reply:
    return payment_pages.said("VNPAY", text, status=400, outcome="refused")


def _moment(stamp: str) -> float:
    try:
        return datetime.strptime(stamp, "%Y%m%d%H%M%S").replace(tzinfo=_VIETNAM).timestamp()
    except ValueError:
        return 0.0


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, _VIETNAM).strftime("%Y%m%d%H%M%S")
