"""Delivery: one worker drives one target, claims messages in batches and keeps many calls in flight.

At least once and, with the look-ups of the connectors, once in effect. Whoever drives holds a lease on the
target, so that the number of calls in flight is the one that is set, however many workers there are.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from lienthong.bus import events, leases, outbox, targets, verdicts
from lienthong.bus.hub import Hub
from lienthong.core import clock, errors, journal, records, settings

_log = logging.getLogger("lienthong.delivery")

Handler = Callable[[Hub, outbox.Claimed], Awaitable[records.Receipt]]
Handlers = Mapping[str, Handler]

# Finished attempts are gathered this long into one transaction: long when many are in flight, else hardly.
GATHER_BUSY_S = 0.02
GATHER_S = 0.002
RECLAIM_EVERY_S = 0.5
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class Report:
    """What one drive did."""

    delivered: int = 0
    later: int = 0
    dead: int = 0
    refused_lease: bool = False
    backlog_left: bool = False


@dataclass(slots=True)
class _Drive:
    """The state of one drive; see `drive`."""

    hub: Hub
    target: str
    handlers: Handlers
    wake: asyncio.Event
    # A name for each drive: what an earlier one of this process left behind is in nobody's hands, and runs out.
    owner: str = field(default_factory=clock.new_id)
    ready: deque[outbox.Claimed] = field(default_factory=deque)
    more: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    done: list[outbox.Settlement] = field(default_factory=list)
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    room: asyncio.Event = field(default_factory=asyncio.Event)
    in_flight: int = 0
    failures: int = 0
    # What we believe of the target, and what we last read or wrote of it.
    state: targets.Target = field(default_factory=lambda: targets.Target(""))
    stored: targets.Target = field(default_factory=lambda: targets.Target(""))
    probing: bool = False
    probe_s: float = 0.0
    reclaimed_at: datetime = _LONG_AGO
    report: Report = field(default_factory=Report)

    @property
    def rules(self) -> settings.Outbox:
        return self.hub.settings.outbox

    @property
    def held(self) -> int:
        return len(self.ready) + self.in_flight + len(self.done)

    @property
    def is_held_back(self) -> bool:
        """Whether nothing new may begin: the target is not active, and this is not its probe."""
        return self.state.state != targets.ACTIVE and not self.probing

    # ------------------------------------------------------------------------------------------- one message

    async def work(self) -> None:
        while True:
            await self.more.acquire()
            if not self.ready or self.is_held_back:
                continue  # handed back, or about to be: the target was suspended meanwhile
            message = self.ready.popleft()
            self.in_flight += 1
            try:
                settlement = await self.attempt(message)
            finally:
                self.in_flight -= 1
            self.done.append(settlement)
            self.settled.set()

    async def attempt(self, message: outbox.Claimed) -> outbox.Settlement:
        started_at, begun = self.hub.now(), time.perf_counter()
        failure: errors.HubError | None = None
        journal.about.set(journal.About(message.request_id, message.lane))
        try:
            await self.handlers[message.operation](self.hub, message)
        except errors.HubError as exc:
            failure = exc
        except Exception as exc:  # the run of a task: a defect must not stop the other messages
            _log.exception("a message met a defect", extra={"message_id": message.id})
            failure = errors.InternalFault(defect=type(exc).__name__)
        garbled = 0
        if isinstance(failure, errors.RemoteGarbled):
            garbled = await outbox.garbled_tries(self.hub.storage, message)
        verdict = verdicts.decide(
            failure,
            attempt=message.attempts,
            garbled=garbled,
            waited_s=(started_at - message.waiting_since).total_seconds(),
            rules=self.rules,
        )
        self.judge(verdict, failure)
        return outbox.Settlement(
            message=message,
            state=verdict.state,
            due_at=self.hub.now() + timedelta(seconds=verdict.after_s),
            # A look-up that failed itself leaves the question open.
            look_first=verdict.look_first or (failure is not None and message.look_first),
            code="ok" if failure is None else failure.code,
            detail="" if failure is None else str(failure),
            started_at=started_at,
            took_ms=(time.perf_counter() - begun) * 1000,
        )

    def judge(self, verdict: verdicts.Verdict, failure: errors.HubError | None) -> None:
        """Count what one attempt says about the target itself."""
        if verdict.state == "delivered":
            self.report.delivered += 1
        elif verdict.state == "dead":
            self.report.dead += 1
        else:
            self.report.later += 1
        if verdict.pause_target_s is not None and failure is not None:
            self.suspend(verdict.pause_target_s, failure)
        elif verdict.blames_target and failure is not None:
            self.failures += 1
            # Calls that were in flight when the target was suspended say nothing new; a failed probe does.
            if self.probing or (self.failures >= self.rules.suspend_after and self.state.state == targets.ACTIVE):
                self.probe_s = min(max(self.probe_s * 2, self.rules.probe_first_s), self.rules.probe_longest_s)
                self.suspend(self.probe_s, failure)
        elif failure is None or isinstance(failure, errors.RemoteRefused):
            self.failures = 0

    # -------------------------------------------------------------------------------------------- the target

    def suspend(self, for_s: float, failure: errors.HubError) -> None:
        if self.state.state == targets.PAUSED:
            return
        probe_at = self.hub.now() + timedelta(seconds=for_s)
        if self.state.state == targets.SUSPENDED and self.state.probe_at and self.state.probe_at > probe_at:
            return
        self.state = replace(
            self.state,
            state=targets.SUSPENDED,
            reason=f"{failure.code}: {failure.sentence('vi')}",
            failures_in_row=self.failures,
            probe_at=probe_at,
        )

    async def note_target(self, *, answered: bool) -> None:
        """Write the target's state where it differs from what is stored."""
        now, before = self.hub.now(), self.stored
        if answered and self.state.state == targets.SUSPENDED and self.failures == 0:
            self.state = targets.Target(self.target, last_success_at=now)
            self.probe_s = 0.0
        elif answered and _is_old(self.state.last_success_at, now):
            self.state = replace(self.state, last_success_at=now)
        if self.state == before:
            return
        became = self.state.state != before.state
        store = self.hub.storage
        async with store.transaction() as tx:
            if not await targets.put(tx, store, self.state, now=now, only_from=before.state):
                return  # a person paused it meanwhile: the next claim reads that
            if self.state.state == targets.ACTIVE and became:
                await outbox.hasten(tx, self.target, now=now)
            if became:
                facts = {"state": self.state.state, "reason": self.state.reason}
                await events.put(tx, f"targets.{self.state.state}", self.target, facts, now=now)
        self.stored = self.state
        if became:
            _log.warning("target changed", extra={"target": self.target, "state": self.state.state})

    async def end_pause(self, found: targets.Target) -> bool:
        """Resume a target that a person paused until a moment which has come (`probe_at` of a paused one)."""
        now, store = self.hub.now(), self.hub.storage
        if found.probe_at is None or found.probe_at > now:
            return False
        resumed = targets.Target(self.target, last_success_at=found.last_success_at)
        async with store.transaction() as tx:
            if not await targets.put(tx, store, resumed, now=now, only_from=targets.PAUSED):
                return False
            await outbox.hasten(tx, self.target, now=now)
            facts = {"state": targets.ACTIVE, "reason": "the pause ended as said"}
            await events.put(tx, "targets.active", self.target, facts, now=now)
        self.state = self.stored = resumed
        return True

    # ------------------------------------------------------------------------------------------- the batches

    async def claim(self) -> int:
        """Take what there is room for; one message where a suspended target is due for a probe."""
        store, now = self.hub.storage, self.hub.now()
        found = await targets.get(store, self.target)
        if found.state != self.stored.state:
            self.state = found
        self.stored = found
        limit = self.rules.batch
        if self.state.state == targets.PAUSED and not await self.end_pause(found):
            self.probing = False
            return 0
        if self.state.state == targets.SUSPENDED:
            if self.held or (self.state.probe_at and self.state.probe_at > now):
                return 0
            limit, self.probing = 1, True
        else:
            self.probing = False
        limit = min(limit, self.rules.max_concurrent + self.rules.batch - self.held)
        if limit <= 0:
            return 0
        if (now - self.reclaimed_at).total_seconds() >= RECLAIM_EVERY_S:
            await outbox.reclaim(store, self.target, owner=self.owner, now=now)
            self.reclaimed_at = now
        got = await outbox.claim(
            store,
            self.target,
            owner=self.owner,
            limit=limit,
            now=now,
            lease_s=self.rules.lease_s,
            even_if_later=self.probing,
        )
        self.ready.extend(got)
        for _ in got:
            self.more.release()
        return len(got)

    async def give_back(self) -> None:
        """Hand back what was claimed and not begun, when the target is suspended or the drive ends."""
        untouched = list(self.ready)
        self.ready.clear()
        await outbox.release(self.hub.storage, untouched, owner=self.owner)

    async def settle(self) -> None:
        """Write finished attempts, gathered for some milliseconds into one transaction."""
        while True:
            await self.settled.wait()
            await asyncio.sleep(GATHER_BUSY_S if self.in_flight > self.rules.max_concurrent // 4 else GATHER_S)
            self.settled.clear()
            await self.flush()

    async def flush(self, *, tries: int = 1_000_000) -> None:
        """Write what is finished; while the database is away, again and again.

        What cannot be written in the end is not lost: its lease runs out, and the next try looks first.
        """
        batch = self.done[:]
        if not batch:
            return
        pause_s = 0.1
        for attempt in range(tries):
            try:
                await outbox.settle(self.hub.storage, batch, owner=self.owner, now=self.hub.now())
                break
            except errors.StorageUnavailable:
                if attempt == tries - 1:
                    raise
                _log.warning("attempts cannot be written; trying again", extra={"attempts": len(batch)})
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, 2.0)
        del self.done[: len(batch)]
        self.room.set()
        await self.note_target(answered=any(item.state == "delivered" for item in batch))
        if self.is_held_back and self.ready:
            await self.give_back()


async def drive(
    hub: Hub,
    target: str,
    *,
    handlers: Handlers,
    stop: asyncio.Event,
    wake: asyncio.Event,
    idle_s: float | None = None,
    longest_s: float | None = None,
) -> Report:
    """Deliver the messages of one target until `stop`, or until nothing was due for `idle_s`, or `longest_s`.

    Returns at once where another worker drives the target. `wake` is set when a message was put; without it
    the outbox is looked at every `poll_s`.
    """
    run = _Drive(hub, target, handlers, wake)
    lease = f"drive:{target}"
    if not await leases.take(
        hub.storage, lease, owner=hub.owner, now=hub.now(), for_s=hub.settings.outbox.lease_s
    ):
        run.report.refused_lease = True
        return run.report
    workers = [asyncio.create_task(run.work()) for _ in range(hub.settings.outbox.max_concurrent)]
    beside = [asyncio.create_task(run.settle()), asyncio.create_task(_keep(run, lease))]
    try:
        await _pump(run, stop=stop, idle_s=idle_s, longest_s=longest_s, watch=beside)
    finally:
        await _wind_down(run, workers, beside)
        await leases.release(hub.storage, lease, owner=hub.owner)
    return run.report


async def _pump(
    run: _Drive,
    *,
    stop: asyncio.Event,
    idle_s: float | None,
    longest_s: float | None,
    watch: list[asyncio.Task[None]],
) -> None:
    loop = asyncio.get_running_loop()
    begun = quiet_since = loop.time()
    run.state = run.stored = await targets.get(run.hub.storage, run.target)
    while not stop.is_set():
        for task in watch:
            if task.done():
                task.result()
        run.room.clear()
        if run.is_held_back and run.ready:
            await run.give_back()
        # A low mark, so that a claim takes a whole batch and its cost is shared by many messages.
        got = await run.claim() if len(run.ready) <= run.rules.max_concurrent // 2 else 0
        now = loop.time()
        if got or run.held:
            quiet_since = now
        if longest_s is not None and now - begun > longest_s:
            run.report.backlog_left = bool(got or run.held)
            return
        if idle_s is not None and now - quiet_since > idle_s:
            return
        if not got:
            await _rest(run, stop)


async def _rest(run: _Drive, stop: asyncio.Event) -> None:
    """Wait until there may be something to claim: a settled attempt, a new message, or `poll_s` passed."""
    waits = [asyncio.ensure_future(event.wait()) for event in (run.room, run.wake, stop)]
    try:
        await asyncio.wait(waits, timeout=run.rules.poll_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiting in waits:
            waiting.cancel()
    run.wake.clear()


def _is_old(moment: datetime | None, now: datetime) -> bool:
    return moment is None or (now - moment).total_seconds() > 5


async def _keep(run: _Drive, lease: str) -> None:
    """Renew the lease on the target and on every claim of this drive, as long as it lasts."""
    hub, lease_s = run.hub, run.rules.lease_s
    while True:
        await asyncio.sleep(lease_s / 4)
        now: datetime = hub.now()
        if not await leases.take(hub.storage, lease, owner=hub.owner, now=now, for_s=lease_s):
            raise errors.StorageUnavailable("another worker took over this target", lease=lease)
        await outbox.renew(hub.storage, owner=run.owner, now=now, lease_s=lease_s)


async def _wind_down(run: _Drive, workers: list[asyncio.Task[None]], beside: list[asyncio.Task[None]]) -> None:
    """Let calls in flight end, write their outcome, give back the rest."""
    with contextlib.suppress(errors.StorageUnavailable):
        await run.give_back()
    for _ in range(600):
        if not run.in_flight:
            break
        await asyncio.sleep(0.05)
    for task in workers + beside:
        task.cancel()
    await asyncio.gather(*workers, *beside, return_exceptions=True)
    await run.flush(tries=5)
