"""Plays one role towards the rebuilt portal: catalogue of procedures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from pydantic import Field

from lienthong.connectors import base, roles
from lienthong.connectors.dvcqg_portal import wire
from lienthong.core import errors, records
from lienthong.mappings import oddities

# Long enough for a request to have left before its predecessor's rows are read.
_LEAVING_S = 0.001


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
        rows: dict[str, records.ListedProcedure] = {}
        async for page in self._pages():
            for row in page.rows:
                key = str(row[wire.NAMES["id"]])
                if key not in rows:
                    rows[key] = self._row(row)
        return list(rows.values())

    async def _pages(self) -> AsyncIterator[wire.Page]:
        """Give the pages in order; the next one travels while the caller reads this one."""
        seen: set[str] = set()
        cursor, total = "", None
        coming = self._ask(cursor)
        try:
            for _ in range(self._settings.max_pages):
                page = await coming
                before, total = len(seen), page.total if page.total is not None else total
                seen.update(str(row[wire.NAMES["id"]]) for row in page.rows)
                is_last = total is not None and len(seen) >= total
                if not is_last:
                    self._refuse_stuck(page, moved=len(seen) > before, cursor=cursor, total=total)
                    # A page that is short ends a list that is not counted; of one that is, there is more to come.
                    short = len(page.rows) < (self._settings.page_size if total is None else 1)
                    is_last = short or not page.cursor
                if is_last:
                    yield page
                    break
                cursor, coming = page.cursor, self._ask(page.cursor)
                await asyncio.sleep(_LEAVING_S)
                yield page
        finally:
            coming.cancel()
        if total is not None and len(seen) < total:
            raise self._not_whole("fewer rows than counted", rows=len(seen), total=total)

    def _ask(self, cursor: str) -> asyncio.Task[wire.Page]:
        return asyncio.create_task(self._page(cursor, limit=self._settings.page_size))

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
        return records.ListedProcedure(
            code=listed.code, name=listed.name, key=listed.key, fingerprint=wire.fingerprint(row)
        )

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
