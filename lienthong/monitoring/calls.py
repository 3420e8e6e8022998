"""One access record as detection reads it: a flat tuple, made from a record's bytes or from a line of JSON.

What a record does not say is None here, and no detector takes None for a fact.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from lienthong.core import access_record, clock, errors

# How a call ended, as far as detection distinguishes it.
OK, WRONG, REFUSED, LIMITED, UNKNOWN, FAILED = range(6)
RESULT_NAMES = ("ok", "wrong", "refused", "limited", "unknown", "failed")
MOST_REMEMBERED = 50_000
_PLACE = {name: place for place, name in enumerate(access_record.FIELDS, 1)}
_BY_STATUS = {401: REFUSED, 403: REFUSED, 404: UNKNOWN, 429: LIMITED}
# Words of an outcome, in the order in which they are looked for; the hub's own codes and those of other records.
_BY_WORD = (
    ("limit", LIMITED),
    ("throttl", LIMITED),
    ("quota", LIMITED),
    ("notfound", UNKNOWN),
    ("unknown", UNKNOWN),
    ("nomatch", UNKNOWN),
    ("notgranted", REFUSED),
    ("keyrejected", REFUSED),
    ("unauthor", REFUSED),
    ("accessdenied", REFUSED),
    ("forbidden", REFUSED),
    ("denied", REFUSED),
    ("refused", REFUSED),
    ("reject", REFUSED),
    ("server", FAILED),
    ("unavailable", FAILED),
    ("timeout", FAILED),
)
_RIGHT = frozenset({"ok", "success", "succeeded", "accepted", "served", "200"})
_results: dict[tuple[int | None, str | None], int] = {}
_networks: dict[str, str] = {}


class Call(NamedTuple):
    """What detection reads of one record. `at` is seconds since 1970; `subject` a digest, never a number."""

    at: float
    key: str | None
    official: str | None
    address: str | None
    agent: str | None
    operation: str | None
    result: int | None
    took_ms: float | None
    bytes_out: int | None
    rows: int | None
    subject: str | None
    dossier: str | None
    groups: tuple[str, ...] = ()
    callback: bool = False
    node: str = ""
    number: int = 0


def from_values(values: Sequence[Any]) -> Call | None:
    """Read a record as its bytes have it (a JSON array); None where it is not a call made to the hub."""
    place = _PLACE
    if values[place["direction"]] == "out":
        return None
    operation = values[place["operation"]] or None
    rows, subject = values[place["rows"]], values[place["subject"]]
    return Call(
        values[place["at"]] / 1e6,
        values[place["key_id"]],
        values[place["official"]],
        values[place["address"]],
        None,
        operation,
        _found(result_of(values[place["status"]], values[place["outcome"]]), rows, subject),
        values[place["took_us"]] / 1000,
        values[place["bytes_out"]],
        rows,
        subject,
        values[place["dossier_code"]],
        tuple(values[place["field_groups"]]),
        values[place["door"]] == "callbacks" or (operation or "").startswith("callbacks"),
        values[place["node"]],
        values[place["number"]],
    )


def from_json(line: Mapping[str, Any]) -> Call:
    """Read a record of a file to be replayed (hub-interface: `detect replay`).

    Raises InvalidRequest where there is no time, or a value is of the wrong kind.
    """
    get = line.get
    try:
        at = datetime.fromisoformat(line["time"])
        rows, subject, operation = get("rows"), get("subject"), get("operation")
        result = _found(result_of(get("status"), get("outcome")), rows, subject)
        return Call(
            (at if at.tzinfo else at.replace(tzinfo=clock.VIETNAM)).timestamp(),
            get("key"),
            get("official"),
            get("address"),
            get("user_agent"),
            operation,
            result,
            get("duration_ms"),
            get("bytes_out"),
            rows,
            subject,
            get("dossier"),
            tuple(get("field_groups") or ()),
            (operation or "").startswith("callbacks"),
            get("node") or "",
            get("number") or 0,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise errors.InvalidRequest(
            "this line is not an access record with a time",
            detail_vi="Dòng này không phải một bản ghi truy cập có thời gian.",
        ) from exc


def result_of(status: int | None, outcome: str | None) -> int | None:
    """Say how a call ended, from the status where there is one, else from the outcome's words; None if unknown."""
    known = (status, outcome)
    found = _results.get(known, -1)
    if found == -1:
        made = _read_result(status, outcome)
        if len(_results) < MOST_REMEMBERED:
            _results[known] = -2 if made is None else made
        return made
    return None if found == -2 else found


def _read_result(status: int | None, outcome: str | None) -> int | None:
    word = (outcome or "").lower().replace("_", "").replace("-", "").replace(" ", "")
    if status is not None:
        status = int(status)
        if status >= 500:
            return FAILED
        if status in _BY_STATUS:
            return _BY_STATUS[status]
        if status >= 400:
            return next((result for part, result in _BY_WORD[:6] if part in word), WRONG)
    if not word:
        return None if status is None else OK
    if word in _RIGHT:
        return OK
    said = next((result for part, result in _BY_WORD if part in word), None)
    if said is not None:
        return said
    return WRONG if status is None else OK


def _found(result: int | None, rows: int | None, subject: str | None) -> int | None:
    """An answer about a person without a row says that the number is not known; a 404 about others is wrong."""
    if result == UNKNOWN and subject is None:
        return WRONG
    return UNKNOWN if result == OK and rows == 0 and subject is not None else result


def network_of(address: str) -> str:
    """Give the network that an address lies in: /24, for IPv6 /48; a name stands for itself."""
    found = _networks.get(address)
    if found is None:
        try:
            plain = ipaddress.ip_address(address)
            wide = 24 if plain.version == 4 else 48
            found = str(ipaddress.ip_network((plain, wide), strict=False))
        except ValueError:
            found = address
        if len(_networks) >= MOST_REMEMBERED:
            _networks.clear()
        _networks[address] = found
    return found


def from_row(row: Mapping[str, Any]) -> Call:
    """Read a row of the hot store, as `watcher` asks for it."""
    operation, rows, subject = row["operation"] or None, row["rows"], row["subject"]
    groups = row["field_groups"]
    return Call(
        row["at"].timestamp(),
        row["key_id"],
        row["official"],
        row["address"],
        None,
        operation,
        _found(result_of(row["status"], row["outcome"]), rows, subject),
        row["took_ms"],
        row["bytes_out"],
        rows,
        subject,
        row["dossier_code"],
        tuple(groups.split(",")) if groups else (),
        row["door"] == "callbacks" or (operation or "").startswith("callbacks"),
        row["node"] or "",
        row["number_in_node"] or 0,
    )
