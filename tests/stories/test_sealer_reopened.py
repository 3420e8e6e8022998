"""A sealer that cannot take up its log again: it gives back what is its own, once."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sealed

from lienthong.core import clock, errors, storage
from lienthong.monitoring import seals

NOW = datetime(2026, 3, 4, 18, tzinfo=clock.VIETNAM)


async def test_a_log_that_cannot_be_opened_again_was_closed_at_every_try(tmp_path: Path) -> None:
    home = (await sealed.build(tmp_path)).home
    store = storage.Storage(storage.sqlite_url(home / "lienthong.db"))
    sealer = seals.Sealer(home, store)
    for log in ("access", "admin"):
        stated = home / "seals" / log / "checkpoints.jsonl"
        stated.write_bytes(stated.read_bytes().replace(b"number", b"numbed"))
    (home / "spool" / "access.sealed").unlink()
    (home / "spool" / "access.sealed").mkdir()  # so that the step itself fails
    for step in range(3):
        with pytest.raises(errors.StorageUnavailable):
            await sealer.step(NOW + timedelta(seconds=step))
        # Somebody else's file now has the number that the log's lock had.
        others = [os.open(home / "spool" / "place", os.O_RDONLY) for _ in range(4)]
    sealer.close()
    for other in others:
        os.fstat(other)
        os.close(other)
    await store.close()
