"""A table as a page asks for it: columns, order, what is hidden, the next page, and the same as a CSV file."""

from __future__ import annotations

import csv
import io
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lienthong.bus.flows import table_files
from lienthong.console.web import forms
from lienthong.console.web.words import Words

Kind = Literal[
    "text", "code", "setting", "number", "money", "ago", "moment", "day", "span", "hours", "chip", "words", "chart"
]
_RIGHT = frozenset({"number", "money", "span", "hours"})


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `word` is the key of its heading; `area` the words of a chip's codes (`states`).

    `link`: the field of a row that holds the address behind the cell. `sorts`: its heading orders the list.
    `only_in_file`: a code that stands in the exported file; the page has its words in another column.
    """

    name: str
    word: str
    kind: Kind = "text"
    area: str = "states"
    link: str = ""
    sorts: bool = False
    only_in_file: bool = False

    @property
    def is_right(self) -> bool:
        """Whether it is aligned to the right, as figures are."""
        return self.kind in _RIGHT


@dataclass(slots=True)
class Listing:
    """Rows with their columns. A row is a mapping; `href` in it is its page, opened beside the list.

    `order` is `name` or `-name`; `cursor` leads to the next page; `hidden` are columns that the person put away.
    """

    name: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    cursor: str = ""
    total: int | None = None

    @property
    def order(self) -> str:
        """By which column the list is ordered, as the address says."""
        wanted = self.query.get("sort", "")
        return wanted if wanted.removeprefix("-") in {it.name for it in self.columns if it.sorts} else ""

    @property
    def hidden(self) -> frozenset[str]:
        """Which columns the person put away."""
        return frozenset(self.query.get("hide", "").split(",")) & {it.name for it in self.columns}

    @property
    def shown(self) -> list[Column]:
        """The columns that are there; never none."""
        return [it for it in self.possible if it.name not in self.hidden] or self.possible

    @property
    def possible(self) -> list[Column]:
        """The columns that the page can show."""
        return [it for it in self.columns if not it.only_in_file]

    def sorted(self) -> Listing:
        """Order the rows that are here; for lists that fit one page (longer ones are ordered by the database)."""
        name = self.order.removeprefix("-")
        if name:
            known = [row for row in self.rows if row.get(name) is not None]
            ordered = sorted(known, key=lambda row: _key(row[name]), reverse=self.order.startswith("-"))
            self.rows = [*ordered, *(row for row in self.rows if row.get(name) is None)]
        return self

    def address(self, **changes: str) -> str:
        """Give the address of this list with something else asked; an empty value takes the name away."""
        query = {**self.query, **changes}
        kept = {name: value for name, value in query.items() if value and (name != "after" or "after" in changes)}
        return self.path + (f"?{urllib.parse.urlencode(kept)}" if kept else "")

    def ordered_by(self, column: Column) -> str:
        """Give the address that orders by a column, or turns its order round."""
        return self.address(sort=f"-{column.name}" if self.order == column.name else column.name)

    def without(self, column: Column) -> str:
        """Give the address with a column put away, or brought back."""
        return self.address(hide=",".join(sorted(self.hidden ^ {column.name})))

    def csv(self, words: Words) -> bytes:
        """Write the list as a file that spreadsheets open: UTF-8 with a mark, nothing taken for a formula."""
        sink = io.StringIO()
        rows = csv.writer(sink)
        shown = [it for it in self.columns if (it in self.shown or it.only_in_file) and it.kind != "chart"]
        rows.writerow([words(it.word) for it in shown])
        for row in self.rows:
            rows.writerow([table_files.safe(_cell(it, row.get(it.name), words)) for it in shown])
        return b"\xef\xbb\xbf" + sink.getvalue().encode()


def _key(value: Any) -> tuple[bool, Any]:
    return (True, str(value)) if isinstance(value, str) else (False, value)


def _cell(column: Column, value: Any, words: Words) -> str:
    if column.kind in ("chip", "words") and isinstance(value, str):
        return words.of(column.area, value)
    return forms.plain(value, words)
