"""Writes a new migration step from the difference between `core/tables.py` and the steps so far."""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.script import Script
from sqlalchemy import Connection

from lienthong.core import migrations, storage


async def generate(message: str) -> Path:
    """Write the step for what changed; returns its file, which a person reads before it is committed."""
    with tempfile.TemporaryDirectory() as folder:
        store = storage.Storage(storage.sqlite_url(Path(folder) / "empty.db"))
        if migrations.head():
            await migrations.upgrade(store)
        async with store.engine.connect() as conn:
            path = await conn.run_sync(lambda sync: _revise(sync, message))
        await store.close()
    # Alembic writes types by their full name, which the file does not import.
    path.write_text(re.sub(r"lienthong\.core\.tables\.", "tables.", path.read_text()))
    return path


def _revise(connection: Connection, message: str) -> Path:
    number = len(list((Path(__file__).parent / "versions").glob("[0-9]*.py"))) + 1
    made = command.revision(
        migrations.config(connection), message=message, autogenerate=True, rev_id=f"{number:04d}"
    )
    if not isinstance(made, Script):
        raise TypeError("one step was expected")
    return Path(made.path)


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].strip():
        sys.exit('usage: make new-migration MESSAGE="what changes"')
    print(asyncio.run(generate(sys.argv[1])))
