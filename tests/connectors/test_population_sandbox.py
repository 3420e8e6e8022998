"""Every road to the population database against the sandbox, written from the same page by other hands."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from population_stage import ERRAND

from lienthong.connectors import registry
from lienthong.core import errors, people
from lienthong.sandbox import app as sandbox_app
from lienthong.sandbox import residents

C06 = {
    "username": "UBND_DEMO",
    "secret_key": "C06SECRET",
    "api_key": "demo-api-key",
    "xroad_client": "VN/GOV/000.00.00.H38/lgsp",
}
LGSP = {
    "access_key": "AK123", "secret_key": "SK456", "app_name": "LGSP-DEMO", "partner_code": "000.00.00.H56",
    "key_name": "demo-key", "key_pass": "demo-pass", "verify_path": "/xacThuc", "look_up_path": "/traCuu",
}  # fmt: skip
ROADS = {
    "direct": ("population_c06", {**C06, "service_path": "/dancu"}),
    "xroad": ("population_c06", {**C06, "road": "xroad", "xroad_service": "VN/GOV/C06/dancu"}),
    "soap": ("population_lgsp", {**LGSP, "variant": "soap"}),
    "dong_thap": ("population_lgsp", {**LGSP, "variant": "dong_thap"}),
    "thanh_hoa": ("population_lgsp", {**LGSP, "variant": "thanh_hoa"}),
}
NUMBERS = itertools.count()


def open_road(name: str, **changed: Any) -> Any:
    contract, settings = ROADS[name]
    app = sandbox_app.create_app(sandbox_app.Settings())
    return registry.open_connector(
        contract,
        {"base_url": f"http://sandbox/{contract}", **settings, **changed},
        agency_code="000.00.00.H38",
        on_exchange=None,
        clock=lambda: datetime.now(UTC),
        transport=httpx.ASGITransport(app=app),
    )


def errand() -> people.Errand:
    return ERRAND.model_copy(update={"number": f"T-{next(NUMBERS)}"})


def questions() -> list[people.ResidentQuestion]:
    """Ask about everybody whose birth is known at all."""
    found = []
    for row in (one.row for one in residents.known()):
        day, year = row["ngay_sinh"], row["nam_sinh"]
        if day or year:
            born = datetime.strptime(day, "%Y%m%d").date() if day else None
            found.append(
                people.ResidentQuestion(
                    citizen_id=row["so_dinh_danh"] or None,
                    old_id=None if row["so_dinh_danh"] else row["so_cmnd"],
                    full_name=" ".join(it for it in (row["ho"], row["chu_dem"], row["ten"]) if it),
                    birth=people.Birth(day=born) if born else people.Birth(year=int(year)),
                )
            )
    return found


@pytest.mark.parametrize("road", ROADS)
async def test_everybody_with_every_oddity_is_found_and_nobody_is_picked_of_two(road: str) -> None:
    connector = open_road(road)
    asked = questions()
    assert len(asked) > 20
    twice = 0
    for question in asked:
        assert await connector.verify(question, errand=errand()) is True
        try:
            found = await connector.look_up(question, errand=errand())
            assert found.full_name == question.full_name
            assert question.number in (found.citizen_id, found.old_id)
        except errors.RemoteGarbled as garbled:
            twice += garbled.facts["reason"] == "several citizens"
    assert twice == 2


@pytest.mark.parametrize("road", ROADS)
async def test_who_is_not_there_is_not_found(road: str) -> None:
    connector = open_road(road)
    unknown = questions()[0].model_copy(update={"full_name": "NGUYỄN VĂN KHÔNG"})
    assert await connector.look_up(unknown, errand=errand()) is None
    assert await connector.verify(unknown, errand=errand()) is False


@pytest.mark.parametrize("road", ROADS)
async def test_a_check_finds_all_well(road: str) -> None:
    assert all(it.ok for it in await open_road(road).check())


async def test_an_official_who_is_not_registered_and_a_wrong_secret_are_forbidden() -> None:
    stranger = errand().model_copy(update={"official_code": "CB999999"})
    for connector, on in ((open_road("direct"), stranger), (open_road("direct", secret_key="wrong"), errand())):
        with pytest.raises(errors.RemoteForbids):
            await connector.look_up(questions()[0], errand=on)
