"""What a start must refuse, and what it must keep, as the person on call meets it."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lienthong.console.cli.main import app

ISSUE = (
    *("keys", "issue", "--organisation", "A", "--system", "B", "--custodian", "C"),
    *("--grants", "all", "--limit", "10/minute", "--json"),
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIENTHONG_HOME", str(tmp_path / "var"))
    return tmp_path / "var"


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, done.output


def test_a_lost_master_key_is_not_replaced_in_silence(home: Path) -> None:
    assert run(*ISSUE)[0] == 0
    (home / "keys" / "master.key").unlink()
    code, said = run("keys", "list")
    assert code == 1
    assert "khoá chủ" in said
    assert not (home / "keys" / "master.key").exists()


def test_what_the_hub_keeps_can_be_read_by_its_owner_only(home: Path) -> None:
    run("init")
    kept = [home / "lienthong.db", home / "keys" / "master.key"]
    assert [path.stat().st_mode & 0o077 for path in kept] == [0, 0]


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("LIENTHONG_GATWAY__PORT", "1", "LIENTHONG_GATWAY"),
        ("LIENTHONG_GATEWAY__PROT", "1", "LIENTHONG_GATEWAY__PROT"),
        ("LIENTHONG_SYSTEMS__DVCQG_ADAPTER__BASEURL", "http://x", "DVCQG_ADAPTER__BASEURL"),
        ("LIENTHONG_SYSTEMS__NOBODY__ENABLED", "false", "nobody"),
        ("LIENTHONG_SYSTEMS__DVCQG_ADAPTER__BASE_URL", "ftp://[/x]", "LIENTHONG_SYSTEMS__DVCQG_ADAPTER"),
    ],
)
def test_a_setting_that_is_not_one_stops_the_start_and_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, named: str
) -> None:
    monkeypatch.setenv(name, value)
    code, said = run("init")
    assert code == 1
    assert named in said.replace("\n", "")


def test_a_command_loads_nothing_that_only_a_running_hub_needs() -> None:
    loaded = "import sys, lienthong.console.cli.main, lienthong.console.cli.keys; print(*sys.modules, sep='\\n')"
    names = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout
    heavy = {"alembic", "redis", "celery", "zeep", "numpy", "pyarrow", "duckdb", "fastapi", "pyhanko", "openpyxl"}
    assert heavy & set(names.split()) == set()


def test_a_door_that_is_taken_is_said_in_words(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("LIENTHONG_GATEWAY__PORT", str(taken.getsockname()[1]))
        code, said = run("serve")
    assert code == 1
    assert "Không mở được" in said


def test_a_database_that_is_away_is_said_in_words(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIENTHONG_DATABASE__URL", "postgresql://nobody@127.0.0.1:1/none")
    code, said = run("migrate")
    assert code == 1
    assert "Kho dữ liệu" in said


def test_a_home_that_cannot_be_made_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIENTHONG_HOME", str(tmp_path / "file" / "var"))
    code, said = run("init")
    assert code == 1
    assert "LIENTHONG_HOME" in said
