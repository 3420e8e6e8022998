"""Plays one role towards the electronic data store: finds papers and fetches their files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field, SecretStr

from lienthong.connectors import base, http
from lienthong.connectors.dvcqg_store import auth, wire
from lienthong.core import errors, people, records


class Settings(base.Settings):
    """The settings of the connection to the store; its addresses and its way of knowing callers are not public."""

    search_path: str = ""
    file_path: str = ""
    authorization: SecretStr = Field(
        default=SecretStr(""), description="the whole value of the header, where asked for"
    )
    dstcode: str = ""
    max_file_bytes: int = Field(default=20_000_000, ge=1_000)
    max_answer_bytes: int = Field(default=32 * 1024 * 1024, ge=1024)


class Connector:
    """The electronic data store. Tries once; asking twice does no harm over there."""

    name = wire.SYSTEM

    def __init__(self, settings: Settings, around: base.Surroundings) -> None:
        self._settings = settings
        self._client = base.client(self.name, settings, around)
        self._headers = auth.headers(
            authorization=settings.authorization.get_secret_value(), dstcode=settings.dstcode
        )

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()

    async def find_papers(
        self,
        owner: str,
        wanted: Sequence[people.StoredPaperWanted],
        *,
        procedure_code: str,
        asked_by: str,
        requester_name: str,
        errand: people.Errand,
    ) -> Sequence[people.StoredPaper]:
        """Look for papers of an owner (number of citizen); `asked_by` is the number of the official who asks."""
        body = wire.search(
            owner, wanted, procedure_code=procedure_code, asked_by=asked_by, requester_name=requester_name
        )
        return wire.papers(await self._post(self._settings.search_path, body, operation="find_papers"))

    async def fetch_file(self, agency: str, path: str, *, errand: people.Errand) -> bytes:
        """Fetch one file; `path` goes back to the store as it came and nowhere else."""
        reply = await self._post(self._settings.file_path, wire.fetch(agency, path), operation="fetch_file")
        return wire.content(reply, most_bytes=self._settings.max_file_bytes)

    async def _post(self, path: str, body: dict[str, Any], *, operation: str) -> http.Reply:
        return await self._client.post_json(
            path, body, operation=operation, headers=self._headers, idempotent=True, returns=()
        )

    async def check(self) -> Sequence[records.CheckResult]:
        """Look at the settings and whether the store answers at all. Asks about nobody."""
        found = [base.settings_check(self._settings, needed=("base_url",))]
        try:
            reply = await self._client.get(
                self._settings.search_path, operation="check", headers=self._headers, returns=range(200, 500)
            )
        except errors.HubError as error:
            return [*found, base.failed_check("reach", error)]
        vi = "Kết nối tới kho được (không hỏi về ai)."
        en = "The store can be reached (nobody was asked about)."
        return [*found, base.passed_check("reach", vi, en, status=reply.status)]
