"""Charts as SVG made here: no script or style attribute, a title for readers, the figures as a table beside."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: a label, how much, and where a click leads. `begin` and `end` are what a brush gives back."""

    label: str
    value: float
    href: str = ""
    begin: str = ""
    end: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class Banded:
    """One point of a line, with what is normal at that moment; no `low` and `high` where that is not known."""

    label: str
    value: float | None
    low: float | None
    high: float | None

    @property
    def is_outside(self) -> bool:
        """Whether what was seen is outside what is known to be normal."""
        if self.value is None or self.low is None or self.high is None:
            return False
        return not self.low <= self.value <= self.high


def sparkline(values: Sequence[float], *, title: str, width: int = 96, height: int = 20) -> Markup:
    """Draw small bars in a row of a table, the last one marked; the title says what they are."""
    top = max([*values, 1.0])
    step = width / max(len(values), 1)
    parts = []
    for at, value in enumerate(values):
        tall = 0.0 if value <= 0 else max(value / top * (height - 2), 1.5)
        kind = "last" if at == len(values) - 1 else "bar"
        parts.append(_rect(at * step, height - tall, max(step - 1, 1), tall, kind))
    parts.append(f'<line class="axis" x1="0" x2="{width}" y1="{height - 0.5}" y2="{height - 0.5}"/>')
    return _svg("spark", width, height, title, "".join(parts))


def _plain(value: float) -> str:
    return f"{value:g}" if abs(value) < 1e6 else f"{value:.0f}"


# How figures are written; the desks give the writer of the visitor's language.
Figure = Callable[[float], str]


def histogram(
    bars: Sequence[Bar],
    *,
    title: str,
    heads: tuple[str, str],
    most: str = "{count} {what}",
    height: int = 96,
    figure: Figure = _plain,
) -> Markup:
    """Draw counts over time. Each bar is a link; with the desk's script a stretch is chosen by dragging.

    The second heading says what is counted, beside the figures and on the axis; `most` how the
    highest bar is told.
    """
    width, top = 960, max([bar.value for bar in bars] + [1.0])
    step = width / max(len(bars), 1)
    parts = [f'<line class="axis" x1="0" x2="{width}" y1="{height - 0.5}" y2="{height - 0.5}"/>']
    for at, bar in enumerate(bars):
        tall = 0.0 if bar.value <= 0 else max(bar.value / top * (height - 8), 2)
        drawn = _rect(at * step + 0.5, height - tall, max(step - 1, 1), tall, f"bar {bar.state}".strip())
        area = _rect(at * step, 0, step, height, "touch")
        tip = f"<title>{escape(bar.label)}: {figure(bar.value)}</title>"
        facts = f'data-from="{escape(bar.begin)}" data-to="{escape(bar.end)}"'
        inside = f"<g {facts}>{tip}{area}{drawn}</g>"
        # Not a stop for the keyboard each: the table below holds the same links.
        parts.append(f'<a href="{escape(bar.href)}" tabindex="-1">{inside}</a>' if bar.href else inside)
    drawing = _svg("histogram", width, height, title, "".join(parts), extra="data-brush", stretch=True)
    highest = figure(max((bar.value for bar in bars), default=0))
    told = most.format(count=highest, what=f"{heads[1][:1].lower()}{heads[1][1:]}")
    drawing += _scale([bar.label for bar in bars], told)
    rows = [(_linked(bar.label, bar.href), figure(bar.value)) for bar in bars]
    return _with_table(drawing, title, heads, rows)


def bars(rows: Sequence[Bar], *, title: str, heads: tuple[str, str], figure: Figure = _plain) -> Markup:
    """Draw a list of the largest: a name, a bar, a figure; the list is a table already."""
    top = max([bar.value for bar in rows] + [1.0])
    lines = []
    for bar in rows:
        drawn = _rect(0, 0, bar.value / top * 100, 8, "bar")
        size = 'viewBox="0 0 100 8" preserveAspectRatio="none" width="100" height="8"'
        share = f'<svg class="share" {size} aria-hidden="true">{drawn}</svg>'
        lines.append(
            f'<tr><th scope="row">{_linked(bar.label, bar.href)}</th><td>{share}</td>'
            f'<td class="right">{figure(bar.value)}</td></tr>'
        )
    name, count = (escape(head) for head in heads)
    head = f'<tr><th scope="col">{name}</th><td></td><th scope="col" class="right">{count}</th></tr>'
    return Markup(  # noqa: S704 - every value in it was escaped above
        f'<table class="bars"><caption>{escape(title)}</caption><thead>{head}</thead>'
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def heat_map(
    cells: Sequence[Sequence[float]],
    *,
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    unit: str,
    figure: Figure = _plain,
) -> Markup:
    """Draw a table of shades: five steps of one colour, the figure of each in its title and in the table."""
    top = max([value for line in cells for value in line] + [1.0])
    size, tall, left, above = 18, 14, 60, 16
    parts = []
    for at, name in enumerate(columns):
        parts.append(f'<text x="{left + at * size + size / 2}" y="11" class="tick middle">{escape(name)}</text>')
    for down, (name, line) in enumerate(zip(rows, cells, strict=True)):
        y = above + down * tall
        parts.append(f'<text x="{left - 6}" y="{y + 10}" class="tick end">{escape(name)}</text>')
        for across, value in enumerate(line):
            shade = 0 if value <= 0 else min(int(value / top * 4.999) + 1, 5)
            tip = f"<title>{escape(name)}, {escape(columns[across])}: {figure(value)}</title>"
            rect = _rect(left + across * size, y, size - 1, tall - 1, f"heat{shade}")
            parts.append(f"<g>{tip}{rect}</g>")
    drawing = _svg("heat", left + len(columns) * size, above + len(rows) * tall, title, "".join(parts))
    shades = [("0", "heat0"), *(("", f"heat{step}") for step in range(1, 5)), (f"{figure(top)} {unit}", "heat5")]
    drawing += _legend(shades)
    table = [(escape(name), *(figure(value) for value in line)) for name, line in zip(rows, cells, strict=True)]
    return _with_table(drawing, title, ("", *columns), table)


def banded(
    points: Sequence[Banded],
    *,
    title: str,
    heads: tuple[str, str, str, str],
    unit: str,
    legend: tuple[str, str, str],
    height: int = 140,
    figure: Figure = _plain,
) -> Markup:
    """Draw what was seen as a line over a band of what is normal; points outside the band are marked.

    `legend` says what the line, the band and the marks are, as far as they are drawn; `unit` what is counted.
    """
    width = 640
    most = max([*(point.value or 0 for point in points), *(point.high or 0 for point in points), 1.0])
    top = most * 1.05
    step = width / max(len(points) - 1, 1)

    def y(value: float) -> str:
        return f"{height - value / top * (height - 4):.1f}"

    parts = []
    for places in _known(points, step, width):
        edge = [(x, high) for x, _, high in places] + [(x, low) for x, low, _ in reversed(places)]
        parts.append(f'<polygon class="band" points="{" ".join(f"{x:.1f},{y(value)}" for x, value in edge)}"/>')
    line = [f"{at * step:.1f},{y(point.value)}" for at, point in enumerate(points) if point.value is not None]
    parts.append(f'<polyline class="line" points="{" ".join(line)}"/>')
    for at, point in enumerate(points):
        if point.value is not None and point.is_outside:
            tip = f"<title>{escape(point.label)}: {figure(point.value)}</title>"
            # A line without length: its round ends stay round where the drawing is stretched.
            parts.append(f'<path class="outside" d="M{at * step:.1f} {y(point.value)}h0">{tip}</path>')
    drawing = _svg("banded", width, height, title, "".join(parts), stretch=True)
    drawing += _scale([point.label for point in points], f"{figure(most)} {unit}")
    is_there = (True, any(point.high is not None for point in points), any(point.is_outside for point in points))
    kinds = zip(legend, ("line", "band", "outside"), is_there, strict=True)
    drawing += _legend([(word, kind) for word, kind, is_drawn in kinds if is_drawn])
    rows = [
        (
            escape(point.label),
            "–" if point.value is None else figure(point.value),
            "–" if point.low is None else figure(point.low),
            "–" if point.high is None else figure(point.high),
        )
        for point in points
    ]
    return _with_table(drawing, title, heads, rows)


def _known(points: Sequence[Banded], step: float, width: float) -> list[list[tuple[float, float, float]]]:
    """Give the stretches in which it is known what is normal: where, the low, the high."""
    found = []
    for is_known, stretch in itertools.groupby(enumerate(points), lambda it: it[1].high is not None):
        places = [(at * step, point.low or 0.0, point.high or 0.0) for at, point in stretch]
        if is_known and len(places) == 1:  # one point alone is as wide as half the way to those beside it
            x, low, high = places[0]
            places = [(max(x - step / 2, 0.0), low, high), (min(x + step / 2, width), low, high)]
        if is_known:
            found.append(places)
    return found


@dataclass(frozen=True, slots=True)
class Stretch:
    """One line of a life: a label, where it begins and ends (0 to 1 of the width), and what its end means."""

    label: str
    begin: float
    end: float
    tip: str
    state: str = ""


def gauge(used: float, most: float, *, title: str, mark: float | None = None) -> Markup:
    """Draw how much of a maximum is used up; `mark` is another value on the same scale, a suggestion for it."""
    width, top = 180, max(most, mark or 0, 1.0)
    share = used / most if most else 0
    state = "stuck" if share >= 1 else "late" if share >= 0.8 else ""
    parts = [_rect(0, 3, most / top * width, 8, "track")]
    parts.append(_rect(0, 3, min(used / top, 1) * width, 8, f"bar {state}".strip()))
    if mark is not None:
        parts.append(_rect(max(mark / top * width - 2, 0), 0, 2, 14, "mark"))
    return _svg("gauge", width, 14, title, "".join(parts))


def stretches(lines: Sequence[Stretch], *, now: float, title: str, ends: tuple[str, str]) -> Markup:
    """Draw several lives one above the other, with the present moment across them and the days at both ends."""
    width, left, step = 640, 84, 22
    parts = []
    for at, line in enumerate(lines):
        y, begin = at * step + 4, left + line.begin * (width - left)
        long = max((line.end - line.begin) * (width - left), 2)
        drawn = _rect(begin, y, long, 12, f"bar {line.state}".strip())
        parts.append(f'<text x="0" y="{y + 10}" class="tick">{escape(line.label)}</text>')
        parts.append(f"<g><title>{escape(line.tip)}</title>{drawn}</g>")
    tall, x = len(lines) * step, left + now * (width - left)
    parts.append(f'<line class="now" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{tall}"/>')
    parts.append(f'<text x="{left}" y="{tall + 11}" class="tick">{escape(ends[0])}</text>')
    parts.append(f'<text x="{width}" y="{tall + 11}" class="tick end">{escape(ends[1])}</text>')
    return _svg("lives", width, tall + 16, title, "".join(parts))


# ------------------------------------------------------------------------------------------------------- pieces


def _rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _svg(
    kind: str, width: int, height: int, title: str, inside: str, *, extra: str = "", stretch: bool = False
) -> Markup:
    size = f'viewBox="0 0 {width} {height}"' + (
        ' preserveAspectRatio="none"' if stretch else f' width="{width}" height="{height}"'
    )
    role = "group" if "<a " in inside else "img"  # an image may hold nothing that can be reached
    return Markup(  # noqa: S704 - every value in it was escaped by who made it
        f'<svg class="chart {kind}" {size} role="{role}" aria-label="{escape(title)}" {extra}>'
        f"<title>{escape(title)}</title>{inside}</svg>"
    )


def _scale(labels: Sequence[str], most: str) -> Markup:
    """Write under a stretched drawing when its time began, went on and ended, and above it how high it reaches."""
    last = len(labels) - 1
    told = dict.fromkeys(labels[round(last * part / 4)] for part in range(5)) if labels else {}
    marks = "".join(f"<span>{escape(label)}</span>" for label in told)
    return Markup(  # noqa: S704 - every value in it was escaped above
        f'<div class="scale" aria-hidden="true"><span class="most">{escape(most)}</span>{marks}</div>'
    )


def _legend(marks: Sequence[tuple[str, str]]) -> Markup:
    """Say under a drawing what its marks mean: the word of each with the kind that it is drawn as."""
    told = "".join(
        f'<span><svg class="swatch" width="12" height="10" aria-hidden="true">{_rect(0, 0, 12, 10, kind)}</svg>'
        f"{escape(word)}</span>"
        for word, kind in marks
    )
    return Markup(f'<p class="legend">{told}</p>')  # noqa: S704 - every value in it was escaped above


def _linked(label: str, href: str) -> str:
    return f'<a href="{escape(href)}">{escape(label)}</a>' if href else str(escape(label))


def _with_table(drawing: Markup, title: str, heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> Markup:
    """Put the figures under the drawing, folded away: for readers of the page, the keyboard, and who doubts."""
    first, *others = heads
    head = f'<th scope="col">{escape(first)}</th>'
    head += "".join(f'<th scope="col" class="right">{escape(name)}</th>' for name in others)
    body = "".join(
        f"<tr><td>{row[0]}</td>" + "".join(f'<td class="right">{cell}</td>' for cell in row[1:]) + "</tr>"
        for row in rows
    )
    return Markup(  # noqa: S704 - every value in it was escaped by who made it
        f'<figure class="drawn">{drawing}<details><summary>{escape(title)}</summary>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(title)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></details></figure>"
    )
