"""The abuse: each kind at three strengths, with the key, the official and the span it belongs to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.abuse import background
from bench.abuse.background import LOOK_UP, PUT, REPORT, VERIFY, Key, Official, Town
from lienthong.monitoring import baselines, calls


@dataclass(frozen=True)
class Case:
    """One labelled piece of abuse. `until` may lie days after `since`."""

    kind: str
    strength: int
    key: str
    since: float
    until: float


# Which rules of ours count as having found a kind.
FOUND_BY = {
    "volume_up": {"volume_up"},
    "volume_down": {"volume_down"},
    "silence": {"silence", "volume_down"},
    "slow_drift": {"slow_drift"},
    "error_burst": {"error_burst"},
    "refusal_burst": {"refusal_burst"},
    "limit_probing": {"limit_probing"},
    "new_network": {"new_network"},
    "key_shared": {"key_shared"},
    "official_fast": {"official_shared"},
    "official_places": {"official_shared"},
    "off_hours": {"off_hours"},
    "new_operation": {"new_operation"},
    "enumeration_fast": {"enumeration"},
    "enumeration_slow": {"enumeration", "off_hours"},
    "curious_many": {"curious_many"},
    "curious_return": {"curious_return"},
    "dossier_reused": {"dossier_reused"},
    "no_case": {"no_case"},
    "dormant_revived": {"dormant_revived"},
    "unusual_order": {"unusual_order"},
    "data_out": {"data_out"},
    "forged_callback": {"forged_callback"},
}
NEW_OPERATIONS = ("procedures.versions", "enterprises.look_up", "parcels.cancel")  # by strength


class Abuse:
    """Puts cases into a town, on working days after the learning time, each on a key of its own for that week."""

    def __init__(self, town: Town, seed: int, *, from_day: int = 21, rounds: int = 1) -> None:
        self.town, self.random = town, np.random.default_rng([seed, 991])
        self.cases: list[Case] = []
        self.calls: dict[int, list[calls.Call]] = {}
        self.calls_by_case: dict[Case, list[calls.Call]] = {}
        self.mutes: list[tuple[str, float, float, float]] = []
        # Of each key the days on which officials of it take part in a curiosity of many.
        self._passed: dict[str, set[int]] = {}
        self._busy: dict[str, list[tuple[int, int]]] = {}
        self._last = town.days - 1
        self._free = [
            number
            for number in range(from_day, town.days - 1)
            if town.calendar.of(town.first + number)[0] == baselines.WORKED
        ]
        for _ in range(rounds):
            for kind in FOUND_BY:
                for strength in (1, 2, 3):
                    self._place(kind, strength)

    def _place(self, kind: str, strength: int) -> None:
        spans = {"slow_drift": 36, "curious_return": 14, "no_case": 8, "curious_many": 5}
        for _ in range(4000):
            key = self.town.keys[int(self.random.integers(len(self.town.keys)))]
            span = spans.get(kind, 2)
            number = int(self.random.choice(self._free)) if span < 20 else self.town.days - span - 1
            if kind == "dormant_revived":
                number = self._late_day()
                first = number - 33
            else:
                first = number
            if self._is_known(kind, strength, key):
                continue
            if self._fits(kind, key, first, number, number + span):
                break
        else:
            return
        self._busy.setdefault(key.name, []).append((first - 2, number + span))
        getattr(self, f"_{kind}")(key, number, strength)

    def _is_known(self, kind: str, strength: int, key: Key) -> bool:
        """Whether an operation that is to be new is not: this key uses it, or a case before made it do so."""
        if kind != "new_operation":
            return False
        used = {case.strength for case in self.cases if (case.kind, case.key) == (kind, key.name)}
        late = key.late_operation is not None and key.late_operation[1] == NEW_OPERATIONS[strength - 1]
        return late or strength in used

    def _late_day(self) -> int:
        late = [number for number in self._free if number >= max(self._free) - 12]
        return int(self.random.choice(late))

    def _fits(self, kind: str, key: Key, first: int, number: int, last: int) -> bool:
        if any(first <= b and last >= a for a, b in self._busy.get(key.name, ())):
            return False
        if key.begins_on + 12 > first or first < 1 or last > self._last + 1 or (key.moves_on or 0) > first - 4:
            return False
        if kind in ("dormant_revived", "silence") and any(
            first <= day <= last for day in self._passed.get(key.name, ())
        ):
            return False  # a key that others' curiosity wakes does not sleep
        if kind == "curious_return" and sum(day in self._free for day in range(number, number + 14)) < 10:
            return False
        if kind in ("official_fast", "official_places", "enumeration_fast", "enumeration_slow", "curious_many",
                    "curious_return", "dossier_reused", "no_case"):  # fmt: skip
            return key.kind == "onestop" and key.a_day > 120
        if kind in ("volume_up", "volume_down", "silence", "data_out"):
            # A third more of next to nothing is nothing: keys with something to do in that hour.
            return key.kind != "batch" and float(self.town.level(key, number)[9]) >= 45
        if kind == "slow_drift":
            return key.kind in ("onestop", "sector") and key.a_day > 150
        if kind == "unusual_order":
            return key.kind in ("onestop", "sector", "payment") and key.a_day > 220
        if kind == "off_hours":
            return key.kind in ("onestop", "sector") and not key.overtime and key.a_day > 100
        if kind in ("new_network", "key_shared"):
            return len(key.addresses) <= 3 and key.kind != "batch" and not key.second_line and key.a_day > 100
        return key.kind != "batch" and key.a_day > 100

    def _is_mute(self, key: Key, first: int, last: int) -> bool:
        """Whether nothing at all is to be heard of a key at some time of these days."""
        begins, ends = self.town.at(first), self.town.at(last + 1)
        return any(
            name == key.name and not keep and since < ends and until > begins
            for name, since, until, keep in self.mutes
        )

    def _add(
        self, kind: str, strength: int, key: Key, made: list[calls.Call], *, key_name: str | None = None
    ) -> None:
        made = [call._replace(at=float(call.at)) for call in made]
        if not made:
            return
        made.sort()
        case = Case(kind, strength, key_name or key.name, made[0].at, made[-1].at)
        self.cases.append(case)
        self.calls_by_case[case] = made
        for call in made:
            number = int((call.at - self.town.zero) // background.DAY_S)
            self.calls.setdefault(number, []).append(call)

    def _moment(self, number: int, low: float = 8.2, high: float = 10.3) -> float:
        return self.town.at(number, 3600 * self.random.uniform(low, high))

    def _times(self, start: float, rate_s: float, hours: float) -> list[float]:
        count = int(self.random.poisson(rate_s * hours * 3600))
        return sorted((start + self.random.random(count) * hours * 3600).tolist())

    def _official(self, key: Key) -> Official:
        return key.officials[int(self.random.integers(len(key.officials)))]

    # How much

    def _volume_up(self, key: Key, number: int, strength: int) -> None:
        start, factor = self._moment(number), (3, 10, 30)[strength - 1]
        made: list[calls.Call] = []
        hour = int((start - self.town.at(number)) // 3600)
        rate = self.town.level(key, number)[hour] / 3600 * (factor - 1)
        steps = [op for row in background._WORK[key.kind] for op in row if not op.startswith("residents")]
        for at in self._times(start, rate, 1.5):
            operation = steps[int(self.random.integers(len(steps)))]
            made.append(self.town.call(key, at, operation))
        self._add("volume_up", strength, key, made)

    def _quiet(self, kind: str, key: Key, number: int, strength: int, *, keep: float, hours: float) -> None:
        start = self.town.at(number, 8 * 3600 + self.random.random() * 1200)
        self.mutes.append((key.name, start, start + hours * 3600, keep))
        self.cases.append(Case(kind, strength, key.name, start, start + hours * 3600))

    def _volume_down(self, key: Key, number: int, strength: int) -> None:
        self._quiet("volume_down", key, number, strength, keep=(0.2, 0.1, 0.05)[strength - 1], hours=8.5)

    def _silence(self, key: Key, number: int, strength: int) -> None:
        self._quiet("silence", key, number, strength, keep=0.0, hours=(2.5, 3.2, 8)[strength - 1])

    def _slow_drift(self, key: Key, number: int, strength: int) -> None:
        made: list[calls.Call] = []
        worked = [day for day in range(number, number + 36) if day in self._free]
        a_piece = background.calls_of(key)
        for turn, day in enumerate(worked):
            extra = (1 + (0.03, 0.05, 0.08)[strength - 1]) ** turn - 1
            for hour, mean in enumerate(self.town.level(key, day)):
                for _ in range(int(self.random.poisson(mean * extra / a_piece))):
                    start = self.town.at(day, hour * 3600 + self.random.random() * 3500)
                    made += self.town.work(key, start, day)
        self._add("slow_drift", strength, key, made)

    def _data_out(self, key: Key, number: int, strength: int) -> None:
        start, size = self._moment(number), (3, 10, 30)[strength - 1]
        mean = self.town.level(key, number).max() / 3600
        made = [
            self.town.call(key, at, "dossiers.timeline" if key.officials else "procedures.list", size=size * 10.0)
            for at in self._times(start, mean * 0.5, 2)
        ]
        self._add("data_out", strength, key, made)

    # Trying out

    def _burst(self, kind: str, key: Key, number: int, strength: int, result: int) -> None:
        start, rate = self._moment(number, 8.2, 16), (6 / 60, 30 / 60, 2.0)[strength - 1]
        made = [
            self.town.call(key, at, str(self.random.choice([PUT, REPORT, "payments.get"])), result=result)
            for at in self._times(start, rate, 0.5)
        ]
        if kind == "refusal_burst":
            made = [call._replace(operation="dossiers.get") for call in made]
        self._add(kind, strength, key, made)

    def _error_burst(self, key: Key, number: int, strength: int) -> None:
        self._burst("error_burst", key, number, strength, calls.WRONG)

    def _refusal_burst(self, key: Key, number: int, strength: int) -> None:
        self._burst("refusal_burst", key, number, strength, calls.REFUSED)

    def _limit_probing(self, key: Key, number: int, strength: int) -> None:
        start, wait = self._moment(number), (400, 200, 70)[strength - 1]
        made: list[calls.Call] = []
        for turn in range(16):
            begins = start + turn * wait
            made += [self.town.call(key, begins + n * 0.2, "dossiers.get") for n in range(30)]
            made += [self.town.call(key, begins + 6 + n, "dossiers.get", result=calls.LIMITED) for n in range(2)]
        self._add("limit_probing", strength, key, made)

    def _forged_callback(self, key: Key, number: int, strength: int) -> None:
        start, rate = self._moment(number), (6, 30, 200)[strength - 1]
        address = f"203.0.{strength}.{len(self.cases) % 250}"
        made = [
            calls.Call(at, None, None, address, None, "callbacks.vnpay.ipn", calls.REFUSED, 3.0, 200, 0,
                       None, None, (), True)
            for at in self._times(start, rate / 3600, 2)
        ]  # fmt: skip
        self._add("forged_callback", strength, key, made, key_name=address)

    # From where, when, what

    def _new_network(self, key: Key, number: int, strength: int) -> None:
        start, count = self._moment(number), (3, 20, 100)[strength - 1]
        steps = background._WORK[key.kind][0]
        made = [
            self.town.call(
                key,
                start + n * 40 + self.random.random(),
                steps[0],
                address=f"198.{50 + strength}.{len(self.cases) % 250}.7",
            )
            for n in range(count)
        ]
        self._add("new_network", strength, key, made)

    def _key_shared(self, key: Key, number: int, strength: int) -> None:
        start, places = self._moment(number), (1, 4, 49)[strength - 1]
        steps = background._WORK[key.kind][-1]
        rate = max(0.05, self.town.level(key, number).max() / 3600) * min(places, 10) ** 0.5
        made = [
            self.town.call(key, at, steps[0], address=f"198.51.{int(self.random.integers(places))}.{number}")
            for at in self._times(start, rate, 1.5)
        ]
        self._add("key_shared", strength, key, made)

    def _off_hours(self, key: Key, number: int, strength: int) -> None:
        start, count = self.town.at(number, 3600 * self.random.uniform(22, 23)), (20, 60, 200)[strength - 1]
        made: list[calls.Call] = []
        for _ in range(count // (4 if key.officials else 2) + 1):
            made += self.town.work(key, start + self.random.random() * 3000, number)
        self._add("off_hours", strength, key, [call for call in made if call.at < start + 3600])

    def _new_operation(self, key: Key, number: int, strength: int) -> None:
        start = self._moment(number)
        name = NEW_OPERATIONS[strength - 1]
        made = [self.town.call(key, start + n * 30, name) for n in range((2, 10, 50)[strength - 1])]
        self._add("new_operation", strength, key, made)

    def _dormant_revived(self, key: Key, number: int, strength: int) -> None:
        self.mutes.append((key.name, self.town.at(number - 33), self.town.at(number, 9 * 3600), 0.0))
        made = [self.town.call(key, self.town.at(number, 9 * 3600 + n * 20), background._WORK[key.kind][0][0])
                for n in range((2, 20, 100)[strength - 1])]  # fmt: skip
        self._add("dormant_revived", strength, key, made)

    def _unusual_order(self, key: Key, number: int, strength: int) -> None:
        start, count = self._moment(number), (40, 80, 200)[strength - 1]
        steps = [op for row in background._WORK[key.kind] for op in row]
        last, rare = steps[-1], steps[0]
        # Work begun again and again and never carried through, in the reverse of its usual order.
        made = [
            self.town.call(key, start + n * 6.0 + self.random.random() * 3, (last, last, last, rare)[n % 4],
                           official=key.officials[0] if key.officials else None,
                           dossier=f"X{number}" if key.officials else None)
            for n in range(count)
        ]  # fmt: skip
        self._add("unusual_order", strength, key, made)

    # Officials and persons

    def _official_fast(self, key: Key, number: int, strength: int) -> None:
        start, rate = self._moment(number), (24, 45, 120)[strength - 1]
        official = self._official(key)
        made: list[calls.Call] = []
        for n, at in enumerate(self._times(start, rate / 60, 0.25)):
            # Someone else's machine at work in the official's name, dossiers in order.
            dossier = f"F{key.name}{number}{n // 2}"
            if n % 2 == 0:
                made.append(self.town.call(key, at - 0.2, PUT, official=official, dossier=dossier))
            subject = self.town.person()
            made.append(self.town.call(key, at, VERIFY, official=official, dossier=dossier, subject=subject))
        self._add("official_fast", strength, key, made)

    def _official_places(self, key: Key, number: int, strength: int) -> None:
        start, official = self._moment(number), self._official(key)
        made: list[calls.Call] = []
        for place in range((1, 2, 4)[strength - 1]):
            for at in self._times(start, 1 / 150, 2.5):
                for call in self.town.work(key, at, number, official=official):
                    made.append(call._replace(address=f"172.16.{place + 3}.{number}"))
        # The official works as usual, too.
        for at in self._times(start, 1 / 150, 2.5):
            made += self.town.work(key, at, number, official=official)
        end = start + 2.5 * 3600
        self._add("official_places", strength, key, [call for call in made if call.at < end])

    def _ask(self, key: Key, at: float, official: Official, unknown: float, dossier: str | None) -> calls.Call:
        subject = self.town.person()
        result = calls.UNKNOWN if self.random.random() < unknown else calls.OK
        return self.town.call(key, at, VERIFY, official=official, dossier=dossier, subject=subject, result=result)

    def _enumeration_fast(self, key: Key, number: int, strength: int) -> None:
        """Numbers one after the other: most are nobody's."""
        start, official = self._moment(number), self._official(key)
        rate = (12, 40, 180)[strength - 1] / 60
        dossier = f"E{number}{key.name}"
        made = [self._ask(key, at, official, 0.5, dossier if strength == 2 else None)
                for at in self._times(start, rate, 0.5)]  # fmt: skip
        self._add("enumeration_fast", strength, key, made)

    def _enumeration_slow(self, key: Key, number: int, strength: int) -> None:
        """Low and slow: some an hour, over a working day, under every limit; each with a dossier's code."""
        start, official = self._moment(number, 7.6, 8.2), self._official(key)
        rate = (10, 20, 60)[strength - 1] / 3600
        made = [self._ask(key, at, official, 0.5, f"E{number}{n}{key.name}")
                for n, at in enumerate(self._times(start, rate, 8))]  # fmt: skip
        self._add("enumeration_slow", strength, key, made)

    def _curious_many(self, key: Key, number: int, strength: int) -> None:
        keys = [
            one
            for one in self.town.keys
            if one.officials and one.begins_on < number - 5 and not self._is_mute(one, number, number + 5)
        ]
        officials = [(one, official) for one in keys for official in one.officials]
        count = (10, 20, 40)[strength - 1]
        chosen = self.random.choice(len(officials), size=min(count, len(officials)), replace=False)
        made: list[calls.Call] = []
        days = [day for day in range(number, number + 5) if day in self._free][:3] or [number]
        for place, index in enumerate(chosen):
            one, official = officials[int(index)]
            self._passed.setdefault(one.name, set()).add(days[place % len(days)])
            at = self._moment(days[place % len(days)], 8, 16)
            dossier = f"C{number}{place}"
            made += [
                self.town.call(one, at - 60, PUT, official=official, dossier=dossier),
                self.town.call(
                    one, at, LOOK_UP, official=official, dossier=dossier, subject=f"famous{number}{strength}"
                ),
                self.town.call(one, at + 900, REPORT, official=official, dossier=dossier),
            ]
        self._add("curious_many", strength, key, made, key_name=f"subject:famous{number}{strength}")

    def _curious_return(self, key: Key, number: int, strength: int) -> None:
        official, made = self._official(key), []
        days = [day for day in range(number, number + 14) if day in self._free][: (7, 8, 10)[strength - 1]]
        for place, day in enumerate(days):
            for turn in range((1, 2, 3)[strength - 1]):
                at, dossier = self._moment(day, 8, 16), f"R{number}{place}{turn}{key.name}"
                made += [
                    self.town.call(key, at - 60, PUT, official=official, dossier=dossier),
                    self.town.call(
                        key, at, LOOK_UP, official=official, dossier=dossier, subject=f"ex{number}{strength}"
                    ),
                    self.town.call(key, at + 900, REPORT, official=official, dossier=dossier),
                ]
        self._add("curious_return", strength, key, made)

    def _dossier_reused(self, key: Key, number: int, strength: int) -> None:
        start, official = self._moment(number), self._official(key)
        dossier = f"M{number}{key.name}"
        made = [self.town.call(key, start - 60, PUT, official=official, dossier=dossier)]
        times = self._times(start, 1 / 120, (12, 25, 60)[strength - 1] / 30)
        made += [self._ask(key, at, official, 0.01, dossier) for at in times]
        self._add("dossier_reused", strength, key, made)

    def _no_case(self, key: Key, number: int, strength: int) -> None:
        """Questions first; the dossier that should justify them is opened hours afterwards."""
        official, made = self._official(key), []
        days = [day for day in range(number, number + 5) if day in self._free][:3]
        for day in days:
            for turn in range((4, 8, 16)[strength - 1]):
                at, dossier = self._moment(day, 8, 12), f"N{day}{turn}{key.name}"
                made += [self._ask(key, at, official, 0.01, dossier)]
                made += [self.town.call(key, at + 10_000, PUT, official=official, dossier=dossier)]
                made += [self.town.call(key, at + 14_000, REPORT, official=official, dossier=dossier)]
        self._add("no_case", strength, key, made)

    def put_into(self, number: int, made: list[calls.Call]) -> list[calls.Call]:
        """Give a day with the abuse in it, in order."""
        mutes: dict[str, list[tuple[float, float, float]]] = {}
        for name, since, until, keep in self.mutes:
            mutes.setdefault(name, []).append((since, until, keep))
        kept = [
            call
            for call in made
            if call.key not in mutes
            or not any(a <= call.at < b and (call.at * 997) % 1 >= keep for a, b, keep in mutes[call.key])
        ]
        kept += self.calls.get(number, [])
        kept.sort(key=lambda call: call.at)
        return kept
