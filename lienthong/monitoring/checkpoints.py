"""Checkpoints: signed statements "so many records, this root" (C2SP tlog-checkpoint, signed-note). Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from lienthong.core import crypto

_ED25519, _COSIGNATURE = b"\x01", b"\x04"
_MARK = "\u2014 "  # the dash that begins a signature line (C2SP signed-note)
_NAME = re.compile(r"[^\s+\u2014]{1,200}")


class NotANote(ValueError):
    """A text that is no checkpoint of ours: wrong form, wrong log, or no valid signature."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """Who may sign: a name and a public key. `text` is the form in which it is handed out (`name+id+key`)."""

    name: str
    public: bytes
    kind: bytes = _ED25519

    @property
    def key_id(self) -> bytes:
        """The four bytes that tell keys of the same name apart."""
        return hashlib.sha256(self.name.encode() + b"\n" + self.kind + self.public).digest()[:4]

    @property
    def text(self) -> str:
        """The verifier as one line (C2SP signed-note, "vkey")."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(self.kind + self.public).decode()}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is stated: the log, its size and root, the statement's running number, when, and at which day's end.

    `number`, `at` and `day` stand in extension lines: a removed checkpoint leaves a gap in the numbers.
    """

    origin: str
    size: int
    root: bytes
    number: int
    at: datetime
    day: str | None = None

    def body(self) -> str:
        """Give the text that is signed."""
        lines = [self.origin, str(self.size), base64.b64encode(self.root).decode()]
        lines += [f"number {self.number}", f"time {self.at.isoformat()}"]
        if self.day:
            lines.append(f"day-end {self.day}")
        return "\n".join(lines) + "\n"


def verifier(text: str) -> Verifier:
    """Read a verifier from its line; raises NotANote where it is none."""
    try:
        name, key_id, key = text.strip().split("+", 2)
        raw = base64.b64decode(key, validate=True)
    except (ValueError, binascii.Error) as exc:
        raise NotANote("not a verifier key") from exc
    found = Verifier(name, raw[1:], raw[:1])
    if not _NAME.fullmatch(name) or len(found.public) != 32 or found.key_id.hex() != key_id:
        raise NotANote("not a verifier key")
    return found


def sign(checkpoint: Checkpoint, signer: crypto.Signer) -> str:
    """Give the signed note."""
    body = checkpoint.body()
    who = Verifier(checkpoint.origin, signer.public)
    return body + "\n" + signature_line(who, signer.sign(body.encode()))


def signature_line(who: Verifier, signature: bytes) -> str:
    """Give the line that carries a signature."""
    return f"{_MARK}{who.name} {base64.b64encode(who.key_id + signature).decode()}\n"


def read(note: str, who: Verifier) -> Checkpoint:
    """Check a signed note and read it; raises NotANote saying what is wrong with it."""
    body, signatures = parts(note)
    if not is_signed_by(who, body, signatures):
        raise NotANote("the signature of the checkpoint does not hold")
    found = parse(body)
    if found.origin != who.name:
        raise NotANote(f"the checkpoint is of another log: {found.origin}")
    return found


def is_signed_by(who: Verifier, body: str, lines: Sequence[str]) -> bool:
    """Whether one of these signature lines is the verifier's, of this text."""
    return any(crypto.is_signed(body.encode(), each, public=who.public) for each in _by(who, lines))


def parts(note: str) -> tuple[str, list[str]]:
    """Divide a note into its text and its signature lines."""
    body, separator, rest = note.partition("\n\n")
    lines = rest.splitlines()
    if not separator or not lines or not all(line.startswith(_MARK) for line in lines) or not rest.endswith("\n"):
        raise NotANote("not a signed note")
    return body + "\n", lines


def parse(body: str) -> Checkpoint:
    """Read the text of a checkpoint, whoever signed it."""
    lines = body.splitlines()
    try:
        extra = dict(line.split(" ", 1) for line in lines[3:])
        found = Checkpoint(
            origin=lines[0],
            size=int(lines[1]),
            root=base64.b64decode(lines[2], validate=True),
            number=int(extra["number"]),
            at=datetime.fromisoformat(extra["time"]),
            day=extra.get("day-end"),
        )
    except (ValueError, KeyError, IndexError, binascii.Error) as exc:
        raise NotANote("the text of the checkpoint cannot be read") from exc
    if found.body() != body or len(found.root) != 32:
        raise NotANote("the text of the checkpoint is not as it is written")
    return found


def cosign(note: str, *, name: str, signer: crypto.Signer, now: datetime) -> str:
    """Give the line by which a witness countersigns a checkpoint at a moment (C2SP tlog-cosignature v1)."""
    body, _ = parts(note)
    stamp = int(now.timestamp())
    signature = signer.sign(_cosigned(body, stamp))
    return signature_line(Verifier(name, signer.public, _COSIGNATURE), stamp.to_bytes(8, "big") + signature)


def cosigner(name: str, signer: crypto.Signer) -> Verifier:
    """Give the public key of a witness, as the hub is told it."""
    return Verifier(name, signer.public, _COSIGNATURE)


def cosigned_at(note: str, line: str, witness: Verifier) -> int:
    """Check a witness's line under a checkpoint; gives its time in seconds since 1970, or raises NotANote."""
    body, _ = parts(note)
    for blob in _by(Verifier(witness.name, witness.public, _COSIGNATURE), [line.rstrip("\n")]):
        stamp = int.from_bytes(blob[:8], "big")
        if len(blob) == 72 and crypto.is_signed(_cosigned(body, stamp), blob[8:], public=witness.public):
            return stamp
    raise NotANote("the countersignature of the witness does not hold")


def _cosigned(body: str, stamp: int) -> bytes:
    return f"cosignature/v1\ntime {stamp}\n{body}".encode()


def _by(who: Verifier, lines: Sequence[str]) -> list[bytes]:
    """Give the signatures that claim to be of this key."""
    found = []
    for line in lines:
        name, _, encoded = line.removeprefix(_MARK).partition(" ")
        try:
            blob = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            continue
        if name == who.name and blob[:4] == who.key_id:
            found.append(blob[4:])
    return found
