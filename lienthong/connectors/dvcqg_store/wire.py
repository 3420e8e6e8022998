"""Questions and answers as the store spells them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any

from lienthong.connectors import base, http, outcomes
from lienthong.core import errors, people
from lienthong.mappings import engine

SYSTEM = "dvcqg_store"
MAPPING = engine.load(SYSTEM)
NAMES = MAPPING.envelope
_PAPER = MAPPING.message("paper")
_WANTED = MAPPING.message("wanted")
_UNFIT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f<>:\"|?*\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def search(
    owner: str,
    wanted: Sequence[people.StoredPaperWanted],
    *,
    procedure_code: str,
    asked_by: str,
    requester_name: str,
) -> dict[str, Any]:
    """Ask for papers of an owner, as an official does."""
    return {
        NAMES["owner"]: owner,
        NAMES["requester_name"]: requester_name,
        NAMES["channel"]: NAMES["by_an_official"],
        NAMES["asked_by"]: asked_by,
        NAMES["procedure"]: procedure_code,
        NAMES["wanted"]: [_WANTED.to_wire(one) for one in wanted],
    }


def fetch(agency: str, path: str) -> dict[str, str]:
    """Ask for one file."""
    return {NAMES["agency"]: agency, NAMES["path"]: path}


def papers(reply: http.Reply) -> tuple[people.StoredPaper, ...]:
    """Read what was found."""
    found = _result(reply)
    rows = (found or {}).get(NAMES["papers"]) if found is None or isinstance(found, dict) else found
    if rows is None:
        return ()
    if not isinstance(rows, list) or any(not isinstance(row, dict) for row in rows):
        raise outcomes.garbled("no list of papers", system=SYSTEM)
    return tuple(_with_safe_names(_PAPER.from_wire(row)) for row in rows)


def _with_safe_names(paper: people.StoredPaper) -> people.StoredPaper:
    files = tuple(it.model_copy(update={"name": safe_name(it.name)}) for it in paper.files)
    return paper.model_copy(update={"files": files})


def safe_name(name: str) -> str:
    """Give a file's name without folders and without marks that a file system or a reader could be misled by."""
    last = re.split(r"[/\\]", name)[-1]
    return _UNFIT_IN_NAMES.sub("", last).strip(". ") or NAMES["nameless"]


def content(reply: http.Reply, *, most_bytes: int) -> bytes:
    """Read a file out of an answer: base64, in the envelope or bare. Raises RemoteGarbled where it is none."""
    text = _result(reply, bare=True)
    if not isinstance(text, str) or not text.strip():
        raise outcomes.garbled("no file in the answer", system=SYSTEM)
    packed = "".join(text.split())
    if len(packed) * 3 // 4 > most_bytes + 2:
        raise outcomes.garbled("the file is larger than is fetched", system=SYSTEM)
    try:
        found = base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError):
        raise outcomes.garbled("the file is not base64", system=SYSTEM) from None
    if not found or len(found) > most_bytes:
        raise outcomes.garbled("the file is empty or larger than is fetched", system=SYSTEM)
    return found


def _result(reply: http.Reply, *, bare: bool = False) -> Any:
    """Take the result out of an envelope; the sentence beside a refusal is dropped: it may name somebody."""
    start = reply.body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start in (b"", b"<"):
        raise errors.RemoteUnavailable(system=SYSTEM, remote_code="html" if start else "empty")
    if bare and start not in (b"{", b"[", b'"'):
        return reply.body.decode("ascii", "replace")
    body = reply.json()
    if bare and isinstance(body, str):
        return body
    if not isinstance(body, dict) or NAMES["code"] not in body:
        raise outcomes.garbled("no envelope", system=SYSTEM)
    code = str(body[NAMES["code"]])
    if code != NAMES["ok"]:
        raise errors.RemoteRefused(system=SYSTEM, remote_code=base.safe_text(code)[:40])
    return body.get(NAMES["result"])
