"""Tokens and user-info as the identity server spells them, and what in them must agree."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import orjson

from lienthong.connectors import http, outcomes
from lienthong.core import crypto, errors, people
from lienthong.mappings import engine

SYSTEM = "dvcqg_sso"
MAPPING = engine.load(SYSTEM)
NAMES = MAPPING.envelope
_ONLY_VNEID = frozenset({NAMES["vneid_assurance"], NAMES["vneid_profile"], NAMES["vneid_logout"]})
_LEVEL = re.compile(r"[A-Za-z]{0,5}(\d)")
_SKEW = timedelta(seconds=60)
_USUAL_LIFE_S = 300


@dataclass(frozen=True, slots=True, repr=False)
class Granted:
    """What a code was exchanged for."""

    access_token: str
    id_token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Introspected:
    """What the server says of a token."""

    active: bool
    client_id: str
    ends_at: datetime | None


def granted(reply: http.Reply, *, now: datetime) -> Granted:
    """Read the answer to a code. Raises RemoteRefused for a code that is used, foreign or too old."""
    body = _object(reply)
    if reply.status != 200:
        _refuse(reply.status, body)
    token, life_s = body.get(NAMES["access_token"]), body.get(NAMES["expires_in"], _USUAL_LIFE_S)
    if not isinstance(token, str) or not token:
        raise outcomes.garbled("no access token", system=SYSTEM)
    try:
        ends_at = now + timedelta(seconds=float(life_s))
    except (TypeError, ValueError, OverflowError):
        raise outcomes.garbled("the life of the token is no number", system=SYSTEM) from None
    return Granted(token, str(body.get(NAMES["id_token"]) or ""), ends_at)


def _refuse(status: int, body: Mapping[str, Any]) -> NoReturn:
    error = str(body.get(NAMES["error"]) or "")
    code = error if re.fullmatch(r"[a-z_]{1,40}", error) else f"HTTP {status}"
    if status in (401, 403) or error in (NAMES["invalid_client"], NAMES["unauthorized_client"]):
        raise errors.RemoteForbids(system=SYSTEM, remote_code=code)
    raise errors.RemoteRefused(
        "the identity server does not take this code: it was used before, is too old, or is not for this hub",
        detail_vi="Máy chủ đăng nhập không nhận mã này (đã dùng, quá hạn hoặc không phải của trục);"
        " hãy đăng nhập lại.",
        system=SYSTEM,
        remote_code=code,
    )


def check_id_token(token: str, *, client_id: str, issuer: str, nonce: str, now: datetime) -> str:
    """Check what an id token claims and give its subject; its signature is looked at in `signatures`.

    Raises RemoteRefused where it was made for another sign-in, RemoteGarbled where it is none.
    """
    claims = _claims(token)
    audience = claims.get("aud")
    if client_id not in (audience if isinstance(audience, list) else [audience]):
        raise _foreign("audience")
    if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != client_id:
        raise _foreign("azp")
    if issuer and claims.get("iss") != issuer:
        raise _foreign("issuer")
    given = claims.get("nonce")
    if not isinstance(given, str) or not nonce or not crypto.is_same(given, nonce):
        raise _foreign("nonce")
    if now - _SKEW > _moment(claims.get("exp")) or now + _SKEW < _moment(claims.get("iat")):
        raise _foreign("time")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise outcomes.garbled("the id token names nobody", system=SYSTEM)
    return subject


def _claims(token: str) -> dict[str, Any]:
    parts = token.split(".")
    try:
        raw = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)) if len(parts) == 3 else b""
        found = orjson.loads(raw)
    except (binascii.Error, ValueError):
        found = None
    if not isinstance(found, dict):
        raise outcomes.garbled("the id token is none", system=SYSTEM)
    return found


def _moment(value: Any) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise outcomes.garbled("a time of the id token is no number", system=SYSTEM)
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        raise outcomes.garbled("a time of the id token cannot be", system=SYSTEM) from None


def _foreign(what: str) -> errors.RemoteRefused:
    return errors.RemoteRefused(
        "the sign-in does not belong to this browser's request; sign in again",
        detail_vi="Lượt đăng nhập không khớp với yêu cầu của trình duyệt này; hãy đăng nhập lại.",
        system=SYSTEM,
        remote_code=what,
    )


def code_of(answer: Mapping[str, str], *, state: str) -> str:
    """Take the code out of what the browser came back with. Raises RemoteRefused for another's or a refusal."""
    given = answer.get(NAMES["state"], "")
    if not state or not crypto.is_same(given, state):
        raise _foreign("state")
    error, code = answer.get(NAMES["error"], ""), answer.get(NAMES["code"], "")
    if error or not code:
        known = error if re.fullmatch(r"[a-z_]{1,40}", error) else "no code"
        raise errors.RemoteRefused(
            "the sign-in was not completed over there",
            detail_vi="Việc đăng nhập chưa hoàn tất hoặc đã bị huỷ; hãy đăng nhập lại.",
            system=SYSTEM,
            remote_code=known,
        )
    return code


def identity(reply: http.Reply, *, subject: str) -> people.Identity:
    """Read who signed in, in either shape. Raises RemoteGarbled where it is not the subject of the id token."""
    info = _object(reply)
    shape = "vneid" if _ONLY_VNEID & info.keys() else "dvcqg"
    found: people.Identity = MAPPING.message(shape).from_wire(info)
    if subject and not crypto.is_same(found.subject, subject):
        raise outcomes.garbled("the user-info is another person's", system=SYSTEM)
    update = _by_kind(found, info)
    if not update["key"]:
        raise outcomes.garbled("the account has no number to be known by", system=SYSTEM)
    return found.model_copy(update=update)


def _by_kind(found: people.Identity, info: Mapping[str, Any]) -> dict[str, Any]:
    """Work out what depends on the kind of account: its key (contracts §9) and its name."""
    given = {
        name: str(info.get(NAMES[name]) or "").strip()[:200] for name in ("old_id", "organisation", "business")
    }
    level = _LEVEL.fullmatch(str(info.get(NAMES["level"]) or "").strip())
    assurance = found.assurance if found.assurance is not None or level is None else int(level[1])
    if found.kind == "individual":
        return {"key": found.citizen_id or given["old_id"], "assurance": assurance}
    tax_code = found.tax_code or given["business"]
    key = tax_code if found.kind == "enterprise" else found.tech_id
    name = given["organisation"] or found.full_name
    return {"key": key, "tax_code": tax_code, "full_name": name, "assurance": assurance}


def introspected(reply: http.Reply, *, client_id: str) -> Introspected:
    """Read what the server says of a token; one that was given to another client counts as not in force."""
    body = _object(reply)
    client, ends = str(body.get(NAMES["client_id"]) or ""), body.get(NAMES["ends"])
    said = body.get(NAMES["active"])
    active = said is True or (said is None and bool(client))
    ends_at = _moment(ends) if ends is not None else None
    return Introspected(active and client in ("", client_id), client, ends_at)


def _object(reply: http.Reply) -> dict[str, Any]:
    start = reply.body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start in (b"", b"<"):
        raise errors.RemoteUnavailable(system=SYSTEM, remote_code="html" if start else "empty")
    body = reply.json()
    if not isinstance(body, dict):
        raise outcomes.garbled("no object", system=SYSTEM)
    return body
