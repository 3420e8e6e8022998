"""What an imitated register gets and gives: a request with what may be shown of it, and the four things it can do.

The two systems of the portal (`adapter.py`, `portal.py`) have a shorter road of their own in `exchange.py`.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit

import orjson

from lienthong.sandbox import faults, wire
from lienthong.sandbox.wire import Reply, Scope

_LOCAL = ("localhost", "127.0.0.1", "testserver", "hub")
_ALONE = re.compile(r"(?<!\d)(?:\d{12}|\d{9})(?!\d)")


@dataclass(slots=True)
class Request:
    """One request to an imitated register.

    `path` is what follows the name of the system, `target` the path and query as they were sent, `about` what the
    ledger may keep: never a name of a person, and of a number only its end.
    """

    system: str
    method: str
    path: str
    target: str
    url: str
    query: dict[str, str]
    headers: dict[str, str]
    sent_headers: list[tuple[bytes, bytes]]
    body: bytes
    now: float = 0.0
    at: str = ""
    service: str = "?"
    chosen: faults.Chosen = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    def form(self) -> dict[str, str]:
        """Read the body as a form; a field given twice counts with its last value."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def json(self) -> Any:
        """Read the body as JSON; None where it is none."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None

    def basic(self) -> tuple[str, str]:
        """Read the name and the word of a Basic authorization; two empty texts where there is none."""
        scheme, _, given = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return "", ""
        return unpacked_pair(given)

    def bearer(self) -> str:
        """Read the token of a Bearer authorization; empty where there is none."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""


class Imitation(Protocol):
    """One imitated register. `roots` are the first parts of its paths: what stands before them is of the road."""

    roots: frozenset[str]

    async def prepare(self) -> None:
        """Make what takes long to make, once, before the first answer."""
        ...

    def service_of(self, request: Request) -> str:
        """Name what is asked for."""
        ...

    def handle(self, request: Request) -> Reply:
        """Answer; whatever arrives."""
        ...

    def forget(self) -> None:
        """Forget what was received: numbers of questions, quotas, tokens."""
        ...


def request_of(scope: Scope, body: bytes) -> Request:
    """Read what the server knows of a request."""
    whole = scope["path"]
    system, _, path = whole[1:].partition("/")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    query_string = scope.get("query_string", b"").decode("latin-1")
    return Request(
        system=system,
        method=scope["method"],
        path="/" + path,
        target=scope.get("raw_path", whole.encode()).decode("latin-1")
        + (f"?{query_string}" if query_string else ""),
        url=f"{scope.get('scheme', 'http')}://{headers.get('host', '')}{whole}",
        query=dict(parse_qsl(query_string, keep_blank_values=True)),
        headers=headers,
        sent_headers=list(scope["headers"]),
        body=body,
    )


def unpacked_pair(text: str) -> tuple[str, str]:
    """Read `base64(name:word)`; two empty texts where it is none."""
    try:
        name, colon, word = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return (name, word) if colon else ("", "")


def end_of(number: object) -> str:
    """Write a number of a person as it may be shown: its last three digits."""
    text = str(number or "")
    return f"…{text[-3:]}" if len(text) > 3 else "…" * bool(text)


def masked(text: str) -> str:
    """Mask every number of 9 or 12 digits that stands alone."""
    return _ALONE.sub(lambda found: end_of(found[0]), text)


def may_return_to(address: str) -> bool:
    """Whether a browser or a callback may be sent there: this machine, or a name that belongs to nobody."""
    if not address.isprintable() or " " in address:
        return False
    try:
        found = urlsplit(address)
    except ValueError:
        return False
    host = found.hostname or ""
    return found.scheme in ("http", "https") and (host in _LOCAL or host.endswith((".example", ".example.vn")))


def base_of(request: Request) -> str:
    """Give the address of the imitated system as its caller knows it."""
    return f"{request.url.partition(f'/{request.system}/')[0]}/{request.system}"


def sent_to(address: str, **query: str) -> Reply:
    """Send a browser on, with these added to the query of the address."""
    joined = f"{address}{'&' if '?' in address else '?'}{urlencode(query)}" if query else address
    return Reply(b"", 302, wire.HTML, headers=((b"location", joined.encode("latin-1", "replace")),))
