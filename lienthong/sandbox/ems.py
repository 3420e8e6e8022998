"""`ems`: orders, tracking, and the calls by which EMS tells of events (contracts §8.3).

What an order holds is not public but for what the calls repeat of it; prices, the token and error 099 stand here
as the operator's sheet of the contract has them. EMS signs nothing: a forged call is one to another path.
"""

from __future__ import annotations

import hmac
import itertools
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import orjson

from lienthong.sandbox import faults
from lienthong.sandbox.courier import Courier, Message
from lienthong.sandbox.imitation import Request
from lienthong.sandbox.parcels import Parcel
from lienthong.sandbox.wire import Reply

SYSTEM = "ems"
_VIETNAM = timezone(timedelta(hours=7))
_API = "/api/v1/"
_WORDS = {1: "Tạo mới, chờ duyệt", 2: "Đã duyệt, chờ lấy hàng", 4: "Đang vận chuyển"}


@dataclass(frozen=True, slots=True)
class Account:
    """The one merchant that is registered."""

    token: str = "demo-ems-token"


class Ems:
    """The imitated carrier."""

    roots: frozenset[str] = frozenset()

    def __init__(self, courier: Courier, *, account: Account | None = None) -> None:
        """Serve this merchant; call back through this courier."""
        self._courier = courier
        self.account = account or Account()
        self.parcels: dict[str, Parcel] = {}
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._transactions = itertools.count(1)

    async def prepare(self) -> None:
        """Nothing takes long here."""

    def forget(self) -> None:
        """Forget the parcels."""
        self.parcels.clear()
        self._rows.clear()

    def service_of(self, request: Request) -> str:
        """Name the call: order, price, track."""
        rest = request.path.removeprefix(_API) if request.path.startswith(_API) else ""
        if request.method == "POST":
            return {"orders/create-v2": "order", "get-order-fee": "price"}.get(rest, "?")
        return "track" if rest.startswith("orders/tracking/") else "?"

    def handle(self, request: Request) -> Reply:
        """Answer one call."""
        given = request.query.get("merchant_token") or request.bearer()
        if not hmac.compare_digest(given.encode(), self.account.token.encode()):
            return _failed("Token không hợp lệ / wrong token", code="001")
        if request.service == "track":
            return self._track(request)
        body = request.json()
        if request.service not in ("order", "price") or not isinstance(body, dict):
            return _failed("Không hợp lệ / not valid", code="002")
        return self._order(request, body) if request.service == "order" else _price(body)

    def event(
        self, number: str, code: int, *, now: float, message: str = "", chosen: faults.Chosen | None = None
    ) -> bool:
        """Let something happen to a parcel and call the hub with it; says whether there is such a parcel."""
        parcel = self.parcels.get(number)
        if parcel is None:
            return False
        parcel.codes.append(code)
        row = {
            "tracking_code": parcel.item, "order_code": number, "status_code": code,
            "status_name": message or _WORDS.get(code, f"Mã {code}"), "note": "", "locate": "Bưu cục giả lập",
            "datetime": datetime.fromtimestamp(now, _VIETNAM).strftime("%d/%m/%Y %H:%M:%S"),
            "total_weight": parcel.weight_g, "money_collect": parcel.cod_vnd, "total_fee": 32_000,
        }  # fmt: skip
        self._rows[number].append(row)
        self._call(parcel, row, chosen or {})
        return True

    def _call(self, parcel: Parcel, row: dict[str, Any], chosen: faults.Chosen) -> None:
        by_vnd = int(chosen.get("callback_wrong_amount", {}).get("by_vnd", 0))
        told = row | {"money_collect": max(0, row["money_collect"] + by_vnd)}
        url = self._courier.addresses.get(SYSTEM, "")
        if url and "callback_forged" in chosen:
            url = f"{url.rpartition('/')[0]}/somebody-who-guesses"
        transaction = f"EMS{next(self._transactions):08d}"
        message = Message(
            parcel, "POST", url, orjson.dumps(told),
            is_taken=lambda status, body: _is_taken(status, body, transaction),
            headers=(("ems-transaction", transaction),),
        )  # fmt: skip
        self._courier.send(message, chosen)

    def _order(self, request: Request, body: dict[str, Any]) -> Reply:
        number, weight_g, cod_vnd = (body.get(name) for name in ("order_code", "total_weight", "money_collect"))
        if not isinstance(number, str) or not 0 < len(number) <= 50:
            return _failed("order_code", code="003")
        if type(weight_g) is not int or weight_g <= 0 or type(cod_vnd) is not int or cod_vnd < 0:
            return _failed("total_weight, money_collect", code="003")
        request.about |= {"number": number}
        held = self.parcels.get(number)
        if held is not None:
            told = {"code": "error", "error_code": "099", "message": "Đơn hàng đã tồn tại",
                    "data": {"tracking_code": held.item}}  # fmt: skip
            return Reply(orjson.dumps(told), outcome="duplicate")
        item = f"EE{len(self.parcels) + 1:09d}VN"
        self.parcels[number] = Parcel(SYSTEM, number, item, cod_vnd=cod_vnd, weight_g=weight_g)
        self._rows[number] = []
        self.event(number, 1, now=request.now)
        told = {"code": "success", "data": {"tracking_code": item, "order_code": number}}
        return Reply(orjson.dumps(told), outcome="accepted", had_effect=True)

    def _track(self, request: Request) -> Reply:
        code = request.path.rpartition("/")[2]
        number = next((one.number for one in self.parcels.values() if code in (one.number, one.item)), "")
        if not number:
            return _failed("Không tìm thấy / not found", code="004")
        rows = list(self._rows[number])
        if "feed_repeated" in request.chosen:
            rows = [*rows, *rows[-1:]]
        if "feed_unordered" in request.chosen:
            rows.reverse()
        if "feed_unread" in request.chosen:
            rows.append({**rows[-1], "datetime": "hôm qua"})
        return Reply(orjson.dumps({"code": "success", "data": rows}))


def _price(body: dict[str, Any]) -> Reply:
    weight_g = body.get("total_weight")
    if type(weight_g) is not int or weight_g <= 0:
        return _failed("total_weight", code="003")
    fee = {"fee": 24_000 + 2_000 * ((weight_g - 1) // 500), "remote_fee": 0}
    return Reply(orjson.dumps({"code": "success", "data": {"fee": fee, "vas": {"total_vas": 0}}}))


def _failed(sentence: str, *, code: str) -> Reply:
    told = {"code": "error", "error_code": code, "message": sentence}
    return Reply(orjson.dumps(told), outcome="refused", shown=sentence.encode())


def _is_taken(status: int, body: bytes, transaction: str) -> bool:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    is_said = isinstance(said, dict) and (said.get("code"), said.get("transaction")) == ("success", transaction)
    return status == 200 and is_said
