"""The search for numbers of people: it finds them in every form, it fails a run, and it knows whose they are."""

from __future__ import annotations

import base64
import gzip
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import clear_text
import clear_text_exceptions
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[2]
NUMBER = b"001099" + b"000077"
PHONE = b"0900000" + b"777"
FORMS = {
    "plain": NUMBER,
    "hex": NUMBER.hex().encode(),
    "utf-16": NUMBER.decode().encode("utf-16-le"),
    "json": b"".join(b"\\u00%x" % byte for byte in NUMBER),
    "percent": b"".join(b"%%%x" % byte for byte in NUMBER),
}
# Twelve digits that look like a citizen's number, and are none.
NO_CITIZENS = frozenset({"000000000000"})
WITH_PEOPLE = ("tests", "lienthong/sandbox", "lienthong/console", "lienthong/bus/gateway")


@pytest.fixture
def found() -> Iterator[list[clear_text.Finding]]:
    """What is found from now on; taken back afterwards, as it was planted."""
    before = list(clear_text.FOUND)
    clear_text.FOUND.clear()
    yield clear_text.FOUND
    clear_text.FOUND[:] = before


@pytest.mark.parametrize("form", FORMS)
def test_a_planted_number_is_found_in_every_form(form: str) -> None:
    assert [(at, name, found) for at, name, found in clear_text.search(b"abc" + FORMS[form] + b"xyz")] == [
        (3, form, NUMBER)
    ]


@pytest.mark.parametrize("before", range(4))
def test_a_planted_number_is_found_in_base64_wherever_it_begins(before: int) -> None:
    packed = base64.b64encode(b"?" * before + NUMBER + b" Nguyen Van Mau")
    assert [(form, found) for _, form, found in clear_text.search(b"in " + packed)] == [("base64", NUMBER)]


def test_a_planted_number_is_found_between_the_columns_of_a_database(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "planted.db") as database:
        database.execute("create table people (name text, number text, phone text)")
        database.execute("insert into people values ('A1', ?, ?)", (NUMBER.decode(), PHONE.decode()))
    database.close()
    assert NUMBER in {number for _, _, number in clear_text.search((tmp_path / "planted.db").read_bytes())}


def test_a_planted_number_is_found_in_a_database_that_is_otherwise_as_another(
    tmp_path: Path, found: list[clear_text.Finding], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clear_text_exceptions, "PLACES", ())
    with sqlite3.connect(tmp_path / "a.db") as database:
        database.executescript("create table people (number text); create table others (name text)")
    database.close()
    shutil.copy(tmp_path / "a.db", tmp_path / "b.db")
    with sqlite3.connect(tmp_path / "b.db") as database:
        database.execute("insert into people values (?)", (NUMBER.decode(),))
    database.close()
    shutil.copy(tmp_path / "b.db", tmp_path / "c.db")
    clear_text.look_into_folder(tmp_path)
    at = (tmp_path / "b.db").read_bytes().index(NUMBER)
    assert sorted((one.place, one.offset) for one in found) == [("b.db", at), ("c.db", at)]


def test_a_planted_number_is_found_in_packed_files(
    tmp_path: Path, found: list[clear_text.Finding], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clear_text_exceptions, "PLACES", ())
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"x" + NUMBER))
    with pa.output_stream(str(tmp_path / "b.zst"), compression="zstd") as stream:
        stream.write(b"x" + NUMBER)
    table = pa.table({"subject": [NUMBER.decode()]})
    pq.write_table(table, tmp_path / "c.parquet", compression="zstd")
    clear_text.look_into_folder(tmp_path)
    assert {one.place for one in found} >= {"a.gz!gzip", "b.zst!zstd", "c.parquet!subject"}
    assert not any(NUMBER.decode() in str(one) for one in found)


def test_telephone_numbers_count_where_they_stand_alone() -> None:
    assert [number for _, _, number in clear_text.search(b'"phone":"' + PHONE + b'"')] == [PHONE]
    assert not list(clear_text.search(b"019bc0de-7000-7000-8000-000000000001 1" + PHONE))


WRITES_IT = """
import logging
def test_that_leaks(tmp_path):
    {leak}
"""


@pytest.mark.parametrize(
    "leak",
    [
        "(tmp_path / 'left.log').write_text('{number}')",
        "print('{number}')",
        "from lienthong.core import errors; errors.NotFound('nobody has {number}')",
        "logging.getLogger('lienthong.x').info('one', extra={{'size': {bare}}})",
    ],
)
def test_a_planted_number_fails_the_run_wherever_it_is_left(tmp_path: Path, leak: str) -> None:
    said = leak.format(number=NUMBER.decode(), bare="'x001099' '000077'")
    (tmp_path / "test_leaks.py").write_text(WRITES_IT.format(leak=said), encoding="utf-8")
    words = [sys.executable, "-m", "pytest", "-p", "clear_text", "-p", "no:cacheprovider", "-c", "/dev/null"]
    done = subprocess.run(
        [*words, "--rootdir", str(tmp_path), "--basetemp", str(tmp_path / "run"), str(tmp_path)],
        env={"PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}", "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "numbers of people in clear" in done.stdout
    assert "001099…77" in done.stdout
    assert "test_that_leaks" in done.stdout


def test_every_citizen_of_tests_and_sandbox_has_a_number_that_is_searched_for() -> None:
    strange = set()
    for part in WITH_PEOPLE:
        for path in sorted((ROOT / part).rglob("*")):
            if path.suffix not in (".py", ".csv", ".json", ".xml", ".yml"):
                continue
            text = path.read_text("utf-8", errors="replace")
            for number in re.findall(r"(?<![0-9A-Za-z.-])0[0-9]{11}(?![0-9A-Za-z])", text):
                if number not in NO_CITIZENS and not list(clear_text.search(number.encode())):
                    strange.add(f"{path.relative_to(ROOT)}: {number}")
    assert not strange


def test_each_exception_has_a_reason() -> None:
    assert all(len(why) > 20 for *_, why in clear_text_exceptions.PLACES)
