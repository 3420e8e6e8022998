"""What is done to API keys from the desk: issue and hand over, approve, rotate, limit, grant, suspend, revoke."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from starlette.responses import Response

from lienthong.api_keys import grants, keys, regranting
from lienthong.bus import operations
from lienthong.console import key_sheet
from lienthong.console.web import grant_matrix
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.core import errors

routes = Routes()
_LINES = re.compile(r"[\n;]+")
_ITEMS = re.compile(r"[\n,;]+")
_TEXTS = ("organisation", "system", "custodian", "contact", "purpose", "decision_number")
_FILLED = (*_TEXTS, "limits", "addresses", "hours", "expires")


@routes.page("keys.new")
async def new(visit: Visit) -> Response:
    """Show the order of a new key."""
    filled = dict.fromkeys(_FILLED, "") | {"limits": "600/minute\n50000/day", "expires": "365d"}
    return _order(visit, filled, held=())


@routes.act("keys.issue")
async def issue(visit: Visit) -> Response:
    """Issue a key and show it once; an order with faults comes back as it was filled in."""
    chosen, now = visit.hub.settings.keys, visit.now
    wanted = _granted(visit)
    try:
        order = keys.Order(
            **{name: visit.text(name) for name in _TEXTS},
            grants=wanted,
            limits=_split(_ITEMS, visit.text("limits")),
            addresses=_split(_ITEMS, visit.text("addresses")),
            hours=_split(_LINES, visit.text("hours")),
            expires_at=now + keys.read_lifetime(visit.text("expires")),
        )
        issued = await keys.issue(
            visit.hub.storage,
            visit.hub.vault,
            order,
            known_operations=operations.NAMES,
            environment=chosen.environment,
            longest_days=chosen.longest_days,
            actor=visit.who.name,
            now=now,
            two_people=chosen.two_people,
            confirm_every_days=chosen.confirm_every_days,
        )
    except errors.InvalidRequest as exc:
        kept = {name: visit.text(name) for name in _FILLED}
        return _order(visit, kept, held=wanted, wrong=exc)
    return _shown_once(visit, issued)


@routes.act("keys.rotate")
async def rotate(visit: Visit) -> Response:
    """Make the next generation of a key and show it once."""
    act = visit.act("keys.rotate")
    issued = await keys.rotate(
        visit.hub.storage,
        visit.hub.vault,
        visit.param("id"),
        overlap=keys.read_overlap(visit.text("overlap")),
        reason=act.reason,
        actor=act.actor,
        now=act.now,
    )
    return _shown_once(visit, issued, overlap=keys.read_overlap(visit.text("overlap")))


@routes.act("keys.sheet")
async def sheet(visit: Visit) -> Response:
    """Give the hand-over sheet as a file to print; with the key only where this very key was posted along."""
    record, text = await keys.show(visit.hub.storage, visit.param("id")), visit.text("key")
    if text:
        digest = visit.hub.vault.digest(text.encode(), purpose=keys.DIGEST_PURPOSE)
        found = await keys.find(visit.hub.storage, digest)
        if found is None or found[0].id != record.id:
            raise errors.InvalidRequest("this is not this key", detail_vi="Đây không phải khoá này.")
    page = key_sheet.page(record, visit.hub.settings.agency.name, now=visit.now, key=text or None)
    headers = {"content-disposition": f'attachment; filename="khoa-{record.prefix}.html"'}
    return Response(page.encode(), media_type="text/html; charset=utf-8", headers=headers)


@routes.act("keys.approve")
async def approve(visit: Visit) -> Response:
    """Let a key, or the grants that somebody asked for it, be in force: by another person."""
    changed = await keys.approve(visit.hub.storage, visit.param("id"), **_why(visit))
    return visit.go("keys.one", id=changed.id, said="keys.approved")


@routes.act("keys.suspend")
async def suspend(visit: Visit) -> Response:
    """Put a key out of use."""
    changed = await keys.suspend(visit.hub.storage, visit.param("id"), **_why(visit))
    return visit.go("keys.one", id=changed.id, said="keys.suspended", undo="keys.resume")


@routes.act("keys.resume")
async def resume(visit: Visit) -> Response:
    """Bring a suspended key back into use."""
    changed = await keys.resume(visit.hub.storage, visit.param("id"), **_why(visit))
    return visit.go("keys.one", id=changed.id, said="keys.resumed")


@routes.act("keys.revoke")
async def revoke(visit: Visit) -> Response:
    """Take a key out of use for good."""
    changed = await keys.revoke(visit.hub.storage, visit.param("id"), **_why(visit))
    return visit.go("keys.one", id=changed.id, said="keys.revoked")


@routes.act("keys.confirm")
async def confirm(visit: Visit) -> Response:
    """Say that a key is still needed."""
    chosen = visit.hub.settings.keys
    changed = await keys.confirm(
        visit.hub.storage,
        visit.param("id"),
        every_days=chosen.confirm_every_days,
        two_people=chosen.two_people,
        **_why(visit),
    )
    return visit.go("keys.one", id=changed.id, said="keys.confirmed")


@routes.act("keys.limit")
async def limit(visit: Visit) -> Response:
    """Change limits, addresses and hours to what the form says; what is as before is left alone."""
    before = await keys.show(visit.hub.storage, visit.param("id"))
    wanted = keys.Bounds(
        _split(_ITEMS, visit.text("limits")),
        _split(_ITEMS, visit.text("addresses")),
        _split(_LINES, visit.text("hours")),
    )
    changed = await keys.limit(
        visit.hub.storage, before.id, wanted, known_operations=operations.NAMES, **_why(visit)
    )
    return visit.go("keys.one", id=changed.id, said="keys.limited")


@routes.page("keys.grants")
async def show_grants(visit: Visit) -> Response:
    """Show the grants of a key to be changed."""
    return await _grants(visit, visit.param("id"))


@routes.act("keys.grant")
async def grant(visit: Visit) -> Response:
    """Give and take grants, so that the key has what is ticked; adding waits for a second person where so set."""
    before = await keys.show(visit.hub.storage, visit.param("id"))
    wanted, held = {*_granted(visit)}, {*before.grants}
    try:
        changed = await regranting.change(
            visit.hub.storage,
            before.id,
            regranting.Wanted(sorted(wanted - held), sorted(held - wanted)),
            known_operations=operations.NAMES,
            two_people=visit.hub.settings.keys.two_people,
            **_why(visit),
        )
    except errors.InvalidRequest as exc:
        return await _grants(visit, before.id, ticked=tuple(wanted), wrong=exc)
    waits = {*changed.grants} != wanted
    return visit.go("keys.one", id=changed.id, said="keys.grants_asked" if waits else "keys.granted")


# ------------------------------------------------------------------------------------------------- inside


def _order(
    visit: Visit, filled: dict[str, str], *, held: tuple[str, ...], wrong: errors.InvalidRequest | None = None
) -> Response:
    return visit.page(
        "keys/new.html",
        status=wrong.status if wrong else 200,
        filled=filled,
        **_ticks(visit, held),
        wrong=_problems(visit, wrong),
        two_people=visit.hub.settings.keys.two_people,
        longest_days=visit.hub.settings.keys.longest_days,
    )


async def _grants(
    visit: Visit, key_id: str, *, ticked: tuple[str, ...] | None = None, wrong: errors.InvalidRequest | None = None
) -> Response:
    record = await keys.show(visit.hub.storage, key_id)
    return visit.page(
        "keys/grants.html",
        status=wrong.status if wrong else 200,
        key=record,
        **_ticks(visit, record.grants if ticked is None else ticked),
        wrong=_problems(visit, wrong),
        reason=visit.text("reason"),
        two_people=visit.hub.settings.keys.two_people,
    )


def _ticks(visit: Visit, held: tuple[str, ...]) -> dict[str, Any]:
    return {
        "matrix": grant_matrix.matrix(held, visit.words),
        "held": held,
        "services": "\n".join(grant_matrix.services(held)),
    }


def _problems(visit: Visit, wrong: errors.InvalidRequest | None) -> list[dict[str, Any]]:
    if wrong is None:
        return []
    language = visit.words.language
    found: list[dict[str, Any]] = [dict(problem.as_json(language)) for problem in wrong.problems]
    return found or [{"detail": wrong.detail(language)}]


def _shown_once(visit: Visit, issued: keys.Issued, *, overlap: timedelta | None = None) -> Response:
    return visit.page(
        "keys/issued.html",
        key=issued.record,
        secret=issued.key,
        generation=issued.generation,
        state=issued.record.state(visit.now),
        older_end_at=visit.now + overlap if overlap is not None else None,
    )


def _why(visit: Visit) -> dict[str, Any]:
    return {"actor": visit.who.name, "now": visit.now, "reason": visit.text("reason")}


def _granted(visit: Visit) -> tuple[str, ...]:
    """Read what is ticked, and the services that are written out."""
    services = _split(_ITEMS, visit.text("services"))
    named = [it if it.startswith(grants.SERVICE) else grants.SERVICE + it for it in services]
    return tuple(dict.fromkeys([*visit.texts("grants"), *named]))


def _split(between: re.Pattern[str], text: str) -> list[str]:
    return [part.strip() for part in between.split(text) if part.strip()]
