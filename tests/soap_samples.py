"""Values for the tests of the SOAP door: every record of the plan made up in full, and compared as JSON."""

from __future__ import annotations

import string
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import orjson
from hypothesis import strategies as st
from pydantic import BaseModel

from lienthong.bus.gateway import soap_types

# Everything that XML has a place for.
LETTERS = st.characters(
    codec="utf-8", exclude_characters=[*map(chr, range(9)), *map(chr, range(11, 32)), "￾", "￿"]
)
ZONES = st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(1000, 1, 1), datetime(2999, 1, 1), timezones=ZONES)
DEEPEST = 6


def values(kind: soap_types.Kind, depth: int = 0) -> st.SearchStrategy[Any]:
    """Make up what a kind may hold, as JSON has it."""
    if isinstance(kind, soap_types.Leaf):
        return leaves(kind)
    if isinstance(kind, soap_types.Record):
        return records(kind, depth + 1)
    if isinstance(kind, soap_types.Choice):
        return st.one_of(*(records(option, depth + 1) for option in kind.options))
    return st.dictionaries(st.text(LETTERS, max_size=5), values(kind.value, depth + 1), max_size=3)


def records(record: soap_types.Record, depth: int = 0) -> st.SearchStrategy[dict[str, Any]]:
    """Make up a record; what may be absent sometimes is."""
    required, optional = {}, {}
    for element in record.elements:
        made = values(element.kind, depth) if depth <= DEEPEST else st.none()
        if element.is_list:
            most = min(element.most or 2, element.least + 2)
            made = st.lists(made, min_size=element.least, max_size=most if depth <= DEEPEST else 0)
        if element.is_nullable and not element.is_list:
            made = st.none() | made
        if element.is_required:
            required[element.name] = made
        elif depth <= DEEPEST:
            optional[element.name] = made
    return st.fixed_dictionaries(required, optional=optional)


def leaves(leaf: soap_types.Leaf) -> st.SearchStrategy[Any]:
    """Make up a value inside the facets of a leaf."""
    facets = leaf.facets
    if "enum" in facets:
        return st.sampled_from(facets["enum"])
    if leaf.base == "string" and "pattern" in facets:
        return st.from_regex(facets["pattern"], fullmatch=True, alphabet=st.sampled_from(string.printable[:95]))
    least = facets.get("minLength", 0)
    return {
        "string": st.text(LETTERS, min_size=least, max_size=min(facets.get("maxLength", 20), least + 20)),
        "long": st.integers(int(facets.get("minimum", -(10**17))), int(facets.get("maximum", 10**17))),
        "double": st.floats(-1e9, 1e9),
        "decimal": st.decimals(-(10**12), 10**12, places=2).map(lambda value: format(value, "f")),
        "boolean": st.booleans(),
        "date": st.dates(date(1900, 1, 1), date(2100, 1, 1)).map(date.isoformat),
        "dateTime": MOMENTS.map(datetime.isoformat),
        "time": st.times().map(time.isoformat),
    }[leaf.base]


def sample(element: soap_types.Element, depth: int = 0) -> Any:
    """Give one plain value, always the same; every element of a record stands in it once."""
    found = _sample(element.kind, element.name, depth)
    return [found] * max(1, element.least) if element.is_list else found


def sample_record(record: soap_types.Record, depth: int = 0) -> dict[str, Any]:
    return {element.name: sample(element, depth + 1) for element in record.elements}


def sample_answer(record: soap_types.Record) -> BaseModel:
    assert record.model is not None
    return record.model.model_validate_json(orjson.dumps(sample_record(record)), strict=True)


def _sample(kind: soap_types.Kind, name: str, depth: int) -> Any:
    if isinstance(kind, soap_types.Record):
        return sample_record(kind, depth)
    if isinstance(kind, soap_types.Choice):
        return sample_record(kind.options[0], depth)
    if isinstance(kind, soap_types.Entries):
        return {
            "dvcqg_adapter": _sample(kind.value, name, depth),
            "sector_webhook": _sample(kind.value, name, depth),
        }
    facets = kind.facets
    if "enum" in facets:
        return next(value for value in facets["enum"] if value != "")
    if "pattern" in facets:
        return PATTERNED[facets["pattern"]]
    if name == "year":
        return 1990
    return {
        "string": f"{name} <&> Đường số 1",
        "long": int(facets.get("minimum", 3)) + 1,
        "double": 12.5,
        "decimal": "1500000.50",
        "boolean": True,
        "date": "1990-05-01",
        "dateTime": "2026-01-15T09:30:00+07:00",
        "time": "09:30:00",
    }[kind.base]


PATTERNED = {
    r"^[0-9+][0-9 .()-]{6,18}[0-9]$": "0900000001",
    r"^[0-9]{0,5}$": "14758",
    r"^[0-9]{2}$": "38",
    r"^([0-9]{12}|[0-9]{9})$": "001099000001",
    r"^[0-9A-Za-z._-]{1,60}$": "LP-01.a",
    r"^https?://[!-~]{1,480}$": "https://mot-cua.example.vn/da-nop",
    r"^[0-9]{12}$": "001099000001",
    r"^[0-9]{9}$": "001099001",
    r"^[0-9]{10}(-?[0-9]{3})?$": "0100000001",
    r"^[0-9]{10}(-?[0-9]{3})?$|^[0-9]{12}$": "0100000001",
    r"^[a-z0-9]{2,60}$": "madantoc",
    r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$": "019bc0de-7000-7000-8000-000000000001",
    r"^[A-Z0-9][A-Z0-9.]{0,34}-[0-9]{6}([0-9]{2})?-[0-9]{4,9}$": "000.00.00.H38-260115-0001",
}


def differences(wanted: Any, got: Any, path: str = "") -> list[str]:
    """Compare an answer as the hub meant it with what a client made of it: None and empty lists may be absent."""
    if isinstance(wanted, dict):
        if isinstance(got, dict) and "entry" in got and "entry" not in wanted:
            got = {pair["key"]: pair["value"] for pair in _listed(got["entry"])}
        if not isinstance(got, dict):
            return [] if not any(wanted.values()) else [f"{path}: {got!r} for a record"]
        return [
            line for name, value in wanted.items() for line in differences(value, got.get(name), f"{path}.{name}")
        ]
    if isinstance(wanted, list):
        items = _listed(got)
        if len(items) != len(wanted):
            return [f"{path}: {len(items)} of {len(wanted)}"]
        return [
            line for one, other in zip(wanted, items, strict=True) for line in differences(one, other, f"{path}[]")
        ]
    return [] if _is_same(wanted, got) else [f"{path}: {got!r} for {wanted!r}"]


def _listed(got: Any) -> list[Any]:
    return [] if got is None else got if isinstance(got, list) else [got]


def _is_same(wanted: Any, got: Any) -> bool:
    if wanted is None or wanted == "":
        return got in (None, "")
    if isinstance(wanted, bool):
        return str(got).lower() == str(wanted).lower()
    if isinstance(wanted, int | float):
        return Decimal(str(got)) == Decimal(str(wanted))
    if isinstance(got, int | float | Decimal):
        return Decimal(wanted) == Decimal(str(got))
    if isinstance(got, datetime) or "T" in wanted[10:11]:
        return _moment(wanted) == _moment(got)
    return str(got)[:10] == wanted if isinstance(got, date) or _is_day(wanted) else str(got) == wanted


def _is_day(text: str) -> bool:
    return len(text) == 10 and text[4] == text[7] == "-"


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)
