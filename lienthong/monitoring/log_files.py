"""Files that only grow or change as a whole, and the one word for a log that is not as it was left."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lienthong.core import errors, spool_reading

_BLOCK = 16_384


def whole_lines(path: Path, *, cut: bool = False) -> list[bytes]:
    """Give the lines of a file that only grows; the torn end of one is left out, or with `cut` taken off."""
    data = path.read_bytes() if path.exists() else b""
    end = data.rfind(b"\n") + 1
    if cut and end < len(data):
        os.truncate(path, end)
    return data[:end].splitlines()


def each_line(path: Path) -> Iterator[bytes]:
    """Give the same lines one by one, for a file that is too long to be held; its torn end is left out."""
    if path.exists():
        with path.open("rb") as file:
            yield from (line[:-1] for line in file if line.endswith(b"\n"))


def last_line(path: Path, *, cut: bool = False) -> bytes | None:
    """Give the last whole line of a file that only grows, however long it is; its torn end as in `whole_lines`."""
    found = last_lines(path, 1, cut=cut)
    return found[-1] if found else None


def last_lines(path: Path, count: int, *, cut: bool = False) -> list[bytes]:
    """Give so many of the last whole lines of such a file, or all where it has fewer, without reading the rest."""
    size = path.stat().st_size if path.exists() else 0
    tail, at = b"", size
    while at > 0 and tail.count(b"\n") <= count:
        at = max(0, at - max(_BLOCK, len(tail)))
        with path.open("rb") as file:
            file.seek(at)
            tail = file.read(size - at)
    end = tail.rfind(b"\n") + 1
    if cut and end < len(tail):
        os.truncate(path, at + end)
    return tail[:end].splitlines()[-count:]


def append_lines(path: Path, lines: Sequence[bytes]) -> None:
    """Add whole lines to a file and wait for the disk; half a line that a full disk left is taken off before."""
    is_new = not path.exists()
    last_line(path, cut=True)
    with path.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in lines))
        file.flush()
        os.fdatasync(file.fileno())
    if is_new:
        spool_reading.sync_folder(path.parent)


def replace(path: Path, content: bytes) -> None:
    """Put a whole file in the place of another, never half of it."""
    draft = path.with_name(f".{path.name}.new")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
    # Without this a power cut may bring the old file back, or none: a seal must not contradict itself by accident.
    with contextlib.suppress(OSError):  # a witness's share may not know how
        spool_reading.sync_folder(path.parent)


def not_sound(why: str, **facts: Any) -> errors.StorageUnavailable:
    """Say that a sealed log is not as it was left."""
    return errors.StorageUnavailable(
        f"the sealed log is not as it was left: {why}; run `lienthong journal verify`",
        detail_vi=f"Sổ niêm phong không còn nguyên vẹn ({why}); hãy chạy `lienthong journal verify`.",
        **facts,
    )
