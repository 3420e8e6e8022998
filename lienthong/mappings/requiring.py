"""What the other side requires, as checks on a record: each names a field in the words of our own callers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from lienthong.core import errors, records
from lienthong.mappings import pairs, schema

Found = list[errors.FieldProblem]
Check = Callable[[Any, bool, Callable[[str], str], Found], None]
"""Looks at a record; is told whether the dossier was received, how a path is spoken, and where to add."""

NOT_YET_RECEIVED = frozenset(
    {records.Status.SUBMITTED, records.Status.REJECTED, records.Status.WITHDRAW_REQUESTED}
)
"""States in which a dossier need not have been received (contracts §3.4)."""


def presence(spec: schema.FieldSpec, *, label: str, who: schema.Authority) -> Check:
    """Ask that a required field is there."""
    get, path, always = attrgetter(spec.record[0]), spec.blame or spec.record[0], spec.required == "always"
    vi = f"{who.vi} yêu cầu phải có: {label}."
    if not always:
        vi = f"Hồ sơ đã qua tiếp nhận thì {who.vi} yêu cầu phải có: {label}."
    en = f"{who.en} requires this field" + ("." if always else " once the dossier has been received.")

    def check(record: Any, received: bool, spoken: Callable[[str], str], found: Found) -> None:
        if (always or received) and get(record) in (None, ""):
            found.append(errors.FieldProblem(spoken(path), vi, en))

    return check


def length(spec: schema.FieldSpec, *, label: str, who: schema.Authority) -> Check:
    """Ask that a text is not longer than the other side takes."""
    get, path, longest = attrgetter(spec.record[0]), spec.blame or spec.record[0], spec.max or 0

    def check(record: Any, received: bool, spoken: Callable[[str], str], found: Found) -> None:
        size = len(get(record) or "")
        if size > longest:
            vi = f"{who.vi} chỉ nhận tối đa {longest} ký tự ở {label}; đang có {size}."
            en = f"{who.en} takes at most {longest} characters here; there are {size}."
            found.append(errors.FieldProblem(spoken(path), vi, en))

    return check


def declared(spec: schema.FieldSpec, *, label: str, who: schema.Authority, codes: Mapping[Any, str]) -> Check:
    """Ask that a value has a code over there."""
    get, path = attrgetter(spec.record[0]), spec.blame or spec.record[0]
    vi, en = f"{who.vi} không có mã cho giá trị này của {label}.", f"{who.en} has no code for this value."

    def check(record: Any, received: bool, spoken: Callable[[str], str], found: Found) -> None:
        value = get(record)
        if value not in (None, "") and value not in codes:
            found.append(errors.FieldProblem(spoken(path), vi, en))

    return check


def paired(spec: schema.FieldSpec, *, pair: pairs.Pair, who: schema.Authority) -> Check:
    """Ask what a named pair asks for."""
    gets = tuple(attrgetter(path) for path in (*spec.record, *spec.uses))

    def check(record: Any, received: bool, spoken: Callable[[str], str], found: Found) -> None:
        for problem in pair.problems(*[get(record) for get in gets]):
            vi, en = problem.vi.format(who=who.vi), problem.en.format(who=who.en)
            found.append(errors.FieldProblem(spoken(spec.record[problem.path]), vi, en))

    return check


def rows(spec: schema.FieldSpec, *, checks: Sequence[Check]) -> Check:
    """Ask of each item of a list what its shape asks for."""
    get, path = attrgetter(spec.record[0]), spec.record[0]

    def check(record: Any, received: bool, spoken: Callable[[str], str], found: Found) -> None:
        for number, item in enumerate(get(record)):
            place = f"{spoken(path)}.{number}."
            for one in checks:
                one(item, received, place.__add__, found)

    return check
