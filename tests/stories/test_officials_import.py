"""A registration form on its way into the register: bad rows are named, nothing is half done or brought back."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import builders
import openpyxl
import pytest
import sqlalchemy as sa

from lienthong.api_keys import official_acts, officials
from lienthong.bus import hub as hubs
from lienthong.bus.flows import official_forms, officials_import
from lienthong.core import clock, errors, storage, tables

NOW = datetime(2026, 1, 15, 9, 0, tzinfo=clock.VIETNAM)
ACT = official_acts.Act("test", NOW, "bàn giao")


@pytest.fixture
async def hub(tmp_path: Path, database_url: str) -> AsyncIterator[hubs.Hub]:
    async with builders.running_hub(tmp_path, database_url=database_url, now=lambda: NOW) as opened:
        yield opened


def row(number: int, **changed: Any) -> list[Any]:
    told = {
        "code": f"CB{number:06}",
        "full_name": f"Nguyễn Thị Mẫu {number}",
        "account": f"cb{number:06}",
        "phone": f"09000{number:05}",
        "email": "",
        "unit_code": "000.00.15.H38",
        "unit_name": "Sở Tư pháp",
        "position": "Công chức",
        "procedures": "G15-*",
        "valid_from": "15/01/2026",
        "valid_until": "31/12/2026",
        **changed,
    }
    return [told[name] for name in official_forms.COLUMNS]


def form(*rows: list[Any]) -> bytes:
    book = openpyxl.Workbook()
    for line in [list(official_forms.COLUMNS.values()), *rows]:
        book.worksheets[0].append(line)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


async def run(hub: hubs.Hub, *rows: list[Any], **given: Any) -> officials_import.Report:
    return await officials_import.run(hub, form(*rows), **{"reason": "CV 761", "actor": "test", **given})


async def everybody(hub: hubs.Hub) -> list[officials.Official]:
    return await officials.listed(hub.storage, hub.vault, now=NOW)


async def acts(hub: hubs.Hub) -> list[tuple[str, str]]:
    asked = sa.select(tables.admin_acts).order_by(tables.admin_acts.c.number)
    async with hub.storage.reading() as conn:
        return [(done["act"], done["outcome"]) for done in await storage.every(conn, asked)]


async def test_a_good_form_registers_everybody_and_again_changes_nothing(hub: hubs.Hub):
    rows = [row(number) for number in range(1, 6)]
    first, again = await run(hub, *rows), await run(hub, *rows)
    assert (first.rows, first.registered, first.bad, first.written) == (5, 5, (), True)
    assert (again.registered, again.changed, again.unchanged) == (0, 0, 5)
    assert len(await everybody(hub)) == 5
    assert await acts(hub) == [
        *[("officials.register", "done")] * 5,
        ("officials.import", "done"),
        ("officials.import", "unchanged"),
    ]


async def test_what_differs_is_changed_and_is_an_act(hub: hubs.Hub):
    await run(hub, row(1), row(2))
    report = await run(hub, row(1, phone="0911111111"), row(2))
    assert (report.changed, report.unchanged) == (1, 1)
    found = await officials.find(hub.storage, hub.vault, "CB000001")
    assert found is not None
    assert found.phone == "0911111111"
    assert ("officials.change", "done") in await acts(hub)


async def test_one_bad_row_and_nothing_is_written(hub: hubs.Hub):
    report = await run(hub, row(1), row(2, phone="12", valid_until="hết năm"), row(3, code=""))
    assert [(cell.row, cell.column) for cell in report.bad] == [
        (3, "Có hiệu lực đến"),
        (3, "Số điện thoại"),
        (4, "Mã cán bộ"),
    ]
    assert all(cell.vi and cell.en and cell.vi != cell.en for cell in report.bad)
    assert not report.written
    assert await everybody(hub) == []
    assert await acts(hub) == [("officials.import", "Client.InvalidRequest")]


async def test_the_good_rows_are_written_where_that_is_said(hub: hubs.Hub):
    report = await run(hub, row(1), row(2, phone="12"), good_rows=True)
    assert (report.registered, report.bad_rows, report.written) == (1, 1, True)
    assert [one.code for one in await everybody(hub)] == ["CB000001"]


async def test_a_dry_run_says_the_same_and_writes_nothing(hub: hubs.Hub):
    report = await run(hub, row(1), dry_run=True, reason="")
    assert (report.registered, report.written) == (1, False)
    assert await everybody(hub) == []
    assert await acts(hub) == []


async def test_two_rows_for_one_code_or_account_are_named_with_each_other(hub: hubs.Hub):
    report = await run(hub, row(1), row(2, code="cb000001x", account="CB000001"), row(3, account="cb000001"))
    assert [(cell.row, cell.column) for cell in report.bad] == [(3, "Tài khoản"), (4, "Tài khoản")]
    assert "row 2" in report.bad[0].en


async def test_a_form_never_hands_a_code_over_to_another_person(hub: hubs.Hub):
    await run(hub, row(1), row(2))
    report = await run(hub, row(1, full_name="Người Khác"), row(2, account="cb000001"), row(3, account="CB000002"))
    assert [(cell.row, cell.column) for cell in report.bad] == [
        (2, "Họ và tên"),
        (3, "Tài khoản"),
        (4, "Tài khoản"),
    ]
    assert "replace" in report.bad[0].en


async def test_a_form_never_brings_back_who_was_revoked_or_replaced(hub: hubs.Hub):
    await run(hub, row(1), row(2))
    await official_acts.revoke(hub.storage, hub.vault, "CB000001", act=ACT)
    successor = {"full_name": "Người Thay", "phone": "0922222222", "code": "CB000099"}
    await official_acts.replace_holder(hub.storage, hub.vault, "CB000002", successor, act=ACT)
    report = await run(hub, row(1), row(2))
    assert {(cell.row, cell.column) for cell in report.bad} == {
        (2, "Mã cán bộ"),
        (3, "Mã cán bộ"),
        (3, "Tài khoản"),
    }
    assert not report.written
    found = await officials.find(hub.storage, hub.vault, "CB000001")
    assert found is not None
    assert found.state(NOW) == "revoked"


async def test_what_was_exported_comes_back_unchanged(hub: hubs.Hub):
    formula = "'=cmd|' /C calc'!A0"
    await run(hub, row(1, full_name=formula), row(2, procedures="1.000001; G15-TP*"))
    for write in (official_forms.as_csv, official_forms.as_workbook):
        raw = write([official_forms.cells_of(one) for one in await everybody(hub)])
        report = await officials_import.run(hub, raw, reason="rà soát", actor="test")
        assert (report.rows, report.unchanged) == (2, 2)


async def test_a_file_that_is_no_form_is_refused_and_written_down(hub: hubs.Hub):
    for raw in (b"", b"PK\x03\x04", b"a,b\r\n1,2\r\n", form()):
        with pytest.raises(errors.InvalidRequest) as refused:
            await officials_import.run(hub, raw, reason="CV 761", actor="test")
        assert refused.value.detail("vi").startswith("Không đọc được biểu mẫu")
    assert await acts(hub) == [("officials.import", "Client.InvalidRequest")] * 4


async def test_a_form_without_a_reason_is_refused(hub: hubs.Hub):
    with pytest.raises(errors.InvalidRequest):
        await run(hub, row(1), reason=" ")
    assert await everybody(hub) == []


async def test_neither_report_nor_record_holds_what_stood_in_the_cells(hub: hubs.Hub):
    await run(hub, row(1, full_name="Bí Mật", phone="0987654321"))
    report = await run(hub, row(2, code="001099000001", phone="0987", full_name="Bí Mật " * 30))
    async with hub.storage.reading() as conn:
        record = str(await storage.every(conn, sa.select(tables.admin_acts)))
        rows = str(await storage.every(conn, sa.select(tables.officials)))
    for secret in ("001099000001", "Bí Mật", "0987"):
        assert secret not in str(report) + record + rows


async def test_a_form_of_many_rows_is_one_transaction(hub: hubs.Hub):
    report = await run(hub, *(row(number) for number in range(1, 301)))
    assert report.registered == 300
    assert len(await everybody(hub)) == 300
