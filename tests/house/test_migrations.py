"""The migration steps end at the shape of core/tables.py, on both databases, however often they are run."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from lienthong.console import services
from lienthong.core import errors, migrations, partitions, storage, tables

_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    """Start one server for this module; gives the URL of its first database."""
    # Not under pytest's own folder: its names are too long for a socket.
    with tempfile.TemporaryDirectory(prefix="lt-pg-") as folder:
        os.chmod(folder, 0o755)  # the server runs as a user of its own
        with services.postgres(Path(folder) / "data") as url:
            yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Give the URL of an empty database, as often as it is called."""

    def on_postgres() -> str:
        first: str = request.getfixturevalue("postgres_url")
        name = f"house_{os.getpid()}_{next(_NUMBERS)}"
        asyncio.run(_execute(first, f"create database {name}"))
        return str(sa.make_url(first).set(database=name).render_as_string(hide_password=False))

    def on_sqlite() -> str:
        return storage.sqlite_url(tmp_path / f"{next(_NUMBERS)}.db")

    return on_sqlite if request.param == "sqlite" else on_postgres


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def upgraded(url: str) -> str:
    store = storage.Storage(url)
    try:
        return await migrations.upgrade(store)
    finally:
        await store.close()


async def created(url: str) -> None:
    store = storage.Storage(url)
    async with store.engine.begin() as connection:
        await connection.run_sync(tables.metadata.create_all)
    await store.close()


async def look(url: str, what: Callable[[sa.Connection], Any]) -> Any:
    store = storage.Storage(url)
    try:
        async with store.reading() as connection:
            return await connection.run_sync(what)
    finally:
        await store.close()


def differences(connection: sa.Connection) -> list[Any]:
    # Defaults are compared by `shape`: on SQLite this library takes each for a change.
    is_sqlite = connection.dialect.name == "sqlite"
    options: dict[str, Any] = {"compare_type": True, "compare_server_default": not is_sqlite}
    if not is_sqlite:
        # The record is divided there, which the library does not know of; `shape` and `indexes` compare it.
        options["include_object"] = lambda _it, name, kind, _is_found, _other: (
            not (
                (kind == "table" and name.startswith(f"{partitions.TABLE}_"))
                or (kind == "unique_constraint" and name.startswith(f"uq_{partitions.TABLE}_"))
            )
        )
    return compare_metadata(MigrationContext.configure(connection, opts=options), tables.metadata)


def shape(connection: sa.Connection) -> dict[str, Any]:
    """Describe a database as it says itself."""
    inspector = sa.inspect(connection)
    return {
        name: {
            "columns": [{**column, "type": str(column["type"])} for column in inspector.get_columns(name)],
            "key": inspector.get_pk_constraint(name),
            "indexes": _sorted(inspector.get_indexes(name)),
            "unique": _sorted(inspector.get_unique_constraints(name)),
            "foreign": _sorted(inspector.get_foreign_keys(name)),
            "checks": _sorted(inspector.get_check_constraints(name)),
        }
        for name in inspector.get_table_names()
        if name != "alembic_version"
    }


def _sorted(found: list[Any]) -> list[str]:
    # Conditions come as objects here, and are compared as text by `indexes`.
    return sorted(
        str({name: value for name, value in each.items() if name != "dialect_options"}) for each in found
    )


def indexes(connection: sa.Connection) -> list[str]:
    """Give every index as the database would write it, with its condition and order."""
    statement = "select sql from sqlite_master where type = 'index' and sql is not null"
    if connection.dialect.name == "postgresql":
        statement = (
            "select indexdef from pg_indexes where tablename <> 'alembic_version' and schemaname = 'public'"
        )
    return sorted(" ".join(row[0].split()) for row in connection.execute(sa.text(statement)))


def test_the_steps_leave_nothing_to_generate(new_database: Callable[[], str]) -> None:
    url = new_database()
    asyncio.run(upgraded(url))
    found = asyncio.run(look(url, differences))
    assert not found, f'core/tables.py says more; run `make new-migration MESSAGE="…"`: {found}'


@pytest.mark.parametrize("aspect", [shape, indexes])
def test_the_steps_and_the_tables_make_the_same_database(
    new_database: Callable[[], str], aspect: Callable[[sa.Connection], Any]
) -> None:
    by_steps, at_once = new_database(), new_database()
    asyncio.run(upgraded(by_steps))
    asyncio.run(created(at_once))
    assert asyncio.run(look(by_steps, aspect)) == asyncio.run(look(at_once, aspect))


def test_a_second_run_changes_nothing(new_database: Callable[[], str]) -> None:
    url = new_database()
    assert asyncio.run(upgraded(url)) == migrations.head()
    before = asyncio.run(look(url, shape))
    assert asyncio.run(upgraded(url)) == migrations.head()
    assert asyncio.run(look(url, shape)) == before


def test_two_processes_may_migrate_at_once(new_database: Callable[[], str]) -> None:
    script = (
        "import asyncio, sys; from lienthong.core import migrations, storage; sys.stdin.read()\n"
        "print(asyncio.run(migrations.upgrade(storage.Storage(sys.argv[1]))))"
    )
    url, pipe = new_database(), subprocess.PIPE
    command = [sys.executable, "-c", script, url]
    starting = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    for each in starting:
        assert each.stdin is not None
        each.stdin.close()
        each.stdin = None
    ended = [each.communicate(timeout=120) for each in starting]
    assert [each.returncode for each in starting] == [0, 0], ended
    assert [said.strip() for said, _ in ended] == [migrations.head()] * 2
    assert not asyncio.run(look(url, differences))


def test_a_failing_step_leaves_the_database_as_it_was(
    new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_database()
    asyncio.run(_occupy(url))
    with pytest.raises((sa.exc.DBAPIError, errors.StorageUnavailable)):
        asyncio.run(upgraded(url))
    assert list(asyncio.run(look(url, shape))) == ["targets"]


async def _occupy(url: str) -> None:
    """Put a table in the way of the steps."""
    store = storage.Storage(url)
    async with store.engine.begin() as connection:
        await connection.execute(sa.text("create table targets (name integer)"))
    await store.close()


def test_a_database_that_is_behind_stops_the_start_saying_what_to_do(new_database: Callable[[], str]) -> None:
    async def start(url: str) -> None:
        store = storage.Storage(url)
        try:
            await migrations.must_be_current(store)
        finally:
            await store.close()

    url = new_database()
    with pytest.raises(errors.Misconfigured) as caught:
        asyncio.run(start(url))
    assert "lienthong migrate" in caught.value.detail("vi")
    asyncio.run(upgraded(url))
    asyncio.run(start(url))


def test_a_database_that_is_up_to_date_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    asyncio.run(upgraded(storage.sqlite_url(path)))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("begin immediate")
        assert asyncio.run(upgraded(storage.sqlite_url(path))) == migrations.head()


def test_each_step_has_its_number_and_one_follows_the_other() -> None:
    folder = Path(migrations.__file__).parent / "versions"
    numbers = sorted(path.name[:4] for path in folder.glob("[0-9]*.py"))
    assert numbers == [f"{number:04d}" for number in range(1, len(numbers) + 1)]
    followed = ScriptDirectory.from_config(migrations.config()).get_heads()
    assert followed == [migrations.head()], "two steps follow the same one: put one behind the other"
