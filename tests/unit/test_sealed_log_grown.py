"""A sealed log that has been written for months: what is read of it at each step does not grow with it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from lienthong.core import crypto
from lienthong.monitoring import checkpoints, log_files, sealed_log, witnesses

NOW = datetime(2026, 3, 2, 1, tzinfo=UTC)
NODES = ("gateway-1.abcdef", "out-0123456789abcdef")


def test_reading_the_order_of_two_nodes_took_hours_after_a_month() -> None:
    months = 200_000
    lines = [
        orjson.dumps([number * 5, NODES[number % 2], number // 2 * 5 + 1, 5, "2026-03-02"])
        for number in range(months)
    ]
    order = sealed_log.read_order(lines, size=5 * months)
    assert order.last(NODES[1]) == 5 * months // 2
    assert order.index_of(NODES[0], 11) == 20


def test_what_a_sealer_holds_grew_with_every_time_that_two_nodes_alternated() -> None:
    months = 20_000
    lines = (
        orjson.dumps([number * 5, NODES[number % 2], number // 2 * 5 + 1, 5, "2026-03-02"])
        for number in range(months)
    )
    sealed = sealed_log.read_sealed(lines, size=5 * months)
    assert (sealed.size, sealed.last(NODES[1])) == (5 * months, 5 * months // 2)
    assert sum(len(known) for known in sealed._of_node.values()) == 2


def test_numbers_that_come_out_of_their_order_are_found(tmp_path: Path) -> None:
    order, sealed = sealed_log.Order(), sealed_log.Sealed()
    for start, first in enumerate((1, 5, 3, 4, 2)):
        run = sealed_log.Run(start, "admin", first, 1, "2026-03-02")
        order.add(run)
        sealed.add(run)
    assert [order.index_of("admin", number) for number in range(1, 7)] == [0, 4, 2, 3, 1, None]
    assert [sealed.has("admin", number) for number in range(7)] == [False, True, True, True, True, True, False]
    assert (order.last("admin"), sealed.last("admin"), sealed.last("nobody")) == (5, 5, 0)


@pytest.mark.parametrize("count", [1, 3, 500])
def test_the_last_lines_of_a_file_are_those_of_the_whole(tmp_path: Path, count: int) -> None:
    path = tmp_path / "lines"
    lines = [b"%d %s" % (number, b"x" * (number * 37 % 900)) for number in range(400)]
    log_files.append_lines(path, lines)
    with path.open("ab") as file:
        file.write(b"half")
    assert log_files.last_lines(path, count) == lines[-count:]
    assert log_files.last_line(path) == lines[-1]


async def test_countersignatures_that_are_kept_were_checked_again_with_each_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer, witness = (crypto.Signer.from_seed(bytes([number]) * 32) for number in (1, 2))
    log = sealed_log.SealedLog(tmp_path / "access", origin="lienthong/hub/access", signer=signer)
    notes = [log.checkpoint(now=NOW) for _ in range(30)]
    place = witnesses.place_of(tmp_path / "share", log.verifier.name)
    shown = witnesses.Witness(tmp_path / "share", key=checkpoints.cosigner("w", witness).text)
    for number, note in enumerate(notes):
        await witnesses.show(shown, log, note)
        line = checkpoints.cosign(note, name="w", signer=witness, now=NOW)
        (place / f"{number + 1:010d}.cosigned").write_text(line)
    assert len(await witnesses.show(shown, log, notes[-1])) == 1
    checked: list[Any] = []
    monkeypatch.setattr(checkpoints, "cosigned_at", lambda *given: checked.append(given))
    assert await witnesses.show(shown, log, notes[-1]) == []
    assert checked == []
    log.close()
