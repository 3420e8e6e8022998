"""The SOAP border: zeep writes and types, our own HTTP client carries, our own safe reader reads.

A WSDL comes from local files, or is fetched once and pinned by digest; nothing is ever loaded while calling.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from lxml import etree

from lienthong.connectors import base, http, roads, soap_documents, soap_reading, soap_rows, soap_template
from lienthong.core import errors, xml_reading

_FAULT_STATUSES: Final = frozenset({400, 500})
_CREDENTIAL_WORDS: Final = ("auth", "security", "forbidden", "permission", "accessdenied")
_XROAD: Final = "http://x-road.eu/xsd/xroad.xsd"
_HAS_XSI: Final = etree.XPath("boolean(//@*[namespace-uri()='http://www.w3.org/2001/XMLSchema-instance'])")
_XROAD_ID: Final = "http://x-road.eu/xsd/identifiers"
_CODE = re.compile(r"[A-Za-z0-9._-]{1,120}")
# Whatever zeep's loader runs into in a description that somebody else wrote; all of it means: not usable.
_UNUSABLE = (
    ArithmeticError, AssertionError, AttributeError, LookupError, NotImplementedError, OSError, RecursionError,
    SyntaxError, TypeError, ValueError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Manner:
    """How one call is made beyond its values.

    renamed: local names of request elements, theirs → as this provider spells them. quotes: the other side's
    sentence may stand in an error (never where it could name a person).
    """

    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    idempotent: bool = False
    message_id: str | None = None
    quotes: bool = False
    content_type: str = ""


class Upload(bytes):
    """Bytes to be sent as a part of their own (MTOM) in place of base64 within the envelope."""

    content_type = "application/octet-stream"


class Service:
    """A SOAP service on our client. Tries once; every failure leaves as one of `core.errors`."""

    def __init__(
        self,
        client: http.Client,
        description: soap_documents.Description,
        *,
        system: str,
        road: roads.XRoad | None = None,
        fetch: soap_documents.Fetch | None = None,
    ) -> None:
        self._client, self._description, self._system = client, description, system
        self._road = road if road is not None and road.form == "soap" else None
        self._fetch = fetch
        self._lock = asyncio.Lock()
        self._zeep: Any = None
        self._templates = soap_template.Templates()

    async def load(self) -> None:
        """Read the description now rather than with the first call. Raises Misconfigured."""
        async with self._lock:
            documents = soap_documents.Documents(self._description, system=self._system)
            while self._zeep is None:
                try:
                    self._zeep = await asyncio.to_thread(_open, documents, self._system)
                except soap_documents.Wanted as wanted:
                    await documents.obtain(wanted.address, self._fetch)

    def operations(self) -> list[str]:
        """Name the operations of the loaded description."""
        return sorted(self._zeep.service._binding._operations)

    async def call(self, operation: str, values: Mapping[str, Any], manner: Manner | None = None) -> Any:
        """Call an operation; give its answer as zeep types it, in plain dicts and lists.

        Raises RemoteRefused, RemoteForbids, RemoteUnavailable, RemoteGarbled, and OutcomeUnknown where the call
        is not idempotent and may have taken effect.
        """
        manner = manner or Manner()
        envelope = await self.ask(operation, values, manner)
        from zeep import exceptions, helpers

        try:
            answer = self._binding_operation(operation).process_reply(envelope.root)
            return helpers.serialize_object(answer, dict)
        except (exceptions.Error, *_UNUSABLE) as error:
            raise self._garbled(f"not as the description says: {type(error).__name__}", manner) from None

    async def ask(
        self, operation: str, values: Mapping[str, Any], manner: Manner | None = None
    ) -> soap_reading.Envelope:
        """Call an operation; give the answer's envelope, safely read but not typed. Raises as `call`."""
        await self._loaded()
        manner = manner or Manner()
        content, headers, sent_id = self._written(operation, dict(values), manner)
        reply = await self._client.request(
            "POST",
            manner.path,
            operation=operation,
            content=content,
            headers={**headers, **manner.headers},
            idempotent=manner.idempotent,
            message_id=manner.message_id,
            returns=_FAULT_STATUSES,
        )
        envelope = self._read(reply, manner)
        if envelope.fault is not None:
            raise self._failure(envelope.fault, manner)
        if self._road is not None:
            self._road.check_envelope(_xroad_fields(envelope), sent=content, message_id=sent_id)
        return envelope

    async def row_reader(self, type_name: str) -> soap_rows.RowReader:
        """Compile the reader of a named type `{namespace}Name` of the description; see `read_rows`."""
        await self._loaded()
        from zeep import exceptions, helpers

        try:
            kind = self._zeep.get_type(type_name)
        except (exceptions.Error, *_UNUSABLE):
            raise errors.Misconfigured(f"the description has no type {type_name}", system=self._system) from None
        schema = self._zeep.wsdl.types
        return soap_rows.compile_type(
            kind,
            schema=schema,
            serialise=lambda it: helpers.serialize_object(it, dict),
            refusals=(exceptions.Error, *_UNUSABLE),
        )

    async def _loaded(self) -> None:
        if self._zeep is None:
            await self.load()

    def _binding_operation(self, name: str) -> Any:
        return self._zeep.service._binding.get(name)

    # ------------------------------------------------------------------------------------------------- writing

    def _written(
        self, operation: str, values: dict[str, Any], manner: Manner
    ) -> tuple[bytes, dict[str, str], str]:
        if self._road is None:
            key = (operation, tuple(manner.renamed.items()))

            def write(marked: Mapping[str, Any]) -> bytes:
                return _serialised(self._message(operation, marked, manner))

            content = self._templates.written(key, values, write)
            if content is not None:
                return *self._framed(operation, content, [], manner), ""
        uploads: dict[str, soap_reading.Part] = {}
        root = self._message(operation, _lifted(values, uploads), manner)
        for element in root.iter() if uploads else ():
            if element.text in uploads:
                part = uploads[element.text]
                element.text = None
                etree.SubElement(element, f"{{{soap_reading.XOP}}}Include", href=f"cid:{part.content_id}")
        context = self._road.context() if self._road is not None else None
        if self._road is not None and context is not None:
            _add_xroad_header(root, self._road, context)
        content, headers = self._framed(operation, _serialised(root), list(uploads.values()), manner)
        return content, headers, context.request_id if context else ""

    def _message(self, operation: str, values: Mapping[str, Any], manner: Manner) -> xml_reading.Element:
        """Have zeep write an envelope, its elements named as this provider spells them."""
        from zeep import exceptions

        try:
            root: xml_reading.Element = self._zeep.create_message(self._zeep.service, operation, **values)
        except (exceptions.Error, *_UNUSABLE) as error:
            raise errors.InternalFault(system=self._system, reason=f"unwritten: {type(error).__name__}") from None
        for element in root.iter() if manner.renamed else ():
            name = etree.QName(element)
            if name.localname in manner.renamed:
                element.tag = f"{{{name.namespace}}}{manner.renamed[name.localname]}"
        return root

    def _framed(
        self, operation: str, content: bytes, parts: list[soap_reading.Part], manner: Manner
    ) -> tuple[bytes, dict[str, str]]:
        version = "1.2" if soap_reading.SOAP_12 in content[:600].decode("utf-8", "replace") else "1.1"
        action = self._binding_operation(operation).soapaction or ""
        kind = "text/xml; charset=utf-8"
        if version == "1.2":
            kind = "application/soap+xml; charset=utf-8" + (f'; action="{action}"' if action else "")
        if parts:
            content, kind = soap_reading.join(content, parts, version=version, action=action)
        elif manner.content_type:
            kind = manner.content_type
        headers = {"content-type": kind, "accept": "text/xml, application/soap+xml, multipart/related"}
        return content, headers if version == "1.2" else {**headers, "soapaction": f'"{action}"'}

    # ------------------------------------------------------------------------------------------------- reading

    def _read(self, reply: http.Reply, manner: Manner) -> soap_reading.Envelope:
        try:
            return soap_reading.read(reply.body, reply.headers.get("content-type", ""))
        except (soap_reading.Refused, xml_reading.XmlRefused) as refused:
            if reply.status in _FAULT_STATUSES:
                self._refuse_status(reply, manner)
            raise self.unreadable(reply.body, refused.reason, manner) from None

    def _refuse_status(self, reply: http.Reply, manner: Manner) -> NoReturn:
        facts = {"system": self._system, "remote_code": f"HTTP {reply.status}"}
        if reply.status == 400:
            raise errors.RemoteRefused(**facts)
        raise errors.RemoteUnavailable(**facts) if manner.idempotent else errors.OutcomeUnknown(**facts)

    def unreadable(self, body: bytes, reason: str, manner: Manner) -> errors.RemoteError:
        """Name an answer that is no message: a page or nothing is a gateway's word, anything else is garbled."""
        if not body.strip() or soap_reading.is_html(body):
            code = "html" if body.strip() else "empty"
            return errors.RemoteUnavailable(
                system=self._system, remote_code=code, outcome_uncertain=not manner.idempotent
            )
        return self._garbled(reason, manner)

    def _garbled(self, reason: str, manner: Manner) -> errors.RemoteError:
        if manner.idempotent:
            return errors.RemoteGarbled(system=self._system, reason=reason)
        return errors.OutcomeUnknown(system=self._system, remote_code="garbled", reason=reason)

    def _failure(self, fault: soap_reading.Fault, manner: Manner) -> errors.RemoteError:
        """Turn a fault into our error; its detail, which may name people, is left where it is."""
        code = fault.code if _CODE.fullmatch(fault.code) else "Fault"
        facts: dict[str, Any] = {"system": self._system, "remote_code": code}
        if manner.quotes and fault.reason:
            facts["remote_message"] = base.safe_text(fault.reason)
        if any(word in fault.code.lower() for word in _CREDENTIAL_WORDS):
            return errors.RemoteForbids(**facts)
        if not fault.code.startswith(("Server", "Receiver")):
            return errors.RemoteRefused(**facts)
        if manner.idempotent:
            return errors.RemoteUnavailable(**facts)
        return errors.OutcomeUnknown(**facts)


def read_rows(envelope: soap_reading.Envelope, tag: str, *, reader: soap_rows.RowReader) -> list[Any]:
    """Read every element `{namespace}name` of an answer as a typed row. Raises soap_rows.RowUnreadable.

    `reader` comes from `Service.row_reader`; the rows are those that zeep would give, many times sooner. A
    document that uses xsi:nil or xsi:type, which almost none does, is left to zeep.
    """
    if _HAS_XSI(envelope.root):
        return [soap_rows.read_by_zeep(element, reader=reader) for element in envelope.root.iter(tag)]
    if reader.is_wholly_plain and envelope.raw:
        return soap_rows.read_checked(envelope.raw, tag, reader=reader, root=envelope.root)
    return [reader(element) for element in envelope.root.iter(tag)]


def _open(documents: soap_documents.Documents, system: str) -> Any:
    """Let zeep read a description. Raises Misconfigured, or Wanted for a document that is not here yet."""
    import zeep
    from zeep import exceptions

    for name in ("zeep.xsd.types.simple", "zeep.xsd.elements.attribute"):
        _make_strict(logging.getLogger(name))
    # Imports are held back by `documents`, pinned ones from the network included; zeep must not second-guess it.
    chosen = zeep.Settings(
        strict=True, forbid_dtd=True, forbid_entities=True, forbid_external=False, xml_huge_tree=False
    )
    try:
        client = zeep.Client(documents.location, transport=documents, settings=chosen)
        service = client.service
    except (soap_documents.Wanted, errors.HubError):
        raise
    except (exceptions.Error, *_UNUSABLE) as error:
        reason = type(error).__name__
        raise errors.Misconfigured(
            f"the WSDL of {system} cannot be used: {reason}",
            detail_vi=f"Mô tả WSDL của hệ thống {system} không dùng được: {reason}.",
            system=system,
        ) from None
    if not hasattr(service._binding, "create_message"):
        raise errors.Misconfigured(f"the WSDL of {system} has no SOAP port", system=system)
    return client


class _Unreadable(logging.Filter):
    """Raises where zeep would write the value that it cannot read to the log, and go on with none."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            raise ValueError("a value is not of its type")
        return False


def _make_strict(logger: logging.Logger) -> None:
    if not any(isinstance(it, _Unreadable) for it in logger.filters):
        logger.addFilter(_Unreadable())


def _serialised(root: xml_reading.Element) -> bytes:
    return etree.tostring(root, xml_declaration=True, encoding="utf-8")


def _lifted(values: Any, uploads: dict[str, soap_reading.Part]) -> Any:
    """Give the values with a mark in place of each upload, and keep the upload under its mark."""
    if isinstance(values, Mapping):
        return {name: _lifted(value, uploads) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [_lifted(value, uploads) for value in values]
    if not isinstance(values, Upload):
        return values
    mark = secrets.token_bytes(24)
    headers = {"content-type": values.content_type, "content-id": f"<{mark.hex()}@lienthong>"}
    uploads[base64.b64encode(mark).decode("ascii")] = soap_reading.Part(bytes(values), headers)
    return mark


def _add_xroad_header(root: xml_reading.Element, road: roads.XRoad, context: roads.Context) -> None:
    """Put X-Road's header elements into an envelope (X-Road Message Protocol 4.0 §2.2)."""
    namespace = etree.QName(root).namespace
    header = root.find(f"{{{namespace}}}Header")
    if header is None:
        header = etree.Element(f"{{{namespace}}}Header")
        root.insert(0, header)
    _identifier(header, "client", road.client.split("/"))
    _identifier(header, "service", road.service.split("/"))
    fields = [("userId", road.user_id(context)), ("id", context.request_id), ("issue", context.dossier_code)]
    for name, text in (*fields, ("protocolVersion", "4.0")):
        if text:
            etree.SubElement(header, f"{{{_XROAD}}}{name}").text = text


def _identifier(header: xml_reading.Element, name: str, parts: Sequence[str]) -> None:
    kinds = ["xRoadInstance", "memberClass", "memberCode"]
    is_service = name == "service"
    if len(parts) == 4 + is_service:
        kinds.append("subsystemCode")
    kind = "SERVICE" if is_service else "SUBSYSTEM" if len(kinds) == 4 else "MEMBER"
    holder = etree.SubElement(header, f"{{{_XROAD}}}{name}", nsmap={"xroad": _XROAD, "id": _XROAD_ID})
    holder.set(f"{{{_XROAD_ID}}}objectType", kind)
    for part_name, part in zip([*kinds, *(["serviceCode"] if is_service else [])], parts, strict=True):
        etree.SubElement(holder, f"{{{_XROAD_ID}}}{part_name}").text = part


def _xroad_fields(envelope: soap_reading.Envelope) -> dict[str, str]:
    found: dict[str, str] = {}
    for element in envelope.header if envelope.header is not None else ():
        name = etree.QName(element)
        if name.namespace == _XROAD:
            found[name.localname] = (element.text or "").strip()
            if name.localname == "requestHash":
                found["algorithm"] = element.get("algorithmId") or ""
    return found
