"""`my_vnpost`: the commercial interface of the post: token, prices, orders, cancellation (contracts §8.2).

The page names no call that follows a parcel and no field of a price; both are written here as the operator's sheet
of the contract has them from public clients.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import orjson

from lienthong.sandbox import faults
from lienthong.sandbox.imitation import Request
from lienthong.sandbox.parcels import Parcel
from lienthong.sandbox.tokens import Tokens
from lienthong.sandbox.wire import Reply

SYSTEM = "my_vnpost"
_VIETNAM = timezone(timedelta(hours=7))
_TEXTS = ("SenderTel", "SenderFullname", "SenderAddress", "ReceiverTel", "ReceiverFullname", "ReceiverAddress",
          "ServiceName", "OrderCode")  # fmt: skip
_PLACES = ("SenderProvinceId", "SenderDistrictId", "ReceiverProvinceId", "ReceiverDistrictId")
_WARDS = ("SenderWardId", "ReceiverWardId")
_WHOLE = ("WeightEvaluation", "CodAmountEvaluation", "PickupType")
_WORDS = {-1: "Chưa duyệt", 20: "Đã duyệt", 60: "Đã huỷ", 62: "Đã huỷ", 70: "Đang vận chuyển",
          91: "Phát không thành công", 100: "Phát thành công", 110: "Đã thu tiền", 120: "Đã trả tiền",
          161: "Chuyển hoàn không thành công", 170: "Đã chuyển hoàn"}  # fmt: skip
# Provinces whose internal numbers are public (contracts §8.1, place codes).
_PROVINCES = {"10": "Hà Nội", "20": "Quảng Ninh", "28": "Vĩnh Phúc", "22": "Bắc Ninh", "16": "Hưng Yên",
              "40": "Hà Nam", "31": "Hà Giang", "27": "Cao Bằng", "30": "Tuyên Quang", "26": "Bắc Kạn",
              "25": "Thái Nguyên",
              "24": "Lạng Sơn", "23": "Bắc Giang"}  # fmt: skip
_CANCELLABLE = (-1, 20)


@dataclass(frozen=True, slots=True)
class Account:
    """The one user that is registered."""

    username: str = "demo-vnpost"
    password: str = "demo-vnpost-password"


@dataclass(slots=True)
class _Step:
    code: int
    at: float
    message: str


class MyVnpost:
    """The imitated carrier."""

    roots: frozenset[str] = frozenset()

    def __init__(self, *, account: Account | None = None, life_s: float = 3600.0) -> None:
        """Serve this user."""
        self.account = account or Account()
        self._tokens = Tokens(life_s=life_s)
        self.parcels: dict[str, Parcel] = {}
        self._steps: dict[str, list[_Step]] = {}
        self._ids: dict[str, str] = {}
        self._calls: dict[str, Callable[[Request], Reply]] = {
            "CreateOrder": self._order, "CancelOrder": self._cancel, "TinhCuocTatCaDichVu": self._price,
        }  # fmt: skip

    async def prepare(self) -> None:
        """Nothing takes long here."""

    def forget(self) -> None:
        """Forget tokens and parcels."""
        self._tokens.forget()
        for held in (self.parcels, self._steps, self._ids):
            held.clear()

    def service_of(self, request: Request) -> str:
        """Name the call by the end of its path; `track` asks about one order, `places` for a list of them."""
        before, _, last = request.path.rstrip("/").rpartition("/")
        if last == "GetAccessToken":
            return "token"
        if request.method == "GET":
            return "places" if last == "GetAll" else "track" if before.endswith("/orders") else "?"
        return last if last in self._calls else "?"

    def handle(self, request: Request) -> Reply:
        """Answer one call."""
        if request.service == "token" and request.method == "POST":
            return self._token(request)
        if self._tokens.find(request.headers.get("h-token", ""), request) is None:
            return _failed("h-token", status=401)
        if request.service == "track":
            return self._track(request)
        if request.service == "places":
            return _places(request)
        call = self._calls.get(request.service)
        if call is None or request.method != "POST":
            return _failed("không có thao tác này / no such call", status=404)
        return call(request)

    def event(
        self, number: str, code: int, *, now: float, message: str = "", chosen: faults.Chosen | None = None
    ) -> bool:
        """Let something happen to a parcel; says whether there is one."""
        parcel = self.parcels.get(number)
        if parcel is None:
            return False
        parcel.codes.append(code)
        self._steps[number].append(_Step(code, now, message or _WORDS.get(code, f"Mã {code}")))
        return True

    def _token(self, request: Request) -> Reply:
        body = request.json()
        given = body if isinstance(body, dict) else {}
        said = f"{given.get('TenDangNhap')}:{given.get('MatKhau')}".encode()
        wanted = f"{self.account.username}:{self.account.password}".encode()
        if not hmac.compare_digest(said, wanted) or "login_refused" in request.chosen:
            told = {"IsSuccess": False, "Token": None, "ErrorMessage": "Sai tài khoản hoặc mật khẩu"}
            return Reply(orjson.dumps(told), outcome="refused")
        told = {"IsSuccess": True, "Token": self._tokens.issue(request.now), "ErrorMessage": ""}
        return Reply(orjson.dumps(told), outcome="login")

    def _order(self, request: Request) -> Reply:
        body = request.json()
        wrong = _wrong(body)
        if wrong:
            return _failed(f"{wrong}: không hợp lệ / not valid")
        number = body["OrderCode"]
        request.about |= {"number": number[:50]}
        if number in self.parcels and not self.parcels[number].is_cancelled:
            # What is said of an order that exists already is not public.
            return _failed("Mã đơn hàng đã tồn tại", outcome="duplicate")
        identity, item = f"{700_000 + len(self._ids) + 1}", f"EB{len(self._ids) + 1:09d}VN"
        self._ids[identity] = number
        self.parcels[number] = Parcel(
            SYSTEM, number, item, cod_vnd=body["CodAmountEvaluation"], weight_g=body["WeightEvaluation"]
        )
        self._steps[number] = []
        self.event(number, 20, now=request.now)
        told = {"Id": identity, "ItemCode": item, "OrderCode": number,
                "TotalFreightIncludeVatEvaluation": _freight_vnd(body["WeightEvaluation"])}  # fmt: skip
        return Reply(orjson.dumps(told), outcome="accepted", had_effect=True)

    def _cancel(self, request: Request) -> Reply:
        body = request.json()
        number = self._ids.get(str(body.get("OrderId")) if isinstance(body, dict) else "", "")
        parcel = self.parcels.get(number)
        if parcel is None or parcel.is_cancelled:
            return _failed("Không tìm thấy đơn hàng")
        if any(code not in _CANCELLABLE for code in parcel.codes):
            return _failed("Đơn hàng đã được thu gom")
        parcel.is_cancelled = True
        self.event(number, 60, now=request.now)
        return Reply(b'{"IsSuccess":true,"ErrorMessage":""}', outcome="accepted", had_effect=True)

    def _price(self, request: Request) -> Reply:
        body = request.json()
        weight_g = body.get("Weight") if isinstance(body, dict) else None
        if type(weight_g) is not int or not 0 < weight_g <= 100_000:
            return _failed("Weight: không hợp lệ / not valid")
        prices = (("EMS", 0), ("BK", 6_000))
        told = [
            {"MaDichVu": name, "TongCuocBaoGomDVCT": max(9_000, _freight_vnd(weight_g) - less)}
            for name, less in prices
        ]
        return Reply(orjson.dumps(told))

    def _track(self, request: Request) -> Reply:
        number = self._ids.get(request.path.rstrip("/").rpartition("/")[2], "")
        parcel = self.parcels.get(number)
        if parcel is None:
            return _failed("Không tìm thấy đơn hàng")
        rows = [
            {"OrderCode": number, "ItemCode": parcel.item, "OrderStatusId": step.code,
             "OrderStatusName": step.message,
             "LastUpdateTime": datetime.fromtimestamp(step.at, _VIETNAM).strftime("%Y%m%d%H%M%S")}
            for step in self._steps[number]
        ]  # fmt: skip
        if "feed_unordered" in request.chosen:
            rows.reverse()
        return Reply(orjson.dumps(rows * (2 if "feed_repeated" in request.chosen else 1)))


def _wrong(body: Any) -> str:
    """Name the first field that is missing or of another kind; the list of fields has no end on the page."""
    if not isinstance(body, dict):
        return "JSON"
    for name in _TEXTS:
        if not isinstance(body.get(name), str) or not body[name]:
            return name
    for name in _PLACES:
        if not str(body.get(name) or "").isdecimal():
            return name
    for name in _WARDS:
        if name not in body:
            return name
    for name in _WHOLE:
        if type(body.get(name)) is not int or body[name] < 0:
            return name
    return ""


def _places(request: Request) -> Reply:
    kind = request.path.rstrip("/").rsplit("/", 2)[-2]
    rows = [{"Id": number, "Name": name} for number, name in _PROVINCES.items()] if kind == "TinhThanh" else []
    return Reply(orjson.dumps(rows))


def _freight_vnd(weight_g: int) -> int:
    return 22_000 + 1_800 * (max(0, weight_g - 1) // 500)


def _failed(sentence: str, *, status: int = 200, outcome: str = "refused") -> Reply:
    told = {"IsSuccess": False, "ErrorMessage": sentence}
    return Reply(orjson.dumps(told), status, outcome=outcome, shown=sentence.encode())
