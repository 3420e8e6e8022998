"""`vnpost_hcc`: the post for public administration: orders, prices, the feed of events (contracts §8.1)."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from lienthong.sandbox import faults, tokens
from lienthong.sandbox.imitation import Request
from lienthong.sandbox.parcels import Parcel
from lienthong.sandbox.tokens import Tokens
from lienthong.sandbox.wire import Reply

SYSTEM = "vnpost_hcc"
START = "0" * 24
_MOST_EVENTS = 500
_ORDER = {"CustomerCode": str, "OrderNumber": str, "CODAmount": int, "SenderProvince": int, "SenderDistrict": int,
          "SenderAddress": str, "SenderName": str, "SenderTel": str, "ReceiverName": str, "ReceiverAddress": str,
          "ReceiverTel": str, "ReceiverProvince": int, "ReceiverDistrict": int}  # fmt: skip
_OPTIONAL = {"ItemCode": str, "SenderEmail": str, "SenderDesc": str, "Description": str, "ReceiverEmail": str,
             "FlagConfig": int}  # fmt: skip
_DOCUMENT = ("CustomerCode", "OrderNumber", "Procedure", "IsSendDocument", "DocumentSender", "IsReceiveResult",
             "ResultReceiver", "State")  # fmt: skip
_WORDS = {1: "Đã chấp nhận", 2: "Đang vận chuyển", 3: "Phát không thành công", 4: "Phát thành công", 5: "Đã huỷ"}


@dataclass(frozen=True, slots=True)
class Account:
    """The one customer that is registered."""

    key: str = "demoCustomerKey"
    secret: str = "demoCustomerSecret"
    customer: str = "H56HCC01"


class VnpostHcc:
    """The imitated carrier: one path a call, or `?service=NAME` as a façade has it."""

    roots: frozenset[str] = frozenset()

    def __init__(self, *, account: Account | None = None, life_s: float = 3600.0) -> None:
        """Serve this customer."""
        self.account = account or Account()
        self._tokens = Tokens(life_s=life_s)
        self.parcels: dict[str, Parcel] = {}
        self._events: list[dict[str, Any]] = []
        self._calls: dict[str, Callable[[Request], Reply]] = {
            "postOrder": self._order, "postDocument": self._order, "cancelOrder": self._cancel,
            "tracking": self._feed, "price": self._price,
        }  # fmt: skip

    async def prepare(self) -> None:
        """Nothing takes long here."""

    def forget(self) -> None:
        """Forget tokens, parcels and their events."""
        self._tokens.forget()
        self.parcels.clear()
        self._events.clear()

    def service_of(self, request: Request) -> str:
        """Name the call by the end of its path, or by the façade's parameter."""
        name = request.query.get("service") or request.path.rstrip("/").rpartition("/")[2]
        return name if name == "token" or name in self._calls else "?"

    def handle(self, request: Request) -> Reply:
        """Answer one call."""
        if request.service == "token":
            return self._token(request)
        given = request.headers.get("access_token") or request.bearer()
        if self._tokens.find(given, request) is None:
            return Reply(b'{"Status":"401","Message":"Invalid Credentials"}', 401, outcome="refused")
        call = self._calls.get(request.service)
        method = "GET" if request.service in ("cancelOrder", "tracking") else "POST"
        if call is None or request.method != method:
            return Reply(b'{"Status":"404","Message":"No matching resource"}', 404, outcome="refused")
        return call(request)

    def event(
        self, number: str, code: int, *, now: float, message: str = "", chosen: faults.Chosen | None = None
    ) -> bool:
        """Let something happen to a parcel; says whether there is one."""
        parcel = self.parcels.get(number)
        if parcel is None:
            return False
        parcel.codes.append(code)
        self._events.append(
            {
                "_id": {"$oid": f"{int(now):08x}{len(self._events) + 1:016x}"},
                "CustomerCode": self.account.customer,
                "OrderNumber": number, "EventTime": int(now * 1000), "POSID": "440000", "ItemCode": parcel.item,
                "StatusCode": code, "StatusMessage": message or _WORDS.get(code, f"Mã {code}"), "Notes": "",
            }
        )  # fmt: skip
        return True

    def _token(self, request: Request) -> Reply:
        key, secret = request.basic()
        right = hmac.compare_digest(
            f"{key}:{secret}".encode(), f"{self.account.key}:{self.account.secret}".encode()
        )
        if request.method != "POST" or not right or "login_refused" in request.chosen:
            return tokens.oauth_error(401, "invalid_client")
        if request.form().get("grant_type") != "client_credentials":
            return tokens.oauth_error(400, "unsupported_grant_type")
        return tokens.granted(self._tokens.issue(request.now), self._tokens.life_s)

    def _order(self, request: Request) -> Reply:
        body = request.json()
        wrong = _wrong(body, is_document=request.service == "postDocument")
        if not wrong and body["CustomerCode"] != self.account.customer:
            wrong = "CustomerCode"
        if wrong:
            return _said("99", f"{wrong}: không hợp lệ / not valid", outcome="refused")
        number = body["OrderNumber"]
        request.about |= {"number": number[:50]}
        held = self.parcels.get(number)
        if held is not None and not held.is_cancelled:
            # What the post says of an order that it has already is not public; 101 is also "handed over".
            return _said("101", "Đơn hàng đã tồn tại", outcome="duplicate")
        item = str(body.get("ItemCode") or f"EH{len(self.parcels) + 1:09d}VN")
        self.parcels[number] = Parcel(SYSTEM, number, item, cod_vnd=int(body.get("CODAmount", 0)))
        self.event(number, 1, now=request.now)
        return _said("100", "Thành công", outcome="accepted", had_effect=True)

    def _cancel(self, request: Request) -> Reply:
        parcel = self.parcels.get(request.query.get("OrderNumber", ""))
        if request.query.get("CustomerCode") != self.account.customer or parcel is None or parcel.is_cancelled:
            return _said("99", "Không tìm thấy đơn hàng", outcome="refused")
        if any(code != 1 for code in parcel.codes):
            return _said("99", "Đơn hàng đã được thu gom", outcome="refused")
        parcel.is_cancelled = True
        self.event(parcel.number, 5, now=request.now)
        return _said("100", "Thành công", outcome="accepted", had_effect=True)

    def _price(self, request: Request) -> Reply:
        body = request.json()
        ends = [body.get(name) for name in ("sender", "receiver")] if isinstance(body, dict) else []
        known = [end for end in ends if isinstance(end, dict) and {"provCode", "distCode"} <= set(end)]
        if len(known) != 2 or body.get("mainSrv") != "HCC" or type(body.get("weight")) is not int:
            return _said("99", "price: không hợp lệ / not valid", outcome="refused")
        is_near = known[0]["provCode"] == known[1]["provCode"]
        price = (26_000 if is_near else 30_500) + 1_500 * (max(0, body["weight"] - 1) // 100)
        return Reply(orjson.dumps({"content": {"price": price}}))

    def _feed(self, request: Request) -> Reply:
        last, size = request.query.get("lastId", START), request.query.get("pagesize", "50")
        known = [one["_id"]["$oid"] for one in self._events]
        if len(last) != 24 or not size.isdecimal() or not 1 <= int(size[:6]) <= _MOST_EVENTS:
            return _said("99", "lastId, pagesize", outcome="refused")
        begin = known.index(last) + 1 if last in known else 0
        if "feed_repeated" in request.chosen:
            begin = max(0, begin - 1)
        page = self._events[begin : begin + int(size)]
        if "feed_unordered" in request.chosen:
            page = [*reversed(page[:-1]), *page[-1:]]
        if "feed_unread" in request.chosen and page:
            # One row more that says neither what happened nor when.
            page = [{"_id": {"$oid": f"{len(self._events):08x}{'e' * 16}"}, "OrderNumber": None}, *page]
        pages = -(-len(self._events) // int(size))
        body = {"_size": len(page), "_total_pages": pages, "_returned": len(page), "_embedded": {"rh:doc": page}}
        return Reply(orjson.dumps(body))


def _wrong(body: Any, *, is_document: bool) -> str:
    """Name the first field that is missing or of another kind; empty where nothing is."""
    if not isinstance(body, dict):
        return "JSON"
    if is_document:
        missing = [name for name in _DOCUMENT[:4] if name not in body]
        strange = set(body) - set(_DOCUMENT)
        texts = [name for name in ("CustomerCode", "OrderNumber") if not isinstance(body.get(name), str)]
        return min([*missing, *strange, *texts], default="")
    for name, kind in _ORDER.items():
        if type(body.get(name)) is not kind or (kind is str and not body[name]):
            return name
    for name in set(body) - set(_ORDER):
        if name not in _OPTIONAL or not isinstance(body[name], _OPTIONAL[name]):
            return str(name)[:40]
    return ""


def _said(status: str, message: str, *, outcome: str, had_effect: bool = False) -> Reply:
    body = orjson.dumps({"Status": status, "Message": message})
    return Reply(body, outcome=outcome, had_effect=had_effect, shown=status.encode())
