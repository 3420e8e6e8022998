"""Who outside is shown what was sealed: a witness, a time stamp authority. Who is away holds no seal up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from lienthong.core import errors, settings
from lienthong.monitoring import checkpoints, sealed_log, stamps, tiles, witnesses

_log = logging.getLogger("lienthong.seals")
LAST_WORD_S = 5.0
PAUSE_S = 60.0  # before an authority that did not stamp is asked again


class Onlookers:
    """Shows the newest checkpoint of each log, one after the other; what is overtaken meanwhile is left out."""

    def __init__(self, chosen: settings.Seals) -> None:
        self._witness = witnesses.Witness(
            Path(chosen.witness_folder) if chosen.witness_folder else None,
            chosen.witness_command,
            chosen.witness_url,
            chosen.witness_key,
        )
        self._stamping = stamps.authority(chosen)
        self._next_stamp_s = 0.0
        self._newest: dict[Path, tuple[str, checkpoints.Verifier]] = {}
        self._wake = asyncio.Event()
        self._is_ending = False

    def tell(self, note: str, log: sealed_log.SealedLog) -> None:
        """Take a new checkpoint; never waits."""
        if self._witness.is_set or self._stamping is not None:
            self._newest[log.folder] = note, log.verifier
            self._wake.set()

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """Show what is told as long as the block runs; the last checkpoints get some seconds more."""
        task = asyncio.create_task(self._run(), name="onlookers")
        try:
            yield
        finally:
            self._is_ending = True
            self._wake.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(task, LAST_WORD_S)

    async def _run(self) -> None:
        while self._newest or not self._is_ending:
            await self._wake.wait()
            self._wake.clear()
            while self._newest:
                folder = next(iter(self._newest))
                await self._show(folder, *self._newest.pop(folder))

    async def _show(self, folder: Path, note: str, who: checkpoints.Verifier) -> None:
        stated = checkpoints.parse(checkpoints.parts(note)[0])
        glance = sealed_log.Glance(folder, who, tiles.Tiles(folder, stated.size))
        try:
            if self._witness.is_set:
                await witnesses.show(self._witness, glance, note)
        except errors.StorageUnavailable as exc:
            _log.warning("the witness could not be shown a checkpoint", extra={"why": exc.detail("en")})
        is_patient = time.monotonic() < self._next_stamp_s
        if self._stamping is not None and not is_patient and stamps.is_due(folder, self._stamping, stated.at):
            await self._have_stamped(folder, note, self._stamping)

    async def _have_stamped(self, folder: Path, note: str, by: stamps.Authority) -> None:
        try:
            await asyncio.to_thread(stamps.stamp, folder, note, by)
        except (OSError, TimeoutError, stamps.NotStamped) as exc:
            self._next_stamp_s = time.monotonic() + PAUSE_S
            facts = {"why": f"{type(exc).__name__} {exc}"}
            _log.warning("the time stamp authority did not stamp a checkpoint", extra=facts)
