"""Part (a) of the detection benchmark: the number-series detector on the public NAB series, by NAB's own rule.

All detectors get the rows one by one, with the same settings for every series. Each is scored twice: with the
one threshold that serves it best on all series together, as NAB does it, and with a threshold fixed beforehand.
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from types import ModuleType
from typing import Any, NamedTuple

import figures
import orjson

from lienthong.monitoring import series as number_series

SERIES = figures.SHARED_DATA / "anomaly" / "nab"
SCORER = figures.SHARED_DATA.parent / "tools" / "nab_score.py"
OURS = "lienthong detect series"
PROFILES = {"standard": "standard", "few false positives": "low_fp", "few false negatives": "low_fn"}
BOUNDS = {"standard": 60.0, "low_fp": 50.0, "low_fn": 65.0}
LEAST_ROWS_A_SECOND = 5_000.0
# Stated for these 31 series by their publishers' own result files; not run here.
PUBLISHED = {
    "ARTime": (72.4, 62.8, 78.2),
    "contextOSE": (68.9, 65.7, 72.4),
    "windowed Gaussian": (39.7, 22.5, 47.7),
}
SPLITS = 20
NEVER_A_THRESHOLD = 0.2

Scores = list[float]


class Part(NamedTuple):
    """What a part of a benchmark found: its figures, their bounds, and what it had to leave out."""

    figures: dict[str, float]
    goals: dict[str, float]
    skipped: dict[str, str]


def ours(times: list[datetime], values: list[float]) -> Scores:
    detector = number_series.Series()
    return [detector.update(at, value) for at, value in zip(times, values, strict=True)]


def windowed_gaussian(_times: list[datetime], values: list[float]) -> Scores:
    """How improbable a value is under the mean and deviation of the 6,400 before it, shifted 100 at a time."""
    scores, begin, end, total, squares = [], 0, 0, 0.0, 0.0
    for row, value in enumerate(values):
        count = end - begin
        mean = total / count if count else value
        deviation = math.sqrt(max(squares / count - mean * mean, 0.0)) if count else 0.0
        scores.append(1 - 0.5 * math.erfc(abs(value - mean) / (deviation or 1e-6) / math.sqrt(2)))
        if row < 6400 or (row + 1) % 100 == 0:
            end = row + 1
            begin = max(0, end - 6400)
            window = values[begin:end] if row % 100 == 99 else None
            total = math.fsum(window) if window else total + value
            squares = math.fsum(v * v for v in window) if window else squares + value * value
    return scores


def robust_z(_times: list[datetime], values: list[float]) -> Scores:
    """The distance from the median of 1,000 rows before, in median (where 0: mean) absolute deviations."""
    scores, median, unit = [], values[0], 0.0
    for row, value in enumerate(values):
        if row % 10 == 0 and row >= 20:
            window = values[max(0, row - 1000) : row]
            median = statistics.median(window)
            away = [abs(v - median) for v in window]
            unit = 1.4826 * statistics.median(away) or 1.2533 * statistics.fmean(away)
        z = abs(value - median) / (unit + 1e-9 * abs(median) + 1e-12)
        scores.append(z / (10 + z) if row >= 20 else 0.0)
    return scores


def quietened(scores: Scores, alarm: float) -> Scores:
    """Give a detector the same silence after an alarm that ours keeps."""
    answer, until = [], 0
    for row, score in enumerate(scores):
        answer.append(score if row >= until else 0.0)
        if row >= until and score >= alarm:
            until = row + number_series.QUIET_ROWS
    return answer


# With the score that is an alarm to each.
PEERS: dict[str, tuple[Callable[[list[datetime], list[float]], Scores], float]] = {
    "windowed Gaussian": (windowed_gaussian, 1 - 3e-7),  # five deviations
    "robust z": (robust_z, 0.5),  # ten
}


class Scored(NamedTuple):
    """One series after all detectors: its times as NAB writes them, and how long ours took on the processor."""

    name: str
    times: list[str]
    scores: dict[str, Scores]
    took_s: float


def score_file(name: str) -> Scored:
    with gzip.open(SERIES / f"{name}.gz", "rt", encoding="utf-8") as text:
        rows = [(row["timestamp"][:19], float(row["value"])) for row in csv.DictReader(text)]
    times, values = [datetime.fromisoformat(at) for at, _ in rows], [value for _, value in rows]
    begun = time.process_time()
    scores = {OURS: ours(times, values)}
    took_s = time.process_time() - begun
    for who, (detect, alarm) in PEERS.items():
        scores[who] = detect(times, values)
        scores[f"{who}, quiet after an alarm"] = quietened(scores[who], alarm)
    return Scored(name, [at for at, _ in rows], scores, took_s)


def measure() -> Part:
    """Run all detectors over all series and print how each did; the same work in a quick run."""
    if not SERIES.exists() or not SCORER.exists():
        return Part({}, {}, {"nab": "the series or their scorer are not here (LIENTHONG_SHARED_DATA)"})
    scorer = _scorer()
    windows = orjson.loads((SERIES / "combined_windows.json").read_bytes())
    with ProcessPoolExecutor(2) as workers:
        scored = list(workers.map(score_file, windows))
    spans = {name: [(begin[:19], end[:19]) for begin, end in found] for name, found in windows.items()}
    judged = {
        who: {one.name: scorer.points(one.times, one.scores[who], spans[one.name]) for one in scored}
        for who in scored[0].scores
    }
    reached = {who: _reached(scorer, found, _alarm(who)) for who, found in judged.items()}
    held_out = _held_out(scorer, judged[OURS])
    rows = sum(len(one.times) for one in scored)
    speed = rows / sum(one.took_s for one in scored)
    _print(reached, held_out, f"NAB: {len(scored)} series, {rows:,} rows, {speed:,.0f} rows a second")
    return _part(reached, held_out, speed)


def _alarm(who: str) -> float:
    return number_series.ALARM if who == OURS else PEERS[who.partition(",")[0]][1]


def _part(reached: Mapping[str, Any], held_out: Mapping[str, float], speed: float) -> Part:
    found, goals = {"least_series_rows_a_second": speed}, {"least_series_rows_a_second": LEAST_ROWS_A_SECOND}
    for profile, bound in BOUNDS.items():
        best, fixed = reached[OURS][profile]
        found |= {f"least_nab_{profile}": best, f"least_nab_{profile}_fixed": fixed}
        goals |= {f"least_nab_{profile}": bound, f"least_nab_{profile}_fixed": bound}
        found[f"nab_{profile}_held_out"] = held_out[profile]
        for who in PEERS:
            found[f"nab_{profile}_{who.lower().replace(' ', '_')}"] = reached[who][profile][0]
    return Part(found, goals, {})


def _scorer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("nab_score", SCORER)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{SCORER.name} cannot be read")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _reached(scorer: ModuleType, judged: Mapping[str, Any], fixed: float) -> dict[str, tuple[float, float]]:
    answer = {}
    for profile, weights in scorer.PROFILES.items():
        best, _, at_fixed = scorer.sweep(judged, *weights, fixed=fixed)
        answer[PROFILES[profile]] = (best, at_fixed)
    return answer


def _held_out(scorer: ModuleType, judged: Mapping[str, Any]) -> dict[str, float]:
    """Choose the threshold on a random half of the series, state what it gives on the others; the mean of many."""
    lean = {
        name: ([row for row in rows if row[2] or row[0] >= NEVER_A_THRESHOLD], count)
        for name, (rows, count) in judged.items()
    }
    found: dict[str, list[float]] = {short: [] for short in PROFILES.values()}
    for chosen, rest in _halves(list(lean)):
        for profile, weights in scorer.PROFILES.items():
            _, threshold, _ = scorer.sweep({name: lean[name] for name in chosen}, *weights)
            _, _, at_it = scorer.sweep({name: lean[name] for name in rest}, *weights, fixed=threshold)
            found[PROFILES[profile]].append(at_it)
    return {profile: statistics.fmean(values) for profile, values in found.items()}


def _halves(names: list[str]) -> Iterator[tuple[list[str], list[str]]]:
    chance = random.Random(1)
    for _ in range(SPLITS // 2):
        mixed = chance.sample(names, len(names))
        half = len(mixed) // 2
        yield mixed[:half], mixed[half:]
        yield mixed[half:], mixed[:half]


def _print(reached: Mapping[str, Any], held_out: Mapping[str, float], title: str) -> None:
    head = [
        "detector",
        *(f"{name}, {way}" for way in ("best", "fixed") for name in ("standard", "low FP", "low FN")),
    ]
    rows: list[list[Any]] = [
        [who, *(found[p][0] for p in BOUNDS), *(found[p][1] for p in BOUNDS)] for who, found in reached.items()
    ]
    rows.append(["  ours, threshold from the other half", *held_out.values(), "", "", ""])
    rows += [[f"  published: {who}", *stated, "", "", ""] for who, stated in PUBLISHED.items()]
    figures.table(title, head, rows)


if __name__ == "__main__":
    found, goals, skipped = measure()
    figures.finish("nab", figures=found, goals=goals, skipped=skipped)
