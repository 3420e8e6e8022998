"""The gate: may this key call this operation now? The key, from where and when, the grant, the limits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from lienthong.api_keys import bounds, key_text, keys, limits, lookup, responses, uses
from lienthong.core import clock, errors

_MOST_ADDRESSES = 256  # remembered for one key


@dataclass(frozen=True, slots=True)
class Admission:
    """A request that may pass: who calls, with which generation of the key, and how the limits stand."""

    caller: keys.Caller
    decision: limits.Decision
    record: keys.KeyRecord
    generation: int


class Gate:
    """Decides for every request, in every process in the same way.

    Whatever it raises says in its facts what the record of the request needs: `key_id`, `generation` and
    `organisation` where the key is known, and `reason`, the rule that refused.
    """

    def __init__(self, finder: lookup.Lookup, limiter: limits.Limiter, counted: uses.Uses | None = None) -> None:
        self.lookup = finder
        self.limiter = limiter
        self.uses = counted

    async def start(self, now: datetime) -> None:
        """Get ready: what was used of the limits before a restart counts."""
        await self.limiter.start(now)
        if self.uses is not None:
            self.uses.start()

    async def stop(self) -> None:
        """Keep what must be kept."""
        try:
            if self.uses is not None:
                await self.uses.stop()
        finally:
            await self.limiter.stop()

    async def admit(self, text: str | None, operation: str, *, address: str, now: datetime) -> Admission:
        """Let a request pass or say why not.

        Raises KeyRejected, NotGranted, LimitExceeded, or CapacityReduced where the shortage is ours. Why a key
        was rejected stands in the facts (`reason`), for the journal only.
        """
        known = await self.identify(text, address=address, now=now)
        return await self.admit_known(known, operation, address=address, now=now)

    async def admit_known(
        self, known: lookup.Known, operation: str, *, address: str, now: datetime, personal: bool = False
    ) -> Admission:
        """Let a request of a key that was found in use pass, or say why not.

        `personal`: the operation is on personal data, which closes when limits were counted alone for too long.
        """
        served = False
        try:
            self.allow(known, operation, address=address, now=now)
            wanted = known.limits
            if known.held_back:
                wanted = responses.narrowed(wanted, known.held_back, caller=known.caller, now=now)
            decision = await self.limiter.take(known.caller.key_id, wanted, operation, now)
            if not decision.allowed:
                _over(known.caller, decision)
            if personal and decision.closes_personal:
                self.limiter.give_back(known.caller.key_id, decision.ticket)
                raise errors.CapacityReduced(reason="capacity", retry_after_s=5, **_of(known.caller))
            served = True
        finally:
            self._count(known, address, now, served=served)
        return Admission(known.caller, decision, known.record, known.generation.number)

    def leave(self, admission: Admission) -> None:
        """Say that an admitted request has its answer: it is no longer in flight. Exactly once for each."""
        self.limiter.give_back(admission.caller.key_id, admission.decision.ticket)

    async def identify(self, text: str | None, *, address: str, now: datetime) -> lookup.Known:
        """Find the key behind a text and insist that it is in use. Raises KeyRejected."""
        if not text:
            raise errors.KeyRejected(
                "No API key came with the request; put it in the header X-API-Key.",
                detail_vi="Yêu cầu không kèm khoá API; hãy đặt khoá trong tiêu đề X-API-Key.",
                reason="missing",
            )
        if not self.lookup.has_met(text) and not key_text.is_well_formed(text):
            raise _rejected(reason="malformed")
        known = await self.lookup.find(text)
        if known is None:
            raise _rejected(reason="unknown", prefix=key_text.prefix(text))
        self.must_be_in_use(known, address=address, now=now)
        return known

    def must_be_in_use(self, known: lookup.Known, *, address: str, now: datetime) -> None:
        """Insist that the key, and the generation presented, are worth something now. Raises KeyRejected."""
        state: str = known.record.state(now)
        if state == "active" and known.generation.is_over(now):
            state = "generation_ended"
        if state != "active":
            self._count(known, address, now, served=False)
            raise _rejected(reason=state, prefix=known.generation.prefix, **_of(known.caller))

    def allow(self, known: lookup.Known, operation: str, *, address: str, now: datetime) -> None:
        """Insist that the key may be used from here, at this hour, for this operation. Raises NotGranted."""
        caller = known.caller
        if not _is_inside(known, address):
            raise errors.NotGranted(
                f"The key {caller.prefix}… may not be used from the address {address}; "
                "ask the unit that issues keys to add it.",
                detail_vi=f"Khoá {caller.prefix}… không được dùng từ địa chỉ {address}; "
                "hãy đề nghị đơn vị quản lý khoá thêm địa chỉ này.",
                reason="address",
                **_of(caller),
            )
        if not _is_within(known, now):
            said, at = "; ".join(known.record.hours), f"{now.astimezone(clock.VIETNAM):%H:%M}"
            raise errors.NotGranted(
                f"The key {caller.prefix}… may be used only at these hours (Vietnam time): {said}; "
                f"it is {at} now.",
                detail_vi=f"Khoá {caller.prefix}… chỉ được dùng trong các giờ (giờ Việt Nam): {said}; "
                f"bây giờ là {at}.",
                reason="hours",
                **_of(caller),
            )
        if not caller.may(operation):
            raise errors.NotGranted(
                f"The key {caller.prefix}… has not been granted {operation}; ask the unit that issues keys.",
                detail_vi=f"Khoá {caller.prefix}… chưa được cấp quyền {operation}; "
                "hãy đề nghị đơn vị quản lý khoá.",
                reason="grant",
                **_of(caller),
            )

    def _count(self, known: lookup.Known, address: str, now: datetime, *, served: bool) -> None:
        if self.uses is not None:
            number = known.generation.number
            self.uses.note(known.record.id, number, address=address, now=now, served=served)


def _is_inside(known: lookup.Known, address: str) -> bool:
    found = known.inside.get(address)
    if found is None:
        found = bounds.is_inside(address, known.addresses)
        if len(known.inside) < _MOST_ADDRESSES:
            known.inside[address] = found
    return found


def _is_within(known: lookup.Known, now: datetime) -> bool:
    """Hold a moment against the hours, which are whole minutes: once for each minute."""
    if not known.hours:
        return True
    minute = int(now.timestamp() // 60)
    if known.within[0][0] != minute:
        known.within[0] = (minute, bounds.is_within(now, known.hours))
    return known.within[0][1]


def _of(caller: keys.Caller) -> dict[str, Any]:
    """Give what the record of a refused request keeps of the caller."""
    return {"key_id": caller.key_id, "generation": caller.generation, "organisation": caller.organisation}


def _rejected(**facts: Any) -> errors.KeyRejected:
    """Say the same to everybody: why stands in the facts, which only the journal sees."""
    return errors.KeyRejected(
        "The API key is not valid. Check it letter by letter, or ask the unit that issued it.",
        detail_vi="Khoá API không hợp lệ. Hãy kiểm tra lại từng ký tự, hoặc hỏi đơn vị đã cấp khoá.",
        **facts,
    )


def _over(caller: keys.Caller, decision: limits.Decision) -> NoReturn:
    facts: dict[str, Any] = {
        "retry_after_s": decision.retry_after_s,
        "decision": decision,
        "reason": "capacity" if decision.reduced else "limit:" + ",".join(decision.violated),
        **_of(caller),
    }
    if decision.reduced:
        raise errors.CapacityReduced(**facts)
    spent = [policy for policy in decision.policies if policy.name in decision.violated]
    said = ", ".join(_words(policy) for policy in spent)
    raise errors.LimitExceeded(
        f"The key {caller.prefix}… may call {said} and has used that up; wait for the time in Retry-After.",
        detail_vi=f"Khoá {caller.prefix}… được gọi tối đa {said} và đã dùng hết; "
        "hãy chờ hết thời gian ghi trong Retry-After.",
        **facts,
    )


def _words(policy: limits.Policy) -> str:
    """Write a limit as it was stated; one without a window counts what is in flight."""
    return f"{policy.quota}/{policy.name}" if policy.window_s else f"{policy.quota} ({policy.name})"
