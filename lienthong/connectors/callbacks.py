"""Messages that nobody has vouched for yet: read strictly, so that nothing odd reaches the check of a signature.

Pure functions: whatever does not have the plain form of a callback is ProofRejected, never another error.
"""

from __future__ import annotations

import json
import re
import unicodedata
import urllib.parse
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NoReturn

import orjson

from lienthong.core import crypto, errors, money
from lienthong.mappings import transforms

MOST_BYTES = 64 * 1024
_MOST_FIELDS = 200
_LONGEST_TEXT = 2000
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_WHOLE = re.compile(r"0|[1-9][0-9]{0,14}")
_FORM = "application/x-www-form-urlencoded"

Fields = Mapping[str, Any]


def forged(system: str, reason: str) -> errors.ProofRejected:
    """Name a message that does not prove where it comes from; `reason` quotes nothing of it."""
    return errors.ProofRejected(
        "The message does not prove that it comes from the intermediary.",
        detail_vi="Thông điệp không chứng minh được là do trung gian gửi.",
        system=system,
        reason=reason,
    )


def read_fields(request: money.CallbackRequest, *, system: str) -> Fields:
    """Take the fields out of a message: the query of a GET, else a form or a JSON object by its own word.

    Raises ProofRejected for anything that is no flat UTF-8 text without repeated names.
    """
    if request.method.upper() == "GET":
        return read_form(request.query.encode("utf-8", "replace"), system=system)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM:
        return read_form(request.body, system=system)
    return read_object(request.body, system=system)


def read_flat(request: money.CallbackRequest, *, system: str) -> Fields:
    """As `read_fields`, but of plain texts and numbers only: fit to be passed on. Raises ProofRejected."""
    fields = read_fields(request, system=system)
    for name in fields:
        text(fields, name, system=system, default="")
    return fields


def read_form(raw: bytes, *, system: str) -> Fields:
    """Read `a=1&b=2`. Raises ProofRejected."""
    _refuse_large(raw, system=system)
    try:
        pairs = urllib.parse.parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(raw),
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise forged(system, "no form in UTF-8") from None
    return _once(pairs, system=system)


def read_object(raw: bytes, *, system: str) -> Fields:
    """Read one JSON object. Raises ProofRejected."""
    _refuse_large(raw, system=system)
    try:
        # `json` alone sees a name given twice; it reads UTF-16 and NaN too, hence the decoding and the refusals.
        found = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=lambda pairs: _once(pairs, system=system),
            parse_constant=_no_number,
        )
    except (ValueError, RecursionError):
        raise forged(system, "no JSON in UTF-8") from None
    if not isinstance(found, dict):
        raise forged(system, "no object")
    return found


def text(fields: Fields, name: str, *, system: str, separator: str = "", default: str | None = None) -> str:
    """Give a field as the text that was signed. Raises ProofRejected where it is no plain text.

    A `separator` inside a value would let parts of a signed message change places. Absent and null are
    `default`, and refused without one.
    """
    value = fields.get(name)
    if value is None and default is not None:
        return default
    if type(value) is int and abs(value) < 10**18:
        return str(value)
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or _CONTROLS.search(value):
        raise forged(system, "a field is no plain text")
    if separator and separator in value:
        raise forged(system, "a field holds the separator")
    return value


def whole(fields: Fields, name: str, *, system: str) -> int:
    """Give a field as a whole number in its one canonical form. Raises ProofRejected."""
    value = fields.get(name)
    if type(value) is int and 0 <= value < 10**15:
        return value
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    raise forged(system, "an amount is no whole number")


def is_same(given: str, expected: str) -> bool:
    """Compare two signatures in constant time; spelled otherwise is not the same."""
    return len(given) == len(expected) and crypto.is_same(given, expected)


def json_reply(content: Mapping[str, Any]) -> money.CallbackReply:
    """Answer with a JSON object."""
    return money.CallbackReply(status=200, body=orjson.dumps(content))


def plain_ascii(value: str, *, longest: int | None = None, without: str = "") -> str:
    """Write text without accents and control characters, its blanks single; cut where there is a limit."""
    letters = unicodedata.normalize("NFD", value.replace("đ", "d").replace("Đ", "D"))
    ascii_only = (
        it if it.isascii() and it.isprintable() and it not in without else " "
        for it in letters
        if not unicodedata.combining(it)
    )
    kept = "".join(ascii_only)
    return " ".join(kept.split())[:longest].rstrip()


def moment(value: str) -> datetime | None:
    """Read a time that a verified message tells; None where it cannot be read: the message stays true."""
    try:
        return transforms.read_time(value)
    except (ValueError, OverflowError):
        return None


def _once(pairs: list[tuple[str, Any]], *, system: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise forged(system, "a field stands twice")
        if not _is_unicode(name) or (isinstance(value, str) and not _is_unicode(value)):
            raise forged(system, "no text in UTF-8")
        found[name] = value
    if len(found) > _MOST_FIELDS:
        raise forged(system, "too many fields")
    return found


def _is_unicode(value: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def _refuse_large(raw: bytes, *, system: str) -> None:
    if len(raw) > MOST_BYTES:
        raise forged(system, "too long")


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)
