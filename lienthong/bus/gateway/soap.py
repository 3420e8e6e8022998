"""The SOAP door `/soap/v1`: every operation in SOAP 1.1 and 1.2, document/literal wrapped, and the WSDL."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import BaseModel

from lienthong.api_keys import gate, lookup, tokens
from lienthong.bus import operations
from lienthong.bus.gateway import (
    answers,
    bodies,
    doors,
    entrance,
    soap_codec,
    soap_envelope,
    soap_faults,
    soap_login,
    soap_reading,
    soap_schema,
    soap_security,
    soap_types,
    soap_xroad,
    visit,
)
from lienthong.bus.hub import Hub
from lienthong.core import crypto, errors

PATH = b"/soap/v1"
DOOR = "soap"
_ALLOWED = "GET, HEAD, OPTIONS, POST"
_TAG = f"{{{soap_schema.NAMESPACE}}}"
_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")


class _Speech(NamedTuple):
    """What the door says and understands; it follows from the table of operations alone, and never changes."""

    plan: soap_types.Plan
    codec: soap_codec.Codec
    reader: soap_reading.Reader
    shown: dict[bytes, str]


# Making it takes a tenth of a second, and every gateway of a process has the same.
@functools.lru_cache(maxsize=2)
def _speech(table: tuple[operations.Operation, ...]) -> _Speech:
    plan = soap_types.Plan(table)
    codec = soap_codec.Codec(plan)
    xroad = soap_schema.Extra(soap_xroad.types(), soap_xroad.message(), soap_xroad.headers())
    described = soap_schema.description(plan)
    shown = {
        b"wsdl": described,
        b"singlewsdl": described,
        b"wsdl=xroad": soap_schema.description(plan, xroad),
        b"xsd": soap_schema.schema(plan),
    }
    return _Speech(plan, codec, soap_reading.Reader(plan, codec), shown)


class Soap:
    """The door: plan, schema and codec are made once for a table. Raises Misconfigured."""

    def __init__(
        self,
        hub: Hub,
        gatekeeper: gate.Gate,
        doorkeeper: entrance.Entrance,
        table: Sequence[operations.Operation],
    ) -> None:
        self.hub = hub
        self.plan, self.codec, self.reader, self._shown = _speech(tuple(table))
        self.login = soap_login.Login(hub, gatekeeper)
        self.entrance = doorkeeper

    async def meet(self, coming: visit.Visit, receive: bodies.Receive) -> doors.Request | answers.Answer:
        """See doors.Door. Raises InvalidRequest, NotFound, MethodNotAllowed."""
        coming.route, coming.soap_version = PATH.decode(), soap_envelope.version_of(coming.headers)
        if coming.method == "OPTIONS":
            coming.operation = "options"
            return answers.nothing(_ALLOWED)
        if coming.method in ("GET", "HEAD"):
            return self._show(coming)
        if coming.method != "POST":
            raise errors.MethodNotAllowed(allow=_ALLOWED)
        raw = await soap_envelope.read(receive, coming.headers, self.hub.settings.gateway)
        coming.bytes_in = len(raw)
        envelope = soap_envelope.parse(raw, self.hub.settings.gateway)
        coming.soap_version = envelope.version
        _choose_language(coming, envelope)
        call = self._call(coming, envelope)
        if call.operation.name.startswith(visit.HAS_DOSSIER):
            coming.note_dossier(call.operation.name, {"code": envelope.child.findtext(f"{_TAG}code") or ""})
        return _SoapRequest(self, coming, envelope, call, raw)

    def problem(self, coming: visit.Visit, exc: errors.HubError) -> answers.Answer:
        """See doors.Door: a fault for a message, the ordinary form for who only came to read the WSDL."""
        if coming.method in ("GET", "HEAD"):
            return answers.problem(exc, language=coming.language, request_id=coming.request_id)
        version = coming.soap_version or soap_envelope.version_of(coming.headers)
        return soap_faults.fault(exc, version=version, language=coming.language, request_id=coming.request_id)

    async def stop(self) -> None:
        """Give back what is held."""
        await self.login.stop()

    def _show(self, coming: visit.Visit) -> answers.Answer:
        coming.operation = "soap.wsdl"
        shown = self._shown.get(coming.query.lower())
        if shown is None:
            raise errors.NotFound(
                "Messages are POSTed to this address; its description is at ?wsdl.",
                detail_vi="Địa chỉ này nhận thông điệp SOAP bằng POST; bản mô tả ở ?wsdl.",
            )
        told = shown.replace(soap_schema.ADDRESS_MARK, self._address(coming)).encode()
        return answers.Answer(200, told, [(b"content-type", b"text/xml; charset=utf-8")])

    def _address(self, coming: visit.Visit) -> str:
        """Give the address that callers use: as set, else by the Host that came."""
        place = self.hub.settings.gateway
        host = coming.headers.get(b"host", b"").decode("latin-1")
        if not _HOST.fullmatch(host):
            host = f"{place.host}:{place.port}"
        scheme = "https" if coming.scheme == "https" else "http"
        return f"{self.hub.settings.proof.public_url or f'{scheme}://{host}'}{PATH.decode()}"

    def _call(self, coming: visit.Visit, envelope: soap_envelope.Envelope) -> soap_types.Call:
        space, _, name = str(envelope.child.tag).rpartition("}")
        call = self.plan.calls.get(name) if space + "}" == _TAG else None
        if call is None:
            raise errors.NotFound(
                f"The Body names no operation of this door; elements are in {soap_schema.NAMESPACE}, see ?wsdl.",
                detail_vi=f"Body không nêu thao tác nào của cửa này; phần tử thuộc {soap_schema.NAMESPACE}, "
                "xem ?wsdl.",
            )
        action = coming.headers.get(b"soapaction", b"").decode("latin-1").strip().strip('"')
        if action not in ("", name, soap_schema.action(name)):
            # A guard on the way may have looked at the header only.
            raise soap_envelope.refused(
                "SOAPAction nêu thao tác khác với Body.",
                "SOAPAction names another operation than the Body.",
                field="SOAPAction",
                reason="soap_action",
            )
        return call


class _SoapRequest:
    __slots__ = ("_call", "_coming", "_door", "_envelope", "_print", "_raw", "_security", "operation")

    def __init__(
        self,
        door: Soap,
        coming: visit.Visit,
        envelope: soap_envelope.Envelope,
        call: soap_types.Call,
        raw: bytes,
    ) -> None:
        self.operation = call.operation
        self._door = door
        self._coming = coming
        self._envelope = envelope
        self._call = call
        self._raw = raw

    async def identify(self) -> tuple[lookup.Known, tokens.Token | None]:
        self._security = soap_security.read(self._envelope)
        return await self._door.login.identify(self._coming, self._security, self._door.entrance)

    async def take_in(self, receive: bodies.Receive) -> bytes:
        return self._raw

    async def signer(self) -> crypto.Certificate | None:
        return await self._door.login.signer(self._envelope, self._security, now=self._coming.at)

    def read(self) -> operations.Asked:
        assertion = self._envelope.text("officialAssertion")
        if assertion is not None:
            if self._coming.assertion is not None:
                raise soap_envelope.refused(
                    "Lời chứng của cán bộ được gửi hai lần: trong Header SOAP và trong tiêu đề HTTP.",
                    "The official's assertion came twice: in the SOAP Header and in the HTTP header.",
                    field="officialAssertion",
                )
            self._coming.assertion = assertion
        asked, self._print = self._door.reader.read(self._call, self._envelope.child)
        return asked

    def fingerprint(self) -> bytes:
        # Not the envelope: its nonce and its signature are new each time.
        return f"soap {self._envelope.version} ".encode() + self._print()

    def answer(self, result: BaseModel) -> answers.Answer:
        content = self._door.codec.write(self.operation.name, result)
        return soap_envelope.answer(
            self._envelope.version, content, header=soap_xroad.echoed(self._envelope.header)
        )


def _choose_language(coming: visit.Visit, envelope: soap_envelope.Envelope) -> None:
    said = envelope.text("acceptLanguage")
    if said is not None:
        coming.language = answers.language(said[:200].encode("latin-1", "replace"))
