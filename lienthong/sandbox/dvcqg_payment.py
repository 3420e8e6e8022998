"""`dvcqg_payment`: the payment platform of the national portal: INIT, page, result, queries (contracts §7.1)."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import orjson

from lienthong.sandbox import faults, imitation, payment_book, payment_pages, receipts
from lienthong.sandbox.courier import Courier, Message
from lienthong.sandbox.imitation import Request
from lienthong.sandbox.payment_book import Book, NotPossible, Payment
from lienthong.sandbox.receipts import WrongMessage
from lienthong.sandbox.wire import Reply

SYSTEM = "dvcqg_payment"
_VIETNAM = timezone(timedelta(hours=7))
_ENDS = {"pay": (payment_book.PAID, "00"), "fail": (payment_book.FAILED, "99"),
         "cancel": (payment_book.FAILED, "99")}  # fmt: skip
_STATES = {payment_book.PAID: "1", payment_book.WAITING: "3", payment_book.FAILED: "4"}
_TIME = re.compile(r"20\d{12}")
_REFERENCE = re.compile(r"[0-9A-Za-z]{1,20}")
_AMOUNT = re.compile(r"[1-9]\d{0,11}")
_INIT = ("LoaiBanTin", "PhienBan", "MaDoiTac", "MaThamChieu", "SoTien", "LoaiHinhThanhToan", "MaKenhThanhToan",
         "MaThietBi", "NgonNgu", "MaTienTe", "MaNganHang", "ThongTinGiaoDich", "ThoiGianGD", "Ip")  # fmt: skip
_RESULT = ("LoaiBanTin", "MaLoi", "MaDoiTac", "MaThamChieu", "SoTien", "MaTienTe", "MaGiaoDich", "MaNganHang",
           "ThoiGianGD", "ThongTinGiaoDich")  # fmt: skip
_ASK = ("LoaiBanTin", "PhienBan", "MaDoiTac", "MaThamChieu", "ThoiGianGD")
_LOOK_UP = "dptracuuthanhtoanhs"
_CONSTANT = {"PhienBan": "1.0.6", "LoaiHinhThanhToan": "PAY", "MaTienTe": "VND"}
_PDF = b"%PDF-1.4\n% imitation receipt\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


@dataclass(frozen=True, slots=True)
class Partner:
    """The one partner that is registered; that of the contract's vector."""

    code: str = "LGSPDEMO"
    secret: str = "PP_TEST_SECRET_2026"


class DvcqgPayment:
    """The imitated platform. Below `/dvcqg_payment/facade` it answers as a province's façade does."""

    roots: frozenset[str] = frozenset()

    def __init__(self, book: Book, courier: Courier, *, partner: Partner | None = None) -> None:
        """Serve this partner."""
        self._book, self._courier = book, courier
        self.partner = partner or Partner()
        self._calls: dict[str, Callable[[Request, dict[str, Any]], Reply]] = {
            "INIT": self._init, "QUERY": self._query, "GET_BILL": self._bill,
        }  # fmt: skip

    async def prepare(self) -> None:
        """Nothing takes long here."""

    def forget(self) -> None:
        """Nothing is held here but the book."""

    def service_of(self, request: Request) -> str:
        """Name the message; a page on which something is chosen is `pay`, one that is only looked at `page`."""
        if request.method == "GET" and request.path == "/pay":
            return "pay" if payment_pages.CHOICE in request.query else "page"
        if request.method == "GET" and request.path.startswith("/bills/"):
            return "bill"
        body = request.json()
        said = body.get("LoaiBanTin") if isinstance(body, dict) else ""
        return said if isinstance(said, str) and said in self._calls else "?"

    def handle(self, request: Request) -> Reply:
        """Answer one call."""
        if request.service in ("pay", "page"):
            return self._page(request)
        if request.service == "bill":
            return Reply(_PDF, content_type=b"application/pdf")
        body = request.json()
        if request.method != "POST" or not isinstance(body, dict):
            return Reply(b'{"message":"not found"}', 404, outcome="refused")
        try:
            call = self._calls.get(request.service)
            if call is None:
                raise WrongMessage("LoaiBanTin")
            reply = call(request, body)
        except WrongMessage as wrong:
            told = {"MaLoi": "99", "MoTaLoi": str(wrong)}
            reply = Reply(orjson.dumps(told), outcome="refused", shown=str(wrong).encode())
        return _as_facade(reply) if request.path.startswith("/facade") else reply

    def signed(self, fields: Mapping[str, Any], names: tuple[str, ...]) -> str:
        """Write the checksum of a message."""
        text = "|".join([*(str(fields[name]) for name in names), self.partner.secret])
        return hashlib.sha256(text.encode()).hexdigest()

    def _check(self, body: dict[str, Any], names: tuple[str, ...]) -> None:
        for name in names:
            value = body.get(name)
            if not isinstance(value, str) or not value or "|" in value:
                raise WrongMessage(f"{name}: thiếu hoặc sai dạng / missing or bad format")
        if body["MaDoiTac"] != self.partner.code:
            raise WrongMessage("MaDoiTac")
        given = str(body.get("MaXacThuc", ""))
        if not hmac.compare_digest(given.encode(), self.signed(body, names).encode()):
            raise WrongMessage("MaXacThuc")
        if not _TIME.fullmatch(body["ThoiGianGD"]):
            raise WrongMessage("ThoiGianGD: yyyyMMddHHmmss")
        if body["PhienBan"] != _CONSTANT["PhienBan"]:
            raise WrongMessage("PhienBan")

    # -------------------------------------------------------------------------------------------------- messages

    def _init(self, request: Request, body: dict[str, Any]) -> Reply:
        self._check(body, _INIT)
        strange = set(body) - {*_INIT, "ThongTinBienLai", "MaXacThuc"}
        if strange:
            raise WrongMessage(f"{min(strange)[:40]}: trường lạ / unknown field")
        for name, value in _CONSTANT.items():
            if body[name] != value:
                raise WrongMessage(f"{name}: {value}")
        if not _REFERENCE.fullmatch(body["MaThamChieu"]):
            raise WrongMessage("MaThamChieu: chữ và số, tối đa 20 / letters and digits, at most 20")
        if not _AMOUNT.fullmatch(body["SoTien"]):
            raise WrongMessage("SoTien")
        if not body["ThongTinGiaoDich"].isascii():
            raise WrongMessage("ThongTinGiaoDich: ASCII")
        receipts.check(body.get("ThongTinBienLai"), "ThongTinBienLai")
        if self._book.find(SYSTEM, body["MaThamChieu"]) is not None:
            raise WrongMessage("MaThamChieu: đã có / exists already")
        payment = self._book.add(
            SYSTEM, body["MaThamChieu"], amount_vnd=int(body["SoTien"]), asked=body, now=request.now
        )
        payment.told_number = f"PP{payment.number}"
        request.about |= {"reference": payment.reference, "amount_vnd": payment.amount_vnd}
        url = f"{imitation.base_of(request)}/pay?t={payment.reference}"
        told = {"MaLoi": "00", "MoTaLoi": "", "UrlThanhToan": url}
        return Reply(orjson.dumps(told), outcome="accepted", had_effect=True)

    def _query(self, request: Request, body: dict[str, Any]) -> Reply:
        self._check(body, _ASK)
        payment = self._found(body)
        told = self._result(payment, kind="QUERY", code="00") | {"TrangThaiGD": _STATES[payment.state]}
        return Reply(orjson.dumps(told))

    def _bill(self, request: Request, body: dict[str, Any]) -> Reply:
        self._check(body, _ASK)
        payment = self._found(body)
        if payment.state != payment_book.PAID:
            raise WrongMessage("MaThamChieu: chưa thanh toán / not paid")
        if "receipt_as_address" in request.chosen:
            url = f"{imitation.base_of(request)}/bills/{payment.reference}.pdf"
            return Reply(orjson.dumps({"MaLoi": "00", "UrlBienLai": url}))
        return Reply(_PDF, content_type=b"application/pdf")

    def _found(self, body: dict[str, Any]) -> Payment:
        payment = self._book.find(SYSTEM, body["MaThamChieu"])
        if payment is None:
            raise WrongMessage("MaThamChieu: không có / not found")
        return payment

    async def look_up_bill(self, dossier: str) -> dict[str, Any]:
        """Ask the province what a dossier owes, as the portal does before a payer comes (contracts §7.1.4).

        Gives its answer, and under `problem` what the portal could not use of it. Raises NotPossible.
        """
        address = self._courier.addresses.get(SYSTEM, "")
        if not address:
            raise NotPossible("chưa đặt nơi nhận của dvcqg_payment / no address of the hub is set")
        url = f"{address.rpartition('/')[0]}/{_LOOK_UP}"
        status, raw = await self._courier.ask(url, orjson.dumps({"MaHoSo": dossier}))
        try:
            told = orjson.loads(raw)
        except orjson.JSONDecodeError:
            told = None
        return {"status": status, "answer": told, "problem": _unusable(told, dossier)}

    def pay_bill(self, bill: dict[str, Any], *, chosen: faults.Chosen, now: float) -> Payment:
        """Let somebody pay what a province said of a dossier; the province hears the result under its own number.

        That the result carries `transaction_id` is assumed: the page does not say it. Raises NotPossible.
        """
        reference = str(bill["transaction_id"])
        if self._book.find(SYSTEM, reference) is not None:
            raise NotPossible("đã trả / paid already")
        asked = {"ThongTinGiaoDich": f"THANH TOAN {reference}"}
        amount_vnd = sum(int(line["SoTien"]) for line in bill["DSKhoanNop"])
        payment = self._book.add(SYSTEM, reference, amount_vnd=amount_vnd, asked=asked, now=now)
        payment.told_number = f"PP{payment.number}"
        self.act(payment, "pay", chosen=chosen, now=now)
        return payment

    # ---------------------------------------------------------------------------------------- page and callback

    def _page(self, request: Request) -> Reply:
        name = "Nền tảng thanh toán DVCQG"
        payment = self._book.find(SYSTEM, request.query.get("t", ""))
        if payment is None:
            return payment_pages.said(
                name, "Không có giao dịch này / no such payment", status=404, outcome="refused"
            )
        choice = request.query.get(payment_pages.CHOICE, "")
        if choice == "abandon":
            return payment_pages.said(name, "Đã rời trang, chưa trả / left, not paid")
        if choice not in _ENDS:
            return payment_pages.to_choose(
                name, amount_vnd=payment.amount_vnd, info=payment.asked["ThongTinGiaoDich"], query=request.query,
                choices=("pay", "fail", "cancel", "abandon"),
            )  # fmt: skip
        if not self.act(payment, choice, chosen=request.chosen, now=request.now):
            return payment_pages.said(name, "Giao dịch đã kết thúc / already ended", status=400, outcome="refused")
        reply = payment_pages.said(name, f"Đã xong: {payment.code} / done", outcome="accepted")
        reply.had_effect = True
        return reply

    def act(self, payment: Payment, choice: str, *, chosen: faults.Chosen, now: float) -> bool:
        """End an attempt; says whether it still waited."""
        if choice not in _ENDS or not payment.settle(*_ENDS[choice], now=now):
            return False
        self.call_back(payment, chosen)
        return True

    def call_back(self, payment: Payment, chosen: faults.Chosen) -> None:
        """Send the result of an attempt that has ended."""
        by_vnd = int(chosen.get("callback_wrong_amount", {}).get("by_vnd", 0))
        # What the platform calls this kind of message is not public; CONFIRM stands for it (contracts §7.1).
        fields = self._result(payment, kind="CONFIRM", code=payment.code, by_vnd=by_vnd)
        if "callback_forged" in chosen:
            fields["MaXacThuc"] = hashlib.sha256(orjson.dumps(fields)).hexdigest()
        proof = fields["MaXacThuc"]
        url = self._courier.addresses.get(SYSTEM, "")
        message = Message(
            payment,
            "POST",
            url,
            orjson.dumps(fields),
            is_taken=lambda status, body: _is_taken(status, body, proof),
        )
        self._courier.send(message, chosen)

    def _result(self, payment: Payment, *, kind: str, code: str, by_vnd: int = 0) -> dict[str, Any]:
        is_over = payment.state != payment_book.WAITING
        at = payment.settled_at if is_over else payment.at
        fields = {
            "LoaiBanTin": kind, "MaLoi": code, "MaDoiTac": self.partner.code, "MaThamChieu": payment.reference,
            "SoTien": payment.amount_vnd + by_vnd, "MaTienTe": "VND",
            "MaGiaoDich": payment.told_number if is_over else "", "MaNganHang": "VCB" if is_over else "",
            "ThoiGianGD": datetime.fromtimestamp(at, _VIETNAM).strftime("%Y%m%d%H%M%S"),
            "ThongTinGiaoDich": payment.asked["ThongTinGiaoDich"],
        }  # fmt: skip
        return fields | {"MaXacThuc": self.signed(fields, _RESULT)}


def _unusable(told: Any, dossier: str) -> str:
    """Name what the portal could not use of an answer; empty where nothing is wrong."""
    code = str(told.get("error_code")) if isinstance(told, dict) else ""
    if code in ("0", "-1"):
        return "" if told["message"] == [] else "message: []"
    bill = told.get("message") if code == "1" else None
    if not isinstance(bill, dict):
        return "error_code, message"
    given = dict(bill)
    numbers = [given.pop(name, None) for name in ("transaction_id", "client_id", "MaTraCuuTT")]
    if not all(isinstance(number, str) and number for number in numbers):
        return "transaction_id, client_id, MaTraCuuTT"
    if not re.fullmatch(re.escape(dossier) + r"20\d{12}", str(numbers[2])):
        return "MaTraCuuTT"
    try:
        # Nobody has come to pay yet: of the address of whoever will, a province need not know anything.
        receipts.check(given, "message", may_be_empty=("DiaChiNguoiNop", "SoCMNDNguoiNop"))
    except WrongMessage as wrong:
        return str(wrong)
    return ""


def _as_facade(reply: Reply) -> Reply:
    if reply.content_type.startswith(b"application/json"):
        ok = orjson.loads(reply.body).get("MaLoi") == "00"
        reply.body = orjson.dumps({"error_code": "0" if ok else "-1", "message": reply.body.decode()})
    return reply


def _is_taken(status: int, body: bytes, proof: str) -> bool:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return (
        status == 200 and isinstance(said, dict) and said.get("MaLoi") == "00" and said.get("MaXacThuc") == proof
    )
