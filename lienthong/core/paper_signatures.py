"""Digital signatures on papers: who signed a PDF or XML file, and does the signature hold (NA 20.1)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

State = Literal["valid", "unsigned", "altered", "untrusted", "expired_or_revoked", "unreadable"]


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed, as the certificate names the organisation."""

    organisation: str
    serial: str
    signed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found."""

    state: State
    signers: tuple[Signer, ...]
    kind: Literal["pdf", "xml", "other"]
    why_vi: str
    why_en: str


@dataclass(frozen=True, slots=True)
class Anchors:
    """The certificates that are trusted."""

    folder: Path | None

    @classmethod
    def load(cls, folder: Path | None) -> Anchors:
        """Read them. Raises Misconfigured where one cannot be read."""
        return cls(folder)


async def check(content: bytes, *, anchors: Anchors, now: datetime) -> Verdict:
    """Check a file. Never raises for what the file holds."""
    raise NotImplementedError
