"""The door for systems that call back: no key, but an address, a pace, and a proof in the message itself."""

from __future__ import annotations

import functools
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import unquote_to_bytes

from lienthong.bus.gateway import addresses, answers, bodies, book, routes, visit
from lienthong.bus.hub import Hub
from lienthong.connectors import registry, roles
from lienthong.core import errors, money

PATH = b"/callbacks/"
DOOR = "callback"
MOST_BYTES = 256 * 1024
_ALLOWED = "GET, OPTIONS, POST"
_LONGEST_NAME = 300
_MOST_ADDRESSES = 10_000
# What the record says of a message that was answered in its sender's own words, often with HTTP 200.
_DECIDED: dict[str, type[errors.HubError]] = {
    "forged": errors.ProofRejected,
    "address_refused": errors.NotGranted,
    "unreadable": errors.InvalidRequest,
    "unknown_reference": errors.NotFound,
    "amount_differs": errors.Conflict,
    "failed": errors.HubFault,
}

Flow = Callable[[Hub, str, money.CallbackRequest], Awaitable[money.CallbackReply]]


class Pace:
    """How quickly one address may send: `per_minute` at once, then evenly. Counted by this process alone."""

    def __init__(self, per_minute: int) -> None:
        self._gap_s = 60.0 / per_minute
        self._free_at_s: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, address: str, now_s: float) -> float:
        """Take one message of an address; 0, or how long it must wait before it is taken."""
        key = addresses.one_sender(address)
        free_at_s = max(now_s, self._free_at_s.pop(key, 0.0))
        early_s = free_at_s + self._gap_s - now_s - 60.0
        is_taken = early_s <= 1e-9
        self._free_at_s[key] = free_at_s + (self._gap_s if is_taken else 0.0)
        if len(self._free_at_s) > _MOST_ADDRESSES:
            self._free_at_s.popitem(last=False)
        return 0.0 if is_taken else early_s


class Callbacks:
    """The door. A message is answered as its sender wants it, whatever becomes of it; never with a 500.

    `flows` says who takes a message, by the role that the contract's connector plays.
    """

    def __init__(self, hub: Hub, kept: book.Book, flows: Sequence[tuple[type, Flow]]) -> None:
        self.hub = hub
        self._book = kept
        self._flows = flows
        self._pace = Pace(hub.settings.gateway.callbacks_per_minute)
        self._senders = {
            name: addresses.Addresses(allowed)
            for name, section in hub.settings.systems.items()
            if name in hub.systems and (allowed := registry.callback_addresses(name, section))
        }

    async def meet(self, coming: visit.Visit, receive: bodies.Receive) -> answers.Answer:
        """See doors.Door. Raises NotFound, MethodNotAllowed, LimitExceeded, and what a body may be refused for."""
        coming.route = "/callbacks/{contract}/{name…}"
        contract, name = _places(coming.path)
        flow = self._flow(contract)
        coming.operation = f"callbacks.{contract}"
        if coming.method == "OPTIONS":
            return answers.nothing(_ALLOWED)
        if coming.method not in ("GET", "POST"):
            raise errors.MethodNotAllowed(allow=_ALLOWED)
        wait_s = self._pace.wait_s(coming.address, time.monotonic())
        if wait_s:
            raise errors.LimitExceeded(retry_after_s=wait_s, reason="callbacks_per_minute")
        limits = self.hub.settings.gateway
        raw = await bodies.read_raw(receive, coming.headers, MOST_BYTES, timeout_s=limits.body_timeout_s)
        coming.bytes_in = len(raw)
        request = money.CallbackRequest(
            name=name,
            method=coming.method,
            query=coming.query.decode("latin-1"),
            headers={key.decode("latin-1"): value.decode("latin-1") for key, value in coming.headers.items()},
            body=raw,
            address=coming.address,
        )
        return await self._answer(coming, contract, flow, request)

    async def _answer(
        self, coming: visit.Visit, contract: str, flow: Flow, request: money.CallbackRequest
    ) -> answers.Answer:
        write = functools.partial(self.hub.system(contract).reply, request)
        # From here on the sender hears its own words, also where the hub fails: it will call again.
        coming.fallback = write("failed")
        known = self.hub.systems.get(contract)
        coming.is_personal = isinstance(known, roles.BillTeller) and request.name == known.bill_lookup_name
        self._book.must_be_writable(personal=coming.is_personal)
        senders = self._senders.get(contract)
        if senders is not None and not senders.trusts(coming.address):
            return _said(coming, write("address_refused"), "address_refused")
        reply = await flow(self.hub, contract, request)
        return _said(coming, reply, reply.outcome)

    def problem(self, coming: visit.Visit, exc: errors.HubError) -> answers.Answer:
        """See doors.Door."""
        if coming.fallback is None or isinstance(exc, errors.NotFound):
            told = answers.problem(exc, language=coming.language, request_id=coming.request_id)
        else:
            told = _written(coming.fallback)
            told.outcome = exc.code
        told.decided, told.status = exc.status, 503 if told.status == 500 else told.status
        return told

    async def stop(self) -> None:
        """Nothing is held."""

    def _flow(self, contract: str) -> Flow:
        connector = self.hub.systems.get(contract)
        for role, flow in self._flows:
            if isinstance(connector, role):
                return flow
        raise _nothing_here()


def _said(coming: visit.Visit, reply: money.CallbackReply, outcome: str | None) -> answers.Answer:
    """Send a reply; for the record it is what became of the message, not what its sender wants to hear."""
    told = _written(reply)
    coming.reason = outcome or coming.reason
    refusal = _DECIDED.get(outcome or "")
    if refusal is not None:
        told.decided, told.outcome = refusal.status, refusal.code
    if told.status == 500:
        told.status = 503
    return told


def _written(reply: money.CallbackReply) -> answers.Answer:
    kind = reply.content_type.encode("latin-1", "replace")
    return answers.Answer(reply.status, reply.body, [(b"content-type", kind)] if reply.body else [])


def _places(path: bytes) -> tuple[str, str]:
    """Read contract and name out of `/callbacks/<contract>/<name…>`. Raises NotFound."""
    try:
        text = unquote_to_bytes(path[len(PATH) :]).decode("utf-8")
    except UnicodeDecodeError:
        raise _nothing_here() from None
    contract, _, name = text.partition("/")
    if not contract or not name or len(name) > _LONGEST_NAME or routes.CONTROL.search(text):
        raise _nothing_here()
    return contract, name


def _nothing_here() -> errors.NotFound:
    return errors.NotFound(
        "No system that is connected here calls back at this address.",
        detail_vi="Không có hệ thống nào đang kết nối gọi lại ở địa chỉ này.",
    )
