"""Plays one role towards the rebuilt portal: catalogue of procedures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from lienthong.connectors import base, roles
from lienthong.connectors.dvcqg_portal import wire
from lienthong.core import errors, records
from lienthong.mappings import oddities


class Settings(base.Settings):
    """The settings of the connection to generation C; polite by default, as the contract page found necessary."""

    max_concurrent: int = Field(default=4, ge=1, le=100)
    max_per_second: float | None = Field(default=2.0, gt=0)
    read_timeout_s: float = Field(default=45.0, gt=0)
    total_timeout_s: float = Field(default=60.0, gt=0)
    page_size: int = Field(default=200, ge=1, le=200)
    max_pages: int = Field(default=1000, ge=1, description="a list that does not end is given up")


class Connector:
    """The National Public Service Portal, generation C. Tries once."""

    name = wire.SYSTEM

    def __init__(self, settings: Settings, around: base.Surroundings) -> None:
        self._settings = settings
        self._client = base.client(self.name, settings, around)
        self._listed = wire.MAPPING.message("listed")
        self._procedure = wire.MAPPING.message("procedure")

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()

    async def list_procedures(self) -> Sequence[records.ListedProcedure]:
        """Give the whole list, page by page.

        Raises RemoteGarbled where the pages do not make a whole list: a cursor that is stuck, or fewer rows
        than the portal itself counts. A row that comes twice, which happens where the list moves while it is
        read, is kept once.
        """
        rows: dict[str, dict[str, Any]] = {}
        cursor, total = "", None
        for _ in range(self._settings.max_pages):
            page = await self._page(cursor, limit=self._settings.page_size)
            before, total = len(rows), page.total if page.total is not None else total
            for row in page.rows:
                rows.setdefault(str(row[wire.NAMES["id"]]), row)
            if total is not None and len(rows) >= total:
                break
            self._refuse_stuck(page, moved=len(rows) > before, cursor=cursor, total=total)
            if not page.cursor or len(page.rows) < self._settings.page_size:
                break
            cursor = page.cursor
        if total is not None and len(rows) < total:
            raise self._not_whole("fewer rows than counted", rows=len(rows), total=total)
        return [self._row(row) for row in rows.values()]

    def _refuse_stuck(self, page: wire.Page, *, moved: bool, cursor: str, total: int | None) -> None:
        if page.rows and (not moved or (page.cursor and page.cursor == cursor)):
            raise self._not_whole("the cursor is stuck", total=total)

    def _not_whole(self, reason: str, **facts: Any) -> errors.RemoteGarbled:
        return errors.RemoteGarbled(
            f"the list of procedures is not whole: {reason}",
            detail_vi="Danh sách thủ tục nhận được không trọn vẹn.",
            system=self.name,
            reason=reason,
            **facts,
        )

    async def _page(self, cursor: str, *, limit: int) -> wire.Page:
        body = wire.page_request(cursor=cursor, limit=limit)
        return wire.page(await self._post("list_procedures", body))

    def _row(self, row: dict[str, Any]) -> records.ListedProcedure:
        listed: records.ListedProcedure = self._listed.from_wire(row)
        return listed.model_copy(update={"fingerprint": wire.fingerprint(row)})

    async def get_procedure(self, listed: records.ListedProcedure) -> roles.FetchedProcedure:
        """Fetch one procedure."""
        found = await self._post("get_procedure", wire.detail_request(listed.key))
        procedure, odd = self._procedure.read_wire(found)
        differs = [oddities.oddity(oddities.Kind.CODE_DIFFERS, "code", procedure.code)]
        odd = (*odd, *oddities.inspect(procedure), *(differs if procedure.code != listed.code else ()))
        return roles.FetchedProcedure(procedure=procedure, oddities=odd)

    async def list_agencies(self) -> Sequence[records.AgencyRow]:
        """Give nothing: the public interface has no list of agencies."""
        return ()

    async def list_fields(self) -> Sequence[records.FieldRow]:
        """Give nothing: the public interface has no list of fields."""
        return ()

    async def _post(self, service: str, body: dict[str, Any]) -> dict[str, Any]:
        reply = await self._client.post_json(
            wire.SERVICES[service], body, operation=service, idempotent=True, returns=()
        )
        return wire.read(reply)

    async def check(self) -> Sequence[records.CheckResult]:
        """Look at the settings and read one row of the list. Changes nothing over there."""
        found = [base.settings_check(self._settings, needed=("base_url",))]
        try:
            page = await self._page("", limit=1)
        except errors.HubError as error:
            return [*found, base.failed_check("read", error)]
        vi, en = f"Đọc được danh sách {page.total} thủ tục.", f"The list of {page.total} procedures can be read."
        return [*found, base.passed_check("read", vi, en, procedures=page.total)]
