"""Passkeys at the desks: signing in with one; making, renaming and removing one's own."""

from __future__ import annotations

import orjson
from starlette.responses import Response

from lienthong.api_keys import acts
from lienthong.console.accounts import passkey_ceremony, passkeys, sign_in
from lienthong.console.web.pages import getting_in, oneself
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.core import errors

routes = Routes()


@routes.page("sign_in.passkey")
async def begin_sign_in(visit: Visit) -> Response:
    """Give the browser what it needs to find a passkey of ours; bound to this visitor's form."""
    _must_be_offered(visit)
    return _json(passkey_ceremony.sign_in_options(visit.hub, bound=visit.form_token))


@routes.act("sign_in.passkey.try")
async def try_it(visit: Visit) -> Response:
    """Sign in with a passkey."""
    _must_be_offered(visit)
    try:
        answer = passkey_ceremony.read(visit.text("answer"))
        token = await sign_in.with_passkey(visit.hub, answer, visit.browser, bound=visit.form_token)
    except errors.CallerError as exc:
        return getting_in.form(visit, exc)
    return await getting_in.let_in(visit, token, visit.text("to"))


@routes.page("own.passkeys")
async def show(visit: Visit) -> Response:
    """List one's passkeys, with the form that makes another."""
    chosen = visit.hub.settings.console
    is_demanded = passkeys.is_demanded(chosen, visit.who.roles)
    held = await passkeys.listed(visit.hub.storage, visit.who.id)
    is_shut_out = is_demanded and bool(held) and not _is_by_passkey(visit)
    elsewhere = chosen.public_url if chosen.passkey_domain and not visit.has_passkeys else ""
    return visit.page(
        "passkeys.html", held=held, is_demanded=is_demanded, is_shut_out=is_shut_out, elsewhere=elsewhere
    )


@routes.act("own.passkeys.begin")
async def begin(visit: Visit) -> Response:
    """Give the browser what it needs to make a passkey, once the password is known and the name is sound."""
    _must_be_offered(visit)
    held = await passkeys.credential_ids(visit.hub.storage, visit.who.id)
    _must_be_by_passkey(visit, has_some=bool(held))
    passkeys.sound_name(visit.text("name"))
    if visit.who.has_password:
        await oneself.must_know(visit, str(visit.form.get("password") or ""))
    return _json(passkey_ceremony.making_options(visit.hub, visit.who, held, bound=visit.form_token))


@routes.act("own.passkeys.add")
async def add(visit: Visit) -> Response:
    """Keep a new passkey; whoever else sits there as this person is put out."""
    _must_be_offered(visit)
    _must_be_by_passkey(visit, has_some=bool(await passkeys.credential_ids(visit.hub.storage, visit.who.id)))
    await passkey_ceremony.make(
        visit.hub,
        visit.who,
        passkey_ceremony.read(visit.text("answer")),
        name=visit.text("name"),
        bound=visit.form_token,
        act=_act(visit, "passkeys.add"),
    )
    await oneself.end_others(visit)
    return visit.go("own.passkeys", said="passkeys.added")


@routes.act("own.passkeys.rename")
async def rename(visit: Visit) -> Response:
    """Give one of one's passkeys another name."""
    _must_be_by_passkey(visit, has_some=True)
    act = _act(visit, "passkeys.rename")
    await passkeys.rename(visit.hub.storage, visit.who.id, visit.param("id"), visit.text("name"), act=act)
    return visit.go("own.passkeys", said="passkeys.renamed")


@routes.act("own.passkeys.remove")
async def remove(visit: Visit) -> Response:
    """Remove one of one's passkeys: the password is asked for, other sessions end."""
    _must_be_by_passkey(visit, has_some=True)
    if visit.who.has_password:
        await oneself.must_know(visit, str(visit.form.get("password") or ""))
    await passkeys.remove(
        visit.hub.storage,
        visit.who.id,
        visit.param("id"),
        keep_one=passkeys.is_demanded(visit.hub.settings.console, visit.who.roles),
        act=_act(visit, "passkeys.remove"),
    )
    await oneself.end_others(visit)
    return visit.go("own.passkeys", said="passkeys.removed")


def _act(visit: Visit, name: str) -> acts.Act:
    return acts.Act(name, visit.who.name, visit.now, "own passkey")


def _is_by_passkey(visit: Visit) -> bool:
    return visit.session is not None and visit.session.method == passkeys.METHOD


def _must_be_by_passkey(visit: Visit, *, has_some: bool) -> None:
    """Insist that who stole the password of a role that needs a passkey cannot make one. Raises NotGranted.

    Somebody of such a role who has none yet makes the first one with the password.
    """
    is_demanded = passkeys.is_demanded(visit.hub.settings.console, visit.who.roles)
    if is_demanded and has_some and not _is_by_passkey(visit):
        raise errors.NotGranted(
            "sign in with your passkey first; who lost it asks an administrator",
            detail_vi="Hãy đăng nhập bằng passkey trước; nếu đã mất, hãy liên hệ quản trị viên.",
        )


def _must_be_offered(visit: Visit) -> None:
    if not visit.has_passkeys:
        raise errors.NotFound()


def _json(told: dict[str, object]) -> Response:
    return Response(orjson.dumps(told), media_type="application/json")
