"""An outside system that publishes procedures, small enough to be told what to do in a test."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lienthong.bus import hub as hubs
from lienthong.connectors import roles
from lienthong.core import crypto, errors, journal, records, settings, storage, subjects, working_days

MONDAY = datetime(2026, 7, 20, 2, 0, tzinfo=UTC)  # nine o'clock in Vietnam


class Source:
    """Plays a ProcedureCatalogue from records in memory; counts what it is asked."""

    def __init__(self, name: str = "dvcqg_adapter", *, fingerprints: bool = False) -> None:
        self.name = name
        self.fingerprints = fingerprints
        self.procedures: dict[str, records.Procedure] = {}
        self.oddities: dict[str, tuple[records.Oddity, ...]] = {}
        self.failures: dict[str, list[Exception]] = {}
        self.rows: list[records.ListedProcedure] | None = None
        self.list_failures: list[Exception] = []
        self.agencies: list[records.AgencyRow] = []
        self.asked: Counter[str] = Counter()
        self.recover: set[str] = set()
        self.stopped = asyncio.Event()
        self._stop_at: int | None = None
        self._woken = asyncio.Event()

    def publish(self, *procedures: records.Procedure) -> None:
        """Put procedures into the catalogue, or new forms of them."""
        self.procedures |= {procedure.code: procedure for procedure in procedures}

    def stop_after(self, count: int) -> None:
        """Hang when so many details more have been given; `stopped` tells when."""
        self.asked.clear()
        self._stop_at = count

    def go_on(self) -> None:
        """Hang no more; who hangs, still does."""
        self.asked.clear()
        self._stop_at = None

    def wake(self) -> None:
        """Answer those who hang."""
        self._woken.set()

    async def list_procedures(self) -> Sequence[records.ListedProcedure]:
        """Give the list, or the rows that the test has set."""
        if self.list_failures:
            raise self.list_failures.pop(0)
        return self.rows if self.rows is not None else [self.row(found) for found in self.procedures.values()]

    def row(self, found: records.Procedure) -> records.ListedProcedure:
        """Make the list's row of a procedure."""
        mark = str(hash(found.model_dump_json())) if self.fingerprints else ""
        return records.ListedProcedure(code=found.code, name=found.name, key=found.code, fingerprint=mark)

    async def get_procedure(self, listed: records.ListedProcedure) -> roles.FetchedProcedure:
        """Give one procedure, or fail as often as the test has set."""
        code = listed.code.strip()
        self.asked[code] += 1
        if self._stop_at is not None and self.asked.total() > self._stop_at:
            self.stopped.set()
            await self._woken.wait()
        await asyncio.sleep(0)
        if waiting := self.failures.get(code):
            raise waiting.pop(0) if len(waiting) > 1 or code in self.recover else waiting[0]
        return roles.FetchedProcedure(procedure=self.procedures[code], oddities=self.oddities.get(code, ()))

    async def list_agencies(self) -> Sequence[records.AgencyRow]:
        """Give the agencies."""
        return self.agencies

    async def list_fields(self) -> Sequence[records.FieldRow]:
        """Give the fields."""
        return [records.FieldRow(code="G15-TP07", name="Hộ tịch", sector="G15")]

    async def check(self) -> Sequence[records.CheckResult]:
        """Nothing to check."""
        return []

    async def close(self) -> None:
        """Nothing to close."""


def procedure(code: str, name: str = "", **fields: object) -> records.Procedure:
    """Make a procedure with what every one has."""
    base: dict[str, object] = {
        "fields": [{"code": "G15-TP07", "name": "Hộ tịch"}],
        "publishing_agency": {"code": "G15", "name": "Bộ Tư pháp"},
        "decision": {"number": "163/QĐ-BTP"},
        "levels": ["commune"],
    }
    return records.Procedure.model_validate({**base, **fields, "code": code, "name": name or f"Thủ tục số {code}"})


def some(count: int, *, start: int = 1) -> list[records.Procedure]:
    """Make so many procedures."""
    return [procedure(f"1.{number:06d}") for number in range(start, start + count)]


def unavailable() -> errors.RemoteUnavailable:
    """Make the failure of a source that does not answer."""
    return errors.RemoteUnavailable("no answer", detail_vi="không trả lời", system="dvcqg_adapter")


class Clock:
    """A clock that the test sets."""

    def __init__(self, at: datetime = MONDAY) -> None:
        self.at = at

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.at

    def forward(self, **by: float) -> None:
        """Let time pass."""
        self.at += timedelta(**by)


@asynccontextmanager
async def opened(url: str, home: Path, *sources: Source, clock: Clock, **sync: object) -> AsyncIterator[hubs.Hub]:
    """Open a hub over a database with these sources for systems."""
    store = storage.Storage(url)
    chosen = settings.Settings.model_validate({"home": home, "sync": {"concurrency": 4, "batch": 10, **sync}})
    hub = hubs.Hub(
        settings=chosen,
        storage=store,
        vault=crypto.Vault.from_master(bytes(32)),
        journal=journal.Journal(store),
        calendar=working_days.load(),
        systems={source.name: source for source in sources},
        subjects=subjects.Subjects(home),
        now=clock,
    )
    try:
        yield hub
    finally:
        await hub.journal.flush()
        await store.close()
