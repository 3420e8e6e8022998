"""Stories run on both databases: SQLite in a file, and a PostgreSQL server that the tests start from its wheel."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import databases
import desk
import pytest

# The stories share what plays an outside system; with import-mode=importlib a folder of tests is no package.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give a database of its own to each test, on either system, with all tables and not a row."""
    if request.param == "sqlite":
        yield databases.sqlite(tmp_path / "hub.db")
        return
    postgres: databases.Postgres = request.getfixturevalue("postgres")
    with postgres.with_tables() as url:
        yield url


@pytest.fixture
async def stage(tmp_path: Path, database_url: str) -> AsyncIterator[desk.Stage]:
    """Give the desks of a hub that is connected to nobody, on either database."""
    async with desk.opened(tmp_path, database_url=database_url) as opened:
        yield opened
