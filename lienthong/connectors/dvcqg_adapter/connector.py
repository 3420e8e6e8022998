"""Plays two roles towards the portal's adapter: catalogue of procedures, receiver of dossiers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from pydantic import Field, SecretStr

from lienthong.connectors import base, http, roles
from lienthong.connectors.dvcqg_adapter import auth, wire
from lienthong.core import errors, records
from lienthong.mappings import engine, oddities

_LOGIN_REFUSED = frozenset({401, 403})


class Settings(base.Settings):
    """The settings of the connection to generation A. What the contract page is unsure of can be changed here."""

    login_path: str = "/mapi/login"
    share_path: str = "/mapi/g"
    integration_path: str = "/mapi/g"
    username: str = ""
    password: SecretStr = SecretStr("")
    agency_code: str = Field(default="", description="empty: the code of the hub's own agency")
    dstcode: str = ""
    session_words: tuple[str, ...] = ("session", "phiên làm việc", "phiên đăng nhập", "đăng nhập lại")
    duplicate_codes: tuple[str, ...] = ("3", "-3")
    duplicate_words: tuple[str, ...] = ("đã tồn tại",)
    absent_words: tuple[str, ...] = ("không tồn tại", "chưa tồn tại", "không tìm thấy", "chưa có hồ sơ")
    dossier_code_parameter: str = Field(default="", description="empty: as in the mapping file")


class Connector:
    """The National Public Service Portal, generation A. Tries once; only a session that ran out is renewed."""

    name = wire.SYSTEM

    def __init__(self, settings: Settings, around: base.Surroundings) -> None:
        self._settings = settings
        self._agency = settings.agency_code or around.agency_code
        self._client = base.client(self.name, settings, around)
        self._session = auth.Session(self._log_in)
        self._headers = {wire.NAMES["destination_header"]: settings.dstcode} if settings.dstcode else {}
        self._headers["charset"] = "utf-8"
        self._dossier = wire.MAPPING.message("dossier")
        self._progress = wire.MAPPING.message("progress")
        self._agency_names: dict[str, str] | None = None
        self._agency_lock = asyncio.Lock()

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()

    # --------------------------------------------------------------------------------------------- catalogue

    async def list_procedures(self) -> Sequence[records.ListedProcedure]:
        """Give the whole list, which comes in one answer, and read the list of agencies afresh."""
        rows = await self._list("list_procedures", "listed")
        self._agency_names = None
        await self._names_of_agencies()
        return rows

    async def get_procedure(self, listed: records.ListedProcedure) -> roles.FetchedProcedure:
        """Fetch one procedure, and name its publishing agency from the list of agencies."""
        answer = await self._share("get_procedure", {wire.NAMES["procedure_code"]: listed.key})
        rows = [row for row in answer.rows or () if isinstance(row, dict)]
        if not rows:
            raise errors.RemoteRefused(
                "the procedure is listed but has no detail",
                detail_vi="Thủ tục có trong danh sách nhưng không có bản chi tiết.",
                system=self.name,
                remote_code="no_detail",
                procedure=listed.code,
            )
        procedure, odd = wire.MAPPING.message("procedure").read_wire(rows[0])
        procedure, unnamed = self._with_agency_name(procedure, await self._names_of_agencies())
        differs = [oddities.oddity(oddities.Kind.CODE_DIFFERS, "code", procedure.code)]
        odd = (*odd, *unnamed, *oddities.inspect(procedure), *(differs if procedure.code != listed.code else ()))
        return roles.FetchedProcedure(procedure=procedure, oddities=odd)

    async def list_agencies(self) -> Sequence[records.AgencyRow]:
        """Give the national list of agencies."""
        return await self._list("list_agencies", "agency")

    async def list_fields(self) -> Sequence[records.FieldRow]:
        """Give the national list of fields of administration."""
        return await self._list("list_fields", "field")

    async def _list(self, service: str, message: str) -> list[Any]:
        answer = await self._share(service, {})
        if answer.rows is None or any(not isinstance(row, dict) for row in answer.rows):
            raise errors.RemoteGarbled(system=self.name, operation=service, reason="no list of objects")
        read: engine.Message = wire.MAPPING.message(message)
        return [read.from_wire(row) for row in answer.rows]

    async def _names_of_agencies(self) -> dict[str, str]:
        # Kept for one run: asked once, not before each of thousands of details. A list that is out of reach
        # fails the detail, because a name that comes and goes would look like a new version each night.
        async with self._agency_lock:
            if self._agency_names is None:
                try:
                    rows = await self.list_agencies()
                except errors.RemoteRefused:
                    rows = ()
                self._agency_names = {row.code: row.name for row in rows}
            return self._agency_names

    def _with_agency_name(
        self, procedure: records.Procedure, names: dict[str, str]
    ) -> tuple[records.Procedure, tuple[records.Oddity, ...]]:
        agency = procedure.publishing_agency
        name = names.get(agency.code, "")
        if not name:
            kind = oddities.Kind.AGENCY_NAME_UNKNOWN
            return procedure, (oddities.oddity(kind, "publishing_agency.code", agency.code),)
        named = agency.model_copy(update={"name": name})
        return procedure.model_copy(update={"publishing_agency": named}), ()

    async def _share(self, service: str, parameters: dict[str, Any]) -> wire.Answer:
        answer = await self._call(
            service, self._settings.share_path, parameters=parameters, changes=False, message_id=None
        )
        if not answer.accepted:
            raise wire.refused(answer)
        return answer

    # ---------------------------------------------------------------------------------------------- dossiers

    def problems(self, snapshot: records.DossierSnapshot) -> Sequence[errors.FieldProblem]:
        """Name what the portal would refuse in a dossier."""
        return self._dossier.problems(snapshot)

    def step_problems(self, step: records.ProgressStep) -> Sequence[errors.FieldProblem]:
        """Name what the portal would refuse in a step."""
        return self._progress.problems(step)

    async def put_dossier(
        self, snapshot: records.DossierSnapshot, *, known: bool, look_first: bool, message_id: str
    ) -> records.Receipt:
        """Create the dossier over there, or replace what is held of it.

        An answer "already there" to a create, and "not there" to an update, is followed once by the other of
        the two (contracts §3.5), so that a lost answer or a lost memory of ours does no harm.
        """
        code = snapshot.dossier.code
        there = await self._look_up(code, message_id=message_id) if look_first else known
        item = self._dossier.to_wire(snapshot)
        answer = await self._put(item, updating=there, message_id=message_id)
        if not there and self._is_duplicate(answer):
            answer = await self._put(item, updating=True, message_id=message_id)
            return self._receipt(answer, duplicate=True)
        if there and self._is_absent(answer) and not await self._look_up(code, message_id=message_id):
            return self._receipt(await self._put(item, updating=False, message_id=message_id))
        return self._receipt(answer, duplicate=there and look_first and not known)

    async def append_progress(self, step: records.ProgressStep, *, message_id: str) -> records.Receipt:
        """Add one step. Sent twice it stands twice over there, so an unknown outcome is said, not guessed."""
        parameters = wire.items(self._progress.to_wire(step))
        answer = await self._integrate("append_progress", parameters, message_id=message_id)
        if self._is_duplicate(answer):
            return records.Receipt(duplicate=True, remote_code=answer.code)
        return self._receipt(answer)

    async def has_dossier(self, dossier_code: str) -> bool:
        """Ask whether the portal holds the dossier."""
        return await self._has_dossier(dossier_code, message_id=None)

    async def _has_dossier(self, dossier_code: str, *, message_id: str | None) -> bool:
        name = self._settings.dossier_code_parameter or wire.NAMES["dossier_code"]
        answer = await self._call(
            "find_dossier",
            self._settings.integration_path,
            parameters={name: dossier_code},
            changes=False,
            message_id=message_id,
        )
        if answer.accepted:
            return bool(answer.rows)
        if self._is_absent(answer):
            return False
        raise wire.refused(answer)

    async def _look_up(self, dossier_code: str, *, message_id: str) -> bool:
        # An unreadable answer to the question says nothing about the message: it stays as unknown as it was.
        try:
            return await self._has_dossier(dossier_code, message_id=message_id)
        except errors.RemoteGarbled as garbled:
            raise errors.OutcomeUnknown(
                system=self.name, remote_code="garbled", operation="find_dossier"
            ) from garbled

    async def _put(self, item: dict[str, Any], *, updating: bool, message_id: str) -> wire.Answer:
        return await self._integrate("put_dossier", wire.items(item, updating=updating), message_id=message_id)

    async def _integrate(self, service: str, parameters: dict[str, Any], *, message_id: str) -> wire.Answer:
        return await self._call(
            service, self._settings.integration_path, parameters=parameters, changes=True, message_id=message_id
        )

    def _is_duplicate(self, answer: wire.Answer) -> bool:
        return answer.code in self._settings.duplicate_codes or answer.says(self._settings.duplicate_words)

    def _is_absent(self, answer: wire.Answer) -> bool:
        return not answer.accepted and answer.says(self._settings.absent_words)

    def _receipt(self, answer: wire.Answer, *, duplicate: bool = False) -> records.Receipt:
        if not answer.accepted:
            raise wire.refused(answer)
        return records.Receipt(
            duplicate=duplicate, remote_code=answer.code, remote_message=base.safe_text(answer.message)
        )

    # ----------------------------------------------------------------------------------------------- session

    async def _call(
        self, service: str, path: str, *, parameters: dict[str, Any], changes: bool, message_id: str | None
    ) -> wire.Answer:
        session = await self._session.current()
        for last in (False, True):
            body = wire.call(wire.SERVICES[service], session=session, agency=self._agency, parameters=parameters)
            answer = await self._post(service, path, body=body, changes=changes, message_id=message_id)
            if answer is not None and not self._session_refused(answer):
                self._session.prove(session)
                return answer
            if not last:
                session = await self._session.renew(session)
        if self._session.is_proven(session):
            raise errors.RemoteUnavailable(system=self.name, remote_code="session")
        raise errors.RemoteForbids(system=self.name, remote_code="session")

    def _session_refused(self, answer: wire.Answer) -> bool:
        return not answer.accepted and answer.says(self._settings.session_words)

    async def _post(
        self, operation: str, path: str, *, body: dict[str, Any], changes: bool, message_id: str | None
    ) -> wire.Answer | None:
        """Send one call; None where the status says that the session is not accepted."""
        options: http.Options = {
            "headers": self._headers,
            "idempotent": not changes,
            "message_id": message_id,
            "returns": _LOGIN_REFUSED,
        }
        try:
            name = wire.SERVICES.get(operation, operation)
            reply = await self._client.post_json(path, body, operation=name, **options)
        except errors.RemoteGarbled as garbled:
            if changes:
                raise errors.OutcomeUnknown(system=self.name, remote_code="garbled") from garbled
            raise
        return None if reply.status in _LOGIN_REFUSED else wire.read(reply, changes=changes)

    async def _log_in(self) -> str:
        body = wire.login(self._settings.username, self._settings.password.get_secret_value())
        try:
            answer = await self._post(
                "login", self._settings.login_path, body=body, changes=False, message_id=None
            )
        except errors.RemoteGarbled as garbled:
            # Whatever waits for this session was not sent, and must not be given up because of it.
            raise errors.RemoteUnavailable(system=self.name, remote_code="garbled", operation="login") from garbled
        if answer is None or not answer.accepted:
            code = base.safe_text(answer.code) if answer else "HTTP 401/403"
            raise errors.RemoteForbids(system=self.name, remote_code=code, operation="login")
        if not answer.session:
            raise errors.RemoteUnavailable(system=self.name, remote_code="no session", operation="login")
        return answer.session

    # ------------------------------------------------------------------------------------------------- check

    async def check(self) -> Sequence[records.CheckResult]:
        """Look at the settings, log in, read the list of agencies. Changes nothing over there."""
        found = [base.settings_check(self._settings, needed=("base_url", "username", "password", "dstcode"))]
        if not self._agency:
            found.append(
                records.CheckResult(
                    name="agency", ok=False, vi="Chưa khai mã cơ quan.", en="The agency's code is not set."
                )
            )
        try:
            await self._session.renew(await self._session.current())
            found.append(base.passed_check("login", "Đăng nhập được.", "The account is accepted."))
            agencies = await self.list_agencies()
        except errors.HubError as error:
            return [*found, base.failed_check("login" if len(found) < 2 else "read", error)]
        count = len(agencies)
        vi, en = f"Đọc được danh mục {count} cơ quan.", f"The list of {count} agencies can be read."
        return [*found, base.passed_check("read", vi, en, agencies=count)]
