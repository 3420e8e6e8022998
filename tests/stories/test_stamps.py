"""Checkpoints are stamped by an authority outside, where one is set; one that is away holds nothing up."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from datetime import timedelta
from pathlib import Path

import authority
import builders
import pytest
import sealed

from lienthong.bus.hub import Hub
from lienthong.core import errors, settings
from lienthong.monitoring import exports, log_check, seals, stamps, verification


def chosen(url: str, folder: Path) -> settings.Seals:
    return settings.Seals(every_s=0.05, stamp_url=url, stamp_ca_file=folder / "ca.pem", stamp_every_s=3600)


async def seal_until(hub: Hub, wanted: settings.Seals, *, stamped: int = 0, stated: int = 0) -> Path:
    """Seal, ten minutes a step, until there are so many stamps or checkpoints; gives the folder of the log."""
    moments = (sealed.BEGUN + timedelta(minutes=10 * number) for number in itertools.count())
    log, closing = hub.settings.home / "seals" / seals.ACCESS, asyncio.Event()
    running = asyncio.create_task(
        seals.run(hub.settings.home, hub.storage, closing, chosen=wanted, now=lambda: next(moments))
    )
    for _ in range(1_000):
        await asyncio.sleep(0.05)
        counts = [count(log / name) for name in ("stamps.jsonl", "checkpoints.jsonl")]
        if counts[0] >= stamped and counts[1] >= stated:
            break
    closing.set()
    await running
    return log


def count(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def look(log: Path, wanted: settings.Seals) -> log_check.Report:
    report = log_check.Report()
    notes = [json.loads(line) for line in (log / "checkpoints.jsonl").read_text().splitlines()]
    stamps.look(log, notes, stamps.authority(wanted), report)
    return report


async def test_checkpoints_are_stamped_shown_and_go_into_exports(tmp_path: Path) -> None:
    folder = tmp_path / "tsa"
    with authority.running(folder) as url:
        async with builders.running_hub(tmp_path / "home") as hub:
            wanted = chosen(url, folder)
            log = await seal_until(hub, wanted, stamped=1)
            report = look(log, wanted)
            assert report.findings == []
            assert "stamped (RFC 3161) at 20" in report.notes[0]
            assert (await verification.verify(hub.settings.home, hub.storage)).findings == []
            out, since = tmp_path / "out", sealed.BEGUN - timedelta(days=1)
            await exports.export(hub.settings.home, hub.storage, out, since=since, until=since + timedelta(days=3))
    checked = exports.check(out)
    assert checked.findings == []
    assert any("access: checkpoint" in note and "openssl ts -verify" in note for note in checked.notes)


@pytest.mark.parametrize("harm", ["another checkpoint", "another authority", "cut", "another time"])
async def test_a_stamp_that_does_not_hold_is_found(tmp_path: Path, harm: str) -> None:
    folder = tmp_path / "tsa"
    with authority.running(folder) as url:
        wanted = chosen(url, folder)
        async with builders.running_hub(tmp_path / "home") as hub:
            log = await seal_until(hub, wanted, stamped=1, stated=3)
    line = json.loads((log / "stamps.jsonl").read_text().splitlines()[0])
    if harm == "another checkpoint":
        line["number"] += 1
    elif harm == "cut":
        line["stamp"] = line["stamp"][:400]
    elif harm == "another time":
        line["at"] = sealed.BEGUN.isoformat()
    else:
        with authority.running(tmp_path / "other"):
            wanted = chosen("http://127.0.0.1/", tmp_path / "other")
    (log / "stamps.jsonl").write_text(json.dumps(line) + "\n")
    assert [one.en for one in look(log, wanted).findings] == ["The time stamp does not hold."]


async def test_an_authority_that_is_away_or_hangs_does_not_delay_a_seal(tmp_path: Path) -> None:
    hangs = threading.Event()
    with authority.running(tmp_path / "tsa", hangs=hangs) as url:
        async with builders.running_hub(tmp_path / "home") as hub:
            running = asyncio.create_task(seal_until(hub, chosen(url, tmp_path / "tsa"), stated=5))
            log = hub.settings.home / "seals" / seals.ACCESS
            for _ in range(1_000):
                await asyncio.sleep(0.05)
                if count(log / "checkpoints.jsonl") >= 5:
                    break
            assert count(log / "stamps.jsonl") == 0
            hangs.set()
            await running
        away = chosen("http://127.0.0.1:9/", tmp_path / "tsa")
        async with builders.running_hub(tmp_path / "two") as hub:
            log = await seal_until(hub, away, stated=5)
    assert count(log / "stamps.jsonl") == 0


def test_an_authority_without_certificates_to_believe_it_by_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="go together"):
        settings.Seals(stamp_url="https://tsa.example")
    (tmp_path / "ca.pem").write_text("none")
    with pytest.raises(errors.Misconfigured, match="STAMP_CA_FILE"):
        stamps.authority(chosen("https://tsa.example", tmp_path))
