"""Generation C: the public API of the portal rebuilt in 2026 (contracts §2.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from lienthong.sandbox import adapter, codes, faults, moods
from lienthong.sandbox.adapter import Call
from lienthong.sandbox.catalogue import Catalogue, Entry
from lienthong.sandbox.wire import HTML, Reply

SYSTEM = moods.PORTAL
LARGEST_PAGE = 200
SHORTEST_USER_AGENT = 20

_SERVICES = {
    "/api/v1/submitting/formality/list-all-public-formality-by-citizen": "list",
    "/api/v1/configuring/formality/get-formality-by-citizen": "detail",
    "/api/v1/configuring/province-vn/list-by-citizen": "provinces",
}
_LEVELS = frozenset({"COMMUNE", "PROVINCE", "MINISTRY"})
_PROVINCES = [
    orjson.dumps({"id": codes.stable_id("province", code), "code": code, "name": name})
    for code, name in codes.PROVINCES_2025
]


class WrongRequest(ValueError):
    """A request that the portal answers with 400."""


def service_of(path: str) -> str:
    """Name the operation of a call from its path."""
    return next((name for end, name in _SERVICES.items() if path.endswith(end)), "?")


class Portal:
    """The imitated portal: public list and details of procedures."""

    def __init__(self, *, catalogue: Callable[[], Catalogue]) -> None:
        """Serve whatever `catalogue` gives at the time of a call."""
        self._catalogue = catalogue
        self._services: dict[str, Callable[[Call], Reply]] = {
            "list": self._list,
            "detail": self._detail,
            "provinces": self._provinces,
        }

    def handle(self, call: Call) -> Reply:
        """Answer one call; success is HTTP 201, errors have the portal's envelope."""
        if len(call.headers.get("user-agent", "")) < SHORTEST_USER_AGENT:
            return Reply(faults.page("Access Denied", "Your request was blocked."), 200, HTML, outcome="refused")
        service = self._services.get(call.service)
        if service is None:
            return _error(404, "NOT_FOUND", "Cannot POST")
        if not isinstance(call.body, dict):
            return _error(400, "BAD_REQUEST", "body must be a JSON object")
        try:
            return service(call)
        except WrongRequest as wrong:
            return _error(400, "BAD_REQUEST", str(wrong))

    def _detail(self, call: Call) -> Reply:
        id = call.body.get("id")
        if not isinstance(id, str) or not id:
            raise WrongRequest("id must be a UUID")
        catalogue = self._catalogue()
        place = catalogue.place_of_id.get(id)
        entry = None if place is None else catalogue.entries[place]
        if entry is None or adapter.is_hidden(entry, call.chosen):
            return _error(404, "NOT_FOUND", "formality not found")
        packet = catalogue.detail_c(entry)
        if "bad_record" in call.chosen:
            packet = adapter.spoilt(packet, entry, call.chosen, name_key="name")
        return _ok(call, packet)

    def _list(self, call: Call) -> Reply:
        catalogue = self._catalogue()
        limit, cursor = _limit(call.body), _cursor(call.body)
        found = _filtered(catalogue, call.body)
        if "half_list" in call.chosen:
            found = found[: int(len(found) * float(call.chosen["half_list"]["fraction"]))]
        if "empty_list" in call.chosen:
            found = []
        start = _after(cursor, found, catalogue)
        page = found[start : start + limit]
        rows = [entry.item for entry in page]
        if "duplicate_items" in call.chosen:
            rows += rows[:1]
        last = page[-1].id if page else ""
        if "stuck_cursor" in call.chosen:
            last = cursor or last
        tail = b'],"total":%d,"lastId":"%s"}' % (len(found), last.encode())
        return _ok(call, b"".join((b'{"items":[', b",".join(rows), tail)))

    def _provinces(self, call: Call) -> Reply:
        limit, cursor = _limit(call.body), _cursor(call.body)
        rows = adapter.thinned(_PROVINCES, call.chosen)
        ids = [orjson.loads(row)["id"] for row in rows]
        if cursor and cursor not in ids:
            raise WrongRequest("lastId is unknown")
        start = ids.index(cursor) + 1 if cursor else 0
        page = rows[start : start + limit]
        last = ids[start + len(page) - 1] if page else ""
        tail = b'],"count":%d,"lastId":"%s"}' % (len(rows), last.encode())
        return _ok(call, b"".join((b'{"rows":[', b",".join(page), tail)))


def _limit(body: dict[str, Any]) -> int:
    limit = body.get("limit", 20)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LARGEST_PAGE:
        raise WrongRequest(f"limit must be a number from 1 to {LARGEST_PAGE}")
    return limit


def _cursor(body: dict[str, Any]) -> str:
    return _filter(body, "lastId")


def _filter(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise WrongRequest(f"{name} must be a string")
    return value.strip()


def _after(cursor: str, found: list[Entry], catalogue: Catalogue) -> int:
    """Return where the page after a cursor begins.

    The cursor is a place in the whole catalogue, so that it stays good when the filter or the list has changed.
    """
    if not cursor:
        return 0
    place = catalogue.place_of_id.get(cursor)
    if place is None:
        raise WrongRequest("lastId is unknown")
    if len(found) == len(catalogue.entries):
        return place + 1
    places = catalogue.place_of_id
    return sum(1 for entry in found if places[entry.id] <= place)


def _filtered(catalogue: Catalogue, body: dict[str, Any]) -> list[Entry]:
    words, category = codes.plain(_filter(body, "q")), _filter(body, "categoryId")
    department, level = _filter(body, "departmentCode"), _filter(body, "level")
    if level and level not in _LEVELS:
        raise WrongRequest(f"level must be one of {', '.join(sorted(_LEVELS))}")
    found = catalogue.entries
    if level:
        found = [entry for entry in found if level in entry.levels]
    if department:
        found = [entry for entry in found if entry.promulgator.code == department]
    if category:
        found = [entry for entry in found if category in orjson.loads(entry.item)["categoryIds"]]
    if words:
        found = [entry for entry in found if words in codes.plain(f"{entry.code} {entry.name}")]
    return found


def _ok(call: Call, data: bytes) -> Reply:
    status = 200 if "success_as_200" in call.chosen else 201
    return Reply(b"".join((b'{"code":"OK","data":', data, b',"message":"OK"}')), status)


def _error(status: int, code: str, message: str) -> Reply:
    body = orjson.dumps({"code": code, "data": None, "message": message})
    return Reply(body, status, outcome="refused")
