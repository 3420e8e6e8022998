"""The parts that outside systems play for the hub; flows see these, never a vendor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from lienthong.core import errors, money, people, records


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


@runtime_checkable
class ResidentRegistry(Protocol):
    """A register that knows residents. Every question is logged over there, too, and counted against a quota."""

    name: str

    async def verify(self, question: people.ResidentQuestion, *, errand: people.Errand) -> bool:
        """Ask whether somebody with this number, name and birth exists.

        Raises RemoteForbids where the official or the hub is not accepted, RemoteBusy where the quota is used up.
        """
        ...

    async def look_up(self, question: people.ResidentQuestion, *, errand: people.Errand) -> people.Resident | None:
        """Ask for somebody's record; None where nobody is found or the data do not agree: it does not say which.

        Raises RemoteGarbled where several people come back: one is never picked.
        """
        ...


@runtime_checkable
class BusinessRegistry(Protocol):
    """A register that knows enterprises."""

    name: str

    async def find_enterprise(self, code: str, *, errand: people.Errand) -> people.Enterprise | None:
        """Ask for an enterprise by its code; None where there is none."""
        ...


@runtime_checkable
class SharedCatalogues(Protocol):
    """A system that keeps catalogues of codes for everybody (danh mục dùng chung)."""

    name: str

    async def catalogue_rows(self, name: str) -> Sequence[Mapping[str, str]]:
        """Give all rows of a catalogue. Raises RemoteRefused where it does not exist."""
        ...

    async def catalogue_columns(self, name: str) -> Sequence[CatalogueColumn]:
        """Give the columns of a catalogue."""
        ...

    def catalogue_names(self) -> Sequence[str]:
        """Name the catalogues that are known to be there; the source itself offers no list. Pure."""
        ...


class CatalogueColumn(records.Record):
    """One column of a shared catalogue, named as its owner names it."""

    code: str
    name: str
    type: str


@runtime_checkable
class DocumentStore(Protocol):
    """The electronic data store of citizens and organisations (kho quản lý dữ liệu điện tử)."""

    name: str

    async def find_papers(
        self,
        owner: str,
        wanted: Sequence[people.StoredPaperWanted],
        *,
        procedure_code: str,
        asked_by: str,
        requester_name: str,
        errand: people.Errand,
    ) -> Sequence[people.StoredPaper]:
        """Look for papers of an owner (number of citizen); `asked_by` is the number of the official who asks."""
        ...

    async def fetch_file(self, agency: str, path: str, *, errand: people.Errand) -> bytes:
        """Fetch one file. Raises RemoteGarbled where what comes is no file."""
        ...


@runtime_checkable
class IdentityProvider(Protocol):
    """A system where officials and operators sign in (đăng nhập)."""

    name: str

    def sign_in_address(self, *, redirect_uri: str, state: str, nonce: str, code_challenge: str) -> str:
        """Give the address to send the browser to. Pure."""
        ...

    async def exchange_code(
        self, code: str, *, redirect_uri: str, nonce: str, code_verifier: str
    ) -> people.SignedIn:
        """Change the code for who signed in. Raises RemoteRefused for a used or foreign code."""
        ...

    def sign_out_address(self, *, id_token: str, redirect_uri: str) -> str:
        """Give the address that ends the session over there; empty where there is none. Pure."""
        ...


@runtime_checkable
class PaymentProvider(Protocol):
    """An intermediary that carries payments. Only a callback that verifies, or a query, tells of money.

    `callback_name`: the last part of the address at which it calls the hub; empty where it never calls.
    """

    name: str
    callback_name: str

    async def start(self, order: money.PaymentOrder) -> money.PaymentStarted:
        """Ask for a payment. Raises RemoteRefused, or OutcomeUnknown where it is silent after sending."""
        ...

    def read_callback(self, request: money.CallbackRequest) -> money.PaymentNews:
        """Verify the signature over the raw message first, in constant time, then read it. Pure.

        Raises ProofRejected where the signature is wrong, RemoteGarbled where a signed message cannot be read.
        """
        ...

    def reply(self, request: money.CallbackRequest, outcome: money.CallbackOutcome) -> money.CallbackReply:
        """Write what the intermediary wants to hear for this outcome, the same for the same message. Pure."""
        ...

    async def query(self, order: money.PaymentOrder) -> money.PaymentNews:
        """Ask how an attempt stands; the answer's own signature is checked where it has one."""
        ...

    async def refund(self, order: money.RefundOrder) -> money.RefundNews:
        """Ask for money to be given back. Raises NotOffered where the intermediary has no such call."""
        ...

    async def receipt(self, order: money.PaymentOrder) -> money.ReceiptFile:
        """Fetch the receipt. Raises NotOffered where the intermediary issues none."""
        ...


@runtime_checkable
class AskingPaymentProvider(Protocol):
    """A provider whose callbacks do not prove everything by themselves, so that somebody is asked.

    Where a provider has this, the door calls `ask_callback` instead of `read_callback`.
    """

    async def ask_callback(self, request: money.CallbackRequest) -> money.PaymentNews:
        """Verify what the message itself proves, ask for the rest, and read it.

        Raises as `read_callback` and `query` do; never called inside a transaction.
        """
        ...


@runtime_checkable
class BillTeller(Protocol):
    """A provider that asks the hub what a dossier owes, at an address of its own (tra cứu khoản phải nộp).

    `tells_bills`: whether such a question is answered at all. It proves nothing of who asks, and the answer names
    a person: only where the settings name the addresses that may ask.
    """

    bill_lookup_name: str
    tells_bills: bool

    def read_bill_lookup(self, request: money.CallbackRequest) -> str:
        """Read which dossier is asked about. Raises InvalidRequest."""
        ...

    def bill_lookup_reply(
        self, order: money.PaymentOrder | None, *, is_known: bool, now: datetime
    ) -> money.CallbackReply:
        """Say what is owed; None where nothing is, `is_known` False where there is no such dossier. Pure."""
        ...


@runtime_checkable
class RefundAsked(Protocol):
    """A provider that can be asked how a refund stands which it took before."""

    async def query_refund(self, order: money.RefundOrder) -> money.RefundNews:
        """Ask how a refund stands: `done`, `refused`, or `pending` where nothing is known yet."""
        ...


@runtime_checkable
class PostalCarrier(Protocol):
    """A carrier of parcels."""

    name: str

    async def price(self, order: money.ParcelOrder) -> int:
        """Ask what a parcel costs, in đồng."""
        ...

    async def book(
        self, order: money.ParcelOrder, *, look_first: bool = False, cursor: str = ""
    ) -> money.ParcelBooked:
        """Book a parcel. A parcel that exists already is success; OutcomeUnknown where that cannot be known.

        `look_first`: an earlier try may have arrived, so what can be asked is asked before anything is sent again.
        `cursor`: where the feed stood before that try, for carriers that have a feed; empty: from its start.
        """
        ...

    async def cancel(self, order: money.ParcelOrder, *, carrier_reference: str) -> None:
        """Cancel a parcel that was not collected yet."""
        ...

    async def follow(self, *, cursor: str) -> money.TrackingPage:
        """Give the next page of the feed of all parcels. Raises NotOffered where there is no such feed."""
        ...

    async def track(self, waybill: str) -> money.TrackingPage:
        """Give all that is told of one parcel. Raises NotOffered where only the feed tells."""
        ...


@runtime_checkable
class ParcelCaller(Protocol):
    """A carrier that calls the hub with events; the door checks the address and the secret path before."""

    name: str

    def read_event(self, request: money.CallbackRequest) -> money.ParcelEvent:
        """Read one event. Pure. Raises RemoteGarbled where it cannot be read; events come in any order."""
        ...

    def reply(self, request: money.CallbackRequest, outcome: money.CallbackOutcome) -> money.CallbackReply:
        """Write what the carrier wants to hear for this outcome, the same for the same message. Pure."""
        ...
