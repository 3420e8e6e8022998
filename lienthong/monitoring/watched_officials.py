"""What detection holds of one official between records, and when it asks the detectors about them."""

from __future__ import annotations

from collections import deque

from lienthong.monitoring import at_once, calls, evenness, questions, watched_keys, windows
from lienthong.monitoring.detectors import findings, people, places


class WatchedOfficial:
    """One official: how fast, from where, at what hours, about how many persons."""

    __slots__ = (
        "active", "after", "asked", "at_once", "calls", "cases", "day_minute_top", "day_quiet", "day_subjects",
        "even_on", "evenness", "first_at", "hour", "hour_subjects", "hour_tops", "key", "last_day", "lately",
        "minute_tops", "name", "quiet_days", "quiet_hour", "subject_tops",
    )  # fmt: skip

    def __init__(self, name: str, key: str | None, at: float) -> None:
        self.name, self.key, self.first_at = name, key, at
        self.after = windows.Window()
        self.at_once = at_once.AtOnce()
        self.asked = questions.Questions()
        self.evenness = evenness.Evenness()
        self.even_on = 0  # the first day on which questions came as evenly as a machine's
        self.calls = 0
        self.active = 0
        self.last_day = -1
        self.hour = -1
        self.quiet_hour = 0
        self.quiet_days = 0
        self.day_quiet = False
        self.day_minute_top = 0
        self.minute_tops: deque[int] = deque(maxlen=30)
        self.hour_subjects = windows.Distinct()
        self.day_subjects = windows.Distinct()
        self.hour_tops: deque[int] = deque(maxlen=30)
        self.subject_tops: deque[int] = deque(maxlen=30)
        # Of each kind of questions without a real case: how many, and of how many questions.
        self.cases: dict[str, float] = {
            "questions": 0,
            "unheard": 0,
            "opened_after": 0,
            "never_moves": 0,
            "judged": 0,
        }
        self.lately = dict.fromkeys(self.cases, 0.0)  # the same of two or three days

    @property
    def who(self) -> findings.Who:
        """Name them in a finding."""
        return findings.Who(key=self.key, official=self.name)

    def feed(self, call: calls.Call, minute: int, hour: int, *, off: bool, report: watched_keys.Report) -> None:
        """Take one call in this official's name."""
        at = call.at
        if hour > self.hour:
            self.new_hour(hour)
        self.calls += 1
        pane = self.after.tally(minute, call.result)
        count = pane.count - pane.results[calls.FAILED]  # software repeats what failed
        if count > self.day_minute_top:
            self.day_minute_top = count
            if count >= 15:
                usual = max(self.minute_tops, default=0)
                if report(places.too_fast(self.who, at, seen=count, usual=usual)):
                    self.day_minute_top = usual
        elif count >= 15:
            report(places.too_fast(self.who, at, seen=count, usual=max(self.minute_tops, default=0)))
        if call.address is not None and call.address != self.at_once.last:
            self._moved(call, report)
        if off:
            self.day_quiet = True
            self.quiet_hour += 1
            if self.quiet_hour >= 3:
                seen, active, nights = self.quiet_hour, self.active, self.quiet_days
                report(places.off_hours(self.who, at, seen=seen, usual=0, active=active, nights=nights))
        if call.subject is not None:
            self._asked(call, report)

    def _moved(self, call: calls.Call, report: watched_keys.Report) -> None:
        if call.address is None:
            return
        moves = self.at_once
        seen, returns = moves.move(call.address, call.at)
        if seen > 1:
            learned = places.has_learned(self.first_at, call.at, self.calls)
            report(
                places.at_once(
                    self.who,
                    call.at,
                    places=seen,
                    usual=moves.top,
                    returns=returns,
                    learned=learned,
                    is_official=True,
                )
            )

    def _asked(self, call: calls.Call, report: watched_keys.Report) -> None:
        subject = call.subject or ""
        gap_s = self.evenness.add(call.at)
        self.hour_subjects.add(subject)
        self.day_subjects.add(subject)
        if gap_s is not None:
            self.even_on = self.even_on or self.last_day
        if self.active < 5:
            return
        if (
            gap_s is not None and self.even_on == self.last_day
        ):  # whose calls always come so has software like that
            report(people.evenly(self.who, call.at, gap_s=gap_s, questions=evenness.GAPS + 1))
        hour, day = len(self.hour_subjects), len(self.day_subjects)
        usual = max(self.hour_tops, default=0)
        bound = max(18, 1.6 * usual + 5)
        if hour > bound:
            report(people.many_subjects(self.who, call.at, seen=hour, bound=bound, normal=usual, minutes=60))
        usual = max(self.subject_tops, default=0)
        bound = max(40, 1.4 * usual + 10)
        if day > bound:
            report(people.many_subjects(self.who, call.at, seen=day, bound=bound, normal=usual, minutes=1440))

    def guess(self, call: calls.Call, minute: int, usual: people.Usual) -> findings.Finding | None:
        """Ask whether this official guesses numbers; `usual` is what their key's questions are like."""
        unknown, caseless = call.result == calls.UNKNOWN, call.dossier is None
        asked = self.asked.add(minute, unknown=unknown, caseless=caseless)
        return people.hit_rate(self.who, call.at, asked, usual) if unknown or caseless else None

    def note(self, kind: str, times: int = 1) -> None:
        """Note questions, or how many of them have one kind of doubtful case."""
        self.cases[kind] += times
        self.lately[kind] += times

    def new_hour(self, hour: int) -> None:
        """Close what belongs to the hour, and to the day."""
        if len(self.hour_subjects):
            top = max(self.hour_tops, default=0)
            self.hour_tops.append(min(len(self.hour_subjects), int(max(18, 1.6 * top + 5))))
            self.hour_subjects = windows.Distinct()
        self.quiet_hour = 0
        day = hour // 24
        if day != self.last_day and self.last_day >= 0:
            self.active = min(60, self.active + 1)
            self.quiet_days += self.day_quiet
            usual = max(self.minute_tops, default=0)
            self.minute_tops.append(min(self.day_minute_top, max(15, 2 * usual + 4)))
            top = max(self.subject_tops, default=0)
            self.subject_tops.append(min(len(self.day_subjects), int(max(40, 1.4 * top + 10))))
            self.day_subjects = windows.Distinct()
            self.at_once.close_day(cap=None if self.active < 4 else max(1, self.at_once.top) + 1)
            self.day_minute_top, self.day_quiet = 0, False
            for name in self.cases:
                self.cases[name] *= 0.93  # what is older than two weeks hardly counts
                self.lately[name] *= 0.5
        self.hour, self.last_day = hour, day


def usual_share(totals: dict[str, float], kind: str, of: str) -> float:
    """Give the share of questions of all officials that have one kind of doubtful case."""
    return (totals.get(kind, 0.0) + 1.0) / (totals.get(of, 0.0) + 200.0)
