"""One request on its way through the door, and the record that is kept of it."""

from __future__ import annotations

import re
import time
import typing
from collections.abc import Mapping, MutableMapping
from datetime import datetime
from typing import Any

from lienthong.bus.gateway import answers
from lienthong.core import access_record, clock, errors, money, records

Scope = MutableMapping[str, Any]

_CORRELATION = re.compile(r"[A-Za-z0-9._:/+=-]{1,100}")
_DOSSIER_CODE = re.compile(typing.get_args(records.DossierCode)[1].pattern)
HAS_DOSSIER = ("dossiers.", "enquiries.")


class Visit:
    """What is known of a request so far.

    `request_id` is ours; the caller's own X-Request-Id is kept beside it as `correlation`. `reason` says why a
    key was rejected, for the journal only. `is_answered`: the first bytes of an answer have gone out. `official`
    is whom the caller names until the operation knows better, `proofs` what it has proven beside the key,
    `soap_version` the form of the answer at that door, `fallback` what an outside system hears where we fail.
    """

    __slots__ = (
        "address",
        "assertion",
        "at",
        "bytes_in",
        "correlation",
        "door",
        "dossier_code",
        "every_header",
        "fallback",
        "field_groups",
        "generation",
        "headers",
        "is_answered",
        "is_personal",
        "is_written",
        "key_id",
        "language",
        "limit_headers",
        "method",
        "official",
        "operation",
        "organisation",
        "outcome",
        "path",
        "proofs",
        "purpose",
        "query",
        "reason",
        "request_id",
        "route",
        "rows",
        "scheme",
        "soap_version",
        "started_s",
        "subject",
        "upstream",
    )

    def __init__(self, scope: Scope, *, address: str, at: datetime) -> None:
        self.started_s = time.perf_counter()
        self.at = at
        self.address = address
        self.method: str = scope["method"]
        self.path: bytes = scope.get("raw_path") or scope["path"].encode()
        self.query: bytes = scope["query_string"]
        self.every_header: list[tuple[bytes, bytes]] = list(scope["headers"])
        self.headers: dict[bytes, bytes] = dict(self.every_header)
        self.request_id = clock.new_id()
        self.language = answers.language(self.headers.get(b"accept-language", b"")[:200])
        self.operation = "unknown"
        self.route = "unknown"
        self.outcome = "ok"
        self.bytes_in = 0
        self.is_answered = False
        self.is_personal = False
        self.door = "rest"
        self.fallback: money.CallbackReply | None = None
        self.generation: int | None = None
        self.is_written = False
        self.key_id: str | None = None
        self.organisation: str | None = None
        self.dossier_code: str | None = None
        self.official: str | None = None
        self.proofs: frozenset[str] = frozenset()
        self.correlation: str | None = None
        self.reason: str | None = None
        self.scheme: str = scope.get("scheme", "http")
        self.soap_version = ""
        self.assertion: str | None = None
        self.subject: str | None = None
        self.purpose: str | None = None
        self.field_groups: tuple[str, ...] = ()
        self.rows: int | None = None
        self.upstream: tuple[access_record.Attempt, ...] = ()
        self.limit_headers: answers.Headers = []
        sent_id = self.headers.get(b"x-request-id")
        if sent_id is not None and _CORRELATION.fullmatch(sent := sent_id.decode("latin-1")):
            self.correlation = sent

    def note_dossier(self, operation: str, parts: Mapping[str, str]) -> None:
        """Keep the dossier's code, where the path has one that can be one."""
        code = parts.get("code", "")
        if operation.startswith(HAS_DOSSIER) and len(code) <= 50 and _DOSSIER_CODE.fullmatch(code):
            self.dossier_code = code

    def note_told(self, told: access_record.Told) -> None:
        """Keep what an operation says of its own request, also where it then refuses."""
        self.official = told.official or self.official
        self.subject, self.purpose, self.rows = told.subject, told.purpose, told.rows
        self.dossier_code = told.dossier_code or self.dossier_code
        self.field_groups, self.upstream = tuple(told.field_groups), tuple(told.upstream)
        self.reason = told.rule or self.reason

    def note_refusal(self, exc: errors.HubError) -> None:
        """Keep what an error knows of the caller."""
        facts = exc.facts
        self.key_id = self.key_id or facts.get("key_id")
        self.organisation = self.organisation or facts.get("organisation")
        self.generation = self.generation or facts.get("generation")
        self.reason = facts.get("reason") or self.reason
        self.bytes_in = self.bytes_in or facts.get("bytes_in", 0)

    def record(self, *, status: int | None, took_s: float, bytes_out: int) -> access_record.Record:
        """Give the access record of this request."""
        return access_record.Record(
            at=self.at,
            request_id=self.request_id,
            operation=self.operation,
            route=self.route,
            outcome=self.outcome,
            took_ms=round(took_s * 1000, 3),
            status=status,
            door=self.door,
            method=self.method if len(self.method) <= 8 and self.method.isalpha() else "other",
            key_id=self.key_id,
            generation=self.generation,
            organisation=self.organisation,
            official=self.official,
            address=self.address[:64],
            rule=self.reason or _proven(self.proofs),
            bytes_in=self.bytes_in,
            bytes_out=bytes_out,
            rows=self.rows,
            field_groups=self.field_groups,
            subject=self.subject,
            purpose=self.purpose,
            dossier_code=self.dossier_code,
            correlation=self.correlation,
            upstream=self.upstream,
        )


def _proven(kinds: frozenset[str]) -> str | None:
    """Say by what a call was let in, beside its key; where it was refused, the reason stands in this place."""
    return f"proof:{'+'.join(sorted(kinds))}" if kinds else None
