"""Answers as the gateway and the services behind it spell them."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from lienthong.connectors import base, http, outcomes, roles
from lienthong.core import errors, people
from lienthong.mappings import engine

SYSTEM = "ngsp"
MAPPING = engine.load(SYSTEM)
NAMES = MAPPING.envelope
SERVICES = MAPPING.services
_ENTERPRISE = MAPPING.message("enterprise")
# The service gives no list of its lists; these are the ones that its guide names (contracts §6.3).
LISTS = tuple(NAMES["lists"].split())
_FAULT_CODE = re.compile(rb"<(?:\w+:)?code>\s*(\d{6})\s*</")
_LONGEST_WINDOW_DAYS = 5
_USUAL_LIFE_S = 3600.0

log = logging.getLogger(__name__)


def token(reply: http.Reply) -> tuple[str, float]:
    """Read a token and its seconds of life; one hour where they are not said."""
    body = answer(reply)
    value, life = body.get(NAMES["access_token"]), body.get(NAMES["expires_in"])
    if not isinstance(value, str) or not value:
        raise errors.RemoteForbids(system=SYSTEM, remote_code="no token", operation="token")
    try:
        life_s = float(life) if life is not None else _USUAL_LIFE_S
    except (TypeError, ValueError):
        raise outcomes.garbled("the life of the token is no number", system=SYSTEM) from None
    if not 0 < life_s < float("inf"):
        raise outcomes.garbled("the token has ended already", system=SYSTEM)
    return value, life_s


def data(reply: http.Reply) -> Any:
    """Read what a service answered as JSON; whatever the gateway itself says is raised.

    XML with a code 900xxx is the gateway's word and never data, also where the status is 404 (contracts §6.2).
    """
    fault = _FAULT_CODE.search(reply.body[:4096])
    if fault is not None and reply.body.lstrip()[:1] == b"<":
        code = fault[1].decode("ascii")
        raise errors.RemoteForbids(system=SYSTEM, remote_code=code)
    if reply.status == 401:
        raise errors.RemoteForbids(system=SYSTEM, remote_code="HTTP 401")
    if reply.status == 404:
        raise errors.RemoteRefused(system=SYSTEM, remote_code="HTTP 404")
    if reply.body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"", b"<"):
        raise errors.RemoteUnavailable(system=SYSTEM, remote_code="html" if reply.body.strip() else "empty")
    return reply.json()


def answer(reply: http.Reply) -> dict[str, Any]:
    """Read an answer that must be an object."""
    body = data(reply)
    if not isinstance(body, dict):
        raise outcomes.garbled("no object", system=SYSTEM)
    return body


# ---------------------------------------------------------------------------------------------- business register


def has_something(body: Mapping[str, Any]) -> bool:
    """Whether an answer of the business register says that it holds something. Raises RemoteGarbled."""
    if NAMES["status"] not in body:
        raise outcomes.garbled("no status in the answer", system=SYSTEM)
    said = str(body[NAMES["status"]] or "").strip()
    if said not in ("", "0", NAMES["found"]):
        raise outcomes.garbled("an unknown status", system=SYSTEM)
    return said == NAMES["found"]


def enterprise(body: dict[str, Any], *, asked: str) -> people.Enterprise | None:
    """Read the answer to a look-up. Raises RemoteGarbled where it is about another enterprise."""
    if not has_something(body):
        return None
    found: people.Enterprise
    found, odd = _ENTERPRISE.read_wire(body)
    if odd:
        fields = ", ".join(sorted({it.field for it in odd}))
        log.warning("an enterprise's record held what cannot be read", extra={"system": SYSTEM, "fields": fields})
    if _bare(asked) not in (_bare(found.code), _bare(found.other_code)):
        raise outcomes.garbled("the record of another enterprise came back", system=SYSTEM)
    return found


def _bare(code: str) -> str:
    return code.replace("-", "").strip()


def windows(first: date, last: date) -> list[tuple[date, date]]:
    """Cut a period into windows that the register takes: at most five days, both ends counted (§6.3)."""
    found = []
    while first <= last:
        end = min(first + timedelta(days=_LONGEST_WINDOW_DAYS - 1), last)
        found.append((first, end))
        first = end + timedelta(days=1)
    return found


def filings(body: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], int]:
    """Give the rows of a page, and how many the answer counts.

    Neither the name of the list nor the fields of a row are public: the one list in the answer is taken as it is.
    """
    if not has_something(body):
        return [], 0
    lists = [it for it in body.values() if isinstance(it, list)]
    if len(lists) != 1 or any(not isinstance(row, dict) for row in lists[0]):
        raise outcomes.garbled("no list of filings", system=SYSTEM)
    counted = str(body.get(NAMES["count"]) or "0")
    return lists[0], int(counted) if counted.isascii() and counted.isdecimal() else 0


# ---------------------------------------------------------------------------------------------- shared catalogues


def rows(body: Any) -> list[Mapping[str, str]]:
    """Read the rows of a catalogue, every value as text.

    Failures of this service come with HTTP 200 (§6.3): one that is said in its own form is a refusal.
    """
    said = body.get(NAMES["done_message"]) if isinstance(body, dict) else None
    if isinstance(said, str):
        raise errors.RemoteRefused(system=SYSTEM, remote_code="no rows", remote_message=base.safe_text(said))
    if not isinstance(body, list) or any(not isinstance(row, dict) for row in body):
        raise outcomes.garbled("no list of rows", system=SYSTEM)
    return [{str(name): _text(value) for name, value in row.items()} for row in body]


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.strip() if isinstance(value, str) else str(value)


def properties(body: Any) -> list[roles.CatalogueColumn]:
    """Read the structure of a catalogue."""
    code, name, kind = (NAMES[it] for it in ("property_code", "property_name", "property_type"))
    found = rows(body)
    if any(not row.get(code) for row in found):
        raise outcomes.garbled("a column without its code", system=SYSTEM)
    return [roles.CatalogueColumn(code=row[code], name=row.get(name, ""), type=row.get(kind, "")) for row in found]


def inserted(body: Any, *, wanted: Sequence[Mapping[str, str]]) -> int:
    """Read what became of an insertion, whose failures come with HTTP 200 (§6.3).

    Raises RemoteRefused, naming a duplicate as one, and OutcomeUnknown where the answer does not say.
    """
    said = body.get(NAMES["done_message"]) if isinstance(body, dict) else None
    if not isinstance(said, str):
        raise errors.OutcomeUnknown(system=SYSTEM, reason="the answer to an insertion cannot be read")
    if said.strip() != NAMES["done"]:
        is_duplicate = NAMES["duplicate"] in said.casefold()
        code = "duplicate" if is_duplicate else "not inserted"
        raise errors.RemoteRefused(system=SYSTEM, remote_code=code, remote_message=base.safe_text(said))
    count = body.get(NAMES["done_count"])
    if str(count) != str(len(wanted)):
        raise errors.OutcomeUnknown(system=SYSTEM, reason="fewer rows were inserted than sent")
    return len(wanted)
