"""The gate: may this key call this operation now? First the key, then the grant, then the limits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from lienthong.api_keys import key_text, keys, limits, lookup
from lienthong.core import errors


@dataclass(frozen=True, slots=True)
class Admission:
    """A request that may pass: who calls, and how the limits stand."""

    caller: keys.Caller
    decision: limits.Decision


class Gate:
    """Decides for every request, in every process in the same way."""

    def __init__(self, finder: lookup.Lookup, limiter: limits.Limiter) -> None:
        self.lookup = finder
        self.limiter = limiter

    async def admit(self, text: str | None, operation: str, *, address: str, now: datetime) -> Admission:
        """Let a request pass or say why not.

        Raises KeyRejected, NotGranted, LimitExceeded, or CapacityReduced where the shortage is ours. Why a key
        was rejected stands in the facts (`reason`), for the journal only.
        """
        if not text:
            raise errors.KeyRejected(
                "No API key came with the request; put it in the header X-API-Key.",
                detail_vi="Yêu cầu không kèm khoá API; hãy đặt khoá trong tiêu đề X-API-Key.",
                reason="missing",
            )
        known = await self._valid(text, now)
        caller = known.caller
        if not caller.may(operation):
            raise errors.NotGranted(
                f"The key {caller.prefix}… has not been granted {operation}; ask the unit that issues keys.",
                detail_vi=f"Khoá {caller.prefix}… chưa được cấp quyền {operation}; "
                "hãy đề nghị đơn vị quản lý khoá.",
                key_id=caller.key_id,
                organisation=caller.organisation,
            )
        decision = await self.limiter.take(caller.key_id, known.limits, operation, now)
        if not decision.allowed:
            _over(caller, decision)
        return Admission(caller, decision)

    async def _valid(self, text: str, now: datetime) -> lookup.Known:
        if not key_text.is_well_formed(text):
            raise _rejected(reason="malformed")
        known = await self.lookup.find(text)
        if known is None:
            raise _rejected(reason="unknown", prefix=key_text.prefix(text))
        state = known.record.state(now)
        if state != "active":
            raise _rejected(
                reason=state,
                prefix=known.caller.prefix,
                key_id=known.caller.key_id,
                organisation=known.caller.organisation,
            )
        return known


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
        "key_id": caller.key_id,
        "organisation": caller.organisation,
        "decision": decision,
    }
    if decision.reduced:
        raise errors.CapacityReduced(**facts)
    spent = [policy for policy in decision.policies if policy.name in decision.violated]
    said = ", ".join(f"{policy.quota}/{policy.name}" for policy in spent)
    raise errors.LimitExceeded(
        f"The key {caller.prefix}… may call {said} and has used that up; wait for the time in Retry-After.",
        detail_vi=f"Khoá {caller.prefix}… được gọi tối đa {said} và đã dùng hết; "
        "hãy chờ hết thời gian ghi trong Retry-After.",
        **facts,
    )
