"""Checksums of PayGov: SHA-256 over values put one after the other, the secret first (contracts §7.3).

How a callback is signed is not public. The operator names the recipe once it is known; until then none counts.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

SECRET = "@secret_key"  # noqa: S105  (a word of recipes)
ACCESS = "@access_key"
Digest = Literal["sha256", "sha512", "hmac-sha256", "hmac-sha512"]


def checksum(values: Sequence[str]) -> str:
    """Hash values one after the other; lower-case hex (vector 12.4)."""
    return hashlib.sha256("".join(values).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a callback is signed: names of its fields in their order, our keys among them by words with an @.

    With an HMAC the secret is its key and stands nowhere in the text.
    """

    parts: tuple[str, ...]
    separator: str
    digest: Digest

    def fault(self, *, must_cover: Sequence[str]) -> str:
        """Say what is wrong with the recipe; empty where it proves what is believed."""
        if self.digest.startswith("hmac") == (SECRET in self.parts):
            return f"{SECRET} belongs into a plain hash, and not into an HMAC"
        missing = [name for name in must_cover if name not in self.parts]
        if missing:
            return f"does not cover {', '.join(missing)}"
        return "" if len(set(self.parts)) == len(self.parts) else "names a field twice"

    def sign(self, value_of: Callable[[str], str], *, secret: str, access_key: str) -> str:
        """Sign the values that `value_of` gives for the names of fields; lower-case hex."""
        own = {SECRET: secret, ACCESS: access_key}
        text = self.separator.join(own[part] if part in own else value_of(part) for part in self.parts).encode()
        kind = self.digest.removeprefix("hmac-")
        if kind != self.digest:
            return hmac.new(secret.encode(), text, kind).hexdigest()
        return hashlib.new(kind, text).hexdigest()
