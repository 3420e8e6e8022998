"""The imitation national systems as a process of their own, and real catalogues to serve there."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson

from lienthong.console import services

Record = dict[str, Any]
JULY, CHANGES = "full-2026-07-18.jsonl.gz", "changes-2026-06-10_to_2026-07-18.csv"
JUNE_LIST = "catalogue-2026-06-10-six-agencies.csv"


class Portal:
    """Both generations of the portal, at one address."""

    def __init__(self, port: int, folder: Path) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self._folder = folder

    def sections(self) -> dict[str, Any]:
        """Give the settings that point a hub here."""
        account = {"username": "demo", "password": "demo-password", "agency_code": "000.00.00.H38"}
        older = {**account, "dstcode": "VN:GOV:000.00.00.G22:sandbox"}
        newer = {"max_per_second": None, "max_concurrent": 16}
        base = {"enabled": True}
        return {
            "dvcqg_adapter": {**base, **older, "base_url": f"{self.address}/dvcqg_adapter"},
            "dvcqg_portal": {**base, **newer, "base_url": f"{self.address}/dvcqg_portal"},
        }

    def serve(self, wanted: Path | list[Record]) -> None:
        """Change the catalogue that is published."""
        path = wanted if isinstance(wanted, Path) else self._write(wanted)
        self.ask("/_sandbox/catalogue", "PUT", {"path": str(path)})

    def be(self, name: str, **params: Any) -> None:
        """Put on one mood, and no other."""
        self.ask("/_sandbox/mood", "PUT", {"moods": [{"name": name, **params}] if name != "good" else []})

    def ask(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """Call a control route."""
        sent = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(
            self.address + path, sent, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def _write(self, found: list[Record]) -> Path:
        path = self._folder / f"catalogue-{time.monotonic_ns()}.jsonl.gz"
        with gzip.open(path, "wb", compresslevel=1) as file:
            file.writelines(orjson.dumps(record) + b"\n" for record in found)
        return path


@contextmanager
def running(folder: Path) -> Iterator[Portal]:
    """Start the imitation with its own small catalogue; ends it with the block."""
    port = services.free_port()
    process = subprocess.Popen([sys.executable, "-m", "lienthong.sandbox", "--port", str(port), "--quiet"])
    portal = Portal(port, folder)
    try:
        for _ in range(600):
            with suppress(OSError):
                portal.ask("/_sandbox/counts")
                break
            time.sleep(0.1)
        yield portal
    finally:
        process.terminate()
        process.wait(60)


def read(path: Path) -> list[Record]:
    """Read a catalogue file."""
    with gzip.open(path, "rb") as file:
        return [orjson.loads(line) for line in file]


def read_changes(data: Path) -> dict[str, dict[str, list[Record]]]:
    """Read what changed in five weeks: kind of change, then code, then its rows."""
    found: dict[str, dict[str, list[Record]]] = {
        kind: defaultdict(list) for kind in ("added", "withdrawn", "amended")
    }
    with (data / "tthc" / CHANGES).open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            found[row["change"]][row["code"]].append(row)
    return found


def two_states(data: Path) -> tuple[list[Record], list[Record]]:
    """Give the procedures of the six agencies as they stood in June and in July.

    June is July with the changes undone; what was withdrawn comes from the list of June.
    """
    with (data / "tthc" / JUNE_LIST).open(encoding="utf-8-sig", newline="") as file:
        listed = {row["code"]: row for row in csv.DictReader(file)}
    agencies = {row["promulgating_agency"] for row in listed.values()}
    changes = read_changes(data)
    agencies |= {
        row["new"] for rows in changes["amended"].values() for row in rows if row["field"] == "promulgating_agency"
    }
    july = [found for found in read(data / "tthc" / JULY) if found["promulgating_agency"] in agencies]
    june = [_undone(found, changes["amended"].get(found["code"], [])) for found in july]
    june = [found for found in june if found["code"] not in changes["added"]]
    june += [_from_list(listed[code], rows[0]["old"], july[0]) for code, rows in changes["withdrawn"].items()]
    return june, july


def _undone(record: Record, changes: list[Record]) -> Record:
    return {**record, **{row["field"]: row["old"] for row in changes}}


def _from_list(row: Record, name: str, like: Record) -> Record:
    empty = {key: type(value)() for key, value in like.items()}
    kept = {key: like[key] for key in ("level", "kind", "state", "type", "decision_no")}
    agency, field = row["promulgating_agency"], row["field"]
    return {**empty, **kept, "code": row["code"], "name": name, "promulgating_agency": agency, "field": field}
