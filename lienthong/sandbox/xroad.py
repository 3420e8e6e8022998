"""The X-Road road to a register: `/r1/…` and its headers, both ways (contracts §6.1; PR-REST 1.0, §4).

The hash of a request is, as PR-REST §4.3 and the security server's own source have it, base64 of
SHA-512(SHA-512(head) + SHA-512(body)), without a body of SHA-512(head). The head is the method, the path with its
query and each header, one a line ended by CRLF; headers of the connection are left aside, X-Road-Id and
X-Road-Request-Id are there. HTTP servers here give names of headers in lower case: so are they hashed here.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from dataclasses import dataclass, replace

import orjson

from lienthong.sandbox.imitation import Request
from lienthong.sandbox.wire import Reply

_OF_THE_CONNECTION = frozenset(
    b"transfer-encoding keep-alive proxy-authenticate proxy-authorization te trailer upgrade connection pragma "
    b"user-agent host content-length server expect x-road-request-id x-road-request-hash".split()
)


@dataclass(slots=True)
class Road:
    """What the security server knows of one request."""

    client: str
    service: str
    message_id: str
    problem: str = ""

    def refused(self) -> Reply | None:
        """Answer in place of the register where the request is no X-Road request."""
        return fault("Client.BadRequest", self.problem, status=400) if self.problem else None

    def sealed(self, reply: Reply, request: Request) -> Reply:
        """Add the headers that tie an answer to its request."""
        request_id = str(uuid.uuid4())
        wrong = request.chosen.get("wrong_hash", {}).get("kind", "")
        proof = request_hash(self, request, request_id)
        if wrong == "wrong":
            proof = base64.b64encode(hashlib.sha512(proof.encode()).digest()).decode()
        headers = {
            "x-road-client": self.client,
            "x-road-service": self.service if wrong != "service" else self.service + "X",
            "x-road-id": self.message_id,
            "x-road-request-id": request_id,
            "x-road-request-hash": proof,
        }
        if wrong == "missing":
            del headers["x-road-request-hash"]
        added = tuple((name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items())
        return replace(reply, headers=(*reply.headers, *added))


def enter(request: Request, *, roots: frozenset[str]) -> Road | None:
    """Take the road off a request that came over it: the register sees its own path. None for a direct call."""
    parts = request.path.split("/")[1:]
    if parts[:1] != ["r1"]:
        return None
    rest = parts[1:]
    end = next((place for place, part in enumerate(rest) if part in roots), min(len(rest), 5))
    request.path = "/" + "/".join(rest[end:])
    client = request.headers.get("x-road-client", "")
    road = Road(
        client=client,
        service="/".join(rest[:end]),
        message_id=request.headers.get("x-road-id") or str(uuid.uuid4()),
    )
    given = [name for name, _ in request.sent_headers if name == b"x-road-client"]
    if len(given) != 1 or not 3 <= len([part for part in client.split("/") if part]) <= 4:
        road.problem = "X-Road-Client: exactly one INSTANCE/CLASS/MEMBER[/SUBSYSTEM]"
    elif not 4 <= end <= 5 or not all(rest[:end]):
        road.problem = "the path must name INSTANCE/CLASS/MEMBER[/SUBSYSTEM]/SERVICE"
    return road


def request_hash(road: Road, request: Request, request_id: str) -> str:
    """Compute X-Road-Request-Hash, as the security server of the asking side does."""
    lines = [request.method.encode(), request.target.encode()]
    lines += [b"%s:%s" % (name, value) for name, value in request.sent_headers if name not in _OF_THE_CONNECTION]
    if "x-road-id" not in request.headers:
        lines.append(b"x-road-id:" + road.message_id.encode())
    lines.append(b"x-road-request-id:" + request_id.encode())
    head = hashlib.sha512(b"".join(line + b"\r\n" for line in lines)).digest()
    if request.body:
        head = hashlib.sha512(head + hashlib.sha512(request.body).digest()).digest()
    return base64.b64encode(head).decode()


def fault(kind: str, message: str, *, status: int = 500, with_header: bool = True) -> Reply:
    """Write a fault of the exchange layer; without its header it looks like one of the provider's application."""
    body = orjson.dumps({"type": kind, "message": message, "detail": str(uuid.uuid4())})
    headers = ((b"x-road-error", kind.encode()),) if with_header else ()
    return Reply(body, status, headers=headers, outcome="refused")
