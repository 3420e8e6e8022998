"""Sealing while calls never stop coming."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from pathlib import Path

import sealed

from lienthong.core import spool, storage, tables
from lienthong.monitoring import seals


async def test_one_step_is_one_checkpoint_however_busy_the_door_is(tmp_path: Path) -> None:
    store = storage.Storage(storage.sqlite_url(tmp_path / "hub.db"))
    async with store.engine.begin() as connection:
        await connection.run_sync(tables.metadata.create_all)
    book, over = spool.Spool(tmp_path / "spool", "gateway"), threading.Event()

    def calls() -> None:
        for number in range(2_000):
            book.append(sealed.record(number, sealed.BEGUN + timedelta(seconds=number)))
            if over.wait(0.002):
                return

    busy = threading.Thread(target=calls)
    busy.start()
    try:
        async with seals.opened(tmp_path, store) as sealer:
            steps = [Counter(note.partition("\n")[0] for note in await sealer.step(sealed.NOW)) for _ in range(20)]
    finally:
        over.set()
        busy.join()
        book.close()
    assert max(count for step in steps for count in step.values()) == 1
    await store.close()
