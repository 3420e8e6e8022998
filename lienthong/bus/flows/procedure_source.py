"""Asking the source of procedures with patience: what may pass is asked again, silence as a whole ends the run."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

from lienthong.connectors import roles
from lienthong.core import errors, records

TRIES = 3
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
LONGEST_WAIT_S = 60.0
# After so many failures in a row it is the source that fails, not the records.
ROW_OF_FAILURES = 10
# One refusal of the account may be a session that ran out twice; asking on and on may lock the account.
ROW_OF_REFUSALS = 3


class Silent(Exception):
    """The source as a whole does not serve any more; `error` is what it said last."""

    def __init__(self, error: errors.HubError) -> None:
        self.error = error
        super().__init__(str(error))


class Line:
    """The line to one source, shared by everybody who fetches in a run."""

    def __init__(self, source: roles.ProcedureCatalogue, *, patience_s: float) -> None:
        self._source = source
        self._patience_s = patience_s
        self._failures_in_row = 0
        self._refusals_in_row = 0
        self._last_success = time.monotonic()

    async def list_procedures(self) -> Sequence[records.ListedProcedure]:
        """Give the list; raises what the source said after the last try."""
        for attempt in range(1, TRIES):
            try:
                return await self._source.list_procedures()
            except errors.RemoteError as exc:
                if not exc.retry:
                    raise
                await asyncio.sleep(_pause_s(attempt, exc))
        return await self._source.list_procedures()

    async def get_procedure(self, listed: records.ListedProcedure) -> roles.FetchedProcedure:
        """Fetch one procedure, asking a few times where that may help.

        While the whole source fails, everybody waits here instead of failing record by record. Raises Silent
        where that lasts too long, or where the source no longer accepts the hub.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                fetched = await self._source.get_procedure(listed)
            except errors.RemoteForbids as exc:
                self._refusals_in_row += 1
                if self._refusals_in_row >= ROW_OF_REFUSALS:
                    raise Silent(exc) from exc
                if attempt >= TRIES:
                    raise
                await asyncio.sleep(_pause_s(attempt, exc))
                continue
            except errors.RemoteError as exc:
                if not exc.retry or not self._may_ask_again(attempt, exc):
                    raise
                await asyncio.sleep(_pause_s(attempt, exc))
                continue
            self._failures_in_row = self._refusals_in_row = 0
            self._last_success = time.monotonic()
            return _checked(listed, fetched)

    def _may_ask_again(self, attempt: int, exc: errors.RemoteError) -> bool:
        if attempt < TRIES:
            return True
        self._failures_in_row += 1
        if self._failures_in_row < ROW_OF_FAILURES:
            return False
        if time.monotonic() - self._last_success > self._patience_s:
            raise Silent(exc) from exc
        return True


def unreadable(listed: records.ListedProcedure, exc: Exception) -> errors.RemoteGarbled:
    """Name a record that is not what a procedure must be."""
    return errors.RemoteGarbled(
        f"the record of this procedure cannot be read: {type(exc).__name__}",
        detail_vi="Bản ghi của thủ tục này không đọc được.",
        procedure=listed.code.strip(),
    )


def _checked(listed: records.ListedProcedure, fetched: roles.FetchedProcedure) -> roles.FetchedProcedure:
    """Refuse the detail of another procedure: it would overwrite this one."""
    if fetched.procedure.code.strip() != listed.code.strip():
        raise errors.RemoteGarbled(
            f"asked for {listed.code.strip()}, the source gave {fetched.procedure.code.strip()}",
            detail_vi=f"Hỏi thủ tục {listed.code.strip()}, nguồn trả thủ tục {fetched.procedure.code.strip()}.",
        )
    return fetched


def _pause_s(attempt: int, exc: errors.HubError) -> float:
    if exc.retry_after_s is not None:
        return min(exc.retry_after_s, LONGEST_WAIT_S)
    longest = min(FIRST_PAUSE_S * 2 ** min(attempt, 10), LONGEST_PAUSE_S)
    return random.uniform(longest / 2, longest)
