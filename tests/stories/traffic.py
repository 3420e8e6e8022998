"""Callers on bare sockets: allowed, refused, malformed and cut-off requests; they note each answer they saw."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import builders
import town as towns

DOSSIERS = [f"H38.15-261120-{number:04d}" for number in range(20)]
ANSWER_WITHIN_S = 30.0
Header = tuple[str, str]


class Keys(NamedTuple):
    """One key for each way to be let in or refused."""

    all: str
    procedures_only: str
    by_second: str
    by_day: str


class Answer(NamedTuple):
    """An answer that a caller saw to its end; the moments are of the callers' own clock."""

    kind: str
    sent_s: float
    seen_s: float
    status: int
    request_id: str
    correlation: str


class Cut(NamedTuple):
    """A request that its caller broke off; `correlation` is empty where not even the headers were whole."""

    kind: str
    sent_s: float
    correlation: str


class Wish(NamedTuple):
    """A request to be made."""

    kind: str
    method: str
    path: str
    key: str | None = None
    body: bytes | None = None


@dataclass
class Traffic:
    """What the callers did and saw."""

    town: towns.Town
    keys: Keys
    total: int
    begun: int = 0
    # Made beyond the total, while something took as long as it took: they move no share of the rest.
    extra: int = 0
    may_end: bool = True
    answers: list[Answer] = field(default_factory=list)
    cut: list[Cut] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)

    async def reached(self, share: float) -> None:
        """Wait until so much of the traffic has been begun."""
        while self.begun - self.extra < share * self.total:  # noqa: ASYNC110 - nobody tells a count
            await asyncio.sleep(0.01)

    async def saw(self, kind: str, status: int, *, after_s: float) -> Answer:
        """Wait until a request of a kind that was made after a moment has such an answer."""
        for _ in range(3_000):
            for one in reversed(self.answers[-500:]):
                if one.kind == kind and one.status == status and one.sent_s > after_s:
                    return one
            await asyncio.sleep(0.01)
        raise AssertionError(f"{kind} was never answered with {status}")

    async def run(self, callers: int) -> None:
        """Let so many callers ask until the total is reached, and for as long as it may not end."""
        await asyncio.gather(*(self._call(random.Random(number)) for number in range(callers)))

    async def _call(self, chance: random.Random) -> None:
        wishes = self._wishes(chance)
        while self.begun - self.extra < self.total or not self.may_end:
            with suppress(OSError, asyncio.IncompleteReadError):
                async with self._connection() as (reader, writer):
                    while self.begun - self.extra < self.total or not self.may_end:
                        await self._one(next(wishes), reader, writer)
            await asyncio.sleep(0.02)

    @asynccontextmanager
    async def _connection(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.town.gateway_port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _wishes(self, chance: random.Random) -> Iterator[Wish]:
        kinds = list(MIX)
        while True:
            [kind] = chance.choices(kinds, [MIX[one] for one in kinds])
            yield wish(kind, self.keys, chance.choice(DOSSIERS))

    async def _one(self, wanted: Wish, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Make one request and wait for its answer, unless it is one that is to be broken off."""
        self.begun += 1
        correlation, sent_s = f"c-{self.begun}", asyncio.get_running_loop().time()
        data = request(wanted, correlation)
        if wanted.kind.startswith("cut"):
            whole = 0 if wanted.kind == "cut in its headers" else data.index(b"\r\n\r\n")
            writer.write({"cut before its answer": data}.get(wanted.kind, data[: whole + 30]))
            self.cut.append(Cut(wanted.kind, sent_s, correlation if whole else ""))
            await writer.drain()
            raise ConnectionAbortedError("by the caller")
        try:
            writer.write(data)
            status, headers = await asyncio.wait_for(read_answer(reader, wanted.method), ANSWER_WITHIN_S)
        except (OSError, asyncio.IncompleteReadError):
            self.lost[wanted.kind] += 1
            raise
        now_s = asyncio.get_running_loop().time()
        request_id = headers.get("x-request-id", "")
        self.answers.append(Answer(wanted.kind, sent_s, now_s, status, request_id, correlation))
        if headers.get("connection") == "close":
            raise ConnectionAbortedError("by the gateway")


MIX = {
    "allowed": 38,
    "personal": 18,
    "personal, written": 2,
    "page": 2,
    "bad key": 5,
    "no key": 3,
    "key in the address": 2,
    "not granted": 6,
    "over the second's limit": 8,
    "over the day's limit": 2,
    "bad body": 3,
    "no such page": 2,
    "wrong method": 2,
    "not HTTP": 2,
    "bad chunk": 1,
    "cut in its headers": 1,
    "cut in its body": 2,
    "cut before its answer": 1,
}
# What an answer may say while the gateway is well.
EXPECTED = {
    "allowed": {200},
    "personal": {200},
    "personal, written": {200},
    "page": {200},
    "bad key": {401},
    "no key": {401},
    "key in the address": {400},
    "not granted": {403},
    "over the second's limit": {200, 429},
    "over the day's limit": {200, 429},
    "bad body": {400},
    "no such page": {404},
    "wrong method": {405},
    "not HTTP": {400},
    "bad chunk": {400},
}


def wish(kind: str, keys: Keys, dossier: str) -> Wish:
    """Think of a request of a kind."""
    list_of = "/v1/procedures/1.000001"
    one = f"/v1/dossiers/{dossier}"
    put = json.dumps(dossier_body()).encode()
    match kind:
        case "personal":
            return Wish(kind, "GET", one, keys.all)
        case "personal, written" | "cut in its body" | "bad chunk":
            return Wish(kind, "PUT", one, keys.all, put)
        case "page":
            return Wish(kind, "GET", "/health/live")
        case "bad key":
            return Wish(kind, "GET", list_of, keys.all[:-1] + ("a" if keys.all[-1] != "a" else "b"))
        case "no key":
            return Wish(kind, "GET", list_of)
        case "key in the address":
            return Wish(kind, "GET", f"{list_of}?api_key={keys.all}")
        case "not granted":
            return Wish(kind, "GET", one, keys.procedures_only)
        case "over the second's limit":
            return Wish(kind, "GET", list_of, keys.by_second)
        case "over the day's limit":
            return Wish(kind, "GET", list_of, keys.by_day)
        case "bad body":
            return Wish(kind, "PUT", one, keys.all, b'{"applicant": ')
        case "no such page":
            return Wish(kind, "GET", "/v1/nothing", keys.all)
        case "wrong method":
            return Wish(kind, "DELETE", one, keys.all)
        case _:
            return Wish(kind, "GET", list_of, keys.all)


def dossier_body() -> dict[str, Any]:
    """Describe an invented dossier of the procedure that is there."""
    return builders.dossier_body(procedure_code="1.000001")


def request(wanted: Wish, correlation: str) -> bytes:
    """Write a request as it goes over the wire."""
    if wanted.kind == "not HTTP":
        return b"\x16\x03\x01 this is no request\r\n\r\n"
    headers: list[Header] = [("Host", "hub"), ("X-Request-Id", correlation)]
    if wanted.key is not None:
        headers.append(("X-API-Key", wanted.key))
    body = wanted.body or b""
    if wanted.kind == "bad chunk":
        headers.append(("Transfer-Encoding", "chunked"))
        body = b"this is no length\r\n"
    elif wanted.body is not None:
        headers.append(("Content-Length", str(len(body))))
    if wanted.body is not None:
        headers.append(("Content-Type", "application/json"))
    lines = [f"{wanted.method} {wanted.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(itertools.chain(lines, ("", ""))).encode() + body


async def read_answer(reader: asyncio.StreamReader, method: str) -> tuple[int, dict[str, str]]:
    """Read an answer to its end."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    assert "transfer-encoding" not in headers, head
    if method != "HEAD":
        await reader.readexactly(int(headers.get("content-length", "0")))
    return int(first.split()[1]), headers
