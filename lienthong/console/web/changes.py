"""What an act changed, in one line as people read it: words for names, moments, limits and roles."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from lienthong.console.web import forms
from lienthong.console.web.words import Words

_NOTHING: tuple[Any, ...] = (None, "", [], {})
# Whose codes have words of their own.
_AREAS = {
    "roles": "roles",
    "state": "states",
    "mode": "modes",
    "response": "response",
    "method": "entry_ways",
    "as": "verdict",
    "source": "systems",
}
_LIMITS = ("limit", "limits")
_LONGEST = 400


def told(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, words: Words) -> str:
    """Say only what is not as before; the object itself is named beside it."""
    if not after:
        return ""
    old = before or {}
    said = []
    for name, value in after.items():
        if name == "id" or old.get(name) == value or (name not in old and value in _NOTHING):
            continue
        now = _value(name, value, words)
        was = f"{_value(name, old[name], words)} → " if name in old else ""
        said.append(f"{words.of('changed', name)}: {was}{now}")
    line = "; ".join(said)
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _value(name: str, value: Any, words: Words) -> str:
    if value in _NOTHING:
        return forms.NOTHING
    if isinstance(value, bool):
        return words("frame.yes" if value else "frame.no")
    if isinstance(value, int):
        return forms.number(value, words)
    if isinstance(value, Mapping):
        return ", ".join(f"{words.of('changed', part)} {_value(part, it, words)}" for part, it in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_value(name, it, words) for it in value)
    text = str(value)
    if name == "count_by":
        return ", ".join(words.of("changed", part) for part in text.split(","))
    if at := _moment(text):
        return forms.moment(at, words)
    if name in _LIMITS:
        return forms.limit(text, words)
    return words.of(_AREAS[name], text) if name in _AREAS else text


def _moment(text: str) -> datetime | None:
    """Read a moment as acts keep it; a day without an hour, or without its zone, is not one."""
    try:
        found = datetime.fromisoformat(text) if "T" in text else None
    except ValueError:
        return None
    return found if found and found.tzinfo else None
