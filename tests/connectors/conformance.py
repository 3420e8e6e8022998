"""What every connector promises, by role. A connector's tests subclass these and give a `Stage`."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from lienthong.connectors import http, registry
from lienthong.core import errors, records
from lienthong.sandbox import app as sandbox_app

SECRET = "demo-password"
Fault = Callable[[httpx.Request], httpx.Response | None]


class Disturbed(httpx.AsyncBaseTransport):
    """Carries calls to the sandbox in process, remembers them, and lets a test answer in its place."""

    def __init__(self, app: sandbox_app.Sandbox) -> None:
        self._below = httpx.ASGITransport(app=app)
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.fault: Fault | None = None
        self.lose_answers = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(await request.aread())
        self.sent.append((request.url.path, body))
        await asyncio.sleep(0)  # in process nothing else would wait, and calls would not overlap
        answer = self.fault(request) if self.fault else None
        if answer is not None:
            return answer
        answer = await self._below.handle_async_request(request)
        if self.lose_answers and not request.url.path.endswith("login"):
            self.lose_answers -= 1
            raise httpx.ReadTimeout("lost")
        return answer

    def services(self) -> list[str]:
        """The services called so far."""
        return [str(body.get("service", path.rpartition("/")[2])) for path, body in self.sent]


@dataclass
class Stage:
    """A connector before a sandbox, with everything that left it."""

    contract: str
    settings: dict[str, Any]
    app: sandbox_app.Sandbox = field(default_factory=sandbox_app.create_app)
    exchanges: list[http.Exchange] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.wire = Disturbed(self.app)
        self.connector: Any = self.open()

    def open(self, transport: httpx.AsyncBaseTransport | None = None, **changed: Any) -> Any:
        return registry.open_connector(
            self.contract,
            {"base_url": f"http://sandbox/{self.contract}", **self.settings, **changed},
            agency_code="000.00.00.H38",
            on_exchange=self.exchanges.append,
            clock=lambda: datetime.now(UTC),
            transport=transport or self.wire,
        )

    def answer_all(self, answer: Callable[[], httpx.Response]) -> None:
        """Answer every call but the login in the sandbox's place."""
        self.wire.fault = lambda request: None if request.url.path.endswith("login") else answer()


def text(body: str, status: int = 200, **headers: str) -> Callable[[], httpx.Response]:
    """An answer with this body, fresh each time."""
    return lambda: httpx.Response(status, text=body, headers=headers)


def fails(error: Exception) -> Callable[[], httpx.Response]:
    """No answer but this failure on the way."""

    def answer() -> httpx.Response:
        raise error

    return answer


class ConnectorPromises:
    """What holds for every connector; `ask` is its plainest reading call."""

    @pytest.fixture
    def stage(self) -> Stage:
        raise NotImplementedError

    async def ask(self, stage: Stage) -> Any:
        raise NotImplementedError

    @pytest.mark.parametrize(
        "answer",
        [
            fails(httpx.ConnectError("refused")),
            fails(httpx.ReadTimeout("slow")),
            text("bad gateway", 502),
            text("<html>Request Rejected</html>"),
            text(""),
        ],
        ids=["no connection", "no answer", "502", "html", "empty"],
    )
    async def test_trouble_that_may_pass_is_to_be_tried_again(self, stage: Stage, answer: Any) -> None:
        stage.answer_all(answer)
        with pytest.raises(errors.RemoteUnavailable) as raised:
            await self.ask(stage)
        assert raised.value.system == stage.contract

    async def test_a_busy_system_says_when_to_come_back(self, stage: Stage) -> None:
        stage.answer_all(text("later", 429, **{"Retry-After": "7"}))
        with pytest.raises(errors.RemoteBusy) as raised:
            await self.ask(stage)
        assert raised.value.retry_after_s == 7

    @pytest.mark.parametrize("body", ['{"error_code":0,"result":[', "[]", "17", '"text"', "{}"])
    async def test_an_answer_that_cannot_be_read_is_garbled(self, stage: Stage, body: str) -> None:
        stage.answer_all(text(body))
        with pytest.raises(errors.RemoteGarbled):
            await self.ask(stage)

    async def test_an_answer_without_end_is_given_up(self, stage: Stage) -> None:
        small = stage.open(max_answer_bytes=1024)
        stage.answer_all(text("x" * 2048))
        stage.connector = small
        with pytest.raises(errors.RemoteGarbled):
            await self.ask(stage)

    async def test_every_call_leaves_one_exchange(self, stage: Stage) -> None:
        await self.ask(stage)
        stage.answer_all(text("bad gateway", 502))
        with pytest.raises(errors.RemoteUnavailable):
            await self.ask(stage)
        assert len(stage.exchanges) == len(stage.wire.sent)
        assert {it.system for it in stage.exchanges} == {stage.contract}

    async def test_a_check_finds_all_well_and_changes_nothing(self, stage: Stage) -> None:
        assert all(it.ok for it in await stage.connector.check())
        assert not set(stage.wire.services()) & {"DongBoHoSoMC", "CapNhatTienDoHoSoMC"}

    async def test_a_check_of_a_system_that_is_down_says_so_in_both_languages(self, stage: Stage) -> None:
        stage.wire.fault = lambda request: fails(httpx.ConnectError("down"))()
        failed = [it for it in await stage.connector.check() if not it.ok]
        assert failed
        assert all(it.vi and it.en for it in failed)

    async def test_no_secret_reaches_a_log_an_error_or_the_journal(
        self, stage: Stage, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        await self.ask(stage)
        secrets = {SECRET} | {body["session"] for _, body in stage.wire.sent if body.get("session")}
        stage.answer_all(lambda: httpx.Response(403, text="no"))
        with pytest.raises(errors.RemoteError) as raised:
            await self.ask(stage)
        shown = caplog.text + str(raised.value) + repr(stage.exchanges) + repr(raised.value.facts)
        assert not [secret for secret in secrets if secret in shown]


class CataloguePromises(ConnectorPromises):
    """What holds for every ProcedureCatalogue."""

    async def ask(self, stage: Stage) -> Any:
        return await stage.connector.list_procedures()

    async def test_the_whole_list_comes_with_names_and_each_detail_can_be_had(self, stage: Stage) -> None:
        rows = await stage.connector.list_procedures()
        assert len(rows) >= 60
        for row in rows[:20]:
            fetched = await stage.connector.get_procedure(row)
            assert (fetched.procedure.code, fetched.procedure.name) == (row.code, row.name)

    async def test_a_detail_that_is_gone_is_a_refusal_not_a_crash(self, stage: Stage) -> None:
        absent = records.ListedProcedure(code="9.999999", name="Không có", key="9.999999")
        with pytest.raises(errors.RemoteRefused):
            await stage.connector.get_procedure(absent)


def snapshot(**changed: Any) -> records.DossierSnapshot:
    """A citizen's dossier that any receiver should take; `changed` goes into the dossier."""
    submitted = datetime(2026, 1, 15, 1, 30, tzinfo=UTC)
    applicant = records.Applicant(
        kind="citizen", name="NGUYỄN VĂN AN", citizen_id="001099000001", phone="0900000000"
    )
    dossier = {
        "code": "H56.14-260115-0001",
        "procedure_code": "1.001193",
        "applicant": applicant,
        "summary": "Đăng ký khai sinh cho trẻ",
        "channel": "online",
        "submitted_at": submitted,
        "received_at": submitted + timedelta(minutes=30),
        "due_at": submitted + timedelta(days=1),
        "agency": "UBND phường Hạc Thành",
        **changed,
    }
    facts = records.ProcedureFacts(
        code="1.001193", name="Đăng ký khai sinh", field_code="G15-TP07", field_name="Hộ tịch", version=1
    )
    return records.DossierSnapshot(
        dossier=records.Dossier.model_validate(dossier), procedure=facts, status=records.Status.RECEIVED
    )


def step(code: str = "H56.14-260115-0001") -> records.ProgressStep:
    """One step of that dossier."""
    change = records.StatusChange(
        status=records.Status.RECEIVED,
        occurred_at=datetime(2026, 1, 15, 2, 0, tzinfo=UTC),
        handled_by="Trần Thị Bình",
        note="Tiếp nhận hồ sơ",
    )
    return records.ProgressStep(dossier_code=code, change=change)


class ReceiverPromises(ConnectorPromises):
    """What holds for every DossierReceiver."""

    async def ask(self, stage: Stage) -> Any:
        return await stage.connector.has_dossier("H56.14-260115-0009")

    async def put(self, stage: Stage, **how: Any) -> records.Receipt:
        how = {"known": False, "look_first": False, **how}
        receipt: records.Receipt = await stage.connector.put_dossier(
            how.pop("snapshot", snapshot()), message_id="m1", **how
        )
        return receipt

    def held(self, stage: Stage) -> Any:
        return stage.app.held.ledger.dossiers

    async def test_a_dossier_is_held_after_it_was_put(self, stage: Stage) -> None:
        assert not await stage.connector.has_dossier("H56.14-260115-0001")
        assert not (await self.put(stage)).duplicate
        assert await stage.connector.has_dossier("H56.14-260115-0001")

    async def test_the_same_message_twice_is_success(self, stage: Stage) -> None:
        await self.put(stage)
        assert (await self.put(stage)).duplicate
        assert len(self.held(stage)) == 1

    async def test_a_lost_answer_is_an_unknown_outcome_and_looking_first_settles_it(self, stage: Stage) -> None:
        await stage.connector.has_dossier("x")
        stage.wire.lose_answers = 1
        with pytest.raises(errors.OutcomeUnknown):
            await self.put(stage)
        assert (await self.put(stage, look_first=True)).duplicate
        assert len(self.held(stage)) == 1

    async def test_looking_first_creates_what_never_arrived(self, stage: Stage) -> None:
        assert not (await self.put(stage, look_first=True)).duplicate
        assert len(self.held(stage)) == 1

    async def test_an_update_of_what_is_not_there_creates_it(self, stage: Stage) -> None:
        await self.put(stage, known=True)
        assert len(self.held(stage)) == 1

    async def test_a_step_whose_answer_was_lost_is_not_sent_again_by_itself(self, stage: Stage) -> None:
        await self.put(stage)
        stage.wire.lose_answers = 1
        with pytest.raises(errors.OutcomeUnknown):
            await stage.connector.append_progress(step(), message_id="m2")
        assert stage.wire.services().count("CapNhatTienDoHoSoMC") == 1

    async def test_a_broken_answer_to_a_change_leaves_the_outcome_unknown(self, stage: Stage) -> None:
        stage.answer_all(text('{"error_code":0,'))
        with pytest.raises(errors.OutcomeUnknown):
            await self.put(stage)

    async def test_a_refusal_is_final_and_repeats_no_personal_number(self, stage: Stage) -> None:
        stage.answer_all(
            text('{"error_code":"-9","message":"Số 001099000001 của an@example.invalid không hợp lệ"}')
        )
        with pytest.raises(errors.RemoteRefused) as raised:
            await self.put(stage)
        assert "001099000001" not in str(raised.value)
        assert "an@example" not in raised.value.detail("vi")
        assert "không hợp lệ" in raised.value.detail("vi")
        assert raised.value.remote_code == "-9"
