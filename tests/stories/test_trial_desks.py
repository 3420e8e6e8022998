"""The trial on one machine: its desks answer at both names of the machine, and offer passkeys where these work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import builders
import desk
import httpx
import pytest

from lienthong.console import trial_desk
from lienthong.core import settings, settings_console

LOCALHOST = "http://localhost:8081"


@pytest.fixture
async def stage(tmp_path: Path, database_url: str) -> AsyncIterator[desk.Stage]:
    time = desk.Time()
    chosen = {"public_url": LOCALHOST, "passkey_domain": "localhost"}
    async with builders.running_hub(
        tmp_path / "home", database_url=database_url, now=time, systems=builders.NOBODY, console=chosen
    ) as hub:
        yield desk.stage(hub, time)


def at(visitor: desk.Visitor, address: str) -> desk.Visitor:
    """Let somebody use the desks under another of their names."""
    visitor.client.base_url = httpx.URL(address)
    visitor.origin = address
    return visitor


def test_the_trial_chooses_a_name_that_browsers_take_passkeys_for() -> None:
    found = trial_desk.environment(settings_console.Console())
    chosen = settings.load({**found, "LIENTHONG_HOME": "x"}).console
    assert (chosen.public_url, chosen.passkey_domain) == (LOCALHOST, "localhost")


@pytest.mark.parametrize(
    "chosen", [{"public_url": "https://desk.example.vn"}, {"host": "10.0.0.5"}, {"host": "0.0.0.0"}, {"port": 0}]
)
def test_what_was_chosen_for_the_trial_stays(chosen: dict[str, str]) -> None:
    assert trial_desk.environment(settings_console.Console.model_validate(chosen)) == {}


@pytest.mark.parametrize("address", [LOCALHOST, desk.URL])
async def test_people_sign_in_and_work_at_either_name(stage: desk.Stage, address: str) -> None:
    await stage.add("lan", "administrator")
    async with stage.visitor() as visitor:
        lan = at(visitor, address)
        assert (await lan.sign_in("lan")).status_code == 303
        assert (await lan.send("/looks", theme="dark", to="/own")).headers["location"] == "/own"


async def test_passkeys_are_offered_at_the_name_alone_and_the_figures_lead_there(stage: desk.Stage) -> None:
    await stage.add("lan", "administrator")
    for address, is_offered in ((LOCALHOST, True), (desk.URL, False)):
        async with stage.visitor() as visitor:
            lan = at(visitor, address)
            await lan.open("/sign-in")
            assert ("data-passkey" in lan.page) == is_offered
            assert (await lan.client.get("/sign-in/passkey")).status_code == (200 if is_offered else 404)
            await lan.sign_in("lan")
            await lan.open("/own/passkeys")
            assert ("data-passkey" in lan.page) == is_offered
            assert (f'href="{LOCALHOST}/own/passkeys"' in lan.page) != is_offered


async def test_a_post_from_the_machines_other_name_or_another_port_does_nothing(stage: desk.Stage) -> None:
    await stage.add("lan", "administrator")
    for origin in (LOCALHOST, "http://127.0.0.1:8082", "http://localhost", "https://127.0.0.1:8081"):
        async with stage.visitor() as visitor:
            await visitor.sign_in("lan")
            visitor.origin = origin
            assert (await visitor.send("/looks", theme="dark")).status_code == 403, origin
