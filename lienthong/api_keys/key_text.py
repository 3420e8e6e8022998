"""How an API key is spelled: `lt_<live|test>_`, 43 characters of 256 random bits, 6 characters of checksum.

All letters and digits, so that a double click selects it, and a mistyped or leaked key is known offline.
"""

from __future__ import annotations

import re
import string
import zlib

from lienthong.core import crypto

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SECRET_LENGTH = 43
_CHECKSUM_LENGTH = 6
_SHAPE = re.compile(r"lt_(?:live|test)_[0-9A-Za-z]{49}")
# What stands in lists, logs and the journal in place of the key: the first 6 of 43 characters.
PREFIX_LENGTH = len("lt_live_") + 6


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


def prefix(text: str) -> str:
    """Give the part of a key that may be shown."""
    return text[:PREFIX_LENGTH]


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
