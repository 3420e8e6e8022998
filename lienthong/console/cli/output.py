"""What the command line prints: tables for people, JSON for programs, and errors in both languages."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import orjson
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lienthong.core import clock, errors

# Into a file or a pipe the rows stay whole; on a screen they fit it.
console = Console(width=None if sys.stdout.isatty() else 200)
problems = Console(stderr=True)
_BETWEEN = 2  # blanks between two columns of a table


def as_json(value: Any) -> None:
    """Print one JSON value on a line of its own."""
    sys.stdout.write(orjson.dumps(value, default=str).decode() + "\n")


def shown(value: Any) -> Text:
    """Write one value as a person reads it: times in Vietnam, nothing as a dash, brackets as they are."""
    return Text(_words(value))


def _words(value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, float):
        return f"{value:,.1f}"
    if isinstance(value, datetime):
        return value.astimezone(clock.VIETNAM).strftime("%d/%m/%Y %H:%M:%S")
    if isinstance(value, date):
        return value.strftime("%d/%m/%Y")
    if isinstance(value, bool):
        return "có" if value else "không"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)


def table(title: str, columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as a table; `columns` gives the heading of each field. Says so where there is nothing.

    On a screen too narrow for it, rows stand one below the other, so that numbers stay whole and can be copied.
    """
    if not rows:
        console.print(f"[dim]{title}: không có gì / nothing[/dim]")
        return
    widths = _widths(columns, rows) if console.is_terminal else {}
    if widths is None:
        _one_below_the_other(title, columns, rows)
        return
    grid = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for name, heading in columns.items():
        numeric = all(isinstance(row.get(name), (int, float)) for row in rows)
        grid.add_column(heading, justify="right" if numeric else "left", overflow="fold", width=widths.get(name))
    for row in rows:
        grid.add_row(*(shown(row.get(name)) for name in columns))
    console.print(grid)


def _widths(columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> dict[str, int] | None:
    """Say how wide each column is on this screen; nothing where a word, a number or a moment would be broken."""
    least: dict[str, int] = {}
    most: dict[str, int] = {}
    for name, heading in columns.items():
        texts = [heading, *(_words(row.get(name)) for row in rows)]
        most[name] = max(map(cell_len, texts))
        is_moment = any(isinstance(row.get(name), datetime) for row in rows)
        least[name] = (
            most[name] if is_moment else max(cell_len(word) for text in texts for word in text.split(" "))
        )
    room = console.width - sum(least.values()) - _BETWEEN * (len(columns) - 1)
    if room < 0:
        return None
    for name in columns:
        more = min(room, most[name] - least[name])
        least[name] += more
        room -= more
    return least


def _one_below_the_other(title: str, columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows on a screen too narrow for a table: what names a row, and below it what is known of it."""
    console.print(Text(title, "italic"))
    first, *others = columns
    for row in rows:
        console.print(Text(_words(row.get(first)), "bold"))
        parts = [
            Text.assemble((columns[name], "dim"), " ", _words(row.get(name)))
            for name in others
            if row.get(name) not in (None, "")
        ]
        console.print(Padding(Text(" · ").join(parts), (0, 0, 0, 2)))


def facts(title: str, pairs: Mapping[str, Any]) -> None:
    """Print one thing as `name  value` lines."""
    grid = Table(title=title, title_justify="left", box=None, show_header=False, pad_edge=False)
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for name, value in pairs.items():
        grid.add_row(name, shown(value))
    console.print(grid)


def pairs(told: Mapping[str, Any]) -> str:
    """Write what is known of a thing as `name=value`, without what is empty."""
    return " ".join(f"{name}={value}" for name, value in told.items() if value not in (None, ""))


def failure(exc: errors.HubError) -> None:
    """Say on standard error what went wrong, Vietnamese first."""
    problems.print(Text("Lỗi ", "bold red") + Text(f"{exc.code}: {exc.detail('vi')}"))
    for problem in exc.problems:
        problems.print(Text(f"  • {problem.field}: {problem.vi}"))
    if known := pairs(exc.facts):
        problems.print(Text(f"  {known}"))
    problems.print(Text(exc.detail("en"), "dim"))
    for problem in exc.problems:
        problems.print(Text(f"  • {problem.field}: {problem.en}", "dim"))
