"""A file of numbers through `lienthong detect series`: a line of JSON for each row, or the row that is wrong."""

from __future__ import annotations

import gzip
import json
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lienthong.console.cli import main
from lienthong.monitoring import series

SHARED_DATA = Path(os.environ.get("LIENTHONG_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data")
BEGUN = datetime(2026, 3, 2)


def detect(file: Path) -> Result:
    return CliRunner().invoke(main.app, ["detect", "series", str(file)])


def rows_of(values: list[float]) -> str:
    lines = [f"{BEGUN + timedelta(minutes=5 * n)},{value}" for n, value in enumerate(values)]
    return "\n".join(["timestamp,value", *lines]) + "\n"


def a_night_and_a_burst() -> str:
    values = [100.0 + n % 7 for n in range(300)]
    values[250] = 900.0
    return rows_of(values)


def test_every_row_comes_back_with_its_score_and_the_burst_is_the_alarm(tmp_path: Path) -> None:
    file = tmp_path / "calls.csv"
    file.write_text(a_night_and_a_burst())
    done = detect(file)
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 300
    assert list(rows[0]) == ["timestamp", "value", "score"]
    assert rows[0]["timestamp"] == "2026-03-02 00:00:00"
    assert [row["value"] for row in rows if row["score"] >= series.ALARM] == [900.0]


def test_a_packed_file_gives_the_same_lines(tmp_path: Path) -> None:
    plain, packed = tmp_path / "calls.csv", tmp_path / "calls.csv.gz"
    plain.write_text(a_night_and_a_burst())
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert detect(packed).stdout == detect(plain).stdout


def test_a_file_cut_short_gives_the_same_scores_up_to_there(tmp_path: Path) -> None:
    whole, part = tmp_path / "whole.csv", tmp_path / "part.csv"
    whole.write_text(a_night_and_a_burst())
    part.write_text("".join(a_night_and_a_burst().splitlines(keepends=True)[:261]))
    assert detect(whole).stdout.splitlines()[:260] == detect(part).stdout.splitlines()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("2026-03-02 00:15:00,many", "not a number"),
        ("2026-03-02 00:15:00,nan", "finite number"),
        ("2026-03-02 00:15:00,-inf", "finite number"),
        ("2026-03-02 00:15:00,1e200", "finite number"),
        ("2026-03-02 00:15:00,", "not a number"),
        ("yesterday,5", "ISO 8601"),
        ("2026-03-02 00:15:00", "2 columns"),
        ("2026-03-02 00:15:00,5,6", "2 columns"),
    ],
)
def test_a_bad_row_is_refused_with_its_line_after_the_good_ones(tmp_path: Path, row: str, said: str) -> None:
    file = tmp_path / "calls.csv"
    file.write_text(rows_of([1, 2, 3]) + row + "\n" + "2026-03-02 00:20:00,5\n")
    done = detect(file)
    assert done.exit_code == 1
    assert len(done.stdout.splitlines()) == 3
    assert "Line 5" in done.stderr
    assert "Dòng 5" in done.stderr
    assert said in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "timestamp,value"),
        (b"time,number\n1,2\n", "timestamp,value"),
        (b"timestamp,value\n2026-03-02,\xff\xfe\n", "UTF-8"),
    ],
)
def test_what_is_no_such_file_is_refused_in_words(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "calls.csv"
    file.write_bytes(content)
    done = detect(file)
    assert done.exit_code == 1
    assert said in done.stderr


@pytest.mark.parametrize("cut", [lambda packed: packed[:-20], lambda packed: b"not gzip at all"])
def test_a_damaged_packed_file_is_refused_in_words(tmp_path: Path, cut) -> None:
    file = tmp_path / "calls.csv.gz"
    file.write_bytes(cut(gzip.compress(rows_of([1.0] * 500).encode())))
    done = detect(file)
    assert done.exit_code == 1
    assert "gzip" in done.stderr


def test_a_missing_file_is_wrong_usage(tmp_path: Path) -> None:
    assert detect(tmp_path / "none.csv").exit_code == 2


def test_a_real_series_of_the_public_benchmark_alarms_where_its_failure_is_marked() -> None:
    file = SHARED_DATA / "anomaly/nab/realAWSCloudwatch/rds_cpu_utilization_cc0c53.csv.gz"
    if not file.exists():
        pytest.skip(f"{file.name} is not here")
    windows = json.loads((SHARED_DATA / "anomaly/nab/combined_windows.json").read_text())
    marked = windows["realAWSCloudwatch/rds_cpu_utilization_cc0c53.csv"]
    rows = [json.loads(line) for line in detect(file).stdout.splitlines()]
    alarms = [row["timestamp"] for row in rows if row["score"] >= series.ALARM]
    assert all(any(begin[:19] <= at <= end[:19] for at in alarms) for begin, end in marked)
    assert len(alarms) <= 8
