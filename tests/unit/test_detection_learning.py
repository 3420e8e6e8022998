"""What detection learns, and what it must not learn: verdicts of officers, bad hours, other keys' abuse."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lienthong.monitoring import baselines, busy_hub, calls, climbing, days_end, detection, evenness, watched_keys
from lienthong.monitoring.detectors import findings, volume

MONDAY = 1_767_571_200.0  # 07:00 of a Monday in Vietnam
DAY_S, HOUR_S = 86_400.0, 3600.0


class Watched:
    """Detection, and what it found."""

    def __init__(self) -> None:
        self.found: list[findings.Finding] = []
        self.top: dict[str, float] = {}
        self.detection = detection.Detection(self._take)

    def _take(self, finding: findings.Finding, opens: bool) -> None:
        self.top[finding.rule] = max(finding.score, self.top.get(finding.rule, 0.0))
        if opens:
            self.found.append(finding)

    def rules(self, since: float = 0.0) -> set[str]:
        return {one.rule for one in self.found if one.found_at >= since}

    def calls(self, day: int, an_hour: int, *, hours: int = 9, **changed: Any) -> None:
        """Feed a day of a key's even calls from seven o'clock."""
        for n in range(hours * an_hour):
            at = MONDAY + day * DAY_S + n * HOUR_S / an_hour
            self.detection.feed(call(at, **changed))

    def weeks(self, days: int, an_hour: int = 60, **changed: Any) -> None:
        """Feed working days."""
        for day in range(days):
            if day % 7 < 5:
                self.calls(day, an_hour, **changed)


def call(at: float, **changed: Any) -> calls.Call:
    """Make one ordinary call of a key."""
    made = calls.Call(at, "key-1", None, "10.0.0.1", None, "procedures.get", calls.OK, 12.0, 700, 1, None, None)
    return made._replace(**changed)


def closed(rule: str, since: float, until: float, kind: str, *, score: float = 0.6) -> dict[str, Any]:
    """Make a closed alert as the table has it."""
    times = {"since": datetime.fromtimestamp(since, UTC), "last_seen_at": datetime.fromtimestamp(until, UTC)}
    return {"rule": rule, "key_id": "key-1", "closed_as": kind, "score": score, **times}


@pytest.mark.parametrize(("verdict", "again"), [(None, True), ("normal", False), ("mistake", False)])
def test_what_an_officer_calls_normal_opens_no_alert_again(verdict: str | None, again: bool):
    watched = Watched()
    watched.weeks(19)
    begins = MONDAY + 21 * DAY_S
    watched.calls(21, 160, hours=3)
    assert "volume_up" in watched.rules(begins)
    if verdict:
        alert = closed("volume_up", begins, begins + HOUR_S, verdict, score=watched.top["volume_up"])
        watched.detection.learn_closed(alert)
    watched.calls(22, 160, hours=1)
    assert ("volume_up" in watched.rules(begins + DAY_S)) is again


def test_the_time_of_an_incident_is_no_measure_of_what_is_normal():
    watched = Watched()
    watched.weeks(19)
    watched.calls(21, 600, hours=2, address="203.0.113.5")
    watched.calls(22, 60)
    key, begins = watched.detection.keys["key-1"], MONDAY + 21 * DAY_S
    assert "203.0.113.0/24" in key.bounds.networks
    before = key.bounds.tops()["requests"]
    watched.detection.learn_closed(closed("volume_up", begins, begins + 2 * HOUR_S, "incident"))
    assert key.bounds.tops()["requests"] < before
    assert "203.0.113.0/24" not in key.bounds.networks
    watched.calls(23, 60, address="203.0.113.5", hours=1)
    assert "new_network" in watched.rules(MONDAY + 23 * DAY_S)


def test_one_key_that_is_abused_does_not_make_the_hub_busy():
    keys = [watched_keys.WatchedKey(f"key-{n}") for n in range(20)]
    for key in keys:
        for hour in range(30):
            sample = (20 if key.name == "key-0" else 30,) * 8
            key.bounds.learn(0, 9, watched_keys.baselines.Sample(hour, 0, sample, 5))
            key.bounds.days.append((hour, 0, 300))
        key.hours_bounds(watched_keys.baselines.Days(), 20_458 * 24 + 9, None)
        minute = key.hour * 60 - 420
        for _ in range(5_000 if key.name == "key-0" else 30):
            key.after.count(minute + 40)
    busy = busy_hub.of(keys, minute + 59, keys[0].hour)
    assert busy.without(*keys[1].lately(minute + 59)) == pytest.approx(1.07, abs=0.05)


STEPS = ("dossiers.get", "dossiers.report_status", "messages.get")


def weeks_of_work(watched: Watched, days: int) -> None:
    for day in range(days):
        for turn in range(40):
            at = MONDAY + day * DAY_S + turn * 600
            for place, operation in enumerate(STEPS):
                watched.detection.feed(call(at + place * 3, operation=operation, dossier=f"H{day}-{turn}"))


def against_the_order(watched: Watched, day: int, *, calls_made: int = 40) -> set[str]:
    """Feed calls against the order of work; gives the rules that spoke of them."""
    begins = MONDAY + day * DAY_S
    for n in range(calls_made):
        operation = (STEPS[0], *STEPS[2:] * 3)[n % 4]
        watched.detection.feed(call(begins + n * 6, operation=operation, dossier=f"X{day}"))
    return watched.rules(begins)


def test_going_on_where_work_always_ends_is_strange():
    watched = Watched()
    weeks_of_work(watched, 12)
    assert "unusual_order" in against_the_order(watched, 12)


def test_an_order_against_the_rules_was_learned_from_the_abuse_itself_and_not_told_again():
    watched = Watched()
    weeks_of_work(watched, 12)
    told = [against_the_order(watched, day, calls_made=200) for day in (12, 14, 16, 18)]
    assert all("unusual_order" in rules for rules in told)


def test_an_order_that_comes_day_after_day_becomes_the_order_of_the_key():
    watched = Watched()
    weeks_of_work(watched, 12)
    told = ["unusual_order" in against_the_order(watched, day, calls_made=200) for day in range(12, 32)]
    assert told[0]
    assert not any(told[-3:])


def test_a_flood_of_one_call_does_not_make_ordinary_work_look_strange():
    watched = Watched()
    weeks_of_work(watched, 12)
    for n in range(4_000):
        watched.detection.feed(call(MONDAY + 12 * DAY_S + n * 0.5, operation="dossiers.get"))
    begins = MONDAY + 14 * DAY_S
    for turn in range(60):
        at = begins + turn * 300
        for place, operation in enumerate(STEPS):
            watched.detection.feed(call(at + place * 3, operation=operation, dossier=f"L{turn}"))
    assert "unusual_order" not in watched.rules(begins)


def test_what_was_learned_of_the_order_of_calls_outlasts_a_restart():
    watched, again = Watched(), Watched()
    weeks_of_work(watched, 12)
    key = watched_keys.WatchedKey("key-1")
    key.restore(watched.detection.keys["key-1"].kept())
    again.detection.keys["key-1"] = key
    assert "unusual_order" in against_the_order(again, 12)


def quiet_day(hub_share: float, share: float) -> set[str]:
    """Feed three weeks of seven keys, then a day on which each has a share of its usual, one its own."""
    watched = Watched()
    for day in (*(day for day in range(19) if day % 7 < 5), 21):
        for n in range(9 * 30):
            for number in range(7):
                part = 1.0 if day < 21 else share if number == 0 else hub_share
                for again in range(int((n + 1) * part) - int(n * part)):
                    at = MONDAY + day * DAY_S + n * 120 + number + again * 30
                    watched.detection.feed(call(at, key=f"key-{number}", address=f"10.0.{number}.1"))
    watched.detection.feed(call(MONDAY + 21 * DAY_S + 9.2 * HOUR_S, key="key-9", address="10.0.9.1"))
    return {one.who.key or "" for one in watched.found if one.rule == "volume_down"}


def test_a_key_that_was_quiet_at_a_month_end_was_held_against_an_ordinary_day():
    assert quiet_day(1.4, 0.38) == {"key-0"}
    assert quiet_day(1.0, 0.55) == set()


def test_where_the_whole_hub_is_quiet_no_key_is():
    assert quiet_day(0.2, 0.2) == set()


def test_a_night_of_abuse_hid_the_next_one():
    watched = Watched()
    watched.weeks(22)
    nights = [MONDAY + (day + 0.62) * DAY_S for day in (22, 24)]
    for day in range(22, 26):
        watched.calls(day, 60)
        if day % 2 == 0:
            for n in range(60):
                watched.detection.feed(call(MONDAY + (day + 0.62) * DAY_S + n * 30))
    assert [one.found_at > night for one, night in zip(_of(watched, "off_hours"), nights, strict=True)] == [
        True,
        True,
    ]


def test_a_late_call_now_and_then_does_not_make_a_night_of_work_usual():
    watched = Watched()
    for day in (day for day in range(40) if day % 7 < 5):
        watched.calls(day, 60)
        if day % 6 == 0:
            watched.detection.feed(call(MONDAY + (day + 0.6) * DAY_S))
    for n in range(40):
        watched.detection.feed(call(MONDAY + 39.62 * DAY_S + n * 30))
    assert _of(watched, "off_hours")


def _of(watched: Watched, rule: str) -> list[findings.Finding]:
    return [one for one in watched.found if one.rule == rule]


def test_a_key_that_was_shared_before_was_not_told_when_it_was_shared_again():
    watched = Watched()
    for day in range(25):
        if day % 7 < 5:
            watched.calls(day, 60)
        if day in (21, 23):
            for n in range(60):
                watched.detection.feed(call(MONDAY + day * DAY_S + 32_400 + n * 60, address="203.0.113.5"))
                watched.detection.feed(call(MONDAY + day * DAY_S + 32_430 + n * 60))
    days = {int((one.found_at - MONDAY) // DAY_S) for one in _of(watched, "key_shared")}
    assert days == {21, 23}


def test_calls_grow_day_by_day_and_a_single_step_is_no_drift():
    who, at = findings.Who(key="key-1"), MONDAY
    wavy = [200.0 + 25 * ((n * 7) % 5 - 2) for n in range(30)]
    assert volume.drift(who, at, wavy) is None
    assert volume.drift(who, at, [day * 1.03**n for n, day in enumerate(wavy)]) is not None
    assert volume.drift(who, at, [*wavy[:15], *(day * 2 for day in wavy[15:])]) is None


def test_days_that_climb_along_a_line_are_told_from_a_step_from_chance_and_from_one_bad_day():
    wavy = [5.0 + 0.1 * ((n * 7) % 5 - 2) for n in range(24)]
    assert climbing.climbs([day + 0.03 * n for n, day in enumerate(wavy)])
    assert not climbing.climbs(wavy)
    assert not climbing.climbs([day + 0.7 * (n >= 12) for n, day in enumerate(wavy)])
    assert not climbing.climbs([*wavy[:-1], wavy[-1] + 3.0])


def test_a_machine_that_asks_in_an_officials_name_is_told_by_its_even_pace():
    watched = Watched()
    person = {"official": "CB01", "operation": "residents.verify", "dossier": "H1"}
    for day in range(9):
        for n in range(30):
            at = MONDAY + day * DAY_S + n * 400 + (n * 7919 % 311)
            watched.detection.feed(call(at, subject=f"{day}{n}", **person))
    begins = MONDAY + 9 * DAY_S
    for n in range(25):
        watched.detection.feed(call(begins + n * 240 + n % 2, subject=f"e{n}", **person))
    [found] = [one for one in watched.found if "even_gap_s" in one.seen]
    assert (found.rule, found.who.official, found.seen["even_gap_s"]) == ("enumeration", "CB01", 240.0)


def test_chance_arrivals_are_not_even_and_neither_is_a_pace_that_is_broken_off():
    pace = evenness.Evenness()
    assert not any(pace.add(n * 20.0 + (n * 7919 % 17)) for n in range(200))
    assert pace.add(100_000.0) is None
    assert [pace.add(100_000.0 + n * 5) is not None for n in range(1, 22)] == [False] * 19 + [True] * 2


def test_what_is_read_again_after_a_restart_is_learned_once():
    watched = Watched()
    watched.weeks(5)
    key = watched.detection.keys["key-1"]
    days, cells = list(key.bounds.days), {place: list(cell) for place, cell in key.bounds.cells.items()}
    again = Watched()
    again.detection.keys["key-1"] = key
    again.calls(3, 60)
    again.calls(4, 60)
    assert list(key.bounds.days)[: len(days)] == days
    assert all(list(key.bounds.cells[place])[: len(cell)] == cell for place, cell in cells.items())
    assert len({day for day, _, _ in key.bounds.days}) == len(key.bounds.days)


def test_one_officials_guessing_was_lost_among_all_the_questions_of_the_key():
    watched = Watched()
    watched.calls(0, 1, hours=1)
    watched.detection.keys["key-1"].bounds.asked = {"questions": 2000.0, "unknown": 30.0, "caseless": 0.0}
    question = {"operation": "residents.verify", "dossier": "H1"}
    for n in range(240):
        unknown = calls.UNKNOWN if n % 40 == 0 else calls.OK
        who = {"official": f"CB{n % 8}", "subject": f"s{n}", "result": unknown}
        watched.detection.feed(call(MONDAY + 3600 + n * 14 + n % 5, **question, **who))
        if n % 30 == 29:
            guessed = {"official": "CB99", "subject": f"g{n}", "result": calls.UNKNOWN}
            watched.detection.feed(call(MONDAY + 3605 + n * 14, **question, **guessed))
    assert {one.who.official for one in watched.found if one.rule == "enumeration"} == {"CB99"}


def asked_by(watched: Watched, day: int, official: str, *, questions: int, unknown_each: int) -> float | None:
    """Ask so many questions within an hour, every so-manieth about nobody; gives after how many it was told."""
    begins = MONDAY + day * DAY_S
    for n in range(questions):
        result = calls.UNKNOWN if n % unknown_each == 0 else calls.OK
        who = {"official": official, "subject": f"{day}-{n}", "result": result, "dossier": f"H{day}-{n}"}
        watched.detection.feed(call(begins + n * 119 + n * 7919 % 97, operation="residents.verify", **who))
        if any(one.rule == "enumeration" and one.found_at >= begins for one in watched.found):
            return n + 1
    return None


def test_who_was_guessed_with_before_is_told_as_soon_again():
    """A day of guessing taught that wrong numbers are usual here: the next one was told hours later."""
    watched = Watched()
    for day in range(20):
        asked_by(watched, day, "CB01", questions=66, unknown_each=66)
    soon = asked_by(watched, 20, "CB07", questions=240, unknown_each=2)
    assert soon is not None
    assert soon <= 12
    for n in range(240):
        guess = {"official": "CB07", "subject": f"more-{n}", "result": calls.UNKNOWN, "dossier": f"M{n}"}
        watched.detection.feed(
            call(MONDAY + 20 * DAY_S + 4 * HOUR_S + n * 20, operation="residents.verify", **guess)
        )
    again = asked_by(watched, 22, "CB08", questions=240, unknown_each=2)
    assert again is not None
    assert again <= soon + 2


def test_a_key_whose_questions_begin_to_miss_more_often_is_understood_after_some_days():
    watched = Watched()
    for day in range(20):
        asked_by(watched, day, "CB01", questions=66, unknown_each=66)
    told = [asked_by(watched, 20 + day, "CB01", questions=66, unknown_each=8) for day in range(20)]
    assert told[-5:] == [None] * 5


def test_a_flood_of_one_key_hid_how_the_others_grew():
    keys = [watched_keys.WatchedKey(f"key-{n}") for n in range(6)]
    for day in range(10):
        for n, key in enumerate(keys):
            key.bounds.learn_day(day, baselines.WORKED, 50_000 if n == 0 and day == 9 else 100)
    busy = days_end.busyness(keys)
    assert busy[9] == 1.0
    assert days_end.even_days(keys[1], busy)[-1] == 100.0


def test_a_month_end_that_all_keys_share_is_nobodys_growth():
    keys = [watched_keys.WatchedKey(f"key-{n}") for n in range(6)]
    for day in range(10):
        for key in keys:
            key.bounds.learn_day(day, baselines.WORKED, 140 if day == 9 else 100)
    assert days_end.even_days(keys[0], days_end.busyness(keys))[-1] == 100.0
