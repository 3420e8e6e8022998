"""Envelopes of one form, made once: zeep writes it with marks in place of the values, later only these change.

Writing an envelope anew costs zeep as much as all else of a call. Pure; how an envelope is written is given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

# With all that a type could write otherwise than it stands: blanks at the ends and in the middle, capitals, and a
# letter beyond ASCII.
_MARK: Final = "  Mạrk-{}  {}-Mạrk "
_MOST_FORMS: Final = 200
# Whatever else a text may hold is for zeep, which refuses it or writes it in its own way.
_PLAIN: Final = re.compile("[ -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")
_REFUSED: Final = re.compile("[\x7f-\x9f\ufdd0-\ufdef]")
Form = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """An envelope cut where its values stand: a piece, the value of a place, a piece, and so on."""

    pieces: tuple[str, ...]
    places: tuple[int, ...]

    def filled(self, values: Sequence[str]) -> bytes:
        """Write the envelope with these values, in the order in which `form_of` gives them."""
        parts = [self.pieces[0]]
        for place, piece in zip(self.places, self.pieces[1:], strict=True):
            parts += (_escaped(values[place]), piece)
        return "".join(parts).encode()


class Templates:
    """The templates of one service, by operation and form; what cannot be made one is remembered, too."""

    def __init__(self) -> None:
        self._known: dict[Any, Template | None] = {}

    def written(
        self, key: Any, values: Mapping[str, Any], write: Callable[[Mapping[str, Any]], bytes]
    ) -> bytes | None:
        """Write the envelope as `write` would, or give None where that is `write`'s to do. Raises as `write`."""
        texts: list[str] = []
        form = form_of(values, texts)
        if form is None:
            return None
        try:
            template = self._known[key, form]
        except KeyError:
            if len(self._known) >= _MOST_FORMS:
                return None
            template = self._known[key, form] = made(form, len(texts), write)
        return None if template is None else template.filled(texts)


def form_of(values: Mapping[str, Any], texts: list[str]) -> Form | None:
    """Give the names of values in their order, and put the texts into `texts`; None where not all are plain."""
    form: list[Any] = []
    for name, value in values.items():
        if type(value) is str:
            if not _PLAIN.fullmatch(value) or _REFUSED.search(value):
                return None
            texts.append(value)
            form.append(name)
            continue
        inner = form_of(value, texts) if isinstance(value, dict) else None
        if inner is None:
            return None
        form.append((name, inner))
    return tuple(form)


def made(form: Form, count: int, write: Callable[[Mapping[str, Any]], bytes]) -> Template | None:
    """Have a form written twice with marks; None where it is not the same but for them, each once as it stands."""
    first, second = (_cut(write(_marked(form, kind, [])).decode(), kind, count) for kind in "ab")
    return first if first == second else None


def _marked(form: Form, kind: str, used: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in form:
        if isinstance(part, str):
            used.append(part)
            found[part] = _MARK.format(kind, len(used) - 1)
        else:
            found[part[0]] = _marked(part[1], kind, used)
    return found


def _cut(text: str, kind: str, count: int) -> Template | None:
    marks = [_MARK.format(kind, number) for number in range(count)]
    if any(text.count(f">{mark}</") != 1 or text.count(mark) != 1 for mark in marks):
        return None
    places = sorted(range(count), key=lambda number: text.index(marks[number]))
    pieces, rest = list[str](), text
    for place in places:
        piece, _, rest = rest.partition(marks[place])
        pieces.append(piece)
    return Template((*pieces, rest), tuple(places))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
