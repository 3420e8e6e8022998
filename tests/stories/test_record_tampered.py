"""Whoever alters a day file is found out, and whoever breaks one is told of."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import record

from lienthong.bus import hub as hubs
from lienthong.core import access_record, errors
from lienthong.monitoring import day_files, retention

DAY = date(2026, 11, 19)


async def filed(hub: hubs.Hub) -> tuple[day_files.Archive, list[bytes], Path]:
    await record.put(hub, record.of_days(hub.settings.home, days=2))
    where = record.sources(hub)
    await retention.roll_closed_days(where, hot_days=1, now=record.NOW)
    leaves = list(where.archive.rows(DAY, access_record.from_row))
    return where.archive, leaves, where.archive.file(where.archive.parts(since=DAY, kinds=["personal"])[0])


async def test_an_altered_row_gives_other_bytes(sqlite_hub: hubs.Hub) -> None:
    archive, leaves, path = await filed(sqlite_hub)
    table = pq.read_table(path)
    place = table.column_names.index("purpose")
    names = ["Việc khác", *table.column("purpose").to_pylist()[1:]]
    pq.write_table(table.set_column(place, "purpose", pa.array(names)), path)
    altered = list(archive.rows(DAY, access_record.from_row))
    assert len(set(leaves) - set(altered)) == 1


async def test_an_altered_row_that_the_list_knew_hides_no_other_row(sqlite_hub: hubs.Hub) -> None:
    """The day ended at the first file with a wrong list: every record of those after it was called missing."""
    archive, leaves, path = await filed(sqlite_hub)
    unaltered = list(archive.rows(DAY, access_record.from_row))
    table = pq.read_table(path)
    place = table.column_names.index("official")
    names = ["ai-do", *table.column("official").to_pylist()[1:]]
    pq.write_table(table.set_column(place, "official", pa.array(names)), path)
    altered, rows = list[bytes](), archive.rows(DAY, access_record.from_row)
    with pytest.raises(errors.StorageUnavailable, match="places"):
        altered.extend(iter(rows))
    assert len(altered) == len(unaltered)
    assert len(set(leaves) - set(altered)) == 1


async def test_a_column_that_is_gone_gives_no_seal_its_bytes(sqlite_hub: hubs.Hub) -> None:
    archive, _, path = await filed(sqlite_hub)
    pq.write_table(pq.read_table(path).drop_columns(["took_ms"]), path)
    assert list(archive.rows(DAY, access_record.from_row)).count(b"") > 100


async def test_a_file_that_is_no_parquet_is_named(sqlite_hub: hubs.Hub) -> None:
    archive, _, path = await filed(sqlite_hub)
    path.write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(errors.StorageUnavailable) as told:
        list(archive.rows(DAY, access_record.from_row))
    assert path.name in str(told.value)
