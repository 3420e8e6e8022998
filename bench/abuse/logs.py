"""Real attack logs under invented keys, moved to a morning of a made-up town that has learned for weeks."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import figures

from bench.abuse import background
from lienthong.monitoring import calls, detection
from lienthong.monitoring.detectors import findings

_FOLDER = figures.SHARED_DATA / "access-logs"
_LOGS = {
    "cloud audit, attack": "cloud-audit-attack-2023-07-10-part1.csv.gz",
    "scanner w3af": "scanner-w3af.csv.gz",
    "scanner netsparker": "scanner-netsparker.csv.gz",
    "password guessing": "logins-ssh-brute-force-12-10.csv",
    "logins, 17 days": "logins-ssh-03-27_04-12.csv",
}
_DAYS, _KEYS = 17, 12


def show(seed: int) -> dict[str, str]:
    """Print for each log what was found, and how soon after its first record of attack; gives what was skipped."""
    skipped = {name: f"{file} is not there" for name, file in _LOGS.items() if not (_FOLDER / file).exists()}
    town = background.Town(seed + 1, keys=_KEYS, days=_DAYS)
    moved: dict[str, list[tuple[calls.Call, bool]]] = {}
    for place, (name, file) in enumerate(_LOGS.items()):
        if name not in skipped:
            made = list(_read(_FOLDER / file, key=f"key-{place:03d}"))
            begins = min(call.at for call, _ in made)
            # On the last morning of the town; what follows runs on.
            starts = town.at(_DAYS - 1, 9.5 * 3600)
            moved[name] = [(call._replace(at=call.at - begins + starts), attack) for call, attack in made]
    found: list[findings.Finding] = []
    watching = detection.Detection(lambda finding, opens: found.append(finding) if opens else None)
    for number, day in town.by_day():
        if number == _DAYS - 1:
            day += [call for made in moved.values() for call, _ in made]
        for call in sorted(day, key=lambda one: one.at):
            watching.feed(call)
    rows = [row for name, made in moved.items() for row in _rows(name, made, found)]
    figures.table(
        "Real logs, replayed in the town of detection", ["log", "records", "rule", "after", "seen"], rows
    )
    return skipped


def _rows(name: str, made: list[tuple[calls.Call, bool]], found: list[findings.Finding]) -> list[list[object]]:
    ours = {call.key for call, _ in made} | {call.address for call, _ in made}
    first = min((call.at for call, attack in made if attack), default=made[0][0].at)
    seen: dict[str, findings.Finding] = {}
    for one in found:
        if one.found_at >= first - 1 and {one.who.key, one.who.address} & (ours - {None}):
            seen.setdefault(one.rule, one)
    rows: list[list[object]] = [
        [
            "" if place else name,
            "" if place else len(made),
            rule,
            f"{one.found_at - first:.0f} s",
            str(one.seen)[:60],
        ]
        for place, (rule, one) in enumerate(seen.items())
    ]
    return rows or [[name, len(made), "nothing", "–", "–"]]


def _read(path: Path, *, key: str) -> Iterator[tuple[calls.Call, bool]]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    for row in csv.DictReader(text.splitlines()):
        yield _call(row, key), row.get("attack", "1") == "1" and row.get("event") != "disconnect"


def _call(row: dict[str, str], key: str) -> calls.Call:
    at = datetime.fromisoformat(row["time"]).timestamp()
    if "service" in row:  # the cloud's audit: each of its keys is one invented key's operations
        operation = f"{row['service']}.{row['action']}"
        result = calls.REFUSED if "Denied" in row["error"] else calls.WRONG if row["error"] else calls.OK
        return calls.Call(
            at, key, None, row["client"], row["agent"], operation, result, None, None, None, None, None
        )
    if "event" in row:
        result = calls.OK if row["event"] == "accepted" else calls.REFUSED
        key_of = key if row["event"] != "disconnect" else None
        return calls.Call(
            at, key_of, None, row["client"], None, "tokens.issue", result, None, None, None, None, None
        )
    answered = calls.result_of(int(row["status"]), None)
    place = row["path"].partition("?")[0].count("/")
    bytes_out = int(row["bytes"]) if row["bytes"].isdigit() else None
    return calls.Call(
        at, key, None, row["client"], row["agent"], f"{row['method'].lower()}.{place}",
        calls.WRONG if answered == calls.UNKNOWN else answered, None, bytes_out, None, None, None,
    )  # fmt: skip
