"""Time stamps of checkpoints (RFC 3161): an authority outside states that a checkpoint was there at a moment.

Kept beside the log in `stamps.jsonl`. An authority that is away never holds a seal up.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import rfc3161_client

from lienthong.core import clock, crypto, errors, settings
from lienthong.monitoring import checkpoints, log_check, log_files

_FILE = "stamps.jsonl"
_LONGEST_ANSWER = 100_000
TIMEOUT_S = 20.0


class NotStamped(ValueError):
    """An answer that is no time stamp of this checkpoint, or not by an authority that is believed."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Who stamps, and the certificates by which a stamp is believed; `every` is the time between two stamps."""

    url: str
    roots: tuple[Any, ...]
    every: timedelta


def authority(chosen: settings.Seals) -> Authority | None:
    """Give the authority that is set, if any. Raises Misconfigured where its certificates cannot be read."""
    if not chosen.stamp_url or chosen.stamp_ca_file is None:
        return None
    try:
        roots = crypto.read_authorities(chosen.stamp_ca_file.read_bytes())
    except (OSError, ValueError) as exc:
        raise errors.Misconfigured(
            "LIENTHONG_SEALS__STAMP_CA_FILE cannot be read: it must hold certificates, PEM",
            detail_vi="Không đọc được LIENTHONG_SEALS__STAMP_CA_FILE: phải là tệp chứng thư PEM.",
        ) from exc
    return Authority(chosen.stamp_url, tuple(roots), timedelta(seconds=chosen.stamp_every_s))


def is_due(log: Path, who: Authority, at: datetime) -> bool:
    """Whether a checkpoint of this moment is to be stamped: so long after the last stamp, and on every new day."""
    line = log_files.last_line(log / _FILE)
    if line is None:
        return True
    last = datetime.fromisoformat(orjson.loads(line)["at"])
    days = [moment.astimezone(clock.VIETNAM).date() for moment in (last, at)]
    return days[0] != days[1] or not timedelta(0) <= at - last < who.every


def stamp(log: Path, note: str, who: Authority) -> datetime:
    """Have a checkpoint stamped and keep the answer; gives its time. Blocks.

    Raises OSError where the authority is away, NotStamped where its answer does not hold.
    """
    asked = rfc3161_client.TimestampRequestBuilder().data(note.encode())
    request = asked.hash_algorithm(rfc3161_client.base.HashAlgorithm.SHA256).build()
    answer = _post(who.url, request.as_bytes())
    at = check(answer, note, who.roots, nonce=request.nonce)
    body, _ = checkpoints.parts(note)
    told = {"number": checkpoints.parse(body).number, "at": at.isoformat()}
    log_files.append_lines(log / _FILE, [orjson.dumps({**told, "stamp": base64.b64encode(answer).decode()})])
    return at


def check(answer: bytes, note: str, roots: Sequence[Any], *, nonce: int | None = None) -> datetime:
    """Check a stamp of a checkpoint and give its time; without roots nobody's signature is looked at.

    Raises NotStamped saying what is wrong.
    """
    try:
        found = rfc3161_client.decode_timestamp_response(answer)
        if roots:
            verifier = rfc3161_client.VerifierBuilder(roots=list(roots), nonce=nonce).build()
            verifier.verify_message(found, note.encode())
        elif found.tst_info.message_imprint.message != hashlib.sha256(note.encode()).digest():
            raise NotStamped("the stamp is of something else")
        return found.tst_info.gen_time.astimezone(UTC)
    except (rfc3161_client.VerificationError, ValueError) as exc:
        raise NotStamped(str(exc) or "the stamp cannot be read") from exc


def _post(url: str, request: bytes) -> bytes:
    if not url.startswith(("http://", "https://")):
        raise OSError("the address of a time stamp authority begins with https://")
    asked = urllib.request.Request(url, request, {"Content-Type": "application/timestamp-query"})  # noqa: S310
    with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:  # noqa: S310
        return bytes(answer.read(_LONGEST_ANSWER))


def look(log: Path, notes: Sequence[str], who: Authority | None, report: log_check.Report) -> None:
    """Check every stamp of a log, or of an export of one; the last that holds is told, each other is a finding."""
    told = ""
    for line, (number, at, answer) in enumerate(_kept(log), 1):
        try:
            if not 0 < number <= len(notes):
                raise NotStamped(f"checkpoint {number} is not there")
            stamped = check(answer, notes[number - 1], who.roots if who else ())
            if stamped != at:
                raise NotStamped("it says another time than the line")
            told = f"{log.name}: checkpoint {number} stamped (RFC 3161) at {stamped.isoformat()}"
        except NotStamped as exc:
            report.find(
                f"{log.name}/{_FILE} line {line}: {exc}",
                vi="Dấu thời gian không đúng với điểm niêm phong.",
                en="The time stamp does not hold.",
            )
    if told:
        report.notes.append(told if who else f"{told}, signature not checked: openssl ts -verify")


def _kept(log: Path) -> Iterator[tuple[int, datetime | None, bytes]]:
    for line in log_files.whole_lines(log / _FILE):
        try:
            said = orjson.loads(line)
            answer = base64.b64decode(said["stamp"], validate=True)
            yield int(said["number"]), datetime.fromisoformat(said["at"]), answer
        except (orjson.JSONDecodeError, binascii.Error, ValueError, KeyError, TypeError):
            yield 0, None, b""


def copy_stamps(log: Path, export: Path) -> None:
    """Put the stamps of a log into an export."""
    lines = log_files.whole_lines(log / _FILE)
    if lines:
        (export / _FILE).write_bytes(b"".join(line + b"\n" for line in lines))
