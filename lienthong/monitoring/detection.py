"""Detection itself: records in, findings out. Knows no clock, file or database; time is what the records say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lienthong.monitoring import (
    baselines,
    busy_hub,
    calls,
    days_end,
    questions,
    stillness,
    watched_keys,
    watched_officials,
    watched_people,
    windows,
)
from lienthong.monitoring.detectors import findings, people, places, probing, volume

Sink = Callable[[findings.Finding, bool], None]
_STILL_MINUTES = 5
_GAP_HOURS = 48
# Bounds have seen busy days already: they go up with less than all that the hub has more.
_BUSY_SHARE = 0.8


class Detection:
    """Watches a stream of calls. `sink` gets every finding, and whether it opens an episode.

    A second finding of a rule about the same one, less than the rule's `quiet_s` after the last, belongs to the
    episode; the sink hears of it at most once in a minute.
    """

    def __init__(self, sink: Sink, *, days: baselines.Days | None = None) -> None:
        self.sink = sink
        self.days = days or baselines.Days()
        self.keys: dict[str, watched_keys.WatchedKey] = {}
        self.officials: dict[str, watched_officials.WatchedOfficial] = {}
        self.operations: dict[str, windows.Window] = {}
        self.addresses: dict[str, windows.Window] = {}
        self.people = watched_people.People()
        self.hub = watched_keys.WatchedKey("")
        self.late = self.repeated = self.records = 0
        self._repeats = windows.Repeats()
        self._episodes: dict[tuple[str, str | None, str | None, str | None], float] = {}
        self._newest = 0.0
        self._minute = self._hour = -1
        self._closed_hour = -1
        self._off = False
        self._nights_wanted = 8
        self._peers: dict[str, dict[str, float]] = {}
        self._users: dict[str, int] = {}
        self._next_look = 0
        self._busy = busy_hub.Busy()
        self._hub_hours: dict[int, busy_hub.Hour] = {}

    def feed(self, call: calls.Call) -> None:
        """Take one record."""
        at = call.at
        if call.number and self._repeats.is_repeat(call.node, call.number):
            self.repeated += 1
            return
        minute = int(at) // 60
        if at > self._newest:
            if minute > self._minute:
                self._advance(minute, at)
            self._newest = at
        elif at < self._newest - windows.LATENESS_S:
            self.late += 1
            return
        self.records += 1
        self.hub.after.count(minute)
        operation = call.operation
        if operation is not None:
            window = self.operations.get(operation)
            if window is None:
                window = self.operations[operation] = windows.Window()
            window.count(minute)
        if call.address is not None:
            self._address(call, minute)
        key = None if call.key is None else self._key(call, minute)
        if call.official is not None:
            self._official(call, minute, key)
        if call.dossier is not None and watched_people.is_write(operation):
            self._written(call, minute)

    def _key(self, call: calls.Call, minute: int) -> watched_keys.WatchedKey:
        name, at = call.key or "", call.at
        key = self.keys.get(name)
        if key is None:
            key = self.keys[name] = watched_keys.WatchedKey(name)
        known = key.bounds
        if not known.calls:
            known.first_at = at
        elif at - known.last_at >= places.DORMANT_S:
            self._report(places.dormant(key.who, at, last_at=known.last_at))
        known.calls += 1
        key.last_at = known.last_at
        if at > known.last_at:
            known.last_at = at
        if minute > key.minute:
            hour = (minute + 420) // 60
            if hour != key.hour:
                key.hours_bounds(self.days, hour, self._peers.get(key.kind))
            key.new_minute(minute)
        pane = key.after.add(minute, call)
        if pane.count >= key.trip and self._report(key.too_many(at, hub=self._busier(key))):
            key.trip = watched_keys.NEVER
        if pane.bytes_out >= key.trip_bytes and self._report(key.too_much(at, hub=self._busier(key))):
            key.trip_bytes = watched_keys.NEVER
        if call.result:
            self._report(key.not_ok(call, minute))
        if call.address is not None and call.address != key.at_once.last:
            self._moved(key, call)
        if call.operation is not None:
            self._used(key, call, at)
        for group in call.groups:
            if group not in known.groups:
                self._first(key, known.groups, group, at, kind="field_group")
        if call.subject is not None:
            self._asked(key, call, minute)
        if self._off and key.normal["requests"].days >= self._nights_wanted:
            self._off_hours(key, minute, at)
        return key

    def _used(self, key: watched_keys.WatchedKey, call: calls.Call, at: float) -> None:
        operation = call.operation or ""
        if operation not in key.bounds.operations:
            self._first(key, key.bounds.operations, operation, at, kind="operation")
        if at < key.bounds.last_at:
            return
        strange = key.order.add(call, key.bounds.orders, operations=len(key.bounds.operations))
        if strange is not None:
            self._report(places.order(key.who, at, strange))

    def _first(
        self, key: watched_keys.WatchedKey, known: dict[str, float], name: str, at: float, *, kind: str
    ) -> None:
        newly = places.fresh([*known.values()], key.bounds.first_at, at)
        learned = bool(known) and places.has_learned(key.bounds.first_at, at, key.bounds.calls)
        peers = self._users.get(name, 0)
        self._users[name] = peers + 1
        if learned:
            self._report(
                places.new_use(key.who, at, name=name, kind=kind, known=len(known), newly=newly, peers=peers)
            )
        known[name] = at

    def _moved(self, key: watched_keys.WatchedKey, call: calls.Call) -> None:
        address, at, known = call.address or "", call.at, key.bounds
        network = calls.network_of(address)
        learned = places.has_learned(known.first_at, at, known.calls)
        if network not in known.networks:
            newly = places.fresh([*known.networks.values()], known.first_at, at)
            if learned and known.networks:
                self._report(
                    places.new_network(key.who, at, network=network, known=len(known.networks), newly=newly)
                )
            known.networks[network] = at
        gap_s = abs(at - key.last_at)
        seen, returns = key.at_once.move(address, at)
        if seen > 1:
            found = places.at_once(
                key.who,
                at,
                places=seen,
                usual=key.at_once.top,
                returns=returns,
                learned=learned,
                is_official=False,
                stranger=at - known.networks[network] < findings.DAY_S,
                gap_s=gap_s,
            )
            key.at_once.told |= self._report(found)

    def _asked(self, key: watched_keys.WatchedKey, call: calls.Call, minute: int) -> None:
        hour = (minute + 420) // 60
        subjects = key.subjects.get(hour)
        if subjects is None:
            subjects = key.subjects[hour] = windows.Distinct()
        subjects.add(call.subject or "")
        key.day_subjects.add(call.subject or "")
        unknown, caseless = call.result == calls.UNKNOWN, call.dossier is None
        gap_s = key.evenness.add(call.at)
        asked = key.ask(minute, unknown=unknown, caseless=caseless)
        if unknown or caseless:
            usual = questions.usual(key.bounds.asked)
            self._report(people.hit_rate(key.who, call.at, asked, usual, even_gap_s=gap_s))
        count, bound = len(subjects), key.hour_bounds["subjects"]
        if count > bound and count > bound * self._busier(key):
            normal = key.normal["subjects"].median
            self._report(
                people.many_subjects(key.who, call.at, seen=count, bound=bound, normal=normal, minutes=60)
            )

    def _off_hours(self, key: watched_keys.WatchedKey, minute: int, at: float) -> None:
        seen = key.after.requests(minute, 60)
        if seen < max(15.0, key.normal["requests"].top):
            return
        hour = (minute + 420) // 60
        nights = key.nights(hour)
        usual = nights[0] if nights else 0
        if seen < 3 * usual + 4:
            return
        # A call or two late in the evening do not make a night of work usual.
        alike, active = sum(4 * night >= seen for night in nights), len(key.bounds.days)
        if self._report(places.off_hours(key.who, at, seen=seen, usual=usual, active=active, nights=alike)):
            key.bad_hours |= {hour - 1, hour}

    def _official(self, call: calls.Call, minute: int, key: watched_keys.WatchedKey | None) -> None:
        name = call.official or ""
        official = self.officials.get(name)
        if official is None:
            official = self.officials[name] = watched_officials.WatchedOfficial(name, call.key, call.at)
        if key is not None:
            official.key = key.name
        hour = (minute + 420) // 60
        off = self._off
        if key is not None:
            usual = key.normal["requests"]
            off = off and usual.top < 3 and usual.days >= self._nights_wanted
        official.feed(call, minute, hour, off=off, report=self._report)
        if call.subject is not None and key is not None:
            self._report(official.guess(call, minute, questions.usual(key.bounds.asked)))
        if call.subject is not None:
            for finding in self.people.asked(call, hour // 24, official):
                self._report(finding)

    def _address(self, call: calls.Call, minute: int) -> None:
        address = call.address or ""
        window = self.addresses.get(address)
        if window is None:
            window = self.addresses[address] = windows.Window()
        result = call.result
        pane = window.tally(minute, result)
        if not result or result > calls.REFUSED:
            return
        who = findings.Who(address=address)
        if call.callback:
            ended = window.ended(minute, 60)
            seen = ended[calls.REFUSED] + ended[calls.WRONG]
            self._report(probing.forged(who, call.at, seen=seen, good=ended[calls.OK]))
        elif call.key is None and pane.results[result] >= 2:
            ended = window.ended(minute, 5)
            finding = probing.refused(
                who, call.at, seen=ended[calls.REFUSED] + ended[calls.WRONG], requests=sum(ended), share=0.05
            )
            self._report(finding)

    def _written(self, call: calls.Call, minute: int) -> None:
        if call.result != calls.REFUSED:
            for finding in self.people.written(call, (minute + 420) // 1440, self.officials):
                self._report(finding)

    def learn_people(self, call: calls.Call) -> None:
        """Take a call of long ago, for what it says of its official, whom they asked about, and its dossier."""
        minute = int(call.at) // 60
        sink, self.sink = self.sink, _unheard
        try:
            if call.official is not None:
                self._official(call, minute, None)
            if call.dossier is not None and watched_people.is_write(call.operation):
                self._written(call, minute)
        finally:
            self.sink = sink

    def learn_closed(self, alert: Mapping[str, Any]) -> None:
        """Learn from a closed alert."""
        key = self.keys.get(alert["key_id"] or "")
        if key is not None:
            key.learn_closed(alert)

    def _advance(self, minute: int, at: float) -> None:
        """Go on to a later minute: close the hours and days that nothing can come to any more."""
        hour = (minute + 420) // 60
        if self._minute < 0:
            self._closed_hour = hour - 1
        settled = (minute - windows.LATENESS_S // 60 + 420) // 60 - 1
        if settled > self._closed_hour:
            if settled - self._closed_hour > _GAP_HOURS:
                # Nothing was heard for days: that is a gap of the record, not a quiet time to be learned.
                self._close_hour(self._closed_hour + 1, at)
                self._closed_hour = settled
            while self._closed_hour < settled:
                self._closed_hour += 1
                self._close_hour(self._closed_hour, at)
        if hour != self._hour:
            self._hour = hour
            self._off = not self.days.is_office_hour(hour // 24, hour % 24)
            self._nights_wanted = 8 if self.days.of(hour // 24)[0] == baselines.WORKED else 4
            self.hub.hours_bounds(self.days, hour, None)
        gap = minute - self._minute
        self._minute = minute
        if minute >= self._next_look:
            self._next_look = minute + _STILL_MINUTES
            if gap <= 2 * _STILL_MINUTES:
                self._look_for_silence(minute, at)

    def _busier(self, key: watched_keys.WatchedKey) -> float:
        """Say by how much the rest of the hub is busier than usual at this hour; 1 where it is not."""
        if self._minute >= self._busy.until:
            self._busy = busy_hub.of(self.keys.values(), self._minute, self._hour)
        busier = self._busy.without(*key.lately(self._minute))
        if busier is not None:
            return float(max(1.0, busier) ** _BUSY_SHARE)
        return baselines.MONTH_END_FACTOR if self.days.of(self._hour // 24)[2] else 1.0

    def _look_for_silence(self, minute: int, at: float) -> None:
        hub = self.hub.normal.get("requests")
        if hub is None or hub.days < 8 or self.hub.after.requests(minute, 15) < 0.4 * hub.median / 4:
            return
        for key in self.keys.values():
            self._report(stillness.silent(key, self._place(self._hour), minute, at))

    def _close_hour(self, hour: int, at: float) -> None:
        self.hub.close_hour(self.days, hour)
        for key in self.keys.values():
            key.close_hour(self.days, hour)
        self._close_quiet(hour, at)
        if hour % 24 == 23:
            self._close_day(hour // 24, at)

    def _close_quiet(self, hour: int, at: float) -> None:
        """Ask of an hour that is over which keys were quieter than usual."""
        # A key that was not heard of for a day is asleep, and says nothing of the hub.
        awake = [key for key in self.keys.values() if at - key.bounds.last_at < findings.DAY_S]
        self._hub_hours[hour] = busy_hub.of_hour(busy_hub.hour_of(key, self.days, hour) for key in awake)
        self._hub_hours.pop(hour - stillness.HOURS, None)
        for key in awake:
            self._report(stillness.quieter(key, self.days, hour, at, hub=self._hub_hours))

    def _place(self, hour: int) -> tuple[int, int, int]:
        group, weekday, _ = self.days.of(hour // 24)
        return group, weekday, hour % 24

    def _close_day(self, day: int, at: float) -> None:
        group = self.days.of(day)[0]
        self.hub.bounds.learn_day(day, group, self.hub.day_requests)
        self.hub.day_requests = self.hub.day_active = 0
        busy = days_end.busyness(self.keys.values()) if group == baselines.WORKED else {}
        for key in self.keys.values():
            if key.day_active:
                key.bounds.learn_day(day, group, key.day_requests)
            learned = len(key.bounds.days) >= 4
            key.at_once.close_day(cap=max(1, key.at_once.top) + 1 if learned else None)
            days_end.learn_shares(key)
            key.day_requests = key.day_active = 0
            key.day_subjects = windows.Distinct()
            key.limited_top = max(0, key.limited_top - (day % 7 == 0))
            if group == baselines.WORKED and key.bounds.days and key.bounds.days[-1][0] == day:
                self._report(volume.drift(key.who, at, days_end.even_days(key, busy)))
        for finding in self.people.close_day(day, self.officials, at):
            self._report(finding)
        self._peers |= days_end.peers(self.keys.values())
        self._tidy()

    def _tidy(self) -> None:
        """Forget what no window reaches any more."""
        oldest = self._minute - 1440
        for name in [name for name, window in self.addresses.items() if window.last.minute < oldest]:
            del self.addresses[name]
        ended = self._newest - 15 * findings.DAY_S
        for place in [place for place, at in self._episodes.items() if at < ended]:
            del self._episodes[place]

    def _report(self, finding: findings.Finding | None) -> bool:
        """Pass a finding on; whether there was one."""
        if finding is None:
            return False
        who = finding.who
        known = self.keys.get(who.key or "")
        if known is not None and known.is_normal(finding):
            return False
        place = finding.rule, who.key, who.official, who.address or who.operation
        last = self._episodes.get(place)
        at = finding.found_at
        opens = last is None or at - last > findings.RULES[finding.rule].quiet_s
        if opens or (last is not None and at - last >= 60):
            self._episodes[place] = at
            self.sink(finding, opens)
        return True


def _unheard(_finding: findings.Finding, _opens: bool) -> None:
    return
