"""`lienthong serve` as a program of the tests, with a clock that they can step: a file says how far it is off."""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

from lienthong.console import server
from lienthong.core import clock, settings

READ_EVERY_S = 0.02


class Stepped:
    """The machine's clock, shifted by what stands in the file at this moment."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._shift = timedelta()
        self._read_s = float("-inf")

    def __call__(self) -> datetime:
        if time.monotonic() - self._read_s > READ_EVERY_S:
            self._shift = timedelta(seconds=float(self._file.read_text()))
            self._read_s = time.monotonic()
        return clock.now() + self._shift


class Face:
    """Where a test sets the clock of every process that reads this file."""

    def __init__(self, file: Path, shift: timedelta) -> None:
        self.file, self._shift = file, shift
        self.step(timedelta())

    def step(self, by: timedelta) -> None:
        """Put the clock so far off what it began with."""
        draft = self.file.with_suffix(".new")
        draft.write_text(str((self._shift + by).total_seconds()))
        draft.replace(self.file)


if __name__ == "__main__":
    server.run(settings.load(os.environ), gateway_only="gateway" in sys.argv[2:], now=Stepped(Path(sys.argv[1])))
