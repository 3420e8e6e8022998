"""`ngsp`: a WSO2 gateway with the business register and the shared catalogues behind it (contracts §6.2, §6.3)."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from lienthong.sandbox import enterprises, faults, tokens
from lienthong.sandbox.imitation import Request
from lienthong.sandbox.tokens import Tokens
from lienthong.sandbox.wire import Reply

SYSTEM = "ngsp"
LONGEST_WINDOW = timedelta(days=5)
LARGEST_PAGE = 500
_VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")


@dataclass(slots=True)
class Account:
    """Consumer key and secret; those of the contract's vector. Tokens live `life_s` seconds."""

    key: str = "demoConsumerKey"
    secret: str = "demoConsumerSecret"
    life_s: float = 3600.0


class WrongRequest(ValueError):
    """A request that a service behind the gateway refuses."""


class Ngsp:
    """The imitated gateway and what lies behind it."""

    roots = frozenset({"apiCSDLDKDN", "dmdc", "token"})

    def __init__(self, *, account: Account | None = None) -> None:
        """Answer to this account."""
        self.account = account or Account()
        self._tokens = Tokens(life_s=self.account.life_s)
        self._filings = enterprises.filings()
        self._lists = enterprises.shared_lists()
        self._services: dict[str, Callable[[Request], Reply]] = {
            "chiTietDoanhNghiep": self._enterprise,
            "danhSachHoSo": self._filings_between,
            "danhSachHoSoTrongNgay": self._filings_of_today,
            "tinhTrangHoSo": self._state_of_filing,
            "Metadata": self._structure,
            "Category": self._rows,
            "Category.insert": self._insert,
        }

    async def prepare(self) -> None:
        """Nothing takes long here."""

    def forget(self) -> None:
        """Forget tokens and the rows that were inserted."""
        self._tokens.forget()
        self._lists = enterprises.shared_lists()

    def service_of(self, request: Request) -> str:
        """Name the API's operation by its path."""
        parts = request.path.strip("/").split("/")
        if parts[-1] == "token":
            return "token"
        if parts[0] == "dmdc" and len(parts) == 3 and parts[1] in ("Metadata", "Category"):
            return parts[1] + (".insert" if request.method == "POST" else "")
        if parts[:2] == ["apiCSDLDKDN", "1.0"] and len(parts) == 3 and parts[2] in self._services:
            return parts[2]
        return "?"

    def handle(self, request: Request) -> Reply:
        """Answer one call; the gateway's own refusals are XML, as WSO2 writes them."""
        if request.service == "token":
            return self._token(request)
        if not request.bearer():
            return faults.gateway(401, 900902, "Missing Credentials")
        if self._tokens.find(request.bearer(), request) is None:
            return faults.gateway(401, 900901, "Invalid Credentials")
        service = self._services.get(request.service)
        if service is None or "gateway_fault" in request.chosen:
            return faults.gateway(404, 900906, "No matching resource found in the API for the given request")
        if request.method != ("POST" if request.service.endswith(".insert") else "GET"):
            return faults.gateway(405, 900905, "Method not allowed for given API resource")
        try:
            return service(request)
        except WrongRequest as wrong:
            body = {"DataCount": 0, "Status": "0", "Message": str(wrong)}
            return Reply(orjson.dumps(body), 400, outcome="refused", shown=str(wrong).encode())

    def _token(self, request: Request) -> Reply:
        key, secret = request.basic()
        right = hmac.compare_digest(
            f"{key}:{secret}".encode(), f"{self.account.key}:{self.account.secret}".encode()
        )
        if request.method != "POST" or not right or "login_refused" in request.chosen:
            return tokens.oauth_error(401, "invalid_client", "A valid OAuth client could not be found")
        if request.form().get("grant_type") != "client_credentials":
            return tokens.oauth_error(400, "unsupported_grant_type")
        token = self._tokens.issue(request.now)
        return tokens.granted(token, self._tokens.life_s, scope="am_application_scope default")

    def _enterprise(self, request: Request) -> Reply:
        code = request.query.get("msdn", "").strip()
        if not code:
            raise WrongRequest("msdn: required")
        request.about["msdn"] = code[:20]
        return _json(enterprises.BY_CODE.get(code) or enterprises.NOT_FOUND)

    def _filings_between(self, request: Request) -> Reply:
        first, last = _day(request, "from_date"), _day(request, "to_date")
        # Both days count: a window of five days begins four days before it ends.
        if not timedelta(0) <= last - first < LONGEST_WINDOW:
            raise WrongRequest("from_date, to_date: a window of at most 5 days")
        found = [one for one in self._filings if first <= _date(one["RECEIPT_DATE"]) <= last]
        return _page(found, request)

    def _filings_of_today(self, request: Request) -> Reply:
        start, end = request.query.get("from_ts", ""), request.query.get("to_ts", "")
        for text in (start, end):
            try:
                datetime.strptime(text, "%H:%M").replace(tzinfo=_VIETNAM)
            except ValueError:
                raise WrongRequest("from_ts, to_ts: HH:mm") from None
        # The filings end on one day: that day stands for today.
        newest = self._filings[-1]["RECEIPT_DATE"]
        found = [
            one for one in self._filings if one["RECEIPT_DATE"] == newest and start <= one["RECEIPT_TIME"] <= end
        ]
        return _page(found, request)

    def _state_of_filing(self, request: Request) -> Reply:
        number = request.query.get("in_journal_no", "")
        found = next((one for one in self._filings if one["IN_JOURNAL_NO"] == number), None)
        if found is None:
            return _json({"DataCount": 0, "Status": "0", "Message": "Không tìm thấy hồ sơ"})
        return _json({**found, "DataCount": 1, "Status": "1", "Message": ""})

    def _structure(self, request: Request) -> Reply:
        rows = self._list(request)
        names = list(rows[0]) if rows else ["MA", "TEN"]
        shown = [{"PropertyCode": name, "PropertyName": name, "PropertyType": "String"} for name in names]
        return _json(shown)

    def _rows(self, request: Request) -> Reply:
        return _json(self._list(request))

    def _insert(self, request: Request) -> Reply:
        rows, given = self._list(request), request.json()
        if not isinstance(given, list) or not given or not all(isinstance(row, dict) and row for row in given):
            return _json({"MSG": "Data not insert: an array of records is expected", "Count": 0}, "refused")
        held = {_key(row) for row in rows}
        for place, row in enumerate(given, 1):
            if _key(row) in held:
                # Failures of this service come with HTTP 200 (contracts §6.3).
                name = str(_key(row))[:50]
                return _json(
                    {"MSG": f"Data not insert: Record {place}: {name} is duplicate", "Count": 0}, "duplicate"
                )
            held.add(_key(row))
        rows.extend(given)
        reply = _json({"MSG": "Done", "Count": len(given)}, "accepted")
        reply.had_effect = True
        return reply

    def _list(self, request: Request) -> list[dict[str, Any]]:
        name = request.path.rstrip("/").rpartition("/")[2]
        if name not in self._lists:
            raise WrongRequest("no such list")
        request.about["list"] = name
        return self._lists[name]


def _key(row: dict[str, Any]) -> str:
    return str(next(iter(row.values())))


def _date(text: str) -> date:
    return datetime.strptime(text, "%d/%m/%Y").replace(tzinfo=_VIETNAM).date()


def _day(request: Request, name: str) -> date:
    try:
        return _date(request.query.get(name, ""))
    except ValueError:
        raise WrongRequest(f"{name}: dd/MM/yyyy") from None


def _whole(request: Request, name: str, default: int, *, most: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isascii() or not text.isdecimal() or len(text) > 9 or int(text) > most:
        raise WrongRequest(f"{name}: a number up to {most}")
    return int(text)


def _page(found: list[dict[str, Any]], request: Request) -> Reply:
    offset = _whole(request, "offset", 0, most=10**9)
    limit = _whole(request, "limit", 100, most=LARGEST_PAGE)
    page = found[offset : offset + limit]
    return _json({"Data": page, "DataCount": len(found), "Status": "1", "Message": ""})


def _json(content: Any, outcome: str = "read") -> Reply:
    return Reply(orjson.dumps(content), outcome=outcome)
