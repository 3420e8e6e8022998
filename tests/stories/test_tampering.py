"""Nobody alters the record unnoticed: every try of many is found, and an untouched record raises no alarm."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
import sealed

from lienthong.core import access_record, crypto, errors, storage
from lienthong.monitoring import (
    checkpoints,
    exports,
    log_check,
    merkle,
    seals,
    verification,
    witnesses,
)

# `make proofs` tries a thousand.
MANY = int(os.environ.get("TAMPERINGS", "100"))
FEW = 40
VERIFIER = Path(__file__).parents[2] / "docs" / "verify_journal.py"


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> sealed.SealedHome:
    return await sealed.build(tmp_path)


async def test_an_untouched_record_raises_no_alarm(made: sealed.SealedHome) -> None:
    report = await made.verify()
    assert report.findings == []
    assert report.checked["access.leaves"] == report.checked["records"] == 1_500
    assert report.checked["admin.leaves"] == report.checked["acts"] == 12


def has_place(where: str) -> bool:
    return any(mark in where for mark in ("no.", "checkpoint", "tile", "leaf", "row", "spool/", "retired/"))


async def tamper_and_look(made: sealed.SealedHome, tmp_path: Path, seeds: range) -> Counter[str]:
    done: Counter[str] = Counter()
    for seed in seeds:
        chance = random.Random(seed)
        copy = made.copied(tmp_path / "copy")
        what = chance.choice(sealed.TAMPERINGS)(copy, chance)
        report = await copy.verify()
        assert report.findings, f"seed {seed}: {what} went unnoticed"
        assert all(
            any(mark in one.where for mark in ("no.", "checkpoint", "tile", "leaf", "/", "row"))
            for one in report.findings
        )
        done[what] += 1
    return done


async def test_every_tampering_is_found_with_its_place(made: sealed.SealedHome, tmp_path: Path) -> None:
    await tamper_and_look(made, tmp_path, range(FEW))


@pytest.mark.long
async def test_a_great_many_tamperings_are_found(made: sealed.SealedHome, tmp_path: Path) -> None:
    done = await tamper_and_look(made, tmp_path, range(FEW, MANY))
    print("\n" + "\n".join(f"{count:4}  {what}" for what, count in sorted(done.items())))


async def test_a_removed_row_is_named(made: sealed.SealedHome) -> None:
    path = made.home / "days" / "2026-03-02.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    node, number, _ = access_record.place_of(lines.pop(7))
    path.write_bytes(b"".join(lines))
    findings = (await made.verify()).findings
    assert [one.en for one in findings] == ["The record was removed."]
    assert f"{node} no. {number} (2026-03-02" in findings[0].where


async def test_a_hub_put_back_as_a_whole_is_found_by_its_witness(made: sealed.SealedHome, tmp_path: Path) -> None:
    witness, shown = tmp_path / "share", witnesses.Witness(folder=tmp_path / "share")
    store = storage.Storage(storage.sqlite_url(made.database))
    async with seals.opened(made.home, store) as sealer:
        assert sealer is not None
        for note in await sealer.step(sealed.NOW + timedelta(hours=2)):
            await witnesses.show(shown, sealer.access if "/access" in note else sealer.admin, note)
    await store.close()
    report = log_check.Report()
    verification.compare(made.home, witness, report)
    assert report.holds
    shutil.rmtree(made.home)
    shutil.copytree(made.old, made.home)
    assert (await made.verify()).holds, "all of it is old, so it agrees with itself"
    verification.compare(made.home, witness, report)
    assert "the hub's log does not continue it" in report.findings[0].en


async def test_a_witness_countersigns_what_continues_and_nothing_else(
    made: sealed.SealedHome, tmp_path: Path
) -> None:
    signer = crypto.Signer.from_seed(bytes(32))
    shown = witnesses.Witness(folder=tmp_path / "share", key=checkpoints.cosigner("thanh-tra", signer).text)
    store = storage.Storage(storage.sqlite_url(made.database))
    async with seals.opened(made.home, store) as sealer:
        assert sealer is not None
        place = tmp_path / "share" / sealer.access.verifier.name.replace("/", "_")
        for hour in (2, 4, 6):
            note = sealer.access.checkpoint(now=sealed.NOW + timedelta(hours=hour))
            kept = await witnesses.show(shown, sealer.access, note)
            assert witnesses.countersign(place, name="thanh-tra", signer=signer, now=sealed.NOW) == 1
        assert len(kept) == 1
    forged = checkpoints.Checkpoint(sealer.access.verifier.name, 9_000, bytes(32), 99, sealed.NOW)
    told = {"note": checkpoints.sign(forged, seals.signer(made.home)), "old": 1_500, "proof": ["00" * 32]}
    (place / "0000000099.checkpoint").write_text(json.dumps(told))
    with pytest.raises((merkle.DoesNotHold, checkpoints.NotANote)):
        witnesses.countersign(place, name="thanh-tra", signer=signer, now=sealed.NOW)
    await store.close()


async def test_what_retention_drops_leaves_the_rest_provable(made: sealed.SealedHome) -> None:
    path = made.home / "days" / "2026-03-02.jsonl"
    leaves = path.read_bytes().splitlines()
    assert seals.retire(made.home, "2026-03-02", "calls", leaves, now=sealed.NOW) == 500
    path.unlink()
    assert (await made.verify()).holds
    note = next((made.home / "seals" / "access" / "retired").glob("*.note"))
    note.write_text(note.read_text().replace("2026-03-02.calls", "2026-03-03.calls"))
    assert "retired/" in (await made.verify()).findings[0].where


async def test_an_altered_day_is_not_taken_for_an_old_one(made: sealed.SealedHome) -> None:
    leaves = (made.home / "days" / "2026-03-02.jsonl").read_bytes().splitlines()
    altered = access_record.from_bytes(leaves[3])._replace(official="nguoi-khac")
    leaves[3] = access_record.to_bytes(altered)
    with pytest.raises(errors.StorageUnavailable, match="was altered"):
        seals.retire(made.home, "2026-03-02", "calls", leaves, now=sealed.NOW)


async def test_a_sealer_refuses_to_go_on_from_an_old_copy(made: sealed.SealedHome) -> None:
    shutil.rmtree(made.home / "seals")
    shutil.copytree(made.old / "seals", made.home / "seals")
    store = storage.Storage(storage.sqlite_url(made.database))
    async with seals.opened(made.home, store) as sealer:
        assert sealer is not None
        with pytest.raises(errors.StorageUnavailable, match="was sealed beyond"):
            await sealer.step(sealed.NOW)
    await store.close()


# ----------------------------------------------------------------------------------------------------- exports


async def exported(made: sealed.SealedHome, out: Path) -> Path:
    store = storage.Storage(storage.sqlite_url(made.database))
    since = sealed.BEGUN + timedelta(minutes=31)
    days = sealed.DayLines(made.home)
    await exports.export(made.home, store, out, since=since, until=since + timedelta(days=1), days=days)
    await store.close()
    return out


def single_file(folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(VERIFIER), str(folder)], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout


async def test_an_export_is_checked_by_the_program_and_by_the_single_file(
    made: sealed.SealedHome, tmp_path: Path
) -> None:
    folder = await exported(made, tmp_path / "out")
    report = exports.check(folder)
    assert report.findings == []
    count = report.checked["access"]
    assert 500 <= count < 750, "all of the day, and the few that were sealed between them"
    status, said = single_file(folder)
    assert (status, f"access: {count} records" in said) == (0, True)


async def test_an_export_does_not_pass_with_another_key(made: sealed.SealedHome, tmp_path: Path) -> None:
    folder = await exported(made, tmp_path / "out")
    other = checkpoints.Verifier("lienthong/hub/access", crypto.Signer.from_seed(bytes(32)).public)
    assert not exports.check(folder, key=other.text).holds


def tamper_export(folder: Path, chance: random.Random) -> str:
    log = chance.choice(["access", "access", "admin"])
    name = chance.choice(["leaves.jsonl", "rows.jsonl", "hashes.txt", "checkpoints.jsonl"])
    kind = chance.choice([sealed.edit, sealed.change_lines, sealed.change_lines, sealed.gone])
    return f"{log}/{name}: {kind(folder / log / name, chance)}"


async def agree(made: sealed.SealedHome, tmp_path: Path, seeds: range) -> None:
    folder = await exported(made, tmp_path / "out")
    for seed in seeds:
        chance = random.Random(seed)
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        what = tamper_export(copy, chance)
        report = exports.check(copy)
        status, said = single_file(copy)
        assert (report.holds, status) == (False, 1), f"seed {seed}: {what}\n{report}\n{said}"


async def test_both_checks_find_what_was_done_to_an_export(made: sealed.SealedHome, tmp_path: Path) -> None:
    await agree(made, tmp_path, range(15))


@pytest.mark.long
async def test_both_checks_find_all_that_was_done_to_exports(made: sealed.SealedHome, tmp_path: Path) -> None:
    await agree(made, tmp_path, range(15, max(MANY // 4, 25)))
