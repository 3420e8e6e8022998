"""Stories of the national shared catalogues, through both doors, with the real connector before the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import builders
import doors
import httpx
import pytest

from lienthong.bus import hub as hubs
from lienthong.sandbox import app as sandboxes

SECTION = {
    "enabled": True,
    "base_url": "http://sandbox/ngsp",
    "consumer_key": "demoConsumerKey",
    "consumer_secret": "demoConsumerSecret",
}
SOAP = (
    '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns:lt="urn:lienthong:v1"><soap:Body>'
    "<lt:catalogues.get><lt:code>madantoc</lt:code></lt:catalogues.get></soap:Body></soap:Envelope>"
)


@dataclass
class Library:
    """A caller, the hub, and the imitated platform."""

    hub: hubs.Hub
    sandbox: sandboxes.Sandbox
    caller: httpx.AsyncClient


@pytest.fixture
async def library(database_url: str, tmp_path: Path) -> AsyncIterator[Library]:
    app = sandboxes.create_app()
    async with builders.running_hub(
        tmp_path / "home",
        database_url=database_url,
        systems={**builders.NOBODY, "ngsp": SECTION},
        transports={"ngsp": httpx.ASGITransport(app=app)},
    ) as hub:
        key = (await builders.issue_key(hub, grants=("catalogues.*",))).key
        async with doors.client(hub, key=key) as caller:
            yield Library(hub, app, caller)


async def test_a_catalogue_comes_with_its_columns_and_every_row(library: Library) -> None:
    answer = await library.caller.get("/v1/catalogues/madantoc")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["code"], told["source"]) == ("madantoc", "ngsp")
    assert [column["code"] for column in told["columns"]] == ["MA", "TEN"]
    assert {"values": {"MA": "01", "TEN": "Kinh"}} in told["rows"]


async def test_the_same_catalogue_is_read_over_soap(library: Library) -> None:
    headers = {"content-type": "text/xml; charset=utf-8", "soapaction": '""'}
    answer = await library.caller.post("/soap/v1", content=SOAP.encode(), headers=headers)
    assert answer.status_code == 200, answer.text
    assert "Kinh" in answer.text


async def test_the_record_says_who_read_what_and_how_much(library: Library) -> None:
    answer = await library.caller.get("/v1/catalogues/magioitinh")
    [row] = [one for one in await doors.journal(library.hub) if one.operation == "catalogues.get"]
    assert (row.request_id, row.rows, row.outcome) == (answer.headers["x-request-id"], 3, "ok")
    assert "ngsp" in row.upstream


async def test_the_names_are_known_and_a_catalogue_without_rows_is_no_failure(library: Library) -> None:
    listed = (await library.caller.get("/v1/catalogues")).json()
    assert {"madantoc", "magioitinh", "qlvanbandieuhanhcap4"} <= set(listed["items"])
    answer = await library.caller.get("/v1/catalogues/dokhanvanban")
    assert (answer.status_code, answer.json()["rows"]) == (200, [])


async def test_a_catalogue_that_does_not_exist_is_not_found_in_words(library: Library) -> None:
    answer = await library.caller.get("/v1/catalogues/khongco")
    assert (answer.status_code, answer.json()["code"]) == (404, "Client.NotFound")
    assert "khongco" in answer.json()["detail"]


@pytest.mark.parametrize("mood", [{"name": "outage", "system": "ngsp", "kind": "503"}, {"name": "garbage_html"}])
async def test_a_bad_day_over_there_is_told_as_that(library: Library, mood: dict[str, str]) -> None:
    library.sandbox.held.weather.put({"system": "ngsp", **mood})
    answer = await library.caller.get("/v1/catalogues/madantoc")
    assert answer.status_code == 503
    assert answer.json()["code"].startswith("Server.Remote.")


async def test_whoever_was_not_granted_it_reads_nothing(library: Library) -> None:
    other = (await builders.issue_key(library.hub, grants=("procedures.*",))).key
    answer = await library.caller.get("/v1/catalogues/madantoc", headers={"X-API-Key": other})
    assert answer.status_code == 403
    assert library.sandbox.held.ledger.received(wanted={"system": "ngsp"}, limit=10, offset=0)[0] == 0


async def test_a_hub_without_the_platform_says_so(tmp_path: Path) -> None:
    async with builders.running_hub(tmp_path / "home", systems=builders.NOBODY) as hub:
        key = (await builders.issue_key(hub)).key
        async with doors.client(hub, key=key) as caller:
            for path in ("/v1/catalogues", "/v1/catalogues/madantoc"):
                assert (await caller.get(path)).status_code == 501
