"""Plays two roles towards NGSP: business register and shared catalogues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, time
from typing import Any

from pydantic import Field, SecretStr

from lienthong.connectors import base, bearer, http, outcomes, roles
from lienthong.connectors.ngsp import auth, wire
from lienthong.core import errors, people, records

_SAID_BY_THE_GATEWAY = frozenset({401, 404})


class Settings(base.Settings):
    """The settings of the connection to NGSP, or to a provincial platform that keeps its names."""

    consumer_key: str = ""
    consumer_secret: SecretStr = SecretStr("")
    token_path: str = "/token"  # noqa: S105  (a path)
    business_path: str = "/apiCSDLDKDN/1.0"
    catalogues_path: str = "/dmdc"
    page_size: int = Field(default=100, ge=1, le=500)
    max_pages: int = Field(default=1000, ge=1, description="a list that does not end is given up")


class Connector:
    """The National Government Service Platform. Tries once; only a token that was refused is got anew."""

    name = wire.SYSTEM

    def __init__(self, settings: Settings, around: base.Surroundings) -> None:
        self._settings = settings
        self._client = base.client(self.name, settings, around)
        self._token = bearer.Token(self._obtain_token, around.clock)

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()

    # -------------------------------------------------------------------------------------- business register

    async def find_enterprise(self, code: str, *, errand: people.Errand) -> people.Enterprise | None:
        """Ask for an enterprise by its code; None where there is none."""
        reply = await self._get("enterprise", {wire.NAMES["code"]: code})
        return wire.enterprise(wire.answer(reply), asked=code)

    async def filings_between(self, first: date, last: date) -> Sequence[Mapping[str, Any]]:
        """Give the filings of a period, both days counted, asked for in windows that the register takes.

        Raises RemoteGarbled where a window's pages do not make a whole list.
        """
        found: list[Mapping[str, Any]] = []
        for begins, ends in wire.windows(first, last):
            period = {wire.NAMES["from_day"]: f"{begins:%d/%m/%Y}", wire.NAMES["to_day"]: f"{ends:%d/%m/%Y}"}
            found += await self._pages("filings", period)
        return found

    async def filings_today(self, first: time, last: time) -> Sequence[Mapping[str, Any]]:
        """Give today's filings between two times of the day."""
        period = {wire.NAMES["from_time"]: f"{first:%H:%M}", wire.NAMES["to_time"]: f"{last:%H:%M}"}
        return await self._pages("filings_today", period)

    async def filing(self, number: str) -> Mapping[str, Any] | None:
        """Ask how a filing stands; None where there is none."""
        reply = await self._get("filing", {wire.NAMES["filing_number"]: number})
        body = wire.answer(reply)
        return body if wire.has_something(body) else None

    async def _pages(self, service: str, period: Mapping[str, str]) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        size, counted = self._settings.page_size, 0
        before: list[Mapping[str, Any]] = []
        for _ in range(self._settings.max_pages):
            place = {wire.NAMES["offset"]: str(len(found)), wire.NAMES["limit"]: str(size)}
            page, counted = wire.filings(wire.answer(await self._get(service, {**period, **place})))
            if page and page == before:
                raise outcomes.garbled("the same page came twice", system=self.name)
            found += page
            before = page
            if len(page) < size:
                break
        if len(page) >= size or len(found) < counted:
            raise outcomes.garbled("the list of filings is not whole", system=self.name, rows=len(found))
        return found

    # ---------------------------------------------------------------------------------------- shared catalogues

    async def catalogue_rows(self, name: str) -> Sequence[Mapping[str, str]]:
        """Give all rows of a catalogue. Raises RemoteRefused where it does not exist."""
        return wire.rows(wire.data(await self._get("rows", {}, list=name)))

    def catalogue_names(self) -> Sequence[str]:
        """Name the catalogues of the guide (contracts §6.3); the service itself lists none. Pure."""
        return wire.LISTS

    async def catalogue_columns(self, name: str) -> Sequence[roles.CatalogueColumn]:
        """Give the columns of a catalogue."""
        return wire.properties(wire.data(await self._get("structure", {}, list=name)))

    async def insert_rows(self, name: str, rows: Sequence[Mapping[str, str]]) -> int:
        """Add rows to a catalogue, and say how many. Raises RemoteRefused, `duplicate` where a row is there."""

        async def send(token: str) -> http.Reply:
            return await self._client.post_json(
                self._path("rows"),
                [dict(row) for row in rows],
                operation="insert_rows",
                headers={"authorization": f"Bearer {token}"},
                path_values={"list": name},
                idempotent=False,
                returns=_SAID_BY_THE_GATEWAY,
            )

        reply = await self._token.send(send)
        try:
            body = wire.data(reply)
        except (errors.RemoteGarbled, errors.RemoteUnavailable) as error:
            raise errors.OutcomeUnknown(system=self.name, reason="no readable answer to an insertion") from error
        return wire.inserted(body, wanted=rows)

    # --------------------------------------------------------------------------------------------------- sending

    async def _get(self, service: str, query: Mapping[str, str], **path_values: str) -> http.Reply:
        async def send(token: str) -> http.Reply:
            return await self._client.get(
                self._path(service),
                operation=service,
                headers={"authorization": f"Bearer {token}"},
                query=query,
                path_values=path_values,
                returns=_SAID_BY_THE_GATEWAY,
            )

        return await self._token.send(send)

    def _path(self, service: str) -> str:
        is_catalogue = service in ("rows", "structure")
        root = self._settings.catalogues_path if is_catalogue else self._settings.business_path
        return root + wire.SERVICES[service]

    async def _obtain_token(self) -> tuple[str, float]:
        settings = self._settings
        reply = await self._client.request(
            "POST",
            settings.token_path,
            operation="token",
            content=auth.TOKEN_REQUEST,
            headers={
                "content-type": auth.FORM,
                "authorization": auth.basic(settings.consumer_key, settings.consumer_secret.get_secret_value()),
            },
            idempotent=True,
            returns=(),
        )
        return wire.token(reply)

    async def check(self) -> Sequence[records.CheckResult]:
        """Look at the settings and get a token. Asks about nobody."""
        needed = ("base_url", "consumer_key", "consumer_secret")
        found = [base.settings_check(self._settings, needed=needed)]
        try:
            await self._token.current()
        except errors.HubError as error:
            return [*found, base.failed_check("token", error)]
        return [*found, base.passed_check("token", "Lấy được token.", "A token is given.")]
