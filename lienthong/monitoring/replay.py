"""Detection over a file of access records, nothing stored: each alert as it would have been opened, and when."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson

from lienthong.core import errors
from lienthong.monitoring import calls, detection
from lienthong.monitoring.detectors import findings


def alerts(path: Path) -> Iterator[dict[str, Any]]:
    """Give a line for each alert over the records of a file (`.jsonl`, `.jsonl.gz`), as they are found.

    Raises InvalidRequest naming the first line that is no record, NotFound where there is no such file.
    """
    for finding in over(_calls(path)):
        yield finding.as_line()


def over(records: Iterable[calls.Call]) -> Iterator[findings.Finding]:
    """Give each finding that opens an alert over calls in order of time."""
    opened: list[findings.Finding] = []

    def take(finding: findings.Finding, opens: bool) -> None:
        if opens:
            opened.append(finding)

    watching = detection.Detection(take)
    for call in records:
        watching.feed(call)
        if opened:
            yield from opened
            opened.clear()


def _calls(path: Path) -> Iterator[calls.Call]:
    number = 0
    try:
        with _opened(path) as file:
            for line in file:
                number += 1
                if line.strip():
                    yield _call(line)
    except FileNotFoundError as exc:
        raise errors.NotFound(f"there is no file {path}", detail_vi=f"Không có tệp {path}") from exc
    except (errors.InvalidRequest, EOFError, gzip.BadGzipFile, OSError) as exc:
        why = exc.detail("en") if isinstance(exc, errors.InvalidRequest) else "the file cannot be read to its end"
        why_vi = exc.detail("vi") if isinstance(exc, errors.InvalidRequest) else "Không đọc được hết tệp."
        raise errors.InvalidRequest(
            f"{path.name}, line {number}: {why}", detail_vi=f"{path.name}, dòng {number}: {why_vi}"
        ) from exc


def _call(line: bytes) -> calls.Call:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError as exc:
        raise errors.InvalidRequest("this line is not JSON", detail_vi="Dòng này không phải JSON.") from exc
    if not isinstance(found, dict):
        raise errors.InvalidRequest("this line is not an object", detail_vi="Dòng này không phải một đối tượng.")
    return calls.from_json(found)


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")
