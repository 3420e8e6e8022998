"""What an operation is: who calls, what is asked, and the row of the table that declares it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from lienthong.api_keys import keys, proof
from lienthong.bus.hub import Hub
from lienthong.core import access_record


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks, when, and in which language the answer is wanted (`vi` or `en`).

    `assertion` is the signed word of the system where an official signed in; `claimed_official` is one that is
    merely named, at a door of old systems. `told` is filled by the operation, also where it then refuses. `repeat`
    is an id that is the same where the same request comes again under its Idempotency-Key.
    """

    caller: keys.Caller
    request_id: str
    now: datetime
    language: str
    address: str
    proven: proof.Proven = proof.NOTHING
    assertion: str | None = None
    claimed_official: str | None = None
    told: access_record.Told = field(default_factory=access_record.Told)
    repeat: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked, already read: path parts, and query and body as their models."""

    path: Mapping[str, str]
    query: Any = None
    body: Any = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that a caller may ask; `name` is also the grant.

    `place`, `query` and `body` are the models of the path's parts, of the query and of the body. `success` is
    the status of a good answer, `created` the one where the answer says `created`. `personal`: request or answer
    may hold personal data. `from_path`: path parts that the body may leave out, and may not contradict.
    `needs_official`: the official who asks is named by a signed assertion.
    `needs_outside`: another system must be connected.
    `keeps_answer`: whether an answer may be kept for an Idempotency-Key; what registers say of people never is.
    """

    name: str
    method: str
    path: str
    summary_vi: str
    summary_en: str
    answer: type[BaseModel]
    run: Callable[[Hub, Call, Asked], Awaitable[BaseModel]]
    personal: bool
    place: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    success: int = 200
    created: int | None = None
    from_path: tuple[str, ...] = ()
    keeps_answer: bool = True
    needs_official: bool = False
    needs_outside: bool = False
