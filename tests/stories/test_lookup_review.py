"""The yearly review of lookups (NA 18.2): what it counts, and what it must not hold."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path

import lookup_town
import openpyxl
import pytest
from lookup_town import NOW, NUMBER, OFFICIAL

from lienthong.console import review_report
from lienthong.core import errors, journal
from lienthong.monitoring import reviews


async def reviewed(town: lookup_town.Town) -> reviews.Review:
    return await reviews.review(town.hub.storage, since=NOW - timedelta(days=1), until=NOW + timedelta(days=1))


async def test_the_review_counts_questions_refusals_officials_and_keys(database_url: str, tmp_path: Path) -> None:
    async with lookup_town.opened(tmp_path / "home", database_url=database_url) as town:
        await lookup_town.register_official(town.hub, id="idle", code="CB000777", account="cb000777")
        await town.look_up()
        town.register.person = None
        await town.look_up()
        with pytest.raises(errors.NotGranted):
            await town.look_up(town.asking(assertion=None))
        found = await reviewed(town)

    assert found.totals["asked"] == 3
    assert (found.totals["found"], found.totals["not_found"], found.totals["refused"]) == (1, 1, 1)
    assert found.totals["people"] == 1
    assert found.totals["without_outcome"] == 0
    assert {row["official_code"]: row["asked"] for row in found.by_official} == {OFFICIAL: 2, None: 1}
    assert [row["outcome"] for row in found.refusals] == ["Client.NotGranted:assertion_missing"]
    assert [row["code"] for row in found.unused_officials] == ["CB000777"]
    assert found.officials[0]["in_force"] == 2
    assert [row["organisation"] for row in found.keys] == ["Sở Tư pháp"]


async def test_a_question_without_an_outcome_stands_out(database_url: str, tmp_path: Path) -> None:
    async with lookup_town.opened(tmp_path / "home", database_url=database_url) as town:
        await town.look_up()
        async with town.hub.storage.transaction() as tx:
            from lienthong.core import tables

            await tx.execute(tables.lookups.update().values(outcome="asked", answered_at=None))
        assert (await reviewed(town)).totals["without_outcome"] == 1


async def test_page_and_workbook_hold_the_figures_and_no_person(tmp_path: Path) -> None:
    async with lookup_town.opened(tmp_path / "home") as town:
        await town.look_up()
        async with town.hub.storage.transaction() as tx:
            await journal.write_act(tx, "officials.register", OFFICIAL, actor="lan", now=NOW)
        found = await reviewed(town)
    page = review_report.page(found, agency="<b>Tỉnh thử</b>", made_at=NOW)
    book = review_report.workbook(found, agency="=1+1", made_at=NOW)

    assert OFFICIAL in page
    assert "<b>Tỉnh" not in page
    assert "đăng ký cán bộ" in page  # an act by its word, not by its code
    assert "officials.register" not in page
    assert NUMBER not in page
    assert "NGUYỄN VĂN MẪU" not in page
    opened = openpyxl.load_workbook(io.BytesIO(book))
    cells = [cell for sheet in opened for row in sheet.iter_rows(values_only=True) for cell in row if cell]
    assert "'=1+1" in cells
    assert OFFICIAL in cells
    assert not any(NUMBER in str(cell) for cell in cells)
