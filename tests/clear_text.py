"""Search whatever a run of tests leaves behind for the numbers of people; a number in clear fails the run.

Looked at: every file in the folders of the tests, homes elsewhere before they are removed, PostgreSQL databases
when they are given back, every log line as the hub would print it, captured output, the text of every error, and
every answer of the hub that refuses. What may hold a number stands in `clear_text_exceptions`, with its reason.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import gzip
import hashlib
import logging
import os
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import asyncpg
import clear_text_exceptions
import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lienthong.core import errors, logs

# Every invented citizen has a number of this range; a house test holds the tests and the sandbox to it.
CITIZENS = b"001099"
_CITIZEN = re.compile(CITIZENS + rb"[0-9]{6}")
# Numbers that also occur by chance within longer ones count only where they stand alone.
_ALONE = re.compile(
    rb"(?<![0-9A-Za-z_.-])(?:00000000000[12]|0900000[0-9]{3}|0987654321|0911111111|0922222222)(?![0-9A-Za-z])"
)
_BEGINNINGS_ALONE = (b"00000000000", b"0900000", b"0987654321", b"0911111111", b"0922222222")
_ZSTD, _GZIP, _ZIP, _PARQUET = b"\x28\xb5\x2f\xfd", b"\x1f\x8b", b"PK\x03\x04", b"PAR1"
_SQLITE = b"SQLite format 3\0"
_CLEAN_PAGES: set[bytes] = set()
_LARGEST_UNPACKED = 64 * 2**20
_LOGGERS = ("lienthong", "asyncio", "uvicorn", "httpx", "httpcore", "sqlalchemy", "aiosqlite", "celery", "zeep")
_CAPTURED = ("Captured stdout", "Captured stderr")
_MOST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """A number that stands somewhere in clear; the number itself is not shown."""

    place: str
    offset: int
    form: str
    masked: str
    test: str

    def __str__(self) -> str:
        """Say where, which and when."""
        return f"{self.place} @{self.offset} {self.form} {self.masked} ({self.test or 'test unknown'})"


FOUND: list[Finding] = []


# ---------------------------------------------------------------------------------------------------- the search


def _as_digits(form: bytes) -> bytes:
    """Undo the writings of a digit that are longer than one byte."""
    return re.sub(rb"(?:\\u00|%)3([0-9])", rb"\1", form).replace(b"\0", b"")


def _in_base64(data: bytes, at: int, shift: int) -> bytes:
    """Decode from the first whole group; the digits begin `shift` bytes into the group before."""
    begins = at - (0, 2, 3)[shift]
    if begins < 0:
        return b""
    text = re.sub(rb"[^A-Za-z0-9+/]", b"A", data[begins : begins + 24].translate(bytes.maketrans(b"-_", b"+/")))
    return base64.b64decode(text.ljust(24, b"A"))[shift:]


def _beginnings() -> tuple[tuple[bytes, str, Callable[[bytes, int], bytes]], ...]:
    """Give how a citizen's number may begin in each form, and how the number is read from there."""
    plain = [(CITIZENS, "plain", lambda data, at: data[at : at + 12])]
    plain.append((CITIZENS.hex().encode(), "hex", lambda data, at: _from_hex(data[at : at + 24])))
    wide = "".join(chr(byte) + "\0" for byte in CITIZENS)[:-1].encode()
    plain.append((wide, "utf-16", lambda data, at: _as_digits(data[at : at + 24])))
    for mark, form in ((b"\\u003", "json"), (b"%3", "percent")):
        begins = b"".join(mark + bytes([byte]) for byte in CITIZENS)
        whole = (len(mark) + 1) * 12
        plain.append((begins, form, lambda data, at, n=whole: _as_digits(data[at : at + n])))  # type: ignore[misc]
    for shift, cut in ((0, slice(0, 8)), (1, slice(2, 9)), (2, slice(3, 10))):
        begins = base64.b64encode(bytes(shift) + CITIZENS + bytes(3))[cut]
        plain.append((begins, "base64", lambda data, at, n=shift: _in_base64(data, at, n)))  # type: ignore[misc]
    return tuple(plain)


def _from_hex(text: bytes) -> bytes:
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        return b""


_BEGINNINGS = _beginnings()


def search(data: bytes) -> Iterator[tuple[int, str, bytes]]:
    """Give every number in some bytes: where it stands, in which form, and the number."""
    for begins, form, read in _BEGINNINGS:
        at = data.find(begins)
        while at >= 0:
            found = _CITIZEN.match(read(data, at))
            if found:
                yield at, form, found[0]
            at = data.find(begins, at + 1)
    for begins in _BEGINNINGS_ALONE:
        at = data.find(begins)
        while at >= 0:
            alone = _ALONE.search(data, max(0, at - 1), at + 13)
            if alone and alone.start() == at:
                yield at, "plain", alone[0]
            at = data.find(begins, at + 1)


def look(place: str, data: bytes, *, test: str | None = None) -> None:
    """Keep a finding for every number in some bytes that may not stand there."""
    known = test if test is not None else _test()
    numbers = _search_pages(data) if data.startswith(_SQLITE) else search(data)
    for offset, form, number in numbers:
        if clear_text_exceptions.reason(place, known) is None:
            masked = f"{number[:6].decode()}…{number[-2:].decode()}"
            FOUND.append(Finding(place, offset, form, masked, known))


def _search_pages(data: bytes) -> Iterator[tuple[int, str, bytes]]:
    """Give every number in a database of SQLite; most of its pages stand in hundreds of others too.

    A page in which nothing was found is not searched again. No value runs on from the end of one page straight
    into the next: the rest begins with the number of the page after it.
    """
    size = int.from_bytes(data[16:18], "big")
    size = 65_536 if size == 1 else size
    for begins in range(0, len(data), size):
        page = data[begins : begins + size]
        digest = hashlib.blake2b(page, digest_size=16).digest()
        if digest not in _CLEAN_PAGES:
            numbers = list(search(page))
            yield from ((begins + offset, form, number) for offset, form, number in numbers)
            if not numbers:
                _CLEAN_PAGES.add(digest)


def _test() -> str:
    return os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]


# ---------------------------------------------------------------------------------------------------- the places


def look_into_folder(folder: Path, *, test: str | None = None) -> int:
    """Look into every file of a folder, packed ones unpacked; gives how many bytes that was."""
    seen = 0
    for where, _, names in os.walk(folder):
        for name in names:
            path = Path(where) / name
            place = re.sub(r"^popen-gw\d+/", "", str(path.relative_to(folder)))
            when = place.partition("/")[0] if test is None else test
            # A file may vanish, or be a socket or a link into the void.
            with contextlib.suppress(FileNotFoundError, PermissionError):
                if path.is_symlink() or not path.is_file():
                    continue
                data = path.read_bytes()
                seen += len(data)
                look(place, data, test=when)
                for inner, unpacked in _unpacked(path, data):
                    look(f"{place}!{inner}", unpacked, test=when)
    return seen


def _unpacked(path: Path, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Give what is packed in a file; one that cannot be read is packed by nobody, or damaged on purpose."""
    with contextlib.suppress(
        OSError, EOFError, zipfile.BadZipFile, pa.ArrowInvalid, ValueError, NotImplementedError
    ):
        if data[:2] == _GZIP:
            with gzip.open(path) as file:
                yield "gzip", file.read(_LARGEST_UNPACKED)
        elif data[:4] == _ZSTD:
            with pa.input_stream(str(path), compression="zstd") as stream:
                yield "zstd", stream.read(_LARGEST_UNPACKED)
        elif data[:4] == _ZIP:
            with zipfile.ZipFile(path) as pack:
                for member in pack.namelist():
                    with pack.open(member) as file:
                        yield member, file.read(_LARGEST_UNPACKED)
        elif data[:4] == _PARQUET:
            table = pq.read_table(path)
            for name in table.column_names:
                for chunk in table[name].chunks:
                    for buffer in chunk.buffers():
                        if buffer is not None:
                            yield name, bytes(buffer)


def look_into_home(home: Path) -> None:
    """Look into a folder that lies elsewhere, before it is removed."""
    look_into_folder(home, test=_test())


async def look_into_postgres(database: asyncpg.Connection) -> None:
    """Look into every table of a database that has rows; texts, JSON and bytes as they are kept."""
    names = await database.fetch(
        "select oid::regclass::text as name from pg_class where relkind = 'r' and relnamespace = "
        "(select oid from pg_namespace where nspname = current_schema())"
    )
    if not names:
        return
    asked = " union all ".join(f"select '{row['name']}' where exists (select from {row['name']})" for row in names)
    for row in await database.fetch(asked):
        kept: list[bytes] = []

        async def take(data: bytes, kept: list[bytes] = kept) -> None:
            kept.append(data)

        await database.copy_from_query(f"select * from {row[0]}", output=take, format="binary")
        look(f"postgresql:{row[0]}", b"".join(kept))


class _Line(logging.Handler):
    """Looks at each log line as the hub would print it."""

    def emit(self, record: logging.LogRecord) -> None:
        # A test of logging may log what cannot be put into words.
        with contextlib.suppress(TypeError, ValueError):
            look(f"log:{record.name}", self.format(record).encode("utf-8", "replace"))


def _look_at_answer(answer: httpx.Response) -> None:
    """Look at a refusal of the hub; what imitated systems answer to the hub is not its word."""
    kind = answer.headers.get("content-type", "")
    with contextlib.suppress(httpx.ResponseNotRead, httpx.StreamConsumed):
        if answer.status_code < 400:
            return
        if "problem+json" in kind or b"urn:lienthong" in answer.content:
            look(f"answer:{answer.status_code}", answer.content)


def _watch_clients_and_errors() -> None:
    in_turn, at_once, made = httpx.AsyncClient.send, httpx.Client.send, errors.HubError.__init__

    @functools.wraps(in_turn)
    async def send(self: httpx.AsyncClient, *args: Any, **kwargs: Any) -> httpx.Response:
        answer = await in_turn(self, *args, **kwargs)
        _look_at_answer(answer)
        return answer

    @functools.wraps(at_once)
    def send_now(self: httpx.Client, *args: Any, **kwargs: Any) -> httpx.Response:
        answer = at_once(self, *args, **kwargs)
        _look_at_answer(answer)
        return answer

    @functools.wraps(made)
    def make(self: errors.HubError, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        told = [str(self), self.detail("vi"), *(problem.vi for problem in self.problems)]
        look(f"error:{type(self).__name__}", "\n".join(told).encode("utf-8", "replace"))

    httpx.AsyncClient.send = send  # type: ignore[method-assign]
    httpx.Client.send = send_now  # type: ignore[method-assign]
    errors.HubError.__init__ = make  # type: ignore[method-assign]


# ----------------------------------------------------------------------------------------------------- in pytest


def pytest_configure(config: pytest.Config) -> None:
    """Begin to watch, in every process that runs tests."""
    _watch_clients_and_errors()
    handler = _Line(logging.INFO)
    handler.setFormatter(logs.JsonFormatter())
    logging.getLogger("lienthong").setLevel(logging.INFO)
    for name in _LOGGERS:
        logging.getLogger(name).addHandler(handler)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Look at what a test and its children printed."""
    for name, text in report.sections:
        if name.startswith(_CAPTURED):
            look(f"printed:{name}", text.encode("utf-8", "replace"), test=report.nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker found."""
    told = getattr(node, "workeroutput", {}).get("clear_text", ())
    FOUND.extend(Finding(*one) for one in told)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Look at all that is left, once, after all workers; a finding fails the run."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["clear_text"] = [astuple(one) for one in FOUND]
        return
    factory = getattr(session.config, "_tmp_path_factory", None)
    left = getattr(factory, "_basetemp", None)
    if left is not None and left.is_dir():
        look_into_folder(left)
    if FOUND and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was found."""
    if not FOUND:
        return
    terminalreporter.section("numbers of people in clear", red=True)
    groups = Counter((one.place, one.form, one.test.partition("[")[0]) for one in FOUND)
    first = {(one.place, one.form, one.test.partition("[")[0]): one for one in reversed(FOUND)}
    for group, count in sorted(groups.items())[:_MOST_SHOWN]:
        terminalreporter.write_line(f"{first[group]}" + (f", and {count - 1} more" if count > 1 else ""))
    if len(groups) > _MOST_SHOWN:
        terminalreporter.write_line(f"… and {len(groups) - _MOST_SHOWN} more places")
