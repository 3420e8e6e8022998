"""The parts that outside systems play for the hub; flows see these, never a vendor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from lienthong.core import errors, records


class Connector(Protocol):
    """What every connector can do, whatever its role."""

    name: str

    async def check(self) -> Sequence[records.CheckResult]:
        """Say whether the system can be used: settings, reachability, credentials. Changes nothing there."""
        ...

    async def close(self) -> None:
        """Give back connections; the connector is not used afterwards."""
        ...


@runtime_checkable
class ProcedureCatalogue(Protocol):
    """A system that publishes administrative procedures."""

    name: str

    async def list_procedures(self) -> Sequence[records.ListedProcedure]:
        """Give the whole list, in the source's order, duplicates and dirty codes as they came.

        Raises RemoteGarbled where the answer is not a whole list (a cursor that is stuck, a total that does
        not agree), so that a half list is never taken for a whole one when the source itself can tell.
        """
        ...

    async def get_procedure(self, listed: records.ListedProcedure) -> FetchedProcedure:
        """Fetch one procedure. Raises RemoteError or MappingError; the caller keeps the failure and goes on."""
        ...

    async def list_agencies(self) -> Sequence[records.AgencyRow]:
        """Give the national list of agencies, empty where the source has none."""
        ...

    async def list_fields(self) -> Sequence[records.FieldRow]:
        """Give the national list of fields of administration, empty where the source has none."""
        ...


class FetchedProcedure(records.Record):
    """A procedure with what was odd in the way it came."""

    procedure: records.Procedure
    oddities: tuple[records.Oddity, ...] = ()


@runtime_checkable
class DossierReceiver(Protocol):
    """A system that wants to hear how a dossier is getting on."""

    name: str

    def problems(self, snapshot: records.DossierSnapshot) -> Sequence[errors.FieldProblem]:
        """Name what this system would refuse in a snapshot. Pure; called before anything is promised."""
        ...

    def step_problems(self, step: records.ProgressStep) -> Sequence[errors.FieldProblem]:
        """Name what this system would refuse in a progress step. Pure."""
        ...

    async def put_dossier(
        self, snapshot: records.DossierSnapshot, *, known: bool, look_first: bool, message_id: str
    ) -> records.Receipt:
        """Make the system hold this state of the dossier.

        `known`: an earlier message of this dossier was delivered. `look_first`: an earlier try of this very
        message may have arrived. Safe to repeat. Never called inside a transaction.
        """
        ...

    async def append_progress(self, step: records.ProgressStep, *, message_id: str) -> records.Receipt:
        """Add one step to the dossier's progress. Not idempotent over there: repeat only after a refusal."""
        ...

    async def has_dossier(self, dossier_code: str) -> bool:
        """Ask whether the system holds the dossier."""
        ...
