"""The accounts of the desks: for administrators to manage, for officers and auditors to look at."""

from __future__ import annotations

from datetime import timedelta

from starlette.responses import Response

from lienthong.console.accounts import passkeys, register, second_step, sessions
from lienthong.console.web.listing import Column, Listing
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.core import errors

routes = Routes()
_COLUMNS = (
    Column("name", "accounts.name", "code", link="href", sorts=True),
    Column("full_name", "accounts.full_name", sorts=True),
    Column("roles", "accounts.roles"),
    Column("state", "accounts.state", "chip", sorts=True),
    Column("second_step", "accounts.second_step", "chip", area="second_step", sorts=True),
    Column("last_sign_in_at", "accounts.last_sign_in", "ago", sorts=True),
)


@routes.page("accounts")
async def show(visit: Visit) -> Response:
    """List the accounts."""
    rows = [
        {
            "name": it.name,
            "full_name": it.full_name,
            "roles": ", ".join(visit.words.of("roles", role) for role in it.roles),
            "state": it.state,
            "second_step": "on" if it.has_second_step else "risk",
            "last_sign_in_at": it.last_sign_in_at,
            "href": visit.link("accounts.one", None, id=it.id),
        }
        for it in await register.listed(visit.hub.storage)
    ]
    listing = Listing("accounts", _COLUMNS, rows, visit.path, visit.query, total=len(rows)).sorted()
    return visit.listed(listing, "accounts.html", all_roles=list(register.Role))


@routes.page("accounts.one")
async def one(visit: Visit) -> Response:
    """Show one account with its sessions and what may be done to it."""
    account = await register.show(visit.hub.storage, visit.param("id"))
    is_own = account.id == visit.who.id
    idle = timedelta(minutes=visit.hub.settings.console.idle_minutes)
    found = await sessions.listed(visit.hub.storage, account.id, now=visit.now, idle=idle)
    found.sort(key=lambda it: visit.session is None or it.id != visit.session.id)
    held = await passkeys.listed(visit.hub.storage, account.id)
    return visit.page(
        "account.html",
        account=account,
        is_own=is_own,
        sessions=found,
        passkeys=held,
        all_roles=list(register.Role),
    )


@routes.act("accounts.add")
async def add(visit: Visit) -> Response:
    """Add an account with a first password, which its owner changes at the first sign-in."""
    made = await register.add(
        visit.hub.storage,
        name=visit.text("name"),
        full_name=visit.text("full_name"),
        roles=visit.texts("roles"),
        password=_typed(visit),
        act=visit.act("accounts.add"),
    )
    return visit.go("accounts.one", id=made.id, said="accounts.added")


def _typed(visit: Visit) -> str:
    value = visit.form.get("password")
    return value if isinstance(value, str) else ""


async def _anothers(visit: Visit) -> str:
    """Give whose way of signing in is to be changed: not one's own, for which My account asks for the present one.

    Or an administrator's browser left open would be enough to take the account over.
    """
    account = await register.show(visit.hub.storage, visit.param("id"))
    if account.id == visit.who.id:
        raise errors.Conflict(
            "this is your own account: use My account, which asks for your password first",
            detail_vi="Đây là tài khoản của chính bạn: hãy làm ở “Tài khoản của tôi”, nơi hỏi mật khẩu trước.",
        )
    return account.id


@routes.act("accounts.roles")
async def set_roles(visit: Visit) -> Response:
    """Change what somebody may do."""
    act = visit.act("accounts.roles")
    changed = await register.set_roles(visit.hub.storage, visit.param("id"), visit.texts("roles"), act=act)
    return visit.go("accounts.one", id=changed.id, said="accounts.roles_set")


@routes.act("accounts.password")
async def set_password(visit: Visit) -> Response:
    """Set a new first password; whoever sits there with the old one is put out."""
    act = visit.act("accounts.password")
    changed = await register.set_password(
        visit.hub.storage, await _anothers(visit), _typed(visit), by_owner=False, act=act
    )
    await _end_all(visit, changed.id)
    return visit.go("accounts.one", id=changed.id, said="accounts.password_set")


@routes.act("accounts.second_step")
async def take_second_step_away(visit: Visit) -> Response:
    """Take the second step away from somebody who lost it."""
    act = visit.act("accounts.second_step")
    changed = await second_step.take_away(visit.hub.storage, await _anothers(visit), act=act)
    await _end_all(visit, changed.id)
    return visit.go("accounts.one", id=changed.id, said="accounts.step_taken")


@routes.act("accounts.passkeys")
async def take_passkeys_away(visit: Visit) -> Response:
    """Take all passkeys away from somebody who lost them."""
    act = visit.act("accounts.passkeys")
    changed = await passkeys.take_away(visit.hub.storage, await _anothers(visit), act=act)
    await _end_all(visit, changed.id)
    return visit.go("accounts.one", id=changed.id, said="accounts.passkeys_taken")


@routes.act("accounts.link")
async def link(visit: Visit) -> Response:
    """Register by what number the identity provider knows this person."""
    provider = visit.hub.settings.console.identity_provider
    if not provider:
        raise errors.InvalidRequest(
            "LIENTHONG_CONSOLE__IDENTITY_PROVIDER is not set",
            detail_vi="Chưa đặt LIENTHONG_CONSOLE__IDENTITY_PROVIDER.",
        )
    act = visit.act("accounts.link")
    changed = await register.link(
        visit.hub.storage,
        visit.hub.vault,
        await _anothers(visit),
        provider=provider,
        key=visit.text("key"),
        act=act,
    )
    return visit.go("accounts.one", id=changed.id, said="accounts.linked")


@routes.act("accounts.disable")
async def disable(visit: Visit) -> Response:
    """Shut an account."""
    changed = await register.disable(visit.hub.storage, visit.param("id"), act=visit.act("accounts.disable"))
    return visit.go("accounts.one", id=changed.id, said="accounts.disabled", undo="accounts.enable")


@routes.act("accounts.enable")
async def enable(visit: Visit) -> Response:
    """Open a shut account again."""
    changed = await register.enable(visit.hub.storage, visit.param("id"), act=visit.act("accounts.enable"))
    return visit.go("accounts.one", id=changed.id, said="accounts.enabled")


@routes.act("accounts.sessions.end")
async def end_sessions(visit: Visit) -> Response:
    """End every session of somebody."""
    account = await register.show(visit.hub.storage, visit.param("id"))
    await _end_all(visit, account.id)
    return visit.go("accounts.one", id=account.id, said="accounts.sessions_ended")


async def _end_all(visit: Visit, account_id: str) -> None:
    await sessions.revoke(
        visit.hub.storage, account_id, by=visit.who.name, now=visit.now, reason=visit.text("reason")
    )
