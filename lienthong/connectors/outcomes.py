"""What a call came to, as one of `core.errors`: failures on the way, statuses, and bodies that are not JSON.

Pure functions: nothing here waits, sends or remembers.
"""

from __future__ import annotations

import email.utils
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson

from lienthong.connectors import transport as transports
from lienthong.core import errors

_GATEWAY_FAULTS = frozenset({502, 503, 504})
_FORBIDDEN = frozenset({401, 403, 407})
_TRY_LATER = frozenset({408, 425})
_RETRY_AFTER_S = (1.0, 3600.0)
_REMOTE_CODE = re.compile(r"[A-Za-z0-9._-]{1,120}")


def failure_of(error: httpx.TransportError, *, system: str, idempotent: bool) -> errors.HubError:
    """Name a failure on the way: did the message perhaps arrive, and does trying again help.

    A time-out or a lost connection after sending leaves the outcome open (contracts §3.5), which matters only
    where a second sending would do harm.
    """
    known = hasattr(error, "sent")
    reason = f"{type(error).__name__}: {error}" if known else type(error).__name__
    if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
        return errors.InternalFault(system=system, reason=reason)
    if isinstance(error, transports.AnswerTooLarge | transports.AnswerMalformed):
        return garbled(str(error), system=system, outcome_uncertain=not idempotent)
    if idempotent or not transports.was_sent(error):
        return errors.RemoteUnavailable(system=system, reason=reason)
    return errors.OutcomeUnknown(system=system, reason=reason)


def refusal_of(
    status: int, headers: Mapping[str, str], *, system: str, idempotent: bool, now: datetime
) -> errors.RemoteError | None:
    """Name what a status says, or give None for any 2xx.

    A 500 comes from the application itself, which may have acted before it failed (contracts §6.1): unless
    the call is idempotent, the outcome is unknown. 502 to 504 are a gateway's words (§3.5, §11): tried again,
    but with `outcome_uncertain` among the facts, so that the caller may look first.
    """
    if "x-road-error" in headers:
        return _layer_fault(headers["x-road-error"], system=system, idempotent=idempotent)
    if 200 <= status < 300:
        return None
    code = f"HTTP {status}"
    wait_s = parse_retry_after(headers.get("retry-after", ""), now=now)
    if status == 429 or (status == 503 and wait_s is not None):
        return errors.RemoteBusy(system=system, remote_code=code, retry_after_s=wait_s)
    if status in _FORBIDDEN:
        return errors.RemoteForbids(system=system, remote_code=code)
    if 400 <= status < 500 and status not in _TRY_LATER:
        return errors.RemoteRefused(system=system, remote_code=code)
    if status in _TRY_LATER or (500 <= status < 600 and idempotent):
        return errors.RemoteUnavailable(system=system, remote_code=code)
    if status in _GATEWAY_FAULTS:
        return errors.RemoteUnavailable(system=system, remote_code=code, outcome_uncertain=True)
    if 500 <= status < 600:
        return errors.OutcomeUnknown(system=system, remote_code=code)
    return garbled(f"status {status} is not one to expect", system=system, remote_code=code)


def parse_retry_after(value: str, *, now: datetime) -> float | None:
    """Read `Retry-After` in either of its forms, as 1 to 3600 seconds; None where it says nothing."""
    value = value.strip()
    least, most = _RETRY_AFTER_S
    if value.isascii() and value.isdigit():
        return min(max(float(value[:9]), least), most)
    try:
        at = email.utils.parsedate_to_datetime(value)
        wait_s = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
    except (ValueError, OverflowError):
        return None
    return min(max(wait_s.total_seconds(), least), most)


def read_json(body: bytes, *, system: str) -> Any:
    """Read a body as JSON.

    Raises RemoteGarbled, whose reason says what came instead but quotes nothing of it.
    """
    body = body.removeprefix(b"\xef\xbb\xbf")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise garbled(_why_not_json(body), system=system) from None


def garbled(why: str, *, system: str, **facts: Any) -> errors.RemoteGarbled:
    """Name an answer that cannot be read; `why` quotes nothing of it."""
    return errors.RemoteGarbled(system=system, reason=why, **facts)


def _layer_fault(fault: str, *, system: str, idempotent: bool) -> errors.RemoteError:
    code = fault if _REMOTE_CODE.fullmatch(fault) else "X-Road-Error"
    if fault.startswith("Client."):
        return errors.RemoteForbids(system=system, remote_code=code)
    return errors.RemoteUnavailable(system=system, remote_code=code, outcome_uncertain=not idempotent)


def _why_not_json(body: bytes) -> str:
    if not body.strip():
        return "the body is empty"
    if body.lstrip().startswith(b"<"):
        return "HTML or XML instead of JSON"
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return "the text is not UTF-8"
    return "broken JSON"
