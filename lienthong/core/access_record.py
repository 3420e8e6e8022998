"""The access record: what is kept of one exchange, and the exact bytes that are sealed of it.

Pure: no clock, no files, no database.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson

from lienthong.core import clock, errors

VERSION = 1
_ZONE_US, _DAY_US = 7 * 3_600_000_000, 24 * 3_600_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Attempt(NamedTuple):
    """One call to another system that was made for the request; `outcome` is `ok` or the code of an error."""

    system: str
    outcome: str
    took_ms: int


class Record(NamedTuple):
    """What is kept of one exchange across the border.

    `route` is a template, never the raw path. `rule` is what decided: a limit, a grant, why a key was rejected; of
    a call that was let in, what it proved beside its key (`proof:certificate+signature`). `official` is named by
    the caller; at the door `lgsp` nobody has checked the name. `subject` is a keyed digest of a person's number,
    never the number. `node` and `number` are given by the spool, or by the journal to a call that the hub made.
    """

    at: datetime
    request_id: str
    operation: str
    route: str
    outcome: str
    took_ms: float
    status: int | None = None
    direction: str = "in"
    door: str = "rest"
    system: str = "gateway"
    method: str = "GET"
    key_id: str | None = None
    generation: int | None = None
    organisation: str | None = None
    official: str | None = None
    address: str | None = None
    rule: str | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    rows: int | None = None
    field_groups: tuple[str, ...] = ()
    subject: str | None = None
    purpose: str | None = None
    dossier_code: str | None = None
    message_id: str | None = None
    correlation: str | None = None
    upstream: tuple[Attempt, ...] = ()
    node: str = ""
    number: int = 0


@dataclass(slots=True)
class Told:
    """What an operation tells the record of its request: on whose behalf it ran, about whom, what went out.

    `official` is the official's code, `subject` the keyed digest of a person's number, `rule` what decided.
    """

    official: str | None = None
    subject: str | None = None
    purpose: str | None = None
    dossier_code: str | None = None
    field_groups: tuple[str, ...] = ()
    rows: int | None = None
    rule: str | None = None
    upstream: list[Attempt] = field(default_factory=list)


# The order of the fields in the bytes of version 1, after the version itself; a change needs a new version.
FIELDS = (
    "node",
    "number",
    "at",
    "request_id",
    "direction",
    "door",
    "system",
    "operation",
    "method",
    "route",
    "key_id",
    "generation",
    "organisation",
    "official",
    "address",
    "outcome",
    "rule",
    "status",
    "took_us",
    "bytes_in",
    "bytes_out",
    "rows",
    "field_groups",
    "subject",
    "purpose",
    "dossier_code",
    "message_id",
    "correlation",
    "upstream",
)
# The longest text of each field: as wide as its column in the hot store.
WIDTHS = {
    "node": 60,
    "request_id": 36,
    "direction": 3,
    "door": 20,
    "system": 40,
    "operation": 80,
    "method": 8,
    "route": 200,
    "key_id": 36,
    "organisation": 200,
    "official": 100,
    "address": 64,
    "outcome": 60,
    "rule": 200,
    "subject": 64,
    "purpose": 300,
    "dossier_code": 50,
    "message_id": 36,
    "correlation": 100,
}
_PLACES = tuple((FIELDS.index(name) + 1, width) for name, width in WIDTHS.items())
_AT, _TOOK, _GROUPS, _UPSTREAM = (FIELDS.index(name) + 1 for name in ("at", "took_us", "field_groups", "upstream"))
# The columns of the hot store, in the order of the bytes.
COLUMNS = tuple({"number": "number_in_node", "took_us": "took_ms"}.get(name, name) for name in FIELDS)


def to_bytes(record: Record) -> bytes:
    """Write a record as the bytes that are sealed: the same record gives the same bytes, always and anywhere."""
    return encode(record, node=record.node, number=record.number)


def encode(record: Record, *, node: str, number: int) -> bytes:
    """Write a record under the number that the spool gives it.

    One JSON array in UTF-8 without white space: whole numbers, texts, null and arrays only, so that anybody can
    read it. Texts longer than their column are cut, and characters that no database takes are left out.
    """
    values: list[Any] = [
        VERSION,
        node,
        number,
        micros(record.at),
        record.request_id,
        record.direction,
        record.door,
        record.system,
        record.operation,
        record.method,
        record.route,
        record.key_id,
        record.generation,
        record.organisation,
        record.official,
        record.address,
        record.outcome,
        record.rule,
        record.status,
        round(record.took_ms * 1000),
        record.bytes_in,
        record.bytes_out,
        record.rows,
        record.field_groups,
        record.subject,
        record.purpose,
        record.dossier_code,
        record.message_id,
        record.correlation,
        [[*attempt] for attempt in record.upstream],
    ]
    for place, width in _PLACES:
        text = values[place]
        if text and (len(text) > width or not text.isprintable()):
            values[place] = _fit(text, width)
    return orjson.dumps(values)


def from_bytes(data: bytes) -> Record:
    """Read a record from its bytes; raises StorageUnavailable where they are not the bytes of a record."""
    values = _values(data)
    given = dict(zip(FIELDS, values[1:], strict=True))
    given["at"] = moment(values[_AT])
    given["took_ms"] = given.pop("took_us") / 1000
    given["field_groups"] = tuple(values[_GROUPS])
    given["upstream"] = tuple(Attempt(*attempt) for attempt in values[_UPSTREAM])
    return Record(**given)


def to_row(data: bytes) -> dict[str, Any]:
    """Turn the bytes of a record into a row of `exchanges`."""
    values = _values(data)
    values[_AT] = moment(values[_AT])
    values[_TOOK] /= 1000
    values[_GROUPS] = ",".join(values[_GROUPS]) or None
    values[_UPSTREAM] = orjson.dumps(values[_UPSTREAM]).decode() if values[_UPSTREAM] else None
    return dict(zip(COLUMNS, values[1:], strict=True))


def from_row(row: Mapping[str, Any]) -> bytes:
    """Give back the bytes of a record from its row of `exchanges`: the same ones, unless somebody altered it."""
    values: list[Any] = [VERSION, *(row[name] for name in COLUMNS)]
    values[_AT] = micros(values[_AT])
    values[_TOOK] = round(values[_TOOK] * 1000)
    values[_GROUPS] = values[_GROUPS].split(",") if values[_GROUPS] else []
    # Where somebody altered it, the text itself goes into the bytes, which then match no seal.
    with contextlib.suppress(orjson.JSONDecodeError):
        values[_UPSTREAM] = orjson.loads(values[_UPSTREAM]) if values[_UPSTREAM] else []
    return orjson.dumps(values)


def place_of(data: bytes) -> tuple[str, int, int]:
    """Give node, number and time (microseconds since 1970) of a record's bytes."""
    values = _values(data)
    return values[1], values[2], values[_AT]


def as_json(data: bytes) -> dict[str, Any]:
    """Give a record with the names of its fields, for people to read."""
    values = _values(data)
    named = dict(zip(FIELDS, values[1:], strict=True))
    named["at"] = moment(values[_AT]).isoformat()
    return named


def day_of(at_us: int) -> str:
    """Give the day in Vietnam, as 2026-01-31, of a time in microseconds since 1970."""
    # Vietnam has had one offset since 1975, so the day needs no look into the zone's table.
    return (_EPOCH + timedelta(microseconds=at_us + _ZONE_US)).date().isoformat()


def bounds_of_day(at_us: int) -> tuple[int, int]:
    """Give when the day in Vietnam that a time lies in began, and when it ends."""
    begins_us = at_us - (at_us + _ZONE_US) % _DAY_US
    return begins_us, begins_us + _DAY_US


def micros(at: datetime) -> int:
    """Give a moment as microseconds since 1970; a moment without zone is refused."""
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def moment(at_us: int) -> datetime:
    """Give the moment, in Vietnam time, of microseconds since 1970."""
    return (_EPOCH + timedelta(microseconds=at_us)).astimezone(clock.VIETNAM)


def _values(data: bytes) -> list[Any]:
    try:
        values = orjson.loads(data)
    except orjson.JSONDecodeError as exc:
        raise _unreadable() from exc
    if not isinstance(values, list) or len(values) != len(FIELDS) + 1 or values[0] != VERSION:
        raise _unreadable()
    return values


def _unreadable() -> errors.StorageUnavailable:
    return errors.StorageUnavailable(
        "these bytes are not an access record of a version that is known here",
        detail_vi="Dữ liệu này không phải là một bản ghi truy cập thuộc phiên bản đã biết.",
    )


def _fit(text: str, width: int) -> str:
    """Leave out what cannot be kept, and cut what is too long."""
    kept = "".join(letter for letter in text[: width * 4] if letter.isprintable())
    return kept[:width]
