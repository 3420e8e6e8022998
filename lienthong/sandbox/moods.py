"""Moods: the bad days that can be switched on, for which system, how often and for how long.

A mood is chosen here; what it does to an answer stands in `faults.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lienthong.sandbox import mood_kinds
from lienthong.sandbox.mood_kinds import (
    ADAPTER_SERVICES,
    C06,
    DETAIL_SERVICES,
    LGSP,
    LIST_SERVICES,
    OF_THE_PORTAL,
    SSO,
    STORE,
    Kind,
    Params,
)

ADAPTER, PORTAL, NGSP = mood_kinds.ADAPTER, mood_kinds.PORTAL, mood_kinds.NGSP
EVERY, SYSTEMS = mood_kinds.EVERY, mood_kinds.SYSTEMS

KINDS: dict[str, Kind] = {
    "slow": Kind("chậm", "slow answers", {"latency_ms": 500, "jitter_ms": 0}, is_shape=True),
    "outage": Kind("ngừng hoạt động", "outage: closed at once, or 502/503/504", {"kind": "close"}),
    "maintenance": Kind("bảo trì (503 + Retry-After)", "maintenance page, 503", {"retry_after_s": 60}),
    "quota": Kind("vượt hạn mức (429)", "over quota, 429", {"retry_after_s": 1}),
    "forbidden": Kind("không có quyền (403)", "forbidden, 403"),
    "x_road_error": Kind(
        "lỗi trục kết nối (500)",
        "X-Road error: 500, Client.* 400; with or without the header",
        {"type": "Server.ServerProxy.ServiceFailed", "header": True},
    ),
    "lost_request": Kind("mất yêu cầu", "connection closed before the effect"),
    "lost_answer": Kind("mất trả lời", "effect applied, answer never or late", {"hang_s": 0}),
    "truncated": Kind("trả lời bị cắt", "Content-Length larger than the body", {"effect": True}),
    "garbage_html": Kind("trang HTML (200)", "HTTP 200 with an HTML page", {"effect": False}),
    "garbage_json": Kind("JSON hỏng", "broken JSON", {"effect": False}),
    "empty_body": Kind("trả lời rỗng", "empty body", {"effect": False}),
    "refuse": Kind(
        "từ chối nghiệp vụ",
        "refused with a text",
        {"code": -9, "message": "Dữ liệu không hợp lệ theo quy định"},
        systems=OF_THE_PORTAL,
    ),
    "half_list": Kind(
        "danh sách thiếu", "a list cut short", {"fraction": 0.5}, systems=OF_THE_PORTAL, services=LIST_SERVICES
    ),
    "empty_list": Kind("danh sách rỗng", "an empty list", systems=OF_THE_PORTAL, services=LIST_SERVICES),
    "duplicate_items": Kind(
        "dòng lặp trong danh sách", "rows twice in a list", systems=OF_THE_PORTAL, services=LIST_SERVICES
    ),
    "bad_record": Kind(
        "bản ghi hỏng",
        "a detail with wrong types, no name or null lists",
        {"codes": "", "kind": ""},
        systems=OF_THE_PORTAL,
        services=DETAIL_SERVICES,
    ),
    "detail_missing": Kind(
        "thiếu chi tiết",
        "a detail that is not found",
        {"codes": ""},
        systems=OF_THE_PORTAL,
        services=DETAIL_SERVICES,
    ),
    "expired_session": Kind(
        "phiên hết hạn",
        "session expires every N calls",
        {"every": 10},
        systems=(ADAPTER,),
        services=ADAPTER_SERVICES,
    ),
    "login_refused": Kind(
        "từ chối đăng nhập",
        "login refused, no token given",
        systems=(ADAPTER, LGSP, NGSP, SSO),
        services=frozenset({"login", "token", "authorize"}),
    ),
    "expired_token": Kind("thẻ truy cập hết hạn", "the access token has ended", systems=(LGSP, NGSP, SSO)),
    "gateway_fault": Kind("lỗi của cổng API (404, 900906)", "a fault of the API gateway itself", systems=(NGSP,)),
    "wrong_hash": Kind(
        "sai liên kết X-Road",
        "an answer not tied to its request: hash wrong or missing, or another service",
        {"kind": "wrong"},
        systems=(C06, LGSP, NGSP, STORE),
    ),
    "hostile_xml": Kind(
        "XML độc hại",
        "an answer with a DTD, entities or 100,000 levels",
        {"kind": "entity"},
        systems=(C06, LGSP),
        services=frozenset({"verify", "look_up"}),
    ),
    "huge_answer": Kind(
        "trả lời rất lớn",
        "a very large answer",
        {"bytes": 50_000_000},
        systems=(C06, LGSP, STORE),
        services=frozenset({"verify", "look_up", "fetch"}),
        is_shape=True,
    ),
    "skew": Kind(
        "đồng hồ lệch", "the clock over there is off", {"seconds": 900}, systems=(C06, SSO), is_shape=True
    ),
    "not_base64": Kind(
        "tệp không phải base64",
        "a file that is no base64",
        systems=(STORE,),
        services=frozenset({"fetch"}),
    ),
    "wrong_nonce": Kind("sai nonce", "another nonce in the id token", systems=(SSO,), is_shape=True),
    "other_subject": Kind("người khác", "user-info of another subject", systems=(SSO,), is_shape=True),
    "duplicate_code": Kind(
        "mã trùng hồ sơ",
        "the code of the duplicate answer: 3, -3 or 0",
        {"code": 3},
        systems=(ADAPTER,),
        is_shape=True,
    ),
    "code_as_text": Kind("error_code là chữ", "error_code as text", systems=(ADAPTER,), is_shape=True),
    "code_as_number": Kind("error_code là số", "error_code as a number", systems=(ADAPTER,), is_shape=True),
    "envelope": Kind(
        "dạng phong bì",
        "envelope of lists: result, data or nested",
        {"shape": "data"},
        systems=(ADAPTER,),
        is_shape=True,
    ),
    "strict_dstcode": Kind(
        "bắt buộc dstcode", "the dstcode header is demanded", systems=(ADAPTER,), is_shape=True
    ),
    "strict_fields": Kind(
        "bắt buộc các trường 2022+", "fields of the 2022+ clients are demanded", systems=(ADAPTER,), is_shape=True
    ),
    "success_as_200": Kind("thành công là 200", "success as 200 instead of 201", systems=(PORTAL,), is_shape=True),
    "stuck_cursor": Kind(
        "con trỏ kẹt", "lastId repeats the cursor asked for", systems=(PORTAL,), services=frozenset({"list"})
    ),
    **mood_kinds.PAYMENTS,
    "storm": Kind("bão", "any bad mood by chance", {"probability": 0.2, "only": "", "without": ""}),
}

_COMMON: Params = {"probability": 1.0, "seed": None, "services": "", "count": None, "until_s": None}
STORM_KINDS = ("slow", *(name for name, kind in KINDS.items() if not kind.is_shape and name != "storm"))


class WrongMood(ValueError):
    """A mood that does not exist or was given parameters it does not know."""


def _words(value: Any) -> frozenset[str]:
    parts = (
        value if isinstance(value, list | tuple) else str(value or "").replace("+", " ").replace(";", " ").split()
    )
    return frozenset(str(part) for part in parts)


@dataclass(slots=True)
class Mood:
    """One mood in force."""

    name: str
    system: str
    params: Params
    probability: float
    services: frozenset[str]
    remaining: int | None
    until: float | None
    chance: random.Random
    codes: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()
    applied: int = 0
    calls: int = 0

    def described(self, now: float) -> Params:
        """Return the mood as the control page and its callers see it."""
        left = None if self.until is None else max(0.0, round(self.until - now, 1))
        shown = {"name": self.name, "system": self.system, **self.params, "probability": self.probability}
        shown |= {
            "services": sorted(self.services),
            "count": self.remaining,
            "until_s": left,
            "applied": self.applied,
        }
        return shown

    def suits(self, system: str, service: str, now: float) -> bool:
        """Whether the mood may touch this call at all."""
        if self.system not in (EVERY, system) or (self.until is not None and now >= self.until):
            return False
        kind = KINDS[self.name]
        if system not in kind.systems or (kind.services and service not in kind.services):
            return False
        if self.remaining is not None and self.remaining <= 0:
            return False
        return not self.services or service in self.services


def _named(wanted: Params) -> tuple[str, Kind]:
    name = str(wanted.get("name", ""))
    kind = KINDS.get(name)
    if kind is None:
        raise WrongMood(f"không có tình huống “{name}” / no mood named “{name}”: {', '.join(KINDS)}, good")
    unknown = set(wanted) - {"name", "system"} - set(_COMMON) - set(kind.params)
    if unknown:
        raise WrongMood(f"{name}: tham số lạ / unknown parameter: {', '.join(sorted(unknown))}")
    return name, kind


def _number(wanted: Params, key: str, default: Any, *, low: float = 0.0, high: float = 1e9) -> float | None:
    value = wanted.get(key, default)
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise WrongMood(f"{key}: cần một số / a number is needed, not {value!r}") from None
    if not low <= number <= high:
        raise WrongMood(f"{key}: ngoài khoảng {low:g}…{high:g} / out of range")
    return number


def _typed(key: str, value: Any, default: Any) -> Any:
    """Bring a parameter from a command line or a form to the type of its default."""
    if isinstance(default, bool):
        return str(value).casefold() in {"1", "true", "yes", "on"}
    if isinstance(default, int | float):
        number = _number({key: value}, key, default, low=-1e9) or 0
        return int(number) if number == int(number) else number
    return value if isinstance(value, list) else str(value)


_CHOICES: dict[tuple[str, str], frozenset[str]] = {
    ("outage", "kind"): frozenset({"close", "502", "503", "504"}),
    ("duplicate_code", "code"): frozenset({"3", "-3", "0"}),
    ("envelope", "shape"): frozenset({"result", "data", "nested"}),
    ("bad_record", "kind"): frozenset({"", "types", "name", "nulls"}),
    ("wrong_hash", "kind"): frozenset({"wrong", "missing", "service"}),
    ("hostile_xml", "kind"): frozenset({"entity", "external", "dtd", "deep"}),
    ("x_road_error", "type"): frozenset(
        {
            "Client.BadRequest",
            "Server.ClientProxy.NetworkError",
            "Server.ServerProxy.NetworkError",
            "Server.ServerProxy.ServiceFailed",
            "Server.ServerProxy.DatabaseError",
        }
    ),
}


def build(wanted: Params, *, now: float) -> Mood:
    """Make a mood from its name and parameters; raises WrongMood with a sentence for people."""
    name, kind = _named(wanted)
    system = str(wanted.get("system") or EVERY)
    if system not in (EVERY, *SYSTEMS):
        raise WrongMood(f"không có hệ thống “{system}” / no system “{system}”: {', '.join(SYSTEMS)}, *")
    params = {key: _typed(key, wanted.get(key, default), default) for key, default in kind.params.items()}
    for key, value in params.items():
        allowed = _CHOICES.get((name, key))
        if allowed and str(value) not in allowed:
            raise WrongMood(f"{name}.{key}: {', '.join(sorted(allowed))}")
    probability = _number(wanted, "probability", kind.params.get("probability", 1.0), high=1.0)
    count, until_s = _number(wanted, "count", None), _number(wanted, "until_s", None)
    only, without = _words(params.get("only")), _words(params.get("without"))
    strange = (only | without) - set(STORM_KINDS)
    if strange:
        raise WrongMood(f"storm: {', '.join(sorted(strange))} ∉ {', '.join(STORM_KINDS)}")
    seed = _number(wanted, "seed", None)
    return Mood(
        name=name,
        system=system,
        params={key: value for key, value in params.items() if key != "probability"},
        probability=1.0 if probability is None else probability,
        services=_words(wanted.get("services")),
        remaining=None if count is None else int(count),
        until=None if until_s is None else now + until_s,
        chance=random.Random(int(seed)) if seed is not None else random.Random(),
        codes=_words(params.get("codes")),
        only=only,
        without=without,
    )


def parse_spec(text: str) -> Params:
    """Read a mood of the command line: `name[:key=value,…]`; several codes or services are joined by `+`."""
    name, _, rest = text.partition(":")
    wanted: Params = {"name": name.strip()}
    for pair in (part for part in rest.split(",") if part.strip()):
        key, equals, value = pair.partition("=")
        if not equals:
            raise WrongMood(f"“{pair}”: cần key=value / key=value is needed")
        wanted[key.strip()] = value.strip()
    return wanted


class Weather:
    """The moods in force, and the choice among them for each call."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        """Start with good weather; `clock` gives seconds that only grow."""
        self._clock = clock
        self.moods: list[Mood] = []

    def described(self) -> list[Params]:
        """List the moods in force, those that have run out left aside."""
        now = self._clock()
        alive = (mood for mood in self.moods if mood.until is None or now < mood.until)
        return [mood.described(now) for mood in alive if mood.remaining is None or mood.remaining > 0]

    def put(self, wanted: Params) -> None:
        """Switch one mood on; `good` switches every mood of its system off."""
        if wanted.get("name") == "good":
            self.clear(str(wanted.get("system") or EVERY))
            return
        mood = build(wanted, now=self._clock())
        self.take_off(mood.name, mood.system)
        self.moods.append(mood)

    def replace(self, wanted: list[Params]) -> None:
        """Put exactly these moods in force, or none of them where one is wrong."""
        fresh = [build(item, now=self._clock()) for item in wanted if item.get("name") != "good"]
        self.moods = fresh

    def take_off(self, name: str, system: str) -> None:
        """Switch one mood off."""
        self.moods = [mood for mood in self.moods if (mood.name, mood.system) != (name, system)]

    def clear(self, system: str = EVERY) -> None:
        """Switch off the moods of one system; all of them for `*`."""
        self.moods = [mood for mood in self.moods if system != EVERY and mood.system != system]

    def choose(self, system: str, service: str) -> dict[str, Params]:
        """Say which moods touch this call, with their parameters; a storm answers as the mood it picked."""
        if not self.moods:
            return _GOOD
        now = self._clock()
        chosen: dict[str, Params] = {}
        for mood in self.moods:
            if not mood.suits(system, service, now):
                continue
            if mood.probability < 1.0 and mood.chance.random() >= mood.probability:
                continue
            name, params = (mood.name, mood.params) if mood.name != "storm" else _picked(mood, system, service)
            if not name or not _turn_has_come(mood):
                continue
            mood.applied += 1
            if mood.remaining is not None:
                mood.remaining -= 1
            chosen[name] = {**params, "codes": mood.codes} if mood.codes else params
        return chosen


_GOOD: dict[str, Params] = {}


def _turn_has_come(mood: Mood) -> bool:
    if mood.name != "expired_session":
        return True
    mood.calls += 1
    return mood.calls % max(1, int(mood.params["every"])) == 0


def _picked(storm: Mood, system: str, service: str) -> tuple[str, Params]:
    names = [
        name
        for name in STORM_KINDS
        if system in KINDS[name].systems
        and (not KINDS[name].services or service in KINDS[name].services)
        and (not storm.only or name in storm.only)
        and name not in storm.without
    ]
    if not names:
        return "", {}
    name = storm.chance.choice(names)
    params = dict(KINDS[name].params)
    if name == "outage":
        params["kind"] = storm.chance.choice(["close", "502", "503", "504"])
    if name == "slow":
        params |= {"latency_ms": 50, "jitter_ms": 50}
    if name in ("maintenance", "quota"):
        params["retry_after_s"] = 1
    return name, params
