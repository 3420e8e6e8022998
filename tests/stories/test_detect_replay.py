"""`lienthong detect replay`: a file of records, and each alert as it would have been opened."""

from __future__ import annotations

import gzip
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from lienthong.core import clock, errors
from lienthong.monitoring import replay

MONDAY = datetime(2026, 1, 5, 8, tzinfo=clock.VIETNAM)


def written(path: Path, records: list[dict[str, Any]]) -> Path:
    """Write records as a file to be replayed."""
    lines = b"".join(orjson.dumps(record) + b"\n" for record in sorted(records, key=lambda one: one["time"]))
    path.write_bytes(gzip.compress(lines) if path.suffix == ".gz" else lines)
    return path


def weeks(days: int) -> list[dict[str, Any]]:
    """Make ordinary mornings: one key, one official, forty questions a day, each with its dossier."""
    made = []
    for day in range(days):
        for turn in range(40):
            at = MONDAY + timedelta(days=day, minutes=5 * turn)
            if at.weekday() < 5:
                facts = {"key": "k1", "official": "CB01", "address": "10.1.1.1", "operation": "residents.verify"}
                named = {"subject": f"{day:04x}{turn:04x}", "dossier": f"H{day}-{turn}", "status": 200}
                made.append({"time": at.isoformat(), "bytes_out": 200, "rows": 1, **facts, **named})
    return made


@pytest.mark.parametrize("name", ["calls.jsonl", "calls.jsonl.gz"])
def test_numbers_that_nobody_has_are_found_within_a_minute_and_once(tmp_path, name):
    usual = weeks(19)
    begins = MONDAY + timedelta(days=18, hours=1, seconds=1)
    guesses = [
        {**usual[-1], "time": (begins + timedelta(seconds=2 * n)).isoformat(), "subject": f"f{n:x}", "status": 404}
        for n in range(200)
    ]
    lines = [*replay.alerts(written(tmp_path / name, usual + guesses))]
    found = [line for line in lines if line["rule"] == "enumeration" and line["official"] is None]
    [alert] = found
    assert {"rule", "key", "official", "since", "found_at", "score", "seen", "normal"} <= set(alert)
    assert alert["key"] == "k1"
    assert datetime.fromisoformat(alert["found_at"]) - begins <= timedelta(seconds=60)
    assert alert["seen"]["unknown"] >= 4


def test_ordinary_weeks_open_nothing(tmp_path):
    assert [*replay.alerts(written(tmp_path / "calls.jsonl", weeks(30)))] == []


def test_a_key_in_two_places_by_turns_is_found(tmp_path):
    usual = weeks(19)
    begins = MONDAY + timedelta(days=18, hours=1, seconds=30)
    shared = [
        {**usual[-1], "time": (begins + timedelta(seconds=40 * n)).isoformat(), "address": f"198.51.100.{n % 2}"}
        for n in range(12)
    ]
    rules = {line["rule"] for line in replay.alerts(written(tmp_path / "calls.jsonl", usual + shared))}
    assert {"key_shared", "new_network"} <= rules


def test_a_line_that_is_no_record_is_named(tmp_path):
    path = tmp_path / "calls.jsonl"
    path.write_text('{"time": "2026-01-05T08:00:00+07:00"}\n{"key": "no time"}\n')
    with pytest.raises(errors.InvalidRequest, match=r"calls\.jsonl, line 2"):
        list(replay.alerts(path))
