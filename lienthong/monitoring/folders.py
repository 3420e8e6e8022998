"""What stands in folders that grow for years: read again only where something was put into them or taken out."""

from __future__ import annotations

import os
import time
from pathlib import Path

# Two changes within one tick of the file system's clock have one time: a folder is known once that is well past.
_TICK_NS = 2_000_000_000


class Folders:
    """The names in some folders, as they were when each was last changed."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[int, int, tuple[str, ...]]] = {}

    def names(self, folder: Path) -> tuple[str, ...]:
        """Give the names in a folder, sorted; none where there is no such folder.

        The same tuple as the last time means that nothing was put in, taken out or put in another's place. What is
        written into a file that is there already does not show.
        """
        try:
            changed_ns = folder.stat().st_mtime_ns
            known = self._known.get(folder)
            if known is not None and known[0] == changed_ns and changed_ns < known[1] - _TICK_NS:
                return known[2]
            read_ns = time.time_ns()
            names = tuple(sorted(os.listdir(folder)))
        except FileNotFoundError:
            return ()
        self._known[folder] = changed_ns, read_ns, names
        return names
