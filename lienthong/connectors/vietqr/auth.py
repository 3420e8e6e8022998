"""The note of a transfer: our reference, and a tail that only the hub can make (contracts §7.6: unguessable)."""

from __future__ import annotations

import base64
import hashlib
import hmac

from lienthong.connectors import bank_qr


def note(reference: str, key: str) -> str:
    """Write the note of an attempt: always 25 letters and digits, of which at least 5 cannot be guessed.

    The same attempt always has the same note, so that a code made again asks for the same transfer. Banks
    write in capitals; the tail is in capitals too.
    """
    digest = hmac.new(key.encode(), reference.upper().encode(), hashlib.sha256).digest()
    tail = base64.b32encode(digest).decode("ascii")
    return reference + tail[: bank_qr.LONGEST_NOTE - len(reference)]
