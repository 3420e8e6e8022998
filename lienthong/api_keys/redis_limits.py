"""The limiter that several processes share: a script in Redis decides, and without Redis each one's own share."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from lienthong.api_keys import limits, rules, shares
from lienthong.core import clock, redis_pipe

_log = logging.getLogger("lienthong.limits")
_HERE = resources.files("lienthong.api_keys")
_TAKE, _BEAT, _REPORT = (
    _HERE.joinpath(f"{name}.lua").read_text(encoding="utf-8")
    for name in ("limits", "limits_beat", "limits_report")
)
_SHA = {text: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() for text in (_TAKE, _BEAT, _REPORT)}
_RECALL_PAUSES_S = (0.001, 0.002, 0.004, 0.008, 0.016, 0.03)
_LANDING_S = 0.01
_MARK_SWEEP_EVERY = 1500  # beats


@dataclass(frozen=True, slots=True)
class Terms:
    """How a process deals with a Redis that is slow or away.

    A decision waits `answer_within_s` where it could go on alone, and `patience_s` at most. After `grace_s`
    without Redis, operations on personal data are to be refused. Every process holds its part of a maximum, one
    in `gateways`; a process that was silent for `alone_longest_s` loses it, and admits nothing alone any more.
    """

    gateways: int = 4
    answer_within_s: float = 0.015
    patience_s: float = 0.25
    beat_s: float = 0.4
    lease_s: float = 2.0
    grace_s: float = 900.0
    alone_longest_s: float = 86_400.0


class RedisLimiter:
    """Exact limits for any number of processes, and the share of each of them while Redis is away."""

    def __init__(
        self,
        url: str,
        *,
        name: str = "",
        terms: Terms | None = None,
        planner: rules.Planner | None = None,
        seat: Seat | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._seat = seat
        self._terms = terms or Terms()
        self._planner = planner or rules.Planner()
        self._monotonic = monotonic
        self._ledger = shares.Ledger(
            name=name or f"{socket.gethostname()}:{os.urandom(6).hex()}",
            gateways=self._terms.gateways,
            lease_s=self._terms.lease_s,
            alone_longest_s=self._terms.alone_longest_s,
            monotonic_ns=time.monotonic_ns,
        )
        self._pipe: redis_pipe.Pipe | None = None
        self._ears: redis_pipe.Pipe | None = None
        self._beating: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._first_try = asyncio.Event()
        self._away_since: float | None = None
        self._landing = False
        self._rejoined: asyncio.Future[None] | None = None

    async def take(
        self, key_id: str, wanted: Sequence[limits.Limit], operation: str, now: datetime
    ) -> limits.Decision:
        """Take one request from every limit, or from none."""
        if self._beating is None:
            await self.start(now)
        plan = self._planner.plan(key_id, wanted, operation, now)
        if self._rejoined is not None:
            # The share has just been given back, and the answer is on its way.
            await asyncio.wait([self._rejoined], timeout=self._terms.patience_s)
        for pause_s in (*_RECALL_PAUSES_S, None):
            pipe = self._pipe
            if pipe is None:
                break
            decision, is_recalled = await self._ask(pipe, plan, now)
            if decision is not None and (decision.allowed or not is_recalled or pause_s is None):
                return decision
            if decision is None:
                break
            # What is free is held in reserve, here or by others, who have been called and give it back at once.
            await asyncio.sleep(pause_s or 0)
        return self._alone(plan, now)

    def give_back(self, key_id: str, ticket: limits.Ticket | None) -> None:
        """Say that a request is no longer in flight."""
        if self._ledger.land(ticket) and not self._landing and self._pipe is not None:
            self._landing = True
            asyncio.get_running_loop().call_later(_LANDING_S, self._tell_flights)

    async def start(self, now: datetime) -> None:
        """Join the others, where Redis is there; otherwise go on trying."""
        if self._beating is None:
            self._beating = asyncio.get_running_loop().create_task(self._live(), name="limits")
        await self._first_try.wait()

    async def check(self) -> bool:
        """Whether Redis answers now."""
        pipe = self._pipe
        if pipe is None:
            return False
        try:
            await pipe.ask("PING", within_s=self._terms.patience_s)
        except redis_pipe.PipeLost:
            return False
        return True

    async def stop(self) -> None:
        """Tell Redis what it does not know yet, and give back the slot and the connections."""
        self._stopping.set()
        if self._beating is not None:
            await self._beating
        pipe = self._pipe
        if pipe is not None:
            for holding in self._ledger.known(clock.now()):
                self._report(pipe, holding, kept=0)
            with contextlib.suppress(redis_pipe.PipeLost):
                words = self._ledger.leave()
                await pipe.ask("EVALSHA", _SHA[_BEAT], *words, within_s=self._terms.patience_s)
        self._hang_up()
        if self._seat is not None:
            self._seat.leave()

    # ------------------------------------------------------------------------------------------- one request

    async def _ask(
        self, pipe: redis_pipe.Pipe, plan: rules.Plan, now: datetime
    ) -> tuple[limits.Decision | None, bool]:
        """Ask Redis; where it does not answer in time, decide alone. Nothing where it is lost to us."""
        loop = asyncio.get_running_loop()
        may_alone = self._ledger.may_admit_alone(plan, now)
        ask, words = self._ledger.ask(plan, now)
        answered: asyncio.Future[Any] = loop.create_future()
        pipe.call(("EVALSHA", _SHA[_TAKE], *words), lambda answer: self._heard(pipe, ask, answer, answered))
        wait_s = self._terms.answer_within_s if may_alone else self._terms.patience_s
        timer = loop.call_later(wait_s, self._late, pipe, answered)
        try:
            answer = await answered
        except asyncio.CancelledError:
            # The caller has gone: an answer that admits it counts, and nobody lands.
            ask.alone = limits.Decision(False, ())
            if answered.done() and not answered.cancelled() and (late := answered.result()) and late[0]:
                self._ledger.land(late[0].ticket)
            raise
        finally:
            timer.cancel()
        if answer is None:
            decision = ask.alone = self._alone(plan, now)
            return decision, False
        decision, is_recalled = answer
        return decision, is_recalled

    def _heard(self, pipe: redis_pipe.Pipe, ask: shares.Ask, answer: Any, answered: asyncio.Future[Any]) -> None:
        if answered.cancelled():
            ask.alone = limits.Decision(False, ())
        if isinstance(answer, Exception):
            self._ledger.lost(ask)
            self._lose(pipe, type(answer).__name__)
            decision, is_recalled = None, False
        else:
            if answered.done() and ask.alone is None:
                ask.alone = limits.Decision(False, ())  # decided in this very turn of the loop
            decision = self._ledger.heard(ask, answer)
            is_recalled = ask.is_worth_repeating
            if decision is None:
                self._lose(pipe, "it has forgotten us")
        if not answered.done():
            answered.set_result((decision, is_recalled))

    def _late(self, pipe: redis_pipe.Pipe, answered: asyncio.Future[Any]) -> None:
        if not answered.done():
            answered.set_result(None)
        if pipe.waits_since_s() >= self._terms.patience_s * 0.9:
            self._lose(pipe, "no answer")

    def _alone(self, plan: rules.Plan, now: datetime) -> limits.Decision:
        decision = self._ledger.decide_alone(plan, now)
        since = self._away_since
        closes = since is not None and self._monotonic() - since >= self._terms.grace_s
        return decision._replace(closes_personal=closes) if closes else decision

    # ------------------------------------------------------------------------------------------- the connection

    async def _live(self) -> None:
        """Keep the connection, and say twice a second or so that we are alive."""
        beats = 0
        while not self._stopping.is_set():
            try:
                if self._pipe is None:
                    await self._join()
                else:
                    if self._ears is None or not self._ears.is_open or self._ledger.is_lapsed():
                        raise redis_pipe.PipeLost("out of touch for too long")
                    await self._beat(self._pipe)
                    beats += 1
                    self._settle(self._pipe, with_idle=beats % _MARK_SWEEP_EVERY == 0)
            except redis_pipe.PipeLost as exc:
                self._lose(self._pipe, exc.detail("en") or "cannot be reached")
            self._first_try.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._terms.beat_s)

    async def _join(self) -> None:
        """Connect, tell what was admitted alone, and only then promise to leave the share to others again."""
        patience_s = self._terms.patience_s
        pipe = await redis_pipe.connect(self._url, within_s=patience_s)
        ears = None
        try:
            ears = await redis_pipe.connect(self._url, within_s=patience_s, on_message=self._recalled)
            await ears.ask("SUBSCRIBE", f"{self._ledger.members}:recall", within_s=patience_s)
            for script in (_TAKE, _BEAT, _REPORT):
                await pipe.ask("SCRIPT", "LOAD", script, within_s=patience_s)
            words = self._ledger.look(os.urandom(6).hex())
            self._ledger.looked(await pipe.ask("EVALSHA", _SHA[_BEAT], *words, within_s=patience_s))
            for holding in self._ledger.known(clock.now()):
                self._report(pipe, holding, kept=0)
            # From here to the beat there is no waiting: nothing is admitted alone in between.
            self._rejoined = asyncio.get_running_loop().create_future()
            await self._beat(pipe)
            self._pipe, self._ears = pipe, ears
        except BaseException:
            pipe.close()
            if ears is not None:
                ears.close()
            raise
        finally:
            rejoined, self._rejoined = self._rejoined, None
            if rejoined is not None:
                rejoined.set_result(None)
        if self._away_since is not None:
            _log.warning("Redis decides limits again")
        self._away_since = None

    async def _beat(self, pipe: redis_pipe.Pipe) -> None:
        words = self._ledger.beat(os.urandom(6).hex())
        answer = await pipe.ask("EVALSHA", _SHA[_BEAT], *words, within_s=self._terms.patience_s)
        self._ledger.beaten(answer)

    def _settle(self, pipe: redis_pipe.Pipe, *, with_idle: bool) -> None:
        """Tell Redis what was admitted alone while it was slow; give back what nobody uses."""
        for holding in self._ledger.known(clock.now()):
            if holding.alone:
                self._report(pipe, holding, kept=-1)
            elif with_idle:
                self._report(pipe, holding, kept=0)
                self._ledger.forget_idle(holding)

    def _report(self, pipe: redis_pipe.Pipe, holding: shares.Holding, *, kept: int) -> None:
        words = self._ledger.report(holding, kept=kept)
        number, upto = self._ledger.told(holding)
        if kept < 0:
            holding.at_risk += number
        else:
            self._ledger.give_up(holding)

        def arrived(answer: Any) -> None:
            if kept < 0:
                holding.at_risk -= number
                holding.granted = max(0, holding.granted - number)
            if isinstance(answer, list):
                holding.settle(number, upto, answer)

        pipe.call(("EVALSHA", _SHA[_REPORT], *words), arrived)

    def _recalled(self, place: bytes) -> None:
        """Another process needs what is held here in reserve."""
        pipe, holding = self._pipe, self._ledger.find(place.decode())
        if pipe is None:
            return
        if holding is None:
            # Left by whoever had this slot before.
            pipe.call(("HDEL", place + b":r", self._ledger.slot), _ignore)
        elif holding.granted:
            self._report(pipe, holding, kept=0)

    def _tell_flights(self) -> None:
        self._landing = False
        pipe, ledger = self._pipe, self._ledger
        places, ledger.changed_flights = ledger.changed_flights, set()
        for place in places:
            count = ledger.in_flight.get(place, 0)
            if not count:
                ledger.in_flight.pop(place, None)
            if pipe is not None and ledger.slot >= 0:
                pipe.call(("HSET", ledger.place(place), ledger.slot, count), _ignore)

    def _lose(self, pipe: redis_pipe.Pipe | None, why: str) -> None:
        if pipe is not None and pipe is not self._pipe:
            return
        if self._away_since is None:
            self._away_since = self._monotonic()
            _log.warning("Redis does not decide limits; own share in force", extra={"why": why})
        self._hang_up()

    def _hang_up(self) -> None:
        pipe, ears, self._pipe, self._ears = self._pipe, self._ears, None, None
        for one in (pipe, ears):
            if one is not None:
                one.close()


def _ignore(answer: Any) -> None:
    """Nobody waits for this answer; a lost connection is noticed elsewhere."""


class Seat:
    """A name that one process of this machine has at a time, and its next start has again.

    The system frees it when the process ends, however it ends: who gets it knows that the last one is gone.
    """

    def __init__(self, home: Path) -> None:
        folder = home / "limits"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for number in range(1000):
            self._file = os.open(folder / f"gateway-{number}", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(self._file)
                continue
            place = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]
            self.name = f"{socket.gethostname()}:{place}:{number}"
            return

    def leave(self) -> None:
        """Free the name."""
        os.close(self._file)
