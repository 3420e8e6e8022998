"""Generation A: the adapter protocol with `mapi/login` and `mapi/g` (contracts §2.1, §3.1 to §3.5)."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from lienthong.sandbox import dossier_rules, faults, moods
from lienthong.sandbox.catalogue import Catalogue, Entry
from lienthong.sandbox.dossier_rules import Refused
from lienthong.sandbox.ledger import Ledger
from lienthong.sandbox.wire import Reply

SYSTEM = moods.ADAPTER

UNREADABLE, NO_SESSION, NO_ACCOUNT, UNKNOWN_SERVICE, WRONG_FIELD, NO_PROCEDURE, NO_DOSSIER = (
    -400, -2, -97, -4, -5, -6, -7
)  # fmt: skip

# The fixtures of the contract write 0 for lists and "0" for details; a client has to take both.
_CODE_AS_TEXT = frozenset({"LayThuTuc", "TraCuuHoSo", "CapNhatTienDoHoSoMC", "LayDanhMucLinhVuc"})
_ENVELOPES = {
    "result": (b'"result":[', b"]}"),
    "data": (b'"data":[', b"]}"),
    "nested": (b'"result":{"data":[', b"]}}"),
}
_OPEN_DETAIL, _CLOSE = b'"result":[', b"]}"

Body = dict[str, Any]
Chosen = faults.Chosen


@dataclass(slots=True)
class Account:
    """Who may log in, and how long a session lasts."""

    username: str = "demo"
    password: str = "demo-password"
    session_s: float = 8 * 3600
    session_calls: int = 1_000_000_000


@dataclass(slots=True)
class Session:
    """One session: when it ends, and how many calls it has left."""

    ends_at: float
    calls_left: int


@dataclass(slots=True)
class Call:
    """One call to answer: its body, its headers of interest, and the moods that touch it."""

    service: str
    body: Any
    headers: dict[str, str]
    chosen: Chosen
    now: float
    at: str


def service_of(path: str, body: Any) -> str:
    """Name the operation of a call from its path and body."""
    if path.endswith("/mapi/login"):
        return "login"
    name = body.get("service") if isinstance(body, dict) else None
    return name[:60] if isinstance(name, str) and name else "?"


class Adapter:
    """The imitated portal behind a member's connector."""

    def __init__(self, *, account: Account, ledger: Ledger, catalogue: Callable[[], Catalogue]) -> None:
        """Start without sessions; `catalogue` gives the one in use at the time of a call."""
        self.account = account
        self.ledger = ledger
        self._catalogue = catalogue
        self._sessions: dict[str, Session] = {}
        self._services: dict[str, Callable[[Call], Reply]] = {
            "LayDanhSachTTHC": lambda call: self._list(call, self._catalogue().list_rows_a),
            "LayDanhMucCoQuan": lambda call: self._list(call, self._catalogue().agency_rows_a),
            "LayDanhMucLinhVuc": lambda call: self._list(call, self._catalogue().field_rows_a),
            "LayThuTuc": self._detail,
            "DongBoHoSoMC": self._sync,
            "CapNhatTienDoHoSoMC": self._progress,
            "TraCuuHoSo": self._look_up,
        }

    def handle(self, call: Call) -> Reply:
        """Answer one call; a refusal is HTTP 200 with a non-zero error_code, as the contract has it."""
        if not isinstance(call.body, dict):
            message = "Nội dung không phải đối tượng JSON / body is not a JSON object"
            return _answer(call, UNREADABLE, message, outcome="refused", status=400)
        try:
            self._check_destination(call)
            if call.service == "login":
                return self._log_in(call)
            if not self._has_session(call):
                return _answer(call, NO_SESSION, "Phiên làm việc (session) không tồn tại hoặc đã hết hạn",
                               outcome="session")  # fmt: skip
            if not isinstance(call.body.get("madonvi"), str) or not call.body["madonvi"].strip():
                raise Refused("madonvi: bắt buộc / required")
            service = self._services.get(call.service)
            if service is None:
                return _answer(call, UNKNOWN_SERVICE, f"Không có dịch vụ {call.service}", outcome="refused")
            return service(call)
        except Refused as refusal:
            return _answer(call, WRONG_FIELD, f"Dữ liệu không hợp lệ: {refusal}", outcome="refused")

    def _check_destination(self, call: Call) -> None:
        if "strict_dstcode" in call.chosen and not call.headers.get("dstcode"):
            raise Refused("dstcode: thiếu mã hệ thống đích ở header / header dstcode is missing")

    def _log_in(self, call: Call) -> Reply:
        username, password = call.body.get("username"), call.body.get("password")
        known = isinstance(username, str) and isinstance(password, str)
        if not known or "login_refused" in call.chosen or not self._is_account(str(username), str(password)):
            return _answer(call, NO_ACCOUNT, "Sai tài khoản hoặc mật khẩu", outcome="refused")
        self._sessions = {key: held for key, held in self._sessions.items() if held.ends_at > call.now}
        session = secrets.token_hex(16)
        self._sessions[session] = Session(call.now + self.account.session_s, self.account.session_calls)
        code = orjson.dumps(_code(0, call)).decode()
        body = f'{{"error_code":{code},"message":"","session":"{session}"}}'.encode()
        return Reply(body, outcome="login", shown=body.replace(session.encode(), b"***"))

    def _is_account(self, username: str, password: str) -> bool:
        same_name = hmac.compare_digest(username.encode(errors="replace"), self.account.username.encode())
        same_word = hmac.compare_digest(password.encode(errors="replace"), self.account.password.encode())
        return same_name and same_word

    def _has_session(self, call: Call) -> bool:
        key = call.body.get("session")
        session = self._sessions.get(key) if isinstance(key, str) else None
        if session is None:
            return False
        session.calls_left -= 1
        if session.calls_left < 0 or call.now >= session.ends_at or "expired_session" in call.chosen:
            del self._sessions[str(key)]
            return False
        return True

    def _list(self, call: Call, rows: list[bytes]) -> Reply:
        rows = thinned(rows, call.chosen)
        shape = str(call.chosen.get("envelope", {}).get("shape", "result"))
        start, end = _ENVELOPES[shape]
        return Reply(b"".join((_head(call), start, b",".join(rows), end)))

    def _detail(self, call: Call) -> Reply:
        code = call.body.get("maTTHC")
        if not isinstance(code, str) or not code:
            raise Refused("maTTHC: bắt buộc / required")
        catalogue = self._catalogue()
        entry = catalogue.find(code)
        if entry is None or is_hidden(entry, call.chosen):
            return _answer(call, NO_PROCEDURE, "Không tìm thấy thủ tục hành chính", outcome="refused")
        packet = catalogue.detail_a(entry)
        if "bad_record" in call.chosen:
            packet = spoilt(packet, entry, call.chosen, name_key="TENTTHC")
        return Reply(b"".join((_head(call), _OPEN_DETAIL, packet, _CLOSE)))

    def _items(self, call: Call) -> list[Any]:
        items = call.body.get("data")
        if not isinstance(items, list) or not items:
            raise Refused("data: phải là mảng có ít nhất một phần tử / must be a non-empty array")
        return items

    def _sync(self, call: Call) -> Reply:
        updating = call.body.get("isUpdating")
        if not isinstance(updating, str) or updating not in ("True", "False"):
            raise Refused('isUpdating: phải là "True" hoặc "False"')
        items = self._items(call)
        for item in items:
            dossier_rules.check_dossier(item, strict="strict_fields" in call.chosen)
        codes = tuple(dict.fromkeys(item["MaHoSo"] for item in items))
        refusal = self._objection(call, items, codes, updating=updating == "True")
        if refusal is not None:
            return refusal
        for item in items:
            self.ledger.put_dossier(item, at=call.at)
        return _answer(call, 0, "Đồng bộ hồ sơ thành công", outcome="accepted", dossiers=codes, had_effect=True)

    def _objection(self, call: Call, items: list[Any], codes: tuple[str, ...], *, updating: bool) -> Reply | None:
        if any(self._catalogue().find(item["MaTTHC"]) is None for item in items):
            message = "MaTTHC không có trong CSDL quốc gia về TTHC"
            return _answer(call, NO_PROCEDURE, message, outcome="refused", dossiers=codes)
        held = self.ledger.dossiers
        if updating and (missing := [code for code in codes if code not in held]):
            message = f"Hồ sơ {missing[0]} không tồn tại, không thể cập nhật"
            return _answer(call, NO_DOSSIER, message, outcome="refused", dossiers=codes)
        if not updating and (known := [code for code in codes if code in held]):
            code = int(call.chosen.get("duplicate_code", {}).get("code", 3))
            return _answer(call, code, f"Hồ sơ {known[0]} đã tồn tại", outcome="duplicate", dossiers=codes)
        return None

    def _progress(self, call: Call) -> Reply:
        items = self._items(call)
        for item in items:
            dossier_rules.check_step(item)
        codes = tuple(dict.fromkeys(item["MaHoSo"] for item in items))
        for code in codes:
            if code not in self.ledger.dossiers:
                return _answer(call, NO_DOSSIER, f"Hồ sơ {code} không tồn tại", outcome="refused", dossiers=codes)
        for item in items:
            self.ledger.append_step(item, at=call.at)
        return _answer(call, 0, "Cập nhật tiến độ thành công", outcome="accepted", dossiers=codes, had_effect=True)

    def _look_up(self, call: Call) -> Reply:
        code = call.body.get("mahoso")
        if not isinstance(code, str) or not code:
            raise Refused("mahoso: bắt buộc / required")
        held = self.ledger.dossiers.get(code)
        rows = []
        if held is not None:
            rows = [{"MaHoSo": held.code, "MaTTHC": held.procedure, "TrangThaiHoSo": held.status}]
        body = b"".join((_head(call), b'"result":', orjson.dumps(rows), b"}"))
        return Reply(body, dossiers=(code[:100],))


def _code(code: int, call: Call) -> int | str:
    if "code_as_text" in call.chosen:
        return str(code)
    if "code_as_number" in call.chosen:
        return code
    return str(code) if call.service in _CODE_AS_TEXT else code


def _head(call: Call) -> bytes:
    return b'{"error_code":' + orjson.dumps(_code(0, call)) + b',"message":"",'


def _answer(
    call: Call,
    code: int,
    message: str,
    *,
    outcome: str,
    dossiers: tuple[str, ...] = (),
    had_effect: bool = False,
    status: int = 200,
) -> Reply:
    body = orjson.dumps({"error_code": _code(code, call), "message": message})
    return Reply(body, status, outcome=outcome, dossiers=dossiers, had_effect=had_effect)


def thinned(rows: list[bytes], chosen: Chosen) -> list[bytes]:
    """Return a list as the moods leave it: whole, cut, empty or with rows twice."""
    if "empty_list" in chosen:
        return []
    if "half_list" in chosen:
        rows = rows[: int(len(rows) * float(chosen["half_list"]["fraction"]))]
    if "duplicate_items" in chosen:
        rows = [*rows, *rows[: max(1, len(rows) // 10)]]
    return rows


def is_hidden(entry: Entry, chosen: Chosen) -> bool:
    """Whether a mood makes this procedure's detail missing; without codes it hides every one."""
    mood = chosen.get("detail_missing")
    return mood is not None and (not mood["codes"] or entry.code.strip() in mood["codes"])


def spoilt(packet: bytes, entry: Entry, chosen: Chosen, *, name_key: str) -> bytes:
    """Spoil a detail: wrong types, no name, or null lists; which one depends on the code, unless the mood says."""
    mood = chosen["bad_record"]
    if mood["codes"] and entry.code.strip() not in mood["codes"]:
        return packet
    record: dict[str, Any] = orjson.loads(packet)
    kind = mood["kind"] or ("types", "name", "nulls")[int(entry.digest[:4], 16) % 3]
    if kind == "name":
        record.pop(name_key, None)
    elif kind == "nulls":
        record = {key: None if isinstance(value, list) else value for key, value in record.items()}
    else:
        record = {key: {"x": 1} if isinstance(value, list) else value for key, value in record.items()}
        record[name_key] = 12345
    return orjson.dumps(record)
