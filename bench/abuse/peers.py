"""What others would find: fixed thresholds, a plain robust z, Isolation Forest and Half-Space Trees.

All see the same features of each key (or, of calls without one, address) and hour, hours without the usual calls
among them, and all but the first see them against what that key has at that hour on that kind of day while they
learn, when they raise nothing. Each gets the threshold with which it raises just one false alert in 100 key-days
on this very data, which is kinder than it could be set beforehand.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

import figures
import numpy as np
import orjson

from bench.abuse import background, kinds
from lienthong.monitoring import calls

FEATURES = 8
_PROGRAM = Path(__file__).parent / "peer_models.py"
# An environment of their own inside this one: installed by the first run, found by the next, gone with this one.
_HOME = Path(sys.prefix) / "peers"
_READY, _PACKAGES = _HOME / "ready", ("scikit-learn", "river")
_MODELS = "isolation forest, half-space trees"
_COLUMN = {calls.WRONG: 1, calls.REFUSED: 2, calls.UNKNOWN: 3, calls.LIMITED: 4}
Place = tuple[str, int]


class Hours:
    """Of each key and hour: requests, wrong, refused, unknown, over the limit, kilobytes, persons, addresses."""

    def __init__(self, town: background.Town) -> None:
        self.town, self.zero = town, town.zero
        self.rows: dict[Place, list[float]] = {}

    def add(self, made: Sequence[calls.Call]) -> None:
        """Count one day."""
        people: dict[Place, tuple[set[str], set[str]]] = {}
        for call in made:
            place = call.key or call.address or "", int((call.at - self.zero) // 3600)
            row = self.rows.get(place)
            if row is None:
                row = self.rows[place] = [0.0] * FEATURES
                people[place] = set(), set()
            row[0] += 1
            column = _COLUMN.get(call.result or 0)
            if column is not None:
                row[column] += 1
            row[5] += (call.bytes_out or 0) / 1000
            if place in people:
                persons, addresses = people[place]
                if call.subject:
                    persons.add(call.subject)
                addresses.add(call.address or "")
        for place, (persons, addresses) in people.items():
            self.rows[place][6], self.rows[place][7] = len(persons), len(addresses)

    def fill(self, learning_days: int) -> None:
        """Add hours without a call, of keys that had some at that hour on most such days of learning."""
        had: dict[tuple[str, int, int], int] = {}
        for key, hour in self.rows:
            if hour < learning_days * 24:
                had[key, *self.kind_of(hour)] = had.get((key, *self.kind_of(hour)), 0) + 1
        hours: dict[tuple[int, int], list[int]] = {}
        for hour in range(self.town.days * 24):
            hours.setdefault(self.kind_of(hour), []).append(hour)
        for (key, *kind), times in had.items():
            alike = hours[kind[0], kind[1]]
            if times > sum(hour < learning_days * 24 for hour in alike) / 2:
                for hour in alike:
                    self.rows.setdefault((key, hour), [0.0] * FEATURES)

    def kind_of(self, hour: int) -> tuple[int, int]:
        """Give the hour of the day and the kind of day."""
        return hour % 24, self.town.calendar.of(self.town.first + hour // 24)[0]


def compare(
    hours: Hours, cases: Sequence[kinds.Case], *, learning_days: int
) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Give the recall by kind of each peer, and which were skipped and why."""
    hours.fill(learning_days)
    places = sorted(hours.rows)
    table = np.array([hours.rows[place] for place in places])
    first: dict[str, int] = {}
    for key, hour in places:
        first.setdefault(key, hour)
    # A key that begins later is learned for ten days of its own; an address stands for nobody known.
    until = {
        key: max(learning_days, hour // 24 + 10) * 24 if key.startswith("key") else 0
        for key, hour in first.items()
    }
    train = np.array([hour < until[key] for key, hour in places])
    middle, spread = _usual(hours, places, table, train)
    scores = {
        "fixed thresholds": _fixed(table, train),
        "robust z": (np.abs(table - middle) / np.maximum(spread, np.sqrt(middle) + 1)).max(axis=1),
    }
    turn = np.array([place % 24 for _, place in places]) * math.pi / 12
    wide = np.column_stack([np.log1p(table) - np.log1p(middle), np.sin(turn), np.cos(turn)])
    made, skipped = _models(wide, train)
    allowed = len(hours.town.keys) * hours.town.days / 100
    found = {
        name: _recall(places, np.where(train, -np.inf, score), cases, hours, allowed)
        for name, score in (scores | made).items()
    }
    return found, skipped


def _fixed(table: np.ndarray, train: np.ndarray) -> np.ndarray:
    tops = np.maximum(np.quantile(table[train], 0.999, axis=0), 3)
    found: np.ndarray = (table / tops).max(axis=1)
    return found


def _usual(
    hours: Hours, places: Sequence[Place], table: np.ndarray, train: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give the median and MAD of each key at that hour on that kind of day while learning; 0 where it had none."""
    alike: dict[tuple[str, int, int], list[int]] = {}
    for row, (key, hour) in enumerate(places):
        alike.setdefault((key, *hours.kind_of(hour)), []).append(row)
    middle, spread = np.zeros(table.shape), np.zeros(table.shape)
    for rows in alike.values():
        past = table[[row for row in rows if train[row]]]
        if len(past):
            middle[rows] = np.median(past, axis=0)
            spread[rows] = 1.4826 * np.median(np.abs(past - middle[rows[0]]), axis=0)
    return middle, spread


def _models(wide: np.ndarray, train: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Run the two learned ones in an environment of their own."""
    python = str(_HOME / "bin" / "python")
    try:
        if not Path(python).exists():
            venv.create(_HOME, with_pip=True)
        if not _READY.exists():
            install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *_PACKAGES]
            subprocess.run(install, check=True, timeout=400)
            _READY.touch()
        with tempfile.TemporaryDirectory() as folder:
            rows = Path(folder) / "rows.npz"
            np.savez(rows, wide=wide, train=train)
            asked = [python, str(_PROGRAM), str(rows)]
            told = subprocess.run(asked, stdout=subprocess.PIPE, check=True, timeout=1800)
    except (OSError, subprocess.SubprocessError) as exc:
        return {}, {_MODELS: f"could not be installed or run here ({type(exc).__name__})"}
    answers = orjson.loads(told.stdout.splitlines()[-1])
    return {name: np.array(values) for name, values in answers.items()}, {}


def _recall(
    places: Sequence[Place],
    score: np.ndarray,
    cases: Sequence[kinds.Case],
    hours: Hours,
    allowed: float,
) -> dict[str, float]:
    """Give the recall by kind at just the allowed false alerts, an hour after an hour counting once."""
    spans: dict[str, list[tuple[int, int, kinds.Case]]] = {}
    for case in cases:
        first, last = (int((at - hours.zero) // 3600) for at in (case.since, case.until + 4 * 3600))
        spans.setdefault(case.key, []).append((first, last, case))
    found: set[kinds.Case] = set()
    false, last_false = 0, dict[str, set[int]]()
    for row in np.argsort(-score):
        if not np.isfinite(score[row]):
            break
        key, hour = places[int(row)]
        mine = [case for first, last, case in spans.get(key, ()) if first <= hour <= last]
        if mine:
            found.update(mine)
            continue
        seen = last_false.setdefault(key, set())
        if not {hour - 1, hour, hour + 1} & seen:
            false += 1
        seen.add(hour)
        if false > allowed:
            break
    by_kind: dict[str, list[bool]] = {}
    for case in cases:
        by_kind.setdefault(case.kind, []).append(case in found)
    return {kind: sum(known) / len(known) for kind, known in by_kind.items()}


def show(ours: Mapping[str, float], compared: Mapping[str, Mapping[str, float]]) -> None:
    """Print the recall by kind beside ours."""
    head = ["recall at 1 false alert in 100 key-days", "ours", *compared]
    rows = [[kind, value, *(found.get(kind, 0.0) for found in compared.values())] for kind, value in ours.items()]
    figures.table("Beside others", head, rows)
