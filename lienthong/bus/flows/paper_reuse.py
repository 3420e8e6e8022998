"""Papers out of the electronic data store: found and fetched for a dossier, signatures checked, the use recorded.

HG 9.2, NA 10: what a settled dossier gave is used again instead of asked for again. NA 20.1: signatures hold.
"""

from __future__ import annotations

import base64
import hashlib

import sqlalchemy as sa

from lienthong.bus.flows import lookup_book, resident_lookup, resident_views
from lienthong.bus.hub import Hub
from lienthong.connectors import roles
from lienthong.core import clock, errors, paper_signatures, people, storage, tables


async def find(
    hub: Hub, wanted: resident_views.PaperRequest, asking: resident_lookup.Asking
) -> resident_views.PapersAnswer:
    """Look for papers of an owner. The same rules as for a resident: official, open dossier, purpose."""
    allowed = await resident_lookup.allow(
        hub, wanted, asking, subject=wanted.owner_id, system=hub.settings.documents.source
    )
    found = await resident_lookup.put(
        hub,
        allowed.question,
        asking,
        lambda: _store(hub).find_papers(
            wanted.owner_id,
            wanted.wanted,
            procedure_code=allowed.question.procedure_code,
            asked_by=wanted.requester_id,
            requester_name=wanted.requester_name,
            errand=allowed.errand(),
        ),
        outcome=lambda papers: ("ok" if papers else "not_found", len(papers)),
    )
    await lookup_book.offer(hub, allowed.question, [_digest(p.agency, f.path) for p in found for f in p.files])
    return resident_views.PapersAnswer.model_validate({**allowed.about(), "papers": tuple(found)})


async def fetch(
    hub: Hub, wanted: resident_views.PaperFileRequest, asking: resident_lookup.Asking
) -> resident_views.PaperFile:
    """Fetch one file that an earlier search of the same dossier found; its use is written before it goes out."""
    before = await _search(hub, wanted, key_id=asking.caller.key_id)
    allowed = await resident_lookup.allow(
        hub, wanted, asking, subject=None, digest=before, system=hub.settings.documents.source
    )
    content = await resident_lookup.put(
        hub,
        allowed.question,
        asking,
        lambda: _within(hub, wanted, allowed.errand()),
        outcome=lambda file: ("ok", 1),
    )
    verdict = await paper_signatures.check(content, anchors=hub.anchors, now=hub.now())
    digest = hashlib.sha256(content).hexdigest()
    await _record(hub, wanted, allowed, content=content, digest=digest, verdict=verdict)
    return resident_views.PaperFile.model_validate(
        {
            **allowed.about(),
            "content": base64.b64encode(content).decode("ascii"),
            "digest": digest,
            "bytes": len(content),
            "signature": verdict.state,
            "signature_note": verdict.why_en if asking.language == "en" else verdict.why_vi,
            "signers": tuple(
                resident_views.SignerView(
                    organisation=signer.organisation, serial=signer.serial, signed_at=signer.signed_at
                )
                for signer in verdict.signers
            ),
        }
    )


async def _search(hub: Hub, wanted: resident_views.PaperFileRequest, *, key_id: str) -> str | None:
    """Insist that a search of this key for this dossier found the file; gives the digest of the owner's number."""
    looked = tables.lookups
    asked = sa.select(looked.c.subject, looked.c.offered).where(
        looked.c.id == wanted.lookup_id,
        looked.c.key_id == key_id,
        looked.c.dossier_code == wanted.dossier_code,
        looked.c.operation == "papers.find",
        looked.c.outcome == "ok",
    )
    async with hub.storage.reading() as conn:
        row = await storage.first(conn, asked)
    if row is None or _digest(wanted.agency, wanted.path) not in (row["offered"] or ()):
        raise errors.NotGranted(
            "Search for the paper first (papers.find) for the same dossier; give the lookup_id of that answer.",
            detail_vi="Hãy tìm giấy tờ trước (papers.find) cho cùng hồ sơ, rồi gửi lookup_id của trả lời đó.",
            reason="no_search",
        )
    found: str | None = row["subject"]
    return found


def _digest(agency: str, path: str) -> str:
    """Stand for a file that a search found; the path itself may name a person and is not kept."""
    return hashlib.sha256(f"{agency}\n{path}".encode()).hexdigest()[:32]


async def _within(hub: Hub, wanted: resident_views.PaperFileRequest, errand: people.Errand) -> bytes:
    store = _store(hub)
    content = await store.fetch_file(wanted.agency, wanted.path, errand=errand)
    if len(content) > hub.settings.documents.most_bytes:
        raise errors.RemoteGarbled(
            "the file is larger than the hub takes",
            detail_vi="Tệp lớn hơn mức trục tiếp nhận.",
            system=store.name,
        )
    return content


async def _record(
    hub: Hub,
    wanted: resident_views.PaperFileRequest,
    allowed: resident_lookup.Allowed,
    *,
    content: bytes,
    digest: str,
    verdict: paper_signatures.Verdict,
) -> None:
    values = {
        "id": clock.new_id(),
        "at": hub.now(),
        "lookup_id": allowed.question.id,
        "dossier_code": wanted.dossier_code,
        "official_code": allowed.official.code,
        "organisation": allowed.question.organisation,
        "paper_code": wanted.paper_code,
        "paper_number": wanted.paper_number,
        "agency": wanted.agency,
        "digest": digest,
        "bytes": len(content),
        "signature": verdict.state,
        "signers": [{"organisation": signer.organisation, "serial": signer.serial} for signer in verdict.signers],
    }
    async with hub.storage.transaction() as tx:
        await tx.execute(tables.paper_uses.insert().values(**values))


def _store(hub: Hub) -> roles.DocumentStore:
    found: roles.DocumentStore = hub.offered(hub.settings.documents.source)
    return found
