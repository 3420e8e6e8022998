#!/usr/bin/env python3
"""Checks an export of the access record offline: python verify_journal.py FOLDER [--key VERIFIER]

Needs Python 3.11 and the library `cryptography`, nothing of the hub; written apart from the hub's own check, after
RFC 6962 and C2SP tlog-checkpoint. Ends with 0 where everything holds, with 1 where not, naming the first place.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

DASH = "\u2014 "
EPOCH, VIETNAM = datetime(1970, 1, 1, tzinfo=UTC), timezone(timedelta(hours=7))
FIELDS = (
    *("node", "number", "at", "request_id", "direction", "door", "system", "operation", "method", "route"),
    *("key_id", "generation", "organisation", "official", "address", "outcome", "rule", "status", "took_us"),
    *("bytes_in", "bytes_out", "rows", "field_groups", "subject", "purpose", "dossier_code", "message_id"),
    *("correlation", "upstream"),
)
ACT_FIELDS = ("number", "at", "actor", "act", "object", "reason", "before", "after", "outcome")


class Wrong(Exception):
    """Something does not hold; the text names the place."""


def demand(holds: bool, place: str) -> None:
    """Stop at the first thing that does not hold."""
    if not holds:
        raise Wrong(place)


def sha(data: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(data).digest()


def read_key(text: str, kind: int) -> tuple[str, bytes, bytes]:
    """Read `name+id+key`: gives the name, the id of the key, and its 32 bytes."""
    name, key_id, encoded = text.strip().split("+", 2)
    raw = base64.b64decode(encoded, validate=True)
    demand(len(raw) == 33 and raw[0] == kind, "the key has another kind")
    demand(sha(name.encode() + b"\n" + raw)[:4].hex() == key_id, "the key does not fit its id")
    return name, bytes.fromhex(key_id), raw[1:]


def signature(line: str, name: str, key_id: bytes) -> bytes | None:
    """Give the signature of a line, where it claims to be of this key."""
    said, _, encoded = line.removeprefix(DASH).partition(" ")
    blob = base64.b64decode(encoded, validate=True)
    return blob[4:] if said == name and blob[:4] == key_id else None


def is_signed(public: bytes, message: bytes, signed: bytes) -> bool:
    """Check an Ed25519 signature."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signed, message)
    except InvalidSignature:
        return False
    return True


def lines_of(path: Path) -> list[bytes]:
    """Give the whole lines of a file."""
    data = path.read_bytes()
    demand(not data or data.endswith(b"\n"), f"{path.name}: the last line is cut")
    return data.split(b"\n")[:-1]


def read_checkpoint(note: str, key: tuple[str, bytes, bytes], place: str) -> dict[str, Any]:
    """Check one signed checkpoint and read it."""
    name, key_id, public = key
    body, _, rest = note.partition("\n\n")
    body += "\n"
    signed = [blob for line in rest.splitlines() if (blob := signature(line, name, key_id)) is not None]
    demand(any(is_signed(public, body.encode(), blob) for blob in signed), f"{place}: its signature does not hold")
    said = body.splitlines()
    demand(said[0] == name, f"{place}: it is of another log")
    extra = dict(line.split(" ", 1) for line in said[3:])
    return {
        "size": int(said[1]),
        "root": base64.b64decode(said[2], validate=True),
        "number": int(extra["number"]),
        "time": extra["time"],
        "body": body,
    }


def tree_root(size: int, read: Callable[[int, int], bytes]) -> bytes:
    """Give the root of `size` leaves (RFC 6962 section 2.1) from the hashes of whole subtrees."""
    if size == 0:
        return sha(b"")
    parts, at = [], 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            parts.append(read(level, at >> level))
            at += 1 << level
    value = parts.pop()
    while parts:
        value = sha(b"\x01" + parts.pop() + value)
    return value


def check_log(folder: Path, wanted: str | None) -> str:
    """Check one log of an export; gives what to tell, or raises Wrong."""
    key_text = (folder / "verifier").read_text(encoding="utf-8").strip()
    demand(
        not wanted or wanted.strip().split("+", 2)[-1] == key_text.split("+", 2)[-1],
        "verifier: not the key that you gave",
    )
    key = read_key(key_text, 1)
    proof = json.loads((folder / "proof.json").read_bytes())
    notes = [json.loads(line) for line in lines_of(folder / "checkpoints.jsonl")]
    stated = [read_checkpoint(note, key, f"checkpoint {number}") for number, note in enumerate(notes, 1)]
    for number, one in enumerate(stated, 1):
        demand(one["number"] == number, f"checkpoint {number} is missing")
        demand(number < 2 or one["size"] >= stated[number - 2]["size"], f"checkpoint {number}: the log shrank")
    first, end = proof["first"], proof["first"] + proof["count"]
    missing = set(proof["missing"])
    held = [index for index in range(first, end) if index not in missing]
    leaves = lines_of(folder / "leaves.jsonl")
    demand(len(leaves) == len(held), f"leaves.jsonl: {len(leaves)} records where {len(held)} belong")
    check_leaves(folder, leaves, held)
    known = {(level, place): bytes.fromhex(value) for level, place, value in proof["nodes"]}
    known.update({(0, index): sha(b"\x00" + leaf) for index, leaf in zip(held, leaves, strict=True)})
    check_roots(stated, known, proof)
    told = check_witnesses(folder, stated)
    return f"{folder.name}: {len(leaves)} records, {len(stated)} checkpoints, key {key_text}{told}"


def check_leaves(folder: Path, leaves: list[bytes], held: list[int]) -> None:
    """Check each record against its hash and its readable form, and the order of each node's numbers."""
    hashes, rows = lines_of(folder / "hashes.txt"), lines_of(folder / "rows.jsonl")
    last: dict[str, int] = {}
    for line, (leaf, index) in enumerate(zip(leaves, held, strict=True), 1):
        place = f"leaves.jsonl line {line}"
        digest = hashes[line - 1].decode() if line <= len(hashes) else ""
        demand(sha(b"\x00" + leaf).hex() == digest, f"{place}: the record or its hash was altered")
        values = json.loads(leaf)
        is_act = folder.name == "admin"
        node, number = ("admin", values[2]) if is_act else (values[1], values[2])
        demand(is_act or number > last.get(node, 0), f"{place}: {node} no. {number} comes too late")
        last[node] = number
        row = json.loads(rows[line - 1]) if line <= len(rows) else {}
        names = ACT_FIELDS if is_act else FIELDS
        said = dict(zip(names, values[2:] if is_act else values[1:], strict=True))
        said["at"] = (EPOCH + timedelta(microseconds=said["at"])).astimezone(VIETNAM).isoformat()
        demand(row == {"leaf": index, **said}, f"rows.jsonl line {line}: it does not say what the record says")
    demand(len(hashes) == len(rows) == len(leaves), "hashes.txt, rows.jsonl: not as many lines as records")


def check_roots(stated: list[dict[str, Any]], known: dict[tuple[int, int], bytes], proof: dict[str, Any]) -> None:
    """Work out the root of each checkpoint that lies within the export, and that of the whole tree."""

    def read(level: int, place: int) -> bytes:
        if (level, place) not in known:
            demand(level > 0, f"proof.json: nothing is said of leaf {place}")
            known[level, place] = sha(b"\x01" + read(level - 1, 2 * place) + read(level - 1, 2 * place + 1))
        return known[level, place]

    first, end = proof["first"], proof["first"] + proof["count"]
    for one in stated:
        if first <= one["size"] <= end or one["size"] == proof["size"]:
            place = f"checkpoint {one['number']} ({one['time']}): the records do not lead to its root"
            demand(tree_root(one["size"], read) == one["root"], place)
    demand(any(one["size"] == proof["size"] for one in stated), "checkpoints.jsonl: none is of the proof's size")


def check_witnesses(folder: Path, stated: list[dict[str, Any]]) -> str:
    """Check the countersignatures, where there are any (C2SP tlog-cosignature v1)."""
    path = folder / "cosignatures.jsonl"
    told = ""
    for line in lines_of(path) if path.exists() else []:
        said = json.loads(line)
        name, key_id, public = read_key(said["witness"], 4)
        blob = signature(said["line"], name, key_id) or b""
        stamp = int.from_bytes(blob[:8], "big")
        message = f"cosignature/v1\ntime {stamp}\n{stated[said['number'] - 1]['body']}".encode()
        demand(
            is_signed(public, message, blob[8:]), f"cosignatures.jsonl: checkpoint {said['number']} is not signed"
        )
        told = f"; countersigned by {name}"
    return told


def main(arguments: list[str]) -> int:
    """Check a folder; gives the exit status."""
    wanted = None
    if "--key" in arguments:
        at = arguments.index("--key")
        wanted, arguments = arguments[at + 1], arguments[:at] + arguments[at + 2 :]
    if len(arguments) != 1:
        print(__doc__)
        return 2
    folder = Path(arguments[0])
    logs = [folder / name for name in ("access", "admin") if (folder / name).is_dir()]
    try:
        demand(bool(logs), f"{folder}: this is no export")
        for log in logs:
            try:
                print(f"ĐÚNG / holds  {check_log(log, wanted)}")
            except Wrong as exc:
                raise Wrong(f"{log.name}: {exc}") from exc
            except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as exc:
                raise Wrong(f"{log.name}: a file is missing or broken ({type(exc).__name__}: {exc})") from exc
    except Wrong as exc:
        print(f"SAI / does not hold: {exc}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
