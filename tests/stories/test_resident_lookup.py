"""Stories of a lookup: who may ask, what goes out, what is written down, and what never happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import lookup_town
import pytest
import signing
import sqlalchemy as sa
from lookup_town import CODE, NUMBER, OFFICIAL, UNIT, Town, wanted

from lienthong.api_keys import keys
from lienthong.bus.flows import dossier_status, lookup_book, resident_lookup, resident_views
from lienthong.core import clock, errors, records, tables


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with lookup_town.opened(tmp_path / "home", database_url=database_url) as opened:
        yield opened


async def refused(town: Town, asking: resident_lookup.Asking | None = None, **changed: Any) -> errors.HubError:
    """Ask, expecting a refusal that asked nobody, is in the book, and is explained in both languages."""
    asking = asking or town.asking()
    with pytest.raises((errors.NotGranted, errors.ProofRejected)) as caught:
        await town.look_up(asking, **changed)
    assert town.register.questions == []
    last = (await town.book())[-1]
    assert last["outcome"].startswith(caught.value.code)
    assert caught.value.facts["reason"] in last["outcome"] or len(last["outcome"]) == 60
    assert last["answered_at"] is not None
    assert caught.value.detail("vi") != caught.value.detail("en")
    assert NUMBER not in str(caught.value)
    return caught.value


async def test_an_official_looks_a_resident_up_for_an_open_dossier(town: Town) -> None:
    asking = town.asking()
    answer = await town.look_up(asking)

    assert answer.found
    assert answer.resident.identity.citizen_id == NUMBER
    assert answer.resident.basic.full_name == "NGUYỄN VĂN MẪU"
    assert answer.official == OFFICIAL
    [(what, question, errand)] = town.register.questions
    assert (what, question.number) == ("look_up", NUMBER)
    assert errand.official_code == OFFICIAL
    assert errand.official_phone == "0900000009"
    assert errand.service_code == "1.000001"
    assert len(errand.number) <= 40
    assert (asking.told.official, asking.told.dossier_code, asking.told.rows) == (OFFICIAL, CODE, 1)
    assert NUMBER not in (asking.told.subject or NUMBER)


async def test_only_the_least_goes_out_where_the_procedure_says_nothing(town: Town) -> None:
    answer = await town.look_up()
    assert answer.field_groups == ("residents.identity", "residents.basic")
    assert answer.resident.family is None
    assert answer.resident.residence is None
    assert "NGUYỄN VĂN CHA" not in answer.model_dump_json()


async def test_a_procedure_may_be_given_more_groups_and_a_request_may_want_fewer(town: Town) -> None:
    await lookup_book.set_rule(
        town.hub,
        "1.000001",
        groups=("residents.basic", "residents.residence"),
        service_code="G15-TP110",
        reason="Quy trình khai sinh",
        actor="lan",
    )
    everything = await town.look_up()
    assert everything.field_groups == ("residents.basic", "residents.residence")
    assert everything.resident.residence.permanent_residence.commune_code == "14758"
    assert town.register.questions[-1][2].service_code == "G15-TP110"
    fewer = await town.look_up(fields=("residents.basic",))
    assert fewer.resident.residence is None


async def test_a_group_that_the_procedure_does_not_allow_is_refused_by_name(town: Town) -> None:
    exc = await refused(town, fields=("residents.family",))
    assert "residents.family" in exc.detail("vi")


async def test_a_group_that_the_key_was_not_granted_does_not_go_out(database_url: str, tmp_path: Path) -> None:
    few = ("residents.*", "fields:residents.identity")
    async with lookup_town.opened(tmp_path / "home", database_url=database_url, grants=few) as town:
        answer = await town.look_up()
        assert answer.field_groups == ("residents.identity",)
        assert answer.resident.basic is None


async def test_an_answer_is_stored_nowhere(town: Town) -> None:
    await town.look_up()
    async with town.hub.storage.reading() as conn:
        for table in tables.metadata.sorted_tables:
            for row in await conn.execute(sa.select(table)):
                assert NUMBER not in str(tuple(row))
                assert "NGUYỄN VĂN CHA" not in str(tuple(row))


async def test_the_intention_is_in_the_book_before_the_question_goes_out(town: Town) -> None:
    seen: list[Any] = []
    ask = town.register.look_up

    async def watched(question: Any, *, errand: Any) -> Any:
        seen.extend(await town.book())
        return await ask(question, errand=errand)

    town.register.look_up = watched  # type: ignore[method-assign]
    await town.look_up()
    assert [(row["outcome"], row["answered_at"]) for row in seen] == [("asked", None)]
    assert [(row["outcome"], row["rows"]) for row in await town.book()] == [("ok", 1)]


async def test_without_the_book_no_question_goes_out(town: Town) -> None:
    async with town.hub.storage.transaction() as tx:
        await tx.execute(sa.text("alter table lookups rename to lookups_gone"))
    with pytest.raises(Exception):  # noqa: B017  (whatever the database says; what matters is below)
        await town.look_up()
    assert town.register.questions == []


async def test_where_the_outcome_cannot_be_written_the_answer_does_not_go_out(town: Town) -> None:
    ask = town.register.look_up

    async def and_then_lose_the_book(question: Any, *, errand: Any) -> Any:
        found = await ask(question, errand=errand)
        async with town.hub.storage.transaction() as tx:
            await tx.execute(sa.text("alter table lookups rename to lookups_gone"))
        return found

    town.register.look_up = and_then_lose_the_book  # type: ignore[method-assign]
    with pytest.raises(Exception):  # noqa: B017
        await town.look_up()


async def test_nobody_found_and_data_that_disagree_are_one_neutral_answer(town: Town) -> None:
    town.register.person = None
    answer = await town.look_up()
    assert not answer.found
    assert answer.resident is None
    assert "không khớp" in answer.note
    assert [row["outcome"] for row in await town.book()] == ["not_found"]


async def test_a_question_asked_again_says_so_and_is_asked_again(town: Town) -> None:
    first = await town.look_up()
    town.clock[0] += timedelta(minutes=1)
    second = await town.look_up()
    assert first.repeated is None
    assert second.repeated.lookup_id == first.lookup_id
    assert second.asked_before == 1
    assert len(town.register.questions) == 2
    town.clock[0] += timedelta(hours=1)
    assert (await town.look_up()).repeated is None


async def test_a_failure_over_there_is_written_down_and_told(town: Town) -> None:
    town.register.fails = errors.RemoteBusy(system="population_c06")
    asking = town.asking()
    with pytest.raises(errors.RemoteBusy):
        await town.look_up(asking)
    assert [row["outcome"] for row in await town.book()] == ["Server.Remote.Busy"]
    assert asking.told.upstream[0].outcome == "Server.Remote.Busy"


async def test_verifying_says_yes_or_no_and_nothing_else(town: Town) -> None:
    request = wanted().model_dump(exclude={"fields"})
    asked = resident_views.VerifyRequest.model_validate(request)
    answer = await resident_lookup.verify(town.hub, asked, town.asking("residents.verify"))
    assert answer.verified
    assert set(answer.model_dump()) == {
        "lookup_id",
        "number",
        "official",
        "dossier_code",
        "repeated",
        "asked_before",
        "verified",
        "note",
    }


# ---------------------------------------------------------------------------------------- who is refused, and why


async def test_an_official_cannot_merely_be_named(town: Town) -> None:
    exc = await refused(town, town.asking(assertion=None), official=OFFICIAL)
    assert "X-Official-Assertion" in exc.detail("vi")


async def test_an_old_system_named_in_the_settings_may_name_the_official_plainly(
    database_url: str, tmp_path: Path
) -> None:
    async with lookup_town.opened(tmp_path / "home", database_url=database_url) as town:
        allowed = town.hub.settings.residents.model_copy(update={"plain_officials": (town.caller.key_id,)})
        town.hub.settings = town.hub.settings.model_copy(update={"residents": allowed})
        answer = await town.look_up(town.asking(assertion=None), official=OFFICIAL)
        assert answer.official == OFFICIAL
        assert (await town.book())[-1]["named_by"] == "plain"


async def test_an_assertion_serves_for_one_question_only(town: Town) -> None:
    assertion = town.assertion()
    await town.look_up(town.asking(assertion=assertion))
    town.register.questions.clear()
    exc = await refused(town, town.asking(assertion=assertion))
    assert exc.facts["reason"] == "assertion_replayed"


async def test_the_same_assertion_fifty_times_at_once_asks_one_question(town: Town) -> None:
    import asyncio

    assertion = town.assertion()
    results = await asyncio.gather(
        *(town.look_up(town.asking(assertion=assertion)) for _ in range(50)), return_exceptions=True
    )
    good = [result for result in results if not isinstance(result, BaseException)]
    assert len(good) == len(town.register.questions) == 1
    assert all(isinstance(result, errors.ProofRejected) for result in results if isinstance(result, BaseException))


async def test_an_assertion_that_has_expired_is_refused(town: Town) -> None:
    asking = town.asking()
    town.clock[0] += timedelta(minutes=10)
    exc = await refused(town, asking)
    assert exc.facts["reason"] == "assertion_expired"


async def test_an_assertion_signed_by_somebody_else_is_refused(town: Town) -> None:
    forged = Town(town.hub, town.register, town.caller, town.kid, signing.new_key(), town.clock)
    await refused(town, town.asking(assertion=forged.assertion()))


async def test_the_assertion_of_another_keys_system_is_refused(town: Town) -> None:
    other = keys.Caller(
        clock.new_id(),
        "lt_test_other",
        town.caller.organisation,
        "Phần mềm khác",
        town.caller.grants,
        "test",
        1,
        town.caller.field_groups,
    )
    exc = await refused(town, town.asking(caller=other))
    assert exc.facts["reason"] == "assertion_unknown_key"


@pytest.mark.parametrize(
    ("claim", "value"),
    [("dossier", "000.00.00.H38-260115-0002"), ("purpose", "Việc khác"), ("aud", "lienthong:x")],
)
async def test_an_assertion_for_something_else_is_refused(town: Town, claim: str, value: str) -> None:
    await refused(town, town.asking(assertion=town.assertion(**{claim: value})))


async def test_an_official_who_is_not_registered_is_refused(town: Town) -> None:
    exc = await refused(town, town.asking(assertion=town.assertion(sub="CB999999")))
    assert "chưa được đăng ký" in exc.detail("vi")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"ended_at": lookup_town.NOW}, "official_revoked"),
        ({"ended_at": lookup_town.NOW, "replaced_by": "x"}, "official_replaced"),
        ({"valid_until": lookup_town.NOW}, "official_expired"),
        ({"valid_from": lookup_town.NOW + timedelta(days=1)}, "official_not_yet"),
    ],
)
async def test_an_official_who_is_no_longer_or_not_yet_in_force_is_refused(
    town: Town, changed: dict[str, Any], reason: str
) -> None:
    async with town.hub.storage.transaction() as tx:
        await tx.execute(tables.officials.update().values(**changed))
    assert (await refused(town)).facts["reason"] == reason


async def test_an_official_of_another_unit_is_refused(town: Town) -> None:
    async with town.hub.storage.transaction() as tx:
        await tx.execute(tables.officials.update().values(unit_code="000.14.00.H38", unit_name="Sở Xây dựng"))
    assert (await refused(town)).facts["reason"] == "other_unit"


async def test_a_part_of_the_dossiers_agency_is_on_its_route(town: Town) -> None:
    async with town.hub.storage.transaction() as tx:
        await tx.execute(tables.officials.update().values(unit_code=f"{UNIT}.05", unit_name="Phòng Hộ tịch"))
    assert (await town.look_up()).found


async def test_a_unit_that_a_step_was_with_is_on_its_route(town: Town) -> None:
    async with town.hub.storage.transaction() as tx:
        await tx.execute(tables.officials.update().values(unit_code="H38.99", unit_name="Công an tỉnh"))
    await refused(town)
    change = records.StatusChange(
        status=records.Status.PROCESSING,
        occurred_at=lookup_town.NOW,
        handled_by="Trần Thị Ví Dụ",
        unit="CÔNG AN TỈNH",
    )
    town.clock[0] += timedelta(minutes=1)
    await dossier_status.report(town.hub, CODE, change, caller=town.caller, request_id=clock.new_id())
    assert (await town.look_up()).found


async def test_a_commune_whose_name_differs_by_a_tone_is_another_unit(town: Town) -> None:
    async with town.hub.storage.transaction() as tx:
        await tx.execute(tables.officials.update().values(unit_code="H38.99", unit_name="Xã Sơn Hạ"))
    change = records.StatusChange(
        status=records.Status.PROCESSING,
        occurred_at=lookup_town.NOW,
        handled_by="Trần Thị Ví Dụ",
        unit="Xã Sơn Hà",
    )
    await dossier_status.report(town.hub, CODE, change, caller=town.caller, request_id=clock.new_id())
    assert (await refused(town)).facts["reason"] == "other_unit"


async def test_a_procedure_code_too_long_for_the_register_is_never_cut(town: Town) -> None:
    async with town.hub.storage.transaction() as tx:
        await tx.execute(tables.dossiers.update().values(procedure_code="1.001193.000.00.00.H56"))
    await town.look_up()
    assert town.register.questions[0][2].service_code == ""


async def test_a_service_code_too_long_for_the_register_is_refused_when_it_is_set(town: Town) -> None:
    with pytest.raises(errors.InvalidRequest):
        await lookup_book.set_rule(
            town.hub, "1.000001", groups=["residents.basic"], service_code="G" * 21, reason="thử", actor="lan"
        )


async def test_an_exception_opens_one_dossier_by_name_until_its_day(town: Town) -> None:
    async with town.hub.storage.transaction() as tx:
        await tx.execute(tables.officials.update().values(unit_code="000.14.00.H38", unit_name="Sở Xây dựng"))
    await refused(town)
    official_id = (await town.book())[-1]["official_id"]
    number = await lookup_book.grant_exception(
        town.hub,
        official_id,
        dossier_code=CODE,
        unit_code=None,
        ends_at=town.hub.now() + timedelta(days=1),
        reason="Phối hợp xác minh",
        actor="lan",
    )
    assert (await town.look_up()).found
    assert (await town.book())[-1]["exception_id"] == number
    town.register.questions.clear()
    town.clock[0] += timedelta(days=2)
    assert (await refused(town)).facts["reason"] == "other_unit"


@pytest.mark.parametrize(("unit", "opens"), [(UNIT, True), (f"{UNIT}.05", False)])
async def test_an_exception_for_a_part_of_a_unit_is_none_for_the_whole(town: Town, unit: str, opens: bool) -> None:
    async with town.hub.storage.transaction() as tx:
        await tx.execute(tables.officials.update().values(unit_code="000.14.00.H38", unit_name="Sở Xây dựng"))
    await refused(town)
    await lookup_book.grant_exception(
        town.hub,
        (await town.book())[-1]["official_id"],
        dossier_code=None,
        unit_code=unit,
        ends_at=town.hub.now() + timedelta(days=1),
        reason="Biệt phái",
        actor="lan",
    )
    if opens:
        assert (await town.look_up()).found
    else:
        assert (await refused(town)).facts["reason"] == "other_unit"


async def test_an_exception_that_was_ended_opens_nothing(town: Town) -> None:
    async with town.hub.storage.transaction() as tx:
        await tx.execute(tables.officials.update().values(unit_code="000.14.00.H38", unit_name="Sở Xây dựng"))
    await refused(town)
    number = await lookup_book.grant_exception(
        town.hub,
        (await town.book())[-1]["official_id"],
        dossier_code=None,
        unit_code=UNIT,
        ends_at=town.hub.now() + timedelta(days=30),
        reason="Biệt phái",
        actor="lan",
    )
    assert (await town.look_up()).found
    await lookup_book.end_exception(town.hub, number, reason="Hết biệt phái", actor="lan")
    town.register.questions.clear()
    await refused(town)


async def test_a_procedure_that_the_official_is_not_registered_for_is_refused(town: Town) -> None:
    async with town.hub.storage.transaction() as tx:
        await tx.execute(tables.officials.update().values(procedures=["2.*", "1.000002"]))
    assert (await refused(town)).facts["reason"] == "procedure_not_registered"


async def test_another_procedure_than_the_dossiers_is_refused(town: Town) -> None:
    assert (await refused(town, procedure_code="1.000002")).facts["reason"] == "procedure_differs"


async def test_a_dossier_that_does_not_exist_is_refused(town: Town) -> None:
    assert (await refused(town, dossier_code="000.00.00.H38-260115-9999")).facts["reason"] == "dossier_unknown"


async def test_another_organisations_dossier_is_refused_in_the_same_words_as_none(town: Town) -> None:
    stranger = keys.Caller(
        town.caller.key_id, "lt_test_x", "Sở Y tế", "x", town.caller.grants, "test", 1, town.caller.field_groups
    )
    one = await refused(town, town.asking(caller=stranger))
    other = await refused(town, dossier_code="000.00.00.H38-260115-9999")
    assert one.detail("vi") == other.detail("vi")


@pytest.mark.parametrize("status", ["rejected", "stopped", "returned"])
async def test_a_closed_dossier_is_refused(town: Town, status: str) -> None:
    async with town.hub.storage.transaction() as tx:
        await tx.execute(tables.dossiers.update().values(status=status))
    assert (await refused(town)).facts["reason"] == "dossier_closed"


async def test_a_purpose_that_holds_a_number_is_refused_before_anything_is_kept(town: Town) -> None:
    with pytest.raises(ValueError, match="number of a person"):
        wanted(purpose=f"Xem của {NUMBER}")
    assert await town.book() == []
