"""Plays one role towards the National Population Database: register of residents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, SecretStr

from lienthong.connectors import base, population, soap, soap_reading
from lienthong.connectors.population_c06 import auth, wire
from lienthong.core import errors, people, records


class Settings(population.Settings):
    """The settings of the connection by SOAP and recipe C06-1."""

    username: str = ""
    secret_key: SecretStr = SecretStr("")
    api_key: SecretStr = SecretStr("")
    timestamp_unit: Literal["ms", "s"] = Field(default="ms", description="one client sends seconds")


class Connector:
    """The National Population Database behind a security server. Tries once."""

    name = wire.SYSTEM

    def __init__(self, settings: Settings, around: base.Surroundings) -> None:
        self._settings, self._clock = settings, around.clock
        self._client = base.client(self.name, settings, around)
        self._service = soap.Service(
            self._client,
            population.description_of(settings),
            system=self.name,
            road=base.road_of(self.name, settings),
            fetch=population.fetcher(self.name, settings, around),
        )

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()

    async def verify(self, question: people.ResidentQuestion, *, errand: people.Errand) -> bool:
        """Ask whether somebody with this number, name and birth exists."""

        async def ask(asked: people.ResidentQuestion, on: people.Errand) -> bool:
            envelope = await self._ask("verify", asked, on)
            name = self._settings.verify_answer_element
            return population.read_verified(envelope.body, system=self.name, name=name)

        return bool(await population.ask_twice(self._settings, question, errand, ask))

    async def look_up(self, question: people.ResidentQuestion, *, errand: people.Errand) -> people.Resident | None:
        """Ask for somebody's record; None where nobody is found or the data do not agree."""

        async def ask(asked: people.ResidentQuestion, on: people.Errand) -> people.Resident | None:
            envelope = await self._ask("look_up", asked, on)
            rows = population.read_citizens(envelope.body, system=self.name)
            return population.the_one(rows, asked, system=self.name)

        found: people.Resident | None = await population.ask_twice(self._settings, question, errand, ask)
        return found

    async def _ask(
        self, operation: str, asked: people.ResidentQuestion, errand: people.Errand
    ) -> soap_reading.Envelope:
        settings = self._settings
        fields = population.question_fields(settings, asked, errand=errand, operation=operation)
        headers = auth.headers(
            settings.signed_url or self._client.address(settings.service_path),
            username=settings.username,
            secret=settings.secret_key.get_secret_value(),
            stamp=auth.timestamp(self._clock(), unit=settings.timestamp_unit),
            api_key=settings.api_key.get_secret_value(),
            member="" if settings.road == "xroad" else settings.xroad_client,
        )
        manner = population.manner_of(settings, operation, headers=headers)
        return await self._service.ask(wire.SERVICES[operation], population.soap_values(fields), manner)

    async def check(self) -> Sequence[records.CheckResult]:
        """Look at settings and WSDL, and reach the service. Asks about nobody, so credentials stay untried."""
        needed = ("base_url", "username", "secret_key", "api_key", "xroad_client")
        found = [base.settings_check(self._settings, needed=needed)]
        try:
            await self._service.load()
            found.append(base.passed_check("wsdl", "Đọc được mô tả WSDL.", "The WSDL can be read."))
        except errors.HubError as error:
            found.append(base.failed_check("wsdl", error))
        return [*found, await population.reach(self._client, self._settings.service_path)]
