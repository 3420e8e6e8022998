"""The officer at the command line: what `lienthong journal` prints, asks, writes down and refuses."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import builders
import orjson
import pytest
import record
from typer.testing import CliRunner, Result

from lienthong.console.cli import main
from lienthong.core import clock


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub with two days of record that end today."""
    monkeypatch.setattr(record, "NOW", clock.now())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIENTHONG_HOME", str(tmp_path / "home"))
    assert command("init").exit_code == 0

    async def fill() -> None:
        async with builders.running_hub(tmp_path / "home") as hub:
            await record.put(hub, record.of_days(hub.settings.home, days=4, a_day=100))

    asyncio.run(fill())
    return tmp_path / "home"


def command(*words: str, typed: str = "") -> Result:
    return CliRunner().invoke(main.app, words, input=typed)


def rows(result: Result) -> list[Any]:
    assert result.exit_code == 0, result.output
    return [orjson.loads(line) for line in result.stdout.splitlines() if line.startswith(("{", "["))]


def test_pages_follow_each_other(home: Path) -> None:
    first = command("journal", "search", "--refused", "--limit", "50", "--json")
    cursor = first.stderr.split("--cursor ")[1].split()[0]
    second = command("journal", "search", "--refused", "--limit", "50", "--cursor", cursor, "--json")
    assert len({row["request_id"] for row in rows(first) + rows(second)}) == 80


def test_days_go_into_files_and_are_still_found(home: Path) -> None:
    before = rows(command("journal", "search", "--limit", "1000", "--json"))
    done = rows(command("journal", "roll", "--json"))[0]
    assert len(done["rolled"]) == 2
    assert done["dropped"] == []
    assert rows(command("journal", "search", "--limit", "1000", "--json")) == before


def test_who_looked_is_asked_on_the_terminal_and_printed(home: Path, tmp_path: Path) -> None:
    page = tmp_path / "bao-cao.html"
    asked = ("journal", "who", "--reason", "Đơn số 12", "--html", str(page), "--json")
    told = rows(command(*asked, typed=f"{record.CITIZEN}\n"))[0]
    assert told["rows"]
    assert "Đơn số 12" in page.read_text()
    with sqlite3.connect(home / "lienthong.db") as database:
        acts = database.execute("select * from admin_acts where act = 'journal.who'").fetchall()
    assert len(acts) == 1
    assert record.CITIZEN not in str(acts)


def test_counts_are_printed_for_a_column(home: Path) -> None:
    found = rows(command("journal", "search", "--count-by", "outcome", "--json"))[0]
    assert {row["outcome"]: row["requests"] for row in found} == {"ok": 320, "Client.NotGranted": 80}


@pytest.mark.parametrize(
    ("words", "typed", "said"),
    [
        (("search", "--person"), f"{record.CITIZEN}\n", "phải nêu lý do"),
        (("who", "--reason", "x"), "12\n", "6 đến 20"),
        (("search", "--count-by", "colour"), "", "không đếm theo colour"),
        (("search", "--cursor", "zzz"), "", "Con trỏ"),
        (("follow", "--ecs", "ftp://x"), "", "Địa chỉ phải là"),
    ],
)
def test_what_is_wrong_is_said_in_words(home: Path, words: tuple[str, ...], typed: str, said: str) -> None:
    result = command("journal", *words, typed=typed)
    assert result.exit_code == 1
    assert said in " ".join(result.stderr.split())
