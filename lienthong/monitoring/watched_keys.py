"""What detection holds of one key between records, and when it asks the detectors about it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lienthong.monitoring import at_once, baselines, call_order, calls, evenness, questions, windows
from lienthong.monitoring.detectors import findings, people, probing, volume

Report = Callable[[findings.Finding | None], bool]
NEVER = math.inf
HAVE_BOUNDS = frozenset({"volume_up", "data_out"})  # whose own bounds are widened; of others the score counts
_RISE = 1.44  # Poisson CUSUM between the usual rate and twice it: (2 - 1) / ln 2
_LEAST_STRAIN = 36.0


class WatchedKey:
    """One key: its windows, its baseline, and the bounds of the hour."""

    __slots__ = (
        "after", "asked", "asked_today", "at_once", "bad_hours", "before", "bounds", "day_active", "day_requests",
        "day_subjects", "evenness", "hour", "hour_bounds", "kept_calls", "kind", "last_at", "limited",
        "limited_top", "minute", "name", "normal", "order", "quiet", "still", "strain", "strain_bound",
        "subjects", "trip", "trip_bytes", "usual_before", "wrong_top",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.after = windows.Window()
        self.bounds = baselines.Baseline()
        self.at_once = at_once.AtOnce()
        self.kind = ""
        self.kept_calls = 0
        self.last_at = 0.0  # of the call before the one that is looked at
        self.still = (-1, 0, 0)  # of an hour: how few calls it has in quiet times, and the longest usual gap
        self.minute = -1
        self.hour = -1
        self.trip = self.trip_bytes = NEVER
        self.strain = 0.0
        self.strain_bound = NEVER
        self.normal: dict[str, baselines.Normal] = {}
        self.hour_bounds: dict[str, float] = {}
        self.before: dict[str, float] = {}
        self.subjects: dict[int, windows.Distinct] = {}
        self.day_subjects: windows.Distinct = windows.Distinct()
        self.asked = questions.Questions()
        self.asked_today = [0, 0, 0]
        self.evenness = evenness.Evenness()
        self.order = call_order.CallOrder()
        self.limited: deque[int] = deque()
        self.limited_top = 0
        self.wrong_top = 0
        self.day_requests = 0
        self.day_active = 0
        self.usual_before: float | None = None
        self.quiet: tuple[int, list[int]] = -1, []  # of an hour: the most calls of each night at such an hour
        self.bad_hours: set[int] = set()  # outside the office, with more calls than ever

    @property
    def who(self) -> findings.Who:
        """Name it in a finding."""
        return findings.Who(key=self.name)

    def hours_bounds(self, days: baselines.Days, hour: int, peers: dict[str, float] | None) -> None:
        """Work out what this hour of the week may have."""
        day, hour_of_day = divmod(hour, 24)
        group, weekday, _ = days.of(day)
        known = self.bounds
        # An hour back from now reaches into the hour before, where more may be usual.
        self.before = dict(self.hour_bounds) if self.hour == hour - 1 else {}
        self.usual_before = self.normal["requests"].median if self.hour == hour - 1 else None
        self.hour = hour
        for metric, floor, slack in (
            ("requests", 40.0, 0.15),
            ("strain", _LEAST_STRAIN, 0.25),
            ("bytes_out", 1e6, 0.3),
            ("rows", 1000.0, 0.3),
            ("subjects", 15.0, 0.2),
        ):
            normal = known.normal(metric, group, weekday, hour_of_day)
            self.normal[metric] = normal
            if metric == "requests":  # sixty minutes may hold two runs of an hourly timetable
                normal = normal._replace(top=known.normal("peak", group, weekday, hour_of_day).top)
            if normal.days < 3 or len(known.days) < 3:
                pooled = None if peers is None else peers.get(metric)
                bound = NEVER if pooled is None else max(floor, pooled)
            else:
                rule = "data_out" if metric in ("bytes_out", "rows") else "volume_up"
                wide = known.factors.get("enumeration" if metric == "subjects" else rule, 1.0)
                headroom = {"requests": 0.92, "strain": 1.5}.get(metric, 1.6)
                sigmas = 3.5 if metric == "requests" else 5.0
                upper = baselines.upper(normal, floor=floor, slack=slack, headroom=headroom, sigmas=sigmas)
                bound = wide * upper
            self.hour_bounds[metric] = bound

    def new_minute(self, minute: int) -> None:
        """Work out how many calls of this minute are too many: one comparison a record is then enough."""
        rate, last = self.normal["requests"].median / 60, self.after.last
        sent_before, _, gone = self.after.out(minute - 1, 59)
        if last.minute == self.minute and (last.minute + 420) // 60 == self.hour:
            self.strain = max(0.0, self.strain + last.count - _RISE * rate * (minute - last.minute))
        else:
            self.strain = 0.0  # each hour has its own rate, and begins anew
        self.minute = minute
        strain_bound = self.hour_bounds["strain"] if rate * 60 >= 6 else NEVER
        self.strain_bound = strain_bound
        left = min(self.bound("requests") - gone, strain_bound - self.strain)
        self.trip = max(1.0, left) if left < NEVER else NEVER
        sent = self.bound("bytes_out")
        self.trip_bytes = max(1.0, sent - sent_before) if sent < NEVER else NEVER

    def lately(self, minute: int) -> tuple[float, float]:
        """Give the requests of the last hour, at most three times the usual ones, and those."""
        normal = self.normal.get("requests")
        if normal is None or normal.days < 3:
            return 0.0, 0.0
        part, before = (minute + 420) % 60 / 60, self.usual_before
        usual = normal.median if before is None else part * normal.median + (1 - part) * before
        return min(float(self.after.requests(minute, 60)), 3 * usual), usual

    def bound(self, metric: str) -> float:
        """Give the bound of the sixty minutes that end now: while they lie in two hours, a part of each."""
        bound, before = self.hour_bounds[metric], self.before.get(metric, 0.0)
        if before <= bound or before == NEVER:
            return bound
        part = (self.minute + 420) % 60 / 60
        return part * bound + (1 - part) * before

    def too_many(self, at: float, *, hub: float) -> findings.Finding | None:
        """Ask about volume; `hub` is by how much the rest of the hub is busier than usual."""
        minute, normal = self.minute, self.normal["requests"]
        requests = self.after.requests(minute, 60)
        strain = self.strain + self.after.last.count
        return volume.up(
            self.who,
            at,
            volume.Volume(requests, 60, self.bound("requests") * hub, normal.median),
            volume.Volume(strain, 5, self.strain_bound * hub, 0.0),
        )

    def too_much(self, at: float, *, hub: float) -> findings.Finding | None:
        """Ask about data going out."""
        sent, rows, _ = self.after.out(self.minute, 60)
        return volume.data_out(
            self.who,
            at,
            volume.Volume(sent, 60, self.bound("bytes_out") * hub, self.normal["bytes_out"].median),
            volume.Volume(rows, 60, self.bound("rows") * hub, self.normal["rows"].median),
        )

    def not_ok(self, call: calls.Call, minute: int) -> findings.Finding | None:
        """Ask about a call that did not go well."""
        result, at, known = call.result, call.at, self.bounds
        if result == calls.LIMITED:
            if not self.limited or self.limited[-1] < minute:
                self.limited.append(minute)
            while self.limited[0] <= minute - 60:
                self.limited.popleft()
            count = self.after.ended(minute, 60)[calls.LIMITED] if len(self.limited) >= 4 else 0
            return probing.limit(self.who, at, minutes=len(self.limited), top=self.limited_top, limited=count)
        if result == calls.REFUSED and self.after.last.results[calls.REFUSED] >= 2:
            seen = self.after.ended(minute, 5)
            return probing.refused(
                self.who, at, seen=seen[calls.REFUSED], requests=sum(seen), share=self.share("refused")
            )
        if result == calls.WRONG and self.after.last.results[calls.WRONG] >= 2:
            seen = self.after.ended(minute, 5)
            return probing.wrong(
                self.who,
                at,
                seen=seen[calls.WRONG],
                requests=sum(seen),
                share=max(0.01, known.rate("wrong")),
                top=self.wrong_top,
            )
        return None

    def share(self, metric: str) -> float:
        """Give the usual share of calls that end so."""
        return max(0.003, self.bounds.rate("wrong") / 4) if metric == "refused" else self.bounds.rate(metric)

    def ask(self, minute: int, *, unknown: bool, caseless: bool) -> people.Asked:
        """Note a question about a person; gives the questions of the last hour."""
        today = self.asked_today
        today[0] += 1
        today[1] += unknown
        today[2] += caseless
        return self.asked.add(minute, unknown=unknown, caseless=caseless)

    def nights(self, hour: int) -> list[int]:
        """Give the most calls of each night of five weeks with some about this hour, the largest first."""
        if self.quiet[0] != hour:
            tops: dict[int, int] = {}
            for one, requests in self.bounds.quiet_hours:
                is_near = one > hour - 24 * 35 and abs((one - hour + 12) % 24 - 12) <= 2
                if requests and is_near and one // 24 != hour // 24:
                    tops[one // 24] = max(requests, tops.get(one // 24, 0))
            self.quiet = hour, sorted(tops.values(), reverse=True)
        return self.quiet[1]

    def quiet_times(self, hour: int, cell: Sequence[baselines.Sample]) -> tuple[int, int]:
        """Give how few calls an hour like this has in quiet times, and the longest gap that is usual."""
        if self.still[0] != hour:
            low = sorted(sample.values[0] for sample in cell)[len(cell) // 8]
            gaps = sorted(sample.gap for sample in cell)
            # One bad hour, of many two or three, do not make gaps usual.
            self.still = hour, low, gaps[-1 - max(1, len(gaps) // 10)]
        return self.still[1], self.still[2]

    def learn_closed(self, alert: Mapping[str, Any]) -> None:
        """Learn from a closed alert: the time of an incident is left out, what is normal widens the bound."""
        if alert["closed_as"] == "incident":
            hours = [int(alert[name].timestamp()) // 3600 + 7 for name in ("since", "last_seen_at")]
            self.bounds.leave_out(hours[0], hours[1])
        else:
            self.bounds.widen(alert["rule"], _enough(alert["rule"], alert["score"]))
        self.hour = -1  # the bounds of this hour are worked out again

    def is_normal(self, finding: findings.Finding) -> bool:
        """Whether an officer said that so much of this is normal."""
        rule = finding.rule
        return rule not in HAVE_BOUNDS and finding.score < 1 - 1 / self.bounds.factors.get(rule, 1.0)

    def changed(self) -> bool:
        """Whether it was heard of since this was last asked, or is the hub as a whole."""
        heard, self.kept_calls = self.bounds.calls != self.kept_calls or not self.name, self.bounds.calls
        return heard

    def kept(self) -> dict[str, Any]:
        """Give what must outlast a restart, as plain values."""
        state = {name: getattr(self, name) for name in _KEPT}
        order = [self.order.steps, self.order.mean]
        return {**self.bounds.to_json(), "state": state, "places": list(self.at_once.tops), "order": order}

    def restore(self, body: dict[str, Any]) -> None:
        """Take up what was kept."""
        self.bounds = baselines.from_json(body)
        for name, value in body.get("state", {}).items():
            if name in _KEPT:
                setattr(self, name, value)
        self.order.steps, self.order.mean = body.get("order", (0, 1.0))
        self.at_once.tops.extend(body.get("places", ()))
        self.at_once.top = max(self.at_once.tops, default=0)
        self.kept_calls = self.bounds.calls

    def close_hour(self, days: baselines.Days, hour: int) -> baselines.Sample | None:
        """Learn an hour that is over; what was out of bounds only up to its bound."""
        day, hour_of_day = divmod(hour, 24)
        group, weekday, _ = days.of(day)
        begins = hour * 60 - 420
        is_bad = hour in self.bad_hours
        if self.bad_hours:
            self.bad_hours = {one for one in self.bad_hours if one > hour}
        subjects = self.subjects.pop(hour, None)
        panes: list[windows.Pane] = []
        peak = 0
        if self.after.last.minute >= begins:
            panes = [pane for pane in self.after.panes if begins <= pane.minute < begins + 60]
            peak = _peak(self.after.panes, begins)
        sample = _sample(hour, weekday, panes, begins, self.bounds.samples(group, hour_of_day), subjects, peak)
        if panes:
            self.day_active += 1
            self.day_requests += sample.values[0]
            self.limited_top = max(self.limited_top, min(sum(p.results[calls.LIMITED] > 0 for p in panes), 3))
            self.wrong_top = max(
                round(self.wrong_top * 0.999), min(_most(panes, calls.WRONG), int(1.3 * self.wrong_top) + 5)
            )
            if not days.is_office_hour(day, hour_of_day):
                requests = sample.values[0]
                self.bounds.quiet_hours.append((hour, min(requests, _BAD_HOUR) if is_bad else requests))
        # An hour is closed some minutes into the next one, whose bounds may be in force already.
        bounds = self.hour_bounds if self.hour == hour else self.before if self.hour == hour + 1 else {}
        tops = {metric: normal.top for metric, normal in self.normal.items() if normal.days >= 4}
        self.bounds.learn(group, hour_of_day, _clipped(sample, bounds, tops))
        return sample


def _enough(rule: str, score: float) -> float:
    """Say by how much a bound is widened so that what was seen fits; a score is seen : seen + bound."""
    ratio = score / max(1 - score, 0.05)
    return max(1.5, 1.1 * ratio if rule in HAVE_BOUNDS else 1.05 * (1 + ratio))


_KEPT = ("kind", "limited_top", "wrong_top")
_BAD_HOUR = 6  # so many calls are learned of an hour of the night that was told
_EMPTY = (0, 0, 0, 0, 0, 0, 0, 0)


def _peak(panes: Iterable[windows.Pane], begins: int) -> int:
    """Give the most calls of any sixty minutes that end within an hour."""
    inside: deque[windows.Pane] = deque()
    total = most = 0
    for pane in panes:
        if pane.minute >= begins + 60:
            break
        inside.append(pane)
        total += pane.count
        while inside[0].minute <= pane.minute - 60:
            total -= inside.popleft().count
        if pane.minute >= begins:
            most = max(most, total)
    return most


def _clipped(sample: baselines.Sample, bounds: dict[str, float], tops: dict[str, float]) -> baselines.Sample:
    """Take what was out of bounds for little more than there ever was: a bad hour must not measure the next."""
    values = list(sample.values)
    for place, metric in enumerate(baselines.METRICS[:5]):
        bound = bounds.get(metric, NEVER)
        if values[place] > bound:
            values[place] = int(min(0.8 * bound, 1.15 * tops.get(metric, bound)))
    if values[7] > bounds.get("requests", NEVER):
        values[7] = int(min(0.8 * bounds["requests"], 1.15 * tops.get("requests", NEVER)))
    for place in (5, 6):
        values[place] = min(values[place], 5 + values[0] // 10)
    return sample._replace(values=tuple(values))


def _most(panes: list[windows.Pane], result: int) -> int:
    """Give the most of one result within five minutes."""
    return max(sum(p.results[result] for p in panes if 0 <= pane.minute - p.minute < 5) for pane in panes)


def _sample(
    hour: int,
    weekday: int,
    panes: list[windows.Pane],
    begins: int,
    cell: Sequence[baselines.Sample],
    subjects: windows.Distinct | None,
    peak: int,
) -> baselines.Sample:
    if not panes:
        return baselines.Sample(hour, weekday, _EMPTY, 60)
    ranked = sorted(sample.values[0] for sample in cell) or [sum(pane.count for pane in panes)]
    rate = _RISE * ranked[len(ranked) // 2] / 60
    strain = most = 0.0
    last, gap = begins - 1, 0
    for pane in panes:
        gap = max(gap, pane.minute - last - 1)
        strain = max(0.0, strain - rate * (pane.minute - last)) + pane.count
        most, last = max(most, strain), pane.minute
    values = (
        sum(pane.count for pane in panes),
        math.ceil(most),
        sum(pane.bytes_out for pane in panes),
        sum(pane.rows for pane in panes),
        0 if subjects is None else len(subjects),
        sum(pane.results[calls.WRONG] + pane.results[calls.REFUSED] for pane in panes),
        sum(pane.results[calls.UNKNOWN] for pane in panes),
        peak,
    )
    return baselines.Sample(hour, weekday, values, max(gap, begins + 59 - last))
