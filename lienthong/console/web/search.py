"""The search that understands what is typed: dossier, message, key, official, a person's number, words."""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from lienthong.api_keys import key_store, officials
from lienthong.bus import outbox
from lienthong.bus.flows import folding
from lienthong.bus.hub import Hub
from lienthong.core import errors, storage, tables

_SEAL = "desk-search"
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_CITIZEN = re.compile(r"[0-9]{9}(?:[0-9]{3})?")
_DOSSIER = re.compile(r"[0-9A-Za-z]{2,}(?:[./-][0-9A-Za-z]+)+")
_PROCEDURE = re.compile(r"[0-9]\.[0-9]{6}(?:\.[0-9A-Z.]+)?")
_MOST = 20


@dataclass(frozen=True, slots=True)
class Meaning:
    """What was typed, as far as its form tells; of a person's number nothing is kept but that it was one."""

    kind: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found: `place` and `parts` say which page shows it, where there is one.

    `target`: the system that a message goes to.
    """

    kind: str
    title: str
    state: str
    area: str
    place: str
    parts: Mapping[str, str]
    at: Any = None
    target: str = ""


def understand(typed: str) -> Meaning:
    """Tell what was typed. A person's number goes no further than here. Raises InvalidRequest."""
    text = " ".join(typed.split())[:200]
    if not text:
        problem = errors.FieldProblem("q", "Hãy gõ nội dung cần tìm.", "Type what to look for.")
        raise errors.InvalidRequest(problems=(problem,))
    if is_person(text):
        return Meaning("person")
    if text.startswith(("lt_live_", "lt_test_")):
        return Meaning("key", key_store.shown(text))
    if _ID.fullmatch(text.lower()):
        return Meaning("id", text.lower())
    if _PROCEDURE.fullmatch(text):
        return Meaning("procedure", text)
    return Meaning("code" if _DOSSIER.fullmatch(text) else "words", text)


def is_person(typed: str) -> bool:
    """Whether this reads like a citizen's number, old or new, also written in groups."""
    return _CITIZEN.fullmatch(re.sub(r"[\s.]", "", typed)) is not None


def sealed(hub: Hub, meaning: Meaning, *, session: str) -> str:
    """Write a meaning so that it may stand in an address: nobody can read it, and only this session can use it."""
    told = orjson.dumps([meaning.kind, meaning.text])
    return base64.urlsafe_b64encode(hub.vault.seal(told, purpose=f"{_SEAL}/{session}")).decode().rstrip("=")


def unsealed(hub: Hub, token: str, *, session: str) -> Meaning:
    """Read a meaning back. Raises NotFound for one of another session, or an altered one."""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        kind, text = orjson.loads(hub.vault.open(raw, purpose=f"{_SEAL}/{session}"))
    except (errors.StorageUnavailable, ValueError) as exc:
        raise errors.NotFound(
            "this search is from another session; search again",
            detail_vi="Lượt tìm này thuộc phiên khác; hãy tìm lại.",
        ) from exc
    return Meaning(kind, text)


Finder = Callable[[Hub, str], Awaitable[list[Finding]]]


async def find(hub: Hub, meaning: Meaning) -> list[Finding]:
    """Look everywhere that this may be; for a person nowhere: that needs a reason, which another page asks for."""
    known: dict[str, tuple[Finder, ...]] = {
        "person": (),
        "key": (_keys,),
        "id": (_messages, _keys),
        "procedure": (_procedures,),
        "code": (_dossiers, _messages, _officials, _procedures),
        "words": (_officials, _keys, _procedures),
    }
    found: list[Finding] = []
    for finder in known[meaning.kind]:
        found += await finder(hub, meaning.text)
    return found[: _MOST * 2]


async def _dossiers(hub: Hub, text: str) -> list[Finding]:
    table = tables.dossiers
    wanted = sa.select(table.c.code, table.c.status, table.c.updated_at).where(table.c.code == text)
    async with hub.storage.reading() as conn:
        rows = await storage.every(conn, wanted)
    return [
        Finding(
            "dossier",
            row["code"],
            row["status"],
            "status",
            "dossiers.one",
            {"code": row["code"]},
            row["updated_at"],
        )
        for row in rows
    ]


async def _messages(hub: Hub, text: str) -> list[Finding]:
    found = await outbox.listed(hub.storage, ids=[text], limit=1) if _ID.fullmatch(text) else []
    found = found or await outbox.listed(hub.storage, lane=text, limit=_MOST)
    return [
        Finding(
            "message",
            row["id"],
            row["state"],
            "states",
            "messages.one",
            {"id": row["id"]},
            row["created_at"],
            row["target"],
        )
        for row in found
    ]


async def _keys(hub: Hub, text: str) -> list[Finding]:
    folded = folding.fold(text)
    found = []
    for it in await key_store.list_keys(hub.storage):
        named = folding.fold(f"{it.organisation} {it.system} {it.custodian}")
        if text in (it.id, it.prefix) or (folded and not text.startswith("lt_") and folded in named):
            title = f"{it.prefix}… {it.organisation}, {it.system}"
            state = it.state(hub.now())
            found.append(Finding("key", title, state, "key_states", "keys.one", {"id": it.id}, it.issued_at))
    return found[:_MOST]


async def _officials(hub: Hub, text: str) -> list[Finding]:
    found = await officials.find(hub.storage, hub.vault, text)
    if found is None:
        return []
    title = f"{found.code} · {found.unit_name or found.unit_code}"
    state = found.state(hub.now())
    return [Finding("official", title, state, "states", "officials.one", {"code": found.code}, found.changed_at)]


async def _procedures(hub: Hub, text: str) -> list[Finding]:
    table, folded = tables.procedures, folding.fold(text)
    pattern = f"%{folding.as_pattern(folded)}%"
    named = table.c.folded.like(pattern, escape="\\") if len(folded) > 2 else sa.false()
    wanted = sa.select(table.c.code, table.c.name, table.c.status, table.c.changed_at)
    async with hub.storage.reading() as conn:
        rows = await storage.every(
            conn, wanted.where(sa.or_(table.c.code == text, named)).order_by(table.c.code).limit(_MOST)
        )
    return [
        Finding(
            "procedure",
            f"{row['code']} {row['name']}",
            "in_force" if row["status"] == "active" else row["status"],
            "states",
            "procedures.one",
            {"code": row["code"]},
            row["changed_at"],
        )
        for row in rows
    ]
