"""Stories of an enterprise looked up: who may see what, and what is written down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import lookup_town
import pytest

from lienthong.bus.flows import enterprise_lookup, resident_views
from lienthong.core import errors

KNOWN = "0100000001"


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[lookup_town.Town]:
    async with lookup_town.opened(
        tmp_path / "home", grants=("enterprises.*", "fields:enterprises.basic")
    ) as opened:
        opened.hub.systems = {**opened.hub.systems, "ngsp": lookup_town.Businesses()}
        yield opened


async def look_up(town: lookup_town.Town, code: str = KNOWN, **changed: Any) -> resident_views.EnterpriseAnswer:
    request = resident_views.EnterpriseRequest(code=code, purpose="Đối chiếu người nộp")
    return await enterprise_lookup.look_up(town.hub, request, town.asking("enterprises.look_up", **changed))


async def test_an_enterprise_goes_out_without_its_people_unless_they_are_granted(town: lookup_town.Town) -> None:
    answer = await look_up(town)
    assert answer.found
    assert answer.field_groups == ("enterprises.basic",)
    assert "TRẦN VĂN VÍ DỤ" not in answer.model_dump_json()


async def test_an_unknown_code_is_an_answer_and_in_the_book(town: lookup_town.Town) -> None:
    assert not (await look_up(town, "0100000002")).found
    assert [(row["operation"], row["outcome"]) for row in await town.book()] == [
        ("enterprises.look_up", "not_found")
    ]


async def test_a_branch_is_asked_for_with_its_hyphen(town: lookup_town.Town) -> None:
    await look_up(town, f"{KNOWN}001")
    assert town.hub.systems["ngsp"].questions == [f"{KNOWN}-001"]  # type: ignore[attr-defined]


async def test_a_hub_without_the_register_says_so_and_leaves_no_open_question(town: lookup_town.Town) -> None:
    town.hub.systems = {}
    with pytest.raises(errors.NotOffered):
        await look_up(town)
    assert [row["outcome"] for row in await town.book()] == ["Server.Hub.NotOffered"]
