"""The roads to national systems: X-Road's headers and proofs, and the place of the Agent Node to come.

Facts: contracts §6.1, §6.4; X-Road Message Protocol 4.0 §2.2 and for REST 1.0 §4.3 (nordic-institute/X-Road).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import urllib.parse
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from lienthong.connectors import http, outcomes
from lienthong.core import errors, journal

# Not part of the head that a security server hashes: they belong to one connection, or name the caller's machine.
_OF_THE_CONNECTION: Final = frozenset(
    {
        "connection", "content-length", "expect", "host", "keep-alive", "pragma", "proxy-authenticate",
        "proxy-authorization", "server", "te", "trailer", "transfer-encoding", "upgrade", "user-agent",
        "x-road-request-hash", "x-road-request-id",
    }
)  # fmt: skip
_IDENTIFIER = re.compile(r"[^/\s]+(?:/[^/\s]+){2,4}")
_SAFE_IN_HEADER: Final = "/:;.,_-+@ ()"
SHA512: Final = "http://www.w3.org/2001/04/xmlenc#sha512"


@dataclass(frozen=True, slots=True)
class Context:
    """On whose behalf and for what a call is made, so that any later scheme of headers can be filled (§6.4)."""

    request_id: str
    official: str = ""
    unit: str = ""
    dossier_code: str = ""
    purpose: str = ""


class Road(Protocol):
    """A layer that calls go over on their way to a system; what `http.Client` asks of it."""

    prefix: str

    def headers(self) -> Mapping[str, str]:
        """Give the headers that the layer wants on the call being made."""
        ...

    def check(
        self, method: str, target: str, *, sent: Mapping[str, str], content: bytes, reply: http.Reply
    ) -> None:
        """Raise RemoteGarbled where the answer does not belong to the call."""
        ...


class ExchangeClient(Protocol):
    """A layer through which a member's service is called, whatever its headers look like."""

    async def call(
        self, member: str, service: str, operation: str, *, body: bytes, context: Context
    ) -> http.Reply:
        """Call an operation once. `member` is `INSTANCE/CLASS/MEMBER[/SUBSYSTEM]`. Raises RemoteError."""
        ...


class XRoad:
    """X-Road towards one service: `/r1/…` and headers in both directions, or for SOAP its header elements."""

    def __init__(
        self,
        system: str,
        *,
        client: str,
        service: str,
        form: Literal["rest", "soap"] = "rest",
        exact_hash: bool = True,
        user_country: str = "VN",
        context: Context | None = None,
    ) -> None:
        """Prepare; without `context` each call is made for what `journal.about` says at that moment."""
        for given, least in ((client, 3), (service, 4)):
            parts = given.strip("/").split("/")
            if not _IDENTIFIER.fullmatch(given.strip("/")) or not least <= len(parts) <= least + 1:
                raise _not_an_identifier(system)
        self.system, self.form, self.exact_hash = system, form, exact_hash
        self.client = "/".join(_escaped(part) for part in client.strip("/").split("/"))
        self.service = "/".join(_escaped(part) for part in service.strip("/").split("/"))
        self.prefix = f"/r1/{self.service}" if form == "rest" else ""
        self._country, self._context = user_country, context

    def context(self) -> Context:
        """Say what the call being made is made for."""
        if self._context is not None:
            return self._context
        about = journal.about.get()
        if about is None:
            return Context(str(uuid.uuid4()))
        return Context(about.request_id, official=about.official or "", dossier_code=about.dossier_code or "")

    def user_id(self, context: Context) -> str:
        """Name the acting official as X-Road wants it: behind the code of the country."""
        return f"{self._country}{context.official}" if context.official else ""

    def headers(self) -> Mapping[str, str]:
        """Give the headers of a request; none for the SOAP form, whose place is the envelope."""
        if self.form == "soap":
            return {}
        context = self.context()
        found = {"x-road-client": self.client, "x-road-id": context.request_id}
        if context.official:
            found["x-road-userid"] = self.user_id(context)
        if context.dossier_code:
            found["x-road-issue"] = context.dossier_code
        return {name: urllib.parse.quote(value, safe=_SAFE_IN_HEADER + "%") for name, value in found.items()}

    def check(
        self, method: str, target: str, *, sent: Mapping[str, str], content: bytes, reply: http.Reply
    ) -> None:
        """Raise RemoteGarbled where an answer does not prove to be the one to this request.

        It must name the service, the request's own id and a hash of the request. The hash is the security
        server's; it is recomputed with `exact_hash`, else only its form is looked at.
        """
        if self.form == "soap":
            return
        found = reply.headers
        if urllib.parse.unquote(found.get("x-road-service", "")).strip("/") != urllib.parse.unquote(self.service):
            raise outcomes.garbled("X-Road-Service is missing or names another service", system=self.system)
        answered = found.get("x-road-client")
        if answered is not None and urllib.parse.unquote(answered) != urllib.parse.unquote(self.client):
            raise outcomes.garbled("X-Road-Client names another member", system=self.system)
        message_id = found.get("x-road-id")
        if message_id is not None and message_id != sent.get("x-road-id"):
            raise outcomes.garbled("X-Road-Id is that of another message", system=self.system)
        request_id, proof = found.get("x-road-request-id", ""), found.get("x-road-request-hash", "")
        if not request_id or not is_hash(proof):
            raise outcomes.garbled("X-Road-Request-Id or X-Road-Request-Hash is missing", system=self.system)
        if self.exact_hash:
            expected = request_hash(method, target, sent=sent, content=content, request_id=request_id)
            if not hmac.compare_digest(expected, proof):
                raise outcomes.garbled("X-Road-Request-Hash is that of another request", system=self.system)

    def check_envelope(self, fields: Mapping[str, str], *, sent: bytes, message_id: str) -> None:
        """Raise RemoteGarbled where the header of a SOAP answer does not prove to belong to the envelope sent.

        `fields` are its X-Road header elements by local name, and `algorithm` of the hash. The hash is over the
        bytes as they were posted, and is always recomputed where SHA-512 was used.
        """
        if fields.get("id") != message_id:
            raise outcomes.garbled("the X-Road id is that of another message", system=self.system)
        proof = fields.get("requestHash", "")
        if not proof:
            raise outcomes.garbled("the X-Road requestHash is missing", system=self.system)
        expected = base64.b64encode(hashlib.sha512(sent).digest()).decode("ascii")
        if fields.get("algorithm") == SHA512 and not hmac.compare_digest(expected, proof):
            raise outcomes.garbled("the X-Road requestHash is that of another request", system=self.system)


class XRoadExchange:
    """X-Road as an exchange client: one security server, any member's service."""

    def __init__(self, client: http.Client, *, system: str, member: str, exact_hash: bool = True) -> None:
        """Call as `member` through the security server that `client` is connected to."""
        self._client, self._system, self._member, self._exact = client, system, member, exact_hash

    async def call(
        self, member: str, service: str, operation: str, *, body: bytes, context: Context
    ) -> http.Reply:
        """Post the body to the service, `operation` being the path behind its code. Raises RemoteError."""
        road = XRoad(
            self._system,
            client=self._member,
            service=f"{member.strip('/')}/{service}",
            exact_hash=self._exact,
            context=context,
        )
        path = f"/{operation}" if operation else ""
        return await self._client.request("POST", path, operation=operation or service, content=body, road=road)


class AgentNode:
    """The place of the Agent Node of NDOP. No message format, header or token of it is public (§6.4)."""

    def __init__(self, *, system: str) -> None:
        """Stand in the place; every call says that it cannot be made."""
        self._system = system

    async def call(
        self, member: str, service: str, operation: str, *, body: bytes, context: Context
    ) -> http.Reply:
        """Raise Misconfigured: nothing is known that could be sent."""
        raise no_agent_node(self._system)


def request_hash(method: str, target: str, *, sent: Mapping[str, str], content: bytes, request_id: str) -> str:
    """Work out X-Road-Request-Hash: base64 of SHA-512(SHA-512(head) + SHA-512(body)), SHA-512(head) without body.

    The head is the method, the path with its query, and each header that is not of the connection, each on a
    line ended by CRLF; the request's own id, which the security server adds, is the last of them.
    """
    lines = [method, target]
    lines += [f"{name}:{value}" for name, value in sent.items() if name not in _OF_THE_CONNECTION]
    lines.append(f"x-road-request-id:{request_id}")
    found = hashlib.sha512("".join(f"{line}\r\n" for line in lines).encode()).digest()
    if content:
        found = hashlib.sha512(found + hashlib.sha512(content).digest()).digest()
    return base64.b64encode(found).decode("ascii")


def is_hash(text: str) -> bool:
    """Whether a text has the form of a SHA-512 in base64."""
    try:
        return len(base64.b64decode(text, validate=True)) == hashlib.sha512().digest_size
    except (binascii.Error, ValueError):
        return False


def no_agent_node(system: str) -> errors.Misconfigured:
    """Say honestly why the Agent Node cannot be used."""
    return errors.Misconfigured(
        "road = agent_node: no message format, header or address of NDOP's Agent Node is public; use direct or"
        " xroad until its operator gives the technical profile",
        detail_vi="road = agent_node: định dạng thông điệp, tiêu đề và địa chỉ của Agent Node (NDOP) chưa được"
        " công bố; hãy dùng direct hoặc xroad cho tới khi đơn vị quản trị cung cấp hồ sơ kỹ thuật.",
        system=system,
    )


def _not_an_identifier(system: str) -> errors.Misconfigured:
    return errors.Misconfigured(
        "road = xroad needs xroad_client INSTANCE/CLASS/MEMBER[/SUBSYSTEM] and xroad_service with its code behind",
        detail_vi="road = xroad cần xroad_client dạng INSTANCE/CLASS/MEMBER[/SUBSYSTEM] và xroad_service có thêm"
        " mã dịch vụ ở cuối.",
        system=system,
    )


def _escaped(part: str) -> str:
    return urllib.parse.quote(urllib.parse.unquote(part), safe="")
