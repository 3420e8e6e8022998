"""Versions of a mapping file or code list as people read them: since when, and what changed before."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest

from lienthong.mappings import history

MOST_LINES = 400


@dataclass(frozen=True, slots=True)
class Change:
    """One version: lines that came and went against the one before; none for the first that is known."""

    digest: str
    since: datetime
    is_first: bool
    added: int
    removed: int
    lines: tuple[tuple[str, str], ...]
    is_cut: bool


def changes(versions: Sequence[history.Version]) -> list[Change]:
    """Put versions, the newest first, beside what each changed."""
    return [_change(newer, older) for newer, older in zip_longest(versions, versions[1:])]


def _change(newer: history.Version, older: history.Version | None) -> Change:
    lines: list[tuple[str, str]] = []
    if older is not None:
        told = difflib.unified_diff(older.content.splitlines(), newer.content.splitlines(), lineterm="", n=2)
        lines = [(_kind(line), line) for line in list(told)[2:]]
    kinds = [kind for kind, _ in lines]
    return Change(
        newer.digest,
        newer.since,
        older is None,
        kinds.count("added"),
        kinds.count("removed"),
        tuple(lines[:MOST_LINES]),
        len(lines) > MOST_LINES,
    )


def _kind(line: str) -> str:
    return {"+": "added", "-": "removed", "@": "place"}.get(line[:1], "same")
