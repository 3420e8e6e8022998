"""What one process of several may admit alone, and how it settles with Redis: no waiting in here, no network.

Always: what Redis has counted + what processes hold in reserve + the shares of those that are away <= the maximum.
A process never relies on more than Redis surely keeps aside for it: whatever is on its way counts as spent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lienthong.api_keys import limits, rings, rules

_NS, _US = 1_000_000_000, 1_000_000
# The clocks of two machines run alike to a part in a thousand.
_MARGIN = 1.001
_MARGIN_NS = 10_000_000

Words = list[str | bytes | int | float]


def share_of(slot: int, quota: int, gateways: int) -> int:
    """Give a gateway's part of a maximum; all parts together are exactly the maximum."""
    if not 0 <= slot < gateways:
        return 0
    return quota // gateways + (slot < quota % gateways)


class Holding:
    """What a process knows and holds of one limit.

    `granted`: the reserve that Redis confirmed last. `at_risk`: how much of it questions on their way may spend.
    `alone`: what was admitted here and Redis has not been told of. `is_tight`: so little is free that Redis may
    need the reserve for what this process asks; otherwise a question puts none of it at risk.
    """

    __slots__ = (
        "alone",
        "at_risk",
        "granted",
        "is_tight",
        "period",
        "ring",
        "rule",
        "seen",
        "seen_us",
        "told_at",
        "told_upto",
    )

    def __init__(self, rule: rules.Rule, now_ns: int) -> None:
        self.rule = rule
        self.granted = self.at_risk = self.alone = 0
        self.is_tight = False
        self.seen = self.seen_us = 0
        self.told_at = -1
        self.told_upto = 0
        self.period: tuple[str, float, float] = ("", 0.0, 0.0)
        is_sliding = rule.unit in limits.SLIDING_S
        length_ns = round(rule.window_s * _NS * _MARGIN)
        self.ring = rings.Ring(length_ns, now_ns=now_ns) if is_sliding else None

    def turn(self, now_ns: int, now: datetime) -> None:
        """Let go of what is out of the window or period."""
        if self.ring is not None:
            self.ring.forget_old(now_ns)
            self.alone = self.ring.count
        elif not self.period[1] <= now.timestamp() < self.period[2]:
            name, start, end = limits.calendar_period(self.rule.unit, now)
            self.period = (name, start.timestamp(), end.timestamp())
            self.alone = self.seen = 0

    def spare(self) -> int:
        """How much of the reserve is surely there and not used."""
        return self.granted - self.at_risk - self.alone

    def admit(self, now_ns: int) -> None:
        """Count one request that was admitted without Redis."""
        self.alone += 1
        if self.ring is not None:
            self.ring.add(now_ns)

    def settle(self, number: int, upto: int, answer: Sequence[int]) -> None:
        """Redis counts these now, unless it did not believe us."""
        if answer[0] < 0:
            return
        self.seen, self.seen_us = answer
        if self.ring is None:
            self.alone = max(0, self.alone - number)
        elif self.ring.head < upto:
            self.ring.drop_oldest(upto - self.ring.head)
            self.alone = self.ring.count


@dataclass(slots=True)
class Ask:
    """One question to Redis: may this request pass?

    `alone`: it was decided without the answer, and how. `is_worth_repeating`: it was refused for what is held in
    reserve, and that can be had.
    """

    plan: rules.Plan
    holdings: tuple[Holding, ...]
    spends: tuple[int, ...]
    number: int
    alone: limits.Decision | None = None
    is_worth_repeating: bool = False


class Ledger:
    """The shares of one process. Every method is to be called from one thread, and none of them waits."""

    def __init__(
        self,
        *,
        name: str,
        gateways: int,
        lease_s: float,
        alone_longest_s: float = 86_400.0,
        prefix: str = "lt:limits",
        monotonic_ns: Callable[[], int],
    ) -> None:
        self.name = name
        self.gateways = gateways
        self.lease_s = lease_s
        self.prefix = prefix
        self.slot = -1
        self.session = ""
        self.epoch = ""
        self.clock = ""  # where a test turns Redis' clock: its microseconds
        self.is_new = True
        self._alone_longest_ns = round(alone_longest_s * _NS)
        self._monotonic_ns = monotonic_ns
        self._holdings: dict[str, Holding] = {}
        self._roster: tuple[int, ...] = ()
        self._leased_until_ns: int | None = None
        self._redis_us, self._heard_ns = 0, 0
        self._number = 0
        self.in_flight: dict[str, int] = {}
        self.changed_flights: set[str] = set()

    @property
    def members(self) -> str:
        """The name of the hash in which Redis knows the gateways."""
        return f"{self.prefix}:members"

    def place(self, rule_place: str) -> str:
        """The name of a counter in Redis."""
        return f"{self.prefix}:{rule_place}"

    # ---------------------------------------------------------------------------------- one request, with Redis

    def ask(self, plan: rules.Plan, now: datetime) -> tuple[Ask, Words]:
        """Make the question; gives it with its words: number of names, names, arguments."""
        now_ns = self._monotonic_ns()
        self._number += 1
        holdings = tuple([self._holding(rule, now_ns) for rule in plan.rules])
        names: Words = [self.members, *(self.place(place) for place, _, _ in plan.flights)]
        said: Words = [self.clock, self.slot, self.session, self.gateways, self.epoch, len(plan.flights)]
        for place, cap, _ in plan.flights:
            said += [cap, self.in_flight.get(place, 0)]
        spends = []
        for rule, holding in zip(plan.rules, holdings, strict=True):
            holding.turn(now_ns, now)
            spend = 1 if holding.is_tight and holding.spare() >= 1 else 0
            holding.at_risk += spend
            spends.append(spend)
            names.append(self.place(rule.place))
            said += [rule.unit, rule.quota, rule.window_s * _US, spend]
        return Ask(plan, holdings, tuple(spends), self._number), [len(names), *names, *said]

    def heard(self, ask: Ask, answer: Sequence[int]) -> limits.Decision | None:
        """Take in what Redis says; nothing where it does not know this process any more."""
        if answer[0] < 0:
            self.lost(ask)
            return None
        self._redis_us, self._heard_ns = max(self._redis_us, answer[1]), self._monotonic_ns()
        ask.is_worth_repeating = answer[2] == 1
        for n, (holding, spend) in enumerate(zip(ask.holdings, ask.spends, strict=True)):
            used, wait_us, _, reserve = answer[4 + 4 * n : 8 + 4 * n]
            holding.is_tight = bool(wait_us) or 2 * used > holding.rule.quota
            if wait_us and reserve and not spend and holding.spare() >= 1:
                ask.is_worth_repeating = True
            holding.at_risk -= spend
            holding.seen, holding.seen_us = used, answer[1]
            if ask.number > holding.told_at:
                holding.granted = reserve
            else:
                holding.granted = max(0, holding.granted - spend)
        if ask.alone is not None:
            self._replace(ask, admitted=answer[0] == 1)
            return ask.alone
        decision = _decision(ask.plan, answer)
        return self._fly(ask.plan, decision) if decision.allowed else decision

    def lost(self, ask: Ask) -> None:
        """No answer will come: what it might have spent is spent."""
        for holding, spend in zip(ask.holdings, ask.spends, strict=True):
            holding.at_risk -= spend
            holding.granted = max(0, holding.granted - spend)

    def _replace(self, ask: Ask, *, admitted: bool) -> None:
        """Where Redis has counted what was admitted alone meanwhile, it need not be counted here as well."""
        if not (admitted and ask.alone is not None and ask.alone.allowed):
            return
        for holding in ask.holdings:
            if holding.ring is None:
                holding.alone = max(0, holding.alone - 1)
            elif holding.ring.tail > holding.told_upto:
                holding.ring.drop_newest()
                holding.alone = holding.ring.count

    # ------------------------------------------------------------------------------- one request, without Redis

    def decide_alone(self, plan: rules.Plan, now: datetime) -> limits.Decision:
        """Decide on what is this process's own."""
        now_ns = self._monotonic_ns()
        states, violated, own_fault, wait_s = [], [], True, 0.0
        for rule in plan.rules:
            holding = self._holding(rule, now_ns)
            holding.turn(now_ns, now)
            most = self._most_alone(holding, now_ns, now)
            if holding.alone >= most:
                violated.append(rule.name)
                own_fault = own_fault and holding.alone >= rule.quota
                wait_s = max(wait_s, self._wait_s(holding, most, now_ns, now))
            states.append((holding, most))
        for place, cap, name in plan.flights:
            most = max(1, share_of(max(0, self.slot), cap, self.gateways))
            if self.in_flight.get(place, 0) >= most:
                violated.append(name)
                own_fault, wait_s = False, max(wait_s, 1.0)
        if not violated:
            for holding, _ in states:
                holding.admit(now_ns)
        policies = tuple(
            [
                _alone_policy(holding, most, now_ns, now)
                for holding, most in states
                if holding.rule.shown or holding.rule.name in violated
            ]
        )
        if violated:
            return limits.Decision(False, policies, wait_s, tuple(violated), reduced=not own_fault)
        return self._fly(plan, limits.Decision(True, policies, reduced=True))

    def may_admit_alone(self, plan: rules.Plan, now: datetime) -> bool:
        """Whether one more request could be admitted without Redis."""
        now_ns = self._monotonic_ns()
        for rule in plan.rules:
            holding = self._holding(rule, now_ns)
            holding.turn(now_ns, now)
            if holding.alone >= self._most_alone(holding, now_ns, now):
                return False
        return True

    def _most_alone(self, holding: Holding, now_ns: int, now: datetime) -> int:
        """The whole share once Redis has surely kept it aside for a whole window, and before that the reserve."""
        rule, until_ns = holding.rule, self._leased_until_ns
        share = share_of(self.slot, rule.quota, self.gateways)
        if until_ns is None or now_ns > until_ns + self._alone_longest_ns:
            return 0
        if holding.ring is not None:
            is_whole = now_ns >= until_ns + holding.ring.length_ns + _MARGIN_NS
        else:
            is_whole = (now.timestamp() - holding.period[1]) * _NS < now_ns - until_ns - _NS
        return share if is_whole else min(share, max(0, holding.granted - holding.at_risk))

    def _wait_s(self, holding: Holding, most: int, now_ns: int, now: datetime) -> float:
        if holding.ring is None:
            return max(1.0, holding.period[2] - now.timestamp())
        if most >= 1:
            return holding.ring.wait_ns(most, now_ns) / _NS
        until_ns = self._leased_until_ns
        whole_ns = holding.ring.length_ns + _MARGIN_NS
        return (whole_ns if until_ns is None else max(_NS, until_ns + whole_ns - now_ns)) / _NS

    # ------------------------------------------------------------------------------------------- in flight

    def _fly(self, plan: rules.Plan, decision: limits.Decision) -> limits.Decision:
        if not plan.flights:
            return decision
        for place, _, _ in plan.flights:
            self.in_flight[place] = self.in_flight.get(place, 0) + 1
        return decision._replace(ticket=limits.Ticket(tuple([place for place, _, _ in plan.flights])))

    def land(self, ticket: limits.Ticket | None) -> bool:
        """Take what is no longer in flight out of the count; whether Redis has to be told."""
        for place in ticket.places if ticket else ():
            left = self.in_flight.get(place, 0) - 1
            self.in_flight[place] = max(0, left)
            self.changed_flights.add(place)
        return bool(self.changed_flights)

    # ---------------------------------------------------------------------------- settling with Redis

    def look(self, session: str) -> Words:
        """Ask what Redis knows, under a new session: what was sent before counts no more."""
        self.session = session
        return self._beat("look", lease_us=0)

    def looked(self, answer: Sequence[Any]) -> None:
        """Take in the time of Redis."""
        self._redis_us, self._heard_ns = answer[0], self._monotonic_ns()

    def is_lapsed(self) -> bool:
        """Whether the lease has run out: what was admitted alone must be told before there is another."""
        return self._leased_until_ns is not None and self._monotonic_ns() >= self._leased_until_ns

    def beat(self, new_epoch: str) -> Words:
        """Promise not to use the share alone until the lease ends."""
        now_ns = self._monotonic_ns()
        redis_us = self._redis_us + (now_ns - self._heard_ns) // 1000
        self._leased_until_ns = now_ns + round(self.lease_s * _NS)
        return self._beat("beat", lease_us=redis_us + round(self.lease_s * _US), new_epoch=new_epoch)

    def beaten(self, answer: Sequence[Any]) -> None:
        """Take in which slot this process has, and who else is there."""
        self._redis_us, self._heard_ns = answer[0], self._monotonic_ns()
        self.epoch, self.slot = _text(answer[1]), answer[2]
        self._roster = tuple(answer[3:])
        self.is_new = False

    def leave(self) -> Words:
        """Give the slot back, at the end."""
        return self._beat("leave", lease_us=0)

    def _beat(self, act: str, *, lease_us: int, new_epoch: str = "") -> Words:
        alone_longest_us = self._alone_longest_ns // 1000
        facts: Words = [self.clock, act, self.name, self.session, self.epoch, new_epoch, self.slot, lease_us]
        facts += [self.gateways, 1 if self.is_new else 0, alone_longest_us, *self._roster]
        return [1, self.members, *facts]

    def report(self, holding: Holding, *, kept: int) -> Words:
        """Tell Redis what was admitted alone. `kept`: the reserve that stays; -1: less by what is told."""
        name = _period_in_redis(holding)
        facts: Words = [self.clock, self.slot, self.session, self.epoch, holding.rule.unit]
        facts += [holding.rule.window_s * _US, holding.alone, kept, holding.seen, holding.seen_us, name]
        return [2, self.members, self.place(holding.rule.place), *facts]

    def told(self, holding: Holding) -> tuple[int, int]:
        """Note that a report is on its way; gives what `settle` needs when it has arrived."""
        self._number += 1
        holding.told_upto = holding.ring.tail if holding.ring is not None else 0
        return holding.alone, holding.told_upto

    def give_up(self, holding: Holding) -> None:
        """Rely on no reserve of this limit any more: answers to earlier questions do not bring it back."""
        self._number += 1
        holding.told_at = self._number
        holding.granted = holding.at_risk

    def known(self, now: datetime) -> list[Holding]:
        """Give everything that is held, up to date."""
        now_ns = self._monotonic_ns()
        for holding in self._holdings.values():
            holding.turn(now_ns, now)
        return list(self._holdings.values())

    def find(self, redis_place: str) -> Holding | None:
        """Give what is held of a counter by its name in Redis."""
        return self._holdings.get(redis_place.removeprefix(f"{self.prefix}:"))

    def forget_idle(self, holding: Holding) -> None:
        """Drop what nothing is held of."""
        if not (holding.alone or holding.granted or holding.at_risk):
            self._holdings.pop(holding.rule.place, None)

    def _holding(self, rule: rules.Rule, now_ns: int) -> Holding:
        holding = self._holdings.get(rule.place)
        if holding is None:
            holding = self._holdings[rule.place] = Holding(rule, now_ns)
        elif holding.rule is not rule:
            holding.rule = rule
        return holding


def _text(word: Any) -> str:
    return word.decode() if isinstance(word, bytes) else str(word)


def _period_in_redis(holding: Holding) -> str:
    """Spell a calendar period as the script does."""
    if holding.ring is not None:
        return ""
    if holding.rule.unit == "day":
        return f"day:{(int(holding.period[1]) + 7 * 3600) // 86_400}"
    year, month = holding.period[0].removeprefix("month:").split("-")
    return f"month:{int(year)}-{int(month)}"


def _decision(plan: rules.Plan, answer: Sequence[int]) -> limits.Decision:
    policies, violated, longest_wait = [], [], 0
    for n, rule in enumerate(plan.rules):
        used, wait_us, resets_us = answer[4 + 4 * n : 7 + 4 * n]
        if wait_us:
            violated.append(rule.name)
            longest_wait = max(longest_wait, wait_us)
        if rule.shown or wait_us:
            left = 0 if wait_us else max(0, rule.quota - used)
            policies.append(limits.Policy(rule.name, rule.quota, rule.window_s, left, resets_us / _US))
    if answer[3]:
        _, cap, name = plan.flights[answer[3] - 1]
        violated.append(name)
        longest_wait = max(longest_wait, _US)
        policies.append(limits.Policy(name, cap, 0, 0, 1.0))
    return limits.Decision(answer[0] == 1, tuple(policies), longest_wait / _US, tuple(violated))


def _alone_policy(holding: Holding, most: int, now_ns: int, now: datetime) -> limits.Policy:
    rule, left = holding.rule, max(0, most - holding.alone)
    if holding.ring is None:
        resets_in_s = holding.period[2] - now.timestamp()
    else:
        resets_in_s = (holding.ring.empties_in_ns(now_ns) or holding.ring.length_ns) / _NS
    return limits.Policy(rule.name, most, rule.window_s, left, resets_in_s)
