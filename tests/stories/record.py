"""An invented record for the stories of search, day files and the SIEM: rows as the spool brings them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from lienthong.bus import hub as hubs
from lienthong.core import access_record, bulk, clock, subjects, tables
from lienthong.monitoring import asking, day_files

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=clock.VIETNAM)
CITIZEN = "001099000001"  # invented: no province has given it


def of_days(home: Path, *, days: int = 5, a_day: int = 400) -> list[access_record.Record]:
    """Invent some days of calls that end now: 20 keys, every third about a person, every fifth refused."""
    years = subjects.Subjects(home)
    records = []
    for number in range(1, days * a_day + 1):
        at = NOW - timedelta(days=days) + timedelta(seconds=number * 86_400 / a_day)
        is_personal, is_refused = number % 3 == 0, number % 5 == 0
        person = CITIZEN if number % 60 == 0 else f"0010990{number % 97:05d}"
        records.append(
            access_record.Record(
                at=at,
                request_id=clock.new_id(int(at.timestamp() * 1000) + number % 3)
                if number % 7
                else f"old-{number}",
                operation="residents.look_up" if is_personal else "procedures.list",
                route="/v1/residents/look-up" if is_personal else "/v1/procedures",
                outcome="Client.NotGranted" if is_refused else "ok",
                took_ms=(number * 7919 % 10_000) / 1000,
                status=403 if is_refused else 200,
                key_id=f"key-{number % 20}",
                organisation="Sở Tư pháp" if number % 2 else "Sở Y tế",
                official=f"can-bo-{number % 4}" if is_personal else None,
                address="10.0.0.7",
                subject=years.digest(person, at=at) if is_personal else None,
                purpose="Đăng ký khai sinh" if is_personal else None,
                dossier_code=f"H38.12-261120-{number:06d}" if is_personal else None,
                field_groups=("identity",) if is_personal else (),
                upstream=(access_record.Attempt("population_c06", "ok", 12),) if is_personal else (),
                node="may1/gateway-0",
                number=number,
            )
        )
    return records


async def put(hub: hubs.Hub, records: Sequence[access_record.Record]) -> list[bytes]:
    """Bring records into the database as the ingest does; gives their exact bytes."""
    leaves = [access_record.to_bytes(record) for record in records]
    rows: list[dict[str, Any]] = [access_record.to_row(leaf) for leaf in leaves]
    async with hub.storage.transaction() as tx:
        await bulk.insert(hub.storage, tx, tables.exchanges, rows, keep_old=True)
    return leaves


def sources(hub: hubs.Hub) -> asking.Sources:
    """Say where the record of a hub lies."""
    return asking.Sources(hub.storage, day_files.Archive(hub.settings.home / "record"))
