"""The rebuilt portal: the promises of its role, its pages, and the real catalogue."""

from __future__ import annotations

import gzip
import json
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest
from conformance import CataloguePromises, Stage, text

from lienthong.core import errors, records
from lienthong.mappings import engine
from lienthong.sandbox import app as sandbox_app
from lienthong.sandbox import moods

UNPACED = {"max_per_second": None}


def new_stage(**sandbox: Any) -> Stage:
    return Stage("dvcqg_portal", UNPACED, sandbox_app.create_app(sandbox_app.Settings(**sandbox)))


@pytest.fixture
def stage() -> Stage:
    return new_stage()


class TestAsCatalogue(CataloguePromises):
    @pytest.fixture
    def stage(self) -> Stage:
        return new_stage()


def pages(*found: dict[str, Any]) -> Any:
    """Answer one page after the other, the last one for ever."""
    left = list(found)

    def answer(request: httpx.Request) -> httpx.Response:
        data = left.pop(0) if len(left) > 1 else left[0]
        return httpx.Response(201, json={"code": "OK", "message": "OK", "data": data})

    return answer


def rows(*ids: str) -> list[dict[str, Any]]:
    return [{"id": it, "code": f"1.{int(it):06d}", "name": f"Thủ tục {it}"} for it in ids]


async def test_pages_are_followed_to_the_end(stage: Stage) -> None:
    small = stage.open(page_size=7)
    assert len(await small.list_procedures()) == len(await stage.connector.list_procedures()) >= 60


async def test_the_page_of_the_contract_is_read_as_it_stands(stage: Stage) -> None:
    item = {
        "id": "019d2bfd-3fe0-70ac-b9d6-5e9e20d6eef7", "name": "Thủ tục đăng ký khai sinh", "code": "1.001193",
        "codeNotation": "1.001193", "categories": ["Hộ tịch"], "departments": ["Ủy ban nhân dân cấp xã"],
        "categoryIds": ["019d2bbb-69ee-7079-a6b4-536173b5e483"], "departmentPromulgate": "Bộ Tư pháp",
        "departmentPromulgateId": "019d2be3-6a72-700f-a652-d603f1537007",
        "formalityTargetType": ["Công dân Việt Nam"], "state": "UPDATED", "type": "STANDARD",
    }  # fmt: skip
    stage.wire.fault = pages({"total": 1, "lastId": item["id"], "items": [item]})
    (row,) = await stage.connector.list_procedures()
    assert (row.code, row.name, row.key) == ("1.001193", "Thủ tục đăng ký khai sinh", item["id"])


async def test_a_fingerprint_changes_with_the_version_and_with_nothing_else(stage: Stage) -> None:
    first, again = rows("1")[0], dict(reversed(rows("1")[0].items()))
    for one, same in ((again, True), (first | {"name": "Tên khác"}, False)):
        stage.wire.fault = pages({"total": 1, "lastId": "1", "items": [first]})
        before = (await stage.connector.list_procedures())[0].fingerprint
        stage.wire.fault = pages({"total": 1, "lastId": "1", "items": [one]})
        assert ((await stage.connector.list_procedures())[0].fingerprint == before) is same


@pytest.mark.parametrize(
    "found",
    [
        [{"total": 9, "lastId": "2", "items": rows("1", "2")}],
        [{"total": 9, "lastId": "2", "items": rows("1", "2")}, {"total": 9, "lastId": "3", "items": rows("3")}],
        [{"total": 9, "lastId": "", "items": rows("1", "2")}],
        [{"total": 9, "lastId": "", "items": []}],
        [{"total": 2, "lastId": "2", "items": None}],
        [{"total": 2, "lastId": "2", "items": ["1", "2"]}],
    ],
    ids=["the cursor is stuck", "a short page", "no cursor", "nothing", "no list", "no objects"],
)
async def test_a_list_that_is_not_whole_is_never_taken_for_whole(stage: Stage, found: Any) -> None:
    stage.wire.fault = pages(*found)
    with pytest.raises(errors.RemoteGarbled):
        await stage.open(page_size=2).list_procedures()


async def test_a_portal_that_gives_smaller_pages_than_asked_for_is_read_to_the_end(stage: Stage) -> None:
    stage.wire.fault = pages(
        {"total": 3, "lastId": "2", "items": rows("1", "2")}, {"total": 3, "lastId": "3", "items": rows("3")}
    )
    assert [it.key for it in await stage.open(page_size=50).list_procedures()] == ["1", "2", "3"]


async def test_rows_that_come_twice_are_kept_once(stage: Stage) -> None:
    stage.wire.fault = pages(
        {"total": 3, "lastId": "2", "items": rows("1", "2")}, {"total": 3, "lastId": "3", "items": rows("2", "3")}
    )
    assert [it.key for it in await stage.open(page_size=2).list_procedures()] == ["1", "2", "3"]


@pytest.mark.parametrize("spec", ["success_as_200", "duplicate_items"])
async def test_harmless_quirks_change_nothing(stage: Stage, spec: str) -> None:
    before = await stage.connector.list_procedures()
    stage.app.held.weather.put(moods.parse_spec(spec))
    assert await stage.connector.list_procedures() == before


async def test_the_portals_own_error_is_a_refusal(stage: Stage) -> None:
    stage.answer_all(text('{"code":"FORMALITY_NOT_FOUND","data":null,"message":"not found"}'))
    with pytest.raises(errors.RemoteRefused) as raised:
        await stage.connector.get_procedure(records.ListedProcedure(code="1", name="x", key="1"))
    assert raised.value.remote_code == "FORMALITY_NOT_FOUND"


async def test_it_is_polite_unless_told_otherwise(stage: Stage) -> None:
    from lienthong.connectors import registry

    assert registry.settings_class("dvcqg_portal")().max_per_second == 2.0


def details(shared_data: Path) -> list[dict[str, Any]]:
    with gzip.open(shared_data / "tthc" / "api-details-2026-07-18.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


async def test_the_portals_own_answers_are_read_without_an_unknown_field(shared_data: Path) -> None:
    message = engine.load("dvcqg_portal").message("procedure")
    odd = [it.kind for one in details(shared_data) for it in message.read_wire(one)[1]]
    assert len(details(shared_data)) == 401
    assert set(odd) == {"number_unreadable", "blanks_trimmed"}


async def test_the_day_of_a_decision_is_the_vietnamese_day(shared_data: Path) -> None:
    message = engine.load("dvcqg_portal").message("procedure")
    birth = next(one for one in details(shared_data) if one["code"] == "1.001193")
    at_utc = birth["procedureProposal"]["decisionDate"]
    decided = message.from_wire(birth).decision.decided_on
    assert at_utc % 86_400_000 == 17 * 3_600_000
    assert (decided - date(1970, 1, 1)).days == at_utc // 86_400_000 + 1


# Every fifth of them; with `make proofs` all.
@pytest.mark.hypothesis
async def test_every_procedure_of_july_is_read_and_agrees_with_the_older_generation(shared_data: Path) -> None:
    every = 5 if hypothesis.settings.default.max_examples <= 50 else 1
    path = shared_data / "tthc" / "full-2026-07-18.jsonl.gz"
    stage = new_stage(catalogue=path)
    older = Stage("dvcqg_adapter", {"username": "demo", "password": "demo-password"}, stage.app)
    by_code = {row.code: row for row in await older.connector.list_procedures()}
    found = await stage.connector.list_procedures()
    assert len(found) == 4538
    for row in found[::every]:
        new = (await stage.connector.get_procedure(row)).procedure
        old = (await older.connector.get_procedure(by_code[row.code])).procedure
        for name in ("code", "name", "levels", "publishing_agency.name", "decision.number", "requirements"):
            assert _at(new, name) == _at(old, name), (row.code, name)
        assert _papers(new) == _papers(old)
        assert _fees(new) == _fees(old)


def _at(procedure: records.Procedure, path: str) -> Any:
    first, _, rest = path.partition(".")
    return getattr(getattr(procedure, first), rest) if rest else getattr(procedure, first)


def _papers(procedure: records.Procedure) -> list[tuple[str, int, int]]:
    return [(it.name, it.originals, it.copies) for case in procedure.cases for it in case.papers]


def _fees(procedure: records.Procedure) -> list[Any]:
    return sorted(
        (method.channel.value, str(fee.amount), fee.note)
        for method in procedure.methods
        for time in method.times
        for fee in time.fees
    )
