"""Fixtures that every test may use."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

# The tests are no package, so that they run against an installed hub as well; their builders lie beside them.
sys.path.insert(0, str(Path(__file__).parent))

import builders

from lienthong.bus import hub


@pytest_asyncio.fixture
async def sqlite_hub(tmp_path: Path) -> AsyncIterator[hub.Hub]:
    """A hub on an SQLite database of its own."""
    async with builders.running_hub(tmp_path) as opened:
        yield opened


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
