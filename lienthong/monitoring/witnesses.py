"""Witnesses: somebody else keeps, and countersigns, what the hub stated, so that the hub cannot take it back.

Three ways: a folder (a file share of another machine), a command (mail, syslog, whatever the unit has), and a
witness that speaks C2SP tlog-witness. A witness that is away never stops sealing.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import logging
import os
import shlex
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from lienthong.core import crypto, errors
from lienthong.monitoring import checkpoints, log_files, merkle, sealed_log

_log = logging.getLogger("lienthong.seals")
_FILE = "cosignatures.jsonl"
# A witness is somebody else's machine, file or program: whatever it does wrong is no reason to stop sealing.
_FAILURES = (OSError, TimeoutError, ValueError, KeyError, TypeError, http.client.HTTPException, errors.HubError)
_LONGEST_ANSWER = 100_000
TIMEOUT_S = 20.0
_MOST_BEFORE = 1_000  # of the checkpoints, and of the countersignatures kept, so many are looked at
Log = sealed_log.SealedLog | sealed_log.Glance


@dataclass(frozen=True, slots=True)
class Witness:
    """Where checkpoints are shown, and the key of countersignatures (none: they are kept elsewhere)."""

    folder: Path | None = None
    command: str = ""
    url: str = ""
    key: str = ""

    @property
    def is_set(self) -> bool:
        """Whether anybody is to be shown anything."""
        return bool(self.folder or self.command or self.url)


async def show(witness: Witness, log: Log, note: str) -> list[str]:
    """Show one checkpoint to the witness; gives the countersignatures that hold, and keeps them with the log.

    Each way is tried whatever became of the others; one that fails is logged, never raised.
    """
    ways: list[Awaitable[list[str]]] = []
    if witness.folder is not None:
        ways.append(asyncio.to_thread(_drop, witness.folder, log, note))
    if witness.command:
        ways.append(_run(witness.command, note))
    if witness.url:
        ways.append(asyncio.to_thread(_post, witness.url, log, note))
    lines: list[str] = []
    for way in ways:
        try:
            lines += await way
        except _FAILURES as exc:
            facts = {"why": f"{type(exc).__name__} {exc}"}
            _log.warning("the witness could not be shown a checkpoint", extra=facts)
    try:
        return await asyncio.to_thread(_keep, log.folder, lines, witness.key) if witness.key else []
    except checkpoints.NotANote as exc:
        _log.error("LIENTHONG_SEALS__WITNESS_KEY is not a witness's key", extra={"why": str(exc)})
        return []


def _keep(folder: Path, lines: list[str], key: str) -> list[str]:
    """Keep the countersignatures that hold and are new; gives them."""
    found = list(_that_hold(folder, lines, checkpoints.verifier(key)))
    if found:
        log_files.append_lines(folder / _FILE, [orjson.dumps(each) for each in found])
    return [each["line"] for each in found]


def _that_hold(folder: Path, lines: list[str], who: checkpoints.Verifier) -> Iterator[dict[str, Any]]:
    """Find the checkpoint that each line is of: a witness may answer with one that it was shown before."""
    # What is kept already is not looked at again: holding a line against a checkpoint takes longer than sealing.
    kept = {_kept_line(line) for line in log_files.last_lines(folder / _FILE, _MOST_BEFORE)}
    fresh = [line.rstrip("\n") for line in lines if line.rstrip("\n") not in kept]
    if not fresh:
        return
    notes = [orjson.loads(line) for line in log_files.last_lines(folder / "checkpoints.jsonl", _MOST_BEFORE)]
    for line in fresh:
        for note in reversed(notes):
            try:
                checkpoints.cosigned_at(note, line, who)
            except checkpoints.NotANote:
                continue
            body, _ = checkpoints.parts(note)
            yield {"number": checkpoints.parse(body).number, "witness": who.text, "line": line}
            break


def _kept_line(kept: bytes) -> str | None:
    try:
        return str(orjson.loads(kept)["line"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None


def last_cosigned(log: Path) -> int | None:
    """Give the number of the last checkpoint of a log that a witness countersigned; none where nothing is kept."""
    line = log_files.last_line(log / _FILE)
    try:
        return None if line is None else int(orjson.loads(line)["number"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None


# --------------------------------------------------------------------------------------------------- three ways


def _drop(folder: Path, log: Log, note: str) -> list[str]:
    """Put the checkpoint into the folder, with what proves that it continues the last; fetch what was signed."""
    place = place_of(folder, log.verifier.name)
    place.mkdir(parents=True, exist_ok=True)
    body, _ = checkpoints.parts(note)
    new = checkpoints.parse(body)
    old = _last_dropped(place)
    proof: list[str] = []
    if old is not None and 0 < old.size <= new.size:
        proof = [step.hex() for step in merkle.consistency_proof(old.size, new.size, log.tiles.read)]
    if not (place / "verifier").exists():
        log_files.replace(place / "verifier", (log.verifier.text + "\n").encode())
    told = {"note": note, "old": old.size if old else 0, "proof": proof}
    log_files.replace(place / f"{new.number:010d}.checkpoint", orjson.dumps(told))
    return [path.read_text(encoding="utf-8") for path in sorted(place.glob("*.cosigned"))[-100:]]


def _last_dropped(place: Path) -> checkpoints.Checkpoint | None:
    found = sorted(place.glob("*.checkpoint"))
    if not found:
        return None
    body, _ = checkpoints.parts(orjson.loads(found[-1].read_bytes())["note"])
    return checkpoints.parse(body)


async def _run(command: str, note: str) -> list[str]:
    """Run the operator's command with the checkpoint as its input; each line that it prints may be a signature."""
    pipe = asyncio.subprocess.PIPE
    # In a group of its own, so that what it started goes with it when its time is over.
    process = await asyncio.create_subprocess_exec(
        *shlex.split(command), stdin=pipe, stdout=pipe, start_new_session=True
    )
    try:
        printed, _ = await asyncio.wait_for(process.communicate(note.encode()), TIMEOUT_S)
    except (TimeoutError, asyncio.CancelledError):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    if process.returncode:
        raise OSError(f"the witness command ended with {process.returncode}")
    return printed.decode(errors="replace").splitlines()


def _post(url: str, log: Log, note: str) -> list[str]:
    """Ask a witness by C2SP tlog-witness `add-checkpoint`; one that is further back is asked from where it is."""
    if not url.startswith(("http://", "https://")):
        raise OSError("the address of a witness begins with https://")
    body, _ = checkpoints.parts(note)
    size = checkpoints.parse(body).size
    old = size
    ends_s = time.monotonic() + TIMEOUT_S
    for _ in range(2):
        steps = merkle.consistency_proof(old, size, log.tiles.read) if 0 < old < size else []
        proof = "".join(f"{base64.b64encode(step).decode()}\n" for step in steps)
        asked = urllib.request.Request(f"{url.rstrip('/')}/add-checkpoint", f"old {old}\n{proof}\n{note}".encode())  # noqa: S310
        try:
            with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:  # noqa: S310
                return _read(answer, ends_s).decode(errors="replace").splitlines()
        except urllib.error.HTTPError as exc:
            said = exc.read(100).decode(errors="replace").strip()
            if exc.code != 409 or not said.isdigit() or int(said) > size:
                raise OSError(f"the witness answers {exc.code}") from exc
            old = int(said)
    raise OSError("the witness and the hub do not agree where to go on from")


def _read(answer: Any, ends_s: float) -> bytes:
    """Read an answer that comes in time and is no longer than such an answer may be."""
    found = b""
    while len(found) < _LONGEST_ANSWER and (block := answer.read1(_LONGEST_ANSWER - len(found))):
        found += block
        if time.monotonic() > ends_s:
            raise TimeoutError("the witness answers too slowly")
    return found


# ------------------------------------------------------------------------------------------------ the other side


def countersign(place: Path, *, name: str, signer: crypto.Signer, now: datetime) -> int:
    """Countersign, as the witness, every checkpoint in a folder that continues the last one; gives how many.

    Runs on the witness's machine; what it signed last is kept beside. Raises NotANote or DoesNotHold at the first
    checkpoint that does not continue what was signed before: then somebody has changed the past.
    """
    who = checkpoints.verifier((place / "verifier").read_text(encoding="utf-8"))
    last, done = _signed_before(place), 0
    for path in sorted(place.glob("*.checkpoint")):
        told = orjson.loads(path.read_bytes())
        new = checkpoints.read(told["note"], who)
        if last is not None and new.number <= last.number:
            continue
        if last is not None:
            if told["old"] != last.size:
                raise checkpoints.NotANote(f"checkpoint {new.number} does not continue no. {last.number}")
            steps = [bytes.fromhex(step) for step in told["proof"]]
            merkle.check_consistency(last.size, new.size, last.root, new.root, steps)
        line = checkpoints.cosign(told["note"], name=name, signer=signer, now=now)
        log_files.replace(path.with_suffix(".cosigned"), line.encode())
        log_files.replace(place / "signed-last", told["note"].encode())
        last, done = new, done + 1
    return done


def _signed_before(place: Path) -> checkpoints.Checkpoint | None:
    path = place / "signed-last"
    if not path.exists():
        return None
    body, _ = checkpoints.parts(path.read_text(encoding="utf-8"))
    return checkpoints.parse(body)


def place_of(folder: Path, origin: str) -> Path:
    """Say where in a witness's folder the checkpoints of a log are."""
    return folder / origin.replace("/", "_")


def kept_by(place: Path) -> Iterator[tuple[Path, str | None]]:
    """Give the text of each checkpoint that a witness keeps of a log, whoever signed it; none where unreadable."""
    for path in sorted(place.glob("*.checkpoint")):
        try:
            yield path, checkpoints.parts(orjson.loads(path.read_bytes())["note"])[0]
        except (OSError, checkpoints.NotANote, orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            yield path, None


# --------------------------------------------------------------------------------------------------- in exports


def copy_cosignatures(log: Path, export: Path) -> None:
    """Put the countersignatures of a log into an export."""
    lines = log_files.whole_lines(log / _FILE)
    if lines:
        (export / _FILE).write_bytes(b"".join(line + b"\n" for line in lines))


def described(export: Path) -> list[str]:
    """Say who countersigned what in an export, last one of each witness; raises NotANote where a line is false."""
    notes = [orjson.loads(line) for line in log_files.whole_lines(export / "checkpoints.jsonl")]
    found: dict[str, str] = {}
    for line in log_files.whole_lines(export / _FILE):
        told = orjson.loads(line)
        who = checkpoints.verifier(told["witness"])
        at = checkpoints.cosigned_at(notes[told["number"] - 1], told["line"], who)
        when = datetime.fromtimestamp(at, UTC).isoformat()
        found[who.text] = f"{export.name}: checkpoint {told['number']} countersigned by {who.text} at {when}"
    return list(found.values())
