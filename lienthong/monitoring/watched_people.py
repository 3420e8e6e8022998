"""Questions about persons across keys and officials: who asks about whom, behind which dossier. Digests only."""

from __future__ import annotations

from collections.abc import Iterator

from lienthong.monitoring import calls, watched_officials
from lienthong.monitoring.detectors import findings, people

KEPT_DAYS = 14
OPENED_LATE_DAYS = 10
STILL_DAYS = 20
MOST_KEPT = 400_000
# Operations that begin so open a dossier or move one.
WRITES = ("dossiers.put", "dossiers.report")


class Rarity:
    """How often cases reach a number: what the busiest of many cases reach is still usual."""

    def __init__(self, *, least: int, unlearned: int) -> None:
        self._reached: dict[int, int] = {}
        self._least, self._unlearned = least, unlearned

    def reach(self, number: int) -> None:
        """Note that one more case reached a number."""
        self._reached[number] = self._reached.get(number, 0) + 1

    def usual(self) -> int:
        """Give the largest number that is not rare: at least two in a thousand cases reach it."""
        cases = self._reached.get(1, 0)
        if cases < 300:
            return self._unlearned
        number = 1
        while self._reached.get(number + 1, 0) > max(2, cases * 0.001):
            number += 1
        return max(self._least, number)


class _Subject:
    __slots__ = ("day", "officials")

    def __init__(self) -> None:
        self.day = 0
        self.officials: dict[str, list[int]] = {}  # official: last day, times, days


class _Dossier:
    __slots__ = ("asked_by", "day", "moved", "opened", "persons", "reported")

    def __init__(self) -> None:
        self.opened = -1
        self.moved = False
        self.day = 0
        self.persons: set[str] = set()
        self.asked_by: dict[str, int] = {}
        self.reported = False


class People:
    """The questions of the last two weeks."""

    def __init__(self) -> None:
        self._subjects: dict[str, _Subject] = {}
        self._dossiers: dict[str, _Dossier] = {}
        self._officials_of = Rarity(least=3, unlearned=6)
        self._returns = Rarity(least=3, unlearned=5)
        self._persons_of = Rarity(least=5, unlearned=9)
        self.totals: dict[str, float] = {
            "questions": 0,
            "unheard": 0,
            "opened_after": 0,
            "never_moves": 0,
            "judged": 0,
        }
        self.first_day = -1
        self.opened = 0

    def hears_dossiers(self, day: int) -> bool:
        """Whether the record shows dossiers being opened, for long enough to miss one that is not."""
        return self.opened >= 200 and day - self.first_day >= OPENED_LATE_DAYS

    def has_heard(self, code: str) -> bool:
        """Whether a dossier was opened in the record."""
        known = self._dossiers.get(code)
        return known is not None and known.opened >= 0

    def written(
        self, call: calls.Call, day: int, officials: dict[str, watched_officials.WatchedOfficial]
    ) -> Iterator[findings.Finding | None]:
        """Take a call that opens or moves a dossier."""
        dossier = self._dossier(call.dossier or "", day)
        if dossier.opened >= 0:
            dossier.moved = True
            return
        if self.first_day < 0:
            self.first_day = day
        self.opened += 1
        dossier.opened = day
        learned = self.hears_dossiers(day)
        for name, times in dossier.asked_by.items():
            self.totals["opened_after"] += times
            official = officials.get(name)
            if official is not None:
                official.note("opened_after", times)
                if learned:
                    yield self._no_case(official, call.at, "opened_after")

    def asked(
        self, call: calls.Call, day: int, official: watched_officials.WatchedOfficial
    ) -> Iterator[findings.Finding | None]:
        """Take a question about a person."""
        yield from self._of_subject(call, day, official)
        if call.dossier:
            yield from self._of_dossier(call, day, official)

    def _of_subject(
        self, call: calls.Call, day: int, official: watched_officials.WatchedOfficial
    ) -> Iterator[findings.Finding]:
        subject = self._subjects.get(call.subject or "")
        if subject is None:
            if len(self._subjects) >= MOST_KEPT:
                self.close_day(day + KEPT_DAYS // 2)
            subject = self._subjects[call.subject or ""] = _Subject()
        subject.day = day
        asked = subject.officials.get(official.name)
        if asked is None:
            subject.officials[official.name] = [day, 1, 1]
            recent = sum(day - last <= 7 for last, _, _ in subject.officials.values())
            self._officials_of.reach(recent)
            self._returns.reach(1)
            usual = self._officials_of.usual()
            if recent > usual + 1:
                days = max(1, min(7, day - min(last for last, _, _ in subject.officials.values())))
                key = findings.Who(key=official.key, official=None, operation=f"subject:{call.subject}")
                yield people.many_officials(key, call.at, officials=recent, usual=usual, days=days)
            return
        asked[1] += 1
        if asked[0] != day:
            asked[0] = day
            asked[2] += 1
            self._returns.reach(asked[2])
        usual = self._returns.usual()
        if asked[2] > usual + 1 or asked[1] > 8 + 3 * usual:
            yield people.coming_back(official.who, call.at, times=asked[1], on_days=asked[2], usual=usual)

    def _of_dossier(
        self, call: calls.Call, day: int, official: watched_officials.WatchedOfficial
    ) -> Iterator[findings.Finding | None]:
        dossier = self._dossier(call.dossier or "", day)
        self.totals["questions"] += 1
        official.note("questions")
        if dossier.opened < 0:
            dossier.asked_by[official.name] = dossier.asked_by.get(official.name, 0) + 1
            self.totals["unheard"] += 1
            official.note("unheard")
            if self.hears_dossiers(day):
                yield self._no_case(official, call.at, "unheard")
        else:
            dossier.asked_by.setdefault(official.name, 0)
        subject = call.subject or ""
        if subject not in dossier.persons:
            dossier.persons.add(subject)
            number = len(dossier.persons)
            self._persons_of.reach(number)
            usual = self._persons_of.usual()
            if number > usual + 2 and (not dossier.reported or number % 10 == 0):
                dossier.reported = True
                yield people.reused(official.who, call.at, persons=number, usual=usual)

    def _no_case(
        self, official: watched_officials.WatchedOfficial, at: float, kind: str
    ) -> findings.Finding | None:
        of = "judged" if kind == "never_moves" else "questions"
        # Their own questions do not make their own measure.
        others = {name: max(0.0, self.totals[name] - official.cases[name]) for name in self.totals}
        share = watched_officials.usual_share(others, kind, of)
        for counts in (official.cases, official.lately):
            seen, questions = round(counts[kind]), round(counts[of])
            finding = people.no_case(official.who, at, kind=kind, seen=seen, questions=questions, share=share)
            if finding is not None:
                return finding
        return None

    def close_day(
        self, day: int, officials: dict[str, watched_officials.WatchedOfficial] | None = None, at: float = 0.0
    ) -> list[findings.Finding]:
        """Forget what is older than two weeks; asks about dossiers that never moved."""
        found: list[findings.Finding] = []
        for digest in [name for name, subject in self._subjects.items() if day - subject.day > KEPT_DAYS]:
            del self._subjects[digest]
        for code, dossier in list(self._dossiers.items()):
            if dossier.opened >= 0 and day - dossier.opened == STILL_DAYS:
                for name in dossier.asked_by:
                    official = (officials or {}).get(name)
                    self.totals["judged"] += 1
                    self.totals["never_moves"] += not dossier.moved
                    if official is not None:
                        official.note("judged")
                        official.note("never_moves", int(not dossier.moved))
                    if official is not None and not dossier.moved:
                        finding = self._no_case(official, at, "never_moves")
                        found += [finding] if finding is not None and self.hears_dossiers(day) else []
            if day - dossier.day > 3 * KEPT_DAYS:
                del self._dossiers[code]
        return found

    def _dossier(self, code: str, day: int) -> _Dossier:
        dossier = self._dossiers.get(code)
        if dossier is None:
            dossier = self._dossiers[code] = _Dossier()
        dossier.day = day
        return dossier


def is_write(operation: str | None) -> bool:
    """Whether an operation opens a dossier or moves one."""
    return operation is not None and operation.startswith(WRITES)
