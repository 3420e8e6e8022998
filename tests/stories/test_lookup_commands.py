"""The book of lookups at the desk, as an operator types it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import lookup_town
import openpyxl
import pytest
from lookup_town import CODE, OFFICIAL, UNIT
from typer.testing import CliRunner, Result

from lienthong.console.cli import main
from lienthong.core import clock


@pytest.fixture
async def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub that has been asked once, closed again, and the commands pointed at it."""
    place = tmp_path / "home"
    async with lookup_town.opened(place, begun=clock.now()) as town:
        await town.look_up()
    monkeypatch.setenv("LIENTHONG_HOME", str(place))
    monkeypatch.setenv("LIENTHONG_AGENCY__CODE", lookup_town.AGENCY)
    monkeypatch.chdir(tmp_path)
    return place


def run(*words: str) -> Result:
    return CliRunner().invoke(main.app, list(words))


def test_the_book_shows_who_asked_for_what_and_how_it_ended(home: Path) -> None:
    rows = json.loads(run("lookups", "list", "--json").stdout)
    assert [(row["official_code"], row["dossier_code"], row["outcome"]) for row in rows] == [
        (OFFICIAL, CODE, "ok")
    ]
    assert lookup_town.NUMBER not in run("lookups", "list").stdout
    assert json.loads(run("lookups", "list", "--official", OFFICIAL, "--json").stdout)
    assert run("lookups", "list", "--official", "CB999999").exit_code == 1
    assert json.loads(run("lookups", "list", "--refused", "--json").stdout) == []


def test_a_rule_is_set_shown_and_taken_back(home: Path) -> None:
    done = run("lookups", "rule", "1.000001", "--fields", "residents.basic", "--reason", "quy trình")
    assert done.exit_code == 0, done.output
    [rule] = json.loads(run("lookups", "rules", "--json").stdout)
    assert rule["field_groups"] == ["residents.basic"]
    assert run("lookups", "rule", "1.000001", "--reason", "như cũ").exit_code == 0
    assert json.loads(run("lookups", "rules", "--json").stdout) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("rule", "9.999999", "--fields", "residents.basic", "--reason", "x"), "9.999999"),
        (("rule", "1.000001", "--fields", "residents.everything", "--reason", "x"), "residents.everything"),
        (("except", "CB999999", "--unit", UNIT, "--until", "2030-01-01", "--reason", "x"), "officials list"),
        (("except", OFFICIAL, "--unit", UNIT, "--until", "mai", "--reason", "x"), "2026-01-15"),
        (("except", OFFICIAL, "--until", "2027-01-01", "--reason", "x"), "một hồ sơ hoặc một đơn vị"),
        (("end-exception", "nothing", "--reason", "x"), "ngoại lệ"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(home: Path, words: tuple[str, ...], said: str) -> None:
    done = run("lookups", *words)
    assert done.exit_code == 1
    assert said in done.stderr


def test_an_exception_is_granted_by_name_shown_and_ended(home: Path) -> None:
    day = f"{clock.now() + timedelta(days=30):%Y-%m-%d}"
    number = run("lookups", "except", OFFICIAL, "--unit", "H38.99", "--until", day, "--reason", "biệt phái")
    assert number.exit_code == 0, number.output
    [held] = json.loads(run("lookups", "exceptions", "--json").stdout)
    assert (held["official_code"], held["unit_code"]) == (OFFICIAL, "H38.99")
    assert run("lookups", "end-exception", number.stdout.strip(), "--reason", "xong").exit_code == 0
    assert json.loads(run("lookups", "exceptions", "--json").stdout) == []


def test_the_yearly_review_is_a_page_and_a_workbook(home: Path, tmp_path: Path) -> None:
    year = f"{clock.now():%Y}"
    words = ("report", "review", "--from", f"{year}-01-01", "--to", f"{year}-12-31")
    for name in ("ra-soat.html", "ra-soat.xlsx"):
        done = run(*words, "--out", str(tmp_path / name))
        assert done.exit_code == 0, done.output
    assert OFFICIAL in (tmp_path / "ra-soat.html").read_text(encoding="utf-8")
    assert "Tổng hợp" in openpyxl.load_workbook(tmp_path / "ra-soat.xlsx").sheetnames
    assert json.loads(run(*words, "--json").stdout)["totals"]["asked"] == 1
    assert run("report", "review", "--from", f"{year}-02-01", "--to", f"{year}-01-01").exit_code == 1
    assert run(*words, "--out", "x.pdf").exit_code == 2
