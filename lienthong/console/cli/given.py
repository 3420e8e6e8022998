"""What people give to commands: a day, a file to read, a file that a report goes to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from lienthong.core import clock, errors

_DAYS = ("%Y-%m-%d", "%d/%m/%Y")


def _is_report(out: Path | None) -> Path | None:
    if out is not None and out.suffix.lower() not in (".xlsx", ".html"):
        raise typer.BadParameter("tệp phải có đuôi .xlsx hoặc .html / the file must end in .xlsx or .html")
    return out


Report = Annotated[
    Path | None,
    typer.Option(help="Tệp .xlsx hoặc .html / file to write.", dir_okay=False, callback=_is_report),
]


def day(text: str) -> date:
    """Read a day, as programs or as people here write it. Raises InvalidRequest."""
    for form in _DAYS:
        try:
            return datetime.strptime(text.strip(), form).replace(tzinfo=clock.VIETNAM).date()
        except ValueError:
            continue
    raise errors.InvalidRequest(
        f"{text} is no day; write for example 2026-01-15",
        detail_vi=f"{text} không phải là ngày; viết ví dụ 2026-01-15.",
    )


def midnight(text: str) -> datetime:
    """Read a day; gives the moment at which it begins in Vietnam. Raises InvalidRequest."""
    return datetime.combine(day(text), datetime.min.time(), clock.VIETNAM)


def day_or_none(text: str) -> date | None:
    """Read a day; None of nothing. Raises InvalidRequest."""
    return day(text) if text.strip() else None


def content(file: Path, *, most: int) -> bytes:
    """Read a file of at most so many bytes. Raises InvalidRequest where it is larger or cannot be opened."""
    try:
        if file.stat().st_size > most:
            raise errors.InvalidRequest(
                f"the file is larger than {most:,} bytes", detail_vi=f"Tệp lớn hơn {most:,} byte."
            )
        return file.read_bytes()
    except OSError:
        raise errors.InvalidRequest(
            f"the file {file.name} cannot be opened", detail_vi=f"Không mở được tệp {file.name}."
        ) from None


def write_report(out: Path | None, *, page: Callable[[], str], workbook: Callable[[], bytes]) -> None:
    """Write a report to the file that was given, if one was, in the form that its name asks for."""
    if out is None:
        return
    if out.suffix.lower() == ".xlsx":
        out.write_bytes(workbook())
    else:
        out.write_text(page(), encoding="utf-8")
