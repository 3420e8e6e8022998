"""Real attack logs under invented keys, moved to a morning of a made-up town that has learned for weeks.

Where a log says which of its calls are no attack, the key has made those on every morning before, too.
"""

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
# A call, and whether it is one of the attack: None where the log says that it is not.
Made = tuple[calls.Call, bool | None]


def replay(seed: int) -> tuple[list[list[object]], dict[str, str]]:
    """Say for each log what was found, and how soon after its first record of attack; and what was skipped."""
    skipped = {name: f"{file} is not there" for name, file in _LOGS.items() if not (_FOLDER / file).exists()}
    town = background.Town(seed + 1, keys=_KEYS, days=_DAYS)
    moved: dict[str, list[Made]] = {}
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
        else:
            back = (_DAYS - 1 - number) * background.DAY_S
            usual = (call for made in moved.values() for call, attack in made if attack is None)
            day += [call._replace(at=call.at - back) for call in usual]
        for call in sorted(day, key=lambda one: one.at):
            watching.feed(call)
    return [row for name, made in moved.items() for row in _rows(name, made, found)], skipped


def show(rows: list[list[object]]) -> None:
    """Print what was found."""
    figures.table("Real logs under invented keys", ["log", "records", "rule", "after", "seen"], rows)


def _rows(name: str, made: list[Made], found: list[findings.Finding]) -> list[list[object]]:
    ours = {call.key for call, _ in made} | {call.address for call, _ in made}
    first = min((call.at for call, attack in made if attack), default=made[0][0].at)
    last = max(call.at for call, _ in made)
    seen: dict[str, findings.Finding] = {}
    for one in found:
        if first - 1 <= one.found_at <= last + 60 and {one.who.key, one.who.address} & (ours - {None}):
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


def _read(path: Path, *, key: str) -> Iterator[Made]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    for row in csv.DictReader(text.splitlines()):
        is_usual = row.get("attack", "1") == "0"
        yield _call(row, key), None if is_usual else row.get("event") != "disconnect"


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
