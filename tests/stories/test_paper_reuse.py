"""Stories of papers out of the electronic data store: searched, fetched, checked, and the use written down."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lookup_town
import pytest
import sqlalchemy as sa
from lookup_town import CODE, NUMBER, OFFICIAL, Town

from lienthong.bus.flows import paper_reuse, resident_views
from lienthong.core import errors, people, storage, tables

PAPER = people.StoredPaper(
    code="KQ.G15.000001",
    title="Giấy khai sinh",
    number="01/2026",
    agency="000.00.00.H38",
    files=(people.StoredFile(name="khai-sinh.pdf", path="/kho/khai-sinh.pdf"),),
)
UNSIGNED = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


@dataclass
class Store:
    """The electronic data store with one paper in it."""

    name: str = "dvcqg_store"
    content: bytes = UNSIGNED
    searches: list[str] = field(default_factory=list)
    fetches: list[str] = field(default_factory=list)

    async def find_papers(
        self, owner: str, wanted: Sequence[people.StoredPaperWanted], **about: Any
    ) -> Sequence[people.StoredPaper]:
        self.searches.append(owner)
        return [PAPER] if wanted[0].code == PAPER.code else []

    async def fetch_file(self, agency: str, path: str, *, errand: people.Errand) -> bytes:
        self.fetches.append(path)
        return self.content

    async def close(self) -> None:
        return None


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with lookup_town.opened(tmp_path / "home", database_url=database_url, grants=("papers.*",)) as opened:
        opened.hub.systems = {**opened.hub.systems, "dvcqg_store": Store()}
        yield opened


def store(town: Town) -> Store:
    found: Any = town.hub.systems["dvcqg_store"]
    return found


async def find(town: Town, code: str = PAPER.code) -> resident_views.PapersAnswer:
    request = resident_views.PaperRequest.model_validate(
        {
            "dossier_code": CODE,
            "purpose": "Dùng lại giấy khai sinh",
            "owner_id": NUMBER,
            "requester_id": NUMBER,
            "requester_name": "Nguyễn Văn Mẫu",
            "wanted": [{"code": code}],
        }
    )
    return await paper_reuse.find(town.hub, request, town.asking("papers.find"))


async def fetch(town: Town, lookup_id: str, **changed: Any) -> resident_views.PaperFile:
    request = resident_views.PaperFileRequest.model_validate(
        {
            "dossier_code": CODE,
            "purpose": "Dùng lại giấy khai sinh",
            "lookup_id": lookup_id,
            "paper_code": PAPER.code,
            "agency": PAPER.agency,
            "path": PAPER.files[0].path,
            **changed,
        }
    )
    return await paper_reuse.fetch(town.hub, request, town.asking("papers.fetch"))


async def uses(town: Town) -> list[dict[str, Any]]:
    async with town.hub.storage.reading() as conn:
        return await storage.every(conn, sa.select(tables.paper_uses))


async def test_a_paper_is_found_fetched_and_its_use_written_down(town: Town) -> None:
    found = await find(town)
    assert [paper.title for paper in found.papers] == ["Giấy khai sinh"]
    file = await fetch(town, found.lookup_id)
    assert base64.b64decode(file.content) == UNSIGNED
    assert file.digest == hashlib.sha256(UNSIGNED).hexdigest()
    [use] = await uses(town)
    assert (use["dossier_code"], use["official_code"], use["digest"]) == (CODE, OFFICIAL, file.digest)
    assert [row["outcome"] for row in await town.book()] == ["ok", "ok"]


async def test_a_paper_without_a_signature_goes_out_saying_so(town: Town) -> None:
    file = await fetch(town, (await find(town)).lookup_id)
    assert file.signature in ("unsigned", "unreadable")
    assert file.signature_note


async def test_a_file_cannot_be_fetched_without_a_search_for_the_same_dossier(town: Town) -> None:
    with pytest.raises(errors.NotGranted) as caught:
        await fetch(town, "019bc0de-7000-7000-8000-000000000002")
    assert caught.value.facts["reason"] == "no_search"
    assert store(town).fetches == []


async def test_a_search_that_found_nothing_opens_no_file(town: Town) -> None:
    nothing = await find(town, "KQ.KHAC")
    assert nothing.papers == ()
    with pytest.raises(errors.NotGranted):
        await fetch(town, nothing.lookup_id)


async def test_a_file_that_the_search_did_not_find_cannot_be_fetched(town: Town) -> None:
    found = await find(town)
    with pytest.raises(errors.NotGranted):
        await fetch(town, found.lookup_id, path="/kho/cua-nguoi-khac.pdf")
    assert store(town).fetches == []


async def test_a_file_that_is_too_large_does_not_go_out_and_is_no_use(town: Town) -> None:
    found = await find(town)
    few = town.hub.settings.documents.model_copy(update={"most_bytes": 1000})
    town.hub.settings = town.hub.settings.model_copy(update={"documents": few})
    store(town).content = b"%PDF" + bytes(2000)
    with pytest.raises(errors.RemoteGarbled):
        await fetch(town, found.lookup_id)
    assert await uses(town) == []
