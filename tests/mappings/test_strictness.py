"""A mapping file with a hole in it stops the start; a message with a hole in it is named, never guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lienthong.core import errors, records
from lienthong.mappings import engine, schema

FILE = """
contract: demo
title: Demo
authority: {vi: Demo, en: Demo}
codes:
  level: {values: {"1": one, "2": two}}
messages:
  agency:
    record: AgencyRow
    fields:
      - {wire: MA, record: code}
      - {wire: TEN, record: name}
      - {wire: CAP, record: level, codes: level}
    ignored: {GHICHU: nobody asks for it}
"""


def load(tmp_path: Path, *changes: tuple[str, str]) -> engine.Mapping:
    text = FILE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "demo.yml").write_text(text, encoding="utf-8")
    return engine.Mapping(schema.read(tmp_path / "demo.yml"))


LEVEL = "      - {wire: CAP, record: level, codes: level}\n"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (LEVEL, "", "level: neither mapped nor listed as not sent"),
        ("record: code", "record: kode", "demo.yml:11: agency: kode"),
        ("wire: TEN", "wire: MA", "MA: stands twice"),
        ("record: name", "record: code", "code: mapped twice"),
        ("codes: level}", "codes: levels}", "no code list levels"),
        ("wire: TEN,", "wire: TEN, as: magic,", "no transform magic"),
        ("wire: TEN,", "wire: TEN, colour: red,", "Extra inputs"),
        ('"2": two', '"2": one', "two codes"),
        ('"2": two', '"1": two', "stands twice"),
        ("GHICHU:", "TEN:", "mapped and ignored"),
        ("nobody asks for it", '""', "ignored"),
        ("record: AgencyRow", "record: Agency", "no such record"),
        ("contract: demo", "contract: other", "contract must be demo"),
        ("messages:", "messages: [", "demo.yml"),
    ],
)
def test_a_hole_in_the_file_stops_the_start_and_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(errors.Misconfigured) as raised:
        load(tmp_path, (old, new))
    assert said in str(raised.value)


def read(mapping: engine.Mapping, **wire: Any) -> Any:
    return mapping.message("agency").from_wire({"MA": "G15", "TEN": "Bộ Tư pháp", "CAP": "1", **wire})


def test_what_is_known_is_read_and_what_is_listed_is_left(tmp_path: Path) -> None:
    row = read(load(tmp_path), GHICHU="x")
    assert row == records.AgencyRow(code="G15", name="Bộ Tư pháp", level="one")


def test_an_unknown_field_is_refused_by_name_without_its_value(tmp_path: Path) -> None:
    with pytest.raises(errors.UnmappedField) as raised:
        read(load(tmp_path), MOI="001099000001")
    assert "MOI" in str(raised.value)
    assert "001099000001" not in str(raised.value)


def test_an_unknown_code_has_no_default(tmp_path: Path) -> None:
    with pytest.raises(errors.UnmappedCode):
        read(load(tmp_path), CAP="3")
    with pytest.raises(errors.UnmappedCode):
        load(tmp_path).message("agency").to_wire(records.AgencyRow(code="a", name="b", level="three"))


@pytest.mark.parametrize("wire", [None, [], "text", {"MA": {"x": 1}}, {"MA": None}, {}])
def test_a_broken_message_is_garbled(tmp_path: Path, wire: Any) -> None:
    with pytest.raises(errors.RemoteGarbled):
        load(tmp_path).message("agency").from_wire(wire)


def test_a_message_that_is_not_in_the_file_is_a_misconfiguration(tmp_path: Path) -> None:
    with pytest.raises(errors.Misconfigured):
        load(tmp_path).message("dossier")
