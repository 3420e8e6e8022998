"""How an API key is spelled: `lt_<live|test>_`, 43 characters of 256 random bits, 6 characters of checksum.

All letters and digits, so that a double click selects it, and a mistyped or leaked key is known offline.
"""

from __future__ import annotations

import re
import string
import zlib
from dataclasses import dataclass, field
from typing import Any

from lienthong.core import crypto

ISSUER = "lt"
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SECRET_LENGTH = 43
_CHECKSUM_LENGTH = 6
_TAIL_LENGTH = _SECRET_LENGTH + _CHECKSUM_LENGTH
_SHAPE = re.compile(r"lt_(?:live|test)_[0-9A-Za-z]{49}")
_IN_TEXT = re.compile(r"lt_(live|test)_([0-9A-Za-z]*)")
# What stands in lists, logs and the journal in place of the key: the first 6 of 43 characters.
PREFIX_LENGTH = len("lt_live_") + 6
# No more of a pasted text is searched: a key is found in a line or a page, not in a whole disk.
MOST_SEARCHED = 1_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """A key, or what may have been one, found in a text. Never holds more of it than may be shown.

    `verdict`: `key` (shape and checksum right), `checksum` (mistyped or invented), `short` or `long`.
    """

    prefix: str
    environment: str
    verdict: str
    length: int = field(repr=False)
    issuer: str = ISSUER

    def as_json(self) -> dict[str, Any]:
        """Give what `lienthong keys recognise --json` prints."""
        return {
            "prefix": self.prefix,
            "issuer": self.issuer,
            "environment": self.environment,
            "verdict": self.verdict,
            "checksum_right": self.verdict == "key",
        }


def new(environment: str) -> str:
    """Make a key for an environment (`live` or `test`)."""
    head = f"lt_{environment}_" + _base62(int.from_bytes(crypto.random_token(32), "big"), _SECRET_LENGTH)
    return head + checksum(head)


def checksum(head: str) -> str:
    """Give the last six characters of a key: CRC-32 of all that stands before them, in base 62."""
    return _base62(zlib.crc32(head.encode()), _CHECKSUM_LENGTH)


def is_well_formed(text: str) -> bool:
    """Whether a text can be a key at all: shape and checksum. Says nothing about whether it exists."""
    return _SHAPE.fullmatch(text) is not None and checksum(text[:-_CHECKSUM_LENGTH]) == text[-_CHECKSUM_LENGTH:]


def recognise(text: str) -> list[Found]:
    """Find every key in a text, without asking anybody: whose it is, and whether it is whole and right."""
    return [_judge(match) for match in _IN_TEXT.finditer(text[:MOST_SEARCHED])]


def hide(text: str) -> str:
    """Cut every key in a text down to the part that may be written."""
    return _IN_TEXT.sub(lambda match: prefix(match[0]) + ("…" if len(match[0]) > PREFIX_LENGTH else ""), text)


def prefix(text: str) -> str:
    """Give the part of a key that may be shown."""
    return text[:PREFIX_LENGTH]


def _judge(match: re.Match[str]) -> Found:
    length = len(match[2])
    if length != _TAIL_LENGTH:
        verdict = "short" if length < _TAIL_LENGTH else "long"
    else:
        verdict = "key" if is_well_formed(match[0]) else "checksum"
    return Found(prefix(match[0]), match[1], verdict, length)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
