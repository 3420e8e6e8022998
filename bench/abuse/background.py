"""The background: a province's keys over weeks, with office hours, holidays, month ends, outages, retries.

Shapes taken from real logs (../shared/data/access-logs): the hours of the portal from a web site's three days,
bursts (variance of a minute's count over its mean) from an hour of a public API, steady polling from a compute
API. Everything else is stated here. One seed gives one town, the same on every machine.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime

import numpy as np

from lienthong.core import clock
from lienthong.monitoring import baselines, calls

START = date(2026, 1, 5)  # a Monday; Tết falls into the seventh week
DAY_S = 86_400
_OFFICE = [
    0,
    0,
    0,
    0,
    0,
    0,
    0.02,
    0.55,
    1.3,
    1.5,
    1.35,
    0.75,
    0.12,
    0.5,
    1.25,
    1.35,
    1.15,
    0.45,
    0.06,
    0.02,
    0,
    0,
    0,
    0,
]
_WEB = [0.75, 0.78, 0.81, 0.73, 0.78, 0.8, 0.81, 0.76, 0.75, 0.77, 1.06, 1.12, 1.13, 1.17, 1.22, 1.2, 1.15, 1.18,
        1.2, 1.2, 1.18, 1.19, 1.12, 1.15]  # fmt: skip
_PAY = [0.1, 0.05, 0.02, 0.02, 0.03, 0.1, 0.3, 0.8, 1.4, 1.7, 1.6, 1.2, 0.9, 1.1, 1.5, 1.6, 1.5, 1.2, 1.0, 1.1,
        1.0, 0.8, 0.5, 0.25]  # fmt: skip
LOOK_UP, VERIFY, PUT, REPORT = "residents.look_up", "residents.verify", "dossiers.put", "dossiers.report_status"
# Which operation follows which, by kind of software; the first row is where a piece of work begins.
_WORK = {
    "onestop": [
        [VERIFY],
        [PUT, VERIFY],
        [PUT, LOOK_UP, REPORT],
        [REPORT],
        [REPORT, "dossiers.timeline"],
        [LOOK_UP],
    ],
    "sector": [["dossiers.get", REPORT], [REPORT], ["dossiers.timeline", REPORT, "messages.get"]],
    "batch": [["procedures.list"], ["procedures.get"], ["procedures.get"], ["procedures.get"]],
    "payment": [["payments.start", "payments.get"], ["payments.get", "payments.receipt"]],
    "portal": [["enquiries.get"], ["procedures.list", "procedures.get"]],
}
# A later step of a piece of work is taken that often, and a dossier is reported on in the end.
_STEP, _REPORTED = 0.55, 0.97
_SIZES = {LOOK_UP: (900, 1), VERIFY: (220, 1), "procedures.list": (24_000, 100), "procedures.get": (9_000, 1),
          "dossiers.timeline": (3_000, 8)}  # fmt: skip
_STATUS_MISTAKES = (400, 409, 422)


@dataclass
class Official:
    """One official: from which address, how busy."""

    name: str
    address: str
    weight: float


@dataclass
class Key:
    """One key of the town and its habits."""

    name: str
    kind: str
    a_day: float  # calls on a usual working day
    addresses: list[str]
    officials: list[Official] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)  # of the officials' work, added up
    wrong: float = 0.01
    unknown: float = 0.015
    moves_on: int | None = None
    begins_on: int = 0
    retries: bool = False
    second_line: bool = False
    overtime: float = 0.0
    late_operation: tuple[int, str] | None = None


def calls_of(key: Key) -> float:
    """Give how many calls a piece of this key's work takes, on average."""
    return 1 + _STEP * (len(_WORK[key.kind]) - 1) + (1 + _REPORTED) * bool(key.officials)


def day_number(day: date) -> int:
    """Count days since 1970."""
    return (day - date(1970, 1, 1)).days


class Town:
    """Keys and their calls, day by day."""

    def __init__(self, seed: int, *, keys: int = 200, days: int = 60) -> None:
        self.random = np.random.default_rng([seed, 77])
        self.dice = random.Random(seed * 1000 + 77)  # for single draws, of which a town needs millions
        self.zero = datetime.combine(START, datetime.min.time(), tzinfo=clock.VIETNAM).timestamp()
        self.days, self.calendar = days, baselines.Days()
        self.first = day_number(START)
        self.outages = self._outages()
        self.keys = [self._key(number, keys) for number in range(keys)]
        self.persons = 400_000
        self._dossiers = 0

    def _outages(self) -> list[tuple[float, float]]:
        chosen = self.random.uniform(0, self.days, size=max(1, self.days // 12))
        return [(start * DAY_S, start * DAY_S + self.random.uniform(600, 7200)) for start in sorted(chosen)]

    def _key(self, number: int, keys: int) -> Key:
        draw = self.random
        share = number / keys
        kind = (
            "onestop" if share < 0.35 else "sector" if share < 0.65 else "batch" if share < 0.8
            else "payment" if share < 0.9 else "portal"
        )  # fmt: skip
        usual = {"onestop": 260, "sector": 160, "batch": 220, "payment": 200, "portal": 500}[kind]
        a_day = min(2500.0, usual * math.exp(draw.normal(0, 0.7)))
        base = f"10.{20 + number // 200}.{number % 250}"
        key = Key(
            f"key-{number:03d}", kind, a_day, [f"{base}.{10 + n}" for n in range(draw.choice([1, 1, 1, 2, 3]))]
        )
        if kind == "onestop":
            many = draw.random() < 0.15  # one key for the desks of many communes: each official's own address
            count = int(draw.integers(3, 12) if not many else draw.integers(10, 25))
            sites = [f"10.{60 + number % 100}.{n}.5" for n in range(count)] if many else [key.addresses[0]] * count
            weights = draw.dirichlet(np.full(count, 2.0))
            key.officials = [Official(f"CB{number:03d}{n:02d}", sites[n], weights[n]) for n in range(count)]
            key.shares = [*itertools.accumulate(weights.tolist())]
            key.addresses = sorted(set(sites))
        key.wrong = float(draw.choice([0.003, 0.01, 0.02, 0.04]))
        key.retries = bool(draw.random() < 0.3)
        key.second_line = bool(draw.random() < 0.1) and len(key.addresses) < 3
        key.overtime = float(draw.choice([0, 0, 0.0, 0.15]))
        if draw.random() < 0.04:
            key.moves_on = int(draw.integers(15, self.days)) if self.days > 16 else None
        if draw.random() < 0.06:
            key.begins_on = int(draw.integers(3, max(4, self.days - 10)))
        if draw.random() < 0.05:
            key.late_operation = (int(draw.integers(12, max(13, self.days))), "procedures.versions")
        return key

    def by_day(self) -> Iterator[tuple[int, list[calls.Call]]]:
        """Give the calls of each day (seconds since 1970), not yet in order."""
        for number in range(self.days):
            made: list[calls.Call] = []
            for key in self.keys:
                if number >= key.begins_on:
                    made += self._day_of(key, number)
            yield number, made

    def at(self, number: int, second: float = 0.0) -> float:
        """Give a moment of a day of the town."""
        return self.zero + number * DAY_S + float(second)

    def level(self, key: Key, number: int) -> np.ndarray:
        """Give how many calls a key makes in each hour of a day, on average."""
        group, _, ends = self.calendar.of(self.first + number)
        shape = np.array(_WEB if key.kind == "portal" else _PAY if key.kind == "payment" else _OFFICE)
        factor = 1.0
        if key.kind in ("onestop", "sector"):
            factor = {baselines.WORKED: 1.0, baselines.SATURDAY: 0.0, baselines.SUNDAY: 0.0}[group]
            if group == baselines.SATURDAY and key.kind == "onestop" and key.a_day > 400:
                factor = 0.25
            shape = shape.copy()
        elif key.kind != "batch" and group != baselines.WORKED:
            factor = 0.6
        if ends and key.kind != "batch":
            factor *= 1.4
        if key.kind == "batch":
            shape = np.zeros(24)
            runs = {0: [1], 1: [1, 13], 2: range(24)}[hash_of(key.name) % 3]
            for hour in runs:
                shape[hour] = 24 / len(runs)
        return shape / 24 * key.a_day * factor

    def _day_of(self, key: Key, number: int) -> list[calls.Call]:
        draw = self.random
        mood = math.exp(draw.normal(0, 0.12))
        level = self.level(key, number) * mood
        if key.overtime and draw.random() < key.overtime and level.sum():
            level = level.copy()
            level[18] += 0.03 * key.a_day
            level[19] += 0.02 * key.a_day
        made: list[calls.Call] = []
        if key.kind == "batch":
            for place in np.nonzero(level)[0]:
                made += self._batch(key, number, int(place), int(draw.poisson(level[place])))
        else:
            for hour, mean in enumerate(level):
                if mean > 0:
                    made += self._hour(key, number, hour, mean)
        return self._with_outages(key, made, number)

    def _hour(self, key: Key, number: int, hour: int, mean: float) -> list[calls.Call]:
        """Pieces of work come in bursts: each five minutes has a mood of its own."""
        draw = self.random
        moods = draw.gamma(4.0, 0.25, size=12)
        pieces = draw.poisson(moods * mean / 12 / calls_of(key))
        made: list[calls.Call] = []
        for slot in np.nonzero(pieces)[0]:
            for _ in range(pieces[slot]):
                start = self.at(number, hour * 3600 + int(slot) * 300 + self.dice.random() * 300)
                made += self.work(key, start, number)
        return made

    def _batch(self, key: Key, number: int, hour: int, count: int) -> list[calls.Call]:
        begins = self.at(number, hour * 3600 + 120 + self.random.exponential(60))
        gaps = self.random.exponential(0.9, size=count)
        times = begins + np.cumsum(gaps)
        return [
            self.call(key, at, "procedures.list" if place % 12 == 0 else "procedures.get")
            for place, at in enumerate(times.tolist())
        ]

    def work(self, key: Key, at: float, number: int, *, official: Official | None = None) -> list[calls.Call]:
        """One piece of work, as this software does it: a dossier is opened, people looked up, work reported."""
        dice = self.dice
        made: list[calls.Call] = []
        dossier = subject = None
        if key.kind in ("onestop", "sector"):
            self._dossiers += 1
            dossier = f"D{self._dossiers:07d}"
        if key.officials:
            if official is None:
                official = dice.choices(key.officials, cum_weights=key.shares)[0]
            made.append(self.call(key, at, PUT, official=official, dossier=dossier))
        subject = self.person()
        for place, choices in enumerate(_WORK[key.kind]):
            if place and dice.random() >= _STEP:
                continue
            operation = choices[int(dice.random() * len(choices))]
            at += dice.expovariate(1 / 25 if official else 1 / 4) + 1.5
            if operation in (VERIFY, LOOK_UP) and dice.random() < 0.25:
                subject = self.person()  # another person of the same dossier
            is_personal = operation in (VERIFY, LOOK_UP)
            made.append(
                self.call(
                    key,
                    at,
                    operation,
                    official=official if is_personal or official is not None else None,
                    dossier=dossier if dice.random() > 0.01 else None,
                    subject=subject if is_personal else None,
                )
            )
        if dossier and key.officials and dice.random() < _REPORTED:
            made.append(
                self.call(key, at + dice.expovariate(1 / 4000), REPORT, official=official, dossier=dossier)
            )
        if key.late_operation and number >= key.late_operation[0] and dice.random() < 0.1:
            made.append(self.call(key, at + 1, key.late_operation[1]))
        return made

    def person(self) -> str:
        """Give the digest of one of the town's citizens."""
        return f"s{int(self.dice.random() * self.persons):x}"

    def call(
        self,
        key: Key,
        at: float,
        operation: str,
        *,
        official: Official | None = None,
        dossier: str | None = None,
        subject: str | None = None,
        address: str | None = None,
        result: int | None = None,
        size: float = 1.0,
    ) -> calls.Call:
        """Make one call as this key makes it."""
        dice = self.dice
        chance = dice.random()
        if result is None:
            result = calls.OK
            if subject is not None and chance < key.unknown:
                result = calls.UNKNOWN
            elif chance < key.wrong:
                result = calls.WRONG
        if address is None:
            address = self._address(key, at, official)
        wide, rows = _SIZES.get(operation, (600, 1))
        out = int(wide * (0.5 + dice.random()) * size) if result == calls.OK else 300
        return calls.Call(
            at,
            key.name,
            official.name if official else None,
            address,
            None,
            operation,
            result,
            15.0 + 60.0 * chance,
            out,
            int(rows * size) if result == calls.OK else 0,
            subject,
            dossier,
        )

    def _address(self, key: Key, at: float, official: Official | None) -> str:
        number = int((at - self.zero) // DAY_S)
        if key.second_line and number % 9 == 5 and int(at // 3600) % 5 == 0:
            return "10.250." + key.addresses[0].split(".", 2)[2]
        if official is not None and official.address not in key.addresses[:1]:
            return official.address
        if key.moves_on is not None and number >= key.moves_on:
            return "10.251." + key.addresses[0].split(".", 2)[2]
        return key.addresses[int(at) // 7 % len(key.addresses)] if len(key.addresses) <= 3 else key.addresses[0]

    def _with_outages(self, key: Key, made: list[calls.Call], number: int) -> list[calls.Call]:
        """During an outage upstream calls fail; some software repeats them, and its mistakes, too."""
        dice, zero = self.dice, self.zero
        spans = [(zero + a, zero + b) for a, b in self.outages if int(a // DAY_S) <= number <= int(b // DAY_S)]
        found: list[calls.Call] = []
        for call in made:
            is_out = any(a <= call.at < b for a, b in spans) and call.operation != "procedures.get"
            if is_out:
                call = call._replace(result=calls.FAILED, rows=0, bytes_out=200)
            found.append(call)
            again = is_out or (call.result == calls.WRONG and key.retries)
            if again and dice.random() < 0.7:
                for turn in range(1, 2 + int(dice.random() * 3)):
                    found.append(call._replace(at=call.at + 5.0 * 2**turn))
        if dice.random() < 0.03 and found:
            # A busy minute runs into the limit now and then, and waits.
            chosen = found[int(dice.random() * len(found))]
            found += [chosen._replace(at=chosen.at + n, result=calls.LIMITED, rows=0) for n in (1, 2, 4)]
        return found


def hash_of(text: str) -> int:
    """Give a number for a text, the same on every machine."""
    return sum(ord(letter) * (place + 7) for place, letter in enumerate(text))
