"""How a row of the record lies in a day file: a column for each of the table's, in the form that packs best."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pyarrow as pa
import sqlalchemy as sa

from lienthong.core import clock, tables

Row = Mapping[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_HOUR = timedelta(hours=1)
# Nothing is recorded from here on.
FAR_US = (datetime(9000, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
# Names that stand on few rows, or differ on nearly every row: a dictionary of them would only cost.
_RARELY_REPEATED = frozenset({"message_id", "request_text", "correlation"})
_V7_MASK = 0x0FFF_3FFF_FFFF_FFFF_FFFF  # the random bits of a UUID of version 7 (RFC 9562 §5.7)
_V7_FIXED = 0x7000_8000_0000_0000_0000


def _kind(column: sa.Column[Any]) -> str:
    if column.name == "subject":
        return "digest"
    kinds: tuple[tuple[type[Any], str], ...] = (
        (tables.UtcTime, "moment"),
        (sa.JSON, "json"),
        (sa.Boolean, "truth"),
        (sa.Float, "measure"),
        (sa.Integer, "count"),
        (sa.LargeBinary, "bytes"),
    )
    return next((word for kind, word in kinds if isinstance(column.type, kind)), "word")


# `at` is a word of DuckDB's own.
_RENAMED = {"at": "at_us"}
KINDS: dict[str, str] = {
    _RENAMED.get(str(column.name), str(column.name)): _kind(column)
    for column in tables.exchanges.c
    if column.name != "request_id"
}
# A request id of ours is its time, which stands beside it anyway, and ten random bytes.
KINDS |= {"request_lag_ms": "count", "request_tail": "tail", "request_text": "word"}
_ARROW = {
    "moment": pa.int64(),
    "json": pa.string(),
    "truth": pa.bool_(),
    "measure": pa.float64(),
    "count": pa.int64(),
    "bytes": pa.binary(),
    "digest": pa.binary(),
    "tail": pa.binary(10),
    "word": pa.string(),
}
SCHEMA = pa.schema([(name, _ARROW[kind]) for name, kind in KINDS.items()])
DICTIONARY = [
    name
    for name, kind in KINDS.items()
    if kind in ("word", "json", "truth", "measure") and name not in _RARELY_REPEATED
]
DELTAS = {name: "DELTA_BINARY_PACKED" for name, kind in KINDS.items() if kind in ("moment", "count")}
NAMES = tuple(KINDS)
COLUMNS = tuple(str(column.name) for column in tables.exchanges.c)
_SAID = {ours: theirs for theirs, ours in _RENAMED.items()}


def microseconds(moment: datetime) -> int:
    """Give a moment as the day files keep it."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(microseconds_since: int) -> datetime:
    """Give back a moment, in Vietnam time."""
    return (_EPOCH + timedelta(microseconds=microseconds_since)).astimezone(clock.VIETNAM)


def batch(rows: Sequence[Row]) -> pa.RecordBatch:
    """Turn rows, as the database gives them, into columns."""
    split = [_split(row["request_id"], row["at"]) for row in rows]
    arrays = []
    for name, kind in KINDS.items():
        if name in ("request_lag_ms", "request_tail", "request_text"):
            place = ("request_lag_ms", "request_tail", "request_text").index(name)
            values = [parts[place] for parts in split]
        else:
            values = _into(kind, (row.get(_SAID.get(name, name)) for row in rows))
        arrays.append(pa.array(values, _ARROW[kind]))
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _into(kind: str, values: Iterable[Any]) -> list[Any]:
    if kind == "moment":
        return [None if value is None else microseconds(value) for value in values]
    if kind == "json":
        return [None if value is None else orjson.dumps(value).decode() for value in values]
    if kind == "digest":
        return [None if value is None else bytes.fromhex(value) for value in values]
    return list(values)


def row(found: Mapping[str, Any]) -> dict[str, Any]:
    """Give back a row as the database gave it."""
    back: dict[str, Any] = {}
    for name, kind in KINDS.items():
        if name in found and not name.startswith("request_"):
            back[_SAID.get(name, name)] = _back(kind, found[name])
    if "request_text" in found:
        back["request_id"] = _joined(found, found["at_us"])
    return back


def _back(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind == "moment":
        return moment(value)
    if kind == "json":
        return orjson.loads(value)
    return value.hex() if kind == "digest" else value


def _split(request_id: str, at: datetime) -> tuple[int | None, bytes | None, str | None]:
    tail = request_tail(request_id)
    if tail is None:
        return None, None, request_id
    return (uuid.UUID(request_id).int >> 80) - microseconds(at) // 1000, tail, None


def request_tail(request_id: str) -> bytes | None:
    """Give what of a request id is looked for in a day file; nothing where it is not one of the hub's own form."""
    try:
        value = uuid.UUID(request_id)
    except ValueError:
        return None
    lower = value.int & ((1 << 80) - 1)
    if str(value) != request_id or lower & ~_V7_MASK != _V7_FIXED:
        return None
    return lower.to_bytes(10, "big")


def request_moment(request_id: str) -> datetime | None:
    """Say when a request id was made, where it is one of the hub's own form."""
    if request_tail(request_id) is None:
        return None
    made_at_us = (uuid.UUID(request_id).int >> 80) * 1000
    # Its form may be the hub's and its time nobody's.
    return moment(made_at_us) if made_at_us < FAR_US else None


def _joined(found: Mapping[str, Any], at_us: int) -> str:
    if found["request_tail"] is None:
        return str(found["request_text"])
    stamp = at_us // 1000 + found["request_lag_ms"]
    return str(uuid.UUID(int=(stamp << 80) | int.from_bytes(found["request_tail"], "big")))


def hour(at: datetime) -> datetime:
    """Give the beginning of the hour that a moment lies in."""
    return at.replace(minute=0, second=0, microsecond=0)


def is_whole_hour(at: datetime) -> bool:
    """Whether a moment is the beginning of an hour."""
    return hour(at) == at
