"""What tests are made of: a hub on a database of its own, keys, and where the shared data lies."""

from __future__ import annotations

import dataclasses
import itertools
import os
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import databases
import httpx
import pytest

from lienthong.api_keys import keys
from lienthong.bus import hub, operations
from lienthong.bus.flows import procedure_sync
from lienthong.connectors import roles
from lienthong.console import trial
from lienthong.core import clock, crypto, migrations, records, settings
from lienthong.sandbox import catalogue

ROOT = Path(__file__).resolve().parents[1]
# A connector that may be asked what it would refuse; there is nobody at its address.
NOBODY = {
    "dvcqg_adapter": {
        "enabled": True,
        "base_url": "http://127.0.0.1:9",
        "username": "nobody",
        "password": "nothing",
        "agency_code": "000.00.00.H38",
        "dstcode": "VN:GOV:000.00.00.G22:sandbox",
    }
}


# When the dossiers of the stories are received.
BEGUN = datetime(2026, 8, 3, 8, 0, tzinfo=clock.VIETNAM)


def dossier_body(**changed: Any) -> dict[str, Any]:
    """Write the example dossier of the trial as it is declared: submitted an hour before, due two days later."""
    body, _ = trial.examples()
    times = {"submitted_at": BEGUN - timedelta(hours=1), "due_at": BEGUN + timedelta(days=2)}
    return {**body, **{name: at.isoformat() for name, at in times.items()}, **changed}


@asynccontextmanager
async def running_hub(
    home: Path,
    *,
    database_url: str = "",
    redis_url: str = "",
    now: clock.Clock = clock.now,
    transports: Mapping[str, httpx.AsyncBaseTransport] | None = None,
    **sections: object,
) -> AsyncIterator[hub.Hub]:
    """Open a hub over a database, which gets its tables where it has none; without a URL one is made in `home`."""
    tree = {"home": home, "database": {"url": database_url}, "redis": {"url": redis_url}, **sections}
    chosen = settings.Settings.model_validate(tree)
    prepare(chosen)
    async with hub.opened(chosen, now=now, transports=transports) as opened:
        if not await migrations.is_begun(opened.storage):
            await databases.make_tables(opened.storage)
        yield opened


def prepare(chosen: settings.Settings) -> None:
    """Leave a home as `lienthong init` does: with the master key and, embedded, the database with its tables."""
    if chosen.keys.master_key is None:
        crypto.load_or_create_master(chosen.home / "keys" / "master.key", create=True)
    if not chosen.database.url:
        databases.sqlite(chosen.home / "lienthong.db")


async def issue_key(
    opened: hub.Hub,
    *,
    grants: Sequence[str] = ("all",),
    limits: Sequence[str] = ("100000/minute",),
    days: float = 30,
    organisation: str = "Sở Tư pháp",
    system: str = "Phần mềm hộ tịch",
    addresses: Sequence[str] = (),
    hours: Sequence[str] = (),
    two_people: bool = False,
    actor: str = "test",
) -> keys.Issued:
    """Issue a key as the command line does."""
    now = opened.now()
    order = keys.Order(organisation, system, "Trần Thị Ví Dụ", grants, limits, now + timedelta(days=days))
    return await keys.issue(
        opened.storage,
        opened.vault,
        dataclasses.replace(order, addresses=addresses, hours=hours),
        known_operations=operations.NAMES,
        environment="test",
        longest_days=366,
        actor=actor,
        now=now,
        two_people=two_people,
    )


def free_port() -> int:
    """Give a port that nobody listens on, from the range that the system hands out: two workers get two."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def few_procedures(folder: Path) -> Path:
    """Write the first few procedures of the sandbox's catalogue to a file: a sync of them is soon done."""
    path = folder / "few.csv"
    with catalogue.OWN_CATALOGUE.open("rb") as whole:
        path.write_bytes(b"".join(itertools.islice(whole, 4)))
    return path


def shared_data() -> Path:
    """Find the shared data, or skip saying so."""
    path = Path(os.environ.get("LIENTHONG_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not path.is_dir():
        pytest.skip(f"the shared data is not here: {path}")
    return path


class OneProcedure:
    """An outside catalogue with a single procedure in it."""

    name = "dvcqg_adapter"

    def __init__(self, code: str, name: str) -> None:
        field = records.Coded(code="HT", name="Hộ tịch")
        self._procedure = records.Procedure(code=code, name=name, fields=(field,))

    async def list_procedures(self) -> list[records.ListedProcedure]:
        code, name = self._procedure.code, self._procedure.name
        return [records.ListedProcedure(code=code, name=name, key=code, fingerprint="1")]

    async def get_procedure(self, listed: records.ListedProcedure) -> roles.FetchedProcedure:
        return roles.FetchedProcedure(procedure=self._procedure)

    async def list_agencies(self) -> list[records.AgencyRow]:
        return []

    async def list_fields(self) -> list[records.FieldRow]:
        return []


async def seed_procedure(opened: hub.Hub, code: str = "1.000001", name: str = "Đăng ký khai sinh") -> None:
    """Put one procedure into the catalogue by a sync run."""
    source = dataclasses.replace(opened, systems={"dvcqg_adapter": OneProcedure(code, name)})
    await procedure_sync.run(source, source="dvcqg_adapter")
