"""Envelopes and pages as the rebuilt portal spells them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson

from lienthong.connectors import base, http
from lienthong.core import errors
from lienthong.mappings import engine

SYSTEM = "dvcqg_portal"
MAPPING = engine.load(SYSTEM)
NAMES = MAPPING.envelope
SERVICES = MAPPING.services


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list. `total` is None where the answer does not say it."""

    rows: list[dict[str, Any]]
    total: int | None
    cursor: str


def page_request(*, cursor: str, limit: int) -> dict[str, Any]:
    """Ask for the page after `cursor`, the first where it is empty, of the whole list."""
    return {
        NAMES["limit"]: limit,
        NAMES["cursor"]: cursor,
        NAMES["query"]: "",
        NAMES["category"]: "",
        NAMES["department"]: "",
    }


def detail_request(key: str) -> dict[str, str]:
    """Ask for one procedure."""
    return {NAMES["id"]: key}


def read(reply: http.Reply) -> dict[str, Any]:
    """Take the data out of an answer.

    An HTML page with a success status comes from the protection in front of the portal: RemoteUnavailable.
    """
    start = reply.body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start in (b"", b"<"):
        raise errors.RemoteUnavailable(system=SYSTEM, remote_code="html" if start else "empty")
    body = reply.json()
    code = body.get(NAMES["code"]) if isinstance(body, dict) else None
    if code is None:
        raise errors.RemoteGarbled(system=SYSTEM, reason="no envelope")
    if code != NAMES["ok"]:
        said = base.safe_text(body.get(NAMES["message"]) or "")
        raise errors.RemoteRefused(system=SYSTEM, remote_code=base.safe_text(code), remote_message=said)
    found = body.get(NAMES["data"])
    if not isinstance(found, dict):
        raise errors.RemoteGarbled(system=SYSTEM, reason="no data in the envelope")
    return found


def page(found: dict[str, Any]) -> Page:
    """Read one page of a list. Raises RemoteGarbled where it is none."""
    rows, total, cursor = found.get(NAMES["items"]), found.get(NAMES["total"]), found.get(NAMES["cursor"])
    if not isinstance(rows, list) or any(not isinstance(row, dict) or not row.get(NAMES["id"]) for row in rows):
        raise errors.RemoteGarbled(system=SYSTEM, reason="no list of objects with ids")
    return Page(rows, total if isinstance(total, int) else None, str(cursor or ""))


def fingerprint(row: dict[str, Any]) -> str:
    """Digest a row of the list: its id is the version's own, so any change of version shows."""
    return hashlib.blake2b(orjson.dumps(row, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
