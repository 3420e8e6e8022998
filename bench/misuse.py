"""(b) abuse of API keys in a made-up province, (c) real attack logs under invented keys, (d) records a second.

A case counts as found where a rule meant for its kind opens an alert about its key (official, address, person)
between its first record and a grace after its last. Every alert that belongs to no case is false. Time to alert
is counted from the very first record of the case, not from the first that could suffice.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import figures
import nab

from bench.abuse import background, kinds, logs, peers
from lienthong.monitoring import calls, detection
from lienthong.monitoring.detectors import findings

SEED = 2026
_DAY_S = 86_400.0
# What is judged when a day is over, or after two whole hours, may come that much after the last record.
_GRACE_S = {"slow_drift": 2 * _DAY_S, "volume_down": 2.5 * 3600, "silence": 2.5 * 3600}
_AFTER_S = 4 * 3600.0
# What lies in days by its nature says little about minutes: these are listed, and left out of the median.
OF_DAYS = {"slow_drift", "curious_many", "curious_return", "no_case", "volume_down", "silence"}
SOON = ("enumeration_fast", "key_shared")


@dataclass
class Run:
    """One town with its abuse, fed through detection."""

    town: background.Town
    abuse: kinds.Abuse
    found: list[findings.Finding] = field(default_factory=list)
    records: int = 0
    feed_s: float = 0.0
    hours: peers.Hours | None = None
    learning_days: int = 0

    @property
    def key_days(self) -> float:
        """How many days of a key were watched."""
        return float(len(self.town.keys) * self.town.days)


def go(seed: int, *, keys: int, days: int, learning: int, rounds: int, with_peers: bool) -> Run:
    """Make a town, put abuse into it, and watch it day by day."""
    town = background.Town(seed, keys=keys, days=days)
    run = Run(town, kinds.Abuse(town, seed, from_day=learning, rounds=rounds), learning_days=learning)
    run.hours = peers.Hours(town) if with_peers else None
    watching = detection.Detection(lambda finding, opens: run.found.append(finding) if opens else None)
    rest: list[calls.Call] = []
    for number, made in town.by_day():
        whole, ends = run.abuse.put_into(number, [*rest, *made]), town.at(number + 1)
        rest = [call for call in whole if call.at >= ends]
        today = [call for call in whole if call.at < ends]
        begun = time.process_time()
        for call in today:
            watching.feed(call)
        run.feed_s += time.process_time() - begun
        run.records += len(today)
        if run.hours is not None:
            run.hours.add(today)
    return run


def found_after_s(run: Run, case: kinds.Case) -> float | None:
    """Give how long after its first record a case was found; None where it was not."""
    until = case.until + _GRACE_S.get(case.kind, 600.0)
    times = [
        finding.found_at - case.since
        for finding in run.found
        if finding.rule in kinds.FOUND_BY[case.kind]
        and case.since - 1 <= finding.found_at <= until
        and case.key in (finding.who.key, finding.who.address, finding.who.operation)
    ]
    return min(times, default=None)


def false_alerts(run: Run) -> list[findings.Finding]:
    """List the alerts that belong to no case."""
    return [finding for finding in run.found if not _belongs(run, finding)]


def _belongs(run: Run, finding: findings.Finding) -> bool:
    named, at = {finding.who.key, finding.who.address, finding.who.operation}, finding.found_at
    if finding.rule in ("silence", "volume_down") and any(
        name in named and since <= at <= until + _AFTER_S for name, since, until, _ in run.abuse.mutes
    ):
        return True
    late = 21 * _DAY_S if finding.rule == "no_case" else _DAY_S * (finding.rule == "slow_drift")
    return any(
        case.key in named and case.since - 60 <= at <= case.until + _AFTER_S + late for case in run.abuse.cases
    ) or any(name in named and since - 60 <= at <= until + _AFTER_S for name, since, until in run.abuse.also)


def measure(quick: bool) -> nab.Part:
    """Run parts (b), (c) and (d)."""
    size = {"keys": 40, "days": 31, "learning": 18, "rounds": 1} if quick else {}
    size = size or {"keys": 200, "days": 60, "learning": 21, "rounds": 4}
    run = go(SEED, with_peers=not quick, **size)
    took = {case: found_after_s(run, case) for case in run.abuse.cases}
    _print_kinds(took)
    recalls, medians = _recalls(took), _medians(took)
    false = false_alerts(run)
    share = 100 * len(false) / run.key_days
    print(f"\n{run.records} records, {run.key_days:.0f} key-days, {len(run.abuse.cases)} cases, seed {SEED}")
    print(f"false alerts: {len(false)}, {share:.2f} in 100 key-days: {dict(Counter(f.rule for f in false))}")
    lowest = min(recalls.values())
    quick_ones = [s for case, s in took.items() if s is not None and case.kind not in OF_DAYS]
    result = {
        "least_recall_of_a_kind": lowest,
        "least_recall": statistics.fmean(s is not None for s in took.values()),
        "false_alerts_in_100_key_days": share,
        "median_s_to_alert": statistics.median(quick_ones),
        "median_s_to_alert_all_kinds": statistics.median(s for s in took.values() if s is not None),
        **{f"median_s_{kind}": medians[kind] for kind in SOON},
        "least_records_a_second": _speed(run),
    }
    print(f"windows and detectors: {result['least_records_a_second']:.0f} records a second of one core")
    print("found among all kinds within", f"{result['median_s_to_alert_all_kinds']:.0f} s (median)")
    skipped: dict[str, str] = {}
    if run.hours is not None:
        compared, skipped = peers.compare(run.hours, run.abuse.cases, learning_days=run.learning_days)
        ours = dict(recalls)
        peers.show(ours, compared)
        result |= {f"recall_{name}": statistics.fmean(found.values()) for name, found in compared.items()}
    else:
        skipped["peers"] = "only in the full run: they are installed first"
    skipped |= logs.show(SEED)
    goals = {
        "least_recall_of_a_kind": 0.95,
        "false_alerts_in_100_key_days": 1.0,
        "median_s_to_alert": 300.0,
        **{f"median_s_{kind}": 60.0 for kind in SOON},
        "least_records_a_second": 20_000.0,
    }
    return nab.Part(result, goals, skipped)


def _speed(run: Run) -> float:
    """Records a second of processor time: others may share this machine."""
    return run.records / run.feed_s


def _by_kind(took: dict[kinds.Case, float | None]) -> dict[str, list[tuple[int, float | None]]]:
    found: dict[str, list[tuple[int, float | None]]] = {}
    for case, seconds in took.items():
        found.setdefault(case.kind, []).append((case.strength, seconds))
    return found


def _recalls(took: dict[kinds.Case, float | None]) -> dict[str, float]:
    return {
        kind: statistics.fmean(seconds is not None for _, seconds in cases)
        for kind, cases in _by_kind(took).items()
    }


def _medians(took: dict[kinds.Case, float | None]) -> dict[str, float]:
    return {
        kind: statistics.median([seconds for _, seconds in cases if seconds is not None] or [float("inf")])
        for kind, cases in _by_kind(took).items()
    }


def _print_kinds(took: dict[kinds.Case, float | None]) -> None:
    rows: list[Sequence[object]] = []
    medians = _medians(took)
    for kind, cases in _by_kind(took).items():
        parts = [_part(seconds for strength, seconds in cases if strength == wanted) for wanted in (1, 2, 3)]
        rows.append([kind, *parts, _part(seconds for _, seconds in cases), _duration(medians[kind])])
    head = ["kind of abuse", "weak", "middling", "strong", "all", "median time to alert"]
    figures.table("Abuse of keys, found of all", head, rows)


def _part(times: Iterable[float | None]) -> str:
    known = list(times)
    return f"{sum(one is not None for one in known)}/{len(known)}"


def _duration(seconds: float) -> str:
    if seconds < 600:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 36_000 else f"{seconds / _DAY_S:.1f} d"
