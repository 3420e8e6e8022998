"""Reading the catalogue: how people search it, page through it, and what a dossier gets from it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from catalogue_source import Clock, Source, opened, procedure
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lienthong.bus.flows import folding, procedure_catalogue, procedure_sync
from lienthong.bus.flows.procedure_catalogue import ProcedureQuery
from lienthong.core import errors

NAMES = {
    "1.000110": "Thủ tục đăng ký khai sinh có yếu tố nước ngoài",
    "1.000893": "Thủ tục đăng ký khai sinh lưu động",
    "1.001193": "Thủ tục đăng ký khai sinh",
    "1.004884": "Thủ tục đăng ký lại khai sinh",
    "2.000635": "Cấp bản sao Trích lục hộ tịch",
    "2.002621": "Liên thông thủ tục hành chính về đăng ký khai sinh, đăng ký thường trú",
    "1.012345": "Đề nghị hỗ trợ 50% học phí_mới",
}
LAND = {
    "fields": [{"code": "G13-TN02", "name": "Đất đai"}],
    "publishing_agency": {"code": "G13", "name": "Bộ Nông nghiệp và Môi trường"},
    "executing_agencies": [{"code": "", "name": "Văn phòng đăng ký đất đai"}],
    "levels": ["province", "district"],
}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def source():
    found = Source()
    found.publish(*(procedure(code, name) for code, name in NAMES.items()))
    found.publish(*(procedure(f"3.{n:06d}", f"Đăng ký biến động đất số {n}", **LAND) for n in range(1, 31)))
    return found


@pytest.fixture
async def hub(database_url, tmp_path, source, clock):
    async with opened(database_url, tmp_path, source, clock=clock) as found:
        await procedure_sync.run(found)
        yield found


async def codes(hub, **asked) -> list[str]:
    page = await procedure_catalogue.list_procedures(hub, ProcedureQuery(**asked))
    assert len(page.items) == min(page.total, asked.get("limit", 50))
    return [item.code for item in page.items]


@pytest.mark.parametrize(
    "q", ["dang ky khai sinh", "ĐĂNG KÝ KHAI SINH", "đăng  ký khai-sinh", "đăng ký khai sinh"]
)
async def test_the_very_procedure_comes_first_however_it_is_typed(hub, q):
    found = await codes(hub, q=q)
    assert found[0] == "1.001193"
    assert set(found) == {"1.001193", "1.000110", "1.000893", "1.004884", "2.002621"}
    assert found[1:3] == ["1.000893", "1.000110"]
    assert found[-1] == "1.004884"


@pytest.mark.parametrize(
    ("q", "first"),
    [
        ("1.001193", "1.001193"),
        (" 1.001193 ", "1.001193"),
        ("2.0026", "2.002621"),
        ("trich luc", "2.000635"),
        ("sinh khai đăng", "1.001193"),
        ("hoc phi_moi", "1.012345"),
    ],
)
async def test_codes_and_words_in_any_order_are_found(hub, q, first):
    assert (await codes(hub, q=q))[0] == first


@pytest.mark.parametrize("q", ["%", "_", "'", "\\", "1.00119_", "%1193", "khong co gi ca", "\x00", "   %  "])
async def test_what_is_no_word_finds_nothing_instead_of_everything(hub, q):
    assert await codes(hub, q=q) == []


async def test_wildcards_are_letters_like_others(hub):
    assert await codes(hub, q="50%") == ["1.012345"]
    assert await codes(hub, field="%") == []


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({"field": "G13-TN02"}, 30),
        ({"field": "dat dai"}, 30),
        ({"field": "Hộ tịch"}, 7),
        ({"field": "G13-TN0"}, 0),
        ({"agency": "G13"}, 30),
        ({"agency": "bộ tư pháp"}, 7),
        ({"agency": "van phong dang ky dat dai"}, 30),
        ({"agency": "G1"}, 0),
        ({"level": "commune"}, 7),
        ({"level": "district"}, 30),
        ({"level": "ministry"}, 0),
        ({"level": "province", "q": "bien dong", "field": "Đất đai"}, 30),
        ({}, 37),
    ],
)
async def test_the_catalogue_is_filtered_by_code_or_by_name(hub, asked, count):
    page = await procedure_catalogue.list_procedures(hub, ProcedureQuery(**asked))
    assert page.total == count


@pytest.mark.parametrize("asked", [{}, {"q": "đăng ký"}, {"q": "3.0"}])
async def test_pages_hold_everything_once_in_one_order(hub, asked):
    whole = await codes(hub, **asked, limit=200)
    found: list[str] = []
    cursor = ""
    while cursor is not None:
        page = await procedure_catalogue.list_procedures(hub, ProcedureQuery(**asked, limit=7, cursor=cursor))
        found += [item.code for item in page.items]
        cursor = page.next_cursor
    assert found == whole
    assert len(whole) == len(set(whole)) == page.total


async def test_a_cursor_of_another_question_is_refused(hub):
    page = await procedure_catalogue.list_procedures(hub, ProcedureQuery(q="đăng ký", limit=5))
    with pytest.raises(errors.InvalidRequest) as caught:
        await procedure_catalogue.list_procedures(hub, ProcedureQuery(q="khai", limit=5, cursor=page.next_cursor))
    assert [problem.field for problem in caught.value.problems] == ["cursor"]


@given(st.text(max_size=80))
async def test_no_cursor_that_was_not_given_out_is_taken(text):
    with pytest.raises(errors.InvalidRequest):
        procedure_catalogue._read_cursor(ProcedureQuery(cursor=text or "x"))


async def test_changes_since_a_moment_are_listed_withdrawals_too(hub, source, clock):
    before = clock.at + timedelta(seconds=1)
    clock.forward(days=1)
    del source.procedures["2.000635"]
    source.publish(procedure("1.001193", "Đăng ký khai sinh (mới)"))
    await procedure_sync.run(hub)
    assert await codes(hub, changed_since=before, status="all") == ["1.001193", "2.000635"]
    assert await codes(hub, changed_since=before) == ["1.001193"]
    assert await codes(hub, status="withdrawn") == ["2.000635"]


async def test_a_procedure_is_given_as_published_and_as_it_was(hub, source, clock):
    clock.forward(days=1)
    source.publish(procedure("1.001193", "Tên mới", description="Mô tả"))
    await procedure_sync.run(hub)
    now = await procedure_catalogue.get_procedure(hub, " 1.001193 ")
    then = await procedure_catalogue.get_procedure(hub, "1.001193", version=1)
    assert now.procedure == source.procedures["1.001193"]
    assert (now.version, now.latest_version, now.changed_at) == (2, 2, clock.at)
    assert (then.version, then.latest_version, then.procedure.name) == (1, 2, "Thủ tục đăng ký khai sinh")
    versions = await procedure_catalogue.list_versions(hub, "1.001193")
    assert [[change.field for change in item.changes] for item in versions.items] == [["name", "description"], []]


@pytest.mark.parametrize(
    ("code", "version"), [("9.999999", None), ("1.001193", 9), ("1.001193", 10**30), ("\x00", None)]
)
async def test_what_is_not_there_is_said_in_both_languages(hub, code, version):
    with pytest.raises(errors.NotFound) as caught:
        await procedure_catalogue.get_procedure(hub, code, version=version)
    assert caught.value.detail("vi") != caught.value.detail("en")


async def test_a_dossier_gets_the_facts_of_the_procedure_in_force(hub):
    async with hub.storage.reading() as conn:
        facts = await procedure_catalogue.facts_for_dossier(conn, " 1.001193")
    assert (facts.code, facts.name, facts.version) == ("1.001193", "Thủ tục đăng ký khai sinh", 1)
    assert (facts.field_code, facts.field_name) == ("G15-TP07", "Hộ tịch")


async def test_a_dossier_keeps_the_facts_of_its_version(hub, source):
    source.publish(procedure("1.001193", "Tên mới", **LAND))
    await procedure_sync.run(hub)
    async with hub.storage.reading() as conn:
        facts = await procedure_catalogue.facts_of_version(conn, "1.001193", 1)
    assert (facts.name, facts.field_code, facts.version) == ("Thủ tục đăng ký khai sinh", "G15-TP07", 1)


async def test_a_new_dossier_under_a_withdrawn_or_unknown_procedure_is_refused_with_the_reason(hub, source):
    del source.procedures["1.001193"]
    await procedure_sync.run(hub)
    for code, words in (("1.001193", "bị bãi bỏ"), ("1.999999", "không có thủ tục"), ("\x00", "không có thủ tục")):
        async with hub.storage.reading() as conn:
            with pytest.raises(errors.InvalidRequest) as caught:
                await procedure_catalogue.facts_for_dossier(conn, code)
        (problem,) = caught.value.problems
        assert problem.field == "procedure_code"
        assert words in problem.vi
    assert "20/07/2026" in (await _reason(hub, "1.001193"))


async def _reason(hub, code) -> str:
    async with hub.storage.reading() as conn:
        try:
            await procedure_catalogue.facts_for_dossier(conn, code)
        except errors.InvalidRequest as exc:
            return exc.detail("vi")
    return ""


@pytest.mark.parametrize(
    "asked", [{"limit": 0}, {"limit": 201}, {"status": "x"}, {"changed_since": "2026-07-01T00:00"}]
)
def test_a_question_out_of_bounds_is_refused(asked):
    with pytest.raises(ValidationError):
        ProcedureQuery.model_validate(asked)


@given(st.text())
def test_folding_twice_is_folding_once(text):
    once = folding.fold(text)
    assert folding.fold(once) == once
    assert once.isascii()
