"""What goes back to the caller: a good answer, or a problem (RFC 9457) in the language that was asked for."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from lienthong.api_keys import limits
from lienthong.core import errors

LANGUAGES = ("vi", "en")
Headers = list[tuple[bytes, bytes]]
_JSON = (b"content-type", b"application/json")
_PROBLEM = (b"content-type", b"application/problem+json")
_IANA = "https://iana.org/assignments/http-problem-types#"
_RETRY_S = 5
_MOST_SAID = 3


class Answer:
    """An answer on its way out; `outcome` is what the journal and the figures say of it.

    `decided` is the status for the record, where a door has to send another one.
    """

    __slots__ = ("body", "decided", "headers", "outcome", "status")

    def __init__(self, status: int, body: bytes, headers: Headers, outcome: str = "ok") -> None:
        self.status = status
        self.body = body
        self.headers = headers
        self.decided = status
        self.outcome = outcome


def good(status: int, body: bytes) -> Answer:
    """Answer with JSON that is ready."""
    return Answer(status, body, [_JSON])


def nothing(allow: str) -> Answer:
    """Answer OPTIONS: which methods an address takes."""
    return Answer(204, b"", [(b"allow", allow.encode())])


def problem(exc: errors.HubError, *, language: str, request_id: str) -> Answer:
    """Answer with what went wrong, for the caller's eyes: never the facts, never another system's words."""
    told: dict[str, Any] = {
        "type": f"/docs#{exc.code}",
        "title": exc.sentence(language),
        "status": exc.status,
        "detail": detail(exc, language),
        "instance": f"urn:uuid:{request_id}",
        "code": exc.code,
        "request_id": request_id,
    }
    headers: Headers = [_PROBLEM, (b"content-language", language.encode())]
    if exc.problems:
        told["errors"] = [problem.as_json(language) for problem in exc.problems]
    decision = exc.facts.get("decision")
    if isinstance(decision, limits.Decision):
        told["type"] = _IANA + decision.problem
        told["violated-policies"] = list(decision.violated)
        headers += limit_headers(decision)
    if exc.status == 401:
        headers.append((b"www-authenticate", b'ApiKey realm="lienthong", header="X-API-Key"'))
    if "allow" in exc.facts:
        headers.append((b"allow", str(exc.facts["allow"]).encode()))
    if exc.retry_after_s is not None or exc.status == 503:
        wait_s = _RETRY_S if exc.retry_after_s is None else max(1, math.ceil(exc.retry_after_s))
        headers.append((b"retry-after", str(wait_s).encode()))
    return Answer(exc.status, orjson.dumps(told), headers, exc.code)


def detail(exc: errors.HubError, language: str) -> str:
    """Say the first wrong fields where nothing more exact is said: some callers show only this."""
    if exc.detail_en or not exc.problems:
        return exc.detail(language)
    said = [problem.en if language == "en" else problem.vi for problem in exc.problems]
    return " ".join(said[:_MOST_SAID] + (["…"] if len(said) > _MOST_SAID else []))


def limit_headers(decision: limits.Decision) -> Headers:
    """Say how the limits stand: `RateLimit-Policy` and `RateLimit`, structured fields of the two-field draft."""
    policies, standing = [], []
    for name, quota, window_s, remaining, resets_in_s in decision.policies:
        policies.append(f'"{name}";q={quota}' + (f";w={window_s}" if window_s else ""))
        standing.append(f'"{name}";r={remaining};t={math.ceil(resets_in_s)}')
    return [
        (b"ratelimit-policy", ", ".join(policies).encode()),
        (b"ratelimit", ", ".join(standing).encode()),
    ]


@functools.lru_cache(maxsize=256)
def language(accept: bytes) -> str:
    """Choose Vietnamese or English by Accept-Language; Vietnamese where nothing is said."""
    best, weight = "vi", 0.0
    for name, asked in _ranges(accept.decode("latin-1")[:500]):
        if name in LANGUAGES and asked > weight:
            best, weight = name, asked
    return best


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    for part in accept.lower().split(","):
        name, _, parameter = part.strip().partition(";")
        quality = parameter.strip().removeprefix("q=")
        try:
            yield name.strip().partition("-")[0], float(quality) if parameter else 1.0
        except ValueError:
            continue


def known_errors() -> Sequence[type[errors.HubError]]:
    """Give every kind of error that a caller may meet, by its code, for the public reference."""
    found: list[type[errors.HubError]] = []
    waiting = [errors.CallerError, errors.RemoteError, errors.MappingError, errors.HubFault]
    while waiting:
        kind = waiting.pop(0)
        found.append(kind)
        waiting += kind.__subclasses__()
    ours = [kind for kind in found if kind.__module__.startswith("lienthong.")]
    return sorted(ours, key=lambda kind: kind.code)
