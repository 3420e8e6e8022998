"""What others would find: fixed thresholds, a plain robust z, Isolation Forest and Half-Space Trees.

All see the same features of each key and hour. Each gets the threshold with which it raises just one false alert
in 100 key-days on this very data, which is kinder than it could be set beforehand.
"""

from __future__ import annotations

import math
import subprocess
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


class Hours:
    """Of each key and hour: requests, wrong, refused, unknown, over the limit, bytes, persons, addresses."""

    def __init__(self, town: background.Town) -> None:
        self.town, self.zero = town, town.at(0)
        self.rows: dict[tuple[str, int], list[float]] = {}

    def add(self, made: Sequence[calls.Call]) -> None:
        """Count one day."""
        people: dict[tuple[str, int], tuple[set[str], set[str]]] = {}
        for call in made:
            if call.key is None:
                continue
            place = call.key, int((call.at - self.zero) // 3600)
            row = self.rows.get(place)
            if row is None:
                row = self.rows[place] = [0.0] * FEATURES
                people[place] = set(), set()
            row[0] += 1
            if call.result in (calls.WRONG, calls.REFUSED, calls.UNKNOWN, calls.LIMITED):
                row[{calls.WRONG: 1, calls.REFUSED: 2, calls.UNKNOWN: 3, calls.LIMITED: 4}[call.result]] += 1
            row[5] += call.bytes_out or 0
            if place in people:
                persons, addresses = people[place]
                if call.subject:
                    persons.add(call.subject)
                addresses.add(call.address or "")
        for place, (persons, addresses) in people.items():
            self.rows[place][6], self.rows[place][7] = len(persons), len(addresses)


def compare(
    hours: Hours, cases: Sequence[kinds.Case], *, learning_days: int, are_models_wanted: bool
) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Give the recall by kind of each peer, and which were skipped and why."""
    places = sorted(hours.rows)
    table = np.array([hours.rows[place] for place in places])
    train = np.array([hour < learning_days * 24 for _, hour in places])
    scores = {"fixed thresholds": _fixed(table, train), "robust z": _robust_z(places, table, train)}
    skipped = {"isolation forest, half-space trees": "only in the whole run: they are installed first"}
    if are_models_wanted:
        made, skipped = _models(places, table, train)
        scores |= made
    allowed = len(hours.town.keys) * hours.town.days / 100
    return {name: _recall(places, score, cases, hours, allowed) for name, score in scores.items()}, skipped


def _fixed(table: np.ndarray, train: np.ndarray) -> np.ndarray:
    tops = np.maximum(np.quantile(table[train], 0.999, axis=0), 3)
    found: np.ndarray = (table / tops).max(axis=1)
    return found


def _robust_z(places: Sequence[tuple[str, int]], table: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Each key and hour of the day against its own median and MAD of the learning time."""
    known: dict[tuple[str, int], list[int]] = {}
    for row, (key, hour) in enumerate(places):
        if train[row]:
            known.setdefault((key, hour % 24), []).append(row)
    found = np.zeros(len(places))
    for row, (key, hour) in enumerate(places):
        rows = known.get((key, hour % 24))
        past = table[rows] if rows else np.zeros((1, FEATURES))
        middle = np.median(past, axis=0)
        spread = 1.4826 * np.median(np.abs(past - middle), axis=0)
        found[row] = (np.abs(table[row] - middle) / np.maximum(spread, np.sqrt(middle) + 1)).max()
    return found


def _models(
    places: Sequence[tuple[str, int]], table: np.ndarray, train: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Run the two learned ones in an environment of their own, which is installed first."""
    hour = np.array([place % 24 for _, place in places])
    wide = np.column_stack([np.log1p(table), np.sin(hour * math.pi / 12), np.cos(hour * math.pi / 12)])
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        venv.create(home / "env", with_pip=True)
        python = home / "env" / "bin" / "python"
        install = [str(python), "-m", "pip", "install", "--quiet", "scikit-learn", "river"]
        done = subprocess.run(install, check=False, timeout=400)
        if done.returncode:
            return {}, {"isolation forest, half-space trees": "could not be installed"}
        np.savez(home / "rows.npz", wide=wide, train=train)
        told = subprocess.run(
            [str(python), str(_PROGRAM), str(home / "rows.npz")], stdout=subprocess.PIPE, check=False, timeout=900
        )
        if told.returncode:
            return {}, {"isolation forest, half-space trees": "failed"}
        answers = orjson.loads(told.stdout.splitlines()[-1])
    return {name: np.array(values) for name, values in answers.items()}, {}


def _recall(
    places: Sequence[tuple[str, int]],
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
