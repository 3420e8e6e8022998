"""A lookup from the caller's request to the register's book, over REST and SOAP, with the real connector."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import doors
import httpx
import lookup_town
import pytest
from lookup_town import CODE, Town

from lienthong.core import clock, tables
from lienthong.sandbox import app as sandboxes

SYSTEM = "population_c06"
# An official whom the sandbox's population database knows, too, and a resident of it.
OFFICIAL, ACCOUNT, PHONE = "CB000204", "cb000204", "0900000204"
NUMBER, NAME = "001099000001", "Nguyễn Văn An"
PURPOSE = "Đối chiếu người yêu cầu đăng ký khai sinh"
SECTION = {
    "enabled": True,
    "base_url": "http://sandbox/population_c06",
    "service_path": "/r1/VN/GOV/C06/dancu",
    "username": "UBND_DEMO",
    "secret_key": "C06SECRET",
    "api_key": "demo-api-key",
    "xroad_client": "VN/GOV/000.00.00.H38/lgsp",
}


@dataclass
class Street:
    """A caller in front of the door, the hub behind it, and the imitated register behind that."""

    town: Town
    sandbox: sandboxes.Sandbox
    caller: httpx.AsyncClient

    def body(self, **changed: Any) -> dict[str, Any]:
        citizen = {"citizen_id": NUMBER, "full_name": NAME, "birth": {"day": "1999-01-15"}}
        return {"dossier_code": CODE, "purpose": PURPOSE, "citizen": citizen, **changed}

    def headers(self, **changed: Any) -> dict[str, str]:
        return {"X-Official-Assertion": self.town.assertion(sub=ACCOUNT, **changed)}

    async def look_up(self, **changed: Any) -> httpx.Response:
        return await self.caller.post("/v1/residents/look-up", json=self.body(**changed), headers=self.headers())

    def asked(self) -> int:
        return self.sandbox.held.ledger.received(wanted={"system": SYSTEM}, limit=1000, offset=0)[0]


@asynccontextmanager
async def opened(home: Path, database_url: str = "") -> AsyncIterator[Street]:
    app = sandboxes.create_app()
    async with lookup_town.opened(
        home,
        database_url=database_url,
        begun=clock.now(),
        systems={SYSTEM: SECTION},
        transports={SYSTEM: httpx.ASGITransport(app=app)},
    ) as town:
        await lookup_town.register_official(town.hub, code=OFFICIAL, account=ACCOUNT, **sealed(town))
        await with_a_known_procedure(town)
        async with doors.client(town.hub, key=town.key) as caller:
            yield Street(town, app, caller)


def sealed(town: Town) -> dict[str, Any]:
    import orjson

    held = {"full_name": "Hoàng Văn Mã Cũ", "phone": PHONE, "email": "", "position": ""}
    return {"record": town.hub.vault.seal(orjson.dumps(held), purpose="official")}


async def with_a_known_procedure(town: Town) -> None:
    """Give the procedure the service code under which the register knows it."""
    from lienthong.bus.flows import lookup_book

    await lookup_book.set_rule(
        town.hub,
        "1.000001",
        groups=("residents.identity", "residents.basic"),
        service_code="G15-TP110",
        reason="mã được cấp",
        actor="test",
    )


@pytest.fixture
async def street(database_url: str, tmp_path: Path) -> AsyncIterator[Street]:
    async with opened(tmp_path / "home", database_url) as found:
        yield found


async def test_a_lookup_goes_from_the_door_to_the_register_and_back(street: Street) -> None:
    answer = await street.look_up()
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["found"] is True
    assert told["resident"]["basic"]["full_name"] == NAME.upper()
    assert told["resident"]["residence"] is None
    assert street.asked() == 1


async def test_the_record_says_who_asked_for_what_and_never_about_whom_in_clear(street: Street) -> None:
    answer = await street.look_up()
    rows = [row for row in await doors.journal(street.town.hub) if row.operation == "residents.look_up"]
    [row] = rows
    assert (row.official, row.purpose, row.dossier_code) == (OFFICIAL, PURPOSE, CODE)
    assert row.request_id == answer.headers["x-request-id"]
    assert row.field_groups == "residents.identity,residents.basic"
    assert row.rows == 1
    assert "population_c06" in row.upstream
    assert row.subject == street.town.hub.subjects.digest(NUMBER, at=row.at)


async def test_a_refusal_is_recorded_with_official_and_reason(street: Street) -> None:
    async with street.town.hub.storage.transaction() as tx:
        await tx.execute(tables.officials.update().values(unit_code="H38.99", unit_name="Công an"))
    answer = await street.look_up()
    assert answer.status_code == 403
    [row] = [row for row in await doors.journal(street.town.hub) if row.operation == "residents.look_up"]
    assert (row.official, row.outcome, row.rule) == (OFFICIAL, "Client.NotGranted", "other_unit")
    assert street.asked() == 0


async def test_while_the_record_cannot_be_written_no_question_goes_out(street: Street) -> None:
    assert (await street.look_up()).status_code == 200
    with no_more_writing(street.town.hub.settings.home / "spool"):
        # The first call after the disk refuses may find out only when it writes: its answer does not go out.
        answers = [(await street.look_up()).status_code for _ in range(3)]
        before = street.asked()
        answers += [(await street.look_up()).status_code for _ in range(5)]
    assert set(answers) == {503}
    assert street.asked() == before


@contextmanager
def no_more_writing(folder: Path) -> Iterator[None]:
    """Make the open files of a folder refuse every write, as a disk does that has failed."""
    held = {}
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if Path(os.readlink(entry)).is_relative_to(folder.resolve()):
                held[int(entry.name)] = os.dup(int(entry.name))
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        for number in held:
            os.dup2(full, number)
        yield
    finally:
        os.close(full)
        for number, before in held.items():
            os.dup2(before, number)
            os.close(before)


async def test_the_same_lookup_over_soap_has_the_same_answer_and_record(street: Street) -> None:
    text = (
        '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns:lt="urn:lienthong:v1">'
        "<soap:Body>"
        f"<lt:residents.look_up><lt:dossier_code>{CODE}</lt:dossier_code><lt:purpose>{PURPOSE}</lt:purpose>"
        f"<lt:citizen><lt:citizen_id>{NUMBER}</lt:citizen_id><lt:full_name>{NAME}</lt:full_name>"
        "<lt:birth><lt:day>1999-01-15</lt:day></lt:birth></lt:citizen></lt:residents.look_up>"
        "</soap:Body></soap:Envelope>"
    )
    headers = {**street.headers(), "content-type": "text/xml; charset=utf-8", "soapaction": '""'}
    answer = await street.caller.post("/soap/v1", content=text.encode(), headers=headers)
    assert answer.status_code == 200, answer.text
    assert NAME.upper() in answer.text
    [row] = [row for row in await doors.journal(street.town.hub) if row.operation == "residents.look_up"]
    assert (row.door, row.official, row.dossier_code, row.rows) == ("soap", OFFICIAL, CODE, 1)


async def test_an_idempotency_key_never_keeps_an_answer_about_a_person(street: Street) -> None:
    body, headers = street.body(), {**street.headers(), "Idempotency-Key": "mot-lan"}
    first = await street.caller.post("/v1/residents/look-up", json=body, headers=headers)
    again = await street.caller.post("/v1/residents/look-up", json=body, headers=headers)
    assert first.status_code == 200
    assert again.status_code == 409
    assert "không được lưu lại" in again.json()["detail"]
    assert street.asked() == 1


@pytest.mark.parametrize(
    ("mood", "status"),
    [
        ({"name": "quota", "system": SYSTEM}, 503),
        ({"name": "forbidden", "system": SYSTEM}, 502),
        ({"name": "garbage_html", "system": SYSTEM}, 503),
        ({"name": "outage", "system": SYSTEM, "kind": "503"}, 503),
    ],
)
async def test_a_bad_day_over_there_is_told_in_words_and_is_in_the_book(
    street: Street, mood: dict[str, Any], status: int
) -> None:
    street.sandbox.held.weather.put(mood)
    answer = await street.look_up()
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]
    [row] = await street.town.book()
    assert row["outcome"].startswith("Server.Remote.")
    assert row["answered_at"] is not None


async def test_no_number_and_no_name_is_left_anywhere_in_clear(
    street: Street, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await street.look_up()
    await street.look_up(purpose=f"Xem {NUMBER}")
    await street.look_up(citizen={"citizen_id": NUMBER, "full_name": "x" * 300, "birth": {"year": 1}})
    street.sandbox.held.weather.put({"name": "garbage_json", "system": SYSTEM})
    await street.look_up()
    await street.town.hub.journal.flush()
    wanted = (NUMBER.encode(), NAME.upper().encode(), NAME.encode())
    for folder, _, files in os.walk(tmp_path / "home"):
        for name in files:
            content = (Path(folder) / name).read_bytes()
            assert not any(text in content for text in wanted), name
    assert not any(text.decode() in caplog.text for text in wanted)
