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
import zlib
from bisect import bisect_left
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
    demand(key[0].endswith("/" + folder.name), f"verifier: it is of another log, {key[0]}")
    proof = json.loads((folder / "proof.json").read_bytes())
    notes = [json.loads(line) for line in lines_of(folder / "checkpoints.jsonl")]
    stated = [read_checkpoint(note, key, f"checkpoint {number}") for number, note in enumerate(notes, 1)]
    for number, one in enumerate(stated, 1):
        demand(one["number"] == number, f"checkpoint {number} is missing")
        demand(number < 2 or one["size"] >= stated[number - 2]["size"], f"checkpoint {number}: the log shrank")
    check_period(stated, proof)
    first, end, missing = proof["first"], proof["first"] + proof["count"], set(proof["missing"])
    gone = read_retired(folder, key) if missing else []
    for index in missing:
        demand(any(low <= index < high for low, high in gone), f"leaf {index} is left out; retention names it not")
    held = [index for index in range(first, end) if index not in missing]
    leaves = lines_of(folder / "leaves.jsonl")
    demand(len(leaves) == len(held), f"leaves.jsonl: {len(leaves)} records where {len(held)} belong")
    check_leaves(folder, leaves, held)
    known: dict[tuple[int, int], bytes] = {}
    for level, place, value in proof["nodes"]:
        at = bisect_left(held, place << level)
        # A hash above a record would stand in for it: then the record itself would prove nothing.
        is_above = at < len(held) and held[at] < (place + 1) << level
        demand(not is_above, f"proof.json: node {place} of level {level} hides a record")
        known[level, place] = bytes.fromhex(value)
    known.update({(0, index): sha(b"\x00" + leaf) for index, leaf in zip(held, leaves, strict=True)})
    check_roots(stated, known, proof)
    told = check_witnesses(folder, stated)
    period = f"from {proof['since']} until {proof['until']}"
    return f"{folder.name}: {len(leaves)} records {period}, {len(stated)} checkpoints, key {key_text}{told}"


def check_period(stated: list[dict[str, Any]], proof: dict[str, Any]) -> None:
    """Check that all is there from the last checkpoint before the period to the first one at its end or after."""
    since, until = (datetime.fromisoformat(proof[name]) for name in ("since", "until"))
    times = [datetime.fromisoformat(one["time"]) for one in stated]
    demand(bool(stated) and times[-1] >= until, "checkpoints.jsonl: the last one comes before the period's end")
    demand(stated[-1]["size"] == proof["size"], "checkpoints.jsonl: the last one is not that of the proof")
    before = next((place for place, at in enumerate(times) if at > since), len(times))
    after = max((place + 1 for place, at in enumerate(times) if at < until), default=0)
    low = stated[before - 1]["size"] if before else 0
    high = max(low, stated[after]["size"])
    first, end = proof["first"], proof["first"] + proof["count"]
    demand(0 <= first <= low, f"proof.json: records are missing before leaf {first}")
    demand(high <= end <= proof["size"], f"proof.json: records are missing after leaf {end - 1}, or are too many")


def read_retired(folder: Path, key: tuple[str, bytes, bytes]) -> list[tuple[int, int]]:
    """Read which leaves retention took: signed statements, each with a list of ranges."""
    name, key_id, public = key
    ranges: list[tuple[int, int]] = []
    for path in sorted((folder / "retired").glob("*.note")):
        body, _, rest = path.read_text(encoding="utf-8").partition("\n\n")
        body += "\n"
        signed = [blob for line in rest.splitlines() if (blob := signature(line, name, key_id)) is not None]
        said = body.splitlines()
        is_ours = any(is_signed(public, body.encode(), blob) for blob in signed) and said[0] == f"{name} retired"
        demand(is_ours and said[1] == path.stem, f"retired/{path.name} is not signed, or speaks of something else")
        listed = (folder / "retired" / f"{said[3][:16]}.leaves").read_bytes()
        demand(sha(listed).hex() == said[3], f"retired/{path.name}: its list was altered")
        ranges += [(low, high) for low, high in json.loads(zlib.decompress(listed))]
    return ranges


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name that stands twice: a reader would see one value, a program the other."""
    demand(len({name for name, _ in pairs}) == len(pairs), "rows.jsonl: a name stands twice in a row")
    return dict(pairs)


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
        row = json.loads(rows[line - 1], object_pairs_hook=once) if line <= len(rows) else {}
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

    first, end, missing = proof["first"], proof["first"] + proof["count"], set(proof["missing"])
    for one in stated:
        is_edge_gone = {one["size"] - 1, one["size"]} <= missing
        if one["size"] == proof["size"] or (first <= one["size"] <= end and not is_edge_gone):
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
        demand(said["number"] > 0, "cosignatures.jsonl: there is no checkpoint of that number")
        blob = signature(said["line"], name, key_id) or b""
        stamp = int.from_bytes(blob[:8], "big")
        message = f"cosignature/v1\ntime {stamp}\n{stated[said['number'] - 1]['body']}".encode()
        demand(
            is_signed(public, message, blob[8:]), f"cosignatures.jsonl: checkpoint {said['number']} is not signed"
        )
        told = f"; countersigned by {said['witness']}"
    return told


def main(arguments: list[str]) -> int:
    """Check a folder; gives the exit status."""
    wanted = None
    if "--key" in arguments:
        at = arguments.index("--key")
        wanted, arguments = "".join(arguments[at + 1 : at + 2]).strip(), arguments[:at] + arguments[at + 2 :]
    if len(arguments) != 1 or wanted == "":
        print(__doc__)
        return 2
    folder = Path(arguments[0])
    logs = [folder / name for name in ("access", "admin")]
    try:
        for log in logs:
            demand(log.is_dir(), f"{folder}: the export lacks the log {log.name}")
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
    if wanted is None:
        print("Chưa đối chiếu khoá / KEY NOT COMPARED: give the one that was handed out with --key")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
