"""Brings a database to the shape of `core/tables.py`, step by step; safe to run from several processes at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect

from lienthong.core import errors, storage

if TYPE_CHECKING:
    from alembic.config import Config

# Any number, but always the same one: whoever holds it migrates, the others wait.
_ADVISORY_LOCK = 0x11E27409


def config(connection: Connection | None = None) -> Config:
    """Tell Alembic where the steps are and which connection to use."""
    # Here and below Alembic is loaded where a step is to be taken: every command looks whether one is.
    from alembic.config import Config

    found = Config()
    found.set_main_option("script_location", str(Path(__file__).parent))
    found.attributes["connection"] = connection
    return found


def head() -> str:
    """Name the newest migration that this version of the program has; each file begins with its step's name."""
    steps = (Path(__file__).parent / "versions").glob("[0-9]*.py")
    return max((path.name[:4] for path in steps), default="")


async def current(store: storage.Storage) -> str:
    """Name the newest migration that the database has been through; empty before the first."""
    async with store.reading() as conn:
        return await conn.run_sync(_current)


def _current(connection: Connection) -> str:
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() or ""


async def upgrade(store: storage.Storage) -> str:
    """Bring the database forward to the newest migration; returns its name."""
    if await current(store) == head():
        return head()
    from alembic import command

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
    found = await current(store)
    if found != head():
        raise errors.Misconfigured(
            f"the database is at migration {found or 'none'}, the program at {head()}; run `lienthong migrate`",
            detail_vi=(
                f"Cơ sở dữ liệu ở bước {found or 'chưa có'}, chương trình ở bước {head()}; "
                "hãy chạy `lienthong migrate`."
            ),
        )
