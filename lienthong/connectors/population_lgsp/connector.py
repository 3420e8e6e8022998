"""Plays one role towards the National Population Database through a provincial platform: register of residents."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypeVar

from pydantic import Field, SecretStr

from lienthong.connectors import base, bearer, http, population, soap, soap_reading
from lienthong.connectors.population_lgsp import auth, wire
from lienthong.core import errors, people, records

_Answer = TypeVar("_Answer")


class Settings(population.Settings):
    """The settings of the connection by recipe LGSP-1."""

    variant: Literal["soap", "dong_thap", "thanh_hoa"] = Field(
        default="soap", description="SOAP over the platform's headers, lower-camel JSON, or XML text in JSON"
    )
    token_path: str = "/getToken"  # noqa: S105  (a path)
    verify_path: str = Field(default="", description="empty: SERVICE_PATH, for both operations")
    look_up_path: str = ""
    access_key: str = ""
    secret_key: SecretStr = SecretStr("")
    app_name: str = ""
    partner_code: str = Field(default="", description="empty: the code of the hub's own agency")
    partner_code_cus: str = Field(default="", description="empty: as PARTNER_CODE")
    key_name: str = ""
    key_pass: SecretStr = SecretStr("")
    user_name_service: str = Field(default="", description="only in the variant dong_thap")
    full_official_in: tuple[str, ...] = Field(default=("look_up",), description="only in the variant soap")


class Connector:
    """The National Population Database behind an LGSP. Tries once; only a token that ran out is got anew."""

    name = wire.SYSTEM

    def __init__(self, settings: Settings, around: base.Surroundings) -> None:
        is_soap = settings.variant == "soap"
        self._settings = settings if is_soap else settings.model_copy(update={"full_official_in": ()})
        self._client = base.client(self.name, settings, around)
        self._service = soap.Service(
            self._client,
            population.description_of(settings),
            system=self.name,
            road=base.road_of(self.name, settings),
            fetch=population.fetcher(self.name, settings, around),
        )
        partner = settings.partner_code or around.agency_code
        self._platform_token = auth.platform_token(
            access_key=settings.access_key,
            secret_key=settings.secret_key.get_secret_value(),
            app_name=settings.app_name,
            partner_code=partner,
            for_code=settings.partner_code_cus or partner,
        )
        self._token = bearer.Token(self._obtain_token, around.clock)

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()

    async def verify(self, question: people.ResidentQuestion, *, errand: people.Errand) -> bool:
        """Ask whether somebody with this number, name and birth exists."""

        async def ask(asked: people.ResidentQuestion, on: people.Errand) -> bool:
            if self._settings.variant == "dong_thap":
                return wire.lower_exists(await self._post("verify", asked, on))
            element = await self._element("verify", asked, on)
            name = self._settings.verify_answer_element
            return population.read_verified(element, system=self.name, name=name)

        return bool(await population.ask_twice(self._settings, question, errand, ask))

    async def look_up(self, question: people.ResidentQuestion, *, errand: people.Errand) -> people.Resident | None:
        """Ask for somebody's record; None where nobody is found or the data do not agree."""

        async def ask(asked: people.ResidentQuestion, on: people.Errand) -> people.Resident | None:
            if self._settings.variant == "dong_thap":
                return wire.lower_resident(await self._post("look_up", asked, on), asked)
            element = await self._element("look_up", asked, on)
            rows = population.read_citizens(element, system=self.name)
            return population.the_one(rows, asked, system=self.name)

        found: people.Resident | None = await population.ask_twice(self._settings, question, errand, ask)
        return found

    async def _element(self, operation: str, asked: people.ResidentQuestion, errand: people.Errand) -> Any:
        if self._settings.variant == "thanh_hoa":
            return wire.facade_element(await self._post(operation, asked, errand))
        fields = self._fields(operation, asked, errand)
        settings = self._settings.model_copy(update={"service_path": self._path(operation)})

        async def send(headers: dict[str, str]) -> soap_reading.Envelope:
            manner = population.manner_of(settings, operation, headers=headers)
            return await self._service.ask(wire.SERVICES[operation], population.soap_values(fields), manner)

        return (await self._with_token(send)).body

    async def _post(self, operation: str, asked: people.ResidentQuestion, errand: people.Errand) -> http.Reply:
        fields = self._fields(operation, asked, errand)
        account = self._settings.user_name_service
        is_lower = self._settings.variant == "dong_thap"
        body = wire.lower_body(fields, account=account) if is_lower else wire.facade_body(fields)

        async def send(headers: dict[str, str]) -> http.Reply:
            return await self._client.post_json(
                self._path(operation),
                body,
                operation=wire.SERVICES[operation],
                headers=headers,
                idempotent=True,
                returns=(),
            )

        return await self._with_token(send)

    def _fields(self, operation: str, asked: people.ResidentQuestion, errand: people.Errand) -> dict[str, str]:
        return population.question_fields(self._settings, asked, errand=errand, operation=operation)

    def _path(self, operation: str) -> str:
        settings = self._settings
        own = settings.verify_path if operation == "verify" else settings.look_up_path
        return own or settings.service_path

    async def _with_token(self, send: Callable[[dict[str, str]], Awaitable[_Answer]]) -> _Answer:
        """Send with a token; a token that is refused is got anew once, and the call sent once more."""
        token = await self._token.current()
        try:
            return await send(self._headers(token))
        except errors.RemoteForbids as refused:
            if refused.remote_code != "HTTP 401":
                raise
        return await send(self._headers(await self._token.current(refused=token)))

    def _headers(self, token: str) -> dict[str, str]:
        settings = self._settings
        official = auth.official_token(settings.key_name, settings.key_pass.get_secret_value())
        found = {
            "Authorization": f"Bearer {token}",
            wire.NAMES["token_header"]: self._platform_token,
            wire.NAMES["official_header"]: official,
        }
        return {name: value for name, value in found.items() if value}

    async def _obtain_token(self) -> tuple[str, float]:
        reply = await self._client.request(
            "POST",
            self._settings.token_path,
            operation="token",
            content=b"grant_type=client_credentials",
            headers={
                "content-type": "application/x-www-form-urlencoded",
                wire.NAMES["token_header"]: self._platform_token,
            },
            idempotent=True,
            returns=(),
        )
        return wire.token(reply)

    async def check(self) -> Sequence[records.CheckResult]:
        """Look at the settings and get a token. Asks about nobody."""
        needed = ("base_url", "access_key", "secret_key", "app_name", "key_name", "key_pass")
        found = [base.settings_check(self._settings, needed=needed)]
        try:
            if self._settings.variant == "soap":
                await self._service.load()
            await self._token.current(refused=await self._token.current())
        except errors.HubError as error:
            return [*found, base.failed_check("token", error)]
        return [*found, base.passed_check("token", "Lấy được token.", "A token is given.")]
