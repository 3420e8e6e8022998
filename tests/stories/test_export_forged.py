"""An export that was made to look right: less than was asked for, or more than was sealed. Both checks see it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio
import sealed

from lienthong.core import access_record, crypto, storage
from lienthong.monitoring import checkpoints, exports, merkle, seals

VERIFIER = Path(__file__).parents[2] / "docs" / "verify_journal.py"
SINCE = sealed.BEGUN + timedelta(minutes=31)


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> sealed.SealedHome:
    return await sealed.build(tmp_path, a_day=40)


@pytest_asyncio.fixture
async def out(made: sealed.SealedHome, tmp_path: Path) -> Path:
    """An export from the first day's second half hour to the end of the record."""
    return await exported(made, tmp_path / "out", until=SINCE + timedelta(days=30))


async def exported(made: sealed.SealedHome, folder: Path, **period: Any) -> Path:
    store = storage.Storage(storage.sqlite_url(made.database))
    days = sealed.DayLines(made.home)
    await exports.export(made.home, store, folder, **{"since": SINCE, **period}, days=days)
    await store.close()
    return folder


def single_file(*arguments: str | Path) -> tuple[int, str]:
    done = subprocess.run([sys.executable, str(VERIFIER), *arguments], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout


class Export:
    """One log of an export, to be changed and written anew as the hub would have written it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.proof: dict[str, Any] = json.loads((folder / "proof.json").read_bytes())
        leaves = (folder / "leaves.jsonl").read_bytes().splitlines()
        places = [json.loads(line)["leaf"] for line in (folder / "rows.jsonl").read_bytes().splitlines()]
        self.held: dict[int, bytes] = dict(zip(places, leaves, strict=True))

    def write(self) -> None:
        held = sorted(self.held.items())
        rows = [orjson.dumps({"leaf": place, **access_record.as_json(leaf)}) for place, leaf in held]
        (self.folder / "leaves.jsonl").write_bytes(b"".join(leaf + b"\n" for _, leaf in held))
        (self.folder / "rows.jsonl").write_bytes(b"".join(row + b"\n" for row in rows))
        hashes = "".join(f"{merkle.leaf_hash(leaf).hex()}\n" for _, leaf in held)
        (self.folder / "hashes.txt").write_text(hashes)
        (self.folder / "proof.json").write_bytes(orjson.dumps(self.proof))

    def forge(self, place: int, like: int) -> None:
        invented = access_record.from_bytes(self.held[like])._replace(official="nguoi-khac")
        self.held[place] = access_record.to_bytes(invented._replace(number=invented.number + place - like))


def hide_under_a_node(export: Export) -> None:
    place = next(place for place in sorted(export.held) if place % 2 == 0)
    pair = [merkle.leaf_hash(export.held[each]) for each in (place, place + 1)]
    export.proof["nodes"].append([1, place // 2, merkle.node_hash(*pair).hex()])
    export.forge(place, place)


def add_behind_the_end(export: Export) -> None:
    last = max(export.held)
    export.forge(last + 1, last)
    export.proof["count"] += 1


def add_before_the_beginning(export: Export) -> None:
    first = export.proof["first"]
    export.proof["first"], export.proof["count"] = -1, export.proof["count"] + first + 1
    export.proof["missing"] = list(range(first))
    export.forge(-1, first)


def say_that_retention_took_it(export: Export) -> None:
    place = sorted(export.held)[3]
    export.proof["nodes"].append([0, place, merkle.leaf_hash(export.held.pop(place)).hex()])
    export.proof["missing"].append(place)


def leave_out_the_last(export: Export) -> None:
    place = max(export.held)
    export.proof["nodes"].append([0, place, merkle.leaf_hash(export.held.pop(place)).hex()])
    export.proof["count"] -= 1


def leave_out_the_first(export: Export) -> None:
    place = min(export.held)
    export.proof["nodes"].append([0, place, merkle.leaf_hash(export.held.pop(place)).hex()])
    export.proof["first"], export.proof["count"] = place + 1, export.proof["count"] - 1


def say_nothing_of_the_period(export: Export) -> None:
    del export.proof["since"]


def leave_out_all_of_it(export: Export) -> None:
    nodes = [[0, place, merkle.leaf_hash(leaf).hex()] for place, leaf in export.held.items()]
    export.proof |= {"nodes": export.proof["nodes"] + nodes, "first": 0, "count": 0}
    export.held.clear()


FORGERIES = [
    hide_under_a_node,
    add_behind_the_end,
    add_before_the_beginning,
    say_that_retention_took_it,
    leave_out_the_last,
    leave_out_the_first,
    leave_out_all_of_it,
    say_nothing_of_the_period,
]


def test_what_the_hub_wrote_holds_and_says_of_which_time_it_is(out: Path) -> None:
    report, (status, said) = exports.check(out), single_file(out)
    assert (report.findings, status) == ([], 0)
    for told in ("\n".join(report.notes), said):
        assert SINCE.isoformat() in told, "the officer compares it with what was asked for"
        assert "KEY NOT COMPARED" in told


@pytest.mark.parametrize("forge", FORGERIES)
def test_a_forged_export_does_not_pass(out: Path, forge: Callable[[Export], None]) -> None:
    export = Export(out / "access")
    forge(export)
    export.write()
    assert not exports.check(out).holds
    assert single_file(out)[0] == 1


@pytest.mark.parametrize("log", ["access", "admin"])
def test_a_log_that_was_left_out_is_named(out: Path, log: str) -> None:
    shutil.rmtree(out / log)
    assert log in exports.check(out).findings[0].where
    status, said = single_file(out)
    assert (status, log in said) == (1, True)


def test_an_empty_folder_does_not_pass(tmp_path: Path) -> None:
    assert not exports.check(tmp_path).holds
    assert single_file(tmp_path)[0] == 1


def test_one_log_does_not_stand_in_for_the_other(out: Path) -> None:
    shutil.rmtree(out / "access")
    shutil.copytree(out / "admin", out / "access")
    assert not exports.check(out).holds
    assert single_file(out)[0] == 1


def test_a_cut_list_of_checkpoints_does_not_pass(out: Path) -> None:
    path = out / "access" / "checkpoints.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert not exports.check(out).holds
    assert single_file(out)[0] == 1


def test_a_name_that_stands_twice_in_a_row_does_not_pass(out: Path) -> None:
    path = out / "access" / "rows.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[0] = lines[0].replace(b'{"leaf"', b'{"official":"nguoi-khac","leaf"')
    path.write_bytes(b"".join(lines))
    assert not exports.check(out).holds
    assert single_file(out)[0] == 1


def test_the_key_must_be_the_one_that_was_handed_out(out: Path) -> None:
    own = (out / "access" / "verifier").read_text().strip()
    other = checkpoints.Verifier(own.split("+")[0], crypto.Signer.from_seed(bytes(32)).public).text
    assert (exports.check(out, key=own).holds, single_file(out, "--key", own)[0]) == (True, 0)
    assert (exports.check(out, key=other).holds, single_file(out, "--key", other)[0]) == (False, 1)
    assert not exports.check(out, key="no key at all").holds
    assert "KEY NOT COMPARED" not in single_file(out, "--key", own)[1]


@pytest.mark.parametrize("arguments", [("--key", ""), ("--key",)])
def test_an_empty_key_is_not_taken_for_none(out: Path, arguments: tuple[str, ...]) -> None:
    assert single_file(out, *arguments)[0] == 2
    assert single_file(*arguments, out)[0] == 2


async def test_what_retention_dropped_may_be_missing(made: sealed.SealedHome, tmp_path: Path) -> None:
    path = made.home / "days" / "2026-03-03.jsonl"
    leaves = path.read_bytes().splitlines()
    assert seals.retire(made.home, "2026-03-03", "calls", leaves, now=sealed.NOW) == 40
    path.unlink()
    folder = await exported(made, tmp_path / "out", until=SINCE + timedelta(days=30))
    report = exports.check(folder)
    assert (report.findings, single_file(folder)[0]) == ([], 0)
    note = next((folder / "access" / "retired").glob("*.note"))
    note.write_text(note.read_text().replace("\n40\n", "\n41\n"))
    assert not exports.check(folder).holds
    assert single_file(folder)[0] == 1
    os.unlink(note)
    assert not exports.check(folder).holds
    assert single_file(folder)[0] == 1


async def test_a_quiet_period_reaches_to_the_checkpoints_around_it(
    made: sealed.SealedHome, tmp_path: Path
) -> None:
    since = sealed.BEGUN + timedelta(hours=8)
    folder = await exported(made, tmp_path / "out", since=since, until=since + timedelta(hours=1))
    report = exports.check(folder)
    assert (report.findings, report.checked["access"], single_file(folder)[0]) == ([], 10, 0)
