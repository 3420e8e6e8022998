"""Folders that grow for years are not read through for each page, and nothing new in them is overlooked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lienthong.monitoring import folders

LONG_AGO_NS = 1_700_000_000_000_000_000


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that were read through."""
    through: list[Path] = []
    listdir = os.listdir

    def told(folder: Path) -> list[str]:
        through.append(folder)
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", told)
    return through


def test_a_folder_of_years_was_read_through_for_every_page(tmp_path: Path, read: list[Path]) -> None:
    for name in ("b", "a"):
        (tmp_path / name).touch()
    os.utime(tmp_path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    known = folders.Folders()
    found = known.names(tmp_path)
    assert found == ("a", "b")
    assert known.names(tmp_path) is found
    assert read == [tmp_path]


def test_what_is_put_in_taken_out_or_replaced_is_seen_at_once(tmp_path: Path) -> None:
    known = folders.Folders()
    os.utime(tmp_path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    assert known.names(tmp_path) == ()
    (tmp_path / "new").touch()
    assert known.names(tmp_path) == ("new",)
    os.utime(tmp_path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    before = known.names(tmp_path)
    (tmp_path / "newer").touch()
    os.replace(tmp_path / "newer", tmp_path / "new")
    assert known.names(tmp_path) == before
    assert known.names(tmp_path) is not before
    (tmp_path / "new").unlink()
    assert known.names(tmp_path) == ()


def test_two_changes_within_one_tick_of_the_clock_are_both_seen(tmp_path: Path) -> None:
    known = folders.Folders()
    (tmp_path / "a").touch()
    changed = tmp_path.stat().st_mtime_ns
    assert known.names(tmp_path) == ("a",)
    (tmp_path / "b").touch()
    os.utime(tmp_path, ns=(changed, changed))
    assert known.names(tmp_path) == ("a", "b")


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert folders.Folders().names(tmp_path / "days") == ()
