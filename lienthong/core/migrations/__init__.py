"""Brings a database to the shape of `core/tables.py`, step by step; safe to run from several processes at once."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from lienthong.core import errors, storage

# Any number, but always the same one: whoever holds it migrates, the others wait.
_ADVISORY_LOCK = 0x11E27409


def config(connection: Connection | None = None) -> Config:
    """Tell Alembic where the steps are and which connection to use."""
    found = Config()
    found.set_main_option("script_location", str(Path(__file__).parent))
    found.attributes["connection"] = connection
    return found


def head() -> str:
    """Name the newest migration that this version of the program has."""
    found = ScriptDirectory.from_config(config()).get_current_head()
    return found or ""


async def upgrade(store: storage.Storage) -> str:
    """Bring the database forward to the newest migration; returns its name."""
    # Held to the end of the transaction, so that a second process waits and then finds nothing to do.
    lock = "BEGIN IMMEDIATE" if store.is_sqlite else f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"
    # A step may take long, and so may the process before us: no time-out but the database's own.
    patient = store if store.is_sqlite else storage.Storage(store.url, command_timeout_s=None)
    async with storage.named_failures(), patient.engine.connect() as conn:
        await conn.exec_driver_sql(lock)
        await conn.run_sync(lambda sync: command.upgrade(config(sync), "head"))
        await (conn.exec_driver_sql("COMMIT") if store.is_sqlite else conn.commit())
    if patient is not store:
        await patient.close()
    return head()


async def is_begun(store: storage.Storage) -> bool:
    """Whether the database holds anything of ours yet."""
    async with store.reading() as conn:
        return await conn.run_sync(lambda sync: inspect(sync).has_table("api_keys"))


async def must_be_current(store: storage.Storage) -> None:
    """Stop the start where the database is older or newer than the program."""
    async with store.reading() as conn:
        found = await conn.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
    if found != head():
        raise errors.Misconfigured(
            f"the database is at migration {found or 'none'}, the program at {head()}; run `lienthong migrate`",
            detail_vi=(
                f"Cơ sở dữ liệu ở bước {found or 'chưa có'}, chương trình ở bước {head()}; "
                "hãy chạy `lienthong migrate`."
            ),
        )
