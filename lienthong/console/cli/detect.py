"""`lienthong detect …`: the detectors over a file, as if it came in row by row; nothing is stored."""

from __future__ import annotations

import contextlib
import csv
import gzip
import sys
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, TextIO, cast

import orjson
import typer

from lienthong.bus.hub import Hub
from lienthong.console.cli import context
from lienthong.core import errors
from lienthong.monitoring import day_files, watcher
from lienthong.monitoring import replay as recorded
from lienthong.monitoring import series as number_series

app = typer.Typer(no_args_is_help=True, help="Dò bất thường trong tệp / run the detectors over a file.")

Rows = Annotated[
    Path,
    typer.Argument(
        metavar="FILE.csv[.gz]", exists=True, dir_okay=False, readable=True, help="Cột / columns: timestamp,value."
    ),
]


@app.command(name="series")
def series(file: Rows) -> None:
    """Chấm điểm lạ từ 0 đến 1 cho từng dòng của một dãy số / score each row of a series from 0 to 1."""
    context.guarded(lambda: _print_scores(file))


def _print_scores(file: Path) -> None:
    detector = number_series.Series()
    with opened(file) as text:
        for line, at, value in _rows(text):
            try:
                score = detector.update(_time(at, line), _number(value, line))
            except errors.InvalidRequest as wrong:
                raise _bad_row(line, wrong.detail("vi"), wrong.detail("en")) from wrong
            row = {"timestamp": at, "value": float(value), "score": round(score, 6)}
            sys.stdout.write(orjson.dumps(row).decode() + "\n")


@app.command(name="replay")
def replay(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.jsonl[.gz]",
            exists=True,
            dir_okay=False,
            readable=True,
            help="Bản ghi truy cập theo thời gian / access records in order of time, a JSON object each.",
        ),
    ],
) -> None:
    """In từng cảnh báo đáng lẽ đã mở trên một tệp nhật ký / print each alert that would have been opened."""

    def go() -> None:
        for line in recorded.alerts(file):
            sys.stdout.write(orjson.dumps(line).decode() + "\n")

    context.guarded(go)


@app.command(name="rebuild")
def rebuild(
    days: Annotated[
        int, typer.Option("--days", min=1, max=400, help="Học từ mấy ngày / learn from so many.")
    ] = 60,
) -> None:
    """Học lại mức bình thường từ sổ nhật ký / learn what is normal anew from the record; opens no alert."""

    async def work(hub: Hub) -> int:
        archive = day_files.Archive(hub.settings.home / "record")
        since = hub.now() - timedelta(days=days)
        try:
            return await watcher.rebuild(hub.storage, since=since, now=hub.now(), archive=archive)
        finally:
            archive.close()

    sys.stdout.write(orjson.dumps({"records": context.run(work, is_long=True), "days": days}).decode() + "\n")


@contextlib.contextmanager
def opened(file: Path) -> Iterator[TextIO]:
    """Open a text file, unpacked where its name ends in `.gz`; what cannot be read is named as such."""
    try:
        with cast(
            TextIO,
            gzip.open(file, "rt", encoding="utf-8-sig", newline="")
            if file.suffix == ".gz"
            else file.open(encoding="utf-8-sig", newline=""),
        ) as text:
            yield text
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        raise errors.InvalidRequest(
            "The file is not a whole gzip file.", detail_vi="Tệp nén gzip bị hỏng hoặc thiếu."
        ) from exc
    except UnicodeDecodeError as exc:
        raise errors.InvalidRequest("The file is not UTF-8.", detail_vi="Tệp không theo bảng mã UTF-8.") from exc


def _rows(text: TextIO) -> Iterator[tuple[int, str, str]]:
    reader = csv.reader(text)
    head = [name.strip() for name in next(reader, [])]
    if head[:2] != ["timestamp", "value"]:
        raise _bad_row(1, "dòng đầu phải là timestamp,value", "the first line must be timestamp,value")
    try:
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(head):
                vi, en = f"phải có {len(head)} cột", f"{len(head)} columns expected"
                raise _bad_row(reader.line_num, vi, en)
            yield reader.line_num, cells[0].strip(), cells[1].strip()
    except csv.Error as exc:
        raise _bad_row(reader.line_num, "không đọc được CSV", "not readable as CSV") from exc


def _time(text: str, line: int) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as exc:
        raise _bad_row(line, "thời điểm không đúng dạng ISO 8601", "the time is not ISO 8601") from exc


def _number(text: str, line: int) -> float:
    try:
        return float(text)
    except ValueError as exc:
        raise _bad_row(line, "giá trị không phải là số", "the value is not a number") from exc


def _bad_row(line: int, vi: str, en: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(f"Line {line}: {en}.", detail_vi=f"Dòng {line}: {vi}.")
